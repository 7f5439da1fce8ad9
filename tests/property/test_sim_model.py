"""The simulator against a model that steps through time unit by unit, and against analysis."""

import itertools
import os
import random
from dataclasses import replace

import foliot as fo
import pytest
from hypothesis import given
from hypothesis import strategies as st
from machine_support import COSTS, machines
from sim_model import Model, model_rows

POLICIES = ("fifo", "fp", "rm", "edf")


@st.composite
def small_sets(draw, *, cpus=1, most=4):
    """A few tasks with short periods: some overload their CPU, some are pinned to one."""
    tasks = []
    for _ in range(draw(st.integers(1, most))):
        period = draw(st.integers(1, 12))
        deadline = draw(st.integers(1, 16))
        costs = draw(st.lists(st.integers(1, 6), min_size=1, max_size=3))
        tasks.append(
            fo.PeriodicTask(
                wcet=draw(st.integers(1, deadline)),
                period=period,
                deadline=deadline,
                offset=draw(st.integers(0, 8)),
                execution=costs if draw(st.booleans()) else None,
                priority=draw(st.none() | st.integers(0, 2)),
                cpu=None if cpus == 1 else draw(st.integers(0, cpus - 1)),
            )
        )
    return fo.TaskSet(tasks)


def at_home(tasks, queues):
    """The tasks with CPUs only where queues have any."""
    if queues != "global":
        return tasks
    return fo.TaskSet(replace(task, cpu=None) for task in tasks)


def as_rows(jobs):
    return [(job.name, job.release, job.start, job.finish, job.deadline, job.cpu) for job in jobs]


@given(small_sets(), st.sampled_from(POLICIES), st.integers(1, 60))
def test_one_cpu_does_what_the_model_does(tasks, policy, until):
    result = fo.sim.run(tasks, policy=policy, until=until)
    assert as_rows(result.jobs) == model_rows(tasks, 1, policy, until)


@given(small_sets(most=6), st.integers(2, 4), st.sampled_from(POLICIES), st.integers(1, 60))
def test_global_queue_does_what_the_model_does(tasks, cpus, policy, until):
    result = fo.sim.run(tasks, cpus=cpus, policy=policy, until=until)
    assert as_rows(result.jobs) == model_rows(tasks, cpus, policy, until)


@given(small_sets(cpus=3, most=6), st.sampled_from(POLICIES), st.integers(1, 60))
def test_partitions_do_what_the_model_does(tasks, policy, until):
    result = fo.sim.run(tasks, cpus=3, policy=policy, queues="partitioned", until=until)
    assert as_rows(result.jobs) == model_rows(tasks, 3, policy, until, is_partitioned=True)


@given(machines(), st.data(), st.sampled_from(POLICIES), st.integers(1, 60))
def test_idle_cpus_take_from_the_nearest_as_the_model_does(machine, data, policy, until):
    tasks = data.draw(small_sets(cpus=machine.cpus, most=6))
    result = fo.sim.run(tasks, cpus=machine, policy=policy, queues="per-cpu", until=until)
    model = Model(tasks, machine.cpus, policy, takes_from_others=True, machine=machine)
    assert as_rows(result.jobs) == [job.as_row(tasks.names) for job in model.run(until)]


@given(machines(), st.data(), st.sampled_from(POLICIES), st.sampled_from(("global", "per-cpu")))
def test_costs_by_distance_are_those_of_the_model(machine, data, policy, queues):
    tasks = data.draw(small_sets(cpus=machine.cpus, most=6))
    costs = {name: data.draw(COSTS) for name in ("migration", "steal")}
    switch = data.draw(st.integers(0, 3))
    result = fo.sim.run(
        at_home(tasks, queues),
        cpus=machine,
        policy=policy,
        queues=queues,
        preemption="none",
        until=60,
        switch_cost=switch,
        **{f"{name}_cost": cost for name, cost in costs.items()},
    )
    model = Model(
        tasks,
        machine.cpus,
        policy,
        takes_from_others=queues == "per-cpu",
        machine=machine,
        is_preemptive=False,
        switch=switch,
        **costs,
    )
    assert as_rows(result.jobs) == [job.as_row(tasks.names) for job in model.run(60)]
    assert (result.migrations.total, result.steals.total) == (model.migrations, model.steals)


@given(small_sets(), st.sampled_from(POLICIES), st.lists(st.integers(0, 5), min_size=4, max_size=4))
def test_sections_do_what_the_model_does(tasks, policy, sections):
    locked = fo.TaskSet(
        fo.PeriodicTask(
            wcet=task.wcet,
            period=task.period,
            deadline=task.deadline,
            offset=task.offset,
            execution=task.execution,
            section=section,
        )
        for task, section in zip(tasks, sections, strict=False)
    )
    result = fo.sim.run(locked, policy=policy, until=60)
    assert as_rows(result.jobs) == model_rows(locked, 1, policy, 60)


