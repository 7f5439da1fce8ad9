"""Adding to and removing from schedules, phases, and names that mean nothing."""

import foliot as fo
import pytest

Mass = fo.component("Mass", "f8")


def make(name, **options):
    return fo.system(name=name, **options)(lambda ctx: None)


def test_default_phases_are_first_update_last():
    assert fo.Schedule().plan().phases == ["first", "update", "last"]


def test_systems_are_kept_in_order_of_registration():
    one, two = make("one"), make("two")
    schedule = fo.Schedule(one)
    schedule.add(two)
    assert schedule.systems == (one, two)
    assert "two" in schedule
    assert one in schedule
    assert len(schedule) == 2


def test_removed_system_has_gone():
    one, two = make("one"), make("two")
    schedule = fo.Schedule(one, two)
    schedule.remove("one")
    schedule.remove(two)
    assert schedule.systems == ()


def test_removing_what_is_not_there_names_the_near_ones():
    with pytest.raises(fo.UnknownSystemError, match="no system `gravty`; did you mean `gravity`"):
        fo.Schedule(make("gravity")).remove("gravty")


def test_removing_is_all_or_nothing():
    schedule = fo.Schedule(make("one"))
    with pytest.raises(fo.UnknownSystemError):
        schedule.remove("one", "two")
    assert "one" in schedule


def test_namesake_of_a_system_is_not_removed():
    schedule = fo.Schedule(make("one"))
    with pytest.raises(fo.UnknownSystemError):
        schedule.remove(make("one"))


def test_two_systems_of_one_name_are_refused_and_nothing_is_added():
    schedule = fo.Schedule(make("one"))
    with pytest.raises(fo.DuplicateSystemError, match="two systems are called `one`"):
        schedule.add(make("two"), make("one"))
    assert len(schedule) == 1


def test_unknown_phase_is_refused():
    with pytest.raises(fo.UnknownPhaseError, match=r"`draw` is of phase `lst`.*mean `last`"):
        fo.Schedule(make("draw", phase="lst"))


def test_schedule_errors_are_value_errors():
    for error in (
        fo.OrderCycleError,
        fo.UnknownPhaseError,
        fo.DuplicateSystemError,
        fo.UnknownSystemError,
    ):
        assert issubclass(error, fo.ScheduleError)
        assert issubclass(error, ValueError)


def test_undecorated_function_is_refused():
    def move(ctx): ...

    with pytest.raises(TypeError, match=r"decorate it with @fo\.system"):
        fo.Schedule(move)


def test_phases_may_be_given():
    plan = fo.Schedule(make("a", phase="physics"), phases=["input", "physics"]).plan()
    assert plan.phases == ["input", "physics"]


@pytest.mark.parametrize("bad", ["update", fo.Phase("update"), 3, [3]])
def test_phases_are_an_iterable_of_names(bad):
    with pytest.raises(TypeError):
        fo.Schedule(phases=bad)


def test_phase_stands_once():
    with pytest.raises(fo.ScheduleError, match="`a` stands twice"):
        fo.Schedule(phases=["a", fo.Phase("a", every=2)])


def test_schedule_has_a_phase():
    with pytest.raises(fo.ScheduleError, match="at least one phase"):
        fo.Schedule(phases=[])


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"every": 0}, ValueError),
        ({"every": 1.5}, TypeError),
        ({"every": True}, TypeError),
        ({"step": 0.0}, ValueError),
        ({"step": float("inf")}, ValueError),
        ({"step": "fast"}, TypeError),
        ({"step": 0.1, "max_steps": 0}, ValueError),
        ({"step": 0.1, "every": 2}, ValueError),
    ],
)
def test_rate_of_a_phase_is_checked(options, error):
    with pytest.raises(error, match="phase `a`"):
        fo.Phase("a", **options)


def test_phase_has_a_name():
    with pytest.raises(ValueError, match="phase's name"):
        fo.Phase("")


def test_name_in_before_is_resolved_when_the_plan_is_made():
    schedule = fo.Schedule(make("b"), make("a", before="b"))
    assert schedule.plan().execution_order() == ["a", "b"]


def test_unknown_name_in_before_names_the_near_ones():
    schedule = fo.Schedule(make("draw"), make("move", before="drew"))
    with pytest.raises(
        fo.UnknownSystemError, match=r"system `move` names `drew`, .*did you mean `draw`"
    ):
        schedule.plan()


def test_system_in_after_is_that_system_and_no_namesake():
    schedule = fo.Schedule(make("draw"), make("move", after=make("draw")))
    with pytest.raises(fo.UnknownSystemError, match="another system `draw`"):
        schedule.plan()


def test_system_out_of_the_schedule_is_unknown():
    schedule = fo.Schedule(make("move", after=make("draw")))
    with pytest.raises(fo.UnknownSystemError, match="names `draw`"):
        schedule.plan()


def test_order_through_sets():
    schedule = fo.Schedule(
        make("late", after="early"), make("a", sets="early"), make("b", sets=["early"])
    )
    assert schedule.plan().execution_order() == ["a", "b", "late"]


def test_name_of_a_system_and_of_a_set_is_refused():
    schedule = fo.Schedule(make("early"), make("a", sets="early"))
    with pytest.raises(fo.ScheduleError, match="`early` is the name of a system and of a set"):
        schedule.plan()


def test_order_of_a_schedule_chains_systems_and_sets():
    schedule = fo.Schedule(make("c"), make("b", sets="middle"), make("a"))
    schedule.order("a", "middle", "c")
    assert schedule.plan().execution_order() == ["a", "b", "c"]


def test_order_of_an_unknown_name_is_refused():
    schedule = fo.Schedule(make("a"))
    schedule.order("x", "a")
    with pytest.raises(fo.UnknownSystemError, match="an order of the schedule names `x`"):
        schedule.plan()


def test_order_takes_two_at_least():
    with pytest.raises(ValueError, match="at least two"):
        fo.Schedule().order("a")


def test_cycle_is_printed():
    schedule = fo.Schedule(make("a", before="b"), make("b", before="c"), make("c", before="a"))
    with pytest.raises(fo.OrderCycleError) as caught:
        schedule.plan()
    assert all(name in str(caught.value) for name in "abc")


def test_order_against_the_phases_is_an_error():
    schedule = fo.Schedule(make("a", phase="last", before="b"), make("b"))
    with pytest.raises(fo.OrderCycleError):
        schedule.plan()


def test_plan_is_the_same_until_the_schedule_is_edited():
    schedule = fo.Schedule(make("a"))
    plan = schedule.plan()
    assert schedule.plan() is plan
    schedule.add(make("b"))
    assert schedule.plan() is not plan


def ambiguous(policy):
    return fo.Schedule(make("a", writes=Mass), make("b", writes=Mass), ambiguity=policy)


def test_ambiguity_may_warn():
    with pytest.warns(UserWarning, match="1 conflicting pair is .*`a` before `b` .Mass"):
        ambiguous("warn").plan()


def test_ambiguities_are_counted():
    schedule = ambiguous("error")
    schedule.add(make("c", writes=Mass))
    with pytest.raises(fo.ScheduleError, match="3 conflicting pairs are ordered"):
        schedule.plan()


def test_ambiguity_may_be_an_error():
    with pytest.raises(fo.ScheduleError, match="`a` before `b`"):
        ambiguous("error").plan()


def test_ambiguity_is_allowed_by_default():
    assert ambiguous("allow").plan().execution_order() == ["a", "b"]


def test_unknown_ambiguity_policy_is_refused():
    with pytest.raises(ValueError, match="'allow', 'warn' or 'error'"):
        ambiguous("panic")
