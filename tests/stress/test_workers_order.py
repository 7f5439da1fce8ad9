"""Many runs, many schedulers, many threads: one order of commands and one world each time."""

from __future__ import annotations

import gc
import random
import threading
from typing import Any

import foliot as fo
import pytest

pytest.importorskip("cffi")

from stress.crowd import BACKENDS, Crowd, expected, rounds
from support import run_together

pytestmark = pytest.mark.stress


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_run_has_one_order_of_commands(backend: str) -> None:
    digest, log = expected(5)
    for seed in range(rounds(100, 5000)):
        crowd = Crowd()
        with fo.Scheduler(
            crowd.world, crowd.schedule(), backend=backend, workers=8, seed=seed
        ) as scheduler:
            scheduler.tick_n(5, 0.1)
            assert scheduler.stats.parallel_phases > 0
        assert crowd.log == log, f"seed {seed}"
        assert crowd.world.digest() == digest, f"seed {seed}"


@pytest.mark.parametrize("workers", [1, 2, 8, 40])
@pytest.mark.parametrize("backend", BACKENDS)
def test_more_workers_than_processors_change_nothing(backend: str, workers: int) -> None:
    frames = rounds(100, 20_000)
    digest, log = expected(frames)
    crowd = Crowd()
    with fo.Scheduler(crowd.world, crowd.schedule(), backend=backend, workers=workers) as scheduler:
        scheduler.tick_n(frames, 0.1)
    assert crowd.world.digest() == digest
    assert crowd.log == log


def test_schedulers_opened_and_closed_with_frames_between() -> None:
    digest, _ = expected(2)
    choice = random.Random(7)
    for _ in range(rounds(300, 1000)):
        crowd = Crowd(rows=2000)
        backend, workers = choice.choice(BACKENDS), choice.randint(1, 8)
        with fo.Scheduler(
            crowd.world, crowd.schedule(), backend=backend, workers=workers
        ) as scheduler:
            scheduler.tick_n(2, 0.1)
        assert crowd.world.digest() == digest, (backend, workers)


def test_schedulers_opened_and_closed_without_a_frame() -> None:
    world = fo.World()
    threads = threading.active_count()
    for number in range(rounds(300, 3000)):
        backend = BACKENDS[number % 2]
        fo.Scheduler(world, fo.Schedule(), backend=backend, workers=1 + number % 8).close()
    assert threading.active_count() == threads


def test_schedulers_on_one_pool_driven_from_several_threads() -> None:
    frames = rounds(60, 5000)
    digest, log = expected(frames)
    for number in range(rounds(3, 10)):

        def drive(backend: str, workers: int) -> None:
            crowd = Crowd()
            with fo.Scheduler(
                crowd.world, crowd.schedule(), backend=backend, workers=workers
            ) as scheduler:
                for _ in range(frames):
                    scheduler.tick(0.1)
            assert crowd.world.digest() == digest, (backend, workers)
            assert crowd.log == log, (backend, workers)

        run_together(
            lambda: drive("stealing", 2),
            lambda: drive("threadpool", 3),
            lambda number=number: drive("stealing", 2 + number),
        )


def test_schedulers_opened_and_closed_from_several_threads() -> None:
    digest, _ = expected(1)

    def churn() -> None:
        for number in range(rounds(30, 1000)):
            crowd = Crowd()
            with fo.Scheduler(
                crowd.world, crowd.schedule(), backend=BACKENDS[number % 2], workers=3
            ) as scheduler:
                scheduler.tick(0.1)
            assert crowd.world.digest() == digest

    run_together(churn, churn, churn)


@pytest.mark.parametrize("backend", BACKENDS)
def test_counters_and_traces_are_read_while_frames_run(backend: str) -> None:
    frames = rounds(150, 10_000)
    digest, _ = expected(frames)
    crowd = Crowd()
    done = threading.Event()
    with fo.Scheduler(
        crowd.world, crowd.schedule(), backend=backend, workers=4, trace=256
    ) as scheduler:

        def drive() -> None:
            try:
                scheduler.tick_n(frames, 0.1)
            finally:
                done.set()

        def watch() -> None:
            tasks, ran = [0] * 4, 0
            while not done.is_set():
                now = [worker.tasks for worker in scheduler.workers]
                assert all(new >= old for new, old in zip(now, tasks, strict=True))
                stats = scheduler.stats
                assert stats.frames >= ran
                tasks, ran = now, stats.frames
                assert len(scheduler.backend.actual) > 0

        def read_trace() -> None:
            while not done.is_set():
                records = scheduler.trace.records()
                assert (records["end_ns"] >= records["start_ns"]).all()
                assert set(records["worker"].tolist()) <= set(range(4))
                scheduler.trace.clear()

        run_together(drive, watch, read_trace)
        assert scheduler.stats.frames == frames
    assert crowd.world.digest() == digest


@pytest.mark.parametrize("backend", BACKENDS)
def test_collecting_garbage_during_frames_changes_nothing(backend: str) -> None:
    frames = rounds(60, 3000)
    digest, _ = expected(frames)
    crowd = Crowd()

    class Knot:
        def __init__(self) -> None:
            self.self = self

    def litter(ctx: Any) -> None:
        for _ in range(50):
            Knot()

    @fo.system(gil="release")
    def collect(ctx: Any) -> None:
        gc.collect()

    more = [fo.system(name=f"litter{i}", gil="release")(litter) for i in range(3)]
    threshold = gc.get_threshold()
    gc.set_threshold(20)
    try:
        with fo.Scheduler(
            crowd.world, crowd.schedule(collect, *more), backend=backend, workers=4
        ) as scheduler:
            for frame in range(frames):
                if frame % 10 == 0:  # A new plan is tried on several workers first.
                    scheduler.schedule.remove("litter0")
                    scheduler.schedule.add(more[0])
                scheduler.tick(0.1)
    finally:
        gc.set_threshold(*threshold)
    assert crowd.world.digest() == digest


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("errors", ["raise", "continue"])
def test_systems_that_raise_on_any_worker(backend: str, errors: str) -> None:
    frames = rounds(40, 3000)
    digest, _ = expected(frames)
    choice = random.Random(11)
    crowd = Crowd()
    falls: set[str] = set()

    def fall(ctx: Any) -> None:
        ctx.commands.despawn(crowd.twins[0])
        if ctx.name in falls:
            raise LookupError(ctx.name)
        raise ArithmeticError(ctx.name)

    kinds = ["hold", "release", "release", "release"]
    more = [
        fo.system(name=f"fall{i}", gil=kind, commands=True)(fall) for i, kind in enumerate(kinds)
    ]
    schedule = crowd.schedule(*more)
    with fo.Scheduler(
        crowd.world, schedule, backend=backend, workers=4, errors=errors
    ) as scheduler:
        for frame in range(frames):
            if frame % 5 == 0:
                schedule.remove("fall0")
                schedule.add(more[0])
            falls = {system.name for system in more if choice.random() < 0.5}
            if errors == "raise":
                with pytest.raises(fo.FrameError) as caught:
                    scheduler.tick(0.1)
                raised = caught.value.exceptions
            else:
                raised = scheduler.tick(0.1).errors
            found = {str(error): type(error) for error in raised}
            assert found == {
                system.name: LookupError if system.name in falls else ArithmeticError
                for system in more
            }
    assert crowd.world.digest() == digest
