"""Operations against a model: random files, requests and orders, on each engine."""

import os
import tempfile
from pathlib import Path

import foliot as fo
from hypothesis import given
from hypothesis import strategies as st
from io_support import ENGINES, Engine

Text = fo.component("Text", fo.Bytes)
FILES = 4

REQUESTS = st.one_of(
    st.tuples(
        st.just("read"),
        st.integers(0, FILES),
        st.one_of(st.none(), st.integers(0, 9000)),
        st.integers(0, 9000),
    ),
    st.tuples(
        st.just("into"),
        st.integers(0, FILES),
        st.lists(st.integers(0, 5000), min_size=1, max_size=3),
    ),
    st.tuples(st.just("to"), st.integers(0, FILES), st.integers(0, FILES - 1)),
    st.tuples(st.just("many"), st.lists(st.integers(0, FILES), max_size=6)),
    st.tuples(st.just("stat"), st.integers(0, FILES)),
)
WAITS = st.sampled_from(["stage", "phase", "none"])


class Files:
    """Files of known contents; the one behind the last does not exist."""

    def __init__(self, folder, contents):
        self.paths = [str(Path(folder, str(number))) for number in range(FILES + 1)]
        self.contents = contents
        for path, content in zip(self.paths, contents, strict=False):
            Path(path).write_bytes(content)

    def ask(self, io, request, entities, wait):
        """Ask for it; what will check the operation, and what it wrote to."""
        kind, *rest = request
        if kind == "read":
            return io.read(self.paths[rest[0]], rest[1], rest[2], wait=wait), None
        if kind == "into":
            buffers = [bytearray(size) for size in rest[1]]
            return io.read(self.paths[rest[0]], into=buffers, wait=wait), buffers
        if kind == "to":
            return io.read(self.paths[rest[0]], to=(entities[rest[1]], Text), wait=wait), None
        if kind == "many":
            return io.read_many([self.paths[index] for index in rest[0]], wait=wait), None
        return io.stat(self.paths[rest[0]], wait=wait), None

    def check(self, request, operation, buffers):
        kind, *rest = request
        if kind == "many":
            expected = [None if i == FILES else self.contents[i] for i in rest[0]]
            assert operation.results == expected
            assert set(operation.errors) == {p for p, i in enumerate(rest[0]) if i == FILES}
            return
        if rest[0] == FILES:
            assert isinstance(operation.error, FileNotFoundError)
            return
        content = self.contents[rest[0]]
        if kind == "read":
            end = None if rest[1] is None else rest[2] + rest[1]
            assert operation.result == content[rest[2] : end]
        elif kind == "into":
            room = sum(rest[1])
            joined = b"".join(buffers)
            assert operation.result == min(room, len(content))
            assert joined == content[:room] + bytes(max(0, room - len(content)))
        elif kind == "to":
            assert operation.result == len(content)
        else:
            assert operation.result == os.stat(self.paths[rest[0]])


@given(
    engine=st.sampled_from(ENGINES),
    contents=st.lists(st.binary(max_size=8000), min_size=FILES, max_size=FILES),
    requests=st.lists(st.tuples(REQUESTS, WAITS), max_size=12),
    split=st.integers(0, 12),
)
def test_operations_give_what_the_files_hold(engine, contents, requests, split):
    world = fo.World()
    entities = [world.spawn(Text) for _ in range(FILES)]
    asked = []
    with tempfile.TemporaryDirectory() as folder:
        files = Files(folder, contents)

        def part(first, last):
            def ask(ctx):
                if ctx.frame == 0:
                    for request, wait in requests[first:last]:
                        asked.append((request, *files.ask(ctx.io, request, entities, wait)))

            return ask

        one = fo.system(io=True, name="one", writes=Text)(part(0, split))
        two = fo.system(io=True, name="two", writes=Text)(part(split, None))
        with Engine(*engine).scheduler(one, two, world=world) as scheduler:
            scheduler.tick(0.1)
            while not all(operation.done for _, operation, _ in asked):
                scheduler.wait()
                scheduler.tick(0.1)
            assert scheduler.stats.io_in_flight == 0
        for request, operation, buffers in asked:
            files.check(request, operation, buffers)


@given(
    contents=st.lists(st.binary(max_size=500), min_size=FILES, max_size=FILES),
    targets=st.lists(st.tuples(st.integers(0, FILES - 1), st.integers(0, FILES - 1)), max_size=12),
)
def test_last_of_several_deliveries_to_one_cell_wins_on_each_engine(contents, targets):
    digests = set()
    with tempfile.TemporaryDirectory() as folder:
        files = Files(folder, contents)
        for engine in ENGINES:
            world = fo.World()
            entities = [world.spawn(Text) for _ in range(FILES)]

            def load(ctx, entities=entities):
                for file, entity in targets:
                    ctx.io.read(files.paths[file], to=(entities[entity], Text))

            system = fo.system(io=True, name="load", writes=Text)(load)
            with Engine(*engine).scheduler(system, world=world) as scheduler:
                scheduler.tick(0.1)
            last = {entity: file for file, entity in targets}
            for place, entity in enumerate(entities):
                expected = contents[last[place]] if place in last else b""
                assert bytes(world.get(entity, Text).value) == expected
            digests.add(world.digest())
    assert len(digests) == 1
