"""Replay: what ran in one frame of a trace, as a task graph with measured costs.

A frame is a chain of blocks: the segments of its phases, and between them merges and deliveries of
I/O. In a segment the plan's order holds between systems, all pieces of one before all of the next.
What of the frame's time belongs to no block (beginning a segment, waking workers, ending the frame)
becomes tasks of its own between them, so that a run on as many workers as there were has it too.
"""

from __future__ import annotations

import gzip
import json
import os
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

from foliot._graph import Graph, graph_of_arrays

if TYPE_CHECKING:
    from foliot._plan import Plan
    from foliot._trace import Trace

_WORK = ("system", "piece", "condition")
_SERIAL = ("merge", "io")
PYTHON_LANE = "python"


class Record(NamedTuple):
    """One record of a trace; times in nanoseconds."""

    kind: str
    name: str
    worker: int
    frame: int
    start: int
    end: int
    detail: int


class Block(NamedTuple):
    """A stretch of a frame that ends before the next begins: a segment, or one serial record."""

    start: int
    end: int
    phase: str
    segment: int | None
    records: list[Record]


class _Builder:
    """Tasks as they are added, and the one that everything after a block waits for."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.costs: list[int] = []
        self.after: list[list[int]] = []
        self.lanes: dict[int, str] = {}
        self.taken: dict[str, int] = {}
        self.last: list[int] = []

    def add(self, name: str, cost: int, after: Iterable[int], *, lane: str | None = None) -> int:
        """A task; a name that is taken gets a number."""
        count = self.taken.get(name, 0)
        self.taken[name] = count + 1
        place = len(self.names)
        self.names.append(f"{name} #{count + 1}" if count else name)
        self.costs.append(max(0, cost))
        self.after.append(sorted(set(after)))
        if lane is not None:
            self.lanes[place] = lane
        return place

    def add_serial(self, name: str, cost: int) -> None:
        """A task that everything before precedes and everything after follows."""
        self.last = [self.add(name, cost, self.last)]


def graph_of_trace(
    trace: Trace | str | os.PathLike[str], *, plan: Plan | None, frame: int | None
) -> Graph:
    """``Graph.from_trace``."""
    if isinstance(trace, str | os.PathLike):
        where = os.fspath(trace)
        records, oldest = _records_of_file(where), 0
        if plan is None:
            raise ValueError(f"{where}: a saved trace does not hold its plan; give plan=.")
    else:
        where = "the trace"
        records, oldest = _records_of_trace(trace)
    number = _choose_frame(records, frame, oldest, where)
    chosen = [record for record in records if record.frame == number]
    if plan is None:
        assert not isinstance(trace, str | os.PathLike)
        plan = _plan_of(trace, number)
    return graph_of_records(chosen, plan)


def _records_of_trace(trace: Trace) -> tuple[list[Record], int]:
    """All records, and the time from which on none is lost."""
    from foliot._trace import Trace as TraceType
    from foliot._trace import _rings_of

    if not isinstance(trace, TraceType):
        raise TypeError(f"a trace is scheduler.trace or the path of a saved one, got {trace!r}.")
    records = [
        Record(kind, name, worker, frame, start, end, detail)
        for kind, name, worker, frame, start, end, _, detail in trace.records().tolist()
    ]
    oldest = 0
    for worker, lost in enumerate(_rings_of(trace._scheduler).lost):
        if lost:
            own = [record.start for record in records if record.worker == worker]
            oldest = max(oldest, min(own, default=0))
    return records, oldest


def _plan_of(trace: Trace, frame: int) -> Plan:
    recording = trace._scheduler._recording
    assert recording is not None
    starts = [first for first, _ in recording.plans]
    return recording.plans[max(0, bisect_right(starts, frame) - 1)][1]


def _records_of_file(where: str) -> list[Record]:
    """The records of a file that ``Trace.save`` wrote."""
    with open(where, "rb") as stream:
        data = stream.read()
    try:
        text = (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode()
        events = json.loads(text)["traceEvents"]
        return list(_records_of_events(events))
    except json.JSONDecodeError as error:
        raise ValueError(
            f"{where}, line {error.lineno}, column {error.colno}: no JSON: {error.msg}"
        ) from None
    except (gzip.BadGzipFile, EOFError, UnicodeDecodeError) as error:
        raise ValueError(f"{where}: no trace: {error}") from None
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{where}: no trace that foliot saved: it lacks {error}") from None


def _records_of_events(events: Iterable[dict[str, Any]]) -> Iterator[Record]:
    opened: dict[int, dict[str, Any]] = {}
    for event in events:
        kind = event["ph"]
        if kind == "b":
            opened[event["id"]] = event
        elif kind in ("X", "i", "e"):
            begin = opened.pop(event["id"]) if kind == "e" else event
            start = round(begin["ts"] * 1000)
            length = (event["ts"] - begin["ts"]) * 1000 if kind == "e" else event.get("dur", 0)
            end = start + round(length if kind == "e" else length * 1000)
            shown = begin["args"]
            detail = shown.get("segment", shown.get("piece", 0))
            yield Record(
                begin["cat"], begin["name"], begin["tid"], shown["frame"], start, end, detail
            )


def _choose_frame(records: list[Record], frame: int | None, oldest: int, where: str) -> int:
    """The frame that was asked for, or the last that is there as a whole."""
    whole = [record.frame for record in records if record.kind == "frame" and record.start > oldest]
    if not whole:
        raise ValueError(f"{where} holds no whole frame.")
    if frame is None:
        return max(whole)
    if frame not in whole:
        raise ValueError(
            f"{where} does not hold frame {frame!r} as a whole; it holds {min(whole)} to "
            f"{max(whole)}."
        )
    return frame


def graph_of_records(records: list[Record], plan: Plan) -> Graph:
    """The graph of one frame's records, with what the frame took as ``measured``."""
    whole = next(record for record in records if record.kind == "frame")
    known = {system.name for system in plan.systems}
    for record in records:
        if record.kind in ("system", "piece") and record.name not in known:
            raise ValueError(f"the trace has the system `{record.name}`, which the plan lacks.")
    blocks = _blocks_of(records)
    gap = _dispatch_gap(blocks)
    builder = _Builder()
    reached = whole.start
    for block in blocks:
        builder.add_serial(f"before {_block_name(block)}", block.start - reached)
        if block.segment is None:
            builder.add_serial(block.records[0].name, block.end - block.start)
        else:
            _add_segment(builder, block, plan, gap)
        reached = max(reached, block.end)
    builder.add_serial("end of the frame", whole.end - reached)
    graph = graph_of_arrays(builder.names, builder.costs, builder.after, builder.lanes)
    graph.measured = whole.end - whole.start
    return graph


