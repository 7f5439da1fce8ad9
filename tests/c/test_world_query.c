/* Queries: what they match, the runs they give, change ticks, and the memory behind runs. */

#include <pthread.h>

#include "world_support.h"

static fol_query *make_query(fol_world *world, const fol_term *terms, size_t count)
{
    fol_query *query;
    must(fol_query_create(world, terms, count, &query));
    return query;
}

static size_t count_rows(fol_query *query, uint64_t since, size_t max_rows, size_t *runs)
{
    fol_query_iterator iterator;
    fol_run run;
    size_t rows = 0;
    *runs = 0;
    must(fol_query_begin(query, since, max_rows, &iterator));
    while (fol_query_next(&iterator, &run)) {
        CHECK(run.rows >= 1 && run.first + run.rows <= run.table_rows);
        CHECK(max_rows == 0 || run.rows <= max_rows);
        rows += run.rows;
        (*runs)++;
    }
    return rows;
}

static void test_terms_choose_tables(void)
{
    fol_component *a = make_float("A");
    fol_component *b = make_float("B");
    fol_component *t = make_tag("T");
    fol_world *world = make_world();
    size_t runs;
    must(fol_world_spawn_many(world, 10, (fol_bulk[]){{a, NULL}}, 1, NULL));
    must(fol_world_spawn_many(world, 20, (fol_bulk[]){{a, NULL}, {b, NULL}}, 2, NULL));
    must(fol_world_spawn_many(world, 40, (fol_bulk[]){{a, NULL}, {t, NULL}}, 2, NULL));
    must(fol_world_spawn_many(world, 80, NULL, 0, NULL));
    fol_query *reads = make_query(world, &(fol_term){a, FOL_TERM_READ}, 1);
    fol_query *with = make_query(world, (fol_term[]){{a, FOL_TERM_WRITE}, {t, FOL_TERM_WITH}}, 2);
    fol_query *without =
        make_query(world, (fol_term[]){{a, FOL_TERM_WRITE}, {t, FOL_TERM_WITHOUT}}, 2);
    fol_query *all = make_query(world, NULL, 0);
    fol_query *lacking = make_query(world, &(fol_term){a, FOL_TERM_WITHOUT}, 1);
    CHECK_EQ(count_rows(reads, 0, 0, &runs), 70);
    CHECK_EQ(runs, 3);
    CHECK_EQ(count_rows(with, 0, 0, &runs), 40);
    CHECK_EQ(count_rows(without, 0, 0, &runs), 30);
    CHECK_EQ(count_rows(all, 0, 0, &runs), 150);
    CHECK_EQ(count_rows(lacking, 0, 0, &runs), 80);
    CHECK(!fol_query_has_components(all));
    CHECK(fol_query_has_components(lacking));
    /* A table made later is found. */
    must(fol_world_spawn_many(world, 1, (fol_bulk[]){{a, NULL}, {b, NULL}, {t, NULL}}, 3, NULL));
    CHECK_EQ(count_rows(with, 0, 0, &runs), 41);
    CHECK_EQ(count_rows(without, 0, 0, &runs), 30);
    fol_query_destroy(reads);
    fol_query_destroy(with);
    fol_query_destroy(without);
    fol_query_destroy(all);
    fol_query_destroy(lacking);
    fol_world_destroy(world);
    fol_component_release(a);
    fol_component_release(b);
    fol_component_release(t);
}

static void test_columns_stand_writes_first(void)
{
    fol_component *p = make_position("P");
    fol_component *a = make_float("A");
    fol_component *r = make_resource("R");
    fol_world *world = make_world();
    bool is_written = false;
    fol_query *query = make_query(
        world, (fol_term[]){{p, FOL_TERM_READ}, {r, FOL_TERM_READ}, {a, FOL_TERM_WRITE}}, 3);
    CHECK_EQ(fol_query_column_count(query), 5);
    CHECK_EQ(fol_query_column_of(query, a, &is_written), 0);
    CHECK(is_written);
    CHECK_EQ(fol_query_column_of(query, p, &is_written), 1);
    CHECK(!is_written);
    CHECK_EQ(fol_query_column_of(query, r, &is_written), 3);
    fol_component *other = make_float("other");
    CHECK_EQ(fol_query_column_of(query, other, &is_written), -1);
    fol_component_release(other);
    fol_query_destroy(query);
    fol_world_destroy(world);
    fol_component_release(p);
    fol_component_release(a);
    fol_component_release(r);
}

