"""The task sets that `bench_sim` simulates, as plain numbers: contenders share no library.

Utilisations by UUniFast, which is drawn again while one is above 1; periods log-uniform from 10 to
1,000 ms. A unit is a microsecond.
"""

from __future__ import annotations

import random

TASKS = 50
UNITS_PER_MS = 1000
LOAD = 0.9  # of each CPU


def draw_utilisations(draw: random.Random, total: float) -> list[float]:
    """As many utilisations as there are tasks, each at most 1."""
    while True:
        shares, rest = [], total
        for left in range(TASKS - 1, 0, -1):
            following = rest * draw.random() ** (1 / left)
            shares.append(rest - following)
            rest = following
        shares.append(rest)
        if max(shares) <= 1.0:
            return shares


def task_set(cpus: int) -> list[tuple[int, int]]:
    """Pairs of wcet and period."""
    draw = random.Random(cpus)
    pairs = []
    for share in draw_utilisations(draw, LOAD * cpus):
        period = round(10 * 100 ** draw.random()) * UNITS_PER_MS
        pairs.append((max(1, int(share * period)), period))
    return pairs


def until(cpus: int, jobs: int) -> int:
    """When about so many jobs have been released."""
    rate = sum(1 / period for _, period in task_set(cpus))
    return int(jobs / rate) // UNITS_PER_MS * UNITS_PER_MS


def count_jobs(cpus: int, end: int) -> int:
    """Jobs that are released before a time."""
    return sum(-(-end // period) for _, period in task_set(cpus))
