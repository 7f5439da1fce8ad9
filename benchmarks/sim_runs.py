"""foliot's simulator on the sets of `sim_sets`; printed as `protocol` says, in seconds of a job.

The checksum is the number of jobs that ended in time, over the stretch that the peer simulates.
"""

from __future__ import annotations

import time
from functools import partial

import foliot as fo
import sim_sets
from peer_simso import JOBS
from protocol import Measurement, Sampler, main


class Earliest(fo.Policy):
    """Earliest deadline first, decided in Python: a rank for each job that becomes ready."""

    base = "fifo"

    def enqueue(self, runnable, **_):
        """The deadline as the rank."""
        return runnable.deadline


class Picked(fo.Policy):
    """The same by a pick: Python is asked for each job that runs."""

    base = "fifo"

    def pick(self, ready, **_):
        """Who has the earliest deadline."""
        return min(ready, key=lambda runnable: runnable.deadline)


POLICIES = {"edf": lambda: "edf", "enqueue": Earliest, "pick": Picked}
OUR_JOBS = {"edf": 1_000_000, "enqueue": 20_000, "pick": 4_000}


def run(cpus: int, policy: str, sampler: Sampler) -> Measurement:
    """Whole runs with a full log of jobs, set-up included."""
    tasks = fo.TaskSet(
        fo.PeriodicTask(wcet=wcet, period=period) for wcet, period in sim_sets.task_set(cpus)
    )
    make = POLICIES[policy]
    same = fo.sim.run(tasks, cpus=cpus, policy=make(), until=sim_sets.until(cpus, JOBS))
    log = same.jobs_array
    in_time = int(((log["finish"] >= 0) & (log["finish"] <= log["deadline"])).sum())
    end = sim_sets.until(cpus, OUR_JOBS[policy])
    jobs = sim_sets.count_jobs(cpus, end)
    seconds = []
    for _ in range(sampler.samples):
        start = time.perf_counter()
        result = fo.sim.run(tasks, cpus=cpus, policy=make(), until=end)
        seconds.append((time.perf_counter() - start) / jobs)
        if len(result.jobs) != jobs:
            raise SystemExit(f"{len(result.jobs)} jobs, not {jobs}")
    return Measurement(seconds, jobs, {"checksum": in_time})


if __name__ == "__main__":
    main(
        "foliot",
        {f"{name}_{cpus}": partial(run, cpus, name) for name in POLICIES for cpus in (1, 4)},
    )
