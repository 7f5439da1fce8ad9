"""A scheduler that waits in silence sleeps, and every signal still ends its wait at once."""

import _thread
import os
import resource
import signal
import threading
from contextlib import contextmanager

import foliot as fo
import pytest
from support import alarm, in_child, interrupt, run_together

# Several times as long as the slice that a wait begins with, in seconds.
SILENCE = 0.6
# The slice, the silence, and what is left of it where the kernel may be late.
WAKE_UPS = 3
# A ring that was closed a moment ago, to see whether there are any, may interrupt a wait.
SETTLING = 0.05
# What ends a wait comes after its first slice.
LATER = 0.2
# A wait that only its end should end.
LONG = 1000.0


class Signalled(Exception):
    """What handlers of these tests raise."""


def raise_signalled(*_):
    raise Signalled


@pytest.fixture
def waiting(engine, pipe):
    """A scheduler with an operation in flight that nobody ends but the test."""
    kept = []

    def read(ctx):
        if not kept:
            kept.append(ctx.io.read(pipe[0], 1, None, wait="none"))

    with engine.scheduler(fo.system(io=True)(read)) as scheduler:
        scheduler.tick(0.1)
        yield scheduler
        os.write(pipe[1], b"x")


@contextmanager
def handling(number, handler):
    old = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, old)


@contextmanager
def meanwhile(function):
    """Another thread calls the function while this one waits in silence."""
    timer = threading.Timer(LATER, function)
    timer.start()
    try:
        yield
    finally:
        timer.join()


def wake_ups(function):
    before = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
    function()
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw - before


def check_sleeps(prepare):
    """In a child, where the rings of other tests are not closed meanwhile."""

    def check():
        with prepare() as wait:
            count = wake_ups(wait)
        assert count <= WAKE_UPS, count

    in_child(check)


@contextmanager
def wait_for(engine, ask):
    """What waits between frames for an operation that does not end."""
    with engine.scheduler(fo.system(io=True)(ask)) as scheduler:
        scheduler.tick(0.1)
        scheduler.wait(SETTLING)
        yield lambda: scheduler.wait(SILENCE)


def test_main_thread_that_waits_sleeps(engine, pipe):
    check_sleeps(lambda: wait_for(engine, lambda ctx: ctx.io.read(pipe[0], 1, None, wait="none")))


def test_other_thread_that_waits_sleeps(engine, pipe):
    def check():
        counts = []

        def drive():
            with wait_for(engine, lambda ctx: ctx.io.read(pipe[0], 1, None, wait="none")) as wait:
                counts.append(wake_ups(wait))

        run_together(drive)
        assert counts[0] <= WAKE_UPS, counts

    in_child(check)


def test_wait_for_a_timer_alone_sleeps(engine):
    check_sleeps(lambda: wait_for(engine, lambda ctx: ctx.io.timeout(LONG, wait="none")))


def test_frame_that_waits_for_a_timer_sleeps(engine):
    @contextmanager
    def prepare():
        seconds = iter((SETTLING, SILENCE))
        timer = fo.system(io=True)(lambda ctx: ctx.io.timeout(next(seconds)))
        with engine.scheduler(timer) as scheduler:
            scheduler.tick(0.1)
            yield lambda: scheduler.tick(0.1)

    check_sleeps(prepare)


def test_run_that_waits_for_its_next_frame_sleeps():
    @contextmanager
    def prepare():
        with fo.Scheduler(fo.World(), fo.Schedule(), backend="blocking") as scheduler:
            yield lambda: scheduler.run(rate=1 / SILENCE, ticks=2)

    check_sleeps(prepare)


def test_run_asks_whether_to_stop_while_it_waits():
    stop = threading.Event()
    with (
        fo.Scheduler(fo.World(), fo.Schedule()) as scheduler,
        meanwhile(stop.set),
    ):
        assert scheduler.run(rate=1 / LONG, until=stop).stopped_by == "until"


def test_signal_ends_a_silent_wait(waiting):
    with alarm(raise_signalled, LATER), pytest.raises(Signalled):
        waiting.wait(LONG)


def test_signal_ends_a_silent_run():
    with (
        fo.Scheduler(fo.World(), fo.Schedule()) as scheduler,
        alarm(interrupt, LATER),
        pytest.raises(KeyboardInterrupt),
    ):
        scheduler.run(rate=1 / LONG)


def test_signal_ends_a_frame_that_waits_in_silence(engine, pipe):
    read = fo.system(io=True)(lambda ctx: ctx.io.read(pipe[0], 1, None))
    with (
        engine.scheduler(read) as scheduler,
        alarm(interrupt, LATER),
        pytest.raises(KeyboardInterrupt),
    ):
        scheduler.tick(0.1)


