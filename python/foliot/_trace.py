"""Traces: what each worker did when, as numpy records, as spans of a frame, and as a file.

A worker keeps its newest records in a ring of its own; reading disturbs nobody, so a trace may be
read while a frame runs. Records name systems and phases by number; ``Recording`` keeps the plans
that those numbers belong to, and the rings' last content once the scheduler has closed.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np

from foliot import _core
from foliot._frame import Span

if TYPE_CHECKING:
    import numpy.typing as npt

    from foliot._core import FrameResult
    from foliot._plan import Plan
    from foliot._scheduler import Scheduler

KINDS = _core.TRACE_KINDS
_FRAME_MODULUS = 2**32

# fol_trace_record of foliot/trace.h.
_RAW = np.dtype(
    [
        ("start_cycles", "u8"),
        ("end_cycles", "u8"),
        ("frame", "u4"),
        ("subject", "u4"),
        ("detail", "u4"),
        ("kind", "u2"),
        ("worker", "u2"),
    ]
)
RECORDS = np.dtype(
    [
        ("kind", "U9"),
        ("name", object),
        ("worker", "u2"),
        ("frame", "u8"),
        ("start_ns", "i8"),
        ("end_ns", "i8"),
        ("subject", "u4"),
        ("detail", "u4"),
    ]
)


class Rings(NamedTuple):
    """What the rings held at one moment.

    Attributes:
        records: of each worker, as the core wrote them.
        lost: of each worker, how many older ones were overwritten.
        scale: what makes nanoseconds of cycles: (origin in cycles, in nanoseconds, their ratio).
        next_frame: the number of the frame that had not begun.
    """

    records: list[bytes]
    lost: list[int]
    scale: tuple[int, int, float]
    next_frame: int


@dataclass
class Recording:
    """What a scheduler with a trace keeps beside the rings.

    Attributes:
        plans: each plan with the first frame that ran by it, oldest first.
        kept: the rings as they were when the scheduler closed.
    """

    plans: list[tuple[int, Plan]]
    kept: Rings | None = field(default=None, repr=False)

    def add_plan(self, frame: int, plan: Plan, oldest: int) -> None:
        """From this frame on numbers are those of a new plan; no record is older than ``oldest``.

        Example:
            >>> recording = Recording([(0, "a"), (3, "b")])
            >>> recording.add_plan(9, "c", oldest=5)
            >>> recording.plans
            [(3, 'b'), (9, 'c')]
        """
        self.plans.append((frame, plan))
        while len(self.plans) > 1 and self.plans[1][0] <= oldest:
            del self.plans[0]


def read_rings(scheduler: Scheduler) -> Rings:
    """Copy what the rings hold now."""
    both = [scheduler._read_trace(worker) for worker in range(scheduler._backend()[3])]
    return Rings(
        [records for records, _ in both],
        [lost for _, lost in both],
        scheduler._trace_scale(),
        scheduler.frame,
    )


def _rings_of(scheduler: Scheduler) -> Rings:
    recording = scheduler._recording
    assert recording is not None
    return recording.kept if recording.kept is not None else read_rings(scheduler)


def _merged(rings: Rings) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Records of all workers by their beginning, the outer first, and their full frame numbers."""
    raw = np.frombuffer(b"".join(rings.records), dtype=_RAW)
    # Of records that begin alike the longer contains the other; kinds are numbered from outside in.
    raw = raw[np.lexsort((raw["kind"], -raw["end_cycles"].astype("i8"), raw["start_cycles"]))]
    age = (rings.next_frame - raw["frame"].astype("i8")) % _FRAME_MODULUS
    return raw, np.maximum(rings.next_frame - age, 0).astype("u8")


def _nanoseconds(cycles: npt.NDArray[Any], rings: Rings) -> npt.NDArray[Any]:
    """Nanoseconds of the monotonic clock."""
    origin_cycles, origin_ns, ratio = rings.scale
    since = (cycles - np.uint64(origin_cycles)).astype("i8")
    return origin_ns + np.rint(since * ratio).astype("i8")


def _named(subject: int, names: list[str]) -> str:
    return names[subject] if subject < len(names) else f"number {subject}"


class _Names(NamedTuple):
    """The names of a plan's numbers."""

    systems: list[str]
    phases: list[str]


def _names_of(plan: Plan) -> _Names:
    return _Names([system.name for system in plan.systems], plan.phases)


