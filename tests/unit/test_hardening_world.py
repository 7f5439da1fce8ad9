"""Worlds against misuse: changes in the middle of loops, odd values, odd names."""

import gc
import pickle

import foliot as fo
import numpy as np
import pytest

Mass = fo.component("Mass", "f8")
Note = fo.component("Note", object)
Text = fo.component("Text", fo.Bytes)
Gravity = fo.resource("Gravity", {"g": "f8"})


def run_exclusive(world, function, **terms):
    """Run one frame of an exclusive system; its own error comes out."""
    system = fo.system(name="act", exclusive=True, **terms)(function)
    scheduler = fo.Scheduler(world, fo.Schedule(system))
    try:
        scheduler.tick(0.1)
    except fo.FrameError as group:
        raise group.exceptions[0] from None
    return scheduler


@pytest.mark.parametrize("kind", [Note, Text], ids=["object", "bytes"])
def test_cells_end_when_an_exclusive_system_changes_the_world(kind):
    world = fo.World()
    world.spawn_many(50, {kind: [b"%d" % i for i in range(50)]})

    def act(ctx):
        for chunk in ctx:
            cells = chunk[kind]
            ctx.world.despawn(int(chunk.entities[0]))
            gc.collect()
            cells[49]

    with pytest.raises(fo.AccessError, match="the world changed since system `act` handed this"):
        run_exclusive(world, act, writes=[kind])


def test_chunk_of_ctx_ends_when_the_world_changes():
    world = fo.World()
    world.spawn(Mass(1.0))

    def act(ctx):
        for chunk in ctx:
            ctx.world.spawn(Mass(2.0))
            chunk[Mass] = 5.0

    with pytest.raises(fo.AccessError, match="the world changed"):
        run_exclusive(world, act, writes=[Mass])


def test_loop_over_ctx_ends_when_the_world_changes():
    world = fo.World()
    world.spawn(Mass(1.0))

    def act(ctx):
        for _ in ctx:
            ctx.world.spawn(Mass(2.0), Note("n"))

    with pytest.raises(fo.AccessError, match="the world changed"):
        run_exclusive(world, act, writes=[Mass])


def test_exclusive_system_goes_on_with_a_new_loop():
    world = fo.World()
    world.spawn(Mass(1.0))
    seen = []

    def act(ctx):
        ctx.world.spawn(Mass(2.0))
        for chunk in ctx:
            chunk[Mass] *= 2
        for chunk in ctx:
            seen.extend(chunk[Mass].tolist())

    run_exclusive(world, act, writes=[Mass])
    assert seen == [2.0, 4.0]


def test_chunk_after_the_system_says_that_it_returned():
    world = fo.World()
    world.spawn(Mass(1.0))
    kept = []

    def act(ctx):
        kept.extend(ctx)

    scheduler = run_exclusive(world, act, reads=[Mass])
    world.spawn(Mass(2.0))
    with pytest.raises(fo.AccessError, match="after the system returned"):
        kept[0][Mass]
    assert scheduler.frame == 1


def test_open_batch_is_not_copied_back_into_a_changed_world():
    world = fo.World()
    ids = world.spawn_many(4, {Mass: [1.0, 2.0, 3.0, 4.0]})

    def act(ctx):
        for batch in ctx.batches(rows=16):
            batch[Mass] = -1.0
            for entity in ids[:3]:
                ctx.world.despawn(int(entity))
            ctx.world.spawn_many(3, {Mass: 7.0})
            break

    run_exclusive(world, act, writes=[Mass])
    assert sorted(v for c in world.query(reads=[Mass]) for v in c[Mass]) == [4.0, 7.0, 7.0, 7.0]


def test_loop_over_batches_ends_when_the_world_changes():
    world = fo.World()
    world.spawn(Mass(1.0))

    def act(ctx):
        for _ in ctx.batches():
            ctx.world.spawn(Mass(2.0))

    with pytest.raises(fo.AccessError, match="the world changed"):
        run_exclusive(world, act, writes=[Mass])


def test_resource_of_an_exclusive_system_outlives_changes_of_the_world():
    world = fo.World()
    world.insert(Gravity(g=1.0))

    def act(ctx):
        gravity = ctx[Gravity]
        ctx.world.spawn(Mass(1.0))
        gravity.g = 2.0

    run_exclusive(world, act, writes=[Gravity])
    assert world[Gravity].g == 2.0


class Spawning:
    """Spawns when it goes, so that the table it was in grows."""

    def __init__(self, world):
        self.world = world

    def __del__(self):
        self.world.spawn_many(500, {Note: "new"})


