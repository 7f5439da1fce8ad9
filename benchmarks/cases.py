"""What is compared with what, and the ratio each comparison must reach: data only.

A `Row` names our side, the others' side and, where the project set itself one, the limit: our
time may be at most ``limit`` times that of the fastest of the others named there. `exec_cases` has
the rows of tasks and of frames on several workers.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """One workload of one contender: a program that prints the protocol's JSON, and its arguments.

    ``program`` is a key of `harness.PROGRAMS`; ``label`` is what tables call the contender.
    """

    label: str
    program: str
    arguments: tuple[str, ...]


@dataclass(frozen=True)
class Row:
    """One line of the comparison. ``group`` names the rows whose processes run interleaved.

    ``goal`` says the limit in other words than "at most so many times". Time is compared with that
    of the ``"fastest"`` of the others, or of the ``"slowest"``. A contender whose checksum is not
    ``checksum`` did not do the work, and is not measured.
    """

    group: str
    what: str
    ours: Case
    others: tuple[Case, ...]
    limit: float | None = None
    samples: int = 10
    goal: str | None = None
    against: str = "fastest"
    checksum: int | None = None


def peer(name: str, workload: str, label: str | None = None) -> Case:
    """A workload of the Rust program that hosts flecs, bevy_ecs, hecs, shipyard and legion."""
    return Case(label or name, "peers", (name, workload))


def esper(workload: str) -> Case:
    """A workload of esper."""
    return Case("esper", "esper", (workload,))


def world(workload: str) -> Case:
    """A workload of our world."""
    return Case("foliot", "world", (workload,))


def schedule(workload: str) -> Case:
    """A workload of our schedule."""
    return Case("foliot", "schedule", (workload,))


ALL_PEERS = ("flecs", "bevy", "hecs", "shipyard", "legion")


def peers(workload: str, names: tuple[str, ...] = ALL_PEERS) -> tuple[Case, ...]:
    """The same workload of several libraries."""
    return tuple(peer(name, workload) for name in names)


REMOVE_ALL = (
    peer("flecs", "add_remove_all", "flecs, remove from all"),
    peer("shipyard", "add_remove_all", "shipyard, remove from all"),
)
SCHEDULERS = ("flecs", "bevy", "shipyard", "legion")

WORLD_ROWS = (
    Row("new_world", "an empty world", world("new_world"), peers("new_world")),
    Row(
        "simple_insert",
        "simple_insert, spawn_many",
        world("simple_insert"),
        (*peers("simple_insert"), esper("simple_insert")),
        limit=1.0,
    ),
    Row(
        "simple_iter",
        "simple_iter, native",
        world("simple_iter_native"),
        peers("simple_iter"),
        limit=1.0,
    ),
    Row(
        "simple_iter",
        "simple_iter, numpy",
        world("simple_iter_numpy"),
        (esper("simple_iter"),),
        limit=0.05,
    ),
    Row(
        "fragmented_iter",
        "fragmented_iter, native",
        world("fragmented_iter_native"),
        peers("fragmented_iter", ("flecs",)),
        limit=1.2,
    ),
    Row(
        "fragmented_iter",
        "fragmented_iter, native, others",
        world("fragmented_iter_native"),
        peers("fragmented_iter", ("bevy", "hecs", "shipyard", "legion")),
    ),
    Row(
        "fragmented_iter",
        "fragmented_iter, numpy",
        world("fragmented_iter_numpy"),
        (esper("fragmented_iter"),),
        limit=0.5,
    ),
    Row(
        "fragmented_iter",
        "fragmented_iter, numpy by table",
        world("fragmented_iter_numpy_by_table"),
        (esper("fragmented_iter"),),
    ),
    Row(
        "add_remove",
        "add_remove, bulk",
        world("add_remove_bulk"),
        (*peers("add_remove"), *REMOVE_ALL, esper("add_remove")),
        limit=1.0,
    ),
    Row(
        "add_remove",
        "add_remove, one by one from C",
        Case("foliot", "c_add_remove", ("add_remove",)),
        (peer("flecs", "add_remove"), peer("flecs", "add_remove_commit", "flecs, ecs_commit")),
        limit=1.0,
    ),
    Row("heavy_compute", "heavy_compute", world("heavy_compute_native"), peers("heavy_compute")),
)

SCHEDULE_ROWS = (
    Row(
        "schedule_single",
        "schedule, one thread",
        schedule("schedule_single"),
        peers("schedule_single"),
    ),
    Row(
        "schedule_multi",
        "schedule, all CPUs",
        schedule("schedule_multi"),
        peers("schedule_multi", SCHEDULERS),
    ),
    *(
        Row(
            f"empty_systems_{count}",
            f"{count} empty systems, native",
            schedule(f"empty_systems_native_{count}"),
            peers(f"empty_systems_{count}", SCHEDULERS),
        )
        for count in (10, 100)
    ),
    Row(
        "empty_systems_1000",
        "1,000 empty systems, native",
        schedule("empty_systems_native_1000"),
        (
            peer("flecs", "empty_systems_1000"),
            peer("flecs", "empty_systems_callback_1000", "flecs, callback"),
        ),
        limit=0.5,
    ),
    Row(
        "empty_systems_1000",
        "1,000 empty systems, native, others",
        schedule("empty_systems_native_1000"),
        peers("empty_systems_1000", ("bevy", "shipyard", "legion")),
    ),
    Row(
        "empty_systems_1000",
        "1,000 empty systems, Python",
        schedule("empty_systems_python_1000"),
        (esper("empty_systems_1000"),),
        limit=1.0,
    ),
    Row(
        "empty_systems_multi_1000",
        "1,000 empty systems, native, all CPUs",
        schedule("empty_systems_multi_1000"),
        peers("empty_systems_multi_1000", SCHEDULERS),
    ),
    *(
        Row(
            f"plan_free_{count}",
            f"plan of {count:,} systems, no order",
            schedule(f"plan_free_{count}"),
            peers(f"plan_free_{count}", ("bevy",)),
            samples=5,
        )
        for count in (100, 500, 1000)
    ),
    *(
        Row(
            f"plan_total_{count}",
            f"plan of {count:,} systems, total order",
            schedule(f"plan_total_{count}"),
            peers(f"plan_total_{count}", ("bevy",)),
            limit=0.3 if count == 1000 else None,
            samples=3,
        )
        for count in (100, 500, 1000)
    ),
)

ROWS: tuple[Row, ...] = WORLD_ROWS + SCHEDULE_ROWS
