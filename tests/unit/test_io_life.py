"""The life of I/O: options, reports, signals, forks, threads, and nothing left behind."""

import dataclasses
import gc
import itertools
import os
import signal
import sys
import threading
import weakref

import foliot as fo
import pytest
from support import alarm, in_child, interrupt

Text = fo.component("Text", fo.Bytes)


def test_signal_stops_a_stage_that_waits(engine):
    kept = []
    wait = fo.system(io=True, name="wait")(lambda ctx: kept.append(ctx.io.timeout(1000)))
    with engine.scheduler(wait) as scheduler:
        with alarm(interrupt), pytest.raises(KeyboardInterrupt):
            scheduler.tick(0.1)
        assert scheduler.frame == 1
        scheduler.disable("wait")
        scheduler.tick(0.1)
    assert kept[0].cancelled


def test_signal_stops_a_wait_between_frames(engine, pipe):
    ask = fo.system(io=True, name="ask")(
        lambda ctx: ctx.io.read(pipe[0], 1, None, wait="none") and None
    )
    with engine.scheduler(ask) as scheduler:
        scheduler.tick(0.1)
        with alarm(interrupt), pytest.raises(KeyboardInterrupt):
            scheduler.wait()
        assert scheduler.stats.io_in_flight == 1


def test_signal_stops_a_run_that_waits_beside_operations(engine, pipe):
    ask = fo.system(io=True, name="ask", run_if=lambda ctx: ctx.frame == 0)(
        lambda ctx: ctx.io.read(pipe[0], 1, None, wait="none") and None
    )
    with engine.scheduler(ask) as scheduler:
        scheduler.tick(0.1)
        with alarm(interrupt), pytest.raises(KeyboardInterrupt):
            scheduler.run(rate=0.01)
        assert scheduler.stats.io_in_flight == 1


class BrokenClock:
    """A clock that stands still, and raises from then on when it is told to."""

    def __init__(self):
        self.breaks = False

    def now_ns(self):
        if self.breaks:
            raise LookupError("stopped")
        return 0


@pytest.mark.parametrize("timeout", [0.01, 1000.0])
def test_error_of_a_clock_comes_out_of_a_wait(engine, pipe, timeout):
    clock = BrokenClock()
    ask = fo.system(io=True, name="ask")(
        lambda ctx: ctx.io.read(pipe[0], 1, None, wait="none") and None
    )
    with engine.scheduler(ask, clock=clock) as scheduler:
        scheduler.tick(0.1)
        clock.breaks = True
        with pytest.raises(LookupError, match="stopped"):
            scheduler.wait(timeout)
        clock.breaks = False


@pytest.mark.parametrize("timeout", [None, 0.01, 1000.0])
def test_signal_stops_a_wait_on_a_clock_that_stands_still(engine, pipe, timeout):
    ask = fo.system(io=True, name="ask")(
        lambda ctx: ctx.io.read(pipe[0], 1, None, wait="none") and None
    )
    with engine.scheduler(ask, clock=BrokenClock()) as scheduler:
        scheduler.tick(0.1)
        # On another thread, so that it ends no system call of this one.
        sender = threading.Timer(0.01, signal.raise_signal, [signal.SIGUSR1])
        old = signal.signal(signal.SIGUSR1, interrupt)

        def send_and_wait():
            sender.start()
            scheduler.wait(timeout)

        try:
            with pytest.raises(KeyboardInterrupt):
                send_and_wait()
        finally:
            sender.join()
            signal.signal(signal.SIGUSR1, old)


def test_signal_stops_a_stage_on_a_clock_that_stands_still(engine):
    wait = fo.system(io=True, name="wait")(lambda ctx: ctx.io.timeout(1000) and None)
    with engine.scheduler(wait, clock=BrokenClock()) as scheduler:
        with alarm(interrupt), pytest.raises(KeyboardInterrupt):
            scheduler.tick(0.1)
        scheduler.disable("wait")
        scheduler.tick(0.1)


def test_scheduler_cannot_close_or_run_while_it_waits(engine, pipe):
    begun = threading.Event()
    ask = fo.system(io=True, name="ask", run_if=lambda ctx: ctx.frame == 0)(
        lambda ctx: ctx.io.read(pipe[0], 1, None, wait="none") and None
    )
    with engine.scheduler(ask) as scheduler:

        def wait():
            scheduler.tick(0.1)
            begun.set()
            scheduler.wait()
            scheduler.tick(0.1)

        thread = threading.Thread(target=wait)
        thread.start()
        begun.wait()
        refused = 0
        while refused < 3:
            try:
                scheduler.close()
            except fo.WorldBusyError:
                refused += 1
            else:
                pytest.fail("it closed under a wait")
        os.write(pipe[1], b"x")
        thread.join()


