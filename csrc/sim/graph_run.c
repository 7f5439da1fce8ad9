/* Passes over virtual CPUs: events, lanes, and what is asked for by options. */

#include "sim/graph_run.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/bitset.h"
#include "base/memory.h"
#include "foliot/status.h"

/* Tasks between two calls of the options' check. */
#define CHECK_INTERVAL 65536u

const char *const fol_sim_graph_order_names[] = {"fifo", "critical-path", "cost",
                                                 "list", "steal",         NULL};

uint32_t fol_graph_next_cpu(const uint64_t *bits, uint32_t from)
{
    uint64_t mask = ~UINT64_C(0) << (from % 64u);
    for (uint32_t word = from / 64u; word < FOL_GRAPH_CPU_WORDS; word++) {
        uint64_t left = bits[word] & mask;
        if (left != 0) {
            return word * 64u + (uint32_t)__builtin_ctzll(left);
        }
        mask = ~UINT64_C(0);
    }
    return FOL_NO_CPU;
}

static fol_graph_lane *lane_of(const fol_graph_run *run, uint32_t task)
{
    if (run->lanes == NULL || run->view.lanes[task] == FOL_NO_LANE) {
        return NULL;
    }
    return &run->lanes[run->view.lanes[task]];
}

bool fol_graph_lane_is_busy(const fol_graph_run *run, uint32_t task)
{
    const fol_graph_lane *lane = lane_of(run, task);
    return lane != NULL && lane->is_busy;
}

void fol_graph_park(fol_graph_run *run, fol_graph_entry entry)
{
    fol_graph_lane *lane = lane_of(run, entry.task);
    FOL_ASSERT(lane != NULL && lane->is_busy);
    fol_graph_heap_push(&lane->parked, entry);
}

void fol_graph_start(fol_graph_run *run, uint32_t task, uint32_t cpu, int64_t extra)
{
    FOL_ASSERT(fol_bits_test(run->idle, cpu));
    FOL_ASSERT(run->waits[task] == 0);
    const fol_sim_graph_options *options = run->options;
    int64_t overhead = options->switch_cost + extra;
    if (run->homes[task] != FOL_NO_CPU && run->homes[task] != cpu) {
        fol_sim_distance distance = fol_sim_distance_of(options->machine, run->homes[task], cpu);
        overhead += options->migration_costs[distance];
        run->summary.moves.migrations[distance]++;
    }
    run->summary.overhead += overhead;
    run->jobs.start[task] = run->now + overhead;
    run->jobs.finish[task] = run->now + overhead + run->view.costs[task];
    run->jobs.cpu[task] = cpu;
    run->running[cpu] = task;
    fol_bits_reset(run->idle, cpu);
    run->idle_count--;
    fol_graph_lane *lane = lane_of(run, task);
    if (lane != NULL) {
        FOL_ASSERT(!lane->is_busy);
        lane->is_busy = true;
    }
    fol_heap_push(&run->events, run->jobs.finish[task], cpu);
}

void fol_graph_slot_failed(fol_graph_run *run, fol_policy_slot slot, int status)
{
    run->summary.faults++;
    run->summary.fault_slot = slot;
    run->summary.fault_status = status;
    if (run->summary.faults >= run->options->max_faults) {
        run->slots = NULL;
    }
}

static void make_ready(fol_graph_run *run, uint32_t task, uint32_t cpu)
{
    run->jobs.release[task] = run->now;
    run->jobs.cpu[task] = FOL_NO_CPU;
    run->homes[task] = cpu;
    run->queue->add(run, task);
}

/* A slot may have picked some of those that are parked, which then count no more. */
static void free_lane(fol_graph_run *run, fol_graph_lane *lane, uint32_t cpu)
{
    lane->is_busy = false;
    while (lane->parked.count > 0) {
        fol_graph_entry entry = fol_graph_heap_pop(&lane->parked);
        if (!fol_graph_is_started(run, entry.task)) {
            run->queue->put_back(run, &entry, cpu);
            return;
        }
    }
}

/* The lane is free, then its next task may be had, then the successors are ready. */
static void end_task(fol_graph_run *run, uint32_t cpu)
{
    uint32_t task = run->running[cpu];
    fol_bits_set(run->idle, cpu);
    run->idle_count++;
    run->done++;
    fol_graph_lane *lane = lane_of(run, task);
    if (lane != NULL) {
        free_lane(run, lane, cpu);
    }
    const fol_graph_edges *after = run->view.after;
    for (uint64_t k = after->first[task]; k < after->first[task + 1]; k++) {
        uint32_t other = after->ends[k];
        if (--run->waits[other] == 0) {
            make_ready(run, other, cpu);
        }
    }
}

