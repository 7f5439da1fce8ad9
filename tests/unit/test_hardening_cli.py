"""The command line on programs that exit, or that have more systems than their world allows."""

import sys

import foliot as fo
import pytest
from foliot import _cli

HEAD = "import sys\nimport foliot as fo\n\n"
QUIT = 'fo.system(name="quit")(lambda ctx: sys.exit(3))'


@pytest.fixture(autouse=True)
def import_state(monkeypatch):
    """The import path and the loaded modules, as they were before the test."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture
def run(tmp_path, capsys):
    """Runs a program whose main is given; (status, stderr)."""

    def run(body):
        path = tmp_path / "program.py"
        path.write_text(f"{HEAD}def main():\n    {body}\n")
        status = _cli.main(["run", str(path), "--ticks", "3", "--rate", "0"])
        return status, capsys.readouterr().err

    return run


def test_main_that_exits_is_at_fault(run):
    status, errors = run("sys.exit(5)")
    assert status == 2
    assert errors.endswith("program.py: main() exits with 5\n")
    assert errors.count("\n") == 1


def test_system_that_exits_is_named(run):
    status, errors = run(f"return fo.World(), fo.Schedule({QUIT})")
    assert status == 1
    expected = "python -m foliot run: in system `quit`, frame 0: the system exits with 3\n"
    assert errors == expected


def test_more_systems_than_the_world_allows_are_at_fault(run):
    two = ", ".join(f'fo.system(name="{name}")(lambda ctx: None)' for name in "ab")
    status, errors = run(f"return fo.World(config=fo.Config(max_systems=1)), fo.Schedule({two})")
    assert status == 2
    assert "max_systems" in errors
    assert errors.count("\n") == 1


def test_exception_that_ends_a_frame_names_its_system():
    def leave(ctx):
        raise SystemExit(3)

    schedule = fo.Schedule(fo.system(name="quit")(leave))
    with fo.Scheduler(fo.World(), schedule) as scheduler, pytest.raises(SystemExit) as raised:
        scheduler.tick(0.1)
    assert raised.value.__notes__ == ["in system `quit`, frame 0"]
