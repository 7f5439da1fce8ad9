/* Memory the kernel knows beforehand: buffers it chooses from, and memory requests point into.
 *
 * FOL_IO_MANY receives get buffers from one set. Where the kernel can, it shares a queue of free
 * buffers with us and takes one for each piece of data; elsewhere we choose, one for each single
 * receive. A buffer is free (in the queue or on the stack), with the kernel, or out with the driver
 * until give_buffer. The set is made when the first such request comes. Its shared queue starts
 * anew with each ring: everything but what is out is free then.
 *
 * Memory of use_memory is registered in pieces of at most a gibibyte, the kernel's limit for one.
 * A buffer that lies in one piece needs no pages pinned for it, so the request becomes its
 * fixed kind.
 */

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/memory.h"
#include "io/ring.h"

#define PIECE_SIZE  ((size_t)1 << 30)
#define PIECES_MAX  64
#define QUEUE_ROUND 4096

static uint8_t *buffer_at(const fol_io_ring *ring, uint32_t buffer)
{
    FOL_ASSERT(buffer < ring->buffers.count);
    return ring->buffers.memory + (size_t)buffer * ring->buffers.size;
}

/* Puts a buffer where the next receive finds it. */
static void set_free(fol_io_ring *ring, uint32_t buffer)
{
    fol_ring_buffers *buffers = &ring->buffers;
    if (buffers->shared == NULL) {
        FOL_ASSERT(buffers->free_top < buffers->count);
        buffers->free[buffers->free_top++] = buffer;
        return;
    }
    struct io_uring_buf_ring *shared = buffers->shared;
    uint16_t tail = shared->tail;
    struct io_uring_buf *entry = &shared->bufs[tail & (buffers->count - 1)];
    /* The tail lies in the first entry: the fields are set one by one. */
    entry->addr = (uintptr_t)buffer_at(ring, buffer);
    entry->len = buffers->size;
    entry->bid = (uint16_t)buffer;
    /* Pairs with the kernel's acquire of the tail: the entry is whole. */
    io_uring_smp_store_release(&shared->tail, (uint16_t)(tail + 1));
}

void fol_ring_buffers_attach(fol_io_ring *ring)
{
    fol_ring_buffers *buffers = &ring->buffers;
    if (buffers->mapping == NULL) {
        return;
    }
    buffers->shared = NULL;
    buffers->free_top = 0;
    if (ring->has_multishot_recv) {
        const struct io_uring_buf_reg queue = {.ring_addr = (uintptr_t)buffers->mapping,
                                               .ring_entries = buffers->count};
        struct io_uring_buf_ring *shared = (struct io_uring_buf_ring *)(void *)buffers->mapping;
        shared->tail = 0;
        if (fol_ring_register(ring, IORING_REGISTER_PBUF_RING, &queue, 1) == 0) {
            buffers->shared = shared;
        }
    }
    for (uint32_t buffer = 0; buffer < buffers->count; buffer++) {
        if (!buffers->is_out[buffer]) {
            set_free(ring, buffer);
        }
    }
}

int fol_ring_buffers_need(fol_io_ring *ring)
{
    fol_ring_buffers *buffers = &ring->buffers;
    if (buffers->mapping != NULL) {
        return FOL_OK;
    }
    size_t queue_size = buffers->count * sizeof(struct io_uring_buf);
    queue_size = (queue_size + QUEUE_ROUND - 1) / QUEUE_ROUND * QUEUE_ROUND;
    size_t size = queue_size + (size_t)buffers->count * buffers->size;
    buffers->is_out = fol_alloc_zeroed(buffers->count, sizeof *buffers->is_out);
    if (buffers->is_out == NULL) {
        return -ENOMEM;
    }
    buffers->free = fol_alloc_array(buffers->count, sizeof *buffers->free);
    if (buffers->free == NULL) {
        goto fail_free;
    }
    buffers->mapping = fol_reserve(size);
    if (buffers->mapping == NULL) {
        goto fail_mapping;
    }
    /* Of no use to a child, which must not find it: a refusal costs a copy there, no more. */
    (void)madvise(buffers->mapping, size, MADV_DONTFORK);
    buffers->mapping_size = size;
    buffers->memory = buffers->mapping + queue_size;
    fol_ring_buffers_attach(ring);
    return FOL_OK;

fail_mapping:
    fol_free(buffers->free);
    buffers->free = NULL;
fail_free:
    fol_free(buffers->is_out);
    buffers->is_out = NULL;
    return -ENOMEM;
}

