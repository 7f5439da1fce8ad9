/* Teams at rest: who is woken by what, the source and its rule for the caller, several teams on one
 * pool, and what can be seen from outside. */

#include "team_support.h"

typedef struct outsider {
    crowd *crowd;
    counted_job *jobs;
    uint32_t count;
    fol_latch *latch;
    atomic_bool is_over;
} outsider;

/* Each job is published when nobody is left who looks for one. */
static void *inject_when_all_are_parked(void *argument)
{
    outsider *o = argument;
    for (uint32_t i = 0; i < o->count; i++) {
        SPIN_UNTIL(fol_event_count_waiters(&o->crowd->team->caller.event) == 1 &&
                   all_are_parked(o->crowd->pool));
        CHECK(fol_team_inject(o->crowd->team, &o->jobs[i].job));
        SPIN_UNTIL(atomic_load(&o->jobs[i].runs) == 1);
    }
    return NULL;
}

static void test_an_injected_job_wakes_a_team_that_is_wholly_parked(void)
{
    for (uint32_t workers = 1; workers <= 4; workers++) {
        crowd c;
        fol_latch latch;
        pthread_t thread;
        setup(&c, workers);
        fol_latch_init(&latch, 200);
        outsider o = {.crowd = &c, .jobs = make_jobs(&c, 200, &latch), .count = 200};
        CHECK_EQ(pthread_create(&thread, NULL, inject_when_all_are_parked, &o), 0);
        fol_worker_wait(c.caller, &latch);
        pthread_join(thread, NULL);
        check_each_ran(o.jobs, 200, 1);
        teardown(&c);
        free(o.jobs);
    }
}

static void test_helpers_run_what_is_injected_while_the_caller_is_elsewhere(void)
{
    enum { JOBS = 2000 };
    crowd c;
    setup(&c, 3);
    counted_job *jobs = make_jobs(&c, JOBS, NULL);
    /* One at a time, so each meets helpers on their way to rest. */
    for (uint32_t i = 0; i < JOBS; i++) {
        CHECK(fol_team_inject(c.team, &jobs[i].job));
        if (!SPIN_UNTIL(atomic_load(&jobs[i].runs) == 1)) {
            break;
        }
    }
    teardown(&c);
    check_each_ran(jobs, JOBS, 1);
    free(jobs);
}

static void *open_latch(void *argument)
{
    outsider *o = argument;
    SPIN_UNTIL(fol_event_count_waiters(&o->crowd->team->caller.event) == 1);
    fol_latch_count_down(o->latch, o->crowd->team, 1);
    return NULL;
}

static void test_a_latch_that_opens_wakes_who_waits_for_it(void)
{
    crowd c;
    setup(&c, 2);
    for (uint32_t round = 0; round < 100; round++) {
        fol_latch latch;
        pthread_t thread;
        outsider o = {.crowd = &c, .latch = &latch};
        fol_latch_init(&latch, 1);
        CHECK_EQ(pthread_create(&thread, NULL, open_latch, &o), 0);
        fol_worker_wait(c.caller, &latch);
        pthread_join(thread, NULL);
    }
    teardown(&c);
}

/* A job that goes on until another has run, which only another thread can run. */
static void wait_for_next(counted_job *self, fol_worker *worker)
{
    counted_job *next = self->state;
    (void)worker;
    if (next != NULL) {
        SPIN_UNTIL(atomic_load(&next->runs) == 1);
    }
}

static void *inject_all(void *argument)
{
    outsider *o = argument;
    for (uint32_t i = 0; i < o->count; i++) {
        SPIN_UNTIL(fol_team_inject(o->crowd->team, &o->jobs[i].job));
    }
    return NULL;
}

static void test_more_workers_than_processors_end_all_the_same(void)
{
    enum { JOBS = 3000 };
    crowd c;
    fol_latch latch;
    pthread_t thread;
    setup(&c, 8);
    for (uint32_t round = 0; round < 5; round++) {
        fol_latch_init(&latch, 2 * JOBS);
        counted_job *jobs = make_jobs(&c, 2 * JOBS, &latch);
        outsider o = {.crowd = &c, .jobs = jobs + JOBS, .count = JOBS};
        CHECK_EQ(pthread_create(&thread, NULL, inject_all, &o), 0);
        for (uint32_t i = 0; i < JOBS; i++) {
            CHECK_EQ(fol_worker_push(c.caller, &jobs[i].job), 0);
        }
        fol_worker_wait(c.caller, &latch);
        pthread_join(thread, NULL);
        check_each_ran(jobs, 2 * JOBS, 1);
        free(jobs);
    }
    teardown(&c);
}

