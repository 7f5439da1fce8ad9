"""foliot's frames with I/O; printed as `protocol` says, in seconds per read, file or timer.

A workload fails, with the reason, where the backend or the ring that it names is not there: a frame
on another one would be no measurement of it. The checksums are those of `peers_io`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any

import bench_world as worlds
import foliot as fo
import io_files
import io_kernels
import kernels
from bench_world import Position, Transform
from io_frames_names import BACKENDS, SCENES
from peers_io import BUSY_SECONDS, READS, TIMER_SPREAD, TIMERS, busy_thread, per
from protocol import Measurement, Sampler, main

STEP = 1 / 60
WORKERS = 2
CONFIG = fo.Config(max_entities=65_536, max_io=131_072)
DEPTH = 32

SCENE_ENTITIES = 100
SCENE_READS = 256
SCENE_TRIFLES = 8
# Frames of one half of the load that alternates: some windows and cool-downs of the backend.
HALF = 512

Text = fo.component("Text", fo.Bytes)
One = fo.component("One", "f4")

System = Any


def open_scheduler(
    world: fo.World, systems: list[System], backend: str = "uring", io: Any = "auto"
) -> fo.Scheduler:
    """A scheduler on exactly this backend."""
    count = 1 if backend in ("blocking", "evented") else WORKERS
    scheduler = fo.Scheduler(world, fo.Schedule(*systems), backend=backend, workers=count, io=io)
    info = scheduler.backend
    if info.actual != backend:
        scheduler.close()
        raise SystemExit(f"the {backend} backend does not run here: {info.reason}")
    return scheduler


def world_of_one() -> fo.World:
    """A world in which a query without terms has one row."""
    world = fo.World(CONFIG)
    world.spawn_many(1, {One: 0.0})
    return world


def read_system(reads: io_kernels.Reads) -> System:
    """The native system that reads blocks."""
    return fo.native(io_kernels.READ_BLOCKS, user_data=reads.user, io=True, name="read")


def read_native(depth: int, backend: str, io: str, sampler: Sampler) -> Measurement:
    """A native system that reads so many blocks in each frame."""
    reads = io_kernels.Reads(depth)
    frames = max(1, READS // depth)
    with open_scheduler(world_of_one(), [read_system(reads)], backend, io) as scheduler:
        measurement = sampler.time_batch(lambda count: scheduler.tick_n(count * frames, STEP))
    return per(depth * frames, measurement, reads.wrong())


def read_python(depth: int, has_buffers: bool, sampler: Sampler) -> Measurement:
    """A Python system that reads so many blocks in each frame, into buffers or as new bytes."""
    descriptor = os.open(io_files.folder() / "big", os.O_RDONLY)
    offsets = io_files.offsets(READS)
    buffers = [bytearray(io_files.BLOCK) for _ in range(depth)]
    operations: list[Any] = []
    results: list[Any] = []
    start = 0

    @fo.system(io=True)
    def read(ctx: Any) -> None:
        nonlocal start
        results[:] = [operation.result for operation in operations]
        ask = ctx.io.read
        part = offsets[start : start + depth]
        if has_buffers:
            operations[:] = [
                ask(descriptor, None, offset, buffer)
                for offset, buffer in zip(part, buffers, strict=True)
            ]
        else:
            operations[:] = [ask(descriptor, io_files.BLOCK, offset) for offset in part]
        start = (start + depth) % READS

    with open_scheduler(world_of_one(), [read]) as scheduler:
        frames = max(1, READS // depth)
        measurement = sampler.time(lambda: scheduler.tick_n(frames, STEP))
        given = buffers if has_buffers else [operation.result for operation in operations]
        last = offsets[start - depth :][:depth]
    wrong = sum(
        int.from_bytes(content[:8], "little") * io_files.BLOCK != offset
        for content, offset in zip(given, last, strict=True)
    )
    return per(depth * frames, measurement, wrong)


def text_world() -> tuple[fo.World, list[Any]]:
    """A world with an entity for each file."""
    world = fo.World(CONFIG)
    return world, list(world.spawn_many(io_files.FILES, {Text: b""}))


def count_texts(world: fo.World, entities: list[Any]) -> int:
    """How many of the files' contents are in the world."""
    return io_files.count_good(world.get(entity, Text).value for entity in entities)


def files_to(backend: str, io: str, sampler: Sampler) -> Measurement:
    """Each file into a component of its own entity, one call each."""
    world, entities = text_world()
    pairs = [
        ((entity, Text), path) for entity, path in zip(entities, io_files.paths(), strict=True)
    ]

    @fo.system(io=True, writes=[Text])
    def read(ctx: Any) -> None:
        ask = ctx.io.read
        for to, path in pairs:
            ask(path, io_files.BLOCK, to=to)

    with open_scheduler(world, [read], backend, io) as scheduler:
        measurement = sampler.time(lambda: scheduler.tick(STEP))
    return per(io_files.FILES, measurement, count_texts(world, entities))


