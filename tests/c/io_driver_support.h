/* A driver on this machine's engines, for tests: made, run until operations are finished, ended.
 */
#ifndef FOL_TESTS_IO_DRIVER_SUPPORT_H
#define FOL_TESTS_IO_DRIVER_SUPPORT_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "check.h"
#include "foliot/memory.h"
#include "foliot/status.h"
#include "io/driver_state.h"

static fol_io_choice choice;

static inline fol_io *open_driver(void)
{
    fol_io *io = NULL;
    fol_io_config config = {.choice = choice, .clock = fol_clock_monotonic};
    config.max_operations = 200000;
    if (fol_io_create(&config, &io) != FOL_OK) {
        fprintf(stderr, "cannot create a driver\n");
        exit(1);
    }
    return io;
}

static inline void count_dropped(void *argument, fol_io_op *op, bool is_held)
{
    CHECK(!is_held);
    (void)op;
    *(uint32_t *)argument += 1;
}

static inline void close_driver(fol_io *io, uint32_t expected)
{
    uint32_t dropped = 0;
    CHECK_EQ(fol_io_pending(io), expected);
    CHECK(fol_io_destroy(io, count_dropped, &dropped));
    CHECK_EQ(dropped, expected);
}

/* Until `count` operations are finished; those that took part are left to be released. */
static inline void run(fol_io *io, uint32_t count)
{
    uint32_t finished = 0;
    while (finished < count) {
        int status = fol_io_wait(io, count - finished, UINT64_MAX);
        if (!CHECK(status == FOL_OK || status == -EINTR)) {
            exit(1);
        }
        for (fol_io_op *op = fol_io_take(io); op != NULL; op = op->next) {
            finished += op->is_finished;
        }
    }
}

static inline int64_t do_one(fol_io *io, fol_io_op *op, fol_io_request request)
{
    op->request = request;
    fol_io_submit(io, &op, 1);
    run(io, 1);
    return op->value;
}

static inline uint8_t byte_at(size_t offset)
{
    return (uint8_t)(offset * 31 + offset / 251);
}

static inline size_t wrong_bytes(const void *memory, size_t size, size_t from)
{
    const uint8_t *bytes = memory;
    size_t wrong = 0;
    for (size_t i = 0; i < size; i++) {
        wrong += bytes[i] != byte_at(from + i);
    }
    return wrong;
}

static inline uint8_t *make_bytes(size_t size)
{
    uint8_t *bytes = malloc(size + 1);
    for (size_t i = 0; i < size; i++) {
        bytes[i] = byte_at(i);
    }
    return bytes;
}

static inline uint32_t open_descriptors(void)
{
    uint32_t count = 0;
    for (int fd = 0; fd < 4096; fd++) {
        count += fcntl(fd, F_GETFD) >= 0;
    }
    return count;
}

#endif
