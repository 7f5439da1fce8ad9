"""What a scheduler tells of budgets and policies: ledgers and decisions."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from foliot._account import Account
from foliot._budget import KINDS, LATENCIES, OVERRUNS, Depletion, Group, SchedulingContext
from foliot._errors import StaleHandleError

if TYPE_CHECKING:
    from foliot._core import Scheduler
    from foliot._system import System

# In the order of fol_account_kind.
SYSTEM, GROUP, WORKER = range(3)

_NS = 1e-9


@dataclass(frozen=True, slots=True)
class Accounts:
    """The ledgers of a scheduler; each is whole, together they may be an instant apart.

    Attributes:
        systems: by name.
        groups: by group.
        workers: by number; 0 is the thread that calls ``tick``.
    """

    systems: Mapping[str, Account]
    groups: Mapping[Group, Account]
    workers: tuple[Account, ...]


@dataclass(frozen=True, slots=True)
class Decision:
    """Something that a scheduler's policy decided.

    Attributes:
        number: decisions are numbered from 0, in the order they were made.
        now: nanoseconds of the scheduler's clock; ``explain`` counts from when it was made.
        kind: "pick", "preempt", "migrate", "deny", "delay", "throttle", "refill", "skip", "kill",
            "demote", "promote", "notify", "miss", "revoke", "switch", "fault" or "policy_off".
        policy: name of the built-in policy in force.
        system: whose name; None when it is about none.
        worker: on which; None: none.
        other: the system that ran before ("pick") or runs instead ("preempt"), by name; the worker
            or slot it has to do with, by number; None: none.
        job: number of the system's job.
        numbers: what it rests on, as ``foliot/policy.h`` says for each kind.
    """

    number: int
    now: int
    kind: str
    policy: str
    system: str | None
    worker: int | None
    other: str | int | None
    job: int
    numbers: tuple[int, int, int]


def budget_record(budget: SchedulingContext | Group, key: int) -> tuple[Any, ...]:
    """A budget as the core reads it."""
    if isinstance(budget, Group):
        latency = LATENCIES.index(budget.latency)
        return (key, True, 0, 0, 0, 0, 0, 0, None, budget.weight, latency)
    cpus = None if budget.cpus is None else sorted(budget.cpus)
    return (
        key,
        False,
        KINDS.index(budget.kind),
        OVERRUNS.index(budget.overrun),
        budget.refills,
        budget.budget_ns,
        budget.period_ns,
        budget.deadline_ns,
        cpus,
        0,
        0,
    )


def read_account(scheduler: Scheduler, kind: int, number: int) -> Account | None:
    """A ledger, or None for what has none."""
    found = scheduler._read_account(kind, number)
    return None if found is None else Account(*found)


def read_decisions(scheduler: Scheduler, names: Sequence[str]) -> list[Decision]:
    """All decisions that are kept, oldest first."""
    found: list[Decision] = []
    first = 0
    while records := scheduler._read_decisions(first):
        for number, now, kind, policy, system, *rest in records:
            worker, other, job, numbers = rest
            if kind in ("pick", "preempt") and other is not None:
                other = names[other]
            name = None if system is None else names[system]
            found.append(Decision(number, now, kind, policy, name, worker, other, job, numbers))
        first = found[-1].number + 1
    return found


# Who holds the live state of a context, and the name of a system that uses it there.
_holders: weakref.WeakKeyDictionary[SchedulingContext, tuple[weakref.ref[Scheduler], str]] = (
    weakref.WeakKeyDictionary()
)
_revoked: weakref.WeakSet[SchedulingContext] = weakref.WeakSet()


class Budgets:
    """The contexts and groups of one scheduler, by the numbers that the core knows them by."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = weakref.ref(scheduler)
        self._keys: dict[SchedulingContext | Group, int] = {}

    def claim(self, systems: Iterable[System], *, is_new: bool) -> None:
        """Take the systems' contexts; on an error none of them is taken.

        ValueError: another open scheduler has one; StaleHandleError: one was revoked, and the
        scheduler is new.
        """
        wanted: dict[SchedulingContext, str] = {}
        for system in systems:
            if isinstance(system.budget, SchedulingContext):
                wanted.setdefault(system.budget, system.name)
        for context, name in wanted.items():
            self._check(context, name, is_new)
        contexts = [budget for budget in self._keys if isinstance(budget, SchedulingContext)]
        for context in contexts:
            if context not in wanted and self._holds(context):
                del _holders[context]
        for context, name in wanted.items():
            _holders[context] = (self._scheduler, name)

    def _holds(self, context: SchedulingContext) -> bool:
        found = _holders.get(context)
        return found is not None and found[0]() is self._scheduler()

    def _check(self, context: SchedulingContext, name: str, is_new: bool) -> None:
        if is_new and context in _revoked:
            raise StaleHandleError(
                f"the context {context.name!r} of system `{name}` has been revoked: make a new one."
            )
        found = _holders.get(context)
        if found is None or self._holds(context):
            return
        holder, other = found[0](), found[1]
        if holder is not None and not holder.closed:
            raise ValueError(
                f"the context {context.name!r} of system `{name}` is in use by another open "
                f"scheduler, where it pays for `{other}`: close that one, or make a context for "
                "each."
            )

    def record(self, budget: SchedulingContext | Group | None) -> tuple[Any, ...] | None:
        """A system's budget as the core reads it."""
        if budget is None:
            return None
        return budget_record(budget, self._keys.setdefault(budget, len(self._keys) + 1))

    def key_of(self, budget: SchedulingContext | Group) -> int:
        """Its number; ValueError for what no system of the scheduler has."""
        if budget in self._keys:
            return self._keys[budget]
        kind = "context" if isinstance(budget, SchedulingContext) else "group"
        raise ValueError(f"the {kind} {budget.name!r} pays for no system of this scheduler.")

    def revoke(self, scheduler: Scheduler, context: SchedulingContext) -> None:
        """Take a context away from its systems for good."""
        if not isinstance(context, SchedulingContext):
            raise TypeError(f"a scheduler revokes a fo.SchedulingContext, got {context!r}.")
        key = self.key_of(context)
        try:
            scheduler._revoke(key)
        except StaleHandleError:
            raise StaleHandleError(
                f"the context {context.name!r} has been revoked or ended before."
            ) from None
        _revoked.add(context)

    @property
    def wants_notices(self) -> bool:
        """Whether some context has a callable to be told."""
        return any(
            isinstance(budget, SchedulingContext) and budget.on_depletion is not None
            for budget in self._keys
        )

    def deliver(self, scheduler: Scheduler) -> list[Exception]:
        """Tell contexts of depletions since they were told last; what their callables raised."""
        errors = []
        for budget, key in self._keys.items():
            if isinstance(budget, SchedulingContext) and budget.on_depletion is not None:
                error = _tell(scheduler, budget, key, budget.on_depletion)
                if error is not None:
                    errors.append(error)
        return errors

    def accounts(self, scheduler: Scheduler, names: Iterable[str], workers: int) -> Accounts:
        """All ledgers; none of an ungoverned scheduler."""
        systems = {name: read_account(scheduler, SYSTEM, i) for i, name in enumerate(names)}
        groups = {
            budget: read_account(scheduler, GROUP, key)
            for budget, key in self._keys.items()
            if isinstance(budget, Group)
        }
        return Accounts(
            {name: found for name, found in systems.items() if found is not None},
            {group: found for group, found in groups.items() if found is not None},
            tuple(
                found
                for found in (read_account(scheduler, WORKER, i) for i in range(workers))
                if found is not None
            ),
        )


def _tell(
    scheduler: Scheduler,
    context: SchedulingContext,
    key: int,
    on_depletion: Callable[[Depletion], object],
) -> Exception | None:
    notice = scheduler._take_notice(key)
    if notice is None:
        return None
    count, first, last, amount = notice
    try:
        on_depletion(Depletion(context, count, first * _NS, last * _NS, amount * _NS))
    except Exception as error:
        error.add_note(f"in on_depletion of the context {context.name!r}")
        return error
    return None
