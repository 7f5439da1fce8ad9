"""Task sets: periodic and sporadic work as the theory of real-time scheduling describes it.

What is declared here is read by ``foliot.analysis``, which proves what will meet its deadlines, and
by the simulator, which shows it happen. Nothing here computes a schedule.
"""

from __future__ import annotations

import html
import json
import math
import random as _random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from fractions import Fraction
from typing import Any, Protocol, overload, runtime_checkable

from foliot import _checks

TIME_MAX = 2**60
LATENCIES = ("interactive", "normal", "batch")
_PRIORITY_BOUND = 2**31
_CPUS_MAX = 65_536
_WEIGHT_MAX = 1_048_576
_TASKS_MAX = 65_536
_RANDOM_TRIES = 1000


@runtime_checkable
class GroupLike(Protocol):
    """A fair group: anything with a name, such as ``fo.Group``."""

    @property
    def name(self) -> str: ...


@dataclass(frozen=True, kw_only=True)
class PeriodicTask:
    """A task that releases a job each period; times are whole numbers of any one unit.

    Analysis reads ``wcet``, ``period``, ``deadline``, ``jitter`` and ``blocking``. It leaves
    ``offset`` out, because it answers for every offset: on one CPU no release pattern is worse than
    all tasks at once. The simulator reads all but ``blocking``: there it comes of ``section``.

    Attributes:
        wcet: the most processor time a job takes, from 1 to the deadline. It may pass the period
            where the deadline does; then the task alone overloads a CPU, and verdicts say so.
        period: time from one release to the next; with ``sporadic``, the least such time.
        deadline: time from a job's release to its deadline; None stands for the period.
        jitter: the longest that a job may become ready after its release. The deadline counts from
            the release, so a job that is ready late has only ``deadline - jitter`` left.
        blocking: the longest that less urgent work may hold the task back, in a critical section
            for example: once for each stretch of time in which more urgent work is pending.
            `TaskSet.with_blocking` finds it from the sections of the others.
        section: so much of the beginning of each job cannot be preempted.
        offset: the first release.
        name: how verdicts and pictures call the task; None: ``task0``, ``task1``, … by its place.
        execution: what jobs take in fact: a number for all of them, or several, which are taken in
            turn; None: the wcet. A number above the wcet makes an overrun.
        sporadic: the largest random gap that the simulator adds to a period.
        priority: for the policy "fp": the lowest number goes first, equal ones by their place in
            the set. None: the place in the set.
        weight: the share among fair tasks; 1024 is normal.
        latency: "interactive", "normal" or "batch": how short a slice of a fair task is.
        group: the fair group, or its name.
        context: the scheduling context that pays for the jobs.
        cpu: the only CPU the task may use; None: any.
        chunk: jobs can be preempted after each so many units of work only; 0: anywhere.

    Errors: TypeError for what is no whole number or text, ValueError for what is out of range; both
    name the task, the field, the value and what is allowed.

    Example:
        >>> task = PeriodicTask(wcet=2, period=5, name="control")
        >>> task.deadline, task.utilisation
        (5, Fraction(2, 5))
        >>> PeriodicTask(wcet=6, period=5, name="late")
        Traceback (most recent call last):
        ValueError: wcet of task `late` is from 1 to its deadline 5, got 6.

    """

    wcet: int
    period: int
    deadline: int | None = None
    jitter: int = 0
    blocking: int = 0
    section: int = 0
    offset: int = 0
    name: str | None = None
    execution: int | Sequence[int] | None = None
    sporadic: int = 0
    priority: int | None = None
    weight: int = 1024
    latency: str = "normal"
    group: str | GroupLike | None = None
    context: object | None = None
    cpu: int | None = None
    chunk: int = 0

    def __post_init__(self) -> None:
        if self.name is not None:
            _checks.text(self.name, "the name of a task")
        self._check("period", 1)
        if self.deadline is None:
            object.__setattr__(self, "deadline", self.period)
        self._check("deadline", 1)
        self._check("wcet", 1)
        if self.wcet > self.relative_deadline:
            raise ValueError(
                f"wcet{self._whose()} is from 1 to its deadline {self.deadline}, got {self.wcet}."
            )
        for name in ("jitter", "blocking", "section", "offset", "sporadic", "chunk"):
            self._check(name, 0)
        self._check("weight", 1, _WEIGHT_MAX)
        if self.priority is not None:
            self._check("priority", -_PRIORITY_BOUND, _PRIORITY_BOUND - 1)
        if self.cpu is not None:
            self._check("cpu", 0, _CPUS_MAX - 1)
        if self.latency not in LATENCIES:
            raise ValueError(
                f"latency{self._whose()} is one of {', '.join(LATENCIES)}, got {self.latency!r}."
            )
        if isinstance(self.group, str):
            _checks.text(self.group, f"group{self._whose()}")
        elif self.group is not None and not isinstance(self.group, GroupLike):
            raise TypeError(f"group{self._whose()} is a name or a fo.Group, got {self.group!r}.")
        object.__setattr__(self, "execution", self._checked_execution())

    @property
    def relative_deadline(self) -> int:
        """The deadline as a number: the period where none was given."""
        return self.period if self.deadline is None else self.deadline

    @property
    def utilisation(self) -> Fraction:
        """The part of one CPU that the task takes at most: wcet over period."""
        return Fraction(self.wcet, self.period)

    @property
    def density(self) -> Fraction:
        """The wcet over the smaller of deadline and period."""
        return Fraction(self.wcet, min(self.relative_deadline, self.period))

    def _whose(self) -> str:
        return "" if self.name is None else f" of task `{self.name}`"

    def _check(self, name: str, lowest: int, highest: int = TIME_MAX) -> None:
        # numpy's numbers become Python's.
        value = _checks.whole(getattr(self, name), f"{name}{self._whose()}", lowest, highest)
        object.__setattr__(self, name, value)

    def _checked_execution(self) -> int | tuple[int, ...] | None:
        given, what = self.execution, f"execution{self._whose()}"
        if given is None:
            return None
        if isinstance(given, str | bytes) or not isinstance(given, Iterable):
            return _checks.whole(given, what, 1, TIME_MAX)
        costs = tuple(_checks.whole(cost, what, 1, TIME_MAX) for cost in given)
        if not costs:
            raise ValueError(f"{what} is a number or at least one of them, got none.")
        return costs


