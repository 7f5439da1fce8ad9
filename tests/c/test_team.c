/* Teams: every job runs once wherever it was published, order and fairness, waiting and waking. */

#include "team_support.h"

static void test_a_team_without_sense_is_refused(void)
{
    fol_pool *pool;
    fol_team *team = NULL;
    fol_team_config none = {.workers = 0};
    fol_team_config many = {.workers = FOL_TEAM_MAX_WORKERS + 1};
    fol_team_config half = {.workers = 2,
                            .source.take = (fol_job * (*)(void *, fol_worker *)) abort};
    CHECK_EQ(fol_pool_create(&pool), 0);
    CHECK_EQ(fol_team_create(pool, &none, &team), -EINVAL);
    CHECK_EQ(fol_team_create(pool, &many, &team), -EINVAL);
    CHECK_EQ(fol_team_create(pool, &half, &team), -EINVAL);
    CHECK(team == NULL);
    fol_pool_destroy(pool);
}

static void test_a_team_that_runs_out_of_memory_leaves_nothing(void)
{
    fol_pool *pool;
    fol_team *team = NULL;
    fol_team_config config = {.workers = 3};
    fol_memory_stats before;
    fol_memory_stats after;
    int status = -ENOMEM;
    CHECK_EQ(fol_pool_create(&pool), 0);
    fol_memory_read_stats(&before);
    uint64_t n = 0;
    while (status == -ENOMEM && n < 100) {
        fol_memory_fail_nth(++n);
        status = fol_team_create(pool, &config, &team);
    }
    fol_memory_fail_nth(0);
    /* The team, the injector's cells, the workers, and a deque's array each. */
    CHECK_EQ(n, 7);
    CHECK_EQ(status, 0);
    fol_team_destroy(team);
    fol_memory_read_stats(&after);
    CHECK_EQ(after.live_blocks, before.live_blocks);
    fol_pool_destroy(pool);
}

static void test_any_number_of_teams_share_a_pool(void)
{
    enum { TEAMS = 50 };
    fol_pool *pool;
    fol_team *teams[TEAMS];
    counted_job *jobs[TEAMS];
    fol_team_config config = {.workers = 2, .deque_capacity = 64, .injector_capacity = 4};
    int refused;
    CHECK_EQ(fol_pool_create(&pool), 0);
    CHECK_EQ(fol_pool_grow(pool, 2, &refused), 2);
    for (uint32_t i = 0; i < TEAMS; i++) {
        CHECK_EQ(fol_team_create(pool, &config, &teams[i]), 0);
    }
    /* Each is found among all the others. */
    for (uint32_t i = 0; i < TEAMS; i++) {
        crowd c = {.pool = pool, .team = teams[i]};
        jobs[i] = make_jobs(&c, 1, NULL);
        CHECK(fol_team_inject(teams[i], &jobs[i]->job));
        SPIN_UNTIL(sum_jobs(teams[i]) == 1);
    }
    for (uint32_t i = 0; i < TEAMS; i++) {
        fol_team_destroy(teams[i]);
        free(jobs[i]);
    }
    fol_pool_destroy(pool);
}

static void test_the_list_of_teams_without_memory_refuses_one(void)
{
    enum { TEAMS = FOL_TEAM_ENTRIES };
    fol_pool *pool;
    fol_team *teams[TEAMS + 1] = {NULL};
    fol_team_config config = {.workers = 1, .deque_capacity = 64, .injector_capacity = 4};
    CHECK_EQ(fol_pool_create(&pool), 0);
    for (uint32_t i = 0; i < TEAMS; i++) {
        CHECK_EQ(fol_team_create(pool, &config, &teams[i]), 0);
    }
    fol_memory_fail_nth(5);
    CHECK_EQ(fol_team_create(pool, &config, &teams[TEAMS]), -ENOMEM);
    CHECK(!fol_memory_failure_is_armed());
    CHECK_EQ(fol_team_create(pool, &config, &teams[TEAMS]), 0);
    for (uint32_t i = 0; i <= TEAMS; i++) {
        fol_team_destroy(teams[i]);
    }
    fol_pool_destroy(pool);
}

/* How jobs of the next tests come to the team. */
typedef enum way { BY_PUSH, BY_PUSH_MANY, BY_OFFER_MANY, BY_INJECT, WAYS } way;

static void publish(crowd *c, counted_job *jobs, uint32_t count, way by)
{
    fol_job **many = calloc(count, sizeof(fol_job *));
    for (uint32_t i = 0; i < count; i++) {
        many[i] = &jobs[i].job;
        if (by == BY_PUSH) {
            CHECK_EQ(fol_worker_push(c->caller, many[i]), 0);
        } else if (by == BY_INJECT) {
            SPIN_UNTIL(fol_team_inject(c->team, many[i]));
        }
    }
    if (by == BY_PUSH_MANY) {
        CHECK_EQ(fol_worker_push_many(c->caller, many, count), 0);
    } else if (by == BY_OFFER_MANY) {
        CHECK_EQ(fol_worker_offer_many(c->caller, many, count), 0);
    }
    free(many);
}

