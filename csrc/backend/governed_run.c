/* The loop of a governed run; governed.h says what that is.
 *
 * Locks. One mutex guards the dispatcher, the lanes and the run. A slot of the policy may be code
 * of the host, so whoever holds the mutex may wait for the host's lock. Hence nobody may wait for
 * the mutex while holding the host's lock, or two threads could wait for each other. Workers give
 * the host's lock back (release_host) before they lock; readers come without it, as governed.h
 * asks. Inside of the mutex only leaves are taken: the lock of a frame's errors, and those of
 * clocks and slots. None leads back here, except that a slot may ask its own scheduler something:
 * then the lock says that this very thread has it, instead of waiting for ever.
 *
 * What holds the host's lock (nodes of the lane) takes turns. All of those that are ready stand in
 * the dispatcher, so that it orders them like any others; one that is granted while another one
 * runs is reported as blocked, and wakes when that has ended. So a throttled one does not keep the
 * others from their turn, none waits for the host's lock on a worker, and each is blocked at most
 * once a turn. On one worker none ever is.
 *
 * Workers. The caller serves the run from its begin to its end. Helpers are called one by one while
 * something is ready that nobody takes, and stay until the segment ends or they have found nothing
 * for a while. Who finds nothing waits on
 * a condition: until something is released, a refill is due, or, the caller, it is time to look at
 * the host. Who takes one of several that are ready signals the next worker, under the mutex, so no
 * wake is lost; while some contexts may run on some workers only, it tells all, whenever something
 * becomes ready, since the one that is woken might not be one of those. A clock that is not the
 * machine's is moved to the next refill by who waits for it, when nobody runs who could move it.
 *
 * The end. `left` counts nodes of the segment that have not ended; who ends the last one wakes
 * everybody. The run goes on when all jobs of helpers have counted down the latch, so nobody is
 * inside of a call.
 *
 * An interrupt ends what waits: nodes are begun, which notes that they were interrupted, and pieces
 * are run, which does the same. A job that waited for a refill stays in the dispatcher: it is
 * ended when that grants it, or goes on as the node's next run.
 */

#include <errno.h>
#include <time.h>

#include "backend/governed_state.h"
#include "foliot/status.h"

#define CALIBRATE_NS INT64_C(250000)
#define POLL_NS      INT64_C(2000000)

static int64_t thread_cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* The worker begins to work, or goes on after a pause. Under the lock. */
static void begin_stretch(fol_governor *governor, uint32_t worker)
{
    fol_worker_time *time = &governor->times[worker];
    int64_t now = fol_governor_read_clock(governor);
    fol_governor_go_to(governor, now);
    *time = (fol_worker_time){.last = now, .since = now};
    if (governor->is_real) {
        time->cpu_since = thread_cpu_ns();
    }
}

/* What the worker used up to the clock's `now`, without what it had no processor for. */
static int64_t take_used(fol_governor *governor, uint32_t worker, int64_t now)
{
    fol_worker_time *time = &governor->times[worker];
    int64_t used = now > time->last ? now - time->last : 0;
    time->last = now;
    if (!governor->is_real) {
        return used;
    }
    if (now - time->since >= CALIBRATE_NS) {
        int64_t cpu = thread_cpu_ns();
        int64_t idle = (now - time->since) - (cpu - time->cpu_since);
        time->idle += idle > 0 ? idle : 0;
        time->since = now;
        time->cpu_since = cpu;
    }
    int64_t idle = time->idle < used ? time->idle : used;
    time->idle -= idle;
    return used - idle;
}

/* Calls one more helper, if there is one. Under the lock. */
static bool call_helper(fol_governor *governor)
{
    fol_team *team = governor->backend->team;
    if (governor->called >= governor->most_helpers) {
        return false;
    }
    for (uint32_t i = 0; i < governor->most_helpers; i++) {
        fol_helper_job *helper = &governor->helpers[i];
        if (!helper->is_out) {
            /* Relaxed: the caller counts too, by looking only after it has seen the last node end
             * under the lock. */
            atomic_fetch_add_explicit(&governor->latch.count, 1, memory_order_relaxed);
            helper->is_out = fol_team_inject(team, &helper->job);
            governor->called += helper->is_out;
            governor->counts.helper_calls += helper->is_out;
            if (!helper->is_out) {
                atomic_fetch_sub_explicit(&governor->latch.count, 1, memory_order_relaxed);
            }
            return helper->is_out;
        }
    }
    return false;
}

