"""Ctrl-C beside a call that does not answer: the frame ends, and the scheduler goes on without it.

The call opens a file under a lease: a thread of the pool waits in it until the test lets go, and a
ring can cancel it. The signal handler interrupts only once somebody waits there.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
import sys
import threading

import foliot as fo
import pytest
from faults.io_tools import Text, bounded_child, census, nothing_left, open_scheduler
from faults.test_io_abandoned import StuckFile
from support import alarm, interrupt

_libc = ctypes.CDLL(None, use_errno=True)

pytestmark = pytest.mark.faults

POOLS = [(backend, "pool") for backend in fo.BACKENDS]
RINGS = [(backend, "uring") for backend in fo.BACKENDS]


@contextlib.contextmanager
def stuck_files(*paths):
    """Stuck files that are let go of in the block, which leaves nothing behind."""
    with nothing_left():
        yield [StuckFile(path) for path in paths]


def names(ways):
    return ["-".join(way) for way in ways]


def interrupted(scheduler, stuck):
    """A frame that Ctrl-C ends when somebody waits for the stuck file."""

    def stop(*_):
        if stuck.has_visitor():
            interrupt()

    with alarm(stop), pytest.raises(KeyboardInterrupt) as caught:
        scheduler.tick(0.1)
    return caught.value


def asks(ask, **options):
    """A system that asks in frame 0, and the list of what it got."""
    kept = []

    def run(ctx):
        if ctx.frame == 0:
            kept.extend(ask(ctx))

    return fo.system(io=True, name="ask", **options)(run), kept


def is_free(buffer):
    """Whether nothing holds the buffer any more."""
    try:
        buffer.append(0)
    except BufferError:
        return False
    return True


@pytest.mark.parametrize("way", POOLS, ids=names(POOLS))
def test_frame_beside_a_stuck_thread_ends_and_the_next_one_runs(way, tmp_path):
    def check():
        (tmp_path / "other").write_bytes(b"other")
        world = fo.World()
        entity = world.spawn(Text(b"as it was"))
        before = world.digest()
        read = []

        def ask(ctx):
            return [ctx.io.read(tmp_path / "file", 5, to=(entity, Text))]

        system, kept = asks(ask, writes=Text)

        @fo.system(io=True, after="ask")
        def go_on(ctx):
            read.append(ctx.io.read(tmp_path / "other"))

        with stuck_files(tmp_path / "file") as [stuck]:
            with open_scheduler(way, system, go_on, world=world) as scheduler:
                interrupted(scheduler, stuck)
                assert world.digest() == before
                [operation] = kept
                assert operation.done
                assert not operation.cancelled
                assert isinstance(operation.error, fo.AbandonedError)
                scheduler.tick(0.1)
                assert read[-1].result == b"other"
                assert scheduler.stats.io_in_flight == 0
                assert scheduler.wait() is False
                stuck.let_go()
            assert bytes(world.get(entity, Text).value) == b"as it was"

    bounded_child(check)


@pytest.mark.parametrize("way", RINGS, ids=names(RINGS))
def test_frame_beside_a_stuck_request_of_a_ring_ends_and_the_next_one_runs(way, tmp_path):
    def check():
        system, kept = asks(lambda ctx: [ctx.io.read(tmp_path / "file", 5)])
        with stuck_files(tmp_path / "file") as [stuck], open_scheduler(way, system) as scheduler:
            interrupted(scheduler, stuck)
            [operation] = kept
            assert operation.cancelled
            scheduler.tick(0.1)
            stuck.let_go()

    bounded_child(check)


@pytest.mark.parametrize("wait", ["stage", "phase"])
def test_late_end_of_an_abandoned_operation_lets_go_of_its_buffer_and_tells_nobody(wait, tmp_path):
    def check():
        unraisable = []
        sys.unraisablehook = unraisable.append
        buffer = bytearray(16)
        path = tmp_path / "file"
        system, kept = asks(lambda ctx: [ctx.io.read(path, 5, into=buffer, wait=wait)])
        with (
            stuck_files(path) as [stuck],
            open_scheduler(("stealing", "pool"), system) as scheduler,
        ):
            interrupted(scheduler, stuck)
            error = kept[0].error
            assert not is_free(buffer)
            scheduler.tick(0.1)
            assert not is_free(buffer)
            stuck.let_go()
            while not is_free(buffer):
                scheduler.tick(0.0)
            assert kept[0].error is error
            assert scheduler.stats.io_failed == 1
            assert scheduler.stats.io_completed == scheduler.stats.io_submitted == 1
        assert unraisable == []
        assert bytes(buffer[:16]) == bytes(16)

    bounded_child(check)


def test_abandoned_operation_that_nobody_holds_is_told_beside_the_interrupt(tmp_path):
    def check():
        path = tmp_path / "file"

        def ask(ctx):
            ctx.io.read(path, 5)
            return []

        system, _ = asks(ask)
        with (
            stuck_files(path) as [stuck],
            open_scheduler(("stealing", "pool"), system) as scheduler,
        ):
            stopped = interrupted(scheduler, stuck)
            [error] = stopped.__context__.exceptions
            assert isinstance(error, fo.AbandonedError)
            assert "asked for by system `ask`" in error.__notes__[0]
            stuck.let_go()
            del stopped, error

    bounded_child(check)


def test_reads_of_many_files_beside_a_stuck_one_end_each_in_its_way(tmp_path):
    def check():
        path, other = tmp_path / "file", tmp_path / "other"
        other.write_bytes(b"other")
        system, kept = asks(lambda ctx: [ctx.io.read_many([other, path])])
        with (
            stuck_files(path) as [stuck],
            open_scheduler(("stealing", "pool"), system) as scheduler,
        ):
            interrupted(scheduler, stuck)
            [bulk] = kept
            assert bulk.done
            assert bulk.errors.keys() in ({1}, {0, 1})
            assert isinstance(bulk.errors[1], fo.AbandonedError)
            stuck.let_go()

    bounded_child(check)


def test_stuck_thread_is_replaced_within_the_bound_of_the_pool(tmp_path):
    def check():
        paths = [tmp_path / str(number) for number in range(3)]
        paths[2].write_bytes(b"other")
        kept = []

        @fo.system(io=True)
        def ask(ctx):
            kept.append(ctx.io.read(paths[ctx.frame]))

        world = fo.World(fo.Config(max_io_threads=3))
        with (
            stuck_files(*paths[:2]) as files,
            open_scheduler(("stealing", "pool"), ask, world=world) as scheduler,
        ):
            for stuck in files:
                interrupted(scheduler, stuck)
            scheduler.tick(0.1)
            assert [type(operation.error) for operation in kept[:2]] == [fo.AbandonedError] * 2
            assert kept[2].result == b"other"
            for stuck in files:
                stuck.let_go()

    bounded_child(check)


def test_room_of_an_abandoned_operation_is_free_when_it_has_come_back(tmp_path):
    def check():
        refused = []

        @fo.system(io=True)
        def ask(ctx):
            if ctx.frame == 0:
                ctx.io.read(tmp_path / "file", 5)
                return
            try:
                ctx.io.nop()
            except fo.CapacityError:
                refused.append(ctx.frame)

        world = fo.World(fo.Config(max_io=1))
        with (
            stuck_files(tmp_path / "file") as [stuck],
            open_scheduler(("blocking", "pool"), ask, world=world) as scheduler,
        ):
            interrupted(scheduler, stuck)
            scheduler.tick(0.1)
            assert refused == [1]
            stuck.let_go()
            while refused[-1] == scheduler.frame - 1:
                scheduler.tick(0.1)

    bounded_child(check)


def test_close_beside_an_abandoned_operation_is_bounded_and_tells_nothing_more(tmp_path):
    def check():
        before = census()
        stuck = StuckFile(tmp_path / "file")
        unraisable = []
        sys.unraisablehook = unraisable.append
        buffer = bytearray(16)
        system, kept = asks(lambda ctx: [ctx.io.read(stuck.path, 5, into=buffer)])
        with open_scheduler(("stealing", "pool"), system) as scheduler:
            interrupted(scheduler, stuck)
            error = kept[0].error
        assert kept[0].error is error
        assert not is_free(buffer)
        stuck.let_go()
        del error
        while census() != before:
            os.sched_yield()
        assert unraisable == []
        assert not is_free(buffer)

    bounded_child(check)


def test_other_threads_run_while_close_waits(tmp_path):
    def check():
        buffer = bytearray(16)
        path = tmp_path / "file"
        system, kept = asks(lambda ctx: [ctx.io.read(path, 5, into=buffer, wait="none")])
        with stuck_files(path) as [stuck]:
            scheduler = open_scheduler(("stealing", "pool"), system)
            scheduler.tick(0.1)
            while not stuck.has_visitor():
                os.sched_yield()

            def let_go():
                while not scheduler.closed:
                    os.sched_yield()
                stuck.let_go()

            thread = threading.Thread(target=let_go)
            thread.start()
            scheduler.close()
            thread.join()
            assert kept[0].cancelled
            assert is_free(buffer)

    bounded_child(check)


def test_interrupt_ends_a_call_that_the_calling_thread_is_inside_of(tmp_path):
    """It opens the files itself, one after another: what it did not come to ends with it."""

    def check():
        path, other = tmp_path / "file", tmp_path / "other"
        other.write_bytes(b"other")
        threads = []

        def ask(ctx):
            return [ctx.io.open(path), ctx.io.open(path), ctx.io.read(other, wait="none")]

        system, kept = asks(ask)
        with stuck_files(path) as [stuck]:
            before = census()
            with open_scheduler(("blocking", "pool"), system) as scheduler:
                interrupted(scheduler, stuck)
                threads.append(census()[0])
                assert [operation.cancelled for operation in kept[:2]] == [True, True]
                assert not kept[2].done
                while not kept[2].done:
                    scheduler.tick(0.1)
                assert kept[2].result == b"other"
                assert scheduler.stats.io_in_flight == 0
            assert threads == [before[0]]
            stuck.let_go()

    bounded_child(check)


def test_signals_whose_handlers_raise_nothing_do_not_end_a_call_of_the_calling_thread(tmp_path):
    def check():
        path = tmp_path / "file"
        handled = []
        system, kept = asks(lambda ctx: [ctx.io.open(path)])
        with stuck_files(path) as [stuck]:

            def handle(*_):
                handled.append(1)
                if len(handled) == 5:
                    stuck.let_go()

            with open_scheduler(("blocking", "pool"), system) as scheduler:
                with alarm(handle):
                    scheduler.tick(0.1)
                os.close(kept[0].result)
            assert len(handled) >= 5

    bounded_child(check)


class GuardedFile:
    """A file that nobody can open until a listener of fanotify says so.

    Who waits there takes no notice of signals, nor of being cancelled.
    """

    def __init__(self, path):
        path.write_bytes(b"guarded")
        content, cloexec_nonblock, open_permission, here = 0x04, 0x03, 0x00010000, -100
        self.path = path
        self.visitor = -1
        self.listener = _libc.fanotify_init(content | cloexec_nonblock, os.O_RDONLY | os.O_CLOEXEC)
        assert self.listener >= 0, os.strerror(ctypes.get_errno())
        mark = (1, ctypes.c_uint64(open_permission), here, os.fsencode(path))
        assert _libc.fanotify_mark(self.listener, *mark) == 0, os.strerror(ctypes.get_errno())

    def has_visitor(self):
        if self.visitor < 0:
            with contextlib.suppress(BlockingIOError):
                self.visitor = struct.unpack("IBBHQii", os.read(self.listener, 24))[5]
        return self.visitor >= 0

    def let_go(self):
        os.write(self.listener, struct.pack("iI", self.visitor, 1))
        os.close(self.visitor)
        os.close(self.listener)


@pytest.mark.parametrize("backend", fo.BACKENDS)
def test_frame_beside_a_request_that_a_ring_cannot_cancel_ends_and_leaves_nothing(
    backend, tmp_path
):
    """Files that may have to be made are opened by a thread of the kernel."""

    def check():
        path = tmp_path / "file"
        system, kept = asks(lambda ctx: [ctx.io.open(path, os.O_CREAT | os.O_RDWR)])
        with nothing_left():
            guarded = GuardedFile(path)
            with open_scheduler((backend, "uring"), system) as scheduler:
                interrupted(scheduler, guarded)
                assert isinstance(kept[0].error, fo.AbandonedError)
                scheduler.tick(0.1)
                assert scheduler.stats.io_in_flight == 0
                guarded.let_go()

    bounded_child(check)
