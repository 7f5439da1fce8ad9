/* The ring engine from inside: what its files share. Nobody else includes it but its tests.
 *
 * Shared memory. The kernel is the other party, and liburing's macros make the accesses:
 * - The submission tail is stored with release after the entries are filled; it pairs with the
 *   kernel's acquire of the tail. The head is loaded with acquire where a thread of the kernel
 *   consumes (SQPOLL): it pairs with the kernel's release once it has copied the entry. Without
 *   that thread only our own system calls move the head.
 * - The completion tail is loaded with acquire; it pairs with the kernel's release after it wrote
 *   the entries. The head is stored with release after they were read; it pairs with the kernel's
 *   acquire before it writes them anew.
 * - The flags of the submission queue are hints that a system call is due; with SQPOLL a full
 *   fence stands between the store of the tail and the look at NEED_WAKEUP, and pairs with the
 *   fence of the kernel's thread between setting the flag and its last look at the tail.
 * - The tail of the provided buffers is stored with release; it pairs with the kernel's acquire.
 * Everything else belongs to the one thread that drives the engine, except what wake uses: see
 * ring_wake.c.
 *
 * Slots. Each request that is not plain has a slot from its start until its final completion is
 * taken from the completion queue. user_data is the slot and its generation, with the highest bit,
 * so the driver's tokens may be any 64 bits. Numbers of slots beyond the last are for what the ring
 * asks for itself.
 *
 * Plain requests are their own user_data, and stand in the list `plains` as long as a slot would be
 * taken: nothing else is written for them. An address says nothing about whether the request is
 * still the same, so a cancel of one must come to the kernel before the address can be used again:
 * it goes into the queue before whatever is started later, and one that waits for room there is
 * dropped when its request completes.
 *
 * Bound. At most in_flight_bound requests are in flight, no more than the submission queue holds;
 * each has at most one cancel, and one read waits for wakes. The completion queue has room for
 * twice that and the read, so only the further results of FOL_IO_MANY can overflow it, which the
 * kernel survives: it keeps them until it is entered.
 */
#ifndef FOL_IO_RING_H
#define FOL_IO_RING_H

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/assert.h"
#include "foliot/machine.h"
#include "foliot/status.h"
#include "io/engine.h"
#include "io/ring_call.h"
#include "io/ring_owner.h"

#define FOL_RING_NONE        UINT32_MAX
#define FOL_RING_GENERATIONS (UINT32_MAX >> 1)

/* No address, and no slot. */
#define FOL_RING_NOBODY UINT64_C(0)

/* In place of a slot in user_data. */
#define FOL_RING_WAKE   (UINT32_MAX - 1)
#define FOL_RING_CANCEL (UINT32_MAX - 2)

enum fol_ring_slot_bit {
    FOL_RING_SLOT_USED = 1,
    FOL_RING_SLOT_MANY = 2,
    FOL_RING_SLOT_CANCELLED = 4,
    FOL_RING_SLOT_GIVES_FD = 8,
    FOL_RING_SLOT_DIRECT_OPEN = 16,
    FOL_RING_SLOT_DIRECT_CLOSE = 32,
};

/* Those whose completions need more than to be handed on. */
#define FOL_RING_SLOT_SPECIAL                                                                      \
    (FOL_RING_SLOT_MANY | FOL_RING_SLOT_DIRECT_OPEN | FOL_RING_SLOT_DIRECT_CLOSE)

typedef struct fol_ring_slot {
    uint64_t token;
    uint32_t generation;
    uint32_t next; /* in the list of free slots, or of parked ones */
    /* FOL_IO_MANY: what it takes to ask again. */
    int32_t fd;
    uint32_t options;
    int32_t buffer; /* that a single receive fills, or -1 */
    uint8_t opcode;
    uint8_t bits; /* of fol_ring_slot_bit; 0: free */
} fol_ring_slot;

static_assert(sizeof(fol_ring_slot) == 32, "two in a cache line");

/* A completion that was taken from the queue before the driver asked for it. */
typedef struct fol_ring_early {
    fol_io_event event;
    fol_io_plain *plain; /* whose it is, in the list kept_plains; NULL: it has, or had, a slot */
    bool gives_fd;
} fol_ring_early;

