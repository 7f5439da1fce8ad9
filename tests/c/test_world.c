/* Components, entities one by one and in bulk, resources, the digest, and objects. */

#include <errno.h>

#include "world_support.h"

static void test_a_packed_value_aligns_each_field(void)
{
    fol_field fields[4] = {{.name = "a", .format = "b", .item_size = 1},
                           {.name = "b", .format = "d", .item_size = 8},
                           {.name = "c", .format = "3s", .item_size = 3},
                           {.name = "d", .format = "Zd", .item_size = 16, .ndim = 1, .shape = {2}}};
    fol_component *c =
        make_component(&(fol_component_spec){.name = "C", .field_count = 4, .fields = fields});
    CHECK_EQ(fol_component_field(c, 0)->offset, 0);
    CHECK_EQ(fol_component_field(c, 1)->offset, 8);
    CHECK_EQ(fol_component_field(c, 2)->offset, 16);
    CHECK_EQ(fol_component_field(c, 3)->offset, 32);
    CHECK_EQ(fol_component_field(c, 3)->size, 32);
    CHECK_EQ(fol_component_value_size(c), 64);
    CHECK_STR(fol_component_name(c), "C");
    CHECK(!fol_component_is_tag(c));
    fol_component_release(c);
}

static void test_bad_descriptions_are_refused(void)
{
    fol_field good = {.name = "x", .format = "f", .item_size = 4};
    fol_field twice[2] = {good, good};
    fol_field nothing = {.name = "x", .format = "f", .item_size = 0};
    fol_field deep = {.name = "x", .item_size = 4, .ndim = FOL_MAX_DIMS + 1};
    fol_field empty = {.name = "x", .item_size = 4, .ndim = 1, .shape = {0}};
    fol_field huge = {.name = "x", .item_size = 4, .ndim = 2, .shape = {1u << 20, 1u << 20}};
    fol_component *out = NULL;
    const fol_component_spec bad[] = {
        {.name = NULL, .field_count = 1, .fields = &good},
        {.name = "", .field_count = 1, .fields = &good},
        {.name = "C", .field_count = 1, .fields = NULL},
        {.name = "C", .field_count = 2, .fields = twice},
        {.name = "C", .field_count = 1, .fields = &nothing},
        {.name = "C", .field_count = 1, .fields = &deep},
        {.name = "C", .field_count = 1, .fields = &empty},
        {.name = "C", .field_count = 1, .fields = &huge},
        {.name = "C", .field_count = FOL_MAX_FIELDS + 1, .fields = &good},
        {.name = "C", .storage = FOL_STORAGE_BYTES, .field_count = 0},
        {.name = "C", .storage = FOL_STORAGE_OBJECT, .field_count = 1, .fields = &good},
        {.name = "C", .storage = (fol_storage)7, .field_count = 1, .fields = &good},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK_EQ(fol_component_create(&bad[i], &out), FOL_E_VALUE);
    }
    CHECK(out == NULL);
}

static void test_a_world_that_cannot_be_is_refused(void)
{
    fol_world *world;
    CHECK_EQ(fol_world_create(&(fol_world_config){0, 10, 10}, &world), FOL_E_VALUE);
    CHECK_EQ(fol_world_create(&(fol_world_config){10, 2000, 10}, &world), FOL_E_VALUE);
    CHECK_EQ(fol_world_create(&(fol_world_config){10, 10, 0}, &world), FOL_E_VALUE);
}

static void test_only_one_holds_the_world(void)
{
    fol_world *world = make_world();
    CHECK_EQ(fol_world_lock(world), 0);
    CHECK_EQ(fol_world_lock(world), FOL_E_BUSY);
    fol_world_unlock(world);
    CHECK_EQ(fol_world_lock(world), 0);
    fol_world_unlock(world);
    fol_world_destroy(world);
}

static void test_a_reused_index_has_a_new_generation(void)
{
    fol_world *world = make_world();
    fol_entity first;
    fol_entity second;
    must(fol_world_spawn(world, NULL, 0, &first));
    must(fol_world_despawn(world, first));
    must(fol_world_spawn(world, NULL, 0, &second));
    CHECK_EQ((uint32_t)first, (uint32_t)second);
    CHECK(first != second);
    CHECK(!fol_world_is_alive(world, first));
    CHECK(fol_world_is_alive(world, second));
    CHECK_EQ(fol_world_despawn(world, first), FOL_E_STALE);
    /* The next generation of a free slot is no entity either. */
    must(fol_world_despawn(world, second));
    CHECK(!fol_world_is_alive(world, second + (UINT64_C(1) << 32)));
    CHECK_EQ(fol_world_has(world, 0, NULL), FOL_E_STALE);
    fol_world_destroy(world);
}

