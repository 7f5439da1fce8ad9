/* Discarding what one system recorded: all of it, and nothing else. */

#include <errno.h>

#include "world_support.h"

typedef struct scene {
    fol_world *world;
    fol_component *a;
    fol_component *o;
    fol_component *fresh; /* the world never met it */
    fol_commands *buffer;
    fol_entity target;
    counted object;
    void *pointer;
} scene;

static void open_scene(scene *s, uint32_t max_entities)
{
    *s = (scene){.a = make_float("A"), .o = make_object("O"), .fresh = make_float("fresh")};
    s->pointer = &s->object;
    fol_world_config world_config = fol_world_config_default;
    world_config.max_entities = max_entities;
    must(fol_world_create(&world_config, &s->world));
    must(fol_world_spawn(s->world, NULL, 0, &s->target));
    fol_commands_config config = {.max_commands = 8, .max_bytes = 4096};
    must(fol_commands_create(s->world, &config, &s->buffer));
}

static void close_scene(scene *s)
{
    fol_commands_destroy(s->buffer);
    fol_world_destroy(s->world);
    CHECK_EQ(s->object.references, 0);
    fol_component_release(s->a);
    fol_component_release(s->o);
    fol_component_release(s->fresh);
}

static void merge(scene *s)
{
    must(fol_world_merge(s->world, &s->buffer, 1, NULL));
    fol_commands_end_frame(s->buffer);
}

static void add(scene *s, float value)
{
    must(fol_commands_add(s->buffer, s->target, &(fol_value){s->a, &value}, 1));
}

static void test_all_chunks_of_the_system_go_and_others_stay(void)
{
    scene s;
    open_scene(&s, 100);
    fol_commands_begin(s.buffer, 1, 0);
    add(&s, 1.0f);
    fol_commands_begin(s.buffer, 2, 0);
    add(&s, 2.0f);
    fol_commands_begin(s.buffer, 1, 1);
    add(&s, 3.0f);
    fol_commands_begin(s.buffer, 2, 1);
    add(&s, 4.0f);
    fol_commands_discard(s.buffer, 2);
    CHECK_EQ(fol_commands_count(s.buffer), 2);
    fol_commands_discard(s.buffer, 2);
    fol_commands_discard(s.buffer, 7);
    CHECK_EQ(fol_commands_count(s.buffer), 2);
    merge(&s);
    CHECK(get_float(s.world, s.target, s.a) == 3.0f);
    close_scene(&s);
}

static void test_objects_and_the_run_s_limits_are_given_back(void)
{
    scene s;
    fol_entity ids[3];
    open_scene(&s, 4);
    fol_source source = {&s.pointer, 0};
    fol_commands_begin(s.buffer, 1, 0);
    must(fol_commands_spawn(s.buffer, &(fol_value){s.o, &s.pointer}, 1, &ids[0]));
    must(fol_commands_spawn_many(s.buffer, 3, &(fol_bulk){s.o, &source}, 1, NULL));
    CHECK_EQ(fol_commands_spawn(s.buffer, NULL, 0, &ids[0]), FOL_E_CAPACITY);
    CHECK_EQ(s.object.references, 2);
    CHECK(fol_commands_need_host(s.buffer));
    fol_commands_discard(s.buffer, 1);
    CHECK_EQ(s.object.references, 0);
    CHECK(!fol_commands_need_host(s.buffer));
    CHECK_EQ(fol_commands_count(s.buffer), 0);
    fol_commands_begin(s.buffer, 1, 0);
    must(fol_commands_spawn_many(s.buffer, 3, NULL, 0, ids));
    merge(&s);
    CHECK_EQ(fol_world_entity_count(s.world), 4);
    close_scene(&s);
}

