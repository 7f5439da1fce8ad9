"""Builds what `bench_io` compares: C programs, and an environment with uvloop and trio.

The environment is of the Python that runs this, and in the build folder: nothing else changes.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import peers_env

HERE = Path(__file__).resolve().parent
TOP = HERE.parent
ENVIRONMENT = TOP / "build" / "bench" / "env"
PACKAGES = ("uvloop", "trio")


def build_programs() -> str | None:
    """The C programs; why not, or None."""
    command = ["make", "-s", "-f", "tests/c/build.mk", "VARIANT=release", "bench"]
    done = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=False)
    return (
        None
        if done.returncode == 0
        else f"Programs in C are not built: {peers_env.last_line(done)}"
    )


def build_all() -> list[str]:
    """Build what can be built; a sentence for each that cannot."""
    made = (build_programs(), peers_env.build(ENVIRONMENT, PACKAGES))
    return [text for text in made if text is not None]


def versions() -> dict[str, str]:
    """The versions of the packages in the environment."""
    return peers_env.versions(ENVIRONMENT, PACKAGES)


if __name__ == "__main__":
    for sentence in build_all():
        print(sentence, file=sys.stderr)
