/* Moments in which a wake could be lost: work that comes just when somebody parks, or leaves a
 * search, or sleeps before the branch that it waits for was begun. */

#include "base/rng.h"
#include "exec/parallel.h"
#include "team_support.h"

/* Nobody spins, so that the way from the end of a job to sleep is short, and all its moments are
 * met by chance. */
static void make_restless(crowd *c)
{
    c->pool->processors = 0;
}

static void dawdle(fol_rng *rng)
{
    uint32_t turns = fol_rng_below(rng, fol_rng_below(rng, 2) == 0 ? 2000 : 20000);
    for (uint32_t i = 0; i < turns; i++) {
        atomic_signal_fence(memory_order_seq_cst);
    }
}

static void test_a_thread_that_parks_misses_no_job(void)
{
    enum { JOBS = 6000 };
    crowd c;
    fol_rng rng;
    fol_rng_init(&rng, 1);
    setup(&c, 2);
    make_restless(&c);
    counted_job *jobs = make_jobs(&c, JOBS, NULL);
    for (uint32_t i = 0; i < JOBS; i++) {
        dawdle(&rng);
        CHECK(fol_team_inject(c.team, &jobs[i].job));
        if (!SPIN_UNTIL(atomic_load(&jobs[i].runs) == 1)) {
            break;
        }
    }
    teardown(&c);
    free(jobs);
}

typedef struct outsider {
    crowd *crowd;
    counted_job *jobs;
    uint32_t count;
    FOL_ATOMIC(fol_latch *) latch;
} outsider;

static void *inject_at_any_moment(void *argument)
{
    outsider *o = argument;
    fol_rng rng;
    fol_rng_init(&rng, 2);
    for (uint32_t i = 0; i < o->count; i++) {
        dawdle(&rng);
        CHECK(fol_team_inject(o->crowd->team, &o->jobs[i].job));
        /* What is lost is found when the next one comes, so the test ends in any case. */
        SPIN_UNTIL(atomic_load(&o->jobs[i].runs) == 1);
    }
    return NULL;
}

static void test_a_caller_that_parks_misses_no_job(void)
{
    enum { JOBS = 6000 };
    crowd c;
    fol_latch latch;
    pthread_t thread;
    setup(&c, 1);
    make_restless(&c);
    fol_latch_init(&latch, JOBS);
    outsider o = {.crowd = &c, .jobs = make_jobs(&c, JOBS, &latch), .count = JOBS};
    CHECK_EQ(pthread_create(&thread, NULL, inject_at_any_moment, &o), 0);
    fol_worker_wait(c.caller, &latch);
    pthread_join(thread, NULL);
    teardown(&c);
    free(o.jobs);
}

static void *open_at_any_moment(void *argument)
{
    outsider *o = argument;
    fol_rng rng;
    fol_rng_init(&rng, 3);
    for (uint32_t i = 0; i < o->count; i++) {
        SPIN_UNTIL(atomic_load(&o->latch) != NULL);
        fol_latch *latch = atomic_exchange(&o->latch, NULL);
        dawdle(&rng);
        fol_latch_count_down(latch, o->crowd->team, 1);
    }
    return NULL;
}

static void test_a_caller_that_parks_misses_no_latch(void)
{
    crowd c;
    pthread_t thread;
    setup(&c, 1);
    make_restless(&c);
    outsider o = {.crowd = &c, .count = 6000};
    CHECK_EQ(pthread_create(&thread, NULL, open_at_any_moment, &o), 0);
    for (uint32_t i = 0; i < o.count; i++) {
        fol_latch latch;
        fol_latch_init(&latch, 1);
        atomic_store(&o.latch, &latch);
        fol_worker_wait(c.caller, &latch);
    }
    pthread_join(thread, NULL);
    teardown(&c);
}

static void wait_for_all(counted_job *self, fol_worker *worker)
{
    atomic_uint *arrived = self->state;
    (void)worker;
    atomic_fetch_add(arrived, 1);
    SPIN_UNTIL(atomic_load(arrived) >= 4);
}

/* Four jobs that run only side by side; one helper may be awake when they come, the others sleep.
 */
