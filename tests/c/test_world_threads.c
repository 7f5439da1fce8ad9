/* What the workers of a frame may do at once; worth most under the tsan variant.
 *
 * Rounds go as frames do: workers begin queries, take pieces, write, mark and record; then, alone,
 * one thread merges what they recorded.
 */

#include <pthread.h>

#include "world_support.h"

enum { THREADS = 4, ROUNDS = 60, ROWS = 3000, TAGS = 5, PIECES = 8 };

/* Threads that stay, and all wait for each other where a turn starts and ends. */
typedef struct crew {
    fol_world *world;
    fol_component *a; /* written by all, in rows of their own */
    fol_component *b;
    fol_component *resource;
    fol_component *tags[TAGS];
    fol_query *shared;
    fol_query *filtered;
    fol_query *own[THREADS];
    fol_commands *buffers[THREADS];
    fol_entity spawned[THREADS]; /* each read by all the others */
    pthread_barrier_t barrier;
    uint64_t tick;
    uint64_t seen[THREADS];
} crew;

typedef struct member {
    crew *crew;
    uint32_t number;
} member;

static void open_crew(crew *c)
{
    *c = (crew){.a = make_float("A"), .b = make_float("B"), .resource = make_resource("R")};
    c->world = make_world();
    must(fol_world_insert(c->world, &(fol_value){c->resource, NULL}));
    for (uint32_t i = 0; i < TAGS; i++) {
        char name[16];
        snprintf(name, sizeof(name), "T%d", (int)i);
        c->tags[i] = make_tag(name);
    }
    /* More tables than a range walks through. */
    for (uint32_t mask = 0; mask < 1u << TAGS; mask++) {
        fol_bulk bulks[TAGS + 2] = {{c->a, NULL}, {c->b, NULL}};
        size_t count = 2;
        for (uint32_t t = 0; t < TAGS; t++) {
            if (mask & (1u << t)) {
                bulks[count++] = (fol_bulk){c->tags[t], NULL};
            }
        }
        must(fol_world_spawn_many(c->world, ROWS >> (mask % 8), bulks, count, NULL));
    }
    fol_term terms[4] = {{c->a, FOL_TERM_WRITE},
                         {c->b, FOL_TERM_READ},
                         {c->resource, FOL_TERM_READ},
                         {c->a, FOL_TERM_CHANGED}};
    must(fol_query_create(c->world, terms, 3, &c->shared));
    must(fol_query_create(c->world, terms, 4, &c->filtered));
    for (uint32_t i = 0; i < THREADS; i++) {
        fol_term own[2] = {{c->b, FOL_TERM_READ}, {c->tags[i], FOL_TERM_WITH}};
        fol_commands_config config = {
            .max_commands = 1000, .max_bytes = 1 << 20, .worker = (uint8_t)i};
        must(fol_query_create(c->world, own, 2, &c->own[i]));
        must(fol_commands_create(c->world, &config, &c->buffers[i]));
    }
}

static void close_crew(crew *c)
{
    fol_query_destroy(c->shared);
    fol_query_destroy(c->filtered);
    for (uint32_t i = 0; i < THREADS; i++) {
        fol_query_destroy(c->own[i]);
        fol_commands_destroy(c->buffers[i]);
    }
    fol_world_destroy(c->world);
    fol_component_release(c->a);
    fol_component_release(c->b);
    fol_component_release(c->resource);
    for (uint32_t i = 0; i < TAGS; i++) {
        fol_component_release(c->tags[i]);
    }
}

/* A query that nobody else begins, for the first time since the merge. */
static void go_over_own_query(crew *c, uint32_t number)
{
    fol_query_iterator iterator;
    fol_run run;
    uint64_t rows = 0;
    must(fol_query_begin(c->own[number], 0, 0, &iterator));
    while (fol_query_next(&iterator, &run)) {
        rows += run.rows;
    }
    CHECK_EQ(rows, fol_query_row_count(c->own[number]));
    CHECK(!fol_query_needs_marks(c->own[number]));
    CHECK(fol_query_missing(c->own[number]) == NULL);
}

/* Every piece of a query that all go over: the worker writes and marks its own. */
static void write_pieces(crew *c, fol_query *query, uint64_t since, uint32_t number)
{
    uint64_t rows = fol_query_row_count(query);
    for (uint64_t piece = number; piece < PIECES; piece += THREADS) {
        fol_query_iterator iterator;
        fol_run run;
        must(fol_query_begin_range(query, since, 100, rows * piece / PIECES,
                                   rows * (piece + 1) / PIECES, &iterator));
        while (fol_query_next(&iterator, &run)) {
            float *cells = run.columns[0];
            for (size_t i = 0; i < run.rows; i++) {
                cells[i] += 1.0f;
            }
            CHECK(fol_query_needs_marks(query));
            fol_query_mark(query, &run, NULL, c->tick);
            c->seen[number] += run.rows;
        }
    }
}

