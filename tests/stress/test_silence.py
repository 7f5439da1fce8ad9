"""Signals at random moments about the one when a waiting scheduler goes to sleep for good."""

import random
import signal

import foliot as fo
import pytest

ROUNDS = 25
# How long a wait begins by looking at signals itself, and how far signals are spread about its end.
SLICE = 0.080
SPREAD = 0.002
LONG = 1000.0


class Signalled(Exception):
    """What the handler raises, so that nothing but the signal ends a wait."""


@pytest.mark.parametrize("engine", ["uring", "pool"])
def test_no_signal_is_lost_as_a_wait_falls_silent(engine):
    def handle(*_):
        raise Signalled

    seed = random.SystemRandom().getrandbits(32)
    print(f"seed {seed}")
    noise = random.Random(seed)
    timer = fo.system(io=True)(lambda ctx: ctx.io.timeout(LONG, wait="none"))
    old = signal.signal(signal.SIGALRM, handle)
    try:
        with fo.Scheduler(fo.World(), fo.Schedule(timer), backend="blocking", io=engine) as waiting:
            waiting.tick(0.1)
            for number in range(ROUNDS):
                signal.setitimer(signal.ITIMER_REAL, SLICE + noise.uniform(-SPREAD, SPREAD))
                with pytest.raises(Signalled):
                    waiting.run(rate=1 / LONG) if number % 2 else waiting.wait(LONG)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
