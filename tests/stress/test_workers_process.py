"""What the process sees: forks beside running frames, exits with frames under way, idle threads.

Each script runs in a process of its own; an alarm ends one that hangs, and shows where.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import foliot as fo
import pytest

pytest.importorskip("cffi")

from stress.crowd import BACKENDS, IS_LONG, Crowd, rounds

pytestmark = pytest.mark.stress

# Nothing but a hang takes so long.
HANG_SECONDS = 600 if IS_LONG else 60

PRELUDE = """
import contextlib, faulthandler, os, signal, sys, threading, time, warnings
# From 3.12 on CPython warns of just what some of these are about.
warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
faulthandler.register(signal.SIGALRM, chain=True)
signal.alarm({seconds})
import foliot as fo
from stress.crowd import Crowd

pause = threading.Event()
backend, rounds = {backend!r}, {rounds}

def open_scheduler(crowd=None, workers=4):
    crowd = crowd or Crowd()
    return fo.Scheduler(crowd.world, crowd.schedule(), backend=backend, workers=workers)
"""


def run_script(script: str, backend: str, times: int = 1) -> str:
    """Run a script; what it printed. It fails on a status other than 0, and on any complaint."""
    tests = str(Path(__file__).parents[1])
    package = str(Path(fo.__file__).parents[1])
    prelude = PRELUDE.format(seconds=HANG_SECONDS, backend=backend, rounds=times)
    done = subprocess.run(
        [sys.executable, "-c", prelude + textwrap.dedent(script)],
        check=False,
        capture_output=True,
        text=True,
        timeout=2 * HANG_SECONDS,
        env={"PYTHONPATH": f"{package}:{tests}", "PATH": "/usr/bin:/bin"},
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


FORK = """
stop = threading.Event()
crowd = Crowd()
scheduler = open_scheduler(crowd)

def drive():
    while not stop.is_set():
        scheduler.tick(0.1)
        if len(crowd.log) > 3000:
            # A child's collector goes over all of it.
            crowd.check()
            crowd.log.clear()

def check_child(number):
    signal.alarm(30)
    try:
        scheduler.tick(0.1)
    except (fo.ForkedError, fo.WorldBusyError):
        pass
    else:
        raise AssertionError("the parent's scheduler ran in the child")
    fresh = Crowd()
    with open_scheduler(fresh, workers=3) as mine:
        mine.tick_n(3, 0.1)
        assert mine.stats.parallel_phases > 0 or mine.backend.actual == "blocking"
    fresh.check()
    if number % 3 == 0:
        with contextlib.suppress(fo.WorldBusyError):
            scheduler.close()
    if number % 2:
        os._exit(0)

thread = threading.Thread(target=drive, daemon=True)
thread.start()
for number in range(rounds):
    pause.wait(0.001 * (number % 3))
    child = os.fork()
    if child == 0:
        check_child(number)
        sys.exit(0)
    _, status = os.waitpid(child, 0)
    assert status == 0, status
stop.set()
thread.join()
crowd.check()
scheduler.tick(0.1)
"""

FORK_IN_FRAME = """
begun, end = threading.Event(), threading.Event()

def hold(ctx):
    begun.set()
    end.wait()

world = fo.World()
systems = [fo.system(name=f"s{i}", gil="release")(hold) for i in range(3)]
scheduler = fo.Scheduler(world, fo.Schedule(*systems), backend=backend, workers=3)
thread = threading.Thread(target=scheduler.tick, args=(0.1,), daemon=True)
thread.start()
begun.wait()
child = os.fork()
if child == 0:
    signal.alarm(30)
    status = 1
    try:
        scheduler.tick(0.1)
    except fo.ForkedError:
        status = 0
    finally:
        os._exit(status)
