"""Tasks and frames on two workers against other schedulers: `exec_cases`, run by `harness`.

Everything runs on two processors, the first two that this process may use, so that a library which
asks how many there are takes two threads as well. Results go to ``build/bench/exec.json``.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import harness
from build_exec import PEERS, TASKFLOW, build_all, find_go
from command_line import parse_arguments, run
from exec_cases import ROWS

HERE = Path(__file__).resolve().parent
TOP = HERE.parent
RESULTS = TOP / "build" / "bench" / "exec.json"
WORKERS = 2
ROUNDS = 3

PROGRAMS = {
    "peers_tasks": [str(PEERS / "release" / "peers_tasks")],
    "tbb": [str(PEERS / "cpp" / "tbb")],
    "taskflow": [str(PEERS / "cpp" / "taskflow")],
    "go": [str(PEERS / "go" / "tasks")],
    "c_exec_deque": [str(TOP / "build" / "bench" / "c_exec_deque")],
    "c_exec_tasks": [str(TOP / "build" / "bench" / "c_exec_tasks")],
    "frames": [sys.executable, str(HERE / "exec_frames.py")],
    "python": [sys.executable, str(HERE / "peer_python.py")],
}
# Looked for by name where these libraries' packages would be.
ABSENT = (
    "enkiTS is left out: neither Debian 12 and 13 nor PyPI, crates.io or npm has a package of it.",
)


def macro(header: Path, name: str) -> str:
    """The value of a macro in a header, or nothing."""
    if not header.exists():
        return ""
    text = header.read_text(encoding="utf-8", errors="replace")
    found = re.search(rf"^#define {name} (\d+)", text, re.MULTILINE)
    return found[1] if found else ""


def versions() -> dict[str, str]:
    """The versions of the schedulers compared with, of those that are there."""
    found = harness.locked_versions(
        HERE / "peers_tasks" / "Cargo.lock", {"crossbeam-deque", "rayon", "tokio"}
    )
    tbb = Path("/usr/include/oneapi/tbb/version.h")
    parts = [macro(tbb, f"TBB_VERSION_{part}") for part in ("MAJOR", "MINOR", "PATCH")]
    found["oneTBB"] = ".".join(part for part in parts if part)
    for top in (TASKFLOW / "usr" / "include", Path("/usr/include")):
        number = macro(top / "taskflow" / "taskflow.hpp", "TF_VERSION")
        if number:
            found["Taskflow"] = f"{int(number) // 100_000}.{int(number) // 100 % 1000}"
            break
    go = find_go()
    if go is not None:
        done = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, check=False)
        found["Go"] = done.stdout.strip().removeprefix("go")
    try:
        found["joblib"] = metadata.version("joblib")
    except metadata.PackageNotFoundError:
        found["joblib"] = ""
    return {name: version for name, version in found.items() if version}


def take_two_processors() -> str | None:
    """Keep this process and those it starts on two processors; a sentence where there is one."""
    processors = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, processors[:WORKERS])
    if len(processors) >= WORKERS:
        return None
    return "This process may use one processor only: two workers take turns, the ratios say little."


def measure(options: argparse.Namespace) -> dict[str, object] | None:
    """Run the rows asked for; None when there is none."""
    words = options.only or [""]
    rows = [row for row in ROWS if any(word in f"{row.group} {row.what}" for word in words)]
    if not rows:
        print(f"no row has any of {words} in its name", file=sys.stderr)
        return None
    notes = build_all() if options.build else []
    single = take_two_processors()
    harness.PROGRAMS.update(PROGRAMS)
    results = harness.run_rows(rows, max(1, options.rounds), options.samples)
    results["versions"] = {**harness.peer_versions(), **versions()}
    results["notes"] = [*notes, *([single] if single else []), *ABSENT]
    return results


def main() -> int:
    """Run what the command line asks for."""
    options = parse_arguments("Compare foliot's workers with other schedulers.", rounds=ROUNDS)
    return run(options, RESULTS, measure)


if __name__ == "__main__":
    sys.exit(main())
