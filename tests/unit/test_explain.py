"""Why: each decision about a system is told in a sentence with its rule and numbers."""

import re

import cffi
import foliot as fo
import numpy as np
import pytest
from foliot._sim_log import DECISION_DTYPE

ffi = cffi.FFI()
Position = fo.component("Position", "f8")
Velocity = fo.component("Velocity", "f8")


def run(clock, seconds, name, budget=None, writes=Position):
    return fo.system(name=name, budget=budget, writes=writes)(lambda ctx: clock.advance(seconds))


def scheduler_of(clock, *systems, **options):
    world = fo.World()
    world.spawn(Position(0.0), Velocity(0.0))
    return fo.Scheduler(world, fo.Schedule(*systems), clock=clock, backend="blocking", **options)


def explained(seconds=3e-3, frames=2, policy=None, **options):
    """What is said of a system with that budget."""
    clock = fo.VirtualClock()
    values = {"budget": 2e-3, "period": 10e-3, "name": "audio"} | options
    context = fo.SchedulingContext(**values)
    with scheduler_of(clock, run(clock, seconds, "move", context), policy=policy) as scheduler:
        for _ in range(frames):
            scheduler.tick(0.1)
        about = scheduler.explain("move")
        assert scheduler.explain(context) == f"audio: {about}"
        return about


@pytest.mark.parametrize(
    ("overrun", "word"), [("throttle", "throttled"), ("skip", "skipped"), ("demote", "demoted")]
)
def test_an_overrun_names_the_rule_the_use_and_the_budget(overrun, word):
    about = explained(overrun=overrun)
    assert word in about
    assert "2.000 ms" in about


def test_a_throttled_system_says_when_its_refill_comes():
    assert re.search(r"next refill is at [0-9.]+ ms", explained())


@pytest.mark.parametrize("policy", [None, "edf", "cbs"])
@pytest.mark.parametrize(
    ("kind", "server"),
    [("sporadic", "(sporadic server)"), ("cbs", "(hard constant bandwidth server)")],
)
def test_a_server_is_told_by_its_kind_under_every_policy(kind, server, policy):
    assert explained(kind=kind, policy=policy).endswith(server)


def test_times_are_told_since_the_scheduler_was_made():
    clock = fo.VirtualClock()
    clock.advance(1000.0)
    context = fo.SchedulingContext(budget=2e-3, period=10e-3)
    with scheduler_of(clock, run(clock, 3e-3, "move", context)) as scheduler:
        scheduler.tick(0.1)
        scheduler.tick(0.1)
        about = scheduler.explain("move")
        (throttle,) = [made for made in scheduler.decisions if made.kind == "throttle"]
    assert "was throttled at 3.000 ms" in about
    assert "the next refill is at 11.000 ms" in about
    assert throttle.now == 1_000_003_000_000


def test_one_that_gave_way_in_the_fair_class_is_told_by_shares_and_worker():
    clock = fo.VirtualClock()
    clock.advance(7.0)

    def native(name):
        @ffi.callback("int(void **, ptrdiff_t, void *)")
        def kernel(columns, rows, user):
            clock.advance(2e-3)
            return 0

        return fo.native(kernel, reads=Position, name=name, chunk_rows=16)

    with scheduler_of(clock, native("one"), native("two"), policy="cbs") as scheduler:
        for _ in range(63):
            scheduler.world.spawn(Position(0.0))
        scheduler.tick(0.1)
        about = scheduler.explain("two")
    assert re.fullmatch(
        r"two gave way at [0-9.]+ ms on worker 0 to one after [0-9.]+ ms of its job: it is "
        r"[0-9.]+ ms ahead of its share, the other is [0-9.]+ ms behind \(only who is not ahead "
        r"of its share is eligible\)",
        about,
    )


def test_a_missed_deadline_says_how_late():
    about = explained(seconds=3e-3, frames=1, budget=2e-3, deadline=2.5e-3)
    assert "missed its deadline" in about
    assert "500.000 us" in about


def test_one_that_nothing_held_up_says_what_it_used():
    about = explained(seconds=1e-3)
    assert about == (
        "nothing held it up: 2 jobs ran for 2.000 ms and waited for 0.000 ms while others ran"
    )


def test_one_that_was_not_admitted_says_so():
    class Nobody(fo.Policy):
        def admit(self, runnable, *, now):
            return False

    assert "denied" in explained(seconds=1e-3, policy=Nobody())


def test_a_revoked_context_says_so():
    clock = fo.VirtualClock()
    context = fo.SchedulingContext(budget=2e-3, period=10e-3, name="audio")
    with scheduler_of(clock, run(clock, 1e-3, "move", context), errors="continue") as scheduler:
        scheduler.tick(0.1)
        scheduler.revoke(context)
        scheduler.tick(0.1)
        assert "revoked" in scheduler.explain("move")


def test_without_budgets_it_says_that_nothing_decides():
    clock = fo.VirtualClock()
    with scheduler_of(clock, run(clock, 1e-3, "move")) as scheduler:
        scheduler.tick(0.1)
        assert "no system has a budget" in scheduler.explain("move")


def test_a_system_a_phase_and_the_backend_of_one_name_are_each_explained():
    clock = fo.VirtualClock()
    with scheduler_of(clock, run(clock, 1e-3, "update"), policy="fifo") as scheduler:
        scheduler.tick(0.1)
        lines = scheduler.explain("update").split("\n")
        assert len(lines) == 2
        assert lines[1].startswith("nothing held it up")
        with pytest.raises(fo.UnknownPhaseError):
            scheduler.explain("nothing")
        with pytest.raises(fo.UnknownSystemError, match="the plan has no system `other`"):
            scheduler.explain(run(clock, 1e-3, "other"))


def test_decisions_stand_in_the_trace_as_instants():
    clock = fo.VirtualClock()
    context = fo.SchedulingContext(budget=2e-3, period=10e-3)
    with scheduler_of(clock, run(clock, 3e-3, "move", context), trace=True) as scheduler:
        scheduler.tick(0.1)
        frame = scheduler.tick(0.1)
        spans = [span for span in frame.spans if span.kind == "decision"]
    assert [span.name for span in spans] == ["throttle move", "refill move", "miss move"]
    assert all(span.start_ns == span.end_ns for span in spans)


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [(1, "detail", 8), (5, "detail", 3), (1, "policy", 6), (99, "cpu", 0)],
)
def test_bytes_that_are_no_decision_are_refused(kind, field, value):
    result = fo.sim.run(fo.TaskSet([fo.PeriodicTask(wcet=1, period=4)]), policy="edf", until=8)
    decision = np.zeros((), DECISION_DTYPE)
    decision["kind"] = kind
    decision[field] = value
    with pytest.raises(ValueError, match="the bytes are no decision"):
        result._core.explain(decision.tobytes())
