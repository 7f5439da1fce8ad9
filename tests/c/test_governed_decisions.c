/* Live and by hand the same decisions: frames on the blocking backend under a virtual clock, and a
 * plain loop that makes the same calls of a dispatcher of its own for the same arrivals.
 *
 * FOLIOT_FUZZ_CASES and FOLIOT_FUZZ_SEED choose how many cases to run and where to start.
 */

#include "budget_fixture.h"
#include "draw.h"
#include "frame/budget.h"
#include "policy/dispatcher_state.h"

#define CASES  300
#define FRAMES 12
#define KEYS   4

static fol_system_budget budgets[KEYS];
static const char *const names[MAX_SYSTEMS] = {"a", "b", "c", "d", "e", "f", "g", "h"};

typedef struct task {
    uint32_t id;
    bool has_job;
    uint32_t left; /* pieces */
} task;

/* The plain loop's side. */
typedef struct plain {
    fol_dispatcher *dispatcher;
    fol_virtual_clock clock;
    task tasks[MAX_SYSTEMS];
    uint32_t count;
    const costly *costs;
} plain;

static void draw_budgets(uint64_t *random)
{
    for (uint32_t i = 0; i < KEYS; i++) {
        int64_t budget = 50 + draw_below(random, 400);
        budgets[i] = context_of(i + 1, budget, budget + draw_below(random, 3000),
                                (fol_overrun)draw_below(random, FOL_OVERRUN_POLICIES));
        budgets[i].context.kind = (fol_context_kind)draw_below(random, FOL_CONTEXT_KINDS);
        if (i == KEYS - 1) {
            budgets[i] = group_of(i + 1, 1 + draw_below(random, 4096));
        }
    }
}

/* A dispatcher like the live one, with the same contexts, groups and runnables, in their order. */
static void open_plain(plain *p, fixture *f)
{
    fol_frame_budget *live = fol_budget_of_any(f->scheduler);
    const fol_budget_program *program = f->scheduler->program->budget;
    int64_t now;
    uint64_t contexts[KEYS + 1] = {0};
    uint32_t groups[KEYS + 1] = {0};
    CHECK_EQ(fol_governor_lock(live->governor, &now), 0);
    const fol_dispatcher *source = fol_governor_dispatcher(live->governor);
    CHECK_EQ(fol_dispatcher_create(&source->config, &p->dispatcher), 0);
    fol_virtual_clock_init(&p->clock, (uint64_t)now);
    p->count = f->count;
    for (uint32_t i = 0; i < f->count; i++) {
        const fol_system_budget *b = f->systems[i].budget;
        if (b != NULL && b->is_group && groups[b->key] == 0) {
            const fol_group_options options = {.weight = b->weight, .latency = b->latency};
            CHECK_EQ(fol_dispatcher_add_group(p->dispatcher, &options, &groups[b->key]), 0);
        } else if (b != NULL && !b->is_group && contexts[b->key] == 0) {
            CHECK_EQ(fol_dispatcher_add_context(p->dispatcher, &b->context, now, &contexts[b->key]),
                     0);
        }
        uint32_t node = f->scheduler->program->node_of_system[i];
        const fol_runnable_view *view = fol_dispatcher_view(
            source, program->governed.lanes[program->governed.nodes[node].first]);
        const fol_runnable_options options = {.weight = view->weight,
                                              .latency = view->latency,
                                              .group = b == NULL ? 0 : groups[b->key],
                                              .priority = view->priority,
                                              .period = view->period,
                                              .context = b == NULL ? 0 : contexts[b->key]};
        CHECK_EQ(fol_dispatcher_add(p->dispatcher, &options, &p->tasks[i].id), 0);
        p->tasks[i].has_job = false;
    }
    fol_governor_unlock(live->governor);
}

static int64_t plain_now(plain *p)
{
    fol_clock face = fol_virtual_clock_face(&p->clock);
    return (int64_t)face.now_ns(face.state);
}

static task *task_of(plain *p, uint32_t id)
{
    task *found = NULL;
    for (uint32_t i = 0; i < p->count; i++) {
        found = p->tasks[i].id == id ? &p->tasks[i] : found;
    }
    return found;
}

/* A kill takes the context from everybody. */
static void bury(plain *p)
{
    for (uint32_t i = 0; i < p->count; i++) {
        const fol_runnable_view *view = fol_dispatcher_view(p->dispatcher, p->tasks[i].id);
        fol_context_stats stats;
        if (p->costs[i].f->systems[i].budget != NULL &&
            !p->costs[i].f->systems[i].budget->is_group &&
            (view->context == 0 ||
             fol_dispatcher_context_stats(p->dispatcher, view->context, &stats) == FOL_E_STALE)) {
            p->tasks[i].has_job = false;
        }
    }
}

static bool has_work(const plain *p)
{
    bool has = false;
    for (uint32_t i = 0; i < p->count; i++) {
        has = has || p->tasks[i].has_job;
    }
    return has;
}