static void begin_pass(fol_graph_run *run, const fol_graph_view *view,
                       const fol_sim_graph_jobs *jobs)
{
    uint32_t cpus = run->options->cpus;
    run->view = *view;
    run->jobs = *jobs;
    run->summary = (fol_sim_graph_summary){.makespan = 0};
    run->slots = run->options->slots;
    run->now = 0;
    run->done = 0;
    run->events.count = 0;
    run->idle_count = cpus;
    run->ready.count = 0;
    run->listed_count = 0;
    run->queued = 0;
    run->parkings = 0;
    fol_rng_init(&run->rng, run->options->seed);
    memset(run->idle, 0, sizeof(run->idle));
    memset(run->stocked, 0, sizeof(run->stocked));
    for (uint32_t cpu = 0; cpu < cpus; cpu++) {
        fol_bits_set(run->idle, cpu);
        run->events.places[cpu] = FOL_HEAP_NOWHERE;
        if (run->deques != NULL) {
            run->deques[cpu] = (fol_graph_deque){FOL_NO_TASK, FOL_NO_TASK};
        }
    }
    for (uint32_t task = 0; task < view->count; task++) {
        run->waits[task] = (uint32_t)fol_graph_degree(view->before, task);
    }
}

/* All that ends at the earliest time at which anything does. */
static void end_instant(fol_graph_run *run)
{
    const fol_heap_node *first = fol_heap_first(&run->events);
    FOL_ASSERT(first != NULL);
    run->now = first->rank;
    run->summary.makespan = run->now;
    while (first != NULL && first->rank == run->now) {
        end_task(run, fol_heap_pop(&run->events).id);
        first = fol_heap_first(&run->events);
    }
}

int fol_graph_run_pass(fol_graph_run *run, const fol_graph_view *view,
                       const fol_sim_graph_jobs *jobs)
{
    FOL_ASSERT(view->count == run->view.count);
    begin_pass(run, view, jobs);
    for (uint32_t task = 0; task < view->count; task++) {
        if (run->waits[task] == 0) {
            make_ready(run, task, FOL_NO_CPU);
        }
    }
    int status = FOL_OK;
    uint32_t next_check = CHECK_INTERVAL;
    /* Each round ends at least one task. */
    while (status == FOL_OK && run->done < view->count) {
        run->queue->dispatch(run);
        end_instant(run);
        if (run->done >= next_check && run->options->check != NULL) {
            next_check = run->done + CHECK_INTERVAL;
            status = run->options->check(run->options->check_state, run->done);
        }
    }
    run->summary.passes = 1;
    return status;
}

static int init_lanes(fol_graph_run *run, const fol_graph_view *view)
{
    if (view->lanes == NULL) {
        return FOL_OK;
    }
    run->lanes = fol_alloc_zeroed(view->lane_count, sizeof(fol_graph_lane));
    run->parked = fol_alloc_array(view->count, sizeof(fol_graph_entry));
    if (run->lanes == NULL || run->parked == NULL) {
        return -ENOMEM;
    }
    for (uint32_t task = 0; task < view->count; task++) {
        if (view->lanes[task] != FOL_NO_LANE) {
            run->lanes[view->lanes[task]].parked.room++;
        }
    }
    fol_graph_entry *next = run->parked;
    for (uint32_t lane = 0; lane < view->lane_count; lane++) {
        run->lanes[lane].parked.entries = next;
        next += run->lanes[lane].parked.room;
    }
    return FOL_OK;
}

static int init_central(fol_graph_run *run, const fol_graph_view *view)
{
    run->ready.room = view->count;
    run->ready.entries = fol_alloc_array(view->count, sizeof(fol_graph_entry));
    if (run->ready.entries == NULL) {
        return -ENOMEM;
    }
    if (run->options->slots == NULL) {
        return FOL_OK;
    }
    run->listed = fol_alloc_array(view->count, sizeof(uint32_t));
    run->offered = fol_alloc_array(view->count, sizeof(uint32_t));
    run->runnable = fol_alloc_zeroed(view->count, sizeof(fol_runnable_view));
    bool is_whole = run->listed != NULL && run->offered != NULL && run->runnable != NULL;
    return is_whole ? FOL_OK : -ENOMEM;
}

static int init_deques(fol_graph_run *run, const fol_graph_view *view)
{
    run->deques = fol_alloc_array(run->options->cpus, sizeof(fol_graph_deque));
    run->older = fol_alloc_array(view->count, sizeof(uint32_t));
    run->newer = fol_alloc_array(view->count, sizeof(uint32_t));
    run->victims = fol_alloc_array(run->options->cpus, sizeof(uint32_t));
    bool is_whole =
        run->deques != NULL && run->older != NULL && run->newer != NULL && run->victims != NULL;
    return is_whole ? FOL_OK : -ENOMEM;
}

int fol_graph_run_init(fol_graph_run *run, const fol_graph_view *view,
                       const fol_sim_graph_options *options, const fol_graph_queue *queue)
{
    FOL_ASSERT(options->cpus >= 1 && options->cpus <= FOL_GRAPH_MAX_CPUS);
    *run = (fol_graph_run){.view = *view, .options = options, .queue = queue};
    run->waits = fol_alloc_array(view->count, sizeof(uint32_t));
    run->homes = fol_alloc_array(view->count, sizeof(uint32_t));
    run->running = fol_alloc_array(options->cpus, sizeof(uint32_t));
    fol_heap_init(&run->events, fol_alloc_array(options->cpus, sizeof(fol_heap_node)),
                  options->cpus, fol_alloc_array(options->cpus, sizeof(uint32_t)));
    int status = -ENOMEM;
    if (run->waits != NULL && run->homes != NULL && run->running != NULL &&
        run->events.nodes != NULL && run->events.places != NULL) {
        status = init_lanes(run, view);
    }
    if (status == FOL_OK) {
        status = queue == &fol_graph_central ? init_central(run, view) : init_deques(run, view);
    }
    if (status != FOL_OK) {
        fol_graph_run_deinit(run);
    }
    return status;
}

