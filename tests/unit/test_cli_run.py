"""Pacing and the summary of ``run``, without a clock."""

import foliot as fo
import pytest
from foliot._run import MAX_CATCH_UP, Drive, Pace, Times, failures, in_units


def drive_of(*systems, ticks=3, rate=0.0):
    world = fo.World()
    with fo.Scheduler(world, fo.Schedule(*systems), backend="blocking") as scheduler:
        drive = Drive(scheduler, rate, ticks)
        drive.run()
        return drive, drive.summary()


def failing(raise_it, **options):
    def fail(ctx):
        raise_it(ctx)

    return fo.system(fail, name="fail", **options)


def fault(error):
    def raise_it(_ctx):
        raise error

    return raise_it


def test_frame_on_time_moves_the_deadline_by_one_period():
    pace = Pace(period=2.0, next=10.0)
    pace.take(10.0)
    assert (pace.next, pace.late, pace.dropped, pace.largest) == (12.0, 0, 0, 0.0)


def test_frame_less_than_a_period_late_is_not_called_late():
    pace = Pace(period=2.0, next=10.0)
    pace.take(11.0)
    assert (pace.next, pace.late, pace.largest) == (12.0, 0, 1.0)


def test_late_frames_are_caught_up_with():
    pace = Pace(period=2.0, next=10.0)
    pace.take(10.0 + 2.0 * MAX_CATCH_UP)
    assert (pace.next, pace.late, pace.dropped) == (12.0, 1, 0)


def test_deadlines_beyond_the_catch_up_are_dropped():
    pace = Pace(period=2.0, next=10.0)
    pace.take(10.0 + 2.0 * (MAX_CATCH_UP + 3) + 0.5)
    assert (pace.next, pace.late, pace.dropped) == (18.0, 1, 3)


def test_lateness_is_summed_and_the_largest_kept():
    pace = Pace(period=2.0, next=0.0)
    for now in (0.5, 2.25, 4.0):
        pace.take(now)
    assert (pace.total, pace.largest) == (0.75, 0.5)


def test_without_a_period_nothing_waits():
    pace = Pace(period=0.0, next=1e18)
    pace.wait()
    assert pace.late == 0


def test_summary_names_systems_in_the_order_of_the_plan():
    second = fo.system(lambda ctx: None, name="second")
    first = fo.system(lambda ctx: None, name="first", before=[second])
    _, summary = drive_of(second, first)
    assert summary.index("\nfirst ") < summary.index("\nsecond ")


def test_system_that_never_ran_has_no_line():
    idle = fo.system(lambda ctx: None, name="idle", run_if=lambda ctx: False)
    drive, summary = drive_of(idle)
    assert drive.times.frames == 3
    assert "idle" not in summary


def test_summary_of_a_schedule_without_systems_is_whole():
    _, summary = drive_of()
    assert summary.startswith("frames    3 in ")
    assert "between systems" in summary


def test_summary_tells_the_fallback():
    with fo.Scheduler(fo.World(), fo.Schedule(), backend="blocking") as scheduler:
        assert "backend   blocking\n" in Drive(scheduler, 0.0, 0).summary()


def test_frames_of_a_rate_advance_one_period():
    steps = []
    watch = fo.system(lambda ctx: steps.append(ctx.dt), name="watch")
    drive_of(watch, ticks=2, rate=1e6)
    drive_of(watch, ticks=1, rate=0.0)
    assert steps == [1e-6, 1e-6, 1 / 60]


def test_interrupt_ends_the_run_and_keeps_its_times():
    def stop(ctx):
        if ctx.frame == 2:
            raise KeyboardInterrupt

    drive, summary = drive_of(fo.system(stop, name="stop"), ticks=None)
    assert drive.was_interrupted
    assert summary.startswith("frames    2 in ")


def test_failure_is_told_with_system_frame_and_place():
    drive, _ = drive_of(failing(fault(ValueError("two\nlines"))))
    [line] = failures(drive.failure)
    assert line.startswith("in system `fail`, frame 0: ValueError: two lines (")
    assert "test_cli_run.py, line " in line


def test_failure_in_a_command_is_told():
    def command(ctx):
        ctx.commands.call(lambda world: 1 / 0)

    drive, _ = drive_of(fo.system(command, name="command", commands=True))
    [line] = failures(drive.failure)
    assert line.startswith("in a command of system `command`, frame 0: ZeroDivisionError")


def test_each_system_that_failed_has_a_line():
    systems = [fo.system(fault(KeyError(name)), name=name) for name in ("one", "two")]
    drive, _ = drive_of(*systems)
    assert [line.partition(":")[0] for line in failures(drive.failure)] == [
        "in system `one`, frame 0",
        "in system `two`, frame 0",
    ]


def test_error_without_a_message_is_told_by_its_type():
    drive, _ = drive_of(failing(fault(RuntimeError())))
    [line] = failures(drive.failure)
    assert line.startswith("in system `fail`, frame 0: RuntimeError (")


def test_times_of_no_frames_make_lines():
    assert Times().row("merges", 0) == "merges" + " " * 21 + "     0.0 us" + "    0.0%"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0.0 us"), (9.994e-4, "999.4 us"), (1e-3, "1.0 ms"), (1.5, "1.5 s"), (90.0, "90.0 s")],
)
def test_times_have_the_unit_that_suits_them(seconds, text):
    assert in_units(seconds) == text
