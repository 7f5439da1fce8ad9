"""Plans against a model written straight from the definitions in ``foliot/schedule.h``.

The model knows nothing of bit rows: sets, loops over pairs, and reachability by walking.
"""

import itertools
from dataclasses import dataclass, field

import foliot as fo
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

COMPONENTS = [fo.component(f"C{i}", "f8") for i in range(4)]
RESOURCES = [fo.resource(type(f"R{i}", (), {"__annotations__": {"x": fo.f8}})) for i in range(2)]


@dataclass(frozen=True)
class Spec:
    """One system of the model: everything by number."""

    reads: frozenset = frozenset()
    writes: frozenset = frozenset()
    required: frozenset = frozenset()
    excluded: frozenset = frozenset()
    resource_reads: frozenset = frozenset()
    resource_writes: frozenset = frozenset()
    exclusive: bool = False
    commands: bool = False
    io: bool = False

    @property
    def has_query(self):
        return bool(self.reads | self.writes | self.required | self.excluded)

    @property
    def observes(self):
        return self.has_query or self.exclusive

    @property
    def has_access(self):
        return self.observes or bool(self.resource_reads | self.resource_writes)


def make_spec(components, resources, flags, io):
    """A spec from what each component and each resource is to the system, if anything."""

    def those(uses, wanted):
        return frozenset(number for number, use in enumerate(uses) if use == wanted)

    return Spec(
        reads=those(components, "read"),
        writes=those(components, "write"),
        required=those(components, "with"),
        excluded=those(components, "without"),
        resource_reads=those(resources, "read"),
        resource_writes=those(resources, "write"),
        exclusive=flags == "exclusive",
        commands=flags == "commands",
        io=io,
    )


def specs(with_io):
    uses = st.sampled_from(["", "", "read", "write", "with", "without"])
    resource_uses = st.sampled_from(["", "", "read", "write"])
    return st.builds(
        make_spec,
        # Many without a query: only they share a segment with a recorder that comes before them.
        st.just([""] * len(COMPONENTS)) | st.tuples(*[uses] * len(COMPONENTS)),
        st.tuples(*[resource_uses] * len(RESOURCES)),
        st.sampled_from(["", "", "", "", "commands", "commands", "exclusive"]),
        st.booleans() if with_io else st.just(False),
    )


@st.composite
def schedules(draw):
    """Systems and pairs (first, second) of explicit order; half of them without any I/O."""
    systems = draw(st.lists(specs(draw(st.booleans())), max_size=8))
    numbers = st.integers(0, max(0, len(systems) - 1))
    pairs = draw(st.lists(st.tuples(numbers, numbers), max_size=6))
    return systems, [(a, b) for a, b in pairs if a != b]


def make_schedule(systems, pairs):
    def pick(things, numbers):
        return [things[number] for number in sorted(numbers)]

    made = [
        fo.system(
            name=f"s{number}",
            reads=pick(COMPONENTS, spec.reads) + pick(RESOURCES, spec.resource_reads),
            writes=pick(COMPONENTS, spec.writes) + pick(RESOURCES, spec.resource_writes),
            with_=pick(COMPONENTS, spec.required),
            without=pick(COMPONENTS, spec.excluded),
            exclusive=spec.exclusive,
            commands=spec.commands,
            io=spec.io,
            before=[f"s{b}" for a, b in pairs if a == number],
        )(lambda ctx: None)
        for number, spec in enumerate(systems)
    ]
    return fo.Schedule(*made)


def closure(count, pairs):
    """All pairs that follow from the given ones."""
    reached = {(a, b) for a, b in pairs}
    for middle, a, b in itertools.product(range(count), repeat=3):
        if (a, middle) in reached and (middle, b) in reached:
            reached.add((a, b))
    return reached


def may_match_one_table(a, b):
    wants_a, wants_b = (spec.reads | spec.writes | spec.required for spec in (a, b))
    return not (wants_a & b.excluded or wants_b & a.excluded)


def touch_the_same(a, b):
    """Conflicts that depend on no order."""
    if a.exclusive or b.exclusive:
        return True
    shared = a.resource_writes & (b.resource_reads | b.resource_writes)
    if shared | (b.resource_writes & a.resource_reads):
        return True
    if not (a.has_query and b.has_query and may_match_one_table(a, b)):
        return False
    return bool(a.writes & (b.reads | b.writes) | b.writes & a.reads)


def order_matters(a, b):
    """A recorder and an observer, or two recorders."""
    return (a.commands and (b.commands or b.observes)) or (b.commands and a.observes)


