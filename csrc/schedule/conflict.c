/* Conflict rows by union, never pair by pair.
 *
 * The columns are units. Unit i below the number of systems stands for everything system i touches
 * without a filter that matters; every query whose filter matters is a unit of its own. For each
 * resource that somebody writes there are a row of the units that use it and a row of those that
 * write it; a unit's conflicts are the union of `writers` of what it reads and of `users` of what
 * it writes. Rows of the units that require and that exclude a resource are then taken away from
 * it, which is exactly the pairs of queries that match no common table. Folding units to systems
 * gives the matrix.
 */

#include "schedule/conflict.h"

#include <errno.h>
#include <string.h>

#include "base/memory.h"
#include "foliot/status.h"

/* Two rows of units for each resource that needs them. */
typedef struct row_pairs {
    uint32_t *slots; /* per resource, FOL_NONE when it has no rows */
    uint32_t count;
    uint64_t *rows;
} row_pairs;

typedef struct conflict_build {
    const fol_catalog *catalog;
    const uint32_t *systems;
    size_t system_count;
    size_t unit_count;
    size_t unit_words;
    row_pairs access;       /* users, then writers, of resources that somebody writes */
    row_pairs filters;      /* requirers, then excluders, of resources that somebody excludes */
    uint32_t *unit_systems; /* of the units after the systems' own */
    uint64_t *row;          /* the unit at hand */
} conflict_build;

static uint64_t *first_row(const conflict_build *b, const row_pairs *pairs, uint32_t resource)
{
    FOL_ASSERT_HOT(pairs->slots[resource] < pairs->count);
    return pairs->rows + 2 * b->unit_words * pairs->slots[resource];
}

static uint64_t *second_row(const conflict_build *b, const row_pairs *pairs, uint32_t resource)
{
    return first_row(b, pairs, resource) + b->unit_words;
}

static void want_rows(row_pairs *pairs, uint32_t resource)
{
    if (pairs->slots[resource] == FOL_NONE) {
        pairs->slots[resource] = pairs->count++;
    }
}

static const fol_system_record *system_of(const conflict_build *b, size_t row)
{
    return fol_catalog_system(b->catalog, b->systems[row]);
}

/* It excludes something, or requires what some query of the phase excludes. */
static bool filter_matters(const conflict_build *b, const fol_query_record *query)
{
    if (query->excluded.count > 0) {
        return true;
    }
    const uint32_t *required = fol_catalog_ids(b->catalog, query->required);
    for (uint32_t i = 0; b->filters.count > 0 && i < query->required.count; i++) {
        if (b->filters.slots[required[i]] != FOL_NONE) {
            return true;
        }
    }
    return false;
}

/* Deals slots to the resources that somebody writes and to those that somebody excludes. */
static int deal_slots(conflict_build *b)
{
    size_t resources = b->catalog->resources.count;
    b->access.slots = fol_alloc_array(resources, sizeof(uint32_t));
    b->filters.slots = fol_alloc_array(resources, sizeof(uint32_t));
    if (b->access.slots == NULL || b->filters.slots == NULL) {
        return -ENOMEM;
    }
    memset(b->access.slots, 0xff, resources * sizeof(uint32_t));
    memset(b->filters.slots, 0xff, resources * sizeof(uint32_t));
    for (size_t i = 0; i < b->system_count; i++) {
        const fol_system_record *system = system_of(b, i);
        for (uint32_t q = 0; q <= system->query_count; q++) {
            const fol_query_record *query = fol_catalog_query(b->catalog, system, q);
            const uint32_t *touches = fol_catalog_ids(b->catalog, query->touches);
            for (uint32_t k = 0; k < query->touches.count; k++) {
                if (touches[k] & 1u) {
                    want_rows(&b->access, touches[k] >> 1);
                }
            }
            const uint32_t *excluded = fol_catalog_ids(b->catalog, query->excluded);
            for (uint32_t k = 0; k < query->excluded.count; k++) {
                want_rows(&b->filters, excluded[k]);
            }
        }
    }
    return FOL_OK;
}

static int deal_units(conflict_build *b)
{
    size_t extra = 0;
    for (size_t i = 0; i < b->system_count; i++) {
        const fol_system_record *system = system_of(b, i);
        for (uint32_t q = 0; q <= system->query_count; q++) {
            extra += filter_matters(b, fol_catalog_query(b->catalog, system, q));
        }
    }
    b->unit_count = b->system_count + extra;
    b->unit_words = fol_bits_words(b->unit_count);
    b->unit_systems = fol_alloc_array(extra, sizeof(*b->unit_systems));
    b->row = fol_alloc_zeroed(b->unit_words, sizeof(*b->row));
    size_t pair_words = 2 * b->unit_words;
    b->access.rows = fol_alloc_zeroed(b->access.count * pair_words, sizeof(uint64_t));
    b->filters.rows = fol_alloc_zeroed(b->filters.count * pair_words, sizeof(uint64_t));
    bool has_memory = b->unit_systems != NULL && b->row != NULL && b->access.rows != NULL &&
                      b->filters.rows != NULL;
    return has_memory ? FOL_OK : -ENOMEM;
}

