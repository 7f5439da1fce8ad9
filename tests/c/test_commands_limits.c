/* Limits of command buffers: what a run may record, who is told, memory that grows and stays. */

#include <errno.h>

#include "commands_support.h"

static void test_runs_do_not_share_their_limits(void)
{
    fol_world *world = make_world();
    fol_commands *commands = make_commands(world, 0, 2, 64);
    fol_entity entity;
    for (uint32_t order = 0; order < 50; order++) {
        fol_commands_begin(commands, order, 0);
        must(fol_commands_spawn(commands, NULL, 0, &entity));
        must(fol_commands_spawn(commands, NULL, 0, &entity));
        CHECK_EQ(fol_commands_recorded(commands), 2);
        CHECK_EQ(fol_commands_spawn(commands, NULL, 0, &entity), FOL_E_CAPACITY);
        CHECK_STR(fol_commands_full_setting(commands), "max_commands");
        CHECK_EQ(fol_commands_full_limit(commands), 2);
    }
    CHECK_EQ(fol_commands_count(commands), 100);
    must(fol_world_merge(world, &commands, 1, NULL));
    CHECK_EQ(fol_world_entity_count(world), 100);
    fol_commands_destroy(commands);
    fol_world_destroy(world);
}

static void test_a_smaller_command_fits_behind_one_that_did_not(void)
{
    fol_component *s = make_bytes("S");
    fol_world *world = make_world();
    fol_commands *commands = make_commands(world, 0, 10, 100);
    char letters[100] = "";
    fol_bytes large = {(uint8_t *)letters, 90};
    fol_bytes small = {(uint8_t *)letters, 8};
    fol_entity entity;
    must(fol_world_spawn(world, NULL, 0, &entity));
    fol_commands_begin(commands, 0, 0);
    CHECK_EQ(fol_commands_add(commands, entity, &(fol_value){s, &large}, 1), FOL_E_CAPACITY);
    CHECK_STR(fol_commands_full_setting(commands), "command_bytes");
    CHECK_EQ(fol_commands_full_limit(commands), 100);
    must(fol_commands_add(commands, entity, &(fol_value){s, &small}, 1));
    CHECK_EQ(fol_commands_recorded(commands), 1);
    must(fol_world_merge(world, &commands, 1, NULL));
    CHECK_EQ(fol_world_has(world, entity, s), 1);
    fol_commands_destroy(commands);
    fol_world_destroy(world);
    fol_component_release(s);
}

static void test_a_run_in_parts_is_not_told_and_the_merge_refuses_in_order(void)
{
    fol_world *world = make_world();
    fol_commands *buffers[2] = {make_commands(world, 0, 3, 1 << 10),
                                make_commands(world, 1, 3, 1 << 10)};
    fol_entity ids[6];
    told t = {.world = world};
    fol_merge_report report = {.on_error = note, .on_error_argument = &t};
    /* The later part is recorded first. */
    fol_commands_begin_part(buffers[0], 4, 2);
    for (int i = 2; i < 6; i++) {
        must(fol_commands_spawn(buffers[0], NULL, 0, &ids[i]));
    }
    CHECK_EQ(fol_commands_recorded(buffers[0]), 4);
    fol_commands_begin_part(buffers[1], 4, 1);
    must(fol_commands_spawn(buffers[1], NULL, 0, &ids[0]));
    must(fol_commands_spawn(buffers[1], NULL, 0, &ids[1]));
    fol_commands_begin(buffers[1], 5, 0);
    must(fol_commands_add(buffers[1], ids[5], NULL, 0));
    must(fol_world_merge(world, buffers, 2, &report));
    CHECK_EQ(fol_world_entity_count(world), 3);
    CHECK(!fol_entity_is_provisional(fol_commands_resolve(buffers[0], ids[2])));
    for (int i = 3; i < 6; i++) {
        CHECK_EQ(fol_commands_resolve(buffers[1], ids[i]), ids[i]);
    }
    CHECK_EQ(report.dropped, 4);
    CHECK_EQ(t.count, 1);
    CHECK_EQ(t.orders[0], 4);
    CHECK_STR(t.settings[0], "max_commands");
    CHECK_EQ(t.limits[0], 3);
    CHECK_EQ(fol_commands_count(buffers[0]), 0);
    fol_commands_destroy(buffers[0]);
    fol_commands_destroy(buffers[1]);
    fol_world_destroy(world);
}

static int count_drops(void *world, void *argument)
{
    (void)world;
    (void)argument;
    return 0;
}

