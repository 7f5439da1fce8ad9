# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Real-time budgets
#
# A loop that balances a pole two hundred times a second shares its frames with a hog: an estimator
# that is quick nearly always, and now and then takes five frames at once. On the way: what that
# does to the loop, a budget that prevents it, the same in exact virtual time, and the same question
# put to the simulator and to analysis, before anything runs.

# %%
import ctypes
import subprocess
import tempfile
import time
import warnings
from pathlib import Path

import foliot as fo
import matplotlib.pyplot as plt
import numpy as np

# %% [markdown]
# ## The hog
#
# A kernel that improves an estimate of each of its rows, `rounds` times. It is cut into pieces of
# 64 rows, and a budget is looked at between two pieces.

# %%
ROWS, PIECE = 6400, 64
folder = Path(tempfile.mkdtemp())
(folder / "hog.c").write_text(r"""
#include <math.h>
#include <stddef.h>

int improve(void **columns, ptrdiff_t rows, void *user)
{
    double *guess = columns[0];
    const long *rounds = user;
    for (ptrdiff_t i = 0; i < rows; i++) {
        for (long k = 0; k < *rounds; k++) {
            guess[i] = 0.5 * (guess[i] + cos(guess[i]));
        }
    }
    return 0;
}
""")
subprocess.run(
    ["cc", "-O2", "-shared", "-fPIC", "-o", folder / "hog.so", folder / "hog.c", "-lm"], check=True
)
improve = ctypes.CDLL(str(folder / "hog.so")).improve
improve.argtypes = [ctypes.POINTER(ctypes.c_void_p), ctypes.c_ssize_t, ctypes.c_void_p]
improve.restype = ctypes.c_int

# %% [markdown]
# What one round of all rows takes here says how many rounds make a millisecond.

# %%
guesses = np.ones(ROWS)
columns = (ctypes.c_void_p * 1)(guesses.ctypes.data)
rounds = np.array([20], dtype=ctypes.c_long)
trials = []
for _ in range(9):
    begin = time.perf_counter_ns()
    improve(columns, ROWS, rounds.ctypes.data)
    trials.append(time.perf_counter_ns() - begin)
A_MILLISECOND = max(1, round(20e6 / min(trials)))
A_MILLISECOND

# %% [markdown]
# ## The loop
#
# The pole falls over by itself: its angle grows by the factor e in 25 ms. Each run of `balance`
# sees where it is by now, and sets a force that would bring it back within 5 ms. The force stays
# until the next run: so a run that is late finds the pole on the other side.

# %%
RATE, FRAMES = 200, 400
PERIOD = 1 / RATE
GROWTH = 40.0
USUAL, BURST, EVERY = 1.0, 25.0, 20  # milliseconds of the hog, and how often it has a burst
Guess = fo.component("Guess", "f8")


class Pole:
    """A pole and its controller, in whatever time ``now`` tells."""

    def __init__(self, now) -> None:
        self.now = now
        self.angle = self.force = 0.0
        self.times: list[float] = []
        self.angles: list[float] = []
        self.gusts = np.random.default_rng(4).normal(0.0, 0.01, 2 * FRAMES)

    def balance(self) -> None:
        """Go on to the present, note the angle, and push against it."""
        at = self.now() / 1e9
        if self.times:
            growth = np.exp(GROWTH * (at - self.times[-1]))
            self.angle = growth * self.angle + (growth - 1.0) * self.force
        self.angle += self.gusts[len(self.times)]
        in_time = np.exp(GROWTH * PERIOD)
        self.force = -in_time / (in_time - 1.0) * self.angle
        self.times.append(at)
        self.angles.append(self.angle)

    @property
    def gaps(self) -> np.ndarray:
        """Milliseconds from one run to the next."""
        return np.diff(self.times) * 1e3


def make_contexts() -> dict[str, fo.SchedulingContext]:
    """The loop goes first, by its deadline; the hog has 2 ms and gives up the rest."""
    return {
        "loop": fo.SchedulingContext(
            budget=1e-3, period=4e-3, deadline=2e-3, overrun="notify", name="loop"
        ),
        "hog": fo.SchedulingContext(budget=2e-3, period=4e-3, overrun="skip", name="hog"),
    }


