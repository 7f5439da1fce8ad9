"""Task graphs: how they are declared, what is refused, and what a run tells."""

import os

import foliot as fo
import numpy as np
import pytest
from foliot import _core
from foliot._graph_run import run_graph
from foliot.sim import Graph
from support import HAS_LOCK

DIAMOND = {
    "a": {"cost": 3},
    "b": {"cost": 2, "after": ["a"]},
    "c": {"cost": 4, "after": ["a"]},
    "d": {"cost": 1, "after": ["b", "c"]},
}


def test_bounds_are_those_of_the_graph():
    graph = Graph(DIAMOND)
    assert (len(graph), graph.edges, graph.work, graph.critical_path) == (4, 4, 10, 8)
    assert graph.critical_tasks == ["a", "c", "d"]
    assert [graph.lower_bound(cpus) for cpus in (1, 2, 3)] == [10, 8, 8]
    assert graph.names == ("a", "b", "c", "d")


def test_lane_is_a_bound():
    lane = {name: {"cost": 5, "lane": "python"} for name in "abc"}
    graph = Graph(lane)
    assert graph.lower_bound(8) == 15
    assert graph.to_dict() == lane


@pytest.mark.parametrize(
    ("tasks", "error", "words"),
    [
        ([], TypeError, "by name, got []"),
        ({1: {"cost": 1}}, TypeError, "name of a task is text, got 1"),
        ({"a": 3}, TypeError, "task `a` is a dict of cost, after, lane, got 3"),
        ({"a": {}}, ValueError, "task `a` lacks `cost`"),
        ({"a": {"cost": 1, "colour": 2}}, ValueError, "task `a` has no key 'colour'"),
        ({"a": {"cost": -1}}, ValueError, "cost of task `a` is from 0 to .* got -1"),
        ({"a": {"cost": 1.5}}, TypeError, "cost of task `a` is a whole number, got 1.5"),
        ({"a": {"cost": 2**63}}, ValueError, "cost of task `a` is from 0"),
        ({"a": {"cost": 1, "after": 7}}, TypeError, "after of task `a` is a name or several"),
        ({"a": {"cost": 1, "after": [7]}}, TypeError, "after of task `a` has names of tasks"),
        ({"a": {"cost": 1, "after": "b"}}, ValueError, "`a` is after `b`, which is no task"),
        ({"a": {"cost": 1, "lane": ""}}, ValueError, "lane of task `a` is not empty"),
        (
            {"a": {"cost": 1}, "b": {"cost": 1, "after": ["a", "a"]}},
            ValueError,
            "task `b` names its predecessor `a` twice",
        ),
        (
            {"a": {"cost": 2**62}, "b": {"cost": 2**62}},
            ValueError,
            "exceed 2\\*\\*63 - 2 in sum with that of task `b`",
        ),
    ],
)
def test_what_is_no_graph_is_refused_by_name(tasks, error, words):
    with pytest.raises(error, match=words.replace("[]", r"\[\]").replace("(", r"\(")):
        Graph(tasks)


def test_cycle_is_printed():
    tasks = {name: {"cost": 1, "after": after} for name, after in ("xz", "yx", "zy")}
    with pytest.raises(fo.OrderCycleError, match="in a cycle: x -> y -> z -> x"):
        Graph(tasks | {"w": {"cost": 1, "after": "z"}})


def test_long_cycle_is_cut():
    tasks = {f"t{i}": {"cost": 1, "after": f"t{(i + 29) % 30}"} for i in range(30)}
    with pytest.raises(fo.OrderCycleError, match=r"t15 -> \(14 more\) -> t0"):
        Graph(tasks)


def test_stg_error_names_file_line_and_column(tmp_path):
    path = tmp_path / "bad.stg"
    path.write_text("2\n1 4 0\n2 x 0\n")
    with pytest.raises(ValueError, match=r"bad\.stg, line 3, column 3: expected the cost"):
        Graph.from_stg(path)
    with pytest.raises(OSError, match=r"none\.stg"):
        Graph.from_stg(os.fspath(tmp_path / "none.stg"))
    with pytest.raises(TypeError, match="a path, or text"):
        Graph.from_stg(3)


