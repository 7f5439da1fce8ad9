"""Runs the comparisons of `cases`: interleaved processes, medians, spreads, ratios, tables.

Everything of one group runs in the same rounds, one process per contender and round, in an order
that rotates (A B C, B C A, C A B), so that a slow spell of the machine hits all of them. Between
processes a fixed spin loop measures the machine itself; a comparison closer than the spin loop's
spread says nothing. A ratio is the median over the rounds of our time over theirs in that round.

Results go to ``build/bench/results.json`` and, as a table, to standard output.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from cases import ROWS, Case, Row
from command_line import parse_arguments, run
from tables import Comparison, Noise, Summary

HERE = Path(__file__).resolve().parent
TOP = HERE.parent
RESULTS = TOP / "build" / "bench" / "results.json"
PEERS_TARGET = TOP / "build" / "peers"
TIMEOUT_SECONDS = 300
SPIN_ITERATIONS = 100_000

PROGRAMS: dict[str, list[str]] = {
    "peers": [str(PEERS_TARGET / "release" / "peers")],
    "esper": [sys.executable, str(HERE / "peer_esper.py")],
    "world": [sys.executable, str(HERE / "bench_world.py")],
    "schedule": [sys.executable, str(HERE / "bench_schedule.py")],
    "c_add_remove": [str(TOP / "build" / "bench" / "c_add_remove")],
}


@dataclass
class Record:
    """What the rounds of one case gave: the median of each round, or why there is none."""

    rounds: list[float] = field(default_factory=list)
    missing: str | None = None


def spin() -> float:
    """Seconds that a fixed loop takes: the same work each time, so its spread is the machine's."""
    start = time.perf_counter()
    total = 0
    for index in range(SPIN_ITERATIONS):
        total += index
    assert total == SPIN_ITERATIONS * (SPIN_ITERATIONS - 1) // 2
    return time.perf_counter() - start


def busy_seconds() -> tuple[float, float]:
    """Seconds that all processors have worked, and that they have worked for this program.

    Waiting for a processor that the machine's host gave to somebody else counts as work.
    """
    fields = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()
    user, nice, system, _, _, interrupts, soft, stolen = map(int, fields[1:9])
    ticks = user + nice + system + interrupts + soft + stolen
    times = os.times()
    own = times.user + times.system + times.children_user + times.children_system
    return ticks / os.sysconf("SC_CLK_TCK"), own


def others_share(began: tuple[float, float], began_at: float) -> float:
    """The part of the processors' time since then that went to other programs."""
    work, own = (now - then for now, then in zip(busy_seconds(), began, strict=True))
    available = (time.perf_counter() - began_at) * (os.cpu_count() or 1)
    return max(0.0, min(1.0, (work - own) / available))


def spread(values: Sequence[float]) -> float:
    """Median absolute deviation, relative to the median."""
    middle = statistics.median(values)
    return statistics.median(abs(value - middle) for value in values) / middle


def run_once(case: Case, samples: int, checksum: int | None = None) -> float:
    """One process of a case: the median of its samples, in seconds per iteration.

    Raises RuntimeError with the reason when the program is absent, fails, takes too long or prints
    another checksum.
    """
    command = [*PROGRAMS[case.program], *case.arguments, str(samples)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
        )
    except FileNotFoundError:
        raise RuntimeError("program not built") from None
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"no result after {TIMEOUT_SECONDS} s") from None
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines()
        raise RuntimeError(lines[-1] if lines else f"exit code {done.returncode}")
    report: dict[str, Any] = json.loads(done.stdout)
    if checksum is not None and report.get("checksum") != checksum:
        raise RuntimeError(f"its checksum is {report.get('checksum')}, not {checksum}")
    return statistics.median(report["seconds"])


def measure_group(
    rows: Sequence[Row], rounds: int, samples: int | None, spins: list[float]
) -> dict[Case, Record]:
    """Run all cases of a group, one process each per round, in rotating order."""
    checksums = {case: row.checksum for row in rows for case in (row.ours, *row.others)}
    cases = list(checksums)
    count = samples or min(row.samples for row in rows)
    records = {case: Record() for case in cases}
    for turn in range(rounds):
        shift = turn % len(cases)
        for case in cases[shift:] + cases[:shift]:
            record = records[case]
            if record.missing is not None:
                continue
            spins.append(spin())
            try:
                record.rounds.append(run_once(case, count, checksums[case]))
            except RuntimeError as error:
                record.missing = str(error)
    return records


