/* Applying the entries of a large group by where they end: first rows, then cells.
 *
 * One entry after another, as a small group is applied, rows are moved many times, because each
 * hole is closed by the last row at once. Here the entities alone are moved so, one after another,
 * in the column of ids and in the slots; then each row's cells are copied once, from where the
 * entity stood before the group to where it ends, and its values written. Rows depend on each other
 * only by what is overwritten, so several threads copy at once, and the result is the same to the
 * last bit.
 *
 * A row of a table is *old* when the table had it before the group. A row that is not old is
 * nobody's origin, and is written in the first pass. An old row may be another entity's origin, so
 * it is written in the second pass, when all rows that are not old are done. Its own origin may be
 * an old row that the second pass overwrites, unless it lies behind its table's new end: such a row
 * is kept aside in the first pass. That takes a table which both loses and gets rows.
 *
 * Entities that only close holes get entries of their own, at most one for each entry that leaves a
 * hole. Tables with owned cells are left to the way of small groups: their cells call the host. The
 * ticks of a part depend on each other through the part's own, so these are written down to the
 * rows before rows with older ticks come.
 */

#include <errno.h>
#include <string.h>

#include "base/memory.h"
#include "world/merge.h"
#include "world/rows.h"
#include "world/ticks.h"

/* Groups where fewer entries leave their tables gain nothing: closing holes and moving rows one by
 * one costs less than a second look at each entry. Where nothing leaves, several threads gain
 * alone, as soon as the work outweighs waking them. */
const fol_merge_limits fol_merge_limits_default = {
    .placed_leaving = 512,
    .parallel_entries = 4096,
    .part_entries = 1024,
    .piece_rows = 4096,
    .piece_bytes = 256 * 1024,
};

/* Whether an entity leaves a row of the table it was in. */
static bool is_leaving(const fol_merge_entry *entry)
{
    return entry->from != NULL && entry->from != entry->to;
}

/* Counts what leaves each table, and notes where it goes; false when a table has owned cells. */
static bool count_leaving(fol_merge *merge)
{
    for (uint32_t i = 0; i < merge->entry_count; i++) {
        fol_merge_entry *entry = &merge->entries[i];
        if ((entry->from != NULL && entry->from->has_owned) ||
            (entry->to != NULL && entry->to->has_owned)) {
            return false;
        }
        if (is_leaving(entry)) {
            fol_touched_add(&merge->touched, entry->from);
            entry->from->leaving++;
            if (entry->to != NULL) {
                entry->to->target = entry->to;
            }
        }
    }
    return true;
}

typedef struct row_ticks {
    uint64_t changed;
    uint64_t added;
} row_ticks;

/* Bytes of the widest row that may have to be kept; 0 when none has. */
static size_t measure_kept(const fol_merge *merge)
{
    size_t stride = 0;
    bool has_exchange = false;
    for (const fol_table *table = merge->touched.first; table != NULL;
         table = table->next_touched) {
        has_exchange = has_exchange || (table->leaving != 0 && table->incoming != 0);
        size_t bytes = table->row_bytes + table->part_count * sizeof(row_ticks);
        stride = bytes > stride ? bytes : stride;
    }
    return has_exchange ? stride : 0;
}

/* Address space for the kept rows: pages count when they are used. */
static int reserve_kept(fol_merge *merge)
{
    size_t size;
    if (__builtin_mul_overflow(2 * (size_t)merge->entry_count, merge->kept_stride, &size)) {
        return -ENOMEM;
    }
    if (size <= merge->kept_size) {
        return 0;
    }
    fol_unreserve(merge->kept, merge->kept_size);
    merge->kept_size = 0;
    merge->kept = fol_reserve(size);
    if (merge->kept == NULL) {
        return -ENOMEM;
    }
    merge->kept_size = size;
    return 0;
}

