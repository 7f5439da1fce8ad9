"""SimSo on the task sets of `sim_sets`; printed as `protocol` says, in seconds of a job.

The checksum is the number of jobs that ended in time. What its scheduler prints of each decision is
left out, which makes it faster than it is by itself.
"""

from __future__ import annotations

import gc
import time
from functools import partial

import sim_sets
from protocol import Measurement, Sampler, main

JOBS = 4_000


def make_model(cpus: int, end: int) -> object:
    """A model with the set, under EDF."""
    from simso.configuration import Configuration
    from simso.core import Model
    from simso.schedulers import EDF

    EDF.print = lambda *_: None

    configuration = Configuration()
    configuration.cycles_per_ms = sim_sets.UNITS_PER_MS
    configuration.duration = end
    for number, (wcet, period) in enumerate(sim_sets.task_set(cpus), 1):
        configuration.add_task(
            name=f"task{number}",
            identifier=number,
            period=period / sim_sets.UNITS_PER_MS,
            activation_date=0,
            wcet=wcet / sim_sets.UNITS_PER_MS,
            deadline=period / sim_sets.UNITS_PER_MS,
            abort_on_miss=False,
        )
    for cpu in range(cpus):
        configuration.add_processor(name=f"CPU {cpu}", identifier=cpu + 1)
    configuration.scheduler_info.clas = "simso.schedulers.EDF"
    configuration.check_all()
    return Model(configuration)


def run(cpus: int, sampler: Sampler) -> Measurement:
    """Runs of a fresh model each; what makes it is not counted."""
    end = sim_sets.until(cpus, JOBS)
    jobs = sim_sets.count_jobs(cpus, end)
    seconds = []
    for _ in range(sampler.samples):
        model = make_model(cpus, end)
        gc.collect()
        start = time.perf_counter()
        model.run_model()
        seconds.append((time.perf_counter() - start) / jobs)
    done = [job for task in model.results.tasks.values() for job in task.jobs if job.end_date]
    in_time = sum(job.end_date <= job.absolute_deadline * sim_sets.UNITS_PER_MS for job in done)
    return Measurement(seconds, jobs, {"checksum": in_time})


if __name__ == "__main__":
    main("simso", {f"edf_{cpus}": partial(run, cpus) for cpus in (1, 4)})
