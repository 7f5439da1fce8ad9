"""Schedulability analysis: known sets, the edges of each test, witnesses, sentences, refusals."""

import dataclasses
from fractions import Fraction

import foliot as fo
import numpy as np
import pytest
from foliot import _core

LARGEST = 2**60


def make(*rows, **fields):
    """A set from rows of (wcet, period[, deadline])."""
    keys = ("wcet", "period", "deadline")
    return fo.TaskSet(
        fo.PeriodicTask(**dict(zip(keys, row, strict=False)), **fields) for row in rows
    )


# Three sets whose answers are known.


def test_known_responses_under_fixed_priorities():
    assert fo.analysis.response_times(make((1, 2), (5, 20), (1, 20))) == [1, 10, 12]


def test_known_set_that_fixed_priorities_miss_and_deadlines_meet():
    taskset = make((2, 5), (4, 7))
    verdict = fo.analysis.schedulable(taskset, test="rta")
    assert verdict.witness == {"task": "task1", "response": 8, "deadline": 7}
    assert not verdict
    assert fo.analysis.schedulable(taskset, test="edf")
    assert fo.analysis.response_times(taskset, policy="edf") == [4, 6]


def test_known_set_whose_second_job_is_the_late_one():
    # Lehoczky 1990: the first job of the second task takes 114, a later one 118.
    assert fo.analysis.response_times(make((26, 70), (62, 100, 118))) == [26, 118]


# Edges.


@pytest.mark.parametrize("test", fo.analysis.TESTS)
def test_an_empty_set_is_schedulable(test):
    verdict = fo.analysis.schedulable(fo.TaskSet(), test=test)
    assert verdict
    assert verdict.explain()
    assert fo.analysis.response_times([], "edf") == []


@pytest.mark.parametrize("policy", ["fp", "rm", "edf"])
def test_one_task_that_fills_the_cpu_takes_its_wcet(policy):
    assert fo.analysis.response_times(make((5, 5)), policy) == [5]


def test_priorities_below_the_overload_have_no_bound():
    taskset = make((2, 4), (3, 4), (1, 100))
    assert fo.analysis.response_times(taskset) == [2, None, None]
    verdict = fo.analysis.schedulable(taskset, test="rta")
    assert verdict.witness == {"task": "task1", "response": None, "deadline": 4}
    assert "more than one CPU has" in verdict.explain()


def test_no_task_of_an_overload_has_a_bound_under_deadlines():
    assert fo.analysis.response_times(make((2, 4), (3, 5)), "edf") == [None, None]


@pytest.mark.parametrize("test", fo.analysis.TESTS)
def test_every_test_refuses_an_overload_with_a_witness(test):
    verdict = fo.analysis.schedulable(make((3, 4), (2, 5)), test=test)
    assert not verdict
    assert verdict.witness
    assert verdict.explain().endswith(".")


def test_an_overload_by_one_part_in_a_hundred_digits_is_found():
    pairs = [(1, 3), (1, 7), (11, 21)]
    factor = LARGEST // 21
    exact = make(*pairs[:2], (11 * factor, 21 * factor))
    more = make(*pairs[:2], (11 * factor + 1, 21 * factor))
    assert fo.analysis.schedulable(exact)
    verdict = fo.analysis.schedulable(more)
    assert not verdict
    assert fo.analysis.demand(more, verdict.witness["t"]) == verdict.witness["demand"]
    assert verdict.witness["demand"] > verdict.witness["t"]


def test_a_job_that_may_be_ready_after_its_deadline_is_late_at_once():
    taskset = make((1, 10), jitter=10)
    assert fo.analysis.schedulable(taskset).witness == {"t": 0, "demand": 1}
    assert fo.analysis.response_times(taskset) == [11]
    assert fo.analysis.schedulable(make((1, 10), jitter=11)).witness == {"t": 0, "demand": 1}
    assert fo.analysis.schedulable(make((1, 10), jitter=9))


def test_jitter_is_a_shorter_deadline():
    assert fo.analysis.schedulable(make((2, 5), (4, 7)))
    first, second = make((2, 5), (4, 7))
    late = fo.TaskSet([dataclasses.replace(first, jitter=2), dataclasses.replace(second, jitter=2)])
    assert fo.analysis.schedulable(late).witness == {"t": 5, "demand": 6}


def test_blocking_counts_while_a_later_deadline_is_there():
    urgent = fo.PeriodicTask(wcet=2, period=10, deadline=4, blocking=3, name="urgent")
    other = fo.PeriodicTask(wcet=1, period=20, name="other")
    verdict = fo.analysis.schedulable([urgent, other])
    assert verdict.witness == {"t": 4, "demand": 2, "blocking": 3}
    assert "held back for up to 3" in verdict.explain()
    # Nobody is left who could hold it back.
    assert fo.analysis.schedulable([urgent])
    assert fo.analysis.response_times([urgent, other]) == [5, 3]


