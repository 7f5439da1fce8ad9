"""What policies in Python are shown: for how long it lives, and on which threads."""

import gc
import time
import weakref

import foliot as fo
import pytest
from foliot import _core
from policy_support import (
    ANSWERED,
    BACKENDS,
    FIELDS,
    HOST_ERROR,
    VALUE_ERROR,
    ask_all,
    check_alone,
    policy,
    runnables,
)
from support import run_together

# For how long views live.


@pytest.mark.parametrize("name", [*FIELDS, "name"])
def test_kept_runnable_is_over_after_the_call(name):
    kept = []
    probe = _core.PolicyProbe(policy(slice=lambda runnable, *, now: kept.append(runnable)))
    for _ in range(3):
        probe.ask("slice", runnables(1), 0)
        for runnable in kept:
            with pytest.raises(fo.AccessError, match="that call is over"):
                getattr(runnable, name)
    assert repr(kept[0]) == "<Runnable of a call that is over>"
    assert len({id(runnable) for runnable in kept}) == 3


def test_kept_ready_is_over_after_the_call():
    kept = []

    def keep(ready, *, cpu, now):
        kept.append(ready)
        kept.append(iter(ready))

    probe = _core.PolicyProbe(policy(pick=keep))
    for _ in range(2):
        probe.ask("pick", runnables(2), 0, 0)
    for ready in kept[::2]:
        assert repr(ready) == "<Ready of a call that is over>"
        for use in (len, list, lambda it: it[0], lambda it: it[-1], lambda it: it[:], bool):
            with pytest.raises(fo.AccessError, match="that call is over"):
                use(ready)
        with pytest.raises(fo.AccessError):
            None in ready  # noqa: B015
        with pytest.raises(fo.AccessError):
            ready.index(None)
    for iterator in kept[1::2]:
        with pytest.raises(fo.AccessError):
            next(iterator)


def test_runnable_of_an_earlier_call_is_a_wrong_answer():
    kept = []

    def pick(ready, *, cpu, now):
        kept.append(ready[0])
        return kept[0]

    probe = _core.PolicyProbe(policy(pick=pick))
    assert probe.ask("pick", runnables(2), 0, 0) == (ANSWERED, 0)
    assert probe.ask("pick", runnables(2), 0, 0) == (VALUE_ERROR, None)
    check_alone(probe, "<Runnable of a call that is over>; it returns a member of ready")


def test_runnable_of_another_policy_is_a_wrong_answer():
    inner = _core.PolicyProbe(policy(pick=lambda ready, *, cpu, now: others[0]))
    others = []

    def outer_pick(ready, *, cpu, now):
        others[:] = [ready[0]]
        seen.append(inner.ask("pick", runnables(2), 0, 0))
        return ready[1]

    seen = []
    outer = _core.PolicyProbe(policy(pick=outer_pick))
    assert outer.ask("pick", runnables(2), 0, 0) == (ANSWERED, 1)
    assert seen == [(VALUE_ERROR, None)]


def test_runnable_of_a_call_about_one_is_not_among_the_ready():
    class Nested(fo.Policy):
        def slice(self, runnable, *, now):
            self.single = runnable
            return probe.ask("pick", runnables(2), 0, 0)[0] + 100

        def pick(self, ready, *, cpu, now):
            return self.single

    probe = _core.PolicyProbe(Nested())
    assert probe.ask("slice", runnables(1), 0) == (VALUE_ERROR, None)
    wrong = probe.take_errors()
    assert "pick returned" in str(wrong[0])


def test_policy_may_be_asked_within_its_own_call():
    depth = []

    def pick(ready, *, cpu, now):
        first = ready[0]
        if now < 5:
            depth.append(probe.ask("pick", runnables(now + 2), 0, now + 1))
        assert first.id == 0
        assert len(ready) == now + 1
        return ready[now]

    probe = _core.PolicyProbe(policy(pick=pick))
    assert probe.ask("pick", runnables(1), 0, 0) == (ANSWERED, 0)
    assert depth == [(ANSWERED, place) for place in range(5, 0, -1)]
    assert probe.take_errors() == []


def test_views_that_nobody_kept_are_used_again():
    seen = set()

    def look(ready, *, cpu, now):
        seen.add(id(ready))
        seen.update(id(item) for item in ready)

    probe = _core.PolicyProbe(policy(pick=look))
    for now in range(100):
        probe.ask("pick", runnables(3), 0, now)
    assert len(seen) == 4


def test_error_that_keeps_its_views_leaves_later_calls_alone():
    def pick(ready, *, cpu, now):
        items = list(ready)
        if now == 0:
            raise ValueError(items)
        return items[1]

    probe = _core.PolicyProbe(policy(pick=pick))
    assert probe.ask("pick", runnables(3), 0, 0) == (HOST_ERROR, None)
    assert probe.ask("pick", runnables(3), 0, 1) == (ANSWERED, 1)
    with pytest.raises(fo.AccessError):
        probe.take_errors()[0].args[0][0].id


