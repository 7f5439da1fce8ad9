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
# # First steps
#
# A hundred thousand sparks rise from a fire, cool, and go out. On the way: a world, five systems, a
# plan that explains itself, change detection, a native kernel, and where the time goes.

# %%
import ctypes
import subprocess
import tempfile
from pathlib import Path

import foliot as fo
import matplotlib.pyplot as plt
import numpy as np

# %% [markdown]
# ## A world
#
# A *component* is a kind of data. Each field becomes a column of its own.


# %%
@fo.component
class Position:
    x: fo.f4
    y: fo.f4


@fo.component
class Velocity:
    x: fo.f4
    y: fo.f4


Heat = fo.component("Heat", "f4")
Glowing = fo.tag("Glowing")


@fo.resource
class Wind:
    """One value for the whole world."""

    x: fo.f4 = 0.5


SPARKS = 100_000
rng = np.random.default_rng(1)


def make_world() -> fo.World:
    """A world full of sparks, in two kinds: those that glow, and those that do not."""
    world = fo.World()
    world.insert(Wind())
    columns = {
        Position: {"x": rng.normal(0, 0.3, SPARKS), "y": 0.0},
        Velocity: {"x": 0.0, "y": rng.uniform(1, 4, SPARKS)},
        Heat: rng.uniform(300, 1500, SPARKS),
    }
    ids = world.spawn_many(SPARKS, columns)
    world.add_many(ids[::4], {Glowing: None})
    return world


world = make_world()
world

# %% [markdown]
# ## Systems
#
# A *system* is a function and a declaration of what it touches. Iterating over its context gives
# chunks of the tables that match; columns are numpy views, and `+=` changes the world in place.


# %%
@fo.system(reads=Wind, writes=Velocity)
def blow(ctx):
    """The wind takes the sparks along."""
    for chunk in ctx:
        chunk[Velocity].x += ctx[Wind].x * ctx.dt


@fo.system(writes=Heat)
def cool(ctx):
    """Newton's law of cooling."""
    for chunk in ctx:
        chunk[Heat] -= 0.3 * (chunk[Heat] - 290) * ctx.dt


@fo.system(reads=Velocity, writes=Position)
def move(ctx):
    """Position follows velocity."""
    for chunk in ctx:
        chunk[Position].x += chunk[Velocity].x * ctx.dt
        chunk[Position].y += chunk[Velocity].y * ctx.dt


@fo.system(reads=Heat, commands=True)
def go_out(ctx):
    """Cold sparks are gone."""
    for chunk in ctx:
        ctx.commands.despawn_many(chunk.entities[chunk[Heat] < 350])


heights: list[float] = []


@fo.system(reads=Position, with_=Glowing)
def watch(ctx):
    """How high the glowing sparks are on average."""
    count = sum(len(chunk) for chunk in ctx)
    total = sum(float(chunk[Position].y.sum()) for chunk in ctx)
    heights.append(total / max(count, 1))


# %% [markdown]
# ## The plan
#
# Nobody said in which order these run. The declarations decide who conflicts with whom, and the
# order in which the systems are given settles who goes first. A notebook draws the plan: columns
# are stages, boxes of one column may run side by side, the bar is a *merge*, where recorded
# commands are applied. It stands before `watch`, the first system after `go_out` to look at the
# sparks.

# %%
schedule = fo.Schedule(blow, cool, move, go_out, watch, phases=["update"])
plan = schedule.plan()
plan

# %% [markdown]
# Ask it why.

# %%
for pair in [("blow", "move"), ("blow", "cool"), ("go_out", "watch")]:
    print(plan.explain(*pair))

# %% [markdown]
# `blow` and `move` conflict, but that `blow` is first was never *said*. Such pairs are ambiguities:
# the order is fixed, and perhaps not meant.

# %%
for ambiguity in plan.ambiguities():
    print(ambiguity)

# %% [markdown]
# ## Frames
#
# A scheduler runs the plan over a world. Each frame answers with what it did.

# %%
alive = []
with fo.Scheduler(world, schedule) as scheduler:
    for _ in range(120):
        frame = scheduler.tick(1 / 30)
        alive.append(len(world))
    print(scheduler.backend)
    costs = scheduler.costs()
