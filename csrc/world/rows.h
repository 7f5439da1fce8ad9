/* Rows as they come, move between tables and go.
 *
 * None of these allocates or calls the host: room is reserved before, and what a row leaves behind
 * is dropped after. A removed row of owned cells is swapped behind the table's end; until the table
 * gets new rows, fol_rows_drop_dead finds the cells there. So the host, whose drops may look at the
 * world, always finds every row whole.
 */
#ifndef FOL_WORLD_ROWS_H
#define FOL_WORLD_ROWS_H

#include "world/world.h"

/* `count` entities that have slots but no rows get the next rows of a table; returns the first. The
 * ids may stand where they go.
 * Plain cells hold nothing yet; owned cells are empty; ticks say now. */
size_t fol_rows_append(fol_world *world, fol_table *table, const fol_entity *entities,
                       size_t count);

size_t fol_rows_append_one(fol_world *world, fol_table *table, fol_entity entity);

/* Moves rows to another table, with the components both have; returns the first new row. The rest
 * of the new rows is as after fol_rows_append. */
size_t fol_rows_move(fol_world *world, fol_table *from, size_t row, size_t count, fol_table *to);
size_t fol_rows_move_one(fol_world *world, fol_table *from, size_t row, fol_table *to);

/* Takes rows out; their entities keep their slots, which then point nowhere useful. */
void fol_rows_remove(fol_world *world, fol_table *table, size_t row, size_t count);

/* Drops what the last move or removal of `count` rows left in `from`: the owned cells of components
 * that `to` lacks (NULL: all). */
void fol_rows_drop_dead(const fol_table *from, const fol_table *to, size_t count);

/* Copies elements of one size, inline for the usual sizes of one. */
static inline void fol_copy_elements(void *to, const void *from, size_t size, size_t count)
{
    if (count != 1) {
        memcpy(to, from, size * count);
        return;
    }
    switch (size) {
    case 1:
        memcpy(to, from, 1);
        break;
    case 2:
        memcpy(to, from, 2);
        break;
    case 4:
        memcpy(to, from, 4);
        break;
    case 8:
        memcpy(to, from, 8);
        break;
    case 12:
        memcpy(to, from, 12);
        break;
    case 16:
        memcpy(to, from, 16);
        break;
    default:
        memcpy(to, from, size);
        break;
    }
}

#endif
