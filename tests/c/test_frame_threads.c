/* Frames on real threads: interrupts, refused memory, several schedulers, readers, and forks.
 *
 * Every test goes over the backends with threads; worth most under the tsan variant.
 * FOLIOT_FUZZ_SEED chooses where the drawn cases start.
 */

#include <sys/wait.h>
#include <unistd.h>

#include "frame_model.h"

static const char *const backends[] = {"threadpool", "stealing"};

#define BACKENDS (sizeof(backends) / sizeof(backends[0]))
#define WORKERS  8u
#define CASES    6
#define FRAMES   12

static fol_scheduler_config config_on(model *m, const char *backend)
{
    fol_scheduler_config config = model_config(m);
    config.backend = backend;
    config.workers = WORKERS;
    return config;
}

/* Random systems over a random world; the scheduler is not made yet. */
static void draw_model(model *m, uint64_t seed)
{
    uint64_t random = seed;
    actor actors[SYSTEMS_MAX];
    uint32_t count = 4 + draw_below(&random, SYSTEMS_MAX - 3);
    for (uint32_t i = 0; i < count; i++) {
        draw_actor(&random, i, &actors[i]);
    }
    describe(m, actors, count);
    open_world(m, seed, 800);
}

static void open_scheduler(model *m, const fol_scheduler_config *config)
{
    CHECK_EQ(
        fol_scheduler_create(m->world, m->plan, m->systems, model_rates, config, &m->scheduler), 0);
}

/* A new plan is tried in parallel, whatever it costs. */
static void go_parallel(model *m)
{
    CHECK_EQ(fol_scheduler_replan(m->scheduler, m->plan, m->systems, model_rates), 0);
}

static void interrupt_model(model *m, const char *backend, uint64_t seed)
{
    draw_model(m, seed);
    for (uint32_t i = 0; i < m->count; i++) {
        m->actors[i].interrupts_every = i % 3 == 0 ? 2 : 0;
    }
    fol_scheduler_config config = config_on(m, backend);
    open_scheduler(m, &config);
    for (uint32_t frame = 0; frame < FRAMES; frame++) {
        go_parallel(m);
        m->host.pending = frame % 4 == 3;
        m->scheduler->poll_cycles = frame % 2 == 0 ? 0 : 1000;
        int status = model_tick(m, 0.2);
        CHECK(status == 0 || status == FOL_E_INTERRUPTED);
        CHECK_EQ(fol_scheduler_frame(m->scheduler)->was_interrupted, status != 0);
        fol_world_invariants(m->world);
    }
    for (uint32_t i = 0; i < m->count; i++) {
        m->actors[i].interrupts_every = 0;
    }
    m->host.pending = 0;
    CHECK_EQ(model_tick(m, 0.2), 0);
    CHECK_EQ(m->host.bad_calls, 0);
    close_model(m);
}

static void test_an_interrupt_at_any_point_leaves_the_world_whole(void)
{
    static model m;
    uint64_t first = setting("FOLIOT_FUZZ_SEED", 1);
    for (uint64_t seed = first; seed < first + CASES; seed++) {
        for (size_t b = 0; b < BACKENDS; b++) {
            int failures = check_failures;
            interrupt_model(&m, backends[b], seed);
            if (check_failures != failures) {
                fprintf(stderr, "seed %llu, %s\n", (unsigned long long)seed, backends[b]);
            }
        }
    }
}

static void refuse_memory(model *m, const char *backend, uint64_t seed)
{
    uint64_t random = seed;
    draw_model(m, seed);
    fol_scheduler_config config = config_on(m, backend);
    open_scheduler(m, &config);
    for (uint32_t frame = 0; frame < FRAMES; frame++) {
        go_parallel(m);
        fol_memory_fail_nth(1 + draw_below(&random, 12));
        int status = model_tick(m, 0.1);
        fol_memory_fail_nth(0);
        CHECK(status == 0 || status == -ENOMEM);
        fol_world_invariants(m->world);
    }
    CHECK_EQ(model_tick(m, 0.1), 0);
    for (uint32_t i = 0; i < WORKERS; i++) {
        const fol_commands *commands = fol_scheduler_commands(m->scheduler, i);
        CHECK(commands == NULL || fol_commands_count(commands) == 0);
    }
    close_model(m);
}

static void test_refused_memory_in_a_frame_leaves_the_world_whole(void)
{
    static model m;
    uint64_t first = setting("FOLIOT_FUZZ_SEED", 1);
    for (uint64_t seed = first; seed < first + CASES; seed++) {
        for (size_t b = 0; b < BACKENDS; b++) {
            int failures = check_failures;
            refuse_memory(&m, backends[b], seed);
            if (check_failures != failures) {
                fprintf(stderr, "seed %llu, %s\n", (unsigned long long)seed, backends[b]);
            }
        }
    }
}

