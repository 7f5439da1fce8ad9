/* Random phases, and a runner that checks what a backend does with them.
 *
 * Every rule of backend.h is checked while the phase runs: each node and each piece exactly once,
 * nodes after what they depend on, one node of the lane at a time, pieces in rising order on each
 * worker, the end of a node after its pieces, merges alone and behind their segment, one thread a
 * worker number. Checks in worker threads only count faults, which the test reads at the end.
 */
#ifndef FOL_TESTS_BACKEND_FIXTURE_H
#define FOL_TESTS_BACKEND_FIXTURE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "backend/backend.h"
#include "check.h"

#define NODES_MAX    400u
#define SEGMENTS_MAX 6u
#define EDGES_MAX    20000u
#define PIECES_MAX   64u
#define PLACES_MAX   16u

/* Numbers from a seed: SplitMix64. */
static inline uint64_t draw(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t x = *state;
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static inline uint32_t draw_below(uint64_t *state, uint32_t limit)
{
    return (uint32_t)(draw(state) % limit);
}

typedef struct node_state {
    _Atomic uint32_t begun;
    _Atomic uint32_t ended;
    _Atomic uint32_t pieces_done;
    _Atomic uint64_t pieces_seen;
    uint32_t pieces; /* 0: begin does it all */
    uint32_t work;   /* rounds of a spin, each time */
    uint32_t segment;
} node_state;

typedef enum fault {
    FAULT_NODE_TWICE,
    FAULT_TOO_EARLY,
    FAULT_LANE_SHARED,
    FAULT_PIECE_TWICE,
    FAULT_PIECE_FELL,
    FAULT_PIECE_OF_OTHER,
    FAULT_END_EARLY,
    FAULT_MERGE_NOT_ALONE,
    FAULT_MERGE_ORDER,
    FAULT_WORKER_SHARED,
    FAULT_WORKER_NUMBER,
    FAULT_NOT_CALLER,
    FAULT_TURN_INSIDE,
    FAULTS,
} fault;

static const char *const fault_names[FAULTS] = {"a node ran twice",
                                                "a node ran before its predecessor",
                                                "two in the lane",
                                                "a piece ran twice",
                                                "pieces fell on one worker",
                                                "a piece without its node",
                                                "a node ended before its pieces",
                                                "a merge ran beside a node",
                                                "merges out of order",
                                                "two threads on one place",
                                                "a worker number too high",
                                                "not on the caller",
                                                "a turn inside of a node"};

/* A phase and what happens to it. */
typedef struct phase_case {
    uint64_t seed;
    fol_work work;
    uint32_t segment_ends[SEGMENTS_MAX];
    uint32_t starts[NODES_MAX + 1];
    uint32_t successors[EDGES_MAX];
    uint32_t predecessor_starts[NODES_MAX + 1];
    uint32_t predecessors[EDGES_MAX];
    uint32_t stages[NODES_MAX];
    uint8_t in_lane[NODES_MAX];
    node_state nodes[NODES_MAX];
    uint32_t workers;
    pthread_t caller;
    _Atomic uint32_t active;
    _Atomic uint32_t lane_users;
    _Atomic uint32_t merges;
    _Atomic uint32_t faults[FAULTS];
    _Atomic uint32_t on_place[PLACES_MAX];
    uint32_t last_node[PLACES_MAX]; /* and piece: of each place's own thread */
    uint32_t last_piece[PLACES_MAX];
    uint32_t parallel_depth;
    uint32_t turns;
    _Atomic uint64_t sink;
} phase_case;

static inline void count_fault(phase_case *c, fault which)
{
    atomic_fetch_add_explicit(&c->faults[which], 1, memory_order_relaxed);
}

static inline void enter_place(phase_case *c, uint32_t worker)
{
    atomic_fetch_add_explicit(&c->active, 1, memory_order_relaxed);
    if (worker >= c->workers) {
        count_fault(c, FAULT_WORKER_NUMBER);
        return;
    }
    if (atomic_exchange_explicit(&c->on_place[worker], 1, memory_order_acquire) != 0) {
        count_fault(c, FAULT_WORKER_SHARED);
    }
    if (worker == 0 && !pthread_equal(pthread_self(), c->caller)) {
        count_fault(c, FAULT_NOT_CALLER);
    }
}

static inline void leave_place(phase_case *c, uint32_t worker)
{
    if (worker < c->workers) {
        atomic_store_explicit(&c->on_place[worker], 0, memory_order_release);
    }
    atomic_fetch_sub_explicit(&c->active, 1, memory_order_relaxed);
}

static inline void spin(phase_case *c, uint32_t rounds)
{
    uint64_t x = rounds;
    for (uint32_t i = 0; i < rounds; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
    }
    if (x == 7) {
        atomic_fetch_add_explicit(&c->sink, 1, memory_order_relaxed);
    }
}

static inline void end_node(phase_case *c, uint32_t node)
{
    /* Release: who sees it ended sees all that came before. */
    atomic_fetch_add_explicit(&c->nodes[node].ended, 1, memory_order_release);
}

static inline void start_node(phase_case *c, uint32_t node)
{
    node_state *n = &c->nodes[node];
    if (atomic_fetch_add_explicit(&n->begun, 1, memory_order_relaxed) != 0) {
        count_fault(c, FAULT_NODE_TWICE);
    }
    for (uint32_t i = c->predecessor_starts[node]; i < c->predecessor_starts[node + 1]; i++) {
        if (atomic_load_explicit(&c->nodes[c->predecessors[i]].ended, memory_order_acquire) != 1) {
            count_fault(c, FAULT_TOO_EARLY);
        }
    }
    if (atomic_load_explicit(&c->merges, memory_order_acquire) != n->segment) {
        count_fault(c, FAULT_MERGE_ORDER);
    }
    if (c->in_lane[node] &&
        atomic_fetch_add_explicit(&c->lane_users, 1, memory_order_relaxed) != 0) {
        count_fault(c, FAULT_LANE_SHARED);
    }
    spin(c, n->work);
    if (c->in_lane[node]) {
        atomic_fetch_sub_explicit(&c->lane_users, 1, memory_order_relaxed);
    }
}

static inline void case_run_node(void *state, uint32_t node, uint32_t worker)
{
    phase_case *c = state;
    enter_place(c, worker);
    start_node(c, node);
    end_node(c, node);
    leave_place(c, worker);
}

static inline uint32_t case_begin_node(void *state, uint32_t node, uint32_t worker)
{
    phase_case *c = state;
    enter_place(c, worker);
    start_node(c, node);
    uint32_t pieces = c->nodes[node].pieces;
    if (pieces == 0) {
        end_node(c, node);
    }
    leave_place(c, worker);
    return pieces;
}

static inline void case_run_piece(void *state, uint32_t node, uint32_t piece, uint32_t worker)
{
    phase_case *c = state;
    node_state *n = &c->nodes[node];
    enter_place(c, worker);
    if (atomic_load_explicit(&n->begun, memory_order_relaxed) != 1 ||
        atomic_load_explicit(&n->ended, memory_order_relaxed) != 0 || piece >= n->pieces) {
        count_fault(c, FAULT_PIECE_OF_OTHER);
    }
    uint64_t bit = UINT64_C(1) << piece % 64;
    if ((atomic_fetch_or_explicit(&n->pieces_seen, bit, memory_order_relaxed) & bit) != 0) {
        count_fault(c, FAULT_PIECE_TWICE);
    }
    if (worker < c->workers) {
        if (c->last_node[worker] == node && c->last_piece[worker] >= piece) {
            count_fault(c, FAULT_PIECE_FELL);
        }
        c->last_node[worker] = node;
        c->last_piece[worker] = piece;
    }
    spin(c, n->work);
    atomic_fetch_add_explicit(&n->pieces_done, 1, memory_order_release);
    leave_place(c, worker);
}

static inline void case_end_node(void *state, uint32_t node, uint32_t worker)
{
    phase_case *c = state;
    node_state *n = &c->nodes[node];
    enter_place(c, worker);
    if (atomic_load_explicit(&n->pieces_done, memory_order_acquire) != n->pieces) {
        count_fault(c, FAULT_END_EARLY);
    }
    end_node(c, node);
    leave_place(c, worker);
}

static inline void case_merge(void *state, uint32_t segment)
{
    phase_case *c = state;
    if (atomic_load_explicit(&c->active, memory_order_relaxed) != 0) {
        count_fault(c, FAULT_MERGE_NOT_ALONE);
    }
    if (!pthread_equal(pthread_self(), c->caller)) {
        count_fault(c, FAULT_NOT_CALLER);
    }
    if (atomic_fetch_add_explicit(&c->merges, 1, memory_order_release) != segment) {
        count_fault(c, FAULT_MERGE_ORDER);
    }
    uint32_t first = segment == 0 ? 0 : c->segment_ends[segment - 1];
    for (uint32_t node = first; node < c->segment_ends[segment]; node++) {
        if (atomic_load_explicit(&c->nodes[node].ended, memory_order_relaxed) != 1) {
            count_fault(c, FAULT_MERGE_ORDER);
        }
    }
}

static inline void case_turn(void *state)
{
    phase_case *c = state;
    if (atomic_load_explicit(&c->active, memory_order_relaxed) != 0) {
        count_fault(c, FAULT_TURN_INSIDE);
    }
    if (!pthread_equal(pthread_self(), c->caller)) {
        count_fault(c, FAULT_NOT_CALLER);
    }
    c->turns++;
}

static inline void case_begin_parallel(void *state)
{
    phase_case *c = state;
    c->parallel_depth++;
}

static inline void case_end_parallel(void *state)
{
    phase_case *c = state;
    c->parallel_depth--;
}

static inline double case_node_cost(void *state, uint32_t node, uint32_t *pieces)
{
    const phase_case *c = state;
    *pieces = c->nodes[node].pieces;
    return 100.0 + c->nodes[node].work * 4.0 * (c->nodes[node].pieces + 1);
}

static inline fol_work_calls case_calls(phase_case *c)
{
    return (fol_work_calls){.state = c,
                            .run_node = case_run_node,
                            .begin_node = case_begin_node,
                            .run_piece = case_run_piece,
                            .end_node = case_end_node,
                            .merge = case_merge,
                            .turn = case_turn,
                            .begin_parallel = case_begin_parallel,
                            .end_parallel = case_end_parallel,
                            .node_cost = case_node_cost};
}

/* What random phases are like. */
typedef struct case_shape {
    uint32_t nodes;
    uint32_t segments;
    uint32_t edge_percent; /* of the pairs not too far apart */
    uint32_t lane_percent;
    uint32_t cut_percent;
    uint32_t work; /* rounds at most */
} case_shape;

static inline void case_draw_nodes(phase_case *c, const case_shape *shape, uint64_t *random)
{
    uint32_t segment = 0;
    for (uint32_t s = 0; s + 1 < shape->segments; s++) {
        c->segment_ends[s] = draw_below(random, shape->nodes + 1);
    }
    c->segment_ends[shape->segments - 1] = shape->nodes;
    for (uint32_t s = 1; s < shape->segments; s++) {
        for (uint32_t k = s; k > 0 && c->segment_ends[k - 1] > c->segment_ends[k]; k--) {
            uint32_t other = c->segment_ends[k];
            c->segment_ends[k] = c->segment_ends[k - 1];
            c->segment_ends[k - 1] = other;
        }
    }
    for (uint32_t i = 0; i < shape->nodes; i++) {
        while (i >= c->segment_ends[segment]) {
            segment++;
        }
        c->nodes[i].segment = segment;
        c->nodes[i].work = shape->work == 0 ? 0 : draw_below(random, shape->work);
        bool is_in_lane = draw_below(random, 100) < shape->lane_percent;
        c->in_lane[i] = is_in_lane ? FOL_LANE_NODE + draw_below(random, 2) : FOL_LANE_NOTHING;
        bool is_cut = draw_below(random, 100) < shape->cut_percent;
        c->nodes[i].pieces = is_cut ? 1 + draw_below(random, PIECES_MAX) : 0;
    }
}

/* Edges, their reverse, and stages as levels above those of the segment before. */
static inline void case_draw_edges(phase_case *c, const case_shape *shape, uint64_t *random)
{
    uint32_t count = 0;
    uint32_t reverse = 0;
    uint32_t first_stage = 0;
    uint32_t next_stage = 0;
    for (uint32_t i = 0; i < shape->nodes; i++) {
        c->starts[i] = count;
        for (uint32_t k = i + 1; k < c->segment_ends[c->nodes[i].segment] && k < i + 40; k++) {
            if (count < EDGES_MAX && draw_below(random, 100) < shape->edge_percent) {
                c->successors[count++] = k;
            }
        }
    }
    c->starts[shape->nodes] = count;
    for (uint32_t i = 0; i < shape->nodes; i++) {
        c->predecessor_starts[i] = reverse;
        if (i > 0 && c->nodes[i].segment != c->nodes[i - 1].segment) {
            first_stage = next_stage;
        }
        c->stages[i] = first_stage;
        for (uint32_t k = i > 40 ? i - 40 : 0; k < i; k++) {
            for (uint32_t e = c->starts[k]; e < c->starts[k + 1]; e++) {
                if (c->successors[e] == i) {
                    c->predecessors[reverse++] = k;
                    c->stages[i] =
                        c->stages[k] + 1 > c->stages[i] ? c->stages[k] + 1 : c->stages[i];
                }
            }
        }
        next_stage = c->stages[i] + 1 > next_stage ? c->stages[i] + 1 : next_stage;
    }
    c->predecessor_starts[shape->nodes] = reverse;
}

/* A phase from a seed; NULL when there is no memory. The caller frees it. */
static inline phase_case *case_make(const case_shape *shape, uint64_t seed)
{
    phase_case *c = calloc(1, sizeof(*c));
    if (c == NULL) {
        return NULL;
    }
    uint64_t random = seed;
    c->seed = seed;
    case_draw_nodes(c, shape, &random);
    case_draw_edges(c, shape, &random);
    c->work = (fol_work){.node_count = shape->nodes,
                         .segment_count = shape->segments,
                         .segment_ends = c->segment_ends,
                         .successor_starts = c->starts,
                         .successors = c->successors,
                         .stages = c->stages,
                         .in_lane = c->in_lane};
    c->caller = pthread_self();
    return c;
}

/* Before each run. */
static inline void case_reset(phase_case *c)
{
    for (uint32_t i = 0; i < c->work.node_count; i++) {
        atomic_store_explicit(&c->nodes[i].begun, 0, memory_order_relaxed);
        atomic_store_explicit(&c->nodes[i].ended, 0, memory_order_relaxed);
        atomic_store_explicit(&c->nodes[i].pieces_done, 0, memory_order_relaxed);
        atomic_store_explicit(&c->nodes[i].pieces_seen, 0, memory_order_relaxed);
    }
    for (uint32_t i = 0; i < PLACES_MAX; i++) {
        c->last_node[i] = UINT32_MAX;
    }
    c->turns = 0;
    atomic_store_explicit(&c->merges, 0, memory_order_relaxed);
}

/* After each run: everything ran, and nobody is in a call. False, with the seed, otherwise. */
static inline bool case_check(phase_case *c, const char *backend, uint32_t run)
{
    bool is_good = true;
    for (uint32_t i = 0; i < c->work.node_count; i++) {
        is_good = is_good && atomic_load_explicit(&c->nodes[i].ended, memory_order_relaxed) == 1;
    }
    is_good = CHECK(is_good);
    is_good =
        CHECK_EQ(atomic_load_explicit(&c->merges, memory_order_relaxed), c->work.segment_count) &&
        is_good;
    is_good = CHECK_EQ(atomic_load_explicit(&c->active, memory_order_relaxed), 0) && is_good;
    is_good = CHECK_EQ(c->parallel_depth, 0) && is_good;
    for (uint32_t i = 0; i < FAULTS; i++) {
        uint32_t count = atomic_load_explicit(&c->faults[i], memory_order_relaxed);
        if (!CHECK_EQ(count, 0)) {
            fprintf(stderr, "%s\n", fault_names[i]);
            is_good = false;
        }
    }
    if (!is_good) {
        fprintf(stderr, "%s, %u workers, run %u, seed %" PRIu64 "\n", backend, c->workers, run,
                c->seed);
    }
    return is_good;
}

#endif
