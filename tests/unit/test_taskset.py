"""Task sets: what they keep, how they print, and what they refuse."""

import json
import math
import pickle
from fractions import Fraction
from types import SimpleNamespace

import foliot as fo
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

LARGEST = 2**60


def task(**fields):
    return fo.PeriodicTask(**{"wcet": 1, "period": 4, **fields})


def test_deadline_is_the_period_where_none_is_given():
    assert task().deadline == 4
    assert task(deadline=3).relative_deadline == 3


def test_deadline_may_come_after_the_period_and_the_wcet_with_it():
    assert task(wcet=6, deadline=9).utilisation == Fraction(6, 4)


def test_density_is_over_the_nearer_of_deadline_and_period():
    assert task(deadline=2).density == Fraction(1, 2)
    assert task(deadline=9).density == Fraction(1, 4)


def test_numbers_of_numpy_become_plain_ones():
    given_task = fo.PeriodicTask(wcet=np.int64(2), period=np.uint8(5), execution=np.array([1, 2]))
    assert type(given_task.wcet) is int
    assert given_task.execution == (1, 2)
    assert given_task == fo.PeriodicTask(wcet=2, period=5, execution=[1, 2])


@pytest.mark.parametrize("field", ["wcet", "period", "deadline"])
@pytest.mark.parametrize("value", [0, -1, LARGEST + 1, 2**80])
def test_times_that_cannot_be_are_refused_with_the_value(field, value):
    with pytest.raises(ValueError, match=rf"{field} of task `a` is from 1 to .*, got {value}\."):
        task(**{"name": "a", field: value})


@pytest.mark.parametrize("field", ["jitter", "blocking", "section", "offset", "sporadic", "chunk"])
@pytest.mark.parametrize("value", [-1, LARGEST + 1])
def test_times_that_may_be_0_are_refused_out_of_range(field, value):
    with pytest.raises(ValueError, match=rf"{field} is from 0 to {LARGEST}, got {value}\."):
        task(**{field: value})


@pytest.mark.parametrize(
    "field", ["wcet", "period", "deadline", "jitter", "blocking", "offset", "weight", "cpu"]
)
@pytest.mark.parametrize("value", [True, 1.0, "1", Fraction(1)])
def test_what_is_no_whole_number_is_refused(field, value):
    with pytest.raises(TypeError, match=rf"{field} of task `a` is a whole number, got "):
        task(**{"name": "a", field: value})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"wcet": 5}, "wcet is from 1 to its deadline 4, got 5"),
        ({"wcet": 3, "deadline": 2}, "wcet is from 1 to its deadline 2, got 3"),
        ({"weight": 0}, "weight is from 1 to 1048576, got 0"),
        ({"priority": 2**31}, "priority is from -2147483648 to 2147483647"),
        ({"cpu": -1}, "cpu is from 0 to 65535, got -1"),
        ({"latency": "soon"}, "latency is one of interactive, normal, batch, got 'soon'"),
        ({"name": ""}, "the name of a task is not empty"),
        ({"group": ""}, "group is not empty"),
        ({"execution": []}, "execution is a number or at least one of them, got none"),
        ({"execution": [1, 0]}, "execution is from 1 to "),
    ],
)
def test_other_values_out_of_range_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        task(**fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": 3}, "the name of a task is text, got 3"),
        ({"group": 3}, "group is a name or a fo.Group, got 3"),
        ({"execution": "12"}, "execution is a whole number, got '12'"),
        ({"execution": [1.5]}, "execution is a whole number, got 1.5"),
    ],
)
def test_other_values_of_a_wrong_kind_are_refused(fields, message):
    with pytest.raises(TypeError, match=message):
        task(**fields)


def test_a_set_is_a_sequence_of_its_tasks():
    first, second = task(name="a"), task()
    taskset = fo.TaskSet([first, second])
    assert len(taskset) == 2
    assert list(taskset) == [first, second]
    assert taskset[-1] is second
    assert taskset[1:] == fo.TaskSet([second])
    assert first in taskset
    assert taskset.names == ("a", "task1")
    assert hash(taskset) == hash(fo.TaskSet([first, second]))


def test_a_set_survives_pickling():
    taskset = fo.TaskSet([task(name="a"), task(execution=(1, 2))])
    again = pickle.loads(pickle.dumps(taskset))
    assert again == taskset
    assert again.names == taskset.names