static void test_every_job_runs_once(void)
{
    enum { JOBS = 5000 };
    for (uint32_t workers = 1; workers <= 8; workers += workers == 4 ? 4 : 1) {
        for (way by = BY_PUSH; by < WAYS; by++) {
            crowd c;
            fol_latch latch;
            uint32_t count = workers == 1 && by == BY_INJECT ? 1000 : JOBS;
            setup(&c, workers);
            fol_latch_init(&latch, count);
            counted_job *jobs = make_jobs(&c, count, &latch);
            publish(&c, jobs, count, by);
            fol_worker_wait(c.caller, &latch);
            check_each_ran(jobs, count, 1);
            teardown(&c);
            free(jobs);
        }
    }
}

static void test_a_full_injector_refuses_and_loses_nothing(void)
{
    crowd c;
    fol_latch latch;
    fol_team_config config = {.workers = 1, .injector_capacity = 4};
    setup_with(&c, 0, &config);
    fol_latch_init(&latch, 4);
    counted_job *jobs = make_jobs(&c, 5, &latch);
    for (uint32_t i = 0; i < 4; i++) {
        CHECK(fol_team_inject(c.team, &jobs[i].job));
    }
    CHECK(!fol_team_inject(c.team, &jobs[4].job));
    fol_worker_wait(c.caller, &latch);
    check_each_ran(jobs, 4, 1);
    CHECK_EQ(atomic_load(&jobs[4].runs), 0);
    teardown(&c);
    free(jobs);
}

static void test_a_push_without_memory_pushes_nothing(void)
{
    enum { FULL = 64 };
    crowd c;
    fol_job *many[2];
    fol_team_config config = {.workers = 1, .deque_capacity = FULL};
    setup_with(&c, 0, &config);
    counted_job *jobs = make_jobs(&c, FULL + 1, NULL);
    for (uint32_t i = 0; i < FULL - 1; i++) {
        CHECK_EQ(fol_worker_push(c.caller, &jobs[i].job), 0);
    }
    many[0] = &jobs[FULL - 1].job;
    many[1] = &jobs[FULL].job;
    fol_memory_fail_nth(1);
    CHECK_EQ(fol_worker_push_many(c.caller, many, 2), -ENOMEM);
    fol_memory_fail_nth(1);
    CHECK_EQ(fol_worker_offer_many(c.caller, many, 2), -ENOMEM);
    CHECK_EQ(fol_worker_push(c.caller, many[0]), 0);
    fol_memory_fail_nth(1);
    CHECK_EQ(fol_worker_push(c.caller, many[1]), -ENOMEM);
    while (fol_worker_run_one(c.caller)) {
    }
    check_each_ran(jobs, FULL, 1);
    CHECK_EQ(atomic_load(&jobs[FULL].runs), 0);
    teardown(&c);
    free(jobs);
}

/* Jobs that note in which order they ran. */
typedef struct order {
    uint32_t numbers[1024];
    uint32_t count;
} order;

static void note_order(counted_job *self, fol_worker *worker)
{
    order *o = self->state;
    (void)worker;
    if (o->count < 1024) {
        o->numbers[o->count++] = self->number;
    }
}

static void test_own_jobs_run_newest_first_or_oldest_first(void)
{
    for (uint32_t oldest = 0; oldest < 2; oldest++) {
        crowd c;
        order o = {.count = 0};
        setup(&c, 1);
        counted_job *jobs = make_jobs(&c, 10, NULL);
        fol_worker_set_oldest_first(c.caller, oldest == 1);
        for (uint32_t i = 0; i < 10; i++) {
            jobs[i].function = note_order;
            jobs[i].state = &o;
            CHECK_EQ(fol_worker_push(c.caller, &jobs[i].job), 0);
        }
        while (fol_worker_run_one(c.caller)) {
        }
        CHECK_EQ(o.count, 10);
        for (uint32_t i = 0; i < 10; i++) {
            CHECK_EQ(o.numbers[i], oldest ? i : 9 - i);
        }
        teardown(&c);
        free(jobs);
    }
}

/* A job that keeps itself until it ran `most` times. */
typedef struct keeper {
    order *order;
    uint32_t most;
} keeper;

