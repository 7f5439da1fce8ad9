"""Random machines, and their distances as models of the simulators see them."""

from __future__ import annotations

from foliot.sim import Machine
from hypothesis import strategies as st

COSTS = st.integers(0, 3) | st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3))


def _split(draw, row):
    """A row of CPUs in pieces."""
    cuts = sorted(draw(st.sets(st.integers(1, len(row) - 1)))) if len(row) > 1 else []
    return [row[start:end] for start, end in zip([0, *cuts], [*cuts, len(row)], strict=True)]


@st.composite
def machines(draw, *, most=6):
    """Nodes of caches of cores, of CPUs that are numbered in any order."""
    cpus = draw(st.integers(1, most))
    nodes = _split(draw, draw(st.permutations(range(cpus))))
    caches = [cache for node in nodes for cache in _split(draw, node)]
    smt = [core for cache in caches for core in _split(draw, cache)]
    return Machine(cpus=cpus, caches=caches, nodes=nodes, smt=draw(st.sampled_from([None, smt])))


def level(machine, one, other):
    """0: of one core, 1: of one cache, 2: of one node, 3: of none of these."""
    for number, parts in enumerate((machine.smt or (), machine.caches, machine.nodes)):
        if any(one in part and other in part for part in parts):
            return number
    return 3


def charge(costs, machine, one, other):
    """One number for all distances, or what is the number of this one; a core is in its cache."""
    return costs if isinstance(costs, int) else costs[max(0, level(machine, one, other) - 1)]


def nearest_first(machine, thief, victims):
    """Victims in their order, but the nearer ones before the farther."""
    return sorted(victims, key=lambda victim: level(machine, thief, victim))
