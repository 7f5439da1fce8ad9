/* The inside of a scheduler, shared by the files of frame/.
 *
 * A program is what a plan and its systems become for running: nodes in running order, phase by
 * phase and, inside a phase, segment by segment. A replan builds a new program and swaps it in
 * whole, so a failed replan leaves the old one untouched.
 *
 * Who writes what while a frame runs. The program and the scheduler's description of the running
 * phase are read by all workers and written by none; the caller writes them between runs of a
 * phase. The lower part of a node belongs to the worker that runs the node, and passes with the
 * node: two workers never have one node, except for its pieces, whose counters are atomic. A runner
 * belongs to its worker; the caller looks into the command buffers of all of them only when no node
 * runs. Errors are kept in one list under a lock: they are rare, and the frame's end puts them in
 * order. What the backend does between two nodes (its queues, its counts) orders these accesses.
 *
 * Ticks. A run of a phase takes one tick for each node and each merge, in running order, whether
 * or not the node runs; so ticks, and with them change detection, do not depend on timing.
 */
#ifndef FOL_FRAME_FRAME_H
#define FOL_FRAME_FRAME_H

#include <assert.h>
#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>

#include "backend/backend.h"
#include "base/assert.h"
#include "base/cycles.h"
#include "base/memory.h"
#include "foliot/scheduler.h"
#include "trace/trace.h"

/* A resource that a native system without component terms gets as columns. */
typedef struct fol_resource_column {
    fol_component *component;
    uint32_t offset; /* of the field in the packed value */
    bool is_written;
} fol_resource_column;

/* Rows of the first call of a kernel whose cost nobody knows: a millisecond at a microsecond a row.
 */
#define FOL_FIRST_ROWS 1024u

/* No piece: the node runs whole, or none of its pieces failed. */
#define FOL_NO_PIECE UINT32_MAX

/* What a node did in the frame of this number plus one; of another frame, nothing yet. */
typedef struct fol_node_frame {
    uint64_t number;
    uint64_t cycles;
    uint64_t rows;
    uint32_t tasks;
    uint16_t worker; /* that began it */
    uint8_t state;   /* fol_run_state */
} fol_node_frame;

/* The pieces of a node that is cut, from its begin to its end. */
typedef struct fol_pieces {
    _Atomic uint64_t cycles; /* sums over all pieces */
    _Atomic uint64_t rows;
    _Atomic uint32_t tasks;
    _Atomic uint32_t failed; /* the lowest that failed so far, or FOL_NO_PIECE */
    int status;              /* of that one; both under the scheduler's lock */
    int code;
    uint32_t count;
    uint64_t row_count; /* of the query's tables, for the cuts */
} fol_pieces;

/* One system in running order. Each of the three parts has its own cache lines; a small system on
 * one worker touches the first two. */
typedef struct fol_node {
    alignas(FOL_CACHE_LINE) uint8_t kind; /* fol_system_kind */
    bool needs_host;
    bool condition_needs_host;
    bool in_lane;
    bool records_commands;
    bool records_parts; /* and on any workers, as pieces or beside its condition */
    bool is_exclusive;
    bool has_components; /* its default query names a component */
    bool has_filters;    /* it gives only rows that changed */
    bool may_be_cut;
    bool does_io;
    _Atomic bool is_disabled;
    uint32_t system; /* index in the plan */
    uint32_t query_count;
    uint32_t column_count; /* of the default query */
    union {
        fol_columns_kernel columns_kernel;
        fol_chunk_kernel chunk_kernel;
        fol_hosted_function hosted;
    } function;
    void *user;
    fol_condition_function condition;
    fol_query **queries;                   /* owned; slices of the program's query array */
    fol_resource_column *resource_columns; /* column_count, when has_components is false */

    /* Of the worker that runs the node, but for what stays as it is. */
    alignas(FOL_CACHE_LINE) fol_node_frame frame;
    uint64_t last_tick;
    _Atomic double mean_cycles;  /* running mean of the cost of a run */
    float mean_rows;             /* and of the rows that took it, of a system over rows */
    _Atomic uint32_t paced_rows; /* so many take about as long as the host may wait */
    uint32_t max_rows;           /* as the system said; 0: paced_rows */
    _Atomic bool is_quarantined;
    bool must_discard; /* it failed, and the merge drops what it recorded */
    bool must_drop_io; /* it failed in this run, and what it asked for is not sent */

    alignas(FOL_CACHE_LINE) fol_pieces pieces;
    uint32_t failures;
    uint32_t component_count;
    fol_component **components; /* retained: declared writes, then reads */
    void *condition_user;
    uint64_t io_failed_mark; /* of the last frame that began with a failed operation of it */
} fol_node;

