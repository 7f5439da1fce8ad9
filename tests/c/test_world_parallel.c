/* Merges that place large groups, and that work on several threads, leave the same world to the
 * last row as merges that do one entry after another. */

#include <errno.h>
#include <pthread.h>

#include "world/merge.h"
#include "world_support.h"

enum { COMPONENTS = 5, WORLDS = 3, COMMANDS = 400, MAX_ENTITIES = 3000, THREADS = 4 };

/* A world of each way: small groups' way, placed alone, placed by several. */
typedef struct scene {
    fol_component *components[COMPONENTS];
    fol_world *worlds[WORLDS];
    fol_commands *buffers[WORLDS];
    fol_merge_report reports[WORLDS];
    fol_query *writers[WORLDS]; /* of a watched component, or NULL */
    fol_query *watchers[WORLDS];
    fol_entity ids[MAX_ENTITIES]; /* real, or provisional until the merge */
    uint32_t count;
    uint64_t random;
    bool has_bytes;
} scene;

static fol_component *make_wide(const char *name)
{
    fol_field fields[4] = {{.name = "a", .format = "d", .item_size = 8, .ndim = 1, .shape = {3}},
                           {.name = "b", .format = "b", .item_size = 1},
                           {.name = "c", .format = "i", .item_size = 4},
                           {.name = "d", .format = "h", .item_size = 2, .ndim = 1, .shape = {5}}};
    return make_component(&(fol_component_spec){.name = name, .field_count = 4, .fields = fields});
}

static void open_scene(scene *s, uint64_t seed, bool has_bytes)
{
    *s = (scene){.random = seed * 0x9e3779b97f4a7c15u + 1, .has_bytes = has_bytes};
    s->components[0] = make_float("A");
    s->components[1] = make_wide("W");
    s->components[2] = make_tag("T");
    s->components[3] = make_position("P");
    s->components[4] = has_bytes ? make_bytes("B") : make_tag("U");
    for (int w = 0; w < WORLDS; w++) {
        s->worlds[w] = make_world();
        s->worlds[w]->limits = (fol_merge_limits){
            .placed_leaving = w == 0 ? UINT32_MAX : 1,
            .parallel_entries = w == 2 ? 1 : UINT32_MAX,
            .part_entries = 16,
            .piece_rows = 8,
        };
        fol_commands_config config = {.max_commands = COMMANDS * 4, .max_bytes = 1 << 22};
        must(fol_commands_create(s->worlds[w], &config, &s->buffers[w]));
    }
}

static void close_scene(scene *s)
{
    for (int w = 0; w < WORLDS; w++) {
        fol_commands_destroy(s->buffers[w]);
        fol_world_destroy(s->worlds[w]);
    }
    for (int i = 0; i < COMPONENTS; i++) {
        fol_component_release(s->components[i]);
    }
}

/* Parts in an order nobody would take them in. */
static void run_reversed(void *state, uint32_t count, void (*part)(void *argument, uint32_t index),
                         void *argument)
{
    uint64_t *calls = state;
    (*calls)++;
    while (count > 0) {
        count--;
        part(argument, count);
    }
}

typedef struct crew {
    void (*part)(void *argument, uint32_t index);
    void *argument;
    uint32_t count;
    atomic_uint next;
} crew;

static void *run_member(void *argument)
{
    crew *c = argument;
    uint32_t index = atomic_fetch_add_explicit(&c->next, 1, memory_order_relaxed);
    while (index < c->count) {
        c->part(c->argument, index);
        index = atomic_fetch_add_explicit(&c->next, 1, memory_order_relaxed);
    }
    return NULL;
}

static void run_threads(void *state, uint32_t count, void (*part)(void *argument, uint32_t index),
                        void *argument)
{
    uint64_t *calls = state;
    crew c = {.part = part, .argument = argument, .count = count};
    pthread_t threads[THREADS];
    (*calls)++;
    for (int i = 0; i < THREADS; i++) {
        CHECK_EQ(pthread_create(&threads[i], NULL, run_member, &c), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
    }
}

/* A packed value of any component here. */
static void fill_packed(scene *s, uint8_t *packed, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        packed[i] = (uint8_t)random_next(&s->random);
    }
}

