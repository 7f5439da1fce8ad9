"""The census as systems over a world: one entity a file.

``find`` spawns files; the native system ``fetch`` looks at each and asks foliot to read it into the
world, in one operation; the native system ``count`` counts what the frame before asked for, and
looks again whether it was still the same file; ``rank`` keeps the largest of those that are done,
``tally`` sums them up. So a file goes through a pipeline, one step a frame, and in each frame some
files are found, some read and some counted, side by side where there are several workers: nothing
says so, the plan works it out from what each system reads and writes. ``fetch`` comes first, so
that its files are read while the others run. A file larger than ``PIECE_BYTES`` is opened, read
piece after piece and closed, a step a frame. A frame spawns at most ``BATCH_FILES`` and reads at
most ``PIECE_BYTES`` of each file, so that a frame is short, and what it holds bounded, whatever the
tree is.
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import os
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

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

BATCH_FILES = 256
BATCHES = 3
"""Of the files in work: a batch each is found, read, and counted."""
RANKED = 10
ENDED = 6
"""The step of a file of which nothing is waited for any more."""

Path = fo.component("foliot.demo.Path", fo.Bytes)
"""Where the file is, below the root of the tree."""

Counts = fo.component(
    "foliot.demo.Counts",
    {"bytes": "u8", "lines": "u8", "words": "u8", "crc": "u4", "in_word": "u1"},
)
"""What was counted so far; ``in_word`` when the last piece ended within a word."""

Reading = fo.component("foliot.demo.Reading", {"state": "i4", "step": "u4", "place": "u4"})
"""The ``State``, or the error number of what went wrong; what is waited for; and the place of the
desk where the operations have their results. Only files in work have it."""

Text = fo.component("foliot.demo.Text", fo.Bytes)
"""The piece that was read last; only files in work have it."""

Identity = fo.component("foliot.demo.Identity", ("i8", (len(Seen._fields),)))
"""The fields of ``Seen``: the file as it was when it was opened."""


class State(IntEnum):
    """How far the reading of a file has come; numbers above are errors of the system."""

    WAITING = 0
    DONE = -1
    OTHER = -2
    CHANGED = -3


# What the kernels' operations write to, as csrc/bindings/census.h lays it out. It stays where it is
# while they are under way; rows of the world may move.
Result = np.dtype([("value", "i8"), ("data", "u8"), ("size", "u8"), ("flags", "u4")], align=True)
Place = np.dtype(
    [
        ("opened", Result),
        ("got", Result),
        ("wanted", "u8"),
        ("attempts", "u4"),
        ("path", "V4096"),
    ],
    align=True,
)


@dataclass
class Search:
    """The files still to be found, and what could not be listed; the resource of ``find``.

    ``paths`` adds to ``skipped`` as it goes; ``places`` are those of the files of the next frame.
    """

    paths: Iterator[bytes]
    skipped: dict[bytes, str]
    places: npt.NDArray[np.uint32]
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
    places: list[npt.NDArray[np.uint32]] = field(default_factory=list)

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


class Desk:
    """Where paths start from, and places for so many files, of which a frame reads up to a limit.

    Closed, it has no descriptor any more, whatever became of the files.
    """

    def __init__(self, root: bytes, places: int, limit: int) -> None:
        layout = [("limit", "u8"), ("root", "i4"), ("count", "u4"), ("places", Place, places)]
        self.memory = np.zeros(1, np.dtype(layout, align=True))
        self.places = self.memory["places"][0]
        self.places["opened"]["value"] = -1
        self.root = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self.memory["limit"], self.memory["count"], self.memory["root"] = limit, places, self.root

    def close(self) -> None:
        """Close what a census that was broken off has left open."""
        opened = self.places["opened"]["value"]
        for descriptor in [*opened[opened >= 0].tolist(), self.root]:
            os.close(descriptor)


def fetch_to(desk: Desk) -> fo.System:
    """The native system that asks for files to be read."""
    return fo.native(
        _core.census_fetch,
        writes=[Reading, Identity, Text],
        reads=[Path, Counts],
        io=True,
        name="fetch",
        user_data=desk.memory.view("u1"),
    )


def count_from(desk: Desk) -> fo.System:
    """The native system that counts what was read."""
    return fo.native(
        _core.census_count,
        writes=[Counts, Reading],
        reads=[Identity, Text],
        name="count",
        user_data=desk.memory.view("u1"),
    )


@fo.system(reads=[Path, Counts, Reading], writes=[Ranking])
def rank(ctx: fo.Context) -> None:
    """Keep the largest of the files that are done."""
    ranking = ctx[Ranking]
    for chunk in ctx:
        paths, counts, reading = chunk[Path], chunk[Counts], chunk[Reading]
        least = ranking.largest[-1].size if len(ranking.largest) == RANKED else 0
        is_done = (reading.step == ENDED) & (reading.state == State.DONE)
        is_candidate = is_done & (counts.bytes >= least)
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
        counts, states, has_ended = (
            chunk[Counts],
            chunk[Reading].state,
            chunk[Reading].step == ENDED,
        )
        done, failed = has_ended & (states == State.DONE), has_ended & (states != State.DONE)
        summary.done += int(done.sum())
        summary.size += int(counts.bytes[done].sum())
        summary.lines += int(counts.lines[done].sum())
        summary.words += int(counts.words[done].sum())
        for row in np.flatnonzero(failed).tolist():
            summary.skipped[bytes(chunk[Path][row])] = reason_of_state(int(states[row]))
        summary.places.append(chunk[Reading].place[has_ended])
        ctx.commands.remove_many(chunk.entities[done], Reading, Text)
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
    """Spawn as many files for the next frame as there are places for."""
    search = ctx[Search]
    paths = list(itertools.islice(search.paths, len(search.places)))
    search.found += len(paths)
    search.is_over = len(paths) < len(search.places)
    reading = {"state": State.WAITING, "step": 0, "place": search.places[: len(paths)]}
    columns = {Path: paths, Counts: None, Reading: reading, Identity: None, Text: b""}
    ctx.commands.spawn_many(len(paths), columns)


@dataclass(frozen=True)
class Run:
    """One census by the systems, and what it cost.

    Attributes:
        backend: The backend as it was asked for.
        actual: The backend it ran on.
        reason: Why they differ; empty when they do not.
        io: What did its I/O.
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
    io: fo.io.IoInfo
    workers: int
    seconds: float
    frames: int
    frame_seconds: float
    system_seconds: dict[str, float]
    census: Census
    sums_agree: bool
    largest: list[Ranked]
    plan: str


