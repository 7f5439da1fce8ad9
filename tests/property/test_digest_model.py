"""Random worlds under random schedules: one digest, whatever the order of registration allows.

Systems do plain arithmetic that does not commute, so that any change of a relevant order shows.
"""

import random

import foliot as fo
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

COMPONENTS = [fo.component(f"Digest{i}", "i8") for i in range(3)]
MASK = (1 << 40) - 1


@fo.resource
class Total:
    value: fo.i8 = 0


def mix(values, salt):
    """Arithmetic that remembers the order in which it was done."""
    return (values * 31 + salt) & MASK


def make_system(number, kind, reads, writes):
    """A system of one of a few kinds; what it does depends on its number."""
    read = [COMPONENTS[i] for i in reads if i not in writes]
    written = [COMPONENTS[i] for i in writes]

    def mix_columns(ctx):
        for chunk in ctx:
            seen = sum((chunk[component] for component in read), start=np.int64(0))
            for component in written:
                chunk[component] = mix(chunk[component], seen + number)

    def add_up(ctx):
        for chunk in ctx:
            for component in read:
                total = int(chunk[component].sum())
                ctx[Total].value = mix(ctx[Total].value, total + number) & MASK

    def spawn(ctx):
        for chunk in ctx:
            for entity in chunk.entities[: 1 + number % 2]:
                ctx.commands.add(entity, COMPONENTS[number % 3](number))
        ctx.commands.spawn(COMPONENTS[number % 3](number), COMPONENTS[(number + 1) % 3](7))

    def despawn(ctx):
        for chunk in ctx:
            ctx.commands.despawn_many(chunk.entities[number % 2 :: 7])

    options = {
        "mix": {"reads": read, "writes": written},
        "total": {"reads": read, "writes": [*written, Total]},
        "spawn": {"reads": read, "with_": written, "commands": True},
        "despawn": {"reads": read, "with_": written, "commands": True},
    }[kind]
    function = {"mix": mix_columns, "total": add_up, "spawn": spawn, "despawn": despawn}[kind]
    return fo.system(name=f"s{number}", **options)(function)


KINDS = st.sampled_from(["mix", "mix", "mix", "total", "spawn", "despawn"])
SETS = st.sets(st.integers(0, 2), min_size=1, max_size=2)
SYSTEMS = st.lists(st.tuples(KINDS, SETS, SETS), min_size=1, max_size=7)


def make_world(rows, seed):
    world = fo.World()
    world.insert(Total())
    rng = np.random.default_rng(seed)
    for number, component in enumerate(COMPONENTS):
        other = COMPONENTS[(number + 1) % 3]
        world.spawn_many(rows, {component: rng.integers(0, 1000, rows), other: 1})
    world.spawn_many(rows, dict.fromkeys(COMPONENTS, 3))
    return world


def run(systems, rows, world_seed, **options):
    world = make_world(rows, world_seed)
    with fo.Scheduler(world, fo.Schedule(*systems), **options) as scheduler:
        scheduler.tick_n(3, 0.1)
    return world.digest()


def order_matters(plan, a, b):
    """Whether two systems conflict, or the order of their commands can be seen."""
    observes = [system.default_query.has_terms for system in (a, b)]
    return bool(
        plan.conflicts(a, b)
        or (a.commands and (b.commands or observes[1]))
        or (b.commands and observes[0])
    )


def shuffled(systems, rng):
    """Another order of registration in which every pair whose order matters keeps it."""
    plan = fo.Schedule(*systems).plan()
    left, order = list(systems), []
    while left:
        free = [
            system
            for place, system in enumerate(left)
            if not any(order_matters(plan, earlier, system) for earlier in left[:place])
        ]
        order.append(rng.choice(free))
        left.remove(order[-1])
    return order


def build(described):
    return [make_system(number, *parts) for number, parts in enumerate(described)]


@given(SYSTEMS, st.integers(0, 20), st.integers(0, 2**32 - 1))
def test_registration_of_what_does_not_conflict_does_not_matter(described, rows, seed):
    systems = build(described)
    expected = run(systems, rows, seed)
    rng = random.Random(seed)
    for _ in range(3):
        assert run(shuffled(systems, rng), rows, seed) == expected


@given(SYSTEMS, st.integers(0, 20), st.integers(0, 2**32 - 1))
def test_backend_workers_and_seed_do_not_matter(described, rows, seed):
    systems = build(described)
    expected = run(systems, rows, seed, backend="blocking")
    for backend in fo.BACKENDS:
        assert run(systems, rows, seed, backend=backend, workers=3, seed=seed) == expected


@given(SYSTEMS, st.integers(0, 20), st.integers(0, 2**32 - 1))
def test_disabled_systems_and_systems_that_are_not_there_are_alike(described, rows, seed):
    systems = build(described)
    world = make_world(rows, seed)
    with fo.Scheduler(world, fo.Schedule(*systems)) as scheduler:
        for system in systems[::2]:
            scheduler.disable(system)
        scheduler.tick_n(3, 0.1)
    assert world.digest() == run(systems[1::2], rows, seed)


@given(SYSTEMS, st.integers(0, 20), st.integers(0, 2**32 - 1))
def test_frames_one_by_one_and_in_a_batch_are_alike(described, rows, seed):
    systems = build(described)
    world = make_world(rows, seed)
    with fo.Scheduler(world, fo.Schedule(*systems)) as scheduler:
        for _ in range(3):
            scheduler.tick(0.1)
    assert world.digest() == run(systems, rows, seed)