/* One random command on one entity, the same for every world. The kinds that move rows between few
 * tables are the most frequent, so that tables lose and get rows in one merge. */
static void record_one(scene *s)
{
    fol_value values[COMPONENTS];
    fol_component *components[COMPONENTS];
    uint8_t packed[COMPONENTS][64];
    fol_bytes bytes = {packed[4], 5};
    size_t count = 0;
    uint32_t kind = random_below(&s->random, 12);
    uint32_t mask = kind == 0 ? random_next(&s->random) : 1u << random_below(&s->random, 5);
    for (uint32_t i = 0; i < COMPONENTS; i++) {
        fill_packed(s, packed[i], sizeof(packed[i]));
        if (mask & (1u << i)) {
            bool is_bytes = i == 4 && s->has_bytes;
            const void *value = is_bytes ? (const void *)&bytes : packed[i];
            components[count] = s->components[i];
            values[count++] = (fol_value){s->components[i], value};
        }
    }
    uint32_t target = s->count == 0 ? 0 : random_below(&s->random, s->count);
    bool is_spawn = s->count == 0 || (kind == 0 && s->count < MAX_ENTITIES);
    fol_entity spawned = 0;
    for (int w = 0; w < WORLDS; w++) {
        fol_commands *buffer = s->buffers[w];
        if (is_spawn) {
            must(fol_commands_spawn(buffer, values, count, &spawned));
        } else if (kind == 1) {
            must(fol_commands_despawn(buffer, s->ids[target]));
        } else if (kind < 6) {
            must(fol_commands_remove(buffer, s->ids[target], components, count));
        } else if (kind < 7) {
            must(fol_commands_set(buffer, s->ids[target], values, count));
        } else {
            must(fol_commands_add(buffer, s->ids[target], values, count));
        }
    }
    if (is_spawn) {
        s->ids[s->count++] = spawned;
    }
}

/* Commands on many entities, some of them in the order of a table. */
static void record_many(scene *s)
{
    const fol_table *table =
        s->worlds[0]->tables[random_below(&s->random, s->worlds[0]->table_count)];
    size_t count = table->rows < 100 ? table->rows : 100;
    float floats[100];
    for (size_t i = 0; i < 100; i++) {
        floats[i] = (float)random_below(&s->random, 1000);
    }
    fol_source source = {floats, sizeof(float)};
    fol_bulk bulks[2] = {{s->components[0], &source}, {s->components[1], NULL}};
    uint32_t kind = random_below(&s->random, 3);
    for (int w = 0; w < WORLDS; w++) {
        if (kind == 0) {
            must(fol_commands_add_many(s->buffers[w], table->entities, count, bulks, 2));
        } else if (kind == 1) {
            must(fol_commands_remove_many(s->buffers[w], table->entities, count, &s->components[0],
                                          1));
        } else if (s->count + 50 < MAX_ENTITIES) {
            must(fol_commands_spawn_many(s->buffers[w], 50, bulks, 2,
                                         w == 0 ? &s->ids[s->count] : NULL));
            s->count += w == 0 ? 50 : 0;
        }
    }
}

static void check_tables(const fol_table *a, const fol_table *b)
{
    CHECK_EQ(a->rows, b->rows);
    CHECK_EQ(a->hash, b->hash);
    if (a->rows != b->rows || a->rows == 0) {
        return;
    }
    CHECK(memcmp(a->entities, b->entities, a->rows * sizeof(fol_entity)) == 0);
    for (uint32_t c = 0; c < a->column_count && !a->has_owned; c++) {
        CHECK(memcmp(a->columns[c].data, b->columns[c].data, a->rows * a->columns[c].size) == 0);
    }
    for (uint32_t p = 0; p < a->part_count; p++) {
        for (size_t row = 0; a->parts[p].is_watched && row < a->rows; row++) {
            CHECK_EQ(fol_part_changed_at(&a->parts[p], row),
                     fol_part_changed_at(&b->parts[p], row));
            CHECK_EQ(fol_part_added_at(&a->parts[p], row), fol_part_added_at(&b->parts[p], row));
        }
    }
}

