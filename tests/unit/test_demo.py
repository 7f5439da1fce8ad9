"""The demo on trees of every kind: its counts are those computed here, whatever the files are."""

import dataclasses
import errno
import gc
import hashlib
import json
import os
import socket
import sys
import tempfile
import zlib
from pathlib import Path

import foliot as fo
import pytest
from foliot import demo
from foliot.demo import _census, _files, _progress, _reference
from foliot.demo._files import Census
from hypothesis import given, settings
from hypothesis import strategies as st

KEYS = "root files bytes lines words digest runs reference_seconds agree".split()
RUN_KEYS = "backend workers seconds files_per_second digest fallback io io_fallback".split()
NAME_BYTES = b"ab.\xff\xc3\xa9\n\t \\'\"*"


def plant(root, files):
    """Write files, {path as bytes: content}, below root; returns root as bytes."""
    root = os.fsencode(root)
    for path, content in files.items():
        full = os.path.join(root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "wb") as file:
            file.write(content)
    return root


def line_of(path, content):
    words = len(content.split())
    counts = b"%d\t%d\t%d" % (len(content), content.count(b"\n"), words)
    return path + b"\t" + counts + b"\t%08x\n" % zlib.crc32(content)


def expected(files):
    """What ``--json`` must say of files that can all be read."""
    contents = files.values()
    lines = sorted(line_of(path, content) for path, content in files.items())
    return {
        "files": len(files),
        "bytes": sum(map(len, contents)),
        "lines": sum(content.count(b"\n") for content in contents),
        "words": sum(len(content.split()) for content in contents),
        "digest": hashlib.sha256(b"".join(lines)).hexdigest(),
    }


def census(root, backend="blocking"):
    return demo.take_census(os.fsencode(root), [backend])


def check(root, files):
    """The census of root agrees with the plain loop and with what this test knows."""
    report = census(root).to_dict()
    assert report["agree"]
    assert {key: report[key] for key in expected(files)} == expected(files)
    assert [run["digest"] for run in report["runs"]] == [report["digest"]]


USUAL = {
    b"one.py": b"import this\n\nprint(1)\n",
    b"sub/two.txt": b"words  and\twords\n",
    b"sub/deep/er/three": b"no line end",
}


def test_usual_tree_is_counted(tmp_path):
    plant(tmp_path, USUAL)
    check(tmp_path, USUAL)


def test_empty_directory_is_counted(tmp_path):
    check(tmp_path, {})


def test_empty_and_binary_files_are_counted(tmp_path):
    files = {b"empty": b"", b"zeros": bytes(1000), b"all": bytes(range(256)) * 100}
    plant(tmp_path, files)
    check(tmp_path, files)


def test_names_that_are_not_text_are_counted(tmp_path):
    files = {b"\xff\xfe": b"a", b"new\nline/tab\t": b"b c", b"caf\xc3\xa9": b"\n", b"-": b"-"}
    plant(tmp_path, files)
    check(tmp_path, files)


def test_hidden_directories_caches_links_pipes_and_sockets_are_skipped(tmp_path, monkeypatch):
    plant(tmp_path, {**USUAL, b".git/x": b"x", b"__pycache__/y": b"y", b"sub/.z/z": b"z"})
    os.mkfifo(tmp_path / "pipe")
    os.symlink("one.py", tmp_path / "link")
    os.symlink(".", tmp_path / "loop")
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as end:
        end.bind("socket")
        check(tmp_path, USUAL)


def test_files_larger_than_a_piece_are_counted_across_frames(tmp_path, monkeypatch):
    for module in (_census, _reference):
        monkeypatch.setattr(module, "PIECE_BYTES", 7)
    files = {b"%d" % size: (b"a word\nacross  pieces " * size)[: 3 * size] for size in range(40)}
    plant(tmp_path, files)
    check(tmp_path, files)


@pytest.mark.parametrize("batch", [1, 2, 3, 100])
def test_batches_of_any_number_of_files_are_counted(tmp_path, monkeypatch, batch):
    monkeypatch.setattr(_census, "BATCH_FILES", batch)
    files = {b"d%d/f%d" % (index % 3, index): b"x y\n" * index for index in range(17)}
    plant(tmp_path, files)
    check(tmp_path, files)


