"""Entities one by one: what world methods do, and what they say when they cannot."""

import gc
import weakref

import foliot as fo
import numpy as np
import pytest

Position = fo.component("Position", {"x": "f4", "y": "f4"})
Mass = fo.component("Mass", "f8")
Matrix = fo.component("Matrix", ("f4", (2, 2)))
Frozen = fo.tag("Frozen")
Note = fo.component("Note", object)
Text = fo.component("Text", fo.Bytes)
Gravity = fo.resource("Gravity", {"g": "f8"})


@pytest.fixture
def world():
    return fo.World()


def test_spawned_entity_has_its_values(world):
    entity = world.spawn(Position(1, 2), Mass(3), Frozen)
    assert world.get(entity, Position) == Position(1, 2)
    assert world.get(entity, Mass) == Mass(3)
    assert world.has(entity, Frozen)


def test_entity_may_have_no_components(world):
    assert world.spawn() in world


def test_class_stands_for_its_default(world):
    @fo.component
    class Speed:
        v: fo.f8 = 2.5
        w: fo.f8

    entity = world.spawn(Speed, Mass, Text, Note)
    assert world.get(entity, Speed) == Speed(v=2.5, w=0)
    assert world.get(entity, Mass).value == 0.0
    assert world.get(entity, Text).value == b""
    assert world.get(entity, Note).value is None


def test_default_bytes_and_objects_reach_the_world(world):
    thing = object()

    @fo.component
    class Label:
        text: fo.Bytes = b"none"

    @fo.component
    class Link:
        target: object = thing

    entity = world.spawn(Label, Link)
    assert world.get(entity, Label).text == b"none"
    assert world.get(entity, Link).target is thing


def test_length_counts_the_living(world):
    first = world.spawn()
    world.spawn()
    world.despawn(first)
    assert len(world) == 1


def test_empty_world_is_true(world):
    assert world


def test_world_prints_how_many_it_holds(world):
    world.spawn()
    assert repr(world) == "<foliot.World of 1 entities>"


def test_value_from_a_world_is_a_copy(world):
    entity = world.spawn(Matrix([[1, 2], [3, 4]]))
    before = world.get(entity, Matrix)
    world.set(entity, Matrix(np.zeros((2, 2))))
    assert before.value.tolist() == [[1, 2], [3, 4]]


def test_add_gives_a_component_and_overwrites_one(world):
    entity = world.spawn(Position(1, 2))
    world.add(entity, Mass(1), Position(3, 4))
    assert world.get(entity, Position) == Position(3, 4)
    assert world.get(entity, Mass) == Mass(1)


def test_set_overwrites(world):
    entity = world.spawn(Position(1, 2), Mass(1))
    world.set(entity, Mass(2), Position(3, 4))
    assert world.get(entity, Mass) == Mass(2)
    assert world.get(entity, Position) == Position(3, 4)


def test_set_of_a_missing_component_changes_nothing(world):
    entity = world.spawn(Position(1, 2))
    with pytest.raises(KeyError, match="has no Mass"):
        world.set(entity, Position(3, 4), Mass(2))
    assert world.get(entity, Position) == Position(1, 2)


def test_remove_takes_components(world):
    entity = world.spawn(Position(1, 2), Mass(1), Frozen)
    world.remove(entity, Frozen, Mass)
    assert not world.has(entity, Mass)
    assert not world.has(entity, Frozen)
    assert world.get(entity, Position) == Position(1, 2)


def test_remove_of_a_missing_component_changes_nothing(world):
    entity = world.spawn(Mass(1))
    with pytest.raises(KeyError, match="has no Frozen"):
        world.remove(entity, Mass, Frozen)
    assert world.has(entity, Mass)


def test_get_of_a_missing_component_is_a_key_error(world):
    entity = world.spawn()
    with pytest.raises(KeyError, match=r"Entity\(index=0, generation=1\) has no Position"):
        world.get(entity, Position)


@pytest.mark.parametrize(
    "use",
    [
        lambda world, entity: world.despawn(entity),
        lambda world, entity: world.get(entity, Mass),
        lambda world, entity: world.has(entity, Mass),
        lambda world, entity: world.set(entity, Mass(1)),
        lambda world, entity: world.add(entity, Mass(1)),
        lambda world, entity: world.remove(entity, Mass),
    ],
)
def test_despawned_entity_is_stale_even_when_its_index_lives_again(world, use):
    entity = world.spawn(Mass(1))
    world.despawn(entity)
    world.spawn(Mass(2))
    with pytest.raises(fo.StaleHandleError, match="is not alive"):
        use(world, entity)


def test_despawned_entity_is_not_in_the_world(world):
    entity = world.spawn()
    world.despawn(entity)
    assert entity not in world


def test_component_named_twice_is_refused(world):
    with pytest.raises(ValueError, match="Mass is named twice"):
        world.spawn(Mass(1), Mass(2))
    entity = world.spawn(Mass(1))
    with pytest.raises(ValueError, match="Mass is named twice"):
        world.remove(entity, Mass, Mass)


def test_resource_is_no_component(world):
    with pytest.raises(TypeError, match="Gravity is a resource"):
        world.spawn(Gravity(g=1))
    with pytest.raises(TypeError, match="Gravity is a resource"):
        world.has(world.spawn(), Gravity)