/* is_ours false: the kernel may still write to the memory, or, in a child of fork, it is not
 * there. */
void fol_ring_buffers_deinit(fol_io_ring *ring, bool is_ours)
{
    fol_ring_buffers *buffers = &ring->buffers;
    if (is_ours) {
        fol_unreserve(buffers->mapping, buffers->mapping_size);
    }
    fol_free(buffers->free);
    fol_free(buffers->is_out);
    buffers->mapping = NULL;
}

/* As far as we know: those in completions that were not reaped yet are not counted. */
bool fol_ring_buffers_any(const fol_io_ring *ring)
{
    const fol_ring_buffers *buffers = &ring->buffers;
    return buffers->shared != NULL ? buffers->out_count < buffers->count : buffers->free_top > 0;
}

int32_t fol_ring_buffer_take(fol_io_ring *ring)
{
    FOL_ASSERT(ring->buffers.shared == NULL);
    if (ring->buffers.free_top == 0) {
        return -1;
    }
    ring->buffers.free_top -= 1;
    return (int32_t)ring->buffers.free[ring->buffers.free_top];
}

void fol_ring_buffer_return(fol_io_ring *ring, uint32_t buffer)
{
    FOL_ASSERT(!ring->buffers.is_out[buffer]);
    set_free(ring, buffer);
}

void fol_ring_give_buffer(fol_io_engine *engine, int32_t buffer)
{
    fol_io_ring *ring = fol_ring_of(engine);
    FOL_ASSERT(buffer >= 0);
    FOL_ASSERT((uint32_t)buffer < ring->buffers.count);
    FOL_ASSERT(ring->buffers.is_out[buffer]);
    ring->buffers.is_out[buffer] = false;
    ring->buffers.out_count -= 1;
    /* Without a ring the next one frees it. */
    if (ring->is_ready) {
        set_free(ring, (uint32_t)buffer);
    }
}

void fol_ring_memory_attach(fol_io_ring *ring)
{
    struct iovec pieces[PIECES_MAX];
    uint32_t count = 0;
    size_t left = ring->memory_size;
    uint8_t *from = ring->memory;
    for (; left > 0 && count < PIECES_MAX; count++) {
        size_t size = left < PIECE_SIZE ? left : PIECE_SIZE;
        pieces[count] = (struct iovec){.iov_base = from, .iov_len = size};
        from += size;
        left -= size;
    }
    if (count > 0) {
        /* Refused (RLIMIT_MEMLOCK, a filter): requests go without. */
        int status = fol_ring_register(ring, IORING_REGISTER_BUFFERS, pieces, count);
        ring->memory_is_registered = status == 0;
    }
}

void fol_ring_use_memory(fol_io_engine *engine, void *base, size_t size)
{
    fol_io_ring *ring = fol_ring_of(engine);
    FOL_ASSERT(base != NULL);
    /* One stretch of memory is enough; what comes later is used without. */
    if (ring->memory_size > 0) {
        return;
    }
    ring->memory = base;
    ring->memory_size = size;
    if (ring->is_ready && fol_ring_owner_is_caller(ring->owner)) {
        fol_ring_memory_attach(ring);
    }
}

int32_t fol_ring_memory_piece(const fol_io_ring *ring, const void *buffer, size_t size)
{
    uintptr_t from = (uintptr_t)buffer - (uintptr_t)ring->memory;
    if (!ring->memory_is_registered || size == 0 || from >= ring->memory_size ||
        size > ring->memory_size - from) {
        return -1;
    }
    size_t piece = from / PIECE_SIZE;
    bool is_in_one = (from + size - 1) / PIECE_SIZE == piece;
    return is_in_one && piece < PIECES_MAX ? (int32_t)piece : -1;
}
