"""ctx.io on files: each operation on each engine gives what the call of its name gives."""

import os
import pathlib

import foliot as fo
import numpy as np
import pytest

Text = fo.component("Text", fo.Bytes)
Page = fo.resource("Page", fo.Bytes)


@pytest.fixture
def path(tmp_path):
    """A file of ten bytes."""
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    return path


@pytest.mark.parametrize("kind", [str, os.fsencode, pathlib.Path])
def test_read_of_any_kind_of_path_gives_the_whole_file(engine, path, kind):
    assert engine.ask(lambda ctx: ctx.io.read(kind(path))).result == b"0123456789"


@pytest.mark.parametrize(
    ("size", "offset", "expected"),
    [(4, 0, b"0123"), (4, 8, b"89"), (None, 7, b"789"), (0, 0, b""), (100_000, 1, b"123456789")],
)
def test_read_takes_a_size_and_an_offset(engine, path, size, offset, expected):
    assert engine.ask(lambda ctx: ctx.io.read(path, size, offset)).result == expected


def test_read_of_a_descriptor_leaves_its_position(engine, path):
    with open(path, "rb") as file:
        assert engine.ask(lambda ctx: ctx.io.read(file, 3, 2)).result == b"234"
        assert engine.ask(lambda ctx: ctx.io.read(file.fileno(), offset=5)).result == b"56789"
        assert file.read() == b"0123456789"


def test_read_without_an_offset_goes_on_from_the_position(engine, path):
    with open(path, "rb", buffering=0) as file:
        file.seek(6)
        assert engine.ask(lambda ctx: ctx.io.read(file, 2, None)).result == b"67"
        assert file.tell() == 8


def test_file_that_can_be_watched_and_is_never_ready_is_read(engine):
    """What the kernel makes up when it is asked."""
    path = pathlib.Path("/sys/devices/system/cpu/online")
    with open(path, "rb") as file:
        asked = engine.ask(lambda ctx: ctx.io.read(file, 4096, timeout=60))
        assert asked.result == path.read_bytes()


def test_path_that_is_not_ascii_is_read(engine, tmp_path):
    path = tmp_path / "Grüße"
    path.write_bytes(b"x")
    assert engine.ask(lambda ctx: ctx.io.read(path)).result == b"x"


def test_relative_path_is_taken_from_the_directory(engine, path):
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        assert engine.ask(lambda ctx: ctx.io.read("file", dir_fd=directory)).result == b"0123456789"
    finally:
        os.close(directory)


def test_read_into_a_buffer_gives_the_number_of_bytes(engine, path):
    buffer = bytearray(16)
    assert engine.ask(lambda ctx: ctx.io.read(path, into=buffer)).result == 10
    assert buffer == b"0123456789" + bytes(6)
    array = np.zeros(4, "u1")
    assert engine.ask(lambda ctx: ctx.io.read(path, 2, into=array)).result == 2
    assert array.tobytes() == b"01\0\0"


def test_read_into_several_buffers_fills_them_in_order(engine, path):
    buffers = [bytearray(3), bytearray(4), bytearray(9)]
    assert engine.ask(lambda ctx: ctx.io.read(path, into=buffers)).result == 10
    assert buffers == [b"012", b"3456", b"789" + bytes(6)]


def test_buffer_stays_exported_until_the_delivery(engine):
    reader, writer = os.pipe()
    buffer = bytearray(3)

    def ask(ctx):
        return ctx.io.read(reader, offset=None, into=buffer, wait="none")

    operations = []
    system = fo.system(io=True, name="ask")(lambda ctx: operations or operations.append(ask(ctx)))
    with engine.scheduler(system) as scheduler:
        scheduler.tick(0.1)
        with pytest.raises(BufferError):
            buffer.extend(b"more")
        os.write(writer, b"abc")
        while not operations[0].done:
            scheduler.wait()
            scheduler.tick(0.1)
    assert operations[0].result == 3
    buffer.extend(b"d")
    assert buffer == b"abcd"
    os.close(reader)
    os.close(writer)


def test_read_is_delivered_into_a_component(engine, path):
    world = fo.World()
    entity = world.spawn(Text)
    operation = engine.ask(
        lambda ctx: ctx.io.read(path, to=(entity, Text)), world=world, writes=Text
    )
    assert operation.result == 10
    assert bytes(world.get(entity, Text).value) == b"0123456789"


def test_read_is_delivered_into_a_resource(engine, path):
    world = fo.World()
    world.insert(Page(b""))
    assert (
        engine.ask(lambda ctx: ctx.io.read(path, 3, to=Page), world=world, writes=Page).result == 3
    )
    assert bytes(world[Page].value) == b"012"


def test_later_system_of_the_phase_sees_what_was_read(engine, path):
    world = fo.World()
    entity = world.spawn(Text)
    seen = []

    @fo.system(writes=Text, io=True)
    def load(ctx):
        ctx.io.read(path, to=(entity, Text))

    @fo.system(reads=Text)
    def look(ctx):
        seen.extend(bytes(chunk[Text][0]) for chunk in ctx)

    with engine.scheduler(load, look, world=world) as scheduler:
        scheduler.tick(0.1)
    assert seen == [b"0123456789"]


