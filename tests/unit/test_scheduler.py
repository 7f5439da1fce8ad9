"""The scheduler's life, its settings, and frames of Python systems."""

import gc
import weakref

import foliot as fo
import numpy as np
import pytest

Position = fo.component("Position", "f8")
Velocity = fo.component("Velocity", "f8")


def make(name, function=lambda ctx: None, **options):
    return fo.system(name=name, **options)(function)


@fo.system(reads=Velocity, writes=Position)
def move(ctx):
    for chunk in ctx:
        chunk[Position] += chunk[Velocity] * ctx.dt


def ball():
    world = fo.World()
    return world, world.spawn(Position(0.0), Velocity(2.0))


def test_systems_run_once_a_frame():
    world, entity = ball()
    with fo.Scheduler(world, fo.Schedule(move)) as scheduler:
        scheduler.tick(0.5)
        scheduler.tick(0.25)
    assert world.get(entity, Position).value == 1.5


def test_many_frames_in_one_call():
    world, entity = ball()
    with fo.Scheduler(world, fo.Schedule(move)) as scheduler:
        last = scheduler.tick_n(10, 0.5)
        assert scheduler.frame == 10
    assert world.get(entity, Position).value == 10.0
    assert last.frame == 9


def test_no_frame_gives_no_result():
    with fo.Scheduler(fo.World(), fo.Schedule()) as scheduler:
        assert scheduler.tick_n(0, 0.1) is None
        assert scheduler.frame == 0


def test_tick_n_takes_its_arguments_by_name():
    with fo.Scheduler(fo.World(), fo.Schedule()) as scheduler:
        assert scheduler.tick_n(dt=0.1, count=2).frame == 1


@pytest.mark.parametrize("arguments", [(), (1,), (1, 2, 3)])
def test_tick_n_takes_two_arguments(arguments):
    with (
        fo.Scheduler(fo.World(), fo.Schedule()) as scheduler,
        pytest.raises(TypeError, match="takes count and dt"),
    ):
        scheduler.tick_n(*arguments)


@pytest.mark.parametrize("count", [-1, 2**31, 2**80])
def test_count_is_bounded(count):
    with (
        fo.Scheduler(fo.World(), fo.Schedule()) as scheduler,
        pytest.raises(ValueError, match=r"from 0 to 2\*\*31 - 1"),
    ):
        scheduler.tick_n(count, 0.1)


@pytest.mark.parametrize("dt", [-0.1, float("nan"), float("inf"), 1000.1])
def test_dt_is_finite_and_bounded(dt):
    with fo.Scheduler(fo.World(), fo.Schedule()) as scheduler:
        for run in (scheduler.tick, lambda dt: scheduler.tick_n(2, dt)):
            with pytest.raises(ValueError, match=r"dt is finite, at least 0 and at most Config"):
                run(dt)
        assert scheduler.frame == 0


def test_bound_of_dt_comes_from_the_config():
    world = fo.World(fo.Config(max_dt=0.5))
    with fo.Scheduler(world, fo.Schedule()) as scheduler:
        scheduler.tick(0.5)
        with pytest.raises(ValueError, match=r"0\.5 s"):
            scheduler.tick(0.6)


def test_dt_is_a_number():
    with fo.Scheduler(fo.World(), fo.Schedule()) as scheduler, pytest.raises(TypeError):
        scheduler.tick("fast")


def test_backend_falls_back_and_says_why():
    with fo.Scheduler(fo.World(), fo.Schedule(), backend="blocking") as scheduler:
        assert scheduler.backend == fo.BackendInfo("blocking", "blocking", "")


def test_every_backend_runs():
    for backend in fo.BACKENDS:
        with fo.Scheduler(fo.World(), fo.Schedule(), backend=backend) as scheduler:
            info = scheduler.backend
            assert info.requested == backend
            assert (info.reason == "") == (info.actual == backend)
            scheduler.tick(0.1)


def test_unknown_backend_lists_the_known_ones():
    with pytest.raises(
        ValueError, match="blocking, evented, threadpool, stealing, uring, adaptive"
    ):
        fo.Scheduler(fo.World(), fo.Schedule(), backend="warp")


def test_environment_sets_the_backend(monkeypatch):
    monkeypatch.setenv("FOLIOT_BACKEND", "blocking")
    with fo.Scheduler(fo.World(), fo.Schedule()) as scheduler:
        assert scheduler.backend.requested == "blocking"


