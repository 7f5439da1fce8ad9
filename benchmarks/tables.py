"""Turns the results of `harness` into a table for a terminal and one for the documentation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Summary:
    """One contender: median seconds per iteration and relative spread, or why they are missing."""

    label: str
    seconds: float | None
    spread: float | None
    missing: str | None


@dataclass(frozen=True)
class Comparison:
    """One row measured; ``ratio`` is our time over that of the other that counts.

    ``ratio_spread`` is the ratio's median absolute deviation over the rounds, relative to it.
    """

    group: str
    what: str
    limit: float | None
    ours: Summary
    others: list[Summary]
    ratio: float | None
    ratio_spread: float | None = None
    goal: str | None = None


@dataclass(frozen=True)
class Noise:
    """The spin loop over the whole run: what the machine itself varies by.

    ``others`` is the part of the processors' time that programs outside of the run took.
    """

    count: int
    seconds: float
    spread: float
    slowest_over_fastest: float
    others: float | None = None


def read_comparisons(results: Mapping[str, Any]) -> list[Comparison]:
    """The comparisons of a results file."""
    return [
        Comparison(
            group=entry["group"],
            what=entry["what"],
            limit=entry["limit"],
            ours=Summary(**entry["ours"]),
            others=[Summary(**other) for other in entry["others"]],
            ratio=entry["ratio"],
            ratio_spread=entry.get("ratio_spread"),
            goal=entry.get("goal"),
        )
        for entry in results["comparisons"]
    ]


def three_digits(value: float) -> str:
    """A number from 1 up, to three digits and without an exponent."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def show_seconds(seconds: float | None) -> str:
    """A duration in the unit that suits it, to three digits."""
    if seconds is None:
        return NOT_MEASURED
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= scale:
            return f"{three_digits(seconds / scale)} {unit}"
    return f"{three_digits(seconds / 1e-9)} ns"


def show_goal(comparison: Comparison) -> str:
    """The limit in words."""
    if comparison.goal is not None:
        return comparison.goal
    if comparison.limit is None:
        return "—"
    names = {other.label.partition(",")[0] for other in comparison.others}
    return f"≤ {comparison.limit:g} × {names.pop() if len(names) == 1 else 'fastest'}"


def show_ratio(comparison: Comparison) -> str:
    """The ratio, and what it varied by from round to round."""
    if comparison.ratio is None:
        return "—"
    varied = comparison.ratio_spread
    return f"{comparison.ratio:.3g}" + ("" if varied is None else f" ± {varied:.0%}")


def show_met(comparison: Comparison) -> str:
    """Whether the limit is kept."""
    if comparison.limit is None and comparison.ours.seconds is not None:
        return "—"
    if comparison.limit is None or comparison.ratio is None:
        return NOT_MEASURED
    return "yes" if comparison.ratio <= comparison.limit else "no"


def by_speed(others: list[Summary]) -> list[Summary]:
    """Measured contenders from fast to slow, then the rest."""
    return sorted(others, key=lambda other: (other.seconds is None, other.seconds or 0.0))


def show_contender(summary: Summary) -> list[str]:
    """The cells of one contender in the terminal's table."""
    if summary.seconds is None or summary.spread is None:
        return [summary.label, NOT_MEASURED, ""]
    return [summary.label, show_seconds(summary.seconds), f"± {summary.spread:.1%}"]


def render_text(results: Mapping[str, Any]) -> str:
    """All contenders of all rows, aligned for a terminal."""
    lines = [["what", "contender", "median", "spread", "ratio", "goal", "met?"]]
    for comparison in read_comparisons(results):
        verdict = [show_ratio(comparison), show_goal(comparison), show_met(comparison)]
        lines.append([comparison.what, *show_contender(comparison.ours), *verdict])
        lines.extend(["", *show_contender(other)] for other in by_speed(comparison.others))
    widths = [max(len(line[i]) for line in lines if i < len(line)) for i in range(7)]
    table = "\n".join(
        "  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=False)).rstrip()
        for line in lines
    )
    notes = results.get("notes", [])
    return "\n".join([table, "", *show_missing(results), *notes, show_noise(results)])


def show_missing(results: Mapping[str, Any]) -> list[str]:
    """Why contenders were not measured, each reason once."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for comparison in read_comparisons(results):
        for summary in (comparison.ours, *comparison.others):
            if summary.missing is not None:
                whats = reasons.setdefault((summary.label, summary.missing), [])
                whats.append(comparison.what)
    return [
        f"{label} not measured in {len(whats)} rows, {whats[0]!r} first: {reason}"
        for (label, reason), whats in reasons.items()
    ]


def show_noise(results: Mapping[str, Any]) -> str:
    """One sentence about the machine while it ran."""
    noise = Noise(**results["noise"])
    others = "" if noise.others is None else f" Other programs had {noise.others:.0%} of its time."
    return (
        f"Machine noise: a spin loop of {show_seconds(noise.seconds)} varied by "
        f"± {noise.spread:.1%} (median absolute deviation of {noise.count}), "
        f"slowest over fastest {noise.slowest_over_fastest:.2f}.{others}"
    )


def render_markdown(results: Mapping[str, Any]) -> str:
    """The table for the documentation: what, goal, ours, others, ratio, met."""
    lines = [
        "| what | goal | ours | peers | ratio | met? |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for comparison in read_comparisons(results):
        others = "; ".join(
            f"{other.label} {show_seconds(other.seconds)}" for other in by_speed(comparison.others)
        )
        cells = [
            comparison.what,
            show_goal(comparison),
            show_seconds(comparison.ours.seconds),
            others,
            show_ratio(comparison),
            show_met(comparison),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    machine = results["machine"]
    lines += [
        "",
        f"{machine['processor']}, {machine['cpus']} CPUs, Linux {machine['kernel']}, "
        f"Python {machine['python']}; {versions}. {show_noise(results)}",
        *(f"\n{note}" for note in results.get("notes", [])),
        "",
    ]
    return "\n".join(lines)
