/* The nodes of a governed segment: released when their predecessors have ended, and ended. All of
 * it under the governor's lock. */

#include "backend/governed_state.h"
#include "foliot/status.h"

static bool context_is_gone(const fol_governor *governor, uint64_t context)
{
    fol_context_stats stats;
    return context != 0 &&
           fol_dispatcher_context_stats(governor->dispatcher, context, &stats) == FOL_E_STALE;
}

static uint32_t lane_of(const fol_governor *governor, const fol_governed_node *node, uint32_t i)
{
    FOL_ASSERT(i < node->count);
    return governor->governed->lanes[node->first + i];
}

static void use_lane(fol_governor *governor, fol_lane_job *lane, uint32_t index)
{
    governor->leftovers -= lane->has_job && !lane->is_used;
    lane->node = index;
    lane->is_used = true;
}

/* A job of the lane for the node. One that an interrupt left in the dispatcher goes on instead. */
static fol_release release_lane(fol_governor *governor, uint32_t id, uint32_t index)
{
    const fol_governed_node *node = &governor->nodes[index];
    const fol_governed_calls *calls = &governor->calls;
    fol_lane_job *lane = &governor->lanes[id];
    use_lane(governor, lane, index);
    if (lane->has_job && context_is_gone(governor, node->context)) {
        lane->has_job = false;
        return FOL_RELEASE_DEAD;
    }
    if (lane->has_job) {
        return FOL_RELEASE_TAKEN;
    }
    const fol_job_options job = {.release = governor->release,
                                 .deadline = FOL_TIME_NEVER,
                                 .expected = calls->expected_ns(calls->state, index)};
    fol_release release = fol_dispatcher_release(governor->dispatcher, id, &job, governor->now);
    lane->has_job = release == FOL_RELEASE_TAKEN;
    return release;
}

/* Everything a node may begin with is there. */
static void release_node(fol_governor *governor, uint32_t index, uint32_t worker)
{
    const fol_governed_calls *calls = &governor->calls;
    const fol_work_calls *work = &governor->backend->calls;
    fol_governed_node *node = &governor->nodes[index];
    if (!calls->is_due(calls->state, index)) {
        uint32_t pieces = work->begin_node(work->state, index, worker);
        FOL_ASSERT(pieces == 0);
        fol_governed_finish(governor, index);
        return;
    }
    fol_release release = node->is_gone ? FOL_RELEASE_DEAD
                                        : release_lane(governor, lane_of(governor, node, 0), index);
    node->state = FOL_NODE_READY;
    if (release != FOL_RELEASE_TAKEN) {
        fol_governed_end why = release == FOL_RELEASE_DENIED    ? FOL_GOVERNED_DENIED
                               : release == FOL_RELEASE_SKIPPED ? FOL_GOVERNED_SKIPPED
                                                                : FOL_GOVERNED_GONE;
        calls->drop(calls->state, index, worker, 0, false, why);
        fol_governed_finish(governor, index);
    }
}

/* Each node enters the queue once in a segment, so this ends. */
void fol_governed_release_queued(fol_governor *governor, uint32_t worker)
{
    while (governor->queue_head < governor->queue_tail) {
        release_node(governor, governor->queue[governor->queue_head++], worker);
    }
}

static void put(fol_governor *governor, uint32_t index)
{
    FOL_ASSERT(governor->queue_tail < governor->capacity);
    governor->queue[governor->queue_tail++] = index;
}

void fol_governed_begin_segment(fol_governor *governor, uint32_t segment)
{
    const fol_work *work = governor->work;
    uint32_t first = segment == 0 ? 0 : work->segment_ends[segment - 1];
    uint32_t end = work->segment_ends[segment];
    governor->segment_first = first;
    governor->segment_end = end;
    governor->left = end - first;
    governor->queue_head = 0;
    governor->queue_tail = 0;
    for (uint32_t i = first; i < end; i++) {
        governor->nodes[i].state = FOL_NODE_WAITS;
        governor->nodes[i].waits_for = 0;
        governor->nodes[i].running = 0;
    }
    for (uint32_t k = work->successor_starts[first]; k < work->successor_starts[end]; k++) {
        governor->nodes[work->successors[k]].waits_for++;
    }
    for (uint32_t i = first; i < end; i++) {
        if (governor->nodes[i].waits_for == 0) {
            put(governor, i);
        }
    }
    fol_governed_release_queued(governor, 0);
}

void fol_governed_leave_lanes(fol_governor *governor, fol_governed_node *node)
{
    for (uint32_t i = 0; i < node->count; i++) {
        fol_lane_job *lane = &governor->lanes[lane_of(governor, node, i)];
        governor->leftovers += lane->has_job && lane->is_used;
        lane->is_used = false;
    }
}

