/* Random operations on a world against the model; a second world, with its types registered in
 * another order and everything done one by one, must have the same digest all along. */

#include "world_model.h"

enum { MAX_MANY = 40, STEPS = 1500, SEEDS = 12 };

static fol_world *twin;

/* Direct operations: the world may go the bulk way, the twin goes one by one. */

static void do_spawn(model *m)
{
    values v;
    fol_entity id;
    fol_entity same;
    fill_values(m, &v, random_below(&m->random, 1u << COMPONENTS));
    must(fol_world_spawn(m->world, v.list, v.count, &id));
    must(fol_world_spawn(twin, v.list, v.count, &same));
    CHECK_EQ(id, same);
    (void)model_spawn(m, id, &v);
}

static void do_despawn(model *m)
{
    held *e = pick(m);
    if (e != NULL) {
        int expected = e->is_alive ? 0 : FOL_E_STALE;
        CHECK_EQ(fol_world_despawn(m->world, e->id), expected);
        CHECK_EQ(fol_world_despawn(twin, e->id), expected);
        e->is_alive = false;
    }
}

static void do_add_or_set(model *m, bool is_set)
{
    values v;
    held *e = pick(m);
    if (e == NULL) {
        return;
    }
    fill_values(m, &v, random_below(&m->random, 1u << COMPONENTS));
    int expected = !e->is_alive ? FOL_E_STALE : 0;
    if (expected == 0 && is_set && (e->mask & v.mask) != v.mask) {
        expected = FOL_E_MISSING;
    }
    int (*fn)(fol_world *, fol_entity, const fol_value *, size_t) =
        is_set ? fol_world_set : fol_world_add;
    CHECK_EQ(fn(m->world, e->id, v.list, v.count), expected);
    CHECK_EQ(fn(twin, e->id, v.list, v.count), expected);
    if (expected == 0) {
        model_write(m, e, &v);
    }
}

static void do_remove(model *m)
{
    fol_component *components[COMPONENTS];
    held *e = pick(m);
    uint32_t mask = random_below(&m->random, 1u << COMPONENTS);
    if (e == NULL) {
        return;
    }
    mask = random_below(&m->random, 2) ? mask & e->mask : mask;
    size_t count = list_components(m, mask, components);
    int expected = !e->is_alive ? FOL_E_STALE : (e->mask & mask) != mask ? FOL_E_MISSING : 0;
    CHECK_EQ(fol_world_remove(m->world, e->id, components, count), expected);
    CHECK_EQ(fol_world_remove(twin, e->id, components, count), expected);
    if (expected == 0) {
        e->mask &= ~mask;
    }
}

static void do_spawn_many(model *m)
{
    values v;
    fol_entity ids[MAX_MANY];
    float a[2 * MAX_MANY];
    size_t count = random_below(&m->random, MAX_MANY);
    fill_values(m, &v, random_below(&m->random, 1u << COMPONENTS));
    for (size_t i = 0; i < 2 * MAX_MANY; i++) {
        a[i] = (float)i;
    }
    ptrdiff_t stride = (ptrdiff_t)(random_below(&m->random, 3) * sizeof(float));
    fol_source a_source = {a, stride};
    fol_source b_sources[2] = {{&v.b.x, 0}, {&v.b.y, 0}};
    fol_source s_source = {&v.bytes, 0};
    fol_source o_source = {&v.pointer, 0};
    const fol_source *sources[COMPONENTS] = {&a_source, b_sources, NULL, &s_source, &o_source};
    fol_bulk bulks[COMPONENTS];
    size_t bulk_count = 0;
    for (uint32_t c = 0; c < COMPONENTS; c++) {
        if (v.mask & (1u << c)) {
            bulks[bulk_count++] = (fol_bulk){m->components[c], sources[c]};
        }
    }
    must(fol_world_spawn_many(m->world, count, bulks, bulk_count, ids));
    for (size_t i = 0; i < count; i++) {
        fol_entity same;
        v.a = a[i * (size_t)stride / sizeof(float)];
        must(fol_world_spawn(twin, v.list, v.count, &same));
        CHECK_EQ(same, ids[i]);
        (void)model_spawn(m, ids[i], &v);
    }
}

/* Ids for a many-operation: a run of a table in order, or any, with repetitions. */
static size_t choose_ids(model *m, fol_entity *ids)
{
    size_t count = 0;
    if (random_below(&m->random, 2)) {
        const fol_table *table = m->world->tables[random_below(&m->random, m->world->table_count)];
        size_t first = table->rows == 0 ? 0 : random_below(&m->random, (uint32_t)table->rows);
        for (size_t i = first; i < table->rows && count < MAX_MANY / 2; i++) {
            ids[count++] = table->entities[i];
        }
    }
    size_t more = random_below(&m->random, 6);
    for (size_t i = 0; i < more; i++) {
        held *e = pick(m);
        if (e != NULL && (e->is_alive || random_below(&m->random, 10) == 0)) {
            ids[count++] = e->id;
        }
    }
    return count;
}

