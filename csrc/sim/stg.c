/* Standard Task Graph files: a buffer of text to a graph, and what is wrong with it as a sentence.
 *
 * Two passes: the first counts numbers, which bounds tasks and edges by the size of the text,
 * whatever it claims; the second reads rows. Rows are cut by their counts and not by lines, for the
 * format is parted by any white space; but where a file has a line for each row, the first line
 * that holds more or less is remembered, since that is where a wrong count began.
 *
 * Invariant: the cursor's line and column are those of its offset.
 */

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/memory.h"
#include "foliot/sim_graph.h"
#include "foliot/status.h"
#include "structures/map.h"

typedef struct cursor {
    const char *text;
    size_t size;
    size_t offset;
    uint64_t line;
    size_t line_start;
} cursor;

typedef struct reader {
    cursor at;
    fol_stg_fault *fault;
    uint64_t claimed; /* tasks, by the first number */
    uint32_t rows;
    uint32_t max_rows;
    uint64_t edges;
    uint64_t hint_line;
    uint64_t *ids;
    int64_t *costs;
    uint64_t *first;
    uint64_t *wanted; /* ids of predecessors */
    uint64_t *places; /* offset of each of them, for errors */
    uint64_t *lines;  /* of each row; column of its id */
    uint64_t *columns;
    uint32_t *predecessors;
    fol_map map; /* id to row */
} reader;

static bool is_space(char letter)
{
    return letter == ' ' || letter == '\n' || (letter >= '\t' && letter <= '\r');
}

/* To the next token; false at the end of the text. */
static bool skip_space(cursor *at)
{
    while (at->offset < at->size) {
        char letter = at->text[at->offset];
        if (letter == '#') {
            const char *rest = at->text + at->offset;
            const char *end = memchr(rest, '\n', at->size - at->offset);
            at->offset = end == NULL ? at->size : (size_t)(end - at->text);
        } else if (is_space(letter)) {
            at->offset++;
            if (letter == '\n') {
                at->line++;
                at->line_start = at->offset;
            }
        } else {
            return true;
        }
    }
    return false;
}

/* The cursor stands at a token. */
static size_t token_length(const cursor *at)
{
    size_t end = at->offset;
    while (end < at->size && !is_space(at->text[end]) && at->text[end] != '#') {
        end++;
    }
    return end - at->offset;
}

static uint64_t count_tokens(const char *text, size_t size)
{
    cursor at = {.text = text, .size = size, .line = 1};
    uint64_t tokens = 0;
    while (skip_space(&at)) {
        at.offset += token_length(&at);
        tokens++;
    }
    return tokens;
}

/* A fault where the cursor stands. */
static int refuse(reader *r, fol_stg_fault_kind kind, fol_stg_field field, size_t length)
{
    *r->fault = (fol_stg_fault){
        .kind = kind,
        .field = field,
        .line = r->at.line,
        .column = r->at.offset - r->at.line_start + 1,
        .offset = r->at.offset,
        .length = length,
        .row = r->rows,
        .found = r->rows,
        .limit = r->claimed,
        .hint_line = r->hint_line,
    };
    return FOL_E_VALUE;
}

/* A fault about an earlier row. */
static int refuse_row(reader *r, fol_stg_fault_kind kind, uint32_t row, uint64_t found)
{
    *r->fault = (fol_stg_fault){
        .kind = kind,
        .field = FOL_STG_ID,
        .line = r->lines[row],
        .column = r->columns[row],
        .row = row,
        .found = found,
        .limit = r->claimed,
        .hint_line = r->hint_line,
    };
    return FOL_E_VALUE;
}

/* A whole number from 0 to limit. */
static int read_number(reader *r, fol_stg_field field, uint64_t limit, uint64_t *out)
{
    if (!skip_space(&r->at)) {
        return refuse(r, FOL_STG_FAULT_END, field, 0);
    }
    size_t length = token_length(&r->at);
    const char *digits = r->at.text + r->at.offset;
    uint64_t value = 0;
    bool is_large = false;
    for (size_t i = 0; i < length; i++) {
        if (digits[i] < '0' || digits[i] > '9') {
            return refuse(r, FOL_STG_FAULT_TOKEN, field, length);
        }
        uint64_t digit = (uint64_t)(digits[i] - '0');
        is_large = is_large || value > (limit - digit) / 10 || digit > limit;
        value = is_large ? limit : value * 10 + digit;
    }
    if (is_large) {
        int status = refuse(r, FOL_STG_FAULT_RANGE, field, length);
        r->fault->limit = limit;
        return status;
    }
    r->at.offset += length;
    *out = value;
    return FOL_OK;
}

