"""Workload files: TOML, rt-app's JSON and task graphs; what is read, and each refusal's place."""

import json
import re

import foliot as fo
import pytest
from foliot._json_places import PlaceError, Reader
from foliot._rtapp import read_rtapp
from foliot.sim import Graph, load_workload
from hypothesis import given
from hypothesis import strategies as st

RTAPP = """{
    /* Ten percent
       of a CPU. */
    "tasks" : {
        "thread0" : {
            "instance" : 1, "loop" : -1, // for ever
            "run" : 10000,
            "timer" : { "ref" : "unique", "period" : 100000, "mode" : "absolute" },
            "dl-runtime" : 12000,
            "dl-period" : 100000,
        }
    },
    "global" : { "duration" : 2, "default_policy" : "SCHED_DEADLINE", "calibration" : "CPU0" }
}
"""


@pytest.fixture
def write(tmp_path):
    """Writes a file and gives its path."""

    def write_file(name, text):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write_file


def test_toml_says_tasks_and_how_to_simulate_them(write):
    path = write(
        "set.toml",
        """
        [simulation]
        until = 70
        cpus = 2
        policy = "rm"
        queues = "global"
        seed = 3
        costs = { switch = 1, migration = 2, steal = 4 }

        [[task]]
        name = "control"
        wcet = 2
        period = 5
        deadline = 4

        [[task]]
        wcet = 1
        period = 7
        """,
    )
    workload = load_workload(path)
    assert workload.what == fo.TaskSet(
        [
            fo.PeriodicTask(name="control", wcet=2, period=5, deadline=4),
            fo.PeriodicTask(wcet=1, period=7),
        ]
    )
    costs = {"switch_cost": 1, "migration_cost": 2, "steal_cost": 4}
    asked = {"until": 70, "cpus": 2, "policy": "rm", "queues": "global", "seed": 3}
    assert workload.options == asked | costs
    assert fo.sim.run(path).until == 70
    assert fo.sim.run(str(path), until=35).until == 35


@pytest.mark.parametrize(
    "text", ["nodes = 2\ncpus = 2", "cpus = 4\nnodes = [[0, 1], [2, 3]]\ncaches = [[0, 1], [2, 3]]"]
)
def test_toml_describes_a_machine_by_counts_or_by_lists(write, text):
    costs = "[simulation]\ncosts.steal = [1, 2, 3]\n"
    path = write("set.toml", f"[machine]\n{text}\n{costs}[[task]]\nwcet = 1\nperiod = 4\n")
    assert load_workload(path).options == {
        "cpus": fo.sim.Machine.grid(nodes=2, caches=1, cpus=2),
        "steal_cost": [1, 2, 3],
    }
    assert fo.sim.run(path).cpus == 4
    assert fo.sim.run(path, cpus=2).machine == fo.sim.Machine.uniform(2)


