"""QPA in plain Python beside the core's, on the same random task sets.

Both decide each set exactly and, where they refuse it, give the first length of time that cannot
hold its demand. The plain version is written straight from Zhang and Burns, "Schedulability
analysis for real-time systems with EDF scheduling" (IEEE Transactions on Computers 58(9), 2009),
on tuples of (wcet, period, deadline), with fractions where a rounded number could decide wrongly.
The core gets the sets packed, all in one call. Making tuples and packing are not timed.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import foliot as fo

SETS = 1_000
TASKS = 50
# From where some sets are refused to where most are, at these deadlines.
UTILISATIONS = (0.80, 0.99)
DEADLINES = (0.5, 1.0)
PERIODS = (1_000, 1_000_000)
PLAIN_RUNS = 3
CORE_RUNS = 200

Task = tuple[int, int, int]
Answer = tuple[bool, int, int]


@dataclass(frozen=True)
class QpaTimes:
    """Seconds per set, how many sets were accepted, and that both said the same of all of them."""

    plain_seconds: float
    core_seconds: float
    sets: int
    accepted: int

    @property
    def ratio(self) -> float:
        return self.plain_seconds / self.core_seconds


def demand(tasks: Sequence[Task], t: int) -> int:
    """The work released and due within [0, t]."""
    return sum(((t - due) // period + 1) * wcet for wcet, period, due in tasks if due <= t)


def deadline_before(tasks: Sequence[Task], t: int) -> int:
    """The last absolute deadline before t; 0 where there is none."""
    return max(
        ((t - 1 - due) // period * period + due for _, period, due in tasks if due < t), default=0
    )


def busy_period(tasks: Sequence[Task]) -> int:
    """The synchronous busy period."""
    length = sum(wcet for wcet, _, _ in tasks)
    while True:
        work = sum(-(-length // period) * wcet for wcet, period, _ in tasks)
        if work == length:
            return length
        length = work


def horizon(tasks: Sequence[Task], utilisation: Fraction) -> int:
    """The last t that has to be looked at."""
    busy = busy_period(tasks)
    if utilisation == 1:
        return busy
    slope = sum((period - due) * Fraction(wcet, period) for wcet, period, due in tasks)
    late = max(due - period for _, period, due in tasks)
    return min(busy, max(late, int(slope / (1 - utilisation))))


def last_excess(tasks: Sequence[Task], limit: int) -> int:
    """QPA: the last deadline up to a limit whose demand exceeds it; 0 where there is none."""
    first = min(due for _, _, due in tasks)
    t = deadline_before(tasks, limit + 1)
    while t > 0:
        needed = demand(tasks, t)
        if needed > t:
            return t
        if needed <= first:
            return 0
        t = needed if needed < t else deadline_before(tasks, t)
    return 0


def plain_qpa(tasks: Sequence[Task]) -> Answer:
    """(schedulable, the first t that does not fit, its demand)."""
    utilisation = sum((Fraction(wcet, period) for wcet, period, _ in tasks), Fraction(0))
    if utilisation <= 1:
        if all(due >= period for _, period, due in tasks):
            return True, 0, 0
        excess = last_excess(tasks, horizon(tasks, utilisation))
    else:
        excess = max(period + due for _, period, due in tasks)
        while demand(tasks, excess) <= excess:
            excess *= 2
    if excess == 0:
        return True, 0, 0
    # Halve the stretch that the first one lies in.
    clear = 0
    while excess - clear > 1:
        middle = (clear + excess) // 2
        found = last_excess(tasks, middle)
        if found:
            excess = found
        else:
            clear = middle
    return False, excess, demand(tasks, excess)


def random_sets(count: int = SETS, tasks: int = TASKS, seed: int = 1) -> list[fo.TaskSet]:
    """Sets by UUniFast with log-uniform periods, over a range of utilisations."""
    draw = random.Random(seed)
    return [
        fo.TaskSet.random(
            tasks,
            draw.uniform(*UTILISATIONS),
            draw.randrange(2**32),
            periods=PERIODS,
            deadlines=DEADLINES,
        )
        for _ in range(count)
    ]


def seconds_of(body: Callable[[], object], runs: int) -> float:
    """The shortest of several runs, which others disturbed least, in time of the processor."""
    best = float("inf")
    for _ in range(runs):
        start = time.process_time()
        body()
        best = min(best, time.process_time() - start)
    return best


def compare(count: int = SETS, tasks: int = TASKS, seed: int = 1) -> QpaTimes:
    """Time both on the same sets.

    RuntimeError: they disagree on a set.
    """
    sets = random_sets(count, tasks, seed)
    tuples = [[(t.wcet, t.period, t.relative_deadline) for t in taskset] for taskset in sets]
    packed = fo.analysis.pack(sets)
    answers = fo.analysis.demand_many(packed)
    expected = [plain_qpa(rows) for rows in tuples]
    found = list(zip(answers.ok.tolist(), answers.t.tolist(), answers.demand.tolist(), strict=True))
    if found != expected:
        index = next(i for i in range(count) if found[i] != expected[i])
        raise RuntimeError(f"set {index}: the core says {found[index]}, not {expected[index]}")
    plain = seconds_of(lambda: [plain_qpa(rows) for rows in tuples], PLAIN_RUNS)
    core = seconds_of(lambda: fo.analysis.demand_many(packed), CORE_RUNS)
    return QpaTimes(plain / count, core / count, count, sum(ok for ok, _, _ in expected))


if __name__ == "__main__":
    times = compare()
    print(
        f"{times.sets} sets of {TASKS} tasks, {times.accepted} accepted: plain Python "
        f"{times.plain_seconds * 1e6:.1f} us a set, core {times.core_seconds * 1e6:.3f} us, "
        f"{times.ratio:.0f} times as fast"
    )
