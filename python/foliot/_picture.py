"""Plans as text, as a Graphviz graph, and as plain data. The SVG picture stands in ``_svg``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from foliot._system import component_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from foliot._plan import Plan, SyncPoint
    from foliot._schedule import Phase
    from foliot._system import System

_TEXT_COLUMNS = 96


def _names(classes: Iterable[type]) -> list[str]:
    return [component_name(item) for item in classes]


def _node_names(nodes: Iterable[str | System]) -> list[str]:
    return [node if isinstance(node, str) else node.name for node in nodes]


def rate_text(phase: Phase) -> str:
    """A phase's rate in words, "" for every frame."""
    if phase.step is not None:
        return f"steps of {phase.step:g} s, at most {phase.max_steps} a frame"
    return f"every {phase.every} frames" if phase.every > 1 else ""


def _system_dict(plan: Plan, system: System) -> dict[str, Any]:
    facts = plan._facts(system)
    query = system.default_query
    return {
        "name": system.name,
        "kind": "native" if system.is_native else "python",
        "phase": facts["phase"],
        "stage": facts["stage"],
        "segment": facts["segment"],
        "place": facts["place"],
        "gil": plan._lock_use(system),
        "exclusive": facts["exclusive"],
        "commands": facts["commands"],
        "conditional": system.run_if is not None,
        "reads": _names(system.reads),
        "writes": _names(system.writes),
        "with": _names(query.with_),
        "without": _names(query.without),
        "changed": _names(query.changed),
        "added": _names(query.added),
        "sets": list(system.sets),
        "before": _node_names(system.before),
        "after": _node_names(system.after),
    }


def _phase_dict(plan: Plan, phase: Phase) -> dict[str, Any]:
    return {
        "name": phase.name,
        "every": phase.every if phase.step is None else None,
        "step": phase.step,
        "max_steps": None if phase.step is None else phase.max_steps,
        "stages": plan.stages(phase.name),
        "edges": [
            {"before": before, "after": after, "reason": reason}
            for before, after, reason in plan.edges(phase.name)
        ],
        "sync_points": [
            {
                "after": point.after,
                "before": point.before,
                "delivers": point.delivers,
                "is_phase_end": point.is_phase_end,
                "why": point.why,
            }
            for point in plan.sync_points(phase.name)
        ],
    }


def plan_dict(plan: Plan) -> dict[str, Any]:
    """The plan as plain data."""
    return {
        "phases": [_phase_dict(plan, phase) for phase in plan._rates],
        "systems": [_system_dict(plan, system) for system in plan.systems],
        "execution_order": plan.execution_order(),
    }


def _wrapped(items: list[str], prefix: str) -> Iterator[str]:
    """Names joined by bars, in lines that fit."""
    line = prefix
    for index, item in enumerate(items):
        piece = item if index == len(items) - 1 else f"{item} | "
        if len(line) + len(piece) > _TEXT_COLUMNS and line.strip() and line != prefix:
            yield line.rstrip()
            line = " " * len(prefix)
        line += piece
    yield line.rstrip()


def _marks(plan: Plan, system: str) -> str:
    """A name with what is special about its system."""
    facts = plan._facts(system)
    found = plan.systems[facts["index"]]
    marks = [
        word
        for word, holds in (
            ("native", found.is_native),
            ("exclusive", facts["exclusive"]),
            ("commands", facts["commands"]),
            ("io", found.io),
            ("run_if", found.run_if is not None),
        )
        if holds
    ]
    return f"{system} ({', '.join(marks)})" if marks else system


def _merge_text(point: SyncPoint) -> str:
    parts = []
    if point.delivers:
        parts.append(f"I/O of {', '.join(point.delivers)}")
    if point.after:
        end = "end of phase" if point.is_phase_end else "later stages"
        parts.append(f"merge: {', '.join(point.after)} -> {', '.join(point.before) or end}")
    return "; ".join(parts)


def merge_title(point: SyncPoint) -> str:
    """What happens at a sync point, in a word or two."""
    kinds = ["merge"] * bool(point.after) + ["I/O"] * bool(point.delivers)
    return ", ".join(kinds)


def _stage_ends(plan: Plan, phase: str) -> dict[int, SyncPoint]:
    """The merge after each stage that has one."""
    ends: dict[int, SyncPoint] = {}
    segment_end: dict[int, int] = {}
    for names in plan.stages(phase):
        for name in names:
            facts = plan._facts(name)
            stage, segment = facts["stage"], facts["segment"]
            segment_end[segment] = max(segment_end.get(segment, 0), stage)
    points = plan.sync_points(phase)
    for point, raw in zip(points, plan._sync_points(phase), strict=True):
        ends[segment_end[raw[-1]]] = point
    return ends


def plan_text(plan: Plan) -> str:
    """The plan as text: a line for each stage, merges between them."""
    lines = []
    for phase in plan._rates:
        stages = plan.stages(phase.name)
        count = sum(map(len, stages))
        rate = rate_text(phase)
        what = (
            f"{count} system{'s' * (count != 1)} in {len(stages)} stage{'s' * (len(stages) != 1)}"
            if count
            else "no systems"
        )
        lines.append(f"phase {phase.name}: {what}{f', {rate}' if rate else ''}")
        ends = _stage_ends(plan, phase.name)
        for index, names in enumerate(stages):
            lines += _wrapped([_marks(plan, name) for name in names], f"  stage {index}: ")
            if index in ends:
                lines.append(f"  ---- {_merge_text(ends[index])}")
    return "\n".join(lines)


def _dot_quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def plan_dot(plan: Plan) -> str:
    """The plan as a Graphviz graph: a cluster for each phase, dashed edges for conflicts."""
    lines = ["digraph plan {", "  rankdir=LR;", "  node [shape=box, style=rounded];"]
    for number, phase in enumerate(plan.phases):
        lines.append(f"  subgraph cluster_{number} {{")
        lines.append(f"    label={_dot_quoted(phase)};")
        for names in plan.stages(phase):
            shown = "; ".join(map(_dot_quoted, names))
            lines.append(f"    {{ rank=same; {shown}; }}")
        for before, after, reason in plan.edges(phase):
            style = "" if reason == "explicit" else " [style=dashed]"
            lines.append(f"    {_dot_quoted(before)} -> {_dot_quoted(after)}{style};")
        for index, point in enumerate(plan.sync_points(phase)):
            merge = _dot_quoted(f"merge {number}.{index}")
            label = _dot_quoted(merge_title(point))
            lines.append(f"    {merge} [label={label}, shape=diamond, style=solid];")
            sources = dict.fromkeys((*point.after, *point.delivers))
            lines += [f"    {_dot_quoted(name)} -> {merge} [style=dotted];" for name in sources]
            lines += [
                f"    {merge} -> {_dot_quoted(name)} [style=dotted];" for name in point.before
            ]
        lines.append("  }")
    lines.append("}")
    return "\n".join(lines)
