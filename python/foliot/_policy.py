"""Policies: what a scheduler decides, as methods that may be overridden.

A policy is an object with up to eight methods, the *slots*. What it overrides it decides; the rest
is the built-in policy named by ``base``. A slot may also be a native function. The compiled core
reads a policy once, when a scheduler or a simulation starts, through the functions at the end.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import EllipsisType
from typing import TYPE_CHECKING, cast

from foliot import _checks, _core
from foliot._policy_native import NativeSlot, is_native, native_slot, policy_signature

if TYPE_CHECKING:
    from foliot._core import Ready, Runnable

BASES = _core.POLICY_NAMES
# The deadline of a runnable that has none.
NEVER = 2**63 - 1


@dataclass(frozen=True, slots=True)
class PolicyLoad:
    """What the adaptive backend knows when it chooses; means over its window.

    Attributes:
        frame_ns: Nanoseconds a frame takes.
        busy_ns: Nanoseconds of all its systems.
        parallelism: busy over frame, or the plan's bound while nothing else is known.
        operations: I/O submitted a frame.
        in_flight: I/O in flight.
        current: Name of the backend in use.

    """

    frame_ns: float
    busy_ns: float
    parallelism: float
    operations: float
    in_flight: float
    current: str


class Policy:
    """Decisions of a scheduler, live and simulated: override any slot, the rest is built in.

    A slot that returns None leaves that decision to ``base``; so does one that raises, answers what
    cannot be, or takes too long, which is recorded as a fault. After ``max_faults`` of those the
    policy is switched off. Nothing stops. A slot may also be a native function:
    ``pick = fo.native_slot(function)`` in the class, or ``Policy(slots={"pick": function})``.

    Methods are read once, when a scheduler or a simulation starts; attributes that they use may
    change at any time. ``runnable`` and ``ready`` are good during the call that was given them.
    Times are nanoseconds of the scheduler's clock live, and units of the task set in a simulation.

    Attributes:
        base: Name of the built-in policy that decides the rest.
        max_faults: Faults before the policy is switched off, at least 1.
        call_limit: Seconds that one call may take in a live scheduler, or None for any time.
            Simulations have no limit, so that they do the same on each machine.

    Example:
        >>> import foliot as fo
        >>> class Shortest(fo.Policy):
        ...     base = "fifo"
        ...
        ...     def pick(self, ready, *, cpu, now):
        ...         return min(ready, key=lambda runnable: runnable.expected)
        >>> Shortest().slots
        ('pick',)

    """

    base: str = "eevdf"
    max_faults: int = 8
    call_limit: float | None = 1e-3

    def __init__(
        self,
        *,
        base: str | None = None,
        max_faults: int | None = None,
        call_limit: float | EllipsisType | None = ...,
        slots: Mapping[str, object] | None = None,
    ) -> None:
        if base is not None:
            self.base = base
        if max_faults is not None:
            self.max_faults = max_faults
        if not isinstance(call_limit, EllipsisType):
            self.call_limit = call_limit
        for name, function in (slots or {}).items():
            policy_signature(name)
            slot = function if isinstance(function, NativeSlot) else native_slot(function)
            slot.kernel_for(name)
            self.__dict__[name] = slot
        read_policy(self)

    @property
    def slots(self) -> tuple[str, ...]:
        """Names of the slots that this policy fills."""
        return tuple(name for name in _core.SLOT_NAMES if _filled(self, name) is not None)

    def pick(self, ready: Ready, *, cpu: int, now: int) -> Runnable | None:
        """Who runs next on the CPU: a member of ``ready``."""

    def slice(self, runnable: Runnable, *, now: int) -> int | None:
        """How long it runs at most before the policy is asked again; at least 1."""

    def enqueue(self, runnable: Runnable, *, now: int) -> int | None:
        """The rank of what became ready: the least runs first, before all without a rank."""

    def admit(self, runnable: Runnable, *, now: int) -> bool | None:
        """Whether the job that was released is taken; if not it is skipped and recorded."""

    def victims(self, worker: int, *, workers: int) -> Sequence[int] | None:
        """In which order an idle worker looks at the others; the rest is looked at after."""

    def spin_limit(self, worker: int) -> int | None:
        """Rounds of looking in vain before a worker parks, 0 to 1,000,000."""

    def chunk_rows(self, system: str, rows: int) -> int | None:
        """Rows of one piece of a native system that has so many; at least 1."""

    def backend(self, load: PolicyLoad) -> str | None:
        """The backend that the adaptive one uses from here on, by name."""


# How each slot is called, for those in Python.
_CALLS: dict[str, tuple[str, ...]] = {
    "enqueue": ("runnable", "now="),
    "pick": ("ready", "cpu=", "now="),
    "slice": ("runnable", "now="),
    "admit": ("runnable", "now="),
    "victims": ("worker", "workers="),
    "spin_limit": ("worker",),
    "chunk_rows": ("system", "rows"),
    "backend": ("load",),
}


def _filled(policy: Policy, name: str) -> object:
    """What fills a slot of a policy, or None when it is inherited."""
    value: object = getattr(policy, name)
    return None if getattr(value, "__func__", value) is getattr(Policy, name) else value


def _check_call(what: str, slot: str, function: Callable[..., object]) -> None:
    """TypeError unless the function takes what its slot is given."""
    if not callable(function):
        raise TypeError(f"{what} is a method or fo.native_slot(…), got {function!r}.")
    try:
        signature = inspect.signature(function)
    except ValueError:
        # Some built-in functions state none; the call itself will tell.
        return
    names = _CALLS[slot]
    keywords = [name.rstrip("=") for name in names if name.endswith("=")]
    try:
        signature.bind(*names[: len(names) - len(keywords)], **dict.fromkeys(keywords))
    except TypeError as error:
        call = ", ".join(name + name.rstrip("=") if name.endswith("=") else name for name in names)
        raise TypeError(f"{what}{signature} is called as {slot}({call}): {error}.") from error


def _read_slot(policy: Policy, name: str) -> object:
    """What the core calls for a slot: None, a kernel, or a callable."""
    value = _filled(policy, name)
    if value is None:
        return None
    if isinstance(value, NativeSlot):
        return value.kernel_for(name)
    if is_native(value):
        return native_slot(value).kernel_for(name)
    _check_call(f"{type(policy).__name__}.{name}", name, cast("Callable[..., object]", value))
    return value


def read_name(name: object) -> int:
    """The number of a built-in policy in ``fol_policy_kind``."""
    if not isinstance(name, str):
        raise TypeError(f"a policy is a name or a fo.Policy, got {name!r}.")
    if name not in BASES:
        raise ValueError(f"unknown policy {name!r}; there are {', '.join(BASES)}.")
    return BASES.index(name)


def read_policy(policy: object) -> tuple[int, int, int | None, tuple[object, ...]]:
    """What the core binds: base, faults, nanoseconds of a call or None, and each slot."""
    if isinstance(policy, type) and issubclass(policy, Policy):
        raise TypeError(f"a policy is an object: {policy.__name__}(), not its class.")
    if not isinstance(policy, Policy):
        return read_name(policy), 1, None, ()
    what = type(policy).__name__
    base = read_name(policy.base)
    faults = _checks.whole(policy.max_faults, f"{what}.max_faults", 1, 2**32 - 1)
    limit = policy.call_limit
    if limit is not None:
        limit = _checks.real(limit, f"{what}.call_limit")
        if not 0 < limit <= 1e6:
            raise ValueError(
                f"{what}.call_limit is above 0 and at most 1e6 seconds, or None; got {limit!r}."
            )
    slots = tuple(_read_slot(policy, name) for name in _core.SLOT_NAMES)
    return base, faults, None if limit is None else math.ceil(limit * 1e9), slots
