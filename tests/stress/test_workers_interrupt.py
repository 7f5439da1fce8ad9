"""Interrupts at any moment of frames on several workers: rows, commands and schedulers stay whole.

A native system is stopped between two runs of rows, so a row has all of a system or none of it;
commands of one run of a system are merged all or not at all. ``Crowd.check`` asks for both.
"""

from __future__ import annotations

import contextlib
import gc
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import foliot as fo
import pytest

pytest.importorskip("cffi")

from stress.crowd import BACKENDS, Crowd, rounds

pytestmark = pytest.mark.stress

FOREVER = 2**31 - 1


@pytest.fixture(autouse=True)
def no_collections() -> Iterator[None]:
    """Nothing old goes away meanwhile: Python drops an interrupt that a weak reference's callback
    or a callback of the collector raises.
    """
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def shield(call: Callable[[], Any]) -> None:
    """Do something to its end, whatever interrupts it."""
    while True:
        try:
            call()
            return
        except KeyboardInterrupt:
            continue


@contextlib.contextmanager
def alarms() -> Iterator[Callable[[float], None]]:
    """A function that sends KeyboardInterrupt to this thread after so many seconds, once."""
    old = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        yield lambda seconds: signal.setitimer(signal.ITIMER_REAL, seconds)
    finally:
        shield(lambda: signal.setitimer(signal.ITIMER_REAL, 0))
        signal.signal(signal.SIGALRM, old)


@contextlib.contextmanager
def sender() -> Iterator[Callable[[float], None]]:
    """The same by os.kill from another thread."""
    asked: list[float] = []
    wake = threading.Semaphore(0)

    def send() -> None:
        while True:
            wake.acquire()
            seconds = asked.pop()
            if seconds < 0:
                return
            end = time.perf_counter() + seconds
            while time.perf_counter() < end:
                pass
            os.kill(os.getpid(), signal.SIGINT)

    def ask(seconds: float) -> None:
        asked.append(seconds)
        wake.release()

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield ask
    finally:
        ask(-1.0)
        thread.join()


def tick_until(interrupt: Callable[[float], None], seconds: float, scheduler: fo.Scheduler) -> None:
    """Run frames that end by an interrupt alone."""
    interrupt(seconds)
    scheduler.tick_n(FOREVER, 0.1)


def assert_works(crowd: Crowd, scheduler: fo.Scheduler) -> None:
    """A frame after all of it is a whole one."""
    frame = scheduler.frame
    crowd.log.clear()
    result = scheduler.tick(0.1)
    assert result.frame == frame
    assert not result.errors
    assert len(crowd.log) == 6
    assert result.systems["pair"].rows == 2000
    crowd.check()


@pytest.mark.parametrize("source", [alarms, sender])
@pytest.mark.parametrize("backend", BACKENDS)
def test_interrupts_at_random_leave_whole_rows_and_commands(backend: str, source: Any) -> None:
    choice = random.Random(3)
    crowd = Crowd()
    schedule = crowd.schedule()
    edited = crowd.systems[0]
    with (
        fo.Scheduler(crowd.world, schedule, backend=backend, workers=4) as scheduler,
        source() as interrupt,
    ):
        for number in range(rounds(150, 5000)):
            if number % 2 == 0:  # A new plan is tried on several workers first.
                schedule.remove(edited)
                schedule.add(edited)
            seconds = choice.choice([1e-5, 1e-4, 1e-3]) * (1 + choice.random())
            with pytest.raises(KeyboardInterrupt):
                tick_until(interrupt, seconds, scheduler)
            crowd.check()
            crowd.log.clear()
        assert scheduler.stats.parallel_phases > 0
        assert_works(crowd, scheduler)


@pytest.mark.parametrize("kind", ["hold", "release"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_interrupts_raised_by_systems_on_any_worker(backend: str, kind: Any) -> None:
    choice = random.Random(5)
    crowd = Crowd()
    due = 0

    def leave(ctx: Any) -> None:
        ctx.commands.despawn(crowd.twins[0])
        raise KeyboardInterrupt(ctx.name)

    leaving = fo.system(name="leave", gil=kind, commands=True, run_if=lambda ctx: ctx.frame >= due)(
        leave
    )
    schedule = crowd.schedule(leaving)
    with fo.Scheduler(crowd.world, schedule, backend=backend, workers=4) as scheduler:
        for _ in range(rounds(50, 2000)):
            schedule.remove(leaving)
            schedule.add(leaving)
            due = scheduler.frame + choice.randrange(3)
            with pytest.raises(KeyboardInterrupt, match="leave"):
                scheduler.tick_n(FOREVER, 0.1)
            assert scheduler.frame == due + 1
            crowd.check()
            crowd.log.clear()
        scheduler.disable("leave")
        assert_works(crowd, scheduler)


@pytest.mark.parametrize("kind", ["hold", "release"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_signals_sent_by_systems_on_any_worker(backend: str, kind: Any) -> None:
    choice = random.Random(9)
    crowd = Crowd()
    due: list[int] = []

    def send(ctx: Any) -> None:
        if due and ctx.frame >= due[0]:
            due.clear()
            os.kill(os.getpid(), signal.SIGINT)

    sending = fo.system(name="send", gil=kind)(send)
    schedule = crowd.schedule(sending)
    with fo.Scheduler(crowd.world, schedule, backend=backend, workers=4) as scheduler:
        for _ in range(rounds(50, 2000)):
            schedule.remove(sending)
            schedule.add(sending)
            due.append(scheduler.frame + choice.randrange(3))
            with pytest.raises(KeyboardInterrupt):
                scheduler.tick_n(FOREVER, 0.1)
            crowd.check()
            crowd.log.clear()
        assert_works(crowd, scheduler)


@pytest.mark.parametrize("backend", BACKENDS)
def test_interrupt_stops_python_systems_on_other_workers(backend: str) -> None:
    begun = threading.Semaphore(0)

    def spin(ctx: Any) -> None:
        begun.release()
        while True:
            pass

    systems = [fo.system(name=f"spin{i}", gil="release")(spin) for i in range(3)]
    with (
        fo.Scheduler(fo.World(), fo.Schedule(*systems), backend=backend, workers=3) as scheduler,
        sender() as interrupt,
    ):
        for number in range(rounds(5, 200)):
            with pytest.raises(KeyboardInterrupt):
                tick_until(interrupt, 1e-3, scheduler)
            assert scheduler.frame == number + 1
