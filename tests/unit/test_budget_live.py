"""Budgets, groups and policies at work in frames."""

import threading
import time

import cffi
import foliot as fo
import pytest
from support import alarm, interrupt

ffi = cffi.FFI()
Position = fo.component("Position", "f8")
Velocity = fo.component("Velocity", "f8")


def context(**options):
    return fo.SchedulingContext(**{"budget": 2e-3, "period": 10e-3, "name": "audio", **options})


def world_of_one():
    world = fo.World()
    world.spawn(Position(1.0), Velocity(2.0))
    return world


def work_for(seconds):
    """Keep the processor so long, by the thread's own time."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        sum(range(100))


class Machine:
    """Systems that take so long on a virtual clock, and a scheduler for them."""

    def __init__(self):
        self.clock = fo.VirtualClock()
        self.ran = []

    def system(self, name, seconds, budget=None, **options):
        options.setdefault("writes", Position)

        def run(ctx):
            self.ran.append((name, round(self.clock.now, 9)))
            self.clock.advance(seconds)

        return fo.system(name=name, budget=budget, **options)(run)

    def scheduler(self, *systems, **options):
        options.setdefault("backend", "blocking")
        return fo.Scheduler(world_of_one(), fo.Schedule(*systems), clock=self.clock, **options)


def test_an_overrun_is_carried_as_debt_into_the_next_frames():
    machine = Machine()
    with machine.scheduler(machine.system("slow", 3e-3, context())) as scheduler:
        for _ in range(3):
            scheduler.tick(0.1)
    # 3 ms of 2 ms a period: each run waits until the debt of the one before is paid.
    assert machine.ran[0] == ("slow", 0.0)
    assert machine.ran[1][1] >= 11e-3
    assert machine.ran[2][1] >= 22e-3


def test_a_waiting_system_lets_independent_ones_go_first():
    machine = Machine()
    slow = machine.system("slow", 3e-3, context())
    other = machine.system("other", 1e-3, writes=Velocity)
    with machine.scheduler(slow, other) as scheduler:
        scheduler.tick(0.1)
        machine.ran.clear()
        frame = scheduler.tick(0.1)
    assert [name for name, _ in machine.ran] == ["other", "slow"]
    assert list(frame.systems) == ["slow", "other"]


def test_a_skipped_run_says_so_in_the_frame():
    machine = Machine()
    with machine.scheduler(machine.system("slow", 3e-3, context(overrun="skip"))) as scheduler:
        scheduler.tick(0.1)
        frame = scheduler.tick(0.1)
        assert frame.skipped == ["slow"]
        assert "budget" in frame.skipped_reasons["slow"]
        assert "slow" in scheduler.explain("slow")
        assert "skipped" in scheduler.explain("slow")


def test_a_missed_deadline_is_in_the_frame_the_stats_and_the_account():
    machine = Machine()
    slow = machine.system("slow", 3e-3, context(deadline=2.5e-3))
    with machine.scheduler(slow) as scheduler:
        frame = scheduler.tick(0.1)
        assert frame.misses == {"slow": 1}
        assert scheduler.stats.misses == 1
        assert scheduler.accounts.systems["slow"].misses == 1


def test_a_revoked_context_fails_closed():
    machine = Machine()
    audio = context()
    slow, other = machine.system("slow", 1e-3, audio), machine.system("other", 1e-3)
    with machine.scheduler(slow, other, errors="continue") as scheduler:
        scheduler.tick(0.1)
        scheduler.revoke(audio)
        frame = scheduler.tick(0.1)
        assert isinstance(frame.errors[0], fo.StaleHandleError)
        assert frame.errors[0].__notes__ == ["in system `slow`, frame 1"]
        assert "the context that pays for system `slow` was revoked" in str(frame.errors[0])
        assert [name for name, _ in machine.ran] == ["slow", "other", "other"]
        with pytest.raises(fo.StaleHandleError, match="'audio' has been revoked"):
            scheduler.revoke(audio)
    with pytest.raises(fo.StaleHandleError, match="'audio' of system `slow` has been revoked"):
        machine.scheduler(slow)


@pytest.mark.parametrize("batched", [False, True])
def test_a_revoked_system_is_stopped_at_its_next_chunk(batched):
    machine = Machine()
    mine, spare = context(budget=5e-3), context(name="spare")
    seen = []

    @fo.system(writes=Position, budget=mine, commands=True)
    def walk(ctx):
        for chunk in ctx.batches(rows=1) if batched else ctx:
            seen.append(len(chunk))
            ctx.commands.spawn(Velocity(9.0))
            if len(seen) == 1:
                # Of no concern to this system: it goes on.
                scheduler.revoke(spare)
            if len(seen) == 2:
                scheduler.revoke(mine)

    world = fo.World()
    tags = [fo.tag(f"Kind{index}") for index in range(4)]
    for tag in tags:
        world.spawn(Position(0.0), tag)
    other = machine.system("other", 1e-3, spare)
    schedule = fo.Schedule(walk, other)
    scheduler = fo.Scheduler(
        world, schedule, clock=machine.clock, backend="blocking", errors="continue"
    )
    with scheduler:
        errors = scheduler.tick(0.1).errors
    assert seen == [1, 1]
    assert [type(error) for error in errors] == [fo.StaleHandleError, fo.StaleHandleError]
    assert {error.__notes__[0] for error in errors} == {
        "in system `walk`, frame 0",
        "in system `other`, frame 0",
    }
    assert len(list(world.query(reads=[Velocity]))) == 0


def test_a_killed_system_stays_refused():
    machine = Machine()
    calls = []

    @ffi.callback("int (void **columns, ptrdiff_t rows, void *user)")
    def hog(columns, rows, user):
        calls.append(rows)
        machine.clock.advance(1.5e-3)
        return 0

    killed = context(overrun="kill")
    system = fo.native(hog, writes=Position, name="hog", chunk_rows=16, budget=killed)
    with machine.scheduler(system) as scheduler:
        for _ in range(63):
            scheduler.world.spawn(Position(0.0), Velocity(0.0))
        frame = scheduler.tick(0.1)
        assert calls == [16, 16]
        assert frame.skipped_reasons == {"hog": "its budget was used up, so it was killed"}
        assert frame.overruns == {"hog": 1}
        assert "hog was killed" in scheduler.explain(killed)
        with pytest.raises(fo.FrameError) as caught:
            scheduler.tick(0.1)
        assert isinstance(caught.value.exceptions[0], fo.StaleHandleError)


def test_on_depletion_is_told_after_the_frame():
    machine = Machine()
    told = []
    audio = context(overrun="notify", on_depletion=told.append)
    with machine.scheduler(machine.system("slow", 3e-3, audio)) as scheduler:
        scheduler.tick(0.1)
    assert len(told) == 1
    assert told[0].context is audio
    assert told[0].count == 1
    assert told[0].last == pytest.approx(3e-3)


def test_what_on_depletion_raises_is_an_error_of_the_frame():
    def refuse(depletion):
        raise LookupError("nobody listens")

    machine = Machine()
    audio = context(overrun="notify", on_depletion=refuse)
    with (
        machine.scheduler(machine.system("slow", 3e-3, audio)) as scheduler,
        pytest.raises(fo.FrameError) as caught,
    ):
        scheduler.tick(0.1)
    error = caught.value.exceptions[0]
    assert isinstance(error, LookupError)
    assert error.__notes__ == ["in on_depletion of the context 'audio'"]


def test_fixed_priorities_go_by_declaration_and_fifo_by_release():
    for policy in ("fp", "fifo", "rm", "edf"):
        machine = Machine()
        first = machine.system("first", 1e-3)
        second = machine.system("second", 1e-3, writes=Velocity)
        with machine.scheduler(first, second, policy=policy) as scheduler:
            scheduler.tick(0.1)
        assert [name for name, _ in machine.ran] == ["first", "second"], policy


def test_a_python_policy_picks_live():
    class Last(fo.Policy):
        base = "fifo"

        def pick(self, ready, *, cpu, now):
            return max(ready, key=lambda runnable: runnable.id)

    machine = Machine()
    first = machine.system("first", 1e-3)
    second = machine.system("second", 1e-3, writes=Velocity)
    with machine.scheduler(first, second, policy=Last()) as scheduler:
        scheduler.tick(0.1)
        assert scheduler.stats.policy_faults == 0
    assert [name for name, _ in machine.ran] == ["second", "first"]


def test_a_policy_that_raises_is_switched_off_and_nothing_stops():
    class Broken(fo.Policy):
        max_faults = 2

        def pick(self, ready, *, cpu, now):
            raise ZeroDivisionError("no luck")

    machine = Machine()
    with machine.scheduler(machine.system("a", 1e-3), policy=Broken()) as scheduler:
        for _ in range(4):
            scheduler.tick(0.1)
        assert scheduler.stats.policy_faults == 2
        kinds = [decision.kind for decision in scheduler.decisions]
    assert kinds.count("fault") == 2
    assert kinds.count("policy_off") == 1
    assert len(machine.ran) == 4


def test_a_policy_cannot_ask_its_own_scheduler():
    class Curious(fo.Policy):
        answers = ()

        def pick(self, ready, *, cpu, now):
            try:
                self.answers = scheduler.accounts
            except fo.WorldBusyError as error:
                self.answers = str(error)

    policy = Curious()
    machine = Machine()
    with machine.scheduler(machine.system("a", 1e-3), policy=policy) as scheduler:
        scheduler.tick(0.1)
    assert policy.answers == "a slot of the policy cannot ask its own scheduler"


def test_groups_have_accounts_of_their_own():
    machine = Machine()
    ai = fo.Group("ai", weight=512, latency="batch")
    first = machine.system("first", 1e-3, ai)
    second = machine.system("second", 2e-3, ai)
    third = machine.system("third", 4e-3)
    with machine.scheduler(first, second, third) as scheduler:
        scheduler.tick(0.1)
        accounts = scheduler.accounts
        assert accounts.groups[ai].runtime == 3_000_000
        assert accounts.systems["third"].runtime == 4_000_000
        assert accounts.workers[0].runtime == 7_000_000
        assert scheduler.explain(ai).startswith("ai: ")


def test_without_budgets_and_policy_there_are_no_accounts():
    machine = Machine()
    with machine.scheduler(machine.system("a", 1e-3)) as scheduler:
        scheduler.tick(0.1)
        assert scheduler.accounts == fo.Accounts({}, {}, ())
        assert scheduler.decisions == []


def test_a_context_is_of_one_open_scheduler_at_a_time():
    machine = Machine()
    slow = machine.system("slow", 1e-3, context())
    with (
        machine.scheduler(slow),
        pytest.raises(ValueError, match="'audio' of system `slow` is in use by another open"),
    ):
        machine.scheduler(slow)
    with machine.scheduler(slow) as scheduler:
        scheduler.tick(0.1)


@pytest.mark.parametrize("backend", ["threadpool", "stealing", "uring"])
def test_a_context_runs_on_its_workers_only(backend):
    systems = [
        fo.system(name=f"s{number}", reads=Position, budget=context(cpus=[3 - number % 2]))(
            lambda ctx: None
        )
        for number in range(4)
    ]
    free = fo.system(name="free", reads=Position)(lambda ctx: None)
    with fo.Scheduler(
        world_of_one(), fo.Schedule(free, *systems), backend=backend, workers=4
    ) as scheduler:
        for _ in range(20):
            frame = scheduler.tick(0.1)
            assert [frame.systems[f"s{number}"].worker for number in range(4)] == [3, 2, 3, 2]


def test_a_context_that_left_the_schedule_is_free_for_another_scheduler():
    machine = Machine()
    slow = machine.system("slow", 3e-3, context(overrun="skip"))
    schedule = fo.Schedule(slow)
    with fo.Scheduler(
        world_of_one(), schedule, clock=machine.clock, backend="blocking"
    ) as scheduler:
        scheduler.tick(0.1)
        schedule.remove(slow)
        scheduler.tick(0.1)
        with machine.scheduler(slow) as other:
            assert other.tick(0.1).skipped == []
        # What came back begins with all of its budget.
        schedule.add(slow)
        assert scheduler.tick(0.1).skipped == []


def test_a_revoked_context_that_left_and_came_back_stays_refused():
    machine = Machine()
    audio = context()
    slow = machine.system("slow", 1e-3, audio)
    schedule = fo.Schedule(slow)
    with fo.Scheduler(
        world_of_one(), schedule, clock=machine.clock, backend="blocking", errors="continue"
    ) as scheduler:
        scheduler.revoke(audio)
        schedule.remove(slow)
        scheduler.tick(0.1)
        schedule.add(slow)
        assert isinstance(scheduler.tick(0.1).errors[0], fo.StaleHandleError)
    assert machine.ran == []


def test_an_interrupt_in_a_slot_ends_the_frame():
    class Stop(fo.Policy):
        def pick(self, ready, *, cpu, now):
            raise KeyboardInterrupt

    machine = Machine()
    with (
        machine.scheduler(machine.system("a", 1e-3), policy=Stop()) as scheduler,
        pytest.raises(KeyboardInterrupt),
    ):
        scheduler.tick(0.1)


def test_a_context_of_another_scheduler_is_refused():
    machine = Machine()
    with machine.scheduler(machine.system("a", 1e-3)) as scheduler:
        for ask in (scheduler.revoke, scheduler.explain):
            with pytest.raises(ValueError, match="'audio' pays for no system of this scheduler"):
                ask(context())
        with pytest.raises(TypeError, match=r"revokes a fo\.SchedulingContext, got 'audio'"):
            scheduler.revoke("audio")


def test_unknown_policies_are_refused_with_those_there_are():
    machine = Machine()
    with pytest.raises(ValueError, match=r"fifo.*fp.*rm.*edf.*eevdf.*cbs"):
        machine.scheduler(machine.system("a", 1e-3), policy="cfs")
    with pytest.raises(TypeError):
        machine.scheduler(machine.system("a", 1e-3), policy=7)


def test_a_context_for_workers_that_are_not_there_is_refused():
    machine = Machine()
    slow = machine.system("slow", 1e-3, context(cpus=[1]))
    with pytest.raises(ValueError, match="cpus= of the context of system `slow` names no worker"):
        machine.scheduler(slow)


def test_a_budget_smaller_than_a_decision_is_refused():
    slow = fo.system(budget=context(budget=1e-9), name="slow")(lambda ctx: None)
    with pytest.raises(ValueError, match="the budget of system `slow` is 1 ns, less than what two"):
        fo.Scheduler(world_of_one(), fo.Schedule(slow), backend="blocking")


def test_budgets_go_on_when_the_schedule_is_edited():
    machine = Machine()
    schedule = fo.Schedule(machine.system("slow", 3e-3, context(overrun="skip")))
    with fo.Scheduler(
        world_of_one(), schedule, clock=machine.clock, backend="blocking"
    ) as scheduler:
        scheduler.tick(0.1)
        schedule.add(machine.system("more", 1e-3, writes=Velocity))
        assert scheduler.tick(0.1).skipped == ["slow"]
        assert scheduler.accounts.systems["slow"].runtime == 3_000_000


@pytest.mark.parametrize("backend", fo.BACKENDS)
def test_python_systems_take_turns_on_every_backend(backend):
    inside = []
    most = []

    def system_of(number):
        def run(ctx):
            inside.append(number)
            most.append(len(inside))
            inside.remove(number)

        return fo.system(name=f"s{number}", reads=Position)(run)

    systems = [system_of(number) for number in range(12)]
    with fo.Scheduler(
        world_of_one(), fo.Schedule(*systems), backend=backend, workers=4, policy="eevdf"
    ) as scheduler:
        for _ in range(20):
            scheduler.tick(0.1)
    assert len(most) == 240
    assert max(most) == 1


@pytest.mark.parametrize("backend", fo.BACKENDS)
def test_an_interrupt_ends_the_wait_for_a_refill(backend):
    ran = []

    @fo.system(budget=context(budget=1e-3, period=3000.0), writes=Position)
    def hog(ctx):
        ran.append("hog")
        work_for(5e-3)

    other = fo.system(name="other", writes=Velocity)(lambda ctx: ran.append("other"))
    with fo.Scheduler(
        world_of_one(), fo.Schedule(hog, other), backend=backend, workers=2
    ) as scheduler:
        scheduler.tick(0.1)
        with alarm(interrupt), pytest.raises(KeyboardInterrupt):
            scheduler.tick(0.1)
    assert ran.count("hog") == 1


@pytest.mark.parametrize("backend", fo.BACKENDS)
def test_governed_systems_do_io_on_every_backend(backend, tmp_path):
    path = tmp_path / "hello"
    path.write_bytes(b"hello")
    asked, got = [], []

    @fo.system(io=True, budget=context())
    def ask(ctx):
        if not asked:
            asked.append(ctx.io.read(path))

    @fo.system(after="ask", io=True)
    def look(ctx):
        if asked[0].done and not got:
            got.append(bytes(asked[0].result))

    with fo.Scheduler(
        world_of_one(), fo.Schedule(ask, look), backend=backend, workers=2, policy="eevdf"
    ) as scheduler:
        while not got:
            scheduler.tick(0.1)
    assert got == [b"hello"]


def test_a_context_is_revoked_from_another_thread_while_its_system_waits():
    audio = context(budget=1e-3, period=3000.0)
    started = threading.Event()

    @fo.system(budget=audio, writes=Position)
    def hog(ctx):
        work_for(5e-3)

    @fo.system(writes=Velocity)
    def other(ctx):
        started.set()

    with fo.Scheduler(
        world_of_one(), fo.Schedule(hog, other), backend="blocking", errors="continue"
    ) as scheduler:
        scheduler.tick(0.1)
        started.clear()

        def revoke():
            started.wait()
            scheduler.revoke(audio)

        thread = threading.Thread(target=revoke)
        thread.start()
        frame = scheduler.tick(0.1)
        thread.join()
    assert [type(error) for error in frame.errors] == [fo.StaleHandleError]
