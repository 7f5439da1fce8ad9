"""Plans drawn: as text, as a Graphviz graph, as SVG, and as plain data."""

from __future__ import annotations

from html import escape
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


def _rate(phase: Phase) -> str:
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
            ("run_if", found.run_if is not None),
        )
        if holds
    ]
    return f"{system} ({', '.join(marks)})" if marks else system


def _merge_text(point: SyncPoint) -> str:
    after = ", ".join(point.after)
    return f"merge: {after} -> {', '.join(point.before) or 'end of phase'}"


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
        ends[segment_end[raw[3]]] = point
    return ends


def plan_text(plan: Plan) -> str:
    """The plan as text: a line for each stage, merges between them."""
    lines = []
    for phase in plan._rates:
        stages = plan.stages(phase.name)
        count = sum(map(len, stages))
        rate = _rate(phase)
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
            lines.append(f'    {merge} [label="merge", shape=diamond, style=solid];')
            lines += [f"    {_dot_quoted(name)} -> {merge} [style=dotted];" for name in point.after]
            lines += [
                f"    {merge} -> {_dot_quoted(name)} [style=dotted];" for name in point.before
            ]
        lines.append("  }")
    lines.append("}")
    return "\n".join(lines)


# The picture's measures, in pixels, and its colours.
_BOX_HEIGHT, _GAP, _MARGIN, _LETTER = 26, 10, 16, 7.2
_STAGE_GAP, _MERGE_WIDTH, _TITLE = 34, 14, 24
_FILLS = {"python": "#dbe9f6", "native": "#dff0d8", "exclusive": "#f6dbdb"}


class _Canvas:
    """Shapes of an SVG picture and how far they reach."""

    def __init__(self) -> None:
        self.shapes: list[str] = []
        self.width = 0.0
        self.height = 0.0

    def reach(self, x: float, y: float) -> None:
        self.width, self.height = max(self.width, x), max(self.height, y)

    def text(self, x: float, y: float, text: str, *, weight: str = "normal") -> None:
        self.shapes.append(f'<text x="{x:.0f}" y="{y:.0f}" font-weight="{weight}">{text}</text>')
        self.reach(x + len(text) * _LETTER, y)

    def box(
        self, x: float, y: float, width: float, height: float, *, fill: str, title: str
    ) -> None:
        self.shapes.append(
            f'<rect x="{x:.0f}" y="{y:.0f}" width="{width:.0f}" height="{height:.0f}" rx="4" '
            f'fill="{fill}" stroke="#555"><title>{title}</title></rect>'
        )
        self.reach(x + width, y + height)

    def line(self, start: tuple[float, float], end: tuple[float, float], dash: str) -> None:
        # A level curve leaves to the right and arrives from the left.
        middle = (start[0] + end[0]) / 2
        self.shapes.append(
            f'<path d="M{start[0]:.0f} {start[1]:.0f} C{middle:.0f} {start[1]:.0f} '
            f'{middle:.0f} {end[1]:.0f} {end[0]:.0f} {end[1]:.0f}" fill="none" stroke="#777" '
            f'stroke-dasharray="{dash}"/>'
        )

    def svg(self) -> str:
        width, height = self.width + _MARGIN, self.height + _MARGIN
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
            f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="sans-serif" font-size="12">'
            + "".join(self.shapes)
            + "</svg>"
        )


def _fill(plan: Plan, name: str) -> str:
    facts = plan._facts(name)
    if facts["exclusive"]:
        return _FILLS["exclusive"]
    return _FILLS["native" if plan.systems[facts["index"]].is_native else "python"]


def _draw_phase(canvas: _Canvas, plan: Plan, phase: Phase, top: float) -> None:
    """One phase: a column of boxes for each stage, a bar for each merge, curves for edges."""
    rate = _rate(phase)
    heading = f"{phase.name} ({rate})" if rate else phase.name
    canvas.text(_MARGIN, top + 14, escape(heading), weight="bold")
    ends = _stage_ends(plan, phase.name)
    stages = plan.stages(phase.name)
    tallest = max(map(len, stages), default=0)
    left, first = float(_MARGIN), top + _TITLE
    places: dict[str, tuple[float, float, float]] = {}
    for index, names in enumerate(stages):
        width = max(len(name) for name in names) * _LETTER + 16
        for row, name in enumerate(names):
            y = first + row * (_BOX_HEIGHT + _GAP)
            title = escape(_marks(plan, name))
            canvas.box(left, y, width, _BOX_HEIGHT, fill=_fill(plan, name), title=title)
            canvas.text(left + 8, y + 17, escape(name))
            places[name] = (left, left + width, y + _BOX_HEIGHT / 2)
        left += width + _STAGE_GAP
        if index in ends:
            height = tallest * (_BOX_HEIGHT + _GAP) - _GAP
            bar = left - _STAGE_GAP + _GAP
            why = escape(ends[index].why)
            canvas.box(bar, first, _MERGE_WIDTH, height, fill="#f0e6c8", title=why)
            left += _MERGE_WIDTH + _GAP
    for before, after, reason in plan.edges(phase.name):
        start, end = places[before], places[after]
        dash = "none" if reason == "explicit" else "4 3"
        canvas.line((start[1], start[2]), (end[0], end[2]), dash)


def plan_svg(plan: Plan) -> str:
    """The plan as an SVG picture."""
    canvas = _Canvas()
    top = float(_MARGIN)
    for phase in plan._rates:
        _draw_phase(canvas, plan, phase, top)
        top = canvas.height + _MARGIN
    return canvas.svg()
