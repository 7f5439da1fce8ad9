/* A worker's life: finding the next job, running it, publishing new ones, waiting.
 *
 * How long a job can wait. In FOL_FAIR_INTERVAL jobs a worker looks once at the injector first,
 * once at the oldest job of its own deque, and once at another worker that may have plenty; each
 * look takes the first in the queue. So of n jobs ahead of one in its queue, each is gone after at
 * most FOL_FAIR_INTERVAL jobs of a worker that serves it, and the job itself runs after (n + 1)
 * times that. Kept jobs count like any other; a job that forks and joins is one, with all its
 * branches. A job that never ends holds up the queue of its worker, until others run out of work,
 * or find that it has plenty.
 */
#include <sched.h>

#include "exec/worker.h"

#define KEPT_IN_ROW_MAX 3u
/* The looks of a round are made before its last three jobs. */
#define TURN_OF_PLENTY   (FOL_FAIR_INTERVAL - 3)
#define TURN_OF_INJECTOR (FOL_FAIR_INTERVAL - 2)

int fol_worker_push(fol_worker *worker, fol_job *job)
{
    int status = fol_deque_push_owner(&worker->deque, job);
    if (FOL_LIKELY(status == 0)) {
        fol_worker_wake(worker);
    }
    return status;
}

static int publish_many(fol_worker *worker, fol_job *const *jobs, uint32_t count)
{
    int status = fol_deque_reserve_owner(&worker->deque, count);
    if (status != 0 || count == 0) {
        return status;
    }
    for (uint32_t i = 0; i < count; i++) {
        status = fol_deque_push_private_owner(&worker->deque, jobs[i]);
        FOL_ASSERT(status == 0);
    }
    fol_deque_publish_owner(&worker->deque);
    return 0;
}

int fol_worker_push_many(fol_worker *worker, fol_job *const *jobs, uint32_t count)
{
    int status = publish_many(worker, jobs, count);
    if (status == 0 && count > 0) {
        fol_worker_wake(worker);
    }
    return status;
}

int fol_worker_offer_many(fol_worker *worker, fol_job *const *jobs, uint32_t count)
{
    int status = publish_many(worker, jobs, count);
    if (status == 0 && count > 0) {
        fol_worker_wake_unfenced(worker);
    }
    return status;
}

/* For jobs that nobody else can see yet: runs it at once when there is no room. */
static void push_or_run(fol_worker *worker, fol_job *job)
{
    if (fol_worker_push(worker, job) != 0) {
        fol_worker_run(worker, job);
    }
}

void fol_worker_keep(fol_worker *worker, fol_job *job)
{
    fol_job *before = worker->kept;
    worker->kept = job;
    if (before != NULL) {
        push_or_run(worker, before);
    }
}

void fol_worker_set_oldest_first(fol_worker *worker, bool is_on)
{
    worker->takes_oldest = is_on;
}

bool fol_team_inject(fol_team *team, fol_job *job)
{
    if (!fol_injector_push(&team->injector, job)) {
        return false;
    }
    fol_team_wake(team);
    return true;
}

void fol_latch_count_down(fol_latch *latch, fol_team *team, uint32_t by)
{
    /* Release pairs with the acquire in fol_latch_is_open; acquire makes who opens it carry on what
     * the others did. */
    uint32_t before = atomic_fetch_sub_explicit(&latch->count, by, memory_order_acq_rel);
    FOL_ASSERT(before >= by);
    if (before == by) {
        fol_team_wake_waiters(team);
    }
}

void fol_worker_set_busy(fol_worker *worker)
{
    fol_team *team = worker->team;
    if (worker->place != 0 || team->source.take == NULL ||
        fol_atomic_load(&team->caller_is_busy, memory_order_relaxed)) {
        return;
    }
    fol_atomic_store(&team->caller_is_busy, true, memory_order_relaxed);
    /* Pairs with the fence of who makes the source ready: a helper that came by before, and left
     * it to the caller, did so before this look. */
    fol_fence(memory_order_seq_cst);
    if (team->source.is_ready(team->source.state, worker)) {
        fol_worker_wake(worker);
    }
}

void fol_worker_clear_busy(fol_worker *worker)
{
    if (worker->place == 0) {
        fol_atomic_store(&worker->team->caller_is_busy, false, memory_order_relaxed);
    }
}

static void run_inside(fol_worker *worker, fol_job *job)
{
    worker->depth += 1;
    job->run(job, worker);
    worker->depth -= 1;
    fol_number_add(&worker->numbers.jobs, 1);
}

void fol_worker_run(fol_worker *worker, fol_job *job)
{
    if (worker->place == 0) {
        fol_worker_set_busy(worker);
    }
    run_inside(worker, job);
}

static fol_job *take_injected(fol_worker *worker)
{
    fol_job *job = fol_injector_pop(&worker->team->injector);
    if (job != NULL) {
        fol_number_add(&worker->numbers.injected, 1);
    }
    return job;
}

static fol_job *take_from_source(fol_worker *worker)
{
    const fol_team_source *source = &worker->team->source;
    return source->take == NULL ? NULL : source->take(source->state, worker);
}

/* What gets its turn before all else, once in FOL_FAIR_INTERVAL jobs; often nothing. */
static fol_job *take_in_turn(fol_worker *worker)
{
    if (worker->turn == TURN_OF_PLENTY) {
        return fol_worker_steal_plenty(worker);
    }
    if (worker->turn == TURN_OF_INJECTOR) {
        fol_job *injected = take_injected(worker);
        return injected != NULL || worker->place == 0 ? injected : take_from_source(worker);
    }
    worker->turn = 0;
    if (!worker->is_searching) {
        /* So that a stretch of work shows while it goes on. */
        uint64_t cycles = fol_cycles_now();
        fol_number_add(&worker->numbers.busy_cycles, cycles - worker->state_start);
        worker->state_start = cycles;
    }
    return fol_job_of_item(fol_deque_take_owner(&worker->deque));
}

