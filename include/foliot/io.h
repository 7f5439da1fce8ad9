/* I/O of systems: what can be asked for, when it is finished, and what comes back.
 *
 * A system that declares I/O queues *intents* while it runs. Nothing is sent to the kernel before
 * the stage has ended; then the intents of all its systems go together, in the order of (system,
 * piece, sequence), and their results are *delivered* in that same order, whatever order they came
 * in: before any later stage of the phase, at the end of the phase, or at the start of a later
 * frame.
 *
 * A request's pointers (paths, buffers, addresses) must stay valid, and what they point at must be
 * left alone, until its last result was delivered or dropped: the kernel may use them until then,
 * cancelled or not. Of one that is abandoned they must stay until it is released.
 *
 * The header stands alone: nothing has to be linked.
 */
#ifndef FOLIOT_IO_H
#define FOLIOT_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* X(NAME, name): every operation. Values of results are of the system call of that name: a file
 * descriptor, a number of bytes, a mask of events, or 0; a failure is a negative errno. */
#define FOL_IO_KINDS(X)                                                                            \
    X(NOP, nop)                                                                                    \
    X(OPEN, open)         /* path, options: O_ flags (O_CLOEXEC is added), mode */                 \
    X(CLOSE, close)       /* fd; what is pending on it is cancelled first */                       \
    X(READ, read)         /* fd or path; ends short only at the end of the file */                 \
    X(WRITE, write)       /* fd or path; writes everything */                                      \
    X(FSYNC, fsync)       /* fd; options: 1 for the data only */                                   \
    X(STAT, stat)         /* fd or path; options: AT_ flags; gives a struct statx */               \
    X(RENAME, rename)     /* path, path2; options: RENAME_ flags */                                \
    X(UNLINK, unlink)     /* path; options: AT_REMOVEDIR for a directory */                        \
    X(MKDIR, mkdir)       /* path, mode */                                                         \
    X(SOCKET, socket)     /* options: domain; mode: type; size: protocol */                        \
    X(CONNECT, connect)   /* fd, buffer and size: the address */                                   \
    X(ACCEPT, accept)     /* fd, options: SOCK_ flags (SOCK_CLOEXEC is added) */                   \
    X(RECV, recv)         /* fd; what has come, at least a byte; 0 at the end of the stream */     \
    X(SEND, send)         /* fd; sends everything; never SIGPIPE */                                \
    X(SHUTDOWN, shutdown) /* fd, options: SHUT_ */                                                 \
    X(POLL, poll)         /* fd, options: POLL events; once */                                     \
    X(TIMEOUT, timeout)   /* ends with 0 after timeout_ns */                                       \
    X(CANCEL, cancel)     /* handle; 0, or -ENOENT when that had ended */

typedef enum fol_io_kind {
#define FOL_IO_KIND_ENUM(NAME, name) FOL_IO_##NAME,
    FOL_IO_KINDS(FOL_IO_KIND_ENUM)
#undef FOL_IO_KIND_ENUM
        FOL_IO_KIND_COUNT
} fol_io_kind;

/* "read", …; NULL for no kind. Static storage. */
const char *fol_io_kind_name(uint32_t kind);

typedef enum fol_io_flag {
    /* READ, WRITE: `path` names the file, which is opened, and closed at the end. A file that is
     * written is made with `mode` if it is missing, and is cut to nothing first when offset is 0.
     * `options` are further O_ flags of the opening (O_NOFOLLOW, O_APPEND, …): no access mode, and
     * for a read neither O_CREAT nor O_TRUNC.
     * STAT: the same without opening. */
    FOL_IO_PATH = 1u << 0,
    /* READ, WRITE: buffer is an array of `size` struct iovec. */
    FOL_IO_VECTORS = 1u << 1,
    /* ACCEPT, RECV: a result for each connection or piece of data until it is cancelled, fails or
     * the stream ends. All but the last have FOL_IO_MORE. RECV needs foliot's own buffers (buffer
     * NULL). */
    FOL_IO_MANY = 1u << 2,
    /* RECV: go on until `size` bytes came or the stream ended. */
    FOL_IO_WHOLE = 1u << 3,
    /* READ: to the end of the file, whatever size says; foliot's own buffer. */
    FOL_IO_TO_END = 1u << 4,
} fol_io_flag;