static void test_a_slot_out_of_generations_retires(void)
{
    fol_world *world = make_world();
    fol_entity entity;
    must(fol_world_spawn(world, NULL, 0, &entity));
    /* As if it had been used four thousand million times. */
    fol_slot *slot = &world->slots.items[(uint32_t)entity];
    slot->generation = FOL_PROVISIONAL_GENERATION - 1;
    entity = fol_entity_make(slot->generation, (uint32_t)entity);
    world->tables[0]->entities[0] = entity;
    must(fol_world_despawn(world, entity));
    fol_world_invariants(world);
    fol_entity next;
    must(fol_world_spawn(world, NULL, 0, &next));
    CHECK((uint32_t)next != (uint32_t)entity);
    CHECK(!fol_world_is_alive(world, entity));
    fol_world_invariants(world);
    fol_world_destroy(world);
}

static void test_full_settings_are_named(void)
{
    fol_component *a = make_float("A");
    fol_component *b = make_float("B");
    fol_world *world;
    fol_entity entity;
    must(fol_world_create(&(fol_world_config){2, 1, 2}, &world));
    must(fol_world_spawn(world, &(fol_value){a, NULL}, 1, &entity));
    CHECK_EQ(fol_world_add(world, entity, &(fol_value){b, NULL}, 1), FOL_E_CAPACITY);
    CHECK_STR(fol_world_full_setting(world), "max_components");
    CHECK_EQ(fol_world_spawn_many(world, 2, NULL, 0, NULL), FOL_E_CAPACITY);
    CHECK_STR(fol_world_full_setting(world), "max_entities");
    CHECK_EQ(fol_world_entity_count(world), 1);
    fol_world_destroy(world);
    must(fol_world_create(&(fol_world_config){2, 2, 1}, &world));
    must(fol_world_spawn(world, &(fol_value){a, NULL}, 1, &entity));
    CHECK_EQ(fol_world_add(world, entity, &(fol_value){b, NULL}, 1), FOL_E_CAPACITY);
    CHECK_STR(fol_world_full_setting(world), "max_tables");
    CHECK_EQ(fol_world_has(world, entity, b), 0);
    fol_world_invariants(world);
    fol_world_destroy(world);
    fol_component_release(a);
    fol_component_release(b);
}

static void test_bad_requests_change_nothing(void)
{
    fol_component *a = make_float("A");
    fol_component *r = make_resource("R");
    fol_world *world = make_world();
    fol_entity entity;
    fol_value twice[2] = {{a, NULL}, {a, NULL}};
    fol_component *both[2] = {a, a};
    CHECK_EQ(fol_world_spawn(world, twice, 2, &entity), FOL_E_VALUE);
    CHECK_EQ(fol_world_spawn(world, &(fol_value){r, NULL}, 1, &entity), FOL_E_VALUE);
    CHECK_EQ(fol_world_spawn(world, &(fol_value){NULL, NULL}, 1, &entity), FOL_E_VALUE);
    CHECK_EQ(fol_world_insert(world, &(fol_value){a, NULL}), FOL_E_VALUE);
    must(fol_world_spawn(world, twice, 1, &entity));
    CHECK_EQ(fol_world_add(world, entity, &(fol_value){r, NULL}, 1), FOL_E_VALUE);
    CHECK_EQ(fol_world_add(world, entity, &(fol_value){NULL, NULL}, 1), FOL_E_VALUE);
    CHECK_EQ(fol_world_remove(world, entity, both, 2), FOL_E_VALUE);
    CHECK_EQ(fol_world_has(world, entity, a), 1);
    CHECK_EQ(fol_world_remove(world, entity, &r, 1), FOL_E_VALUE);
    fol_world_invariants(world);
    fol_world_destroy(world);
    fol_component_release(a);
    fol_component_release(r);
}

