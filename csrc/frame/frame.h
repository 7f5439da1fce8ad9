/* The inside of a scheduler, shared by the files of frame/.
 *
 * A program is what a plan and its systems become for running: nodes in running order, phase by
 * phase and, inside a phase, segment by segment. It is immutable while a frame runs except for the
 * counters of its nodes, which only the thread that runs the node touches. A replan builds a new
 * program and swaps it in whole, so a failed replan leaves the old one untouched.
 *
 * Ticks. A run of a phase takes one tick for each node and each merge, in running order, whether
 * or not the node runs; so ticks, and with them change detection, do not depend on timing.
 */
#ifndef FOL_FRAME_FRAME_H
#define FOL_FRAME_FRAME_H

#include <stdatomic.h>

#include "backend/backend.h"
#include "foliot/scheduler.h"

/* A resource that a native system without component terms gets as columns. */
typedef struct fol_resource_column {
    fol_component *component;
    uint32_t offset; /* of the field in the packed value */
    bool is_written;
} fol_resource_column;

/* Rows of the first call of a kernel whose cost nobody knows: a millisecond at a microsecond a row.
 */
#define FOL_FIRST_ROWS 1024u

/* One system in running order. */
typedef struct fol_node {
    fol_system_kind kind;
    bool needs_host;
    bool condition_needs_host;
    bool records_commands;
    bool is_exclusive;
    bool has_components; /* its default query names a component */
    bool is_disabled;
    bool is_quarantined;
    uint32_t system;     /* index in the plan */
    uint32_t max_rows;   /* as the system said; 0: paced_rows */
    uint32_t paced_rows; /* so many take about as long as the host may wait */
    union {
        fol_columns_kernel columns_kernel;
        fol_chunk_kernel chunk_kernel;
        fol_hosted_function hosted;
    } function;
    void *user;
    fol_condition_function condition;
    void *condition_user;
    fol_query **queries; /* owned; slices of the program's query array */
    uint32_t query_count;
    uint32_t column_count; /* of the default query */
    uint32_t component_count;
    fol_component **components;            /* retained: declared writes, then reads */
    fol_resource_column *resource_columns; /* column_count, when has_components is false */
    uint64_t last_tick;
    uint64_t failures;
    double mean_cycles; /* running mean of the cost of a run */
} fol_node;

/* What a node did in this frame. */
typedef struct fol_node_frame {
    uint64_t cycles;
    uint64_t rows;
    uint32_t tasks;
    fol_run_state state;
} fol_node_frame;

/* One phase of a program. */
typedef struct fol_phase {
    uint32_t first; /* node */
    uint32_t count;
    uint32_t *segment_ends; /* relative to first */
    uint32_t segment_count;
    fol_phase_rate rate;
    double
        owed; /* seconds a fixed-rate phase has not stepped yet, or (below 0) before their time */
} fol_phase;

typedef struct fol_program {
    const fol_plan *plan;
    fol_node *nodes;
    uint32_t node_count;
    uint32_t *node_of_system;
    fol_phase *phases;
    uint32_t phase_count;
    fol_node_frame *frames;     /* one a node */
    fol_system_timing *timings; /* one a system: the frame's result */
    uint64_t *phase_cycles;
    uint64_t *phase_ns;
    uint32_t *phase_steps;
    uint32_t *quarantined; /* node_count of room */
} fol_program;

struct fol_scheduler {
    fol_world *world;
    fol_scheduler_config config;
    fol_backend backend;
    fol_program *program;
    fol_commands *commands;
    uint32_t first_order; /* commands are stamped with it plus the node; older stamps were recorded
                           * under an earlier program and still wait */
    uint64_t fork_generation;
    atomic_bool is_driven;

    uint64_t frame_number;
    double time;
    double ns_per_cycle; /* of the last frame measured */

    /* The running frame. */
    fol_phase *phase;
    fol_node *phase_nodes;
    fol_node_frame *phase_frames;
    fol_task task;
    fol_chunk chunk;
    uint64_t tick_base;
    uint64_t stamp;     /* cycles when the last node ended */
    uint64_t last_poll; /* cycles */
    uint64_t poll_cycles;
    bool is_attached;
    bool is_interrupted;

    fol_frame result;
    fol_frame_error *errors;
    uint32_t error_room;
    bool lost_errors; /* no memory to record one: the frame returns -ENOMEM */
    uint64_t merge_cycles;
    fol_scheduler_stats stats;
};

/* Nodes take the even ticks after the base, the merge behind a node the odd one after it. */
static inline uint64_t fol_node_tick(const fol_scheduler *scheduler, uint32_t node)
{
    return scheduler->tick_base + 2 * (uint64_t)node;
}

/* Of the merge behind the first `end` nodes of the phase; end is at least 1. */
static inline uint64_t fol_merge_tick(const fol_scheduler *scheduler, uint32_t end)
{
    return scheduler->tick_base + 2 * (uint64_t)end - 1;
}

/* program.c */
int fol_program_create(fol_world *world, const fol_plan *plan, const fol_system *systems,
                       const fol_phase_rate *rates, fol_program **out);
void fol_program_destroy(fol_program *program);
/* Continues what the systems of `old` that the new ones carry had learned. */
void fol_program_carry(fol_program *program, const fol_program *old, const fol_system *systems);

/* run_node.c: the backend's callback for one node of the running phase. */
void fol_run_node(void *state, uint32_t node, uint32_t worker);
/* Attach to or detach from the host unless that is so already. */
void fol_host_set_attached(fol_scheduler *scheduler, bool attached);
/* Ask the host, when it is time, whether the frame should stop. */
void fol_host_poll(fol_scheduler *scheduler, uint64_t now_cycles);
/* system UINT32_MAX: none. */
void fol_record_error(fol_scheduler *scheduler, uint32_t system, int status, int code,
                      bool is_merge);

/* merge.c: the backend's callback for the merge after a segment. */
void fol_run_merge(void *state, uint32_t segment);

#endif
