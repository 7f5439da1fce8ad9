/* The simulator of task sets: virtual CPUs and a virtual clock, driven by the dispatcher that the
 * scheduler runs on.
 *
 * Time is a whole number of any unit, from 0 to `until`. Jobs that are released before `until` are
 * simulated, and what ends at `until` exactly has ended. What happens at one instant happens in
 * this order: ends of jobs, slices and budgets, by CPU; refills; releases, by task; then picks, by
 * CPU. So a job that ends at its deadline has met it.
 *
 * A task has one unfinished job at a time. The next one waits until it is done, in the order of
 * releases, and its deadline counts from its own release. Jitter makes a job late, never its
 * deadline.
 *
 * One owner; a simulation may move between threads. Equal configurations give equal logs.
 */
#ifndef FOLIOT_SIM_H
#define FOLIOT_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "foliot/budget.h"
#include "foliot/policy.h"
#include "foliot/sim_machine.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fol_sim fol_sim;

#define FOL_SIM_MAX_TIME  (INT64_C(1) << 60)
#define FOL_SIM_MAX_TASKS 65536u
#define FOL_SIM_MAX_CPUS  1024u
#define FOL_SIM_NEVER     INT64_C(-1)
#define FOL_SIM_NO_CPU    UINT16_MAX

typedef enum fol_sim_queues {
    FOL_SIM_GLOBAL = 0,      /* one queue for all CPUs */
    FOL_SIM_PARTITIONED = 1, /* one for each, and tasks stay where they are */
    FOL_SIM_PER_CPU = 2,     /* one for each; idle CPUs take from others */
    FOL_SIM_QUEUE_SHAPES = 3,
} fol_sim_queues;

typedef enum fol_sim_preemption {
    FOL_SIM_PREEMPT_FULL = 0,  /* at any time */
    FOL_SIM_PREEMPT_CHUNK = 1, /* after each chunk of work */
    FOL_SIM_PREEMPT_NONE = 2,  /* not before the job's end */
    FOL_SIM_PREEMPTIONS = 3,
} fol_sim_preemption;

/* Times are 0 .. FOL_SIM_MAX_TIME. */
typedef struct fol_sim_task {
    int64_t wcet;         /* what policies are told; at least 1 */
    int64_t period;       /* at least 1 */
    int64_t deadline;     /* relative, at least 1 */
    int64_t offset;       /* of the first release */
    int64_t jitter;       /* a release is late by 0 .. jitter */
    int64_t gap;          /* each period is longer by 0 .. gap */
    int64_t section;      /* first units of each job during which it cannot be preempted */
    int64_t chunk;        /* 0: the whole job */
    const int64_t *costs; /* of the jobs, in turn; each at least 1 */
    uint32_t cost_count;  /* at least 1 */
    uint32_t weight;      /* at least 1 */
    uint32_t latency;     /* class: 0, 1 or 2 */
    uint32_t group;       /* number from 1; 0: none */
    uint32_t context;     /* number from 1; 0: none */
    uint32_t cpu;         /* home, where queues are several */
    int32_t priority;
} fol_sim_task;

typedef struct fol_sim_group {
    uint32_t weight;
    uint32_t latency;
} fol_sim_group;

typedef struct fol_sim_config {
    const fol_sim_task *tasks; /* copied, like all else here but the slots' state */
    const fol_sim_group *groups;
    const fol_context_options *contexts;
    uint32_t task_count; /* 1 .. FOL_SIM_MAX_TASKS */
    uint32_t group_count;
    uint32_t context_count;
    uint32_t cpus; /* 1 .. FOL_SIM_MAX_CPUS */
    fol_policy_kind policy;
    fol_sim_queues queues;
    fol_sim_preemption preemption;
    int64_t until; /* at least 1 */
    /* Time a CPU works on nobody's account before a job goes on: after another one; after having
     * run elsewhere, by how far that is; and when it was taken out of another CPU's queue, by how
     * far that is. Cannot be interrupted. */
    int64_t switch_cost;
    int64_t migration_costs[FOL_SIM_DISTANCES];
    int64_t steal_costs[FOL_SIM_DISTANCES];
    /* Which CPUs are near each other, and so whom an idle one takes from first; copied. Who is
     * dispatched and preempted where does not go by it. NULL: all share one cache. */
    const fol_sim_machine *machine;
    uint64_t seed;
    int64_t slices[3]; /* of the fair class, by latency class; each at least 1 */
    int64_t tick;
    uint32_t records;              /* decisions kept; 0 or a power of 2 */
    bool keeps_segments;           /* who ran where from when to when */
    int64_t sample_every;          /* lags, at the first instant in each so much; 0: none */
    const fol_policy_slots *slots; /* NULL: all built in */
    uint32_t max_faults;           /* at least 1 */
    int64_t (*stopwatch)(void *state);
    void *stopwatch_state;
    int64_t slot_limit;
} fol_sim_config;

