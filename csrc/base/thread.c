/* Signals of threads, and counting down to a planned failure; see thread.h. */

#include "base/thread.h"

#include <pthread.h>
#include <stddef.h>

void fol_thread_block_signals(sigset_t *before)
{
    static const int crashes[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS};
    sigset_t set;
    sigfillset(&set);
    for (size_t i = 0; i < sizeof(crashes) / sizeof(crashes[0]); i++) {
        sigdelset(&set, crashes[i]);
    }
    pthread_sigmask(SIG_SETMASK, &set, before);
}

void fol_thread_restore_signals(const sigset_t *before)
{
    pthread_sigmask(SIG_SETMASK, before, NULL);
}

bool fol_countdown_hits(FOL_ATOMIC(uint64_t) * countdown)
{
    uint64_t left = fol_atomic_load(countdown, memory_order_relaxed);
    /* Each turn in vain means that another thread counted down. */
    while (left != 0) {
        if (fol_atomic_compare_exchange_weak(countdown, &left, left - 1, memory_order_relaxed,
                                             memory_order_relaxed)) {
            return left == 1;
        }
    }
    return false;
}