def test_toml_says_a_graph_or_where_one_is(write):
    write("beside.stg", "2\n1 3 0\n2 4 1 1\n")
    path = write("file.toml", 'graph = "beside.stg"\n[simulation]\ncpus = 4\n')
    assert load_workload(path).what.critical_path == 7
    path = write("inside.toml", '[graph]\na = { cost = 3 }\nb = { cost = 4, after = ["a"] }\n')
    assert isinstance(load_workload(path).what, Graph)
    assert fo.sim.run(path).makespan == 7


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("a = \n", ValueError, "bad.toml, line 1, column 5: Invalid value"),
        ("[[task]", ValueError, "bad.toml, line 1, column 7: "),
        ("", ValueError, "bad.toml: a workload has [[task]] tables or a `graph`, got neither"),
        ('graph = "x"\n[[task]]\n', ValueError, "or a `graph`, got both"),
        ("colour = 1", ValueError, "`colour` is not known; there are simulation, machine"),
        ("task = 1", TypeError, "`task` is a list of tables, each under [[task]], got 1"),
        ("[[task]]\nwcet = 1", ValueError, "bad.toml: task 0 lacks `period`"),
        ("[[task]]\nwcet = 9\nperiod = 4", ValueError, "bad.toml: task 0: wcet is from 1 to"),
        ("[[task]]\nsize = 1", ValueError, "bad.toml: task 0 has no field 'size'"),
        ("simulation = 1\ngraph = 'x'", TypeError, "`simulation` is a table, got 1"),
        ("graph = 1", TypeError, "`graph` is a table, got 1"),
        ("graph = 'x.stg'", ValueError, "x.stg: No such file"),
        ("[graph]\na = {}", ValueError, "bad.toml: `graph`: task `a` lacks `cost`"),
        ("[simulation]\nspeed = 1\n[[task]]", ValueError, "`simulation.speed` is not known"),
        ("[simulation]\ncpus = 0\n[[task]]", ValueError, "`simulation.cpus` is at least 1, got 0"),
        ("[simulation]\nuntil = 1.5\n[[task]]", TypeError, "`simulation.until` is a whole number"),
        ("[simulation]\npolicy = 1\n[[task]]", TypeError, "`simulation.policy` is text, got 1"),
        ("[simulation]\ncosts.jump = 1\n[[task]]", ValueError, "`simulation.costs.jump` is not"),
        ("[simulation]\ncosts.switch = -1\n[[task]]", ValueError, "costs.switch` is at least 0"),
        ("[simulation]\ncosts.switch = [1, 2, 3]\n[[task]]", TypeError, "costs.switch` is a whole"),
        (
            "[simulation]\ncosts.steal = [1, 2]\n[[task]]",
            ValueError,
            "three: same cache, same node",
        ),
        ("[simulation]\ncosts.steal = [1, -2, 3]\n[[task]]", ValueError, "costs.steal[1]` is at"),
        ("machine = 1\ngraph = 'x'", TypeError, "`machine` is a table, got 1"),
        ("[machine]\nsize = 1\n[[task]]", ValueError, "`machine.size` is not known; there are"),
        ("[machine]\ncpus = 2\n[simulation]\ncpus = 2\n[[task]]", ValueError, "both say how many"),
        ("[machine]\nnodes = 0\n[[task]]", ValueError, "`machine.nodes` is at least 1, got 0"),
        ("[machine]\ncpus = 'a'\n[[task]]", TypeError, "`machine.cpus` is a whole number, got 'a'"),
        ("[machine]\nnodes = 2000\n[[task]]", ValueError, "`machine`: nodes= is from 1 to 1024"),
        ("[machine]\nnodes = [[0]]\n[[task]]", ValueError, "`machine.cpus` is missing"),
        (
            "[machine]\ncpus = 1\nnodes = [[0]]\ncaches = 1\n[[task]]",
            TypeError,
            "as `machine.nodes`",
        ),
        ("[machine]\nsmt = 2\n[[task]]", TypeError, "`machine.smt` is a list of lists of CPUs"),
        ("[machine]\ncpus = 2\nnodes = [[0]]\n[[task]]", ValueError, "nodes= has each of the CPUs"),
        (b"# \xff\n", ValueError, "bad.toml, line 1, column 3: this is not UTF-8"),
        ("a = " + "[" * 5000, ValueError, "too many lists and tables"),
    ],
)
def test_toml_that_is_no_workload_is_refused_by_place_or_key(write, text, error, words):
    with pytest.raises(error, match=re.escape(words)):
        load_workload(write("bad.toml", text))


def test_cycle_in_toml_names_file_and_cycle(write):
    path = write("bad.toml", "[graph]\na = {cost = 1, after = 'b'}\nb = {cost = 1, after = 'a'}")
    with pytest.raises(fo.OrderCycleError, match=r"bad\.toml: `graph`: .* a -> b -> a"):
        load_workload(path)


def test_other_suffixes_and_missing_files_are_refused(write):
    with pytest.raises(ValueError, match=r"a workload file ends with \.toml, \.json, \.stg"):
        load_workload(write("set.yml", ""))
    with pytest.raises(FileNotFoundError):
        load_workload("none.toml")


def test_rtapp_file_is_a_task_set_in_microseconds(write):
    workload = load_workload(write("dl.json", RTAPP))
    assert workload.what == fo.TaskSet(
        [fo.PeriodicTask(name="thread0", wcet=12000, execution=10000, period=100000)]
    )
    assert workload.options == {"policy": "edf", "until": 2_000_000}
    assert (workload.unit, workload.notes) == ("us", ())
    assert len(fo.sim.run(write("dl.json", RTAPP)).jobs) == 20


def rtapp(thread, rest='"global": {"default_policy": "SCHED_FIFO"}'):
    return f'{{"tasks": {{"t": {{{thread}}}}}, {rest}}}'


TIMER = '"timer": {"ref": "unique", "period": 100, "mode": "absolute"}'


def test_rtapp_instances_delays_cpus_and_priorities_are_read():
    found = read_rtapp(
        rtapp(
            '"instance": 2, "delay": 7, "cpus": [1], "priority": 3, '
            f'"run0": 2, "runtime": 4, {TIMER}'
        ),
        "f",
    )
    assert [(task.name, task.wcet, task.offset) for task in found.tasks] == [
        ("t-0", 6, 7),
        ("t-1", 6, 7),
    ]
    assert {(task.cpu, task.priority) for task in found.tasks} == {(1, -3)}
    assert (found.policy, found.until, found.notes) == ("fp", None, [])