def test_signal_that_another_thread_takes_ends_a_silent_wait(waiting):
    with (
        handling(signal.SIGUSR1, raise_signalled),
        meanwhile(lambda: signal.raise_signal(signal.SIGUSR1)),
        pytest.raises(Signalled),
    ):
        waiting.wait(LONG)


def test_interrupt_of_the_main_thread_ends_a_silent_wait(waiting):
    with meanwhile(_thread.interrupt_main), pytest.raises(KeyboardInterrupt):
        waiting.wait(LONG)


def test_interrupt_of_the_main_thread_ends_a_silent_run():
    with (
        fo.Scheduler(fo.World(), fo.Schedule()) as scheduler,
        meanwhile(_thread.interrupt_main),
        pytest.raises(KeyboardInterrupt),
    ):
        scheduler.run(rate=1 / LONG)


def test_handler_that_raises_nothing_lets_a_silent_wait_go_on(waiting, pipe):
    ran = []

    def handle(*_):
        ran.append(1)
        if len(ran) == 3:
            os.write(pipe[1], b"x")

    with alarm(handle, LATER):
        assert waiting.wait(LONG) is True
    assert len(ran) >= 3


def test_wakeup_descriptor_of_the_program_gets_what_came_and_stays(waiting):
    reader, writer = os.pipe2(os.O_NONBLOCK)
    try:
        signal.set_wakeup_fd(writer)
        with alarm(raise_signalled, LATER), pytest.raises(Signalled):
            waiting.wait(LONG)
        assert set(os.read(reader, 100)) == {signal.SIGALRM}
        assert signal.set_wakeup_fd(-1) == writer
    finally:
        signal.set_wakeup_fd(-1)
        os.close(reader)
        os.close(writer)


def test_no_wakeup_descriptor_is_left_behind(waiting):
    assert waiting.wait(LATER) is False
    assert signal.set_wakeup_fd(-1) == -1


@pytest.mark.parametrize("times", [1, 3, 1000])
def test_wakeup_descriptor_that_a_handler_sets_stays(waiting, pipe, monkeypatch, times):
    own = os.pipe2(os.O_NONBLOCK)
    set_wakeup_fd = signal.set_wakeup_fd
    calls = iter(range(times))

    def replace(descriptor):
        """As when a handler that is run at the last look does so."""
        before = set_wakeup_fd(descriptor)
        if next(calls, None) is not None:
            set_wakeup_fd(own[1])
        return before

    try:
        monkeypatch.setattr(signal, "set_wakeup_fd", replace)
        with meanwhile(lambda: os.write(pipe[1], b"x")):
            assert waiting.wait(LONG) is True
        assert set_wakeup_fd(-1) == own[1]
    finally:
        set_wakeup_fd(-1)
        os.close(own[0])
        os.close(own[1])


def test_wakeup_descriptor_that_cannot_be_set_leaves_looks(waiting, monkeypatch):
    def refuse(descriptor):
        raise OSError(9, "refused")

    monkeypatch.setattr(signal, "set_wakeup_fd", refuse)
    with meanwhile(_thread.interrupt_main), pytest.raises(KeyboardInterrupt):
        waiting.wait(LONG)


def test_wakeup_descriptor_that_was_closed_meanwhile_is_told_of(waiting, monkeypatch):
    unraisable = []
    monkeypatch.setattr("sys.unraisablehook", unraisable.append)
    reader, writer = os.pipe2(os.O_NONBLOCK)
    signal.set_wakeup_fd(writer)
    with meanwhile(lambda: os.close(writer)):
        assert waiting.wait(2 * LATER) is False
    os.close(reader)
    assert [type(one.exc_value) for one in unraisable] == [OSError]
    assert signal.set_wakeup_fd(-1) == -1


def test_without_room_for_a_pipe_there_are_looks():
    def check():
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        with fo.Scheduler(fo.World(), fo.Schedule(), backend="blocking") as scheduler:
            resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
            count = wake_ups(lambda: scheduler.run(rate=1 / SILENCE, ticks=2))
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert count > WAKE_UPS

    in_child(check)


def test_child_of_a_fork_during_silence_is_left_no_wakeup_descriptor(waiting, pipe):
    answers = []

    def fork():
        child = os.fork()
        if child == 0:
            os._exit(0 if signal.set_wakeup_fd(-1) == -1 else 1)
        answers.append(os.waitpid(child, 0)[1])
        os.write(pipe[1], b"x")

    with meanwhile(fork):
        assert waiting.wait(LONG) is True
    assert answers == [0]
