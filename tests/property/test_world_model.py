"""A world against a dictionary, under random calls, with views held across moves.

The model is a dictionary from entity to a dictionary from component to value. After each step both
hold the same; views taken earlier stay readable whatever happened to their tables.
"""

import gc

import foliot as fo
import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule

Position = fo.component("Position", {"x": "f4", "y": "i2"})
Mass = fo.component("Mass", "f8")
Matrix = fo.component("Matrix", ("u1", (2, 2)))
Frozen = fo.tag("Frozen")
Text = fo.component("Text", fo.Bytes)
Note = fo.component("Note", object)
Count = fo.resource("Count", {"n": "i8"})

floats = st.floats(width=32, allow_nan=False, allow_infinity=False)
value_of = {
    Position: st.builds(Position, floats, st.integers(-(2**15), 2**15 - 1)),
    Mass: st.builds(Mass, st.floats(allow_nan=False)),
    Matrix: st.builds(Matrix, st.integers(0, 255)),
    Frozen: st.builds(Frozen),
    Text: st.builds(Text, st.binary(max_size=20)),
    Note: st.builds(Note, st.one_of(st.none(), st.integers(), st.lists(st.integers()))),
}
kinds = st.sampled_from(list(value_of))
value_sets = st.lists(kinds, unique=True).flatmap(
    lambda chosen: st.tuples(*(value_of[kind] for kind in chosen))
)


class WorldMachine(RuleBasedStateMachine):
    entities = Bundle("entities")

    def __init__(self):
        super().__init__()
        self.world = fo.World(fo.Config(max_entities=200))
        self.model = {}
        self.gone = []
        self.views = []
        self.count = None

    @rule(target=entities, values=value_sets)
    def spawn(self, values):
        if len(self.model) == 200:
            with pytest.raises(fo.CapacityError):
                self.world.spawn(*values)
            return multiple()
        entity = self.world.spawn(*values)
        assert entity not in self.model
        self.model[entity] = {type(value): value for value in values}
        return entity

    @rule(target=entities, values=value_sets, count=st.integers(0, 30))
    def spawn_many(self, values, count):
        columns = {type(value): value for value in values}
        if len(self.model) + count > 200:
            with pytest.raises(fo.CapacityError):
                self.world.spawn_many(count, columns)
            return multiple()
        ids = self.world.spawn_many(count, columns)
        for entity in ids:
            self.model[int(entity)] = dict(columns)
        return multiple(*(int(entity) for entity in ids))

    @rule(entity=entities)
    def despawn(self, entity):
        if entity not in self.model:
            with pytest.raises(fo.StaleHandleError):
                self.world.despawn(entity)
            return
        self.world.despawn(entity)
        del self.model[entity]
        self.gone.append(entity)

    @rule(chosen=st.lists(entities, max_size=10))
    def despawn_many(self, chosen):
        if any(entity not in self.model for entity in chosen):
            with pytest.raises(fo.StaleHandleError):
                self.world.despawn_many(chosen)
            return
        self.world.despawn_many(chosen)
        for entity in set(chosen):
            del self.model[entity]
            self.gone.append(entity)

    @rule(entity=entities, values=value_sets)
    def add(self, entity, values):
        if entity not in self.model:
            with pytest.raises(fo.StaleHandleError):
                self.world.add(entity, *values)
            return
        self.world.add(entity, *values)
        self.model[entity] |= {type(value): value for value in values}

    @rule(entity=entities, values=value_sets)
    def set(self, entity, values):
        if entity not in self.model:
            with pytest.raises(fo.StaleHandleError):
                self.world.set(entity, *values)
        elif any(type(value) not in self.model[entity] for value in values):
            with pytest.raises(KeyError):
                self.world.set(entity, *values)
        else:
            self.world.set(entity, *values)
            self.model[entity] |= {type(value): value for value in values}

    @rule(entity=entities, chosen=st.lists(kinds, unique=True))
    def remove(self, entity, chosen):
        if entity not in self.model:
            with pytest.raises(fo.StaleHandleError):
                self.world.remove(entity, *chosen)
        elif any(kind not in self.model[entity] for kind in chosen):
            with pytest.raises(KeyError):
                self.world.remove(entity, *chosen)
        else:
            self.world.remove(entity, *chosen)
            for kind in chosen:
                del self.model[entity][kind]

    @rule(chosen=st.lists(entities, min_size=1, max_size=20), values=value_sets)
    def add_many(self, chosen, values):
        columns = {type(value): value for value in values}
        if any(entity not in self.model for entity in chosen):
            with pytest.raises(fo.StaleHandleError):
                self.world.add_many(chosen, columns)
            return
        self.world.add_many(np.array(chosen, dtype="u8"), columns)
        for entity in chosen:
            self.model[entity] |= columns

    @rule(chosen=st.lists(entities, min_size=1, max_size=20), kind=kinds)
    def remove_many(self, chosen, kind):
        bad = [entity for entity in chosen if kind not in self.model.get(entity, ())]
        if bad:
            # Which of several bad ids is named is the world's choice.
            with pytest.raises((KeyError, fo.StaleHandleError)):
                self.world.remove_many(chosen, kind)
            return
        self.world.remove_many(chosen, kind)
        for entity in set(chosen):
            del self.model[entity][kind]

    @rule(by=st.integers(-5, 5))
    def write_through_views(self, by):
        for chunk in self.world.query(writes=[Mass]):
            chunk[Mass] += by
            for entity in chunk.entities:
                self.model[int(entity)][Mass] = Mass(self.model[int(entity)][Mass].value + by)

    @rule(data=st.binary(max_size=8))
    def write_cells(self, data):
        for chunk in self.world.query(writes=[Text, Note]):
            chunk[Text] = data
            chunk[Note] = [data] * len(chunk)
            for entity in chunk.entities:
                self.model[int(entity)] |= {Text: Text(data), Note: Note(data)}

    @rule()
    def hold_views(self):
        for chunk in self.world.query(reads=[Position]):
            view = chunk[Position].x
            self.views.append((view, len(chunk)))
        for chunk in self.world.query(reads=[Text]):
            cell = chunk[Text][len(chunk) - 1]
            self.views.append((cell, len(bytes(cell))))
        del self.views[:-50]

    @rule(number=st.integers(-(2**63), 2**63 - 1))
    def insert(self, number):
        self.world.insert(Count(number))
        self.count = number

    @rule()
    def collect(self):
        gc.collect()

    @invariant()
    def holds_what_the_model_holds(self):
        assert len(self.world) == len(self.model)
        for entity, values in self.model.items():
            for kind in value_of:
                assert self.world.has(entity, kind) == (kind in values)
            for kind, value in values.items():
                assert self.world.get(entity, kind) == value
        assert not any(entity in self.world for entity in self.gone)
        if self.count is not None:
            assert self.world[Count].n == self.count

    @invariant()
    def query_finds_what_the_model_finds(self):
        for kind in (Position, Text):
            found = sorted(
                int(entity) for chunk in self.world.query(with_=[kind]) for entity in chunk.entities
            )
            assert found == sorted(each for each, values in self.model.items() if kind in values)

    @invariant()
    def old_views_stay_readable(self):
        for view, length in self.views:
            assert len(view) == length
            bytes(view)

    @invariant()
    def equal_worlds_have_equal_digests(self):
        other = fo.World()
        if self.gone or len(self.model) > 5:
            return
        for values in self.model.values():
            other.spawn(*values.values())
        if self.count is not None:
            other.insert(Count(self.count))
        assert other.digest() == self.world.digest()


TestWorldAgainstModel = WorldMachine.TestCase
TestWorldAgainstModel.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
