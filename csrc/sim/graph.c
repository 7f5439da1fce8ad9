/* Task graphs: making them, refusing what is none, and their bounds.
 *
 * Tasks are sorted as Kahn (1962) does; what cannot be placed lies on a cycle or behind one, and a
 * walk from any of it against the edges must come round.
 */

#include "sim/graph.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/memory.h"
#include "foliot/status.h"

static int refuse(fol_sim_graph_fault *fault, fol_sim_graph_fault_kind kind, uint32_t task,
                  uint32_t other)
{
    *fault = (fol_sim_graph_fault){.kind = kind, .task = task, .other = other};
    return FOL_E_VALUE;
}

static int check_tasks(const fol_sim_graph_spec *spec, fol_sim_graph_fault *fault)
{
    if (spec->count > FOL_GRAPH_MAX_TASKS || spec->first[0] != 0 ||
        spec->first[spec->count] > FOL_GRAPH_MAX_EDGES || spec->lane_count > spec->count) {
        return refuse(fault, FOL_GRAPH_FAULT_SHAPE, FOL_NO_TASK, FOL_NO_TASK);
    }
    int64_t sum = 0;
    for (uint32_t i = 0; i < spec->count; i++) {
        if (spec->first[i + 1] < spec->first[i]) {
            return refuse(fault, FOL_GRAPH_FAULT_SHAPE, i, FOL_NO_TASK);
        }
        if (spec->costs[i] < 0) {
            return refuse(fault, FOL_GRAPH_FAULT_COST, i, FOL_NO_TASK);
        }
        if (spec->lanes != NULL && spec->lanes[i] != FOL_NO_LANE &&
            spec->lanes[i] >= spec->lane_count) {
            return refuse(fault, FOL_GRAPH_FAULT_LANE, i, FOL_NO_TASK);
        }
        /* The largest time stands for never. */
        if (spec->costs[i] >= INT64_MAX - sum) {
            return refuse(fault, FOL_GRAPH_FAULT_SUM, i, FOL_NO_TASK);
        }
        sum += spec->costs[i];
    }
    return FOL_OK;
}

/* `seen` has a place for each task: one more than the last task that named it. */
static int check_edges(const fol_sim_graph_spec *spec, uint32_t *seen, fol_sim_graph_fault *fault)
{
    for (uint32_t i = 0; i < spec->count; i++) {
        for (uint64_t k = spec->first[i]; k < spec->first[i + 1]; k++) {
            uint32_t other = spec->predecessors[k];
            if (other >= spec->count) {
                return refuse(fault, FOL_GRAPH_FAULT_UNKNOWN, i, other);
            }
            if (seen[other] == i + 1) {
                return refuse(fault, FOL_GRAPH_FAULT_TWICE, i, other);
            }
            seen[other] = i + 1;
        }
    }
    return FOL_OK;
}

static void *copy_of(const void *from, size_t count, size_t size)
{
    void *made = fol_alloc_array(count, size);
    if (made != NULL && count > 0) {
        memcpy(made, from, count * size);
    }
    return made;
}

static int take_memory(fol_sim_graph *graph, const fol_sim_graph_spec *spec)
{
    size_t count = spec->count;
    size_t edges = (size_t)spec->first[count];
    graph->costs = copy_of(spec->costs, count, sizeof(int64_t));
    graph->before.first = copy_of(spec->first, count + 1, sizeof(uint64_t));
    graph->before.ends = copy_of(spec->predecessors, edges, sizeof(uint32_t));
    graph->after.first = fol_alloc_zeroed(count + 1, sizeof(uint64_t));
    graph->after.ends = fol_alloc_array(edges, sizeof(uint32_t));
    graph->order = fol_alloc_array(count, sizeof(uint32_t));
    graph->upward = fol_alloc_array(count, sizeof(int64_t));
    bool has_lanes = spec->lanes != NULL && spec->lane_count > 0;
    graph->lanes = has_lanes ? copy_of(spec->lanes, count, sizeof(uint32_t)) : NULL;
    bool is_whole = graph->costs != NULL && graph->before.first != NULL &&
                    graph->before.ends != NULL && graph->after.first != NULL &&
                    graph->after.ends != NULL && graph->order != NULL && graph->upward != NULL &&
                    (graph->lanes != NULL || !has_lanes);
    return is_whole ? FOL_OK : -ENOMEM;
}

/* Rows of successors: counted, summed up, then filled by rising task. */
static void turn_edges(fol_sim_graph *graph)
{
    const fol_graph_edges *before = &graph->before;
    uint64_t *first = graph->after.first;
    uint64_t edges = before->first[graph->count];
    for (uint64_t k = 0; k < edges; k++) {
        first[before->ends[k] + 1]++;
    }
    for (uint32_t i = 0; i < graph->count; i++) {
        first[i + 1] += first[i];
    }
    for (uint32_t i = 0; i < graph->count; i++) {
        for (uint64_t k = before->first[i]; k < before->first[i + 1]; k++) {
            graph->after.ends[first[before->ends[k]]++] = i;
        }
    }
    /* Each place has moved to the next row's beginning. */
    for (uint32_t i = graph->count; i > 0; i--) {
        first[i] = first[i - 1];
    }
    first[0] = 0;
}

