/* A deque on each CPU: it takes its own newest task, else the oldest of another.
 *
 * What is ready from the start lies on CPU 0, as live, where the caller releases it; what the end
 * of a task makes ready lies on the CPU of that end. A thief looks at the nearest victims first,
 * among equals from a random CPU round the circle; or in the order of the victims slot, then at the
 * rest by rising number. A task whose lane is busy
 * is parked by whoever takes it, which then goes on to look.
 */

#include "sim/graph_run.h"

#include <string.h>

#include "base/assert.h"
#include "base/bitset.h"
#include "foliot/status.h"

static void push_newest(fol_graph_run *run, uint32_t task, uint32_t cpu)
{
    fol_graph_deque *deque = &run->deques[cpu];
    run->older[task] = deque->newest;
    run->newer[task] = FOL_NO_TASK;
    if (deque->newest == FOL_NO_TASK) {
        deque->oldest = task;
        fol_bits_set(run->stocked, cpu);
    } else {
        run->newer[deque->newest] = task;
    }
    deque->newest = task;
    run->queued++;
}

static void count_taken(fol_graph_run *run, uint32_t cpu)
{
    FOL_ASSERT(run->queued > 0);
    run->queued--;
    fol_graph_deque *deque = &run->deques[cpu];
    if (deque->oldest == FOL_NO_TASK || deque->newest == FOL_NO_TASK) {
        *deque = (fol_graph_deque){FOL_NO_TASK, FOL_NO_TASK};
        fol_bits_reset(run->stocked, cpu);
    }
}

static uint32_t pop_newest(fol_graph_run *run, uint32_t cpu)
{
    fol_graph_deque *deque = &run->deques[cpu];
    uint32_t task = deque->newest;
    FOL_ASSERT(task != FOL_NO_TASK);
    deque->newest = run->older[task];
    if (deque->newest != FOL_NO_TASK) {
        run->newer[deque->newest] = FOL_NO_TASK;
    }
    count_taken(run, cpu);
    return task;
}

static uint32_t pop_oldest(fol_graph_run *run, uint32_t cpu)
{
    fol_graph_deque *deque = &run->deques[cpu];
    uint32_t task = deque->oldest;
    FOL_ASSERT(task != FOL_NO_TASK);
    deque->oldest = run->newer[task];
    if (deque->oldest != FOL_NO_TASK) {
        run->older[deque->oldest] = FOL_NO_TASK;
    }
    count_taken(run, cpu);
    return task;
}

static void stealing_add(fol_graph_run *run, uint32_t task)
{
    push_newest(run, task, run->homes[task] == FOL_NO_CPU ? 0 : run->homes[task]);
}

static void stealing_put_back(fol_graph_run *run, const fol_graph_entry *entry, uint32_t cpu)
{
    push_newest(run, entry->task, cpu);
}

/* Whether the task could be started; if not it is parked, behind all that are. */
static bool start_or_park(fol_graph_run *run, uint32_t task, uint32_t cpu, int64_t extra)
{
    if (!fol_graph_lane_is_busy(run, task)) {
        fol_graph_start(run, task, cpu, extra);
        return true;
    }
    fol_graph_entry entry = {.rank = (int64_t)run->parkings++, .task = task};
    fol_graph_park(run, entry);
    return false;
}

/* Whether the numbers are different CPUs other than the thief. */
static bool victims_are_good(const fol_graph_run *run, uint32_t thief, uint32_t count)
{
    uint64_t seen[FOL_GRAPH_CPU_WORDS] = {0};
    fol_bits_set(seen, thief);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t victim = run->victims[i];
        if (victim >= run->options->cpus || fol_bits_test(seen, victim)) {
            return false;
        }
        fol_bits_set(seen, victim);
    }
    return true;
}

