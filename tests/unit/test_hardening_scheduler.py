"""Schedulers under rough use: closed, driven and asked from where nobody expects it."""

import ctypes
import gc
import select
import threading

import foliot as fo
import pytest

Mass = fo.component("Mass", "f8")
KERNEL = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_void_p), ctypes.c_ssize_t, ctypes.c_void_p
)


def make(name, function=lambda ctx: None, **options):
    return fo.system(name=name, **options)(function)


def make_scheduler(*systems, **options):
    return fo.Scheduler(fo.World(), fo.Schedule(*systems), **options)


def fail(error):
    def run(ctx):
        raise error

    return run


class Closer:
    """Closes a scheduler when it is asked to, and keeps what that raised."""

    def __init__(self):
        self.scheduler = None
        self.refusals = []

    def close(self):
        if self.scheduler is None:
            return
        try:
            self.scheduler.close()
        except fo.WorldBusyError as error:
            self.refusals.append(str(error))


def test_clock_read_for_the_report_cannot_close_the_scheduler():
    closer = Closer()

    class Clock:
        now = 0

        def now_ns(self):
            closer.close()
            self.now += 1
            return self.now

    scheduler = make_scheduler(make("a"), clock=Clock())
    closer.scheduler = scheduler
    assert scheduler.run(rate=None, ticks=2).frames == 2
    assert set(closer.refusals) == {"the scheduler cannot close while it runs frames"}
    scheduler.close()


def test_note_of_an_error_cannot_close_the_scheduler():
    closer = Closer()

    class Refusing(Exception):
        def add_note(self, note):
            closer.close()
            super().add_note(note)

    scheduler = make_scheduler(make("a", fail(Refusing())), make("b", fail(Refusing())))
    closer.scheduler = scheduler
    with pytest.raises(fo.FrameError) as raised:
        scheduler.tick(0.1)
    assert len(raised.value.exceptions) == len(closer.refusals) == 2
    scheduler.close()


def test_note_of_an_error_cannot_change_the_plan():
    refusals = []

    class Editing(Exception):
        def add_note(self, note):
            schedule.add(make("c"))
            with pytest.raises(fo.WorldBusyError) as refused:
                scheduler.tick(0.1)
            refusals.append(refused)
            super().add_note(note)

    schedule = fo.Schedule(make("a", fail(Editing())), make("b", fail(ValueError())))
    with fo.Scheduler(fo.World(), schedule) as scheduler, pytest.raises(fo.FrameError) as raised:
        scheduler.tick(0.1)
    assert [error.__notes__ for error in raised.value.exceptions] == [
        ["in system `a`, frame 0"],
        ["in system `b`, frame 0"],
    ]
    assert len(refusals) == 1


def test_collected_owner_cannot_close_the_scheduler_that_makes_its_errors():
    closer = Closer()

    class Owner:
        def __init__(self):
            self.me = self

        def __del__(self):
            closer.close()

    class Collecting(Exception):
        def add_note(self, note):
            Owner()
            gc.collect()
            super().add_note(note)

    scheduler = make_scheduler(make("a", fail(Collecting())), errors="continue")
    closer.scheduler = scheduler
    assert len(scheduler.tick_n(3, 0.1).errors) == len(closer.refusals) == 3
    scheduler.close()


def test_until_cannot_close_the_scheduler_it_stops():
    scheduler = make_scheduler(make("a"))
    with pytest.raises(fo.WorldBusyError):
        scheduler.run(rate=None, ticks=3, until=scheduler.close)
    scheduler.close()
    assert scheduler.closed


@pytest.mark.filterwarnings("ignore:.*ctypes callback.*:RuntimeWarning")
def test_kernel_that_takes_the_interpreter_may_tick_another_scheduler():
    world = fo.World()
    world.spawn(Mass(1.0))
    inner = make_scheduler(make("inner"), fo.native(tick_nothing, writes=Mass, name="quiet"))
    seen = []

    @KERNEL
    def tick_inner(columns, rows, user):
        seen.append(inner.tick(0.1).frame)
        seen.append(inner.run(rate=1000, ticks=2, until=lambda: False).frames)
        return 0

    systems = [
        fo.native(tick_inner, writes=Mass, name="outer"),
        make("after"),
        fo.native(tick_inner, writes=Mass, name="again"),
    ]
    with fo.Scheduler(world, fo.Schedule(*systems)) as scheduler:
        scheduler.tick_n(2, 0.1)
    inner.close()
    assert seen == [0, 2, 3, 2, 6, 2, 9, 2]


