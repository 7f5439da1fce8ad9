/* Running a segment of a dag.
 *
 * Each node counts the predecessors that have not ended. Who ends a node counts down its
 * successors; who counts one down to nothing sets its count anew for the next run and starts it:
 * all others have counted, so nobody looks at the count until that run. A worker goes from node to
 * node along what it releases (a chain) and returns to the team when it released nothing.
 *
 * The end of a run. `left` counts the nodes of the segment; and of nodes that are cut the copies of
 * jobs that were pushed so that others join, and the part of who pushed them. A worker gathers what
 * it ended and counts it down together when it has looked for work in vain: the team asks the hub,
 * its source, whenever it finds nothing else, so always before it parks or leaves its place. It
 * gathers a chain only after the last call of it, and every chain has something to
 * gather; so when `left` is 0 everything has ended and nobody is inside of a call or will touch the
 * dag. The count itself is in the hub, which outlives it.
 *
 * The lane is answered for by whoever put a node there while nobody drained it (lane.c). The caller
 * drains it itself. Another worker passes a full fence and asks whether the caller is busy. If so,
 * it drains. If not, it wakes everybody, for the caller may be parked, and the caller finds the
 * lane when it looks for work; or it takes a job instead, and then it tells that it is busy and
 * looks at the lane after that, behind a full fence too: one of the two sees the other, so a helper
 * is sent for if the caller goes off.
 */

#include "base/assert.h"
#include "base/cycles.h"
#include "exec/dag_state.h"
#include "foliot/clock.h"

/* Nodes of a chain until the team gets a look at its other queues. */
#define CHAIN_MOST FOL_FAIR_INTERVAL
#define BATCH      32u

/* The first run of a segment finds everything cold; the two after it are measured, and two again in
 * every so many. */
#define MEASURED_FIRST 1u
#define MEASURED_LAST  2u
#define MEASURED_EVERY 4096u
/* Where the first run took less, the measured ones stay on the caller: on several workers a trifle
 * costs what its cache lines cost on their way. */
#define SHORT_NS 200000u

/* A worker on its way along a chain. */
typedef struct chain {
    fol_dag *dag;
    fol_worker *worker;
    uint32_t place;
    uint32_t ended;
    uint32_t held_count;
    fol_dag_node *held; /* to be run here, the first first */
    fol_dag_node **held_end;
    bool answers_for_lane;
    bool is_draining; /* the lane may take long: nothing is held back */
    uint32_t batch_count;
    fol_job *batch[BATCH]; /* to be pushed, the most urgent first */
} chain;

static void begin_chain(chain *chain, fol_dag *dag, fol_worker *worker)
{
    chain->dag = dag;
    chain->worker = worker;
    chain->place = fol_worker_place(worker);
    chain->ended = 0;
    chain->held_count = 0;
    chain->held = NULL;
    chain->held_end = &chain->held;
    chain->answers_for_lane = false;
    chain->is_draining = false;
    chain->batch_count = 0;
}

static void end_chain(chain *chain)
{
    const fol_dag_calls *calls = &chain->dag->calls;
    FOL_ASSERT_HOT(chain->held == NULL && chain->batch_count == 0);
    if (calls->pause != NULL) {
        calls->pause(calls->state, chain->place);
    }
    fol_dag_place *place = &chain->dag->hub->places[chain->place];
    place->ended += chain->ended;
}

static void hold(chain *chain, fol_dag_node *node)
{
    node->next = NULL;
    *chain->held_end = node;
    chain->held_end = &node->next;
    chain->held_count++;
}

static fol_dag_node *take_held(chain *chain)
{
    fol_dag_node *node = chain->held;
    if (node != NULL) {
        chain->held = node->next;
        chain->held_count--;
        if (chain->held == NULL) {
            chain->held_end = &chain->held;
        }
    }
    return node;
}

/* What cannot be pushed is run here. */
static void push_batch(chain *chain)
{
    uint32_t count = chain->batch_count;
    chain->batch_count = 0;
    if (count == 0 || fol_worker_offer_many(chain->worker, chain->batch, count) == 0) {
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        hold(chain, (fol_dag_node *)chain->batch[i]);
    }
}

