/* The dispatcher: one policy core over runnables, groups and contexts, which decides who runs on
 * which CPU, for how long at most, and what happens when a budget is used up.
 *
 * A pure state machine. The scheduler drives it with the real time and workers, the simulator with
 * virtual ones; both make the same calls in the same order, so on the same arrivals both get the
 * same decisions. No thread, no clock, no allocation after set-up: time is an argument and never
 * goes back, and whoever shares a dispatcher between threads holds a lock round each call.
 *
 * Who runs. A runnable has at most one job at a time, and is in one of these states: asleep (no
 * job), ready, running on one CPU, throttled (waits for a refill), dead (killed, or its context was
 * revoked: its releases are denied). The ready ones stand in bands: what a slot ranked, by rank;
 * what the policy orders by a number (release, priority, period, deadline); what shares fairly; and
 * last what runs only on slack, because it used up a budget whose policy is to notify. A CPU gets
 * the first of the first band that is not empty, among those that its CPU set allows there.
 *
 * Budgets hold under every policy: a runnable with a context is dispatched only while the context
 * has budget, and is granted at most what is left. What it used is charged to the context, its
 * runtime to itself. Runnables that share a context spend it in turn: it is worth one CPU at most,
 * and while one of them runs the others are held.
 */
#ifndef FOL_POLICY_DISPATCHER_H
#define FOL_POLICY_DISPATCHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "foliot/budget.h"
#include "foliot/policy.h"

typedef struct fol_dispatcher fol_dispatcher;

#define FOL_DISPATCHER_MAX_CPUS  1024u
#define FOL_DISPATCHER_CPU_WORDS (FOL_DISPATCHER_MAX_CPUS / 64u)
#define FOL_LATENCY_CLASSES      3u

typedef enum fol_queue_shape {
    FOL_QUEUES_GLOBAL = 0,  /* one for all CPUs */
    FOL_QUEUES_PINNED = 1,  /* one for each; a runnable stays where it was put */
    FOL_QUEUES_PER_CPU = 2, /* one for each; an idle CPU takes from others, by victims */
} fol_queue_shape;

typedef struct fol_dispatcher_config {
    fol_policy_kind policy;
    fol_queue_shape queues;
    uint32_t cpus;      /* 1 .. FOL_DISPATCHER_MAX_CPUS */
    uint32_t capacity;  /* of runnables */
    uint32_t groups;    /* capacity, the root not counted */
    uint32_t contexts;  /* capacity */
    uint32_t records;   /* decisions kept; a power of 2, or 0 for none */
    bool is_preemptive; /* arrivals may displace what runs; else only ends of slices and jobs do */
    int64_t slices[FOL_LATENCY_CLASSES]; /* of the fair class; each at least 1 */
    int64_t tick;                        /* of the fair class's lag bound */
    int64_t least_budget;                /* a context with less is not dispatched */
    const fol_policy_slots *slots;       /* copied; NULL: all built in */
    uint32_t max_faults;                 /* of the slots before they are switched off; at least 1 */
    /* For how long slots take; NULL: they may take as long as they like. */
    int64_t (*stopwatch)(void *state);
    void *stopwatch_state;
    int64_t slot_limit;
    /* For each CPU a row of all others, in the order in which it takes from them under
     * FOL_QUEUES_PER_CPU; copied. NULL: round the circle from itself. */
    const uint32_t *victims;
} fol_dispatcher_config;

typedef struct fol_group_options {
    uint32_t weight;  /* 1024 is one runnable of normal weight */
    uint32_t latency; /* class; of the group among groups */
} fol_group_options;

typedef struct fol_runnable_options {
    uint32_t weight;
    uint32_t latency; /* class */
    uint32_t group;   /* 0: the root */
    int32_t priority;
    uint32_t cpu;     /* home under FOL_QUEUES_PINNED and _PER_CPU, else without meaning */
    int64_t period;   /* 0: none */
    uint64_t context; /* handle; 0: none */
} fol_runnable_options;

/* -ENOMEM; -EINVAL for a configuration out of bounds (the caller says which to users). */
int fol_dispatcher_create(const fol_dispatcher_config *config, fol_dispatcher **out);
void fol_dispatcher_destroy(fol_dispatcher *dispatcher);

/* FOL_E_CAPACITY, -EINVAL, FOL_E_STALE for a context that is gone. Groups are numbered from 1. */
int fol_dispatcher_add_group(fol_dispatcher *dispatcher, const fol_group_options *options,
                             uint32_t *group);
