"""Pictures of runs of task graphs, drawn with matplotlib (the extra ``plot``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from foliot import _checks
from foliot._sim_plot import axes_of

if TYPE_CHECKING:
    from foliot._graph_run import GraphResult

_FILL, _EDGE, _CRITICAL_FILL = "#6b8fb5", "#ffffff", "#d3b04c"
_BARS_MAX = 200_000
_NAMES_MAX = 60


def gantt(result: GraphResult, ax: Any, start: int, end: int) -> Any:
    """A lane for each CPU and a bar for each task; those of a longest way stand out."""
    _checks.whole(start, "start", 0, 2**63 - 1)
    _checks.whole(end, "end", start + 1, 2**63 - 1)
    shown = np.flatnonzero(
        (result.finish > start) & (result.start < end) & (result.finish > result.start)
    )
    if len(shown) > _BARS_MAX:
        raise ValueError(
            f"{len(shown):,} bars from {start} to {end} are more than {_BARS_MAX:,}; draw a "
            "shorter part by start= and end=."
        )
    _, ax = axes_of(ax, 1.4 + 0.5 * result.cpus)
    names, critical = result.graph.names, set(result.graph.critical_tasks)
    for cpu in range(result.cpus):
        mine = shown[result.cpu[shown] == cpu]
        spans = np.stack([result.start[mine], result.finish[mine] - result.start[mine]], axis=1)
        fills = [_CRITICAL_FILL if names[task] in critical else _FILL for task in mine.tolist()]
        ax.broken_barh(
            spans.tolist(), (cpu - 0.35, 0.7), facecolors=fills, edgecolor=_EDGE, linewidth=0.3
        )
    if len(shown) <= _NAMES_MAX:
        for task in shown.tolist():
            middle = (result.start[task] + result.finish[task]) / 2
            ax.text(middle, result.cpu[task], names[task], ha="center", va="center", clip_on=True)
    ax.set_xlim(start, end)
    ax.set_ylim(result.cpus - 0.5, -0.5)
    ax.set_yticks(range(result.cpus), [f"CPU {cpu}" for cpu in range(result.cpus)])
    ax.set_xlabel("time")
    ax.set_title(f"makespan {result.makespan:,}, lower bound {result.lower_bound:,}")
    return ax
