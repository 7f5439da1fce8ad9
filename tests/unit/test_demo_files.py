"""What a census counts as a file, how it reads one, and how two passes are compared."""

import errno
import hashlib
import os
import socket

import pytest
from foliot.demo import _files, _reference
from foliot.demo._files import (
    Census,
    FileCount,
    Seen,
    find_files,
    first_difference,
    left_out,
    open_regular,
    read_piece,
)


def found(root):
    skipped = {}
    return sorted(find_files(os.fsencode(root), skipped)), skipped


def count_of(size=1, *, words=1, seen=(1, 1, 1, 1)):
    return FileCount(size, 0, words, 7, Seen(*seen))


def pass_with(**counts):
    return Census({name.encode(): count for name, count in counts.items()})


def test_files_of_a_tree_are_found_at_any_depth(tmp_path):
    (tmp_path / "a/b/c").mkdir(parents=True)
    for name in ("top", "a/one", "a/b/c/deep"):
        (tmp_path / name).write_bytes(b"")
    assert found(tmp_path) == ([b"a/b/c/deep", b"a/one", b"top"], {})


def test_hidden_directories_and_caches_are_skipped_and_hidden_files_are_not(tmp_path):
    for folder in (".git", "__pycache__", "a"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "file").write_bytes(b"")
    (tmp_path / ".hidden").write_bytes(b"")
    assert found(tmp_path) == ([b".hidden", b"a/file"], {})


def test_root_that_is_itself_hidden_is_counted(tmp_path):
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden/file").write_bytes(b"")
    assert found(tmp_path / ".hidden")[0] == [b"file"]


