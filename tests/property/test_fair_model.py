"""The fair queue against its rules in exact fractions, and its bounds by property."""

import pytest
from fair_model import FairModel
from foliot.policy import FairQueue
from hypothesis import given
from hypothesis import strategies as st

IDS = st.integers(0, 7)
WEIGHTS = st.one_of(
    st.sampled_from([1, 2, 3, 7, 110, 335, 1021, 1024, 3121, 88761, 2**20]), st.integers(1, 5000)
)
TIMES = st.one_of(st.integers(0, 12), st.integers(0, 10**6))
REQUESTS = st.one_of(st.none(), st.integers(1, 20), st.integers(1, 10**6))
STEPS = st.one_of(
    st.tuples(st.just("join"), IDS, WEIGHTS, REQUESTS),
    st.tuples(st.just("run"), TIMES),
    st.tuples(st.just("run"), TIMES),
    st.tuples(st.just("pick")),
    st.tuples(st.just("leave"), IDS),
    st.tuples(st.just("forget"), IDS),
    st.tuples(st.just("reweight"), IDS, WEIGHTS),
)
# Few runnables of like weights that run, sleep and wake in short turns: most rules meet here.
BUSY_IDS = st.integers(0, 3)
BUSY_STEPS = st.one_of(
    st.tuples(st.just("run"), st.integers(1, 9)),
    st.tuples(
        st.just("join"), BUSY_IDS, st.sampled_from([1024, 1024, 700]), st.sampled_from([1, 5, 20])
    ),
    st.tuples(st.just("leave"), BUSY_IDS),
)


def close(value, exact):
    return value == pytest.approx(float(exact), rel=1e-12, abs=1e-9)


def compare(queue, model):
    assert len(queue) == sum(model.is_in(name) for name in model.known)
    assert close(queue.virtual_time, model.virtual_time())
    for name in range(8):
        assert (name in queue) == model.is_in(name)
        if name in model.known:
            assert close(queue.lag(name), model.lag(name))
        else:
            with pytest.raises(KeyError):
                queue.lag(name)


def run_one(queue, model, now, ran):
    chosen = queue.pick(now=now)
    assert chosen == model.pick()
    if chosen is not None:
        queue.account(chosen, ran, now=now)
        model.account(chosen, ran)


def take(queue, model, now, step):
    kind, *values = step
    match kind:
        case "pick":
            assert queue.pick(now=now) == model.pick()
        case "run":
            run_one(queue, model, now, *values)
        case "join":
            name, weight, request = values
            if not model.is_in(name):
                queue.join(name, weight=weight, now=now, request=request)
                model.join(name, weight, request)
        case "leave":
            if model.is_in(values[0]):
                queue.leave(values[0], now=now)
                model.leave(values[0])
        case _:
            if values[0] in model.known:
                getattr(queue, kind)(values[0], *values[1:], now=now)
                getattr(model, kind)(*values)


@given(
    slice_=st.integers(1, 20),
    tick=st.integers(0, 5),
    textbook=st.booleans(),
    steps=st.one_of(st.lists(STEPS, max_size=60), st.lists(BUSY_STEPS, min_size=40, max_size=120)),
)
def test_every_answer_is_that_of_the_rules(slice_, tick, textbook, steps):
    mode = "textbook" if textbook else "linux"
    queue = FairQueue(slice_, tick=tick, mode=mode)
    model = FairModel(slice_, tick=tick, textbook=textbook)
    for now, step in enumerate(steps):
        take(queue, model, now, step)
        compare(queue, model)


@given(
    slice_=st.integers(1, 10),
    textbook=st.booleans(),
    powers=st.lists(st.integers(0, 20), min_size=1, max_size=8),
    runs=st.lists(st.integers(0, 12), max_size=100),
)
def test_nothing_is_rounded_while_weights_are_powers_of_two(slice_, textbook, powers, runs):
    queue = FairQueue(slice_ * 2, mode="textbook" if textbook else "linux")
    model = FairModel(slice_ * 2, textbook=textbook, unit=None)
    for name, power in enumerate(powers):
        queue.join(name, weight=2**power, now=0)
        model.join(name, 2**power)
    for now, ran in enumerate(runs):
        run_one(queue, model, now, ran)
        assert all(close(queue.lag(name), model.lag(name)) for name in model.known)


