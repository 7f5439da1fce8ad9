"""Run the models of the shared structures, and show that each catches the bugs planted for it.

``python3 tests/model/check_models.py [relacy] [fuzz] [spin]`` builds below ``build/models``, with
two compilations at a time. FOLIOT_STRESS=1 makes the runs of what must hold a hundred times longer.
"""

import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import planted

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build/models"
STRESS = 100 if os.environ.get("FOLIOT_STRESS") else 1
RUN_LIMIT_S = 3600

CXX = ["g++", "-std=c++17", "-w", '-DFOL_MODEL="atomics_model.h"']
CXX += ["-DFOL_DEQUE_CAPACITY_MIN=2u"]
RELACY_RUNS = {"deque": 20_000, "injector": 40_000, "event_count": 40_000, "lane": 40_000}
RELACY_RUNS_PLANTED = 200_000

CC_FUZZ = ["gcc", "-std=c11", "-D_GNU_SOURCE", "-O1", "-g", "-Wall", "-Wextra"]
CC_FUZZ += ["-DFOL_FUZZ", "-DFOL_VERIFY=1", "-DFOL_DEQUE_CAPACITY_MIN=2u"]
FUZZER = ["tests/model/fuzz.c", "tests/model/fuzz_structures.c"]
FUZZED = ["structures/deque.c", "structures/injector.c", "structures/event_count.c"]
FUZZED += ["base/memory.c", "base/assert.c"]
FUZZ_SEEDS = 200_000
FUZZ_SEEDS_PLANTED = 1_000_000

SPIN_SAFETY = ("-DSAFETY -DCOLLAPSE -DNOCLAIM", "-E -m1000000")
SPIN_LIVENESS = ("-DCOLLAPSE -DNFAIR=6", "-E -a -f -m1000000")
ONE_TEAM = "-DTHREADS=2 -DPLACES=2 -DJOBS=2 -DSPAWNS=1"
TWO_TEAMS = "-DTEAMS=2 -DTHREADS=2 -DPLACES=1 -DJOBS=1 -DSPAWNS=0 -DHELPS=0"
SPIN_HOLDS = {
    "one_team": (ONE_TEAM, *SPIN_SAFETY),
    "two_callers_and_a_thread": (
        "-DTEAMS=2 -DTHREADS=1 -DPLACES=1 -DJOBS=1 -DSPAWNS=1",
        *SPIN_SAFETY,
    ),
    "served_at_last": ("-DTHREADS=2 -DPLACES=1 -DJOBS=1 -DSPAWNS=1", *SPIN_LIVENESS),
    "two_busy_teams": (TWO_TEAMS, *SPIN_SAFETY),
}
# A minute and a gigabyte: only under FOLIOT_STRESS.
SPIN_LONG = {"two_busy_teams"}
SPIN_PLANTED = {
    "SKIPS_RESCAN": ONE_TEAM,
    "LOOKS_BEFORE_PREPARE": ONE_TEAM,
    "KEEPS_QUIET": ONE_TEAM,
    "SEEKER_KEEPS_QUIET": TWO_TEAMS,
    "SLEEPS_ON_STALE_KEY": ONE_TEAM,
    "FORGETS_WAKE": ONE_TEAM,
    "LEAVES_BEFORE_SEEKING": ONE_TEAM,
}


class Outcome(NamedTuple):
    """What became of one check: a line to print, and whether it is as it must be."""

    line: str
    is_good: bool


