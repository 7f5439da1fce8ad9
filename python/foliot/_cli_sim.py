"""``python -m foliot sim``: simulate a workload file and show how it went."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from foliot._errors import FoliotError

if TYPE_CHECKING:
    from foliot._workload import Workload

EXAMPLES = ["set.toml", "set.toml --policy rm --cpus 2 --until 10000", "rt-app.json", "graph.stg"]
_HEADS = ("task", "jobs", "misses", "worst", "mean", "deadline")
_CPUS_MAX = 1024
_TIME_MAX = 2**60


class SimError(Exception):
    """The workload cannot be simulated as it was given: one line."""


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The arguments of ``sim``."""
    command.add_argument(
        "file",
        metavar="FILE",
        help="a workload: FILE.toml, FILE.json of rt-app, or FILE.stg, a Standard Task Graph",
    )
    command.add_argument(
        "--policy",
        metavar="P",
        help="of task sets: fifo, fp, rm, edf, eevdf, cbs; of graphs: fifo, critical-path, cost, "
        "list, steal (default: what the file says, else edf and list)",
    )
    command.add_argument("--cpus", metavar="N", type=_cpus, help="virtual CPUs (default: 1)")
    command.add_argument(
        "--until", metavar="T", type=_time, help="end of a task set's simulation, in its time unit"
    )
    command.add_argument("--json", action="store_true", help="one JSON object")
    command.add_argument(
        "--gantt", metavar="OUT.svg", help="draw who ran where and when into a file"
    )


def _whole(text: str, highest: int) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:24]) <= highest):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to {highest}")
    return int(text)


def _cpus(text: str) -> int:
    return _whole(text, _CPUS_MAX)


def _time(text: str) -> int:
    return _whole(text, _TIME_MAX)


def main(options: argparse.Namespace) -> int:
    """Do ``sim``; SimError for what is wrong with the file or the arguments."""
    workload = _load(options.file)
    result = _simulate(workload, options)
    told = tell(workload, result)
    if options.gantt is not None:
        _draw(result, options.gantt)
    if options.json:
        print(json.dumps(told, indent=2))
    else:
        print("\n".join(_lines(told)))
    return 0


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


def _load(path: str) -> Workload:
    from foliot._workload import load_workload

    try:
        return load_workload(path)
    except OSError as error:
        raise SimError(f"{path}: {error.strerror or error}") from error
    except (TypeError, ValueError) as error:
        raise SimError(_one_line(error)) from error


def _simulate(workload: Workload, options: argparse.Namespace) -> Any:
    from foliot import sim

    given = dict(workload.options)
    for name in ("policy", "cpus", "until"):
        if getattr(options, name) is not None:
            given[name] = getattr(options, name)
    try:
        return sim.run(workload.what, **given)
    except (TypeError, ValueError, FoliotError) as error:
        raise SimError(f"{options.file}: {_one_line(error)}") from error


def tell(workload: Workload, result: Any) -> dict[str, Any]:
    """The result as plain data."""
    from foliot._graph import Graph

    told = {"notes": list(workload.notes), "unit": workload.unit}
    if isinstance(workload.what, Graph):
        return told | _tell_graph(result)
    return told | _tell_tasks(result)


def _tell_graph(result: Any) -> dict[str, Any]:
    counts = [0] * result.cpus
    busy = [0] * result.cpus
    for cpu, start, finish in zip(
        result.cpu.tolist(), result.start.tolist(), result.finish.tolist(), strict=True
    ):
        counts[cpu] += 1
        busy[cpu] += finish - start
    return {
        "kind": "graph",
        "policy": result.policy,
        "cpus": [
            {"cpu": cpu, "jobs": counts[cpu], "busy": busy[cpu]} for cpu in range(result.cpus)
        ],
        "tasks": len(result.graph),
        "edges": result.graph.edges,
        "work": result.graph.work,
        "critical_path": result.graph.critical_path,
        "lower_bound": result.lower_bound,
        "makespan": result.makespan,
        "utilisation": result.utilisation,
        "steals": result.steals.total,
        "migrations": result.migrations.total,
    }


