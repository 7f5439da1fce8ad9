"""Pictures of simulations, drawn with matplotlib (the extra ``plot``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from foliot._sim_result import Result

_COST_FILL = "#9aa4ae"
# A lane of more bars than this is a grey block, and slow.
_BARS_MAX = 200_000


def axes_of(ax: Any, height: float) -> tuple[Any, Any]:
    """matplotlib.pyplot, and the Axes to draw on."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            "pictures of a simulation need matplotlib; install it with: pip install 'foliot[plot]'"
        ) from error
    if ax is None:
        _, ax = plt.subplots(figsize=(10, height), layout="constrained")
    return plt, ax


def _fills(count: int) -> list[Any]:
    """A colour for each task."""
    from matplotlib import colormaps

    palette = colormaps["tab20"]
    return [palette(index % 20) for index in range(count)]


def _legend(ax: Any, entries: int) -> None:
    if 1 <= entries <= 20:
        ax.legend(loc="upper right", fontsize=8, ncols=min(entries, 6))


def _legend_beside(ax: Any, entries: int, lanes: int) -> None:
    """To the right of the Axes, where no bar is; as high as the lanes are."""
    if 1 <= entries <= 20:
        columns = -(-entries // (5 + 2 * lanes))
        ax.legend(
            loc="upper left",
            bbox_to_anchor=(1.005, 1),
            borderaxespad=0,
            fontsize=8,
            ncols=columns,
        )


def gantt(result: Result, ax: Any, start: int, end: int) -> Any:
    """A lane for each CPU, a bar for each stretch, misses as marks at their deadlines."""
    if not 0 <= start < end:
        raise ValueError(f"the part of time to draw begins at 0 or later, got {start} to {end}.")
    every = result.segments_array
    shown = every[(every["end"] > start) & (every["start"] < end)]
    if len(shown) > _BARS_MAX:
        raise ValueError(
            f"{len(shown):,} bars from {start} to {end} are more than {_BARS_MAX:,}; "
            "draw a shorter part by start= and end=."
        )
    _, ax = axes_of(ax, 1.4 + 0.5 * result.cpus)
    owners = result.jobs_array["task"][shown["job"]].astype(np.int64)
    tasks = np.where(shown["is_cost"] == 1, -1, owners)
    names, fills = result.tasks.names, _fills(len(result.tasks))
    drawn = sorted(set(tasks.tolist()), reverse=True)
    for task in drawn:
        mine = shown[tasks == task]
        label = names[task] if task >= 0 else "switches"
        fill = fills[task] if task >= 0 else _COST_FILL
        for cpu in sorted(set(mine["cpu"].tolist())):
            part = mine[mine["cpu"] == cpu]
            spans = np.stack([part["start"], part["end"] - part["start"]], axis=1)
            ax.broken_barh(spans.tolist(), (cpu - 0.35, 0.7), facecolor=fill, label=label)
            label = "_" + label
    missed = [job for job in result.misses if start <= job.deadline <= end]
    if missed:
        lanes = [0 if job.cpu is None else job.cpu for job in missed]
        ax.plot([job.deadline for job in missed], lanes, "rx", label="missed deadline")
    ax.set_xlim(start, end)
    ax.set_ylim(result.cpus - 0.5, -0.5)
    ax.set_yticks(range(result.cpus), [f"CPU {cpu}" for cpu in range(result.cpus)])
    ax.set_xlabel("time")
    ax.set_title(f"{result.policy} on {result.cpus} CPU{'s' if result.cpus > 1 else ''}")
    _legend_beside(ax, len(drawn) + bool(missed), result.cpus)
    return ax


def responses(result: Result, ax: Any, bins: int) -> Any:
    """A histogram of each task's response times."""
    _, ax = axes_of(ax, 4.0)
    fills = _fills(len(result.tasks))
    drawn = [(name, times) for name, times in result.response_times.items() if times]
    for (name, times), fill in zip(drawn, fills, strict=False):
        ax.hist(times, bins=bins, histtype="step", color=fill, label=name)
    ax.set_xlabel("response time")
    ax.set_ylabel("jobs")
    _legend(ax, len(drawn))
    return ax


def utilisation(result: Result, ax: Any) -> Any:
    """A bar for each CPU: jobs, costs, idle."""
    _, ax = axes_of(ax, 1.4 + 0.4 * result.cpus)
    lanes = np.arange(result.cpus)
    busy, costs = np.array(result.utilisation), np.array(result.overhead)
    ax.barh(lanes, busy, color="#6b8fb5", label="jobs")
    ax.barh(lanes, costs, left=busy, color=_COST_FILL, label="switches")
    ax.barh(lanes, 1 - busy - costs, left=busy + costs, color="#e3e6ea", label="idle")
    ax.set_xlim(0, 1)
    ax.set_ylim(result.cpus - 0.5, -0.5)
    ax.set_yticks(lanes, [f"CPU {cpu}" for cpu in lanes])
    ax.set_xlabel("part of the time")
    _legend(ax, 3)
    return ax


def lag(result: Result, ax: Any) -> Any:
    """A line for each task: what it should have got less what it got."""
    rows = result.lags_array
    _, ax = axes_of(ax, 4.0)
    for task, (name, fill) in enumerate(
        zip(result.tasks.names, _fills(len(result.tasks)), strict=True)
    ):
        ax.step(rows[:, 0], rows[:, 1 + task], where="post", color=fill, label=name)
    ax.axhline(0, color="#59636e", linewidth=0.8)
    ax.set_xlabel("time")
    ax.set_ylabel("lag")
    _legend(ax, len(result.tasks))
    return ax


def _used(segments: npt.NDArray[Any], times: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """What segments used up to each time; they may overlap, on several CPUs."""
    edges = np.concatenate([segments["start"], segments["end"]])
    slopes = np.concatenate([np.ones(len(segments)), -np.ones(len(segments))])
    order = np.argsort(edges, kind="stable")
    edges, running = edges[order], np.cumsum(slopes[order])
    used = np.concatenate([[0.0], np.cumsum(running[:-1] * np.diff(edges))])
    answer: npt.NDArray[np.float64] = np.interp(times, edges, used)
    return answer


def budget(result: Result, ax: Any) -> Any:
    """A line for each context: its budget less what was used within the last period."""
    setup = result._setup
    if not setup.contexts:
        raise ValueError("no task of this simulation has a context, so there is no budget to draw.")
    every = result.segments_array
    work = every[every["is_cost"] == 0]
    _, ax = axes_of(ax, 4.0)
    context_of = np.array(setup.context_of)[result.jobs_array["task"][work["job"]]]
    for number, fill in enumerate(_fills(len(setup.contexts)), 1):
        mine = work[context_of == number]
        full, period = setup.budgets[number - 1]
        times = np.unique(
            np.concatenate(
                [
                    [0, result.until],
                    *(mine[end] + late for end in ("start", "end") for late in (0, period)),
                ]
            )
        )
        times = times[times <= result.until]
        left = np.full(len(times), float(full))
        if len(mine):
            left -= _used(mine, times) - _used(mine, times - period)
        ax.plot(times, left, color=fill, label=setup.contexts[number - 1])
    ax.set_xlabel("time")
    ax.set_ylabel("budget left")
    _legend(ax, len(setup.contexts))
    return ax
