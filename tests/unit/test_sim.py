"""``fo.sim.run`` on task sets: what it tells, what it refuses, how it stops."""

import contextlib
import gc
import sys
import weakref

import foliot as fo
import numpy as np
import pytest
from foliot import _core, _sim_tasks
from support import alarm, interrupt

PAIR = fo.TaskSet([fo.PeriodicTask(wcet=2, period=5), fo.PeriodicTask(wcet=4, period=7)])


def one(**fields):
    return fo.TaskSet([fo.PeriodicTask(**{"wcet": 2, "period": 10, **fields})])


def test_rate_monotonic_misses_what_edf_meets():
    late = fo.sim.run(PAIR, policy="rm", until=35)
    assert [(job.name, job.deadline, job.finish) for job in late.misses] == [("task1", 7, 8)]
    good = fo.sim.run(PAIR, policy="edf", until=35)
    assert good.misses == []
    assert [max(times) for times in good.response_times] == [4, 6]


def test_textbook_responses_of_fixed_priorities():
    pairs = [(1, 2), (5, 20), (1, 20)]
    tasks = fo.TaskSet(fo.PeriodicTask(wcet=wcet, period=period) for wcet, period in pairs)
    result = fo.sim.run(tasks, policy="fp", until=20)
    assert [max(times) for times in result.response_times] == [1, 10, 12]
    assert [max(times) for times in result.response_times] == fo.analysis.response_times(
        tasks, policy="fp"
    )


def test_jobs_are_in_the_order_of_release_and_task():
    result = fo.sim.run(PAIR, until=35)
    rows = [(job.release, job.name) for job in result.jobs]
    assert rows == sorted(rows)
    assert len(result.jobs) == 12
    assert result.jobs[-1] == list(result.jobs)[-1]
    assert result.jobs[:2] == [result.jobs[0], result.jobs[1]]


def test_jobs_array_is_the_log_itself_and_cannot_be_written():
    result = fo.sim.run(PAIR, until=35)
    array = result.jobs_array
    assert array["finish"].tolist() == [job.finish for job in result.jobs]
    with pytest.raises(ValueError, match="read-only"):
        array["finish"][0] = 1


def test_arrays_outlive_their_result():
    result = fo.sim.run(PAIR, until=35, lag_every=1, policy="eevdf")
    arrays = result.jobs_array, result.segments_array, result.lags_array
    told = [array.tobytes() for array in arrays]
    gone = weakref.ref(result)
    del result
    gc.collect()
    assert gone() is None
    assert [array.tobytes() for array in arrays] == told


def test_unfinished_job_has_no_finish_and_is_missed_once_its_deadline_came():
    result = fo.sim.run(one(wcet=10, execution=30), until=25)
    assert [job.finish for job in result.jobs] == [None, None, None]
    assert [job.start for job in result.jobs] == [0, None, None]
    assert [job.deadline for job in result.misses] == [10, 20]
    assert result.jobs[1].cpu is None
    assert result.jobs[0].response is None


def test_end_of_the_simulation_is_two_hyperperiods_by_default():
    result = fo.sim.run(PAIR)
    assert result.until == 70


def test_per_task_results_are_found_by_name_too():
    result = fo.sim.run(PAIR, until=35)
    assert result.response_times["task1"] == result.response_times[1]
    assert dict(result.accounts.items())["task0"] == result.accounts[0]
    with pytest.raises(KeyError, match="no task is called `other`; there are task0, task1"):
        result.accounts["other"]


def test_events_tell_a_preemption_in_order():
    result = fo.sim.run(PAIR, policy="rm", until=9)
    told = [(event.time, event.kind, event.name) for event in result.events]
    assert told == [
        (0, "release", "task0"),
        (0, "release", "task1"),
        (0, "start", "task0"),
        (2, "finish", "task0"),
        (2, "start", "task1"),
        (5, "release", "task0"),
        (5, "preempt", "task1"),
        (5, "start", "task0"),
        (7, "finish", "task0"),
        (7, "miss", "task1"),
        (7, "release", "task1"),
        (8, "finish", "task1"),
        (8, "start", "task1"),
    ]
    preempted = next(event for event in result.events if event.kind == "preempt")
    assert (preempted.job, preempted.cpu) == (1, 0)


