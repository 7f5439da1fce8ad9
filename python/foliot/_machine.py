"""Machines of simulations: which CPUs are near each other, what it costs to go how far."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from foliot import _core
from foliot._checks import whole

if TYPE_CHECKING:
    import numpy.typing as npt

CPUS_MAX = 1024
DISTANCES = ("same cache", "same node", "other node")
Parts = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Moves:
    """How often work went from one CPU to another, by how far that is.

    Attributes:
        cache: between CPUs that share a cache.
        node: between caches of one NUMA node.
        other: between nodes.

    Example:
        >>> Moves(4, 2, 1).total
        7

    """

    cache: int
    node: int
    other: int

    @property
    def total(self) -> int:
        """However far."""
        return self.cache + self.node + self.other

    def __str__(self) -> str:
        return (
            f"{self.total:,} ({self.cache:,} in a cache, {self.node:,} in a node, "
            f"{self.other:,} across nodes)"
        )


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Which CPUs of a simulated machine share a cache and which a NUMA node.

    Each of ``caches``, ``nodes`` and ``smt`` has every CPU, numbered from 0, in exactly one of its
    lists. What is left out follows from what is there: without nodes there is one, without caches
    the CPUs of a node share one.

    Attributes:
        cpus: how many there are, 1 to 1024.
        caches: CPUs that share their last cache; a cache lies within one node.
        nodes: CPUs of one NUMA node.
        smt: threads of one core, within one cache: as near as the cache is in what it costs, and
            the first ones that an idle CPU takes from.

    Errors: TypeError for what is no list of lists of whole numbers; ValueError for a CPU that is
    missing, unknown or there twice, an empty list, and what does not lie within one of the larger.

    Example:
        >>> machine = Machine(cpus=4, caches=[[0, 1], [2], [3]], nodes=[[0, 1], [2, 3]])
        >>> machine.distance(0, 1), machine.distance(2, 3), machine.distance(0, 3)
        ('cache', 'node', 'other')
        >>> Machine(cpus=3, nodes=[[0, 1]])
        Traceback (most recent call last):
        ValueError: nodes= has each of the CPUs 0 to 2 in one of its lists; CPU 2 is in none.

    """

    cpus: int = 8
    caches: Sequence[Sequence[int]] | None = None
    nodes: Sequence[Sequence[int]] | None = None
    smt: Sequence[Sequence[int]] | None = None

    def __post_init__(self) -> None:
        cpus = whole(self.cpus, "cpus=", 1, CPUS_MAX)
        nodes = _partition(self.nodes, "nodes=", cpus) or (tuple(range(cpus)),)
        caches = _partition(self.caches, "caches=", cpus) or nodes
        smt = _partition(self.smt, "smt=", cpus)
        _lie_within(caches, "cache", nodes, "node")
        _lie_within(smt or (), "core", caches, "cache")
        for name, value in (("cpus", cpus), ("caches", caches), ("nodes", nodes), ("smt", smt)):
            object.__setattr__(self, name, value)

    @classmethod
    def uniform(cls, cpus: int) -> Machine:
        """CPUs that all share one cache.

        Example:
            >>> Machine.uniform(2).caches
            ((0, 1),)

        """
        return cls(cpus=cpus)

    @classmethod
    def grid(cls, *, nodes: int = 2, caches: int = 2, cpus: int = 4) -> Machine:
        """As many nodes, of as many caches each, of as many CPUs each, numbered in a row.

        Example:
            >>> Machine.grid(nodes=2, caches=1, cpus=2)
            Machine(cpus=4, caches=((0, 1), (2, 3)), nodes=((0, 1), (2, 3)), smt=None)

        """
        whole(nodes, "nodes=", 1, CPUS_MAX)
        whole(caches, "caches=", 1, CPUS_MAX)
        whole(cpus, "cpus=", 1, CPUS_MAX)
        count = nodes * caches * cpus
        if count > CPUS_MAX:
            raise ValueError(
                f"a machine has at most {CPUS_MAX} CPUs; {nodes} nodes of {caches} caches of "
                f"{cpus} CPUs are {count}."
            )
        rows = tuple(range(count))
        return cls(cpus=count, caches=_cut(rows, cpus), nodes=_cut(rows, caches * cpus), smt=None)

    @classmethod
    def here(cls) -> Machine:
        """A machine of the shape of this one: its processors, last caches, nodes and cores.

        The system tells how many there are and how many share a cache, not which: here neighbours
        are numbered in a row, and nodes are as even as they can be.

        Example:
            >>> Machine.here().cpus >= 1
            True

        """
        return machine_like(_core.topology())

    def distance(self, one: int, other: int) -> str:
        """How far two CPUs are from each other: "cache", "node" or "other", as in ``Moves``."""
        for cpu in (one, other):
            whole(cpu, "a CPU of the machine", 0, self.cpus - 1)
        if _number_of(self.caches, one) == _number_of(self.caches, other):
            return "cache"
        same = _number_of(self.nodes, one) == _number_of(self.nodes, other)
        return "node" if same else "other"


def _number_of(parts: Any, cpu: int) -> int:
    return next(number for number, part in enumerate(parts) if cpu in part)


