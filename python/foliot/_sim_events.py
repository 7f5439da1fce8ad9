"""What happened in a simulation, in one order: out of the log of jobs and the decisions kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from foliot._sim_log import DENIED, DONE, NONE

if TYPE_CHECKING:
    import numpy.typing as npt

    from foliot._sim_result import Result

# In their order within an instant.
EVENTS = ("finish", "miss", "release", "deny", "start")
_EVENT_DTYPE = np.dtype(
    [("time", "i8"), ("rank", "u1"), ("kind", "u1"), ("task", "u4"), ("job", "i8"), ("cpu", "u4")]
)
# Decisions that the log of jobs tells in full, or that are no event.
_TOLD = ("pick", "deny", "miss")
_BEFORE_RELEASES = ("refill", "promote")


def _rows(log: Any, places: Any, times: Any, kind: str) -> npt.NDArray[Any]:
    rows = np.zeros(len(places), _EVENT_DTYPE)
    rows["time"] = times
    rows["rank"] = rows["kind"] = EVENTS.index(kind)
    rows["rank"] *= 2
    rows["task"], rows["job"] = log["task"][places], places
    rows["cpu"] = log["cpu"][places] if kind in ("finish", "start") else NONE
    return rows


def event_rows(result: Result) -> npt.NDArray[Any]:
    """All events, not in order yet."""
    log, until = result.jobs_array, result.until
    everything = np.arange(len(log))
    done = np.flatnonzero(log["outcome"] == DONE)
    missed = np.flatnonzero(result._missed)
    started = np.flatnonzero(log["start"] >= 0)
    denied = np.flatnonzero(log["outcome"] == DENIED)
    parts = [
        _rows(log, done, log["finish"][done], "finish"),
        _rows(log, missed, np.minimum(log["deadline"][missed], until), "miss"),
        _rows(log, everything, log["release"], "release"),
        _rows(log, denied, log["release"][denied], "deny"),
        _rows(log, started, log["start"][started], "start"),
        _decision_rows(result),
    ]
    return np.concatenate(parts)


def _decision_rows(result: Result) -> npt.NDArray[Any]:
    names = result._kinds
    found = result._decisions
    found = found[~np.isin(found["kind"], [names.index(name) for name in _TOLD])]
    rows = np.zeros(len(found), _EVENT_DTYPE)
    rows["time"], rows["task"], rows["cpu"] = found["time"], found["task"], found["cpu"]
    rows["kind"] = len(EVENTS) + found["kind"]
    early = np.isin(found["kind"], [names.index(name) for name in _BEFORE_RELEASES])
    rows["rank"] = np.where(early, 2 * EVENTS.index("miss") + 1, 2 * EVENTS.index("deny") + 1)
    order, starts = result._places_by_task
    known = found["task"] < len(result.tasks)
    tasks = np.where(known, found["task"], 0)
    numbers = starts[tasks] + found["job"].astype(np.int64)
    known &= numbers < starts[tasks + 1]
    rows["job"] = np.where(known, order[np.where(known, numbers, 0)] if len(order) else -1, -1)
    return rows
