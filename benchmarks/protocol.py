"""The JSON that every benchmark program prints, and how its samples are taken.

A program runs one workload and prints one object on one line: ``{"peer": str, "workload": str,
"seconds": [float, ...], "inner": int}``, where ``seconds`` holds seconds per iteration, one value
per sample, and ``inner`` the iterations in each sample. Further keys may follow; readers skip what
they do not know.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

Subject = TypeVar("Subject")

WARM_UP_SECONDS = 0.1
MAX_INNER = 1 << 24


@dataclass(frozen=True)
class Measurement:
    """Seconds per iteration, one value per sample, and what else is worth keeping."""

    seconds: list[float]
    inner: int
    details: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Sampler:
    """Warms up, finds how many iterations make a sample long enough, takes the samples."""

    samples: int
    minimum_seconds: float

    def time(self, body: Callable[[], object]) -> Measurement:
        """Time a body that can be repeated as it is."""

        def run(inner: int) -> float:
            iterations = range(inner)
            start = time.perf_counter()
            for _ in iterations:
                body()
            return time.perf_counter() - start

        return self._collect(run)

    def time_batch(self, body: Callable[[int], object]) -> Measurement:
        """Time a body that repeats itself as often as it is told, with no Python in between."""

        def run(inner: int) -> float:
            start = time.perf_counter()
            body(inner)
            return time.perf_counter() - start

        return self._collect(run)

    def time_processor(self, body: Callable[[], object]) -> Measurement:
        """Time a body by what it has of the processor, on all threads: waiting is free."""

        def run(inner: int) -> float:
            start = time.process_time()
            for _ in range(inner):
                body()
            return time.process_time() - start

        return self._collect(run)

    def time_with_setup(
        self, setup: Callable[[], Subject], body: Callable[[Subject], object]
    ) -> Measurement:
        """Time a body that needs a fresh subject; making and dropping that is not counted."""

        def run(inner: int) -> float:
            total = 0.0
            for _ in range(inner):
                subject = setup()
                start = time.perf_counter()
                output = body(subject)
                total += time.perf_counter() - start
                del output, subject
            return total

        return self._collect(run)

    def _collect(self, run: Callable[[int], float]) -> Measurement:
        # A collection in the middle of a sample would be charged to whoever happens to run.
        gc.collect()
        gc.disable()
        try:
            inner = self._calibrate(run)
            seconds = [run(inner) / inner for _ in range(self.samples)]
        finally:
            gc.enable()
        return Measurement(seconds, inner)

    def _calibrate(self, run: Callable[[int], float]) -> int:
        start = time.perf_counter()
        run(1)
        inner = 1
        while inner < MAX_INNER and run(inner) < self.minimum_seconds:
            inner *= 2
        while time.perf_counter() - start < WARM_UP_SECONDS:
            run(inner)
        return inner


Workload = Callable[[Sampler], Measurement]


def main(peer: str, workloads: Mapping[str, Workload]) -> None:
    """Run the workload named on the command line and print its measurement."""
    parser = argparse.ArgumentParser(description=f"Time one workload of {peer}.")
    parser.add_argument("workload", choices=["list", *workloads])
    parser.add_argument("samples", type=int, nargs="?", default=20)
    parser.add_argument("minimum_ms", type=float, nargs="?", default=5.0)
    options = parser.parse_args()
    if options.workload == "list":
        print("\n".join(f"{peer} {name}" for name in workloads))
        return
    sampler = Sampler(max(1, options.samples), options.minimum_ms / 1e3)
    measurement = workloads[options.workload](sampler)
    report = {
        "peer": peer,
        "workload": options.workload,
        "seconds": measurement.seconds,
        "inner": measurement.inner,
        **measurement.details,
    }
    json.dump(report, sys.stdout)
    print()