static void drop_counted(void *argument)
{
    ++*(int *)argument;
}

static void test_what_a_part_lost_goes_with_its_rollback_and_its_discard(void)
{
    fol_component *o = make_object("O");
    fol_world *world = make_world();
    fol_commands *commands = make_commands(world, 0, 1, 1 << 10);
    counted object = {0};
    void *pointer = &object;
    int drops = 0;
    fol_entity entity;
    told t = {.world = world};
    fol_merge_report report = {.on_error = note, .on_error_argument = &t};
    for (int way = 0; way < 2; way++) {
        fol_commands_begin_part(commands, 1, 0);
        must(fol_commands_spawn(commands, &(fol_value){o, &pointer}, 1, &entity));
        must(fol_commands_spawn(commands, &(fol_value){o, &pointer}, 1, &entity));
        must(fol_commands_despawn(commands, entity));
        must(fol_commands_call(commands, count_drops, drop_counted, &drops, false));
        CHECK_EQ(drops, way + 1);
        CHECK_EQ(object.references, 1);
        CHECK_EQ(fol_commands_count(commands), 4);
        if (way == 0) {
            fol_commands_rollback(commands);
        } else {
            fol_commands_discard(commands, 1);
        }
        CHECK_EQ(object.references, 0);
        CHECK_EQ(fol_commands_count(commands), 0);
    }
    fol_commands_begin_part(commands, 1, 0);
    must(fol_commands_spawn(commands, NULL, 0, &entity));
    must(fol_world_merge(world, &commands, 1, &report));
    CHECK_EQ(t.count, 0);
    CHECK_EQ(report.dropped, 0);
    fol_commands_destroy(commands);
    fol_world_destroy(world);
    fol_component_release(o);
}

static void test_a_run_of_nothing_but_what_is_too_large_is_told_too(void)
{
    fol_component *a = make_float("A");
    fol_world *world = make_world();
    fol_commands *commands = make_commands(world, 0, 10, 16);
    fol_entity entity;
    float value = 1;
    told t = {.world = world};
    fol_merge_report report = {.on_error = note, .on_error_argument = &t};
    must(fol_world_spawn(world, NULL, 0, &entity));
    fol_commands_begin_part(commands, 2, 0);
    must(fol_commands_add(commands, entity, &(fol_value){a, &value}, 1));
    /* This one alone would fit. */
    must(fol_commands_despawn(commands, entity));
    CHECK_EQ(fol_commands_count(commands), 2);
    must(fol_world_merge(world, &commands, 1, &report));
    CHECK_EQ(t.count, 1);
    CHECK_STR(t.settings[0], "command_bytes");
    CHECK_EQ(t.limits[0], 16);
    CHECK_EQ(report.dropped, 2);
    CHECK_EQ(fol_world_entity_count(world), 1);
    fol_commands_destroy(commands);
    fol_world_destroy(world);
    fol_component_release(a);
}

static void test_a_spawn_takes_its_place_when_its_turn_comes(void)
{
    fol_world *world = make_small_world(4);
    fol_commands *buffers[2] = {make_commands(world, 0, 10, 1 << 10),
                                make_commands(world, 1, 10, 1 << 10)};
    fol_entity old[3];
    fol_entity late[2];
    fol_entity early[2];
    told t = {.world = world};
    fol_merge_report report = {.on_error = note, .on_error_argument = &t};
    must(fol_world_spawn_many(world, 3, NULL, 0, old));
    /* One place is free; the despawn between the two systems makes another. */
    fol_commands_begin(buffers[0], 9, 0);
    must(fol_commands_spawn(buffers[0], NULL, 0, &late[0]));
    must(fol_commands_spawn(buffers[0], NULL, 0, &late[1]));
    must(fol_commands_despawn(buffers[0], late[1]));
    fol_commands_begin(buffers[1], 1, 0);
    must(fol_commands_spawn(buffers[1], NULL, 0, &early[0]));
    must(fol_commands_spawn(buffers[1], NULL, 0, &early[1]));
    must(fol_commands_despawn(buffers[1], old[0]));
    must(fol_world_merge(world, buffers, 2, &report));
    CHECK_EQ(fol_world_entity_count(world), 4);
    CHECK(!fol_entity_is_provisional(fol_commands_resolve(buffers[0], early[0])));
    CHECK_EQ(fol_commands_resolve(buffers[0], early[1]), early[1]);
    CHECK(!fol_entity_is_provisional(fol_commands_resolve(buffers[0], late[0])));
    CHECK_EQ(fol_commands_resolve(buffers[0], late[1]), late[1]);
    CHECK_EQ(report.dropped, 3);
    CHECK_EQ(t.count, 2);
    CHECK_EQ(t.orders[0], 1);
    CHECK_EQ(t.orders[1], 9);
    CHECK_STR(t.settings[0], "max_entities");
    CHECK_EQ(t.limits[0], 4);
    fol_world_invariants(world);
    fol_commands_destroy(buffers[0]);
    fol_commands_destroy(buffers[1]);
    fol_world_destroy(world);
}

