/* Forks that were taken: running them, and waiting for them. */

#include "exec/parallel.h"

#include <sched.h>

#include "exec/worker.h"

static_assert(offsetof(fol_worker, deque) == 0, "fol_worker_deque takes one for the other");

#define ROUNDS_OF_SPINNING 256u
#define PAUSES_PER_ROUND   8u
#define YIELDS             3u

void fol_fork_tell(fol_worker *worker)
{
    fol_worker_wake_for_branches(worker);
}

/* Wakes the joiner that put its name there and sleeps, if there is one. */
static void wake_joiner(uintptr_t state)
{
    if ((state & FOL_FORK_WAITED) != 0) {
        fol_worker *sleeper = (fol_worker *)(state & ~FOL_FORK_WAITED);
        fol_event_count_notify_all(&sleeper->joined);
    }
}

void fol_fork_run(fol_job *job, fol_worker *worker)
{
    fol_fork *fork = (fol_fork *)job;
    /* So that who waits for it knows whom to help; who sleeps already may help from now on. Acquire
     * pairs with the release in sleep_until_done. */
    wake_joiner(atomic_exchange_explicit(&fork->state, (uintptr_t)worker, memory_order_acq_rel));
    fork->function((fol_parallel *)worker, fork->argument);
    /* Release pairs with the acquire in is_done: what the branch did is seen. Acquire as above. The
     * fork may be gone after this. */
    wake_joiner(atomic_exchange_explicit(&fork->state, FOL_FORK_DONE, memory_order_acq_rel));
}

static bool is_done(const fol_fork *fork)
{
    /* Acquire pairs with the release in fol_fork_run. */
    return fol_atomic_load(&fork->state, memory_order_acquire) == FOL_FORK_DONE;
}

/* Notes who runs the fork, once that is known, for this worker and for those that help it. */
static void learn_runner(fol_worker *worker, uintptr_t state, fol_worker **runner)
{
    if (*runner == NULL && (state & (FOL_FORK_DONE | FOL_FORK_WAITED)) == 0) {
        *runner = (fol_worker *)state;
        /* Release pairs with the acquire in take_below. */
        fol_atomic_store(&worker->waits_for, *runner, memory_order_release);
    }
}

static fol_job *take_branch(fol_worker *worker, fol_worker *victim)
{
    bool contended;
    fol_number_add(&worker->numbers.steal_attempts, 1);
    void *item = fol_deque_steal_marked_thief(&victim->deque, &contended);
    if (item == NULL) {
        fol_number_add(contended ? &worker->numbers.contended : &worker->numbers.steal_misses, 1);
        return NULL;
    }
    fol_number_add(&worker->numbers.stolen, 1);
    if (worker->team->trace != NULL) {
        uint64_t now = fol_cycles_now();
        fol_trace_write(worker->team->trace, worker->place, FOL_TRACE_STEAL, victim->place, 1, now,
                        now);
    }
    return fol_job_of_item(item);
}

/* A branch of the worker that runs the one waited for, or of whom that one waits for, and so on.
 * NULL for a runner that is not known: the branch is about to be begun. */
static fol_job *take_below(fol_worker *worker, fol_worker *runner)
{
    /* The chain changes while it is followed, so its length is bounded here. */
    uint32_t most = worker->team->worker_count;
    for (uint32_t i = 0; i < most && runner != NULL && runner != worker; i++) {
        fol_job *job = take_branch(worker, runner);
        if (job != NULL) {
            return job;
        }
        /* Acquire pairs with the releases of waits_for: the worker it names is one of the team. */
        runner = fol_atomic_load(&runner->waits_for, memory_order_acquire);
    }
    return NULL;
}

/* Sleeps until the fork is done, or somebody begins it, or branches became public that nobody else
 * is there for. */
