"""Peers that trickle, stop in the middle, or vanish; and descriptors that go while in use."""

import errno
import os
import signal
import socket
import struct

import foliot as fo
import pytest
from faults.io_tools import (
    Text,
    bounded_child,
    finish,
    nothing_left,
    once,
    open_scheduler,
)

pytestmark = pytest.mark.faults


def connected():
    """Both ends of a TCP connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        here = socket.create_connection(server.getsockname())
        there, _ = server.accept()
    return here, there


def reset(connection):
    """Close it so that the peer gets a reset in place of an end."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def test_byte_by_byte_makes_a_whole_record(way):
    data = bytes(range(100))

    def check():
        left, right = socket.socketpair()
        reader, writer = os.pipe()
        received, kept = once(lambda ctx: ctx.io.recv(left, 100, whole=True, wait="none"))
        piped, read = once(lambda ctx: ctx.io.read(reader, 100, None, wait="none"), "piped")
        with open_scheduler(way, received, piped) as scheduler:
            scheduler.tick(0.1)
            for byte in data:
                assert not kept[0].done
                assert not read[0].done
                right.send(bytes([byte]))
                os.write(writer, bytes([byte]))
                # The frame goes on whether the byte was taken or not.
                scheduler.tick(0.1)
            finish(scheduler, [*kept, *read])
        assert kept[0].result == data
        assert read[0].result == data

    bounded_child(check)


def test_end_in_the_middle_of_a_record_gives_what_came(way):
    def check():
        left, right = socket.socketpair()
        reader, writer = os.pipe()
        received, kept = once(lambda ctx: ctx.io.recv(left, 100, whole=True, wait="none"))
        piped, read = once(lambda ctx: ctx.io.read(reader, 100, None, wait="none"), "piped")
        with open_scheduler(way, received, piped) as scheduler:
            scheduler.tick(0.1)
            right.send(b"half")
            os.write(writer, b"a pip")
            scheduler.tick(0.1)
            right.close()
            os.close(writer)
            finish(scheduler, [kept[0], read[0]])
        assert kept[0].result == b"half"
        assert read[0].result == b"a pip"

    bounded_child(check)


def test_end_in_the_middle_of_a_component_gives_what_came(way):
    def check():
        left, right = socket.socketpair()
        world = fo.World()
        entity = world.spawn(Text(b"old"))
        kept = []

        @fo.system(io=True, writes=Text)
        def receive(ctx):
            if not kept:
                kept.append(ctx.io.recv(left, 64, whole=True, to=(entity, Text), wait="none"))

        with open_scheduler(way, receive, world=world) as scheduler:
            scheduler.tick(0.1)
            right.send(b"half")
            right.close()
            finish(scheduler, kept)
        assert kept[0].result == 4
        assert bytes(world.get(entity, Text).value) == b"half"

    bounded_child(check)


def test_reset_ends_what_waits_with_its_error(way):
    def check():
        here, there = connected()
        with nothing_left():
            one, several = connected()
            plain, kept = once(lambda ctx: ctx.io.recv(here, wait="none"), "plain")
            many, pieces = once(lambda ctx: ctx.io.recv(one, many=True), "many")
            with open_scheduler(way, plain, many) as scheduler:
                scheduler.tick(0.1)
                several.send(b"last words")
                scheduler.tick(0.1)
                reset(there)
                reset(several)
                finish(scheduler, [kept[0], pieces[0]])
                assert isinstance(kept[0].error, ConnectionResetError)
                assert isinstance(pieces[0].error, ConnectionResetError)
                assert b"".join(pieces[0].take()) in (b"last words", b"")
            one.close()
            here.close()
            here, there = connected()

    bounded_child(check)


def test_send_to_who_vanished_is_an_error_and_no_signal(way):
    def check():
        # The default would end the process.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        here, there = connected()
        left, right = socket.socketpair()
        reset(there)
        right.close()
        first, kept = once(lambda ctx: [ctx.io.send(here, b"x"), ctx.io.send(left, b"x")])
        with open_scheduler(way, first) as scheduler:
            scheduler.tick(0.1)
        to_reset, to_closed = kept[0]
        assert isinstance(to_reset.error, (ConnectionResetError, BrokenPipeError))
        assert isinstance(to_closed.error, BrokenPipeError)

    bounded_child(check)


def test_write_to_a_pipe_without_a_reader_is_an_error(way):
    """The signal is Python's to ignore; a pipe has no other way."""

    def check():
        reader, writer = os.pipe()
        os.close(reader)
        ask, kept = once(lambda ctx: ctx.io.write(writer, b"x", None))
        with open_scheduler(way, ask) as scheduler:
            scheduler.tick(0.1)
        assert isinstance(kept[0].error, BrokenPipeError)

    bounded_child(check)


