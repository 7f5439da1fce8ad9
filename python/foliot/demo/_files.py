"""Which files a census counts, how they are opened, and what it knows of each.

Paths are bytes below the root, as the file system spells them: a name need not be valid in any
encoding. A file is known by what it was when it was opened (``Seen``), so that one that changed
between two passes over a tree is told apart from one that was counted wrongly.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

PIECE_BYTES = 1 << 20
"""The most that is read of one file at a time."""

# Opening must neither follow a link nor wait for the other end of a pipe that took a file's place.
OPEN_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY


class Seen(NamedTuple):
    """A file's identity and state when it was opened."""

    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int


class FileCount(NamedTuple):
    """What was counted in one file: bytes, line feeds, words and CRC-32."""

    size: int
    lines: int
    words: int
    crc: int
    seen: Seen


class Totals(NamedTuple):
    """Sums over files."""

    files: int
    size: int
    lines: int
    words: int


@dataclass
class Census:
    """The outcome of one pass over a tree.

    ``skipped`` maps what could not be read, files and directories alike, to the reason.
    """

    counts: dict[bytes, FileCount] = field(default_factory=dict)
    skipped: dict[bytes, str] = field(default_factory=dict)

    def totals(self) -> Totals:
        """Sum over all counted files."""
        if not self.counts:
            return Totals(0, 0, 0, 0)
        size, lines, words, _, _ = zip(*self.counts.values(), strict=True)
        return Totals(len(self.counts), sum(size), sum(lines), sum(words))

    def digest(self) -> str:
        """SHA-256 over one line a file, sorted, each with path, size, lines, words and CRC-32.

        Example:
            >>> Census().digest()[:16]
            'e3b0c44298fc1c14'
        """
        lines = [
            b"%b\t%d\t%d\t%d\t%08x\n" % (path, count.size, count.lines, count.words, count.crc)
            for path, count in self.counts.items()
        ]
        return hashlib.sha256(b"".join(sorted(lines))).hexdigest()

    def without(self, paths: Mapping[bytes, str]) -> Census:
        """The same census, had it skipped these paths for these reasons."""
        counts = {path: count for path, count in self.counts.items() if path not in paths}
        return Census(counts, {**self.skipped, **paths})


def is_skipped_directory(name: bytes) -> bool:
    """Whether a census stays out of directories of this name.

    Example:
        >>> is_skipped_directory(b".git"), is_skipped_directory(b"__pycache__")
        (True, True)
    """
    return name.startswith(b".") or name == b"__pycache__"


def reason_of(error: OSError) -> str:
    """The reason a file or directory is skipped, as a few words."""
    return error.strerror or type(error).__name__


def find_files(root: bytes, skipped: dict[bytes, str]) -> Iterator[bytes]:
    """Paths of the regular files below root, in no particular order.

    One directory is listed at a time. A directory that cannot be listed goes to ``skipped``.
    """
    prefix = os.path.join(root, b"")
    waiting = [b""]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(prefix + folder) as listing:
                entries = list(listing)
        except OSError as error:
            skipped[folder.rstrip(b"/") or b"."] = reason_of(error)
            continue
        for entry in entries:
            path = folder + entry.name
            try:
                if entry.is_file(follow_symlinks=False):
                    yield path
                elif entry.is_dir(follow_symlinks=False) and not is_skipped_directory(entry.name):
                    waiting.append(path + b"/")
            except OSError as error:
                skipped[path] = reason_of(error)


def open_regular(path: bytes) -> tuple[int, Seen]:
    """Open a regular file for reading; the caller closes the descriptor.

    OSError: it cannot be opened, or something else has taken its place.
    """
    descriptor = os.open(path, OPEN_FLAGS)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "No longer a regular file")
    except BaseException:
        os.close(descriptor)
        raise
    # Inode numbers may have 64 bits, signed integers 63.
    inode = status.st_ino & (1 << 63) - 1
    return descriptor, Seen(inode, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def read_piece(path: bytes, offset: int, limit: int) -> tuple[bytes, bool, Seen]:
    """Read up to ``limit`` bytes of a file from ``offset``.

    The answer is the piece, whether it is the last, and the file it came from.
    A file that grows is read to the size it had when it was opened, so that reading always ends.
    Files of the kernel's own making say size 0 whatever they hold; they are read to their end.
    OSError: the file cannot be opened or read.
    """
    descriptor, seen = open_regular(path)
    try:
        wanted = min(limit, seen.size - offset) if seen.size > 0 else limit
        piece = os.pread(descriptor, wanted, offset) if wanted > 0 else b""
        # The usual file ends here; one that gave less than it promised is asked again.
        while piece and len(piece) < wanted:
            more = os.pread(descriptor, wanted - len(piece), offset + len(piece))
            if not more:
                return piece, True, seen
            piece += more
    finally:
        os.close(descriptor)
    at_end = offset + len(piece) >= seen.size if seen.size > 0 else not piece
    return piece, at_end or not piece, seen


def left_out(passes: list[Census], root: bytes, began_ns: int) -> dict[bytes, str]:
    """Files that are not the same file in every pass, each with the reason to leave it out.

    A file that only some passes know is left out when it could not be read, has gone, or has
    changed since the first pass began. One that was there all along is a pass's mistake: it stays.
    The last pass is the one to believe.
    """
    first = passes[0].counts
    if all(other.counts == first and not other.skipped for other in passes):
        return {}
    reasons: dict[bytes, str] = {}
    for other in passes:
        reasons.update(other.skipped)
    known = set().union(*(other.counts for other in passes))
    for path in known.difference(reasons):
        found = [other.counts.get(path) for other in passes]
        seen = {count.seen for count in found if count is not None}
        if len(seen) > 1:
            reasons[path] = "Changed meanwhile"
        elif is_made_on_reading(found[-1]) and len(set(found)) > 1:
            reasons[path] = "Made anew at each reading"
        elif None in found and (
            is_below(path, reasons) or has_changed_since(os.path.join(root, path), began_ns)
        ):
            reasons[path] = "Came or went meanwhile"
    return reasons


def is_made_on_reading(count: FileCount | None) -> bool:
    """Whether a file said 0 and held more: the kernel writes such files as they are read."""
    return count is not None and count.seen.size == 0 < count.size


def is_below(path: bytes, directories: Mapping[bytes, str]) -> bool:
    """Whether one of a file's directories is among these."""
    folder = os.path.dirname(path)
    while folder and folder not in directories:
        folder = os.path.dirname(folder)
    return (folder or b".") in directories


def has_changed_since(path: bytes, when_ns: int) -> bool:
    """Whether a file has gone, or was written or renamed, after a time."""
    # The kernel stamps files with a clock that may be a tick behind.
    tick_ns = 20_000_000
    try:
        return os.lstat(path).st_ctime_ns >= when_ns - tick_ns
    except OSError:
        return True


def first_difference(found: Census, wanted: Census) -> tuple[bytes, str] | None:
    """The first file by name on which two passes disagree, and how; None when they agree."""
    if found.counts == wanted.counts:
        return None
    for path in sorted(found.counts.keys() | wanted.counts.keys()):
        mine, theirs = found.counts.get(path), wanted.counts.get(path)
        if mine is None or theirs is None:
            return path, "was not found" if mine is None else "is there for this run only"
        for name, own, other in zip(mine._fields, mine, theirs, strict=True):
            if own != other:
                what = "bytes" if name == "size" else name
                return path, f"{what}: {own} against {other}"
    return None
