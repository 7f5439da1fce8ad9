/* The driver: operations from their submission to their last result.
 *
 * It stands between a frame, which has operations, and engines, which do primitive requests. It
 * takes apart what names a file by its path, unless an engine does it whole, finishes short reads
 * and writes, tries again what was interrupted, within bounds, keeps deadlines and timers, chooses
 * the engine, and gives back every operation exactly once as finished, and each result of one that
 * has several exactly once.
 *
 * One thread at a time. The clock is asked on that thread only. Nothing here orders results: who
 * submits does.
 *
 * Invariants. An operation is in one of four places: with its owner, in the queue of those that
 * wait for room in an engine, in flight, or in the list of those with news. An operation in flight
 * has exactly one request with an engine, or is a timer; the address in it is the token, which
 * engines give back once, so that every completion finds the operation that asked for it.
 */
#ifndef FOL_IO_DRIVER_H
#define FOL_IO_DRIVER_H

#include <assert.h>
#include <stdalign.h>
#include <stddef.h>

#include "foliot/clock.h"
#include "foliot/machine.h"
#include "io/engine.h"
#include "structures/timer_wheel.h"

typedef struct fol_io fol_io;

/* A further result of an operation with FOL_IO_MANY, in a list of its own. */
typedef struct fol_io_piece fol_io_piece;
struct fol_io_piece {
    fol_io_piece *next;
    int64_t value;
    void *data; /* NULL, or `value` bytes */
    int32_t buffer;
    uint8_t lane;
};

/* On the owner's storage, from submit until it comes back. Plain requests touch the first two cache
 * lines only, which processors fetch together; timers the third as well, and so does what is on a
 * descriptor and not plain. */
typedef struct fol_io_op fol_io_op;
struct fol_io_op {
    /* Good when it came back with is_finished. */
    alignas(128) int64_t value;
    size_t size; /* of what is in `data`; after a failure, bytes that had come or gone before it */
    fol_io_op *next; /* in the list of fol_io_take */
    uint32_t slot;   /* the driver's */
    bool is_finished;
    /* The driver's own, but for request and pieces. */
    uint8_t state;
    uint8_t stage : 2;
    uint8_t lane : 1;
    uint8_t file_lane : 1; /* whose open files it counts among */
    uint8_t counted : 2;   /* in what of its lane, while it is in flight */
    bool is_plain : 1;     /* see driver_state.h */
    bool is_cancelled : 1;
    bool is_expired : 1;
    bool has_news : 1;
    bool has_begun : 1;    /* its first request was sent */
    bool is_in_same : 1;   /* in the list of its descriptor */
    bool holds_file : 1;   /* counts as an open file of its lane */
    bool is_own_token : 1; /* it is in flight, started as a plain request */
    uint8_t unused : 2;    /* as they are set all bits are, and that is one store */
    union {
        fol_io_plain plain; /* in flight, with an engine that has start_plain */
        struct {
            union {
                void *data; /* foliot's own buffer, or NULL; fol_io_release gives it back */
                fol_io_op *wait_previous; /* the driver's, before it is finished */
            };
            fol_io_op *wait_next;   /* the driver's: in a queue for an engine */
            fol_io_request request; /* the owner's; not changed by the driver */
        };
    };
    fol_timer timer;      /* the driver's */
    fol_io_op *same_next; /* the driver's: among those on the same descriptor */
    fol_io_op *same_previous;
    fol_io_op *closer; /* the driver's: waits for this one to end before it closes its descriptor */
    /* The owner's, of FOL_IO_MANY: taken and not released, in order; fol_io_release frees them. */
    fol_io_piece *pieces;
    fol_io_piece *first_piece; /* that came since the last take */
    fol_io_piece *last_piece;
    void *own; /* buffer, or the part of the vectors that goes next */
    size_t own_size;
    size_t total;              /* bytes asked for */
    size_t done;               /* bytes, of earlier steps */
    uint32_t blockers;         /* whose closer it is */
    int32_t opened;            /* descriptor of a path that is read or written, or -1 */
    int32_t failure;           /* of what it was cut short for, by the driver itself, or 0 */
    uint16_t attempts;         /* without progress */
    bool is_direct : 1;        /* opened is in the engine's own table */
    bool needs_descriptor : 1; /* opened must not be */
    bool at_current : 1;       /* the file has no positions: read and written where it is */
    bool is_whole : 1;         /* the engine does all steps in one */
    fol_io_request step;       /* with an engine now */
    fol_io_whole whole;
};

static_assert(offsetof(fol_io_op, plain.request) == offsetof(fol_io_op, request), "both are one");
static_assert(offsetof(fol_io_op, timer) == 128, "what plain requests need is in two cache lines");
static_assert(offsetof(fol_io_op, pieces) == 192, "what timers need is in three");

/* It came back, with all that was asked for, and that is all there is to it: neither a buffer of
 * the driver's nor a piece, nor a new descriptor. */
static inline bool fol_io_ended_well_and_plain(const fol_io_op *op)
{
    return op->is_finished && op->is_plain;
}