void fol_graph_run_deinit(fol_graph_run *run)
{
    fol_free(run->waits);
    fol_free(run->homes);
    fol_free(run->running);
    fol_free(run->events.places);
    fol_free(run->events.nodes);
    fol_free(run->lanes);
    fol_free(run->parked);
    fol_free(run->ready.entries);
    fol_free(run->listed);
    fol_free(run->offered);
    fol_free(run->runnable);
    fol_free(run->deques);
    fol_free(run->older);
    fol_free(run->newer);
    fol_free(run->victims);
    *run = (fol_graph_run){.now = 0};
}

void fol_graph_rank(const fol_sim_graph *graph, fol_sim_graph_order order, int64_t *ranks,
                    uint32_t *ties)
{
    FOL_ASSERT(order == FOL_GRAPH_CRITICAL_PATH || order == FOL_GRAPH_COST);
    bool is_path = order == FOL_GRAPH_CRITICAL_PATH;
    for (uint32_t task = 0; task < graph->count; task++) {
        ranks[task] = is_path ? -graph->upward[task] : -graph->costs[task];
        ties[task] = is_path ? UINT32_MAX - (uint32_t)fol_graph_degree(&graph->after, task) : 0;
    }
}

static int check_options(const fol_sim_graph *graph, const fol_sim_graph_options *options)
{
    bool has_slots = options->slots != NULL;
    if (options->cpus < 1 || options->cpus > FOL_GRAPH_MAX_CPUS ||
        (unsigned)options->order >= FOL_GRAPH_ORDERS || options->switch_cost < 0 ||
        (has_slots && (options->max_faults < 1 || options->order == FOL_GRAPH_LIST))) {
        return -EINVAL;
    }
    int64_t migration = 0;
    int64_t steal = 0;
    for (uint32_t distance = 0; distance < FOL_SIM_DISTANCES; distance++) {
        int64_t costs[] = {options->migration_costs[distance], options->steal_costs[distance]};
        if (costs[0] < 0 || costs[1] < 0) {
            return -EINVAL;
        }
        migration = costs[0] > migration ? costs[0] : migration;
        steal = costs[1] > steal ? costs[1] : steal;
    }
    int64_t overhead;
    int64_t end;
    bool overflows = __builtin_add_overflow(options->switch_cost, migration, &overhead) ||
                     __builtin_add_overflow(overhead, steal, &overhead) ||
                     __builtin_mul_overflow(overhead, (int64_t)graph->count, &overhead) ||
                     __builtin_add_overflow(overhead, graph->work, &end) || end == INT64_MAX;
    return overflows ? -EOVERFLOW : FOL_OK;
}

/* One order, one pass. */
static int run_once(const fol_sim_graph *graph, const fol_sim_graph_options *options,
                    const fol_sim_graph_jobs *jobs, fol_sim_graph_summary *summary)
{
    fol_graph_view view = {graph->count, graph->lane_count, graph->costs,
                           graph->lanes, &graph->before,    &graph->after};
    bool is_ranked = options->order == FOL_GRAPH_CRITICAL_PATH || options->order == FOL_GRAPH_COST;
    bool is_stealing = options->order == FOL_GRAPH_STEAL;
    size_t ranked = is_ranked ? graph->count : 0;
    int64_t *ranks = fol_alloc_array(ranked, sizeof(int64_t));
    uint32_t *ties = fol_alloc_array(ranked, sizeof(uint32_t));
    fol_graph_run run;
    int status = -ENOMEM;
    if (ranks == NULL || ties == NULL) {
        goto done;
    }
    status = fol_graph_run_init(&run, &view, options,
                                is_stealing ? &fol_graph_stealing : &fol_graph_central);
    if (status != FOL_OK) {
        goto done;
    }
    if (is_ranked) {
        fol_graph_rank(graph, options->order, ranks, ties);
        run.ranks = ranks;
        run.ties = ties;
    }
    status = fol_graph_run_pass(&run, &view, jobs);
    *summary = run.summary;
    fol_graph_run_deinit(&run);
done:
    fol_free(ranks);
    fol_free(ties);
    return status;
}

int fol_sim_graph_run(const fol_sim_graph *graph, const fol_sim_graph_options *options,
                      const fol_sim_graph_jobs *jobs, fol_sim_graph_summary *summary)
{
    FOL_ASSERT(graph != NULL && options != NULL);
    FOL_ASSERT(jobs != NULL && summary != NULL);
    int status = check_options(graph, options);
    if (status != FOL_OK) {
        return status;
    }
    return options->order == FOL_GRAPH_LIST ? fol_graph_run_best(graph, options, jobs, summary)
                                            : run_once(graph, options, jobs, summary);
}
