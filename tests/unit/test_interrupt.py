"""Ctrl-C and other signals: a frame stops, the exception comes out, the world stays usable."""

import os
import signal
import threading

import foliot as fo
import numpy as np
import pytest
from support import alarm, interrupt

cffi = pytest.importorskip("cffi")

Mass = fo.component("Mass", "f8")


def make(name, function=lambda ctx: None, **options):
    return fo.system(name=name, **options)(function)


@pytest.fixture(scope="module")
def kernels(tmp_path_factory):
    """A kernel that takes a while for each run of rows."""
    import importlib.util

    ffi = cffi.FFI()
    ffi.cdef("int grind(void **columns, ptrdiff_t rows, void *user);")
    source = """
        #include <stddef.h>
        static int grind(void **columns, ptrdiff_t rows, void *user)
        {
            volatile double *mass = columns[0];
            (void)user;
            for (int round = 0; round < 300; round++) {
                for (ptrdiff_t i = 0; i < rows; i++) {
                    mass[i] += 1.0;
                }
            }
            return 0;
        }
    """
    ffi.set_source("foliot_test_grind", source)
    path = ffi.compile(tmpdir=str(tmp_path_factory.mktemp("grind")))
    spec = importlib.util.spec_from_file_location("foliot_test_grind", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.lib


def test_interrupt_raised_by_a_system_comes_out_as_such():
    ran = []

    def stop(ctx):
        raise KeyboardInterrupt

    later = make("later", lambda ctx: ran.append(1), after="stop")
    schedule = fo.Schedule(make("stop", stop), later)
    world = fo.World()
    with fo.Scheduler(world, schedule) as scheduler:
        with pytest.raises(KeyboardInterrupt):
            scheduler.tick(0.1)
        assert ran == []
        world.spawn()
        scheduler.disable("stop")
        scheduler.tick(0.1)
        assert ran == [1]


def test_exit_asked_for_by_a_system_comes_out_as_such():
    def leave(ctx):
        raise SystemExit(3)

    with fo.Scheduler(fo.World(), fo.Schedule(make("leave", leave))) as scheduler:
        with pytest.raises(SystemExit) as caught:
            scheduler.tick(0.1)
        assert caught.value.code == 3


def test_failures_of_an_interrupted_frame_hang_on_the_interrupt():
    def fail(ctx):
        raise LookupError("first")

    schedule = fo.Schedule(make("fail", fail), make("stop", interrupt))
    # On one worker, so that the first has failed before the second stops the frame.
    with fo.Scheduler(fo.World(), schedule, workers=1) as scheduler:
        with pytest.raises(KeyboardInterrupt) as caught:
            scheduler.tick(0.1)
        context = caught.value.__context__
        assert isinstance(context, fo.FrameError)
        assert isinstance(context.exceptions[0], LookupError)


def test_finished_recorders_of_an_interrupted_frame_are_merged():
    world = fo.World()
    schedule = fo.Schedule(
        make("build", lambda ctx: ctx.commands.spawn(Mass(1.0)), commands=True),
        make("stop", interrupt, after="build"),
    )
    with fo.Scheduler(world, schedule) as scheduler, pytest.raises(KeyboardInterrupt):
        scheduler.tick(0.1)
    assert len(world) == 1


def test_commands_of_the_interrupted_system_are_discarded():
    world = fo.World()

    def build(ctx):
        ctx.commands.spawn(Mass(1.0))
        raise KeyboardInterrupt

    with fo.Scheduler(world, fo.Schedule(make("build", build, commands=True))) as scheduler:
        with pytest.raises(KeyboardInterrupt):
            scheduler.tick(0.1)
        assert len(world) == 0


def test_interrupt_in_a_command_comes_out_as_such():
    world = fo.World()
    schedule = fo.Schedule(make("call", lambda ctx: ctx.commands.call(interrupt), commands=True))
    with fo.Scheduler(world, schedule) as scheduler, pytest.raises(KeyboardInterrupt):
        scheduler.tick(0.1)
    world.spawn()


def test_signal_stops_a_batch_of_native_frames(kernels):
    world = fo.World()
    world.spawn_many(10_000, {Mass: 0.0})
    grind = fo.native(kernels.grind, writes=Mass)
    with fo.Scheduler(world, fo.Schedule(grind)) as scheduler, alarm(interrupt):
        with pytest.raises(KeyboardInterrupt):
            scheduler.tick_n(2**31 - 1, 0.1)
        assert scheduler.frame > 0


def test_signal_stops_one_long_native_frame_between_runs(kernels):
    world = fo.World()
    world.spawn_many(200_000, {Mass: np.zeros(200_000)})
    grind = fo.native(kernels.grind, writes=Mass, chunk_rows=1000)
    systems = [grind] + [
        fo.native(kernels.grind, writes=Mass, chunk_rows=1000, name=f"grind{i}") for i in range(50)
    ]
    with fo.Scheduler(world, fo.Schedule(*systems)) as scheduler:
        with alarm(interrupt), pytest.raises(KeyboardInterrupt):
            scheduler.tick(0.1)
        assert scheduler.frame == 1
    world.spawn()


def test_signal_stops_a_batch_of_python_frames():
    with (
        fo.Scheduler(fo.World(), fo.Schedule(make("a"))) as scheduler,
        alarm(interrupt),
        pytest.raises(KeyboardInterrupt),
    ):
        scheduler.tick_n(2**31 - 1, 0.1)


def test_signal_stops_a_run_that_waits():
    with (
        fo.Scheduler(fo.World(), fo.Schedule(make("a"))) as scheduler,
        alarm(interrupt),
        pytest.raises(KeyboardInterrupt),
    ):
        scheduler.run(rate=0.001)


def test_signal_sent_by_another_thread_stops_a_run():
    begun = threading.Event()

    def send():
        begun.wait()
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=send)
    thread.start()
    with (
        fo.Scheduler(fo.World(), fo.Schedule(make("a", lambda ctx: begun.set()))) as scheduler,
        pytest.raises(KeyboardInterrupt),
    ):
        scheduler.run(rate=0.001)
    thread.join()