def test_argument_comes_before_the_environment(monkeypatch):
    monkeypatch.setenv("FOLIOT_BACKEND", "warp")
    with fo.Scheduler(fo.World(), fo.Schedule(), backend="blocking") as scheduler:
        assert scheduler.backend.requested == "blocking"


def test_bad_environment_is_named(monkeypatch):
    monkeypatch.setenv("FOLIOT_BACKEND", "warp")
    with pytest.raises(ValueError, match="FOLIOT_BACKEND is one of"):
        fo.Scheduler(fo.World(), fo.Schedule())
    monkeypatch.setenv("FOLIOT_BACKEND", "blocking")
    monkeypatch.setenv("FOLIOT_WORKERS", "many")
    with pytest.raises(ValueError, match="FOLIOT_WORKERS is a number"):
        fo.Scheduler(fo.World(), fo.Schedule())


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"workers": 0}, ValueError, "workers= is from 1"),
        ({"workers": True}, TypeError, "workers= is a whole number"),
        ({"errors": "ignore"}, ValueError, "errors= is 'raise', 'continue'"),
        ({"seed": -1}, ValueError, "seed= is from 0"),
        ({"seed": 1.5}, TypeError, "seed= is a whole number"),
        ({"clock": object()}, TypeError, "clock is None"),
        ({"backend": 3}, TypeError, "backend= is a name"),
    ],
)
def test_settings_are_checked(options, error, text):
    with pytest.raises(error, match=text):
        fo.Scheduler(fo.World(), fo.Schedule(), **options)


def test_numbers_of_numpy_are_numbers():
    with fo.Scheduler(
        fo.World(), fo.Schedule(), workers=np.int32(1), seed=np.uint64(7), clock=fo.VirtualClock()
    ) as scheduler:
        scheduler.tick(np.float32(0.5))
        scheduler.tick_n(np.int64(2), np.float64(0.5))
        assert scheduler.run(rate=np.float32(10), ticks=np.int16(2)).frames == 2


def test_world_and_schedule_are_checked():
    with pytest.raises(TypeError, match=r"runs a fo\.World"):
        fo.Scheduler(None, fo.Schedule())
    with pytest.raises(TypeError, match=r"runs a fo\.Schedule"):
        fo.Scheduler(fo.World(), [])


def test_closed_scheduler_says_so():
    scheduler = fo.Scheduler(fo.World(), fo.Schedule())
    scheduler.close()
    scheduler.close()
    assert scheduler.closed
    for use in (
        lambda: scheduler.tick(0.1),
        lambda: scheduler.tick_n(1, 0.1),
        lambda: scheduler.run(ticks=1),
        lambda: scheduler.stats,
        lambda: scheduler.backend,
        lambda: scheduler.costs(),
        lambda: scheduler.enable("a"),
        scheduler.__enter__,
    ):
        with pytest.raises(RuntimeError, match="the scheduler is closed"):
            use()


def test_failed_scheduler_is_closed():
    with pytest.raises(ValueError, match="warp"):
        fo.Scheduler(fo.World(), fo.Schedule(), backend="warp")
    gc.collect()


def test_system_cannot_close_its_scheduler():
    with fo.Scheduler(
        fo.World(), fo.Schedule(make("a", lambda ctx: scheduler.close()))
    ) as scheduler:
        with pytest.raises(fo.FrameError) as caught:
            scheduler.tick(0.1)
        assert isinstance(caught.value.exceptions[0], fo.WorldBusyError)
        assert not scheduler.closed


def test_system_cannot_tick_its_scheduler():
    with fo.Scheduler(
        fo.World(), fo.Schedule(make("a", lambda ctx: scheduler.tick(0.1)))
    ) as scheduler:
        with pytest.raises(fo.FrameError) as caught:
            scheduler.tick(0.1)
        assert isinstance(caught.value.exceptions[0], fo.WorldBusyError)


def test_system_may_tick_a_scheduler_of_another_world():
    world, entity = ball()
    with (
        fo.Scheduler(world, fo.Schedule(move)) as inner,
        fo.Scheduler(fo.World(), fo.Schedule(make("a", lambda ctx: inner.tick(1.0)))) as outer,
    ):
        outer.tick(0.1)
    assert world.get(entity, Position).value == 2.0


