"""foliot's frames on one worker and on two; printed as `protocol` says.

A workload's name ends in the backend, or in the number of workers of the stealing one. A workload
fails, with the reason, where the backend it names does not run as itself: a frame on another one
would be no measurement of it.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import bench_world as worlds
import foliot as fo
import kernels
import numpy as np
from bench_world import A, B, Position, Transform
from foliot.demo import directory_of
from foliot.demo._census import Run, run_census
from foliot.demo._reference import count_tree
from protocol import Measurement, Sampler, main

STEP = 1 / 60
WORKERS = 2
ENTITIES = 10_000
CONFIG = fo.Config(max_entities=65_536, max_systems=16_384)
# Steps of `bench_spin`: about 100 ns, a microsecond, and a millisecond.
HUNDRED_NS, MICROSECOND, MILLISECOND = 70, 700, 700_000
# Systems of a frame that is timed with a trace and without.
TRACED_SYSTEMS = 100
# Iterations of a loop of pure Python that take about a millisecond.
PYTHON_MILLISECOND = 42_000
# Resources of each generated schedule: the fewer, the more its systems wait for each other.
GENERATED = (4, 8, 24)
# Between frames of a program with a rate of its own.
PAUSE_SECONDS = 0.005
SYSTEMS_PER_SCHEDULE = 60

C, D, E = (fo.component(letter, "f4") for letter in "CDE")


def open_scheduler(
    world: fo.World,
    systems: list[Any],
    backend: str,
    workers: int = WORKERS,
    *,
    trace: bool = False,
) -> fo.Scheduler:
    """A scheduler on exactly this backend."""
    count = 1 if backend == "blocking" else workers
    schedule = fo.Schedule(*systems)
    scheduler = fo.Scheduler(world, schedule, backend=backend, workers=count, trace=trace)
    info = scheduler.backend
    if info.actual != backend:
        scheduler.close()
        raise SystemExit(f"the {backend} backend does not run here: {info.reason}")
    return scheduler


class Frames:
    """Times frames and counts them, warm-up included."""

    def __init__(self, scheduler: fo.Scheduler) -> None:
        self.scheduler = scheduler
        self.count = 0

    def run(self, count: int) -> None:
        """A batch of frames."""
        self.scheduler.tick_n(count, STEP)
        self.count += count


def time_frames(
    sampler: Sampler,
    world: fo.World,
    systems: list[Any],
    backend: str,
    workers: int = WORKERS,
    *,
    trace: bool = False,
) -> tuple[Measurement, int]:
    """Seconds per frame, and how many frames there were."""
    with open_scheduler(world, systems, backend, workers, trace=trace) as scheduler:
        frames = Frames(scheduler)
        return sampler.time_batch(frames.run), frames.count


def with_checksum(measurement: Measurement, checksum: int) -> Measurement:
    """The same measurement with the number that shows the work was done."""
    return Measurement(measurement.seconds, measurement.inner, {"checksum": checksum})


def swaps(workers: int, sampler: Sampler, *, trace: bool = False) -> Measurement:
    """Swap A with B, C with D and C with E over 10,000 entities of each of four kinds."""
    world = fo.World(CONFIG)
    for kind in ((A, B), (A, B, C), (A, B, C, D), (A, B, C, E)):
        world.spawn_many(ENTITIES, dict(zip(kind, map(float, range(len(kind))), strict=True)))
    pairs = {"swap_ab": (A, B), "swap_cd": (C, D), "swap_ce": (C, E)}
    systems = [fo.native(kernels.SWAP, writes=pair, name=name) for name, pair in pairs.items()]
    measurement, frames = time_frames(sampler, world, systems, "stealing", workers, trace=trace)
    # An even number of swaps leaves A at 0.0, an odd one at B's 1.0.
    swapped = sum(int((chunk[A] == frames % 2).sum()) for chunk in world.query(reads=[A]))
    return with_checksum(measurement, swapped)


def heavy_compute(workers: int, sampler: Sampler, *, trace: bool = False) -> Measurement:
    """100 inversions of a matrix for each of 1,000 entities."""
    world = worlds.simple_world(worlds.HEAVY_ENTITIES)
    compute = fo.native(kernels.COMPUTE, writes=[Position, Transform], name="compute")
    measurement, _ = time_frames(sampler, world, [compute], "stealing", workers, trace=trace)
    rotation = worlds.rotation_about_x(1.2)
    intact = 0
    for chunk in world.query(reads=[Transform]):
        errors = np.abs(chunk[Transform] - rotation)
        intact += int((errors.max(axis=(1, 2)) < 0.05).sum())
    return with_checksum(measurement, intact)


def world_of_one() -> fo.World:
    """A world in which a query without terms has one row."""
    world = fo.World(CONFIG)
    world.spawn_many(1, {A: 0.0})
    return world


def empty_native(count: int, workers: int, sampler: Sampler, *, trace: bool = False) -> Measurement:
    """One frame of native systems that do nothing."""
    systems = [fo.native(kernels.EMPTY, name=f"empty{index}") for index in range(count)]
    return time_frames(sampler, world_of_one(), systems, "stealing", workers, trace=trace)[0]


def empty_python(count: int, sampler: Sampler) -> Measurement:
    """One frame of Python systems that do nothing."""

    def empty(ctx: Any) -> None:
        del ctx

    systems = [fo.system(name=f"empty{index}")(empty) for index in range(count)]
    return time_frames(sampler, world_of_one(), systems, "stealing")[0]


def spinner(name: str, steps: int, **declared: Any) -> Any:
    """A native system that computes for so many steps."""
    return fo.native(kernels.SPIN, name=name, user_data=kernels.steps(steps), **declared)


def tiny(count: int, backend: str, sampler: Sampler) -> Measurement:
    """One frame of systems of a microsecond each, none in another's way."""
    systems = [spinner(f"tiny{index}", MICROSECOND) for index in range(count)]
    return time_frames(sampler, world_of_one(), systems, backend)[0]


