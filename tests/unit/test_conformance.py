"""What every backend keeps, by whichever name it was asked for."""

import os
import queue
import signal
import threading

import foliot as fo
import numpy as np
import pytest

NAMES = ["blocking", "evented", "threadpool", "stealing", "uring", "adaptive"]

Mass = fo.component("Mass", "u8")
Speed = fo.component("Speed", "u8")
Mark = fo.tag("Mark")


@pytest.fixture(params=NAMES)
def backend(request):
    return request.param


@pytest.fixture
def world():
    world = fo.World()
    world.spawn_many(500, {Mass: np.arange(500), Speed: 2})
    return world


def make(name, function=lambda ctx: None, **options):
    return fo.system(name=name, **options)(function)


def open_scheduler(world, systems, backend, **options):
    options.setdefault("workers", 3)
    schedule = systems if isinstance(systems, fo.Schedule) else fo.Schedule(*systems)
    return fo.Scheduler(world, schedule, backend=backend, **options)


def grow(ctx):
    for chunk in ctx:
        chunk[Mass] += chunk[Speed]


def double(ctx):
    for chunk in ctx:
        chunk[Mass] *= np.uint64(2)


def test_all_names_are_known():
    assert list(fo.BACKENDS) == NAMES


def test_backend_says_what_runs_and_why(world, backend):
    with open_scheduler(world, [], backend) as scheduler:
        info = scheduler.backend
        assert info.requested == backend
        assert info.actual == backend
        assert info.reason == ""
        assert 1 <= len(scheduler.workers) <= 3
        assert set(scheduler.explain()) == {"first", "update", "last"}