#define FOL_IO_CURRENT UINT64_MAX /* an offset: where the file's position is; also pipes */

/* Zeroed fields mean nothing special. */
typedef struct fol_io_request {
    uint32_t kind;  /* fol_io_kind */
    uint32_t flags; /* of fol_io_flag */
    int32_t fd;     /* with a relative path: the directory, or AT_FDCWD (-100) */
    uint32_t options;
    uint32_t mode;
    const char *path;
    const char *path2;
    void *buffer; /* READ, RECV: NULL for foliot's own, which is gone after the delivery */
    size_t size;  /* bytes */
    uint64_t offset;
    uint64_t timeout_ns; /* from its submission: ends with -ETIMEDOUT; 0: none. TIMEOUT: how long */
    uint64_t handle;     /* CANCEL: of which */
} fol_io_request;

#define FOL_IO_MORE 1u /* a result's flag: another one will follow */

typedef struct fol_io_result {
    int64_t value;    /* >= 0, or a negative errno; -ECANCELED when cancelled */
    const void *data; /* foliot's own buffer (STAT: a struct statx), good during the delivery */
    size_t size;      /* of it, in bytes */
    uint32_t flags;
} fol_io_result;

typedef enum fol_io_until {
    FOL_IO_STAGE = 0, /* finished before any later stage of the phase begins */
    FOL_IO_PHASE = 1, /* before the phase ends */
    FOL_IO_LATER = 2, /* delivered at the start of a later frame */
} fol_io_until;

typedef enum fol_io_choice {
    FOL_IO_CHOICE_AUTO = 0, /* the ring where the backend wants it */
    FOL_IO_CHOICE_RING = 1, /* the ring for everything it can, on any backend */
    FOL_IO_CHOICE_POOL = 2, /* blocking calls */
} fol_io_choice;

typedef struct fol_component fol_component;

/* Who gets results. All run on the thread that drives the frame. */
typedef struct fol_io_receiver {
    bool needs_host; /* attached */
    /* In the order of submission. True: somebody can see this failure; false: it is a failure of
     * the system. What it says of a success does not matter. */
    bool (*deliver)(void *user, const fol_io_result *result);
    /* Instead of a last delivery: it was not sent because its system failed or the frame was
     * stopped, or the scheduler is gone. NULL: nothing. */
    void (*drop)(void *user);
    /* Instead of a last delivery: the kernel did not let go of the request in the waited_ns that an
     * interrupted frame, or a scheduler that closed, waited for that. What the request points at
     * must stay, and be left alone, until release is called with what this gives, which may never
     * happen. NULL: an interrupted frame delivers a failure with FOL_E_ABANDONED (-4112), and a
     * scheduler that closes nothing. */
    void *(*abandon)(void *user, uint64_t waited_ns);
    /* The kernel let go after all, and the scheduler still lives or closes: what the request
     * pointed at is its owner's again. NULL: nothing. */
    void (*release)(void *kept);
} fol_io_receiver;

/* One request and what becomes of it. At most one of component, result and receiver->deliver gets
 * the value, but a receiver may stand beside a component, to be told what became of it. A failure
 * that nobody gets is a failure of the system; to be cancelled, or to cancel too late, is none.
 * Copied when it is queued. */
typedef struct fol_io_intent {
    fol_io_request request;
    fol_io_until until;
    /* READ and RECV into a Bytes component of an entity (which may be provisional), or a Bytes
     * resource; request.buffer is NULL. */
    uint64_t entity;
    fol_component *component;
    fol_io_result *result; /* written at the delivery; without its data */
    const fol_io_receiver *receiver;
    void *user;
} fol_io_intent;

/* The intents of one worker. */
typedef struct fol_io_queue fol_io_queue;

/* Names an intent until its last delivery, and nothing after that. Never 0. */
typedef uint64_t fol_io_handle;

typedef struct fol_io_api {
    /* out may be NULL. FOL_E_CAPACITY (-4096): max_io; FOL_E_VALUE (-4107): the request makes no
     * sense. Then nothing is queued. */
    int (*submit)(fol_io_queue *queue, const fol_io_intent *intent, fol_io_handle *out);
} fol_io_api;

#ifdef __cplusplus
}
#endif

#endif
