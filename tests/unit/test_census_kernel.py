"""The demo's native systems: what they ask for and count, against Python's own counting."""

import contextlib
import ctypes
import errno
import os
import pathlib
import resource
import zlib

import foliot as fo
import numpy as np
import pytest
from foliot import _core
from foliot.demo._census import (
    ENDED,
    Counts,
    Desk,
    Identity,
    Path,
    Place,
    Reading,
    Text,
    count_from,
    fetch_to,
)
from hypothesis import example, given
from hypothesis import strategies as st

WAITING, DONE, OTHER, CHANGED = 0, -1, -2, -3
BLOCK = 16384
GUESS = 65536
LANES = 16
WHITE_SPACE = b" \t\n\r\v\f"
# Control characters beside white space: what isspace() and split() of str, not bytes, would take.
NEARLY_WHITE_SPACE = b"\x08\x0e\x1c\x1f\x00!\x85\xa0"

texts = st.one_of(
    st.binary(max_size=3 * LANES),
    st.text(alphabet=" \n\tab", max_size=6 * LANES).map(str.encode),
    st.binary(max_size=64).map(lambda part: part * 300),
)


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory):
    """Where the texts are files."""
    Folder.path = str(tmp_path_factory.mktemp("texts"))


@pytest.fixture(scope="module", autouse=True)
def signal_pipe():
    """Stays once it is there, so it is there before descriptors are counted."""
    _core.make_signal_pipe()


class Folder:
    path = ""


class Rows:
    """Files below the folder, in a world with the two native systems and nothing else."""

    def __init__(self, names, limit=1 << 20, backend="blocking"):
        self.count = len(names)
        self.desk = Desk(os.fsencode(Folder.path), max(1, self.count), limit)
        self.world = fo.World()
        columns = {
            Path: names,
            Counts: None,
            Reading: {"state": 0, "step": 0, "place": np.arange(self.count)},
            Identity: None,
            Text: b"",
        }
        self.entities = self.world.spawn_many(self.count, columns)
        schedule = fo.Schedule(fetch_to(self.desk), count_from(self.desk))
        self.scheduler = fo.Scheduler(self.world, schedule, backend=backend)
        self.frames = 0

    def close(self):
        self.scheduler.close()
        self.desk.close()

    @property
    def states(self):
        return [self.world.get(entity, Reading).state for entity in self.entities]

    @property
    def identity(self):
        return [self.world.get(entity, Identity).value.tolist() for entity in self.entities]

    def tick(self):
        self.scheduler.tick(0.0)
        self.frames += 1

    def run(self):
        """As many frames as it takes, which are bounded."""
        while {self.world.get(entity, Reading).step for entity in self.entities} - {ENDED}:
            self.tick()
            assert self.frames < 1000

    def counts(self):
        """(bytes, lines, words, crc) of each row."""
        found = (self.world.get(entity, Counts) for entity in self.entities)
        return [(count.bytes, count.lines, count.words, count.crc) for count in found]


@contextlib.contextmanager
def rows_of(texts, limit=1 << 20):
    """Rows of files that hold the texts, counted to their ends."""
    names = [b"%d" % number for number in range(len(texts))]
    for name, text in zip(names, texts, strict=True):
        with open(os.path.join(Folder.path, name.decode()), "wb") as file:
            file.write(text)
    with contextlib.closing(Rows(names, limit)) as rows:
        rows.run()
        assert set(rows.states) <= {DONE}
        yield rows


def counted(texts, limit=1 << 20):
    with rows_of(texts, limit) as rows:
        return rows.counts()


def expected(text):
    return len(text), text.count(b"\n"), len(text.split()), zlib.crc32(text)


@pytest.mark.parametrize(
    ("kernel", "signature"),
    [
        (_core.census_fetch, b"int (const fol_chunk *, void *)"),
        (_core.census_count, b"int (void **, ptrdiff_t, void *)"),
    ],
)
def test_capsule_is_named_by_the_signature_of_the_kernel(kernel, signature):
    name = ctypes.pythonapi.PyCapsule_GetName
    name.restype, name.argtypes = ctypes.c_char_p, (ctypes.py_object,)
    assert name(kernel) == signature


def test_no_rows_are_no_work():
    assert counted([]) == []


def test_empty_text_counts_nothing():
    assert counted([b""]) == [(0, 0, 0, 0)]


@given(text=texts)
@example(text=b"a" * (BLOCK - 1) + b" b" * LANES)
@example(text=b"\n" * (LANES * 256 + 1))
@example(text=b" a" * (LANES * 256))
def test_counts_are_those_of_python(text):
    assert counted([text]) == [expected(text)]