@given(small_sets(most=6), st.integers(1, 3), st.sampled_from((*POLICIES, "eevdf")))
def test_no_cpu_idles_while_a_job_waits(tasks, cpus, policy):
    result = fo.sim.run(tasks, cpus=cpus, policy=policy, until=40, segments=True)
    running = [0] * 40
    for start, end, *_ in result.segments_array.tolist():
        for now in range(start, end):
            running[now] += 1
    unfinished = [set() for _ in range(40)]
    for release, _, finish, _, task, *_ in result.jobs_array.tolist():
        for now in range(release, finish if finish >= 0 else 40):
            unfinished[now].add(task)
    assert running == [min(cpus, len(tasks)) for tasks in unfinished]


@given(small_sets(most=6), st.integers(1, 3), st.sampled_from((*POLICIES, "eevdf")), st.data())
def test_accounts_add_up_to_the_time_the_cpus_worked(tasks, cpus, policy, data):
    costs = {name: data.draw(st.integers(0, 3)) for name in ("switch_cost", "migration_cost")}
    result = fo.sim.run(tasks, cpus=cpus, policy=policy, until=97, segments=True, **costs)
    busy = sum(account.runtime for account in result.cpu_accounts)
    assert sum(account.runtime for account in result.accounts) == busy
    assert abs(sum(result.utilisation) * 97 - busy) < 1e-6
    segments = result.segments_array
    lengths = segments["end"] - segments["start"]
    assert lengths[segments["is_cost"] == 0].sum() == busy
    assert abs(sum(result.overhead) * 97 - lengths[segments["is_cost"] == 1].sum()) < 1e-6
    shares = zip(result.utilisation, result.overhead, strict=True)
    assert all(0 <= use + more <= 1 for use, more in shares)
    for cpu in range(cpus):
        mine = segments[segments["cpu"] == cpu]
        mine = mine[mine["start"].argsort(kind="stable")]
        assert (mine["start"][1:] >= mine["end"][:-1]).all()


@given(small_sets(), st.integers(0, 2**64 - 1), st.sampled_from(("edf", "eevdf", "cbs")))
def test_equal_seeds_give_equal_runs(tasks, seed, policy):
    loose = fo.TaskSet(
        fo.PeriodicTask(wcet=1, period=task.period, jitter=5, sporadic=4) for task in tasks
    )
    one = fo.sim.run(loose, policy=policy, until=50, seed=seed)
    other = fo.sim.run(loose, policy=policy, until=50, seed=seed)
    assert one.jobs_array.tobytes() == other.jobs_array.tobytes()
    assert list(one.decisions) == list(other.decisions)


@given(small_sets(), st.integers(0, 99))
def test_releases_keep_to_jitter_and_gaps(tasks, seed):
    loose = fo.TaskSet(
        fo.PeriodicTask(wcet=1, period=task.period, deadline=20, jitter=5, sporadic=4)
        for task in tasks
    )
    result = fo.sim.run(loose, until=100, seed=seed)
    for task in loose:
        name = loose.names[loose.tasks.index(task)]
        jobs = [job for job in result.jobs if job.name == name]
        nominal = [job.deadline - 20 for job in jobs]
        assert nominal[:1] in ([], [0])
        for before, after in itertools.pairwise(nominal):
            assert task.period <= after - before <= task.period + 4
        for previous, job in zip([None, *jobs], jobs, strict=False):
            least = job.deadline - 20
            held = previous is not None and job.release == previous.release
            assert least <= job.release <= least + 5 or (held and job.release > least + 5)


def use_of(result, name):
    """The stretches in which a task's jobs ran."""
    place = result.tasks.names.index(name)
    segments = result.segments_array
    mine = segments[result.jobs_array["task"][segments["job"]] == place]
    return [(start, end) for start, end, *_ in mine.tolist()]


