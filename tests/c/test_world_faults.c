/* Every operation of a world, with its first, second, … allocation refused in turn: it fails with
 * nothing changed, or does all its work; and then it can be done again. */

#include <errno.h>

#include "world_support.h"

enum { ENTITIES = 20, MAX_FAULTS = 400 };

typedef struct scene {
    fol_world *world;
    fol_component *a;
    fol_component *s;
    fol_component *o;
    fol_component *r;
    fol_component *fresh; /* the world never met it */
    fol_entity ids[ENTITIES];
    fol_commands *commands;
    fol_query *query;
    counted object;
    void *pointer;
    fol_bytes text;
    float values[ENTITIES];
    fol_bytes texts[ENTITIES];
} scene;

static void open_scene(scene *s)
{
    *s = (scene){.a = make_float("A"),
                 .s = make_bytes("S"),
                 .o = make_object("O"),
                 .r = make_resource("R"),
                 .fresh = make_bytes("fresh")};
    s->world = make_world();
    s->pointer = &s->object;
    s->text = text_bytes("some text");
    for (int i = 0; i < ENTITIES; i++) {
        s->values[i] = (float)i;
        s->texts[i] = s->text;
        fol_value values[3] = {{s->a, &s->values[i]}, {s->o, &s->pointer}, {s->s, &s->text}};
        must(fol_world_spawn(s->world, values, 1 + i % 3, &s->ids[i]));
    }
}

static void close_scene(scene *s)
{
    fol_query_destroy(s->query);
    fol_commands_destroy(s->commands);
    fol_world_destroy(s->world);
    CHECK_EQ(s->object.references, 0);
    fol_component_release(s->a);
    fol_component_release(s->s);
    fol_component_release(s->o);
    fol_component_release(s->r);
    fol_component_release(s->fresh);
}

static void make_commands(scene *s)
{
    fol_commands_config config = {.max_commands = 1000, .max_bytes = 1 << 20};
    must(fol_commands_create(s->world, &config, &s->commands));
}

static void prepare_nothing(scene *s)
{
    (void)s;
}

/* Fills the slots and the first table, so that the next spawn grows both. */
static void prepare_full(scene *s)
{
    size_t count = s->world->slots.capacity - s->world->slots.live;
    must(fol_world_spawn_many(s->world, count, &(fol_bulk){s->a, NULL}, 1, NULL));
    fol_table *table = s->world->tables[1];
    while (table->rows < table->capacity) {
        fol_entity id;
        must(fol_world_spawn(s->world, &(fol_value){s->a, NULL}, 1, &id));
    }
}

static int do_spawn(scene *s)
{
    fol_entity out;
    fol_value values[4] = {
        {s->fresh, &s->text}, {s->s, &s->text}, {s->o, &s->pointer}, {s->a, NULL}};
    return fol_world_spawn(s->world, values, 4, &out);
}

static int do_add(scene *s)
{
    fol_value values[3] = {{s->fresh, &s->text}, {s->s, &s->text}, {s->o, &s->pointer}};
    return fol_world_add(s->world, s->ids[2], values, 3);
}

static int do_add_one(scene *s)
{
    return fol_world_add(s->world, s->ids[0], &(fol_value){s->fresh, &s->text}, 1);
}

static int do_set(scene *s)
{
    return fol_world_set(s->world, s->ids[2], &(fol_value){s->s, &s->text}, 1);
}

static int do_remove(scene *s)
{
    return fol_world_remove(s->world, s->ids[2], (fol_component *[]){s->a, s->o}, 2);
}

static int do_spawn_many(scene *s)
{
    fol_source source = {s->texts, sizeof(fol_bytes)};
    fol_source object = {&s->pointer, 0};
    fol_bulk bulks[3] = {{s->s, &source}, {s->fresh, &source}, {s->o, &object}};
    return fol_world_spawn_many(s->world, ENTITIES, bulks, 3, NULL);
}

static int do_add_many(scene *s)
{
    fol_source source = {s->texts, sizeof(fol_bytes)};
    fol_source object = {&s->pointer, 0};
    fol_bulk bulks[3] = {{s->s, &source}, {s->fresh, &source}, {s->o, &object}};
    return fol_world_add_many(s->world, s->ids, ENTITIES, bulks, 3, NULL);
}

