/* Plans with systems that do I/O: where their results are delivered, and who waits for that. */

#include "test_schedule.h"

static void test_a_later_stage_starts_behind_the_delivery_of_an_earlier_one(void)
{
    size_t count;
    begin();
    uint32_t load = ADD("load", .writes = "A", .does_io = true);
    uint32_t beside = ADD("beside", .writes = "B");
    uint32_t after = ADD("after", .reads = "B");
    make();
    CHECK_EQ(stage(load), 0);
    CHECK_EQ(stage(after), 1);
    CHECK_EQ(segment(load), 0);
    CHECK_EQ(segment(beside), 0);
    CHECK_EQ(segment(after), 1);
    const fol_sync_point *points = fol_plan_sync_points(plan, UPDATE, &count);
    if (CHECK_EQ(count, 1)) {
        CHECK_EQ(points[0].delivers_count, 1);
        CHECK_EQ(points[0].delivers[0], load);
        CHECK_EQ(points[0].after_count, 0);
        CHECK_EQ(points[0].before_count, 0);
        CHECK(!points[0].is_phase_end);
    }
    CHECK(fol_plan_system_does_io(plan, load) && !fol_plan_system_does_io(plan, beside));
    CHECK(fol_plan_runs_before(plan, load, after));
    explains(load, after,
             "`load` and `after` may not run together: the I/O of `load` is delivered after `load`"
             " and before `after`. By what they touch they could: they touch nothing in common.");
    end();
}

static void test_a_phase_that_ends_with_io_delivers_at_its_end(void)
{
    size_t count;
    begin();
    uint32_t load = ADD("load", .does_io = true);
    make();
    const fol_sync_point *points = fol_plan_sync_points(plan, UPDATE, &count);
    CHECK_EQ(fol_plan_segment_count(plan, UPDATE), 1);
    if (CHECK_EQ(count, 1)) {
        CHECK(points[0].is_phase_end);
        CHECK_EQ(points[0].delivers[0], load);
    }
    end();
}

static void test_systems_of_one_stage_share_a_delivery(void)
{
    size_t count;
    begin();
    ADD("one", .reads = "A", .does_io = true);
    ADD("two", .reads = "A", .does_io = true);
    ADD("three", .writes = "A");
    make();
    const fol_sync_point *points = fol_plan_sync_points(plan, UPDATE, &count);
    if (CHECK_EQ(count, 1)) {
        CHECK_EQ(points[0].delivers_count, 2);
    }
    CHECK_EQ(fol_plan_segment_count(plan, UPDATE), 2);
    end();
}

static void test_commands_of_the_stage_are_merged_at_the_delivery(void)
{
    size_t count;
    begin();
    uint32_t load = ADD("load", .resource_writes = "C", .does_io = true, .records = true);
    uint32_t parse = ADD("parse", .resource_writes = "C");
    uint32_t find = ADD("find", .reads = "A");
    make();
    const fol_sync_point *points = fol_plan_sync_points(plan, UPDATE, &count);
    CHECK_EQ(segment(parse), 1);
    CHECK_EQ(segment(find), 1);
    if (CHECK_EQ(count, 1)) {
        CHECK_EQ(points[0].after[0], load);
        CHECK_EQ(points[0].delivers[0], load);
        CHECK_EQ(points[0].before_count, 1);
        CHECK_EQ(points[0].before[0], find);
    }
    end();
}

static void test_an_earlier_observer_does_not_see_commands_that_a_delivery_merges(void)
{
    begin();
    uint32_t first = ADD("first", .writes = "A");
    uint32_t observer = ADD("observer", .reads = "A");
    uint32_t recorder = ADD("recorder", .records = true);
    uint32_t load = ADD("load", .does_io = true);
    make();
    CHECK_EQ(stage(first), 0);
    CHECK_EQ(stage(load), 0);
    CHECK_EQ(stage(observer), 1);
    CHECK_EQ(stage(recorder), 1);
    CHECK(segment(observer) <= segment(recorder));
    end();
}

static void test_a_phase_without_io_keeps_its_stages_beside_one_with_it(void)
{
    begin();
    uint32_t first = ADD("first", .writes = "A", .phase = LAST);
    uint32_t observer = ADD("observer", .reads = "A", .phase = LAST);
    uint32_t recorder = ADD("recorder", .records = true, .phase = LAST);
    ADD("load", .does_io = true);
    make();
    CHECK_EQ(stage(observer), 1);
    CHECK_EQ(stage(recorder), 0);
    CHECK_EQ(segment(first), segment(recorder));
    CHECK_EQ(fol_plan_segment_count(plan, LAST), 1);
    end();
}

static void test_a_merge_that_a_delivery_made_needless_is_left_out(void)
{
    size_t count;
    begin();
    uint32_t recorder = ADD("recorder", .records = true);
    ADD("load", .does_io = true);
    ADD("write", .resource_writes = "C");
    uint32_t read = ADD("read", .resource_reads = "C");
    uint32_t observer = ADD("observer", .reads = "D");
    make();
    CHECK(segment(recorder) < segment(observer));
    CHECK(segment(read) <= segment(observer));
    fol_plan_sync_points(plan, UPDATE, &count);
    CHECK_EQ(count, fol_plan_segment_count(plan, UPDATE) - 1);
    end();
}

int main(void)
{
    RUN(test_a_later_stage_starts_behind_the_delivery_of_an_earlier_one);
    RUN(test_a_phase_that_ends_with_io_delivers_at_its_end);
    RUN(test_systems_of_one_stage_share_a_delivery);
    RUN(test_commands_of_the_stage_are_merged_at_the_delivery);
    RUN(test_an_earlier_observer_does_not_see_commands_that_a_delivery_merges);
    RUN(test_a_phase_without_io_keeps_its_stages_beside_one_with_it);
    RUN(test_a_merge_that_a_delivery_made_needless_is_left_out);
    CHECK_MAIN_END();
}
