"""The simulator against SimSo: 50 tasks under EDF, on 1 and 4 CPUs, run by `harness`.

Both simulate the same sets; a contender whose jobs do not end in time as often as SimSo's is not
measured. Results go to ``build/bench/sim.json``. SimSo and SimPy live in an environment of their
own, which ``--build`` makes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import venv
from pathlib import Path

import harness
from cases import Case, Row
from command_line import parse_arguments
from tables import read_comparisons, render_markdown, render_text

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


def build_environment() -> str | None:
    """The environment of the peer; why not, or None."""
    python = ENVIRONMENT / "bin" / "python"
    if not python.exists():
        venv.create(ENVIRONMENT, with_pip=True)
    command = [str(python), "-m", "pip", "install", "-q", *PACKAGES]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
    return None if done.returncode == 0 else f"SimSo is left out: {lines[-1]}"


def versions() -> dict[str, str]:
    """The versions of the packages in the environment."""
    code = (
        "from importlib import metadata\n"
        f"for name in {PACKAGES!r}:\n"
        "    print(name, metadata.version(name))"
    )
    command = [str(ENVIRONMENT / "bin" / "python"), "-c", code]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return {}
    pairs = (line.partition(" ") for line in done.stdout.splitlines())
    return {name: version for name, _, version in pairs}


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
    note = build_environment() if options.build else None
    harness.PROGRAMS.update(
        {
            "simso": [str(ENVIRONMENT / "bin" / "python"), str(HERE / "peer_simso.py")],
            "sim_runs": [sys.executable, str(HERE / "sim_runs.py")],
        }
    )
    results = harness.run_rows(rows, max(1, options.rounds), options.samples)
    ours = {name: v for name, v in harness.peer_versions().items() if name in {"foliot", "numpy"}}
    results["versions"] = {**ours, **versions()}
    results["notes"] = [*([note] if note else []), *speeds(results)]
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    return results


def main() -> int:
    """Run what the command line asks for."""
    options = parse_arguments(
        "Compare foliot's simulator with SimSo.", builds="install the peer first", rounds=3
    )
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if options.show else measure(options)
    if results is None:
        return 2
    print(render_text(results))
    if options.markdown is not None:
        options.markdown.write_text(render_markdown(results), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
