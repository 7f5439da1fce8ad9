"""Threads, frames and edits on one world: right results or WorldBusyError, and one digest.

Bounded in a normal run; ``FOLIOT_STRESS=1`` (``make stress``) goes on for many more rounds.
"""

from __future__ import annotations

import os
import random
import signal
from typing import Any

import foliot as fo
import numpy as np
import pytest
from support import run_together

pytestmark = pytest.mark.stress

ROUNDS = 40 if os.environ.get("FOLIOT_STRESS") == "1" else 3
FRAMES = 200

Mass = fo.component("Mass", "f8")
Speed = fo.component("Speed", "f8")
Hot = fo.tag("Hot")
Note = fo.component("Note", object)
Text = fo.component("Text", fo.Bytes)


def systems() -> list[fo.System]:
    """Data, commands of every kind, objects and bytes, all in one frame."""

    @fo.system(writes=[Mass], reads=[Speed])
    def move(ctx: Any) -> None:
        for chunk in ctx:
            chunk[Mass] += chunk[Speed] * ctx.dt

    @fo.system(reads=[Mass], commands=True)
    def churn(ctx: Any) -> None:
        commands = ctx.commands
        new = commands.spawn(Mass(ctx.frame), Note([ctx.frame]))
        commands.add(new, Text(b"t" * (ctx.frame % 50)))
        commands.spawn_many(3, {Mass: 1.0, Speed: 2.0})
        for chunk in ctx:
            ids = chunk.entities
            if len(ids) > 40:
                commands.despawn_many(ids[::3])
            commands.add_many(ids[1::7], {Hot: None})

    @fo.system(with_=[Hot], reads=[Mass], commands=True)
    def cool(ctx: Any) -> None:
        for chunk in ctx:
            ctx.commands.remove_many(chunk.entities, Hot)

    @fo.system(exclusive=True)
    def look(ctx: Any) -> None:
        ctx.world.set(ctx.world.spawn(Mass(0.0)), Mass(5.0))

    return [move, churn, cool, look]


def start_world() -> fo.World:
    world = fo.World()
    world.spawn_many(100, {Mass: np.arange(100.0), Speed: 1.0})
    return world


def frames_alone(count: int) -> str:
    """The digest after so many undisturbed frames."""
    world = start_world()
    with fo.Scheduler(world, fo.Schedule(*systems())) as scheduler:
        scheduler.tick_n(count, 0.25)
    return world.digest()


def tick_often(scheduler: fo.Scheduler, done: list[int]) -> None:
    while len(done) < FRAMES:
        try:
            scheduler.tick(0.25)
        except fo.WorldBusyError:
            continue
        done.append(1)


def test_frames_beside_readers_end_in_the_same_world() -> None:
    expected = frames_alone(FRAMES)
    for _ in range(ROUNDS):
        world = start_world()
        done: list[int] = []
        refused = [0]

        def read(world: fo.World = world, done: list[int] = done, refused: Any = refused) -> None:
            while len(done) < FRAMES:
                try:
                    world.digest()
                    for chunk in world.query(reads=[Mass]):
                        assert not np.isnan(chunk[Mass]).any()
                except (fo.WorldBusyError, fo.AccessError):
                    refused[0] += 1

        with fo.Scheduler(world, fo.Schedule(*systems())) as scheduler:
            run_together(lambda s=scheduler, d=done: tick_often(s, d), read, read)
            assert scheduler.stats.frames == FRAMES
        assert world.digest() == expected


def test_one_scheduler_driven_from_several_threads_runs_whole_frames() -> None:
    for _ in range(ROUNDS):
        world = start_world()
        with fo.Scheduler(world, fo.Schedule(*systems())) as scheduler:
            done: list[int] = []
            run_together(*(lambda s=scheduler, d=done: tick_often(s, d) for _ in range(3)))
            frames = scheduler.stats.frames
        assert frames >= FRAMES
        assert world.digest() == frames_alone(frames)


def test_two_schedulers_on_one_world_never_run_together() -> None:
    for _ in range(ROUNDS):
        world = start_world()
        inside = [0]

        def watch(ctx: Any, inside: list[int] = inside) -> None:
            inside[0] += 1
            assert inside[0] == 1
            for chunk in ctx:
                chunk[Mass] += 1
            inside[0] -= 1

        counts = [[], []]
        pair = [
            fo.Scheduler(world, fo.Schedule(fo.system(writes=[Mass], name=name)(watch)))
            for name in ("first", "second")
        ]
        before = world.get(next(iter(world.query(reads=[Mass]))).entities[0], Mass).value
        run_together(
            *(lambda s=s, d=d: tick_often(s, d) for s, d in zip(pair, counts, strict=True))
        )
        frames = sum(scheduler.stats.frames for scheduler in pair)
        after = world.get(next(iter(world.query(reads=[Mass]))).entities[0], Mass).value
        assert after - before == frames
        for scheduler in pair:
            scheduler.close()


def test_schedules_edited_between_frames_at_random() -> None:
    for seed in range(ROUNDS * 2):
        choice = random.Random(seed)
        world = start_world()
        pool = systems()
        schedule = fo.Schedule(*pool)
        names = {system.name for system in pool}
        with fo.Scheduler(world, schedule) as scheduler:
            for _ in range(FRAMES // 4):
                system = choice.choice(pool)
                if system.name in names:
                    schedule.remove(system.name)
                    names.discard(system.name)
                else:
                    schedule.add(system)
                    names.add(system.name)
                result = scheduler.tick(0.25)
                assert set(result.systems) == names, f"seed {seed}"
                assert set(scheduler.plan.execution_order()) == names, f"seed {seed}"


def test_a_storm_of_interrupts_leaves_the_world_whole() -> None:
    world = start_world()
    interrupts = 0
    with fo.Scheduler(world, fo.Schedule(*systems())) as scheduler:
        before = signal.signal(signal.SIGALRM, signal.default_int_handler)
        try:
            for _ in range(ROUNDS * 20):
                try:
                    signal.setitimer(signal.ITIMER_REAL, 0.0005)
                    scheduler.tick_n(500, 0.25)
                except KeyboardInterrupt:
                    interrupts += 1
                finally:
                    disarm()
        finally:
            signal.signal(signal.SIGALRM, before)
        frames = scheduler.stats.frames
        scheduler.tick(0.25)
        assert scheduler.stats.frames == frames + 1
    assert interrupts > 0
    assert len(world) == sum(len(chunk) for chunk in world.query())
    assert len(world.digest()) == 32


def disarm() -> None:
    """No timer is left, and an alarm that was on its way is taken here."""
    while True:
        try:
            signal.setitimer(signal.ITIMER_REAL, 0)
            return
        except KeyboardInterrupt:
            continue


def test_lists_of_one_plan_asked_from_several_threads() -> None:
    for seed in range(ROUNDS):
        choice = random.Random(seed)
        kinds = [fo.component(f"Kind{index}", "f4") for index in range(20)]
        declared = [
            fo.system(name=f"s{index}", writes=choice.sample(kinds, 3))(lambda ctx: None)
            for index in range(60)
        ]
        plan = fo.Schedule(*declared).plan()
        answers: list[tuple[int, int]] = []

        def ask(plan: fo.Plan = plan, answers: list[tuple[int, int]] = answers) -> None:
            answers.append((len(plan.ambiguities()), len(plan.edges("update"))))

        run_together(*([ask] * 6))
        assert len(set(answers)) == 1, f"seed {seed}"
