"""Frames at a fixed rate, on a virtual clock: when they begin, what is late, what ends a run."""

import sys
import threading
import types

import foliot as fo
import pytest


def make(name, function=lambda ctx: None, **options):
    return fo.system(name=name, **options)(function)


def timed(function=lambda ctx: None):
    """A scheduler on a virtual clock, and the clock."""
    clock = fo.VirtualClock()
    return fo.Scheduler(fo.World(), fo.Schedule(make("a", function)), clock=clock), clock


def test_frames_begin_on_a_grid():
    begun = []
    scheduler, clock = timed(lambda ctx: begun.append(clock.now))
    with scheduler:
        report = scheduler.run(rate=4, ticks=4)
    assert begun == [0.0, 0.25, 0.5, 0.75]
    assert (report.frames, report.late_frames, report.dropped_frames) == (4, 0, 0)
    assert report.seconds == 0.75
    assert report.stopped_by == "ticks"
    assert report.last.frame == 3


def test_every_frame_advances_one_period():
    seen = []
    scheduler, _ = timed(lambda ctx: seen.append(ctx.dt))
    with scheduler:
        scheduler.run(rate=8, ticks=2)
    assert seen == [0.125, 0.125]


def test_late_frames_are_caught_up_with():
    def stall(ctx):
        if ctx.frame == 0:
            clock.advance(0.35)

    scheduler, clock = timed(stall)
    with scheduler:
        report = scheduler.run(rate=10, ticks=6)
    assert report.frames == 6
    assert report.dropped_frames == 0
    assert report.late_frames == 2
    assert report.max_lateness == pytest.approx(0.25)
    assert clock.now == pytest.approx(0.5)


def test_what_cannot_be_caught_up_with_is_dropped_and_counted():
    def stall(ctx):
        if ctx.frame == 0:
            clock.advance(10.0)

    scheduler, clock = timed(stall)
    with scheduler:
        report = scheduler.run(rate=10, ticks=10)
    assert report.frames == 10
    assert report.dropped_frames > 90
    assert clock.now < 10.6


def test_run_without_a_rate_goes_by_the_clock():
    seen = []

    def work(ctx):
        seen.append(ctx.dt)
        clock.advance(0.5)

    scheduler, clock = timed(work)
    with scheduler:
        scheduler.run(rate=None, ticks=3)
    assert seen == [0.0, 0.5, 0.5]


def test_run_without_a_rate_keeps_dt_in_bounds():
    seen = []

    def work(ctx):
        seen.append(ctx.dt)
        clock.advance(5000.0)

    scheduler, clock = timed(work)
    with scheduler:
        scheduler.run(rate=None, ticks=2)
    assert seen == [0.0, 1000.0]


def test_function_ends_a_run():
    ran = []
    scheduler, _ = timed(lambda ctx: ran.append(ctx.frame))
    with scheduler:
        report = scheduler.run(rate=10, until=lambda: len(ran) == 3)
    assert report.frames == 3
    assert report.stopped_by == "until"


def test_event_ends_a_run():
    event = threading.Event()
    scheduler, _ = timed(lambda ctx: event.set())
    with scheduler:
        report = scheduler.run(rate=10, until=event)
    assert (report.frames, report.stopped_by) == (1, "until")


def test_event_of_another_thread_ends_a_run_that_waits():
    event = threading.Event()
    begun = threading.Event()

    def stop():
        begun.wait()
        event.set()

    thread = threading.Thread(target=stop)
    thread.start()
    with fo.Scheduler(fo.World(), fo.Schedule(make("a", lambda ctx: begun.set()))) as scheduler:
        # The next frame is minutes away; the run ends because the event is looked at meanwhile.
        report = scheduler.run(rate=0.001, until=event)
    thread.join()
    assert (report.frames, report.stopped_by) == (1, "until")


def test_event_that_is_set_already_gives_no_frame():
    event = threading.Event()
    event.set()
    scheduler, _ = timed()
    with scheduler:
        report = scheduler.run(until=event)
    assert report.frames == 0
    assert report.last is None


def test_no_ticks_give_no_frame():
    scheduler, _ = timed()
    with scheduler:
        assert scheduler.run(ticks=0).frames == 0


def test_failing_function_ends_a_run():
    def until():
        raise LookupError("no")

    scheduler, _ = timed()
    with scheduler, pytest.raises(LookupError):
        scheduler.run(until=until)


def test_failing_system_ends_a_run():
    def fail(ctx):
        if ctx.frame == 2:
            raise LookupError

    scheduler, _ = timed(fail)
    with scheduler:
        with pytest.raises(fo.FrameError, match="frame 2"):
            scheduler.run(rate=10)
        assert scheduler.frame == 3


def test_recorded_failures_of_a_run_are_all_told():
    def fail(ctx):
        raise LookupError

    scheduler = fo.Scheduler(
        fo.World(), fo.Schedule(make("a", fail)), errors="continue", clock=fo.VirtualClock()
    )
    with scheduler:
        assert len(scheduler.run(rate=10, ticks=5).last.errors) == 5


def test_schedule_edited_in_a_run_takes_effect():
    ran = []
    late = make("late", lambda ctx: ran.append(ctx.frame))

    def edit(ctx):
        if ctx.frame == 1:
            schedule.add(late)

    schedule = fo.Schedule(make("edit", edit))
    with fo.Scheduler(fo.World(), schedule, clock=fo.VirtualClock()) as scheduler:
        scheduler.run(rate=10, ticks=4)
    assert ran == [2, 3]


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"rate": 0}, ValueError, "rate= is from"),
        ({"rate": -1}, ValueError, "rate= is from"),
        ({"rate": float("nan")}, ValueError, "rate= is from"),
        ({"rate": "fast"}, TypeError, "rate= is a number"),
        ({"ticks": -1}, ValueError, "ticks= is from 0 to 2147483647"),
        ({"ticks": 2**31}, ValueError, r"ticks= is from"),
        ({"ticks": 1.5}, TypeError, "ticks= is a whole number"),
        ({"until": 3}, TypeError, "until= is a threading.Event"),
    ],
)
def test_arguments_of_a_run_are_checked(options, error, text):
    scheduler, _ = timed()
    with scheduler, pytest.raises(error, match=text):
        scheduler.run(**options)


def test_period_longer_than_the_longest_frame_is_refused():
    scheduler, _ = timed()
    with scheduler, pytest.raises(ValueError, match=r"makes frames of .* longer than"):
        scheduler.run(rate=1e-5, ticks=1)


def test_progress_is_shown_frame_by_frame(monkeypatch):
    steps = []

    class Bar:
        def __init__(self, total, unit):
            steps.append(total)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            steps.append("closed")

        def update(self):
            steps.append("step")

    monkeypatch.setitem(sys.modules, "tqdm", types.SimpleNamespace(tqdm=Bar))
    scheduler, _ = timed()
    with scheduler:
        scheduler.run(rate=10, ticks=2, progress=True)
    assert steps == [2, "step", "step", "closed"]


def test_progress_without_tqdm_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    scheduler, _ = timed()
    with scheduler, pytest.raises(ImportError, match=r"foliot\[progress\]"):
        scheduler.run(ticks=1, progress=True)
