/* The end of a ring: cancel everything, take what comes, close, and learn that the kernel let go.
 *
 * The owner can cancel and take completions. Another thread can do neither: it closes the ring and
 * waits for the hang-up that says that the last request has gone (ring_files.c). What completes
 * after that is not seen any more, and such a request ends as cancelled. When the owner has ended
 * nobody can take completions away meanwhile, so those that still come are waited for a little.
 *
 * All waits are bounded. A request that outlasts them (a disk that does not answer) makes the ring
 * an orphan: its requests end when the kernel lets go, and the memory they point at is the
 * kernel's until then. One that may yet open a file is not closed at all when its engine goes: see
 * ring_late.c.
 */

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/fork.h"
#include "base/memory.h"
#include "io/ring.h"

#define NS_PER_MS  UINT64_C(1000000)
#define MS_PER_S   1000
#define SETTLE_MS  2000
#define RELEASE_MS 2000
#define SLICE_MS   20
#define CANCEL_MS  500
#define TURNS_MAX  4096

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * MS_PER_S + (uint64_t)now.tv_nsec / NS_PER_MS;
}

/* Cancels all there is in one call; where that is refused, one by one. */
static void cancel_all(fol_io_ring *ring)
{
    struct io_uring_sync_cancel_reg all;
    memset(&all, 0, sizeof all);
    all.flags = IORING_ASYNC_CANCEL_ALL | IORING_ASYNC_CANCEL_ANY;
    all.timeout.tv_nsec = (long long)(CANCEL_MS * NS_PER_MS);
    int status = fol_ring_register(ring, IORING_REGISTER_SYNC_CANCEL, &all, 1);
    if (status >= 0 || status == -ENOENT || status == -ETIME) {
        return;
    }
    for (uint32_t index = 0; index < ring->slot_count && ring->is_ready; index++) {
        if (ring->slots[index].bits != 0) {
            fol_ring_cancel_token(&ring->base, ring->slots[index].token);
        }
    }
    fol_io_link *plains = &ring->base.plains;
    /* With room in the list of cancels nothing is sent here, and the requests stay where they are.
     */
    for (fol_io_link *at = plains->next;
         at != plains && ring->is_ready && ring->cancel_count < ring->slot_count; at = at->next) {
        fol_ring_cancel_plain(&ring->base, fol_io_plain_of(at));
    }
    if (ring->is_ready) {
        fol_ring_serve(ring);
    }
    if (ring->is_ready) {
        fol_ring_send(ring);
    }
}

/* By the owner. Cancels in each turn: one that comes while a request is between two states, or
 * before the kernel's thread has taken it, misses it. */
static void settle(fol_io_ring *ring)
{
    const uint64_t end = now_ms() + SETTLE_MS;
    for (int turn = 0; turn < TURNS_MAX && fol_ring_held(ring) > 0 && now_ms() < end; turn++) {
        struct __kernel_timespec limit = {.tv_nsec = (long long)(SLICE_MS * NS_PER_MS)};
        const fol_ring_wait wait = {.timeout = (uintptr_t)&limit};
        cancel_all(ring);
        fol_ring_take_early(ring);
        if (fol_ring_held(ring) == 0) {
            return;
        }
        int status = fol_ring_enter(ring, 0, 1, IORING_ENTER_GETEVENTS, &wait);
        fol_ring_take_early(ring);
        if (status < 0 && status != -ETIME && status != -EINTR && status != -EAGAIN &&
            status != -EBUSY) {
            return;
        }
    }
}

/* After the owner has ended: what was about to complete does so by itself, the rest only when the
 * ring is closed. Goes on while anything comes. */
static void settle_for_dead(fol_io_ring *ring)
{
    const uint64_t end = now_ms() + SETTLE_MS;
    uint32_t before = 0;
    do {
        struct pollfd queue = {.fd = ring->ring.ring_fd, .events = POLLIN};
        before = fol_ring_held(ring);
        poll(&queue, 1, SLICE_MS);
        fol_ring_take_early(ring);
    } while (fol_ring_held(ring) > 0 && fol_ring_held(ring) < before && now_ms() < end);
}