def _name(kind: str, subject: int, detail: int, frame: int, names: _Names) -> str:
    """What a record is called in pictures."""
    if kind in ("system", "piece"):
        return _named(subject, names.systems)
    if kind == "decision":
        return f"{_named(detail, list(_core.DECISION_KINDS))} {_named(subject, names.systems)}"
    if kind == "condition":
        return f"run_if of {_named(subject, names.systems)}"
    if kind in ("phase", "segment"):
        return _named(subject, names.phases)
    if kind == "merge":
        return f"merge in {_named(subject, names.phases)}"
    if kind == "io":
        return f"I/O of {_named(subject, names.phases)}"
    if kind == "steal":
        return f"steal from worker {subject}"
    return {"frame": f"frame {frame}", "host": "wait for the interpreter"}.get(kind, kind)


def _decode(
    rings: Rings, plans: list[tuple[int, Plan]], only: int | None = None
) -> npt.NDArray[Any]:
    """The records of all frames, or of one, as ``Trace.records`` gives them."""
    raw, frames = _merged(rings)
    if only is not None:
        raw, frames = raw[frames == only], frames[frames == only]
    made = np.empty(len(raw), dtype=RECORDS)
    kinds = [KINDS[kind] if kind < len(KINDS) else "unknown" for kind in raw["kind"].tolist()]
    made["kind"] = kinds
    made["frame"] = frames
    made["start_ns"] = _nanoseconds(raw["start_cycles"], rings)
    made["end_ns"] = _nanoseconds(raw["end_cycles"], rings)
    for same in ("worker", "subject", "detail"):
        made[same] = raw[same]
    starts = np.array([first for first, _ in plans], dtype="u8")
    places = np.maximum(np.searchsorted(starts, frames, side="right") - 1, 0).tolist()
    names = [_names_of(plan) for _, plan in plans]
    made["name"] = [
        _name(kind, subject, detail, frame, names[place])
        for kind, subject, detail, frame, place in zip(
            kinds,
            raw["subject"].tolist(),
            raw["detail"].tolist(),
            frames.tolist(),
            places,
            strict=True,
        )
    ]
    return made