/* Fills order; returns how many tasks could be placed. waits becomes what each still waits for. */
static uint32_t sort_tasks(fol_sim_graph *graph, uint32_t *waits)
{
    uint32_t placed = 0;
    for (uint32_t i = 0; i < graph->count; i++) {
        waits[i] = (uint32_t)fol_graph_degree(&graph->before, i);
        if (waits[i] == 0) {
            graph->order[placed++] = i;
        }
    }
    for (uint32_t next = 0; next < placed; next++) {
        uint32_t task = graph->order[next];
        for (uint64_t k = graph->after.first[task]; k < graph->after.first[task + 1]; k++) {
            uint32_t other = graph->after.ends[k];
            if (--waits[other] == 0) {
                graph->order[placed++] = other;
            }
        }
    }
    return placed;
}

static uint32_t first_waiting_before(const fol_sim_graph *graph, const uint32_t *waits,
                                     uint32_t task)
{
    for (uint64_t k = graph->before.first[task]; k < graph->before.first[task + 1]; k++) {
        if (waits[graph->before.ends[k]] > 0) {
            return graph->before.ends[k];
        }
    }
    FOL_ASSERT(!"a task that waits has somebody to wait for");
    return FOL_NO_TASK;
}

/* Walks against the edges for as many steps as there are tasks, which ends on a cycle; then round
 * it to find its lowest task, with which it is told, and once more to tell it. */
static int tell_cycle(const fol_sim_graph *graph, const uint32_t *waits, fol_sim_graph_fault *fault)
{
    uint32_t task = 0;
    while (waits[task] == 0) {
        task++;
    }
    for (uint32_t step = 0; step < graph->count; step++) {
        task = first_waiting_before(graph, waits, task);
    }
    uint32_t lowest = task;
    uint32_t length = 0;
    uint32_t at = task;
    do {
        at = first_waiting_before(graph, waits, at);
        lowest = at < lowest ? at : lowest;
        length++;
    } while (at != task);
    *fault = (fol_sim_graph_fault){.kind = FOL_GRAPH_FAULT_CYCLE,
                                   .task = lowest,
                                   .other = FOL_NO_TASK,
                                   .cycle_length = length};
    /* The walk sees the cycle backwards: its step k stands k places before the end. */
    at = lowest;
    for (uint32_t step = 0; step < length; step++) {
        uint32_t place = (length - step) % length;
        if (place < FOL_GRAPH_CYCLE_SHOWN) {
            fault->cycle[place] = at;
        }
        at = first_waiting_before(graph, waits, at);
    }
    return FOL_E_CYCLE;
}

/* Everything that follows from costs and order; the sums fit, for check_tasks has added them. */
static void measure(fol_sim_graph *graph)
{
    for (uint32_t place = graph->count; place > 0; place--) {
        uint32_t task = graph->order[place - 1];
        int64_t below = 0;
        for (uint64_t k = graph->after.first[task]; k < graph->after.first[task + 1]; k++) {
            int64_t other = graph->upward[graph->after.ends[k]];
            below = other > below ? other : below;
        }
        graph->upward[task] = graph->costs[task] + below;
        graph->work += graph->costs[task];
        if (graph->upward[task] > graph->critical_path) {
            graph->critical_path = graph->upward[task];
        }
    }
}

static int measure_lanes(fol_sim_graph *graph)
{
    if (graph->lanes == NULL) {
        return FOL_OK;
    }
    int64_t *sums = fol_alloc_zeroed(graph->lane_count, sizeof(int64_t));
    if (sums == NULL) {
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < graph->count; i++) {
        if (graph->lanes[i] != FOL_NO_LANE) {
            int64_t sum = sums[graph->lanes[i]] += graph->costs[i];
            graph->busiest_lane = sum > graph->busiest_lane ? sum : graph->busiest_lane;
        }
    }
    fol_free(sums);
    return FOL_OK;
}

