/* The slow half of the event count: counting waiters and sleeping; event_count.h has the argument.
 */

#include "structures/event_count.h"

#include <errno.h>

#include "base/futex.h"

uint32_t fol_event_count_prepare(fol_event_count *event)
{
    fol_atomic_fetch_add(&event->waiters, 1u, memory_order_relaxed);
    /* Acquire pairs with the release in wake: a key that is new means that the work is seen. */
    uint32_t key = fol_atomic_load(&event->epoch, memory_order_acquire);
    /* Pairs with the fence in notify: it sees the waiter, or the waiter sees the work. */
    fol_fence(memory_order_seq_cst);
    return key;
}

void fol_event_count_cancel(fol_event_count *event)
{
    fol_atomic_fetch_sub(&event->waiters, 1u, memory_order_relaxed);
}

bool fol_event_count_commit(fol_event_count *event, uint32_t key, uint64_t timeout_ns)
{
    bool is_notified = true;
    /* Acquire pairs with the release in wake: who is woken sees what was published. Only signals
     * make it go round. */
    while (fol_atomic_load(&event->epoch, memory_order_acquire) == key) {
        int status = fol_futex_wait(&event->epoch, key, timeout_ns);
        if (status == 0) {
            break;
        }
        if (timeout_ns != 0 && (status == -ETIMEDOUT || status == -EINTR)) {
            /* Acquire as above; a notify may have come at the same moment. */
            is_notified = fol_atomic_load(&event->epoch, memory_order_acquire) != key;
            break;
        }
    }
    fol_atomic_fetch_sub(&event->waiters, 1u, memory_order_relaxed);
    return is_notified;
}

void fol_event_count_wake(fol_event_count *event, uint32_t count)
{
    /* Release pairs with the acquires of epoch in prepare and commit. */
    fol_atomic_fetch_add(&event->epoch, 1u, memory_order_release);
    fol_futex_wake(&event->epoch, count);
}
