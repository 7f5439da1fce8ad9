"""What a census prints: tables for people, one JSON object for programs.

A file's name may hold anything but a slash and a zero byte, so names are shown with everything that
is not printable escaped. Columns are counted as a terminal counts them.
"""

from __future__ import annotations

import os
import textwrap
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from foliot.demo._files import Census

if TYPE_CHECKING:
    from foliot.demo._census import Run

SKIPPED_SHOWN = 10
WIDTH_MAX = 120
WIDTH_MIN = 60


@dataclass(frozen=True)
class Report:
    """Everything that was found out.

    Attributes:
        root: The tree.
        runs: One for each backend.
        reference: The plain Python loop's census.
        reference_seconds: What it took.
        disagreement: Where a run and the reference disagree first; None when they agree.

    """

    root: bytes
    runs: Sequence[Run]
    reference: Census
    reference_seconds: float
    disagreement: str | None

    def to_dict(self) -> dict[str, Any]:
        """The object that ``--json`` prints."""
        totals = self.reference.totals()
        return {
            "root": os.fsdecode(self.root),
            "files": totals.files,
            "bytes": totals.size,
            "lines": totals.lines,
            "words": totals.words,
            "digest": self.reference.digest(),
            "runs": [
                {
                    "backend": run.backend,
                    "workers": run.workers,
                    "seconds": run.seconds,
                    "files_per_second": len(run.census.counts) / run.seconds,
                    "digest": run.census.digest(),
                    "fallback": fallback_of(run),
                    "io": run.io.engine,
                    "io_fallback": run.io.reason or None,
                }
                for run in self.runs
            ],
            "reference_seconds": self.reference_seconds,
            "agree": self.disagreement is None,
        }

    def to_text(self, width: int, absent: Mapping[str, str] = MappingProxyType({})) -> str:
        """The report for a terminal of this many columns.

        ``absent`` are backends that were not tried because they do not run here, and why.
        """
        width = max(WIDTH_MIN, min(WIDTH_MAX, width))
        parts = [
            self.total_lines(width),
            largest_lines(self.runs[0], width),
            [*self.run_lines(width), *absent_lines(absent, width)],
            system_lines(self.runs[0]),
            ["Plan", *(f"  {line}".rstrip() for line in self.runs[0].plan.splitlines())],
            skipped_lines(self.reference.skipped, width),
            [self.verdict()],
        ]
        return "\n\n".join("\n".join(part) for part in parts if part)

    def total_lines(self, width: int) -> list[str]:
        """The head of the report: the tree and its sums."""
        totals = self.reference.totals()
        return [
            f"Census of {shortened(shown(self.root), width - 10)}",
            f"  files  {totals.files:>15,}",
            f"  bytes  {totals.size:>15,}",
            f"  lines  {totals.lines:>15,}",
            f"  words  {totals.words:>15,}",
            f"  digest {self.reference.digest()[: width - 9]}",
        ]

    def run_lines(self, width: int) -> list[str]:
        """How fast each backend was, beside the plain loop."""
        size = self.reference.totals().size
        rows = [(run.backend, run.workers, run.io.engine, run.seconds) for run in self.runs]
        rows.append(("plain Python", 1, "-", self.reference_seconds))
        files = len(self.reference.counts)
        lines = [
            f"{'Runs':15}{'workers':>8}{'I/O':>7}{'seconds':>10}{'files/s':>12}{'MB/s':>9}"
            f"{'speed':>9}"
        ]
        for name, workers, engine, seconds in rows:
            ratio = f"{self.reference_seconds / seconds:.2f} x"
            lines.append(
                f"  {name:13}{workers:>8}{engine:>7}{seconds:>10.3f}{files / seconds:>12,.0f}"
                f"{size / seconds / 1e6:>9,.0f}{ratio:>9}"
            )
        for run in self.runs:
            reason = fallback_of(run)
            if reason is not None:
                lines += indented(f"{run.backend}: {reason}", width)
            if run.io.reason:
                lines += indented(
                    f"{run.backend}: I/O on the {run.io.engine}: {run.io.reason}", width
                )
        return lines

    def verdict(self) -> str:
        """The last line: whether every run agrees with the plain loop."""
        if self.disagreement is not None:
            return f"DISAGREES with a plain Python loop over the same files: {self.disagreement}"
        runs = "The run agrees" if len(self.runs) == 1 else f"All {len(self.runs)} runs agree"
        return f"{runs} with a plain Python loop over the same files, file by file."


