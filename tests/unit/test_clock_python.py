"""Clocks that are given to a scheduler."""

import foliot as fo
import pytest


def make(name, function=lambda ctx: None, **options):
    return fo.system(name=name, **options)(function)


def test_virtual_clock_stands_still_until_advanced():
    clock = fo.VirtualClock()
    assert clock.now == 0.0
    clock.advance(1.5)
    clock.advance(0)
    assert clock.now == 1.5
    assert clock.now_ns() == 1_500_000_000
    assert repr(clock) == "VirtualClock(1.5)"


def test_virtual_clock_starts_where_it_is_told():
    assert fo.VirtualClock(start=3.25).now == 3.25


@pytest.mark.parametrize("bad", [-1.0, float("nan"), float("inf"), 1e10])
def test_time_is_finite_and_not_negative(bad):
    with pytest.raises(ValueError, match="finite, at least 0"):
        fo.VirtualClock(bad)
    with pytest.raises(ValueError, match="finite, at least 0"):
        fo.VirtualClock().advance(bad)


def test_time_is_a_number():
    with pytest.raises(TypeError):
        fo.VirtualClock().advance("soon")


def test_virtual_clock_has_an_end():
    clock = fo.VirtualClock(9e9)
    with pytest.raises(ValueError, match="ends"):
        clock.advance(1.0)


def test_frame_takes_the_time_of_its_clock():
    clock = fo.VirtualClock()
    schedule = fo.Schedule(make("a", lambda ctx: clock.advance(0.25)))
    with fo.Scheduler(fo.World(), schedule, clock=clock) as scheduler:
        assert scheduler.tick(0.1).wall_ns == 250_000_000


class Stepping:
    """A clock that moves a millisecond whenever it is read."""

    def __init__(self):
        self.time = 0

    def now_ns(self):
        self.time += 1_000_000
        return self.time


def test_any_object_with_now_ns_is_a_clock():
    with fo.Scheduler(fo.World(), fo.Schedule(), clock=Stepping()) as scheduler:
        assert scheduler.tick(0.1).wall_ns > 0


def test_clock_of_ones_own_may_wait():
    class Waiting(Stepping):
        def wait_until_ns(self, deadline_ns, max_wait_ns):
            assert 0 < max_wait_ns <= 50_000_000
            self.time = max(self.time, deadline_ns)

    clock = Waiting()
    with fo.Scheduler(fo.World(), fo.Schedule(), clock=clock) as scheduler:
        report = scheduler.run(rate=1.0, ticks=5)
    assert report.frames == 5
    assert clock.time >= 4_000_000_000


def test_failing_clock_is_told():
    class Broken:
        def now_ns(self):
            raise LookupError("no time")

    with (
        fo.Scheduler(fo.World(), fo.Schedule(), clock=Broken()) as scheduler,
        pytest.raises(LookupError, match="no time"),
    ):
        scheduler.tick(0.1)


def test_failing_clock_stops_a_run():
    class Broken(Stepping):
        def now_ns(self):
            if self.time > 10_000_000:
                raise LookupError("no time")
            return super().now_ns()

    with (
        fo.Scheduler(fo.World(), fo.Schedule(), clock=Broken()) as scheduler,
        pytest.raises(LookupError, match="no time"),
    ):
        scheduler.run(rate=100.0)


def test_clock_that_answers_nonsense_is_told():
    class Nonsense:
        def now_ns(self):
            return "noon"

    with (
        fo.Scheduler(fo.World(), fo.Schedule(), clock=Nonsense()) as scheduler,
        pytest.raises(TypeError),
    ):
        scheduler.tick(0.1)