static int read_predecessors(reader *r, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        uint64_t id;
        int status = read_number(r, FOL_STG_PREDECESSOR, INT64_MAX, &id);
        if (status != FOL_OK) {
            return status;
        }
        r->wanted[r->edges] = id;
        r->places[r->edges] = r->at.offset;
        r->edges++;
    }
    return FOL_OK;
}

/* A row that does not begin on a line of its own, or goes on in another. */
static void look_at_lines(reader *r, uint64_t row_line, uint64_t before_line)
{
    if (r->hint_line == 0 && (row_line == before_line || r->at.line != row_line)) {
        r->hint_line = row_line;
    }
}

/* The cursor stands at the row's first token; the one before it stands on before_line. */
static int read_row(reader *r, uint64_t before_line)
{
    uint32_t row = r->rows;
    uint64_t line = r->at.line;
    FOL_ASSERT(row < r->max_rows);
    uint64_t column = r->at.offset - r->at.line_start + 1;
    uint64_t id;
    uint64_t cost;
    uint64_t count;
    int status = read_number(r, FOL_STG_ID, INT64_MAX, &id);
    status = status == FOL_OK ? read_number(r, FOL_STG_COST, INT64_MAX - 1, &cost) : status;
    status = status == FOL_OK ? read_number(r, FOL_STG_PREDECESSORS, FOL_GRAPH_MAX_TASKS, &count)
                              : status;
    if (status != FOL_OK) {
        return status;
    }
    r->ids[row] = id;
    r->costs[row] = (int64_t)cost;
    r->lines[row] = line;
    r->columns[row] = column;
    r->first[row] = r->edges;
    status = read_predecessors(r, count);
    if (status != FOL_OK) {
        return status;
    }
    look_at_lines(r, line, before_line);
    r->rows++;
    r->first[r->rows] = r->edges;
    if (fol_map_find(&r->map, id) != FOL_MAP_ABSENT) {
        return refuse_row(r, FOL_STG_FAULT_ID_TWICE, row, id);
    }
    return fol_map_insert(&r->map, id, row);
}

/* As many rows as the text claims, or two more which are the dummies. */
static int check_count(reader *r)
{
    if (r->rows == r->claimed) {
        return FOL_OK;
    }
    bool has_dummies = r->rows == r->claimed + 2;
    uint32_t entry = has_dummies ? fol_map_find(&r->map, 0) : FOL_MAP_ABSENT;
    uint32_t exit = has_dummies ? fol_map_find(&r->map, r->claimed + 1) : FOL_MAP_ABSENT;
    if (entry != FOL_MAP_ABSENT && exit != FOL_MAP_ABSENT && r->costs[entry] == 0 &&
        r->first[entry + 1] == r->first[entry] && r->costs[exit] == 0) {
        return FOL_OK;
    }
    return refuse(r, FOL_STG_FAULT_COUNT, FOL_STG_TASKS, 0);
}

/* The fault is about the token that ends there. */
static void place_fault(reader *r, uint64_t end)
{
    cursor at = {.text = r->at.text, .size = r->at.size, .line = 1};
    while (skip_space(&at)) {
        size_t length = token_length(&at);
        if (at.offset + length == end) {
            r->fault->line = at.line;
            r->fault->column = at.offset - at.line_start + 1;
            r->fault->offset = at.offset;
            r->fault->length = length;
            return;
        }
        at.offset += length;
    }
}

