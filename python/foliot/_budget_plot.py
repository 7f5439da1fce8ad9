"""Budgets of a scheduler over time, drawn from its trace with matplotlib (the extra ``plot``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from foliot._budget import SchedulingContext
from foliot._sim_plot import _fills, _legend, _used, axes_of

if TYPE_CHECKING:
    import numpy.typing as npt

    from foliot._scheduler import Scheduler

_NS_PER_MS = 1e6


def _users(scheduler: Scheduler) -> dict[SchedulingContext, list[str]]:
    """The names of the systems that each context pays for."""
    users: dict[SchedulingContext, list[str]] = {}
    for system in scheduler.plan.systems:
        if isinstance(system.budget, SchedulingContext):
            users.setdefault(system.budget, []).append(system.name)
    return users


def _runs(records: npt.NDArray[Any], names: list[str]) -> npt.NDArray[Any]:
    """When the systems ran: their pieces, where they were cut."""
    stretches = []
    for name in names:
        mine = records[records["name"] == name]
        pieces = mine[mine["kind"] == "piece"]
        stretches.append(pieces if len(pieces) else mine[mine["kind"] == "system"])
    runs = np.concatenate(stretches)
    found = np.empty(len(runs), [("start", np.int64), ("end", np.int64)])
    found["start"], found["end"] = runs["start_ns"], runs["end_ns"]
    return found


def scheduler_budget(scheduler: Scheduler, ax: Any) -> Any:
    """A line for each context: its budget less what was used within the last period."""
    users = _users(scheduler)
    if not users:
        raise ValueError(
            "no system of this scheduler has a context, so there is no budget to draw."
        )
    records = scheduler.trace.records()
    if not len(records):
        raise ValueError("the trace is empty: run a frame first.")
    first, last = int(records["start_ns"].min()), int(records["end_ns"].max())
    _, ax = axes_of(ax, 4.0)
    for (context, names), fill in zip(users.items(), _fills(len(users)), strict=True):
        runs, period = _runs(records, names), context.period_ns
        edges = [runs[end] + late for end in ("start", "end") for late in (0, period)]
        times = np.unique(np.concatenate([[first, last], *edges]))
        times = times[times <= last]
        left = np.full(len(times), float(context.budget_ns))
        if len(runs):
            left -= _used(runs, times) - _used(runs, times - period)
        shown = (times - first) / _NS_PER_MS, left / _NS_PER_MS
        ax.plot(*shown, color=fill, label=context.name)
    ax.axhline(0, color="#59636e", linewidth=0.8)
    ax.set_xlabel("milliseconds")
    ax.set_ylabel("budget left, milliseconds")
    _legend(ax, len(users))
    return ax
