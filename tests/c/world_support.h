/* What the tests of the world share: a few component types, counted objects, and a small random
 * source. */
#ifndef FOL_TESTS_WORLD_SUPPORT_H
#define FOL_TESTS_WORLD_SUPPORT_H

#include <stdlib.h>

#include "check.h"
#include "foliot/memory.h"
#include "foliot/status.h"
#include "foliot/world.h"
#include "world/world.h"

/* An object that knows how often it is held. */
typedef struct counted {
    int references;
} counted;

static inline void counted_retain(void *object)
{
    ((counted *)object)->references++;
}

static inline void counted_drop(void *object)
{
    ((counted *)object)->references--;
}

static const fol_object_hooks counted_hooks = {counted_retain, counted_drop};

static inline void must(int status)
{
    if (status < 0) {
        fprintf(stderr, "unexpected status %d: %s\n", status, fol_status_text(status));
        abort();
    }
}

static inline fol_component *make_component(const fol_component_spec *spec)
{
    fol_component *component;
    must(fol_component_create(spec, &component));
    return component;
}

static inline fol_component *make_float(const char *name)
{
    fol_field field = {.name = "", .format = "f", .item_size = 4};
    return make_component(&(fol_component_spec){.name = name, .field_count = 1, .fields = &field});
}

typedef struct position {
    double x;
    int16_t y;
} position;

/* Two fields, packed like the struct above. */
static inline fol_component *make_position(const char *name)
{
    fol_field fields[2] = {{.name = "x", .format = "d", .item_size = 8},
                           {.name = "y", .format = "h", .item_size = 2}};
    return make_component(&(fol_component_spec){.name = name, .field_count = 2, .fields = fields});
}

static inline fol_component *make_tag(const char *name)
{
    return make_component(&(fol_component_spec){.name = name});
}

static inline fol_component *make_bytes(const char *name)
{
    fol_field field = {.name = ""};
    return make_component(&(fol_component_spec){
        .name = name, .storage = FOL_STORAGE_BYTES, .field_count = 1, .fields = &field});
}

static inline fol_component *make_object(const char *name)
{
    fol_field field = {.name = ""};
    return make_component(&(fol_component_spec){.name = name,
                                                .storage = FOL_STORAGE_OBJECT,
                                                .field_count = 1,
                                                .fields = &field,
                                                .hooks = &counted_hooks});
}

static inline fol_component *make_resource(const char *name)
{
    fol_field fields[2] = {{.name = "a", .format = "i", .item_size = 4},
                           {.name = "b", .format = "d", .item_size = 8}};
    return make_component(&(fol_component_spec){
        .name = name, .is_resource = true, .field_count = 2, .fields = fields});
}

static inline fol_world *make_world(void)
{
    fol_world *world;
    must(fol_world_create(NULL, &world));
    return world;
}

static inline fol_bytes text_bytes(const char *text)
{
    return (fol_bytes){(const uint8_t *)text, strlen(text)};
}

static inline float get_float(const fol_world *world, fol_entity entity,
                              const fol_component *component)
{
    float value = -1.0f;
    return fol_world_get(world, entity, component, &value) < 0 ? -1.0f : value;
}

/* Xorshift (Marsaglia, 2003): the same numbers everywhere for one seed. */
static inline uint32_t random_next(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    *state = x;
    return (uint32_t)(x >> 32);
}

static inline uint32_t random_below(uint64_t *state, uint32_t bound)
{
    return random_next(state) % bound;
}

static inline uint64_t live_blocks(void)
{
    fol_memory_stats stats;
    fol_memory_read_stats(&stats);
    return stats.live_blocks;
}

#endif