@given(
    st.integers(1, 6),
    st.integers(6, 15),
    st.lists(st.integers(1, 30), min_size=1, max_size=4),
    st.sampled_from(("sporadic", "cbs")),
    st.sampled_from(("edf", "fp", "eevdf", "cbs")),
)
def test_budget_is_kept_to_the_unit_in_every_window(budget, period, costs, kind, policy):
    hog = fo.PeriodicTask(
        wcet=1,
        period=10,
        execution=costs,
        name="hog",
        context=fo.sim.Budget(budget=budget, period=period, kind=kind),
    )
    other = fo.PeriodicTask(wcet=2, period=7, name="other")
    result = fo.sim.run(fo.TaskSet([hog, other]), policy=policy, until=400, segments=True)
    ran = [False] * 400
    for start, end in use_of(result, "hog"):
        ran[start:end] = [True] * (end - start)
    # A server may use the end of one period and the start of the next; refills may not.
    bound = budget if kind == "sporadic" else 2 * budget
    for start in range(400 - period):
        assert sum(ran[start : start + period]) <= bound
    assert sum(ran) == result.accounts["hog"].runtime == result.budgets["context"].used
    assert result.budgets["context"].debt == 0


def random_set(draw, share=1.0):
    """A set near the border between schedulable and not."""
    count = draw.randint(2, 5)
    tasks = []
    for _ in range(count):
        period = draw.choice((4, 5, 6, 8, 10, 12, 15, 20))
        wcet = max(1, min(period, round(period * draw.uniform(0.4, 1.6) * share / count)))
        tasks.append(fo.PeriodicTask(wcet=wcet, period=period, deadline=draw.randint(wcet, period)))
    return fo.TaskSet(tasks)


SETS = 6000 if os.environ.get("FOLIOT_STRESS") == "1" else 400


@pytest.mark.parametrize("seed", range(2))
def test_edf_misses_exactly_what_the_exact_test_refuses(seed):
    draw = random.Random(seed)
    refused = 0
    for number in range(SETS):
        tasks = random_set(draw)
        verdict = fo.analysis.schedulable(tasks, test="edf")
        misses = fo.sim.run(tasks, policy="edf", until=2 * tasks.hyperperiod).misses
        assert verdict.ok == (len(misses) == 0), (seed, number, tasks)
        if not verdict.ok and tasks.utilisation <= 1:
            refused += 1
            # All at once is the worst case, so the first miss is where demand first passes supply.
            assert min(miss.deadline for miss in misses) == verdict.witness["t"], (seed, tasks)
    assert refused > SETS // 20


@pytest.mark.parametrize("policy", ["fp", "rm"])
def test_fixed_priorities_reach_exactly_the_computed_responses(policy):
    draw = random.Random(policy)
    for number in range(SETS):
        tasks = random_set(draw)
        computed = fo.analysis.response_times(tasks, policy=policy)
        result = fo.sim.run(tasks, policy=policy, until=2 * tasks.hyperperiod)
        for place, bound in enumerate(computed):
            late = [job for job in result.misses if job.name == tasks.names[place]]
            if bound is not None and bound <= tasks[place].deadline:
                assert not late, (policy, number, tasks)
                assert max(result.response_times[place]) == bound, (policy, number, tasks)
            else:
                # All at once is the worst case, so the first job is late already.
                assert late[0].release == 0, (policy, number, tasks)


@pytest.mark.parametrize(("policy", "test"), [("fp", "rta"), ("edf", "edf")])
def test_sections_cost_no_deadline_that_analysis_with_their_blocking_accepts(policy, test):
    draw = random.Random(f"{policy} sections")
    accepted = held_up = 0
    for number in range(SETS):
        tasks = fo.TaskSet(
            replace(
                task, section=draw.randint(0, task.wcet), offset=draw.randrange(2 * task.period)
            )
            for task in random_set(draw, share=0.8)
        )
        until = 2 * tasks.hyperperiod + max(task.offset for task in tasks)
        result = fo.sim.run(tasks, policy=policy, until=until)
        if fo.analysis.schedulable(tasks.with_blocking(policy), test=test).ok:
            accepted += 1
            assert not result.misses, (policy, number, tasks)
        elif result.misses and fo.analysis.schedulable(tasks, test=test).ok:
            held_up += 1
    assert accepted > SETS // 20
    assert held_up > 0, "no set shows what sections cost"


def test_global_edf_misses_nothing_that_the_density_test_accepts():
    draw = random.Random(7)
    found = 0
    for number in range(SETS):
        tasks = random_set(draw, share=1.2)
        if not fo.analysis.schedulable(tasks, test="gfb", cpus=2).ok:
            continue
        found += 1
        result = fo.sim.run(tasks, cpus=2, policy="edf", until=2 * tasks.hyperperiod)
        assert not result.misses, (number, tasks)
    assert found > SETS // 20


def test_model_preempts_so_the_comparison_means_something():
    tasks = fo.TaskSet([fo.PeriodicTask(wcet=1, period=3), fo.PeriodicTask(wcet=4, period=9)])
    model = Model(tasks, 1, "rm")
    model.run(30)
    result = fo.sim.run(tasks, policy="rm", until=30)
    assert result.accounts[1].preemptions == model.preemptions > 0
