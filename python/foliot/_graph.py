"""Task graphs: what work there is, what waits for what, and what no schedule can beat.

A graph is declared here, from a dict, a Standard Task Graph file or a recorded trace, and kept by
the compiled core, which also runs it on virtual CPUs (``_graph_run``).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from foliot import _checks, _core

if TYPE_CHECKING:
    import numpy.typing as npt

    from foliot._plan import Plan
    from foliot._trace import Trace

COST_MAX = 2**63 - 2
_KEYS = ("cost", "after", "lane")
_BOUNDS_SHOWN = (1, 2, 4, 8, 16)


class Graph:
    """A task graph: tasks with costs, each of which starts when those it is after have finished.

    Costs are whole numbers of any one unit. Tasks of one lane exclude each other, as Python systems
    do that hold the interpreter's lock. A graph never changes.

    Args:
        tasks: by name, a dict of ``cost``, and as needed ``after``, a name or several, and
            ``lane``, the name of what only one task at a time may hold.

    Errors: TypeError for values of a wrong kind; ValueError for negative costs, keys that mean
    nothing, predecessors that are no tasks or named twice, and costs beyond 64 bits in sum;
    OrderCycleError, which prints the cycle. All name the task.

    Example:
        >>> graph = Graph({"read": {"cost": 3}, "parse": {"cost": 5, "after": "read"},
        ...                "log": {"cost": 1, "after": ["read"]}})
        >>> len(graph), graph.work, graph.critical_path, graph.lower_bound(2)
        (3, 9, 8, 8)
        >>> graph.critical_tasks
        ['read', 'parse']

    """

    __slots__ = ("_handle", "_lanes", "measured")

    _handle: _core.SimGraph
    _lanes: tuple[str, ...]
    measured: int | None

    def __init__(self, tasks: Mapping[str, Mapping[str, Any]], /) -> None:
        if not isinstance(tasks, Mapping):
            raise TypeError(f"the tasks of a Graph are a dict by name, got {tasks!r}.")
        names = tuple(_checks.text(name, "the name of a task") for name in tasks)
        places = {name: place for place, name in enumerate(names)}
        costs, lanes = np.zeros(len(names), "i8"), np.zeros(len(names), "u4")
        first, after = np.zeros(len(names) + 1, "u8"), list[int]()
        lane_places: dict[str, int] = {}
        for place, (name, row) in enumerate(tasks.items()):
            costs[place] = _cost_of(name, row)
            after += [_place_of(name, other, places) for other in _after_of(name, row)]
            first[place + 1] = len(after)
            lane = row.get("lane")
            if lane is not None:
                _checks.text(lane, f"lane of task `{name}`")
            lanes[place] = (
                2**32 - 1 if lane is None else lane_places.setdefault(lane, len(lane_places))
            )
        self._handle = _core.SimGraph(
            names, costs, first, np.array(after, "u4"), lanes, len(lane_places)
        )
        self._lanes = tuple(lane_places)
        self.measured = None

    @classmethod
    def _of_core(cls, core: _core.SimGraph, lanes: tuple[str, ...] = ()) -> Graph:
        made = cls.__new__(cls)
        made._handle, made._lanes, made.measured = core, lanes, None
        return made

    @classmethod
    def from_stg(cls, path_or_text: str | bytes | os.PathLike[str]) -> Graph:
        r"""A graph from a Standard Task Graph file: its path, or its text.

        Text is bytes, or a str with a line end in it. The names of the tasks are their ids. A file
        holds n and then n rows of a task each (id, cost, number of predecessors, their ids), or
        n + 2 with a dummy entry 0 and a dummy exit n + 1, which become tasks like the others.

        Errors: OSError; ValueError and OrderCycleError with file, line, column and what was
        expected there.

        Source: Tobita and Kasahara, "A standard task graph set for fair evaluation of
        multiprocessor scheduling algorithms", Journal of Scheduling 5 (2002).

        Example:
            >>> Graph.from_stg("2  # tasks\n1 4 0\n2 3 1 1\n").to_dict()
            {'1': {'cost': 4}, '2': {'cost': 3, 'after': ['1']}}
            >>> Graph.from_stg("1\n1 -4 0\n")
            Traceback (most recent call last):
            ValueError: the text, line 2, column 3: expected the cost of a task, a whole number of
            at least 0, got '-4'

        """
        where = "the text"
        if isinstance(path_or_text, bytes):
            text = path_or_text
        elif isinstance(path_or_text, str) and "\n" in path_or_text:
            text = path_or_text.encode(errors="replace")
        elif isinstance(path_or_text, str | os.PathLike):
            where = os.fspath(path_or_text)
            with open(where, "rb") as stream:
                text = stream.read()
        else:
            raise TypeError(
                f"a Standard Task Graph is a path, or text as str or bytes, got {path_or_text!r}."
            )
        return cls._of_core(_core.SimGraph.parse_stg(text, where))

    @classmethod
    def from_trace(
        cls,
        trace: Trace | str | os.PathLike[str],
        *,
        plan: Plan | None = None,
        frame: int | None = None,
    ) -> Graph:
        """A graph of what ran in one frame of a recorded trace, with measured costs in nanoseconds.

        ``fo.sim.run`` of it predicts the frame's time on other workers, or in another order;
        ``prediction_error`` of a run on as many workers as there were is how far the prediction is
        off. A cost is the time that a piece of work took, and what it took as a rule to get from
        one to the next. Systems that hold the interpreter's lock have one lane. A phase that the
        scheduler kept on the caller is spread over all CPUs here.

        Args:
            trace: ``scheduler.trace``, or the path of a file that it saved.
            plan: the plan by which the frame ran. A trace knows its own; a file does not.
            frame: its number; None: the last one that the trace holds as a whole.

        Errors: OSError; ValueError for a file that is no trace, a frame that the trace does not
        hold, and a plan that is missing or of other systems.
        """
        from foliot._replay import graph_of_trace

        return graph_of_trace(trace, plan=plan, frame=frame)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the tasks, in their order."""
        return self._handle.names

    @property
    def edges(self) -> int:
        """How many pairs of tasks wait for each other."""
        return self._handle.edges

    @property
    def work(self) -> int:
        """The sum of all costs: the time on one CPU."""
        return self._handle.work

    @property
    def critical_path(self) -> int:
        """The largest sum of costs along a way: the time on any number of CPUs."""
        return self._handle.critical_path

    @property
    def critical_tasks(self) -> list[str]:
        """Names of the tasks along such a way, first to last."""
        return self._handle.critical_tasks()

    def lower_bound(self, cpus: int) -> int:
        """What no run on so many CPUs can beat, 1 to 1024.

        The largest of the critical path, the work over the CPUs, rounded up, and the work of the
        busiest lane.
        """
        return self._handle.lower_bound(_checks.whole(cpus, "cpus", 1, 1024))

    def __len__(self) -> int:
        return len(self._handle)

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """The graph as plain data, from which ``Graph`` makes an equal one."""
        names = self.names
        made: dict[str, dict[str, Any]] = {}
        for place, name in enumerate(names):
            cost, after, lane = self._handle.task(place)
            made[name] = {"cost": cost}
            if after:
                made[name]["after"] = [names[other] for other in after]
            if lane is not None:
                made[name]["lane"] = self._lanes[lane]
        return made

    def to_dot(self) -> str:
        """The graph for Graphviz; a longest way is drawn bold."""
        bold = set(self.critical_tasks)
        lines = ["digraph tasks {", "    rankdir=LR; node [shape=box, fontname=sans];"]
        rows = self.to_dict()
        for name, row in rows.items():
            style = ", style=bold" if name in bold else ""
            label = _quoted(f"{name}: {row['cost']}")
            lines.append(f"    {_quoted(name)} [label={label}{style}];")
        lines += [
            f"    {_quoted(other)} -> {_quoted(name)};"
            for name, row in rows.items()
            for other in row.get("after", ())
        ]
        return "\n".join([*lines, "}"])

    def __repr__(self) -> str:
        return (
            f"<Graph of {len(self):,} tasks and {self.edges:,} edges: work {self.work:,}, "
            f"critical path {self.critical_path:,}>"
        )

    def _repr_html_(self) -> str:
        """A table for notebooks."""
        path = self.critical_tasks
        shown = " → ".join(path if len(path) <= 8 else [*path[:4], "…", *path[-3:]])
        rows = [
            ("tasks", f"{len(self):,}"),
            ("edges", f"{self.edges:,}"),
            ("work", f"{self.work:,}"),
            ("critical path", f"{self.critical_path:,}"),
            ("along", shown),
        ]
        if self._lanes:
            rows.append(("lanes", ", ".join(self._lanes)))
        if self.measured is not None:
            rows.append(("measured", f"{self.measured:,}"))
        rows += [
            (f"at least, on {cpus} CPU{'s' if cpus > 1 else ''}", f"{self.lower_bound(cpus):,}")
            for cpus in _BOUNDS_SHOWN
        ]
        cells = "".join(
            f"<tr><th>{escape(head)}</th><td>{escape(value)}</td></tr>" for head, value in rows
        )
        return f"<table><caption>task graph</caption><tbody>{cells}</tbody></table>"