@given(text=texts, limit=st.integers(1, 20_000))
def test_counts_of_pieces_are_those_of_the_whole(text, limit):
    limit = max(limit, len(text) // 50)
    assert counted([text], limit) == [expected(text)]


@pytest.mark.parametrize("size", [0, 1, 3, 4])
def test_file_that_fits_a_frame_is_read_in_one_and_counted_in_the_next(size):
    with rows_of([b"x" * size], limit=4) as rows:
        assert rows.frames == 2


@pytest.mark.parametrize(("size", "pieces"), [(10, 3), (8, 2), (5, 2)])
def test_larger_file_is_opened_in_a_frame_each_piece_read_in_one_and_counted_in_the_next(
    size, pieces
):
    with rows_of([b"x" * size], limit=4) as rows:
        assert rows.frames == 1 + 2 * pieces + 1


@given(rows=st.lists(texts, max_size=5))
def test_rows_are_counted_independently(rows):
    assert counted(rows) == [expected(text) for text in rows]


@pytest.mark.parametrize(
    "size",
    [
        1,
        15,
        16,
        17,
        63,
        64,
        65,
        79,
        80,
        BLOCK - 1,
        BLOCK,
        BLOCK + 1,
        GUESS - 1,
        GUESS,
        GUESS + 1,
    ],
)
def test_sizes_at_the_edges_of_groups_and_blocks_are_counted_whole(size):
    text = (b"one two\nthree " * size)[:size]
    assert counted([text]) == [expected(text)]


def test_every_byte_is_white_space_or_part_of_a_word_as_bytes_split_has_it():
    for byte in range(256):
        text = bytes([ord("a"), byte, ord("a")]) * LANES
        assert counted([text]) == [expected(text)], byte


@pytest.mark.parametrize("byte", NEARLY_WHITE_SPACE)
def test_byte_that_only_looks_like_white_space_joins_a_word(byte):
    assert counted([b"a" + bytes([byte]) + b"b"])[0][2] == 1


@pytest.mark.parametrize("size", [BLOCK, GUESS])
def test_word_across_two_blocks_counts_once(size):
    text = b" " * (size - 3) + b"words" + WHITE_SPACE
    assert counted([text]) == [(len(text), 1, 1, zlib.crc32(text))]


def test_identity_is_that_of_the_file():
    with rows_of([b"text"]) as rows:
        status = os.stat(f"{Folder.path}/0")
        assert rows.identity == [
            [status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]
        ]


def test_row_that_is_done_is_left_alone():
    with rows_of([b"text"]) as rows:
        rows.tick()
        assert rows.counts() == [expected(b"text")]
        assert rows.states == [DONE]


def test_file_that_says_size_zero_is_read_to_its_end():
    name = os.path.relpath("/proc/self/status", Folder.path).encode()
    with contextlib.closing(Rows([name], limit=100)) as rows:
        rows.run()
        assert rows.states == [DONE]
        assert rows.counts()[0][0] > 100


def open_descriptors():
    return sorted(os.listdir("/proc/self/fd"))


BACKENDS = ["blocking", "evented", "threadpool", "uring"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_cannot_be_counted_says_why_and_leaves_no_descriptor_open(tmp_path, backend):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    names = ["folder", "link", "pipe", "missing", "x" * 300, "x/" * 3000]
    names = [os.path.relpath(tmp_path / name, Folder.path).encode() for name in names]
    memory = os.path.relpath("/proc/self/mem", Folder.path).encode()
    before = open_descriptors()
    with contextlib.closing(Rows([*names, memory], backend=backend)) as rows:
        rows.run()
        too_long = errno.ENAMETOOLONG
        assert rows.states == [
            *(OTHER, errno.ELOOP, OTHER, errno.ENOENT, too_long, too_long, errno.EIO)
        ]
    assert open_descriptors() == before


def write(name, text=b"x" * 10):
    """Where the file of this name and text is."""
    path = os.path.join(Folder.path, name)
    with open(path, "wb") as file:
        file.write(text)
    return path


def replace(path):
    os.rename(write("new", b"y" * 10), path)


def rewrite(path):
    with open(path, "r+b") as file:
        file.write(b"z")


def turn_to_link(path):
    os.rename(write("target"), f"{path}.target")
    os.unlink(path)
    os.symlink(f"{path}.target", path)


def turn_to_pipe(path):
    os.unlink(path)
    os.mkfifo(path)


def turn_to_folder(path):
    os.unlink(path)
    os.mkdir(path)


CHANGES = {
    "replaced": (replace, CHANGED),
    "shrunk": (lambda path: os.truncate(path, 9), CHANGED),
    "emptied": (lambda path: os.truncate(path, 0), CHANGED),
    "grown": (lambda path: os.truncate(path, 11), CHANGED),
    "rewritten": (rewrite, CHANGED),
    "vanished": (os.unlink, errno.ENOENT),
    "link": (turn_to_link, errno.ELOOP),
    "pipe": (turn_to_pipe, OTHER),
    "folder": (turn_to_folder, OTHER),
}


def read_while(change, moment):
    """The state of a file that changed between the first look at it and the last, by moments."""
    path = write("unsteady")
    changes = {moment: [change]}

    def meddle(_):
        for act in changes.pop("before it is read", []):
            act(path)

    with contextlib.closing(Rows([b"unsteady"])) as rows:
        # It runs in the stage of `fetch`, behind whose end the reading begins.
        meddling = fo.system(meddle, name="meddle")
        rows.scheduler.close()
        schedule = fo.Schedule(fetch_to(rows.desk), meddling, count_from(rows.desk))
        rows.scheduler = fo.Scheduler(rows.world, schedule, backend="blocking")
        (stage, *_) = schedule.plan().stages("update")
        assert stage == ["fetch", "meddle"]
        rows.tick()
        for act in changes.pop("after it was read", []):
            act(path)
        assert not changes
        rows.run()
        assert rows.counts() == [(0, 0, 0, 0)]
        (state,) = rows.states
    if os.path.isdir(path):
        os.rmdir(path)
    elif os.path.lexists(path):
        os.unlink(path)
    return state


@pytest.mark.parametrize("moment", ["before it is read", "after it was read"])
@pytest.mark.parametrize("change", CHANGES)
def test_file_that_is_another_than_the_one_looked_at_is_not_counted_and_says_so(change, moment):
    act, state = CHANGES[change]
    before = open_descriptors()
    assert read_while(act, moment) == state
    assert open_descriptors() == before


def test_file_that_gives_less_than_it_said_is_read_to_its_end_in_pieces():
    path = "/sys/devices/system/cpu/online"
    text = pathlib.Path(path).read_bytes()
    assert 0 < len(text) < os.stat(path).st_size
    name = os.path.relpath(path, Folder.path).encode()
    with contextlib.closing(Rows([name], backend="uring")) as rows:
        rows.run()
        assert rows.states == [DONE]
        assert rows.counts() == [expected(text)]


def test_file_that_changed_between_two_pieces_says_so():
    path = os.path.join(Folder.path, "changing")
    with open(path, "wb") as file:
        file.write(b"x" * 10)
    with contextlib.closing(Rows([b"changing"], limit=4)) as rows:
        for _ in range(3):
            rows.tick()
        os.truncate(path, 9)
        rows.run()
        assert rows.states == [CHANGED]


def test_file_whose_name_went_to_another_between_two_pieces_says_so():
    path = os.path.join(Folder.path, "replaced")
    for name in (path, f"{path}.new"):
        with open(name, "wb") as file:
            file.write(b"x" * 10)
    with contextlib.closing(Rows([b"replaced"], limit=4)) as rows:
        for _ in range(3):
            rows.tick()
        os.rename(f"{path}.new", path)
        rows.run()
        assert rows.states == [CHANGED]


def test_file_that_shrinks_before_it_is_read_ends_where_it_ends_now():
    path = os.path.join(Folder.path, "shrinking")
    with open(path, "wb") as file:
        file.write(b"x " * 500)
    os.truncate(path, 10)
    with contextlib.closing(Rows([b"shrinking"])) as rows:
        rows.run()
        assert rows.counts() == [expected(b"x " * 5)]


@contextlib.contextmanager
def descriptors_left(count):
    """A process that can open so many descriptors more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    spare = [os.open("/dev/null", os.O_RDONLY) for _ in range(count + 1)]
    for descriptor in spare:
        os.close(descriptor)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(spare), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("limit", [4, 1 << 20])
@pytest.mark.parametrize("backend", BACKENDS)
def test_files_wait_for_descriptors_that_other_files_give_back(tmp_path, backend, limit):
    names = []
    for number in range(20):
        (tmp_path / str(number)).write_bytes(b"a text")
        names.append(os.path.relpath(tmp_path / str(number), Folder.path).encode())
    with contextlib.closing(Rows(names, limit, backend)) as rows:
        with descriptors_left(5):
            rows.run()
        assert rows.counts() == [expected(b"a text")] * 20
        # One that is read whole is closed at once.
        assert rows.frames > 3 or limit > 4


def test_file_that_never_gets_a_descriptor_says_so():
    with open(os.path.join(Folder.path, "one"), "wb") as file:
        file.write(b"text")
    with contextlib.closing(Rows([b"one"])) as rows:
        with descriptors_left(0):
            rows.run()
        assert rows.states == [errno.EMFILE]


def test_census_that_is_broken_off_leaves_no_descriptor_open():
    before = open_descriptors()
    for frames in range(4):
        with open(os.path.join(Folder.path, "left"), "wb") as file:
            file.write(b"text " * 10)
        with contextlib.closing(Rows([b"left"], limit=4)) as rows:
            for _ in range(frames):
                rows.tick()
        assert open_descriptors() == before


def test_row_without_a_place_of_the_desk_fails_its_system():
    with contextlib.closing(Rows([b"one"])) as rows:
        rows.world.set(rows.entities[0], Reading(state=0, step=0, place=1))
        with pytest.raises(fo.FrameError) as caught:
            rows.tick()
        assert f"{errno.EINVAL}" in str(caught.value.exceptions[0])


def test_places_are_laid_out_as_the_kernels_have_them():
    assert Place.fields["path"][1] == 2 * 32 + 12
    assert Place.itemsize == 4176
