/* What the headers let several threads do at once; worth most under the tsan variant.
 *
 * Plans are read from any thread, and their long lists made on the first question; queries are gone
 * over by several threads after one began, and their runs marked; worlds and schedulers turn all
 * but one away; blocks, bytes and components are counted from anywhere.
 */

#include <pthread.h>
#include <stdatomic.h>

#include "foliot/memory.h"
#include "frame_fixture.h"

#define THREADS 4
#define ROUNDS  50
#define ROWS    4096

/* Threads that all wait for the last one, so that what follows happens at once. */
typedef struct crew {
    void *shared;
    pthread_barrier_t barrier;
    void (*work)(void *shared, int thread);
    atomic_int next;
} crew;

static void *run_member(void *argument)
{
    crew *c = argument;
    int thread = atomic_fetch_add_explicit(&c->next, 1, memory_order_relaxed);
    pthread_barrier_wait(&c->barrier);
    c->work(c->shared, thread);
    return NULL;
}

static void run_crew(void (*work)(void *shared, int thread), void *shared)
{
    crew c = {.shared = shared, .work = work};
    pthread_t threads[THREADS];
    pthread_barrier_init(&c.barrier, NULL, THREADS);
    for (int i = 0; i < THREADS; i++) {
        CHECK_EQ(pthread_create(&threads[i], NULL, run_member, &c), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    pthread_barrier_destroy(&c.barrier);
}

typedef struct asked_plan {
    const fol_plan *plan;
    const fol_edge *edges[THREADS];
    const fol_ambiguity *ambiguities[THREADS];
    size_t edge_counts[THREADS];
    size_t length[THREADS];
} asked_plan;

static void ask_plan(void *shared, int thread)
{
    asked_plan *asked = shared;
    size_t count;
    char text[256];
    (void)fol_plan_edges(asked->plan, 0, &asked->edges[thread], &asked->edge_counts[thread]);
    (void)fol_plan_ambiguities(asked->plan, &asked->ambiguities[thread], &count);
    asked->length[thread] = fol_plan_explain(asked->plan, 0, 1, text, sizeof(text));
}

static void test_threads_that_ask_a_plan_at_once_get_one_list(void)
{
    fixture f;
    setup(&f);
    for (int i = 0; i < MAX_SYSTEMS; i++) {
        char name[16];
        snprintf(name, sizeof(name), "s%d", i);
        add_system(&f, name, i % 3, (i + 1) % 3, false);
    }
    for (int round = 0; round < ROUNDS; round++) {
        asked_plan asked = {0};
        fol_plan *plan;
        CHECK_EQ(fol_plan_create(f.schedule, &plan, NULL), 0);
        asked.plan = plan;
        run_crew(ask_plan, &asked);
        for (int i = 0; i < THREADS; i++) {
            CHECK(asked.edges[i] != NULL && asked.edges[i] == asked.edges[0]);
            CHECK(asked.ambiguities[i] != NULL && asked.ambiguities[i] == asked.ambiguities[0]);
            CHECK_EQ(asked.edge_counts[i], asked.edge_counts[0]);
            CHECK_EQ(asked.length[i], asked.length[0]);
        }
        fol_plan_destroy(plan);
    }
    teardown(&f);
}

typedef struct marked_query {
    fol_query *query;
    uint64_t tick;
} marked_query;

/* Goes over all runs, and writes and marks those of this thread. */
static void mark_own_runs(void *shared, int thread)
{
    const marked_query *marked = shared;
    fol_query_iterator iterator;
    fol_run run;
    uint32_t number = 0;
    if (fol_query_begin(marked->query, 0, 100, &iterator) != 0) {
        return;
    }
    while (fol_query_next(&iterator, &run)) {
        if (number++ % THREADS == (uint32_t)thread) {
            for (size_t row = 0; row < run.rows; row++) {
                ((float *)run.columns[0])[row] = (float)marked->tick;
            }
            fol_query_mark(marked->query, &run, NULL, marked->tick);
        }
    }
}

static size_t count_changed(fol_query *query, uint64_t since)
{
    fol_query_iterator iterator;
    fol_run run;
    size_t rows = 0;
    CHECK_EQ(fol_query_begin(query, since, 0, &iterator), 0);
    while (fol_query_next(&iterator, &run)) {
        rows += run.rows;
    }
    return rows;
}

static void test_threads_that_mark_different_runs_mark_every_row(void)
{
    fixture f;
    setup(&f);
    spawn_floats(&f, ROWS, 0.0f, 0.0f);
    float g = 1.0f;
    CHECK_EQ(fol_world_insert(f.world, &(fol_value){f.gravity, &g}), 0);
    const fol_source zeros = {NULL, 0};
    const fol_bulk bulk = {f.position, &zeros};
    CHECK_EQ(fol_world_spawn_many(f.world, 50, &bulk, 1, NULL), 0);
    const fol_term writes[2] = {{f.position, FOL_TERM_WRITE}, {f.gravity, FOL_TERM_WRITE}};
    const fol_term changed = {f.position, FOL_TERM_CHANGED};
    fol_query *watcher;
    marked_query marked;
    CHECK_EQ(fol_query_create(f.world, writes, 2, &marked.query), 0);
    CHECK_EQ(fol_query_create(f.world, &changed, 1, &watcher), 0);
    CHECK(fol_query_needs_marks(marked.query));
    for (int round = 0; round < ROUNDS; round++) {
        fol_query_iterator iterator;
        marked.tick = 10 + (uint64_t)round;
        CHECK_EQ(fol_query_begin(marked.query, 0, 0, &iterator), 0);
        run_crew(mark_own_runs, &marked);
        CHECK_EQ(count_changed(watcher, marked.tick - 1), ROWS + 50);
        CHECK_EQ(count_changed(watcher, marked.tick), 0);
    }
    fol_query_destroy(watcher);
    fol_query_destroy(marked.query);
    teardown(&f);
}

/* Schedulers of one world, each driven by some of the threads. */
typedef struct driven {
    fol_world *world;
    fol_scheduler *schedulers[2];
    int64_t *runs; /* not atomic: the world's lock must order the systems */
    atomic_int_fast64_t frames;
    atomic_int_fast64_t others;
} driven;

static int kernel_add_one(void **columns, ptrdiff_t rows, void *user)
{
    (void)columns;
    (void)rows;
    *(int64_t *)user += 1;
    return 0;
}

static void drive(void *shared, int thread)
{
    driven *d = shared;
    fol_scheduler *scheduler = d->schedulers[thread % 2];
    for (int i = 0; i < ROUNDS * 4; i++) {
        uint64_t done = 0;
        int status = i % 2 == 0 ? fol_scheduler_tick(scheduler, 0.0)
                                : fol_scheduler_tick_many(scheduler, 3, 0.0, &done);
        int_fast64_t frames = i % 2 == 0 ? status == 0 : (int_fast64_t)done;
        atomic_fetch_add_explicit(&d->frames, frames, memory_order_relaxed);
        bool is_known = status == 0 || status == FOL_E_BUSY;
        atomic_fetch_add_explicit(&d->others, !is_known, memory_order_relaxed);
        if (fol_world_lock(d->world) == 0) {
            *d->runs += 1;
            atomic_fetch_add_explicit(&d->frames, 1, memory_order_relaxed);
            fol_world_unlock(d->world);
        }
    }
}

static void test_one_thread_at_a_time_drives_a_world(void)
{
    fixture f;
    setup(&f);
    int64_t runs = 0;
    driven d = {.world = f.world, .runs = &runs};
    fol_system *system = add_system(&f, "one", -1, -1, false);
    system->columns_kernel = kernel_add_one;
    system->user = &runs;
    start(&f);
    d.schedulers[0] = f.scheduler;
    CHECK_EQ(fol_scheduler_create(f.world, f.plan, f.systems, NULL, &f.config, &d.schedulers[1]),
             0);
    run_crew(drive, &d);
    CHECK_EQ(atomic_load(&d.others), 0);
    CHECK_EQ(runs, atomic_load(&d.frames));
    CHECK(runs >= ROUNDS);
    fol_scheduler_destroy(d.schedulers[1]);
    teardown(&f);
}

typedef struct counted {
    fol_component *component;
    fol_block *block;
    fol_bytes bytes;
    fol_virtual_clock clock;
    atomic_int_fast64_t backwards;
} counted;

static void count_up_and_down(void *shared, int thread)
{
    counted *c = shared;
    const fol_clock face = fol_virtual_clock_face(&c->clock);
    uint64_t before = 0;
    (void)thread;
    for (int i = 0; i < ROUNDS * 10; i++) {
        fol_component_retain(c->component);
        fol_block_retain(c->block);
        fol_bytes_retain(&c->bytes);
        fol_virtual_clock_advance(&c->clock, 1);
        face.wait_until_ns(face.state, (uint64_t)i, 0);
        uint64_t now = face.now_ns(face.state);
        atomic_fetch_add_explicit(&c->backwards, now <= before, memory_order_relaxed);
        before = now;
        fol_bytes_release(&c->bytes);
        fol_block_release(c->block);
        fol_component_release(c->component);
    }
}

static void test_counts_and_clocks_are_shared(void)
{
    fixture f;
    fol_memory_stats stats;
    fol_memory_read_stats(&stats);
    uint64_t live = stats.live_blocks;
    setup(&f);
    spawn_floats(&f, 8, 0.0f, 0.0f);
    const fol_term term = {f.position, FOL_TERM_READ};
    fol_query *query;
    fol_query_iterator iterator;
    fol_run run;
    CHECK_EQ(fol_query_create(f.world, &term, 1, &query), 0);
    CHECK_EQ(fol_query_begin(query, 0, 0, &iterator), 0);
    CHECK(fol_query_next(&iterator, &run));
    counted c = {.component = f.position, .block = fol_query_block(query, &run)};
    CHECK_EQ(fol_bytes_assign(&c.bytes, "bytes", 5), 0);
    fol_virtual_clock_init(&c.clock, 0);
    run_crew(count_up_and_down, &c);
    CHECK_EQ(atomic_load(&c.backwards), 0);
    fol_bytes_release(&c.bytes);
    fol_query_destroy(query);
    teardown(&f);
    fol_memory_read_stats(&stats);
    CHECK_EQ(stats.live_blocks, live);
}

int main(void)
{
    RUN(test_threads_that_ask_a_plan_at_once_get_one_list);
    RUN(test_threads_that_mark_different_runs_mark_every_row);
    RUN(test_one_thread_at_a_time_drives_a_world);
    RUN(test_counts_and_clocks_are_shared);
    CHECK_MAIN_END();
}
