/* I/O at the cuts of a frame: before the merge behind a segment what its systems asked for is sent
 * and waited for; after it the results are delivered.
 *
 * The merge comes first, so that results find the entities that the same systems spawned, and what
 * a failed operation takes along is known before it.
 */

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/cycles.h"
#include "foliot/status.h"
#include "frame/io.h"
#include "world/bytes.h"

static fol_node *node_of(const fol_scheduler *scheduler, const fol_io_slot *slot)
{
    uint32_t node = (uint32_t)(slot->key >> 32) - scheduler->first_order;
    FOL_ASSERT(node < scheduler->program->node_count);
    return &scheduler->program->nodes[node];
}

/* Whether it can be read to where it will stay: its size is known and it comes in one piece. */
static bool reads_into_blob(const fol_io_slot *slot)
{
    const fol_io_request *request = &slot->op.request;
    return slot->target.component != NULL && request->size > 0 &&
           (request->flags & (FOL_IO_MANY | FOL_IO_TO_END)) == 0;
}

/* False: it ended before it began. */
static bool prepare_op(fol_io_slot *slot)
{
    if (!reads_into_blob(slot)) {
        return true;
    }
    int status = fol_bytes_create_uninitialised(slot->op.request.size, &slot->blob);
    if (status != FOL_OK) {
        slot->op.value = status;
        slot->op.data = NULL;
        slot->op.size = 0;
        slot->op.is_finished = true;
        slot->op.is_plain = false;
        return false;
    }
    slot->op.request.buffer = (void *)(uintptr_t)slot->blob.data;
    return true;
}

static void count_awaited(fol_frame_io *io, fol_io_slot *slot)
{
    switch (slot->until) {
    case FOL_IO_STAGE:
        io->awaited_at_stage++;
        break;
    case FOL_IO_PHASE:
        io->awaited_at_phase++;
        fol_io_list_append(&io->in_phase, slot);
        break;
    case FOL_IO_LATER:
        io->later++;
        break;
    }
    if (slot->target.component != NULL && slot->until != FOL_IO_STAGE &&
        fol_entity_is_provisional(slot->entity)) {
        slot->next_unresolved = io->unresolved;
        io->unresolved = slot;
    }
}

/* What could not even begin comes back like the rest. */
static void end_unsent(fol_frame_io *io, fol_io_slot *slot)
{
    slot->state = FOL_IO_SLOT_FINISHED;
    fol_count(&io->completed, 1);
    fol_count(&io->failed, 1);
    io->failed_count++;
    switch (slot->until) {
    case FOL_IO_STAGE:
        io->awaited_at_stage--;
        break;
    case FOL_IO_PHASE:
        io->awaited_at_phase--;
        break;
    case FOL_IO_LATER:
        slot->has_come = true;
        fol_io_list_append(&io->came, slot);
        io->came_count++;
        break;
    }
}

/* Those of one system stand one behind the other in what is sent. */
typedef struct asker {
    uint64_t order; /* UINT64_MAX: none yet */
    uint32_t system;
    bool is_dropped; /* of a system that failed, or of an interrupted frame: not to be sent */
} asker;

static inline void follow(const fol_scheduler *scheduler, const fol_io_slot *slot, asker *of)
{
    if (FOL_UNLIKELY(slot->key >> 32 != of->order)) {
        const fol_node *node = node_of(scheduler, slot);
        *of = (asker){.order = slot->key >> 32,
                      .system = node->system,
                      .is_dropped = fol_is_interrupted(scheduler) || node->must_drop_io};
    }
}

/* The operation is to be sent as this one of the batch, whose first has the key. */
static inline void take_into_batch(fol_frame_io *io, fol_io_slot *slot, uint32_t system,
                                   uint64_t first_key, uint32_t index)
{
    io->batch[index] = &slot->op;
    slot->system = system;
    slot->key = first_key + index;
    slot->state = FOL_IO_SLOT_SENT;
}

/* The batch has so many that were or are to be sent. */
static void count_sent(fol_frame_io *io, uint32_t count)
{
    io->next_key += count;
    io->batch_count = count;
    io->early_count = 0;
    io->started_count = count;
    io->operations += count;
    fol_count(&io->submitted, count);
}

/* What is simple and in one queue, which is in order, needs no more than this. */
static void send_simple(fol_frame_io *io, fol_io_queue *queue)
{
    const fol_scheduler *scheduler = io->scheduler;
    asker of = {.order = UINT64_MAX};
    uint64_t key = io->next_key;
    uint32_t kept = 0;
    fol_io_slot *next = queue->queued.first;
    fol_io_queue_clear(queue);
    /* Bounded by the slots of the queue. */
    while (next != NULL) {
        fol_io_slot *slot = next;
        next = slot->next;
        FOL_ASSERT_HOT(slot->state == FOL_IO_SLOT_QUEUED && slot->is_simple);
        follow(scheduler, slot, &of);
        if (FOL_UNLIKELY(of.is_dropped)) {
            fol_io_drop(io, slot);
            continue;
        }
        take_into_batch(io, slot, of.system, key, kept++);
    }
    io->awaited_at_stage += kept;
    count_sent(io, kept);
    if (kept > 0) {
        fol_io_submit_plain(io->driver, io->batch, kept);
    }
}