int fol_dispatcher_add_context(fol_dispatcher *dispatcher, const fol_context_options *options,
                               int64_t now, uint64_t *context);
int fol_dispatcher_add(fol_dispatcher *dispatcher, const fol_runnable_options *options,
                       uint32_t *id);
/* Leaves no trace of it; a running one has to be stopped before. FOL_E_BUSY if it runs. */
int fol_dispatcher_remove(fol_dispatcher *dispatcher, uint32_t id, int64_t now);
int fol_dispatcher_set_weight(fol_dispatcher *dispatcher, uint32_t id, uint32_t weight,
                              int64_t now);
int fol_dispatcher_set_group_weight(fol_dispatcher *dispatcher, uint32_t group, uint32_t weight,
                                    int64_t now);
/* Every runnable that uses it is dead from here on; one that runs is told at its next point.
 * FOL_E_STALE. */
int fol_dispatcher_revoke(fol_dispatcher *dispatcher, uint64_t context, int64_t now);

typedef struct fol_job_options {
    int64_t release;      /* at most now */
    int64_t deadline;     /* absolute; FOL_TIME_NEVER: none, or that of the context */
    int64_t expected;     /* 0: unknown */
    int64_t next_release; /* what a skip is told of; 0: unknown */
} fol_job_options;

typedef enum fol_release {
    FOL_RELEASE_TAKEN = 0,
    FOL_RELEASE_DENIED = 1,  /* by the admission slot */
    FOL_RELEASE_SKIPPED = 2, /* its context has no budget, and its overrun policy is to skip */
    FOL_RELEASE_DEAD = 3,    /* killed, or its context is gone */
} fol_release;

/* A job of the runnable is released, which must have none. Also how a blocked one wakes: then it
 * goes on with the job it has. */
fol_release fol_dispatcher_release(fol_dispatcher *dispatcher, uint32_t id,
                                   const fol_job_options *job, int64_t now);
void fol_dispatcher_wake(fol_dispatcher *dispatcher, uint32_t id, int64_t now);

typedef struct fol_grant {
    uint32_t runnable;
    /* Time it may run before the dispatcher has to be asked again; FOL_TIME_NEVER: to its end. */
    int64_t time;
    bool is_switch;      /* the CPU ran somebody else, or nobody, before */
    uint32_t moved_from; /* the CPU on which it ran last when that is another one, or FOL_NO_CPU */
    bool is_stolen;      /* from another CPU's queue */
    uint32_t victim;     /* whose, if it is */
} fol_grant;

/* For a CPU on which nobody runs. False: there is nothing for it. The enqueue slot is asked for the
 * rank of a runnable when it is released, wakes or is refilled, and when its slice ended. */
bool fol_dispatcher_pick(fol_dispatcher *dispatcher, uint32_t cpu, int64_t now, fol_grant *grant);

typedef enum fol_point {
    FOL_POINT_MORE = 0,    /* could give way here, and has more to do */
    FOL_POINT_DONE = 1,    /* the job is done */
    FOL_POINT_BLOCKED = 2, /* waits for something; fol_dispatcher_wake */
    FOL_POINT_FAILED = 3,  /* the job is over, in vain */
} fol_point;

typedef enum fol_ran {
    FOL_RAN_ON = 0,      /* it keeps the CPU; grant is new */
    FOL_RAN_OFF = 1,     /* off the CPU: ready, throttled or blocked; its job goes on later */
    FOL_RAN_ENDED = 2,   /* the job is over */
    FOL_RAN_DROPPED = 3, /* the job is over before its end: skipped, killed or revoked */
} fol_ran;

/* What runs on the CPU reached a point after `used` since the last call about it. `used` may exceed
 * the grant where points are coarse; the debt is carried. Unless it keeps the CPU, that is free. */
fol_ran fol_dispatcher_ran(fol_dispatcher *dispatcher, uint32_t cpu, int64_t used, int64_t now,
                           fol_point point, fol_grant *grant);

/* A CPU whose runnable should give way at its next point because of what became ready since, or
 * FOL_NO_CPU. Each displacement is reported until that CPU has been asked (ran, with MORE). */
uint32_t fol_dispatcher_displaced(fol_dispatcher *dispatcher, int64_t now);
/* Whether what runs there has to be asked now: displaced, or its context was revoked. */
bool fol_dispatcher_is_displaced(const fol_dispatcher *dispatcher, uint32_t cpu);

