/* What a decision costs: a job's way through the dispatcher, from its release to its end.
 *
 * A body is JOBS times release, displaced, pick and ran, in the order in which a simulator or a
 * scheduler calls them, while half of all runnables are ready. edf_50 and edf_50_on_4 have 50 tasks
 * with deadlines on 1 and 4 CPUs, edf_50_recorded keeps records too; eevdf_N has N runnables that
 * share by weight and stay, so that one of its units is the end of a slice, ran with more to do,
 * and the pick of the next.
 */
#include "base/rng.h"
#include "exec_sampler.h"
#include "foliot/status.h"
#include "policy/dispatcher.h"

#define JOBS 1024

typedef struct state {
    fol_dispatcher *dispatcher;
    fol_rng rng;
    int64_t now;
    uint32_t cpus;
    uint32_t next_cpu;
    uint32_t asleep[100000];
    uint32_t asleep_count;
    uint64_t sum;
} state;

static state self_state;

static void release_one(state *self)
{
    uint32_t place = fol_rng_below(&self->rng, self->asleep_count);
    uint32_t id = self->asleep[place];
    self->asleep_count -= 1;
    self->asleep[place] = self->asleep[self->asleep_count];
    fol_job_options job = {.release = self->now,
                           .deadline = self->now + 1 + fol_rng_below(&self->rng, 1000)};
    fol_dispatcher_release(self->dispatcher, id, &job, self->now);
}

/* Whoever is displaced gives way at once, and idle CPUs take what is there. */
static void settle(state *self)
{
    fol_grant grant;
    uint32_t cpu = fol_dispatcher_displaced(self->dispatcher, self->now);
    while (cpu != FOL_NO_CPU) {
        if (fol_dispatcher_ran(self->dispatcher, cpu, 1, self->now, FOL_POINT_MORE, &grant) !=
            FOL_RAN_ON) {
            fol_dispatcher_pick(self->dispatcher, cpu, self->now, &grant);
        }
        cpu = fol_dispatcher_displaced(self->dispatcher, self->now);
    }
}

static uint64_t run_jobs(void *argument)
{
    state *self = argument;
    for (uint32_t i = 0; i < JOBS; i++) {
        fol_grant grant;
        self->now += 3;
        release_one(self);
        settle(self);
        uint32_t cpu = self->next_cpu;
        self->next_cpu = (cpu + 1) % self->cpus;
        uint32_t id = fol_dispatcher_running(self->dispatcher, cpu);
        fol_dispatcher_ran(self->dispatcher, cpu, 3, self->now, FOL_POINT_DONE, &grant);
        fol_dispatcher_pick(self->dispatcher, cpu, self->now, &grant);
        self->asleep[self->asleep_count] = id;
        self->asleep_count += 1;
        self->sum += grant.runnable;
    }
    return 0;
}

static uint64_t run_slices(void *argument)
{
    state *self = argument;
    for (uint32_t i = 0; i < JOBS; i++) {
        fol_grant grant;
        self->now += 1000;
        if (fol_dispatcher_ran(self->dispatcher, 0, 1000, self->now, FOL_POINT_MORE, &grant) !=
            FOL_RAN_ON) {
            fol_dispatcher_pick(self->dispatcher, 0, self->now, &grant);
        }
        self->sum += grant.runnable;
    }
    return 0;
}

typedef struct setting {
    fol_policy_kind policy;
    uint32_t cpus;
    uint32_t runnables;
    uint32_t ready;
    uint32_t records;
    bench_body body;
} setting;

static int measure(const setting *setting, const bench_sampler *sampler, bench_outcome *outcome,
                   uint64_t *checksum)
{
    state *self = &self_state;
    *self = (state){.cpus = setting->cpus};
    fol_rng_init(&self->rng, 1);
    fol_dispatcher_config config = {.policy = setting->policy,
                                    .cpus = setting->cpus,
                                    .capacity = setting->runnables,
                                    .records = setting->records,
                                    .is_preemptive = true,
                                    .slices = {1000, 1000, 1000},
                                    .max_faults = 1};
    int status = fol_dispatcher_create(&config, &self->dispatcher);
    for (uint32_t i = 0; i < setting->runnables && status == 0; i++) {
        fol_runnable_options options = {.weight = 1024, .latency = 1};
        options.weight += setting->policy == FOL_POLICY_EEVDF ? 64 * (i % 16) : 0;
        status = fol_dispatcher_add(self->dispatcher, &options, &self->asleep[i]);
        self->asleep_count += 1;
    }
    if (status < 0) {
        return status;
    }
    for (uint32_t i = 0; i < setting->ready; i++) {
        release_one(self);
    }
    for (uint32_t cpu = 0; cpu < setting->cpus; cpu++) {
        fol_grant grant;
        fol_dispatcher_pick(self->dispatcher, cpu, 0, &grant);
    }
    bench_time(sampler, JOBS, setting->body, self, outcome);
    *checksum = self->sum;
    fol_dispatcher_destroy(self->dispatcher);
    return 0;
}

/* A workload: run_NAME measures what the setting says. */
#define WORKLOAD(name, ...)                                                                        \
    static int run_##name(const bench_sampler *sampler, bench_outcome *outcome,                    \
                          uint64_t *checksum)                                                      \
    {                                                                                              \
        static const setting setting = {__VA_ARGS__};                                              \
        return measure(&setting, sampler, outcome, checksum);                                      \
    }

WORKLOAD(edf, FOL_POLICY_EDF, 1, 50, 25, 0, run_jobs)
WORKLOAD(edf_on_4, FOL_POLICY_EDF, 4, 50, 25, 0, run_jobs)
WORKLOAD(recorded, FOL_POLICY_EDF, 1, 50, 25, 4096, run_jobs)
WORKLOAD(fair_10, FOL_POLICY_EEVDF, 1, 10, 10, 0, run_slices)
WORKLOAD(fair_1000, FOL_POLICY_EEVDF, 1, 1000, 1000, 0, run_slices)
WORKLOAD(fair_100000, FOL_POLICY_EEVDF, 1, 100000, 100000, 0, run_slices)

int main(int argc, char **argv)
{
    static const bench_workload workloads[] = {
        {"edf_50", run_edf},       {"edf_50_on_4", run_edf_on_4}, {"edf_50_recorded", run_recorded},
        {"eevdf_10", run_fair_10}, {"eevdf_1000", run_fair_1000}, {"eevdf_100000", run_fair_100000},
    };
    return bench_main(argc, argv, workloads, sizeof workloads / sizeof workloads[0]);
}
