"""Draws the pictures of the documentation: ``python docs/pictures.py`` writes them to images/.

``plan.svg`` is the plan of the example in the README, as ``plan.to_svg()`` draws it.
``frame.svg`` is the frame that ``record.py`` has recorded. ``simulation.svg`` and ``budget.svg``
show runs of the simulator, which are the same on every machine. ``architecture.svg`` is laid out
here. The last three are on white, so that they can be read on a dark page too.
"""

from __future__ import annotations

import json
import re
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import foliot as fo
from foliot._gantt import draw_svg

if TYPE_CHECKING:
    from collections.abc import Iterable

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


# Runs of the simulator: a lane is a label, its bars (start, end, fill) and the times of its misses.
Lane = tuple[str, list[tuple[int, int, str]], list[int]]
FILLS = ("#6b8fb5", "#8fb57a", "#d3b04c", "#b9a7d6", "#7fc0c4")
MISS = "#c0392b"
LANE, BAR, TEXT_WIDTH = 34, 22, 70


def panel(title: str, lanes: list[Lane], *, top: int, until: int, step: int, unit: int = 1) -> str:
    """Lanes below a title, and an axis below them with a number every ``step``."""
    scale = (WIDTH - TEXT_WIDTH - 2 * MARGIN) / until
    left, bottom = TEXT_WIDTH + MARGIN, top + 24 + LANE * len(lanes)
    parts = [f'<text x="{MARGIN}" y="{top + 14}" font-weight="bold">{escape(title)}</text>']
    for time in range(0, until + 1, step):
        x = left + time * scale
        parts.append(
            f'<path d="M{x:g} {top + 24}V{bottom}" stroke="#d0d7de"/>'
            f'<text x="{x:g}" y="{bottom + 14}" text-anchor="middle" fill="#59636e">'
            f"{time // unit}</text>"
        )
    for number, (label, bars, misses) in enumerate(lanes):
        y = top + 24 + LANE * number
        middle = y + LANE / 2
        parts.append(f'<text x="{MARGIN}" y="{middle + 4:g}">{escape(label)}</text>')
        parts += [
            f'<rect x="{left + start * scale:g}" y="{y + (LANE - BAR) // 2}" '
            f'width="{(end - start) * scale:g}" height="{BAR}" fill="{fill}"/>'
            for start, end, fill in bars
        ]
        parts += [
            f'<path d="M{left + time * scale - 4:g} {middle - 4:g}l8 8m0 -8l-8 8" '
            f'stroke="{MISS}" stroke-width="2" fill="none"/>'
            for time in misses
        ]
    return "".join(parts)


def legend(entries: Iterable[tuple[str, str]], top: int) -> str:
    """A square of each fill with its name; a cross for misses."""
    parts, x = [], TEXT_WIDTH + MARGIN
    for name, fill in entries:
        shape = f'<rect x="{x}" y="{top}" width="12" height="12" fill="{fill}"/>'
        if fill == MISS:
            shape = f'<path d="M{x + 2} {top + 2}l8 8m0 -8l-8 8" stroke="{fill}" stroke-width="2"/>'
        parts.append(f'{shape}<text x="{x + 18}" y="{top + 10}">{escape(name)}</text>')
        x += 34 + 7 * len(name)
    return "".join(parts)


def whole(height: int, parts: Iterable[str]) -> str:
    """A picture on white."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12">'
        f"{WHITE}{''.join(parts)}</svg>"
    )


def stretches(result: fo.sim.Result, key: str) -> list[list[tuple[int, int, str]]]:
    """Bars by CPU or by task, coloured by task; what follows on at once is one bar."""
    owners = result.jobs_array["task"]
    lanes: list[list[tuple[int, int, str]]] = [
        [] for _ in range(result.cpus if key == "cpu" else len(result.tasks))
    ]
    for segment in result.segments_array:
        task = int(owners[segment["job"]])
        lane = lanes[int(segment["cpu"]) if key == "cpu" else task]
        start, end, fill = int(segment["start"]), int(segment["end"]), FILLS[task]
        if lane and lane[-1][1] == start and lane[-1][2] == fill:
            start = lane.pop()[0]
        lane.append((start, end, fill))
    return lanes


def simulation_picture() -> str:
    """The same tasks under global and under partitioned queues."""
    tasks = fo.TaskSet(
        [
            fo.PeriodicTask(wcet=2, period=10, name="sense"),
            fo.PeriodicTask(wcet=2, period=10, name="log"),
            fo.PeriodicTask(wcet=11, period=12, name="plan"),
        ]
    )
    parts, until = [], 60
    for number, queues in enumerate(("global", "partitioned")):
        result = fo.sim.run(tasks, cpus=2, policy="edf", queues=queues, until=until)
        missed = [job.deadline for job in result.misses]
        lanes = [
            (f"CPU {cpu}", bars, missed if cpu == 0 else [])
            for cpu, bars in enumerate(stretches(result, "cpu"))
        ]
        parts.append(
            panel(f'queues="{queues}"', lanes, top=10 + 130 * number, until=until, step=10)
        )
    entries = [*zip(tasks.names, FILLS, strict=False), ("missed deadline", MISS)]
    return whole(300, [*parts, legend(entries, 274)])


def budget_picture() -> str:
    """A control loop and a hog on one CPU, with and without a budget for the hog."""
    parts, until = [], 60_000
    limit = fo.sim.Budget(budget=2000, period=4500, overrun="skip", name="limit")
    for number, (title, context) in enumerate(
        {"without a budget": None, "with 2 ms in each 4.5 ms, the rest skipped": limit}.items()
    ):
        tasks = fo.TaskSet(
            [
                fo.PeriodicTask(wcet=400, period=5000, deadline=2000, name="control"),
                fo.PeriodicTask(
                    wcet=2000,
                    period=5000,
                    execution=(1500, 1500, 17_000, 1500, 1500, 1500),
                    chunk=100,
                    context=context,
                    name="hog",
                ),
            ]
        )
        result = fo.sim.run(tasks, policy="fifo", preemption="chunk", until=until)
        missed = [job.deadline for job in result.misses if job.name == "control"]
        control, hog = stretches(result, "task")
        lanes: list[Lane] = [("control", control, missed), ("hog", hog, [])]
        parts.append(panel(title, lanes, top=10 + 130 * number, until=until, step=5000, unit=1000))
    entries = [("control", FILLS[0]), ("hog", FILLS[1]), ("missed deadline of control", MISS)]
    return whole(300, [*parts, legend(entries, 274)])


PICTURES = {
    "plan.svg": plan_picture,
    "frame.svg": frame_picture,
    "simulation.svg": simulation_picture,
    "budget.svg": budget_picture,
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