static void test_many_spawns_without_a_place_are_refused_whole(void)
{
    fol_world *world = make_small_world(4);
    fol_commands *commands = make_commands(world, 0, 10, 1 << 10);
    fol_entity ids[3];
    told t = {.world = world};
    fol_merge_report report = {.on_error = note, .on_error_argument = &t};
    must(fol_world_spawn_many(world, 2, NULL, 0, NULL));
    fol_commands_begin(commands, 3, 0);
    must(fol_commands_spawn_many(commands, 3, NULL, 0, ids));
    must(fol_commands_despawn_many(commands, ids, 3));
    must(fol_world_merge(world, &commands, 1, &report));
    CHECK_EQ(fol_world_entity_count(world), 2);
    CHECK_EQ(report.dropped, 6);
    CHECK_EQ(t.count, 1);
    CHECK_STR(t.settings[0], "max_entities");
    fol_commands_destroy(commands);
    fol_world_destroy(world);
}

static void test_the_types_named_first_get_the_last_numbers(void)
{
    fol_component *parts[3] = {make_float("A"), make_float("B"), make_float("C")};
    uint8_t digests[2][16];
    for (int round = 0; round < 2; round++) {
        fol_world *world;
        fol_entity entity;
        told t = {.world = NULL};
        must(fol_world_create(&(fol_world_config){10, 2, 10}, &world));
        t.world = world;
        fol_merge_report report = {.on_error = note, .on_error_argument = &t};
        fol_commands *buffers[2] = {make_commands(world, 0, 10, 1 << 10),
                                    make_commands(world, 1, 10, 1 << 10)};
        must(fol_world_spawn(world, NULL, 0, &entity));
        for (uint32_t order = 3; order-- > 0;) {
            /* In one buffer, or each in another than before; recorded from the last to the first.
             */
            fol_commands *buffer = buffers[round == 0 ? 0 : order % 2];
            fol_commands_begin(buffer, order, 0);
            must(fol_commands_add(buffer, entity, &(fol_value){parts[order], NULL}, 1));
        }
        must(fol_world_merge(world, buffers, 2, &report));
        CHECK_EQ(t.count, 1);
        CHECK_EQ(t.orders[0], 2);
        CHECK_STR(t.settings[0], "max_components");
        CHECK_EQ(t.limits[0], 2);
        CHECK_EQ(fol_world_has(world, entity, parts[1]), 1);
        fol_world_digest(world, digests[round]);
        fol_commands_destroy(buffers[0]);
        fol_commands_destroy(buffers[1]);
        fol_world_destroy(world);
    }
    CHECK(memcmp(digests[0], digests[1], 16) == 0);
    for (int i = 0; i < 3; i++) {
        fol_component_release(parts[i]);
    }
}

static void test_components_that_no_world_can_number_do_not_gather(void)
{
    fol_world *world;
    fol_entity entity;
    must(fol_world_create(&(fol_world_config){10, 2, 10}, &world));
    fol_commands *commands = make_commands(world, 0, 1000, 1 << 20);
    must(fol_world_spawn(world, NULL, 0, &entity));
    uint64_t before = live_blocks();
    for (int round = 0; round < 4; round++) {
        fol_component *parts[300];
        for (int i = 0; i < 300; i++) {
            parts[i] = make_float("A");
            must(fol_commands_add(commands, entity, &(fol_value){parts[i], NULL}, 1));
        }
        must(fol_world_merge(world, &commands, 1, NULL));
        for (int i = 0; i < 300; i++) {
            fol_component_release(parts[i]);
        }
    }
    CHECK(live_blocks() < before + 50);
    fol_commands_destroy(commands);
    fol_world_destroy(world);
}

/* Records `count` entities with a text of `size` bytes. */
static void record_texts(fol_commands *commands, fol_component *s, uint32_t count, size_t size)
{
    static uint8_t letters[100000];
    fol_entity entity;
    for (uint32_t i = 0; i < count; i++) {
        memset(letters, (int)i, 8);
        must(
            fol_commands_spawn(commands, &(fol_value){s, &(fol_bytes){letters, size}}, 1, &entity));
    }
}

