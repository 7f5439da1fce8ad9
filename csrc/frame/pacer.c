/* Deadlines of a fixed-rate run, on a grid from its start; see foliot/scheduler.h.
 *
 * Invariant: next_ns is a point of the grid, and when a frame begins at most max_catch_up points
 * stay behind the clock. Lateness is how far after its deadline a frame began.
 */

#include "foliot/scheduler.h"

void fol_pacer_init(fol_pacer *pacer, uint64_t period_ns, uint32_t max_catch_up, uint64_t now_ns)
{
    *pacer = (fol_pacer){.period_ns = period_ns, .next_ns = now_ns, .max_catch_up = max_catch_up};
}

uint64_t fol_pacer_wait_ns(const fol_pacer *pacer, uint64_t now_ns)
{
    return pacer->period_ns != 0 && pacer->next_ns > now_ns ? pacer->next_ns - now_ns : 0;
}

void fol_pacer_begin_frame(fol_pacer *pacer, uint64_t now_ns)
{
    if (pacer->period_ns == 0) {
        return;
    }
    uint64_t lateness = now_ns > pacer->next_ns ? now_ns - pacer->next_ns : 0;
    pacer->total_lateness_ns += lateness;
    if (lateness > pacer->max_lateness_ns) {
        pacer->max_lateness_ns = lateness;
    }
    uint64_t behind = lateness / pacer->period_ns;
    if (behind > 0) {
        pacer->late_frames++;
    }
    if (behind > pacer->max_catch_up) {
        uint64_t dropped = behind - pacer->max_catch_up;
        pacer->dropped_frames += dropped;
        pacer->next_ns += dropped * pacer->period_ns;
    }
    if (__builtin_add_overflow(pacer->next_ns, pacer->period_ns, &pacer->next_ns)) {
        pacer->next_ns = UINT64_MAX; /* some centuries from now */
    }
}
