"""Refills and constant bandwidth servers against exact models, and every window of use to a bound.

The models are written from the rules alone: refills as a plain list and step by step, servers in
fractions. Windows are all of them: from the beginning of every use to the end of every later one,
for a window that sees the most for its length begins and ends with use.
"""

import math
from fractions import Fraction
from itertools import pairwise

import foliot as fo
from hypothesis import assume, given
from hypothesis import strategies as st

times = st.integers(0, 120)
wild = st.none() | st.booleans() | st.floats() | st.text(max_size=2) | st.integers()


@st.composite
def budgets(draw):
    """A budget and a period that it fits into."""
    period = draw(st.integers(1, 40))
    return draw(st.integers(1, period)), period


class RefillModel:
    """The rules of sporadic refills, one step at a time."""

    def __init__(self, budget, period, capacity, minimum):
        self.period, self.capacity, self.minimum = period, capacity, minimum
        self.refills = [[0, budget]]

    def schedule(self, time, amount):
        tail = self.refills[-1]
        if sum(tail) >= time:
            tail[1] += amount
        elif len(self.refills) < self.capacity:
            self.refills.append([time, amount])
        else:
            self.refills[-1] = [time - tail[1], tail[1] + amount]

    def charge(self, used):
        while self.refills[0][1] <= used:
            used -= self.refills[0][1]
            if len(self.refills) == 1:
                self.refills[0][0] += self.period
            else:
                time, amount = self.refills.pop(0)
                self.schedule(time + self.period, amount)
        if used:
            self.schedule(self.refills[0][0] + self.period, used)
            self.refills[0][1] -= used
            self.refills[0][0] += used
        while self.refills[0][1] < self.minimum:
            _, amount = self.refills.pop(0)
            self.refills[0][1] += amount
            self.refills[0][0] -= amount

    def unblock(self, now):
        if self.refills[0][0] > now:
            return
        self.refills[0][0] = now
        while len(self.refills) > 1 and self.refills[1][0] <= sum(self.refills[0]):
            self.refills[0][1] += self.refills.pop(1)[1]


def check_ring(ring, model):
    """The ring is the model, and what its header says of it holds."""
    refills = ring.refills
    assert refills == [tuple(pair) for pair in model.refills]
    assert sum(amount for _, amount in refills) == ring.budget
    assert all(time + amount <= later for (time, amount), (later, _) in pairwise(refills))
    assert all(amount >= 1 for _, amount in refills)
    assert refills[0][1] >= ring.minimum
    assert len(refills) <= ring.capacity


@st.composite
def rings(draw):
    budget, period = draw(budgets())
    capacity = draw(st.integers(2, 8))
    minimum = draw(st.integers(0, budget))
    ring = fo.policy.RefillRing(budget=budget, period=period, capacity=capacity, minimum=minimum)
    return ring, RefillModel(budget, period, capacity, minimum)


@given(
    rings(),
    st.lists(
        st.tuples(st.just("charge"), st.integers(0, 60) | st.integers(0, 5000))
        | st.tuples(st.just("unblock"), times),
        max_size=60,
    ),
)
def test_ring_is_what_the_rules_make_of_any_calls(pair, calls):
    ring, model = pair
    now = 0
    for call, number in calls:
        if call == "charge":
            ring.charge(number)
            model.charge(number)
        else:
            now += number
            ring.unblock(now)
            model.unblock(now)
        check_ring(ring, model)
        assert ring.ready(now) == (model.refills[0][0] <= now)
        assert ring.ready_at == model.refills[0][0]


@given(rings(), st.lists(st.tuples(st.integers(1, 60), times), max_size=20))
def test_what_is_available_is_what_unblock_joins(pair, runs):
    ring, _ = pair
    now = 0
    for used, pause in runs:
        available = ring.available(now)
        ring.unblock(now)
        assert available == (ring.refills[0][1] if ring.ready(now) else 0)
        ring.charge(used)
        now += pause


