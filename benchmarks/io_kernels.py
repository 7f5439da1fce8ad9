"""Compiles ``c/io_kernels.c`` once, for this machine and this foliot, and hands it to Python.

The extension's name carries a digest of all it is made of, as in `kernels`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import foliot as fo
import io_files
import native_module

HERE = Path(__file__).resolve().parent


def _load() -> Any:
    declarations = (HERE / "c" / "io_kernels.h").read_text(encoding="utf-8")
    include = Path(fo.get_include())
    return native_module.load(
        "_bench_io_kernels",
        source=(HERE / "c" / "io_kernels.c").read_text(encoding="utf-8"),
        declarations=declarations[declarations.index("*/") + 2 :],
        flags=["-O3", "-march=native"],
        include=include,
        depends="".join((include / "foliot" / name).read_text() for name in ("io.h", "system.h")),
    )


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
            ffi.new("uint8_t[]", (count + 1) * io_files.BLOCK),
            ffi.new("uint8_t[]", count * _MODULE.lib.bench_result_size()),
            ffi.new("uint64_t[]", count),
        )
        self.user = ffi.new("bench_reads *")
        self.user.fd = self.descriptor
        self.user.count = count
        # On pages of their own, as those of the other contenders are.
        address = int(ffi.cast("uintptr_t", self._kept[0]))
        self.user.buffers = self._kept[0] + -address % io_files.BLOCK
        self.user.results = ffi.cast("fol_io_result *", self._kept[1])
        self.user.asked = self._kept[2]

    def wrong(self) -> int:
        """Reads of all frames but the last that did not give the block asked for."""
        expected = (self.user.frames - 1) * self.count
        return int(expected - self.user.good)
