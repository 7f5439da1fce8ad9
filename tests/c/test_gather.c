/* Joining small tables: every row once, written columns back, long runs in place. */

#include <errno.h>

#include "check.h"
#include "foliot/memory.h"
#include "foliot/status.h"
#include "foliot/world.h"

#define TABLES 12

typedef struct fixture {
    fol_component *data;
    fol_component *factor;
    fol_component *marks[TABLES];
    fol_world *world;
    fol_query *query;
    size_t rows;
} fixture;

static fol_component *make_component(const char *name, bool is_resource)
{
    const fol_field field = {.name = "", .format = "f", .item_size = 4};
    const fol_component_spec spec = {
        .name = name, .is_resource = is_resource, .field_count = 1, .fields = &field};
    fol_component *component = NULL;
    CHECK_EQ(fol_component_create(&spec, &component), 0);
    return component;
}

/* Table i has i + 1 rows whose Data counts up from 0 over all tables. */
static void setup(fixture *f)
{
    *f = (fixture){.data = make_component("Data", false), .factor = make_component("Factor", true)};
    CHECK_EQ(fol_world_create(NULL, &f->world), 0);
    float value = 2.0f;
    CHECK_EQ(fol_world_insert(f->world, &(fol_value){f->factor, &value}), 0);
    for (int i = 0; i < TABLES; i++) {
        const char name[2] = {(char)('A' + i), 0};
        f->marks[i] = make_component(name, false);
        for (int row = 0; row <= i; row++) {
            float data = (float)f->rows;
            const fol_value values[2] = {{f->data, &data}, {f->marks[i], NULL}};
            fol_entity entity;
            CHECK_EQ(fol_world_spawn(f->world, values, 2, &entity), 0);
            f->rows++;
        }
    }
    const fol_term terms[2] = {{f->data, FOL_TERM_WRITE}, {f->factor, FOL_TERM_READ}};
    CHECK_EQ(fol_query_create(f->world, terms, 2, &f->query), 0);
}

static void teardown(fixture *f)
{
    fol_query_destroy(f->query);
    fol_world_destroy(f->world);
    fol_component_release(f->data);
    fol_component_release(f->factor);
    for (int i = 0; i < TABLES; i++) {
        fol_component_release(f->marks[i]);
    }
}

static float sum_of_data(fixture *f)
{
    fol_query_iterator iterator;
    fol_run run;
    float sum = 0.0f;
    CHECK_EQ(fol_query_begin(f->query, 0, 0, &iterator), 0);
    while (fol_query_next(&iterator, &run)) {
        for (size_t i = 0; i < run.rows; i++) {
            sum += ((const float *)run.columns[0])[i];
        }
    }
    return sum;
}

/* Doubles Data through a gather; returns how many pieces it came in. */
static int double_joined(fixture *f, fol_gather *gather, bool is_committed, size_t *in_place)
{
    fol_query_iterator iterator;
    fol_run run;
    bool joined = false;
    int pieces = 0;
    size_t rows = 0;
    CHECK_EQ(fol_query_begin(f->query, 0, 0, &iterator), 0);
    fol_gather_begin(gather);
    while (fol_gather_next(gather, &iterator, &run, &joined) == 1) {
        float *data = run.columns[0];
        const float *factor = run.columns[1];
        for (size_t i = 0; i < run.rows; i++) {
            CHECK(run.entities[i] != 0);
            data[i] *= factor[0];
        }
        CHECK(fol_gather_block(gather) != NULL);
        rows += run.rows;
        *in_place += !joined;
        pieces++;
        if (is_committed) {
            fol_gather_commit(gather, 100);
        }
    }
    CHECK_EQ(rows, f->rows);
    return pieces;
}

static void test_ranges_are_joined_each_by_itself(void)
{
    for (uint64_t cut = 0; cut <= 80; cut++) {
        fixture f;
        fol_gather *gather;
        fol_run run;
        bool joined;
        setup(&f);
        float before = sum_of_data(&f);
        CHECK_EQ(fol_gather_create(f.query, 20, &gather), 0);
        for (int piece = 0; piece < 2; piece++) {
            fol_query_iterator iterator;
            uint64_t first = piece == 0 ? 0 : cut;
            uint64_t end = piece == 0 ? cut : fol_query_row_count(f.query);
            CHECK_EQ(fol_query_begin_range(f.query, 0, 0, first, end, &iterator), 0);
            fol_gather_begin(gather);
            while (fol_gather_next(gather, &iterator, &run, &joined) == 1) {
                for (size_t i = 0; i < run.rows; i++) {
                    ((float *)run.columns[0])[i] += 1.0f;
                }
                fol_gather_commit(gather, 100);
            }
        }
        CHECK(sum_of_data(&f) == before + (float)f.rows);
        fol_gather_destroy(gather);
        teardown(&f);
    }
}

