/* Task sets and configurations for tests of the simulator, and what holds for every run. */
#ifndef FOL_TESTS_SIM_SUPPORT_H
#define FOL_TESTS_SIM_SUPPORT_H

#include <errno.h>

#include "foliot/memory.h"
#include "foliot/sim.h"

#include "check.h"
#include "draw.h"

#define SET_MAX 16u

/* A set whose costs are its own. */
typedef struct task_set {
    fol_sim_task tasks[SET_MAX];
    int64_t costs[SET_MAX];
    fol_context_options context; /* 1, for tasks to name, once it is given */
    fol_sim_config config;
} task_set;

static inline void set_init(task_set *set, fol_policy_kind policy, uint32_t cpus, int64_t until)
{
    memset(set, 0, sizeof(*set));
    set->config = (fol_sim_config){
        .tasks = set->tasks,
        .cpus = cpus,
        .policy = policy,
        .until = until,
        .slices = {2, 4, 8},
        .records = 1024,
        .keeps_segments = true,
        .max_faults = 1,
    };
}

/* A periodic task with its deadline at the period, which may be changed. */
static inline fol_sim_task *set_add(task_set *set, int64_t wcet, int64_t period)
{
    uint32_t index = set->config.task_count++;
    set->costs[index] = wcet;
    set->tasks[index] = (fol_sim_task){
        .wcet = wcet,
        .period = period,
        .deadline = period,
        .costs = &set->costs[index],
        .cost_count = 1,
        .weight = 1024,
        .latency = 1,
        .priority = (int32_t)index,
    };
    return &set->tasks[index];
}

static inline void set_give_context(task_set *set, const fol_context_options *context)
{
    set->context = *context;
    set->config.contexts = &set->context;
    set->config.context_count = 1;
}

/* What a migration and a steal cost, however far. */
static inline void set_costs(task_set *set, int64_t migration, int64_t steal)
{
    for (uint32_t distance = 0; distance < FOL_SIM_DISTANCES; distance++) {
        set->config.migration_costs[distance] = migration;
        set->config.steal_costs[distance] = steal;
    }
}

/* Runs it to its end. NULL when it cannot be made; then the check has failed. */
static inline fol_sim *set_run(const task_set *set)
{
    fol_sim *sim = NULL;
    if (!CHECK_EQ(fol_sim_create(&set->config, &sim), 0)) {
        return NULL;
    }
    int status;
    do {
        status = fol_sim_step(sim, 100);
    } while (status == 0);
    CHECK_EQ(status, 1);
    return sim;
}

/* The first job of a task that missed its deadline, or NULL. */
static inline const fol_sim_job *first_miss(const fol_sim *sim, int64_t until)
{
    uint64_t count;
    const fol_sim_job *jobs = fol_sim_jobs(sim, &count);
    for (uint64_t place = 0; place < count; place++) {
        bool is_late =
            jobs[place].outcome != FOL_SIM_DONE || jobs[place].finish > jobs[place].deadline;
        if (is_late && jobs[place].deadline <= until) {
            return &jobs[place];
        }
    }
    return NULL;
}

static inline int64_t longest_response(const fol_sim *sim, uint32_t task)
{
    uint64_t count;
    int64_t longest = 0;
    const fol_sim_job *jobs = fol_sim_jobs(sim, &count);
    for (uint64_t place = 0; place < count; place++) {
        const fol_sim_job *job = &jobs[place];
        if (job->task == task && job->outcome == FOL_SIM_DONE) {
            int64_t response = job->finish - job->release;
            longest = response > longest ? response : longest;
        }
    }
    return longest;
}

/* The ledger and the log of a finished run agree: time on CPUs, on tasks, in segments. */
static inline void check_sums(const fol_sim *sim, const fol_sim_config *config)
{
    int64_t busy = 0;
    int64_t costs = 0;
    for (uint32_t cpu = 0; cpu < config->cpus; cpu++) {
        fol_sim_cpu_use use;
        fol_sim_cpu(sim, cpu, &use);
        CHECK_EQ(fol_sim_cpu_account(sim, cpu)->runtime, use.busy);
        CHECK(use.busy + use.costs <= config->until);
        busy += use.busy;
        costs += use.costs;
    }
    const fol_sim_moves *moves = fol_sim_moves_of(sim);
    uint64_t migrations = 0;
    uint64_t steals = 0;
    for (uint32_t distance = 0; distance < FOL_SIM_DISTANCES; distance++) {
        migrations += moves->migrations[distance];
        steals += moves->steals[distance];
    }
    int64_t runtime = 0;
    for (uint32_t task = 0; task < config->task_count; task++) {
        const fol_account *account = fol_sim_task_account(sim, task);
        runtime += account->runtime;
        migrations -= account->migrations;
        steals -= account->steals;
    }
    CHECK_EQ(runtime, busy);
    CHECK(migrations == 0 && steals == 0);
    uint64_t count;
    const fol_sim_segment *segments = fol_sim_segments(sim, &count);
    int64_t ran = 0;
    int64_t switched = 0;
    for (uint64_t place = 0; place < count; place++) {
        int64_t time = segments[place].end - segments[place].start;
        *(segments[place].is_cost ? &switched : &ran) += time;
    }
    CHECK(!config->keeps_segments || (ran == busy && switched == costs));
}

/* Each allocation of a run fails once; every time it ends with that, and gives all back. */
static inline void check_refused_memory(const task_set *set)
{
    fol_memory_stats before;
    fol_memory_read_stats(&before);
    bool is_armed = false;
    for (uint64_t nth = 1; nth < 200 && !is_armed; nth++) {
        fol_memory_fail_nth(nth);
        fol_sim *sim = NULL;
        int status = fol_sim_create(&set->config, &sim);
        while (status == 0) {
            status = fol_sim_step(sim, 100);
        }
        is_armed = fol_memory_failure_is_armed() != 0;
        CHECK_EQ(status, is_armed ? 1 : -ENOMEM);
        fol_sim_destroy(sim);
        fol_memory_fail_nth(0);
    }
    CHECK(is_armed);
    fol_memory_stats after;
    fol_memory_read_stats(&after);
    CHECK_EQ(before.live_blocks, after.live_blocks);
}

#endif
