"""foliot: a scheduler you can take apart and tune.

Say what each piece of work reads and writes; foliot proves what may run together, runs it, and says
why each thing ran when it did.

    >>> import foliot as fo
    >>> Position, Velocity = fo.component("Position", "f8"), fo.component("Velocity", "f8")
    >>> @fo.system(reads=Velocity, writes=Position)
    ... def move(ctx):
    ...     for chunk in ctx:
    ...         chunk[Position] += chunk[Velocity] * ctx.dt
    >>> world = fo.World()
    >>> ball = world.spawn(Position(1.0), Velocity(2.0))
    >>> with fo.Scheduler(world, fo.Schedule(move)) as scheduler:
    ...     frame = scheduler.tick(0.5)
    >>> world.get(ball, Position).value
    2.0

This file only re-exports. What computes is the compiled ``_core``; what declares stands in
``_component`` (components and resources), ``_config`` (capacities), ``_system`` and ``_native``
(systems), ``_schedule`` and ``_plan`` (what runs when), ``_picture``, ``_svg`` and ``_layout``
(drawing it), ``_budget`` (how much time it may take), ``_scheduler`` and ``_frame`` (running it,
and what it tells), ``_trace``, ``_gantt`` and ``plot`` (what each worker did when), ``_errors``.
"""

from foliot import analysis, io, plot, policy, sim
from foliot._account import Account
from foliot._attribution import Attribution
from foliot._budget import Depletion, Group, SchedulingContext
from foliot._component import (
    Bytes,
    bool_,
    component,
    f4,
    f8,
    i1,
    i2,
    i4,
    i8,
    resource,
    tag,
    u1,
    u2,
    u4,
    u8,
)
from foliot._config import Config
from foliot._core import Chunk, Commands, Context, Entity, FrameResult, VirtualClock, World
from foliot._errors import (
    AbandonedError,
    AccessError,
    CapacityError,
    DuplicateSystemError,
    FoliotError,
    ForkedError,
    FrameError,
    KernelError,
    KernelSignatureError,
    OrderCycleError,
    ScheduleError,
    StaleHandleError,
    UnknownPhaseError,
    UnknownSystemError,
    WorldBusyError,
)
from foliot._frame import (
    BackendInfo,
    Quarantine,
    RunReport,
    SchedulerStats,
    Span,
    SystemTiming,
    WorkerStats,
    quarantine,
)
from foliot._govern import Accounts, Decision
from foliot._include import get_include
from foliot._native import numba_signature
from foliot._plan import Ambiguity, Conflict, Plan, PlanChanges, SyncPoint
from foliot._policy import Policy
from foliot._policy_native import native_slot, policy_signature
from foliot._schedule import Phase, Schedule
from foliot._scheduler import BACKENDS, Clock, Scheduler
from foliot._system import Query, System, native, system
from foliot._taskset import PeriodicTask, TaskSet
from foliot._trace import Trace

__version__ = "0.1.0"

__all__ = [
    "BACKENDS",
    "AbandonedError",
    "AccessError",
    "Account",
    "Accounts",
    "Ambiguity",
    "Attribution",
    "BackendInfo",
    "Bytes",
    "CapacityError",
    "Chunk",
    "Clock",
    "Commands",
    "Config",
    "Conflict",
    "Context",
    "Decision",
    "Depletion",
    "DuplicateSystemError",
    "Entity",
    "FoliotError",
    "ForkedError",
    "FrameError",
    "FrameResult",
    "Group",
    "KernelError",
    "KernelSignatureError",
    "OrderCycleError",
    "PeriodicTask",
    "Phase",
    "Plan",
    "PlanChanges",
    "Policy",
    "Quarantine",
    "Query",
    "RunReport",
    "Schedule",
    "ScheduleError",
    "Scheduler",
    "SchedulerStats",
    "SchedulingContext",
    "Span",
    "StaleHandleError",
    "SyncPoint",
    "System",
    "SystemTiming",
    "TaskSet",
    "Trace",
    "UnknownPhaseError",
    "UnknownSystemError",
    "VirtualClock",
    "WorkerStats",
    "World",
    "WorldBusyError",
    "analysis",
    "bool_",
    "component",
    "f4",
    "f8",
    "get_include",
    "i1",
    "i2",
    "i4",
    "i8",
    "io",
    "native",
    "native_slot",
    "numba_signature",
    "plot",
    "policy",
    "policy_signature",
    "quarantine",
    "resource",
    "sim",
    "system",
    "tag",
    "u1",
    "u2",
    "u4",
    "u8",
]