int fol_merge_prepare_places(fol_world *world)
{
    fol_merge *merge = world->merge;
    const fol_merge_limits *limits = &world->limits;
    bool is_parallel =
        merge->entry_count >= limits->parallel_entries && world->run_parallel != NULL;
    merge->is_placed =
        (is_parallel || merge->leaving >= limits->placed_leaving) && count_leaving(merge);
    if (!merge->is_placed) {
        return 0;
    }
    merge->kept_stride = measure_kept(merge);
    /* Rows that are copied twice pay with several threads alone. */
    merge->is_placed = is_parallel || merge->kept_stride == 0;
    return merge->is_placed ? reserve_kept(merge) : 0;
}

/* Lets rows with any ticks come, from several threads at once. */
static void settle_ticks(const fol_world *world, const fol_table *table)
{
    for (uint32_t i = 0; table->has_watched && i < table->part_count; i++) {
        fol_part *part = &table->parts[i];
        /* Rows that are new have the world's tick, which is the latest, save for marks ahead of
         * it. */
        if (part->is_watched && (table->target != NULL || part->all_added > world->tick ||
                                 fol_part_all_changed(part) > world->tick)) {
            fol_part_settle(part, table->rows);
        }
    }
}

/* Takes an entity's row out of a table: the last one closes the hole. */
static void close_hole(fol_world *world, fol_table *table, uint32_t row)
{
    fol_merge *merge = world->merge;
    uint32_t last = (uint32_t)--table->rows;
    if (row == last) {
        return;
    }
    fol_entity moved = table->entities[last];
    fol_slot *slot = &world->slots.items[fol_entity_index(moved)];
    FOL_ASSERT_HOT(slot->row == last);
    if (slot->entry == FOL_NO_INDEX) {
        FOL_ASSERT_HOT(merge->entry_count < 2 * (size_t)merge->item_capacity);
        slot->entry = merge->entry_count;
        merge->entries[merge->entry_count++] = (fol_merge_entry){
            .entity = moved, .from = table, .to = table, .first = FOL_NO_INDEX, .row = last};
    }
    table->entities[row] = moved;
    slot->row = row;
}

/* Moves an entity, its id and slot alone. */
static void place_entry(fol_world *world, uint32_t index)
{
    const fol_merge_entry *entry = &world->merge->entries[index];
    if (entry->is_refused || (entry->from == entry->to && !entry->is_gone)) {
        return;
    }
    fol_slot *slot = &world->slots.items[fol_entity_index(entry->entity)];
    uint32_t row = slot->row;
    if (!entry->is_gone) {
        fol_table *to = entry->to;
        FOL_ASSERT_HOT(to->rows < to->capacity);
        slot->table = to->index;
        slot->row = (uint32_t)to->rows;
        slot->entry = index;
        to->entities[to->rows++] = entry->entity;
        world->moves++;
        world->bytes_moved += to->row_bytes;
    }
    if (entry->from != NULL) {
        close_hole(world, entry->from, row);
    }
    if (entry->is_gone) {
        fol_slots_give(&world->slots, entry->entity);
    }
}

/* Finds the next component that both tables have, from positions *to_part and *from_part on. */
static bool next_shared(const fol_table *to, const fol_table *from, uint32_t *to_part,
                        uint32_t *from_part)
{
    while (*to_part < to->part_count && *from_part < from->part_count) {
        uint16_t to_type = to->parts[*to_part].type;
        uint16_t from_type = from->parts[*from_part].type;
        if (to_type == from_type) {
            return true;
        }
        *to_part += to_type < from_type ? 1 : 0;
        *from_part += from_type < to_type ? 1 : 0;
    }
    return false;
}

/* Copies rows of what both tables have. */
static void carry_rows(const fol_table *to, size_t to_row, const fol_table *from, size_t from_row,
                       size_t count)
{
    uint32_t t = 0;
    for (uint32_t f = 0; next_shared(to, from, &t, &f); t++, f++) {
        const fol_column *into = fol_part_columns(to, &to->parts[t]);
        const fol_column *out_of = fol_part_columns(from, &from->parts[f]);
        for (uint32_t c = 0; c < to->parts[t].column_count; c++) {
            fol_copy_elements(fol_column_cell(&into[c], to_row),
                              fol_column_cell(&out_of[c], from_row), into[c].size, count);
        }
    }
}

