"""Pictures drawn with matplotlib (the extra ``plot``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from foliot._gantt import FILLS, LEGEND, bars_of, frame_end, worker_count
from foliot._trace import spans_of

if TYPE_CHECKING:
    from foliot._core import FrameResult
    from foliot._scheduler import Scheduler
    from foliot._sim_result import Result

__all__ = ["budget", "gantt"]


def gantt(frame: FrameResult, ax: Any = None) -> Any:
    """Draw what each worker did in a frame: a lane for each, time in microseconds to the right.

    Args:
        frame: the result of a frame that was run with ``trace=True``.
        ax: a matplotlib Axes to draw on; by default one of a new figure.

    Returns:
        The Axes.

    ValueError: the frame has no spans. ImportError: matplotlib is not installed.

    Example:
        >>> import matplotlib
        >>> matplotlib.use("Agg")
        >>> import foliot as fo
        >>> step = fo.system(name="step")(lambda ctx: None)
        >>> with fo.Scheduler(fo.World(), fo.Schedule(step), trace=True) as scheduler:
        ...     axes = fo.plot.gantt(scheduler.tick(0.1))
        >>> axes.get_xlabel()
        'microseconds'
        >>> import matplotlib.pyplot
        >>> matplotlib.pyplot.close(axes.figure)
    """
    spans = spans_of(frame)
    try:
        import matplotlib.patches
        import matplotlib.pyplot
    except ImportError as error:
        raise ImportError(
            "fo.plot needs matplotlib; install it with: pip install 'foliot[plot]'"
        ) from error
    bars, end, lanes = bars_of(spans), frame_end(spans) / 1e3, worker_count(spans)
    if ax is None:
        _, ax = matplotlib.pyplot.subplots(figsize=(10, 1.4 + 0.5 * lanes), layout="constrained")
    for bar in bars:
        start, length = bar.start_ns / 1e3, (bar.end_ns - bar.start_ns) / 1e3
        ax.broken_barh([(start, length)], (bar.worker - 0.35, 0.7), facecolor=FILLS[bar.kind])
        # About what a name takes at this size, as a share of the axis.
        if bar.kind != "park" and len(bar.name) * 0.009 * end < length:
            ax.text(start + length / 2, bar.worker, bar.name, ha="center", va="center", fontsize=8)
    ax.set_xlim(0, end)
    ax.set_ylim(lanes - 0.5, -0.5)
    ax.set_yticks(range(lanes), [f"worker {lane}" for lane in range(lanes)])
    ax.set_xlabel("microseconds")
    ax.set_title(f"frame {frame.frame}")
    shown = {bar.kind for bar in bars}
    handles = [
        matplotlib.patches.Patch(color=FILLS[kind], label=meaning)
        for kind, meaning in LEGEND.items()
        if kind in shown
    ]
    if handles:
        ax.legend(handles=handles, loc="upper right", fontsize=8, ncols=len(handles))
    return ax


def budget(source: Scheduler | Result, ax: Any = None) -> Any:
    """Draw what is left of each context's budget: less what was used within the last period.

    Args:
        source: a scheduler made with ``trace=True``, drawn as far back as its trace goes, in
            milliseconds; or the result of a simulation, in its units.
        ax: a matplotlib Axes to draw on; by default one of a new figure.

    Returns:
        The Axes.

    ValueError: nothing there has a context. AttributeError: the scheduler keeps no trace.
    ImportError: matplotlib is not installed.

    Example:
        >>> import matplotlib
        >>> matplotlib.use("Agg")
        >>> import foliot as fo
        >>> audio = fo.SchedulingContext(budget=2e-3, period=10e-3, name="audio")
        >>> step = fo.system(name="step", budget=audio)(lambda ctx: None)
        >>> with fo.Scheduler(fo.World(), fo.Schedule(step), trace=True) as scheduler:
        ...     frame = scheduler.tick(0.1)
        ...     axes = fo.plot.budget(scheduler)
        >>> axes.get_ylabel()
        'budget left, milliseconds'
        >>> import matplotlib.pyplot
        >>> matplotlib.pyplot.close(axes.figure)
    """
    from foliot._scheduler import Scheduler
    from foliot._sim_result import Result

    if isinstance(source, Result):
        return source.plot_budget(ax)
    if not isinstance(source, Scheduler):
        raise TypeError(f"a fo.Scheduler or the result of fo.sim.run is wanted, got {source!r}.")
    from foliot._budget_plot import scheduler_budget

    return scheduler_budget(source, ax)
