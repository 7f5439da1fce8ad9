"""Builds what `bench_io` compares: C programs, and an environment with uvloop and trio.

The environment is of the Python that runs this, and in the build folder: nothing else changes.
"""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOP = HERE.parent
ENVIRONMENT = TOP / "build" / "bench" / "env"
PACKAGES = ("uvloop", "trio")


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    """What a program complained about."""
    lines = done.stderr.strip().splitlines()
    return lines[-1] if lines else f"exit code {done.returncode}"


def build_programs() -> str | None:
    """The C programs; why not, or None."""
    command = ["make", "-s", "-f", "tests/c/build.mk", "VARIANT=release", "bench"]
    done = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else f"Programs in C are not built: {last_line(done)}"


def build_environment() -> str | None:
    """The environment of the peers; why not, or None."""
    python = ENVIRONMENT / "bin" / "python"
    if not python.exists():
        venv.create(ENVIRONMENT, with_pip=True)
    command = [str(python), "-m", "pip", "install", "-q", *PACKAGES]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else f"uvloop and trio are left out: {last_line(done)}"


def build_all() -> list[str]:
    """Build what can be built; a sentence for each that cannot."""
    return [text for text in (build_programs(), build_environment()) if text is not None]


def versions() -> dict[str, str]:
    """The versions of the packages in the environment."""
    python = ENVIRONMENT / "bin" / "python"
    if not python.exists():
        return {}
    code = (
        "from importlib import metadata\n"
        f"for name in {PACKAGES!r}:\n"
        "    print(name, metadata.version(name))"
    )
    done = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=False)
    pairs = (line.partition(" ") for line in done.stdout.splitlines())
    return {name: version for name, _, version in pairs}


if __name__ == "__main__":
    for sentence in build_all():
        print(sentence, file=sys.stderr)
