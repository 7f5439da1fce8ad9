/* A model of a world: a plain array of entities that is slow, small and easy to believe.
 *
 * It covers five components: a float A, whose changes are watched, a pair B, a tag T, bytes S and
 * objects O. Random values, and the comparison of a world with the model, stand here too.
 */
#ifndef FOL_TESTS_WORLD_MODEL_H
#define FOL_TESTS_WORLD_MODEL_H

#include <stdlib.h>

#include "world_support.h"

enum { A, B, T, S, O, COMPONENTS };
enum { MAX_ENTITIES = 600, OBJECTS = 8, TEXTS = 6 };

static const char *const texts[TEXTS] = {"", "a", "bcd", "a longer text of many bytes", "x", "yz"};

/* What one entity holds; object and text are indexes, -1 none. */
typedef struct held {
    fol_entity id;
    bool is_alive;
    uint32_t mask;
    float a;
    position b;
    int text;
    int object;
    uint64_t a_changed;
    uint64_t a_added;
} held;

typedef struct model {
    fol_world *world;
    fol_component *components[COMPONENTS];
    counted objects[OBJECTS];
    held entities[MAX_ENTITIES];
    size_t count; /* ever, living or dead */
    uint64_t random;
    uint64_t tick;
    int holders; /* worlds that hold the objects */
} model;

/* The values of one random operation. */
typedef struct values {
    uint32_t mask;
    size_t count;
    fol_value list[COMPONENTS];
    float a;
    position b;
    int text;
    int object;
    fol_bytes bytes;
    void *pointer;
} values;

static inline void fill_values(model *m, values *v, uint32_t mask)
{
    v->mask = mask;
    v->count = 0;
    v->a = (float)random_below(&m->random, 1000);
    v->b =
        (position){(double)random_below(&m->random, 1000), (int16_t)random_below(&m->random, 99)};
    v->text = (int)random_below(&m->random, TEXTS);
    v->object = (int)random_below(&m->random, OBJECTS);
    v->bytes = text_bytes(texts[v->text]);
    v->pointer = &m->objects[v->object];
    const void *data[COMPONENTS] = {&v->a, &v->b, NULL, &v->bytes, &v->pointer};
    for (uint32_t i = 0; i < COMPONENTS; i++) {
        uint32_t c = (i + m->tick) % COMPONENTS;
        if (mask & (1u << c)) {
            v->list[v->count++] = (fol_value){m->components[c], data[c]};
        }
    }
}

static inline size_t list_components(const model *m, uint32_t mask, fol_component **out)
{
    size_t count = 0;
    for (uint32_t c = 0; c < COMPONENTS; c++) {
        if (mask & (1u << c)) {
            out[count++] = m->components[c];
        }
    }
    return count;
}

/* The model's own operations. */

static inline void model_write(model *m, held *e, const values *v)
{
    if (v->mask & (1u << A)) {
        if (!(e->mask & (1u << A))) {
            e->a_added = m->tick;
        }
        e->a_changed = m->tick;
        e->a = v->a;
    }
    if (v->mask & (1u << B)) {
        e->b = v->b;
    }
    if (v->mask & (1u << S)) {
        e->text = v->text;
    }
    if (v->mask & (1u << O)) {
        e->object = v->object;
    }
    e->mask |= v->mask;
}

static inline void model_forget_dead(model *m)
{
    size_t kept = 0;
    for (size_t i = 0; i < m->count; i++) {
        if (m->entities[i].is_alive) {
            m->entities[kept++] = m->entities[i];
        }
    }
    m->count = kept;
}

static inline held *model_spawn(model *m, fol_entity id, const values *v)
{
    if (m->count == MAX_ENTITIES) {
        abort();
    }
    held *e = &m->entities[m->count++];
    *e = (held){.id = id, .is_alive = true, .text = -1, .object = -1};
    model_write(m, e, v);
    return e;
}

static inline size_t model_living(const model *m)
{
    size_t living = 0;
    for (size_t i = 0; i < m->count; i++) {
        living += m->entities[i].is_alive ? 1 : 0;
    }
    return living;
}

