"""Schedulability tests against plain models: jobs listed one by one, and time in single steps.

The models know none of the formulas. Periods are small, so that everything there is can be looked
at: every deadline of a hyperperiod, every offset, every moment of a busy period.
"""

import itertools
import math
from fractions import Fraction

import foliot as fo
import pytest
from foliot import _core
from hypothesis import assume, given
from hypothesis import strategies as st

PERIODS = (2, 3, 4, 5, 6, 8, 10, 12)


@st.composite
def tasks(draw, *, jitter=0, blocking=0, latest=2.0, periods=PERIODS):
    period = draw(st.sampled_from(periods))
    deadline = draw(st.integers(1, max(1, int(latest * period))))
    return fo.PeriodicTask(
        wcet=draw(st.integers(1, min(deadline, max(1, period * 2 // 3)))),
        period=period,
        deadline=deadline,
        jitter=draw(st.integers(0, jitter)),
        blocking=draw(st.integers(0, blocking)),
    )


def sets(*, most=4, **options):
    return st.lists(tasks(**options), min_size=1, max_size=most).map(fo.TaskSet)


def overloads(taskset):
    return sum(Fraction(task.wcet, task.period) for task in taskset) > 1


def jobs_due_by(task, end):
    """Deadlines of a task's jobs, the first one as late as it may be."""
    first = task.deadline - task.jitter
    return [max(0, at) for at in range(first, end + 1, task.period)]


def blocking_at(taskset, t):
    if all(task.deadline <= t for task in taskset):
        return 0
    due = [task.blocking for task in taskset if task.deadline - task.jitter <= t]
    return max(due, default=0)


def first_excess(taskset, end):
    """The first t up to the end that cannot hold its demand, with that; or None."""
    due = sorted(
        (at, task.wcet) for task in taskset for at in jobs_due_by(task, end) if task.deadline
    )
    total = 0
    for at, group in itertools.groupby(due, key=lambda job: job[0]):
        total += sum(wcet for _, wcet in group)
        if total + blocking_at(taskset, at) > at:
            return at, total
    return None


def end_of_look(taskset):
    """Where excess of demand has begun if it ever does."""
    last = max(task.deadline for task in taskset)
    if overloads(taskset):
        over = sum(Fraction(task.wcet, task.period) for task in taskset) - 1
        return math.ceil((sum(task.deadline for task in taskset) + 1) / over) + last
    return 2 * taskset.hyperperiod + 2 * last


def check_demand(taskset):
    excess = first_excess(taskset, end_of_look(taskset))
    verdict = fo.analysis.schedulable(taskset, test="edf")
    assert verdict.ok == (excess is None)
    if excess is not None:
        assert (verdict.witness["t"], verdict.witness["demand"]) == excess
        assert verdict.witness.get("blocking", 0) == blocking_at(taskset, excess[0])


@given(sets())
def test_demand_test_is_that_of_all_deadlines(taskset):
    check_demand(taskset)


@given(sets(jitter=9))
def test_demand_test_with_jitter_is_that_of_all_deadlines(taskset):
    check_demand(taskset)


@given(sets(jitter=3, blocking=5))
def test_demand_test_with_blocking_is_that_of_all_deadlines(taskset):
    check_demand(taskset)


@given(sets(most=5, latest=1.0), st.integers(1, 2**52))
def test_verdicts_scale_with_the_unit_of_time(taskset, unit):
    small = fo.analysis.schedulable(taskset, test="edf")
    larger = fo.TaskSet(
        fo.PeriodicTask(
            wcet=task.wcet * unit, period=task.period * unit, deadline=task.deadline * unit
        )
        for task in taskset
    )
    large = fo.analysis.schedulable(larger, test="edf")
    assert large.ok == small.ok
    if not small.ok:
        assert large.witness == {name: value * unit for name, value in small.witness.items()}
    for policy in ("fp", "rm", "edf"):
        expected = fo.analysis.response_times(taskset, policy)
        found = fo.analysis.response_times(larger, policy)
        assert found == [None if value is None else value * unit for value in expected]


def fixed_response(urgent, task, end):
    """Steps through a busy period that begins with the task's blocking."""
    jobs = [
        [max(0, release), place, release, other.wcet]
        for place, other in enumerate((*urgent, task))
        for release in range(-other.jitter, end, other.period)
    ]
    worst, now = 0, task.blocking
    while now < end:
        ready = [job for job in jobs if job[0] <= now and job[3] > 0]
        if not ready:
            break
        job = min(ready, key=lambda job: (job[1], job[2]))
        job[3] -= 1
        now += 1
        if job[3] == 0 and job[1] == len(urgent):
            worst = max(worst, now - job[2])
    return worst


@given(sets(most=3, jitter=5, blocking=4, periods=(2, 3, 4, 6, 12)))
def test_fixed_responses_are_those_of_a_schedule_in_single_steps(taskset):
    found = fo.analysis.response_times(taskset, "fp")
    for index, task in enumerate(taskset):
        level = taskset[: index + 1]
        if overloads(level):
            assert found[index] is None
        else:
            end = 3 * level.hyperperiod + 60
            assert found[index] == fixed_response(list(taskset[:index]), task, end)


@given(sets(most=4, latest=1.0))
def test_rate_monotonic_responses_are_those_of_the_set_in_that_order(taskset):
    order = sorted(range(len(taskset)), key=lambda index: (taskset[index].period, index))
    expected = fo.analysis.response_times(fo.TaskSet(taskset[index] for index in order))
    found = fo.analysis.response_times(taskset, policy="rm")
    assert [found[index] for index in order] == expected


@given(sets(most=4, latest=1.5, jitter=2))
def test_response_test_goes_by_the_responses(taskset):
    verdict = fo.analysis.schedulable(taskset, test="rta")
    responses = fo.analysis.response_times(taskset)
    late = [
        index
        for index, response in enumerate(responses)
        if response is None or response > taskset[index].deadline
    ]
    assert verdict.ok == (not late)
    shown = taskset.names.index(verdict.witness["task"])
    assert verdict.witness["response"] == responses[shown]
    assert verdict.witness["deadline"] == taskset[shown].deadline
    assert not late or shown == late[0]


def simulate_edf(releases, tasks, own, end):
    """The longest response of one task; releases[j] are pairs (release, ready); ties against it."""
    jobs = []
    for place, moments in enumerate(releases):
        for release, ready in moments:
            deadline = release + tasks[place].deadline
            jobs.append([ready, deadline, place == own, release, tasks[place].wcet])
    jobs.sort()
    worst, now = 0, 0
    while now < end:
        ready = [job for job in jobs if job[0] <= now]
        if not ready:
            if not jobs:
                break
            now = jobs[0][0]
            continue
        job = min(ready, key=lambda job: job[1:4])
        job[4] -= 1
        now += 1
        if job[4] == 0:
            jobs.remove(job)
            if job[2]:
                worst = max(worst, now - job[3])
    return worst


@given(sets(most=3, latest=1.5, periods=(2, 3, 4, 6)))
def test_edf_responses_are_the_worst_over_all_offsets(taskset):
    assume(not overloads(taskset))
    end = 3 * taskset.hyperperiod
    worst = [0] * len(taskset)
    for offsets in itertools.product(*(range(task.period) for task in taskset)):
        releases = [
            [(at, at) for at in range(offset, end, task.period)]
            for offset, task in zip(offsets, taskset, strict=True)
        ]
        for own in range(len(taskset)):
            worst[own] = max(worst[own], simulate_edf(releases, taskset, own, 2 * end))
    assert fo.analysis.response_times(taskset, policy="edf") == worst


@given(sets(most=3, latest=1.5, jitter=4, periods=(2, 3, 4, 6)))
def test_edf_responses_with_jitter_are_the_worst_over_the_own_release(taskset):
    assume(not overloads(taskset))
    end = 3 * taskset.hyperperiod + 30
    worst = [0] * len(taskset)
    for own, task in enumerate(taskset):
        for start in range(-task.jitter, task.period - task.jitter):
            releases = [
                [
                    (at, max(0, at))
                    for at in range(start if place == own else -other.jitter, end, other.period)
                ]
                for place, other in enumerate(taskset)
            ]
            worst[own] = max(worst[own], simulate_edf(releases, taskset, own, 2 * end))
        # Alone, and as late as it may be ready.
        worst[own] = max(worst[own], task.jitter + task.wcet)
    assert fo.analysis.response_times(taskset, policy="edf") == worst


@given(sets(most=4, latest=1.5, jitter=3))
def test_edf_responses_agree_with_the_demand_test(taskset):
    responses = fo.analysis.response_times(taskset, policy="edf")
    meets = all(
        response is not None and response <= task.deadline
        for task, response in zip(taskset, responses, strict=True)
    )
    assert fo.analysis.schedulable(taskset, test="edf").ok == meets


@given(sets(most=3, jitter=2, blocking=4))
def test_blocked_edf_responses_hold_what_the_demand_test_accepts(taskset):
    assume(fo.analysis.schedulable(taskset, test="edf"))
    without = fo.TaskSet(
        fo.PeriodicTask(wcet=t.wcet, period=t.period, deadline=t.deadline, jitter=t.jitter)
        for t in taskset
    )
    responses = fo.analysis.response_times(taskset, policy="edf")
    for task, least, response in zip(
        taskset, fo.analysis.response_times(without, policy="edf"), responses, strict=True
    ):
        assert least <= response <= task.deadline


def fits_alone(members):
    taskset = fo.TaskSet(members)
    return first_excess(taskset, end_of_look(taskset)) is None


@given(sets(most=7, latest=1.5, jitter=1), st.integers(1, 4), st.data())
def test_partition_is_first_fit_by_decreasing_utilisation(taskset, cpus, data):
    pins = [data.draw(st.none() | st.integers(0, cpus - 1)) for _ in taskset]
    pinned = fo.TaskSet(
        fo.PeriodicTask(wcet=t.wcet, period=t.period, deadline=t.deadline, jitter=t.jitter, cpu=pin)
        for t, pin in zip(taskset, pins, strict=True)
    )
    order = sorted(
        range(len(pinned)),
        key=lambda i: (pinned[i].cpu is None, -pinned[i].utilisation, i),
    )
    expected, misfit = [None] * len(pinned), None
    for index in order:
        pin = pinned[index].cpu
        for cpu in range(cpus) if pin is None else (pin,):
            beside = [t for t, at in zip(pinned, expected, strict=True) if at == cpu]
            if fits_alone([*beside, pinned[index]]):
                expected[index] = cpu
                break
        else:
            misfit = index
            break
    verdict = fo.analysis.schedulable(pinned, test="partitioned", cpus=cpus)
    assert verdict.ok == (misfit is None)
    assert verdict.witness["assignment"] == expected
    if misfit is not None:
        assert verdict.witness["task"] == pinned.names[misfit]
        for refusal in verdict.witness["cpus"]:
            beside = [t for t, at in zip(pinned, expected, strict=True) if at == refusal["cpu"]]
            together = fo.TaskSet([*beside, pinned[misfit]])
            if "pinned" in refusal:
                assert pinned[misfit].cpu == refusal["pinned"] != refusal["cpu"]
            else:
                excess = first_excess(together, end_of_look(together))
                assert (refusal["t"], refusal["demand"]) == excess


@given(sets(most=5, latest=1.0))
def test_quick_accepts_of_one_cpu_are_right(taskset):
    order = sorted(taskset, key=lambda task: min(task.deadline, task.period))
    response_test = fo.analysis.schedulable(fo.TaskSet(order), test="rta")
    hyperbolic = fo.analysis.schedulable(taskset, test="hyperbolic")
    liu_layland = fo.analysis.schedulable(taskset, test="ll")
    assert response_test or not hyperbolic
    assert hyperbolic or not liu_layland
    assert fo.analysis.schedulable(taskset, test="edf") or not fo.analysis.schedulable(
        taskset, test="gfb"
    )


@given(sets(most=6, latest=1.5), st.integers(1, 4))
def test_quick_accepts_are_their_inequalities(taskset, cpus):
    shares = [Fraction(t.wcet, min(t.deadline, t.period)) for t in taskset]
    count, total, largest = len(shares), sum(shares), max(shares)
    liu_layland = fo.analysis.schedulable(taskset, test="ll")
    assert liu_layland.ok == ((1 + total / count) ** count <= 2)
    assert liu_layland.ok == (liu_layland.witness["utilisation"] <= liu_layland.witness["bound"])
    hyperbolic = fo.analysis.schedulable(taskset, test="hyperbolic")
    assert hyperbolic.ok == (math.prod(1 + share for share in shares) <= 2)
    gfb = fo.analysis.schedulable(taskset, test="gfb", cpus=cpus)
    assert gfb.ok == (total <= cpus - (cpus - 1) * largest)
    assert gfb.witness["bound"] == cpus - (cpus - 1) * largest


@st.composite
def near_one(draw):
    """Shares over many denominators that add up to 1, but for at most one part in 2^60."""
    weights = draw(st.lists(st.integers(1, 2**20), min_size=1, max_size=6))
    total = sum(weights)
    factors = [draw(st.integers(1, 2**60 // total)) for _ in weights]
    pairs = [(weight * f, total * f) for weight, f in zip(weights, factors, strict=True)]
    wcet, period = pairs.pop()
    wcet += draw(st.sampled_from([0, 1, -1]))
    return [*pairs, (min(max(wcet, 1), period), period)]


@given(near_one())
def test_utilisation_is_compared_with_one_exactly(pairs):
    taskset = fo.TaskSet(fo.PeriodicTask(wcet=wcet, period=period) for wcet, period in pairs)
    total = sum(Fraction(wcet, period) for wcet, period in pairs)
    assert taskset.utilisation == total
    compared = _core.analysis_utilisation(fo.analysis.pack([taskset]).rows)
    assert compared == (total > 1) - (total < 1)
    verdict = fo.analysis.schedulable(taskset, test="edf")
    assert verdict.ok == (total <= 1)
    if not verdict.ok:
        assert fo.analysis.demand(taskset, verdict.witness["t"]) > verdict.witness["t"]


@given(st.lists(sets(most=6, latest=1.5, jitter=2), max_size=8))
def test_many_sets_in_one_call_are_those_sets_one_by_one(many):
    answers = fo.analysis.demand_many(fo.analysis.pack(many))
    assert len(answers) == len(many)
    for index, taskset in enumerate(many):
        verdict = fo.analysis.schedulable(taskset)
        assert answers.ok[index] == verdict.ok
        if not verdict.ok:
            assert answers.t[index] == verdict.witness["t"]
            assert answers.demand[index] == verdict.witness["demand"]


@pytest.mark.parametrize("seed", range(20))
def test_large_random_sets_have_no_demand_above_their_length_before_the_witness(seed):
    taskset = fo.TaskSet.random(20, 0.97, seed, periods=(50, 5_000), deadlines=(0.2, 1.0))
    verdict = fo.analysis.schedulable(taskset)
    end = verdict.witness.get("t", verdict.witness.get("until"))
    excess = first_excess(taskset, end)
    assert verdict.ok == (excess is None)
    assert verdict.ok or excess == (verdict.witness["t"], verdict.witness["demand"])