def files_many(backend: str, sampler: Sampler) -> Measurement:
    """All files into components by one call."""
    world, entities = text_world()
    paths = io_files.paths()

    @fo.system(io=True, writes=[Text])
    def read(ctx: Any) -> None:
        ctx.io.read_many(paths, io_files.BLOCK, to=(entities, Text))

    with open_scheduler(world, [read], backend, "auto") as scheduler:
        measurement = sampler.time(lambda: scheduler.tick(STEP))
    return per(io_files.FILES, measurement, count_texts(world, entities))


def files_bytes(sampler: Sampler) -> Measurement:
    """All files as objects of Python, one Operation each."""
    operations: list[Any] = []
    paths = io_files.paths()

    @fo.system(io=True)
    def read(ctx: Any) -> None:
        ask = ctx.io.read
        operations[:] = [ask(path, io_files.BLOCK) for path in paths]

    with open_scheduler(world_of_one(), [read]) as scheduler:
        measurement = sampler.time(lambda: scheduler.tick(STEP))
    good = io_files.count_good(operation.result for operation in operations)
    return per(io_files.FILES, measurement, good)


def beside_busy(workload: Callable[[Sampler], Measurement], sampler: Sampler) -> Measurement:
    """A workload beside a thread that computes in pure Python."""
    patient = Sampler(sampler.samples, max(sampler.minimum_seconds, BUSY_SECONDS))
    with busy_thread():
        return workload(patient)


def timers(backend: str, sampler: Sampler) -> Measurement:
    """Set all timers in one system, and wait until the last has ended: the processor's time."""
    delays = [TIMER_SPREAD * (i * 7_919 % TIMERS) / TIMERS for i in range(TIMERS)]
    operations: list[Any] = []

    @fo.system(io=True)
    def wait(ctx: Any) -> None:
        timeout = ctx.io.timeout
        operations[:] = [timeout(delay) for delay in delays]

    with open_scheduler(world_of_one(), [wait], backend) as scheduler:
        measurement = sampler.time_processor(lambda: scheduler.tick(STEP))
    return per(TIMERS, measurement, sum(operation.done for operation in operations))


def compute_system() -> System:
    """The heavy computation of `bench_world`."""
    return fo.native(kernels.COMPUTE, writes=[Position, Transform], name="compute")


def trifles() -> list[System]:
    """Systems that do nothing."""
    return [fo.native(kernels.EMPTY, name=f"empty{index}") for index in range(SCENE_TRIFLES)]


def scene(name: str, backend: str, sampler: Sampler) -> Measurement:
    """One frame of a scene on a backend; for ``alternating`` one of both halves' frames."""
    reads = io_kernels.Reads(SCENE_READS)
    # The reading system must run once a frame, and so names a component that one entity has.
    world = worlds.simple_world(SCENE_ENTITIES)
    world.spawn_many(1, {One: 0.0})
    read = fo.native(
        io_kernels.READ_BLOCKS, reads=[One], user_data=reads.user, io=True, name="read"
    )
    systems = {
        "tiny": trifles(),
        "heavy": [compute_system()],
        "reads": [read],
        "mixed": [*trifles(), compute_system(), read],
        "alternating": [compute_system(), read],
    }[name]
    with open_scheduler(world, systems, backend) as scheduler:

        def alternate() -> None:
            for on, off in (("compute", "read"), ("read", "compute")):
                scheduler.disable(off)
                scheduler.enable(on)
                scheduler.tick_n(HALF, STEP)

        def steady() -> None:
            scheduler.tick_n(HALF // 4, STEP)

        alternates = name == "alternating"
        measurement = sampler.time(alternate if alternates else steady)
        wrong = reads.wrong() if reads.user.frames > 0 else 0
    return per(2 * HALF if alternates else HALF // 4, measurement, wrong)


WORKLOADS: dict[str, Callable[[Sampler], Measurement]] = {
    "read_native": partial(read_native, DEPTH, "uring", "auto"),
    "read_native_1024": partial(read_native, 1024, "uring", "auto"),
    "read_native_pool": partial(read_native, DEPTH, "blocking", "pool"),
    "read_python": partial(read_python, DEPTH, False),
    "read_python_1024": partial(read_python, 1024, False),
    "read_python_into": partial(read_python, DEPTH, True),
    "files_to": partial(files_to, "uring", "auto"),
    "files_to_pool": partial(files_to, "blocking", "pool"),
    "files_many": partial(files_many, "stealing"),
    "files_many_ring": partial(files_many, "uring"),
    "files_bytes": files_bytes,
    "busy_files_to": partial(beside_busy, partial(files_to, "uring", "auto")),
    "busy_files_many": partial(beside_busy, partial(files_many, "uring")),
    "timers_evented": partial(timers, "evented"),
    "timers_uring": partial(timers, "uring"),
    **{
        f"scene_{name}_{backend}": partial(scene, name, backend)
        for name in SCENES
        for backend in BACKENDS
    },
}

if __name__ == "__main__":
    main("foliot", WORKLOADS)
