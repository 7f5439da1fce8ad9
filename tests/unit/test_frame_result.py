"""What a frame tells, and the three policies for errors."""

import foliot as fo
import pytest

Position = fo.component("Position", "f8")


def make(name, function=lambda ctx: None, **options):
    return fo.system(name=name, **options)(function)


def fail(ctx):
    raise LookupError(f"frame {ctx.frame}")


def test_result_has_times_of_systems_phases_and_stages():
    schedule = fo.Schedule(
        make("a", writes=Position), make("b", reads=Position), make("c", phase="last")
    )
    with fo.Scheduler(fo.World(), schedule) as scheduler:
        frame = scheduler.tick(0.25)
    assert (frame.frame, frame.dt, frame.time) == (0, 0.25, 0.0)
    assert list(frame.systems) == ["a", "b", "c"]
    assert all(isinstance(timing, fo.SystemTiming) for timing in frame.systems.values())
    assert list(frame.phases) == ["first", "update", "last"]
    assert {phase: len(stages) for phase, stages in frame.stages.items()} == {
        "first": 0,
        "update": 2,
        "last": 1,
    }
    assert frame.stages["update"][0] == frame.systems["a"].wall_ns
    assert frame.wall_ns > 0
    assert frame.cpu_ns > 0


def test_result_counts_rows_and_tasks():
    world = fo.World()
    world.spawn_many(10, {Position: 0.0})

    def twice(ctx):
        for _ in range(2):
            for _chunk in ctx:
                pass

    with fo.Scheduler(world, fo.Schedule(make("a", twice, reads=Position))) as scheduler:
        timing = scheduler.tick(0.1).systems["a"]
    assert (timing.rows, timing.tasks, timing.worker) == (20, 1, 0)


def test_result_outlives_its_scheduler_and_later_frames():
    with fo.Scheduler(fo.World(), fo.Schedule(make("a"))) as scheduler:
        first = scheduler.tick(0.1)
        scheduler.tick(0.2)
    assert (first.frame, first.dt, list(first.systems)) == (0, 0.1, ["a"])
    assert repr(first).startswith("<FrameResult 0: 1 of 1 systems, 0 errors")


def test_result_keeps_the_names_of_the_plan_that_ran():
    schedule = fo.Schedule(make("a"))
    with fo.Scheduler(fo.World(), schedule) as scheduler:
        first = scheduler.tick(0.1)
        schedule.remove("a")
        schedule.add(make("b"), make("c"))
        second = scheduler.tick(0.1)
    assert list(first.systems) == ["a"]
    assert list(second.systems) == ["b", "c"]


def test_failures_are_raised_together_after_the_other_systems():
    ran = []
    schedule = fo.Schedule(
        make("a", fail), make("b", lambda ctx: ran.append("b")), make("c", fail, phase="last")
    )
    with fo.Scheduler(fo.World(), schedule) as scheduler:
        with pytest.raises(fo.FrameError, match="2 of 3 systems failed in frame 0") as caught:
            scheduler.tick(0.1)
        assert ran == ["b"]
        assert scheduler.frame == 1
    error = caught.value
    assert isinstance(error, ExceptionGroup)
    assert [item.__notes__ for item in error.exceptions] == [
        ["in system `a`, frame 0"],
        ["in system `c`, frame 0"],
    ]
    assert error.frame_result.frame == 0
    assert error.frame_result.errors == list(error.exceptions)


def test_failures_keep_their_tracebacks():
    with fo.Scheduler(fo.World(), fo.Schedule(make("a", fail))) as scheduler:
        with pytest.raises(fo.FrameError) as caught:
            scheduler.tick(0.1)
        traceback = caught.value.exceptions[0].__traceback__
        assert traceback.tb_frame.f_code is fail.__code__


def test_failures_can_be_split_by_kind():
    caught = []
    with fo.Scheduler(fo.World(), fo.Schedule(make("a", fail))) as scheduler:
        try:
            scheduler.tick(0.1)
        except* LookupError as group:
            caught.append(group)
    assert isinstance(caught[0], fo.FrameError)


def test_batch_stops_at_the_first_failing_frame():
    def fail_late(ctx):
        if ctx.frame == 2:
            raise LookupError

    with fo.Scheduler(fo.World(), fo.Schedule(make("a", fail_late))) as scheduler:
        with pytest.raises(fo.FrameError, match="frame 2"):
            scheduler.tick_n(10, 0.1)
        assert scheduler.frame == 3
        scheduler.tick(0.1)


def test_failures_may_be_recorded_instead():
    with fo.Scheduler(fo.World(), fo.Schedule(make("a", fail)), errors="continue") as scheduler:
        frame = scheduler.tick(0.1)
        (error,) = frame.errors
        assert str(error) == "frame 0"
        assert frame.quarantined == []
        assert "a" in frame.systems


def test_recorded_failures_of_a_batch_are_all_told():
    with fo.Scheduler(fo.World(), fo.Schedule(make("a", fail)), errors="continue") as scheduler:
        frame = scheduler.tick_n(3, 0.1)
        assert [str(error) for error in frame.errors] == ["frame 0", "frame 1", "frame 2"]
        assert scheduler.stats.systems_failed == 3


def test_system_that_fails_too_often_is_quarantined():
    schedule = fo.Schedule(make("a", fail), make("b"))
    with fo.Scheduler(fo.World(), schedule, errors=fo.quarantine(after=2)) as scheduler:
        assert scheduler.tick(0.1).quarantined == []
        assert scheduler.tick(0.1).quarantined == ["a"]
        frame = scheduler.tick(0.1)
        assert frame.skipped_reasons == {"a": "quarantined"}
        assert frame.errors == []
        assert not scheduler.is_enabled("a")
        scheduler.enable("a")
        assert len(scheduler.tick(0.1).errors) == 1


@pytest.mark.parametrize(("after", "error"), [(0, ValueError), (1.5, TypeError), (True, TypeError)])
def test_quarantine_takes_a_number_of_failures(after, error):
    with pytest.raises(error, match="after"):
        fo.quarantine(after=after)


def test_quarantine_is_three_failures_by_default():
    assert fo.quarantine() == fo.Quarantine(3)


def test_same_exception_object_raised_by_two_systems_is_told_twice():
    error = LookupError("shared")

    def fail_shared(ctx):
        raise error

    schedule = fo.Schedule(make("a", fail_shared), make("b", fail_shared))
    with (
        fo.Scheduler(fo.World(), schedule) as scheduler,
        pytest.raises(fo.FrameError) as caught,
    ):
        scheduler.tick(0.1)
    assert len(caught.value.exceptions) == 2


def test_failing_fixed_step_phase_tells_each_failure_once():
    schedule = fo.Schedule(make("a", fail, phase="fixed"), phases=[fo.Phase("fixed", step=0.1)])
    with fo.Scheduler(fo.World(), schedule, errors="continue") as scheduler:
        assert len(scheduler.tick(0.35).errors) == 1


def test_result_is_not_made_by_hand():
    with pytest.raises(TypeError):
        fo.FrameResult()
