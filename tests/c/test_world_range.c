/* Ranges of a query's rows: however the rows are cut, the pieces joined are the whole. */

#include "world/query.h"
#include "world_support.h"

enum { TAGS = 6, MAX_ROWS = 6000, MAX_CUTS = 16, SEEDS = 30 };

/* A world of random tables with a float, and queries over it. */
typedef struct scene {
    fol_world *world;
    fol_component *a;
    fol_component *tags[TAGS];
    fol_query *plain;
    fol_query *changed;
    uint64_t random;
    uint64_t tick;
} scene;

/* What going over a query gave. */
typedef struct seen {
    fol_entity entities[MAX_ROWS];
    const void *cells[MAX_ROWS];
    size_t rows;
} seen;

static seen whole;
static seen pieces;

static void open_scene(scene *s, uint64_t seed)
{
    *s = (scene){.random = seed * 0x9e3779b97f4a7c15u + 1, .tick = 1};
    s->world = make_world();
    s->a = make_float("A");
    for (int i = 0; i < TAGS; i++) {
        char name[16];
        snprintf(name, sizeof(name), "T%d", i);
        s->tags[i] = make_tag(name);
    }
    fol_term terms[2] = {{s->a, FOL_TERM_WRITE}, {s->a, FOL_TERM_CHANGED}};
    must(fol_query_create(s->world, terms, 1, &s->plain));
    must(fol_query_create(s->world, terms, 2, &s->changed));
}

static void close_scene(scene *s)
{
    fol_query_destroy(s->plain);
    fol_query_destroy(s->changed);
    fol_world_destroy(s->world);
    fol_component_release(s->a);
    for (int i = 0; i < TAGS; i++) {
        fol_component_release(s->tags[i]);
    }
}

static void spawn_some(scene *s, size_t count, uint32_t mask)
{
    fol_bulk bulks[TAGS + 1] = {{s->a, NULL}};
    size_t bulk_count = 1;
    for (uint32_t i = 0; i < TAGS; i++) {
        if (mask & (1u << i)) {
            bulks[bulk_count++] = (fol_bulk){s->tags[i], NULL};
        }
    }
    must(fol_world_spawn_many(s->world, count, bulks, bulk_count, NULL));
}

/* Rows come, go and move: tables are of all sizes round the multiples of 16, some without rows. */
static void disturb(scene *s)
{
    static const uint32_t sizes[] = {1, 2, 15, 16, 17, 64, 127, 129, 200, 700};
    uint32_t tables = random_below(&s->random, 24);
    for (uint32_t t = 0; t < tables; t++) {
        spawn_some(s, sizes[random_below(&s->random, 10)], random_below(&s->random, 1u << TAGS));
    }
    for (uint32_t t = 0; t < s->world->table_count; t++) {
        const fol_table *table = s->world->tables[t];
        size_t rows = table->rows;
        size_t going = random_below(&s->random, 3) == 0 ? rows : random_below(&s->random, 3);
        going = going < rows ? going : rows;
        must(fol_world_despawn_many(s->world, table->entities, going, NULL));
    }
    uint32_t live = fol_world_entity_count(s->world);
    while (live > MAX_ROWS / 2) {
        const fol_table *table = s->world->tables[random_below(&s->random, s->world->table_count)];
        must(fol_world_despawn_many(s->world, table->entities, table->rows, NULL));
        live = fol_world_entity_count(s->world);
    }
}

/* Marks some runs as changed now; the rest seem older. */
static void change_some(scene *s)
{
    fol_query_iterator iterator;
    fol_run run;
    s->tick++;
    fol_world_set_tick(s->world, s->tick);
    must(fol_query_begin(s->plain, 0, 1 + random_below(&s->random, 90), &iterator));
    while (fol_query_next(&iterator, &run)) {
        if (random_below(&s->random, 3) == 0) {
            fol_query_mark(s->plain, &run, NULL, s->tick);
        }
    }
}

static void collect(fol_query_iterator *iterator, seen *out, size_t max_rows)
{
    fol_run run;
    while (fol_query_next(iterator, &run)) {
        CHECK(run.rows >= 1 && run.first + run.rows <= run.table_rows);
        CHECK(max_rows == 0 || run.rows <= max_rows);
        for (size_t i = 0; i < run.rows; i++) {
            out->entities[out->rows] = run.entities[i];
            out->cells[out->rows] = (const float *)run.columns[0] + i;
            out->rows++;
        }
    }
    CHECK(!fol_query_next(iterator, &run));
}

