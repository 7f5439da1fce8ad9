"""ctx[Gravity]: a resource in place, and chunks, while a system runs and after it."""

import foliot as fo
import pytest

Gravity = fo.resource("Gravity", {"g": "f8", "grid": ("i4", (2, 2))})
Level = fo.resource("Level", "i2")
Title = fo.resource("Title", fo.Bytes)
Mass = fo.component("Mass", "f8")
Position = fo.component("Position", {"x": "f4", "y": "f4"})
Text = fo.component("Text", fo.Bytes)
Note = fo.component("Note", object)


class Settings:
    level = 1


@pytest.fixture
def world():
    world = fo.World()
    world.insert(Gravity(g=1))
    world.insert(Level(5))
    world.insert(Title(b"old"))
    world.insert(Settings())
    world.spawn_many(3, {Mass: [1, 2, 3], Text: b"t", Note: "n", Position: None})
    return world


def run(world, function, **options):
    """Run a function as the only system of one frame."""
    system = fo.system(name="probe", **options)(function)
    with fo.Scheduler(world, fo.Schedule(system), backend="blocking") as scheduler:
        scheduler.tick(0.1)


def run_failing(world, error, message, function, **options):
    with pytest.raises(fo.FrameError) as caught:
        run(world, function, **options)
    [member] = caught.value.exceptions
    assert isinstance(member, error), repr(member)
    assert message in str(member)


def test_written_resource_is_changed_in_place(world):
    def change(ctx):
        ctx[Gravity].g = 3.0
        ctx[Gravity].g += 1
        ctx[Gravity].grid[0, 1] = 7
        ctx[Level].value = 6
        ctx[Title].value = b"new"
        ctx[Settings].level = 2

    run(world, change, writes=[Gravity, Level, Title, Settings])
    assert world[Gravity] == Gravity(4.0, [[0, 7], [0, 0]])
    assert world[Level].value == 6
    assert world[Title].value == b"new"
    assert world[Settings].level == 2


def test_read_resource_is_read_in_place(world):
    seen = []

    def look(ctx):
        gravity = ctx[Gravity]
        seen.extend([gravity.g, gravity == Gravity(g=1), repr(gravity), dir(gravity)])
        seen.append(bytes(ctx[Title].value))
        seen.append(gravity.grid.flags.writeable)

    run(world, look, reads=[Gravity, Title])
    text = repr(Gravity(g=1))
    assert seen == [1.0, True, text, ["g", "grid"], b"old", False]


def test_read_resource_cannot_be_written(world):
    def change(ctx):
        ctx[Gravity].g = 3

    run_failing(world, fo.AccessError, "only reads Gravity", change, reads=[Gravity])
    assert world[Gravity].g == 1


def test_value_that_does_not_fit_changes_nothing(world):
    def change(ctx):
        ctx[Level].value = 70_000

    run_failing(world, ValueError, "Level holds -32768 to 32767", change, writes=[Level])
    assert world[Level].value == 5


def test_unknown_field_of_a_resource_is_named(world):
    def look(ctx):
        return ctx[Gravity].h

    run_failing(world, AttributeError, "Gravity has fields g, grid; got h", look, reads=[Gravity])


def test_everything_handed_out_stops_with_its_system(world):
    kept = {}

    def keep(ctx):
        kept["resource"] = ctx[Gravity]
        kept["loop"] = iter(ctx)
        [chunk] = ctx
        kept["chunk"] = chunk
        kept["columns"] = chunk[Position]
        kept["texts"] = chunk[Text]
        kept["notes"] = chunk[Note]
        kept["view"] = chunk[Mass]

    run(world, keep, reads=[Gravity], writes=[Mass, Position, Text, Note])
    uses = [
        lambda: kept["resource"].g,
        lambda: setattr(kept["resource"], "g", 1),
        lambda: next(kept["loop"]),
        lambda: kept["chunk"][Mass],
        lambda: kept["chunk"].entities,
        lambda: kept["columns"].x,
        lambda: kept["texts"][0],
        lambda: kept["notes"].__setitem__(0, 1),
    ]
    for use in uses:
        with pytest.raises(fo.AccessError, match="probe"):
            use()
    assert kept["view"].tolist() == [1, 2, 3]
    assert "returned" in repr(kept["resource"])


def test_views_are_kept_from_frame_to_frame_until_rows_move(world):
    seen = []

    def look(ctx):
        seen.extend(chunk[Mass] for chunk in ctx)

    system = fo.system(name="look", reads=[Mass])(look)
    with fo.Scheduler(world, fo.Schedule(system), backend="blocking") as scheduler:
        scheduler.tick_n(2, 0.1)
        world.spawn(Mass(4), Text, Note, Position)
        scheduler.tick(0.1)
    assert seen[0] is seen[1]
    assert len(seen[2]) == 4


def test_chunk_of_the_world_stops_when_a_frame_runs(world):
    [chunk] = world.query(reads=[Mass])
    run(world, lambda ctx: None, reads=[Mass])
    with pytest.raises(fo.AccessError, match="the world changed"):
        chunk[Mass]


def test_world_is_busy_while_a_system_runs(world):
    errors = []

    def meddle(ctx):
        for use in (
            lambda: world.spawn(),
            lambda: world.get(1, Mass),
            lambda: len(world),
            lambda: list(world.query(reads=[Mass])),
            lambda: world[Gravity],
            lambda: world.insert(Level(1)),
            lambda: world.digest(),
        ):
            with pytest.raises(fo.WorldBusyError) as caught:
                use()
            errors.append(str(caught.value))

    run(world, meddle, reads=[Mass])
    assert len(errors) == 7
    assert "in use" in repr(world) or len(world) == 3


def test_exclusive_system_uses_the_world_as_everybody_does(world):
    def work(ctx):
        entity = ctx.world.spawn(Mass(9))
        for chunk in ctx.world.query(writes=[Mass]):
            chunk[Mass] += 1
        assert ctx.world.get(entity, Mass).value == 10
        ctx.world.insert(Level(8))
        ctx.world.despawn(entity)

    run(world, work, exclusive=True)
    assert world[Level].value == 8
    assert len(world) == 3


def test_object_dropped_inside_an_exclusive_call_cannot_reenter(world):
    heard = []

    class Caller:
        def __del__(self):
            try:
                world.spawn()
            except fo.WorldBusyError as error:
                heard.append(error)

    def work(ctx):
        entity = ctx.world.spawn(Note(Caller()))
        ctx.world.despawn(entity)

    run(world, work, exclusive=True)
    assert len(heard) == 1
