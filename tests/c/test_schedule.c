/* What a plan says of small schedules that a reader can check by hand. */

#include <math.h>

#include "test_schedule.h"

static void test_readers_of_one_component_share_a_stage(void)
{
    begin();
    uint32_t a = ADD("a", .reads = "A");
    uint32_t b = ADD("b", .reads = "A");
    uint32_t c = ADD("c", .writes = "A");
    make();
    CHECK(!fol_plan_in_conflict(plan, a, b));
    CHECK(fol_plan_in_conflict(plan, a, c));
    CHECK_EQ(stage(a), stage(b));
    CHECK_EQ(stage(c), stage(a) + 1);
    end();
}

static void test_a_resource_and_a_query_of_one_id_conflict_whatever_the_filter(void)
{
    begin();
    uint32_t a = ADD("a", .writes = "A", .without = "B");
    uint32_t b = ADD("b", .resource_reads = "A");
    make();
    CHECK(fol_plan_in_conflict(plan, a, b));
    end();
}

static void test_filters_make_systems_disjoint(void)
{
    begin();
    uint32_t a = ADD("a", .writes = "C", .with = "D");
    uint32_t b = ADD("b", .writes = "C", .without = "D");
    uint32_t c = ADD("c", .writes = "C");
    uint32_t d = ADD("d", .reads = "CD");
    make();
    CHECK(!fol_plan_in_conflict(plan, a, b));
    CHECK(fol_plan_in_conflict(plan, a, c));
    CHECK(fol_plan_in_conflict(plan, b, c));
    CHECK(!fol_plan_in_conflict(plan, b, d));
    CHECK(fol_plan_in_conflict(plan, a, d));
    explains(a, b,
             "`a` and `b` may run together: both touch Health, but never in the same table: `a` "
             "requires Frozen, `b` excludes it.");
    explains(b, a,
             "`b` and `a` may run together: both touch Health, but never in the same table: `b` "
             "excludes Frozen, `a` requires it.");
    end();
}

static void test_exclusive_conflicts_with_all(void)
{
    begin();
    uint32_t a = ADD("a", .reads = "A");
    uint32_t x = ADD("x", .exclusive = true);
    uint32_t b = ADD("b");
    uint32_t y = ADD("y", .exclusive = true);
    uint32_t other = ADD("other", .phase = LAST);
    make();
    CHECK(fol_plan_in_conflict(plan, a, x) && fol_plan_in_conflict(plan, b, x));
    CHECK(fol_plan_in_conflict(plan, x, y) && fol_plan_in_conflict(plan, x, other));
    CHECK(!fol_plan_in_conflict(plan, a, b) && !fol_plan_in_conflict(plan, x, x));
    CHECK(stage(a) < stage(x) && stage(x) < stage(b) && stage(b) < stage(y));
    fol_conflict conflict;
    CHECK_EQ(fol_plan_conflicts(plan, a, x, &conflict, 1), 1);
    CHECK_EQ(conflict.resource, FOL_RESOURCE_WORLD);
    CHECK_EQ(conflict.a, FOL_ACCESS_READ);
    CHECK_EQ(conflict.b, FOL_ACCESS_WRITE);
    explains(a, x,
             "`a` and `x` may not run together: `x` is exclusive. `a` runs first because it was "
             "registered first.");
    explains(y, x,
             "`y` and `x` may not run together: both are exclusive. `x` runs first because it was "
             "registered first.");
    end();
}

static void test_order_through_sets_and_later_edits_are_honoured(void)
{
    begin();
    uint32_t early = add_set("early");
    uint32_t late = add_set("late");
    uint32_t a = ADD("a", .sets = "B");
    uint32_t b = ADD("b", .sets = "A");
    make();
    CHECK(place(a) < place(b) && !fol_plan_is_ordered(plan, a, b));
    CHECK_EQ(stage(a), stage(b));
    fol_schedule_add_order(schedule, set_ref(early), set_ref(late));
    uint32_t c = ADD("c", .sets = "A");
    make();
    CHECK(fol_plan_is_ordered(plan, b, a) && fol_plan_is_ordered(plan, c, a));
    CHECK(place(b) < place(c) && place(c) < place(a));
    uint32_t d = ADD("d");
    fol_schedule_add_order(schedule, set_ref(late), system_ref(d));
    make();
    CHECK(fol_plan_is_ordered(plan, b, d));
    const fol_edge *edges;
    size_t count;
    CHECK_EQ(fol_plan_edges(plan, UPDATE, &edges, &count), FOL_OK);
    CHECK_EQ(count, 3);
    CHECK(edges[2].before == a && edges[2].after == d);
    CHECK_EQ(edges[2].reason, FOL_EDGE_EXPLICIT);
    end();
}