static void *drive_team(void *argument)
{
    fol_pool *pool = argument;
    for (uint32_t round = 0; round < 30; round++) {
        crowd c = {.pool = pool};
        fol_latch latch;
        fol_team_config config = {.workers = 3, .seed = round};
        CHECK_EQ(fol_team_create(pool, &config, &c.team), 0);
        c.caller = fol_team_worker(c.team, 0);
        fol_latch_init(&latch, 300);
        counted_job *jobs = make_jobs(&c, 300, &latch);
        for (uint32_t i = 0; i < 300; i++) {
            CHECK_EQ(fol_worker_push(c.caller, &jobs[i].job), 0);
        }
        fol_worker_wait(c.caller, &latch);
        check_each_ran(jobs, 300, 1);
        fol_team_destroy(c.team);
        free(jobs);
    }
    return NULL;
}

static void test_teams_come_and_go_on_one_pool_from_several_threads(void)
{
    for (uint32_t helpers = 0; helpers <= 3; helpers++) {
        fol_pool *pool;
        pthread_t threads[3];
        int refused;
        CHECK_EQ(fol_pool_create(&pool), 0);
        CHECK_EQ(fol_pool_grow(pool, helpers, &refused), helpers);
        for (uint32_t i = 0; i < 3; i++) {
            CHECK_EQ(pthread_create(&threads[i], NULL, drive_team, pool), 0);
        }
        for (uint32_t i = 0; i < 3; i++) {
            pthread_join(threads[i], NULL);
        }
        fol_pool_destroy(pool);
    }
}

typedef struct places {
    atomic_uint at_once;
    atomic_uint most;
} places;

static void count_at_once(counted_job *self, fol_worker *worker)
{
    places *p = self->state;
    (void)worker;
    unsigned now = atomic_fetch_add(&p->at_once, 1) + 1;
    unsigned most = atomic_load(&p->most);
    while (most < now && !atomic_compare_exchange_weak(&p->most, &most, now)) {
    }
    for (uint32_t i = 0; i < 10; i++) {
        sched_yield();
    }
    atomic_fetch_sub(&p->at_once, 1);
}

static void test_a_team_gets_no_more_helpers_than_it_has_places(void)
{
    crowd c;
    fol_latch latch;
    places p = {0};
    fol_team_config config = {.workers = 3};
    setup_with(&c, 6, &config);
    fol_latch_init(&latch, 500);
    counted_job *jobs = make_jobs(&c, 500, &latch);
    for (uint32_t i = 0; i < 500; i++) {
        jobs[i].function = count_at_once;
        jobs[i].state = &p;
        CHECK_EQ(fol_worker_push(c.caller, &jobs[i].job), 0);
    }
    fol_worker_wait(c.caller, &latch);
    CHECK(atomic_load(&p.most) <= 3);
    teardown(&c);
    free(jobs);
}

/* A source of one job at a time, for the caller unless it is busy. */
typedef struct lane {
    fol_team *team;
    FOL_ATOMIC(fol_job *) ready;
} lane;

static bool lane_is_for(lane *l, const fol_worker *worker)
{
    return fol_worker_place(worker) == 0 || fol_team_caller_is_busy(l->team);
}

static fol_job *take_from_lane(void *state, fol_worker *worker)
{
    lane *l = state;
    if (l->team == NULL || !lane_is_for(l, worker)) {
        return NULL;
    }
    return atomic_exchange(&l->ready, NULL);
}

static bool lane_is_ready(void *state, fol_worker *worker)
{
    lane *l = state;
    return l->team != NULL && atomic_load(&l->ready) != NULL && lane_is_for(l, worker);
}

static void setup_lane(crowd *c, lane *l, uint32_t workers)
{
    fol_team_config config = {
        .workers = workers,
        .source = {.state = l, .take = take_from_lane, .is_ready = lane_is_ready}};
    l->team = NULL;
    atomic_init(&l->ready, NULL);
    setup_with(c, workers - 1, &config);
    l->team = c->team;
}

