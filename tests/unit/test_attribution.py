"""What deciding cost: who was looked at, and passed over and why, and what locks and wakes cost."""

import dataclasses
import threading

import foliot as fo
import pytest

Position = fo.component("Position", "f8")
Velocity = fo.component("Velocity", "f8")


def world_of_one():
    world = fo.World()
    world.spawn(Position(0.0), Velocity(0.0))
    return world


def run(clock, seconds, name, budget=None, writes=Position):
    return fo.system(name=name, budget=budget, writes=writes)(lambda ctx: clock.advance(seconds))


def scheduler_of(clock, *systems, **options):
    options.setdefault("backend", "blocking")
    return fo.Scheduler(world_of_one(), fo.Schedule(*systems), clock=clock, **options)


def check_sum(counts):
    passed_over = counts.forbidden + counts.held + counts.depleted + counts.outranked
    assert counts.candidates == counts.taken + passed_over
    assert counts.slot_asked == counts.slot_answered + counts.slot_defaulted


def test_frames_on_one_worker_are_counted_exactly():
    clock = fo.VirtualClock()
    audio = fo.SchedulingContext(budget=2e-3, period=10e-3)
    mix = run(clock, 3e-3, "mix", audio)
    draw = run(clock, 1e-3, "draw", writes=Velocity)
    with scheduler_of(clock, mix, draw) as scheduler:
        scheduler.tick(0.01)
        first = scheduler.attribution
        scheduler.tick(0.01)
        second = scheduler.attribution
    assert (first.picks, first.idle_picks, first.taken) == (2, 0, 2)
    # In the second frame nobody may run after draw, until mix has its refill.
    assert (second.picks, second.idle_picks, second.taken) == (5, 1, 4)
    assert second.candidates == 4
    assert second.locks > first.locks
    alone = ("lock_waits", "lock_wait_ns", "wakes_sent", "helper_calls", "turn_waits", "sleeps")
    assert {name: getattr(second, name) for name in alone} == dict.fromkeys(alone, 0)


def test_one_without_budget_is_depleted():
    clock = fo.VirtualClock()
    audio = fo.SchedulingContext(budget=2e-3, period=10e-3)
    first = run(clock, 3e-3, "first", audio)
    second = run(clock, 1e-3, "second", audio, writes=Velocity)
    with scheduler_of(clock, first, second) as scheduler:
        scheduler.tick(0.01)
        counts = scheduler.attribution
    assert (counts.depleted, counts.taken, counts.candidates) == (1, 2, 3)


def test_a_policy_that_leaves_some_choices_is_counted():
    class Sometimes(fo.Policy):
        calls = 0

        def pick(self, ready, *, cpu, now):
            self.calls += 1
            return None if self.calls == 2 else ready[0]

    clock = fo.VirtualClock()
    systems = [run(clock, 1e-3, name, writes=None) for name in "abc"]
    with scheduler_of(clock, *systems, policy=Sometimes()) as scheduler:
        scheduler.tick(0.01)
        counts = scheduler.attribution
    assert (counts.slot_asked, counts.slot_answered, counts.slot_defaulted) == (3, 2, 1)
    check_sum(counts)


def test_without_budgets_and_policy_there_is_none():
    clock = fo.VirtualClock()
    with scheduler_of(clock, run(clock, 1e-3, "move")) as scheduler:
        scheduler.tick(0.01)
        assert scheduler.attribution is None


def test_it_is_read_by_other_threads_while_frames_run():
    clock = fo.VirtualClock()
    found = []
    is_over = threading.Event()
    with scheduler_of(clock, run(clock, 1e-4, "move"), policy="eevdf", workers=2) as scheduler:

        def look():
            while not is_over.is_set():
                found.append(scheduler.attribution)

        thread = threading.Thread(target=look)
        thread.start()
        for _ in range(200):
            scheduler.tick(0.01)
        while not found:
            scheduler.tick(0.01)
        is_over.set()
        thread.join()
    for counts in found:
        check_sum(counts)
    assert [counts.picks for counts in found] == sorted(counts.picks for counts in found)


def test_a_slot_cannot_ask_its_own_scheduler():
    class Curious(fo.Policy):
        def pick(self, ready, *, cpu, now):
            return scheduler.attribution

    clock = fo.VirtualClock()
    with scheduler_of(clock, run(clock, 1e-3, "move"), policy=Curious()) as scheduler:
        scheduler.tick(0.01)
        assert scheduler.attribution.slot_defaulted == 1
        assert scheduler.stats.policy_faults == 1


def test_a_closed_scheduler_is_refused():
    clock = fo.VirtualClock()
    with scheduler_of(clock, run(clock, 1e-3, "move"), policy="fifo") as scheduler:
        pass
    with pytest.raises(RuntimeError, match="the scheduler is closed"):
        scheduler.attribution


def test_it_cannot_be_changed():
    clock = fo.VirtualClock()
    with scheduler_of(clock, run(clock, 1e-3, "move"), policy="fifo") as scheduler:
        counts = scheduler.attribution
    with pytest.raises(dataclasses.FrozenInstanceError):
        counts.picks = 1


@pytest.mark.parametrize("policy", ["fifo", "fp", "rm", "edf", "eevdf", "cbs"])
def test_a_simulation_counts_the_same_choices(policy):
    tasks = fo.TaskSet(
        [fo.PeriodicTask(wcet=1, period=4), fo.PeriodicTask(wcet=3, period=8, name="long")]
    )
    counts = fo.sim.run(tasks, policy=policy, until=80).attribution
    check_sum(counts)
    assert counts.picks - counts.idle_picks >= 30
    assert counts.locks == counts.wakes_saved == counts.sleeps == 0
