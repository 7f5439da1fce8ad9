"""Schedules: which systems there are, in which phases; names become ids when a plan is made."""

from __future__ import annotations

import difflib
import itertools
import math
import os
import sys
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from foliot._checks import real, text, whole
from foliot._errors import (
    DuplicateSystemError,
    ScheduleError,
    UnknownPhaseError,
    UnknownSystemError,
)
from foliot._known import Known
from foliot._plan import Plan
from foliot._system import Query, System, component_name, read_names

if TYPE_CHECKING:
    from foliot._scheduler import Scheduler

DEFAULT_PHASES = ("first", "update", "last")
MAX_COUNT = 2**32 - 1
_SHOWN_AMBIGUITIES = 5
_PACKAGE = os.path.join(os.path.dirname(__file__), "")


@dataclass(frozen=True)
class Phase:
    """A phase with a rate of its own.

    Args:
        name: the phase's name.
        every: it runs in every ``every``-th frame, starting with the first.
        step: it runs as many steps of this many seconds as the time that passed holds; its
            systems see ``ctx.dt == step``.
        max_steps: steps of one frame at most; what is beyond is dropped and counted.

    Example:
        >>> Phase("physics", step=1 / 120, max_steps=8)
        Phase('physics', step=0.00833..., max_steps=8)
    """

    name: str
    every: int = 1
    step: float | None = None
    max_steps: int = 8

    def __post_init__(self) -> None:
        text(self.name, "a phase's name")
        for what in ("every", "max_steps"):
            count = whole(getattr(self, what), f"{what}= of phase `{self.name}`", 1, MAX_COUNT)
            object.__setattr__(self, what, count)
        if self.step is None:
            return
        step = real(self.step, f"step= of phase `{self.name}`")
        if not (math.isfinite(step) and step > 0):
            raise ValueError(
                f"step= of phase `{self.name}` is a finite number of seconds above 0, got {step}."
            )
        if self.every != 1:
            raise ValueError(f"phase `{self.name}` has either every= or step=, not both.")
        object.__setattr__(self, "step", step)

    def __repr__(self) -> str:
        if self.step is not None:
            return f"Phase({self.name!r}, step={self.step!r}, max_steps={self.max_steps})"
        return f"Phase({self.name!r}, every={self.every})"


def holds_lock(system: System) -> bool:
    """Whether a system runs under the interpreter lock of this build of Python."""
    return _has_lock() and system.kernel is None and system.gil == "hold"


def _has_lock() -> bool:
    has_lock: bool = getattr(sys, "_is_gil_enabled", lambda: True)()
    return has_lock


def takes_turns(system: System) -> bool:
    """Whether a system waits for others like it: where there is a lock, it holds it as it runs.

    Beside functions that hold the lock these are kernels that Python lets run, by ``run_if``.
    """
    if system.kernel is None:
        return holds_lock(system)
    return _has_lock() and system.run_if is not None


def near(name: object, known: Iterable[object]) -> str:
    """A hint at what a misspelt name may have meant, or nothing."""
    found = difflib.get_close_matches(str(name), [str(item) for item in known], n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(f'`{item}`' for item in found)}?" if found else ""


def _levels_to_user() -> int:
    """The stacklevel with which the caller of this warns about a line outside of foliot."""
    levels = 1
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
        levels += 1
    return levels


def _name_of(key: object) -> object:
    return key.name if isinstance(key, System) else key


def _check_system(given: object) -> System:
    if not isinstance(given, System):
        hint = ": decorate it with @fo.system" if callable(given) else ""
        raise TypeError(f"a schedule takes systems, got {given!r}{hint}.")
    return given


def _read_phases(phases: object) -> tuple[Phase, ...]:
    if isinstance(phases, str | Phase) or not isinstance(phases, Iterable):
        raise TypeError(f"phases= takes an iterable of names and fo.Phase, got {phases!r}.")
    found = []
    for item in phases:
        if not isinstance(item, str | Phase):
            raise TypeError(f"a phase is a name or a fo.Phase, got {item!r}.")
        found.append(item if isinstance(item, Phase) else Phase(item))
    names = [phase.name for phase in found]
    for name in names:
        if names.count(name) > 1:
            raise ScheduleError(f"the phase `{name}` stands twice in phases=.")
    if not found:
        raise ScheduleError("a schedule has at least one phase.")
    return tuple(found)