static void test_the_caller_looks_at_the_source_before_its_own_jobs(void)
{
    crowd c;
    lane l;
    setup_lane(&c, &l, 1);
    counted_job *jobs = make_jobs(&c, 2, NULL);
    CHECK_EQ(fol_worker_push(c.caller, &jobs[0].job), 0);
    atomic_store(&l.ready, &jobs[1].job);
    CHECK(fol_worker_run_one(c.caller));
    CHECK_EQ(atomic_load(&jobs[1].runs), 1);
    CHECK_EQ(atomic_load(&jobs[0].runs), 0);
    CHECK(fol_worker_run_one(c.caller));
    CHECK_EQ(atomic_load(&jobs[0].runs), 1);
    CHECK(!fol_team_caller_is_busy(c.team));
    teardown(&c);
    free(jobs);
}

/* Runs on the caller; its lane job can run on a helper only. */
static void feed_lane(counted_job *self, fol_worker *worker)
{
    lane *l = self->state;
    if (fol_worker_place(worker) != 0) {
        return;
    }
    CHECK(fol_team_caller_is_busy(l->team));
    counted_job *job = self + 1;
    atomic_store(&l->ready, &job->job);
    fol_team_notify(l->team);
    SPIN_UNTIL(atomic_load(&job->runs) == 1);
}

static void test_a_helper_takes_from_the_source_while_the_caller_is_busy(void)
{
    crowd c;
    lane l;
    setup_lane(&c, &l, 2);
    for (uint32_t round = 0; round < 300; round++) {
        counted_job *jobs = make_jobs(&c, 2, NULL);
        jobs[0].function = feed_lane;
        jobs[0].state = &l;
        /* Straight from the caller, so that no helper gets in between. */
        fol_worker_run(c.caller, &jobs[0].job);
        fol_worker_clear_busy(c.caller);
        teardown(&c);
        free(jobs);
        setup_lane(&c, &l, 2);
    }
    teardown(&c);
}

static void look_whether_busy(counted_job *self, fol_worker *worker)
{
    *(bool *)self->state = fol_team_caller_is_busy(fol_worker_team(worker));
}

static void test_a_job_run_unseen_does_not_tell_that_the_caller_is_busy(void)
{
    crowd c;
    bool is_busy = true;
    setup(&c, 1);
    counted_job *jobs = make_jobs(&c, 1, NULL);
    jobs[0].function = look_whether_busy;
    jobs[0].state = &is_busy;
    fol_worker_run_unseen(c.caller, &jobs[0].job);
    CHECK_EQ(atomic_load(&jobs[0].runs), 1);
    CHECK(!is_busy);
    teardown(&c);
    free(jobs);
}

static void occupy(counted_job *self, fol_worker *worker)
{
    (void)worker;
    SPIN_UNTIL(atomic_load((atomic_uint *)self->state) == 1);
}

static void test_a_caller_that_becomes_busy_hands_the_source_to_a_helper(void)
{
    crowd c;
    lane l;
    setup_lane(&c, &l, 2);
    for (uint32_t round = 0; round < 300; round++) {
        counted_job *jobs = make_jobs(&c, 2, NULL);
        jobs[0].function = occupy;
        jobs[0].state = &jobs[1].runs;
        /* Nobody is told: the caller is there, and would look next. Nobody else is awake. */
        SPIN_UNTIL(all_are_parked(c.pool));
        atomic_store(&l.ready, &jobs[1].job);
        fol_worker_run(c.caller, &jobs[0].job);
        fol_worker_clear_busy(c.caller);
        CHECK_EQ(atomic_load(&jobs[1].runs), 1);
        SPIN_UNTIL(sum_jobs(c.team) == 2 * (round + 1));
        free(jobs);
    }
    teardown(&c);
}

static void *feed_parked_caller(void *argument)
{
    outsider *o = argument;
    lane *l = o->crowd->team->source.state;
    for (uint32_t i = 0; i < o->count; i++) {
        SPIN_UNTIL(fol_event_count_waiters(&o->crowd->team->caller.event) == 1);
        /* As if a helper searched, which leaves the source to the caller. */
        fol_atomic_fetch_add(&o->crowd->team->searchers, 1, memory_order_relaxed);
        atomic_store(&l->ready, &o->jobs[i].job);
        fol_team_notify(o->crowd->team);
        SPIN_UNTIL(atomic_load(&o->jobs[i].runs) == 1);
        fol_atomic_fetch_sub(&o->crowd->team->searchers, 1, memory_order_relaxed);
    }
    return NULL;
}

