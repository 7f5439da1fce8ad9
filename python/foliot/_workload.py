"""Workload files: what to simulate and how, read from TOML, rt-app's JSON or a task graph.

``load_workload`` goes by the file's suffix. What a file does not say stays open, for the command
line or ``fo.sim.run`` to say.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from foliot._errors import FoliotError
from foliot._graph import Graph
from foliot._machine import DISTANCES, Machine
from foliot._rtapp import read_rtapp
from foliot._sim_registry import simulate
from foliot._taskset import TaskSet

SUFFIXES = (".toml", ".json", ".stg")
_SIMULATION = ("until", "cpus", "policy", "queues", "seed", "costs")
_COSTS = ("switch", "migration", "steal")
_TOP = ("simulation", "machine", "task", "graph")
_MACHINE = ("cpus", "caches", "nodes", "smt")
_PLACE = re.compile(r"\s*\(at (?:line (\d+), column (\d+)|end of document)\)\Z")


@dataclass(frozen=True, slots=True)
class Workload:
    """A workload and how it is to be simulated.

    Attributes:
        what: a TaskSet or a Graph.
        options: what the file says of ``until``, ``cpus``, ``policy``, ``queues``, ``seed``,
            ``switch_cost``, ``migration_cost`` and ``steal_cost``, as ``fo.sim.run`` takes them;
            ``cpus`` is a ``fo.sim.Machine`` where the file describes one.
        unit: of its times; "" where any will do.
        notes: sentences about where the simulation is not quite what the file describes.

    """

    what: TaskSet | Graph
    options: dict[str, Any] = field(default_factory=dict)
    unit: str = ""
    notes: tuple[str, ...] = ()


def load_workload(path: str | os.PathLike[str]) -> Workload:
    r"""Read a workload file: ``.toml``, ``.json`` (rt-app) or ``.stg``.

    Errors: OSError; ValueError and TypeError with the file and the line and column, or the key.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "set.toml")
        ...     _ = path.write_text('[simulation]\ncpus = 2\n[[task]]\nwcet = 1\nperiod = 4\n')
        ...     load_workload(path)
        Workload(what=TaskSet([PeriodicTask(wcet=1, period=4)]), options={'cpus': 2}, unit='',
            notes=())

    """
    where = os.fspath(path)
    suffix = Path(where).suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"{where}: a workload file ends with {', '.join(SUFFIXES)}")
    if suffix == ".stg":
        return Workload(Graph.from_stg(Path(where)))
    data = Path(where).read_bytes()
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        raise ValueError(f"{where}, line {line}, column {column}: this is not UTF-8") from None
    return _of_rtapp(text, where) if suffix == ".json" else _of_toml(text, where)


def _of_rtapp(text: str, where: str) -> Workload:
    found = read_rtapp(text, where)
    options: dict[str, Any] = {}
    notes = tuple(found.notes)
    if found.policy is None:
        notes = (*notes, "the threads have different policies; all are simulated under one")
    else:
        options["policy"] = found.policy
    if found.until is not None:
        options["until"] = found.until
    return Workload(found.tasks, options, "us", notes)


def _of_toml(text: str, where: str) -> Workload:
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(_toml_message(str(error), text, where)) from None
    except RecursionError:
        raise ValueError(f"{where}: too many lists and tables within each other") from None
    _refuse_keys(data, _TOP, "", where)
    if ("task" in data) == ("graph" in data):
        got = "both" if "task" in data else "neither"
        raise ValueError(f"{where}: a workload has [[task]] tables or a `graph`, got {got}")
    options = _options_of(data.get("simulation", {}), where)
    if "machine" in data:
        if "cpus" in options:
            raise ValueError(
                f"{where}: `machine` and `simulation.cpus` both say how many CPUs there are; one "
                "of them is enough"
            )
        options["cpus"] = _machine_of(data["machine"], where)
    what = _tasks_of(data["task"], where) if "task" in data else _graph_of(data["graph"], where)
    return Workload(what, options)


def _toml_message(message: str, text: str, where: str) -> str:
    """The reader's message with the place in front."""
    match = _PLACE.search(message)
    line, column = text.count("\n") + 1, len(text) - text.rfind("\n")
    if match is not None and match[1] is not None:
        line, column = int(match[1]), int(match[2])
    shown = message if match is None else message[: match.start()]
    return f"{where}, line {line}, column {column}: {shown}"


