/* Requests on their way to the kernel.
 *
 * start fills an entry of the submission queue and nothing else; one system call sends all that
 * were started. What the kernel cannot take for now (-EAGAIN, -EBUSY) is tried again a few times,
 * with completions taken in between, and then stays queued until the next flush or wait.
 *
 * Entries are used from the first on whenever the queue is empty, through the queue's array of
 * numbers, so that small batches live in few cache lines. With SQPOLL nobody here can know that it
 * is empty, and each place has its own entry.
 */

#include <errno.h>
#include <string.h>

#include "io/ring.h"

#define SUBMIT_TRIES 4
#define POLLED_TRIES 64

/* The oldest library has no version in its headers, and its helpers fill an entry wholly; later
 * ones leave clearing to who takes the entry. */
#ifdef IO_URING_VERSION_MAJOR
#define PREPARE_NEEDS_CLEAR 1
#else
#define PREPARE_NEEDS_CLEAR 0
#endif

static uint32_t unsent(fol_io_ring *ring)
{
    if (ring->is_polled) {
        /* Pairs with the release of the kernel's thread: it is done with the entries before. */
        ring->sq_sent = io_uring_smp_load_acquire(ring->ring.sq.khead);
    }
    return ring->sq_tail - ring->sq_sent;
}

/* The next entry, as it was left; NULL when the queue stays full, or the ring has turned out to be
 * of no use. May send, and so take completions and free slots. */
static inline struct io_uring_sqe *take_raw_sqe(fol_io_ring *ring)
{
    if (FOL_UNLIKELY(!ring->is_ready)) {
        return NULL;
    }
    if (FOL_UNLIKELY(ring->sq_tail - ring->sq_sent > ring->sq_mask) &&
        unsent(ring) > ring->sq_mask) {
        if (fol_ring_send(ring) != FOL_OK || unsent(ring) > ring->sq_mask) {
            return NULL;
        }
    }
    /* At most as many entries are queued as there are, so no two of them share a number. */
    uint32_t number = (ring->sq_tail - ring->sq_base) & ring->sq_mask;
    struct io_uring_sqe *sqe = &ring->ring.sq.sqes[number];
    ring->ring.sq.array[ring->sq_tail & ring->sq_mask] = number;
    ring->sq_tail += 1;
    return sqe;
}

/* The same, cleared. */
static struct io_uring_sqe *take_sqe(fol_io_ring *ring)
{
    struct io_uring_sqe *sqe = take_raw_sqe(ring);
    if (sqe != NULL) {
        memset(sqe, 0, sizeof *sqe);
    }
    return sqe;
}

/* Refused by the kernel for now: makes room for completions, if that is what it lacks. */
static void make_room(fol_io_ring *ring)
{
    fol_ring_count(&ring->base.counters.retries, 1);
    fol_ring_enter(ring, 0, 0, IORING_ENTER_GETEVENTS, NULL);
    fol_ring_take_early(ring);
}

/* Tells the kernel's thread, wakes it when it sleeps, and waits for it when the queue is full: it
 * gives entries back when it has gone through all it saw, which may be after their requests have
 * completed, and only when it has a processor. The kernel ends that wait, without saying so, at
 * every signal and at work for the calling task, such as a ring of it that is being torn down, so
 * it is asked again. After as many as POLLED_TRIES of those the queue may still be full. */
static int send_polled(fol_io_ring *ring)
{
    uint32_t flags = 0;
    bool is_full = unsent(ring) > ring->sq_mask;
    /* Pairs with the kernel's acquire: the entries are whole. */
    io_uring_smp_store_release(ring->ring.sq.ktail, ring->sq_tail);
    ring->sq_published = ring->sq_tail;
    /* Pairs with the fence of the kernel's thread between its flag and its last look. */
    atomic_thread_fence(memory_order_seq_cst);
    if ((IO_URING_READ_ONCE(*ring->ring.sq.kflags) & IORING_SQ_NEED_WAKEUP) != 0) {
        flags |= IORING_ENTER_SQ_WAKEUP;
    }
    flags |= is_full ? IORING_ENTER_SQ_WAIT : 0;
    int status = 0;
    for (int tries = 0; flags != 0 && tries < POLLED_TRIES; tries++) {
        status = fol_ring_enter(ring, unsent(ring), 0, flags, NULL);
        if (!is_full || unsent(ring) <= ring->sq_mask) {
            break;
        }
    }
    if (status < 0 && status != -EINTR && status != -EAGAIN && status != -EBUSY) {
        fol_ring_break(ring, status);
        return status;
    }
    return FOL_OK;
}

