"""What tests share: backends, engines of I/O, a pipe, and a way onto a helper's thread.

A helper is a worker that is not the thread that calls ``tick``. Two systems that release the lock
meet at a barrier, so they run on two workers at once, and one of them is a helper's.
"""

import os
import threading

import foliot as fo
import pytest
from io_support import ENGINE_NAMES, ENGINES, Engine

PARALLEL = ("threadpool", "stealing")
PATIENCE = 60.0


@pytest.fixture(params=("blocking", *PARALLEL))
def backend(request):
    """Each backend, with whatever it falls back to here."""
    return request.param


@pytest.fixture(params=PARALLEL)
def parallel_backend(request):
    """Each backend with helpers."""
    with fo.Scheduler(fo.World(), fo.Schedule(), backend=request.param, workers=2) as scheduler:
        assert scheduler.backend.actual == request.param, scheduler.backend.reason
        assert len(scheduler.workers) == 2
    return request.param


@pytest.fixture(params=ENGINES, ids=ENGINE_NAMES)
def engine(request):
    """Each engine of I/O, on one backend that works alone and one that shares."""
    return Engine(*request.param)


@pytest.fixture
def pipe():
    """The descriptors of a pipe: to read from, and to write to."""
    reader, writer = os.pipe()
    yield reader, writer
    for descriptor in (reader, writer):
        os.close(descriptor)


class Meeting:
    """Two systems of which one runs ``there`` on a helper, and the other ``here`` on the driver.

    A phase that was never run goes to all workers; later ones only when it is worth it. So each
    frame has a scheduler of its own.
    """

    def __init__(self, there, here=lambda ctx: None, **options):
        self.driver = 0
        self.there, self.here = there, here
        self.barrier = threading.Barrier(2)
        self.idents = []
        self.systems = [
            fo.system(gil="release", name=name, **options)(self.run) for name in ("left", "right")
        ]

    def run(self, ctx):
        self.barrier.wait(PATIENCE)
        self.idents.append(threading.get_ident())
        action = self.here if threading.get_ident() == self.driver else self.there
        action(ctx)

    def scheduler(self, backend, world=None, systems=None, **options):
        """A scheduler for one frame, to be driven by this thread."""
        self.driver = threading.get_ident()
        world = fo.World() if world is None else world
        schedule = fo.Schedule(*(systems or self.systems))
        return fo.Scheduler(world, schedule, backend=backend, workers=2, **options)

    def frame(self, backend, world=None, systems=None, **options):
        """One frame, driven by this thread."""
        with self.scheduler(backend, world, systems, **options) as scheduler:
            return scheduler.tick(0.1)


@pytest.fixture
def meeting():
    """The class ``Meeting``."""
    return Meeting
