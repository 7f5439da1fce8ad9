"""The n-th allocation of the core fails: MemoryError, nothing changed, nothing lost.

Each call is tried with the first allocation failing, then the second, and so on, until it needs no
more. After each failure the world is what it was, and works.
"""

import gc

import foliot as fo
import numpy as np
import pytest
from foliot import _core

pytestmark = pytest.mark.faults

Position = fo.component("Position", {"x": "f4", "y": "f4"})
Mass = fo.component("Mass", "f8")
Frozen = fo.tag("Frozen")
Text = fo.component("Text", fo.Bytes)
Note = fo.component("Note", object)
Gravity = fo.resource("Gravity", {"g": "f8"})
Title = fo.resource("Title", fo.Bytes)

MAX_ALLOCATIONS = 500


class Plain:
    pass


def filled():
    """A world with some of everything, and the ids in it."""
    world = fo.World(fo.Config(max_entities=10_000))
    ids = world.spawn_many(
        40, {Position: {"x": np.arange(40)}, Text: [b"t%d" % i for i in range(40)], Note: "n"}
    )
    world.insert(Gravity(g=1))
    return world, ids


def notes(world):
    return [list(chunk[Note]) for chunk in world.query(reads=[Note])]


CHANGES = {
    "spawn": lambda world, ids: world.spawn(Position(1, 2), Text(b"abc"), Note([1]), Frozen),
    "spawn of a new kind": lambda world, ids: world.spawn(fo.component("Fresh", "f4")(1)),
    "despawn": lambda world, ids: world.despawn(ids[3]),
    "add": lambda world, ids: world.add(ids[3], Mass(1), Text(b"longer than before")),
    "set": lambda world, ids: world.set(ids[3], Text(b"other"), Note({}), Position(5, 6)),
    "remove": lambda world, ids: world.remove(ids[3], Text, Note),
    "spawn_many": lambda world, ids: world.spawn_many(
        60, {Position: None, Text: [b"x"] * 60, Note: [[]] * 60}
    ),
    "despawn_many": lambda world, ids: world.despawn_many(ids[::3]),
    "add_many": lambda world, ids: world.add_many(ids[5:20], {Mass: 1, Text: b"again"}),
    "remove_many": lambda world, ids: world.remove_many(ids[5:20], Text),
    "insert": lambda world, ids: world.insert(Title(b"title")),
    "insert of an object": lambda world, ids: world.insert(Plain()),
    "query": lambda world, ids: [len(chunk) for chunk in world.query(reads=[Text])],
}


def fail_each(change, check):
    """Run a change on fresh worlds with each of its allocations failing in turn."""
    for n in range(1, MAX_ALLOCATIONS):
        world, ids = filled()
        list(world.query(with_=[Note]))
        digest, held = world.digest(), notes(world)
        _core.fail_nth_allocation(n)
        try:
            change(world, ids)
            failed = False
        except MemoryError:
            failed = True
        finally:
            was_needed = not _core.allocation_failure_is_armed()
            _core.fail_nth_allocation(0)
        assert failed == was_needed, f"allocation {n} failed unseen"
        if not was_needed:
            return n - 1
        check(world, digest, held)
        change(world, ids)
    raise AssertionError(f"more than {MAX_ALLOCATIONS} allocations")


def check_unchanged(world, digest, held):
    assert world.digest() == digest
    assert notes(world) == held


@pytest.mark.parametrize("name", CHANGES)
def test_change_without_memory_changes_nothing(name):
    fail_each(CHANGES[name], check_unchanged)


def test_world_without_memory_is_not_made_and_leaves_nothing():
    gc.collect()
    before = _core.memory_stats()["live_blocks"]
    failures = 0
    for n in range(1, MAX_ALLOCATIONS):
        _core.fail_nth_allocation(n)
        try:
            fo.World(fo.Config(max_entities=100))
        except MemoryError:
            failures += 1
        finally:
            is_over = _core.allocation_failure_is_armed()
            _core.fail_nth_allocation(0)
        gc.collect()
        assert _core.memory_stats()["live_blocks"] == before
        if is_over:
            break
    assert 0 < failures < MAX_ALLOCATIONS


def test_component_without_memory_is_not_made():
    _core.fail_nth_allocation(1)
    with pytest.raises(MemoryError):
        fo.component("Late", "f4")


def test_cell_without_memory_keeps_its_bytes():
    world, ids = filled()
    [chunk] = world.query(writes=[Text])
    _core.fail_nth_allocation(1)
    with pytest.raises(MemoryError):
        chunk[Text][0] = b"something new"
    assert world.get(ids[0], Text).value == b"t0"


def test_failures_leave_no_memory_behind():
    for change in CHANGES.values():
        fail_each(change, check_unchanged)
    gc.collect()
    before = _core.memory_stats()["live_blocks"]
    for change in CHANGES.values():
        fail_each(change, check_unchanged)
    gc.collect()
    assert _core.memory_stats()["live_blocks"] <= before
