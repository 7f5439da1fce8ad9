/* Running one node: whether it runs, its condition, its kernel or function, and what it cost.
 *
 * On the caller alone stamps are taken once a node: the end of one is the start of the next, so
 * that a frame of a thousand small systems spends its time in the systems. On several workers there
 * is no next one, and each run takes two.
 */

#include "base/assert.h"
#include "base/cycles.h"
#include "foliot/status.h"
#include "frame/frame.h"

/* The steps of a run on the caller alone are one stretch of code; the calls alone would cost a
 * fifth of a small system. */
#define HOT static inline __attribute__((always_inline))

/* Where a function lies within a cache line is up to all that is linked before it, and came to 2 %
 * of a system of twenty nanoseconds: these begin one. */
#define LINED_UP __attribute__((aligned(FOL_CACHE_LINE)))

/* A new cost counts this much in the running mean. */
#define MEAN_WEIGHT 0.125

/* Whether the node may run now; if not, why is in its frame's state. */
HOT bool node_is_due(const fol_scheduler *scheduler, fol_node *node)
{
    fol_node_frame *frame = &node->frame;
    if (frame->number != scheduler->frame_mark) {
        *frame = (fol_node_frame){.number = scheduler->frame_mark};
    }
    if (FOL_UNLIKELY(fol_is_interrupted(scheduler))) {
        /* What failed before in this frame stays reported as failed. */
        if (frame->state != FOL_RUN_FAILED) {
            frame->state = FOL_RUN_INTERRUPTED;
        }
        return false;
    }
    bool is_disabled = atomic_load_explicit(&node->is_disabled, memory_order_relaxed);
    if (FOL_UNLIKELY(is_disabled ||
                     atomic_load_explicit(&node->is_quarantined, memory_order_relaxed))) {
        /* What failed for good in this very frame stays reported as failed. */
        if (frame->state == FOL_RUN_NOT_DUE) {
            frame->state = is_disabled ? FOL_RUN_DISABLED : FOL_RUN_QUARANTINED;
        }
        return false;
    }
    /* A fixed-rate phase may come several times: what failed waits for the next frame. */
    return frame->state != FOL_RUN_FAILED;
}

HOT void prepare_task(const fol_scheduler *scheduler, fol_runner *runner, const fol_node *node,
                      uint32_t index)
{
    fol_task *task = &runner->task;
    task->queries = node->queries;
    task->query_count = node->query_count;
    task->system = node->system;
    task->commands = node->records_commands ? runner->commands : NULL;
    task->io = node->does_io ? runner->io : NULL;
    task->since = node->last_tick;
    task->tick = fol_node_tick(scheduler, index);
    task->rows = 0;
}

void fol_prepare_task(const fol_scheduler *scheduler, fol_runner *runner, const fol_node *node,
                      uint32_t index)
{
    prepare_task(scheduler, runner, node, index);
}

/* 1 when the node's condition lets it run, 0 when it does not, or a failure. */
static int ask_condition(fol_scheduler *scheduler, fol_runner *runner, fol_node *node)
{
    fol_host_set_attached(scheduler, runner, node->condition_needs_host);
    uint64_t start = scheduler->trace == NULL ? 0 : fol_cycles_now();
    int answer = node->condition(node->condition_user, &runner->task);
    if (scheduler->trace != NULL) {
        fol_trace_write(scheduler->trace, runner->worker, FOL_TRACE_CONDITION, node->system,
                        answer > 0, start, fol_cycles_now());
    }
    if (answer == 0 && node->frame.state == FOL_RUN_NOT_DUE) {
        node->frame.state = FOL_RUN_SKIPPED;
        fol_count(&runner->skipped, 1);
    }
    return answer;
}

/* A run that may go to several workers has its limits from the merge, also when it is not cut. */
HOT void begin_commands(fol_commands *commands, const fol_node *node, uint32_t order)
{
    if (node->records_parts) {
        fol_commands_begin_part(commands, order, 0);
    } else {
        fol_commands_begin(commands, order, 0);
    }
}

