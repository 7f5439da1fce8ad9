"""Limits of the process and full devices: each operation ends, and tells what it lacked."""

import errno
import os
import resource
import signal
import socket

import foliot as fo
import pytest
from faults.io_tools import (
    Text,
    bounded_child,
    finish,
    mixed_work,
    mount_small,
    nothing_left,
    once,
    open_scheduler,
    told,
    wishes_ring,
)

pytestmark = pytest.mark.faults

NOBODY = 65534


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """What the work gives without limits."""
    return mixed_work(tmp_path_factory.mktemp("expected"), ("blocking", "uring"))[:2]


def limit(kind, soft):
    resource.setrlimit(kind, (soft, resource.getrlimit(kind)[1]))


def mapped_bytes():
    """Address space of this process."""
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


def run_frame(way, *functions, frames=1, **options):
    """What systems with I/O got in the first frame."""
    made = [once(function, f"system{index}") for index, function in enumerate(functions)]
    with open_scheduler(way, *(system for system, _ in made), **options) as scheduler:
        for _ in range(frames):
            scheduler.tick(0.1)
    return [kept[0] for _, kept in made]


def test_nobodys_tiny_locked_memory_gives_the_same_results(way, expected, tmp_path):
    tmp_path.chmod(0o777)

    def check():
        # Only who may lock without a limit is not bound by it.
        os.chdir(tmp_path)
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (4096, 4096))
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        report = fo.io.probe()
        assert report.available or "RLIMIT_MEMLOCK" in report.cure
        with nothing_left():
            results, digest, info = mixed_work(".", way)
        assert (results, digest) == expected
        assert info.engine == "uring" or "RLIMIT_MEMLOCK" in info.reason or not info.reason

    bounded_child(check)


def test_no_descriptor_for_a_ring_leaves_the_error_or_the_pool(way):
    def check():
        buffer = bytearray(4)
        zero = os.open("/dev/zero", os.O_RDONLY)
        limit(resource.RLIMIT_NOFILE, zero + 1)
        report = fo.io.probe()
        assert not report.available
        assert "RLIMIT_NOFILE" in report.cure
        system, kept = once(lambda ctx: ctx.io.read(zero, into=buffer))
        with open_scheduler(way, system) as scheduler:
            scheduler.tick(0.1)
            info = scheduler.io
        assert info.engine == "pool"
        assert kept[0].done
        assert kept[0].error is None or kept[0].error.errno == errno.EMFILE
        if wishes_ring(way):
            assert "RLIMIT_NOFILE" in info.reason
        limit(resource.RLIMIT_NOFILE, zero + 100)
        [after] = run_frame(way, lambda ctx: ctx.io.read(zero, 4))
        assert after.result == bytes(4)

    bounded_child(check)


def test_fewer_descriptors_than_paths_still_read_all_of_them(way, tmp_path):
    paths = [tmp_path / str(number) for number in range(300)]
    for number, path in enumerate(paths):
        path.write_bytes(b"%d" % number)

    def check():
        with nothing_left():
            system, kept = once(lambda ctx: ctx.io.read_many(paths))
            with open_scheduler(way, fo.system(io=True, name="warm")(lambda ctx: None)):
                used = len(os.listdir("/proc/self/fd"))
            limit(resource.RLIMIT_NOFILE, used + 24)
            with open_scheduler(way, system) as scheduler:
                scheduler.tick(0.1)
            found = kept[0]
            refused = {error.errno for error in found.errors.values()}
            assert refused <= {errno.EMFILE}
            for number, result in enumerate(found.results):
                assert (result is None) == (number in found.errors)
                assert result in (None, b"%d" % number)
            assert len(found.errors) == 0, f"{len(found.errors)} of 300 had no descriptor"

    bounded_child(check)


def test_opens_beyond_the_limit_are_errors_of_their_own(way, tmp_path):
    path = tmp_path / "file"
    path.touch()

    def check():
        with nothing_left():
            system, kept = once(lambda ctx: [ctx.io.open(path) for _ in range(100)])
            with open_scheduler(way, system) as scheduler:
                limit(resource.RLIMIT_NOFILE, 64)
                scheduler.tick(0.1)
                opened = [one.result for one in kept[0] if one.error is None]
                errors = {one.error.errno for one in kept[0] if one.error is not None}
                assert errors == {errno.EMFILE}
                assert 0 < len(opened) < 64
                for descriptor in opened:
                    os.close(descriptor)

    bounded_child(check)