static_assert(offsetof(fol_node, pieces) == 2 * FOL_CACHE_LINE, "two hot lines");

/* One phase of a program. */
typedef struct fol_phase {
    uint32_t first; /* node */
    uint32_t count;
    uint32_t *segment_ends; /* relative to first */
    uint32_t *successor_starts;
    uint32_t *successors;
    uint32_t *stages;
    uint8_t *in_lane;
    fol_work work; /* over the arrays above */
    bool is_prepared;
    fol_phase_rate rate;
    double
        owed; /* seconds a fixed-rate phase has not stepped yet, or (below 0) before their time */
} fol_phase;

/* Where in a frame something happened, whoever did it: runs of phases count through the frame, and
 * within one the node of index i stands at 2i + 1, the merge behind the first n nodes at 2n. */
typedef struct fol_place {
    uint64_t run;
    uint32_t place;
} fol_place;

/* What the scheduler has of I/O: io.h. */
typedef struct fol_frame_io fol_frame_io;

/* What the scheduler has of budgets and its policy, and what a program has: budget.h. */
typedef struct fol_frame_budget fol_frame_budget;
typedef struct fol_budget_program fol_budget_program;

typedef struct fol_kept_quarantine {
    fol_place at;
    uint32_t system;
} fol_kept_quarantine;

typedef struct fol_program {
    const fol_plan *plan;
    fol_backend *backend; /* its phases are prepared for */
    fol_node *nodes;
    uint32_t node_count;
    uint32_t *node_of_system;
    fol_phase *phases;
    uint32_t phase_count;
    fol_system_timing *timings; /* one a system: the frame's result */
    uint64_t *phase_cycles;
    uint64_t *phase_ns;
    uint32_t *phase_steps;
    fol_kept_quarantine *quarantines; /* as they came; node_count of room */
    uint32_t *quarantined;            /* their systems, in order */
    fol_budget_program *budget;       /* NULL: it is not governed */
} fol_program;

/* One worker's part of the running frame. Counters are written by the worker alone (`commands` by
 * the caller, at merges) and read by anybody. */
typedef struct fol_runner {
    alignas(FOL_CACHE_LINE) fol_commands *commands;
    uint64_t stamp; /* cycles when the last node ended; on several workers, when this run began */
    uint32_t worker;
    bool is_attached;
    bool is_running; /* a node or piece: none begins inside of another, whatever that waits for */
    uint64_t frame_mark;  /* of the frame in which it last ran a node beside others */
    uint64_t busy_before; /* busy_cycles when that frame began */
    uint32_t waiting;     /* commands that a failed merge left in the buffer */
    _Atomic uint64_t systems;
    _Atomic uint64_t cut; /* of them, left to pieces */
    _Atomic uint64_t pieces;
    _Atomic uint64_t skipped;
    _Atomic uint64_t failed;
    _Atomic uint64_t recorded; /* commands that came to a merge */
    _Atomic uint64_t busy_cycles;
    _Atomic uint64_t host_switches;
    _Atomic uint64_t host_wait_cycles;
    fol_io_queue *io; /* NULL: no system does I/O */
    fol_task task;
    fol_chunk chunk_seen; /* what chunk kernels get */
} fol_runner;

/* Adds to a counter that only this thread writes. */
static inline void fol_count(_Atomic uint64_t *counter, uint64_t by)
{
    uint64_t value = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, value + by, memory_order_relaxed);
}