def test_something_else_than_a_component_is_refused(world):
    with pytest.raises(TypeError, match="a component value such as"):
        world.spawn(3)
    with pytest.raises(TypeError, match="dict is no component class"):
        world.get(world.spawn(), dict)
    with pytest.raises(TypeError, match="got a Mass value"):
        world.get(world.spawn(), Mass(1))
    with pytest.raises(TypeError, match="expected, got 'Mass'"):
        world.get(world.spawn(), "Mass")


@pytest.mark.parametrize("method", ["add", "set", "remove"])
def test_call_without_an_entity_is_refused(world, method):
    with pytest.raises(TypeError, match=f"{method} needs an entity"):
        getattr(world, method)()


@pytest.mark.parametrize("method", ["get", "has"])
def test_call_with_too_few_arguments_is_refused(world, method):
    with pytest.raises(TypeError, match="takes an entity and a component, got 1"):
        getattr(world, method)(world.spawn())


def test_full_world_names_the_setting_and_changes_nothing():
    world = fo.World(fo.Config(max_entities=2))
    world.spawn_many(2)
    with pytest.raises(fo.CapacityError, match=r"Config\.max_entities is 2; nothing was changed"):
        world.spawn()
    assert len(world) == 2


def fill_with_kinds(world, count):
    for number in range(count):
        world.spawn(fo.component(f"C{number}", "f4")(1))


def test_too_many_tables_name_the_setting():
    world = fo.World(fo.Config(max_tables=2))
    world.spawn()
    fill_with_kinds(world, 2)
    with pytest.raises(fo.CapacityError, match=r"Config\.max_tables is 2"):
        fill_with_kinds(world, 1)


def test_too_many_component_types_name_the_setting():
    world = fo.World(fo.Config(max_components=2))
    with pytest.raises(fo.CapacityError, match=r"Config\.max_components is 2"):
        fill_with_kinds(world, 4)


def test_object_component_keeps_its_object(world):
    class Thing:
        pass

    thing = Thing()
    alive = weakref.ref(thing)
    entity = world.spawn(Note(thing))
    del thing
    gc.collect()
    assert world.get(entity, Note).value is alive()
    world.despawn(entity)
    gc.collect()
    assert alive() is None


def test_replaced_object_is_dropped(world):
    class Thing:
        pass

    thing = Thing()
    alive = weakref.ref(thing)
    entity = world.spawn(Note(thing))
    del thing
    world.set(entity, Note(None))
    assert alive() is None


def test_world_that_holds_itself_is_collected():
    class Thing:
        pass

    thing = Thing()
    alive = weakref.ref(thing)
    world = fo.World()
    thing.world = world
    world.spawn(Note(thing))
    list(world.query(reads=[Note]))
    del world, thing
    gc.collect()
    assert alive() is None


def test_world_that_is_its_own_resource_is_collected():
    class Holder:
        def __init__(self, world):
            self.world = world

    world = fo.World()
    world.insert(Holder(world))
    gone = weakref.ref(world)
    del world
    gc.collect()
    assert gone() is None


def test_object_that_calls_the_world_when_dropped_is_refused(world):
    heard = []

    class Caller:
        def __del__(self):
            try:
                world.spawn()
            except fo.WorldBusyError as error:
                heard.append(str(error))

    entity = world.spawn(Note(Caller()))
    world.despawn(entity)
    assert len(world) == 0
    assert len(heard) == 1
    assert "in use" in heard[0]


def test_failing_conversion_changes_nothing(world):
    class Bad:
        def __float__(self):
            raise ZeroDivisionError

    entity = world.spawn(Mass(1))
    with pytest.raises(ZeroDivisionError):
        world.set(entity, Mass(Bad()))
    assert world.get(entity, Mass) == Mass(1)


def test_conversion_of_an_id_may_use_the_world(world):
    first, second = world.spawn(), world.spawn()

    class Late:
        def __index__(self):
            world.despawn(second)
            return int(first)

    world.despawn_many([Late()])
    assert len(world) == 0


def test_digest_does_not_depend_on_the_order_of_values(world):
    other = fo.World()
    world.spawn(Position(1, 2), Mass(3))
    other.spawn(Mass(3), Position(1, 2))
    assert world.digest() == other.digest()
    assert len(world.digest()) == 32
    int(world.digest(), 16)


def test_digest_sees_every_value(world):
    entity = world.spawn(Position(1, 2), Text(b"a"))
    seen = {world.digest()}
    world.set(entity, Position(1, 3))
    seen.add(world.digest())
    world.set(entity, Text(b"b"))
    seen.add(world.digest())
    world.add(entity, Frozen)
    seen.add(world.digest())
    world.insert(Gravity(g=1))
    seen.add(world.digest())
    assert len(seen) == 5


def test_world_may_be_subclassed_and_referred_to_weakly():
    class Game(fo.World):
        def population(self):
            return len(self)

    game = Game()
    game.spawn()
    assert game.population() == 1
    assert weakref.ref(game)() is game


def test_component_type_may_go_before_the_world(world):
    local = fo.component("Local", "f4")
    entity = world.spawn(local(1), Mass(2))
    del local
    gc.collect()
    assert world.get(entity, Mass) == Mass(2)
    world.despawn(entity)
