/* The table of operations, with what needs no wait; see operation.h.
 *
 * Preparation and call of a row do the same: where the kernel's two ways differ, the comment at the
 * call says how they are made one. A signal that interrupts a call is no result: the call is made
 * again, within a bound.
 */
#include "io/operation.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "io/engine.h"
#include "io/operation_calls.h"

#define STAT_MASK (STATX_BASIC_STATS | STATX_BTIME)
/* The kernel's MAX_RW_COUNT: one call moves no more, and a size of more than 32 bits does not fit
 * into a submission. */
#define TRANSFER_MAX UINT32_C(0x7ffff000)

static uint32_t transfer_size(const fol_io_request *request)
{
    return request->size < TRANSFER_MAX ? (uint32_t)request->size : TRANSFER_MAX;
}

/* The value, or -errno, of a call that is made again after a signal. */
#define CALL_AGAIN(expression)                                                                     \
    do {                                                                                           \
        int64_t value = -EINTR;                                                                    \
        for (int i = 0; fol_io_calls_again(value, i); i++) {                                       \
            value = (expression);                                                                  \
            value = value < 0 ? -(int64_t)errno : value;                                           \
        }                                                                                          \
        return value;                                                                              \
    } while (0)

static void prepare_nop(struct io_uring_sqe *sqe, const fol_io_request *request)
{
    (void)request;
    io_uring_prep_nop(sqe);
}

static int64_t call_nop(const fol_io_request *request, bool is_patient)
{
    (void)request;
    (void)is_patient;
    return 0;
}

static void prepare_open(struct io_uring_sqe *sqe, const fol_io_request *request)
{
    io_uring_prep_openat(sqe, request->fd, request->path, (int)request->options | O_CLOEXEC,
                         (mode_t)request->mode);
}

/* To open a named pipe waits for its other end, unless it is opened for both or only to be named.
 */
static bool open_waits_for_others(const fol_io_request *request)
{
    int options = (int)request->options;
    struct statx status;
    if ((options & O_ACCMODE) == O_RDWR ||
        (options & (O_NONBLOCK | O_PATH | O_DIRECTORY | O_EXCL)) != 0) {
        return false;
    }
    int follow = (options & O_NOFOLLOW) != 0 ? AT_SYMLINK_NOFOLLOW : 0;
    return statx(request->fd, request->path, follow, STATX_TYPE, &status) == 0 &&
           S_ISFIFO(status.stx_mode);
}

static int64_t open_again(const fol_io_request *request, int options)
{
    CALL_AGAIN(openat(request->fd, request->path, options | O_CLOEXEC, (mode_t)request->mode));
}

/* The row's may_wait is false because only named pipes do, and because nothing can watch for it;
 * all the same an impatient call does not. */
static int64_t call_open(const fol_io_request *request, bool is_patient)
{
    int options = (int)request->options;
    if ((request->flags & FOL_IO_PROMPT) != 0 && (options & (O_NONBLOCK | O_PATH)) == 0) {
        int64_t prompt = open_again(request, options | O_NONBLOCK);
        if (prompt >= 0) {
            (void)fcntl((int)prompt, F_SETFL, options);
        }
        if (prompt != -EAGAIN) {
            return prompt;
        }
        /* Somebody has a lease on the file, and gives it up in a bounded time. */
    }
    if (!is_patient && open_waits_for_others(request)) {
        return -EAGAIN;
    }
    return open_again(request, options);
}

static void prepare_close(struct io_uring_sqe *sqe, const fol_io_request *request)
{
    io_uring_prep_close(sqe, request->fd);
}

/* An interrupted close has closed all the same, and by now the number may be somebody else's. */
static int64_t call_close(const fol_io_request *request, bool is_patient)
{
    (void)is_patient;
    return close(request->fd) == 0 || errno == EINTR ? 0 : -(int64_t)errno;
}

static void prepare_read(struct io_uring_sqe *sqe, const fol_io_request *request)
{
    if ((request->flags & FOL_IO_VECTORS) != 0) {
        io_uring_prep_readv(sqe, request->fd, request->buffer, (unsigned)request->size,
                            request->offset);
    } else {
        io_uring_prep_read(sqe, request->fd, request->buffer, transfer_size(request),
                           request->offset);
    }
}

