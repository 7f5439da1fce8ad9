/* Completions on their way to the driver.
 *
 * Those that were taken early come first, then what is in the completion queue, straight into the
 * driver's array. Where work is deferred to us (IORING_SQ_TASKRUN) or the queue has overflowed, the
 * kernel has more than the queue shows: it is entered, and the queue is looked at once more. For
 * deferred work alone that is not worth a system call while there is something to go on with, or
 * something to send: what is sent next takes it along (fol_ring_send, fol_ring_wait_for).
 */

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "io/ring.h"

#define OVERFLOW_TURNS 8

/* How the kernel's calls tell each other that a signal stopped them: a thread of the ring that is
 * cancelled while it waits gives that instead of the -EINTR that a system call would. */
#define RESTART_FIRST 512
#define RESTART_LAST  516

static inline int64_t value_of(int32_t result)
{
    bool is_restart = result <= -RESTART_FIRST && result >= -RESTART_LAST;
    return FOL_UNLIKELY(is_restart) ? -EINTR : result;
}

/* What a receive brought. True when there is an event for the driver. */
static bool complete_recv(fol_io_ring *ring, uint32_t index, const struct io_uring_cqe *cqe,
                          fol_io_event *event)
{
    fol_ring_slot *slot = &ring->slots[index];
    bool has_more = (cqe->flags & IORING_CQE_F_MORE) != 0;
    int32_t buffer = slot->buffer;
    if ((cqe->flags & IORING_CQE_F_BUFFER) != 0) {
        buffer = (int32_t)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
    }
    slot->buffer = -1;
    if (cqe->res > 0) {
        FOL_ASSERT(buffer >= 0);
        FOL_ASSERT((uint32_t)buffer < ring->buffers.count);
        event->has_more = true;
        event->buffer = buffer;
        event->data = ring->buffers.memory + (size_t)buffer * ring->buffers.size;
        ring->buffers.is_out[buffer] = true;
        ring->buffers.out_count += 1;
        if (!has_more) {
            fol_ring_park(ring, index);
        }
        return true;
    }
    if (buffer >= 0) {
        fol_ring_buffer_return(ring, (uint32_t)buffer);
    }
    if (cqe->res == -ENOBUFS && !has_more) {
        fol_ring_park(ring, index);
        return false;
    }
    event->has_more = has_more;
    if (!has_more) {
        fol_ring_slot_free(ring, index);
    }
    return true;
}

static bool complete_accept(fol_io_ring *ring, uint32_t index, const struct io_uring_cqe *cqe,
                            fol_io_event *event)
{
    bool has_more = (cqe->flags & IORING_CQE_F_MORE) != 0;
    event->has_more = has_more || cqe->res >= 0;
    if (!has_more && cqe->res >= 0) {
        fol_ring_park(ring, index);
    } else if (!has_more) {
        fol_ring_slot_free(ring, index);
    }
    return true;
}

/* True when there is an event for the driver. */
static bool complete_special(fol_io_ring *ring, uint32_t index, const struct io_uring_cqe *cqe,
                             fol_io_event *event)
{
    const fol_ring_slot *slot = &ring->slots[index];
    *event = (fol_io_event){.token = slot->token, .value = value_of(cqe->res), .buffer = -1};
    if ((slot->bits & FOL_RING_SLOT_MANY) != 0) {
        return slot->opcode == IORING_OP_RECV ? complete_recv(ring, index, cqe, event)
                                              : complete_accept(ring, index, cqe, event);
    }
    bool is_open = (slot->bits & FOL_RING_SLOT_DIRECT_OPEN) != 0;
    if (is_open ? cqe->res < 0 : cqe->res >= 0) {
        fol_ring_files_count(ring, -1);
    }
    fol_ring_slot_free(ring, index);
    return true;
}

