/* Ranges of a query's rows, which workers take a piece each of.
 *
 * Rows are counted through the matches in order. Where each match starts is remembered as long as
 * no row of the world comes, moves or goes, so that many cuts among many tables cost a search each,
 * not a walk. The first thread that needs the starts makes them; threads that come meanwhile walk.
 */

#include "world/query.h"

/* A cut inside a table stands at a multiple of this: so many elements of four bytes fill a cache
 * line. Columns of smaller ones may share one at a cut, which costs a little and harms nothing. */
#define CUT_ROWS 16u

/* So few matches are walked at no more cost than the search. */
#define WALKED_MATCHES 16u

void fol_query_forget_starts(fol_query *query)
{
    atomic_store_explicit(&query->starts_version, 0, memory_order_relaxed);
}

static bool starts_are_known(const fol_query *query)
{
    /* Pairs with the release in make_starts: who sees the version sees the starts. */
    return atomic_load_explicit(&query->starts_version, memory_order_acquire) ==
           fol_world_row_version(query->world);
}

/* Makes the starts, unless another thread is at it. Readers of the old ones are done: rows changed
 * since, and nobody goes over a query meanwhile. */
static bool make_starts(fol_query *query)
{
    /* Pairs with the release below: two threads never write at once. */
    if (atomic_exchange_explicit(&query->starts_are_made, true, memory_order_acquire)) {
        return false;
    }
    if (!starts_are_known(query)) {
        uint64_t start = 0;
        for (uint32_t i = 0; i < query->match_count; i++) {
            query->starts[i] = start;
            start += query->matches[i].table->rows;
        }
        query->row_count = start;
        /* Pairs with the acquire in starts_are_known. */
        atomic_store_explicit(&query->starts_version, fol_world_row_version(query->world),
                              memory_order_release);
    }
    /* Pairs with the acquire of the exchange. */
    atomic_store_explicit(&query->starts_are_made, false, memory_order_release);
    return true;
}

/* The last match that starts at or before a row, which is less than all rows; *out_start is where
 * it starts. Matches without rows are passed over: they start where the next one does. */
static uint32_t search_match(const fol_query *query, uint64_t row, uint64_t *out_start)
{
    uint32_t low = 0;
    uint32_t high = query->match_count;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (query->starts[middle] <= row) {
            low = middle;
        } else {
            high = middle;
        }
    }
    *out_start = query->starts[low];
    return low;
}

static uint32_t walk_to_match(const fol_query *query, uint64_t row, uint64_t *out_start)
{
    uint64_t start = 0;
    uint32_t match = 0;
    while (match < query->match_count && row - start >= query->matches[match].table->rows) {
        start += query->matches[match].table->rows;
        match++;
    }
    *out_start = start;
    return match;
}

/* The match and the row in it where a cut stands: the first row that lies behind. */
static void place_cut(fol_query *query, uint64_t row, bool is_searched, uint32_t *out_match,
                      size_t *out_row)
{
    uint64_t start;
    uint32_t match;
    if (is_searched && row >= query->row_count) {
        *out_match = query->match_count;
        *out_row = 0;
        return;
    }
    match = is_searched ? search_match(query, row, &start) : walk_to_match(query, row, &start);
    *out_match = match;
    *out_row = 0;
    if (match < query->match_count) {
        size_t inside = (size_t)(row - start);
        size_t aligned = (inside + CUT_ROWS - 1) / CUT_ROWS * CUT_ROWS;
        bool is_behind = aligned >= query->matches[match].table->rows;
        *out_match = is_behind ? match + 1 : match;
        *out_row = is_behind ? 0 : aligned;
    }
}

uint64_t fol_query_row_count(const fol_query *query)
{
    uint64_t rows = 0;
    if (query->match_count > WALKED_MATCHES && starts_are_known(query)) {
        return query->row_count;
    }
    for (uint32_t i = 0; i < query->match_count; i++) {
        rows += query->matches[i].table->rows;
    }
    return rows;
}

int fol_query_begin_range(fol_query *query, uint64_t since, size_t max_rows, uint64_t first,
                          uint64_t end, fol_query_iterator *out)
{
    int status = fol_query_begin(query, since, max_rows, out);
    if (status < 0) {
        return status;
    }
    bool is_searched =
        query->match_count > WALKED_MATCHES && (starts_are_known(query) || make_starts(query));
    place_cut(query, first, is_searched, &out->match, &out->row);
    place_cut(query, end, is_searched, &out->end_match, &out->end_row);
    out->plain_end = out->plain_end == 0 ? 0 : out->end_match;
    return 0;
}
