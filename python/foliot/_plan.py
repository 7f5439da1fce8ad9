"""Plans: what runs in which order and beside what, with the reasons, and what two plans differ in.

The core computes; this module gives its answers names. Drawing stands in ``_picture``
and ``_svg``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from foliot import _core
from foliot._errors import UnknownSystemError

if TYPE_CHECKING:
    from typing import Literal, TypeAlias

    from foliot._schedule import Phase
    from foliot._system import System

    _Access: TypeAlias = Literal["read", "write"]


@dataclass(frozen=True, slots=True)
class Conflict:
    """Why two systems may not run together: what each does to one resource.

    ``resource`` is a component's or resource's name, "world" (one of the two is exclusive), or
    "commands" (the one must see what the other records).
    """

    resource: str
    a: _Access
    b: _Access


@dataclass(frozen=True, slots=True)
class Ambiguity:
    """A conflicting pair that only the order of registration orders; ``a`` runs first."""

    a: str
    b: str
    conflicts: list[Conflict]

    def __str__(self) -> str:
        names = ", ".join(conflict.resource for conflict in self.conflicts)
        return f"`{self.a}` before `{self.b}` ({names})"


@dataclass(frozen=True, slots=True)
class SyncPoint:
    """A merge of recorded commands, or a delivery of I/O, or both at once.

    Attributes:
        after: the systems whose commands it applies.
        before: the systems that have to see them; empty at the end of a phase.
        delivers: the systems whose I/O is finished and delivered, before any later stage begins.
        is_phase_end: whether it is at the phase's end.
        why: a sentence.
    """

    after: list[str]
    before: list[str]
    delivers: list[str]
    is_phase_end: bool
    why: str


@dataclass(frozen=True, slots=True)
class PlanChanges:
    """What differs from one plan to the next.

    Attributes:
        added: names only the new plan has.
        removed: names only the old one had.
        replaced: names that stand for another system now.
        moved: systems of both in another phase or stage: (name, before, after), each a pair of
            phase and stage.
        edges_added: (phase, before, after) of the new graph.
        edges_removed: the same of the old one.
    """

    added: tuple[str, ...]
    removed: tuple[str, ...]
    replaced: tuple[str, ...]
    moved: tuple[tuple[str, tuple[str, int], tuple[str, int]], ...]
    edges_added: tuple[tuple[str, str, str], ...]
    edges_removed: tuple[tuple[str, str, str], ...]

    def __bool__(self) -> bool:
        return any(
            (
                *(self.added, self.removed, self.replaced, self.moved),
                *(self.edges_added, self.edges_removed),
            )
        )

    def __str__(self) -> str:
        lines = [
            f"{what}: {', '.join(names)}"
            for what, names in (
                ("added", self.added),
                ("removed", self.removed),
                ("replaced", self.replaced),
            )
            if names
        ]
        for name, old, new in self.moved:
            lines.append(f"moved: {name} from {old[0]} stage {old[1]} to {new[0]} stage {new[1]}")
        for sign, edges in (("+", self.edges_added), ("-", self.edges_removed)):
            lines += [f"{sign} {before} -> {after} ({phase})" for phase, before, after in edges]
        return "\n".join(lines) or "nothing changed"


def _quoted(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


class Plan(_core.Plan):
    """What runs in which order and beside what. Immutable; made by ``Schedule.plan()``.

    Systems are given by name or as such. ``print(plan)`` draws it as text, and a notebook shows a
    picture.

    Example:
        >>> import foliot as fo
        >>> Mass = fo.component("Mass", "f8")
        >>> @fo.system(writes=Mass)
        ... def grow(ctx): ...
        >>> @fo.system(reads=Mass)
        ... def weigh(ctx): ...
        >>> plan = fo.Schedule(grow, weigh).plan()
        >>> plan.stages("update")
        [['grow'], ['weigh']]
        >>> plan.conflicts("grow", "weigh")
        [Conflict(resource='Mass', a='write', b='read')]
    """

    __slots__ = ("_rates",)
    _rates: tuple[Phase, ...]

    def conflicts(self, a: str | System, b: str | System, /) -> list[Conflict]:
        """Everything two systems conflict over; empty when they may run together."""
        return [Conflict(*item) for item in self._conflicts(a, b)]

    def ambiguities(self) -> list[Ambiguity]:
        """Conflicting pairs that only the order of registration orders."""
        return [
            Ambiguity(a, b, [Conflict(*item) for item in conflicts])
            for a, b, conflicts in self._ambiguities()
        ]

    def sync_points(self, phase: str, /) -> list[SyncPoint]:
        """Merges and deliveries of a phase in order: after which systems, before which, and why."""
        points = []
        for after, before, delivers, is_phase_end, _ in self._sync_points(phase):
            reasons = []
            if before:
                reasons.append(f"{_quoted(before)} must see the commands of {_quoted(after)}")
            if delivers:
                until = f"phase `{phase}` ends" if is_phase_end else "any later stage begins"
                reasons.append(f"I/O of {_quoted(delivers)} is finished before {until}")
            if after and not before:
                place = f"at the end of phase `{phase}`" if is_phase_end else "here too"
                reasons.append(f"commands of {_quoted(after)} are applied {place}")
            points.append(SyncPoint(after, before, delivers, is_phase_end, "; ".join(reasons)))
        return points

    def critical_path(self, costs: Mapping[str, float], /) -> tuple[float, list[str]]:
        """The longest chain of systems: (seconds, names). No number of workers is quicker.

        ``costs`` maps names to seconds, as ``Scheduler.costs()`` gives them; what it leaves out
        costs nothing.
        """
        return self._critical_path(dict(costs))

    def speedup_bound(self, costs: Mapping[str, float], /) -> float:
        """The speed-up over one worker that no number of workers can beat.

        All costs over the longest chain, or over the time under the interpreter lock if that is
        longer. 1.0 when nothing costs anything.
        """
        return self._speedup_bound(dict(costs))[0]

    def diff(self, other: Plan, /) -> PlanChanges:
        """What changes from this plan to another one.

        Example:
            >>> import foliot as fo
            >>> @fo.system
            ... def one(ctx): ...
            >>> @fo.system
            ... def two(ctx): ...
            >>> print(fo.Schedule(one).plan().diff(fo.Schedule(one, two).plan()))
            added: two
        """
        if not isinstance(other, Plan):
            raise TypeError(f"diff compares plans, got {other!r}.")
        old = {system.name: system for system in self.systems}
        new = {system.name: system for system in other.systems}
        both = [name for name in old if name in new]
        moved = []
        for name in both:
            places = [
                (facts["phase"], facts["stage"])
                for facts in (self._facts(name), other._facts(name))
            ]
            if places[0] != places[1]:
                moved.append((name, places[0], places[1]))
        old_edges, new_edges = self._edge_set(), other._edge_set()
        return PlanChanges(
            added=tuple(name for name in new if name not in old),
            removed=tuple(name for name in old if name not in new),
            replaced=tuple(name for name in both if old[name] is not new[name]),
            moved=tuple(moved),
            edges_added=tuple(edge for edge in new_edges if edge not in old_edges),
            edges_removed=tuple(edge for edge in old_edges if edge not in new_edges),
        )

    def _edge_set(self) -> dict[tuple[str, str, str], None]:
        """Edges of all phases, in order."""
        return {
            (phase, before, after): None
            for phase in self.phases
            for before, after, _ in self.edges(phase)
        }

    def _lock_use(self, system: System) -> str:
        """How a system uses the interpreter lock: "hold", "release" or "none"."""
        if self._facts(system)["holds_interpreter"]:
            return "hold"
        return "release" if system.gil == "release" and not system.is_native else "none"

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain lists and dicts, for JSON."""
        from foliot._picture import plan_dict

        return plan_dict(self)

    def to_dot(self) -> str:
        """The plan as a Graphviz graph."""
        from foliot._picture import plan_dot

        return plan_dot(self)

    def to_svg(self) -> str:
        """The plan as an SVG picture: stages from left to right, merges between them.

        Only the orders that no merge between two stages implies are drawn. Tooltips say the rest.
        """
        from foliot._svg import plan_svg

        return plan_svg(self)

    def _repr_html_(self) -> str:
        return f'<div style="overflow-x:auto">{self.to_svg()}</div>'

    def __str__(self) -> str:
        from foliot._picture import plan_text

        return plan_text(self)

    def __repr__(self) -> str:
        systems, phases = len(self), len(self.phases)
        return (
            f"<Plan of {systems} system{'s' * (systems != 1)} "
            f"in {phases} phase{'s' * (phases != 1)}>"
        )

    def _refuse_system(self, key: object) -> NoReturn:
        """Raise what is wrong with a system that the plan does not have."""
        from foliot._schedule import near
        from foliot._system import System

        if not isinstance(key, str | System):
            raise TypeError(f"a plan knows systems by name or as such, got {key!r}.")
        name = key.name if isinstance(key, System) else key
        known = [system.name for system in self.systems]
        if name in known:
            raise UnknownSystemError(f"the plan has another system `{name}` than this one.")
        raise UnknownSystemError(f"the plan has no system `{name}`{near(name, known) or '.'}")
