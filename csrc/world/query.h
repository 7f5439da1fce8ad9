/* The inside of a query: which tables match, and where their columns start.
 *
 * `fol_query_begin` compares the world's structure version with the one the cache was made for;
 * only when they differ does it look at new tables and moved blocks. So a cache is written by begin
 * alone (and by next, for a table that moved after begin, which never happens while a stage runs),
 * and several threads may go over one query whose cache is up to date.
 */
#ifndef FOL_WORLD_QUERY_H
#define FOL_WORLD_QUERY_H

#include "world/world.h"

/* One table that matches. */
typedef struct fol_match {
    fol_table *table;
    void **columns;   /* where each column starts */
    fol_part **parts; /* of the filters: CHANGED, then ADDED */
    uint64_t version; /* of the table, when `columns` was filled */
} fol_match;

/* One column of the query. */
typedef struct fol_query_column {
    uint32_t type;
    uint32_t field;
    uint32_t size; /* bytes from row to row; 0 for a resource */
    bool is_resource;
} fol_query_column;

struct fol_query {
    fol_world *world; /* NULL after the world's end */
    fol_query *next;
    fol_query **link; /* what points here */

    fol_term *terms;
    uint16_t *types; /* of the terms */
    size_t term_count;
    bool has_components;
    uint64_t required[FOL_MASK_WORDS];
    uint64_t excluded[FOL_MASK_WORDS];

    fol_query_column *columns;
    uint32_t column_count;
    uint16_t *written; /* types of the WRITE terms */
    uint32_t written_count;
    uint16_t *filters; /* types of the CHANGED terms, then of the ADDED ones */
    uint32_t changed_count;
    uint32_t filter_count;

    fol_match *matches;
    uint32_t match_count;
    uint32_t match_capacity;
    uint32_t seen_tables;
    uint64_t seen_version; /* the world's structure version of the cache */
    const fol_component *missing;

    /* Where the rows of each match start, counted through the matches: see range.c. */
    uint64_t *starts; /* as many as matches have room for */
    uint64_t row_count;
    _Atomic uint64_t starts_version; /* the world's row version they hold for; 0: none */
    _Atomic bool starts_are_made;    /* by the thread that set it, right now */
};

/* Brings matches, columns and `missing` up to date. -ENOMEM, and then they are as before or nearer.
 */
int fol_query_refresh(fol_query *query);

/* Forgets where rows start: the list of matches changed. */
void fol_query_forget_starts(fol_query *query);

/* Fills the columns of one match anew. */
void fol_match_refresh(const fol_query *query, fol_match *match);

#endif