static uint64_t allocations(void)
{
    fol_memory_stats stats;
    fol_memory_read_stats(&stats);
    return stats.allocations;
}

static void test_what_any_buffer_held_all_can_hold_without_memory(void)
{
    fol_component *a = make_float("A");
    fol_world *world = make_world();
    fol_commands *buffers[BUFFERS];
    for (uint32_t b = 0; b < BUFFERS; b++) {
        buffers[b] = make_commands(world, (uint8_t)b, 100000, 1 << 30);
    }
    uint64_t grown = 0;
    for (uint32_t round = 0; round < 8; round++) {
        fol_commands *buffer = buffers[round % BUFFERS];
        uint64_t before = allocations();
        for (uint32_t order = 0; order < 300; order++) {
            fol_commands_begin(buffer, order, 0);
            fol_entity entity;
            for (int i = 0; i < 300; i++) {
                must(fol_commands_spawn(buffer, &(fol_value){a, NULL}, 1, &entity));
            }
        }
        CHECK_EQ(fol_commands_count(buffer), 90000);
        grown = round == 0 ? allocations() - before : grown;
        if (round > 0) {
            CHECK_EQ(allocations() - before, 0);
        }
        must(fol_world_merge(world, buffers, BUFFERS, NULL));
        for (uint32_t b = 0; b < BUFFERS; b++) {
            fol_commands_end_frame(buffers[b]);
        }
    }
    CHECK(grown > 5);
    CHECK_EQ(fol_world_entity_count(world), 8 * 90000);
    for (uint32_t b = 0; b < BUFFERS; b++) {
        fol_commands_destroy(buffers[b]);
    }
    fol_world_destroy(world);
    fol_component_release(a);
}

static void test_payloads_of_all_sizes_stay_where_they_are(void)
{
    fol_component *s = make_bytes("S");
    fol_world *world = make_world();
    fol_commands *commands = make_commands(world, 0, 100000, 1 << 30);
    for (int round = 0; round < 3; round++) {
        uint32_t before = fol_world_entity_count(world);
        fol_commands_begin(commands, 0, 0);
        record_texts(commands, s, 50, 1000);
        record_texts(commands, s, 2, 99999);
        record_texts(commands, s, 3000, 8);
        fol_commands_begin(commands, 1, 0);
        record_texts(commands, s, 3000, 70);
        fol_commands_rollback(commands);
        record_texts(commands, s, 200, 5000);
        must(fol_world_merge(world, &commands, 1, NULL));
        CHECK_EQ(fol_world_entity_count(world) - before, 3252);
    }
    const fol_table *table = world->tables[1];
    const fol_bytes *cells = (const fol_bytes *)(const void *)table->columns[0].data;
    uint32_t i = 0;
    for (size_t row = 0; row < table->rows; row++, i++) {
        i = row % 3252 == 0 || row % 3252 == 50 || row % 3252 == 52 || row % 3252 == 3052 ? 0 : i;
        CHECK_EQ(cells[row].data[0], i & 0xff);
    }
    fol_commands_destroy(commands);
    fol_world_destroy(world);
    fol_component_release(s);
}

static void test_a_command_without_memory_fails_alone(void)
{
    fol_component *s = make_bytes("S");
    for (uint32_t nth = 1; nth <= 12; nth++) {
        fol_world *world = make_world();
        fol_commands *commands = make_commands(world, 0, 100000, 1 << 30);
        fol_bytes text = text_bytes("a text that takes some room of its own");
        fol_entity entity;
        uint32_t recorded = 0;
        uint32_t refused = 0;
        fol_memory_fail_nth(nth);
        for (uint32_t i = 0; i < 70000; i++) {
            /* So that stretches and numbers of spawns grow as well. */
            fol_commands_begin(commands, i, 0);
            int status = fol_commands_spawn(commands, &(fol_value){s, &text}, 1, &entity);
            CHECK(status == 0 || status == -ENOMEM);
            recorded += status == 0 ? 1 : 0;
            refused += status != 0 ? 1 : 0;
        }
        fol_memory_fail_nth(0);
        CHECK_EQ(refused, 1);
        CHECK_EQ(fol_commands_count(commands), recorded);
        must(fol_world_merge(world, &commands, 1, NULL));
        CHECK_EQ(fol_world_entity_count(world), recorded);
        fol_commands_destroy(commands);
        fol_world_destroy(world);
    }
    fol_component_release(s);
}

