"""Policies in Python: what each slot is told, what it may answer, and what becomes of the rest."""

import itertools
import random

import foliot as fo
import numpy as np
import pytest
from foliot import _core
from foliot._policy import BASES, PolicyLoad, read_policy
from foliot._policy_native import SIGNATURES
from policy_support import (
    ANSWERED,
    BACKENDS,
    DEFAULT,
    FIELDS,
    HOST_ERROR,
    INTERRUPTED,
    LOAD,
    NO_CPU,
    QUESTIONS,
    VALUE_ERROR,
    check_alone,
    policy,
    runnables,
)


def answering(slot, answer):
    """A probe of a policy whose slot always gives the same answer."""
    return _core.PolicyProbe(policy(**{slot: lambda *args, **named: answer}))


# What a policy is.


def test_every_slot_of_the_core_is_a_method_with_a_signature():
    assert list(_core.SLOT_NAMES) == list(QUESTIONS) == list(SIGNATURES)
    assert all(callable(getattr(fo.Policy, name)) for name in _core.SLOT_NAMES)
    assert BASES == ("fifo", "fp", "rm", "edf", "eevdf", "cbs")


def test_plain_policy_fills_no_slot():
    assert fo.Policy().slots == ()
    assert _core.PolicyProbe(fo.Policy()).facts == {
        "base": BASES.index("eevdf"),
        "max_faults": 8,
        "call_limit_ns": None,
        "slots": [],
    }


def test_only_overridden_slots_are_filled():
    class Base(fo.Policy):
        def pick(self, ready, *, cpu, now):
            return None

    class Derived(Base):
        def spin_limit(self, worker):
            return 1

    assert Derived().slots == ("pick", "spin_limit")
    assert _core.PolicyProbe(Derived()).facts["slots"] == ["pick", "spin_limit"]


@pytest.mark.parametrize("name", BASES)
def test_name_of_a_built_in_policy_stands_for_it(name):
    facts = _core.PolicyProbe(name).facts
    assert (facts["base"], facts["slots"]) == (BASES.index(name), [])


@pytest.mark.parametrize("name", ["EDF", "", "lottery"])
def test_unknown_name_is_refused_with_those_allowed(name):
    with pytest.raises(ValueError, match="fifo, fp, rm, edf, eevdf, cbs") as caught:
        _core.PolicyProbe(name)
    assert repr(name) in str(caught.value)


def test_class_of_a_policy_is_refused_with_the_cure():
    class Lottery(fo.Policy):
        pass

    with pytest.raises(TypeError, match=r"Lottery\(\), not its class"):
        _core.PolicyProbe(Lottery)


@pytest.mark.parametrize("thing", [None, 3, object(), b"edf"])
def test_what_is_no_policy_is_refused(thing):
    with pytest.raises(TypeError, match=r"a name or a fo\.Policy"):
        _core.PolicyProbe(thing)


def test_options_of_the_constructor_come_before_those_of_the_class():
    class Mine(fo.Policy):
        base, max_faults, call_limit = "fp", 3, 0.5

    assert read_policy(Mine())[:3] == (BASES.index("fp"), 3, 500_000_000)
    made = Mine(base="rm", max_faults=1, call_limit=None)
    assert read_policy(made)[:3] == (BASES.index("rm"), 1, None)


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"base": "best"}, ValueError, "unknown policy 'best'"),
        ({"base": 3}, TypeError, "got 3"),
        ({"max_faults": 0}, ValueError, "max_faults is from 1"),
        ({"max_faults": 2**32}, ValueError, "max_faults is from 1"),
        ({"max_faults": 1.5}, TypeError, "max_faults is a whole number"),
        ({"call_limit": 0}, ValueError, "call_limit is above 0"),
        ({"call_limit": float("nan")}, ValueError, "call_limit is above 0"),
        ({"call_limit": float("inf")}, ValueError, "call_limit is above 0"),
        ({"call_limit": "1"}, TypeError, "call_limit is a number"),
        ({"slots": {"pike": 4096}}, ValueError, "slot is one of"),
    ],
)
def test_bad_options_are_named(options, error, text):
    with pytest.raises(error, match=text):
        fo.Policy(**options)


