/* Operations: what each kind of request is to the kernel, in one table.
 *
 * A row says how the request is prepared for a ring, what blocking call does the same, and the
 * rules by which the driver goes on with it. Adding an operation is one line in foliot/io.h, one
 * row here and one test.
 *
 * Rows are for primitive requests, one system call each: the driver takes apart those that name a
 * file by its path to be read or written.
 */
#ifndef FOL_IO_OPERATION_H
#define FOL_IO_OPERATION_H

#include "foliot/io.h"

struct io_uring_sqe;

/* What goes on after a result of fewer bytes than asked for. */
typedef enum fol_io_short_rule {
    FOL_IO_SHORT_ENDS = 0,  /* a result is a result */
    FOL_IO_SHORT_READS = 1, /* again for the rest, until 0 bytes come */
    FOL_IO_SHORT_SENDS = 2, /* again for the rest; 0 bytes are -EIO */
} fol_io_short_rule;

typedef struct fol_io_operation {
    const char *name;
    uint32_t opcode; /* of the ring; UINT32_MAX: not the ring's business (TIMEOUT, CANCEL) */
    /* It waits for somebody else (a peer, a pipe), for any time: it must not hold a thread that
     * others need, and can be cancelled. */
    bool may_wait;
    bool gives_fd; /* success after a cancel leaves a descriptor to close */
    fol_io_short_rule short_rule;
    void (*prepare)(struct io_uring_sqe *sqe, const fol_io_request *request);
    /* The blocking call: the value, or a negative errno. With `is_patient` false a request that
     * may_wait gives -EAGAIN rather than wait, on whatever descriptor. */
    int64_t (*call)(const fol_io_request *request, bool is_patient);
} fol_io_operation;

/* Whom a thread asks that makes calls itself though it has more to do: true means that it is to
 * stop. was_interrupted: a signal has just ended a call. */
typedef struct fol_io_interruption {
    bool (*must_stop)(void *argument, bool was_interrupted); /* NULL: never */
    void *argument;
} fol_io_interruption;

/* The row of a kind; NULL for no kind. */
const fol_io_operation *fol_io_operation_of(uint32_t kind);

/* FOL_OK, or FOL_E_VALUE when a request makes no sense: an unknown kind, flags that do not go with
 * it, no path or buffer where there must be one, a negative descriptor. *what gets a static
 * sentence without a full stop. */
int fol_io_request_check(const fol_io_request *request, const char **what);

/* Bytes of the largest request that is plain. */
#define FOL_IO_PLAIN_MAX ((size_t)1 << 20)

/* NOP, or a READ or WRITE at an offset, of a descriptor and a buffer of the asker's, with nothing
 * else to it. Such a request makes sense. */
static inline bool fol_io_request_is_plain(const fol_io_request *request)
{
    if (request->flags != 0 || request->path != NULL || request->path2 != NULL ||
        request->timeout_ns != 0) {
        return false;
    }
    if (request->kind == FOL_IO_NOP) {
        return true;
    }
    return (request->kind == FOL_IO_READ || request->kind == FOL_IO_WRITE) && request->fd >= 0 &&
           request->buffer != NULL && request->size > 0 && request->size <= FOL_IO_PLAIN_MAX &&
           request->offset <= INT64_MAX;
}

#endif
