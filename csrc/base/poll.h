/* Waiting for descriptors until a time, without being late. */
#ifndef FOL_BASE_POLL_H
#define FOL_BASE_POLL_H

#include <poll.h>
#include <stdint.h>

/* How long to ask poll or epoll to wait, when the wait is to end after left_ns (UINT64_MAX: never).
 * They may be late by a part of what they are asked for, so of a long wait this leaves a little,
 * for a second one that is exact. */
uint64_t fol_poll_ask_ns(uint64_t left_ns);

/* How many of the descriptors are ready; 0: none after timeout_ns (UINT64_MAX: no limit), or a
 * little before, so callers look at their clock; -EINTR: a signal; else what the call refused. */
int fol_poll_wait(struct pollfd *descriptors, uint32_t count, uint64_t timeout_ns);

#endif