/* What the ring asked for itself. Cancels say nothing: the request's own completion does. */
static void complete_own(fol_io_ring *ring, uint32_t index, uint32_t place)
{
    if (index != FOL_RING_WAKE) {
        FOL_ASSERT(index == FOL_RING_CANCEL);
        return;
    }
    ring->wake_armed = false;
    /* A wait that ended because of it is the one that was to end. */
    ring->is_woken |= (int32_t)(place - ring->cq_announced) >= 0;
    /* Acquires what every wake before published, and lets the next one write again. Pairs with
     * the exchange in wake. */
    atomic_exchange_explicit(&ring->wake_is_due, false, memory_order_acq_rel);
}

/* A plain one has come, and a cancel that waits for room would be another request's. */
static void complete_plain(fol_io_ring *ring, fol_io_plain *plain)
{
    FOL_ASSERT(ring->plain_count > 0);
    ring->plain_count -= 1;
    fol_io_link_remove(&plain->link);
    for (uint32_t index = 0; index < ring->cancel_count; index++) {
        if (ring->cancels[index] == (uintptr_t)plain) {
            ring->cancels[index] = FOL_RING_NOBODY;
        }
    }
}

/* Takes up to `room` events from at most `most` completions of the queue; *finals counts those that
 * end a request. */
static size_t drain(fol_io_ring *ring, fol_io_event *out, size_t room, uint32_t most,
                    uint32_t *finals)
{
    uint32_t head = ring->cq_head;
    /* Pairs with the kernel's release of the tail: the entries before it are whole. */
    uint32_t tail = io_uring_smp_load_acquire(ring->ring.cq.ktail);
    tail = tail - head > most ? head + most : tail;
    const struct io_uring_cqe *entries = ring->ring.cq.cqes;
    size_t count = 0;
    uint32_t ended = 0;
    for (; head != tail && count < room; head++) {
        const struct io_uring_cqe *cqe = &entries[head & ring->cq_mask];
        if (fol_ring_is_plain(cqe->user_data)) {
            complete_plain(ring, fol_ring_plain(cqe->user_data));
            out[count] =
                (fol_io_event){.token = cqe->user_data, .value = value_of(cqe->res), .buffer = -1};
            ended += 1;
            count += 1;
            continue;
        }
        uint32_t index = fol_ring_index(cqe->user_data);
        if (FOL_UNLIKELY(index >= ring->slot_count)) {
            complete_own(ring, index, head);
            continue;
        }
        const fol_ring_slot *slot = &ring->slots[index];
        FOL_ASSERT_HOT(fol_ring_user_data(index, slot->generation) == cqe->user_data);
        FOL_ASSERT_HOT(slot->bits != 0);
        if (FOL_UNLIKELY((slot->bits & FOL_RING_SLOT_SPECIAL) != 0)) {
            if (complete_special(ring, index, cqe, &out[count])) {
                ended += out[count].has_more ? 0 : 1;
                count += 1;
            }
            continue;
        }
        out[count] =
            (fol_io_event){.token = slot->token, .value = value_of(cqe->res), .buffer = -1};
        fol_ring_slot_free(ring, index);
        ended += 1;
        count += 1;
    }
    *finals += ended;
    ring->cq_head = head;
    /* Pairs with the kernel's acquire: it may write the entries anew. */
    io_uring_smp_store_release(ring->ring.cq.khead, head);
    return count;
}

void fol_ring_take_early(fol_io_ring *ring)
{
    const uint32_t room = (ring->early_mask + 1) / 4 * 3;
    /* Pairs with the kernel's release of the tail. */
    uint32_t left = io_uring_smp_load_acquire(ring->ring.cq.ktail) - ring->cq_head;
    /* One at a time: a slot may be another's after its completion. */
    for (; left > 0 && ring->early_count < room; left--) {
        fol_io_event event;
        /* What is kept is in flight until the driver has it. */
        uint32_t finals = 0;
        uint64_t user_data = ring->ring.cq.cqes[ring->cq_head & ring->cq_mask].user_data;
        bool is_plain = fol_ring_is_plain(user_data);
        uint32_t index = fol_ring_index(user_data);
        bool gives_fd = !is_plain && index < ring->slot_count &&
                        (ring->slots[index].bits & FOL_RING_SLOT_GIVES_FD) != 0;
        if (drain(ring, &event, 1, 1, &finals) == 1) {
            fol_ring_keep(ring, &event, is_plain ? fol_ring_plain(user_data) : NULL, gives_fd);
        }
    }
}

