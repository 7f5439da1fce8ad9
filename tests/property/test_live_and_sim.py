"""Live and simulated, the same policy decides the same on the same arrivals."""

import cffi
import foliot as fo
from hypothesis import given, settings
from hypothesis import strategies as st

COMPONENTS = [fo.component(f"Cell{number}", "f8") for number in range(6)]
PERIOD = 100_000
FRAMES = 5


class Middle(fo.Policy):
    """The middle one of those that are ready, by a rule that asks for most of what is shown."""

    base = "fifo"

    def pick(self, ready, *, cpu, now):
        ranked = sorted(ready, key=lambda runnable: (runnable.job, -runnable.id))
        return ranked[len(ranked) // 2]


class Reverse(fo.Policy):
    """The last first, and nobody every third time."""

    base = "edf"

    def enqueue(self, runnable, *, now):
        return -runnable.id

    def admit(self, runnable, *, now):
        return (runnable.id + runnable.job) % 3 != 0


def live_decisions(costs, policy):
    """Of systems that take so many nanoseconds, released together once a period."""
    clock = fo.VirtualClock()
    systems = [
        fo.system(name=f"s{number}", writes=COMPONENTS[number])(
            lambda ctx, cost=cost: clock.advance(cost * 1e-9)
        )
        for number, cost in enumerate(costs)
    ]
    with fo.Scheduler(
        fo.World(), fo.Schedule(*systems), clock=clock, backend="blocking", policy=policy
    ) as scheduler:
        for frame in range(FRAMES):
            scheduler.tick(0.1)
            clock.advance(((frame + 1) * PERIOD - clock.now_ns()) * 1e-9)
        assert scheduler.stats.policy_faults == 0
        return [
            (made.now, made.kind, made.system, made.job, made.worker)
            for made in scheduler.decisions
        ]


def simulated_decisions(costs, policy):
    tasks = [
        fo.PeriodicTask(wcet=cost, period=PERIOD, name=f"s{number}")
        for number, cost in enumerate(costs)
    ]
    result = fo.sim.run(fo.TaskSet(tasks), policy=policy, until=FRAMES * PERIOD)
    return [(made.time, made.kind, made.name, made.job, made.cpu) for made in result.decisions]


@settings(deadline=None, max_examples=40)
@given(
    costs=st.lists(st.integers(1, PERIOD // 6), min_size=1, max_size=6),
    policy=st.sampled_from(["fifo", "fp", "rm", "edf", Middle, Reverse]),
)
def test_frames_and_the_simulator_decide_the_same(costs, policy):
    made = [policy if isinstance(policy, str) else policy() for _ in range(2)]
    live = live_decisions(costs, made[0])
    assert live == simulated_decisions(costs, made[1])
    assert len(live) >= FRAMES * len(costs) // 2


# In nanoseconds, as live turns of the fair class are by default; the tick likewise.
SLICES = (750_000, 3_000_000, 12_000_000)
FRAME = 100_000_000
ffi = cffi.FFI()


def live_pieces(work, policy, **options):
    """Of native systems in pieces of 16 rows, each with its share or budget."""
    clock, world, kept, systems = fo.VirtualClock(), fo.World(), [], []
    for number, (pieces, cost, budget) in enumerate(work):

        @ffi.callback("int (void **columns, ptrdiff_t rows, void *user)")
        def piece(columns, rows, user, cost=cost):
            clock.advance(cost * 1e-9)
            return 0

        kept.append(piece)
        component = COMPONENTS[number]
        world.spawn_many(16 * pieces, {component: 0.0})
        systems.append(
            fo.native(piece, writes=component, name=f"s{number}", chunk_rows=16, budget=budget)
        )
    schedule = fo.Schedule(*systems)
    with fo.Scheduler(
        world, schedule, clock=clock, backend="blocking", policy=policy, **options
    ) as scheduler:
        for frame in range(FRAMES):
            scheduler.tick(0.1)
            assert clock.now_ns() <= (frame + 1) * FRAME
            clock.advance(((frame + 1) * FRAME - clock.now_ns()) * 1e-9)
        return [
            (made.now, made.kind, made.system, made.job, made.worker)
            for made in scheduler.decisions
        ]


def simulated_pieces(work, policy):
    tasks = []
    for number, (pieces, cost, budget) in enumerate(work):
        is_group = isinstance(budget, fo.Group)
        shares = {"group": budget, "latency": budget.latency} if is_group else {"context": budget}
        tasks.append(
            fo.PeriodicTask(
                wcet=pieces * cost,
                chunk=cost,
                period=FRAME,
                deadline=FRAME if is_group else round(budget.deadline * 1e9),
                name=f"s{number}",
                **shares,
            )
        )
    result = fo.sim.run(
        fo.TaskSet(tasks),
        policy=policy,
        until=FRAMES * FRAME,
        preemption="chunk",
        slices=SLICES,
        tick=50_000,
        records=4096,
    )
    return [(made.time, made.kind, made.name, made.job, made.cpu) for made in result.decisions]


def without_refills(decisions):
    """A worker that is busy takes note of a refill at its next point, a simulated one at once."""
    return [made for made in decisions if made[1] not in {"refill", "promote"}]


GROUPS = st.builds(
    fo.Group,
    st.sampled_from(["ours", "theirs"]),
    weight=st.sampled_from([512, 1024, 3000]),
    latency=st.sampled_from(["interactive", "normal", "batch"]),
)
WORK = st.tuples(st.integers(1, 8), st.integers(100_000, 2_000_000))


@settings(deadline=None, max_examples=40)
@given(
    groups=st.tuples(GROUPS, GROUPS),
    work=st.lists(st.tuples(WORK, st.integers(0, 1)), min_size=1, max_size=5),
)
def test_shares_of_frames_and_of_the_simulator_are_decided_the_same(groups, work):
    pair = (groups[0], fo.Group("other", weight=groups[1].weight, latency=groups[1].latency))
    shared = [(pieces, cost, pair[number]) for (pieces, cost), number in work]
    assert live_pieces(shared, "eevdf") == simulated_pieces(shared, "eevdf")


@st.composite
def contexts(draw):
    """A budget of 1 to 4 ms that comes back at least four times in a frame."""
    period = draw(st.sampled_from([5e-3, 10e-3, 20e-3]))
    return fo.SchedulingContext(
        budget=draw(st.sampled_from([1e-3, 2e-3, 3e-3, 4e-3])),
        period=period,
        deadline=period,
        kind=draw(st.sampled_from(["sporadic", "cbs", "cbs-soft"])),
        overrun=draw(st.sampled_from(["throttle", "skip", "kill", "demote", "notify"])),
    )


@settings(deadline=None, max_examples=60)
@given(
    work=st.lists(
        st.tuples(st.integers(1, 4), st.integers(100_000, 1_200_000), contexts()),
        min_size=1,
        max_size=4,
    )
)
def test_budgets_of_frames_and_of_the_simulator_are_decided_the_same(work):
    live = live_pieces(work, "cbs", errors="continue")
    assert without_refills(live) == without_refills(simulated_pieces(work, "cbs"))