frame

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3))
left.plot(alive)
left.set(xlabel="frame", ylabel="sparks", title="Sparks that are left")
right.plot(heights)
right.set(xlabel="frame", ylabel="metres", title="Mean height of glowing sparks")
figure.tight_layout()

# %% [markdown]
# ## What has changed
#
# A system with `changed=` goes only over rows where a component changed since it last ran. Here a
# thermometer touches ten sparks, and the alarm sees those ten.

# %%
small = fo.World()
ids = small.spawn_many(1000, {Heat: 300.0})
noticed = []


@fo.system(changed=Heat)
def alarm(ctx):
    """Counts what became different."""
    noticed.append(sum(len(chunk) for chunk in ctx))


with fo.Scheduler(small, fo.Schedule(alarm)) as scheduler:
    scheduler.tick(0.0)
    for entity in ids[:10]:
        small.set(entity, Heat(1000.0))
    scheduler.tick(0.0)
    scheduler.tick(0.0)
noticed

# %% [markdown]
# All thousand at first, because none had been seen; then ten; then none.
#
# ## A native kernel
#
# The same `move` in C. A kernel gets one pointer for each field of `writes`, then of `reads`, and
# the number of rows.

# %%
folder = Path(tempfile.mkdtemp())
(folder / "move.c").write_text(r"""
#include <stddef.h>

int move(void **columns, ptrdiff_t rows, void *user)
{
    float *x = columns[0], *y = columns[1];
    const float *vx = columns[2], *vy = columns[3];
    const float dt = *(const float *)user;
    for (ptrdiff_t i = 0; i < rows; i++) {
        x[i] += vx[i] * dt;
        y[i] += vy[i] * dt;
    }
    return 0;
}
""")
subprocess.run(
    ["cc", "-O3", "-shared", "-fPIC", "-o", folder / "move.so", folder / "move.c"], check=True
)
library = ctypes.CDLL(str(folder / "move.so"))
library.move.argtypes = [ctypes.POINTER(ctypes.c_void_p), ctypes.c_ssize_t, ctypes.c_void_p]
library.move.restype = ctypes.c_int

native_move = fo.native(
    library.move,
    writes=Position,
    reads=Velocity,
    user_data=np.array([1 / 30], dtype="f4"),
    name="native move",
)

# %% [markdown]
# It stands in a schedule like any other system, and a plan marks it: it never waits for the
# interpreter lock.

# %%
native_schedule = fo.Schedule(blow, cool, native_move, go_out, watch, phases=["update"])
native_schedule.plan()

# %% [markdown]
# ## Where the time goes
#
# Both schedules over equal worlds. `scheduler.costs()` has the mean time of each system.

# %%
with fo.Scheduler(make_world(), native_schedule) as scheduler:
    scheduler.tick_n(120, 1 / 30)
    native_costs = scheduler.costs()

names = [*costs, "native move"]
means = [1e6 * ({**native_costs, **costs})[name] for name in names]
figure, axes = plt.subplots(figsize=(7, 2.8))
bars = axes.barh(names, means, color=["#8fb8de"] * len(costs) + ["#9fcb8f"])
axes.bar_label(bars, fmt="%.0f µs", padding=3)
axes.invert_yaxis()
axes.set(xlabel="µs a frame", title="Mean time of each system", xlim=(0, 1.2 * max(means)))
figure.tight_layout()

# %% [markdown]
# The chain of systems that have to wait for each other bounds what any number of workers could do:

# %%
seconds, chain = plan.critical_path(costs)
print(f"{' -> '.join(chain)}: {1e6 * seconds:.0f} µs")
print(f"no number of workers is more than {plan.speedup_bound(costs):.2f} times as fast as one")

# %% [markdown]
# All five are Python systems that hold the interpreter lock, so one worker is as good as many. With
# the native kernel in place the bound moves:

# %%
native_schedule.plan().speedup_bound(native_costs)

# %% [markdown]
# Next: the tutorial and the rules of order in `docs/`.
