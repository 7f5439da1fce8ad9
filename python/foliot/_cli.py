"""The command line: ``python -m foliot demo | run | plan | doctor | sim``.

Exit status: 0 done; 1 a system failed or exited, or the demo disagrees with its check; 2 the
command line, or a file that it names, is at fault, told in one line on stderr; 130 Ctrl-C. What a
command needs is imported when it runs.
"""

from __future__ import annotations

import argparse
import errno
import json
import math
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import foliot as fo

PROGRAM = "python -m foliot"
WORKERS_MAX = 254
INTERRUPTED = 130
BROKEN_PIPE = 141


class CommandError(Exception):
    """The command cannot be done as it was given: one line on stderr, exit status 2."""


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the command line and exit with 2."""
        self.exit(2, f"{self.prog}: {message} (--help shows how it is used)\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    for stream in (sys.stdout, sys.stderr):
        # A name that the terminal's encoding lacks is no reason to fail.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    parser = make_parser()
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help()
        return 0
    command = f"{PROGRAM} {options.command}"
    try:
        status: int = COMMANDS[options.command](options)
        sys.stdout.flush()
    except CommandError as error:
        print(f"{command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{command}: stopped", file=sys.stderr)
        return INTERRUPTED
    except fo.FoliotError as error:
        print(f"{command}: {type(error).__name__}: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Nobody reads any more; what is still buffered must not fail at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    return status


def make_parser() -> Parser:
    """The parser of the whole command line."""
    parser = Parser(
        prog=PROGRAM,
        description="A scheduler you can take apart and tune.",
        epilog="Each command has its own --help. Start with: python -m foliot demo",
    )
    parser.add_argument("--version", action="version", version=f"foliot {fo.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser)
    add_demo(commands)
    add_run(commands)
    add_plan(commands)
    add_doctor(commands)
    add_sim(commands)
    return parser


def add_command(
    commands: argparse._SubParsersAction[Parser], name: str, what: str, examples: Sequence[str]
) -> Parser:
    """One command with its description and examples."""
    shown = "\n".join(f"  {PROGRAM} {name} {example}".rstrip() for example in examples)
    return commands.add_parser(
        name,
        help=what,
        description=f"{what[0].upper()}{what[1:]}.",
        epilog=f"examples:\n{shown}" if examples else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_demo(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add ``demo``."""
    command = add_command(
        commands,
        "demo",
        "count bytes, lines and words of every file below a directory, and check the counts",
        ["", "~/src --workers 4", ". --backend blocking --json"],
    )
    command.add_argument(
        "directory", metavar="DIR", nargs="?", help="default: this Python's own library"
    )
    command.add_argument(
        "--backend",
        choices=("all", *fo.BACKENDS),
        default="all",
        metavar="all|NAME",
        help=f"all that are here (default), or one of {', '.join(fo.BACKENDS)}",
    )
    add_workers(command)
    command.add_argument("--json", action="store_true", help="one JSON object, no progress")


