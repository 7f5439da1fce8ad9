"""The demo's native kernel, called through its capsule, against Python's own counting."""

import ctypes
import errno
import os
import struct
import zlib

import numpy as np
import pytest
from foliot import _core
from hypothesis import example, given
from hypothesis import strategies as st

SIGNATURE = b"int (void **, ptrdiff_t, void *)"
COLUMN_TYPES = ("u8", "u8", "u8", "u4", "u1", "i4")
WAITING, DONE, OTHER, CHANGED = 0, -1, -2, -3
BLOCK = 16384
BUFFER = 65536
LANES = 16
WHITE_SPACE = b" \t\n\r\v\f"
# Control characters beside white space: what isspace() and split() of str, not bytes, would take.
NEARLY_WHITE_SPACE = b"\x08\x0e\x1c\x1f\x00!\x85\xa0"

texts = st.one_of(
    st.binary(max_size=3 * LANES),
    st.text(alphabet=" \n\tab", max_size=6 * LANES).map(str.encode),
    st.binary(max_size=64).map(lambda part: part * 300),
)


class Bytes(ctypes.Structure):
    """``fol_bytes``."""

    _fields_ = (("data", ctypes.c_char_p), ("size", ctypes.c_uint64))


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory):
    """Where the texts are files."""
    Folder.path = str(tmp_path_factory.mktemp("texts"))


class Folder:
    path = ""


def kernel():
    address = ctypes.pythonapi.PyCapsule_GetPointer
    address.restype, address.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
    prototype = ctypes.CFUNCTYPE(
        ctypes.c_int, ctypes.POINTER(ctypes.c_void_p), ctypes.c_ssize_t, ctypes.c_void_p
    )
    return prototype(address(_core.census_kernel, SIGNATURE))


class Rows:
    """Columns of the kernel for files below the folder."""

    def __init__(self, names, limit=1 << 20):
        self.columns = [np.zeros(len(names), name) for name in COLUMN_TYPES]
        self.identity = np.zeros((len(names), 4), "i8")
        self.cells = (Bytes * max(1, len(names)))(*(Bytes(name, len(name)) for name in names))
        self.user = struct.pack("=Q", limit) + f"{Folder.path}/".encode() + b"\0"
        self.calls = 0

    @property
    def states(self):
        return self.columns[5].tolist()

    def run(self):
        """One call of the kernel."""
        addresses = [column.ctypes.data for column in (*self.columns, self.identity)]
        pointers = (ctypes.c_void_p * 8)(*addresses, ctypes.addressof(self.cells))
        assert kernel()(pointers, len(self.identity), self.user) == 0
        self.calls += 1

    def counts(self):
        """(bytes, lines, words, crc) of each row."""
        return list(zip(*(column.tolist() for column in self.columns[:4]), strict=True))


def rows_of(texts, limit=1 << 20):
    """Rows of files that hold the texts, counted to their ends."""
    names = [b"%d" % number for number in range(len(texts))]
    for name, text in zip(names, texts, strict=True):
        with open(os.path.join(Folder.path, name.decode()), "wb") as file:
            file.write(text)
    rows = Rows(names, limit)
    rows.run()
    while WAITING in rows.states:
        rows.run()
    assert set(rows.states) <= {DONE}
    return rows


def counted(texts, limit=1 << 20):
    return rows_of(texts, limit).counts()


def expected(text):
    return len(text), text.count(b"\n"), len(text.split()), zlib.crc32(text)


def test_capsule_is_named_by_the_signature_of_the_kernel():
    name = ctypes.pythonapi.PyCapsule_GetName
    name.restype, name.argtypes = ctypes.c_char_p, (ctypes.py_object,)
    assert name(_core.census_kernel) == SIGNATURE


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


def test_file_is_read_one_piece_a_call():
    assert rows_of([b"x" * 10], limit=4).calls == 3
    assert rows_of([b"x" * 8], limit=4).calls == 2


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
        BUFFER - 1,
        BUFFER,
        BUFFER + 1,
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


@pytest.mark.parametrize("size", [BLOCK, BUFFER])
def test_word_across_two_blocks_counts_once(size):
    text = b" " * (size - 3) + b"words" + WHITE_SPACE
    assert counted([text]) == [(len(text), 1, 1, zlib.crc32(text))]


def test_identity_is_that_of_the_file():
    rows = rows_of([b"text"])
    status = os.stat(f"{Folder.path}/0")
    assert rows.identity.tolist() == [
        [status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]
    ]


def test_row_that_is_done_is_left_alone():
    rows = rows_of([b"text"])
    rows.run()
    assert rows.counts() == [expected(b"text")]


def test_file_that_says_size_zero_is_read_to_its_end():
    rows = Rows([os.path.relpath("/proc/self/status", Folder.path).encode()])
    rows.run()
    assert rows.states == [DONE]
    assert rows.counts()[0][0] > 0


def test_what_cannot_be_counted_says_why_and_leaves_no_descriptor_open(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    names = ["folder", "link", "pipe", "missing", "x" * 300, "x/" * 3000]
    rows = Rows([os.path.relpath(tmp_path / name, Folder.path).encode() for name in names])
    before = len(os.listdir("/proc/self/fd"))
    rows.run()
    too_long = errno.ENAMETOOLONG
    assert rows.states == [OTHER, errno.ELOOP, OTHER, errno.ENOENT, too_long, too_long]
    assert len(os.listdir("/proc/self/fd")) == before


def test_file_that_changed_between_two_pieces_says_so():
    path = os.path.join(Folder.path, "changing")
    for size in (10, 9):
        with open(path, "wb") as file:
            file.write(b"x" * size)
        if size == 10:
            rows = Rows([b"changing"], limit=4)
        rows.run()
    assert rows.states == [CHANGED]
