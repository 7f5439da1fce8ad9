/* What a governed run asks of a frame: whether a node is due, what it is expected to cost, and what
 * it means that it ends before its end. */

#include "base/cycles.h"
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

void fol_budget_trace_decision(void *state, uint32_t worker, const fol_decision *decision)
{
    const fol_scheduler *scheduler = state;
    const fol_frame_budget *budget = fol_budget_of_any(scheduler);
    if (decision->kind == FOL_DECISION_PICK || decision->runnable >= budget->runnable_room) {
        return;
    }
    uint64_t now = fol_cycles_now();
    fol_trace_write(scheduler->trace, worker, FOL_TRACE_DECISION,
                    budget->system_of[decision->runnable], decision->kind, now, now);
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

bool fol_budget_choose_backend(void *state, fol_policy_load *load, uint32_t *choice)
{
    fol_scheduler *scheduler = state;
    fol_frame_budget *budget = fol_budget_of_any(scheduler);
    double scale = fol_ns_per_cycle(scheduler);
    uint32_t count = 0;
    int64_t now;
    fol_host_set_attached(scheduler, &scheduler->runners[0], false);
    if (budget == NULL || fol_governor_lock(budget->governor, &now) != FOL_OK) {
        return false;
    }
    while (fol_backend_names[count] != NULL) {
        count++;
    }
    load->frame_ns *= scale;
    load->busy_ns *= scale;
    bool is_answered =
        fol_dispatcher_backend(fol_governor_dispatcher(budget->governor), load, count, now, choice);
    fol_governor_unlock(budget->governor);
    return is_answered;
}

void fol_budget_note_switch(void *state, uint32_t from, uint32_t to)
{
    fol_scheduler *scheduler = state;
    fol_frame_budget *budget = fol_budget_of_any(scheduler);
    int64_t now;
    if (budget == NULL) {
        return;
    }
    fol_host_set_attached(scheduler, &scheduler->runners[0], false);
    if (fol_governor_lock(budget->governor, &now) != FOL_OK) {
        return;
    }
    const fol_decision decision = {.now = now,
                                   .kind = FOL_DECISION_SWITCH,
                                   .runnable = FOL_NO_RUNNABLE,
                                   .cpu = FOL_NO_CPU,
                                   .other = FOL_NO_CPU,
                                   .numbers = {from, to, 0}};
    fol_dispatcher_note(fol_governor_dispatcher(budget->governor), &decision);
    fol_governor_unlock(budget->governor);
}

void fol_budget_set_workers(fol_scheduler *scheduler)
{
    const fol_frame_budget *budget = fol_budget_of_any(scheduler);
    fol_team *team = scheduler->backend.team;
    uint32_t order[FOL_TEAM_MAX_WORKERS];
    int64_t now;
    fol_host_set_attached(scheduler, &scheduler->runners[0], false);
    if (team == NULL || !budget->asks_workers ||
        fol_governor_lock(budget->governor, &now) != FOL_OK) {
        return;
    }
    fol_dispatcher *dispatcher = fol_governor_dispatcher(budget->governor);
    for (uint32_t place = 0; place < scheduler->worker_count; place++) {
        uint32_t count = 0;
        uint32_t spins = FOL_SPINS_LEARNT;
        if (!fol_dispatcher_victims(dispatcher, place, now, order, &count)) {
            count = 0;
        }
        if (!fol_dispatcher_spin_limit(dispatcher, place, now, &spins)) {
            spins = FOL_SPINS_LEARNT;
        }
        fol_team_choose_victims(team, place, order, count);
        fol_team_choose_spins(team, place, spins);
    }
    fol_governor_unlock(budget->governor);
}