/* Straight to the driver. */
static size_t hand_over(fol_io_ring *ring, fol_io_event *out, size_t room)
{
    uint32_t finals = 0;
    size_t count = drain(ring, out, room, UINT32_MAX, &finals);
    ring->base.in_flight -= finals;
    return count;
}

static size_t take_kept(fol_io_ring *ring, fol_io_event *out, size_t room)
{
    size_t count = 0;
    for (; count < room && ring->early_count > 0; count++) {
        const fol_ring_early *kept = &ring->early[ring->early_head];
        out[count] = kept->event;
        if (kept->plain != NULL) {
            fol_io_link_remove(&kept->plain->link);
        }
        ring->early_head = (ring->early_head + 1) & ring->early_mask;
        ring->early_count -= 1;
        ring->base.in_flight -= out[count].has_more ? 0 : 1;
    }
    return count;
}

/* What was kept comes first. */
size_t fol_ring_peek(fol_io_engine *engine, const fol_io_landing **out)
{
    const fol_io_ring *ring = fol_ring_of(engine);
    if (!ring->is_ready || ring->early_count > 0) {
        return 0;
    }
    static_assert(sizeof(fol_io_landing) == sizeof(struct io_uring_cqe) &&
                      offsetof(fol_io_landing, token) == offsetof(struct io_uring_cqe, user_data) &&
                      offsetof(fol_io_landing, value) == offsetof(struct io_uring_cqe, res),
                  "a completion of the kernel is one of ours");
    uint32_t place = ring->cq_head & ring->cq_mask;
    uint32_t to_end = ring->cq_mask + 1 - place;
    /* Pairs with the kernel's release of the tail: the entries before it are whole. */
    uint32_t count = io_uring_smp_load_acquire(ring->ring.cq.ktail) - ring->cq_head;
    *out = (const fol_io_landing *)(const void *)&ring->ring.cq.cqes[place];
    return count < to_end ? count : to_end;
}

void fol_ring_drop(fol_io_engine *engine, size_t count)
{
    fol_io_ring *ring = fol_ring_of(engine);
    FOL_ASSERT(count <= ring->plain_count && count <= engine->in_flight);
    ring->plain_count -= (uint32_t)count;
    engine->in_flight -= (uint32_t)count;
    ring->cq_head += (uint32_t)count;
    /* Pairs with the kernel's acquire: it may write the entries anew. */
    io_uring_smp_store_release(ring->ring.cq.khead, ring->cq_head);
}

size_t fol_ring_reap(fol_io_engine *engine, fol_io_event *out, size_t room)
{
    fol_io_ring *ring = fol_ring_of(engine);
    if (FOL_UNLIKELY(ring->is_orphan)) {
        fol_ring_check_orphan(ring);
    }
    size_t count = take_kept(ring, out, room);
    if (!ring->is_ready) {
        return count;
    }
    count += hand_over(ring, out + count, room - count);
    for (int turn = 0; turn < OVERFLOW_TURNS && count < room; turn++) {
        uint32_t flags = IO_URING_READ_ONCE(*ring->ring.sq.kflags);
        bool is_full = (flags & IORING_SQ_CQ_OVERFLOW) != 0;
        bool is_idle = count == 0 && ring->sq_tail == ring->sq_sent;
        if (!is_full && !(is_idle && (flags & IORING_SQ_TASKRUN) != 0)) {
            break;
        }
        if (is_full) {
            fol_ring_count(&engine->counters.overflows, 1);
        }
        int status = fol_ring_enter(ring, 0, 0, IORING_ENTER_GETEVENTS, NULL);
        if (status < 0 && status != -EINTR && status != -EAGAIN && status != -EBUSY) {
            fol_ring_break(ring, status);
            return count + take_kept(ring, out + count, room - count);
        }
        count += hand_over(ring, out + count, room - count);
    }
    return count + take_kept(ring, out + count, room - count);
}
