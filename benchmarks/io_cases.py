"""The rows of `bench_io`: foliot's driver and frames against what C and Python do without it.

Rows of a group share its processes; a goal against one rival has a row of its own behind the one
that shows all.
"""

from __future__ import annotations

import sys
from pathlib import Path

from cases import Case, Row
from io_files import FILES
from io_frames_names import BACKENDS, SCENES

HERE = Path(__file__).resolve().parent
TOP = HERE.parent
BENCH = TOP / "build" / "bench"
ENVIRONMENT = BENCH / "env" / "bin" / "python"
TIMERS = 100_000


def raw(workload: str, label: str) -> Case:
    """C without foliot."""
    return Case(label, "c_io_raw", (workload,))


def driver(workload: str) -> Case:
    """foliot's driver from C."""
    return Case("foliot, driver from C", "c_io_driver", (workload,))


def python(workload: str, label: str) -> Case:
    """Python without foliot."""
    return Case(label, "peers_io", (workload,))


def ours(workload: str, label: str) -> Case:
    """foliot's frames."""
    return Case(f"foliot, {label}", "io_frames", (workload,))


def echo(label: str, *command: str) -> Case:
    """A server beside the load."""
    return Case(label, "io_echo", command)


def cost(case: Case) -> Case:
    """The same server beside the same load, and what it has of the processor for a message."""
    return Case(case.label, "io_echo_cost", case.arguments)


def python_echo(name: str, label: str) -> Case:
    """One of Python's servers."""
    return echo(label, str(ENVIRONMENT), str(HERE / "peers_echo.py"), name)


NOP = driver("nop")
RAW_NOP = raw("nop_ring", "liburing")

READ = ours("read_native", "native system, 32 a frame")
READ_PYTHON = ours("read_python", "Python system, 32 a frame, as bytes")
RAW_READ = raw("read_ring", "liburing, depth 32")
PREAD = python("read_pread", "os.pread")
MORE_READERS = (
    driver("read"),
    ours("read_native_1024", "native system, 1,024 a frame"),
    ours("read_native_pool", "native system, 32 a frame, blocking calls"),
    ours("read_python_1024", "Python system, 1,024 a frame, as bytes"),
    ours("read_python_into", "Python system, 32 a frame, into buffers"),
)
READERS = (
    RAW_READ,
    raw("read_ring_fixed", "liburing, fixed buffers"),
    raw("read_pread", "pread in C"),
    PREAD,
    python("read_preadv", "os.preadv into buffers"),
    python("read_open", "one file object, seek and read"),
)

FILES_MANY = ours("files_many", "Python system, read_many, calls on two threads")
EXECUTOR = python("files_asyncio", "asyncio + executor")
PYTHON_FILES = (
    python("files_open_read", "open().read()"),
    python("files_os_read", "os.open, os.read, os.close"),
    python("files_chunks", "two threads in chunks"),
    EXECUTOR,
    python("files_uvloop", "uvloop + executor"),
)
MORE_FILES = (
    driver("files"),
    ours("files_many_ring", "Python system, read_many, ring"),
    ours("files_to_pool", "Python system, each into a component, blocking calls"),
    ours("files_to", "Python system, each into a component"),
    ours("files_bytes", "Python system, as bytes"),
)
FILE_READERS = (
    raw("files_syscalls", "open, read, close in C"),
    raw("files_ring", "liburing, linked, in C"),
    *PYTHON_FILES,
)

BUSY_TO = ours("busy_files_to", "Python system, each into a component")
BUSY_PREAD = python("busy_os_pread", "os.open, os.pread, os.close")
MORE_BUSY = (ours("busy_files_many", "Python system, read_many into components"),)
BUSY = (
    BUSY_PREAD,
    python("busy_open_read", "open().read()"),
    python("busy_os_read", "os.open, os.read, os.close"),
    python("busy_chunks", "two threads in chunks"),
    python("busy_asyncio", "asyncio + executor"),
    python("busy_uvloop", "uvloop + executor"),
)

DRIVER_ECHO = echo("foliot, driver from C", str(BENCH / "c_io_driver"), "echo")
EPOLL = echo("epoll loop in C", str(BENCH / "c_io_echo"), "epoll")
RAW_ECHO = echo("liburing, multishot, in C", str(BENCH / "c_io_echo"), "ring")
SERVER = str(HERE / "io_server.py")
PYTHON_ECHO = echo("foliot, Python system, evented", sys.executable, SERVER, "evented")
PROTOCOL = python_echo("asyncio_protocol", "asyncio Protocol")
MORE_ECHO = (echo("foliot, Python system, uring", sys.executable, SERVER, "uring"),)
ECHO_PEERS = (
    PROTOCOL,
    python_echo("asyncio_streams", "asyncio streams"),
    python_echo("uvloop_protocol", "uvloop Protocol"),
    python_echo("uvloop_streams", "uvloop streams"),
    python_echo("trio", "trio"),
)

