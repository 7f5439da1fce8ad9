"""The census as a plain single-threaded Python loop, which the systems are checked against.

It shares nothing with them but how a file is opened, and counts with ``bytes.count``,
``bytes.split`` and ``zlib.crc32``.
"""

from __future__ import annotations

import os
import stat
import zlib
from collections.abc import Callable, Iterator

from foliot.demo._files import (
    PIECE_BYTES,
    Census,
    FileCount,
    is_skipped_directory,
    open_regular,
    reason_of,
)


def count_tree(root: bytes, advance: Callable[[int], object] = lambda _: None) -> Census:
    """Count every regular file below root; ``advance`` is told of each file as it is done."""
    census = Census()
    prefix = len(os.path.join(root, b""))

    def skip(error: OSError) -> None:
        census.skipped[error.filename[prefix:] or b"."] = reason_of(error)

    for folder, directories, names in os.walk(root, onerror=skip):
        directories[:] = [name for name in directories if not is_skipped_directory(name)]
        for name in names:
            full = os.path.join(folder, name)
            path = full[prefix:]
            try:
                if stat.S_ISREG(os.lstat(full).st_mode):
                    census.counts[path] = count_file(full)
                    advance(1)
            except OSError as error:
                census.skipped[path] = reason_of(error)
    return census


def count_file(path: bytes) -> FileCount:
    """Count one file; OSError if it cannot be read."""
    descriptor, seen = open_regular(path)
    size = lines = words = crc = 0
    ends_in_word = False
    try:
        for piece in pieces_of(descriptor, seen.size):
            size += len(piece)
            lines += piece.count(b"\n")
            words += len(piece.split())
            # A word that two pieces share was counted in both.
            words -= ends_in_word and not piece[:1].isspace()
            ends_in_word = not piece[-1:].isspace()
            crc = zlib.crc32(piece, crc)
    finally:
        os.close(descriptor)
    return FileCount(size, lines, words, crc, seen)


def pieces_of(descriptor: int, size: int) -> Iterator[bytes]:
    """What a file of this size holds, in order; all there is of a file that says 0."""
    left = size
    while left > 0 or size == 0:
        piece = os.read(descriptor, min(PIECE_BYTES, left) if size > 0 else PIECE_BYTES)
        if not piece:
            return
        left -= len(piece)
        yield piece
