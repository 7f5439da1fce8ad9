"""Schedulability analysis: will every job of a task set meet its deadline, and if not, why not.

    >>> import foliot as fo
    >>> tasks = fo.TaskSet([
    ...     fo.PeriodicTask(wcet=2, period=5, name="control"),
    ...     fo.PeriodicTask(wcet=4, period=7, name="plan"),
    ... ])
    >>> fo.analysis.response_times(tasks, policy="rm")
    [2, 8]
    >>> fo.analysis.schedulable(tasks, test="rta").explain()
    '`plan` can take 8, longer than its deadline 7.'
    >>> bool(fo.analysis.schedulable(tasks, test="edf"))
    True

Every answer is exact arithmetic on whole numbers and fractions and holds for all offsets, since on
one CPU no pattern of releases is worse than all tasks at once. What no test can decide within its
bounds (times up to 2**62, about 10**9 looks at a task) is a ValueError, never a guess.

Jitter leaves a job ``deadline - jitter`` when it is ready. Blocking is the longest that less urgent
work may hold a task back; with it "edf" and "rta" are safe, but a refused set may be schedulable.
"""

from __future__ import annotations

import decimal
import errno
import html
import math
from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from foliot import _checks, _core
from foliot._taskset import PeriodicTask, TaskSet

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = [
    "TESTS",
    "DemandAnswers",
    "PackedSets",
    "Verdict",
    "demand",
    "demand_many",
    "pack",
    "response_times",
    "schedulable",
]

TESTS = ("edf", "rta", "ll", "hyperbolic", "gfb", "partitioned")
_CPUS_MAX = 65_536
_FITS, _EXCEEDS, _OVERLOAD = range(3)
_UNDECIDED = {
    -errno.EOVERFLOW: "its busy period ends after 2**62, the largest time there is",
    -errno.E2BIG: "it takes more than 2**30 looks at a task",
}
# fol_demand_verdict of foliot/analysis.h.
_VERDICTS = np.dtype(
    [
        ("status", "i4"),
        ("reason", "i4"),
        ("t", "i8"),
        ("demand", "i8"),
        ("blocking", "i8"),
        ("looked_to", "i8"),
    ]
)


@dataclass(frozen=True)
class Verdict:
    """What a test says of a task set; true when every deadline is met.

    Attributes:
        ok: whether the test accepts the set. "edf" and "rta" refuse only what can miss a deadline,
            unless tasks have blocking; the other tests may refuse what is schedulable.
        test: its name.
        witness: the numbers that prove the answer.

            - "edf", refused: ``t``, the first length of time that cannot hold what is released and
              due within it, and that ``demand`` (and ``blocking`` where there is some). With a
              utilisation above 1 by next to nothing, ``t`` may be a later one. Accepted: ``until``,
              up to where deadlines had to be looked at.
            - "rta": ``task``, its ``response`` (None: unbounded) and its ``deadline``; of the first
              task that misses, else of the one with the least time to spare.
            - "ll": ``utilisation``, the sum of ``wcet / min(deadline, period)``, and the ``bound``
              n (2^(1/n) - 1), a fraction just below it that decides as the bound itself does.
            - "hyperbolic": ``product`` of one plus each such utilisation, and ``bound`` 2.
            - "gfb": ``density``, their sum, ``largest`` of them, and ``bound``.
            - "partitioned": ``assignment``, the CPU of each task in the set's order, None for those
              without; refused: also ``task``, the one that fits nowhere, and ``cpus``: for each CPU
              a dict of its number with ``t`` and ``demand``, or with the CPU it is ``pinned`` to.
        reason: the same as a sentence.

    Example:
        >>> import foliot as fo
        >>> pairs = (3, 4), (2, 6)
        >>> late = fo.TaskSet(fo.PeriodicTask(wcet=c, period=t) for c, t in pairs)
        >>> fo.analysis.schedulable(late, test="edf")
        Verdict(ok=False, test='edf', witness={'t': 12, 'demand': 13})

    """

    ok: bool
    test: str
    witness: dict[str, Any]
    reason: str = field(default="", repr=False, compare=False)

    def __bool__(self) -> bool:
        return self.ok

    def explain(self) -> str:
        """The verdict as a sentence with its numbers."""
        return self.reason

    def _repr_html_(self) -> str:
        """The verdict for notebooks."""
        sign, colour = ("schedulable", "#1a7f37") if self.ok else ("refused", "#cf222e")
        return (
            f'<div><b style="color:{colour}">{sign}</b> by <code>{html.escape(self.test)}</code>: '
            f"{html.escape(self.reason)}</div>"
        )


