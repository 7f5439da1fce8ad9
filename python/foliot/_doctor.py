"""What this machine offers foliot, and what to do about each thing it lacks.

``python -m foliot doctor`` prints the report of this module. Every line is a *finding*: what was
looked at, what was found, whether it is good enough, and one sentence about what to do if it is
not. Nothing is changed and nothing is kept open.
"""

from __future__ import annotations

import ctypes
import dataclasses
import importlib.metadata
import importlib.util
import json
import os
import platform
import resource
import sys
import sysconfig
import textwrap
from pathlib import Path
from typing import Any, Literal

from foliot import _core
from foliot._io import report_of

_CAP_IPC_LOCK = 14
_CAP_SYS_NICE = 23
_PR_GET_TIMERSLACK = 30
_RING_KERNEL = (5, 11)
_DEFERRED_KERNEL = (6, 1)
_EXTRAS = {
    "cffi": "native",
    "numba": "native",
    "matplotlib": "plot",
    "tqdm": "progress",
    "optuna": "tune",
    "distributed": "tune",
}


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: What it is.
        value: What was found, for people.
        level: ``"ok"``; ``"note"``, foliot runs without it; ``"lack"``, something foliot offers
            will not work.
        advice: One sentence about what to do; empty when there is nothing to do.

    """

    name: str
    value: str
    level: Literal["ok", "note", "lack"] = "ok"
    advice: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Section:
    """Findings that belong together, with the raw numbers behind them.

    Attributes:
        title: What the findings are about.
        findings: In the order they are shown.
        details: Plain data for programs, as JSON has it.

    """

    title: str
    findings: tuple[Finding, ...]
    details: dict[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class DoctorReport:
    """The whole report: kernel, io_uring, processors, workers, realtime, Python and extras."""

    sections: tuple[Section, ...]

    @property
    def lacks(self) -> tuple[Finding, ...]:
        """Findings that keep something foliot offers from working."""
        return tuple(
            finding
            for section in self.sections
            for finding in section.findings
            if finding.level == "lack"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data: section title to findings and details."""
        return {
            section.title: {
                "findings": [dataclasses.asdict(finding) for finding in section.findings],
                "details": section.details,
            }
            for section in self.sections
        }

    def to_json(self) -> str:
        """The report as one JSON object."""
        return json.dumps(self.to_dict(), indent=2)

    def to_text(self) -> str:
        """The report for a terminal."""
        marks = {"ok": "ok  ", "note": "note", "lack": "LACK"}
        lines: list[str] = []
        for section in self.sections:
            lines.append(section.title)
            for finding in section.findings:
                opening = f"  {marks[finding.level]} {finding.name + ':':22} "
                lines += _wrapped(opening, finding.value)
                if finding.advice:
                    lines += _wrapped(" " * len(opening) + "-> ", finding.advice)
        count = len(self.lacks)
        lines.append("")
        lines.append(
            "Nothing is lacking."
            if count == 0
            else f"{_count(count, 'thing')} lacking: foliot runs, with the limits named above."
        )
        return "\n".join(lines)


def report() -> DoctorReport:
    """Look at everything and say what was found.

    Returns:
        The report; looking never fails, what cannot be read is reported as unknown.

    Example:
        >>> [section.title for section in report().sections]
        ['kernel', 'io_uring', 'processors', 'workers', 'realtime', 'python', 'extras']

    """
    return DoctorReport(
        (
            _kernel(platform.release(), platform.machine()),
            _io_uring(_core.probe_io_uring()),
            _processors(_core.topology(), Path("/sys")),
            _workers(),
            _realtime(Path("/proc")),
            _python(),
            _extras(),
        )
    )


def main(*, as_json: bool = False) -> int:
    """Print the report; the exit status is 0, a lack is not a failure of the command."""
    found = report()
    print(found.to_json() if as_json else found.to_text())
    return 0


def _kernel(release: str, machine: str) -> Section:
    version = _version_of(release)
    if version < _RING_KERNEL:
        finding = Finding(
            "Linux",
            release,
            "lack",
            "Run Linux 5.11 or newer for io_uring, 6.1 or newer for all of it.",
        )
    elif version < _DEFERRED_KERNEL:
        finding = Finding(
            "Linux", release, "note", "Linux 6.1 or newer lets rings defer completions: faster."
        )
    else:
        finding = Finding("Linux", release)
    return Section(
        "kernel",
        (finding, Finding("machine", machine)),
        {"release": release, "machine": machine, "version": list(version)},
    )


def _version_of(release: str) -> tuple[int, int]:
    """First two numbers of a kernel release; (0, 0) when it has none."""
    parts = release.split("-", 1)[0].split(".")
    if len(parts) < 2 or not (parts[0].isdigit() and parts[1].isdigit()):
        return (0, 0)
    return (int(parts[0]), int(parts[1]))


