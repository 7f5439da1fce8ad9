"""When operations end: stages, phases, later frames, timeouts, cancels, streams and waits."""

import errno
import os
import socket
import threading
import time

import foliot as fo
import pytest
from io_support import Engine
from support import run_together


@pytest.fixture
def pair():
    left, right = socket.socketpair()
    with left, right:
        yield left, right


def once(ask, **declared):
    """A system that asks in its first frame, and the list of what it got."""
    kept = []

    def run(ctx):
        if not kept:
            kept.append(ask(ctx))

    return fo.system(io=True, name="ask", **declared)(run), kept


def run_until_done(scheduler, operation):
    while not operation.done:
        scheduler.wait()
        scheduler.tick(0.1)


def test_stage_waits_for_what_was_asked_in_it(engine):
    seen = []
    Gate = fo.resource("Gate", "i8")
    world = fo.World()
    world.insert(Gate(0))
    kept = []
    ask = fo.system(io=True, name="ask", writes=Gate)(
        lambda ctx: kept.append(ctx.io.timeout(0.001))
    )
    look = fo.system(name="look", reads=Gate)(lambda ctx: seen.append(kept[0].done))
    with engine.scheduler(ask, look, world=world) as scheduler:
        scheduler.tick(0.1)
    assert seen == [True]


def test_phase_ends_with_what_was_asked_to_end_with_it(engine):
    ask, kept = once(lambda ctx: ctx.io.timeout(0.001, wait="phase"))
    seen = []
    look = fo.system(name="look", phase="last")(lambda ctx: seen.append(kept[0].done))
    with engine.scheduler(ask, look) as scheduler:
        scheduler.tick(0.1)
    assert seen == [True]


def test_later_frame_delivers_what_nothing_waits_for(engine, pipe):
    reader, writer = pipe
    ask, kept = once(lambda ctx: ctx.io.read(reader, 3, None, wait="none"))
    with engine.scheduler(ask) as scheduler:
        scheduler.tick(0.1)
        assert not kept[0].done
        assert scheduler.stats.io_in_flight == 1
        assert scheduler.wait(0.0) is False
        os.write(writer, b"abc")
        assert scheduler.wait() is True
        assert not kept[0].done
        scheduler.tick(0.1)
        assert kept[0].result == b"abc"
        assert scheduler.wait() is False
        assert scheduler.stats.io_in_flight == 0


def test_wait_is_over_at_once_when_there_is_nothing_to_wait_for(engine):
    with engine.scheduler(once(lambda ctx: ctx.io.nop())[0]) as scheduler:
        assert scheduler.wait() is False
        scheduler.tick(0.1)
        assert scheduler.wait(1000) is False


@pytest.mark.parametrize("timeout", [-1, float("nan"), float("inf"), 1e10, 10**400])
def test_wait_refuses_timeouts_out_of_range(timeout):
    with (
        fo.Scheduler(fo.World(), fo.Schedule()) as scheduler,
        pytest.raises(ValueError, match="from 0 to 1e9 seconds"),
    ):
        scheduler.wait(timeout)


@pytest.mark.parametrize("timeout", ["1", True, [], 1j])
def test_wait_refuses_what_is_no_number(timeout):
    with fo.Scheduler(fo.World(), fo.Schedule()) as scheduler:
        with pytest.raises(TypeError, match="number of seconds"):
            scheduler.wait(timeout=timeout)
        with pytest.raises(TypeError, match="at most one argument"):
            scheduler.wait(1, 2)


def test_timeout_ends_an_operation_with_a_timeout_error(engine, pipe):
    operation = engine.ask(lambda ctx: ctx.io.read(pipe[0], 1, None, timeout=0.01))
    with pytest.raises(TimeoutError):
        operation.result
    assert not operation.cancelled
    assert operation.error.errno == errno.ETIMEDOUT


def test_timers_go_by_the_clock_of_the_scheduler(engine):
    clock = fo.VirtualClock()
    operation = engine.ask(lambda ctx: ctx.io.timeout(500.0), scheduler={"clock": clock})
    assert operation.result is None
    assert clock.now >= 500.0


