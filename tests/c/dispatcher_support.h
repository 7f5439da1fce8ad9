/* A dispatcher with the options of most tests, and short names for its calls. */
#ifndef FOL_TESTS_DISPATCHER_SUPPORT_H
#define FOL_TESTS_DISPATCHER_SUPPORT_H

#include "check.h"
#include "foliot/status.h"
#include "policy/dispatcher.h"

/* Of latency 1, which is that of plain_options. */
#define NORMAL_SLICE 40

static inline fol_dispatcher_config config_of(fol_policy_kind policy, uint32_t cpus)
{
    return (fol_dispatcher_config){.policy = policy,
                                   .cpus = cpus,
                                   .capacity = 16,
                                   .groups = 4,
                                   .contexts = 4,
                                   .records = 256,
                                   .is_preemptive = true,
                                   .slices = {10, NORMAL_SLICE, 160},
                                   .max_faults = 3};
}

static inline fol_dispatcher *new_dispatcher(const fol_dispatcher_config *config)
{
    fol_dispatcher *dispatcher = NULL;
    CHECK_EQ(fol_dispatcher_create(config, &dispatcher), 0);
    return dispatcher;
}

static inline fol_dispatcher *dispatcher_of(fol_policy_kind policy, uint32_t cpus)
{
    fol_dispatcher_config config = config_of(policy, cpus);
    return new_dispatcher(&config);
}

static inline void end_dispatcher(fol_dispatcher *dispatcher)
{
    CHECK(fol_dispatcher_invariants(dispatcher));
    fol_dispatcher_destroy(dispatcher);
}

static inline fol_runnable_options plain_options(void)
{
    return (fol_runnable_options){.weight = 1024, .latency = 1};
}

static inline uint32_t add_with(fol_dispatcher *dispatcher, const fol_runnable_options *options)
{
    uint32_t id = FOL_NO_RUNNABLE;
    CHECK_EQ(fol_dispatcher_add(dispatcher, options, &id), 0);
    return id;
}

static inline uint32_t add_plain(fol_dispatcher *dispatcher)
{
    fol_runnable_options options = plain_options();
    return add_with(dispatcher, &options);
}

static inline uint32_t add_on(fol_dispatcher *dispatcher, uint64_t context)
{
    fol_runnable_options options = plain_options();
    options.context = context;
    return add_with(dispatcher, &options);
}

static inline fol_release release_due(fol_dispatcher *dispatcher, uint32_t id, int64_t now,
                                      int64_t deadline)
{
    fol_job_options job = {.release = now, .deadline = deadline};
    return fol_dispatcher_release(dispatcher, id, &job, now);
}

static inline fol_release release_at(fol_dispatcher *dispatcher, uint32_t id, int64_t now)
{
    return release_due(dispatcher, id, now, FOL_TIME_NEVER);
}

/* Who runs on the CPU from now on, or FOL_NO_RUNNABLE; the grant is kept in last_grant. */
static fol_grant last_grant;

static inline uint32_t pick_on(fol_dispatcher *dispatcher, uint32_t cpu, int64_t now)
{
    return fol_dispatcher_pick(dispatcher, cpu, now, &last_grant) ? last_grant.runnable
                                                                  : FOL_NO_RUNNABLE;
}

static inline fol_ran ran_on(fol_dispatcher *dispatcher, uint32_t cpu, int64_t used, int64_t now,
                             fol_point point)
{
    return fol_dispatcher_ran(dispatcher, cpu, used, now, point, &last_grant);
}

/* The last record of a kind, or NULL. */
static inline const fol_decision *last_of(const fol_dispatcher *dispatcher, fol_decision_kind kind)
{
    uint64_t first;
    uint64_t end;
    fol_dispatcher_records(dispatcher, &first, &end);
    for (uint64_t number = end; number > first; number--) {
        const fol_decision *decision = fol_dispatcher_record(dispatcher, number - 1);
        if (decision->kind == kind) {
            return decision;
        }
    }
    return NULL;
}

#endif
