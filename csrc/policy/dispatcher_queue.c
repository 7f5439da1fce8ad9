/* Who is ready, in which order; dispatcher_state.h has the rules.
 *
 * A queue has a heap for each band but the fair one. A CPU takes the first of the first band that
 * may run there: usually the root of a heap. Only while somebody is ready that may not run
 * everywhere is a heap looked through for the least of those that may.
 */

#include "policy/dispatcher_state.h"

static bool is_fair_policy(const fol_dispatcher *dispatcher, const fol_runnable *runnable)
{
    fol_policy_kind policy = dispatcher->config.policy;
    return policy == FOL_POLICY_EEVDF ||
           (policy == FOL_POLICY_CBS && runnable->context == FOL_NO_ID);
}

static int64_t built_in_rank(const fol_dispatcher *dispatcher, const fol_runnable *runnable)
{
    const fol_runnable_view *view = &runnable->view;
    switch (dispatcher->config.policy) {
    case FOL_POLICY_FP:
        return view->priority;
    case FOL_POLICY_RM:
        return view->period == 0 ? INT64_MAX : view->period;
    case FOL_POLICY_EDF:
        return runnable->context == FOL_NO_ID ? view->deadline
                                              : fol_budget_deadline(dispatcher, runnable);
    case FOL_POLICY_CBS:
        return fol_budget_deadline(dispatcher, runnable);
    default:
        return view->release;
    }
}

void fol_queue_rank(fol_dispatcher *dispatcher, fol_runnable *runnable, int64_t now)
{
    if (runnable->standing != FOL_STANDING_FULL) {
        bool is_fair = runnable->standing == FOL_STANDING_DEMOTED;
        runnable->band = is_fair ? FOL_BAND_FAIR : FOL_BAND_SLACK;
        runnable->rank = runnable->view.release;
    } else if (fol_slots_enqueue(&dispatcher->slots, &runnable->view, now, &runnable->rank)) {
        runnable->band = FOL_BAND_RANKED;
    } else if (is_fair_policy(dispatcher, runnable)) {
        runnable->band = FOL_BAND_FAIR;
        runnable->rank = 0;
    } else {
        runnable->band = FOL_BAND_ORDERED;
        runnable->rank = built_in_rank(dispatcher, runnable);
    }
}

/* The order of arrival is only kept for a pick slot, which is told of it. */
static void link_ready(fol_dispatcher *dispatcher, fol_queue *queue, fol_runnable *runnable)
{
    if (dispatcher->slots.table.pick == NULL) {
        return;
    }
    runnable->previous_ready = queue->last_ready;
    runnable->next_ready = FOL_NO_ID;
    if (queue->last_ready == FOL_NO_ID) {
        queue->first_ready = runnable->view.id;
    } else {
        dispatcher->runnables[queue->last_ready].next_ready = runnable->view.id;
    }
    queue->last_ready = runnable->view.id;
}

static void unlink_ready(fol_dispatcher *dispatcher, fol_queue *queue, fol_runnable *runnable)
{
    if (dispatcher->slots.table.pick == NULL) {
        return;
    }
    uint32_t *before = runnable->previous_ready == FOL_NO_ID
                           ? &queue->first_ready
                           : &dispatcher->runnables[runnable->previous_ready].next_ready;
    uint32_t *after = runnable->next_ready == FOL_NO_ID
                          ? &queue->last_ready
                          : &dispatcher->runnables[runnable->next_ready].previous_ready;
    *before = runnable->next_ready;
    *after = runnable->previous_ready;
}

static void count_in(fol_dispatcher *dispatcher, fol_runnable *runnable, int64_t now)
{
    fol_queue *queue = &dispatcher->queues[runnable->queue];
    runnable->state = FOL_RUNNABLE_READY;
    runnable->view.since = now;
    runnable->arrival = dispatcher->arrivals;
    dispatcher->arrivals += 1;
    if (queue->ready == 0) {
        fol_bits_set(dispatcher->busy, runnable->queue);
    }
    queue->ready += 1;
    queue->restricted += runnable->is_restricted;
    dispatcher->ready_count += 1;
    link_ready(dispatcher, queue, runnable);
}