def short(steps: int, sampler: Sampler, *, trace: bool = False) -> Measurement:
    """One frame of systems of so many steps each, one after another."""
    systems = [spinner(f"short{index}", steps) for index in range(TRACED_SYSTEMS)]
    return time_frames(sampler, world_of_one(), systems, "blocking", trace=trace)[0]


def count_slowly(ctx: Any) -> None:
    """A millisecond of pure Python."""
    del ctx
    total = 0
    for number in range(PYTHON_MILLISECOND):
        total += number


def mixed(which: str, sampler: Sampler) -> Measurement:
    """Two Python systems and two native ones, a millisecond each, or one half of them alone."""
    python = [fo.system(name=f"python{index}")(count_slowly) for index in range(2)]
    native = [spinner(f"native{index}", MILLISECOND) for index in range(2)]
    systems = {"python": python, "native": native, "both": python + native}[which]
    return time_frames(sampler, world_of_one(), systems, "stealing")[0]


def demo_root() -> bytes:
    """What `make demo` counts: the library of this Python."""
    return directory_of(None)


def demo(which: str, sampler: Sampler) -> Measurement:
    """The census of `python -m foliot demo`, by a plain loop or on a backend; files are cached."""
    root = demo_root()
    totals: list[Any] = []

    def plain() -> None:
        totals.append(count_tree(root).totals())

    def census() -> None:
        totals.append(census_on(root, which).census.totals())

    if which != "plain":
        open_scheduler(fo.World(), [], which).close()
    measurement = sampler.time(plain if which == "plain" else census)
    return with_checksum(measurement, totals[-1].lines)


def census_on(root: bytes, backend: str) -> Run:
    """One census on one worker or two."""
    return run_census(root, backend=backend, workers=1 if backend == "blocking" else WORKERS)


def demo_frames(which: str, sampler: Sampler) -> Measurement:
    """The part of the same that is spent within frames: reading, counting, and the commands."""
    root = demo_root()
    census_on(root, which)
    runs = [census_on(root, which) for _ in range(sampler.samples)]
    measurement = Measurement([run.frame_seconds for run in runs], 1)
    return with_checksum(measurement, runs[-1].census.totals().lines)


def generated_systems(count: int) -> list[Any]:
    """Systems of uneven costs that read and write resources at random, always the same ones."""
    choice = random.Random(count)
    fields = {"__annotations__": {"value": fo.f8}, "value": 0.0}
    resources = [fo.resource(type(f"Generated{i}", (), dict(fields))) for i in range(count)]
    systems = []
    for index in range(SYSTEMS_PER_SCHEDULE):
        first, second, written = choice.sample(resources, 3)
        steps = int(MICROSECOND * choice.lognormvariate(3.4, 1.0))
        name = f"system{index}"
        systems.append(spinner(name, steps, reads=[first, second], writes=[written]))
    return systems


def generated_world(systems: list[Any]) -> fo.World:
    """A world that holds the resources of these systems."""
    world = world_of_one()
    used = {kind for system in systems for kind in (*system.reads, *system.writes)}
    for kind in sorted(used, key=lambda kind: kind.__name__):
        world.insert(kind())
    return world


def generated(resources: int, sampler: Sampler) -> Measurement:
    """One frame of a generated schedule on two workers."""
    systems = generated_systems(resources)
    return time_frames(sampler, generated_world(systems), systems, "stealing")[0]