def test_cancel_ends_an_operation_of_an_earlier_frame(engine, pipe):
    ask, kept = once(lambda ctx: ctx.io.read(pipe[0], 1, None, wait="none"))
    answers = []
    stop = fo.system(io=True, name="stop", run_if=lambda ctx: ctx.frame == 1)(
        lambda ctx: answers.append(ctx.io.cancel(kept[0]))
    )
    with engine.scheduler(ask, stop) as scheduler:
        scheduler.tick(0.1)
        scheduler.tick(0.1)
        run_until_done(scheduler, kept[0])
    assert kept[0].cancelled
    assert isinstance(kept[0].error, OSError)
    assert answers[0].result is True


def test_cancel_of_what_has_ended_says_so(engine):
    ask, kept = once(lambda ctx: ctx.io.nop())
    answers = []
    stop = fo.system(io=True, name="stop", phase="last")(
        lambda ctx: answers.append(ctx.io.cancel(kept[0]))
    )
    with engine.scheduler(ask, stop) as scheduler:
        scheduler.tick(0.1)
    assert answers[0].result is False
    assert kept[0].result is None


def test_cancel_takes_operations_of_its_own_scheduler_only(engine):
    operation = engine.ask(lambda ctx: ctx.io.nop())

    def ask(ctx):
        with pytest.raises(ValueError, match="another scheduler"):
            ctx.io.cancel(operation)
        with pytest.raises(TypeError, match="takes an Operation"):
            ctx.io.cancel(3)

    engine.ask(ask)


def test_recv_gives_what_has_come_and_empty_bytes_at_the_end(engine, pair):
    left, right = pair
    right.send(b"hello")
    assert engine.ask(lambda ctx: ctx.io.recv(left)).result == b"hello"
    right.send(b"hello")
    assert engine.ask(lambda ctx: ctx.io.recv(left, 2)).result == b"he"
    buffer = bytearray(2)
    assert engine.ask(lambda ctx: ctx.io.recv(left, into=buffer)).result == 2
    assert buffer == b"ll"
    right.close()
    assert engine.ask(lambda ctx: ctx.io.recv(left)).result == b"o"
    assert engine.ask(lambda ctx: ctx.io.recv(left)).result == b""


def test_whole_recv_goes_on_until_all_came(engine, pair):
    left, right = pair
    ask, kept = once(lambda ctx: ctx.io.recv(left, 6, whole=True, wait="none"))
    with engine.scheduler(ask) as scheduler:
        scheduler.tick(0.1)
        right.send(b"abc")
        scheduler.wait(0.001)
        scheduler.tick(0.1)
        assert not kept[0].done
        right.send(b"def")
        run_until_done(scheduler, kept[0])
    assert kept[0].result == b"abcdef"


def test_send_sends_everything(engine, pair):
    left, right = pair
    data = bytes(range(256)) * 4096
    got = bytearray()

    def receive():
        while len(got) < len(data):
            got.extend(right.recv(65536))

    answers = []
    run_together(
        receive, lambda: answers.append(engine.ask(lambda ctx: ctx.io.send(left, data)).result)
    )
    assert answers == [len(data)]
    assert got == data


def test_send_to_a_peer_that_has_gone_is_a_broken_pipe(engine, pair):
    left, right = pair
    right.close()
    assert isinstance(engine.ask(lambda ctx: ctx.io.send(left, b"x")).error, BrokenPipeError)


