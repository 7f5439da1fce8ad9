"""Compiles ``c/io_kernels.c`` once, for this machine and this foliot, and hands it to Python.

The extension's name carries a digest of all it is made of, as in `kernels`.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import sys
from pathlib import Path
from typing import Any

import foliot as fo
import io_files
from cffi import FFI

HERE = Path(__file__).resolve().parent
OUTPUT = HERE.parent / "build" / "bench"
FLAGS = ["-O3", "-march=native"]


def _load() -> Any:
    source = (HERE / "c" / "io_kernels.c").read_text(encoding="utf-8")
    declarations = (HERE / "c" / "io_kernels.h").read_text(encoding="utf-8")
    include = Path(fo.get_include())
    headers = "".join((include / "foliot" / name).read_text() for name in ("io.h", "system.h"))
    parts = source + declarations + headers + repr(FLAGS)
    name = f"_bench_io_kernels_{hashlib.sha256(parts.encode()).hexdigest()[:12]}"
    OUTPUT.mkdir(parents=True, exist_ok=True)
    if str(OUTPUT) not in sys.path:
        sys.path.insert(0, str(OUTPUT))
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        builder = FFI()
        builder.cdef(declarations[declarations.index("*/") + 2 :])
        builder.set_source(name, source, extra_compile_args=FLAGS, include_dirs=[str(include)])
        builder.compile(tmpdir=str(OUTPUT))
        importlib.invalidate_caches()
        return importlib.import_module(name)


_MODULE = _load()
READ_BLOCKS = _MODULE.ffi.addressof(_MODULE.lib, "bench_read_blocks")
NOPS = _MODULE.ffi.addressof(_MODULE.lib, "bench_nops")


class Reads:
    """What ``READ_BLOCKS`` works on: so many reads of the big file in a frame."""

    def __init__(self, count: int) -> None:
        ffi = _MODULE.ffi
        self.count = count
        self.descriptor = os.open(io_files.folder() / "big", os.O_RDONLY)
        self._kept = (
            ffi.new("uint8_t[]", count * io_files.BLOCK),
            ffi.new("uint8_t[]", count * _MODULE.lib.bench_result_size()),
            ffi.new("uint64_t[]", count),
        )
        self.user = ffi.new("bench_reads *")
        self.user.fd = self.descriptor
        self.user.count = count
        self.user.buffers = self._kept[0]
        self.user.results = ffi.cast("fol_io_result *", self._kept[1])
        self.user.asked = self._kept[2]

    def wrong(self) -> int:
        """Reads of all frames but the last that did not give the block asked for."""
        expected = (self.user.frames - 1) * self.count
        return int(expected - self.user.good)