def test_rtapp_thread_of_one_phase_is_read_as_without():
    one = read_rtapp(rtapp(f'"phases": {{"p": {{"loop": 5, "run": 3, {TIMER}}}}}'), "f")
    assert one.tasks == read_rtapp(rtapp(f'"run": 3, {TIMER}'), "f").tasks


def test_rtapp_sleep_of_nothing_and_no_instances_are_read():
    assert len(read_rtapp(rtapp(f'"run": 3, "sleep": 0, {TIMER}'), "f").tasks) == 1
    assert len(read_rtapp(rtapp(f'"instance": 0, "run": 3, {TIMER}'), "f").tasks) == 0


def test_rtapp_names_that_instances_take_are_refused():
    pair = f'"t-0": {{"run": 1, {TIMER}}}, "t": {{"instance": 2, "run": 1, {TIMER}}}'
    with pytest.raises(PlaceError, match=r"column 11: `tasks` are no task set: .* called `t-0`"):
        read_rtapp(f'{{"tasks": {{{pair}}}}}', "f")


def test_rtapp_relative_timer_and_mixed_policies_are_noted(write):
    text = (
        '{"tasks": {"a": {"run": 1, "timer": {"ref": "unique", "period": 9}, "policy": '
        '"SCHED_FIFO"}, "b": {"run": 1, "timer": {"ref": "x", "period": 9}}}}'
    )
    workload = load_workload(write("mixed.json", text))
    assert workload.options == {}
    assert "timer of `a` is relative" in workload.notes[0]
    assert "different policies" in workload.notes[2]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{}", "f, line 1, column 1: the file lacks `tasks`"),
        ("[]", "the file is an object, got a list of 0"),
        ('{"tasks": {},\n "resources": {}}', "f, line 2, column 2: `resources` is not read"),
        ('{"tasks": 3}', "f, line 1, column 11: `tasks` is an object, got 3"),
        (rtapp(f'"run": 1, {TIMER}', '"global": {"speed": 1}'), "`speed` of `global` is not known"),
        (rtapp(f'"run": 1, {TIMER}', '"global": {"duration": 0}'), "`duration` is -1 or at least"),
        (
            rtapp(f'"run": 1, {TIMER}', '"global": {"duration": "x"}'),
            "`duration` is a whole number",
        ),
        (
            rtapp(f'"run": 1, "policy": "SCHED_RR", {TIMER}'),
            "`policy` of `t` is one of SCHED_DEADLINE",
        ),
        (
            rtapp(f'"run": 1, "policy": [0], {TIMER}'),
            "`policy` of `t` is one of SCHED_DEADLINE",
        ),
        (rtapp(f'"run": 1, "sleep": 4, {TIMER}'), "f, line 1, column 28: `sleep` of `t`: a sleep"),
        (rtapp(f'"run": 1, "lock": "m", {TIMER}'), "column 28: `lock` of `t`: it is not part of"),
        (
            rtapp(f'"run": 1, "period": 4, {TIMER}'),
            "`period` of `t`: in a thread this is an old name",
        ),
        (rtapp(f'"run": 1, "taskgroup": "/a", {TIMER}'), "`taskgroup` of `t`: groups are not read"),
        (rtapp(f'"run": 1, "loop": 4, {TIMER}'), "`loop` of `t` is -1"),
        (rtapp(f'"run": 1.5, {TIMER}'), "`run` of `t` is a whole number from 0"),
        (rtapp(TIMER), "`t` does not run: it lacks `run`"),
        (rtapp('"run": 1'), "`t` has 0 timers; a periodic task has 1"),
        (rtapp(f'{TIMER}, "run": 1'), "`run` of `t` comes after its timer"),
        (rtapp('"run": 1, "timer": {"ref": "unique"}'), "`timer` of `t` lacks `period`"),
        (rtapp('"run": 1, "timer": {"ref": "u", "period": 9, "x": 1}'), "`x` of `timer` of `t`"),
        (
            rtapp('"run": 1, "timer": {"ref": "u", "period": 9, "mode": "odd"}'),
            "`mode` of `timer` of `t` is relative or absolute, got 'odd'",
        ),
        (
            rtapp('"instance": 2, "run": 1, "timer": {"ref": "u", "period": 9}'),
            "the timer `u` of `t` is shared with `t`",
        ),
        (
            rtapp(f'"run": 200, {TIMER}'),
            "`t` is no task: wcet of task `t` is from 1 to its deadline",
        ),
        (rtapp(f'"run": 1, "cpus": [0, 1], {TIMER}'), "`cpus` of `t` is a list of one CPU here"),
        (
            rtapp(f'"run": 1, "priority": 0, {TIMER}'),
            "`priority` of `t` is a whole number from 1 to",
        ),
        (
            rtapp(f'"run": 1, "priority": 5, {TIMER}', '"global": {}'),
            "`priority` of `t` is 0 under",
        ),
        (rtapp(f'"run": 1, "dl-runtime": 5, {TIMER}'), "`dl-runtime` of `t` needs the policy"),
        (rtapp('"phases": {"a": {}, "b": {}}'), "`t` has 2 phases; a periodic task has one"),
        (rtapp('"phases": {"a": {"delay": 1}}'), "`delay` belongs to a thread, not a phase"),
        (
            RTAPP.replace("12000", "9000"),
            "line 9, column 13: `dl-runtime` of `thread0` is at least",
        ),
        (RTAPP.replace('"dl-period" : 100000', '"dl-period" : 90000'), "is the timer's period of"),
        (RTAPP.replace('"dl-runtime" : 12000,', ""), "`thread0` lacks `dl-runtime`"),
    ],
)
def test_rtapp_beyond_the_periodic_part_is_refused_at_its_place(text, words):
    with pytest.raises(PlaceError, match=re.escape(words)):
        read_rtapp(text, "f")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "f, line 1, column 1: expected a value, got `the end of the text`"),
        ('{"a": 1', "expected `,`, got `the end of the text`"),
        ('{"a": 1}\n x', "f, line 2, column 2: this is no JSON: 'x'"),
        ("1 2", "expected the end of the text, got `2`"),
        ('{"a": 1, "a": 2}', 'column 10: the key "a" stands twice'),
        ("{1: 2}", "expected a key in quotation marks or `}`, got `1`"),
        ("[1 2]", "expected `,`, got `2`"),
        ("[,]", "expected a value, got `,`"),
        ("[" * 70, "more than 64 objects and lists"),
        ("9" * 401, "a number of 401 digits"),
        ("/* x", "this is no JSON: '/* x'"),
    ],
)
def test_json_that_is_none_is_refused_at_its_place(text, words):
    with pytest.raises(PlaceError, match=re.escape(words)):
        Reader(text, "f").read()


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def plain(node):
    """A node and all within it without places."""
    if isinstance(node.value, dict):
        return {key: plain(member) for key, member in node.value.items()}
    if isinstance(node.value, list):
        return [plain(member) for member in node.value]
    return node.value