def test_child_of_a_fork_gets_no_results_of_its_parent(engine, pipe):
    kept = []
    ask = fo.system(io=True, name="ask", run_if=lambda ctx: ctx.frame == 0)(
        lambda ctx: kept.append(ctx.io.read(pipe[0], 1, None, wait="none"))
    )
    with engine.scheduler(ask) as scheduler:
        scheduler.tick(0.1)

        def check():
            for use in (lambda: scheduler.tick(0.1), scheduler.wait, lambda: scheduler.io):
                with pytest.raises(fo.ForkedError):
                    use()
            assert not kept[0].done
            scheduler.close()
            other = engine.ask(lambda ctx: ctx.io.read("/etc/passwd", 4))
            assert other.result == b"root"

        in_child(check)
        os.write(pipe[1], b"x")
        scheduler.wait()
        scheduler.tick(0.1)
    assert kept[0].result == b"x"


def test_operations_leave_nothing_behind(engine, tmp_path):
    """No object, block or descriptor more after thousands of operations than after a few."""
    path = tmp_path / "file"
    path.write_bytes(b"x" * 5000)
    world = fo.World()
    entity = world.spawn(Text)

    @fo.system(writes=Text, io=True)
    def work(ctx):
        kept = [ctx.io.read(path), ctx.io.read(path, 100, into=bytearray(100))]
        ctx.io.read(path, to=(entity, Text))
        ctx.io.open(path)
        kept.append(ctx.io.read_many([path] * 10))
        kept.append(ctx.io.read("/no/such"))
        held.append(kept)

    held = []
    with engine.scheduler(work, world=world) as scheduler:

        def frames(count):
            for _ in range(count):
                scheduler.tick(0.1)
                assert held.pop()[-1].error is not None
            gc.collect()
            return sys.getallocatedblocks(), len(os.listdir("/proc/self/fd"))

        frames(50)
        reports = [frames(300) for _ in range(4)]
    assert len({descriptors for _, descriptors in reports}) == 1
    # A leak is in every stretch; memory that the interpreter frees late is in some.
    blocks = [blocks for blocks, _ in reports]
    assert min(after - before for before, after in itertools.pairwise(blocks)) < 100


def test_dead_operation_lets_go_of_what_it_held(engine, tmp_path):
    class Buffer(bytearray):
        pass

    buffers = [Buffer(4)]
    alive = weakref.ref(buffers[0])
    operation = engine.ask(lambda ctx: ctx.io.read("/dev/zero", into=buffers.pop()))
    assert alive() is None
    dies = weakref.ref(operation)
    del operation
    assert dies() is None


def test_cycle_through_an_error_is_collected(engine):
    operation = engine.ask(lambda ctx: ctx.io.read("/no/such"))
    operation.error.operation = operation
    dies = weakref.ref(operation)
    del operation
    gc.collect()
    assert dies() is None


def test_replaced_system_still_gets_its_results(engine, pipe):
    kept = []
    ask = fo.system(io=True, name="ask")(
        lambda ctx: kept.append(ctx.io.read(pipe[0], 1, None, wait="none"))
    )
    with engine.scheduler(ask) as scheduler:
        scheduler.tick(0.1)
        scheduler.schedule.remove("ask")
        scheduler.tick(0.1)
        os.write(pipe[1], b"x")
        assert scheduler.wait() is True
        scheduler.tick(0.1)
    assert kept[0].result == b"x"


def test_failure_of_a_replaced_system_is_told_with_its_name(engine, pipe):
    ask = fo.system(io=True, name="ask")(
        lambda ctx: ctx.io.read(pipe[0], 1, None, timeout=0.001, wait="none") and None
    )
    with engine.scheduler(ask, errors="continue") as scheduler:
        scheduler.tick(0.1)
        scheduler.schedule.remove("ask")
        scheduler.wait()
        [error] = scheduler.tick(0.1).errors
    assert isinstance(error, TimeoutError)
    assert error.__notes__[-1].startswith("in system `ask`, frame")