static void test_runs_are_cut_at_the_bound_with_their_columns(void)
{
    fol_component *p = make_position("P");
    fol_component *r = make_resource("R");
    fol_world *world = make_world();
    position values[25];
    fol_query_iterator iterator;
    fol_run run;
    for (int i = 0; i < 25; i++) {
        values[i] = (position){i, (int16_t)(2 * i)};
    }
    fol_source sources[2] = {{&values[0].x, sizeof(position)}, {&values[0].y, sizeof(position)}};
    must(fol_world_spawn_many(world, 25, &(fol_bulk){p, sources}, 1, NULL));
    must(fol_world_insert(world, &(fol_value){r, NULL}));
    fol_query *query = make_query(world, (fol_term[]){{p, FOL_TERM_WRITE}, {r, FOL_TERM_READ}}, 2);
    must(fol_query_begin(query, 0, 10, &iterator));
    for (size_t first = 0; first < 25; first += 10) {
        CHECK(fol_query_next(&iterator, &run));
        CHECK_EQ(run.first, first);
        CHECK_EQ(run.rows, first == 20 ? 5 : 10);
        CHECK_EQ(run.match, 0);
        for (size_t i = 0; i < run.rows; i++) {
            CHECK(((double *)run.columns[0])[i] == (double)(first + i));
            CHECK_EQ(((int16_t *)run.columns[1])[i], 2 * (first + i));
        }
        CHECK(run.columns[2] == fol_world_resource(world, r));
    }
    CHECK(!fol_query_next(&iterator, &run));
    fol_query_destroy(query);
    fol_world_destroy(world);
    fol_component_release(p);
    fol_component_release(r);
}

static void test_a_missing_resource_is_named(void)
{
    fol_component *r = make_resource("R");
    fol_world *world = make_world();
    fol_query_iterator iterator;
    fol_query *query = make_query(world, &(fol_term){r, FOL_TERM_WRITE}, 1);
    CHECK_EQ(fol_query_begin(query, 0, 0, &iterator), FOL_E_MISSING);
    CHECK(fol_query_missing(query) == r);
    must(fol_world_insert(world, &(fol_value){r, NULL}));
    CHECK(fol_query_missing(query) == NULL);
    CHECK_EQ(fol_query_begin(query, 0, 0, &iterator), 0);
    must(fol_world_take_out(world, r));
    CHECK_EQ(fol_query_begin(query, 0, 0, &iterator), FOL_E_MISSING);
    fol_query_destroy(query);
    fol_world_destroy(world);
    fol_component_release(r);
}

static void test_impossible_terms_are_refused(void)
{
    fol_component *r = make_resource("R");
    fol_component *a = make_float("A");
    fol_world *world = make_world();
    fol_query *query = NULL;
    CHECK_EQ(fol_query_create(world, &(fol_term){r, FOL_TERM_WITH}, 1, &query), FOL_E_VALUE);
    CHECK_EQ(fol_query_create(world, &(fol_term){r, FOL_TERM_CHANGED}, 1, &query), FOL_E_VALUE);
    CHECK_EQ(fol_query_create(world, &(fol_term){NULL, FOL_TERM_READ}, 1, &query), FOL_E_VALUE);
    CHECK_EQ(fol_query_create(world, &(fol_term){a, (fol_term_kind)9}, 1, &query), FOL_E_VALUE);
    fol_term many[FOL_MAX_COLUMNS + 1];
    for (int i = 0; i <= FOL_MAX_COLUMNS; i++) {
        many[i] = (fol_term){a, FOL_TERM_READ};
    }
    CHECK_EQ(fol_query_create(world, many, FOL_MAX_COLUMNS + 1, &query), FOL_E_VALUE);
    CHECK(query == NULL);
    fol_world_destroy(world);
    fol_component_release(r);
    fol_component_release(a);
}

