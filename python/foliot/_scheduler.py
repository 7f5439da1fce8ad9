"""The scheduler: a plan at work on a world, frame after frame."""

from __future__ import annotations

import atexit
import contextlib
import math
import os
import sys
import threading
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, NoReturn, Protocol, TypeAlias, cast, overload

from foliot import _core
from foliot._attribution import Attribution
from foliot._budget import Group, SchedulingContext
from foliot._checks import real, whole
from foliot._errors import CapacityError, ForkedError, UnknownSystemError, WorldBusyError
from foliot._frame import BackendInfo, Quarantine, RunReport, SchedulerStats, WorkerStats
from foliot._govern import Accounts, Budgets, Decision, read_decisions
from foliot._io import IoInfo, read_io
from foliot._known import Known
from foliot._plan import Plan, PlanChanges
from foliot._progress import progress_bar
from foliot._schedule import Schedule, takes_turns
from foliot._system import Query, System
from foliot._trace import Recording, Trace, read_rings

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from foliot._core import World
    from foliot._policy import Policy

    _ErrorPolicy: TypeAlias = Literal["raise", "continue"] | Quarantine
    _IoChoice: TypeAlias = Literal["auto", "uring", "pool"]

BACKENDS: tuple[str, ...] = _core.BACKEND_NAMES
DEFAULT_BACKEND = "stealing"
MAX_WORKERS = 254
MAX_TICKS = 2**31 - 1
TRACE_RECORDS = 65_536
MAX_TRACE_RECORDS = 2**24

_RAISE, _CONTINUE, _QUARANTINE = range(3)


class Clock(Protocol):
    """What may be given as ``clock=``: nanoseconds that never go back, from any thread.

    An object may also have ``wait_until_ns(deadline_ns, max_wait_ns)``, which returns when its
    clock has reached the deadline, or earlier; else ``Scheduler.run`` waits in real time.
    """

    def now_ns(self) -> int:
        """The time in nanoseconds."""


_live: Known[Scheduler] = Known()


def _read_errors(errors: object) -> tuple[int, int]:
    """The core's policy and the failures it allows."""
    if isinstance(errors, Quarantine):
        return _QUARANTINE, errors.after
    if errors == "raise":
        return _RAISE, 1
    if errors == "continue":
        return _CONTINUE, 1
    raise ValueError(f"errors= is 'raise', 'continue' or fo.quarantine(after=n), got {errors!r}.")


def _read_backend(backend: object) -> str:
    source = "backend="
    if backend is None:
        source = "FOLIOT_BACKEND"
        backend = os.environ.get(source) or DEFAULT_BACKEND
    if not isinstance(backend, str):
        raise TypeError(f"{source} is a name, got {backend!r}.")
    if backend not in BACKENDS:
        raise ValueError(f"{source} is one of {', '.join(BACKENDS)}; got {backend!r}.")
    return backend


def _read_workers(workers: object) -> int:
    """The number of workers; 0 for as many as there are processors."""
    source = "workers="
    if workers is None:
        source = "FOLIOT_WORKERS"
        text = os.environ.get(source)
        if not text:
            return 0
        if not text.strip().removeprefix("-").isdecimal():
            raise ValueError(f"{source} is a number, got {text!r}.")
        workers = int(text)
    return whole(workers, source, 1, MAX_WORKERS)


def _read_trace(trace: object) -> int:
    """Records to keep of each worker; 0 for no trace."""
    if isinstance(trace, bool):
        return TRACE_RECORDS if trace else 0
    return whole(trace, "trace= (True, False, or records of each worker)", 1, MAX_TRACE_RECORDS)


def _query_record(name: str | None, query: Query) -> tuple[Any, ...]:
    return (
        name,
        query.writes,
        query.reads,
        query.with_,
        query.without,
        query.changed,
        query.added,
    )


def _record(system: System, carries: int, budgets: Budgets) -> tuple[Any, ...]:
    """A system as the core binds it."""
    default = (None, system.column_writes, system.column_reads)
    resources = dict.fromkeys(system.resource_reads, False)
    resources.update(dict.fromkeys(system.resource_writes, True))
    return (
        system,
        system.name,
        system.function,
        system.run_if,
        system.kernel,
        (
            (*default, *_query_record(None, system.default_query)[3:]),
            *(_query_record(name, query) for name, query in system.queries.items()),
        ),
        resources,
        system.exclusive,
        system.commands,
        system.io,
        system.max_rows,
        takes_turns(system),
        carries,
        budgets.record(system.budget),
    )


