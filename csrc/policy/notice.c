/* Notices of depletion; notice.h has the contract. */

#include "policy/notice.h"

#include "base/assert.h"

/* What a sum would hold beyond this is not told. */
static int64_t add_up(int64_t sum, int64_t amount)
{
    return sum < INT64_MAX - amount ? sum + amount : INT64_MAX;
}

void fol_notice_box_init(fol_notice_box *box, fol_notice_slot *slots, uint32_t capacity)
{
    FOL_ASSERT(capacity < FOL_NO_NOTICE);
    *box = (fol_notice_box){
        .slots = slots, .capacity = capacity, .first = FOL_NO_NOTICE, .last = FOL_NO_NOTICE};
    for (uint32_t slot = 0; slot < capacity; slot++) {
        slots[slot] = (fol_notice_slot){.next = FOL_NO_NOTICE, .previous = FOL_NO_NOTICE};
    }
}

/* The place that points forward to what comes behind a slot, or in front of all. */
static uint32_t *link_behind(fol_notice_box *box, uint32_t slot)
{
    return slot == FOL_NO_NOTICE ? &box->first : &box->slots[slot].next;
}

static uint32_t *link_before(fol_notice_box *box, uint32_t slot)
{
    return slot == FOL_NO_NOTICE ? &box->last : &box->slots[slot].previous;
}

static void append(fol_notice_box *box, uint32_t slot)
{
    fol_notice_slot *item = &box->slots[slot];
    item->previous = box->last;
    item->next = FOL_NO_NOTICE;
    *link_behind(box, box->last) = slot;
    box->last = slot;
}

static void unlink_slot(fol_notice_box *box, uint32_t slot)
{
    fol_notice_slot *item = &box->slots[slot];
    *link_behind(box, item->previous) = item->next;
    *link_before(box, item->next) = item->previous;
    *item = (fol_notice_slot){.next = FOL_NO_NOTICE, .previous = FOL_NO_NOTICE};
}

void fol_notice_post(fol_notice_box *box, uint32_t slot, uint64_t context, int64_t now,
                     int64_t amount)
{
    FOL_ASSERT(slot < box->capacity);
    FOL_ASSERT(amount >= 0);
    fol_notice *notice = &box->slots[slot].notice;
    FOL_ASSERT(notice->count == 0 || notice->context == context);
    if (notice->count == 0) {
        *notice = (fol_notice){.context = context, .first = now};
        append(box, slot);
    }
    notice->count++;
    notice->last = now;
    notice->amount = add_up(notice->amount, amount);
    FOL_CHECK_INVARIANTS(fol_notice_box_invariants(box));
}

void fol_notice_clear(fol_notice_box *box, uint32_t slot)
{
    FOL_ASSERT(slot < box->capacity);
    if (box->slots[slot].notice.count > 0) {
        unlink_slot(box, slot);
        box->dropped++;
    }
    FOL_CHECK_INVARIANTS(fol_notice_box_invariants(box));
}

bool fol_notice_take(fol_notice_box *box, uint32_t slot, fol_notice *out)
{
    FOL_ASSERT(slot < box->capacity);
    if (box->slots[slot].notice.count == 0) {
        return false;
    }
    *out = box->slots[slot].notice;
    unlink_slot(box, slot);
    FOL_CHECK_INVARIANTS(fol_notice_box_invariants(box));
    return true;
}

bool fol_notice_take_first(fol_notice_box *box, fol_notice *out)
{
    return box->first != FOL_NO_NOTICE && fol_notice_take(box, box->first, out);
}

void fol_notice_box_invariants(const fol_notice_box *box)
{
    uint32_t queued = 0;
    uint32_t previous = FOL_NO_NOTICE;
    for (uint32_t slot = box->first; slot != FOL_NO_NOTICE; slot = box->slots[slot].next) {
        FOL_ASSERT(slot < box->capacity && queued < box->capacity);
        FOL_ASSERT(box->slots[slot].previous == previous);
        FOL_ASSERT(box->slots[slot].notice.count > 0);
        previous = slot;
        queued++;
    }
    FOL_ASSERT(box->last == previous);
    uint32_t full = 0;
    for (uint32_t slot = 0; slot < box->capacity; slot++) {
        full += box->slots[slot].notice.count > 0;
    }
    FOL_ASSERT(full == queued);
}