def fallback_of(run: Run) -> str | None:
    """Why a run was not on the backend that was asked for, and on which it was; None if it was."""
    if run.backend == run.actual:
        return None
    return f"ran on {run.actual}: {run.reason}"


def absent_lines(absent: Mapping[str, str], width: int) -> list[str]:
    """A sentence for each reason why backends do not run here."""
    lines = []
    for reason in dict.fromkeys(absent.values()):
        names = [name for name, why in absent.items() if why == reason]
        lines += indented(f"not here: {', '.join(names)}: {reason}", width)
    return lines


def indented(text: str, width: int) -> list[str]:
    """A sentence in lines of at most so many columns, below a table."""
    return textwrap.wrap(text, width, initial_indent="  ", subsequent_indent="    ")


def largest_lines(run: Run, width: int) -> list[str]:
    """The table of the largest files."""
    rows = [
        (f"{file.size:,}", f"{file.lines:,}", f"{file.words:,}", f"{file.crc:08x}", file.path)
        for file in run.largest
        if file.path in run.census.counts
    ]
    if not rows:
        return []
    numbers = [("bytes", "lines", "words", "crc32"), *(row[:4] for row in rows)]
    widths = [2 + max(map(len, column)) for column in zip(*numbers, strict=True)]
    room = width - 2 - sum(widths)
    names = ["Largest files", *(f"  {shortened(shown(row[4]), room)}" for row in rows)]
    return [
        padded(name, room + 2)
        + "".join(text.rjust(size) for text, size in zip(row, widths, strict=True))
        for name, row in zip(names, numbers, strict=True)
    ]


def system_lines(run: Run) -> list[str]:
    """Where a run's time went."""
    parts = dict(run.system_seconds)
    parts["merges and order"] = max(0.0, run.frame_seconds - sum(parts.values()))
    parts["set-up and results"] = max(0.0, run.seconds - run.frame_seconds)
    whole = sum(parts.values())
    frames = f"{run.frames:,} frame{'' if run.frames == 1 else 's'}"
    lines = [f"Systems, {run.backend}, {frames}"]
    for name, seconds in parts.items():
        share = seconds / whole if whole > 0 else 0.0
        bar = "#" * round(share * 24)
        lines.append(f"  {name:18}{seconds * 1e3:>11.1f} ms{share:>7.1%}  {bar}".rstrip())
    return lines


def skipped_lines(skipped: dict[bytes, str], width: int) -> list[str]:
    """The files that were left out, and why."""
    if not skipped:
        return []
    return [
        f"Skipped: {len(skipped):,}",
        *(f"  {line}" for line in skipped_each(skipped, width - 2)),
    ]


def skipped_each(skipped: dict[bytes, str], width: int) -> Iterator[str]:
    """A line for each of the first left-out files, and one for the rest."""
    for path in sorted(skipped)[:SKIPPED_SHOWN]:
        reason = skipped[path]
        yield f"{shortened(shown(path), max(20, width - len(reason) - 2))}: {reason}"
    if len(skipped) > SKIPPED_SHOWN:
        yield f"and {len(skipped) - SKIPPED_SHOWN:,} more"


def shown(path: bytes) -> str:
    r"""A path as text that is safe to print: what is not printable is escaped.

    Example:
        >>> print(shown(b"caf\xc3\xa9/new\nline/\xff"))
        café/new\nline/\xff

    """
    return "".join(shown_character(letter) for letter in path.decode("utf-8", "surrogateescape"))


def shown_character(letter: str) -> str:
    """One character of a path, escaped unless it is printable."""
    if 0xDC80 <= ord(letter) <= 0xDCFF:
        return f"\\x{ord(letter) - 0xDC00:02x}"
    return letter if letter.isprintable() else letter.encode("unicode_escape").decode()


def columns_of(text: str) -> int:
    """How many columns of a terminal a printable text takes."""
    return sum(
        0 if unicodedata.combining(letter) else 1 + (unicodedata.east_asian_width(letter) in "WF")
        for letter in text
    )


def shortened(text: str, width: int) -> str:
    """The text, or its end after "...", in at most so many columns.

    Example:
        >>> shortened("encodings/mac_croatian.py", 16)
        '...c_croatian.py'
        >>> shortened("abc", 3)
        'abc'

    """
    if columns_of(text) <= width:
        return text
    start = 0
    while start < len(text) and columns_of(text[start:]) > width - 3:
        start += 1
    return "..." + text[start:]


def padded(text: str, width: int) -> str:
    """The text followed by spaces up to so many columns."""
    return text + " " * (width - columns_of(text))
