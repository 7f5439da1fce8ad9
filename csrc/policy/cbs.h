/* Constant bandwidth servers: a budget Q each period T, and a deadline to be scheduled by.
 *
 * Wake at t, with q left and deadline d: when d <= t, or q * D > (d - t) * Q (what is left is more
 * than its share until the deadline), the server begins anew with q = Q and d = t + D; else it
 * keeps both. With a constrained deadline, D < T, two things differ. While d is to come, q is cut
 * to its share, (d - t) * Q / D rounded down, and d stays. And once d is over, the server waits
 * until its next period begins, at d - D + T; else one that sleeps past each deadline would get Q
 * every D.
 *
 * Used up: a soft server gets Q at once for each T that its deadline moves away, until it has some
 * left. A hard one waits for as many periods as pay for its debt, and its deadline moves by so
 * many; when it is so late that its next period has begun, that one pays at once. A deadline that
 * is over by then is moved to now + D; what is left, and with it the debt that was paid from it,
 * stays. Deadlines never move closer.
 *
 * Bound of a hard server: a window of length w sees at most 3Q + (w - 2Q) * Q / T of use, one more
 * c when runs exceed what was left by at most c. For the server begins anew from time to time, and
 * uses at most Q, and at most Q / T of the time until it does so again, of each such stretch,
 * however late it runs. A window sees what is left of those that began before it, which are at most
 * two; those that begin in it; and of the last of them up to Q. When it never runs past a deadline,
 * one began before, and 2Q + (w - 2Q) * Q / T bounds it.
 *
 * Sources: Abeni and Buttazzo, "Integrating multimedia applications in hard real-time systems"
 * (RTSS 1998); Abeni, Lipari, Parri and Sun, "Multicore CPU reclaiming: parallel or sequential?"
 * (SAC 2016) for the revised rule; both rules for constrained deadlines as Linux applies them.
 *
 * Invariants: q <= Q; only a throttled server has q <= 0, and only a hard one is throttled.
 *
 * Pure: no thread, no clock, no allocation. One owner at a time.
 */
#ifndef FOL_POLICY_CBS_H
#define FOL_POLICY_CBS_H

#include "foliot/budget.h"

/* What a run that begins now may use; 0 while throttled. */
int64_t fol_cbs_available(const fol_cbs *server, int64_t now);

/* Asserts what the invariants above say. */
void fol_cbs_invariants(const fol_cbs *server);

#endif
