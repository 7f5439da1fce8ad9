/* Fork, join and the parallel loop on a team: what foliot/parallel.h promises.
 *
 * A fork goes to the private part of the worker's deque, without a fence; when no public job is
 * left the older half of the private ones is published, and a sleeper told. So a tree of small
 * forks costs a few instructions each while everybody has work, and the oldest, largest branch is
 * always there to be taken.
 *
 * A join finds its branch at the private bottom (runs it as a plain call), at the public bottom
 * (pops it), or gone: then it runs other jobs until the thief has ended.
 */
#ifndef FOL_EXEC_PARALLEL_H
#define FOL_EXEC_PARALLEL_H

#include "exec/team.h"
#include "foliot/parallel.h"

/* On teams. */
extern const fol_parallel_api fol_parallel_on_team;
/* In place, for a thread that is no worker; the handle may be NULL. */
extern const fol_parallel_api fol_parallel_in_place;

static inline fol_parallel *fol_worker_parallel(fol_worker *worker)
{
    return (fol_parallel *)worker;
}

#endif
