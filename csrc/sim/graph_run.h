/* One pass of a graph over virtual CPUs: what both kinds of queue share.
 *
 * A pass goes from instant to instant: every task that ends then, by rising CPU, makes its
 * successors ready, by rising task; then idle CPUs are given work, by rising CPU. A task of cost 0
 * ends in a further round of the same instant.
 *
 * Invariant between rounds: a CPU is idle or its task is among the events; a task is waiting,
 * queued, parked by its busy lane, running or done; and each lane has at most one task running.
 */
#ifndef FOL_SIM_GRAPH_RUN_H
#define FOL_SIM_GRAPH_RUN_H

#include "base/rng.h"
#include "sim/graph.h"
#include "sim/graph_heap.h"
#include "sim/machine.h"
#include "structures/heap.h"

#define FOL_GRAPH_CPU_WORDS (FOL_GRAPH_MAX_CPUS / 64u)

/* The graph as a pass sees it: forwards, or backwards with the edges swapped. */
typedef struct fol_graph_view {
    uint32_t count;
    uint32_t lane_count;
    const int64_t *costs;
    const uint32_t *lanes;
    const fol_graph_edges *before;
    const fol_graph_edges *after;
} fol_graph_view;

typedef struct fol_graph_lane {
    bool is_busy;
    fol_graph_heap parked;
} fol_graph_lane;

typedef struct fol_graph_run fol_graph_run;

/* A kind of queue. */
typedef struct fol_graph_queue {
    /* Takes a task that is ready now. */
    void (*add)(fol_graph_run *run, uint32_t task);
    /* Starts what it can on idle CPUs. */
    void (*dispatch)(fol_graph_run *run);
    /* Takes one that was parked until its lane came free, which it did on this CPU. */
    void (*put_back)(fol_graph_run *run, const fol_graph_entry *entry, uint32_t cpu);
} fol_graph_queue;

extern const fol_graph_queue fol_graph_central;
extern const fol_graph_queue fol_graph_stealing;

typedef struct fol_graph_deque {
    uint32_t oldest; /* FOL_NO_TASK: empty */
    uint32_t newest;
} fol_graph_deque;

struct fol_graph_run {
    fol_graph_view view;
    const fol_sim_graph_options *options;
    const fol_graph_queue *queue;
    fol_sim_graph_jobs jobs;
    fol_sim_graph_summary summary;
    int64_t now;
    uint32_t done;
    uint32_t idle_count;
    uint32_t *waits;                    /* predecessors that have not finished */
    uint32_t *homes;                    /* CPU whose end of a task made it ready, or FOL_NO_CPU */
    uint32_t *running;                  /* of each CPU */
    fol_heap events;                    /* of CPUs by the time at which their task ends */
    fol_graph_lane *lanes;              /* NULL: none */
    fol_graph_entry *parked;            /* memory of the lanes' heaps */
    uint64_t idle[FOL_GRAPH_CPU_WORDS]; /* bit for each CPU */

    /* The central queue. */
    const int64_t *ranks; /* NULL: by release */
    const uint32_t *ties; /* NULL: none */
    fol_graph_heap ready;
    uint32_t *listed; /* with a pick slot: the ready ones in their order, started ones left out */
    uint32_t listed_count;
    uint32_t *offered;           /* of them, those whose lane is free */
    fol_runnable_view *runnable; /* what slots are told; NULL without slots */
    const fol_policy_slots *slots;

    /* The deques, one for each CPU, each task in at most one. */
    fol_graph_deque *deques;
    uint32_t *older;
    uint32_t *newer;
    uint32_t queued;
    uint64_t stocked[FOL_GRAPH_CPU_WORDS]; /* CPUs whose deque is not empty */
    uint32_t *victims;
    uint64_t parkings; /* what is parked comes back in that order */
    fol_rng rng;
};

/* Takes all memory of passes over graphs of this shape. -ENOMEM. */
int fol_graph_run_init(fol_graph_run *run, const fol_graph_view *view,
                       const fol_sim_graph_options *options, const fol_graph_queue *queue);
void fol_graph_run_deinit(fol_graph_run *run);

/* One pass from time 0, over this view of the shape that init saw. */
int fol_graph_run_pass(fol_graph_run *run, const fol_graph_view *view,
                       const fol_sim_graph_jobs *jobs);

/* For queues. */

/* Of a ready task. */
static inline bool fol_graph_is_started(const fol_graph_run *run, uint32_t task)
{
    return run->jobs.cpu[task] != FOL_NO_CPU;
}

bool fol_graph_lane_is_busy(const fol_graph_run *run, uint32_t task);
void fol_graph_park(fol_graph_run *run, fol_graph_entry entry);
/* Starts a ready task on an idle CPU, which first spends `extra` and what its switch costs. */
void fol_graph_start(fol_graph_run *run, uint32_t task, uint32_t cpu, int64_t extra);
/* Counts a fault of a slot; after so many as the options allow, slots are off. */
void fol_graph_slot_failed(fol_graph_run *run, fol_policy_slot slot, int status);
/* The lowest CPU in a row of bits at or after `from`, or FOL_NO_CPU. */
uint32_t fol_graph_next_cpu(const uint64_t *bits, uint32_t from);

/* List scheduling: the best of several passes into jobs. */
int fol_graph_run_best(const fol_sim_graph *graph, const fol_sim_graph_options *options,
                       const fol_sim_graph_jobs *jobs, fol_sim_graph_summary *summary);
/* Ranks of the critical path and of cost; ties may be NULL where they are not wanted. */
void fol_graph_rank(const fol_sim_graph *graph, fol_sim_graph_order order, int64_t *ranks,
                    uint32_t *ties);

#endif
