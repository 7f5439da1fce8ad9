"""Resources: one value per world."""

import gc
import weakref

import foliot as fo
import pytest


@fo.resource
class Gravity:
    g: fo.f8 = 9.81


Grid = fo.resource("Grid", {"cells": ("f4", (2, 2)), "count": "i4"})
Title = fo.resource("Title", fo.Bytes)
Mass = fo.component("Mass", "f8")


class Settings:
    def __init__(self, level):
        self.level = level


@pytest.fixture
def world():
    return fo.World()


def test_inserted_resource_is_read_back(world):
    world.insert(Gravity(g=1.6))
    assert world[Gravity].g == 1.6
    assert world[Gravity] == Gravity(g=1.6)


def test_class_is_inserted_as_its_default(world):
    world.insert(Gravity)
    assert world[Gravity].g == 9.81


def test_insert_replaces(world):
    world.insert(Gravity(g=1))
    world.insert(Gravity(g=2))
    assert world[Gravity].g == 2


def test_resource_from_a_world_is_a_copy(world):
    world.insert(Gravity(g=1))
    before = world[Gravity]
    world.insert(Gravity(g=2))
    assert before.g == 1


def test_copy_says_how_to_change_the_resource(world):
    world.insert(Gravity(g=1))
    with pytest.raises(AttributeError, match="make another and set or insert it"):
        world[Gravity].g = 2


def test_shaped_and_bytes_resources(world):
    world.insert(Grid(cells=[[1, 2], [3, 4]], count=4))
    world.insert(Title(b"foliot"))
    assert world[Grid].cells.tolist() == [[1, 2], [3, 4]]
    assert world[Title].value == b"foliot"


def test_instance_of_any_class_is_a_resource(world):
    settings = Settings(3)
    world.insert(settings)
    assert world[Settings] is settings
    world[Settings].level = 4
    assert settings.level == 4


def test_resource_goes_by_its_exact_class(world):
    class Special(Settings):
        pass

    world.insert(Special(1))
    with pytest.raises(KeyError, match="Settings was never inserted"):
        world[Settings]


def test_classes_of_one_name_are_two_resources(world):
    def make():
        class Local:
            pass

        return Local

    first, second = make(), make()
    one, two = first(), second()
    world.insert(one)
    world.insert(two)
    assert world[first] is one
    assert world[second] is two


def test_missing_resource_is_a_key_error(world):
    with pytest.raises(KeyError, match="Gravity was never inserted into the world"):
        world[Gravity]


def test_component_is_no_resource(world):
    with pytest.raises(TypeError, match="Mass is a component, not a resource"):
        world.insert(Mass(1))
    with pytest.raises(TypeError, match="Mass is a component, not a resource"):
        world[Mass]


def test_class_is_no_instance(world):
    with pytest.raises(TypeError, match="a resource is an instance, got the class Settings"):
        world.insert(Settings)


def test_key_is_a_class(world):
    with pytest.raises(TypeError, match="a component or resource class is expected, got 'x'"):
        world["x"]


def test_replaced_object_is_dropped(world):
    first = Settings(1)
    alive = weakref.ref(first)
    world.insert(first)
    del first
    world.insert(Settings(2))
    assert alive() is None


def test_world_drops_its_objects_when_it_goes():
    world = fo.World()
    settings = Settings(1)
    alive = weakref.ref(settings)
    world.insert(settings)
    del settings, world
    gc.collect()
    assert alive() is None


def test_resource_class_may_go(world):
    class Local:
        pass

    gone = weakref.ref(Local)
    fo.World().insert(Local())
    del Local
    gc.collect()
    assert gone() is None