/* See ring_buffers.c. */
typedef struct fol_ring_buffers {
    struct io_uring_buf_ring *shared; /* NULL: the kernel does not choose buffers */
    uint8_t *memory;                  /* NULL: not needed yet */
    uint8_t *mapping;
    size_t mapping_size;
    bool *is_out;      /* with the driver */
    uint32_t *free;    /* a stack, where the kernel does not choose */
    uint32_t free_top; /* entries of it */
    uint32_t count;
    uint32_t size;
    uint32_t out_count;
} fol_ring_buffers;

typedef struct fol_io_ring {
    fol_io_engine base;
    struct io_uring ring;

    /* Submission: entries from sent to tail are ours, and not the kernel's yet. */
    uint32_t sq_tail;
    uint32_t sq_sent;
    uint32_t sq_published; /* SQPOLL: the kernel's thread may take those before */
    uint32_t sq_base;      /* the tail when the queue was last empty: see fol_ring_take_sqe */
    uint32_t sq_mask;
    uint32_t cq_head;
    uint32_t cq_mask;
    uint32_t cq_announced; /* completions before this have ended a wait */

    fol_ring_slot *slots;
    uint32_t *hints; /* by a hash of a token: the slot that had it last */
    uint32_t hint_shift;
    uint32_t slot_count;
    uint32_t free_slot;    /* not beside `used`: stores of both together are slow to load from */
    uint32_t parked;       /* to be asked again */
    uint32_t starved;      /* the same, when there is a buffer */
    uint32_t parked_count; /* in both lists */
    uint32_t used;         /* slots */
    const fol_io_operation *operations[FOL_IO_KIND_COUNT]; /* NULL: the kernel lacks it */

    fol_ring_early *early; /* a queue */
    uint32_t early_head;
    uint32_t early_count;
    uint32_t early_mask;
    uint64_t *cancels; /* user_data of requests that are to be cancelled, or FOL_RING_NOBODY */
    uint32_t cancel_count;
    uint32_t plain_count; /* in the list `plains` */

    bool is_open;   /* there is a ring of the kernel */
    bool is_ready;  /* and it belongs to `owner` */
    bool is_polled; /* SQPOLL */
    bool is_ending; /* destroy: completions are dropped */
    bool is_orphan; /* closed while the kernel held requests, and it has not let go yet */
    bool wake_armed;
    bool wake_is_stale; /* a ring that is gone may still read wake_fd */
    bool is_woken;      /* the next wait ends at once */
    bool has_multishot_accept;
    bool has_multishot_recv;
    bool can_cancel_quietly; /* IORING_FEAT_CQE_SKIP */
    bool can_wait_for_many;  /* FOL_RING_FEAT_MIN_WAIT */
    int broken;              /* FOL_OK, or why the engine is of no use any more */

    fol_ring_owner *owner;
    uint64_t generation; /* of forks */
    uint32_t climb_options;
    uint32_t entries;
    int release_fd; /* hangs up when the kernel has let go of the ring; -1: nobody will say */

    /* Files: see ring_files.c. */
    uint32_t direct_count;
    uint32_t direct_used;

    /* Memory of requests, registered or to be: see ring_buffers.c. */
    uint8_t *memory;
    size_t memory_size;
    bool memory_is_registered;
    fol_ring_buffers buffers;

    struct fol_io_ring *next_kept; /* see ring_late.c */

    pthread_mutex_t wake_lock; /* holds wake_fd still */
    int wake_fd;
    _Atomic bool wake_is_due;
} fol_io_ring;

static inline fol_io_ring *fol_ring_of(fol_io_engine *engine)
{
    return (fol_io_ring *)(void *)engine;
}

/* One thread writes the counters, any may read them: no read-modify-write is needed. */
static inline void fol_ring_count(_Atomic uint64_t *counter, uint64_t by)
{
    uint64_t value = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, value + by, memory_order_relaxed);
}

static inline int fol_ring_enter(fol_io_ring *ring, uint32_t to_submit, uint32_t min_complete,
                                 uint32_t flags, const fol_ring_wait *wait)
{
    fol_ring_count(&ring->base.counters.system_calls, 1);
    return fol_ring_call_enter(ring->ring.ring_fd, to_submit, min_complete, flags, wait);
}