static void test_an_empty_set_passes_order_on(void)
{
    begin();
    uint32_t middle = add_set("middle");
    uint32_t a = ADD("a");
    uint32_t b = ADD("b");
    fol_schedule_add_order(schedule, system_ref(b), set_ref(middle));
    fol_schedule_add_order(schedule, set_ref(middle), system_ref(a));
    make();
    CHECK(fol_plan_is_ordered(plan, b, a));
    end();
}

static void test_five_writers_report_exactly_the_unordered_pairs(void)
{
    begin();
    uint32_t w[5];
    static const char *const names[5] = {"w0", "w1", "w2", "w3", "w4"};
    for (int i = 0; i < 5; i++) {
        w[i] = ADD(names[i], .writes = "A");
    }
    order(w[0], w[1]);
    order(w[1], w[2]);
    order(w[3], w[4]);
    make();
    const fol_ambiguity *list;
    size_t count;
    CHECK_EQ(fol_plan_ambiguities(plan, &list, &count), FOL_OK);
    CHECK_EQ(count, 6);
    for (size_t i = 0; i < count; i++) {
        CHECK(list[i].a < 3 && list[i].b >= 3);
        CHECK(i == 0 || list[i - 1].a < list[i].a || list[i - 1].b < list[i].b);
    }
    CHECK_EQ(fol_plan_ambiguity_count(plan), 6);
    CHECK_EQ(fol_plan_stage_count(plan, UPDATE), 5);
    end();
}

static void test_conflicts_follow_registration_unless_told_otherwise(void)
{
    begin();
    uint32_t draw = ADD("draw", .reads = "A");
    uint32_t move = ADD("move", .writes = "A");
    make();
    explains(move, draw,
             "`move` and `draw` may not run together: `move` writes Position, `draw` reads it. "
             "`draw` runs first because it was registered first.");
    order(move, draw);
    make();
    CHECK(place(move) < place(draw));
    explains(draw, move,
             "`draw` and `move` may not run together: `move` writes Position, `draw` reads it. "
             "`move` runs first because it is ordered before `draw`.");
    end();
}

static void test_a_cycle_with_registration_opens_at_its_earliest_free_system(void)
{
    begin();
    uint32_t a = ADD("a", .writes = "A");
    uint32_t b = ADD("b", .writes = "A");
    uint32_t c = ADD("c", .writes = "A");
    order(c, a);
    make();
    CHECK(place(b) < place(c) && place(c) < place(a));
    explains(a, b,
             "`a` and `b` may not run together: both write Position. `b` runs first although `a` "
             "was registered first: the explicit order of other systems leaves no way for all to "
             "keep the order of registration.");
    end();
}

