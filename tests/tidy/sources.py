"""Reading the source tree: which files there are, C without its comments, and functions."""

import ast
import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("csrc", "include", "python", "tests", "benchmarks", "notebooks", ".ci", "docs")
SUFFIXES = {".c", ".cpp", ".h", ".pml", ".py", ".pyi", ".mk", ".md", ".toml", ".rs", ".yml", ""}
TOP_FILES = ("Makefile", "setup.py", "pyproject.toml", "README.md", "CHANGELOG.md", "mkdocs.yml")
BUILT = {"target", "__pycache__", "build", "results", "site"}


class Function(NamedTuple):
    """A function with the lines it covers, signature included, and the text between its braces."""

    name: str
    first_line: int
    line_count: int
    body: str


def all_files() -> list[str]:
    """Paths of the project's own text files, relative to its top."""
    found = [name for name in TOP_FILES if (ROOT / name).is_file()]
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            parts = path.relative_to(ROOT).parts
            if path.is_file() and path.suffix in SUFFIXES and not BUILT & set(parts):
                found.append("/".join(parts))
    return found


def read(path: str) -> str:
    """Text of a file of the tree."""
    return (ROOT / path).read_text(encoding="utf-8")


_TOKEN = re.compile(
    r"""(?P<comment>/\*.*?\*/|//[^\n]*)|(?P<literal>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')""",
    re.DOTALL,
)


def _blank(text: str) -> str:
    """Spaces in place of everything but the line ends, so that line numbers stay."""
    return re.sub(r"[^\n]", " ", text)


def without_comments(text: str, *, keep_literals: bool = False) -> str:
    """C source with comments blanked out, and strings too unless they are kept."""

    def replace(match: re.Match[str]) -> str:
        if match["literal"] is not None:
            return match[0] if keep_literals else '"' + _blank(match[0][1:-1]) + '"'
        return _blank(match[0])

    return _TOKEN.sub(replace, text)


def comments(path: str, text: str) -> list[tuple[int, str]]:
    """Comment lines with their numbers, without the comment signs."""
    found = []
    if path.endswith((".c", ".cpp", ".h", ".pml")):
        for match in _TOKEN.finditer(text):
            if match["comment"] is None:
                continue
            first = text.count("\n", 0, match.start()) + 1
            inner = match[0][2:-2] if match[0].startswith("/*") else match[0][2:]
            for offset, line in enumerate(inner.split("\n")):
                found.append((first + offset, re.sub(r"^\*(?!\*)", "", line.strip()).strip()))
    else:
        for number, line in enumerate(text.split("\n"), 1):
            if line.lstrip().startswith("#"):
                found.append((number, line.strip()[1:].strip()))
    return found


_FOR_CPP = re.compile(r"^#ifdef __cplusplus\n.*?^#endif", re.MULTILINE | re.DOTALL)
_DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", re.MULTILINE)


def without_directives(code: str) -> str:
    """C code with preprocessor lines blanked out, and whatever is meant for C++ only."""
    for pattern in (_FOR_CPP, _DIRECTIVE):
        code = pattern.sub(lambda part: _blank(part[0]), code)
    return code


def c_functions(text: str) -> list[Function]:
    """Functions defined in a C file: a parameter list followed by a brace, outside any other."""
    code = without_directives(without_comments(text))
    found, depth, head_start = [], 0, 0
    open_head, open_at = None, 0
    for match in re.finditer(r"[{};]", code):
        at, sign = match.start(), match[0]
        if sign == "{":
            if depth == 0:
                head = code[head_start:at]
                open_head, open_at = (head if head.rstrip().endswith(")") else None), at
            depth += 1
        elif sign == "}":
            depth -= 1
            if depth == 0 and open_head is not None:
                start = head_start + len(open_head) - len(open_head.lstrip())
                first = code.count("\n", 0, start) + 1
                count = code.count("\n", start, at) + 1
                found.append(Function(_c_name(open_head), first, count, code[open_at:at]))
        if depth == 0 and sign in "};":
            head_start, open_head = at + 1, None
    return found


def _c_name(head: str) -> str:
    """The word before the last balanced parameter list."""
    head = head.rstrip()
    depth = 0
    for at in range(len(head) - 1, -1, -1):
        depth += {")": 1, "(": -1}.get(head[at], 0)
        if depth == 0:
            word = re.search(r"(\w+)\s*$", head[:at])
            return word[1] if word else "?"
    return "?"


def python_functions(text: str) -> list[Function]:
    """Functions of a Python file; their docstrings do not count as lines."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        count = (node.end_lineno or node.lineno) - node.lineno + 1
        if ast.get_docstring(node) is not None:
            count -= (node.body[0].end_lineno or 0) - node.body[0].lineno + 1
        found.append(Function(node.name, node.lineno, count, ""))
    return found