def test_decisions_can_be_left_out_and_events_say_so():
    full = fo.sim.run(PAIR, until=700)
    few = fo.sim.run(PAIR, until=700, records=3)
    assert full.decisions_lost == 0
    assert len(few.decisions) == 4
    assert few.decisions_lost == len(full.decisions) - 4
    assert few.decisions == full.decisions[-4:]
    assert fo.sim.run(PAIR, until=700, records=0).decisions == []


def test_explanation_names_the_numbers():
    result = fo.sim.run(PAIR, policy="rm", until=9)
    text = result.explain("task1")
    assert "task1" in text
    assert result.explain(PAIR[1]) == result.explain(1) == text
    job = result.explain(result.misses[0])
    assert "ended at 8, 1 after its deadline 7" in job
    assert "gave way at 5" in job
    with pytest.raises(KeyError, match="no task of this result"):
        result.explain("other")
    with pytest.raises(KeyError, match="no job of this result"):
        result.explain(fo.sim.Job("task1", 1, 2, 3, 4, 0))


def test_server_holds_an_overrun_to_its_bandwidth_and_the_other_meets_its_deadlines():
    tasks = fo.TaskSet(
        [
            fo.PeriodicTask(wcet=2, period=5, execution=[2, 20], name="hog"),
            fo.PeriodicTask(wcet=4, period=7, name="control"),
        ]
    )
    assert fo.sim.run(tasks, policy="edf", until=350).accounts["control"].misses > 0
    held = fo.sim.run(tasks, policy="cbs", until=350)
    assert held.accounts["control"].misses == 0
    assert held.accounts["hog"].runtime <= 350 * 2 // 5
    assert held.budgets["hog"].debt == 0
    assert held.accounts["hog"].throttles > 0
    assert any(event.kind == "throttle" for event in held.events)


@pytest.mark.parametrize(
    ("overrun", "done", "runtime"),
    [("throttle", 2, 10), ("skip", 0, 10), ("kill", 0, 2), ("demote", 9, 48), ("notify", 9, 48)],
)
def test_overrun_policies(overrun, done, runtime):
    context = fo.sim.Budget(budget=2, period=10, overrun=overrun, name="c")
    result = fo.sim.run(one(execution=5, context=context), until=49)
    assert result.accounts[0].runtime <= runtime
    assert len(result.response_times[0]) <= done
    if overrun == "kill":
        assert result.budgets == {"c": None}
        assert result.jobs_array["outcome"].tolist() == [2, 3, 3, 3, 3]


def test_context_in_seconds_counts_in_nanoseconds():
    context = fo.SchedulingContext(budget=2e-9, period=10e-9, name="c")
    result = fo.sim.run(one(execution=5, context=context), until=50)
    assert result.accounts[0].runtime == 10


def test_tasks_share_the_budget_that_both_name():
    context = fo.sim.Budget(budget=3, period=10)
    tasks = fo.TaskSet(fo.PeriodicTask(wcet=3, period=10, context=context) for _ in range(2))
    result = fo.sim.run(tasks, until=100)
    assert sum(account.runtime for account in result.accounts) == 30


def test_fair_groups_share_by_weight():
    heavy = fo.Group("heavy", weight=3 * 1024)
    tasks = fo.TaskSet(
        [
            fo.PeriodicTask(wcet=1000, period=1000, group=heavy),
            fo.PeriodicTask(wcet=1000, period=1000, group=heavy),
            fo.PeriodicTask(wcet=1000, period=1000, group="light"),
        ]
    )
    result = fo.sim.run(tasks, policy="eevdf", until=4000, slices=5)
    shares = {name: account.runtime for name, account in result.group_accounts.items()}
    assert abs(shares["heavy"] - 3000) <= 20
    assert abs(shares["light"] - 1000) <= 20


