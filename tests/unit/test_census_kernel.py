"""The demo's native kernel, called through its capsule, against Python's own counting."""

import ctypes
import itertools
import zlib

import numpy as np
import pytest
from foliot import _core
from hypothesis import example, given
from hypothesis import strategies as st

SIGNATURE = b"int (void **, ptrdiff_t, void *)"
COLUMN_TYPES = ("u8", "u8", "u8", "u4", "u1")
BLOCK = 16384
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


def kernel():
    address = ctypes.pythonapi.PyCapsule_GetPointer
    address.restype, address.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
    prototype = ctypes.CFUNCTYPE(
        ctypes.c_int, ctypes.POINTER(ctypes.c_void_p), ctypes.c_ssize_t, ctypes.c_void_p
    )
    return prototype(address(_core.census_kernel, SIGNATURE))


def counted(*rounds):
    """Rows of (bytes, lines, words, crc) after the kernel saw each round: one text for each row."""
    rows = len(rounds[0])
    columns = [np.zeros(rows, name) for name in COLUMN_TYPES]
    for texts_of_round in rounds:
        cells = (Bytes * max(1, rows))(*(Bytes(text or None, len(text)) for text in texts_of_round))
        addresses = [column.ctypes.data for column in columns] + [ctypes.addressof(cells)]
        assert kernel()((ctypes.c_void_p * 6)(*addresses), rows, None) == 0
    return list(zip(*(column.tolist() for column in columns[:4]), strict=True))


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


@given(text=texts, cuts=st.lists(st.integers(0, 20_000), max_size=4))
def test_counts_of_pieces_are_those_of_the_whole(text, cuts):
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieces = [text[start:stop] for start, stop in itertools.pairwise(edges)]
    assert counted(*([piece] for piece in pieces)) == [expected(text)]


@given(rows=st.lists(texts, max_size=5))
def test_rows_are_counted_independently(rows):
    assert counted(rows) == [expected(text) for text in rows]


@pytest.mark.parametrize("size", [1, 15, 16, 17, 63, 64, 65, 79, 80, BLOCK - 1, BLOCK, BLOCK + 1])
def test_sizes_at_the_edges_of_groups_and_blocks_are_counted_whole(size):
    text = (b"one two\nthree " * size)[:size]
    assert counted([text]) == [expected(text)]


@pytest.mark.parametrize("offset", range(LANES + 1))
def test_unaligned_text_is_counted(offset):
    memory = (b"x y\n" * 100)[offset:]
    assert counted([memory]) == [expected(memory)]


def test_every_byte_is_white_space_or_part_of_a_word_as_bytes_split_has_it():
    for byte in range(256):
        text = bytes([ord("a"), byte, ord("a")]) * LANES
        assert counted([text]) == [expected(text)], byte


@pytest.mark.parametrize("byte", NEARLY_WHITE_SPACE)
def test_byte_that_only_looks_like_white_space_joins_a_word(byte):
    assert counted([b"a" + bytes([byte]) + b"b"])[0][2] == 1


def test_word_across_two_blocks_counts_once():
    text = b" " * (BLOCK - 3) + b"words" + WHITE_SPACE
    assert counted([text]) == [(len(text), 1, 1, zlib.crc32(text))]
