/* The one pool of the process, which its users share.
 *
 * A fork waits until nobody is in here, so that the child finds the lock free. The child forgets
 * the parent's pool, whose threads it does not have, and makes its own when asked for one.
 */
#include <errno.h>
#include <pthread.h>

#include "base/fork.h"
#include "exec/worker.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;
static int fork_status;
static fol_pool *process_pool; /* these three are guarded by the mutex */
static uint64_t users;
static bool is_shut_down;

static void lock(void)
{
    pthread_mutex_lock(&mutex);
}

static void unlock(void)
{
    pthread_mutex_unlock(&mutex);
}

static void unlock_child(void)
{
    process_pool = NULL;
    users = 0;
    is_shut_down = false;
    pthread_mutex_unlock(&mutex);
}

static void watch_forks(void)
{
    fork_status = -pthread_atfork(lock, unlock, unlock_child);
}

int fol_pool_acquire(fol_pool **out)
{
    int status = -pthread_once(&fork_once, watch_forks);
    status = status == 0 ? fork_status : status;
    if (status != 0) {
        return status;
    }
    lock();
    if (process_pool == NULL) {
        status = fol_pool_create(&process_pool);
    }
    if (status == 0) {
        users += 1;
        *out = process_pool;
    }
    unlock();
    return status;
}

/* The pool if it is to be ended, which its users then have nothing to do with; the lock is held. */
static fol_pool *take_unused(void)
{
    fol_pool *unused = NULL;
    if (is_shut_down && users == 0) {
        unused = process_pool;
        process_pool = NULL;
        is_shut_down = false;
    }
    return unused;
}

static void destroy(fol_pool *pool)
{
    if (pool != NULL) {
        fol_pool_destroy(pool);
    }
}

void fol_pool_release(fol_pool *pool)
{
    fol_pool *unused = NULL;
    lock();
    /* A pool that a child copied belongs to its parent. */
    if (pool == process_pool) {
        FOL_ASSERT(users > 0);
        users -= 1;
        unused = take_unused();
    }
    unlock();
    destroy(unused);
}

void fol_pool_shutdown(void)
{
    lock();
    is_shut_down = process_pool != NULL;
    fol_pool *unused = take_unused();
    unlock();
    destroy(unused);
}
