"""Values for columns: whatever a user gives becomes an array that the core reads in place.

The core calls this for what is not yet an array of the right type and shape.
"""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Shape = tuple[int, ...]


def check(array: Array, dtype: np.dtype[Any], label: str) -> None:
    """Raise unless the array's values keep their kind in another type and fit."""
    if array.dtype.kind in "biu" and dtype.kind in "iu":
        _check_range(array, dtype, label)
    elif array.dtype.kind not in "biufc" or not np.can_cast(array.dtype, dtype, "same_kind"):
        raise TypeError(f"{label} takes {dtype.name} values, got {array.dtype.name}.")


def _check_range(array: Array, dtype: np.dtype[Any], label: str) -> None:
    if array.size == 0:
        return
    limits = np.iinfo(dtype)
    low, high = int(array.min()), int(array.max())
    if low < limits.min or high > limits.max:
        bad = low if low < limits.min else high
        raise ValueError(f"{label} holds {limits.min} to {limits.max}, got {bad}.")


def _read(values: object, dtype: np.dtype[Any], label: str) -> Array:
    """Any values as an array of numbers, not yet of the type."""
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{label} takes an array, got a ragged sequence: {error}.") from None
    if not hasattr(values, "dtype"):
        # numpy guesses the type of a list by its numbers alone.
        if array.size == 0:
            array = array.astype(dtype)
        elif array.dtype.kind in "fO" and dtype.kind in "iu":
            array = _as_integers(values, array, dtype, label)
    if array.dtype.kind not in "biufc":
        raise TypeError(f"{label} takes {dtype.name} values, got {_kind_of(values, array)}.")
    return array


def _as_integers(values: object, array: Array, dtype: np.dtype[Any], label: str) -> Array:
    """Whole numbers that together fit no integer type of numpy's choice; others as they were."""
    numbers_given = np.asarray(values, dtype=object)
    if not all(isinstance(number, numbers.Integral) for number in numbers_given.flat):
        return array
    _check_range(numbers_given, dtype, label)
    return numbers_given.astype(dtype)


def prepare(
    values: object, dtype: np.dtype[Any], rows: int | None, shape: Shape | None, label: str
) -> Array:
    """An array of shape ``(rows, *shape)`` (``shape`` without rows) with contiguous elements.

    A single element is repeated for all rows, and a number for a whole element. Without a shape it
    is an array of any shape and of a type that casts to ``dtype`` unharmed. ``label`` names the
    column in errors: ValueError for a wrong shape or a number out of range, TypeError for a wrong
    kind.
    """
    array = _read(values, dtype, label)
    if array.dtype != dtype:
        check(array, dtype, label)
        if shape is not None:
            with np.errstate(over="ignore"):
                array = array.astype(dtype)
    if shape is None:
        return array
    full = shape if rows is None else (rows, *shape)
    if array.shape == full:
        return array if _has_contiguous_elements(array, shape) else np.ascontiguousarray(array)
    if rows == 0 and array.shape == (0,):
        return array.reshape(full)
    if array.shape in ((), shape):
        element = np.ascontiguousarray(np.broadcast_to(array, shape)).reshape(shape)
        return np.broadcast_to(element, full)
    if rows is not None and array.ndim == len(full) and array.shape[1:] == shape:
        raise ValueError(f"column {label} has {array.shape[0]} rows, expected {rows}.")
    raise ValueError(f"{label} has shape {array.shape}, expected {full}.")


def _kind_of(values: object, array: Array) -> str:
    return array.dtype.name if isinstance(values, np.ndarray) else type(values).__name__


def _has_contiguous_elements(array: Array, shape: Shape) -> bool:
    if not shape or array.size == 0:
        return True
    element = array[0] if array.ndim > len(shape) else array
    return bool(element.flags.c_contiguous)
