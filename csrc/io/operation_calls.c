/* The blocking calls that may wait; see operation_calls.h.
 *
 * How each tries without waiting, with nobody else's descriptor flags changed for longer than a
 * system call that does not wait:
 *
 * - RECV, SEND: MSG_DONTWAIT.
 * - READ, WRITE: RWF_NOWAIT. What has no such thing and no position (a terminal) is read after poll
 *   said so; then it can wait only when another reader takes the bytes between the two calls. What
 *   has a position waits for no one else, so -EAGAIN means there that a patient call is due.
 * - POLL: poll with no time.
 * - CONNECT, ACCEPT: the kernel has no such flag for one call, and sockets cannot be opened anew.
 * On a descriptor without O_NONBLOCK the flag is set for that one call and then taken away. An
 *   accept does so only when poll says that a connection is there: without it, one that another
 *   process took in between would make the whole frame wait for the next client, while the worst
 *   that a foreign accept on the same listener can see in that microsecond is -EAGAIN. A socket on
 *   its way to a connection carries nothing yet, so nobody has a use for it meanwhile. Datagram
 *   sockets connect at once and are left alone. The other ways are worse: a thread for each connect
 *   is held for minutes by a silent host, and a time limit on the socket is shared state as well.
 *   Within the process the change is under a lock, so that no thread takes another one's passing
 *   flag for the descriptor's own.
 *
 * SIGPIPE is never raised: sends have MSG_NOSIGNAL; writes RWF_NOSIGNAL where the kernel has it,
 * and else the signal is blocked and taken back.
 */
#include "io/operation_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/atomics.h"
#include "base/fork.h"

#ifndef RWF_NOSIGNAL
#define RWF_NOSIGNAL 0x00000100
#endif

/* How often readiness may be followed by nothing before a patient call gives up with -EAGAIN. */
#define TRIES_MAX (1u << 24)
/* Turns in which the passing flag's lock is looked at again. */
#define LOCK_TURNS 1000

static uint32_t write_flags;
static pthread_once_t write_flags_once = PTHREAD_ONCE_INIT;

static int64_t result_of(int64_t value)
{
    return value < 0 ? -(int64_t)errno : value;
}

/* A write to a pipe that nobody reads says -EPIPE when the flag is known, and is refused before
 * that when it is not. So no signal comes either way. */
static void probe_write_flags(void)
{
    int ends[2];
    char byte = 0;
    struct iovec vector = {.iov_base = &byte, .iov_len = 1};
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return;
    }
    close(ends[0]);
    if (pwritev2(ends[1], &vector, 1, -1, RWF_NOSIGNAL) < 0 && errno == EPIPE) {
        write_flags = RWF_NOSIGNAL;
    }
    close(ends[1]);
}

uint32_t fol_io_write_flags(void)
{
    pthread_once(&write_flags_once, probe_write_flags);
    return write_flags;
}

/* Of the calling thread. */
static _Thread_local const fol_io_interruption *interruption;

void fol_io_ask_when_interrupted(const fol_io_interruption *asked)
{
    interruption = asked;
}

bool fol_io_calls_again(int64_t value, int calls)
{
    if (value != -EINTR || calls >= FOL_IO_INTERRUPTIONS_MAX) {
        return false;
    }
    bool has_asked = calls > 0 && interruption != NULL && interruption->must_stop != NULL;
    return !has_asked || !interruption->must_stop(interruption->argument, true);
}

/* Waits until the descriptor has one of the events; what poll says, or a negative errno. */
static int64_t wait_for(int fd, short events, int timeout_ms)
{
    struct pollfd item = {.fd = fd, .events = events};
    int64_t count = -EINTR;
    if (fd < 0) {
        /* What poll would pass over. */
        return -EBADF;
    }
    for (int i = 0; fol_io_calls_again(count, i); i++) {
        count = result_of(poll(&item, 1, timeout_ms));
    }
    if (count <= 0) {
        return count;
    }
    return (item.revents & POLLNVAL) != 0 ? -EBADF : (uint16_t)item.revents;
}

/* A try without waiting, made again after readiness when the caller is patient. */
static int64_t try_until(const fol_io_request *request, short events, bool is_patient,
                         int64_t (*try)(const fol_io_request *))
{
    int64_t value = -EINTR;
    int interruptions = 0;
    for (uint32_t i = 0; i < TRIES_MAX; i++) {
        value = try(request);
        if (value == -EINTR && fol_io_calls_again(value, interruptions + 1)) {
            interruptions += 1;
            continue;
        }
        if (value != -EAGAIN || !is_patient) {
            break;
        }
        int64_t ready = wait_for(request->fd, events, -1);
        if (ready < 0) {
            return ready;
        }
    }
    return value;
}

static int64_t try_recv(const fol_io_request *request)
{
    return result_of(recv(request->fd, request->buffer, request->size, MSG_DONTWAIT));
}