def test_frame_reads_no_more_than_a_piece_of_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr(_census, "PIECE_BYTES", 100)
    plant(tmp_path, {b"large": b"x" * 1000, **USUAL})
    frames = _census.run_census(os.fsencode(tmp_path), backend="blocking").frames
    assert 20 <= frames <= 25


def census_after(monkeypatch, root, change, *more):
    """The census when the tree changes after the systems have listed it, and they list more."""

    def find(start, skipped):
        paths = [*_files.find_files(start, skipped), *more]
        change()
        yield from paths

    monkeypatch.setattr(_census, "find_files", find)
    report = census(root)
    assert report.disagreement is None
    assert len(report.reference.counts) == len(USUAL)
    return report


def test_file_that_cannot_be_opened_is_listed_and_skipped(tmp_path, monkeypatch):
    plant(tmp_path, {**USUAL, b"secret": b"x"})

    def replace():
        (tmp_path / "secret").unlink()
        (tmp_path / "secret").symlink_to("one.py")

    report = census_after(monkeypatch, tmp_path, replace)
    reason = os.strerror(errno.ELOOP)
    assert report.reference.skipped == {b"secret": reason}
    assert f"secret: {reason}" in report.to_text(80)


def test_directory_that_took_the_place_of_a_file_is_listed_and_skipped(tmp_path, monkeypatch):
    plant(tmp_path, {**USUAL, b"turned": b"x"})

    def replace():
        (tmp_path / "turned").unlink()
        (tmp_path / "turned").mkdir()

    report = census_after(monkeypatch, tmp_path, replace)
    assert report.reference.skipped == {b"turned": "No longer a regular file"}


def test_file_that_fails_while_it_is_read_is_listed_and_skipped(tmp_path, monkeypatch):
    plant(tmp_path, USUAL)
    # The memory of this process is a regular file whose first byte cannot be read.
    memory = os.fsencode(os.path.relpath("/proc/self/mem", tmp_path))
    report = census_after(monkeypatch, tmp_path, lambda: None, memory)
    assert report.reference.skipped == {memory: "Input/output error"}


def test_path_longer_than_any_is_listed_and_skipped(tmp_path, monkeypatch):
    plant(tmp_path, USUAL)
    endless = b"sub/" * 2000 + b"file"
    report = census_after(monkeypatch, tmp_path, lambda: None, endless)
    assert report.reference.skipped == {endless: "File name too long"}


def test_file_that_vanishes_before_it_is_read_is_listed_and_skipped(tmp_path, monkeypatch):
    plant(tmp_path, {**USUAL, b"brief": b"x"})
    report = census_after(monkeypatch, tmp_path, (tmp_path / "brief").unlink)
    assert report.reference.skipped == {b"brief": "No such file or directory"}


def test_file_that_vanishes_between_the_passes_is_listed_and_skipped(tmp_path, monkeypatch):
    plant(tmp_path, {**USUAL, b"brief": b"x"})
    count_tree = demo.count_tree

    def after_deletion(*arguments):
        (tmp_path / "brief").unlink()
        return count_tree(*arguments)

    monkeypatch.setattr(demo, "count_tree", after_deletion)
    report = census(tmp_path)
    assert report.disagreement is None
    assert report.reference.skipped == {b"brief": "Came or went meanwhile"}
    assert b"brief" not in report.runs[0].census.counts


def test_file_that_changes_between_the_passes_is_listed_and_skipped(tmp_path, monkeypatch):
    plant(tmp_path, {**USUAL, b"log": b"x"})
    count_tree = demo.count_tree

    def after_change(*arguments):
        (tmp_path / "log").write_bytes(b"x and more")
        return count_tree(*arguments)

    monkeypatch.setattr(demo, "count_tree", after_change)
    report = census(tmp_path)
    assert report.disagreement is None
    assert report.reference.skipped == {b"log": "Changed meanwhile"}


def test_file_that_changes_between_its_pieces_is_listed_and_skipped(tmp_path, monkeypatch):
    monkeypatch.setattr(_census, "PIECE_BYTES", 4)
    plant(tmp_path, {b"log": b"0123456789"})
    frames = []

    def change(_):
        frames.append(1)
        # Found, opened, read, and counted for the first time.
        if len(frames) == 4:
            os.truncate(tmp_path / "log", 9)

    run = _census.run_census(os.fsencode(tmp_path), backend="blocking", advance=change)
    assert run.census == Census({}, {b"log": "Changed while it was read"})