def widest(uses, bound):
    """How far use in any window is above the bound: the most of all windows."""
    worst = -math.inf
    for first, (begin, _) in enumerate(uses):
        total = 0
        for start, used in uses[first:]:
            total += used
            worst = max(worst, total - bound(start + used - begin))
    return worst


@given(
    rings(),
    st.integers(0, 20),
    st.lists(
        st.tuples(st.booleans(), times, st.lists(st.integers(1, 40), min_size=1, max_size=4)),
        min_size=1,
        max_size=25,
    ),
)
def test_no_window_sees_more_than_a_sporadic_servers_use_and_one_overrun(pair, excess, steps):
    ring, _ = pair
    budget, period = ring.budget, ring.period
    now, uses = 0, []
    for is_hasty, pause, chunks in steps:
        now = max(now + (0 if is_hasty else pause), ring.ready_at)
        left = ring.available(now) + excess
        ring.unblock(now)
        for chunk in chunks:
            used = min(chunk, left)
            if used > 0:
                uses.append((now, used))
                ring.charge(used)
            now += used
            left -= used

    def bound(window):
        return window // period * budget + min(window % period, budget)

    assert widest(uses, bound) <= excess


@given(rings(), st.integers(0, 2**61), st.lists(st.integers(0, 2**61), max_size=6))
def test_any_debt_keeps_the_sum_and_never_brings_a_refill_closer(pair, now, charges):
    ring, _ = pair
    ring.unblock(now)
    for used in charges:
        before = ring.refills[0][0]
        ring.charge(used)
        assert sum(amount for _, amount in ring.refills) == ring.budget
        assert ring.refills[0][0] >= before


class ServerModel:
    """The rules of a constant bandwidth server, with its bandwidth as a fraction."""

    def __init__(self, budget, period, deadline, hard):
        self.full, self.period, self.relative, self.hard = budget, period, deadline, hard
        self.share = Fraction(budget, deadline)
        self.budget, self.deadline, self.until = budget, None, 0

    def refill(self, now):
        while self.budget <= 0:
            self.budget += self.full
            self.deadline += self.period
        if self.deadline <= now:
            self.deadline = now + self.relative

    def use_up(self, now):
        if not self.hard:
            self.refill(now)
            return
        if self.deadline - self.relative + self.period <= now:
            self.budget += self.full
            self.deadline += self.period
            if self.deadline <= now:
                self.deadline = now + self.relative
        if self.budget <= 0:
            budget, self.until = self.budget, self.deadline - self.relative
            while budget <= 0:
                budget += self.full
                self.until += self.period

    def unblock(self, now):
        if self.budget <= 0 and self.until <= now:
            self.refill(now)
        return self.budget > 0

    def wake(self, now):
        if self.deadline is not None and not self.unblock(now):
            return False
        if self.deadline is None or self.deadline <= now:
            is_early = self.deadline is not None and (
                self.deadline - self.relative + self.period > now
            )
            if is_early:
                self.budget = 0
                self.use_up(now)
            else:
                self.budget, self.deadline = self.full, now + self.relative
        elif Fraction(self.budget, self.deadline - now) > self.share:
            if self.relative == self.period:
                self.budget, self.deadline = self.full, now + self.relative
            else:
                self.budget = math.floor((self.deadline - now) * self.share)
                if self.budget == 0:
                    self.use_up(now)
        return self.budget > 0

    def charge(self, used, now):
        had_budget = self.budget > 0
        self.budget -= used
        if self.budget > 0:
            return False
        self.use_up(now)
        return had_budget


@st.composite
def servers(draw, hard=None):
    budget, period = draw(budgets())
    deadline = draw(st.none() | st.integers(budget, period))
    hard = draw(st.booleans()) if hard is None else hard
    server = fo.policy.CbsServer(budget=budget, period=period, deadline=deadline, hard=hard)
    return server, ServerModel(budget, period, deadline or period, hard)