_DEFAULTS = {item.name: item.default for item in fields(PeriodicTask)}
_FIELDS = tuple(name for name in _DEFAULTS if name != "context")


@dataclass(frozen=True, init=False, repr=False)
class TaskSet(Sequence[PeriodicTask]):
    """Tasks in an order that matters: the first is the most urgent one under the policy "fp".

    A sequence: ``len``, indexing, slices (again a TaskSet), iteration. Names are distinct; tasks
    without one are called by their place.

    Errors: TypeError for what is no PeriodicTask, ValueError for two tasks of one name or more than
    65,536 tasks.

    Example:
        >>> tasks = TaskSet([PeriodicTask(wcet=2, period=5), PeriodicTask(wcet=4, period=7)])
        >>> tasks.utilisation, tasks.hyperperiod, tasks.names
        (Fraction(34, 35), 35, ('task0', 'task1'))

    """

    tasks: tuple[PeriodicTask, ...] = ()
    names: tuple[str, ...] = field(init=False, compare=False)

    def __init__(self, tasks: Iterable[PeriodicTask] = ()) -> None:
        kept = tuple(tasks)
        for index, task in enumerate(kept):
            if not isinstance(task, PeriodicTask):
                raise TypeError(f"task {index} of a TaskSet is a fo.PeriodicTask, got {task!r}.")
        if len(kept) > _TASKS_MAX:
            raise ValueError(f"a TaskSet has at most {_TASKS_MAX} tasks, got {len(kept)}.")
        places: dict[str, int] = {}
        for index, task in enumerate(kept):
            name = f"task{index}" if task.name is None else task.name
            if name in places:
                raise ValueError(
                    f"tasks {places[name]} and {index} of a TaskSet are both called `{name}`; "
                    "names are distinct."
                )
            places[name] = index
        object.__setattr__(self, "tasks", kept)
        object.__setattr__(self, "names", tuple(places))

    @overload
    def __getitem__(self, index: int) -> PeriodicTask: ...
    @overload
    def __getitem__(self, index: slice) -> TaskSet: ...
    def __getitem__(self, index: int | slice) -> PeriodicTask | TaskSet:
        return TaskSet(self.tasks[index]) if isinstance(index, slice) else self.tasks[index]

    def __len__(self) -> int:
        return len(self.tasks)

    def __iter__(self) -> Iterator[PeriodicTask]:
        return iter(self.tasks)

    @property
    def utilisation(self) -> Fraction:
        """The sum of the tasks' utilisations, exactly."""
        # Sums of equal denominators first: far fewer reductions of large fractions.
        costs: dict[int, int] = {}
        for task in self.tasks:
            costs[task.period] = costs.get(task.period, 0) + task.wcet
        return sum((Fraction(cost, period) for period, cost in costs.items()), Fraction(0))

    @property
    def hyperperiod(self) -> int:
        """The least common multiple of the periods; 1 for an empty set."""
        return math.lcm(*(task.period for task in self.tasks))

    def priorities(self, policy: str = "fp") -> tuple[int, ...]:
        """The rank of each task under a policy of fixed priorities; rank 0 is the most urgent.

        Args:
            policy: "fp": by ``priority``, the lowest number first, which is the place in the set
                where a task has none; "rm": by period, the shortest first. Ties: by place.

        ValueError: another policy.

        Example:
            >>> tasks = TaskSet([PeriodicTask(wcet=1, period=9), PeriodicTask(wcet=1, period=4)])
            >>> tasks.priorities("fp"), tasks.priorities("rm")
            ((0, 1), (1, 0))

        """
        if policy not in ("fp", "rm"):
            raise ValueError(f"the policy of fixed priorities is fp or rm, got {policy!r}.")
        keys = [
            task.period if policy == "rm" else index if task.priority is None else task.priority
            for index, task in enumerate(self.tasks)
        ]
        order = sorted(range(len(keys)), key=lambda index: (keys[index], index))
        ranks = [0] * len(keys)
        for rank, index in enumerate(order):
            ranks[index] = rank
        return tuple(ranks)

    def with_blocking(self, policy: str = "fp") -> TaskSet:
        """The same tasks, with the ``blocking`` that the sections of less urgent ones cause.

        A job can be held back by one section that began before it was released, of a task that is
        less urgent: the longest of those counts (Baker, "Stack-based scheduling of realtime
        processes", Real-Time Systems 3, 1991).

        Args:
            policy: "fp" or "rm", as for ``priorities``; or "edf": tasks with later deadlines,
                counted from the release, are less urgent.

        ValueError: another policy.

        Example:
            >>> tasks = TaskSet([
            ...     PeriodicTask(wcet=1, period=4), PeriodicTask(wcet=3, period=9, section=2)])
            >>> [task.blocking for task in tasks.with_blocking("fp")]
            [2, 0]

        """
        if policy == "edf":
            keys: tuple[int, ...] = tuple(task.relative_deadline for task in self.tasks)
        elif policy in ("fp", "rm"):
            keys = self.priorities(policy)
        else:
            raise ValueError(f"the policy of sections is fp, rm or edf, got {policy!r}.")
        held = list(zip(keys, self.tasks, strict=True))
        return TaskSet(
            replace(
                task,
                blocking=max((other.section for less, other in held if less > key), default=0),
            )
            for key, task in held
        )

    @classmethod
    def from_dict(cls, data: Mapping[str, Any] | Sequence[Any]) -> TaskSet:
        """A set from plain data: ``{"tasks": [{"wcet": 1, "period": 4}, …]}``, or the list alone.

        Keys are the fields of PeriodicTask but ``context``.

        Errors: as of PeriodicTask and TaskSet, with the place of the task; ValueError for keys that
        mean nothing or are missing.

        Example:
            >>> TaskSet.from_dict([{"wcet": 1, "period": 4, "name": "a"}])
            TaskSet([PeriodicTask(wcet=1, period=4, name='a')])

        """
        rows: object = data
        if isinstance(data, Mapping):
            unknown = sorted(str(key) for key in data if key != "tasks")
            if unknown or "tasks" not in data:
                raise ValueError(
                    "a task set as a dict has the one key `tasks`, got "
                    f"{', '.join(f'`{key}`' for key in unknown) or 'none'}."
                )
            rows = data["tasks"]
        if isinstance(rows, str | bytes) or not isinstance(rows, Sequence):
            raise TypeError(f"the tasks of a task set are a list of dicts, got {rows!r}.")
        return cls(_task_from(index, row) for index, row in enumerate(rows))

    @classmethod
    def from_json(cls, text: str | bytes) -> TaskSet:
        """A set from JSON text in the shape that ``from_dict`` takes.

        Errors: ValueError with line and column where the text is no JSON; else as ``from_dict``.

        Example:
            >>> len(TaskSet.from_json('{"tasks": [{"wcet": 1, "period": 4}]}'))
            1

        """
        try:
            data = json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(
                f"the task set is not JSON: {error.msg} at line {error.lineno}, column "
                f"{error.colno}."
            ) from None
        except (UnicodeDecodeError, RecursionError) as error:
            raise ValueError(f"the task set is not JSON: {error}.") from None
        return cls.from_dict(data)

    def to_dict(self) -> dict[str, Any]:
        """The set as plain data that ``from_dict`` reads; fields at their default are left out.

        TypeError: a task has a context, which is no data.
        """
        named = zip(self.names, self, strict=True)
        return {"tasks": [_task_data(name, task) for name, task in named]}

    @classmethod
    def random(
        cls,
        n: int,
        utilisation: float,
        seed: int,
        *,
        periods: tuple[int, int] = (1_000, 1_000_000),
        deadlines: tuple[float, float] | None = None,
    ) -> TaskSet:
        """A random set for experiments; the same arguments give the same set.

        Utilisations by UUniFast (Bini and Buttazzo, "Measuring the performance of schedulability
        tests", Real-Time Systems 30, 2005), drawn again while one is above 1; periods log-uniform.
        A wcet is rounded down, but not below 1, so the set's utilisation is about what was asked.

        Args:
            n: tasks, at least 1.
            utilisation: their sum, above 0 and at most n.
            seed: any whole number.
            periods: the least and the largest period.
            deadlines: None: at the period. Else each is drawn between two places on the way from
                the wcet (0.0) to the period (1.0); above 1.0 it is later than the period.

        ValueError: a number out of range, or a utilisation so near n that no draw will do.

        Example:
            >>> tasks = TaskSet.random(5, 0.8, seed=1)
            >>> len(tasks), 0.79 < tasks.utilisation <= 0.8
            (5, True)

        """
        count = _checks.whole(n, "n", 1, _TASKS_MAX)
        wanted = _checks.real(utilisation, "utilisation")
        if not 0.0 < wanted <= count:
            raise ValueError(f"utilisation is above 0 and at most n = {count}, got {utilisation}.")
        shortest = _checks.whole(periods[0], "the least of periods", 1, TIME_MAX)
        longest = _checks.whole(periods[1], "the largest of periods", shortest, TIME_MAX)
        near, far = (1.0, 1.0) if deadlines is None else (float(end) for end in deadlines)
        if not 0.0 <= near <= far <= 1e3:
            raise ValueError(f"deadlines are two numbers from 0.0 to 1000.0, got {deadlines}.")
        draw = _random.Random(_checks.whole(seed, "seed", -(2**64), 2**64))
        tasks = []
        for share in _uunifast(draw, count, wanted):
            ratio = draw.random()
            period = round(shortest * (longest / shortest) ** ratio)
            wcet = min(period, max(1, int(share * period)))
            way = draw.uniform(near, far)
            deadline = period if deadlines is None else wcet + round(way * (period - wcet))
            tasks.append(PeriodicTask(wcet=wcet, period=period, deadline=deadline))
        return cls(tasks)

    def __repr__(self) -> str:
        return f"TaskSet([{', '.join(_task_text(task) for task in self)}])"

    def _repr_html_(self) -> str:
        """A table for notebooks."""
        heads = "".join(f"<th>{head}</th>" for head in ("task", *_COLUMNS, "utilisation"))
        rows = []
        for name, task in zip(self.names, self, strict=True):
            cells = [html.escape(name), *(f"{getattr(task, column):,}" for column in _COLUMNS)]
            cells.append(f"{float(task.utilisation):.4f}")
            rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
        total = f"{len(self)} tasks, utilisation {float(self.utilisation):.4f}"
        return (
            f"<table><caption>{total}</caption><thead><tr>{heads}</tr></thead>"
            f"<tbody>{''.join(rows)}</tbody></table>"
        )


