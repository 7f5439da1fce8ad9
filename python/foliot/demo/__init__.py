"""A code census: foliot's main job, shown on real files and checked against a plain Python loop.

``_files`` says which files count and what is known of each; ``_census`` reads them through foliot's
I/O and counts them, with five systems, two of them native kernels; ``_reference`` counts them again
with a plain loop; ``_report`` prints what came out. ``_progress`` draws the bar.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import sys
import sysconfig
import time
from collections.abc import Callable, Sequence

import foliot as fo
from foliot.demo._census import Run, run_census
from foliot.demo._files import (
    PIECE_BYTES,
    Census,
    find_files,
    first_difference,
    left_out,
    read_piece,
)
from foliot.demo._progress import progress_of
from foliot.demo._reference import count_tree
from foliot.demo._report import Report, shown, skipped_each

__all__ = ["Report", "directory_of", "main", "take_census"]


def directory_of(path: str | None) -> bytes:
    """The tree to count, as an absolute path; without one, the running Python's own library.

    OSError: it is missing, not a directory, or may not be listed.

    Example:
        >>> directory_of(None) == os.fsencode(sysconfig.get_path("stdlib"))
        True

    """
    given = sysconfig.get_path("stdlib") if path is None else path
    with os.scandir(given):
        return os.fsencode(os.path.abspath(given))


def find_backends(workers: int | None = None) -> tuple[list[str], dict[str, str]]:
    """The backends that run here as themselves, and of the others the reason why they do not."""
    here, absent = [], {}
    for name in fo.BACKENDS:
        with fo.Scheduler(fo.World(), fo.Schedule(), backend=name, workers=workers) as scheduler:
            if scheduler.backend.actual == name:
                here.append(name)
            else:
                absent[name] = scheduler.backend.reason
    return here, absent


def survey(root: bytes, advance: Callable[[int], object]) -> int:
    """Count the files, and read them once, so that no pass pays for the disk for all others.

    What is more than half of the memory would push out what was read before.
    """
    room = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    prefix = os.path.join(root, b"")
    files = 0
    for path in find_files(root, {}):
        files += 1
        advance(1)
        if room > 0:
            room -= read_through(prefix + path, room)
    return files


def read_through(path: bytes, limit: int) -> int:
    """Read a file, to have read it; the number of bytes, 0 for one that cannot be read."""
    offset, is_last = 0, False
    try:
        while not is_last and offset < limit:
            piece, is_last, _ = read_piece(path, offset, PIECE_BYTES)
            offset += len(piece)
    except OSError:
        # The passes that count meet it again, and say so.
        return 0
    return offset


def take_census(
    root: bytes, backends: Sequence[str], *, workers: int | None = None, shown: bool = False
) -> Report:
    """Count a tree on each backend and with the plain loop, and compare.

    Files that are not the same file in every pass are left out of all of them. Progress is shown on
    a terminal if asked for.
    """
    began_ns = time.time_ns()
    with progress_of("looking", 0, shown=shown) as advance:
        files = survey(root, advance)
    runs = []
    for backend in backends:
        with progress_of(backend, files, shown=shown) as advance:
            runs.append(
                run_census(
                    root, backend=backend, workers=workers, expected_files=files, advance=advance
                )
            )
    with progress_of("plain Python", files, shown=shown) as advance:
        began = time.perf_counter()
        reference = count_tree(root, advance)
        reference_seconds = time.perf_counter() - began
    unsteady = left_out([*(run.census for run in runs), reference], root, began_ns)
    runs = [dataclasses.replace(run, census=run.census.without(unsteady)) for run in runs]
    reference = reference.without(unsteady)
    return Report(root, runs, reference, reference_seconds, disagreement(runs, reference))


def disagreement(runs: Sequence[Run], reference: Census) -> str | None:
    """The first thing on which a run disagrees with the reference, or with itself."""
    for run in runs:
        difference = first_difference(run.census, reference)
        if difference is not None:
            path, how = difference
            return f"{run.backend}: {shown(path)}: {how}"
        if not run.sums_agree:
            return f"{run.backend}: the sums are not the sums of the files"
    return None


def main(
    root: bytes, *, backend: str = "all", workers: int | None = None, as_json: bool = False
) -> int:
    """Print the census of a tree; the exit status is 1 when a run disagrees with the plain loop."""
    backends, absent = find_backends(workers) if backend == "all" else ([backend], {})
    report = take_census(root, backends, workers=workers, shown=not as_json)
    if as_json:
        print(json.dumps(report.to_dict(), indent=2))
        for line in skipped_each(report.reference.skipped, 100):
            print(f"skipped {line}", file=sys.stderr)
        if report.disagreement is not None:
            print(f"disagrees: {report.disagreement}", file=sys.stderr)
    else:
        print(report.to_text(shutil.get_terminal_size().columns, absent))
    return 0 if report.disagreement is None else 1
