"""What the stress tests of workers share: a busy world, and functions that run in threads."""

from __future__ import annotations

import collections
import os
from typing import Any

import foliot as fo
import numpy as np
from stress.kernels import load

IS_LONG = os.environ.get("FOLIOT_STRESS") == "1"
BACKENDS = ["stealing", "threadpool"]

First = fo.component("First", "u8")
Second = fo.component("Second", "u8")
Left = fo.component("Left", "u8")
Right = fo.component("Right", "u8")
Twin = fo.component("Twin", "u8")
Work = [fo.component(f"Work{index}", "u8") for index in range(3)]


def rounds(few: int, many: int) -> int:
    """How often: few times in a normal run, many by ``make stress``."""
    return many if IS_LONG else few


class Crowd:
    """A world where every kind of system has something to do, and rules that whole systems keep.

    ``pair`` adds 1 to First and 3 to Second of each row, ``turn`` the same to Left and Right, in
    another table. ``couple`` records commands that set Twin of two entities to one value; ``call``
    logs.
    """

    def __init__(self, rows: int = 2000, **config: Any) -> None:
        ffi, library = load()
        self.world = fo.World(fo.Config(target_task_seconds=1e-6, **config))
        self.world.spawn_many(rows, {First: np.arange(rows), Second: 3 * np.arange(rows)})
        self.world.spawn_many(rows, {Left: np.arange(rows), Right: 3 * np.arange(rows)})
        for kind in Work:
            self.world.spawn_many(300, {kind: np.arange(300)})
        self.twins = [self.world.spawn(Twin(0)) for _ in range(2)]
        self.log: list[Any] = []
        self.rounds = ffi.new("uint64_t *", 20)
        self.systems = [
            fo.native(library.pair, writes=[First, Second], name="pair"),
            fo.native(library.pair, writes=[Left, Right], name="turn"),
            *(
                fo.native(library.grind, writes=kind, user_data=self.rounds, name=f"grind{i}")
                for i, kind in enumerate(Work)
            ),
            fo.system(name="couple", commands=True)(self.couple),
            fo.system(name="free", gil="release", commands=True, reads=First)(self.call),
            fo.system(name="call", commands=True, reads=Left)(self.call),
        ]

    def schedule(self, *more: fo.System) -> fo.Schedule:
        return fo.Schedule(*self.systems, *more)

    def couple(self, ctx: Any) -> None:
        for twin in self.twins:
            ctx.commands.set(twin, Twin(ctx.frame + 1))

    def call(self, ctx: Any) -> None:
        count = sum(len(chunk) for chunk in ctx)
        for number in range(3):
            ctx.commands.call(self.note, ctx.name, ctx.frame, number, count)

    def note(self, world: Any, *what: Any) -> None:
        self.log.append(what)

    def check(self) -> None:
        """What holds however frames were stopped, as long as commands and rows are whole."""
        for one, other in ((First, Second), (Left, Right)):
            for chunk in self.world.query(reads=[one, other]):
                assert np.array_equal(chunk[one] * 3, chunk[other])
        values = {self.world.get(twin, Twin).value for twin in self.twins}
        assert len(values) == 1, values
        calls = collections.Counter(what[:2] for what in self.log)
        # An interrupt may come out of the very call that would have noted itself.
        assert set(calls.values()) <= {2, 3}, calls


def expected(frames: int) -> tuple[str, list[Any]]:
    """Digest and log after so many undisturbed frames on the caller alone."""
    crowd = Crowd()
    with fo.Scheduler(crowd.world, crowd.schedule(), backend="blocking") as scheduler:
        scheduler.tick_n(frames, 0.1)
    return crowd.world.digest(), crowd.log