def generated_after_pauses(resources: int, sampler: Sampler) -> Measurement:
    """The same after a pause in which all processors go idle, as at a fixed rate."""
    systems = generated_systems(resources)
    with open_scheduler(generated_world(systems), systems, "stealing") as scheduler:
        return sampler.time_with_setup(
            lambda: time.sleep(PAUSE_SECONDS), lambda _: scheduler.tick(STEP)
        )


def generated_ideal(resources: int, sampler: Sampler) -> Measurement:
    """The time that the same frame cannot beat: on one worker, over the bound of its plan.

    Two workers cannot be more than twice as fast either.
    """
    systems = generated_systems(resources)
    with open_scheduler(generated_world(systems), systems, "blocking") as scheduler:
        measurement = sampler.time_batch(lambda count: scheduler.tick_n(count, STEP))
        bound = min(WORKERS, scheduler.plan.speedup_bound(scheduler.costs()))
    seconds = [value / bound for value in measurement.seconds]
    return Measurement(seconds, measurement.inner, {"bound": bound})


def many_rows(count: int, backend: str, sampler: Sampler) -> Measurement:
    """Position += velocity over so many rows of one table."""
    world = fo.World(fo.Config(max_entities=count + 1))
    zero, unit = {"x": 0.0, "y": 0.0, "z": 0.0}, {"x": 1.0, "y": 1.0, "z": 1.0}
    world.spawn_many(count, {Position: zero, worlds.Velocity: unit})
    move = fo.native(kernels.ADVANCE, writes=[Position], reads=[worlds.Velocity], name="move")
    measurement, frames = time_frames(sampler, world, [move], backend)
    moved = sum(
        int((chunk[Position].x == np.float32(frames)).sum())
        for chunk in world.query(reads=[Position])
    )
    return with_checksum(measurement, moved)


def many_systems(count: int, backend: str, sampler: Sampler) -> Measurement:
    """One frame of so many native systems that do nothing."""
    systems = [fo.native(kernels.EMPTY, name=f"empty{index}") for index in range(count)]
    return time_frames(sampler, world_of_one(), systems, backend)[0]


SYSTEM_COUNTS = (10, 30, 100, 300, 1_000, 3_000, 10_000)
ROW_COUNTS = tuple(10**power for power in range(2, 8))
BACKENDS = ("blocking", "stealing")
WORKER_COUNTS = (1, WORKERS)

# Frames to be timed without a trace and with one, as `…_off` and `…_on`.
TRACED: dict[str, Callable[..., Measurement]] = {
    "traced_empty": partial(empty_native, 1000, WORKERS),
    "traced_100_ns": partial(short, HUNDRED_NS),
    "traced_1_us": partial(short, MICROSECOND),
    "traced_schedule": partial(swaps, WORKERS),
    "traced_heavy": partial(heavy_compute, WORKERS),
}

WORKLOADS: dict[str, Callable[[Sampler], Measurement]] = {
    **{f"schedule_{workers}": partial(swaps, workers) for workers in WORKER_COUNTS},
    **{f"heavy_compute_{workers}": partial(heavy_compute, workers) for workers in WORKER_COUNTS},
    **{f"empty_1000_{workers}": partial(empty_native, 1000, workers) for workers in WORKER_COUNTS},
    **{f"{name}_off": frames for name, frames in TRACED.items()},
    **{f"{name}_on": partial(frames, trace=True) for name, frames in TRACED.items()},
    "empty_python_1000": partial(empty_python, 1000),
    **{
        f"tiny_{count}_{backend}": partial(tiny, count, backend)
        for count in range(1, 9)
        for backend in BACKENDS
    },
    **{f"mixed_{which}": partial(mixed, which) for which in ("python", "native", "both")},
    **{f"demo_{which}": partial(demo, which) for which in ("plain", *BACKENDS)},
    **{f"demo_frames_{which}": partial(demo_frames, which) for which in BACKENDS},
    **{f"generated_{count}": partial(generated, count) for count in GENERATED},
    "generated_24_after_pauses": partial(generated_after_pauses, 24),
    **{f"generated_{count}_ideal": partial(generated_ideal, count) for count in GENERATED},
    **{
        f"systems_{count}_{backend}": partial(many_systems, count, backend)
        for count in SYSTEM_COUNTS
        for backend in BACKENDS
    },
    **{
        f"rows_{count}_{backend}": partial(many_rows, count, backend)
        for count in ROW_COUNTS
        for backend in BACKENDS
    },
}

if __name__ == "__main__":
    main("foliot", WORKLOADS)