static void *drive_own_world(void *argument)
{
    model *m = argument;
    for (uint32_t frame = 0; frame < FRAMES; frame++) {
        go_parallel(m);
        if (model_tick(m, 0.1) != 0) {
            return m;
        }
    }
    return NULL;
}

static void test_two_schedulers_at_once_do_what_each_does_alone(void)
{
    static model models[3];
    for (size_t b = 0; b < BACKENDS; b++) {
        uint8_t digests[3][16];
        pthread_t threads[2];
        for (int i = 0; i < 3; i++) {
            draw_model(&models[i], 77);
            fol_scheduler_config config = config_on(&models[i], i == 2 ? "blocking" : backends[b]);
            open_scheduler(&models[i], &config);
        }
        for (int i = 0; i < 2; i++) {
            CHECK_EQ(pthread_create(&threads[i], NULL, drive_own_world, &models[i]), 0);
        }
        CHECK(drive_own_world(&models[2]) == NULL);
        for (int i = 0; i < 2; i++) {
            void *result;
            pthread_join(threads[i], &result);
            CHECK(result == NULL);
        }
        for (int i = 0; i < 3; i++) {
            fol_world_digest(models[i].world, digests[i]);
        }
        for (int i = 0; i < 3; i++) {
            CHECK(memcmp(digests[i], digests[2], 16) == 0);
            close_model(&models[i]);
        }
    }
}

typedef struct reading {
    const fol_scheduler *scheduler;
    _Atomic bool is_over;
    uint64_t backwards;
    uint64_t bad_records;
    uint64_t rounds;
} reading;

static void read_worker_of(reading *r, uint32_t worker)
{
    static fol_trace_record records[256];
    fol_worker_stats stats;
    uint64_t lost;
    (void)fol_scheduler_read_worker(r->scheduler, worker, &stats);
    size_t count = fol_scheduler_read_trace(r->scheduler, worker, records, 256, &lost);
    for (size_t i = 0; i < count; i++) {
        r->bad_records += records[i].kind >= FOL_TRACE_KINDS || records[i].worker != worker ||
                          records[i].end_cycles < records[i].start_cycles;
    }
}

static void *read_all_the_time(void *argument)
{
    reading *r = argument;
    fol_scheduler_stats before = {0};
    while (!atomic_load_explicit(&r->is_over, memory_order_acquire) || r->rounds == 0) {
        fol_scheduler_stats now;
        fol_scheduler_read_stats(r->scheduler, &now);
        r->backwards += now.frames < before.frames || now.systems_run < before.systems_run;
        before = now;
        for (uint32_t worker = 0; worker < WORKERS; worker++) {
            read_worker_of(r, worker);
        }
        r->rounds++;
    }
    return NULL;
}

static void test_anybody_may_read_numbers_and_traces_while_frames_run(void)
{
    static model m;
    for (size_t b = 0; b < BACKENDS; b++) {
        pthread_t thread;
        draw_model(&m, 5);
        fol_scheduler_config config = config_on(&m, backends[b]);
        config.trace_records = 256;
        open_scheduler(&m, &config);
        reading r = {.scheduler = m.scheduler};
        CHECK_EQ(pthread_create(&thread, NULL, read_all_the_time, &r), 0);
        CHECK(drive_own_world(&m) == NULL);
        /* Release pairs with the acquire of the reader. */
        atomic_store_explicit(&r.is_over, true, memory_order_release);
        pthread_join(thread, NULL);
        CHECK_EQ(r.backwards, 0);
        CHECK_EQ(r.bad_records, 0);
        CHECK(r.rounds > 0);
        close_model(&m);
    }
}

static void test_refused_memory_leaves_no_scheduler_and_the_old_plan(void)
{
    static model m;
    for (size_t b = 0; b < BACKENDS; b++) {
        draw_model(&m, 9);
        fol_scheduler_config config = config_on(&m, backends[b]);
        config.trace_records = 64;
        open_scheduler(&m, &config);
        fol_scheduler_destroy(m.scheduler);
        m.scheduler = NULL;
        int status = -ENOMEM;
        uint64_t nth = 0;
        while (status != 0) {
            fol_memory_stats before;
            fol_memory_stats after;
            fol_memory_read_stats(&before);
            fol_memory_fail_nth(++nth);
            status = fol_scheduler_create(m.world, m.plan, m.systems, model_rates, &config,
                                          &m.scheduler);
            /* A backend that finds no memory falls back. */
            bool was_refused = !fol_memory_failure_is_armed();
            fol_memory_fail_nth(0);
            if (status == 0 && was_refused) {
                CHECK(fol_scheduler_backend(m.scheduler).reason[0] != 0);
                fol_scheduler_destroy(m.scheduler);
                m.scheduler = NULL;
                status = -ENOMEM;
            }
            fol_memory_read_stats(&after);
            CHECK(status == 0 || status == -ENOMEM);
            CHECK(status == 0 || after.live_blocks <= before.live_blocks);
        }
        CHECK(nth > 20);
        status = -ENOMEM;
        for (nth = 1; status != 0; nth++) {
            fol_memory_fail_nth(nth);
            status = fol_scheduler_replan(m.scheduler, m.plan, m.systems, model_rates);
            fol_memory_fail_nth(0);
            CHECK_EQ(model_tick(&m, 0.1), 0);
        }
        close_model(&m);
    }
}

