"""Capacities: what a world and its schedulers may grow to."""

from __future__ import annotations

import numbers
from dataclasses import dataclass, fields


@dataclass(frozen=True, kw_only=True)
class Config:
    """Capacities of a world and of the schedulers that run it; each one is a bound, not a size.

    Memory is taken as it is needed, up to the bound, and never while systems run. A call that would
    pass a bound raises ``CapacityError`` naming the setting, and changes nothing.

    Attributes:
        max_entities: entities alive at once.
        max_components: component and resource types of one world, at most 1024.
        max_tables: distinct sets of components, beside the empty one.
        max_systems: systems of one schedule.
        max_commands: commands one worker records between two merges.
        command_bytes: bytes of data those commands carry; reserved as address space.
        max_dt: the longest step of one frame, in seconds.

    Errors: TypeError for a setting that is no number, ValueError for one outside of its range.

    Example:
        >>> Config(max_entities=1000).max_entities
        1000

    """

    max_entities: int = 4_194_304
    max_components: int = 1024
    max_tables: int = 65_536
    max_systems: int = 4096
    max_commands: int = 65_536
    command_bytes: int = 256 * 1024 * 1024
    max_dt: float = 1000.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "max_dt":
                if isinstance(value, bool) or not isinstance(value, numbers.Real):
                    raise TypeError(f"Config.max_dt is a number of seconds, got {value!r}.")
                try:
                    seconds = float(value)
                except OverflowError:
                    seconds = float("inf")
                if not 0 < seconds < float("inf"):
                    raise ValueError(f"Config.max_dt is finite and above 0, got {value!r}.")
                object.__setattr__(self, field.name, seconds)
                continue
            highest = _HIGHEST[field.name]
            if isinstance(value, bool) or not isinstance(value, numbers.Integral):
                raise TypeError(f"Config.{field.name} is an integer, got {value!r}.")
            number = int(value)
            if not 1 <= number <= highest:
                raise ValueError(f"Config.{field.name} is from 1 to {highest}, got {value}.")
            # numpy's numbers become Python's, so that equal settings look alike.
            object.__setattr__(self, field.name, number)


_HIGHEST = {
    "max_entities": 2**32 - 3,
    "max_components": 1024,
    "max_tables": 2**20,
    "max_systems": 65_536,
    "max_commands": 2**24,
    "command_bytes": 2**40,
}
