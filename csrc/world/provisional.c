/* Sheets of provisional ids; see provisional.h. */

#include "world/provisional.h"

#include <errno.h>
#include <string.h>

#include "base/memory.h"

#define SHEET_BYTES     ((size_t)FOL_SHEET_IDS * sizeof(fol_entity))
#define DIRECTORY_BYTES ((FOL_SHEETS + 1) * sizeof(_Atomic(fol_entity *)))

int fol_id_directory_ensure(fol_id_directory *directory)
{
    if (directory->cells == NULL) {
        directory->cells = fol_reserve(DIRECTORY_BYTES);
    }
    return directory->cells == NULL ? -ENOMEM : 0;
}

void fol_id_directory_deinit(fol_id_directory *directory)
{
    fol_unreserve(directory->cells, DIRECTORY_BYTES);
    directory->cells = NULL;
}

static void disclaim(fol_id_directory *directory, uint32_t first, uint32_t sheets)
{
    for (uint32_t i = 0; i < sheets; i++) {
        atomic_store_explicit(&directory->cells[first + i], NULL, memory_order_relaxed);
    }
}

/* Claims sheets [first, first + sheets) for cells, or none of them. */
static bool claim(fol_id_directory *directory, uint32_t first, uint32_t sheets, fol_entity *cells)
{
    for (uint32_t i = 0; i < sheets; i++) {
        fol_entity *expected = NULL;
        /* Release pairs with the acquire in fol_ids_find. */
        if (!atomic_compare_exchange_strong_explicit(&directory->cells[first + i], &expected,
                                                     cells + (size_t)i * FOL_SHEET_IDS,
                                                     memory_order_release, memory_order_relaxed)) {
            disclaim(directory, first, i);
            return false;
        }
    }
    return true;
}

/* Sheets side by side that nobody has, tried from the next on, each place once. */
static bool claim_any(fol_id_directory *directory, uint32_t sheets, fol_entity *cells,
                      uint32_t *out)
{
    for (uint32_t tries = 0; tries < FOL_SHEETS && sheets <= FOL_SHEETS; tries++) {
        uint32_t first =
            atomic_fetch_add_explicit(&directory->next, 1, memory_order_relaxed) % FOL_SHEETS;
        if (first + sheets <= FOL_SHEETS && claim(directory, first, sheets, cells)) {
            /* Others begin behind them; where they do not, they find them taken. */
            atomic_fetch_add_explicit(&directory->next, sheets - 1, memory_order_relaxed);
            *out = first;
            return true;
        }
    }
    return false;
}

static int open_span(fol_id_directory *directory, uint32_t sheets, fol_id_span *out)
{
    fol_entity *cells = fol_reserve(sheets * SHEET_BYTES);
    if (cells == NULL) {
        return -ENOMEM;
    }
    if (!claim_any(directory, sheets, cells, &out->first_sheet)) {
        fol_unreserve(cells, sheets * SHEET_BYTES);
        return -ENOMEM;
    }
    out->cells = cells;
    out->sheets = sheets;
    return 0;
}

static void close_span(fol_id_directory *directory, const fol_id_span *span)
{
    if (span->cells != NULL) {
        if (directory != NULL) {
            disclaim(directory, span->first_sheet, span->sheets);
        }
        fol_unreserve(span->cells, span->sheets * SHEET_BYTES);
    }
}

static void use_span(fol_ids *ids, const fol_id_span *span)
{
    ids->current = *span;
    ids->next = span->first_sheet * FOL_SHEET_IDS;
    ids->used_from = ids->next;
    ids->end = ids->next + span->sheets * FOL_SHEET_IDS;
}

int fol_ids_init(fol_ids *ids, fol_id_directory *directory)
{
    fol_id_span span;
    int status = open_span(directory, 1, &span);
    if (status == 0) {
        use_span(ids, &span);
    }
    return status;
}

void fol_ids_deinit(fol_ids *ids, fol_id_directory *directory)
{
    for (uint32_t i = 0; i < ids->span_count; i++) {
        close_span(directory, &ids->spans[i]);
    }
    close_span(directory, &ids->current);
    fol_free(ids->spans);
    *ids = (fol_ids){.next = 0};
}

static uint32_t sheets_for(uint32_t count)
{
    return count / FOL_SHEET_IDS + (count % FOL_SHEET_IDS != 0);
}

int fol_ids_reserve(fol_ids *ids, fol_id_directory *directory, uint32_t count)
{
    fol_id_span span;
    if (count <= ids->end - ids->next) {
        return 0;
    }
    if (ids->span_count == ids->span_capacity) {
        uint32_t capacity = 2 * ids->span_capacity + 4;
        fol_id_span *spans = fol_realloc_array(ids->spans, capacity, sizeof(*spans));
        if (spans == NULL) {
            return -ENOMEM;
        }
        ids->spans = spans;
        ids->span_capacity = capacity;
    }
    uint32_t sheets = sheets_for(count);
    uint32_t doubled = 2 * ids->current.sheets;
    sheets = sheets > doubled ? sheets : doubled < FOL_SHEETS / 16 ? doubled : sheets;
    int status = open_span(directory, sheets, &span);
    if (status < 0) {
        return status;
    }
    ids->spans[ids->span_count++] = ids->current;
    use_span(ids, &span);
    return 0;
}

/* Takes new numbers for the same cells; where there are none, the rest of the old ones does. */
static void renumber(fol_ids *ids, fol_id_directory *directory)
{
    fol_id_span span = ids->current;
    if (claim_any(directory, span.sheets, span.cells, &span.first_sheet)) {
        disclaim(directory, ids->current.first_sheet, span.sheets);
        use_span(ids, &span);
    }
}

/* One span for all that a frame may want, instead of those it took one after another. */
static void join_spans(fol_ids *ids, fol_id_directory *directory, uint32_t wanted)
{
    fol_id_span span;
    if (sheets_for(wanted) > ids->current.sheets &&
        open_span(directory, sheets_for(wanted), &span) == 0) {
        close_span(directory, &ids->current);
        use_span(ids, &span);
    }
    for (uint32_t i = 0; i < ids->span_count; i++) {
        close_span(directory, &ids->spans[i]);
    }
    ids->span_count = 0;
}

void fol_ids_end_frame(fol_ids *ids, fol_id_directory *directory)
{
    uint32_t used = ids->next - ids->used_from;
    FOL_ASSERT(ids->next <= ids->end);
    memset(ids->current.cells + (ids->used_from - ids->current.first_sheet * FOL_SHEET_IDS), 0,
           used * sizeof(fol_entity));
    ids->used_from = ids->next;
    for (uint32_t i = 0; i < ids->span_count; i++) {
        used += ids->spans[i].sheets * FOL_SHEET_IDS;
    }
    ids->wanted = used > ids->wanted ? used : ids->wanted;
    uint32_t wanted = fol_ids_wanted(ids);
    if (ids->span_count != 0 || wanted > ids->current.sheets * FOL_SHEET_IDS) {
        join_spans(ids, directory, wanted);
    }
    if (ids->end - ids->next < ids->wanted || ids->end == ids->next) {
        renumber(ids, directory);
    }
}
