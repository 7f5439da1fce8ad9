/* Waiting for descriptors; see poll.h.
 *
 * Linux lets poll and epoll end later than they are asked to, so that timers fall together: by a
 * thousandth of the wait, five times that for a process that is nice, and 100 ms at most
 * (select_estimate_accuracy in fs/select.c).
 */

#include "base/poll.h"

#include <errno.h>
#include <stddef.h>
#include <time.h>

#define NS_PER_S UINT64_C(1000000000)
/* A wait up to here may be late by an eighth of a millisecond. */
#define EXACT_NS UINT64_C(128000000)
/* What is left of longer ones: more than they can be late by. */
#define LEFT_SHARE 128u
#define LEFT_MAX   UINT64_C(101000000)

uint64_t fol_poll_ask_ns(uint64_t left_ns)
{
    if (left_ns <= EXACT_NS || left_ns == UINT64_MAX) {
        return left_ns;
    }
    uint64_t margin = left_ns / LEFT_SHARE;
    return left_ns - (margin < LEFT_MAX ? margin : LEFT_MAX);
}

int fol_poll_wait(struct pollfd *descriptors, uint32_t count, uint64_t timeout_ns)
{
    uint64_t ask_ns = fol_poll_ask_ns(timeout_ns);
    const struct timespec limit = {.tv_sec = (time_t)(ask_ns / NS_PER_S),
                                   .tv_nsec = (long)(ask_ns % NS_PER_S)};
    int ready = ppoll(descriptors, count, timeout_ns == UINT64_MAX ? NULL : &limit, NULL);
    return ready < 0 ? -errno : ready;
}