def test_delivery_to_an_entity_that_was_spawned_in_the_same_run(engine, path):
    world = fo.World()

    @fo.system(writes=Text, io=True, commands=True)
    def load(ctx):
        ctx.io.read(path, to=(ctx.commands.spawn(Text), Text))

    with engine.scheduler(load, world=world) as scheduler:
        scheduler.tick(0.1)
    [chunk] = world.query(reads=[Text])
    assert bytes(chunk[Text][0]) == b"0123456789"


def test_read_many_gives_results_by_place_and_errors_apart(engine, tmp_path):
    for number in range(20):
        (tmp_path / str(number)).write_bytes(b"x" * number)
    paths = [tmp_path / str(number) for number in range(21)]
    found = engine.ask(lambda ctx: ctx.io.read_many(paths))
    assert found.done
    assert len(found) == 21
    assert found.results == [*(b"x" * number for number in range(20)), None]
    assert list(found.errors) == [20]
    assert isinstance(found.errors[20], FileNotFoundError)
    assert found.errors[20].filename == str(paths[20])


def test_read_many_fills_a_component_of_each_entity(engine, tmp_path):
    world = fo.World()
    entities = world.spawn_many(30, {Text: None})
    paths = [tmp_path / str(number) for number in range(30)]
    for number, path in enumerate(paths):
        path.write_bytes(b"%d" % number)
    found = engine.ask(
        lambda ctx: ctx.io.read_many(paths, to=(entities, Text)), world=world, writes=Text
    )
    assert found.results == [len(str(number)) for number in range(30)]
    assert found.errors == {}
    for number, entity in enumerate(entities):
        assert bytes(world.get(entity, Text).value) == b"%d" % number


def test_write_of_a_path_replaces_the_file(engine, path):
    assert engine.ask(lambda ctx: ctx.io.write(path, b"new")).result == 3
    assert path.read_bytes() == b"new"


def test_write_of_a_missing_path_makes_it_with_the_mode(engine, tmp_path):
    mask = os.umask(0)
    try:
        engine.ask(lambda ctx: ctx.io.write(tmp_path / "new", b"x", mode=0o640))
    finally:
        os.umask(mask)
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o640


def test_write_at_an_offset_leaves_the_rest(engine, path):
    assert engine.ask(lambda ctx: ctx.io.write(path, bytearray(b"ab"), 4)).result == 2
    assert path.read_bytes() == b"0123ab6789"


def test_write_takes_several_buffers(engine, tmp_path):
    parts = [b"one", bytearray(b"two"), np.frombuffer(b"six", "u1")]
    assert engine.ask(lambda ctx: ctx.io.write(tmp_path / "new", parts)).result == 9
    assert (tmp_path / "new").read_bytes() == b"onetwosix"


def test_open_gives_a_descriptor_that_is_the_callers(engine, path):
    descriptor = engine.ask(lambda ctx: ctx.io.open(path, os.O_RDONLY)).result
    assert os.read(descriptor, 3) == b"012"
    assert not os.get_inheritable(descriptor)
    assert engine.ask(lambda ctx: ctx.io.close(descriptor)).result is None
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_descriptor_that_nobody_takes_is_closed(engine, path):
    before = os.listdir("/proc/self/fd")
    held = engine.ask(lambda ctx: (ctx.io.open(path), None)[1])
    assert held is None
    operation = engine.ask(lambda ctx: ctx.io.open(path))
    del operation
    assert os.listdir("/proc/self/fd") == before


@pytest.mark.parametrize("data_only", [False, True])
def test_fsync_of_a_descriptor(engine, path, data_only):
    with open(path, "r+b") as file:
        assert engine.ask(lambda ctx: ctx.io.fsync(file, data_only)).result is None


def test_stat_gives_what_os_stat_gives(engine, path):
    assert engine.ask(lambda ctx: ctx.io.stat(path)).result == os.stat(path)
    found = engine.ask(lambda ctx: ctx.io.stat(path)).result
    expected = os.stat(path)
    for name in ("st_mtime_ns", "st_blocks", "st_blksize", "st_rdev", "st_mtime"):
        assert getattr(found, name) == getattr(expected, name), name
    with open(path, "rb") as file:
        assert engine.ask(lambda ctx: ctx.io.stat(file)).result.st_ino == expected.st_ino


def test_stat_of_a_link_can_be_of_the_link_itself(engine, path):
    link = path.parent / "link"
    link.symlink_to(path)
    assert engine.ask(lambda ctx: ctx.io.stat(link)).result.st_size == 10
    assert engine.ask(lambda ctx: ctx.io.stat(link, follow_symlinks=False)).result == os.lstat(link)


def test_names_are_made_moved_and_removed(engine, tmp_path):
    folder, file, moved = tmp_path / "folder", tmp_path / "file", tmp_path / "moved"
    file.touch()
    assert engine.ask(lambda ctx: ctx.io.mkdir(folder, 0o700)).result is None
    assert folder.stat().st_mode & 0o777 == 0o700
    assert engine.ask(lambda ctx: ctx.io.rename(file, moved)).result is None
    assert sorted(os.listdir(tmp_path)) == ["folder", "moved"]
    assert engine.ask(lambda ctx: ctx.io.unlink(moved)).result is None
    assert engine.ask(lambda ctx: ctx.io.rmdir(folder)).result is None
    assert os.listdir(tmp_path) == []


def test_nop_gives_nothing(engine):
    operation = engine.ask(lambda ctx: ctx.io.nop())
    assert (operation.kind, operation.done, operation.result) == ("nop", True, None)
