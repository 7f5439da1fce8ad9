"""What `bench_io` counts rather than times: system calls, idle time, memory.

``io_checks.py NAME`` runs one check in a process of its own and prints its number as JSON.
"""

from __future__ import annotations

import json
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from counts import Outcome

HERE = Path(__file__).resolve().parent
TIMEOUT_SECONDS = 45
# Completions that a ring of 256 entries has room for; more are not in flight at a time.
IN_FLIGHT_BOUND = 1_024
FRAMES = 20
IDLE_BACKENDS = ("evented", "uring")
IDLE_SECONDS = 1.0
OPERATIONS = 1_000_000
WARM_OPERATIONS = 10_000
BATCH = 1_000
# A wait begins with one short slice, and may end with one where the kernel is not punctual; what
# looks about now and then has twelve, and what does so all the time thousands.
WAKE_UP_LIMIT = 3.0
# This much counts the processor for what is there though nothing runs; see the row of the sleeper.
IDLE_LIMIT_MS = 5.0
# Half a byte an operation; Python's own allocator takes 256 KiB at a time.
MEMORY_LIMIT_KIB = 512.0


@dataclass(frozen=True)
class Check:
    """One line: what is counted, how much it may be at most, in which unit."""

    name: str
    what: str
    limit: float | None
    unit: str


CHECKS = (
    *(
        Check(
            f"calls_{count}",
            f"system calls of a stage of {count:,} reads",
            1 + count / IN_FLIGHT_BOUND,
            "calls",
        )
        for count in (1, 128, 1_000, 10_000)
    ),
    *(
        check
        for backend in IDLE_BACKENDS
        for check in (
            Check(
                f"wake_ups_{backend}",
                f"{backend}, a second of waiting for a peer: wake-ups of all threads",
                WAKE_UP_LIMIT,
                "times",
            ),
            Check(
                f"idle_{backend}",
                f"{backend}, a second of waiting for a peer: processor time",
                IDLE_LIMIT_MS,
                "ms",
            ),
        )
    ),
    Check("idle_sleeper", "a process that sleeps for a second: processor time", None, "ms"),
    Check(
        "memory_native",
        "memory after 1,000,000 reads of a native system, beyond that after 10,000",
        MEMORY_LIMIT_KIB,
        "KiB",
    ),
    Check(
        "memory_python",
        "memory after 1,000,000 reads of a Python system, beyond that after 10,000",
        MEMORY_LIMIT_KIB,
        "KiB",
    ),
)


def count_calls(count: int) -> float:
    """System calls of the driving thread for a stage of so many reads."""
    import io_kernels
    from io_frames import STEP, open_scheduler, read_system, world_of_one

    reads = io_kernels.Reads(count)
    with open_scheduler(world_of_one(), [read_system(reads)]) as scheduler:
        scheduler.tick_n(2, STEP)
        before = scheduler.stats.io_system_calls
        scheduler.tick_n(FRAMES, STEP)
        calls = scheduler.stats.io_system_calls - before
    if reads.wrong() != 0:
        raise SystemExit(f"{reads.wrong()} reads went wrong")
    return calls / FRAMES


def wake_ups() -> int:
    """How often threads of this process have slept so far, and so were woken."""
    total = 0
    for status in Path("/proc/self/task").glob("*/status"):
        lines = status.read_text(encoding="ascii").splitlines()
        total += sum(
            int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches:")
        )
    return total


def processor_ms() -> float:
    """Time of the processor so far, of all threads."""
    return 1e3 * time.process_time()


def idle_sleeper() -> float:
    """Milliseconds of the processor in a second of sleep, without foliot."""
    start = processor_ms()
    time.sleep(IDLE_SECONDS)
    return processor_ms() - start


