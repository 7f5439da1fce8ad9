/* A backend for tests: one thread that plays all workers, in an order drawn from a seed.
 *
 * It does what the contract of a backend allows and no more: a node begins when those before it in
 * the graph have ended, on any worker; its pieces run on any workers, and may overtake each other
 * by as many as there are workers; runs of a phase go parallel or not.
 */
#ifndef FOL_TESTS_SHUFFLE_BACKEND_H
#define FOL_TESTS_SHUFFLE_BACKEND_H

#include "check.h"
#include "draw.h"
#include "frame/frame.h"

#define SHUFFLED_MAX 64

typedef struct shuffled_node {
    uint32_t waits_for;
    bool has_begun;
    bool has_ended;
    uint32_t pieces;
    uint32_t next;   /* pieces below it have run */
    uint64_t beyond; /* bit i: piece next + i has run */
} shuffled_node;

static uint64_t shuffle_random;
static uint32_t shuffled_pieces; /* run in all, of nodes with two or more */

static uint32_t any_worker(const fol_backend *backend)
{
    return draw_below(&shuffle_random, backend->workers);
}

static void end_shuffled(const fol_backend *backend, const fol_work *work, shuffled_node *nodes,
                         uint32_t node)
{
    (void)backend;
    nodes[node].has_ended = true;
    for (uint32_t i = work->successor_starts[node]; i < work->successor_starts[node + 1]; i++) {
        nodes[work->successors[i]].waits_for--;
    }
}

static void run_shuffled_piece(const fol_backend *backend, shuffled_node *n, uint32_t node)
{
    uint32_t ahead = draw_below(&shuffle_random, backend->workers);
    if (n->next + ahead >= n->pieces || ((n->beyond >> ahead) & 1) != 0) {
        return;
    }
    backend->calls.run_piece(backend->calls.state, node, n->next + ahead, any_worker(backend));
    shuffled_pieces += n->pieces > 1;
    n->beyond |= UINT64_C(1) << ahead;
    while ((n->beyond & 1) != 0) {
        n->beyond >>= 1;
        n->next++;
    }
}

static void step_shuffled(const fol_backend *backend, const fol_work *work, shuffled_node *nodes,
                          uint32_t node)
{
    const fol_work_calls *calls = &backend->calls;
    shuffled_node *n = &nodes[node];
    if (n->has_ended || n->waits_for != 0) {
        return;
    }
    if (n->has_begun) {
        run_shuffled_piece(backend, n, node);
        if (n->next == n->pieces) {
            calls->end_node(calls->state, node, any_worker(backend));
            end_shuffled(backend, work, nodes, node);
        }
        return;
    }
    uint32_t worker = any_worker(backend);
    n->has_begun = true;
    if (draw_below(&shuffle_random, 5) == 0) {
        calls->run_node(calls->state, node, worker);
    } else {
        n->pieces = calls->begin_node(calls->state, node, worker);
    }
    calls->release_host(calls->state, worker);
    if (n->pieces == 0) {
        end_shuffled(backend, work, nodes, node);
    }
}

static void run_shuffled_segment(const fol_backend *backend, const fol_work *work,
                                 shuffled_node *nodes, uint32_t first, uint32_t end)
{
    uint32_t ended = first;
    while (ended < end) {
        step_shuffled(backend, work, nodes, first + draw_below(&shuffle_random, end - first));
        ended = first;
        while (ended < end && nodes[ended].has_ended) {
            ended++;
        }
        if (draw_below(&shuffle_random, 16) == 0) {
            backend->calls.poll(backend->calls.state);
        }
    }
}

static void shuffle_run(fol_backend *backend, const fol_work *work)
{
    const fol_work_calls *calls = &backend->calls;
    shuffled_node nodes[SHUFFLED_MAX];
    if (backend->workers == 1 || draw_below(&shuffle_random, 5) == 0) {
        fol_backend_run_in_order(backend, work);
        return;
    }
    FOL_ASSERT(work->node_count <= SHUFFLED_MAX);
    memset(nodes, 0, sizeof(nodes));
    for (uint32_t i = 0; i < work->successor_starts[work->node_count]; i++) {
        nodes[work->successors[i]].waits_for++;
    }
    calls->begin_parallel(calls->state);
    for (uint32_t s = 0; s < work->segment_count; s++) {
        run_shuffled_segment(backend, work, nodes, s == 0 ? 0 : work->segment_ends[s - 1],
                             work->segment_ends[s]);
        calls->merge(calls->state, s);
    }
    calls->end_parallel(calls->state);
}

static int shuffle_init(fol_backend *backend, const fol_backend_config *config)
{
    (void)backend;
    (void)config;
    return 0;
}

static void shuffle_deinit(fol_backend *backend)
{
    (void)backend;
}

static const fol_backend_ops shuffle_ops = {
    .name = "shuffle", .init = shuffle_init, .deinit = shuffle_deinit, .run = shuffle_run};

/* Gives a scheduler made with the blocking backend so many workers and this backend. */
static void use_shuffle(fol_scheduler *scheduler, uint32_t workers, uint64_t seed)
{
    fol_runners_destroy(scheduler);
    scheduler->backend.ops = &shuffle_ops;
    scheduler->backend.workers = workers;
    CHECK_EQ(fol_runners_create(scheduler), 0);
    shuffle_random = seed;
}

#endif