int fol_ring_send(fol_io_ring *ring)
{
    if (ring->is_polled) {
        return unsent(ring) > 0 ? send_polled(ring) : FOL_OK;
    }
    /* Pairs with the kernel's acquire: the entries are whole. */
    io_uring_smp_store_release(ring->ring.sq.ktail, ring->sq_tail);
    /* Each turn sends an entry at least, or uses up a try. */
    for (int tries = 0; ring->sq_tail != ring->sq_sent && tries < SUBMIT_TRIES;) {
        /* What the kernel has put off for us is done by the same system call. */
        uint32_t flags = fol_ring_has_deferred(ring) ? IORING_ENTER_GETEVENTS : 0;
        int status = fol_ring_enter(ring, ring->sq_tail - ring->sq_sent, 0, flags, NULL);
        if (status > 0) {
            ring->sq_sent += (uint32_t)status;
        } else if (status == 0 || status == -EAGAIN || status == -EBUSY) {
            make_room(ring);
            tries += 1;
        } else if (status == -EINTR) {
            tries += 1;
        } else {
            fol_ring_break(ring, status);
            return status;
        }
    }
    if (ring->sq_tail == ring->sq_sent) {
        ring->sq_base = ring->sq_tail;
    }
    return FOL_OK;
}

void fol_ring_unsend(fol_io_ring *ring)
{
    uint32_t from = ring->is_polled ? ring->sq_published : ring->sq_sent;
    uint32_t to = ring->sq_tail;
    ring->sq_tail = from;
    for (uint32_t place = from; place != to; place++) {
        uint32_t number = ring->ring.sq.array[place & ring->sq_mask];
        uint64_t user_data = ring->ring.sq.sqes[number].user_data;
        uint32_t slot = fol_ring_index(user_data);
        if (fol_ring_is_plain(user_data)) {
            fol_ring_finish_plain(ring, fol_ring_plain(user_data), -ECANCELED);
        } else if (slot < ring->slot_count) {
            fol_ring_finish(ring, slot, -ECANCELED);
        } else if (slot == FOL_RING_WAKE) {
            ring->wake_armed = false;
        }
    }
    /* Pairs with the kernel's acquire; it never saw those that are taken back. */
    io_uring_smp_store_release(ring->ring.sq.ktail, ring->sq_tail);
}

static bool needs_buffer(const fol_ring_slot *slot)
{
    return slot->opcode == IORING_OP_RECV;
}

/* Asks for a FOL_IO_MANY request, the first time or once more. */
static void arm(fol_io_ring *ring, uint32_t index, struct io_uring_sqe *sqe)
{
    fol_ring_slot *slot = &ring->slots[index];
    FOL_ASSERT((slot->bits & FOL_RING_SLOT_MANY) != 0);
    sqe->opcode = slot->opcode;
    sqe->fd = slot->fd;
    sqe->rw_flags = (__kernel_rwf_t)slot->options;
    sqe->user_data = fol_ring_user_data(index, slot->generation);
    if (!needs_buffer(slot)) {
        sqe->ioprio = ring->has_multishot_accept ? IORING_ACCEPT_MULTISHOT : 0;
    } else if (ring->buffers.shared != NULL) {
        sqe->flags |= IOSQE_BUFFER_SELECT;
        sqe->ioprio = IORING_RECV_MULTISHOT;
    } else {
        slot->buffer = fol_ring_buffer_take(ring);
        FOL_ASSERT(slot->buffer >= 0);
        sqe->addr = (uintptr_t)(ring->buffers.memory + (size_t)slot->buffer * ring->buffers.size);
        sqe->len = ring->buffers.size;
    }
}

static int start_many(fol_io_ring *ring, const fol_io_request *request, uint64_t token)
{
    struct io_uring_sqe entry;
    const fol_io_operation *operation = ring->operations[request->kind];
    bool is_recv = request->kind == FOL_IO_RECV;
    if (!is_recv && request->kind != FOL_IO_ACCEPT) {
        return -EINVAL;
    }
    int status = is_recv ? fol_ring_buffers_need(ring) : FOL_OK;
    if (status != FOL_OK) {
        return status;
    }
    memset(&entry, 0, sizeof entry);
    operation->prepare(&entry, request);
    struct io_uring_sqe *sqe = NULL;
    if (!is_recv || fol_ring_buffers_any(ring)) {
        sqe = take_sqe(ring);
    }
    if (!ring->is_ready) {
        return ring->broken;
    }
    uint32_t index = fol_ring_slot_take(
        ring, token, FOL_RING_SLOT_MANY | (is_recv ? 0U : FOL_RING_SLOT_GIVES_FD));
    fol_ring_slot *slot = &ring->slots[index];
    slot->fd = entry.fd;
    slot->options = (uint32_t)entry.rw_flags;
    slot->opcode = entry.opcode;
    ring->base.in_flight += 1;
    if (sqe != NULL && is_recv && !fol_ring_buffers_any(ring)) {
        ring->sq_tail -= 1;
        sqe = NULL;
    }
    if (sqe != NULL) {
        arm(ring, index, sqe);
    } else {
        fol_ring_park(ring, index);
    }
    return FOL_OK;
}