static void test_a_retained_block_reads_on_after_growth(void)
{
    fol_component *a = make_float("A");
    fol_world *world = make_world();
    fol_query_iterator iterator;
    fol_run run;
    float value = 5;
    must(fol_world_spawn_many(world, 16, (fol_bulk[]){{a, &(fol_source){&value, 0}}}, 1, NULL));
    fol_query *query = make_query(world, &(fol_term){a, FOL_TERM_READ}, 1);
    must(fol_query_begin(query, 0, 0, &iterator));
    CHECK(fol_query_next(&iterator, &run));
    fol_block *block = fol_query_block(query, &run);
    fol_block_retain(block);
    const float *old = run.columns[0];
    uint64_t version = run.version;
    must(fol_world_spawn_many(world, 100, (fol_bulk[]){{a, NULL}}, 1, NULL));
    must(fol_query_begin(query, 0, 0, &iterator));
    CHECK(fol_query_next(&iterator, &run));
    CHECK(run.version != version);
    CHECK(run.columns[0] != old);
    CHECK(old[15] == 5 && ((float *)run.columns[0])[15] == 5);
    fol_block_release(block);
    fol_query_destroy(query);
    fol_world_destroy(world);
    fol_component_release(a);
}

static void test_the_first_watch_counts_as_a_change(void)
{
    fol_component *a = make_float("A");
    fol_world *world = make_world();
    size_t runs;
    must(fol_world_spawn_many(world, 5, (fol_bulk[]){{a, NULL}}, 1, NULL));
    fol_world_set_tick(world, 7);
    fol_query *changed =
        make_query(world, (fol_term[]){{a, FOL_TERM_READ}, {a, FOL_TERM_CHANGED}}, 2);
    CHECK_EQ(count_rows(changed, 6, 0, &runs), 5);
    CHECK_EQ(count_rows(changed, 7, 0, &runs), 0);
    fol_query_destroy(changed);
    fol_world_destroy(world);
    fol_component_release(a);
}

static void test_only_changed_rows_pass(void)
{
    fol_component *a = make_float("A");
    fol_component *b = make_float("B");
    fol_world *world = make_world();
    fol_entity ids[10];
    size_t runs;
    must(fol_world_spawn_many(world, 10, (fol_bulk[]){{a, NULL}}, 1, ids));
    fol_query *changed =
        make_query(world, (fol_term[]){{a, FOL_TERM_READ}, {a, FOL_TERM_CHANGED}}, 2);
    fol_query *added = make_query(world, (fol_term[]){{a, FOL_TERM_READ}, {a, FOL_TERM_ADDED}}, 2);
    fol_world_set_tick(world, 3);
    must(fol_world_set(world, ids[3], &(fol_value){a, NULL}, 1));
    must(fol_world_set(world, ids[4], &(fol_value){a, NULL}, 1));
    must(fol_world_set(world, ids[8], &(fol_value){a, NULL}, 1));
    CHECK_EQ(count_rows(changed, 2, 0, &runs), 3);
    CHECK_EQ(runs, 2);
    CHECK_EQ(count_rows(added, 2, 0, &runs), 0);
    /* Ticks travel with the row; another component's change is none of this one's. */
    fol_world_set_tick(world, 4);
    must(fol_world_add(world, ids[3], &(fol_value){b, NULL}, 1));
    CHECK_EQ(count_rows(changed, 2, 0, &runs), 3);
    CHECK_EQ(count_rows(changed, 3, 0, &runs), 0);
    must(fol_world_remove(world, ids[3], &a, 1));
    must(fol_world_add(world, ids[3], &(fol_value){a, NULL}, 1));
    CHECK_EQ(count_rows(added, 3, 0, &runs), 1);
    CHECK_EQ(count_rows(changed, 3, 0, &runs), 1);
    fol_query_destroy(changed);
    fol_query_destroy(added);
    fol_world_destroy(world);
    fol_component_release(a);
    fol_component_release(b);
}

static void test_a_marked_table_does_not_make_old_rows_new(void)
{
    fol_component *a = make_float("A");
    fol_component *b = make_float("B");
    fol_world *world = make_world();
    fol_query_iterator iterator;
    fol_run run;
    fol_entity old;
    size_t runs;
    must(fol_world_spawn_many(world, 4, (fol_bulk[]){{a, NULL}, {b, NULL}}, 2, NULL));
    must(fol_world_spawn(world, &(fol_value){a, NULL}, 1, &old));
    fol_query *changed =
        make_query(world, (fol_term[]){{a, FOL_TERM_READ}, {a, FOL_TERM_CHANGED}}, 2);
    fol_query *write = make_query(world, (fol_term[]){{a, FOL_TERM_WRITE}, {b, FOL_TERM_WITH}}, 2);
    must(fol_query_begin(write, 0, 0, &iterator));
    CHECK(fol_query_next(&iterator, &run));
    fol_query_mark(write, &run, NULL, 5);
    CHECK_EQ(count_rows(changed, 4, 0, &runs), 4);
    /* The unchanged one moves into the marked table. */
    must(fol_world_add(world, old, &(fol_value){b, NULL}, 1));
    CHECK_EQ(count_rows(changed, 4, 0, &runs), 4);
    fol_query_destroy(changed);
    fol_query_destroy(write);
    fol_world_destroy(world);
    fol_component_release(a);
    fol_component_release(b);
}