@given(value=VALUES, indent=st.sampled_from([None, 1]), ascii_only=st.booleans())
def test_any_json_is_read_as_pythons_own_reader_reads_it(value, indent, ascii_only):

    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    assert plain(Reader(text, "f").read()) == value


@given(text=st.text('{}[]:,"ab01. \n/*-', max_size=40) | st.text(max_size=40))
def test_any_text_is_json_or_refused_with_its_place(text):
    refusal = "f, line "
    try:
        Reader(text, "f").read()
    except PlaceError as error:
        refusal = str(error)
    assert refusal.startswith("f, line ")


MEMBERS = st.fixed_dictionaries(
    {"run": st.integers(-1, 9), "timer": st.just({"ref": "unique", "period": 20})},
    optional={
        key: st.integers(-2, 12) | st.sampled_from(["", "SCHED_DEADLINE", None, [0], {}, 1.5, True])
        for key in (
            *("instance", "delay", "loop", "policy", "priority", "dl-runtime", "dl-period"),
            *("dl-deadline", "cpus", "phases", "taskgroup", "sleep", "run1", "runtime", "timer1"),
        )
    },
)


@given(
    threads=st.dictionaries(st.text(max_size=2), MEMBERS | st.integers(), max_size=3),
    settings=st.dictionaries(st.sampled_from(["duration", "default_policy"]), st.integers(-2, 2)),
)
def test_any_rtapp_file_is_a_task_set_or_refused_with_its_place(threads, settings):

    refusal = "f, line "
    try:
        read_rtapp(json.dumps({"tasks": threads, "global": settings}, indent=1), "f")
    except PlaceError as error:
        refusal = str(error)
    assert refusal.startswith("f, line ")


@given(
    table=st.dictionaries(
        st.sampled_from(["until", "cpus", "policy", "queues", "seed", "costs", "x"]),
        st.integers(-1, 3)
        | st.sampled_from(['"edf"', "1.5", "true", "[]", "{switch = 1}", "{y=1}"]),
    ),
    rest=st.sampled_from(
        ["", "[[task]]", "[[task]]\nwcet = 1\nperiod = 3", "[graph]\na = {cost = 1}", "[task]"]
    ),
)
def test_any_toml_file_is_a_workload_or_refused_by_its_name(table, rest, tmp_path_factory):
    path = tmp_path_factory.mktemp("toml") / "any.toml"
    lines = [f"{key} = {value}" for key, value in table.items()]
    path.write_text("\n".join(["[simulation]", *lines, rest]))
    refusal = f"{path}: "
    try:
        load_workload(path)
    except (TypeError, ValueError) as error:
        refusal = str(error)
    assert refusal.startswith(str(path))
