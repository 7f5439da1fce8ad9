"""What Python programs use instead: `concurrent.futures` and joblib; printed as `protocol` says.

Two workloads. ``empty``: a thousand calls of a function that does nothing. ``heavy_compute``: the
matrices of `exec_frames.heavy_compute` as numpy arrays, in eight blocks, each given to the same
C kernel, which runs without the interpreter lock. Pools are started once, before anything is timed;
processes get their blocks, and give them back, pickled.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from typing import Any

import bench_world as worlds
import kernels
import numpy as np
from protocol import Measurement, Sampler, main

WORKERS = 2
CALLS = 1_000
BLOCKS = 8

Array = np.ndarray[Any, np.dtype[np.float32]]
Block = tuple[Array, Array]


def nothing(_: int) -> None:
    """The function that does nothing."""


def compute(block: Block) -> Block:
    """One pass of the heavy workload over a block, in place."""
    position, transform = block
    columns = kernels.columns_of(*position, transform)
    kernels.compute(columns, len(transform))
    return block


def make_blocks() -> list[Block]:
    """The entities of the heavy workload: positions by axis, matrices."""
    rows = worlds.HEAVY_ENTITIES // BLOCKS
    position = np.zeros((3, rows), dtype=np.float32)
    position[0] = 1.0
    rotation = worlds.rotation_about_x(1.2)
    return [(position.copy(), np.repeat(rotation[None], rows, axis=0)) for _ in range(BLOCKS)]


def count_intact(blocks: list[Block]) -> int:
    """How many matrices an even number of inversions has left as they were."""
    rotation = worlds.rotation_about_x(1.2)
    errors = [np.abs(transform - rotation).max(axis=(1, 2)) for _, transform in blocks]
    return int((np.concatenate(errors) < 0.05).sum())


class Futures:
    """A pool of `concurrent.futures`, given calls one by one or, for processes, in chunks."""

    def __init__(self, kind: Callable[[int], Executor], chunks: int | None) -> None:
        self.pool = kind(WORKERS)
        self.chunks = chunks

    def map(self, function: Callable[[Any], Any], items: Any) -> list[Any]:
        """All results, in order."""
        if self.chunks is None:
            return list(self.pool.map(function, items))
        size = max(1, len(items) // self.chunks)
        return list(self.pool.map(function, items, chunksize=size))


class Joblib:
    """joblib's `Parallel` on threads or processes, kept open from call to call."""

    def __init__(self, prefer: str) -> None:
        try:
            import joblib
        except ImportError:
            raise SystemExit("joblib is not installed") from None
        self.delayed = joblib.delayed
        self.parallel = joblib.Parallel(n_jobs=WORKERS, prefer=prefer, mmap_mode=None)
        self.parallel.__enter__()

    def map(self, function: Callable[[Any], Any], items: Any) -> list[Any]:
        """All results, in order."""
        return list(self.parallel(self.delayed(function)(item) for item in items))


def empty(pool: Callable[[], Any], sampler: Sampler) -> Measurement:
    """A thousand empty calls, and waiting for them."""
    opened = pool()
    counts: list[int] = []
    timed = sampler.time(lambda: counts.append(len(opened.map(nothing, range(CALLS)))))
    return Measurement(timed.seconds, timed.inner, {"checksum": min(counts)})


def heavy_compute(pool: Callable[[], Any], sampler: Sampler) -> Measurement:
    """100 inversions of each of 1,000 matrices."""
    opened = pool()
    blocks = make_blocks()

    def once() -> None:
        blocks[:] = opened.map(compute, blocks)

    timed = sampler.time(once)
    return Measurement(timed.seconds, timed.inner, {"checksum": count_intact(blocks)})


POOLS: dict[str, Callable[[], Any]] = {
    "threads": partial(Futures, ThreadPoolExecutor, None),
    "processes": partial(Futures, ProcessPoolExecutor, 2 * WORKERS),
    "joblib_threads": partial(Joblib, "threads"),
    "joblib_processes": partial(Joblib, "processes"),
}

WORKLOADS: dict[str, Callable[[Sampler], Measurement]] = {
    f"{name}_{workload.__name__}": partial(workload, pool)
    for workload in (empty, heavy_compute)
    for name, pool in POOLS.items()
}

if __name__ == "__main__":
    # Processes that joblib starts look for this file's functions under its own name.
    sys.modules["peer_python"] = sys.modules["__main__"]
    main("Python", WORKLOADS)