typedef struct fol_io_config {
    fol_io_choice choice;
    bool wants_ring; /* AUTO: the backend's wish at first; see fol_io_route */
    fol_io_ring_config ring;
    fol_io_pool_config pool;
    uint32_t max_operations; /* submitted and not finished; 0: 65,536. What is beyond comes back
                              * with FOL_E_CAPACITY */
    fol_clock clock;
    /* Whom a CANCEL request means: the operation, submitted and not given back, or NULL. A CANCEL
     * ends at once, with 0 when it was in time and -ENOENT when not. NULL: always -ENOENT. */
    fol_io_op *(*find)(void *argument, uint64_t handle);
    void *find_argument;
} fol_io_config;

/* Probes, and falls back to the pool, with a reason; makes no thread and no ring that is not used.
 * -ENOMEM. */
int fol_io_create(const fol_io_config *config, fol_io **out);
/* Called once for each operation that did not come back before the driver's end. is_held: the
 * kernel, or a thread inside of a call, did not let go of its request in time, and may use all that
 * it points at for ever; else that is its owner's again. */
typedef void fol_io_dropped(void *argument, fol_io_op *op, bool is_held);
/* Ends everything in a bounded time, some seconds when something does not let go. Operations that
 * did not come back end here, with `dropped` called for each. Then all of their own memory is their
 * owner's again, unless it returns false, as it does when one was held: then that of all operations
 * must stay where it is for ever, and the driver's stays too. What completes later is ignored. */
bool fol_io_destroy(fol_io *io, fol_io_dropped *dropped, void *argument);

/* From here on new operations go to the ring (when there is one, and AUTO) or to the pool. */
void fol_io_route(fol_io *io, bool to_ring);

/* Takes operations, in the order given; they are sent at the next flush, poll or wait. One that
 * cannot even begin comes back as failed. */
void fol_io_submit(fol_io *io, fol_io_op *const *ops, size_t count);
/* The same of operations whose requests are all plain: see fol_io_request_is_plain. */
void fol_io_submit_plain(fol_io *io, fol_io_op *const *ops, size_t count);
/* Ends the operation soon, with -ECANCELED unless it ends otherwise before; false when it is
 * finished already. It still comes back. A success that gives a descriptor is closed and becomes
 * -ECANCELED. */
bool fol_io_cancel(fol_io *io, fol_io_op *op);

/* Sends what waits, reaps, goes on with what came, ends what is overdue; waits for nothing. */
void fol_io_poll(fol_io *io);
/* The same, and waits until at least one operation has news or `until_ns` of the clock (UINT64_MAX:
 * no limit) or a wake. FOL_OK, which may come early, with no news; -ETIME; -EINTR: a signal, or
 * what is watched, or on a clock that is not the machine's own some time without news: look at the
 * host and come again; -EBUSY: see adopt in engine.h. `least` is a hint how many are waited for. A
 * clock that is not the machine's own and has something to wait for beside engines moves when those
 * have been silent for as long in real time. */
int fol_io_wait(fol_io *io, uint32_t least, uint64_t until_ns);
/* From here on waits on the machine's clock end with -EINTR while this descriptor is readable, and
 * at once when it cannot be watched; -1: none is, as at first. Its number stays this file's as long
 * as the driver lives. */
void fol_io_watch(fol_io *io, int descriptor);
/* The calling thread takes over what is in flight, without waiting. FOL_OK: waits of this thread do
 * not give -EBUSY until another thread used the driver; -EBUSY: see adopt in engine.h. */
int fol_io_adopt(fol_io *io);
/* Ends a wait, or the next one. Any thread, until destroy. */
void fol_io_wake(fol_io *io);
/* All operations with news, in the order in which they came; those that are not finished stay with
 * the driver as well. */
fol_io_op *fol_io_take(fol_io *io);
/* Gives back the buffers of an operation that came back, and the pieces taken. Whoever sees an
 * operation in fol_io_take releases it before the next fol_io_take, unless there is nothing in it:
 * pieces that were not released are there again with the new ones. */
void fol_io_release(fol_io *io, fol_io_op *op);
/* Gives back one of the pieces taken, the first as a rule: each of those before it is passed. So
 * what came can be sent on from where it is, and goes back when that has ended. */
void fol_io_release_piece(fol_io *io, fol_io_op *op, fol_io_piece *piece);

/* Operations that have not come back. */
uint32_t fol_io_pending(const fol_io *io);
/* The deadline of the next timer, UINT64_MAX for none. */
uint64_t fol_io_next_deadline(const fol_io *io);

/* Any thread. */
typedef struct fol_io_stats {
    uint64_t submitted;
    uint64_t completed;
    uint64_t failed;
    uint64_t cancelled;
    uint64_t system_calls;
    uint64_t in_flight;
    uint64_t overflows;
    uint64_t retries;
} fol_io_stats;
void fol_io_read_stats(const fol_io *io, fol_io_stats *out);
/* Of these, system_calls alone. */
uint64_t fol_io_system_calls(const fol_io *io);

/* "uring" or "pool": where new operations go, and why not to the ring when one was wished for; ""
 * otherwise. Static or the driver's. */
const char *fol_io_engine_name(const fol_io *io);
const char *fol_io_reason(const fol_io *io);

#endif