def test_a_load_that_changes_all_the_time_gives_the_same_world(world, backend):
    scale = np.uint64(3)

    def burn(ctx):
        for chunk in ctx:
            for _ in range(20 if ctx.frame // 50 % 2 else 0):
                chunk[Speed] += chunk[Mass] % scale

    systems = [
        make("burn", burn, writes=Speed, reads=Mass),
        make("grow", grow, writes=Mass, reads=Speed),
    ]
    with open_scheduler(world, systems, backend) as scheduler:
        scheduler.tick_n(400, 0.1)
    mass = np.arange(500, dtype="u8")
    speed = np.full(500, 2, dtype="u8")
    for frame in range(400):
        speed += (20 if frame // 50 % 2 else 0) * (mass % scale)
        mass += speed
    (chunk,) = world.query(reads=[Mass, Speed])
    assert chunk[Mass].tolist() == mass.tolist()
    assert chunk[Speed].tolist() == speed.tolist()


@pytest.mark.parametrize("gil", ["hold", "release"])
def test_conflicting_systems_run_in_their_order(world, backend, gil):
    systems = [make("grow", grow, writes=Mass, reads=Speed, gil=gil)]
    systems += [make("double", double, writes=Mass, gil=gil)]
    with open_scheduler(world, systems, backend) as scheduler:
        scheduler.tick_n(3, 0.1)
    expected = np.arange(500)
    for _ in range(3):
        expected = (expected + 2) * 2
    (chunk,) = world.query(reads=[Mass])
    assert chunk[Mass].tolist() == expected.tolist()


def test_explicit_order_holds_without_a_conflict(world, backend):
    ran = []
    systems = [
        make(f"s{index}", lambda ctx: ran.append(ctx.name), gil="release", after=after)
        for index, after in enumerate([(), "s0", "s1", ("s0", "s2")])
    ]
    with open_scheduler(world, systems, backend) as scheduler:
        for _ in range(5):
            scheduler.tick(0.1)
    assert ran == ["s0", "s1", "s2", "s3"] * 5


def test_phases_run_one_after_another(world, backend):
    ran = []
    systems = [
        make(f"{phase}{index}", lambda ctx: ran.append(ctx.name[:-1]), gil="release", phase=phase)
        for phase in ("last", "update", "first")
        for index in range(3)
    ]
    with open_scheduler(world, systems, backend) as scheduler:
        scheduler.tick(0.1)
    assert ran == ["first"] * 3 + ["update"] * 3 + ["last"] * 3


def test_stages_of_a_plan_are_those_of_the_result(world, backend):
    systems = [make(name, reads=Mass) for name in "ab"] + [make("c", double, writes=Mass)]
    with open_scheduler(world, systems, backend) as scheduler:
        frame = scheduler.tick(0.1)
        assert scheduler.plan.stages("update") == [["a", "b"], ["c"]]
        assert len(frame.stages["update"]) == 2


def test_commands_are_merged_in_the_order_of_systems(world, backend):
    log = []

    def record(ctx):
        for number in range(3):
            ctx.commands.call(lambda _, what: log.append(what), (ctx.name, number))

    systems = [make(f"s{index}", record, commands=True, gil="release") for index in range(6)]
    with open_scheduler(world, systems, backend) as scheduler:
        frame = scheduler.tick(0.1)
    assert log == [(f"s{index}", number) for index in range(6) for number in range(3)]
    assert frame.commands["call"] == 18


def test_reader_of_what_was_recorded_waits_for_the_merge(world, backend):
    seen = []
    systems = [
        make("build", lambda ctx: ctx.commands.spawn(Mass(7), Mark), commands=True, gil="release"),
        make("read", lambda ctx: seen.append(sum(map(len, ctx))), reads=Mass, with_=Mark),
    ]
    schedule = fo.Schedule(*systems)
    schedule.order("build", "read")
    with open_scheduler(world, schedule, backend) as scheduler:
        scheduler.tick_n(3, 0.1)
    assert len(world) == 503
    with open_scheduler(fo.World(), schedule, "blocking") as scheduler:
        scheduler.tick_n(3, 0.1)
    assert seen[:3] == seen[3:]


def test_failures_are_told_in_the_order_of_systems(world, backend):
    def fail(ctx):
        raise LookupError(ctx.name)

    systems = [make(f"s{index}", fail, gil="release") for index in range(5)]
    with open_scheduler(
        world, [*systems, make("good", grow, writes=Mass, reads=Speed)], backend
    ) as scheduler:
        with pytest.raises(fo.FrameError) as caught:
            scheduler.tick(0.1)
        assert [str(error) for error in caught.value.exceptions] == [f"s{i}" for i in range(5)]
        assert caught.value.exceptions[0].__notes__ == ["in system `s0`, frame 0"]
    assert world.get(next(iter(world.query())).entities[0], Mass).value == 2


def test_errors_that_are_only_recorded(world, backend):
    systems = [make("bad", lambda ctx: 1 / 0, gil="release"), make("good")]
    with open_scheduler(world, systems, backend, errors="continue") as scheduler:
        frame = scheduler.tick(0.1)
    assert [type(error) for error in frame.errors] == [ZeroDivisionError]


def test_quarantine_switches_a_system_off(world, backend):
    tries = []

    def fail(ctx):
        tries.append(ctx.frame)
        raise LookupError

    systems = [make("bad", fail, gil="release"), make("good")]
    with open_scheduler(world, systems, backend, errors=fo.quarantine(after=2)) as scheduler:
        told = [scheduler.tick(0.1).quarantined for _ in range(4)]
        assert told == [[], ["bad"], [], []]
        assert tries == [0, 1]
        scheduler.enable("bad")
        scheduler.tick(0.1)
        assert tries == [0, 1, 4]


def test_commands_of_a_failed_system_are_dropped(world, backend):
    def fail(ctx):
        ctx.commands.spawn(Mass(1))
        raise LookupError

    systems = [make(f"s{i}", fail, commands=True, gil="release") for i in range(3)]
    with open_scheduler(world, systems, backend, errors="continue") as scheduler:
        scheduler.tick(0.1)
    assert len(world) == 500


def test_batch_of_frames_ends_with_the_last_result(world, backend):
    with open_scheduler(world, [make("a"), make("b")], backend) as scheduler:
        assert scheduler.tick_n(0, 0.1) is None
        assert scheduler.tick_n(7, 0.1).frame == 6
        assert (scheduler.frame, scheduler.stats.frames) == (7, 7)
        assert scheduler.stats.systems_run == 14


def test_run_at_a_rate(world, backend):
    clock = fo.VirtualClock()
    seen = []
    systems = [make("a", lambda ctx: seen.append(ctx.dt)), make("b", gil="release")]
    with open_scheduler(world, systems, backend, clock=clock) as scheduler:
        report = scheduler.run(rate=10, ticks=11)
    assert (report.frames, report.stopped_by) == (11, "ticks")
    assert seen == [0.1] * 11
    assert clock.now == pytest.approx(1.0)


def test_phases_with_rates(world, backend):
    ran = []
    phases = [fo.Phase("fixed", step=0.1, max_steps=4), fo.Phase("seldom", every=2)]
    systems = [
        make(
            f"{phase.name}{index}",
            lambda ctx: ran.append(ctx.name),
            gil="release",
            phase=phase.name,
        )
        for phase in phases
        for index in range(2)
    ]
    with open_scheduler(world, fo.Schedule(*systems, phases=phases), backend) as scheduler:
        steps = [scheduler.tick(0.25).phase_steps for _ in range(4)]
    assert [step["fixed"] for step in steps] == [2, 3, 2, 3]
    assert [step["seldom"] for step in steps] == [1, 0, 1, 0]
    assert (ran.count("fixed0"), ran.count("seldom1")) == (10, 2)


def test_conditions_skip_systems(world, backend):
    ran = []
    systems = [
        make(
            f"s{index}",
            lambda ctx: ran.append((ctx.name, ctx.frame)),
            gil="release",
            run_if=lambda ctx, index=index: ctx.frame % 2 == index % 2,
        )
        for index in range(4)
    ]
    with open_scheduler(world, systems, backend) as scheduler:
        skipped = [sorted(scheduler.tick(0.1).skipped) for _ in range(2)]
    assert skipped == [["s1", "s3"], ["s0", "s2"]]
    assert sorted(ran) == [("s0", 0), ("s1", 1), ("s2", 0), ("s3", 1)]


def test_edited_schedule_runs_from_the_next_frame(world, backend):
    schedule = fo.Schedule(make("a"), make("b", gil="release"))
    with open_scheduler(world, schedule, backend) as scheduler:
        assert list(scheduler.tick(0.1).systems) == ["a", "b"]
        schedule.add(make("c", gil="release"))
        schedule.remove("a")
        assert list(scheduler.tick(0.1).systems) == ["b", "c"]


def test_filters_see_what_changed_since_the_last_run(world, backend):
    seen = []

    def touch(ctx):
        for chunk in ctx:
            chunk[Mass] = 1

    systems = [
        make("touch", touch, writes=Mass, run_if=lambda ctx: ctx.frame == 1),
        make("look", lambda ctx: seen.append(sum(map(len, ctx))), reads=Mass, changed=Mass),
    ]
    with open_scheduler(world, systems, backend) as scheduler:
        scheduler.tick_n(3, 0.1)
    assert seen == [500, 500, 0]


def test_exclusive_system_runs_alone(world, backend):
    inside = []

    def alone(ctx):
        assert not inside
        ctx.world.spawn(Mass(1))

    def other(ctx):
        inside.append(ctx.name)
        inside.remove(ctx.name)

    systems = [make(f"s{index}", other, gil="release") for index in range(3)]
    systems += [make("alone", alone, exclusive=True)]
    systems += [make(f"t{index}", other, gil="release") for index in range(3)]
    with open_scheduler(world, systems, backend) as scheduler:
        scheduler.tick_n(5, 0.1)
    assert len(world) == 505


def test_world_is_refused_while_a_frame_runs(world, backend):
    def use(ctx):
        with pytest.raises(fo.WorldBusyError):
            world.spawn()

    with open_scheduler(world, [make(f"s{i}", use, gil="release") for i in range(3)], backend) as s:
        s.tick(0.1)


def test_context_is_refused_after_its_system(world, backend):
    kept = []
    systems = [make(f"s{index}", kept.append, gil="release") for index in range(3)]
    with open_scheduler(world, systems, backend) as scheduler:
        scheduler.tick(0.1)
        for context in kept:
            with pytest.raises(fo.AccessError):
                context.dt


def test_ctrl_c_stops_frames_and_leaves_the_world(world, backend):
    # An interrupt in an Event would leave its lock taken; this one has nothing to interrupt.
    begun = queue.SimpleQueue()

    def send():
        begun.get()
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=send)
    thread.start()
    systems = [make(f"s{i}", lambda ctx: begun.put(None), gil="release") for i in range(3)]
    with open_scheduler(world, systems, backend) as scheduler:
        with pytest.raises(KeyboardInterrupt):
            scheduler.tick_n(2**31 - 1, 0.1)
        thread.join()
        world.spawn()
        frame = scheduler.frame
        assert scheduler.tick(0.1).frame == frame


def test_result_counts_rows_and_tasks(world, backend):
    systems = [make("grow", grow, writes=Mass, reads=Speed), make("none", gil="release")]
    with open_scheduler(world, systems, backend) as scheduler:
        frame = scheduler.tick(0.5)
    assert (frame.frame, frame.dt) == (0, 0.5)
    assert frame.systems["grow"].rows == 500
    assert (frame.systems["grow"].tasks, frame.systems["none"].tasks) == (1, 1)
    assert set(frame.phases) == {"first", "update", "last"}


def test_worlds_are_alike_on_every_backend(backend):
    digests = set()
    for name in ("blocking", backend):
        world = fo.World()
        world.spawn_many(500, {Mass: np.arange(500), Speed: 2})
        systems = [
            make("grow", grow, writes=Mass, reads=Speed, gil="release"),
            make("build", lambda ctx: ctx.commands.spawn(Mass(ctx.frame)), commands=True),
            make(
                "mark",
                lambda ctx: [
                    ctx.commands.add_many(chunk.entities[::9], {Mark: None}) for chunk in ctx
                ],
                commands=True,
                reads=Mass,
                without=Mark,
                gil="release",
            ),
        ]
        with open_scheduler(world, systems, name) as scheduler:
            scheduler.tick_n(5, 0.1)
        digests.add(world.digest())
    assert len(digests) == 1
