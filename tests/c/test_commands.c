/* Command buffers: recording, order, rollback, capacities, and what a merge reports. */

#include <errno.h>
#include <pthread.h>

#include "world_support.h"

static fol_commands *make_commands(fol_world *world, uint8_t worker)
{
    fol_commands *commands;
    fol_commands_config config = {.max_commands = 1000, .max_bytes = 1 << 20, .worker = worker};
    must(fol_commands_create(world, &config, &commands));
    return commands;
}

static void test_a_spawned_entity_is_there_after_the_merge(void)
{
    fol_component *a = make_float("A");
    fol_world *world = make_world();
    fol_commands *commands = make_commands(world, 7);
    fol_merge_report report = {0};
    float value = 4;
    fol_entity entity;
    fol_commands_begin(commands, 0, 0);
    must(fol_commands_spawn(commands, &(fol_value){a, &value}, 1, &entity));
    CHECK(fol_entity_is_provisional(entity));
    CHECK_EQ(fol_commands_count(commands), 1);
    CHECK_EQ(fol_world_entity_count(world), 0);
    CHECK_EQ(fol_commands_resolve(commands, entity), entity);
    must(fol_world_merge(world, &commands, 1, &report));
    fol_entity real = fol_commands_resolve(commands, entity);
    CHECK(!fol_entity_is_provisional(real));
    CHECK(get_float(world, real, a) == 4);
    CHECK_EQ(report.applied[FOL_COMMAND_SPAWN], 1);
    CHECK_EQ(report.moves, 1);
    CHECK(report.bytes_moved >= sizeof(float));
    fol_commands_end_frame(commands);
    CHECK_EQ(fol_commands_resolve(commands, entity), entity);
    fol_commands_destroy(commands);
    fol_world_destroy(world);
    fol_component_release(a);
}

static void test_a_provisional_id_of_an_earlier_frame_means_nobody(void)
{
    fol_component *a = make_float("A");
    fol_world *world = make_world();
    fol_commands *commands = make_commands(world, 3);
    fol_merge_report report = {0};
    float first = 1;
    float second = 2;
    float third = 3;
    fol_entity kept;
    fol_entity fresh;
    fol_commands_begin(commands, 0, 0);
    must(fol_commands_spawn(commands, &(fol_value){a, &first}, 1, &kept));
    must(fol_world_merge(world, &commands, 1, &report));
    fol_commands_end_frame(commands);
    fol_commands_begin(commands, 0, 0);
    must(fol_commands_spawn(commands, &(fol_value){a, &second}, 1, &fresh));
    must(fol_commands_set(commands, kept, &(fol_value){a, &third}, 1));
    CHECK(kept != fresh);
    must(fol_world_merge(world, &commands, 1, &report));
    CHECK_EQ(report.dropped, 1);
    CHECK(get_float(world, fol_commands_resolve(commands, fresh), a) == 2);
    fol_commands_destroy(commands);
    fol_world_destroy(world);
    fol_component_release(a);
}

static void test_a_provisional_id_works_in_other_buffers(void)
{
    fol_component *a = make_float("A");
    fol_world *world = make_world();
    fol_commands *buffers[2] = {make_commands(world, 0), make_commands(world, 200)};
    float value = 4;
    fol_entity entity;
    fol_commands_begin(buffers[1], 1, 0);
    must(fol_commands_spawn(buffers[1], NULL, 0, &entity));
    fol_commands_begin(buffers[0], 2, 0);
    must(fol_commands_add(buffers[0], entity, &(fol_value){a, &value}, 1));
    fol_merge_report report = {0};
    must(fol_world_merge(world, buffers, 2, &report));
    CHECK_EQ(report.moves, 1);
    CHECK(get_float(world, fol_commands_resolve(buffers[0], entity), a) == 4);
    fol_commands_destroy(buffers[0]);
    fol_commands_destroy(buffers[1]);
    fol_world_destroy(world);
    fol_component_release(a);
}

