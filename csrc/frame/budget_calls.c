/* What a governed run asks of a frame: whether a node is due, what it is expected to cost, and what
 * it means that it ends before its end. */

#include <string.h>

#include "base/cycles.h"
#include "exec/worker.h"
#include "foliot/status.h"
#include "frame/budget.h"

static bool is_interrupted(void *state)
{
    return fol_is_interrupted(state);
}

/* As run_node.c judges it, which also notes why not. */
static bool is_due(void *state, uint32_t index)
{
    const fol_scheduler *scheduler = state;
    const fol_node *node = &scheduler->phase_nodes[index];
    bool has_failed =
        node->frame.number == scheduler->frame_mark && node->frame.state == FOL_RUN_FAILED;
    return !fol_is_interrupted(scheduler) && !has_failed &&
           !atomic_load_explicit(&node->is_disabled, memory_order_relaxed) &&
           !atomic_load_explicit(&node->is_quarantined, memory_order_relaxed);
}

static int64_t expected_ns(void *state, uint32_t index)
{
    const fol_scheduler *scheduler = state;
    const fol_node *node = &scheduler->phase_nodes[index];
    double cycles = atomic_load_explicit(&node->mean_cycles, memory_order_relaxed);
    return (int64_t)(cycles * fol_ns_per_cycle(scheduler));
}

/* The part of fol_end_node that is the same for who did not come to the end. */
static void add_pieces(fol_node *node)
{
    const fol_pieces *pieces = &node->pieces;
    node->frame.cycles += atomic_load_explicit(&pieces->cycles, memory_order_relaxed);
    node->frame.rows += atomic_load_explicit(&pieces->rows, memory_order_relaxed);
    node->frame.tasks += atomic_load_explicit(&pieces->tasks, memory_order_relaxed);
}

static void drop(void *state, uint32_t index, uint32_t worker, uint32_t pieces, bool has_begun,
                 fol_governed_end why)
{
    static const uint8_t states[] = {[FOL_GOVERNED_DENIED] = FOL_RUN_DENIED,
                                     [FOL_GOVERNED_SKIPPED] = FOL_RUN_OVERRUN,
                                     [FOL_GOVERNED_KILLED] = FOL_RUN_KILLED,
                                     [FOL_GOVERNED_GONE] = FOL_RUN_FAILED};
    fol_scheduler *scheduler = state;
    fol_runner *runner = &scheduler->runners[worker];
    fol_node *node = &scheduler->phase_nodes[index];
    if (node->frame.number != scheduler->frame_mark) {
        node->frame = (fol_node_frame){.number = scheduler->frame_mark};
    }
    if (has_begun) {
        if (pieces > 0) {
            add_pieces(node);
        }
        fol_discard_later(scheduler, node);
        node->must_drop_io = node->does_io;
    } else {
        node->frame.worker = (uint16_t)worker;
        fol_count(&runner->skipped, why != FOL_GOVERNED_GONE);
    }
    /* What failed by itself stays so. */
    if (node->frame.state == FOL_RUN_FAILED) {
        return;
    }
    if (why == FOL_GOVERNED_GONE) {
        fol_node_fail(scheduler, runner, index, FOL_E_STALE, 0);
    } else {
        node->frame.state = states[why];
    }
}

const fol_governed_calls fol_budget_calls = {
    .is_interrupted = is_interrupted, .is_due = is_due, .expected_ns = expected_ns, .drop = drop};

void fol_budget_run_phase(fol_scheduler *scheduler, const fol_phase *phase)
{
    fol_frame_budget *budget = fol_budget_of_any(scheduler);
    fol_governed_run(budget->governor, &scheduler->program->budget->governed, &scheduler->backend,
                     &phase->work, phase->first);
}

uint64_t fol_budget_chunk_rows(const fol_scheduler *scheduler, const fol_node *node, uint64_t rows)
{
    const fol_frame_budget *budget = fol_budget_of_any(scheduler);
    uint64_t chunk = 0;
    int64_t now;
    if (!budget->asks_chunk_rows || fol_governor_lock(budget->governor, &now) != FOL_OK) {
        return 0;
    }
    bool is_answered = fol_dispatcher_chunk_rows(fol_governor_dispatcher(budget->governor),
                                                 node->system, rows, now, &chunk);
    fol_governor_unlock(budget->governor);
    return is_answered ? chunk : 0;
}
