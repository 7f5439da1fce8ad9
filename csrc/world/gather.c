/* Joining the rows of small tables into one set of columns, and copying back what was written.
 *
 * Invariant: the joined rows stand in the order of the sources, which are the runs they came from.
 * Columns of resources are not copied: their address is the same for every run.
 */

#include <errno.h>
#include <string.h>

#include "base/memory.h"
#include "world/block.h"
#include "world/query.h"

#define MAX_GATHER_ROWS ((size_t)1 << 24)

/* A run whose rows are joined. */
typedef struct fol_source_run {
    fol_run run;
    size_t offset; /* of its first row among the joined ones */
} fol_source_run;

struct fol_gather {
    fol_query *query;
    size_t max_rows;
    uint32_t written_columns; /* the first ones of the query */
    fol_block *block;
    void **columns;
    fol_entity *entities;
    fol_source_run *sources;
    size_t source_count;
    size_t source_room;
    size_t rows;
    fol_run waiting; /* fetched, but it did not fit */
    bool has_waiting;
    bool is_in_place; /* the last rows given are `sources[0]` itself */
};

static bool query_is_plain(const fol_query *query)
{
    for (size_t i = 0; i < query->term_count; i++) {
        fol_storage storage = fol_component_storage(query->terms[i].component);
        if (query->terms[i].kind <= FOL_TERM_READ && storage != FOL_STORAGE_PLAIN) {
            return false;
        }
    }
    return true;
}

static uint32_t count_written_columns(const fol_query *query)
{
    uint32_t count = 0;
    for (size_t i = 0; i < query->term_count; i++) {
        if (query->terms[i].kind == FOL_TERM_WRITE) {
            count += fol_component_field_count(query->terms[i].component);
        }
    }
    return count;
}

/* Lays the columns out in a block of the gather's own. */
static int make_columns(fol_gather *gather)
{
    const fol_query *query = gather->query;
    size_t size = fol_block_start();
    size_t entities = fol_block_place(&size, gather->max_rows, sizeof(fol_entity));
    for (uint32_t i = 0; i < query->column_count; i++) {
        (void)fol_block_place(&size, gather->max_rows, query->columns[i].size);
    }
    gather->block = fol_block_create(size);
    gather->columns = fol_alloc_array(query->column_count, sizeof(*gather->columns));
    if (gather->block == NULL || gather->columns == NULL) {
        return -ENOMEM;
    }
    gather->entities = (fol_entity *)fol_block_at(gather->block, entities);
    size = fol_block_start();
    (void)fol_block_place(&size, gather->max_rows, sizeof(fol_entity));
    for (uint32_t i = 0; i < query->column_count; i++) {
        size_t offset = fol_block_place(&size, gather->max_rows, query->columns[i].size);
        gather->columns[i] = fol_block_at(gather->block, offset);
    }
    return FOL_OK;
}

int fol_gather_create(fol_query *query, size_t max_rows, fol_gather **out)
{
    if (max_rows == 0 || max_rows > MAX_GATHER_ROWS || !query_is_plain(query)) {
        return FOL_E_VALUE;
    }
    fol_gather *gather = fol_alloc_zeroed(1, sizeof(*gather));
    if (gather == NULL) {
        return -ENOMEM;
    }
    gather->query = query;
    gather->max_rows = max_rows;
    gather->written_columns = count_written_columns(query);
    int status = make_columns(gather);
    if (status != FOL_OK) {
        fol_gather_destroy(gather);
        return status;
    }
    *out = gather;
    return FOL_OK;
}

void fol_gather_destroy(fol_gather *gather)
{
    if (gather == NULL) {
        return;
    }
    if (gather->block != NULL) {
        fol_block_release(gather->block);
    }
    fol_free(gather->columns);
    fol_free(gather->sources);
    fol_free(gather);
}

void fol_gather_begin(fol_gather *gather)
{
    gather->source_count = 0;
    gather->rows = 0;
    gather->has_waiting = false;
    gather->is_in_place = false;
}

