"""fo.policy.FairQueue by hand: the textbook's example, ids of every kind, and bad input."""

import re

import pytest
from foliot import _core
from foliot.policy import FairQueue
from hypothesis import given
from hypothesis import strategies as st


@pytest.fixture
def queue():
    return FairQueue(slice=4)


def test_the_textbooks_two_clients_take_turns_in_its_order():
    queue = FairQueue(slice=1, mode="textbook", quantum=1)
    order = []
    queue.join(1, weight=2, request=2, now=0)
    for now in range(9):
        if now == 1:
            queue.join(2, weight=2, request=1, now=1)
        order.append(queue.pick(now))
        queue.account(order[-1], 1, now)
    assert order == [1, 2, 1, 2, 1, 2, 1, 2, 1]


def test_virtual_time_of_the_textbook_grows_by_the_quantum_over_the_weights():
    queue = FairQueue(slice=2, mode="textbook")
    queue.join(1, weight=2, now=0)
    queue.account(queue.pick(now=0), 1, now=1)
    queue.join(2, weight=2, now=1)
    queue.account(queue.pick(now=1), 1, now=2)
    assert queue.virtual_time == 0.75


def test_who_leaves_the_textbooks_queue_shares_its_lag_among_the_others():
    queue = FairQueue(slice=4, mode="textbook")
    for name in (1, 2, 3):
        queue.join(name, weight=1, now=0)
    queue.account(queue.pick(now=0), 3, now=3)
    assert [queue.lag(name) for name in (1, 2, 3)] == [-2, 1, 1]
    queue.leave(3, now=3)
    assert [queue.lag(name) for name in (1, 2)] == [-1.5, 1.5]
    assert 3 not in queue


def test_nobody_is_picked_when_all_have_left(queue):
    assert queue.pick(now=0) is None
    queue.join(5, weight=1024, now=0)
    assert queue.pick(now=0) == 5
    queue.leave(5, now=1)
    assert queue.pick(now=1) is None
    assert len(queue) == 0
    assert 5 not in queue


def test_ties_go_to_the_lower_id_whoever_came_first(queue):
    for name in (900, 2**63 - 1, 7, 10**12):
        queue.join(name, weight=1024, now=0)
    assert queue.pick(now=0) == 7


def test_a_queue_grows_to_thousands_of_any_ids(queue):
    names = [number * 982451653 for number in range(3000)]
    for name in names:
        queue.join(name, weight=1024, now=0)
    assert len(queue) == 3000
    assert all(name in queue for name in names)
    picked = set()
    for now in range(3000):
        chosen = queue.pick(now=now)
        queue.account(chosen, 1, now=now)
        picked.add(chosen)
    assert picked == set(names)


def test_an_id_that_was_forgotten_starts_afresh(queue):
    queue.join(1, weight=1024, now=0)
    queue.join(2, weight=1024, now=0)
    queue.account(queue.pick(now=0), 3, now=3)
    queue.forget(2, now=3)
    with pytest.raises(KeyError, match="2 has not joined"):
        queue.lag(2)
    queue.join(2, weight=1024, now=3)
    assert queue.lag(2) == 0


def test_lag_is_kept_while_away_and_scaled_by_another_weight(queue):
    for name in (1, 2, 3):
        queue.join(name, weight=1024, now=0)
    queue.account(queue.pick(now=0), 3, now=3)
    queue.leave(2, now=3)
    assert queue.lag(2) == 1
    queue.join(2, weight=512, now=4)
    assert queue.lag(2) == pytest.approx(2, abs=0.01)


def test_a_shorter_request_does_not_wait_for_a_long_slice():
    queue = FairQueue(slice=100)
    queue.join(1, weight=1024, now=0)
    queue.join(2, weight=1024, now=0)
    queue.account(queue.pick(now=0), 50, now=50)
    assert queue.pick(now=50) == 2
    queue.join(3, weight=1024, request=5, now=50)
    queue.account(2, 5, now=55)
    assert queue.pick(now=55) == 3


def test_anything_may_be_looked_for(queue):
    queue.join(0, weight=1, now=0)
    assert 0 in queue
    assert all(other not in queue for other in (1, -1, 2**70, "0", None, 0.0))


