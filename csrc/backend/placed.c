/* A phase that runs on the caller or on all workers; see placed.h. */

#include "backend/placed.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/cycles.h"
#include "base/memory.h"
#include "foliot/status.h"

#define LEAST_GAIN_US 1.0
/* Runs between two looks at the costs in the long run, and their share of the time at most. */
#define REFRESH_RUNS  256u
#define REFRESH_SHARE 256.0
/* The least runs between two looks without a choice, which has no trials to see a change by. */
#define IN_ORDER_RUNS 16u

static bool has_successor(const fol_work *work, uint32_t node, uint32_t wanted)
{
    for (uint32_t i = work->successor_starts[node]; i < work->successor_starts[node + 1]; i++) {
        if (work->successors[i] == wanted) {
            return true;
        }
    }
    return false;
}

/* Two nodes of a segment can overlap unless all take turns in the lane, or each is a predecessor of
 * the next: in a running order, that is what it is to be ordered throughout. */
static bool segment_has_overlap(const fol_work *work, uint32_t first, uint32_t end)
{
    bool is_chain = true;
    bool is_all_lane = true;
    for (uint32_t node = first; node < end; node++) {
        is_all_lane = is_all_lane && work->in_lane[node] == FOL_LANE_NODE;
        is_chain = is_chain && (node + 1 == end || has_successor(work, node, node + 1));
    }
    return !is_chain && !is_all_lane;
}

int fol_placed_init(fol_placed *placed, const fol_backend *backend, const fol_crew *crew,
                    const fol_work *work)
{
    *placed = (fol_placed){.next_refresh = 1};
    placed->costs = fol_alloc_zeroed(work->node_count, sizeof(*placed->costs));
    placed->has_overlap = fol_alloc_zeroed(work->segment_count, 1);
    placed->has_cuts = fol_alloc_zeroed(work->segment_count, 1);
    if (placed->costs == NULL || placed->has_overlap == NULL || placed->has_cuts == NULL) {
        fol_placed_deinit(placed);
        return -ENOMEM;
    }
    uint32_t first = 0;
    for (uint32_t s = 0; s < work->segment_count; s++) {
        placed->has_overlap[s] = segment_has_overlap(work, first, work->segment_ends[s]);
        placed->has_cuts[s] = work->segment_ends[s] > first;
        first = work->segment_ends[s];
    }
    fol_placement_init(&placed->placement, backend->workers, work->node_count > 0,
                       LEAST_GAIN_US * crew->cycles_a_microsecond);
    return FOL_OK;
}

void fol_placed_deinit(fol_placed *placed)
{
    fol_free(placed->costs);
    fol_free(placed->has_overlap);
    fol_free(placed->has_cuts);
    fol_free(placed->kept);
}

int fol_placed_keep(fol_placed *placed, uint32_t count)
{
    FOL_ASSERT(placed->kept == NULL);
    placed->kept = fol_alloc_zeroed(count, sizeof(*placed->kept));
    placed->kept_count = placed->kept == NULL ? 0 : count;
    return placed->kept == NULL ? -ENOMEM : FOL_OK;
}

void fol_placed_set_load(fol_placed *placed, uint64_t load, uint32_t slot)
{
    if (FOL_LIKELY(placed->load == load)) {
        return;
    }
    const fol_placement *now = &placed->placement;
    bool is_found = now->reason != FOL_PLACEMENT_UNKNOWN &&
                    (now->state == FOL_PLACEMENT_SERIAL || now->state == FOL_PLACEMENT_PARALLEL);
    if (placed->load != 0 && is_found) {
        placed->kept[placed->slot] = (fol_placed_kept){.load = placed->load, .placement = *now};
    }
    placed->load = load;
    if (load == 0) {
        return;
    }
    FOL_ASSERT(slot < placed->kept_count);
    placed->slot = slot;
    if (placed->kept[slot].load == load) {
        placed->placement = placed->kept[slot].placement;
    }
}

/* Asks for the costs of all nodes; returns their sum. */
static double ask_costs(fol_placed *placed, const fol_backend *backend, const fol_work *work)
{
    const fol_work_calls *calls = &backend->calls;
    double sum = 0.0;
    bool has_parallelism = false;
    uint32_t node = 0;
    for (uint32_t s = 0; s < work->segment_count; s++) {
        bool has_cuts = false;
        for (; node < work->segment_ends[s]; node++) {
            uint32_t pieces = 1;
            double cost = calls->node_cost(calls->state, node, &pieces);
            uint32_t shares = pieces < backend->workers ? pieces : backend->workers;
            sum += cost;
            placed->costs[node] = shares > 1 ? cost / shares : cost;
            has_cuts = has_cuts || pieces > 1;
        }
        placed->has_cuts[s] = has_cuts;
        has_parallelism = has_parallelism || fol_placed_is_parallel(placed, s);
    }
    placed->placement.has_parallelism = has_parallelism;
    return sum;
}