int64_t fol_io_call_recv(const fol_io_request *request, bool is_patient)
{
    return try_until(request, POLLIN, is_patient, try_recv);
}

static int64_t try_send(const fol_io_request *request)
{
    return result_of(
        send(request->fd, request->buffer, request->size, MSG_DONTWAIT | MSG_NOSIGNAL));
}

int64_t fol_io_call_send(const fol_io_request *request, bool is_patient)
{
    return try_until(request, POLLOUT, is_patient, try_send);
}

int64_t fol_io_call_poll(const fol_io_request *request, bool is_patient)
{
    int64_t value = wait_for(request->fd, (short)request->options, is_patient ? -1 : 0);
    return value == 0 ? -EAGAIN : value;
}

/* A request's memory as vectors: its own, or one made of its buffer. */
static const struct iovec *vectors_of(const fol_io_request *request, struct iovec *one, int *count)
{
    if ((request->flags & FOL_IO_VECTORS) != 0) {
        *count = (int)request->size;
        return request->buffer;
    }
    *one = (struct iovec){.iov_base = request->buffer, .iov_len = request->size};
    *count = 1;
    return one;
}

/* The descriptor has a position, so what is on the other side is no one who could be waited for. */
static bool has_position(const fol_io_request *request)
{
    return lseek(request->fd, 0, SEEK_CUR) >= 0;
}

/* Reads or writes with flags of preadv2; a stream has no use for an offset, as on a ring. */
static int64_t transfer(const fol_io_request *request, bool is_write, int flags, off_t offset)
{
    struct iovec one;
    int count = 0;
    const struct iovec *vectors = vectors_of(request, &one, &count);
    int64_t value = -EINTR;
    for (int i = 0; fol_io_calls_again(value, i); i++) {
        value = result_of(is_write ? pwritev2(request->fd, vectors, count, offset, flags)
                                   : preadv2(request->fd, vectors, count, offset, flags));
    }
    return value;
}

/* The same for a stream, where a write can find that nobody reads. */
static int64_t transfer_stream(const fol_io_request *request, bool is_write, int flags)
{
    if (!is_write) {
        return transfer(request, false, flags, -1);
    }
    uint32_t no_signal = fol_io_write_flags();
    if (no_signal != 0) {
        return transfer(request, true, flags | (int)no_signal, -1);
    }
    sigset_t broken_pipe;
    sigset_t before;
    sigset_t pending;
    const struct timespec at_once = {0};
    sigemptyset(&broken_pipe);
    sigaddset(&broken_pipe, SIGPIPE);
    sigpending(&pending);
    bool was_pending = sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &broken_pipe, &before);
    int64_t value = transfer(request, true, flags, -1);
    if (value == -EPIPE && !was_pending) {
        sigtimedwait(&broken_pipe, NULL, &at_once);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return value;
}

static int64_t try_stream(const fol_io_request *request, bool is_write)
{
    int64_t value = transfer_stream(request, is_write, RWF_NOWAIT);
    if (value != -EOPNOTSUPP) {
        return value;
    }
    int64_t ready = wait_for(request->fd, is_write ? POLLOUT : POLLIN, 0);
    if (ready <= 0) {
        return ready == 0 ? -EAGAIN : ready;
    }
    return transfer_stream(request, is_write, 0);
}

static int64_t try_read_stream(const fol_io_request *request)
{
    return try_stream(request, false);
}

static int64_t try_write_stream(const fol_io_request *request)
{
    return try_stream(request, true);
}

/* What has a position: waits for its device when the caller is patient. */
static int64_t transfer_file(const fol_io_request *request, bool is_write, bool is_patient,
                             off_t offset)
{
    if (is_patient) {
        return transfer(request, is_write, 0, offset);
    }
    int64_t value = transfer(request, is_write, RWF_NOWAIT, offset);
    /* Some kernels say 0 for what is not in memory, so the end of a file is asked for again. */
    if (value == 0 && !is_write) {
        return transfer(request, false, 0, offset);
    }
    return value == -EOPNOTSUPP ? -EAGAIN : value;
}

static int64_t call_transfer(const fol_io_request *request, bool is_write, bool is_patient)
{
    if (request->offset != FOL_IO_CURRENT) {
        int64_t value = transfer_file(request, is_write, is_patient, (off_t)request->offset);
        if (value != -ESPIPE) {
            return value;
        }
    } else if (has_position(request)) {
        return transfer_file(request, is_write, is_patient, -1);
    }
    return try_until(request, is_write ? POLLOUT : POLLIN, is_patient,
                     is_write ? try_write_stream : try_read_stream);
}

int64_t fol_io_call_read(const fol_io_request *request, bool is_patient)
{
    return call_transfer(request, false, is_patient);
}

int64_t fol_io_call_write(const fol_io_request *request, bool is_patient)
{
    return call_transfer(request, true, is_patient);
}