static inline int fol_ring_register(fol_io_ring *ring, uint32_t opcode, const void *argument,
                                    uint32_t count)
{
    fol_ring_count(&ring->base.counters.system_calls, 1);
    return fol_ring_call_register(ring->ring.ring_fd, opcode, argument, count);
}

/* The kernel has work that it does when we enter, and completions come of that. */
static inline bool fol_ring_has_deferred(const fol_io_ring *ring)
{
    return (IO_URING_READ_ONCE(*ring->ring.sq.kflags) & IORING_SQ_TASKRUN) != 0;
}

/* Generations have a bit less than their type. */
static inline uint64_t fol_ring_user_data(uint32_t slot, uint32_t generation)
{
    return FOL_IO_LANDING_IS_OTHER | (uint64_t)generation << 32 | slot;
}

static inline bool fol_ring_is_plain(uint64_t user_data)
{
    return (user_data & FOL_IO_LANDING_IS_OTHER) == 0;
}

/* The slot, or one of the numbers beyond. */
static inline uint32_t fol_ring_index(uint64_t user_data)
{
    return (uint32_t)user_data;
}

static inline fol_io_plain *fol_ring_plain(uint64_t user_data)
{
    return (fol_io_plain *)(uintptr_t)user_data;
}

/* Requests that the kernel may be busy with. */
static inline uint32_t fol_ring_held(const fol_io_ring *ring)
{
    return ring->used + ring->plain_count - ring->parked_count;
}

/* Fibonacci hashing (Knuth, volume 3, 6.4): tokens may be addresses, whose low bits are alike. */
static inline uint32_t fol_ring_hint(const fol_io_ring *ring, uint64_t token)
{
    return (uint32_t)((token * UINT64_C(0x9e3779b97f4a7c15)) >> 32) >> ring->hint_shift;
}

/* ring_slots.c */
int fol_ring_slots_init(fol_io_ring *ring, uint32_t count);
void fol_ring_slots_deinit(fol_io_ring *ring);
uint32_t fol_ring_slot_find(const fol_io_ring *ring, uint64_t token);
/* Waits outside the kernel to be asked again; ends at once when it is cancelled. */
void fol_ring_park(fol_io_ring *ring, uint32_t slot);
/* A parked one leaves; false when it is none. */
bool fol_ring_unpark(fol_io_ring *ring, uint32_t slot);
/* There are buffers: all that starve are to be asked again. */
void fol_ring_feed(fol_io_ring *ring);
/* The slot ends with a completion of our own making. */
void fol_ring_finish(fol_io_ring *ring, uint32_t slot, int value);
void fol_ring_finish_plain(fol_io_ring *ring, fol_io_plain *plain, int value);
/* Every request does. */
void fol_ring_finish_all(fol_io_ring *ring);
/* Keeps a completion for the driver, or drops it when the engine ends. A plain request has left its
 * list; NULL: it is of none. */
void fol_ring_keep(fol_io_ring *ring, const fol_io_event *event, fol_io_plain *plain,
                   bool gives_fd);

static inline uint32_t fol_ring_slot_take(fol_io_ring *ring, uint64_t token, uint32_t bits)
{
    uint32_t index = ring->free_slot;
    FOL_ASSERT_HOT(index != FOL_RING_NONE);
    fol_ring_slot *slot = &ring->slots[index];
    ring->free_slot = slot->next;
    ring->used += 1;
    slot->token = token;
    slot->bits = (uint8_t)(FOL_RING_SLOT_USED | bits);
    ring->hints[fol_ring_hint(ring, token)] = index;
    return index;
}

static inline void fol_ring_slot_free(fol_io_ring *ring, uint32_t index)
{
    fol_ring_slot *slot = &ring->slots[index];
    FOL_ASSERT_HOT(slot->bits != 0);
    slot->bits = 0;
    slot->generation = (slot->generation + 1) & FOL_RING_GENERATIONS;
    slot->next = ring->free_slot;
    ring->free_slot = index;
    ring->used -= 1;
}

/* ring_make.c: all but destroy and adopt give FOL_OK or a negative errno. */
int fol_ring_open(fol_io_ring *ring, fol_io_report *report);
/* Makes it the calling thread's. */
int fol_ring_attach(fol_io_ring *ring);
void fol_ring_close(fol_io_ring *ring);

