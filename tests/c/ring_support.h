/* What the tests of the ring engine share: an engine, and steps that drive it.
 *
 * These tests need io_uring. Where the machine itself forbids it, ring_begin says so and the
 * program ends with success: tests/c/test_machine.c has the tests of such machines.
 */
#ifndef FOL_TESTS_RING_SUPPORT_H
#define FOL_TESTS_RING_SUPPORT_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/memory.h"
#include "check.h"
#include "foliot/machine.h"
#include "io/ring.h"
#include "ring_ladder.h"
#include "stress.h"

#define EVENTS_MAX 8192

static fol_io_event events[EVENTS_MAX];

/* True when this machine has io_uring; says why not otherwise. */
static inline bool ring_begin(void)
{
    fol_io_report report;
    if (fol_io_probe(&report) != 0 || report.available == 0) {
        printf("this machine refuses io_uring (%s): nothing of the ring is tested\n",
               fol_io_cure_text(report.cure));
        return false;
    }
    return true;
}

static inline fol_io_engine *ring_make_with(const fol_io_ring_config *config)
{
    fol_io_report report;
    fol_io_engine *engine = NULL;
    int status = fol_io_ring_create(config, &report, &engine);
    if (!CHECK_EQ(status, 0)) {
        abort();
    }
    return engine;
}

static inline fol_io_engine *ring_make(void)
{
    const fol_io_ring_config config = {.entries = 16, .buffer_count = 8, .buffer_size = 64};
    fol_io_engine *engine = ring_make_with(&config);
    CHECK_EQ(engine->ops->adopt(engine), 0);
    return engine;
}

static inline int ring_start(fol_io_engine *engine, fol_io_request request, uint64_t token)
{
    return engine->ops->start(engine, &request, token);
}

static inline int ring_nop(fol_io_engine *engine, uint64_t token)
{
    return ring_start(engine, (fol_io_request){.kind = FOL_IO_NOP}, token);
}

/* Reads one byte of a pipe or socket into *byte. */
static inline int ring_read_byte(fol_io_engine *engine, int fd, char *byte, uint64_t token)
{
    return ring_start(
        engine,
        (fol_io_request){
            .kind = FOL_IO_READ, .fd = fd, .buffer = byte, .size = 1, .offset = FOL_IO_CURRENT},
        token);
}

/* Waits until `count` events have come; into `events`, how many. A wait that never ends is ended by
 * the alarm. */
static inline size_t ring_collect(fol_io_engine *engine, size_t count)
{
    size_t got = engine->ops->reap(engine, events, EVENTS_MAX);
    while (got < count) {
        int status = engine->ops->wait(engine, 1, UINT64_MAX);
        if (status != FOL_OK && status != -EINTR) {
            got += engine->ops->reap(engine, events + got, EVENTS_MAX - got);
            break;
        }
        got += engine->ops->reap(engine, events + got, EVENTS_MAX - got);
    }
    return got;
}

/* The event of a token among those collected; NULL when there is none. */
static inline const fol_io_event *ring_event(size_t count, uint64_t token)
{
    for (size_t index = 0; index < count; index++) {
        if (events[index].token == token) {
            return &events[index];
        }
    }
    return NULL;
}

static inline uint32_t ring_open_files(void)
{
    uint32_t count = 0;
    DIR *directory = opendir("/proc/self/fd");
    while (directory != NULL && readdir(directory) != NULL) {
        count += 1;
    }
    closedir(directory);
    return count;
}

static inline uint64_t ring_live_blocks(void)
{
    fol_memory_stats stats;
    fol_memory_read_stats(&stats);
    return stats.live_blocks;
}

/* Runs `body` in a thread of its own, to its end. */
static inline void ring_in_thread(void *(*body)(void *), void *argument)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, body, argument) != 0) {
        abort();
    }
    pthread_join(thread, NULL);
}

#endif
