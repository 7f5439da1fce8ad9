"""Entity ids."""

import pickle

import foliot as fo
import numpy as np
import pytest


def test_entity_is_an_int_of_generation_and_index():
    entity = fo.World().spawn()
    assert isinstance(entity, int)
    assert entity == entity.generation << 32 | entity.index


def test_reused_index_has_another_generation():
    world = fo.World()
    first = world.spawn()
    world.despawn(first)
    second = world.spawn()
    assert second.index == first.index
    assert second.generation != first.generation


def test_entity_prints_its_halves():
    assert repr(fo.Entity(3 << 32 | 5)) == "Entity(index=5, generation=3)"


def test_provisional_entity_says_so():
    assert repr(fo.Entity(0xFFFFFFFF << 32 | 7)) == "Entity(provisional, index=7)"


def test_entity_round_trips_through_pickle():
    entity = fo.World().spawn()
    assert pickle.loads(pickle.dumps(entity)) == entity


def test_entity_is_a_key_like_its_number():
    entity = fo.Entity(5)
    assert {entity: "a"}[5] == "a"


@pytest.mark.parametrize("kind", [int, np.uint64, fo.Entity])
def test_any_integer_names_an_entity(kind):
    world = fo.World()
    entity = world.spawn()
    assert kind(entity) in world


@pytest.mark.parametrize("number", [-1, 0, 2**64, 2**200])
def test_number_that_no_entity_has_is_stale(number):
    world = fo.World()
    assert number not in world
    with pytest.raises(fo.StaleHandleError):
        world.despawn(number)


def test_something_that_is_no_integer_is_no_entity():
    world = fo.World()
    assert "e" not in world
    with pytest.raises(TypeError, match="an entity is expected, got 'e'"):
        world.despawn("e")