@pytest.mark.parametrize(
    ("slot", "function"),
    [
        ("pick", lambda ready: None),
        ("pick", lambda ready, cpu: None),
        ("slice", lambda: None),
        ("victims", lambda worker, *, all_workers: None),
        ("chunk_rows", lambda rows: None),
    ],
)
def test_method_that_cannot_be_called_is_refused_when_bound(slot, function):
    with pytest.raises(TypeError, match=rf"Made\.{slot}.* is called as {slot}\("):
        _core.PolicyProbe(policy(**{slot: function}))


def test_slot_that_is_no_function_is_refused():
    with pytest.raises(TypeError, match=r"Made\.pick is a method or fo\.native_slot"):
        _core.PolicyProbe(type("Made", (fo.Policy,), {"pick": 3})())


def test_subclass_need_not_call_the_constructor():
    class Own(fo.Policy):
        def __init__(self, tickets):
            self.tickets = tickets

        def slice(self, runnable, *, now):
            return self.tickets

    made = Own(5)
    probe = _core.PolicyProbe(made)
    assert probe.ask("slice", runnables(1), 0) == (ANSWERED, 5)
    made.tickets = 9
    assert probe.ask("slice", runnables(1), 0) == (ANSWERED, 9)


def test_function_set_on_the_object_is_a_slot():
    made = fo.Policy()
    made.spin_limit = lambda worker: worker + 1
    assert _core.PolicyProbe(made).ask("spin_limit", 4) == (ANSWERED, 5)


def test_inherited_methods_leave_the_decision_to_the_base():
    made = fo.Policy()
    assert made.pick([], cpu=0, now=0) is None
    assert made.chunk_rows("move", 3) is None


# What slots are told.


def test_runnable_has_every_field_of_its_view():
    seen = {}

    def look(runnable, *, now):
        seen.update({name: getattr(runnable, name) for name in FIELDS}, now=now)

    _core.PolicyProbe(policy(slice=look)).ask("slice", runnables(1, **FIELDS), -17)
    assert seen == {**FIELDS, "now": -17}


def test_runnable_that_never_ran_has_no_last_cpu():
    seen = []
    probe = _core.PolicyProbe(policy(admit=lambda runnable, *, now: seen.append(runnable.last_cpu)))
    probe.ask("admit", runnables(1, last_cpu=NO_CPU), 0)
    assert seen == [None]


def test_runnables_are_known_by_name():
    seen = []

    def look(ready, *, cpu, now):
        seen.extend(runnable.name for runnable in ready)
        seen.append(repr(ready[0]))

    probe = _core.PolicyProbe(policy(pick=look), runnables=["audio", "video"])
    probe.ask("pick", runnables(3, job=4), 0, 0)
    assert seen == ["audio", "video", "runnable 2", "<Runnable 'audio', id 0, job 4>"]


def test_attributes_of_a_runnable_cannot_be_set():
    def change(runnable, *, now):
        runnable.weight = 3

    probe = _core.PolicyProbe(policy(slice=change))
    assert probe.ask("slice", runnables(1), 0) == (HOST_ERROR, None)
    assert isinstance(check_alone(probe, "weight"), AttributeError)


def test_ready_is_a_sequence():
    seen = {}

    def look(ready, *, cpu, now):
        items = list(ready)
        seen["ids"] = [item.id for item in items]
        seen["same"] = all(ready[i] is items[i] for i in range(len(ready)))
        seen["in"] = all(item in ready for item in items)
        seen["others"] = None in ready or 0 in ready
        seen["index"] = [ready.index(item) for item in items]
        seen["last"] = ready[-1].id, ready[np.int64(1)].id
        seen["slices"] = [item.id for item in ready[1:]], [item.id for item in ready[::-2]]
        seen["reversed"] = [item.id for item in reversed(ready)]
        seen["repr"] = repr(ready)
        seen["call"] = cpu, now

    _core.PolicyProbe(policy(pick=look)).ask("pick", runnables(3), 5, 6)
    assert seen == {
        "ids": [0, 1, 2],
        "same": True,
        "in": True,
        "others": False,
        "index": [0, 1, 2],
        "last": (2, 1),
        "slices": ([1, 2], [2, 0]),
        "reversed": [2, 1, 0],
        "repr": "<Ready, 3 runnables>",
        "call": (5, 6),
    }


