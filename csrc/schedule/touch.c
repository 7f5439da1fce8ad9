/* Merges of ascending lists; see touch.h. */

#include "schedule/touch.h"

/* The first index whose item, shifted, is at least `key`. */
static uint32_t lower_bound(const uint32_t *items, uint32_t count, unsigned shift, uint32_t key)
{
    uint32_t low = 0;
    uint32_t high = count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (items[middle] >> shift < key) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* The first id >= from in both lists, or FOL_NONE. */
static uint32_t first_common(const fol_catalog *catalog, fol_span a, fol_span b, unsigned shift,
                             uint32_t from)
{
    const uint32_t *a_ids = fol_catalog_ids(catalog, a);
    const uint32_t *b_ids = fol_catalog_ids(catalog, b);
    uint32_t i = lower_bound(a_ids, a.count, shift, from);
    uint32_t k = lower_bound(b_ids, b.count, shift, from);
    while (i < a.count && k < b.count) {
        uint32_t a_id = a_ids[i] >> shift;
        uint32_t b_id = b_ids[k] >> shift;
        if (a_id == b_id) {
            return a_id;
        }
        i += a_id < b_id;
        k += a_id > b_id;
    }
    return FOL_NONE;
}

/* Whether the query touches the resource, and if so whether it writes it. */
static bool find_touch(const fol_catalog *catalog, const fol_query_record *query, uint32_t resource,
                       bool *writes)
{
    const uint32_t *touches = fol_catalog_ids(catalog, query->touches);
    uint32_t i = lower_bound(touches, query->touches.count, 1, resource);
    if (i == query->touches.count || touches[i] >> 1 != resource) {
        return false;
    }
    *writes = touches[i] & 1u;
    return true;
}

uint32_t fol_touch_filter(const fol_catalog *catalog, const fol_query_record *requiring,
                          const fol_query_record *excluding)
{
    return first_common(catalog, requiring->required, excluding->excluded, 0, 0);
}

static bool may_meet(const fol_catalog *catalog, const fol_query_record *a,
                     const fol_query_record *b)
{
    return fol_touch_filter(catalog, a, b) == FOL_NONE &&
           fol_touch_filter(catalog, b, a) == FOL_NONE;
}

/* Adds what one pair of queries does to out->resource. */
static void judge_pair(const fol_catalog *catalog, const fol_query_record *a,
                       const fol_query_record *b, fol_shared *out)
{
    bool a_writes;
    bool b_writes;
    if (!find_touch(catalog, a, out->resource, &a_writes) ||
        !find_touch(catalog, b, out->resource, &b_writes) || (!a_writes && !b_writes)) {
        return;
    }
    if (may_meet(catalog, a, b)) {
        out->conflicts = true;
        out->a_writes |= a_writes;
        out->b_writes |= b_writes;
    } else if (!out->is_kept_apart) {
        out->is_kept_apart = true;
        out->a_query = a;
        out->b_query = b;
    }
}

bool fol_touch_next(const fol_catalog *catalog, uint32_t a, uint32_t b, uint32_t from,
                    fol_shared *out)
{
    const fol_system_record *first = fol_catalog_system(catalog, a);
    const fol_system_record *second = fol_catalog_system(catalog, b);
    uint32_t least = FOL_NONE;
    for (uint32_t i = 0; i <= first->query_count; i++) {
        for (uint32_t k = 0; k <= second->query_count; k++) {
            uint32_t id = first_common(catalog, fol_catalog_query(catalog, first, i)->touches,
                                       fol_catalog_query(catalog, second, k)->touches, 1, from);
            least = id < least ? id : least;
        }
    }
    if (least == FOL_NONE) {
        return false;
    }
    *out = (fol_shared){.resource = least};
    for (uint32_t i = 0; i <= first->query_count; i++) {
        for (uint32_t k = 0; k <= second->query_count; k++) {
            judge_pair(catalog, fol_catalog_query(catalog, first, i),
                       fol_catalog_query(catalog, second, k), out);
        }
    }
    return true;
}

bool fol_touch_conflicts(const fol_catalog *catalog, uint32_t a, uint32_t b)
{
    if (fol_catalog_system(catalog, a)->is_exclusive ||
        fol_catalog_system(catalog, b)->is_exclusive) {
        return true;
    }
    fol_shared shared;
    uint32_t from = 0;
    /* Bounded by the number of resources: `from` grows. */
    while (fol_touch_next(catalog, a, b, from, &shared)) {
        if (shared.conflicts) {
            return true;
        }
        from = shared.resource + 1;
    }
    return false;
}

bool fol_touch_writes_anything(const fol_catalog *catalog, uint32_t system)
{
    const fol_system_record *record = fol_catalog_system(catalog, system);
    for (uint32_t i = 0; i <= record->query_count; i++) {
        const fol_query_record *query = fol_catalog_query(catalog, record, i);
        const uint32_t *touches = fol_catalog_ids(catalog, query->touches);
        for (uint32_t k = 0; k < query->touches.count; k++) {
            if (touches[k] & 1u) {
                return true;
            }
        }
    }
    return false;
}
