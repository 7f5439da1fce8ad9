"""Who drives goes away, forks, is interrupted or ends, with operations in flight."""

import os
import socket
import threading

import foliot as fo
import pytest
from faults.io_tools import (
    bounded_child,
    finish,
    nothing_left,
    once,
    open_scheduler,
    run_script,
    wishes_ring,
)

pytestmark = pytest.mark.faults


def in_thread(function):
    """Run it in a thread that ends before this returns; raise its error."""
    errors = []

    def call():
        try:
            function()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]


def test_operations_of_a_thread_that_ended_end_in_another_one(way):
    def check():
        left, right = socket.socketpair()
        reader, writer = os.pipe()
        with nothing_left():
            ask, kept = once(
                lambda ctx: [
                    ctx.io.recv(left, 4, whole=True, wait="none"),
                    ctx.io.read(reader, 4, None, wait="none"),
                    ctx.io.timeout(0.001, wait="none"),
                    ctx.io.timeout(3600, wait="none"),
                ]
            )
            scheduler = open_scheduler(way, ask)
            in_thread(lambda: scheduler.tick(0.1))
            right.send(b"abcd")
            os.write(writer, b"efgh")
            in_thread(lambda: finish(scheduler, kept[0][:3]))
            in_thread(scheduler.close)
        received, read, short, long = kept[0]
        # What only its own thread could end is cancelled, or done again by another way.
        assert received.cancelled or received.result == b"abcd"
        assert read.cancelled or read.result == b"efgh"
        assert short.cancelled or short.result is None
        assert long.cancelled

    bounded_child(check)


def test_scheduler_of_a_thread_that_ended_goes_on_elsewhere(way, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"content")

    def check():
        kept = []

        @fo.system(io=True)
        def ask(ctx):
            kept.append(ctx.io.read(path))

        with nothing_left(), open_scheduler(way, ask) as scheduler:
            for _ in range(20):
                in_thread(lambda: scheduler.tick(0.1))
            scheduler.tick(0.1)
            engine = scheduler.io.engine
        assert [one.result for one in kept] == [b"content"] * 21
        assert engine == ("uring" if wishes_ring(way) else "pool")

    bounded_child(check)


def test_idle_owner_of_a_ring_is_told_and_nothing_is_lost(way):
    def check():
        reader, writer = os.pipe()
        begun, over = threading.Event(), threading.Event()
        ask, kept = once(lambda ctx: ctx.io.read(reader, 1, None, wait="none"))
        with open_scheduler(way, ask) as scheduler:

            def drive():
                scheduler.tick(0.1)
                begun.set()
                over.wait()

            thread = threading.Thread(target=drive)
            thread.start()
            begun.wait()
            if scheduler.io.engine == "uring":
                for use in (lambda: scheduler.tick(0.1), scheduler.wait):
                    with pytest.raises(RuntimeError, match="belongs to another thread") as caught:
                        use()
                    assert 'io="pool"' in str(caught.value)
            else:
                scheduler.tick(0.1)
            over.set()
            thread.join()
            os.write(writer, b"x")
            finish(scheduler, kept)
        assert kept[0].cancelled or kept[0].result == b"x"

    bounded_child(check)


def test_close_by_another_thread_while_the_owner_lives_ends_everything(way):
    def check():
        reader, writer = os.pipe()
        begun, over = threading.Event(), threading.Event()
        with nothing_left():
            ask, kept = once(lambda ctx: ctx.io.read(reader, 1, None, wait="none"))
            scheduler = open_scheduler(way, ask)

            def drive():
                scheduler.tick(0.1)
                begun.set()
                over.wait()

            thread = threading.Thread(target=drive)
            thread.start()
            begun.wait()
            scheduler.close()
            assert kept[0].cancelled
            os.write(writer, b"mine")
            assert os.read(reader, 4) == b"mine"
            over.set()
            thread.join()

    bounded_child(check)


@pytest.mark.parametrize("how", ["closes", "forgets"])
def test_fork_in_mid_flight_leaves_the_parent_its_operations(way, how):
    def check():
        left, right = socket.socketpair()
        with nothing_left():
            ask, kept = once(
                lambda ctx: [
                    ctx.io.recv(left, 5, whole=True, wait="none"),
                    ctx.io.timeout(0.01, wait="none"),
                ]
            )
            with open_scheduler(way, ask) as scheduler:
                scheduler.tick(0.1)
                right.send(b"ab")

                def child():
                    with pytest.raises(fo.ForkedError):
                        scheduler.tick(0.1)
                    assert not kept[0][0].done
                    if how == "closes":
                        scheduler.close()
                    again, mine = once(lambda ctx: ctx.io.read("/dev/zero", 3))
                    with open_scheduler(way, again) as other:
                        other.tick(0.1)
                    assert mine[0].result == bytes(3)

                bounded_child(child)
                right.send(b"cde")
                finish(scheduler, kept[0])
            assert kept[0][0].result == b"abcde"
            assert kept[0][1].result is None

    bounded_child(check)


