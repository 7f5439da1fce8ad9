/* Rings that stay open after their engines have gone, for descriptors that come late.
 *
 * A thread of the kernel that is inside of opening a file finishes that even when its ring is
 * closed meanwhile: then the file has a descriptor in this process that nobody knows. So a ring
 * whose engine ends while the kernel holds such a request is not closed. Its completion tells the
 * descriptor, which is closed; when the last request has come the ring is. Only its own thread can
 * take completions, and those of a thread that has ended anybody.
 *
 * Who makes or destroys a driver looks after them, so one that nobody follows waits, with its
 * descriptors, for the end of the process. `lock` guards the list, and whoever has taken a ring
 * from the list has it alone. Nobody waits for the lock: who finds it taken, if only by a thread
 * that a child of fork does not have, leaves the rings to the next one.
 */

#include <stdatomic.h>
#include <unistd.h>

#include "base/fork.h"
#include "base/memory.h"
#include "io/ring.h"

/* Looks at one ring in one go. */
#define TURNS_MAX 64

static atomic_flag lock = ATOMIC_FLAG_INIT;
static fol_io_ring *kept_rings;

bool fol_ring_may_open_late(const fol_io_ring *ring)
{
    if (!ring->is_ready || !fol_ring_owner_is_caller(ring->owner)) {
        return false;
    }
    for (uint32_t index = 0; index < ring->slot_count; index++) {
        if ((ring->slots[index].bits & FOL_RING_SLOT_GIVES_FD) != 0) {
            return true;
        }
    }
    return false;
}

/* Acquire and release: the list, and what its rings are, go from one holder to the next. */
static bool try_lock(void)
{
    return !atomic_flag_test_and_set_explicit(&lock, memory_order_acquire);
}

static void unlock(void)
{
    atomic_flag_clear_explicit(&lock, memory_order_release);
}

void fol_ring_keep_open(fol_io_ring *ring)
{
    FOL_ASSERT(ring->is_ending && ring->is_open);
    ring->next_kept = NULL;
    /* Without the list nobody finds it, and it stays as it is. */
    if (try_lock()) {
        ring->next_kept = kept_rings;
        kept_rings = ring;
        unlock();
    }
}

/* What came is dropped, since the ring is ending, and descriptors are closed with it. True: no more
 * can be learned. */
static bool take_late(fol_io_ring *ring)
{
    bool has_ended = fol_ring_owner_has_ended(ring->owner);
    if (!has_ended && !fol_ring_owner_is_caller(ring->owner)) {
        return false;
    }
    int status = 0;
    uint32_t before = UINT32_MAX;
    for (int turn = 0; turn < TURNS_MAX && fol_ring_held(ring) < before && status >= 0; turn++) {
        before = fol_ring_held(ring);
        status = has_ended ? 0 : fol_ring_enter(ring, 0, 0, IORING_ENTER_GETEVENTS, NULL);
        fol_ring_take_early(ring);
    }
    return has_ended || fol_ring_held(ring) == 0;
}

static void end_ring(fol_io_ring *ring)
{
    bool is_free = fol_ring_held(ring) == 0;
    fol_ring_owner_drop(ring->owner);
    ring->owner = NULL;
    fol_ring_close(ring);
    fol_ring_free(ring, is_free);
}

void fol_io_ring_close_late(void)
{
    /* A hint; who adds one now looks at the list later. */
    if (!try_lock()) {
        return;
    }
    fol_io_ring **at = &kept_rings;
    /* Bounded by the rings that are kept. */
    while (*at != NULL) {
        fol_io_ring *ring = *at;
        bool is_foreign = ring->generation != fol_fork_generation();
        if (!is_foreign && !take_late(ring)) {
            at = &ring->next_kept;
            continue;
        }
        *at = ring->next_kept;
        if (is_foreign) {
            fol_ring_leave_to_parent(ring);
        } else {
            end_ring(ring);
        }
    }
    unlock();
}
