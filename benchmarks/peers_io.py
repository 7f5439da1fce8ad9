"""What Python programs do without foliot to read files and to wait; printed as `protocol` says.

Times are of one read, one file or one timer. The checksum is the number of files, or reads, that
gave what they must. Beside a busy thread, which computes in pure Python all the time, fewer files
are read in longer samples: who has lost the interpreter lock waits 5 ms to get it back, and a
sample must hold many such waits.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

import io_files
from protocol import Measurement, Sampler, main

READS = 2_048
BUSY_FILES = 200
BUSY_SECONDS = 0.1
TIMERS = 100_000
# Seconds from a timer's making to its end, spread over this.
TIMER_SPREAD = 0.05

Loop = Callable[[], asyncio.AbstractEventLoop]


def uvloop_loop() -> asyncio.AbstractEventLoop:
    """A new loop of uvloop."""
    try:
        import uvloop
    except ImportError:
        raise SystemExit("uvloop is not installed") from None
    return uvloop.new_event_loop()


def per(units: int, measurement: Measurement, checksum: int) -> Measurement:
    """The measurement in seconds per unit, with the number that shows the work was done."""
    seconds = [value / units for value in measurement.seconds]
    return Measurement(seconds, measurement.inner, {"checksum": checksum})


@contextmanager
def busy_thread() -> Iterator[None]:
    """A thread that computes in pure Python meanwhile."""
    stop = threading.Event()

    def compute() -> None:
        total = 0
        while not stop.is_set():
            for value in range(1_000):
                total += value

    thread = threading.Thread(target=compute)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def read_pread(sampler: Sampler) -> Measurement:
    """os.pread of one block after the other."""
    descriptor = os.open(io_files.folder() / "big", os.O_RDONLY)
    offsets = io_files.offsets(READS)
    good: list[int] = []

    def once() -> None:
        read = os.pread
        blocks = [read(descriptor, io_files.BLOCK, offset) for offset in offsets]
        good[:] = [len(blocks)]

    measurement = sampler.time(once)
    numbers = [os.pread(descriptor, 8, offset) for offset in offsets]
    wrong = sum(
        int.from_bytes(number, "little") * io_files.BLOCK != offset
        for number, offset in zip(numbers, offsets, strict=True)
    )
    return per(READS, measurement, wrong + READS - good[0])


def read_preadv(sampler: Sampler) -> Measurement:
    """os.preadv into buffers that are there already, 32 of them in turn."""
    descriptor = os.open(io_files.folder() / "big", os.O_RDONLY)
    buffers = [[bytearray(io_files.BLOCK)] for _ in range(32)]
    pairs = [(buffers[i % 32], offset) for i, offset in enumerate(io_files.offsets(READS))]
    wrong: list[int] = []

    def once() -> None:
        read = os.preadv
        sizes = [read(descriptor, buffer, offset) for buffer, offset in pairs]
        wrong[:] = [sum(size != io_files.BLOCK for size in sizes)]

    measurement = sampler.time(once)
    return per(READS, measurement, wrong[0])


def read_open(sampler: Sampler) -> Measurement:
    """One file object: seek and read."""
    offsets = io_files.offsets(READS)
    wrong: list[int] = []
    with open(io_files.folder() / "big", "rb", buffering=0) as file:

        def once() -> None:
            blocks = []
            for offset in offsets:
                file.seek(offset)
                blocks.append(file.read(io_files.BLOCK))
            wrong[:] = [sum(len(block) != io_files.BLOCK for block in blocks)]

        return per(READS, sampler.time(once), wrong[0])


def open_read(path: str) -> bytes:
    """The whole file through a file object."""
    with open(path, "rb") as file:
        return file.read()


def os_read(path: str) -> bytes:
    """The whole file through three system calls."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, io_files.BLOCK)
    finally:
        os.close(descriptor)