def test_peer_that_vanishes_in_the_middle_of_a_send_tells_how_far_it_came(way):
    def check():
        left, right = socket.socketpair()
        data = bytes(16 << 20)
        ask, kept = once(lambda ctx: ctx.io.send(left, data, wait="none"))
        with open_scheduler(way, ask) as scheduler:
            scheduler.tick(0.1)
            assert len(right.recv(1000)) == 1000
            scheduler.tick(0.1)
            assert not kept[0].done
            right.close()
            finish(scheduler, kept)
        assert isinstance(kept[0].error, (BrokenPipeError, ConnectionResetError))
        note = kept[0].error.__notes__[-1]
        assert note.startswith("the operation: send of ")
        assert note.endswith(" bytes")

    bounded_child(check)


def test_connection_that_is_refused_is_told(way):
    def check():
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = free.getsockname()
            with socket.socket() as client:
                ask, kept = once(lambda ctx: ctx.io.connect(client, address))
                with open_scheduler(way, ask) as scheduler:
                    scheduler.tick(0.1)
        assert isinstance(kept[0].error, ConnectionRefusedError)

    bounded_child(check)


@pytest.mark.parametrize("other_end", [False, True])
def test_named_pipe_is_opened_without_waiting_for_its_other_end(way, other_end, tmp_path):
    """As a ring does it: a wait of a thread for somebody who never comes could not be ended."""
    path = tmp_path / "pipe"
    os.mkfifo(path)

    def check():
        with nothing_left():
            held = os.open(path, os.O_RDWR | os.O_NONBLOCK) if other_end else None
            ask, kept = once(lambda ctx: [ctx.io.open(path), ctx.io.open(path, os.O_WRONLY)])
            with open_scheduler(way, ask) as scheduler:
                scheduler.tick(0.1)
            reads, writes = kept[0]
            assert os.get_blocking(reads.result)
            if other_end:
                os.write(writes.result, b"x")
                assert os.read(reads.result, 1) == b"x"
                os.close(writes.result)
                os.close(held)
            else:
                # Whether the reader is there already is a matter of who comes first.
                assert writes.error is None or writes.error.errno == errno.ENXIO
                if writes.error is None:
                    os.close(writes.result)
            os.close(reads.result)

    bounded_child(check)


def test_write_to_a_named_pipe_that_nobody_reads_is_an_error(way, tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)

    def check():
        with nothing_left():
            ask, kept = once(lambda ctx: ctx.io.write(path, b"x"))
            with open_scheduler(way, ask) as scheduler:
                scheduler.tick(0.1)
            assert kept[0].error.errno == errno.ENXIO

    bounded_child(check)


def test_close_ends_all_that_wait_on_the_descriptor(way):
    def check():
        with nothing_left():
            left, right = socket.socketpair()
            number = left.detach()
            ask, kept = once(
                lambda ctx: [
                    ctx.io.recv(number, wait="none"),
                    ctx.io.recv(number, 10, whole=True, wait="none"),
                    ctx.io.poll(number, 1, wait="none"),
                ]
            )
            close, closed = once(lambda ctx: ctx.io.close(number) if ctx.frame else None, "close")
            with open_scheduler(way, ask) as scheduler:
                scheduler.tick(0.1)
                scheduler.schedule.add(close)
                scheduler.tick(0.1)
                finish(scheduler, [*kept[0], *closed])
            assert [one.cancelled for one in kept[0]] == [True] * 3
            assert closed[0].result is None
            assert right.recv(1) == b""
            right.close()

    bounded_child(check)


def test_number_that_is_used_again_while_something_waits_on_it(way):
    """A ring waits for the old file, the pool for whatever has the number; both get an end."""

    def check():
        left, right = socket.socketpair()
        other, peer = socket.socketpair()
        number = left.detach()
        ask, kept = once(lambda ctx: ctx.io.recv(number, 10, wait="none"))
        again, later = once(lambda ctx: ctx.io.recv(number, 10, wait="none"), "again")
        with open_scheduler(way, ask) as scheduler:
            scheduler.tick(0.1)
            os.dup2(other.fileno(), number)
            scheduler.schedule.add(again)
            scheduler.tick(0.1)
            while not later[0].done:
                peer.send(b"new")
                scheduler.wait()
                scheduler.tick(0.1)
            if not kept[0].done:
                right.send(b"old")
            finish(scheduler, kept)
        assert later[0].result.startswith(b"new")
        assert kept[0].result == b"old" or kept[0].result.startswith(b"new")
        os.close(number)

    bounded_child(check)


def test_number_that_was_closed_meanwhile_ends_and_hangs_nothing(way):
    def check():
        reader, writer = os.pipe()
        ask, kept = once(lambda ctx: ctx.io.read(reader, 4, None, wait="none"))
        late, refused = once(lambda ctx: ctx.io.read(reader, 4, None), "late")
        with open_scheduler(way, ask) as scheduler:
            scheduler.tick(0.1)
            os.close(reader)
            scheduler.schedule.add(late)
            scheduler.tick(0.1)
            assert refused[0].error.errno == errno.EBADF
            cancel, _ = once(lambda ctx: ctx.io.cancel(kept[0]), "cancel")
            scheduler.schedule.add(cancel)
            scheduler.tick(0.1)
            finish(scheduler, kept)
        assert kept[0].cancelled or kept[0].error.errno == errno.EBADF
        os.close(writer)

    bounded_child(check)