static void send_batch(fol_frame_io *io)
{
    const fol_scheduler *scheduler = io->scheduler;
    uint32_t ahead = fol_io_ahead(io->batch_count);
    asker of = {.order = UINT64_MAX};
    uint32_t sent = 0;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < io->batch_count; i++) {
        fol_io_slot *slot = fol_io_slot_of(io->batch[i]);
        fol_io_prefetch(io->batch, i, ahead);
        FOL_ASSERT_HOT(slot->state == FOL_IO_SLOT_QUEUED);
        follow(scheduler, slot, &of);
        if (FOL_UNLIKELY(of.is_dropped)) {
            fol_io_drop(io, slot);
            continue;
        }
        take_into_batch(io, slot, of.system, io->next_key, kept++);
        count_awaited(io, slot);
        if (prepare_op(slot)) {
            io->spare[sent++] = &slot->op;
        } else {
            end_unsent(io, slot);
        }
    }
    count_sent(io, kept);
    if (sent > 0) {
        fol_io_submit(io->driver, io->spare, sent);
    }
}

/* Makes of the batch what is still to be delivered at this cut. */
static void choose_deliveries(fol_frame_io *io, bool is_phase_end)
{
    uint32_t kept = 0;
    for (uint32_t i = io->early_count; i < io->batch_count; i++) {
        if (fol_io_slot_of(io->batch[i])->until == FOL_IO_STAGE) {
            io->batch[kept++] = io->batch[i];
        }
    }
    io->batch_count = kept;
    io->early_count = 0;
    if (is_phase_end && io->in_phase.first != NULL) {
        for (fol_io_slot *slot = io->in_phase.first; slot != NULL; slot = slot->next) {
            io->batch[io->batch_count++] = &slot->op;
        }
        io->in_phase = (fol_io_list){NULL, NULL};
        fol_io_sort(io);
    }
}

static bool has_queued(const fol_frame_io *io)
{
    for (uint32_t i = 0; i < io->queue_count; i++) {
        if (io->queues[i].queued.first != NULL) {
            return true;
        }
    }
    return false;
}

bool fol_io_begin_cut(fol_frame_io *io, uint32_t segment)
{
    fol_scheduler *scheduler = io->scheduler;
    fol_runner *runner = &scheduler->runners[0];
    bool is_phase_end = segment + 1 == scheduler->phase->work.segment_count;
    if (!has_queued(io) && !(is_phase_end && io->in_phase.first != NULL)) {
        return false;
    }
    uint32_t end = scheduler->phase->segment_ends[segment];
    io->started_cycles = runner->stamp;
    scheduler->io_place = (fol_place){scheduler->run_number, 2 * end};
    io->may_be_early = io->in_phase.first == NULL;
    fol_io_queue *simple = fol_io_only_simple(io);
    if (simple != NULL) {
        send_simple(io, simple);
    } else {
        fol_io_gather(io);
        send_batch(io);
    }
    fol_io_await(io, is_phase_end);
    choose_deliveries(io, is_phase_end);
    fol_io_judge(io, segment);
    uint64_t now = fol_cycles_now();
    io->wait_cycles += now > runner->stamp ? now - runner->stamp : 0;
    runner->stamp = now;
    scheduler->segment_from = now;
    return true;
}

/* Provisional ids mean something until the end of the frame only. */
static void resolve_entities(fol_frame_io *io)
{
    const fol_commands *any = io->scheduler->buffers[0];
    for (fol_io_slot *slot = io->unresolved; slot != NULL; slot = slot->next_unresolved) {
        slot->entity = fol_commands_resolve(any, slot->entity);
    }
    io->unresolved = NULL;
}

void fol_io_end_cut(fol_frame_io *io, uint32_t segment)
{
    fol_scheduler *scheduler = io->scheduler;
    fol_runner *runner = &scheduler->runners[0];
    uint32_t end = scheduler->phase->segment_ends[segment];
    resolve_entities(io);
    if (end > 0) {
        fol_world_set_tick(scheduler->world, fol_merge_tick(scheduler, end));
    }
    fol_io_deliver(io, true);
    runner->stamp = fol_cycles_now();
    scheduler->segment_from = runner->stamp;
    if (FOL_UNLIKELY(scheduler->trace != NULL)) {
        fol_trace_write(scheduler->trace, 0, FOL_TRACE_IO,
                        (uint32_t)(scheduler->phase - scheduler->program->phases),
                        io->started_count, io->started_cycles, runner->stamp);
    }
}

void fol_io_begin_frame(fol_frame_io *io)
{
    fol_scheduler *scheduler = io->scheduler;
    io->wait_cycles = 0;
    io->operations = 0;
    if (fol_io_pending(io->driver) != 0) {
        fol_io_poll(io->driver);
        fol_io_collect(io);
    }
    if (io->came_count == 0) {
        return;
    }
    scheduler->io_place = (fol_place){0, 0};
    io->batch_count = 0;
    for (fol_io_slot *slot = io->came.first; slot != NULL; slot = slot->next) {
        slot->has_come = false;
        io->batch[io->batch_count++] = &slot->op;
    }
    FOL_ASSERT(io->batch_count == io->came_count);
    io->came = (fol_io_list){NULL, NULL};
    io->came_count = 0;
    fol_io_sort(io);
    fol_io_deliver(io, false);
    scheduler->runners[0].stamp = fol_cycles_now();
}

void fol_turn(void *state)
{
    fol_scheduler *scheduler = state;
    fol_frame_io *io = fol_io_of(scheduler);
    if (io != NULL && fol_io_pending(io->driver) != 0) {
        fol_io_poll(io->driver);
        fol_io_collect(io);
    }
}