typedef enum fol_sim_outcome {
    FOL_SIM_UNFINISHED = 0,
    FOL_SIM_DONE = 1,
    FOL_SIM_DROPPED = 2, /* ended early, for its budget */
    FOL_SIM_DENIED = 3,  /* not taken, for its budget or by the policy's admission */
    FOL_SIM_OUTCOMES = 4,
} fol_sim_outcome;

typedef struct fol_sim_job {
    int64_t release;
    int64_t start;  /* of its first unit of work; FOL_SIM_NEVER */
    int64_t finish; /* of its last; FOL_SIM_NEVER unless it is done */
    int64_t deadline;
    uint32_t task;
    uint16_t cpu;     /* on which it ran last; FOL_SIM_NO_CPU: none */
    uint16_t outcome; /* fol_sim_outcome */
} fol_sim_job;

typedef struct fol_sim_segment {
    int64_t start;
    int64_t end;
    uint64_t job; /* place in the log */
    uint32_t cpu;
    uint32_t is_cost; /* 1: a switch to the job, 0: the job itself */
} fol_sim_segment;

typedef struct fol_sim_cpu_use {
    int64_t busy;  /* on jobs */
    int64_t costs; /* on switches, migrations and steals */
} fol_sim_cpu_use;

/* Jobs that are released before `until`, at most; UINT64_MAX when there are more. */
uint64_t fol_sim_jobs_bound(const fol_sim_task *tasks, uint32_t count, int64_t until);

/* FOL_E_VALUE for a configuration out of bounds; -ENOMEM. */
int fol_sim_create(const fol_sim_config *config, fol_sim **out);
void fol_sim_destroy(fol_sim *sim);

/* Goes on for so many instants and releases, at least one, and the instant at which that is reached
 * to its end. 1: the simulation is over; 0: there is more; -ENOMEM: it cannot go on, and only
 * destroying it is left. */
int fol_sim_step(fol_sim *sim, uint64_t events);
int64_t fol_sim_now(const fol_sim *sim);

/* The log, in the order of (release, task). Complete when the simulation is over; until then the
 * finish of a job that is not done has no meaning. */
const fol_sim_job *fol_sim_jobs(const fol_sim *sim, uint64_t *count);
const fol_sim_segment *fol_sim_segments(const fol_sim *sim, uint64_t *count);
/* Rows of the time and then each task's lag. */
const int64_t *fol_sim_samples(const fol_sim *sim, uint64_t *rows);
void fol_sim_cpu(const fol_sim *sim, uint32_t cpu, fol_sim_cpu_use *out);
const fol_sim_moves *fol_sim_moves_of(const fol_sim *sim);

const fol_account *fol_sim_task_account(const fol_sim *sim, uint32_t task);
const fol_account *fol_sim_group_account(const fol_sim *sim, uint32_t group);
const fol_account *fol_sim_cpu_account(const fol_sim *sim, uint32_t cpu);
/* Number from 1; FOL_E_STALE when it was killed. */
int fol_sim_context_stats(const fol_sim *sim, uint32_t context, fol_context_stats *out);

/* Decisions by number, those before `first` overwritten; their runnable is the task. */
void fol_sim_records(const fol_sim *sim, uint64_t *first, uint64_t *end);
const fol_decision *fol_sim_record(const fol_sim *sim, uint64_t number);
/* The last decision about a task that was no pick; false: none. */
bool fol_sim_last(const fol_sim *sim, uint32_t task, fol_decision *out);
uint32_t fol_sim_faults(const fol_sim *sim);
/* Where the choices of the dispatcher went. */
void fol_sim_choices(const fol_sim *sim, fol_choice_counts *out);
bool fol_sim_policy_is_on(const fol_sim *sim);

/* Costly. */
bool fol_sim_invariants(const fol_sim *sim);

#ifdef __cplusplus
}
#endif

#endif