def run(*words: object, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run a program of the build and collect what it says."""
    return subprocess.run(
        [str(word) for word in words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=RUN_LIMIT_S,
    )


def must_build(*words: object) -> None:
    """Run a compiler; its complaints end everything."""
    answer = run(*words)
    if answer.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, words))}\n{answer.stdout}{answer.stderr}")


def last_line(answer: subprocess.CompletedProcess[str]) -> str:
    """The closing words of a program."""
    lines = (answer.stdout + answer.stderr).strip().splitlines()
    return lines[-1].strip() if lines else f"status {answer.returncode}"


def with_bug(bug: planted.Planted, folder: Path) -> Path:
    """A folder to include from ahead of csrc/, with the one file that has the bug."""
    target = folder / bug.path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(planted.plant((ROOT / bug.path).read_text(), bug))
    return folder / "csrc"


def relacy_program(model: str, folder: Path, optimise: str, *includes: Path) -> Path:
    """Build one Relacy model, with the sources found first in the given folders."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / model
    places = [f"-I{place}" for place in (*includes, "csrc", "include", "tests/model")]
    must_build(*CXX, optimise, *places, f"tests/model/model_{model}.cpp", "-o", program)
    return program


def relacy_holds(model: str) -> Outcome:
    """The model of what is shipped."""
    runs = RELACY_RUNS[model] * STRESS
    answer = run(relacy_program(model, BUILD / "relacy", "-O1"), runs)
    is_good = answer.returncode == 0
    return Outcome(f"relacy {model}: {last_line(answer)}", is_good)


def relacy_finds(bug: planted.Planted, model: str) -> Outcome:
    """The model of what is broken."""
    folder = BUILD / "relacy" / bug.name
    # Most are found at once, so compiling costs more than running.
    program = relacy_program(model, folder, "-O0", with_bug(bug, folder))
    answer = run(program, RELACY_RUNS_PLANTED)
    is_found = answer.returncode == 1
    said = last_line(answer) if is_found else f"NOT FOUND ({last_line(answer)})"
    return Outcome(f"relacy {model}: {bug.name}: {said}", is_found)


def relacy_checks():
    """All there is to do with Relacy."""
    for model in RELACY_RUNS:
        yield lambda model=model: relacy_holds(model)
    for bug in planted.PLANTED:
        for model in bug.found_by:
            if model in RELACY_RUNS:
                yield lambda bug=bug, model=model: relacy_finds(bug, model)


def fuzz_program(folder: Path, *includes: Path) -> Path:
    """Build the schedule fuzzer on the sources found first in the given folders."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "fuzz_structures"
    places = [f"-I{place}" for place in (*includes, "csrc", "include", "tests/model")]
    core = [
        next(place / name for place in (*includes, ROOT / "csrc") if (place / name).exists())
        for name in FUZZED
    ]
    must_build(*CC_FUZZ, *places, *FUZZER, *core, "-o", program)
    return program


def fuzz_holds() -> Outcome:
    """Histories of what is shipped."""
    answer = run(fuzz_program(BUILD / "fuzz"), FUZZ_SEEDS * STRESS)
    return Outcome(f"fuzz: {last_line(answer)}", answer.returncode == 0)


def fuzz_finds(bug: planted.Planted) -> Outcome:
    """Histories of what is broken; what breaks under a seed breaks under it again."""
    folder = BUILD / "fuzz" / bug.name
    program = fuzz_program(folder, with_bug(bug, folder))
    answer = run(program, FUZZ_SEEDS_PLANTED)
    found = re.match(r"seed (\d+)", last_line(answer))
    if found is None:
        # A crash finds it too, though the seed is not printed then.
        is_found = answer.returncode < 0
        return Outcome(f"fuzz: {bug.name}: {last_line(answer)}", is_found)
    again = run(program, 1, found[1])
    is_repeated = last_line(again) == last_line(answer)
    said = last_line(answer) + ("" if is_repeated else ", but NOT AGAIN")
    return Outcome(f"fuzz: {bug.name}: {said}", is_repeated)


def fuzz_checks():
    """All there is to do with the schedule fuzzer."""
    yield fuzz_holds
    for bug in planted.PLANTED:
        if "fuzz" in bug.found_by:
            yield lambda bug=bug: fuzz_finds(bug)


def spin_runs(name: str, defines: str, build: str, options: str) -> Outcome:
    """One exhaustive walk through the idle protocol, or one that stops at a bug."""
    folder = BUILD / "spin" / name
    folder.mkdir(parents=True, exist_ok=True)
    generated = run("spin", *defines.split(), "-a", ROOT / "tests/model/idle.pml", folder=folder)
    if generated.returncode != 0:
        raise SystemExit(generated.stdout + generated.stderr)
    must_build("gcc", "-O2", "-w", *build.split(), "-o", folder / "pan", folder / "pan.c")
    said = run("./pan", *options.split(), folder=folder).stdout
    # Not only no error: the walk must have come to its end.
    errors = re.search(r"errors: (\d+)\s+(\d+) states, stored", said)
    is_whole = errors is not None and "Search not completed" not in said
    broken = re.search(r"pan:\d+: (.*?) \(at depth (\d+)\)", said)
    if broken is not None:
        return Outcome(f"{broken[1]} at depth {broken[2]}", False)
    if not is_whole or errors is None:
        return Outcome("the walk did not end", False)
    return Outcome(f"holds in all {errors[2]} states", errors[1] == "0")


def spin_holds(name: str) -> Outcome:
    """The protocol as it is."""
    outcome = spin_runs(name, *SPIN_HOLDS[name])
    return Outcome(f"spin {name}: {outcome.line}", outcome.is_good)


def spin_finds(bug: str) -> Outcome:
    """The protocol with a bug: a standstill with work left is an assertion of the watchdog."""
    outcome = spin_runs(bug.lower(), f"{SPIN_PLANTED[bug]} -D{bug}", *SPIN_SAFETY)
    is_found = "assertion violated" in outcome.line
    said = outcome.line if is_found else f"NOT FOUND ({outcome.line})"
    return Outcome(f"spin: {bug.lower()}: {said}", is_found)


def spin_checks():
    """All there is to do with spin."""
    for name in SPIN_HOLDS:
        if STRESS > 1 or name not in SPIN_LONG:
            yield lambda name=name: spin_holds(name)
    for bug in SPIN_PLANTED:
        yield lambda bug=bug: spin_finds(bug)


CHECKS = {"relacy": relacy_checks, "fuzz": fuzz_checks, "spin": spin_checks}


def main(names: list[str]) -> int:
    """Run the named kinds of check, or all; 0 when everything is as it must be."""
    started = time.monotonic()
    checks = [check for name in names or CHECKS for check in CHECKS[name]()]
    bad = 0
    with ThreadPoolExecutor(max_workers=2) as pool:
        for outcome in pool.map(lambda check: check(), checks):
            print(("" if outcome.is_good else "FAILED: ") + outcome.line, flush=True)
            bad += not outcome.is_good
    seconds = time.monotonic() - started
    print(f"models: {len(checks) - bad} as they must be, {bad} not, {seconds:.0f} s")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
