/* Governed frames on real threads: one result whatever waits, readers, revokes, interrupts, a
 * policy that needs the host.
 *
 * A case is a set of systems and a world made from a seed, twice. One copy runs on the blocking
 * backend without budgets, the other governed on eight workers with a drawn policy and drawn
 * budgets that throttle, demote and notify; after each frame both worlds have one digest. Worth
 * most under the tsan variant. FOLIOT_FUZZ_CASES and FOLIOT_FUZZ_SEED choose how many cases to run
 * and where to start.
 */

#include "frame/budget.h"
#include "frame_model.h"

#define CASES   10
#define FRAMES  5
#define WORKERS 8u
#define KEYS    5u

static const char *const backends[] = {"blocking", "evented",  "threadpool",
                                       "stealing", "adaptive", "uring"};
#define BACKENDS (sizeof(backends) / sizeof(backends[0]))

static fol_system_budget budgets[KEYS];

/* Budgets of some microseconds, so that nearly every run overruns. */
static void draw_budgets(model *m, const char *backend, uint64_t *random)
{
    bool has_helpers = strcmp(backend, "blocking") != 0 && strcmp(backend, "evented") != 0;
    static const fol_overrun overruns[] = {FOL_OVERRUN_THROTTLE, FOL_OVERRUN_DEMOTE,
                                           FOL_OVERRUN_NOTIFY};
    for (uint32_t i = 0; i < KEYS; i++) {
        int64_t period = 100000 + draw_below(random, 400000);
        budgets[i] = (fol_system_budget){
            .key = i + 1,
            .is_group = i >= 3,
            .weight = 1 + draw_below(random, 4000),
            .latency = draw_below(random, 3),
            .context = {.kind = (fol_context_kind)draw_below(random, FOL_CONTEXT_KINDS),
                        .overrun = overruns[draw_below(random, 3)],
                        .refills = 2 + draw_below(random, 6),
                        .budget = 20000 + draw_below(random, 50000),
                        .period = period}};
        if (!budgets[i].is_group && has_helpers && draw_below(random, 3) == 0) {
            budgets[i].context.cpus[0] = 1 + draw_below(random, (1u << WORKERS) - 1);
        }
    }
    for (uint32_t i = 0; i < m->count; i++) {
        uint32_t key = draw_below(random, KEYS + 2);
        m->systems[i].budget = key < KEYS ? &budgets[key] : NULL;
    }
}

/* A lottery that holds the host's lock, as one in the host's language would. */
typedef struct lottery {
    model_host *host;
    uint64_t random; /* under the governor's lock */
    uint32_t calls;
} lottery;

static int pick_any(void *state, const fol_ready *ready, uint32_t cpu, int64_t now, uint32_t *place)
{
    lottery *own = state;
    bool was_attached = holds_host;
    (void)cpu;
    (void)now;
    if (!was_attached) {
        model_attach(own->host);
    }
    own->calls++;
    *place = draw_below(&own->random, ready->count);
    if (!was_attached) {
        model_detach(own->host);
    }
    return draw_below(&own->random, 50) == 0 ? FOL_POLICY_DEFAULT : FOL_POLICY_ANSWERED;
}

static int chunk_of_any(void *state, uint32_t system, uint64_t rows, uint64_t *chunk)
{
    lottery *own = state;
    *chunk = 16 + draw_below(&own->random, (uint32_t)rows + 1);
    return system % 2 == 0 ? FOL_POLICY_ANSWERED : FOL_POLICY_DEFAULT;
}

static void draw_actors(uint64_t *random, actor *actors, uint32_t *count)
{
    *count = 2 + draw_below(random, SYSTEMS_MAX - 1);
    for (uint32_t i = 0; i < *count; i++) {
        draw_actor(random, i, &actors[i]);
    }
}

static void open_ungoverned(model *m)
{
    fol_scheduler_config config = model_config(m);
    config.backend = "blocking";
    CHECK_EQ(
        fol_scheduler_create(m->world, m->plan, m->systems, model_rates, &config, &m->scheduler),
        0);
}