/* Sees to it that what is ready is taken: wakes who sleeps, or calls one more. Under the lock. */
static void stir(fol_governor *governor)
{
    uint32_t ready = fol_dispatcher_ready_count(governor->dispatcher);
    if (ready > 0 && governor->sleepers > 0 && governor->is_restricted) {
        fol_governor_wake_all(governor);
    } else if (ready > 0 && governor->sleepers > 0) {
        governor->counts.wakes_sent += 1;
        pthread_cond_signal(&governor->changed);
    } else {
        bool is_called = ready > 0 && call_helper(governor);
        governor->counts.wakes_saved += !is_called;
    }
}

/* Something may have become ready that this worker may not run. Under the lock. */
static void announce(fol_governor *governor)
{
    if (governor->is_restricted && governor->sleepers > 0 &&
        fol_dispatcher_ready_count(governor->dispatcher) > 0) {
        fol_governor_wake_all(governor);
    }
}

/* Refills that are due. Under the lock. */
static void advance(fol_governor *governor)
{
    if (fol_dispatcher_next(governor->dispatcher) <= governor->now) {
        fol_dispatcher_advance(governor->dispatcher, governor->now);
        announce(governor);
    }
}

static void poll(fol_governor *governor, uint32_t worker)
{
    const fol_work_calls *calls = &governor->backend->calls;
    if (worker == 0 && calls->poll != NULL) {
        fol_governor_give(governor);
        calls->poll(calls->state);
        fol_governor_take(governor);
    }
}

/* Sleeps until something changes, at most until `until`; false when nothing did. Under the lock. */
static bool sleep_until(fol_governor *governor, int64_t until)
{
    const struct timespec end = {.tv_sec = (time_t)(until / INT64_C(1000000000)),
                                 .tv_nsec = (long)(until % INT64_C(1000000000))};
    governor->sleepers++;
    governor->counts.sleeps += 1;
    fol_governor_disown(governor);
    int status = pthread_cond_timedwait(&governor->changed, &governor->mutex, &end);
    fol_governor_own(governor);
    governor->sleepers--;
    return status != ETIMEDOUT;
}

static int64_t real_now(void)
{
    return (int64_t)fol_clock_monotonic.now_ns(NULL);
}

/* Whether a helper that slept in vain goes, so that its thread is free for others: while somebody
 * else is left who sees refills come, and contexts do not want certain workers. */
static bool may_leave(const fol_governor *governor, uint32_t worker)
{
    return worker != 0 && governor->sleepers > 0 && !governor->is_restricted &&
           fol_dispatcher_ready_count(governor->dispatcher) == 0;
}

/* There is nothing for this worker now. Under the lock, which it leaves meanwhile. False: it is
 * needed no more. */
static bool wait_for_more(fol_governor *governor, uint32_t worker)
{
    bool has_changed = true;
    int64_t next = fol_dispatcher_next(governor->dispatcher);
    bool is_still = governor->running == 0 && fol_dispatcher_ready_count(governor->dispatcher) == 0;
    if (!governor->is_real && is_still && next != FOL_TIME_NEVER) {
        fol_governor_give(governor);
        governor->clock.wait_until_ns(governor->clock.state, (uint64_t)next, (uint64_t)POLL_NS);
        fol_governor_take(governor);
    } else {
        if (fol_dispatcher_ready_count(governor->dispatcher) > 0) {
            /* For a worker that is not here yet; those that are have been told. */
            call_helper(governor);
        }
        int64_t until = real_now() + POLL_NS;
        until = governor->is_real && next < until ? next : until;
        has_changed = sleep_until(governor, until);
    }
    if (!has_changed && may_leave(governor, worker)) {
        return false;
    }
    poll(governor, worker);
    begin_stretch(governor, worker);
    return true;
}

/* Blocked nodes of the lane compete for it again. */
static void free_lane(fol_governor *governor)
{
    FOL_ASSERT(governor->lane_is_busy);
    governor->lane_is_busy = false;
    for (uint32_t i = 0; i < governor->blocked_count; i++) {
        uint32_t id = governor->blocked[i];
        governor->lanes[id].is_blocked = false;
        fol_dispatcher_wake(governor->dispatcher, id, governor->now);
    }
    governor->blocked_count = 0;
}

/* A node has begun, and so gives the host's lock back. */
static void end_turn(fol_governor *governor, uint32_t index)
{
    if (fol_governed_takes_turns(governor, index)) {
        free_lane(governor);
    }
}