def test_disagreement_names_the_first_file_that_differs(tmp_path, monkeypatch, capsys):
    plant(tmp_path, {b"a": b"same\n", b"b": b"two words", b"c": b"three more words"})
    count_file = _reference.count_file

    def miscount(path):
        count = count_file(path)
        return count._replace(words=count.words + 1) if path[-1:] in b"bc" else count

    monkeypatch.setattr(_reference, "count_file", miscount)
    status = demo.main(os.fsencode(tmp_path), backend="blocking", as_json=True)
    out, err = capsys.readouterr()
    assert status == 1
    assert not json.loads(out)["agree"]
    assert err == "disagrees: blocking: b: words: 2 against 3\n"


def test_sums_that_are_not_those_of_the_files_disagree(tmp_path):
    plant(tmp_path, USUAL)
    report = census(tmp_path)
    run = dataclasses.replace(report.runs[0], sums_agree=False)
    assert demo.disagreement([run], report.reference) == (
        "blocking: the sums are not the sums of the files"
    )


def test_json_is_the_object_that_is_promised(tmp_path, capsys):
    plant(tmp_path, USUAL)
    assert demo.main(os.fsencode(tmp_path), as_json=True) == 0
    out, err = capsys.readouterr()
    report = json.loads(out)
    assert list(report) == KEYS
    assert report["root"] == str(tmp_path)
    assert report["agree"] is True
    assert report["reference_seconds"] > 0
    assert report["runs"]
    for run in report["runs"]:
        assert list(run) == RUN_KEYS
        assert run["workers"] >= 1
        assert run["files_per_second"] == pytest.approx(len(USUAL) / run["seconds"])
        assert run["fallback"] is None
        assert run["io"] in ("uring", "pool")
        assert run["io_fallback"] is None
    assert err == ""


