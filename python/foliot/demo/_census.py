"""The census as systems over a world: one entity a file.

``find`` spawns files, the native kernel ``count`` reads and counts a piece of each, ``rank`` keeps
the largest of those that are done, ``tally`` sums them up. The rows of ``count`` are cut into
pieces for as many workers as there are, and the files of the next frame are found meanwhile:
nothing says so, the plan works it out from what each system reads and writes. A frame spawns at
most ``BATCH_FILES`` and reads at most ``PIECE_BYTES`` of each file, so that a frame is short
whatever the tree is.
"""

from __future__ import annotations

import gc
import itertools
import os
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

import numpy as np

import foliot as fo
from foliot import _core
from foliot.demo._files import (
    PIECE_BYTES,
    Census,
    FileCount,
    Seen,
    Totals,
    find_files,
)

BATCH_FILES = 512
RANKED = 10

Path = fo.component("foliot.demo.Path", fo.Bytes)
"""Where the file is, below the root of the tree."""

Counts = fo.component(
    "foliot.demo.Counts",
    {"bytes": "u8", "lines": "u8", "words": "u8", "crc": "u4", "in_word": "u1"},
)
"""What was counted so far; ``in_word`` when the last piece ended within a word."""

Reading = fo.component("foliot.demo.Reading", {"state": "i4"})
"""The ``State``, or the error number of what went wrong; only files in work have it."""

Identity = fo.component("foliot.demo.Identity", ("i8", (len(Seen._fields),)))
"""The fields of ``Seen``: the file as it was when it was opened."""


class State(IntEnum):
    """How far the reading of a file has come; numbers above are errors of the system."""

    WAITING = 0
    DONE = -1
    OTHER = -2
    CHANGED = -3


@dataclass
class Search:
    """The files still to be found, and what could not be listed; the resource of ``find``.

    ``paths`` adds to ``skipped`` as it goes; ``wanted`` is how many the next frame takes.
    """

    paths: Iterator[bytes]
    skipped: dict[bytes, str]
    wanted: int = BATCH_FILES
    found: int = 0
    is_over: bool = False


@dataclass
class Summary:
    """Sums over the files that are done, and which could not be read; the resource of ``tally``."""

    done: int = 0
    size: int = 0
    lines: int = 0
    words: int = 0
    skipped: dict[bytes, str] = field(default_factory=dict)

    def totals(self) -> Totals:
        """The sums alone."""
        return Totals(self.done, self.size, self.lines, self.words)

    @property
    def ended(self) -> int:
        """Files that are done or were skipped."""
        return self.done + len(self.skipped)


class Ranked(NamedTuple):
    """One of the largest files."""

    path: bytes
    size: int
    lines: int
    words: int
    crc: int


@dataclass
class Ranking:
    """The largest files that are done, the largest first; the resource of ``rank``."""

    largest: list[Ranked] = field(default_factory=list)


def count_below(root: bytes) -> fo.System:
    """The native system that reads and counts files below root."""
    source = struct.pack("=Q", PIECE_BYTES) + os.path.join(root, b"") + b"\0"
    return fo.native(
        _core.census_kernel,
        writes=[Counts, Reading, Identity],
        reads=[Path],
        name="count",
        user_data=source,
    )


@fo.system(reads=[Path, Counts, Reading], writes=[Ranking])
def rank(ctx: fo.Context) -> None:
    """Keep the largest of the files that are done."""
    ranking = ctx[Ranking]
    for chunk in ctx:
        paths, counts = chunk[Path], chunk[Counts]
        least = ranking.largest[-1].size if len(ranking.largest) == RANKED else 0
        is_candidate = (chunk[Reading].state == State.DONE) & (counts.bytes >= least)
        for row in np.flatnonzero(is_candidate).tolist():
            values = (counts.bytes[row], counts.lines[row], counts.words[row], counts.crc[row])
            ranking.largest.append(Ranked(bytes(paths[row]), *map(int, values)))
        ranking.largest.sort(key=lambda file: (-file.size, file.path))
        del ranking.largest[RANKED:]


@fo.system(reads=[Path, Counts, Reading], writes=[Summary], commands=True)
def tally(ctx: fo.Context) -> None:
    """Add the files that are done to the sums, and let go of those that could not be read."""
    summary = ctx[Summary]
    for chunk in ctx:
        counts, states = chunk[Counts], chunk[Reading].state
        done, failed = states == State.DONE, (states != State.DONE) & (states != State.WAITING)
        summary.done += int(done.sum())
        summary.size += int(counts.bytes[done].sum())
        summary.lines += int(counts.lines[done].sum())
        summary.words += int(counts.words[done].sum())
        for row in np.flatnonzero(failed).tolist():
            summary.skipped[bytes(chunk[Path][row])] = reason_of_state(int(states[row]))
        ctx.commands.remove_many(chunk.entities[done], Reading)
        ctx.commands.despawn_many(chunk.entities[failed])


