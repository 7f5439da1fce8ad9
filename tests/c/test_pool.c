/* Pools: growing, being refused threads, parking without a wake, stopping, and being the process's
 * own. */

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "team_support.h"

static void test_a_pool_grows_to_what_is_asked_and_never_shrinks(void)
{
    fol_pool *pool;
    int refused = 1;
    CHECK_EQ(fol_pool_create(&pool), 0);
    CHECK_EQ(fol_pool_thread_count(pool), 0);
    CHECK_EQ(fol_pool_grow(pool, 3, &refused), 3);
    CHECK_EQ(refused, 0);
    CHECK_EQ(fol_pool_grow(pool, 2, &refused), 3);
    CHECK_EQ(fol_pool_grow(pool, 5, &refused), 5);
    CHECK_EQ(fol_pool_thread_count(pool), 5);
    fol_pool_destroy(pool);
}

static void test_a_pool_that_is_refused_a_thread_keeps_those_it_has(void)
{
    fol_pool *pool;
    int refused = 0;
    CHECK_EQ(fol_pool_create(&pool), 0);
    fol_pool_fail_nth_thread(3);
    CHECK_EQ(fol_pool_grow(pool, 4, &refused), 2);
    CHECK_EQ(refused, -EAGAIN);
    CHECK_EQ(fol_pool_thread_count(pool), 2);
    CHECK_EQ(fol_pool_grow(pool, 4, &refused), 4);
    CHECK_EQ(refused, 0);
    fol_pool_destroy(pool);
}

static void test_a_pool_refused_every_thread_still_ends(void)
{
    fol_pool *pool;
    int refused = 0;
    CHECK_EQ(fol_pool_create(&pool), 0);
    fol_pool_fail_nth_thread(1);
    CHECK_EQ(fol_pool_grow(pool, 1, &refused), 0);
    CHECK_EQ(refused, -EAGAIN);
    fol_pool_destroy(pool);
}

static void test_growing_leaves_the_signal_mask_alone(void)
{
    fol_pool *pool;
    int refused;
    sigset_t mask;
    CHECK_EQ(fol_pool_create(&pool), 0);
    CHECK_EQ(fol_pool_grow(pool, 2, &refused), 2);
    CHECK_EQ(pthread_sigmask(SIG_BLOCK, NULL, &mask), 0);
    CHECK_EQ(sigismember(&mask, SIGINT), 0);
    CHECK_EQ(sigismember(&mask, SIGTERM), 0);
    fol_pool_destroy(pool);
}

typedef struct thread_facts {
    char name[16];
    atomic_bool is_seen;
    int blocks_interrupt;
} thread_facts;

static void look_at_thread(counted_job *self, fol_worker *worker)
{
    thread_facts *facts = self->state;
    sigset_t mask;
    (void)worker;
    pthread_getname_np(pthread_self(), facts->name, sizeof(facts->name));
    pthread_sigmask(SIG_BLOCK, NULL, &mask);
    facts->blocks_interrupt = sigismember(&mask, SIGINT);
    atomic_store_explicit(&facts->is_seen, true, memory_order_release);
}

static void test_threads_have_names_and_take_no_signals(void)
{
    crowd c;
    thread_facts facts = {0};
    setup(&c, 2);
    counted_job *job = make_jobs(&c, 1, NULL);
    job->function = look_at_thread;
    job->state = &facts;
    /* The caller is in no wait, so a thread of the pool takes it. */
    CHECK(fol_team_inject(c.team, &job->job));
    SPIN_UNTIL(atomic_load_explicit(&facts.is_seen, memory_order_acquire));
    CHECK_STR(facts.name, "foliot-1");
    CHECK_EQ(facts.blocks_interrupt, 1);
    teardown(&c);
    free(job);
}

static uint64_t read_cpu_ns(const fol_pool *pool)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < fol_pool_thread_count(pool); i++) {
        clockid_t clock;
        struct timespec spent;
        CHECK_EQ(pthread_getcpuclockid(pool->threads[i].thread, &clock), 0);
        CHECK_EQ(clock_gettime(clock, &spent), 0);
        sum += (uint64_t)spent.tv_sec * 1000000000u + (uint64_t)spent.tv_nsec;
    }
    return sum;
}