static void prepare_write(struct io_uring_sqe *sqe, const fol_io_request *request)
{
    if ((request->flags & FOL_IO_VECTORS) != 0) {
        io_uring_prep_writev(sqe, request->fd, request->buffer, (unsigned)request->size,
                             request->offset);
    } else {
        io_uring_prep_write(sqe, request->fd, request->buffer, transfer_size(request),
                            request->offset);
    }
    sqe->rw_flags = (__kernel_rwf_t)fol_io_write_flags();
}

static void prepare_fsync(struct io_uring_sqe *sqe, const fol_io_request *request)
{
    io_uring_prep_fsync(sqe, request->fd, request->options == 1 ? IORING_FSYNC_DATASYNC : 0);
}

static int64_t call_fsync(const fol_io_request *request, bool is_patient)
{
    (void)is_patient;
    CALL_AGAIN(request->options == 1 ? fdatasync(request->fd) : fsync(request->fd));
}

/* A descriptor is an empty path relative to itself. */
static const char *stat_path(const fol_io_request *request)
{
    return (request->flags & FOL_IO_PATH) != 0 ? request->path : "";
}

static int stat_flags(const fol_io_request *request)
{
    return (int)request->options | ((request->flags & FOL_IO_PATH) != 0 ? 0 : AT_EMPTY_PATH);
}

static void prepare_stat(struct io_uring_sqe *sqe, const fol_io_request *request)
{
    io_uring_prep_statx(sqe, request->fd, stat_path(request), stat_flags(request), STAT_MASK,
                        request->buffer);
}

static int64_t call_stat(const fol_io_request *request, bool is_patient)
{
    (void)is_patient;
    CALL_AGAIN(
        statx(request->fd, stat_path(request), stat_flags(request), STAT_MASK, request->buffer));
}

static void prepare_rename(struct io_uring_sqe *sqe, const fol_io_request *request)
{
    io_uring_prep_renameat(sqe, request->fd, request->path, request->fd, request->path2,
                           request->options);
}

static int64_t call_rename(const fol_io_request *request, bool is_patient)
{
    (void)is_patient;
    CALL_AGAIN(
        renameat2(request->fd, request->path, request->fd, request->path2, request->options));
}

static void prepare_unlink(struct io_uring_sqe *sqe, const fol_io_request *request)
{
    io_uring_prep_unlinkat(sqe, request->fd, request->path, (int)request->options);
}

static int64_t call_unlink(const fol_io_request *request, bool is_patient)
{
    (void)is_patient;
    CALL_AGAIN(unlinkat(request->fd, request->path, (int)request->options));
}

static void prepare_mkdir(struct io_uring_sqe *sqe, const fol_io_request *request)
{
    io_uring_prep_mkdirat(sqe, request->fd, request->path, (mode_t)request->mode);
}

static int64_t call_mkdir(const fol_io_request *request, bool is_patient)
{
    (void)is_patient;
    CALL_AGAIN(mkdirat(request->fd, request->path, (mode_t)request->mode));
}

static void prepare_socket(struct io_uring_sqe *sqe, const fol_io_request *request)
{
    io_uring_prep_socket(sqe, (int)request->options, (int)request->mode | SOCK_CLOEXEC,
                         (int)request->size, 0);
}

static int64_t call_socket(const fol_io_request *request, bool is_patient)
{
    (void)is_patient;
    CALL_AGAIN(
        socket((int)request->options, (int)request->mode | SOCK_CLOEXEC, (int)request->size));
}

static void prepare_connect(struct io_uring_sqe *sqe, const fol_io_request *request)
{
    io_uring_prep_connect(sqe, request->fd, request->buffer, (socklen_t)request->size);
}

static void prepare_accept(struct io_uring_sqe *sqe, const fol_io_request *request)
{
    io_uring_prep_accept(sqe, request->fd, NULL, NULL, (int)request->options | SOCK_CLOEXEC);
}

static void prepare_recv(struct io_uring_sqe *sqe, const fol_io_request *request)
{
    io_uring_prep_recv(sqe, request->fd, request->buffer, transfer_size(request), 0);
}

static void prepare_send(struct io_uring_sqe *sqe, const fol_io_request *request)
{
    io_uring_prep_send(sqe, request->fd, request->buffer, transfer_size(request), MSG_NOSIGNAL);
}