static void wake_for_four(crowd *c, bool one_is_awake)
{
    fol_latch latch;
    fol_job *many[4];
    atomic_uint arrived = 0;
    fol_latch_init(&latch, 4);
    counted_job *jobs = make_jobs(c, 5, &latch);
    for (uint32_t i = 0; i < 4; i++) {
        jobs[i].function = wait_for_all;
        jobs[i].state = &arrived;
        many[i] = &jobs[i].job;
    }
    SPIN_UNTIL(all_are_parked(c->pool));
    if (one_is_awake) {
        jobs[4].latch = NULL;
        CHECK(fol_team_inject(c->team, &jobs[4].job));
        SPIN_UNTIL(atomic_load(&jobs[4].runs) == 1);
    }
    CHECK_EQ(fol_worker_push_many(c->caller, many, 4), 0);
    fol_worker_wait(c->caller, &latch);
    free(jobs);
}

static void test_one_publication_wakes_as_many_as_have_work(void)
{
    crowd c;
    setup(&c, 4);
    for (uint32_t round = 0; round < 200; round++) {
        wake_for_four(&c, round % 2 == 0);
    }
    teardown(&c);
}

static void test_teams_that_publish_at_once_all_get_a_thread(void)
{
    crowd crowds[4];
    fol_pool *pool;
    int refused;
    fol_team_config config = {.workers = 2};
    CHECK_EQ(fol_pool_create(&pool), 0);
    CHECK_EQ(fol_pool_grow(pool, 4, &refused), 4);
    for (uint32_t i = 0; i < 4; i++) {
        crowds[i].pool = pool;
        CHECK_EQ(fol_team_create(pool, &config, &crowds[i].team), 0);
    }
    for (uint32_t round = 0; round < 100; round++) {
        atomic_uint arrived = 0;
        counted_job *jobs[4];
        SPIN_UNTIL(all_are_parked(pool));
        for (uint32_t i = 0; i < 4; i++) {
            jobs[i] = make_jobs(&crowds[i], 1, NULL);
            jobs[i]->function = wait_for_all;
            jobs[i]->state = &arrived;
            CHECK(fol_team_inject(crowds[i].team, &jobs[i]->job));
        }
        for (uint32_t i = 0; i < 4; i++) {
            SPIN_UNTIL(atomic_load(&jobs[i]->runs) == 1);
            free(jobs[i]);
        }
    }
    for (uint32_t i = 0; i < 4; i++) {
        fol_team_destroy(crowds[i].team);
    }
    fol_pool_destroy(pool);
}

/* A branch that its thief begins only when the joiner sleeps already. */
typedef struct late {
    fol_worker *joiner;
    fol_worker *thief;
    atomic_uint met;
} late;

static void do_nothing(fol_parallel *self, void *argument)
{
    (void)self;
    atomic_fetch_add((atomic_uint *)argument, 1);
}

static void *begin_late(void *argument)
{
    late *l = argument;
    bool contended;
    void *item = NULL;
    SPIN_UNTIL((item = fol_deque_steal_thief(&l->joiner->deque, &contended)) != NULL);
    SPIN_UNTIL(fol_event_count_waiters(&l->joiner->joined) == 1);
    /* It may still be on its way from prepare to sleep, which must do no harm either. */
    if (item != NULL) {
        fol_worker_run(l->thief, fol_job_of_item(item));
    }
    return NULL;
}

static void test_a_join_that_sleeps_before_its_branch_begins_is_woken(void)
{
    crowd c;
    fol_team_config config = {.workers = 2};
    setup_with(&c, 0, &config);
    for (uint32_t round = 0; round < 200; round++) {
        fol_branch branch;
        pthread_t thread;
        late l = {.joiner = c.caller, .thief = fol_team_worker(c.team, 1)};
        fol_parallel_on_team.fork(fol_worker_parallel(c.caller), &branch, do_nothing, &l.met);
        CHECK_EQ(pthread_create(&thread, NULL, begin_late, &l), 0);
        SPIN_UNTIL(fol_deque_public_count(&c.caller->deque) == 0);
        fol_parallel_on_team.join(fol_worker_parallel(c.caller), &branch);
        CHECK_EQ(atomic_load(&l.met), 1);
        pthread_join(thread, NULL);
    }
    teardown(&c);
}

int main(void)
{
    RUN(test_a_thread_that_parks_misses_no_job);
    RUN(test_a_caller_that_parks_misses_no_job);
    RUN(test_a_caller_that_parks_misses_no_latch);
    RUN(test_one_publication_wakes_as_many_as_have_work);
    RUN(test_teams_that_publish_at_once_all_get_a_thread);
    RUN(test_a_join_that_sleeps_before_its_branch_begins_is_woken);
    CHECK_MAIN_END();
}
