/* Slots of requests, parked requests, and completions kept for later.
 *
 * A slot is free, with the kernel (or queued for it), or parked. The queue of kept completions has
 * room for four times as many as there are slots: what is taken from the kernel before its time
 * stops at three quarters (fol_ring_take_early), and each slot can end once more by our own hand,
 * as can each plain request, which with the slots are no more than there are slots.
 */

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "io/ring.h"

static uint32_t power_of_two(uint32_t least)
{
    uint32_t value = 1;
    while (value < least) {
        value *= 2;
    }
    return value;
}

int fol_ring_slots_init(fol_io_ring *ring, uint32_t count)
{
    FOL_ASSERT(count > 0);
    FOL_ASSERT(count < FOL_RING_CANCEL);
    /* At least two: a shift by all bits is none. */
    uint32_t hint_count = power_of_two(count < 2 ? 2 : count);
    uint32_t early_count = 4 * hint_count;
    ring->slots = fol_alloc_zeroed(count, sizeof *ring->slots);
    ring->hints = fol_alloc_zeroed(hint_count, sizeof *ring->hints);
    ring->early = fol_alloc_array(early_count, sizeof *ring->early);
    ring->cancels = fol_alloc_array(count, sizeof *ring->cancels);
    if (ring->slots == NULL || ring->hints == NULL || ring->early == NULL ||
        ring->cancels == NULL) {
        fol_ring_slots_deinit(ring);
        return -ENOMEM;
    }
    for (uint32_t index = 0; index < count; index++) {
        ring->slots[index].next = index + 1 < count ? index + 1 : FOL_RING_NONE;
        ring->slots[index].buffer = -1;
    }
    ring->slot_count = count;
    ring->hint_shift = 32 - (uint32_t)__builtin_ctz(hint_count);
    ring->early_mask = early_count - 1;
    ring->free_slot = 0;
    ring->parked = FOL_RING_NONE;
    ring->starved = FOL_RING_NONE;
    return FOL_OK;
}

void fol_ring_slots_deinit(fol_io_ring *ring)
{
    fol_free(ring->cancels);
    fol_free(ring->early);
    fol_free(ring->hints);
    fol_free(ring->slots);
    ring->cancels = NULL;
    ring->early = NULL;
    ring->hints = NULL;
    ring->slots = NULL;
}

uint32_t fol_ring_slot_find(const fol_io_ring *ring, uint64_t token)
{
    uint32_t hint = ring->hints[fol_ring_hint(ring, token)];
    if (ring->slots[hint].bits != 0 && ring->slots[hint].token == token) {
        return hint;
    }
    /* Another token took the place of the hint, or the request has ended. */
    for (uint32_t index = 0; index < ring->slot_count; index++) {
        if (ring->slots[index].bits != 0 && ring->slots[index].token == token) {
            return index;
        }
    }
    return FOL_RING_NONE;
}

void fol_ring_keep(fol_io_ring *ring, const fol_io_event *event, fol_io_plain *plain, bool gives_fd)
{
    if (ring->is_ending) {
        if (gives_fd && event->value >= 0) {
            close((int)event->value);
        }
        ring->base.in_flight -= event->has_more ? 0 : 1;
        return;
    }
    FOL_ASSERT(ring->early_count <= ring->early_mask);
    uint32_t place = (ring->early_head + ring->early_count) & ring->early_mask;
    ring->early[place].event = *event;
    ring->early[place].plain = plain;
    ring->early[place].gives_fd = gives_fd;
    ring->early_count += 1;
    if (plain != NULL) {
        fol_io_link_append(&ring->base.kept_plains, &plain->link);
    }
}

void fol_ring_finish_plain(fol_io_ring *ring, fol_io_plain *plain, int value)
{
    const fol_io_event event = {.token = (uintptr_t)plain, .value = value, .buffer = -1};
    FOL_ASSERT(ring->plain_count > 0);
    ring->plain_count -= 1;
    fol_io_link_remove(&plain->link);
    fol_ring_keep(ring, &event, plain, false);
}

void fol_ring_finish(fol_io_ring *ring, uint32_t slot, int value)
{
    const fol_io_event event = {.token = ring->slots[slot].token, .value = value, .buffer = -1};
    uint32_t bits = ring->slots[slot].bits;
    FOL_ASSERT(bits != 0);
    if (ring->slots[slot].buffer >= 0) {
        fol_ring_buffer_return(ring, (uint32_t)ring->slots[slot].buffer);
        ring->slots[slot].buffer = -1;
    }
    if ((bits & FOL_RING_SLOT_DIRECT_OPEN) != 0) {
        fol_ring_files_count(ring, -1);
    }
    fol_ring_slot_free(ring, slot);
    fol_ring_keep(ring, &event, NULL, false);
}

void fol_ring_finish_all(fol_io_ring *ring)
{
    for (uint32_t index = 0; index < ring->slot_count; index++) {
        if (ring->slots[index].bits != 0) {
            fol_ring_finish(ring, index, -ECANCELED);
        }
    }
    const fol_io_link *plains = &ring->base.plains;
    while (plains->next != plains) {
        fol_ring_finish_plain(ring, fol_io_plain_of(plains->next), -ECANCELED);
    }
    ring->parked = FOL_RING_NONE;
    ring->starved = FOL_RING_NONE;
    ring->parked_count = 0;
    FOL_ASSERT(ring->used == 0 && ring->plain_count == 0);
}

void fol_ring_park(fol_io_ring *ring, uint32_t slot)
{
    if ((ring->slots[slot].bits & FOL_RING_SLOT_CANCELLED) != 0) {
        fol_ring_finish(ring, slot, -ECANCELED);
        return;
    }
    bool starves = ring->slots[slot].opcode == IORING_OP_RECV && !fol_ring_buffers_any(ring);
    uint32_t *list = starves ? &ring->starved : &ring->parked;
    ring->slots[slot].next = *list;
    *list = slot;
    ring->parked_count += 1;
}

static bool unlink_slot(fol_io_ring *ring, uint32_t *list, uint32_t slot)
{
    uint32_t *place = list;
    /* Bounded by the list, which has each slot at most once. */
    while (*place != FOL_RING_NONE && *place != slot) {
        place = &ring->slots[*place].next;
    }
    if (*place == FOL_RING_NONE) {
        return false;
    }
    *place = ring->slots[slot].next;
    ring->parked_count -= 1;
    return true;
}

bool fol_ring_unpark(fol_io_ring *ring, uint32_t slot)
{
    return unlink_slot(ring, &ring->parked, slot) || unlink_slot(ring, &ring->starved, slot);
}

void fol_ring_feed(fol_io_ring *ring)
{
    uint32_t *end = &ring->parked;
    while (*end != FOL_RING_NONE) {
        end = &ring->slots[*end].next;
    }
    *end = ring->starved;
    ring->starved = FOL_RING_NONE;
}
