"""The simulator against SimSo: 50 tasks under EDF, on 1 and 4 CPUs, run by `harness`.

Both simulate the same sets; a contender whose jobs do not end in time as often as SimSo's is not
measured. Results go to ``build/bench/sim.json``. SimSo and SimPy live in an environment of their
own, which ``--build`` makes.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import harness
import peers_env
from cases import Case, Row
from command_line import parse_arguments, run
from tables import read_comparisons

HERE = Path(__file__).resolve().parent
BENCH = HERE.parent / "build" / "bench"
RESULTS = BENCH / "sim.json"
ENVIRONMENT = BENCH / "env_sim"
PACKAGES = ("simso", "SimPy")
# The table's place in the documentation: <!-- table: sim -->
JOBS_PER_SECOND = 1_000_000
# Jobs that end in time, by CPUs, of those that SimSo is given.
IN_TIME = {1: 4_020, 4: 4_019}


def row(policy: str, cpus: int, label: str, limit: float) -> Row:
    """One of our ways against SimSo under EDF."""
    what = f"{label}, {cpus} CPU{'s' if cpus > 1 else ''}"
    return Row(
        group=f"edf_{cpus}",
        what=f"a job of 50 tasks under EDF: {what}",
        ours=Case(f"foliot, {label}", "sim_runs", (f"{policy}_{cpus}",)),
        others=(Case("SimSo", "simso", (f"edf_{cpus}",)),),
        limit=limit,
        samples=3,
        goal=f"≤ 1/{round(1 / limit)} × SimSo",
        checksum=IN_TIME[cpus],
    )


ROWS = [
    entry
    for cpus in (1, 4)
    for entry in (
        row("edf", cpus, "built in", 1 / 200),
        row("enqueue", cpus, "ranks by a Python policy", 1 / 20),
        row("pick", cpus, "picks by a Python policy", 1 / 20),
    )
]


def speeds(results: dict[str, object]) -> list[str]:
    """Jobs a second of the built-in policy, against the goal."""
    told = []
    for comparison in read_comparisons(results):
        if comparison.what.count("built in") and comparison.ours.seconds:
            speed = 1 / comparison.ours.seconds
            met = "met" if speed >= JOBS_PER_SECOND else "not met"
            told.append(
                f"{comparison.what}: {speed / 1e6:.2f} M jobs a second with the full log; "
                f"the goal of {JOBS_PER_SECOND / 1e6:.0f} M is {met}."
            )
    return told


def measure(options: argparse.Namespace) -> dict[str, object] | None:
    """Run the rows asked for; None when there is none."""
    words = options.only or [""]
    rows = [entry for entry in ROWS if any(word in entry.what for word in words)]
    if not rows:
        print(f"no row has any of {words} in its name", file=sys.stderr)
        return None
    note = peers_env.build(ENVIRONMENT, PACKAGES) if options.build else None
    harness.PROGRAMS.update(
        {
            "simso": [str(peers_env.python_of(ENVIRONMENT)), str(HERE / "peer_simso.py")],
            "sim_runs": [sys.executable, str(HERE / "sim_runs.py")],
        }
    )
    results = harness.run_rows(rows, max(1, options.rounds), options.samples)
    ours = {name: v for name, v in harness.peer_versions().items() if name in {"foliot", "numpy"}}
    results["versions"] = {**ours, **peers_env.versions(ENVIRONMENT, PACKAGES)}
    results["notes"] = [*([note] if note else []), *speeds(results)]
    return results


def main() -> int:
    """Run what the command line asks for."""
    options = parse_arguments(
        "Compare foliot's simulator with SimSo.", builds="install the peer first", rounds=3
    )
    return run(options, RESULTS, measure)


if __name__ == "__main__":
    sys.exit(main())
