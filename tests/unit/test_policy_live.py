"""Policies of schedulers: slots decide, and what they do wrong stops nothing."""

import ctypes
import gc
import weakref

import foliot as fo
import pytest
from policy_support import policy
from support import alarm, interrupt

Position = fo.component("Position", "f8")
FRAMES = 20


def make(name, function=lambda ctx: None, **options):
    return fo.system(name=name, **options)(function)


def run(chosen, names="abc", frames=FRAMES, **options):
    """The order in which systems ran, frame after frame, and the scheduler, closed."""
    order = []

    def note(name):
        return make(name, lambda ctx: order.append(name))

    options = {"workers": 1, **options}
    schedule = fo.Schedule(*map(note, names))
    with fo.Scheduler(fo.World(), schedule, policy=chosen, **options) as scheduler:
        frame = scheduler.tick_n(frames, 0.1)
        decisions, stats = scheduler.decisions, scheduler.stats
    width = len(order) // frames
    turns = ["".join(order[i * width : (i + 1) * width]) for i in range(frames)]
    return turns, frame, decisions, stats


def kinds(decisions):
    return [decision.kind for decision in decisions]


def test_pick_decides_the_order(backend):
    turns, *_ = run(policy(pick=lambda ready, *, cpu, now: ready[-1]), backend=backend)
    assert set(turns) == {"cba"}


def test_rank_decides_the_order(backend):
    ranks = {"a": 2, "b": 1, "c": 3}
    chosen = policy(enqueue=lambda runnable, *, now: ranks[runnable.name])
    turns, *_ = run(chosen, backend=backend)
    assert set(turns) == {"bac"}


def test_what_is_not_admitted_is_skipped():
    chosen = policy(admit=lambda runnable, *, now: runnable.name != "b")
    turns, frame, *_ = run(chosen)
    assert {"".join(sorted(turn)) for turn in turns} == {"ac"}
    assert frame.skipped_reasons == {"b": "the policy did not admit it"}


def test_plan_comes_before_the_policy():
    order = []
    writer = make("writer", lambda ctx: order.append("w"), writes=Position)
    reader = make("reader", lambda ctx: order.append("r"), reads=Position)
    schedule = fo.Schedule(writer, reader)
    backwards = policy(pick=lambda ready, *, cpu, now: ready[-1])
    with fo.Scheduler(fo.World(), schedule, policy=backwards) as scheduler:
        scheduler.tick_n(FRAMES, 0.1)
    assert order == ["w", "r"] * FRAMES


def test_native_systems_are_cut_as_the_policy_says():
    kind = ctypes.CFUNCTYPE(
        ctypes.c_int, ctypes.POINTER(ctypes.c_void_p), ctypes.c_ssize_t, ctypes.c_void_p
    )
    sizes = []

    def kernel(columns, rows, user):
        sizes.append(rows)
        return 0

    with pytest.warns(RuntimeWarning, match="callback into Python"):
        count = fo.native(kind(kernel), writes=Position, name="count")
    asked = []

    def chunk_rows(system, rows):
        asked.append((system, rows))
        return 250

    world = fo.World()
    world.spawn_many(1000, {Position: 0.0})
    chosen = policy(chunk_rows=chunk_rows)
    with fo.Scheduler(world, fo.Schedule(count), policy=chosen, workers=1) as scheduler:
        scheduler.tick_n(4, 0.1)
    assert set(asked) == {("count", 1000)}
    # Pieces begin at whole cache lines.
    assert len(sizes) == 4 * 4
    assert all(abs(size - 250) < 16 for size in sizes)


@pytest.mark.parametrize("answer", [42, "a", object()], ids=str)
def test_wrong_answers_switch_the_policy_off_and_nothing_else(backend, answer):
    chosen = policy(pick=lambda ready, *, cpu, now: answer)
    chosen.max_faults = 3
    turns, frame, decisions, stats = run(chosen, backend=backend)
    assert all(sorted(turn) == ["a", "b", "c"] for turn in turns)
    assert frame.errors == []
    assert kinds(decisions).count("fault") == stats.policy_faults == 3
    assert kinds(decisions).count("policy_off") == 1


