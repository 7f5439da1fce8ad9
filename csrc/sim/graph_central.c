/* One queue for all CPUs: a heap by rank, and a list by readiness when a slot picks.
 *
 * Invariant of lanes: while a lane is free, the first of its ready tasks stands in the heap. What
 * comes out of the heap with its lane busy is parked there, and the end of a lane's task puts the
 * first parked one back; so a task moves at most once for each task of its lane that ends, and all
 * moves together are at most two for each task.
 *
 * A task that a slot picked stays in the heap until it surfaces, and is dropped then.
 */

#include "sim/graph_run.h"

#include <string.h>

#include "base/bitset.h"
#include "foliot/status.h"

static void describe(fol_graph_run *run, uint32_t task)
{
    int64_t now = run->now;
    run->runnable[task] = (fol_runnable_view){
        .id = task,
        .weight = 1024,
        .latency = 1,
        .last_cpu = run->homes[task],
        .release = now,
        .deadline = FOL_TIME_NEVER,
        .expected = run->view.costs[task],
        .since = now,
    };
}

/* Whether the enqueue slot gave the task a rank. */
static bool ask_rank(fol_graph_run *run, uint32_t task, int64_t *rank)
{
    if (run->slots == NULL || run->slots->enqueue == NULL) {
        return false;
    }
    int answer = run->slots->enqueue(run->slots->state, &run->runnable[task], run->now, rank);
    if (answer < 0 || answer > FOL_POLICY_DEFAULT) {
        fol_graph_slot_failed(run, FOL_SLOT_ENQUEUE, answer);
    }
    return answer == FOL_POLICY_ANSWERED;
}

static void central_add(fol_graph_run *run, uint32_t task)
{
    fol_graph_entry entry = {
        .rank = run->ranks == NULL ? run->now : run->ranks[task],
        .band = 1,
        .tie = run->ties == NULL ? 0 : run->ties[task],
        .task = task,
    };
    if (run->runnable != NULL) {
        describe(run, task);
        int64_t rank;
        if (ask_rank(run, task, &rank)) {
            entry = (fol_graph_entry){.rank = rank, .band = 0, .tie = 0, .task = task};
        }
        run->listed[run->listed_count++] = task;
    }
    fol_graph_heap_push(&run->ready, entry);
}

static void central_put_back(fol_graph_run *run, const fol_graph_entry *entry, uint32_t cpu)
{
    (void)cpu;
    fol_graph_heap_push(&run->ready, *entry);
}

/* The first in the heap that may start, or FOL_NO_TASK. */
static uint32_t take_first(fol_graph_run *run)
{
    while (run->ready.count > 0) {
        fol_graph_entry entry = fol_graph_heap_pop(&run->ready);
        if (fol_graph_is_started(run, entry.task)) {
            continue;
        }
        if (!fol_graph_lane_is_busy(run, entry.task)) {
            return entry.task;
        }
        fol_graph_park(run, entry);
    }
    return FOL_NO_TASK;
}

static void unlist(fol_graph_run *run, uint32_t task)
{
    uint32_t place = 0;
    while (run->listed[place] != task) {
        place++;
    }
    run->listed_count--;
    memmove(&run->listed[place], &run->listed[place + 1],
            (run->listed_count - place) * sizeof(uint32_t));
}

/* What the pick slot chose for a CPU, or FOL_NO_TASK where it has no say. */
static uint32_t ask_pick(fol_graph_run *run, uint32_t cpu)
{
    if (run->slots == NULL || run->slots->pick == NULL) {
        return FOL_NO_TASK;
    }
    fol_ready ready = {
        .ids = run->offered, .stride = sizeof(fol_runnable_view), .views = run->runnable};
    for (uint32_t i = 0; i < run->listed_count; i++) {
        if (!fol_graph_lane_is_busy(run, run->listed[i])) {
            run->offered[ready.count++] = run->listed[i];
        }
    }
    if (ready.count == 0) {
        return FOL_NO_TASK;
    }
    uint32_t place = 0;
    int answer = run->slots->pick(run->slots->state, &ready, cpu, run->now, &place);
    if (answer == FOL_POLICY_DEFAULT) {
        return FOL_NO_TASK;
    }
    if (answer != FOL_POLICY_ANSWERED || place >= ready.count) {
        fol_graph_slot_failed(run, FOL_SLOT_PICK, answer < 0 ? answer : FOL_E_VALUE);
        return FOL_NO_TASK;
    }
    return run->offered[place];
}

/* Where the first of the queue goes: to the CPU whose task made it ready, else the lowest idle one.
 */
static uint32_t choose_cpu(const fol_graph_run *run, uint32_t task)
{
    uint32_t home = run->homes[task];
    return home != FOL_NO_CPU && fol_bits_test(run->idle, home) ? home
                                                                : fol_graph_next_cpu(run->idle, 0);
}

static void central_dispatch(fol_graph_run *run)
{
    /* Each round starts a task, so there are at most as many as idle CPUs. */
    while (run->idle_count > 0 && run->ready.count > 0) {
        uint32_t asked = fol_graph_next_cpu(run->idle, 0);
        uint32_t task = ask_pick(run, asked);
        bool is_picked = task != FOL_NO_TASK;
        if (!is_picked) {
            task = take_first(run);
        }
        if (task == FOL_NO_TASK) {
            break;
        }
        if (run->runnable != NULL) {
            unlist(run, task);
        }
        fol_graph_start(run, task, is_picked ? asked : choose_cpu(run, task), 0);
    }
}

const fol_graph_queue fol_graph_central = {
    .add = central_add, .dispatch = central_dispatch, .put_back = central_put_back};
