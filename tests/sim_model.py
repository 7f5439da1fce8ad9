"""A simulator of task sets that steps through time unit by unit: slow, and plain enough to trust.

It knows fixed priorities, rate-monotonic, earliest deadline and first come first served, on CPUs
that share one queue, have one each, or take from the nearest of the others'; offsets, backlogs,
execution times in turn, and stretches at the start of each job in which it cannot be preempted. For
jobs that run to their ends it also knows what switches, migrations and steals cost. Ties go to the
earlier task; among jobs, not among tasks of fixed priorities, what runs is displaced only by what
is strictly before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import foliot as fo
from machine_support import charge, nearest_first


@dataclass
class ModelJob:
    """A job, with what is left of it."""

    task: int
    release: int
    deadline: int
    left: int
    done: int = 0
    start: int | None = None
    finish: int | None = None
    cpu: int | None = None

    def as_row(self, names: Sequence[str]) -> tuple[object, ...]:
        """What a Job of the simulator holds."""
        return (
            names[self.task],
            self.release,
            self.start,
            self.finish,
            self.deadline,
            self.cpu,
        )


@dataclass
class Model:
    """The state of a run."""

    tasks: fo.TaskSet
    cpus: int
    policy: str
    is_partitioned: bool = False
    takes_from_others: bool = False
    machine: fo.sim.Machine | None = None
    is_preemptive: bool = True
    switch: int = 0
    migration: int | tuple[int, ...] = 0
    steal: int | tuple[int, ...] = 0
    log: list[ModelJob] = field(default_factory=list)
    running: list[ModelJob | None] = field(default_factory=list)
    preemptions: int = 0
    homes: list[int] = field(default_factory=list)
    places: dict[int, int] = field(default_factory=dict)
    last: list[int | None] = field(default_factory=list)
    owed: list[int] = field(default_factory=list)
    migrations: int = 0
    steals: int = 0

    def rank(self, job: ModelJob) -> tuple[int, int]:
        """The least goes first."""
        task = self.tasks[job.task]
        priority = job.task if task.priority is None else task.priority
        number = {
            "fifo": job.release,
            "fp": priority,
            "rm": task.period,
            "edf": job.deadline,
        }[self.policy]
        return number, job.task

    def is_before(self, job: ModelJob, other: ModelJob) -> bool:
        """Whether a job displaces another one."""
        if self.policy in ("fp", "rm"):
            return self.rank(job) < self.rank(other)
        return self.rank(job)[0] < self.rank(other)[0]

    def may_run(self, job: ModelJob, cpu: int) -> bool:
        if self.takes_from_others:
            return self.homes[job.task] == cpu
        return not self.is_partitioned or self.tasks[job.task].cpu == cpu

    def ready(self, cpu: int) -> list[ModelJob]:
        """The first unfinished job of each task, if it does not run and may run there."""
        heads: dict[int, ModelJob] = {}
        for job in self.log:
            if job.left > 0:
                heads.setdefault(job.task, job)
        found = [
            job
            for job in heads.values()
            if not any(job is other for other in self.running) and self.may_run(job, cpu)
        ]
        return sorted(found, key=self.rank)

    def release(self, now: int) -> None:
        for index, task in enumerate(self.tasks):
            since = now - task.offset
            if since >= 0 and since % task.period == 0:
                costs = task.execution
                number = since // task.period
                if costs is None:
                    cost = task.wcet
                elif isinstance(costs, int):
                    cost = costs
                else:
                    cost = costs[number % len(costs)]
                self.log.append(ModelJob(index, now, now + task.relative_deadline, cost))

    def is_locked(self, job: ModelJob) -> bool:
        return job.done < self.tasks[job.task].section

    def fill(self) -> None:
        for cpu in range(self.cpus):
            if self.running[cpu] is not None:
                continue
            waiting = self.ready(cpu)
            if waiting:
                self.begin(waiting[0], cpu)
            elif self.takes_from_others:
                self.take_from_others(cpu)

    def take_from_others(self, cpu: int) -> None:
        """The first of the nearest queue that has any, which is at home here from then on."""
        circle = [(cpu + step) % self.cpus for step in range(1, self.cpus)]
        for victim in nearest_first(self.machine, cpu, circle):
            waiting = self.ready(victim)
            if waiting:
                self.steals += 1
                self.homes[waiting[0].task] = cpu
                self.begin(waiting[0], cpu, charge(self.steal, self.machine, victim, cpu))
                return

    def begin(self, job: ModelJob, cpu: int, cost: int = 0) -> None:
        place = self.places.get(job.task, cpu)
        if place != cpu:
            self.migrations += 1
            cost += charge(self.migration, self.machine, place, cpu)
        if self.last[cpu] != job.task:
            cost += self.switch
        self.owed[cpu] = cost
        self.last[cpu], self.places[job.task] = job.task, cpu
        self.running[cpu] = job

    def displace(self) -> None:
        """What is last in line gives way, as long as something that waits is before it."""
        queues = [[cpu] for cpu in range(self.cpus)]
        for queue in (
            queues if self.is_partitioned or self.takes_from_others else [list(range(self.cpus))]
        ):
            waiting = self.ready(queue[0])
            out = []
            taken = [cpu for cpu in queue if self.running[cpu] is not None]
            taken.sort(key=lambda cpu: self.rank(self.running[cpu]), reverse=True)
            for job, cpu in zip(waiting, taken, strict=False):
                if not self.is_before(job, self.running[cpu]):
                    break
                out.append(cpu)
            for cpu in out:
                if not self.is_locked(self.running[cpu]):
                    self.preemptions += 1
                    self.running[cpu] = None
        self.fill()

    def work(self, now: int) -> None:
        for cpu, job in enumerate(self.running):
            if job is None:
                continue
            if self.owed[cpu] > 0:
                self.owed[cpu] -= 1
                continue
            if job.start is None:
                job.start = now
            job.cpu = cpu
            job.done += 1
            job.left -= 1
            if job.left == 0:
                job.finish = now + 1
                self.running[cpu] = None

    def run(self, until: int) -> list[ModelJob]:
        """All jobs released before the end, in the order of (release, task)."""
        self.running = [None] * self.cpus
        self.last = [None] * self.cpus
        self.owed = [0] * self.cpus
        self.homes = [task.cpu or 0 for task in self.tasks]
        for now in range(until):
            self.release(now)
            self.fill()
            if self.is_preemptive:
                self.displace()
            self.work(now)
        return self.log


def model_rows(
    tasks: fo.TaskSet, cpus: int, policy: str, until: int, *, is_partitioned: bool = False
) -> list[tuple[object, ...]]:
    """The rows of the model's log."""
    model = Model(tasks, cpus, policy, is_partitioned)
    return [job.as_row(tasks.names) for job in model.run(until)]
