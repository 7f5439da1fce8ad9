/* Commands the world has no room for: they are dropped as a failure of their system.
 *
 * The sets a world may have are bounded (max_tables), the types it may number (max_components), and
 * the entities that live at once (max_entities). A command that leads beyond fails alone, and what
 * stands behind it goes on. A spawn takes its place when its turn comes, and a despawn before it in
 * the order has made one; the id of a spawn that finds none means nobody. Of an entity whose
 * set can get no table, the longest part of its commands stays that ends in a set with one; of
 * those behind, the commands that would change the set are refused. So what is refused depends on
 * the order of the commands alone, not on who recorded them where.
 */

#include <string.h>

#include "world/merge.h"

void fol_merge_set_of_mask(const fol_world *world, const uint64_t *mask, fol_set *out)
{
    size_t words = world->merge->words;
    size_t end = words * FOL_WORD_BITS;
    fol_bits_copy(out->mask, mask, words);
    out->hash = 0;
    for (size_t type = fol_bits_next(mask, words, 0); type < end;
         type = fol_bits_next(mask, words, type + 1)) {
        out->hash += world->types[type].hash;
    }
}

bool fol_merge_names_unknown(const fol_commands *commands, const fol_record *record)
{
    const fol_recorded_value *values = record->payload;
    for (uint32_t i = 0; i < record->count; i++) {
        if (fol_recorded_type(commands, &values[i]) == FOL_NO_INDEX) {
            return true;
        }
    }
    return false;
}

/* The components of an entry before its first command. */
static void start_mask(const fol_merge *merge, const fol_merge_entry *entry, uint64_t *mask)
{
    if (entry->from == NULL) {
        fol_bits_clear(mask, merge->words);
    } else {
        fol_bits_copy(mask, entry->from->mask, merge->words);
    }
}

/* The last item after which the set has a table, or FOL_NO_INDEX; the entry then ends there. */
static uint32_t find_last_kept(const fol_world *world, fol_merge_entry *entry)
{
    const fol_merge *merge = world->merge;
    uint64_t mask[FOL_MASK_WORDS];
    uint32_t last = FOL_NO_INDEX;
    start_mask(merge, entry, mask);
    entry->to = entry->from;
    for (uint32_t i = entry->first; i != FOL_NO_INDEX; i = merge->items[i].next) {
        fol_set set;
        (void)fol_merge_follow(fol_merge_commands(merge, &merge->items[i]), merge->items[i].record,
                               mask);
        fol_merge_set_of_mask(world, mask, &set);
        fol_table *table = fol_graph_lookup(world, &set);
        if (table != NULL) {
            last = i;
            entry->to = table;
        }
    }
    return last;
}

/* What becomes of an item of an entity that has the components of `mask`; an item behind the last
 * kept one may not change them. */
static fol_record_fate judge(const fol_merge *merge, const fol_merge_item *item, bool is_behind,
                             uint64_t *mask)
{
    uint64_t changed[FOL_MASK_WORDS];
    fol_bits_copy(changed, mask, merge->words);
    if (!fol_merge_follow(fol_merge_commands(merge, item), item->record, changed)) {
        return FOL_FATE_DROPPED;
    }
    if (is_behind && !fol_bits_equal(changed, mask, merge->words)) {
        return FOL_FATE_NO_TABLE;
    }
    fol_bits_copy(mask, changed, merge->words);
    return FOL_FATE_APPLIED;
}

/* The spawn is refused, and what names the entity is dropped as if it were gone. */
static void refuse_spawn(const fol_world *world, fol_merge_entry *entry)
{
    fol_merge *merge = world->merge;
    for (uint32_t i = entry->first; i != FOL_NO_INDEX; i = merge->items[i].next) {
        fol_record *record = merge->items[i].record;
        bool is_spawn = record->kind == FOL_RECORD_SPAWN;
        record->fate = is_spawn ? FOL_FATE_NO_TABLE : FOL_FATE_DROPPED;
        if (is_spawn) {
            *fol_ids_find(&world->ids, record->entity) = 0;
        }
    }
    entry->is_refused = true;
}

void fol_merge_refuse(fol_world *world, fol_merge_entry *entry)
{
    fol_merge *merge = world->merge;
    uint64_t mask[FOL_MASK_WORDS];
    uint32_t last = find_last_kept(world, entry);
    if (entry->to == NULL) {
        refuse_spawn(world, entry);
        return;
    }
    start_mask(merge, entry, mask);
    bool is_behind = last == FOL_NO_INDEX;
    for (uint32_t i = entry->first; i != FOL_NO_INDEX; i = merge->items[i].next) {
        merge->items[i].record->fate = (uint8_t)judge(merge, &merge->items[i], is_behind, mask);
        is_behind = is_behind || i == last;
    }
    FOL_ASSERT(fol_bits_equal(mask, entry->to->mask, merge->words));
}

/* Remembers what was full. A many-command and a table's own refusal did so themselves. */
static void name_setting(fol_world *world, fol_record_fate fate)
{
    const fol_world_config *config = &world->config;
    if (fate == FOL_FATE_NO_TABLE) {
        (void)fol_world_is_full(world, "max_tables", config->max_tables);
    } else if (fate == FOL_FATE_NO_TYPE) {
        (void)fol_world_is_full(world, "max_components", config->max_components);
    } else {
        FOL_ASSERT(fate == FOL_FATE_NO_ENTITY);
        (void)fol_world_is_full(world, "max_entities", config->max_entities);
    }
}

fol_record_fate fol_merge_fate_of_full(const fol_world *world)
{
    return strcmp(world->full_setting, "max_tables") == 0       ? FOL_FATE_NO_TABLE
           : strcmp(world->full_setting, "max_components") == 0 ? FOL_FATE_NO_TYPE
                                                                : FOL_FATE_NO_ENTITY;
}

void fol_merge_report_refused(fol_world *world, const fol_merge_item *item, fol_record_fate fate,
                              fol_merge_report *report)
{
    fol_merge *merge = world->merge;
    const fol_merge_stretch *stretch = &merge->stretches[item->stretch];
    FOL_ASSERT(fate >= FOL_FATE_NO_TABLE);
    if (merge->refused_stretch == FOL_NO_INDEX ||
        !fol_merge_is_one_run(&merge->stretches[merge->refused_stretch], stretch)) {
        merge->refused_for = 0;
    }
    merge->refused_stretch = item->stretch;
    if ((merge->refused_for & (1u << fate)) != 0) {
        return;
    }
    merge->refused_for |= 1u << fate;
    name_setting(world, fate);
    if (report->on_error != NULL) {
        report->on_error(report->on_error_argument, stretch->system_order, FOL_E_CAPACITY);
    }
}