/* Doubles its rows by the parallel loop; *user counts them. */
static int double_range(fol_parallel *self, size_t first, size_t end, void *argument)
{
    const fol_chunk *chunk = argument;
    (void)self;
    for (size_t i = first; i < end; i++) {
        ((uint64_t *)chunk->columns[0])[i] *= 2;
    }
    atomic_fetch_add_explicit((_Atomic uint64_t *)chunk->user, end - first, memory_order_relaxed);
    return 0;
}

static int chunk_in_parallel(const fol_chunk *chunk, void *user)
{
    (void)user;
    return chunk->parallel->for_range(chunk->self, (size_t)chunk->rows, 8, double_range,
                                      (void *)chunk);
}

static void test_kernels_go_parallel_in_pieces_and_whole_and_without_workers(void)
{
    static model m;
    const char *const names[] = {"threadpool", "stealing", "blocking"};
    for (int b = 0; b < 3; b++) {
        _Atomic uint64_t rows = 0;
        actor actors[2] = {{.seed = 1, .term_count = 1, .kind = FOL_SYSTEM_CHUNK},
                           {.seed = 2, .term_count = 1, .kind = FOL_SYSTEM_CHUNK}};
        for (uint32_t i = 0; i < 2; i++) {
            actors[i].components[0] = i;
            actors[i].kinds[0] = FOL_TERM_WRITE;
            snprintf(actors[i].name, sizeof(actors[i].name), "s%u", i);
        }
        describe(&m, actors, 2);
        open_world(&m, 3, 4000);
        fol_scheduler_config config = config_on(&m, names[b]);
        for (uint32_t i = 0; i < 2; i++) {
            m.systems[i].chunk_kernel = chunk_in_parallel;
            m.systems[i].user = (void *)&rows;
        }
        open_scheduler(&m, &config);
        uint64_t expected = 0;
        for (uint32_t frame = 0; frame < FRAMES; frame++) {
            if (frame < FRAMES / 2) {
                go_parallel(&m);
            }
            CHECK_EQ(model_tick(&m, 0.1), 0);
            const fol_frame *done = fol_scheduler_frame(m.scheduler);
            expected += done->systems[0].rows + done->systems[1].rows;
        }
        CHECK(expected > FRAMES * 1000);
        CHECK_EQ(rows, expected);
        close_model(&m);
    }
}

static void test_a_forked_child_may_destroy_a_scheduler_with_threads(void)
{
    static model m;
    for (size_t b = 0; b < BACKENDS; b++) {
        draw_model(&m, 11);
        fol_scheduler_config config = config_on(&m, backends[b]);
        open_scheduler(&m, &config);
        CHECK_EQ(model_tick(&m, 0.1), 0);
        pid_t child = fork();
        if (child == 0) {
            bool is_refused = fol_scheduler_tick(m.scheduler, 0.1) == FOL_E_FORKED;
            fol_scheduler_destroy(m.scheduler);
            _exit(is_refused ? 0 : 1);
        }
        int status = 1;
        CHECK_EQ(waitpid(child, &status, 0), child);
        CHECK_EQ(status, 0);
        CHECK_EQ(model_tick(&m, 0.1), 0);
        close_model(&m);
    }
}

int main(void)
{
    RUN(test_an_interrupt_at_any_point_leaves_the_world_whole);
    RUN(test_refused_memory_in_a_frame_leaves_the_world_whole);
    RUN(test_two_schedulers_at_once_do_what_each_does_alone);
    RUN(test_anybody_may_read_numbers_and_traces_while_frames_run);
    RUN(test_refused_memory_leaves_no_scheduler_and_the_old_plan);
    RUN(test_kernels_go_parallel_in_pieces_and_whole_and_without_workers);
    RUN(test_a_forked_child_may_destroy_a_scheduler_with_threads);
    CHECK_MAIN_END();
}
