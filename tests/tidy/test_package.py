"""The package is put together as it says: versions, headers, requirements."""

import shutil
import subprocess
import sys
import tomllib

import foliot
import pytest
from tidy import sources

PROJECT = tomllib.loads(sources.read("pyproject.toml"))["project"]
COMPILERS = [["cc", "-x", "c", "-std=c11"]]
if shutil.which("g++"):
    COMPILERS.append(["g++", "-x", "c++", "-std=c++17"])
HEADERS = sorted(path.name for path in (sources.ROOT / "include/foliot").glob("*.h"))


def test_version_is_the_same_in_package_and_project():
    assert foliot.__version__ == PROJECT["version"]


def test_numpy_is_the_only_hard_dependency():
    assert [line.partition(">")[0] for line in PROJECT["dependencies"]] == ["numpy"]


@pytest.mark.parametrize("compiler", COMPILERS, ids=" ".join)
@pytest.mark.parametrize("header", HEADERS)
def test_public_header_compiles_alone(header, compiler):
    flags = ["-Wall", "-Wextra", "-Werror", "-pedantic", "-fsyntax-only"]
    answer = subprocess.run(
        [*compiler, *flags, "-I", foliot.get_include(), "-"],
        input=f'#include "foliot/{header}"\n#include "foliot/{header}"\n',
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr


def test_import_pulls_in_no_extra():
    program = "import sys, foliot; print(*sys.modules)"
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    loaded = set(answer.stdout.split())
    assert not loaded & {"cffi", "numba", "matplotlib", "tqdm", "hypothesis", "asyncio"}
