"""What a plan tells: stages, edges, conflicts, merges, critical paths, differences."""

import json

import foliot as fo
import pytest
from support import HAS_LOCK

Position = fo.component("Position", "f8")
Velocity = fo.component("Velocity", "f8")
Frozen = fo.tag("Frozen")


@fo.resource
class Gravity:
    g: fo.f8 = 9.81


def make(name, **options):
    return fo.system(name=name, **options)(lambda ctx: None)


def motion():
    return fo.Schedule(
        make("move", reads=Velocity, writes=Position),
        make("spin", writes=Velocity, with_=Frozen),
        make("draw", reads=Position, phase="last"),
    ).plan()


def test_stages_hold_what_may_run_together():
    plan = fo.Schedule(
        make("a", reads=Position), make("b", reads=Position), make("c", writes=Position)
    ).plan()
    assert plan.stages("update") == [["a", "b"], ["c"]]


def test_phase_without_systems_has_no_stages_and_no_edges():
    plan = motion()
    assert plan.stages("first") == []
    assert plan.edges("first") == []
    assert plan.sync_points("first") == []


def test_execution_order_covers_all_phases():
    assert motion().execution_order() == ["move", "spin", "draw"]


def test_edges_say_their_reason():
    plan = fo.Schedule(
        make("a", writes=Position, before="c"), make("b", writes=Position), make("c")
    ).plan()
    assert plan.edges("update") == [("a", "b", "conflict"), ("a", "c", "explicit")]


def test_conflicts_say_who_reads_and_who_writes():
    plan = motion()
    assert plan.conflicts("move", "spin") == [fo.Conflict("Velocity", "read", "write")]
    assert plan.conflicts("spin", "move") == [fo.Conflict("Velocity", "write", "read")]


def test_conflicts_of_systems_that_may_run_together_are_none():
    plan = fo.Schedule(make("a", reads=Position), make("b", reads=Position)).plan()
    assert plan.conflicts("a", "b") == []


def test_filters_that_exclude_each_other_keep_systems_apart():
    plan = fo.Schedule(
        make("a", writes=Position, with_=Frozen), make("b", writes=Position, without=Frozen)
    ).plan()
    assert plan.conflicts("a", "b") == []
    assert plan.stages("update") == [["a", "b"]]


def test_resources_conflict_too():
    plan = fo.Schedule(make("a", writes=Gravity), make("b", reads=Gravity)).plan()
    assert plan.conflicts("a", "b") == [fo.Conflict("Gravity", "write", "read")]


def test_watching_changes_is_reading():
    plan = fo.Schedule(make("a", writes=Position), make("b", changed=Position)).plan()
    assert plan.conflicts("a", "b") == [fo.Conflict("Position", "write", "read")]


def test_named_queries_count():
    plan = fo.Schedule(
        make("a", writes=Position), make("b", queries={"all": fo.Query(reads=Position)})
    ).plan()
    assert plan.conflicts("a", "b") == [fo.Conflict("Position", "write", "read")]


def test_exclusive_system_conflicts_over_the_world():
    plan = fo.Schedule(make("a", exclusive=True), make("b", reads=Position)).plan()
    assert plan.conflicts("a", "b") == [fo.Conflict("world", "write", "read")]


def test_commands_conflict_with_who_must_see_them():
    plan = fo.Schedule(make("a", commands=True), make("b", reads=Position)).plan()
    assert plan.conflicts("a", "b") == [fo.Conflict("commands", "write", "read")]


def test_explain_names_the_resource_and_both_sides():
    text = motion().explain("move", "spin")
    for word in ("move", "spin", "Velocity", "reads", "writes"):
        assert word in text


def test_explain_takes_systems_as_well_as_names():
    a, b = make("a", reads=Position), make("b", reads=Position)
    plan = fo.Schedule(a, b).plan()
    assert plan.explain(a, b) == plan.explain("a", "b")


def test_unknown_system_is_refused_with_a_hint():
    with pytest.raises(fo.UnknownSystemError, match="`mov`; did you mean `move`"):
        motion().explain("mov", "spin")