# %% [markdown]
# Both are systems of one schedule. A frame ends when both have ended, and the next one cannot begin
# before: that is how the hog comes to hold up the loop. With budgets it is stopped after 2 ms. Its
# period is 4 ms, a little less than that of the frames, so that each frame finds the budget whole.


# %%
def run(contexts: dict[str, fo.SchedulingContext], clock=None, kernel=improve):
    """The loop and the hog for two seconds; the pole, the report, and what was told of the hog."""
    pole = Pole(time.monotonic_ns if clock is None else clock.now_ns)
    amount = np.zeros(1, dtype=ctypes.c_long)

    @fo.system(budget=contexts.get("loop"))
    def loop(ctx):
        pole.balance()
        amount[0] = A_MILLISECOND * (BURST if ctx.frame % EVERY == EVERY - 1 else USUAL)
        if clock is not None:
            clock.advance(0.2e-3)

    hog = fo.native(
        kernel,
        writes=Guess,
        name="hog",
        chunk_rows=PIECE,
        budget=contexts.get("hog"),
        user_data=amount,
    )
    world = fo.World()
    world.spawn_many(ROWS, {Guess: 1.0})
    schedule = fo.Schedule(loop, hog, phases=["update"])
    with fo.Scheduler(world, schedule, backend="blocking", clock=clock) as scheduler:
        report = scheduler.run(rate=RATE, ticks=FRAMES)
        return pole, report, scheduler.explain("hog"), scheduler.accounts


free_pole, free_report, *_ = run({})
held_pole, held_report, reason, accounts = run(make_contexts())
for name, pole, report in (
    ("without", free_pole, free_report),
    ("with", held_pole, held_report),
):
    print(
        f"{name:<8} budgets: longest gap {pole.gaps.max():5.1f} ms, "
        f"{report.late_frames} frames late, {report.dropped_frames} dropped, "
        f"largest angle {np.abs(pole.angles).max():.2f}"
    )

# %% [markdown]
# What the scheduler says of the hog, and its ledger:

# %%
print(reason)
accounts.systems["hog"]

# %% [markdown]
# The gaps between two runs of the loop, and the pole. Times are those of this machine, in this
# minute: another program that takes the processor shows here as well, budgets or not.

# %%
figure, (above, below) = plt.subplots(2, 1, figsize=(7, 4.5), sharex=True, layout="constrained")
for label, pole in (("without budgets", free_pole), ("with budgets", held_pole)):
    since = np.array(pole.times) - pole.times[0]
    above.plot(since[1:], pole.gaps, linewidth=0.8, label=label)
    below.plot(since, pole.angles, linewidth=0.8, label=label)
above.set(ylabel="ms since the last run")
above.legend(loc="upper right", fontsize=8)
below.set(xlabel="seconds", ylabel="angle")
plt.show()

# %% [markdown]
# ## In exact time
#
# The same systems and contexts on a `fo.VirtualClock`. The kernel moves the clock by what its rows
# would take, and nothing else does; so this run is the same everywhere, and can be held to numbers.


# %%
def run_exactly(contexts: dict[str, fo.SchedulingContext]):
    """As ``run``, in virtual time."""
    clock = fo.VirtualClock()

    @ctypes.CFUNCTYPE(
        ctypes.c_int, ctypes.POINTER(ctypes.c_void_p), ctypes.c_ssize_t, ctypes.c_void_p
    )
    def take_time(_, rows, user):
        rounds = ctypes.cast(user, ctypes.POINTER(ctypes.c_long))[0]
        clock.advance(1e-3 * rounds / A_MILLISECOND * rows / ROWS)
        return 0

    with warnings.catch_warnings():
        # A kernel that calls Python is slow, which does not matter to a clock that it moves itself.
        warnings.simplefilter("ignore", RuntimeWarning)
        return run(contexts, clock, take_time)


