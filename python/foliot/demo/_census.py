"""The census as systems over a world: one entity a file.

``find`` spawns files, ``read`` brings in a piece of each, the native kernel ``count`` continues
their counts with it, ``rank`` keeps the largest of those that are done, ``tally`` sums them up and
takes their text away. A frame spawns at most ``BATCH_FILES`` and reads at most ``BATCH_BYTES``, so
that a tree of any size passes through a bounded amount of memory. Nothing says that the files of
the next frame are found while those of this one are read, nor that ``rank`` may run beside
``tally``: the plan works it out from what each system reads and writes.
"""

from __future__ import annotations

import itertools
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
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
    read_piece,
    reason_of,
)

BATCH_FILES = 512
BATCH_BYTES = 8 << 20
RANKED = 10

Path = fo.component("foliot.demo.Path", fo.Bytes)
"""Where the file is, below the root of the tree."""

Text = fo.component("foliot.demo.Text", fo.Bytes)
"""The piece of the file that this frame counts; only files in work have one."""

Counts = fo.component(
    "foliot.demo.Counts",
    {"bytes": "u8", "lines": "u8", "words": "u8", "crc": "u4", "in_word": "u1"},
)
"""What was counted so far; ``in_word`` when the last piece ended within a word."""

Reading = fo.component("foliot.demo.Reading", {"offset": "u8", "state": "u1"})
"""How much was read, and the ``State``; only files in work have it."""

Identity = fo.component("foliot.demo.Identity", ("i8", (len(Seen._fields),)))
"""The fields of ``Seen``: the file as it was when it was opened."""


class State(IntEnum):
    """How far the reading of a file has come."""

    WAITING = 0
    DONE = 1
    FAILED = 2


@dataclass
class Search:
    """The files still to be found, and what could not be listed; the resource of ``find``.

    ``paths`` adds to ``skipped`` as it goes.
    """

    paths: Iterator[bytes]
    skipped: dict[bytes, str]
    found: int = 0
    is_over: bool = False


@dataclass
class Source:
    """Where the files are, and which could not be read; the resource of ``read``."""

    prefix: bytes
    skipped: dict[bytes, str] = field(default_factory=dict)


@dataclass
class Summary:
    """Sums over the files that are done; the resource of ``tally``."""

    done: int = 0
    failed: int = 0
    size: int = 0
    lines: int = 0
    words: int = 0

    def totals(self) -> Totals:
        """The sums alone."""
        return Totals(self.done, self.size, self.lines, self.words)


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


@fo.system(reads=[Path], writes=[Text, Reading, Identity, Source], gil="release")
def read(ctx: fo.Context) -> None:
    """Bring a piece of each file in, as far as the batch has room."""
    source = ctx[Source]
    room = BATCH_BYTES
    for chunk in ctx:
        texts, reading = chunk[Text], chunk[Reading]
        offsets, states = reading.offset.tolist(), reading.state.tolist()
        identities = chunk[Identity].tolist()
        for row, path in enumerate(chunk[Path]):
            # A file that has to wait gives up its last piece, lest it be counted again.
            piece = b""
            if room > 0:
                piece, states[row], identities[row] = read_next(
                    source, bytes(path), offsets[row], identities[row], min(room, PIECE_BYTES)
                )
            texts[row] = piece
            offsets[row] += len(piece)
            room -= len(piece)
        reading.offset, reading.state = offsets, states
        chunk[Identity] = identities


def read_next(
    source: Source, path: bytes, offset: int, identity: Sequence[int], limit: int
) -> tuple[bytes, State, Sequence[int]]:
    """The next piece of one file, what is to become of the file, and what it is now."""
    try:
        piece, is_last, seen = read_piece(source.prefix + path, offset, limit)
    except OSError as error:
        source.skipped[path] = reason_of(error)
        return b"", State.FAILED, identity
    if offset > 0 and seen != tuple(identity):
        source.skipped[path] = "Changed while it was read"
        return b"", State.FAILED, identity
    return piece, State.DONE if is_last else State.WAITING, seen


@fo.system(reads=[Summary], writes=[Search], commands=True)
def find(ctx: fo.Context) -> None:
    """Spawn files for the next frame, unless those of this one are more than it can read."""
    search, summary = ctx[Search], ctx[Summary]
    in_work = search.found - summary.done - summary.failed
    wanted = min(BATCH_FILES, 2 * BATCH_FILES - in_work)
    paths = list(itertools.islice(search.paths, wanted))
    search.found += len(paths)
    search.is_over = len(paths) < wanted
    columns = {Path: paths, Text: None, Counts: None, Reading: None, Identity: None}
    ctx.commands.spawn_many(len(paths), columns)


count = fo.native(_core.census_kernel, writes=[Counts], reads=[Text], name="count")


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


@fo.system(reads=[Counts, Reading], writes=[Summary], commands=True)
def tally(ctx: fo.Context) -> None:
    """Add the files that are done to the sums, and let go of their text."""
    summary = ctx[Summary]
    for chunk in ctx:
        counts, states = chunk[Counts], chunk[Reading].state
        done, failed = states == State.DONE, states == State.FAILED
        summary.done += int(done.sum())
        summary.failed += int(failed.sum())
        summary.size += int(counts.bytes[done].sum())
        summary.lines += int(counts.lines[done].sum())
        summary.words += int(counts.words[done].sum())
        ctx.commands.remove_many(chunk.entities[done], Text)
        ctx.commands.remove_many(chunk.entities[done], Reading)
        ctx.commands.despawn_many(chunk.entities[failed])


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


def make_schedule() -> fo.Schedule:
    """The five systems; where two conflict, the first one named runs first."""
    return fo.Schedule(read, find, count, rank, tally, phases=["update"])


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
    search, source = Search(find_files(root, unlisted), unlisted), Source(os.path.join(root, b""))
    summary, ranking = Summary(), Ranking()
    usual = fo.Config().max_entities
    world = fo.World(fo.Config(max_entities=max(usual, expected_files * 5 // 4)))
    for resource in (search, source, summary, ranking):
        world.insert(resource)
    frames, frame_ns = 0, 0
    system_ns: Counter[str] = Counter()
    with fo.Scheduler(world, make_schedule(), backend=backend, workers=workers) as scheduler:
        while not search.is_over or search.found > summary.done + summary.failed:
            done_before = summary.done
            frame = scheduler.tick(0.0)
            frames += 1
            frame_ns += frame.wall_ns
            system_ns.update({name: timing.wall_ns for name, timing in frame.systems.items()})
            advance(summary.done - done_before)
        info, threads = scheduler.backend, len(scheduler.workers)
        plan = str(scheduler.plan)
    census = Census(dict(counts_of(world)), {**search.skipped, **source.skipped})
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


def counts_of(world: fo.World) -> Iterator[tuple[bytes, FileCount]]:
    """Path and counts of each file that is done."""
    for chunk in world.query(reads=[Path, Counts, Identity], without=[Text]):
        counts = chunk[Counts]
        columns = (counts.bytes, counts.lines, counts.words, counts.crc)
        rows = zip(chunk[Path], *(column.tolist() for column in columns), strict=True)
        identities = itertools.starmap(Seen, chunk[Identity].tolist())
        for (path, size, lines, words, crc), seen in zip(rows, identities, strict=True):
            yield bytes(path), FileCount(size, lines, words, crc, seen)