def _refuse_keys(table: Mapping[str, Any], known: Sequence[str], path: str, where: str) -> None:
    for key in table:
        if key not in known:
            names = ", ".join(f"{path}{name}" for name in known)
            raise ValueError(f"{where}: `{path}{key}` is not known; there are {names}")


def _table_of(value: object, path: str, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"{where}: `{path}` is a table, got {value!r}")
    return value


def _options_of(value: object, where: str) -> dict[str, Any]:
    """The table [simulation]; its values are checked by whoever simulates, but for their kind."""
    table = _table_of(value, "simulation", where)
    _refuse_keys(table, _SIMULATION, "simulation.", where)
    options = {key: given for key, given in table.items() if key != "costs"}
    costs = _table_of(table.get("costs", {}), "simulation.costs", where)
    _refuse_keys(costs, _COSTS, "simulation.costs.", where)
    for key in ("policy", "queues"):
        if not isinstance(options.get(key, ""), str):
            raise TypeError(f"{where}: `simulation.{key}` is text, got {options[key]!r}")
    numbers = {
        f"simulation.{key}": options[key] for key in ("until", "cpus", "seed") if key in options
    }
    for key, given in costs.items():
        numbers |= _cost_numbers(f"simulation.costs.{key}", given, where)
    for path, given in numbers.items():
        lowest = 1 if path in ("simulation.until", "simulation.cpus") else 0
        _refuse_number(given, lowest, path, where)
    return options | {f"{key}_cost": given for key, given in costs.items()}


def _refuse_number(given: object, lowest: int, path: str, where: str) -> None:
    if isinstance(given, bool) or not isinstance(given, int):
        raise TypeError(f"{where}: `{path}` is a whole number, got {given!r}")
    if given < lowest:
        raise ValueError(f"{where}: `{path}` is at least {lowest}, got {given}")


def _cost_numbers(path: str, given: object, where: str) -> dict[str, object]:
    """A cost, or the costs by distance, each by its path."""
    if path == "simulation.costs.switch" or not isinstance(given, list):
        return {path: given}
    if len(given) != len(DISTANCES):
        raise ValueError(
            f"{where}: `{path}` is a whole number or three: {', '.join(DISTANCES)}; got {given!r}"
        )
    return {f"{path}[{place}]": cost for place, cost in enumerate(given)}


def _machine_of(value: object, where: str) -> Machine:
    """Counts of a regular machine, or its CPUs in lists."""
    table = _table_of(value, "machine", where)
    _refuse_keys(table, _MACHINE, "machine.", where)
    lists = {key: table[key] for key in _MACHINE[1:] if isinstance(table.get(key), list)}
    counts = {"nodes": 1, "caches": 1, "cpus": 1} | table
    for key, given in counts.items():
        if key not in lists:
            _refuse_number(given, 1, f"machine.{key}", where)
            if lists and key in table and key != "cpus":
                raise TypeError(
                    f"{where}: `machine.{key}` is a list of lists of CPUs, as "
                    f"`machine.{next(iter(lists))}` is, got {given!r}"
                )
    if lists and "cpus" not in table:
        raise ValueError(f"{where}: `machine.cpus` is missing: how many CPUs are in the lists")
    if "smt" in table and "smt" not in lists:
        raise TypeError(f"{where}: `machine.smt` is a list of lists of CPUs, got {table['smt']!r}")
    try:
        return Machine(**table) if lists else Machine.grid(**counts)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{where}: `machine`: {error}") from None


def _tasks_of(value: object, where: str) -> TaskSet:
    if not isinstance(value, list):
        raise TypeError(f"{where}: `task` is a list of tables, each under [[task]], got {value!r}")
    try:
        return TaskSet.from_dict(value)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{where}: {error}") from None


def _graph_of(value: object, where: str) -> Graph:
    """A file beside this one, or a table of tasks."""
    if isinstance(value, str):
        path = Path(where).parent / value
        try:
            return Graph.from_stg(path)
        except OSError as error:
            raise ValueError(f"{where}: `graph`: {path}: {error.strerror}") from None
    table = _table_of(value, "graph", where)
    try:
        return Graph(table)
    except (TypeError, ValueError) as error:
        if isinstance(error, FoliotError):
            error.args = (f"{where}: `graph`: {error}",)
            raise
        raise type(error)(f"{where}: `graph`: {error}") from None


@simulate.register(str)
@simulate.register(os.PathLike)
def simulate_file(path: str | os.PathLike[str], options: Mapping[str, Any]) -> Any:
    """The workload of a file; what the caller says goes before what the file says."""
    workload = load_workload(path)
    return simulate(workload.what, workload.options | dict(options))
