"""Objects that are known of and not kept alive.

Those that go do so without a word. The sets of ``weakref`` hear of it in Python code, which runs in
the middle of whatever a thread is at when the collector comes by; an interrupt that arrives just
then is lost in it, and the system that it was to stop goes on.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

# So many may be dead before somebody looks for them.
_ROOM = 8


class Known(Generic[T]):
    """A set of hashable objects, in no order, that any thread may add to and go over.

    Example:
        >>> class Thing:
        ...     pass
        >>> things: Known[Thing] = Known()
        >>> thing = Thing()
        >>> things.add(thing)
        >>> list(things) == [thing]
        True
        >>> del thing
        >>> list(things)
        []
    """

    def __init__(self) -> None:
        self._references: set[weakref.ref[T]] = set()
        self._limit = _ROOM

    def add(self, item: T) -> None:
        """Know of one more; what is known already stays so."""
        if len(self._references) >= self._limit:
            for reference in list(self._references):
                if reference() is None:
                    self._references.discard(reference)
            self._limit = 2 * len(self._references) + _ROOM
        self._references.add(weakref.ref(item))

    def __iter__(self) -> Iterator[T]:
        """Those that are alive when it is called."""
        found = (reference() for reference in list(self._references))
        return iter([item for item in found if item is not None])
