"""The rules of the source tree, each a function from one file to its violations.

A rule comes with an example it must catch and one it must let pass, so that no rule is blind.
"""

import ast
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from tidy import sources

FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 70
COLUMNS_MAX = 100

Violation = tuple[int, str]


class Rule(NamedTuple):
    """A rule, the files it holds for, and one example each way: (path, text)."""

    name: str
    holds_for: re.Pattern[str]
    violations: Callable[[str, str], Iterator[Violation]]
    bad: tuple[str, str]
    good: tuple[str, str]


RULES: list[Rule] = []


def rule(
    holds_for: str, *, bad: tuple[str, str], good: tuple[str, str]
) -> Callable[[Callable[[str, str], Iterator[Violation]]], Callable[..., Iterator[Violation]]]:
    """Add a function to the rules."""

    def add(function: Callable[[str, str], Iterator[Violation]]) -> Callable[..., object]:
        RULES.append(Rule(function.__name__, re.compile(holds_for), function, bad, good))
        return function

    return add


def matches(pattern: str, code: str, message: str) -> Iterator[Violation]:
    """A violation for each match, at its line."""
    for match in re.finditer(pattern, code, re.MULTILINE):
        yield code.count("\n", 0, match.start()) + 1, message.format(match[0].strip())


C_FILES = r"^(csrc|include|tests|benchmarks)/.*\.[ch]$|^tests/.*\.cpp$"
PYTHON_FILES = r"^(python|tests|benchmarks|notebooks)/.*\.pyi?$|^setup\.py$|^\.ci/.*\.py$"
CODE = rf"{C_FILES}|{PYTHON_FILES}|^tests/.*\.pml$"
# The rules themselves name what they forbid.
OUTSIDE_TIDY = r"^(?!tests/tidy/)"


@rule(
    CODE,
    bad=("csrc/base/a.c", "int x;\n" * 601),
    good=("csrc/base/a.c", "int x;\n" * 600),
)
def file_is_short(_: str, text: str) -> Iterator[Violation]:
    count = len(text.splitlines())
    if count > FILE_LINES_MAX:
        yield count, f"{count} lines, at most {FILE_LINES_MAX}"


@rule(
    CODE,
    bad=("csrc/base/a.c", "int f(void)\n{\n" + "    g();\n" * 68 + "}\n"),
    good=("csrc/base/a.c", "int f(void)\n{\n" + "    g();\n" * 67 + "}\n"),
)
def function_is_short(path: str, text: str) -> Iterator[Violation]:
    find = sources.python_functions if path.endswith((".py", ".pyi")) else sources.c_functions
    for function in find(text):
        if function.line_count > FUNCTION_LINES_MAX:
            yield (
                function.first_line,
                f"{function.name}: {function.line_count} lines, at most {FUNCTION_LINES_MAX}",
            )


@rule(CODE, bad=("csrc/a.c", "x" * 101), good=("csrc/a.c", "x" * 100))
def line_is_short(_: str, text: str) -> Iterator[Violation]:
    for number, line in enumerate(text.splitlines(), 1):
        if len(line) > COLUMNS_MAX:
            yield number, f"{len(line)} columns, at most {COLUMNS_MAX}"


@rule(CODE, bad=("csrc/a.c", "\tint x;"), good=("csrc/a.c", "    int x;"))
def no_tabs(_: str, text: str) -> Iterator[Violation]:
    yield from matches(r"\t", text, "a tab")


UNSAFE = (
    "strcpy|strcat|strncpy|strncat|sprintf|vsprintf|gets|strtok|alloca|atoi|atol|atof|rand|srand"
    "|assert|usleep|PyGILState_Ensure"
)


@rule(
    C_FILES,
    bad=("csrc/base/a.c", "void f(void) { strcpy(a, b); }"),
    good=("csrc/base/a.c", "static_assert(1, strcpy); void f(void) { g(/* rand() */); }"),
)
def no_unsafe_call(_: str, text: str) -> Iterator[Violation]:
    code = sources.without_comments(text)
    yield from matches(rf"\b(?:{UNSAFE})\s*\(", code, "{}…) is banned")


@rule(
    r"^(csrc|include)/(?!base/memory\.c$).*\.[ch]$",
    bad=("csrc/world/a.c", "void f(void) { free(malloc(1)); }"),
    good=("csrc/world/a.c", "void f(void) { fol_free(fol_alloc(1)); }"),
)
def memory_comes_from_one_allocator(_: str, text: str) -> Iterator[Violation]:
    names = "malloc|calloc|realloc|free|strdup|strndup|aligned_alloc|posix_memalign|asprintf"
    yield from matches(
        rf"(?<![\w.>])(?:{names})\s*\(",
        sources.without_comments(text),
        "{}…): the core allocates through base/memory.h",
    )


