"""Contexts and groups as users declare them, and the structures of fo.policy by example."""

import copy
import math
import pickle
import re

import foliot as fo
import numpy as np
import pytest

LONGEST = 2**60
LATEST = 2**61


def context(**options):
    return fo.SchedulingContext(**{"budget": 2e-3, "period": 10e-3, **options})


# Contexts.


def test_context_keeps_what_it_was_given():
    def on_depletion(notice):
        raise AssertionError(notice)

    audio = fo.SchedulingContext(
        budget=2e-3,
        period=10e-3,
        deadline=8e-3,
        overrun="skip",
        name="audio",
        kind="cbs",
        cpus={3, 1},
        refills=4,
        on_depletion=on_depletion,
    )
    assert (audio.budget, audio.period, audio.deadline) == (2e-3, 10e-3, 8e-3)
    assert (audio.overrun, audio.name, audio.kind) == ("skip", "audio", "cbs")
    assert audio.cpus == frozenset({1, 3})
    assert audio.refills == 4
    assert audio.on_depletion is on_depletion


def test_context_has_defaults():
    plain = context()
    assert plain.deadline is None
    assert (plain.overrun, plain.name, plain.kind) == ("throttle", "context", "sporadic")
    assert (plain.cpus, plain.refills, plain.on_depletion) == (None, 8, None)


def test_context_takes_keywords_only():
    with pytest.raises(TypeError):
        fo.SchedulingContext(2e-3, 10e-3)


def test_context_cannot_be_changed():
    with pytest.raises(AttributeError):
        context().budget = 1.0


def test_contexts_compare_by_identity():
    one, other = context(), context()
    assert one == one  # noqa: PLR0124
    assert one != other
    assert len({one, other, one}) == 2


def test_context_can_be_copied_and_pickled():
    given = context(cpus=[1], name="audio")
    for other in copy.copy(given), pickle.loads(pickle.dumps(given)):
        assert vars(other) == vars(given)
        assert other != given


@pytest.mark.parametrize(
    ("seconds", "budget_ns", "period_ns"),
    [
        (2e-3, 2_000_000, 2_000_000),
        (0.3, 300_000_000, 300_000_000),
        (0.1 + 0.2, 300_000_001, 300_000_000),
        (1.25e-6, 1250, 1250),
        (1.2345e-6, 1235, 1234),
        (1, 10**9, 10**9),
        (np.float64(2e-3), 2_000_000, 2_000_000),
        (np.int32(2), 2 * 10**9, 2 * 10**9),
    ],
)
def test_nanoseconds_are_those_of_the_number_as_written(seconds, budget_ns, period_ns):
    assert fo.SchedulingContext(budget=seconds, period=5.0).budget_ns == budget_ns
    assert fo.SchedulingContext(budget=1e-9, period=seconds).period_ns == period_ns


def test_budget_of_the_whole_period_stays_that():
    whole = fo.SchedulingContext(budget=1.5e-9, period=1.5e-9)
    assert (whole.budget_ns, whole.period_ns, whole.deadline_ns) == (1, 1, 1)


def test_deadline_is_the_period_unless_given():
    assert context().deadline_ns == 10_000_000
    assert context(deadline=8e-3).deadline_ns == 8_000_000


@pytest.mark.parametrize("what", ["budget", "period", "deadline"])
@pytest.mark.parametrize("bad", [0, 0.0, -1.0, math.nan, math.inf, -math.inf, 1e300, 10**400])
def test_time_that_cannot_be_counted_is_refused(what, bad):
    with pytest.raises(ValueError, match=rf"^{what}= is above 0 and at most 1152921504\.6"):
        context(**{what: bad})


@pytest.mark.parametrize("what", ["budget", "period"])
@pytest.mark.parametrize("bad", [None, "1", True, 1j, [1.0]])
def test_time_is_a_number(what, bad):
    with pytest.raises(TypeError, match=f"^{what}= is a number, got"):
        context(**{what: bad})