static void test_a_notify_wakes_the_parked_caller_for_the_source(void)
{
    crowd c;
    lane l;
    fol_latch latch;
    pthread_t thread;
    setup_lane(&c, &l, 3);
    fol_latch_init(&latch, 200);
    outsider o = {.crowd = &c, .jobs = make_jobs(&c, 200, &latch), .count = 200};
    CHECK_EQ(pthread_create(&thread, NULL, feed_parked_caller, &o), 0);
    fol_worker_wait(c.caller, &latch);
    pthread_join(thread, NULL);
    check_each_ran(o.jobs, 200, 1);
    teardown(&c);
    free(o.jobs);
}

/* A job on a helper that waits for a latch of its own. */
static void wait_inside(counted_job *self, fol_worker *worker)
{
    CHECK(fol_worker_place(worker) != 0);
    fol_worker_wait(worker, self->state);
}

static void *feed_caller_beside_a_waiting_helper(void *argument)
{
    outsider *o = argument;
    fol_team *team = o->crowd->team;
    lane *l = team->source.state;
    fol_latch *inner = o->jobs[0].state;
    CHECK(fol_team_inject(team, &o->jobs[0].job));
    SPIN_UNTIL(fol_event_count_waiters(&team->nested.event) == 1);
    atomic_store(&o->is_over, true);
    SPIN_UNTIL(fol_event_count_waiters(&team->caller.event) == 1);
    atomic_store(&l->ready, &o->jobs[1].job);
    fol_team_notify(team);
    SPIN_UNTIL(atomic_load(&o->jobs[1].runs) == 1);
    fol_latch_count_down(inner, team, 1);
    return NULL;
}

static void test_a_notify_reaches_the_caller_past_a_helper_that_waits(void)
{
    for (uint32_t round = 0; round < 50; round++) {
        crowd c;
        lane l;
        fol_latch latch;
        fol_latch inner;
        pthread_t thread;
        setup_lane(&c, &l, 2);
        fol_latch_init(&latch, 2);
        fol_latch_init(&inner, 1);
        outsider o = {.crowd = &c, .jobs = make_jobs(&c, 2, &latch)};
        o.jobs[0].function = wait_inside;
        o.jobs[0].state = &inner;
        CHECK_EQ(pthread_create(&thread, NULL, feed_caller_beside_a_waiting_helper, &o), 0);
        /* Not before the helper has its job, which would be the caller's else. */
        SPIN_UNTIL(atomic_load(&o.is_over));
        fol_worker_wait(c.caller, &latch);
        pthread_join(thread, NULL);
        check_each_ran(o.jobs, 2, 1);
        teardown(&c);
        free(o.jobs);
    }
}

static void count_poll(void *state)
{
    atomic_fetch_add((atomic_uint *)state, 1);
}

static void *open_after_polls(void *argument)
{
    outsider *o = argument;
    atomic_uint *polls = o->crowd->team->poll_state;
    SPIN_UNTIL(atomic_load(polls) >= 5);
    fol_latch_count_down(o->latch, o->crowd->team, 1);
    return NULL;
}

static void test_a_waiting_caller_polls_though_nothing_happens(void)
{
    crowd c;
    fol_latch latch;
    pthread_t thread;
    atomic_uint polls = 0;
    fol_team_config config = {
        .workers = 2, .poll = count_poll, .poll_state = &polls, .poll_ns = 100000};
    setup_with(&c, 1, &config);
    fol_latch_init(&latch, 1);
    outsider o = {.crowd = &c, .latch = &latch};
    CHECK_EQ(pthread_create(&thread, NULL, open_after_polls, &o), 0);
    fol_worker_wait(c.caller, &latch);
    pthread_join(thread, NULL);
    CHECK(atomic_load(&polls) >= 5);
    teardown(&c);
}

static void push_until_polled(counted_job *self, fol_worker *worker)
{
    if (atomic_load((atomic_uint *)self->state) < 5) {
        CHECK_EQ(fol_worker_push(worker, &self->job), 0);
    } else {
        fol_latch_count_down(self->latch, self->team, 1);
    }
}

static void run_uncounted(fol_job *job, fol_worker *worker)
{
    counted_job *self = (counted_job *)job;
    self->function(self, worker);
}

static void test_a_caller_polls_between_jobs(void)
{
    crowd c;
    fol_latch latch;
    atomic_uint polls = 0;
    fol_team_config config = {
        .workers = 1, .poll = count_poll, .poll_state = &polls, .poll_ns = 50000};
    setup_with(&c, 0, &config);
    fol_latch_init(&latch, 1);
    counted_job *job = make_jobs(&c, 1, &latch);
    job->job.run = run_uncounted;
    job->function = push_until_polled;
    job->state = &polls;
    CHECK_EQ(fol_worker_push(c.caller, &job->job), 0);
    fol_worker_wait(c.caller, &latch);
    CHECK(atomic_load(&polls) >= 5);
    teardown(&c);
    free(job);
}