def os_pread(path: str) -> bytes:
    """The whole file through three system calls, one of them a pread."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.pread(descriptor, io_files.BLOCK, 0)
    finally:
        os.close(descriptor)


def time_files(
    sampler: Sampler, count: int, read_all: Callable[[list[str]], list[bytes]]
) -> Measurement:
    """Seconds per file, of reading the first `count` of them."""
    paths = io_files.paths(count)
    kept: list[bytes] = []

    def once() -> None:
        kept[:] = read_all(paths)

    measurement = sampler.time(once)
    missing = count - io_files.count_good(kept)
    return per(count, measurement, io_files.FILES - missing)


def files_one_by_one(
    read: Callable[[str], bytes], sampler: Sampler, count: int = io_files.FILES
) -> Measurement:
    """One file after the other."""
    return time_files(sampler, count, lambda paths: [read(path) for path in paths])


def files_busy(workload: Callable[..., Measurement], sampler: Sampler) -> Measurement:
    """A workload beside a busy thread, on fewer files."""
    patient = Sampler(sampler.samples, max(sampler.minimum_seconds, BUSY_SECONDS))
    with busy_thread():
        return workload(patient, BUSY_FILES)


def files_chunks(sampler: Sampler, count: int = io_files.FILES) -> Measurement:
    """Two threads, half of the files each."""
    with ThreadPoolExecutor(2) as pool:

        def read_some(paths: list[str]) -> list[bytes]:
            return [os_read(path) for path in paths]

        def read_all(paths: list[str]) -> list[bytes]:
            half = len(paths) // 2
            parts = pool.map(read_some, (paths[:half], paths[half:]))
            return [content for part in parts for content in part]

        return time_files(sampler, count, read_all)


def files_executor(new_loop: Loop, sampler: Sampler, count: int = io_files.FILES) -> Measurement:
    """A loop that gives each file to its default executor, all at once."""
    loop = new_loop()

    async def gather(paths: list[str]) -> list[bytes]:
        calls = [loop.run_in_executor(None, open_read, path) for path in paths]
        return await asyncio.gather(*calls)

    try:
        return time_files(sampler, count, lambda paths: loop.run_until_complete(gather(paths)))
    finally:
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


def timers(new_loop: Loop, sampler: Sampler) -> Measurement:
    """Set all timers of a loop, and run it until the last has ended: the processor's time.

    Deadlines are spread over a fixed time; what is left over is slept through, and not counted.
    """
    loop = new_loop()
    delays = [TIMER_SPREAD * (i * 7_919 % TIMERS) / TIMERS for i in range(TIMERS)]
    ended: list[int] = []

    async def once() -> None:
        finished = loop.create_future()
        left = TIMERS

        def end() -> None:
            nonlocal left
            left -= 1
            if left == 0:
                finished.set_result(None)

        for delay in delays:
            loop.call_later(delay, end)
        await finished
        ended[:] = [TIMERS - left]

    measurement = sampler.time_processor(lambda: loop.run_until_complete(once()))
    loop.close()
    return per(TIMERS, measurement, ended[0])


def timers_trio(sampler: Sampler) -> Measurement:
    """Set all timers of trio, one task each, and run until the last has ended."""
    try:
        import trio
    except ImportError:
        raise SystemExit("trio is not installed") from None
    delays = [TIMER_SPREAD * (i * 7_919 % TIMERS) / TIMERS for i in range(TIMERS)]
    ended: list[int] = []

    async def once() -> None:
        count = 0

        async def wait(delay: float) -> None:
            nonlocal count
            await trio.sleep(delay)
            count += 1

        async with trio.open_nursery() as nursery:
            for delay in delays:
                nursery.start_soon(wait, delay)
        ended[:] = [count]

    measurement = sampler.time_processor(lambda: trio.run(once))
    return per(TIMERS, measurement, ended[0])


ASYNCIO: Loop = asyncio.new_event_loop
FILE_WAYS: dict[str, Callable[..., Measurement]] = {
    "open_read": partial(files_one_by_one, open_read),
    "os_read": partial(files_one_by_one, os_read),
    "os_pread": partial(files_one_by_one, os_pread),
    "chunks": files_chunks,
    "asyncio": partial(files_executor, ASYNCIO),
    "uvloop": partial(files_executor, uvloop_loop),
}

WORKLOADS: dict[str, Callable[[Sampler], Any]] = {
    "read_pread": read_pread,
    "read_preadv": read_preadv,
    "read_open": read_open,
    **{f"files_{name}": way for name, way in FILE_WAYS.items()},
    **{f"busy_{name}": partial(files_busy, way) for name, way in FILE_WAYS.items()},
    "timers_asyncio": partial(timers, ASYNCIO),
    "timers_uvloop": partial(timers, uvloop_loop),
    "timers_trio": timers_trio,
}

if __name__ == "__main__":
    sys.setswitchinterval(0.005)
    main("Python", WORKLOADS)
