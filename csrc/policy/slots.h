/* Calls of the slots that somebody else filled: guarded, so that nothing a policy does stops
 * anything.
 *
 * Each function asks a slot and returns whether its output is the policy's answer. It is not when
 * the slot is empty, leaves the decision to the built-in policy, or fails: with a negative status,
 * an answer that cannot be, or one that came too late. Failures are reported and counted, and so
 * many of them switch all slots off for good.
 *
 * Invariant: faults is below the limit exactly while the policy is on, and a policy that is off is
 * never called.
 */
#ifndef FOL_POLICY_SLOTS_H
#define FOL_POLICY_SLOTS_H

#include "foliot/policy.h"

/* Where a slot was asked, for whoever is told of a fault. */
typedef struct fol_slot_site {
    int64_t now;
    uint32_t runnable; /* FOL_NO_RUNNABLE: none in particular */
    uint32_t cpu;      /* FOL_NO_CPU: none */
} fol_slot_site;

typedef struct fol_slots {
    fol_policy_slots table;
    uint32_t faults;
    uint32_t max_faults;
    int64_t (*stopwatch)(void *state); /* NULL: slots may take any time */
    void *stopwatch_state;
    int64_t limit;
    /* A fault, of which faults counts this one; the policy is off from here on when that is the
     * last one. */
    void (*report)(void *owner, fol_policy_slot slot, int status, const fol_slot_site *site);
    void *owner;
} fol_slots;

static inline bool fol_slots_are_on(const fol_slots *slots)
{
    return slots->faults < slots->max_faults;
}

bool fol_slots_enqueue(fol_slots *slots, const fol_runnable_view *view, int64_t now, int64_t *rank);
bool fol_slots_pick(fol_slots *slots, const fol_ready *ready, uint32_t cpu, int64_t now,
                    uint32_t *place);
bool fol_slots_slice(fol_slots *slots, const fol_runnable_view *view, uint32_t cpu, int64_t now,
                     int64_t *slice);
bool fol_slots_admit(fol_slots *slots, const fol_runnable_view *view, int64_t now, bool *is_taken);
/* order: room for `workers`; on a true answer all others are in it, those that were left out last
 * in the order of the circle. */
bool fol_slots_victims(fol_slots *slots, uint32_t worker, uint32_t workers, int64_t now,
                       uint32_t *order, uint32_t *count);
bool fol_slots_spin_limit(fol_slots *slots, uint32_t worker, int64_t now, uint32_t *limit);
bool fol_slots_chunk_rows(fol_slots *slots, uint32_t system, uint64_t rows, int64_t now,
                          uint64_t *chunk);
bool fol_slots_backend(fol_slots *slots, const fol_policy_load *load, uint32_t backends,
                       int64_t now, uint32_t *choice);

#endif
