"""foliot's schedule: frames of many systems, and plans; printed as `protocol` says.

``empty_systems_*`` time one frame of systems that do nothing; their world holds one entity, so that
every kernel is called once. ``plan_free_*`` and ``plan_total_*`` time declaring the systems, making
the schedule and planning it, without and with a total order said pair by pair. ``plan_random_*``
time the planning alone of systems that read and write resources at random, and report the memory
one plan holds.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import foliot as fo
import kernels
from protocol import Measurement, Sampler, main

ENTITIES = 10_000
STEP = 1 / 60
RESOURCES = 1_024
READS_PER_SYSTEM = 4
WRITES_PER_SYSTEM = 2
SIZES = (256, 512, 1024, 2048, 4096)
CONFIG = fo.Config(max_entities=65_536, max_systems=4_096)

A, B, C, D, E = (fo.component(letter, "f4") for letter in "ABCDE")


def time_frames(sampler: Sampler, world: fo.World, systems: list[Any], backend: str) -> Measurement:
    """Seconds per frame of a schedule."""
    workers = 1 if backend == "blocking" else None
    with fo.Scheduler(world, fo.Schedule(*systems), backend=backend, workers=workers) as scheduler:
        return sampler.time_batch(lambda count: scheduler.tick_n(count, STEP))


def swaps(backend: str, sampler: Sampler) -> Measurement:
    """Swap A with B, C with D and C with E over 10,000 entities of each of four kinds."""
    world = fo.World(CONFIG)
    for kind in ((A, B), (A, B, C), (A, B, C, D), (A, B, C, E)):
        world.spawn_many(ENTITIES, dict.fromkeys(kind, 1.0))
    pairs = {"swap_ab": (A, B), "swap_cd": (C, D), "swap_ce": (C, E)}
    systems = [fo.native(kernels.SWAP, writes=pair, name=name) for name, pair in pairs.items()]
    return time_frames(sampler, world, systems, backend)


def world_of_one() -> fo.World:
    """A world in which a query without terms has one row."""
    world = fo.World(CONFIG)
    world.spawn_many(1, {A: 0.0})
    return world


def empty_native(count: int, backend: str, sampler: Sampler) -> Measurement:
    """One frame of native systems that do nothing."""
    systems = [fo.native(kernels.EMPTY, name=f"empty{index}") for index in range(count)]
    return time_frames(sampler, world_of_one(), systems, backend)


def empty_python(count: int, sampler: Sampler) -> Measurement:
    """One frame of Python systems that do nothing."""

    def empty(ctx: Any) -> None:
        del ctx

    systems = [fo.system(name=f"empty{index}")(empty) for index in range(count)]
    return time_frames(sampler, world_of_one(), systems, "blocking")


def free_plan(count: int) -> Any:
    """A plan of systems that have nothing to do with each other."""
    systems = [fo.native(kernels.EMPTY, name=f"system{index}") for index in range(count)]
    return fo.Schedule(*systems).plan()


def ordered_plan(count: int) -> Any:
    """A plan of systems in sets of their own, each set before all later ones."""
    places = [f"place{index}" for index in range(count)]
    systems = [
        fo.native(
            kernels.EMPTY,
            name=f"system{index}",
            sets=[place],
            before=places[index + 1 :],
        )
        for index, place in enumerate(places)
    ]
    return fo.Schedule(*systems).plan()


def plan(build: Callable[[int], Any], count: int, sampler: Sampler) -> Measurement:
    """Seconds to declare, schedule and plan; dropping the plan is not counted."""
    return sampler.time_with_setup(lambda: count, build)


@cache
def random_resources() -> list[Any]:
    """The resources of the random schedules, declared once: types are process-wide."""
    fields = {"__annotations__": {"value": fo.f8}, "value": 0.0}
    return [fo.resource(type(f"Resource{index}", (), dict(fields))) for index in range(RESOURCES)]


def random_schedule(count: int) -> fo.Schedule:
    """Systems that read and write resources chosen at random, always the same ones."""
    choice = random.Random(count)
    resources = random_resources()
    systems = []
    for index in range(count):
        chosen = choice.sample(resources, READS_PER_SYSTEM + WRITES_PER_SYSTEM)
        reads, writes = chosen[:READS_PER_SYSTEM], chosen[READS_PER_SYSTEM:]
        systems.append(fo.native(kernels.EMPTY, name=f"system{index}", reads=reads, writes=writes))
    return fo.Schedule(*systems)


def resident_bytes() -> int:
    """Memory of this process that is in RAM."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def random_plan(count: int, sampler: Sampler) -> Measurement:
    """Seconds to plan, and bytes that the first plan of the process adds to it."""
    schedule = random_schedule(count)
    before = resident_bytes()
    kept = schedule.plan()
    memory = resident_bytes() - before
    timed = sampler.time_with_setup(partial(random_schedule, count), fo.Schedule.plan)
    del kept
    return Measurement(timed.seconds, timed.inner, {"memory_bytes": memory})


WORKLOADS: dict[str, Callable[[Sampler], Measurement]] = {
    "schedule_single": partial(swaps, "blocking"),
    "schedule_multi": partial(swaps, "stealing"),
    **{
        f"empty_systems_native_{count}": partial(empty_native, count, "blocking")
        for count in (10, 100, 1000)
    },
    "empty_systems_multi_1000": partial(empty_native, 1000, "stealing"),
    **{f"empty_systems_python_{count}": partial(empty_python, count) for count in (10, 100, 1000)},
    **{f"plan_free_{count}": partial(plan, free_plan, count) for count in (100, 500, 1000)},
    **{f"plan_total_{count}": partial(plan, ordered_plan, count) for count in (100, 500, 1000)},
    **{f"plan_random_{count}": partial(random_plan, count) for count in SIZES},
}

if __name__ == "__main__":
    main("foliot", WORKLOADS)