def test_bound_policy_keeps_the_policy_alive():
    made = policy(slice=lambda runnable, *, now: 3)
    watch = weakref.ref(made)
    probe = _core.PolicyProbe(made)
    del made
    gc.collect()
    assert watch() is not None
    assert probe.ask("slice", runnables(1), 0) == (ANSWERED, 3)
    del probe
    gc.collect()
    assert watch() is None


def test_cycle_through_a_policy_is_collected():
    class Cyclic(fo.Policy):
        def slice(self, runnable, *, now):
            self.kept.append(runnable)
            raise ValueError(self)

    made = Cyclic()
    made.kept = []
    made.probe = _core.PolicyProbe(made)
    made.probe.ask("slice", runnables(1), 0)
    watch = weakref.ref(made)
    del made
    gc.collect()
    assert watch() is None


# Live.


def test_live_slots_attach_a_detached_worker():
    probe = _core.PolicyProbe(
        policy(
            pick=lambda ready, *, cpu, now: ready[1],
            slice=lambda runnable, *, now: 4,
            enqueue=lambda runnable, *, now: 5,
            admit=lambda runnable, *, now: False,
            victims=lambda worker, *, workers: [3],
            spin_limit=lambda worker: 6,
            chunk_rows=lambda system, rows: rows // 2,
            backend=lambda load: "blocking",
        ),
        live=True,
    )
    assert ask_all(probe) == {
        "enqueue": (ANSWERED, 5),
        "pick": (ANSWERED, 1),
        "slice": (ANSWERED, 4),
        "admit": (ANSWERED, False),
        "victims": (ANSWERED, [3]),
        "spin_limit": (ANSWERED, 6),
        "chunk_rows": (ANSWERED, 500),
        "backend": (ANSWERED, BACKENDS.index("blocking")),
    }


def test_live_failures_are_kept_as_others_are():
    probe = _core.PolicyProbe(policy(spin_limit=lambda worker: {}[worker]), live=True)
    assert probe.ask("spin_limit", 4) == (HOST_ERROR, None)
    assert isinstance(check_alone(probe, "4"), KeyError)


def test_calls_are_timed_live_and_never_in_simulations():
    made = policy(spin_limit=lambda worker: 1)
    live, simulated = _core.PolicyProbe(made, live=True), _core.PolicyProbe(made)
    assert live.facts["call_limit_ns"] == 1_000_000
    assert simulated.facts["call_limit_ns"] is None
    assert simulated.stopwatch() is None
    first = live.stopwatch()
    live.ask("spin_limit", 0)
    assert live.stopwatch() >= first


def test_what_a_call_computes_counts_as_its_own():
    def compute(worker):
        start = time.thread_time_ns()
        while time.thread_time_ns() - start < 3_000_000:
            pass

    probe = _core.PolicyProbe(policy(spin_limit=compute), live=True)
    for _ in range(5):
        first = probe.stopwatch()
        probe.ask("spin_limit", 0)
        assert probe.stopwatch() - first >= 3_000_000


def test_stopwatch_never_goes_back():
    probe = _core.PolicyProbe(policy(spin_limit=lambda worker: 1), live=True)
    last = probe.stopwatch()
    for _ in range(1000):
        probe.ask("spin_limit", 0)
        now = probe.stopwatch()
        assert now >= last
        last = now


def test_calls_of_other_policies_are_not_taken_for_its_own():
    timed = _core.PolicyProbe(policy(spin_limit=lambda worker: 1), live=True)
    other = _core.PolicyProbe(policy(spin_limit=lambda worker: 2), live=True)
    free = policy(spin_limit=lambda worker: 3)
    free.call_limit = None
    untimed = _core.PolicyProbe(free, live=True)
    last = timed.stopwatch()
    for _ in range(300):
        for probe in (untimed, other, timed, untimed):
            probe.ask("spin_limit", 0)
        now = timed.stopwatch()
        assert now >= last
        last = now


def test_policy_without_a_limit_is_not_timed():
    made = policy(spin_limit=lambda worker: 1)
    made.call_limit = None
    assert _core.PolicyProbe(made, live=True).facts["call_limit_ns"] is None


@pytest.mark.parametrize("live", [False, True])
def test_threads_ask_one_policy_at_once(live):
    def pick(ready, *, cpu, now):
        items = list(ready)
        assert [item.id for item in items] == list(range(len(ready)))
        assert all(item.job == cpu for item in items)
        return items[now % len(items)]

    probe = _core.PolicyProbe(policy(pick=pick), live=live)

    def work(number):
        views = runnables(number + 2, job=number)
        for now in range(500):
            wanted = (ANSWERED, now % (number + 2))
            assert probe.ask("pick", views, number, now) == wanted, probe.take_errors()

    run_together(*(lambda number=number: work(number) for number in range(4)))