_, status = os.waitpid(child, 0)
assert status == 0, status
end.set()
thread.join()
"""

EXITS = {
    "with a scheduler open": "open_scheduler().tick(0.1); kept = open_scheduler(); kept.tick(0.1)",
    "in a daemon thread's frames": """
        for workers in (2, 3):
            scheduler = open_scheduler(workers=workers)
            begun = threading.Event()
            def drive(scheduler=scheduler, begun=begun):
                while True:
                    scheduler.tick(0.1)
                    begun.set()
            threading.Thread(target=drive, daemon=True).start()
            begun.wait()
        """,
    "in a daemon thread's endless batch": """
        scheduler = open_scheduler()
        threading.Thread(target=scheduler.tick_n, args=(2**31 - 1, 0.1), daemon=True).start()
        while scheduler.stats.frames < 3:
            pass
        """,
    "inside of a daemon thread's python system": """
        begun = threading.Event()
        def spin(ctx):
            begun.set()
            while True:
                pause.wait(0)
        spinning = [fo.system(name=f"s{i}", gil="release")(spin) for i in range(3)]
        scheduler = fo.Scheduler(fo.World(), fo.Schedule(*spinning), backend=backend, workers=3)
        threading.Thread(target=scheduler.tick, args=(0.1,), daemon=True).start()
        begun.wait()
        """,
    "with a scheduler in a cycle": """
        class Owner:
            pass
        owner = Owner()
        owner.self, owner.scheduler = owner, open_scheduler()
        owner.scheduler.tick(0.1)
        del owner
        """,
    "from a system": """
        def leave(ctx):
            raise SystemExit(0)
        leaving = [fo.system(name=f"s{i}", gil="release")(leave) for i in range(3)]
        scheduler = fo.Scheduler(fo.World(), fo.Schedule(*leaving), backend=backend, workers=3)
        scheduler.tick(0.1)
        """,
}


@pytest.mark.parametrize("backend", BACKENDS)
def test_forks_while_another_thread_runs_frames(backend: str) -> None:
    run_script(FORK, backend, rounds(8, 300))


@pytest.mark.parametrize("backend", ["blocking", *BACKENDS])
def test_scheduler_copied_within_a_frame_says_that_it_was_forked(backend: str) -> None:
    run_script(FORK_IN_FRAME, backend)


@pytest.mark.parametrize("exit_", EXITS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_interpreter_exits(backend: str, exit_: str) -> None:
    for _ in range(rounds(1, 30)):
        assert not run_script(EXITS[exit_], backend)


def second_of_waiting() -> float:
    """Processor time of this process while the only thread that does anything waits."""
    before = time.process_time()
    threading.Event().wait(1.0)
    return time.process_time() - before


@pytest.mark.parametrize("backend", BACKENDS)
def test_workers_with_nothing_to_do_use_no_processor(backend: str) -> None:
    """Less than a millisecond of a second, beyond what the machine counts for waiting itself."""
    crowd = Crowd()
    spent = []
    # Virtual machines count up to some milliseconds for threads that sleep.
    alone = max(second_of_waiting() for _ in range(2))
    with fo.Scheduler(crowd.world, crowd.schedule(), backend=backend, workers=8) as scheduler:
        for _ in range(3):
            # A plan that is new is tried on all workers.
            scheduler.schedule.remove(crowd.systems[0])
            scheduler.schedule.add(crowd.systems[0])
            scheduler.tick_n(20, 0.1)
            # The searchers give up soon; that they do is part of the second that counts.
            spent.append(second_of_waiting())
        assert scheduler.stats.parallel_phases > 0
    assert sorted(spent)[1] < alone + 1e-3, (alone, spent)


CRASH = """
barrier = threading.Barrier(3)
main = threading.get_ident()
alone = threading.Lock()

def crash(ctx):
    import ctypes
    barrier.wait(30)
    # One thread alone: two that crash at once cut each other's report short.
    if threading.get_ident() != main and alone.acquire(blocking=False):
        ctypes.string_at(0)
    barrier.wait(30)

faulthandler.enable()
systems = [fo.system(name=f"s{i}", gil="release")(crash) for i in range(3)]
with fo.Scheduler(fo.World(), fo.Schedule(*systems), backend=backend, workers=3) as scheduler:
    scheduler.tick(0.1)
"""


@pytest.mark.parametrize("backend", BACKENDS)
def test_crash_on_a_worker_shows_where_it_was(backend: str) -> None:
    with pytest.raises(AssertionError, match="Segmentation fault"):
        run_script(CRASH, backend)
