/* What all threads that the core starts have in common. */
#ifndef FOL_BASE_THREAD_H
#define FOL_BASE_THREAD_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/atomics.h"

/* Blocks every signal of this thread but those of crashes, which belong to who makes them: blocked,
 * a crash ends the process and no handler is asked. Threads that are started inherit the mask.
 * *before is for fol_thread_restore_signals. */
void fol_thread_block_signals(sigset_t *before);
void fol_thread_restore_signals(const sigset_t *before);

/* For fault tests. Counts down to 0, once for each call, on any threads: true for the call that
 * comes to it, and false ever after. */
bool fol_countdown_hits(FOL_ATOMIC(uint64_t) * countdown);

#endif
