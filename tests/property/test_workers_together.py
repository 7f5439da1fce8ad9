"""That systems really are on several threads at once: none of these could pass on one worker."""

import threading

import foliot as fo
import numpy as np
import pytest

pytest.importorskip("cffi")

from stress.kernels import load
from support import HAS_LOCK

BACKENDS = ["stealing", "threadpool"]
# Looks that each let other threads run: minutes, for a test that fails.
PATIENCE = 10**7
HANG_SECONDS = 120

Mass = fo.component("Mass", "u8")


@pytest.fixture
def ffi():
    return load()[0]


@pytest.fixture
def library():
    return load()[1]


def used(scheduler):
    """The workers that called anything."""
    return {worker.worker for worker in scheduler.workers if worker.tasks > 0}


@pytest.mark.parametrize("workers", [2, 3, 8])
@pytest.mark.parametrize("backend", BACKENDS)
def test_all_workers_are_in_native_systems_at_once(backend, workers, ffi, library):
    meeting = ffi.new("meeting *", {"wanted": workers, "patience": PATIENCE})
    systems = [
        fo.native(library.meet, user_data=meeting, name=f"s{index}") for index in range(workers)
    ]
    with fo.Scheduler(
        fo.World(), fo.Schedule(*systems), backend=backend, workers=workers
    ) as scheduler:
        frame = scheduler.tick(0.1)
        assert {timing.worker for timing in frame.systems.values()} == set(range(workers))
        assert used(scheduler) == set(range(workers))
        assert scheduler.stats.parallel_phases == 1


@pytest.mark.parametrize("backend", BACKENDS)
def test_pieces_of_one_native_system_run_at_once(backend, ffi, library):
    meeting = ffi.new("meeting *", {"wanted": 3, "patience": PATIENCE})
    world = fo.World()
    world.spawn_many(60_000, {Mass: 1})
    meet = fo.native(library.meet, writes=Mass, user_data=meeting, name="meet")
    with fo.Scheduler(world, fo.Schedule(meet), backend=backend, workers=3) as scheduler:
        frame = scheduler.tick(0.1)
        assert used(scheduler) == {0, 1, 2}
        assert frame.systems["meet"].rows == 60_000
        assert frame.systems["meet"].tasks >= 3


@pytest.mark.parametrize("backend", BACKENDS)
def test_python_systems_that_release_the_lock_run_at_once(backend):
    barrier = threading.Barrier(4)
    systems = [
        fo.system(name=f"s{index}", gil="release")(lambda ctx: barrier.wait(HANG_SECONDS))
        for index in range(4)
    ]
    with fo.Scheduler(fo.World(), fo.Schedule(*systems), backend=backend, workers=4) as scheduler:
        frame = scheduler.tick(0.1)
        assert {timing.worker for timing in frame.systems.values()} == {0, 1, 2, 3}


@pytest.mark.parametrize("backend", BACKENDS)
def test_native_system_runs_beside_one_that_holds_the_lock(backend, ffi, library):
    meeting = ffi.new("meeting *", {"wanted": 2, "patience": PATIENCE})

    def join(ctx):
        meeting.inside += 1
        while meeting.inside < 2 and meeting.patience > 0:
            meeting.patience -= 1

    systems = [
        fo.system(name="python")(join),
        fo.native(library.meet, user_data=meeting, name="native"),
    ]
    with fo.Scheduler(fo.World(), fo.Schedule(*systems), backend=backend, workers=2) as scheduler:
        frame = scheduler.tick(0.1)
        assert {timing.worker for timing in frame.systems.values()} == {0, 1}
        assert meeting.inside == 2


@pytest.mark.parametrize("backend", BACKENDS)
def test_systems_that_hold_the_lock_are_never_inside_together(backend):
    inside = []
    most = []

    def enter(ctx):
        inside.append(ctx.name)
        most.append(len(inside))
        sum(range(2000))
        inside.remove(ctx.name)

    systems = [fo.system(name=f"s{index}")(enter) for index in range(12)]
    with fo.Scheduler(fo.World(), fo.Schedule(*systems), backend=backend, workers=4) as scheduler:
        scheduler.tick_n(20, 0.1)
    assert len(most) == 12 * 20
    # Without a lock there is none to hold, and the workers bound it.
    assert max(most) <= (1 if HAS_LOCK else 4)


@pytest.mark.parametrize("backend", BACKENDS)
def test_long_systems_stay_on_several_workers_frame_after_frame(backend, ffi, library):
    rounds = ffi.new("uint64_t *", 300)
    world = fo.World()
    world.spawn_many(2000, {Mass: np.arange(2000)})
    kinds = [fo.component(f"Part{index}", "u8") for index in range(4)]
    for kind in kinds:
        world.spawn_many(2000, {kind: 1})
    systems = [
        fo.native(library.grind, writes=kind, user_data=rounds, name=f"grind{index}")
        for index, kind in enumerate(kinds)
    ]
    with fo.Scheduler(world, fo.Schedule(*systems), backend=backend, workers=2) as scheduler:
        scheduler.tick_n(20, 0.1)
        assert scheduler.stats.parallel_phases > 0
        assert used(scheduler) == {0, 1}
