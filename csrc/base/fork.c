/* The fork generation; see fork.h. The handler runs in the child only, before fork returns. */

#include "base/fork.h"

#include <pthread.h>
#include <stdatomic.h>

static _Atomic uint64_t generation;
static pthread_once_t watch_once = PTHREAD_ONCE_INIT;
static int watch_status;

static void count_child(void)
{
    atomic_fetch_add_explicit(&generation, 1, memory_order_relaxed);
}

static void start_watching(void)
{
    watch_status = -pthread_atfork(NULL, NULL, count_child);
}

int fol_fork_watch(void)
{
    int error = pthread_once(&watch_once, start_watching);
    return error != 0 ? -error : watch_status;
}

uint64_t fol_fork_generation(void)
{
    return atomic_load_explicit(&generation, memory_order_relaxed);
}