free, free_report, *_ = run_exactly({})
held, held_report, reason, accounts = run_exactly(make_contexts())
print(f"longest gap {free.gaps.max():.2f} ms without budgets, {held.gaps.max():.2f} ms with them")
print(reason)

# %% [markdown]
# Without budgets a burst keeps the loop waiting for more than five periods. With them no run of the
# loop is late: the hog has 2 ms, what a piece takes comes to that, and then the frame ends.

# %%
assert free.gaps.max() > 5 * PERIOD * 1e3
assert free_report.late_frames > 0
assert abs(held.gaps - PERIOD * 1e3).max() < 1e-3
assert held_report.late_frames == 0
assert np.abs(held.angles).max() < np.abs(free.angles).max() / 3
accounts.systems["hog"].overruns, accounts.systems["hog"].skipped

# %% [markdown]
# ## In the simulator
#
# The same once more, without writing a single system: two tasks, in microseconds. Frames are first
# come, first served, so the policy is "fifo", and the hog gives way after each piece.

# %%
pieces = round(USUAL * 1e3), round(BURST * 1e3)


def make_tasks(limit: fo.sim.Budget | None) -> fo.TaskSet:
    """The loop, and the hog with its bursts."""
    return fo.TaskSet(
        [
            fo.PeriodicTask(wcet=200, period=5000, deadline=2000, name="loop"),
            fo.PeriodicTask(
                wcet=2000,
                period=5000,
                execution=[pieces[0]] * (EVERY - 1) + [pieces[1]],
                chunk=250,
                context=limit,
                name="hog",
            ),
        ]
    )


limit = fo.sim.Budget(budget=2000, period=4000, overrun="skip", name="hog")
outcomes = {
    (policy, name): fo.sim.run(make_tasks(budget), policy=policy, preemption="chunk", until=400_000)
    for policy in ("fifo", "edf")
    for name, budget in (("without", None), ("with", limit))
}
for (policy, name), outcome in outcomes.items():
    late = sum(job.name == "loop" for job in outcome.misses)
    worst = max(outcome.response_times["loop"])
    print(f"{policy:<4} {name:<7} a budget: {late:2} runs of the loop late, the worst took {worst}")

# %%
for policy in ("fifo", "edf"):
    assert any(job.name == "loop" for job in outcomes[policy, "without"].misses)
    assert not any(job.name == "loop" for job in outcomes[policy, "with"].misses)

# %% [markdown]
# Earliest deadlines first is no cure: the burst is late, and what is late has the earliest deadline
# of all. The same instants, without a budget and with one; crosses stand at the deadlines that
# either task missed, and with a budget the one that is left is that of the burst itself:

# %%
figure, panels = plt.subplots(2, 1, figsize=(8, 3.6), sharex=True, layout="constrained")
for panel, name in zip(panels, ("without", "with"), strict=True):
    outcomes["fifo", name].gantt(panel, start=85_000, end=140_000)
    panel.set_title(f"{name} a budget", fontsize=9)
panels[0].set_xlabel("")
plt.show()

# %% [markdown]
# What is left of the budget over the same time:

# %%
axes = outcomes["fifo", "with"].plot_budget()
axes.set_xlim(85_000, 140_000)
plt.show()

# %% [markdown]
# ## Before anything runs
#
# The loop is safe for every hog, if the hog keeps to its budget and gives way after each piece. To
# analysis it is a task that takes 2 ms and a piece, and holds others back for one piece.

# %%
promised = fo.TaskSet(
    [
        fo.PeriodicTask(wcet=200, period=5000, deadline=2000, blocking=250, name="loop"),
        fo.PeriodicTask(wcet=2250, period=4000, name="hog"),
    ]
)
verdict = fo.analysis.schedulable(promised, test="edf")
assert verdict
print(fo.analysis.response_times(promised, policy="fp"))
verdict

# %% [markdown]
# Next: `docs/budgets.md` has the rules, `docs/simulator.md` the simulator; `05_tuning.py` looks for
# good numbers.
