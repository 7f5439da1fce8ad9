"""Columns whose cells own something: bytes and Python objects."""

import gc
import sys
import weakref

import foliot as fo
import pytest

Text = fo.component("Text", fo.Bytes)
Note = fo.component("Note", object)


@pytest.fixture
def world():
    world = fo.World()
    world.spawn_many(3, {Text: [b"one", b"", b"three"], Note: [1, None, [3]]})
    return world


def only(world, **terms):
    [chunk] = world.query(**terms)
    return chunk


def test_cells_are_a_sequence(world):
    chunk = only(world, reads=[Text, Note])
    assert [bytes(view) for view in chunk[Text]] == [b"one", b"", b"three"]
    assert list(chunk[Note]) == [1, None, [3]]
    assert len(chunk[Text]) == 3
    assert bytes(chunk[Text][-1]) == b"three"
    assert chunk[Note][1:] == [None, [3]]


def test_row_outside_of_the_chunk_is_an_index_error(world):
    cells = only(world, reads=[Note])[Note]
    for row in (3, -4):
        with pytest.raises(IndexError, match="outside of a chunk of 3 rows"):
            cells[row]
    with pytest.raises(TypeError, match="rows are integers or slices, got str"):
        cells["a"]


def test_bytes_come_as_read_only_memoryviews(world):
    view = only(world, writes=[Text])[Text][0]
    assert isinstance(view, memoryview)
    assert view.readonly
    with pytest.raises(TypeError):
        view[0] = 1


def test_assigning_a_cell_replaces_it(world):
    chunk = only(world, writes=[Text, Note])
    chunk[Text][1] = bytearray(b"two")
    chunk[Note][1] = "two"
    assert world.get(chunk.entities[1], Text).value == b"two"
    assert world.get(chunk.entities[1], Note).value == "two"


def test_assigning_a_column_replaces_every_cell(world):
    chunk = only(world, writes=[Text, Note])
    chunk[Text] = [b"a", b"b", b"c"]
    chunk[Note] = ["a", "b", "c"]
    assert [bytes(view) for view in chunk[Text]] == [b"a", b"b", b"c"]
    assert list(chunk[Note]) == ["a", "b", "c"]
    chunk[Text] = b"all"
    chunk[Note] = None
    assert [bytes(view) for view in chunk[Text]] == [b"all"] * 3
    assert list(chunk[Note]) == [None] * 3


def test_column_of_a_wrong_length_changes_nothing(world):
    chunk = only(world, writes=[Text])
    with pytest.raises(ValueError, match="column Text has 2 rows, expected 3"):
        chunk[Text] = [b"a", b"b"]
    with pytest.raises(TypeError, match="Text takes bytes-like objects, got str"):
        chunk[Text] = [b"a", b"b", "c"]
    assert bytes(chunk[Text][0]) == b"one"


def test_read_cells_cannot_be_assigned(world):
    chunk = only(world, reads=[Text, Note])
    with pytest.raises(fo.AccessError, match="only reads Text"):
        chunk[Text][0] = b""
    with pytest.raises(fo.AccessError, match="only reads Note"):
        chunk[Note][0] = 1
    with pytest.raises(fo.AccessError, match="only reads Note"):
        chunk[Note] = 1


def test_cells_cannot_be_deleted(world):
    with pytest.raises(TypeError, match="cannot be deleted"):
        del only(world, writes=[Text])[Text][0]


def test_memoryview_outlives_its_cell(world):
    chunk = only(world, writes=[Text])
    view = chunk[Text][0]
    chunk[Text][0] = b"another"
    assert bytes(view) == b"one"
    world.despawn_many(chunk.entities)
    assert bytes(view) == b"one"
    del world, chunk
    gc.collect()
    assert bytes(view) == b"one"


def test_cells_are_refused_after_the_world_changed(world):
    chunk = only(world, writes=[Text, Note])
    texts, notes = chunk[Text], chunk[Note]
    world.spawn(Text(b"x"))
    for use in (lambda: texts[0], lambda: notes[0]):
        with pytest.raises(fo.AccessError, match="the world changed"):
            use()
    with pytest.raises(fo.AccessError, match="the world changed"):
        texts[0] = b""
    with pytest.raises(fo.AccessError, match="the world changed"):
        notes[0] = 1


def test_assigned_object_is_held_once_and_dropped_once(world):
    sentinel = object()
    before = sys.getrefcount(sentinel)
    chunk = only(world, writes=[Note])
    chunk[Note][0] = sentinel
    chunk[Note][1] = sentinel
    assert sys.getrefcount(sentinel) == before + 2
    chunk[Note] = None
    assert sys.getrefcount(sentinel) == before


def test_object_dropped_by_an_assignment_may_use_the_chunk(world):
    chunk = only(world, writes=[Note])
    seen = []

    class Looker:
        def __del__(self):
            seen.append(chunk[Note][0])

    chunk[Note][0] = Looker()
    chunk[Note][0] = "new"
    assert seen == ["new"]


def test_object_dropped_by_an_assignment_may_change_the_world(world):
    chunk = only(world, writes=[Note])

    class Spawner:
        def __del__(self):
            world.spawn(Note(1), Text(b""))

    chunk[Note][0] = Spawner()
    chunk[Note] = [1, 2, 3]
    with pytest.raises(fo.AccessError, match="the world changed"):
        chunk[Note]
    assert [note for c in world.query(reads=[Note]) for note in c[Note]] == [1, 2, 3, 1]


def test_large_bytes_survive_moves(world):
    big = bytes(range(256)) * 4096
    entity = world.spawn(Text(big))
    for number in range(5):
        world.add(entity, fo.component(f"Extra{number}", "f8")(1))
    assert world.get(entity, Text).value == big


def test_bytes_are_copied_from_what_was_given(world):
    source = bytearray(b"abc")
    entity = world.spawn(Text(source))
    ids = world.spawn_many(1, {Text: [source]})
    source[:] = b"xyz"
    assert world.get(entity, Text).value == b"abc"
    assert world.get(ids[0], Text).value == b"abc"


def test_objects_of_despawned_rows_are_dropped():
    class Thing:
        pass

    world = fo.World()
    things = [Thing() for _ in range(10)]
    alive = [weakref.ref(thing) for thing in things]
    ids = world.spawn_many(10, {Note: things})
    del things
    world.despawn_many(ids[:5])
    assert [thing() is not None for thing in alive] == [False] * 5 + [True] * 5
    del world
    gc.collect()
    assert not any(thing() for thing in alive)