static void test_the_last_write_in_order_wins(void)
{
    fol_component *a = make_float("A");
    fol_world *world = make_world();
    fol_commands *buffers[2] = {make_commands(world, 0), make_commands(world, 1)};
    fol_entity entity;
    float values[3] = {1, 2, 3};
    must(fol_world_spawn(world, &(fol_value){a, NULL}, 1, &entity));
    /* Recorded last, ordered first. */
    fol_commands_begin(buffers[0], 5, 1);
    must(fol_commands_set(buffers[0], entity, &(fol_value){a, &values[2]}, 1));
    fol_commands_begin(buffers[1], 5, 0);
    must(fol_commands_set(buffers[1], entity, &(fol_value){a, &values[1]}, 1));
    fol_commands_begin(buffers[0], 4, 9);
    must(fol_commands_set(buffers[0], entity, &(fol_value){a, &values[0]}, 1));
    must(fol_world_merge(world, buffers, 2, NULL));
    CHECK(get_float(world, entity, a) == 3);
    fol_commands_destroy(buffers[0]);
    fol_commands_destroy(buffers[1]);
    fol_world_destroy(world);
    fol_component_release(a);
}

static void test_many_commands_on_one_entity_make_one_move(void)
{
    fol_component *c[4] = {make_float("A"), make_float("B"), make_float("C"), make_tag("T")};
    fol_world *world = make_world();
    fol_commands *commands = make_commands(world, 0);
    fol_merge_report report = {0};
    fol_entity entity;
    must(fol_world_spawn(world, NULL, 0, &entity));
    uint32_t tables = world->table_count;
    for (int i = 0; i < 4; i++) {
        must(fol_commands_add(commands, entity, &(fol_value){c[i], NULL}, 1));
    }
    must(fol_commands_remove(commands, entity, &c[1], 1));
    must(fol_world_merge(world, &commands, 1, &report));
    CHECK_EQ(report.moves, 1);
    CHECK_EQ(report.applied[FOL_COMMAND_ADD], 4);
    CHECK_EQ(report.applied[FOL_COMMAND_REMOVE], 1);
    CHECK_EQ(world->table_count, tables + 1);
    CHECK_EQ(fol_world_has(world, entity, c[1]), 0);
    CHECK_EQ(fol_world_has(world, entity, c[3]), 1);
    fol_commands_destroy(commands);
    fol_world_destroy(world);
    for (int i = 0; i < 4; i++) {
        fol_component_release(c[i]);
    }
}

static void test_commands_on_the_gone_are_dropped_and_counted(void)
{
    fol_component *a = make_float("A");
    fol_world *world = make_world();
    fol_commands *commands = make_commands(world, 0);
    fol_merge_report report = {0};
    fol_entity ids[2];
    must(fol_world_spawn_many(world, 2, NULL, 0, ids));
    must(fol_commands_despawn(commands, ids[0]));
    must(fol_commands_despawn(commands, ids[0]));
    must(fol_commands_add(commands, ids[0], &(fol_value){a, NULL}, 1));
    must(fol_commands_set(commands, ids[1], &(fol_value){a, NULL}, 1));
    must(fol_commands_remove(commands, ids[1], &a, 1));
    must(fol_commands_add(commands, 5, &(fol_value){a, NULL}, 1));
    must(fol_commands_add(commands, UINT64_MAX, &(fol_value){a, NULL}, 1));
    must(fol_world_merge(world, &commands, 1, &report));
    CHECK_EQ(report.dropped, 6);
    CHECK_EQ(report.applied[FOL_COMMAND_DESPAWN], 1);
    CHECK_EQ(report.applied[FOL_COMMAND_ADD], 0);
    CHECK_EQ(fol_world_has(world, ids[1], a), 0);
    fol_commands_destroy(commands);
    fol_world_destroy(world);
    fol_component_release(a);
}

static void test_a_rollback_gives_everything_back(void)
{
    fol_component *o = make_object("O");
    fol_world *world;
    counted object = {0};
    void *pointer = &object;
    fol_entity entity;
    must(fol_world_create(&(fol_world_config){3, 10, 10}, &world));
    fol_commands *commands = make_commands(world, 0);
    fol_commands_begin(commands, 1, 0);
    must(fol_commands_spawn(commands, NULL, 0, &entity));
    fol_commands_begin(commands, 2, 0);
    must(fol_commands_spawn(commands, &(fol_value){o, &pointer}, 1, &entity));
    must(fol_commands_spawn_many(commands, 2, &(fol_bulk){o, &(fol_source){&pointer, 0}}, 1, NULL));
    CHECK_EQ(fol_commands_recorded(commands), 2);
    CHECK_EQ(fol_commands_spawn(commands, NULL, 0, &entity), FOL_E_CAPACITY);
    CHECK_STR(fol_commands_full_setting(commands), "max_entities");
    CHECK_EQ(fol_commands_full_limit(commands), 3);
    CHECK_EQ(object.references, 2);
    CHECK(fol_commands_need_host(commands));
    fol_commands_rollback(commands);
    CHECK_EQ(object.references, 0);
    CHECK_EQ(fol_commands_recorded(commands), 0);
    CHECK_EQ(fol_commands_count(commands), 1);
    CHECK(!fol_commands_need_host(commands));
    must(fol_commands_spawn_many(commands, 2, NULL, 0, NULL));
    must(fol_world_merge(world, &commands, 1, NULL));
    CHECK_EQ(fol_world_entity_count(world), 3);
    fol_commands_destroy(commands);
    fol_world_destroy(world);
    fol_component_release(o);
}

