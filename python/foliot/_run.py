"""``python -m foliot run``: frames at a fixed rate, and a summary of where their time went.

The summary has to be whole when Ctrl-C or a failing system ends the run, and to know the times of
every frame; therefore the frames are paced here, as ``Scheduler.run`` paces them.
"""

from __future__ import annotations

import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import foliot as fo

DEFAULT_DT = 1 / 60
MAX_CATCH_UP = 4
BAR_WIDTH = 20


@dataclass
class Pace:
    """Deadlines on a grid; without a rate every frame is due at once.

    A frame that begins late is caught up with, a few in a row at most; older deadlines are dropped.
    Times are seconds on the monotonic clock.
    """

    period: float
    next: float
    late: int = 0
    dropped: int = 0
    largest: float = 0.0
    total: float = 0.0

    def wait(self) -> None:
        """Return when the next frame is due, and take its deadline."""
        if self.period == 0:
            return
        while (left := self.next - time.monotonic()) > 0:
            time.sleep(left)
        self.take(time.monotonic())

    def take(self, now: float) -> None:
        """Begin the due frame now: note its lateness and move the deadline on."""
        lateness = now - self.next
        behind = int(lateness / self.period)
        self.total += lateness
        self.largest = max(self.largest, lateness)
        self.late += behind > 0
        dropped = max(0, behind - MAX_CATCH_UP)
        self.dropped += dropped
        self.next += (1 + dropped) * self.period


@dataclass
class Times:
    """What frames took, in nanoseconds: together, the longest, and by system."""

    frames: int = 0
    total_ns: int = 0
    longest_ns: int = 0
    merge_ns: int = 0
    system_ns: Counter[str] = field(default_factory=Counter)
    system_frames: Counter[str] = field(default_factory=Counter)

    def add(self, frame: fo.FrameResult) -> None:
        """Add one frame."""
        self.frames += 1
        self.total_ns += frame.wall_ns
        self.longest_ns = max(self.longest_ns, frame.wall_ns)
        self.merge_ns += frame.merge_ns
        for name, timing in frame.systems.items():
            self.system_ns[name] += timing.wall_ns
            self.system_frames[name] += 1

    def row(self, name: str, spent_ns: int, runs: int = 0) -> str:
        """One line of the table of systems; without runs it has no mean."""
        share = spent_ns / self.total_ns if self.total_ns else 0.0
        bar = "#" * round(min(share, 1.0) * BAR_WIDTH)
        count, mean = (f"{runs:,}", in_units(spent_ns / runs / 1e9)) if runs else ("", "")
        total = in_units(spent_ns / 1e9)
        return f"{name}{count:>10}{mean:>11}{total:>11}{share:>8.1%}  {bar}".rstrip()


@dataclass
class Drive:
    """One run of a scheduler: its pace, its times, and how it ended.

    Args:
        scheduler: What runs the frames.
        rate: Frames a second; 0 for as fast as they go.
        ticks: Frames to run; None for no bound.

    """

    scheduler: fo.Scheduler
    rate: float
    ticks: int | None
    times: Times = field(default_factory=Times)
    seconds: float = 0.0
    last_begin: float = 0.0
    was_interrupted: bool = False
    failure: fo.FrameError | None = None
    exit: SystemExit | None = None

    def __post_init__(self) -> None:
        self.pace = Pace(1 / self.rate if self.rate else 0.0, time.monotonic())

    def run(self) -> None:
        """Run the frames; Ctrl-C and a system that fails or exits end them, and are noted."""
        dt = self.pace.period or DEFAULT_DT
        began = self.pace.next = time.monotonic()
        try:
            while self.ticks is None or self.times.frames < self.ticks:
                self.pace.wait()
                self.last_begin = time.monotonic() - began
                self.times.add(self.scheduler.tick(dt))
        except KeyboardInterrupt:
            self.was_interrupted = True
        except SystemExit as error:
            self.exit = error
        except fo.FrameError as error:
            self.failure = error
            self.times.add(error.frame_result)
        self.seconds = time.monotonic() - began

    def summary(self) -> str:
        """Frames, rate, lateness, and the time of each system."""
        lines = [*self.head(), *self.systems()]
        return "\n".join(lines)

    def head(self) -> Iterator[str]:
        """The lines about all frames."""
        times, pace, backend = self.times, self.pace, self.scheduler.backend
        frames = times.frames
        # A run ends when its last frame does, not at the deadline after it.
        intervals, span = (frames - 1, self.last_begin) if self.rate else (frames, self.seconds)
        reached = intervals / span if span > 0 else 0.0
        wanted = f" of {self.rate:,g}" if self.rate else ""
        yield f"frames    {frames:,} in {self.seconds:.3f} s"
        yield f"rate      {reached:,.1f}{wanted} a second"
        if self.rate:
            mean = pace.total / frames if frames else 0.0
            yield (
                f"lateness  mean {in_units(mean)}, largest {in_units(pace.largest)}; "
                f"{pace.late:,} a period or more late, {pace.dropped:,} dropped"
            )
        else:
            yield "lateness  none: frames ran as fast as they go"
        mean = times.total_ns / frames / 1e9 if frames else 0.0
        yield f"a frame   mean {in_units(mean)}, longest {in_units(times.longest_ns / 1e9)}"
        fallback = "" if backend.actual == backend.requested else f" ({backend.requested}: "
        yield f"backend   {backend.actual}{fallback}{backend.reason}{')' if fallback else ''}"

    def systems(self) -> Iterator[str]:
        """The table of the systems, in the order of the plan."""
        times = self.times
        rest = {"merges": times.merge_ns}
        rest["between systems"] = times.total_ns - times.merge_ns - sum(times.system_ns.values())
        names = [name for name in self.scheduler.plan.execution_order() if name in times.system_ns]
        width = max(15, *(len(name) for name in names)) if names else 15
        yield ""
        yield f"{'system':{width}}{'frames':>10}{'mean':>11}{'total':>11}{'share':>8}"
        for name in names:
            yield times.row(name.ljust(width), times.system_ns[name], times.system_frames[name])
        for name, spent_ns in rest.items():
            yield times.row(name.ljust(width), max(0, spent_ns))


def in_units(seconds: float) -> str:
    """A time with the unit that suits it.

    Example:
        >>> in_units(0.0000123), in_units(0.25), in_units(75)
        ('12.3 us', '250.0 ms', '75.0 s')

    """
    for unit, scale in (("us", 1e6), ("ms", 1e3)):
        if seconds * scale < 1000:
            return f"{seconds * scale:.1f} {unit}"
    return f"{seconds:.1f} s"


def exit_line(error: SystemExit) -> str:
    """What is said of a system that ends the program: the note that names it, and the status."""
    notes = "; ".join(getattr(error, "__notes__", ()))
    return f"{notes}: the system exits with {error.code!r}"


def failures(error: fo.FrameError) -> Iterator[str]:
    """A line for each system that failed: what it raised, where, and the note that names it."""
    for member in error.exceptions:
        notes = "; ".join(getattr(member, "__notes__", ()))
        message = " ".join(str(member).split())
        raised = f"{type(member).__name__}{': ' if message else ''}{message}"
        stack = traceback.extract_tb(member.__traceback__)
        where = f" ({stack[-1].filename}, line {stack[-1].lineno})" if stack else ""
        yield f"{notes}: {raised}{where}"
