/* The digest of a world: what it holds, whatever the order of tables, rows and registration.
 *
 * Entities are taken by index, their components by name and layout, so the input is one sequence
 * for equal worlds. Every part states its type or size first, so different worlds give different
 * sequences. Objects count as present only.
 */

#include <string.h>

#include "world/hash.h"
#include "world/world.h"

static void hash_identity(fol_hash *hash, const fol_component *component)
{
    fol_hash_pair(hash, component->identity[0], component->identity[1]);
}

static void hash_bytes_value(fol_hash *hash, const void *cell)
{
    fol_bytes value;
    memcpy(&value, cell, sizeof(value));
    fol_hash_pair(hash, value.size, 0);
    fol_hash_bytes(hash, value.data, value.size);
}

static void hash_part(fol_hash *hash, const fol_table *table, const fol_part *part, size_t row)
{
    const fol_column *columns = fol_part_columns(table, part);
    hash_identity(hash, part->component);
    switch (part->component->storage) {
    case FOL_STORAGE_PLAIN:
        for (uint32_t i = 0; i < part->column_count; i++) {
            fol_hash_bytes(hash, fol_column_cell(&columns[i], row), columns[i].size);
        }
        break;
    case FOL_STORAGE_BYTES:
        hash_bytes_value(hash, fol_column_cell(columns, row));
        break;
    case FOL_STORAGE_OBJECT:
        break;
    }
}

static void hash_entity(fol_hash *hash, const fol_table *table, size_t row)
{
    fol_hash_pair(hash, table->entities[row], table->part_count);
    for (uint32_t i = 0; i < table->part_count; i++) {
        hash_part(hash, table, &table->parts[table->by_name[i]], row);
    }
}

static void hash_resource(fol_hash *hash, const fol_type *type)
{
    const fol_component *component = type->component;
    const uint8_t *value = type->resource;
    hash_identity(hash, component);
    if (component->storage == FOL_STORAGE_BYTES) {
        hash_bytes_value(hash, value);
    } else if (component->storage == FOL_STORAGE_PLAIN) {
        for (uint32_t i = 0; i < component->field_count; i++) {
            fol_hash_bytes(hash, value + component->fields[i].offset, component->fields[i].size);
        }
    }
}

void fol_world_digest(const fol_world *world, uint8_t out[16])
{
    fol_hash hash = {0};
    uint64_t result[2];
    fol_hash_pair(&hash, world->slots.live, 0);
    for (uint32_t i = 0; i < world->slots.count; i++) {
        const fol_slot *slot = &world->slots.items[i];
        if (slot->table != FOL_NO_INDEX) {
            hash_entity(&hash, fol_world_table(world, slot), slot->row);
        }
    }
    for (uint32_t i = 0; i < world->type_count; i++) {
        const fol_type *type = &world->types[world->by_name[i]];
        if (type->is_present) {
            hash_resource(&hash, type);
        }
    }
    fol_hash_end(&hash, result);
    memcpy(out, result, sizeof(result));
}
