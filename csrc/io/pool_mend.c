/* Descriptors of the pool's own that somebody else has closed.
 *
 * A program that closes every number it does not know, as daemons do, closes those of a pool as
 * well. That is found out by the next call that uses one. Whoever finds the crew's gone makes new
 * ones and puts them into the set, where they end the wait of the driving thread; a set that is
 * gone the driving thread replaces before it sleeps again. The old numbers are not closed, since
 * they may be another file's by now. What stood in the set is tried again, and stands in the new
 * one if it must; what has lost its own descriptor as well ends with EBADF.
 *
 * What cannot be mended is a number that is another file's already, which nobody can tell from the
 * pool's own; and a set that is closed, or descriptors that the system refuses, while the driving
 * thread sleeps: the kernel goes on with what was open when the wait began.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "io/pool.h"

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

/* Puts a descriptor into the set, where it may be already. */
static int enrol(int set_fd, int fd, uint64_t data)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = data};
    int status = epoll_ctl(set_fd, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -errno;
    return status == -EEXIST ? 0 : status;
}

static int mend_notice(fol_io_crew *crew)
{
    if (!is_open(crew->notice_fd)) {
        int fd = eventfd(crew->is_signalled, EFD_CLOEXEC | EFD_NONBLOCK);
        if (fd < 0) {
            return -errno;
        }
        crew->notice_fd = fd;
    }
    return enrol(crew->set_fd, crew->notice_fd, FOL_IO_READINESS_NOTICE);
}

/* Whoever finds that work waits sets a new one. */
static int mend_alarm(fol_io_crew *crew)
{
    if (!is_open(crew->alarm_fd)) {
        int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
        if (fd < 0) {
            return -errno;
        }
        crew->alarm_fd = fd;
        crew->is_alarmed = false;
    }
    return enrol(crew->set_fd, crew->alarm_fd, FOL_IO_READINESS_TIMER);
}

int fol_io_crew_mend(fol_io_crew *crew)
{
    int status = mend_notice(crew);
    if (status == 0) {
        status = mend_alarm(crew);
    }
    /* Relaxed: it is written under the mutex, and the driving thread, which reads it without, mends
     * only what it sees; what it does not see yet the top of the file says. */
    fol_atomic_store(&crew->is_lost, status != 0, memory_order_relaxed);
    return status;
}

bool fol_io_pool_has_lost_its_set(const fol_io_pool *pool, int status)
{
    /* A number that is another file's by now is refused as no set. */
    return status == -EINVAL || (status == -EBADF && !is_open(pool->readiness.epoll_fd));
}

int fol_io_pool_join_set(fol_io_pool *pool)
{
    pthread_mutex_lock(&pool->crew.mutex);
    pool->crew.set_fd = pool->readiness.epoll_fd;
    int status = fol_io_crew_mend(&pool->crew);
    pthread_mutex_unlock(&pool->crew.mutex);
    return status;
}

int fol_io_pool_renew_set(fol_io_pool *pool, fol_io_job *job)
{
    fol_io_jobs again = {0};
    uint64_t cursor = 0;
    fol_io_job *next = NULL;
    int status = fol_io_readiness_reopen(&pool->readiness);
    if (status != 0) {
        return status;
    }
    pool->engine.notice_fd = pool->readiness.epoll_fd;
    while ((next = fol_io_readiness_take(&pool->readiness, &cursor)) != NULL) {
        fol_io_jobs_append(&again, next, FOL_IO_PLACE_FRESH);
    }
    if (job != NULL) {
        fol_io_jobs_append(&again, job, FOL_IO_PLACE_FRESH);
    }
    while ((next = fol_io_jobs_pop(&pool->fresh)) != NULL) {
        fol_io_jobs_append(&again, next, FOL_IO_PLACE_FRESH);
    }
    pool->fresh = again;
    /* What fails here is said by the next wait. */
    (void)fol_io_pool_join_set(pool);
    return 0;
}

int fol_io_pool_wait(fol_io_pool *pool, struct epoll_event *out, int room, uint64_t timeout_ns)
{
    int status = 0;
    if (FOL_UNLIKELY(fol_atomic_load(&pool->crew.is_lost, memory_order_relaxed))) {
        status = fol_io_pool_join_set(pool);
    }
    if (FOL_LIKELY(status == 0)) {
        status = fol_io_readiness_wait(&pool->readiness, out, room, timeout_ns);
    }
    if (FOL_UNLIKELY(status < 0) && fol_io_pool_has_lost_its_set(pool, status)) {
        /* What stood is to be tried before anybody sleeps. */
        status = fol_io_pool_renew_set(pool, NULL);
    }
    return status;
}
