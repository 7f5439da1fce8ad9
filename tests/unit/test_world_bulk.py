"""Many entities at once: where values come from, and what a refused call leaves."""

import foliot as fo
import numpy as np
import pytest

Position = fo.component("Position", {"x": "f4", "y": "f4"})
Mass = fo.component("Mass", "f8")
Count = fo.component("Count", "u1")
Matrix = fo.component("Matrix", ("f4", (2, 2)))
Frozen = fo.tag("Frozen")
Note = fo.component("Note", object)
Text = fo.component("Text", fo.Bytes)


@pytest.fixture
def world():
    return fo.World()


def values(world, ids, component):
    return [world.get(entity, component).value for entity in ids]


def test_ids_come_as_an_array(world):
    ids = world.spawn_many(3)
    assert ids.dtype == np.uint64
    assert ids.shape == (3,)
    assert all(entity in world for entity in ids)


def test_no_entities_are_an_empty_array(world):
    assert world.spawn_many(0, {Mass: 1.0}).shape == (0,)
    assert world.spawn_many(0, {Mass: []}).shape == (0,)


def test_arrays_fill_columns_and_numbers_repeat(world):
    ids = world.spawn_many(3, {Position: {"x": np.arange(3, dtype="f4"), "y": 0.5}})
    assert world.get(ids[2], Position) == Position(2, 0.5)


@pytest.mark.parametrize(
    "given",
    [
        [1, 2, 3],
        (1.0, 2.0, 3.0),
        np.array([1, 2, 3]),
        np.array([1, 2, 3], dtype=">f4"),
        np.arange(6.0)[1::2] * 0 + [1, 2, 3],
        np.array([3.0, 2.0, 1.0])[::-1],
        range(1, 4),
        np.array([[1.0, 9.0], [2.0, 9.0], [3.0, 9.0]])[:, 0],
    ],
)
def test_column_may_come_in_any_form(world, given):
    ids = world.spawn_many(3, {Mass: given})
    assert values(world, ids, Mass) == [1.0, 2.0, 3.0]


def test_shaped_column_is_rows_of_elements(world):
    given = np.arange(12, dtype="f4").reshape(3, 2, 2)
    ids = world.spawn_many(3, {Matrix: given})
    assert world.get(ids[2], Matrix).value.tolist() == [[8, 9], [10, 11]]


def test_strided_elements_are_copied_right(world):
    given = np.arange(12, dtype="f4").reshape(3, 2, 2).transpose(0, 2, 1)
    ids = world.spawn_many(3, {Matrix: given})
    assert world.get(ids[1], Matrix).value.tolist() == [[4, 6], [5, 7]]


def test_one_element_repeats_for_all_rows(world):
    ids = world.spawn_many(2, {Matrix: np.eye(2)})
    assert world.get(ids[1], Matrix).value.tolist() == [[1, 0], [0, 1]]


def test_none_gives_defaults(world):
    ids = world.spawn_many(2, {Mass: None, Text: None, Frozen: None})
    assert values(world, ids, Mass) == [0.0, 0.0]
    assert values(world, ids, Text) == [b"", b""]
    assert world.has(ids[1], Frozen)


def test_field_left_out_has_its_default(world):
    @fo.component
    class Speed:
        v: fo.f4
        w: fo.f4 = 5

    ids = world.spawn_many(2, {Speed: {"v": [1, 2]}})
    assert world.get(ids[1], Speed) == Speed(v=2, w=5)


def test_value_repeats_for_all_rows(world):
    ids = world.spawn_many(2, {Position: Position(1, 2), Note: Note([3])})
    assert world.get(ids[1], Position) == Position(1, 2)
    assert values(world, ids, Note) == [[3], [3]]


def test_cells_come_from_lists_or_repeat(world):
    ids = world.spawn_many(2, {Text: [b"a", bytearray(b"b")], Note: ("x", None)})
    assert values(world, ids, Text) == [b"a", b"b"]
    assert values(world, ids, Note) == ["x", None]
    ids = world.spawn_many(2, {Text: b"all", Note: "all"})
    assert values(world, ids, Text) == [b"all", b"all"]
    assert values(world, ids, Note) == ["all", "all"]


def test_cells_come_from_arrays_of_objects_and_of_bytes(world):
    objects = np.array([[1], None], dtype=object)
    ids = world.spawn_many(2, {Note: objects, Text: np.array([b"a", b"bc"])})
    assert values(world, ids, Note) == [[1], None]
    assert values(world, ids, Text) == [b"a", b"bc"]