static void push_later(chain *chain, fol_job *job)
{
    if (chain->batch_count == BATCH) {
        push_batch(chain);
    }
    chain->batch[chain->batch_count] = job;
    chain->batch_count++;
}

/* What is held back is for others after all, because this worker will be long. */
static void push_held(chain *chain)
{
    for (uint32_t i = chain->held_count; i > 0; i--) {
        push_later(chain, &take_held(chain)->job);
    }
}

/* Whether the node is ready now that one more of its predecessors has ended. */
static bool count_predecessor(fol_dag_node *node)
{
    /* Acquire pairs with the release below: the last to count sees what all others did. */
    uint32_t pending = atomic_load_explicit(&node->pending, memory_order_acquire);
    if (pending != 1) {
        /* Release pairs with the acquire of who counts last, here or above. */
        pending = atomic_fetch_sub_explicit(&node->pending, 1, memory_order_acq_rel);
        if (pending != 1) {
            return false;
        }
    }
    atomic_store_explicit(&node->pending, node->predecessor_count, memory_order_relaxed);
    node->piece_count = 0;
    return true;
}

/* Releases the successors of a node that has ended. Returns the most urgent of those ready that go
 * to no lane; the others are in the batch or held. */
static fol_dag_node *release_successors(chain *chain, const fol_dag_node *node)
{
    fol_dag *dag = chain->dag;
    fol_dag_node *kept = NULL;
    const uint32_t *successors = &dag->successors[node->first_successor];
    for (uint32_t i = 0; i < node->successor_count; i++) {
        fol_dag_node *successor = &dag->nodes[successors[i]];
        if (!count_predecessor(successor)) {
            continue;
        }
        if (successor->is_in_lane) {
            chain->answers_for_lane |= fol_lane_put(&dag->hub->lane, successor->lane_rank);
        } else if (kept == NULL && !chain->is_draining) {
            kept = successor;
        } else if (successor->is_small && chain->held_count < FOL_DAG_HELD && !chain->is_draining) {
            hold(chain, successor);
        } else {
            push_later(chain, &successor->job);
        }
    }
    chain->ended++;
    return kept;
}

/* Takes pieces while there are any; true for the worker that ended the last one. */
static bool run_pieces(chain *chain, fol_dag_node *node)
{
    const fol_dag_calls *calls = &chain->dag->calls;
    uint32_t count = node->piece_count;
    uint32_t done = 0;
    for (;;) {
        uint32_t piece = atomic_fetch_add_explicit(&node->next_piece, 1, memory_order_relaxed);
        if (piece >= count) {
            break;
        }
        calls->run_piece(calls->state, node->index, piece, chain->place);
        done++;
    }
    /* Release pairs with the acquire of whoever ends the last piece. */
    return done > 0 &&
           atomic_fetch_sub_explicit(&node->pieces_left, done, memory_order_acq_rel) == done;
}

