"""Recording commands from Python systems: every kind, when it is visible, and what is dropped."""

import foliot as fo
import numpy as np
import pytest

Position = fo.component("Position", "f8")
Mass = fo.component("Mass", "f8")
Note = fo.component("Note", object)
Text = fo.component("Text", fo.Bytes)


@fo.resource
class Score:
    points: fo.i8 = 0


def record(world, function, frames=1):
    """Run one recording system; its first exception comes out as such."""
    system = fo.system(commands=True, name="record")(function)
    with fo.Scheduler(world, fo.Schedule(system)) as scheduler:
        try:
            return scheduler.tick_n(frames, 0.1)
        except fo.FrameError as error:
            raise error.exceptions[0] from None


def test_spawned_entity_is_there_after_the_frame():
    world = fo.World()
    frame = record(world, lambda ctx: ctx.commands.spawn(Position(1.0), Mass(2.0)))
    assert len(world) == 1
    assert frame.commands["spawn"] == 1


def test_provisional_entity_is_good_in_later_commands():
    world = fo.World()

    def build(ctx):
        entity = ctx.commands.spawn(Position(1.0))
        assert isinstance(entity, fo.Entity)
        ctx.commands.add(entity, Mass(3.0))
        ctx.commands.set(entity, Position(2.0))

    record(world, build)
    (chunk,) = world.query(reads=[Position, Mass])
    assert (chunk[Position][0], chunk[Mass][0]) == (2.0, 3.0)


def test_many_are_spawned_with_columns():
    world = fo.World()

    def build(ctx):
        ids = ctx.commands.spawn_many(4, {Position: np.arange(4.0), Mass: 1.0})
        ctx.commands.despawn(fo.Entity(int(ids[0])))
        ctx.commands.add_many(ids[1:3], {Mass: [5.0, 6.0]})

    record(world, build)
    (chunk,) = world.query(reads=[Position, Mass])
    assert dict(zip(chunk[Position].tolist(), chunk[Mass].tolist(), strict=True)) == {
        1.0: 5.0,
        2.0: 6.0,
        3.0: 1.0,
    }


def test_components_are_added_removed_and_set():
    world = fo.World()
    a, b, c = (world.spawn(Position(0.0)) for _ in range(3))

    def change(ctx):
        ctx.commands.add(a, Mass(1.0))
        ctx.commands.set(b, Position(9.0))
        ctx.commands.remove(c, Position)

    frame = record(world, change)
    assert world.get(a, Mass).value == 1.0
    assert world.get(b, Position).value == 9.0
    assert not world.has(c, Position)
    assert (frame.commands["add"], frame.commands["set"], frame.commands["remove"]) == (1, 1, 1)


def test_many_are_changed_at_once():
    world = fo.World()
    ids = world.spawn_many(10, {Position: 0.0})

    def change(ctx):
        ctx.commands.add_many(ids[:5], {Mass: np.arange(5.0)})
        ctx.commands.remove_many(ids[5:], Position)
        ctx.commands.despawn_many(ids[:2])

    frame = record(world, change)
    assert len(world) == 8
    assert frame.commands["despawn"] == 2
    assert frame.bytes_moved > 0


def test_resource_is_inserted():
    world = fo.World()
    record(world, lambda ctx: ctx.commands.insert(Score(points=4)))
    assert world[Score].points == 4


def test_objects_and_bytes_travel_through_commands():
    world = fo.World()
    thing = object()

    def build(ctx):
        ctx.commands.spawn(Note(thing), Text(b"hello"))

    record(world, build)
    (chunk,) = world.query(reads=[Note, Text])
    assert chunk[Note][0] is thing
    assert bytes(chunk[Text][0]) == b"hello"


def test_command_on_an_entity_that_has_gone_is_dropped_and_counted():
    world = fo.World()
    entity = world.spawn(Position(0.0))

    def twice(ctx):
        ctx.commands.despawn(entity)
        ctx.commands.set(entity, Position(1.0))

    frame = record(world, twice)
    assert frame.commands["dropped"] == 1