static void count_out(fol_dispatcher *dispatcher, fol_runnable *runnable)
{
    fol_queue *queue = &dispatcher->queues[runnable->queue];
    FOL_ASSERT(runnable->state == FOL_RUNNABLE_READY);
    queue->ready -= 1;
    queue->restricted -= runnable->is_restricted;
    dispatcher->ready_count -= 1;
    if (queue->ready == 0) {
        fol_bits_reset(dispatcher->busy, runnable->queue);
    }
    unlink_ready(dispatcher, queue, runnable);
}

static fol_heap *heap_of(fol_dispatcher *dispatcher, const fol_runnable *runnable)
{
    return &dispatcher->queues[runnable->queue].heaps[runnable->band];
}

void fol_queue_enter(fol_dispatcher *dispatcher, fol_runnable *runnable, int64_t now)
{
    FOL_ASSERT_HOT(runnable->cpu == FOL_NO_CPU);
    if (runnable->band == FOL_BAND_FAIR) {
        fol_band_catch_up(dispatcher, runnable->queue, now);
        fol_band_join(dispatcher, runnable);
    } else {
        fol_heap_push(heap_of(dispatcher, runnable), runnable->rank, runnable->view.id);
    }
    count_in(dispatcher, runnable, now);
}

void fol_queue_put_back(fol_dispatcher *dispatcher, fol_runnable *runnable, int64_t now)
{
    if (runnable->band == FOL_BAND_FAIR) {
        fol_band_put_back(dispatcher, runnable);
    } else {
        fol_heap_push(heap_of(dispatcher, runnable), runnable->rank, runnable->view.id);
    }
    count_in(dispatcher, runnable, now);
}

void fol_queue_take(fol_dispatcher *dispatcher, fol_runnable *runnable)
{
    count_out(dispatcher, runnable);
    if (runnable->band == FOL_BAND_FAIR) {
        fol_band_take(dispatcher, runnable);
    } else {
        fol_heap_remove(heap_of(dispatcher, runnable), runnable->view.id);
    }
}

void fol_queue_leave(fol_dispatcher *dispatcher, fol_runnable *runnable)
{
    count_out(dispatcher, runnable);
    if (runnable->band == FOL_BAND_FAIR) {
        fol_band_sleep(dispatcher, runnable);
    } else {
        fol_heap_remove(heap_of(dispatcher, runnable), runnable->view.id);
    }
}

void fol_queue_move(fol_dispatcher *dispatcher, fol_runnable *runnable, uint32_t queue)
{
    int64_t since = runnable->view.since;
    count_out(dispatcher, runnable);
    if (runnable->band == FOL_BAND_FAIR) {
        fol_band_migrate(dispatcher, runnable, queue);
    } else {
        fol_heap_remove(heap_of(dispatcher, runnable), runnable->view.id);
        fol_band_migrate(dispatcher, runnable, queue);
        fol_heap_push(heap_of(dispatcher, runnable), runnable->rank, runnable->view.id);
    }
    count_in(dispatcher, runnable, since);
}

/* Asks whether its context allows the CPU, and counts when it does not. */
static bool may_run_on(fol_dispatcher *dispatcher, uint32_t id, uint32_t cpu)
{
    bool may = fol_may_run_on(dispatcher, fol_runnable_of(dispatcher, id), cpu);
    dispatcher->counts.forbidden += !may;
    return may;
}

/* The first of a heap that may run on the CPU. */
static uint32_t first_of_heap(fol_dispatcher *dispatcher, const fol_queue *queue, fol_band band,
                              uint32_t cpu)
{
    const fol_heap *heap = &queue->heaps[band];
    if (heap->count == 0) {
        return FOL_NO_RUNNABLE;
    }
    const fol_heap_node *best = &heap->nodes[0];
    if (queue->restricted == 0 || may_run_on(dispatcher, best->id, cpu)) {
        return best->id;
    }
    best = NULL;
    for (uint32_t place = 1; place < heap->count; place++) {
        const fol_heap_node *node = &heap->nodes[place];
        if ((best == NULL || fol_heap_is_before(node->rank, node->id, best->rank, best->id)) &&
            may_run_on(dispatcher, node->id, cpu)) {
            best = node;
        }
    }
    return best == NULL ? FOL_NO_RUNNABLE : best->id;
}

