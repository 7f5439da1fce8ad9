"""Values for columns: whatever a user gives becomes an array that the core reads in place.

The core calls this for what is not yet an array of the right type and shape.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Shape = tuple[int, ...]


def convert(array: Array, dtype: np.dtype[Any], label: str) -> Array:
    """The array in another type, unless values would change their kind or not fit."""
    if array.dtype.kind in "biu" and dtype.kind in "iu":
        if array.size:
            limits = np.iinfo(dtype)
            low, high = int(array.min()), int(array.max())
            if low < limits.min or high > limits.max:
                bad = low if low < limits.min else high
                raise ValueError(f"{label} holds {limits.min} to {limits.max}, got {bad}.")
        return array.astype(dtype)
    if array.dtype.kind in "biufc" and np.can_cast(array.dtype, dtype, "same_kind"):
        with np.errstate(over="ignore"):
            return array.astype(dtype)
    raise TypeError(f"{label} takes {dtype.name} values, got {array.dtype.name}.")


def prepare(
    values: object, dtype: np.dtype[Any], rows: int | None, shape: Shape, label: str
) -> Array:
    """An array of shape ``(rows, *shape)`` (``shape`` without rows) with contiguous elements.

    A single element is repeated for all rows, and a number for a whole element. ``label`` names the
    column in errors: ValueError for a wrong shape or a number out of range, TypeError for a wrong
    kind.
    """
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{label} takes an array, got a ragged sequence: {error}.") from None
    if array.dtype.kind not in "biufc":
        raise TypeError(f"{label} takes {dtype.name} values, got {_kind_of(values, array)}.")
    if array.dtype != dtype:
        array = convert(array, dtype, label)
    full = shape if rows is None else (rows, *shape)
    if array.shape == full:
        return array if _has_contiguous_elements(array, shape) else np.ascontiguousarray(array)
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
