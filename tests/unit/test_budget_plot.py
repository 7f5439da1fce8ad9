"""Pictures of budgets, live and simulated."""

import foliot as fo
import numpy as np
import pytest

plt = pytest.importorskip("matplotlib.pyplot")


@pytest.fixture(autouse=True)
def closed_figures():
    """No figure outlives its test."""
    yield
    plt.close("all")


def make(name, function=lambda ctx: None, **options):
    return fo.system(name=name, **options)(function)


def test_each_context_of_a_scheduler_is_a_line():
    contexts = [
        fo.SchedulingContext(budget=2e-3, period=10e-3, name="audio"),
        fo.SchedulingContext(budget=4e-3, period=20e-3, name="video"),
    ]
    systems = [make(context.name, budget=context) for context in contexts]
    schedule = fo.Schedule(*systems, make("free"))
    with fo.Scheduler(fo.World(), schedule, trace=True) as scheduler:
        scheduler.tick_n(5, 0.01)
        axes = fo.plot.budget(scheduler)
    lines = {line.get_label(): line for line in axes.get_lines()[:2]}
    assert lines.keys() == {"audio", "video"}
    for label, full in (("audio", 2.0), ("video", 4.0)):
        times, left = lines[label].get_data()
        assert times[0] == 0
        assert np.all(np.diff(times) > 0)
        assert left[0] == full
        assert np.all(left <= full)
        assert left.min() < full


def test_picture_goes_on_given_axes():
    context = fo.SchedulingContext(budget=2e-3, period=10e-3)
    _, axes = plt.subplots()
    schedule = fo.Schedule(make("a", budget=context))
    with fo.Scheduler(fo.World(), schedule, trace=True) as scheduler:
        scheduler.tick(0.01)
        assert fo.plot.budget(scheduler, ax=axes) is axes


def test_budgets_of_a_simulation_are_drawn_as_its_own_picture():
    server = fo.SchedulingContext(budget=2.0, period=10.0, name="server")
    task = fo.PeriodicTask(wcet=1, period=10, name="a", context=server)
    result = fo.sim.run(fo.TaskSet([task]), until=50)
    (line,) = fo.plot.budget(result).get_lines()[:1]
    (wanted,) = result.plot_budget().get_lines()[:1]
    assert np.array_equal(line.get_data(), wanted.get_data())


def test_scheduler_without_contexts_has_nothing_to_draw():
    with fo.Scheduler(fo.World(), fo.Schedule(make("a")), trace=True) as scheduler:
        scheduler.tick(0.01)
        with pytest.raises(ValueError, match="no system of this scheduler has a context"):
            fo.plot.budget(scheduler)


def test_scheduler_without_a_trace_is_refused():
    context = fo.SchedulingContext(budget=2e-3, period=10e-3)
    scheduler = fo.Scheduler(fo.World(), fo.Schedule(make("a", budget=context)))
    with scheduler, pytest.raises(AttributeError, match="trace=True"):
        fo.plot.budget(scheduler)


def test_empty_trace_is_refused():
    context = fo.SchedulingContext(budget=2e-3, period=10e-3)
    schedule = fo.Schedule(make("a", budget=context))
    scheduler = fo.Scheduler(fo.World(), schedule, trace=True)
    with scheduler, pytest.raises(ValueError, match="run a frame first"):
        fo.plot.budget(scheduler)


def test_what_has_no_budgets_is_refused():
    with pytest.raises(TypeError, match="got 3"):
        fo.plot.budget(3)