static void test_every_row_comes_once_and_written_columns_go_back(void)
{
    for (size_t max_rows = 1; max_rows <= 100; max_rows += 7) {
        fixture f;
        setup(&f);
        fol_gather *gather = NULL;
        size_t in_place = 0;
        float before = sum_of_data(&f);
        CHECK_EQ(fol_gather_create(f.query, max_rows, &gather), 0);
        int pieces = double_joined(&f, gather, true, &in_place);
        CHECK(sum_of_data(&f) == 2.0f * before);
        CHECK_EQ(in_place, max_rows >= TABLES ? 0 : TABLES - max_rows);
        CHECK(max_rows < f.rows || pieces == 1);
        fol_gather_destroy(gather);
        teardown(&f);
    }
}

static void test_without_a_commit_joined_rows_change_nothing(void)
{
    fixture f;
    setup(&f);
    fol_gather *gather = NULL;
    size_t in_place = 0;
    float before = sum_of_data(&f);
    CHECK_EQ(fol_gather_create(f.query, 1000, &gather), 0);
    CHECK_EQ(double_joined(&f, gather, false, &in_place), 1);
    CHECK(sum_of_data(&f) == before);
    fol_gather_destroy(gather);
    teardown(&f);
}

static void test_joined_rows_are_marked_when_committed(void)
{
    fixture f;
    setup(&f);
    const fol_term term = {f.data, FOL_TERM_CHANGED};
    fol_query *watcher = NULL;
    fol_gather *gather = NULL;
    fol_query_iterator iterator;
    fol_run run;
    size_t in_place = 0;
    CHECK_EQ(fol_query_create(f.world, &term, 1, &watcher), 0);
    CHECK_EQ(fol_query_begin(watcher, 99, 0, &iterator), 0);
    CHECK(!fol_query_next(&iterator, &run));
    CHECK_EQ(fol_gather_create(f.query, 8, &gather), 0);
    double_joined(&f, gather, true, &in_place);
    size_t rows = 0;
    CHECK_EQ(fol_query_begin(watcher, 99, 0, &iterator), 0);
    while (fol_query_next(&iterator, &run)) {
        rows += run.rows;
    }
    CHECK_EQ(rows, f.rows);
    fol_gather_destroy(gather);
    fol_query_destroy(watcher);
    teardown(&f);
}

static void test_only_plain_data_and_sensible_sizes_can_be_joined(void)
{
    fixture f;
    setup(&f);
    fol_gather *gather = NULL;
    CHECK_EQ(fol_gather_create(f.query, 0, &gather), FOL_E_VALUE);
    CHECK_EQ(fol_gather_create(f.query, SIZE_MAX, &gather), FOL_E_VALUE);
    const fol_field field = {.name = ""};
    const fol_component_spec spec = {
        .name = "Text", .storage = FOL_STORAGE_BYTES, .field_count = 1, .fields = &field};
    fol_component *text = NULL;
    CHECK_EQ(fol_component_create(&spec, &text), 0);
    const fol_term term = {text, FOL_TERM_READ};
    fol_query *query = NULL;
    CHECK_EQ(fol_query_create(f.world, &term, 1, &query), 0);
    CHECK_EQ(fol_gather_create(query, 8, &gather), FOL_E_VALUE);
    fol_query_destroy(query);
    fol_component_release(text);
    teardown(&f);
}

static void test_a_refused_allocation_loses_nothing(void)
{
    fixture f;
    setup(&f);
    size_t in_place = 0;
    float before = sum_of_data(&f);
    int status = -ENOMEM;
    fol_gather *gather = NULL;
    for (uint64_t nth = 1; status != 0; nth++) {
        fol_memory_fail_nth(nth);
        status = fol_gather_create(f.query, 1000, &gather);
        fol_memory_fail_nth(0);
        CHECK(status == 0 || status == -ENOMEM);
    }
    fol_query_iterator iterator;
    fol_run run;
    bool joined;
    CHECK_EQ(fol_query_begin(f.query, 0, 0, &iterator), 0);
    fol_gather_begin(gather);
    fol_memory_fail_nth(1);
    CHECK_EQ(fol_gather_next(gather, &iterator, &run, &joined), -ENOMEM);
    fol_memory_fail_nth(0);
    CHECK(sum_of_data(&f) == before);
    CHECK_EQ(double_joined(&f, gather, true, &in_place), 1);
    CHECK(sum_of_data(&f) == 2.0f * before);
    fol_gather_destroy(gather);
    teardown(&f);
}

int main(void)
{
    RUN(test_ranges_are_joined_each_by_itself);
    RUN(test_every_row_comes_once_and_written_columns_go_back);
    RUN(test_without_a_commit_joined_rows_change_nothing);
    RUN(test_joined_rows_are_marked_when_committed);
    RUN(test_only_plain_data_and_sensible_sizes_can_be_joined);
    RUN(test_a_refused_allocation_loses_nothing);
    CHECK_MAIN_END();
}
