"""I/O of frames and of the driver against C and Python: `io_cases`, run by `harness`.

Everything runs on two processors, the first two that this process may use. Results go to
``build/bench/io.json``.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict

import build_io
import counts
import harness
import io_checks
import io_files
from bench_exec import take_two_processors
from command_line import parse_arguments, save
from io_cases import BENCH, ENVIRONMENT, HERE, ROWS
from tables import render_markdown, render_text

RESULTS = BENCH / "io.json"
ROUNDS = 3
# No process takes more than some seconds; one that hangs must not hold up the rest.
TIMEOUT_SECONDS = 45


def programs() -> dict[str, list[str]]:
    """The programs that rows name. Python's own ways need no foliot, and run beside uvloop."""
    python = str(ENVIRONMENT) if ENVIRONMENT.exists() else sys.executable
    return {
        "c_io_raw": [str(BENCH / "c_io_raw")],
        "c_io_driver": [str(BENCH / "c_io_driver")],
        "peers_io": [python, str(HERE / "peers_io.py")],
        "io_echo": [python, str(HERE / "peers_echo.py"), "run"],
        "io_echo_cost": [python, str(HERE / "peers_echo.py"), "cost"],
        "io_frames": [sys.executable, str(HERE / "io_frames.py")],
    }


def measure(options: argparse.Namespace) -> dict[str, object] | None:
    """Run the rows and checks asked for; None when there is none."""
    words = options.only or [""]
    rows = [row for row in ROWS if any(word in f"{row.group} {row.what}" for word in words)]
    notes = build_io.build_all() if options.build else []
    single = take_two_processors()
    io_files.prepare()
    harness.PROGRAMS.update(programs())
    harness.TIMEOUT_SECONDS = TIMEOUT_SECONDS
    results = harness.run_rows(rows, max(1, options.rounds), options.samples)
    outcomes = io_checks.run_checks(words)
    if not rows and not outcomes:
        print(f"no row has any of {words} in its name", file=sys.stderr)
        return None
    results["versions"] = {**harness.peer_versions(), **build_io.versions()}
    results["notes"] = [*notes, *([single] if single else [])]
    results["counts"] = [asdict(outcome) for outcome in outcomes]
    save(results, RESULTS)
    return results


def main() -> int:
    """Run what the command line asks for."""
    options = parse_arguments(
        "Compare foliot's I/O with C and Python.",
        builds="compile and install the peers first",
        rounds=ROUNDS,
    )
    if options.show:
        results = json.loads(RESULTS.read_text(encoding="utf-8"))
    else:
        results = measure(options)
        if results is None:
            return 2
    outcomes = [counts.Outcome(**entry) for entry in results["counts"]]
    if outcomes:
        print(counts.render_text(outcomes), end="\n\n")
    print(render_text(results))
    if options.markdown is not None:
        counted = "\n" + counts.render_markdown(outcomes) if outcomes else ""
        options.markdown.write_text(render_markdown(results) + counted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