/* Those in the way that may not run on the CPU are set aside for the while. `current`: of the one
 * that runs there in the fair band, or FOL_NO_RUNNABLE. */
static uint32_t first_of_fair(fol_dispatcher *dispatcher, uint32_t queue, uint32_t cpu,
                              uint32_t current)
{
    uint32_t aside = 0;
    uint32_t id = FOL_NO_RUNNABLE;
    while (fol_band_queued(dispatcher, queue) > 0) {
        id = current == FOL_NO_RUNNABLE
                 ? fol_band_pick(dispatcher, queue)
                 : fol_band_rival(dispatcher, fol_runnable_of(dispatcher, current));
        if (id == FOL_NO_RUNNABLE) {
            dispatcher->counts.outranked += 1;
            break;
        }
        if (may_run_on(dispatcher, id, cpu)) {
            break;
        }
        fol_band_take(dispatcher, fol_runnable_of(dispatcher, id));
        dispatcher->scratch[aside] = id;
        aside += 1;
        id = FOL_NO_RUNNABLE;
    }
    for (uint32_t i = 0; i < aside; i++) {
        fol_band_put_back(dispatcher, fol_runnable_of(dispatcher, dispatcher->scratch[i]));
    }
    return id;
}

static uint32_t first_of_bands(fol_dispatcher *dispatcher, uint32_t queue, uint32_t cpu)
{
    const fol_queue *place = &dispatcher->queues[queue];
    uint32_t id = first_of_heap(dispatcher, place, FOL_BAND_RANKED, cpu);
    if (id == FOL_NO_RUNNABLE) {
        id = first_of_heap(dispatcher, place, FOL_BAND_ORDERED, cpu);
    }
    if (id == FOL_NO_RUNNABLE) {
        id = first_of_fair(dispatcher, queue, cpu, FOL_NO_RUNNABLE);
    }
    if (id == FOL_NO_RUNNABLE) {
        id = first_of_heap(dispatcher, place, FOL_BAND_SLACK, cpu);
    }
    return id;
}

uint32_t fol_queue_first(fol_dispatcher *dispatcher, uint32_t queue, uint32_t cpu, int64_t now)
{
    /* Each time round one leaves the queue or goes to a later band, or it ends. */
    uint32_t rounds = dispatcher->queues[queue].ready * FOL_BANDS;
    for (uint32_t round = 0; round < rounds; round++) {
        uint32_t id = first_of_bands(dispatcher, queue, cpu);
        if (id == FOL_NO_RUNNABLE) {
            return id;
        }
        fol_runnable *runnable = fol_runnable_of(dispatcher, id);
        if (fol_budget_allows(dispatcher, runnable, cpu, now)) {
            return id;
        }
    }
    return FOL_NO_RUNNABLE;
}

/* The first of a band, unless what runs is before it. */
static uint32_t unless_outranked(fol_dispatcher *dispatcher, uint32_t id, bool is_first)
{
    dispatcher->counts.outranked += !is_first;
    return is_first ? id : FOL_NO_RUNNABLE;
}

/* The best of the bands before that of the running one, or of its own. */
static uint32_t built_in_rival(fol_dispatcher *dispatcher, uint32_t cpu,
                               const fol_runnable *running, bool is_in_line)
{
    const fol_queue *queue = &dispatcher->queues[running->queue];
    static const fol_band before_fair[] = {FOL_BAND_RANKED, FOL_BAND_ORDERED};
    for (uint32_t i = 0; i < 2 && before_fair[i] <= running->band; i++) {
        uint32_t id = first_of_heap(dispatcher, queue, before_fair[i], cpu);
        if (id == FOL_NO_RUNNABLE) {
            continue;
        }
        int64_t rank = fol_runnable_of(dispatcher, id)->rank;
        bool is_first = before_fair[i] < running->band || rank < running->rank ||
                        (is_in_line && rank == running->rank && id < running->view.id);
        return unless_outranked(dispatcher, id, is_first);
    }
    if (running->band < FOL_BAND_FAIR) {
        return FOL_NO_RUNNABLE;
    }
    bool is_fair = running->band == FOL_BAND_FAIR;
    uint32_t id = first_of_fair(dispatcher, running->queue, cpu,
                                is_fair ? running->view.id : FOL_NO_RUNNABLE);
    if (is_fair || id != FOL_NO_RUNNABLE) {
        return id;
    }
    id = first_of_heap(dispatcher, queue, FOL_BAND_SLACK, cpu);
    if (id == FOL_NO_RUNNABLE) {
        return id;
    }
    int64_t rank = fol_runnable_of(dispatcher, id)->rank;
    bool is_first =
        rank < running->rank || (is_in_line && rank == running->rank && id < running->view.id);
    return unless_outranked(dispatcher, id, is_first);
}