static void keep_itself(counted_job *self, fol_worker *worker)
{
    keeper *k = self->state;
    counted_job noted = {.state = k->order, .number = self->number};
    note_order(&noted, worker);
    if (atomic_load(&self->runs) < k->most) {
        fol_worker_keep(worker, &self->job);
    } else {
        fol_latch_count_down(self->latch, self->team, 1);
    }
}

static void run_keeper(fol_job *job, fol_worker *worker)
{
    counted_job *self = (counted_job *)job;
    atomic_fetch_add(&self->runs, 1);
    keep_itself(self, worker);
}

static void test_a_kept_job_runs_next_but_no_more_than_three_times_in_a_row(void)
{
    crowd c;
    fol_latch latch;
    order o = {.count = 0};
    keeper k = {&o, 8};
    setup(&c, 1);
    fol_latch_init(&latch, 2);
    counted_job *jobs = make_jobs(&c, 2, &latch);
    jobs[0].job.run = run_keeper;
    jobs[0].state = &k;
    jobs[1].function = note_order;
    jobs[1].state = &o;
    /* Oldest first, so that the job that is pushed like any other comes after the one before. */
    fol_worker_set_oldest_first(c.caller, true);
    CHECK_EQ(fol_worker_push(c.caller, &jobs[0].job), 0);
    CHECK_EQ(fol_worker_push(c.caller, &jobs[1].job), 0);
    fol_worker_wait(c.caller, &latch);
    const uint32_t expected[] = {0, 0, 0, 0, 1, 0, 0, 0, 0};
    CHECK_EQ(o.count, 9);
    for (uint32_t i = 0; i < 9; i++) {
        CHECK_EQ(o.numbers[i], expected[i]);
    }
    teardown(&c);
    free(jobs);
}

static void test_what_a_job_kept_is_not_left_behind_by_run_one(void)
{
    crowd c;
    fol_latch latch;
    order o = {.count = 0};
    keeper k = {&o, 2};
    setup(&c, 1);
    fol_latch_init(&latch, 1);
    counted_job *job = make_jobs(&c, 1, &latch);
    job->job.run = run_keeper;
    job->state = &k;
    CHECK_EQ(fol_worker_push(c.caller, &job->job), 0);
    CHECK(fol_worker_run_one(c.caller));
    CHECK_EQ(fol_deque_public_count(&c.caller->deque), 1);
    CHECK(fol_worker_run_one(c.caller));
    CHECK(!fol_worker_run_one(c.caller));
    CHECK_EQ(atomic_load(&job->runs), 2);
    teardown(&c);
    free(job);
}

/* Jobs that push themselves again without end, until told. */
typedef struct chain {
    atomic_bool is_over;
    uint32_t runs; /* of all links; on one worker */
    uint32_t runs_at_end;
} chain;

static void push_itself(counted_job *self, fol_worker *worker)
{
    chain *endless = self->state;
    endless->runs += 1;
    if (!atomic_load_explicit(&endless->is_over, memory_order_relaxed)) {
        CHECK_EQ(fol_worker_push(worker, &self->job), 0);
    }
}

static void end_chain(counted_job *self, fol_worker *worker)
{
    chain *endless = self->state;
    (void)worker;
    endless->runs_at_end = endless->runs;
    atomic_store_explicit(&endless->is_over, true, memory_order_relaxed);
}

/* `ahead` jobs are before the last in the queue that the endless ones starve. */
static uint32_t count_runs_before_the_last(way by, uint32_t ahead)
{
    crowd c;
    fol_latch latch;
    chain endless = {.runs = 0};
    setup(&c, 1);
    fol_latch_init(&latch, ahead + 1);
    counted_job *jobs = make_jobs(&c, ahead + 1, &latch);
    counted_job *links = make_jobs(&c, 3, NULL);
    jobs[ahead].function = end_chain;
    jobs[ahead].state = &endless;
    publish(&c, jobs, ahead + 1, by);
    for (uint32_t i = 0; i < 3; i++) {
        links[i].function = push_itself;
        links[i].state = &endless;
        CHECK_EQ(fol_worker_push(c.caller, &links[i].job), 0);
    }
    fol_worker_wait(c.caller, &latch);
    check_each_ran(jobs, ahead + 1, 1);
    while (fol_worker_run_one(c.caller)) {
    }
    teardown(&c);
    free(jobs);
    free(links);
    return endless.runs_at_end;
}

static void test_an_endless_chain_starves_no_injected_job(void)
{
    for (uint32_t ahead = 0; ahead < 20; ahead += 1 + ahead / 3) {
        CHECK(count_runs_before_the_last(BY_INJECT, ahead) <= FOL_FAIR_INTERVAL * (ahead + 1));
    }
}

