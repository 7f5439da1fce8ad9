/* The inside of fol_schedule: a catalog and the ordering constraints in the order of adding. */
#ifndef FOL_SCHEDULE_SCHEDULE_STATE_H
#define FOL_SCHEDULE_SCHEDULE_STATE_H

#include "schedule/catalog.h"

/* A fol_node_ref in one word: id * 2, plus 1 for a set. */
typedef uint32_t fol_packed_ref;

typedef struct fol_order_pair {
    fol_packed_ref first;
    fol_packed_ref second;
} fol_order_pair;

struct fol_schedule {
    fol_schedule_limits limits;
    const char *full_setting;
    fol_catalog catalog;
    fol_order_pair *orders;
    size_t order_count;
    size_t order_room;
};

static inline bool fol_ref_is_set(fol_packed_ref ref)
{
    return ref & 1u;
}

static inline uint32_t fol_ref_id(fol_packed_ref ref)
{
    return ref >> 1;
}

#endif
