"""What a running system may touch through its context, and what it is told otherwise."""

import foliot as fo
import numpy as np
import pytest

Position = fo.component("Position", {"x": "f8", "y": "f8"})
Mass = fo.component("Mass", "f8")
Frozen = fo.tag("Frozen")


@fo.resource
class Gravity:
    g: fo.f8 = 9.81


class Log:
    def __init__(self):
        self.lines = []


def run(world, function, frames=1, **options):
    """Run one system; its first exception comes out as such."""
    system = fo.system(name="system", **options)(function)
    with fo.Scheduler(world, fo.Schedule(system)) as scheduler:
        try:
            scheduler.tick_n(frames, 0.5)
        except fo.FrameError as error:
            raise error.exceptions[0] from None


def refused(world, function, **options):
    with pytest.raises(fo.AccessError) as caught:
        run(world, function, **options)
    return str(caught.value)


def test_default_query_has_reads_writes_and_with_and_none_of_without():
    world = fo.World()
    world.spawn(Mass(1.0), Frozen)
    world.spawn(Mass(2.0))
    seen = []
    run(world, lambda ctx: seen.extend(c[Mass][0] for c in ctx), reads=Mass, without=Frozen)
    run(world, lambda ctx: seen.extend(c[Mass][0] for c in ctx), reads=Mass, with_=Frozen)
    assert seen == [2.0, 1.0]


def test_context_can_be_gone_through_again():
    world = fo.World()
    world.spawn(Mass(1.0))
    seen = []

    def twice(ctx):
        seen.extend(len(chunk) for chunk in ctx)
        seen.extend(len(chunk) for chunk in ctx)

    run(world, twice, reads=Mass)
    assert seen == [1, 1]


def test_columns_only_read_are_read_only():
    world = fo.World()
    world.spawn(Mass(1.0))

    def write(ctx):
        for chunk in ctx:
            chunk[Mass][0] = 2.0

    with pytest.raises(ValueError, match="read-only"):
        run(world, write, reads=Mass)


def test_written_columns_change_the_world():
    world = fo.World()
    entity = world.spawn(Position(x=1.0, y=2.0))

    def write(ctx):
        for chunk in ctx:
            chunk[Position].x += 1.0
            chunk[Position].y = 7.0

    run(world, write, writes=Position)
    assert world.get(entity, Position) == Position(x=2.0, y=7.0)


def test_undeclared_component_names_system_and_component():
    world = fo.World()
    world.spawn(Mass(1.0), Position())
    text = refused(world, lambda ctx: [chunk[Position] for chunk in ctx], reads=Mass)
    assert "system" in text
    assert "Position" in text


def test_named_queries():
    world = fo.World()
    world.spawn(Mass(1.0))
    world.spawn(Position(x=3.0))
    seen = []

    def look(ctx):
        seen.extend(chunk[Mass][0] for chunk in ctx)
        seen.extend(chunk[Position].x[0] for chunk in ctx.query("places"))

    run(world, look, reads=Mass, queries={"places": fo.Query(reads=Position)})
    assert seen == [1.0, 3.0]


def test_unknown_query_is_refused():
    assert "has no query `near`" in refused(fo.World(), lambda ctx: ctx.query("near"))


def test_query_of_nothing_goes_over_every_table():
    world = fo.World()
    world.spawn(Mass(1.0))
    world.spawn(Position())
    seen = []
    run(world, lambda ctx: seen.append(sum(len(chunk) for chunk in ctx)))
    assert seen == [2]


def test_time_and_frame():
    seen = []
    run(fo.World(), lambda ctx: seen.append((ctx.frame, ctx.dt, ctx.time)), frames=3)
    assert seen == [(0, 0.5, 0.0), (1, 0.5, 0.5), (2, 0.5, 1.0)]


def test_resource_is_read_without_iterating():
    world = fo.World()
    world.insert(Gravity(g=1.5))
    seen = []
    run(world, lambda ctx: seen.append(ctx[Gravity].g), reads=Gravity)
    assert seen == [1.5]


def test_written_resource_changes_the_world():
    world = fo.World()
    world.insert(Gravity(g=1.5))

    def change(ctx):
        ctx[Gravity].g = 3.0

    run(world, change, writes=Gravity)
    assert world[Gravity].g == 3.0


def test_resource_only_read_cannot_be_changed():
    world = fo.World()
    world.insert(Gravity())

    def change(ctx):
        ctx[Gravity].g = 3.0

    assert "Gravity" in refused(world, change, reads=Gravity)


def test_object_resource_is_the_object():
    world = fo.World()
    log = Log()
    world.insert(log)
    run(world, lambda ctx: ctx[Log].lines.append(ctx.frame), writes=Log, frames=2)
    assert log.lines == [0, 1]


def test_missing_resource_names_system_and_resource():
    with pytest.raises(KeyError, match="system `system` uses the resource Gravity"):
        run(fo.World(), lambda ctx: ctx[Gravity], reads=Gravity)


def test_going_over_rows_without_a_declared_resource_names_it():
    with pytest.raises(KeyError, match="Gravity"):
        run(fo.World(), list, reads=[Gravity, Mass])


def test_undeclared_resource_is_refused():
    world = fo.World()
    world.insert(Gravity())
    text = refused(world, lambda ctx: ctx[Gravity])
    assert "system `system` does not declare the resource Gravity" in text


def test_undeclared_component_of_a_chunk_is_refused_by_the_name_of_the_system():
    world = fo.World()
    world.spawn(Mass(1.0), Position(1.0, 2.0))
    text = refused(world, lambda ctx: [chunk[Position] for chunk in ctx], reads=Mass)
    assert text.startswith("system `system` does not declare Position: add it to")