/* The job that was granted cannot run. True: it was dealt with. */
static bool refuse_grant(fol_governor *governor, uint32_t worker, uint32_t id)
{
    fol_lane_job *lane = &governor->lanes[id];
    const fol_governed_node *node = &governor->nodes[lane->node];
    fol_grant next;
    FOL_ASSERT(lane->has_job);
    if (!lane->is_used) {
        fol_dispatcher_ran(governor->dispatcher, worker, 0, governor->now, FOL_POINT_FAILED, &next);
        lane->has_job = false;
        governor->leftovers--;
        return true;
    }
    if (node->state != FOL_NODE_READY || !fol_governed_takes_turns(governor, lane->node)) {
        return false;
    }
    if (governor->lane_is_busy) {
        fol_dispatcher_ran(governor->dispatcher, worker, 0, governor->now, FOL_POINT_BLOCKED,
                           &next);
        lane->is_blocked = true;
        governor->counts.turn_waits += 1;
        governor->blocked[governor->blocked_count++] = id;
        return true;
    }
    governor->lane_is_busy = true;
    return false;
}

/* What comes next of the node on this worker. */
typedef struct unit {
    bool is_begin;
    bool is_piece;
    uint32_t piece;
} unit;

static unit take_unit(fol_governed_node *node)
{
    unit next = {.is_begin = node->state == FOL_NODE_READY};
    if (!next.is_begin && node->next_piece < node->pieces) {
        next.is_piece = true;
        next.piece = node->next_piece++;
    }
    return next;
}

/* Runs it without the lock; returns what it used. */
static int64_t run_unit(fol_governor *governor, uint32_t worker, uint32_t index, const unit *part,
                        uint32_t *pieces)
{
    const fol_work_calls *calls = &governor->backend->calls;
    fol_governor_give(governor);
    if (part->is_begin) {
        *pieces = calls->begin_node(calls->state, index, worker);
    } else {
        calls->run_piece(calls->state, index, part->piece, worker);
    }
    if (calls->release_host != NULL) {
        calls->release_host(calls->state, worker);
    }
    int64_t now = fol_governor_read_clock(governor);
    int64_t used = take_used(governor, worker, now);
    fol_governor_take(governor);
    fol_governor_go_to(governor, now);
    return used;
}

/* Notes what the unit did; true when it was the last of its node. */
static bool note_unit(fol_governed_node *node, const unit *part, uint32_t pieces)
{
    if (part->is_begin) {
        node->state = FOL_NODE_BEGUN;
        node->pieces = pieces;
        node->next_piece = 0;
        node->pieces_left = pieces;
        return pieces == 0;
    }
    node->pieces_left -= part->is_piece;
    return part->is_piece && node->pieces_left == 0;
}

/* What follows a unit, now that the dispatcher has said what becomes of its runnable. */
static void go_on(fol_governor *governor, uint32_t worker, uint32_t id, const unit *part,
                  bool is_last, fol_ran ran)
{
    const fol_work_calls *calls = &governor->backend->calls;
    fol_lane_job *lane = &governor->lanes[id];
    uint32_t index = lane->node;
    fol_governed_node *node = &governor->nodes[index];
    lane->has_job = ran == FOL_RAN_ON || ran == FOL_RAN_OFF;
    if (part->is_begin) {
        end_turn(governor, index);
    }
    if (ran == FOL_RAN_DROPPED) {
        fol_governed_drop(governor, index, worker, id);
    } else if (is_last) {
        if (node->pieces > 0) {
            calls->end_node(calls->state, index, worker);
        }
        fol_governed_finish(governor, index);
    }
    fol_governed_release_queued(governor, worker);
}

/* Passes on what was decided since. Under the lock. */
static void tell_decisions(fol_governor *governor, uint32_t worker)
{
    const fol_governed_calls *calls = &governor->calls;
    uint64_t first;
    uint64_t end;
    if (calls->decided == NULL) {
        return;
    }
    fol_dispatcher_records(governor->dispatcher, &first, &end);
    governor->told = governor->told > first ? governor->told : first;
    for (; governor->told < end; governor->told++) {
        calls->decided(calls->state, worker,
                       fol_dispatcher_record(governor->dispatcher, governor->told));
    }
}

/* Runs what was granted for as long as it is. Under the lock, which it leaves meanwhile. */
static void serve_grant(fol_governor *governor, uint32_t worker, fol_grant *grant)
{
    uint32_t id = grant->runnable;
    fol_ran ran = FOL_RAN_ON;
    FOL_ASSERT(id < governor->capacity);
    if (refuse_grant(governor, worker, id)) {
        return;
    }
    uint32_t index = governor->lanes[id].node;
    fol_governed_node *node = &governor->nodes[index];
    int64_t used = 0;
    while (ran == FOL_RAN_ON) {
        unit part = take_unit(node);
        uint32_t pieces = 0;
        node->running++;
        governor->running++;
        if (part.is_begin || part.is_piece) {
            stir(governor);
            used += run_unit(governor, worker, index, &part, &pieces);
        }
        bool is_last = note_unit(node, &part, pieces);
        node->running--;
        governor->running--;
        if (part.is_begin && !is_last) {
            /* The budget has just been looked at, so the first piece comes without asking. */
            end_turn(governor, index);
            fol_governed_call_lanes(governor, index);
            continue;
        }
        bool has_more = node->next_piece < node->pieces;
        advance(governor);
        ran = fol_dispatcher_ran(governor->dispatcher, worker, used, governor->now,
                                 has_more ? FOL_POINT_MORE : FOL_POINT_DONE, grant);
        used = 0;
        go_on(governor, worker, id, &part, is_last, ran);
        announce(governor);
        tell_decisions(governor, worker);
    }
}