/* The position of the first id that is dead, or lacks the mask; count when there is none. */
static size_t first_bad(model *m, const fol_entity *ids, size_t count, uint32_t mask, int *status)
{
    *status = 0;
    for (size_t i = 0; i < count; i++) {
        held *e = find_held(m, ids[i]);
        if (e == NULL || !e->is_alive) {
            *status = FOL_E_STALE;
            return i;
        }
        if ((e->mask & mask) != mask) {
            *status = FOL_E_MISSING;
            return i;
        }
    }
    return count;
}

static void do_despawn_many(model *m)
{
    fol_entity ids[2 * MAX_MANY];
    size_t bad = 12345;
    int expected;
    size_t count = choose_ids(m, ids);
    size_t position = first_bad(m, ids, count, 0, &expected);
    CHECK_EQ(fol_world_despawn_many(m->world, ids, count, &bad), expected);
    CHECK_EQ(bad, expected < 0 ? position : 12345);
    for (size_t i = 0; expected == 0 && i < count; i++) {
        held *e = find_held(m, ids[i]);
        if (e->is_alive) {
            must(fol_world_despawn(twin, ids[i]));
            e->is_alive = false;
        }
    }
}

static void do_add_many(model *m)
{
    fol_entity ids[2 * MAX_MANY];
    float a[2 * MAX_MANY];
    fol_bytes bytes[2 * MAX_MANY];
    void *pointers[2 * MAX_MANY];
    int text[2 * MAX_MANY];
    int object[2 * MAX_MANY];
    int expected;
    values v;
    size_t bad = 12345;
    size_t count = choose_ids(m, ids);
    fill_values(m, &v, random_below(&m->random, 1u << COMPONENTS) & ~(1u << B));
    for (size_t i = 0; i < count; i++) {
        a[i] = (float)random_below(&m->random, 1000);
        text[i] = (int)random_below(&m->random, TEXTS);
        bytes[i] = text_bytes(texts[text[i]]);
        object[i] = (int)random_below(&m->random, OBJECTS);
        pointers[i] = &m->objects[object[i]];
    }
    fol_source sources[COMPONENTS] = {
        {a, sizeof(float)}, {0}, {0}, {bytes, sizeof(fol_bytes)}, {pointers, sizeof(void *)}};
    fol_bulk bulks[COMPONENTS];
    size_t bulk_count = 0;
    for (uint32_t c = 0; c < COMPONENTS; c++) {
        if (v.mask & (1u << c)) {
            bulks[bulk_count++] = (fol_bulk){m->components[c], &sources[c]};
        }
    }
    size_t position = first_bad(m, ids, count, 0, &expected);
    CHECK_EQ(fol_world_add_many(m->world, ids, count, bulks, bulk_count, &bad), expected);
    CHECK_EQ(bad, expected < 0 ? position : 12345);
    for (size_t i = 0; expected == 0 && i < count; i++) {
        v.a = a[i];
        v.text = text[i];
        v.bytes = bytes[i];
        v.object = object[i];
        v.pointer = pointers[i];
        must(fol_world_add(twin, ids[i], v.list, v.count));
        model_write(m, find_held(m, ids[i]), &v);
    }
}

static void do_remove_many(model *m)
{
    fol_entity ids[2 * MAX_MANY];
    fol_component *components[COMPONENTS];
    int expected;
    size_t bad = 12345;
    size_t count = choose_ids(m, ids);
    uint32_t mask = 1u << random_below(&m->random, COMPONENTS);
    if (count != 0 && random_below(&m->random, 2)) {
        held *e = find_held(m, ids[0]);
        mask = e != NULL ? e->mask : mask;
    }
    size_t component_count = list_components(m, mask, components);
    size_t position = first_bad(m, ids, count, mask, &expected);
    CHECK_EQ(fol_world_remove_many(m->world, ids, count, components, component_count, &bad),
             expected);
    CHECK_EQ(bad, expected < 0 ? position : 12345);
    for (size_t i = 0; expected == 0 && i < count; i++) {
        held *e = find_held(m, ids[i]);
        if ((e->mask & mask) == mask && mask != 0) {
            must(fol_world_remove(twin, ids[i], components, component_count));
            e->mask &= ~mask;
        }
    }
}