def test_component_is_no_subscript():
    text = refused(fo.World(), lambda ctx: ctx[Mass], reads=Mass)
    assert "Mass is a component" in text


def test_any_other_subscript_is_refused():
    assert "does not declare the resource 3" in refused(fo.World(), lambda ctx: ctx[3])


def test_commands_need_their_declaration():
    assert "commands=True" in refused(fo.World(), lambda ctx: ctx.commands)


def test_world_needs_an_exclusive_system():
    assert "exclusive=True" in refused(fo.World(), lambda ctx: ctx.world)


def test_io_is_refused():
    assert "io=True" in refused(fo.World(), lambda ctx: ctx.io)


def test_exclusive_system_may_do_everything():
    world = fo.World()

    def build(ctx):
        entity = ctx.world.spawn(Mass(1.0))
        ctx.world.add(entity, Position(x=1.0))
        ctx.world.spawn_many(3, {Mass: 2.0})
        assert len(list(ctx.world.query(reads=Mass))) == 2

    run(world, build, exclusive=True)
    assert len(world) == 4


def test_world_is_closed_again_after_an_exclusive_system():
    world = fo.World()
    kept = []

    def keep(ctx):
        kept.append(ctx.world)

    build = fo.system(exclusive=True, name="build")(keep)
    spawn = fo.system(after=build, name="spawn")(lambda ctx: kept[0].spawn())
    with fo.Scheduler(world, fo.Schedule(build, spawn)) as scheduler:
        with pytest.raises(fo.FrameError) as caught:
            scheduler.tick(0.1)
        assert isinstance(caught.value.exceptions[0], fo.WorldBusyError)


def test_context_after_its_system_answers_nothing():
    world = fo.World()
    world.insert(Gravity())
    kept = []
    run(world, kept.append, reads=[Mass, Gravity], commands=True)
    (ctx,) = kept
    for use in (
        lambda: ctx.dt,
        lambda: ctx.time,
        lambda: ctx.frame,
        lambda: ctx.commands,
        lambda: ctx.world,
        lambda: ctx.io,
        lambda: ctx[Gravity],
        lambda: ctx.query("x"),
        lambda: list(ctx),
    ):
        with pytest.raises(fo.AccessError, match="`system` is used outside its system"):
            use()


def test_chunks_and_iterators_after_their_system_answer_nothing():
    world = fo.World()
    world.spawn(Mass(1.0))
    kept = []

    def keep(ctx):
        kept.extend(iter(ctx) for _ in range(2))
        kept.append(next(kept[1]))

    run(world, keep, reads=Mass)
    with pytest.raises(fo.AccessError):
        next(kept[0])
    with pytest.raises(fo.AccessError):
        kept[2][Mass]


def test_resource_view_after_its_system_answers_nothing():
    world = fo.World()
    world.insert(Gravity())
    kept = []
    run(world, lambda ctx: kept.append(ctx[Gravity]), reads=Gravity)
    with pytest.raises(fo.AccessError):
        kept[0].g


def test_array_kept_after_its_system_stays_valid_memory():
    world = fo.World()
    world.spawn_many(100, {Mass: np.arange(100.0)})
    kept = []
    run(world, lambda ctx: kept.extend(chunk[Mass] for chunk in ctx), reads=Mass)
    world.spawn_many(10_000, {Mass: 0.0})
    assert kept[0].sum() == 4950.0


def test_rows_changed_since_the_system_last_ran():
    world = fo.World()
    entities = [world.spawn(Mass(float(i))) for i in range(4)]
    seen = []
    look = fo.system(changed=Mass, reads=Mass, name="look")(
        lambda ctx: seen.append([float(m) for chunk in ctx for m in chunk[Mass]])
    )
    with fo.Scheduler(world, fo.Schedule(look)) as scheduler:
        scheduler.tick(0.1)
        scheduler.tick(0.1)
        world.set(entities[2], Mass(7.0))
        scheduler.tick(0.1)
    assert seen == [[0.0, 1.0, 2.0, 3.0], [], [7.0]]


def test_rows_added_since_the_system_last_ran():
    world = fo.World()
    world.spawn(Mass(1.0))
    seen = []
    look = fo.system(added=Mass, reads=Mass, name="look")(
        lambda ctx: seen.append([float(m) for chunk in ctx for m in chunk[Mass]])
    )
    with fo.Scheduler(world, fo.Schedule(look)) as scheduler:
        scheduler.tick(0.1)
        world.spawn(Mass(2.0))
        scheduler.tick(0.1)
    assert seen == [[1.0], [2.0]]


def test_writer_in_the_frame_is_seen_as_a_change():
    world = fo.World()
    world.spawn(Mass(1.0))
    seen = []

    def write(ctx):
        if ctx.frame == 2:
            for chunk in ctx:
                chunk[Mass] += 1.0

    grow = fo.system(writes=Mass, name="grow")(write)
    look = fo.system(changed=Mass, after=grow, name="look")(
        lambda ctx: seen.append(sum(len(chunk) for chunk in ctx))
    )
    with fo.Scheduler(world, fo.Schedule(grow, look)) as scheduler:
        scheduler.tick_n(4, 0.1)
    assert seen == [1, 0, 1, 0]


def test_context_of_a_condition_reads_but_does_not_record():
    def condition(ctx):
        ctx.commands

    text = refused(fo.World(), lambda ctx: None, run_if=condition, commands=True)
    assert "run condition of `system` may not record commands" in text


def test_context_is_one_object_for_all_frames():
    kept = []
    run(fo.World(), kept.append, frames=3)
    assert kept[0] is kept[1] is kept[2]
    assert repr(kept[0]) == "<context of system 'system', which does not run now>"
    assert kept[0].name == "system"


def test_context_is_not_made_by_hand():
    with pytest.raises(TypeError):
        fo.Context()