static void check_worlds(const fol_world *a, const fol_world *b)
{
    uint8_t digests[2][16];
    fol_world_invariants(b);
    CHECK_EQ(a->table_count, b->table_count);
    CHECK_EQ(a->slots.free_head, b->slots.free_head);
    CHECK_EQ(a->moves, b->moves);
    CHECK_EQ(a->bytes_moved, b->bytes_moved);
    fol_world_digest(a, digests[0]);
    fol_world_digest(b, digests[1]);
    CHECK(memcmp(digests[0], digests[1], sizeof(digests[0])) == 0);
    for (uint32_t t = 0; t < a->table_count && t < b->table_count; t++) {
        check_tables(a->tables[t], b->tables[t]);
    }
}

static void merge_all(scene *s)
{
    for (int w = 0; w < WORLDS; w++) {
        s->reports[w].dropped = 0;
        fol_world_set_tick(s->worlds[w], fol_world_tick(s->worlds[w]) + 1);
        must(fol_world_merge(s->worlds[w], &s->buffers[w], 1, &s->reports[w]));
        CHECK_EQ(s->reports[w].dropped, s->reports[0].dropped);
        if (w > 0) {
            check_worlds(s->worlds[0], s->worlds[w]);
        }
    }
    for (uint32_t i = 0; i < s->count; i++) {
        s->ids[i] = fol_commands_resolve(s->buffers[0], s->ids[i]);
    }
    for (int w = 0; w < WORLDS; w++) {
        fol_commands_end_frame(s->buffers[w]);
    }
}

static void forget_dead(scene *s)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < s->count; i++) {
        if (fol_world_is_alive(s->worlds[0], s->ids[i])) {
            s->ids[kept++] = s->ids[i];
        }
    }
    s->count = kept;
}

/* Marks some tables whole and others in part, now and then ahead of the world. */
static void mark_some(scene *s)
{
    uint64_t seed = s->random;
    for (int w = 0; w < WORLDS; w++) {
        fol_query_iterator iterator;
        fol_run run;
        s->random = seed;
        uint64_t ahead = random_below(&s->random, 3);
        must(fol_query_begin(s->writers[w], 0, random_below(&s->random, 2) * 40, &iterator));
        while (fol_query_next(&iterator, &run)) {
            if (random_below(&s->random, 3) == 0) {
                fol_query_mark(s->writers[w], &run, NULL, fol_world_tick(s->worlds[w]) + ahead);
            }
        }
    }
}

static void run_rounds(scene *s, int rounds)
{
    for (int round = 0; round < rounds && check_failures == 0; round++) {
        uint32_t count = 1 + random_below(&s->random, COMMANDS);
        bool has_many = random_below(&s->random, 3) == 0;
        for (uint32_t i = 0; i < count; i++) {
            record_one(s);
        }
        if (s->writers[0] != NULL) {
            mark_some(s);
        }
        if (has_many) {
            record_many(s);
            record_one(s);
        }
        merge_all(s);
        forget_dead(s);
        if (check_failures != 0) {
            fprintf(stderr, "round %d\n", round);
        }
    }
}

static void run_seeds(uint64_t seeds, bool has_bytes, bool is_watched,
                      void (*run)(void *, uint32_t, void (*)(void *, uint32_t), void *))
{
    static scene s;
    uint64_t calls = 0;
    for (uint64_t seed = 1; seed <= seeds && check_failures == 0; seed++) {
        open_scene(&s, seed, has_bytes);
        for (int w = 0; w < WORLDS && is_watched; w++) {
            fol_term changed = {s.components[3], FOL_TERM_CHANGED};
            fol_term written = {s.components[3], FOL_TERM_WRITE};
            must(fol_query_create(s.worlds[w], &changed, 1, &s.watchers[w]));
            must(fol_query_create(s.worlds[w], &written, 1, &s.writers[w]));
        }
        s.reports[2].run_parallel = run;
        s.reports[2].parallel_state = &calls;
        run_rounds(&s, 12);
        for (int w = 0; w < WORLDS; w++) {
            fol_query_destroy(s.watchers[w]);
            fol_query_destroy(s.writers[w]);
        }
        close_scene(&s);
        if (check_failures != 0) {
            fprintf(stderr, "seed %d\n", (int)seed);
        }
    }
    CHECK(calls > seeds);
}

