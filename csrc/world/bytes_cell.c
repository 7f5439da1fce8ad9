/* Moving Bytes values into the world; see bytes.h. */

#include "world/bytes.h"

#include "world/cells.h"
#include "world/ticks.h"
#include "world/world.h"

static int put_resource(fol_world *world, uint32_t type, fol_bytes value)
{
    if (!world->types[type].is_present) {
        return FOL_E_MISSING;
    }
    fol_resource_put(world, type, &value);
    return 0;
}

int fol_world_take_bytes(fol_world *world, fol_entity entity, const fol_component *component,
                         fol_bytes value)
{
    if (component->storage != FOL_STORAGE_BYTES) {
        return FOL_E_VALUE;
    }
    uint32_t type = fol_world_find_type(world, component);
    if (component->is_resource) {
        return type == FOL_NO_INDEX ? FOL_E_MISSING : put_resource(world, type, value);
    }
    const fol_slot *slot = fol_slots_find(&world->slots, entity);
    if (slot == NULL) {
        return FOL_E_STALE;
    }
    fol_table *table = fol_world_table(world, slot);
    if (type == FOL_NO_INDEX || !fol_table_has(table, type)) {
        return FOL_E_MISSING;
    }
    fol_part *part = fol_table_part(table, type);
    fol_cells_take_bytes(table, part, slot->row, value);
    if (part->is_watched) {
        fol_part_touch(part, slot->row, 1, world->tick);
    }
    return 0;
}