uint32_t fol_queue_rival(fol_dispatcher *dispatcher, uint32_t cpu, bool is_in_line, int64_t now,
                         bool *is_choice)
{
    const fol_runnable *running = fol_runnable_of(dispatcher, dispatcher->cpus[cpu].running);
    uint32_t rounds = dispatcher->queues[running->queue].ready * FOL_BANDS;
    dispatcher->counts.comparisons += 1;
    for (uint32_t round = 0; round < rounds; round++) {
        uint32_t id = FOL_NO_RUNNABLE;
        *is_choice = fol_queue_ask(dispatcher, running->queue, cpu, running->view.id, now, &id);
        if (*is_choice) {
            id = id == running->view.id ? FOL_NO_RUNNABLE : id;
        } else {
            id = built_in_rival(dispatcher, cpu, running, is_in_line);
        }
        if (id == FOL_NO_RUNNABLE ||
            fol_budget_allows(dispatcher, fol_runnable_of(dispatcher, id), cpu, now)) {
            return id;
        }
    }
    return FOL_NO_RUNNABLE;
}

/* Those that may be picked, by arrival. What runs on slack is left out while anybody else is there.
 */
static uint32_t list_ready(fol_dispatcher *dispatcher, const fol_queue *queue, uint32_t cpu,
                           uint32_t running, bool with_slack)
{
    const fol_runnable *current =
        running == FOL_NO_RUNNABLE ? NULL : fol_runnable_of(dispatcher, running);
    bool takes_current = current != NULL && (current->band == FOL_BAND_SLACK) <= with_slack;
    uint32_t count = 0;
    uint32_t id = queue->first_ready;
    for (uint32_t i = 0; i < queue->ready; i++) {
        const fol_runnable *runnable = fol_runnable_of(dispatcher, id);
        if (takes_current && current->arrival < runnable->arrival) {
            dispatcher->scratch[count] = running;
            count += 1;
            takes_current = false;
        }
        if ((runnable->band == FOL_BAND_SLACK) <= with_slack && may_run_on(dispatcher, id, cpu)) {
            dispatcher->scratch[count] = id;
            count += 1;
        }
        id = runnable->next_ready;
    }
    if (takes_current) {
        dispatcher->scratch[count] = running;
        count += 1;
    }
    return count;
}

bool fol_queue_ask(fol_dispatcher *dispatcher, uint32_t queue, uint32_t cpu, uint32_t running,
                   int64_t now, uint32_t *id)
{
    if (dispatcher->slots.table.pick == NULL || !fol_slots_are_on(&dispatcher->slots)) {
        return false;
    }
    const fol_queue *place_of = &dispatcher->queues[queue];
    uint32_t count = list_ready(dispatcher, place_of, cpu, running, false);
    if (count == 0) {
        count = list_ready(dispatcher, place_of, cpu, running, true);
    }
    if (count == 0) {
        return false;
    }
    fol_ready ready = {.ids = dispatcher->scratch,
                       .count = count,
                       .stride = sizeof(fol_runnable),
                       .views = &dispatcher->runnables[0].view};
    uint32_t place = 0;
    fol_choice_counts *counts = &dispatcher->counts;
    bool is_answered = fol_slots_pick(&dispatcher->slots, &ready, cpu, now, &place);
    counts->asked += 1;
    counts->answered += is_answered;
    counts->defaulted += !is_answered;
    if (is_answered) {
        *id = dispatcher->scratch[place];
    }
    return is_answered;
}