/* Enters a query of unit `unit` into the rows of resources. */
static void enter_query(conflict_build *b, const fol_query_record *query, size_t unit)
{
    const uint32_t *touches = fol_catalog_ids(b->catalog, query->touches);
    for (uint32_t k = 0; k < query->touches.count; k++) {
        uint32_t resource = touches[k] >> 1;
        if (b->access.slots[resource] != FOL_NONE) {
            fol_bits_set(first_row(b, &b->access, resource), unit);
            if (touches[k] & 1u) {
                fol_bits_set(second_row(b, &b->access, resource), unit);
            }
        }
    }
    if (unit < b->system_count) {
        return;
    }
    const uint32_t *required = fol_catalog_ids(b->catalog, query->required);
    for (uint32_t k = 0; k < query->required.count; k++) {
        if (b->filters.slots[required[k]] != FOL_NONE) {
            fol_bits_set(first_row(b, &b->filters, required[k]), unit);
        }
    }
    const uint32_t *excluded = fol_catalog_ids(b->catalog, query->excluded);
    for (uint32_t k = 0; k < query->excluded.count; k++) {
        fol_bits_set(second_row(b, &b->filters, excluded[k]), unit);
    }
}

static void enter_systems(conflict_build *b)
{
    size_t next_unit = b->system_count;
    for (size_t i = 0; i < b->system_count; i++) {
        const fol_system_record *system = system_of(b, i);
        for (uint32_t q = 0; q <= system->query_count; q++) {
            const fol_query_record *query = fol_catalog_query(b->catalog, system, q);
            size_t unit = i;
            if (filter_matters(b, query)) {
                unit = next_unit++;
                b->unit_systems[unit - b->system_count] = (uint32_t)i;
            }
            enter_query(b, query, unit);
        }
    }
    FOL_ASSERT(next_unit == b->unit_count);
}

/* Units that write what the query reads or touch what it writes. */
static void gather_touches(const conflict_build *b, const fol_query_record *query, uint64_t *row)
{
    const uint32_t *touches = fol_catalog_ids(b->catalog, query->touches);
    for (uint32_t k = 0; k < query->touches.count; k++) {
        uint32_t resource = touches[k] >> 1;
        if (b->access.slots[resource] != FOL_NONE) {
            const uint64_t *from = touches[k] & 1u ? first_row(b, &b->access, resource)
                                                   : second_row(b, &b->access, resource);
            fol_bits_or(row, from, b->unit_words);
        }
    }
}

/* Takes away units that never match a table of this query. */
static void take_filtered(const conflict_build *b, const fol_query_record *query, uint64_t *row)
{
    const uint32_t *required = fol_catalog_ids(b->catalog, query->required);
    for (uint32_t k = 0; k < query->required.count; k++) {
        if (b->filters.slots[required[k]] != FOL_NONE) {
            fol_bits_and_not(row, second_row(b, &b->filters, required[k]), b->unit_words);
        }
    }
    const uint32_t *excluded = fol_catalog_ids(b->catalog, query->excluded);
    for (uint32_t k = 0; k < query->excluded.count; k++) {
        fol_bits_and_not(row, first_row(b, &b->filters, excluded[k]), b->unit_words);
    }
}

/* Adds a row of units to a row of systems. */
static void fold_units(const conflict_build *b, const uint64_t *units, uint64_t *out)
{
    size_t words = b->system_count / FOL_WORD_BITS;
    fol_bits_or(out, units, words);
    for (size_t i = words; i < b->unit_words; i++) {
        /* At most 64 rounds: each takes one bit. */
        for (uint64_t rest = units[i]; rest != 0; rest &= rest - 1) {
            size_t unit = i * FOL_WORD_BITS + (size_t)__builtin_ctzll(rest);
            fol_bits_set(out,
                         unit < b->system_count ? unit : b->unit_systems[unit - b->system_count]);
        }
    }
}

static void gather_system(const conflict_build *b, size_t index, uint64_t *out)
{
    const fol_system_record *system = system_of(b, index);
    fol_bits_clear(b->row, b->unit_words);
    for (uint32_t q = 0; q <= system->query_count; q++) {
        const fol_query_record *query = fol_catalog_query(b->catalog, system, q);
        if (!filter_matters(b, query)) {
            gather_touches(b, query, b->row);
        }
    }
    fold_units(b, b->row, out);
    for (uint32_t q = 0; q <= system->query_count; q++) {
        const fol_query_record *query = fol_catalog_query(b->catalog, system, q);
        if (filter_matters(b, query)) {
            fol_bits_clear(b->row, b->unit_words);
            gather_touches(b, query, b->row);
            take_filtered(b, query, b->row);
            fold_units(b, b->row, out);
        }
    }
    fol_bits_reset(out, index);
}

static void add_exclusive(const conflict_build *b, fol_matrix *out)
{
    for (size_t i = 0; i < b->system_count; i++) {
        if (!system_of(b, i)->is_exclusive) {
            continue;
        }
        for (size_t k = 0; k < b->system_count; k++) {
            if (k != i) {
                fol_bits_set(fol_matrix_row(out, i), k);
                fol_bits_set(fol_matrix_row(out, k), i);
            }
        }
    }
}

int fol_conflicts_build(const fol_catalog *catalog, const uint32_t *systems, fol_matrix *out)
{
    conflict_build b = {.catalog = catalog, .systems = systems, .system_count = out->size};
    int status = deal_slots(&b);
    if (status == FOL_OK) {
        status = deal_units(&b);
    }
    if (status == FOL_OK) {
        enter_systems(&b);
        for (size_t i = 0; i < b.system_count; i++) {
            gather_system(&b, i, fol_matrix_row(out, i));
        }
        add_exclusive(&b, out);
    }
    fol_free(b.access.slots);
    fol_free(b.access.rows);
    fol_free(b.filters.slots);
    fol_free(b.filters.rows);
    fol_free(b.unit_systems);
    fol_free(b.row);
    return status;
}
