"""Workloads on esper, the Entity Component System in pure Python, printed as `protocol` says.

Components are classes with ``__slots__``, the cheapest attributes Python has. Iteration uses
``get_components`` and ``get_component``, which hand back a cached list as long as nothing changed.
esper has no bulk operations: entities and components come and go one by one.
"""

from __future__ import annotations

import esper
from protocol import Measurement, Sampler, main

ENTITIES = 10_000
FRAGMENTS = 26
ENTITIES_PER_FRAGMENT = 20


class Vector:
    """Three floats; the base of the simple components."""

    __slots__ = ("x", "y", "z")

    def __init__(self, x: float, y: float, z: float) -> None:
        self.x = x
        self.y = y
        self.z = z


class Position(Vector):
    """Where an entity is."""

    __slots__ = ()


class Rotation(Vector):
    """Which way an entity faces."""

    __slots__ = ()


class Velocity(Vector):
    """How an entity moves in one step."""

    __slots__ = ()


class Transform:
    """A 4x4 matrix, row after row."""

    __slots__ = ("values",)

    def __init__(self, values: tuple[float, ...]) -> None:
        self.values = values


class Data:
    """One float."""

    __slots__ = ("value",)

    def __init__(self, value: float) -> None:
        self.value = value


class A(Data):
    """The component every entity of the add and remove workload has."""

    __slots__ = ()


class B(Data):
    """The component that is added and removed."""

    __slots__ = ()


LETTERS: list[type[Data]] = [
    type(f"Letter{index}", (Data,), {"__slots__": ()}) for index in range(FRAGMENTS)
]
IDENTITY = (1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0)


def fill_world() -> None:
    """Make a fresh world of the simple workload's entities."""
    esper.switch_world("fresh")
    create_entity = esper.create_entity
    for _ in range(ENTITIES):
        create_entity(
            Transform(IDENTITY),
            Position(1.0, 0.0, 0.0),
            Rotation(1.0, 0.0, 0.0),
            Velocity(1.0, 0.0, 0.0),
        )


def drop_world() -> None:
    """Leave the world and delete it."""
    esper.switch_world("default")
    esper.delete_world("fresh")


def simple_insert(sampler: Sampler) -> Measurement:
    """A new world and 10,000 entities of four components; the world is dropped as well."""

    def insert() -> None:
        fill_world()
        drop_world()

    return sampler.time(insert)


def simple_iter(sampler: Sampler) -> Measurement:
    """Position += velocity over 10,000 entities."""
    fill_world()

    def iterate() -> None:
        for _, (position, velocity) in esper.get_components(Position, Velocity):
            position.x += velocity.x
            position.y += velocity.y
            position.z += velocity.z

    return sampler.time(iterate)


def fragmented_iter(sampler: Sampler) -> Measurement:
    """Double Data over 26 kinds of entity, 20 of each."""
    for letter in LETTERS:
        for _ in range(ENTITIES_PER_FRAGMENT):
            esper.create_entity(letter(0.0), Data(1.0))

    def iterate() -> None:
        for _, data in esper.get_component(Data):
            data.value *= 2.0

    return sampler.time(iterate)


def add_remove(sampler: Sampler) -> Measurement:
    """Add B to 10,000 entities with A, then remove it from all."""
    entities = [esper.create_entity(A(0.0)) for _ in range(ENTITIES)]

    def change() -> None:
        add_component, remove_component = esper.add_component, esper.remove_component
        for entity in entities:
            add_component(entity, B(0.0))
        for entity in entities:
            remove_component(entity, B)

    return sampler.time(change)


class Empty(esper.Processor):
    """A processor that does nothing."""

    def process(self) -> None:
        """Do nothing."""


def empty_systems(sampler: Sampler) -> Measurement:
    """One frame of 1,000 empty processors."""
    for _ in range(1_000):
        esper.add_processor(Empty())
    return sampler.time(esper.process)


WORKLOADS = {
    "simple_insert": simple_insert,
    "simple_iter": simple_iter,
    "fragmented_iter": fragmented_iter,
    "add_remove": add_remove,
    "empty_systems_1000": empty_systems,
}

if __name__ == "__main__":
    main("esper", WORKLOADS)
