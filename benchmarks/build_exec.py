"""Builds the contenders of `bench_exec`, each with its own compiler; what lacks one is left out.

Nothing is installed: what is absent is said in a sentence, with what would bring it. Taskflow's
headers are the exception, because Debian 12 has no package of them: `--fetch-taskflow` unpacks that
of Debian 13 into the build folder, through apt and beside the machine's own package lists.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOP = HERE.parent
PEERS = TOP / "build" / "peers"
TASKFLOW = PEERS / "taskflow"
CXX_FLAGS = ["-std=c++17", "-O3", "-march=native", "-pthread"]
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
SOURCE = f"""Types: deb
URIs: http://deb.debian.org/debian
Suites: trixie
Components: main
Signed-By: {KEYRING}
"""


def find_go() -> str | None:
    """The Go compiler: on the path, or where its archive is unpacked by custom."""
    customary = "/usr/local/go/bin/go"
    found = shutil.which("go")
    return found or (customary if os.access(customary, os.X_OK) else None)


def is_older(target: Path, sources: Iterable[Path]) -> bool:
    """Whether a source has changed since the target was made."""
    if not target.exists():
        return True
    made = target.stat().st_mtime
    return any(source.stat().st_mtime > made for source in sources)


def run(command: list[str], cwd: Path | None = None) -> str | None:
    """Run a compiler; None, or the last line of what it complained about."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return None
    lines = done.stderr.strip().splitlines()
    return lines[-1] if lines else f"exit code {done.returncode}"


def compiles(compiler: str, header: str, flags: list[str]) -> bool:
    """Whether a header can be included."""
    command = [compiler, *CXX_FLAGS, *flags, "-fsyntax-only", "-x", "c++", "-"]
    text = f"#include <{header}>\nint main() {{}}\n"
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    return done.returncode == 0


def build_rust(name: str, hosted: str) -> str | None:
    """The Rust crate that hosts these libraries; why not, or None."""
    if shutil.which("cargo") is None:
        return f"{hosted} are left out: there is no cargo here, it comes with Rust 1.85 or newer."
    command = ["cargo", "build", "--release", "--locked", "-j1", "--target-dir", str(PEERS)]
    failure = run(command, HERE / name)
    return None if failure is None else f"{hosted} are left out: {failure}"


def build_go() -> str | None:
    """The goroutines; why not, or None."""
    go = find_go()
    if go is None:
        return "Go is left out: there is no go compiler here."
    target = PEERS / "go" / "tasks"
    failure = run([go, "build", "-p", "1", "-o", str(target), "."], HERE / "peers_go")
    return None if failure is None else f"Go is left out: {failure}"


def build_cpp(library: str, header: str, flags: list[str], hint: str) -> str | None:
    """The C++ program of a library; why not, or None."""
    name = {"oneTBB": "tbb", "Taskflow": "taskflow"}[library]
    compiler = shutil.which("g++")
    if compiler is None:
        return f"{library} is left out: there is no g++ here."
    source = HERE / "peers_cpp" / f"{name}.cpp"
    target = PEERS / "cpp" / name
    if not is_older(target, (HERE / "peers_cpp").iterdir()):
        return None
    includes = [flag for flag in flags if not flag.startswith("-l")]
    if not compiles(compiler, header, includes):
        target.unlink(missing_ok=True)
        return f"{library} is left out: {hint}"
    target.parent.mkdir(parents=True, exist_ok=True)
    libraries = [flag for flag in flags if flag.startswith("-l")]
    command = [compiler, *CXX_FLAGS, *includes, str(source), *libraries, "-o", str(target)]
    failure = run(command)
    return None if failure is None else f"{library} is left out: {failure}"


def fetch_taskflow() -> str | None:
    """Unpack the package of Taskflow's headers; why not, or None.

    apt gets folders of its own for lists and archives, so that the machine's stay as they are.
    """
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        return "Taskflow's headers are not fetched: apt-get and dpkg-deb are needed for it."
    apt = PEERS / "apt"
    for folder in ("lists/partial", "cache/archives/partial", "parts", "packages"):
        (apt / folder).mkdir(parents=True, exist_ok=True)
    (apt / "parts" / "debian.sources").write_text(SOURCE, encoding="ascii")
    options = [
        f"Dir::Etc::sourceparts={apt / 'parts'}",
        "Dir::Etc::sourcelist=/dev/null",
        f"Dir::State::lists={apt / 'lists'}",
        f"Dir::Cache={apt / 'cache'}",
    ]
    apt_get = ["apt-get", "-q", *(word for option in options for word in ("-o", option))]
    failure = run([*apt_get, "update"]) or run(
        [*apt_get, "download", "libtaskflow-cpp-dev"], apt / "packages"
    )
    packages = sorted((apt / "packages").glob("libtaskflow-cpp-dev_*.deb"))
    if failure is None and packages:
        TASKFLOW.mkdir(parents=True, exist_ok=True)
        failure = run(["dpkg-deb", "-x", str(packages[-1]), str(TASKFLOW)])
    return None if failure is None else f"Taskflow's headers are not fetched: {failure}"


def build_all() -> list[str]:
    """Build what can be built; a sentence for each that cannot."""
    taskflow_include = TASKFLOW / "usr" / "include"
    results = (
        build_rust("peers", "flecs, bevy_ecs, hecs, shipyard and legion"),
        build_rust("peers_tasks", "crossbeam-deque, rayon and tokio"),
        build_go(),
        build_cpp(
            "oneTBB",
            "tbb/flow_graph.h",
            ["-ltbb"],
            "its headers are not installed, Debian has them in libtbb-dev.",
        ),
        build_cpp(
            "Taskflow",
            "taskflow/taskflow.hpp",
            ["-isystem", str(taskflow_include)],
            "its headers are not installed, Debian 13 has them in libtaskflow-cpp-dev, and "
            "`python benchmarks/build_exec.py --fetch-taskflow` gets them elsewhere.",
        ),
    )
    return [sentence for sentence in results if sentence is not None]


def main() -> int:
    """Build everything and say what is left out."""
    parser = argparse.ArgumentParser(description="Build the contenders of bench_exec.")
    parser.add_argument("--fetch-taskflow", action="store_true", help="get Taskflow's headers")
    options = parser.parse_args()
    failure = fetch_taskflow() if options.fetch_taskflow else None
    for sentence in [*([failure] if failure else []), *build_all()]:
        print(sentence)
    return 0


if __name__ == "__main__":
    sys.exit(main())
