"""Traces: records as numpy gives them, spans of a frame, and the file that Perfetto opens."""

import gzip
import json
import threading

import foliot as fo
import numpy as np
import pytest
from foliot import _trace
from foliot._trace import RECORDS

Mass = fo.component("Mass", "f8")


def make(name, function=lambda ctx: None, **options):
    return fo.system(name=name, **options)(function)


def make_scheduler(*systems, trace=True, **options):
    world = fo.World()
    world.spawn_many(7, {Mass: 1.0})
    return fo.Scheduler(world, fo.Schedule(*systems), trace=trace, **options)


def visit(ctx):
    for _ in ctx:
        pass


def names_of(records, kind):
    return records[records["kind"] == kind]["name"].tolist()


def test_scheduler_without_a_trace_has_none():
    with make_scheduler(trace=False) as scheduler:
        assert not hasattr(scheduler, "trace")
        with pytest.raises(AttributeError, match="trace=True"):
            print(scheduler.trace)
        assert scheduler.tick(0.1).spans == []


def test_io_of_a_stage_is_recorded_and_drawn():
    def load(ctx):
        for _ in range(3):
            ctx.io.nop()

    with make_scheduler(make("load", load, io=True)) as scheduler:
        frame = scheduler.tick(0.1)
        records = scheduler.trace.records()
    (record,) = records[records["kind"] == "io"].tolist()
    assert record[records.dtype.names.index("name")] == "I/O of update"
    assert record[records.dtype.names.index("detail")] == 3
    assert [span.kind for span in frame.spans].count("io") == 1
    assert "I/O, from sending to delivery" in frame.to_svg()


@pytest.mark.parametrize("trace", [0, -1, 2**24 + 1])
def test_number_of_records_has_bounds(trace):
    with pytest.raises(ValueError, match="trace="):
        make_scheduler(trace=trace)


@pytest.mark.parametrize("trace", ["yes", 1.5, None])
def test_trace_of_another_kind_is_refused(trace):
    with pytest.raises(TypeError, match="trace="):
        make_scheduler(trace=trace)


def test_systems_of_each_frame_are_recorded_by_name():
    with make_scheduler(make("a"), make("b")) as scheduler:
        scheduler.tick_n(3, 0.1)
        records = scheduler.trace.records()
    systems = records[records["kind"] == "system"]
    assert sorted(zip(systems["frame"].tolist(), systems["name"].tolist(), strict=True)) == [
        (frame, name) for frame in range(3) for name in "ab"
    ]


def test_record_of_a_system_tells_its_rows():
    with make_scheduler(make("visit", visit, reads=Mass)) as scheduler:
        scheduler.tick(0.1)
        records = scheduler.trace.records()
    assert records[records["kind"] == "system"]["detail"].tolist() == [7]


def test_records_come_in_the_order_of_their_beginning():
    with make_scheduler(*(make(f"s{i}") for i in range(9))) as scheduler:
        scheduler.tick_n(5, 0.1)
        records = scheduler.trace.records()
    starts = records["start_ns"].tolist()
    assert starts == sorted(starts)
    assert (records["end_ns"] >= records["start_ns"]).all()


def test_systems_lie_within_their_frame():
    with make_scheduler(make("a"), make("b")) as scheduler:
        scheduler.tick(0.1)
        records = scheduler.trace.records()
    (frame,) = records[records["kind"] == "frame"]
    inner = records[records["kind"] == "system"]
    assert (inner["start_ns"] >= frame["start_ns"]).all()
    assert (inner["end_ns"] <= frame["end_ns"]).all()


def test_condition_and_merge_are_recorded():
    systems = [
        make("spawn", lambda ctx: ctx.commands.spawn(Mass(1.0)), commands=True),
        make("never", run_if=lambda ctx: False),
    ]
    with make_scheduler(*systems) as scheduler:
        scheduler.tick(0.1)
        records = scheduler.trace.records()
    assert names_of(records, "merge") == ["merge in update"]
    merge = records[records["kind"] == "merge"]
    assert merge["detail"].tolist() == [1]
    assert names_of(records, "condition") == ["run_if of never"]


