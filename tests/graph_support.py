"""Random task graphs, and exact models of how they run, which know nothing of the core.

The models search lists where the core keeps heaps and deques, and go by the rules alone.
"""

from __future__ import annotations

from hypothesis import strategies as st
from machine_support import charge, nearest_first

MASK = 2**64 - 1
DISTANCES = ("cache", "node", "other")


@st.composite
def graphs(draw, *, most=14, lanes=True):
    """A dict for ``Graph``: tasks under shuffled names, each after some of those drawn before."""
    count = draw(st.integers(0, most))
    names = draw(st.permutations([f"t{number}" for number in range(count)]))
    rows = {}
    for place, name in enumerate(names):
        row = {"cost": draw(st.integers(0, 6))}
        after = draw(st.sets(st.sampled_from(names[:place]), max_size=3)) if place else set()
        if after:
            row["after"] = sorted(after)
        lane = draw(st.sampled_from([None, None, "a", "b"])) if lanes else None
        if lane is not None:
            row["lane"] = lane
        rows[name] = row
    return {name: rows[name] for name in draw(st.permutations(names))}


@st.composite
def fans(draw):
    """Tasks of one cost, some with others after them: several CPUs have some, and several none."""
    cost = draw(st.integers(1, 3))
    widths = draw(st.lists(st.sampled_from([0, 0, 3, 5]), min_size=4, max_size=8))
    rows = {f"root{number}": {"cost": cost} for number in range(len(widths))}
    for number, width in enumerate(widths):
        for place in range(width):
            row = {"cost": draw(st.integers(1, 6)), "after": [f"root{number}"]}
            rows[f"t{number}.{place}"] = row
    return rows


class Splitmix:
    """The generator of the core."""

    def __init__(self, seed):
        self.state = seed

    def below(self, count):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        mixed = self.state
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & MASK
        mixed ^= mixed >> 31
        return ((mixed >> 32) * count) >> 32


def upward(rows):
    """Of each task the longest way from its start to the end."""
    ranks = {}
    while len(ranks) < len(rows):
        for name in rows:
            below = [other for other in rows if name in rows[other].get("after", ())]
            if name not in ranks and all(other in ranks for other in below):
                ranks[name] = rows[name]["cost"] + max((ranks[o] for o in below), default=0)
    return ranks


class Model:
    """One run, instant by instant."""

    def __init__(self, rows, machine, *, switch=0, migration=0, steal=0):
        self.rows, self.cpus, self.machine = rows, machine.cpus, machine
        self.switch, self.migration, self.steal = switch, migration, steal
        self.numbers = {name: number for number, name in enumerate(rows)}
        self.now = 0
        self.release, self.start, self.finish, self.cpu = {}, {}, {}, {}
        self.home, self.running = {}, {}
        self.done = set()
        self.migrations, self.steals = (dict.fromkeys(DISTANCES, 0) for _ in range(2))

    def lane_is_busy(self, name):
        lane = self.rows[name].get("lane")
        busy = [self.rows[other].get("lane") for other in self.running.values()]
        return lane is not None and lane in busy

    def begin(self, name, cpu, extra=0):
        overhead = self.switch + extra
        if self.home[name] not in (None, cpu):
            overhead += charge(self.migration, self.machine, self.home[name], cpu)
            self.migrations[self.machine.distance(self.home[name], cpu)] += 1
        self.start[name] = self.now + overhead
        self.finish[name] = self.start[name] + self.rows[name]["cost"]
        self.cpu[name] = cpu
        self.running[cpu] = name

    def idle(self):
        return [cpu for cpu in range(self.cpus) if cpu not in self.running]

    def make_ready(self, cpu):
        """Everything that waits for nothing any more, by number."""
        for name in self.rows:
            after = self.rows[name].get("after", ())
            if name not in self.release and all(other in self.done for other in after):
                self.release[name], self.home[name] = self.now, cpu
                self.ready(name, cpu)

    def run(self):
        self.make_ready(None)
        self.dispatch()
        while self.running:
            self.now = min(self.finish[name] for name in self.running.values())
            # What starts in this instant and costs nothing ends in a round of its own.
            ending = [cpu for cpu in self.running if self.finish[self.running[cpu]] == self.now]
            for cpu in sorted(ending):
                name = self.running.pop(cpu)
                self.done.add(name)
                self.lane_freed(name, cpu)
                self.make_ready(cpu)
            self.dispatch()
        return self

    @property
    def makespan(self):
        return max(self.finish.values(), default=0)

    def rows_of(self):
        return {
            name: (self.release[name], self.start[name], self.finish[name], self.cpu[name])
            for name in self.rows
        }


class Central(Model):
    """One queue: the least of ``key`` among those that may start."""

    def __init__(self, rows, machine, order, **costs):
        super().__init__(rows, machine, **costs)
        self.waiting = []
        self.order = order
        self.upward = upward(rows)

    def key(self, name):
        if self.order == "fifo":
            rank = (self.release[name], 0)
        elif self.order == "cost":
            rank = (-self.rows[name]["cost"], 0)
        else:
            successors = sum(name in row.get("after", ()) for row in self.rows.values())
            rank = (-self.upward[name], -successors)
        return (*rank, self.numbers[name])

    def ready(self, name, cpu):
        self.waiting.append(name)

    def lane_freed(self, name, cpu):
        """The queue looks at lanes when it is asked."""

    def dispatch(self):
        while self.idle():
            startable = [name for name in self.waiting if not self.lane_is_busy(name)]
            if not startable:
                return
            name = min(startable, key=self.key)
            self.waiting.remove(name)
            idle = self.idle()
            self.begin(name, self.home[name] if self.home[name] in idle else idle[0])


class Stealing(Model):
    """A list for each CPU: the end is the newest."""

    def __init__(self, rows, machine, seed, **costs):
        super().__init__(rows, machine, **costs)
        self.deques = [[] for _ in range(self.cpus)]
        self.parked = []
        self.random = Splitmix(seed)

    def ready(self, name, cpu):
        self.deques[cpu or 0].append(name)

    def lane_freed(self, name, cpu):
        lane = self.rows[name].get("lane")
        for other in self.parked:
            if lane is not None and self.rows[other].get("lane") == lane:
                self.parked.remove(other)
                self.deques[cpu].append(other)
                return

    def take(self, name, cpu, extra):
        if self.lane_is_busy(name):
            self.parked.append(name)
            return False
        self.begin(name, cpu, extra)
        return True

    def dispatch(self):
        for cpu in self.idle():
            while self.deques[cpu] and not self.take(self.deques[cpu].pop(), cpu, 0):
                pass
        for cpu in self.idle():
            while any(self.deques):
                first = (cpu + 1 + self.random.below(self.cpus - 1)) % self.cpus
                victims = [(first + step) % self.cpus for step in range(self.cpus)]
                stocked = [other for other in victims if self.deques[other]]
                victim = nearest_first(self.machine, cpu, stocked)[0]
                cost = charge(self.steal, self.machine, victim, cpu)
                if self.take(self.deques[victim].pop(0), cpu, cost):
                    self.steals[self.machine.distance(victim, cpu)] += 1
                    break
