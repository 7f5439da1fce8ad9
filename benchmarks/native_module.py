"""C kernels as a module that cffi compiles, once for each version of its text."""

from __future__ import annotations

import hashlib
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cffi import FFI

OUTPUT = Path(__file__).resolve().parent.parent / "build" / "bench"


def load(
    stem: str,
    *,
    source: str,
    declarations: str,
    flags: Sequence[str],
    include: Path | None = None,
    depends: str = "",
) -> Any:
    """The module of a source; ``depends`` is what else it is compiled from, as text."""
    parts = source + declarations + depends + repr(list(flags))
    name = f"{stem}_{hashlib.sha256(parts.encode()).hexdigest()[:12]}"
    OUTPUT.mkdir(parents=True, exist_ok=True)
    if str(OUTPUT) not in sys.path:
        sys.path.insert(0, str(OUTPUT))
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        builder = FFI()
        builder.cdef(declarations)
        folders = [] if include is None else [str(include)]
        builder.set_source(name, source, extra_compile_args=list(flags), include_dirs=folders)
        builder.compile(tmpdir=str(OUTPUT))
        importlib.invalidate_caches()
        return importlib.import_module(name)