static int name_predecessors(reader *r)
{
    for (uint32_t row = 0; row < r->rows; row++) {
        for (uint64_t k = r->first[row]; k < r->first[row + 1]; k++) {
            uint32_t other = fol_map_find(&r->map, r->wanted[k]);
            if (other == FOL_MAP_ABSENT) {
                int status = refuse_row(r, FOL_STG_FAULT_UNKNOWN, row, r->wanted[k]);
                place_fault(r, r->places[k]);
                return status;
            }
            r->predecessors[k] = other;
        }
    }
    return FOL_OK;
}

static int make_graph(reader *r, fol_sim_graph **out)
{
    fol_sim_graph_spec spec = {
        .count = r->rows, .costs = r->costs, .first = r->first, .predecessors = r->predecessors};
    fol_sim_graph_fault found;
    int status = fol_sim_graph_create(&spec, out, &found);
    if (status == FOL_E_VALUE || status == FOL_E_CYCLE) {
        refuse_row(r, FOL_STG_FAULT_GRAPH, found.task, 0);
        r->fault->graph = found;
        r->fault->found = found.other == FOL_NO_TASK ? 0 : r->ids[found.other];
        for (uint32_t i = 0; i < found.cycle_length && i < FOL_GRAPH_CYCLE_SHOWN; i++) {
            r->fault->cycle_ids[i] = r->ids[found.cycle[i]];
        }
    }
    return status;
}

static int read_text(reader *r, fol_sim_graph **out)
{
    int status = read_number(r, FOL_STG_TASKS, FOL_GRAPH_MAX_TASKS - 2, &r->claimed);
    uint64_t before_line = r->at.line;
    while (status == FOL_OK && skip_space(&r->at)) {
        status = read_row(r, before_line);
        before_line = r->at.line;
    }
    status = status == FOL_OK ? check_count(r) : status;
    status = status == FOL_OK ? name_predecessors(r) : status;
    return status == FOL_OK ? make_graph(r, out) : status;
}

/* Room for all that so many numbers can be. */
static int take_memory(reader *r, uint64_t tokens)
{
    if (tokens > FOL_GRAPH_MAX_EDGES) {
        return -ENOMEM;
    }
    size_t rows = (size_t)tokens / 3 + 1;
    r->max_rows = (uint32_t)rows;
    r->ids = fol_alloc_array(rows, sizeof(uint64_t));
    r->costs = fol_alloc_array(rows, sizeof(int64_t));
    r->first = fol_alloc_zeroed(rows + 1, sizeof(uint64_t));
    r->lines = fol_alloc_array(rows, sizeof(uint64_t));
    r->columns = fol_alloc_array(rows, sizeof(uint64_t));
    r->wanted = fol_alloc_array((size_t)tokens, sizeof(uint64_t));
    r->places = fol_alloc_array((size_t)tokens, sizeof(uint64_t));
    r->predecessors = fol_alloc_array((size_t)tokens, sizeof(uint32_t));
    bool is_whole = r->ids != NULL && r->costs != NULL && r->first != NULL && r->lines != NULL &&
                    r->columns != NULL && r->wanted != NULL && r->places != NULL &&
                    r->predecessors != NULL;
    return is_whole ? FOL_OK : -ENOMEM;
}

static void release_memory(reader *r)
{
    fol_free(r->ids);
    fol_free(r->costs);
    fol_free(r->first);
    fol_free(r->lines);
    fol_free(r->columns);
    fol_free(r->wanted);
    fol_free(r->places);
    fol_free(r->predecessors);
    fol_map_deinit(&r->map);
}

int fol_stg_parse(const char *text, size_t size, fol_sim_graph **out, uint64_t **ids,
                  fol_stg_fault *fault)
{
    FOL_ASSERT(text != NULL || size == 0);
    FOL_ASSERT(out != NULL && fault != NULL);
    *fault = (fol_stg_fault){.kind = FOL_STG_FAULT_NONE};
    reader r = {.at = {.text = text, .size = size, .line = 1}, .fault = fault};
    int status = take_memory(&r, count_tokens(text, size));
    if (status == FOL_OK) {
        status = read_text(&r, out);
    }
    if (status == FOL_OK && ids != NULL) {
        *ids = r.ids;
        r.ids = NULL;
    }
    release_memory(&r);
    return status;
}

void fol_stg_release_ids(uint64_t *ids)
{
    fol_free(ids);
}