def test_bad_arguments_of_a_queue_are_named():
    for arguments, error, text in [
        ({"slice": 0}, ValueError, "slice is from 1 to 274877906944, got 0"),
        ({"slice": 2**70}, ValueError, "slice is from 1"),
        ({"slice": 1.5}, TypeError, "slice is an integer, got 1.5"),
        ({"slice": 1, "tick": -1}, ValueError, "tick is from 0"),
        ({"slice": 1, "mode": "cfs"}, ValueError, 'mode is "linux" or "textbook", got \'cfs\''),
        ({"slice": 1, "mode": 3}, TypeError, 'mode is "linux" or "textbook", got 3'),
        ({"slice": 1, "quantum": 1}, ValueError, 'quantum is for mode="textbook"'),
        ({"slice": 1, "quantum": 0, "mode": "textbook"}, ValueError, "quantum is from 1"),
    ]:
        with pytest.raises(error, match=re.escape(text)):
            FairQueue(**arguments)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda q: q.join(2, weight=0, now=0), ValueError, "weight is from 1 to 1048576, got 0"),
        (lambda q: q.join(2, weight=-5, now=0), ValueError, "weight is from 1"),
        (lambda q: q.join(2, weight=2**21, now=0), ValueError, "weight is from 1"),
        (lambda q: q.join(2, weight=1.0, now=0), TypeError, "weight is an integer, got 1.0"),
        (lambda q: q.join(2, weight=1, now=0, request=0), ValueError, "request is from 1"),
        (lambda q: q.join(-1, weight=1, now=0), ValueError, "an id is from 0"),
        (lambda q: q.join("a", weight=1, now=0), TypeError, "an id is an integer, got 'a'"),
        (lambda q: q.join(1, weight=1, now=0), ValueError, "1 has joined this fair queue already"),
        (lambda q: q.join(2, weight=1, now=-1), ValueError, "time goes back: now is -1, and was 0"),
        (lambda q: q.join(2, weight=1, now=2**63), ValueError, "now is from"),
        (lambda q: q.leave(2, now=0), KeyError, "2 has not joined this fair queue"),
        (lambda q: q.leave(1, now=-1), ValueError, "time goes back"),
        (lambda q: q.forget(2, now=0), KeyError, "2 has not joined"),
        (lambda q: q.reweight(2, weight=1, now=0), KeyError, "2 has not joined"),
        (lambda q: q.reweight(1, weight=0, now=0), ValueError, "weight is from 1"),
        (lambda q: q.account(2, 1, now=0), KeyError, "2 has not joined"),
        (lambda q: q.account(1, -1, now=0), ValueError, "ran is from 0 to 274877906944, got -1"),
        (lambda q: q.account(1, 2**39, now=0), ValueError, "ran is from 0"),
        (lambda q: q.account(1, 1, now=-1), ValueError, "time goes back"),
        (lambda q: q.pick(now=-1), ValueError, "time goes back"),
        (lambda q: q.pick(now=None), TypeError, "now is an integer, got None"),
        (lambda q: q.lag(9), KeyError, "9 has not joined"),
    ],
)
def test_bad_arguments_of_a_call_are_named_and_change_nothing(queue, call, error, text):
    queue.join(1, weight=1024, now=0)
    with pytest.raises(error, match=re.escape(text)):
        call(queue)
    assert len(queue) == 1
    assert queue.lag(1) == 0
    assert queue.pick(now=0) == 1


def test_who_has_left_cannot_leave_or_be_charged(queue):
    queue.join(1, weight=1024, now=0)
    queue.leave(1, now=0)
    with pytest.raises(KeyError, match="1 has left this fair queue"):
        queue.leave(1, now=0)
    with pytest.raises(KeyError, match="1 has left this fair queue"):
        queue.account(1, 1, now=0)


def test_no_more_than_the_quantum_is_charged():
    queue = FairQueue(slice=4, mode="textbook", quantum=2)
    queue.join(1, weight=1, now=0)
    with pytest.raises(ValueError, match=r"ran, with this quantum, is from 0 to 2, got 3"):
        queue.account(1, 3, now=3)


def test_virtual_times_that_would_spread_too_far_are_refused(queue):
    queue.join(1, weight=1, now=0)
    queue.join(2, weight=2**20, now=0)
    for now in range(8):
        queue.account(1, 2**38, now=now)
    before = queue.lag(1)
    with pytest.raises(OverflowError, match=re.escape("more than 2**61 virtual units apart")):
        queue.account(1, 2**38, now=8)
    assert queue.lag(1) == before


def test_refused_memory_leaves_a_queue_as_it_was():
    for nth in range(1, 12):
        _core.fail_nth_allocation(nth)
        try:
            queue = FairQueue(slice=4)
            for name in range(20):
                queue.join(name, weight=1024, now=0)
        except MemoryError:
            _core.fail_nth_allocation(0)
            continue
        assert _core.allocation_failure_is_armed()
        _core.fail_nth_allocation(0)
        return
    pytest.fail("every allocation failed")


def test_a_join_that_found_no_memory_may_be_made_again(queue):
    for name in range(8):
        queue.join(name, weight=1024, now=0)
    _core.fail_nth_allocation(1)
    with pytest.raises(MemoryError):
        queue.join(8, weight=1024, now=0)
    assert len(queue) == 8
    assert 8 not in queue
    queue.join(8, weight=1024, now=0)
    assert len(queue) == 9


ANYTHING = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3), st.just([])
)


@given(
    calls=st.lists(
        st.tuples(
            st.sampled_from(["join", "leave", "forget", "reweight", "pick", "account", "lag"]),
            st.lists(st.one_of(st.integers(0, 3), ANYTHING), max_size=4),
        ),
        max_size=10,
    )
)
def test_any_call_answers_or_says_what_was_wrong(calls):
    queue = FairQueue(slice=4)
    errors = []
    for name, arguments in calls:
        try:
            getattr(queue, name)(*arguments)
        except (TypeError, ValueError, KeyError, OverflowError) as error:
            errors.append(str(error))
    assert all(errors)
    assert 0 <= len(queue) <= 4 + len(calls)
