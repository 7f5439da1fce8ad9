"""Declaring components, tags and resources, and the values made of them."""

import copy
import pickle
from typing import Annotated, ClassVar

import foliot as fo
import numpy as np
import pytest


@fo.component
class Position:
    """Where something is."""

    unit: ClassVar[str] = "m"
    x: fo.f4
    y: fo.f4 = 7

    def length(self):
        return (self.x**2 + self.y**2) ** 0.5


Mass = fo.component("Mass", "f8")
Matrix = fo.component("Matrix", ("f4", (2, 3)))
Frozen = fo.tag("Frozen")
Note = fo.component("Note", object)
Text = fo.component("Text", fo.Bytes)


def test_value_has_its_fields_as_attributes():
    position = Position(x=1, y=2)
    assert (position.x, position.y) == (1.0, 2.0)


def test_fields_may_be_given_in_order():
    assert Position(1, 2) == Position(x=1, y=2)


def test_field_that_is_not_given_has_its_default():
    assert Position(x=1).y == 7.0


def test_field_without_a_default_is_zero():
    assert Position(y=1).x == 0.0
    assert Matrix().value.tolist() == [[0, 0, 0], [0, 0, 0]]
    assert Text().value == b""
    assert Note().value is None


def test_unnamed_field_is_called_value():
    assert Mass(2).value == 2.0


def test_values_compare_by_value():
    assert Position(1, 2) == Position(1, 2)
    assert Position(1, 2) != Position(1, 3)
    assert Position(1, 2) != (1, 2)
    assert Matrix(np.ones((2, 3))) == Matrix(np.ones((2, 3)))
    assert Matrix(np.ones((2, 3))) != Matrix(np.zeros((2, 3)))
    assert Note([1]) == Note([1])
    assert Text(b"a") != Text(b"b")


def test_zeros_of_both_signs_are_equal_and_hash_alike():
    assert Mass(0.0) == Mass(-0.0)
    assert hash(Mass(0.0)) == hash(Mass(-0.0))


def test_not_a_number_equals_nothing():
    assert Mass(float("nan")) != Mass(float("nan"))


def test_equal_values_are_one_key_of_a_dictionary():
    assert len({Position(1, 2), Position(1, 2), Position(2, 1)}) == 2


def test_value_prints_as_it_is_made():
    assert repr(Position(1, 2)) == "Position(x=1.0, y=2.0)"
    assert repr(Mass(2)) == "Mass(2.0)"
    assert repr(Frozen()) == "Frozen()"
    assert repr(Text(b"a")) == "Text(b'a')"


def test_value_that_holds_itself_prints():
    holder = []
    note = Note(holder)
    holder.append(note)
    assert repr(note) == "Note([Note(...)])"
    holder.clear()


def test_value_does_not_change():
    with pytest.raises(AttributeError, match=r"Position\.x cannot be set"):
        Position(1, 2).x = 3


def test_array_of_a_value_does_not_change():
    with pytest.raises(ValueError, match="read-only"):
        Matrix().value[0, 0] = 1


def test_value_can_be_copied_and_pickled():
    for value in (Position(1, 2), Mass(3), Note([1, 2]), Text(b"abc"), Frozen()):
        assert copy.copy(value) == value
        assert pickle.loads(pickle.dumps(value)) == value


def test_value_is_replaced_by_name():
    assert Position(1, 2).__replace__(y=5) == Position(1, 5)
    with pytest.raises(TypeError, match="got z"):
        Position(1, 2).__replace__(z=5)


def test_value_matches_a_pattern():
    match Position(1, 2):
        case Position(x, y):
            assert (x, y) == (1.0, 2.0)


def test_class_keeps_its_methods_and_documentation():
    assert Position(3, 4).length() == 5.0
    assert Position.unit == "m"
    assert Position.__doc__ == "Where something is."
    assert Position.__module__ == __name__


def test_unknown_field_is_named_with_those_there_are():
    with pytest.raises(TypeError, match="Position has fields x, y; got z"):
        Position(z=1)


def test_field_given_twice_is_refused():
    with pytest.raises(TypeError, match="Position got field x twice"):
        Position(1, x=2)


def test_too_many_values_are_refused():
    with pytest.raises(TypeError, match="Position has 2 fields, got 3 values"):
        Position(1, 2, 3)


@pytest.mark.parametrize(
    ("kind", "low", "high"),
    [
        ("i1", -128, 127),
        ("i2", -(2**15), 2**15 - 1),
        ("i4", -(2**31), 2**31 - 1),
        ("i8", -(2**63), 2**63 - 1),
        ("u1", 0, 255),
        ("u2", 0, 2**16 - 1),
        ("u4", 0, 2**32 - 1),
        ("u8", 0, 2**64 - 1),
    ],
)
def test_integer_field_holds_its_range_and_no_more(kind, low, high):
    count = fo.component("Count", kind)
    assert count(low).value == low
    assert count(high).value == high
    for bad in (low - 1, high + 1):
        with pytest.raises(ValueError, match=f"Count holds {low} to {high}, got {bad}"):
            count(bad)


def test_integer_field_refuses_a_fraction():
    with pytest.raises(TypeError, match="Count takes an integer, got float"):
        fo.component("Count", "i4")(1.5)


@pytest.mark.parametrize("kind", ["f2", "f4", "f8"])
def test_float_field_round_trips(kind):
    assert fo.component("Number", kind)(0.5).value == 0.5


def test_half_float_out_of_range_is_refused():
    with pytest.raises(ValueError, match="holds -65504 to 65504"):
        fo.component("Half", "f2")(1e9)