/* Starts the ticks of rows that come from `entry`'s row on, but of kept rows only the new ones. */
static void start_ticks(const fol_world *world, const fol_merge_entry *entry, size_t row,
                        size_t count, bool is_kept)
{
    const fol_table *from = entry->from;
    for (uint32_t i = 0; i < entry->to->part_count; i++) {
        fol_part *part = &entry->to->parts[i];
        if (!part->is_watched) {
            continue;
        }
        bool is_carried = from != NULL && fol_table_has(from, part->type);
        if (is_carried && !is_kept) {
            fol_part_carry(part, row, fol_table_part(from, part->type), entry->row, count);
        } else if (!is_carried) {
            fol_part_enter(part, row, count, world->tick, world->tick);
        }
    }
}

/* Where the row of an entry is kept aside. */
static uint8_t *kept_row(const fol_merge *merge, uint32_t index)
{
    FOL_ASSERT_HOT((index + 1) * merge->kept_stride <= merge->kept_size);
    return merge->kept + index * merge->kept_stride;
}

/* Puts aside, or takes back, a row of what both tables have. */
static void keep_row(const fol_merge *merge, uint32_t index, size_t row, bool is_taken_back)
{
    const fol_merge_entry *entry = &merge->entries[index];
    row_ticks ticks;
    uint8_t *kept = kept_row(merge, index);
    uint32_t t = 0;
    for (uint32_t f = 0; next_shared(entry->to, entry->from, &t, &f); t++, f++) {
        const fol_table *table = is_taken_back ? entry->to : entry->from;
        const fol_part *part = is_taken_back ? &table->parts[t] : &table->parts[f];
        const fol_column *columns = fol_part_columns(table, part);
        for (uint32_t c = 0; c < part->column_count; c++) {
            void *cell = fol_column_cell(&columns[c], row);
            fol_copy_elements(is_taken_back ? cell : kept, is_taken_back ? kept : cell,
                              columns[c].size, 1);
            kept += columns[c].size;
        }
        if (part->is_watched && is_taken_back) {
            memcpy(&ticks, kept, sizeof(ticks));
            fol_part_enter(&table->parts[t], row, 1, ticks.changed, ticks.added);
        } else if (part->is_watched) {
            ticks = (row_ticks){fol_part_changed_at(part, row), fol_part_added_at(part, row)};
            memcpy(kept, &ticks, sizeof(ticks));
        }
        kept += part->is_watched ? sizeof(ticks) : 0;
    }
}

/* Whether the row that an entity came to was there before the group. An entity that stays does not
 * come to its row. */
static bool is_old_row(const fol_merge_entry *entry, size_t row)
{
    const fol_table *to = entry->to;
    return row < to->rows + to->leaving - to->incoming && (entry->from != to || entry->row != row);
}

/* Whether the second pass overwrites where an entity was. */
static bool is_overwritten(const fol_merge_entry *entry)
{
    return entry->from != NULL && entry->row < entry->from->rows;
}

/* Entries from `index` on that came from rows behind one another to rows behind one another. */
static uint32_t follow_entries(const fol_world *world, uint32_t index, uint32_t end, size_t row)
{
    const fol_merge_entry *entries = world->merge->entries;
    const fol_merge_entry *first = &entries[index];
    uint32_t count = 1;
    while (index + count < end) {
        const fol_merge_entry *entry = &entries[index + count];
        if (entry->from != first->from || entry->to != first->to ||
            entry->row != first->row + count ||
            world->slots.items[fol_entity_index(entry->entity)].row != row + count) {
            break;
        }
        count++;
    }
    return count;
}

typedef struct pass {
    fol_world *world;
    uint32_t entry_count;
    uint32_t part_entries;
    bool is_second;
} pass;