def _rates(plan: Plan) -> list[tuple[int, int, float, int]]:
    """The rate of each phase as the core takes it."""
    return [
        (0, phase.every, 0.0, 1)
        if phase.step is None
        else (1, 1, float(phase.step), phase.max_steps)
        for phase in plan._rates
    ]


class Scheduler(_core.Scheduler):
    """Runs a schedule's systems over a world.

    Args:
        world: the world; while a frame runs, the frame holds it.
        schedule: when it is edited later, the next frame runs by a new plan.
        backend: one of ``fo.BACKENDS``; by default FOLIOT_BACKEND, else "stealing". What cannot
            run here falls back, and ``scheduler.backend`` says why.
        workers: threads, by default FOLIOT_WORKERS, else as many as processors this process may
            use.
        errors: "raise" a FrameError after the frame, "continue" and record, or
            ``fo.quarantine(after=n)``.
        trace: True keeps the newest 65,536 records of each worker in ``scheduler.trace``, a number
            as many as that, rounded up to a power of two; False none.
        clock: None for the machine's, a ``fo.VirtualClock``, or an object with ``now_ns()``.
        seed: of whatever is drawn at random; results do not depend on it.
        io: what does the I/O of systems: "auto" (io_uring where the backend wants it), "uring"
            (wherever it can) or "pool" (blocking calls on threads); by default FOLIOT_IO, else
            "auto". What cannot run here falls back, and ``scheduler.io`` says why.
        policy: who decides what runs when: "fifo", "fp" (systems declared earlier first), "rm",
            "edf", "eevdf", "cbs" or a ``fo.Policy``. None decides nothing beyond the order of the
            plan, unless some system has a ``budget=``: then it is "cbs", in which contexts go by
            their deadlines and everything else shares. The world is the same under each.

    Close it, or use it in a ``with`` statement.

    Example:
        >>> import foliot as fo
        >>> Position, Velocity = fo.component("Position", "f8"), fo.component("Velocity", "f8")
        >>> @fo.system(reads=Velocity, writes=Position)
        ... def move(ctx):
        ...     for chunk in ctx:
        ...         chunk[Position] += chunk[Velocity] * ctx.dt
        >>> world = fo.World()
        >>> ball = world.spawn(Position(1.0), Velocity(2.0))
        >>> with fo.Scheduler(world, fo.Schedule(move)) as scheduler:
        ...     frame = scheduler.tick(0.5)
        >>> frame.systems["move"].rows, world.get(ball, Position).value
        (1, 2.0)
    """

    def __init__(
        self,
        world: World,
        schedule: Schedule,
        *,
        backend: str | None = None,
        workers: int | None = None,
        errors: _ErrorPolicy = "raise",
        trace: bool | int = False,
        clock: Clock | None = None,
        seed: int = 0,
        io: _IoChoice | None = None,
        policy: str | Policy | None = None,
    ) -> None:
        if not isinstance(world, _core.World):
            raise TypeError(f"a scheduler runs a fo.World, got {world!r}.")
        if not isinstance(schedule, Schedule):
            raise TypeError(f"a scheduler runs a fo.Schedule, got {schedule!r}.")
        error_policy, after = _read_errors(errors)
        config = world.config
        self._schedule = schedule
        self._max_systems = config.max_systems
        self._max_dt = float(config.max_dt)
        self._changes: PlanChanges | None = None
        plan = self._make_plan()
        self._budgets = Budgets(self)
        self._budgets.claim(plan.systems, is_new=True)
        trace_records = _read_trace(trace)
        self._trace_records = trace_records
        self._recording = Recording([(0, plan)]) if trace_records else None
        self._open(
            plan,
            [_record(system, -1, self._budgets) for system in plan.systems],
            _rates(plan),
            world,
            clock,
            _read_backend(backend),
            _read_workers(workers),
            whole(seed, "seed=", 0, 2**64 - 1),
            self._max_dt,
            error_policy,
            after,
            config.max_commands,
            config.command_bytes,
            config.target_task_seconds,
            config.steal_batch,
            config.require_workers,
            trace_records,
            (
                read_io(io),
                config.max_io,
                config.min_io_threads,
                config.max_io_threads,
                config.sqpoll,
            ),
            (
                config.adaptive_window,
                config.adaptive_cooldown,
                config.adaptive_least_gain,
                config.adaptive_least_operations,
            ),
            policy,
        )
        self._set_notices(self._budgets.wants_notices)
        schedule._schedulers.add(self)
        _live.add(self)

    def _make_plan(self) -> Plan:
        plan = self._schedule.plan()
        if len(plan.systems) > self._max_systems:
            raise CapacityError(
                f"the schedule has {len(plan.systems)} systems, and max_systems of the world's "
                f"Config is {self._max_systems}."
            )
        return plan

    @property
    def schedule(self) -> Schedule:
        """The schedule it runs."""
        return self._schedule

    @property
    def plan_changes(self) -> PlanChanges | None:
        """What the last new plan changed; None while the first one runs."""
        return self._changes

    @property
    def backend(self) -> BackendInfo:
        """Which backend was asked for, which one runs, and why they differ."""
        requested, actual, reason, _ = self._backend()
        return BackendInfo(requested, actual, reason)

    @property
    def io(self) -> IoInfo:
        """What does the I/O of systems, and why not the ring, when it was wished for."""
        return IoInfo(*self._io())

    @property
    def stats(self) -> SchedulerStats:
        """Counters since the scheduler was made."""
        return SchedulerStats(**self._read_stats())

    @property
    def accounts(self) -> Accounts:
        """The ledgers of systems, groups and workers, while budgets or a policy are at work.

        May be read while a frame runs in another thread.
        """
        return self._budgets.accounts(self, self._names(), self._backend()[3])

    @property
    def attribution(self) -> Attribution | None:
        """What deciding cost so far; None while neither budgets nor a policy are at work.

        May be read while a frame runs in another thread, and takes the lock that it counts.
        """
        found = self._read_attribution()
        return None if found is None else Attribution(*found[0], *found[1])

    @property
    def decisions(self) -> list[Decision]:
        """What the policy decided, oldest first: the newest 4,096 decisions."""
        return read_decisions(self, self._names())

    def _names(self) -> list[str]:
        """Of the systems, by their numbers."""
        return [system.name for system in cast("Plan", self.plan).systems]

    def revoke(self, context: SchedulingContext) -> None:
        """Take a context away from its systems for good.

        One that runs is stopped at its next chunk; from then on each fails with StaleHandleError
        when it is due. Any thread may call it, also while a frame runs.

        ValueError: it pays for no system here; StaleHandleError: it was revoked or ended before.
        """
        self._budgets.revoke(self, context)

    def _deliver_notices(self) -> list[Exception]:
        return self._budgets.deliver(self)

    @property
    def trace(self) -> Trace:
        """What each worker did when; AttributeError unless made with ``trace=True``."""
        if self._recording is None:
            raise AttributeError(
                "this scheduler keeps no trace: make it with fo.Scheduler(..., trace=True)"
            )
        return Trace(self)

    @property
    def workers(self) -> list[WorkerStats]:
        """Counters of each worker; the first is the thread that calls ``tick``.

        May be read while a frame runs in another thread.
        """
        return [
            WorkerStats(worker, **self._read_worker(worker)) for worker in range(self._backend()[3])
        ]

    @overload
    def explain(self, phase: None = None) -> dict[str, str]: ...

    @overload
    def explain(self, phase: str | System | SchedulingContext | Group) -> str: ...

    def explain(
        self, phase: str | System | SchedulingContext | Group | None = None
    ) -> str | dict[str, str]:
        """Where the last run of a phase went, and why; without a name, that of each phase.

        ``explain("backend")`` says which backend runs the frames and why, with the numbers of its
        last decision. A system, its name, a context or a group: what its budget or the policy last
        kept it from, with the rule and the numbers. What bears several of these names is explained
        as each of them, a line each. Phases and the backend not while a frame runs:
        WorldBusyError. UnknownPhaseError for a name of nothing.

        Example:
            >>> import foliot as fo
            >>> with fo.Scheduler(fo.World(), fo.Schedule(), backend="blocking") as scheduler:
            ...     frame = scheduler.tick(0.1)
            ...     print(scheduler.explain("update"))
            the blocking backend runs everything on the caller's thread
        """
        phases = cast("Plan", self.plan).phases
        names = self._names()
        if isinstance(phase, SchedulingContext | Group):
            return f"{phase.name}: {self._explain_budget(False, self._budgets.key_of(phase))}"
        if isinstance(phase, System):
            if phase.name not in names:
                raise UnknownSystemError(f"the plan has no system `{phase.name}`.")
            return self._explain_budget(True, names.index(phase.name))
        if phase is None:
            return {name: self._explain_phase(name) for name in phases}
        answers = []
        if phase in phases or phase not in ("backend", *names):
            answers.append(self._explain_phase(phase))
        if phase == "backend":
            answers.append(self._explain_backend())
        if phase in names:
            answers.append(self._explain_budget(True, names.index(phase)))
        return "\n".join(answers)

    def close(self) -> None:
        """End the scheduler; closing twice is fine. Its trace stays."""
        recording = self._recording
        if recording is None or self.closed:
            super().close()
            return
        kept = None
        # In a forked child it belongs to the parent.
        with contextlib.suppress(ForkedError):
            kept = read_rings(self)
        super().close()
        recording.kept = kept

    def run(
        self,
        rate: float | None = 60.0,
        ticks: int | None = None,
        until: threading.Event | Callable[[], object] | None = None,
        *,
        progress: bool = False,
    ) -> RunReport:
        """Run frames at a fixed rate until ``ticks`` frames ran or ``until`` says so.

        Each frame advances ``1 / rate`` seconds. A frame that begins late is caught up with, a few
        in a row at most; older deadlines are dropped and counted. Ctrl-C raises KeyboardInterrupt.
        While a frame's time has not come, operations in flight go on; what comes of them starts no
        frame early.

        Args:
            rate: frames a second; None for as fast as they go, each as long as the time that
                passed.
            ticks: frames to run; None for no bound.
            until: an event, or a function without arguments, looked at before each frame, and
                twenty times a second until its time has come.
            progress: show a progress bar (needs tqdm).

        Example:
            >>> import foliot as fo
            >>> clock = fo.VirtualClock()
            >>> with fo.Scheduler(fo.World(), fo.Schedule(), clock=clock) as scheduler:
            ...     report = scheduler.run(rate=10, ticks=21)
            >>> report.frames, report.stopped_by, clock.now
            (21, 'ticks', 2.0)
        """
        period_ns, dt = _read_rate(rate)
        if dt > self._max_dt:
            raise ValueError(
                f"rate={rate!r} makes frames of {dt!r} s, longer than Config.max_dt "
                f"({self._max_dt!r} s)."
            )
        bound = -1 if ticks is None else whole(ticks, "ticks=", 0, MAX_TICKS)
        stop = _read_until(until)
        with progress_bar(progress, ticks, " frames") as bar:
            on_frame = None if bar is None else bar.update
            answer = self._run(period_ns, dt, bound, stop, on_frame)
        frames, wall_ns, late, dropped, max_late_ns, last, stopped_by = answer
        return RunReport(
            frames, wall_ns * 1e-9, late, dropped, max_late_ns * 1e-9, last, stopped_by
        )

    def __enter__(self) -> Self:
        if self.closed:
            raise RuntimeError("the scheduler is closed")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _replan(self) -> None:
        """Run by a new plan from the next frame on; on failure the old one stays."""
        old = cast("Plan", self.plan)
        plan = self._make_plan()
        changes = old.diff(plan)
        self._budgets.claim(plan.systems, is_new=False)
        places = {system: index for index, system in enumerate(old.systems)}
        self._replan_with(
            plan,
            [_record(system, places.get(system, -1), self._budgets) for system in plan.systems],
            _rates(plan),
        )
        self._set_notices(self._budgets.wants_notices)
        self._changes = changes
        if self._recording is not None:
            # Each frame has at least one record in the first ring.
            oldest = self.frame - 2 * self._trace_records
            self._recording.add_plan(self.frame, plan, oldest)