/* Refills that are due by now: what waited for them is ready again. */
void fol_dispatcher_advance(fol_dispatcher *dispatcher, int64_t now);
/* When the next refill somebody waits for is due; FOL_TIME_NEVER: none. */
int64_t fol_dispatcher_next(const fol_dispatcher *dispatcher);

typedef enum fol_runnable_state {
    FOL_RUNNABLE_UNKNOWN = 0, /* no runnable has this id */
    FOL_RUNNABLE_ASLEEP,      /* no job */
    FOL_RUNNABLE_BLOCKED,     /* its job waits for a wake */
    FOL_RUNNABLE_READY,
    FOL_RUNNABLE_RUNNING,
    FOL_RUNNABLE_THROTTLED, /* waits for a refill */
    FOL_RUNNABLE_HELD, /* another runnable draws on its context now: a budget is spent in turn */
    FOL_RUNNABLE_DEAD,
} fol_runnable_state;

fol_runnable_state fol_dispatcher_state(const fol_dispatcher *dispatcher, uint32_t id);
/* How many are ready now. */
uint32_t fol_dispatcher_ready_count(const fol_dispatcher *dispatcher);
uint32_t fol_dispatcher_throttled_count(const fol_dispatcher *dispatcher);
/* Who runs on the CPU, or FOL_NO_RUNNABLE. */
uint32_t fol_dispatcher_running(const fol_dispatcher *dispatcher, uint32_t cpu);
const fol_runnable_view *fol_dispatcher_view(const fol_dispatcher *dispatcher, uint32_t id);
/* Lag of a runnable of the fair class, times 1024 over its weight's unit; 0 for others. */
int64_t fol_dispatcher_lag(const fol_dispatcher *dispatcher, uint32_t id);

/* The slots that are not the dispatcher's own, with the same fallback and the same record. True:
 * the output is the policy's answer. */
bool fol_dispatcher_victims(fol_dispatcher *dispatcher, uint32_t worker, int64_t now,
                            uint32_t *order, uint32_t *count);
bool fol_dispatcher_spin_limit(fol_dispatcher *dispatcher, uint32_t worker, int64_t now,
                               uint32_t *limit);
bool fol_dispatcher_chunk_rows(fol_dispatcher *dispatcher, uint32_t system, uint64_t rows,
                               int64_t now, uint64_t *chunk);
bool fol_dispatcher_backend(fol_dispatcher *dispatcher, const fol_policy_load *load,
                            uint32_t backends, int64_t now, uint32_t *choice);
uint32_t fol_dispatcher_faults(const fol_dispatcher *dispatcher);
bool fol_dispatcher_policy_is_on(const fol_dispatcher *dispatcher);

/* The ledger. */
const fol_account *fol_dispatcher_account(const fol_dispatcher *dispatcher, uint32_t id);
const fol_account *fol_dispatcher_group_account(const fol_dispatcher *dispatcher, uint32_t group);
const fol_account *fol_dispatcher_cpu_account(const fol_dispatcher *dispatcher, uint32_t cpu);
int fol_dispatcher_context_stats(const fol_dispatcher *dispatcher, uint64_t context,
                                 fol_context_stats *out);
/* The notice a context left since this was asked last; false: none. */
bool fol_dispatcher_take_notice(fol_dispatcher *dispatcher, uint64_t context, fol_notice *out);

/* Decisions, numbered from 0 in the order they were made; those before `first` are overwritten. */
void fol_dispatcher_records(const fol_dispatcher *dispatcher, uint64_t *first, uint64_t *end);
const fol_decision *fol_dispatcher_record(const fol_dispatcher *dispatcher, uint64_t number);
/* Something else that was decided, for the same record. */
void fol_dispatcher_note(fol_dispatcher *dispatcher, const fol_decision *decision);
/* The last decision about the runnable that was no pick; false: none. Kept even when the record has
 * been overwritten. */
bool fol_dispatcher_last(const fol_dispatcher *dispatcher, uint32_t id, fol_decision *out);

/* Counted since it was made. */
void fol_dispatcher_choices(const fol_dispatcher *dispatcher, fol_choice_counts *out);

/* Every runnable in one place, every sum right. Costly. */
bool fol_dispatcher_invariants(const fol_dispatcher *dispatcher);

#endif
