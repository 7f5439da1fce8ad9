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
# # Policies
#
# A *policy* decides what runs next and for how long. In a lottery each task holds tickets, one
# ticket is drawn for each slice of time, and who holds it runs: shares follow tickets without
# anybody counting what was used. (Waldspurger and Weihl, *Lottery scheduling*, 1994.)
#
# Here we write one in a few lines, look at it in the simulator, and run the same object live.

# %%
import random
from collections import Counter

import foliot as fo
import matplotlib.pyplot as plt

# %% [markdown]
# ## A lottery
#
# A policy overrides *slots*; all others stay built in. `pick` gets the runnables that are ready, in
# the order in which they became so, and returns one of them. `slice` says for how long it runs
# before `pick` is asked again. `base` names the built-in policy that decides the rest.

# %%
TICKETS = {"render": 6, "physics": 3, "sound": 1}
TOTAL = sum(TICKETS.values())


class Lottery(fo.Policy):
    """One ticket is drawn for each slice of time."""

    base = "fifo"

    def __init__(self, tickets: dict[str, int], seed: int, quantum: int = 10) -> None:
        self.tickets, self.quantum = tickets, quantum
        self.draw = random.Random(seed)

    def pick(self, ready, *, cpu, now):
        counts = [self.tickets.get(runnable.name, 1) for runnable in ready]
        return self.draw.choices(ready, counts)[0]

    def slice(self, runnable, *, now):
        return self.quantum


Lottery(TICKETS, seed=1).slots

# %% [markdown]
# ## In the simulator
#
# Three tasks, each of which would take the whole processor if it could. What it gets is what it
# drew. Time is a whole number of whatever unit you like; the run is the same for the same seed.

# %%
UNTIL = 100_000
greedy = fo.TaskSet(
    [fo.PeriodicTask(wcet=1000, period=1000, name=name) for name in TICKETS],
)
drawn = fo.sim.run(greedy, policy=Lottery(TICKETS, seed=1), until=UNTIL)
fair = fo.sim.run(greedy, policy="eevdf", until=UNTIL)


def shares(result) -> dict[str, float]:
    """The part of all finished work that was each task's."""
    done = Counter(job.name for job in result.jobs if job.finish is not None)
    return {name: done[name] / sum(done.values()) for name in TICKETS}


wanted = {name: count / TOTAL for name, count in TICKETS.items()}
simulated = shares(drawn)
print("tickets  ", wanted)
print("lottery  ", simulated)
print("fair     ", shares(fair))

# %% [markdown]
# A draw is a draw: after n slices a share of p is off by about √(p(1 − p)/n). With ten thousand
# slices that is half a percent; jobs of a hundred slices make what we count coarser.

# %%
assert all(abs(simulated[name] - wanted[name]) < 0.05 for name in TICKETS)
assert all(abs(share - 1 / 3) < 0.05 for share in shares(fair).values())

# %% [markdown]
# The first instants, as a picture: the processor changes hands as the tickets fall.

# %%
closeup = fo.sim.run(greedy, policy=Lottery(TICKETS, seed=1, quantum=50), until=1500)
closeup.gantt()
plt.show()

# %% [markdown]
# ## Live
#
# The same class decides in a scheduler, where a runnable is a system, and time is in nanoseconds.
# Nothing conflicts here, so each frame starts with a free choice among the three. We count who came
# first.

# %%
FRAMES = 2000
order: list[str] = []


def make_system(name: str) -> fo.System:
    """A system that notes its turn."""
    return fo.system(name=name)(lambda ctx: order.append(name))


schedule = fo.Schedule(*(make_system(name) for name in TICKETS))
policy = Lottery(TICKETS, seed=2, quantum=1_000_000)
with fo.Scheduler(fo.World(), schedule, policy=policy, workers=1) as scheduler:
    scheduler.tick_n(FRAMES, 1 / 60)

firsts = Counter(order[:: len(TICKETS)])
live = {name: firsts[name] / FRAMES for name in TICKETS}
print("tickets  ", wanted)
print("came first", live)

# %%
assert len(order) == FRAMES * len(TICKETS)
assert all(abs(live[name] - wanted[name]) < 0.05 for name in TICKETS)

# %% [markdown]
# ## Side by side

# %%
figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
for place, (label, values) in enumerate(
    {"tickets": wanted, "simulated": simulated, "live": live}.items()
):
    positions = [index + 0.25 * (place - 1) for index in range(len(TICKETS))]
    axes.bar(positions, [values[name] for name in TICKETS], width=0.23, label=label)
axes.set_xticks(range(len(TICKETS)), list(TICKETS))
axes.set_ylabel("share")
axes.legend()
plt.show()

# %% [markdown]
# ## A policy that is wrong
#
# Whatever a policy does, nothing stops. An exception, or an answer that cannot be, is a *fault*:
# the built-in policy decides that time, and after `max_faults` of them it decides everything. What
# happened is on record.


# %%
class Broken(fo.Policy):
    """Answers with something that is no runnable."""

    max_faults = 3

    def pick(self, ready, *, cpu, now):
        return "render"


order.clear()
with fo.Scheduler(fo.World(), schedule, policy=Broken(), workers=1) as scheduler:
    scheduler.tick_n(10, 1 / 60)
    faults = [decision for decision in scheduler.decisions if decision.kind == "fault"]

assert len(order) == 10 * len(TICKETS)
assert len(faults) == 3
faults[0]
