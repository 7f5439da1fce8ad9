"""Views of columns: what they show, who may write them, how long they live."""

import gc

import foliot as fo
import numpy as np
import pytest

Position = fo.component("Position", {"x": "f4", "y": "f4"})
Mass = fo.component("Mass", "f8")
Matrix = fo.component("Matrix", ("f4", (2, 3)))
Flag = fo.component("Flag", "?")
Frozen = fo.tag("Frozen")
Gravity = fo.resource("Gravity", {"g": "f8"})


@pytest.fixture
def world():
    world = fo.World()
    world.spawn_many(4, {Position: {"x": [1, 2, 3, 4], "y": 0}, Mass: [1, 2, 3, 4]})
    return world


def only(world, **terms):
    [chunk] = world.query(**terms)
    return chunk


def test_field_is_a_view_of_its_column(world):
    chunk = only(world, reads=[Position])
    assert chunk[Position].x.tolist() == [1, 2, 3, 4]
    assert chunk[Position].x.dtype == np.float32


def test_unnamed_field_is_the_view_itself(world):
    assert only(world, reads=[Mass])[Mass].tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "kind", "? i1 i2 i4 i8 u1 u2 u4 u8 f2 f4 f8 c8 c16".split(), ids=lambda kind: kind
)
def test_view_has_the_type_of_its_field(kind):
    world = fo.World()
    number = fo.component("Number", kind)
    world.spawn_many(2, {number: np.array([0, 1], dtype=kind)})
    view = only(world, writes=[number])[number]
    assert view.dtype == np.dtype(kind)
    assert view.tolist() == [0, 1]


def test_shaped_field_has_a_row_for_each_entity():
    world = fo.World()
    world.spawn_many(3, {Matrix: np.arange(18).reshape(3, 2, 3).astype("f4")})
    view = only(world, reads=[Matrix])[Matrix]
    assert view.shape == (3, 2, 3)
    assert view[2].tolist() == [[12, 13, 14], [15, 16, 17]]


def test_column_starts_at_a_cache_line(world):
    chunk = only(world, reads=[Position, Mass])
    assert chunk[Position].y.ctypes.data % 64 == 0
    assert chunk[Mass].ctypes.data % 64 == 0


def test_entities_are_the_ids_of_the_rows(world):
    chunk = only(world, reads=[Mass])
    assert [world.get(entity, Mass).value for entity in chunk.entities] == [1, 2, 3, 4]
    with pytest.raises(ValueError, match="read-only"):
        chunk.entities[0] = 1


def test_length_is_the_number_of_rows(world):
    assert len(only(world, reads=[Mass])) == 4


def test_written_view_writes_the_world(world):
    chunk = only(world, writes=[Position])
    chunk[Position].x[1:3] = 9
    assert [world.get(entity, Position).x for entity in chunk.entities] == [1, 9, 9, 4]


def test_read_view_cannot_be_written(world):
    chunk = only(world, reads=[Position, Mass])
    with pytest.raises(ValueError, match="read-only"):
        chunk[Position].x[0] = 1
    with pytest.raises(ValueError, match="WRITEABLE"):
        chunk[Mass].flags.writeable = True
    with pytest.raises(ValueError, match="read-only"):
        chunk[Mass] += 1


def test_assigning_copies_into_the_column(world):
    chunk = only(world, writes=[Position, Mass])
    values = np.array([5, 6, 7, 8])
    chunk[Position].y = values
    chunk[Mass] = values
    values[:] = 0
    assert chunk[Position].y.tolist() == [5, 6, 7, 8]
    assert chunk[Mass].tolist() == [5, 6, 7, 8]


def test_assigning_a_number_fills_the_column(world):
    chunk = only(world, writes=[Position, Mass])
    chunk[Position].x = 2
    chunk[Mass] = 3
    assert chunk[Position].x.tolist() == [2, 2, 2, 2]
    assert chunk[Mass].tolist() == [3, 3, 3, 3]


def test_arithmetic_in_place_works(world):
    chunk = only(world, writes=[Position, Mass])
    chunk[Position].x += chunk[Mass]
    chunk[Mass] *= 2
    assert chunk[Position].x.tolist() == [2, 4, 6, 8]
    assert chunk[Mass].tolist() == [2, 4, 6, 8]


def test_assigning_to_a_read_component_names_query_and_component(world):
    chunk = only(world, reads=[Position, Mass])
    with pytest.raises(fo.AccessError, match=r"world\.query\(\) only reads Position"):
        chunk[Position].x = 1
    with pytest.raises(fo.AccessError, match=r"world\.query\(\) only reads Mass"):
        chunk[Mass] = 1