/* How many victims the slot named, which then stand in run->victims; 0 where it has no say. */
static uint32_t ask_victims(fol_graph_run *run, uint32_t thief)
{
    if (run->slots == NULL || run->slots->victims == NULL) {
        return 0;
    }
    uint32_t count = run->options->cpus - 1;
    int answer =
        run->slots->victims(run->slots->state, thief, run->options->cpus, run->victims, &count);
    if (answer == FOL_POLICY_DEFAULT) {
        return 0;
    }
    if (answer != FOL_POLICY_ANSWERED || count > run->options->cpus - 1 ||
        !victims_are_good(run, thief, count)) {
        fol_graph_slot_failed(run, FOL_SLOT_VICTIMS, answer < 0 ? answer : FOL_E_VALUE);
        return 0;
    }
    return count;
}

/* The nearest CPU with something in its deque, among equals the first one round the circle. */
static uint32_t nearest_victim(const fol_graph_run *run, uint32_t thief, uint32_t from)
{
    const fol_sim_machine *machine = run->options->machine;
    uint32_t nearest = FOL_NO_CPU;
    fol_sim_distance least = FOL_SIM_DISTANCES;
    const uint32_t starts[] = {from, 0};
    const uint32_t ends[] = {run->options->cpus, from};
    for (uint32_t part = 0; part < 2; part++) {
        for (uint32_t victim = fol_graph_next_cpu(run->stocked, starts[part]); victim < ends[part];
             victim = fol_graph_next_cpu(run->stocked, victim + 1)) {
            fol_sim_distance distance = fol_sim_distance_of(machine, thief, victim);
            if (distance < least) {
                least = distance;
                nearest = victim;
            }
        }
    }
    FOL_ASSERT(nearest != FOL_NO_CPU && nearest != thief);
    return nearest;
}

/* Whose oldest task is taken. Something is queued, and not with the thief. */
static uint32_t choose_victim(fol_graph_run *run, uint32_t thief)
{
    uint32_t named = ask_victims(run, thief);
    for (uint32_t i = 0; i < named; i++) {
        if (fol_bits_test(run->stocked, run->victims[i])) {
            return run->victims[i];
        }
    }
    uint32_t from = 0;
    if (named == 0) {
        uint32_t cpus = run->options->cpus;
        from = (thief + 1 + fol_rng_below(&run->rng, cpus - 1)) % cpus;
        if (run->options->machine != NULL) {
            return nearest_victim(run, thief, from);
        }
    }
    uint32_t victim = fol_graph_next_cpu(run->stocked, from);
    return victim != FOL_NO_CPU ? victim : fol_graph_next_cpu(run->stocked, 0);
}

static void stealing_dispatch(fol_graph_run *run)
{
    /* Ends: each round takes a task off a deque. */
    for (uint32_t cpu = fol_graph_next_cpu(run->idle, 0); cpu != FOL_NO_CPU;
         cpu = fol_graph_next_cpu(run->idle, cpu + 1)) {
        bool is_busy = false;
        while (!is_busy && run->deques[cpu].newest != FOL_NO_TASK) {
            is_busy = start_or_park(run, pop_newest(run, cpu), cpu, 0);
        }
    }
    for (uint32_t cpu = fol_graph_next_cpu(run->idle, 0); cpu != FOL_NO_CPU && run->queued > 0;
         cpu = fol_graph_next_cpu(run->idle, cpu + 1)) {
        bool is_busy = false;
        while (!is_busy && run->queued > 0) {
            uint32_t victim = choose_victim(run, cpu);
            fol_sim_distance distance = fol_sim_distance_of(run->options->machine, victim, cpu);
            int64_t cost = run->options->steal_costs[distance];
            is_busy = start_or_park(run, pop_oldest(run, victim), cpu, cost);
            run->summary.moves.steals[distance] += is_busy;
        }
    }
}

const fol_graph_queue fol_graph_stealing = {
    .add = stealing_add, .dispatch = stealing_dispatch, .put_back = stealing_put_back};