static void *read_counters(void *argument)
{
    outsider *o = argument;
    uint64_t before = 0;
    while (!atomic_load(&o->is_over)) {
        uint64_t now = sum_jobs(o->crowd->team);
        CHECK(now >= before);
        before = now;
    }
    return NULL;
}

static void test_counters_are_read_while_workers_work(void)
{
    enum { JOBS = 20000 };
    crowd c;
    fol_latch latch;
    pthread_t thread;
    setup(&c, 4);
    outsider o = {.crowd = &c};
    fol_latch_init(&latch, JOBS);
    counted_job *jobs = make_jobs(&c, JOBS, &latch);
    CHECK_EQ(pthread_create(&thread, NULL, read_counters, &o), 0);
    for (uint32_t i = 0; i < JOBS; i++) {
        CHECK_EQ(fol_worker_push(c.caller, &jobs[i].job), 0);
    }
    fol_worker_wait(c.caller, &latch);
    atomic_store(&o.is_over, true);
    pthread_join(thread, NULL);
    SPIN_UNTIL(sum_jobs(c.team) == JOBS);
    for (uint32_t place = 0; place < 4; place++) {
        fol_worker_counters counters;
        fol_team_read_worker(c.team, place, &counters);
        CHECK_EQ(counters.queue_depth, 0);
        CHECK(counters.largest_batch <= 8);
        CHECK(counters.steal_attempts >= counters.steal_misses + counters.contended);
    }
    teardown(&c);
    free(jobs);
}

static void test_a_trace_gets_steals_and_parks(void)
{
    crowd c;
    fol_latch latch;
    fol_trace_record records[512];
    fol_team_config config = {.workers = 2};
    uint64_t lost;
    uint32_t kinds[FOL_TRACE_KINDS] = {0};
    CHECK_EQ(fol_trace_create(2, 512, &config.trace), 0);
    setup_with(&c, 1, &config);
    for (uint32_t round = 0; round < 50; round++) {
        fol_latch_init(&latch, 2);
        counted_job *jobs = make_jobs(&c, 2, &latch);
        jobs[1].function = wait_for_next;
        jobs[1].state = &jobs[0];
        CHECK_EQ(fol_worker_push(c.caller, &jobs[0].job), 0);
        CHECK_EQ(fol_worker_push(c.caller, &jobs[1].job), 0);
        fol_worker_wait(c.caller, &latch);
        SPIN_UNTIL(all_are_parked(c.pool));
        free(jobs);
    }
    fol_team_destroy(c.team);
    size_t count = fol_trace_read(config.trace, 1, records, 512, &lost);
    for (size_t i = 0; i < count; i++) {
        CHECK(records[i].end_cycles >= records[i].start_cycles);
        kinds[records[i].kind] += 1;
    }
    CHECK(kinds[FOL_TRACE_STEAL] > 0);
    CHECK(kinds[FOL_TRACE_PARK] > 0);
    fol_pool_destroy(c.pool);
    fol_trace_destroy(config.trace);
}

int main(void)
{
    RUN(test_an_injected_job_wakes_a_team_that_is_wholly_parked);
    RUN(test_helpers_run_what_is_injected_while_the_caller_is_elsewhere);
    RUN(test_a_latch_that_opens_wakes_who_waits_for_it);
    RUN(test_more_workers_than_processors_end_all_the_same);
    RUN(test_teams_come_and_go_on_one_pool_from_several_threads);
    RUN(test_a_team_gets_no_more_helpers_than_it_has_places);
    RUN(test_the_caller_looks_at_the_source_before_its_own_jobs);
    RUN(test_a_helper_takes_from_the_source_while_the_caller_is_busy);
    RUN(test_a_job_run_unseen_does_not_tell_that_the_caller_is_busy);
    RUN(test_a_caller_that_becomes_busy_hands_the_source_to_a_helper);
    RUN(test_a_notify_wakes_the_parked_caller_for_the_source);
    RUN(test_a_notify_reaches_the_caller_past_a_helper_that_waits);
    RUN(test_a_waiting_caller_polls_though_nothing_happens);
    RUN(test_a_caller_polls_between_jobs);
    RUN(test_counters_are_read_while_workers_work);
    RUN(test_a_trace_gets_steals_and_parks);
    CHECK_MAIN_END();
}
