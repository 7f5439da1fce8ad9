"""A progress bar on a terminal: tqdm's where it is installed, else one plain line of our own."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TextIO

WIDTH = 30
REDRAW_SECONDS = 0.1


class Bar(Protocol):
    """What is used of a progress bar."""

    def update(self, count: int, /) -> object:
        """Count some more as done."""

    def close(self) -> object:
        """Wipe the bar."""


class PlainBar:
    """One line that is drawn again in place, at most ten times a second.

    A total of 0 is a total nobody knows.
    """

    def __init__(self, title: str, total: int, stream: TextIO) -> None:
        self._title = title
        self._total = total
        self._stream = stream
        self._done = 0
        self._drawn_at = float("-inf")

    def update(self, count: int) -> None:
        """Count some more as done."""
        self._done += count
        now = time.monotonic()
        if now - self._drawn_at >= REDRAW_SECONDS:
            self._drawn_at = now
            self._stream.write(f"\r{self.line()}\x1b[K")
            self._stream.flush()

    def line(self) -> str:
        """The bar as it stands.

        Example:
            >>> bar = PlainBar("blocking", 1000, sys.stderr)
            >>> bar._done = 500
            >>> bar.line()
            'blocking      [###############...............]  50%  500 of 1,000 files'
        """
        if self._total == 0:
            return f"{self._title:13} {self._done:,} files"
        share = min(1.0, self._done / self._total)
        filled = int(share * WIDTH)
        bar = "#" * filled + "." * (WIDTH - filled)
        return f"{self._title:13} [{bar}] {share:4.0%}  {self._done:,} of {self._total:,} files"

    def close(self) -> None:
        """Wipe the line."""
        self._stream.write("\r\x1b[K")
        self._stream.flush()


@contextmanager
def progress_of(title: str, total: int, *, shown: bool) -> Iterator[Callable[[int], object]]:
    """Show the progress of some files on stderr and give the function that counts them.

    Nothing is drawn unless ``shown`` and stderr is a terminal.
    """
    if not (shown and sys.stderr.isatty()):
        yield lambda _: None
        return
    bar = open_bar(title, total)
    try:
        yield bar.update
    finally:
        bar.close()


def open_bar(title: str, total: int) -> Bar:
    """A bar on stderr, tqdm's if it can be had."""
    try:
        from tqdm import tqdm
    except ImportError:
        return PlainBar(title, total, sys.stderr)
    bar: Bar = tqdm(total=total or None, desc=title, unit=" files", leave=False, file=sys.stderr)
    return bar