def test_structural_calls_on_the_world_are_refused_in_a_frame():
    world = fo.World()
    with fo.Scheduler(world, fo.Schedule(make("a", lambda ctx: world.spawn()))) as scheduler:
        with pytest.raises(fo.FrameError) as caught:
            scheduler.tick(0.1)
        assert isinstance(caught.value.exceptions[0], fo.WorldBusyError)
    world.spawn()


def test_disabled_system_does_not_run_until_enabled():
    world, entity = ball()
    with fo.Scheduler(world, fo.Schedule(move)) as scheduler:
        scheduler.disable("move")
        assert not scheduler.is_enabled(move)
        frame = scheduler.tick(1.0)
        assert frame.skipped_reasons == {"move": "disabled"}
        scheduler.enable(move)
        scheduler.tick(1.0)
    assert world.get(entity, Position).value == 2.0


def test_unknown_system_cannot_be_disabled():
    with (
        fo.Scheduler(fo.World(), fo.Schedule(move)) as scheduler,
        pytest.raises(fo.UnknownSystemError, match="did you mean `move`"),
    ):
        scheduler.disable("mov")


def test_condition_is_asked_every_frame_once():
    asked = []

    def is_even(ctx):
        asked.append(ctx.frame)
        return ctx.frame % 2 == 0

    ran = []
    system = make("a", lambda ctx: ran.append(ctx.frame), run_if=is_even)
    with fo.Scheduler(fo.World(), fo.Schedule(system)) as scheduler:
        scheduler.tick_n(4, 0.1)
        assert scheduler.tick(0.1).skipped == []
        assert scheduler.tick(0.1).skipped_reasons == {"a": "run_if said no"}
    assert asked == list(range(6))
    assert ran == [0, 2, 4]


def test_failing_condition_is_a_failure_of_its_system():
    def fail(ctx):
        raise LookupError("no")

    with (
        fo.Scheduler(fo.World(), fo.Schedule(make("a", run_if=fail))) as scheduler,
        pytest.raises(fo.FrameError, match="1 of 1 system failed"),
    ):
        scheduler.tick(0.1)


def test_phase_of_every_third_frame():
    ran = []
    schedule = fo.Schedule(
        make("a", lambda ctx: ran.append(ctx.frame), phase="slow"),
        phases=[fo.Phase("slow", every=3)],
    )
    with fo.Scheduler(fo.World(), schedule) as scheduler:
        scheduler.tick_n(7, 0.1)
        assert scheduler.tick(0.1).skipped_reasons == {"a": "its phase was not due"}
    assert ran == [0, 3, 6]


def test_phase_of_a_fixed_step_catches_up():
    seen = []
    schedule = fo.Schedule(
        make("a", lambda ctx: seen.append((ctx.frame, ctx.dt)), phase="fixed"),
        phases=[fo.Phase("fixed", step=0.25, max_steps=3)],
    )
    with fo.Scheduler(fo.World(), schedule) as scheduler:
        assert scheduler.tick(0.125).phase_steps == {"fixed": 0}
        assert scheduler.tick(0.5).phase_steps == {"fixed": 2}
        frame = scheduler.tick(2.0)
    assert seen == [(1, 0.25)] * 2 + [(2, 0.25)] * 3
    assert frame.dropped_steps == 5


def test_system_added_between_frames_runs_in_the_next():
    ran = []
    schedule = fo.Schedule(make("a", lambda ctx: ran.append("a")))
    with fo.Scheduler(fo.World(), schedule) as scheduler:
        scheduler.tick(0.1)
        assert scheduler.plan_changes is None
        schedule.add(make("b", lambda ctx: ran.append("b")))
        scheduler.tick(0.1)
        assert scheduler.plan_changes.added == ("b",)
        schedule.remove("a")
        scheduler.tick(0.1)
        assert scheduler.plan_changes.removed == ("a",)
    # Nothing orders the two of the second frame.
    assert [ran[:1], sorted(ran[1:3]), ran[3:]] == [["a"], ["a", "b"], ["b"]]


def test_system_added_by_a_system_runs_in_the_next_frame_of_the_batch():
    ran = []
    late = make("late", lambda ctx: ran.append(ctx.frame))

    def add(ctx):
        if ctx.frame == 1:
            schedule.add(late)

    schedule = fo.Schedule(make("add", add))
    with fo.Scheduler(fo.World(), schedule) as scheduler:
        scheduler.tick_n(4, 0.1)
    assert ran == [2, 3]