def test_tasks_without_a_cpu_are_placed_where_they_fit():
    tasks = fo.TaskSet(
        [
            fo.PeriodicTask(wcet=6, period=10, cpu=1),
            fo.PeriodicTask(wcet=6, period=10),
            fo.PeriodicTask(wcet=4, period=10),
            fo.PeriodicTask(wcet=4, period=10),
        ]
    )
    result = fo.sim.run(tasks, cpus=2, until=100)
    assert result.queues == "partitioned"
    assert result.utilisation == [1.0, 1.0]
    assert result.misses == []


def test_costs_are_apart_from_utilisation():
    result = fo.sim.run(PAIR, until=70, policy="edf", switch_cost=1)
    assert result.overhead[0] > 0
    assert result.accounts[0].runtime + result.accounts[1].runtime == result.utilisation[0] * 70


class Shortest(fo.Policy):
    base = "fifo"

    def pick(self, ready, *, cpu, now):
        return min(ready, key=lambda runnable: (runnable.expected, runnable.id))


def test_python_policy_decides():
    tasks = fo.TaskSet([fo.PeriodicTask(wcet=5, period=20), fo.PeriodicTask(wcet=1, period=20)])
    assert [job.start for job in fo.sim.run(tasks, policy="fifo", until=20).jobs] == [0, 5]
    result = fo.sim.run(tasks, policy=Shortest(), until=20)
    assert [job.start for job in result.jobs] == [1, 0]
    assert (result.policy, result.faults, result.errors) == ("Shortest", 0, [])


def test_ranks_of_a_python_policy_give_what_the_built_in_one_gives():
    class Earliest(fo.Policy):
        base = "fifo"

        def enqueue(self, runnable, *, now):
            return runnable.deadline

    tasks = fo.TaskSet.random(6, 1.8, seed=3, periods=(5, 40))
    for cpus in (1, 2, 3):
        ours = fo.sim.run(tasks, cpus=cpus, policy=Earliest(), until=2000)
        built_in = fo.sim.run(tasks, cpus=cpus, policy="edf", until=2000)
        assert ours.jobs_array.tobytes() == built_in.jobs_array.tobytes()


def test_policy_that_fails_is_switched_off_and_the_run_goes_on():
    class Broken(fo.Policy):
        base = "edf"
        max_faults = 2

        def pick(self, ready, *, cpu, now):
            raise LookupError("nothing here")

    result = fo.sim.run(PAIR, policy=Broken(), until=35)
    assert result.misses == []
    assert result.faults == 2
    assert {type(error) for error in result.errors} == {LookupError}


def test_interrupt_in_a_slot_stops_the_run():
    class Stopping(fo.Policy):
        def pick(self, ready, *, cpu, now):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fo.sim.run(PAIR, policy=Stopping(), until=10**8, segments=False)


def test_interrupt_stops_a_long_run():
    with alarm(interrupt), pytest.raises(KeyboardInterrupt):
        fo.sim.run(PAIR, until=10**8, segments=False)


def test_progress_is_told_and_its_error_comes_out(monkeypatch):
    assert len(fo.sim.run(PAIR, until=35, progress=True).jobs) == 12

    def fail(now):
        raise LookupError(now)

    @contextlib.contextmanager
    def failing(progress, until):
        yield fail

    monkeypatch.setattr(_sim_tasks, "time_bar", failing)
    with pytest.raises(LookupError):
        fo.sim.run(PAIR, until=35)