static void open_governed(model *m, const char *backend, uint64_t *random, lottery *own,
                          fol_policy_slots *slots)
{
    fol_scheduler_config config = model_config(m);
    *own = (lottery){.host = &m->host, .random = *random};
    *slots = (fol_policy_slots){.state = own, .pick = pick_any, .chunk_rows = chunk_of_any};
    draw_budgets(m, backend, random);
    config.backend = backend;
    config.workers = WORKERS;
    config.policy.is_chosen = draw_below(random, 4) != 0;
    config.policy.kind = (fol_policy_kind)draw_below(random, FOL_POLICY_KINDS);
    config.policy.slots = draw_below(random, 2) == 0 ? slots : NULL;
    CHECK_EQ(
        fol_scheduler_create(m->world, m->plan, m->systems, model_rates, &config, &m->scheduler),
        0);
}

static void check_dispatcher(model *m)
{
    fol_frame_budget *budget = fol_budget_of_any(m->scheduler);
    int64_t now;
    if (budget != NULL) {
        CHECK_EQ(fol_governor_lock(budget->governor, &now), 0);
        CHECK(fol_dispatcher_invariants(fol_governor_dispatcher(budget->governor)));
        CHECK_EQ(fol_dispatcher_ready_count(fol_governor_dispatcher(budget->governor)), 0);
        fol_governor_unlock(budget->governor);
    }
}

static bool same_world(const model *a, const model *b)
{
    uint8_t first[16];
    uint8_t second[16];
    fol_world_digest(a->world, first);
    fol_world_digest(b->world, second);
    return CHECK(memcmp(first, second, sizeof(first)) == 0) & CHECK_EQ(a->log, b->log) &
           CHECK_EQ(a->logged, b->logged);
}

static void run_case(uint64_t seed)
{
    static model own;
    static model other;
    actor actors[SYSTEMS_MAX];
    uint64_t random = seed;
    uint32_t count;
    lottery lots;
    fol_policy_slots slots;
    int failures = check_failures;
    const char *backend = backends[seed % BACKENDS];
    draw_actors(&random, actors, &count);
    describe(&own, actors, count);
    describe(&other, actors, count);
    open_world(&own, seed, 400);
    open_world(&other, seed, 400);
    open_ungoverned(&own);
    open_governed(&other, backend, &random, &lots, &slots);
    for (uint32_t frame = 0; frame < FRAMES; frame++) {
        double dt = (double)draw_below(&random, 30) * 0.01;
        if (draw_below(&random, 2) == 0) {
            CHECK_EQ(fol_scheduler_replan(other.scheduler, other.plan, other.systems, model_rates),
                     0);
        }
        CHECK_EQ(model_tick(&own, dt), 0);
        CHECK_EQ(model_tick(&other, dt), 0);
        fol_world_invariants(other.world);
        check_dispatcher(&other);
        if (!same_world(&own, &other)) {
            break;
        }
    }
    CHECK_EQ(other.host.bad_calls, 0);
    close_model(&own);
    close_model(&other);
    if (check_failures != failures) {
        fprintf(stderr, "seed %llu, %s\n", (unsigned long long)seed, backend);
    }
}

static void test_budgets_and_policies_change_when_but_not_what(void)
{
    uint64_t first = setting("FOLIOT_FUZZ_SEED", 1);
    uint64_t cases = setting("FOLIOT_FUZZ_CASES", CASES);
    for (uint64_t seed = first; seed < first + cases; seed++) {
        run_case(seed);
    }
}

/* What other threads do to a scheduler while it runs. */
typedef struct bystander {
    model *m;
    _Atomic bool is_over;
    bool revokes;
    uint64_t decisions;
} bystander;

