"""What running tells: timings, reports, counters, and the policy for errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from foliot._checks import whole

if TYPE_CHECKING:
    from foliot._core import FrameResult


@dataclass(frozen=True, slots=True)
class SystemTiming:
    """What one system did in one frame.

    Attributes:
        wall_ns: nanoseconds of all its runs in the frame; the sum of its pieces, if it was cut.
        tasks: calls of its function or kernel.
        rows: rows it was given.
        worker: the worker that began it.
    """

    wall_ns: int
    tasks: int
    rows: int
    worker: int


@dataclass(frozen=True, slots=True)
class RunReport:
    """What ``Scheduler.run`` did.

    Attributes:
        frames: frames run.
        seconds: from the call to its end, on the scheduler's clock.
        late_frames: frames that began a whole period or more after their deadline.
        dropped_frames: deadlines given up because too many were missed in a row.
        max_lateness: the longest a frame began after its deadline, in seconds.
        last: the result of the last frame, None when there was none. With an error policy other
            than "raise" its ``errors``, up to a thousand, and ``quarantined`` are those of all
            frames.
        stopped_by: what ended the run.
    """

    frames: int
    seconds: float
    late_frames: int
    dropped_frames: int
    max_lateness: float
    last: FrameResult | None
    stopped_by: Literal["ticks", "until"]


@dataclass(frozen=True, slots=True)
class BackendInfo:
    """Which backend was asked for, which one runs, and why they differ ("" when they do not)."""

    requested: str
    actual: str
    reason: str


@dataclass(frozen=True, slots=True)
class SchedulerStats:
    """Counters since the scheduler was made; each is whole, together they may be an instant apart.

    Attributes:
        frames: frames run.
        tasks: calls of functions and kernels: systems, and pieces of systems.
        systems_run: runs of systems.
        systems_skipped: times a condition said no.
        systems_failed: times a system failed.
        commands_applied: commands that merges carried out.
        commands_dropped: commands that no longer meant anything at their merge.
        merges: merges that had commands.
        wall_ns: nanoseconds in frames.
        host_switches: times running frames took the interpreter.
        parallel_phases: runs of a phase on several workers.
        serial_phases: runs of a phase on the caller alone.
        steals: pieces of work that one worker took from another.
        wakes_sent: times a worker that slept was woken.
        wakes_saved: times nobody was, because a worker was looking for work already.
        io_submitted: operations sent.
        io_completed: operations that ended, failed and cancelled ones too.
        io_failed: of them, those that failed.
        io_system_calls: calls into the kernel for I/O, of the thread that drives.
        io_in_flight: operations sent that have not ended, at this moment.
        switches: times the adaptive backend changed places.
        misses: deadlines missed.
        overruns: budgets used up before the work was done.
        decisions: what the policy decided.
        policy_faults: times a slot of the policy failed.
    """

    frames: int
    tasks: int
    systems_run: int
    systems_skipped: int
    systems_failed: int
    commands_applied: int
    commands_dropped: int
    merges: int
    wall_ns: int
    host_switches: int
    parallel_phases: int
    serial_phases: int
    steals: int
    wakes_sent: int
    wakes_saved: int
    io_submitted: int
    io_completed: int
    io_failed: int
    io_system_calls: int
    io_in_flight: int
    switches: int
    misses: int
    overruns: int
    decisions: int
    policy_faults: int


@dataclass(frozen=True, slots=True)
class WorkerStats:
    """Counters of one worker since the scheduler was made.

    Each is whole; together they may be an instant apart.

    Attributes:
        worker: its number; 0 is the thread that calls ``tick``.
        tasks: functions and kernels it called: systems, and pieces of systems.
        systems: systems begun here.
        stolen: pieces of work it took from other workers.
        steal_attempts: workers it looked at for that.
        steal_misses: of them, those that had nothing.
        contended: of them, those where another was faster.
        batches: times it took more than one piece at once.
        largest_batch: the most it took at once.
        spins: rounds of looking for work in vain.
        yields: times it let other threads go first while it looked.
        parks: times it went to sleep.
        wakes_sent: workers it woke.
        wakes_saved: times it woke none, because one was looking for work already.
        commands: commands recorded here that were not taken back.
        busy_ns: nanoseconds in systems and merges.
        idle_ns: nanoseconds in which it looked for work or slept, also between frames.
        host_switches: times it took the interpreter.
        host_wait_ns: nanoseconds it waited for the interpreter; measured with a trace only.
        queue_depth: pieces of work that wait in its queue at this moment.
    """

    worker: int
    tasks: int
    systems: int
    stolen: int
    steal_attempts: int
    steal_misses: int
    contended: int
    batches: int
    largest_batch: int
    spins: int
    yields: int
    parks: int
    wakes_sent: int
    wakes_saved: int
    commands: int
    busy_ns: int
    idle_ns: int
    host_switches: int
    host_wait_ns: int
    queue_depth: int


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a frame on one worker.

    Attributes:
        name: the system, the phase, or what was done.
        kind: "frame", "phase", "segment", "system", "piece", "condition", "merge", "io" (from
            sending to delivery), "steal", "park", "switch" (of the adaptive backend), "host"
            (waiting for the interpreter) or "decision" (of the policy).
        worker: the worker; 0 is the thread that calls ``tick``.
        start_ns: nanoseconds from the beginning of the frame.
        end_ns: the same, of its end.
    """

    name: str
    kind: str
    worker: int
    start_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True)
class Quarantine:
    """Errors are recorded, and a system that failed ``after`` times is switched off."""

    after: int = 3

    def __post_init__(self) -> None:
        object.__setattr__(self, "after", whole(self.after, "after=", 1, 2**32 - 1))


def quarantine(after: int = 3) -> Quarantine:
    """An error policy: record errors, and switch off a system that failed ``after`` times.

    ``FrameResult.quarantined`` names the systems a frame switched off, and
    ``Scheduler.enable(name)`` switches one on again.

    Example:
        >>> quarantine(after=2)
        Quarantine(after=2)
    """
    return Quarantine(after)