def test_progress_without_tqdm_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    with pytest.raises(ImportError, match=r"foliot\[progress\]"):
        fo.sim.run(PAIR, until=35, progress=True)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"until": 0}, "until= is from 1 to"),
        ({"until": 2**60 + 1}, "until= is from 1 to"),
        ({"cpus": 0}, "cpus= is from 1 to 1024, got 0"),
        ({"cpus": 1025}, "cpus= is from 1 to 1024, got 1025"),
        ({"policy": "lottery"}, "unknown policy 'lottery'; there are fifo, fp, rm, edf"),
        ({"queues": "two"}, "queues= is one of 'global', 'partitioned', 'per-cpu'; got 'two'"),
        ({"preemption": "some"}, "preemption= is one of 'full', 'chunk', 'none'; got 'some'"),
        ({"switch_cost": -1}, "switch_cost= is from 0 to"),
        ({"seed": -1}, "seed= is from 0 to"),
        ({"slices": (1, 2)}, "slices= is one number or 3: interactive, normal, batch"),
        ({"slices": 0}, "slices= is from 1 to"),
        ({"records": 2**30}, "records= is from 0 to"),
        ({"lag_every": -5}, "lag_every= is from 0 to"),
        ({"tick": -1}, "tick= is from 0 to"),
    ],
)
def test_option_out_of_range_is_refused_by_name(options, words):
    with pytest.raises(ValueError, match=words):
        fo.sim.run(PAIR, **{"until": 35, **options})


def test_too_many_jobs_are_refused_before_the_run():
    with pytest.raises(ValueError, match=r"until=\d+ makes up to [\d,]+ jobs.*smaller until="):
        fo.sim.run(one(wcet=1, period=1), until=2**60)


def test_long_hyperperiod_wants_an_end():
    tasks = fo.TaskSet(fo.PeriodicTask(wcet=1, period=period) for period in (9973, 9967, 9949))
    with pytest.raises(ValueError, match=r"two hyperperiods of this set are .* give until="):
        fo.sim.run(tasks)


def test_cpu_of_a_task_is_kept_to_or_refused():
    pinned = one(cpu=1, name="p")
    with pytest.raises(ValueError, match="cpu of task `p` is below cpus=1, got 1"):
        fo.sim.run(pinned, until=10)
    with pytest.raises(ValueError, match="task `p` has a cpu, which queues='global'"):
        fo.sim.run(pinned, cpus=2, queues="global", until=10)
    assert fo.sim.run(pinned, cpus=2, until=10).jobs[0].cpu == 1


def test_placement_keeps_to_the_cpus_of_contexts():
    context = fo.SchedulingContext(budget=2e-9, period=10e-9, cpus={1})
    result = fo.sim.run(one(context=context), cpus=2, queues="partitioned", until=10)
    assert result.jobs[0].cpu == 1
    with pytest.raises(ValueError, match="has cpu 0, which its context does not allow; that"):
        fo.sim.run(one(context=context, cpu=0), cpus=2, until=10)
    with pytest.raises(ValueError, match="a CPU of context `context` is from 0 to 0, got 1"):
        fo.sim.run(one(context=context), until=10)


def test_workload_of_no_known_type_is_refused():
    with pytest.raises(TypeError, match=r"of one of these types: .*TaskSet.*; got 5"):
        fo.sim.run(5)
    with pytest.raises(ValueError, match="at least one task"):
        fo.sim.run(fo.TaskSet([]))


def test_context_of_another_kind_is_refused():
    with pytest.raises(TypeError, match=r"context of task `task0` is a fo.sim.Budget or a"):
        fo.sim.run(one(context=3), until=10)