static void test_two_recorders_before_one_reader_share_one_merge(void)
{
    begin();
    uint32_t a = ADD("spawn_a", .records = true);
    uint32_t b = ADD("spawn_b", .records = true);
    uint32_t reader = ADD("reader", .reads = "A");
    make();
    CHECK(segment(a) == 0 && segment(b) == 0 && segment(reader) == 1);
    CHECK_EQ(stage(a), stage(b));
    CHECK_EQ(sync_count(UPDATE), 1);
    size_t count;
    const fol_sync_point *point = fol_plan_sync_points(plan, UPDATE, &count);
    CHECK(point->after_count == 2 && point->after[0] == a && point->after[1] == b);
    CHECK(point->before_count == 1 && point->before[0] == reader && !point->is_phase_end);
    CHECK(fol_plan_in_conflict(plan, a, reader) && !fol_plan_in_conflict(plan, a, b));
    fol_conflict conflict;
    CHECK_EQ(fol_plan_conflicts(plan, reader, a, &conflict, 1), 1);
    CHECK_EQ(conflict.resource, FOL_RESOURCE_COMMANDS);
    CHECK_EQ(conflict.a, FOL_ACCESS_READ);
    CHECK_EQ(conflict.b, FOL_ACCESS_WRITE);
    explains(a, reader,
             "`spawn_a` and `reader` may not run together: `reader` starts after a merge, because "
             "`spawn_a` records commands that it must see. `spawn_a` runs first because it was "
             "registered first.");
    explains(a, b,
             "`spawn_a` and `spawn_b` may run together: they touch nothing in common. The commands "
             "of `spawn_a` are applied before those of `spawn_b`.");
    end();
}

static void test_an_earlier_reader_does_not_see_later_commands(void)
{
    begin();
    uint32_t reader = ADD("reader", .reads = "A");
    uint32_t spawner = ADD("spawner", .records = true);
    make();
    CHECK(segment(reader) == 0 && segment(spawner) == 0);
    CHECK_EQ(stage(reader), stage(spawner));
    CHECK_EQ(sync_count(UPDATE), 1);
    size_t count;
    const fol_sync_point *point = fol_plan_sync_points(plan, UPDATE, &count);
    CHECK(point->is_phase_end && point->before_count == 0 && point->after_count == 1);
    explains(reader, spawner,
             "`reader` and `spawner` may run together: they touch nothing in common. `reader` does "
             "not see the commands of `spawner`, which are merged later.");
    order(spawner, reader);
    make();
    CHECK_EQ(segment(reader), 1);
    CHECK_EQ(sync_count(UPDATE), 1);
    end();
}

static void test_a_system_without_a_query_waits_for_a_merge_only_when_ordered(void)
{
    begin();
    uint32_t spawner = ADD("spawner", .records = true);
    uint32_t user = ADD("user", .resource_reads = "F");
    uint32_t idle = ADD("idle");
    make();
    CHECK(segment(user) == 0 && segment(idle) == 0);
    order(spawner, user);
    order(spawner, idle);
    make();
    CHECK(segment(user) == 1 && segment(idle) == 0);
    CHECK(stage(idle) == stage(spawner) + 1);
    CHECK(fol_plan_in_conflict(plan, spawner, user));
    CHECK(!fol_plan_in_conflict(plan, spawner, idle));
    explains(spawner, idle,
             "`spawner` and `idle` may not run together: `spawner` is ordered before `idle`. By "
             "what they touch they could: they touch nothing in common.");
    explains(user, idle,
             "`user` and `idle` may not run together: a merge stands after `idle` and before "
             "`user`. By what they touch they could: they touch nothing in common.");
    end();
}

static void test_a_chain_of_recorders_that_observe_merges_after_each(void)
{
    begin();
    uint32_t a = ADD("a", .reads = "A", .records = true);
    uint32_t b = ADD("b", .reads = "A", .records = true);
    uint32_t c = ADD("c", .reads = "A", .records = true);
    make();
    CHECK(segment(a) == 0 && segment(b) == 1 && segment(c) == 2);
    CHECK_EQ(sync_count(UPDATE), 3);
    CHECK_EQ(fol_plan_segment_count(plan, UPDATE), 3);
    end();
}

static void test_the_order_is_right_for_every_phase_empty_ones_too(void)
{
    begin();
    uint32_t a = ADD("a", .phase = LAST);
    uint32_t b = ADD("b");
    make();
    uint32_t first, count;
    fol_plan_phase_range(plan, FIRST, &first, &count);
    CHECK(first == 0 && count == 0);
    CHECK_EQ(fol_plan_stage_count(plan, FIRST), 0);
    CHECK_EQ(fol_plan_segment_count(plan, FIRST), 0);
    CHECK_EQ(sync_count(FIRST), 0);
    fol_plan_phase_range(plan, LAST, &first, &count);
    CHECK(first == 1 && count == 1);
    CHECK(fol_plan_order(plan)[0] == b && fol_plan_order(plan)[1] == a);
    CHECK_EQ(fol_plan_phase_count(plan), 3);
    CHECK_STR(fol_plan_phase_name(plan, LAST), "last");
    CHECK_STR(fol_plan_system_name(plan, a), "a");
    CHECK_STR(fol_plan_resource_name(plan, F), "Gravity");
    CHECK_EQ(fol_plan_resource_count(plan), COMPONENTS);
    end();
}

