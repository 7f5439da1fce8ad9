/* What a simulation holds, for the files that make it up: sim.c sets up, releases.c makes jobs,
 * engine.c moves time, log.c keeps what happened, view.c tells it.
 *
 * Invariants: a CPU is either idle, with its bit set and out of the tournament, or runs a task that
 * has a current job. A task's current job is the one that the dispatcher knows; those behind it
 * wait in a chain, oldest first, through the `finish` of the log's entries, which means nothing
 * else as long as a job is not over. No time is beyond 2^63: what is added to `until` at most is
 * three costs, a cost of a job and a deadline, each at most 2^60.
 */
#ifndef FOL_SIM_SIM_STATE_H
#define FOL_SIM_SIM_STATE_H

#include "foliot/sim.h"

#include "base/rng.h"
#include "policy/dispatcher.h"
#include "sim/machine.h"
#include "sim/tournament.h"

#define FOL_SIM_NO_JOB UINT64_MAX

typedef struct fol_sim_worker {
    int64_t begun; /* what was done since is not told yet; later than now during a switch */
    int64_t came;  /* begin of the segment */
    fol_sim_cpu_use use;
    uint32_t task; /* FOL_NO_RUNNABLE: idle */
} fol_sim_worker;

typedef struct fol_sim_source {
    uint64_t current; /* place in the log, FOL_SIM_NO_JOB */
    uint64_t last;    /* of those that wait, or the current one */
    int64_t done;     /* of the current one */
    int64_t need;
    int64_t nominal; /* next release without its jitter; at least `until`: none */
    int64_t period;
    int64_t deadline;
    int64_t jitter;
    int64_t gap;
    int64_t section;
    int64_t chunk;
    int64_t wcet;
    const int64_t *costs;
    uint32_t cost_count;
    uint32_t cost_next;
    fol_rng rng;
} fol_sim_source;

struct fol_sim {
    int64_t now;
    int64_t until;
    fol_dispatcher *dispatcher;
    fol_sim_source *sources;
    fol_sim_worker *workers;
    fol_tournament releases; /* of tasks */
    fol_tournament points;   /* of CPUs: when the dispatcher is asked about what runs */
    uint64_t *idle;          /* a bit for each CPU */
    uint32_t *due;           /* tasks whose next job may begin now */
    uint32_t due_count;
    uint32_t cpu_count;
    uint32_t task_count;
    uint32_t context_count;
    fol_sim_preemption preemption;
    int64_t switch_cost;
    int64_t migration_costs[FOL_SIM_DISTANCES];
    int64_t steal_costs[FOL_SIM_DISTANCES];
    fol_sim_machine *machine; /* NULL: all CPUs share one cache */
    fol_sim_moves moves;
    bool is_over;
    bool keeps_segments;
    int status; /* negative: it cannot go on */

    fol_sim_job *jobs;
    uint64_t job_count;
    uint64_t job_room;
    fol_sim_segment *segments;
    uint64_t segment_count;
    uint64_t segment_room;
    int64_t *samples;
    uint64_t sample_count; /* rows */
    uint64_t sample_room;
    int64_t sample_every;
    int64_t next_sample;
    uint64_t *contexts; /* handles */
    int64_t *costs;     /* of all tasks */
};

/* releases.c */

/* The first release of a task is set. */
void fol_sim_begin_releases(fol_sim *sim, uint32_t task);
/* Jobs that waited for an earlier one, and those whose time is now. */
void fol_sim_release(fol_sim *sim);
/* The current job is over; the next one becomes current and has to be offered. */
void fol_sim_end_job(fol_sim *sim, uint32_t task, fol_sim_outcome outcome, int64_t finish);
/* Jobs that came in vain are marked so, when the simulation is over. */
void fol_sim_end_releases(fol_sim *sim);

/* log.c */

/* Room was reserved for all jobs. */
uint64_t fol_sim_log_job(fol_sim *sim, const fol_sim_job *job);
void fol_sim_log_segment(fol_sim *sim, const fol_sim_segment *segment);
void fol_sim_log_sample(fol_sim *sim);

#endif
