"""What ends a frame on workers: exceptions, exits, Ctrl-C, and systems that never return."""

import contextlib
import signal
import sys
import threading
import traceback

import foliot as fo
import pytest

Mass = fo.component("Mass", "f8")


@contextlib.contextmanager
def on_alarm(handler):
    """What the signal of ``arm`` does until the block ends."""
    old = signal.signal(signal.SIGALRM, handler)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)


def arm(seconds=0.02, every=5.0):
    """Have the process signalled, once or again and again: when a system knows it is time.

    Again only when the first must have been dropped: it would hit whoever is at work on what that
    one raised.
    """
    signal.setitimer(signal.ITIMER_REAL, seconds, every)


def interrupt(*_):
    raise KeyboardInterrupt


def make(name, function=lambda ctx: None, **options):
    return fo.system(name=name, **options)(function)


def loop_for_ever(ctx):
    count = 0
    while True:
        count += 1


def loop_until_signalled(ctx):
    arm()
    loop_for_ever(ctx)


def fail(ctx):
    raise LookupError("there")


def names_in(error):
    return [frame.name for frame in traceback.extract_tb(error.__traceback__)]


def test_exception_on_a_helper_comes_out_with_its_system_and_its_traceback(
    parallel_backend, meeting
):
    with pytest.raises(fo.FrameError) as raised:
        meeting(fail).frame(parallel_backend)
    (error,) = raised.value.exceptions
    assert isinstance(error, LookupError)
    assert error.__notes__ in (
        ["in system `left`, frame 0"],
        ["in system `right`, frame 0"],
    )
    assert names_in(error)[-1] == "fail"


def test_exceptions_of_two_workers_come_in_the_order_of_the_systems(parallel_backend, meeting):
    for _ in range(10):
        with pytest.raises(fo.FrameError) as raised:
            meeting(fail, fail).frame(parallel_backend)
        assert [error.__notes__ for error in raised.value.exceptions] == [
            ["in system `left`, frame 0"],
            ["in system `right`, frame 0"],
        ]


def test_errors_on_helpers_are_recorded_where_frames_go_on(parallel_backend, meeting):
    frame = meeting(fail, fail).frame(parallel_backend, errors="continue")
    assert [str(error) for error in frame.errors] == ["there", "there"]


def test_system_that_fails_on_a_helper_is_quarantined(parallel_backend, meeting):
    frame = meeting(fail, fail).frame(parallel_backend, errors=fo.quarantine(after=1))
    assert sorted(frame.quarantined) == ["left", "right"]


def test_commands_of_a_system_that_fails_on_a_helper_are_lost(parallel_backend, meeting):
    def spawn_and_fail(ctx):
        ctx.commands.spawn(Mass(1.0))
        raise LookupError

    world = fo.World()
    both = meeting(spawn_and_fail, lambda ctx: ctx.commands.spawn(Mass(2.0)), commands=True)
    with pytest.raises(fo.FrameError):
        both.frame(parallel_backend, world)
    masses = [value for chunk in world.query(reads=Mass) for value in chunk[Mass].tolist()]
    assert masses == [2.0]


def leave(ctx):
    raise SystemExit(7)


def test_exit_on_a_helper_is_raised_by_the_driver(parallel_backend, meeting):
    with pytest.raises(SystemExit) as raised:
        meeting(leave).frame(parallel_backend)
    assert raised.value.code == 7
    assert "in system" in raised.value.__notes__[0]


def test_interrupt_on_a_helper_is_raised_by_the_driver(parallel_backend, meeting):
    with pytest.raises(KeyboardInterrupt):
        meeting(interrupt).frame(parallel_backend)


def test_failure_beside_an_exit_hangs_on_it(parallel_backend, meeting):
    failed = threading.Event()

    def wait_and_leave(ctx):
        assert failed.wait(60)
        raise SystemExit(7)

    def fail_first(ctx):
        failed.set()
        raise LookupError("here")

    with pytest.raises(SystemExit) as raised:
        meeting(wait_and_leave, fail_first).frame(parallel_backend)
    context = raised.value.__context__
    assert isinstance(context, fo.FrameError)
    assert [str(error) for error in context.exceptions] == ["here"]


def test_signal_stops_a_system_that_never_returns(backend):
    schedule = fo.Schedule(make("loop", loop_until_signalled))
    with (
        fo.Scheduler(fo.World(), schedule, backend=backend, workers=2) as scheduler,
        on_alarm(interrupt),
        pytest.raises(KeyboardInterrupt),
    ):
        scheduler.tick(0.1)