def make_schedule(desk: Desk) -> fo.Schedule:
    """The five systems; where two conflict, the first one named runs first."""
    return fo.Schedule(fetch_to(desk), count_from(desk), rank, tally, find, phases=["update"])


def batch_size() -> int:
    """How many files are found in a frame: fewer where few can be open at once."""
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(1, min(BATCH_FILES, most // 5)) if most >= 0 else BATCH_FILES


def make_world(expected_files: int, *resources: object) -> fo.World:
    """A world with room for a quarter more files than expected."""
    usual = fo.Config()
    config = fo.Config(
        max_entities=max(usual.max_entities, expected_files * 5 // 4),
        # What is read from memory keeps a thread busy: more than processors are in the way.
        max_io_threads=min(usual.max_io_threads, len(os.sched_getaffinity(0))),
    )
    world = fo.World(config)
    for resource_ in resources:
        world.insert(resource_)
    return world


@contextlib.contextmanager
def without_collector() -> Iterator[None]:
    """Nothing here makes cycles, and to look for one takes longer than to make what is there."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@without_collector()
def run_census(
    root: bytes,
    *,
    backend: str,
    workers: int | None = None,
    expected_files: int = 0,
    advance: Callable[[int], object] = lambda _: None,
) -> Run:
    """Count every regular file below root; ``advance`` is told of files as they are done.

    CapacityError: there are more than a quarter more files than expected.
    """
    began = time.perf_counter()
    unlisted: dict[bytes, str] = {}
    desk = Desk(root, BATCHES * batch_size(), PIECE_BYTES)
    free = np.arange(len(desk.places), dtype=np.uint32)
    search = Search(find_files(root, unlisted), unlisted, free[:0])
    summary, ranking = Summary(), Ranking()
    frames, frame_ns = 0, 0
    system_ns: Counter[str] = Counter()
    with (
        contextlib.closing(desk),
        fo.Scheduler(
            make_world(expected_files, search, summary, ranking),
            make_schedule(desk),
            backend=backend,
            workers=workers,
        ) as scheduler,
    ):
        while not search.is_over or search.found > summary.ended:
            free = np.concatenate([free, *summary.places])
            summary.places.clear()
            search.places, free = np.split(free, [len(desk.places) // BATCHES])
            done_before, found_before = summary.done, search.found
            frame = scheduler.tick(0.0)
            free = np.concatenate([free, search.places[search.found - found_before :]])
            frames += 1
            frame_ns += frame.wall_ns
            system_ns.update({name: timing.wall_ns for name, timing in frame.systems.items()})
            advance(summary.done - done_before)
        info, threads, io = scheduler.backend, len(scheduler.workers), scheduler.io
        plan, world = str(scheduler.plan), scheduler.world
        counts = dict(counts_of(world))
    census = Census(counts, {**search.skipped, **summary.skipped})
    return Run(
        backend=info.requested,
        actual=info.actual,
        reason=info.reason,
        io=io,
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


def counts_of(world: fo.World) -> Iterator[tuple[bytes, FileCount]]:
    """Path and counts of each file that is done."""
    for chunk in world.query(reads=[Path, Counts, Identity], without=[Reading]):
        counts = chunk[Counts]
        columns = (counts.bytes, counts.lines, counts.words, counts.crc)
        # Three times as fast as _make, which is half of the time that all of this takes.
        new = tuple.__new__
        seen = map(new, itertools.repeat(Seen), chunk[Identity].tolist())
        found = zip(*(column.tolist() for column in columns), seen, strict=True)
        yield from zip(
            map(bytes, chunk[Path]), map(new, itertools.repeat(FileCount), found), strict=True
        )
