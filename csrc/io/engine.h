/* An engine does primitive requests: on a ring, or with blocking calls. The driver does the rest.
 *
 * One thread at a time uses an engine (who drives the scheduler); only wake is for any thread. A
 * request that was started stays where it is, with all it points at, until its final completion is
 * reaped. Every start that returned FOL_OK has exactly one final completion, whatever is cancelled,
 * fails or ends meanwhile.
 */
#ifndef FOL_IO_ENGINE_H
#define FOL_IO_ENGINE_H

#include "io/operation.h"

/* A flag of requests between driver and engine only: OPEN gives, and READ, WRITE and CLOSE take,
 * the number of a file in the engine's own table in place of a descriptor. Only for an engine with
 * has_direct_files. */
#define FOL_IO_DIRECT (1u << 16)
/* Another one: OPEN waits for no other end of a named pipe, on no engine, as it does not on rings:
 * nothing could end such a wait on a thread. */
#define FOL_IO_PROMPT (1u << 17)

/* How far a READ or WRITE with FOL_IO_PATH came that an engine with takes_paths does whole. Its
 * request has the address of this one as its handle, and all options of the opening. */
typedef struct fol_io_whole {
    size_t done;    /* bytes, before the last call of reading or writing */
    int32_t opened; /* -1: the value of the completion is that of the opening */
    int32_t closed; /* what closing gave */
    bool
        is_closed; /* else it is still open, and the value of the completion, that of the last call,
                    * says why it cannot go on; -ECANCELED: it was cancelled between two calls */
} fol_io_whole;

/* A plain request: NOP, or READ or WRITE at an offset, of a descriptor and one buffer, without
 * flags and of no more bytes than one call moves. It stands in memory of the driver's, and is its
 * own token. An engine with start_plain keeps those it has in two lists, which the driver may walk:
 * with them no other place needs to know what is in flight. */
typedef struct fol_io_link fol_io_link;
struct fol_io_link {
    fol_io_link *previous;
    fol_io_link *next;
};

typedef struct fol_io_plain {
    fol_io_link link; /* first; the engine's from its start until its completion was handed over */
    fol_io_request request;
} fol_io_plain;

/* A completion of an engine with peek, where it lies. */
typedef struct fol_io_landing {
    uint64_t token; /* an address: of a plain request. With its highest bit: something else */
    int32_t value;
    uint32_t flags;
} fol_io_landing;

#define FOL_IO_LANDING_IS_OTHER (UINT64_C(1) << 63)

/* A completion. */
typedef struct fol_io_event {
    uint64_t token;
    int64_t value;  /* or a negative errno */
    bool has_more;  /* of a FOL_IO_MANY request: not the final one */
    int32_t buffer; /* which of the engine's buffers has the data of a FOL_IO_MANY recv, or -1; it
                     * goes back by give_buffer */
    void *data;
} fol_io_event;

typedef struct fol_io_engine fol_io_engine;

typedef struct fol_io_engine_ops {
    const char *name; /* "uring", "pool" */
    /* Queues a request. -EBUSY: no more can be in flight now, reap first, which below
     * in_flight_bound is only told when the kernel does not take what was started before.
     * -EOPNOTSUPP: this kernel cannot; the caller gives it to the other engine. -ENOMEM. */
    int (*start)(fol_io_engine *engine, const fol_io_request *request, uint64_t token);
    /* The same for up to `count` plain requests; how many were queued. Fewer than there is room
     * for: start tells why. NULL: there is only start, and none of the next four. */
    size_t (*start_plain)(fol_io_engine *engine, fol_io_plain *const *plains, size_t count);
    /* The one that start_plain queued last, if nothing was queued after it and it was not sent: it
     * is not in flight any more. NULL: there is none. Any thread that may call adopt. */
    fol_io_plain *(*take_back)(fol_io_engine *engine);
    /* As cancel, of one that start_plain queued and that is in flight. */
    void (*cancel_plain)(fol_io_engine *engine, fol_io_plain *plain);
    /* Completions that lie one behind the other; how many. From the first on the driver may take
     * those of plain requests for which cancel_plain was not called: it takes each out of the list
     * `plains`, and then says by drop how many, with no other call in between. */
    size_t (*peek)(fol_io_engine *engine, const fol_io_landing **out);
    void (*drop)(fol_io_engine *engine, size_t count);
    /* Asks to end a request soon; its own completion tells how it ended. A wrong token is fine. */
    void (*cancel)(fol_io_engine *engine, uint64_t token);
    /* Sends what was started, without waiting. FOL_OK or a negative errno when the engine is of no
     * use any more; then all that is in flight ends with completions all the same. */
    int (*flush)(fol_io_engine *engine);
    /* Up to `room` completions that are there, without waiting. */
    size_t (*reap)(fol_io_engine *engine, fol_io_event *out, size_t room);
    /* Sends what was started and waits for at least `least` completions (a hint above 1), a wake,
     * or timeout_ns (UINT64_MAX: no limit). FOL_OK, -ETIME, -EINTR (a signal), or as flush. */
    int (*wait)(fol_io_engine *engine, uint32_t least, uint64_t timeout_ns);
    /* Ends a wait, or the next one. Any thread. */
    void (*wake)(fol_io_engine *engine);
    void (*give_buffer)(fol_io_engine *engine, int32_t buffer);
    /* A hint: many requests will have their buffers in this memory, which stays until destroy.
     * NULL: the engine has no use for it. */
    void (*use_memory)(fol_io_engine *engine, void *base, size_t size);
    /* The calling thread takes the engine over from the one that used it before. FOL_OK; -EBUSY:
     * requests are in flight that only that thread, which still lives, can end. */
    int (*adopt)(fol_io_engine *engine);
    /* Ends all requests, in a bounded time; their completions are not reported any more, and what
     * they point at is free when it returns true. False: the kernel did not let go of it in time,
     * and the memory must stay for ever. In a forked child it touches no kernel object that the
     * parent uses. */
    bool (*destroy)(fol_io_engine *engine);
} fol_io_engine_ops;