def _io_uring(probe: dict[str, Any]) -> Section:
    report = report_of(probe)
    findings = []
    if report.available:
        findings.append(Finding("round trip", "a no-operation went through"))
        findings.append(Finding("set-up flags", ", ".join(report.setup_flags) or "none (plain)"))
        if report.reason:
            findings.append(Finding("operations", report.reason, "note", report.cure))
        else:
            findings.append(Finding("operations", str(len(report.operations))))
        findings.append(Finding("features", ", ".join(report.features) or "none"))
    else:
        findings.append(
            Finding("round trip", f"not available: {report.reason}", "lack", report.cure)
        )
    findings += [Finding("stepped down from", str(attempt), "note") for attempt in report.attempts]
    return Section("io_uring", tuple(findings), probe)


def _processors(topology: dict[str, Any], sys_root: Path) -> Section:
    findings = [
        Finding(
            "hardware",
            ", ".join(
                _count(topology[key], noun)
                for key, noun in (
                    ("packages", "package"),
                    ("cores", "core"),
                    ("processors", "processor"),
                    ("numa_nodes", "NUMA node"),
                )
            ),
        )
    ]
    if topology["source"] != "hwloc":
        findings.append(
            Finding(
                "source",
                topology["source"],
                "note",
                "hwloc saw nothing, so packages and sharing are guesses: mount /sys here.",
            )
        )
    findings.append(_usable(topology))
    findings += [
        Finding(f"L{cache['level']} {cache['type']}", _cache_text(cache))
        for cache in topology["caches"]
    ]
    isolation = {
        name: _read_word(sys_root / "devices/system/cpu" / name)
        for name in ("isolated", "nohz_full")
    }
    for name, processors in isolation.items():
        if processors and processors != "(null)":
            findings.append(Finding(name, processors))
        else:
            findings.append(
                Finding(
                    name,
                    "none",
                    "note",
                    "Only for microsecond deadlines: set processors aside with the kernel"
                    f" parameter {'isolcpus' if name == 'isolated' else name}.",
                )
            )
    return Section("processors", tuple(findings), {**topology, **isolation})


def _usable(topology: dict[str, Any]) -> Finding:
    value = f"{topology['usable']} (affinity {topology['affinity']}"
    if topology["quota"] is not None:
        value += f", control group quota {topology['quota']:g}"
    value += ")"
    if topology["usable"] == 1:
        return Finding(
            "usable",
            value,
            "note",
            "One processor runs one worker: widen the affinity (taskset) or the control group's"
            " quota for more.",
        )
    return Finding("usable", value)


def _workers() -> Section:
    """What a scheduler made without arguments runs on, found by making one."""
    import foliot as fo

    given = os.environ.get("FOLIOT_WORKERS")
    why = f"FOLIOT_WORKERS={given}" if given else "as many as usable processors"
    try:
        with fo.Scheduler(fo.World(), fo.Schedule()) as scheduler:
            backend, count = scheduler.backend, len(scheduler.workers)
    except (ValueError, OSError) as error:
        lack = Finding(
            "scheduler", str(error), "lack", "Set FOLIOT_BACKEND and FOLIOT_WORKERS right."
        )
        return Section("workers", (lack,), {"error": str(error)})
    details = {
        "requested": backend.requested,
        "backend": backend.actual,
        "reason": backend.reason,
        "workers": count,
    }
    shown = Finding("backend", backend.actual)
    if backend.reason:
        shown = Finding("backend", f"{backend.actual}: {backend.reason}", "note")
        why = f"all that {backend.actual} has here"
    return Section("workers", (shown, Finding("workers", f"{count} ({why})")), details)


def _cache_text(cache: dict[str, Any]) -> str:
    size = cache["size"]
    unit = "KiB"
    amount = size / 1024
    if amount >= 1024:
        unit, amount = "MiB", amount / 1024
    text = f"{cache['count']} x {amount:g} {unit}, lines of {cache['line_size']} bytes"
    if cache["shared_by"]:
        sharers = cache["shared_by"]
        text += f", {'private' if sharers == 1 else f'shared by {sharers} processors'}"
    return text


def _realtime(proc: Path) -> Section:
    capabilities = _effective_capabilities(proc)
    priority = resource.getrlimit(resource.RLIMIT_RTPRIO)[0]
    locked = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
    runtime_us = _read_int(proc / "sys/kernel/sched_rt_runtime_us")
    period_us = _read_int(proc / "sys/kernel/sched_rt_period_us")
    slack_ns = _timer_slack_ns()
    can_nice = bool(capabilities >> _CAP_SYS_NICE & 1)
    can_lock = bool(capabilities >> _CAP_IPC_LOCK & 1)
    return Section(
        "realtime",
        (
            _nice_finding(can_nice, priority),
            _lock_finding(can_lock, locked),
            _throttle_finding(runtime_us, period_us),
            _slack_finding(slack_ns),
        ),
        {
            "cap_sys_nice": can_nice,
            "cap_ipc_lock": can_lock,
            "rtprio_limit": _limit(priority),
            "memlock_limit_bytes": _limit(locked),
            "sched_rt_runtime_us": runtime_us,
            "sched_rt_period_us": period_us,
            "timer_slack_ns": slack_ns,
        },
    )