@dataclass
class Model:
    """The plan of one phase."""

    systems: list
    explicit: set
    direct: set
    order: list = field(default_factory=list)

    def __post_init__(self):
        self.soft = {
            (a, b)
            for a, b in itertools.combinations(range(len(self.systems)), 2)
            if (
                touch_the_same(self.systems[a], self.systems[b])
                or order_matters(self.systems[a], self.systems[b])
            )
            and (a, b) not in self.explicit
            and (b, a) not in self.explicit
        }

    def has_knot(self):
        """Whether explicit order and registration contradict each other in a circle."""
        reached = closure(len(self.systems), self.explicit | self.soft)
        return any(a == b for a, b in reached)

    def solve(self):
        """Order, graph, segments and stages, one after another."""
        left = set(range(len(self.systems)))
        while left:
            free = [b for b in left if not any((a, b) in self.explicit | self.soft for a in left)]
            self.order.append(min(free))
            left.remove(min(free))
        self.place = {system: place for place, system in enumerate(self.order)}
        pairs = [
            (a, b)
            for a, b in itertools.permutations(self.order, 2)
            if self.place[a] < self.place[b]
        ]
        self.conflicting = {
            (a, b)
            for a, b in pairs
            if touch_the_same(self.systems[a], self.systems[b]) or self.must_see(a, b)
        }
        graph = self.explicit | self.conflicting
        self.graph = closure(len(self.systems), graph)
        self.reduced = {
            (a, b)
            for a, b in self.graph
            if not any((a, c) in self.graph and (c, b) in self.graph for c in self.order)
        }
        self.find_segments()
        self.find_stages()
        return self

    def must_see(self, a, b):
        """Whether b, later in the order, has to see the commands of a."""
        if not self.systems[a].commands:
            return False
        later = self.systems[b]
        return later.observes or (later.has_access and (a, b) in self.explicit)

    def find_segments(self):
        self.segment = {}
        for b in self.order:
            least = 0
            for a in self.segment:
                if self.must_see(a, b):
                    least = max(least, self.segment[a] + 1)
                if (a, b) in self.graph:
                    least = max(least, self.segment[a])
                if self.systems[b].commands and (
                    self.systems[a].commands or self.systems[a].observes
                ):
                    least = max(least, self.segment[a])
            self.segment[b] = least

    def find_stages(self):
        self.stage = {}
        first = 0
        for segment in sorted(set(self.segment.values())):
            members = [b for b in self.order if self.segment[b] == segment]
            does_io = any(self.systems[b].io for b in members)
            for place, b in enumerate(members):
                after = [self.stage[a] + 1 for a in self.stage if (a, b) in self.graph]
                if does_io and self.systems[b].commands:
                    after += [
                        self.stage[a]
                        for a in members[:place]
                        if self.systems[a].commands or self.systems[a].observes
                    ]
                self.stage[b] = max([first, *after])
            first = max(self.stage.values()) + 1
        if any(spec.io for spec in self.systems):
            self.cut_at_deliveries()

    def cut_at_deliveries(self):
        """Segments anew: behind stages with I/O, and behind old ones that still have commands."""
        old_ends = {
            max(self.stage[s] for s in self.order if self.segment[s] == segment)
            for segment in set(self.segment.values())
        }
        number = 0
        has_commands = False
        for stage, members in enumerate(self.stages()):
            for system in members:
                self.segment[system] = number
                has_commands = has_commands or self.systems[system].commands
            does_io = any(self.systems[system].io for system in members)
            if does_io or (stage in old_ends and has_commands):
                number += 1
                has_commands = False

    def stages(self):
        count = max(self.stage.values(), default=-1) + 1
        return [[s for s in self.order if self.stage[s] == stage] for stage in range(count)]

    def sync_points(self):
        points = []
        last = max(self.segment.values(), default=0)
        for segment in range(last + 1):
            members = [s for s in self.order if self.segment[s] == segment]
            after = [s for s in members if self.systems[s].commands]
            delivers = [s for s in members if self.systems[s].io]
            before = [
                b
                for b in self.order
                if self.segment[b] == segment + 1 and any(self.must_see(a, b) for a in after)
            ]
            if after or delivers:
                points.append((after, before, delivers, segment == last))
        return points


def names(numbers):
    return [f"s{number}" for number in numbers]


def solved(given):
    """Plan and model of a schedule that makes a plan and has no knot."""
    systems, pairs = given
    explicit = closure(len(systems), pairs)
    assume(not any(a == b for a, b in explicit))
    model = Model(systems, explicit, set(pairs))
    assume(not model.has_knot())
    return make_schedule(systems, pairs).plan(), model.solve()


@given(schedules())
def test_circular_order_is_refused_and_no_other(given):
    systems, pairs = given
    schedule = make_schedule(systems, pairs)
    if any(a == b for a, b in closure(len(systems), pairs)):
        with pytest.raises(fo.OrderCycleError):
            schedule.plan()
    else:
        schedule.plan()


