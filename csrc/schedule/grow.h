/* Growth of plain arrays by doubling, so that adding n items costs O(n).
 *
 * The caller keeps the pointer, the count and the room; a failed growth leaves all three as they
 * were.
 */
#ifndef FOL_SCHEDULE_GROW_H
#define FOL_SCHEDULE_GROW_H

#include <stddef.h>

#include "base/memory.h"

/* The array with room for at least `needed` items, maybe moved; NULL when memory is refused. */
static inline void *fol_grow(void *items, size_t *room, size_t needed, size_t item_size)
{
    if (items != NULL && needed <= *room) {
        return items;
    }
    size_t wanted = *room < 8 ? 8 : *room * 2;
    wanted = wanted < needed ? needed : wanted;
    void *grown = fol_realloc_array(items, wanted, item_size);
    if (grown != NULL) {
        *room = wanted;
    }
    return grown;
}

#endif