static uint32_t fewer(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* Makes `copies` more jobs of a node that is cut, for others to join. They count until run, and so
 * does the part of this worker, because another may end the node. Returns how many were pushed. */
static uint32_t push_copies(chain *chain, fol_dag_node *node, uint32_t copies)
{
    /* Relaxed: the run cannot end before this node has, and that is counted after this. */
    atomic_fetch_add_explicit(&chain->dag->hub->left.count, copies + 1, memory_order_relaxed);
    chain->ended++;
    push_batch(chain);
    fol_job *jobs[BATCH];
    for (uint32_t i = 0; i < BATCH && i < copies; i++) {
        jobs[i] = &node->job;
    }
    uint32_t pushed = 0;
    while (pushed < copies) {
        uint32_t count = fewer(copies - pushed, BATCH);
        if (fol_worker_offer_many(chain->worker, jobs, count) != 0) {
            break;
        }
        pushed += count;
    }
    chain->ended += copies - pushed;
    return pushed;
}

static void cut(fol_dag_node *node, uint32_t pieces)
{
    node->piece_count = pieces;
    atomic_store_explicit(&node->next_piece, 0, memory_order_relaxed);
    atomic_store_explicit(&node->pieces_left, pieces, memory_order_relaxed);
}

/* Starts a node, and notes what that took when asked to. */
static uint32_t begin_node(chain *chain, fol_dag_node *node)
{
    fol_dag *dag = chain->dag;
    const fol_dag_calls *calls = &dag->calls;
    if (FOL_LIKELY(!dag->is_measuring)) {
        return calls->begin(calls->state, node->index, chain->place);
    }
    uint64_t start = fol_cycles_now();
    uint32_t pieces = calls->begin(calls->state, node->index, chain->place);
    uint64_t end = fol_cycles_now();
    if (pieces == 0 && end > start) {
        double *cost = &dag->costs[node->index];
        double taken = (double)(end - start);
        *cost = *cost == 0.0 || taken < *cost ? taken : *cost;
    }
    return pieces;
}

/* Runs a node that is in no lane, or joins in the pieces of one. Returns what to run next. */
static fol_dag_node *run_node(chain *chain, fol_dag_node *node)
{
    fol_dag *dag = chain->dag;
    const fol_dag_calls *calls = &dag->calls;
    bool is_copy = node->piece_count != 0;
    if (is_copy) {
        chain->ended++;
    } else {
        uint32_t pieces = begin_node(chain, node);
        if (pieces == 0) {
            return release_successors(chain, node);
        }
        cut(node, pieces);
        if (pieces > 1) {
            (void)push_copies(chain, node, fewer(pieces, dag->hub->place_count) - 1);
        }
    }
    if (!run_pieces(chain, node)) {
        return NULL;
    }
    calls->end(calls->state, node->index, chain->place);
    return release_successors(chain, node);
}

/* Runs the begin of a node of the lane; its pieces are jobs like any other. */
static void run_lane_node(chain *chain, fol_dag_node *node)
{
    fol_dag *dag = chain->dag;
    uint32_t pieces = begin_node(chain, node);
    if (pieces == 0) {
        (void)release_successors(chain, node);
        push_batch(chain);
        return;
    }
    cut(node, pieces);
    if (push_copies(chain, node, fewer(pieces, dag->hub->place_count)) == 0) {
        /* As a copy that this worker runs later; it is counted again then. */
        chain->ended--;
        hold(chain, node);
    }
}

static void drain_lane(chain *chain)
{
    fol_dag *dag = chain->dag;
    uint32_t rank = 0;
    chain->is_draining = true;
    push_held(chain);
    push_batch(chain);
    while (fol_lane_next(&dag->hub->lane, &rank)) {
        FOL_ASSERT_HOT(rank < dag->running->lane_count);
        uint32_t index = dag->lane_nodes[dag->running->first_lane + rank];
        run_lane_node(chain, &dag->nodes[index]);
    }
    chain->is_draining = false;
    chain->answers_for_lane = false;
}

/* Whether this worker may drain the lane, which has something ready that nobody drains. */
static bool may_drain(fol_team *team, uint32_t place)
{
    return place == 0 || fol_team_caller_is_busy(team);
}

/* Sees to the lane between two nodes. Returns false when there is nothing to do here. */
static bool must_drain(chain *chain)
{
    fol_dag *dag = chain->dag;
    fol_lane *lane = &dag->hub->lane;
    if (chain->place == 0) {
        return fol_lane_is_waiting(lane) && fol_lane_try_enter(lane);
    }
    if (!chain->answers_for_lane) {
        return false;
    }
    chain->answers_for_lane = false;
    /* Pairs with the caller's fence between becoming busy and looking at the lane. */
    atomic_thread_fence(memory_order_seq_cst);
    if (may_drain(dag->team, chain->place)) {
        return fol_lane_try_enter(lane);
    }
    fol_team_notify_all(dag->team);
    return false;
}

/* From one node to the next until there is none. */
static void follow(chain *chain, fol_dag_node *node)
{
    uint32_t length = 0;
    while (node != NULL) {
        fol_dag_node *kept = run_node(chain, node);
        length++;
        bool drains = must_drain(chain);
        if (kept != NULL && (drains || length >= CHAIN_MOST)) {
            /* Where the batch is later: the most urgent is to be first. */
            if (fol_worker_push(chain->worker, &kept->job) != 0) {
                hold(chain, kept);
            }
            kept = NULL;
        }
        if (kept != NULL && !kept->is_small) {
            push_held(chain);
        }
        push_batch(chain);
        if (drains) {
            drain_lane(chain);
        }
        node = kept != NULL ? kept : take_held(chain);
    }
}

void fol_dag_run_job(fol_job *job, fol_worker *worker)
{
    fol_dag_node *node = (fol_dag_node *)job;
    chain chain;
    begin_chain(&chain, node->dag, worker);
    fol_worker_set_oldest_first(worker, true);
    follow(&chain, node);
    end_chain(&chain);
}

void fol_dag_drain_job(fol_job *job, fol_worker *worker)
{
    fol_dag_hub *hub = (fol_dag_hub *)((char *)job - offsetof(fol_dag_hub, drain));
    chain chain;
    begin_chain(&chain, hub->dag, worker);
    fol_worker_set_oldest_first(worker, true);
    drain_lane(&chain);
    follow(&chain, take_held(&chain));
    end_chain(&chain);
}

/* Of a node that is to run again. What was not cut is not written to, for its line may be at home
 * with another worker. */
static void forget_pieces(fol_dag_node *node)
{
    if (node->piece_count != 0) {
        node->piece_count = 0;
    }
}

/* Puts what has no predecessor into the lane. True when there is something, and it is the caller's
 * to drain. */
static bool enter_lane(fol_dag *dag, const fol_dag_segment *segment)
{
    fol_lane *lane = &dag->hub->lane;
    for (uint32_t i = 0; i < segment->lane_count; i++) {
        fol_dag_node *node = &dag->nodes[dag->lane_nodes[segment->first_lane + i]];
        if (node->predecessor_count == 0) {
            forget_pieces(node);
            (void)fol_lane_put(lane, i);
        }
    }
    return fol_lane_is_waiting(lane) && fol_lane_try_enter(lane);
}

/* Pushes what has no predecessor. What could not be pushed is held. */
static void start_roots(chain *chain, const fol_dag_segment *segment, bool drains)
{
    const fol_dag *dag = chain->dag;
    fol_job *const *roots = &dag->roots[segment->first_root];
    uint32_t count = segment->root_count;
    bool are_small = count <= FOL_DAG_HELD;
    for (uint32_t i = 0; i < count; i++) {
        fol_dag_node *node = (fol_dag_node *)roots[i];
        forget_pieces(node);
        are_small = are_small && node->is_small;
    }
    /* The most urgent stays here: it starts at once, and run after run where its data is; unless
     * the caller has the lane to drain before. */
    uint32_t kept = drains || count == 0 ? 0 : 1;
    bool is_pushed = count > kept && !are_small &&
                     fol_worker_offer_many(chain->worker, roots + kept, count - kept) == 0;
    for (uint32_t i = 0; i < (is_pushed ? kept : count); i++) {
        hold(chain, (fol_dag_node *)roots[i]);
    }
}

void fol_dag_start_job(fol_job *job, fol_worker *worker)
{
    fol_dag_hub *hub = (fol_dag_hub *)((char *)job - offsetof(fol_dag_hub, start));
    chain chain;
    begin_chain(&chain, hub->dag, worker);
    fol_worker_set_oldest_first(worker, true);
    start_roots(&chain, hub->dag->running, hub->start_drains);
    if (hub->start_drains) {
        drain_lane(&chain);
    }
    follow(&chain, take_held(&chain));
    end_chain(&chain);
}

typedef struct measurement {
    uint64_t start_ns;
    uint64_t start_cycles;
} measurement;

static measurement begin_measurement(fol_dag *dag, const fol_dag_segment *segment, uint32_t run)
{
    dag->is_measuring = run >= MEASURED_FIRST;
    if (run == MEASURED_FIRST) {
        for (uint32_t node = segment->first; node < segment->end; node++) {
            dag->costs[node] = 0.0;
        }
    }
    return (measurement){fol_clock_monotonic.now_ns(NULL), fol_cycles_now()};
}

static void end_measurement(fol_dag *dag, fol_dag_segment *segment, measurement begin)
{
    uint64_t taken_ns = fol_clock_monotonic.now_ns(NULL) - begin.start_ns;
    if (!dag->is_measuring) {
        segment->is_short = taken_ns < SHORT_NS;
        return;
    }
    double cycles = (double)(fol_cycles_now() - begin.start_cycles);
    double small = taken_ns > 0 ? FOL_DAG_SMALL_NS * cycles / (double)taken_ns : 0.0;
    fol_dag_use_costs(dag, dag->costs, small);
    dag->is_measuring = false;
}

/* Edges rise, so the order of numbers is one the graph allows; nothing has to be counted. */
static void run_in_place(fol_dag *dag, const fol_dag_segment *segment)
{
    const fol_dag_calls *calls = &dag->calls;
    chain chain;
    begin_chain(&chain, dag, fol_team_worker(dag->team, 0));
    for (uint32_t i = segment->first; i < segment->end; i++) {
        uint32_t pieces = begin_node(&chain, &dag->nodes[i]);
        for (uint32_t piece = 0; piece < pieces; piece++) {
            calls->run_piece(calls->state, i, piece, 0);
        }
        if (pieces > 0) {
            calls->end(calls->state, i, 0);
        }
    }
    if (calls->pause != NULL) {
        calls->pause(calls->state, 0);
    }
}

/* Waits until the run is over. Where all was done here nothing has to be waited for. */
static void wait_for_end(fol_dag_hub *hub, fol_worker *worker)
{
    fol_dag_place *place = &hub->places[0];
    /* Acquire pairs with the releases of those who counted down. */
    if (atomic_load_explicit(&hub->left.count, memory_order_acquire) == place->ended) {
        place->ended = 0;
        atomic_store_explicit(&hub->left.count, 0, memory_order_relaxed);
        return;
    }
    fol_worker_wait(worker, &hub->left);
}

static void run_on_team(fol_dag *dag, const fol_dag_segment *segment)
{
    fol_dag_hub *hub = dag->hub;
    if (dag->order_is_stale) {
        fol_dag_put_in_order(dag);
    }
    FOL_ASSERT(fol_latch_is_open(&hub->left));
    if (dag->running != segment) {
        dag->running = segment; /* else the line stays with the helpers, who read it */
    }
    hub->dag = dag;
    fol_lane_set_count(&hub->lane, segment->lane_count);
    /* Published by the jobs, and by the lane. */
    atomic_store_explicit(&hub->left.count, segment->end - segment->first, memory_order_relaxed);

    /* The rest as a job, so that helpers know the caller is busy, if the lane makes it matter. */
    hub->start_drains = enter_lane(dag, segment);
    fol_worker *worker = fol_team_worker(dag->team, 0);
    if (segment->lane_count > 0) {
        fol_worker_run_now(worker, &hub->start);
    } else {
        fol_worker_run_unseen(worker, &hub->start);
    }
    wait_for_end(hub, worker);
}

void fol_dag_run(fol_dag *dag, uint32_t index)
{
    FOL_ASSERT(index < dag->segment_count);
    fol_dag_segment *segment = &dag->segments[index];
    uint32_t run = segment->runs++ % MEASURED_EVERY;
    bool is_looked_at = !dag->has_costs && run <= MEASURED_LAST;
    measurement measurement = {0};
    if (FOL_UNLIKELY(is_looked_at)) {
        measurement = begin_measurement(dag, segment, run);
    }
    if (segment->is_trifles ||
        (dag->is_measuring && segment->is_short && segment->lane_count == 0)) {
        run_in_place(dag, segment);
    } else if (segment->first != segment->end) {
        run_on_team(dag, segment);
    }
    if (FOL_UNLIKELY(is_looked_at)) {
        end_measurement(dag, segment, measurement);
    }
}