@dataclass(frozen=True)
class PackedSets:
    """Task sets as plain numbers, for tests of many sets in one call; made by ``pack``.

    Attributes:
        rows: wcet, period, deadline, jitter and blocking of each task, set after set.
        counts: the number of tasks of each set.
    """

    rows: npt.NDArray[np.int64]
    counts: npt.NDArray[np.uint32]

    def __len__(self) -> int:
        return len(self.counts)


@dataclass(frozen=True)
class DemandAnswers:
    """What the test "edf" says of many sets: arrays with one entry for each.

    Attributes:
        ok: whether it is schedulable.
        t: the first length of time that cannot hold its demand; 0 where ``ok``, or where the
            utilisation is above 1 by so little that no such time was found.
        demand: of ``t``, without blocking; 2**63 - 1 stands for all that is larger.
    """

    ok: npt.NDArray[np.bool_]
    t: npt.NDArray[np.int64]
    demand: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ok)


def response_times(taskset: Iterable[PeriodicTask], policy: str = "fp") -> list[int | None]:
    """The longest time from release to completion of each task's jobs, on one CPU.

    Args:
        taskset: the tasks.
        policy: "fp": fixed priorities, the first task the most urgent (or by ``priority``); "rm":
            fixed priorities, the shortest period first; "edf": earliest deadline first, equal
            deadlines decided against the task.

    Returns:
        A list in the set's order; None where there is no bound, since the task and what is more
        urgent ask for more than the CPU has. Jobs that are late run to their end.

    ValueError: another policy, or a set that cannot be decided.

    Sources: Joseph and Pandya 1986, Lehoczky 1990, Tindell et al. 1994; "edf": Spuri 1996.

    Example:
        >>> import foliot as fo
        >>> pairs = (1, 2), (5, 20), (1, 20)
        >>> tasks = fo.TaskSet(fo.PeriodicTask(wcet=c, period=t) for c, t in pairs)
        >>> fo.analysis.response_times(tasks)
        [1, 10, 12]

    """
    tasks = _checked(taskset)
    if policy not in ("fp", "rm", "edf"):
        raise ValueError(f"the policy of response times is fp, rm or edf, got {policy!r}.")
    if policy == "edf":
        return _core.analysis_responses(_rows(tasks), True)
    ranks = tasks.priorities(policy)
    ordered: list[PeriodicTask] = [tasks[0]] * len(tasks) if len(tasks) else []
    for task, rank in zip(tasks, ranks, strict=True):
        ordered[rank] = task
    answers = _core.analysis_responses(_rows(ordered), False)
    return [answers[rank] for rank in ranks]


def demand(taskset: Iterable[PeriodicTask], t: int) -> int:
    """The work that is released and due within [0, t] at most: what a CPU must do in that time.

    Each task is released at 0 and as fast as it may be, its first job as late as its jitter allows.

    Example:
        >>> import foliot as fo
        >>> tasks = fo.TaskSet([fo.PeriodicTask(wcet=2, period=5, deadline=4)])
        >>> [fo.analysis.demand(tasks, t) for t in (3, 4, 9)]
        [0, 2, 4]

    """
    # From 2**60 times 2**62 on, a product has more than 64 bits: hence here and not in the core.
    moment = _checks.whole(t, "t", 0, 2**128)
    total = 0
    for task in taskset:
        jobs = (moment + task.jitter - task.relative_deadline) // task.period + 1
        total += max(0, jobs) * task.wcet
    return total


