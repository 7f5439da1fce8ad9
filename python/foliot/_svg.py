"""A plan as an SVG picture: a panel for each phase, columns for stages, bars for merges.

The picture brings its own light ground and needs no style sheet, script, font or id, so that it
looks the same in a page of any colour and beside other pictures. An edge that a merge implies is
left out. Equal plans give equal text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING
from unicodedata import combining, east_asian_width

from foliot._layout import BOX_HEIGHT, Layout, lay_out
from foliot._picture import merge_title, rate_text
from foliot._system import component_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypeAlias

    from foliot._layout import Column, Item, Wire
    from foliot._plan import Plan, SyncPoint
    from foliot._schedule import Phase

    _Point: TypeAlias = tuple[float, float]

_MARGIN, _PAD, _GAP = 14.0, 12.0, 14.0
_TITLE_HEIGHT, _STAGE_HEIGHT, _LINE_HEIGHT = 26.0, 20.0, 14.0
_MERGE_HEIGHT, _LEGEND_HEIGHT = 62.0, 20.0
_NAME_WIDTH, _MERGE_NAME_WIDTH, _BADGE = 150.0, 110.0, 15.0
# A phase goes on below, after a merge, where it would grow wider than this.
_LINE_WIDTH, _LEGEND_WIDTH = 1400.0, 420.0

_INK, _FAINT_INK, _LINE = "#1f2328", "#59636e", "#d0d7de"
_FILLS = {
    "python": ("#ddeaf7", "#6b8fb5"),
    "native": ("#e0f1da", "#6f9d60"),
    "exclusive": ("#f8dedd", "#bb6f6c"),
    "merge": ("#f6e9c3", "#b3913a"),
}
# Colour, width and dashes of a wire, and what the legend says of it.
_WIRES = {
    "explicit": ("#1f4e8c", "1.6", "", "stated order"),
    "conflict": ("#77808a", "1.2", "5 3", "conflict"),
}
_MARKS = {
    "lock": "holds the interpreter lock",
    "N": "native kernel",
    "X": "exclusive",
    "C": "records commands",
    "?": "has a run condition",
}
# What XML 1.0 has no way to write.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _letter_width(letter: str) -> float:
    """About what a letter takes at 12 pixels, in a wide sans serif."""
    if combining(letter):
        return 0.0
    if east_asian_width(letter) in "WF":
        return 12.6
    if letter in "iljtfI.,:;'|!()[] ":
        return 4.6
    if letter in "mwMW@%&" or ord(letter) > 0x2000:
        return 11.0
    return 8.8 if letter.isupper() else 7.6


def _text_width(text: str) -> float:
    return sum(map(_letter_width, text))


def _plain(text: str) -> str:
    """Text on one line that XML can hold."""
    return " ".join(_NOT_XML.sub("\ufffd", text).split())


def _cut(text: str, width: float) -> str:
    """Text, or as much of its beginning as fits."""
    text = _plain(text)
    if _text_width(text) <= width:
        return text
    used, kept = _letter_width("…"), []
    for letter in text:
        used += _letter_width(letter)
        if used > width:
            break
        kept.append(letter)
    return "".join(kept).rstrip() + "…"


@dataclass(frozen=True, slots=True)
class _Box:
    """How a system is drawn, wherever it stands."""

    label: str
    kind: str
    marks: tuple[str, ...]
    title: str

    @property
    def width(self) -> float:
        marks = 4 + _BADGE * len(self.marks) if self.marks else 0
        return max(44.0, _text_width(self.label) + marks + 16)


def _describe(plan: Plan, name: str) -> _Box:
    facts = plan._facts(name)
    system = plan.systems[facts["index"]]
    marks = {
        "lock": plan._lock_use(system) == "hold",
        "N": system.is_native,
        "X": facts["exclusive"],
        "C": facts["commands"],
        "?": system.run_if is not None,
    }
    found = tuple(mark for mark, holds in marks.items() if holds)
    lines = [_plain(name), *(_MARKS[mark] for mark in found)]
    for what, classes in (("reads", system.reads), ("writes", system.writes)):
        if classes:
            lines.append(f"{what} {', '.join(component_name(item) for item in classes)}")
    kind = "exclusive" if facts["exclusive"] else "native" if system.is_native else "python"
    return _Box(_cut(name, _NAME_WIDTH), kind, found, "\n".join(map(_plain, lines)))


class _Canvas:
    """Shapes of an SVG picture, how far they reach, and what the legend has to name."""

    def __init__(self) -> None:
        self.shapes: list[str] = []
        self.width = 0.0
        self.height = 0.0
        self.marks: set[str] = set()
        self.reasons: set[str] = set()

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: int = 12,
        ink: str = _INK,
        anchor: str = "start",
        weight: str = "normal",
    ) -> None:
        anchored = "" if anchor == "start" else f' text-anchor="{anchor}"'
        heavy = "" if weight == "normal" else f' font-weight="{weight}"'
        sized = "" if size == 12 else f' font-size="{size}"'
        self.shapes.append(
            f'<text x="{x:.1f}" y="{y:.1f}" fill="{ink}"{sized}{anchored}{heavy}>'
            f"{escape(_plain(text))}</text>"
        )

    def box(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        *,
        fill: str,
        stroke: str = "none",
        radius: float = 5.0,
        title: str = "",
    ) -> None:
        tip = f"<title>{escape(title)}</title>" if title else ""
        self.shapes.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" '
            f'rx="{radius:g}" fill="{fill}" stroke="{stroke}">{tip}</rect>'
        )
        self.width = max(self.width, x + width)
        self.height = max(self.height, y + height)

    def mark(self, x: float, y: float, mark: str) -> None:
        """A padlock, or a letter in a frame, with its left edge at x and its middle at y."""
        self.marks.add(mark)
        title = f"<title>{_MARKS[mark]}</title>"
        if mark == "lock":
            self.shapes.append(
                f'<g fill="none" stroke="{_FAINT_INK}">{title}'
                f'<rect x="{x + 2.5:.1f}" y="{y - 1.5:.1f}" width="8" height="6" rx="1" '
                f'fill="{_FAINT_INK}"/>'
                f'<path d="M{x + 4.5:.1f} {y - 1.5:.1f} v-2 a2 2 0 0 1 4 0 v2" '
                'stroke-width="1.3"/></g>'
            )
            return
        self.shapes.append(
            f"<g>{title}"
            f'<rect x="{x:.1f}" y="{y - 6.5:.1f}" width="13" height="13" rx="3" fill="#fff" '
            f'stroke="{_FAINT_INK}" stroke-width="0.8"/>'
            f'<text x="{x + 6.5:.1f}" y="{y + 3.5:.1f}" font-size="10" font-weight="bold" '
            f'text-anchor="middle" fill="{_FAINT_INK}">{mark}</text></g>'
        )

    def wire(self, path: str, tips: list[_Point], reason: str, title: str) -> None:
        """Lines along a path, with an arrowhead at each tip."""
        self.reasons.add(reason)
        ink, width, dashes, _ = _WIRES[reason]
        dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
        heads = "".join(f"M{x:.1f} {y:.1f} l-7 -3.5 v7 z" for x, y in tips)
        self.shapes.append(
            f"<g><title>{escape(_plain(title))}</title>"
            f'<path d="{path}" fill="none" stroke="{ink}" stroke-width="{width}"{dashed}/>'
            f'<path d="{heads}" fill="{ink}"/></g>'
        )

    def svg(self, label: str) -> str:
        width, height = self.width + _MARGIN, self.height + _MARGIN
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
            f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="system-ui, sans-serif" '
            f'font-size="12" role="img" aria-label="{escape(label)}">'
            f'<rect x="0.5" y="0.5" width="{width - 1:.0f}" height="{height - 1:.0f}" rx="8" '
            f'fill="#fff" stroke="{_LINE}"/>' + "".join(self.shapes) + "</svg>"
        )


def _draw_wire(canvas: _Canvas, columns: list[Column], wire: Wire, at: _Point) -> None:
    """A wire, level past columns and in curves between them."""
    x, y = at
    pieces, tips, lanes = [], [], set()
    for index, start, end in wire.links:
        here, there = columns[index], columns[index + 1]
        # A lane begins where its column does, the edge of a box where the box ends.
        from_x, to_x = x + here.x + here.width, x + there.x
        middle, start_y, end_y = (from_x + to_x) / 2, y + start.y, y + end.y
        if end.name:
            tips.append((to_x, end_y))
            to_x -= 6
        pieces.append(
            f"M{from_x:.1f} {start_y:.1f} C{middle:.1f} {start_y:.1f} "
            f"{middle:.1f} {end_y:.1f} {to_x:.1f} {end_y:.1f}"
        )
        if not end.name and id(end) not in lanes:
            lanes.add(id(end))
            pieces.append(f"H{to_x + there.width:.1f}")
    before, after = (", ".join(names) for names in (wire.before, wire.after))
    title = f"{before} before {after} ({_WIRES[wire.reason][3]})"
    canvas.wire(" ".join(pieces), list(dict.fromkeys(tips)), wire.reason, title)


def _draw_box(canvas: _Canvas, box: _Box, column: Column, item: Item, at: _Point) -> None:
    fill, stroke = _FILLS[box.kind]
    left, middle = at[0] + column.x, at[1] + item.y
    canvas.box(
        *(left, middle - BOX_HEIGHT / 2, column.width, BOX_HEIGHT),
        fill=fill,
        stroke=stroke,
        title=box.title,
    )
    canvas.text(left + 8, middle + 4.5, box.label)
    first = left + column.width - 6 - _BADGE * len(box.marks)
    for index, mark in enumerate(box.marks):
        canvas.mark(first + _BADGE * index, middle, mark)


def _draw_stages(
    canvas: _Canvas, layout: Layout, boxes: dict[str, _Box], at: _Point, height: float
) -> None:
    """The stages between two merges: headings from the point on, boxes of the height below."""
    x, y = at
    by_stage: dict[int, list[Column]] = {}
    for column in layout.columns:
        by_stage.setdefault(column.stage, []).append(column)
    for stage, columns in by_stage.items():
        left, right = columns[0].x - 5, columns[-1].x + columns[-1].width + 5
        canvas.box(x + left, y, right - left, height + _STAGE_HEIGHT + 6, fill="#f4f6f8")
        heading = f"stage {stage}" if right - left > 52 else f"{stage}"
        middle = x + (left + right) / 2
        canvas.text(middle, y + 13, heading, size=10, ink=_FAINT_INK, anchor="middle")
    below = (x, y + _STAGE_HEIGHT)
    for wire in layout.wires:
        _draw_wire(canvas, layout.columns, wire, below)
    for column in layout.columns:
        for item in column.items:
            if item.name:
                _draw_box(canvas, boxes[item.name], column, item, below)


def _merge_lines(point: SyncPoint) -> list[str]:
    def short(names: list[str]) -> str:
        more = f" +{len(names) - 1}" if len(names) > 1 else ""
        return _cut(names[0], _MERGE_NAME_WIDTH - _text_width(more)) + more

    lasting = "end of phase" if point.is_phase_end else "later stages"
    sources = list(dict.fromkeys((*point.after, *point.delivers)))
    return [short(sources), f"→ {short(point.before) if point.before else lasting}"]


def _draw_merge(canvas: _Canvas, point: SyncPoint, x: float, y: float, height: float) -> float:
    """A bar that says whose commands, or whose I/O, go to whom; its width."""
    lines = _merge_lines(point)
    width = max(map(_text_width, lines)) * 10 / 12 + 14
    fill, stroke = _FILLS["merge"]
    canvas.box(x, y, width, height, fill=fill, stroke=stroke, title=_plain(point.why))
    middle, line = x + width / 2, y + height / 2 - _LINE_HEIGHT + 4
    canvas.text(middle, line, merge_title(point), size=11, anchor="middle", weight="bold")
    for index, text in enumerate(lines, 1):
        canvas.text(middle, line + index * _LINE_HEIGHT, text, size=10, anchor="middle")
    return width


@dataclass(frozen=True, slots=True)
class _Stretch:
    """What stands between two merges, and the merge that ends it, if one does."""

    layout: Layout
    merge: SyncPoint | None

    @property
    def width(self) -> float:
        bar = 0.0
        if self.merge is not None:
            bar = 2 * _GAP + max(map(_text_width, _merge_lines(self.merge)))
        return self.layout.width + bar


def _stretches(plan: Plan, phase: str, boxes: dict[str, _Box]) -> Iterator[_Stretch]:
    widths = {name: box.width for name, box in boxes.items()}
    segments: dict[int, list[list[str]]] = {}
    segment_of: dict[str, int] = {}
    for names in plan.stages(phase):
        for name in names:
            segment_of[name] = plan._facts(name)["segment"]
        segments.setdefault(segment_of[names[0]], []).append(names)
    inner: dict[int, list[tuple[str, str, str]]] = {}
    for edge in plan.edges(phase):
        if segment_of[edge[0]] == segment_of[edge[1]]:
            inner.setdefault(segment_of[edge[0]], []).append(edge)
    points = plan.sync_points(phase)
    merges = {raw[-1]: point for point, raw in zip(points, plan._sync_points(phase), strict=True)}
    first = 0
    for segment, stages in segments.items():
        layout = lay_out(first, stages, inner.get(segment, ()), widths)
        yield _Stretch(layout, merges.get(segment))
        first += len(stages)


def _lines(stretches: list[_Stretch]) -> Iterator[list[_Stretch]]:
    """Stretches that stand side by side."""
    line: list[_Stretch] = []
    used = 0.0
    for stretch in stretches:
        if line and used + stretch.width > _LINE_WIDTH:
            yield line
            line, used = [], 0.0
        line.append(stretch)
        used += stretch.width + _GAP
    if line:
        yield line


def _draw_line(
    canvas: _Canvas, line: list[_Stretch], boxes: dict[str, _Box], x: float, y: float
) -> tuple[float, float]:
    """One line of stretches; where it ends to the right and below."""
    has_merge = any(stretch.merge is not None for stretch in line)
    height = max(
        *(stretch.layout.height for stretch in line), _MERGE_HEIGHT if has_merge else BOX_HEIGHT
    )
    full = height + _STAGE_HEIGHT + 6
    for stretch in line:
        _draw_stages(canvas, stretch.layout, boxes, (x + 5, y), height)
        x += stretch.layout.width + 10
        if stretch.merge is not None:
            x += 6
            x += _draw_merge(canvas, stretch.merge, x, y, full) + 6
    return x, y + full


def _draw_phase(canvas: _Canvas, plan: Plan, phase: Phase, top: float) -> float:
    """One phase in its panel; where it ends below."""
    boxes = {name: _describe(plan, name) for names in plan.stages(phase.name) for name in names}
    title = _cut(phase.name, 400)
    note = ", ".join(filter(None, (rate_text(phase), "" if boxes else "no systems")))
    right = _MARGIN + _PAD + (_text_width(title) + 4) * 1.15 + _text_width(note)
    canvas.text(_MARGIN + _PAD, top + 17, title, weight="bold", size=13)
    if note:
        x = _MARGIN + _PAD + _text_width(title) * 1.15 + 12
        canvas.text(x, top + 17, note, size=11, ink=_FAINT_INK)
    bottom = top + _TITLE_HEIGHT
    for line in _lines(list(_stretches(plan, phase.name, boxes))):
        end, bottom = _draw_line(canvas, line, boxes, _MARGIN + _PAD, bottom + 2)
        right, bottom = max(right, end), bottom + 8
    canvas.width = max(canvas.width, right + _PAD)
    return bottom + 4 if boxes else bottom


def _draw_legend(canvas: _Canvas, top: float) -> None:
    """What the lines and marks that occur mean."""
    reasons = [reason for reason in _WIRES if reason in canvas.reasons]
    marks = [mark for mark in _MARKS if mark in canvas.marks]
    x, y, limit = _MARGIN + 2, top + _LEGEND_HEIGHT / 2, max(canvas.width, _LEGEND_WIDTH)
    right = canvas.width
    for key in (*reasons, *marks):
        meaning = _WIRES[key][3] if key in _WIRES else _MARKS[key]
        swatch = 34.0 if key in _WIRES else 19.0
        width = swatch + _text_width(meaning) * 11 / 12
        if x > _MARGIN + 2 and x + width > limit:
            x, y = _MARGIN + 2, y + _LEGEND_HEIGHT
        if key in _WIRES:
            canvas.wire(f"M{x:.1f} {y:.1f} H{x + 22:.1f}", [(x + 28, y)], key, meaning)
        else:
            canvas.mark(x, y, key)
        canvas.text(x + swatch, y + 4, meaning, size=11, ink=_FAINT_INK)
        x += width + 16
        right = max(right, x - 16)
    canvas.width = right
    if reasons or marks:
        canvas.height = y + _LEGEND_HEIGHT / 2


def plan_svg(plan: Plan) -> str:
    """The plan as an SVG picture."""
    canvas, panels = _Canvas(), _Canvas()
    top = _MARGIN
    spans = []
    for phase in plan._rates:
        bottom = _draw_phase(canvas, plan, phase, top)
        spans.append((top, bottom))
        top = bottom + 8
    canvas.height = top - 8
    _draw_legend(canvas, top)
    for first, last in spans:
        width = canvas.width - _MARGIN
        panels.box(_MARGIN, first, width, last - first, fill="#fff", stroke=_LINE, radius=6)
    canvas.shapes[:0] = panels.shapes
    count, phases = len(plan), len(plan.phases)
    return canvas.svg(
        f"Plan of {count} system{'s' * (count != 1)} in {phases} phase{'s' * (phases != 1)}"
    )
