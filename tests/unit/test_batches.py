"""ctx.batches: many small tables joined into few chunks, and copied back."""

from __future__ import annotations

from typing import Any

import foliot as fo
import numpy as np
import pytest

Data = fo.component("Data", "f4")
Point = fo.component("Point", {"x": "f8", "y": "f8"})
Note = fo.component("Note", object)
Scale = fo.resource(type("Scale", (), {"__annotations__": {"by": fo.f8}}))
MARKS = [fo.component(f"Mark{index}", "f4") for index in range(12)]


def fragmented_world() -> fo.World:
    """Table i has i + 1 rows; Data counts up from 0 over all of them."""
    world = fo.World()
    count = 0
    for index, mark in enumerate(MARKS):
        rows = index + 1
        values = np.arange(count, count + rows)
        world.spawn_many(rows, {Data: values, mark: None, Point: {"x": values, "y": 0.0}})
        count += rows
    return world


def all_data(world: fo.World) -> np.ndarray[Any, Any]:
    return np.sort(np.concatenate([np.array(c[Data]) for c in world.query(reads=[Data])]))


def tick(world: fo.World, *systems: Any, **options: Any) -> fo.FrameResult:
    with fo.Scheduler(world, fo.Schedule(*systems), **options) as scheduler:
        return scheduler.tick(0.0)


def test_small_tables_come_as_one_chunk() -> None:
    world = fragmented_world()
    lengths = []

    @fo.system(writes=[Data])
    def double(ctx: Any) -> None:
        for batch in ctx.batches():
            lengths.append(len(batch))
            assert len(batch.entities) == len(batch[Data]) == len(set(batch.entities))
            batch[Data] *= 2

    before = all_data(world)
    result = tick(world, double)
    assert lengths == [78]
    assert result.systems["double"].rows == 78
    assert np.array_equal(all_data(world), before * 2)


@pytest.mark.parametrize("rows", [1, 2, 5, 12, 13, 77, 78, 1000])
def test_every_row_comes_once_whatever_the_size_of_a_batch(rows: int) -> None:
    world = fragmented_world()
    seen: list[int] = []

    @fo.system(reads=[Data], writes=[Point])
    def copy(ctx: Any) -> None:
        for batch in ctx.batches(rows=rows):
            seen.extend(batch.entities)
            batch[Point].y = batch[Data] + 1

    with fo.Scheduler(world, fo.Schedule(copy)) as scheduler:
        scheduler.tick(0.0)
        scheduler.tick(0.0)
    assert len(seen) == 2 * 78
    assert len(set(seen)) == 78
    for chunk in world.query(reads=[Data, Point]):
        assert np.array_equal(chunk[Point].y, chunk[Data] + 1.0)
        assert np.array_equal(chunk[Point].x, chunk[Data])


def test_what_was_written_before_a_break_or_an_error_is_there() -> None:
    world = fragmented_world()

    @fo.system(writes=[Data])
    def stops(ctx: Any) -> None:
        for batch in ctx.batches():
            batch[Data] = 7
            break

    @fo.system(writes=[Data], after=[stops])
    def fails(ctx: Any) -> None:
        for batch in ctx.batches():
            batch[Data] += 1
            raise RuntimeError("after writing")

    tick(world, stops, fails, errors="continue")
    assert set(all_data(world)) == {8.0}


def test_a_second_loop_sees_what_the_first_one_wrote() -> None:
    world = fragmented_world()

    @fo.system(writes=[Data])
    def twice(ctx: Any) -> None:
        for batch in ctx.batches():
            batch[Data] = 1
            break
        for chunk in ctx:
            assert set(chunk[Data]) == {1.0}
        for batch in ctx.batches(rows=3):
            batch[Data] += 1

    tick(world, twice)
    assert set(all_data(world)) == {2.0}


def test_read_columns_of_a_batch_cannot_be_written() -> None:
    world = fragmented_world()

    @fo.system(reads=[Data])
    def writes(ctx: Any) -> None:
        for batch in ctx.batches():
            with pytest.raises(ValueError, match="read-only"):
                batch[Data][0] = 1
            batch[Data] = 1

    with pytest.raises(fo.FrameError) as caught:
        tick(world, writes)
    assert isinstance(caught.value.exceptions[0], fo.AccessError)


def test_batches_of_a_named_query() -> None:
    world = fragmented_world()
    lengths = []

    @fo.system(queries={"some": fo.Query(reads=[Data], with_=[MARKS[3]])})
    def look(ctx: Any) -> None:
        lengths.extend(len(batch) for batch in ctx.batches("some"))
        with pytest.raises(fo.AccessError, match="no query"):
            ctx.batches("other")

    tick(world, look)
    assert lengths == [4]


def test_written_batches_count_as_changed() -> None:
    world = fragmented_world()
    changed = []

    @fo.system(writes=[Data])
    def write(ctx: Any) -> None:
        if ctx.frame == 1:
            for batch in ctx.batches():
                batch[Data] += 1

    @fo.system(changed=[Data], after=[write])
    def watch(ctx: Any) -> None:
        changed.append(sum(len(chunk) for chunk in ctx))

    with fo.Scheduler(world, fo.Schedule(write, watch)) as scheduler:
        for _ in range(3):
            scheduler.tick(0.0)
    assert changed == [78, 78, 0]


def test_a_view_of_a_batch_outlives_system_and_world() -> None:
    world = fragmented_world()
    kept = []

    @fo.system(reads=[Data])
    def keep(ctx: Any) -> None:
        for batch in ctx.batches():
            kept.append(batch)
            kept.append(batch[Data])

    tick(world, keep)
    del world
    assert kept[1].sum() == sum(range(78))
    with pytest.raises(fo.AccessError):
        kept[0][Data]


@pytest.mark.parametrize("rows", [0, -1, 1 << 30])
def test_a_bad_number_of_rows_is_a_value_error(rows: int) -> None:
    world = fragmented_world()

    @fo.system(reads=[Data])
    def look(ctx: Any) -> None:
        with pytest.raises(ValueError, match="rows must be 1 to"):
            ctx.batches(rows=rows)

    tick(world, look)


def test_objects_cannot_be_joined() -> None:
    world = fo.World()
    world.spawn(Note("a"))

    @fo.system(reads=[Note])
    def look(ctx: Any) -> None:
        with pytest.raises(ValueError, match="only plain data can be joined"):
            ctx.batches()

    tick(world, look)


def test_an_older_loop_ends_when_another_begins() -> None:
    world = fragmented_world()

    @fo.system(reads=[Data])
    def look(ctx: Any) -> None:
        older = ctx.batches(rows=5)
        next(older)
        next(ctx.batches(rows=6))
        with pytest.raises(fo.AccessError, match="ended when another one began"):
            next(older)

    tick(world, look)
