"""Where the public C headers are."""

from __future__ import annotations

from pathlib import Path


def get_include() -> str:
    """Folder to put on a C compiler's include path for ``#include "foliot/system.h"``.

    An installed package carries its headers; a source tree built in place uses those at its top.

    Example:
        >>> import pathlib
        >>> pathlib.Path(get_include(), "foliot").is_dir()
        True

    """
    package = Path(__file__).resolve().parent
    carried = package / "include"
    return str(carried if carried.is_dir() else package.parent.parent / "include")
