"""The command line: exit statuses, one-line errors, and what each command prints."""

import json
import os
import re
import signal
import subprocess
import sys

import foliot
import pytest
from foliot import _cli, demo

PROGRAM = """\
import foliot as fo

@fo.component
class Position:
    x: fo.f8

@fo.system(writes=[Position])
def move(ctx):
    for chunk in ctx:
        chunk[Position].x += ctx.dt

@fo.system(reads=[Position])
def watch(ctx):
    {watch}

def main():
    world = fo.World()
    world.spawn(Position(x=0.0))
    return world, fo.Schedule(move, watch)
"""
CYCLE = """
import foliot as fo

@fo.system(before=["second"])
def first(ctx): ...

@fo.system(before=["first"])
def second(ctx): ...

def main():
    return fo.World(), fo.Schedule(first, second)
"""


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Writes a program whose system ``watch`` has this body; returns its path."""
    monkeypatch.setattr(sys, "path", list(sys.path))

    def write(watch="pass", text=PROGRAM):
        path = tmp_path / "program.py"
        path.write_text(text.format(watch=watch) if text is PROGRAM else text)
        return str(path)

    yield write
    sys.modules.pop("program", None)


@pytest.fixture
def command(capsys):
    """Runs a command in this process; returns exit status, stdout and stderr."""

    def run(*arguments):
        try:
            status = _cli.main(list(arguments))
        except SystemExit as end:
            status = end.code
        return (status, *capsys.readouterr())

    return run


def refused(answer):
    """The one line of a command that was refused."""
    status, out, err = answer
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert err.endswith("\n")
    return err[:-1]


def start(*arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-m", "foliot", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def test_no_command_prints_the_help(command):
    status, out, err = command()
    assert status == 0
    assert out.startswith("usage: python -m foliot")
    for name in ("demo", "run", "plan", "doctor", "sim"):
        assert f"\n    {name} " in out
    assert err == ""


@pytest.mark.parametrize("name", ["demo", "run", "plan", "doctor"])
def test_help_of_a_command_has_examples(command, name):
    status, out, _ = command(name, "--help")
    assert status == 0
    assert f"examples:\n  python -m foliot {name}" in out


def test_version_is_that_of_the_package(command):
    assert command("--version") == (0, f"foliot {foliot.__version__}\n", "")


def test_module_can_be_run():
    process = start("--version")
    assert process.communicate() == (f"foliot {foliot.__version__}\n", "")
    assert process.returncode == 0


def test_help_imports_no_command():
    code = (
        "import sys; from foliot._cli import main; main([]);"
        "print(sorted(name for name in sys.modules if name.startswith('foliot.demo')"
        " or name in ('tqdm', 'hashlib', 'foliot._doctor')))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["dance"], "dance"),
        (["demo", "a", "b"], "unrecognized arguments: b"),
        (["demo", "--backend", "quantum"], "invalid choice: 'quantum'"),
        (["demo", "--workers", "0"], "'0' is not a number from 1 to 254"),
        (["demo", "--workers", "-1"], "'-1' is not a number from 1 to 254"),
        (["demo", "--workers", "two"], "'two' is not a number from 1 to 254"),
        (["run"], "the following arguments are required: FILE.py[:NAME]"),
        (["run", "x.py", "--ticks", "-1"], "'-1' is not a whole number from 0"),
        (["run", "x.py", "--ticks", "2147483648"], "is not a whole number from 0"),
        (["run", "x.py", "--rate", "nan"], "'nan' is not a rate"),
        (["run", "x.py", "--rate", "inf"], "'inf' is not a rate"),
        (["run", "x.py", "--rate", "-60"], "'-60' is not a rate"),
        (["run", "x.py", "--rate", "fast"], "'fast' is not a rate"),
        (["plan", "x.py", "--dot", "--json"], "not allowed with argument"),
    ],
    ids=" ".join,
)
def test_wrong_arguments_are_told_in_one_line(command, arguments, told):
    assert told in refused(command(*arguments))


def test_demo_counts_a_directory(command, tmp_path):
    (tmp_path / "file").write_bytes(b"one two\n")
    status, out, err = command("demo", str(tmp_path), "--json", "--backend", "blocking")
    assert (status, err) == (0, "")
    report = json.loads(out)
    assert [report[key] for key in ("files", "bytes", "lines", "words")] == [1, 8, 1, 2]


def test_demo_table_ends_with_the_verdict(command, tmp_path):
    status, out, _ = command("demo", str(tmp_path))
    assert status == 0
    assert re.search("agrees? with a plain Python loop over the same files, file by file.\\n$", out)


def test_demo_of_an_unavailable_backend_says_so_and_goes_on(command, tmp_path):
    for name in foliot.BACKENDS:
        status, out, _ = command("demo", str(tmp_path), "--json", "--backend", name)
        [run] = json.loads(out)["runs"]
        assert (status, run["backend"]) == (0, name)
        assert (run["fallback"] is None) == (name in demo.find_backends()[0])


def test_demo_of_a_missing_directory_is_refused(command, tmp_path):
    line = refused(command("demo", f"{tmp_path}/no"))
    assert line == f"python -m foliot demo: {tmp_path}/no: No such file or directory"


def test_demo_of_no_name_is_refused(command):
    assert refused(command("demo", "")).endswith("No such file or directory")


def test_demo_of_a_file_is_refused(command, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    assert refused(command("demo", f"{tmp_path}/file")).endswith("file: Not a directory")


def test_demo_that_disagrees_exits_with_1(command, tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "disagreement", lambda *_: "blocking: a: words: 1 against 2")
    status, out, err = command("demo", str(tmp_path))
    assert status == 1
    assert "DISAGREES" in out
    assert err == ""


def test_demo_prints_names_that_the_terminal_cannot_show(tmp_path):
    (tmp_path / "caf\u00e9").write_bytes(b"x")
    (tmp_path / "bad\udcff").write_bytes(b"x")
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    process = start("demo", str(tmp_path), env=environment)
    out, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    assert r"caf\xe9" in out
    assert r"bad\xff" in out


def test_reader_that_goes_away_is_no_error(tmp_path):
    read_end, write_end = os.pipe()
    os.close(read_end)
    process = subprocess.run(
        [sys.executable, "-m", "foliot", "demo", str(tmp_path)],
        stdout=write_end,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(write_end)
    assert (process.returncode, process.stderr) == (_cli.BROKEN_PIPE, "")


def test_interrupt_is_one_short_line(command, tmp_path, monkeypatch):
    def interrupt(*_arguments, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "main", interrupt)
    assert command("demo", str(tmp_path)) == (130, "", "python -m foliot demo: stopped\n")


def test_plan_is_drawn_as_text(command, program):
    status, out, err = command("plan", program())
    assert (status, err) == (0, "")
    assert "move" in out
    assert "watch" in out


def test_plan_is_given_as_a_graph(command, program):
    status, out, _ = command("plan", program(), "--dot")
    assert status == 0
    assert out.startswith("digraph")


def test_plan_is_given_as_json(command, program):
    status, out, _ = command("plan", program() + ":main", "--json")
    assert status == 0
    assert isinstance(json.loads(out), dict)


@pytest.mark.parametrize("name", ["plan", "run"])
def test_program_at_fault_is_refused(command, program, tmp_path, name):
    missing = refused(command(name, f"{tmp_path}/no.py"))
    assert missing == f"python -m foliot {name}: {tmp_path}/no.py: No such file or directory"
    assert "has no 'build'" in refused(command(name, program() + ":build"))
    assert "does not import" in refused(command(name, program(text="import nothing_here")))
    assert "returned None" in refused(command(name, program(text="def main(): ...")))


@pytest.mark.parametrize("name", ["plan", "run"])
def test_schedule_without_a_plan_is_refused(command, program, name):
    line = refused(command(name, program(text=CYCLE)))
    assert "first" in line
    assert "second" in line


def test_run_ends_after_its_ticks_with_a_summary(command, program):
    status, out, err = command("run", program(), "--ticks", "5", "--rate", "0")
    assert (status, err) == (0, "")
    assert re.search(r"frames\s+5\b", out)
    assert "move" in out
    assert "watch" in out
    assert "lateness" in out


def test_run_keeps_a_rate(command, program):
    status, out, _ = command("run", program(), "--ticks", "2", "--rate", "1000")
    assert status == 0
    assert "1,000" in out


def test_run_of_no_ticks_is_a_summary_of_nothing(command, program):
    status, out, _ = command("run", program(), "--ticks", "0")
    assert status == 0
    assert re.search(r"frames\s+0\b", out)


def test_run_says_on_which_backend_it_ran(command, program):
    for name in foliot.BACKENDS:
        status, out, _ = command("run", program(), "--ticks", "1", "--rate", "0", "--backend", name)
        assert status == 0
        assert name in out


def test_failing_system_is_named_and_exits_with_1(command, program):
    status, out, err = command("run", program(watch="1 / 0"), "--ticks", "3", "--rate", "0")
    assert status == 1
    assert "watch" in err
    assert "ZeroDivisionError: division by zero" in err
    assert "Traceback" not in err
    assert re.search(r"frames\s+1\b", out)


def test_rate_too_low_for_the_world_is_refused(command, program):
    assert "Config.max_dt" in refused(command("run", program(), "--rate", "0.0001"))


@pytest.mark.parametrize("setting", ["FOLIOT_BACKEND", "FOLIOT_WORKERS"])
def test_wrong_environment_is_refused(command, program, tmp_path, monkeypatch, setting):
    monkeypatch.setenv(setting, "quantum")
    assert setting in refused(command("run", program(), "--ticks", "1"))
    assert setting in refused(command("demo", str(tmp_path)))


def test_error_outside_of_systems_is_one_line(command, program):
    watch = "SCHEDULE.add(fo.system(lambda ctx: None, name='more', phase='nowhere'))"
    text = PROGRAM.format(watch=watch).replace(
        "return world, fo.Schedule(move, watch)", "return world, SCHEDULE"
    )
    path = program(text=f"{text}\nSCHEDULE = fo.Schedule(move, watch)\n")
    status, _, err = command("run", path, "--ticks", "9", "--rate", "0")
    assert status == 1
    assert err.count("\n") == 1
    assert "nowhere" in err


def test_run_writes_a_trace_of_its_frames(command, program, tmp_path):
    path = tmp_path / "trace.json"
    status, _, err = command("run", program(), "--ticks", "3", "--rate", "0", "--trace", str(path))
    assert status == 0
    assert "ui.perfetto.dev" in err
    names = [event["name"] for event in json.loads(path.read_text())["traceEvents"]]
    assert [name for name in names if name.startswith("frame")] == ["frame 0", "frame 1", "frame 2"]
    assert names.count("move") == 3


def test_trace_of_a_run_that_fails_is_written(command, program, tmp_path):
    path = tmp_path / "trace.json"
    status, _, _ = command(
        "run", program(watch="1 / 0"), "--ticks", "9", "--rate", "0", "--trace", str(path)
    )
    assert status == 1
    assert json.loads(path.read_text())["traceEvents"]


@pytest.mark.parametrize("place", ["", "nowhere/trace.json"])
def test_place_where_no_trace_can_be_is_refused_before_anything_runs(
    command, program, tmp_path, place
):
    ran = tmp_path / "ran"
    path = program(watch=f"open({str(ran)!r}, 'w').close()")
    line = refused(command("run", path, "--ticks", "1", "--trace", str(tmp_path / place)))
    assert "--trace" in line
    assert not ran.exists()


def test_ctrl_c_ends_a_run_with_130_and_the_summary(program):
    process = start("run", program(watch="print('ready', flush=True)"))
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert process.returncode == 130
    assert err == "python -m foliot run: stopped\n"
    assert "frames" in out


def test_doctor_reports(command):
    status, out, _ = command("doctor")
    assert status == 0
    assert "io_uring" in out


def test_doctor_reports_as_json(command):
    status, out, _ = command("doctor", "--json")
    assert status == 0
    assert "kernel" in json.loads(out)