int fol_sim_graph_create(const fol_sim_graph_spec *spec, fol_sim_graph **out,
                         fol_sim_graph_fault *fault)
{
    FOL_ASSERT(spec != NULL && out != NULL && fault != NULL);
    FOL_ASSERT(spec->first != NULL);
    *fault = (fol_sim_graph_fault){.kind = FOL_GRAPH_FAULT_NONE};
    int status = check_tasks(spec, fault);
    if (status != FOL_OK) {
        return status;
    }
    uint32_t *scratch = fol_alloc_zeroed(spec->count, sizeof(uint32_t));
    if (scratch == NULL) {
        return -ENOMEM;
    }
    status = check_edges(spec, scratch, fault);
    if (status != FOL_OK) {
        goto fail_scratch;
    }
    status = -ENOMEM;
    fol_sim_graph *graph = fol_alloc_zeroed(1, sizeof(*graph));
    if (graph == NULL) {
        goto fail_scratch;
    }
    graph->count = spec->count;
    graph->lane_count = spec->lane_count;
    status = take_memory(graph, spec);
    if (status != FOL_OK) {
        goto fail_graph;
    }
    turn_edges(graph);
    if (sort_tasks(graph, scratch) < graph->count) {
        status = tell_cycle(graph, scratch, fault);
        goto fail_graph;
    }
    measure(graph);
    status = measure_lanes(graph);
    if (status != FOL_OK) {
        goto fail_graph;
    }
    FOL_CHECK_INVARIANTS(fol_sim_graph_invariants(graph));
    fol_free(scratch);
    *out = graph;
    return FOL_OK;

fail_graph:
    fol_sim_graph_destroy(graph);
fail_scratch:
    fol_free(scratch);
    return status;
}

void fol_sim_graph_destroy(fol_sim_graph *graph)
{
    if (graph == NULL) {
        return;
    }
    fol_free(graph->costs);
    fol_free(graph->lanes);
    fol_free(graph->before.first);
    fol_free(graph->before.ends);
    fol_free(graph->after.first);
    fol_free(graph->after.ends);
    fol_free(graph->order);
    fol_free(graph->upward);
    fol_free(graph);
}

uint32_t fol_sim_graph_count(const fol_sim_graph *graph)
{
    return graph->count;
}

uint64_t fol_sim_graph_edges(const fol_sim_graph *graph)
{
    return graph->before.first[graph->count];
}

int64_t fol_sim_graph_work(const fol_sim_graph *graph)
{
    return graph->work;
}

int64_t fol_sim_graph_critical_path(const fol_sim_graph *graph)
{
    return graph->critical_path;
}

/* The lowest id among those of an upward rank that may come next; task FOL_NO_TASK: the entries. */
static uint32_t next_critical(const fol_sim_graph *graph, uint32_t task, int64_t upward)
{
    if (task != FOL_NO_TASK) {
        for (uint64_t k = graph->after.first[task]; k < graph->after.first[task + 1]; k++) {
            if (graph->upward[graph->after.ends[k]] == upward) {
                return graph->after.ends[k];
            }
        }
        return FOL_NO_TASK;
    }
    for (uint32_t i = 0; i < graph->count; i++) {
        if (fol_graph_degree(&graph->before, i) == 0 && graph->upward[i] == upward) {
            return i;
        }
    }
    return FOL_NO_TASK;
}

uint32_t fol_sim_graph_critical_tasks(const fol_sim_graph *graph, uint32_t *path)
{
    uint32_t length = 0;
    int64_t left = graph->critical_path;
    uint32_t task = next_critical(graph, FOL_NO_TASK, left);
    while (task != FOL_NO_TASK && length < graph->count) {
        path[length++] = task;
        left -= graph->costs[task];
        task = next_critical(graph, task, left);
    }
    return length;
}

int64_t fol_sim_graph_lower_bound(const fol_sim_graph *graph, uint32_t cpus)
{
    FOL_ASSERT(cpus > 0);
    int64_t bound = graph->work / cpus + (graph->work % cpus != 0 ? 1 : 0);
    bound = graph->critical_path > bound ? graph->critical_path : bound;
    return graph->busiest_lane > bound ? graph->busiest_lane : bound;
}

int64_t fol_sim_graph_cost(const fol_sim_graph *graph, uint32_t task)
{
    FOL_ASSERT(task < graph->count);
    return graph->costs[task];
}

uint32_t fol_sim_graph_lane(const fol_sim_graph *graph, uint32_t task)
{
    FOL_ASSERT(task < graph->count);
    return graph->lanes == NULL ? FOL_NO_LANE : graph->lanes[task];
}

const uint32_t *fol_sim_graph_predecessors(const fol_sim_graph *graph, uint32_t task,
                                           uint64_t *count)
{
    FOL_ASSERT(task < graph->count);
    *count = fol_graph_degree(&graph->before, task);
    return graph->before.ends + graph->before.first[task];
}

void fol_sim_graph_invariants(const fol_sim_graph *graph)
{
    FOL_ASSERT(graph->after.first[graph->count] == graph->before.first[graph->count]);
    FOL_ASSERT(graph->critical_path <= graph->work && graph->busiest_lane <= graph->work);
    for (uint32_t place = 0; place < graph->count; place++) {
        uint32_t task = graph->order[place];
        FOL_ASSERT(task < graph->count);
        int64_t below = 0;
        for (uint64_t k = graph->after.first[task]; k < graph->after.first[task + 1]; k++) {
            uint32_t other = graph->after.ends[k];
            FOL_ASSERT(k == graph->after.first[task] || graph->after.ends[k - 1] < other);
            below = graph->upward[other] > below ? graph->upward[other] : below;
        }
        FOL_ASSERT(graph->upward[task] == graph->costs[task] + below);
    }
}