_COLUMNS = ("wcet", "period", "deadline", "jitter", "blocking", "offset")


def _task_from(index: int, row: object) -> PeriodicTask:
    if isinstance(row, PeriodicTask):
        return row
    if not isinstance(row, Mapping):
        raise TypeError(f"task {index} of a task set is a dict, got {row!r}.")
    unknown = [key for key in row if key not in _FIELDS]
    if unknown:
        raise ValueError(
            f"task {index} has no field {unknown[0]!r}; its fields are {', '.join(_FIELDS)}."
        )
    missing = [name for name in _FIELDS if _DEFAULTS[name] is MISSING and name not in row]
    if missing:
        raise ValueError(f"task {index} lacks {' and '.join(f'`{name}`' for name in missing)}.")
    try:
        return PeriodicTask(**row)
    except (TypeError, ValueError) as error:
        raise type(error)(f"task {index}: {error}") from None


def _changed(task: PeriodicTask) -> dict[str, Any]:
    """The fields that are not at their default."""
    given = {name: getattr(task, name) for name in _DEFAULTS}
    if task.deadline == task.period:
        del given["deadline"]
    return {name: value for name, value in given.items() if value != _DEFAULTS[name]}


def _task_text(task: PeriodicTask) -> str:
    given = ", ".join(f"{name}={value!r}" for name, value in _changed(task).items())
    return f"PeriodicTask({given})"


def _task_data(name: str, task: PeriodicTask) -> dict[str, Any]:
    data = _changed(task)
    if "context" in data:
        raise TypeError(f"context of task `{name}` is no plain data, got {task.context!r}.")
    group = data.get("group")
    if group is not None and not isinstance(group, str):
        data["group"] = group.name
    if isinstance(task.execution, tuple):
        data["execution"] = list(task.execution)
    return data


def _uunifast(draw: _random.Random, count: int, utilisation: float) -> list[float]:
    for _ in range(_RANDOM_TRIES):
        shares, rest = [], utilisation
        for left in range(count - 1, 0, -1):
            following = rest * draw.random() ** (1 / left)
            shares.append(rest - following)
            rest = following
        shares.append(rest)
        if max(shares) <= 1.0:
            return shares
    raise ValueError(
        f"no {count} utilisations of at most 1 with the sum {utilisation} were found in "
        f"{_RANDOM_TRIES} tries; ask for less or for more tasks."
    )
