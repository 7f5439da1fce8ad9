/* Sporadic refills: a budget that comes back one period after it was used.
 *
 * A ring of (time, amount), in the order of time: `amount` may be used from `time` on. What is used
 * is given back as a refill one period later. Seen one unit of time at a time: unit k of a refill
 * may be used at time + k at the earliest, and never moves to an earlier time; once used it comes
 * back one period after that.
 *
 * Invariants: the amounts add up to the budget, and each is at least 1; each refill ends (time +
 * amount) at or before the next begins; the head has at least the minimum, which is meant to be
 * twice what a dispatch costs, so that no run is shorter than that.
 *
 * Bound. When every run begins with unblock (also after somebody else ran in between) and no run
 * goes on past what was available, then each unit is used at most once in any period, so a window
 * of length w sees at most floor(w / period) * budget + min(w mod period, budget) of use. When runs
 * exceed what was available by at most c, it sees at most c more: charge counts the excess as used
 * when its refills would have been due, and until then nothing is ready. Without unblock at the
 * beginning of a run, what was left from before counts as used back then, and the bound is lost.
 *
 * A full ring, and a head below the minimum, are helped by joining two refills at the later of
 * their times: capacity costs the owner time, and nobody else.
 *
 * One CPU's worth: charges count one after the other. Users that run at the same time get ahead of
 * the clock, and the head is not ready until the clock is there.
 *
 * Sources: Sprunt, Sha and Lehoczky, "Aperiodic task scheduling for hard real-time systems" (1989);
 * Stanovich, Baker, Wang and Gonzalez Harbour, "Defects of the POSIX sporadic server and how to
 * correct them" (RTAS 2010); the rules as seL4's MCS kernel applies them.
 *
 * Pure: no thread, no clock, no allocation. One owner at a time.
 */
#ifndef FOL_POLICY_REFILL_H
#define FOL_POLICY_REFILL_H

#include "foliot/budget.h"

/* What the run that began at the head's time may use in all without a pause. */
int64_t fol_refill_burst(const fol_refill_ring *ring);

/* Asserts what the invariants above say. */
void fol_refill_invariants(const fol_refill_ring *ring);

#endif