/* Costs, when they are due again. */
static double refresh(fol_placed *placed, fol_backend *backend, const fol_work *work, double wall,
                      fol_placed_use_costs *use_costs, double *span)
{
    if (placed->runs < placed->next_refresh || backend->calls.node_cost == NULL) {
        return 0.0;
    }
    uint64_t start = fol_cycles_now();
    double sum = ask_costs(placed, backend, work);
    *span = use_costs(backend, work);
    double taken = (double)(fol_cycles_now() - start);
    double runs = wall > 0.0 ? taken * REFRESH_SHARE / wall : 0.0;
    runs = runs < REFRESH_RUNS ? REFRESH_RUNS : runs > 1e6 ? 1e6 : runs;
    placed->next_refresh =
        placed->runs < REFRESH_RUNS ? placed->runs * 2 : placed->runs + (uint64_t)runs;
    return sum;
}

void fol_placed_run_phase(fol_placed *placed, fol_backend *backend, const fol_work *work,
                          fol_placed_run *run, fol_placed_use_costs *use_costs)
{
    const fol_work_calls *calls = &backend->calls;
    FOL_ASSERT(backend->workers > 1);
    if (!placed->placement.has_parallelism && placed->runs < placed->next_refresh) {
        /* There is no choice, so nothing has to be learnt for one. */
        fol_backend_run_in_order(backend, work);
        backend->serial_runs++;
        placed->runs++;
        return;
    }
    bool is_parallel = fol_placement_choose(&placed->placement, fol_team_is_hot(backend->team));
    uint64_t start = fol_cycles_now();
    if (is_parallel) {
        if (calls->begin_parallel != NULL) {
            calls->begin_parallel(calls->state);
        }
        run(backend, work);
        if (calls->end_parallel != NULL) {
            calls->end_parallel(calls->state);
        }
        backend->parallel_runs++;
    } else {
        fol_backend_run_in_order(backend, work);
        backend->serial_runs++;
    }
    uint64_t end = fol_cycles_now();
    double wall = end > start ? (double)(end - start) : 0.0;
    placed->runs++;
    double span = 0.0;
    double sum = refresh(placed, backend, work, wall, use_costs, &span);
    fol_placement_learn(&placed->placement, wall, sum, span);
}

void fol_placed_run_in_order(fol_placed *placed, fol_backend *backend, const fol_work *work,
                             uint64_t epoch, fol_placed_use_costs *use_costs)
{
    placed->runs++;
    backend->serial_runs++;
    if (FOL_LIKELY(placed->runs < placed->next_refresh && placed->epoch == epoch)) {
        fol_backend_run_in_order(backend, work);
        return;
    }
    uint64_t start = fol_cycles_now();
    fol_backend_run_in_order(backend, work);
    uint64_t end = fol_cycles_now();
    placed->epoch = epoch;
    if (backend->calls.node_cost == NULL) {
        placed->next_refresh = UINT64_MAX;
        return;
    }
    double sum = ask_costs(placed, backend, work);
    double span = use_costs(backend, work);
    double taken = (double)(fol_cycles_now() - end);
    double runs = end > start ? taken * REFRESH_SHARE / (double)(end - start) : 0.0;
    runs = runs < IN_ORDER_RUNS ? IN_ORDER_RUNS : runs > 1e6 ? 1e6 : runs;
    placed->next_refresh =
        placed->runs < IN_ORDER_RUNS ? placed->runs * 2 : placed->runs + (uint64_t)runs;
    if (sum > 0.0) {
        placed->placement.work = sum;
        placed->placement.span = span;
    }
}

size_t fol_placed_explain(const fol_placed *placed, const char *name, double ns_per_cycle,
                          char *out, size_t room)
{
    int length = snprintf(out, room, "the %s backend ran it ", name);
    size_t used = length < 0 ? 0 : (size_t)length;
    size_t left = used < room ? room - used : 0;
    if (placed == NULL) {
        length = snprintf(left == 0 ? NULL : out + used, left,
                          "on the caller: there is no other worker");
        return used + (length < 0 ? 0 : (size_t)length);
    }
    return used + fol_placement_explain(&placed->placement, ns_per_cycle,
                                        left == 0 ? NULL : out + used, left);
}