static void test_destroying_a_buffer_drops_what_waits(void)
{
    fol_component *o = make_object("O");
    fol_component *s = make_bytes("S");
    fol_world *world = make_world();
    fol_commands *commands = make_commands(world, 0);
    counted object = {0};
    void *pointer = &object;
    fol_bytes text = text_bytes("text");
    fol_entity entity;
    must(fol_commands_spawn(commands, (fol_value[]){{o, &pointer}, {s, &text}}, 2, &entity));
    must(fol_commands_spawn_many(commands, 5, &(fol_bulk){o, &(fol_source){&pointer, 0}}, 1, NULL));
    fol_commands_destroy(commands);
    CHECK_EQ(object.references, 0);
    fol_world_destroy(world);
    fol_component_release(o);
    fol_component_release(s);
}

static void test_full_buffers_name_their_setting(void)
{
    fol_component *a = make_float("A");
    fol_world *world = make_world();
    fol_commands *commands;
    fol_entity entity;
    float value = 1;
    fol_commands_config few = {.max_commands = 2, .max_bytes = 1 << 12};
    must(fol_commands_create(world, &few, &commands));
    must(fol_commands_spawn(commands, NULL, 0, &entity));
    must(fol_commands_despawn(commands, entity));
    CHECK_EQ(fol_commands_despawn(commands, entity), FOL_E_CAPACITY);
    CHECK_STR(fol_commands_full_setting(commands), "max_commands");
    must(fol_world_merge(world, &commands, 1, NULL));
    must(fol_commands_despawn(commands, entity));
    fol_commands_destroy(commands);
    fol_commands_config small = {.max_commands = 100, .max_bytes = 64};
    must(fol_commands_create(world, &small, &commands));
    must(fol_commands_add(commands, entity, &(fol_value){a, &value}, 1));
    must(fol_commands_add(commands, entity, &(fol_value){a, &value}, 1));
    CHECK_EQ(fol_commands_add(commands, entity, &(fol_value){a, &value}, 1), FOL_E_CAPACITY);
    CHECK_STR(fol_commands_full_setting(commands), "command_bytes");
    CHECK_EQ(fol_commands_count(commands), 2);
    fol_commands_destroy(commands);
    fol_world_destroy(world);
    fol_component_release(a);
}

static void test_bad_commands_are_refused(void)
{
    fol_component *a = make_float("A");
    fol_component *r = make_resource("R");
    fol_world *world = make_world();
    fol_commands *commands = make_commands(world, 0);
    fol_entity entity;
    fol_value twice[2] = {{a, NULL}, {a, NULL}};
    fol_component *both[2] = {a, a};
    CHECK_EQ(fol_commands_spawn(commands, twice, 2, &entity), FOL_E_VALUE);
    CHECK_EQ(fol_commands_spawn(commands, &(fol_value){r, NULL}, 1, &entity), FOL_E_VALUE);
    CHECK_EQ(fol_commands_add(commands, 1, &(fol_value){NULL, NULL}, 1), FOL_E_VALUE);
    CHECK_EQ(fol_commands_insert(commands, &(fol_value){a, NULL}), FOL_E_VALUE);
    CHECK_EQ(fol_commands_remove(commands, 1, both, 2), FOL_E_VALUE);
    CHECK_EQ(fol_commands_add_many(commands, NULL, 0, &(fol_bulk){r, NULL}, 1), FOL_E_VALUE);
    CHECK_EQ(fol_commands_call(commands, NULL, NULL, NULL, false), FOL_E_VALUE);
    CHECK_EQ(fol_commands_count(commands), 0);
    fol_commands_destroy(commands);
    fol_world_destroy(world);
    fol_component_release(a);
    fol_component_release(r);
}

