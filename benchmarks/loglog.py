"""Curves on two logarithmic axes, as SVG: enough for the pictures of `exec_scaling`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 640, 400
LEFT, RIGHT, TOP, BOTTOM = 80, 44, 40, 60
COLOURS = ("#3b6ea5", "#c0504d", "#5a8f4e", "#8064a2")
GRID, INK = "#dddddd", "#333333"
FONT = 'font-family="sans-serif" font-size="12"'
PREFIXES = {-9: "1 ns", -8: "10 ns", -7: "100 ns", -6: "1 µs", -5: "10 µs", -4: "100 µs"}
PREFIXES |= {-3: "1 ms", -2: "10 ms", -1: "100 ms", 0: "1 s", 1: "10 s"}


@dataclass(frozen=True)
class Curve:
    """A name and its points, both coordinates above zero."""

    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Axis:
    """Whole powers of ten, from one end of the picture to the other."""

    low: int
    high: int
    start: float
    end: float

    @classmethod
    def over(cls, values: Sequence[float], start: float, end: float) -> Axis:
        """The smallest axis with all values on it."""
        low = math.floor(math.log10(min(values)))
        high = math.ceil(math.log10(max(values)))
        return cls(low, max(high, low + 1), start, end)

    def place(self, value: float) -> float:
        """Where a value lies in the picture."""
        part = (math.log10(value) - self.low) / (self.high - self.low)
        return self.start + part * (self.end - self.start)

    def powers(self) -> range:
        """The exponents that get a line."""
        return range(self.low, self.high + 1)


def text(x: float, y: float, words: str, anchor: str = "middle", extra: str = "") -> str:
    """A line of text."""
    where = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text {where} fill="{INK}" {FONT} {extra}>{escape(words)}</text>'


def line(x1: float, y1: float, x2: float, y2: float, colour: str) -> str:
    """A straight line."""
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} stroke="{colour}"/>'


def draw_grid(across: Axis, up: Axis) -> list[str]:
    """Lines and labels at the powers of ten."""
    parts = []
    for power in across.powers():
        x = across.place(10.0**power)
        parts.append(line(x, up.start, x, up.end, GRID))
        parts.append(text(x, up.start + 18, f"{10**power:,}"))
    for power in up.powers():
        y = up.place(10.0**power)
        parts.append(line(across.start, y, across.end, y, GRID))
        parts.append(text(across.start - 8, y + 4, PREFIXES.get(power, f"1e{power} s"), "end"))
    return parts


def draw_curve(curve: Curve, index: int, across: Axis, up: Axis) -> list[str]:
    """The points of a curve, joined, and its name in the upper left corner."""
    colour = COLOURS[index % len(COLOURS)]
    places = [(across.place(x), up.place(y)) for x, y in curve.points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    parts = [f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>']
    parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]
    y = TOP + 18 + 18 * index
    parts.append(f'<rect x="{LEFT + 12}" y="{y - 9}" width="18" height="4" fill="{colour}"/>')
    parts.append(text(LEFT + 38, y - 3, curve.name, "start"))
    return parts


def draw(title: str, across_title: str, up_title: str, curves: Sequence[Curve]) -> str:
    """The picture, on white so that it can be read on a dark page too.

    Example:
        >>> picture = draw("cost", "rows", "seconds", [Curve("one", [(10, 1e-6), (100, 1e-5)])])
        >>> picture.startswith("<svg "), picture.count("<circle")
        (True, 2)
    """
    across = Axis.over([x for curve in curves for x, _ in curve.points], LEFT, WIDTH - RIGHT)
    up = Axis.over([y for curve in curves for _, y in curve.points], HEIGHT - BOTTOM, TOP)
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}">',
        '<rect width="100%" height="100%" fill="#fff"/>',
        text(WIDTH / 2, 24, title, extra='font-weight="bold"'),
        *draw_grid(across, up),
        text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 16, across_title),
        text(16, middle, up_title, extra=f'transform="rotate(-90 16 {middle:.1f})"'),
    ]
    for index, curve in enumerate(curves):
        parts += draw_curve(curve, index, across, up)
    return "\n".join([*parts, "</svg>", ""])