def reason_of_state(state: int) -> str:
    """Why a file is skipped, as a few words.

    Example:
        >>> reason_of_state(2), reason_of_state(State.OTHER)
        ('No such file or directory', 'No longer a regular file')
    """
    if state == State.OTHER:
        return "No longer a regular file"
    return "Changed while it was read" if state == State.CHANGED else os.strerror(state)


@fo.system(writes=[Search], commands=True)
def find(ctx: fo.Context) -> None:
    """Spawn as many files for the next frame as are wanted."""
    search = ctx[Search]
    paths = list(itertools.islice(search.paths, search.wanted))
    search.found += len(paths)
    search.is_over = len(paths) < search.wanted
    columns = {Path: paths, Counts: None, Reading: None, Identity: None}
    ctx.commands.spawn_many(len(paths), columns)


@dataclass(frozen=True)
class Run:
    """One census by the systems, and what it cost.

    Attributes:
        backend: The backend as it was asked for.
        actual: The backend it ran on.
        reason: Why they differ; empty when they do not.
        workers: Threads.
        seconds: From an empty world to the finished counts.
        frames: Frames run.
        frame_seconds: Within frames, all systems and merges.
        system_seconds: Within each system, by name, in the order they were added.
        census: The counts of every file.
        sums_agree: Whether the sums as the systems made them are those of the counts.
        largest: The largest files.
        plan: The plan of a frame, drawn as text.

    """

    backend: str
    actual: str
    reason: str
    workers: int
    seconds: float
    frames: int
    frame_seconds: float
    system_seconds: dict[str, float]
    census: Census
    sums_agree: bool
    largest: list[Ranked]
    plan: str


def make_schedule(root: bytes) -> fo.Schedule:
    """The four systems; where two conflict, the first one named runs first."""
    return fo.Schedule(count_below(root), rank, tally, find, phases=["update"])


def run_census(
    root: bytes,
    *,
    backend: str,
    workers: int | None = None,
    expected_files: int = 0,
    advance: Callable[[int], object] = lambda _: None,
) -> Run:
    """Count every regular file below root; ``advance`` is told of files as they are done.

    The world has room for a quarter more files than expected. CapacityError: there are more still.
    """
    began = time.perf_counter()
    unlisted: dict[bytes, str] = {}
    search, summary, ranking = Search(find_files(root, unlisted), unlisted), Summary(), Ranking()
    usual = fo.Config().max_entities
    world = fo.World(fo.Config(max_entities=max(usual, expected_files * 5 // 4)))
    for resource in (search, summary, ranking):
        world.insert(resource)
    frames, frame_ns = 0, 0
    system_ns: Counter[str] = Counter()
    with fo.Scheduler(world, make_schedule(root), backend=backend, workers=workers) as scheduler:
        while not search.is_over or search.found > summary.ended:
            # No more than are read: a file that is large stays in work for many frames.
            search.wanted = min(BATCH_FILES, 2 * BATCH_FILES - (search.found - summary.ended))
            done_before = summary.done
            frame = scheduler.tick(0.0)
            frames += 1
            frame_ns += frame.wall_ns
            system_ns.update({name: timing.wall_ns for name, timing in frame.systems.items()})
            advance(summary.done - done_before)
        info, threads = scheduler.backend, len(scheduler.workers)
        plan = str(scheduler.plan)
    census = Census(collect(world), {**search.skipped, **summary.skipped})
    return Run(
        backend=info.requested,
        actual=info.actual,
        reason=info.reason,
        workers=threads,
        seconds=time.perf_counter() - began,
        frames=frames,
        frame_seconds=frame_ns / 1e9,
        system_seconds={name: ns / 1e9 for name, ns in system_ns.items()},
        census=census,
        sums_agree=summary.totals() == census.totals(),
        largest=ranking.largest,
        plan=plan,
    )


def collect(world: fo.World) -> dict[bytes, FileCount]:
    """The counts of every file that is done, by path."""
    # Tens of thousands of tuples hold no cycle, and to look for one takes longer than to make them.
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        return dict(counts_of(world))
    finally:
        if was_enabled:
            gc.enable()


def counts_of(world: fo.World) -> Iterator[tuple[bytes, FileCount]]:
    """Path and counts of each file that is done."""
    for chunk in world.query(reads=[Path, Counts, Identity], without=[Reading]):
        counts = chunk[Counts]
        columns = (counts.bytes, counts.lines, counts.words, counts.crc)
        seen = map(Seen._make, chunk[Identity].tolist())
        found = zip(*(column.tolist() for column in columns), seen, strict=True)
        yield from zip(map(bytes, chunk[Path]), map(FileCount._make, found), strict=True)
