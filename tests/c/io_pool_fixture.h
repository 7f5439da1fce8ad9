/* What tests of the pool engine share: a pool, its completions by token, and counts of what must
 * not leak.
 */
#ifndef FOL_TESTS_IO_POOL_FIXTURE_H
#define FOL_TESTS_IO_POOL_FIXTURE_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "foliot/memory.h"
#include "foliot/status.h"
#include "io/pool.h"

#define TOKENS  8192u
#define FOREVER UINT64_MAX

typedef struct fixture {
    fol_io_engine *engine;
    uint32_t finals[TOKENS];
    uint32_t pieces[TOKENS];
    int64_t values[TOKENS]; /* the last one */
    uint64_t bytes[TOKENS]; /* of pieces with buffers */
    uint32_t ended;
    bool keeps_buffers;
    int32_t kept[1024];
    uint32_t kept_count;
} fixture;

static inline uint32_t count_entries(const char *path)
{
    uint32_t count = 0;
    DIR *folder = opendir(path);
    if (folder == NULL) {
        return 0;
    }
    while (readdir(folder) != NULL) {
        count += 1;
    }
    closedir(folder);
    return count;
}

static inline uint32_t count_files(void)
{
    return count_entries("/proc/self/fd");
}

static inline uint32_t count_tasks(void)
{
    return count_entries("/proc/self/task");
}

static inline uint64_t live_blocks(void)
{
    fol_memory_stats stats;
    fol_memory_read_stats(&stats);
    return stats.live_blocks;
}

static inline bool fixture_open_with(fixture *f, const fol_io_pool_config *config)
{
    memset(f, 0, sizeof(*f));
    return CHECK_EQ(fol_io_pool_create(config, &f->engine), FOL_OK);
}

static inline bool fixture_open(fixture *f)
{
    return fixture_open_with(f, &(fol_io_pool_config){.max_threads = 4});
}

static inline void fixture_close(fixture *f)
{
    CHECK(f->engine->ops->destroy(f->engine));
    f->engine = NULL;
}

static inline int start(fixture *f, const fol_io_request *request, uint64_t token)
{
    return f->engine->ops->start(f->engine, request, token);
}

static inline void flush(fixture *f)
{
    CHECK_EQ(f->engine->ops->flush(f->engine), FOL_OK);
}

static inline void cancel(fixture *f, uint64_t token)
{
    f->engine->ops->cancel(f->engine, token);
}

static inline void note(fixture *f, const fol_io_event *event)
{
    if (!CHECK(event->token < TOKENS)) {
        return;
    }
    f->values[event->token] = event->value;
    if (!event->has_more) {
        f->finals[event->token] += 1;
        f->ended += 1;
        return;
    }
    f->pieces[event->token] += 1;
    if (event->buffer < 0) {
        /* A connection. */
        CHECK(event->value >= 0);
        close((int)event->value);
        return;
    }
    f->bytes[event->token] += (uint64_t)event->value;
    if (f->keeps_buffers) {
        f->kept[f->kept_count] = event->buffer;
        f->kept_count += 1;
    } else {
        f->engine->ops->give_buffer(f->engine, event->buffer);
    }
}

static inline size_t reap(fixture *f)
{
    fol_io_event events[64];
    size_t count = f->engine->ops->reap(f->engine, events, 64);
    for (size_t i = 0; i < count; i++) {
        note(f, &events[i]);
    }
    return count;
}

/* Until nothing is there. */
static inline void reap_all(fixture *f)
{
    while (reap(f) != 0) {
    }
}

static inline int wait_ns(fixture *f, uint64_t timeout_ns)
{
    return f->engine->ops->wait(f->engine, 1, timeout_ns);
}

/* Until so many requests have ended since the fixture was opened. */
static inline void wait_ended(fixture *f, uint32_t count)
{
    reap_all(f);
    while (f->ended < count) {
        int status = wait_ns(f, FOREVER);
        if (!CHECK(status == FOL_OK || status == -EINTR)) {
            return;
        }
        reap_all(f);
    }
}

/* The value of one request, done alone. */
static inline int64_t run_one(fixture *f, const fol_io_request *request)
{
    uint32_t before = f->ended;
    if (!CHECK_EQ(start(f, request, 0), FOL_OK)) {
        return 1;
    }
    wait_ended(f, before + 1);
    return f->values[0];
}

static inline fol_io_request read_of(int fd, void *buffer, size_t size, uint64_t offset)
{
    return (fol_io_request){
        .kind = FOL_IO_READ, .fd = fd, .buffer = buffer, .size = size, .offset = offset};
}

static inline fol_io_request recv_of(int fd, void *buffer, size_t size)
{
    return (fol_io_request){.kind = FOL_IO_RECV, .fd = fd, .buffer = buffer, .size = size};
}

static inline fol_io_request send_of(int fd, const void *buffer, size_t size)
{
    return (fol_io_request){
        .kind = FOL_IO_SEND, .fd = fd, .buffer = (void *)(uintptr_t)buffer, .size = size};
}

static inline fol_io_request stat_of(const char *path, void *buffer)
{
    return (fol_io_request){
        .kind = FOL_IO_STAT, .flags = FOL_IO_PATH, .fd = AT_FDCWD, .path = path, .buffer = buffer};
}

static inline fol_io_request open_of(const char *path, uint32_t options, uint32_t mode)
{
    return (fol_io_request){
        .kind = FOL_IO_OPEN, .fd = AT_FDCWD, .path = path, .options = options, .mode = mode};
}

/* A listener on the loopback and its address. */
static inline int listen_on_loopback(struct sockaddr_in *address, int flags, int backlog)
{
    socklen_t size = sizeof(*address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
    memset(address, 0, sizeof(*address));
    address->sin_family = AF_INET;
    address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK_EQ(bind(fd, (struct sockaddr *)address, size), 0);
    CHECK_EQ(listen(fd, backlog), 0);
    CHECK_EQ(getsockname(fd, (struct sockaddr *)address, &size), 0);
    return fd;
}

static inline int connect_to(const struct sockaddr_in *address)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_EQ(connect(fd, (const struct sockaddr *)address, sizeof(*address)), 0);
    return fd;
}

/* A new folder for the files of a test. */
static inline void make_folder(char *out, size_t size)
{
    snprintf(out, size, "/tmp/foliot_io_XXXXXX");
    CHECK(mkdtemp(out) != NULL);
}

#endif
