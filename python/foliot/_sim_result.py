"""What a simulated task set did: jobs, misses, events, decisions, accounts.

Everything is read from the core's log when it is asked for. The sequences make their items one by
one, so that a result of millions of jobs costs what is looked at; ``jobs_array`` and its like are
numpy arrays over the log itself.
"""

from __future__ import annotations

import html
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from foliot._account import Account
from foliot._attribution import Attribution
from foliot._machine import Moves
from foliot._sim_events import EVENTS, event_rows
from foliot._sim_log import (
    DECISION_DTYPE,
    DONE,
    JOB_DTYPE,
    NO_CPU,
    NONE,
    SEGMENT_DTYPE,
    BudgetUse,
    Decision,
    Event,
    Job,
    LazySequence,
    PerTask,
    Setup,
)
from foliot._taskset import PeriodicTask

if TYPE_CHECKING:
    import numpy.typing as npt

    from foliot._core import TaskSimulation


class Result:
    """What a simulated task set did.

    Attributes:
        tasks: the set.
        cpus: virtual CPUs.
        machine: how near they are to each other.
        policy: name of the policy; of a ``fo.Policy``, its class.
        until: the end of the simulation.
        queues: how ready tasks were kept.
        preemption: where jobs could be preempted.

    Example:
        >>> import foliot as fo
        >>> tasks = fo.TaskSet([fo.PeriodicTask(wcet=1, period=period) for period in (2, 4)])
        >>> result = fo.sim.run(tasks, until=8)
        >>> result.utilisation, result.response_times[1]
        ([0.75], [2, 2])

    """

    def __init__(self, core: TaskSimulation, setup: Setup) -> None:
        self._core = core
        self._setup = setup
        self.tasks = setup.tasks
        self.cpus = setup.machine.cpus
        self.machine = setup.machine
        self.policy = setup.policy
        self.until = setup.until
        self.queues = setup.queues
        self.preemption = setup.preemption

    # What is as large as the log.

    @cached_property
    def jobs_array(self) -> npt.NDArray[Any]:
        """The log: a read-only structured array in the order of (release, task).

        Fields: release, start, finish, deadline (-1 where a Job has None), task (place in the set),
        cpu (65535: none), outcome (place in ``"unfinished", "done", "dropped", "denied"``).
        """
        return self._core.jobs(JOB_DTYPE)

    @cached_property
    def segments_array(self) -> npt.NDArray[Any]:
        """Who ran where: start, end, job (place in the log), cpu, is_cost (1: a switch to the job).

        ValueError when they were not kept.
        """
        segments = self._core.segments(SEGMENT_DTYPE)
        if len(segments) == 0 and (self.jobs_array["start"] >= 0).any():
            raise ValueError(
                "this simulation kept no segments, for it has many jobs; run it with segments=True."
            )
        return segments

    @cached_property
    def lags_array(self) -> npt.NDArray[np.int64]:
        """Rows of a time and then each task's lag, in units of its weight over 1024.

        ValueError when they were not kept.
        """
        flat = self._core.samples(np.dtype("i8"))
        if len(flat) == 0:
            raise ValueError("this simulation kept no lags; run it with lag_every=.")
        return flat.reshape(-1, 1 + len(self.tasks))

    @cached_property
    def _decisions(self) -> npt.NDArray[Any]:
        return np.frombuffer(self._core.records()[1], DECISION_DTYPE)

    @cached_property
    def _kinds(self) -> tuple[str, ...]:
        return self._core.kinds()

    @cached_property
    def _places_by_task(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Places of jobs by task and number, and where each task begins."""
        by_task = self.jobs_array["task"]
        order = np.argsort(by_task, kind="stable")
        return order, np.searchsorted(by_task[order], np.arange(len(self.tasks) + 1))

    def _places(self, task: int) -> npt.NDArray[np.int64]:
        order, starts = self._places_by_task
        return order[starts[task] : starts[task + 1]]

    # What users read.

    @property
    def jobs(self) -> LazySequence[Job]:
        """All jobs, in the order of (release, task)."""
        return LazySequence(range(len(self.jobs_array)), self._job)

    @cached_property
    def misses(self) -> LazySequence[Job]:
        """The jobs that had not ended by their deadlines, as far as those are within the run.

        In the order of (release, task). Jobs that were dropped or denied are among them.
        """
        return LazySequence(np.flatnonzero(self._missed), self._job)

    @cached_property
    def _missed(self) -> npt.NDArray[np.bool_]:
        log = self.jobs_array
        late = (log["outcome"] != DONE) | (log["finish"] > log["deadline"])
        missed: npt.NDArray[np.bool_] = late & (log["deadline"] <= self.until)
        return missed

    @cached_property
    def response_times(self) -> PerTask[list[int]]:
        """For each task the times from release to finish of its jobs that are done, in order."""
        return PerTask(self.tasks.names, [self._responses(i) for i in range(len(self.tasks))])

    def _responses(self, task: int) -> list[int]:
        log = self.jobs_array[self._places(task)]
        done = log[log["outcome"] == DONE]
        responses: list[int] = (done["finish"] - done["release"]).tolist()
        return responses

    @property
    def utilisation(self) -> list[float]:
        """For each CPU the part of the time it worked on jobs."""
        return [self._core.cpu_use(cpu)[0] / self.until for cpu in range(self.cpus)]

    @property
    def overhead(self) -> list[float]:
        """For each CPU the part of the time it spent on switches, migrations and steals."""
        return [self._core.cpu_use(cpu)[1] / self.until for cpu in range(self.cpus)]

    @property
    def migrations(self) -> Moves:
        """How often a job went on elsewhere than where its task ran last, by how far that is."""
        return Moves(*self._core.moves()[0])

    @property
    def steals(self) -> Moves:
        """How often an idle CPU took a job out of another one's queue, by how far that is."""
        return Moves(*self._core.moves()[1])

    @cached_property
    def accounts(self) -> PerTask[Account]:
        """The ledger of each task."""
        accounts = [Account(*self._core.task_account(i)) for i in range(len(self.tasks))]
        return PerTask(self.tasks.names, accounts)

    @property
    def group_accounts(self) -> dict[str, Account]:
        """The ledger of each fair group, by name."""
        groups = enumerate(self._setup.groups, 1)
        return {name: Account(*self._core.group_account(number)) for number, name in groups}

    @property
    def cpu_accounts(self) -> list[Account]:
        """The ledger of each CPU."""
        return [Account(*self._core.cpu_account(cpu)) for cpu in range(self.cpus)]

    @property
    def budgets(self) -> dict[str, BudgetUse | None]:
        """What each context was charged with, by name; None: an overrun ended it."""
        uses = [self._core.context(number) for number in range(len(self._setup.contexts))]
        named = zip(self._setup.contexts, uses, strict=True)
        return {name: None if use is None else BudgetUse(*use) for name, use in named}

    @property
    def decisions(self) -> LazySequence[Decision]:
        """The last decisions of the policy core, as many as were kept (``records=``), in order."""
        return LazySequence(range(len(self._decisions)), self._decision)

    @property
    def decisions_lost(self) -> int:
        """How many earlier decisions were not kept."""
        return self._core.records()[0]

    @property
    def attribution(self) -> Attribution:
        """Who was looked at, and passed over and why, as the scheduler counts it too."""
        return Attribution(*self._core.choices())

    @property
    def faults(self) -> int:
        """Calls of a policy's slots that failed or answered what cannot be."""
        return self._core.policy_state()[0]

    @cached_property
    def errors(self) -> list[BaseException]:
        """The last few exceptions that a policy's slots raised."""
        return self._core.errors()

    @cached_property
    def events(self) -> LazySequence[Event]:
        """What happened, in order: of each instant ends, misses, refills, releases, then the rest.

        Releases, starts, finishes, misses and denials are complete; what the policy core
        decided is there as far as it was kept (``decisions_lost``).
        """
        rows = event_rows(self)
        order = np.lexsort((rows["task"], rows["rank"], rows["time"]))
        return LazySequence(order, lambda place: self._event(rows[place]))

    def explain(self, thing: Job | PeriodicTask | str | int) -> str:
        """Why a task or one of its jobs was not simply run, in a sentence with the numbers.

        Args:
            thing: a job of this result; or a task, by itself, its name or its place.

        Returns:
            The last decision about it that was no pick, and for a job when it ran.

        Errors: KeyError for a task or job that is not of this result.
        """
        if isinstance(thing, Job):
            return self._explain_job(thing)
        task = self._task_place(thing)
        last = self._core.last(task)
        if last is None:
            return f"`{self.tasks.names[task]}`: nothing but picks was decided about it."
        return self._core.explain(last)

    def _explain_job(self, job: Job) -> str:
        task = self._task_place(job.name)
        places = self._places(task)
        log = self.jobs_array[places]
        like = (log["release"] == job.release) & (log["deadline"] == job.deadline)
        found = [number for number in np.flatnonzero(like) if self._job(int(places[number])) == job]
        if not found:
            raise KeyError(f"{job!r} is no job of this result.")
        mine = (self._decisions["task"] == task) & (self._decisions["job"] == found[0])
        told = [
            self._core.explain(row.tobytes())
            for row in self._decisions[mine]
            if self._kinds[row["kind"]] != "pick"
        ]
        return "\n".join([_job_text(job, self.until), *told])

    def _task_place(self, thing: object) -> int:
        names = self.tasks.names
        if isinstance(thing, str) and thing in names:
            return names.index(thing)
        if isinstance(thing, PeriodicTask):
            for place, task in enumerate(self.tasks):
                if task is thing:
                    return place
            if thing in self.tasks.tasks:
                return self.tasks.tasks.index(thing)
        if isinstance(thing, int) and not isinstance(thing, bool) and 0 <= thing < len(names):
            return thing
        raise KeyError(f"{thing!r} is no task of this result; there are {', '.join(names)}.")

    # One item of each sequence.

    def _job(self, place: int) -> Job:
        release, start, finish, deadline, task, cpu, _ = self.jobs_array[place].tolist()
        return Job(
            self.tasks.names[task],
            release,
            None if start < 0 else start,
            None if finish < 0 else finish,
            deadline,
            None if cpu == NO_CPU else cpu,
        )

    def _decision(self, place: int) -> Decision:
        row = self._decisions[place]
        time, kind, _, _, task, cpu, other, job, numbers = row.tolist()
        name = self._kinds[kind]
        return Decision(
            time,
            name,
            self._name(task),
            job,
            None if cpu == NONE else cpu,
            self._name(other) if name in ("pick", "preempt") else None if other == NONE else other,
            tuple(numbers.tolist()),
            self._core.explain(row.tobytes()),
        )

    def _name(self, task: int) -> str | None:
        return self.tasks.names[task] if task < len(self.tasks) else None

    def _event(self, row: Any) -> Event:
        time, _, kind, task, job, cpu = row.tolist()
        return Event(
            time,
            EVENTS[kind] if kind < len(EVENTS) else self._kinds[kind - len(EVENTS)],
            self._name(task),
            None if job < 0 else job,
            None if cpu in (NO_CPU, NONE) else cpu,
        )

    # Pictures; drawn in _sim_plot.

    def gantt(self, ax: Any = None, *, start: int = 0, end: int | None = None) -> Any:
        """Draw who ran where (matplotlib, the extra ``plot``): a lane for each CPU.

        Args:
            ax: a matplotlib Axes to draw on; by default one of a new figure. The legend stands to
                its right, for which a figure with ``layout="constrained"`` makes room.
            start: of the part of time to draw.
            end: of that part; None: the end of the simulation.

        Returns:
            The Axes.

        Errors: ValueError when no segments were kept or the part is empty; ImportError without
        matplotlib.
        """
        from foliot import _sim_plot

        return _sim_plot.gantt(self, ax, start, self.until if end is None else end)

    def plot_responses(self, ax: Any = None, *, bins: int = 40) -> Any:
        """Draw a histogram of each task's response times; as ``gantt`` otherwise."""
        from foliot import _sim_plot

        return _sim_plot.responses(self, ax, bins)

    def plot_utilisation(self, ax: Any = None) -> Any:
        """Draw for each CPU what it spent on jobs, on costs and idle; as ``gantt`` otherwise."""
        from foliot import _sim_plot

        return _sim_plot.utilisation(self, ax)

    def plot_lag(self, ax: Any = None) -> Any:
        """Draw the fair tasks' lags over time; ``run`` it with ``lag_every=``."""
        from foliot import _sim_plot

        return _sim_plot.lag(self, ax)

    def plot_budget(self, ax: Any = None) -> Any:
        """Draw what is left of each context's budget, less what was used within the last period."""
        from foliot import _sim_plot

        return _sim_plot.budget(self, ax)

    def __repr__(self) -> str:
        return (
            f"Result({len(self.jobs_array):,} jobs of {len(self.tasks)} tasks under "
            f"{self.policy!r} on {self.cpus} CPUs until {self.until}, {len(self.misses):,} missed)"
        )

    def _repr_html_(self) -> str:
        """A table for notebooks."""
        heads = ("task", "jobs", "done", "misses", "mean response", "worst response", "deadline")
        rows = []
        for task, name in enumerate(self.tasks.names):
            places, times = self._places(task), self.response_times[task]
            mean = f"{sum(times) / len(times):,.1f}" if times else "–"
            cells = (
                *(html.escape(name), f"{len(places):,}", f"{len(times):,}"),
                f"{int(self._missed[places].sum()):,}",
                *(mean, f"{max(times):,}" if times else "–"),
                f"{self.tasks[task].relative_deadline:,}",
            )
            rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
        use = ", ".join(f"{share:.1%}" for share in self.utilisation)
        title = (
            f"{html.escape(self.policy)}, {self.cpus} CPUs used {use}, until {self.until:,}; "
            f"migrations {self.migrations}, steals {self.steals}"
        )
        return (
            f"<table><caption>{title}</caption><thead><tr>"
            f"{''.join(f'<th>{head}</th>' for head in heads)}</tr></thead>"
            f"<tbody>{''.join(rows)}</tbody></table>"
        )


def _job_text(job: Job, until: int) -> str:
    begun = f"began at {job.start} and last ran on CPU {job.cpu}"
    if job.start is None:
        begun = "never ran"
    if job.finish is None:
        ended = f"was not done by {until}, its deadline was {job.deadline}"
    elif job.finish > job.deadline:
        late = job.finish - job.deadline
        ended = f"ended at {job.finish}, {late} after its deadline {job.deadline}"
    else:
        ended = f"ended at {job.finish}, by its deadline {job.deadline}"
    return f"`{job.name}`, released at {job.release}, {begun}; it {ended}."
