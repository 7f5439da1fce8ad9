/* Nodes that are cut: how many pieces, running one, and what all of them come to.
 *
 * Pieces are ranges of the query's rows in their global order, and piece p records its commands
 * under the stamp (node, p + 1). A merge goes through stamps in order, and through the records of
 * one stamp as they came. So commands are merged in the order of nodes, within a node in the order
 * of pieces, which is that of rows, and within a piece in the order in which the kernel met its
 * rows: the very order in which one worker records them. What a condition recorded has chunk 0 and
 * comes first.
 *
 * Failures. One worker stops at the first row whose call fails. Here pieces are taken in rising
 * order, a piece is left out only when a lower one has failed already, and the lowest that failed
 * gives the node its status and code: that is the piece with the first failing row. The rows behind
 * it may have changed, which the contract of a failed kernel allows; what any piece recorded is
 * dropped at the merge, as a rollback drops it on one worker.
 */

#include <math.h>

#include "base/assert.h"
#include "base/cycles.h"
#include "foliot/status.h"
#include "frame/budget.h"
#include "frame/frame.h"

#define MAX_PIECES        256u
#define MAX_POLICY_PIECES 65536u

/* A piece is never smaller: cuts stand at multiples of 16 rows of a table. */
#define LEAST_ROWS 16u

/* Rows of a piece whose cost nobody knows. */
#define UNKNOWN_ROWS 4096u

/* A number of pieces within the bounds; 1 when it is not worth cutting. More pieces than workers
 * are made as many for each, so that none waits while another has two left. */
static uint32_t bound_pieces(const fol_scheduler *scheduler, double pieces, uint64_t rows)
{
    uint32_t workers = scheduler->worker_count;
    uint64_t most = rows / LEAST_ROWS;
    most = most < MAX_PIECES ? most : MAX_PIECES;
    uint32_t rounded = pieces < MAX_PIECES ? (uint32_t)(pieces + 0.5) : MAX_PIECES;
    if (rounded > workers) {
        rounded = (rounded + workers - 1) / workers * workers;
    }
    rounded = rounded < most ? rounded : (uint32_t)most;
    return rounded > 1 ? rounded : 1;
}

/* Of the rows of all tables. Rows that filters leave out cost nothing, and nobody knows how many
 * they will be: then the run is expected to cost what runs cost before. */
static uint32_t pieces_of_rows(const fol_scheduler *scheduler, const fol_node *node, uint64_t rows)
{
    double cost = atomic_load_explicit(&node->mean_cycles, memory_order_relaxed);
    if (cost == 0.0) {
        return bound_pieces(scheduler, (double)rows / UNKNOWN_ROWS, rows);
    }
    bool is_scaled = !node->has_filters && node->mean_rows > 0.0f;
    double scale = is_scaled ? (double)rows / (double)node->mean_rows : 1.0;
    return bound_pieces(scheduler, cost * scale / scheduler->target_cycles, rows);
}

/* The policy may say how many rows a piece of a governed node has, else the system itself, since a
 * budget is looked at between pieces. The worker gives the host's lock back for that. 0: neither
 * says. */
static uint32_t pieces_by_policy(fol_scheduler *scheduler, fol_runner *runner, const fol_node *node,
                                 uint64_t rows)
{
    fol_host_set_attached(scheduler, runner, false);
    uint64_t chunk = fol_budget_chunk_rows(scheduler, node, rows);
    chunk = chunk > 0 ? chunk : node->max_rows;
    if (chunk == 0) {
        return 0;
    }
    uint64_t pieces = rows / chunk + (rows % chunk != 0);
    uint64_t most = rows / LEAST_ROWS;
    most = most < MAX_POLICY_PIECES ? most : MAX_POLICY_PIECES;
    pieces = pieces < most ? pieces : most;
    return pieces > 1 ? (uint32_t)pieces : 1;
}

uint32_t fol_cut_node(fol_scheduler *scheduler, fol_runner *runner, fol_node *node)
{
    uint64_t rows = 0;
    uint32_t count = 1;
    bool is_governed = scheduler->program->budget != NULL;
    fol_query_iterator iterator;
    if (node->needs_host) {
        return 0;
    }
    if (node->may_be_cut && (scheduler->worker_count > 1 || is_governed) &&
        fol_query_begin(node->queries[0], node->last_tick, 0, &iterator) == FOL_OK) {
        rows = fol_query_row_count(node->queries[0]);
        count = is_governed ? pieces_by_policy(scheduler, runner, node, rows) : 0;
        count = count > 0 ? count : pieces_of_rows(scheduler, node, rows);
    }
    /* In the lane for its condition alone: whoever is free runs the rest. */
    if (count == 1 && !node->in_lane) {
        return 0;
    }
    fol_pieces *pieces = &node->pieces;
    pieces->count = count;
    pieces->row_count = rows;
    atomic_store_explicit(&pieces->cycles, 0, memory_order_relaxed);
    atomic_store_explicit(&pieces->rows, 0, memory_order_relaxed);
    atomic_store_explicit(&pieces->tasks, 0, memory_order_relaxed);
    atomic_store_explicit(&pieces->failed, FOL_NO_PIECE, memory_order_relaxed);
    return count;
}