static void test_parked_threads_use_no_processor_time(void)
{
    crowd c;
    fol_latch latch;
    setup(&c, 4);
    fol_latch_init(&latch, 100);
    counted_job *jobs = make_jobs(&c, 100, &latch);
    for (uint32_t i = 0; i < 100; i++) {
        CHECK_EQ(fol_worker_push(c.caller, &jobs[i].job), 0);
    }
    fol_worker_wait(c.caller, &latch);
    SPIN_UNTIL(all_are_parked(c.pool));
    uint64_t before = read_cpu_ns(c.pool);
    for (uint32_t i = 0; i < 100000; i++) {
        sched_yield();
    }
    /* A thread that prepares to park counts as parked already, and has a few instructions to go. */
    CHECK(read_cpu_ns(c.pool) - before < 1000000);
    teardown(&c);
    free(jobs);
}

static void test_a_thousand_pools_start_and_stop(void)
{
    for (uint32_t round = 0; round < 1000; round++) {
        crowd c;
        fol_latch latch;
        counted_job *jobs;
        uint32_t count = round % 5;
        setup(&c, 1 + round % 4);
        fol_latch_init(&latch, count);
        jobs = make_jobs(&c, 4, &latch);
        for (uint32_t i = 0; i < count; i++) {
            CHECK_EQ(fol_worker_push(c.caller, &jobs[i].job), 0);
        }
        fol_worker_wait(c.caller, &latch);
        check_each_ran(jobs, count, 1);
        teardown(&c);
        free(jobs);
    }
}

static void test_a_pool_stops_while_its_threads_still_start(void)
{
    for (uint32_t round = 0; round < 100; round++) {
        fol_pool *pool;
        int refused;
        CHECK_EQ(fol_pool_create(&pool), 0);
        CHECK_EQ(fol_pool_grow(pool, 8, &refused), 8);
        fol_pool_destroy(pool);
    }
}

static void test_a_pool_without_memory_is_refused(void)
{
    fol_pool *pool = NULL;
    fol_memory_stats before;
    fol_memory_stats after;
    fol_memory_read_stats(&before);
    fol_memory_fail_nth(1);
    CHECK_EQ(fol_pool_create(&pool), -ENOMEM);
    CHECK(pool == NULL);
    fol_memory_read_stats(&after);
    CHECK_EQ(after.live_blocks, before.live_blocks);
}

static atomic_uint threads_ended;

static void count_thread_end(void)
{
    atomic_fetch_add_explicit(&threads_ended, 1, memory_order_relaxed);
}

static void test_every_thread_that_ends_says_so(void)
{
    fol_pool *pool;
    int refused;
    atomic_store(&threads_ended, 0);
    fol_pool_at_thread_end(count_thread_end);
    CHECK_EQ(fol_pool_create(&pool), 0);
    CHECK_EQ(fol_pool_grow(pool, 5, &refused), 5);
    fol_pool_destroy(pool);
    fol_pool_at_thread_end(NULL);
    CHECK_EQ(atomic_load(&threads_ended), 5);
}

static void test_users_share_the_pool_of_the_process(void)
{
    fol_pool *first;
    fol_pool *second;
    int refused;
    CHECK_EQ(fol_pool_acquire(&first), 0);
    CHECK_EQ(fol_pool_grow(first, 2, &refused), 2);
    fol_pool_release(first);
    CHECK_EQ(fol_pool_acquire(&second), 0);
    CHECK(first == second);
    CHECK_EQ(fol_pool_thread_count(second), 2);
    fol_pool_release(second);
    fol_pool_shutdown();
}

static void test_the_last_user_ends_a_pool_that_was_shut_down(void)
{
    fol_memory_stats before;
    fol_memory_stats after;
    fol_pool *pool;
    int refused;
    fol_memory_read_stats(&before);
    CHECK_EQ(fol_pool_acquire(&pool), 0);
    CHECK_EQ(fol_pool_grow(pool, 2, &refused), 2);
    fol_pool_shutdown();
    CHECK_EQ(fol_pool_thread_count(pool), 2);
    fol_pool_release(pool);
    fol_memory_read_stats(&after);
    CHECK_EQ(after.live_blocks, before.live_blocks);
    CHECK_EQ(fol_pool_acquire(&pool), 0);
    CHECK_EQ(fol_pool_thread_count(pool), 0);
    fol_pool_release(pool);
    fol_pool_shutdown();
}

