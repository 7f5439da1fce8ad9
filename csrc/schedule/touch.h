/* What two systems touch in common, pair of queries by pair of queries: for answers about one pair.
 */
#ifndef FOL_SCHEDULE_TOUCH_H
#define FOL_SCHEDULE_TOUCH_H

#include "schedule/catalog.h"

/* One resource that both touch. When nobody writes it, the three flags are false. */
typedef struct fol_shared {
    uint32_t resource;
    bool conflicts; /* somebody writes, and both may be at the same table */
    bool a_writes;  /* in a pair of queries that conflicts */
    bool b_writes;
    bool is_kept_apart; /* somebody writes, in queries that never match the same table */
    const fol_query_record *a_query; /* the first two that are kept apart */
    const fol_query_record *b_query;
} fol_shared;

/* The least resource from `from` on that both systems touch; false when there is none. */
bool fol_touch_next(const fol_catalog *catalog, uint32_t a, uint32_t b, uint32_t from,
                    fol_shared *out);

/* One writes what the other touches, or one is exclusive. */
bool fol_touch_conflicts(const fol_catalog *catalog, uint32_t a, uint32_t b);

bool fol_touch_writes_anything(const fol_catalog *catalog, uint32_t system);

/* The first id that `requiring` requires and `excluding` excludes, or FOL_NONE. */
uint32_t fol_touch_filter(const fol_catalog *catalog, const fol_query_record *requiring,
                          const fol_query_record *excluding);

#endif
