/* Keeping change ticks through marks and moves; see ticks.h. */

#include "world/ticks.h"

#include <string.h>

#include "base/assert.h"

void fol_part_settle(fol_part *part, size_t rows)
{
    uint64_t changed = fol_part_all_changed(part);
    if (changed == 0 && part->all_added == 0) {
        return;
    }
    for (size_t i = 0; i < rows; i++) {
        part->changed[i] = fol_tick_max(part->changed[i], changed);
        part->added[i] = fol_tick_max(part->added[i], part->all_added);
    }
    atomic_store_explicit(&part->all_changed, 0, memory_order_relaxed);
    part->all_added = 0;
}

/* Whether a row with these ticks would seem newer than it is. */
static bool is_hidden(const fol_part *part, uint64_t changed, uint64_t added)
{
    return changed < fol_part_all_changed(part) || added < part->all_added;
}

static void write_ticks(fol_part *part, size_t row, uint64_t changed, uint64_t added)
{
    part->changed[row] = changed;
    part->added[row] = added;
    fol_tick_raise(&part->latest_changed, changed);
    fol_tick_raise(&part->latest_added, added);
}

void fol_part_enter(fol_part *part, size_t rows, size_t count, uint64_t changed, uint64_t added)
{
    FOL_ASSERT_HOT(part->is_watched);
    if (is_hidden(part, changed, added)) {
        fol_part_settle(part, rows);
    }
    for (size_t i = 0; i < count; i++) {
        write_ticks(part, rows + i, changed, added);
    }
}

void fol_part_carry(fol_part *part, size_t rows, const fol_part *from, size_t row, size_t count)
{
    FOL_ASSERT_HOT(part->is_watched && from->is_watched);
    for (size_t i = 0; i < count; i++) {
        fol_part_enter(part, rows + i, 1, fol_part_changed_at(from, row + i),
                       fol_part_added_at(from, row + i));
    }
}

void fol_part_touch(fol_part *part, size_t row, size_t count, uint64_t tick)
{
    for (size_t i = row; i < row + count; i++) {
        part->changed[i] = fol_tick_max(part->changed[i], tick);
    }
    fol_tick_raise(&part->latest_changed, tick);
}

void fol_part_readd(fol_part *part, size_t row, size_t count, uint64_t tick)
{
    for (size_t i = row; i < row + count; i++) {
        part->added[i] = fol_tick_max(part->added[i], tick);
    }
    fol_tick_raise(&part->latest_added, tick);
    fol_part_touch(part, row, count, tick);
}

void fol_part_copy_ticks(fol_part *part, size_t to, size_t from, size_t count)
{
    memcpy(&part->changed[to], &part->changed[from], count * sizeof(*part->changed));
    memcpy(&part->added[to], &part->added[from], count * sizeof(*part->added));
}
