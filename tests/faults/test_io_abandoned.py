"""A device that never answers: closing is bounded, and each operation still ends, once and clearly.

The device is a file under a lease: whoever opens it waits, in a thread of the pool, until the test
lets go. On a ring such a request can be cancelled, so all of this is about threads;
``tests/c/test_io_abandoned.c`` has a ring that does not let go.
"""

from __future__ import annotations

import errno
import fcntl
import gc
import os
import signal
import sys
import weakref

import foliot as fo
import pytest
from faults.io_tools import Text, bounded_child, census, run_script

pytestmark = pytest.mark.faults

WAY = ("stealing", "pool")


class StuckFile:
    """A file that cannot be opened until it is let go of."""

    def __init__(self, path):
        signal.signal(signal.SIGIO, signal.SIG_IGN)
        path.write_bytes(b"stuck")
        self.path = path
        self.descriptor = os.open(path, os.O_RDWR)
        fcntl.fcntl(self.descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)

    def has_visitor(self):
        return fcntl.fcntl(self.descriptor, fcntl.F_GETLEASE) != fcntl.F_WRLCK

    def let_go(self):
        fcntl.fcntl(self.descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        os.close(self.descriptor)


def close_stuck(stuck, ask, **options):
    """A scheduler whose first frame asks for a stuck file, closed when a thread waits for it."""
    world = options.pop("world", None) or fo.World()
    system = fo.system(io=True, name="ask", **options)(ask)
    backend, io = WAY
    with fo.Scheduler(world, fo.Schedule(system), backend=backend, io=io, workers=2) as scheduler:
        scheduler.tick(0.1)
        while not stuck.has_visitor():
            os.sched_yield()


def finish_threads(before):
    """Until the threads have gone that were stuck, with all they opened."""
    while census() != before:
        os.sched_yield()


def test_holder_of_a_stuck_operation_gets_one_error_that_says_all(tmp_path):
    def check():
        before = census()
        stuck = StuckFile(tmp_path / "file")
        kept, unraisable = [], []
        sys.unraisablehook = unraisable.append
        buffer = bytearray(16)

        def ask(ctx):
            kept.append(ctx.io.read(stuck.path, 5, into=buffer, wait="none"))
            kept.append(ctx.io.timeout(3600, wait="none"))

        close_stuck(stuck, ask)
        operation, timer = kept
        assert operation.done
        assert not operation.cancelled
        assert timer.done
        assert timer.cancelled
        error = operation.error
        assert isinstance(error, fo.AbandonedError)
        assert isinstance(error, TimeoutError)
        assert error.errno == errno.ETIMEDOUT
        assert f"read of {str(stuck.path)!r} was abandoned: the kernel did not let go" in str(error)
        assert "stays allocated until it ends, or until the process ends" in str(error)
        assert error.__notes__[0].endswith("asked for by system `ask`")
        with pytest.raises(fo.AbandonedError):
            operation.result
        with pytest.raises(BufferError):
            buffer.append(1)
        stuck.let_go()
        del error
        finish_threads(before)
        assert operation.error is operation.error
        assert bytes(buffer) == bytes(16)
        kept.clear()
        alive = weakref.ref(operation)
        del operation, timer
        gc.collect()
        assert alive() is None
        assert unraisable == []
        with pytest.raises(BufferError):
            buffer.append(1)

    bounded_child(check)


def test_stuck_operations_that_nobody_looks_at_are_told_by_the_hook(tmp_path):
    def check():
        before = census()
        stuck = StuckFile(tmp_path / "file")
        missing = tmp_path / "other"
        kept, unraisable = [], []
        sys.unraisablehook = unraisable.append

        def ask(ctx):
            ctx.io.open(stuck.path, wait="none")
            kept.append(ctx.io.read_many([stuck.path, missing, stuck.path], wait="none"))

        close_stuck(stuck, ask)
        bulk = kept.pop()
        assert bulk.done
        states = {place: type(error).__name__ for place, error in bulk.errors.items()}
        assert states.keys() == {0, 1, 2} or states.keys() == {0, 2}
        assert set(states.values()) <= {"AbandonedError", "OSError", "FileNotFoundError"}
        told = [seen.exc_value for seen in unraisable]
        assert [type(error) for error in told] == [fo.AbandonedError] * len(told)
        assert all("asked for by system `ask`" in error.__notes__[0] for error in told)
        stuck.let_go()
        del told
        unraisable.clear()
        finish_threads(before)

    bounded_child(check)


def test_stuck_operation_that_dies_with_its_error_in_one_garbage_is_told_whole(tmp_path):
    def check():
        before = census()
        stuck = StuckFile(tmp_path / "file")
        kept, told = [], []
        sys.unraisablehook = lambda unraisable: told.append(str(unraisable.exc_value))

        close_stuck(stuck, lambda ctx: kept.append(ctx.io.read(stuck.path, 5, wait="none")))
        ring = [kept.pop()]
        ring.append(ring)
        del ring
        gc.collect()
        assert len(told) == 1
        assert f"read of {str(stuck.path)!r} was abandoned" in told[0]
        stuck.let_go()
        finish_threads(before)

    bounded_child(check)


def test_stuck_read_into_the_world_leaves_the_world_as_it_was(tmp_path):
    def check():
        before = census()
        stuck = StuckFile(tmp_path / "file")
        world = fo.World()
        entity = world.spawn(Text(b"as it was"))
        kept = []

        def ask(ctx):
            kept.append(ctx.io.read(stuck.path, 5, to=(entity, Text), wait="none"))

        close_stuck(stuck, ask, writes=Text, world=world)
        assert isinstance(kept[0].error, fo.AbandonedError)
        stuck.let_go()
        finish_threads(before)
        assert bytes(world.get(entity, Text).value) == b"as it was"

    bounded_child(check)


def test_child_of_a_fork_sees_what_was_abandoned_before_it(tmp_path):
    def check():
        before = census()
        stuck = StuckFile(tmp_path / "file")
        kept = []

        def ask(ctx):
            kept.append(ctx.io.read(stuck.path, 5, wait="none"))

        close_stuck(stuck, ask)
        child = os.fork()
        if child == 0:
            os._exit(0 if isinstance(kept.pop().error, fo.AbandonedError) else 1)
        assert os.waitpid(child, 0)[1] == 0
        stuck.let_go()
        finish_threads(before)

    bounded_child(check)


AT_EXIT = """
import pathlib
from faults.test_io_abandoned import StuckFile
stuck = StuckFile(pathlib.Path({path!r}))
kept = []
ask = fo.system(io=True, name="ask", run_if=lambda ctx: ctx.frame == 0)(
    lambda ctx: kept.append(ctx.io.read(stuck.path, 5, wait="none")))
scheduler = open_scheduler(way, ask)
scheduler.tick(0.1)
while not stuck.has_visitor():
    os.sched_yield()
"""


def test_interpreter_that_exits_beside_a_stuck_thread_tells_what_it_abandons(tmp_path):
    path = str(tmp_path / "file")
    complaint = f"foliot.AbandonedError: [Errno 110] read of {path!r} was abandoned"
    assert run_script(AT_EXIT.format(path=path), WAY, complaint=complaint) == ""