@pytest.mark.parametrize(
    ("columns", "error", "message"),
    [
        ({Position: {"x": [1, 2]}}, ValueError, r"column Position\.x has 2 rows, expected 3"),
        ({Mass: [1, 2]}, ValueError, "column Mass has 2 rows, expected 3"),
        ({Text: [b"a"]}, ValueError, "column Text has 1 rows, expected 3"),
        ({Note: [1]}, ValueError, "column Note has 1 rows, expected 3"),
        ({Position: {"z": 1}}, ValueError, "Position has fields x, y; got z"),
        ({Position: 3}, ValueError, "takes a mapping"),
        ({Frozen: 3}, ValueError, "Frozen is a tag and takes None, got int"),
        ({Mass: ["a", "b", "c"]}, TypeError, "Mass takes float64 values"),
        ({Mass: [[1], [1, 2], 3]}, ValueError, "Mass takes an array"),
        ({Mass: "abc"}, TypeError, "Mass takes float64 values, got str"),
        ({Mass: np.ones((3, 2))}, ValueError, r"Mass has shape \(3, 2\), expected \(3,\)"),
        ({Count: [1, 2, 300]}, ValueError, "Count holds 0 to 255, got 300"),
        ({Count: np.array([1, -1, 3])}, ValueError, "Count holds 0 to 255, got -1"),
        ({Count: 300}, ValueError, "Count holds 0 to 255, got 300"),
        ({Count: [0.5, 1, 2]}, TypeError, "Count takes uint8 values, got float64"),
        ({Matrix: np.ones((3, 2))}, ValueError, "Matrix has shape"),
        ({Text: ["a", "b", "c"]}, TypeError, "Text takes bytes-like objects, got str"),
        ({Text: 3}, TypeError, "Text takes bytes-like objects, got int"),
        ({dict: 3}, TypeError, "dict is no component class"),
        ({"Mass": 3}, TypeError, "expected, got 'Mass'"),
        ([Mass], TypeError, "columns are a mapping"),
        (3, TypeError, "columns are a mapping"),
    ],
)
def test_columns_that_do_not_fit_are_named_and_change_nothing(world, columns, error, message):
    with pytest.raises(error, match=message):
        world.spawn_many(3, columns)
    assert len(world) == 0


def test_integers_of_another_width_fit_when_their_values_do(world):
    ids = world.spawn_many(2, {Count: np.array([1, 255], dtype="i8")})
    assert values(world, ids, Count) == [1, 255]


@pytest.mark.parametrize("count", [-1, 2.5, "3", 2**70])
def test_number_of_entities_is_a_size(world, count):
    with pytest.raises((ValueError, TypeError, OverflowError, fo.CapacityError)):
        world.spawn_many(count)


def test_too_many_entities_take_no_memory_and_change_nothing():
    world = fo.World(fo.Config(max_entities=10))
    with pytest.raises(fo.CapacityError, match=r"Config\.max_entities is 10"):
        world.spawn_many(2**40)
    world.spawn_many(6)
    with pytest.raises(fo.CapacityError, match=r"Config\.max_entities is 10"):
        world.spawn_many(5)
    assert len(world) == 6


def test_despawn_many_takes_all(world):
    ids = world.spawn_many(4)
    world.despawn_many(ids[1:3])
    assert [entity in world for entity in ids] == [True, False, False, True]


@pytest.mark.parametrize("form", [np.asarray, list, tuple, iter, lambda ids: ids.astype("i8")])
def test_ids_may_come_in_any_form(world, form):
    ids = world.spawn_many(3)
    world.despawn_many(form(ids))
    assert len(world) == 0


def test_ids_may_be_strided(world):
    ids = world.spawn_many(4)
    world.despawn_many(ids[::2])
    assert [entity in world for entity in ids] == [False, True, False, True]


def test_id_given_twice_counts_once(world):
    ids = world.spawn_many(2)
    world.despawn_many([ids[0], ids[0]])
    assert len(world) == 1


@pytest.mark.parametrize(
    "use",
    [
        lambda world, ids: world.despawn_many(ids),
        lambda world, ids: world.add_many(ids, {Mass: 1.0}),
        lambda world, ids: world.remove_many(ids, Count),
    ],
)
def test_stale_id_is_named_with_its_place_and_nothing_changes(world, use):
    ids = world.spawn_many(3, {Count: 1})
    world.despawn(ids[1])
    before = world.digest()
    with pytest.raises(fo.StaleHandleError, match="at place 1 of the ids"):
        use(world, ids)
    assert world.digest() == before


def test_add_many_adds_and_overwrites_in_the_order_of_ids(world):
    ids = world.spawn_many(3, {Count: 9})
    world.add_many(ids[::-1], {Mass: [1, 2, 3], Count: [4, 5, 6]})
    assert values(world, ids, Mass) == [3, 2, 1]
    assert values(world, ids, Count) == [6, 5, 4]


def test_last_values_count_for_an_id_given_twice(world):
    entity = world.spawn()
    world.add_many([entity, entity], {Mass: [1, 2]})
    assert world.get(entity, Mass).value == 2


def test_add_many_reaches_entities_of_several_tables(world):
    ids = [world.spawn(), world.spawn(Count(1)), world.spawn(Frozen)]
    world.add_many(ids, {Mass: [1, 2, 3]})
    assert values(world, ids, Mass) == [1, 2, 3]


def test_remove_many_takes_components(world):
    ids = world.spawn_many(3, {Mass: 1.0, Count: 2, Text: b"x"})
    world.remove_many(ids, Mass, Text)
    assert values(world, ids, Count) == [2, 2, 2]
    assert not any(world.has(entity, Mass) for entity in ids)


def test_remove_many_of_a_missing_component_names_entity_and_component(world):
    ids = world.spawn_many(2, {Mass: 1.0})
    world.remove(ids[1], Mass)
    with pytest.raises(KeyError, match="at place 1 of the ids, has no Mass"):
        world.remove_many(ids, Mass)
    assert world.has(ids[0], Mass)


@pytest.mark.parametrize("ids", [3, None, object()])
def test_ids_are_an_array_or_an_iterable(world, ids):
    with pytest.raises(TypeError, match="entity ids are an array or an iterable"):
        world.despawn_many(ids)


def test_ids_that_are_no_integers_are_refused(world):
    with pytest.raises(TypeError, match="an entity is expected, got 'a'"):
        world.despawn_many("abc")


def test_mapping_of_another_kind_gives_columns(world):
    from types import MappingProxyType

    ids = world.spawn_many(2, MappingProxyType({Mass: 2.0}))
    assert values(world, ids, Mass) == [2, 2]