def test_stg_cycle_is_printed_by_ids():
    with pytest.raises(fo.OrderCycleError, match=r"line 2, column 1: .* 5 -> 8 -> 5"):
        Graph.from_stg("2\n5 1 1 8\n8 1 1 5\n")


def test_pictures_hold_every_task_and_escape_names():
    graph = Graph({'say "x"<b>': {"cost": 1}, "y": {"cost": 2, "after": 'say "x"<b>'}})
    assert '"say \\"x\\"<b>" -> "y";' in graph.to_dot()
    assert "<b>" not in graph._repr_html_()
    assert "critical path 3" in repr(graph)


def test_jobs_are_told_by_release_and_then_by_number():
    result = fo.sim.run(Graph(DIAMOND), cpus=2, policy="fifo")
    told = [(job.name, job.release, job.start, job.finish, job.cpu) for job in result.jobs]
    assert told == [("a", 0, 0, 3, 0), ("b", 3, 3, 5, 0), ("c", 3, 3, 7, 1), ("d", 7, 7, 8, 1)]
    assert all(job.deadline is None for job in result.jobs)
    assert result.jobs[3].response == 1
    assert (result.makespan, result.lower_bound, list(result.misses)) == (8, 8, [])
    assert result.response_times["c"] == [4]
    assert result.utilisation == [5 / 8, 5 / 8]
    assert result.speedup == 10 / 8
    assert "<table>" in result._repr_html_()
    assert "makespan 8, 0.0% above the lower bound" in repr(result)


def test_empty_graph_takes_no_time():
    result = fo.sim.run(Graph({}), cpus=2)
    assert (result.makespan, result.utilisation, list(result.jobs)) == (0, [0.0, 0.0], [])


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"cpus": 0}, ValueError, "cpus is from 1 to 1024, got 0"),
        ({"policy": "edf"}, ValueError, "policy of a task graph is fifo.*got 'edf'"),
        ({"policy": 3}, ValueError, "or a fo.Policy; got 3"),
        ({"queues": "partitioned"}, ValueError, "queues is one of global, per-cpu"),
        ({"queues": "per-cpu", "policy": "list"}, ValueError, "does not go with policy='list'"),
        ({"switch_cost": -1}, ValueError, "switch_cost is from 0"),
        ({"seed": 2**64}, ValueError, "seed is from 0"),
        ({"switch_cost": 2**62}, ValueError, "may exceed 2"),
        ({"until": 5}, ValueError, "until= means nothing for a task graph"),
    ],
)
def test_option_out_of_range_is_refused_by_name(options, error, words):
    with pytest.raises(error, match=words):
        fo.sim.run(Graph(DIAMOND), **options)


class Longest(fo.Policy):
    base = "fifo"

    def __init__(self):
        super().__init__()
        self.seen = []

    def pick(self, ready, *, cpu, now):
        self.seen.append((now, cpu, [runnable.name for runnable in ready]))
        return max(ready, key=lambda runnable: runnable.expected)


def test_policy_picks_among_the_ready():
    policy = Longest()
    result = fo.sim.run(Graph(DIAMOND), cpus=1, policy=policy)
    assert [job.name for job in sorted(result.jobs, key=lambda job: job.start)] == list("acbd")
    assert policy.seen[1] == (3, 0, ["b", "c"])
    assert result.faults == 0


def test_policy_is_not_offered_what_its_lane_holds_back():
    policy = Longest()
    lanes = {name: {"cost": cost, "lane": "l"} for name, cost in (("a", 1), ("b", 3), ("c", 2))}
    result = fo.sim.run(Graph(lanes), cpus=2, policy=policy)
    assert [names for _, _, names in policy.seen] == [["a", "b", "c"], ["a", "c"], ["a"]]
    assert result.makespan == 6


def test_rank_goes_before_what_has_none():
    class Ranks(fo.Policy):
        base = "fifo"

        def enqueue(self, runnable, *, now):
            return {"c": 1, "b": 2}.get(runnable.name)

    tasks = {name: {"cost": 1} for name in "abc"}
    result = fo.sim.run(Graph(tasks), policy=Ranks())
    assert [job.name for job in sorted(result.jobs, key=lambda job: job.start)] == list("cba")


