/* Fork, join and the parallel loop on a team: what foliot/parallel.h promises.
 *
 * A fork goes to the private part of the worker's deque, by plain stores; when no public job is
 * left the older half of the private ones is published, and a sleeper told. So a tree of small
 * forks costs a few instructions each while everybody has work, and the oldest, largest branch is
 * always there to be taken.
 *
 * A join finds its branch at the newest end of the deque and runs it as a plain call; or it was
 * taken, and then so were all older ones, so the worker has nothing of its own left. Meanwhile it
 * helps whoever took the branch, and whoever that one waits for in turn (leapfrogging: Wagner and
 * Calder, PPoPP 1993), by running branches of theirs, and parks when they have none.
 *
 * No deadlock. A worker's stack holds branches, each begun while the one below waited in a join.
 * Say that every worker waited for a branch that lies on some stack below another wait, round in a
 * circle. A branch is forked before it begins, and begins before anything above it on its stack;
 * so each step round the circle leads to a later moment than the one before, and the circle
 * contradicts itself.
 *
 * How deep stacks get. A worker takes only branches that were forked below the one it waits for, so
 * frames lie on a stack no deeper than forks lie inside of each other on the way from the root. The
 * exception is a race: in the moment in which the helped worker ends that branch and turns to
 * another, the helper may take one from there, and adds the depth of that. A loop takes one frame
 * (of some 6 KiB) whatever its length.
 *
 * Only marked items of deques are branches. Nothing else is run inside of a join, so no other job
 * of the team ever starts in the middle of the one that joins.
 */
#ifndef FOL_EXEC_PARALLEL_H
#define FOL_EXEC_PARALLEL_H

#include <stddef.h>
#include <stdint.h>

#include "base/atomics.h"
#include "exec/team.h"
#include "foliot/parallel.h"
#include "structures/deque.h"

/* On teams. */
extern const fol_parallel_api fol_parallel_on_team;
/* In place, for a thread that is no worker; the handle may be NULL. */
extern const fol_parallel_api fol_parallel_in_place;

static inline fol_parallel *fol_worker_parallel(fol_worker *worker)
{
    return (fol_parallel *)worker;
}

/* A branch as it lies in the storage of a fol_branch. */
typedef struct __attribute__((may_alias)) fol_fork {
    fol_job job;
    fol_branch_function function;
    void *argument;
    /* FOL_FORK_*, or the worker that runs it, or the one that waits for it, plus
     * FOL_FORK_WAITED. */
    FOL_ATOMIC(uintptr_t) state;
} fol_fork;

#define FOL_FORK_QUEUED   ((uintptr_t)0)
#define FOL_FORK_DONE     ((uintptr_t)1)
#define FOL_FORK_WAITED   ((uintptr_t)2) /* beside the address of who sleeps */
#define FOL_FORK_UNQUEUED ((uintptr_t)3) /* there was no room: its join runs it */

static_assert(sizeof(fol_fork) <= sizeof(fol_branch), "a fork fits where the user puts it");

/* What runs a fork that was taken out of a deque. */
void fol_fork_run(fol_job *job, fol_worker *worker);
/* Tells idle workers that branches became public. */
void fol_fork_tell(fol_worker *worker);
/* fol_fork_reclaim where `item`, or nothing (NULL), was the newest in the deque instead. */
bool fol_fork_reclaim_slowly(fol_worker *worker, fol_fork *fork, void *item);

static inline fol_deque *fol_worker_deque(fol_worker *worker)
{
    /* Its first member; worker.h asserts that. */
    return (fol_deque *)worker;
}

/* The fork is not in the deque yet, and its function and argument are set. */
static inline void fol_fork_push(fol_worker *worker, fol_fork *fork)
{
    fol_deque *deque = fol_worker_deque(worker);
    fork->job.run = fol_fork_run;
    fol_atomic_init(&fork->state, FOL_FORK_QUEUED);
    if (FOL_UNLIKELY(fol_deque_push_private_owner(deque, (void *)((uintptr_t)fork | 1)) != 0)) {
        fol_atomic_init(&fork->state, FOL_FORK_UNQUEUED);
    } else if (FOL_UNLIKELY(fol_deque_share_owner(deque))) {
        fol_fork_tell(worker);
    }
}

/* The newest item of the deque if it is marked. A single one is taken as a thief takes it, by one
 * swap, where a pop takes an ordered store and a swap. */
static inline void *fol_worker_pop_branch(fol_worker *worker)
{
    fol_deque *deque = fol_worker_deque(worker);
    uint64_t bottom = deque->own_bottom;
    if (FOL_UNLIKELY(bottom == deque->tail) &&
        fol_atomic_load(&deque->top, memory_order_relaxed) + 1 == bottom) {
        const void *single =
            fol_atomic_load(&deque->slots[(bottom - 1) & deque->mask], memory_order_relaxed);
        return fol_deque_item_is_marked(single) ? fol_deque_take_owner(deque) : NULL;
    }
    return fol_deque_pop_marked_owner(deque);
}

/* True when nobody took the fork: it is out of the deque, and the caller runs it. Else it has run
 * when this returns. */
static inline bool fol_fork_reclaim(fol_worker *worker, fol_fork *fork)
{
    void *item = fol_worker_pop_branch(worker);
    if (FOL_LIKELY(item == (void *)((uintptr_t)fork | 1))) {
        return true;
    }
    return fol_fork_reclaim_slowly(worker, fork, item);
}

/* foliot/parallel.h's fork and join for code of the core. */
static inline void fol_worker_fork(fol_worker *worker, fol_branch *branch,
                                   fol_branch_function function, void *argument)
{
    fol_fork *fork = (fol_fork *)branch;
    fork->function = function;
    fork->argument = argument;
    fol_fork_push(worker, fork);
}

static inline void fol_worker_join(fol_worker *worker, fol_branch *branch)
{
    fol_fork *fork = (fol_fork *)branch;
    if (FOL_LIKELY(fol_fork_reclaim(worker, fork))) {
        fork->function((fol_parallel *)worker, fork->argument);
    }
}

#endif