class Schedule:
    """Systems in phases; the description of which a plan is made.

    Args:
        *systems: what ``fo.system`` and ``fo.native`` made.
        phases: names and ``fo.Phase``, in the order in which they run in a frame.
        ambiguity: what to do about conflicting pairs that only their registration orders.

    DuplicateSystemError, UnknownPhaseError: a system cannot be added; nothing was.

    Example:
        >>> import foliot as fo
        >>> Mass = fo.component("Mass", "f8")
        >>> @fo.system(writes=Mass)
        ... def grow(ctx): ...
        >>> @fo.system(reads=Mass)
        ... def weigh(ctx): ...
        >>> fo.Schedule(grow, weigh).plan().execution_order()
        ['grow', 'weigh']
    """

    def __init__(
        self,
        *systems: System,
        phases: Iterable[str | Phase] = DEFAULT_PHASES,
        ambiguity: Literal["allow", "warn", "error"] = "allow",
    ) -> None:
        if ambiguity not in ("allow", "warn", "error"):
            raise ValueError(f"ambiguity= is 'allow', 'warn' or 'error', got {ambiguity!r}.")
        self._phases = _read_phases(phases)
        self._ambiguity = ambiguity
        self._systems: dict[str, System] = {}
        self._orders: list[tuple[str | System, ...]] = []
        self._plan: Plan | None = None
        self._schedulers: Known[Scheduler] = Known()
        self.add(*systems)

    @property
    def systems(self) -> tuple[System, ...]:
        """The systems in the order of their registration."""
        return tuple(self._systems.values())

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The phases in order."""
        return self._phases

    def __len__(self) -> int:
        return len(self._systems)

    def __iter__(self) -> Iterator[System]:
        return iter(self.systems)

    def __contains__(self, key: object) -> bool:
        if isinstance(key, System):
            return self._systems.get(key.name) is key
        return key in self._systems

    def __repr__(self) -> str:
        return f"<Schedule of {len(self)} systems in {len(self._phases)} phases>"

    def add(self, *systems: System) -> None:
        """Add systems; all of them, or none with an error."""
        phases = {phase.name for phase in self._phases}
        grown = dict(self._systems)
        for given in systems:
            system = _check_system(given)
            if system.name in grown:
                raise DuplicateSystemError(f"two systems are called `{system.name}`.")
            if system.phase not in phases:
                raise UnknownPhaseError(
                    f"system `{system.name}` is of phase `{system.phase}`, which the schedule does "
                    f"not have; its phases are {[phase.name for phase in self._phases]}"
                    f"{near(system.phase, phases) or '.'}"
                )
            grown[system.name] = system
        self._systems = grown
        self._edited()

    def remove(self, *systems: str | System) -> None:
        """Remove systems by name or as such; all of them, or none with UnknownSystemError."""
        left = dict(self._systems)
        for key in systems:
            if not isinstance(key, str | System):
                raise TypeError(f"remove takes names or systems, got {key!r}.")
            name = key.name if isinstance(key, System) else key
            if name not in left or (isinstance(key, System) and left[name] is not key):
                raise UnknownSystemError(
                    f"the schedule has no system `{name}`{near(name, left) or '.'}"
                )
            del left[name]
        self._systems = left
        self._edited()

    def order(self, *nodes: str | System) -> None:
        """State that each of these systems, names or sets runs before the next."""
        found = read_names(nodes, "order", (str, System))
        if len(found) < 2:
            raise ValueError("order takes at least two systems, names or sets.")
        self._orders.append(found)
        self._edited()

    def plan(self) -> Plan:
        """The plan of the schedule as it stands; the same object until it is edited.

        OrderCycleError, UnknownSystemError, ScheduleError: what stands in the way, by name.
        """
        if self._plan is None:
            plan = _Build(self).make()
            self._report_ambiguities(plan)
            self._plan = plan
        return self._plan

    def _edited(self) -> None:
        self._plan = None
        for scheduler in self._schedulers:
            scheduler._mark_stale()

    def _report_ambiguities(self, plan: Plan) -> None:
        if self._ambiguity == "allow":
            return
        found = plan.ambiguities()
        if not found:
            return
        shown = "; ".join(str(item) for item in found[:_SHOWN_AMBIGUITIES])
        more = len(found) - _SHOWN_AMBIGUITIES
        pairs = (
            "1 conflicting pair is" if len(found) == 1 else f"{len(found)} conflicting pairs are"
        )
        sentence = (
            f"{pairs} ordered only by registration: {shown}"
            f"{f'; and {more} more' if more > 0 else ''}. State the order with before= or after=."
        )
        if self._ambiguity == "error":
            raise ScheduleError(sentence)
        warnings.warn(sentence, stacklevel=_levels_to_user())


class _Build:
    """One making of a plan: ids for names, then everything to the core at once."""

    def __init__(self, schedule: Schedule) -> None:
        self.systems = schedule.systems
        self.phases = schedule.phases
        self.orders = schedule._orders
        self.phase_ids = {phase.name: index for index, phase in enumerate(self.phases)}
        self.set_ids: dict[str, int] = {}
        self.resource_ids: dict[type, int] = {}
        # Every name and system -> twice its id, plus one for a set.
        self.nodes: dict[object, int] = {}

    def make(self) -> Plan:
        for index, system in enumerate(self.systems):
            self.nodes[system.name] = self.nodes[system] = 2 * index
        for system in self.systems:
            for name in system.sets:
                self._add_set(system, name)
        specs = [self._spec(system) for system in self.systems]
        orders: list[tuple[int, tuple[Any, ...], tuple[Any, ...]]] = [
            (2 * index, system.before, system.after)
            for index, system in enumerate(self.systems)
            if system.before or system.after
        ]
        for chain in self.orders:
            for first, second in itertools.pairwise(chain):
                if first not in self.nodes:
                    self._refuse(-1, first)
                orders.append((self.nodes[first], (second,), ()))
        plan = Plan(
            systems=self.systems,
            names=tuple(system.name for system in self.systems),
            phases=tuple(phase.name for phase in self.phases),
            resources=tuple(component_name(item) for item in self.resource_ids),
            sets=tuple(self.set_ids),
            specs=specs,
            nodes=self.nodes,
            orders=orders,
            on_unknown=self._refuse,
        )
        plan._rates = self.phases
        return plan

    def _add_set(self, system: System, name: str) -> None:
        if name in self.set_ids:
            return
        if name in self.nodes:
            raise ScheduleError(
                f"`{name}` is the name of a system and of a set (of `{system.name}`): a name in "
                "before= or after= could mean either."
            )
        self.set_ids[name] = len(self.set_ids)
        self.nodes[name] = 2 * self.set_ids[name] + 1

    def _refuse(self, owner: int, key: object) -> NoReturn:
        """Raise what is wrong with a name in before= or after=."""
        name = _name_of(key)
        if owner < 0:
            where = "an order of the schedule"
        elif owner % 2:
            where = f"an order of the set `{list(self.set_ids)[owner // 2]}`"
        else:
            where = f"system `{self.systems[owner // 2].name}`"
        if isinstance(key, System) and name in self.nodes:
            raise UnknownSystemError(
                f"{where} names another system `{name}` than the one in the schedule."
            )
        known = [node for node in self.nodes if isinstance(node, str)]
        raise UnknownSystemError(
            f"{where} names `{name}`, which is no system or set of the schedule"
            f"{near(name, known) or '.'}"
        )

    def _ids(self, classes: Iterable[type]) -> tuple[int, ...]:
        ids = self.resource_ids
        return tuple(ids.setdefault(item, len(ids)) for item in classes)

    def _access(self, query: Query) -> tuple[tuple[int, ...], ...]:
        """Change ticks belong to a component, so that watching one is reading it."""
        watched = (*query.changed, *query.added)
        reads = dict.fromkeys((*query.reads, *watched))
        return (
            self._ids(item for item in reads if item not in query.writes),
            self._ids(query.writes),
            self._ids(query.with_),
            self._ids(query.without),
        )

    def _spec(self, system: System) -> tuple[Any, ...]:
        queries = [query for query in (system.default_query,) if query.has_terms]
        queries += system.queries.values()
        return (
            system.name,
            self.phase_ids[system.phase],
            system.exclusive,
            system.commands,
            system.io,
            holds_lock(system),
            tuple(self._access(query) for query in queries),
            self._ids(item for item in system.resource_reads),
            self._ids(system.resource_writes),
            tuple(self.set_ids[name] for name in system.sets),
        )