def _read_rate(rate: object) -> tuple[int, float]:
    """Period in nanoseconds and seconds of a frame; (0, -1.0) for as fast as they go."""
    if rate is None:
        return 0, -1.0
    frames = real(rate, "rate=")
    if not (math.isfinite(frames) and 1e-6 <= frames <= 1e9):
        raise ValueError(f"rate= is from 1e-6 to 1e9 frames a second, or None; got {rate!r}.")
    return max(1, round(1e9 / frames)), 1.0 / frames


def _read_until(until: Any) -> Callable[[], object] | None:
    found = until.is_set if hasattr(until, "is_set") else until
    if found is not None and not callable(found):
        raise TypeError(f"until= is a threading.Event, a function or None, got {until!r}.")
    return cast("Callable[[], object] | None", found)


def _end_forked_child(error: BaseException | None) -> NoReturn:
    """End a process that a system forked beside others, as multiprocessing ends its children."""
    status = 0
    if isinstance(error, SystemExit):
        code = error.code
        status = 0 if code is None else code if isinstance(code, int) else 1
        if code is not None and not isinstance(code, int):
            print(code, file=sys.stderr)
    elif error is not None:
        traceback.print_exception(error)
        status = 1
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError, OSError):
            stream.flush()
    os._exit(status)


@atexit.register
def _close_all() -> None:
    """Stop what still runs before the interpreter goes."""
    _core.begin_exit()
    try:
        for scheduler in _live:
            # One that a daemon thread still drives is left to it.
            with contextlib.suppress(WorldBusyError):
                scheduler.close()
    finally:
        _core.end_threads()


os.register_at_fork(after_in_child=_core.forget_threads)