def test_call_runs_at_the_merge_with_the_world():
    world = fo.World()
    seen = []

    def call(world, *args):
        world.spawn(Mass(1.0))
        seen.append((len(world), args))

    def build(ctx):
        ctx.commands.spawn()
        ctx.commands.call(call, 1, "two")
        assert seen == []

    record(world, build)
    assert seen == [(2, (1, "two"))]


def test_failing_call_is_an_error_of_its_system():
    world = fo.World()

    def fail(world):
        raise LookupError("no")

    system = fo.system(commands=True, name="record")(lambda ctx: ctx.commands.call(fail))
    with fo.Scheduler(world, fo.Schedule(system)) as scheduler:
        with pytest.raises(fo.FrameError, match="commands failed in frame 0") as caught:
            scheduler.tick(0.1)
        (error,) = caught.value.exceptions
    assert isinstance(error, LookupError)
    assert error.__notes__ == ["in a command of system `record`, frame 0"]
    world.spawn()


def test_world_is_closed_again_after_a_call():
    world = fo.World()
    first = fo.system(commands=True, name="first")(
        lambda ctx: ctx.commands.call(lambda world: None)
    )
    second = fo.system(phase="last", name="second")(lambda ctx: world.spawn())
    with fo.Scheduler(world, fo.Schedule(first, second)) as scheduler:
        with pytest.raises(fo.FrameError) as caught:
            scheduler.tick(0.1)
        assert isinstance(caught.value.exceptions[0], fo.WorldBusyError)


def test_commands_of_a_failed_system_are_discarded_whole():
    world = fo.World()

    def build(ctx):
        ctx.commands.spawn(Note(object()))
        ctx.commands.call(print, "never")
        raise LookupError("no")

    with pytest.raises(LookupError):
        record(world, build)
    assert len(world) == 0


def test_reader_after_a_recorder_sees_its_commands_in_the_same_frame():
    world = fo.World()
    seen = []
    build = fo.system(commands=True, name="build")(lambda ctx: ctx.commands.spawn(Mass(1.0)))
    look = fo.system(reads=Mass, name="look")(lambda ctx: seen.append(sum(map(len, ctx))))
    with fo.Scheduler(world, fo.Schedule(build, look)) as scheduler:
        scheduler.tick_n(2, 0.1)
    assert seen == [1, 2]


def test_waiting_commands_are_counted():
    def build(ctx):
        assert len(ctx.commands) == 0
        ctx.commands.spawn()
        ctx.commands.spawn()
        assert len(ctx.commands) == 2

    record(fo.World(), build)


def test_full_buffer_names_the_setting_and_keeps_the_world():
    world = fo.World(fo.Config(max_commands=3))

    def build(ctx):
        for _ in range(10):
            ctx.commands.spawn()

    with pytest.raises(fo.CapacityError, match=r"`record` does not fit: Config\.max_commands is 3"):
        record(world, build)
    assert len(world) == 0


def test_each_system_has_the_limit_to_itself_and_counts_its_own_commands():
    world = fo.World(fo.Config(max_commands=3))
    seen = []

    def build(ctx):
        for _ in range(3):
            ctx.commands.spawn()
        seen.append(len(ctx.commands))

    systems = [fo.system(commands=True, name=f"build{index}")(build) for index in range(4)]
    with fo.Scheduler(world, fo.Schedule(*systems)) as scheduler:
        scheduler.tick_n(2, 0.1)
    assert len(world) == 2 * 4 * 3
    assert seen == [3] * 8


def test_a_command_that_was_refused_leaves_room_for_others():
    world = fo.World(fo.Config(max_commands=2))

    def build(ctx):
        ctx.commands.spawn()
        ctx.commands.spawn()
        with pytest.raises(fo.CapacityError):
            ctx.commands.spawn()

    record(world, build)
    assert len(world) == 2


