/* Points in virtual time of a fair queue, and its average: what the files of the fair queue share.
 *
 * Invariant: average.weight and average.sum are those of exactly the runnables that are counted
 * (queued, delayed, running); with none, V = average.zero.
 */
#ifndef FOL_POLICY_FAIR_POINTS_H
#define FOL_POLICY_FAIR_POINTS_H

#include <errno.h>

#include "base/assert.h"
#include "foliot/status.h"
#include "policy/fair_queue.h"

static inline bool fol_fair_is_earlier(uint64_t a, uint64_t b)
{
    return (int64_t)(a - b) < 0;
}

static inline bool fol_fair_is_textbook(const fol_fair_queue *queue)
{
    return queue->config.mode == FOL_FAIR_TEXTBOOK;
}

/* The quotient rounded down; the divisor is above 0. */
static inline fol_int128 fol_fair_divide(fol_int128 dividend, fol_int128 divisor)
{
    const fol_int128 quotient = dividend / divisor;
    return quotient - (dividend % divisor < 0);
}

/* What `time` (0 to FOL_FAIR_MAX_TIME) adds to v, rounded down. */
static inline uint64_t fol_fair_units(int64_t time, uint32_t weight)
{
    return ((uint64_t)time << FOL_FAIR_SHIFT) / weight;
}

static inline uint64_t fol_fair_v(const fol_fair_queue *queue, uint32_t id)
{
    const uint64_t start = queue->store->nodes[id].start;
    return fol_fair_is_textbook(queue) ? start + queue->store->rests[id].done : start;
}

/* V rounded down. */
static inline uint64_t fol_fair_floor(const fol_fair_queue *queue)
{
    const fol_fair_average *average = &queue->average;
    if (average->weight == 0) {
        return average->zero;
    }
    return average->zero + (uint64_t)fol_fair_divide(average->sum, (int64_t)average->weight);
}

static inline bool fol_fair_is_counted(fol_fair_state state)
{
    return state >= FOL_FAIR_QUEUED;
}

/* Puts the next points near zero again. */
void fol_fair_follow(fol_fair_queue *queue);

/* Joins the average, with the v and weight it has. */
void fol_fair_count_in(fol_fair_queue *queue, uint32_t id);
void fol_fair_count_out(fol_fair_queue *queue, uint32_t id);

/* Those who run. */
void fol_fair_link(fol_fair_queue *queue, uint32_t id);
void fol_fair_unlink(fol_fair_queue *queue, uint32_t id);

/* A delayed one leaves; its lag is kept if it is negative. */
void fol_fair_end_delay(fol_fair_queue *queue, uint32_t id);

#endif