def test_time_of_less_than_a_nanosecond_is_a_budget_but_no_period():
    assert context(budget=1e-12).budget_ns == 1
    with pytest.raises(ValueError, match=r"^period= is at least 1e-09 seconds, got 1e-10\."):
        context(budget=1e-10, period=1e-10)
    with pytest.raises(ValueError, match=r"^deadline= is at least 1e-09 seconds, got 1e-10\."):
        context(budget=1e-10, deadline=1e-10)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"budget": 3.0, "period": 2.0}, "budget= is at most the period of 2.0 seconds, got 3.0."),
        (
            {"budget": 1.0, "period": 2.0, "deadline": 3.0},
            "deadline= is at most the period of 2.0 seconds, got 3.0.",
        ),
        (
            {"budget": 1.0, "period": 2.0, "deadline": 0.5},
            "budget= is at most the deadline of 0.5 seconds, got 1.0.",
        ),
        (
            {"overrun": "explode"},
            'overrun= is one of "throttle", "skip", "kill", "demote", "notify", got \'explode\'.',
        ),
        ({"overrun": None}, 'overrun= is one of "throttle", "skip", "kill", "demote", "notify", '),
        ({"kind": "edf"}, 'kind= is one of "sporadic", "cbs", "cbs-soft", got \'edf\'.'),
        ({"name": ""}, "name= is not empty"),
        ({"refills": 1}, "refills= is from 2 to 64, got 1."),
        ({"refills": 65}, "refills= is from 2 to 64, got 65."),
        ({"cpus": []}, "cpus= names at least one worker; None allows all of them."),
        ({"cpus": {-1}}, "a worker of cpus= is from 0 to 1023, got -1."),
        ({"cpus": {1024}}, "a worker of cpus= is from 0 to 1023, got 1024."),
    ],
)
def test_impossible_context_is_refused_with_what_is_allowed(options, message):
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        context(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": 3}, "name= is text, got 3."),
        ({"refills": 2.0}, "refills= is a whole number, got 2.0."),
        ({"cpus": 3}, "cpus= is a set of worker numbers or None, got 3."),
        ({"cpus": "01"}, "cpus= is a set of worker numbers or None, got '01'."),
        ({"cpus": {0.5}}, "a worker of cpus= is a whole number, got 0.5."),
        ({"on_depletion": 3}, "on_depletion= is callable or None, got 3."),
    ],
)
def test_argument_of_a_wrong_kind_is_refused(options, message):
    with pytest.raises(TypeError) as caught:
        context(**options)
    assert str(caught.value) == message


# Groups.


def test_group_keeps_what_it_was_given():
    group = fo.Group("ai", weight=512, latency="batch")
    assert (group.name, group.weight, group.latency) == ("ai", 512, "batch")
    plain = fo.Group("plain")
    assert (plain.weight, plain.latency) == (1024, "normal")
    assert fo.Group(name="ai", weight=np.int64(1_000_000)).weight == 1_000_000


def test_groups_compare_by_identity_and_cannot_be_changed():
    one, other = fo.Group("ai"), fo.Group("ai")
    assert one != other
    assert len({one, other}) == 2
    with pytest.raises(AttributeError):
        one.weight = 3


@pytest.mark.parametrize(
    ("name", "options", "error", "message"),
    [
        ("ai", {"weight": 0}, ValueError, "weight= is from 1 to 1000000, got 0."),
        ("ai", {"weight": 1_000_001}, ValueError, "weight= is from 1 to 1000000, got 1000001."),
        ("ai", {"weight": 1.5}, TypeError, "weight= is a whole number, got 1.5."),
        (
            "ai",
            {"latency": "soon"},
            ValueError,
            'latency= is one of "interactive", "normal", "batch", got \'soon\'.',
        ),
        (3, {}, TypeError, "the name of a group is text, got 3."),
        ("", {}, ValueError, "the name of a group is not empty and has no null character, got ''."),
    ],
)
def test_impossible_group_is_refused(name, options, error, message):
    with pytest.raises(error) as caught:
        fo.Group(name, **options)
    assert str(caught.value) == message


def test_notice_of_depletion_says_whose_it_is():
    audio = context(name="audio")
    notice = fo.Depletion(audio, count=2, first=0.5, last=0.75, amount=1e-3)
    assert notice.context is audio
    assert (notice.count, notice.first, notice.last, notice.amount) == (2, 0.5, 0.75, 1e-3)


# Refills.


def test_ring_gives_back_one_period_after_the_use():
    ring = fo.policy.RefillRing(budget=4, period=10)
    ring.charge(1)
    ring.unblock(5)
    ring.charge(2)
    assert ring.refills == [(7, 1), (10, 1), (15, 2)]
    assert [ring.available(now) for now in (6, 7, 9, 14)] == [0, 1, 2, 4]
    assert (ring.ready(6), ring.ready(7), ring.ready_at) == (False, True, 7)


def test_ring_tells_what_it_was_made_with():
    ring = fo.policy.RefillRing(budget=4, period=10, capacity=3, minimum=2, start=5)
    assert (ring.budget, ring.period, ring.capacity, ring.minimum) == (4, 10, 3, 2)
    assert repr(ring) == "<RefillRing of 4 in 10: [(5, 4)]>"


