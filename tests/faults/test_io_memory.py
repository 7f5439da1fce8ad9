"""The n-th allocation of the core, or the n-th thread of the pool, fails in frames with I/O."""

import gc
import os

import foliot as fo
import pytest
from faults.io_tools import Text, finish, nothing_left, open_scheduler
from foliot import _core

pytestmark = pytest.mark.faults

MAX_ALLOCATIONS = 3000


@pytest.fixture
def folder(tmp_path):
    for number in range(5):
        (tmp_path / str(number)).write_bytes(b"%d" % number * 3000)
    return tmp_path


class Trial:
    """A frame of many operations, and what has to hold whatever failed in it."""

    def __init__(self, way, folder):
        self.folder = folder
        self.world = fo.World()
        self.entity = self.world.spawn(Text(b"old"))
        self.kept = []
        self.reader, self.writer = os.pipe()
        work = fo.system(io=True, name="work", writes=Text, commands=True)(self.ask)
        self.scheduler = open_scheduler(way, work, world=self.world)

    def ask(self, ctx):
        if self.kept:
            return
        paths = [self.folder / str(number) for number in range(5)]
        keep = self.kept.append
        keep(ctx.io.read(self.reader, 3, None, wait="none"))
        keep(ctx.io.read(paths[0]))
        keep(ctx.io.read(paths[1], into=[bytearray(10), bytearray(20)]))
        keep(ctx.io.read(paths[2], to=(self.entity, Text)))
        keep(ctx.io.write(self.folder / "new", [b"a" * 3000, b"b" * 3000], wait="phase"))
        keep(ctx.io.stat(paths[3]))
        keep(ctx.io.open(paths[4]))
        keep(ctx.io.timeout(0.0001, wait="phase"))
        keep(ctx.io.read_many(paths))
        keep(ctx.io.recv(self.reader, wait="none"))

    def tick(self):
        """One frame; what of it failed for want of memory, and nothing else, is told."""
        try:
            self.scheduler.tick(0.1)
        except MemoryError:
            return True
        except fo.FrameError as error:
            failures = error.exceptions
        else:
            return False
        assert all(is_memory(one) for one in failures), failures
        return True

    def end(self):
        """Every operation has ended, in a result or for want of memory."""
        os.write(self.writer, b"abc")
        finish(self.scheduler, self.kept)
        lacked = False
        for operation in self.kept:
            errors = (
                operation.errors.values()
                if isinstance(operation, fo.io.Operations)
                else [operation.error]
            )
            for error in errors:
                # The last one is on a descriptor that is no socket.
                expected = operation is self.kept[-1] and len(self.kept) == 10
                assert error is None or expected or is_memory(error) or operation.cancelled
                lacked = lacked or is_memory(error)
        for operation in self.kept:
            if getattr(operation, "kind", "") == "open" and operation.error is None:
                os.close(operation.result)
        self.scheduler.close()
        os.close(self.reader)
        os.close(self.writer)
        return lacked


def is_memory(error):
    return isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == 12)


def test_every_allocation_of_a_frame_with_io_may_fail(way, folder):
    Trial(way, folder).end()
    with nothing_left():
        for n in range(1, MAX_ALLOCATIONS):
            trial = Trial(way, folder)
            _core.fail_nth_allocation(n)
            try:
                failed = trial.tick()
            finally:
                was_needed = not _core.allocation_failure_is_armed()
                _core.fail_nth_allocation(0)
            trial.tick()
            trial.end()
            assert was_needed or not failed
            if not was_needed:
                break
        assert n > 3
        del trial
        gc.collect()


def test_frames_with_io_leave_no_block_behind(way, folder):
    def run():
        trial = Trial(way, folder)
        trial.tick()
        trial.end()
        del trial
        gc.collect()
        return _core.memory_stats()["live_blocks"]

    run()
    before = run()
    assert run() == before


def test_opening_a_scheduler_with_io_may_lack_any_allocation(way):
    ask = fo.system(io=True, name="ask")(lambda ctx: ctx.io.nop() and None)
    open_scheduler(way, ask).close()
    with nothing_left():
        for n in range(1, MAX_ALLOCATIONS):
            _core.fail_nth_allocation(n)
            try:
                made = open_scheduler(way, ask)
            except MemoryError:
                made = None
            finally:
                was_needed = not _core.allocation_failure_is_armed()
                _core.fail_nth_allocation(0)
            if made is not None:
                with made:
                    made.tick(0.1)
                    assert made.io.engine == "pool" or not made.io.reason
            if not was_needed:
                break
        assert n > 10
