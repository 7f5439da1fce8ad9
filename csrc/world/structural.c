/* Entities one by one: spawn, despawn, add, set, remove.
 *
 * Each function resolves what it was given, reserves rows and slots and copies Bytes, and only then
 * moves: after the first change nothing can fail.
 */

#include <errno.h>

#include "world/bytes.h"
#include "world/cells.h"
#include "world/graph.h"
#include "world/ticks.h"

/* The values of one call: their type numbers, and the set they make. */
typedef struct request {
    const fol_value *values;
    size_t count;
    uint32_t bytes_count;
    uint16_t types[FOL_MAX_TYPES];
    fol_set set;
} request;

/* FOL_E_VALUE for NULL, a resource, or a component named twice. */
static int resolve(fol_world *world, const fol_value *values, size_t count, request *out)
{
    out->values = values;
    out->count = count;
    out->bytes_count = 0;
    fol_set_clear(&out->set, FOL_MASK_WORDS);
    if (count > FOL_MAX_TYPES) {
        return FOL_E_VALUE;
    }
    for (size_t i = 0; i < count; i++) {
        int status = fol_set_name(world, values[i].component, &out->set, &out->types[i]);
        if (status < 0) {
            return status;
        }
        out->bytes_count += values[i].component->storage == FOL_STORAGE_BYTES ? 1 : 0;
    }
    return 0;
}

/* Copies the Bytes of a request into the world's scratch. -ENOMEM, and then none is left there. */
static int prepare_bytes(fol_world *world, const request *request)
{
    if (FOL_LIKELY(request->bytes_count == 0)) {
        return 0;
    }
    uint32_t made = 0;
    for (size_t i = 0; i < request->count; i++) {
        const fol_value *value = &request->values[i];
        if (value->component->storage != FOL_STORAGE_BYTES) {
            continue;
        }
        const fol_bytes *bytes = value->value;
        world->prepared[made] = (fol_bytes){NULL, 0};
        int status =
            bytes == NULL ? 0 : fol_bytes_create(bytes->data, bytes->size, &world->prepared[made]);
        if (status < 0) {
            while (made > 0) {
                made--;
                fol_bytes_release(&world->prepared[made]);
            }
            return status;
        }
        made++;
    }
    FOL_ASSERT(made == request->bytes_count);
    return 0;
}

static void write_object(fol_table *table, const fol_part *part, size_t row, const void *packed)
{
    void *object = packed == NULL ? NULL : *(void *const *)packed;
    if (object != NULL) {
        part->component->hooks->retain(object);
    }
    fol_cells_take_object(table, part, row, object);
}

/* Writes a request's values over a row that has all of them. */
static void write_values(fol_world *world, fol_table *table, size_t row, const request *request)
{
    uint32_t next_bytes = 0;
    for (size_t i = 0; i < request->count; i++) {
        fol_part *part = fol_table_part(table, request->types[i]);
        const void *packed = request->values[i].value;
        switch (part->component->storage) {
        case FOL_STORAGE_PLAIN:
            fol_cells_put(table, part, row, packed);
            break;
        case FOL_STORAGE_BYTES:
            fol_cells_take_bytes(table, part, row, world->prepared[next_bytes++]);
            break;
        case FOL_STORAGE_OBJECT:
            write_object(table, part, row, packed);
            break;
        }
        if (FOL_UNLIKELY(part->is_watched)) {
            fol_part_touch(part, row, 1, world->tick);
        }
    }
    FOL_ASSERT(next_bytes == request->bytes_count);
}

/* Whether the values have the components of the last spawn, in the same order. */
static bool is_same_shape(const fol_shape *shape, const fol_value *values, size_t count)
{
    if (count != shape->count || count == 0) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (values[i].component != shape->components[i]) {
            return false;
        }
    }
    return true;
}

static void remember_shape(fol_world *world, const request *request, fol_table *table)
{
    fol_shape *shape = &world->shape;
    shape->count = 0;
    if (request->count > FOL_SHAPE_MAX) {
        return;
    }
    for (size_t i = 0; i < request->count; i++) {
        shape->components[i] = request->values[i].component;
        shape->parts[i] = fol_table_part(table, request->types[i]);
        if (shape->parts[i]->is_owned) {
            return;
        }
    }
    shape->table = table;
    shape->count = request->count;
}

/* A spawn of the same plain components as the last one. */
static int spawn_again(fol_world *world, const fol_value *values, fol_entity *out)
{
    const fol_shape *shape = &world->shape;
    int status = fol_world_reserve_entities(world, 1);
    if (status < 0) {
        return status;
    }
    status = fol_world_reserve_rows(world, shape->table, 1);
    if (status < 0) {
        return status;
    }
    fol_entity entity = fol_slots_take(&world->slots);
    size_t row = fol_rows_append_one(world, shape->table, entity);
    for (size_t i = 0; i < shape->count; i++) {
        fol_cells_put(shape->table, shape->parts[i], row, values[i].value);
    }
    *out = entity;
    return 0;
}

int fol_world_spawn(fol_world *world, const fol_value *values, size_t count, fol_entity *out)
{
    if (FOL_LIKELY(is_same_shape(&world->shape, values, count))) {
        return spawn_again(world, values, out);
    }
    request request;
    fol_table *table;
    int status = resolve(world, values, count, &request);
    if (status < 0) {
        return status;
    }
    status = fol_graph_find(world, &request.set, &table);
    if (status < 0) {
        return status;
    }
    status = fol_world_reserve_entities(world, 1);
    if (status < 0) {
        return status;
    }
    status = fol_world_reserve_rows(world, table, 1);
    if (status < 0) {
        return status;
    }
    status = prepare_bytes(world, &request);
    if (status < 0) {
        return status;
    }
    fol_entity entity = fol_slots_take(&world->slots);
    size_t row = fol_rows_append_one(world, table, entity);
    *out = entity;
    remember_shape(world, &request, table);
    write_values(world, table, row, &request);
    return 0;
}

