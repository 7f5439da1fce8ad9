/* A world's life, its lock, and the questions that change nothing. */

#include "world/world.h"

#include <errno.h>
#include <string.h>

#include "base/memory.h"
#include "world/graph.h"

const fol_world_config fol_world_config_default = {
    .max_entities = 4194304, .max_components = 1024, .max_tables = 65536};

int fol_world_create(const fol_world_config *config, fol_world **out)
{
    const fol_world_config *used = config == NULL ? &fol_world_config_default : config;
    if (used->max_entities == 0 || used->max_entities >= FOL_NO_INDEX - 1 ||
        used->max_components == 0 || used->max_components > FOL_MAX_TYPES ||
        used->max_tables == 0 || used->max_tables >= FOL_NO_INDEX) {
        return FOL_E_VALUE;
    }
    fol_world *world = fol_alloc_aligned(sizeof(*world));
    if (world == NULL) {
        return -ENOMEM;
    }
    memset(world, 0, sizeof(*world));
    world->config = *used;
    world->limits = fol_merge_limits_default;
    world->full_setting = "";
    world->tick = 1; /* later than 0, the last tick of an observer that never looked */
    fol_slots_init(&world->slots);
    /* Table 0 is the one of entities without components. */
    fol_set empty = {0};
    fol_table *table;
    int status = fol_graph_find(world, &empty, &table);
    if (status < 0) {
        fol_world_destroy(world);
        return status;
    }
    *out = world;
    return 0;
}

/* The value of a present resource, dropped; its memory stays. */
static void clear_resource(fol_type *type)
{
    const fol_component *component = type->component;
    type->is_present = false;
    if (component->storage == FOL_STORAGE_BYTES) {
        fol_bytes old = *(fol_bytes *)type->resource;
        *(fol_bytes *)type->resource = (fol_bytes){NULL, 0};
        fol_bytes_release(&old);
    } else if (component->storage == FOL_STORAGE_OBJECT) {
        void *old = *(void **)type->resource;
        *(void **)type->resource = NULL;
        if (old != NULL) {
            component->hooks->drop(old);
        }
    }
}

void fol_world_destroy(fol_world *world)
{
    if (world == NULL) {
        return;
    }
    /* Drops run the host, so they come first, while all is whole. */
    fol_world_clear_objects(world);
    fol_queries_forget_world(world);
    fol_commands_forget_world(world);
    for (uint32_t i = 0; i < world->table_count; i++) {
        fol_table_destroy(world->tables[i]);
    }
    for (uint32_t i = 0; i < world->type_count; i++) {
        fol_type *type = &world->types[i];
        if (type->is_present) {
            clear_resource(type);
        }
        fol_free(type->resource);
        fol_component_release(type->component);
    }
    fol_merge_destroy(world->merge);
    fol_id_directory_deinit(&world->ids);
    fol_slots_deinit(&world->slots);
    fol_map_deinit(&world->edges);
    fol_map_deinit(&world->table_of);
    fol_map_deinit(&world->type_of);
    fol_free(world->tables);
    fol_free(world->prepared);
    fol_free(world->by_name);
    fol_free(world->types);
    fol_free(world);
}

int fol_world_lock(fol_world *world)
{
    /* Pairs with the release in fol_world_unlock: the holder sees what the last one did. */
    return atomic_exchange_explicit(&world->is_held, true, memory_order_acquire) ? FOL_E_BUSY : 0;
}

void fol_world_unlock(fol_world *world)
{
    FOL_ASSERT(atomic_load_explicit(&world->is_held, memory_order_relaxed));
    /* Pairs with the acquire in fol_world_lock. */
    atomic_store_explicit(&world->is_held, false, memory_order_release);
}

const char *fol_world_full_setting(const fol_world *world)
{
    return world->full_setting;
}

uint64_t fol_world_full_limit(const fol_world *world)
{
    return world->full_limit;
}

void fol_world_set_tick(fol_world *world, uint64_t tick)
{
    world->tick = tick > world->tick ? tick : world->tick;
}