def schedulable(taskset: Iterable[PeriodicTask], test: str = "edf", cpus: int = 1) -> Verdict:
    """Whether every job meets its deadline, with the numbers that prove it.

    Args:
        taskset: the tasks.
        test: "edf": processor demand under earliest deadline first (QPA), exact; "rta": response
            times under fixed priorities, the first task the most urgent, exact; "ll" (Liu and
            Layland) and "hyperbolic" (Bini and Buttazzo): quick accepts for rate-monotonic, or with
            shorter deadlines deadline-monotonic, priorities; "gfb" (Goossens, Funk and Baruah): a
            quick accept for global earliest deadline first on several CPUs; "partitioned": first
            fit by decreasing utilisation, each CPU by "edf", tasks with a ``cpu`` on that one.
        cpus: how many CPUs; 1 for all tests but "gfb" and "partitioned".

    Returns:
        A Verdict, with its witness.

    ValueError: another test, CPUs out of range, a set that cannot be decided, or jitter or blocking
    for a quick accept, which knows neither.

    Example:
        >>> import foliot as fo
        >>> tasks = fo.TaskSet(fo.PeriodicTask(wcet=5, period=8, name=name) for name in "abc")
        >>> fo.analysis.schedulable(tasks, test="partitioned", cpus=3).witness
        {'assignment': [0, 1, 2]}
        >>> fo.analysis.schedulable(tasks, test="partitioned", cpus=2).explain()
        '`c` fits on none of 2 CPUs: CPU 0 would have 10 to do within 8, CPU 1 10 within 8.'

    """
    if test not in _TESTS:
        raise ValueError(f"the test is one of {', '.join(TESTS)}, got {test!r}.")
    tasks = _checked(taskset)
    number = _checks.whole(cpus, "cpus", 1, _CPUS_MAX)
    if number > 1 and test not in ("gfb", "partitioned"):
        raise ValueError(
            f"the test {test} is for one CPU, got cpus={number}; gfb and partitioned take several."
        )
    return _TESTS[test](tasks, number)


def pack(tasksets: Iterable[Iterable[PeriodicTask]]) -> PackedSets:
    """Task sets as plain numbers, for ``demand_many``.

    Example:
        >>> import foliot as fo
        >>> packed = fo.analysis.pack(fo.TaskSet.random(5, 0.9, seed) for seed in range(100))
        >>> len(packed), packed.rows.shape
        (100, (500, 5))

    """
    sets = [_checked(taskset) for taskset in tasksets]
    rows = np.array([_numbers(task) for tasks in sets for task in tasks], dtype=np.int64)
    counts = np.array([len(tasks) for tasks in sets], dtype=np.uint32)
    return PackedSets(rows.reshape(-1, 5), counts)


def demand_many(packed: PackedSets) -> DemandAnswers:
    """The test "edf" of many sets in one call, without making a Verdict of each.

    ValueError: rows that are no tasks, counts that do not add up, or a set that cannot be decided.

    Example:
        >>> import foliot as fo
        >>> sets = [fo.TaskSet.random(5, 0.9, seed, deadlines=(0.5, 1.0)) for seed in range(100)]
        >>> answers = fo.analysis.demand_many(fo.analysis.pack(sets))
        >>> bool(answers.ok[7]) == fo.analysis.schedulable(sets[7], test="edf").ok
        True

    """
    rows = np.ascontiguousarray(packed.rows, dtype=np.int64)
    counts = np.ascontiguousarray(packed.counts, dtype=np.uint32)
    found = np.frombuffer(_core.analysis_edf(rows, counts), dtype=_VERDICTS)
    if found["status"].any():
        index = int(found["status"].nonzero()[0][0])
        status = int(found["status"][index])
        why = _UNDECIDED.get(status, "a time is out of range, or a wcet above its deadline")
        raise ValueError(f"set {index} cannot be decided: {why}.")
    return DemandAnswers(found["reason"] == _FITS, found["t"], found["demand"])


def _checked(taskset: object) -> TaskSet:
    if isinstance(taskset, TaskSet):
        return taskset
    if not isinstance(taskset, Iterable):
        raise TypeError(f"a task set is a fo.TaskSet or several fo.PeriodicTask, got {taskset!r}.")
    return TaskSet(taskset)


def _numbers(task: PeriodicTask) -> tuple[int, int, int, int, int]:
    """A row, as fol_analysis_task of foliot/analysis.h."""
    return task.wcet, task.period, task.relative_deadline, task.jitter, task.blocking