class Trace:
    """What each worker of a scheduler did when: ``scheduler.trace``.

    It may be read at any time, while a frame runs in another thread and after the scheduler has
    closed.

    Example:
        >>> import foliot as fo
        >>> step = fo.system(name="step")(lambda ctx: None)
        >>> with fo.Scheduler(fo.World(), fo.Schedule(step), trace=True) as scheduler:
        ...     result = scheduler.tick_n(2, 0.1)
        ...     records = scheduler.trace.records()
        >>> len(records[records["name"] == "step"])
        2
    """

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    def __repr__(self) -> str:
        rings = _rings_of(self._scheduler)
        count = sum(map(len, rings.records)) // _RAW.itemsize
        return f"<Trace of {len(rings.records)} workers: {count:,} records, {self.lost:,} lost>"

    @property
    def lost(self) -> int:
        """Records that newer ones have overwritten since the last ``clear``."""
        return sum(_rings_of(self._scheduler).lost)

    def records(self) -> npt.NDArray[Any]:
        """All records, ordered by their beginning.

        Fields: ``kind`` ("frame", "phase", "segment", "system", "piece", "condition", "merge",
        "steal", "park", "host", "io", "switch" or "decision"), ``name``, ``worker``, ``frame``,
        ``start_ns`` and ``end_ns`` on the monotonic clock, ``subject`` and ``detail`` as
        foliot/trace.h has them: of a system its number in the plan and its rows, of a piece its
        system and its number, of a merge its phase and the commands applied, of a steal the victim
        and the pieces of work taken, of I/O its phase and how many operations were sent, of a
        switch of the adaptive backend what it ran as and what it runs as now, as numbers of
        ``BACKENDS``, of a decision its system and its kind.
        """
        recording = self._scheduler._recording
        assert recording is not None
        return _decode(_rings_of(self._scheduler), recording.plans)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a file that Perfetto (https://ui.perfetto.dev) and chrome://tracing open.

        It has a lane for each worker, with frames, phases, systems, pieces and merges nested in
        each other. A path that ends with ".gz" is compressed.
        """
        workers = len(_rings_of(self._scheduler).records)
        records = self.records()
        with _open_text(os.fspath(path)) as stream:
            stream.write('{"displayTimeUnit":"ns","traceEvents":[\n')
            for number, event in enumerate(_events(records, workers)):
                stream.write(",\n" if number else "")
                stream.write(json.dumps(event, separators=(",", ":")))
            stream.write("\n]}\n")

    def clear(self) -> None:
        """Forget everything so far; what workers write meanwhile stays."""
        recording = self._scheduler._recording
        assert recording is not None
        if recording.kept is not None:
            count = len(recording.kept.records)
            recording.kept = recording.kept._replace(records=[b""] * count, lost=[0] * count)
        else:
            self._scheduler._clear_trace()


def _open_text(path: str) -> IO[str]:
    if path.endswith(".gz"):
        return gzip.open(path, "wt", encoding="utf-8")
    return open(path, "w", encoding="utf-8")


def _events(records: npt.NDArray[Any], workers: int) -> Iterator[dict[str, Any]]:
    """Events of the JSON Trace Event Format."""
    process = os.getpid()

    def metadata(what: str, thread: int, **values: Any) -> dict[str, Any]:
        return {"name": what, "ph": "M", "pid": process, "tid": thread, "args": values}

    yield metadata("process_name", 0, name="foliot")
    for worker in range(workers):
        shown = "worker 0 (caller)" if worker == 0 else f"worker {worker}"
        yield metadata("thread_name", worker, name=shown)
        yield metadata("thread_sort_index", worker, sort_index=worker)
    origin = int(records["start_ns"][0]) if len(records) else 0
    # Ends of the spans that are open in each lane, the outermost first.
    open_ends: list[list[int]] = [[] for _ in range(workers)]
    for number, record in enumerate(records.tolist()):
        kind, name, worker, _, start, end, _, _ = record
        if end == start and kind in ("phase", "segment"):
            # Nothing stands in it.
            continue
        event = {
            "name": name,
            "cat": kind,
            "pid": process,
            "tid": worker,
            "ts": (start - origin) / 1000,
            "args": _arguments(record),
        }
        if end == start:
            yield event | {"ph": "i", "s": "t"}
        elif _nests(open_ends[worker], start, end):
            yield event | {"ph": "X", "dur": (end - start) / 1000}
        else:
            # It would cut through a span of this lane, so it gets a row of its own in the process.
            row = {"id2": {"local": f"{number:#x}"}}
            event["args"]["worker"] = worker
            yield event | row | {"ph": "b"}
            yield event | row | {"ph": "e", "ts": (end - origin) / 1000, "args": {}}


def _nests(open_ends: list[int], start: int, end: int) -> bool:
    """Whether a span lies within those that are open; if so it is open from now on."""
    while open_ends and open_ends[-1] <= start:
        open_ends.pop()
    if open_ends and end > open_ends[-1]:
        return False
    open_ends.append(end)
    return True


_DETAILS = {
    "segment": "segment",
    "system": "rows",
    "piece": "piece",
    "merge": "commands",
    "io": "operations",
    "steal": "taken",
}


def _arguments(record: tuple[Any, ...]) -> dict[str, Any]:
    """What Perfetto shows of a record beside its name and times."""
    kind, _, _, frame, _, _, subject, detail = record
    shown: dict[str, Any] = {"frame": frame}
    if kind == "phase":
        shown["parallel"] = bool(detail)
    elif kind == "condition":
        shown["runs"] = bool(detail)
    elif kind in _DETAILS:
        shown[_DETAILS[kind]] = detail
    if kind == "steal":
        shown["victim"] = subject
    return shown


def frame_spans(scheduler: Scheduler, plan: Plan, frame: int) -> list[Span]:
    """The spans of one frame: ``FrameResult.spans``."""
    records = _decode(_rings_of(scheduler), [(0, plan)], only=frame)
    if not len(records):
        return []
    whole = records["start_ns"][records["kind"] == "frame"]
    origin = int(whole[0] if len(whole) else records["start_ns"].min())
    return [
        Span(name, kind, worker, start - origin, end - origin)
        for kind, name, worker, _, start, end, _, _ in records.tolist()
    ]


def spans_of(frame: FrameResult) -> list[Span]:
    """The spans of a frame; ValueError that says how to get some when there are none."""
    if frame.spans:
        return frame.spans
    raise ValueError(
        "the frame has no spans: run it with fo.Scheduler(..., trace=True), and ask before newer "
        "frames have overwritten its records."
    )


def frame_svg(frame: FrameResult) -> str:
    """A frame as a picture: ``FrameResult.to_svg``."""
    from foliot._gantt import draw_svg

    return draw_svg(frame.frame, spans_of(frame))