static void test_commands_on_discarded_spawns_are_dropped(void)
{
    scene s;
    fol_entity lost[2];
    fol_merge_report report = {0};
    open_scene(&s, 100);
    fol_commands_begin(s.buffer, 1, 0);
    must(fol_commands_spawn_many(s.buffer, 2, NULL, 0, lost));
    fol_commands_begin(s.buffer, 2, 0);
    must(fol_commands_add(s.buffer, lost[0], &(fol_value){s.a, NULL}, 1));
    must(fol_commands_despawn_many(s.buffer, lost, 2));
    fol_commands_discard(s.buffer, 1);
    must(fol_world_merge(s.world, &s.buffer, 1, &report));
    CHECK_EQ(report.dropped, 3);
    CHECK_EQ(fol_world_entity_count(s.world), 1);
    CHECK(fol_entity_is_provisional(fol_commands_resolve(s.buffer, lost[0])));
    close_scene(&s);
}

static void test_an_emptied_buffer_has_all_its_room_again(void)
{
    scene s;
    open_scene(&s, 100);
    for (int round = 0; round < 20; round++) {
        fol_commands_begin(s.buffer, 1, (uint32_t)round);
        for (int i = 0; i < 8; i++) {
            add(&s, 1.0f);
        }
        CHECK_EQ(fol_commands_despawn(s.buffer, s.target), FOL_E_CAPACITY);
        fol_commands_discard(s.buffer, 1);
        merge(&s);
    }
    /* Recording goes on under the last stamp. */
    add(&s, 5.0f);
    merge(&s);
    CHECK(get_float(s.world, s.target, s.a) == 5.0f);
    close_scene(&s);
}

static void test_a_discarded_stretch_may_be_rolled_back(void)
{
    scene s;
    fol_entity lost;
    open_scene(&s, 100);
    fol_commands_begin(s.buffer, 1, 0);
    add(&s, 1.0f);
    fol_commands_begin(s.buffer, 2, 0);
    must(fol_commands_spawn(s.buffer, NULL, 0, &lost));
    fol_commands_discard(s.buffer, 2);
    must(fol_commands_spawn(s.buffer, NULL, 0, &lost));
    fol_commands_rollback(s.buffer);
    fol_commands_rollback(s.buffer);
    CHECK_EQ(fol_commands_count(s.buffer), 1);
    merge(&s);
    CHECK_EQ(fol_world_entity_count(s.world), 1);
    CHECK(get_float(s.world, s.target, s.a) == 1.0f);
    close_scene(&s);
}

static void test_what_waits_from_a_failed_merge_stays(void)
{
    scene s;
    float value = 1.0f;
    open_scene(&s, 100);
    fol_commands_begin(s.buffer, 1, 0);
    must(fol_commands_add(s.buffer, s.target, &(fol_value){s.fresh, &value}, 1));
    fol_memory_fail_nth(1);
    CHECK_EQ(fol_world_merge(s.world, &s.buffer, 1, NULL), -ENOMEM);
    fol_memory_fail_nth(0);
    fol_commands_begin(s.buffer, 1, 0);
    add(&s, 2.0f);
    fol_commands_discard(s.buffer, 1);
    CHECK_EQ(fol_commands_count(s.buffer), 1);
    merge(&s);
    CHECK(get_float(s.world, s.target, s.fresh) == 1.0f);
    CHECK_EQ(fol_world_has(s.world, s.target, s.a), 0);
    close_scene(&s);
}

int main(void)
{
    uint64_t before = live_blocks();
    RUN(test_all_chunks_of_the_system_go_and_others_stay);
    RUN(test_objects_and_the_run_s_limits_are_given_back);
    RUN(test_commands_on_discarded_spawns_are_dropped);
    RUN(test_an_emptied_buffer_has_all_its_room_again);
    RUN(test_a_discarded_stretch_may_be_rolled_back);
    RUN(test_what_waits_from_a_failed_merge_stays);
    if (live_blocks() != before) {
        fprintf(stderr, "%lld blocks were not freed\n", (long long)(live_blocks() - before));
        return 1;
    }
    CHECK_MAIN_END();
}
