"""Items of a simulation's log: what sequences of results are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, overload

import numpy as np

from foliot._machine import Machine
from foliot._taskset import TaskSet

T_co = TypeVar("T_co", covariant=True)

JOB_DTYPE = np.dtype(
    [
        *(("release", "i8"), ("start", "i8"), ("finish", "i8"), ("deadline", "i8")),
        *(("task", "u4"), ("cpu", "u2"), ("outcome", "u2")),
    ]
)
SEGMENT_DTYPE = np.dtype(
    [("start", "i8"), ("end", "i8"), ("job", "u8"), ("cpu", "u4"), ("is_cost", "u4")]
)
DECISION_DTYPE = np.dtype(
    [
        *(("time", "i8"), ("kind", "u2"), ("policy", "u1"), ("detail", "u1"), ("task", "u4")),
        *(("cpu", "u4"), ("other", "u4"), ("job", "u8"), ("numbers", "i8", (3,))),
    ]
)
OUTCOMES = ("unfinished", "done", "dropped", "denied")
UNFINISHED, DONE, DROPPED, DENIED = range(4)
NO_CPU = 2**16 - 1
NONE = 2**32 - 1
_ROWS_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Job:
    """One release of a task; times in the units of the set.

    Attributes:
        name: of the task.
        release: when the job came, jitter included.
        start: when its first unit of work began; None: never.
        finish: when its last ended; None: never, or not before the end of the simulation.
        deadline: absolute; the jitter of the release does not move it.
        cpu: on which it ran last; None: on none.
    """

    name: str
    release: int
    start: int | None
    finish: int | None
    deadline: int
    cpu: int | None

    @property
    def response(self) -> int | None:
        """Time from release to finish; None while it has no finish."""
        return None if self.finish is None else self.finish - self.release


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened.

    Attributes:
        time: when.
        kind: "finish", "miss", "release", "deny", "start", or a decision of the policy core that is
            no pick: "preempt", "migrate", "throttle", "refill", "skip", "kill", "demote", …
        name: of the task; None: of none in particular.
        job: place in ``Result.jobs``; None: of none.
        cpu: None: of none.
    """

    time: int
    kind: str
    name: str | None
    job: int | None
    cpu: int | None


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision of the policy core.

    Attributes:
        time: when.
        kind: "pick", "preempt", "migrate", "throttle", …
        name: of the task it is about; None: of none in particular.
        job: number of the task's job, from 0.
        cpu: None: of none.
        other: the task that ran before ("pick") or that runs instead ("preempt"), by name; the CPU
            from which ("migrate"); None where there is none.
        numbers: what it was decided by; ``text`` says what they are.
        text: the decision in a sentence.
    """

    time: int
    kind: str
    name: str | None
    job: int
    cpu: int | None
    other: str | int | None
    numbers: tuple[int, int, int]
    text: str


@dataclass(frozen=True, slots=True)
class BudgetUse:
    """What a context was charged with.

    Attributes:
        used: time, in all.
        charges: how often it was charged with any.
        depletions: charges that used up what there was.
        overruns: depletions that used more than that.
        debt: time used beyond, of all overruns.
        worst_debt: of one overrun.
        jobs: finished.
        misses: of those, finished after their deadlines.
    """

    used: int
    charges: int
    depletions: int
    overruns: int
    debt: int
    worst_debt: int
    jobs: int
    misses: int


@dataclass(frozen=True)
class Setup:
    """What was simulated, and how."""

    tasks: TaskSet
    machine: Machine
    policy: str
    until: int
    queues: str
    preemption: str
    groups: tuple[str, ...]
    contexts: tuple[str, ...]
    budgets: tuple[tuple[int, int], ...]
    context_of: tuple[int, ...]


class LazySequence(Sequence[T_co], Generic[T_co]):
    """Items that are made when they are looked at; compares equal to lists of equal items."""

    __slots__ = ("_make", "_places")

    def __init__(self, places: Any, make: Callable[[int], T_co]) -> None:
        self._places = places
        self._make = make

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> T_co: ...
    @overload
    def __getitem__(self, index: slice) -> list[T_co]: ...
    def __getitem__(self, index: int | slice) -> T_co | list[T_co]:
        if isinstance(index, slice):
            return [self._make(int(place)) for place in self._places[index]]
        return self._make(int(self._places[index]))

    def __iter__(self) -> Iterator[T_co]:
        return (self._make(int(place)) for place in self._places)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str | bytes):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        if len(self) <= _ROWS_SHOWN:
            return repr(list(self))
        shown = ", ".join(repr(item) for item in self[:3])
        return f"[{shown}, … {len(self) - 3:,} more]"


class PerTask(Sequence[T_co], Generic[T_co]):
    """One item for each task, in the order of the set; by place or by name."""

    __slots__ = ("_items", "_names")

    def __init__(self, names: tuple[str, ...], items: Sequence[T_co]) -> None:
        self._names = names
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    @overload
    def __getitem__(self, index: int | str) -> T_co: ...
    @overload
    def __getitem__(self, index: slice) -> list[T_co]: ...
    def __getitem__(self, index: int | str | slice) -> T_co | list[T_co]:
        if isinstance(index, str):
            if index not in self._names:
                raise KeyError(f"no task is called `{index}`; there are {', '.join(self._names)}.")
            index = self._names.index(index)
        if isinstance(index, slice):
            return list(self._items)[index]
        return self._items[index]

    def items(self) -> Iterator[tuple[str, T_co]]:
        """Pairs of name and item."""
        return zip(self._names, self._items, strict=True)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str | bytes):
            return NotImplemented
        return list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{{{', '.join(f'{name!r}: {item!r}' for name, item in self.items())}}}"
