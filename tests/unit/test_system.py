"""Declaring Python systems: defaults, checks, and what is refused with which words."""

import foliot as fo
import pytest

Position = fo.component("Position", {"x": "f4", "y": "f4"})
Velocity = fo.component("Velocity", {"x": "f4", "y": "f4"})
Frozen = fo.tag("Frozen")


@fo.resource
class Gravity:
    g: fo.f8 = 9.81


def test_system_stays_callable_and_keeps_what_it_wraps():
    def double(x):
        """Twice."""
        return 2 * x

    made = fo.system(double)
    assert made(4) == 8
    assert made.__wrapped__ is double
    assert made.__doc__ == "Twice."
    assert made.__name__ == "double"


def test_name_defaults_to_the_function_and_can_be_given():
    @fo.system(name="other")
    def named(ctx): ...

    @fo.system()
    def plain(ctx): ...

    assert (named.name, plain.name) == ("other", "plain")
    assert plain.phase == "update"


def test_one_component_may_stand_without_a_list():
    @fo.system(reads=Velocity, writes=(Position,))
    def move(ctx): ...

    assert move.reads == (Velocity,)
    assert move.writes == (Position,)


def test_components_and_resources_are_told_apart():
    @fo.system(reads=[Velocity, Gravity], writes=[Position])
    def fall(ctx): ...

    assert fall.default_query.reads == (Velocity,)
    assert fall.resource_reads == (Gravity,)


def test_what_is_written_need_not_be_read_as_well():
    @fo.system(reads=[Position, Velocity], writes=[Position])
    def move(ctx): ...

    assert move.reads == (Velocity,)


def test_any_class_may_be_a_resource():
    class Log:
        pass

    @fo.system(writes=[Log])
    def note(ctx): ...

    assert note.resource_writes == (Log,)


@pytest.mark.parametrize("option", ["reads", "writes", "with_", "without", "changed", "added"])
@pytest.mark.parametrize("bad", [3, "Position", [Position(x=1, y=2)], [None]])
def test_access_takes_classes_only(option, bad):
    with pytest.raises(TypeError, match=rf"{option}= of `move` takes component or resource"):

        @fo.system(**{option: bad})
        def move(ctx): ...


def test_resource_is_no_filter():
    with pytest.raises(ValueError, match=r"system `move`: Gravity is a resource"):

        @fo.system(with_=[Gravity])
        def move(ctx): ...


def test_component_cannot_be_wanted_and_refused():
    with pytest.raises(ValueError, match="Frozen is both wanted and refused"):

        @fo.system(with_=[Frozen], without=[Frozen])
        def move(ctx): ...


@pytest.mark.parametrize("bad", [1, "no", None])
@pytest.mark.parametrize("option", ["exclusive", "commands"])
def test_flags_are_booleans(option, bad):
    with pytest.raises(TypeError, match=f"{option}= of `move` is True or False"):

        @fo.system(**{option: bad})
        def move(ctx): ...


def test_gil_is_hold_or_release():
    with pytest.raises(ValueError, match="'hold' or 'release', got 'keep'"):

        @fo.system(gil="keep")
        def move(ctx): ...


def test_a_budget_is_a_context_or_a_group():
    with pytest.raises(TypeError, match=r"budget= of `move` is a fo\.SchedulingContext.* got 0\.5"):

        @fo.system(budget=0.5)
        def move(ctx): ...


def test_io_is_true_or_false():
    with pytest.raises(TypeError, match="io= of `load` is True or False, got 'yes'"):

        @fo.system(io="yes")
        def load(ctx): ...


def test_run_if_is_callable():
    with pytest.raises(TypeError, match="run_if= of `move` is a function"):

        @fo.system(run_if=True)
        def move(ctx): ...


@pytest.mark.parametrize("bad", ["", "a\0b"])
def test_name_is_text_with_something_in_it(bad):
    with pytest.raises(ValueError, match="name is not empty"):
        fo.system(name=bad)(lambda ctx: None)


def test_before_takes_a_single_name_or_system():
    first = fo.system(name="first")(lambda ctx: None)

    @fo.system(before="draw", after=first)
    def move(ctx): ...

    assert move.before == ("draw",)
    assert move.after == (first,)


@pytest.mark.parametrize("bad", [3, [3], [lambda ctx: None]])
def test_before_takes_systems_and_names_only(bad):
    with pytest.raises(TypeError, match="before= of `move` takes systems, names or set names"):

        @fo.system(before=bad)
        def move(ctx): ...


def test_sets_are_names():
    with pytest.raises(TypeError, match="sets= of `move` takes names"):

        @fo.system(sets=[Position])
        def move(ctx): ...


def test_coroutine_functions_are_no_systems():
    with pytest.raises(TypeError, match="coroutine or generator"):

        @fo.system
        async def move(ctx): ...


def test_generator_functions_are_no_systems():
    with pytest.raises(TypeError, match="coroutine or generator"):

        @fo.system
        def move(ctx):
            yield


def test_only_functions_are_decorated():
    with pytest.raises(TypeError, match="decorates a function"):
        fo.system(3)


def test_system_is_not_decorated_twice():
    with pytest.raises(TypeError, match="`move` is a system already"):

        @fo.system
        @fo.system
        def move(ctx): ...


def test_callable_objects_are_systems():
    class Counter:
        def __call__(self, ctx): ...

    assert fo.system(Counter()).name == "Counter"


def test_queries_map_names_to_queries():
    with pytest.raises(TypeError, match=r"query `near` of `move` is a fo\.Query"):

        @fo.system(queries={"near": Position})
        def move(ctx): ...


def test_query_takes_components_only():
    with pytest.raises(ValueError, match="Gravity is a resource"):
        fo.Query(reads=[Gravity])


def test_query_shows_its_terms():
    assert repr(fo.Query(reads=Position, without=[Frozen])) == (
        "Query(reads=[Position], without=[Frozen])"
    )


def test_system_cannot_be_changed():
    @fo.system
    def move(ctx): ...

    with pytest.raises(AttributeError):
        move.name = "other"
