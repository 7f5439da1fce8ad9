/* Queries: what their terms mean, and the cache of tables; see query.h. */

#include "world/query.h"

#include <errno.h>
#include <string.h>

#include "base/memory.h"

#define MIN_MATCHES 8u
#define MAX_TERMS   4096u

static bool is_filter(fol_term_kind kind)
{
    return kind == FOL_TERM_CHANGED || kind == FOL_TERM_ADDED;
}

static bool gives_columns(fol_term_kind kind)
{
    return kind == FOL_TERM_WRITE || kind == FOL_TERM_READ;
}

/* Counts what the terms need. FOL_E_VALUE for what no query can be. */
static int measure(const fol_term *terms, size_t count, fol_query *query)
{
    if (count > MAX_TERMS) {
        return FOL_E_VALUE;
    }
    for (size_t i = 0; i < count; i++) {
        const fol_component *component = terms[i].component;
        if (component == NULL || (uint32_t)terms[i].kind > FOL_TERM_ADDED ||
            (component->is_resource && !gives_columns(terms[i].kind))) {
            return FOL_E_VALUE;
        }
        query->has_components = query->has_components || !component->is_resource;
        query->column_count += gives_columns(terms[i].kind) ? component->field_count : 0;
        query->written_count += terms[i].kind == FOL_TERM_WRITE ? 1 : 0;
        query->changed_count += terms[i].kind == FOL_TERM_CHANGED ? 1 : 0;
        query->filter_count += is_filter(terms[i].kind) ? 1 : 0;
        if (query->column_count > FOL_MAX_COLUMNS) {
            return FOL_E_VALUE;
        }
    }
    query->term_count = count;
    return 0;
}

/* One block for the arrays of fixed size. */
static int allocate_arrays(fol_query *query)
{
    size_t terms = query->term_count * sizeof(*query->terms);
    size_t columns = query->column_count * sizeof(*query->columns);
    size_t types = query->term_count * sizeof(*query->types);
    size_t written = query->written_count * sizeof(*query->written);
    size_t filters = query->filter_count * sizeof(*query->filters);
    uint8_t *memory = fol_alloc(terms + columns + types + written + filters);
    if (memory == NULL) {
        return -ENOMEM;
    }
    query->terms = (fol_term *)(void *)memory;
    query->columns = (fol_query_column *)(void *)(memory + terms);
    query->types = (uint16_t *)(void *)(memory + terms + columns);
    query->written = query->types + query->term_count;
    query->filters = query->written + query->written_count;
    return 0;
}

static void list_columns(fol_query *query, fol_term_kind kind, uint32_t *next)
{
    for (size_t i = 0; i < query->term_count; i++) {
        const fol_component *component = query->terms[i].component;
        if (query->terms[i].kind != kind) {
            continue;
        }
        for (uint32_t f = 0; f < component->field_count; f++) {
            query->columns[(*next)++] = (fol_query_column){
                .type = query->types[i],
                .field = f,
                .size = component->is_resource ? 0 : component->fields[f].size,
                .is_resource = component->is_resource,
            };
        }
    }
}

static void list_types(const fol_query *query, fol_term_kind kind, uint16_t *list, uint32_t *next)
{
    for (size_t i = 0; i < query->term_count; i++) {
        if (query->terms[i].kind == kind) {
            list[(*next)++] = query->types[i];
        }
    }
}

/* Registers the terms' components, watches what filters need, and derives everything else. */
static int understand(fol_query *query)
{
    for (size_t i = 0; i < query->term_count; i++) {
        uint32_t type;
        int status = fol_world_type_of(query->world, query->terms[i].component, &type);
        if (status < 0) {
            return status;
        }
        query->types[i] = (uint16_t)type;
        if (query->terms[i].kind == FOL_TERM_WITHOUT) {
            fol_bits_set(query->excluded, type);
        } else if (!query->terms[i].component->is_resource) {
            fol_bits_set(query->required, type);
        }
    }
    for (size_t i = 0; i < query->term_count; i++) {
        if (is_filter(query->terms[i].kind)) {
            int status = fol_world_watch(query->world, query->types[i]);
            if (status < 0) {
                return status;
            }
        }
    }
    uint32_t column = 0;
    list_columns(query, FOL_TERM_WRITE, &column);
    list_columns(query, FOL_TERM_READ, &column);
    uint32_t written = 0;
    list_types(query, FOL_TERM_WRITE, query->written, &written);
    uint32_t filter = 0;
    list_types(query, FOL_TERM_CHANGED, query->filters, &filter);
    list_types(query, FOL_TERM_ADDED, query->filters, &filter);
    FOL_ASSERT(column == query->column_count);
    FOL_ASSERT(filter == query->filter_count && written == query->written_count);
    return 0;
}

static void link_query(fol_world *world, fol_query *query)
{
    query->next = world->queries;
    query->link = &world->queries;
    if (query->next != NULL) {
        query->next->link = &query->next;
    }
    world->queries = query;
}

