/* A place to park without losing a wake: a condition variable for lock-free queues.
 *
 * Who wants to park calls prepare, looks at every queue once more, and then either cancels or
 * commits. Who publishes work calls notify after publishing. One word holds the epoch and the
 * number of waiters.
 *
 * Why no wake is lost: prepare raises the number of waiters by a read-modify-write and then passes
 * a full fence before the second look; notify passes a full fence between the publication and its
 * look at the word. So of the two looks at least one sees the other side's write: either the waiter
 * finds the work, or the notifier finds the waiter, and moves the epoch, which makes a commit with
 * the older epoch return at once.
 *
 * Any thread may call anything but init.
 */
#ifndef FOL_STRUCTURES_EVENT_COUNT_H
#define FOL_STRUCTURES_EVENT_COUNT_H

#include <stdbool.h>
#include <stdint.h>

typedef struct fol_event_count fol_event_count;

void fol_event_count_init(fol_event_count *event);

/* The key for commit. Every prepare is followed by exactly one commit or cancel. */
uint32_t fol_event_count_prepare(fol_event_count *event);
void fol_event_count_cancel(fol_event_count *event);
/* Parks until a notify that came after the prepare. timeout_ns 0: no limit; with one, false when it
 * ran out or a signal came (for waiters that have something else to look at; never as a net under
 * the protocol). */
bool fol_event_count_commit(fol_event_count *event, uint32_t key, uint64_t timeout_ns);

/* Wakes one waiter (or all). True when there was one to wake. Passes the full fence first. */
bool fol_event_count_notify_one(fol_event_count *event);
bool fol_event_count_notify_all(fol_event_count *event);
/* Waiters at this moment, for counters. */
uint32_t fol_event_count_waiters(const fol_event_count *event);

#endif
