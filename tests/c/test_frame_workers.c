/* One result, whoever runs what: random systems on several workers against the blocking backend.
 *
 * A case is a set of systems and a world made from a seed, twice. One copy runs on the blocking
 * backend, the other on several workers; after each frame both worlds have one digest, custom
 * commands ran in one order, and the frames tell the same. FOLIOT_FUZZ_CASES and FOLIOT_FUZZ_SEED
 * choose how many cases to run and where to start.
 */

#include "frame_model.h"
#include "shuffle_backend.h"

#define CASES  40
#define FRAMES 6

static const char *const backends[] = {"shuffle", "threadpool", "stealing", "adaptive"};
static const char *const all_backends[] = {"shuffle",  "shuffle",  "shuffle", "threadpool",
                                           "stealing", "adaptive", "evented", "uring"};

static uint64_t refusals; /* errors of merges that named a setting */

/* Makes the scheduler of a model. */
static void open_scheduler(model *m, const char *backend, uint32_t workers, fol_error_policy errors,
                           uint64_t seed)
{
    bool is_shuffled = strcmp(backend, "shuffle") == 0;
    fol_scheduler_config config = model_config(m);
    config.backend = is_shuffled ? "blocking" : backend;
    config.workers = workers;
    config.seed = seed;
    config.errors = errors;
    config.quarantine_after = 2;
    CHECK_EQ(
        fol_scheduler_create(m->world, m->plan, m->systems, model_rates, &config, &m->scheduler),
        0);
    if (is_shuffled) {
        use_shuffle(m->scheduler, workers, seed);
    }
}

static bool same_digest(const model *a, const model *b)
{
    uint8_t first[16];
    uint8_t second[16];
    fol_world_digest(a->world, first);
    fol_world_digest(b->world, second);
    return memcmp(first, second, sizeof(first)) == 0;
}

static bool same_errors(const fol_frame *a, const fol_frame *b)
{
    bool is_same = CHECK_EQ(a->error_count, b->error_count) &
                   CHECK_EQ(a->quarantined_count, b->quarantined_count);
    for (uint32_t i = 0; is_same && i < a->error_count; i++) {
        const fol_frame_error *first = &a->errors[i];
        const fol_frame_error *second = &b->errors[i];
        is_same = CHECK_EQ(first->system, second->system) &
                  CHECK_EQ(first->status, second->status) & CHECK_EQ(first->code, second->code) &
                  CHECK_EQ(first->is_merge, second->is_merge) &
                  CHECK_EQ(first->full_limit, second->full_limit) &
                  CHECK((first->full_setting == NULL) == (second->full_setting == NULL)) &
                  CHECK_EQ(first->sequence, second->sequence);
    }
    for (uint32_t i = 0; is_same && i < a->error_count; i++) {
        if (a->errors[i].full_setting != NULL) {
            CHECK_STR(b->errors[i].full_setting, a->errors[i].full_setting);
            refusals++;
        }
    }
    for (uint32_t i = 0; is_same && i < a->quarantined_count; i++) {
        is_same = CHECK_EQ(a->quarantined[i], b->quarantined[i]);
    }
    return is_same;
}

static bool same_frame(const model *a, const model *b)
{
    const fol_frame *first = fol_scheduler_frame(a->scheduler);
    const fol_frame *second = fol_scheduler_frame(b->scheduler);
    bool is_same = CHECK(same_digest(a, b)) & CHECK_EQ(a->log, b->log) &
                   CHECK_EQ(a->logged, b->logged) & same_errors(first, second) &
                   CHECK_EQ(first->merged.dropped, second->merged.dropped);
    for (uint32_t kind = 0; kind < FOL_COMMAND_KINDS; kind++) {
        is_same &= CHECK_EQ(first->merged.applied[kind], second->merged.applied[kind]);
    }
    for (uint32_t i = 0; i < first->system_count; i++) {
        is_same &= CHECK_EQ(first->systems[i].state, second->systems[i].state);
        if (first->systems[i].state == FOL_RUN_DONE) {
            is_same &= CHECK_EQ(first->systems[i].rows, second->systems[i].rows);
        }
    }
    return is_same;
}