def test_a_set_is_made_of_tasks_alone():
    with pytest.raises(TypeError, match=r"task 1 of a TaskSet is a fo.PeriodicTask, got 3"):
        fo.TaskSet([task(), 3])


@pytest.mark.parametrize("names", [("a", "a"), ("task1", None)])
def test_two_tasks_of_one_name_are_refused(names):
    with pytest.raises(ValueError, match="tasks 0 and 1 of a TaskSet are both called"):
        fo.TaskSet(task(name=name) for name in names)


def test_too_many_tasks_are_refused():
    with pytest.raises(ValueError, match="at most 65536 tasks, got 65537"):
        fo.TaskSet([task()] * 65_537)


def test_utilisation_and_hyperperiod_are_exact():
    taskset = fo.TaskSet(fo.PeriodicTask(wcet=1, period=period) for period in (3, 4, 6, 7))
    assert taskset.utilisation == Fraction(1, 3) + Fraction(1, 4) + Fraction(1, 6) + Fraction(1, 7)
    assert taskset.hyperperiod == math.lcm(3, 4, 6, 7)
    assert fo.TaskSet().utilisation == 0
    assert fo.TaskSet().hyperperiod == 1


def test_priorities_are_places_unless_numbers_are_given():
    taskset = fo.TaskSet([task(period=9), task(period=5, priority=-1), task(period=5)])
    assert taskset.priorities() == (1, 0, 2)
    assert taskset.priorities("rm") == (2, 0, 1)
    with pytest.raises(ValueError, match="is fp or rm, got 'edf'"):
        taskset.priorities("edf")


def test_representation_makes_the_set_again():
    taskset = fo.TaskSet([task(name="a", jitter=2, execution=[1, 2]), task(deadline=3)])
    names = {"TaskSet": fo.TaskSet, "PeriodicTask": fo.PeriodicTask}
    assert eval(repr(taskset), names) == taskset


def test_table_shows_each_task_and_the_utilisation():
    text = fo.TaskSet([task(name="<a>", period=5000), task()])._repr_html_()
    assert "&lt;a&gt;" in text
    assert "5,000" in text
    assert "utilisation 0.2502" in text


def test_plain_data_makes_the_set_again():
    group = SimpleNamespace(name="ai")
    taskset = fo.TaskSet([task(name="a", group=group, execution=[2, 1], cpu=0), task(chunk=2)])
    data = json.loads(json.dumps(taskset.to_dict()))
    again = fo.TaskSet.from_dict(data)
    assert again[0].group == "ai"
    assert again[0].execution == (2, 1)
    assert again[1] == taskset[1]
    assert fo.TaskSet.from_json(json.dumps(data["tasks"])) == again


def test_a_context_is_no_plain_data():
    with pytest.raises(TypeError, match="context of task `task0` is no plain data"):
        fo.TaskSet([task(context=object())]).to_dict()


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        ({"task": []}, ValueError, "has the one key `tasks`, got `task`"),
        ({}, ValueError, "has the one key `tasks`, got none"),
        ({"tasks": 3}, TypeError, "are a list of dicts, got 3"),
        ("tasks", TypeError, "are a list of dicts, got 'tasks'"),
        ([3], TypeError, "task 0 of a task set is a dict, got 3"),
        ([{"wcet": 1, "period": 2}, {"wcet": 1}], ValueError, "task 1 lacks `period`"),
        ([{}], ValueError, "task 0 lacks `wcet` and `period`"),
        ([{"wcet": 1, "periods": 2}], ValueError, "task 0 has no field 'periods'; its fields are"),
        ([{"wcet": 1, "period": 2, "context": 1}], ValueError, "task 0 has no field 'context'"),
        ([{"wcet": 9, "period": 2}], ValueError, "task 0: wcet is from 1 to its deadline 2, got 9"),
        ([{"wcet": 1.0, "period": 2}], TypeError, "task 0: wcet is a whole number, got 1.0"),
    ],
)
def test_plain_data_that_makes_no_set_is_refused(data, error, message):
    with pytest.raises(error, match=message):
        fo.TaskSet.from_dict(data)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"tasks": [\n  {"wcet" 1}]}', "not JSON: .* at line 2, column 11"),
        ("", "not JSON: .* at line 1, column 1"),
        (b"\xff\xfe\x00", "not JSON: "),
        ("[" * 100_000, "not JSON: "),
        ('[{"wcet": NaN, "period": 1}]', "wcet is a whole number, got nan"),
    ],
)
def test_text_that_makes_no_set_is_refused_with_its_place(text, message):
    with pytest.raises((ValueError, TypeError), match=message):
        fo.TaskSet.from_json(text)