def test_stats_count_operations(engine):
    work = fo.system(io=True, name="work")(
        lambda ctx: kept.extend([ctx.io.nop(), ctx.io.read("/no")])
    )
    kept = []
    with engine.scheduler(work) as scheduler:
        scheduler.tick(0.1)
        stats = scheduler.stats
    assert (stats.io_submitted, stats.io_completed, stats.io_failed) == (2, 2, 1)
    assert stats.io_in_flight == 0
    assert kept[1].error is not None


def test_engine_can_be_chosen_by_the_environment(monkeypatch):
    ask = fo.system(io=True, name="ask")(lambda ctx: None)
    monkeypatch.setenv("FOLIOT_IO", "pool")
    with fo.Scheduler(fo.World(), fo.Schedule(ask)) as scheduler:
        assert scheduler.io == fo.io.IoInfo("pool", "")
    with fo.Scheduler(fo.World(), fo.Schedule(ask), io="uring") as scheduler:
        assert scheduler.io.engine == "uring"
    monkeypatch.setenv("FOLIOT_IO", "fast")
    with pytest.raises(ValueError, match="FOLIOT_IO is one of auto, uring, pool; got 'fast'"):
        fo.Scheduler(fo.World(), fo.Schedule(ask))


@pytest.mark.parametrize(("io", "kind"), [("ring", ValueError), (3, TypeError), ("", ValueError)])
def test_engine_that_there_is_not_is_refused(io, kind):
    with pytest.raises(kind, match="io= is"):
        fo.Scheduler(fo.World(), fo.Schedule(), io=io)


@pytest.mark.parametrize(
    ("setting", "kind"),
    [
        ({"max_io": 0}, ValueError),
        ({"max_io": 1.5}, TypeError),
        ({"max_io_threads": 0}, ValueError),
        ({"min_io_threads": 17}, ValueError),
        ({"sqpoll": 1}, TypeError),
        ({"adaptive_window": 0}, ValueError),
        ({"adaptive_cooldown": -1}, ValueError),
        ({"adaptive_least_gain": 1.0}, ValueError),
        ({"adaptive_least_gain": float("nan")}, ValueError),
        ({"adaptive_least_operations": "8"}, TypeError),
    ],
)
def test_settings_out_of_range_are_refused_by_name(setting, kind):
    with pytest.raises(kind, match=f"Config.{next(iter(setting))} is"):
        fo.Config(**setting)


def test_backend_is_explained_and_a_phase_of_that_name_before_it():
    with fo.Scheduler(fo.World(), fo.Schedule(), backend="blocking") as scheduler:
        told = scheduler.explain("backend")
        assert told.startswith("blocking")
    schedule = fo.Schedule(phases=["backend"])
    with fo.Scheduler(fo.World(), schedule, backend="blocking") as scheduler:
        scheduler.tick(0.1)
        phase, backend = scheduler.explain("backend").splitlines()
        assert phase == scheduler.explain()["backend"]
        assert backend.startswith("blocking")


def test_probe_tells_what_io_uring_offers():
    report = fo.io.probe()
    assert report.available, report
    assert report.engine == "uring"
    assert "read" in report.operations
    assert report.completion_entries >= report.submission_entries > 0
    with pytest.raises(dataclasses.FrozenInstanceError):
        report.available = False
    assert "the ring" in str(report)


def test_report_of_a_machine_without_io_uring_says_what_to_do():
    from foliot._io import report_of

    attempt = {"setup_flags": ["submit_all"], "entries": 8, "step": "setup", "error": 1}
    report = report_of(
        {
            "available": False,
            "error": 1,
            "step": "setup",
            "cure_text": "Allow it.",
            "setup_flags": [],
            "features": [],
            "operations": [],
            "submission_entries": 0,
            "completion_entries": 0,
            "register_error": 0,
            "attempts": [attempt],
        }
    )
    assert report.engine == "pool"
    assert report.reason == "Operation not permitted at setup"
    assert str(report).splitlines() == [
        "io_uring:    no",
        "reason:      Operation not permitted at setup",
        "what to do:  Allow it.",
        "refused:     submit_all: Operation not permitted at setup",
        "I/O runs on: the blocking pool",
    ]


def test_ring_that_is_polled_needs_a_third_processor():
    def ask(ctx):
        ctx.io.nop()

    asking = fo.system(io=True)(ask)
    world = fo.World(fo.Config(sqpoll=True))
    with fo.Scheduler(world, fo.Schedule(asking), backend="uring") as scheduler:
        scheduler.tick(0.1)
        if len(os.sched_getaffinity(0)) > 2:
            assert scheduler.io.engine == "uring"
        else:
            assert "needs a processor to itself" in scheduler.io.reason
