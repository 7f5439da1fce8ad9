"""Every Python example in the README and the documentation runs.

A block marked ``python`` is executed; lines that start with ``>>>`` make it a doctest. Blocks of
one page share their names, in order. A block marked ``py`` is for reading only.
"""

import doctest
import re

import pytest
from foliot import _schedule
from tidy import sources

BLOCK = re.compile(r"^([ ]*)```python[^\n]*\n(.*?)^\1```", re.MULTILINE | re.DOTALL)


def pages():
    return [path for path in sources.all_files() if path.endswith(".md")]


def blocks(text):
    """First line and dedented text of each block to run."""
    for match in BLOCK.finditer(text):
        indent = len(match[1])
        lines = [line[indent:] for line in match[2].split("\n")]
        yield text.count("\n", 0, match.start()) + 2, "\n".join(lines)


def run_page(path, text):
    """Run the blocks of a page in one set of names."""
    names = {"__name__": "__page__"}
    for line, code in blocks(text):
        if code.lstrip().startswith(">>>"):
            flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
            test = doctest.DocTestParser().get_doctest(code, names, path, path, line)
            runner = doctest.DocTestRunner(optionflags=flags)
            output: list[str] = []
            runner.run(test, out=output.append, clear_globs=False)
            assert runner.summarize(verbose=False).failed == 0, "".join(output)
            names.update(test.globs)
        else:
            # Line numbers of a failure are those of the page.
            exec(compile("\n" * (line - 1) + code, path, "exec"), names)


@pytest.fixture(autouse=True)
def lock(monkeypatch):
    """Pages show what plans say where Python has its lock."""
    monkeypatch.setattr(_schedule, "_has_lock", lambda: True)


@pytest.mark.parametrize("path", pages())
def test_examples_of_a_page_run(path, tmp_path, monkeypatch):
    text = sources.read(path)
    if re.search(r"^import numba$", text, re.MULTILINE):
        # Free-threaded builds have to do without it.
        pytest.importorskip("numba")
    monkeypatch.chdir(tmp_path)
    run_page(path, text)


def test_broken_example_is_caught():
    with pytest.raises(ZeroDivisionError):
        run_page("page.md", "Text.\n\n```python\n1 / 0\n```\n")


def test_wrong_output_is_caught():
    with pytest.raises(AssertionError):
        run_page("page.md", "```python\n>>> 1 + 1\n3\n```\n")


def test_blocks_share_their_names():
    run_page("page.md", "```python\nx = 2\n```\n\n```python\n>>> x\n2\n```\n```py\n1 / 0\n```\n")
