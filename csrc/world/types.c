/* The registry of the types a world met. */

#include <errno.h>
#include <string.h>

#include "base/memory.h"
#include "world/world.h"

#define MIN_TYPES 16u

/* The mixer of SplitMix64 (Steele, Lea, Flood, 2014): spreads consecutive numbers over 64 bits. */
static uint64_t spread(uint64_t value)
{
    value += UINT64_C(0x9e3779b97f4a7c15);
    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}

static int grow_types(fol_world *world)
{
    if (world->type_count < world->type_capacity) {
        return 0;
    }
    uint32_t capacity = world->type_capacity == 0 ? MIN_TYPES : world->type_capacity * 2;
    fol_type *types = fol_realloc_array(world->types, capacity, sizeof(*types));
    if (types == NULL) {
        return -ENOMEM;
    }
    world->types = types;
    uint16_t *by_name = fol_realloc_array(world->by_name, capacity, sizeof(*by_name));
    if (by_name == NULL) {
        return -ENOMEM;
    }
    world->by_name = by_name;
    world->type_capacity = capacity;
    return 0;
}

static int grow_prepared(fol_world *world)
{
    fol_bytes *prepared =
        fol_realloc_array(world->prepared, world->bytes_type_count + 1, sizeof(*prepared));
    if (prepared == NULL) {
        return -ENOMEM;
    }
    world->prepared = prepared;
    return 0;
}

static void insert_by_name(fol_world *world, uint32_t type)
{
    uint32_t at = type;
    const fol_component *component = world->types[type].component;
    while (at > 0 &&
           fol_component_compare(world->types[world->by_name[at - 1]].component, component) > 0) {
        world->by_name[at] = world->by_name[at - 1];
        at--;
    }
    world->by_name[at] = (uint16_t)type;
}

static int register_new(fol_world *world, fol_component *component, uint32_t *out)
{
    if (world->type_count == world->config.max_components) {
        return fol_world_is_full(world, "max_components", world->config.max_components);
    }
    int status = grow_types(world);
    if (status == 0 && component->storage == FOL_STORAGE_BYTES) {
        status = grow_prepared(world);
    }
    if (status == 0) {
        status = fol_map_insert(&world->type_of, (uintptr_t)component, world->type_count);
    }
    if (status < 0) {
        return status;
    }
    FOL_ASSERT(world->type_count < world->type_capacity);
    FOL_ASSERT(world->type_count < FOL_MAX_TYPES);
    uint32_t type = world->type_count++;
    world->types[type] = (fol_type){.component = component, .hash = spread(type)};
    world->object_type_count += component->storage == FOL_STORAGE_OBJECT ? 1 : 0;
    world->bytes_type_count += component->storage == FOL_STORAGE_BYTES ? 1 : 0;
    insert_by_name(world, type);
    fol_component_retain(component);
    *out = type;
    return 0;
}

int fol_world_register(fol_world *world, fol_component *component, uint32_t *out)
{
    if (component == NULL) {
        return FOL_E_VALUE;
    }
    uint32_t type = fol_world_find_type(world, component);
    if (type == FOL_MAP_ABSENT) {
        int status = register_new(world, component, &type);
        if (status < 0) {
            return status;
        }
    }
    world->last_component = component;
    world->last_type = type;
    *out = type;
    return 0;
}