def test_signal_stops_a_helper_that_never_returns_while_the_driver_waits(parallel_backend, meeting):
    both = meeting(loop_until_signalled)
    with on_alarm(interrupt), pytest.raises(KeyboardInterrupt) as raised:
        both.frame(parallel_backend)
    # What the helper was doing hangs on the interrupt.
    there = raised.value.__context__
    assert isinstance(there, KeyboardInterrupt)
    assert names_in(there)[-1] == "loop_for_ever"
    assert "in system" in there.__notes__[0]


def test_signal_stops_a_helper_while_the_driver_runs_a_system(parallel_backend, meeting):
    both = meeting(loop_until_signalled, loop_until_signalled)
    with on_alarm(interrupt), pytest.raises(KeyboardInterrupt):
        both.frame(parallel_backend)


def test_exit_of_the_driver_stops_a_helper(parallel_backend, meeting):
    with pytest.raises(SystemExit):
        meeting(loop_for_ever, leave).frame(parallel_backend)


def test_exit_of_a_helper_stops_the_driver(parallel_backend, meeting):
    with pytest.raises(SystemExit):
        meeting(leave, loop_for_ever).frame(parallel_backend)


def test_signal_handler_that_raises_something_else_stops_a_helper(parallel_backend, meeting):
    class Late(Exception):
        pass

    def late(*_):
        raise Late

    with on_alarm(late), pytest.raises(Late):
        meeting(loop_until_signalled).frame(parallel_backend)


def test_signal_handler_that_raises_nothing_lets_a_helper_go_on(parallel_backend, meeting):
    seen = threading.Event()

    def wait(ctx):
        arm()
        assert seen.wait(60)

    with on_alarm(lambda *_: seen.set()):
        meeting(wait).frame(parallel_backend)


def test_second_signal_stops_a_helper_that_took_no_notice_of_the_first(parallel_backend, meeting):
    ignored = []

    def ignore_once(ctx):
        arm(every=0.2)
        while True:
            try:
                loop_for_ever(ctx)
            except KeyboardInterrupt:
                ignored.append(1)
                if len(ignored) == 2:
                    signal.setitimer(signal.ITIMER_REAL, 0)
                    raise

    with on_alarm(interrupt), pytest.raises(KeyboardInterrupt):
        meeting(ignore_once).frame(parallel_backend)
    assert len(ignored) == 2


def test_world_and_scheduler_work_after_a_helper_was_stopped(parallel_backend, meeting):
    world = fo.World()
    with on_alarm(interrupt), pytest.raises(KeyboardInterrupt):
        meeting(loop_until_signalled).frame(parallel_backend, world)
    world.spawn(Mass(1.0))
    meeting(lambda ctx: None).frame(parallel_backend, world)


def test_stop_that_comes_too_late_reaches_nobody_else(parallel_backend, meeting):
    """Systems that end as they are stopped: the interrupt must not come out anywhere else."""

    def work(ctx):
        if threading.get_ident() != both.driver:
            arm(delay, every=0.0)
        for _ in range(200):
            sum(range(50))

    both = meeting(work, work)
    with on_alarm(interrupt):
        for step in range(100):
            delay = 1e-4 + step * 2e-5
            with both.scheduler(parallel_backend) as scheduler:
                try:
                    scheduler.tick(0.1)
                    signal.setitimer(signal.ITIMER_REAL, 0)
                    # What has come by now is handled here.
                    sum(range(1000))
                except KeyboardInterrupt:
                    both.barrier.reset()
            # No signal is under way any more: nothing may be stopped now.
            delay = 1e3
            both.frame(parallel_backend)


def test_scheduler_that_dies_runs_no_python_code_in_which_a_stop_gets_lost():
    """The collector may come by in a system that is being stopped."""
    schedule = fo.Schedule(make("loop"))
    calls = []
    for _ in range(20):
        scheduler = fo.Scheduler(fo.World(), schedule)
        scheduler.close()
        sys.setprofile(lambda frame, event, argument: calls.append(event))
        del scheduler
        sys.setprofile(None)
    assert set(calls) == {"c_call"}
    assert list(schedule._schedulers) == []


def test_frames_in_another_thread_leave_signals_to_the_main_one(parallel_backend, meeting):
    begun, ended = threading.Event(), threading.Event()

    def wait(ctx):
        begun.set()
        assert ended.wait(60)

    both = meeting(wait, wait)
    results = []
    thread = threading.Thread(target=lambda: results.append(both.frame(parallel_backend)))
    thread.start()
    begun.wait()
    with on_alarm(interrupt):
        arm(every=0.0)
        with pytest.raises(KeyboardInterrupt):
            threading.Event().wait(60)
    ended.set()
    thread.join()
    assert len(results) == 1