TIMER = ours("timers_evented", "evented")
CALL_LATER = python("timers_asyncio", "asyncio call_later")
MORE_TIMERS = (ours("timers_uring", "uring"),)
TIMER_PEERS = (
    CALL_LATER,
    python("timers_uvloop", "uvloop call_later"),
    python("timers_trio", "trio, a task each"),
)


def alternatives(
    group: str, cases: tuple[Case, ...], samples: int, checksum: int | None
) -> list[Row]:
    """Other ways of foliot's to do the same, which no goal is about."""
    return [
        Row(
            group,
            f"also: {case.label.removeprefix('foliot, ')}",
            case,
            (),
            samples=samples,
            checksum=checksum,
        )
        for case in cases
    ]


ROWS = (
    Row(
        "nop",
        "NOP in batches of 128, from C",
        NOP,
        (RAW_NOP,),
        1 / 0.9,
        5,
        "≥ 0.9 × liburing",
        checksum=0,
    ),
    Row(
        "reads",
        "4 KiB read from the page cache, native system",
        READ,
        READERS,
        samples=5,
        checksum=0,
    ),
    Row(
        "reads",
        "the same, against liburing",
        READ,
        (RAW_READ,),
        1 / 0.9,
        5,
        "≥ 0.9 × liburing",
        checksum=0,
    ),
    Row(
        "reads",
        "the same, against os.pread",
        READ,
        (PREAD,),
        1.0,
        5,
        "≥ 1.0 × os.pread",
        checksum=0,
    ),
    Row(
        "reads",
        "the same, Python system against os.pread",
        READ_PYTHON,
        (PREAD,),
        1.0,
        5,
        "≥ 1.0 × os.pread",
        checksum=0,
    ),
    *alternatives("reads", MORE_READERS, 5, 0),
    Row(
        "files",
        "one of 10,000 files of 4 KiB into Bytes",
        FILES_MANY,
        FILE_READERS,
        samples=3,
        checksum=FILES,
    ),
    Row(
        "files",
        "the same, against Python",
        FILES_MANY,
        PYTHON_FILES,
        1.0,
        3,
        "≥ 1.0 × fastest Python",
        checksum=FILES,
    ),
    Row(
        "files",
        "the same, against asyncio",
        FILES_MANY,
        (EXECUTOR,),
        0.1,
        3,
        "≥ 10 × asyncio",
        checksum=FILES,
    ),
    *alternatives("files", MORE_FILES, 3, FILES),
    Row(
        "busy",
        "one of 10,000 files beside a busy Python thread",
        BUSY_TO,
        BUSY,
        samples=3,
        checksum=FILES,
    ),
    Row(
        "busy",
        "the same, against os.pread",
        BUSY_TO,
        (BUSY_PREAD,),
        0.1,
        3,
        "≥ 10 × os.pread",
        checksum=FILES,
    ),
    *alternatives("busy", MORE_BUSY, 3, FILES),
    Row(
        "echo",
        "echo in C, 64 connections × 64 B, a message",
        DRIVER_ECHO,
        (EPOLL, RAW_ECHO),
        samples=3,
    ),
    Row("echo", "the same, against epoll", DRIVER_ECHO, (EPOLL,), 1.0, 3, "≥ 1.0 × epoll loop"),
    Row(
        "echo",
        "the same, processor time of the server",
        cost(DRIVER_ECHO),
        (cost(EPOLL), cost(RAW_ECHO)),
        samples=3,
    ),
    Row(
        "echo",
        "echo in Python, 64 connections × 64 B, a message",
        PYTHON_ECHO,
        ECHO_PEERS,
        samples=3,
    ),
    Row(
        "echo", "the same, against asyncio", PYTHON_ECHO, (PROTOCOL,), 1 / 1.3, 3, "≥ 1.3 × asyncio"
    ),
    Row(
        "echo",
        "the same, processor time of the server",
        cost(PYTHON_ECHO),
        tuple(cost(peer) for peer in ECHO_PEERS),
        samples=3,
    ),
    *alternatives("echo", MORE_ECHO, 3, None),
    Row(
        "timers",
        "one of 100,000 timers, processor time",
        TIMER,
        TIMER_PEERS,
        samples=2,
        checksum=TIMERS,
    ),
    Row(
        "timers",
        "the same, against asyncio",
        TIMER,
        (CALL_LATER,),
        0.2,
        2,
        "≤ 0.2 × asyncio",
        checksum=TIMERS,
    ),
    *alternatives("timers", MORE_TIMERS, 2, TIMERS),
    *(
        Row(
            f"adaptive {scene}",
            f"adaptive backend, {what}, a frame",
            ours(f"scene_{scene}_adaptive", "adaptive"),
            tuple(ours(f"scene_{scene}_{name}", name) for name in BACKENDS if name != "adaptive"),
            limit,
            5,
            goal,
            checksum=0,
        )
        for scene, (what, limit, goal) in SCENES.items()
    ),
)