def test_a_set_that_cannot_be_decided_says_so():
    # No common multiple, hardly any time to spare, and work for years at the start.
    taskset = make(*[(2**57 - 1, LARGEST - index) for index in range(8)], jitter=LARGEST)
    for policy in ("fp", "edf"):
        with pytest.raises(ValueError, match=r"cannot be decided: .* ends after 2\*\*62"):
            fo.analysis.response_times(taskset, policy)


def test_times_of_any_unit_are_exact():
    taskset = make((2**58, 2**59 - 1), (2**57 - 2, 2**59 - 1))
    assert fo.analysis.schedulable(taskset)
    assert fo.analysis.response_times(taskset) == [2**58, 2**58 + 2**57 - 2]


# Quick accepts.


def test_liu_and_layland_is_decided_exactly():
    verdict = fo.analysis.schedulable(make((1, 2), (1, 3)), test="ll")
    assert verdict.witness["utilisation"] == Fraction(5, 6)
    assert 0.8284 < verdict.witness["bound"] < 0.8285
    assert not verdict
    # 2 (2^(1/2) - 1) from below and above, to 17 digits.
    below = Fraction(82842712474619009, 10**17)
    for part, ok in ((below, True), (below + Fraction(1, 10**17), False)):
        half = Fraction(part, 2)
        taskset = make(*[(half.numerator, half.denominator)] * 2)
        assert fo.analysis.schedulable(taskset, test="ll").ok is ok


def test_liu_and_layland_allows_one_task_the_whole_cpu():
    assert fo.analysis.schedulable(make((7, 7)), test="ll")
    assert not fo.analysis.schedulable(make((7, 6, 9)), test="ll")


def test_hyperbolic_bound_is_met_exactly():
    verdict = fo.analysis.schedulable(make((1, 3), (1, 2)), test="hyperbolic")
    assert verdict.witness == {"product": 2, "bound": 2}
    assert verdict
    assert not fo.analysis.schedulable(make((1, 3), (501, 1000)), test="hyperbolic")


def test_global_bound_is_met_exactly():
    taskset = make((1, 2), (1, 2), (1, 2))
    verdict = fo.analysis.schedulable(taskset, test="gfb", cpus=2)
    assert verdict.witness == {
        "density": Fraction(3, 2),
        "largest": Fraction(1, 2),
        "bound": Fraction(3, 2),
    }
    assert verdict
    assert not fo.analysis.schedulable(make(*[(1, 2)] * 4), test="gfb", cpus=2)


@pytest.mark.parametrize("test", ["ll", "hyperbolic", "gfb"])
@pytest.mark.parametrize("what", ["jitter", "blocking"])
def test_quick_accepts_refuse_what_they_do_not_know(test, what):
    with pytest.raises(ValueError, match=f"the test {test} knows no {what}, got {what}=2 of task"):
        fo.analysis.schedulable(make((1, 9), **{what: 2}), test=test)


# Several CPUs.


def test_partition_gives_each_task_a_cpu():
    verdict = fo.analysis.schedulable(make((3, 4), (3, 4), (1, 4)), test="partitioned", cpus=2)
    assert verdict.witness == {"assignment": [0, 1, 0]}
    assert verdict.explain() == "3 tasks fit on 2 of 2 CPUs."


def test_partition_names_the_task_that_fits_nowhere_and_each_reason():
    pinned = fo.PeriodicTask(wcet=3, period=4, cpu=1, name="pinned")
    big = fo.PeriodicTask(wcet=2, period=4, cpu=1, name="big")
    verdict = fo.analysis.schedulable([big, pinned], test="partitioned", cpus=2)
    assert verdict.witness == {
        "task": "big",
        "assignment": [None, 1],
        "cpus": [{"cpu": 0, "pinned": 1}, {"cpu": 1, "t": 4, "demand": 5}],
    }
    assert verdict.explain() == (
        "`big` does not fit on the CPU it is pinned to: CPU 1 would have 5 to do within 4."
    )


def test_a_pin_to_a_cpu_that_is_not_there_is_refused():
    task = fo.PeriodicTask(wcet=1, period=4, cpu=2, name="far")
    with pytest.raises(ValueError, match=r"cpu of task `far` is from 0 to 1 with cpus=2, got 2"):
        fo.analysis.schedulable([task], test="partitioned", cpus=2)


# Verdicts.


def test_a_verdict_is_true_when_it_accepts_and_prints_its_witness():
    verdict = fo.analysis.schedulable(make((1, 2)))
    assert verdict
    assert repr(verdict) == "Verdict(ok=True, test='edf', witness={'until': 0})"
    assert "utilisation is at most 1" in verdict.explain()
    assert "schedulable" in verdict._repr_html_()