static int do_add_own_columns(scene *s)
{
    const fol_table *table = s->world->tables[1];
    fol_source source = {table->columns[0].data, sizeof(float)};
    return fol_world_add_many(s->world, table->entities, table->rows - 1,
                              (fol_bulk[]){{s->a, &source}, {s->fresh, NULL}}, 2, NULL);
}

static int do_remove_many(scene *s)
{
    return fol_world_remove_many(s->world, s->ids, ENTITIES, &s->a, 1, NULL);
}

static int do_despawn_own_column(scene *s)
{
    return fol_world_despawn_many(s->world, s->world->tables[1]->entities, 3, NULL);
}

static int do_insert(scene *s)
{
    return fol_world_insert(s->world, &(fol_value){s->r, NULL});
}

static int do_query(scene *s)
{
    fol_term terms[3] = {
        {s->a, FOL_TERM_WRITE}, {s->a, FOL_TERM_CHANGED}, {s->o, FOL_TERM_WITHOUT}};
    return s->query != NULL ? 0 : fol_query_create(s->world, terms, 3, &s->query);
}

static int do_begin(scene *s)
{
    fol_query_iterator iterator;
    int status = do_query(s);
    return status < 0 ? status : fol_query_begin(s->query, 0, 0, &iterator);
}

static int do_commands(scene *s)
{
    fol_commands_config config = {.max_commands = 100, .max_bytes = 1 << 16};
    return fol_commands_create(s->world, &config, &s->commands);
}

/* One group with all kinds of single commands. */
static void record_group(scene *s)
{
    fol_commands *c = s->commands;
    fol_entity spawned;
    fol_value values[3] = {{s->fresh, &s->text}, {s->o, &s->pointer}, {s->s, &s->text}};
    for (int i = 0; i < 70; i++) {
        must(fol_commands_spawn(c, values, (size_t)i % 4, &spawned));
    }
    must(fol_commands_despawn(c, spawned));
    must(fol_commands_add(c, s->ids[0], values, 3));
    must(fol_commands_set(c, s->ids[2], &values[2], 1));
    must(fol_commands_remove(c, s->ids[2], &s->a, 1));
    must(fol_commands_despawn(c, s->ids[3]));
    must(fol_commands_add(c, s->ids[3], values, 3));
    must(fol_commands_insert(c, &(fol_value){s->r, NULL}));
}

static void prepare_group(scene *s)
{
    make_commands(s);
    record_group(s);
}

/* The world has no table left, and then no number for a component either. */
static void prepare_refused(scene *s)
{
    prepare_group(s);
    s->world->config.max_tables = s->world->table_count;
    s->world->config.max_components = s->world->type_count + 1;
}

static void prepare_unknown(scene *s)
{
    prepare_group(s);
    s->world->config.max_components = s->world->type_count;
}

static void record_many(scene *s)
{
    fol_source source = {s->texts, sizeof(fol_bytes)};
    fol_source object = {&s->pointer, 0};
    fol_bulk bulks[2] = {{s->fresh, &source}, {s->o, &object}};
    must(fol_commands_add_many(s->commands, s->ids, ENTITIES, bulks, 2));
}

static void prepare_add_many(scene *s)
{
    make_commands(s);
    record_many(s);
    must(fol_world_despawn(s->world, s->ids[5]));
}

static void prepare_spawn_many(scene *s)
{
    fol_source source = {s->texts, sizeof(fol_bytes)};
    make_commands(s);
    must(fol_commands_spawn_many(s->commands, ENTITIES, &(fol_bulk){s->fresh, &source}, 1, NULL));
}

static int do_merge(scene *s)
{
    return fol_world_merge(s->world, &s->commands, 1, NULL);
}

typedef struct operation {
    const char *name;
    void (*prepare)(scene *s);
    int (*run)(scene *s);

} operation;

