"""What tests of policies share: views of runnables, and the answers of slots."""

from __future__ import annotations

import foliot as fo
import numpy as np
from foliot import _core
from foliot._policy import NEVER
from foliot._policy_native import RUNNABLE_DTYPE

ANSWERED, DEFAULT = 0, 1
VALUE_ERROR, HOST_ERROR, INTERRUPTED, KERNEL_ERROR = -4107, -4108, -4109, -4110
NO_CPU = 2**32 - 1
BACKENDS = list(_core.BACKEND_NAMES)
FIELDS = {
    "id": 3,
    "group": 2,
    "weight": 2048,
    "latency": 1,
    "priority": -5,
    "last_cpu": 7,
    "job": 2**63,
    "context": 2**64 - 1,
    "period": 10,
    "release": -4,
    "deadline": NEVER,
    "expected": 11,
    "ran": 12,
    "since": 13,
}
# What each slot is asked in tests that are about all of them, and what it is told there.
LOAD = (2e6, 6e6, 3.0, 1.5, 0.25, 1)


def runnables(count=3, **columns):
    """Views of so many runnables, with ids from 0; each column a number or one for each."""
    views = np.zeros(count, RUNNABLE_DTYPE)
    views["id"] = np.arange(count)
    views["weight"] = 1024
    views["last_cpu"] = NO_CPU
    for name, values in columns.items():
        views[name] = values
    return views


QUESTIONS = {
    "enqueue": (runnables(1), 7),
    "pick": (runnables(3), 1, 7),
    "slice": (runnables(1), 7),
    "admit": (runnables(1), 7),
    "victims": (1, 4),
    "spin_limit": (2,),
    "chunk_rows": (0, 1000),
    "backend": LOAD,
}


def ask_all(probe):
    """The answer of each slot that a policy fills, by name."""
    return {name: probe.ask(name, *QUESTIONS[name]) for name in probe.facts["slots"]}


def policy(**slots):
    """A policy whose slots are functions without self."""
    methods = {name: staticmethod(function) for name, function in slots.items()}
    return type("Made", (fo.Policy,), methods)()


def check_alone(probe, text):
    """The probe's one error, whose text holds another."""
    (error,) = probe.take_errors()
    assert text in str(error), error
    assert probe.take_errors() == []
    return error