static void run_granted(plain *p, fol_grant *grant)
{
    task *t = task_of(p, grant->runnable);
    int64_t cost = p->costs[t - p->tasks].cost;
    fol_ran ran = FOL_RAN_ON;
    while (ran == FOL_RAN_ON) {
        t->left--;
        fol_virtual_clock_advance(&p->clock, (uint64_t)cost);
        int64_t now = plain_now(p);
        fol_dispatcher_advance(p->dispatcher, now);
        ran = fol_dispatcher_ran(p->dispatcher, 0, cost, now,
                                 t->left > 0 ? FOL_POINT_MORE : FOL_POINT_DONE, grant);
    }
    t->has_job = ran == FOL_RAN_OFF;
    if (ran == FOL_RAN_DROPPED) {
        bury(p);
    }
}

static void tick_plain(plain *p)
{
    int64_t now = plain_now(p);
    fol_dispatcher_advance(p->dispatcher, now);
    for (uint32_t i = 0; i < p->count; i++) {
        const fol_job_options job = {.release = now, .deadline = FOL_TIME_NEVER};
        p->tasks[i].has_job =
            fol_dispatcher_release(p->dispatcher, p->tasks[i].id, &job, now) == FOL_RELEASE_TAKEN;
        p->tasks[i].left = PIECES;
    }
    while (has_work(p)) {
        fol_grant grant;
        now = plain_now(p);
        fol_dispatcher_advance(p->dispatcher, now);
        if (fol_dispatcher_pick(p->dispatcher, 0, now, &grant)) {
            run_granted(p, &grant);
        } else {
            int64_t next = fol_dispatcher_next(p->dispatcher);
            if (!CHECK(next > now && next < FOL_TIME_NEVER)) {
                return;
            }
            fol_virtual_clock_advance(&p->clock, (uint64_t)(next - now));
        }
    }
}

static bool same_decision(const fol_decision *a, const fol_decision *b)
{
    return CHECK_EQ(a->now, b->now) & CHECK_EQ(a->kind, b->kind) &
           CHECK_EQ(a->runnable, b->runnable) & CHECK_EQ(a->cpu, b->cpu) &
           CHECK_EQ(a->other, b->other) & CHECK_EQ(a->job, b->job) &
           CHECK_EQ(a->numbers[0], b->numbers[0]) & CHECK_EQ(a->numbers[1], b->numbers[1]) &
           CHECK_EQ(a->numbers[2], b->numbers[2]);
}

/* All that are kept on both sides; returns how many there were. */
static uint64_t compare(plain *p, fixture *f)
{
    fol_frame_budget *live = fol_budget_of_any(f->scheduler);
    int64_t now;
    uint64_t first[2];
    uint64_t end[2];
    CHECK_EQ(fol_governor_lock(live->governor, &now), 0);
    const fol_dispatcher *own = fol_governor_dispatcher(live->governor);
    fol_dispatcher_records(own, &first[0], &end[0]);
    fol_dispatcher_records(p->dispatcher, &first[1], &end[1]);
    CHECK_EQ(end[0], end[1]);
    CHECK_EQ(first[0], first[1]);
    bool is_same = true;
    for (uint64_t i = first[0]; i < end[0] && i < end[1] && is_same; i++) {
        is_same =
            same_decision(fol_dispatcher_record(own, i), fol_dispatcher_record(p->dispatcher, i));
    }
    fol_governor_unlock(live->governor);
    return end[0];
}

static uint64_t run_case(uint64_t seed)
{
    fixture f;
    static piece_log log;
    costly costs[MAX_SYSTEMS];
    plain p = {.costs = costs};
    uint64_t random = seed;
    int failures = check_failures;
    uint32_t count = 1 + draw_below(&random, MAX_SYSTEMS);
    setup(&f);
    log.count = 0;
    draw_budgets(&random);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t key = draw_below(&random, KEYS + 2);
        fol_system *system =
            add_costly(&f, &costs[i], &log, names[i], -1, 1 + draw_below(&random, 300),
                       key < KEYS ? &budgets[key] : NULL);
        f.terms[i][0] = (fol_term){f.position, FOL_TERM_READ};
        f.queries[i].count = 1;
        system->queries = &f.queries[i];
    }
    f.config.errors = FOL_ERRORS_CONTINUE;
    f.config.policy.is_chosen = true;
    f.config.policy.kind = (fol_policy_kind)draw_below(&random, FOL_POLICY_KINDS);
    start_costly(&f);
    open_plain(&p, &f);
    for (uint32_t frame = 0; frame < FRAMES; frame++) {
        CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
        tick_plain(&p);
        CHECK_EQ(plain_now(&p), time_of(&f));
        uint64_t pause = draw_below(&random, 3000);
        fol_virtual_clock_advance(&f.clock, pause);
        fol_virtual_clock_advance(&p.clock, pause);
        if (check_failures != failures) {
            break;
        }
    }
    uint64_t decisions = compare(&p, &f);
    if (check_failures != failures) {
        fprintf(stderr, "seed %llu\n", (unsigned long long)seed);
    }
    fol_dispatcher_destroy(p.dispatcher);
    teardown(&f);
    return decisions;
}

static void test_frames_decide_what_a_plain_loop_decides(void)
{
    uint64_t first = setting("FOLIOT_FUZZ_SEED", 1);
    uint64_t cases = setting("FOLIOT_FUZZ_CASES", CASES);
    uint64_t decisions = 0;
    for (uint64_t seed = first; seed < first + cases && check_failures == 0; seed++) {
        decisions += run_case(seed);
    }
    CHECK(decisions > cases * 20);
}

int main(void)
{
    RUN(test_frames_decide_what_a_plain_loop_decides);
    CHECK_MAIN_END();
}