def _rows(tasks: Iterable[PeriodicTask]) -> array[int]:
    return array("q", [number for task in tasks for number in _numbers(task)])


def _sum(parts: Sequence[Fraction]) -> Fraction:
    """A sum in pairs, so that few of the fractions are large."""
    level = list(parts) or [Fraction(0)]
    while len(level) > 1:
        level = [sum(level[at : at + 2], Fraction(0)) for at in range(0, len(level), 2)]
    return level[0]


def _number(value: Fraction) -> str:
    """A fraction for people: exact when it is short."""
    text = str(value)
    return text if len(text) <= 12 else f"{float(value):.6g}"


def _edf(tasks: TaskSet, _: int) -> Verdict:
    raw = _core.analysis_edf(_rows(tasks), array("I", [len(tasks)]))
    status, reason, t, _demand, blocking, until = np.frombuffer(raw, dtype=_VERDICTS)[0].tolist()
    if status != 0:
        raise ValueError(f"the test edf cannot decide the set: {_UNDECIDED[status]}.")
    if reason == _FITS:
        sentence = f"no length of time up to {until} asks for more than itself."
        if until == 0:
            sentence = "utilisation is at most 1 and no deadline comes before its period ends."
        return Verdict(True, "edf", {"until": until}, sentence)
    if reason == _OVERLOAD:
        t = _overload_end(tasks)
    witness = {"t": t, "demand": demand(tasks, t)}
    held = ""
    if blocking:
        witness["blocking"] = blocking
        held = f" after being held back for up to {blocking}"
    return Verdict(
        False,
        "edf",
        witness,
        f"{witness['demand']} is released and due within {t}{held}: more than fits.",
    )


def _overload_end(tasks: TaskSet) -> int:
    """A time whose demand exceeds it, of a set with a utilisation above 1.

    Demand of t is above the sum of (t - due) * utilisation over all tasks, which passes t here.
    """
    spread = _sum([(task.relative_deadline - task.jitter) * task.utilisation for task in tasks])
    return max(0, math.ceil(spread / (tasks.utilisation - 1)))


def _rta(tasks: TaskSet, _: int) -> Verdict:
    responses = response_times(tasks, "fp")
    if not responses:
        return Verdict(True, "rta", {}, "there are no tasks.")
    shown = 0
    least: int | None = None
    for index, (task, response) in enumerate(zip(tasks, responses, strict=True)):
        if response is None or response > task.relative_deadline:
            shown, least = index, -1
            break
        spare = task.relative_deadline - response
        if least is None or spare < least:
            shown, least = index, spare
    name, response, deadline = tasks.names[shown], responses[shown], tasks[shown].deadline
    witness = {"task": name, "response": response, "deadline": deadline}
    if least != -1:
        sentence = f"`{name}` is nearest to its deadline {deadline}, and takes at most {response}."
    elif response is None:
        sentence = f"`{name}` and what is more urgent ask for more than one CPU has."
    else:
        sentence = f"`{name}` can take {response}, longer than its deadline {deadline}."
    return Verdict(least != -1, "rta", witness, sentence)


def _quick(test: str, tasks: TaskSet) -> list[Fraction]:
    """The utilisations that a quick accept goes by."""
    for name, task in zip(tasks.names, tasks, strict=True):
        for what in ("jitter", "blocking"):
            if getattr(task, what):
                raise ValueError(
                    f"the test {test} knows no {what}, got {what}={getattr(task, what)} of task "
                    f"`{name}`; edf and rta do."
                )
    return [task.density for task in tasks]


def _liu_layland_bound(count: int, digits: int) -> tuple[Fraction, Fraction]:
    """Two fractions round n (2^(1/n) - 1), which is irrational for n above 1.

    Each step of decimal arithmetic is rounded correctly, so is off by half a unit of the last digit
    at most; ln 2 / n is below 1 and its exponential below 2, and n makes the error n times larger.
    """
    with decimal.localcontext() as context:
        context.prec = digits
        root = (decimal.Decimal(2).ln() / count).exp()
    middle = count * (Fraction(root) - 1)
    error = Fraction(4 * count, 10 ** (digits - 1))
    return middle - error, middle + error