static inline uint64_t fol_counted(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* Written by the caller, read by anybody. */
typedef struct fol_frame_counters {
    _Atomic uint64_t frames;
    _Atomic uint64_t wall_ns;
    _Atomic uint64_t merges;
    _Atomic uint64_t commands_applied;
    _Atomic uint64_t commands_dropped;
    _Atomic uint64_t parallel_phases;
    _Atomic uint64_t serial_phases;
    _Atomic uint64_t switches; /* of the backend */
    _Atomic uint64_t misses;
    _Atomic uint64_t overruns;
    _Atomic uint64_t decisions;
    _Atomic uint64_t policy_faults;
} fol_frame_counters;

typedef struct fol_kept_error {
    fol_place at;
    uint32_t number; /* in the order they came */
    fol_frame_error error;
} fol_kept_error;

struct fol_scheduler {
    fol_world *world;
    fol_scheduler_config config;
    fol_backend backend;
    fol_program *program;
    fol_runner *runners;    /* one a worker; the first is the caller's */
    fol_commands **buffers; /* theirs */
    uint32_t worker_count;
    fol_trace *trace; /* NULL: none */
    /* NULL until a plan has a system with I/O; set between frames, read by anybody. */
    _Atomic(fol_frame_io *) io;
    /* NULL until a plan is governed; set between frames, read by anybody. */
    _Atomic(fol_frame_budget *) budget;
    uint32_t first_order; /* commands are stamped with it plus the node; older stamps were recorded
                           * under an earlier program and still wait */
    uint64_t fork_generation;
    atomic_bool is_driven;

    uint64_t frame_number;
    double time;
    _Atomic double ns_per_cycle; /* of the last frame measured */
    double target_cycles;        /* of a piece */
    uint64_t poll_cycles;        /* between two looks at the host, at least */
    uint64_t poll_pause;         /* the same, because of what the last look cost */
    uint64_t origin_cycles;      /* of the trace's time */
    uint64_t origin_ns;

    /* The running phase: set by the caller between runs. */
    fol_phase *phase;
    fol_node *phase_nodes;
    uint64_t tick_base;
    uint64_t frame_mark; /* the frame's number plus one */
    uint64_t run_number; /* of the phase in the frame */
    double step_dt;
    double step_time;
    bool is_parallel;      /* nodes run on any worker */
    bool was_parallel;     /* did so in this run of the phase */
    bool is_merging;       /* the host may not run */
    uint64_t last_poll;    /* cycles */
    uint64_t segment_from; /* cycles when the segment began */
    uint64_t merge_cycles;
    fol_place merge_place;
    fol_place io_place; /* of what deliveries find */

    alignas(FOL_CACHE_LINE) atomic_bool is_interrupted; /* from any worker; rises once a frame */
    _Atomic uint32_t discards;                          /* nodes of the segment that must_discard */
    _Atomic uint32_t attached_helpers; /* workers but the caller that hold the host */

    pthread_mutex_t lock; /* of the errors and quarantines of the frame, and of failing pieces */
    fol_frame result;
    fol_kept_error *kept;    /* result.error_count of them, as they came */
    fol_frame_error *errors; /* in order */
    uint32_t error_room;     /* of both */
    bool lost_errors;        /* no memory to record one: the frame returns -ENOMEM */
    fol_frame_counters counters;
};

static inline bool fol_is_interrupted(const fol_scheduler *scheduler)
{
    return atomic_load_explicit(&scheduler->is_interrupted, memory_order_relaxed);
}

static inline void fol_interrupt(fol_scheduler *scheduler)
{
    atomic_store_explicit(&scheduler->is_interrupted, true, memory_order_relaxed);
}

static inline double fol_ns_per_cycle(const fol_scheduler *scheduler)
{
    return atomic_load_explicit(&scheduler->ns_per_cycle, memory_order_relaxed);
}

/* For who drives. */
static inline fol_frame_io *fol_io_of(const fol_scheduler *scheduler)
{
    return atomic_load_explicit(&scheduler->io, memory_order_relaxed);
}

/* For any thread. Acquire pairs with the release of fol_io_ensure. */
static inline fol_frame_io *fol_io_of_any(const fol_scheduler *scheduler)
{
    return atomic_load_explicit(&scheduler->io, memory_order_acquire);
}

/* For any thread. Acquire pairs with the release of fol_budget_ensure. */
static inline fol_frame_budget *fol_budget_of_any(const fol_scheduler *scheduler)
{
    return atomic_load_explicit(&scheduler->budget, memory_order_acquire);
}

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

/* The stamp of what a node records. */
static inline uint32_t fol_node_order(const fol_scheduler *scheduler, uint32_t index)
{
    return scheduler->first_order + scheduler->phase->first + index;
}

static inline fol_place fol_place_of_node(const fol_scheduler *scheduler, uint32_t index)
{
    return (fol_place){scheduler->run_number, 2 * index + 1};
}

/* program.c */
int fol_program_create(fol_world *world, fol_backend *backend, const fol_plan *plan,
                       const fol_system *systems, const fol_phase_rate *rates, fol_program **out);
void fol_program_destroy(fol_program *program);
/* Continues what the systems of `old` that the new ones carry had learned. */
void fol_program_carry(fol_program *program, const fol_program *old, const fol_system *systems);

/* work.c: a phase as the backend sees it. On failure the phase is left for deinit. */
int fol_phase_init(fol_phase *phase, const fol_plan *plan, uint32_t index,
                   const fol_phase_rate *rate, const fol_system *systems);
void fol_phase_deinit(fol_phase *phase);

/* runner.c */
int fol_runners_create(fol_scheduler *scheduler);
void fol_runners_destroy(fol_scheduler *scheduler);

/* host.c: attach to or detach from the host unless that is so already. */
void fol_host_switch(fol_scheduler *scheduler, fol_runner *runner, bool attached);
static inline void fol_host_set_attached(fol_scheduler *scheduler, fol_runner *runner,
                                         bool attached)
{
    if (runner->is_attached != attached) {
        fol_host_switch(scheduler, runner, attached);
    }
}
/* As fol_host.watch, for the caller, which may be attached or not and stays as it is; also notes
 * that the frame is to stop. */
int fol_host_watch(fol_scheduler *scheduler);
/* After one that gave a descriptor: and looks at the host. */
void fol_host_unwatch(fol_scheduler *scheduler);
/* Ask the host whether the frame should stop: now, or when it is time. The caller. */
void fol_host_ask(fol_scheduler *scheduler, uint64_t now_cycles);
void fol_host_ask_rested(fol_scheduler *scheduler, uint64_t now_cycles);
static inline bool fol_host_is_due(const fol_scheduler *scheduler, uint64_t now_cycles)
{
    return now_cycles - scheduler->last_poll >= scheduler->poll_cycles;
}
static inline void fol_host_poll(fol_scheduler *scheduler, uint64_t now_cycles)
{
    if (FOL_UNLIKELY(fol_host_is_due(scheduler, now_cycles))) {
        fol_host_ask_rested(scheduler, now_cycles);
    }
}
/* The backend's calls of the same names. */
void fol_release_host(void *state, uint32_t worker);
void fol_poll(void *state);

/* figures.c. What the trace has of this frame in entries is added to the nodes; state: the
 * scheduler. The caller. */
void fol_settle_trace(void *state);
/* What the frame tells of its systems. */
void fol_publish_systems(fol_scheduler *scheduler, double ns_per_cycle);

/* errors.c. system UINT32_MAX: none. Any worker. */
void fol_record_error(fol_scheduler *scheduler, fol_place at, const fol_frame_error *error);
/* Counts and records the failure of a node, or that it was interrupted; what it recorded is not
 * dealt with. */
void fol_node_fail(fol_scheduler *scheduler, fol_runner *runner, uint32_t index, int status,
                   int code);
/* Keeps the error of a run of a node, and counts it among the node's failures. */
void fol_node_note_failure(fol_scheduler *scheduler, fol_runner *runner, fol_node *node,
                           fol_place at, const fol_frame_error *error);
/* Puts errors and quarantines in the order in which one worker would have met them. */
void fol_publish_errors(fol_scheduler *scheduler);

/* kernel.c: calls the kernel of a native node for all rows or those of a piece; rows are added to
 * the runner's task. */
int fol_run_kernel(fol_scheduler *scheduler, fol_runner *runner, fol_node *node, uint32_t piece,
                   uint32_t *tasks, int *code);

/* run_node.c: the backend's calls for one node of the running phase; the second where there is a
 * trace. */
void fol_run_node(void *state, uint32_t index, uint32_t worker);
void fol_run_traced_node(void *state, uint32_t index, uint32_t worker);
uint32_t fol_begin_node(void *state, uint32_t index, uint32_t worker);
void fol_prepare_task(const fol_scheduler *scheduler, fol_runner *runner, const fol_node *node,
                      uint32_t index);
/* What tasks of one run of a phase share; on the caller alone it is set once a run. */
static inline void fol_prepare_step(const fol_scheduler *scheduler, fol_runner *runner)
{
    runner->task.dt = scheduler->step_dt;
    runner->task.time = scheduler->step_time;
    runner->task.frame = scheduler->frame_number;
}
/* A run that ended well took so long over so many rows. */
void fol_node_learn(fol_node *node, uint64_t cycles, uint64_t rows);

/* Round a run of a node or piece beside others; its time is the runner's stamp. */
static inline void fol_enter_run(const fol_scheduler *scheduler, fol_runner *runner)
{
    FOL_ASSERT(!runner->is_running);
    runner->is_running = true;
    if (FOL_UNLIKELY(runner->frame_mark != scheduler->frame_mark)) {
        runner->frame_mark = scheduler->frame_mark;
        runner->busy_before = fol_counted(&runner->busy_cycles);
    }
    runner->stamp = fol_cycles_now();
    fol_prepare_step(scheduler, runner);
}

static inline uint64_t fol_leave_run(fol_runner *runner, uint64_t *cycles)
{
    uint64_t now = fol_cycles_now();
    *cycles = now > runner->stamp ? now - runner->stamp : 0;
    fol_count(&runner->busy_cycles, *cycles);
    runner->is_running = false;
    return now;
}

/* piece.c: the backend's calls for pieces, and how many there are. */
void fol_run_piece(void *state, uint32_t index, uint32_t piece, uint32_t worker);
void fol_end_node(void *state, uint32_t index, uint32_t worker);
double fol_node_cost(void *state, uint32_t index, uint32_t *pieces);
/* 0: it runs whole, where it began. */
uint32_t fol_cut_node(fol_scheduler *scheduler, fol_runner *runner, fol_node *node);

/* scheduler.c: keeps a drive out while the scheduler changes. FOL_E_BUSY, FOL_E_FORKED. */
int fol_begin_change(fol_scheduler *scheduler);
void fol_end_change(fol_scheduler *scheduler);

/* io_queue.c */
extern const fol_io_api fol_io_api_table;
/* What is queued next has this stamp. The worker. */
void fol_io_queue_begin(fol_io_queue *queue, uint32_t system_order, uint32_t chunk);

/* io.c */
/* Makes what a plan with I/O needs, unless it is there. FOL_E_VALUE, -ENOMEM. */
int fol_io_ensure(fol_scheduler *scheduler, const fol_plan *plan);
/* Ends what is in flight, and drops what was not delivered. */
void fol_io_end(fol_scheduler *scheduler);
/* What is in flight belongs to systems of the new program, or to none. -ENOMEM. */
int fol_io_replan(fol_frame_io *io, const fol_program *old, const fol_program *program,
                  const fol_system *systems);
/* Follows what the backend wishes for. */
void fol_io_end_frame(fol_frame_io *io);
/* What the backend is told of the frame's I/O. */
void fol_io_tell_frame(const fol_frame_io *io, fol_backend_frame *out);
void fol_io_add_stats(const fol_scheduler *scheduler, fol_scheduler_stats *out);

/* io_wait.c: the calling thread is to use the driver. -EBUSY. */
int fol_io_begin_drive(fol_frame_io *io);

/* io_cut.c */
/* Delivers what came for this frame; before its first phase. */
void fol_io_begin_frame(fol_frame_io *io);
/* Sends what the segment's systems asked for and waits for what is due here. True: there is
 * something to deliver, by the next, after the merge. */
bool fol_io_begin_cut(fol_frame_io *io, uint32_t segment);
void fol_io_end_cut(fol_frame_io *io, uint32_t segment);
/* The backend's call of the same name. */
void fol_turn(void *state);

/* merge.c: the backend's call for the merge after a segment, and round runs on several workers. */
void fol_run_merge(void *state, uint32_t segment);
/* The segment's merge drops what the node recorded, on all workers. */
void fol_discard_later(fol_scheduler *scheduler, fol_node *node);
/* The trace learns that the nodes of the segment come next, on the caller alone. */
void fol_begin_chain(fol_scheduler *scheduler, uint32_t segment);
void fol_begin_parallel(void *state);
void fol_end_parallel(void *state);

#endif
