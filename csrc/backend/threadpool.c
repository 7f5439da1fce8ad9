/* The threadpool backend: one queue that all workers share, and a barrier after every stage.
 *
 * The jobs of a stage go into the team's injector, the costliest first; the caller runs the stage's
 * nodes of the lane one after another, and then what is left with everybody else. A node that is
 * cut goes into the queue again for others to join in its pieces, which they take from a shared
 * counter in rising order.
 *
 * The end of a stage: `left` counts the jobs in the queue or running, copies of nodes that are cut
 * included. A job counts itself down after its last call, and a copy is counted before it is
 * queued, by a job that is not counted down yet. So at 0 nobody is inside of a call.
 */

#include <assert.h>
#include <errno.h>
#include <stddef.h>

#include "backend/backend.h"
#include "backend/crew.h"
#include "backend/placed.h"
#include "base/assert.h"
#include "base/memory.h"
#include "exec/urgency.h"
#include "foliot/status.h"

typedef struct pool_phase pool_phase;

/* A node as a job: a cache line. */
typedef struct pool_node {
    _Alignas(FOL_CACHE_LINE) fol_job job;
    pool_phase *phase;
    uint32_t index;
    uint32_t piece_count; /* 0 until begin has said that it is cut */
    _Atomic uint32_t next_piece;
    _Atomic uint32_t pieces_left; /* that have not ended */
} pool_node;
static_assert(sizeof(pool_node) == FOL_CACHE_LINE, "a node is a cache line");

struct pool_phase {
    _Alignas(FOL_CACHE_LINE) fol_placed placed;
    _Alignas(FOL_CACHE_LINE) fol_latch left; /* jobs of the running stage */
    _Alignas(FOL_CACHE_LINE) fol_backend *backend;
    pool_node *nodes;
    uint32_t *order;      /* nodes, stage by stage, the costliest first */
    uint32_t *stage_ends; /* in order */
    uint32_t *segment_of_stage;
    uint32_t stage_count;
};

static int pool_init(fol_backend *backend, const fol_backend_config *config)
{
    fol_crew *crew = fol_alloc_zeroed(1, sizeof(*crew));
    if (crew == NULL) {
        return -ENOMEM;
    }
    int status = fol_crew_init(crew, backend, config, (fol_team_source){0});
    if (status != FOL_OK) {
        fol_free(crew);
        return status;
    }
    backend->state = crew;
    return FOL_OK;
}

static void pool_deinit(fol_backend *backend)
{
    fol_crew_deinit(backend->state);
    fol_free(backend->state);
}

