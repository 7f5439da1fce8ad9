/* The face of the process's pool for a host; see foliot/threads.h. */

#include "foliot/threads.h"

#include "exec/pool.h"

void fol_threads_at_end(void (*function)(void))
{
    fol_pool_at_thread_end(function);
}

void fol_threads_shutdown(void)
{
    fol_pool_shutdown();
}

void fol_threads_fail_nth(uint64_t n)
{
    fol_pool_fail_nth_thread(n);
}
