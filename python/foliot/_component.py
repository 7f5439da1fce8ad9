"""Declaring components, tags and resources.

What a user writes becomes a tuple of fields; ``_core`` makes the class. Component classes are
process-wide, a world learns of one when it first meets it.
"""

from __future__ import annotations

import inspect
import operator
import sys
import types
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import (
    Annotated,
    Any,
    ClassVar,
    TypeAlias,
    TypeVar,
    dataclass_transform,
    get_origin,
    overload,
)

import numpy as np

from foliot import _core

f4 = Annotated[float, "f4"]
f8 = Annotated[float, "f8"]
i1 = Annotated[int, "i1"]
i2 = Annotated[int, "i2"]
i4 = Annotated[int, "i4"]
i8 = Annotated[int, "i8"]
u1 = Annotated[int, "u1"]
u2 = Annotated[int, "u2"]
u4 = Annotated[int, "u4"]
u8 = Annotated[int, "u8"]
bool_ = Annotated[bool, "?"]


class Bytes:
    """Type of a field that holds variable-length bytes owned by the world.

    Example:
        >>> Text = component("Text", Bytes)
        >>> Text(b"abc").value
        b'abc'

    """


T = TypeVar("T")
Field: TypeAlias = tuple[str, str, int, tuple[int, ...], "np.dtype[Any] | None"]

PLAIN, BYTES, OBJECT = 0, 1, 2
# The kinds of number a column holds, and the formats the core knows them by (PEP 3118).
_FORMATS = dict(
    zip(
        "b1 i1 i2 i4 i8 u1 u2 u4 u8 f2 f4 f8 c8 c16".split(),
        "? b h i q B H I Q e f d Zf Zd".split(),
        strict=True,
    )
)
_CELL_STORAGE: dict[object, int] = {Bytes: BYTES, object: OBJECT}
_LEFT_OUT = {"__dict__", "__weakref__", "__slots__"}
_OWN_MAKING = ("__init__", "__new__")


class _NotPlainError(TypeError):
    """A type that is no fixed-size data; callers see a TypeError."""


@contextmanager
def _type_errors() -> Iterator[None]:
    try:
        yield
    except _NotPlainError as error:
        raise TypeError(*error.args) from None


def _plain_field(name: str, given: Any, label: str) -> Field:
    """A field of fixed-size data from whatever describes its type."""
    shape: tuple[int, ...] = ()
    if isinstance(given, tuple):
        if len(given) != 2:
            raise _NotPlainError(f"{label} is a type, or (type, shape), got {given!r}.")
        given, lengths = given
        shape = _read_shape(lengths, label)
    if get_origin(given) is Annotated:
        given = given.__metadata__[0]
    if given is None or (isinstance(given, type) and not _is_number_type(given)):
        raise _NotPlainError(f"{label} is plain data such as fo.f4, got {given!r}.")
    try:
        dtype = np.dtype(given)
    except (TypeError, SyntaxError, ValueError):
        raise _NotPlainError(f"{label} is plain data such as fo.f4, got {given!r}.") from None
    if dtype.subdtype is not None:
        dtype, inner = dtype.subdtype
        shape = (*shape, *inner)
    text = _FORMATS.get(f"{dtype.kind}{dtype.itemsize}")
    if text is None or not dtype.isnative:
        raise _NotPlainError(f"{label} is plain data such as fo.f4, got {given!r}.")
    if any(length < 1 for length in shape):
        raise ValueError(f"{label} has a shape of positive integers, got {shape}.")
    return (name, text, dtype.itemsize, shape, dtype)


def _read_shape(lengths: Any, label: str) -> tuple[int, ...]:
    """Lengths from one whole number or several."""
    try:
        lengths = lengths if isinstance(lengths, Iterable) else (lengths,)
        return tuple(operator.index(length) for length in lengths)
    except TypeError:
        raise ValueError(f"{label} has a shape of positive integers, got {lengths!r}.") from None


def _is_number_type(given: type) -> bool:
    return given in (bool, int, float, complex) or issubclass(given, np.generic)


def _read_fields(name: str, given: object) -> tuple[int, tuple[Field, ...]]:
    """Storage and fields: one unnamed field, or a mapping of names to types."""
    if isinstance(given, Mapping):
        for key in given:
            if not _is_field_name(key):
                raise ValueError(f"{name}: a field's name is an identifier, got {key!r}.")
        if len(given) == 1:
            [(key, kind)] = given.items()
            if _is_cell(kind):
                return _CELL_STORAGE[kind], ((key, _cell_format(kind), 8, (), None),)
        for key, kind in given.items():
            if _is_cell(kind):
                raise _NotPlainError(
                    f"{name}.{key} is {kind.__name__}, which has to be the only field."
                )
        return PLAIN, tuple(_plain_field(key, kind, f"{name}.{key}") for key, kind in given.items())
    if _is_cell(given):
        return _CELL_STORAGE[given], (("", _cell_format(given), 8, (), None),)
    return PLAIN, (_plain_field("", given, name),)


def _is_field_name(name: object) -> bool:
    return isinstance(name, str) and name.isidentifier() and not name.startswith("__")


def _is_cell(kind: object) -> bool:
    return kind is Bytes or kind is object


def _cell_format(kind: object) -> str:
    return "O" if kind is object else "B"