static void prepare_shutdown(struct io_uring_sqe *sqe, const fol_io_request *request)
{
    io_uring_prep_shutdown(sqe, request->fd, (int)request->options);
}

static int64_t call_shutdown(const fol_io_request *request, bool is_patient)
{
    (void)is_patient;
    CALL_AGAIN(shutdown(request->fd, (int)request->options));
}

static void prepare_poll(struct io_uring_sqe *sqe, const fol_io_request *request)
{
    io_uring_prep_poll_add(sqe, request->fd, request->options);
}

/* Name, opcode, waits, gives fd, short rule, preparation, call. */
static const fol_io_operation operations[FOL_IO_KIND_COUNT] = {
    [FOL_IO_NOP] = {"nop", IORING_OP_NOP, false, false, FOL_IO_SHORT_ENDS, prepare_nop, call_nop},
    [FOL_IO_OPEN] = {"open", IORING_OP_OPENAT, false, true, FOL_IO_SHORT_ENDS, prepare_open,
                     call_open},
    [FOL_IO_CLOSE] = {"close", IORING_OP_CLOSE, false, false, FOL_IO_SHORT_ENDS, prepare_close,
                      call_close},
    [FOL_IO_READ] = {"read", IORING_OP_READ, true, false, FOL_IO_SHORT_READS, prepare_read,
                     fol_io_call_read},
    [FOL_IO_WRITE] = {"write", IORING_OP_WRITE, true, false, FOL_IO_SHORT_SENDS, prepare_write,
                      fol_io_call_write},
    [FOL_IO_FSYNC] = {"fsync", IORING_OP_FSYNC, false, false, FOL_IO_SHORT_ENDS, prepare_fsync,
                      call_fsync},
    [FOL_IO_STAT] = {"stat", IORING_OP_STATX, false, false, FOL_IO_SHORT_ENDS, prepare_stat,
                     call_stat},
    [FOL_IO_RENAME] = {"rename", IORING_OP_RENAMEAT, false, false, FOL_IO_SHORT_ENDS,
                       prepare_rename, call_rename},
    [FOL_IO_UNLINK] = {"unlink", IORING_OP_UNLINKAT, false, false, FOL_IO_SHORT_ENDS,
                       prepare_unlink, call_unlink},
    [FOL_IO_MKDIR] = {"mkdir", IORING_OP_MKDIRAT, false, false, FOL_IO_SHORT_ENDS, prepare_mkdir,
                      call_mkdir},
    [FOL_IO_SOCKET] = {"socket", IORING_OP_SOCKET, false, true, FOL_IO_SHORT_ENDS, prepare_socket,
                       call_socket},
    [FOL_IO_CONNECT] = {"connect", IORING_OP_CONNECT, true, false, FOL_IO_SHORT_ENDS,
                        prepare_connect, fol_io_call_connect},
    [FOL_IO_ACCEPT] = {"accept", IORING_OP_ACCEPT, true, true, FOL_IO_SHORT_ENDS, prepare_accept,
                       fol_io_call_accept},
    [FOL_IO_RECV] = {"recv", IORING_OP_RECV, true, false, FOL_IO_SHORT_ENDS, prepare_recv,
                     fol_io_call_recv},
    [FOL_IO_SEND] = {"send", IORING_OP_SEND, true, false, FOL_IO_SHORT_SENDS, prepare_send,
                     fol_io_call_send},
    [FOL_IO_SHUTDOWN] = {"shutdown", IORING_OP_SHUTDOWN, false, false, FOL_IO_SHORT_ENDS,
                         prepare_shutdown, call_shutdown},
    [FOL_IO_POLL] = {"poll", IORING_OP_POLL_ADD, true, false, FOL_IO_SHORT_ENDS, prepare_poll,
                     fol_io_call_poll},
    [FOL_IO_TIMEOUT] = {"timeout", UINT32_MAX, true, false, FOL_IO_SHORT_ENDS, NULL, NULL},
    [FOL_IO_CANCEL] = {"cancel", UINT32_MAX, false, false, FOL_IO_SHORT_ENDS, NULL, NULL},
};

const fol_io_operation *fol_io_operation_of(uint32_t kind)
{
    if (kind >= FOL_IO_KIND_COUNT) {
        return NULL;
    }
    FOL_ASSERT_HOT(operations[kind].name != NULL);
    return &operations[kind];
}
