"""JSON with the place of every value, comments, and a comma too many at the end of a list.

Files of rt-app are written by hand, with ``/* comments */`` and such commas, and an error in one
has to name its line and column, which Python's own reader forgets once it has read the text.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import NoReturn

DEPTH_MAX = 64
_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n]+ | /\*.*?\*/ | //[^\n]*)
      | (?P<string>"(?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*")
      | (?P<number>-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)
      | (?P<word>true|false|null)
      | (?P<sign>[{}\[\]:,])""",
    re.DOTALL | re.VERBOSE,
)
_WORDS = {"true": True, "false": False, "null": None}


class PlaceError(ValueError):
    """Something is wrong at a line and column; the message has them."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value or a key begins, from 1."""

    line: int
    column: int


@dataclass(slots=True)
class Node:
    """A value and its place. Objects are dicts of nodes, with the places of their keys."""

    value: object
    place: Place
    keys: dict[str, Place]


@dataclass(slots=True)
class _Open:
    """An object or list that is being read."""

    node: Node
    key: str | None = None
    after_value: bool = False


class Reader:
    """Reads one text; ``where`` is what errors call it.

    Example:
        >>> node = Reader('{"a": [1, 2,], /* why */ "b": null}', "text").read()
        >>> node.keys["b"]
        Place(line=1, column=26)
        >>> Reader('{"a" 1}', "text").read()
        Traceback (most recent call last):
        foliot._json_places.PlaceError: text, line 1, column 6: expected `:`, got `1`

    """

    def __init__(self, text: str, where: str) -> None:
        self.text = text
        self.where = where
        self.at = 0
        self.line = 1
        self.line_start = 0

    def fail(self, place: Place, what: str) -> NoReturn:
        """Raise what is wrong there."""
        raise PlaceError(f"{self.where}, line {place.line}, column {place.column}: {what}")

    def _place(self) -> Place:
        return Place(self.line, self.at - self.line_start + 1)

    def _next(self) -> tuple[str, str, Place]:
        """Kind, text and place of the next token; kind "end" at the end."""
        while self.at < len(self.text):
            match = _TOKEN.match(self.text, self.at)
            place = self._place()
            if match is None:
                self.fail(place, f"this is no JSON: {self.text[self.at : self.at + 12]!r}")
            self.at = match.end()
            lines = match[0].count("\n")
            if lines:
                self.line += lines
                self.line_start = match.start() + match[0].rindex("\n") + 1
            if match.lastgroup != "space":
                return str(match.lastgroup), match[0], place
        return "end", "the end of the text", self._place()

    def read(self) -> Node:
        """The value of the whole text."""
        top = _Open(Node([], Place(1, 1), {}))
        opened = [top]
        while True:
            kind, text, place = self._next()
            inner = opened[-1]
            if inner is top and inner.after_value:
                if kind != "end":
                    self.fail(place, f"expected the end of the text, got `{text}`")
                assert isinstance(top.node.value, list)
                node = top.node.value[0]
                assert isinstance(node, Node)
                return node
            self._take(opened, kind, text, place)

    def _take(self, opened: list[_Open], kind: str, text: str, place: Place) -> None:
        """One token in the innermost object or list."""
        inner = opened[-1]
        is_object = isinstance(inner.node.value, dict)
        if len(opened) > 1 and text == ("}" if is_object else "]") and inner.key is None:
            opened.pop()
            return
        if inner.after_value:
            self._expect(text, ",", place)
            inner.after_value = False
            return
        if is_object and inner.key is None:
            if kind != "string":
                self.fail(place, f"expected a key in quotation marks or `}}`, got `{text}`")
            inner.key = json.loads(text)
            if inner.key in inner.node.keys:
                self.fail(place, f"the key {text} stands twice in this object")
            inner.node.keys[inner.key] = place
            _, colon, colon_place = self._next()
            self._expect(colon, ":", colon_place)
            return
        self._add(opened, self._value(kind, text, place))

    def _expect(self, text: str, wanted: str, place: Place) -> None:
        if text != wanted:
            self.fail(place, f"expected `{wanted}`, got `{text}`")

    def _value(self, kind: str, text: str, place: Place) -> Node:
        if text in ("{", "["):
            return Node({} if text == "{" else [], place, {})
        if kind == "word":
            return Node(_WORDS[text], place, {})
        if kind not in ("string", "number") or len(text) > 100_000:
            self.fail(place, f"expected a value, got `{text[:24]}`")
        if kind == "number" and len(text) > 400:
            self.fail(place, f"a number of {len(text)} digits")
        return Node(json.loads(text), place, {})

    def _add(self, opened: list[_Open], node: Node) -> None:
        """Put a value where it belongs; what it opens is the innermost from now on."""
        inner = opened[-1]
        if isinstance(inner.node.value, dict):
            inner.node.value[inner.key] = node
            inner.key = None
        else:
            assert isinstance(inner.node.value, list)
            inner.node.value.append(node)
        inner.after_value = True
        if isinstance(node.value, dict | list):
            if len(opened) > DEPTH_MAX:
                self.fail(node.place, f"more than {DEPTH_MAX} objects and lists within each other")
            opened.append(_Open(node))
