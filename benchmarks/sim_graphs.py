"""Task graphs of about 1,000 tasks, and how near list scheduling comes to their lower bound.

Three kinds, as the Standard Task Graph set has them: layers (each task after a few of the layer
before), random (Erdős and Rényi: an edge from each earlier task with one probability) and fork-join
(sections of parallel chains between a fork and a join). A fourth, narrow fork-join, has sections of
few single tasks between dear forks and joins: there no schedule comes near the bound, which knows
nothing of barriers, so it stands apart. ``rows`` gives, for each kind, number of CPUs and policy,
the mean makespan over the lower bound, the larger of the critical path and the work over the CPUs;
``python benchmarks/sim_graphs.py`` prints them.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from foliot.sim import Graph, run

TASKS = 1000
CPUS = (2, 4, 8, 16)
POLICIES = ("fifo", "critical-path", "cost", "steal", "list")
GOAL = 1.03


class Row(NamedTuple):
    """One line of the table.

    Attributes:
        kind: of graph.
        cpus: how many.
        ratios: of each policy, the mean makespan over the lower bound.
        worse: graphs on which list scheduling took longer than greedy.
        list_ms: milliseconds of one run by list scheduling, on average.

    """

    kind: str
    cpus: int
    ratios: dict[str, float]
    worse: int
    list_ms: float


Rows = dict[str, dict[str, object]]


def _task(draw: random.Random, after: list[int]) -> dict[str, object]:
    return {"cost": draw.randint(1, 100), "after": [str(other) for other in after]}


def layered(count: int, seed: int) -> Graph:
    """Layers of 1 to 2 √n tasks; each is after 1 to 4 of the layer before."""
    draw, rows, before = random.Random(seed), Rows(), list[int]()
    while len(rows) < count:
        width = min(count - len(rows), draw.randint(1, 2 * int(count**0.5)))
        layer = list(range(len(rows), len(rows) + width))
        for task in layer:
            after = draw.sample(before, min(len(before), draw.randint(1, 4)))
            rows[str(task)] = _task(draw, after)
        before = layer
    return Graph(rows)


def erdos_renyi(count: int, seed: int) -> Graph:
    """Each task is after each earlier one with a probability that gives 2 to 16 of them at most."""
    draw, rows = random.Random(seed), Rows()
    chance = draw.choice([2, 4, 8, 16]) / count
    for task in range(count):
        rows[str(task)] = _task(draw, [other for other in range(task) if draw.random() < chance])
    return Graph(rows)


def _sections(count: int, seed: int, ends: int, width: tuple[int, int], longest: int) -> Graph:
    """Forks and joins of cost 1 to ``ends`` round so many chains of 1 to ``longest`` tasks."""
    draw, rows, last = random.Random(seed), Rows(), list[int]()
    while len(rows) < count:
        rows[str(len(rows))] = {
            "cost": draw.randint(1, ends),
            "after": [str(item) for item in last],
        }
        fork, last = len(rows) - 1, []
        for _ in range(draw.randint(*width)):
            after = fork
            for _ in range(draw.randint(1, longest)):
                rows[str(len(rows))] = _task(draw, [after])
                after = len(rows) - 1
            last.append(after)
        rows[str(len(rows))] = {
            "cost": draw.randint(1, ends),
            "after": [str(item) for item in last],
        }
        last = [len(rows) - 1]
    return Graph(rows)


def fork_join(count: int, seed: int) -> Graph:
    """Sections one after the other: a cheap fork, 32 to 128 chains of 1 to 4 tasks, and a join."""
    return _sections(count, seed, 5, (32, 128), 4)


def narrow_fork_join(count: int, seed: int) -> Graph:
    """Sections of 8 to 64 single tasks, with forks and joins as dear as tasks."""
    return _sections(count, seed, 100, (8, 64), 1)


KINDS: dict[str, Callable[[int, int], Graph]] = {
    "layered": layered,
    "random": erdos_renyi,
    "fork-join": fork_join,
    "narrow": narrow_fork_join,
}
# Those that the mean over all kinds leaves out.
APART = {"narrow"}


def rows(graphs: int = 20, *, tasks: int = TASKS) -> Iterator[Row]:
    """One row for each kind and number of CPUs, over so many graphs."""
    for kind, make in KINDS.items():
        made = [make(tasks, seed) for seed in range(graphs)]
        for cpus in CPUS:
            sums = dict.fromkeys(POLICIES, 0.0)
            worse, spent = 0, 0.0
            for graph in made:
                spans = {}
                for policy in POLICIES:
                    begun = time.perf_counter()
                    spans[policy] = run(graph, cpus=cpus, policy=policy).makespan
                    spent += (time.perf_counter() - begun) * (policy == "list")
                    sums[policy] += spans[policy] / graph.lower_bound(cpus)
                worse += spans["list"] > spans["fifo"]
            ratios = {policy: total / graphs for policy, total in sums.items()}
            yield Row(kind, cpus, ratios, worse, 1e3 * spent / graphs)


def mean_ratio(found: list[Row], policy: str = "list") -> float:
    """The mean of all rows but those that stand apart; of all when only such are there."""
    counted = [row for row in found if row.kind not in APART] or found
    return sum(row.ratios[policy] for row in counted) / len(counted)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--graphs", type=int, default=20, help="of each kind (default: 20)")
    found = []
    print(f"{'graphs':10} {'CPUs':>4} " + " ".join(f"{policy:>13}" for policy in POLICIES), "  ms")
    for row in rows(parser.parse_args().graphs):
        found.append(row)
        shown = " ".join(f"{row.ratios[policy]:13.4f}" for policy in POLICIES)
        print(f"{row.kind:10} {row.cpus:4} {shown} {row.list_ms:6.2f}", flush=True)
    means = " ".join(f"{mean_ratio(found, policy):13.4f}" for policy in POLICIES)
    print(f"{'mean':10} {'':4} {means}  without narrow")
    print(f"list scheduling was worse than greedy on {sum(row.worse for row in found)} graphs")


if __name__ == "__main__":
    main()
