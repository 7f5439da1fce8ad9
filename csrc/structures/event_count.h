/* A place to park without losing a wake: a condition variable for lock-free queues.
 *
 * Who wants to park calls prepare, looks at every queue once more, and then either cancels or
 * commits. Who publishes work calls notify after publishing. Two words beside each other hold the
 * number of waiters (counted from prepare until their cancel or the end of their commit) and the
 * epoch, which notify moves when it saw a waiter and on which commit sleeps.
 *
 * Why no wake is lost. prepare adds itself to the waiters by a read-modify-write, and then passes a
 * full fence before the second look; notify passes a full fence between the publication and its
 * look at the waiters.
 * 1. If the waiter's fence is first, the notifier sees the waiter: it reads the count that the
 *    waiter wrote, or a later one, and all later ones come from read-modify-writes that keep the
 *    waiter in. It moves the epoch. The waiter's key is older than that: had it read the new epoch
 *    (acquire of a release), the notifier's fence would have been first. So its commit finds that
 *    the epoch is not the key, or sleeps and is woken, because the system compares and sleeps in
 *    one step against wakes.
 * 2. If the notifier's fence is first, the second look finds the work.
 * A plain look in place of fence and look is not enough, sequentially consistent or not: nothing
 * orders it behind a publication that is not. The look need not be a read-modify-write either,
 * since the fence orders it: where nobody waits, notify writes nothing, and the line stays shared.
 *
 * A wake that comes between prepare and commit of one waiter goes to a sleeping one too, if there
 * is one: wakes may be more than were needed, never fewer. A key is good until 2^32 notifications
 * later.
 *
 * Any thread may call anything but init.
 */
#ifndef FOL_STRUCTURES_EVENT_COUNT_H
#define FOL_STRUCTURES_EVENT_COUNT_H

#include <assert.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/atomics.h"
#include "base/memory.h"

/* Every field belongs to this header and event_count.c; alignment: a cache line. */
typedef struct fol_event_count {
    alignas(FOL_CACHE_LINE) FOL_ATOMIC(uint32_t) epoch;
    FOL_ATOMIC(uint32_t) waiters;
} fol_event_count;

#ifndef FOL_MODEL
static_assert(sizeof(fol_event_count) == FOL_CACHE_LINE, "a line of its own");
#endif

static inline void fol_event_count_init(fol_event_count *event)
{
    fol_atomic_init(&event->epoch, (uint32_t)0);
    fol_atomic_init(&event->waiters, (uint32_t)0);
}

/* The key for commit. Every prepare is followed by exactly one commit or cancel. Passes a full
 * fence last. */
uint32_t fol_event_count_prepare(fol_event_count *event);
void fol_event_count_cancel(fol_event_count *event);
/* Parks until a notify that came after the prepare, or one that came just before and had nobody
 * else to wake. timeout_ns 0: no limit; with one, false when it ran out or a signal came (for
 * waiters that have something else to look at; never as a net under the protocol). */
bool fol_event_count_commit(fol_event_count *event, uint32_t key, uint64_t timeout_ns);

/* Moves the epoch and wakes up to `count` sleepers; part of notify. */
void fol_event_count_wake(fol_event_count *event, uint32_t count);

static inline bool fol_event_count_notify(fol_event_count *event, uint32_t count)
{
    /* Pairs with the fence in prepare: this sees the waiter, or the waiter sees the work. */
    fol_fence(memory_order_seq_cst);
    if (FOL_LIKELY(fol_atomic_load(&event->waiters, memory_order_relaxed) == 0)) {
        return false;
    }
    fol_event_count_wake(event, count);
    return true;
}

/* Wakes one waiter (or all). True when there was one to wake. Passes the full fence first. */
static inline bool fol_event_count_notify_one(fol_event_count *event)
{
    return fol_event_count_notify(event, 1);
}

static inline bool fol_event_count_notify_all(fol_event_count *event)
{
    return fol_event_count_notify(event, UINT32_MAX);
}

/* Waiters at this moment, for counters. */
static inline uint32_t fol_event_count_waiters(const fol_event_count *event)
{
    return fol_atomic_load(&event->waiters, memory_order_relaxed);
}

#endif