def _ll(tasks: TaskSet, _: int) -> Verdict:
    utilisation = _sum(_quick("ll", tasks))
    low = high = Fraction(1)
    digits = 30
    if len(tasks) > 1:
        low, high = _liu_layland_bound(len(tasks), digits)
        while low < utilisation <= high:
            digits *= 2
            low, high = _liu_layland_bound(len(tasks), digits)
    ok = utilisation <= low
    return Verdict(
        ok,
        "ll",
        {"utilisation": utilisation, "bound": low},
        f"utilisation {_number(utilisation)} is {'at most' if ok else 'above'} the bound "
        f"{_number(low)} of {len(tasks)} tasks.",
    )


def _hyperbolic(tasks: TaskSet, _: int) -> Verdict:
    product = Fraction(1)
    for utilisation in _quick("hyperbolic", tasks):
        product *= 1 + utilisation
    ok = product <= 2
    return Verdict(
        ok,
        "hyperbolic",
        {"product": product, "bound": 2},
        f"the product of one plus each utilisation, {_number(product)}, is "
        f"{'at most' if ok else 'above'} 2.",
    )


def _gfb(tasks: TaskSet, cpus: int) -> Verdict:
    densities = _quick("gfb", tasks)
    density, largest = _sum(densities), max(densities, default=Fraction(0))
    bound = cpus - (cpus - 1) * largest
    ok = density <= bound
    return Verdict(
        ok,
        "gfb",
        {"density": density, "largest": largest, "bound": bound},
        f"density {_number(density)} is {'at most' if ok else 'above'} the bound {_number(bound)} "
        f"of {cpus} CPU{'s' * (cpus > 1)} with a largest density of {_number(largest)}.",
    )


def _partitioned(tasks: TaskSet, cpus: int) -> Verdict:
    for name, task in zip(tasks.names, tasks, strict=True):
        if task.cpu is not None and task.cpu >= cpus:
            raise ValueError(
                f"cpu of task `{name}` is from 0 to {cpus - 1} with cpus={cpus}, got {task.cpu}."
            )
    pins = array("i", [-1 if task.cpu is None else task.cpu for task in tasks])
    assignment, misfit, raw = _core.analysis_partition(_rows(tasks), cpus, pins)
    if misfit is None:
        used = len(set(assignment))
        sentence = f"{len(tasks)} tasks fit on {used} of {cpus} CPUs."
        return Verdict(True, "partitioned", {"assignment": assignment}, sentence)
    task, name = tasks[misfit], tasks.names[misfit]
    refusals: list[dict[str, int]] = []
    sentences: list[str] = []
    for cpu, found in enumerate(np.frombuffer(raw, dtype=_VERDICTS).tolist()):
        if task.cpu not in (None, cpu):
            refusals.append({"cpu": cpu, "pinned": int(task.cpu or 0)})
            continue
        beside = TaskSet(
            [other for other, at in zip(tasks, assignment, strict=True) if at == cpu] + [task]
        )
        t = _overload_end(beside) if found[1] == _OVERLOAD else found[2]
        refusal = {"cpu": cpu, "t": t, "demand": demand(beside, t)}
        if found[4]:
            refusal["blocking"] = found[4]
        refusals.append(refusal)
        verb = " would have" if not sentences else ""
        what = "" if sentences else " to do"
        work = refusal["demand"] + found[4]
        sentences.append(f"CPU {cpu}{verb} {work}{what} within {t}")
    where = f"fits on none of {cpus} CPUs"
    if task.cpu is not None:
        where = "does not fit on the CPU it is pinned to"
    return Verdict(
        False,
        "partitioned",
        {"task": name, "assignment": assignment, "cpus": refusals},
        f"`{name}` {where}: {', '.join(sentences)}.",
    )


_TESTS: dict[str, Callable[[TaskSet, int], Verdict]] = {
    "edf": _edf,
    "rta": _rta,
    "ll": _ll,
    "hyperbolic": _hyperbolic,
    "gfb": _gfb,
    "partitioned": _partitioned,
}