static void test_fields_go_to_columns_and_come_back(void)
{
    fol_component *p = make_position("P");
    fol_component *t = make_tag("T");
    fol_world *world = make_world();
    position in = {2.5, -7};
    position out = {0, 0};
    fol_entity entity;
    fol_component *list[4] = {NULL};
    size_t count = 0;
    must(fol_world_spawn(world, (fol_value[]){{t, NULL}, {p, &in}}, 2, &entity));
    must(fol_world_get(world, entity, p, &out));
    CHECK(out.x == 2.5 && out.y == -7);
    must(fol_world_components_of(world, entity, list, 1, &count));
    CHECK_EQ(count, 2);
    CHECK(list[0] == t && list[1] == NULL);
    must(fol_world_set(world, entity, &(fol_value){p, NULL}, 1));
    must(fol_world_get(world, entity, p, &out));
    CHECK(out.x == 0 && out.y == 0);
    fol_world_destroy(world);
    fol_component_release(p);
    fol_component_release(t);
}

static void test_sources_may_have_any_stride(void)
{
    fol_component *p = make_position("P");
    fol_world *world = make_world();
    position values[3] = {{1, 10}, {2, 20}, {3, 30}};
    int16_t one = 9;
    fol_entity ids[3];
    position out;
    fol_source backwards[2] = {{&values[2].x, -(ptrdiff_t)sizeof(position)}, {&one, 0}};
    must(fol_world_spawn_many(world, 3, &(fol_bulk){p, backwards}, 1, ids));
    for (int i = 0; i < 3; i++) {
        must(fol_world_get(world, ids[i], p, &out));
        CHECK(out.x == 3 - i && out.y == 9);
    }
    fol_source forwards[2] = {{&values[0].x, sizeof(position)}, {&values[0].y, sizeof(position)}};
    must(fol_world_add_many(world, ids, 3, &(fol_bulk){p, forwards}, 1, NULL));
    for (int i = 0; i < 3; i++) {
        must(fol_world_get(world, ids[i], p, &out));
        CHECK(out.x == values[i].x && out.y == values[i].y);
    }
    fol_world_destroy(world);
    fol_component_release(p);
}

static void test_bulk_input_may_lie_in_the_tables_themselves(void)
{
    fol_component *a = make_float("A");
    fol_component *b = make_float("B");
    fol_world *world = make_world();
    float values[40];
    fol_entity ids[40];
    for (int i = 0; i < 40; i++) {
        values[i] = (float)i;
    }
    fol_source source = {values, sizeof(float)};
    must(fol_world_spawn_many(world, 40, &(fol_bulk){a, &source}, 1, ids));
    const fol_table *table = world->tables[1];
    /* Every second row moves, so the column closes its holes while it is read. */
    fol_source column = {table->columns[0].data, 2 * sizeof(float)};
    fol_entity even[20];
    for (int i = 0; i < 20; i++) {
        even[i] = ids[2 * i];
    }
    must(fol_world_add_many(world, even, 20, &(fol_bulk){b, &column}, 1, NULL));
    for (int i = 0; i < 20; i++) {
        CHECK(get_float(world, even[i], b) == (float)(2 * i));
        CHECK(get_float(world, even[i], a) == (float)(2 * i));
    }
    must(fol_world_despawn_many(world, table->entities, table->rows, NULL));
    CHECK_EQ(fol_world_entity_count(world), 20);
    fol_world_invariants(world);
    fol_world_destroy(world);
    fol_component_release(a);
    fol_component_release(b);
}

static void test_an_id_that_stands_twice_takes_its_last_value(void)
{
    fol_component *a = make_float("A");
    fol_world *world = make_world();
    fol_entity ids[2];
    float values[3] = {1, 2, 3};
    fol_source source = {values, sizeof(float)};
    must(fol_world_spawn_many(world, 2, NULL, 0, ids));
    fol_entity twice[3] = {ids[0], ids[1], ids[0]};
    must(fol_world_add_many(world, twice, 3, &(fol_bulk){a, &source}, 1, NULL));
    CHECK(get_float(world, ids[0], a) == 3);
    CHECK(get_float(world, ids[1], a) == 2);
    must(fol_world_remove_many(world, twice, 3, &a, 1, NULL));
    CHECK_EQ(fol_world_has(world, ids[0], a), 0);
    must(fol_world_despawn_many(world, twice, 3, NULL));
    CHECK_EQ(fol_world_entity_count(world), 0);
    fol_world_destroy(world);
    fol_component_release(a);
}