def _tell_tasks(result: Any) -> dict[str, Any]:
    tasks = result.tasks
    # Counted over the log itself, for it may be long.
    places = result.jobs_array["task"]
    released = np.bincount(places, minlength=len(tasks)).tolist()
    missed = np.bincount(places[result._missed], minlength=len(tasks)).tolist()
    rows = []
    for place, (name, task) in enumerate(zip(tasks.names, tasks, strict=True)):
        responses = result.response_times[place]
        rows.append(
            {
                "name": name,
                "jobs": released[place],
                "finished": len(responses),
                "misses": missed[place],
                "worst": max(responses, default=None),
                "mean": sum(responses) / len(responses) if responses else None,
                "deadline": task.relative_deadline,
            }
        )
    return {
        "kind": "tasks",
        "policy": result.policy,
        "cpus": result.cpus,
        "until": result.until,
        "misses": sum(missed),
        "utilisation": result.utilisation,
        "tasks": rows,
    }


def _lines(told: dict[str, Any]) -> Iterator[str]:
    """The result for people."""
    yield from _graph_lines(told) if told["kind"] == "graph" else _task_lines(told)
    yield from (f"note: {note}" for note in told["notes"])


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    for row in (heads, *rows):
        first, *others = (
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join((first, *others)).rstrip()


def _task_lines(told: dict[str, Any]) -> Iterator[str]:
    unit = f" {told['unit']}" if told["unit"] else ""
    rows = [
        (
            row["name"],
            f"{row['jobs']:,}",
            f"{row['misses']:,}",
            "-" if row["worst"] is None else f"{row['worst']:,}",
            "-" if row["mean"] is None else f"{row['mean']:,.1f}",
            f"{row['deadline']:,}",
        )
        for row in told["tasks"]
    ]
    yield from _table(_HEADS, rows)
    yield ""
    yield (
        f"{told['policy']} on {_cpus_text(told['cpus'])} until {told['until']:,}{unit}: "
        f"utilisation {_shares(told['utilisation'])}"
    )
    jobs = sum(row["jobs"] for row in told["tasks"])
    missed = told["misses"]
    yield (
        f"{missed:,} of {jobs:,} jobs missed their deadline"
        if missed
        else (f"no deadline missed, {jobs:,} jobs")
    )


def _shares(shares: Sequence[float]) -> str:
    return ", ".join(f"{share:.1%}" for share in shares)


def _cpus_text(count: int) -> str:
    return f"{count} CPU" if count == 1 else f"{count} CPUs"


def _graph_lines(told: dict[str, Any]) -> Iterator[str]:
    makespan, bound = told["makespan"], told["lower_bound"]
    rows = [
        (
            f"CPU {row['cpu']}",
            f"{row['jobs']:,}",
            f"{row['busy']:,}",
            f"{row['busy'] / makespan:.1%}" if makespan else "-",
        )
        for row in told["cpus"]
    ]
    yield from _table(("", "tasks", "busy", "utilisation"), rows)
    yield ""
    yield (
        f"{told['tasks']:,} tasks, {told['edges']:,} edges, work {told['work']:,}, critical path "
        f"{told['critical_path']:,}"
    )
    above = f", {makespan / bound - 1:.2%} above the lower bound {bound:,}" if bound else ""
    yield f"{told['policy']} on {_cpus_text(len(told['cpus']))}: makespan {makespan:,}{above}"


def _draw(result: Any, path: str) -> None:
    """Draw with matplotlib; the suffix says in which format."""
    try:
        import matplotlib as mpl
    except ImportError:
        raise SimError("--gantt needs matplotlib: pip install 'foliot[plot]'") from None
    mpl.use("Agg")
    try:
        result.gantt().figure.savefig(path)
    except OSError as error:
        raise SimError(f"--gantt {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise SimError(f"--gantt {path}: {_one_line(error)}") from error
    print(f"gantt     {path}", file=sys.stderr)