@rule(
    r"^(csrc|include)/.*\.[ch]$",
    bad=("csrc/base/a.c", 'void f(void) { printf("x"); }'),
    good=("csrc/base/a.c", 'void f(void) { snprintf(b, 1, "x"); }'),
)
def library_prints_nothing(_: str, text: str) -> Iterator[Violation]:
    yield from matches(
        r"\b(?:printf|vprintf|puts|putchar)\s*\(",
        sources.without_comments(text),
        "{}…): a library does not print",
    )


@rule(
    r"^(csrc|include)/.*\.[ch]$",
    bad=("csrc/a.c", "int f(int n)\n{\n    return n ? f(n - 1) : 0;\n}\n"),
    good=("csrc/a.c", "int f(int n)\n{\n    return self->f(n) + pf(n); /* f(n) */\n}\n"),
)
def no_recursion(_: str, text: str) -> Iterator[Violation]:
    for function in sources.c_functions(text):
        for _match in re.finditer(rf"(?<![\w.>]){re.escape(function.name)}\s*\(", function.body):
            yield function.first_line, f"{function.name} calls itself"


@rule(
    C_FILES,
    bad=("csrc/a.c", "#include <x.h>\n/* Late. */\n"),
    good=("csrc/a.c", "/* What this is. */\n#include <x.h>\n"),
)
def c_file_opens_with_a_comment(_: str, text: str) -> Iterator[Violation]:
    if not text.startswith("/*"):
        yield 1, "the first line opens no comment"


@rule(
    r"^(csrc|include|tests)/.*\.h$",
    bad=("csrc/a.h", "/* A. */\n#ifndef A\n#define B\n#endif\n"),
    good=("csrc/a.h", "/* A. */\n#ifndef A_H\n#define A_H\nint x;\n#endif\n"),
)
def header_has_a_guard(_: str, text: str) -> Iterator[Violation]:
    code = sources.without_comments(text).strip()
    if not re.match(r"#ifndef (\w+_H)\n#define \1\n", code) or not code.endswith("#endif"):
        yield 1, "no include guard round the whole header"


@rule(
    r"^(python|tests)/.*\.py$",
    bad=("python/foliot/a.py", "import os\n"),
    good=("python/foliot/a.py", '"""What this is."""\n'),
)
def module_opens_with_a_docstring(_: str, text: str) -> Iterator[Violation]:
    if text.strip() and ast.get_docstring(ast.parse(text)) is None:
        yield 1, "no docstring"


@rule(
    PYTHON_FILES,
    bad=("python/a.py", "try:\n    f()\nexcept Exception:\n    pass\n"),
    good=("python/a.py", "try:\n    f()\nexcept KeyError:\n    pass\n"),
)
def no_swallowed_error(_: str, text: str) -> Iterator[Violation]:
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.ExceptHandler):
            continue
        is_wide = node.type is None or (
            isinstance(node.type, ast.Name) and node.type.id in {"Exception", "BaseException"}
        )
        only_passes = all(
            isinstance(item, ast.Pass | ast.Continue)
            or (isinstance(item, ast.Expr) and isinstance(item.value, ast.Constant))
            for item in node.body
        )
        if node.type is None or (is_wide and only_passes):
            yield node.lineno, "an error is caught widely and swallowed"


@rule(
    r"^tests/.*\.(py|[ch]|cpp)$",
    bad=("tests/c/a.c", "nanosleep(&pause, NULL);\n"),
    good=("tests/unit/a.py", "clock.advance(1)\n"),
)
def test_does_not_sleep(path: str, text: str) -> Iterator[Violation]:
    if not path.startswith("tests/tidy/"):
        yield from matches(r"\b(?:time\.sleep|nanosleep|sleep)\s*\(", text, "{}…): drive a clock")


@rule(
    OUTSIDE_TIDY,
    bad=("csrc/a.c", "/* TODO: more */"),
    good=("csrc/a.c", "/* mkdtemp wants XXXXXX. */"),
)
def nothing_is_left_open(_: str, text: str) -> Iterator[Violation]:
    yield from matches(r"\b(?:TODO|FIXME|XXX|HACK)\b", text, "{}: finish it")


@rule(
    rf"{CODE}|^Makefile$|\.mk$",
    bad=("csrc/a.c", "/* ---- Helpers ---- */"),
    good=("csrc/a.c", "/* a -----> b is an arrow; x == y. */"),
)
def no_banner(path: str, text: str) -> Iterator[Violation]:
    for number, line in sources.comments(path, text):
        if re.search(r"^[=\-*#~_+]{4,}(?!>)|[=\-*#~_+]{4,}$", line):
            yield number, f"a banner: {line[:40]}"


@rule(
    OUTSIDE_TIDY,
    bad=("docs/a.md", "Look at /home/x."),
    good=("docs/a.md", "Look at src/home/x and https://example.org/home/x."),
)
def no_machine_path(_: str, text: str) -> Iterator[Violation]:
    yield from matches(r"(?<![\w.~-])/(?:work|root|home)/\w", text, "{}: a path of one machine")
