/* What must hold in a dispatcher between any two calls; for tests. */

#include "policy/dispatcher_state.h"

/* Each runnable is where its state says, and nowhere else. */
static bool has_one_place(const fol_dispatcher *dispatcher, const fol_runnable *runnable)
{
    uint32_t id = runnable->view.id;
    bool is_running = runnable->state == FOL_RUNNABLE_RUNNING;
    bool is_ready = runnable->state == FOL_RUNNABLE_READY;
    bool is_in_heap = is_ready && runnable->band != FOL_BAND_FAIR;
    bool is_fair = runnable->band == FOL_BAND_FAIR;
    uint8_t fair = dispatcher->store.nodes[id].state;
    if ((runnable->cpu != FOL_NO_CPU) != is_running ||
        (is_running && dispatcher->cpus[runnable->cpu].running != id)) {
        return false;
    }
    const fol_heap *heap = &dispatcher->queues[runnable->queue].heaps[runnable->band];
    if (is_in_heap != (dispatcher->places[id] != FOL_HEAP_NOWHERE) ||
        (is_in_heap && !fol_heap_holds(heap, id))) {
        return false;
    }
    return (fair == FOL_FAIR_QUEUED) == (is_ready && is_fair) &&
           (fair == FOL_FAIR_RUNNING) == (is_running && is_fair);
}

static bool cpus_hold(const fol_dispatcher *dispatcher)
{
    uint32_t idle = 0;
    uint32_t marked = 0;
    for (uint32_t cpu = 0; cpu < dispatcher->config.cpus; cpu++) {
        uint32_t running = dispatcher->cpus[cpu].running;
        bool is_idle = running == FOL_NO_RUNNABLE;
        bool is_marked = fol_bits_test(dispatcher->marked, cpu);
        if (is_idle != fol_bits_test(dispatcher->idle, cpu) || (is_idle && is_marked) ||
            (!is_idle && dispatcher->runnables[running].cpu != cpu)) {
            return false;
        }
        idle += is_idle;
        marked += is_marked;
    }
    return idle == dispatcher->idle_count && marked == dispatcher->marked_count;
}

static bool queues_hold(const fol_dispatcher *dispatcher)
{
    uint32_t ready = 0;
    for (uint32_t place = 0; place < dispatcher->queue_count; place++) {
        const fol_queue *queue = &dispatcher->queues[place];
        uint32_t in_heaps = 0;
        for (uint32_t band = 0; band < FOL_BANDS; band++) {
            if (!fol_heap_invariants(&queue->heaps[band])) {
                return false;
            }
            in_heaps += queue->heaps[band].count;
        }
        if (in_heaps > queue->ready ||
            (queue->ready > 0) != fol_bits_test(dispatcher->busy, place)) {
            return false;
        }
        fol_fair_queue_invariants(&queue->fair);
        ready += queue->ready;
    }
    for (size_t i = 0; i < (size_t)dispatcher->queue_count * dispatcher->config.groups; i++) {
        fol_fair_queue_invariants(&dispatcher->members[i]);
    }
    return ready == dispatcher->ready_count;
}

typedef struct census {
    uint32_t active;
    uint32_t waiting;
    uint32_t held;
    uint32_t running; /* with budget */
} census;

static bool budget_holds(const fol_dispatcher *dispatcher, uint32_t place)
{
    const fol_budget *budget = &dispatcher->budgets[place];
    census seen = {0};
    uint32_t id = budget->members;
    uint32_t previous = FOL_NO_ID;
    for (uint32_t i = 0; i < dispatcher->used_count && id != FOL_NO_ID; i++) {
        const fol_runnable *member = &dispatcher->runnables[id];
        uint8_t state = member->state;
        bool is_full = member->standing == FOL_STANDING_FULL;
        seen.active += state >= FOL_RUNNABLE_READY && state <= FOL_RUNNABLE_HELD;
        seen.waiting += state == FOL_RUNNABLE_THROTTLED || !is_full;
        seen.held += state == FOL_RUNNABLE_HELD;
        seen.running += state == FOL_RUNNABLE_RUNNING && is_full;
        if (member->context != place || member->previous_sibling != previous ||
            (state == FOL_RUNNABLE_RUNNING && is_full && budget->holder != id)) {
            return false;
        }
        previous = id;
        id = member->next_sibling;
    }
    return id == FOL_NO_ID && seen.active == budget->active && seen.waiting == budget->waiting &&
           seen.held == budget->held && (seen.held == 0 || budget->holder != FOL_NO_RUNNABLE) &&
           seen.running == (budget->holder != FOL_NO_RUNNABLE) &&
           (seen.waiting > 0) == (dispatcher->refill_places[place] != FOL_HEAP_NOWHERE);
}

static bool budgets_hold(const fol_dispatcher *dispatcher)
{
    if (dispatcher->contexts == NULL) {
        return true;
    }
    fol_context_invariants(dispatcher->contexts);
    for (uint32_t place = 0; place < dispatcher->config.contexts; place++) {
        if (!budget_holds(dispatcher, place)) {
            return false;
        }
    }
    const fol_heap_node *first = fol_heap_first(&dispatcher->refills);
    return fol_heap_invariants(&dispatcher->refills) &&
           dispatcher->next_refill == (first == NULL ? FOL_TIME_NEVER : first->rank);
}

/* Runtimes add up to the same, however they are summed. */
static bool ledgers_agree(const fol_dispatcher *dispatcher)
{
    int64_t of_runnables = dispatcher->gone_runtime;
    int64_t of_groups = 0;
    int64_t of_cpus = 0;
    for (uint32_t id = 0; id < dispatcher->used_count; id++) {
        const fol_runnable *runnable = &dispatcher->runnables[id];
        bool is_there = runnable->state != FOL_RUNNABLE_UNKNOWN;
        of_runnables += is_there ? runnable->account.runtime : 0;
    }
    for (uint32_t group = 0; group < dispatcher->group_count; group++) {
        of_groups += dispatcher->groups[group].account.runtime;
    }
    for (uint32_t cpu = 0; cpu < dispatcher->config.cpus; cpu++) {
        of_cpus += dispatcher->cpus[cpu].account.runtime;
    }
    return of_runnables == of_groups && of_groups == of_cpus;
}

bool fol_dispatcher_invariants(const fol_dispatcher *dispatcher)
{
    uint32_t ready = 0;
    uint32_t throttled = 0;
    for (uint32_t id = 0; id < dispatcher->used_count; id++) {
        const fol_runnable *runnable = &dispatcher->runnables[id];
        if (!has_one_place(dispatcher, runnable)) {
            return false;
        }
        ready += runnable->state == FOL_RUNNABLE_READY;
        throttled += runnable->state == FOL_RUNNABLE_THROTTLED;
    }
    return ready == dispatcher->ready_count && throttled == dispatcher->throttled_count &&
           cpus_hold(dispatcher) && queues_hold(dispatcher) && budgets_hold(dispatcher) &&
           ledgers_agree(dispatcher);
}