/* What comes before the function of a node that is due. 1 when it is to be called, 0 when not, or
 * a failure. */
HOT int begin_due_node(fol_scheduler *scheduler, fol_runner *runner, fol_node *node, uint32_t index)
{
    prepare_task(scheduler, runner, node, index);
    if (node->records_commands) {
        begin_commands(runner->commands, node, fol_node_order(scheduler, index));
    }
    if (FOL_UNLIKELY(node->does_io)) {
        node->must_drop_io = false;
        fol_io_queue_begin(runner->io, fol_node_order(scheduler, index), 0);
    }
    if (FOL_UNLIKELY(node->is_exclusive)) {
        fol_world_set_tick(scheduler->world, runner->task.tick);
    }
    int answer = node->condition == NULL ? 1 : ask_condition(scheduler, runner, node);
    if (answer > 0) {
        node->frame.state = FOL_RUN_DONE;
        node->frame.worker = (uint16_t)runner->worker;
        fol_count(&runner->systems, 1);
    }
    return answer;
}

HOT int call_function(fol_scheduler *scheduler, fol_runner *runner, fol_node *node, int *code)
{
    int status;
    uint32_t tasks = 1;
    fol_host_set_attached(scheduler, runner, node->needs_host);
    if (node->kind == FOL_SYSTEM_HOSTED) {
        status = node->function.hosted(node->user, &runner->task);
    } else {
        status = fol_run_kernel(scheduler, runner, node, FOL_NO_PIECE, &tasks, code);
    }
    node->frame.tasks += tasks;
    /* Whoever fails or is stopped finds the same changes again: they may not have been dealt with.
     */
    if (status == FOL_OK) {
        node->last_tick = runner->task.tick;
    }
    return status;
}

/* What a whole node that failed recorded goes at once. */
static void drop_commands(fol_scheduler *scheduler, fol_runner *runner, const fol_node *node)
{
    if (!node->records_commands) {
        return;
    }
    if (fol_commands_need_host(runner->commands)) {
        fol_host_set_attached(scheduler, runner, true);
    }
    fol_commands_rollback(runner->commands);
}

HOT void learn(fol_node *node, uint64_t cycles, uint64_t rows)
{
    double mean = atomic_load_explicit(&node->mean_cycles, memory_order_relaxed);
    bool is_first = FOL_UNLIKELY(mean == 0.0);
    mean = is_first ? (double)cycles : mean + MEAN_WEIGHT * ((double)cycles - mean);
    atomic_store_explicit(&node->mean_cycles, mean, memory_order_relaxed);
    if (node->has_components) {
        node->mean_rows =
            is_first ? (float)rows
                     : node->mean_rows + (float)MEAN_WEIGHT * ((float)rows - node->mean_rows);
    }
}

void fol_node_learn(fol_node *node, uint64_t cycles, uint64_t rows)
{
    learn(node, cycles, rows);
}

static uint32_t rows_traced(uint64_t rows)
{
    return rows < UINT32_MAX ? (uint32_t)rows : UINT32_MAX;
}

/* To what the node took in this frame. */
HOT void add_cost(fol_node *node, uint64_t cycles, uint64_t rows)
{
    node->frame.cycles += cycles;
    node->frame.rows += rows;
}