static void test_a_bytes_value_outlives_its_cell_when_retained(void)
{
    fol_component *s = make_bytes("S");
    fol_world *world = make_world();
    fol_bytes text = text_bytes("hello");
    fol_bytes kept;
    fol_entity entity;
    must(fol_world_spawn(world, &(fol_value){s, &text}, 1, &entity));
    must(fol_world_get(world, entity, s, &kept));
    fol_bytes_retain(&kept);
    must(fol_world_despawn(world, entity));
    CHECK_EQ(kept.size, 5);
    CHECK(memcmp(kept.data, "hello", 5) == 0);
    fol_bytes_release(&kept);
    fol_bytes cell = {NULL, 0};
    must(fol_bytes_assign(&cell, "ab", 2));
    must(fol_bytes_assign(&cell, "", 0));
    CHECK(cell.data == NULL && cell.size == 0);
    fol_world_destroy(world);
    fol_component_release(s);
}

static void test_a_resource_stays_at_its_address(void)
{
    fol_component *r = make_resource("R");
    fol_world *world = make_world();
    struct {
        int a;
        double b;
    } value = {3, 4.5};
    CHECK(fol_world_resource(world, r) == NULL);
    CHECK_EQ(fol_world_take_out(world, r), FOL_E_MISSING);
    must(fol_world_insert(world, &(fol_value){r, &value}));
    void *address = fol_world_resource(world, r);
    CHECK(address != NULL && (uintptr_t)address % 64 == 0);
    CHECK(memcmp(address, &value.a, sizeof(int)) == 0);
    value.b = 7;
    must(fol_world_insert(world, &(fol_value){r, &value}));
    CHECK(fol_world_resource(world, r) == address);
    CHECK(*(double *)(void *)((char *)address + 8) == 7);
    fol_world_mark_resource(world, r);
    must(fol_world_take_out(world, r));
    CHECK(fol_world_resource(world, r) == NULL);
    fol_world_destroy(world);
    fol_component_release(r);
}

static void test_the_digest_sees_values_ids_and_resources_only(void)
{
    fol_component *a = make_float("A");
    fol_component *r = make_resource("R");
    fol_component *t = make_tag("T");
    fol_world *worlds[2] = {make_world(), make_world()};
    uint8_t digests[2][16];
    fol_entity ids[3];
    for (int w = 0; w < 2; w++) {
        /* The second world meets its types, and makes its tables, the other way round. */
        for (int i = 0; i < 3; i++) {
            must(fol_world_spawn(worlds[w], NULL, 0, &ids[i]));
        }
        for (int i = 0; i < 3; i++) {
            int k = w == 0 ? i : 2 - i;
            float value = (float)k;
            fol_value first = {w == 0 ? a : t, w == 0 ? &value : NULL};
            fol_value second = {w == 0 ? t : a, w == 0 ? NULL : &value};
            must(fol_world_add(worlds[w], ids[k], &first, 1));
            must(fol_world_add(worlds[w], ids[k], &second, 1));
        }
        must(fol_world_insert(worlds[w], &(fol_value){r, NULL}));
        fol_world_digest(worlds[w], digests[w]);
    }
    CHECK(memcmp(digests[0], digests[1], 16) == 0);
    float other = 9;
    must(fol_world_set(worlds[1], ids[0], &(fol_value){a, &other}, 1));
    fol_world_digest(worlds[1], digests[1]);
    CHECK(memcmp(digests[0], digests[1], 16) != 0);
    must(fol_world_take_out(worlds[0], r));
    fol_world_digest(worlds[0], digests[1]);
    CHECK(memcmp(digests[0], digests[1], 16) != 0);
    fol_world_destroy(worlds[0]);
    fol_world_destroy(worlds[1]);
    fol_component_release(a);
    fol_component_release(r);
    fol_component_release(t);
}

static int count_visit(void *object, void *argument)
{
    CHECK(object != NULL);
    (*(int *)argument)++;
    return 0;
}

static int stop_visit(void *object, void *argument)
{
    (void)object;
    (*(int *)argument)++;
    return 42;
}