def test_small_trace_keeps_the_newest_frames_and_counts_the_rest():
    with make_scheduler(make("a"), trace=16) as scheduler:
        scheduler.tick_n(50, 0.1)
        trace = scheduler.trace
        records = trace.records()
        assert records["frame"].max() == 49
        assert len(records) >= 16
        assert trace.lost > 100


def test_clearing_forgets_records_and_losses():
    with make_scheduler(make("a"), trace=16) as scheduler:
        scheduler.tick_n(50, 0.1)
        scheduler.trace.clear()
        assert (len(scheduler.trace.records()), scheduler.trace.lost) == (0, 0)
        scheduler.tick(0.1)
        assert set(scheduler.trace.records()["frame"].tolist()) == {50}


def test_trace_stays_when_the_scheduler_has_closed(tmp_path):
    with make_scheduler(make("a")) as scheduler:
        scheduler.tick(0.1)
    trace = scheduler.trace
    assert names_of(trace.records(), "system") == ["a"]
    trace.save(tmp_path / "trace.json")
    trace.clear()
    assert len(trace.records()) == 0


def test_records_keep_their_names_when_the_schedule_changes():
    schedule = fo.Schedule(make("old"), make("stays"))
    with fo.Scheduler(fo.World(), schedule, trace=True) as scheduler:
        scheduler.tick(0.1)
        schedule.remove("old")
        schedule.add(make("new"))
        scheduler.tick(0.1)
        records = scheduler.trace.records()
    systems = records[records["kind"] == "system"]
    by_frame = [systems[systems["frame"] == frame]["name"].tolist() for frame in (0, 1)]
    assert list(map(sorted, by_frame)) == [["old", "stays"], ["new", "stays"]]


def test_trace_is_read_while_a_frame_runs():
    begun, release = threading.Event(), threading.Event()

    def hold(ctx):
        begun.set()
        release.wait()

    with make_scheduler(make("first"), make("hold", hold, after="first")) as scheduler:
        thread = threading.Thread(target=scheduler.tick, args=(0.1,))
        thread.start()
        begun.wait()
        assert names_of(scheduler.trace.records(), "system") == ["first"]
        assert scheduler.trace.lost == 0
        release.set()
        thread.join()


def load_events(path):
    data = path.read_bytes()
    text = gzip.decompress(data) if path.suffix == ".gz" else data
    return json.loads(text)["traceEvents"]


@pytest.mark.parametrize("name", ["trace.json", "trace.json.gz"])
def test_file_has_a_named_lane_for_each_worker(tmp_path, name):
    with make_scheduler(make("a")) as scheduler:
        scheduler.tick(0.1)
        scheduler.trace.save(tmp_path / name)
        workers = len(scheduler.workers)
    events = load_events(tmp_path / name)
    lanes = {
        event["tid"]: event["args"]["name"] for event in events if event["name"] == "thread_name"
    }
    assert lanes[0] == "worker 0 (caller)"
    assert sorted(lanes) == list(range(workers))
    orders = [event["args"] for event in events if event["name"] == "thread_sort_index"]
    assert orders == [{"sort_index": worker} for worker in range(workers)]


def test_spans_of_a_lane_in_the_file_nest(tmp_path):
    systems = [make(f"s{i}", visit, reads=Mass) for i in range(6)]
    with make_scheduler(*systems) as scheduler:
        scheduler.tick_n(20, 0.1)
        scheduler.trace.save(tmp_path / "trace.json")
    events = [event for event in load_events(tmp_path / "trace.json") if event["ph"] == "X"]
    open_ends = {}
    for event in events:
        ends = open_ends.setdefault(event["tid"], [])
        start, end = round(event["ts"] * 1000), round((event["ts"] + event["dur"]) * 1000)
        while ends and ends[-1] <= start:
            ends.pop()
        assert not ends or end <= ends[-1]
        ends.append(end)
    assert {event["cat"] for event in events} >= {"frame", "phase", "system"}


