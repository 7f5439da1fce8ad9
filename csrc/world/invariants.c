/* The walk over a whole world that asserts what the headers promise. */

#include "base/memory.h"
#include "world/graph.h"
#include "world/query.h"

static void check_part(const fol_world *world, const fol_table *table, const fol_part *part)
{
    FOL_ASSERT(world->types[part->type].component == part->component);
    FOL_ASSERT(fol_table_part(table, part->type) == part);
    FOL_ASSERT(part->column_count == part->component->field_count);
    FOL_ASSERT(world->types[part->type].is_watched == part->is_watched);
    if (part->is_watched) {
        FOL_ASSERT((part->changed != NULL) == (table->capacity != 0));
        for (size_t row = 0; row < table->rows; row++) {
            FOL_ASSERT(fol_part_changed_at(part, row) <= fol_part_latest_changed(part));
            FOL_ASSERT(fol_part_added_at(part, row) <= fol_part_latest_added(part));
            FOL_ASSERT(fol_part_added_at(part, row) <= fol_part_changed_at(part, row));
        }
    }
}

static void check_table(const fol_world *world, uint32_t index)
{
    const fol_table *table = world->tables[index];
    fol_set set;
    uint32_t column = 0;
    fol_set_clear(&set, FOL_MASK_WORDS);
    FOL_ASSERT(table->index == index);
    FOL_ASSERT(table->rows <= table->capacity);
    FOL_ASSERT((table->block == NULL) == (table->capacity == 0));
    FOL_ASSERT(table->version <= world->structure_version);
    for (uint32_t i = 0; i < table->part_count; i++) {
        FOL_ASSERT(i == 0 || table->parts[i - 1].type < table->parts[i].type);
        FOL_ASSERT(table->parts[i].first_column == column);
        column += table->parts[i].column_count;
        fol_set_add(&set, world, table->parts[i].type);
        check_part(world, table, &table->parts[i]);
    }
    FOL_ASSERT(column == table->column_count);
    FOL_ASSERT(set.hash == table->hash);
    FOL_ASSERT(fol_bits_equal(set.mask, table->mask, FOL_MASK_WORDS));
    for (uint32_t i = 0; i < table->column_count && table->capacity != 0; i++) {
        FOL_ASSERT((uintptr_t)table->columns[i].data % FOL_CACHE_LINE == 0);
    }
    for (size_t row = 0; row < table->rows; row++) {
        const fol_slot *slot = fol_slots_find(&world->slots, table->entities[row]);
        FOL_ASSERT(slot != NULL);
        FOL_ASSERT(slot->table == index && slot->row == row);
    }
}

static void check_slots(const fol_world *world, size_t rows)
{
    const fol_slots *slots = &world->slots;
    uint32_t live = 0;
    FOL_ASSERT(slots->count <= slots->capacity);
    for (uint32_t i = 0; i < slots->count; i++) {
        const fol_slot *slot = &slots->items[i];
        FOL_ASSERT(slot->entry == FOL_NO_INDEX);
        if (slot->table != FOL_NO_INDEX) {
            const fol_table *table = fol_world_table(world, slot);
            FOL_ASSERT(slot->generation != 0 && slot->generation != FOL_PROVISIONAL_GENERATION);
            FOL_ASSERT(table->entities[slot->row] == fol_entity_make(slot->generation, i));
            live++;
        }
    }
    FOL_ASSERT(live == slots->live && rows == live);
    uint32_t free_count = 0;
    for (uint32_t i = slots->free_head; i != FOL_NO_INDEX; i = slots->items[i].row) {
        FOL_ASSERT(slots->items[i].table == FOL_NO_INDEX);
        free_count++;
        FOL_ASSERT(free_count <= slots->count);
    }
    FOL_ASSERT(free_count == slots->free_count);
    FOL_ASSERT(live + free_count + slots->retired == slots->count);
}

static void check_types(const fol_world *world)
{
    for (uint32_t i = 0; i < world->type_count; i++) {
        const fol_type *type = &world->types[i];
        FOL_ASSERT(fol_world_find_type(world, type->component) == i);
        FOL_ASSERT(!type->is_present || type->resource != NULL);
        if (i > 0) {
            FOL_ASSERT(fol_component_compare(world->types[world->by_name[i - 1]].component,
                                             world->types[world->by_name[i]].component) <= 0);
        }
    }
}

void fol_world_invariants(const fol_world *world)
{
    size_t rows = 0;
    for (uint32_t i = 0; i < world->table_count; i++) {
        check_table(world, i);
        rows += world->tables[i]->rows;
    }
    check_slots(world, rows);
    check_types(world);
}