def test_symbolic_links_are_not_followed(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/file").write_bytes(b"")
    (tmp_path / "to_file").symlink_to("folder/file")
    (tmp_path / "to_folder").symlink_to("folder")
    (tmp_path / "to_itself").symlink_to(".")
    (tmp_path / "to_nothing").symlink_to("missing")
    assert found(tmp_path) == ([b"folder/file"], {})


def test_pipes_and_sockets_are_skipped(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as end:
        end.bind("socket")
        assert found(tmp_path) == ([], {})
        assert _reference.count_tree(os.fsencode(tmp_path)) == Census()


def test_directory_that_cannot_be_listed_is_skipped_with_the_reason(tmp_path, monkeypatch):
    (tmp_path / "closed").mkdir()
    (tmp_path / "open").write_bytes(b"")
    scandir = os.scandir

    def refuse(path):
        if os.fsencode(path).rstrip(b"/").endswith(b"closed"):
            raise PermissionError(errno.EACCES, "Permission denied", os.fsencode(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert found(tmp_path) == ([b"open"], {b"closed": "Permission denied"})
    assert _reference.count_tree(os.fsencode(tmp_path)).skipped == {b"closed": "Permission denied"}


def test_pipe_that_took_the_place_of_a_file_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="No longer a regular file"):
        open_regular(os.fsencode(tmp_path / "pipe"))


def test_link_that_took_the_place_of_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "link").symlink_to("file")
    with pytest.raises(OSError, match="symbolic"):
        open_regular(os.fsencode(tmp_path / "link"))


def test_refused_file_leaves_no_descriptor_open(tmp_path):
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with pytest.raises(OSError, match="regular"):
            open_regular(os.fsencode(tmp_path))
    assert len(os.listdir("/proc/self/fd")) == before


def test_pieces_of_a_file_follow_each_other(tmp_path):
    (tmp_path / "file").write_bytes(b"0123456789")
    path = os.fsencode(tmp_path / "file")
    assert read_piece(path, 0, 4)[:2] == (b"0123", False)
    assert read_piece(path, 4, 4)[:2] == (b"4567", False)
    assert read_piece(path, 8, 4)[:2] == (b"89", True)


def test_piece_that_ends_with_the_file_is_the_last(tmp_path):
    (tmp_path / "file").write_bytes(b"01234567")
    path = os.fsencode(tmp_path / "file")
    assert read_piece(path, 4, 4)[:2] == (b"4567", True)
    assert read_piece(path, 0, 100)[:2] == (b"01234567", True)


def test_empty_file_is_one_empty_last_piece(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    assert read_piece(os.fsencode(tmp_path / "file"), 0, 4)[:2] == (b"", True)


def test_file_that_says_size_zero_is_read_to_its_end():
    piece, is_last, seen = read_piece(b"/proc/self/status", 0, 1 << 20)
    assert seen.size == 0
    assert piece.startswith(b"Name:")
    assert is_last


def test_file_that_shrinks_while_it_is_read_ends_early(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"0123456789")
    path = os.fsencode(tmp_path / "file")
    pread = os.pread

    def truncate_after_first(descriptor, size, offset):
        data = pread(descriptor, min(size, 4), offset)
        os.truncate(path, 4)
        return data

    monkeypatch.setattr(os, "pread", truncate_after_first)
    assert read_piece(path, 0, 100)[:2] == (b"0123", True)


def test_reference_joins_a_word_that_two_pieces_share(tmp_path, monkeypatch):
    text = b"one two three\nfour "
    (tmp_path / "file").write_bytes(text)
    for size in range(1, len(text) + 1):
        monkeypatch.setattr(_reference, "PIECE_BYTES", size)
        count = _reference.count_file(os.fsencode(tmp_path / "file"))
        assert count[:3] == (len(text), 1, 4), size


def test_digest_is_over_lines_sorted_by_bytes():
    census = Census({b"b\xff": count_of(3), b"a\nz": count_of(2), b"B": count_of(1)})
    lines = b"B\t1\t0\t1\t00000007\na\nz\t2\t0\t1\t00000007\nb\xff\t3\t0\t1\t00000007\n"
    assert census.digest() == hashlib.sha256(lines).hexdigest()


def test_equal_passes_leave_nothing_out():
    assert left_out([pass_with(a=count_of()), pass_with(a=count_of())], b"/", 0) == {}


def test_file_that_changed_between_passes_is_left_out():
    passes = [pass_with(a=count_of(1)), pass_with(a=count_of(2, seen=(1, 2, 2, 2)))]
    assert left_out(passes, b"/", 0) == {b"a": "Changed meanwhile"}


def test_file_that_the_kernel_makes_on_reading_may_differ():
    passes = [
        pass_with(a=count_of(5, seen=(1, 0, 1, 1))),
        pass_with(a=count_of(6, seen=(1, 0, 1, 1))),
    ]
    assert left_out(passes, b"/", 0) == {b"a": "Made anew at each reading"}


def test_empty_file_that_was_counted_as_more_is_a_difference():
    empty = count_of(0, seen=(1, 0, 1, 1))
    passes = [pass_with(a=count_of(5, seen=(1, 0, 1, 1))), pass_with(a=empty)]
    assert left_out(passes, b"/", 0) == {}


def test_file_that_one_pass_could_not_read_is_left_out_of_all():
    passes = [pass_with(a=count_of()), Census({}, {b"a": "Input/output error"})]
    assert left_out(passes, b"/", 0) == {b"a": "Input/output error"}


def test_file_that_has_gone_since_is_left_out(tmp_path):
    passes = [pass_with(a=count_of()), Census()]
    assert left_out(passes, os.fsencode(tmp_path), 0) == {b"a": "Came or went meanwhile"}


def test_file_below_a_directory_that_one_pass_could_not_list_is_left_out(tmp_path):
    (tmp_path / "d/e").mkdir(parents=True)
    (tmp_path / "d/e/f").write_bytes(b"")
    later_ns = os.stat(tmp_path / "d/e/f").st_ctime_ns + 10**12
    passes = [Census({b"d/e/f": count_of()}), Census({}, {b"d": "Permission denied"})]
    assert b"d/e/f" in left_out(passes, os.fsencode(tmp_path), later_ns)


def test_file_that_one_pass_overlooked_is_a_difference(tmp_path):
    (tmp_path / "a").write_bytes(b"")
    later_ns = os.stat(tmp_path / "a").st_ctime_ns + 10**12
    passes = [pass_with(a=count_of()), Census()]
    assert left_out(passes, os.fsencode(tmp_path), later_ns) == {}
    assert first_difference(*passes) == (b"a", "is there for this run only")
    assert first_difference(*reversed(passes)) == (b"a", "was not found")


def test_first_difference_is_the_first_file_by_name():
    one = pass_with(a=count_of(), b=count_of(words=1), c=count_of(words=1))
    two = pass_with(c=count_of(words=2), b=count_of(words=2), a=count_of())
    assert first_difference(one, two) == (b"b", "words: 1 against 2")
    assert first_difference(one, one) is None


def test_skipped_directories_are_by_name():
    names = [b".git", b"__pycache__", b"src", b"_private"]
    assert [_files.is_skipped_directory(name) for name in names] == [True, True, False, False]