def add_run(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add ``run``."""
    command = add_command(
        commands,
        "run",
        "run a program's schedule over its world, and show where the time went",
        ["orbit.py", "orbit.py:build --ticks 600 --rate 0", "orbit.py --backend blocking"],
    )
    add_program(command)
    command.add_argument(
        "--ticks", type=whole, metavar="N", help="frames to run (default: until Ctrl-C)"
    )
    command.add_argument(
        "--rate",
        type=rate,
        default=60.0,
        metavar="HZ",
        help="frames a second (default: 60); 0: as fast as they go, each 1/60 s long",
    )
    command.add_argument(
        "--backend", choices=fo.BACKENDS, metavar="B", help=f"one of {', '.join(fo.BACKENDS)}"
    )
    add_workers(command)
    command.add_argument(
        "--trace",
        metavar="OUT.json",
        help="write a trace for Perfetto of the last frames (compressed when it ends with .gz)",
    )


def add_plan(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add ``plan``."""
    command = add_command(
        commands,
        "plan",
        "show in which order and side by side with what a program's systems run",
        ["orbit.py", "orbit.py:build --dot | dot -Tsvg -o plan.svg", "orbit.py --json"],
    )
    add_program(command)
    form = command.add_mutually_exclusive_group()
    form.add_argument("--dot", action="store_true", help="as a Graphviz graph")
    form.add_argument("--json", action="store_true", help="as one JSON object")


def add_doctor(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add ``doctor``."""
    command = add_command(
        commands, "doctor", "look at this machine and say what foliot lacks here", ["", "--json"]
    )
    command.add_argument("--json", action="store_true", help="one JSON object")


def add_sim(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add ``sim``."""
    from foliot import _cli_sim

    command = add_command(commands, "sim", "simulate a workload on virtual CPUs", _cli_sim.EXAMPLES)
    _cli_sim.add_arguments(command)


def add_program(command: Parser) -> None:
    """Add the program argument that ``run`` and ``plan`` share."""
    command.add_argument(
        "program",
        metavar="FILE.py[:NAME]",
        help="NAME (default: main) is a function that returns (world, schedule)",
    )


def add_workers(command: Parser) -> None:
    """Add ``--workers``."""
    command.add_argument(
        "--workers",
        type=positive,
        metavar="N",
        help="threads (default: as many as processors this process may use)",
    )


def whole(text: str) -> int:
    """A number of frames, 0 to 2**31 - 1."""
    if not (text.isdecimal() and int(text) < 2**31):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to 2**31 - 1")
    return int(text)


def positive(text: str) -> int:
    """A number of threads."""
    if not (text.isdecimal() and 1 <= int(text) <= WORKERS_MAX):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {WORKERS_MAX}")
    return int(text)


def rate(text: str) -> float:
    """Frames a second; 0 stands for no pace."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (value == 0 or 1e-6 <= value <= 1e9):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a rate: 0, or 1e-6 to 1e9 frames a second"
        )
    return value


def demo_command(options: argparse.Namespace) -> int:
    """Do ``demo``."""
    from foliot import demo

    try:
        root = demo.directory_of(options.directory)
    except OSError as error:
        raise CommandError(f"{options.directory}: {error.strerror}") from error
    check_settings(None if options.backend == "all" else options.backend, options.workers)
    return demo.main(root, backend=options.backend, workers=options.workers, as_json=options.json)


def run_command(options: argparse.Namespace) -> int:
    """Do ``run``."""
    if options.trace is not None:
        check_trace(options.trace)
    world, schedule = load(options.program)
    plan_of(schedule)
    if options.rate and 1 / options.rate > world.config.max_dt:
        raise CommandError(
            f"--rate {options.rate:g}: a frame is then longer than Config.max_dt allows"
        )
    from foliot._run import Drive, exit_line, failures

    check_settings(options.backend, options.workers)
    with open_scheduler(world, schedule, options) as scheduler:
        drive = Drive(scheduler, options.rate, options.ticks)
        drive.run()
        print(drive.summary(), flush=True)
        if options.trace is not None:
            save_trace(scheduler.trace, options.trace)
    if drive.was_interrupted:
        raise KeyboardInterrupt
    if drive.exit is not None:
        print(f"{PROGRAM} run: {exit_line(drive.exit)}", file=sys.stderr)
        return 1
    if drive.failure is not None:
        for line in failures(drive.failure):
            print(f"{PROGRAM} run: {line}", file=sys.stderr)
        return 1
    return 0


def plan_command(options: argparse.Namespace) -> int:
    """Do ``plan``."""
    plan = plan_of(load(options.program)[1])
    if options.dot:
        print(plan.to_dot())
    elif options.json:
        print(json.dumps(plan.to_dict(), indent=2))
    else:
        print(plan)
    return 0


def doctor_command(options: argparse.Namespace) -> int:
    """Do ``doctor``."""
    from foliot import _doctor

    return _doctor.main(as_json=options.json)


def sim_command(options: argparse.Namespace) -> int:
    """Do ``sim``."""
    from foliot import _cli_sim

    try:
        return _cli_sim.main(options)
    except _cli_sim.SimError as error:
        raise CommandError(str(error)) from error


def load(target: str) -> tuple[fo.World, fo.Schedule]:
    """World and schedule of a program; CommandError if it is at fault."""
    from foliot._program import ProgramError, load_program

    try:
        return load_program(target)
    except ProgramError as error:
        raise CommandError(str(error)) from error


def check_trace(path: str) -> None:
    """CommandError if no file can be made there; told before anything runs."""
    folder = os.path.dirname(path) or os.curdir
    if os.path.isdir(path):
        raise CommandError(f"--trace {path}: {os.strerror(errno.EISDIR)}")
    if not os.path.isdir(folder):
        raise CommandError(f"--trace {path}: {os.strerror(errno.ENOENT)}")
    if not os.access(folder, os.W_OK):
        raise CommandError(f"--trace {path}: {os.strerror(errno.EACCES)}")


def save_trace(trace: fo.Trace, path: str) -> None:
    """Write the trace of a run, and say on stderr what to do with it."""
    try:
        trace.save(path)
    except OSError as error:
        raise CommandError(f"--trace {path}: {error.strerror}") from error
    lost = f"; {trace.lost:,} older records were overwritten" if trace.lost else ""
    print(f"trace     {path}: open it in https://ui.perfetto.dev{lost}", file=sys.stderr)


def check_settings(backend: str | None, workers: int | None) -> None:
    """CommandError if what is left to FOLIOT_BACKEND and FOLIOT_WORKERS is wrong there."""
    try:
        fo.Scheduler(fo.World(), fo.Schedule(), backend=backend, workers=workers).close()
    except (ValueError, OSError) as error:
        raise CommandError(str(error)) from error


def open_scheduler(
    world: fo.World, schedule: fo.Schedule, options: argparse.Namespace
) -> fo.Scheduler:
    """The scheduler of a program; CommandError if its world has no room for the schedule."""
    try:
        return fo.Scheduler(
            world,
            schedule,
            backend=options.backend,
            workers=options.workers,
            trace=options.trace is not None,
        )
    except OSError as error:
        raise CommandError(f"--workers: {error}") from error
    except (fo.CapacityError, ValueError) as error:
        raise CommandError(" ".join(str(error).split())) from error


def plan_of(schedule: fo.Schedule) -> fo.Plan:
    """The plan of a schedule; CommandError if there is none."""
    try:
        return schedule.plan()
    except fo.ScheduleError as error:
        raise CommandError(" ".join(str(error).split())) from error


COMMANDS = {
    "demo": demo_command,
    "run": run_command,
    "plan": plan_command,
    "doctor": doctor_command,
    "sim": sim_command,
}
