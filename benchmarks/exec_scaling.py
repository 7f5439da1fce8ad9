"""What a frame costs against its number of systems and of rows: a table, and pictures for the docs.

Empty native systems, 10 to 10,000 of them, and position += velocity over 100 to 10,000,000 rows of
one table, on the blocking backend and on two workers of the stealing one. Each point is the median
of a few processes, run in turns. ``--pictures`` writes ``docs/images/frame-systems.svg`` and
``frame-rows.svg``.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

import bench_exec
import harness
from cases import Case
from exec_frames import BACKENDS, ROW_COUNTS, SYSTEM_COUNTS
from loglog import Curve, draw
from scaling import exponent
from tables import show_seconds

PICTURES = Path(__file__).resolve().parent.parent / "docs" / "images"
LABELS = {"blocking": "blocking", "stealing": "stealing, 2 workers"}
SAMPLES = 3


def measure_point(subject: str, count: int, rounds: int) -> dict[str, float]:
    """Seconds of a frame on each backend that runs here; a reason on stderr for one that does not.

    Backends take turns, so that a slow spell of the machine hits both.
    """
    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        for backend in BACKENDS:
            case = Case(backend, "frames", (f"{subject}_{count}_{backend}",))
            try:
                found.setdefault(backend, []).append(harness.run_once(case, SAMPLES))
            except RuntimeError as error:
                print(f"{subject} {count}, {backend}: {error}", file=sys.stderr)
    return {backend: statistics.median(seconds) for backend, seconds in found.items() if seconds}


def measure(subject: str, counts: Sequence[int], rounds: int) -> list[Curve]:
    """One curve for each backend, printed as rows of a table on the way."""
    print(f"\n| {subject} | {' | '.join(LABELS.values())} |\n| --- |{' --- |' * len(BACKENDS)}")
    points: dict[str, list[tuple[float, float]]] = {backend: [] for backend in BACKENDS}
    for count in counts:
        found = measure_point(subject, count, rounds)
        cells = [show_seconds(found.get(backend)) for backend in BACKENDS]
        print(f"| {count:,} | {' | '.join(cells)} |", flush=True)
        for backend, seconds in found.items():
            points[backend].append((count, seconds))
    for backend, curve in points.items():
        if len(curve) > 1:
            sizes, seconds = zip(*curve, strict=True)
            print(f"\n{LABELS[backend]}: time grows as n^{exponent(sizes, seconds):.2f}.")
    return [Curve(LABELS[backend], curve) for backend, curve in points.items() if curve]


def main() -> None:
    """Measure both curves, print the tables and draw the pictures."""
    parser = argparse.ArgumentParser(description="Cost of a frame against systems and rows.")
    parser.add_argument("--rounds", type=int, default=3, help="processes per point")
    parser.add_argument("--pictures", action="store_true", help="write the pictures of the docs")
    options = parser.parse_args()
    bench_exec.take_two_processors()
    harness.PROGRAMS.update(bench_exec.PROGRAMS)
    for subject, counts, title in (
        ("systems", SYSTEM_COUNTS, "A frame of empty native systems"),
        ("rows", ROW_COUNTS, "A frame of position += velocity over one table"),
    ):
        curves = measure(subject, counts, max(1, options.rounds))
        if options.pictures and curves:
            picture = draw(title, subject, "seconds per frame", curves)
            target = PICTURES / f"frame-{subject}.svg"
            target.write_text(picture, encoding="utf-8")
            print(f"\n{target.name} written.")


if __name__ == "__main__":
    main()
