"""Machines of simulations: what they refuse, and what is charged by distance."""

import foliot as fo
import numpy as np
import pytest
from foliot import _core
from foliot._machine import core_machine, machine_like
from foliot.sim import Graph, Machine, Moves

PAIRS = [[0, 1], [2, 3]]


def crowded(count):
    """One task for each CPU, all at home on CPU 0, so that the others take theirs."""
    return fo.TaskSet([fo.PeriodicTask(wcet=9, period=200, cpu=0) for _ in range(count)])


def run_crowded(machine, **options):
    options = {"policy": "fifo", "queues": "per-cpu", "until": 200} | options
    return fo.sim.run(crowded(machine.cpus), cpus=machine, **options)


@pytest.mark.parametrize("key", ["caches", "nodes", "smt"])
@pytest.mark.parametrize(
    ("parts", "error", "words"),
    [
        ([[0, 1], [2]], ValueError, "CPU 3 is in none"),
        ([[0, 1], [1, 2, 3]], ValueError, "CPU 1 is there twice"),
        ([[0, 0], [1, 2, 3]], ValueError, "CPU 0 is there twice"),
        ([[0, 1], [2, 3], []], ValueError, "no empty lists"),
        ([[0, 1], [2, 3, 4]], ValueError, "from 0 to 3, got 4"),
        ([[0, 1], [2, -1]], ValueError, "from 0 to 3, got -1"),
        ([[0, 1], [2, 3.0]], TypeError, "whole number, got 3.0"),
        ([0, 1, 2, 3], TypeError, "list of lists of CPUs, got 0 among them"),
        (["01", [2, 3]], TypeError, "list of lists of CPUs, got '01' among them"),
        (4, TypeError, "list of lists of CPUs, got 4"),
    ],
)
def test_what_is_no_partition_is_refused_by_its_cpu(key, parts, error, words):
    with pytest.raises(error, match=words) as refusal:
        Machine(cpus=4, **{key: parts})
    assert f"{key}=" in str(refusal.value)


def test_cache_across_nodes_is_refused():
    with pytest.raises(ValueError, match=r"CPUs 1 and 2 share the cache \[1, 2\] and are of nodes"):
        Machine(cpus=4, caches=[[0], [1, 2], [3]], nodes=PAIRS)


def test_core_across_caches_is_refused():
    with pytest.raises(ValueError, match=r"CPUs 0 and 2 share the core \[0, 2\]"):
        Machine(cpus=4, caches=PAIRS, smt=[[0, 2], [1], [3]])


@pytest.mark.parametrize("count", [0, 1025])
def test_count_of_cpus_out_of_range_is_refused(count):
    with pytest.raises(ValueError, match=rf"cpus= is from 1 to 1024, got {count}"):
        Machine(cpus=count)


def test_grid_of_too_many_cpus_is_refused():
    with pytest.raises(ValueError, match="4 nodes of 4 caches of 65 CPUs are 1040"):
        Machine.grid(nodes=4, caches=4, cpus=65)


def test_grid_is_numbered_in_a_row():
    machine = Machine.grid(nodes=2, caches=2, cpus=2)
    assert machine.caches == ((0, 1), (2, 3), (4, 5), (6, 7))
    assert machine.nodes == ((0, 1, 2, 3), (4, 5, 6, 7))
    assert [machine.distance(0, cpu) for cpu in (1, 3, 4)] == ["cache", "node", "other"]


def test_what_is_left_out_follows_from_the_rest():
    assert Machine(cpus=4, nodes=PAIRS).caches == ((0, 1), (2, 3))
    assert Machine(cpus=4, caches=PAIRS).nodes == ((0, 1, 2, 3),)
    assert Machine.uniform(4) == Machine(cpus=4)


def test_distance_of_no_cpu_is_refused():
    with pytest.raises(ValueError, match="a CPU of the machine is from 0 to 1, got 2"):
        Machine.uniform(2).distance(0, 2)


