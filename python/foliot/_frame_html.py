"""A frame as a table for notebooks."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from foliot._core import FrameResult

_BAR = "background:#57a;height:0.7em;min-width:1px"
_LATE = "#cf222e"
# Errors and systems that are listed; of the rest there is a count.
_MOST = 200


def _time_text(nanoseconds: int) -> str:
    """Microseconds below a millisecond, else milliseconds."""
    if nanoseconds < 1_000_000:
        return f"{nanoseconds / 1e3:,.1f} µs"
    return f"{nanoseconds / 1e6:,.2f} ms"


def _row(*cells: str) -> str:
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _system_rows(frame: FrameResult) -> list[str]:
    timings = frame.systems
    longest = max((timing.wall_ns for timing in timings.values()), default=0) or 1
    rows = []
    for name, timing in timings.items():
        share = 100 * timing.wall_ns / longest
        bar = f'<div style="{_BAR};width:{share:.1f}%"></div>'
        numbers = (f"{timing.tasks:,}", f"{timing.rows:,}", str(timing.worker))
        rows.append(_row(html.escape(name), _time_text(timing.wall_ns), bar, *numbers))
    for name, why in frame.skipped_reasons.items():
        shown = f"<i>{html.escape(why)}</i>"
        rows.append(_row(html.escape(name), "", shown, "", "", ""))
    return rows


def _caption(frame: FrameResult) -> str:
    parts = [
        f"frame {frame.frame}: {_time_text(frame.wall_ns)}, "
        f"of processors {_time_text(frame.cpu_ns)}"
    ]
    commands = [f"{count:,} {kind}" for kind, count in frame.commands.items() if count]
    if commands:
        parts.append(f"commands: {', '.join(commands)}, merged in {_time_text(frame.merge_ns)}")
    for what, counts in (("missed deadlines", frame.misses), ("overruns", frame.overruns)):
        if counts:
            told = ", ".join(f"{name} {count:,}" for name, count in counts.items())
            parts.append(f"{what}: {told}")
    if frame.dropped_steps:
        parts.append(f"{frame.dropped_steps:,} steps given up")
    return html.escape("; ".join(parts))


def _failures(frame: FrameResult) -> str:
    lines = []
    errors = frame.errors
    for error in errors[:_MOST]:
        where = "; ".join(getattr(error, "__notes__", ()))
        text = f"{type(error).__name__}: {error}" + (f" ({where})" if where else "")
        lines.append(f'<div style="color:{_LATE}">{html.escape(text)}</div>')
    if len(errors) > _MOST:
        lines.append(f"<div>and {len(errors) - _MOST:,} more errors</div>")
    if frame.quarantined:
        names = html.escape(", ".join(frame.quarantined))
        lines.append(f"<div>switched off: {names}</div>")
    return "".join(lines)


def frame_html(frame: FrameResult) -> str:
    """What ``FrameResult._repr_html_`` gives: times, what was skipped, failures, the picture."""
    heads = ("system", "time", "", "calls", "rows", "worker")
    head = "".join(f"<th>{text}</th>" for text in heads)
    rows = _system_rows(frame)
    left_out = len(rows) - _MOST
    if left_out > 0:
        rows[_MOST:] = [_row(f"and {left_out:,} more systems", *[""] * 5)]
    picture = f'<div style="overflow-x:auto">{frame.to_svg()}</div>' if frame.spans else ""
    return (
        f"<div><table><caption>{_caption(frame)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table>{_failures(frame)}{picture}</div>"
    )