/* Where a cut at a number stands, by the rule of the header; rows are counted from the query's
 * start. */
static uint64_t place_cut(const fol_query *query, uint64_t number)
{
    uint64_t start = 0;
    for (uint32_t m = 0; m < query->match_count; m++) {
        uint64_t rows = query->matches[m].table->rows;
        if (number < start + rows) {
            uint64_t aligned = (number - start + 15) / 16 * 16;
            return start + (aligned < rows ? aligned : rows);
        }
        start += rows;
    }
    return start;
}

/* One piece holds exactly the rows between its cuts. */
static void check_piece(fol_query *query, uint64_t first, uint64_t end, size_t rows)
{
    uint64_t from = place_cut(query, first);
    uint64_t to = place_cut(query, end);
    CHECK_EQ(rows, from < to ? to - from : 0);
}

static void check_cuts(scene *s, fol_query *query, uint64_t since, const uint64_t *cuts,
                       size_t count)
{
    fol_query_iterator iterator;
    size_t max_rows = random_below(&s->random, 2) ? 0 : 1 + random_below(&s->random, 150);
    pieces.rows = 0;
    for (size_t i = 0; i < count; i++) {
        size_t before = pieces.rows;
        must(fol_query_begin_range(query, since, max_rows, cuts[i], cuts[i + 1], &iterator));
        collect(&iterator, &pieces, max_rows);
        if (query == s->plain) {
            check_piece(query, cuts[i], cuts[i + 1], pieces.rows - before);
        }
    }
    CHECK_EQ(pieces.rows, whole.rows);
    CHECK(memcmp(pieces.entities, whole.entities, whole.rows * sizeof(fol_entity)) == 0);
    CHECK(memcmp(pieces.cells, whole.cells, whole.rows * sizeof(void *)) == 0);
}

static int compare_numbers(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left;
    uint64_t b = *(const uint64_t *)right;
    return a < b ? -1 : a > b;
}

/* Every number of pieces: cut evenly, and anywhere. */
static void check_query(scene *s, fol_query *query, uint64_t since)
{
    fol_query_iterator iterator;
    uint64_t cuts[MAX_CUTS + 1];
    whole.rows = 0;
    must(fol_query_begin(query, since, 0, &iterator));
    collect(&iterator, &whole, 0);
    uint64_t rows = fol_query_row_count(query);
    CHECK(query == s->plain ? rows == whole.rows : rows >= whole.rows);
    for (size_t count = 1; count <= MAX_CUTS && check_failures == 0; count++) {
        for (size_t i = 0; i <= count; i++) {
            cuts[i] = rows * i / count;
        }
        check_cuts(s, query, since, cuts, count);
        for (size_t i = 1; i < count; i++) {
            cuts[i] = random_below(&s->random, (uint32_t)rows + 1);
        }
        cuts[count] = random_below(&s->random, 2) ? UINT64_MAX : rows;
        qsort(cuts, count, sizeof(cuts[0]), compare_numbers);
        check_cuts(s, query, since, cuts, count);
    }
    CHECK_EQ(fol_query_row_count(query), rows);
}

static void test_pieces_joined_are_the_whole(void)
{
    for (uint64_t seed = 1; seed <= SEEDS && check_failures == 0; seed++) {
        scene s;
        open_scene(&s, seed);
        for (int round = 0; round < 10 && check_failures == 0; round++) {
            disturb(&s);
            change_some(&s);
            check_query(&s, s.plain, 0);
            check_query(&s, s.changed, s.tick - 1);
        }
        if (check_failures != 0) {
            fprintf(stderr, "seed %d\n", (int)seed);
        }
        close_scene(&s);
    }
}

static void test_a_range_that_ends_before_it_starts_is_empty(void)
{
    scene s;
    fol_query_iterator iterator;
    fol_run run;
    open_scene(&s, 1);
    spawn_some(&s, 1000, 0);
    spawn_some(&s, 1000, 1);
    static const uint64_t ranges[][2] = {{0, 0},       {1500, 200},        {700, 600},
                                         {2000, 2000}, {2000, UINT64_MAX}, {UINT64_MAX, 0},
                                         {65, 66}};
    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
        must(fol_query_begin_range(s.plain, 0, 0, ranges[i][0], ranges[i][1], &iterator));
        CHECK(!fol_query_next(&iterator, &run));
        CHECK(!fol_query_next(&iterator, &run));
    }
    close_scene(&s);
}