def test_spawns_without_a_place_are_refused_by_the_merge_in_its_order():
    world = fo.World(fo.Config(max_entities=4))
    first = world.spawn_many(4, {})
    systems = [
        fo.system(commands=True, name="free")(lambda ctx: ctx.commands.despawn(first[0])),
        fo.system(commands=True, name="take")(lambda ctx: ctx.commands.spawn(Position(7.0))),
        fo.system(commands=True, name="late")(lambda ctx: ctx.commands.spawn(Position(8.0))),
    ]
    with fo.Scheduler(world, fo.Schedule(*systems), errors="continue") as scheduler:
        frame = scheduler.tick(0.1)
    [error] = frame.errors
    assert isinstance(error, fo.CapacityError)
    assert "Config.max_entities is 4" in str(error)
    assert error.__notes__ == ["in a command of system `late`, frame 0"]
    assert frame.commands["dropped"] == 1
    assert len(world) == 4
    assert [chunk[Position].tolist() for chunk in world.query(reads=Position)] == [[7.0]]


def test_each_refusal_of_a_frame_names_its_own_setting():
    world = fo.World(fo.Config(max_entities=1, max_tables=1))
    world.spawn(Position(1.0))

    def crowd(ctx):
        ctx.commands.spawn(Position(2.0))

    def sort(ctx):
        for chunk in ctx:
            ctx.commands.add(chunk.entities[0], Mass(1.0))

    systems = [
        fo.system(commands=True, reads=Position, name="sort")(sort),
        fo.system(commands=True, name="crowd")(crowd),
    ]
    with fo.Scheduler(world, fo.Schedule(*systems), errors="continue") as scheduler:
        texts = [str(error) for error in scheduler.tick(0.1).errors]
    assert [text.split(";")[0].rpartition(": ")[2] for text in texts] == [
        "Config.max_tables is 1",
        "Config.max_entities is 1",
    ]


def test_commands_kept_after_their_system_record_nothing():
    kept = []
    world = fo.World()
    record(world, lambda ctx: kept.append(ctx.commands))
    with pytest.raises(fo.AccessError, match="closed"):
        kept[0].spawn()

    system = fo.system(commands=True, name="record")(lambda ctx: kept.append(ctx.commands))
    with fo.Scheduler(world, fo.Schedule(system)) as scheduler:
        scheduler.tick(0.1)
        with pytest.raises(fo.AccessError, match="outside its system"):
            kept[1].spawn()
        with pytest.raises(fo.AccessError, match="outside its system"):
            len(kept[1])


@pytest.mark.parametrize(
    ("use", "error"),
    [
        (lambda c: c.spawn(3), TypeError),
        (lambda c: c.spawn(Score()), (TypeError, ValueError)),
        (lambda c: c.spawn(Position(1.0), Position(2.0)), ValueError),
        (lambda c: c.spawn_many(-1, {}), ValueError),
        (lambda c: c.spawn_many(), TypeError),
        (lambda c: c.spawn_many(2, {Position: [1.0, 2.0, 3.0]}), ValueError),
        (lambda c: c.despawn("x"), TypeError),
        (lambda c: c.add(1), TypeError),
        (lambda c: c.set(1), TypeError),
        (lambda c: c.remove(1), TypeError),
        (lambda c: c.remove(1, Position(1.0)), TypeError),
        (lambda c: c.add_many([1]), TypeError),
        (lambda c: c.remove_many([1]), TypeError),
        (lambda c: c.despawn_many(3), TypeError),
        (lambda c: c.insert(Position(1.0)), (TypeError, ValueError)),
        (lambda c: c.call(), TypeError),
        (lambda c: c.call(3), TypeError),
    ],
)
def test_bad_arguments_are_refused_and_leave_nothing(use, error):
    world = fo.World()

    def attempt(ctx):
        try:
            use(ctx.commands)
        finally:
            assert len(ctx.commands) == 0

    with pytest.raises(error):
        record(world, attempt)


def test_argument_that_runs_python_may_not_outlive_the_system():
    class Late:
        def __index__(self):
            return 1

    world = fo.World()
    entity = world.spawn()
    assert int(entity) >= 0
    record(world, lambda ctx: ctx.commands.despawn(Late()))
    assert len(world) == 1