@given(schedules())
def test_order_takes_the_earliest_registered_first_between_merges(given):
    plan, model = solved(given)
    assert plan.execution_order() == names(sorted(model.order, key=model.segment.get))


@given(schedules())
def test_conflicts_are_those_of_the_definition(given):
    plan, model = solved(given)
    for a, b in itertools.combinations(model.order, 2):
        assert bool(plan.conflicts(f"s{a}", f"s{b}")) == ((a, b) in model.conflicting)
        mirrored = [
            fo.Conflict(item.resource, item.b, item.a) for item in plan.conflicts(f"s{b}", f"s{a}")
        ]
        assert plan.conflicts(f"s{a}", f"s{b}") == mirrored


@given(schedules())
def test_edges_are_reduced_and_say_why(given):
    plan, model = solved(given)
    expected = {
        (f"s{a}", f"s{b}", "explicit" if (a, b) in model.explicit else "conflict")
        for a, b in model.reduced
    }
    assert set(plan.edges("update")) == expected
    assert len(plan.edges("update")) == len(expected)


@given(schedules())
def test_stages_are_a_greedy_colouring(given):
    plan, model = solved(given)
    assert plan.stages("update") == [names(stage) for stage in model.stages()]


@given(schedules())
def test_merges_and_deliveries_stand_where_they_must_be_seen(given):
    plan, model = solved(given)
    found = [(p.after, p.before, p.delivers, p.is_phase_end) for p in plan.sync_points("update")]
    assert found == [
        (names(after), names(before), names(delivers), is_end)
        for after, before, delivers, is_end in model.sync_points()
    ]


@given(schedules())
def test_deliveries_stand_before_every_later_stage(given):
    plan, model = solved(given)
    for a, b in itertools.permutations(model.order, 2):
        if model.systems[a].io and model.stage[a] < model.stage[b]:
            assert model.segment[a] < model.segment[b]
            assert f"s{a}" in plan.explain(f"s{a}", f"s{b}")
    delivered = [name for point in plan.sync_points("update") for name in point.delivers]
    assert sorted(delivered) == names(s for s, spec in enumerate(model.systems) if spec.io)


@given(schedules())
def test_an_earlier_observer_does_not_see_commands_recorded_behind_it(given):
    _, model = solved(given)
    for a, b in itertools.combinations(model.order, 2):
        if model.systems[b].commands and (model.systems[a].observes or model.systems[a].commands):
            assert model.segment[a] <= model.segment[b]


@given(schedules())
def test_ambiguities_are_conflicts_without_explicit_order(given):
    plan, model = solved(given)
    expected = {(f"s{a}", f"s{b}") for a, b in model.conflicting if (a, b) not in model.explicit}
    assert {(item.a, item.b) for item in plan.ambiguities()} == expected


@given(schedules(), st.data())
def test_critical_path_is_the_longest_chain(given, data):
    plan, model = solved(given)
    costs = [data.draw(st.integers(0, 9)) for _ in model.systems]
    longest = {}
    # What a merge waits for may come later in the order than what waits for the merge.
    for b in sorted(model.order, key=model.segment.get):
        ends = [
            longest[a] for a in longest if (a, b) in model.graph or self_merges_between(model, a, b)
        ]
        longest[b] = costs[b] + max(ends, default=0)
    seconds, path = plan.critical_path({f"s{s}": float(c) for s, c in enumerate(costs)})
    assert seconds == max(longest.values(), default=0)
    assert seconds == sum(costs[int(name[1:])] for name in path)


def self_merges_between(model, a, b):
    """Whether a merge or a delivery stands between them: the later one waits for all before."""
    cuts = {
        model.segment[s] for s in model.order if model.systems[s].commands or model.systems[s].io
    }
    return any(model.segment[a] <= segment < model.segment[b] for segment in cuts)


@given(schedules())
def test_what_holds_with_knots_too(given):
    systems, pairs = given
    explicit = closure(len(systems), pairs)
    assume(not any(a == b for a, b in explicit))
    plan = make_schedule(systems, pairs).plan()
    order = [int(name[1:]) for name in plan.execution_order()]
    assert sorted(order) == list(range(len(systems)))
    assert all(order.index(a) < order.index(b) for a, b in explicit)
    for stage in plan.stages("update"):
        for a, b in itertools.combinations(stage, 2):
            assert plan.conflicts(a, b) == []


@given(schedules())
def test_every_pair_can_be_explained(given):
    systems, pairs = given
    assume(not any(a == b for a, b in closure(len(systems), pairs)))
    plan = make_schedule(systems, pairs).plan()
    for a, b in itertools.combinations(range(len(systems)), 2):
        text = plan.explain(f"s{a}", f"s{b}")
        assert f"s{a}" in text
        assert f"s{b}" in text
        if plan.conflicts(f"s{a}", f"s{b}"):
            assert "may not run together" in text