/* Writes through a query and marks what it wrote. */
static void do_write(model *m, fol_query *query)
{
    fol_query_iterator iterator;
    fol_run run;
    must(fol_query_begin(query, 0, random_below(&m->random, 4) * 3, &iterator));
    while (fol_query_next(&iterator, &run)) {
        if (random_below(&m->random, 3) != 0) {
            continue;
        }
        for (size_t i = 0; i < run.rows; i++) {
            held *e = find_held(m, run.entities[i]);
            float value = (float)random_below(&m->random, 1000);
            ((float *)run.columns[0])[i] = value;
            must(fol_world_set(twin, e->id, &(fol_value){m->components[A], &value}, 1));
            e->a = value;
            e->a_changed = m->tick;
        }
        fol_query_mark(query, &run, random_below(&m->random, 2) ? m->components[A] : NULL, m->tick);
    }
}

static void check_twin(const model *m)
{
    uint8_t digest[16];
    uint8_t other[16];
    fol_world_invariants(twin);
    fol_world_digest(m->world, digest);
    fol_world_digest(twin, other);
    CHECK(memcmp(digest, other, sizeof(digest)) == 0);
}

static void step(model *m, fol_query *write)
{
    m->tick++;
    fol_world_set_tick(m->world, m->tick);
    if (m->count > MAX_ENTITIES - 2 * MAX_MANY) {
        model_forget_dead(m);
    }
    bool is_full = m->count > MAX_ENTITIES / 2;
    switch (random_below(&m->random, 12)) {
    case 0:
        (is_full ? do_despawn : do_spawn)(m);
        break;
    case 1:
        (is_full ? do_despawn_many : do_spawn_many)(m);
        break;
    case 2:
        do_despawn(m);
        break;
    case 3:
    case 4:
        do_add_or_set(m, random_below(&m->random, 2) != 0);
        break;
    case 5:
    case 6:
        do_remove(m);
        break;
    case 7:
        do_despawn_many(m);
        break;
    case 8:
        do_add_many(m);
        break;
    case 9:
        do_remove_many(m);
        break;
    case 10:
        do_spawn(m);
        break;
    default:
        do_write(m, write);
        break;
    }
}

/* Makes the twin know the components in the opposite order, and empty tables in another one. */
static void start_twin(const model *m)
{
    twin = make_world();
    for (int i = COMPONENTS - 1; i >= 0; i--) {
        fol_entity id;
        must(fol_world_spawn(twin, &(fol_value){m->components[i], NULL}, 1, &id));
        must(fol_world_despawn(twin, id));
        must(fol_world_spawn(m->world, &(fol_value){m->components[(i + 2) % COMPONENTS], NULL}, 1,
                             &id));
        must(fol_world_despawn(m->world, id));
    }
}

static void run_seed(uint64_t seed)
{
    model m;
    fol_query *write;
    fol_query *changed;
    fol_query *added;
    model_init(&m, seed);
    m.holders = 2;
    start_twin(&m);
    fol_term terms[3] = {{m.components[A], FOL_TERM_WRITE},
                         {m.components[A], FOL_TERM_CHANGED},
                         {m.components[A], FOL_TERM_ADDED}};
    must(fol_query_create(m.world, terms, 1, &write));
    must(fol_query_create(m.world, terms, 2, &changed));
    fol_term only_added[2] = {terms[0], terms[2]};
    must(fol_query_create(m.world, only_added, 2, &added));
    for (int i = 0; i < STEPS && check_failures == 0; i++) {
        step(&m, write);
        check_world(&m);
        check_twin(&m);
        uint64_t since = m.tick - random_below(&m.random, 20 < m.tick ? 20 : (uint32_t)m.tick);
        check_filter(&m, changed, since, false);
        check_filter(&m, added, since, true);
        if (check_failures != 0) {
            fprintf(stderr, "seed %llu, step %d\n", (unsigned long long)seed, i);
        }
    }
    fol_query_destroy(write);
    fol_query_destroy(changed);
    fol_query_destroy(added);
    fol_world_destroy(twin);
    model_deinit(&m);
}

static void test_a_world_does_what_the_model_does(void)
{
    for (uint64_t seed = 1; seed <= SEEDS && check_failures == 0; seed++) {
        run_seed(seed);
    }
}

int main(void)
{
    uint64_t before = live_blocks();
    RUN(test_a_world_does_what_the_model_does);
    if (live_blocks() != before) {
        fprintf(stderr, "%lld blocks were not freed\n", (long long)(live_blocks() - before));
        return 1;
    }
    CHECK_MAIN_END();
}
