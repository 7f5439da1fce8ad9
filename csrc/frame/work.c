/* A phase as a backend sees it: segments, the plan's graph inside of them, stages, and the lane.
 *
 * Nodes are numbered by their places in the phase's running order. An edge between two segments
 * says no more than the merge between them does, so only those inside of one are kept; as segments
 * rise along edges, no way through the graph leaves a segment and comes back.
 */

#include <errno.h>

#include "base/assert.h"
#include "foliot/status.h"
#include "frame/frame.h"

static const uint32_t *running_order(const fol_plan *plan, const fol_phase *phase)
{
    return fol_plan_running_order(plan) + phase->first;
}

static int cut_segments(fol_phase *phase, const fol_plan *plan, uint32_t index)
{
    uint32_t segments = fol_plan_segment_count(plan, index);
    phase->work.segment_count = segments == 0 ? 1 : segments;
    phase->segment_ends = fol_alloc_zeroed(phase->work.segment_count, sizeof(*phase->segment_ends));
    if (phase->segment_ends == NULL) {
        return -ENOMEM;
    }
    const uint32_t *order = running_order(plan, phase);
    for (uint32_t i = 0; i < phase->count; i++) {
        phase->segment_ends[fol_plan_system_segment(plan, order[i])]++;
    }
    for (uint32_t segment = 1; segment < phase->work.segment_count; segment++) {
        phase->segment_ends[segment] += phase->segment_ends[segment - 1];
    }
    FOL_ASSERT(phase->segment_ends[phase->work.segment_count - 1] == phase->count);
    return FOL_OK;
}

/* The successors of the i-th node in its segment; `out` NULL counts them. */
static uint32_t list_successors(const fol_plan *plan, const fol_phase *phase,
                                const uint32_t *index_of, uint32_t i, uint32_t *out)
{
    uint32_t system = running_order(plan, phase)[i];
    size_t count;
    const uint32_t *successors = fol_plan_successors(plan, system, &count);
    uint32_t kept = 0;
    for (size_t k = 0; k < count; k++) {
        uint32_t next = successors[k];
        if (fol_plan_system_phase(plan, next) == fol_plan_system_phase(plan, system) &&
            fol_plan_system_segment(plan, next) == fol_plan_system_segment(plan, system)) {
            FOL_ASSERT(index_of[next] > i && index_of[next] < phase->count);
            if (out != NULL) {
                out[kept] = index_of[next];
            }
            kept++;
        }
    }
    return kept;
}

static int draw_graph(fol_phase *phase, const fol_plan *plan)
{
    int status = -ENOMEM;
    uint32_t edges = 0;
    const uint32_t *order = running_order(plan, phase);
    uint32_t *index_of = fol_alloc_zeroed(fol_plan_system_count(plan), sizeof(*index_of));
    phase->successor_starts =
        fol_alloc_zeroed((size_t)phase->count + 1, sizeof(*phase->successor_starts));
    if (index_of == NULL || phase->successor_starts == NULL) {
        goto done;
    }
    for (uint32_t i = 0; i < phase->count; i++) {
        index_of[order[i]] = i;
    }
    for (uint32_t i = 0; i < phase->count; i++) {
        phase->successor_starts[i] = edges;
        edges += list_successors(plan, phase, index_of, i, NULL);
    }
    phase->successor_starts[phase->count] = edges;
    phase->successors = fol_alloc_array(edges, sizeof(*phase->successors));
    if (phase->successors == NULL) {
        goto done;
    }
    for (uint32_t i = 0; i < phase->count; i++) {
        list_successors(plan, phase, index_of, i, phase->successors + phase->successor_starts[i]);
    }
    status = FOL_OK;
done:
    fol_free(index_of);
    return status;
}

/* A system that does not need the host itself is in the lane for its condition alone. */
static fol_lane_use lane_use(const fol_system *system)
{
    bool asks_host = system->condition != NULL && system->condition_needs_host;
    if (!system->in_lane) {
        return FOL_LANE_NOTHING;
    }
    return system->needs_host ? FOL_LANE_NODE : asks_host ? FOL_LANE_BEGIN : FOL_LANE_NOTHING;
}

static int note_nodes(fol_phase *phase, const fol_plan *plan, const fol_system *systems)
{
    const uint32_t *order = running_order(plan, phase);
    phase->stages = fol_alloc_array(phase->count, sizeof(*phase->stages));
    phase->in_lane = fol_alloc_array(phase->count, sizeof(*phase->in_lane));
    if (phase->stages == NULL || phase->in_lane == NULL) {
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < phase->count; i++) {
        phase->stages[i] = fol_plan_system_stage(plan, order[i]);
        phase->in_lane[i] = (uint8_t)lane_use(&systems[order[i]]);
    }
    return FOL_OK;
}

int fol_phase_init(fol_phase *phase, const fol_plan *plan, uint32_t index,
                   const fol_phase_rate *rate, const fol_system *systems)
{
    fol_plan_phase_range(plan, index, &phase->first, &phase->count);
    phase->rate = *rate;
    int status = cut_segments(phase, plan, index);
    if (status == FOL_OK) {
        status = draw_graph(phase, plan);
    }
    if (status == FOL_OK) {
        status = note_nodes(phase, plan, systems);
    }
    phase->work.node_count = phase->count;
    phase->work.segment_ends = phase->segment_ends;
    phase->work.successor_starts = phase->successor_starts;
    phase->work.successors = phase->successors;
    phase->work.stages = phase->stages;
    phase->work.in_lane = phase->in_lane;
    return status;
}

void fol_phase_deinit(fol_phase *phase)
{
    fol_free(phase->segment_ends);
    fol_free(phase->successor_starts);
    fol_free(phase->successors);
    fol_free(phase->stages);
    fol_free(phase->in_lane);
}
