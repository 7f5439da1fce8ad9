"""Programs named on the command line: ``FILE.py[:NAME]``.

The file is run as a module of its own, with its folder first on the import path, as Python does
with a script; no byte code is left beside it. NAME, by default ``main``, is a function without
arguments that returns ``(world, schedule)``. Whatever is wrong with it is one ``ProgramError``.
"""

from __future__ import annotations

import os
import sys
import traceback
import types
from pathlib import Path

import foliot as fo

DEFAULT_NAME = "main"


class ProgramError(Exception):
    """One sentence about what is wrong with a program."""


def split_target(target: str) -> tuple[Path, str]:
    """File and function of ``FILE.py[:NAME]``; a file that is called just so comes first.

    Example:
        >>> split_target("orbit.py:build")[1], split_target("orbit.py")[1]
        ('build', 'main')

    """
    head, colon, name = target.rpartition(":")
    if not colon or os.path.exists(target) or not (name == "" or name.isidentifier()):
        return Path(target), DEFAULT_NAME
    return Path(head), name or DEFAULT_NAME


def load_program(target: str) -> tuple[fo.World, fo.Schedule]:
    """Import the file, call the function, and check what it returns.

    ProgramError: the file is missing or does not import, or the function is missing, fails, or
    returns something else.
    """
    path, name = split_target(target)
    module = import_file(path)
    function = getattr(module, name, None)
    if function is None:
        raise ProgramError(f"{path} has no {name!r}{suggestion(module)}")
    if not callable(function):
        raise ProgramError(f"{path}: {name!r} is not a function but {type_of(function)}")
    try:
        result = function()
    except SystemExit as error:
        raise ProgramError(f"{path}: {name}() exits with {error.code!r}") from error
    except Exception as error:
        raise ProgramError(f"{path}: {name}() raised {described(error, path)}") from error
    if not (isinstance(result, tuple) and len(result) == 2):
        raise ProgramError(f"{path}: {name}() returned {type_of(result)}, not (world, schedule)")
    world, schedule = result
    if not (isinstance(world, fo.World) and isinstance(schedule, fo.Schedule)):
        kinds = f"({type_of(world)}, {type_of(schedule)})"
        raise ProgramError(f"{path}: {name}() returned {kinds}, not (world, schedule)")
    return world, schedule


def import_file(path: Path) -> types.ModuleType:
    """Run a file as a module; ProgramError if that fails."""
    try:
        source = path.read_bytes()
    except OSError as error:
        raise ProgramError(f"{path}: {error.strerror}") from error
    name = path.stem if path.stem not in sys.modules else f"_program_{path.stem}"
    module = types.ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module
    sys.path.insert(0, str(path.resolve().parent))
    try:
        exec(compile(source, str(path), "exec"), module.__dict__)
    except SystemExit as error:
        raise ProgramError(f"{path} exits when it is imported") from error
    except Exception as error:
        raise ProgramError(f"{path} does not import: {described(error, path)}") from error
    return module


def described(error: Exception, path: Path) -> str:
    """Type, message and line of an error, in one line."""
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {error.msg} (line {error.lineno})"
    lines = [
        entry.lineno
        for entry in traceback.extract_tb(error.__traceback__)
        if entry.filename == str(path)
    ]
    where = f" (line {lines[-1]})" if lines else ""
    message = " ".join(str(error).split())
    return f"{type(error).__name__}{': ' if message else ''}{message}{where}"


def suggestion(module: types.ModuleType) -> str:
    """The functions a program does define, as the end of a sentence."""
    names = [
        name
        for name, value in vars(module).items()
        if isinstance(value, types.FunctionType) and value.__module__ == module.__name__
    ]
    return f"; its functions are {', '.join(names)}" if names else ""


def type_of(value: object) -> str:
    """The name of a value's type, with the size where it says more."""
    if isinstance(value, tuple):
        return f"a tuple of {len(value)}"
    return "None" if value is None else type(value).__name__