def test_events_of_the_file_carry_what_their_records_tell(tmp_path):
    with make_scheduler(make("visit", visit, reads=Mass)) as scheduler:
        scheduler.tick(0.1)
        scheduler.trace.save(tmp_path / "trace.json")
    (event,) = [event for event in load_events(tmp_path / "trace.json") if event["name"] == "visit"]
    assert event["args"] == {"frame": 0, "rows": 7}


def test_trace_without_records_is_a_file_that_opens(tmp_path):
    with make_scheduler() as scheduler:
        scheduler.trace.save(tmp_path / "trace.json")
    assert {event["ph"] for event in load_events(tmp_path / "trace.json")} == {"M"}


def test_file_that_cannot_be_written_is_an_error_of_the_system(tmp_path):
    with make_scheduler() as scheduler, pytest.raises(FileNotFoundError):
        scheduler.trace.save(tmp_path / "nowhere" / "trace.json")


def test_spans_are_counted_from_the_beginning_of_the_frame():
    with make_scheduler(make("a"), make("b")) as scheduler:
        scheduler.tick(0.1)
        frame = scheduler.tick(0.1)
    whole = frame.spans[0]
    assert (whole.name, whole.kind, whole.start_ns) == ("frame 1", "frame", 0)
    assert sorted(span.name for span in frame.spans if span.kind == "system") == ["a", "b"]
    assert all(0 <= span.start_ns <= span.end_ns <= whole.end_ns for span in frame.spans)


def test_spans_that_were_overwritten_are_gone():
    with make_scheduler(make("a"), trace=16) as scheduler:
        frame = scheduler.tick(0.1)
        assert frame.spans
        scheduler.tick_n(100, 0.1)
        assert frame.spans == []


def test_picture_of_a_frame_names_its_systems():
    with make_scheduler(make("wash"), make("dry")) as scheduler:
        picture = scheduler.tick(0.1).to_svg()
    assert picture.startswith("<svg")
    assert "<title>wash, " in picture
    assert "<title>dry, " in picture
    assert "worker 0" in picture


def test_picture_of_a_frame_without_spans_says_how_to_get_them():
    with make_scheduler(trace=False) as scheduler:
        frame = scheduler.tick(0.1)
    for draw in (frame.to_svg, lambda: fo.plot.gantt(frame)):
        with pytest.raises(ValueError, match="trace=True"):
            draw()


def test_gantt_draws_a_lane_for_each_worker():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    with make_scheduler(make("a")) as scheduler:
        frame = scheduler.tick(0.1)
        lanes = 1 + max(span.worker for span in frame.spans)
    axes = fo.plot.gantt(frame)
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        f"worker {lane}" for lane in range(lanes)
    ]
    assert fo.plot.gantt(frame, ax=axes) is axes
    plt.close(axes.figure)


def test_gantt_without_matplotlib_names_the_extra(monkeypatch):
    import sys

    with make_scheduler(make("a")) as scheduler:
        frame = scheduler.tick(0.1)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"foliot\[plot\]"):
        fo.plot.gantt(frame)


def test_span_that_would_cut_through_its_lane_gets_a_row_of_its_own():
    spans = [
        ("park", "park", 1, 0, 0, 2000, 0, 0),
        ("piece", "crosses", 1, 0, 1000, 3000, 0, 5),
    ]
    events = list(_trace._events(np.array(spans, dtype=RECORDS), workers=2))
    (lane,) = [event for event in events if event["ph"] == "X"]
    begin, end = (event for event in events if event["ph"] in "be")
    assert lane["name"] == "park"
    assert (begin["ph"], begin["ts"], end["ph"], end["ts"]) == ("b", 1.0, "e", 3.0)
    # Perfetto draws it below the process when the number is local to that.
    assert begin["id2"] == end["id2"] == {"local": "0x1"}
    assert begin["args"] == {"frame": 0, "piece": 5, "worker": 1}