@KERNEL
def tick_nothing(columns, rows, user):
    return 0


def test_dt_may_be_given_by_name():
    with make_scheduler() as scheduler:
        assert scheduler.tick(dt=0.25).dt == 0.25
        with pytest.raises(TypeError, match="tick takes dt, got 'time'"):
            scheduler.tick(time=0.25)
        with pytest.raises(TypeError, match="tick takes dt, got 2 arguments"):
            scheduler.tick(0.25, 1)
        with pytest.raises(TypeError, match="tick takes dt, got 0 arguments"):
            scheduler.tick()


def test_dt_and_count_of_another_kind_are_named():
    with make_scheduler() as scheduler:
        with pytest.raises(TypeError, match="dt is a number of seconds, got '1'"):
            scheduler.tick("1")
        with pytest.raises(ValueError, match="dt is finite"):
            scheduler.tick(10**400)
        with pytest.raises(TypeError, match=r"whole number of frames, got 2\.0"):
            scheduler.tick_n(2.0, 0.1)
        with pytest.raises(TypeError, match="dt is a number of seconds, got None"):
            scheduler.tick_n(2, None)


def test_result_of_many_frames_names_all_systems_in_quarantine():
    systems = (make("a", fail(ValueError())), make("b"))
    with make_scheduler(*systems, errors=fo.quarantine(after=2)) as scheduler:
        last = scheduler.tick_n(5, 0.1)
        assert (len(last.errors), last.quarantined) == (2, ["a"])
        assert scheduler.tick(0.1).quarantined == []
        scheduler.enable("a")
        assert scheduler.run(rate=None, ticks=5).last.quarantined == ["a"]


def test_frames_without_python_code_let_other_threads_have_their_turns():
    turns = []

    def take_turns():
        for _ in range(20):
            select.select([], [], [], 0)
        turns.append(20)

    with make_scheduler() as scheduler:
        thread = threading.Thread(target=take_turns)
        thread.start()
        report = scheduler.run(rate=None, ticks=5_000_000, until=turns.__len__)
        thread.join()
    assert report.stopped_by == "until"


def run_once(function, world=None, **options):
    """The world after one frame of one system."""
    world = fo.World() if world is None else world
    with fo.Scheduler(world, fo.Schedule(make("a", function, **options))) as scheduler:
        scheduler.tick(0.1)
    return world


@pytest.mark.parametrize("columns", [(), (None,), ({},)])
def test_many_entities_are_recorded_without_columns(columns):
    world = run_once(lambda ctx: ctx.commands.spawn_many(3, *columns), commands=True)
    assert len(world) == 3


@pytest.mark.parametrize("count", [1001, 2**34, 2**62, 2**70])
def test_more_entities_than_the_world_holds_are_refused_before_memory_is_taken(count):
    def spawn(ctx):
        with pytest.raises(fo.CapacityError, match="max_entities is 1000"):
            ctx.commands.spawn_many(count)

    world = run_once(spawn, fo.World(config=fo.Config(max_entities=1000)), commands=True)
    assert len(world) == 0


def test_fewer_entities_than_none_are_refused():
    def spawn(ctx):
        with pytest.raises(ValueError, match="count is at least 0, got -1"):
            ctx.commands.spawn_many(-1)
        with pytest.raises(ValueError, match="count is at least 0"):
            ctx.commands.spawn_many(-(2**70))

    run_once(spawn, commands=True)


def test_system_just_added_can_be_switched_off_before_the_next_frame():
    schedule = fo.Schedule(make("a"))
    with fo.Scheduler(fo.World(), schedule) as scheduler:
        schedule.add(make("b"))
        assert scheduler.is_enabled("b")
        scheduler.disable("b")
        assert list(scheduler.tick(0.1).systems) == ["a"]
        scheduler.enable("b")
        assert list(scheduler.tick(0.1).systems) == ["a", "b"]