def test_policy_names_the_victims_of_stealing():
    class Last(fo.Policy):
        def victims(self, worker, *, workers):
            return [other for other in reversed(range(workers)) if other != worker]

    tasks = {f"t{i}": {"cost": 4 + i} for i in range(9)}
    result = fo.sim.run(Graph(tasks), cpus=3, policy=Last(), steal_cost=1)
    assert result.steals.total > 0
    assert result.faults == 0


def test_policy_that_fails_is_told_and_does_not_stop_the_run():
    class Broken(fo.Policy):
        base = "fifo"
        max_faults = 2

        def pick(self, ready, *, cpu, now):
            raise RuntimeError("no")

    result = fo.sim.run(Graph(DIAMOND), policy=Broken())
    assert result.makespan == 10
    assert result.faults == 2
    assert [str(error) for error in result.errors] == ["no", "no"]


def test_interrupt_in_a_policy_ends_the_run():
    class Stop(fo.Policy):
        base = "fifo"

        def pick(self, ready, *, cpu, now):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fo.sim.run(Graph(DIAMOND), policy=Stop())


def test_random_policies_keep_every_lane_and_finish():
    rng = np.random.default_rng(5)

    class Dice(fo.Policy):
        base = "fifo"

        def pick(self, ready, *, cpu, now):
            choice = int(rng.integers(0, len(ready) + 1))
            return None if choice == len(ready) else ready[choice]

    tasks = {
        f"t{i}": {"cost": int(rng.integers(0, 5)), "lane": "ab"[i % 2], "after": f"t{i // 3}"}
        for i in range(1, 40)
    } | {"t0": {"cost": 1}}
    for _ in range(30):
        result = fo.sim.run(Graph(tasks), cpus=3, policy=Dice())
        assert len(result.jobs) == 40
        assert result.faults == 0


def test_progress_is_shown(capsys):
    pytest.importorskip("tqdm")
    graph = Graph({f"t{i}": {"cost": 1} for i in range(70_000)})
    fo.sim.run(graph, cpus=3, policy="fifo", progress=True)
    assert "units" in capsys.readouterr().err


@pytest.mark.faults
@pytest.mark.parametrize("policy", ["fifo", "critical-path", "cost", "list", "steal"])
def test_every_failed_allocation_is_a_memory_error(policy):
    tasks = DIAMOND | {"e": {"cost": 1, "lane": "l"}}
    failures = 0
    try:
        for n in range(1, 100):
            _core.fail_nth_allocation(n)
            try:
                run_graph(Graph(tasks), cpus=2, policy=policy)
            except MemoryError:
                failures += 1
            if _core.allocation_failure_is_armed():
                break
    finally:
        _core.fail_nth_allocation(0)
    assert failures > 10


def test_run_is_drawn(tmp_path):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    result = fo.sim.run(Graph(DIAMOND), cpus=2)
    axes = result.gantt()
    assert [label.get_text() for label in axes.get_yticklabels()] == ["CPU 0", "CPU 1"]
    assert {text.get_text() for text in axes.texts} == set("abcd")
    with pytest.raises(ValueError, match="end is from 6"):
        result.gantt(axes, start=5, end=5)
    matplotlib.pyplot.close(axes.figure)


@fo.system
def alone(ctx):
    sum(range(2000))


@fo.system(after=["alone"])
def behind(ctx):
    sum(range(2000))


@fo.system(run_if=lambda ctx: False)
def never(ctx): ...


@fo.system(phase="last", commands=True)
def leave(ctx):
    ctx.commands.spawn()


@pytest.fixture
def traced():
    """A scheduler of one worker that ran three frames, and its trace."""
    with fo.Scheduler(
        fo.World(), fo.Schedule(alone, behind, never, leave), workers=1, trace=True
    ) as scheduler:
        scheduler.tick_n(3, 0.1)
        yield scheduler


def test_frame_of_a_trace_is_a_graph_of_what_ran(traced):
    graph = Graph.from_trace(traced.trace)
    rows = graph.to_dict()
    assert {"alone", "behind", "never", "leave", "merge in last"} <= set(rows)
    assert rows["behind"]["after"] == ["alone"]
    assert rows["alone"].get("lane") == ("python" if HAS_LOCK else None)
    assert rows["never"]["after"] == rows["alone"]["after"]
    assert graph.measured is not None


