/* The tables one bulk operation or one group of commands takes rows from and brings rows to.
 *
 * Counting first how many rows come to each table lets everything be reserved before anything
 * moves. The list runs through the tables themselves, so collecting it cannot fail.
 */
#ifndef FOL_WORLD_TOUCHED_H
#define FOL_WORLD_TOUCHED_H

#include "world/world.h"

typedef struct fol_touched {
    fol_table *first;
} fol_touched;

static inline void fol_touched_add(fol_touched *touched, fol_table *table)
{
    if (!table->is_touched) {
        table->is_touched = true;
        table->next_touched = touched->first;
        touched->first = table;
    }
}

/* Room for the rows that come to each table. -ENOMEM. */
static inline int fol_touched_reserve(fol_world *world, const fol_touched *touched)
{
    for (fol_table *table = touched->first; table != NULL; table = table->next_touched) {
        int status = fol_world_reserve_rows(world, table, table->incoming);
        if (status < 0) {
            return status;
        }
    }
    return 0;
}

static inline void fol_touched_clear(fol_touched *touched)
{
    while (touched->first != NULL) {
        fol_table *table = touched->first;
        touched->first = table->next_touched;
        table->is_touched = false;
        table->next_touched = NULL;
        table->target = NULL;
        table->leaving = 0;
        table->incoming = 0;
    }
}

#endif