def graph_of_arrays(
    names: Iterable[str],
    costs: npt.ArrayLike,
    after: Iterable[Iterable[int]],
    lanes: Mapping[int, str],
) -> Graph:
    """A graph of numbered tasks: each one's cost and predecessors, and the lanes of some.

    Example:
        >>> graph_of_arrays(["a", "b"], [1, 2], [[], [0]], {1: "python"}).to_dict()
        {'a': {'cost': 1}, 'b': {'cost': 2, 'after': ['a'], 'lane': 'python'}}

    """
    rows = [list(row) for row in after]
    first = np.zeros(len(rows) + 1, "u8")
    first[1:] = np.cumsum([len(row) for row in rows])
    lane_names = tuple(dict.fromkeys(lanes.values()))
    numbers = np.full(len(rows), 2**32 - 1, "u4")
    for task, lane in lanes.items():
        numbers[task] = lane_names.index(lane)
    flat = np.fromiter((other for row in rows for other in row), "u4", int(first[-1]))
    core = _core.SimGraph(
        tuple(names), np.asarray(costs, "i8"), first, flat, numbers, len(lane_names)
    )
    return Graph._of_core(core, lane_names)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _cost_of(name: str, row: object) -> int:
    """The cost of a row, whose keys are checked first."""
    if not isinstance(row, Mapping):
        raise TypeError(f"task `{name}` is a dict of {', '.join(_KEYS)}, got {row!r}.")
    for key in row:
        if key not in _KEYS:
            raise ValueError(f"task `{name}` has no key {key!r}; its keys are {', '.join(_KEYS)}.")
    if "cost" not in row:
        raise ValueError(f"task `{name}` lacks `cost`.")
    return _checks.whole(row["cost"], f"cost of task `{name}`", 0, COST_MAX)


def _after_of(name: str, row: Mapping[str, Any]) -> Iterable[object]:
    after = row.get("after", ())
    if isinstance(after, str):
        return (after,)
    if isinstance(after, bytes) or not isinstance(after, Iterable):
        raise TypeError(f"after of task `{name}` is a name or several, got {after!r}.")
    return after


def _place_of(name: str, other: object, places: Mapping[str, int]) -> int:
    if not isinstance(other, str):
        raise TypeError(f"after of task `{name}` has names of tasks, got {other!r}.")
    if other not in places:
        raise ValueError(f"task `{name}` is after `{other}`, which is no task of the graph.")
    return places[other]
