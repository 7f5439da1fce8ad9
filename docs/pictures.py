"""Draws the pictures of the documentation: ``python docs/pictures.py`` writes them to images/.

``plan.svg`` is the plan of the example in the README, as ``plan.to_svg()`` draws it.
``frame.svg`` is the frame that ``record.py`` has recorded. ``architecture.svg`` is laid out here,
on white so that it can be read on a dark page too.
"""

from __future__ import annotations

import json
import re
from html import escape
from pathlib import Path

import foliot as fo
from foliot._gantt import draw_svg

HERE = Path(__file__).resolve().parent
WHITE = '<rect width="100%" height="100%" fill="#fff"/>'
EXAMPLE = re.compile(r"```python\n(?!>>>)(.*?)```", re.DOTALL)

# Boxes of the drawing: name -> left, top, width, fill, title, lines below it.
Box = tuple[int, int, int, str, str, tuple[str, ...]]
BOXES: dict[str, Box] = {
    "systems": (20, 20, 200, "#dbe9f6", "systems", ("what each reads and writes",)),
    "schedule": (310, 20, 180, "#dbe9f6", "schedule", ("phases, order, sets",)),
    "plan": (580, 20, 200, "#dbe9f6", "plan", ("conflicts, order, merges;", "never changes")),
    "frame": (580, 170, 200, "#dff0d8", "frame", ("phases by their rates,", "errors, times")),
    "backend": (310, 170, 180, "#dff0d8", "backend", ("blocking, threadpool,", "stealing")),
    "work": (20, 170, 200, "#dff0d8", "a system at work", ("Python function", "or native kernel")),
    "world": (20, 320, 200, "#f0e6c8", "world", ("tables of columns,", "resources")),
    "commands": (310, 320, 180, "#f0e6c8", "command buffer", ("spawn, add, remove, …",)),
    "result": (
        580,
        320,
        200,
        "#f6dbdb",
        "frame result",
        ("times, rows, commands,", "errors; trace"),
    ),
}
HEIGHT, LINE = 80, 17
WIDTH, MARGIN = 800, 20
# Arrows: from, to, label.
ARROWS = (
    ("systems", "schedule", ""),
    ("schedule", "plan", "plan()"),
    ("plan", "frame", "systems in order, in segments"),
    ("frame", "backend", "a phase"),
    ("backend", "work", "run node"),
    ("work", "world", "reads, writes"),
    ("work", "commands", "records"),
    ("commands", "world", "merge"),
    ("frame", "result", "at the end"),
)


def plan_picture() -> str:
    """The plan of the README's example."""
    code = EXAMPLE.search((HERE.parent / "README.md").read_text(encoding="utf-8"))
    assert code is not None
    names: dict[str, object] = {"__name__": "__example__"}
    exec(compile(code[1], "README.md", "exec"), names)
    schedule = names["schedule"]
    assert isinstance(schedule, fo.Schedule)
    return schedule.plan().to_svg()


def frame_picture() -> str:
    """A recorded frame, as ``frame.to_svg()`` draws it."""
    recorded = json.loads((HERE / "images/frame.json").read_text(encoding="utf-8"))
    spans = [
        fo.Span(name, kind, worker, max(0, start), end)
        for name, kind, worker, start, end in recorded["spans"]
    ]
    return draw_svg(recorded["frame"], spans).rstrip("\n")


def box(name: str) -> str:
    """One box with its title and lines."""
    left, top, width, fill, title, lines = BOXES[name]
    middle, first = left + width / 2, top + (HEIGHT - LINE * len(lines)) / 2 + 4
    parts = [
        f'<rect x="{left}" y="{top}" width="{width}" height="{HEIGHT}" rx="6" fill="{fill}" '
        'stroke="#555"/>',
        f'<text x="{middle:g}" y="{first:g}" text-anchor="middle" font-weight="bold">'
        f"{escape(title)}</text>",
    ]
    for index, line in enumerate(lines):
        y = first + LINE * (index + 1)
        parts.append(f'<text x="{middle:g}" y="{y:g}" text-anchor="middle">{escape(line)}</text>')
    return "".join(parts)


def arrow(start: str, end: str, label: str) -> str:
    """An arrow between two boxes: across, down, or aslant, with its label beside it."""
    from_left, from_top, from_width, *_ = BOXES[start]
    to_left, to_top, to_width, *_ = BOXES[end]
    from_x, to_x = from_left + from_width / 2, to_left + to_width / 2
    if from_top == to_top:
        is_right = to_left > from_left
        x1, x2 = (from_left + from_width, to_left) if is_right else (from_left, to_left + to_width)
        y1 = y2 = from_top + HEIGHT / 2
    else:
        x1, y1, x2, y2 = from_x, from_top + HEIGHT, to_x, to_top
        if from_left != to_left:
            x1, x2 = from_left + from_width - 20, to_left + 20
    line = (
        f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" stroke="#555" '
        'marker-end="url(#tip)"/>'
    )
    if not label:
        return line
    if from_top == to_top:
        x, y, anchor = (x1 + x2) / 2, y1 - 8, "middle"
    else:
        # On the right edge there is no room to the right.
        is_last = to_left + to_width == WIDTH - MARGIN
        x, y = (x1 + x2) / 2 + (-8 if is_last else 12 if from_x == to_x else 22), (y1 + y2) / 2 + 4
        anchor = "end" if is_last else "start"
    return f'{line}<text x="{x:g}" y="{y:g}" text-anchor="{anchor}">{escape(label)}</text>'


def architecture_picture() -> str:
    """The way a frame goes."""
    height = max(top for _, top, *_ in BOXES.values()) + HEIGHT + MARGIN
    tip = (
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" '
        'markerHeight="8" orient="auto"><path d="M0 0 L8 4 L0 8 z" fill="#555"/></marker></defs>'
    )
    shapes = [*map(box, BOXES), *(arrow(*item) for item in ARROWS)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12">'
        f"{WHITE}{tip}{''.join(shapes)}</svg>"
    )


PICTURES = {
    "plan.svg": plan_picture,
    "frame.svg": frame_picture,
    "architecture.svg": architecture_picture,
}


def main() -> None:
    """Write every picture."""
    folder = HERE / "images"
    folder.mkdir(exist_ok=True)
    for name, draw in PICTURES.items():
        (folder / name).write_text(draw() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
