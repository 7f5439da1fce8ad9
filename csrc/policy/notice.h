/* Notices of depletion: that a budget was used up is told without any allocation.
 *
 * Each context has one slot, made at set-up. What happens before its notice is taken goes into the
 * same one: a count, the first and the last time, the sum. Slots that hold something stand in a
 * queue, in the order of their first events, so that a consumer finds them without a search, and
 * none waits behind one that keeps being added to.
 *
 * A notice names the context by its handle, and outlives it: who was killed for an overrun is still
 * told of. Only when a later context takes over the slot is a notice that nobody took by then
 * dropped, and counted.
 *
 * Invariant: a slot is in the queue exactly when its count is above 0.
 *
 * Pure, and not thread-safe: whoever owns the contexts holds the lock under which notices are left
 * and taken.
 */
#ifndef FOL_POLICY_NOTICE_H
#define FOL_POLICY_NOTICE_H

#include "foliot/budget.h"

#define FOL_NO_NOTICE UINT32_MAX

typedef struct fol_notice_slot {
    fol_notice notice;
    uint32_t next; /* in the queue; FOL_NO_NOTICE: the last */
    uint32_t previous;
} fol_notice_slot;

typedef struct fol_notice_box {
    fol_notice_slot *slots; /* the caller's, `capacity` of them */
    uint32_t capacity;
    uint32_t first;
    uint32_t last;
    uint64_t dropped; /* notices that nobody took before their slot was needed */
} fol_notice_box;

void fol_notice_box_init(fol_notice_box *box, fol_notice_slot *slots, uint32_t capacity);
/* An event of the context in a slot: at a time, of an amount. */
void fol_notice_post(fol_notice_box *box, uint32_t slot, uint64_t context, int64_t now,
                     int64_t amount);
/* A slot is about to belong to another context: what it holds is dropped. */
void fol_notice_clear(fol_notice_box *box, uint32_t slot);
/* False: there is none in the slot, or none at all. */
bool fol_notice_take(fol_notice_box *box, uint32_t slot, fol_notice *out);
bool fol_notice_take_first(fol_notice_box *box, fol_notice *out);

/* Asserts what the invariant above says. */
void fol_notice_box_invariants(const fol_notice_box *box);

#endif