static void sleep_until_done(fol_worker *worker, fol_fork *fork, fol_worker **runner)
{
    fol_team *team = worker->team;
    uintptr_t state = fol_atomic_load(&fork->state, memory_order_relaxed);
    uintptr_t asleep = (uintptr_t)worker | FOL_FORK_WAITED;
    uint64_t start = fol_cycles_now();
    fol_atomic_store(&worker->sleeps_in_join, true, memory_order_relaxed);
    fol_atomic_fetch_add(&team->join_sleepers, 1, memory_order_relaxed);
    /* Passes the full fence that pairs with those of notify and of fol_worker_wake_for_branches. */
    uint32_t key = fol_event_count_prepare(&worker->joined);
    /* Release pairs with the acquires in fol_fork_run. A turn more when the fork was begun or ended
     * at this moment. */
    while (state != FOL_FORK_DONE && state != asleep &&
           !fol_atomic_compare_exchange(&fork->state, &state, asleep, memory_order_release,
                                        memory_order_relaxed)) {
    }
    learn_runner(worker, state, runner);
    fol_exec_let_stores_arrive();
    bool is_over = state == FOL_FORK_DONE;
    fol_job *job = is_over ? NULL : take_below(worker, *runner);
    if (is_over || job != NULL) {
        fol_event_count_cancel(&worker->joined);
    } else {
        fol_number_add(&worker->numbers.parks, 1);
        fol_event_count_commit(&worker->joined, key, 0);
        if (team->trace != NULL) {
            fol_trace_write(team->trace, worker->place, FOL_TRACE_PARK, 0, 0, start,
                            fol_cycles_now());
        }
        fol_worker_order_victims(worker);
    }
    fol_atomic_fetch_sub(&team->join_sleepers, 1, memory_order_relaxed);
    fol_atomic_store(&worker->sleeps_in_join, false, memory_order_relaxed);
    if (job != NULL) {
        fol_worker_run(worker, job);
    }
}

static void wait_a_little(fol_worker *worker, uint32_t round)
{
    if (round < ROUNDS_OF_SPINNING) {
        for (uint32_t i = 0; i < PAUSES_PER_ROUND; i++) {
            fol_pause();
        }
        fol_number_add(&worker->numbers.spins, 1);
    } else {
        sched_yield();
        fol_number_add(&worker->numbers.yields, 1);
    }
}

/* Until the fork has run elsewhere. */
static void await(fol_worker *worker, fol_fork *fork)
{
    /* A join may be inside of a branch that a join runs, so the outer one's name comes back. */
    fol_worker *outer = fol_atomic_load(&worker->waits_for, memory_order_relaxed);
    fol_worker *runner = NULL;
    uint32_t rounds = fol_worker_may_spin(worker) ? ROUNDS_OF_SPINNING : 0;
    uint32_t round = 0;
    while (!is_done(fork)) {
        learn_runner(worker, fol_atomic_load(&fork->state, memory_order_relaxed), &runner);
        fol_job *job = take_below(worker, runner);
        if (job != NULL) {
            fol_worker_run(worker, job);
            round = 0;
        } else if (round < rounds + YIELDS) {
            wait_a_little(worker, ROUNDS_OF_SPINNING - rounds + round);
            round += 1;
        } else {
            sleep_until_done(worker, fork, &runner);
            round = 0;
        }
    }
    fol_atomic_store(&worker->waits_for, outer, memory_order_release);
    if (worker->depth == 0) {
        fol_worker_clear_busy(worker);
    }
}

bool fol_fork_reclaim_slowly(fol_worker *worker, fol_fork *fork, void *item)
{
    /* An older one has its own join; the room it had is still there. */
    if (item != NULL && fol_deque_push_private_owner(&worker->deque, item) != 0) {
        FOL_ASSERT(false);
    }
    if (fol_atomic_load(&fork->state, memory_order_relaxed) == FOL_FORK_UNQUEUED) {
        return true;
    }
    /* A thief has it, or a wait inside of the forking function ran it like any job. */
    await(worker, fork);
    return false;
}