uint64_t fol_world_tick(const fol_world *world)
{
    return world->tick;
}

uint32_t fol_world_entity_count(const fol_world *world)
{
    return world->slots.live;
}

int fol_world_grow_table(fol_world *world, fol_table *table, size_t extra)
{
    size_t rows;
    if (__builtin_add_overflow(table->rows, extra, &rows) || rows >= FOL_NO_INDEX) {
        return -ENOMEM;
    }
    int status = fol_table_resize(table, fol_table_next_capacity(table, rows));
    if (status < 0) {
        return status;
    }
    fol_world_restructure(world);
    table->version = world->structure_version;
    return 0;
}

int fol_world_reserve_entities(fol_world *world, size_t count)
{
    FOL_ASSERT_HOT(world->slots.live <= world->config.max_entities);
    if (world->config.max_entities - world->slots.live < count) {
        return fol_world_is_full(world, "max_entities", world->config.max_entities);
    }
    return fol_slots_reserve(&world->slots, count);
}

/* Undoes a watch that could not reach every table. */
static void unwatch(fol_world *world, uint32_t type)
{
    for (uint32_t i = 0; i < world->table_count; i++) {
        if (fol_table_has(world->tables[i], type)) {
            fol_table_unwatch(world->tables[i], fol_table_part(world->tables[i], type));
        }
    }
}

int fol_world_watch(fol_world *world, uint32_t type)
{
    if (world->types[type].is_watched) {
        return 0;
    }
    for (uint32_t i = 0; i < world->table_count; i++) {
        fol_table *table = world->tables[i];
        if (!fol_table_has(table, type)) {
            continue;
        }
        int status = fol_table_watch(table, fol_table_part(table, type), world->tick);
        if (status < 0) {
            unwatch(world, type);
            return status;
        }
        fol_world_restructure(world);
        table->version = world->structure_version;
    }
    world->types[type].is_watched = true;
    return 0;
}

bool fol_world_is_alive(const fol_world *world, fol_entity entity)
{
    return fol_slots_find(&world->slots, entity) != NULL;
}

int fol_world_has(const fol_world *world, fol_entity entity, const fol_component *component)
{
    const fol_slot *slot = fol_slots_find(&world->slots, entity);
    if (slot == NULL) {
        return FOL_E_STALE;
    }
    uint32_t type = fol_world_find_type(world, component);
    return type != FOL_NO_INDEX && fol_table_has(fol_world_table(world, slot), type) ? 1 : 0;
}

int fol_world_get(const fol_world *world, fol_entity entity, const fol_component *component,
                  void *out)
{
    const fol_slot *slot = fol_slots_find(&world->slots, entity);
    if (slot == NULL) {
        return FOL_E_STALE;
    }
    const fol_table *table = fol_world_table(world, slot);
    uint32_t type = fol_world_find_type(world, component);
    if (type == FOL_NO_INDEX || !fol_table_has(table, type)) {
        return FOL_E_MISSING;
    }
    const fol_column *columns = fol_part_columns(table, fol_table_part(table, type));
    for (uint32_t i = 0; i < component->field_count; i++) {
        memcpy((uint8_t *)out + component->fields[i].offset,
               fol_column_cell(&columns[i], slot->row), columns[i].size);
    }
    return 0;
}

int fol_world_components_of(const fol_world *world, fol_entity entity, fol_component **out,
                            size_t room, size_t *count)
{
    const fol_slot *slot = fol_slots_find(&world->slots, entity);
    if (slot == NULL) {
        return FOL_E_STALE;
    }
    const fol_table *table = fol_world_table(world, slot);
    for (size_t i = 0; i < table->part_count && i < room; i++) {
        out[i] = table->parts[i].component;
    }
    *count = table->part_count;
    return 0;
}

int fol_world_take_out(fol_world *world, const fol_component *resource)
{
    uint32_t type = fol_world_find_type(world, resource);
    if (type == FOL_NO_INDEX || !world->types[type].is_present) {
        return FOL_E_MISSING;
    }
    clear_resource(&world->types[type]);
    fol_world_restructure(world);
    return 0;
}