static int make_source_room(fol_gather *gather)
{
    if (gather->source_count < gather->source_room) {
        return FOL_OK;
    }
    size_t room = gather->source_room == 0 ? 32 : gather->source_room * 2;
    fol_source_run *grown = fol_realloc_array(gather->sources, room, sizeof(*gather->sources));
    if (grown == NULL) {
        return -ENOMEM;
    }
    gather->sources = grown;
    gather->source_room = room;
    return FOL_OK;
}

/* Where a column of a run starts in its table; a run's own pointers do not outlive the next run. */
static uint8_t *source_column(const fol_query *query, const fol_run *run, uint32_t column)
{
    FOL_ASSERT_HOT(run->match < query->match_count && column < query->column_count);
    uint8_t *start = query->matches[run->match].columns[column];
    return start + run->first * query->columns[column].size;
}

static void copy_in(fol_gather *gather, const fol_run *run)
{
    const fol_query *query = gather->query;
    size_t offset = gather->rows;
    memcpy(gather->entities + offset, run->entities, run->rows * sizeof(*run->entities));
    for (uint32_t i = 0; i < query->column_count; i++) {
        size_t size = query->columns[i].size;
        if (query->columns[i].is_resource) {
            gather->columns[i] = query->matches[run->match].columns[i];
        } else if (size != 0) {
            memcpy((uint8_t *)gather->columns[i] + offset * size, source_column(query, run, i),
                   run->rows * size);
        }
    }
    gather->rows += run->rows;
    FOL_ASSERT(gather->rows <= gather->max_rows);
}

static bool take_run(fol_gather *gather, fol_query_iterator *iterator)
{
    if (!gather->has_waiting) {
        gather->has_waiting = fol_query_next(iterator, &gather->waiting);
    }
    return gather->has_waiting;
}

static void fill_joined(const fol_gather *gather, fol_run *out)
{
    *out = (fol_run){.match = UINT32_MAX,
                     .first = 0,
                     .rows = gather->rows,
                     .table_rows = gather->rows,
                     .entities = gather->entities,
                     .columns = gather->columns};
}

int fol_gather_next(fol_gather *gather, fol_query_iterator *iterator, fol_run *out, bool *joined)
{
    gather->source_count = 0;
    gather->rows = 0;
    gather->is_in_place = false;
    /* Bounded by max_rows: every run has a row. */
    while (take_run(gather, iterator)) {
        const fol_run *run = &gather->waiting;
        bool is_long = run->rows > gather->max_rows;
        if (gather->rows > 0 && (is_long || run->rows > gather->max_rows - gather->rows)) {
            break;
        }
        int status = make_source_room(gather);
        if (status != FOL_OK) {
            return status;
        }
        gather->sources[gather->source_count] =
            (fol_source_run){.run = *run, .offset = gather->rows};
        gather->source_count++;
        gather->has_waiting = false;
        if (is_long) {
            gather->is_in_place = true;
            *joined = false;
            *out = *run;
            return 1;
        }
        copy_in(gather, run);
    }
    if (gather->rows == 0) {
        return 0;
    }
    *joined = true;
    fill_joined(gather, out);
    return 1;
}

static void copy_back(const fol_gather *gather, const fol_source_run *source)
{
    const fol_query *query = gather->query;
    for (uint32_t i = 0; i < gather->written_columns; i++) {
        size_t size = query->columns[i].size;
        if (!query->columns[i].is_resource && size != 0) {
            memcpy(source_column(query, &source->run, i),
                   (const uint8_t *)gather->columns[i] + source->offset * size,
                   source->run.rows * size);
        }
    }
}

void fol_gather_commit(fol_gather *gather, uint64_t tick)
{
    FOL_ASSERT(!gather->is_in_place || gather->source_count <= 1);
    for (size_t i = 0; i < gather->source_count; i++) {
        if (!gather->is_in_place) {
            copy_back(gather, &gather->sources[i]);
        }
        fol_query_mark(gather->query, &gather->sources[i].run, NULL, tick);
    }
    gather->source_count = 0;
    gather->rows = 0;
}

fol_block *fol_gather_block(const fol_gather *gather)
{
    FOL_ASSERT(gather->block != NULL);
    return gather->is_in_place ? fol_query_block(gather->query, &gather->sources[0].run)
                               : gather->block;
}
