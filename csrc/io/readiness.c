/* Standing in an epoll set; see readiness.h.
 *
 * Watches are found by descriptor in chunks, because descriptors are small numbers, and the few
 * large ones a process may have must not cost memory for all below them.
 */
#include "io/readiness.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/atomics.h"
#include "base/memory.h"
#include "base/poll.h"

#define CHUNK_WATCHES 256u
#define NS_PER_S      UINT64_C(1000000000)
#define NS_PER_MS     UINT64_C(1000000)
#define KERNEL_SIGSET (_NSIG / 8)
#define WAIT_MS_MAX   INT64_C(1000000000)

struct fol_io_watch_chunk {
    fol_io_watch watches[CHUNK_WATCHES];
};

/* Waits are in milliseconds from the time when the kernel was found to have no finer ones. Relaxed:
 * it only saves a call. */
static FOL_ATOMIC(bool) has_no_fine_wait;

int fol_io_readiness_init(fol_io_readiness *readiness)
{
    memset(readiness, 0, sizeof(*readiness));
    readiness->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    return readiness->epoll_fd < 0 ? -errno : 0;
}

int fol_io_readiness_reopen(fol_io_readiness *readiness)
{
    int fd = epoll_create1(EPOLL_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    readiness->epoll_fd = fd;
    for (uint32_t i = 0; i < readiness->chunk_count; i++) {
        for (uint32_t k = 0; readiness->chunks[i] != NULL && k < CHUNK_WATCHES; k++) {
            readiness->chunks[i]->watches[k].events = 0;
        }
    }
    return 0;
}

fol_io_job *fol_io_readiness_take(fol_io_readiness *readiness, uint64_t *cursor)
{
    /* Over all descriptors that were ever watched. */
    for (; *cursor / CHUNK_WATCHES < readiness->chunk_count; *cursor += 1) {
        fol_io_watch_chunk *chunk = readiness->chunks[*cursor / CHUNK_WATCHES];
        fol_io_watch *watch = chunk != NULL ? &chunk->watches[*cursor % CHUNK_WATCHES] : NULL;
        if (watch != NULL && watch->jobs.first != NULL) {
            return fol_io_jobs_pop(&watch->jobs);
        }
    }
    return NULL;
}

void fol_io_readiness_deinit(fol_io_readiness *readiness)
{
    for (uint32_t i = 0; i < readiness->chunk_count; i++) {
        fol_free(readiness->chunks[i]);
    }
    fol_free(readiness->chunks);
    close(readiness->epoll_fd);
    memset(readiness, 0, sizeof(*readiness));
    readiness->epoll_fd = -1;
}

static int control(fol_io_readiness *readiness, int operation, int fd, uint32_t events,
                   uint64_t data)
{
    struct epoll_event event = {.events = events, .data.u64 = data};
    readiness->system_calls += 1;
    return epoll_ctl(readiness->epoll_fd, operation, fd, &event) == 0 ? 0 : -errno;
}

static fol_io_watch *watch_of(const fol_io_readiness *readiness, int fd)
{
    uint32_t index = (uint32_t)fd / CHUNK_WATCHES;
    if (fd < 0 || index >= readiness->chunk_count || readiness->chunks[index] == NULL) {
        return NULL;
    }
    return &readiness->chunks[index]->watches[(uint32_t)fd % CHUNK_WATCHES];
}

/* The watch of an open descriptor, made if there is none; NULL: no memory. */
static fol_io_watch *make_watch(fol_io_readiness *readiness, int fd)
{
    uint32_t index = (uint32_t)fd / CHUNK_WATCHES;
    if (index >= readiness->chunk_count) {
        fol_io_watch_chunk **chunks =
            fol_realloc_array(readiness->chunks, index + 1, sizeof(*chunks));
        if (chunks == NULL) {
            return NULL;
        }
        for (uint32_t i = readiness->chunk_count; i <= index; i++) {
            chunks[i] = NULL;
        }
        readiness->chunks = chunks;
        readiness->chunk_count = index + 1;
    }
    if (readiness->chunks[index] == NULL) {
        readiness->chunks[index] = fol_alloc_zeroed(1, sizeof(*readiness->chunks[index]));
    }
    return watch_of(readiness, fd);
}

static uint64_t data_of(int fd, const fol_io_watch *watch)
{
    return (uint32_t)fd | (uint64_t)watch->generation << 32;
}

/* Registers a watch, which may be registered, or have been under the same number. */
static int enroll(fol_io_readiness *readiness, int fd, fol_io_watch *watch, uint32_t events)
{
    uint32_t wanted = events | EPOLLET;
    int status = -ENOENT;
    if (watch->events != 0) {
        status = control(readiness, EPOLL_CTL_MOD, fd, wanted, data_of(fd, watch));
    }
    if (status == -ENOENT) {
        /* One bit less, so that no generation makes the data of a descriptor watched for itself. */
        watch->generation = (watch->generation + 1) & INT32_MAX;
        status = control(readiness, EPOLL_CTL_ADD, fd, wanted, data_of(fd, watch));
    }
    if (status == -EEXIST) {
        status = control(readiness, EPOLL_CTL_MOD, fd, wanted, data_of(fd, watch));
    }
    return status;
}

int fol_io_readiness_stand(fol_io_readiness *readiness, fol_io_job *job)
{
    int fd = job->request->fd;
    FOL_ASSERT(fd >= 0);
    FOL_ASSERT(job->events != 0);
    fol_io_watch *watch = make_watch(readiness, fd);
    if (watch == NULL) {
        return -ENOMEM;
    }
    /* What nobody stands for any more is forgotten here. */
    uint32_t events = job->events | (watch->jobs.count != 0 ? watch->events : 0);
    int status = enroll(readiness, fd, watch, events);
    if (status != 0) {
        return status;
    }
    readiness->was_used = true;
    watch->events = events;
    fol_io_jobs_append(&watch->jobs, job, FOL_IO_PLACE_STANDING);
    return 0;
}

void fol_io_readiness_leave(fol_io_readiness *readiness, fol_io_job *job)
{
    fol_io_watch *watch = watch_of(readiness, job->request->fd);
    FOL_ASSERT(watch != NULL);
    FOL_ASSERT(job->place == FOL_IO_PLACE_STANDING);
    fol_io_jobs_remove(&watch->jobs, job);
}

bool fol_io_readiness_has_earlier(const fol_io_readiness *readiness, int fd, uint32_t lane)
{
    const fol_io_watch *watch = watch_of(readiness, fd);
    const fol_io_job *job = watch != NULL ? watch->jobs.first : NULL;
    /* Over the jobs of one descriptor, of which most have one or two. */
    while (job != NULL && (job->lane & lane) == 0) {
        job = job->next;
    }
    return job != NULL;
}

/* Takes a watch without jobs out of the set. Its descriptor may be closed by now, or another file.
 */
static void unregister(fol_io_readiness *readiness, int fd, fol_io_watch *watch)
{
    FOL_ASSERT(watch->jobs.count == 0);
    if (watch->events == 0) {
        return;
    }
    int status = control(readiness, EPOLL_CTL_DEL, fd, 0, 0);
    FOL_ASSERT(status == 0 || status == -ENOENT || status == -EBADF || status == -EPERM);
    watch->events = 0;
}

void fol_io_readiness_forget(fol_io_readiness *readiness, int fd)
{
    fol_io_watch *watch = watch_of(readiness, fd);
    if (watch != NULL && watch->jobs.count == 0) {
        unregister(readiness, fd, watch);
    }
}

static int wait_finely(const fol_io_readiness *readiness, struct epoll_event *out, int room,
                       uint64_t timeout_ns)
{
#ifdef SYS_epoll_pwait2
    struct timespec limit = {.tv_sec = (time_t)(timeout_ns / NS_PER_S),
                             .tv_nsec = (long)(timeout_ns % NS_PER_S)};
    long count = syscall(SYS_epoll_pwait2, readiness->epoll_fd, out, room,
                         timeout_ns == UINT64_MAX ? NULL : &limit, NULL, (size_t)KERNEL_SIGSET);
    return count >= 0 ? (int)count : -errno;
#else
    (void)readiness;
    (void)out;
    (void)room;
    (void)timeout_ns;
    return -ENOSYS;
#endif
}

int fol_io_readiness_wait(fol_io_readiness *readiness, struct epoll_event *out, int room,
                          uint64_t timeout_ns)
{
    readiness->system_calls += 1;
    uint64_t ask_ns = fol_poll_ask_ns(timeout_ns);
    if (!fol_atomic_load(&has_no_fine_wait, memory_order_relaxed)) {
        int count = wait_finely(readiness, out, room, ask_ns);
        if (count != -ENOSYS) {
            return count;
        }
        fol_atomic_store(&has_no_fine_wait, true, memory_order_relaxed);
    }
    int64_t ms = -1;
    if (ask_ns != UINT64_MAX) {
        /* Not before its time, so it is rounded up. */
        ms = (int64_t)(ask_ns / NS_PER_MS) + (ask_ns % NS_PER_MS != 0);
        ms = ms < WAIT_MS_MAX ? ms : WAIT_MS_MAX;
    }
    int count = epoll_wait(readiness->epoll_fd, out, room, (int)ms);
    return count >= 0 ? count : -errno;
}

fol_io_watch *fol_io_readiness_find(fol_io_readiness *readiness, const struct epoll_event *event)
{
    int fd = (int)(uint32_t)event->data.u64;
    fol_io_watch *watch = watch_of(readiness, fd);
    if (watch == NULL || watch->generation != (uint32_t)(event->data.u64 >> 32)) {
        return NULL;
    }
    if (watch->jobs.count == 0) {
        /* Whoever comes to stand here registers it again. */
        unregister(readiness, fd, watch);
        return NULL;
    }
    return watch;
}
