"""Live and simulated, the same policy decides the same on the same arrivals."""

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