@pytest.mark.parametrize("kind", ["c8", "c16"])
def test_complex_field_round_trips(kind):
    wave = fo.component("Wave", kind)
    assert wave(1 + 2j).value == 1 + 2j
    assert wave(1 + 2j) != wave(1 - 2j)
    assert hash(wave(1)) == hash(wave(1))


def test_bool_field_holds_truth():
    flag = fo.component("Flag", fo.bool_)
    assert flag(True).value is True
    assert flag(np.bool_(False)).value is False
    with pytest.raises(TypeError, match="Flag takes a bool, got str"):
        flag("yes")


def test_wrong_kind_of_value_is_named_with_the_field():
    with pytest.raises(TypeError, match=r"Position\.x takes a number, got str"):
        Position(x="far")


def test_shaped_field_takes_its_shape_only():
    with pytest.raises(ValueError, match=r"Matrix has shape \(3,\), expected \(2, 3\)"):
        Matrix([1, 2, 3])


def test_shaped_field_is_filled_by_one_number():
    assert Matrix(1).value.tolist() == [[1, 1, 1], [1, 1, 1]]


def test_bytes_field_takes_any_bytes_like_object():
    assert Text(bytearray(b"ab")).value == b"ab"
    assert Text(memoryview(b"abc")[1:]).value == b"bc"
    with pytest.raises(TypeError, match="Text takes a bytes-like object, got str"):
        Text("ab")


@pytest.mark.parametrize("kind", [float, np.float32, np.dtype("f4"), "f4", fo.f4, "float32"])
def test_field_type_may_be_spelt_in_many_ways(kind):
    assert fo.component("Any", {"x": kind})(x=1).x == 1.0


def test_subarray_dtype_is_a_shaped_field():
    assert fo.component("Sub", np.dtype(("f4", (2, 2))))().value.shape == (2, 2)


def test_annotation_may_carry_a_shape():
    @fo.component
    class Transform:
        matrix: Annotated[np.ndarray, ("f4", (4, 4))]

    assert Transform().matrix.shape == (4, 4)


@pytest.mark.parametrize("kind", [str, "U5", ">f4", "M8[s]", "V8", list, None, "nonsense"])
def test_field_that_is_no_plain_data_is_refused(kind):
    with pytest.raises(TypeError):
        fo.component("Bad", {"x": kind, "y": "f4"})


@pytest.mark.parametrize("name", ["", "2x", "a b", "__x", 3])
def test_field_name_is_an_identifier(name):
    with pytest.raises(ValueError, match="a field's name is an identifier"):
        fo.component("Bad", {name: "f4"})


@pytest.mark.parametrize("shape", [(0,), (-1, 2), (1, 2, 3, 4, 5)])
def test_bad_shape_is_refused(shape):
    with pytest.raises(ValueError, match=r"positive|dimensions"):
        fo.component("Bad", ("f4", shape))


def test_object_has_to_be_the_only_field():
    with pytest.raises(TypeError, match="has to be the only field"):
        fo.component("Bad", {"x": object, "y": "f4"})


def test_single_object_field_may_have_a_name():
    assert fo.component("Link", {"target": object})(target=3).target == 3


def test_class_without_fields_is_a_tag():
    @fo.component
    class Marked:
        pass

    assert repr(Marked()) == "Marked()"


def test_component_without_fields_points_at_tags():
    with pytest.raises(TypeError, match=r"fo\.tag"):
        fo.component("Empty")


def test_component_class_cannot_be_subclassed():
    with pytest.raises(TypeError, match="cannot be subclassed"):

        class Place(Position):
            pass


def test_component_class_has_no_base():
    class Base:
        pass

    with pytest.raises(TypeError, match="has no base class, Child has Base"):

        @fo.component
        class Child(Base):
            x: fo.f4


def test_component_class_has_no_init():
    with pytest.raises(TypeError, match="has an __init__"):

        @fo.component
        class Made:
            x: fo.f4

            def __init__(self):
                pass


def test_default_that_does_not_fit_is_refused_at_once():
    with pytest.raises(TypeError, match=r"Bad\.x takes a number"):

        @fo.component
        class Bad:
            x: fo.f4 = "far"


def test_field_reads_only_values_of_its_own_class():
    with pytest.raises(TypeError, match="belongs to another class"):
        Position.x.__get__(Mass(1))
    with pytest.raises(TypeError, match="belongs to another class"):
        Position.x.__get__(3)


def test_resource_class_has_defaults():
    @fo.resource
    class Gravity:
        g: fo.f8 = 9.81

    assert Gravity().g == 9.81


def test_resource_class_that_is_no_plain_data_stays_as_it_is():
    class Log:
        lines: list

    assert fo.resource(Log) is Log


def test_resource_class_with_an_init_stays_as_it_is():
    class Counter:
        def __init__(self):
            self.count = 0

    assert fo.resource(Counter) is Counter


def test_many_fields_are_bounded():
    fields = {f"f{i}": "u1" for i in range(65)}
    with pytest.raises(ValueError, match="has 65 fields, at most 64"):
        fo.component("Wide", fields)


def test_annotations_as_text_know_the_place_they_stand_in():
    number = fo.f4
    space = {"number": number}
    source = "class Local:\n    x: 'number'\n    y: 'fo.i4' = 3\n"
    exec(source, {"fo": fo, "__name__": __name__, **space}, space)
    from_text = space["Local"]

    assert fo.component(from_text)().y == 3