def test_namesake_of_a_system_is_refused():
    with pytest.raises(fo.UnknownSystemError, match="another system `move`"):
        motion().conflicts(make("move"), "spin")


def test_system_of_a_wrong_type_is_refused():
    with pytest.raises(TypeError, match="by name or as such"):
        motion().conflicts(3, "spin")


def test_unknown_phase_is_refused():
    with pytest.raises(fo.UnknownPhaseError, match="`later`; its phases are `first`, `update`, `l"):
        motion().stages("later")


def test_ambiguities_are_conflicts_ordered_by_registration_alone():
    plan = fo.Schedule(
        make("a", writes=Position),
        make("b", writes=Position),
        make("c", writes=Position, after="b"),
    ).plan()
    assert [(item.a, item.b) for item in plan.ambiguities()] == [("a", "b"), ("a", "c")]
    assert plan.ambiguities()[0].conflicts == [fo.Conflict("Position", "write", "write")]


def test_sync_point_stands_where_commands_must_be_seen():
    plan = fo.Schedule(
        make("one", commands=True), make("two", commands=True), make("look", reads=Position)
    ).plan()
    (point,) = plan.sync_points("update")
    assert (point.after, point.before) == (["one", "two"], ["look"])
    assert not point.is_phase_end
    assert "`look` must see the commands of `one`, `two`" in point.why


def test_sync_point_at_the_end_of_a_phase():
    (point,) = fo.Schedule(make("one", commands=True)).plan().sync_points("update")
    assert point.is_phase_end
    assert point.before == []


def test_sync_point_delivers_io_before_any_later_stage():
    plan = fo.Schedule(
        make("load", writes=Position, io=True), make("look", reads=Position), make("other")
    ).plan()
    first, second = plan.stages("update")
    assert (first, second) == (["load", "other"], ["look"])
    (point,) = plan.sync_points("update")
    assert (point.after, point.before, point.delivers) == ([], [], ["load"])
    assert point.why == "I/O of `load` is finished before any later stage begins"
    assert "---- I/O of load" in str(plan)
    assert 'label="I/O"' in plan.to_dot()
    assert ">I/O<" in plan._repr_html_()
    assert plan.to_dict()["phases"][1]["sync_points"][0]["delivers"] == ["load"]


def test_sync_point_may_deliver_and_merge_at_once():
    plan = fo.Schedule(
        make("load", io=True, commands=True),
        make("look", reads=Position),
        make("late", io=True, after="look"),
    ).plan()
    first, last = plan.sync_points("update")
    assert (first.after, first.before, first.delivers) == (["load"], ["look"], ["load"])
    assert first.why == (
        "`look` must see the commands of `load`; "
        "I/O of `load` is finished before any later stage begins"
    )
    assert last.why == "I/O of `late` is finished before phase `update` ends"
    assert "merge: load -> look" in str(plan)


def test_critical_path_is_the_longest_chain():
    plan = fo.Schedule(make("a", before="b"), make("b"), make("c"), make("d", phase="last")).plan()
    costs = {"a": 1.0, "b": 2.0, "c": 0.5, "d": 0.25}
    assert plan.critical_path(costs) == (3.25, ["a", "b", "d"])


def test_systems_without_a_cost_cost_nothing():
    plan = fo.Schedule(make("a"), make("b")).plan()
    assert plan.critical_path({"a": 1.0})[0] == 1.0


def test_speedup_bound_is_work_over_critical_path():
    plan = fo.Schedule(make("a", gil="release"), make("b", gil="release")).plan()
    assert plan.speedup_bound({"a": 1.0, "b": 1.0}) == 2.0


def test_speedup_bound_knows_the_interpreter_lock():
    plan = fo.Schedule(make("a"), make("b")).plan()
    assert plan.speedup_bound({"a": 1.0, "b": 1.0}) == (1.0 if HAS_LOCK else 2.0)


@pytest.mark.parametrize("bad", [-1.0, float("nan"), float("inf")])
def test_costs_are_finite_and_not_negative(bad):
    with pytest.raises(ValueError, match="finite and at least 0"):
        fo.Schedule(make("a")).plan().critical_path({"a": bad})


