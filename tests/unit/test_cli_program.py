"""Loading FILE.py[:NAME]: each fault is one sentence that names the file."""

import sys

import foliot as fo
import pytest
from foliot._program import ProgramError, load_program, split_target

GOOD = "import foliot as fo\n\ndef main():\n    return fo.World(), fo.Schedule()\n"


@pytest.fixture(autouse=True)
def import_state(monkeypatch):
    """The import path and the loaded modules, as they were before the test."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture
def program(tmp_path):
    def write(text, name="program.py"):
        path = tmp_path / name
        path.write_text(text)
        return str(path)

    return write


def fault_of(target):
    with pytest.raises(ProgramError) as caught:
        load_program(target)
    sentence = str(caught.value)
    assert "\n" not in sentence
    return sentence


def test_main_is_the_default_name(program):
    world, schedule = load_program(program(GOOD))
    assert isinstance(world, fo.World)
    assert isinstance(schedule, fo.Schedule)


def test_another_function_can_be_named(program):
    load_program(program(GOOD.replace("main", "build")) + ":build")


def test_empty_name_is_the_default_name(program):
    load_program(program(GOOD) + ":")


def test_file_with_a_colon_in_its_name_is_found(program):
    load_program(program(GOOD, "odd:name"))


def test_split_takes_the_last_colon():
    assert split_target("a:b.py:build")[1] == "build"


def test_program_may_import_its_neighbours(program):
    program(GOOD, "neighbour_of_program.py")
    load_program(program("from neighbour_of_program import main\n"))


def test_program_may_be_named_like_a_module_that_is_loaded(program):
    load_program(program(GOOD, "json.py"))
    assert sys.modules["json"].__name__ == "json"
    assert hasattr(sys.modules["json"], "dumps")


def test_no_byte_code_is_left_beside_the_program(program, tmp_path):
    load_program(program(GOOD))
    assert [path.name for path in tmp_path.iterdir()] == ["program.py"]


def test_program_may_define_dataclasses(program):
    opening = "from __future__ import annotations\nfrom dataclasses import dataclass\n"
    load_program(program(f"{opening}@dataclass\nclass Sun:\n    mass: float = 1.0\n{GOOD}"))


def test_missing_file_is_named(tmp_path):
    assert fault_of(f"{tmp_path}/no.py") == f"{tmp_path}/no.py: No such file or directory"


def test_directory_is_no_program(tmp_path):
    assert fault_of(str(tmp_path)) == f"{tmp_path}: Is a directory"


def test_syntax_error_is_told_with_its_line(program):
    path = program("x = 1\ndef main(:\n")
    assert fault_of(path).startswith(f"{path} does not import: SyntaxError: ")
    assert fault_of(path).endswith("(line 2)")


def test_error_while_importing_is_told_with_its_line(program):
    path = program("import foliot\n\n1 / 0\n")
    assert fault_of(path) == f"{path} does not import: ZeroDivisionError: division by zero (line 3)"


def test_missing_import_is_told(program):
    assert "No module named 'no_such_module'" in fault_of(program("import no_such_module\n"))


def test_binary_file_is_told(tmp_path):
    (tmp_path / "binary").write_bytes(b"\x7fELF\x00\x01\xff")
    assert "does not import" in fault_of(str(tmp_path / "binary"))


def test_program_that_exits_is_told(program):
    path = program("raise SystemExit(0)\n")
    assert fault_of(path) == f"{path} exits when it is imported"


def test_missing_name_is_told_with_the_names_there_are(program):
    path = program(GOOD.replace("main", "build"))
    assert fault_of(path) == f"{path} has no 'main'; its functions are build"


def test_missing_name_in_a_file_without_functions_is_told(program):
    path = program("x = 1\n")
    assert fault_of(f"{path}:build") == f"{path} has no 'build'"


def test_name_that_is_no_function_is_told(program):
    path = program("main = 3\n")
    assert fault_of(path) == f"{path}: 'main' is not a function but int"


def test_function_that_raises_is_told_with_its_line(program):
    path = program("def main():\n    raise ValueError('too\\n  many')\n")
    assert fault_of(path) == f"{path}: main() raised ValueError: too many (line 2)"


def test_function_that_wants_arguments_is_told(program):
    assert "main() raised TypeError: " in fault_of(program("def main(count): ...\n"))


@pytest.mark.parametrize(
    ("result", "told"),
    [
        ("None", "None"),
        ("fo.World()", "World"),
        ("()", "a tuple of 0"),
        ("(fo.World(), fo.Schedule(), 1)", "a tuple of 3"),
        ("(fo.Schedule(), fo.World())", "(Schedule, World)"),
        ("(fo.World(), None)", "(World, None)"),
    ],
)
def test_function_that_returns_something_else_is_told(program, result, told):
    path = program(f"import foliot as fo\ndef main():\n    return {result}\n")
    assert fault_of(path) == f"{path}: main() returned {told}, not (world, schedule)"
