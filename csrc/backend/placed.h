/* A prepared phase that runs on the caller or on all workers, whichever takes less time: what the
 * backends with workers have in common.
 *
 * Costs of nodes are asked for after the runs 1, 2, 4 … 256 and rarely afterwards, so that they
 * take well under 1 % of the time; runs on the caller cost two stamps more than without a choice.
 */
#ifndef FOL_BACKEND_PLACED_H
#define FOL_BACKEND_PLACED_H

#include "backend/backend.h"
#include "backend/crew.h"
#include "policy/placement.h"

/* What was found for one load that may come back. */
typedef struct fol_placed_kept {
    uint64_t load; /* 0: none */
    fol_placement placement;
} fol_placed_kept;

/* The first member of what such a backend prepares. */
typedef struct fol_placed {
    fol_placement placement;
    double *costs; /* cycles, one a node; of one that can be cut, what it takes when all help */
    /* One a segment: two of its nodes may run at once. */
    uint8_t *has_overlap;
    /* One a segment: a node of it can be cut; also before the first costs. */
    uint8_t *has_cuts;
    uint64_t runs;
    uint64_t next_refresh; /* runs when costs are asked for again */
    uint64_t epoch;        /* of the caller of fol_placed_run_in_order, when they were last asked */
    fol_placed_kept *kept; /* `kept_count` of them; NULL: loads are not told apart */
    uint32_t kept_count;
    uint32_t slot; /* of the load for which the placement is */
    uint64_t load; /* that load; 0: none that is kept */
} fol_placed;

/* Runs the phase on all workers, merges included. */
typedef void fol_placed_run(fol_backend *backend, const fol_work *work);
/* Takes the costs over and returns what the phase takes at least by them, its span. */
typedef double fol_placed_use_costs(fol_backend *backend, const fol_work *work);

/* -ENOMEM: nothing is left. */
int fol_placed_init(fol_placed *placed, const fol_backend *backend, const fol_crew *crew,
                    const fol_work *work);
void fol_placed_deinit(fol_placed *placed);
void fol_placed_run_phase(fol_placed *placed, fol_backend *backend, const fol_work *work,
                          fol_placed_run *run, fol_placed_use_costs *use_costs);
/* Runs it on the caller without a choice, and asks for the costs now and then, so that it stays
 * known what a choice could save: soon when `epoch` is another than before, and in the long run so
 * that it takes one part in REFRESH_SHARE of the time. */
void fol_placed_run_in_order(fol_placed *placed, fol_backend *backend, const fol_work *work,
                             uint64_t epoch, fol_placed_use_costs *use_costs);
/* -ENOMEM: nothing is kept. */
int fol_placed_keep(fol_placed *placed, uint32_t count);
/* From here on runs are of this load (0: none that is kept), which has that slot until another load
 * gets it: the placement goes on with what was found for it before. */
void fol_placed_set_load(fol_placed *placed, uint64_t load, uint32_t slot);
/* Whether anything in the segment can run at the same time as something else. */
static inline bool fol_placed_is_parallel(const fol_placed *placed, uint32_t segment)
{
    return placed->has_overlap[segment] != 0 || placed->has_cuts[segment] != 0;
}
/* placed NULL: there is one worker. */
size_t fol_placed_explain(const fol_placed *placed, const char *name, double ns_per_cycle,
                          char *out, size_t room);

#endif
