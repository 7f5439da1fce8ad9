"""Memory and threads that the system refuses to schedulers with workers.

What fails raises MemoryError or runs with what there is, leaks nothing, and works when tried again.
"""

import gc
import os
import subprocess
import sys
from functools import partial

import foliot as fo
import pytest
from foliot import _core

pytest.importorskip("cffi")

from stress.crowd import BACKENDS, Crowd, expected
from support import in_child

pytestmark = pytest.mark.faults

MAX_ALLOCATIONS = 2000
WORKERS = 4


def open_scheduler(crowd, backend, **options):
    return fo.Scheduler(crowd.world, crowd.schedule(), backend=backend, workers=WORKERS, **options)


def fails(n, call):
    """Call with the n-th allocation failing; None when it needs fewer, else whether it raised."""
    _core.fail_nth_allocation(n)
    try:
        call()
        failed = False
    except MemoryError:
        failed = True
    except fo.FrameError as error:
        failed = error.split(MemoryError)[1] is None
    finally:
        was_needed = not _core.allocation_failure_is_armed()
        _core.fail_nth_allocation(0)
    assert was_needed or not failed, f"allocation {n}"
    return failed if was_needed else None


def fail_each(call):
    """Fail allocation n of a call for every n that it needs; how many raised."""
    raised = 0
    for n in range(1, MAX_ALLOCATIONS):
        failed = call(n)
        if failed is None:
            return raised
        raised += failed
    raise AssertionError("the call never stopped allocating")


def works(crowd, backend):
    """Frames of a new scheduler end as they should."""
    with open_scheduler(crowd, backend) as scheduler:
        scheduler.tick_n(2, 0.1)
        assert scheduler.backend.actual == backend
        assert scheduler.stats.parallel_phases > 0


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_memory_while_a_scheduler_opens(backend):
    crowd = Crowd()
    works(crowd, backend)
    gc.collect()
    before = _core.memory_stats()["live_blocks"]

    def open_and_close(n):
        return fails(n, lambda: open_scheduler(crowd, backend, trace=16).close())

    assert fail_each(open_and_close) > 30
    gc.collect()
    assert _core.memory_stats()["live_blocks"] == before
    works(crowd, backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_memory_for_the_first_threads_of_the_process(backend):
    crowd = Crowd()
    for n in range(1, 60):

        def attempt(n=n):
            fails(n, lambda: open_scheduler(crowd, backend).close())
            works(crowd, backend)

        in_child(attempt)


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_memory_in_a_frame_on_several_workers(backend):
    after_two = expected(2)

    def tick(n):
        crowd = Crowd()
        with open_scheduler(crowd, backend) as scheduler:
            failed = fails(n, lambda: scheduler.tick(0.1))
            assert scheduler.frame == 1
            scheduler.tick(0.1)
            if not failed:
                assert (crowd.world.digest(), crowd.log) == after_two
            crowd.check()
        return failed

    fail_each(tick)


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_memory_for_a_new_plan(backend):
    after_two = expected(2)

    def edit(n):
        crowd = Crowd()
        schedule = crowd.schedule(fo.system(name="extra")(lambda ctx: None))
        with fo.Scheduler(crowd.world, schedule, backend=backend, workers=WORKERS) as scheduler:
            tick = partial(scheduler.tick, 0.1)
            tick()
            old = scheduler.plan
            schedule.remove("extra")
            failed = fails(n, tick)
            while scheduler.frame < 2:
                assert scheduler.plan is old
                tick()
            crowd.check()
            if not failed:
                assert (crowd.world.digest(), crowd.log) == after_two
        return failed

    edit(MAX_ALLOCATIONS)
    gc.collect()
    before = _core.memory_stats()["live_blocks"]
    assert fail_each(edit) > 20
    gc.collect()
    assert _core.memory_stats()["live_blocks"] == before


@pytest.mark.parametrize("require", [False, True])
@pytest.mark.parametrize("nth", [1, 2, 3])
@pytest.mark.parametrize("backend", BACKENDS)
def test_thread_that_does_not_start(backend, nth, require):
    after_two = expected(2)

    def check():
        crowd = Crowd(require_workers=require)
        _core.fail_nth_thread(nth)
        if require:
            with pytest.raises(OSError, match="workers"):
                open_scheduler(crowd, backend)
        else:
            with open_scheduler(crowd, backend) as scheduler:
                scheduler.tick_n(2, 0.1)
                info = scheduler.backend
                assert len(scheduler.workers) == (nth if info.actual == backend else 1)
                assert "workers" in info.reason
            assert (crowd.world.digest(), crowd.log) == after_two
        works(crowd, backend)

    in_child(check)


LIMITED = """
import resource, sys, gc
import foliot as fo
from stress.crowd import Crowd
backend, require = sys.argv[1], sys.argv[2] == "True"
warm = Crowd()
with fo.Scheduler(warm.world, warm.schedule(), backend="blocking") as scheduler:
    scheduler.tick(0.1)
crowd = Crowd(require_workers=require)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
# Room for what one scheduler maps for its commands, and not for the stacks of 200 threads.
resource.setrlimit(resource.RLIMIT_AS, (used + int(sys.argv[3]), resource.RLIM_INFINITY))
try:
    with fo.Scheduler(crowd.world, crowd.schedule(), backend=backend, workers=200) as scheduler:
        scheduler.tick_n(3, 0.1)
        print(scheduler.backend.actual, len(scheduler.workers), scheduler.backend.reason != "")
except (OSError, MemoryError) as error:
    print(type(error).__name__)
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
crowd = Crowd(require_workers=require)
with fo.Scheduler(crowd.world, crowd.schedule(), backend=backend, workers=3) as scheduler:
    scheduler.tick_n(3, 0.1)
    assert scheduler.backend.actual == backend and len(scheduler.workers) == 3
crowd.check()
"""


@pytest.mark.parametrize("require", [False, True])
@pytest.mark.parametrize("room", [0, 1 << 26, 1 << 29])
@pytest.mark.parametrize("backend", BACKENDS)
def test_no_address_space_for_stacks(backend, room, require):
    tests = os.path.dirname(os.path.dirname(__file__))
    package = os.path.dirname(os.path.dirname(fo.__file__))
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, backend, str(require), str(room)],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        env={"PYTHONPATH": f"{package}:{tests}", "PATH": "/usr/bin:/bin"},
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    told = done.stdout.split()
    if require or len(told) == 1:
        assert told[0] in {"OSError", "BlockingIOError", "MemoryError"}
    else:
        assert int(told[1]) < 200
        assert told[2] == "True"
