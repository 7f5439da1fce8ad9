/* Task graphs on virtual CPUs: what makes them, what bounds them, and runs of them.
 *
 * A graph has tasks numbered from 0, each with a cost and predecessors. A run gives each task to
 * one CPU, on which it stays from its start to its finish; it starts no earlier than all its
 * predecessors have finished. Tasks of one lane exclude each other, as systems that hold the
 * interpreter's lock do. Time is an integer of any unit. The same graph, options and seed give the
 * same run on every machine.
 *
 * Orders: FIFO is plain greedy (Graham 1969: no CPU idles while something is ready). Critical path
 * is list scheduling by the longest way to the end (Hu 1961; HLFET in Adam, Chandy and Dickson
 * 1974). Cost is the longest task first. List tries these, then improves the best of them by passes
 * back and forth (Li and Willis 1992), and keeps the shortest, so it is never longer than greedy.
 * Steal keeps a deque on each CPU: its own newest first, else the oldest of the nearest victim that
 * has any (Blumofe and Leiserson 1999).
 */
#ifndef FOLIOT_SIM_GRAPH_H
#define FOLIOT_SIM_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "foliot/policy.h"
#include "foliot/sim_machine.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FOL_GRAPH_MAX_TASKS UINT32_C(0x7fffffff)
#define FOL_GRAPH_MAX_EDGES UINT64_C(0xffffffff)
#define FOL_GRAPH_MAX_CPUS  1024u
#define FOL_NO_TASK         UINT32_MAX
#define FOL_NO_LANE         UINT32_MAX

typedef struct fol_sim_graph fol_sim_graph;

/* What a graph is made of; copied. */
typedef struct fol_sim_graph_spec {
    uint32_t count;
    uint32_t lane_count;
    const int64_t *costs;         /* one for each task, at least 0 */
    const uint64_t *first;        /* count + 1 places: predecessors[first[i] .. first[i + 1]) */
    const uint32_t *predecessors; /* of all tasks, those of the first task first */
    const uint32_t *lanes;        /* below lane_count or FOL_NO_LANE; NULL: none has one */
} fol_sim_graph_spec;

typedef enum fol_sim_graph_fault_kind {
    FOL_GRAPH_FAULT_NONE = 0,
    FOL_GRAPH_FAULT_COST,    /* task: its cost is negative */
    FOL_GRAPH_FAULT_SHAPE,   /* counts or places that do not fit each other, or too many */
    FOL_GRAPH_FAULT_UNKNOWN, /* task: its predecessor `other` is no task */
    FOL_GRAPH_FAULT_TWICE,   /* task: its predecessor `other` is named twice */
    FOL_GRAPH_FAULT_LANE,    /* task: its lane is none */
    FOL_GRAPH_FAULT_CYCLE,   /* cycle: each waits for the one before it, the first for the last */
    FOL_GRAPH_FAULT_SUM,     /* task: with it the costs exceed 64 bits */
} fol_sim_graph_fault_kind;

#define FOL_GRAPH_CYCLE_SHOWN 16u

typedef struct fol_sim_graph_fault {
    fol_sim_graph_fault_kind kind;
    uint32_t task;
    uint32_t other;
    uint32_t cycle_length;                 /* of the whole cycle */
    uint32_t cycle[FOL_GRAPH_CYCLE_SHOWN]; /* its first tasks */
} fol_sim_graph_fault;

/* -ENOMEM; FOL_E_VALUE or, for a cycle, FOL_E_CYCLE, and then *fault says what is wrong. */
int fol_sim_graph_create(const fol_sim_graph_spec *spec, fol_sim_graph **out,
                         fol_sim_graph_fault *fault);
void fol_sim_graph_destroy(fol_sim_graph *graph);

uint32_t fol_sim_graph_count(const fol_sim_graph *graph);
uint64_t fol_sim_graph_edges(const fol_sim_graph *graph);
/* The sum of all costs. */
int64_t fol_sim_graph_work(const fol_sim_graph *graph);
/* The largest sum of costs along a way through the graph. */
int64_t fol_sim_graph_critical_path(const fol_sim_graph *graph);
/* The tasks on such a way, first to last; of several the one of the lowest ids. `path` has room for
 * all tasks. Returns how many. */
uint32_t fol_sim_graph_critical_tasks(const fol_sim_graph *graph, uint32_t *path);
/* No run on so many CPUs, at least 1, can be shorter: the critical path, the work over the CPUs,
 * rounded up, and the work of the busiest lane. */
int64_t fol_sim_graph_lower_bound(const fol_sim_graph *graph, uint32_t cpus);

int64_t fol_sim_graph_cost(const fol_sim_graph *graph, uint32_t task);
uint32_t fol_sim_graph_lane(const fol_sim_graph *graph, uint32_t task);
/* Predecessors in the order they were given. Good as long as the graph. */
const uint32_t *fol_sim_graph_predecessors(const fol_sim_graph *graph, uint32_t task,
                                           uint64_t *count);

typedef enum fol_sim_graph_order {
    FOL_GRAPH_FIFO = 0,
    FOL_GRAPH_CRITICAL_PATH = 1,
    FOL_GRAPH_COST = 2,
    FOL_GRAPH_LIST = 3,
    FOL_GRAPH_STEAL = 4,
    FOL_GRAPH_ORDERS = 5,
} fol_sim_graph_order;

