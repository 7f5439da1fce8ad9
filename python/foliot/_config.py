"""Capacities: what a world and its schedulers may grow to."""

from __future__ import annotations

import numbers
from collections.abc import Callable
from dataclasses import dataclass, fields


@dataclass(frozen=True, kw_only=True)
class Config:
    """Capacities of a world and of the schedulers that run it; each one is a bound, not a size.

    Memory is taken as it is needed, up to the bound, and kept. A call that would pass a bound
    raises ``CapacityError`` naming the setting, and changes nothing. Which call that is, is the
    same on every backend and number of workers.

    Attributes:
        max_entities: entities alive at once. A recorded spawn takes its place at the merge, and one
            that finds none is refused there; what one run of a system spawns is bounded by it too.
        max_components: component and resource types of one world, at most 1024.
        max_tables: distinct sets of components, beside the empty one.
        max_systems: systems of one schedule.
        max_commands: commands that one system may record each time it runs. One more raises in a
            Python system at once; of a native system, which several workers may run, the merge
            refuses what is beyond.
        command_bytes: bytes of data that those commands may carry together, each value rounded up
            to a multiple of 16.
        max_dt: the longest step of one frame, in seconds.
        target_task_seconds: a native system over many rows is cut into pieces that take about so
            long, for several workers; from 1e-6 to 1.0.
        steal_batch: pieces of work that one worker takes from another at most at once; 0 leaves it
            to the scheduler.
        require_workers: when the system refuses threads, raise OSError rather than run with fewer.
        max_io: operations one worker has asked for or in flight.
        min_io_threads: threads of the blocking pool that are kept when idle.
        max_io_threads: threads it grows to, at most 1024.
        sqpoll: let a thread of the kernel look at the ring's queue, which burns a processor;
            refused on two processors or fewer.
        adaptive_window: frames over which the adaptive backend measures, from 4 to 4096.
        adaptive_cooldown: frames after a switch of it before the next one.
        adaptive_least_gain: the part of a frame that a switch must save, as expected; below 1.
        adaptive_least_operations: operations of a frame that are worth the ring to it.

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
    target_task_seconds: float = 50e-6
    steal_batch: int = 0
    require_workers: bool = False
    max_io: int = 65_536
    min_io_threads: int = 0
    max_io_threads: int = 16
    sqpoll: bool = False
    adaptive_window: int = 32
    adaptive_cooldown: int = 64
    adaptive_least_gain: float = 0.05
    adaptive_least_operations: float = 8.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            # numpy's numbers become Python's, so that equal settings look alike.
            checked = _CHECKS.get(field.name, _number)(field.name, value)
            object.__setattr__(self, field.name, checked)
        if self.min_io_threads > self.max_io_threads:
            raise ValueError(
                f"Config.min_io_threads is at most max_io_threads ({self.max_io_threads}), got "
                f"{self.min_io_threads}."
            )


def _number(name: str, value: object) -> int:
    """A whole number within its bounds."""
    lowest, highest = _BOUNDS[name]
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"Config.{name} is an integer, got {value!r}.")
    number = int(value)
    if not lowest <= number <= highest:
        raise ValueError(f"Config.{name} is from {lowest} to {highest}, got {value}.")
    return number


def _seconds(name: str, value: object, what: str = "a number of seconds") -> float:
    """A number; what no float can hold is infinity."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"Config.{name} is {what}, got {value!r}.")
    try:
        return float(value)
    except OverflowError:
        return float("inf")


def _max_dt(name: str, value: object) -> float:
    seconds = _seconds(name, value)
    if not 0 < seconds < float("inf"):
        raise ValueError(f"Config.{name} is finite and above 0, got {value!r}.")
    return seconds


def _task_seconds(name: str, value: object) -> float:
    seconds = _seconds(name, value)
    if not 1e-6 <= seconds <= 1.0:
        raise ValueError(f"Config.{name} is from 1e-6 to 1.0 seconds, got {value!r}.")
    return seconds


def _least_gain(name: str, value: object) -> float:
    gain = _seconds(name, value, "a number")
    if not 0.0 <= gain < 1.0:
        raise ValueError(f"Config.{name} is at least 0.0 and below 1.0, got {value!r}.")
    return gain


def _least_operations(name: str, value: object) -> float:
    operations = _seconds(name, value, "a number")
    if not 0.0 <= operations <= 1e9:
        raise ValueError(f"Config.{name} is from 0.0 to 1e9, got {value!r}.")
    return operations


def _flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"Config.{name} is True or False, got {value!r}.")
    return value


_CHECKS: dict[str, Callable[[str, object], int | float]] = {
    "max_dt": _max_dt,
    "target_task_seconds": _task_seconds,
    "require_workers": _flag,
    "sqpoll": _flag,
    "adaptive_least_gain": _least_gain,
    "adaptive_least_operations": _least_operations,
}

_BOUNDS = {
    "max_entities": (1, 2**32 - 3),
    "max_components": (1, 1024),
    "max_tables": (1, 2**20),
    "max_systems": (1, 65_536),
    "max_commands": (1, 2**24),
    "command_bytes": (1, 2**40),
    "steal_batch": (0, 65_536),
    "max_io": (1, 2**24),
    "min_io_threads": (0, 1024),
    "max_io_threads": (1, 1024),
    "adaptive_window": (4, 4096),
    "adaptive_cooldown": (0, 2**31 - 1),
}
