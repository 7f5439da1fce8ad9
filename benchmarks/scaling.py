"""How planning grows with the number of systems: time, memory, and the exponents that fit them.

Each size runs in a process of its own, so that memory is that of one plan.
"""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

SIZES = (256, 512, 1024, 2048, 4096)
SAMPLES = "5"
PROGRAM = Path(__file__).resolve().parent / "bench_schedule.py"


def exponent(sizes: Sequence[int], values: Sequence[float]) -> float:
    """The ``k`` of the power law ``value = c * size ** k`` that fits best in logarithms."""
    logarithms = [math.log(size) for size in sizes], [math.log(value) for value in values]
    return statistics.linear_regression(*logarithms).slope


def main() -> None:
    """Measure all sizes and print the table."""
    seconds: list[float] = []
    memory: list[float] = []
    print("| systems | plan, ms | memory, KiB |\n| --- | --- | --- |")
    for size in SIZES:
        command = [sys.executable, str(PROGRAM), f"plan_random_{size}", SAMPLES]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        report = json.loads(done.stdout)
        seconds.append(statistics.median(report["seconds"]))
        memory.append(max(report["memory_bytes"], 1))
        print(f"| {size} | {seconds[-1] * 1e3:.3g} | {memory[-1] / 1024:.0f} |", flush=True)
    time_exponent, memory_exponent = exponent(SIZES, seconds), exponent(SIZES, memory)
    print(f"\nTime grows as n^{time_exponent:.2f}, memory as n^{memory_exponent:.2f}.")


if __name__ == "__main__":
    main()
