/* Who gives way to what became ready; dispatcher_state.h has the rules.
 *
 * Of one queue for all CPUs the first of those that are ready go to the idle CPUs, and the next
 * ones to those CPUs that are marked already. The one after them displaces what is last in line of
 * all that run on CPUs without a mark, if it is before it. So each arrival marks one CPU at most,
 * and the marked ones are those that run what is not among the first, however late they look.
 *
 * Of a queue for each CPU only the CPU itself is looked at.
 */

#include "policy/dispatcher_state.h"

void fol_displace_mark(fol_dispatcher *dispatcher, uint32_t cpu)
{
    FOL_ASSERT(dispatcher->cpus[cpu].running != FOL_NO_RUNNABLE);
    if (!fol_bits_test(dispatcher->marked, cpu)) {
        fol_bits_set(dispatcher->marked, cpu);
        dispatcher->marked_count += 1;
        dispatcher->worst = FOL_NO_CPU;
    }
}

void fol_displace_unmark(fol_dispatcher *dispatcher, uint32_t cpu)
{
    if (fol_bits_test(dispatcher->marked, cpu)) {
        fol_bits_reset(dispatcher->marked, cpu);
        dispatcher->marked_count -= 1;
        dispatcher->worst = FOL_NO_CPU;
    }
}

/* Whether what runs on a is after what runs on b in line: it is displaced before. In the fair band,
 * whose protection ends first. */
static bool is_worse(const fol_dispatcher *dispatcher, uint32_t a, uint32_t b)
{
    const fol_runnable *one = fol_runnable_of(dispatcher, dispatcher->cpus[a].running);
    const fol_runnable *other = fol_runnable_of(dispatcher, dispatcher->cpus[b].running);
    if (one->band != other->band) {
        return one->band > other->band;
    }
    if (one->band == FOL_BAND_FAIR) {
        int64_t point = dispatcher->cpus[a].fair_point;
        int64_t other_point = dispatcher->cpus[b].fair_point;
        return point != other_point ? point < other_point : one->view.id > other->view.id;
    }
    return fol_heap_is_before(other->rank, other->view.id, one->rank, one->view.id);
}

void fol_displace_began(fol_dispatcher *dispatcher, uint32_t cpu)
{
    uint32_t worst = dispatcher->worst;
    if (worst == cpu) {
        dispatcher->worst = FOL_NO_CPU;
    } else if (worst != FOL_NO_CPU && is_worse(dispatcher, cpu, worst)) {
        dispatcher->worst = cpu;
    }
}

void fol_displace_ended(fol_dispatcher *dispatcher, uint32_t cpu)
{
    fol_displace_unmark(dispatcher, cpu);
    if (dispatcher->worst == cpu) {
        dispatcher->worst = FOL_NO_CPU;
    }
}

/* Of those that run without a mark and where the runnable may run; it may be restricted. */
static uint32_t worst_for(const fol_dispatcher *dispatcher, const fol_runnable *runnable)
{
    uint32_t worst = FOL_NO_CPU;
    for (uint32_t cpu = 0; cpu < dispatcher->config.cpus; cpu++) {
        if (dispatcher->cpus[cpu].running == FOL_NO_RUNNABLE ||
            fol_bits_test(dispatcher->marked, cpu) || !fol_may_run_on(dispatcher, runnable, cpu)) {
            continue;
        }
        if (worst == FOL_NO_CPU || is_worse(dispatcher, cpu, worst)) {
            worst = cpu;
        }
    }
    return worst;
}

static uint32_t worst_of_all(fol_dispatcher *dispatcher, const fol_runnable *runnable)
{
    if (runnable->is_restricted) {
        return worst_for(dispatcher, runnable);
    }
    if (dispatcher->worst == FOL_NO_CPU) {
        dispatcher->worst = worst_for(dispatcher, runnable);
    }
    return dispatcher->worst;
}

/* Whether the runnable may take the CPU of a running one in the fair band: it is not protected, or
 * a shorter slice shortens its protection. Asked, it is charged, and the fair queue decides. */
static bool is_open_to(const fol_dispatcher *dispatcher, uint32_t cpu, const fol_runnable *newcomer,
                       int64_t now)
{
    const fol_runnable *running = fol_runnable_of(dispatcher, dispatcher->cpus[cpu].running);
    const int64_t *slices = dispatcher->config.slices;
    return dispatcher->cpus[cpu].fair_point <= now ||
           slices[newcomer->view.latency] < slices[running->view.latency] ||
           (newcomer->view.group != running->view.group);
}

/* How many of those ready in a band are before the one on the CPU; `most` is enough to know. */
static uint32_t count_before(const fol_dispatcher *dispatcher, const fol_queue *queue,
                             fol_band band, uint32_t cpu, uint32_t most,
                             const fol_runnable *newcomer, int64_t now)
{
    const fol_runnable *running = fol_runnable_of(dispatcher, dispatcher->cpus[cpu].running);
    const fol_heap *heap = &queue->heaps[band];
    if (band < running->band) {
        return band == FOL_BAND_FAIR ? fol_fair_queue_queued(&queue->fair) : heap->count;
    }
    if (band == FOL_BAND_FAIR) {
        bool is_open =
            newcomer->band == FOL_BAND_FAIR && is_open_to(dispatcher, cpu, newcomer, now);
        return is_open ? fol_fair_queue_queued(&queue->fair) : 0;
    }
    return fol_heap_count_below(heap, running->rank, most, dispatcher->scratch);
}