static void test_shutting_down_twice_or_nothing_is_fine(void)
{
    fol_pool_shutdown();
    fol_pool_shutdown();
    fol_pool *pool;
    CHECK_EQ(fol_pool_acquire(&pool), 0);
    fol_pool_release(pool);
    fol_pool_shutdown();
    fol_pool_shutdown();
}

/* ThreadSanitizer lets no child of a threaded process start threads. */
#ifndef FOL_TESTS_UNDER_TSAN

static void run_jobs(crowd *c, uint32_t count)
{
    fol_latch latch;
    fol_latch_init(&latch, count);
    counted_job *jobs = make_jobs(c, count, &latch);
    for (uint32_t i = 0; i < count; i++) {
        CHECK_EQ(fol_worker_push(c->caller, &jobs[i].job), 0);
    }
    fol_worker_wait(c->caller, &latch);
    check_each_ran(jobs, count, 1);
    free(jobs);
}

/* What a child may do with what it copied, and then by itself; the exit status. */
static int use_pool_in_child(crowd *copied)
{
    crowd own;
    int refused;
    fol_team_config config = {.workers = 3};
    int failures = check_failures;
    fol_team_destroy(copied->team);
    fol_pool_release(copied->pool);
    CHECK_EQ(fol_pool_acquire(&own.pool), 0);
    CHECK(own.pool != copied->pool);
    CHECK_EQ(fol_pool_thread_count(own.pool), 0);
    CHECK_EQ(fol_pool_grow(own.pool, 2, &refused), 2);
    CHECK_EQ(fol_team_create(own.pool, &config, &own.team), 0);
    own.caller = fol_team_worker(own.team, 0);
    run_jobs(&own, 1000);
    fol_team_destroy(own.team);
    fol_pool_release(own.pool);
    fol_pool_shutdown();
    fol_pool_destroy(copied->pool);
    return check_failures != failures;
}

static void test_a_forked_child_has_a_pool_of_its_own(void)
{
    crowd c;
    int refused;
    fol_team_config config = {.workers = 3};
    CHECK_EQ(fol_pool_acquire(&c.pool), 0);
    CHECK_EQ(fol_pool_grow(c.pool, 2, &refused), 2);
    CHECK_EQ(fol_team_create(c.pool, &config, &c.team), 0);
    c.caller = fol_team_worker(c.team, 0);
    for (uint32_t round = 0; round < 20; round++) {
        int status = -1;
        /* Threads are at their places, or on their way out. */
        run_jobs(&c, 100);
        pid_t child = fork();
        if (child == 0) {
            _exit(use_pool_in_child(&c));
        }
        CHECK_EQ(waitpid(child, &status, 0), child);
        CHECK_EQ(status, 0);
    }
    run_jobs(&c, 100);
    fol_team_destroy(c.team);
    fol_pool_release(c.pool);
    fol_pool_shutdown();
}

#endif

int main(void)
{
    RUN(test_a_pool_grows_to_what_is_asked_and_never_shrinks);
    RUN(test_a_pool_that_is_refused_a_thread_keeps_those_it_has);
    RUN(test_a_pool_refused_every_thread_still_ends);
    RUN(test_growing_leaves_the_signal_mask_alone);
    RUN(test_threads_have_names_and_take_no_signals);
    RUN(test_parked_threads_use_no_processor_time);
    RUN(test_a_thousand_pools_start_and_stop);
    RUN(test_a_pool_stops_while_its_threads_still_start);
    RUN(test_a_pool_without_memory_is_refused);
    RUN(test_every_thread_that_ends_says_so);
    RUN(test_users_share_the_pool_of_the_process);
    RUN(test_the_last_user_ends_a_pool_that_was_shut_down);
    RUN(test_shutting_down_twice_or_nothing_is_fine);
#ifndef FOL_TESTS_UNDER_TSAN
    RUN(test_a_forked_child_has_a_pool_of_its_own);
#endif
    CHECK_MAIN_END();
}