void fol_governed_finish(fol_governor *governor, uint32_t index)
{
    const fol_work *work = governor->work;
    fol_governed_node *node = &governor->nodes[index];
    FOL_ASSERT(node->state != FOL_NODE_ENDED && governor->left > 0);
    fol_governed_leave_lanes(governor, node);
    node->state = FOL_NODE_ENDED;
    governor->left--;
    for (uint32_t k = work->successor_starts[index]; k < work->successor_starts[index + 1]; k++) {
        fol_governed_node *next = &governor->nodes[work->successors[k]];
        FOL_ASSERT(next->waits_for > 0);
        next->waits_for--;
        if (next->waits_for == 0) {
            put(governor, work->successors[k]);
        }
    }
    if (governor->left == 0) {
        fol_governor_wake_all(governor);
    }
}

void fol_governed_call_lanes(fol_governor *governor, uint32_t index)
{
    const fol_governed_node *node = &governor->nodes[index];
    uint32_t most = node->pieces < node->count ? node->pieces : node->count;
    for (uint32_t i = 1; i < most; i++) {
        /* One that is not admitted does not help. */
        (void)release_lane(governor, lane_of(governor, node, i), index);
    }
}

static bool may_end_here(const fol_governed_node *node)
{
    return (node->state == FOL_NODE_READY || node->state == FOL_NODE_BEGUN) && node->running == 0;
}

/* The frame is interrupted, so neither a node nor a piece does more than note that. */
static void end_interrupted(fol_governor *governor, uint32_t index, uint32_t worker)
{
    const fol_work_calls *work = &governor->backend->calls;
    fol_governed_node *node = &governor->nodes[index];
    if (node->state == FOL_NODE_READY) {
        uint32_t pieces = work->begin_node(work->state, index, worker);
        FOL_ASSERT(pieces == 0);
    } else {
        for (; node->next_piece < node->pieces; node->next_piece++) {
            work->run_piece(work->state, index, node->next_piece, worker);
        }
        work->end_node(work->state, index, worker);
    }
    fol_governed_finish(governor, index);
}

void fol_governed_give_up(fol_governor *governor, uint32_t worker)
{
    /* Edges rise, so one walk meets every node after those it waits for. */
    for (uint32_t i = governor->segment_first; i < governor->segment_end; i++) {
        fol_governed_release_queued(governor, worker);
        if (may_end_here(&governor->nodes[i])) {
            end_interrupted(governor, i, worker);
        }
    }
    fol_governed_release_queued(governor, worker);
}

static void drop(fol_governor *governor, uint32_t index, uint32_t worker, fol_governed_end why)
{
    const fol_governed_calls *calls = &governor->calls;
    const fol_governed_node *node = &governor->nodes[index];
    bool has_begun = node->state == FOL_NODE_BEGUN;
    calls->drop(calls->state, index, worker, has_begun ? node->pieces : 0, has_begun, why);
    for (uint32_t i = 0; i < node->count; i++) {
        governor->lanes[lane_of(governor, node, i)].has_job = false;
    }
    fol_governed_finish(governor, index);
}

void fol_governed_cull(fol_governor *governor, uint32_t worker)
{
    governor->has_gone = false;
    for (uint32_t i = governor->segment_first; i < governor->segment_end; i++) {
        if (may_end_here(&governor->nodes[i]) &&
            context_is_gone(governor, governor->nodes[i].context)) {
            drop(governor, i, worker, FOL_GOVERNED_GONE);
        }
    }
    fol_governed_release_queued(governor, worker);
}

void fol_governed_drop(fol_governor *governor, uint32_t index, uint32_t worker, uint32_t runnable)
{
    fol_decision last;
    fol_governed_end why = FOL_GOVERNED_GONE;
    if (fol_dispatcher_last(governor->dispatcher, runnable, &last)) {
        why = last.kind == FOL_DECISION_SKIP   ? FOL_GOVERNED_SKIPPED
              : last.kind == FOL_DECISION_KILL ? FOL_GOVERNED_KILLED
                                               : FOL_GOVERNED_GONE;
    }
    /* Others may wait with the context that went. */
    governor->has_gone = governor->has_gone || why != FOL_GOVERNED_SKIPPED;
    drop(governor, index, worker, why);
}

void fol_governed_drain(fol_governor *governor)
{
    fol_grant grant;
    while (governor->leftovers > 0 &&
           fol_dispatcher_pick(governor->dispatcher, 0, governor->now, &grant)) {
        fol_lane_job *lane = &governor->lanes[grant.runnable];
        FOL_ASSERT(lane->has_job && !lane->is_used);
        fol_dispatcher_ran(governor->dispatcher, 0, 0, governor->now, FOL_POINT_FAILED, &grant);
        lane->has_job = false;
        governor->leftovers--;
    }
}
