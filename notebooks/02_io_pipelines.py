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
# # I/O pipelines
#
# Two thousand recordings are read from files, summed up by a native kernel, and the sums written to
# a file, all by systems. On the way: I/O that is asked for and never waited for by hand, the same
# result on every backend, reading ahead, what the ring and the pool cost here, failures, and a
# backend that chooses for itself and says why.

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
# ## Recordings
#
# Each file holds 1,024 numbers of single precision.

# %%
FILES, SAMPLES, BATCH = 2000, 1024, 100
folder = Path(tempfile.mkdtemp())
rng = np.random.default_rng(1)
recordings = rng.normal(rng.uniform(-1, 1, (FILES, 1)), 1.0, (FILES, SAMPLES)).astype("f4")
paths = [folder / f"{number:04}.raw" for number in range(FILES)]
for path, recording in zip(paths, recordings, strict=True):
    path.write_bytes(recording.tobytes())

# %% [markdown]
# ## A pipeline
#
# `load` asks for the files of a batch, and names the entities that get them. `sum_up` is a kernel:
# of a component of bytes it sees where they are and how many. It goes only over rows that were
# delivered to since it last ran. `save` writes the columns, in the last frame, without copying them
# before.

# %%
Raw = fo.component("Raw", fo.Bytes)
Sums = fo.component("Sums", {"mean": "f4", "low": "f4", "high": "f4"})

(folder / "sums.c").write_text(r"""
#include "foliot/system.h"

int sum_up(void **columns, ptrdiff_t rows, void *user)
{
    float *mean = columns[0], *low = columns[1], *high = columns[2];
    const fol_bytes *raw = columns[3];
    (void)user;
    for (ptrdiff_t i = 0; i < rows; i++) {
        const float *samples = (const float *)raw[i].data;
        size_t count = raw[i].size / sizeof(float);
        double sum = 0.0;
        if (count == 0) {
            continue;
        }
        low[i] = high[i] = samples[0];
        for (size_t k = 0; k < count; k++) {
            sum += samples[k];
            low[i] = samples[k] < low[i] ? samples[k] : low[i];
            high[i] = samples[k] > high[i] ? samples[k] : high[i];
        }
        mean[i] = (float)(sum / (double)count);
    }
    return 0;
}
""")
library = folder / "sums.so"
include = f"-I{fo.get_include()}"
subprocess.run(
    ["cc", "-O2", "-shared", "-fPIC", include, "-o", library, folder / "sums.c"], check=True
)
kernel = ctypes.CDLL(str(library)).sum_up
kernel.argtypes = [ctypes.POINTER(ctypes.c_void_p), ctypes.c_ssize_t, ctypes.c_void_p]
kernel.restype = ctypes.c_int
sum_up = fo.native(kernel, writes=Sums, reads=Raw, changed=Raw)

Files = fo.resource("Files", {"asked": "i8"})


def loader(wait: str) -> fo.System:
    """The system that asks for a batch of files in each frame."""

    @fo.system(name="load", writes=[Raw, Files], io=True)
    def load(ctx):
        first = ctx[Files].asked
        if first < FILES:
            batch = slice(first, first + BATCH)
            ctx.io.read_many(paths[batch], to=(entities[batch], Raw), wait=wait)
            ctx[Files].asked = first + BATCH

    return load