def test_exceptions_are_faults_too(backend):
    chosen = policy(slice=lambda runnable, *, now: {}[runnable.name])
    turns, frame, decisions, _ = run(chosen, backend=backend)
    assert all(sorted(turn) == ["a", "b", "c"] for turn in turns)
    assert frame.errors == []
    assert kinds(decisions).count("fault") == chosen.max_faults


def test_late_answers_are_faults():
    chosen = policy(pick=lambda ready, *, cpu, now: ready[-1])
    chosen.call_limit, chosen.max_faults = 1e-9, 2
    turns, _, decisions, _ = run(chosen)
    assert kinds(decisions).count("fault") == 2
    assert kinds(decisions).count("policy_off") == 1
    assert all(sorted(turn) == ["a", "b", "c"] for turn in turns)


def test_answers_of_a_policy_without_a_limit_are_never_late():
    chosen = policy(pick=lambda ready, *, cpu, now: ready[-1])
    chosen.call_limit = None
    turns, _, decisions, _ = run(chosen)
    assert set(turns) == {"cba"}
    assert "fault" not in kinds(decisions)


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_what_is_no_exception_ends_the_frame(backend, kind):
    def stop(ready, *, cpu, now):
        raise kind("enough")

    schedule = fo.Schedule(*map(make, "abc"))
    with fo.Scheduler(
        fo.World(), schedule, policy=policy(pick=stop), backend=backend, workers=2
    ) as scheduler:
        with pytest.raises(kind, match="enough") as caught:
            scheduler.tick(0.1)
        assert "in slot `pick` of the policy Made" in caught.value.__notes__
        with pytest.raises(kind):
            scheduler.tick(0.1)


def test_signal_is_seen_while_a_slot_waits():
    def wait(runnable, *, now):
        while True:
            pass

    chosen = policy(slice=wait)
    chosen.call_limit = None
    schedule = fo.Schedule(make("a"))
    scheduler = fo.Scheduler(fo.World(), schedule, policy=chosen, workers=1)
    with scheduler, alarm(interrupt), pytest.raises(KeyboardInterrupt):
        scheduler.tick(0.1)


def test_slot_cannot_drive_its_own_scheduler():
    errors = []

    def pick(ready, *, cpu, now):
        try:
            scheduler.tick(0.1)
        except fo.WorldBusyError as error:
            errors.append(error)

    chosen = policy(pick=pick)
    chosen.call_limit = None
    schedule = fo.Schedule(*map(make, "ab"))
    with fo.Scheduler(fo.World(), schedule, policy=chosen, workers=1) as scheduler:
        scheduler.tick_n(3, 0.1)
    assert errors


def test_two_schedulers_may_share_a_policy():
    counts = {}

    class Counting(fo.Policy):
        def pick(self, ready, *, cpu, now):
            name = ready[0].name
            counts[name] = counts.get(name, 0) + 1
            return ready[0]

    chosen = Counting()
    first = fo.Scheduler(fo.World(), fo.Schedule(make("a")), policy=chosen, workers=1)
    second = fo.Scheduler(fo.World(), fo.Schedule(make("b")), policy=chosen, workers=1)
    with first, second:
        for _ in range(5):
            first.tick(0.1)
            second.tick(0.1)
    assert counts.keys() == {"a", "b"}


def test_scheduler_and_policy_in_a_cycle_are_collected():
    chosen = policy(pick=lambda ready, *, cpu, now: ready[0])
    chosen.scheduler = fo.Scheduler(fo.World(), fo.Schedule(make("a")), policy=chosen, workers=2)
    chosen.scheduler.tick(0.1)
    watch = weakref.ref(chosen)
    chosen.scheduler.close()
    del chosen
    gc.collect()
    assert watch() is None


@pytest.mark.parametrize("thing", [3, "best", fo.Policy, object()], ids=str)
def test_what_is_no_policy_is_refused(thing):
    with pytest.raises((TypeError, ValueError), match="policy"):
        fo.Scheduler(fo.World(), fo.Schedule(), policy=thing)