def test_fork_in_a_system_leaves_the_frame_whole(way):
    def check():
        reader, writer = os.pipe()
        statuses = []

        def ask_and_fork(ctx):
            kept = [ctx.io.read(reader, 2, None), ctx.io.write(writer, b"ok", None)]
            child = os.fork()
            if child == 0:
                os._exit(7)
            statuses.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
            return kept

        with nothing_left():
            ask, kept = once(ask_and_fork)
            with open_scheduler(way, ask) as scheduler:
                scheduler.tick(0.1)
        assert statuses == [7]
        assert [one.result for one in kept[0]] == [b"ok", 2]

    bounded_child(check)


INTERRUPTED = """
main = threading.get_ident()
world = fo.World()
Count = fo.resource("Count", "i8")
world.insert(Count(0))
kept = []

def wait_for_ever(ctx):
    kept.append([ctx.io.timeout(3600), ctx.io.read(reader, 1, None)])

def poke():
    # Again and again: the first may come before the wait.
    while not over.wait(0.01):
        signal.pthread_kill(main, signal.SIGINT)

ask = fo.system(io=True, name="ask")(wait_for_ever)
with nothing_left(), open_scheduler(way, ask, world=world) as scheduler:
    scheduler.tick_n(0, 0.1)
    for turn in range(3):
        over = threading.Event()
        thread = threading.Thread(target=poke)
        caught = False
        try:
            thread.start()
            scheduler.tick(0.1)
        except KeyboardInterrupt:
            caught = True
        while True:
            try:
                over.set()
                thread.join()
                break
            except KeyboardInterrupt:
                caught = True
        assert caught
        assert all(one.cancelled for one in kept.pop())
    scheduler.disable("ask")
    scheduler.schedule.add(fo.system(io=True, name="more")(
        lambda ctx: kept.append(ctx.io.read("/dev/zero", 2))))
    scheduler.tick(0.1)
    assert kept[0].result == bytes(2)
    assert scheduler.stats.io_in_flight == 0
world.spawn()
os.write(writer, b"mine")
assert os.read(reader, 4) == b"mine"
print("usable")
"""


def test_interrupt_ends_a_wait_of_an_hour_and_leaves_all_usable(way):
    assert run_script(INTERRUPTED, way) == "usable\n"


IN_FLIGHT = """
def ask(ctx):
    kept.append(ctx.io.read(reader, 1, None, wait="none"))
    ctx.io.timeout(3600, wait="none")
    kept.append(ctx.io.read("/dev/zero", 100, wait="none"))
kept = []
system = fo.system(io=True, name="ask")(ask)
scheduler = open_scheduler(way, system)
"""

EXITS = {
    "of itself": "scheduler.tick(0.1)",
    "by sys.exit": "scheduler.tick(0.1); sys.exit(3)",
    "by an exception": "scheduler.tick(0.1); raise LookupError('the end')",
    "from a system": """
def leave(ctx):
    ctx.io.timeout(3600)
    sys.exit(3)
scheduler.schedule.add(fo.system(io=True, name="leave")(leave))
scheduler.tick(0.1)
""",
    "while a daemon thread drives": """
begun = threading.Event()
def drive():
    while True:
        scheduler.tick(0.1)
        begun.set()
threading.Thread(target=drive, daemon=True).start()
begun.wait()
""",
    "while a daemon thread waits": """
begun = threading.Event()
def hold(ctx):
    ctx.io.timeout(3600)
    begun.set()
scheduler.schedule.add(fo.system(io=True, name="hold")(hold))
threading.Thread(target=scheduler.tick, args=(0.1,), daemon=True).start()
begun.wait()
""",
    "while a daemon thread waits between frames": """
begun = threading.Event()
def drive():
    scheduler.tick(0.1)
    begun.set()
    scheduler.wait()
threading.Thread(target=drive, daemon=True).start()
begun.wait()
""",
}
STATUSES = {
    "by sys.exit": (3, ""),
    "by an exception": (1, "LookupError: the end"),
    "from a system": (3, ""),
}


@pytest.mark.parametrize("exit_", EXITS)
def test_interpreter_exits_with_operations_in_flight(way, exit_):
    status, complaint = STATUSES.get(exit_, (0, ""))
    assert run_script(IN_FLIGHT + EXITS[exit_], way, status, complaint) == ""
