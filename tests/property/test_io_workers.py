"""One world, whoever does the I/O: random files and streams on all backends and engines."""

import contextlib
import itertools
import socket
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import foliot as fo
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

Text = fo.component("Text", fo.Bytes)
Sum = fo.component("Sum", "u8")

BACKENDS = ["blocking", "evented", "threadpool", "stealing", "uring", "adaptive"]
ENGINES = list(itertools.product(BACKENDS, ["pool", "uring"]))
ROWS = 6
FILES = 5  # the one behind the last does not exist
SOCKETS = 2
FRAMES = 3
# The patience of a receive that should never need it.
SECONDS = 60.0

WAITS = st.sampled_from(["stage", "phase"])
FILE = st.integers(0, FILES)
ROW = st.integers(0, ROWS - 1)
ACTIONS = st.one_of(
    st.tuples(st.just("read"), FILE, st.integers(1, 5000), st.integers(0, 3000), WAITS),
    st.tuples(st.just("to"), FILE, ROW, WAITS),
    st.tuples(st.just("many"), st.lists(FILE, max_size=8), st.just("stage")),
    st.tuples(st.just("many to"), st.lists(FILE, min_size=ROWS, max_size=ROWS), WAITS),
    st.tuples(st.just("spawn"), st.integers(0, FILES - 1), WAITS),
    st.tuples(st.just("write"), st.integers(0, 2), st.binary(max_size=300), st.just("stage")),
    st.tuples(
        st.just("stream"), st.integers(0, SOCKETS - 1), st.binary(min_size=1, max_size=200), WAITS
    ),
)


@dataclass(frozen=True)
class Case:
    contents: list
    plans: list  # of each system: what it asks for in each frame
    later: list  # files that later frames get
    workers: int


@st.composite
def cases(draw):
    asked = st.lists(ACTIONS, max_size=5).map(lambda some: list(without_shared_streams(some)))
    return Case(
        draw(st.lists(st.binary(max_size=3000), min_size=FILES, max_size=FILES)),
        draw(st.lists(st.lists(asked, min_size=FRAMES, max_size=FRAMES), min_size=1, max_size=3)),
        draw(st.lists(FILE, max_size=4)),
        draw(st.integers(1, 4)),
    )


class Run:
    """One run of a case: its files, its sockets, its world, and what its systems were given."""

    def __init__(self, case, folder, stack):
        self.case = case
        self.folder = Path(folder)
        self.paths = [str(self.folder / f"in{number}") for number in range(FILES + 1)]
        for path, content in zip(self.paths, case.contents, strict=False):
            Path(path).write_bytes(content)
        self.pairs = [socket.socketpair() for _ in range(SOCKETS * len(case.plans))]
        for end in itertools.chain.from_iterable(self.pairs):
            stack.callback(end.close)
        self.world = fo.World()
        self.rows = [self.world.spawn(Text, Sum) for _ in range(ROWS)]
        self.asked = [[] for _ in case.plans]
        self.later = []

    def ask(self, ctx, owner, place, action):
        """Ask for one thing; several systems never share a socket or a file they write."""
        kind, *rest, wait = action
        io = ctx.io
        if kind == "read":
            yield io.read(self.paths[rest[0]], rest[1], rest[2], wait=wait)
        elif kind == "to":
            yield io.read(self.paths[rest[0]], to=(self.rows[rest[1]], Text), wait=wait)
        elif kind == "many":
            yield io.read_many([self.paths[file] for file in rest[0]], wait=wait)
        elif kind == "many to":
            paths = [self.paths[file] for file in rest[0]]
            yield io.read_many(paths, to=(self.rows, Text), wait=wait)
        elif kind == "spawn":
            entity = ctx.commands.spawn(Text, Sum(7))
            yield io.read(self.paths[rest[0]], to=(entity, Text), wait=wait)
        elif kind == "write":
            path = self.folder / f"out{owner}-{rest[0]}-{place}"
            yield io.write(str(path), rest[1], wait=wait)
        else:
            left, right = self.pairs[owner * SOCKETS + rest[0]]
            yield io.recv(left, len(rest[1]), whole=True, wait=wait, timeout=SECONDS)
            yield io.send(right, rest[1], wait=wait)

    def systems(self):
        def make(owner, plan):
            def run(ctx):
                if ctx.frame < FRAMES:
                    for place, action in enumerate(plan[ctx.frame]):
                        self.asked[owner].extend(self.ask(ctx, owner, place, action))

            return fo.system(io=True, commands=True, name=f"ask{owner}", writes=Text)(run)

        @fo.system(io=True)
        def later(ctx):
            if ctx.frame == 0:
                self.later += [ctx.io.read(self.paths[f], wait="none") for f in self.case.later]

        @fo.system(reads=Text, writes=Sum)
        def sum_up(ctx):
            for chunk in ctx:
                seen = np.array([zlib.crc32(text) for text in chunk[Text]], "u8")
                chunk[Sum][:] = chunk[Sum] * 31 + seen

        return [*(make(owner, plan) for owner, plan in enumerate(self.case.plans)), later, sum_up]

    def tell(self, backend, engine):
        """What came of it, frame by frame and operation by operation."""
        told = []
        with fo.Scheduler(
            self.world,
            fo.Schedule(*self.systems()),
            backend=backend,
            workers=self.case.workers,
            io=engine,
        ) as scheduler:
            assert scheduler.io.engine == engine, scheduler.io.reason
            for _ in range(FRAMES):
                scheduler.tick(0.1)
                told.append(self.world.digest())
            while not all(operation.done for operation in self.later):
                scheduler.wait()
                scheduler.tick(0.1)
            assert scheduler.stats.io_in_flight == 0
        operations = [*itertools.chain.from_iterable(self.asked), *self.later]
        told += [outcome(operation) for operation in operations]
        written = sorted(self.folder.glob("out*"))
        return told + [(path.name, path.read_bytes()) for path in written]


def outcome(operation):
    """The results of an operation, and how it failed."""
    assert operation.done
    if hasattr(operation, "results"):
        errors = {index: error.errno for index, error in operation.errors.items()}
        return operation.results, errors
    error = operation.error
    return (None, type(error)) if error is not None else (operation.result, None)


def without_shared_streams(actions):
    """Two receives from one stream at once would share what comes: the first of each only."""
    seen = set()
    for action in actions:
        key = action[:2] if action[0] == "stream" else object()
        if key not in seen:
            seen.add(key)
            yield action


def tell(case, backend, engine):
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        return Run(case, folder, stack).tell(backend, engine)


@given(cases())
def test_every_backend_and_engine_tells_the_same_of_files_and_streams(case):
    expected = tell(case, *ENGINES[0])
    for backend, engine in ENGINES[1:]:
        assert tell(case, backend, engine) == expected, (backend, engine)