static void test_the_last_resource_stays(void)
{
    fol_component *r = make_resource("R");
    fol_world *world = make_world();
    fol_commands *commands = make_commands(world, 0);
    struct {
        int32_t a;
        double b;
    } value = {.a = 1, .b = 1.5};
    must(fol_commands_insert(commands, &(fol_value){r, &value}));
    value.a = 2;
    must(fol_commands_insert(commands, &(fol_value){r, &value}));
    fol_merge_report report = {0};
    must(fol_world_merge(world, &commands, 1, &report));
    CHECK_EQ(report.applied[FOL_COMMAND_INSERT], 2);
    CHECK_EQ(*(int32_t *)fol_world_resource(world, r), 2);
    fol_commands_destroy(commands);
    fol_world_destroy(world);
    fol_component_release(r);
}

/* A custom command looks at the world between its neighbours. */
typedef struct witness {
    uint32_t count;
    int drops;
    int merge_status;
    int record_status;
    fol_commands *commands;
} witness;

static int witness_world(void *world, void *argument)
{
    witness *w = argument;
    w->count = fol_world_entity_count(world);
    w->merge_status = fol_world_merge(world, &w->commands, 1, NULL);
    w->record_status = fol_commands_despawn(w->commands, 1);
    return -77;
}

static void drop_witness(void *argument)
{
    ((witness *)argument)->drops++;
}

static int last_error;
static uint32_t last_order;

static void keep_error(void *argument, uint32_t system_order, int status)
{
    (void)argument;
    last_error = status;
    last_order = system_order;
}

static void test_a_custom_command_runs_between_its_neighbours(void)
{
    fol_world *world = make_world();
    fol_commands *commands = make_commands(world, 0);
    witness w = {.commands = commands};
    witness unused = {.commands = commands};
    fol_entity entity;
    fol_merge_report report = {.on_error = keep_error};
    fol_commands_begin(commands, 6, 0);
    must(fol_commands_spawn(commands, NULL, 0, &entity));
    must(fol_commands_call(commands, witness_world, drop_witness, &w, false));
    must(fol_commands_spawn(commands, NULL, 0, &entity));
    must(fol_world_merge(world, &commands, 1, &report));
    CHECK_EQ(w.count, 1);
    CHECK_EQ(w.drops, 1);
    CHECK_EQ(w.merge_status, FOL_E_BUSY);
    CHECK_EQ(w.record_status, FOL_E_BUSY);
    CHECK_EQ(last_error, -77);
    CHECK_EQ(last_order, 6);
    CHECK_EQ(fol_world_entity_count(world), 2);
    fol_commands_begin(commands, 0, 0);
    must(fol_commands_call(commands, witness_world, drop_witness, &unused, false));
    fol_commands_rollback(commands);
    CHECK_EQ(unused.drops, 1);
    CHECK_EQ(unused.count, 0);
    fol_commands_destroy(commands);
    fol_world_destroy(world);
}

static void test_a_many_command_keeps_each_living_entitys_own_value(void)
{
    fol_component *a = make_float("A");
    fol_component *o = make_object("O");
    fol_component *s = make_bytes("S");
    fol_world *world = make_world();
    fol_commands *commands = make_commands(world, 0);
    fol_entity ids[4];
    float values[4] = {0, 1, 2, 3};
    counted objects[4] = {{0}};
    void *pointers[4] = {&objects[0], &objects[1], &objects[2], &objects[3]};
    fol_bytes texts[4] = {text_bytes("p"), text_bytes("qq"), text_bytes(""), text_bytes("ssss")};
    fol_source sources[3] = {
        {values, sizeof(float)}, {pointers, sizeof(void *)}, {texts, sizeof(fol_bytes)}};
    fol_bulk bulks[3] = {{a, &sources[0]}, {o, &sources[1]}, {s, &sources[2]}};
    fol_merge_report report = {0};
    must(fol_world_spawn_many(world, 4, NULL, 0, ids));
    must(fol_commands_add_many(commands, ids, 4, bulks, 3));
    must(fol_world_despawn(world, ids[1]));
    must(fol_world_merge(world, &commands, 1, &report));
    CHECK_EQ(report.applied[FOL_COMMAND_ADD], 3);
    CHECK_EQ(report.dropped, 1);
    for (int i = 0; i < 4; i++) {
        fol_bytes bytes;
        void *object;
        CHECK_EQ(objects[i].references, i == 1 ? 0 : 1);
        if (i != 1) {
            CHECK(get_float(world, ids[i], a) == (float)i);
            must(fol_world_get(world, ids[i], o, &object));
            CHECK(object == pointers[i]);
            must(fol_world_get(world, ids[i], s, &bytes));
            CHECK_EQ(bytes.size, texts[i].size);
        }
    }
    fol_commands_destroy(commands);
    fol_world_destroy(world);
    fol_component_release(a);
    fol_component_release(o);
    fol_component_release(s);
}