def test_a_verdict_for_notebooks_escapes_names():
    taskset = [fo.PeriodicTask(wcet=2, period=2), fo.PeriodicTask(wcet=1, period=9, name="<b>")]
    text = fo.analysis.schedulable(taskset, test="rta")._repr_html_()
    assert "refused" in text
    assert "&lt;b&gt;" in text


# Refusals.


def test_unknown_tests_and_policies_are_refused():
    with pytest.raises(ValueError, match=r"the test is one of edf, rta, .*, got 'rm'"):
        fo.analysis.schedulable(make((1, 2)), test="rm")
    with pytest.raises(ValueError, match="is fp, rm or edf, got 'dm'"):
        fo.analysis.response_times(make((1, 2)), policy="dm")


@pytest.mark.parametrize(
    ("cpus", "error"), [(0, ValueError), (-1, ValueError), (65_537, ValueError), (1.0, TypeError)]
)
def test_cpus_out_of_range_are_refused(cpus, error):
    with pytest.raises(error, match="cpus is"):
        fo.analysis.schedulable(make((1, 2)), test="partitioned", cpus=cpus)


def test_tests_of_one_cpu_refuse_several():
    with pytest.raises(ValueError, match="the test edf is for one CPU, got cpus=2"):
        fo.analysis.schedulable(make((1, 2)), cpus=2)


@pytest.mark.parametrize("what", [3, None, "tasks", [3]])
def test_what_is_no_task_set_is_refused(what):
    with pytest.raises(TypeError, match=r"fo\.PeriodicTask, got"):
        fo.analysis.schedulable(what)


def test_more_tasks_than_an_analysis_takes_are_refused():
    taskset = make(*[(1, 10**6)] * 16_385)
    for call in (fo.analysis.schedulable, fo.analysis.response_times):
        with pytest.raises(ValueError, match="at most 16384 tasks"):
            call(taskset)


def test_demand_takes_any_moment_of_time():
    taskset = make((2, 5), jitter=1)
    assert [fo.analysis.demand(taskset, t) for t in (0, 3, 4, 9)] == [0, 0, 2, 4]
    assert fo.analysis.demand(taskset, 2**70 + 1) > 2**68
    with pytest.raises(ValueError, match="t is from 0"):
        fo.analysis.demand(taskset, -1)


@pytest.mark.parametrize("column", range(5))
def test_packed_numbers_out_of_range_are_refused(column):
    packed = fo.analysis.pack([make((1, 2)), make((1, 2), (1, 9))])
    packed.rows[2, column] = -1
    with pytest.raises(ValueError, match=r"set 1 cannot be decided: a time is out of range"):
        fo.analysis.demand_many(packed)


def test_packed_counts_that_do_not_add_up_are_refused():
    packed = fo.analysis.pack([make((1, 2), (1, 9))])
    for counts in ([1], [3], [2, 1]):
        wrong = dataclasses.replace(packed, counts=np.array(counts, dtype=np.uint32))
        with pytest.raises(ValueError, match="add up to"):
            fo.analysis.demand_many(wrong)
    with pytest.raises(ValueError, match="at most 16384 tasks, got 20000"):
        fo.analysis.demand_many(
            dataclasses.replace(packed, counts=np.array([20_000], dtype=np.uint32))
        )


def test_no_sets_at_all_are_fine():
    assert len(fo.analysis.demand_many(fo.analysis.pack([]))) == 0


def test_buffers_of_other_sizes_are_refused():
    calls = (
        lambda: _core.analysis_utilisation(b"123"),
        lambda: _core.analysis_responses(bytes(39), True),
        lambda: _core.analysis_edf(bytes(40), bytes(3)),
        lambda: _core.analysis_edf(memoryview(bytes(41))[1:], bytes(4)),
        lambda: _core.analysis_partition(bytes(40), 1, bytes(5)),
        lambda: _core.analysis_partition(bytes(40), 1, bytes(8)),
    )
    for call in calls:
        with pytest.raises(
            ValueError, match=r"a buffer holds whole, aligned items|one pin for each"
        ):
            call()


@pytest.mark.faults
def test_every_refused_allocation_is_a_memory_error():
    rows = fo.analysis.pack([make((2, 5), (4, 7), (1, 70))]).rows
    pins = np.array([-1, -1, -1], dtype=np.int32)
    calls = (
        lambda: _core.analysis_utilisation(rows),
        lambda: _core.analysis_responses(rows, False),
        lambda: _core.analysis_edf(rows, np.array([3], dtype=np.uint32)),
        lambda: _core.analysis_partition(rows, 2, pins),
    )
    before = _core.memory_stats()["live_blocks"]
    for call in calls:
        expected, refused = call(), 0
        for n in range(1, 50):
            _core.fail_nth_allocation(n)
            try:
                answer = call()
            except MemoryError:
                refused += 1
                continue
            finally:
                _core.fail_nth_allocation(0)
            assert answer == expected
            break
        assert refused >= 2
    assert _core.memory_stats()["live_blocks"] == before