/* ring_submit.c */
int fol_ring_start(fol_io_engine *engine, const fol_io_request *request, uint64_t token);
size_t fol_ring_start_plain(fol_io_engine *engine, fol_io_plain *const *plains, size_t count);
fol_io_plain *fol_ring_take_back(fol_io_engine *engine);
void fol_ring_cancel_token(fol_io_engine *engine, uint64_t token);
void fol_ring_cancel_plain(fol_io_engine *engine, fol_io_plain *plain);
int fol_ring_flush(fol_io_engine *engine);
/* Queues what the ring asks for itself: the read for wakes, cancels, parked requests. */
void fol_ring_serve(fol_io_ring *ring);
/* Sends what is queued; FOL_OK also when some of it had to stay. */
int fol_ring_send(fol_io_ring *ring);
/* Takes back what was queued and not sent; its requests end as cancelled. */
void fol_ring_unsend(fol_io_ring *ring);

/* ring_wait.c */
int fol_ring_wait_for(fol_io_engine *engine, uint32_t least, uint64_t timeout_ns);
void fol_ring_wake_up(fol_io_engine *engine);
int fol_ring_wake_init(fol_io_ring *ring);
void fol_ring_wake_deinit(fol_io_ring *ring);
/* Takes a new descriptor for wakes: an old ring may still read the other. */
int fol_ring_wake_renew(fol_io_ring *ring);

/* ring_reap.c */
size_t fol_ring_reap(fol_io_engine *engine, fol_io_event *out, size_t room);
size_t fol_ring_peek(fol_io_engine *engine, const fol_io_landing **out);
void fol_ring_drop(fol_io_engine *engine, size_t count);
/* Takes all completions that are there, as far as there is room. */
void fol_ring_take_early(fol_io_ring *ring);

/* ring_buffers.c */
/* Before the first use; FOL_OK or -ENOMEM. */
int fol_ring_buffers_need(fol_io_ring *ring);
/* For a new ring of the kernel. */
void fol_ring_buffers_attach(fol_io_ring *ring);
void fol_ring_buffers_deinit(fol_io_ring *ring, bool is_ours);
bool fol_ring_buffers_any(const fol_io_ring *ring);
int32_t fol_ring_buffer_take(fol_io_ring *ring);
void fol_ring_buffer_return(fol_io_ring *ring, uint32_t buffer);
void fol_ring_give_buffer(fol_io_engine *engine, int32_t buffer);
void fol_ring_use_memory(fol_io_engine *engine, void *base, size_t size);
void fol_ring_memory_attach(fol_io_ring *ring);
/* The number of the registered piece that a buffer lies in, or -1. */
int32_t fol_ring_memory_piece(const fol_io_ring *ring, const void *buffer, size_t size);

/* ring_files.c */
void fol_ring_files_attach(fol_io_ring *ring);
void fol_ring_files_count(fol_io_ring *ring, int change);
/* True when the kernel has let go of the ring that was closed. */
bool fol_ring_files_released(fol_io_ring *ring, int timeout_ms);

/* ring_end.c */
/* Ends the ring of the kernel; true when none of its requests is left there. Completions that came
 * are kept for the driver. */
bool fol_ring_end(fol_io_ring *ring);
/* The same, for good; all requests end, now or when the kernel lets go. */
void fol_ring_break(fol_io_ring *ring, int status);
/* Looks whether the kernel has let go meanwhile. */
void fol_ring_check_orphan(fol_io_ring *ring);
bool fol_ring_destroy(fol_io_engine *engine);
/* The rest of a ring that is closed; is_free: no memory of its buffers is the kernel's any more. */
void fol_ring_free(fol_io_ring *ring, bool is_free);
/* In a forked child: the end of all that is the child's own. */
void fol_ring_leave_to_parent(fol_io_ring *ring);

/* ring_late.c */
/* Whether the kernel holds a request that may still give a descriptor, which the calling thread
 * could learn of. */
bool fol_ring_may_open_late(const fol_io_ring *ring);
/* Takes over a ring that is ending, which stays open. */
void fol_ring_keep_open(fol_io_ring *ring);

#endif