static void test_parts_in_any_order_leave_the_same_world(void)
{
    run_seeds(60, false, false, run_reversed);
}

static void test_parts_on_threads_leave_the_same_world(void)
{
    run_seeds(6, false, false, run_threads);
}

static void test_owned_cells_stay_on_the_caller(void)
{
    run_seeds(10, true, false, run_threads);
}

static void test_ticks_are_the_same(void)
{
    run_seeds(30, false, true, run_reversed);
}

static void test_ticks_from_threads_are_the_same(void)
{
    run_seeds(4, false, true, run_threads);
}

/* Commands between two tables that both lose and get rows, so that rows are kept aside. */
static void record_exchange(scene *s)
{
    for (uint32_t i = 0; i < 40; i++) {
        for (int w = 1; w < 3; w++) {
            if (i % 2 == 0) {
                must(fol_commands_add(s->buffers[w], s->ids[i],
                                      &(fol_value){s->components[2], NULL}, 1));
            } else {
                must(fol_commands_remove(s->buffers[w], s->ids[i], &s->components[2], 1));
            }
        }
    }
}

static void spawn_both_sides(scene *s)
{
    for (uint32_t i = 0; i < 40; i++) {
        float value = (float)i;
        fol_value values[2] = {{s->components[0], &value}, {s->components[2], NULL}};
        for (int w = 0; w < 3; w++) {
            must(fol_world_spawn(s->worlds[w], values, 1 + i % 2, &s->ids[i]));
        }
    }
    s->count = 40;
}

static void test_a_refused_reservation_changes_nothing(void)
{
    static scene s;
    uint32_t failures = 0;
    for (uint64_t n = 1; n < 100; n++) {
        uint8_t before[16];
        uint8_t after[16];
        uint64_t calls = 0;
        fol_merge_report report = {.run_parallel = run_reversed, .parallel_state = &calls};
        open_scene(&s, 1, false);
        s.worlds[1]->limits.parallel_entries = 1;
        spawn_both_sides(&s);
        record_exchange(&s);
        fol_world_digest(s.worlds[1], before);
        fol_memory_fail_nth(n);
        int status = fol_world_merge(s.worlds[1], &s.buffers[1], 1, &report);
        bool is_past = fol_memory_failure_is_armed() != 0;
        fol_memory_fail_nth(0);
        fol_world_invariants(s.worlds[1]);
        if (status < 0) {
            failures++;
            CHECK_EQ(status, -ENOMEM);
            fol_world_digest(s.worlds[1], after);
            CHECK(memcmp(before, after, sizeof(before)) == 0);
            must(fol_world_merge(s.worlds[1], &s.buffers[1], 1, &report));
        }
        must(fol_world_merge(s.worlds[2], &s.buffers[2], 1, NULL));
        check_worlds(s.worlds[2], s.worlds[1]);
        CHECK(s.worlds[1]->merge->kept != NULL);
        close_scene(&s);
        if (is_past) {
            CHECK(failures > 2);
            return;
        }
    }
    CHECK(false);
}

int main(void)
{
    uint64_t before = live_blocks();
    RUN(test_parts_in_any_order_leave_the_same_world);
    RUN(test_parts_on_threads_leave_the_same_world);
    RUN(test_owned_cells_stay_on_the_caller);
    RUN(test_ticks_are_the_same);
    RUN(test_ticks_from_threads_are_the_same);
    RUN(test_a_refused_reservation_changes_nothing);
    if (live_blocks() != before) {
        fprintf(stderr, "%lld blocks were not freed\n", (long long)(live_blocks() - before));
        return 1;
    }
    CHECK_MAIN_END();
}
