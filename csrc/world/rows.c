/* Rows coming, moving and going; see rows.h. */

#include "world/rows.h"

#include <string.h>

#include "world/ticks.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* Starts the cells of a component that rows [row, row + count) did not have before. */
ALWAYS_INLINE void start_cells(const fol_world *world, fol_table *table, fol_part *part, size_t row,
                               size_t count)
{
    if (FOL_UNLIKELY(part->is_owned)) {
        fol_column *column = fol_part_columns(table, part);
        memset(fol_column_cell(column, row), 0, column->size * count);
    }
    if (FOL_UNLIKELY(part->is_watched)) {
        fol_part_enter(part, row, count, world->tick, world->tick);
    }
}

/* Copies the cells of a component both tables have. */
ALWAYS_INLINE void carry_cells(fol_table *to, fol_part *to_part, size_t to_row,
                               const fol_table *from, const fol_part *from_part, size_t row,
                               size_t count)
{
    fol_column *into = fol_part_columns(to, to_part);
    const fol_column *out_of = fol_part_columns(from, from_part);
    for (uint32_t i = 0; i < to_part->column_count; i++) {
        fol_copy_elements(fol_column_cell(&into[i], to_row), fol_column_cell(&out_of[i], row),
                          into[i].size, count);
    }
    if (FOL_UNLIKELY(to_part->is_watched)) {
        fol_part_carry(to_part, to_row, from_part, row, count);
    }
}

/* Swaps two stretches of one column that do not overlap. */
static void swap_cells(fol_column *column, size_t a, size_t b, size_t count)
{
    uint8_t *left = fol_column_cell(column, a);
    uint8_t *right = fol_column_cell(column, b);
    uint64_t spare;
    FOL_ASSERT_HOT(column->size % sizeof(spare) == 0);
    for (size_t i = 0; i < column->size * count; i += sizeof(spare)) {
        memcpy(&spare, left + i, sizeof(spare));
        memcpy(left + i, right + i, sizeof(spare));
        memcpy(right + i, &spare, sizeof(spare));
    }
}

/* Takes rows out of a table: as many of the last rows move into the hole. */
ALWAYS_INLINE void close_hole(fol_world *world, fol_table *table, size_t row, size_t count)
{
    size_t rows = table->rows - count;
    size_t behind = rows - row;
    size_t moved = behind < count ? behind : count;
    size_t last = table->rows - moved;
    table->rows = rows;
    if (moved == 0) {
        return;
    }
    if (FOL_LIKELY(!table->has_owned)) {
        for (uint32_t i = 0; i < table->column_count; i++) {
            fol_column *column = &table->columns[i];
            fol_copy_elements(fol_column_cell(column, row), fol_column_cell(column, last),
                              column->size, moved);
        }
    } else {
        for (uint32_t i = 0; i < table->part_count; i++) {
            const fol_part *part = &table->parts[i];
            for (uint32_t c = 0; c < part->column_count; c++) {
                fol_column *column = &table->columns[part->first_column + c];
                if (part->is_owned) {
                    swap_cells(column, row, last, moved);
                } else {
                    fol_copy_elements(fol_column_cell(column, row), fol_column_cell(column, last),
                                      column->size, moved);
                }
            }
        }
    }
    if (FOL_UNLIKELY(table->has_watched)) {
        for (uint32_t i = 0; i < table->part_count; i++) {
            if (table->parts[i].is_watched) {
                fol_part_copy_ticks(&table->parts[i], row, last, moved);
            }
        }
    }
    fol_copy_elements(&table->entities[row], &table->entities[last], sizeof(fol_entity), moved);
    fol_world_place(world, table, row, moved);
}

static void count_moves(fol_world *world, const fol_table *to, size_t count)
{
    world->moves += count;
    world->bytes_moved += (uint64_t)count * to->row_bytes;
}

ALWAYS_INLINE size_t append_rows(fol_world *world, fol_table *table, const fol_entity *entities,
                                 size_t count)
{
    size_t row = table->rows;
    FOL_ASSERT_HOT(count <= table->capacity - row);
    if (FOL_UNLIKELY(table->has_owned || table->has_watched)) {
        for (uint32_t i = 0; i < table->part_count; i++) {
            start_cells(world, table, &table->parts[i], row, count);
        }
    }
    if (entities != &table->entities[row]) {
        fol_copy_elements(&table->entities[row], entities, sizeof(*entities), count);
    }
    table->rows = row + count;
    fol_world_place(world, table, row, count);
    count_moves(world, table, count);
    return row;
}

size_t fol_rows_append(fol_world *world, fol_table *table, const fol_entity *entities, size_t count)
{
    return append_rows(world, table, entities, count);
}

size_t fol_rows_append_one(fol_world *world, fol_table *table, fol_entity entity)
{
    return append_rows(world, table, &entity, 1);
}

ALWAYS_INLINE size_t move_rows(fol_world *world, fol_table *from, size_t row, size_t count,
                               fol_table *to)
{
    size_t base = to->rows;
    FOL_ASSERT_HOT(from != to && row + count <= from->rows);
    FOL_ASSERT_HOT(count <= to->capacity - base);
    const fol_part *old = from->parts;
    const fol_part *old_end = from->parts + from->part_count;
    for (fol_part *part = to->parts; part < to->parts + to->part_count; part++) {
        while (old < old_end && old->type < part->type) {
            old++;
        }
        if (old < old_end && old->type == part->type) {
            carry_cells(to, part, base, from, old, row, count);
            old++;
        } else {
            start_cells(world, to, part, base, count);
        }
    }
    fol_copy_elements(&to->entities[base], &from->entities[row], sizeof(fol_entity), count);
    to->rows = base + count;
    close_hole(world, from, row, count);
    fol_world_place(world, to, base, count);
    count_moves(world, to, count);
    return base;
}

size_t fol_rows_move(fol_world *world, fol_table *from, size_t row, size_t count, fol_table *to)
{
    return move_rows(world, from, row, count, to);
}

size_t fol_rows_move_one(fol_world *world, fol_table *from, size_t row, fol_table *to)
{
    return move_rows(world, from, row, 1, to);
}

void fol_rows_remove(fol_world *world, fol_table *table, size_t row, size_t count)
{
    FOL_ASSERT_HOT(row + count <= table->rows);
    close_hole(world, table, row, count);
}

void fol_rows_drop_dead(const fol_table *from, const fol_table *to, size_t count)
{
    if (!from->has_owned) {
        return;
    }
    for (uint32_t i = 0; i < from->part_count; i++) {
        const fol_part *part = &from->parts[i];
        if (part->is_owned && (to == NULL || !fol_table_has(to, part->type))) {
            fol_part_drop(from, part, from->rows, count);
        }
    }
}