/* "fifo", "critical-path", "cost", "list", "steal", NULL. */
extern const char *const fol_sim_graph_order_names[];

typedef struct fol_sim_graph_options {
    fol_sim_graph_order order;
    uint32_t cpus;
    uint64_t seed; /* of where stealing begins to look */
    /* What a CPU spends before a task that it starts: always; for one that became ready by the end
     * of a task on another CPU, by how far that is; for one taken from another CPU's deque, by how
     * far that is. Each at least 0. */
    int64_t switch_cost;
    int64_t migration_costs[FOL_SIM_DISTANCES];
    int64_t steal_costs[FOL_SIM_DISTANCES];
    /* Which CPUs are near each other. Only stealing goes by it, and what is charged. NULL: all
     * share one cache. */
    const fol_sim_machine *machine;
    /* NULL: all built in. Asked: enqueue and pick, unless the order is steal; victims if it is. */
    const fol_policy_slots *slots;
    uint32_t max_faults; /* of the slots before they are switched off; at least 1 with slots */
    /* Called now and then with the tasks done so far in this pass; a negative answer ends the run
     * with it. NULL: not called. */
    int (*check)(void *state, uint32_t done);
    void *check_state;
} fol_sim_graph_options;

/* Where the run is written: each array has room for all tasks. */
typedef struct fol_sim_graph_jobs {
    int64_t *release; /* when all predecessors had finished */
    int64_t *start;
    int64_t *finish;
    uint32_t *cpu;
} fol_sim_graph_jobs;

typedef struct fol_sim_graph_summary {
    int64_t makespan;
    int64_t overhead; /* of all CPUs: switches, migrations and steals */
    fol_sim_moves moves;
    uint32_t passes; /* schedules tried */
    uint32_t faults; /* of slots */
    int fault_status;
    fol_policy_slot fault_slot; /* of the last fault */
} fol_sim_graph_summary;

/* -EINVAL for options out of bounds; -EOVERFLOW when costs and overheads may exceed 64 bits;
 * -ENOMEM; what `check` answered. The arrays hold nothing of use then. */
int fol_sim_graph_run(const fol_sim_graph *graph, const fol_sim_graph_options *options,
                      const fol_sim_graph_jobs *jobs, fol_sim_graph_summary *summary);

/* Standard Task Graph files (Tobita and Kasahara 2002). Text of numbers parted by white space; `#`
 * begins a comment that the line ends. First the number of tasks n, then for each task its id, its
 * cost, the number of its predecessors, and their ids. There may be n rows, or n + 2 with a dummy
 * entry, id 0, and a dummy exit, id n + 1, both of cost 0; all rows become tasks, in their order.
 */
typedef enum fol_stg_fault_kind {
    FOL_STG_FAULT_NONE = 0,
    FOL_STG_FAULT_TOKEN,    /* no whole number of at least 0 */
    FOL_STG_FAULT_RANGE,    /* a number above `limit` */
    FOL_STG_FAULT_END,      /* the text ends within a row */
    FOL_STG_FAULT_COUNT,    /* `found` rows, and the first number says `limit` */
    FOL_STG_FAULT_ID_TWICE, /* the id of an earlier row */
    FOL_STG_FAULT_UNKNOWN,  /* a predecessor that is the id of no row */
    FOL_STG_FAULT_GRAPH,    /* the rows make no graph: see `graph`, whose tasks are rows from 0 */
} fol_stg_fault_kind;

typedef enum fol_stg_field {
    FOL_STG_TASKS = 0,
    FOL_STG_ID,
    FOL_STG_COST,
    FOL_STG_PREDECESSORS,
    FOL_STG_PREDECESSOR,
} fol_stg_field;

typedef struct fol_stg_fault {
    fol_stg_fault_kind kind;
    fol_stg_field field; /* what was expected there */
    uint64_t line;       /* from 1; of the place of the fault, or of the row it is about */
    uint64_t column;     /* from 1, in bytes */
    size_t offset;       /* of the token in the text */
    size_t length;       /* of the token; 0: there is none */
    uint64_t row;        /* that was being read, from 0 */
    uint64_t found;
    uint64_t limit;
    uint64_t hint_line; /* 0, or the first line that holds more or less than one row */
    fol_sim_graph_fault graph;
    uint64_t cycle_ids[FOL_GRAPH_CYCLE_SHOWN]; /* of graph.cycle */
} fol_stg_fault;

/* Makes a graph of a text. *ids, unless ids is NULL, are the ids of the tasks in their order, given
 * back with fol_stg_release_ids. -ENOMEM, FOL_E_VALUE, FOL_E_CYCLE. */
int fol_stg_parse(const char *text, size_t size, fol_sim_graph **out, uint64_t **ids,
                  fol_stg_fault *fault);
void fol_stg_release_ids(uint64_t *ids);
/* What is wrong as a sentence without its place; like snprintf. */
size_t fol_stg_explain(const fol_stg_fault *fault, const char *text, char *out, size_t room);

#ifdef __cplusplus
}
#endif

#endif