static inline held *find_held(model *m, fol_entity id)
{
    for (size_t i = m->count; i > 0; i--) {
        if (m->entities[i - 1].id == id) {
            return &m->entities[i - 1];
        }
    }
    return NULL;
}

static inline held *pick(model *m)
{
    return m->count == 0 ? NULL : &m->entities[random_below(&m->random, (uint32_t)m->count)];
}

/* Comparison. */

static inline void check_entity(const model *m, const held *e)
{
    float a;
    position b;
    fol_bytes bytes;
    void *pointer;
    CHECK_EQ(fol_world_is_alive(m->world, e->id), e->is_alive);
    if (!e->is_alive) {
        return;
    }
    for (uint32_t c = 0; c < COMPONENTS; c++) {
        CHECK_EQ(fol_world_has(m->world, e->id, m->components[c]), (e->mask >> c) & 1);
    }
    if (e->mask & (1u << A)) {
        must(fol_world_get(m->world, e->id, m->components[A], &a));
        CHECK(a == e->a);
    }
    if (e->mask & (1u << B)) {
        must(fol_world_get(m->world, e->id, m->components[B], &b));
        CHECK(b.x == e->b.x && b.y == e->b.y);
    }
    if (e->mask & (1u << S)) {
        must(fol_world_get(m->world, e->id, m->components[S], &bytes));
        CHECK_EQ(bytes.size, strlen(texts[e->text]));
        CHECK(bytes.size == 0 || memcmp(bytes.data, texts[e->text], bytes.size) == 0);
    }
    if (e->mask & (1u << O)) {
        must(fol_world_get(m->world, e->id, m->components[O], &pointer));
        CHECK(pointer == &m->objects[e->object]);
    }
}

static inline void check_objects(const model *m)
{
    int references[OBJECTS] = {0};
    for (size_t i = 0; i < m->count; i++) {
        if (m->entities[i].is_alive && (m->entities[i].mask & (1u << O))) {
            references[m->entities[i].object] += m->holders;
        }
    }
    for (int i = 0; i < OBJECTS; i++) {
        CHECK_EQ(m->objects[i].references, references[i]);
    }
}

static inline void check_world(const model *m)
{
    fol_world_invariants(m->world);
    CHECK_EQ(fol_world_entity_count(m->world), model_living(m));
    for (size_t i = 0; i < m->count; i++) {
        check_entity(m, &m->entities[i]);
    }
    check_objects(m);
}

/* A query with filters sees exactly the rows the model thinks new. */
static inline void check_filter(model *m, fol_query *query, uint64_t since, bool is_added)
{
    fol_query_iterator iterator;
    fol_run run;
    size_t seen = 0;
    size_t expected = 0;
    must(fol_query_begin(query, since, 1 + m->tick % 5, &iterator));
    while (fol_query_next(&iterator, &run)) {
        for (size_t i = 0; i < run.rows; i++) {
            const held *found = find_held(m, run.entities[i]);
            CHECK(found != NULL);
            CHECK(found != NULL && (is_added ? found->a_added : found->a_changed) > since);
            CHECK(found != NULL && ((float *)run.columns[0])[i] == found->a);
            seen++;
        }
    }
    for (size_t e = 0; e < m->count; e++) {
        const held *held = &m->entities[e];
        if (held->is_alive && (held->mask & (1u << A)) &&
            (is_added ? held->a_added : held->a_changed) > since) {
            expected++;
        }
    }
    CHECK_EQ(seen, expected);
}

static inline void model_init(model *m, uint64_t seed)
{
    *m = (model){.random = seed * 0x9e3779b97f4a7c15u + 1, .holders = 1};
    m->components[A] = make_float("A");
    m->components[B] = make_position("B");
    m->components[T] = make_tag("T");
    m->components[S] = make_bytes("S");
    m->components[O] = make_object("O");
    m->world = make_world();
}

/* Ends the world: every object must be free again. */
static inline void model_deinit(model *m)
{
    fol_world_destroy(m->world);
    for (int i = 0; i < OBJECTS; i++) {
        CHECK_EQ(m->objects[i].references, 0);
    }
    for (int i = 0; i < COMPONENTS; i++) {
        fol_component_release(m->components[i]);
    }
}

#endif
