"""Several threads at one world: right results or WorldBusyError, never anything else."""

import contextlib

import foliot as fo
import numpy as np
import pytest
from support import run_together

Mass = fo.component("Mass", "f8")
Note = fo.component("Note", object)
Text = fo.component("Text", fo.Bytes)


def test_threads_that_spawn_lose_nothing():
    world = fo.World()
    spawned = [0, 0, 0]

    def spawn(slot):
        for _ in range(500):
            try:
                world.spawn(Mass(1), Note([slot]), Text(b"x" * 50))
                spawned[slot] += 1
            except fo.WorldBusyError:
                pass

    run_together(*(lambda slot=slot: spawn(slot) for slot in range(3)))
    assert len(world) == sum(spawned)


def test_threads_that_read_and_change_see_whole_values():
    world = fo.World()
    ids = world.spawn_many(1000, {Mass: np.arange(1000.0)})

    def change():
        for number in range(100):
            try:
                world.add_many(ids, {Text: b"x" * number})
                world.remove_many(ids, Text)
            except (fo.WorldBusyError, KeyError):
                pass

    def read():
        for _ in range(200):
            try:
                total = sum(float(chunk[Mass].sum()) for chunk in world.query(reads=[Mass]))
            except (fo.WorldBusyError, fo.AccessError):
                continue
            assert total == 499_500

    run_together(change, read, read)


def test_chunks_of_one_query_in_several_threads():
    world = fo.World()
    for number in range(20):
        world.spawn(Mass(1), fo.component(f"Kind{number}", "f4")(1))
    query = world.query(writes=[Mass])

    def write():
        for _ in range(200):
            try:
                for chunk in query:
                    chunk[Mass] += 1
            except fo.WorldBusyError:
                pass

    run_together(write, write, write)
    assert len(list(query)) == 20


def test_world_made_in_one_thread_works_in_another():
    made = []

    def make():
        world = fo.World()
        made.append((world, world.spawn(Mass(3))))

    run_together(make)
    [(world, entity)] = made
    assert world.get(entity, Mass).value == 3


def test_classes_become_resources_once_however_many_threads_ask():
    class Shared:
        pass

    worlds = [fo.World() for _ in range(4)]
    value = Shared()

    run_together(*(lambda world=world: world.insert(value) for world in worlds))
    assert all(world[Shared] is value for world in worlds)


@pytest.mark.stress
def test_many_threads_of_every_kind_of_call():
    world = fo.World()

    def churn(seed):
        random = np.random.default_rng(seed)
        for _ in range(300):
            try:
                ids = world.spawn_many(int(random.integers(1, 20)), {Mass: 1.0, Note: [1] and "n"})
                world.add_many(ids, {Text: b"y"})
                for chunk in world.query(writes=[Mass], reads=[Text]):
                    chunk[Mass] += 1
                    bytes(chunk[Text][0])
                world.despawn_many(ids)
            except (fo.WorldBusyError, fo.AccessError):
                pass
            world_or_busy()

    def world_or_busy():
        with contextlib.suppress(fo.WorldBusyError):
            world.digest()

    run_together(*(lambda seed=seed: churn(seed) for seed in range(4)))
