/* What the tests of pools, teams and parallel work share: a pool with a team, and counted jobs. */
#ifndef FOL_TESTS_TEAM_SUPPORT_H
#define FOL_TESTS_TEAM_SUPPORT_H

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "check.h"
#include "exec/worker.h"
#include "foliot/memory.h"

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define FOL_TESTS_UNDER_TSAN 1
#endif
#endif

/* So long that only something lost runs into it. */
#define SPINS_MAX 50000000u

/* Waits for a condition without a clock; the value says whether it came. */
#define SPIN_UNTIL(condition)                                                                      \
    check_spin_end(({                                                                              \
        uint32_t spins_left = SPINS_MAX;                                                           \
        while (!(condition) && --spins_left != 0) {                                                \
            sched_yield();                                                                         \
        }                                                                                          \
        spins_left != 0;                                                                           \
    }))

static inline bool check_spin_end(bool came)
{
    CHECK(came);
    return came;
}

typedef struct crowd {
    fol_pool *pool;
    fol_team *team;
    fol_worker *caller;
} crowd;

static inline void setup_with(crowd *c, uint32_t threads, const fol_team_config *config)
{
    int refused;
    CHECK_EQ(fol_pool_create(&c->pool), 0);
    CHECK_EQ(fol_pool_grow(c->pool, threads, &refused), threads);
    CHECK_EQ(refused, 0);
    CHECK_EQ(fol_team_create(c->pool, config, &c->team), 0);
    c->caller = fol_team_worker(c->team, 0);
}

static inline void setup(crowd *c, uint32_t workers)
{
    fol_team_config config = {.workers = workers, .seed = 1};
    setup_with(c, workers - 1, &config);
}

static inline void teardown(crowd *c)
{
    fol_team_destroy(c->team);
    fol_pool_destroy(c->pool);
}

/* A job that calls a function, counts its runs, and counts a latch down. */
typedef struct counted_job counted_job;
struct counted_job {
    fol_job job;
    void (*function)(counted_job *self, fol_worker *worker); /* may be NULL */
    void *state;
    fol_latch *latch; /* may be NULL */
    fol_team *team;
    uint32_t number;
    atomic_uint runs;
};

static inline void run_counted(fol_job *job, fol_worker *worker)
{
    counted_job *self = (counted_job *)job;
    fol_latch *latch = self->latch;
    fol_team *team = self->team;
    if (self->function != NULL) {
        self->function(self, worker);
    }
    /* Release: who sees the run may free the job. */
    atomic_fetch_add_explicit(&self->runs, 1, memory_order_release);
    if (latch != NULL) {
        fol_latch_count_down(latch, team, 1);
    }
}

static inline counted_job *make_jobs(crowd *c, uint32_t count, fol_latch *latch)
{
    counted_job *jobs = calloc(count, sizeof(*jobs));
    for (uint32_t i = 0; i < count; i++) {
        jobs[i].job.run = run_counted;
        jobs[i].latch = latch;
        jobs[i].team = c->team;
        jobs[i].number = i;
    }
    return jobs;
}

static inline void check_each_ran(counted_job *jobs, uint32_t count, uint32_t times)
{
    uint32_t wrong = 0;
    for (uint32_t i = 0; i < count; i++) {
        wrong += atomic_load_explicit(&jobs[i].runs, memory_order_relaxed) != times;
    }
    CHECK_EQ(wrong, 0);
}

static inline uint64_t sum_jobs(const fol_team *team)
{
    uint64_t sum = 0;
    for (uint32_t place = 0; place < fol_team_worker_count(team); place++) {
        fol_worker_counters counters;
        fol_team_read_worker(team, place, &counters);
        sum += counters.jobs;
    }
    return sum;
}

static inline bool all_are_parked(const fol_pool *pool)
{
    return fol_pool_parked_count(pool) == fol_pool_thread_count(pool);
}

#endif