int fol_query_create(fol_world *world, const fol_term *terms, size_t count, fol_query **out)
{
    fol_query *query = fol_alloc_zeroed(1, sizeof(*query));
    if (query == NULL) {
        return -ENOMEM;
    }
    query->world = world;
    int status = measure(terms, count, query);
    if (status < 0) {
        goto fail_measure;
    }
    status = allocate_arrays(query);
    if (status < 0) {
        goto fail_measure;
    }
    if (count != 0) {
        memcpy(query->terms, terms, count * sizeof(*terms));
    }
    status = understand(query);
    if (status < 0) {
        goto fail_understand;
    }
    for (size_t i = 0; i < count; i++) {
        fol_component_retain(query->terms[i].component);
    }
    link_query(world, query);
    *out = query;
    return 0;

fail_understand:
    fol_free(query->terms);
fail_measure:
    fol_free(query);
    return status;
}

void fol_query_destroy(fol_query *query)
{
    if (query == NULL) {
        return;
    }
    if (query->world != NULL) {
        *query->link = query->next;
        if (query->next != NULL) {
            query->next->link = query->link;
        }
    }
    for (size_t i = 0; i < query->term_count; i++) {
        fol_component_release(query->terms[i].component);
    }
    for (uint32_t i = 0; i < query->match_count; i++) {
        fol_free(query->matches[i].columns);
    }
    fol_free(query->starts);
    fol_free(query->matches);
    fol_free(query->terms);
    fol_free(query);
}

void fol_queries_forget_world(fol_world *world)
{
    for (fol_query *query = world->queries; query != NULL; query = query->next) {
        query->world = NULL;
    }
    world->queries = NULL;
}

static bool is_match(const fol_query *query, const fol_table *table, size_t words)
{
    return fol_bits_contain(table->mask, query->required, words) &&
           !fol_bits_intersect(table->mask, query->excluded, words);
}

static int add_match(fol_query *query, fol_table *table)
{
    if (query->match_count == query->match_capacity) {
        uint32_t capacity = query->match_capacity == 0 ? MIN_MATCHES : query->match_capacity * 2;
        fol_match *matches = fol_realloc_array(query->matches, capacity, sizeof(*matches));
        if (matches == NULL) {
            return -ENOMEM;
        }
        query->matches = matches;
        uint64_t *starts = fol_realloc_array(query->starts, capacity, sizeof(*starts));
        if (starts == NULL) {
            return -ENOMEM;
        }
        query->starts = starts;
        query->match_capacity = capacity;
    }
    /* The columns, which runs point to, have a block of their own: it does not move. */
    void **columns =
        fol_alloc_zeroed((size_t)query->column_count + query->filter_count, sizeof(void *));
    if (columns == NULL) {
        return -ENOMEM;
    }
    fol_match *match = &query->matches[query->match_count++];
    *match = (fol_match){.table = table,
                         .columns = columns,
                         .parts = (fol_part **)(void *)(columns + query->column_count)};
    for (uint32_t i = 0; i < query->filter_count; i++) {
        match->parts[i] = fol_table_part(table, query->filters[i]);
    }
    return 0;
}

void fol_match_refresh(const fol_query *query, fol_match *match)
{
    const fol_table *table = match->table;
    for (uint32_t i = 0; i < query->column_count; i++) {
        const fol_query_column *column = &query->columns[i];
        if (column->is_resource) {
            const fol_type *type = &query->world->types[column->type];
            uint32_t offset = type->component->fields[column->field].offset;
            match->columns[i] = type->resource == NULL ? NULL : (uint8_t *)type->resource + offset;
        } else {
            const fol_part *part = fol_table_part(table, column->type);
            match->columns[i] = fol_part_columns(table, part)[column->field].data;
        }
    }
    match->version = table->version;
}

static const fol_component *find_missing(const fol_query *query)
{
    for (size_t i = 0; i < query->term_count; i++) {
        const fol_component *component = query->terms[i].component;
        if (component->is_resource && !query->world->types[query->types[i]].is_present) {
            return component;
        }
    }
    return NULL;
}

int fol_query_refresh(fol_query *query)
{
    const fol_world *world = query->world;
    size_t words = fol_world_mask_words(world);
    fol_query_forget_starts(query);
    for (; query->seen_tables < world->table_count; query->seen_tables++) {
        fol_table *table = world->tables[query->seen_tables];
        if (is_match(query, table, words)) {
            int status = add_match(query, table);
            if (status < 0) {
                return status;
            }
        }
    }
    for (uint32_t i = 0; i < query->match_count; i++) {
        fol_match_refresh(query, &query->matches[i]);
    }
    query->missing = find_missing(query);
    query->seen_version = world->structure_version;
    return 0;
}

uint32_t fol_query_column_count(const fol_query *query)
{
    return query->column_count;
}

int fol_query_column_of(const fol_query *query, const fol_component *component, bool *is_written)
{
    uint32_t type = fol_world_find_type(query->world, component);
    for (uint32_t i = 0; i < query->column_count; i++) {
        if (query->columns[i].type == type) {
            *is_written = false;
            for (uint32_t w = 0; w < query->written_count; w++) {
                *is_written = *is_written || query->written[w] == type;
            }
            return (int)i;
        }
    }
    return -1;
}

bool fol_query_has_components(const fol_query *query)
{
    return query->has_components;
}

const fol_component *fol_query_missing(const fol_query *query)
{
    return find_missing(query);
}
