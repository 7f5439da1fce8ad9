/* Applying a planned group: ids, then one move for each entity, then resources. Cannot fail. */

#include "world/cells.h"
#include "world/merge.h"

/* The recorded value goes into the cells of a row; what it owns goes along. */
static void write_value(fol_table *table, const fol_part *part, size_t row, void *value)
{
    switch (part->component->storage) {
    case FOL_STORAGE_PLAIN:
        fol_cells_put(table, part, row, value);
        break;
    case FOL_STORAGE_BYTES: {
        fol_bytes bytes = {NULL, 0};
        if (value != NULL) {
            bytes = *(fol_bytes *)value;
            *(fol_bytes *)value = (fol_bytes){NULL, 0};
        }
        fol_cells_take_bytes(table, part, row, bytes);
        break;
    }
    case FOL_STORAGE_OBJECT: {
        void *object = NULL;
        if (value != NULL) {
            object = *(void **)value;
            *(void **)value = NULL;
        }
        fol_cells_take_object(table, part, row, object);
        break;
    }
    }
}

/* Writes the values of one record that survive the group: those of components that `table` has. */
static void write_record(const fol_world *world, const fol_commands *commands,
                         const fol_record *record, fol_table *table, size_t row)
{
    const fol_recorded_value *values = record->payload;
    for (uint32_t i = 0; i < record->count; i++) {
        uint32_t type = fol_recorded_type(commands, &values[i]);
        if (!fol_table_has(table, type)) {
            continue;
        }
        fol_part *part = fol_table_part(table, type);
        write_value(table, part, row, values[i].value);
        if (FOL_UNLIKELY(part->is_watched)) {
            fol_part_touch(part, row, 1, world->tick);
        }
    }
}

/* A component that was removed and then added again counts as added, though its row kept it. */
static void readd(const fol_world *world, const fol_merge_entry *entry, uint32_t type, size_t row)
{
    if (entry->from != NULL && fol_table_has(entry->from, type) && fol_table_has(entry->to, type)) {
        fol_part *part = fol_table_part(entry->to, type);
        if (part->is_watched) {
            fol_part_readd(part, row, 1, world->tick);
        }
    }
}

/* Follows the set of an entity through its records, for readd. */
static void follow_adds(const fol_world *world, const fol_merge_entry *entry, size_t row)
{
    const fol_merge *merge = world->merge;
    uint64_t mask[FOL_MASK_WORDS];
    fol_bits_copy(mask, entry->from->mask, merge->words);
    for (uint32_t i = entry->first; i != FOL_NO_INDEX; i = merge->items[i].next) {
        const fol_record *record = merge->items[i].record;
        const fol_commands *commands = fol_merge_commands(merge, &merge->items[i]);
        const fol_recorded_value *values = record->payload;
        uint32_t count = record->fate == FOL_FATE_APPLIED ? record->count : 0;
        for (uint32_t v = 0; v < count; v++) {
            uint32_t type = fol_recorded_type(commands, &values[v]);
            if (record->kind == FOL_RECORD_REMOVE) {
                fol_bits_reset(mask, type);
            } else if (!fol_bits_test(mask, type)) {
                fol_bits_set(mask, type);
                readd(world, entry, type, row);
            }
        }
    }
}

void fol_merge_write_entry(const fol_world *world, const fol_merge_entry *entry, size_t row)
{
    const fol_merge *merge = world->merge;
    for (uint32_t i = entry->first; i != FOL_NO_INDEX; i = merge->items[i].next) {
        const fol_record *record = merge->items[i].record;
        if (record->kind != FOL_RECORD_REMOVE && record->fate == FOL_FATE_APPLIED) {
            write_record(world, fol_merge_commands(merge, &merge->items[i]), record, entry->to,
                         row);
        }
    }
    if (entry->from != NULL && entry->to->has_watched) {
        follow_adds(world, entry, row);
    }
}

