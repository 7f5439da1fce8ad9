/* Going over the runs of a query, and marking what changed. */

#include <errno.h>
#include <string.h>

#include "world/query.h"
#include "world/ticks.h"

int fol_query_begin(fol_query *query, uint64_t since, size_t max_rows, fol_query_iterator *out)
{
    if (FOL_UNLIKELY(query->seen_version != query->world->structure_version)) {
        int status = fol_query_refresh(query);
        if (status < 0) {
            return status;
        }
    }
    if (FOL_UNLIKELY(query->missing != NULL)) {
        return FOL_E_MISSING;
    }
    out->query = query;
    out->since = since;
    out->match = 0;
    out->end_match = UINT32_MAX;
    out->plain_end = query->filter_count == 0 ? UINT32_MAX : 0;
    out->row = 0;
    out->max_rows = max_rows;
    return 0;
}

/* Whether one row passes all filters. */
static bool is_row_new(const fol_query *query, const fol_match *match, size_t row, uint64_t since)
{
    for (uint32_t i = 0; i < query->filter_count; i++) {
        const fol_part *part = match->parts[i];
        uint64_t tick = i < query->changed_count ? fol_part_changed_at(part, row)
                                                 : fol_part_added_at(part, row);
        if (tick <= since) {
            return false;
        }
    }
    return true;
}

/* Whether no row of the table can pass (*out_none), or every one must (*out_all). */
static void judge_table(const fol_query *query, const fol_match *match, uint64_t since,
                        bool *out_none, bool *out_all)
{
    bool none = false;
    bool all = true;
    for (uint32_t i = 0; i < query->filter_count; i++) {
        const fol_part *part = match->parts[i];
        bool is_changed = i < query->changed_count;
        uint64_t latest = is_changed ? fol_part_latest_changed(part) : fol_part_latest_added(part);
        uint64_t whole = is_changed ? fol_part_all_changed(part) : part->all_added;
        none = none || latest <= since;
        all = all && whole > since;
    }
    *out_none = none;
    *out_all = all;
}

/* The next stretch of rows that pass the filters in [*row, *end); false when there is none. */
static bool find_stretch(const fol_query *query, const fol_match *match, uint64_t since,
                         size_t *row, size_t *end)
{
    size_t rows = *end;
    bool none;
    bool all;
    judge_table(query, match, since, &none, &all);
    if (none) {
        return false;
    }
    if (all) {
        return true;
    }
    size_t first = *row;
    while (first < rows && !is_row_new(query, match, first, since)) {
        first++;
    }
    if (first == rows) {
        return false;
    }
    size_t last = first + 1;
    while (last < rows && is_row_new(query, match, last, since)) {
        last++;
    }
    *row = first;
    *end = last;
    return true;
}

/* Columns of a run that starts inside its table. */
static void *const *offset_columns(fol_query_iterator *iterator, const fol_match *match, size_t row)
{
    const fol_query *query = iterator->query;
    for (uint32_t i = 0; i < query->column_count; i++) {
        iterator->columns[i] = (uint8_t *)match->columns[i] + row * query->columns[i].size;
    }
    return iterator->columns;
}

/* One run of a table whose rows from iterator->row on are not given yet; false when none is left.
 */
static bool next_in_table(fol_query_iterator *iterator, fol_match *match, fol_run *out)
{
    const fol_query *query = iterator->query;
    const fol_table *table = match->table;
    size_t row = iterator->row;
    size_t end = table->rows;
    if (FOL_UNLIKELY(iterator->match >= iterator->end_match)) {
        size_t range_end = iterator->match > iterator->end_match ? 0 : iterator->end_row;
        end = end < range_end ? end : range_end;
    }
    if (row >= end) {
        return false;
    }
    if (query->filter_count != 0 && !find_stretch(query, match, iterator->since, &row, &end)) {
        return false;
    }
    if (iterator->max_rows != 0 && end - row > iterator->max_rows) {
        end = row + iterator->max_rows;
    }
    out->match = iterator->match;
    out->version = table->version;
    out->first = row;
    out->rows = end - row;
    out->table_rows = table->rows;
    out->entities = table->entities + row;
    out->columns = row == 0 ? match->columns : offset_columns(iterator, match, row);
    iterator->row = end;
    return true;
}

bool fol_query_next(fol_query_iterator *iterator, fol_run *out)
{
    const fol_query *query = iterator->query;
    size_t max_rows = iterator->max_rows == 0 ? SIZE_MAX : iterator->max_rows;
    while (iterator->match < query->match_count) {
        fol_match *match = &query->matches[iterator->match];
        const fol_table *table = match->table;
        if (FOL_UNLIKELY(match->version != table->version)) {
            fol_match_refresh(query, match);
        }
        size_t rows = table->rows;
        bool is_plain = iterator->match < iterator->plain_end;
        if (FOL_LIKELY(is_plain && rows <= max_rows && iterator->row == 0)) {
            if (rows != 0) {
                out->match = iterator->match++;
                out->version = match->version;
                out->first = 0;
                out->rows = rows;
                out->table_rows = rows;
                out->entities = table->entities;
                out->columns = match->columns;
                return true;
            }
        } else if (next_in_table(iterator, match, out)) {
            return true;
        } else if (FOL_UNLIKELY(iterator->match >= iterator->end_match)) {
            return false;
        }
        iterator->match++;
        iterator->row = 0;
    }
    return false;
}

/* Marks the run's rows of one component. */
static void mark_type(const fol_query *query, const fol_run *run, uint32_t type, uint64_t tick)
{
    fol_type *known = &query->world->types[type];
    if (known->component->is_resource) {
        fol_tick_raise(&known->resource_tick, tick);
        return;
    }
    if (!known->is_watched) {
        return;
    }
    const fol_table *table = query->matches[run->match].table;
    fol_part *part = fol_table_part(table, type);
    if (run->first == 0 && run->rows == table->rows) {
        fol_tick_raise(&part->all_changed, tick);
        fol_tick_raise(&part->latest_changed, tick);
    } else {
        fol_part_touch(part, run->first, run->rows, tick);
    }
}

void fol_query_mark(fol_query *query, const fol_run *run, const fol_component *component,
                    uint64_t tick)
{
    FOL_ASSERT_HOT(run->match < query->match_count);
    for (uint32_t i = 0; i < query->written_count; i++) {
        uint32_t type = query->written[i];
        if (component == NULL || query->world->types[type].component == component) {
            mark_type(query, run, type, tick);
        }
    }
}

bool fol_query_needs_marks(const fol_query *query)
{
    for (uint32_t i = 0; i < query->written_count; i++) {
        const fol_type *type = &query->world->types[query->written[i]];
        if (type->is_watched || type->component->is_resource) {
            return true;
        }
    }
    return false;
}

fol_block *fol_query_block(const fol_query *query, const fol_run *run)
{
    FOL_ASSERT(run->match < query->match_count);
    const fol_table *table = query->matches[run->match].table;
    FOL_ASSERT(table->version == run->version);
    return table->block;
}