/* Whether at least so many of those ready in the queue are before the one on the CPU. */
static bool is_beaten(const fol_dispatcher *dispatcher, const fol_queue *queue, uint32_t cpu,
                      uint32_t least, const fol_runnable *newcomer, int64_t now)
{
    const fol_runnable *running = fol_runnable_of(dispatcher, dispatcher->cpus[cpu].running);
    for (uint32_t band = FOL_BAND_RANKED; band <= running->band; band++) {
        uint32_t before =
            count_before(dispatcher, queue, (fol_band)band, cpu, least, newcomer, now);
        if (before >= least) {
            return true;
        }
        least -= before;
    }
    return false;
}

/* One queue for all. */
static void look_at_all(fol_dispatcher *dispatcher, const fol_runnable *newcomer, int64_t now)
{
    const fol_queue *queue = &dispatcher->queues[0];
    uint32_t taken = dispatcher->idle_count + dispatcher->marked_count;
    if (newcomer->is_restricted) {
        taken = fol_bits_intersect(dispatcher->idle, dispatcher->budgets[newcomer->context].cpus,
                                   FOL_DISPATCHER_CPU_WORDS);
    }
    if (queue->ready <= taken) {
        return;
    }
    uint32_t cpu = worst_of_all(dispatcher, newcomer);
    if (cpu == FOL_NO_CPU) {
        return;
    }
    bool is_asked = dispatcher->slots.table.pick != NULL && fol_slots_are_on(&dispatcher->slots);
    uint32_t least = newcomer->is_restricted ? 1 : taken + 1;
    if (is_asked || is_beaten(dispatcher, queue, cpu, least, newcomer, now)) {
        fol_displace_mark(dispatcher, cpu);
    }
}

static void look_at_one(fol_dispatcher *dispatcher, const fol_runnable *newcomer, int64_t now)
{
    uint32_t cpu = newcomer->queue;
    const fol_queue *queue = &dispatcher->queues[cpu];
    if (dispatcher->cpus[cpu].running == FOL_NO_RUNNABLE ||
        fol_bits_test(dispatcher->marked, cpu)) {
        return;
    }
    if (dispatcher->config.queues == FOL_QUEUES_PER_CPU &&
        dispatcher->ready_count <= dispatcher->idle_count) {
        fol_bits_set(dispatcher->deferred, cpu);
        return;
    }
    bool is_asked = dispatcher->slots.table.pick != NULL && fol_slots_are_on(&dispatcher->slots);
    if (is_asked || is_beaten(dispatcher, queue, cpu, 1, newcomer, now)) {
        fol_displace_mark(dispatcher, cpu);
    }
}

/* One whose context somebody else draws on can only take that one's place. */
static bool look_at_holder(fol_dispatcher *dispatcher, const fol_runnable *newcomer)
{
    const fol_budget *budget = fol_budget_of(dispatcher, newcomer);
    if (budget == NULL || budget->holder == FOL_NO_RUNNABLE ||
        newcomer->standing != FOL_STANDING_FULL) {
        return false;
    }
    const fol_runnable *holder = fol_runnable_of(dispatcher, budget->holder);
    bool is_first = newcomer->band < holder->band ||
                    (newcomer->band == holder->band && newcomer->rank < holder->rank);
    if (is_first && holder->queue == newcomer->queue) {
        fol_displace_mark(dispatcher, holder->cpu);
    }
    return true;
}

void fol_displace_arrived(fol_dispatcher *dispatcher, const fol_runnable *runnable, int64_t now)
{
    FOL_ASSERT_HOT(runnable->state == FOL_RUNNABLE_READY);
    if (!dispatcher->config.is_preemptive || look_at_holder(dispatcher, runnable)) {
        return;
    }
    if (dispatcher->queue_count == 1) {
        look_at_all(dispatcher, runnable, now);
    } else {
        look_at_one(dispatcher, runnable, now);
    }
}

/* Queues that were left to idle CPUs which then took something else. */
static void look_again(fol_dispatcher *dispatcher, int64_t now)
{
    uint32_t words = (uint32_t)fol_bits_words(dispatcher->queue_count);
    size_t queue = fol_bits_next(dispatcher->deferred, words, 0);
    while (queue < dispatcher->queue_count) {
        fol_bits_reset(dispatcher->deferred, queue);
        uint32_t id = dispatcher->queues[queue].ready == 0
                          ? FOL_NO_RUNNABLE
                          : fol_queue_first(dispatcher, (uint32_t)queue, (uint32_t)queue, now);
        if (id != FOL_NO_RUNNABLE) {
            look_at_one(dispatcher, fol_runnable_of(dispatcher, id), now);
        }
        queue = fol_bits_next(dispatcher->deferred, words, queue + 1);
    }
}

uint32_t fol_dispatcher_displaced(fol_dispatcher *dispatcher, int64_t now)
{
    if (dispatcher->config.queues == FOL_QUEUES_PER_CPU) {
        look_again(dispatcher, now);
    }
    if (dispatcher->marked_count == 0) {
        return FOL_NO_CPU;
    }
    return (uint32_t)fol_bits_next(dispatcher->marked, FOL_DISPATCHER_CPU_WORDS, 0);
}

bool fol_dispatcher_is_displaced(const fol_dispatcher *dispatcher, uint32_t cpu)
{
    FOL_ASSERT(cpu < dispatcher->config.cpus);
    return fol_bits_test(dispatcher->marked, cpu);
}
