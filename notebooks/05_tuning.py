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
# # Tuning
#
# Three native systems take turns on one worker. `answer` is short, and somebody waits for it;
# `index` and `render` are long. How long is a turn, how much longer is that of `answer`, and into
# how many pieces are systems cut? Short turns let it through soon, and every turn and every piece
# costs something.
#
# The numbers are searched for in the simulator, where a frame takes a fraction of a millisecond,
# and the best are then tried live, with the same policy object.

# %%
import ctypes
import itertools
import multiprocessing
import subprocess
import tempfile
import warnings
from concurrent.futures import Executor, ProcessPoolExecutor
from pathlib import Path
from statistics import median

import foliot as fo
import matplotlib.pyplot as plt
import numpy as np
from distributed import Client, LocalCluster

with warnings.catch_warnings():
    # Its progress bars would like widgets, which this notebook does not need.
    warnings.filterwarnings("ignore", message="IProgress not found")
    import optuna

# %% [markdown]
# ## The policy
#
# Who has had a turn goes to the end of the line: its rank is the time at which it got there. A turn
# of `answer` is longer by its weight.

# %%
MILLISECOND = 1_000_000


class Turns(fo.Policy):
    """Round robin, with turns by weight, and pieces of a given number of rows."""

    base = "fifo"

    def __init__(self, slice_us: int, weight: int, rows: int) -> None:
        self.slice_us, self.weight, self.rows = slice_us, weight, rows

    def enqueue(self, runnable, *, now):
        return now

    def slice(self, runnable, *, now):
        weight = self.weight if runnable.name == "answer" else 1024
        return max(1, self.slice_us * 1000 * weight // 1024)

    def chunk_rows(self, system, rows):
        return self.rows


# %% [markdown]
# ## Live
#
# The systems write different components, so nothing orders them but the policy. `answer` comes last
# in line.

# %%
ROWS = {"index": 32_768, "render": 49_152, "answer": 8192}
folder = Path(tempfile.mkdtemp())
(folder / "work.c").write_text(r"""
#include <math.h>
#include <stddef.h>

int work(void **columns, ptrdiff_t rows, void *user)
{
    double *values = columns[0];
    const long *rounds = user;
    for (ptrdiff_t i = 0; i < rows; i++) {
        for (long k = 0; k < *rounds; k++) {
            values[i] = 0.5 * (values[i] + sqrt(values[i] + 2.0));
        }
    }
    return 0;
}
""")
subprocess.run(
    ["cc", "-O2", "-shared", "-fPIC", "-o", folder / "work.so", folder / "work.c", "-lm"],
    check=True,
)
work = ctypes.CDLL(str(folder / "work.so")).work
work.argtypes = [ctypes.POINTER(ctypes.c_void_p), ctypes.c_ssize_t, ctypes.c_void_p]
work.restype = ctypes.c_int
rounds = np.array([24], dtype=ctypes.c_long)
components = {name: fo.component(name.title(), "f8") for name in ROWS}
schedule = fo.Schedule(
    *(fo.native(work, writes=components[name], name=name, user_data=rounds) for name in ROWS),
    phases=["update"],
)


def measure(policy: Turns, frames: int = 30) -> dict[str, float]:
    """Medians: milliseconds until ``answer`` and until all were done; pieces and turns."""
    world = fo.World()
    for name, rows in ROWS.items():
        world.spawn_many(rows, {components[name]: 1.0})
    rows_of: dict[str, list[float]] = {"answer": [], "frame": [], "pieces": [], "turns": []}
    with fo.Scheduler(world, schedule, policy=policy, workers=1, trace=True) as scheduler:
        for _ in range(frames):
            frame = scheduler.tick(0.01)
            pieces = [span for span in frame.spans if span.kind in ("piece", "system")]
            ran = [span for span in pieces if span.name in ROWS and span.end_ns > span.start_ns]
            ran.sort(key=lambda span: span.end_ns)
            cut = {span.name for span in ran if span.kind == "piece"}
            ran = [span for span in ran if span.kind == "piece" or span.name not in cut]
            begin = min(span.start_ns for span in ran)
            ends = {span.name: span.end_ns for span in ran}
            names = [span.name for span in ran]
            rows_of["answer"].append((ends["answer"] - begin) / MILLISECOND)
            rows_of["frame"].append((max(ends.values()) - begin) / MILLISECOND)
            rows_of["pieces"].append(len(ran))
            rows_of["turns"].append(1 + sum(a != b for a, b in itertools.pairwise(names)))
        assert scheduler.stats.policy_faults == 0
    return {name: median(values) for name, values in rows_of.items()}


# %% [markdown]
# Three runs say what this machine needs for a row, for a piece and for a turn.

# %%
whole = measure(Turns(slice_us=100_000, weight=1024, rows=65_536))
pieces = measure(Turns(slice_us=100_000, weight=1024, rows=128))
turns = measure(Turns(slice_us=10, weight=1024, rows=128))
ROW_NS = whole["frame"] * MILLISECOND / sum(ROWS.values())
PIECE_NS = max(
    0.0,
    (pieces["frame"] - whole["frame"]) * MILLISECOND / (pieces["pieces"] - whole["pieces"]),
)
TURN_NS = max(
    0.0, (turns["frame"] - pieces["frame"]) * MILLISECOND / (turns["turns"] - pieces["turns"])
)
print(f"a row {ROW_NS:.1f} ns, a piece {PIECE_NS:,.0f} ns more, a turn {TURN_NS:,.0f} ns more")

# %% [markdown]
# ## In the simulator
#
# The same three as tasks. A job gives way after each piece, a change of turns costs what it costs
# here, and so does each piece.

# %%
Costs = tuple[float, float, float]
COSTS: Costs = (ROW_NS, PIECE_NS, TURN_NS)
PERIOD = 100 * MILLISECOND


def simulate(settings: dict[str, int], costs: Costs) -> fo.sim.Result:
    """A few frames under a policy of these settings."""
    row_ns, piece_ns, turn_ns = costs
    chunk = max(1, round(settings["rows"] * row_ns + piece_ns))
    tasks = [
        fo.PeriodicTask(
            wcet=round(rows * row_ns + -(-rows // settings["rows"]) * piece_ns),
            period=PERIOD,
            chunk=chunk,
            name=name,
        )
        for name, rows in ROWS.items()
    ]
    return fo.sim.run(
        fo.TaskSet(tasks),
        policy=Turns(**settings),
        preemption="chunk",
        switch_cost=round(turn_ns),
        until=3 * PERIOD,
    )


def evaluate(settings: dict[str, int], costs: Costs) -> tuple[float, float]:
    """Milliseconds until ``answer`` and until all are done, the worst of the frames."""
    result = simulate(settings, costs)
    worst = {name: max(times) / MILLISECOND for name, times in result.response_times.items()}
    return worst["answer"], max(worst.values())


def score(outcome: tuple[float, float], costs: Costs) -> float:
    """A millisecond of overhead is as bad as ten of waiting."""
    answer, frame = outcome
    return answer + 10.0 * (frame - sum(ROWS.values()) * costs[0] / MILLISECOND)


USUAL = {"slice_us": 3000, "weight": 1024, "rows": 4096}
print(evaluate(USUAL, COSTS), score(evaluate(USUAL, COSTS), COSTS))

# %% [markdown]
# ## A search
#
# Optuna tries settings, and learns from each where to look next.


# %%
def objective(trial: optuna.Trial) -> float:
    """One set of numbers, played through."""
    settings = {
        "slice_us": trial.suggest_int("slice_us", 20, 5000, log=True),
        "weight": trial.suggest_int("weight", 256, 65_536, log=True),
        "rows": trial.suggest_int("rows", 16, 16_384, log=True),
    }
    return score(evaluate(settings, COSTS), COSTS)


optuna.logging.set_verbosity(optuna.logging.WARNING)
study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=1))
study.enqueue_trial(USUAL)
study.optimize(objective, n_trials=150)
BEST = dict(study.best_params)
print(BEST, "score", round(study.best_value, 2), "instead of", round(study.trials[0].value, 2))
assert study.best_value <= study.trials[0].value

# %% [markdown]
# Every trial, by what it cost and what it brought:

# %%
tried = [evaluate(trial.params, COSTS) for trial in study.trials]
figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
axes.scatter(*zip(*tried, strict=True), s=12, label="trials")
axes.scatter(*evaluate(USUAL, COSTS), marker="s", label="usual")
axes.scatter(*evaluate(BEST, COSTS), marker="*", s=120, label="best")
axes.set(xlabel="ms until answer is done", ylabel="ms until all are done")
axes.legend(fontsize=8)
plt.show()

# %% [markdown]
# ## Checked live
#
# The settings that were found, the usual ones and two others: what the simulator says, and what
# frames took. Other programs on this machine are in the second and not in the first.

# %%
CHECKED = {
    "usual": USUAL,
    "best": BEST,
    "short turns": {"slice_us": 100, "weight": 1024, "rows": 512},
    "heavy answer": {"slice_us": 500, "weight": 8192, "rows": 2048},
}
rows = {}
print(f"{'':<13} {'answer, ms':^19} {'frame, ms':^19}")
print(f"{'':<13} {'simulated':>9} {'live':>9} {'simulated':>9} {'live':>9}")
for name, settings in CHECKED.items():
    told, live = evaluate(settings, COSTS), measure(Turns(**settings))
    rows[name] = (told[0], live["answer"])
    print(f"{name:<13} {told[0]:9.2f} {live['answer']:9.2f} {told[1]:9.2f} {live['frame']:9.2f}")

# %%
figure, axes = plt.subplots(figsize=(7, 2.6), layout="constrained")
for offset, label in enumerate(("simulated", "live")):
    places = np.arange(len(rows)) + 0.36 * (offset - 0.5)
    axes.barh(places, [row[offset] for row in rows.values()], 0.34, label=label)
axes.set_yticks(range(len(rows)), list(rows))
axes.invert_yaxis()
axes.set(xlabel="ms until answer is done")
axes.legend(fontsize=8)
plt.show()

# %% [markdown]
# ## A sweep, on whatever executor
#
# To see the whole landscape, every combination is tried. `sweep` takes any executor of
# `concurrent.futures`: that is all it knows about where it runs. Here two workers of this machine;
# they are forked, so they know what this notebook has defined.

# %%
GRID = [
    {"slice_us": slice_us, "weight": 1024, "rows": rows}
    for slice_us in (30, 100, 300, 1000, 3000)
    for rows in (64, 256, 1024, 4096, 16_384)
]


def sweep(executor: Executor) -> list[float]:
    """The score of every setting of the grid."""
    outcomes = executor.map(evaluate, GRID, [COSTS] * len(GRID))
    return [score(outcome, COSTS) for outcome in outcomes]


with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as executor:
    by_processes = sweep(executor)

# %% [markdown]
# And the same function on a Dask cluster. This one is local; `Client("scheduler:8786")` would be
# one of many machines.

# %%
with (
    LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
    Client(cluster) as client,
):
    by_dask = sweep(client.get_executor())

assert by_dask == by_processes == [score(evaluate(each, COSTS), COSTS) for each in GRID]

# %%
slices = sorted({each["slice_us"] for each in GRID})
sizes = sorted({each["rows"] for each in GRID})
scores = np.array(by_dask).reshape(len(slices), len(sizes))
figure, axes = plt.subplots(figsize=(6, 3.4), layout="constrained")
image = axes.imshow(scores, cmap="viridis_r", aspect="auto")
for row, column in itertools.product(range(len(slices)), range(len(sizes))):
    value = scores[row, column]
    colour = "white" if value > (scores.min() + scores.max()) / 2 else "black"
    axes.text(column, row, f"{value:.1f}", ha="center", va="center", color=colour, fontsize=8)
axes.set_xticks(range(len(sizes)), sizes)
axes.set_yticks(range(len(slices)), slices)
axes.set(xlabel="rows of a piece", ylabel="turn, µs", title="score, the less the better")
figure.colorbar(image)
plt.show()

# %% [markdown]
# Next: `docs/policies.md` has all slots, `docs/simulator.md` the simulator.
