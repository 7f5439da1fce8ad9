/* Opening a cycle between explicit order and registration order.
 *
 * When every remaining system waits for another one, explicit order makes the order of registration
 * impossible somewhere. Only a true cycle may be opened, and one that waits for nothing outside
 * itself: a source strongly connected component of what remains. Explicit order has no cycles, so
 * some system of it waits for ties only; the earliest registered of these over all such components
 * goes first.
 *
 * Invariant of the forest that saves most searches: every source component has a hub, the trees of
 * the hubs' successors hold all that remains, and members of a component hang in its hub's tree.
 * Then a member that reaches its hub reaches all that reaches it, and nothing is a source but what
 * contains a hub.
 */
#ifndef FOL_SCHEDULE_KNOT_H
#define FOL_SCHEDULE_KNOT_H

#include "schedule/reach.h"

typedef struct fol_knot {
    const fol_precedence *precedence;
    fol_reach reach;
    bool has_forest;
    uint32_t gone_count;
    uint64_t *attached; /* in the forest; owns the block of rows */
    uint64_t *loose;    /* to be attached anew */
    uint64_t *members;  /* of source components */
    uint64_t *scratch;
    uint64_t *untaken;
    uint32_t *blockers; /* per rank: an explicit predecessor; those before it have gone */
    uint32_t *hubs;     /* per member */
    uint32_t *hints;    /* per rank: a successor that led to the hub, or itself */
    uint32_t *children; /* per rank: the first that hangs under it, or FOL_NONE */
    uint32_t *siblings; /* per rank: the next under the same */
    uint32_t *gone;     /* since the last search */
    uint32_t *queue;
} fol_knot;

/* -ENOMEM. */
int fol_knot_init(fol_knot *knot, const fol_precedence *precedence);
void fol_knot_deinit(fol_knot *knot);

/* The system is no longer among those that remain. Once each. */
void fol_knot_forget(fol_knot *knot, uint32_t rank);

/* The system to go first. `remaining` is not empty and each of its systems waits for another one.
 */
uint32_t fol_knot_open(fol_knot *knot, const uint64_t *remaining);

#endif