def test_json_lists_skipped_files_on_stderr(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(demo, "left_out", lambda *_: {b"bad\n\xff": "Permission denied"})
    assert demo.main(os.fsencode(tmp_path), as_json=True) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["files"] == 0
    assert err == "skipped bad\\n\\xff: Permission denied\n"


def test_all_runs_each_backend_that_is_here_as_itself():
    here, absent = demo.find_backends()
    assert "blocking" in here
    assert sorted([*here, *absent]) == sorted(fo.BACKENDS)
    assert all(absent.values())
    for name in here:
        assert _census.run_census(b"/proc/self/attr", backend=name).actual == name


def troublesome(root):
    """Files of every kind, what becomes of some of them after they were found, and the reasons."""
    good = {
        b"empty": b"",
        b"sub/also empty": b"",
        b"large": b"one two\nthree " * 300_000,
        b"exact": b"x" * (1 << 20),
        b"two\xff\xfe": b"not UTF-8",
        b"new\nline": b"a\nb",
        **{b"many/%d" % number: b"word " * number for number in range(600)},
        **USUAL,
    }
    gone = (b"turned to a pipe", b"turned to a link", b"turned to a folder", b"vanished")
    plant(root, {**good, **dict.fromkeys(gone, b"x")})
    os.symlink("one.py", os.path.join(root, "a link all along"))
    os.mkfifo(os.path.join(root, "a pipe all along"))

    def turn():
        for path in gone:
            os.unlink(os.path.join(os.fsencode(root), path))
        os.mkfifo(os.path.join(root, "turned to a pipe"))
        os.symlink("one.py", os.path.join(root, "turned to a link"))
        os.mkdir(os.path.join(root, "turned to a folder"))

    other = "No longer a regular file"
    reasons = (other, os.strerror(errno.ELOOP), other, os.strerror(errno.ENOENT))
    return good, turn, dict(zip(gone, reasons, strict=True))


@pytest.mark.parametrize("engine", ["pool", "uring"])
def test_all_backends_agree_on_files_that_make_trouble(tmp_path, monkeypatch, engine):
    assert fo.io.probe().available, "io_uring is needed to be tested"
    monkeypatch.setenv("FOLIOT_IO", engine)
    root = os.fsencode(tmp_path)
    before = sorted(os.listdir("/proc/self/fd"))
    good, turn, reasons = troublesome(tmp_path)
    memory = os.fsencode(os.path.relpath("/proc/self/mem", tmp_path))
    found = [*_files.find_files(root, {}), memory]
    monkeypatch.setattr(_census, "find_files", lambda *_: iter(found))
    turn()
    report = demo.take_census(root, fo.BACKENDS, workers=2)
    assert report.disagreement is None
    assert [run.actual for run in report.runs] == list(fo.BACKENDS)
    assert {run.io.engine for run in report.runs} == {engine}
    assert expected(good).items() <= report.to_dict().items()
    for run in report.runs:
        assert run.census.skipped == {**reasons, memory: os.strerror(errno.EIO)}
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_engine_that_was_wished_for_and_is_not_here_is_told_with_the_reason(tmp_path):
    plant(tmp_path, USUAL)
    report = census(tmp_path)
    run = dataclasses.replace(report.runs[0], io=fo.io.IoInfo("pool", "a filter forbids it"))
    report = dataclasses.replace(report, runs=[run])
    assert report.to_dict()["runs"][0]["io"] == "pool"
    assert report.to_dict()["runs"][0]["io_fallback"] == "a filter forbids it"
    assert "blocking: I/O on the pool: a filter forbids it" in report.to_text(80)


def test_files_found_in_a_frame_are_fewer_where_few_can_be_open(monkeypatch):
    for most, files in ((1 << 20, 256), (1024, 204), (20, 4), (3, 1), (-1, 256)):
        monkeypatch.setattr(_census.resource, "getrlimit", lambda _, most=most: (most, most))
        assert _census.batch_size() == files


def test_census_that_fails_leaves_no_descriptor_and_the_collector_as_it_was(tmp_path):
    plant(tmp_path, {b"large": b"x" * 3_000_000, **USUAL})
    before = sorted(os.listdir("/proc/self/fd"))

    class BreakOffError(Exception):
        pass

    frames = []

    def advance(_):
        frames.append(1)
        if len(frames) == 4:
            raise BreakOffError

    with pytest.raises(BreakOffError):
        _census.run_census(os.fsencode(tmp_path), backend="blocking", advance=advance)
    assert gc.isenabled()
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_unavailable_backend_says_on_what_it_ran_and_why(tmp_path):
    plant(tmp_path, USUAL)
    report = census(tmp_path)
    run = dataclasses.replace(
        report.runs[0], backend="uring", actual="blocking", reason="this kernel has no io_uring"
    )
    report = dataclasses.replace(report, runs=[run])
    told = "ran on blocking: this kernel has no io_uring"
    assert report.to_dict()["runs"][0]["backend"] == "uring"
    assert report.to_dict()["runs"][0]["fallback"] == told
    assert f"uring: {told}" in report.to_text(80)


def test_backends_that_are_not_here_are_told_with_the_reason(tmp_path):
    absent = {"evented": "too new", "uring": "too old", "adaptive": "too new"}
    text = census(tmp_path).to_text(80, absent)
    assert "  not here: evented, adaptive: too new\n  not here: uring: too old\n" in text


def test_largest_files_are_ranked(tmp_path):
    files = {b"f%02d" % size: b"x" * size for size in range(30)}
    plant(tmp_path, files)
    ranked = census(tmp_path).runs[0].largest
    assert [(file.path, file.size) for file in ranked] == [
        (b"f%02d" % size, size) for size in range(29, 19, -1)
    ]


def test_files_of_one_size_are_ranked_by_name(tmp_path, monkeypatch):
    monkeypatch.setattr(_census, "BATCH_FILES", 4)
    plant(tmp_path, {b"f%02d" % index: b"same" for index in range(30)})
    ranked = census(tmp_path).runs[0].largest
    assert [file.path for file in ranked] == [b"f%02d" % index for index in range(10)]


@pytest.mark.parametrize("width", [80, 120])
def test_report_fits_the_terminal(tmp_path, width):
    plant(tmp_path, {**USUAL, b"long" * 50: b"x", "名前".encode() * 20: b"y", b"\xff" * 99: b"z"})
    text = census(tmp_path).to_text(width)
    for name in ("find", "fetch", "count", "tally", "rank"):
        assert name in text
    tables = text.partition("Plan\n")[0]
    assert max(len(line) for line in tables.splitlines()) <= width
    assert text.endswith("file by file.")


def test_report_escapes_what_is_not_printable(tmp_path):
    plant(tmp_path, {b"red\x1b[31m\n\xff": b"x"})
    text = census(tmp_path).to_text(80)
    assert r"red\x1b[31m\n\xff" in text
    assert "\x1b" not in text


def test_report_of_an_empty_directory_is_whole(tmp_path):
    text = census(tmp_path).to_text(80)
    assert "files                0" in text
    assert "Largest" not in text


names = st.lists(st.sampled_from(NAME_BYTES), min_size=1, max_size=4).map(bytes)
paths = st.lists(names.filter(lambda name: name not in (b".", b"..")), min_size=1, max_size=3)
contents = st.one_of(
    st.binary(max_size=100),
    st.lists(st.sampled_from([b"word", b" ", b"\n"]), max_size=60).map(b"".join),
)


def plantable(files):
    """The files of {parts of path: content} that can stand together: a name is one thing."""
    folders = {path[:depth] for path in files for depth in range(1, len(path))}
    return {b"/".join(path): content for path, content in files.items() if path not in folders}


def countable(files):
    """Those of them that are not in a hidden folder."""
    return {
        path: content
        for path, content in files.items()
        if not any(part.startswith(b".") for part in path.split(b"/")[:-1])
    }


@given(
    files=st.dictionaries(paths.map(tuple), contents, max_size=12),
    piece=st.integers(1, 200),
    batch=st.integers(1, 8),
)
@settings(max_examples=40)
def test_any_tree_agrees_and_has_the_digest_of_its_files(files, piece, batch):
    planted = plantable(files)
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as root:
        patch.setattr(_census, "PIECE_BYTES", piece)
        patch.setattr(_reference, "PIECE_BYTES", piece)
        patch.setattr(_census, "BATCH_FILES", batch)
        plant(root, planted)
        check(root, countable(planted))


def test_census_of_this_folder_agrees():
    assert census(Path(__file__).parent).disagreement is None


def test_survey_counts_files_and_reads_them_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "PIECE_BYTES", 3)
    plant(tmp_path, USUAL)
    told = []
    assert demo.survey(os.fsencode(tmp_path), told.append) == len(USUAL) == sum(told)
    assert demo.read_through(os.fsencode(tmp_path / "one.py"), 1 << 20) == len(USUAL[b"one.py"])