double fol_node_cost(void *state, uint32_t index, uint32_t *pieces)
{
    const fol_scheduler *scheduler = state;
    const fol_node *node = &scheduler->phase_nodes[index];
    double cost = atomic_load_explicit(&node->mean_cycles, memory_order_relaxed);
    *pieces = 1;
    if (node->may_be_cut && scheduler->worker_count > 1) {
        *pieces = cost == 0.0
                      ? scheduler->worker_count
                      : bound_pieces(scheduler, cost / scheduler->target_cycles,
                                     node->has_filters ? UINT64_MAX : (uint64_t)node->mean_rows);
    }
    return cost;
}

/* The lowest piece that failed is the one that counts. */
static void fail_piece(fol_scheduler *scheduler, fol_pieces *pieces, uint32_t piece, int status,
                       int code)
{
    pthread_mutex_lock(&scheduler->lock);
    if (piece < atomic_load_explicit(&pieces->failed, memory_order_relaxed)) {
        atomic_store_explicit(&pieces->failed, piece, memory_order_relaxed);
        pieces->status = status;
        pieces->code = code;
    }
    pthread_mutex_unlock(&scheduler->lock);
}

static int call_piece(fol_scheduler *scheduler, fol_runner *runner, fol_node *node, uint32_t piece,
                      uint32_t *tasks, int *code)
{
    if (node->kind == FOL_SYSTEM_HOSTED) {
        *tasks = 1;
        return node->function.hosted(node->user, &runner->task);
    }
    uint32_t part = node->pieces.count == 1 ? FOL_NO_PIECE : piece;
    return fol_run_kernel(scheduler, runner, node, part, tasks, code);
}

void fol_run_piece(void *state, uint32_t index, uint32_t piece, uint32_t worker)
{
    fol_scheduler *scheduler = state;
    fol_runner *runner = &scheduler->runners[worker];
    fol_node *node = &scheduler->phase_nodes[index];
    fol_pieces *pieces = &node->pieces;
    FOL_ASSERT(piece < pieces->count);
    if (piece > atomic_load_explicit(&pieces->failed, memory_order_relaxed)) {
        return;
    }
    if (fol_is_interrupted(scheduler)) {
        fail_piece(scheduler, pieces, piece, FOL_E_INTERRUPTED, 0);
        return;
    }
    fol_enter_run(scheduler, runner);
    fol_host_set_attached(scheduler, runner, false);
    fol_prepare_task(scheduler, runner, node, index);
    if (node->records_commands) {
        FOL_ASSERT(node->records_parts);
        fol_commands_begin_part(runner->commands, fol_node_order(scheduler, index), piece + 1);
    }
    if (node->does_io) {
        fol_io_queue_begin(runner->io, fol_node_order(scheduler, index), piece + 1);
    }
    fol_count(&runner->pieces, 1);
    uint32_t tasks = 0;
    int code = 0;
    int status = call_piece(scheduler, runner, node, piece, &tasks, &code);
    if (FOL_UNLIKELY(status < 0)) {
        fail_piece(scheduler, pieces, piece, status, code);
    }
    uint64_t cycles;
    uint64_t now = fol_leave_run(runner, &cycles);
    /* Sums for the end of the node, which comes after all pieces. */
    atomic_fetch_add_explicit(&pieces->cycles, cycles, memory_order_relaxed);
    atomic_fetch_add_explicit(&pieces->rows, runner->task.rows, memory_order_relaxed);
    atomic_fetch_add_explicit(&pieces->tasks, tasks, memory_order_relaxed);
    if (FOL_UNLIKELY(scheduler->trace != NULL)) {
        fol_trace_write(scheduler->trace, worker, FOL_TRACE_PIECE, node->system, piece,
                        runner->stamp, now);
    }
    if (worker == 0) {
        fol_host_poll(scheduler, now);
    }
}

void fol_end_node(void *state, uint32_t index, uint32_t worker)
{
    fol_scheduler *scheduler = state;
    fol_node *node = &scheduler->phase_nodes[index];
    const fol_pieces *pieces = &node->pieces;
    uint64_t cycles = atomic_load_explicit(&pieces->cycles, memory_order_relaxed);
    uint64_t rows = atomic_load_explicit(&pieces->rows, memory_order_relaxed);
    node->frame.cycles += cycles;
    node->frame.rows += rows;
    node->frame.tasks += atomic_load_explicit(&pieces->tasks, memory_order_relaxed);
    if (FOL_LIKELY(atomic_load_explicit(&pieces->failed, memory_order_relaxed) == FOL_NO_PIECE)) {
        node->last_tick = fol_node_tick(scheduler, index);
        fol_node_learn(node, cycles, rows);
        return;
    }
    fol_discard_later(scheduler, node);
    fol_node_fail(scheduler, &scheduler->runners[worker], index, pieces->status, pieces->code);
}
