/* Copies of what a caller took from the very tables that a bulk operation changes.
 *
 * Ids and sources may point into the world's columns, as those of a query's run do. Such input is
 * copied before anything moves; all other input is used where it is.
 */
#ifndef FOL_WORLD_BULK_DETACH_H
#define FOL_WORLD_BULK_DETACH_H

#include "world/bulk.h"
#include "world/touched.h"

typedef struct fol_detached {
    void *memory; /* NULL: nothing had to be copied */
    const fol_entity *ids;
    const fol_bulk *bulks;
} fol_detached;

/* `count` ids (or NULL) and elements. -ENOMEM. */
int fol_bulk_detach(const fol_touched *touched, const fol_entity *ids, const fol_bulk *bulks,
                    size_t bulk_count, size_t count, fol_detached *out);
void fol_bulk_forget(fol_detached *detached);

#endif