def test_stream_gives_its_pieces_in_order_until_it_ends(engine, pair):
    left, right = pair
    ask, kept = once(lambda ctx: ctx.io.recv(left, many=True))
    got = []
    with engine.scheduler(ask) as scheduler:
        scheduler.tick(0.1)
        assert kept[0].take() == []
        for number in range(5):
            right.send(b"%d" % number)
            scheduler.wait()
            scheduler.tick(0.1)
            got += kept[0].take()
        right.close()
        run_until_done(scheduler, kept[0])
        got += kept[0].take()
    assert b"".join(got) == b"01234"
    assert kept[0].result == len(got)
    assert kept[0].take() == []


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6, socket.AF_UNIX])
def test_connections_are_made_and_accepted(engine, family, tmp_path):
    server = socket.socket(family)
    if family == socket.AF_UNIX:
        server.bind(str(tmp_path / "socket"))
        address = tmp_path / "socket"
    else:
        server.bind(("127.0.0.1" if family == socket.AF_INET else "::1", 0))
        address = server.getsockname()
    server.listen()
    with server:
        ask, kept = once(lambda ctx: ctx.io.accept(server, wait="none"))
        asked, sockets = once(lambda ctx: ctx.io.socket(family))
        made, answers = once(lambda ctx: ctx.io.connect(sockets[0].result, address), phase="last")
        object.__setattr__(asked, "name", "socket")
        object.__setattr__(made, "name", "connect")
        with engine.scheduler(ask, asked, made) as scheduler:
            scheduler.tick(0.1)
            run_until_done(scheduler, kept[0])
    assert answers[0].result is None
    with (
        socket.socket(fileno=kept[0].result) as there,
        socket.socket(fileno=sockets[0].result) as here,
    ):
        here.send(b"x")
        assert there.recv(1) == b"x"


def test_accepts_come_until_they_are_cancelled_and_untaken_ones_are_closed(engine):
    with socket.create_server(("127.0.0.1", 0)) as server:
        ask, kept = once(lambda ctx: ctx.io.accept(server, many=True))
        before = len(os.listdir("/proc/self/fd"))
        with engine.scheduler(ask) as scheduler:
            scheduler.tick(0.1)
            clients = []
            taken = []
            while len(taken) < 3:
                clients.append(socket.create_connection(server.getsockname()))
                scheduler.wait()
                scheduler.tick(0.1)
                taken += kept[0].take()
            clients.append(socket.create_connection(server.getsockname()))
            scheduler.wait()
            scheduler.tick(0.1)
        for descriptor in taken:
            socket.socket(fileno=descriptor).close()
        for client in clients:
            client.close()
        kept.clear()
        assert len(os.listdir("/proc/self/fd")) <= before


def test_shutdown_ends_the_stream_of_the_peer(engine, pair):
    left, right = pair
    assert engine.ask(lambda ctx: ctx.io.shutdown(left, socket.SHUT_WR)).result is None
    assert right.recv(1) == b""


def test_poll_gives_the_events_that_are_there(engine, pipe):
    import select

    reader, writer = pipe
    os.write(writer, b"x")
    operation = engine.ask(lambda ctx: ctx.io.poll(reader, select.POLLIN))
    assert operation.result & select.POLLIN


def test_close_cancels_what_waits_on_the_descriptor(engine):
    left, right = socket.socketpair()
    ask, kept = once(lambda ctx: ctx.io.recv(left.fileno(), wait="none"))
    close = fo.system(io=True, name="close", run_if=lambda ctx: ctx.frame == 1)(
        lambda ctx: ctx.io.close(left.fileno())
    )
    with right, engine.scheduler(ask, close) as scheduler:
        scheduler.tick(0.1)
        scheduler.tick(0.1)
        run_until_done(scheduler, kept[0])
    assert kept[0].cancelled
    left.detach()


def test_take_is_for_streams_only(engine):
    operation = engine.ask(lambda ctx: ctx.io.nop())
    with pytest.raises(TypeError, match="many=True"):
        operation.take()


def test_another_thread_takes_over_when_nothing_is_in_flight(engine):
    ask = fo.system(io=True, name="ask")(lambda ctx: ctx.io.nop() and None)
    with engine.scheduler(ask) as scheduler:
        scheduler.tick(0.1)
        thread = threading.Thread(target=scheduler.tick, args=(0.1,))
        thread.start()
        thread.join()
        scheduler.tick(0.1)
        assert scheduler.stats.io_completed == 3