@given(
    servers(),
    times,
    st.lists(st.tuples(st.sampled_from(["wake", "unblock", "charge"]), times, times), max_size=60),
)
def test_server_is_what_the_rules_make_of_any_calls(pair, now, calls):
    server, model = pair
    assert server.wake(now) == model.wake(now)
    for call, pause, used in calls:
        now += pause
        before = server.deadline
        if call == "charge":
            assert server.charge(used, now) == model.charge(used, now)
        else:
            assert getattr(server, call)(now) == getattr(model, call)(now)
        assert (server.budget, server.deadline) == (model.budget, model.deadline)
        assert server.throttled_until == model.until
        assert server.ready(now) == (model.budget > 0)
        assert server.deadline >= before


@given(
    servers(hard=True),
    st.integers(0, 20),
    st.lists(
        st.tuples(st.sampled_from(["wake", "unblock", "deadline"]), times, st.integers(1, 60)),
        min_size=1,
        max_size=25,
    ),
)
def test_no_window_sees_more_than_a_hard_servers_bandwidth_and_one_overrun(pair, excess, steps):
    server, model = pair
    now, uses = 0, []
    server.wake(0)
    for how, pause, used in steps:
        now = max(now, server.deadline) if how == "deadline" else now + pause
        may_run = server.unblock(now) if how == "unblock" else server.wake(now)
        if not may_run:
            now = server.throttled_until
            server.unblock(now)
        run = min(used, server.budget + excess)
        uses.append((now, run))
        now += run
        server.charge(run, now)

    def bound(window):
        bandwidth = Fraction(model.full, model.period)
        return 3 * model.full + (window - 2 * model.full) * bandwidth

    assert widest(uses, bound) <= excess


# What users write.


@given(
    st.floats() | st.integers(0, 10**12),
    st.floats() | st.integers(0, 10**12),
    st.none() | st.floats(),
)
def test_any_times_make_a_context_whose_nanoseconds_fit_or_a_named_error(budget, period, deadline):
    try:
        context = fo.SchedulingContext(budget=budget, period=period, deadline=deadline)
    except ValueError as error:
        assert str(error).startswith(("budget=", "period=", "deadline="))  # noqa: PT017
        return
    assert 1 <= context.budget_ns <= context.deadline_ns <= context.period_ns <= 2**60
    assert context.period_ns <= Fraction(repr(context.period)) * 10**9
    exact = Fraction(repr(context.budget)) * 10**9
    assert context.budget_ns == min(math.ceil(exact), context.deadline_ns)


@given(st.floats(1e-6, 1e6), st.floats(0.01, 1.0))
def test_nanoseconds_ask_for_no_less_than_was_written(period, part):
    budget = period * part
    assume(budget <= period)
    context = fo.SchedulingContext(budget=budget, period=period)
    share = Fraction(repr(budget)) / Fraction(repr(period))
    assert context.budget_ns == context.period_ns or (
        Fraction(context.budget_ns, context.period_ns) >= share
    )


@given(wild, wild, wild, wild)
def test_anything_else_is_refused_by_name(budget, period, third, fourth):
    makers = [
        lambda: fo.policy.RefillRing(budget=budget, period=period, capacity=third, minimum=fourth),
        lambda: fo.policy.CbsServer(budget=budget, period=period, deadline=third, hard=fourth),
        lambda: fo.SchedulingContext(budget=budget, period=period, overrun=third, cpus=fourth),
        lambda: fo.SchedulingContext(budget=1.0, period=2.0, name=budget, refills=period),
        lambda: fo.Group(budget, weight=period, latency=third),
    ]
    for make in makers:
        try:
            make()
        except (TypeError, ValueError) as error:
            assert " is " in str(error) or " names " in str(error)  # noqa: PT017


@given(rings(), servers(), st.sampled_from(["charge", "unblock", "ready", "available"]), wild)
def test_calls_with_anything_else_change_nothing(pair, served, method, value):
    ring, server = pair[0], served[0]
    before = ring.refills
    try:
        getattr(ring, method)(value)
    except (TypeError, ValueError):
        assert ring.refills == before
    deadline = server.deadline
    try:
        server.charge(1, value)
    except (TypeError, ValueError):
        assert (server.deadline, server.budget) == (deadline, server.full_budget)