def _block_name(block: Block) -> str:
    if block.segment is None:
        return block.records[0].name
    return f"segment {block.segment} of {block.phase}"


def _filled(records: list[Record], kind: str) -> list[Record]:
    """Records of a kind that took time, by their beginnings; in the others nothing ran."""
    found = [record for record in records if record.kind == kind and record.end > record.start]
    return sorted(found, key=lambda record: record.start)


def _blocks_of(records: list[Record]) -> list[Block]:
    """The blocks of a frame by their beginnings; a segment is as long as the work in it."""
    phases, segments = _filled(records, "phase"), _filled(records, "segment")
    phase_starts = [phase.start for phase in phases]
    starts = [segment.start for segment in segments]
    work: list[list[Record]] = [[] for _ in segments]
    blocks = []
    for record in records:
        place = bisect_right(starts, record.start) - 1
        if record.kind in _WORK and place >= 0 and record.start <= segments[place].end:
            work[place].append(record)
        elif record.kind in _SERIAL:
            blocks.append(Block(record.start, record.end, "", None, [record]))
    for segment, inside in zip(segments, work, strict=True):
        if inside:
            phase = phases[max(0, bisect_right(phase_starts, segment.start) - 1)].name
            start = min(record.start for record in inside)
            end = max(record.end for record in inside)
            blocks.append(Block(start, end, phase, segment.detail, inside))
    return sorted(blocks, key=lambda block: (block.start, block.end))


def _dispatch_gap(blocks: list[Block]) -> int:
    """Nanoseconds from the end of a piece of work to the next on the same worker, as a rule."""
    gaps = []
    for block in blocks:
        ends: dict[int, int] = {}
        for record in _runs_of(block):
            if record.worker in ends:
                gaps.append(max(0, record.start - ends[record.worker]))
            ends[record.worker] = record.end
    return round(median(gaps)) if gaps else 0


def _runs_of(block: Block) -> list[Record]:
    """What ran in a segment, by beginnings.

    Of a system that was cut that is its pieces. The record of one that ran whole, or was skipped,
    has its condition in it.
    """
    cut = {record.name for record in block.records if record.kind == "piece"}
    whole = {record.name for record in block.records if record.kind == "system"} - cut
    shown = [
        record
        for record in block.records
        if not (record.kind == "system" and record.name in cut)
        and not (record.kind == "condition" and _asked_for(record) in whole)
    ]
    return sorted(shown, key=lambda record: record.start)


def _asked_for(condition: Record) -> str:
    """The system that a condition belongs to."""
    return condition.name.removeprefix("run_if of ")


def _add_segment(builder: _Builder, block: Block, plan: Plan, gap: int) -> None:
    """The systems of a segment, also those that did not run, for the order that goes by them."""
    runs: dict[str, list[Record]] = {}
    for record in _runs_of(block):
        name = _asked_for(record) if record.kind == "condition" else record.name
        runs.setdefault(name, []).append(record)
    before: dict[str, list[str]] = {}
    for first, second, _ in plan.edges(block.phase):
        before.setdefault(second, []).append(first)
    ends: dict[str, int] = {}
    order = [name for name in plan.execution_order() if plan._facts(name)["phase"] == block.phase]
    for name in order:
        if name not in runs and plan._facts(name)["segment"] != block.segment:
            continue
        inside = [ends[first] for first in before.get(name, ()) if first in ends]
        holds = plan._lock_use(plan.systems[plan._facts(name)["index"]]) == "hold"
        ends[name] = _add_system(
            builder, name, runs.get(name, []), inside or builder.last, gap=gap, holds=holds
        )
    followed = {other for row in builder.after for other in row}
    builder.last = [end for end in ends.values() if end not in followed] or builder.last


def _add_system(
    builder: _Builder, name: str, runs: list[Record], after: list[int], *, gap: int, holds: bool
) -> int:
    """A system's condition, then its pieces, then what stands for all of it; returns the last."""
    lane = PYTHON_LANE if holds else None
    parts = [record for record in runs if record.kind != "condition"]
    for record in runs:
        if record.kind == "condition":
            cost = record.end - record.start + gap
            after = [builder.add(f"run_if of {name}", cost, after, lane=PYTHON_LANE)]
    if len(parts) == 1:
        return builder.add(name, parts[0].end - parts[0].start + gap, after, lane=lane)
    ends = [
        builder.add(f"{name}[{number}]", record.end - record.start + gap, after, lane=lane)
        for number, record in enumerate(parts)
    ]
    return builder.add(name, 0, ends or after)