static bool run_both(model *a, model *b, uint64_t *random)
{
    for (uint32_t frame = 0; frame < FRAMES; frame++) {
        double dt = (double)draw_below(random, 30) * 0.01;
        /* A phase of a new plan is tried in parallel, whatever it costs. */
        if (draw_below(random, 2) == 0) {
            CHECK_EQ(fol_scheduler_replan(b->scheduler, b->plan, b->systems, model_rates), 0);
        }
        CHECK_EQ(model_tick(a, dt), 0);
        CHECK_EQ(model_tick(b, dt), 0);
        fol_world_invariants(b->world);
        if (!same_frame(a, b)) {
            return false;
        }
    }
    return CHECK_EQ(a->host.bad_calls, 0) & CHECK_EQ(b->host.bad_calls, 0);
}

/* Bounds that some runs of the case pass. */
static void draw_limits(model *m, uint64_t *random, uint32_t rows)
{
    uint32_t which = 1 + draw_below(random, 7);
    m->max_commands = (which & 1) != 0 ? 1 + draw_below(random, 8) : 0;
    m->command_bytes = (which & 2) != 0 ? 1 + draw_below(random, 400) : 0;
    m->max_entities = (which & 4) != 0 ? rows + draw_below(random, 6) : 0;
}

/* The same systems and the same world twice: one for the blocking backend. */
static uint32_t make_pair(model *own, model *other, uint64_t seed, uint64_t *random,
                          bool is_limited)
{
    actor actors[SYSTEMS_MAX];
    uint32_t count = 2 + draw_below(random, SYSTEMS_MAX - 1);
    uint32_t rows = 50 + draw_below(random, 1500);
    for (uint32_t i = 0; i < count; i++) {
        draw_actor(random, i, &actors[i]);
    }
    describe(own, actors, count);
    describe(other, actors, count);
    if (is_limited) {
        draw_limits(own, random, rows);
        other->max_commands = own->max_commands;
        other->command_bytes = own->command_bytes;
        other->max_entities = own->max_entities;
    }
    open_world(own, seed, rows);
    open_world(other, seed, rows);
    return count;
}

static void run_case(uint64_t seed, bool is_limited)
{
    static model own;
    static model other;
    uint64_t random = seed;
    int failures = check_failures;
    make_pair(&own, &other, seed, &random, is_limited);
    const char *backend = is_limited ? all_backends[seed % 8] : backends[seed % 4];
    uint32_t workers = 1 + draw_below(&random, 8);
    fol_error_policy errors =
        draw_below(&random, 2) == 0 ? FOL_ERRORS_CONTINUE : FOL_ERRORS_QUARANTINE;
    open_scheduler(&own, "blocking", 1, errors, seed);
    open_scheduler(&other, backend, workers, errors, seed);
    (void)run_both(&own, &other, &random);
    close_model(&own);
    close_model(&other);
    if (check_failures != failures) {
        fprintf(stderr, "seed %llu, %s, %u workers\n", (unsigned long long)seed, backend, workers);
    }
}

static void run_cases(bool is_limited)
{
    uint64_t first = setting("FOLIOT_FUZZ_SEED", 1);
    uint64_t cases = setting("FOLIOT_FUZZ_CASES", CASES);
    fol_memory_stats stats;
    fol_memory_read_stats(&stats);
    uint64_t live = stats.live_blocks;
    for (uint64_t i = 0; i < cases; i++) {
        run_case(first + i, is_limited);
    }
    CHECK(cases < CASES || shuffled_pieces > 100);
    fol_pool_shutdown();
    fol_memory_read_stats(&stats);
    CHECK_EQ(stats.live_blocks, live);
}

static void test_every_backend_and_number_of_workers_has_one_result(void)
{
    run_cases(false);
}

static void test_limits_refuse_the_same_commands_everywhere(void)
{
    refusals = 0;
    run_cases(true);
    CHECK(setting("FOLIOT_FUZZ_CASES", CASES) < CASES || refusals > 100);
}

int main(void)
{
    RUN(test_limits_refuse_the_same_commands_everywhere);
    RUN(test_every_backend_and_number_of_workers_has_one_result);
    CHECK_MAIN_END();
}
