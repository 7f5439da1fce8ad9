"""The end of the interpreter with schedulers still open, idle or running."""

import subprocess
import sys

PRELUDE = """
import threading, foliot as fo
Mass = fo.component("Mass", "f8")
@fo.system(writes=Mass)
def grow(ctx):
    for chunk in ctx:
        chunk[Mass] += 1.0
world = fo.World()
world.spawn(Mass(1.0))
scheduler = fo.Scheduler(world, fo.Schedule(grow))
"""


def check_quiet(program):
    answer = subprocess.run(
        [sys.executable, "-c", PRELUDE + program], capture_output=True, text=True, check=False
    )
    assert (answer.returncode, answer.stderr) == (0, "")


def test_open_scheduler_is_closed_at_exit():
    check_quiet("scheduler.tick(0.1)")


def test_scheduler_in_a_cycle_is_closed_at_exit():
    check_quiet("world.insert(type('Log', (), {'scheduler': scheduler})())")


def test_scheduler_that_a_daemon_thread_runs_does_not_hold_up_the_exit():
    check_quiet("""
begun = threading.Event()
def until():
    begun.set()
threading.Thread(target=scheduler.run, kwargs={"until": until}, daemon=True).start()
begun.wait()
""")


def test_interrupted_program_ends_like_any_other():
    answer = subprocess.run(
        [sys.executable, "-c", PRELUDE + "import signal\nsignal.raise_signal(signal.SIGINT)"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "KeyboardInterrupt" in answer.stderr
