"""What public calls leave behind: nothing."""

import gc
import sys
import tracemalloc

import foliot as fo
import numpy as np
import pytest
from foliot import _core

Position = fo.component("Position", {"x": "f4", "y": "f4"})
Mass = fo.component("Mass", "f8")
Matrix = fo.component("Matrix", ("f4", (2, 2)))
Text = fo.component("Text", fo.Bytes)
Note = fo.component("Note", object)
Frozen = fo.tag("Frozen")
Gravity = fo.resource("Gravity", {"g": "f8"})


class Plain:
    pass


def spawn_and_despawn(world):
    world.despawn(world.spawn(Position(1, 2), Mass(1), Text(b"abc"), Note([1]), Frozen))


def read_and_write_one(world):
    entity = world.spawn(Position(1, 2), Text(b"abc"), Note([1]), Matrix)
    world.set(entity, Position(3, 4), Text(b"d" * 100), Note((2,)))
    world.get(entity, Position), world.get(entity, Text), world.get(entity, Note)
    world.get(entity, Matrix).value
    world.add(entity, Mass(1))
    world.remove(entity, Mass)
    world.despawn(entity)


def many(world):
    ids = world.spawn_many(50, {Position: {"x": range(50)}, Text: [b"x"] * 50, Note: [[]] * 50})
    world.add_many(list(ids), {Mass: np.arange(50)})
    world.remove_many(ids, Mass, Text)
    world.despawn_many(ids)


def loop_over_chunks(world):
    ids = world.spawn_many(5, {Position: None, Text: b"t", Note: "n", Mass: 1})
    for chunk in world.query(writes=[Position, Text, Note, Mass]):
        chunk[Position].x += 1
        chunk[Mass] = 2
        chunk[Text][0] = b"abc"
        chunk[Note] = None
        bytes(chunk[Text][0]), chunk.entities
    world.despawn_many(ids)


def resources(world):
    world.insert(Gravity(g=1))
    world.insert(Plain())
    world[Gravity].g, world[Plain]


def errors(world):
    entity = world.spawn(Mass(1))
    for call in (
        lambda: world.get(entity, Position),
        lambda: world.spawn_many(3, {Mass: [1]}),
        lambda: world.spawn_many(3, {Text: [b"a", 1, 2]}),
        lambda: world.spawn(Mass(1), Mass(2)),
        lambda: world.set(entity, Note(1)),
        lambda: world.despawn(0),
        lambda: Position(z=1),
        lambda: Mass("a"),
        lambda: Matrix([1]),
        lambda: world.query(reads=[3]),
        lambda: world[dict],
        lambda: next(iter(world.query(reads=[Mass])))[Position],
    ):
        with pytest.raises((KeyError, ValueError, TypeError, fo.FoliotError)):
            call()
    world.despawn(entity)


def worlds(_):
    world = fo.World(fo.Config(max_entities=1000))
    world.spawn_many(10, {Note: [object() for _ in range(10)], Text: b"a"})
    for chunk in world.query(reads=[Note, Text]):
        list(chunk[Note]), list(chunk[Text])
    world.insert(Plain())


def components(_):
    local = fo.component("Local", {"x": "f4"})
    world = fo.World()
    world.spawn(local(1))


CALLS = [
    spawn_and_despawn,
    read_and_write_one,
    many,
    loop_over_chunks,
    resources,
    errors,
    worlds,
    components,
]


# An object that stays behind at each call costs at least this.
SMALLEST_OBJECT = 24
ROUNDS = 1000


def bytes_grown(call, world):
    """What ROUNDS calls leave allocated, as Python counts it."""
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(ROUNDS):
        call(world)
    gc.collect()
    return tracemalloc.get_traced_memory()[0] - before


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
def test_call_leaves_no_memory_behind(call):
    world = fo.World()
    for _ in range(ROUNDS // 4):
        call(world)
    gc.collect()
    blocks = _core.memory_stats()["live_blocks"]
    tracemalloc.start()
    try:
        call(world)
        gc.collect()
        # A leak is in every stretch; a dictionary of the interpreter that grew is in one.
        grown = min(bytes_grown(call, world) for _ in range(3))
    finally:
        tracemalloc.stop()
    assert _core.memory_stats()["live_blocks"] - blocks <= 2
    assert grown < ROUNDS * SMALLEST_OBJECT, f"{grown} bytes in {ROUNDS} calls"


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
def test_call_leaves_no_reference_behind(call):
    world = fo.World()
    watched = [Position, Mass, Text, Note, Gravity, Plain, fo.Config, None, 1, b"abc", np.ndarray]
    call(world)
    gc.collect()
    before = [sys.getrefcount(each) for each in watched]
    for _ in range(300):
        call(world)
    gc.collect()
    after = [sys.getrefcount(each) for each in watched]
    assert all(late - early < 100 for early, late in zip(before, after, strict=True)), (
        before,
        after,
    )


def test_world_gives_all_its_memory_back():
    gc.collect()
    before = _core.memory_stats()["live_blocks"]
    world = fo.World()
    ids = world.spawn_many(1000, {Position: None, Text: b"abc", Note: "x"})
    list(world.query(reads=[Position]))
    world.despawn_many(ids[::2])
    del world
    gc.collect()
    assert _core.memory_stats()["live_blocks"] == before


def test_world_goes_with_its_last_reference():
    before = _core.memory_stats()["live_blocks"]
    gc.disable()
    try:
        world = fo.World()
        world.spawn_many(10, {Mass: 1})
        for chunk in world.query(writes=[Mass]):
            chunk[Mass] += 1
        del world, chunk
        assert _core.memory_stats()["live_blocks"] == before
    finally:
        gc.enable()


def test_kept_view_keeps_only_its_block():
    gc.collect()
    before = _core.memory_stats()["live_blocks"]
    world = fo.World()
    world.spawn_many(10, {Mass: 1})
    [chunk] = world.query(reads=[Mass])
    view = chunk[Mass]
    del world, chunk
    gc.collect()
    assert _core.memory_stats()["live_blocks"] == before + 1
    del view
    assert _core.memory_stats()["live_blocks"] == before
