"""Workloads of rt-app: the periodic part of its JSON files, as a task set in microseconds.

Read is what a task set says exactly: threads that run for a time and wait for a timer, for ever.
Whatever else a thread may do (sleep, lock, signal, fork, several phases) is refused by its key,
with line and column; so is every key that this module does not know. Source of the format: the
tutorial in rt-app's own documentation (github.com/scheduler-tools/rt-app).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from foliot._json_places import Node, Place, Reader
from foliot._taskset import PeriodicTask, TaskSet

POLICIES = {"SCHED_DEADLINE": "edf", "SCHED_FIFO": "fp", "SCHED_OTHER": "eevdf"}
_TIME_MAX = 2**60
_INSTANCES_MAX = 65_536
_DURATION_MAX = 10**12

# Keys of "global" that have no bearing on when anything runs.
_LOGGING = (
    "calibration pi_enabled lock_pages logdir log_basename log_size ftrace gnuplot io_device "
    "mem_buffer_size cumulative_slack"
).split()
_RUNS = re.compile(r"(?:run|runtime)[0-9]*\Z")
_TIMERS = re.compile(r"timer[0-9]*\Z")
_SLEEPS = re.compile(r"sleep[0-9]*\Z")
_THREAD = (
    "instance delay loop policy priority dl-runtime dl-period dl-deadline cpus phases taskgroup"
).split()
_WHY = {
    "sleep": "a sleep makes the period depend on when the job before ended; use a timer",
    "util_min": "utilisation clamps are not simulated",
    "util_max": "utilisation clamps are not simulated",
    "membind_nodes": "memory is not simulated",
    "nodes_membind": "memory is not simulated",
    "period": "in a thread this is an old name of dl-period; use that",
    "deadline": "in a thread this is an old name of dl-deadline; use that",
}


@dataclass(slots=True)
class RtApp:
    """What a file says.

    Attributes:
        tasks: its threads, times in microseconds.
        policy: the policy of all of them as ``fo.sim.run`` calls it; None when they differ.
        until: the duration in microseconds; None for no end.
        notes: sentences about where the simulation is not quite what rt-app does.

    """

    tasks: TaskSet
    policy: str | None
    until: int | None
    notes: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Thread:
    """A thread object, its phase merged into it."""

    name: str
    node: Node
    values: dict[str, Node]
    keys: dict[str, Place]
    policy: str = "SCHED_OTHER"


def read_rtapp(text: str, where: str) -> RtApp:
    """The task set of an rt-app file.

    Errors: ValueError with file, line and column, and the key or what was expected.

    Example:
        >>> file = '''{"tasks": {"control": {"run": 2000, "timer": {"ref": "unique",
        ...     "period": 10000}}}, "global": {"duration": 1, "default_policy": "SCHED_FIFO"}}'''
        >>> read_rtapp(file, "file").tasks
        TaskSet([PeriodicTask(wcet=2000, period=10000, name='control', priority=-10)])

    """
    return _Translator(Reader(text, where)).translate()


class _Translator:
    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.notes: list[str] = []
        self.timers: dict[str, str] = {}
        self.policies: dict[str, str] = {}

    def translate(self) -> RtApp:
        top = self.reader.read()
        parts = self.object_of(top, "the file")
        for key, place in top.keys.items():
            if key not in ("tasks", "global"):
                self.reader.fail(place, f"`{key}` is not read; the file has `tasks` and `global`")
        if "tasks" not in parts:
            self.reader.fail(top.place, "the file lacks `tasks`")
        settings = parts.get("global", Node({}, top.place, {}))
        default, until = self.settings_of(settings)
        tasks = []
        for name, node in self.object_of(parts["tasks"], "`tasks`").items():
            tasks += self.tasks_of(name, node, default)
        kinds = set(self.policies.values())
        policy = POLICIES[kinds.pop()] if len(kinds) == 1 else None
        try:
            return RtApp(TaskSet(tasks), policy, until, self.notes)
        except ValueError as error:
            self.reader.fail(parts["tasks"].place, f"`tasks` are no task set: {error}")

    def object_of(self, node: Node, what: str) -> dict[str, Node]:
        """The members of an object."""
        if not isinstance(node.value, dict):
            self.reader.fail(node.place, f"{what} is an object, got {_shown(node)}")
        return node.value

    def whole(self, node: Node, what: str, lowest: int, highest: int) -> int:
        """A whole number within bounds."""
        value = node.value
        if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
            self.reader.fail(
                node.place,
                f"{what} is a whole number from {lowest} to {highest}, got {_shown(node)}",
            )
        return value

    def text_of(self, node: Node, what: str) -> str:
        """Text."""
        if not isinstance(node.value, str):
            self.reader.fail(node.place, f"{what} is text, got {_shown(node)}")
        return node.value

    def settings_of(self, node: Node) -> tuple[str, int | None]:
        """Default policy and duration in microseconds of the global object."""
        settings = self.object_of(node, "`global`")
        for key, place in node.keys.items():
            if key not in ("duration", "default_policy", *_LOGGING):
                self.reader.fail(place, f"`{key}` of `global` is not known")
        policy = "SCHED_OTHER"
        if "default_policy" in settings:
            policy = self.policy_of(settings["default_policy"], "`default_policy`")
        duration = -1
        if "duration" in settings:
            duration = self.whole(settings["duration"], "`duration`", -1, _DURATION_MAX)
            if duration == 0:
                self.reader.fail(
                    settings["duration"].place, "`duration` is -1 or at least 1, got 0"
                )
        return policy, duration * 10**6 if duration > 0 else None

    def policy_of(self, node: Node, what: str) -> str:
        """One of the policies that can be simulated."""
        if not isinstance(node.value, str) or node.value not in POLICIES:
            self.reader.fail(
                node.place, f"{what} is one of {', '.join(POLICIES)} here, got {_shown(node)}"
            )
        return self.text_of(node, what)

    def tasks_of(self, name: str, node: Node, default: str) -> list[PeriodicTask]:
        """The tasks of one thread object, one for each instance."""
        thread = self.merged(name, node)
        for key, place in thread.keys.items():
            self.check_key(thread, key, place)
        thread.policy = default
        if "policy" in thread.values:
            thread.policy = self.policy_of(thread.values["policy"], f"`policy` of `{name}`")
        self.policies[name] = thread.policy
        period = self.period_of(thread)
        cost = self.cost_of(thread)
        instances = self.number(thread, "instance", 1, 0, _INSTANCES_MAX)
        names = [name] if instances == 1 else [f"{name}-{number}" for number in range(instances)]
        wanted = self.reservation_of(thread, cost, period)
        try:
            return [
                PeriodicTask(
                    name=called,
                    period=period,
                    offset=self.number(thread, "delay", 0, 0, _TIME_MAX),
                    cpu=self.cpu_of(thread),
                    priority=self.priority_of(thread),
                    **wanted,
                )
                for called in names
            ]
        except (TypeError, ValueError) as error:
            self.reader.fail(node.place, f"`{name}` is no task: {error}")

    def merged(self, name: str, node: Node) -> _Thread:
        """A thread with its only phase, if it has phases."""
        values = dict(self.object_of(node, f"`{name}`"))
        keys = dict(node.keys)
        if "phases" in values:
            phases = self.object_of(values["phases"], f"`phases` of `{name}`")
            if len(phases) != 1:
                self.reader.fail(
                    keys["phases"], f"`{name}` has {len(phases)} phases; a periodic task has one"
                )
            ((inner_name, inner),) = phases.items()
            members = self.object_of(inner, f"phase `{inner_name}`")
            for key in members:
                if key in ("instance", "delay", "phases"):
                    self.reader.fail(inner.keys[key], f"`{key}` belongs to a thread, not a phase")
            # How often one phase repeats in a thread that repeats for ever makes no difference.
            if "loop" in members:
                self.whole(members["loop"], f"`loop` of phase `{inner_name}`", -1, 2**31)
            values |= {key: member for key, member in members.items() if key != "loop"}
            keys |= {key: place for key, place in inner.keys.items() if key != "loop"}
        return _Thread(name, node, values, keys)

    def check_key(self, thread: _Thread, key: str, place: Place) -> None:
        """Refuse what a task set cannot say."""
        if _SLEEPS.match(key):
            if thread.values[key].value != 0:
                self.reader.fail(place, f"`{key}` of `{thread.name}`: {_WHY['sleep']}")
        elif key == "taskgroup":
            if thread.values[key].value != "":
                self.reader.fail(place, f"`{key}` of `{thread.name}`: groups are not read")
        elif key not in _THREAD and not _RUNS.match(key) and not _TIMERS.match(key):
            why = _WHY.get(key, "it is not part of a periodic task, or not known")
            self.reader.fail(place, f"`{key}` of `{thread.name}`: {why}")

    def number(self, thread: _Thread, key: str, missing: int, lowest: int, highest: int) -> int:
        """A number of a thread, or what stands for it."""
        if key not in thread.values:
            return missing
        return self.whole(thread.values[key], f"`{key}` of `{thread.name}`", lowest, highest)

    def cost_of(self, thread: _Thread) -> int:
        """The sum of its runs, which come before the timer."""
        if self.number(thread, "loop", -1, -(2**31), 2**31) != -1:
            self.reader.fail(
                thread.keys["loop"], f"`loop` of `{thread.name}` is -1: a periodic task never ends"
            )
        cost, timer = 0, False
        for key, node in thread.values.items():
            if _TIMERS.match(key):
                timer = True
            elif _RUNS.match(key):
                if timer:
                    self.reader.fail(
                        thread.keys[key], f"`{key}` of `{thread.name}` comes after its timer"
                    )
                cost += self.whole(node, f"`{key}` of `{thread.name}`", 0, _TIME_MAX)
        if cost < 1:
            self.reader.fail(thread.node.place, f"`{thread.name}` does not run: it lacks `run`")
        return cost

    def period_of(self, thread: _Thread) -> int:
        """The period of its one timer."""
        found = [key for key in thread.values if _TIMERS.match(key)]
        if len(found) != 1:
            self.reader.fail(
                thread.node.place, f"`{thread.name}` has {len(found)} timers; a periodic task has 1"
            )
        node, what = thread.values[found[0]], f"`{found[0]}` of `{thread.name}`"
        timer = self.object_of(node, what)
        for key, place in node.keys.items():
            if key not in ("ref", "period", "mode"):
                self.reader.fail(place, f"`{key}` of {what} is not known")
        for key in ("ref", "period"):
            if key not in timer:
                self.reader.fail(node.place, f"{what} lacks `{key}`")
        self.check_ref(thread, timer["ref"])
        mode = timer["mode"].value if "mode" in timer else "relative"
        if mode not in ("relative", "absolute"):
            self.reader.fail(
                timer["mode"].place,
                f"`mode` of {what} is relative or absolute, got {_shown(timer['mode'])}",
            )
        if mode == "relative":
            self.notes.append(
                f"the timer of `{thread.name}` is relative: rt-app moves later releases after a "
                "job that ends past its period; here they stay where they are"
            )
        return self.whole(timer["period"], f"`period` of {what}", 1, _TIME_MAX)

    def check_ref(self, thread: _Thread, node: Node) -> None:
        """A timer that threads share would not be periodic for any of them."""
        ref = self.text_of(node, f"`ref` of the timer of `{thread.name}`")
        if ref.startswith("unique"):
            return
        shared = self.timers.get(ref)
        if shared is None and self.number(thread, "instance", 1, 0, _INSTANCES_MAX) > 1:
            shared = thread.name
        if shared is not None:
            self.reader.fail(
                node.place,
                f"the timer `{ref}` of `{thread.name}` is shared with `{shared}`; a `ref` that "
                "begins with `unique` gives each its own",
            )
        self.timers[ref] = thread.name

    def reservation_of(self, thread: _Thread, cost: int, period: int) -> dict[str, Any]:
        """Wcet, execution and deadline."""
        given = [key for key in ("dl-runtime", "dl-period", "dl-deadline") if key in thread.values]
        if thread.policy != "SCHED_DEADLINE":
            if given:
                self.reader.fail(
                    thread.keys[given[0]],
                    f"`{given[0]}` of `{thread.name}` needs the policy SCHED_DEADLINE, not "
                    f"{thread.policy}",
                )
            return {"wcet": cost}
        if "dl-runtime" not in thread.values:
            self.reader.fail(thread.node.place, f"`{thread.name}` lacks `dl-runtime`")
        runtime = self.number(thread, "dl-runtime", 0, 1, _TIME_MAX)
        cycle = self.number(thread, "dl-period", runtime, 1, _TIME_MAX)
        deadline = self.number(thread, "dl-deadline", cycle, 1, _TIME_MAX)
        if cost > runtime:
            self.reader.fail(
                thread.keys["dl-runtime"],
                f"`dl-runtime` of `{thread.name}` is at least the {cost} that it runs, got "
                f"{runtime}: what is held back by its reservation is no periodic task",
            )
        if cycle != period:
            self.reader.fail(
                thread.keys.get("dl-period", thread.keys["dl-runtime"]),
                f"`dl-period` of `{thread.name}` is the timer's period of {period}, got {cycle}",
            )
        reservation = {"wcet": runtime, "deadline": deadline}
        return reservation if cost == runtime else reservation | {"execution": cost}

    def priority_of(self, thread: _Thread) -> int | None:
        """The lowest number is the most urgent here, the highest there."""
        if thread.policy == "SCHED_FIFO":
            return -self.number(thread, "priority", 10, 1, 99)
        if self.number(thread, "priority", 0, -20, 19) != 0:
            self.reader.fail(
                thread.keys["priority"],
                f"`priority` of `{thread.name}` is 0 under {thread.policy}; others are not read",
            )
        return None

    def cpu_of(self, thread: _Thread) -> int | None:
        """The only CPU that it may use."""
        if "cpus" not in thread.values:
            return None
        node = thread.values["cpus"]
        if not isinstance(node.value, list) or len(node.value) != 1:
            self.reader.fail(
                node.place,
                f"`cpus` of `{thread.name}` is a list of one CPU here, got {_shown(node)}",
            )
        return self.whole(node.value[0], f"`cpus` of `{thread.name}`", 0, 1023)


def _shown(node: Node) -> str:
    """A value as an error shows it."""
    if isinstance(node.value, dict):
        return "an object"
    if isinstance(node.value, list):
        return f"a list of {len(node.value)}"
    return repr(node.value)