static uint32_t fewer(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* Queues the node `copies` times; returns how many fitted. */
static uint32_t queue_copies(pool_node *node, uint32_t copies)
{
    pool_phase *phase = node->phase;
    uint32_t queued = 0;
    /* Relaxed: the queue publishes it, and the job or caller that counts here holds the stage. */
    atomic_fetch_add_explicit(&phase->left.count, copies, memory_order_relaxed);
    while (queued < copies && fol_team_inject(phase->backend->team, &node->job)) {
        queued++;
    }
    if (queued < copies) {
        fol_latch_count_down(&phase->left, phase->backend->team, copies - queued);
    }
    return queued;
}

static void cut(pool_node *node, uint32_t pieces)
{
    node->piece_count = pieces;
    atomic_store_explicit(&node->next_piece, 0, memory_order_relaxed);
    atomic_store_explicit(&node->pieces_left, pieces, memory_order_relaxed);
}

/* Takes pieces while there are any, and ends the node after its last one. */
static void run_pieces(pool_node *node, uint32_t place)
{
    const fol_work_calls *calls = &node->phase->backend->calls;
    uint32_t count = node->piece_count;
    uint32_t done = 0;
    for (;;) {
        uint32_t piece = atomic_fetch_add_explicit(&node->next_piece, 1, memory_order_relaxed);
        if (piece >= count) {
            break;
        }
        calls->run_piece(calls->state, node->index, piece, place);
        done++;
    }
    /* Release pairs with the acquire of whoever ends the last piece. */
    if (done > 0 &&
        atomic_fetch_sub_explicit(&node->pieces_left, done, memory_order_acq_rel) == done) {
        calls->end_node(calls->state, node->index, place);
    }
}

/* Runs a node that has not begun, and calls others to its pieces. */
static void run_whole(pool_node *node, uint32_t place)
{
    const fol_backend *backend = node->phase->backend;
    const fol_work_calls *calls = &backend->calls;
    uint32_t pieces = calls->begin_node(calls->state, node->index, place);
    if (pieces == 0) {
        return;
    }
    cut(node, pieces);
    if (pieces > 1) {
        (void)queue_copies(node, fewer(pieces, backend->workers) - 1);
    }
    run_pieces(node, place);
}

static void release_host(const fol_backend *backend, uint32_t place)
{
    if (backend->calls.release_host != NULL) {
        backend->calls.release_host(backend->calls.state, place);
    }
}

static void run_job(fol_job *job, fol_worker *worker)
{
    pool_node *node = (pool_node *)job;
    pool_phase *phase = node->phase;
    fol_team *team = phase->backend->team;
    uint32_t place = fol_worker_place(worker);
    if (node->piece_count == 0) {
        run_whole(node, place);
    } else {
        run_pieces(node, place);
    }
    release_host(phase->backend, place);
    fol_latch_count_down(&phase->left, team, 1);
}

/* The caller's turn through the lane's nodes of a stage. Their pieces go to everybody, or are run
 * here when the queue is full. */
static void run_lane(const pool_phase *phase, const fol_work *work, uint32_t first, uint32_t end)
{
    const fol_backend *backend = phase->backend;
    const fol_work_calls *calls = &backend->calls;
    for (uint32_t at = first; at < end; at++) {
        pool_node *node = &phase->nodes[phase->order[at]];
        if (work->in_lane[node->index] == 0) {
            continue;
        }
        uint32_t pieces = calls->begin_node(calls->state, node->index, 0);
        if (pieces == 0) {
            continue;
        }
        cut(node, pieces);
        if (queue_copies(node, fewer(pieces, backend->workers)) == 0) {
            run_pieces(node, 0);
        }
    }
}

static void run_stage(pool_phase *phase, const fol_work *work, uint32_t first, uint32_t end)
{
    fol_team *team = phase->backend->team;
    fol_worker *caller = fol_team_worker(team, 0);
    uint32_t count = 0;
    for (uint32_t at = first; at < end; at++) {
        phase->nodes[phase->order[at]].piece_count = 0;
        count += work->in_lane[phase->order[at]] == 0;
    }
    /* One more for the caller, until it has run the lane. Published by the queue. */
    atomic_store_explicit(&phase->left.count, count + 1, memory_order_relaxed);
    for (uint32_t at = first; at < end; at++) {
        pool_node *node = &phase->nodes[phase->order[at]];
        if (work->in_lane[node->index] == 0 && !fol_team_inject(team, &node->job)) {
            run_job(&node->job, caller);
        }
    }
    if (count < end - first) {
        run_lane(phase, work, first, end);
    }
    release_host(phase->backend, 0);
    fol_latch_count_down(&phase->left, team, 1);
    fol_worker_wait(caller, &phase->left);
}

static void run_on_workers(fol_backend *backend, const fol_work *work)
{
    const fol_work_calls *calls = &backend->calls;
    pool_phase *phase = work->prepared;
    uint32_t first = 0;
    uint32_t segment = 0;
    for (uint32_t s = 0; s < phase->stage_count; s++) {
        for (; segment < phase->segment_of_stage[s]; segment++) {
            calls->merge(calls->state, segment);
        }
        uint32_t end = phase->stage_ends[s];
        bool is_alone = end - first == 1 && phase->placed.has_cuts[segment] == 0;
        if (is_alone || !fol_placed_is_parallel(&phase->placed, segment)) {
            for (uint32_t at = first; at < end; at++) {
                calls->run_node(calls->state, phase->order[at], 0);
            }
        } else {
            run_stage(phase, work, first, end);
        }
        first = end;
    }
    for (; segment < work->segment_count; segment++) {
        calls->merge(calls->state, segment);
    }
}

/* The costliest first, and the sum over the stages of what each takes at least. */
static double use_costs(fol_backend *backend, const fol_work *work)
{
    pool_phase *phase = work->prepared;
    const double *costs = phase->placed.costs;
    double span = 0.0;
    uint32_t first = 0;
    for (uint32_t s = 0; s < phase->stage_count; s++) {
        uint32_t end = phase->stage_ends[s];
        double longest = 0.0;
        double lane = 0.0;
        double sum = 0.0;
        for (uint32_t at = first; at < end; at++) {
            uint32_t node = phase->order[at];
            longest = costs[node] > longest ? costs[node] : longest;
            lane += work->in_lane[node] == FOL_LANE_NODE ? costs[node] : 0.0;
            sum += costs[node];
        }
        double share = sum / backend->workers;
        longest = lane > longest ? lane : longest;
        span += share > longest ? share : longest;
        fol_sort_by_urgency(&phase->order[first], end - first, costs);
        first = end;
    }
    return span;
}

/* Groups nodes by stage. Stages rise with segments, so a stage lies in one segment. */
static void find_stages(pool_phase *phase, const fol_work *work)
{
    uint32_t *cursors = phase->stage_ends;
    uint32_t segment = 0;
    for (uint32_t node = 0; node < work->node_count; node++) {
        while (node >= work->segment_ends[segment]) {
            segment++;
        }
        cursors[work->stages[node]]++;
        phase->segment_of_stage[work->stages[node]] = segment;
    }
    uint32_t first = 0;
    for (uint32_t s = 0; s < phase->stage_count; s++) {
        uint32_t count = cursors[s];
        cursors[s] = first;
        first += count;
    }
    for (uint32_t node = 0; node < work->node_count; node++) {
        phase->order[cursors[work->stages[node]]++] = node;
    }
    /* A stage that no node has lies in the segment of the one before. */
    for (uint32_t s = 1; s < phase->stage_count; s++) {
        if (phase->stage_ends[s] == phase->stage_ends[s - 1]) {
            phase->segment_of_stage[s] = phase->segment_of_stage[s - 1];
        }
    }
}

static void pool_free(pool_phase *phase)
{
    fol_free(phase->nodes);
    fol_free(phase->order);
    fol_free(phase->stage_ends);
    fol_free(phase->segment_of_stage);
    fol_free(phase);
}

static int pool_prepare(fol_backend *backend, fol_work *work)
{
    work->prepared = NULL;
    if (backend->workers == 1) {
        return FOL_OK;
    }
    pool_phase *phase = fol_alloc_aligned(sizeof(*phase));
    if (phase == NULL) {
        return -ENOMEM;
    }
    *phase = (pool_phase){.backend = backend};
    fol_latch_init(&phase->left, 0);
    for (uint32_t i = 0; i < work->node_count; i++) {
        phase->stage_count =
            work->stages[i] >= phase->stage_count ? work->stages[i] + 1 : phase->stage_count;
    }
    phase->nodes = fol_alloc_aligned(work->node_count * sizeof(*phase->nodes));
    phase->order = fol_alloc_zeroed(work->node_count, sizeof(*phase->order));
    phase->stage_ends = fol_alloc_zeroed(phase->stage_count, sizeof(uint32_t));
    phase->segment_of_stage = fol_alloc_zeroed(phase->stage_count, sizeof(uint32_t));
    int status = -ENOMEM;
    if (phase->nodes == NULL || phase->order == NULL || phase->stage_ends == NULL ||
        phase->segment_of_stage == NULL) {
        goto fail;
    }
    status = fol_placed_init(&phase->placed, backend, backend->state, work);
    if (status != FOL_OK) {
        goto fail;
    }
    for (uint32_t i = 0; i < work->node_count; i++) {
        phase->nodes[i] = (pool_node){.job = {run_job}, .phase = phase, .index = i};
    }
    find_stages(phase, work);
    work->prepared = phase;
    return FOL_OK;

fail:
    pool_free(phase);
    return status;
}

static void pool_unprepare(fol_backend *backend, fol_work *work)
{
    (void)backend;
    pool_phase *phase = work->prepared;
    if (phase != NULL) {
        fol_placed_deinit(&phase->placed);
        pool_free(phase);
        work->prepared = NULL;
    }
}

static void pool_run(fol_backend *backend, const fol_work *work)
{
    pool_phase *phase = work->prepared;
    if (phase == NULL) {
        fol_backend_run_in_order(backend, work);
        backend->serial_runs++;
        return;
    }
    fol_placed_run_phase(&phase->placed, backend, work, run_on_workers, use_costs);
}

static size_t pool_explain(const fol_backend *backend, const fol_work *work, double ns_per_cycle,
                           char *out, size_t room)
{
    const pool_phase *phase = work->prepared;
    return fol_placed_explain(phase == NULL ? NULL : &phase->placed, backend->ops->name,
                              ns_per_cycle, out, room);
}

const fol_backend_ops fol_backend_threadpool = {.name = "threadpool",
                                                .init = pool_init,
                                                .deinit = pool_deinit,
                                                .prepare = pool_prepare,
                                                .unprepare = pool_unprepare,
                                                .run = pool_run,
                                                .explain = pool_explain};