typedef struct failures {
    uint32_t count;
    uint32_t orders[8];
} failures;

static void note_failure(void *argument, uint32_t system_order, int status)
{
    failures *noted = argument;
    CHECK_EQ(status, FOL_E_CAPACITY);
    noted->orders[noted->count++ % 8] = system_order;
}

static void test_a_command_without_a_table_fails_alone(void)
{
    fol_component *a = make_float("A");
    fol_component *b = make_float("B");
    fol_world *world;
    fol_entity ids[2];
    fol_entity spawned;
    float value = 3;
    failures noted = {0};
    fol_merge_report report = {.on_error = note_failure, .on_error_argument = &noted};
    must(fol_world_create(&(fol_world_config){10, 10, 1}, &world));
    fol_commands *commands = make_commands(world, 0);
    must(fol_world_spawn(world, NULL, 0, &ids[0]));
    must(fol_world_spawn(world, &(fol_value){a, NULL}, 1, &ids[1]));
    fol_commands_begin(commands, 9, 0);
    must(fol_commands_spawn_many(commands, 1, NULL, 0, NULL));
    must(fol_commands_spawn(commands, &(fol_value){b, &value}, 1, &spawned));
    must(fol_commands_add(commands, spawned, &(fol_value){a, &value}, 1));
    must(fol_commands_add(commands, ids[1], &(fol_value){a, &value}, 1));
    must(fol_world_merge(world, &commands, 1, &report));
    CHECK_STR(fol_world_full_setting(world), "max_tables");
    CHECK_EQ(noted.count, 1);
    CHECK_EQ(noted.orders[0], 9);
    CHECK_EQ(report.dropped, 2);
    CHECK_EQ(fol_commands_count(commands), 0);
    CHECK_EQ(fol_world_entity_count(world), 3);
    CHECK(get_float(world, ids[1], a) == 3);
    CHECK_EQ(fol_commands_resolve(commands, spawned), spawned);
    fol_world_invariants(world);
    fol_commands_destroy(commands);
    fol_world_destroy(world);
    fol_component_release(a);
    fol_component_release(b);
}

static void test_a_component_without_a_number_holds_nothing_up(void)
{
    fol_component *a = make_float("A");
    fol_component *b = make_float("B");
    fol_world *world;
    fol_entity id;
    const fol_bulk bulk = {b, NULL};
    failures noted = {0};
    fol_merge_report report = {.on_error = note_failure, .on_error_argument = &noted};
    must(fol_world_create(&(fol_world_config){10, 1, 10}, &world));
    fol_commands *commands = make_commands(world, 0);
    must(fol_world_spawn(world, &(fol_value){a, NULL}, 1, &id));
    fol_commands_begin(commands, 0, 0);
    must(fol_commands_remove(commands, id, &b, 1));
    must(fol_commands_remove_many(commands, &id, 1, &b, 1));
    fol_commands_begin(commands, 1, 0);
    must(fol_commands_add(commands, id, &(fol_value){b, NULL}, 1));
    fol_commands_begin(commands, 1, 1);
    must(fol_commands_add_many(commands, &id, 1, &bulk, 1));
    must(fol_commands_despawn(commands, id));
    must(fol_world_merge(world, &commands, 1, &report));
    CHECK_STR(fol_world_full_setting(world), "max_components");
    CHECK_EQ(fol_commands_count(commands), 0);
    CHECK_EQ(report.dropped, 4);
    CHECK_EQ(noted.count, 1);
    CHECK_EQ(noted.orders[0], 1);
    CHECK_EQ(fol_world_entity_count(world), 0);
    fol_commands_destroy(commands);
    fol_world_destroy(world);
    fol_component_release(a);
    fol_component_release(b);
}

static void test_a_buffer_may_outlive_its_world(void)
{
    fol_world *world = make_world();
    fol_commands *commands = make_commands(world, 0);
    fol_query *query;
    fol_entity entity;
    must(fol_query_create(world, NULL, 0, &query));
    must(fol_commands_spawn(commands, NULL, 0, &entity));
    fol_world_destroy(world);
    CHECK_EQ(fol_commands_despawn(commands, entity), FOL_E_BUSY);
    fol_commands_destroy(commands);
    fol_query_destroy(query);
}