static void despawn_entry(fol_world *world, const fol_merge_entry *entry)
{
    if (entry->from != NULL) {
        const fol_slot *slot = fol_slots_find(&world->slots, entry->entity);
        fol_rows_remove(world, entry->from, slot->row, 1);
    }
    fol_slots_give(&world->slots, entry->entity);
    if (entry->from != NULL) {
        fol_rows_drop_dead(entry->from, NULL, 1);
    }
}

static void apply_entry(fol_world *world, const fol_merge_entry *entry)
{
    if (entry->is_refused) {
        return;
    }
    if (entry->is_gone) {
        despawn_entry(world, entry);
        return;
    }
    fol_slot *slot = &world->slots.items[fol_entity_index(entry->entity)];
    size_t row = slot->row;
    slot->entry = FOL_NO_INDEX;
    bool is_moved = entry->from != NULL && entry->from != entry->to;
    if (entry->from == NULL) {
        row = fol_rows_append_one(world, entry->to, entry->entity);
    } else if (is_moved) {
        row = fol_rows_move_one(world, entry->from, row, entry->to);
        fol_rows_drop_dead(entry->from, entry->to, 1);
    }
    fol_merge_write_entry(world, entry, row);
}

/* Real ids, in the order of the spawns. */
static void take_ids(fol_world *world, uint32_t begin, uint32_t end)
{
    const fol_merge *merge = world->merge;
    if (merge->spawn_count == 0) {
        return;
    }
    for (uint32_t i = begin; i < end; i++) {
        const fol_record *record = merge->items[i].record;
        /* A spawn is planned or refused. */
        if (record->kind == FOL_RECORD_SPAWN && record->fate < FOL_FATE_NO_TABLE) {
            fol_entity *resolved = fol_ids_find(&world->ids, record->entity);
            FOL_ASSERT(fol_entity_index(*resolved) - 1 < merge->entry_count);
            fol_merge_entry *entry = &merge->entries[fol_entity_index(*resolved) - 1];
            entry->entity = fol_slots_take(&world->slots);
            *resolved = entry->entity;
        }
    }
}

static fol_command_kind kind_of(const fol_record *record)
{
    FOL_ASSERT_HOT(record->kind >= FOL_RECORD_SPAWN && record->kind <= FOL_RECORD_INSERT);
    return (fol_command_kind)(record->kind - FOL_RECORD_SPAWN);
}

_Static_assert((int)FOL_RECORD_INSERT - (int)FOL_RECORD_SPAWN == (int)FOL_COMMAND_INSERT,
               "records on single things stand in the order of the kinds");

static void insert_resource(fol_world *world, const fol_commands *commands,
                            const fol_record *record)
{
    const fol_recorded_value *value = record->payload;
    uint32_t type = fol_recorded_type(commands, value);
    fol_bytes packed = {NULL, 0};
    if (world->types[type].component->storage == FOL_STORAGE_PLAIN) {
        fol_resource_put(world, type, value->value);
        return;
    }
    if (value->value != NULL) {
        size_t size = world->types[type].component->value_size;
        memcpy(&packed, value->value, size);
        memset(value->value, 0, size);
    }
    fol_resource_put(world, type, &packed);
}

void fol_merge_apply(fol_world *world, uint32_t begin, uint32_t end, fol_merge_report *report)
{
    fol_merge *merge = world->merge;
    take_ids(world, begin, end);
    if (merge->is_placed) {
        fol_merge_place(world);
    } else {
        for (uint32_t i = 0; i < merge->entry_count; i++) {
            apply_entry(world, &merge->entries[i]);
        }
    }
    fol_touched_clear(&merge->touched);
    for (uint32_t i = begin; i < end; i++) {
        fol_record *record = merge->items[i].record;
        fol_commands *commands = fol_merge_commands(merge, &merge->items[i]);
        if (record->fate == FOL_FATE_APPLIED) {
            if (record->kind == FOL_RECORD_INSERT) {
                insert_resource(world, commands, record);
            }
            report->applied[kind_of(record)]++;
        } else {
            report->dropped++;
            if (FOL_UNLIKELY(record->fate >= FOL_FATE_NO_TABLE)) {
                fol_merge_report_refused(world, &merge->items[i], record->fate, report);
            }
        }
        fol_record_finish(commands, record);
    }
}