/* What an entry needs for a file of the ring's table; the bits of its slot in *bits. */
static void prepare_direct(fol_io_ring *ring, struct io_uring_sqe *sqe,
                           const fol_io_request *request, uint32_t *bits)
{
    switch (request->kind) {
    case FOL_IO_OPEN:
        /* By hand: the library's helper adds one, which makes this 0. */
        sqe->file_index = IORING_FILE_INDEX_ALLOC;
        /* A file without a descriptor has nothing to close when a program is run. */
        sqe->open_flags &= ~(uint32_t)O_CLOEXEC;
        fol_ring_files_count(ring, 1);
        *bits = FOL_RING_SLOT_DIRECT_OPEN;
        break;
    case FOL_IO_CLOSE:
        sqe->fd = 0;
        sqe->file_index = (uint32_t)request->fd + 1;
        *bits = FOL_RING_SLOT_DIRECT_CLOSE;
        break;
    default:
        sqe->flags |= IOSQE_FIXED_FILE;
        break;
    }
}

static bool can_be_direct(const fol_io_ring *ring, uint32_t kind)
{
    switch (kind) {
    case FOL_IO_OPEN:
        return ring->base.has_direct_files;
    case FOL_IO_CLOSE:
    case FOL_IO_READ:
    case FOL_IO_WRITE:
    case FOL_IO_FSYNC:
        return ring->direct_count > 0;
    default:
        return false;
    }
}

/* A filled entry of one that is in the ring's registered memory is made to say so. */
static inline void use_registered(const fol_io_ring *ring, struct io_uring_sqe *sqe,
                                  const fol_io_request *request)
{
    int32_t piece = fol_ring_memory_piece(ring, request->buffer, request->size);
    if (piece >= 0) {
        sqe->opcode = request->kind == FOL_IO_READ ? IORING_OP_READ_FIXED : IORING_OP_WRITE_FIXED;
        sqe->buf_index = (uint16_t)piece;
    }
}

int fol_ring_start(fol_io_engine *engine, const fol_io_request *request, uint64_t token)
{
    fol_io_ring *ring = fol_ring_of(engine);
    if (FOL_UNLIKELY(!ring->is_ready)) {
        int status = engine->ops->adopt(engine);
        if (status != FOL_OK) {
            return status;
        }
    }
    if (FOL_UNLIKELY(engine->in_flight >= engine->in_flight_bound)) {
        return -EBUSY;
    }
    const fol_io_operation *operation =
        request->kind < FOL_IO_KIND_COUNT ? ring->operations[request->kind] : NULL;
    bool is_direct = (request->flags & FOL_IO_DIRECT) != 0;
    if (operation == NULL || (is_direct && !can_be_direct(ring, request->kind))) {
        return -EOPNOTSUPP;
    }
    if ((request->flags & FOL_IO_MANY) != 0) {
        int status = start_many(ring, request, token);
        fol_ring_count(&engine->counters.started, status == FOL_OK ? 1 : 0);
        return status;
    }
    struct io_uring_sqe *sqe = take_raw_sqe(ring);
    if (FOL_UNLIKELY(sqe == NULL)) {
        return ring->broken != FOL_OK ? ring->broken : -EBUSY;
    }
#if PREPARE_NEEDS_CLEAR
    memset(sqe, 0, sizeof *sqe);
#endif
    uint32_t bits = operation->gives_fd && !is_direct ? FOL_RING_SLOT_GIVES_FD : 0;
    operation->prepare(sqe, request);
    if (is_direct) {
        prepare_direct(ring, sqe, request, &bits);
    }
    if (ring->memory_is_registered && (request->flags & FOL_IO_VECTORS) == 0 &&
        (request->kind == FOL_IO_READ || request->kind == FOL_IO_WRITE)) {
        use_registered(ring, sqe, request);
    }
    uint32_t index = fol_ring_slot_take(ring, token, bits);
    sqe->user_data = fol_ring_user_data(index, ring->slots[index].generation);
    engine->in_flight += 1;
    fol_ring_count(&engine->counters.started, 1);
    return FOL_OK;
}