static void test_the_api_table_records(void)
{
    fol_component *a = make_float("A");
    fol_world *world = make_world();
    fol_commands *commands = make_commands(world, 0);
    const fol_command_api *api = &fol_command_api_table;
    witness w = {.commands = commands};
    fol_entity entity;
    float value = 2;
    must(api->spawn(commands, NULL, 0, &entity));
    must(api->add(commands, entity, &(fol_value){a, NULL}, 1));
    must(api->set(commands, entity, &(fol_value){a, &value}, 1));
    must(api->call(commands, witness_world, &w));
    must(fol_world_merge(world, &commands, 1, NULL));
    CHECK_EQ(w.count, 1);
    CHECK(get_float(world, fol_commands_resolve(commands, entity), a) == 2);
    must(api->remove(commands, entity, &a, 1));
    must(api->despawn(commands, entity));
    must(fol_world_merge(world, &commands, 1, NULL));
    CHECK_EQ(fol_world_entity_count(world), 0);
    CHECK_STR(fol_command_kind_name(FOL_COMMAND_INSERT), "insert");
    fol_commands_destroy(commands);
    fol_world_destroy(world);
    fol_component_release(a);
}

/* Four threads record at once; the merged world is the same each time. */
typedef struct recorder {
    fol_commands *commands;
    fol_component *component;
    uint32_t number;
} recorder;

static void *record_some(void *argument)
{
    const recorder *r = argument;
    for (uint32_t chunk = 0; chunk < 10; chunk++) {
        fol_commands_begin(r->commands, chunk * 4 + r->number, 0);
        for (int i = 0; i < 20; i++) {
            float value = (float)(r->number * 100 + chunk);
            fol_entity entity;
            must(fol_commands_spawn(r->commands, &(fol_value){r->component, &value}, 1, &entity));
            if (i % 3 == 0) {
                must(fol_commands_despawn(r->commands, entity));
            }
        }
    }
    return NULL;
}

static void test_threads_record_at_once_into_one_order(void)
{
    fol_component *a = make_float("A");
    uint8_t digests[2][16];
    for (int round = 0; round < 12; round++) {
        fol_world *world = make_world();
        fol_commands *buffers[4];
        recorder recorders[4];
        pthread_t threads[4];
        for (uint32_t i = 0; i < 4; i++) {
            /* The worker that records a system changes from round to round. */
            buffers[i] = make_commands(world, (uint8_t)i);
            recorders[i] = (recorder){buffers[i], a, (i + (uint32_t)round) % 4};
            CHECK_EQ(pthread_create(&threads[i], NULL, record_some, &recorders[i]), 0);
        }
        for (int i = 0; i < 4; i++) {
            CHECK_EQ(pthread_join(threads[i], NULL), 0);
        }
        must(fol_world_merge(world, buffers, 4, NULL));
        fol_world_digest(world, digests[round != 0]);
        CHECK(memcmp(digests[0], digests[round != 0], 16) == 0);
        for (int i = 0; i < 4; i++) {
            fol_commands_destroy(buffers[i]);
        }
        fol_world_destroy(world);
    }
    fol_component_release(a);
}

int main(void)
{
    uint64_t before = live_blocks();
    RUN(test_a_spawned_entity_is_there_after_the_merge);
    RUN(test_a_provisional_id_of_an_earlier_frame_means_nobody);
    RUN(test_a_provisional_id_works_in_other_buffers);
    RUN(test_the_last_write_in_order_wins);
    RUN(test_many_commands_on_one_entity_make_one_move);
    RUN(test_commands_on_the_gone_are_dropped_and_counted);
    RUN(test_a_rollback_gives_everything_back);
    RUN(test_destroying_a_buffer_drops_what_waits);
    RUN(test_full_buffers_name_their_setting);
    RUN(test_bad_commands_are_refused);
    RUN(test_the_last_resource_stays);
    RUN(test_a_custom_command_runs_between_its_neighbours);
    RUN(test_a_many_command_keeps_each_living_entitys_own_value);
    RUN(test_a_command_without_a_table_fails_alone);
    RUN(test_a_component_without_a_number_holds_nothing_up);
    RUN(test_a_buffer_may_outlive_its_world);
    RUN(test_the_api_table_records);
    RUN(test_threads_record_at_once_into_one_order);
    if (live_blocks() != before) {
        fprintf(stderr, "%lld blocks were not freed\n", (long long)(live_blocks() - before));
        return 1;
    }
    CHECK_MAIN_END();
}
