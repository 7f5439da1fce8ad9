"""Stops that are still on their way to a system when that ends: they are taken back."""

import functools
import itertools
import operator
import os
import queue
import signal
import subprocess
import sys
import threading

import foliot as fo
import pytest


class Held:
    """Systems without Python code, in which no stop can arrive, and one that lets them end.

    Those wait until the other one runs. It raises when they are free to go on, but before they can:
    so each of them is stopped and ends without having noticed.
    """

    def __init__(self, count, last=()):
        self.begun, self.free = queue.SimpleQueue(), queue.SimpleQueue()
        held = [
            fo.system(name=f"held{number}", gil="release")(self.function(last))
            for number in range(count)
        ]
        self.count = count
        # The calling thread takes the first.
        self.schedule = fo.Schedule(*held, fo.system(name="stop", gil="release")(self.stop))

    def function(self, last):
        begin = map(self.begun.put, [None])
        wait = map(self.free.get, [True])
        return functools.partial(
            functools.reduce, operator.is_, itertools.chain(begin, wait, map(int, last))
        )

    def stop(self, ctx):
        for _ in range(self.count):
            self.begun.get()
        self.meanwhile()
        for _ in range(self.count):
            self.free.put(None)
        raise KeyboardInterrupt("stop")

    def meanwhile(self):
        """What is done while they wait."""

    def frame(self, backend):
        workers = self.count + 1
        with fo.Scheduler(fo.World(), self.schedule, backend=backend, workers=workers) as scheduler:
            scheduler.tick(0.1)


@pytest.fixture(autouse=True)
def undisturbed():
    """The thread that stops others keeps the interpreter until it has."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(100.0)
    yield
    sys.setswitchinterval(before)


def test_stop_of_a_system_that_has_ended_reaches_nobody(parallel_backend):
    with pytest.raises(KeyboardInterrupt, match="stop") as raised:
        Held(2).frame(parallel_backend)
    assert raised.value.__context__ is None


def test_error_of_a_system_that_was_stopped_too_late_is_kept(parallel_backend):
    with pytest.raises(KeyboardInterrupt, match="stop") as raised:
        Held(1, last=["no number"]).frame(parallel_backend)
    (error,) = raised.value.__context__.exceptions
    assert isinstance(error, ValueError)


PROFILE = """
import signal, sys
from unit.test_workers_taken_back import Held

signal.alarm(60)
sys.setswitchinterval(100.0)
try:
    Held(2).frame({backend!r})
except KeyboardInterrupt:
    pass

def called():
    pass

def profile(frame, event, argument):
    if frame.f_code is called.__code__:
        events.append(event)

events = []
sys.setprofile(profile)
called()
sys.setprofile(None)
print(*events)
"""


def run(program, **options):
    """What a program of its own prints; a hang ends it by a signal."""
    done = subprocess.run(
        [sys.executable, "-c", program.format(**options)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_functions_are_profiled_as_before_when_a_stop_was_taken_back(parallel_backend):
    assert run(PROFILE, backend=parallel_backend) == "call return\n"


class Signaller:
    """A thread that is no worker, which block signals, and raises one on demand."""

    def __init__(self):
        self.wanted, self.raised = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        self.wanted.wait()
        signal.raise_signal(signal.SIGUSR1)
        self.raised.set()

    def signal(self):
        self.wanted.set()
        self.raised.wait()


def test_signal_beside_a_stop_that_is_taken_back_is_handled(parallel_backend):
    class Signalled(Held):
        def meanwhile(self):
            # The calling thread, which is held, handles it in the first Python code that it runs.
            signaller.signal()

    def interrupt(*_):
        seen.append("signal")
        raise KeyboardInterrupt("signal")

    seen = []
    signaller = Signaller()
    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt, match="stop"):
            Signalled(2).frame(parallel_backend)
    finally:
        signal.signal(signal.SIGUSR1, before)
    signaller.thread.join()
    assert seen == ["signal"]
