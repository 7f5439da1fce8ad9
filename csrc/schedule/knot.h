/* Opening a cycle between explicit order and registration order.
 *
 * When every remaining system waits for another one, explicit order makes the order of registration
 * impossible somewhere. Only a true cycle may be opened, and one that waits for nothing outside
 * itself: a source strongly connected component of what remains. Explicit order has no cycles, so
 * some system of it waits for ties only; the earliest registered of these over all such components
 * goes first.
 */
#ifndef FOL_SCHEDULE_KNOT_H
#define FOL_SCHEDULE_KNOT_H

#include "schedule/precedence.h"

/* Scratch for the search, kept over the searches of one phase. */
typedef struct fol_knot {
    const fol_precedence *precedence;
    uint64_t *rows; /* one block, which the rows below are cut from */
    uint64_t *ancestors;
    uint64_t *descendants;
    uint64_t *frontier;
    uint64_t *fresh;
    uint64_t *unseen;
    uint32_t *blockers; /* per rank: an explicit predecessor; those before it have gone */
    uint32_t *stack;
    uint32_t *cursors;
    uint32_t *finished;
} fol_knot;

/* -ENOMEM. */
int fol_knot_init(fol_knot *knot, const fol_precedence *precedence);
void fol_knot_deinit(fol_knot *knot);

/* The system to go first. `remaining` is not empty and each of its systems waits for another one.
 */
uint32_t fol_knot_open(fol_knot *knot, const uint64_t *remaining);

#endif