static void test_an_empty_schedule_has_a_plan(void)
{
    fol_schedule *empty;
    fol_plan *none;
    CHECK_EQ(fol_schedule_create(NULL, &empty), FOL_OK);
    CHECK_EQ(fol_plan_create(empty, &none, NULL), FOL_OK);
    CHECK_EQ(fol_plan_system_count(none), 0);
    CHECK_EQ(fol_plan_ambiguity_count(none), 0);
    fol_plan_destroy(none);
    fol_schedule_destroy(empty);
}

static void test_a_plan_keeps_nothing_of_the_schedule(void)
{
    begin();
    uint32_t a = ADD("a", .writes = "A");
    uint32_t b = ADD("b", .reads = "A");
    make();
    fol_schedule_destroy(schedule);
    schedule = NULL;
    CHECK_STR(fol_plan_system_name(plan, b), "b");
    fol_conflict conflict;
    CHECK_EQ(fol_plan_conflicts(plan, a, b, &conflict, 1), 1);
    end();
}

static void test_bad_ids_and_full_schedules_are_refused_without_effect(void)
{
    fol_schedule *small;
    fol_schedule_limits limits = {.max_systems = 1, .max_resources = 1};
    fol_schedule_limits too_many = {.max_systems = FOL_SCHEDULE_MAX_SYSTEMS + 1};
    uint32_t id = 77;
    uint32_t nobody[1] = {5};
    CHECK_EQ(fol_schedule_create(&too_many, &small), FOL_E_VALUE);
    CHECK_EQ(fol_schedule_create(&limits, &small), FOL_OK);
    fol_system_spec spec = {.name = "a", .phase = 0};
    CHECK_EQ(fol_schedule_add_system(small, &spec, &id), FOL_E_PHASE);
    CHECK_EQ(fol_schedule_add_phase(small, "only", &id), FOL_OK);
    spec.sets = (fol_id_list){nobody, 1};
    CHECK_EQ(fol_schedule_add_system(small, &spec, &id), -EINVAL);
    spec.sets.count = 0;
    spec.resource_reads = (fol_id_list){nobody, 1};
    CHECK_EQ(fol_schedule_add_system(small, &spec, &id), -EINVAL);
    spec.resource_reads.count = 0;
    fol_query_access query = {.excluded = {nobody, 1}};
    spec.queries = &query;
    spec.query_count = 1;
    CHECK_EQ(fol_schedule_add_system(small, &spec, &id), -EINVAL);
    spec.query_count = 0;
    CHECK_EQ(fol_schedule_add_system(small, &spec, &id), FOL_OK);
    CHECK_EQ(id, 0);
    CHECK_EQ(fol_schedule_add_system(small, &spec, &id), FOL_E_CAPACITY);
    CHECK_STR(fol_schedule_full_setting(small), "max_systems");
    CHECK_EQ(fol_schedule_add_resource(small, "r", &id), FOL_OK);
    CHECK_EQ(fol_schedule_add_resource(small, "r", &id), FOL_E_CAPACITY);
    CHECK_STR(fol_schedule_full_setting(small), "max_resources");
    CHECK_EQ(fol_schedule_add_order(small, system_ref(0), system_ref(1)), -EINVAL);
    CHECK_EQ(fol_schedule_add_order(small, set_ref(0), system_ref(0)), -EINVAL);
    CHECK_EQ(fol_schedule_add_order(small, (fol_node_ref){(fol_node_kind)7, 0}, system_ref(0)),
             -EINVAL);
    fol_schedule_destroy(small);
}

