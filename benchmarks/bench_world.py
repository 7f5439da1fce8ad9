"""foliot's world: spawning, iterating, adding and removing; printed as `protocol` says.

Native workloads run a C kernel over the columns, numpy workloads a Python system over the same
columns; frames are driven by ``tick_n``, so a measurement includes everything a frame costs. Worlds
are sized for what the workload holds.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import foliot as fo
import kernels
import numpy as np
from protocol import Measurement, Sampler, main

ENTITIES = 10_000
FRAGMENTS = 26
ENTITIES_PER_FRAGMENT = 20
HEAVY_ENTITIES = 1_000
STEP = 1 / 60
CONFIG = fo.Config(max_entities=16_384)

VECTOR = {"x": "f4", "y": "f4", "z": "f4"}
Transform = fo.component("Transform", ("f4", (4, 4)))
Position = fo.component("Position", VECTOR)
Rotation = fo.component("Rotation", VECTOR)
Velocity = fo.component("Velocity", VECTOR)
Data = fo.component("Data", "f4")
A = fo.component("A", "f4")
B = fo.component("B", "f4")

UNIT_X = {"x": 1.0, "y": 0.0, "z": 0.0}


def rotation_about_x(angle: float) -> np.ndarray[Any, np.dtype[np.float32]]:
    """A rotation, so that inverting it again and again stays finite."""
    sine, cosine = math.sin(angle), math.cos(angle)
    matrix = np.eye(4, dtype=np.float32)
    matrix[1:3, 1:3] = [[cosine, sine], [-sine, cosine]]
    return matrix


def simple_columns(count: int) -> dict[Any, Any]:
    """The four components of the simple workloads, as columns."""
    return {
        Transform: np.broadcast_to(rotation_about_x(1.2), (count, 4, 4)).copy(),
        Position: UNIT_X,
        Rotation: UNIT_X,
        Velocity: UNIT_X,
    }


def simple_world(count: int) -> fo.World:
    """A world of ``count`` entities with the four components."""
    world = fo.World(CONFIG)
    world.spawn_many(count, simple_columns(count))
    return world


def fragmented_world() -> fo.World:
    """26 kinds of entity, 20 of each, told apart by a component of their own."""
    world = fo.World(CONFIG)
    for index in range(FRAGMENTS):
        letter = fo.component(f"Letter{index}", "f4")
        world.spawn_many(ENTITIES_PER_FRAGMENT, {letter: 0.0, Data: 1.0})
    return world


def time_frames(
    sampler: Sampler, world: fo.World, system: Any, backend: str = "blocking"
) -> Measurement:
    """Seconds per frame of a schedule of one system."""
    workers = 1 if backend == "blocking" else None
    with fo.Scheduler(world, fo.Schedule(system), backend=backend, workers=workers) as scheduler:
        return sampler.time_batch(lambda count: scheduler.tick_n(count, STEP))


def new_world(sampler: Sampler) -> Measurement:
    """An empty world, made and dropped."""
    return sampler.time(lambda: fo.World(CONFIG))


def simple_insert(sampler: Sampler) -> Measurement:
    """A new world and 10,000 entities of four components; the world is dropped as well."""
    columns = simple_columns(ENTITIES)

    def insert() -> None:
        fo.World(CONFIG).spawn_many(ENTITIES, columns)

    return sampler.time(insert)


def simple_iter_native(sampler: Sampler) -> Measurement:
    """Position += velocity over 10,000 entities, in C."""
    move = fo.native(kernels.ADVANCE, writes=[Position], reads=[Velocity], name="move")
    return time_frames(sampler, simple_world(ENTITIES), move)


def simple_iter_numpy(sampler: Sampler) -> Measurement:
    """Position += velocity over 10,000 entities, in numpy."""

    @fo.system(reads=[Velocity], writes=[Position])
    def move(ctx: Any) -> None:
        for chunk in ctx:
            position, velocity = chunk[Position], chunk[Velocity]
            position.x += velocity.x
            position.y += velocity.y
            position.z += velocity.z

    return time_frames(sampler, simple_world(ENTITIES), move)


def fragmented_iter_native(sampler: Sampler) -> Measurement:
    """Double Data over 26 tables of 20 rows, in C."""
    double = fo.native(kernels.DOUBLE, writes=[Data], name="double")
    return time_frames(sampler, fragmented_world(), double)


def fragmented_iter_numpy(sampler: Sampler) -> Measurement:
    """Double Data over 26 tables of 20 rows in numpy, joined into one batch."""

    @fo.system(writes=[Data])
    def double(ctx: Any) -> None:
        # Data overflows to infinity after 128 frames, which numpy would warn of.
        with np.errstate(over="ignore"):
            for batch in ctx.batches():
                batch[Data] *= 2.0

    return time_frames(sampler, fragmented_world(), double)


def fragmented_iter_numpy_by_table(sampler: Sampler) -> Measurement:
    """The same with a numpy call for each table."""

    @fo.system(writes=[Data])
    def double(ctx: Any) -> None:
        with np.errstate(over="ignore"):
            for chunk in ctx:
                chunk[Data] *= 2.0

    return time_frames(sampler, fragmented_world(), double)


def add_remove_bulk(sampler: Sampler) -> Measurement:
    """Add B to 10,000 entities with A, then remove it, each in one call."""
    world = fo.World(CONFIG)
    entities = world.spawn_many(ENTITIES, {A: 0.0})

    def change() -> None:
        world.add_many(entities, {B: 0.0})
        world.remove_many(entities, B)

    return sampler.time(change)


def heavy_compute_native(sampler: Sampler) -> Measurement:
    """100 inversions of a matrix for each of 1,000 entities, on all CPUs."""
    compute = fo.native(kernels.COMPUTE, writes=[Position, Transform], name="compute")
    return time_frames(sampler, simple_world(HEAVY_ENTITIES), compute, backend="stealing")


WORKLOADS: dict[str, Callable[[Sampler], Measurement]] = {
    "new_world": new_world,
    "simple_insert": simple_insert,
    "simple_iter_native": simple_iter_native,
    "simple_iter_numpy": simple_iter_numpy,
    "fragmented_iter_native": fragmented_iter_native,
    "fragmented_iter_numpy": fragmented_iter_numpy,
    "fragmented_iter_numpy_by_table": fragmented_iter_numpy_by_table,
    "add_remove_bulk": add_remove_bulk,
    "heavy_compute_native": heavy_compute_native,
}

if __name__ == "__main__":
    main("foliot", WORKLOADS)
