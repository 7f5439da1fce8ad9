"""Makes the examples of docstrings examples of the reference page.

Docstrings head them "Example:", which griffe takes for a note in prose; "Examples:" it reads as
code.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

HEAD = re.compile(r"^Example:$", re.MULTILINE)


class Examples(griffe.Extension):
    """Renames the section in every docstring."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Called for each object that griffe has read."""
        if obj.docstring is not None:
            obj.docstring.value = HEAD.sub("Examples:", obj.docstring.value)