/* Fills an entry, whatever it held before. */
static inline void prepare_plain(const fol_io_ring *ring, struct io_uring_sqe *sqe,
                                 const fol_io_request *request)
{
    memset(sqe, 0, sizeof *sqe);
    if (request->kind == FOL_IO_NOP) {
        sqe->opcode = IORING_OP_NOP;
        sqe->fd = -1;
    } else if (request->kind == FOL_IO_READ) {
        sqe->opcode = IORING_OP_READ;
        sqe->fd = request->fd;
        sqe->addr = (uintptr_t)request->buffer;
        sqe->len = (uint32_t)request->size;
        sqe->off = request->offset;
    } else {
        ring->operations[FOL_IO_WRITE]->prepare(sqe, request);
    }
    if (ring->memory_is_registered && request->kind != FOL_IO_NOP) {
        use_registered(ring, sqe, request);
    }
}

size_t fol_ring_start_plain(fol_io_engine *engine, fol_io_plain *const *plains, size_t count)
{
    fol_io_ring *ring = fol_ring_of(engine);
    uint32_t queued = ring->sq_tail - ring->sq_sent;
    uint32_t room = engine->in_flight_bound - engine->in_flight;
    room = room < ring->sq_mask + 1 - queued ? room : ring->sq_mask + 1 - queued;
    if (!ring->is_ready || ring->is_polled) {
        return 0;
    }
    const uint32_t mask = ring->sq_mask;
    const uint32_t base = ring->sq_base;
    /* In a register: as it is in memory, each turn would wait for the one before. */
    uint32_t tail = ring->sq_tail;
    fol_io_link *last = engine->plains.previous;
    size_t done = 0;
    for (; done < count && done < room; done++) {
        fol_io_plain *plain = plains[done];
        const fol_io_request *request = &plain->request;
        FOL_ASSERT_HOT(request->flags == 0 && request->kind < FOL_IO_KIND_COUNT);
        if (FOL_UNLIKELY(ring->operations[request->kind] == NULL)) {
            break;
        }
        uint32_t number = (tail - base) & mask;
        struct io_uring_sqe *sqe = &ring->ring.sq.sqes[number];
        prepare_plain(ring, sqe, request);
        sqe->user_data = (uintptr_t)plain;
        ring->ring.sq.array[tail & mask] = number;
        tail += 1;
        last->next = &plain->link;
        plain->link.previous = last;
        last = &plain->link;
    }
    last->next = &engine->plains;
    engine->plains.previous = last;
    ring->sq_tail = tail;
    ring->plain_count += (uint32_t)done;
    engine->in_flight += (uint32_t)done;
    fol_ring_count(&engine->counters.started, done);
    return done;
}

fol_io_plain *fol_ring_take_back(fol_io_engine *engine)
{
    fol_io_ring *ring = fol_ring_of(engine);
    if (!ring->is_ready || ring->is_polled || ring->sq_tail == ring->sq_sent) {
        return NULL;
    }
    uint32_t number = ring->ring.sq.array[(ring->sq_tail - 1) & ring->sq_mask];
    uint64_t user_data = ring->ring.sq.sqes[number].user_data;
    if (!fol_ring_is_plain(user_data)) {
        return NULL;
    }
    fol_io_plain *plain = fol_ring_plain(user_data);
    FOL_ASSERT(ring->plain_count > 0 && engine->in_flight > 0);
    ring->sq_tail -= 1;
    /* Pairs with the kernel's acquire; it never saw what was queued behind. */
    io_uring_smp_store_release(ring->ring.sq.ktail, ring->sq_tail);
    fol_io_link_remove(&plain->link);
    ring->plain_count -= 1;
    engine->in_flight -= 1;
    return plain;
}

static bool is_kept(const fol_io_ring *ring, const fol_io_plain *plain)
{
    const fol_io_link *kept = &ring->base.kept_plains;
    for (const fol_io_link *link = kept->next; link != kept; link = link->next) {
        if (link == &plain->link) {
            return true;
        }
    }
    return false;
}

static bool is_to_be_cancelled(const fol_io_ring *ring, uint64_t user_data)
{
    for (uint32_t index = 0; index < ring->cancel_count; index++) {
        if (ring->cancels[index] == user_data) {
            return true;
        }
    }
    return false;
}

static void cancel_later(fol_io_ring *ring, uint64_t user_data)
{
    if (ring->cancel_count == ring->slot_count) {
        /* Those of requests that have ended meanwhile fill the list. */
        fol_ring_serve(ring);
    }
    FOL_ASSERT(ring->cancel_count < ring->slot_count);
    ring->cancels[ring->cancel_count++] = user_data;
}

