/* Planning a group of commands, and acquiring what applying it needs; see merge.h. */

#include <errno.h>

#include "base/memory.h"
#include "world/bytes.h"
#include "world/merge.h"

static uint64_t *mask_of(const fol_merge *merge, uint32_t entry)
{
    return merge->masks + entry * merge->words;
}

static int grow_masks(fol_world *world, uint32_t entries)
{
    fol_merge *merge = world->merge;
    merge->words = fol_world_mask_words(world);
    size_t wanted = entries * merge->words;
    if (wanted > merge->mask_capacity) {
        uint64_t *masks = fol_realloc_array(merge->masks, wanted, sizeof(*masks));
        if (masks == NULL) {
            return -ENOMEM;
        }
        merge->masks = masks;
        merge->mask_capacity = wanted;
    }
    return 0;
}

static uint32_t add_entry(fol_merge *merge, fol_entity entity, fol_table *from, uint32_t row)
{
    FOL_ASSERT(merge->entry_count < merge->item_capacity);
    uint32_t index = merge->entry_count++;
    merge->entries[index] = (fol_merge_entry){
        .entity = entity, .from = from, .row = row, .first = FOL_NO_INDEX, .last = FOL_NO_INDEX};
    if (from == NULL) {
        fol_bits_clear(mask_of(merge, index), merge->words);
    } else {
        fol_bits_copy(mask_of(merge, index), from->mask, merge->words);
    }
    return index;
}

/* The entry of a record's entity, made when it is the group's first; FOL_NO_INDEX when the entity
 * is gone, or not spawned yet. */
static uint32_t find_entry(fol_world *world, fol_entity entity)
{
    fol_merge *merge = world->merge;
    uint32_t index;
    bool is_planned = false;
    if (fol_entity_is_provisional(entity)) {
        const fol_entity *resolved = fol_ids_find(&world->ids, entity);
        entity = resolved == NULL ? 0 : *resolved;
        is_planned = entity != 0 && fol_entity_generation(entity) == 0;
    }
    if (is_planned) {
        index = fol_entity_index(entity) - 1;
    } else {
        fol_slot *slot = fol_slots_find(&world->slots, entity);
        if (slot == NULL) {
            return FOL_NO_INDEX;
        }
        if (slot->entry == FOL_NO_INDEX) {
            slot->entry = add_entry(merge, entity, fol_world_table(world, slot), slot->row);
        }
        index = slot->entry;
    }
    FOL_ASSERT(index < merge->entry_count);
    return merge->entries[index].is_gone ? FOL_NO_INDEX : index;
}

/* Puts an item behind the others of its entity. */
static void chain(fol_merge *merge, uint32_t entry, uint32_t item)
{
    fol_merge_entry *to = &merge->entries[entry];
    FOL_ASSERT_HOT(item < merge->item_count);
    merge->items[item].next = FOL_NO_INDEX;
    if (to->first == FOL_NO_INDEX) {
        to->first = item;
    } else {
        merge->items[to->last].next = item;
    }
    to->last = item;
}

static void plan_item(fol_world *world, uint32_t index)
{
    fol_merge *merge = world->merge;
    const fol_merge_item *item = &merge->items[index];
    fol_commands *commands = fol_merge_commands(merge, item);
    fol_record *record = item->record;
    uint32_t entry;
    if (FOL_UNLIKELY(merge->has_unknown) && fol_merge_names_unknown(commands, record)) {
        bool needs_number = record->kind != FOL_RECORD_SET && record->kind != FOL_RECORD_REMOVE;
        record->fate = needs_number ? FOL_FATE_NO_TYPE : FOL_FATE_DROPPED;
        return;
    }
    if (record->kind == FOL_RECORD_INSERT) {
        return;
    }
    if (record->kind == FOL_RECORD_SPAWN) {
        if (merge->places == 0) {
            record->fate = FOL_FATE_NO_ENTITY;
            return;
        }
        merge->places--;
        merge->spawn_count++;
        entry = add_entry(merge, 0, NULL, 0);
        *fol_ids_find(&world->ids, record->entity) = (fol_entity)entry + 1;
    } else {
        entry = find_entry(world, record->entity);
    }
    if (entry == FOL_NO_INDEX) {
        record->fate = FOL_FATE_DROPPED;
        return;
    }
    chain(merge, entry, index);
    if (record->kind == FOL_RECORD_DESPAWN) {
        merge->entries[entry].is_gone = true;
        merge->places++;
    } else if (!fol_merge_follow(commands, record, mask_of(merge, entry))) {
        record->fate = FOL_FATE_DROPPED;
    }
}

/* Counts an entry among the rows that come to its table. */
static void bring_entry(fol_merge *merge, const fol_merge_entry *entry)
{
    if (!entry->is_refused && entry->to != entry->from) {
        fol_touched_add(&merge->touched, entry->to);
        entry->to->incoming++;
        merge->leaving += entry->from != NULL ? 1 : 0;
    }
}