def test_costs_of_unknown_systems_are_refused():
    with pytest.raises(fo.UnknownSystemError):
        fo.Schedule(make("a")).plan().speedup_bound({"b": 1.0})


def test_plan_as_data_is_json():
    data = json.loads(json.dumps(motion().to_dict()))
    assert [phase["name"] for phase in data["phases"]] == ["first", "update", "last"]
    systems = {system["name"]: system for system in data["systems"]}
    assert systems["move"]["reads"] == ["Velocity"]
    assert systems["spin"]["with"] == ["Frozen"]
    assert systems["draw"]["phase"] == "last"


def test_plan_as_data_says_who_uses_the_interpreter_lock():
    plan = fo.Schedule(make("a"), make("b", gil="release")).plan()
    uses = {system["name"]: system["gil"] for system in plan.to_dict()["systems"]}
    assert uses == {"a": "hold" if HAS_LOCK else "none", "b": "release"}


def test_plan_as_data_has_rates():
    plan = fo.Schedule(phases=[fo.Phase("a", every=3), fo.Phase("b", step=0.5)]).plan()
    rates = [(phase["every"], phase["step"]) for phase in plan.to_dict()["phases"]]
    assert rates == [(3, None), (None, 0.5)]


def test_plan_as_a_graph_quotes_names():
    text = fo.Schedule(make('say "hi"')).plan().to_dot()
    assert text.startswith("digraph")
    assert r'"say \"hi\""' in text


def test_plan_as_text_shows_stages_and_merges():
    plan = fo.Schedule(
        make("spawn", commands=True), make("look", reads=Position, run_if=lambda ctx: True)
    ).plan()
    assert str(plan) == (
        "phase first: no systems\n"
        "phase update: 2 systems in 2 stages\n"
        "  stage 0: spawn (commands)\n"
        "  ---- merge: spawn -> look\n"
        "  stage 1: look (run_if)\n"
        "phase last: no systems"
    )


def test_long_stages_are_wrapped():
    plan = fo.Schedule(*(make(f"system_number_{i}") for i in range(40))).plan()
    assert max(map(len, str(plan).splitlines())) <= 100


def test_picture_escapes_names_and_is_well_formed():
    from xml.etree import ElementTree

    plan = fo.Schedule(make("a<b&c"), make("d", exclusive=True)).plan()
    root = ElementTree.fromstring(plan.to_svg())
    assert root.tag.endswith("svg")
    assert "a<b&c" in "".join(root.itertext())
    assert "<svg" in plan._repr_html_()


def test_empty_plan_can_be_drawn():
    plan = fo.Schedule().plan()
    assert "<svg" in plan.to_svg()
    assert "digraph" in plan.to_dot()


def test_difference_names_what_came_and_went():
    kept, gone, new = make("kept"), make("gone"), make("new")
    changes = fo.Schedule(kept, gone).plan().diff(fo.Schedule(kept, new).plan())
    assert (changes.added, changes.removed) == (("new",), ("gone",))
    assert changes
    assert "added: new" in str(changes)


def test_difference_of_equal_plans_is_nothing():
    schedule = fo.Schedule(make("a"))
    changes = schedule.plan().diff(schedule.plan())
    assert not changes
    assert str(changes) == "nothing changed"


def test_difference_names_what_moved():
    b = make("b", writes=Position)
    changes = fo.Schedule(b).plan().diff(fo.Schedule(make("a", writes=Position), b).plan())
    assert changes.moved == (("b", ("update", 0), ("update", 1)),)
    assert changes.edges_added == (("update", "a", "b"),)


def test_difference_names_what_was_replaced():
    changes = fo.Schedule(make("a")).plan().diff(fo.Schedule(make("a")).plan())
    assert changes.replaced == ("a",)


def test_plan_counts_its_systems():
    plan = motion()
    assert len(plan) == 3
    assert repr(plan) == "<Plan of 3 systems in 3 phases>"