def test_system_just_removed_can_no_longer_be_switched_off():
    schedule = fo.Schedule(make("a"), make("b"))
    with fo.Scheduler(fo.World(), schedule) as scheduler:
        schedule.remove("b")
        with pytest.raises(fo.UnknownSystemError):
            scheduler.disable("b")


@pytest.mark.parametrize("gil", [[], {}, None, "Hold"])
def test_gil_of_another_kind_is_named(gil):
    with pytest.raises(ValueError, match="gil= of `a` is 'hold' or 'release', got"):
        make("a", gil=gil)


@pytest.mark.parametrize("ambiguity", [[], {}, None])
def test_ambiguity_of_another_kind_is_named(ambiguity):
    with pytest.raises(ValueError, match="ambiguity= is 'allow', 'warn' or 'error', got"):
        fo.Schedule(ambiguity=ambiguity)


@pytest.mark.filterwarnings("ignore:.*ctypes callback.*:RuntimeWarning")
@pytest.mark.parametrize("name", ["a\0b", "a\ud800"])
def test_names_that_c_cannot_take_are_refused(name):
    with pytest.raises(ValueError, match="a system's name"):
        make(name)
    with pytest.raises(ValueError, match="a system's name"):
        fo.native(tick_nothing, name=name)
    with pytest.raises(ValueError, match="a set's name in `a`"):
        make("a", sets=["fine", name])
    with pytest.raises(ValueError, match="a phase's name"):
        fo.Phase(name)


def test_system_with_too_many_columns_is_named():
    wide = [fo.component(f"Wide{i}", {f"f{j}": "f8" for j in range(60)}) for i in range(5)]
    with pytest.raises(ValueError, match="a query of system `wide` has 300 columns"):
        make_scheduler(make("fine"), make("wide", queries={"all": fo.Query(reads=wide)}))


def test_cost_of_another_kind_names_its_system():
    plan = fo.Schedule(make("a"), make("b")).plan()
    with pytest.raises(TypeError, match="the cost of `b` is a number of seconds, got 'x'"):
        plan.critical_path({"a": 1.0, "b": "x"})
    with pytest.raises(ValueError, match="every cost is finite"):
        plan.speedup_bound({"a": 10**400})


@pytest.mark.parametrize(
    ("text", "message"),
    [("-1", "FOLIOT_WORKERS is from 1 to"), ("0", "is from 1 to"), ("two", "is a number")],
)
def test_workers_of_the_environment_are_checked(monkeypatch, text, message):
    monkeypatch.setenv("FOLIOT_WORKERS", text)
    with pytest.raises(ValueError, match=message):
        make_scheduler()


def test_rate_of_frames_that_are_too_long_is_named():
    with make_scheduler() as scheduler, pytest.raises(ValueError, match=r"^rate=0\.0005 makes"):
        scheduler.run(rate=0.0005, ticks=1)


@pytest.mark.parametrize("through", ["plan", "scheduler", "tick"])
def test_warning_about_ambiguities_points_at_the_line_of_the_caller(through):
    schedule = fo.Schedule(make("a", writes=Mass), ambiguity="warn")
    late = make("b", writes=Mass)
    with fo.Scheduler(fo.World(), schedule) as scheduler:
        schedule.add(late)
        cause = {
            "plan": schedule.plan,
            "scheduler": lambda: fo.Scheduler(fo.World(), schedule).close(),
            "tick": lambda: scheduler.tick(0.1),
        }
        with pytest.warns(UserWarning, match="1 conflicting pair") as caught:
            cause[through]()
    assert [warning.filename for warning in caught] == [__file__]


def test_costs_are_those_of_one_plan_whatever_the_collector_runs():
    class Owner:
        def __init__(self):
            self.me = self

        def __del__(self):
            schedule.add(*late)
            scheduler.is_enabled("late")

    late = [make("late"), *(make(f"late{number}") for number in range(30))]
    schedule = fo.Schedule(make("a"))
    scheduler = fo.Scheduler(fo.World(), schedule)
    thresholds = gc.get_threshold()
    gc.collect()
    gc.disable()
    Owner()
    gc.set_threshold(1)
    gc.enable()
    try:
        costs = scheduler.costs()
    finally:
        gc.set_threshold(*thresholds)
    # Where the collector came too late, it comes while there is a scheduler to ask.
    gc.collect()
    scheduler.close()
    assert list(costs) == ["a"]