def test_handler_that_raises_something_else_stops_the_frames_too():
    class Late(Exception):
        pass

    def late(*_):
        raise Late

    with (
        fo.Scheduler(fo.World(), fo.Schedule()) as scheduler,
        alarm(late),
        pytest.raises(Late),
    ):
        scheduler.tick_n(2**31 - 1, 0.1)


def test_handler_that_raises_nothing_lets_frames_go_on(kernels):
    count = []
    world = fo.World()
    world.spawn_many(1000, {Mass: 0.0})
    grind = fo.native(kernels.grind, writes=Mass)
    with (
        fo.Scheduler(world, fo.Schedule(grind)) as scheduler,
        alarm(lambda *_: count.append(1), seconds=0.002),
    ):
        while len(count) < 3:
            scheduler.tick_n(50, 0.1)


def test_frames_in_another_thread_let_this_one_run(kernels):
    world = fo.World()
    world.spawn_many(10_000, {Mass: 0.0})
    stop = threading.Event()
    with fo.Scheduler(world, fo.Schedule(fo.native(kernels.grind, writes=Mass))) as scheduler:
        thread = threading.Thread(target=lambda: scheduler.run(rate=None, until=stop))
        thread.start()
        frames = set()
        while len(frames) < 3:
            frames.add(scheduler.frame)
        stop.set()
        thread.join()


def test_only_one_thread_at_a_time_drives_a_world():
    world = fo.World()
    begun, release = threading.Event(), threading.Event()

    def hold(ctx):
        begun.set()
        release.wait()

    schedule = fo.Schedule(make("hold", hold))
    with fo.Scheduler(world, schedule) as one, fo.Scheduler(world, fo.Schedule()) as two:
        thread = threading.Thread(target=one.tick, args=(0.1,))
        thread.start()
        begun.wait()
        for use in (
            lambda: one.tick(0.1),
            lambda: one.close(),
            lambda: one.disable("hold"),
            lambda: one.costs(),
            lambda: two.tick(0.1),
            lambda: fo.Scheduler(world, fo.Schedule()),
            lambda: world.spawn(),
        ):
            with pytest.raises(fo.WorldBusyError):
                use()
        release.set()
        thread.join()
        assert (one.frame, two.frame) == (1, 0)