def test_machine_like_this_one_has_its_processors():
    counts = _core.topology()
    machine = Machine.here()
    assert machine.cpus == counts["processors"]
    assert len(machine.nodes) == counts["numa_nodes"]


def test_uneven_counts_make_a_machine_all_the_same():
    caches = [
        {"level": 1, "shared_by": 1, "type": "data"},
        {"level": 2, "shared_by": 2, "type": "unified"},
    ]
    machine = machine_like({"processors": 7, "cores": 7, "numa_nodes": 2, "caches": caches})
    assert machine.nodes == ((0, 1, 2), (3, 4, 5, 6))
    assert machine.caches == ((0, 1), (2,), (3, 4), (5, 6))
    assert machine.smt is None


def test_machine_without_known_caches_has_one_in_each_node():
    machine = machine_like({"processors": 4, "cores": 2, "numa_nodes": 2, "caches": []})
    assert machine.caches == machine.nodes == ((0, 1), (2, 3))


@pytest.mark.parametrize("cost", ["migration_cost", "steal_cost"])
@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ((1, 2), ValueError, r"one number, or three: same cache, .*; got \(1, 2\)"),
        ((1, 2, 3, 4), ValueError, r"got \(1, 2, 3, 4\)"),
        ((1, -2, 3), ValueError, r"\(same node\) is from 0 to \d+, got -2"),
        ((1, 2, 0.5), TypeError, r"\(other node\) is a whole number, got 0.5"),
        ("123", TypeError, "whole number, got '123'"),
        (-1, ValueError, "got -1"),
    ],
)
@pytest.mark.parametrize("workload", [crowded(2), Graph({"a": {"cost": 1}})])
def test_wrong_costs_are_refused_by_their_distance(workload, cost, given, error, words):
    with pytest.raises(error, match=words) as refusal:
        fo.sim.run(workload, cpus=2, **{cost: given})
    assert cost in str(refusal.value)


@pytest.mark.parametrize("workload", [crowded(2), Graph({"a": {"cost": 1}})])
def test_cpus_are_a_number_or_a_machine(workload):
    for given in ("4", [0, 1], True, 1.5):
        with pytest.raises(TypeError, match=r"cpus=? is a whole number or a fo\.sim\.M"):
            fo.sim.run(workload, cpus=given)


def test_idle_cpus_pay_for_steals_by_their_distance():
    machine = Machine.grid(nodes=2, caches=2, cpus=2)
    result = run_crowded(machine, steal_cost=(1, 10, 100))
    assert result.cpus == 8
    assert result.steals == Moves(1, 2, 4)
    assert [job.start for job in result.jobs] == [0, 1, 10, 10, 100, 100, 100, 100]


def test_costs_of_one_number_are_those_of_every_distance():
    machine = Machine.grid(nodes=2, caches=2, cpus=2)
    one, three = (run_crowded(machine, steal_cost=cost) for cost in (7, (7, 7, 7)))
    assert one.jobs == three.jobs


def test_idle_cpu_takes_from_the_nearest():
    # CPU 1 shares its cache with CPU 0, and comes to CPU 2 first where all are equally near.
    tasks = fo.TaskSet([fo.PeriodicTask(wcet=9, period=99, cpu=cpu) for cpu in (0, 2, 0, 2)])
    options = {"policy": "fifo", "queues": "per-cpu", "until": 99}
    near = fo.sim.run(tasks, cpus=Machine.grid(nodes=2, caches=1, cpus=2), **options)
    flat = fo.sim.run(tasks, cpus=4, **options)
    assert [job.cpu for job in near.jobs] == [0, 2, 1, 3]
    assert [job.cpu for job in flat.jobs] == [0, 1, 3, 2]
    assert near.steals == Moves(2, 0, 0)


def test_thread_of_the_same_core_is_taken_from_first():
    machine = Machine(cpus=4, smt=[[0, 3], [1, 2]])
    tasks = fo.TaskSet([fo.PeriodicTask(wcet=9, period=99, cpu=cpu) for cpu in (1, 3, 1, 3)])
    options = {"policy": "fifo", "queues": "per-cpu", "until": 99}
    result = fo.sim.run(tasks, cpus=machine, **options)
    assert [job.cpu for job in result.jobs] == [1, 0, 2, 3]
    assert result.steals == Moves(2, 0, 0)