def test_write_beyond_the_file_size_limit_ends_there_with_efbig(way, tmp_path):
    """Python ignores SIGXFSZ, so the write is refused in place of the process."""
    path = tmp_path / "file"

    def check():
        assert signal.getsignal(signal.SIGXFSZ) is signal.SIG_IGN
        limit(resource.RLIMIT_FSIZE, 10_000)
        with nothing_left():
            [operation] = run_frame(way, lambda ctx: ctx.io.write(path, b"x" * 30_000))
            assert operation.error.errno == errno.EFBIG
            assert operation.error.filename == str(path)
            assert operation.error.__notes__[-1].endswith(", after 10000 bytes")
        assert path.read_bytes() == b"x" * 10_000

    bounded_child(check)


def test_write_to_a_full_device_is_told(way, tmp_path):
    def check():
        mount_small(tmp_path, 16 * 4096)
        path = tmp_path / "file"
        with nothing_left():
            whole, again = run_frame(
                way,
                lambda ctx: ctx.io.write(path, b"x" * 100_000),
                lambda ctx: ctx.io.write(tmp_path / "other", b"y" * 5000),
                frames=2,
            )
            assert whole.error.errno == errno.ENOSPC
            assert whole.error.filename == str(path)
            written = len(path.read_bytes())
            assert 0 < written < 100_000
            assert whole.error.__notes__[-1].endswith(f", after {written} bytes")
            assert again.error is None or again.error.errno == errno.ENOSPC
            path.unlink()
            [after] = run_frame(way, lambda ctx: ctx.io.write(path, b"z" * 5000))
            assert after.result == 5000
            assert path.read_bytes() == b"z" * 5000

    bounded_child(check)


def test_many_writes_to_a_full_device_are_whole_or_errors(way, tmp_path):
    def check():
        mount_small(tmp_path, 32 * 4096)
        paths = [tmp_path / str(number) for number in range(40)]
        with nothing_left():
            [asked] = run_frame(
                way, lambda ctx: [ctx.io.write(path, b"w" * 6000) for path in paths]
            )
        results = [told(one) for one in asked]
        assert set(results) == {6000, ("OSError", errno.ENOSPC)}
        for path, result in zip(paths, results, strict=True):
            if result == 6000:
                assert path.read_bytes() == b"w" * 6000

    bounded_child(check)


def test_device_that_is_always_full(way):
    with open("/dev/full", "wb", buffering=0) as full:
        one, several = run_frame(
            way,
            lambda ctx: ctx.io.write(full, b"x"),
            lambda ctx: ctx.io.write(full, [b"x" * 1000, bytearray(5)]),
        )
    assert (one.error.errno, several.error.errno) == (errno.ENOSPC, errno.ENOSPC)


def test_address_space_that_is_used_up_is_a_memory_error_and_no_more(way, tmp_path):
    path = tmp_path / "large"
    size = 96 << 20
    with open(path, "wb") as file:
        file.truncate(size)
    left, right = socket.socketpair()

    def check():
        system, kept = once(lambda ctx: [ctx.io.read(path), ctx.io.send(left, b"abc")])
        with nothing_left(), open_scheduler(way, system) as scheduler:
            used = mapped_bytes()
            limit(resource.RLIMIT_AS, used + (32 << 20))
            errors = []
            try:
                scheduler.tick(0.1)
            except fo.FrameError as error:
                errors = error.exceptions
            except MemoryError as error:
                errors = [error]
            limit(resource.RLIMIT_AS, resource.RLIM_INFINITY)
            if not kept:
                assert [type(error) for error in errors] == [MemoryError]
                return
            finish(scheduler, kept[0])
            large, small = kept[0]
            assert isinstance(large.error, MemoryError) or large.error.errno == errno.ENOMEM
            assert small.result == 3 or small.error.errno in (errno.ENOMEM, errno.EAGAIN)
        again = run_frame(way, lambda ctx: ctx.io.read(path))
        assert len(again[0].result) == size

    with left, right:
        bounded_child(check)


def test_address_space_that_is_used_up_while_a_component_is_filled(way, tmp_path):
    path = tmp_path / "large"
    size = 96 << 20
    with open(path, "wb") as file:
        file.truncate(size)

    def check():
        world = fo.World()
        entity = world.spawn(Text(b"old"))

        @fo.system(io=True, writes=Text)
        def load(ctx):
            ctx.io.read(path, to=(entity, Text))

        with nothing_left(), open_scheduler(way, load, world=world, errors="continue") as made:
            used = mapped_bytes()
            limit(resource.RLIMIT_AS, used + (32 << 20))
            try:
                errors = made.tick(0.1).errors
            except MemoryError as error:
                errors = [error]
            limit(resource.RLIMIT_AS, resource.RLIM_INFINITY)
            assert [getattr(error, "errno", errno.ENOMEM) for error in errors] == [errno.ENOMEM]
            assert bytes(world.get(entity, Text).value) == b"old"
            assert made.tick(0.1).errors == []
        assert len(world.get(entity, Text).value) == size

    bounded_child(check)