static const operation operations[] = {
    {"spawn", prepare_nothing, do_spawn},
    {"spawn full", prepare_full, do_spawn},
    {"add", prepare_nothing, do_add},
    {"add one", prepare_nothing, do_add_one},
    {"set", prepare_nothing, do_set},
    {"remove", prepare_nothing, do_remove},
    {"spawn many", prepare_nothing, do_spawn_many},
    {"spawn many full", prepare_full, do_spawn_many},
    {"add many", prepare_nothing, do_add_many},
    {"add own columns", prepare_nothing, do_add_own_columns},
    {"remove many", prepare_nothing, do_remove_many},
    {"despawn own column", prepare_nothing, do_despawn_own_column},
    {"insert", prepare_nothing, do_insert},
    {"query", prepare_nothing, do_query},
    {"begin", prepare_nothing, do_begin},
    {"commands", prepare_nothing, do_commands},
    {"merge a group", prepare_group, do_merge},
    {"merge a refused group", prepare_refused, do_merge},
    {"merge an unknown component", prepare_unknown, do_merge},
    {"merge add many", prepare_add_many, do_merge},
    {"merge spawn many", prepare_spawn_many, do_merge},
};

/* The digest after the operation when nothing fails. */
static void run_undisturbed(const operation *op, uint8_t digest[16])
{
    scene s;
    open_scene(&s);
    op->prepare(&s);
    must(op->run(&s));
    fol_world_digest(s.world, digest);
    close_scene(&s);
}

/* Runs with the n-th allocation refused; true when the operation needed fewer. */
static bool run_disturbed(const operation *op, uint64_t n, const uint8_t expected[16],
                          uint64_t *failures)
{
    scene s;
    uint8_t before[16];
    uint8_t after[16];
    open_scene(&s);
    op->prepare(&s);
    fol_world_digest(s.world, before);
    int references = s.object.references;
    fol_memory_fail_nth(n);
    int status = op->run(&s);
    bool is_past = fol_memory_failure_is_armed() != 0;
    fol_memory_fail_nth(0);
    fol_world_invariants(s.world);
    if (status < 0) {
        (*failures)++;
        CHECK_EQ(status, -ENOMEM);
        fol_world_digest(s.world, after);
        CHECK(memcmp(before, after, sizeof(before)) == 0);
        CHECK_EQ(s.object.references, references);
        must(op->run(&s));
    }
    fol_world_invariants(s.world);
    fol_world_digest(s.world, after);
    CHECK(memcmp(expected, after, sizeof(after)) == 0);
    close_scene(&s);
    return is_past;
}

static void test_a_refused_allocation_changes_nothing(void)
{
    for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++) {
        const operation *op = &operations[i];
        uint8_t expected[16];
        uint64_t failures = 0;
        uint64_t blocks = live_blocks();
        uint64_t n = 1;
        run_undisturbed(op, expected);
        while (n < MAX_FAULTS && !run_disturbed(op, n, expected, &failures)) {
            n++;
        }
        if (!CHECK(n < MAX_FAULTS && failures > 0) || !CHECK_EQ(live_blocks(), blocks)) {
            fprintf(stderr, "operation %s: %d failures in %d runs\n", op->name, (int)failures,
                    (int)n);
        }
    }
}

static void test_creating_a_world_or_a_component_leaks_nothing(void)
{
    fol_world *world;
    fol_component *component;
    uint64_t blocks = live_blocks();
    for (uint64_t n = 1; n < MAX_FAULTS; n++) {
        fol_memory_fail_nth(n);
        int status = fol_world_create(NULL, &world);
        int other = fol_component_create(&(fol_component_spec){.name = "T"}, &component);
        bool is_past = fol_memory_failure_is_armed() != 0;
        fol_memory_fail_nth(0);
        CHECK(status == 0 || status == -ENOMEM);
        CHECK(other == 0 || other == -ENOMEM);
        if (status == 0) {
            fol_world_destroy(world);
        }
        if (other == 0) {
            fol_component_release(component);
        }
        CHECK_EQ(live_blocks(), blocks);
        if (is_past) {
            CHECK(n > 2);
            return;
        }
    }
    CHECK(false);
}

int main(void)
{
    RUN(test_a_refused_allocation_changes_nothing);
    RUN(test_creating_a_world_or_a_component_leaks_nothing);
    CHECK_MAIN_END();
}
