/* What the bulk operations share: the components of a request, prepared Bytes, and runs of ids. */
#ifndef FOL_WORLD_BULK_H
#define FOL_WORLD_BULK_H

#include "world/graph.h"

typedef struct fol_bulk_request {
    const fol_bulk *bulks;
    size_t bulk_count;
    size_t entity_count;
    uint32_t bytes_count; /* bulks of Bytes */
    fol_bytes *prepared;  /* entity_count copies for each of them, or NULL */
    uint16_t types[FOL_MAX_TYPES];
    fol_set set;
} fol_bulk_request;

/* FOL_E_VALUE for NULL, a resource, or a component named twice. */
int fol_bulk_resolve(fol_world *world, const fol_bulk *bulks, size_t bulk_count,
                     size_t entity_count, fol_bulk_request *out);

/* Copies all Bytes. -ENOMEM. */
int fol_bulk_prepare(fol_bulk_request *request);

/* Writes elements [first, first + count) over rows that have all the components. Each element may
 * be written once. */
void fol_bulk_write(fol_world *world, fol_table *table, size_t row, const fol_bulk_request *request,
                    size_t first, size_t count);

/* Frees the scratch of fol_bulk_prepare; the copies in it are in cells by now. */
void fol_bulk_end(fol_bulk_request *request);

/* How many ids, at least one, stand as in the rows of a table from `row` on. */
size_t fol_bulk_follow(const fol_table *table, size_t row, const fol_entity *ids, size_t count);

#endif
