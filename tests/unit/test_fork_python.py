"""A child of fork: the scheduler of its parent refuses to work, a new one works."""

import foliot as fo
import pytest
from support import in_child


def make(name):
    return fo.system(name=name)(lambda ctx: None)


@pytest.fixture
def scheduler():
    with fo.Scheduler(fo.World(), fo.Schedule(make("a"))) as scheduler:
        scheduler.tick(0.1)
        yield scheduler
        scheduler.tick(0.1)


def test_every_call_of_the_parents_scheduler_is_refused(scheduler):
    def check():
        for use in (
            lambda: scheduler.tick(0.1),
            lambda: scheduler.tick_n(2, 0.1),
            lambda: scheduler.run(ticks=1),
            lambda: scheduler.enable("a"),
            lambda: scheduler.disable("a"),
            lambda: scheduler.stats,
            lambda: scheduler.costs(),
            lambda: scheduler.backend,
        ):
            with pytest.raises(fo.ForkedError, match="before the fork"):
                use()

    in_child(check)


def test_edited_schedule_is_refused_as_well(scheduler):
    def check():
        scheduler.schedule.add(make("b"))
        with pytest.raises(fo.ForkedError):
            scheduler.tick(0.1)

    in_child(check)


def test_parents_scheduler_can_be_closed_and_dropped(scheduler):
    def check():
        scheduler.close()
        with pytest.raises(RuntimeError, match="closed"):
            scheduler.tick(0.1)

    in_child(check)


def test_new_scheduler_works_in_the_child(scheduler):
    def check():
        with fo.Scheduler(fo.World(), fo.Schedule(make("a"))) as mine:
            assert mine.tick(0.1).frame == 0

    in_child(check)


def test_fork_in_a_system_leaves_a_child_that_is_told(scheduler):
    def fork(ctx):
        def check():
            with pytest.raises(fo.ForkedError):
                scheduler.tick(0.1)

        in_child(check)

    with fo.Scheduler(fo.World(), fo.Schedule(fo.system(fork))) as other:
        other.tick(0.1)