static void test_objects_are_visited_and_cleared(void)
{
    fol_component *o = make_object("O");
    fol_field field = {.name = ""};
    fol_component *r = make_component(&(fol_component_spec){.name = "R",
                                                            .storage = FOL_STORAGE_OBJECT,
                                                            .is_resource = true,
                                                            .field_count = 1,
                                                            .fields = &field,
                                                            .hooks = &counted_hooks});
    fol_world *world = make_world();
    fol_commands *commands;
    counted objects[3] = {{0}};
    void *pointers[3] = {&objects[0], &objects[1], &objects[2]};
    fol_entity entity;
    int visits = 0;
    fol_commands_config config = {10, 1000, 0};
    must(fol_commands_create(world, &config, &commands));
    must(fol_world_spawn(world, &(fol_value){o, &pointers[0]}, 1, &entity));
    must(fol_world_spawn(world, &(fol_value){o, NULL}, 1, &entity));
    must(fol_world_insert(world, &(fol_value){r, &pointers[1]}));
    must(fol_commands_add(commands, entity, &(fol_value){o, &pointers[2]}, 1));
    CHECK_EQ(fol_world_visit_objects(world, count_visit, &visits), 0);
    CHECK_EQ(visits, 3);
    CHECK_EQ(fol_world_visit_objects(world, stop_visit, &visits), 42);
    CHECK_EQ(visits, 4);
    fol_world_clear_objects(world);
    CHECK_EQ(fol_world_visit_objects(world, stop_visit, &visits), 0);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(objects[i].references, 0);
    }
    fol_commands_destroy(commands);
    fol_world_destroy(world);
    fol_component_release(o);
    fol_component_release(r);
}

/* A drop that looks at the world, as a host's garbage collector would. */
static fol_world *looked_at;

static void looking_drop(void *object)
{
    int visits = 0;
    counted_drop(object);
    fol_world_invariants(looked_at);
    CHECK_EQ(fol_world_visit_objects(looked_at, count_visit, &visits), 0);
}

static void test_a_drop_finds_the_world_whole(void)
{
    static const fol_object_hooks hooks = {counted_retain, looking_drop};
    fol_field field = {.name = ""};
    fol_component *o = make_component(&(fol_component_spec){.name = "O",
                                                            .storage = FOL_STORAGE_OBJECT,
                                                            .field_count = 1,
                                                            .fields = &field,
                                                            .hooks = &hooks});
    fol_component *a = make_float("A");
    fol_world *world = make_world();
    counted objects[6] = {{0}};
    fol_entity ids[6];
    looked_at = world;
    for (int i = 0; i < 6; i++) {
        void *pointer = &objects[i];
        must(fol_world_spawn(world, &(fol_value){o, &pointer}, 1, &ids[i]));
    }
    must(fol_world_set(world, ids[0], &(fol_value){o, NULL}, 1));
    must(fol_world_remove(world, ids[1], &o, 1));
    must(fol_world_despawn(world, ids[2]));
    fol_value both[2] = {{a, NULL}, {o, NULL}};
    must(fol_world_add(world, ids[3], both, 2));
    fol_component *removed = o;
    must(fol_world_remove_many(world, &ids[4], 1, &removed, 1, NULL));
    for (int i = 0; i < 5; i++) {
        CHECK_EQ(objects[i].references, 0);
    }
    CHECK_EQ(objects[5].references, 1);
    fol_world_destroy(world);
    CHECK_EQ(objects[5].references, 0);
    fol_component_release(o);
    fol_component_release(a);
}

int main(void)
{
    uint64_t before = live_blocks();
    RUN(test_a_packed_value_aligns_each_field);
    RUN(test_bad_descriptions_are_refused);
    RUN(test_a_world_that_cannot_be_is_refused);
    RUN(test_only_one_holds_the_world);
    RUN(test_a_reused_index_has_a_new_generation);
    RUN(test_a_slot_out_of_generations_retires);
    RUN(test_full_settings_are_named);
    RUN(test_bad_requests_change_nothing);
    RUN(test_fields_go_to_columns_and_come_back);
    RUN(test_sources_may_have_any_stride);
    RUN(test_bulk_input_may_lie_in_the_tables_themselves);
    RUN(test_an_id_that_stands_twice_takes_its_last_value);
    RUN(test_a_bytes_value_outlives_its_cell_when_retained);
    RUN(test_a_resource_stays_at_its_address);
    RUN(test_the_digest_sees_values_ids_and_resources_only);
    RUN(test_objects_are_visited_and_cleared);
    RUN(test_a_drop_finds_the_world_whole);
    if (live_blocks() != before) {
        fprintf(stderr, "%lld blocks were not freed\n", (long long)(live_blocks() - before));
        return 1;
    }
    CHECK_MAIN_END();
}
