/* Sleeping on a 32-bit word and waking who sleeps there, within one process (Linux futex). */
#ifndef FOL_BASE_FUTEX_H
#define FOL_BASE_FUTEX_H

#include <stdint.h>

#include "base/atomics.h"

/* Sleeps if the word is `expected`. 0: woken (or for no reason). -EAGAIN: it was something else.
 * -EINTR: a signal. -ETIMEDOUT: timeout_ns (0: no limit, CLOCK_MONOTONIC) ran out. */
int fol_futex_wait(FOL_ATOMIC(uint32_t) * word, uint32_t expected, uint64_t timeout_ns);

/* Wakes up to `count` sleepers; returns how many. Only the address counts: nothing is read there,
 * so a word that is gone already does no harm. */
uint32_t fol_futex_wake(FOL_ATOMIC(uint32_t) * word, uint32_t count);

#endif
