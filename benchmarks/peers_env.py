"""An environment of its own for the Python peers of a comparison, in the build folder."""

from __future__ import annotations

import subprocess
import venv
from collections.abc import Sequence
from pathlib import Path


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    """What a program complained about."""
    lines = done.stderr.strip().splitlines()
    return lines[-1] if lines else f"exit code {done.returncode}"


def python_of(environment: Path) -> Path:
    """Its interpreter, which is there when it has been built."""
    return environment / "bin" / "python"


def build(environment: Path, packages: Sequence[str]) -> str | None:
    """Make it, of the Python that runs this, with the packages; why that failed, or None."""
    python = python_of(environment)
    if not python.exists():
        venv.create(environment, with_pip=True)
    command = [str(python), "-m", "pip", "install", "-q", *packages]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return None
    return f"{' and '.join(packages)} are left out: {last_line(done)}"


def versions(environment: Path, packages: Sequence[str]) -> dict[str, str]:
    """The versions of those packages in it; none while it is not there."""
    python = python_of(environment)
    if not python.exists():
        return {}
    code = (
        "from importlib import metadata\n"
        f"for name in {tuple(packages)!r}:\n"
        "    print(name, metadata.version(name))"
    )
    done = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=False)
    pairs = (line.partition(" ") for line in done.stdout.splitlines())
    return {name: version for name, _, version in pairs}