@fo.system(reads=Sums, io=True, run_if=lambda ctx: ctx.frame == FILES // BATCH - 1)
def save(ctx):
    """Write each column to a file."""
    for name in ("mean", "low", "high"):
        columns = [getattr(chunk[Sums], name) for chunk in ctx]
        ctx.io.write(folder / f"{name}.f4", columns, wait="phase")


def make_world() -> tuple[fo.World, np.ndarray]:
    """An entity for each file, empty."""
    made = fo.World()
    made.insert(Files(asked=0))
    return made, made.spawn_many(FILES, {Raw: None, Sums: None})


pipeline = fo.Schedule(loader("stage"), sum_up, save, phases=["update"])
pipeline.plan().stages("update")

# %%
world, entities = make_world()
with fo.Scheduler(world, pipeline, backend="uring", trace=True) as scheduler:
    frame = scheduler.tick_n(FILES // BATCH, 0.0)
    stats, engine = scheduler.stats, scheduler.io

means = np.fromfile(folder / "mean.f4", "f4")
assert np.allclose(means, recordings.mean(axis=1), atol=1e-6)
assert (np.fromfile(folder / "high.f4", "f4") == recordings.max(axis=1)).all()
print(f"{stats.io_completed:,} operations on the {engine.engine}, {engine.reason or 'as wished'}")

# %% [markdown]
# Nobody opened a file, waited for it, or put results in order. The plan knows that `sum_up` reads
# what `load` writes; so the reads are sent when the stage of `load` has ended, and delivered before
# the next one begins.

# %% [markdown]
# ## One result
#
# Answers come in any order; they are delivered in the order of asking. So the world is the same on
# every backend, through a ring of io_uring or through blocking calls.

# %%
digests = {}
for backend in fo.BACKENDS:
    for io in ("uring", "pool"):
        world, entities = make_world()
        with fo.Scheduler(world, pipeline, backend=backend, io=io) as scheduler:
            scheduler.tick_n(FILES // BATCH, 0.0)
        digests[backend, io] = world.digest()
assert len(set(digests.values())) == 1
digests["adaptive", "uring"]

# %% [markdown]
# ## Reading ahead
#
# With `wait="stage"` the frame waits for its files. With `wait="none"` it does not: they are
# delivered at the start of a later frame, and meanwhile `sum_up` works on those that came. It needs
# no other code, since it goes over what changed. How many frames it takes is a matter of time, so
# this runs until everything has come; `scheduler.wait` sleeps until there is something to deliver.

# %%
ahead = fo.Schedule(loader("none"), sum_up, phases=["update"])
world, entities = make_world()
with fo.Scheduler(world, ahead, backend="uring") as scheduler:
    frames = 0
    while scheduler.wait() or world[Files].asked < FILES:
        scheduler.tick(0.0)
        frames += 1
(chunk,) = world.query(reads=[Sums])
assert np.allclose(chunk[Sums].mean, recordings.mean(axis=1), atol=1e-6)
frames

# %% [markdown]
# ## What each costs here
#
# The median frame of the pipeline, a batch of files, on each backend with both engines. Rounds are
# interleaved. The files are in the page cache: what a ring can save there is system calls and
# waiting, not copying. Which is fastest depends on the machine; `docs/performance.md` has
# measurements against other ways to read files.

# %%
times: dict[tuple[str, str], list[int]] = {}
for _ in range(5):
    for backend in fo.BACKENDS:
        for io in ("uring", "pool"):
            world, entities = make_world()
            with fo.Scheduler(world, pipeline, backend=backend, io=io) as scheduler:
                measured = [scheduler.tick(0.0).wall_ns for _ in range(FILES // BATCH)]
            # The first frame makes the engine.
            times.setdefault((backend, io), []).extend(measured[1:])

figure, axes = plt.subplots(figsize=(7, 3))
for offset, io in enumerate(("uring", "pool")):
    medians = [np.median(times[backend, io]) / 1e3 for backend in fo.BACKENDS]
    bars = axes.bar(np.arange(len(medians)) + 0.4 * (offset - 0.5), medians, 0.38, label=io)
    axes.bar_label(bars, fmt="%.0f", fontsize=8)
axes.set_xticks(range(len(fo.BACKENDS)), fo.BACKENDS)
axes.set(ylabel="µs a frame", title=f"{BATCH} files of {SAMPLES * 4:,} bytes a frame")
axes.legend()
figure.tight_layout()

# %% [markdown]
# ## Failures
#
# A failure that nobody holds is one of the system: it cannot be overlooked. Whoever holds the
# operation looks for himself.

# %%
held = []


@fo.system(io=True)
def careless(ctx):
    """Nobody holds what it asks for."""
    ctx.io.read(folder / "missing.raw")


@fo.system(io=True)
def careful(ctx):
    """Asks for three files, of which one is missing."""
    names = ["0000.raw", "missing.raw", "0001.raw"]
    held.append(ctx.io.read_many([folder / name for name in names], size=16))


with fo.Scheduler(fo.World(), fo.Schedule(careless, careful), errors="continue") as scheduler:
    frame = scheduler.tick(0.0)
for error in frame.errors:
    print(f"{type(error).__name__}: {error.__notes__[0]}")
print([None if result is None else len(result) for result in held[0].results], held[0].errors)

# %% [markdown]
# ## Which backend? The adaptive one finds out
#
# A load that comes in bursts: 300 frames that read 100 files each, 300 with nothing to do, and so
# on. `adaptive` watches frames, tries what may be better, keeps it if it was, and knows the load
# when it comes back. `explain` has its reasons with the numbers.

# %%
BURST = 300


@fo.system(name="burst", writes=Raw, io=True)
def burst(ctx):
    """Read a batch in every other stretch of frames."""
    if ctx.frame // BURST % 2 == 0:
        ctx.io.read_many(paths[:BATCH], to=(entities[:BATCH], Raw))


world, entities = make_world()
bursts = fo.Schedule(burst, sum_up, phases=["update"])
took = []
with fo.Scheduler(world, bursts, backend="adaptive", trace=True) as scheduler:
    for _ in range(4):
        took += [scheduler.tick(0.0).wall_ns for _ in range(BURST)]
        print(f"frame {scheduler.frame}: {scheduler.explain('backend')}\n")
    switches, records = scheduler.stats.switches, scheduler.trace.records()

# %% [markdown]
# Frame times, with its switches:

# %%
figure, axes = plt.subplots(figsize=(7, 3))
axes.plot(np.array(took) / 1e3, linewidth=0.6)
for record in records[records["kind"] == "switch"]:
    axes.axvline(record["frame"], color="tab:red", linewidth=0.8)
    axes.annotate(
        fo.BACKENDS[record["detail"]],
        (record["frame"], 0.97),
        xycoords=("data", "axes fraction"),
        rotation=90,
        va="top",
        fontsize=8,
    )
axes.set(yscale="log", xlabel="frame", ylabel="µs", title=f"{switches} switches")
figure.tight_layout()

# %% [markdown]
# What this machine offers for I/O, and what to do about what it lacks:

# %%
print(fo.io.probe())
print(f"{len(os.sched_getaffinity(0))} processors")

# %% [markdown]
# Next: `docs/io.md` has all operations, servers, I/O from kernels, and what is guaranteed;
# `docs/backends.md` says what `adaptive` does.