/* The table an entry ends in; the last one found is tried first. */
static int aim_entry(fol_world *world, uint32_t index, fol_table **last)
{
    fol_merge *merge = world->merge;
    fol_merge_entry *entry = &merge->entries[index];
    const uint64_t *mask = mask_of(merge, index);
    if (entry->is_gone) {
        merge->leaving += entry->from != NULL ? 1 : 0;
        return 0;
    }
    if (entry->from != NULL && fol_bits_equal(entry->from->mask, mask, merge->words)) {
        entry->to = entry->from;
        return 0;
    }
    if (*last == NULL || !fol_bits_equal((*last)->mask, mask, merge->words)) {
        fol_set set;
        fol_merge_set_of_mask(world, mask, &set);
        int status = fol_graph_find(world, &set, last);
        if (FOL_UNLIKELY(status == FOL_E_CAPACITY)) {
            fol_merge_refuse(world, entry);
            bring_entry(merge, entry);
            return 0;
        }
        if (status < 0) {
            return status;
        }
    }
    entry->to = *last;
    bring_entry(merge, entry);
    return 0;
}

static int aim_entries(fol_world *world)
{
    fol_table *last = NULL;
    for (uint32_t i = 0; i < world->merge->entry_count; i++) {
        int status = aim_entry(world, i, &last);
        if (status < 0) {
            return status;
        }
    }
    return 0;
}

/* Gives the Bytes of a record blobs of their own, unless an earlier try did. */
static int prepare_bytes(const fol_commands *commands, fol_record *record)
{
    const fol_recorded_value *values = record->payload;
    for (uint32_t i = 0; i < record->count; i++) {
        const fol_component *component = fol_commands_component(commands, values[i].type);
        if (component->storage != FOL_STORAGE_BYTES || values[i].value == NULL) {
            continue;
        }
        fol_bytes *bytes = values[i].value;
        if (fol_commands_holds(commands, bytes->data)) {
            int status = fol_bytes_create(bytes->data, bytes->size, bytes);
            if (status < 0) {
                return status;
            }
        }
    }
    return 0;
}

/* Memory for the resources and Bytes of the group. */
static int prepare_values(fol_world *world, uint32_t begin, uint32_t end)
{
    const fol_merge *merge = world->merge;
    for (uint32_t i = begin; i < end; i++) {
        fol_record *record = merge->items[i].record;
        const fol_commands *commands = fol_merge_commands(merge, &merge->items[i]);
        int status = 0;
        if (record->fate != FOL_FATE_APPLIED) {
            continue;
        }
        if (record->kind == FOL_RECORD_INSERT) {
            status = fol_resource_reserve(world, fol_recorded_type(commands, record->payload));
        }
        if (status == 0 && record->is_owned) {
            status = prepare_bytes(commands, record);
        }
        if (status < 0) {
            return status;
        }
    }
    return 0;
}

/* Takes a plan back: slots, provisional ids and records say again what they said before. */
static void forget_plan(fol_world *world, uint32_t begin, uint32_t end)
{
    fol_merge *merge = world->merge;
    for (uint32_t i = 0; i < merge->entry_count; i++) {
        if (merge->entries[i].entity != 0) {
            fol_slots_find(&world->slots, merge->entries[i].entity)->entry = FOL_NO_INDEX;
        }
    }
    for (uint32_t i = begin; i < end; i++) {
        fol_record *record = merge->items[i].record;
        record->fate = FOL_FATE_APPLIED;
        if (record->kind == FOL_RECORD_SPAWN) {
            *fol_ids_find(&world->ids, record->entity) = 0;
        }
    }
    fol_touched_clear(&merge->touched);
}

int fol_merge_plan(fol_world *world, uint32_t begin, uint32_t end)
{
    fol_merge *merge = world->merge;
    FOL_ASSERT(begin < end && end <= merge->item_count);
    FOL_ASSERT(merge->touched.first == NULL);
    merge->entry_count = 0;
    merge->spawn_count = 0;
    merge->places = world->config.max_entities - world->slots.live;
    merge->leaving = 0;
    int status = grow_masks(world, end - begin);
    if (status < 0) {
        return status;
    }
    for (uint32_t i = begin; i < end; i++) {
        plan_item(world, i);
    }
    status = aim_entries(world);
    if (status == 0) {
        status = fol_merge_prepare_places(world);
    }
    if (status == 0) {
        status = fol_touched_reserve(world, &merge->touched);
    }
    if (status == 0) {
        status = fol_slots_reserve(&world->slots, merge->spawn_count);
    }
    if (status == 0) {
        status = prepare_values(world, begin, end);
    }
    if (status < 0) {
        forget_plan(world, begin, end);
    }
    return status;
}
