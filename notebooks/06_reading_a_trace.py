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
# # Reading a trace
#
# A swarm of bodies among eight suns, by native kernels and a Python system beside them. On the way:
# the same result with and without workers, what each costs, why a phase ran where it did, and what
# each worker did when.

# %%
import ctypes
import os
import subprocess
import tempfile
from pathlib import Path

import foliot as fo
import matplotlib.pyplot as plt
import numpy as np

# %% [markdown]
# ## Kernels
#
# Each treats its rows one by one, writes nothing but its columns, and only reads its user data. So
# several workers may call it at once, with different rows.

# %%
folder = Path(tempfile.mkdtemp())
(folder / "swarm.c").write_text(r"""
#include <math.h>
#include <stddef.h>

int pull(void **columns, ptrdiff_t rows, void *user)
{
    double *speed = columns[0];
    const double *place = columns[1];
    const double *suns = user;
    for (ptrdiff_t i = 0; i < rows; i++) {
        for (int k = 0; k < 8; k++) {
            double away = suns[k] - place[i];
            speed[i] += 1e-3 * away / sqrt(away * away * away * away + 1.0);
        }
    }
    return 0;
}

int cool(void **columns, ptrdiff_t rows, void *user)
{
    double *heat = columns[0];
    (void)user;
    for (ptrdiff_t i = 0; i < rows; i++) {
        heat[i] += 1e-9 * sqrt(heat[i]) + 0.01 * (290.0 - heat[i]);
    }
    return 0;
}

int move(void **columns, ptrdiff_t rows, void *user)
{
    double *place = columns[0];
    const double *speed = columns[1];
    (void)user;
    for (ptrdiff_t i = 0; i < rows; i++) {
        place[i] += 0.01 * speed[i];
    }
    return 0;
}
""")
subprocess.run(
    ["cc", "-O2", "-shared", "-fPIC", "-o", folder / "swarm.so", folder / "swarm.c", "-lm"],
    check=True,
)
kernels = ctypes.CDLL(str(folder / "swarm.so"))
for kernel in (kernels.pull, kernels.cool, kernels.move):
    kernel.argtypes = [ctypes.POINTER(ctypes.c_void_p), ctypes.c_ssize_t, ctypes.c_void_p]
    kernel.restype = ctypes.c_int

# %% [markdown]
# ## World and schedule
#
# `think` is plain Python and holds the interpreter lock; the kernels never need it. `fade` records
# commands, and `report` looks at the world after their merge.

# %%
Place, Speed, Heat = (fo.component(name, "f8") for name in ("Place", "Speed", "Heat"))
Route = fo.resource("Route", {"length": "f8"})


@fo.system(writes=Route)
def think(ctx):
    """Python code that takes a while."""
    ctx[Route].length = sum(step * step for step in range(9000))


@fo.system(reads=Heat, commands=True)
def fade(ctx):
    """What is cold goes, and as much comes anew."""
    for chunk in ctx:
        cold = chunk.entities[chunk[Heat] < 400]
        ctx.commands.despawn_many(cold)
        ctx.commands.spawn_many(len(cold), {Place: 0.0, Speed: 1.0, Heat: 900.0})


@fo.system(reads=[Place, Route])
def report(ctx):
    """Looks at the world after the merge."""
    for chunk in ctx:
        chunk[Place].mean()


def make_world(bodies: int) -> fo.World:
    """Bodies of every temperature; equal calls make equal worlds."""
    made = fo.World()
    made.insert(Route(length=0.0))
    rng = np.random.default_rng(1)
    places, heats = rng.normal(0.0, 3.0, bodies), rng.uniform(400.0, 900.0, bodies)
    made.spawn_many(bodies, {Place: places, Speed: 0.0, Heat: heats})
    return made


suns = np.linspace(-5.0, 5.0, 8)
schedule = fo.Schedule(
    fo.native(kernels.pull, writes=Speed, reads=Place, user_data=suns),
    fo.native(kernels.cool, writes=Heat),
    think,
    fo.native(kernels.move, writes=Place, reads=Speed),
    fade,
    report,
    phases=["update"],
)
schedule.plan()

# %% [markdown]
# ## One result
#
# The plan fixes the order of everything that conflicts. So the world is the same on every backend,
# with every number of workers, bit for bit.

# %%
FRAMES = 60
digests = {}
for backend in fo.BACKENDS:
    for workers in (1, 2, 4):
        world = make_world(20_000)
        with fo.Scheduler(world, schedule, backend=backend, workers=workers) as scheduler:
            scheduler.tick_n(FRAMES, 0.01)
        digests[backend, workers] = world.digest()