def test_disabled_system_stays_so_when_the_plan_changes():
    schedule = fo.Schedule(make("a"))
    with fo.Scheduler(fo.World(), schedule) as scheduler:
        scheduler.disable("a")
        schedule.add(make("b"))
        assert list(scheduler.tick(0.1).systems) == ["b"]


def test_failing_new_plan_raises_and_leaves_the_old_one():
    schedule = fo.Schedule(make("a"))
    with fo.Scheduler(fo.World(), schedule) as scheduler:
        plan = scheduler.plan
        schedule.add(make("b", before="c"))
        with pytest.raises(fo.UnknownSystemError):
            scheduler.tick(0.1)
        assert scheduler.plan is plan
        assert scheduler.frame == 0
        schedule.remove("b")
        assert list(scheduler.tick(0.1).systems) == ["a"]


def test_schedule_with_too_many_systems_names_the_setting():
    world = fo.World(fo.Config(max_systems=1))
    with pytest.raises(fo.CapacityError, match="max_systems"):
        fo.Scheduler(world, fo.Schedule(make("a"), make("b")))


def test_world_with_too_few_components_names_the_setting():
    world = fo.World(fo.Config(max_components=1))
    with pytest.raises(fo.CapacityError, match="max_components"):
        fo.Scheduler(world, fo.Schedule(move))
    world.spawn(Position(1.0))


def test_query_of_too_many_columns_is_refused():
    wide = [fo.component(f"Wide{i}", {f"f{j}": "f4" for j in range(60)}) for i in range(5)]
    with pytest.raises(ValueError, match="more than 256 columns"):
        fo.Scheduler(fo.World(), fo.Schedule(make("a", reads=wide)))


def test_stats_count_frames_and_systems():
    with fo.Scheduler(fo.World(), fo.Schedule(make("a"), make("b"))) as scheduler:
        scheduler.disable("b")
        scheduler.tick_n(3, 0.1)
        assert scheduler.stats.frames == 3
        assert scheduler.stats.systems_run == 3
        assert scheduler.workers[0].worker == 0
        assert scheduler.workers[0].tasks == 3


def test_costs_are_known_for_every_system():
    with fo.Scheduler(fo.World(), fo.Schedule(make("a"), make("b"))) as scheduler:
        scheduler.disable("b")
        scheduler.tick(0.1)
        costs = scheduler.costs()
        assert costs["a"] > 0
        assert costs["b"] == 0.0
        assert scheduler.plan.critical_path(costs)[0] > 0


def test_scheduler_in_a_cycle_is_collected():
    class Owner:
        pass

    world = fo.World()
    owner = Owner()
    owner.scheduler = fo.Scheduler(world, fo.Schedule(make("a", owner.__eq__)))
    owner.scheduler.tick(0.1)
    gone = weakref.ref(owner.scheduler)
    del owner
    gc.collect()
    assert gone() is None
    world.spawn()


def test_scheduler_and_its_world_in_a_cycle_are_collected():
    world = fo.World()
    Note = fo.component("Note", object)
    scheduler = fo.Scheduler(world, fo.Schedule(make("a", writes=Note)))
    world.spawn(Note(scheduler))
    scheduler.tick(0.1)
    gone = weakref.ref(scheduler)
    del world, scheduler
    gc.collect()
    assert gone() is None


def test_scheduler_dropped_in_a_frame_of_another_one_leaves_the_world_whole():
    world, entity = ball()

    def drop(ctx):
        others.clear()
        gc.collect()

    others = [fo.Scheduler(world, fo.Schedule(move))]
    with fo.Scheduler(world, fo.Schedule(make("drop", drop), move)) as scheduler:
        scheduler.tick(1.0)
        scheduler.tick(1.0)
    assert world.get(entity, Position).value == 4.0


def test_two_schedulers_share_a_world_in_turn():
    world, entity = ball()
    with (
        fo.Scheduler(world, fo.Schedule(move)) as one,
        fo.Scheduler(world, fo.Schedule(move)) as two,
    ):
        one.tick(1.0)
        two.tick(1.0)
    assert world.get(entity, Position).value == 4.0