static void test_an_endless_chain_starves_no_job_of_the_same_deque(void)
{
    for (uint32_t ahead = 0; ahead < 20; ahead += 1 + ahead / 3) {
        CHECK(count_runs_before_the_last(BY_PUSH, ahead) <= FOL_FAIR_INTERVAL * (ahead + 1));
    }
}

static void run_chain_by_keeping(counted_job *self, fol_worker *worker)
{
    chain *endless = self->state;
    endless->runs += 1;
    if (!atomic_load_explicit(&endless->is_over, memory_order_relaxed)) {
        fol_worker_keep(worker, &self->job);
    }
}

static void test_an_endless_chain_of_kept_jobs_starves_nobody(void)
{
    crowd c;
    fol_latch latch;
    chain endless = {.runs = 0};
    setup(&c, 1);
    fol_latch_init(&latch, 2);
    counted_job *jobs = make_jobs(&c, 2, &latch);
    counted_job *link = make_jobs(&c, 1, NULL);
    CHECK_EQ(fol_worker_push(c.caller, &jobs[0].job), 0);
    jobs[1].function = end_chain;
    jobs[1].state = &endless;
    CHECK(fol_team_inject(c.team, &jobs[1].job));
    link->function = run_chain_by_keeping;
    link->state = &endless;
    CHECK_EQ(fol_worker_push(c.caller, &link->job), 0);
    fol_worker_wait(c.caller, &latch);
    CHECK(endless.runs_at_end <= FOL_FAIR_INTERVAL);
    while (fol_worker_run_one(c.caller)) {
    }
    teardown(&c);
    free(jobs);
    free(link);
}

static void nest_in_job(counted_job *self, fol_worker *worker)
{
    fol_latch latch;
    counted_job inner = {.job.run = run_counted, .latch = &latch, .team = self->team};
    fol_latch_init(&latch, 1);
    CHECK_EQ(fol_worker_push(worker, &inner.job), 0);
    fol_worker_wait(worker, &latch);
    CHECK_EQ(atomic_load(&inner.runs), 1);
}

static void test_a_job_may_wait_for_others(void)
{
    crowd c;
    fol_latch latch;
    setup(&c, 3);
    fol_latch_init(&latch, 200);
    counted_job *jobs = make_jobs(&c, 200, &latch);
    for (uint32_t i = 0; i < 200; i++) {
        jobs[i].function = nest_in_job;
        CHECK_EQ(fol_worker_push(c.caller, &jobs[i].job), 0);
    }
    fol_worker_wait(c.caller, &latch);
    check_each_ran(jobs, 200, 1);
    CHECK_EQ(sum_jobs(c.team), 400);
    teardown(&c);
    free(jobs);
}

static void test_a_wait_for_what_is_done_runs_nothing(void)
{
    crowd c;
    fol_latch latch;
    setup(&c, 1);
    fol_latch_init(&latch, 0);
    counted_job *job = make_jobs(&c, 1, NULL);
    CHECK_EQ(fol_worker_push(c.caller, &job->job), 0);
    fol_worker_wait(c.caller, &latch);
    CHECK_EQ(atomic_load(&job->runs), 0);
    CHECK(fol_worker_run_one(c.caller));
    teardown(&c);
    free(job);
}

static void test_workers_know_their_place_and_team(void)
{
    crowd c;
    setup(&c, 3);
    CHECK_EQ(fol_team_worker_count(c.team), 3);
    for (uint32_t place = 0; place < 3; place++) {
        const fol_worker *worker = fol_team_worker(c.team, place);
        CHECK_EQ(fol_worker_place(worker), place);
        CHECK(fol_worker_team(worker) == c.team);
    }
    teardown(&c);
}

int main(void)
{
    RUN(test_a_team_without_sense_is_refused);
    RUN(test_a_team_that_runs_out_of_memory_leaves_nothing);
    RUN(test_any_number_of_teams_share_a_pool);
    RUN(test_the_list_of_teams_without_memory_refuses_one);
    RUN(test_every_job_runs_once);
    RUN(test_a_full_injector_refuses_and_loses_nothing);
    RUN(test_a_push_without_memory_pushes_nothing);
    RUN(test_own_jobs_run_newest_first_or_oldest_first);
    RUN(test_a_kept_job_runs_next_but_no_more_than_three_times_in_a_row);
    RUN(test_what_a_job_kept_is_not_left_behind_by_run_one);
    RUN(test_an_endless_chain_starves_no_injected_job);
    RUN(test_an_endless_chain_starves_no_job_of_the_same_deque);
    RUN(test_an_endless_chain_of_kept_jobs_starves_nobody);
    RUN(test_a_job_may_wait_for_others);
    RUN(test_a_wait_for_what_is_done_runs_nothing);
    RUN(test_workers_know_their_place_and_team);
    CHECK_MAIN_END();
}
