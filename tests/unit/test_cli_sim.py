"""``python -m foliot sim``: what it prints, and one line for what is wrong."""

import json

import pytest
from foliot import _cli

SET = """
[simulation]
until = 35
policy = "edf"
[[task]]
name = "fast"
wcet = 2
period = 5
[[task]]
name = "slow"
wcet = 4
period = 7
"""
RTAPP = """{"tasks": {"t": {"run": 1000, "timer": {"ref": "unique", "period": 4000}}},
"global": {"duration": 1}}"""


@pytest.fixture
def command(capsys, monkeypatch, tmp_path):
    """Writes a file and runs ``sim`` on it; returns exit status, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def run(name, text, *options):
        if text is not None:
            (tmp_path / name).write_text(text)
        try:
            status = _cli.main(["sim", name, *options])
        except SystemExit as end:
            status = end.code
        return (status, *capsys.readouterr())

    return run


def refused(answer):
    """The one line of a command that was refused."""
    status, out, err = answer
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert err.startswith("python -m foliot sim: ")
    return err.removeprefix("python -m foliot sim: ").rstrip()


def test_task_set_is_a_table_of_tasks(command):
    status, out, err = command("set.toml", SET)
    assert (status, err) == (0, "")
    assert out.splitlines() == [
        "task  jobs  misses  worst  mean  deadline",
        "fast     7       0      4   2.9         5",
        "slow     5       0      6   5.2         7",
        "",
        "edf on 1 CPU until 35: utilisation 97.1%",
        "no deadline missed, 12 jobs",
    ]


def test_misses_are_told_and_are_no_failure(command):
    status, out, _ = command("set.toml", SET, "--policy", "rm")
    assert status == 0
    assert "of 12 jobs missed their deadline" in out


def test_options_go_before_the_file(command):
    status, out, _ = command(
        "set.toml", SET, "--policy", "fifo", "--cpus", "2", "--until", "70", "--json"
    )
    told = json.loads(out)
    assert status == 0
    assert (told["policy"], told["cpus"], told["until"]) == ("fifo", 2, 70)
    assert [task["name"] for task in told["tasks"]] == ["fast", "slow"]
    assert told["misses"] == 0


def test_rtapp_file_is_simulated_with_its_notes(command):
    status, out, _ = command("t.json", RTAPP)
    assert status == 0
    assert "eevdf on 1 CPU until 1,000,000 us: utilisation 25.0%" in out
    assert "note: the timer of `t` is relative" in out


def test_graph_is_a_table_of_cpus(command):
    status, out, _ = command("g.stg", "3\n1 4 0\n2 4 0\n3 2 1 1\n", "--cpus", "2")
    assert status == 0
    assert out.splitlines() == [
        "       tasks  busy  utilisation",
        "CPU 0      2     6       100.0%",
        "CPU 1      1     4        66.7%",
        "",
        "3 tasks, 1 edges, work 10, critical path 6",
        "list on 2 CPUs: makespan 6, 0.00% above the lower bound 6",
    ]
    told = json.loads(command("g.stg", None, "--json", "--policy", "steal")[1])
    assert (told["kind"], told["makespan"], told["lower_bound"]) == ("graph", 10, 10)


def test_graph_of_no_work_is_told(command):
    status, out, _ = command("g.stg", "0\n")
    assert status == 0
    assert "list on 1 CPU: makespan 0" in out


@pytest.mark.parametrize(("name", "text"), [("set.toml", SET), ("g.stg", "1\n1 4 0\n")])
def test_run_is_drawn_into_a_file(command, tmp_path, name, text):
    pytest.importorskip("matplotlib")
    status, _, err = command(name, text, "--gantt", "out.svg")
    assert (status, err) == (0, "gantt     out.svg\n")
    assert "<svg" in (tmp_path / "out.svg").read_text()


@pytest.mark.parametrize(
    ("name", "text", "options", "words"),
    [
        ("none.toml", None, (), "none.toml: No such file or directory"),
        ("set.yml", "", (), "set.yml: a workload file ends with .toml, .json, .stg"),
        ("set.toml", "a = \n", (), "set.toml, line 1, column 5: Invalid value"),
        ("set.toml", "[[task]]\nwcet = 1", (), "set.toml: task 0 lacks `period`"),
        ("t.json", '{"tasks": {},}\n{', (), "t.json, line 2, column 1: expected the end"),
        ("g.stg", "1\n1 x 0\n", (), "g.stg, line 2, column 3: expected the cost of a task"),
        ("g.stg", "1\n1 1 1 1\n", (), "g.stg, line 2, column 1: the tasks wait for each other"),
        ("set.toml", SET, ("--policy", "lifo"), "set.toml: unknown policy 'lifo'"),
        ("g.stg", "0\n", ("--policy", "edf"), "g.stg: the policy of a task graph is fifo"),
        ("g.stg", "0\n", ("--until", "5"), "g.stg: until= means nothing for a task graph"),
        ("g.stg", "0\n", ("--cpus", "0"), "argument --cpus: '0' is not a whole number from 1"),
        ("g.stg", "0\n", ("--cpus", "1025"), "argument --cpus: '1025' is not a whole number"),
        ("g.stg", "0\n", ("--until", "x"), "argument --until: 'x' is not a whole number"),
        ("g.stg", "0\n", ("--gantt", "no/out.svg"), "--gantt no/out.svg: No such file"),
        ("g.stg", "0\n", ("--gantt", "out.xyz"), "--gantt out.xyz: Format 'xyz' is not supported"),
    ],
)
def test_what_is_wrong_is_one_line(command, name, text, options, words):
    assert refused(command(name, text, *options)).startswith(words)
