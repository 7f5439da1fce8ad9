"""A frame as a picture: a lane for each worker, a bar for each thing it did.

``bars_of`` says what is drawn, for this SVG and for ``foliot.plot`` alike. Equal spans give equal
text; the picture needs no style sheet, script or font.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from foliot._frame import Span

FILLS = {
    "system": "#6b8fb5",
    "piece": "#8fb57a",
    "condition": "#b9a7d6",
    "io": "#7fc0c4",
    "merge": "#d3b04c",
    "steal": "#c96f6b",
    "host": "#d98c5f",
    "park": "#e3e6ea",
}
LEGEND = {
    "system": "system",
    "piece": "piece of a system",
    "condition": "run condition",
    "io": "I/O, from sending to delivery",
    "merge": "merge",
    "steal": "steal",
    "host": "waits for the interpreter",
    "park": "sleeps",
}
_MARGIN, _LABEL, _WIDTH, _LANE, _BAR = 12.0, 74.0, 900.0, 34.0, 22.0
_HEAD, _FOOT, _LETTER = 26.0, 40.0, 6.6
_INK, _FAINT_INK, _LINE = "#1f2328", "#59636e", "#d0d7de"


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a lane; times in nanoseconds from the beginning of the frame."""

    name: str
    kind: str
    worker: int
    start_ns: int
    end_ns: int


def bars_of(spans: list[Span]) -> list[Bar]:
    """What is drawn of a frame: what workers did, not the frame and phases it belongs to.

    A system that was cut is shown by its pieces.

    Example:
        >>> from foliot import Span
        >>> spans = [Span("frame 1", "frame", 0, 0, 90), Span("move", "system", 0, 5, 80),
        ...          Span("move", "piece", 0, 9, 40), Span("move", "piece", 1, 9, 80)]
        >>> [(bar.kind, bar.worker) for bar in bars_of(spans)]
        [('piece', 0), ('piece', 1)]
    """
    cut = {span.name for span in spans if span.kind == "piece"}
    return [
        Bar(span.name, span.kind, span.worker, max(0, span.start_ns), span.end_ns)
        for span in spans
        if span.kind in FILLS
        and span.end_ns >= 0
        and not (span.kind == "system" and span.name in cut)
    ]


def frame_end(spans: list[Span]) -> int:
    """Where the axis of time ends: the frame's end, or that of its last span."""
    return max(1, *(span.end_ns for span in spans))


def worker_count(spans: list[Span]) -> int:
    """Lanes to draw."""
    return 1 + max(span.worker for span in spans)


def draw_svg(frame: int, spans: list[Span]) -> str:
    """The picture as SVG."""
    bars = bars_of(spans)
    end, lanes = frame_end(spans), worker_count(spans)
    height = _HEAD + lanes * _LANE + _FOOT
    width = 2 * _MARGIN + _LABEL + _WIDTH
    scale = _WIDTH / end
    shapes = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" '
        f'viewBox="0 0 {width:g} {height:g}" font-family="sans-serif" font-size="12">',
        f'<rect width="{width:g}" height="{height:g}" fill="#ffffff"/>',
        _text(_MARGIN, 17, f"frame {frame}, {end / 1e3:,.1f} us", _INK),
        *_lane_shapes(lanes),
        *(shape for bar in bars for shape in _bar_shapes(bar, scale)),
        *_legend({bar.kind for bar in bars}, height),
        "</svg>",
    ]
    return "\n".join(shapes) + "\n"


def _text(x: float, y: float, text: str, fill: str) -> str:
    return f'<text x="{x:g}" y="{y:g}" fill="{fill}">{escape(text)}</text>'


def _lane_shapes(lanes: int) -> Iterator[str]:
    """Lines between the lanes, and the workers' names."""
    left = _MARGIN + _LABEL
    for lane in range(lanes + 1):
        y = _HEAD + lane * _LANE
        yield f'<path d="M{left:g} {y:g}h{_WIDTH:g}" stroke="{_LINE}"/>'
        if lane < lanes:
            yield _text(_MARGIN, y + _LANE / 2 + 4, f"worker {lane}", _FAINT_INK)


def _bar_shapes(bar: Bar, scale: float) -> Iterator[str]:
    """A bar with its title, and its name where there is room."""
    x = _MARGIN + _LABEL + bar.start_ns * scale
    y = _HEAD + bar.worker * _LANE + (_LANE - _BAR) / 2
    width = max(0.6, (bar.end_ns - bar.start_ns) * scale)
    title = f"{bar.name}, {(bar.end_ns - bar.start_ns) / 1e3:,.1f} us"
    yield (
        f'<rect x="{x:.2f}" y="{y:g}" width="{width:.2f}" height="{_BAR:g}" rx="2" '
        f'fill="{FILLS[bar.kind]}"><title>{escape(title)}</title></rect>'
    )
    if bar.kind != "park" and len(bar.name) * _LETTER + 6 <= width:
        yield _text(round(x + 3, 2), y + _BAR / 2 + 4, bar.name, _INK)


def _legend(kinds: set[str], height: float) -> Iterator[str]:
    """What the colours mean."""
    x, y = _MARGIN + _LABEL, height - 16
    for kind, meaning in LEGEND.items():
        if kind in kinds:
            yield f'<rect x="{x:g}" y="{y - 9:g}" width="11" height="11" fill="{FILLS[kind]}"/>'
            yield _text(x + 16, y, meaning, _FAINT_INK)
            x += 30 + len(meaning) * _LETTER
