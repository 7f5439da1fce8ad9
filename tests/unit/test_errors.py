"""Exceptions, and the settings that name capacities."""

import dataclasses
import subprocess
import sys
import textwrap

import foliot as fo
import pytest
from foliot import _core


@pytest.mark.parametrize(
    ("error", "built_in"),
    [
        (fo.StaleHandleError, LookupError),
        (fo.ScheduleError, ValueError),
        (fo.OrderCycleError, fo.ScheduleError),
        (fo.UnknownPhaseError, fo.ScheduleError),
        (fo.DuplicateSystemError, fo.ScheduleError),
        (fo.UnknownSystemError, fo.ScheduleError),
        (fo.KernelSignatureError, TypeError),
        (fo.FrameError, ExceptionGroup),
        (fo.WorldBusyError, RuntimeError),
        (fo.CapacityError, RuntimeError),
        (fo.AccessError, RuntimeError),
    ],
)
def test_error_is_of_foliot_and_of_its_built_in_kind(error, built_in):
    assert issubclass(error, fo.FoliotError)
    assert issubclass(error, built_in)


def test_part_of_a_frame_error_is_a_frame_error():
    error = fo.FrameError("frame 0", [ValueError("a"), KeyError("b")])
    part, rest = error.split(KeyError)
    assert type(part) is type(rest) is fo.FrameError
    assert part.message == "frame 0"


@pytest.mark.parametrize(
    ("setting", "wrong"),
    [
        ("target_task_seconds", 0.9e-6),
        ("target_task_seconds", 1.1),
        ("target_task_seconds", float("nan")),
        ("steal_batch", -1),
        ("steal_batch", 65_537),
    ],
)
def test_settings_of_workers_have_bounds(setting, wrong):
    with pytest.raises(ValueError, match=f"Config.{setting} is from"):
        fo.Config(**{setting: wrong})


@pytest.mark.parametrize(
    ("setting", "wrong"),
    [("target_task_seconds", "1"), ("steal_batch", 1.0), ("require_workers", 1)],
)
def test_settings_of_workers_are_of_their_kind(setting, wrong):
    with pytest.raises(TypeError, match=f"Config.{setting} is"):
        fo.Config(**{setting: wrong})


def test_settings_of_workers_are_taken(backend):
    config = fo.Config(target_task_seconds=1, steal_batch=4, require_workers=True)
    assert config.target_task_seconds == 1.0
    with fo.Scheduler(fo.World(config), fo.Schedule(), backend=backend, workers=2) as scheduler:
        scheduler.tick(0.1)


def test_config_has_bounds():
    with pytest.raises(ValueError, match=r"Config\.max_entities is from 1 to \d+, got 0"):
        fo.Config(max_entities=0)
    with pytest.raises(TypeError, match=r"Config\.max_tables is an integer, got 1\.5"):
        fo.Config(max_tables=1.5)
    with pytest.raises(ValueError, match=r"Config\.max_dt is finite"):
        fo.Config(max_dt=float("nan"))
    with pytest.raises(TypeError, match=r"Config\.max_dt is a number"):
        fo.Config(max_dt="1")


def test_config_does_not_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        fo.Config().max_entities = 3


def test_world_keeps_its_config():
    config = fo.Config(max_entities=3)
    assert fo.World(config).config is config


def test_world_refuses_something_that_is_no_config():
    with pytest.raises(TypeError, match=r"config is a foliot\.Config, got \{\}"):
        fo.World({})


def test_smallest_and_largest_configs_make_worlds():
    fo.World(fo.Config(max_entities=1, max_components=1, max_tables=1))
    fo.World(fo.Config(max_entities=2**32 - 3, max_tables=2**20))


def test_private_names_stay_private():
    assert not hasattr(_core, "_QueryCore")
    assert "Value" not in dir(fo)


def test_subinterpreter_is_told_that_it_cannot_import_foliot():
    script = textwrap.dedent(
        """
        import os, sys
        try:
            import _xxsubinterpreters as interpreters
        except ImportError:
            import _interpreters as interpreters
        text = '''
        import sys
        sys.path[:] = %r
        try:
            from foliot import _core
        except ImportError as error:
            print("refused:", error, flush=True)
        ''' % (sys.path,)
        import textwrap
        interpreters.run_string(interpreters.create(), textwrap.dedent(text))
        os._exit(0)
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60
    )
    assert "refused:" in done.stdout, done.stdout + done.stderr