static void test_pieces_start_at_whole_cache_lines(void)
{
    scene s;
    fol_query_iterator iterator;
    fol_run run;
    open_scene(&s, 1);
    spawn_some(&s, 1000, 0);
    for (uint64_t first = 0; first < 1000; first += 7) {
        must(fol_query_begin_range(s.plain, 0, 0, first, 1000, &iterator));
        if (fol_query_next(&iterator, &run)) {
            CHECK_EQ(run.first % 16, 0);
            CHECK_EQ((uintptr_t)run.columns[0] % 64, 0);
            CHECK_EQ((uintptr_t)run.entities % 64, 0);
            CHECK_EQ(run.first + run.rows, 1000);
        } else {
            CHECK(first > 960);
        }
    }
    close_scene(&s);
}

static void test_a_query_without_rows_has_empty_pieces(void)
{
    scene s;
    fol_query_iterator iterator;
    fol_run run;
    open_scene(&s, 1);
    must(fol_query_begin_range(s.plain, 0, 0, 0, UINT64_MAX, &iterator));
    CHECK(!fol_query_next(&iterator, &run));
    CHECK_EQ(fol_query_row_count(s.plain), 0);
    for (uint32_t mask = 0; mask < 1u << TAGS; mask++) {
        spawn_some(&s, 1, mask);
    }
    for (uint32_t t = 0; t < s.world->table_count; t++) {
        const fol_table *table = s.world->tables[t];
        must(fol_world_despawn_many(s.world, table->entities, table->rows, NULL));
    }
    must(fol_query_begin_range(s.plain, 0, 0, 0, UINT64_MAX, &iterator));
    CHECK(!fol_query_next(&iterator, &run));
    CHECK_EQ(fol_query_row_count(s.plain), 0);
    close_scene(&s);
}

static void test_a_new_table_without_rows_moves_no_cut(void)
{
    scene s;
    fol_query_iterator iterator;
    fol_entity id;
    open_scene(&s, 1);
    for (uint32_t mask = 0; mask < 20; mask++) {
        spawn_some(&s, 70, mask);
    }
    check_query(&s, s.plain, 0);
    /* The tables are made before the entities are refused. */
    s.world->config.max_entities = fol_world_entity_count(s.world);
    for (uint32_t t = 1; t < TAGS; t++) {
        fol_value values[3] = {{s.a, NULL}, {s.tags[5], NULL}, {s.tags[t - 1], NULL}};
        uint32_t tables = s.world->table_count;
        CHECK_EQ(fol_world_spawn(s.world, values, 3, &id), FOL_E_CAPACITY);
        CHECK_EQ(s.world->table_count, tables + 1);
        must(fol_query_begin(s.plain, 0, 0, &iterator));
        check_query(&s, s.plain, 0);
    }
    close_scene(&s);
}

static void test_a_missing_resource_is_told_by_every_range(void)
{
    scene s;
    fol_query_iterator iterator;
    fol_query *query;
    open_scene(&s, 1);
    fol_component *r = make_resource("R");
    fol_term terms[2] = {{s.a, FOL_TERM_WRITE}, {r, FOL_TERM_READ}};
    must(fol_query_create(s.world, terms, 2, &query));
    CHECK_EQ(fol_query_begin_range(query, 0, 0, 0, 10, &iterator), FOL_E_MISSING);
    must(fol_world_insert(s.world, &(fol_value){r, NULL}));
    CHECK_EQ(fol_query_begin_range(query, 0, 0, 0, 10, &iterator), 0);
    fol_query_destroy(query);
    close_scene(&s);
    fol_component_release(r);
}

int main(void)
{
    uint64_t before = live_blocks();
    RUN(test_pieces_joined_are_the_whole);
    RUN(test_a_range_that_ends_before_it_starts_is_empty);
    RUN(test_pieces_start_at_whole_cache_lines);
    RUN(test_a_query_without_rows_has_empty_pieces);
    RUN(test_a_new_table_without_rows_moves_no_cut);
    RUN(test_a_missing_resource_is_told_by_every_range);
    if (live_blocks() != before) {
        fprintf(stderr, "%lld blocks were not freed\n", (long long)(live_blocks() - before));
        return 1;
    }
    CHECK_MAIN_END();
}