def remaining(model, name):
    """Time until the request of one is served."""
    one = model.known[name]
    return (one.vd - one.v) * one.weight


@given(
    quantum=st.integers(1, 6),
    clients=st.lists(
        st.tuples(st.integers(0, 60), st.integers(1, 9), st.integers(1, 12)),
        min_size=1,
        max_size=10,
    ),
    rounds=st.integers(1, 150),
)
def test_owed_service_stays_within_the_bound_of_the_theory(quantum, clients, rounds):
    queue = FairQueue(1, mode="textbook", quantum=quantum)
    model = FairModel(1, textbook=True, unit=None)
    now = 0
    longest = max(request for _, _, request in clients)
    waiting = sorted((when, name) for name, (when, _, _) in enumerate(clients))
    for _ in range(rounds):
        while waiting and waiting[0][0] <= now:
            _, name = waiting.pop(0)
            _, weight, request = clients[name]
            queue.join(name, weight=weight, request=request, now=now)
            model.join(name, weight, request)
        chosen = queue.pick(now=now)
        if chosen is None:
            now += 1
            continue
        model.current = chosen
        # A quantum ends with the request. What is cut from a deadline is less than any time.
        ran = min(quantum, max(1, round(remaining(model, chosen))))
        now += ran
        queue.account(chosen, ran, now=now)
        model.account(chosen, ran)
        for name, one in model.known.items():
            owed = one.weight * queue.lag(name)
            assert -longest - 1e-4 < owed < max(longest, quantum) + 1e-4


@given(
    mode=st.sampled_from(["linux", "textbook"]),
    slice_=st.integers(1, 10),
    weights=st.lists(st.integers(1, 3000), min_size=2, max_size=12),
    part=st.integers(1, 10),
)
def test_hogs_get_their_shares_up_to_a_request_and_a_chunk(mode, slice_, weights, part):
    chunk = min(part, slice_)
    queue = FairQueue(slice_, mode=mode)
    had = dict.fromkeys(range(len(weights)), 0)
    for name, weight in enumerate(weights):
        queue.join(name, weight=weight, now=0)
    now = 0
    for _ in range(100):
        chosen = queue.pick(now=now)
        now += chunk
        queue.account(chosen, chunk, now=now)
        had[chosen] += chunk
        for name, weight in enumerate(weights):
            off = had[name] * sum(weights) - weight * now
            assert abs(off) <= (slice_ + chunk) * sum(weights)


@given(
    weights=st.lists(st.integers(300, 3000), min_size=2, max_size=6),
    sleepers=st.lists(st.tuples(st.integers(1, 3), st.integers(2, 20)), max_size=6),
)
def test_short_sleepers_leave_the_hogs_their_shares_of_the_rest(weights, sleepers):
    slice_ = 4
    queue = FairQueue(slice_, tick=1)
    had = dict.fromkeys(range(len(weights)), 0)
    left = {}
    for name, weight in enumerate(weights):
        queue.join(name, weight=weight, now=0)
    for now in range(1500):
        for number, (work, period) in enumerate(sleepers):
            name = 100 + number
            if now % period == 0 and name not in queue:
                queue.join(name, weight=1024, request=work, now=now)
                left[name] = work
        chosen = queue.pick(now=now)
        queue.account(chosen, 1, now=now + 1)
        if chosen in had:
            had[chosen] += 1
            continue
        left[chosen] -= 1
        if left[chosen] == 0:
            queue.leave(chosen, now=now + 1)
    total = sum(had.values())
    for name, weight in enumerate(weights):
        off = had[name] * sum(weights) - weight * total
        assert abs(off) <= 2 * (slice_ + 1) * sum(weights)
