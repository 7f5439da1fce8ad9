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
        wall_ns: nanoseconds of all its runs in the frame.
        tasks: calls of its function or kernel.
        rows: rows it was given.
        worker: the worker that ran it last.
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
    """Counters since the scheduler was made.

    ``host_switches`` counts how often running frames took the interpreter.
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


@dataclass(frozen=True, slots=True)
class WorkerStats:
    """Counters of one worker; worker 0 is the thread that calls ``tick``."""

    worker: int
    tasks: int
    stolen: int = 0
    steal_attempts: int = 0
    parks: int = 0


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
