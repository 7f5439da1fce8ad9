"""Checks of arguments that several modules make, each with one sentence when it fails."""

from __future__ import annotations

import numbers


def whole(value: object, what: str, lowest: int, highest: int) -> int:
    """A whole number of any kind within bounds, numpy's included.

    Example:
        >>> whole(3, "ticks=", 0, 10)
        3
        >>> whole(11, "ticks=", 0, 10)
        Traceback (most recent call last):
        ValueError: ticks= is from 0 to 10, got 11.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{what} is a whole number, got {value!r}.")
    number = int(value)
    if not lowest <= number <= highest:
        raise ValueError(f"{what} is from {lowest} to {highest}, got {value}.")
    return number


def real(value: object, what: str) -> float:
    """A number of any kind, numpy's included; nan and infinity pass."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{what} is a number, got {value!r}.")
    return float(value)


def text(value: object, what: str) -> str:
    """Text that is not empty and can be given to C."""
    if not isinstance(value, str):
        raise TypeError(f"{what} is text, got {value!r}.")
    if not value or "\0" in value:
        raise ValueError(f"{what} is not empty and has no null character, got {value!r}.")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{what} has no half of a surrogate pair, got {value!r}.") from None
    return value