def test_values_of_a_wrong_size_are_named(world):
    chunk = only(world, writes=[Position, Mass])
    with pytest.raises(ValueError, match=r"column Position\.x has 3 rows, expected 4"):
        chunk[Position].x = [1, 2, 3]
    with pytest.raises(ValueError, match="column Mass has 2 rows, expected 4"):
        chunk[Mass] = [1, 2]
    with pytest.raises(TypeError, match="Mass takes float64 values"):
        chunk[Mass] = [1, 2, "a", {}]


def test_undeclared_component_names_query_and_component(world):
    chunk = only(world, reads=[Mass])
    with pytest.raises(fo.AccessError, match=r"world\.query\(\) does not declare Position"):
        chunk[Position]
    with pytest.raises(fo.AccessError, match="does not declare Position"):
        chunk[Position] = 1


def test_filter_gives_no_column(world):
    world.spawn(Mass(1), Frozen)
    chunk = only(world, with_=[Frozen])
    with pytest.raises(fo.AccessError, match="has Frozen only as a filter"):
        chunk[Frozen]


def test_resource_is_not_in_a_chunk(world):
    world.insert(Gravity(g=1))
    chunk = only(world, reads=[Mass, Gravity])
    with pytest.raises(fo.AccessError, match="it is a resource"):
        chunk[Gravity]


def test_key_is_a_component(world):
    with pytest.raises(TypeError, match="a component or resource class is expected"):
        only(world, reads=[Mass])[0]


def test_unknown_field_names_those_there_are(world):
    chunk = only(world, writes=[Position])
    with pytest.raises(AttributeError, match="Position has fields x, y; got z"):
        chunk[Position].z
    with pytest.raises(AttributeError, match="Position has fields x, y; got z"):
        chunk[Position].z = 1


def test_columns_cannot_be_deleted_or_assigned_as_one(world):
    chunk = only(world, writes=[Position, Mass])
    with pytest.raises(TypeError, match="cannot be deleted"):
        del chunk[Mass]
    with pytest.raises(TypeError, match="cannot be deleted"):
        del chunk[Position].x
    with pytest.raises(TypeError, match=r"assign to chunk\[Position\]\.field"):
        chunk[Position] = 1


def test_columns_list_their_fields(world):
    assert dir(only(world, reads=[Position])[Position]) == ["x", "y"]
    assert repr(only(world, reads=[Position])[Position]) == (
        "<columns of Position: 4 rows, read-only>"
    )


def test_tag_may_be_read(world):
    world.spawn(Frozen)
    assert dir(only(world, reads=[Frozen])[Frozen]) == []


def test_views_are_kept_while_nothing_moves(world):
    first = only(world, reads=[Mass])[Mass]
    assert only(world, reads=[Mass])[Mass] is first


def test_view_outlives_a_table_that_grew(world):
    view = only(world, writes=[Mass])[Mass]
    world.spawn_many(100_000, {Position: None, Mass: 7.0})
    view[0] = 42
    assert view.tolist() == [42, 2, 3, 4]
    fresh = only(world, reads=[Mass])[Mass]
    assert len(fresh) == 100_004
    assert fresh[-1] == 7


def test_view_outlives_rows_that_went(world):
    chunk = only(world, reads=[Mass])
    view = chunk[Mass]
    world.despawn_many(chunk.entities)
    assert view.shape == (4,)
    view.sum()


def test_view_outlives_its_world():
    world = fo.World()
    world.spawn_many(1000, {Mass: np.arange(1000.0)})
    view = only(world, reads=[Mass])[Mass]
    part = view[10:20]
    del world, view
    gc.collect()
    assert part.tolist() == list(range(10, 20))


def test_views_of_a_shrunk_table_have_its_length(world):
    chunk = only(world, reads=[Mass])
    world.despawn(chunk.entities[0])
    assert sorted(only(world, reads=[Mass])[Mass].tolist()) == [2, 3, 4]


def test_chunk_prints(world):
    assert repr(only(world, reads=[Mass])) == "<chunk of world.query(): 4 rows>"


def test_chunk_has_no_public_constructor():
    with pytest.raises(TypeError):
        fo.Chunk()


def test_two_tables_are_two_chunks(world):
    world.spawn(Mass(5), Frozen)
    assert sorted(len(chunk) for chunk in world.query(reads=[Mass])) == [1, 4]


def test_all_chunks_of_a_loop_work_together(world):
    world.spawn(Mass(5), Frozen)
    chunks = list(world.query(reads=[Mass]))
    assert sum(chunk[Mass].sum() for chunk in chunks) == 15
