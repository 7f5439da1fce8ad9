"""What decisions cost: the fair queue, refills, the dispatcher, and the demand test.

Everything is timed by the thread's own processor time, so that others on the machine count little,
and each program runs several times; a number is the median over them. Results go to
``build/bench/policy.json``.
"""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import build_io
import counts
import policy_live
import policy_qpa
import sim_graphs
from command_line import parse_arguments, save
from counts import Outcome

BENCH = Path(__file__).resolve().parent.parent / "build" / "bench"
RESULTS = BENCH / "policy.json"
ROUNDS = 5
TIMEOUT_SECONDS = 120
SIZES = (10, 1_000, 100_000)
FAIR_LIMIT_NS = 150.0
REFILL_LIMIT_NS = 40.0
QPA_LEAST = 1_000.0
FAIR = {
    "request": "pick and account, a whole slice each",
    "short": "pick and account, a tenth of a slice each",
    "groups": "pick and account in a hundred groups",
}
REFILL = {
    "chunk": "charge of a sporadic server, with its unblock",
    "full": "the same with every refill in use",
    "cbs": "charge of a constant bandwidth server",
    "context": "charge of a context by its handle",
}
DISPATCHER = {
    "edf_50": "a job through the dispatcher: 50 tasks, EDF, 1 CPU",
    "edf_50_on_4": "the same on 4 CPUs",
    "edf_50_recorded": "the same on 1 CPU, every decision recorded",
    "eevdf_1000": "a slice through the dispatcher: 1,000 runnables, EEVDF",
}


def run_program(*command: str) -> str:
    """What a program prints; CalledProcessError with its complaint when it fails."""
    done = subprocess.run(
        [str(BENCH / command[0]), *command[1:]],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip() or f"exit code {done.returncode}")
    return done.stdout


def fair_outcomes(rounds: int) -> Iterator[Outcome]:
    """The fair queue at all sizes, and how it grows."""
    found: dict[tuple[str, int], list[float]] = {}
    for _ in range(rounds):
        for entry in json.loads(run_program("c_policy_fair", "fair", "9")):
            found.setdefault((entry["what"], entry["runnables"]), []).append(entry["median_ns"])
    medians = {key: statistics.median(values) for key, values in found.items()}
    for what, text in FAIR.items():
        for size in SIZES:
            is_goal = what == "request" and size == SIZES[1]
            limit = FAIR_LIMIT_NS if is_goal else None
            yield Outcome(f"{text}, {size:,} runnables", limit, "ns", medians[what, size])
    growth = medians["request", SIZES[2]] / medians["request", SIZES[0]]
    logs = math.log2(SIZES[2]) / math.log2(SIZES[0])
    yield Outcome("its growth from 10 to 100,000 runnables; log n grows so", logs, "times", growth)


def refill_outcomes(rounds: int) -> Iterator[Outcome]:
    """Charges of budgets."""
    found: dict[str, list[float]] = {what: [] for what in REFILL}
    for _ in range(rounds):
        entry = json.loads(run_program("c_policy_refill", "9"))
        for what, values in found.items():
            values.append(statistics.median(entry[what]))
    for what, text in REFILL.items():
        limit = REFILL_LIMIT_NS if what in {"chunk", "full"} else None
        yield Outcome(text, limit, "ns", statistics.median(found[what]))


def dispatcher_outcomes(rounds: int) -> Iterator[Outcome]:
    """Whole decisions."""
    for workload, text in DISPATCHER.items():
        medians = [
            statistics.median(json.loads(run_program("c_policy_dispatcher", workload))["seconds"])
            for _ in range(rounds)
        ]
        yield Outcome(text, None, "ns", 1e9 * statistics.median(medians))


def analysis_outcomes(rounds: int) -> Iterator[Outcome]:
    """The demand test against plain Python, on the same sets."""
    times = [policy_qpa.compare() for _ in range(min(rounds, 3))]
    ratio = statistics.median(entry.ratio for entry in times)
    text = (
        f"QPA on {times[0].sets:,} sets of {policy_qpa.TASKS} tasks, {times[0].accepted} of them "
        "schedulable: as fast as plain Python"
    )
    yield Outcome(text, QPA_LEAST, "times", ratio, is_least=True)


def graph_outcomes(rounds: int) -> Iterator[Outcome]:
    """List scheduling against the lower bound; ``rounds`` times four graphs of each kind."""
    rows = list(sim_graphs.rows(4 * rounds))
    apart = [row for row in rows if row.kind in sim_graphs.APART]
    what = f"list scheduling of graphs of {sim_graphs.TASKS:,} tasks on 2 to 16 CPUs"
    bound = "× the lower bound"
    yield Outcome(what, sim_graphs.GOAL, bound, sim_graphs.mean_ratio(rows))
    yield Outcome("the same, greedy", None, bound, sim_graphs.mean_ratio(rows, "fifo"))
    narrow = "list scheduling of narrow forks and joins, where no schedule reaches the bound"
    yield Outcome(narrow, None, bound, sim_graphs.mean_ratio(apart))
    yield Outcome("the same, greedy", None, bound, sim_graphs.mean_ratio(apart, "fifo"))
    worse = float(sum(row.worse for row in rows))
    yield Outcome("graphs on which list scheduling took longer than greedy", 0.0, "graphs", worse)


PARTS = {
    "fair": fair_outcomes,
    "refill": refill_outcomes,
    "dispatcher": dispatcher_outcomes,
    "analysis": analysis_outcomes,
    "graphs": graph_outcomes,
    "live": policy_live.outcomes,
}


def measure(words: Sequence[str], rounds: int) -> list[Outcome]:
    """The parts with one of these words in their name."""
    outcomes: list[Outcome] = []
    for name, part in PARTS.items():
        if not any(word in name for word in words):
            continue
        print(f"{name} …", file=sys.stderr, flush=True)
        try:
            outcomes.extend(part(rounds))
        except (OSError, RuntimeError, subprocess.TimeoutExpired) as error:
            outcomes.append(Outcome(name, None, "", None, str(error)))
    return outcomes


def main() -> int:
    """Run what the command line asks for."""
    options = parse_arguments(
        "Measure what policies, budgets and analysis cost.",
        builds="compile the programs first",
        rounds=ROUNDS,
    )
    if options.show:
        outcomes = [Outcome(**entry) for entry in json.loads(RESULTS.read_text(encoding="utf-8"))]
    else:
        problem = build_io.build_programs() if options.build else None
        if problem is not None:
            print(problem, file=sys.stderr)
        outcomes = measure(options.only or [""], max(1, options.rounds))
        save([asdict(outcome) for outcome in outcomes], RESULTS)
    if not outcomes:
        print(f"no part has any of {options.only} in its name: {', '.join(PARTS)}", file=sys.stderr)
        return 2
    print(counts.render_text(outcomes))
    if options.markdown is not None:
        options.markdown.write_text(counts.render_markdown(outcomes), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
