"""The n-th allocation of the core fails under plans, schedulers and frames.

Each call is tried with the first allocation failing, then the second, and so on, until it needs no
more. What fails raises MemoryError and leaves what was there in working order.
"""

import contextlib
import gc

import foliot as fo
import numpy as np
import pytest
from foliot import _core

pytestmark = pytest.mark.faults

Position = fo.component("Position", "f8")
Velocity = fo.component("Velocity", "f8")
Note = fo.component("Note", object)

MAX_ALLOCATIONS = 2000


@fo.resource
class Gravity:
    g: fo.f8 = 9.81


@fo.system(reads=[Velocity, Gravity], writes=Position)
def move(ctx):
    for chunk in ctx:
        chunk[Position] += chunk[Velocity] * ctx[Gravity].g


@fo.system(reads=Position, commands=True, after=move)
def build(ctx):
    ctx.commands.spawn(Position(1.0), Note([ctx.frame]))
    ctx.commands.call(lambda world: None)


@fo.system(reads=Note, queries={"all": fo.Query(reads=Position)})
def look(ctx):
    for _ in range(2):
        len(list(ctx))
    len(list(ctx.query("all")))


def make_schedule():
    return fo.Schedule(move, build, look)


def make_world():
    world = fo.World()
    world.insert(Gravity(g=1.0))
    world.spawn_many(20, {Position: np.arange(20.0), Velocity: 1.0})
    return world


def fail_each(prepare, call, check):
    """Prepare, then call with allocation n failing, for every n that the call needs."""
    for n in range(1, MAX_ALLOCATIONS):
        state = prepare()
        _core.fail_nth_allocation(n)
        try:
            call(state)
            failed = False
        except MemoryError:
            failed = True
        finally:
            was_needed = not _core.allocation_failure_is_armed()
            _core.fail_nth_allocation(0)
        assert failed == was_needed, f"allocation {n} failed unseen"
        check(state, failed)
        if not was_needed:
            return n - 1
    raise AssertionError("the call never stopped allocating")


def test_making_a_plan():
    def check(schedule, failed):
        assert schedule.plan().execution_order() == ["move", "build", "look"]

    assert fail_each(make_schedule, lambda schedule: schedule.plan(), check) > 10


def test_asking_a_plan():
    def ask(plan):
        plan.edges("update")
        plan.ambiguities()
        plan.critical_path({"move": 1.0})
        plan.speedup_bound({"move": 1.0})

    def check(plan, failed):
        ask(plan)
        assert len(plan.edges("update")) == 2

    assert fail_each(lambda: make_schedule().plan(), ask, check) > 2


def test_opening_a_scheduler():
    schedule = make_schedule()
    schedule.plan()

    def check(world, failed):
        with fo.Scheduler(world, schedule) as scheduler:
            scheduler.tick(0.1)
        world.spawn()

    assert fail_each(make_world, lambda world: fo.Scheduler(world, schedule).close(), check) > 10


def test_opening_a_scheduler_leaks_nothing():
    schedule = make_schedule()
    schedule.plan()
    world = make_world()
    fo.Scheduler(world, schedule).close()
    gc.collect()
    before = _core.memory_stats()["live_blocks"]

    fail_each(
        lambda: None,
        lambda _: fo.Scheduler(world, schedule).close(),
        lambda state, failed: None,
    )
    gc.collect()
    assert _core.memory_stats()["live_blocks"] == before


def memory_failure(call):
    """Run a frame; a MemoryError among its failures, or by itself, comes out as such."""
    try:
        call()
        return
    except fo.FrameError as error:
        failures = error.exceptions
    assert all(isinstance(item, MemoryError) for item in failures), failures
    raise MemoryError


def test_first_frame_of_a_scheduler():
    opened = []

    def prepare():
        world = make_world()
        scheduler = fo.Scheduler(world, make_schedule())
        opened.append(scheduler)
        return world, scheduler

    def check(state, failed):
        world, scheduler = state
        scheduler.tick(0.1)
        assert scheduler.frame == 2
        assert len(world) >= 21
        scheduler.close()
        world.spawn()

    # A first frame makes the lists of tables that its queries match, and new tables at its merges.
    assert fail_each(prepare, lambda state: memory_failure(lambda: state[1].tick(0.1)), check) > 3


def test_later_frames_allocate_nothing_while_nothing_grows():
    world = make_world()
    with fo.Scheduler(world, fo.Schedule(move)) as scheduler:
        scheduler.tick_n(3, 0.1)
        before = _core.memory_stats()["allocations"]
        scheduler.tick_n(100, 0.1)
        assert _core.memory_stats()["allocations"] == before


def test_changing_the_plan():
    def prepare():
        schedule = make_schedule()
        scheduler = fo.Scheduler(make_world(), schedule)
        scheduler.tick(0.1)
        schedule.remove("look")
        return scheduler, scheduler.plan

    def check(state, failed):
        scheduler, old = state
        if scheduler.plan is old:
            assert failed
            assert scheduler.frame == 1
        scheduler.tick(0.1)
        assert scheduler.plan is not old
        assert list(scheduler.tick(0.1).systems) == ["move", "build"]
        scheduler.close()

    def tick(state):
        memory_failure(lambda: state[0].tick(0.1))

    assert fail_each(prepare, tick, check) > 10


def test_recording_commands():
    def prepare():
        world = make_world()
        recorded = []

        @fo.system(commands=True)
        def record(ctx):
            try:
                ids = ctx.commands.spawn_many(50, {Position: np.arange(50.0), Note: "n"})
                ctx.commands.add_many(ids, {Velocity: 2.0})
            finally:
                recorded.append(len(ctx.commands))

        return world, fo.Scheduler(world, fo.Schedule(record))

    def check(state, failed):
        world, scheduler = state
        scheduler.tick(0.1)
        assert len(world) in {70, 120}
        scheduler.close()

    fail_each(prepare, lambda state: memory_failure(lambda: state[1].tick(0.1)), check)


def test_failing_systems():
    def prepare():
        def fail(ctx):
            raise LookupError

        systems = [fo.system(name=f"s{i}")(fail) for i in range(40)]
        return fo.Scheduler(fo.World(), fo.Schedule(*systems))

    def tick(scheduler):
        with contextlib.suppress(fo.FrameError):
            scheduler.tick(0.1)

    def check(scheduler, failed):
        with pytest.raises(fo.FrameError, match="40 of 40"):
            scheduler.tick(0.1)
        scheduler.close()

    fail_each(prepare, tick, check)