def test_ring_in_use_by_a_living_thread_is_refused_with_what_to_do(pipe):
    engine = Engine("blocking", "uring")
    ask, kept = once(lambda ctx: ctx.io.read(pipe[0], 1, None, wait="none"))
    begun, over = threading.Event(), threading.Event()
    with engine.scheduler(ask) as scheduler:

        def drive():
            scheduler.tick(0.1)
            begun.set()
            over.wait()

        thread = threading.Thread(target=drive)
        thread.start()
        begun.wait()
        for use in (lambda: scheduler.tick(0.1), scheduler.wait):
            with pytest.raises(RuntimeError, match="belongs to another thread") as caught:
                use()
            assert 'io="pool"' in str(caught.value)
        over.set()
        thread.join()
        os.write(pipe[1], b"x")
        run_until_done(scheduler, kept[0])


def send_beside_a_receiver(engine, pair, clock, **run):
    """Frames of a system that sends more than the sockets hold, and a thread that receives it."""
    left, right = pair
    data = bytes(range(256)) * 16384
    received = threading.Event()
    ask, kept = once(lambda ctx: ctx.io.send(left, data, wait="none"))

    def receive():
        missing = len(data)
        while missing > 0:
            missing -= len(right.recv(65536))
        received.set()

    def drive():
        with engine.scheduler(ask, clock=clock(received)) as scheduler:
            report = scheduler.run(until=received, **run)
            assert report.frames == 1
            run_until_done(scheduler, kept[0])

    run_together(receive, drive)
    assert kept[0].result == len(data)


def test_operations_go_on_while_a_run_waits_for_the_time_of_a_frame(engine, pair):
    send_beside_a_receiver(engine, pair, lambda received: None, rate=0.01)


class StandingClock:
    """A clock that moves to where it is waited for once something has happened."""

    def __init__(self, moves):
        self.moves, self.now = moves, 0

    def now_ns(self):
        return self.now

    def wait_until_ns(self, deadline_ns, max_wait_ns):
        if self.moves.wait(0.001):
            self.now = deadline_ns


def test_operations_go_on_while_a_run_waits_on_a_clock_of_its_own(engine, pair):
    send_beside_a_receiver(engine, pair, StandingClock, rate=0.01)


def test_what_comes_starts_no_frame_of_a_run_early(engine, pipe):
    begun = []

    def ask(ctx):
        begun.append(time.monotonic())
        ctx.io.nop(wait="none")
        ctx.io.timeout(0.001, wait="none")

    with engine.scheduler(fo.system(io=True, name="ask")(ask)) as scheduler:
        start = time.monotonic()
        scheduler.run(rate=50, ticks=4)
    assert len(begun) == 4
    assert all(at >= start + number / 50 for number, at in enumerate(begun))


FRAMES = 200


def calls_of_frames(engine, ask):
    """System calls of so many frames, in each of which a system asks, after a first one."""
    with engine.scheduler(fo.system(io=True, name="ask")(ask)) as scheduler:
        scheduler.tick(0.1)
        before = scheduler.stats.io_system_calls
        scheduler.tick_n(FRAMES, 0.1)
        return scheduler.stats.io_system_calls - before


@pytest.mark.parametrize("backend", ["blocking", "stealing"])
def test_stage_of_reads_that_come_at_once_takes_one_system_call(backend, tmp_path):
    path = tmp_path / "block"
    path.write_bytes(b"x" * 4096)
    with path.open("rb") as file:

        def ask(ctx):
            for place in range(32):
                ctx.io.read(file, 64, 64 * place)

        assert calls_of_frames(Engine(backend, "uring"), ask) == FRAMES


@pytest.mark.parametrize("backend", ["blocking", "stealing"])
def test_stage_that_waits_takes_two_system_calls_at_ever_fewer_tries(backend, pair):
    def ask(ctx):
        # The one that waits comes first, and ends by what the other one sends.
        ctx.io.recv(pair[0], 1)
        ctx.io.send(pair[1], b"x")

    calls = calls_of_frames(Engine(backend, "uring"), ask)
    # Tries after 1, 3, 7 … stages without one.
    assert FRAMES <= calls <= FRAMES + FRAMES.bit_length()