/* Held while a descriptor has a passing O_NONBLOCK: 0, or one more than the fork generation of the
 * process that took it, so that a child does not wait for a thread that it does not have. */
static FOL_ATOMIC(uint64_t) passing_flag_lock;

static bool lock_passing_flag(void)
{
    uint64_t own = fol_fork_generation() + 1;
    for (int i = 0; i < LOCK_TURNS; i++) {
        uint64_t seen = fol_atomic_load(&passing_flag_lock, memory_order_relaxed);
        /* Acquire pairs with the release in unlock_passing_flag. */
        if (seen != own &&
            fol_atomic_compare_exchange(&passing_flag_lock, &seen, own, memory_order_acquire,
                                        memory_order_relaxed)) {
            return true;
        }
        sched_yield();
    }
    return false;
}

static void unlock_passing_flag(void)
{
    /* Release pairs with the acquire in lock_passing_flag. */
    fol_atomic_store(&passing_flag_lock, 0, memory_order_release);
}

/* Makes a call with O_NONBLOCK set on the descriptor. Before a descriptor is changed for it, `look`
 * is asked: 0 goes on, anything else is the result. */
static int64_t call_without_waiting(const fol_io_request *request,
                                    int64_t (*look)(const fol_io_request *),
                                    int64_t (*call)(const fol_io_request *))
{
    int64_t value = 0;
    if (fol_fork_watch() != 0 || !lock_passing_flag()) {
        return -EAGAIN;
    }
    int flags = fcntl(request->fd, F_GETFL);
    if (flags < 0) {
        value = -(int64_t)errno;
        goto unlock;
    }
    if ((flags & O_NONBLOCK) != 0) {
        value = call(request);
        goto unlock;
    }
    value = look(request);
    if (value != 0) {
        goto unlock;
    }
    if (fcntl(request->fd, F_SETFL, flags | O_NONBLOCK) != 0) {
        value = -(int64_t)errno;
        goto unlock;
    }
    value = call(request);
    int restored = fcntl(request->fd, F_SETFL, flags);
    FOL_ASSERT(restored == 0 || errno == EBADF);

unlock:
    unlock_passing_flag();
    return value;
}

static int64_t accept_now(const fol_io_request *request)
{
    return result_of(accept4(request->fd, NULL, NULL, (int)request->options | SOCK_CLOEXEC));
}

/* 0 when a connection is there. What is no listener says so at once. */
static int64_t look_at_listener(const fol_io_request *request)
{
    int is_listener = 0;
    socklen_t size = sizeof(is_listener);
    if (getsockopt(request->fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listener, &size) != 0) {
        return -(int64_t)errno;
    }
    if (!is_listener) {
        return accept_now(request);
    }
    int64_t ready = wait_for(request->fd, POLLIN, 0);
    if (ready > 0) {
        return 0;
    }
    return ready == 0 ? -EAGAIN : ready;
}

static int64_t try_accept(const fol_io_request *request)
{
    return call_without_waiting(request, look_at_listener, accept_now);
}

int64_t fol_io_call_accept(const fol_io_request *request, bool is_patient)
{
    return try_until(request, POLLIN, is_patient, try_accept);
}

static int64_t connect_now(const fol_io_request *request)
{
    return result_of(connect(request->fd, request->buffer, (socklen_t)request->size));
}

/* 0 when it can take time; 1: connected. */
static int64_t look_at_socket(const fol_io_request *request)
{
    int type = 0;
    socklen_t size = sizeof(type);
    if (getsockopt(request->fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0) {
        return -(int64_t)errno;
    }
    if (type == SOCK_STREAM || type == SOCK_SEQPACKET) {
        return 0;
    }
    int64_t value = connect_now(request);
    return value == 0 ? 1 : value;
}

/* A connect on its way is asked for its end by another connect, which says 0 or what went wrong. */
static int64_t try_connect(const fol_io_request *request)
{
    int64_t value = call_without_waiting(request, look_at_socket, connect_now);
    if (value == -EINPROGRESS || value == -EALREADY) {
        return -EAGAIN;
    }
    return value > 0 ? 0 : value;
}

/* Patient, it is the plain call: a local socket whose listener has no room can be waited for in no
 * other way. What a signal interrupted goes on in the kernel. */
static int64_t connect_patiently(const fol_io_request *request)
{
    int64_t value = connect_now(request);
    for (uint32_t i = 0; i < TRIES_MAX; i++) {
        if (value != -EINPROGRESS && value != -EALREADY && value != -EINTR) {
            break;
        }
        int64_t ready = wait_for(request->fd, POLLOUT, -1);
        if (ready < 0) {
            return ready;
        }
        value = connect_now(request);
    }
    return value;
}

int64_t fol_io_call_connect(const fol_io_request *request, bool is_patient)
{
    return is_patient ? connect_patiently(request)
                      : try_until(request, POLLOUT, false, try_connect);
}
