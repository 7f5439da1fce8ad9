"""Compiles ``c/kernels.c`` once, for this machine, and hands out its functions as cffi pointers.

The extension's name carries a digest of its source, so that a changed kernel is compiled again and
an unchanged one is not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import native_module
import numpy as np

HERE = Path(__file__).resolve().parent
SOURCE = HERE / "c" / "kernels.c"
NAMES = (
    "bench_empty",
    "bench_spin",
    "bench_advance",
    "bench_double",
    "bench_swap",
    "bench_compute",
)
SIGNATURE = "(void **columns, ptrdiff_t rows, void *user);"
# The Rust contenders are compiled for this processor too.
# Rust fuses no products into sums, so that the peers' arithmetic is this, rounding by rounding.
FLAGS = ["-O3", "-march=native", "-ffp-contract=off"]


def _load() -> Any:
    return native_module.load(
        "_bench_kernels",
        source=SOURCE.read_text(encoding="utf-8"),
        declarations="\n".join(f"int {kernel}{SIGNATURE}" for kernel in NAMES),
        flags=FLAGS,
    )


_MODULE = _load()


def _pointer(name: str) -> Any:
    return _MODULE.ffi.addressof(_MODULE.lib, name)


def steps(count: int) -> Any:
    """What ``SPIN`` takes as its user data; the caller keeps it alive."""
    return _MODULE.ffi.new("int64_t *", count)


def columns_of(*arrays: np.ndarray[Any, Any]) -> Any:
    """The first argument of a kernel called by hand; the caller keeps the arrays alive."""
    return _MODULE.ffi.new("void *[]", [_MODULE.ffi.from_buffer(array) for array in arrays])


def compute(columns: Any, rows: int) -> int:
    """Call ``COMPUTE``; cffi gives the interpreter lock back meanwhile."""
    return _MODULE.lib.bench_compute(columns, rows, _MODULE.ffi.NULL)


EMPTY = _pointer("bench_empty")
SPIN = _pointer("bench_spin")
ADVANCE = _pointer("bench_advance")
DOUBLE = _pointer("bench_double")
SWAP = _pointer("bench_swap")
COMPUTE = _pointer("bench_compute")