@pytest.mark.parametrize("is_system", [True, False], ids=["ctx", "query"])
def test_dropped_objects_of_a_column_may_change_the_world(is_system):
    world = fo.World()
    ids = world.spawn_many(3, {Note: [Spawning(world), Spawning(world), None]})

    def assign(chunks):
        for chunk in chunks:
            chunk[Note] = ["a", "b", "c"]
            break

    if is_system:
        run_exclusive(world, assign, writes=[Note])
    else:
        assign(world.query(writes=[Note]))
    assert [world.get(i, Note).value for i in ids] == ["a", "b", "c"]
    assert len(world) == 1003


@pytest.mark.parametrize("other", [Note, Text, fo.component("Size", "f8")])
def test_value_keeps_its_class(other):
    value = Mass(1.0)
    with pytest.raises(TypeError, match="__class__ assignment"):
        value.__class__ = other
    with pytest.raises(TypeError, match="__class__ assignment"):
        object.__dict__["__class__"].__set__(value, other)
    assert type(value) is Mass


@pytest.fixture
def frame_error():
    def one(ctx):
        raise ValueError("one")

    def two(ctx):
        raise KeyError("two")

    schedule = fo.Schedule(fo.system(name="one")(one), fo.system(name="two")(two))
    with pytest.raises(fo.FrameError) as caught:
        fo.Scheduler(fo.World(), schedule).tick(0.1)
    return caught.value


def test_part_of_a_frame_error_has_the_result_of_the_frame(frame_error):
    parts = frame_error.split(KeyError)
    assert [part.frame_result for part in parts] == [frame_error.frame_result] * 2
    seen = []
    try:
        raise frame_error
    except* KeyError as group:
        seen.append(group.frame_result)
    except* ValueError:
        pass
    assert seen == [frame_error.frame_result]


def test_frame_error_is_pickled_without_its_frame(frame_error):
    frame_error.add_note("a note")
    copy = pickle.loads(pickle.dumps(frame_error))
    assert (type(copy), copy.message) == (fo.FrameError, frame_error.message)
    assert [repr(error) for error in copy.exceptions] == ["ValueError('one')", "KeyError('two')"]
    assert copy.__notes__ == ["a note"]
    assert not hasattr(copy, "frame_result")


def test_setting_may_be_a_whole_number_of_numpy():
    config = fo.Config(max_entities=np.int64(5), max_dt=np.float32(2.0))
    assert repr(config) == repr(fo.Config(max_entities=5, max_dt=2.0))
    fo.World(config).spawn_many(5)


@pytest.mark.parametrize("value", [True, np.True_, 5.0, np.float64(5.0), "5"])
def test_setting_that_is_no_whole_number_is_refused(value):
    with pytest.raises(TypeError, match=r"Config\.max_entities is an integer"):
        fo.Config(max_entities=value)


@pytest.mark.parametrize("name", ["A\0B", "A\ud800"], ids=["null", "surrogate"])
@pytest.mark.parametrize(
    "declare",
    [
        fo.tag,
        lambda name: fo.component(name, "f8"),
        lambda name: fo.resource(name, "f8"),
    ],
    ids=["tag", "component", "resource"],
)
def test_name_that_is_no_text_is_refused(declare, name):
    with pytest.raises(ValueError, match="name has no null characters and no lone surrogates"):
        declare(name)


@pytest.mark.parametrize("shape", ["ab", None, 1.5, (2, "x"), {"a": 1}], ids=repr)
def test_shape_that_is_no_numbers_is_refused(shape):
    with pytest.raises(ValueError, match="Odd has a shape of positive integers, got "):
        fo.component("Odd", ("f4", shape))


def test_shape_may_be_a_whole_number_of_numpy():
    assert fo.component("Pair", ("f4", np.int64(2)))([1, 2]).value.shape == (2,)