assert len(set(digests.values())) == 1
digests["stealing", 4]

# %% [markdown]
# ## What each costs
#
# The median frame of three backends over worlds of three sizes, on as many workers as this process
# may use processors, from two to eight. Rounds are interleaved, so that whatever else the machine
# does hits all alike.

# %%
WORKERS = min(8, max(2, len(os.sched_getaffinity(0))))
SIZES = (300, 3_000, 30_000)
times: dict[tuple[str, int], list[int]] = {}
reasons: dict[tuple[str, int], str] = {}
for size in SIZES:
    schedulers = {
        backend: fo.Scheduler(make_world(size), schedule, backend=backend, workers=WORKERS)
        for backend in ("blocking", "threadpool", "stealing")
    }
    for _ in range(6):
        for backend, scheduler in schedulers.items():
            for _ in range(20):
                times.setdefault((backend, size), []).append(scheduler.tick(0.01).wall_ns)
    for backend, scheduler in schedulers.items():
        reasons[backend, size] = scheduler.explain("update")
        scheduler.close()

figure, axes = plt.subplots(figsize=(7, 3))
for offset, backend in enumerate(("blocking", "threadpool", "stealing")):
    medians = [np.median(times[backend, size]) / 1e3 for size in SIZES]
    bars = axes.bar(np.arange(len(SIZES)) + 0.27 * (offset - 1), medians, 0.25, label=backend)
    axes.bar_label(bars, fmt="%.0f", fontsize=8)
axes.set_xticks(range(len(SIZES)), [f"{size:,} bodies" for size in SIZES])
axes.set(ylabel="µs a frame", title=f"Median frame, {WORKERS} workers", yscale="log")
axes.legend()
figure.tight_layout()

# %% [markdown]
# Going parallel costs some microseconds. A scheduler measures whether it pays, and says so:

# %%
for (backend, size), reason in reasons.items():
    if backend != "blocking":
        print(f"{size:>6,} bodies: {reason}")

# %% [markdown]
# ## What each worker did
#
# `trace=True` keeps records of every worker. A frame draws its own part of them. Of a phase that
# ran on the caller alone there is one lane with bars; so this looks for a frame in which two
# workers ran pieces of systems.

# %%
shown = None
with fo.Scheduler(make_world(30_000), schedule, workers=WORKERS, trace=True) as scheduler:
    for _ in range(300):
        frame = scheduler.tick(0.01)
        lanes = {span.worker for span in frame.spans if span.kind == "piece"}
        if shown is None or len(lanes) > 1:
            shown = frame
    trace, workers = scheduler.trace, scheduler.workers
fo.plot.gantt(shown)

# %% [markdown]
# Where the time of all frames went, from the records. A system that is cut shows by its pieces.

# %%
records = trace.records()
print(f"{len(records):,} records, {trace.lost:,} lost")
busy = records[np.isin(records["kind"], ["system", "piece", "merge"])]
lengths = (busy["end_ns"] - busy["start_ns"]) / 1e6
names = sorted(set(busy["name"]), key=lambda name: -lengths[busy["name"] == name].sum())
figure, axes = plt.subplots(figsize=(7, 2.8))
left = np.zeros(len(names))
for worker in range(WORKERS):
    mine = [lengths[(busy["name"] == name) & (busy["worker"] == worker)].sum() for name in names]
    axes.barh(names, mine, left=left, label=f"worker {worker}")
    left += mine
axes.invert_yaxis()
axes.set(xlabel="ms in all frames", title="Who ran what")
axes.legend()
figure.tight_layout()

# %% [markdown]
# Python systems are in the lane of worker 0, the thread that calls `tick`, or on another worker
# while that one is busy with a kernel: never on two at once. Counters say how work moved:

# %%
for worker in workers:
    print(
        f"worker {worker.worker}: {worker.tasks:,} tasks, {worker.stolen:,} stolen, "
        f"{worker.parks:,} sleeps, {worker.busy_ns / 1e6:.0f} ms busy"
    )

# %% [markdown]
# The same trace as a file for [Perfetto](https://ui.perfetto.dev), with a lane for each worker:

# %%
trace.save(folder / "swarm.json.gz")
(folder / "swarm.json.gz").stat().st_size

# %% [markdown]
# Next: `docs/backends.md` and `docs/tracing.md`.