typedef struct fol_io_counters {
    _Atomic uint64_t started;
    _Atomic uint64_t system_calls; /* of the driving thread: enters and registers of a ring; waits
                                    * and calls in place of the pool */
    _Atomic uint64_t overflows;    /* times the completion queue was full */
    _Atomic uint64_t retries;
} fol_io_counters;

struct fol_io_engine {
    const fol_io_engine_ops *ops;
    uint32_t in_flight;       /* started, final completion not reaped */
    uint32_t in_flight_bound; /* start gives -EBUSY there; see there */
    bool has_direct_files;    /* may change when a ring is adopted; looked at for each file */
    bool takes_paths;         /* READ and WRITE with FOL_IO_PATH whole, at an offset; see above */
    /* A descriptor that is readable while reap would give something, so that another engine can
     * wait for this one too: a completion that comes while the driving thread is elsewhere makes
     * it readable, and a reap that gave everything makes it not. -1: there is none. Of the pool;
     * the same one from creation to destroy. */
    int notice_fd;
    /* Plain requests, in rings around these: queued or with the kernel; and complete, kept for the
     * next reap. Good where there is start_plain. */
    fol_io_link plains;
    fol_io_link kept_plains;
    fol_io_counters counters;
};

static inline void fol_io_link_init(fol_io_link *list)
{
    list->previous = list;
    list->next = list;
}

static inline void fol_io_link_append(fol_io_link *list, fol_io_link *link)
{
    link->previous = list->previous;
    link->next = list;
    list->previous->next = link;
    list->previous = link;
}

static inline void fol_io_link_remove(fol_io_link *link)
{
    link->previous->next = link->next;
    link->next->previous = link->previous;
}

/* The one around which the list goes is none. */
static inline fol_io_plain *fol_io_plain_of(fol_io_link *link)
{
    return (fol_io_plain *)(void *)link;
}

typedef struct fol_io_ring_config {
    uint32_t entries;      /* 0: 256. Four times as many may be in flight, and are sent by one
                            * system call */
    uint32_t buffer_count; /* for FOL_IO_MANY recv; a power of two; 0: 256 */
    uint32_t buffer_size;  /* bytes; 0: 4,096 */
    bool use_sqpoll;       /* refused on two processors or fewer unless forced */
    bool force_sqpoll;
} fol_io_ring_config;

/* The ring is made disabled here, and enabled by the thread that first uses it (adopt, or start).
 * Negative errno when there can be none; *report says how far it came (foliot/machine.h). A later
 * adopt gives the errno of a ring that could not be made again, or FOL_E_FORKED. */
struct fol_io_report;
int fol_io_ring_create(const fol_io_ring_config *config, struct fol_io_report *report,
                       fol_io_engine **out);

/* Closes descriptors that rings gave after their engines were destroyed, as far as the calling
 * thread can learn of them, and rings from which no more can come. Any thread, at any time. */
void fol_io_ring_close_late(void);

/* For fault tests: the n-th system call of rings from now (1 is the next one) fails with `error`, a
 * positive errno, once; 0 switches it off. Process-wide. */
void fol_io_ring_fail_nth(uint64_t n, int error);
/* True when an armed failure has not happened yet. */
bool fol_io_ring_failure_is_armed(void);

typedef struct fol_io_pool_config {
    uint32_t min_threads;   /* kept when idle; 0 is fine */
    uint32_t max_threads;   /* 0: 16 */
    uint64_t idle_ns;       /* a thread beyond min_threads that had nothing to do so long ends; 0: a
                             * second */
    uint32_t max_in_flight; /* 0: 65,536 */
    bool runs_in_place;     /* what does not wait for others is called by the driving thread itself,
                             * when it waits or flushes and no thread has taken it */
    /* Asked by the driving thread about calls that it makes itself. When it is to stop, a call that
     * was interrupted ends with FOL_E_INTERRUPTED, and others but those that close are left for
     * later. */
    fol_io_interruption interruption;
} fol_io_pool_config;

/* Blocking calls on threads of its own; what waits for others stands in an epoll set meanwhile.
 * -ENOMEM, or what the system refused. */
int fol_io_pool_create(const fol_io_pool_config *config, fol_io_engine **out);

/* For fault tests, as fol_threads_fail_nth: of the threads of I/O pools. */
void fol_io_pool_fail_nth_thread(uint64_t n);

#endif
