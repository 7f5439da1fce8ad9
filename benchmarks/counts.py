"""Numbers that have a limit and no contender, as tables: what, goal, measured, met."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

HEADER = ["what", "goal", "measured", "met?"]


@dataclass(frozen=True)
class Outcome:
    """A number and its limit, or why there is no number.

    ``is_least``: the limit is the least that is wanted, not the most. Without a limit the number
    is only shown.
    """

    what: str
    limit: float | None
    unit: str
    value: float | None
    missing: str | None = None
    is_least: bool = False


def cells_of(outcome: Outcome) -> list[str]:
    """What, goal, measured, met."""
    sign = "≥" if outcome.is_least else "≤"
    goal = "—" if outcome.limit is None else f"{sign} {outcome.limit:.4g} {outcome.unit}"
    if outcome.value is None:
        return [outcome.what, goal, "not measured", "—"]
    measured = f"{outcome.value:.4g} {outcome.unit}"
    if outcome.limit is None:
        return [outcome.what, goal, measured, "—"]
    value, limit = outcome.value, outcome.limit
    is_met = value >= limit if outcome.is_least else value <= limit
    return [outcome.what, goal, measured, "yes" if is_met else "no"]


def render_text(outcomes: Sequence[Outcome]) -> str:
    """The numbers, aligned for a terminal."""
    lines = [HEADER, *map(cells_of, outcomes)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEADER))]
    rows = [
        "  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
    missing = [f"{o.what!r} not measured: {o.missing}" for o in outcomes if o.missing is not None]
    return "\n".join([*rows, *missing])


def render_markdown(outcomes: Sequence[Outcome]) -> str:
    """The numbers as a table for the documentation."""
    lines = [HEADER, ["---"] * len(HEADER), *map(cells_of, outcomes)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
