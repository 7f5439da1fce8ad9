"""Many operations: cancels that race, descriptors by the thousand, frames that look late."""

import gc
import os
import random
import socket

import foliot as fo
import pytest

pytest.importorskip("cffi")

from faults.io_tools import (
    bounded_child,
    finish,
    nothing_left,
    once,
    open_scheduler,
    resident_bytes,
)
from stress.crowd import rounds

pytestmark = pytest.mark.stress


def test_cancel_that_races_the_completion_leaves_one_end(way):
    seed = random.randrange(1 << 32)
    draw = random.Random(seed)
    count = rounds(1000, 10_000)

    def check():
        reader, writer = os.pipe()
        asked = []

        @fo.system(io=True)
        def race(ctx):
            for kind in draw.choices(["timeout", "read", "nop"], k=100):
                if kind == "timeout":
                    operation = ctx.io.timeout(draw.random() * 1e-4, wait="none")
                elif kind == "read":
                    operation = ctx.io.read(reader, 1, None, wait="none")
                    ctx.io.write(writer, b"x", None)
                else:
                    operation = ctx.io.nop(wait="none")
                asked.append((kind, operation, []))
            for _, operation, told in draw.sample(asked, min(len(asked), 60)):
                told.append(ctx.io.cancel(operation, wait="none"))

        with nothing_left(), open_scheduler(way, race) as scheduler:
            for _ in range(count // 100):
                scheduler.tick(0.1)
            scheduler.disable("race")
            for kind, operation, _ in asked:
                if kind == "read" and not operation.done:
                    os.write(writer, b"x")
            finish(scheduler, [operation for _, operation, _ in asked])
            finish(scheduler, [one for _, _, told in asked for one in told])
            assert scheduler.stats.io_in_flight == 0
            assert scheduler.stats.io_completed == scheduler.stats.io_submitted
        for kind, operation, told in asked:
            assert operation.done
            assert operation.cancelled or operation.error is None, (seed, operation.error)
            if operation.cancelled:
                assert any(one.result for one in told), seed
            elif kind == "read":
                assert operation.result == b"x", seed

    bounded_child(check)


def test_cancelled_opens_leave_no_descriptor(way, tmp_path):
    count = rounds(60, 1000)
    os.mkfifo(tmp_path / "pipe")

    def check():
        kept = []

        @fo.system(io=True)
        def ask(ctx):
            for operation in kept[-10:]:
                ctx.io.cancel(operation, wait="none")
            if len(kept) < count:
                kept.extend(ctx.io.open(tmp_path / "pipe", wait="none") for _ in range(10))

        with nothing_left(), open_scheduler(way, ask) as scheduler:
            for _ in range(count // 10 + 1):
                scheduler.tick(0.1)
            finish(scheduler, kept)
            assert all(one.cancelled or one.error is None for one in kept)
            kept.clear()

    bounded_child(check)


def test_cancelled_accepts_leave_no_descriptor_and_lose_no_connection(way):
    count = rounds(100, 1000)

    def check():
        with nothing_left():
            server = socket.create_server(("127.0.0.1", 0), backlog=512)
            clients = []
            kept = []

            def ask(ctx):
                for operation in kept[-10:]:
                    ctx.io.cancel(operation, wait="none")
                if len(kept) < count:
                    kept.extend(ctx.io.accept(server, wait="none") for _ in range(10))

            system = fo.system(io=True, name="ask")(ask)
            with open_scheduler(way, system) as scheduler:
                for _ in range(count // 10):
                    scheduler.tick(0.1)
                    clients.append(socket.create_connection(server.getsockname()))
                scheduler.tick(0.1)
                finish(scheduler, kept)
                for one in kept:
                    assert one.cancelled or one.error is None
                    if not one.cancelled:
                        os.close(one.result)
            for client in clients:
                client.close()
            server.close()
            kept.clear()

    bounded_child(check)


def test_completions_that_nobody_takes_for_long_all_arrive(way):
    count = rounds(3000, 30_000)

    def check():
        with nothing_left():
            ask, kept = once(
                lambda ctx: (
                    [ctx.io.nop(wait="none") for _ in range(count)]
                    + [ctx.io.timeout(1e-6, wait="none") for _ in range(count)]
                    + [ctx.io.read("/dev/zero", 1, wait="none") for _ in range(count // 10)]
                )
            )
            with open_scheduler(way, ask) as scheduler:
                scheduler.tick(0.1)
                finish(scheduler, kept[0])
                assert scheduler.stats.io_completed == len(kept[0])
            assert all(one.error is None for one in kept[0])

    bounded_child(check)


def test_many_operations_make_nothing_grow(way, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"x" * 4096)
    frames = rounds(60, 2000)
    buffer = bytearray(4096)

    def check():
        descriptor = os.open(path, os.O_RDONLY)
        left, right = socket.socketpair()

        @fo.system(io=True)
        def work(ctx):
            for _ in range(200):
                ctx.io.nop()
            for _ in range(200):
                ctx.io.read(descriptor, 4096)
            ctx.io.read(descriptor, into=buffer)
            ctx.io.read(path)
            ctx.io.read_many([path] * 20)
            ctx.io.send(right, b"0123456789")
            ctx.io.recv(left, 10, whole=True)
            for _ in range(50):
                ctx.io.timeout(0)
            ctx.io.cancel(ctx.io.timeout(3600))

        with nothing_left(), open_scheduler(way, work) as scheduler:
            scheduler.tick_n(40, 0.1)
            gc.collect()
            before = resident_bytes()
            scheduler.tick_n(frames, 0.1)
            gc.collect()
            grown = resident_bytes() - before
            stats = scheduler.stats
            assert stats.io_completed == stats.io_submitted >= 475 * frames
            assert grown < 2 << 20, grown

    bounded_child(check)
