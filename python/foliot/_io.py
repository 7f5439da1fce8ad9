"""I/O as people see it: what a scheduler's I/O runs on, and what this kernel's io_uring offers."""

from __future__ import annotations

import os
import textwrap
from dataclasses import dataclass
from typing import Any

from foliot import _core

IO_CHOICES = ("auto", "uring", "pool")


@dataclass(frozen=True, slots=True)
class IoInfo:
    """What does the I/O of a scheduler's systems.

    Attributes:
        engine: "uring" (a ring of io_uring) or "pool" (blocking calls on threads).
        reason: why not the ring, when it was wished for; else "".
    """

    engine: str
    reason: str


@dataclass(frozen=True, slots=True)
class IoAttempt:
    """A set of flags that io_uring refused on the way to one it took.

    Attributes:
        setup_flags: the flags asked for, by name.
        entries: places of the submission queue asked for.
        step: what was refused: "setup", "enable", "submit" or "complete".
        error: the errno.
    """

    setup_flags: tuple[str, ...]
    entries: int
    step: str
    error: int

    def __str__(self) -> str:
        flags = ", ".join(self.setup_flags) or "no flags"
        return f"{flags}: {os.strerror(self.error)} at {self.step}"


@dataclass(frozen=True, slots=True)
class IoReport:
    """What io_uring of this kernel offers, found by trying it; ``print`` shows all of it.

    Attributes:
        available: whether a ring could be made and an operation went through it.
        engine: what I/O runs on where io_uring is wished for: "uring", or "pool" without it.
        setup_flags: flags of the ring that was made, best set first taken.
        features: what the kernel says of its rings.
        operations: names of the operations it supports; empty when it could not be asked.
        submission_entries: places of the submission queue.
        completion_entries: places of the completion queue, which bound what is in flight.
        attempts: better sets of flags that were refused, in order.
        reason: why it is not available, or not all of it; "" when nothing is missing.
        cure: what can be done about that; "" when there is nothing to do.
    """

    available: bool
    engine: str
    setup_flags: tuple[str, ...]
    features: tuple[str, ...]
    operations: tuple[str, ...]
    submission_entries: int
    completion_entries: int
    attempts: tuple[IoAttempt, ...]
    reason: str
    cure: str

    def __str__(self) -> str:
        lines = [("io_uring", "a no-operation went through" if self.available else "no")]
        if self.reason:
            lines.append(("reason", self.reason))
        if self.cure:
            lines.append(("what to do", self.cure))
        if self.available:
            queues = f"{self.submission_entries} to submit, {self.completion_entries} to complete"
            lines += [
                ("flags", ", ".join(self.setup_flags) or "none (plain)"),
                ("features", ", ".join(self.features) or "none"),
                ("queues", queues),
                ("operations", f"{len(self.operations)}: {', '.join(self.operations)}"),
            ]
        lines += [("refused", str(attempt)) for attempt in self.attempts]
        lines.append(("I/O runs on", f"the {'ring' if self.available else 'blocking pool'}"))
        return "\n".join(
            textwrap.fill(
                text,
                width=100,
                initial_indent=f"{name + ':':13}",
                subsequent_indent=" " * 13,
                break_on_hyphens=False,
            )
            for name, text in lines
        )


def _reason(probe: dict[str, Any]) -> str:
    if not probe["available"]:
        return f"{os.strerror(probe['error'])} at {probe['step']}"
    if probe["register_error"]:
        return f"the operations are unknown: {os.strerror(probe['register_error'])} at register"
    return ""


def report_of(probe: dict[str, Any]) -> IoReport:
    """The report of what the core's probe found."""
    available = bool(probe["available"])
    return IoReport(
        available=available,
        engine="uring" if available else "pool",
        setup_flags=tuple(probe["setup_flags"]),
        features=tuple(probe["features"]),
        operations=tuple(probe["operations"]),
        submission_entries=probe["submission_entries"],
        completion_entries=probe["completion_entries"],
        attempts=tuple(
            IoAttempt(
                tuple(attempt["setup_flags"]),
                attempt["entries"],
                attempt["step"],
                attempt["error"],
            )
            for attempt in probe["attempts"]
        ),
        reason=_reason(probe),
        cure=probe["cure_text"],
    )


def probe() -> IoReport:
    """What io_uring of this kernel offers, and what to do about what is missing.

    Tries it: a ring is made, asked, given a no-operation, and closed again. That takes
    milliseconds, changes nothing, and never fails for want of io_uring.

    Example:
        >>> import foliot as fo
        >>> report = fo.io.probe()
        >>> report.engine in ("uring", "pool")
        True
    """
    return report_of(_core.probe_io_uring())


def read_io(io: object) -> int:
    """The choice of an engine as the core takes it."""
    source = "io="
    if io is None:
        source = "FOLIOT_IO"
        io = os.environ.get(source) or "auto"
    if not isinstance(io, str):
        raise TypeError(f"{source} is a name, got {io!r}.")
    if io not in IO_CHOICES:
        raise ValueError(f"{source} is one of {', '.join(IO_CHOICES)}; got {io!r}.")
    return IO_CHOICES.index(io)