@pytest.mark.parametrize("place", [3, -4, 2**70])
def test_place_beyond_the_ready_is_an_index_error(place):
    probe = _core.PolicyProbe(policy(pick=lambda ready, *, cpu, now: ready[place]))
    assert probe.ask("pick", runnables(3), 0, 0) == (HOST_ERROR, None)
    (error,) = probe.take_errors()
    assert isinstance(error, IndexError)


def test_thousands_may_be_ready():
    probe = _core.PolicyProbe(
        policy(pick=lambda ready, *, cpu, now: min(ready, key=lambda item: item.deadline))
    )
    count = 3000
    views = runnables(count, deadline=np.arange(count)[::-1])
    assert probe.ask("pick", views, 0, 0) == (ANSWERED, count - 1)
    assert probe.ask("pick", views[:2], 0, 0) == (ANSWERED, 1)


def test_random_choice_picks_among_the_ready():
    draw = random.Random(1)
    probe = _core.PolicyProbe(policy(pick=lambda ready, *, cpu, now: draw.choice(ready)))
    places = {probe.ask("pick", runnables(3), 0, now)[1] for now in range(50)}
    assert places == {0, 1, 2}


def test_worker_slots_are_told_their_worker():
    seen = []
    probe = _core.PolicyProbe(
        policy(
            victims=lambda worker, *, workers: seen.append((worker, workers)),
            spin_limit=seen.append,
        )
    )
    probe.ask("victims", 2, 8)
    probe.ask("spin_limit", 3)
    assert seen == [(2, 8), 3]


def test_chunk_rows_is_told_the_system_by_name():
    seen = []
    probe = _core.PolicyProbe(
        policy(chunk_rows=lambda system, rows: seen.append((system, rows))), systems=["move"]
    )
    probe.ask("chunk_rows", 0, 2**63)
    probe.ask("chunk_rows", 1, 0)
    assert seen == [("move", 2**63), ("system 1", 0)]


def test_backend_is_told_the_load():
    seen = []
    _core.PolicyProbe(policy(backend=seen.append)).ask("backend", *LOAD)
    assert seen == [PolicyLoad(*LOAD[:5], current=BACKENDS[LOAD[5]])]


# What they may answer.

RIGHT = {
    "enqueue": [(0, 0), (-(2**63), -(2**63)), (2**63 - 1, 2**63 - 1), (np.int32(4), 4)],
    "slice": [(1, 1), (2**63 - 1, 2**63 - 1), (np.uint8(9), 9)],
    "admit": [(True, True), (False, False), (np.bool_(True), True), (np.bool_(False), False)],
    "victims": [([0, 2, 3], [0, 2, 3]), ((3,), [3]), ([], []), (np.array([2, 0]), [2, 0])],
    "spin_limit": [(0, 0), (1_000_000, 1_000_000)],
    "chunk_rows": [(1, 1), (2**63 - 1, 2**63 - 1)],
    "backend": [(name, place) for place, name in enumerate(BACKENDS)],
}
WRONG = {
    "enqueue": ["first", 1.0, True, 2**63, -(2**63) - 1, [1]],
    "pick": [0, "a", object(), [], True],
    "slice": [0, -1, 2**63, 1.5, "x", False],
    "admit": [1, 0, "yes", []],
    "victims": [[1], [4], [-1], [0, 0], [0, 2, 3, 0], 3, [None], [True], "ab", [2**70]],
    "spin_limit": [-1, 1_000_001, 0.5, "x", True],
    "chunk_rows": [0, -5, 2**63, "x", True],
    "backend": ["fast", 0, b"blocking", ""],
}