def test_default_directory_is_the_library_of_this_python():
    assert b"python" in demo.directory_of(None)


def test_progress_is_silent_without_a_terminal(capsys):
    with _progress.progress_of("blocking", 10, shown=True) as advance:
        advance(10)
    assert capsys.readouterr() == ("", "")


def test_plain_progress_draws_and_wipes_one_line(monkeypatch, capsys):
    bar = _progress.PlainBar("blocking", 10, sys.stderr)
    bar.update(5)
    bar.close()
    err = capsys.readouterr().err
    assert " 50%  5 of 10 files" in err
    assert err.endswith("\r\x1b[K")
    assert "\n" not in err


@pytest.mark.parametrize("has_tqdm", [True, False])
def test_progress_on_a_terminal_is_wiped_at_the_end(monkeypatch, capsys, has_tqdm):
    if not has_tqdm:
        monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with _progress.progress_of("blocking", 10, shown=True) as advance:
        advance(5)
        advance(5)
    err = capsys.readouterr().err
    assert "blocking" in err
    assert "files" in err
    assert "\n" not in err


def test_progress_that_was_not_asked_for_is_silent_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with _progress.progress_of("blocking", 10, shown=False) as advance:
        advance(10)
    assert capsys.readouterr().err == ""


def test_plain_progress_without_a_total_counts_up():
    bar = _progress.PlainBar("looking", 0, sys.stderr)
    bar.update(1234)
    assert bar.line() == "looking       1,234 files"


def test_empty_census_has_the_digest_of_nothing():
    assert Census().digest() == hashlib.sha256(b"").hexdigest()
