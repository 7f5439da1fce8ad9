"""Which function simulates which kind of workload: one table, by the type of what is given.

A module that knows a kind of workload registers a function for its type; ``foliot.sim.run`` asks
here. The options are those that were given to ``run``, and no others, so that each function can
refuse what means nothing to its workload.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import singledispatch
from typing import Any


@singledispatch
def simulate(workload: object, options: Mapping[str, Any]) -> Any:
    """Simulate a workload by the function registered for its type; TypeError when none is."""
    known = sorted(
        kind.__name__ for kind in simulate.registry if kind not in (object, str)
    )  # text is the path of a file
    asked = f", with {', '.join(options)}" if options else ""
    raise TypeError(
        f"fo.sim.run takes a workload of one of these types: {', '.join(known)}; got "
        f"{workload!r}{asked}."
    )


def refuse_options(options: Mapping[str, Any], allowed: tuple[str, ...], what: str) -> None:
    """ValueError for options that mean nothing to a kind of workload.

    Example:
        >>> refuse_options({"cpus": 2, "seed": 1}, ("cpus",), "a task graph")
        Traceback (most recent call last):
        ValueError: seed= means nothing for a task graph; its options are cpus=.

    """
    unknown = [name for name in options if name not in allowed]
    if unknown:
        raise ValueError(
            f"{unknown[0]}= means nothing for {what}; its options are "
            f"{', '.join(f'{name}=' for name in allowed)}."
        )
