"""Simulations of task sets: options are checked here, and the core gets plain numbers."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from foliot._budget import KINDS, LATENCIES, OVERRUNS, SchedulingContext
from foliot._checks import text, whole
from foliot._core import TaskSimulation
from foliot._machine import core_machine, read_costs, read_cpus
from foliot._policy import BASES, read_policy
from foliot._progress import time_bar
from foliot._sim_log import JOB_DTYPE, Setup
from foliot._sim_registry import refuse_options, simulate
from foliot._sim_result import Result
from foliot._taskset import TIME_MAX, PeriodicTask, TaskSet

QUEUES = ("global", "partitioned", "per-cpu")
PREEMPTIONS = ("full", "chunk", "none")
_SEED_MAX = 2**64 - 1
_RECORDS_MAX = 2**26
_SLICE_MAX = 2**38
_DEFAULT_RECORDS = 65_536
_SEGMENTS_AUTO = 100_000
# Of a hyperperiod, by default; past this somebody says how far the simulation goes.
_JOBS_AUTO = 50_000_000
_OPTIONS = (
    *("cpus", "policy", "until", "queues", "preemption", "switch_cost", "migration_cost"),
    *("steal_cost", "seed", "progress", "slices", "tick", "records", "segments", "lag_every"),
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Budget:
    """A scheduling context in a simulation's own units of time: the context of a PeriodicTask.

    ``fo.SchedulingContext`` is the same in seconds; a simulation takes that as well, and then its
    unit is the nanosecond. Tasks with the same Budget draw on it together.

    Attributes:
        budget: time that may be used in each period, at most the deadline.
        period: time until what was used comes back.
        deadline: relative, at most the period; None: the period.
        overrun: "throttle", "skip", "kill", "demote" or "notify", as in ``fo.SchedulingContext``.
        kind: "sporadic", "cbs" or "cbs-soft", the same.
        refills: how many amounts are kept apart, from 2 to 64.
        name: what explanations and pictures call it.

    Errors: TypeError for what is no whole number, ValueError for what is out of range.

    Example:
        >>> Budget(budget=2, period=10).deadline
        10
        >>> Budget(budget=11, period=10)
        Traceback (most recent call last):
        ValueError: budget= is from 1 to 10, got 11.

    """

    budget: int
    period: int
    deadline: int | None = None
    overrun: str = "throttle"
    kind: str = "sporadic"
    refills: int = 8
    name: str = "context"

    def __post_init__(self) -> None:
        def keep(name: str, value: object) -> None:
            object.__setattr__(self, name, value)

        keep("period", whole(self.period, "period=", 1, TIME_MAX))
        given = self.period if self.deadline is None else self.deadline
        keep("deadline", whole(given, "deadline=", 1, self.period))
        keep("budget", whole(self.budget, "budget=", 1, self.relative_deadline))
        keep("refills", whole(self.refills, "refills=", 2, 64))
        _choice(self.overrun, "overrun=", OVERRUNS)
        _choice(self.kind, "kind=", KINDS)
        text(self.name, "name=")

    @property
    def relative_deadline(self) -> int:
        """The deadline as a number."""
        return self.period if self.deadline is None else self.deadline


def _choice(value: object, what: str, allowed: Sequence[str]) -> int:
    """The place of a word among those that are allowed."""
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(
            f"{what} is one of {', '.join(repr(name) for name in allowed)}; got {value!r}."
        )
    return allowed.index(value)


def _times(given: object, what: str, names: Sequence[str]) -> tuple[int, ...]:
    """One time for each name, from one number for all or from as many."""
    if isinstance(given, Iterable) and not isinstance(given, str | bytes):
        values = tuple(given)
        if len(values) != len(names):
            raise ValueError(
                f"{what} is one number or {len(names)}: {', '.join(names)}; got {given!r}."
            )
    else:
        values = (given,) * len(names)
    return tuple(whole(value, what, 1, _SLICE_MAX) for value in values)


class _Groups:
    """Fair groups, numbered from 1 as tasks name them."""

    def __init__(self, tasks: Iterable[PeriodicTask]) -> None:
        self.names: list[str] = []
        self.values: list[tuple[int, int]] = []
        self._numbers: dict[object, int] = {}
        groups = [task.group for task in tasks if task.group is not None]
        # A name stands for the group that is given as an object somewhere, if there is one.
        for group in groups:
            if not isinstance(group, str) and id(group) not in self._numbers:
                weight = whole(getattr(group, "weight", 1024), "weight of a group", 1, 2**20)
                latency = getattr(group, "latency", "normal")
                self._add(id(group), group.name, (weight, _choice(latency, "latency", LATENCIES)))
                self._numbers.setdefault(group.name, len(self.values))
        for group in groups:
            if isinstance(group, str) and group not in self._numbers:
                self._add(group, group, (1024, LATENCIES.index("normal")))

    def _add(self, key: object, name: str, value: tuple[int, int]) -> None:
        self.names.append(name)
        self.values.append(value)
        self._numbers[key] = len(self.values)

    def number(self, group: Any) -> int:
        if group is None:
            return 0
        return self._numbers[group if isinstance(group, str) else id(group)]


class _Contexts:
    """Contexts, numbered from 1: those that tasks name, and a server for each other one."""

    def __init__(self, tasks: TaskSet, base: str, cpus: int) -> None:
        self.names: list[str] = []
        self.values: list[tuple[Any, ...]] = []
        self._numbers: dict[int, int] = {}
        self._of: list[int] = []
        for name, task in zip(tasks.names, tasks, strict=True):
            if task.context is not None:
                self._of.append(self._shared(name, task.context, cpus))
            elif base == "cbs":
                self._of.append(self._add(*_server_of(name, task)))
            else:
                self._of.append(0)

    def _add(self, name: str, value: tuple[Any, ...]) -> int:
        self.names.append(name)
        self.values.append(value)
        return len(self.values)

    def _shared(self, task: str, context: object, cpus: int) -> int:
        if id(context) not in self._numbers:
            self._numbers[id(context)] = self._add(*_read_context(task, context, cpus))
        return self._numbers[id(context)]

    def number(self, task: int) -> int:
        return self._of[task]

    def cpus(self, task: int, cpus: int) -> Sequence[int]:
        """Where a task may run."""
        number = self._of[task]
        return (number and self.values[number - 1][-1]) or range(cpus)


def _read_context(task: str, context: object, cpus: int) -> tuple[str, tuple[Any, ...]]:
    if isinstance(context, Budget):
        times = (context.budget, context.period, context.relative_deadline)
        allowed: tuple[int, ...] = ()
    elif isinstance(context, SchedulingContext):
        times = (context.budget_ns, context.period_ns, context.deadline_ns)
        allowed = tuple(sorted(context.cpus or ()))
    else:
        raise TypeError(
            f"context of task `{task}` is a fo.sim.Budget or a fo.SchedulingContext, got "
            f"{context!r}."
        )
    for cpu in allowed:
        whole(cpu, f"a CPU of context `{context.name}`", 0, cpus - 1)
    kinds = (KINDS.index(context.kind), OVERRUNS.index(context.overrun), context.refills)
    return context.name, (*kinds, *times, 1, allowed)


def _server_of(name: str, task: PeriodicTask) -> tuple[str, tuple[Any, ...]]:
    """The hard constant bandwidth server of a task that has no context."""
    if task.wcet > task.period:
        raise ValueError(
            f"the policy 'cbs' serves task `{name}` by a budget of its wcet {task.wcet} in each "
            f"period of {task.period}: a wcet is at most the period."
        )
    kinds = (KINDS.index("cbs"), OVERRUNS.index("throttle"), 2)
    deadline = min(task.relative_deadline, task.period)
    return name, (*kinds, task.wcet, task.period, deadline, 1, ())


def _place(tasks: TaskSet, contexts: _Contexts, cpus: int) -> list[int]:
    """A CPU for each task: its own, or the first that it does not overload, or the least loaded."""
    loads = [Fraction(0)] * cpus
    places = [0] * len(tasks)
    for index, task in enumerate(tasks):
        if task.cpu is not None:
            allowed = contexts.cpus(index, cpus)
            if task.cpu not in allowed:
                raise ValueError(
                    f"task `{tasks.names[index]}` has cpu {task.cpu}, which its context does not "
                    f"allow; that allows {', '.join(map(str, allowed))}."
                )
            places[index] = task.cpu
            loads[task.cpu] += task.utilisation
    free = [index for index, task in enumerate(tasks) if task.cpu is None]
    for index in sorted(free, key=lambda index: (-tasks[index].utilisation, index)):
        use = tasks[index].utilisation
        allowed = contexts.cpus(index, cpus)
        least = min(allowed, key=lambda cpu: (loads[cpu], cpu))
        place = next((cpu for cpu in allowed if loads[cpu] + use <= 1), least)
        places[index] = place
        loads[place] += use
    return places


def _read_queues(tasks: TaskSet, given: str | None, cpus: int) -> str:
    pinned = [name for name, task in zip(tasks.names, tasks, strict=True) if task.cpu is not None]
    queues = given or ("partitioned" if pinned else "global")
    _choice(queues, "queues=", QUEUES)
    for name, task in zip(tasks.names, tasks, strict=True):
        if task.cpu is not None and task.cpu >= cpus:
            raise ValueError(f"cpu of task `{name}` is below cpus={cpus}, got {task.cpu}.")
    if queues == "global" and pinned:
        raise ValueError(
            f"task `{pinned[0]}` has a cpu, which queues='global' cannot keep to; "
            "queues= is 'partitioned' or 'per-cpu' for it."
        )
    return queues


def _jobs_until(tasks: TaskSet, until: int) -> int:
    """How many jobs are released before a time, at most."""
    return sum(-(-(until - task.offset) // task.period) for task in tasks if task.offset < until)


def _read_until(tasks: TaskSet, given: int | None) -> int:
    if given is not None:
        return whole(given, "until=", 1, TIME_MAX)
    until = max(task.offset for task in tasks) + 2 * tasks.hyperperiod
    if until > TIME_MAX or _jobs_until(tasks, until) > _JOBS_AUTO:
        raise ValueError(
            f"two hyperperiods of this set are {2 * tasks.hyperperiod:,} units, too many to "
            "simulate without being asked to: give until=."
        )
    return until


def _check_memory(tasks: TaskSet, until: int) -> int:
    """The most jobs there can be; ValueError when their log is more than half of the memory."""
    jobs = _jobs_until(tasks, until)
    size = jobs * JOB_DTYPE.itemsize
    room = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    if size > room:
        raise ValueError(
            f"until={until} makes up to {jobs:,} jobs, whose log takes {size / 2**30:,.1f} GiB; "
            f"half of this machine's memory is {room / 2**30:,.1f} GiB. Choose a smaller until=."
        )
    return jobs


def _read_records(given: int | None, jobs: int) -> int:
    wanted = (
        min(_DEFAULT_RECORDS, 64 + 8 * jobs)
        if given is None
        else whole(given, "records=", 0, _RECORDS_MAX)
    )
    return 0 if wanted == 0 else 1 << (wanted - 1).bit_length()


def _read_slices(tasks: TaskSet, given: object) -> tuple[int, ...]:
    if given is not None:
        return _times(given, "slices=", LATENCIES)
    normal = min(_SLICE_MAX // 4, max(1, min(task.period for task in tasks) // 10))
    return max(1, normal // 4), normal, 4 * normal


def _read_priorities(tasks: TaskSet, policy: Any) -> tuple[Any, Sequence[int]]:
    """The policy and the priorities that the core is given.

    Its ties are decided in favour of what runs already; those of the theory, by the place in the
    set. So where a policy of fixed priorities has ties, tasks get their ranks as priorities.
    """
    given = [index if task.priority is None else task.priority for index, task in enumerate(tasks)]
    keys = [task.period for task in tasks] if policy == "rm" else given
    if policy not in ("fp", "rm") or len(set(keys)) == len(keys):
        return policy, given
    return "fp", tasks.priorities(policy)


def _read_tasks(
    tasks: TaskSet,
    priorities: Sequence[int],
    groups: _Groups,
    contexts: _Contexts,
    places: list[int],
) -> list[tuple[Any, ...]]:
    """What the core takes of each task."""
    rows = []
    for index, task in enumerate(tasks):
        costs = task.execution
        rows.append(
            (
                *(task.wcet, task.period, task.relative_deadline, task.offset, task.jitter),
                *(task.sporadic, task.section, task.chunk),
                costs if isinstance(costs, tuple) else (task.wcet if costs is None else costs,),
                *(task.weight, LATENCIES.index(task.latency), groups.number(task.group)),
                *(contexts.number(index), places[index]),
                priorities[index],
            )
        )
    return rows


@simulate.register
def simulate_tasks(tasks: TaskSet, options: Mapping[str, Any]) -> Result:
    """Simulate a task set; see ``foliot.sim.run``."""
    refuse_options(options, _OPTIONS, "a task set")
    if not tasks:
        raise ValueError("a task set to simulate has at least one task, got none.")
    machine = read_cpus(options.get("cpus", 1), "cpus=")
    cpus = machine.cpus
    policy = options.get("policy", "edf")
    base = BASES[read_policy(policy)[0]]
    until = _read_until(tasks, options.get("until"))
    queues = _read_queues(tasks, options.get("queues"), cpus)
    preemption = options.get("preemption", "full")
    costs = (
        whole(options.get("switch_cost", 0), "switch_cost=", 0, TIME_MAX),
        read_costs(options.get("migration_cost", 0), "migration_cost=", TIME_MAX),
        read_costs(options.get("steal_cost", 0), "steal_cost=", TIME_MAX),
    )
    jobs = _check_memory(tasks, until)
    groups, contexts = _Groups(tasks), _Contexts(tasks, base, cpus)
    places = [0] * len(tasks) if queues == "global" else _place(tasks, contexts, cpus)
    bound, priorities = _read_priorities(tasks, policy)
    core = TaskSimulation(
        names=tasks.names,
        tasks=_read_tasks(tasks, priorities, groups, contexts, places),
        groups=groups.values,
        contexts=contexts.values,
        policy=bound,
        cpus=cpus,
        queues=QUEUES.index(queues),
        preemption=_choice(preemption, "preemption=", PREEMPTIONS),
        until=until,
        costs=costs,
        seed=whole(options.get("seed", 0), "seed=", 0, _SEED_MAX),
        slices=_read_slices(tasks, options.get("slices")),
        tick=whole(options.get("tick", 0), "tick=", 0, _SLICE_MAX),
        records=_read_records(options.get("records"), jobs),
        segments=bool(options.get("segments", jobs <= _SEGMENTS_AUTO)),
        sample=whole(options.get("lag_every", 0), "lag_every=", 0, TIME_MAX),
        machine=core_machine(machine),
    )
    with time_bar(options.get("progress"), until) as on_progress:
        core.run(on_progress)
    setup = Setup(
        tasks=tasks,
        machine=machine,
        policy=policy if isinstance(policy, str) else type(policy).__name__,
        until=until,
        queues=queues,
        preemption=preemption,
        groups=tuple(groups.names),
        contexts=tuple(contexts.names),
        budgets=tuple((value[3], value[4]) for value in contexts.values),
        context_of=tuple(contexts.number(index) for index in range(len(tasks))),
    )
    return Result(core, setup)