static void test_the_critical_path_runs_through_merges_and_bounds_the_speed_up(void)
{
    begin();
    uint32_t a = ADD("a", .records = true);
    uint32_t b = ADD("b", .resource_writes = "A");
    uint32_t c = ADD("c", .reads = "A", .locks = true);
    uint32_t d = ADD("d", .reads = "B", .locks = true);
    double costs[4] = {1, 3, 4, 2};
    double seconds, bound;
    uint32_t path[4];
    size_t count;
    bool is_lock;
    make();
    CHECK_EQ(fol_plan_critical_path(plan, costs, &seconds, path, &count), FOL_OK);
    CHECK(seconds == 7 && count == 2 && path[0] == b && path[1] == c);
    CHECK_EQ(fol_plan_speedup_bound(plan, costs, &bound, &is_lock), FOL_OK);
    CHECK(bound == 10.0 / 7 && !is_lock);
    costs[d] = 20;
    costs[a] = 0;
    CHECK_EQ(fol_plan_speedup_bound(plan, costs, &bound, &is_lock), FOL_OK);
    CHECK(bound == 27.0 / 24 && is_lock);
    costs[c] = -1;
    CHECK_EQ(fol_plan_critical_path(plan, costs, &seconds, path, &count), -EINVAL);
    costs[c] = NAN;
    CHECK_EQ(fol_plan_speedup_bound(plan, costs, &bound, &is_lock), -EINVAL);
    double nothing[4] = {0};
    CHECK_EQ(fol_plan_speedup_bound(plan, nothing, &bound, &is_lock), FOL_OK);
    CHECK(bound == 1 && !is_lock);
    end();
}

static void test_half_a_million_set_constraints_make_one_chain(void)
{
    enum { COUNT = 1000 };
    uint32_t id;
    begin();
    for (uint32_t i = 0; i < COUNT; i++) {
        CHECK_EQ(fol_schedule_add_set(schedule, "set", &id), FOL_OK);
        fol_system_spec spec = {.name = "system", .phase = UPDATE, .sets = {&i, 1}};
        CHECK_EQ(fol_schedule_add_system(schedule, &spec, &id), FOL_OK);
    }
    for (uint32_t i = 0; i < COUNT; i++) {
        for (uint32_t k = i + 1; k < COUNT; k++) {
            fol_schedule_add_order(schedule, set_ref(COUNT - 1 - i), set_ref(COUNT - 1 - k));
        }
    }
    make();
    const fol_edge *edges;
    size_t count;
    CHECK_EQ(fol_plan_edges(plan, UPDATE, &edges, &count), FOL_OK);
    CHECK_EQ(count, COUNT - 1);
    CHECK(place(COUNT - 1) == 0 && place(0) == COUNT - 1);
    end();
}

int main(void)
{
    RUN(test_readers_of_one_component_share_a_stage);
    RUN(test_a_resource_and_a_query_of_one_id_conflict_whatever_the_filter);
    RUN(test_filters_make_systems_disjoint);
    RUN(test_exclusive_conflicts_with_all);
    RUN(test_order_through_sets_and_later_edits_are_honoured);
    RUN(test_an_empty_set_passes_order_on);
    RUN(test_five_writers_report_exactly_the_unordered_pairs);
    RUN(test_conflicts_follow_registration_unless_told_otherwise);
    RUN(test_a_cycle_with_registration_opens_at_its_earliest_free_system);
    RUN(test_two_recorders_before_one_reader_share_one_merge);
    RUN(test_an_earlier_reader_does_not_see_later_commands);
    RUN(test_a_system_without_a_query_waits_for_a_merge_only_when_ordered);
    RUN(test_a_chain_of_recorders_that_observe_merges_after_each);
    RUN(test_the_order_is_right_for_every_phase_empty_ones_too);
    RUN(test_an_empty_schedule_has_a_plan);
    RUN(test_a_plan_keeps_nothing_of_the_schedule);
    RUN(test_bad_ids_and_full_schedules_are_refused_without_effect);
    RUN(test_the_critical_path_runs_through_merges_and_bounds_the_speed_up);
    RUN(test_half_a_million_set_constraints_make_one_chain);
    CHECK_MAIN_END();
}