/* The first pass over entries [index, end) that go where `entry` goes: returns how many. */
static uint32_t fill_fresh(const fol_world *world, uint32_t index, uint32_t end, size_t row)
{
    const fol_merge_entry *entries = world->merge->entries;
    const fol_merge_entry *first = &entries[index];
    uint32_t count = 1;
    if (is_leaving(first)) {
        count = follow_entries(world, index, end, row);
        carry_rows(first->to, row, first->from, first->row, count);
    }
    if (FOL_UNLIKELY(first->to->has_watched) && first->from != first->to) {
        start_ticks(world, first, row, count, false);
    }
    for (uint32_t i = 0; i < count; i++) {
        fol_merge_write_entry(world, &entries[index + i], row + i);
        world->slots.items[fol_entity_index(entries[index + i].entity)].entry = FOL_NO_INDEX;
    }
    return count;
}

/* The second pass over one entry. */
static void fill_old(const fol_world *world, uint32_t index, size_t row)
{
    const fol_merge_entry *entry = &world->merge->entries[index];
    bool is_kept = is_overwritten(entry);
    if (!is_kept && entry->from != NULL) {
        carry_rows(entry->to, row, entry->from, entry->row, 1);
    }
    if (FOL_UNLIKELY(entry->to->has_watched)) {
        start_ticks(world, entry, row, 1, is_kept);
    }
    if (is_kept) {
        keep_row(world->merge, index, row, true);
    }
    fol_merge_write_entry(world, entry, row);
    world->slots.items[fol_entity_index(entry->entity)].entry = FOL_NO_INDEX;
}

static void run_part(void *argument, uint32_t part)
{
    const pass *pass = argument;
    const fol_world *world = pass->world;
    const fol_merge *merge = world->merge;
    uint32_t begin = part * pass->part_entries;
    uint32_t left = pass->entry_count - begin;
    uint32_t end = begin + (left < pass->part_entries ? left : pass->part_entries);
    uint32_t step;
    for (uint32_t i = begin; i < end; i += step) {
        const fol_merge_entry *entry = &merge->entries[i];
        step = 1;
        if (entry->is_gone || entry->is_refused) {
            continue;
        }
        size_t row = world->slots.items[fol_entity_index(entry->entity)].row;
        bool is_old = is_old_row(entry, row);
        if (pass->is_second) {
            if (is_old) {
                fill_old(world, i, row);
            }
        } else if (!is_old) {
            step = fill_fresh(world, i, end, row);
        } else if (is_overwritten(entry)) {
            keep_row(merge, i, entry->row, false);
        }
    }
}

static void run_pass(fol_world *world, uint32_t living, bool is_second)
{
    pass pass = {.world = world, .entry_count = world->merge->entry_count, .is_second = is_second};
    bool is_parallel = living >= world->limits.parallel_entries;
    pass.part_entries = is_parallel ? world->limits.part_entries : pass.entry_count;
    uint32_t parts = (pass.entry_count + pass.part_entries - 1) / pass.part_entries;
    fol_world_run_parts(world, parts, run_part, &pass);
}

void fol_merge_place(fol_world *world)
{
    const fol_merge *merge = world->merge;
    uint32_t count = merge->entry_count;
    uint32_t gone = 0;
    FOL_ASSERT(merge->is_placed);
    for (const fol_table *table = merge->touched.first; table != NULL;
         table = table->next_touched) {
        settle_ticks(world, table);
    }
    for (uint32_t i = 0; i < count; i++) {
        place_entry(world, i);
        gone += merge->entries[i].is_gone ? 1 : 0;
    }
    bool has_holes = false;
    for (const fol_table *table = merge->touched.first; table != NULL;
         table = table->next_touched) {
        /* A table that lost all its old rows has none to fill. */
        has_holes = has_holes || (table->leaving != 0 && table->rows != 0);
    }
    run_pass(world, merge->entry_count - gone, false);
    if (has_holes) {
        run_pass(world, merge->entry_count - gone, true);
    }
}