static void test_a_component_without_memory_fails_its_command_alone(void)
{
    fol_component *parts[200];
    for (int i = 0; i < 200; i++) {
        parts[i] = make_tag("T");
    }
    for (uint32_t nth = 1; nth <= 4; nth++) {
        fol_world *world = make_world();
        fol_commands *commands = make_commands(world, 0, 1000, 1 << 20);
        fol_entity entity;
        uint32_t refused = 0;
        must(fol_world_spawn(world, NULL, 0, &entity));
        fol_memory_fail_nth(nth);
        for (int i = 0; i < 200; i++) {
            int status = fol_commands_add(commands, entity, &(fol_value){parts[i], NULL}, 1);
            CHECK(status == 0 || status == -ENOMEM);
            refused += status != 0 ? 1 : 0;
        }
        fol_memory_fail_nth(0);
        CHECK_EQ(refused, 1);
        CHECK_EQ(fol_commands_count(commands), 199);
        fol_commands_destroy(commands);
        fol_world_destroy(world);
    }
    for (int i = 0; i < 200; i++) {
        fol_component_release(parts[i]);
    }
}

static void test_a_frame_may_spawn_more_than_a_sheet_of_ids(void)
{
    fol_world *world = make_small_world(60 * 1000 * 1000);
    fol_commands *commands = make_commands(world, 0, 1000, 1 << 20);
    fol_entity first[3] = {0};
    /* Twenty million, none of which is merged: numbers alone. */
    for (int frame = 0; frame < 3; frame++) {
        fol_entity *ids = fol_alloc_array(2000000, sizeof(*ids));
        fol_commands_begin(commands, 1, 0);
        for (int i = 0; i < 10; i++) {
            must(fol_commands_spawn_many(commands, 2000000, NULL, 0, ids));
            CHECK(fol_entity_is_provisional(ids[1999999]));
            CHECK_EQ(ids[1999999] - ids[0], 1999999);
        }
        first[frame] = ids[0];
        fol_free(ids);
        fol_commands_rollback(commands);
        fol_commands_end_frame(commands);
    }
    CHECK(first[0] != first[1] && first[1] != first[2]);
    fol_commands_destroy(commands);
    fol_world_destroy(world);
}

static void test_ids_of_long_ago_mean_nobody(void)
{
    fol_world *world = make_small_world(100);
    fol_commands *commands = make_commands(world, 0, 1000, 1 << 20);
    fol_entity kept[40];
    for (uint32_t frame = 0; frame < 4000; frame++) {
        fol_entity ids[50];
        fol_merge_report report = {0};
        fol_commands_begin(commands, 1, 0);
        must(fol_commands_spawn_many(commands, 50, NULL, 0, ids));
        must(fol_commands_despawn_many(commands, ids, 50));
        if (frame >= 40) {
            must(fol_commands_despawn(commands, kept[frame % 40]));
        }
        kept[frame % 40] = ids[frame % 50];
        must(fol_world_merge(world, &commands, 1, &report));
        CHECK_EQ(report.dropped, frame >= 40 ? 1 : 0);
        CHECK_EQ(fol_world_entity_count(world), 0);
        fol_commands_end_frame(commands);
    }
    fol_commands_destroy(commands);
    fol_world_destroy(world);
}

int main(void)
{
    uint64_t before = live_blocks();
    RUN(test_runs_do_not_share_their_limits);
    RUN(test_a_smaller_command_fits_behind_one_that_did_not);
    RUN(test_a_run_in_parts_is_not_told_and_the_merge_refuses_in_order);
    RUN(test_what_a_part_lost_goes_with_its_rollback_and_its_discard);
    RUN(test_a_run_of_nothing_but_what_is_too_large_is_told_too);
    RUN(test_a_spawn_takes_its_place_when_its_turn_comes);
    RUN(test_many_spawns_without_a_place_are_refused_whole);
    RUN(test_the_types_named_first_get_the_last_numbers);
    RUN(test_components_that_no_world_can_number_do_not_gather);
    RUN(test_what_any_buffer_held_all_can_hold_without_memory);
    RUN(test_payloads_of_all_sizes_stay_where_they_are);
    RUN(test_a_command_without_memory_fails_alone);
    RUN(test_a_component_without_memory_fails_its_command_alone);
    RUN(test_a_frame_may_spawn_more_than_a_sheet_of_ids);
    RUN(test_ids_of_long_ago_mean_nobody);
    CHECK_EQ(live_blocks(), before);
    CHECK_MAIN_END();
}