def summarise(case: Case, record: Record) -> Summary:
    """The numbers that tables show for one case."""
    if record.missing is not None or not record.rounds:
        return Summary(case.label, None, None, record.missing or "no rounds")
    return Summary(case.label, statistics.median(record.rounds), spread(record.rounds), None)


def compare(row: Row, records: dict[Case, Record]) -> Comparison:
    """Our side of a row against the fastest of the others, or the slowest."""
    others = [summarise(case, records[case]) for case in row.others]
    measured = [
        (other.seconds, case)
        for other, case in zip(others, row.others, strict=True)
        if other.seconds is not None
    ]
    ours = summarise(row.ours, records[row.ours])
    ratio, ratio_spread = None, None
    if measured and ours.seconds is not None:
        choose = min if row.against == "fastest" else max
        rival = choose(measured, key=lambda pair: pair[0])[1]
        pairs = zip(records[row.ours].rounds, records[rival].rounds, strict=True)
        ratios = [mine / theirs for mine, theirs in pairs]
        ratio, ratio_spread = statistics.median(ratios), spread(ratios)
    return Comparison(row.group, row.what, row.limit, ours, others, ratio, ratio_spread, row.goal)


def locked_versions(lock: Path, names: set[str]) -> dict[str, str]:
    """The versions of these packages in a lock file of cargo."""
    with lock.open("rb") as file:
        packages = tomllib.load(file)["package"]
    return {entry["name"]: entry["version"] for entry in packages if entry["name"] in names}


def peer_versions() -> dict[str, str]:
    """The versions of the libraries compared with, from the lock file and what is installed."""
    names = {"bevy_ecs", "flecs_ecs_sys", "hecs", "legion", "shipyard"}
    versions = locked_versions(HERE / "peers" / "Cargo.lock", names)
    for name in ("esper", "numpy", "foliot"):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def machine() -> dict[str, str | int]:
    """What the numbers depend on besides the code."""
    processor = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text(encoding="ascii", errors="replace").splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        processor = names[0] if names else processor
    return {
        "processor": processor,
        "cpus": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def run_rows(rows: Iterable[Row], rounds: int, samples: int | None) -> dict[str, object]:
    """Measure rows and return what goes to the results file."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.group, []).append(row)
    began, began_at = busy_seconds(), time.perf_counter()
    spins = [spin()]
    comparisons: list[Comparison] = []
    for name, members in groups.items():
        print(f"{name} …", file=sys.stderr, flush=True)
        records = measure_group(members, rounds, samples, spins)
        comparisons.extend(compare(row, records) for row in members)
    noise = Noise(
        count=len(spins),
        seconds=statistics.median(spins),
        spread=spread(spins),
        slowest_over_fastest=max(spins) / min(spins),
        others=others_share(began, began_at),
    )
    return {
        "machine": machine(),
        "versions": peer_versions(),
        "rounds": rounds,
        "noise": asdict(noise),
        "comparisons": [asdict(comparison) for comparison in comparisons],
    }


def build_peers() -> None:
    """Compile the Rust contenders; its configuration file holds the machine-specific flags."""
    command = ["cargo", "build", "--release", "--locked", "-j1", "--target-dir", str(PEERS_TARGET)]
    subprocess.run(command, cwd=HERE / "peers", check=True)


def measure(options: argparse.Namespace) -> dict[str, object] | None:
    """Run the rows asked for; None when there is none."""
    words = options.only or [""]
    rows = [row for row in ROWS if any(word in f"{row.group} {row.what}" for word in words)]
    if not rows:
        print(f"no row has any of {words} in its name", file=sys.stderr)
        return None
    return run_rows(rows, max(1, options.rounds), options.samples)


def main() -> int:
    """Run what the command line asks for."""
    options = parse_arguments(
        "Compare foliot with other schedulers.", builds="compile the Rust peers first"
    )
    if options.build:
        build_peers()
    return run(options, RESULTS, measure)


if __name__ == "__main__":
    sys.exit(main())
