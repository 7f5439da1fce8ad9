"""The simulator: task sets, task graphs and recorded work on virtual CPUs, under any policy.

Time is a whole number of any one unit, or nanoseconds of a recording; it never passes by a real
clock. What decides is the policy core that the scheduler runs on, so that a policy which was tried
here does the same live. Equal arguments give equal results.

    >>> import foliot as fo
    >>> tasks = fo.TaskSet([fo.PeriodicTask(wcet=2, period=5), fo.PeriodicTask(wcet=4, period=7)])
    >>> fo.sim.run(tasks, policy="edf", until=35).misses
    []
    >>> fo.sim.run(tasks, policy="rm", until=35).misses[0].deadline
    7

``run`` takes the workload; what simulates which kind of it stands in one table, by type. Results of
task sets are ``Result``, made of ``Job``, ``Event``, ``Decision``, ``Moves`` and ``Account``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from foliot._account import Account
from foliot._graph import Graph
from foliot._graph_run import GraphJob, GraphResult
from foliot._machine import Machine, Moves
from foliot._sim_log import BudgetUse, Decision, Event, Job
from foliot._sim_registry import simulate
from foliot._sim_result import Result

# Importing what simulates a kind of workload puts it into the table.
from foliot._sim_tasks import Budget
from foliot._workload import Workload, load_workload

if TYPE_CHECKING:
    from collections.abc import Sequence

    from foliot._policy import Policy

__all__ = [
    "Account",
    "Budget",
    "BudgetUse",
    "Decision",
    "Event",
    "Graph",
    "GraphJob",
    "GraphResult",
    "Job",
    "Machine",
    "Moves",
    "Result",
    "Workload",
    "load_workload",
    "run",
]


def run(
    workload: Any,
    *,
    cpus: int | Machine | None = None,
    policy: str | Policy | None = None,
    until: int | None = None,
    queues: str | None = None,
    preemption: str | None = None,
    switch_cost: int | None = None,
    migration_cost: int | Sequence[int] | None = None,
    steal_cost: int | Sequence[int] | None = None,
    seed: int | None = None,
    progress: bool | None = None,
    slices: int | Sequence[int] | None = None,
    tick: int | None = None,
    records: int | None = None,
    segments: bool | None = None,
    lag_every: int | None = None,
) -> Any:
    """Simulate a workload.

    An option that is None has its default, and one that means nothing to the workload is refused.

    What happens at one instant happens in this order: ends of jobs, slices and budgets, by CPU;
    refills; releases, by task; then picks, by CPU. A job that ends at its deadline has met it. A
    task's next job waits while an earlier one is unfinished. What ends at ``until`` has ended, and
    what is released there is not simulated.

    Args:
        workload: a ``fo.TaskSet``, or any other kind of workload that is registered.
        cpus: virtual CPUs, 1 to 1024; by default 1. Or a ``Machine``, which says how near they are
            to each other; those of a number all share one cache.
        policy: "edf" (the default), "fp", "rm", "fifo", "eevdf" or "cbs", or a ``fo.Policy``.
            Under "cbs" each task without a context is served by a hard constant bandwidth server
            of its wcet in each period.
        until: the end of the simulation; by default the last offset and two hyperperiods.
        queues: "global": one queue for all CPUs; "partitioned": one for each, and tasks stay on
            their ``cpu``; "per-cpu": one for each, where a task is at home on its ``cpu``, and an
            idle CPU takes from the others, the nearest first, then round the circle from itself,
            unless a policy's ``victims`` says otherwise. With a global queue the choice of a CPU
            does not go by distance. A task without ``cpu`` is placed: the largest
            utilisation first, on the first CPU that it does not overload, else on the one with the
            least. By default "partitioned" when a task has a ``cpu``, else "global".
        preemption: "full": anywhere; "chunk": after each of a task's ``chunk`` units, and not
            within a job of a task without; "none": jobs run to their ends. The first ``section``
            units of a job are never preempted: so long, at most, it may hold up more urgent ones.
        switch_cost: time a CPU spends before a job goes on where somebody else, or nobody, ran.
        migration_cost: the same, where the task ran on another CPU before. One number, or three,
            for a CPU of the same cache, of the same node, and of another one.
        steal_cost: the same, where the job was taken from another CPU's queue; one number or
            three, by how far that is. Costs add up, cannot be interrupted, and are on nobody's
            account.
        seed: of jitter and of sporadic gaps; by default 0.
        progress: show a progress bar (needs tqdm).
        slices: of fair tasks, in time units: one number for all, or three: interactive, normal,
            batch. By default a tenth of the shortest period for normal ones, a quarter of that for
            interactive and four times as much for batch.
        tick: of fair tasks: how soon one that runs on after its protection is looked at again, and
            so much their lags may pass the longest slice; by default 0: at the exact time. Live it
            is ``Config.target_task_seconds``.
        records: how many of the last decisions are kept, rounded up to a power of two; by default
            enough for small runs, and 65,536 at most.
        segments: whether to keep who ran where from when to when, which pictures need; by default
            for up to 100,000 jobs.
        lag_every: keep the lags of fair tasks at the first instant in each so many units.

    Returns:
        ``Result`` for a task set.

    Errors: TypeError for a workload of no known type; ValueError for an option that is out of range
    or means nothing here, and for more jobs than memory can hold. KeyboardInterrupt stops a run.

    Example:
        >>> import foliot as fo
        >>> tasks = fo.TaskSet([
        ...     fo.PeriodicTask(wcet=1, period=2, name="a"),
        ...     fo.PeriodicTask(wcet=5, period=20, name="b"),
        ...     fo.PeriodicTask(wcet=1, period=20, name="c"),
        ... ])
        >>> result = fo.sim.run(tasks, policy="fp", until=20)
        >>> [max(times) for times in result.response_times]
        [1, 10, 12]
        >>> result.jobs[1]
        Job(name='b', release=0, start=1, finish=10, deadline=20, cpu=0)

    """
    given = {
        "cpus": cpus,
        "policy": policy,
        "until": until,
        "queues": queues,
        "preemption": preemption,
        "switch_cost": switch_cost,
        "migration_cost": migration_cost,
        "steal_cost": steal_cost,
        "seed": seed,
        "progress": progress,
        "slices": slices,
        "tick": tick,
        "records": records,
        "segments": segments,
        "lag_every": lag_every,
    }
    return simulate(workload, {name: value for name, value in given.items() if value is not None})