def cases(table):
    return [(slot, answer) for slot, answers in table.items() for answer in answers]


@pytest.mark.parametrize(("slot", "answer"), cases(RIGHT), ids=str)
def test_right_answer_is_the_policys(slot, answer):
    given, wanted = answer
    probe = answering(slot, given)
    assert probe.ask(slot, *QUESTIONS[slot]) == (ANSWERED, wanted)
    assert probe.take_errors() == []


@pytest.mark.parametrize("place", range(3))
def test_picked_runnable_is_given_by_its_place(place):
    probe = _core.PolicyProbe(policy(pick=lambda ready, *, cpu, now: ready[place]))
    assert probe.ask("pick", runnables(3), 0, 0) == (ANSWERED, place)


@pytest.mark.parametrize("slot", QUESTIONS)
def test_none_leaves_the_decision_to_the_base(slot):
    probe = answering(slot, None)
    assert probe.ask(slot, *QUESTIONS[slot]) == (DEFAULT, None)
    assert probe.take_errors() == []


@pytest.mark.parametrize(("slot", "answer"), cases(WRONG), ids=str)
def test_wrong_answer_is_a_fault_that_names_slot_and_answer(slot, answer):
    probe = answering(slot, answer)
    assert probe.ask(slot, *QUESTIONS[slot]) == (VALUE_ERROR, None)
    error = check_alone(probe, f"{slot} returned {answer!r}; it returns ")
    assert isinstance(error, ValueError | TypeError)
    assert error.__notes__ == [f"in slot `{slot}` of the policy Made"]


@pytest.mark.parametrize("slot", QUESTIONS)
def test_exception_is_a_fault_that_is_kept(slot):
    probe = _core.PolicyProbe(policy(**{slot: lambda *args, **named: {}["missing"]}))
    assert probe.ask(slot, *QUESTIONS[slot]) == (HOST_ERROR, None)
    error = check_alone(probe, "missing")
    assert isinstance(error, KeyError)
    assert error.__notes__ == [f"in slot `{slot}` of the policy Made"]
    assert error.__traceback__ is not None


def test_answer_whose_text_cannot_be_made_is_a_fault_all_the_same():
    class Silent:
        def __repr__(self):
            raise LookupError("no text")

        def __index__(self):
            raise LookupError("no number")

    probe = answering("slice", Silent())
    assert probe.ask("slice", *QUESTIONS["slice"]) == (VALUE_ERROR, None)
    check_alone(probe, "no text")


def test_long_answers_are_told_in_part():
    probe = answering("slice", "x" * 10_000)
    probe.ask("slice", *QUESTIONS["slice"])
    (error,) = probe.take_errors()
    assert len(str(error)) < 400


def test_last_few_errors_are_kept():
    numbers = itertools.count()

    def fail(worker):
        raise ValueError(next(numbers))

    probe = _core.PolicyProbe(policy(spin_limit=fail))
    for _ in range(20):
        probe.ask("spin_limit", 0)
    assert [error.args[0] for error in probe.take_errors()] == list(range(12, 20))
    probe.ask("spin_limit", 0)
    assert [error.args[0] for error in probe.take_errors()] == [20]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_is_no_exception_asks_to_stop(kind):
    def stop(worker):
        raise kind("now")

    probe = _core.PolicyProbe(policy(spin_limit=stop, slice=lambda runnable, *, now: 3))
    assert probe.ask("spin_limit", 0) == (INTERRUPTED, None)
    assert probe.take_errors() == []
    # Until somebody has taken it, the policy is not asked any more.
    assert probe.ask("slice", runnables(1), 0) == (DEFAULT, None)
    with pytest.raises(kind, match="now") as caught:
        probe.raise_interrupt()
    assert caught.value.__notes__ == ["in slot `spin_limit` of the policy Made"]
    assert probe.take_interrupt() is None
    probe.raise_interrupt()
    assert probe.ask("slice", runnables(1), 0) == (ANSWERED, 3)
