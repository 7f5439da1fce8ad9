/* Making a ring of the kernel, giving it to a thread, and closing it.
 *
 * A ring with a single issuer belongs to the thread that enables it, or that makes it where it
 * cannot be left disabled: such a ring is made anew by the thread that is to use it. What is
 * registered with a ring goes with it and is registered again with the next.
 */

#include <errno.h>
#include <unistd.h>

#include "io/probe.h"
#include "io/ring.h"

int fol_ring_open(fol_io_ring *ring, fol_io_report *report)
{
    FOL_ASSERT(!ring->is_open);
    int status = fol_io_ring_climb(&ring->ring, ring->entries, ring->climb_options, report);
    if (status != 0) {
        return status;
    }
    ring->is_open = true;
    /* A child of fork must find nothing here to touch. */
    status = io_uring_ring_dontfork(&ring->ring);
    if (status != 0) {
        fol_ring_close(ring);
        return status;
    }
    ring->can_cancel_quietly = (report->features & IORING_FEAT_CQE_SKIP) != 0;
    ring->can_wait_for_many = (report->features & FOL_RING_FEAT_MIN_WAIT) != 0;
    ring->sq_mask = *ring->ring.sq.kring_mask;
    ring->cq_mask = *ring->ring.cq.kring_mask;
    ring->sq_tail = *ring->ring.sq.ktail;
    ring->sq_sent = ring->sq_tail;
    ring->sq_published = ring->sq_tail;
    ring->sq_base = ring->sq_tail;
    ring->cq_head = *ring->ring.cq.khead;
    ring->cq_announced = ring->cq_head;
    ring->wake_armed = false;
    uint32_t sq_count = ring->sq_mask + 1;
    uint32_t cq_count = ring->cq_mask + 1;
    uint32_t bound = sq_count < (cq_count - 1) / 2 ? sq_count : (cq_count - 1) / 2;
    if (bound < ring->base.in_flight_bound) {
        ring->base.in_flight_bound = bound;
    }
    return FOL_OK;
}

int fol_ring_attach(fol_io_ring *ring)
{
    FOL_ASSERT(!ring->is_ready);
    FOL_ASSERT(ring->owner == NULL);
    int status = FOL_OK;
    bool is_disabled = (ring->climb_options & FOL_IO_CLIMB_DISABLED) != 0;
    fol_ring_owner *owner = fol_ring_owner_take();
    if (owner == NULL) {
        return -EAGAIN;
    }
    if (ring->is_open && is_disabled) {
        fol_ring_count(&ring->base.counters.system_calls, 1);
        status = fol_io_ring_enable(&ring->ring);
        if (status != 0) {
            fol_ring_close(ring);
        }
    }
    if (!ring->is_open) {
        fol_io_report report = {0};
        ring->climb_options &= ~(uint32_t)FOL_IO_CLIMB_DISABLED;
        status = fol_ring_open(ring, &report);
    }
    if (status != 0) {
        fol_ring_owner_drop(owner);
        return status;
    }
    ring->owner = owner;
    ring->is_ready = true;
    fol_ring_files_attach(ring);
    fol_ring_memory_attach(ring);
    fol_ring_buffers_attach(ring);
    return FOL_OK;
}

void fol_ring_close(fol_io_ring *ring)
{
    FOL_ASSERT(ring->is_open);
    io_uring_queue_exit(&ring->ring);
    ring->is_open = false;
    ring->is_ready = false;
    ring->cancel_count = 0;
    ring->memory_is_registered = false;
    ring->buffers.shared = NULL;
    ring->direct_count = 0;
    ring->direct_used = 0;
    ring->base.has_direct_files = false;
}