def _annotations(cls: type, names: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a class with their types; names of the place that defines it are known in them."""
    found = {}
    scope = {**vars(sys.modules.get(cls.__module__, object)), **names}
    for name, kind in inspect.get_annotations(cls).items():
        # The text of an annotation, under `from __future__ import annotations`.
        resolved = eval(kind, scope) if isinstance(kind, str) else kind
        if resolved is not ClassVar and get_origin(resolved) is not ClassVar:
            found[name] = resolved
    return found


def _check_name(name: str) -> None:
    """Names are kept as UTF-8 that ends with a null character."""
    is_text = not any("\ud800" <= letter <= "\udfff" for letter in name)
    if "\0" in name or not is_text:
        raise ValueError(
            f"a component's name has no null characters and no lone surrogates, got {name!r}."
        )


def _from_class(cls: type, names: Mapping[str, Any], *, is_resource: bool) -> type:
    bases = [base.__name__ for base in cls.__bases__ if base is not object]
    if bases:
        raise _NotPlainError(
            f"a component has no base class, {cls.__name__} has {', '.join(bases)}."
        )
    for own in _OWN_MAKING:
        if own in vars(cls):
            raise _NotPlainError(f"{cls.__name__} has an {own}, but foliot makes component values.")
    _check_name(cls.__name__)
    kinds = _annotations(cls, names)
    if is_resource and not kinds:
        raise _NotPlainError(f"{cls.__name__} has no fields.")
    storage, fields = _read_fields(cls.__name__, kinds)
    space = {key: value for key, value in vars(cls).items() if key not in _LEFT_OUT}
    defaults = {name: space.pop(name) for name in kinds if name in space}
    # A class with slots has descriptors where others have defaults.
    for name in [*defaults]:
        if isinstance(defaults[name], types.MemberDescriptorType):
            del defaults[name]
    space["__slots__"] = ()
    return _core.make_component(cls.__name__, storage, is_resource, fields, defaults, space)


def _from_name(name: object, given: object, module: str, *, is_resource: bool) -> type:
    if not isinstance(name, str) or not name:
        raise TypeError(f"a component is a class or has a name, got {name!r}.")
    _check_name(name)
    with _type_errors():
        storage, fields = _read_fields(name, given)
    space = {"__slots__": (), "__module__": module, "__qualname__": name.rpartition(".")[2]}
    return _core.make_component(name, storage, is_resource, fields, {}, space)


def _caller(depth: int) -> types.FrameType:
    return sys._getframe(depth + 1)


@overload
def component(declared: type[T], /) -> type[T]: ...


@overload
def component(declared: str, fields: object, /) -> type[Any]: ...


@dataclass_transform(frozen_default=True)
def component(declared: type | str, fields: object = None, /) -> type[Any]:
    """Declare a component: a class with annotated fields, or a name and fields.

    Each field is a column of its own. ``fields`` is a mapping from names to types, or one type for
    a single unnamed field (``value``). A type is ``fo.f4`` and its kin, anything numpy takes as a
    number type, ``(type, shape)`` for a fixed-shape field, or, as the only field, ``object`` or
    ``fo.Bytes``.

    Calling the class gives a value; a field that is not given has its default from the class body,
    or is zero. Values are copies and do not change.

    Errors: TypeError for a type that is no plain data, ValueError for a bad name or shape.

    Example:
        >>> @component
        ... class Position:
        ...     x: f4
        ...     y: f4 = 1.0
        >>> Position(x=2)
        Position(x=2.0, y=1.0)
        >>> component("Mass", "f8")(3).value
        3.0

    """
    if isinstance(declared, type):
        if fields is not None:
            raise TypeError("a component class has its fields in its body.")
        with _type_errors():
            return _from_class(declared, _caller(1).f_locals, is_resource=False)
    if fields is None:
        raise TypeError(f"component {declared!r} needs its fields; without data it is a fo.tag.")
    return _from_name(declared, fields, _caller(1).f_globals["__name__"], is_resource=False)


def tag(name: str, /) -> type[Any]:
    """Declare a component without data.

    Example:
        >>> tag("Frozen")()
        Frozen()

    """
    return _from_name(name, {}, _caller(1).f_globals["__name__"], is_resource=False)


@overload
def resource(declared: type[T], /) -> type[T]: ...


@overload
def resource(declared: str, fields: object, /) -> type[Any]: ...


@dataclass_transform(frozen_default=True)
def resource(declared: type | str, fields: object = None, /) -> type[Any]:
    """Declare a resource, of which a world has one value; fields as for ``component``.

    A class whose fields are not all plain data, or that has an ``__init__``, is given back as it
    is: instances of any class may be resources, kept as Python objects.

    Example:
        >>> @resource
        ... class Gravity:
        ...     g: f8 = 9.81
        >>> Gravity().g
        9.81

    """
    if isinstance(declared, type):
        if fields is not None:
            raise TypeError("a resource class has its fields in its body.")
        try:
            return _from_class(declared, _caller(1).f_locals, is_resource=True)
        except _NotPlainError:
            return declared
    if fields is None:
        raise TypeError(f"resource {declared!r} needs its fields.")
    return _from_name(declared, fields, _caller(1).f_globals["__name__"], is_resource=True)
