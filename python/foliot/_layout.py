"""Places for the picture of a plan: a column of boxes for each stage, and wires that miss them.

The method is that of layered drawings (Sugiyama, Tagawa and Toda, 1981). A wire that passes a
column takes a lane of it, a thin row between the boxes, so that it never runs through a box.
Columns are ordered by the means of their neighbours, then moved up and down as far as that order
allows. What leads from one system to many, or from many to one, shares its lanes, and so there is
at most one for each system, reason and column.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

BOX_HEIGHT = 26.0
_BOX_GAP, _LANE_GAP, _LANE_BOX_GAP = 10.0, 6.0, 8.0
_EMPTY_GAP, _WIRE_GAP, _WIRE_GAP_MAX = 14.0, 34.0, 80.0
_PASSES = 4
# What a place that no wire asks for counts beside one that a wire does.
_FAINT = 0.01


@dataclass(slots=True, eq=False)
class Item:
    """A box in a column, or a lane past it (without a name). ``y`` is its middle."""

    name: str = ""
    y: float = 0.0
    left: list[Item] = field(default_factory=list)
    right: list[Item] = field(default_factory=list)

    @property
    def half(self) -> float:
        """Half of its height."""
        return BOX_HEIGHT / 2 if self.name else 0.0


@dataclass(slots=True)
class Column:
    """Boxes above each other, of one stage, and the lanes between them."""

    stage: int
    items: list[Item]
    x: float = 0.0
    width: float = 0.0


@dataclass(slots=True)
class Wire:
    """Edges of one reason that share their lanes: each of ``before`` leads to each of ``after``.

    One of the two has one name. ``links`` are the places joined: (column of the left end, left
    end, right end).
    """

    before: list[str]
    after: list[str]
    reason: str
    links: list[tuple[int, Item, Item]] = field(default_factory=list)


@dataclass(slots=True)
class Layout:
    """Where everything of one stretch between two merges stands, from (0, 0) on."""

    columns: list[Column]
    wires: list[Wire]
    width: float
    height: float


def _chunks(names: list[str], edges: Sequence[tuple[str, str, str]]) -> list[list[str]]:
    """A stage as columns: one if it is small, else about as wide as it is high.

    Who waits for nothing here stands to the left of who is waited for.
    """
    rows = max(8, round(1.8 * len(names) ** 0.5))
    count = -(-len(names) // rows)
    if count < 2:
        return [names]
    sources = {before for before, _, _ in edges}
    targets = {after for _, after, _ in edges}
    names = sorted(names, key=lambda name: (name in sources, name not in targets))
    rows = -(-len(names) // count)
    return [names[first : first + rows] for first in range(0, len(names), rows)]


def _bundle(edges: Sequence[tuple[str, str, str]]) -> list[Wire]:
    """Edges as wires: from one to many, or from many that lead nowhere else to one."""
    fans: dict[tuple[str, str], list[str]] = {}
    for before, after, reason in edges:
        fans.setdefault((before, reason), []).append(after)
    wires: dict[tuple[str, str, bool], Wire] = {}
    for (before, reason), targets in fans.items():
        is_single = len(targets) == 1
        key = (targets[0] if is_single else before, reason, is_single)
        wires.setdefault(key, Wire([], targets, reason)).before.append(before)
    return list(wires.values())


def _wire(columns: list[Column], places: Mapping[str, tuple[int, Item]], wire: Wire) -> None:
    """Give a wire its lanes, and join what it joins."""
    starts: dict[int, list[Item]] = {}
    ends: dict[int, list[Item]] = {}
    for names, found in ((wire.before, starts), (wire.after, ends)):
        for name in names:
            column, item = places[name]
            found.setdefault(column, []).append(item)
    last = max(ends)
    lane: Item | None = None
    for index in range(min(starts), last):
        here = starts.get(index, []) + ([lane] if lane is not None else [])
        there = ends.get(index + 1, [])
        lane = None
        if index + 1 < last:
            lane = Item()
            columns[index + 1].items.append(lane)
            there = [*there, lane]
        for start in here:
            for end in there:
                wire.links.append((index, start, end))
                start.right.append(end)
                end.left.append(start)


def _sort(columns: list[Column]) -> None:
    """Order each column by the means of its neighbours, from both sides in turn."""
    ranks: dict[int, float] = {}

    def rank(column: Column) -> None:
        for index, item in enumerate(column.items):
            ranks[id(item)] = (index + 0.5) / len(column.items)

    def mean(item: Item, neighbours: list[Item]) -> float:
        found = [ranks[id(other)] for other in neighbours]
        return sum(found) / len(found) if found else ranks[id(item)]

    for column in columns:
        rank(column)
    for turn in range(_PASSES):
        is_back = turn % 2 == 1
        for column in reversed(columns) if is_back else columns:
            column.items.sort(key=lambda item: mean(item, item.right if is_back else item.left))
            rank(column)


def _spacing(above: Item, below: Item) -> float:
    if above.name and below.name:
        gap = _BOX_GAP
    else:
        gap = _LANE_BOX_GAP if above.name or below.name else _LANE_GAP
    return above.half + gap + below.half


def _settle(items: list[Item], wishes: list[tuple[float, float]]) -> None:
    """Put items, in order and apart, as near as can be to what they wish: (y, weight).

    Without the spacing, the places nearest in squares never fall: pooling neighbours that would
    fall finds them (Ayer et al., 1955).
    """
    offsets = [items[0].half]
    for above, below in pairwise(items):
        offsets.append(offsets[-1] + _spacing(above, below))
    pools: list[tuple[float, float, int]] = []
    for (wish, wish_weight), offset in zip(wishes, offsets, strict=True):
        y, weight, count = wish - offset, wish_weight, 1
        while pools and pools[-1][0] > y:
            other, other_weight, other_count = pools.pop()
            y = (y * weight + other * other_weight) / (weight + other_weight)
            weight, count = weight + other_weight, count + other_count
        pools.append((y, weight, count))
    settled = [max(0.0, y) for y, _, count in pools for _ in range(count)]
    for item, y, offset in zip(items, settled, offsets, strict=True):
        item.y = y + offset


def _align(columns: list[Column]) -> None:
    """Heights: from left to right by what leads to an item, then also by what it leads to."""
    for turn in range(_PASSES):
        for column in columns if turn % 2 == 0 else reversed(columns):
            if not column.items:
                continue
            wishes = []
            for item in column.items:
                near = [other.y for other in item.left]
                near += [other.y for other in item.right] if turn else []
                # Lanes weigh more: a long wire is to be level.
                weight = 1.0 if item.name else 3.0
                wishes.append((sum(near) / len(near), weight) if near else (item.y, _FAINT))
            _settle(column.items, wishes)
    top = min(item.y - item.half for column in columns for item in column.items)
    for column in columns:
        for item in column.items:
            item.y -= top


def _spread(columns: list[Column], wires: list[Wire], widths: Mapping[str, float]) -> float:
    """Set the columns side by side, further apart where more wires go; the width of all."""
    crossing = [0] * len(columns)
    for wire in wires:
        for index, _, _ in wire.links:
            crossing[index] += 1
    x = 0.0
    for index, column in enumerate(columns):
        column.x = x
        column.width = max(widths[item.name] for item in column.items if item.name)
        gap = _EMPTY_GAP
        if crossing[index]:
            gap = min(_WIRE_GAP_MAX, _WIRE_GAP + 2 * crossing[index])
        x += column.width + gap
    return columns[-1].x + columns[-1].width


def lay_out(
    first_stage: int,
    stages: Sequence[list[str]],
    edges: Iterable[tuple[str, str, str]],
    widths: Mapping[str, float],
) -> Layout:
    """Place the stages between two merges, none of them empty.

    Args:
        first_stage: the number of the first one.
        stages: names, stage by stage.
        edges: (before, after, reason), each from a stage to a later one.
        widths: how wide the box of each system has to be.
    """
    edges = list(edges)
    columns = [
        Column(first_stage + index, [Item(name) for name in chunk])
        for index, names in enumerate(stages)
        for chunk in _chunks(names, edges)
    ]
    places = {
        item.name: (index, item) for index, column in enumerate(columns) for item in column.items
    }
    wires = _bundle(edges)
    for wire in wires:
        _wire(columns, places, wire)
    _sort(columns)
    _align(columns)
    width = _spread(columns, wires, widths)
    height = max(item.y + item.half for column in columns for item in column.items)
    return Layout(columns, wires, width, height)