static void settle(fol_governor *governor, uint32_t worker)
{
    tell_decisions(governor, worker);
    if (governor->calls.is_interrupted(governor->calls.state)) {
        fol_governed_give_up(governor, worker);
    }
    if (governor->has_gone) {
        fol_governed_cull(governor, worker);
    }
}

/* A worker's part of the segment. Under the lock. */
static void serve(fol_governor *governor, uint32_t worker)
{
    const fol_work_calls *calls = &governor->backend->calls;
    fol_grant grant;
    begin_stretch(governor, worker);
    while (governor->left > 0) {
        settle(governor, worker);
        if (governor->left == 0) {
            break;
        }
        advance(governor);
        if (!fol_dispatcher_pick(governor->dispatcher, worker, governor->now, &grant)) {
            if (!wait_for_more(governor, worker)) {
                break;
            }
            continue;
        }
        serve_grant(governor, worker, &grant);
        if (worker == 0 && governor->gives_turns && governor->left > 0) {
            fol_governor_give(governor);
            calls->turn(calls->state);
            fol_governor_take(governor);
        }
    }
}

static void help(fol_job *job, fol_worker *worker)
{
    fol_helper_job *helper = (fol_helper_job *)job;
    fol_governor *governor = helper->governor;
    fol_team *team = fol_worker_team(worker);
    fol_governor_take(governor);
    serve(governor, fol_worker_place(worker));
    helper->is_out = false;
    governor->called--;
    fol_governor_give(governor);
    fol_latch_count_down(&governor->latch, team, 1);
}

static void run_segment(fol_governor *governor, uint32_t segment)
{
    fol_backend *backend = governor->backend;
    fol_governor_take(governor);
    fol_governor_go_to(governor, fol_governor_read_clock(governor));
    advance(governor);
    fol_governed_begin_segment(governor, segment);
    serve(governor, 0);
    fol_governor_give(governor);
    if (!fol_latch_is_open(&governor->latch)) {
        fol_worker_wait(fol_team_worker(backend->team, 0), &governor->latch);
    }
    if (governor->leftovers > 0) {
        fol_governor_take(governor);
        fol_governed_drain(governor);
        fol_governor_give(governor);
    }
}

static void begin_run(fol_governor *governor, const fol_governed *governed, fol_backend *backend,
                      const fol_work *work, uint32_t first)
{
    uint32_t workers = backend->ops->governed_workers == NULL
                           ? backend->workers
                           : backend->ops->governed_workers(backend, work);
    /* Contexts that want certain workers find them, whatever the backend thinks of helpers. */
    workers = governor->is_restricted ? backend->workers : workers;
    FOL_ASSERT(workers >= 1 && workers <= governor->workers);
    governor->backend = backend;
    governor->work = work;
    governor->governed = governed;
    governor->nodes = governed->nodes + first;
    governor->most_helpers = workers - 1;
    governor->gives_turns = backend->ops == &fol_backend_evented && backend->calls.turn != NULL;
    for (uint32_t i = 0; i < governor->most_helpers; i++) {
        governor->helpers[i].job.run = help;
        governor->helpers[i].governor = governor;
    }
}

void fol_governed_run(fol_governor *governor, const fol_governed *governed, fol_backend *backend,
                      const fol_work *work, uint32_t first)
{
    const fol_work_calls *calls = &backend->calls;
    calls->begin_parallel(calls->state);
    fol_governor_take(governor);
    begin_run(governor, governed, backend, work, first);
    governor->release = fol_governor_go_to(governor, fol_governor_read_clock(governor));
    bool is_alone = governor->most_helpers == 0;
    fol_governor_give(governor);
    for (uint32_t segment = 0; segment < work->segment_count; segment++) {
        run_segment(governor, segment);
        calls->merge(calls->state, segment);
    }
    calls->end_parallel(calls->state);
    backend->serial_runs += is_alone;
    backend->parallel_runs += !is_alone;
}