def test_ring_shut_out_by_its_debt_is_never_ready():
    ring = fo.policy.RefillRing(budget=1, period=LONGEST)
    ring.charge(LATEST)
    assert ring.ready_at is None
    assert not ring.ready(LATEST)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({}, TypeError, "a RefillRing needs budget= and period="),
        ({"budget": 4}, TypeError, "a RefillRing needs budget= and period="),
        ({"budget": 11, "period": 10}, ValueError, "budget (at most the period) is from 1 to 10"),
        ({"budget": 0, "period": 10}, ValueError, "budget (at most the period) is from 1 to 10"),
        ({"budget": 4, "period": 0}, ValueError, f"period is from 1 to {LONGEST}, got 0"),
        ({"budget": 4, "period": LONGEST + 1}, ValueError, f"period is from 1 to {LONGEST}, got"),
        ({"budget": 4, "period": 2**70}, ValueError, f"period is from 1 to {LONGEST}, got"),
        ({"budget": 4, "period": 10, "capacity": 1}, ValueError, "capacity is from 2 to 64, got 1"),
        ({"budget": 4, "period": 10, "capacity": 65}, ValueError, "capacity is from 2 to 64, got"),
        ({"budget": 4, "period": 10, "minimum": 5}, ValueError, "minimum (at most the budget) is"),
        ({"budget": 4, "period": 10, "start": -1}, ValueError, f"start is from 0 to {LATEST}, got"),
        ({"budget": 4.0, "period": 10}, TypeError, "budget (at most the period) is a whole number"),
        ({"budget": True, "period": 10}, TypeError, "budget (at most the period) is a whole num"),
        ({"budget": 4, "period": "10"}, TypeError, "period is a whole number, got '10'"),
    ],
)
def test_impossible_ring_is_refused(options, error, message):
    with pytest.raises(error) as caught:
        fo.policy.RefillRing(**options)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("method", ["charge", "unblock", "ready", "available"])
@pytest.mark.parametrize(
    ("value", "error"), [(-1, ValueError), (LATEST + 1, ValueError), (1.5, TypeError)]
)
def test_ring_refuses_times_out_of_bounds_and_stays_as_it_is(method, value, error):
    ring = fo.policy.RefillRing(budget=4, period=10)
    with pytest.raises(error, match=r"is from 0 to|is a whole number"):
        getattr(ring, method)(value)
    assert ring.refills == [(0, 4)]


def test_ring_takes_numbers_of_numpy():
    ring = fo.policy.RefillRing(budget=np.int64(4), period=np.uint8(10))
    ring.charge(np.int32(1))
    assert ring.refills == [(1, 3), (10, 1)]


# Servers.


def test_hard_server_waits_for_its_next_period_and_pays_its_debt():
    server = fo.policy.CbsServer(budget=4, period=10)
    assert server.wake(3)
    assert (server.budget, server.deadline, server.throttled_until) == (4, 13, 0)
    assert not server.charge(3, now=6)
    assert server.charge(2, 8)
    assert (server.budget, server.throttled_until) == (-1, 13)
    assert (server.ready(12), server.wake(12), server.unblock(12)) == (False, False, False)
    assert server.wake(13)
    assert (server.budget, server.deadline) == (3, 23)


def test_soft_server_goes_on_with_a_later_deadline():
    server = fo.policy.CbsServer(budget=4, period=10, hard=False)
    server.wake(0)
    assert server.charge(5, 5)
    assert (server.budget, server.deadline, server.ready(5)) == (3, 20, True)


def test_constrained_server_cuts_its_budget_to_its_share():
    server = fo.policy.CbsServer(budget=4, period=20, deadline=10)
    server.wake(0)
    server.charge(1, 1)
    assert server.wake(6)
    assert (server.budget, server.deadline) == (1, 10)


def test_server_tells_what_it_was_made_with():
    server = fo.policy.CbsServer(budget=4, period=20, deadline=10, hard=False)
    assert (server.full_budget, server.period, server.relative_deadline) == (4, 20, 10)
    assert server.hard is False
    assert repr(server) == "<soft CbsServer of 4 in 20: 4 left, deadline 0>"


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({}, TypeError, "a CbsServer needs budget= and period="),
        ({"budget": 11, "period": 10}, ValueError, "budget (at most the period) is from 1 to 10"),
        (
            {"budget": 4, "period": 10, "deadline": 3},
            ValueError,
            "deadline (from the budget to the period) is from 4 to 10, got 3",
        ),
        ({"budget": 4, "period": 10, "deadline": 11}, ValueError, "deadline (from the budget to"),
        ({"budget": 4, "period": 10, "hard": 1}, TypeError, "hard is True or False, got 1"),
        ({"budget": 4, "period": None}, TypeError, "period is a whole number, got None"),
    ],
)
def test_impossible_server_is_refused(options, error, message):
    with pytest.raises(error) as caught:
        fo.policy.CbsServer(**options)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("method", ["wake", "unblock", "ready"])
@pytest.mark.parametrize(
    ("value", "error"), [(-1, ValueError), (LATEST + 1, ValueError), (1.5, TypeError)]
)
def test_server_refuses_times_out_of_bounds(method, value, error):
    server = fo.policy.CbsServer(budget=4, period=10)
    with pytest.raises(error, match=r"^now is"):
        getattr(server, method)(value)
    with pytest.raises(error, match=r"^now is"):
        server.charge(1, value)
    with pytest.raises(error, match=r"^used is"):
        server.charge(value, 1)
    assert server.budget == 4


def test_structures_are_made_by_their_constructors_alone():
    for made in fo.policy.RefillRing, fo.policy.CbsServer:
        with pytest.raises(TypeError):
            made(4, 10)
        with pytest.raises(TypeError):
            type("Sub", (made,), {})
        with pytest.raises(TypeError):
            made.budget = 3