/* Each thread marks every fourth run of ten rows. */
typedef struct marker {
    fol_query *query;
    unsigned number;
} marker;

static void *mark_some(void *argument)
{
    const marker *m = argument;
    fol_query_iterator iterator;
    fol_run run;
    unsigned index = 0;
    must(fol_query_begin(m->query, 0, 10, &iterator));
    while (fol_query_next(&iterator, &run)) {
        if (index++ % 4 == m->number) {
            fol_query_mark(m->query, &run, NULL, 9);
        }
    }
    return NULL;
}

static void test_threads_mark_different_runs(void)
{
    fol_component *a = make_float("A");
    fol_component *b = make_float("B");
    fol_world *world = make_world();
    fol_query_iterator iterator;
    pthread_t threads[4];
    marker markers[4];
    size_t runs;
    must(fol_world_spawn_many(world, 1005, (fol_bulk[]){{a, NULL}}, 1, NULL));
    must(fol_world_spawn_many(world, 7, (fol_bulk[]){{a, NULL}, {b, NULL}}, 2, NULL));
    fol_query *write = make_query(world, &(fol_term){a, FOL_TERM_WRITE}, 1);
    fol_query *changed =
        make_query(world, (fol_term[]){{a, FOL_TERM_READ}, {a, FOL_TERM_CHANGED}}, 2);
    must(fol_query_begin(write, 0, 0, &iterator));
    for (unsigned i = 0; i < 4; i++) {
        markers[i] = (marker){write, i};
        CHECK_EQ(pthread_create(&threads[i], NULL, mark_some, &markers[i]), 0);
    }
    for (unsigned i = 0; i < 4; i++) {
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
    }
    CHECK_EQ(count_rows(changed, 8, 0, &runs), 1012);
    fol_world_invariants(world);
    fol_query_destroy(write);
    fol_query_destroy(changed);
    fol_world_destroy(world);
    fol_component_release(a);
    fol_component_release(b);
}

static void test_structure_may_change_while_a_query_is_gone_over(void)
{
    fol_component *a = make_float("A");
    fol_component *b = make_float("B");
    fol_world *world = make_world();
    fol_query_iterator iterator;
    fol_run run;
    size_t seen = 0;
    must(fol_world_spawn_many(world, 16, (fol_bulk[]){{a, NULL}}, 1, NULL));
    must(fol_world_spawn_many(world, 16, (fol_bulk[]){{a, NULL}, {b, NULL}}, 2, NULL));
    fol_query *query = make_query(world, &(fol_term){a, FOL_TERM_WRITE}, 1);
    must(fol_query_begin(query, 0, 0, &iterator));
    while (fol_query_next(&iterator, &run)) {
        ((float *)run.columns[0])[run.rows - 1] = 1;
        seen += run.rows;
        must(fol_world_spawn_many(world, 50, (fol_bulk[]){{a, NULL}, {b, NULL}}, 2, NULL));
    }
    CHECK_EQ(seen, 16 + 66);
    fol_query_destroy(query);
    fol_world_destroy(world);
    fol_component_release(a);
    fol_component_release(b);
}

int main(void)
{
    uint64_t before = live_blocks();
    RUN(test_terms_choose_tables);
    RUN(test_columns_stand_writes_first);
    RUN(test_runs_are_cut_at_the_bound_with_their_columns);
    RUN(test_a_missing_resource_is_named);
    RUN(test_impossible_terms_are_refused);
    RUN(test_a_retained_block_reads_on_after_growth);
    RUN(test_the_first_watch_counts_as_a_change);
    RUN(test_only_changed_rows_pass);
    RUN(test_a_marked_table_does_not_make_old_rows_new);
    RUN(test_threads_mark_different_runs);
    RUN(test_structure_may_change_while_a_query_is_gone_over);
    if (live_blocks() != before) {
        fprintf(stderr, "%lld blocks were not freed\n", (long long)(live_blocks() - before));
        return 1;
    }
    CHECK_MAIN_END();
}