/* Any worker, while nodes run at once. 0 when the node has ended, else its pieces. */
static uint32_t begin_beside_others(fol_scheduler *scheduler, fol_runner *runner, uint32_t index,
                                    bool may_cut)
{
    fol_node *node = &scheduler->phase_nodes[index];
    int code = 0;
    if (!node_is_due(scheduler, node)) {
        return 0;
    }
    fol_enter_run(scheduler, runner);
    int status = begin_due_node(scheduler, runner, node, index);
    bool has_run = status > 0;
    uint32_t pieces = has_run && may_cut ? fol_cut_node(scheduler, runner, node) : 0;
    if (has_run && pieces == 0) {
        status = call_function(scheduler, runner, node, &code);
    }
    if (FOL_UNLIKELY(status < 0)) {
        drop_commands(scheduler, runner, node);
        fol_node_fail(scheduler, runner, index, status, code);
    }
    if (!node->in_lane) {
        fol_host_set_attached(scheduler, runner, false);
    }
    uint64_t cycles;
    uint64_t now = fol_leave_run(runner, &cycles);
    if (pieces == 0) {
        add_cost(node, cycles, runner->task.rows);
        if (has_run && status == FOL_OK) {
            learn(node, cycles, runner->task.rows);
        }
        if (FOL_UNLIKELY(scheduler->trace != NULL)) {
            fol_trace_put(scheduler->trace, runner->worker, FOL_TRACE_SYSTEM, node->system,
                          rows_traced(runner->task.rows), runner->stamp, now);
        }
    } else {
        atomic_store_explicit(&node->pieces.cycles, cycles, memory_order_relaxed);
        fol_count(&runner->cut, 1);
    }
    if (runner->worker == 0) {
        fol_host_poll(scheduler, now);
    }
    return pieces;
}

uint32_t fol_begin_node(void *state, uint32_t index, uint32_t worker)
{
    fol_scheduler *scheduler = state;
    fol_runner *runner = &scheduler->runners[worker];
    runner->task.is_beside_others = scheduler->worker_count > 1;
    uint32_t pieces = begin_beside_others(scheduler, runner, index, true);
    runner->task.is_beside_others = false;
    return pieces;
}

/* The record of a run on the caller, its stamp and the look at the host, when there is more to it
 * than an entry. */
static __attribute__((noinline)) void trace_alone(fol_scheduler *scheduler, fol_runner *runner,
                                                  fol_node *node, uint64_t now)
{
    uint64_t start = runner->stamp;
    uint64_t rows = runner->task.rows;
    if (!fol_trace_follow(scheduler->trace, node->system, rows, start, now)) {
        add_cost(node, now > start ? now - start : 0, rows);
    }
    runner->stamp = now;
    fol_host_poll(scheduler, now);
}

HOT void run_alone(fol_scheduler *scheduler, uint32_t index, uint32_t worker, bool is_traced)
{
    fol_runner *runner = &scheduler->runners[worker];
    if (FOL_UNLIKELY(scheduler->is_parallel)) {
        begin_beside_others(scheduler, runner, index, false);
        return;
    }
    fol_node *node = &scheduler->phase_nodes[index];
    if (!node_is_due(scheduler, node)) {
        return;
    }
    int code = 0;
    int status = begin_due_node(scheduler, runner, node, index);
    bool has_run = status > 0;
    if (has_run) {
        status = call_function(scheduler, runner, node, &code);
    }
    if (FOL_UNLIKELY(status < 0)) {
        drop_commands(scheduler, runner, node);
        fol_node_fail(scheduler, runner, index, status, code);
    }
    uint64_t now = fol_cycles_now();
    uint64_t start = runner->stamp;
    uint64_t cycles = now > start ? now - start : 0;
    if (FOL_LIKELY(has_run && status == FOL_OK)) {
        learn(node, cycles, runner->task.rows);
    }
    if (!is_traced) {
        runner->stamp = now;
        add_cost(node, cycles, runner->task.rows);
        fol_host_poll(scheduler, now);
    } else if (FOL_LIKELY(runner->task.rows == 1 && cycles < FOL_TRACE_CHAIN_CYCLES &&
                          fol_trace_is_chained(scheduler->trace) &&
                          !fol_host_is_due(scheduler, now))) {
        runner->stamp = now;
        fol_trace_follow_one_row(scheduler->trace, node->system, (uint32_t)cycles);
    } else {
        trace_alone(scheduler, runner, node, now);
    }
}

LINED_UP void fol_run_node(void *state, uint32_t index, uint32_t worker)
{
    run_alone(state, index, worker, false);
}

LINED_UP void fol_run_traced_node(void *state, uint32_t index, uint32_t worker)
{
    run_alone(state, index, worker, true);
}
