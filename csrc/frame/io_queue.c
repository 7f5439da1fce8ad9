/* Queues of intents, one for each worker; see io.h.
 *
 * A handle is generation, worker and index. Recording allocates nothing: slots come from the list
 * of free ones, the last that became free first, or are touched for the first time.
 */

#include <errno.h>

#include "foliot/status.h"
#include "frame/io.h"

const fol_io_api fol_io_api_table = {fol_io_queue_submit};

int fol_io_queue_init(fol_io_queue *queue, uint8_t worker, uint32_t room)
{
    FOL_ASSERT(room > 0 && room <= FOL_IO_MAX_SLOTS);
    *queue = (fol_io_queue){.worker = worker, .room = room};
    queue->slots = fol_reserve((size_t)room * sizeof(*queue->slots));
    return queue->slots == NULL ? -ENOMEM : FOL_OK;
}

void fol_io_queue_deinit(fol_io_queue *queue)
{
    if (queue->slots != NULL) {
        fol_unreserve(queue->slots, (size_t)queue->room * sizeof(*queue->slots));
    }
}

void fol_io_queue_begin(fol_io_queue *queue, uint32_t system_order, uint32_t chunk)
{
    uint64_t stamp = (uint64_t)system_order << 32 | chunk;
    queue->is_mixed = queue->queued.first != NULL && (queue->is_mixed || stamp < queue->stamp);
    queue->stamp = stamp;
}

static fol_io_slot *take_slot(fol_io_queue *queue)
{
    fol_io_slot *slot = queue->free;
    if (slot != NULL) {
        queue->free = slot->next;
        return slot;
    }
    if (queue->used == queue->room) {
        return NULL;
    }
    slot = &queue->slots[queue->used];
    slot->index = queue->used;
    slot->worker = queue->worker;
    slot->generation = 1;
    queue->used++;
    return slot;
}

static fol_io_handle handle_of(const fol_io_slot *slot)
{
    return (uint64_t)slot->generation << 32 | (uint64_t)slot->worker << FOL_IO_INDEX_BITS |
           slot->index;
}

/* Whether the request may go where the intent says. */
static bool target_makes_sense(const fol_io_intent *intent)
{
    const fol_io_request *request = &intent->request;
    if ((uint32_t)intent->until > FOL_IO_LATER) {
        return false;
    }
    if (intent->component == NULL) {
        return true;
    }
    return (request->kind == FOL_IO_READ || request->kind == FOL_IO_RECV) &&
           request->buffer == NULL && (request->flags & FOL_IO_VECTORS) == 0 &&
           fol_component_storage(intent->component) == FOL_STORAGE_BYTES;
}

/* Field by field, each as wide as it was written: what was written a moment ago would make a wider
 * read wait until it has left the processor's queue of writes. Hence volatile, so that the compiler
 * makes none wider. */
static inline void copy_intent(fol_io_slot *slot, const volatile fol_io_intent *intent)
{
    const volatile fol_io_request *asked = &intent->request;
    fol_io_request *request = &slot->op.request;
    fol_io_target *target = &slot->target;
    request->kind = asked->kind;
    request->flags = asked->flags;
    request->fd = asked->fd;
    request->options = asked->options;
    request->mode = asked->mode;
    request->path = asked->path;
    request->path2 = asked->path2;
    request->buffer = asked->buffer;
    request->size = asked->size;
    request->offset = asked->offset;
    request->timeout_ns = asked->timeout_ns;
    request->handle = asked->handle;
    slot->until = (uint8_t)intent->until;
    slot->entity = intent->entity;
    target->component = intent->component;
    target->result = intent->result;
    target->receiver = intent->receiver;
    target->user = intent->user;
}

static inline bool is_simple(const fol_io_intent *intent)
{
    return intent->until == FOL_IO_STAGE && intent->component == NULL && intent->receiver == NULL &&
           fol_io_request_is_plain(&intent->request);
}

/* The same for a simple one: what it does not have is not looked at again. */
static inline void copy_simple(fol_io_slot *slot, const volatile fol_io_intent *intent)
{
    const volatile fol_io_request *asked = &intent->request;
    fol_io_request *request = &slot->op.request;
    request->kind = asked->kind;
    request->flags = 0;
    request->fd = asked->fd;
    request->options = 0;
    request->mode = 0;
    request->path = NULL;
    request->path2 = NULL;
    request->buffer = asked->buffer;
    request->size = asked->size;
    request->offset = asked->offset;
    request->timeout_ns = 0;
    request->handle = 0;
    slot->target.component = NULL;
    slot->target.result = intent->result;
    slot->target.receiver = NULL;
}

/* Any intent. */
static __attribute__((noinline)) int submit_any(fol_io_queue *queue, const fol_io_intent *intent,
                                                fol_io_handle *out)
{
    const char *what;
    if (!target_makes_sense(intent) || (!fol_io_request_is_plain(&intent->request) &&
                                        fol_io_request_check(&intent->request, &what) != FOL_OK)) {
        return FOL_E_VALUE;
    }
    fol_io_slot *slot = take_slot(queue);
    if (slot == NULL) {
        return FOL_E_CAPACITY;
    }
    FOL_ASSERT(slot->state == FOL_IO_SLOT_FREE);
    slot->state = FOL_IO_SLOT_QUEUED;
    copy_intent(slot, intent);
    slot->key = queue->stamp;
    slot->is_simple = is_simple(intent);
    slot->has_come = false;
    slot->was_stopped = false;
    queue->has_others = queue->has_others || !slot->is_simple;
    if (slot->target.component != NULL) {
        fol_component_retain(slot->target.component);
    }
    fol_io_list_append(&queue->queued, slot);
    if (out != NULL) {
        *out = handle_of(slot);
    }
    return FOL_OK;
}

