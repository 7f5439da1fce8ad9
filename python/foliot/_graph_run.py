"""Runs of task graphs on virtual CPUs: ``fo.sim.run(graph, …)`` and what it gives.

The compiled core simulates; this module reads options and gives the answer names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from foliot import _checks
from foliot._graph import Graph
from foliot._machine import Machine, Moves, core_machine, read_costs, read_cpus
from foliot._policy import Policy
from foliot._progress import time_bar
from foliot._sim_log import LazySequence, PerTask
from foliot._sim_registry import refuse_options, simulate
from foliot._trace import Trace

if TYPE_CHECKING:
    import numpy.typing as npt

# Places in fol_sim_graph_order, and other names of some.
ORDERS = ("fifo", "critical-path", "cost", "list", "steal")
_ALIASES = {"greedy": "fifo", "best": "list", "per-cpu": "steal"}
_QUEUES = ("global", "per-cpu")
_OPTIONS = ("cpus", "policy", "queues", "seed", "switch_cost", "migration_cost", "steal_cost")


@dataclass(frozen=True, slots=True)
class GraphJob:
    """One task as it ran: what ``Job`` is for a task set.

    Attributes:
        name: of the task.
        release: when all that it is after had finished.
        start: when its own work began, after what the switch to it cost.
        finish: when it ended.
        deadline: None; tasks of a graph have none.
        cpu: where it ran.

    """

    name: str
    release: int
    start: int
    finish: int
    deadline: None
    cpu: int

    @property
    def response(self) -> int:
        """Time from release to finish."""
        return self.finish - self.release


@dataclass(frozen=True, kw_only=True, eq=False)
class GraphResult:
    """A run of a task graph.

    Attributes:
        graph: what was run.
        policy: the order of work: a name, or the ``fo.Policy``.
        cpus: how many there were.
        machine: how near they were to each other.
        makespan: when the last task finished.
        overhead: what switches, migrations and steals cost, on all CPUs.
        migrations: tasks that ran elsewhere than where they became ready, by how far that is.
        steals: tasks taken from another CPU's deque, by how far that is.
        passes: schedules that were tried.
        faults: answers of a ``fo.Policy`` that could not be, and calls that raised.
        errors: the last of those as exceptions.
        release, start, finish, cpu: an array each, by number of the task.

    """

    graph: Graph
    policy: str | Policy
    cpus: int
    machine: Machine
    makespan: int
    overhead: int
    migrations: Moves
    steals: Moves
    passes: int
    faults: int
    errors: list[Exception]
    release: npt.NDArray[np.int64] = field(repr=False)
    start: npt.NDArray[np.int64] = field(repr=False)
    finish: npt.NDArray[np.int64] = field(repr=False)
    cpu: npt.NDArray[np.uint32] = field(repr=False)

    @property
    def jobs(self) -> LazySequence[GraphJob]:
        """All tasks as they ran, by release, those of one instant by number."""
        return LazySequence(np.argsort(self.release, kind="stable"), self._job)

    def _job(self, task: int) -> GraphJob:
        arrays = (self.release, self.start, self.finish, self.cpu)
        release, start, finish, cpu = (int(array[task]) for array in arrays)
        return GraphJob(self.graph.names[task], release, start, finish, None, cpu)

    @property
    def misses(self) -> LazySequence[GraphJob]:
        """Missed deadlines: none, for tasks of a graph have no deadlines."""
        return LazySequence((), self._job)

    @property
    def response_times(self) -> PerTask[list[int]]:
        """For each task, the time from its release to its finish."""
        spans = (self.finish - self.release).tolist()
        return PerTask(self.graph.names, [[span] for span in spans])

    @property
    def utilisation(self) -> list[float]:
        """For each CPU the part of the time, from 0 to the makespan, that it worked on tasks."""
        busy = np.zeros(self.cpus, "i8")
        np.add.at(busy, self.cpu, self.finish - self.start)
        return (busy / self.makespan).tolist() if self.makespan else [0.0] * self.cpus

    @property
    def lower_bound(self) -> int:
        """What no run on so many CPUs can beat."""
        return self.graph.lower_bound(self.cpus)

    @property
    def speedup(self) -> float:
        """How many times as long one CPU would take without overheads; 1.0 for no work."""
        return self.graph.work / self.makespan if self.makespan else 1.0

    @property
    def prediction_error(self) -> float | None:
        """Of a replayed frame: how far the makespan is above what was measured, as a part of that.

        Negative when the frame took longer. It is the error of a prediction only if the workers and
        the order are those that the frame had. None for graphs that were not measured.
        """
        measured = self.graph.measured
        return None if not measured else (self.makespan - measured) / measured

    def __repr__(self) -> str:
        policy = self.policy if isinstance(self.policy, str) else type(self.policy).__name__
        above = self.makespan / self.lower_bound - 1 if self.lower_bound else 0.0
        error = self.prediction_error
        measured = "" if error is None else f", measured {self.graph.measured:,} ({error:+.1%})"
        return (
            f"<GraphResult of {len(self.graph):,} tasks on {self.cpus} CPUs under {policy}: "
            f"makespan {self.makespan:,}, {above:.1%} above the lower bound{measured}>"
        )

    def gantt(self, ax: Any = None, *, start: int = 0, end: int | None = None) -> Any:
        """Draw who ran where (matplotlib, the extra ``plot``): a lane for each CPU.

        Args:
            ax: a matplotlib Axes to draw on; by default one of a new figure.
            start: of the part of time to draw.
            end: of that part; None: the makespan.

        Returns:
            The Axes.

        Errors: ValueError for an empty part or one of too many tasks; ImportError without
        matplotlib.
        """
        from foliot._graph_plot import gantt

        return gantt(self, ax, start, max(1, self.makespan) if end is None else end)

    def _repr_html_(self) -> str:
        """A table for notebooks."""
        policy = self.policy if isinstance(self.policy, str) else type(self.policy).__name__
        rows = [
            ("policy", policy),
            ("CPUs", f"{self.cpus}"),
            ("makespan", f"{self.makespan:,}"),
            ("lower bound", f"{self.lower_bound:,}"),
            ("speedup", f"{self.speedup:.2f}"),
            ("utilisation", ", ".join(f"{share:.1%}" for share in self.utilisation)),
            ("migrations", str(self.migrations)),
            ("steals", str(self.steals)),
        ]
        error = self.prediction_error
        if error is not None:
            rows += [
                ("measured", f"{self.graph.measured:,}"),
                ("prediction error", f"{error:+.1%}"),
            ]
        cells = "".join(
            f"<tr><th>{escape(head)}</th><td>{escape(value)}</td></tr>" for head, value in rows
        )
        return f"<table><caption>run of a task graph</caption><tbody>{cells}</tbody></table>"


def order_of(policy: object, queues: str | None) -> str:
    """The core's order for a policy and a kind of queue.

    Example:
        >>> order_of("greedy", None), order_of("list", "global")
        ('fifo', 'list')
        >>> order_of("edf", None)
        Traceback (most recent call last):
        ValueError: the policy of a task graph is fifo, critical-path, cost, list or steal (or
        greedy, best, per-cpu), or a fo.Policy; got 'edf'.

    """
    if queues is not None and queues not in _QUEUES:
        raise ValueError(f"queues is one of {', '.join(_QUEUES)} for a task graph, got {queues!r}.")
    if isinstance(policy, Policy):
        steals = "victims" in policy.slots and not {"pick", "enqueue"} & set(policy.slots)
        order = "steal" if queues == "per-cpu" or (steals and queues is None) else "fifo"
    else:
        name = _ALIASES.get(policy, policy) if isinstance(policy, str) else policy
        if name not in ORDERS:
            raise ValueError(
                f"the policy of a task graph is {', '.join(ORDERS[:-1])} or {ORDERS[-1]} (or "
                f"{', '.join(_ALIASES)}), or a fo.Policy; got {policy!r}."
            )
        order = name
    if queues is not None and (order == "steal") != (queues == "per-cpu"):
        raise ValueError(
            f"queues={queues!r} does not go with policy={policy!r}: per-cpu queues steal, a global "
            "one does not."
        )
    return order


def run_graph(
    graph: Graph,
    *,
    cpus: int | Machine = 1,
    policy: str | Policy = "list",
    queues: str | None = None,
    seed: int = 0,
    switch_cost: int = 0,
    migration_cost: int | Sequence[int] = 0,
    steal_cost: int | Sequence[int] = 0,
    progress: bool = False,
) -> GraphResult:
    """Run a task graph on virtual CPUs; each task stays where it starts until it finishes.

    Args:
        graph: what to run.
        cpus: how many there are, 1 to 1024; or a ``fo.sim.Machine``, whose thieves look at near
            victims first.
        policy: "fifo" or "greedy": whoever was ready first, by number among equals.
            "critical-path": whose way to the end is the longest, then who has more successors.
            "cost": the longest task that is ready. "list" or "best": tries these three, improves
            the best by passes back and forth, and keeps the shortest run, so that it is never
            longer than greedy. "steal": a deque on each CPU; its own newest, else the oldest of a
            victim. A ``fo.Policy``: its enqueue and pick decide, else who was ready first; its
            victims decide where stealing looks.
        queues: "global" or "per-cpu"; needed only with a ``fo.Policy`` that shall steal although
            it picks.
        seed: where stealing begins to look, and what list scheduling tries among equals.
        switch_cost: what a CPU spends before each task.
        migration_cost: what it spends more for one that became ready on another CPU; one number,
            or three, for a CPU of the same cache, of the same node, and of another one.
        steal_cost: and more for one that it stole; one number or three, by how far that is.
        progress: show a progress bar (needs tqdm); list scheduling starts it anew in each pass.

    The same arguments give the same run. A run takes O((n + e) log n) steps.

    Errors: TypeError and ValueError, which name the argument.

    Example:
        >>> graph = Graph({"a": {"cost": 2}, "b": {"cost": 2}, "c": {"cost": 4}})
        >>> run_graph(graph, cpus=2, policy="fifo").makespan, run_graph(graph, cpus=2).makespan
        (6, 4)

    """
    order = order_of(policy, queues)
    count = len(graph)
    whole = (np.empty(count, "i8"), np.empty(count, "i8"), np.empty(count, "i8"))
    cpu = np.empty(count, "u4")
    costs = (
        _checks.whole(switch_cost, "switch_cost", 0, 2**62),
        read_costs(migration_cost, "migration_cost", 2**62),
        read_costs(steal_cost, "steal_cost", 2**62),
    )
    machine = read_cpus(cpus, "cpus")
    options = (
        ORDERS.index(order),
        machine.cpus,
        _checks.whole(seed, "seed", 0, 2**64 - 1),
    )
    slots = policy if isinstance(policy, Policy) else None
    with time_bar(progress, count) as on_progress:
        told = graph._handle.run(
            *options, costs, (*whole, cpu), slots, on_progress, core_machine(machine)
        )
    for array in (*whole, cpu):
        array.flags.writeable = False
    return GraphResult(
        graph=graph,
        policy=policy if isinstance(policy, Policy) else order,
        cpus=machine.cpus,
        machine=machine,
        migrations=Moves(*told.pop("migrations")),
        steals=Moves(*told.pop("steals")),
        release=whole[0],
        start=whole[1],
        finish=whole[2],
        cpu=cpu,
        **told,
    )


@simulate.register
def simulate_graph(graph: Graph, options: Mapping[str, Any]) -> GraphResult:
    refuse_options(options, (*_OPTIONS, "progress"), "a task graph")
    return run_graph(graph, **options)


@simulate.register
def simulate_trace(trace: Trace, options: Mapping[str, Any]) -> GraphResult:
    refuse_options(options, (*_OPTIONS, "progress"), "a trace")
    return run_graph(Graph.from_trace(trace), **options)
