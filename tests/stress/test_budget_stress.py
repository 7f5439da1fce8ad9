"""Budgets, groups and policies on eight workers: the same world as without, whatever waits."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import foliot as fo
import pytest

pytest.importorskip("cffi")

from stress.crowd import Crowd, expected, rounds
from support import run_together

pytestmark = pytest.mark.stress

OVERRUNS = ["throttle", "demote", "notify"]


class Lottery(fo.Policy):
    """Draws who runs, and leaves every tenth choice to the base."""

    def __init__(self, seed: int) -> None:
        super().__init__(base="eevdf")
        self.random = random.Random(seed)

    def pick(self, ready: Any, *, cpu: int, now: int) -> Any:
        return None if self.random.random() < 0.1 else self.random.choice(ready)

    def chunk_rows(self, system: str, rows: int) -> int:
        return self.random.randint(16, rows + 16)


def with_budgets(crowd: Crowd, choice: random.Random) -> fo.Schedule:
    """The crowd's systems, most of them under a budget of some microseconds or in a group."""
    groups = [fo.Group("light", weight=256), fo.Group("heavy", weight=4096, latency="batch")]
    made = []
    for system in crowd.systems:
        drawn = choice.randrange(4)
        budget: Any = None
        if drawn == 0:
            budget = choice.choice(groups)
        elif drawn > 1:
            budget = fo.SchedulingContext(
                budget=choice.uniform(30e-6, 200e-6),
                period=choice.uniform(300e-6, 1e-3),
                overrun=choice.choice(OVERRUNS),
                kind=choice.choice(["sporadic", "cbs", "cbs-soft"]),
            )
        made.append(dataclasses.replace(system, budget=budget))
    return fo.Schedule(*made)


@pytest.mark.parametrize("backend", fo.BACKENDS)
def test_budgets_and_policies_change_no_digest(backend: str) -> None:
    frames = 4
    digest, log = expected(frames)
    for seed in range(rounds(3, 200)):
        choice = random.Random(seed)
        policy = choice.choice([None, "fifo", "fp", "rm", "edf", "eevdf", "cbs", Lottery(seed)])
        crowd = Crowd()
        with fo.Scheduler(
            crowd.world,
            with_budgets(crowd, choice),
            backend=backend,
            workers=8,
            policy=policy,
        ) as scheduler:
            scheduler.tick_n(frames, 0.1)
        assert crowd.world.digest() == digest, f"seed {seed}, {policy}"
        assert crowd.log == log, f"seed {seed}, {policy}"


def test_contexts_are_revoked_and_read_while_frames_run() -> None:
    for seed in range(rounds(4, 300)):
        choice = random.Random(seed)
        crowd = Crowd()
        schedule = with_budgets(crowd, choice)
        contexts = [
            system.budget for system in schedule if isinstance(system.budget, fo.SchedulingContext)
        ]
        over = []
        with fo.Scheduler(
            crowd.world,
            schedule,
            backend=choice.choice(fo.BACKENDS),
            workers=8,
            errors="continue",
            policy=choice.choice([None, Lottery(seed)]),
        ) as scheduler:

            def drive(scheduler: fo.Scheduler = scheduler, over: list[bool] = over) -> None:
                for _ in range(rounds(20, 50)):
                    for error in scheduler.tick(0.1).errors:
                        assert isinstance(error, fo.StaleHandleError), error
                over.append(True)

            def look(scheduler: fo.Scheduler = scheduler, over: list[bool] = over) -> None:
                while not over:
                    accounts = scheduler.accounts
                    assert all(account.runtime >= 0 for account in accounts.workers)
                    for name in accounts.systems:
                        assert scheduler.explain(name)
                    numbers = [decision.number for decision in scheduler.decisions]
                    assert numbers == sorted(numbers)

            def revoke(
                scheduler: fo.Scheduler = scheduler,
                contexts: list[fo.SchedulingContext] = contexts,
            ) -> None:
                for context in contexts:
                    scheduler.revoke(context)

            run_together(drive, look, revoke)
            assert scheduler.decisions
            for context in contexts:
                with pytest.raises(fo.StaleHandleError):
                    scheduler.revoke(context)