static void *look_on(void *argument)
{
    bystander *own = argument;
    fol_scheduler *scheduler = own->m->scheduler;
    uint64_t next = 0;
    for (uint32_t round = 0; !own->is_over; round++) {
        char text[512];
        fol_decision decisions[64];
        fol_account account;
        fol_attribution attribution;
        fol_context_stats stats;
        fol_notice notice;
        size_t count = fol_scheduler_read_decisions(scheduler, &next, decisions, 64);
        next += count;
        own->decisions += count;
        fol_scheduler_explain_system(scheduler, round % own->m->count, text, sizeof(text));
        fol_scheduler_explain_budget(scheduler, 1 + round % KEYS, text, sizeof(text));
        (void)fol_scheduler_read_account(scheduler, FOL_ACCOUNT_WORKER, round % WORKERS, &account);
        if (fol_scheduler_read_attribution(scheduler, &attribution) == FOL_OK) {
            CHECK(attribution.lock_waits <= attribution.locks && attribution.locks > 0);
            CHECK(attribution.choices.idle_picks <= attribution.choices.picks);
        }
        (void)fol_scheduler_read_context(scheduler, 1 + round % KEYS, &stats);
        (void)fol_scheduler_take_notice(scheduler, 1 + round % KEYS, &notice);
        if (own->revokes && round % 64 == 63) {
            int status = fol_scheduler_revoke(scheduler, 1 + (round / 64) % 3);
            CHECK(status == 0 || status == FOL_E_STALE || status == FOL_E_MISSING);
        }
    }
    return NULL;
}

/* Frames with a thread beside them; every error must be one of those that revoking brings. */
static void run_beside(const char *backend, uint64_t seed, bool revokes, bool interrupts)
{
    static model m;
    actor actors[SYSTEMS_MAX];
    uint64_t random = seed;
    uint32_t count;
    lottery lots;
    fol_policy_slots slots;
    pthread_t thread;
    draw_actors(&random, actors, &count);
    for (uint32_t i = 0; i < count; i++) {
        actors[i].fails_every = 0;
        actors[i].interrupts_every = interrupts && i % 3 == 0 ? 2 : 0;
    }
    describe(&m, actors, count);
    open_world(&m, seed, 400);
    open_governed(&m, backend, &random, &lots, &slots);
    bystander beside = {.m = &m, .revokes = revokes};
    CHECK_EQ(pthread_create(&thread, NULL, look_on, &beside), 0);
    for (uint32_t frame = 0; frame < 3 * FRAMES; frame++) {
        m.host.pending = interrupts && frame % 4 == 3;
        int status = model_tick(&m, 0.1);
        const fol_frame *result = fol_scheduler_frame(m.scheduler);
        CHECK(status == 0 || (interrupts && status == FOL_E_INTERRUPTED));
        for (uint32_t i = 0; i < result->error_count; i++) {
            CHECK(result->errors[i].is_merge ||
                  (revokes && result->errors[i].status == FOL_E_STALE));
        }
        fol_world_invariants(m.world);
    }
    beside.is_over = true;
    pthread_join(thread, NULL);
    check_dispatcher(&m);
    CHECK_EQ(m.host.bad_calls, 0);
    close_model(&m);
}

static void test_readers_revokes_and_interrupts_come_at_any_time(void)
{
    uint64_t first = setting("FOLIOT_FUZZ_SEED", 1);
    uint64_t cases = setting("FOLIOT_FUZZ_CASES", CASES);
    for (uint64_t seed = first; seed < first + cases; seed++) {
        int failures = check_failures;
        const char *backend = backends[seed % BACKENDS];
        run_beside(backend, seed, false, false);
        run_beside(backend, seed, true, false);
        run_beside(backend, seed, seed % 2 == 0, true);
        if (check_failures != failures) {
            fprintf(stderr, "seed %llu, %s\n", (unsigned long long)seed, backend);
        }
    }
}

int main(void)
{
    RUN(test_budgets_and_policies_change_when_but_not_what);
    RUN(test_readers_revokes_and_interrupts_come_at_any_time);
    CHECK_MAIN_END();
}