/* Recording into the worker's own buffer, and asking about the others'. */
static void record(crew *c, uint32_t number)
{
    fol_commands *buffer = c->buffers[number];
    fol_entity id;
    fol_commands_begin(buffer, number % 2, number);
    for (uint32_t i = 0; i < 20; i++) {
        must(fol_commands_spawn(buffer, &(fol_value){c->b, NULL}, 1, &id));
        must(fol_commands_add(buffer, id, &(fol_value){c->tags[i % TAGS], NULL}, 1));
        CHECK(!fol_commands_need_host(c->buffers[i % THREADS]));
        CHECK(fol_commands_count(c->buffers[i % THREADS]) <= 1000);
    }
    fol_commands_begin(buffer, 5, number);
    must(fol_commands_spawn_many(buffer, 3, NULL, 0, NULL));
    fol_commands_rollback(buffer);
    fol_commands_begin(buffer, 7, number);
    must(fol_commands_spawn(buffer, NULL, 0, &id));
    for (uint32_t i = 0; i < THREADS; i++) {
        fol_entity other = c->spawned[i];
        CHECK(other == 0 || fol_world_is_alive(c->world, fol_commands_resolve(buffer, other)));
    }
    void *memory = fol_world_resource(c->world, c->resource);
    CHECK(memory != NULL);
    fol_world_mark_resource(c->world, c->resource);
}

static void *run_member(void *argument)
{
    const member *m = argument;
    crew *c = m->crew;
    for (int round = 0; round < ROUNDS; round++) {
        pthread_barrier_wait(&c->barrier);
        go_over_own_query(c, m->number);
        write_pieces(c, c->shared, 0, m->number);
        record(c, m->number);
        pthread_barrier_wait(&c->barrier);
        /* The rows just marked, by another query: as a system of the next stage. */
        write_pieces(c, c->filtered, c->tick - 1, m->number);
        pthread_barrier_wait(&c->barrier);
    }
    return NULL;
}

static void merge(crew *c)
{
    for (uint32_t i = 0; i < THREADS; i++) {
        fol_commands_discard(c->buffers[i], 7);
        CHECK_EQ(fol_commands_count(c->buffers[i]), 40);
    }
    must(fol_world_merge(c->world, c->buffers, THREADS, NULL));
    for (uint32_t i = 0; i < THREADS; i++) {
        fol_commands_end_frame(c->buffers[i]);
        fol_entity ids[1];
        fol_commands_begin(c->buffers[i], 0, i);
        must(fol_commands_spawn_many(c->buffers[i], 1, NULL, 0, ids));
        c->spawned[i] = ids[0];
    }
    must(fol_world_merge(c->world, c->buffers, THREADS, NULL));
}

static void test_workers_of_a_frame_do_all_they_may_at_once(void)
{
    static crew c;
    pthread_t threads[THREADS];
    member members[THREADS];
    open_crew(&c);
    pthread_barrier_init(&c.barrier, NULL, THREADS + 1);
    for (uint32_t i = 0; i < THREADS; i++) {
        members[i] = (member){&c, i};
        CHECK_EQ(pthread_create(&threads[i], NULL, run_member, &members[i]), 0);
    }
    uint64_t expected = 0;
    uint32_t entities = fol_world_entity_count(c.world);
    for (int round = 0; round < ROUNDS; round++) {
        fol_query_iterator iterator;
        c.tick = 10 + (uint64_t)round;
        fol_world_set_tick(c.world, c.tick);
        must(fol_query_begin(c.shared, 0, 0, &iterator));
        must(fol_query_begin(c.filtered, 0, 0, &iterator));
        expected += 2 * fol_query_row_count(c.shared);
        pthread_barrier_wait(&c.barrier);
        pthread_barrier_wait(&c.barrier);
        pthread_barrier_wait(&c.barrier);
        merge(&c);
        entities += THREADS * 21;
        CHECK_EQ(fol_world_entity_count(c.world), entities);
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
        expected -= c.seen[i];
    }
    CHECK_EQ(expected, 0);
    fol_world_invariants(c.world);
    pthread_barrier_destroy(&c.barrier);
    close_crew(&c);
}

int main(void)
{
    uint64_t before = live_blocks();
    RUN(test_workers_of_a_frame_do_all_they_may_at_once);
    if (live_blocks() != before) {
        fprintf(stderr, "%lld blocks were not freed\n", (long long)(live_blocks() - before));
        return 1;
    }
    CHECK_MAIN_END();
}
