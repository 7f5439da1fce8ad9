"""The files that the programs of `bench_io` read: made once, and kept in the page cache.

``FILES`` files of one block each, named by their number in five digits, and ``big`` with ``BLOCKS``
blocks. A block begins with its own number, eight bytes with the least first, and ends with 0x5a.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

FILES = 10_000
BLOCKS = 4_096
BLOCK = 4_096
VARIABLE = "BENCH_IO_FILES"
FOLDER = Path(__file__).resolve().parent.parent / "build" / "bench" / "io_files"


def block(number: int) -> bytes:
    """The content of a block."""
    return number.to_bytes(8, "little") + bytes(BLOCK - 9) + b"\x5a"


def prepare() -> None:
    """Make the files that are missing, read all, and tell programs where they are."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for number in range(FILES):
        path = FOLDER / f"{number:05}"
        if not path.exists() or path.read_bytes() != block(number):
            path.write_bytes(block(number))
    big = FOLDER / "big"
    content = b"".join(map(block, range(BLOCKS)))
    if not big.exists() or big.read_bytes() != content:
        big.write_bytes(content)
    os.environ[VARIABLE] = str(FOLDER)


def folder() -> Path:
    """Where the files are, in a program that bench_io started."""
    return Path(os.environ.get(VARIABLE, FOLDER))


def paths(count: int = FILES) -> list[str]:
    """The first files."""
    top = folder()
    return [f"{top}/{number:05}" for number in range(count)]


def count_good(contents: Iterable[bytes | bytearray | memoryview]) -> int:
    """How many of the first files' contents are what they must be."""
    return sum(
        len(content) == BLOCK and bytes(content) == block(number)
        for number, content in enumerate(contents)
    )


def offsets(count: int) -> list[int]:
    """Where to read in the big file: the order of `bench_next_block` in c/io_files.h."""
    state, found = 0, []
    for _ in range(count):
        state = (state * 1103515245 + 12345) % BLOCKS
        found.append(state * BLOCK)
    return found