int fol_io_queue_submit(fol_io_queue *queue, const fol_io_intent *intent, fol_io_handle *out)
{
    fol_io_slot *slot = queue->free;
    if (FOL_UNLIKELY(slot == NULL || !is_simple(intent))) {
        return submit_any(queue, intent, out);
    }
    queue->free = slot->next;
    FOL_ASSERT(slot->state == FOL_IO_SLOT_FREE);
    copy_simple(slot, intent);
    slot->key = queue->stamp;
    slot->worker = queue->worker;
    slot->state = FOL_IO_SLOT_QUEUED;
    slot->until = FOL_IO_STAGE;
    slot->is_simple = true;
    slot->has_come = false;
    slot->was_stopped = false;
    fol_io_list_append(&queue->queued, slot);
    if (out != NULL) {
        *out = handle_of(slot);
    }
    return FOL_OK;
}

void fol_io_slot_free(fol_frame_io *io, fol_io_slot *slot)
{
    if (slot->target.component != NULL) {
        fol_component_release(slot->target.component);
    }
    if (slot->blob.data != NULL) {
        fol_bytes_release(&slot->blob);
        slot->blob = (fol_bytes){NULL, 0};
    }
    fol_io_slot_give_back(io, slot);
}

fol_io_slot *fol_io_slot_find(const fol_frame_io *io, fol_io_handle handle)
{
    uint32_t index = (uint32_t)handle & (FOL_IO_MAX_SLOTS - 1);
    uint32_t worker = (uint32_t)handle >> FOL_IO_INDEX_BITS;
    if (worker >= io->queue_count || index >= io->queues[worker].used) {
        return NULL;
    }
    fol_io_slot *slot = &io->queues[worker].slots[index];
    bool is_named = slot->generation == handle >> 32 && slot->state != FOL_IO_SLOT_FREE;
    return is_named ? slot : NULL;
}

/* Slots are mostly taken in the order of addresses, up or down: fetches one where it would be. */
static void prefetch_beyond(const fol_io_slot *slot)
{
    uintptr_t at = (uintptr_t)&slot->key;
    uintptr_t step = (uintptr_t)slot->next - (uintptr_t)slot;
    __builtin_prefetch((const void *)(at + 4 * step));
}

fol_io_queue *fol_io_only_simple(fol_frame_io *io)
{
    fol_io_queue *only = NULL;
    for (uint32_t i = 0; i < io->queue_count; i++) {
        fol_io_queue *queue = &io->queues[i];
        if (queue->queued.first == NULL) {
            continue;
        }
        if (only != NULL || queue->has_others || queue->is_mixed) {
            return NULL;
        }
        only = queue;
    }
    return only;
}

void fol_io_gather(fol_frame_io *io)
{
    uint64_t last = 0;
    bool is_in_order = true;
    io->batch_count = 0;
    for (uint32_t i = 0; i < io->queue_count; i++) {
        fol_io_queue *queue = &io->queues[i];
        for (fol_io_slot *slot = queue->queued.first; slot != NULL; slot = slot->next) {
            prefetch_beyond(slot);
            is_in_order = is_in_order && slot->key >= last;
            last = slot->key;
            io->batch[io->batch_count++] = &slot->op;
        }
        fol_io_queue_clear(queue);
    }
    if (!is_in_order) {
        /* One stamp is one worker's, so a stable sort keeps the order of recording. */
        fol_io_sort(io);
    }
}

static uint64_t key_of(fol_io_op *op)
{
    return fol_io_slot_of(op)->key;
}

static bool is_sorted(const fol_frame_io *io)
{
    for (uint32_t i = 1; i < io->batch_count; i++) {
        if (key_of(io->batch[i - 1]) > key_of(io->batch[i])) {
            return false;
        }
    }
    return true;
}

/* Merges two sorted halves. */
static void merge_halves(fol_io_op *const *from, fol_io_op **to, uint64_t begin, uint64_t middle,
                         uint64_t end)
{
    uint64_t left = begin;
    uint64_t right = middle;
    for (uint64_t i = begin; i < end; i++) {
        bool takes_right =
            left == middle || (right < end && key_of(from[left]) > key_of(from[right]));
        to[i] = takes_right ? from[right++] : from[left++];
    }
}

/* Merge sort from the bottom up: stable, without recursion; log2(count) passes. */
void fol_io_sort(fol_frame_io *io)
{
    uint64_t count = io->batch_count;
    if (is_sorted(io)) {
        return;
    }
    for (uint64_t width = 1; width < count; width *= 2) {
        for (uint64_t begin = 0; begin < count; begin += 2 * width) {
            uint64_t middle = begin + width < count ? begin + width : count;
            uint64_t end = begin + 2 * width < count ? begin + 2 * width : count;
            merge_halves(io->batch, io->spare, begin, middle, end);
        }
        fol_io_op **sorted = io->spare;
        io->spare = io->batch;
        io->batch = sorted;
    }
    FOL_ASSERT_HOT(is_sorted(io));
}