void fol_ring_cancel_plain(fol_io_engine *engine, fol_io_plain *plain)
{
    fol_io_ring *ring = fol_ring_of(engine);
    uint64_t user_data = (uintptr_t)plain;
    if (!is_kept(ring, plain) && !is_to_be_cancelled(ring, user_data)) {
        cancel_later(ring, user_data);
    }
}

void fol_ring_cancel_token(fol_io_engine *engine, uint64_t token)
{
    fol_io_ring *ring = fol_ring_of(engine);
    uint32_t index = fol_ring_slot_find(ring, token);
    if (index == FOL_RING_NONE || (ring->slots[index].bits & FOL_RING_SLOT_CANCELLED) != 0) {
        return;
    }
    fol_ring_slot *slot = &ring->slots[index];
    slot->bits |= FOL_RING_SLOT_CANCELLED;
    if (fol_ring_unpark(ring, index)) {
        fol_ring_finish(ring, index, -ECANCELED);
        return;
    }
    cancel_later(ring, fol_ring_user_data(index, slot->generation));
}

static bool queue_cancel(fol_io_ring *ring, uint64_t user_data)
{
    struct io_uring_sqe *sqe = take_sqe(ring);
    if (sqe == NULL) {
        return false;
    }
    sqe->opcode = IORING_OP_ASYNC_CANCEL;
    sqe->fd = -1;
    sqe->addr = user_data;
    sqe->flags = ring->can_cancel_quietly ? IOSQE_CQE_SKIP_SUCCESS : 0;
    sqe->user_data = fol_ring_user_data(FOL_RING_CANCEL, 0);
    return true;
}

/* A plain one that has ended is not in the list. */
static bool is_in_flight(const fol_io_ring *ring, uint64_t user_data)
{
    if (fol_ring_is_plain(user_data)) {
        return user_data != FOL_RING_NOBODY;
    }
    uint32_t index = fol_ring_index(user_data);
    const fol_ring_slot *slot = &ring->slots[index];
    return slot->bits != 0 && fol_ring_user_data(index, slot->generation) == user_data;
}

/* Those that find no entry stay in the list, those whose request has ended do not. */
static void serve_cancels(fol_io_ring *ring)
{
    bool has_room = true;
    uint32_t kept = 0;
    /* Queueing may send, and sending may find that the ring is of no use: then none is left. */
    for (uint32_t index = 0; index < ring->cancel_count; index++) {
        uint64_t user_data = ring->cancels[index];
        if (is_in_flight(ring, user_data)) {
            has_room = has_room && queue_cancel(ring, user_data);
            if (!has_room) {
                ring->cancels[kept++] = user_data;
            }
        }
    }
    ring->cancel_count = ring->is_ready ? kept : 0;
}

/* Where wakes are read to: the kernel may write there after the engine has gone. */
static uint64_t wake_sink;

static void arm_wake(fol_io_ring *ring)
{
    struct io_uring_sqe *sqe = take_sqe(ring);
    if (sqe == NULL) {
        return;
    }
    sqe->opcode = IORING_OP_READ;
    sqe->fd = ring->wake_fd;
    sqe->addr = (uintptr_t)&wake_sink;
    sqe->len = sizeof wake_sink;
    sqe->user_data = fol_ring_user_data(FOL_RING_WAKE, 0);
    ring->wake_armed = true;
}

void fol_ring_serve(fol_io_ring *ring)
{
    if (!ring->wake_armed) {
        arm_wake(ring);
    }
    serve_cancels(ring);
    if (ring->starved != FOL_RING_NONE && fol_ring_buffers_any(ring)) {
        fol_ring_feed(ring);
    }
    for (uint32_t left = ring->parked_count; left > 0 && ring->parked != FOL_RING_NONE; left--) {
        struct io_uring_sqe *sqe = take_sqe(ring);
        if (sqe == NULL) {
            break;
        }
        uint32_t index = ring->parked;
        fol_ring_unpark(ring, index);
        if (needs_buffer(&ring->slots[index]) && !fol_ring_buffers_any(ring)) {
            ring->sq_tail -= 1;
            fol_ring_park(ring, index);
        } else {
            arm(ring, index, sqe);
        }
    }
}

int fol_ring_flush(fol_io_engine *engine)
{
    fol_io_ring *ring = fol_ring_of(engine);
    if (FOL_UNLIKELY(!ring->is_ready)) {
        return ring->broken;
    }
    fol_ring_serve(ring);
    return ring->is_ready ? fol_ring_send(ring) : ring->broken;
}