int fol_world_despawn(fol_world *world, fol_entity entity)
{
    const fol_slot *slot = fol_slots_find(&world->slots, entity);
    if (slot == NULL) {
        return FOL_E_STALE;
    }
    fol_table *table = fol_world_table(world, slot);
    fol_rows_remove(world, table, slot->row, 1);
    fol_slots_give(&world->slots, entity);
    fol_rows_drop_dead(table, NULL, 1);
    return 0;
}

/* One plain component, the common case. */
static int add_plain(fol_world *world, const fol_slot *slot, const fol_value *value)
{
    uint32_t type;
    int status = fol_world_type_of(world, value->component, &type);
    if (status < 0) {
        return status;
    }
    fol_table *from = fol_world_table(world, slot);
    fol_table *to = from;
    size_t row = slot->row;
    if (!fol_table_has(from, type)) {
        status = fol_graph_add(world, from, type, &to);
        if (status < 0) {
            return status;
        }
        status = fol_world_reserve_rows(world, to, 1);
        if (status < 0) {
            return status;
        }
        row = fol_rows_move_one(world, from, row, to);
    }
    fol_part *part = fol_table_part(to, type);
    fol_cells_put(to, part, row, value->value);
    if (FOL_UNLIKELY(part->is_watched)) {
        fol_part_touch(part, row, 1, world->tick);
    }
    return 0;
}

/* Adds the members of a table to a set. */
static void join_table(fol_set *set, const fol_world *world, const fol_table *table)
{
    for (uint32_t i = 0; i < table->part_count; i++) {
        fol_set_add(set, world, table->parts[i].type);
    }
}

int fol_world_add(fol_world *world, fol_entity entity, const fol_value *values, size_t count)
{
    const fol_slot *slot = fol_slots_find(&world->slots, entity);
    if (slot == NULL) {
        return FOL_E_STALE;
    }
    if (count == 1 && values->component != NULL && !values->component->is_resource &&
        values->component->storage == FOL_STORAGE_PLAIN) {
        return add_plain(world, slot, values);
    }
    request request;
    int status = resolve(world, values, count, &request);
    if (status < 0) {
        return status;
    }
    fol_table *from = fol_world_table(world, slot);
    fol_table *to;
    fol_set set = request.set;
    join_table(&set, world, from);
    status = fol_graph_find(world, &set, &to);
    if (status < 0) {
        return status;
    }
    status = to == from ? 0 : fol_world_reserve_rows(world, to, 1);
    if (status < 0) {
        return status;
    }
    status = prepare_bytes(world, &request);
    if (status < 0) {
        return status;
    }
    size_t row = to == from ? slot->row : fol_rows_move_one(world, from, slot->row, to);
    write_values(world, to, row, &request);
    return 0;
}

int fol_world_set(fol_world *world, fol_entity entity, const fol_value *values, size_t count)
{
    const fol_slot *slot = fol_slots_find(&world->slots, entity);
    if (slot == NULL) {
        return FOL_E_STALE;
    }
    request request;
    int status = resolve(world, values, count, &request);
    if (status < 0) {
        return status;
    }
    fol_table *table = fol_world_table(world, slot);
    if (!fol_bits_contain(table->mask, request.set.mask, FOL_MASK_WORDS)) {
        return FOL_E_MISSING;
    }
    status = prepare_bytes(world, &request);
    if (status < 0) {
        return status;
    }
    write_values(world, table, slot->row, &request);
    return 0;
}

/* The table without the components. FOL_E_MISSING when one of them is not there, FOL_E_VALUE when
 * one stands twice. */
static int find_remainder(fol_world *world, fol_table *from, fol_component *const *components,
                          size_t count, fol_table **out)
{
    fol_set set;
    fol_set_of_table(&set, from, FOL_MASK_WORDS);
    for (size_t i = 0; i < count; i++) {
        if (components[i] == NULL || components[i]->is_resource) {
            return FOL_E_VALUE;
        }
        uint32_t type = fol_world_find_type(world, components[i]);
        if (type == FOL_NO_INDEX || !fol_table_has(from, type)) {
            return FOL_E_MISSING;
        }
        if (!fol_set_has(&set, type)) {
            return FOL_E_VALUE;
        }
        if (count == 1) {
            return fol_graph_remove(world, from, type, out);
        }
        fol_set_remove(&set, world, type);
    }
    return fol_graph_find(world, &set, out);
}

int fol_world_remove(fol_world *world, fol_entity entity, fol_component *const *components,
                     size_t count)
{
    const fol_slot *slot = fol_slots_find(&world->slots, entity);
    if (slot == NULL) {
        return FOL_E_STALE;
    }
    fol_table *from = fol_world_table(world, slot);
    fol_table *to;
    int status = find_remainder(world, from, components, count, &to);
    if (status < 0 || to == from) {
        return status;
    }
    status = fol_world_reserve_rows(world, to, 1);
    if (status < 0) {
        return status;
    }
    fol_rows_move_one(world, from, slot->row, to);
    fol_rows_drop_dead(from, to, 1);
    return 0;
}