def made_or_refused(make, given):
    """The set, or None when it was refused as it should be."""
    try:
        return make(given)
    except (ValueError, TypeError):
        return None


@given(st.text() | st.binary())
def test_any_text_is_a_set_or_an_error(text):
    assert isinstance(made_or_refused(fo.TaskSet.from_json, text), fo.TaskSet | None)


json_values = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
json_values |= st.lists(json_values, max_size=3)
keys = st.sampled_from(["wp", "wcet", "period", "deadline", "group", "execution"])


@given(st.lists(st.dictionaries(keys, json_values)))
def test_any_plain_data_is_a_set_or_an_error(rows):
    taskset = made_or_refused(fo.TaskSet.from_dict, rows)
    assert taskset is None or fo.TaskSet.from_dict(taskset.to_dict()) == taskset


@given(st.integers(1, 30), st.floats(0.01, 1.0), st.integers(0, 2**32))
def test_random_sets_have_the_utilisation_asked_for(n, utilisation, seed):
    taskset = fo.TaskSet.random(n, utilisation, seed, periods=(10_000, 1_000_000))
    assert len(taskset) == n
    assert taskset == fo.TaskSet.random(n, utilisation, seed, periods=(10_000, 1_000_000))
    assert abs(float(taskset.utilisation) - utilisation) <= n / 10_000 + 1e-9
    assert all(10_000 <= task.period <= 1_000_000 for task in taskset)
    assert all(task.deadline == task.period for task in taskset)


def test_random_sets_above_one_cpu_have_no_task_above_it():
    taskset = fo.TaskSet.random(8, 4.0, seed=3)
    assert all(task.wcet <= task.period for task in taskset)
    assert 3.9 < taskset.utilisation <= 4


def test_random_deadlines_lie_where_they_are_asked_for():
    early = fo.TaskSet.random(50, 0.9, seed=1, deadlines=(0.2, 0.6))
    late = fo.TaskSet.random(50, 0.9, seed=1, deadlines=(1.5, 2.0))
    assert all(task.wcet <= task.deadline < task.period for task in early)
    assert all(task.deadline > task.period for task in late)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((0, 0.5, 1), {}, "n is from 1 to 65536, got 0"),
        ((2, 0.0, 1), {}, "utilisation is above 0 and at most n = 2, got 0.0"),
        ((2, 2.5, 1), {}, "utilisation is above 0 and at most n = 2, got 2.5"),
        ((2, math.nan, 1), {}, "utilisation is above 0 and at most n = 2, got nan"),
        ((20, 19.999999, 1), {}, "no 20 utilisations of at most 1 with the sum 19.999999"),
        ((2, 0.5, 1), {"periods": (0, 5)}, "the least of periods is from 1 to"),
        ((2, 0.5, 1), {"periods": (6, 5)}, "the largest of periods is from 6 to"),
        ((2, 0.5, 1), {"deadlines": (0.9, 0.1)}, "deadlines are two numbers from 0.0 to 1000.0"),
    ],
)
def test_random_sets_that_cannot_be_are_refused(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        fo.TaskSet.random(*arguments, **options)


def test_blocking_comes_of_the_longest_section_of_what_is_less_urgent():
    tasks = fo.TaskSet(
        fo.PeriodicTask(wcet=5, period=period, deadline=20, section=section, blocking=9)
        for period, section in ((30, 1), (40, 4), (20, 3))
    )
    assert [task.blocking for task in tasks.with_blocking("fp")] == [4, 3, 0]
    assert [task.blocking for task in tasks.with_blocking("rm")] == [4, 0, 4]
    assert [task.blocking for task in tasks.with_blocking("edf")] == [0, 0, 0]
    assert [task.section for task in tasks.with_blocking("fp")] == [1, 4, 3]


def test_policy_without_an_order_of_urgency_has_no_blocking():
    with pytest.raises(ValueError, match="the policy of sections is fp, rm or edf, got 'fifo'"):
        fo.TaskSet([fo.PeriodicTask(wcet=1, period=2)]).with_blocking("fifo")