def _partition(given: object, what: str, cpus: int) -> Parts | None:
    """Lists of CPUs as tuples, each CPU in one of them; None stays."""
    if given is None:
        return None
    lists = _items(given)
    if lists is None:
        raise TypeError(f"{what} is a list of lists of CPUs, got {given!r}.")
    parts = []
    seen: set[int] = set()
    for part in lists:
        inner = _items(part)
        if inner is None:
            raise TypeError(f"{what} is a list of lists of CPUs, got {part!r} among them.")
        taken = tuple(whole(cpu, f"a CPU of {what}", 0, cpus - 1) for cpu in inner)
        if not taken:
            raise ValueError(f"{what} has no empty lists, got {given!r}.")
        for cpu in taken:
            if cpu in seen:
                raise ValueError(
                    f"{what} has each of the CPUs 0 to {cpus - 1} in one of its lists; CPU {cpu} "
                    "is there twice."
                )
            seen.add(cpu)
        parts.append(taken)
    missing = next((cpu for cpu in range(cpus) if cpu not in seen), None)
    if missing is not None:
        raise ValueError(
            f"{what} has each of the CPUs 0 to {cpus - 1} in one of its lists; CPU {missing} is "
            "in none."
        )
    return tuple(parts)


def _items(given: object) -> tuple[object, ...] | None:
    """What is in a list of any kind; None for what is no list."""
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        return None
    return tuple(given)


def _lie_within(inner: Parts, noun: str, outer: Parts, whose: str) -> None:
    of = {cpu: number for number, part in enumerate(outer) for cpu in part}
    for part in inner:
        for one, other in pairwise(part):
            if of[one] != of[other]:
                raise ValueError(
                    f"a {noun} lies within one {whose}; CPUs {one} and {other} share the {noun} "
                    f"{list(part)} and are of {whose}s {list(outer[of[one]])} and "
                    f"{list(outer[of[other]])}."
                )


def _cut(row: Sequence[int], size: int) -> Parts:
    """Pieces of a row, of a size, the last one of what is left."""
    return tuple(tuple(row[start : start + size]) for start in range(0, len(row), size))


def machine_like(topology: dict[str, Any]) -> Machine:
    """A machine with the counts that ``_core.topology`` tells.

    Example:
        >>> cache = {"level": 3, "type": "unified", "shared_by": 2}
        >>> counts = {"processors": 4, "cores": 2, "numa_nodes": 1, "caches": [cache]}
        >>> machine_like(counts)
        Machine(cpus=4, caches=((0, 1), (2, 3)), nodes=((0, 1, 2, 3),), smt=((0, 1), (2, 3)))

    """
    cpus = min(CPUS_MAX, topology["processors"])
    count = max(1, min(cpus, topology["numa_nodes"]))
    bounds = [cpus * node // count for node in range(count + 1)]
    nodes = tuple(tuple(range(*bound)) for bound in pairwise(bounds))
    last = max((cache["level"] for cache in topology["caches"]), default=0)
    sharing = [cache["shared_by"] for cache in topology["caches"] if cache["level"] == last]
    caches = tuple(part for node in nodes for part in _cut(node, max(sharing, default=cpus)))
    threads = max(1, topology["processors"] // max(1, topology["cores"]))
    smt = tuple(part for cache in caches for part in _cut(cache, threads))
    return Machine(cpus=cpus, caches=caches, nodes=nodes, smt=smt if threads > 1 else None)


def read_cpus(given: object, what: str) -> Machine:
    """A machine as it is, or one of so many CPUs."""
    if isinstance(given, Machine):
        return given
    if isinstance(given, bool) or not hasattr(given, "__index__"):
        raise TypeError(f"{what} is a whole number or a fo.sim.Machine, got {given!r}.")
    return Machine.uniform(whole(given, what, 1, CPUS_MAX))


def read_costs(given: object, what: str, most: int) -> tuple[int, int, int]:
    """What the core charges by distance, of one number for all or one for each distance.

    Example:
        >>> read_costs(2, "steal_cost=", 9), read_costs((0, 1, 5), "steal_cost=", 9)
        ((2, 2, 2), (0, 1, 5))

    """
    values = _items(given)
    if values is None:
        cost = whole(given, what, 0, most)
        return cost, cost, cost
    if len(values) != len(DISTANCES):
        raise ValueError(f"{what} is one number, or three: {', '.join(DISTANCES)}; got {given!r}.")
    near, middle, far = (
        whole(value, f"{what} ({name})", 0, most)
        for value, name in zip(values, DISTANCES, strict=True)
    )
    return near, middle, far


def core_machine(machine: Machine) -> npt.NDArray[np.uint32] | None:
    """Of each CPU its core, then its cache, then its node, as the core takes them.

    None when all share one cache and no core, which is what the core does without a machine.
    """
    parts: tuple[Any, ...] = (machine.smt, machine.caches, machine.nodes)
    if machine.smt is None and len(parts[1]) == 1:
        return None
    rows = np.empty((3, machine.cpus), "u4")
    rows[0] = np.arange(machine.cpus)
    for row, lists in zip(rows, parts, strict=True):
        for number, cpus in enumerate(lists or ()):
            row[list(cpus)] = number
    return rows.reshape(-1)
