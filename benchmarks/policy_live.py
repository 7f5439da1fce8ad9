"""Budgets and ledgers of real frames, held to the rules by the clock.

A hog works through its rows in pieces of about 50 µs under a budget of 2 ms in 10 ms; a trace tells
when each piece ran. The sporadic server's bound for a window of w is ``budget * (w // period) +
min(w % period, budget)``; a piece is never cut short, so a window may hold one more.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

import foliot as fo
import kernels
import numpy as np
from counts import Outcome

BUDGET_NS = 2_000_000
PERIOD_NS = 10_000_000
# Of one piece: about 50 µs.
STEPS = 40_000
ROWS = 16 * 100
LEDGER_ROWS = 16 * 1_000
FRAMES = 10
LEDGER_SECONDS = 1.0

Mass = fo.component("BenchMass", "f8")
Other = fo.component("BenchOther", "f8")


def spin(name: str, kind: Any, budget: Any = None) -> fo.System:
    """A native system that works a while for each chunk of its rows."""
    steps = kernels.steps(STEPS)
    return fo.native(
        kernels.SPIN, writes=[kind], name=name, user_data=steps, budget=budget, chunk_rows=16
    )


def worst_excess(pieces: list[tuple[int, int]], longest: int) -> float:
    """By how many longest pieces any window that begins with one is over the server's bound."""
    used = [0, *accumulate(end - start for start, end in pieces)]
    worst = -float("inf")
    for first, (begin, _) in enumerate(pieces):
        for last in range(first, len(pieces)):
            window = pieces[last][1] - begin
            bound = BUDGET_NS * (window // PERIOD_NS) + min(window % PERIOD_NS, BUDGET_NS)
            worst = max(worst, (used[last + 1] - used[first] - bound) / longest)
    return worst


def budget_excess() -> float:
    """The worst excess of some frames of the hog, in pieces."""
    world = fo.World()
    world.spawn_many(ROWS, {Mass: np.zeros(ROWS)})
    context = fo.SchedulingContext(budget=BUDGET_NS / 1e9, period=PERIOD_NS / 1e9, name="hog")
    schedule = fo.Schedule(spin("hog", Mass, context))
    with fo.Scheduler(world, schedule, backend="stealing", workers=2, trace=True) as scheduler:
        scheduler.tick_n(FRAMES, 0.01)
        records = scheduler.trace.records()
    records = records[records["kind"] == "piece"]
    starts, ends = records["start_ns"].tolist(), records["end_ns"].tolist()
    pieces = sorted(zip(starts, ends, strict=True))
    if len(pieces) < FRAMES:
        raise RuntimeError(f"{len(pieces)} pieces in {FRAMES} frames: the hog was not cut")
    return worst_excess(pieces, max(end - start for start, end in pieces))


def ledger_error() -> float:
    """How far the ledger of the workers is from the process's own time, in percent of it."""
    world = fo.World()
    world.spawn_many(LEDGER_ROWS, {Mass: np.zeros(LEDGER_ROWS)})
    world.spawn_many(LEDGER_ROWS, {Other: np.zeros(LEDGER_ROWS)})
    groups = fo.Group("ours", weight=1024), fo.Group("theirs", weight=512)
    schedule = fo.Schedule(spin("one", Mass, groups[0]), spin("other", Other, groups[1]))
    with fo.Scheduler(world, schedule, backend="stealing", workers=2) as scheduler:
        scheduler.tick_n(3, 0.01)
        before = sum(account.runtime for account in scheduler.accounts.workers)
        start, spent = time.monotonic(), time.process_time_ns()
        while time.monotonic() - start < LEDGER_SECONDS:
            scheduler.tick(0.01)
        spent = time.process_time_ns() - spent
        ran = sum(account.runtime for account in scheduler.accounts.workers) - before
    return 100.0 * abs(ran - spent) / spent


def outcomes(rounds: int) -> Iterator[Outcome]:
    """Both, the worst of the rounds."""
    worst = max(budget_excess() for _ in range(rounds))
    yield Outcome("live: most that any window holds beyond its bound", 1.0, "pieces", worst)
    worst = max(ledger_error() for _ in range(rounds))
    yield Outcome("live: runtimes of the workers against the processor's time", 2.0, "%", worst)
