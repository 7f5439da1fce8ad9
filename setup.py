"""Build of the extension module ``foliot._core``; everything else stands in ``pyproject.toml``.

Every C file under ``csrc/`` is compiled into one extension. Objects go to a folder of their build
variant and are compiled again only when the file itself, a header it includes, or the command line
has changed.

Environment:
    FOLIOT_SANITIZE=address,undefined or thread, FOLIOT_DEBUG=1, FOLIOT_COVERAGE=1: build variants.
    FOLIOT_WERROR=1: warnings are errors.
    FOLIOT_JOBS=N: compile jobs, by default one per CPU and at least two.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
LIBRARIES = {"liburing": "2.3", "hwloc": "2.0"}
INSTALL_LINES = {
    "Debian/Ubuntu": "sudo apt-get install pkg-config liburing-dev libhwloc-dev",
    "Fedora": "sudo dnf install pkgconf-pkg-config liburing-devel hwloc-devel",
    "Arch": "sudo pacman -S pkgconf liburing hwloc",
}
FLAGS = [
    "-std=c11",
    "-D_GNU_SOURCE",
    "-fvisibility=hidden",
    "-fPIC",
    "-pthread",
    "-Wall",
    "-Wextra",
]


def pkg_config(*arguments: str) -> list[str]:
    """Flags of the libraries from pkg-config; stops with the install lines if one is missing."""
    tool = shutil.which(os.environ.get("PKG_CONFIG", "pkg-config"))
    wanted = [f"{name} >= {version}" for name, version in LIBRARIES.items()]
    missing = [
        name
        for name, terms in zip(LIBRARIES, wanted, strict=True)
        if tool is None or subprocess.run([tool, "--exists", terms], check=False).returncode != 0
    ]
    if tool is None or missing:
        lack = " and ".join(missing) if tool else "pkg-config"
        lines = "\n".join(f"  {system + ':':15} {line}" for system, line in INSTALL_LINES.items())
        raise SystemExit(f"foliot cannot be built: {lack} not found. Install with\n{lines}")
    answer = subprocess.run(
        [tool, *arguments, *LIBRARIES], check=True, capture_output=True, text=True
    )
    return shlex.split(answer.stdout)


def variant_flags() -> tuple[str, list[str], list[str]]:
    """Name, compile flags and link flags of the build variant the environment asks for."""
    sanitize = os.environ.get("FOLIOT_SANITIZE", "")
    debug = os.environ.get("FOLIOT_DEBUG", "") == "1"
    names, compile_flags, link_flags = [], ["-O2"], []
    if debug:
        names.append("debug")
        compile_flags = ["-O0", "-g", "-DFOL_VERIFY=1"]
    if sanitize:
        if not set(sanitize.split(",")) <= {"address", "undefined", "thread"}:
            raise SystemExit(f"FOLIOT_SANITIZE={sanitize}: address,undefined or thread is known.")
        names.append(sanitize.replace(",", "-"))
        compile_flags = ["-O1", "-g", "-DFOL_VERIFY=1", "-fno-omit-frame-pointer"]
        compile_flags += [f"-fsanitize={sanitize}", "-fno-sanitize-recover=all"]
        link_flags += [f"-fsanitize={sanitize}"]
    if os.environ.get("FOLIOT_COVERAGE", "") == "1":
        names.append("coverage")
        compile_flags = ["-O0", "-g", "--coverage"]
        link_flags += ["--coverage"]
    if os.environ.get("FOLIOT_WERROR", "") == "1":
        compile_flags.append("-Werror")
    return "-".join(names) or "release", compile_flags, link_flags


def is_stale(target: Path, depfile: Path, signature: str) -> bool:
    """Whether an object must be compiled: none is there, other flags, or a newer source."""
    stamp = target.with_suffix(".command")
    if not (target.exists() and depfile.exists() and stamp.exists()):
        return True
    if stamp.read_text() != signature:
        return True
    made = target.stat().st_mtime_ns
    names = depfile.read_text().replace("\\\n", " ").partition(":")[2].split()
    # A header that has gone makes the object stale as well.
    return any(not Path(name).exists() or Path(name).stat().st_mtime_ns > made for name in names)


class BuildExtension(build_ext):
    """Compiles the stale C files in parallel and links the extension when any object is newer."""

    def build_extension(self, ext: Extension) -> None:
        variant, compile_flags, link_flags = variant_flags()
        compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
        compiler = [compiler[0], *(word for word in compiler[1:] if word != "-pthread")]
        includes = [f"-I{folder}" for folder in (*ext.include_dirs, sysconfig.get_path("include"))]
        flags = [*FLAGS, *compile_flags, *includes, *pkg_config("--cflags")]
        flags += shlex.split(os.environ.get("CFLAGS", ""))
        objects_dir = Path(self.build_temp) / variant
        sources = [Path(source) for source in ext.sources]
        objects = [objects_dir / source.with_suffix(".o") for source in sources]
        self.compile_stale([*compiler, *flags], sources, objects)

        target = Path(self.get_ext_fullpath(ext.name))
        link = [*compiler, "-shared", "-pthread", *link_flags, *map(str, objects)]
        link += [
            *pkg_config("--libs"),
            *shlex.split(os.environ.get("LDFLAGS", "")),
            "-o",
            str(target),
        ]
        stamp = objects_dir / f"{target.name}.link"
        newest = max(item.stat().st_mtime_ns for item in objects)
        signature = shlex.join(link)
        if not (
            target.exists()
            and stamp.exists()
            and stamp.read_text() == f"{signature}\n{target.stat().st_mtime_ns}"
            and target.stat().st_mtime_ns >= newest
        ):
            target.parent.mkdir(parents=True, exist_ok=True)
            run_step(f"link {target.name} ({variant})", link)
            stamp.write_text(f"{signature}\n{target.stat().st_mtime_ns}")

    def compile_stale(self, command: list[str], sources: list[Path], objects: list[Path]) -> None:
        """Compile what is stale, several at a time; the first failure stops the build."""
        signature = shlex.join(command)
        pairs = list(zip(sources, objects, strict=True))
        stale = [pair for pair in pairs if is_stale(pair[1], pair[1].with_suffix(".d"), signature)]
        jobs = int(os.environ.get("FOLIOT_JOBS", "0")) or max(2, os.cpu_count() or 1)

        def compile_one(numbered: tuple[int, tuple[Path, Path]]) -> None:
            number, (source, target) = numbered
            target.parent.mkdir(parents=True, exist_ok=True)
            steps = ["-MMD", "-MF", str(target.with_suffix(".d")), "-c", str(source)]
            run_step(f"[{number}/{len(stale)}] {source}", [*command, *steps, "-o", str(target)])
            target.with_suffix(".command").write_text(signature)

        with ThreadPoolExecutor(jobs) as pool:
            futures = [pool.submit(compile_one, item) for item in enumerate(stale, 1)]
            try:
                for future in futures:
                    future.result()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise


class BuildPackage(build_py):
    """Adds the public C headers to the package, as ``foliot/include/foliot``."""

    def headers(self) -> dict[str, str]:
        """Map of each built header to its source."""
        folder = Path(self.build_lib) / "foliot" / "include" / "foliot"
        return {
            str(folder / path.name): str(path)
            for path in sorted(Path("include/foliot").glob("*.h"))
        }

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        for target, source in self.headers().items():
            self.mkpath(str(Path(target).parent))
            self.copy_file(source, target)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        return [
            *super().get_outputs(include_bytecode),
            *([] if self.editable_mode else self.headers()),
        ]

    def get_output_mapping(self) -> dict[str, str]:
        return {**super().get_output_mapping(), **({} if self.editable_mode else self.headers())}


def run_step(title: str, command: list[str]) -> None:
    """Run one compiler command, showing its title first and its command line when it fails."""
    # One write, so that the lines of parallel jobs stay whole.
    sys.stdout.write(f"{title}\n")
    sys.stdout.flush()
    if subprocess.run(command, check=False).returncode != 0:
        raise SystemExit(f"{title}: failed:\n  {shlex.join(command)}")


def files_below(folder: str, pattern: str) -> list[str]:
    """Paths below a folder of the source tree, relative to it and sorted."""
    return sorted(str(path.relative_to(ROOT)) for path in (ROOT / folder).rglob(pattern))


if sys.platform != "linux":
    raise SystemExit("foliot runs on Linux only: it is built on io_uring, futexes and cgroups.")

setup(
    ext_modules=[
        Extension(
            "foliot._core",
            sources=files_below("csrc", "*.c"),
            depends=[*files_below("csrc", "*.h"), *files_below("include", "*.h")],
            include_dirs=["csrc", "include"],
        )
    ],
    cmdclass={"build_ext": BuildExtension, "build_py": BuildPackage},
)
