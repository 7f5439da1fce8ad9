"""Random schedules over random worlds, run on any backend, and all that may be seen of a run.

A case is plain data: hypothesis draws and shrinks it, and building it twice gives two worlds and
two schedules that do the same. Python systems follow the same kind of rules as the native
kernel ``act``: what they do depends on the rows they are given and on the frame alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import foliot as fo
import numpy as np
from hypothesis import strategies as st
from stress.kernels import load

COMPONENTS = [fo.component(f"C{index}", "u8") for index in range(6)]
TAGS = [fo.tag(f"T{index}") for index in range(2)]
KINDS = [*COMPONENTS, *TAGS]
RESOURCES = [
    fo.resource(type(f"R{index}", (), {"__annotations__": {"value": fo.u8}, "value": index}))
    for index in range(3)
]
PHASES = [
    fo.Phase("first"),
    fo.Phase("fixed", step=0.1, max_steps=3),
    fo.Phase("update"),
    fo.Phase("seldom", every=2),
]
STIR = np.uint64(0x9E3779B97F4A7C15)
FRAMES = 6
SPAWN, DESPAWN, SET, REMOVE, CALL = 1, 2, 4, 8, 16


@dataclass(frozen=True)
class Actor:
    """One random system."""

    kind: str  # "hold", "release", "native" or "exclusive"
    phase: str
    reads: tuple[int, ...]
    writes: tuple[int, ...]
    with_: tuple[int, ...]
    without: tuple[int, ...]
    changed: tuple[int, ...]
    added: tuple[int, ...]
    resource_reads: tuple[int, ...]
    resource_writes: tuple[int, ...]
    records: int
    condition: int  # 0: none; else it runs when the frame is no multiple of this
    fail_every: int
    fails_late: bool
    spin: int
    after: tuple[int, ...]  # earlier ones, by a random permutation of all


@dataclass(frozen=True)
class Case:
    """Systems, a world, and what is done to both."""

    actors: tuple[Actor, ...]
    ranks: tuple[int, ...]  # of the actors, for explicit orders
    tables: tuple[tuple[frozenset[int], int], ...]
    errors: str
    edits: frozenset[int]  # frames before which the schedule is edited, so that it is planned anew
    steps: tuple[float, ...]
    max_commands: int | None = None  # None: more than it needs, like the next two
    command_bytes: int | None = None
    places: int | None = None  # for entities beside those of the tables


@dataclass
class Seen:
    """All that a run shows, frame by frame."""

    frames: list[Any] = field(default_factory=list)
    parallel_phases: int = 0
    backend: str = ""


def subsets(most: int, *, size: int) -> st.SearchStrategy[tuple[int, ...]]:
    return st.lists(st.integers(0, most - 1), max_size=size, unique=True).map(tuple)


@st.composite
def actors(draw: Any) -> Actor:
    kind = draw(st.sampled_from(["native", "native", "native", "hold", "hold", "release"]))
    if draw(st.integers(0, 15)) == 0:
        kind = "exclusive"
    writes = draw(subsets(len(COMPONENTS), size=2))
    reads = tuple(i for i in draw(subsets(len(COMPONENTS), size=2)) if i not in writes)
    used = {*reads, *writes}
    with_ = draw(subsets(len(KINDS), size=1))
    without = tuple(
        i
        for i in draw(subsets(len(KINDS), size=1))[draw(st.integers(0, 1)) :]
        if i not in {*used, *with_}
    )
    filters = tuple(reads)[:1] if draw(st.integers(0, 3)) == 0 else ()
    is_changed = draw(st.booleans())
    resource_writes = draw(subsets(len(RESOURCES), size=1))
    return Actor(
        kind=kind,
        phase=draw(st.sampled_from(["first", "fixed", "update", "update", "seldom"])),
        reads=reads,
        writes=writes,
        with_=with_,
        without=without,
        changed=filters if is_changed else (),
        added=() if is_changed else filters,
        resource_reads=tuple(
            i for i in draw(subsets(len(RESOURCES), size=1)) if i not in resource_writes
        ),
        resource_writes=resource_writes if draw(st.integers(0, 3)) == 0 else (),
        records=draw(st.sampled_from([0, 0, CALL, SPAWN | CALL, SET, DESPAWN | SPAWN, 31])),
        condition=draw(st.sampled_from([0, 0, 0, 2, 3])),
        fail_every=draw(st.sampled_from([0, 0, 2, 3])),
        fails_late=draw(st.booleans()),
        spin=draw(st.sampled_from([0, 0, 100])),
        after=draw(subsets(8, size=1)),
    )


@st.composite
def cases(draw: Any) -> Case:
    count = draw(st.integers(2, 8))
    kinds = st.frozensets(st.integers(0, len(KINDS) - 1), min_size=4, max_size=7)
    rows = st.sampled_from([1, 64, 200, 700, 1500])
    drawn = [draw(actors()) for _ in range(count)]
    watched = {kind for actor in drawn for kind in actor.changed}
    return Case(
        # Which rows count as changed by a native system that failed depends on its pieces.
        actors=tuple(
            replace(actor, fail_every=0)
            if actor.kind == "native" and watched & {*actor.writes}
            else actor
            for actor in drawn
        ),
        ranks=tuple(draw(st.permutations(range(count)))),
        tables=tuple(draw(st.lists(st.tuples(kinds, rows), min_size=1, max_size=4))),
        errors=draw(st.sampled_from(["continue", "raise", "quarantine"])),
        edits=draw(st.frozensets(st.integers(1, FRAMES - 1), max_size=3)),
        steps=tuple(draw(st.sampled_from([0.0, 0.05, 0.1, 0.25])) for _ in range(FRAMES)),
    )


@st.composite
def limited_cases(draw: Any) -> Case:
    """Cases whose runs pass the bounds of their world now and then."""
    return replace(
        draw(cases()),
        max_commands=draw(st.none() | st.integers(1, 8)),
        command_bytes=draw(st.none() | st.integers(1, 500)),
        places=draw(st.none() | st.integers(1, 8)),
    )


def make_config(case: Case) -> fo.Config:
    limits = {}
    if case.max_commands is not None:
        limits["max_commands"] = case.max_commands
    if case.command_bytes is not None:
        limits["command_bytes"] = case.command_bytes
    if case.places is not None:
        limits["max_entities"] = case.places + sum(rows for _, rows in case.tables)
    # Pieces as short as they may be, so that small tables are cut as well.
    return fo.Config(target_task_seconds=1e-6, **limits)


def make_world(case: Case) -> fo.World:
    world = fo.World(make_config(case))
    for resource in RESOURCES:
        world.insert(resource())
    for number, (kinds, rows) in enumerate(case.tables):
        values = (np.arange(rows, dtype=np.uint64) + np.uint64(number * 1000)) * STIR
        world.spawn_many(
            rows,
            {
                KINDS[kind]: values + np.uint64(kind) if kind < len(COMPONENTS) else None
                for kind in sorted(kinds)
            },
        )
    return world


class Builder:
    """The systems of a case, with the log that their custom commands write."""

    def __init__(self, case: Case) -> None:
        self.ffi, self.library = load()
        self.log: list[Any] = []
        self.native_log = self.ffi.new("called *")
        self.case = case
        self.schedule = fo.Schedule(phases=PHASES)
        self.systems = [self.build(index) for index in range(len(case.actors))]
        self.schedule.add(*self.systems)
        self.extra = fo.system(name="extra")(lambda ctx: None)

    def edit(self) -> None:
        if self.extra in self.schedule:
            self.schedule.remove(self.extra)
        else:
            self.schedule.add(self.extra)

    def after(self, index: int) -> list[str]:
        """Names of actors of its phase that stand before it in the permutation."""
        case = self.case
        return [
            f"a{other}"
            for other in case.actors[index].after
            if other < len(case.actors)
            and case.ranks[other] < case.ranks[index]
            and case.actors[other].phase == case.actors[index].phase
        ]

    def build(self, index: int) -> fo.System:
        actor = self.case.actors[index]
        options: dict[str, Any] = {
            "name": f"a{index}",
            "phase": actor.phase,
            "after": self.after(index),
            "writes": [
                *(COMPONENTS[i] for i in actor.writes),
                *(RESOURCES[i] for i in actor.resource_writes),
            ],
            "reads": [
                *(COMPONENTS[i] for i in actor.reads),
                *(RESOURCES[i] for i in actor.resource_reads),
            ],
        }
        if actor.condition:
            every = actor.condition
            options["run_if"] = lambda ctx: ctx.frame % every != 1
        if actor.kind == "exclusive":
            return fo.system(exclusive=True, **options)(self.exclusive(index))
        for term in ("with_", "without", "changed", "added"):
            options[term] = [KINDS[i] for i in getattr(actor, term)]
        options["commands"] = actor.records != 0
        if actor.kind == "native":
            return fo.native(self.library.act, user_data=self.native(index), **options)
        return fo.system(gil=actor.kind, **options)(self.python(index))

    def native(self, index: int) -> Any:
        actor = self.case.actors[index]
        writes = [*(0 for _ in actor.writes), *(1 for _ in actor.resource_writes)]
        reads = [*(0 for _ in actor.reads), *(1 for _ in actor.resource_reads)]
        return self.ffi.new(
            "actor *",
            {
                "salt": index + 1,
                "name": index,
                "columns": len(writes) + len(reads),
                "writes": len(writes),
                "spin": actor.spin,
                "fail_every": actor.fail_every,
                "fail_from": 1 if actor.fail_every else 0,
                "fails_late": actor.fails_late,
                "records": actor.records,
                "is_resource": bytes(writes + reads),
            },
        )

    def exclusive(self, index: int) -> Any:
        def run(ctx: Any) -> None:
            new = ctx.world.spawn(COMPONENTS[index % 3](ctx.frame + index))
            self.log.append((index, ctx.frame, int(new), len(ctx.world), ctx.world.digest()))

        return run

    def python(self, index: int) -> Any:
        actor = self.case.actors[index]

        def run(ctx: Any) -> None:
            fails = actor.fail_every and ctx.frame % actor.fail_every == 1
            if fails and not actor.fails_late:
                raise LookupError(f"a{index} at once, frame {ctx.frame}")
            number = 0
            for chunk in ctx:
                mixed = self.mix(ctx, chunk, actor, index)
                if actor.records:
                    self.record(ctx, chunk.entities, mixed, actor, (index, number))
                number += 1
            for kind in actor.resource_writes:
                ctx[RESOURCES[kind]].value = (ctx[RESOURCES[kind]].value * 3 + number) % 2**63
            if fails:
                raise ArithmeticError(f"a{index} late, frame {ctx.frame}")

        return run

    @staticmethod
    def mix(ctx: Any, chunk: Any, actor: Actor, index: int) -> Any:
        start = (index + ctx.frame * 31 + int(ctx.dt * 1000)) % 2**63
        mixed = np.full(len(chunk), start, dtype=np.uint64) * STIR
        for kind in actor.resource_reads:
            mixed += np.uint64(ctx[RESOURCES[kind]].value)
        for kind in actor.reads:
            mixed = (mixed ^ chunk[COMPONENTS[kind]]) * STIR
            mixed ^= mixed >> np.uint64(31)
        for kind in actor.writes:
            chunk[COMPONENTS[kind]] = (chunk[COMPONENTS[kind]] ^ mixed) * STIR
        return mixed

    def record(self, ctx: Any, ids: Any, mixed: Any, actor: Actor, name: Any) -> None:
        """Commands for the first rows, one by one, and for more of them at once."""
        commands = ctx.commands
        kind = COMPONENTS[(*actor.writes, *actor.reads, 0)[0]]
        if actor.records & CALL:
            commands.call(self.called, name, ctx.frame, len(ids))
        for entity, value in zip(ids[:5].tolist(), mixed[:5].tolist(), strict=True):
            if actor.records & SPAWN:
                new = commands.spawn(kind(value))
                commands.add(new, TAGS[value % 2])
            if actor.records & SET and value % 2:
                commands.set(entity, COMPONENTS[value % 6](value))
            if actor.records & REMOVE and value % 3 == 0:
                commands.remove(entity, kind)
            if actor.records & DESPAWN and value % 3 == 1:
                commands.despawn(entity)
        if actor.records & REMOVE:
            commands.add_many(ids[mixed % 11 == 3], {TAGS[0]: None, COMPONENTS[5]: 7})
            commands.remove_many(ids[mixed % 11 == 4], TAGS[0])
            commands.despawn_many(ids[mixed % 37 == 5])

    def called(self, world: Any, *what: Any) -> None:
        self.log.append((*what, len(world)))


def see_error(error: BaseException) -> tuple[Any, ...]:
    return type(error).__name__, str(error), tuple(getattr(error, "__notes__", ()))


def see_rows(world: fo.World) -> list[Any]:
    """Which entity stands where: row by row, table by table."""
    return [(len(chunk), hash(chunk.entities.tobytes())) for chunk in world.query()]


def see_result(result: Any) -> dict[str, Any]:
    failed = {note for error in result.errors for note in getattr(error, "__notes__", ())}
    return {
        "rows": {
            name: timing.rows
            for name, timing in result.systems.items()
            if not any(f"`{name}`" in note or f"{name!r}" in note for note in failed)
        },
        "skipped": sorted(result.skipped_reasons.items()),
        "commands": result.commands,
        "steps": result.phase_steps,
        "dropped": result.dropped_steps,
        "quarantined": result.quarantined,
        "errors": [see_error(error) for error in result.errors],
    }


def run_case(case: Case, backend: str, workers: int, seed: int) -> Seen:
    """Run a case from its beginning."""
    seen = Seen()
    builder = Builder(case)
    world = make_world(case)
    errors: Any = fo.quarantine(after=2) if case.errors == "quarantine" else case.errors
    builder.library.current_log = builder.native_log
    with fo.Scheduler(
        world, builder.schedule, backend=backend, workers=workers, seed=seed, errors=errors
    ) as scheduler:
        for frame, step in enumerate(case.steps):
            if frame in case.edits:
                builder.edit()
            try:
                told: Any = see_result(scheduler.tick(step))
            except fo.FrameError as error:
                told = [see_error(item) for item in error.exceptions]
            seen.frames.append(
                {
                    "frame": frame,
                    "digest": world.digest(),
                    "told": told,
                    "log": list(builder.log),
                    "native log": (builder.native_log.count, builder.native_log.hash),
                    "rows": see_rows(world),
                }
            )
        seen.parallel_phases = scheduler.stats.parallel_phases
        seen.backend = scheduler.backend.actual
    return seen
