"""Policies against a model: whatever a slot answers, the core gets that answer, None or a fault.

A policy follows a script of random answers, some of them kept from earlier calls. What the core is
given is compared with what the answer means, and each fault with the error that is kept of it.
"""

import _testcapi

import foliot as fo
import hypothesis.strategies as st
import numpy as np
import pytest
from foliot import _core
from hypothesis import given
from policy_support import (
    ANSWERED,
    BACKENDS,
    DEFAULT,
    HOST_ERROR,
    QUESTIONS,
    VALUE_ERROR,
    runnables,
)
from support import LISTS_MAY_FAIL

WORKERS, WORKER = 4, 1
RANGES = {
    "enqueue": (-(2**63), 2**63 - 1),
    "slice": (1, 2**63 - 1),
    "spin_limit": (0, 1_000_000),
    "chunk_rows": (1, 2**63 - 1),
}

integers = st.one_of(st.integers(-3, 3), st.integers(-(2**65), 2**65), st.just(1_000_000))
anything = st.one_of(
    integers,
    st.none(),
    st.booleans(),
    st.floats(),
    st.text(max_size=3),
    st.sampled_from(BACKENDS),
    st.lists(st.integers(-1, WORKERS), max_size=WORKERS),
    st.builds(np.int64, st.integers(-3, 3)),
    st.builds(np.bool_, st.booleans()),
    st.builds(ValueError, st.text(max_size=3)),
)


def meaning(slot, answer):
    """Status and output of an answer that is no runnable."""
    if isinstance(answer, Exception):
        return HOST_ERROR, None
    if answer is None:
        return DEFAULT, None
    is_whole = isinstance(answer, int | np.integer) and not isinstance(answer, bool)
    is_good = False
    if slot in RANGES:
        is_good = is_whole and RANGES[slot][0] <= answer <= RANGES[slot][1]
    elif slot == "admit":
        is_good = isinstance(answer, bool | np.bool_)
    elif slot == "backend":
        is_good = isinstance(answer, str) and answer in BACKENDS
        answer = BACKENDS.index(answer) if is_good else answer
    elif slot == "victims":
        is_list = isinstance(answer, list) or answer == ""
        is_good = is_list and len(set(answer)) == len(answer) < WORKERS
        is_good = is_good and all(0 <= item < WORKERS and item != WORKER for item in answer)
        answer = list(answer) if is_good else answer
    return (ANSWERED, answer) if is_good else (VALUE_ERROR, None)


class Scripted(fo.Policy):
    """Gives whatever it is told to."""

    answer = None

    def give(self, *arguments, **named):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    enqueue = pick = slice = admit = victims = spin_limit = chunk_rows = backend = give


def check_fault(probe, status, answer):
    """The probe has an error exactly for a fault, and the one that was raised if one was."""
    errors = probe.take_errors()
    assert len(errors) == (status < 0)
    if isinstance(answer, Exception):
        assert errors == [answer]


@given(st.lists(st.tuples(st.sampled_from(sorted(QUESTIONS)), anything), max_size=30))
def test_answers_mean_what_the_model_says(script):
    policy = Scripted()
    probe = _core.PolicyProbe(policy)
    for slot, answer in script:
        policy.answer = answer
        status, output = probe.ask(slot, *QUESTIONS[slot])
        assert (status, output) == meaning(slot, answer)
        check_fault(probe, status, answer)


class Keeper(fo.Policy):
    """Picks among the ready and what it kept of earlier calls, by a script."""

    def __init__(self):
        self.kept = []
        self.step = (0, 0, False)

    def pick(self, ready, *, cpu, now):
        source, place, keeps = self.step
        items = list(ready)
        pool = items if source == 0 else self.kept
        chosen = pool[place % len(pool)] if pool else None
        self.is_fresh = source == 0
        if keeps:
            self.kept.extend(items)
        return chosen


steps = st.tuples(
    st.integers(1, 9), st.tuples(st.integers(0, 1), st.integers(0, 99), st.booleans())
)


@given(st.lists(steps, max_size=40))
def test_only_runnables_of_the_call_itself_are_picked(script):
    policy = Keeper()
    probe = _core.PolicyProbe(policy)
    for count, step in script:
        policy.step = step
        had_kept = bool(policy.kept)
        answer = probe.ask("pick", runnables(count), 0, 0)
        if step[0] == 0:
            assert answer == (ANSWERED, step[1] % count)
        else:
            assert answer == ((VALUE_ERROR, None) if had_kept else (DEFAULT, None))
        probe.take_errors()
        assert all("is over" in repr(runnable) for runnable in policy.kept)


@given(st.lists(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=8), max_size=8))
def test_least_deadline_is_found(batches):
    class Earliest(fo.Policy):
        def pick(self, ready, *, cpu, now):
            return min(ready, key=lambda runnable: (runnable.deadline, runnable.id))

    probe = _core.PolicyProbe(Earliest())
    for deadlines in batches:
        views = runnables(len(deadlines), deadline=deadlines)
        assert probe.ask("pick", views, 0, 0) == (ANSWERED, deadlines.index(min(deadlines)))


def look_round(ready, *, cpu, now):
    """A pick that makes every kind of object that views make."""
    names = [runnable.name for runnable in ready]
    return ready[1:][0] if names and len(list(iter(ready))) == len(ready) else None


@pytest.mark.faults
@pytest.mark.parametrize("slot", sorted(QUESTIONS) if LISTS_MAY_FAIL else [])
def test_any_allocation_of_a_call_may_fail(slot):
    right = {"pick": look_round, "victims": lambda worker, *, workers: [0, 2]}
    function = right.get(slot, lambda *arguments, **named: None)
    made = type("Made", (fo.Policy,), {slot: staticmethod(function)})
    question = QUESTIONS[slot]
    wanted = _core.PolicyProbe(made()).ask(slot, *question)
    outcomes = []
    for n in range(1, 200):
        probe = _core.PolicyProbe(made())
        outcome = None
        _testcapi.set_nomemory(n, n + 1)
        try:
            outcome = probe.ask(slot, *question)
        except MemoryError:
            # Asking took memory of its own.
            outcome = "refused"
        finally:
            _testcapi.remove_mem_hooks()
        outcomes.append(outcome)
        if outcome == (HOST_ERROR, None):
            (error,) = probe.take_errors()
            assert isinstance(error, MemoryError)
        assert probe.ask(slot, *question) == wanted
        assert probe.take_errors() == []
    assert wanted in outcomes
    assert all(outcome in (wanted, (HOST_ERROR, None), "refused") for outcome in outcomes)
    # Calls about workers show small numbers only, which take no memory.
    assert (HOST_ERROR, None) in outcomes or slot in {"victims", "spin_limit"}


@pytest.mark.faults
@pytest.mark.parametrize("live", [False, True] if LISTS_MAY_FAIL else [])
def test_any_allocation_of_binding_may_fail(live):
    made = type("Made", (fo.Policy,), {"spin_limit": staticmethod(lambda worker: 3)})()
    _core.PolicyProbe(made, live=live)
    refusals, is_bound = 0, False
    while not is_bound:
        refusals += 1
        probe = None
        _testcapi.set_nomemory(refusals, refusals + 1)
        try:
            probe = _core.PolicyProbe(made, live=live)
        except MemoryError:
            is_bound = refusals > 5000
        finally:
            _testcapi.remove_mem_hooks()
        if probe is not None:
            is_bound = True
            assert probe.ask("spin_limit", 0) == (ANSWERED, 3)
    assert 1 < refusals < 5000