def test_server_of_a_task_above_its_period_is_refused():
    with pytest.raises(ValueError, match="the policy 'cbs' serves task `late`"):
        fo.sim.run(one(wcet=12, deadline=20, name="late"), policy="cbs", until=10)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"budget": 0, "period": 5}, "budget= is from 1 to 5, got 0"),
        ({"budget": 6, "period": 5}, "budget= is from 1 to 5, got 6"),
        ({"budget": 3, "period": 5, "deadline": 2}, "budget= is from 1 to 2, got 3"),
        ({"budget": 3, "period": 5, "deadline": 6}, "deadline= is from 1 to 5, got 6"),
        ({"budget": 1, "period": 5, "overrun": "wait"}, "overrun= is one of 'throttle'"),
        ({"budget": 1, "period": 5, "kind": "soft"}, "kind= is one of 'sporadic'"),
        ({"budget": 1, "period": 5, "refills": 1}, "refills= is from 2 to 64"),
    ],
)
def test_budget_out_of_range_is_refused(fields, words):
    with pytest.raises(ValueError, match=words):
        fo.sim.Budget(**fields)


def test_refused_memory_raises_and_leaks_nothing():
    gc.collect()
    live = _core.memory_stats()["live_blocks"]
    for nth in range(1, 200):
        _core.fail_nth_allocation(nth)
        try:
            result = fo.sim.run(PAIR, cpus=2, until=700, lag_every=7)
        except MemoryError:
            continue
        finally:
            armed = _core.allocation_failure_is_armed()
            _core.fail_nth_allocation(0)
        assert armed
        break
    assert nth > 10
    del result
    gc.collect()
    assert _core.memory_stats()["live_blocks"] == live


def test_results_show_themselves():
    result = fo.sim.run(PAIR, policy="rm", until=35)
    assert repr(result) == ("Result(12 jobs of 2 tasks under 'rm' on 1 CPUs until 35, 1 missed)")
    html = result._repr_html_()
    assert "<td>task1</td>" in html
    assert html.count("<tr>") == 3
    assert repr(fo.sim.run(PAIR, until=700).jobs).endswith("more]")
    assert repr(result.misses) == repr(list(result.misses))


def test_pictures_are_drawn():
    import matplotlib.pyplot as plt

    context = fo.sim.Budget(budget=2, period=6)
    tasks = fo.TaskSet(
        [
            fo.PeriodicTask(wcet=2, period=5, execution=3, context=context),
            fo.PeriodicTask(wcet=4, period=7),
        ]
    )
    result = fo.sim.run(tasks, cpus=2, policy="eevdf", until=70, lag_every=1, switch_cost=1)
    axes = result.gantt(start=7, end=42)
    assert axes.get_xlim() == (7, 42)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["CPU 0", "CPU 1"]
    assert {"task0", "task1", "switches"} <= set(axes.get_legend_handles_labels()[1])
    assert result.gantt(axes) is axes
    assert result.plot_responses().get_xlabel() == "response time"
    assert result.plot_utilisation().get_xlim() == (0, 1)
    assert len(result.plot_lag().get_lines()) == 3
    plain = fo.sim.run(tasks, cpus=2, policy="eevdf", until=70)
    line = plain.plot_budget().get_lines()[0]
    assert line.get_ydata().max() == 2
    assert line.get_ydata().min() >= 0
    plt.close("all")


def test_pictures_of_what_was_not_kept_are_refused():
    result = fo.sim.run(PAIR, until=35, segments=False)
    with pytest.raises(ValueError, match="segments=True"):
        result.gantt()
    with pytest.raises(ValueError, match="lag_every="):
        result.plot_lag()
    with pytest.raises(ValueError, match="no task of this simulation has a context"):
        result.plot_budget()
    with pytest.raises(ValueError, match="begins at 0 or later, got 9 to 3"):
        fo.sim.run(PAIR, until=35).gantt(start=9, end=3)


def test_pictures_without_matplotlib_name_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"foliot\[plot\]"):
        fo.sim.run(PAIR, until=35).gantt()


def test_numpy_numbers_are_numbers():
    result = fo.sim.run(PAIR, until=np.int64(35), cpus=np.int32(2), seed=np.uint64(3))
    assert result.cpus == 2
