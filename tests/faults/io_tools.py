"""What the fault tests of I/O share: refused system calls, small devices, bounded checks, work.

Everything that harms a process (a filter, a limit, a mount) runs in a child of its own, which an
alarm ends if it hangs; its traces then show where.
"""

from __future__ import annotations

import ctypes
import faulthandler
import gc
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import foliot as fo
from foliot import _core
from support import in_child

# Nothing but a hang takes so long.
HANG_SECONDS = 60

# The same numbers on every architecture.
SETUP, ENTER, REGISTER = 425, 426, 427

# Each backend on the engine it prefers, and those that have a choice on the other one too.
WAYS = [*((backend, "auto") for backend in fo.BACKENDS), ("evented", "pool"), ("stealing", "uring")]
WAY_NAMES = [f"{backend}-{io}" for backend, io in WAYS]

Text = fo.component("Text", fo.Bytes)

_libc = ctypes.CDLL(None, use_errno=True)


def bounded_child(check: Callable[[], object]) -> None:
    """Run a check in a forked child that an alarm ends if it hangs."""

    def bounded() -> None:
        faulthandler.register(signal.SIGALRM, chain=True)
        signal.alarm(HANG_SECONDS)
        check()

    in_child(bounded)


def _succeeds(status: int, what: str) -> None:
    if status != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def refuse(numbers: Sequence[int], error: int) -> None:
    """From here on these system calls of the calling thread, and of those it starts, fail."""
    load, jump_if_equal, give = 0x20, 0x15, 0x06
    allow, fail = 0x7FFF0000, 0x00050000
    program = [(load, 0, 0, 0)]
    for place, number in enumerate(numbers):
        program.append((jump_if_equal, len(numbers) - place, 0, number))
    program += [(give, 0, 0, allow), (give, 0, 0, fail | error)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in program))
    header = struct.pack("HxxxxxxP", len(program), ctypes.addressof(code))
    set_no_new_privileges, set_seccomp, filter_mode = 38, 22, 2
    _succeeds(_libc.prctl(set_no_new_privileges, 1, 0, 0, 0), "no new privileges")
    _succeeds(_libc.prctl(set_seccomp, filter_mode, header, 0, 0), "seccomp")


def mount_small(folder: Path, size: int) -> None:
    """A tmpfs of so many bytes there, in a mount namespace of the calling process alone."""
    new_mounts, private = 0x00020000, 0x4000 | 0x40000
    _succeeds(_libc.unshare(new_mounts), "unshare")
    _succeeds(_libc.mount(b"none", b"/", None, private, None), "private mounts")
    options = f"size={size}".encode()
    _succeeds(_libc.mount(b"none", os.fsencode(folder), b"tmpfs", 0, options), "tmpfs")


# Of the process, and of the kernel's own for rings: they stay, for the next one who needs them.
_SHARED_THREADS = re.compile(r"foliot-\d+|iou-\w+-\d+")


def _threads() -> list[str]:
    found = []
    for path in Path("/proc/self/task").glob("*/comm"):
        with suppress(FileNotFoundError, ProcessLookupError):
            found.append(path.read_text().strip())
    return sorted(name for name in found if not _SHARED_THREADS.fullmatch(name))


def census() -> tuple[int, int]:
    """How many threads of its own, and how many descriptors, this process has."""
    return len(_threads()), len(os.listdir("/proc/self/fd"))


@contextmanager
def nothing_left() -> Iterator[None]:
    """The block leaves no thread and no descriptor; those of the kernel end a little later."""
    gc.collect()
    _core.make_signal_pipe()
    before = census()
    yield
    gc.collect()
    # A thread that was joined is listed a little longer; the alarm of the process ends this.
    while census() != before:
        os.sched_yield()