def test_victims_of_a_policy_go_before_the_nearest():
    class Far(fo.Policy):
        def victims(self, worker, workers):
            return [cpu for cpu in (3, 2, 1, 0) if cpu != worker]

    tasks = fo.TaskSet([fo.PeriodicTask(wcet=9, period=99, cpu=cpu) for cpu in (0, 3, 0, 3)])
    machine = Machine.grid(nodes=2, caches=1, cpus=2)
    result = fo.sim.run(tasks, cpus=machine, policy=Far(base="fifo"), queues="per-cpu", until=99)
    assert [job.cpu for job in result.jobs] == [0, 1, 3, 2]
    assert result.steals == Moves(1, 0, 2)


def test_migrations_are_counted_and_charged_by_distance():
    # The last task is displaced on CPU 1 and goes on at CPU 0, in another cache of the node.
    machine = Machine(cpus=2, caches=[[0], [1]])
    options = {"policy": "fp", "until": 40}
    tasks = fo.TaskSet(
        [
            fo.PeriodicTask(wcet=4, period=40, priority=0, offset=2),
            fo.PeriodicTask(wcet=4, period=40, priority=1),
            fo.PeriodicTask(wcet=10, period=40, priority=2),
        ]
    )
    free = fo.sim.run(tasks, cpus=machine, **options)
    paid = fo.sim.run(tasks, cpus=machine, migration_cost=(0, 5, 9), **options)
    assert free.migrations == paid.migrations == Moves(0, 1, 0)
    done = [{job.name: job.finish for job in run.jobs} for run in (free, paid)]
    assert done[0]["task2"] + 5 == done[1]["task2"]


def test_graphs_pay_by_distance_and_steal_from_the_nearest():
    rows = {"root": {"cost": 1}} | {f"t{i}": {"cost": 500, "after": "root"} for i in range(8)}
    machine = Machine.grid(nodes=2, caches=2, cpus=2)
    costs = {"migration_cost": (1, 10, 100), "steal_cost": (2, 20, 200)}
    result = fo.sim.run(Graph(rows), cpus=machine, policy="steal", **costs)
    assert result.migrations == result.steals == Moves(1, 2, 4)
    assert sorted(result.start.tolist()) == [0, 1, 4, 31, 31, 301, 301, 301, 301]
    assert result.overhead == 3 + 2 * 30 + 4 * 300
    assert result.machine is machine


def test_moves_are_in_the_tables_of_notebooks():
    machine = Machine.grid(nodes=2, caches=2, cpus=2)
    told = "7 (1 in a cache, 2 in a node, 4 across nodes)"
    assert f"steals {told}" in run_crowded(machine)._repr_html_()
    rows = {"root": {"cost": 1}} | {f"t{i}": {"cost": 500, "after": "root"} for i in range(8)}
    graph = fo.sim.run(Graph(rows), cpus=machine, policy="steal")
    assert f"<tr><th>steals</th><td>{told}</td></tr>" in graph._repr_html_()


def test_core_gets_no_machine_where_all_are_equally_near():
    assert core_machine(Machine.uniform(5)) is None
    rows = core_machine(Machine(cpus=3, caches=[[2], [0, 1]], smt=[[0, 1], [2]]))
    assert rows.tolist() == [0, 0, 1, 1, 1, 0, 0, 0, 0]


def test_array_of_a_machine_is_checked():
    graph = Graph({"a": {"cost": 1}})
    times, cpu = [np.empty(1, "i8") for _ in range(3)], np.empty(1, "u4")
    with pytest.raises(ValueError, match="machine is an array of 6 unsigned integers of 4 bytes"):
        graph._handle.run(
            0, 2, 0, (0, (0, 0, 0), (0, 0, 0)), (*times, cpu), None, None, np.zeros(5, "u4")
        )
