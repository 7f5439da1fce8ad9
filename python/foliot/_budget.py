"""Budgets as users declare them: scheduling contexts, fair groups, notices of depletion.

Both are descriptions. A scheduler that is given one, by ``budget=`` of a system, holds the live
state; a context is the budget of one open scheduler at a time.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from fractions import Fraction
from math import ceil, floor, isfinite
from typing import TYPE_CHECKING, Literal

from foliot._checks import real, text, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# In the order of fol_overrun, fol_context_kind and the latency classes of the core.
OVERRUNS = ("throttle", "skip", "kill", "demote", "notify")
KINDS = ("sporadic", "cbs", "cbs-soft")
LATENCIES = ("interactive", "normal", "batch")

MAX_PERIOD_NS = 2**60
MAX_WEIGHT = 1_000_000
MAX_WORKER = 1023
_NS = 10**9


def _seconds(value: object, what: str) -> float:
    """A time above 0 that the core can count in nanoseconds."""
    try:
        number = real(value, what)
    except OverflowError:
        number = float("inf")
    if not (isfinite(number) and number > 0 and _exact_ns(number) <= MAX_PERIOD_NS):
        raise ValueError(
            f"{what} is above 0 and at most {MAX_PERIOD_NS / _NS} seconds, got {value!r}."
        )
    return number


def _exact_ns(seconds: float) -> Fraction:
    """Nanoseconds of the number as it is written, not of the binary fraction nearest to it."""
    return Fraction(repr(seconds)) * _NS


def _choice(value: object, what: str, allowed: tuple[str, ...]) -> None:
    if not isinstance(value, str) or value not in allowed:
        names = ", ".join(f'"{name}"' for name in allowed)
        raise ValueError(f"{what} is one of {names}, got {value!r}.")


def _workers(value: Iterable[int] | None) -> frozenset[int] | None:
    """Numbers of workers, at least one."""
    if value is None:
        return None
    if isinstance(value, str | bytes):
        raise TypeError(f"cpus= is a set of worker numbers or None, got {value!r}.")
    try:
        numbers = list(value)
    except TypeError:
        raise TypeError(f"cpus= is a set of worker numbers or None, got {value!r}.") from None
    if not numbers:
        raise ValueError("cpus= names at least one worker; None allows all of them.")
    return frozenset(whole(number, "a worker of cpus=", 0, MAX_WORKER) for number in numbers)


@dataclass(frozen=True, kw_only=True, eq=False)
class SchedulingContext:
    """A budget of time in each period, and what happens to a job that uses more.

    Times are in seconds and kept as written; the scheduler counts in nanoseconds. There the budget
    is rounded up and the period and the deadline are rounded down, so that what is admitted is
    never less than what is asked for. A budget and a period that are equal stay so.

    Each context is its own budget, whatever its values: contexts compare by identity.

    Attributes:
        budget: seconds that may be used in each period; at most the deadline.
        period: seconds until what was used comes back.
        deadline: seconds from a release to its deadline, at most the period; None: the period.
        overrun: what becomes of a job whose budget is used up. "throttle": it waits for the refill.
            "skip": it is dropped, and the next release is taken. "kill": it is ended, and the
            context closed. "demote": it goes on in the fair class until the refill. "notify": it
            goes on only while nobody else wants to.
        name: what explanations and pictures call it.
        kind: "sporadic": each amount comes back one period after it was used. "cbs": a constant
            bandwidth server, scheduled by its deadline, that waits for its next period when used
            up. "cbs-soft": one that goes on with a later deadline instead.
        cpus: numbers of the workers that may run it; None: all.
        refills: how many amounts are kept apart, from 2 to 64. With fewer, more is given back late.
        on_depletion: called with a ``Depletion`` after the frame in which the budget was used up.

    Errors: TypeError for an argument of a wrong kind; ValueError for a time that is not above 0 or
    not finite, a budget above the deadline, a deadline above the period, and unknown names.

    Source: Sprunt, Sha and Lehoczky (1989) and Stanovich and others (2010) for "sporadic"; Abeni
    and Buttazzo (1998) for "cbs".

    Example:
        >>> audio = SchedulingContext(budget=2e-3, period=10e-3, deadline=8e-3, name="audio")
        >>> audio.budget_ns, audio.period_ns, audio.deadline_ns
        (2000000, 10000000, 8000000)
        >>> SchedulingContext(budget=3.0, period=2.0)
        Traceback (most recent call last):
        ValueError: budget= is at most the period of 2.0 seconds, got 3.0.

    """

    budget: float
    period: float
    deadline: float | None = None
    overrun: Literal["throttle", "skip", "kill", "demote", "notify"] = "throttle"
    name: str = "context"
    kind: Literal["sporadic", "cbs", "cbs-soft"] = "sporadic"
    cpus: Iterable[int] | None = None
    refills: int = 8
    on_depletion: Callable[[Depletion], object] | None = None

    def __post_init__(self) -> None:
        def keep(name: str, value: object) -> None:
            object.__setattr__(self, name, value)

        keep("budget", _seconds(self.budget, "budget="))
        keep("period", _seconds(self.period, "period="))
        if self.deadline is not None:
            keep("deadline", _seconds(self.deadline, "deadline="))
        self._check_times()
        _choice(self.overrun, "overrun=", OVERRUNS)
        _choice(self.kind, "kind=", KINDS)
        text(self.name, "name=")
        keep("cpus", _workers(self.cpus))
        keep("refills", whole(self.refills, "refills=", 2, 64))
        if self.on_depletion is not None and not callable(self.on_depletion):
            raise TypeError(f"on_depletion= is callable or None, got {self.on_depletion!r}.")

    def _check_times(self) -> None:
        """That budget <= deadline <= period, also in nanoseconds."""
        if self.budget > self.period:
            raise ValueError(
                f"budget= is at most the period of {self.period!r} seconds, got {self.budget!r}."
            )
        if self.deadline is not None and self.deadline > self.period:
            raise ValueError(
                f"deadline= is at most the period of {self.period!r} seconds, got "
                f"{self.deadline!r}."
            )
        if self.deadline is not None and self.budget > self.deadline:
            raise ValueError(
                f"budget= is at most the deadline of {self.deadline!r} seconds, got "
                f"{self.budget!r}."
            )
        for what, seconds in ("period=", self.period), ("deadline=", self.deadline):
            if seconds is not None and floor(_exact_ns(seconds)) < 1:
                raise ValueError(f"{what} is at least 1e-09 seconds, got {seconds!r}.")

    @property
    def budget_ns(self) -> int:
        """The budget in nanoseconds, rounded up, but never above the deadline."""
        return min(ceil(_exact_ns(self.budget)), self.deadline_ns)

    @property
    def period_ns(self) -> int:
        """The period in nanoseconds, rounded down."""
        return floor(_exact_ns(self.period))

    @property
    def deadline_ns(self) -> int:
        """The relative deadline in nanoseconds, rounded down; the period when there is none."""
        return self.period_ns if self.deadline is None else floor(_exact_ns(self.deadline))


@dataclass(frozen=True, slots=True)
class Depletion:
    """That a budget was used up: what ``on_depletion`` of a context is called with.

    Depletions between two frames are one notice, so a slow reader loses no count.

    Attributes:
        context: whose budget.
        count: how often since the last notice.
        first: time of the first, in seconds of the scheduler's clock.
        last: time of the last, the same.
        amount: seconds used beyond the budget by the charges that used it up, in all.
    """

    context: SchedulingContext
    count: int
    first: float
    last: float
    amount: float


@dataclass(frozen=True, eq=False)
class Group:
    """Systems that share the workers with others by weight, whatever their number.

    Groups compare by identity: two with the same name are two groups.

    Attributes:
        name: what explanations and pictures call it.
        weight: its share against the weights of others, from 1 to 1,000,000; a system outside of
            any group weighs 1024.
        latency: how long its turns are: "interactive" (short ones, soon), "normal" or "batch"
            (long ones, seldom). The share is the same.

    Errors: TypeError for an argument of a wrong kind, ValueError for a weight out of range and an
    unknown latency class.

    Example:
        >>> Group("ai", weight=512, latency="batch").weight
        512
        >>> Group("ai", latency="soon")
        Traceback (most recent call last):
        ValueError: latency= is one of "interactive", "normal", "batch", got 'soon'.

    """

    name: str
    _: KW_ONLY
    weight: int = 1024
    latency: Literal["interactive", "normal", "batch"] = "normal"

    def __post_init__(self) -> None:
        text(self.name, "the name of a group")
        object.__setattr__(self, "weight", whole(self.weight, "weight=", 1, MAX_WEIGHT))
        _choice(self.latency, "latency=", LATENCIES)
