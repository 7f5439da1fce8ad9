"""Which tables world.query() goes over, and when a loop over them ends."""

import gc

import foliot as fo
import pytest

A = fo.component("A", "f4")
B = fo.component("B", "f4")
C = fo.component("C", "f4")
T = fo.tag("T")
Gravity = fo.resource("Gravity", {"g": "f8"})


@pytest.fixture
def world():
    world = fo.World()
    world.spawn(A(1))
    world.spawn(A(2), B(2))
    world.spawn(A(3), B(3), T)
    world.spawn(B(4), C(4))
    return world


def found(query):
    return sorted(int(entity) & 0xFFFFFFFF for chunk in query for entity in chunk.entities)


def test_query_without_terms_goes_over_every_table(world):
    assert found(world.query()) == [0, 1, 2, 3]


def test_query_gives_what_has_all_it_names(world):
    assert found(world.query(reads=[A])) == [0, 1, 2]
    assert found(world.query(reads=[A], writes=[B])) == [1, 2]
    assert found(world.query(reads=[A], with_=[T])) == [2]


def test_query_leaves_out_what_has_what_it_refuses(world):
    assert found(world.query(reads=[A], without=[T])) == [0, 1]
    assert found(world.query(without=[A, C])) == []


def test_one_component_needs_no_list(world):
    assert found(world.query(reads=A, without=B)) == [0]


def test_any_iterable_names_components(world):
    assert found(world.query(reads=(kind for kind in (A, B)))) == [1, 2]
    assert found(world.query(reads={A: 1}, writes=None)) == [0, 1, 2]


def test_component_named_twice_is_written_if_it_is_once(world):
    for chunk in world.query(reads=[A, A], writes=[A], with_=[A]):
        assert chunk[A].flags.writeable


def test_component_wanted_and_refused_is_a_contradiction(world):
    with pytest.raises(ValueError, match="A is in reads and in without: no entity can match"):
        world.query(reads=[A], without=[A])


@pytest.mark.parametrize("given", [3, "A", [3], [A(1)]])
def test_something_else_than_components_is_refused(world, given):
    with pytest.raises(TypeError, match=r"expected|list of components"):
        world.query(reads=given)


def test_resource_is_no_filter(world):
    with pytest.raises(TypeError, match="Gravity is a resource: it cannot stand in without"):
        world.query(without=[Gravity])


def test_query_that_reads_a_missing_resource_says_so(world):
    query = world.query(reads=[A, Gravity])
    with pytest.raises(KeyError, match="needs Gravity, which was never inserted"):
        list(query)
    world.insert(Gravity(g=1))
    assert found(query) == [0, 1, 2]


def test_terms_go_by_name_only(world):
    with pytest.raises(TypeError):
        world.query([A])


def test_query_sees_tables_made_after_it(world):
    query = world.query(reads=[C])
    assert found(query) == [3]
    world.spawn(C(1), T)
    assert found(query) == [3, 4]


def test_query_can_be_looped_over_again(world):
    query = world.query(reads=[A])
    assert found(query) == found(query)


def test_empty_tables_are_left_out(world):
    for entity in [chunk.entities[0] for chunk in world.query(reads=[C])]:
        world.despawn(entity)
    assert list(world.query(reads=[C])) == []


def test_loops_over_one_query_may_nest(world):
    query = world.query(reads=[A])
    pairs = [(len(outer), len(inner)) for outer in query for inner in query]
    assert len(pairs) == 9


@pytest.mark.parametrize(
    "change",
    [
        lambda world: world.spawn(A(1)),
        lambda world: world.spawn_many(1),
        lambda world: world.despawn_many([]),
    ],
)
def test_change_of_structure_ends_the_loop(world, change):
    loop = iter(world.query(reads=[A]))
    chunk = next(loop)
    change(world)
    with pytest.raises(fo.AccessError, match="the world changed"):
        next(loop)
    with pytest.raises(fo.AccessError, match="the world changed"):
        chunk[A]


def test_change_of_values_does_not_end_the_loop(world):
    entity = world.spawn(A(9))
    seen = 0
    for _ in world.query(reads=[A]):
        world.set(entity, A(8))
        world.insert(Gravity(g=1))
        seen += 1
    assert seen == 3


def test_query_keeps_its_world_alive():
    world = fo.World()
    world.spawn(A(5))
    query = world.query(reads=[A])
    del world
    gc.collect()
    assert [float(chunk[A][0]) for chunk in query] == [5.0]


def test_loop_keeps_its_world_alive():
    def loop():
        world = fo.World()
        world.spawn(A(5))
        return iter(world.query(reads=[A]))

    kept = loop()
    gc.collect()
    assert float(next(kept)[A][0]) == 5.0


def test_chunk_outlives_its_world_but_gives_nothing():
    world = fo.World()
    world.spawn(A(5))
    [chunk] = world.query(reads=[A])
    view = chunk[A]
    del world
    gc.collect()
    assert len(chunk) == 1
    assert view.tolist() == [5.0]
    with pytest.raises(fo.AccessError, match="is gone"):
        chunk[A]


def test_more_distinct_queries_than_are_kept(world):
    kinds = [fo.component(f"K{number}", "f4") for number in range(100)]
    kept = world.query(reads=[A])
    loop = iter(kept)
    next(loop)
    for kind in kinds:
        assert list(world.query(reads=[kind])) == []
    assert found(kept) == [0, 1, 2]
    assert len(list(loop)) == 2


def test_query_prints_its_components(world):
    assert "query" in repr(world.query(reads=[A]))


def test_unfinished_loops_leave_the_world_free(world):
    loops = [iter(world.query(reads=[A])) for _ in range(3)]
    for loop in loops:
        next(loop)
    world.spawn(A(1))
    assert found(world.query(reads=[A])) == [0, 1, 2, 4]