def _nice_finding(can_nice: bool, priority: int) -> Finding:
    if can_nice:
        return Finding("realtime priority", "allowed (CAP_SYS_NICE)")
    if priority != 0:
        shown = "unlimited" if priority == resource.RLIM_INFINITY else str(priority)
        return Finding("realtime priority", f"allowed up to {shown} (RLIMIT_RTPRIO)")
    return Finding(
        "realtime priority",
        "not allowed",
        "lack",
        "Give the process CAP_SYS_NICE, or raise rtprio in /etc/security/limits.conf, to use"
        " SCHED_FIFO and SCHED_DEADLINE.",
    )


def _lock_finding(can_lock: bool, locked: int) -> Finding:
    if can_lock or locked == resource.RLIM_INFINITY:
        return Finding("locked memory", "unlimited")
    value = f"up to {locked // 1024} KiB"
    if locked >= 64 << 20:
        return Finding("locked memory", value)
    return Finding(
        "locked memory",
        value,
        "note",
        "Raise memlock in /etc/security/limits.conf (ulimit -l) to pin the world and I/O buffers.",
    )


def _throttle_finding(runtime_us: int | None, period_us: int | None) -> Finding:
    if runtime_us is None or period_us is None:
        return Finding("realtime throttling", "unknown", "note")
    if runtime_us < 0:
        return Finding("realtime throttling", "off")
    share = runtime_us / period_us if period_us else 0.0
    value = f"realtime threads get {share:.0%} of each {period_us / 1000:g} ms"
    if runtime_us == 0:
        return Finding(
            "realtime throttling",
            value,
            "lack",
            "Set kernel.sched_rt_runtime_us above 0: realtime threads get no time at all.",
        )
    return Finding("realtime throttling", value)


def _slack_finding(slack_ns: int | None) -> Finding:
    if slack_ns is None:
        return Finding("timer slack", "unknown", "note")
    return Finding("timer slack", f"{slack_ns / 1000:g} us")


def _python() -> Section:
    built_free = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
    is_enabled = getattr(sys, "_is_gil_enabled", None)
    lock_held = True if is_enabled is None else bool(is_enabled())
    if not built_free:
        lock = Finding(
            "interpreter lock",
            "present",
            "note",
            "Python systems take turns: use native systems, or a free-threaded Python (3.13t), to"
            " run them in parallel.",
        )
    elif lock_held:
        lock = Finding(
            "interpreter lock",
            "switched on in a free-threaded build",
            "note",
            "An imported extension or PYTHON_GIL=1 switched it on: start with PYTHON_GIL=0 to see"
            " which.",
        )
    else:
        lock = Finding("interpreter lock", "absent (free-threaded)")
    compiler = platform.python_compiler()
    return Section(
        "python",
        (
            Finding("version", f"{platform.python_implementation()} {platform.python_version()}"),
            lock,
            Finding("compiler", compiler),
            Finding("numpy", importlib.metadata.version("numpy")),
        ),
        {
            "implementation": platform.python_implementation(),
            "version": platform.python_version(),
            "free_threaded_build": built_free,
            "gil_enabled": lock_held,
            "compiler": compiler,
            "executable": sys.executable,
            "numpy": importlib.metadata.version("numpy"),
        },
    )


def _extras() -> Section:
    findings = []
    versions: dict[str, str | None] = {}
    for module, extra in _EXTRAS.items():
        if importlib.util.find_spec(module) is None:
            versions[module] = None
            findings.append(
                Finding(
                    module, "not installed", "note", f"pip install 'foliot[{extra}]' to use it."
                )
            )
        else:
            versions[module] = importlib.metadata.version(module)
            findings.append(Finding(module, str(versions[module])))
    return Section("extras", tuple(findings), dict(versions))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _wrapped(opening: str, text: str) -> list[str]:
    return textwrap.wrap(
        text, 100, initial_indent=opening, subsequent_indent=" " * len(opening)
    ) or [opening.rstrip()]


def _effective_capabilities(proc: Path) -> int:
    """Bits of the process's effective capabilities; 0 when they cannot be read."""
    for line in _read_text(proc / "self/status").splitlines():
        name, _, value = line.partition(":")
        if name == "CapEff":
            return int(value, 16)
    return 0


def _timer_slack_ns() -> int | None:
    """How late the kernel may let this thread's timers fire, to batch wake-ups."""
    answer = ctypes.CDLL(None).prctl(_PR_GET_TIMERSLACK, 0, 0, 0, 0)
    return int(answer) if answer >= 0 else None


def _limit(value: int) -> int | None:
    return None if value == resource.RLIM_INFINITY else value


def _read_text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _read_word(path: Path) -> str:
    return _read_text(path).strip()


def _read_int(path: Path) -> int | None:
    text = _read_word(path)
    return int(text) if text.lstrip("-").isdigit() else None