def idle(backend: str, count: Callable[[], float]) -> float:
    """What is counted of a second of waiting."""
    import foliot as fo
    from io_frames import STEP, open_scheduler, world_of_one

    ours, theirs = socket.socketpair()
    waiting: list[Any] = []

    @fo.system(io=True)
    def receive(ctx: Any) -> None:
        if not waiting:
            waiting.append(ctx.io.recv(ours.fileno(), wait="none"))

    with open_scheduler(world_of_one(), [receive], backend) as scheduler:
        scheduler.tick_n(10, STEP)
        # Workers look around for a moment before they sleep.
        scheduler.wait(0.1)
        wall, start = time.monotonic(), count()
        if scheduler.wait(IDLE_SECONDS):
            raise SystemExit("the wait ended though nothing came")
        spent, passed = count() - start, time.monotonic() - wall
        theirs.send(b"end")
        while not waiting[0].done:
            scheduler.wait(IDLE_SECONDS)
            scheduler.tick(STEP)
    if passed < 0.9 * IDLE_SECONDS:
        raise SystemExit(f"the wait for {IDLE_SECONDS} s ended after {passed:.3f} s")
    return spent


def resident_kib() -> float:
    """Memory in use now, in KiB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 1024


def memory_growth(make_system: Callable[[], Any]) -> float:
    """KiB in use after all operations, beyond those after the first."""
    from io_frames import STEP, open_scheduler, world_of_one

    with open_scheduler(world_of_one(), [make_system()]) as scheduler:
        scheduler.tick_n(WARM_OPERATIONS // BATCH, STEP)
        before = resident_kib()
        scheduler.tick_n((OPERATIONS - WARM_OPERATIONS) // BATCH, STEP)
        return resident_kib() - before


def native_reads() -> Any:
    """A native system that reads blocks; its memory stays with the system's user data."""
    import io_kernels
    from io_frames import read_system

    reads = io_kernels.Reads(BATCH)
    KEPT.append(reads)
    return read_system(reads)


def python_reads() -> Any:
    """A Python system that reads blocks as bytes, and keeps those of one frame."""
    import os

    import foliot as fo
    import io_files

    descriptor = os.open(io_files.folder() / "big", os.O_RDONLY)
    offsets = io_files.offsets(BATCH)
    operations: list[Any] = []

    @fo.system(io=True)
    def read(ctx: Any) -> None:
        ask = ctx.io.read
        operations[:] = [ask(descriptor, io_files.BLOCK, offset) for offset in offsets]

    return read


KEPT: list[Any] = []
FUNCTIONS: dict[str, Callable[[], float]] = {
    **{f"calls_{count}": partial(count_calls, count) for count in (1, 128, 1_000, 10_000)},
    **{f"wake_ups_{backend}": partial(idle, backend, wake_ups) for backend in IDLE_BACKENDS},
    **{f"idle_{backend}": partial(idle, backend, processor_ms) for backend in IDLE_BACKENDS},
    "idle_sleeper": idle_sleeper,
    "memory_native": partial(memory_growth, native_reads),
    "memory_python": partial(memory_growth, python_reads),
}


def run_check(check: Check) -> Outcome:
    """One check in a process of its own."""
    command = [sys.executable, str(HERE / "io_checks.py"), check.name]
    value, missing = None, None
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
        )
        if done.returncode == 0:
            value = float(json.loads(done.stdout)["value"])
        else:
            lines = done.stderr.strip().splitlines()
            missing = lines[-1] if lines else f"exit code {done.returncode}"
    except subprocess.TimeoutExpired:
        missing = f"no result after {TIMEOUT_SECONDS} s"
    return Outcome(check.what, check.limit, check.unit, value, missing)


def run_checks(words: Sequence[str]) -> list[Outcome]:
    """All checks with one of these words in their name."""
    chosen = [
        check for check in CHECKS if any(word in f"{check.name} {check.what}" for word in words)
    ]
    if chosen:
        print("counts …", file=sys.stderr, flush=True)
    return [run_check(check) for check in chosen]


def main() -> int:
    """Run the check named on the command line."""
    if len(sys.argv) != 2 or sys.argv[1] not in FUNCTIONS:
        print(f"usage: {sys.argv[0]} {{{','.join(FUNCTIONS)}}}", file=sys.stderr)
        return 2
    print(json.dumps({"value": FUNCTIONS[sys.argv[1]]()}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
