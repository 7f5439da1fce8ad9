"""Runs of task graphs against exact models, job by job, and what holds of every run."""

import os
from dataclasses import asdict
from fractions import Fraction

import pytest
from foliot._graph import Graph
from foliot._graph_run import ORDERS, run_graph
from foliot.sim import Machine
from graph_support import Central, Stealing, fans, graphs
from hypothesis import given, settings
from hypothesis import strategies as st
from machine_support import COSTS as BY_DISTANCE
from machine_support import machines

LONG = settings(max_examples=20_000 if os.environ.get("FOLIOT_STRESS") else 60, deadline=None)
COSTS = st.tuples(*(st.integers(0, 3) for _ in range(3)))


def rows_of(result):
    return {job.name: (job.release, job.start, job.finish, job.cpu) for job in result.jobs}


@pytest.mark.parametrize("order", ["fifo", "critical-path", "cost"])
@LONG
@given(rows=graphs(), machine=machines(), switch=st.integers(0, 3), migration=BY_DISTANCE)
def test_one_queue_does_what_the_model_does(order, rows, machine, switch, migration):
    result = run_graph(
        Graph(rows), cpus=machine, policy=order, switch_cost=switch, migration_cost=migration
    )
    model = Central(rows, machine, order, switch=switch, migration=migration).run()
    assert rows_of(result) == model.rows_of()
    assert result.makespan == model.makespan
    assert asdict(result.migrations) == model.migrations


@LONG
@given(
    rows=graphs() | fans(),
    machine=machines(most=8) | st.builds(Machine.grid, cpus=st.integers(1, 2)),
    costs=st.fixed_dictionaries(
        {"switch": st.integers(0, 3), "migration": BY_DISTANCE, "steal": BY_DISTANCE}
    ),
    seed=st.integers(0, 2**64 - 1),
)
def test_stealing_does_what_the_model_does(rows, machine, costs, seed):
    result = run_graph(
        Graph(rows),
        cpus=machine,
        policy="steal",
        seed=seed,
        **{f"{name}_cost": cost for name, cost in costs.items()},
    )
    model = Stealing(rows, machine, seed, **costs).run()
    assert rows_of(result) == model.rows_of()
    assert asdict(result.migrations) == model.migrations
    assert asdict(result.steals) == model.steals


@pytest.mark.parametrize("order", ORDERS)
@LONG
@given(rows=graphs(), cpus=st.integers(1, 5), costs=COSTS, seed=st.integers(0, 9))
def test_no_run_breaks_precedence_shares_a_cpu_or_beats_the_bound(order, rows, cpus, costs, seed):
    graph = Graph(rows)
    switch, migration, steal = costs
    result = run_graph(
        graph,
        cpus=cpus,
        policy=order,
        seed=seed,
        switch_cost=switch,
        migration_cost=migration,
        steal_cost=steal,
    )
    ran = rows_of(result)
    assert set(ran) == set(rows)
    assert result.makespan >= graph.lower_bound(cpus)
    for name, (release, start, finish, cpu) in ran.items():
        assert release == max((ran[other][2] for other in rows[name].get("after", ())), default=0)
        assert start >= release + switch
        assert finish == start + rows[name]["cost"]
        assert 0 <= cpu < cpus
        for other, (_, other_start, other_finish, other_cpu) in ran.items():
            lane = rows[name].get("lane")
            shares = other_cpu == cpu or (lane is not None and lane == rows[other].get("lane"))
            if shares and other != name and finish > start and other_finish > other_start:
                assert finish <= other_start or other_finish <= start


@pytest.mark.parametrize("order", ORDERS)
@LONG
@given(rows=graphs(lanes=False), cpus=st.integers(1, 5))
def test_every_order_keeps_grahams_bound(order, rows, cpus):
    graph = Graph(rows)
    makespan = run_graph(graph, cpus=cpus, policy=order).makespan
    assert makespan <= (2 - Fraction(1, cpus)) * graph.lower_bound(cpus)


@LONG
@given(rows=graphs(), cpus=st.integers(1, 5), costs=COSTS, seed=st.integers(0, 9))
def test_list_scheduling_is_never_longer_than_its_rules(rows, cpus, costs, seed):
    graph = Graph(rows)
    options = {"cpus": cpus, "seed": seed, "switch_cost": costs[0], "migration_cost": costs[1]}
    best = run_graph(graph, policy="list", **options).makespan
    for order in ("fifo", "critical-path", "cost"):
        assert best <= run_graph(graph, policy=order, **options).makespan


@LONG
@given(rows=graphs())
def test_one_cpu_without_costs_takes_the_work(rows):
    graph = Graph(rows)
    for order in ORDERS:
        assert run_graph(graph, policy=order).makespan == graph.work


@LONG
@given(rows=graphs())
def test_graph_comes_back_from_its_dict(rows):
    assert Graph(rows).to_dict() == rows


@LONG
@given(rows=graphs(lanes=False))
def test_graph_comes_back_from_its_stg_text(rows):
    numbers = {name: number for number, name in enumerate(rows, 1)}
    lines = [str(len(rows))]
    for name, row in rows.items():
        after = [numbers[other] for other in row.get("after", ())]
        lines.append(" ".join(map(str, [numbers[name], row["cost"], len(after), *after])))
    read = Graph.from_stg("\n".join(lines) + "\n").to_dict()
    assert [row["cost"] for row in read.values()] == [row["cost"] for row in rows.values()]
    assert [[int(other) for other in row.get("after", ())] for row in read.values()] == [
        [numbers[other] for other in row.get("after", ())] for row in rows.values()
    ]


@settings(max_examples=300, deadline=None)
@given(text=st.binary(max_size=60) | st.text("0123456789 \n#-", max_size=60).map(str.encode))
def test_any_text_is_a_graph_or_a_value_error_with_its_place(text):
    refusal = None
    try:
        graph = Graph.from_stg(text)
    except ValueError as error:
        refusal = str(error)
    if refusal is None:
        assert graph.lower_bound(1) == graph.work
    else:
        assert refusal.startswith("the text, line ")