def test_replay_on_the_same_worker_takes_what_was_measured(traced):
    result = fo.sim.run(Graph.from_trace(traced.trace, frame=1), policy="fifo")
    assert abs(result.prediction_error) < 0.05
    assert "measured" in repr(result)
    assert "prediction error" in result._repr_html_()


def test_trace_itself_is_its_last_whole_frame(traced):
    result = fo.sim.run(traced.trace, cpus=2)
    assert result.graph.names == Graph.from_trace(traced.trace, frame=2).names
    assert result.makespan <= result.graph.work


def test_saved_trace_gives_the_same_graph(traced, tmp_path):
    for name in ("run.json", "run.json.gz"):
        path = tmp_path / name
        traced.trace.save(path)
        saved = Graph.from_trace(path, plan=traced.plan, frame=2)
        assert saved.names == Graph.from_trace(traced.trace, frame=2).names


def test_trace_that_cannot_be_replayed_says_why(traced, tmp_path):
    with pytest.raises(ValueError, match="does not hold frame 99 as a whole; it holds 0 to 2"):
        Graph.from_trace(traced.trace, frame=99)
    with pytest.raises(TypeError, match=r"a trace is scheduler\.trace or the path"):
        Graph.from_trace(3)
    path = tmp_path / "run.json"
    traced.trace.save(path)
    with pytest.raises(ValueError, match="does not hold its plan; give plan="):
        Graph.from_trace(path)
    with pytest.raises(ValueError, match="`behind`, which the plan lacks"):
        Graph.from_trace(path, plan=fo.Schedule(alone, never, leave).plan())
    for text, words in (("{", "line 1, column 2: no JSON"), ("[]", "no trace that foliot saved")):
        path.write_text(text)
        with pytest.raises(ValueError, match=words):
            Graph.from_trace(path, plan=traced.plan)
    traced.trace.clear()
    with pytest.raises(ValueError, match="holds no whole frame"):
        Graph.from_trace(traced.trace)


def arrays(**changed):
    """What the core makes a graph of two tasks of, the second after the first."""
    given = {
        "names": ("a", "b"),
        "costs": np.array([1, 2], "i8"),
        "first": np.array([0, 0, 1], "u8"),
        "predecessors": np.array([0], "u4"),
        "lanes": None,
        "lane_count": 0,
    }
    return given | changed


@pytest.mark.parametrize(
    ("changed", "error", "words"),
    [
        ({"costs": np.array([1], "i8")}, ValueError, "costs is an array of 2 signed integers"),
        ({"costs": np.array([1, 2], "f8")}, ValueError, "costs is an array of 2 signed"),
        ({"costs": np.array([[1, 2]], "i8")}, ValueError, "costs is an array of 2 signed"),
        ({"costs": [1, 2]}, TypeError, "bytes-like"),
        ({"costs": np.array([1, -2], "i8")}, ValueError, "cost of task `b` is at least 0"),
        ({"first": np.array([0, 0, 2], "u8")}, ValueError, "predecessors is an array of 2 uns"),
        ({"first": np.array([0, 0, 2**63], "u8")}, ValueError, "predecessors is an array of"),
        ({"first": np.array([0, 2, 1], "u8")}, ValueError, "do not fit each other"),
        ({"predecessors": np.array([2], "u4")}, ValueError, "of task `b` is number 2, which is"),
        ({"lanes": np.array([0, 0], "u4")}, ValueError, "the lane of task `a` is none"),
    ],
)
def test_arrays_that_make_no_graph_are_refused(changed, error, words):
    with pytest.raises(error, match=words):
        _core.SimGraph(**arrays(**changed))


def test_arrays_to_run_into_are_checked():
    graph = _core.SimGraph(**arrays())
    times, cpu = np.empty(2, "i8"), np.empty(2, "u4")
    with pytest.raises(ValueError, match="cpu is an array of 2 unsigned integers of 4 bytes"):
        graph.run(0, 1, 0, (0, (0, 0, 0), (0, 0, 0)), (times, times, times, times))
    times.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        graph.run(0, 1, 0, (0, (0, 0, 0), (0, 0, 0)), (times, times, times, cpu))
    with pytest.raises(IndexError, match="there is no task 2"):
        graph.task(2)
    with pytest.raises(ValueError, match="cpus is from 1 to 1024, got 0"):
        graph.lower_bound(0)
