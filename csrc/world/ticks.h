/* Change ticks of the rows of a watched part; table.h says what they mean. */
#ifndef FOL_WORLD_TICKS_H
#define FOL_WORLD_TICKS_H

#include "world/table.h"

static inline uint64_t fol_tick_max(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Systems that mark and systems that read the same component never run at once, so ticks publish
 * nothing: relaxed order is enough. */
static inline uint64_t fol_part_all_changed(const fol_part *part)
{
    return atomic_load_explicit(&part->all_changed, memory_order_relaxed);
}

static inline uint64_t fol_part_latest_changed(const fol_part *part)
{
    return atomic_load_explicit(&part->latest_changed, memory_order_relaxed);
}

static inline uint64_t fol_part_latest_added(const fol_part *part)
{
    return atomic_load_explicit(&part->latest_added, memory_order_relaxed);
}

static inline uint64_t fol_part_changed_at(const fol_part *part, size_t row)
{
    return fol_tick_max(part->changed[row], fol_part_all_changed(part));
}

static inline uint64_t fol_part_added_at(const fol_part *part, size_t row)
{
    return fol_tick_max(part->added[row], part->all_added);
}

/* Several threads may raise the same tick; the greatest stays. */
static inline void fol_tick_raise(_Atomic uint64_t *tick, uint64_t to)
{
    uint64_t now = atomic_load_explicit(tick, memory_order_relaxed);
    /* Bounded by contention: each failed exchange means that another thread raised it. */
    while (now < to && !atomic_compare_exchange_weak_explicit(tick, &now, to, memory_order_relaxed,
                                                              memory_order_relaxed)) {
    }
}

/* Writes the part's own ticks down to its first `rows` rows, so that rows with older ticks may
 * come: after it, several threads may bring and change rows of their own. */
void fol_part_settle(fol_part *part, size_t rows);

/* The first `rows` rows are there; rows [rows, rows + count) come with these ticks. */
void fol_part_enter(fol_part *part, size_t rows, size_t count, uint64_t changed, uint64_t added);

/* Rows [rows, rows + count) come from rows of another table's part. */
void fol_part_carry(fol_part *part, size_t rows, const fol_part *from, size_t row, size_t count);

/* The rows change now. */
void fol_part_touch(fol_part *part, size_t row, size_t count, uint64_t tick);

/* The rows count as added now. */
void fol_part_readd(fol_part *part, size_t row, size_t count, uint64_t tick);

/* Copies ticks between rows of one part. */
void fol_part_copy_ticks(fol_part *part, size_t to, size_t from, size_t count);

#endif
