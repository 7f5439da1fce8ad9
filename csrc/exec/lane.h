/* The lane: nodes that run one at a time, on whichever worker drains it.
 *
 * Systems of a host language with a global lock would only queue up behind each other on several
 * workers. In the lane they take turns without waiting: a worker that makes a node of the lane
 * ready puts it there and goes on, and one worker at a time, the drainer, runs what is there, the
 * most urgent first. The caller drains whenever it can; another worker only while the caller is
 * busy with something else.
 *
 * A node is known by its rank, its place in the order of urgency among the nodes of the lane in its
 * segment: rank 0 is the most urgent. Ready ranks are bits of a bitmap, so the lane is never full,
 * and the most urgent is the lowest bit.
 *
 * Any thread may put, ask and try to enter; next is the drainer's alone; reserve and set_count come
 * while nothing is ready and nobody drains.
 */
#ifndef FOL_EXEC_LANE_H
#define FOL_EXEC_LANE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/atomics.h"

typedef struct fol_lane {
    /* Twice the number of ready ranks, plus one while somebody drains. */
    FOL_ATOMIC(uint32_t) state;
    uint32_t word_count; /* of this run */
    uint32_t capacity;   /* words */
    FOL_ATOMIC(uint64_t) * words;
} fol_lane;

void fol_lane_init(fol_lane *lane);
void fol_lane_deinit(fol_lane *lane);
/* Room for ranks below `ranks`. -ENOMEM: nothing changed. */
int fol_lane_reserve(fol_lane *lane, uint32_t ranks);
/* The ranks of the run that begins are below `ranks`, which room was made for. */
void fol_lane_set_count(fol_lane *lane, uint32_t ranks);

/* True when nobody drains: then who put it sees to it that somebody does. */
bool fol_lane_put(fol_lane *lane, uint32_t rank);
/* Something is ready and nobody drains. */
static inline bool fol_lane_is_waiting(fol_lane *lane)
{
    uint32_t state = fol_atomic_load(&lane->state, memory_order_relaxed);
    return state != 0 && (state & 1u) == 0;
}
/* Makes the calling thread the drainer if something is ready and nobody drains. */
bool fol_lane_try_enter(fol_lane *lane);
/* The most urgent of what is ready; false when nothing is, and then the caller of this is no longer
 * the drainer. */
bool fol_lane_next(fol_lane *lane, uint32_t *rank);

#endif