/* From here on nothing breaks it: it ends. */
static void end_requests(fol_io_ring *ring)
{
    FOL_ASSERT(ring->is_open);
    if (ring->is_ready) {
        bool is_dead = fol_ring_owner_has_ended(ring->owner);
        fol_ring_unsend(ring);
        fol_ring_take_early(ring);
        if (fol_ring_held(ring) > 0 && fol_ring_owner_is_caller(ring->owner)) {
            settle(ring);
        } else if (fol_ring_held(ring) > 0 && is_dead) {
            settle_for_dead(ring);
        }
    }
}

static bool close_ended(fol_io_ring *ring)
{
    bool is_held = fol_ring_held(ring) > 0;
    if (ring->owner != NULL) {
        fol_ring_owner_drop(ring->owner);
        ring->owner = NULL;
    }
    fol_ring_close(ring);
    ring->wake_is_stale = true;
    if (is_held) {
        return fol_ring_files_released(ring, RELEASE_MS);
    }
    if (ring->release_fd >= 0) {
        close(ring->release_fd);
        ring->release_fd = -1;
    }
    return true;
}

bool fol_ring_end(fol_io_ring *ring)
{
    end_requests(ring);
    return close_ended(ring);
}

void fol_ring_check_orphan(fol_io_ring *ring)
{
    if (ring->is_orphan && fol_ring_files_released(ring, 0)) {
        ring->is_orphan = false;
        fol_ring_finish_all(ring);
    }
}

void fol_ring_break(fol_io_ring *ring, int status)
{
    FOL_ASSERT(status < 0);
    if (ring->is_ending || ring->broken != FOL_OK) {
        return;
    }
    ring->broken = status;
    ring->cancel_count = 0;
    if (fol_ring_end(ring)) {
        fol_ring_finish_all(ring);
    } else {
        ring->is_orphan = true;
    }
}

/* The kernel's objects belong to the parent too: the child only closes its descriptors. */
void fol_ring_leave_to_parent(fol_io_ring *ring)
{
    if (ring->is_open) {
        close(ring->ring.ring_fd);
    }
    if (ring->release_fd >= 0) {
        close(ring->release_fd);
    }
    close(ring->wake_fd);
    fol_ring_buffers_deinit(ring, false);
    fol_ring_slots_deinit(ring);
    fol_free(ring);
}

void fol_ring_free(fol_io_ring *ring, bool is_free)
{
    FOL_ASSERT(!ring->is_open);
    if (ring->release_fd >= 0) {
        close(ring->release_fd);
    }
    fol_ring_wake_deinit(ring);
    fol_ring_buffers_deinit(ring, is_free);
    fol_ring_slots_deinit(ring);
    fol_free(ring);
}

bool fol_ring_destroy(fol_io_engine *engine)
{
    fol_io_ring *ring = fol_ring_of(engine);
    if (fol_fork_generation() != ring->generation) {
        fol_ring_leave_to_parent(ring);
        return true;
    }
    ring->is_ending = true;
    /* A descriptor in a completion that nobody took would stay open. */
    for (; ring->early_count > 0; ring->early_count--) {
        const fol_ring_early *kept = &ring->early[ring->early_head];
        if (kept->gives_fd && kept->event.value >= 0) {
            close((int)kept->event.value);
        }
        ring->early_head = (ring->early_head + 1) & ring->early_mask;
    }
    bool is_free = true;
    if (ring->is_orphan) {
        is_free = fol_ring_files_released(ring, RELEASE_MS);
    } else if (ring->is_open) {
        end_requests(ring);
        if (fol_ring_may_open_late(ring)) {
            fol_ring_keep_open(ring);
            return false;
        }
        is_free = close_ended(ring);
    }
    fol_ring_free(ring, is_free);
    return is_free;
}