static fol_job *take_kept(fol_worker *worker)
{
    fol_job *job = worker->kept;
    if (job == NULL) {
        worker->kept_in_row = 0;
        return NULL;
    }
    worker->kept = NULL;
    if (worker->kept_in_row < KEPT_IN_ROW_MAX) {
        worker->kept_in_row += 1;
        return job;
    }
    worker->kept_in_row = 0;
    push_or_run(worker, job);
    return NULL;
}

static fol_job *take_own(fol_worker *worker)
{
    return fol_job_of_item(worker->takes_oldest ? fol_deque_take_owner(&worker->deque)
                                                : fol_deque_pop_owner(&worker->deque));
}

fol_job *fol_worker_find(fol_worker *worker)
{
    fol_job *job = NULL;
    worker->turn += 1;
    if (FOL_UNLIKELY(worker->turn >= TURN_OF_PLENTY)) {
        job = take_in_turn(worker);
        if (job != NULL) {
            return job;
        }
    }
    job = take_kept(worker);
    if (job == NULL && worker->place == 0) {
        job = take_from_source(worker);
    }
    if (job == NULL) {
        job = take_own(worker);
    }
    if (job == NULL) {
        job = take_injected(worker);
    }
    if (job == NULL) {
        job = fol_worker_steal(worker);
    }
    if (job == NULL && worker->place != 0) {
        job = take_from_source(worker);
    }
    return job;
}

/* What a job kept goes on, so that it is not left where nobody can see it. */
static void let_go_of_kept(fol_worker *worker)
{
    /* A turn more only when there was no room to push it, and it ran and kept another. */
    while (worker->kept != NULL) {
        fol_job *job = worker->kept;
        worker->kept = NULL;
        push_or_run(worker, job);
    }
}

/* After a job that no wait ran. */
static void end_run(fol_worker *worker)
{
    let_go_of_kept(worker);
    if (worker->depth == 0) {
        fol_worker_clear_busy(worker);
    }
}

void fol_worker_run_now(fol_worker *worker, fol_job *job)
{
    fol_worker_run(worker, job);
    end_run(worker);
}

void fol_worker_run_unseen(fol_worker *worker, fol_job *job)
{
    run_inside(worker, job);
    /* A wait inside of it may have said that it is busy. */
    end_run(worker);
}

bool fol_worker_run_one(fol_worker *worker)
{
    fol_job *job = fol_worker_find(worker);
    if (job != NULL) {
        fol_worker_run_now(worker, job);
    }
    return job != NULL;
}

static void poll_if_due(fol_worker *worker)
{
    fol_team *team = worker->team;
    if (team->poll == NULL || worker->place != 0 || fol_cycles_now() < worker->poll_at) {
        return;
    }
    /* Who polls looks for nothing, and may be gone for long. */
    if (worker->is_searching) {
        fol_worker_end_search(worker);
    }
    team->poll(team->poll_state);
    worker->poll_at = fol_cycles_now() + fol_pool_cycles(team->pool, team->poll_ns);
}

static void begin_wait(fol_worker *worker)
{
    if (worker->depth == 0) {
        worker->state_start = fol_cycles_now();
        fol_atomic_store(&worker->team->caller_waits, true, memory_order_relaxed);
    }
}

static void end_wait(fol_worker *worker)
{
    if (worker->is_searching) {
        fol_worker_end_search(worker);
    }
    let_go_of_kept(worker);
    if (worker->depth != 0) {
        fol_worker_set_busy(worker);
        return;
    }
    fol_worker_clear_busy(worker);
    fol_atomic_store(&worker->team->caller_waits, false, memory_order_relaxed);
    fol_number_add(&worker->numbers.busy_cycles, fol_cycles_now() - worker->state_start);
}

void fol_worker_wait(fol_worker *worker, fol_latch *latch)
{
    begin_wait(worker);
    while (!fol_latch_is_open(latch)) {
        fol_job *job = fol_worker_find(worker);
        if (job != NULL) {
            if (worker->is_searching) {
                fol_worker_end_search(worker);
            }
            fol_worker_run(worker, job);
        } else if (!worker->is_searching) {
            fol_worker_begin_search(worker);
        } else if (!fol_worker_search_on(worker)) {
            fol_worker_park(worker, latch);
        }
        poll_if_due(worker);
    }
    end_wait(worker);
}

void fol_worker_serve(fol_worker *worker)
{
    fol_team *team = worker->team;
    /* Whoever took the place counted itself among the searchers. */
    worker->is_searching = true;
    worker->search += 1;
    worker->spin_start_ns = fol_exec_now_ns();
    worker->rounds = 0;
    worker->may_spin = true;
    worker->yields_left = 1;
    fol_number_add(&worker->numbers.joins, 1);
    fol_worker_order_victims(worker);
    if (team->trace != NULL && worker->parked_since != 0) {
        fol_trace_write(team->trace, worker->place, FOL_TRACE_PARK, 0, 0, worker->parked_since,
                        fol_cycles_now());
    }
    for (;;) {
        fol_job *job = fol_worker_find(worker);
        if (job != NULL) {
            if (worker->is_searching) {
                fol_worker_end_search(worker);
            }
            fol_worker_run(worker, job);
        } else if (!worker->is_searching) {
            fol_worker_begin_search(worker);
        } else if (fol_atomic_load(&team->is_closing, memory_order_relaxed) ||
                   !fol_worker_search_on(worker)) {
            break;
        }
    }
    fol_number_add(&worker->numbers.parks, 1);
    worker->parked_since = fol_cycles_now();
}