Whole = fo.component("Whole", "i4")
Large = fo.component("Large", "u8")
Flag = fo.component("Flag", "?")
Place = fo.component("Place", {"x": "i4", "y": "f4"})
LargePair = fo.component("LargePair", ("u8", (2,)))


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (Whole, 1.7),
        (Whole, float("nan")),
        (Whole, [1.5, 2.5]),
        (Whole, np.array([1.0, 2.0])),
        (Whole, np.float32(1.0)),
        (Whole, 2**40),
        (Whole, [2**40, 1]),
        (Whole, np.array([2**40, 1])),
        (Whole, [2**70, 1]),
        (Whole, "1"),
        (Whole, ["1", "2"]),
        (Large, -1),
        (Large, [-1, 2**63]),
        (Mass, 1j),
        (Mass, np.array([1j, 2j])),
        (Mass, ["1", "2"]),
        (Mass, None),
        (Flag, "False"),
        (Flag, ["False", ""]),
        (Flag, [0.5, 1.0]),
    ],
    ids=repr,
)
def test_column_refuses_what_spawn_many_refuses(kind, values):
    world = fo.World()
    if values is not None:
        with pytest.raises((TypeError, ValueError), match=kind.__name__):
            world.spawn_many(2, {kind: values})
    world.spawn_many(2, {kind: 1})
    [chunk] = world.query(writes=[kind])
    with pytest.raises((TypeError, ValueError), match=kind.__name__):
        chunk[kind] = values
    assert chunk[kind].tolist() == [1, 1]


def test_field_of_a_column_refuses_too():
    world = fo.World()
    world.spawn_many(2, {Place: None})
    [chunk] = world.query(writes=[Place])
    with pytest.raises(TypeError, match=r"Place\.x takes int32 values, got float64"):
        chunk[Place].x = [1.5, 2.5]
    assert chunk[Place].x.tolist() == [0, 0]


@pytest.mark.parametrize(
    "values",
    [3, [3, 3], (3, 3), True, np.int64(3), np.array([3, 3], "u1"), np.array([3]), range(3, 4)],
    ids=repr,
)
def test_column_takes_whole_numbers_of_any_kind(values):
    world = fo.World()
    world.spawn_many(2, {Whole: 0})
    [chunk] = world.query(writes=[Whole])
    chunk[Whole] = values
    assert chunk[Whole].tolist() == [int(np.asarray(values).flat[0])] * 2


@pytest.mark.parametrize("kind", [Whole, Large, Flag, Mass, LargePair, Note, Text])
def test_no_rows_may_come_as_an_empty_list(kind):
    world = fo.World()
    assert len(world.spawn_many(0, {kind: []})) == 0
    world.add_many([], {kind: []})


def test_lists_of_large_whole_numbers_are_exact():
    world = fo.World()
    ids = world.spawn_many(2, {Large: [2**63 + 1, 1], LargePair: [[2**64 - 1, 0], [1, 2]]})
    assert [world.get(i, Large).value for i in ids] == [2**63 + 1, 1]
    assert world.get(ids[0], LargePair).value.tolist() == [2**64 - 1, 0]
    assert LargePair([2**63 + 1, 1]).value.tolist() == [2**63 + 1, 1]
    with pytest.raises(ValueError, match=f"Large holds 0 to {2**64 - 1}, got {2**64}"):
        world.spawn_many(2, {Large: [2**64, 1]})


@pytest.mark.parametrize("count", [2**32, 2**63, 2**70])
def test_number_of_entities_beyond_any_world_is_a_full_world(count):
    world = fo.World()
    limit = world.config.max_entities
    with pytest.raises(fo.CapacityError, match=f"{count} .* Config.max_entities is {limit}"):
        world.spawn_many(count)


@pytest.mark.parametrize("count", [-1, -(2**70)])
def test_negative_number_of_entities_is_named(count):
    with pytest.raises(ValueError, match=f"at least 0, got {count}"):
        fo.World().spawn_many(count)


@pytest.mark.parametrize(
    "call",
    [
        lambda world, ids: world.despawn_many(ids),
        lambda world, ids: world.add_many(ids, {Mass: 1.0}),
        lambda world, ids: world.remove_many(ids, Mass),
    ],
    ids=["despawn", "add", "remove"],
)
@pytest.mark.parametrize("bad", [-1, 2**64], ids=str)
def test_number_that_is_no_id_is_named_as_given(call, bad):
    world = fo.World()
    alive = world.spawn(Mass(1.0))
    with pytest.raises(fo.StaleHandleError, match=f"^{bad}, at place 1 of the ids"):
        call(world, iter([alive, bad]))
    with pytest.raises(fo.StaleHandleError, match=r"^-1, at place 0 of the ids"):
        call(world, np.array([-1]))
    assert len(world) == 1


def test_query_of_too_many_columns_says_how_many_it_may_have():
    many = [fo.component(f"Many{number}", "f8") for number in range(257)]
    world = fo.World()
    assert list(world.query(reads=many[:256])) == []
    with pytest.raises(
        ValueError, match=r"^world\.query\(\) has 257 columns, .* more than 256 columns"
    ):
        world.query(reads=many)
