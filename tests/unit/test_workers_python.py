"""Python systems on workers: which thread runs them, what they touch, what they leave behind."""

import gc
import itertools
import threading

import foliot as fo
import numpy as np
import pytest
from support import HAS_LOCK

Mass = fo.component("Mass", "f8")
Speed = fo.component("Speed", "f8")
Label = fo.component("Label", "i8")


def make(name, function=lambda ctx: None, **options):
    return fo.system(name=name, **options)(function)


def make_world(rows=100):
    world = fo.World()
    world.spawn_many(rows, {Mass: np.arange(float(rows)), Speed: 1.0})
    return world


def test_python_systems_run_on_two_workers_at_once(parallel_backend, meeting):
    both = meeting(lambda ctx: None)
    for _ in range(20):
        both.frame(parallel_backend)
    assert len(both.idents) == 40
    assert len(set(both.idents)) >= 2
    assert both.idents.count(threading.get_ident()) == 20


def test_system_that_holds_the_lock_runs_on_a_helper_while_the_caller_is_busy():
    """The stealing backend's lane is drained by whoever is free."""
    driver = threading.get_ident()
    barrier, ran_there = threading.Barrier(2), threading.Event()
    idents = []

    def meet(ctx):
        barrier.wait(60)
        if threading.get_ident() == driver:
            assert ran_there.wait(60)

    def note(ctx):
        idents.append(threading.get_ident())
        if idents[-1] != driver:
            ran_there.set()

    systems = []
    for side in ("left", "right"):
        systems.append(make(side, meet, gil="release"))
        systems.append(make(f"after_{side}", note, after=side))
    with fo.Scheduler(
        fo.World(), fo.Schedule(*systems), backend="stealing", workers=2
    ) as scheduler:
        assert len(scheduler.workers) == 2, scheduler.backend.reason
        frame = scheduler.tick(0.1)
    assert len(idents) == 2
    assert set(idents) - {driver}
    assert {timing.worker for timing in frame.systems.values()} == {0, 1}


def test_systems_that_declare_nothing_overlap_exactly_where_python_has_no_lock(backend):
    """Where they may, on a backend with helpers, they meet in each frame."""
    can_meet = not HAS_LOCK and backend != "blocking"
    barrier = threading.Barrier(2)
    inside = []
    overlaps = []

    def enter(ctx):
        inside.append(1)
        overlaps.append(len(inside))
        if can_meet:
            barrier.wait(60)
        else:
            sum(range(20_000))
        inside.pop()

    systems = [make(f"s{i}", enter) for i in range(8)]
    for _ in range(5):
        # A phase that was never run goes to all workers.
        with fo.Scheduler(
            fo.World(), fo.Schedule(*systems), backend=backend, workers=2
        ) as scheduler:
            scheduler.tick(0.1)
    assert len(overlaps) == 40
    assert max(overlaps) == (2 if can_meet else 1)


def make_busy_schedule(rng):
    """Python systems of all kinds over shared components, with commands."""

    def push(ctx):
        for chunk in ctx:
            chunk[Mass] += chunk[Speed] * ctx.dt

    def turn(ctx):
        for chunk in ctx:
            chunk[Speed] *= -0.5

    def read(ctx):
        for chunk in ctx:
            assert len(chunk[Mass]) == len(chunk.entities)

    def spawn(number):
        def record(ctx):
            for row in range(number + 1):
                ctx.commands.spawn(Mass(float(number)), Speed(row + ctx.frame), Label(number))

        return record

    def cull(ctx):
        for chunk in ctx:
            ctx.commands.despawn_many(chunk.entities[chunk[Mass] > 150.0])

    gils = itertools.cycle(("hold", "release"))
    systems = [
        make("push", push, reads=Speed, writes=Mass, gil="release"),
        make("turn", turn, writes=Speed),
        make("cull", cull, reads=Mass, commands=True),
        *(make(f"spawn{i}", spawn(i), commands=True, gil=next(gils)) for i in range(5)),
        *(make(f"read{i}", read, reads=Mass, gil=next(gils)) for i in range(4)),
        make("maybe", spawn(7), commands=True, run_if=lambda ctx: ctx.frame % 2 == 0),
    ]
    rng.shuffle(systems)
    return fo.Schedule(*systems, ambiguity="allow")


@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_world_is_the_same_on_every_backend(seed, workers):
    digests = {}
    for name in ("blocking", "threadpool", "stealing"):
        world = make_world()
        rng = np.random.default_rng(seed)
        with fo.Scheduler(
            world, make_busy_schedule(rng), backend=name, workers=workers
        ) as scheduler:
            scheduler.tick_n(12, 0.5)
        digests[name] = world.digest()
    assert len(set(digests.values())) == 1, digests


def test_commands_of_systems_on_helpers_come_in_the_order_of_the_systems(parallel_backend, meeting):
    def record(ctx):
        for number in range(3):
            ctx.commands.spawn(Label(number + (10 if ctx.name == "right" else 0)))

    both = meeting(record, record, commands=True)
    world = fo.World()
    for _ in range(10):
        both.frame(parallel_backend, world)
    labels = [value for chunk in world.query(reads=Label) for value in chunk[Label].tolist()]
    assert labels == [0, 1, 2, 10, 11, 12] * 10