def descriptors_of(kind: str) -> set[int]:
    """The descriptors of this process whose file is named so by the kernel."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):
            if os.readlink(f"/proc/self/fd/{name}").startswith(kind):
                found.add(int(name))
    return found


def resident_bytes() -> int:
    """Memory of this process that is really there."""
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def open_scheduler(way: tuple[str, str], *systems: fo.System, **options: Any) -> fo.Scheduler:
    """A scheduler on a backend and an engine."""
    backend, io = way
    world = options.pop("world", None) or fo.World()
    return fo.Scheduler(world, fo.Schedule(*systems), backend=backend, io=io, workers=2, **options)


def wishes_ring(way: tuple[str, str]) -> bool:
    """Whether a way wishes for a ring from the first operation on."""
    backend, io = way
    return io == "uring" or (io == "auto" and backend in {"evented", "uring"})


def once(ask: Callable[[Any], Any], name: str = "ask") -> tuple[fo.System, list[Any]]:
    """A system that asks in its first frame, and the list of what it got."""
    kept: list[Any] = []

    def run(ctx: Any) -> None:
        if not kept:
            kept.append(ask(ctx))

    return fo.system(io=True, name=name)(run), kept


def finish(scheduler: fo.Scheduler, operations: Sequence[Any]) -> None:
    """Frames until all of them have ended."""
    while not all(operation.done for operation in operations):
        scheduler.wait()
        scheduler.tick(0.1)


def told(operation: Any) -> object:
    """What became of an operation, to be compared."""
    assert operation.done
    if operation.error is not None:
        return type(operation.error).__name__, operation.error.errno
    result = operation.result
    return result.st_size if isinstance(result, os.stat_result) else result


def mixed_work(folder: Path, way: tuple[str, str], between: Callable[[], object] | None = None):
    """Work of many kinds; what came of it, and what the world holds, the same on every way.

    ``between`` runs when part of it is in flight. The last item tells what it ran on.
    """
    for number in range(20):
        Path(folder, str(number)).write_bytes(b"%d" % number * 1000)
    world = fo.World()
    entities = world.spawn_many(20, {Text: None})
    left, right = socket.socketpair()
    reader, writer = os.pipe()
    asked: list[Any] = []

    @fo.system(io=True, writes=Text)
    def work(ctx):
        if ctx.frame == 0:
            asked.append(ctx.io.recv(left, 10, whole=True, wait="none"))
            asked.append(ctx.io.read(reader, 3, None, wait="none"))
            asked.append(ctx.io.timeout(0.001, wait="none"))
            asked.append(ctx.io.recv(right, 1, timeout=0.001, wait="none"))
            return
        if ctx.frame > 1:
            return
        for number, entity in enumerate(entities):
            ctx.io.read(Path(folder, str(number)), to=(entity, Text))
        asked.append(ctx.io.read(Path(folder, "missing")))
        asked.append(ctx.io.write(Path(folder, "new"), b"written" * 1000, wait="phase"))
        asked.append(ctx.io.stat(Path(folder, "7")))
        asked.append(ctx.io.mkdir(Path(folder, "made")))
        asked.append(ctx.io.send(right, b"0123456789"))
        asked.append(ctx.io.read(99999, 1))

    with left, right, open_scheduler(way, work, world=world) as scheduler:
        scheduler.tick(0.1)
        if between is not None:
            between()
        scheduler.tick(0.1)
        os.write(writer, b"abc")
        finish(scheduler, asked)
        info = scheduler.io
        assert scheduler.stats.io_in_flight == 0
    os.close(reader)
    os.close(writer)
    assert Path(folder, "new").read_bytes() == b"written" * 1000
    return [told(operation) for operation in asked], world.digest(), info


def run_script(script: str, way: tuple[str, str], status: int = 0, complaint: str = "") -> str:
    """Run a script in a process of its own; what it printed."""
    tests = Path(__file__).parents[1]
    prelude = f"""
import faulthandler, os, signal, socket, sys, threading
faulthandler.register(signal.SIGALRM, chain=True)
signal.alarm({HANG_SECONDS})
import foliot as fo
from faults.io_tools import census, finish, nothing_left, once, open_scheduler
way = {way!r}
reader, writer = os.pipe()
"""
    done = subprocess.run(
        [sys.executable, "-c", prelude + textwrap.dedent(script)],
        check=False,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": f"{Path(fo.__file__).parents[1]}:{tests}", "PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == status, done.stderr
    if complaint:
        assert complaint in done.stderr
    else:
        assert done.stderr == ""
    return done.stdout