def test_contexts_of_two_systems_at_once_are_their_own(parallel_backend, meeting):
    seen = []

    def look(ctx):
        rows = sum(len(chunk) for chunk in ctx)
        seen.append((ctx.name, ctx.frame, rows))

    both = meeting(look, look, reads=Mass)
    frames = [both.frame(parallel_backend, make_world()) for _ in range(10)]
    assert sorted(seen) == [(name, 0, 100) for name in ("left", "right") for _ in range(10)]
    assert all(timing.rows == 100 for frame in frames for timing in frame.systems.values())


def test_context_kept_from_a_helper_is_refused(parallel_backend, meeting):
    kept = []
    meeting(kept.append).frame(parallel_backend)
    with pytest.raises(fo.AccessError, match="outside its system"):
        print(kept[0].dt)


def test_readers_of_one_component_share_it_from_several_workers(parallel_backend, meeting):
    def add_up(ctx):
        totals.extend(sum(float(chunk[Mass].sum()) for chunk in ctx) for _ in range(50))

    totals = []
    both = meeting(add_up, add_up, reads=Mass)
    world = make_world()
    for _ in range(5):
        both.frame(parallel_backend, world)
    assert totals == [4950.0] * 500


def test_exclusive_system_has_the_world_wherever_it_runs(backend):
    def build(ctx):
        ctx.world.spawn(Mass(1.0))
        assert len(ctx.world) == 1 + ctx.frame

    systems = [
        make("before", gil="release"),
        make("build", build, exclusive=True, after="before"),
        make("after", gil="release", after="build"),
    ]
    world = fo.World()
    with fo.Scheduler(world, fo.Schedule(*systems), backend=backend, workers=2) as scheduler:
        scheduler.tick_n(30, 0.1)
    assert len(world) == 30


def test_world_is_refused_to_a_helper_in_a_frame(parallel_backend, meeting):
    refusals = []
    world = fo.World()

    def use(ctx):
        with pytest.raises(fo.WorldBusyError) as refused:
            world.spawn(Mass(1.0))
        refusals.append(refused)

    meeting(use, use).frame(parallel_backend, world)
    assert len(refusals) == 2
    assert len(world) == 0


def test_collector_may_run_on_a_helper(parallel_backend, meeting):
    def litter(ctx):
        for _ in range(200):
            ring = [ctx]
            ring.append(ring)
        gc.collect()

    both = meeting(litter, litter, reads=Mass)
    world = make_world()
    for _ in range(5):
        both.frame(parallel_backend, world)
    assert [len(chunk[Mass]) for chunk in world.query(reads=Mass)] == [100]


def test_objects_made_on_a_helper_live_on(parallel_backend, meeting):
    Note = fo.component("Note", object)
    world = fo.World()
    world.spawn_many(50, {Note: [None] * 50})

    def write(ctx):
        for chunk in ctx:
            for row in range(len(chunk)):
                chunk[Note][row] = [ctx.name, row]

    both = meeting(lambda ctx: write(ctx) if ctx.name == "left" else None, writes=Note)
    # Two writers take turns, so only one of the two systems may declare it.
    systems = [both.systems[0], make("right", both.run, gil="release")]
    both.here = both.there
    both.frame(parallel_backend, world, systems)
    notes = [note for chunk in world.query(reads=Note) for note in chunk[Note]]
    assert notes == [["left", row] for row in range(50)]


def test_values_of_a_thread_belong_to_the_thread(parallel_backend, meeting):
    local = threading.local()
    found = []

    def look(ctx):
        found.append(getattr(local, "frames", 0))
        local.frames = found[-1] + 1

    both = meeting(look)
    for _ in range(5):
        both.frame(parallel_backend)
    there = [ident for ident in both.idents if ident != both.driver]
    assert found == [there[:place].count(ident) for place, ident in enumerate(there)]
    assert not hasattr(local, "frames")


def test_system_on_a_helper_may_run_frames_of_another_scheduler(parallel_backend, meeting):
    seen = []
    inner = fo.Scheduler(
        make_world(10),
        fo.Schedule(*(make(f"s{i}", gil="release") for i in range(4))),
        backend=parallel_backend,
        workers=2,
    )
    both = meeting(lambda ctx: seen.append(inner.tick(0.1).frame))
    with inner:
        for _ in range(5):
            both.frame(parallel_backend)
    assert seen == list(range(5))


def test_condition_runs_where_its_system_does(parallel_backend, meeting):
    asked = []
    both = meeting(lambda ctx: None)

    def ask(ctx):
        asked.append((ctx.name, threading.get_ident()))
        return True

    systems = [
        make(system.name, system.function, gil="release", run_if=ask) for system in both.systems
    ]
    both.frame(parallel_backend, systems=systems)
    assert sorted(name for name, _ in asked) == ["left", "right"]
    assert sorted(ident for _, ident in asked) == sorted(both.idents)
