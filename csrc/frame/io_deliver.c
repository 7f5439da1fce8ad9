/* Deliveries: what came back goes where its intent says, in the order of submission.
 *
 * A success goes into a Bytes cell, a result's place or a receiver. A failure goes to the last two;
 * one that neither gets is a failure of the system, and so is a success that finds its entity gone.
 * To be cancelled is an answer, no failure, and so is to cancel too late. Of one system only the
 * first failure of a delivery is told, as of a kernel that fails in many places; it counts as one
 * run that failed.
 *
 * Failures that are known before the merge also take the commands of the run along. Those of an
 * operation that a later frame delivers, and those that a receiver declines, come too late for
 * that.
 */

#include <errno.h>
#include <unistd.h>

#include "base/assert.h"
#include "foliot/status.h"
#include "frame/io.h"
#include "world/bytes.h"

/* Nobody hears of what comes of one that is abandoned. */
static void collect_abandoned(fol_frame_io *io, fol_io_slot *slot)
{
    bool has_ended = slot->op.is_finished;
    fol_io_discard_result(io, slot);
    if (has_ended) {
        fol_io_slot_let_go(io, slot);
    }
}

static void finish(fol_frame_io *io, fol_io_slot *slot)
{
    FOL_ASSERT(slot->state == FOL_IO_SLOT_SENT);
    slot->state = FOL_IO_SLOT_FINISHED;
    if (FOL_UNLIKELY(slot->op.value < 0)) {
        fol_count(&io->failed, 1);
        io->failed_count++;
        /* The frame may have been interrupted within the operation's own call. */
        slot->was_stopped = slot->was_stopped || fol_is_interrupted(io->scheduler);
    }
    if (slot->until == FOL_IO_STAGE) {
        io->awaited_at_stage--;
    } else if (slot->until == FOL_IO_PHASE) {
        io->awaited_at_phase--;
    }
}

/* A success without bytes or descriptor, that nobody is told of but a place for its result: what
 * deliver_slot comes to then. */
static inline bool ended_simply(const fol_io_slot *slot)
{
    return fol_io_ended_well_and_plain(&slot->op) && slot->target.component == NULL &&
           slot->target.receiver == NULL;
}

static inline void put_simple(fol_frame_io *io, fol_io_slot *slot)
{
    FOL_ASSERT_HOT(slot->op.value >= 0);
    if (slot->target.result != NULL) {
        *slot->target.result = (fol_io_result){.value = slot->op.value};
    }
    fol_io_slot_give_back(io, slot);
}

/* Where all that is to be delivered before was, the next of the batch are delivered when they come,
 * if they are simple: nothing that happens until the others' turn can tell. The first operation
 * that is left. */
static fol_io_op *deliver_early(fol_frame_io *io, fol_io_op *op)
{
    uint32_t index = io->early_count;
    uint32_t end = io->may_be_early ? io->batch_count : 0;
    while (index < end && op != NULL && io->batch[index] == op) {
        fol_io_slot *slot = fol_io_slot_of(op);
        if (!slot->is_simple || !fol_io_ended_well_and_plain(op)) {
            break;
        }
        FOL_ASSERT_HOT(slot->state == FOL_IO_SLOT_SENT);
        op = op->next;
        put_simple(io, slot);
        index++;
    }
    uint32_t count = index - io->early_count;
    io->early_count = index;
    io->awaited_at_stage -= count;
    fol_count(&io->completed, count);
    return op;
}

bool fol_io_collect(fol_frame_io *io)
{
    fol_io_op *op = fol_io_take(io->driver);
    bool has_any = op != NULL;
    op = deliver_early(io, op);
    uint64_t finished = 0;
    while (op != NULL) {
        fol_io_op *next = op->next;
        fol_io_slot *slot = fol_io_slot_of(op);
        if (next != NULL) {
            __builtin_prefetch(&fol_io_slot_of(next)->key);
        }
        if (FOL_UNLIKELY(slot->state == FOL_IO_SLOT_ABANDONED)) {
            collect_abandoned(io, slot);
            op = next;
            continue;
        }
        if (op->is_finished) {
            finish(io, slot);
            finished++;
        }
        if (slot->until == FOL_IO_LATER && !slot->has_come) {
            slot->has_come = true;
            fol_io_list_append(&io->came, slot);
            io->came_count++;
        }
        op = next;
    }
    fol_count(&io->completed, finished);
    return has_any;
}

static bool has_deliver(const fol_io_slot *slot)
{
    return slot->target.receiver != NULL && slot->target.receiver->deliver != NULL;
}

static bool is_failure(const fol_io_slot *slot, int64_t value)
{
    return value < 0 && value != -ECANCELED && slot->op.request.kind != FOL_IO_CANCEL;
}

/* Known without asking anybody. */
static bool fails_its_system(const fol_io_slot *slot)
{
    return is_failure(slot, slot->op.value) && slot->target.result == NULL && !has_deliver(slot);
}

/* The node of a slot when it belongs to the running phase, or NULL. */
static fol_node *running_node(const fol_scheduler *scheduler, const fol_io_slot *slot,
                              uint32_t *index)
{
    if (slot->system == UINT32_MAX || scheduler->phase == NULL) {
        return NULL;
    }
    uint32_t node = scheduler->program->node_of_system[slot->system];
    *index = node - scheduler->phase->first;
    return *index < scheduler->phase->count ? &scheduler->phase_nodes[*index] : NULL;
}

static int status_of(int64_t value)
{
    FOL_ASSERT(value < 0);
    return value < INT32_MIN ? -EIO : (int)value;
}

/* Records the failure, unless the system has failed in this frame already. */
static void fail_system(fol_frame_io *io, fol_io_slot *slot, int64_t value)
{
    fol_scheduler *scheduler = io->scheduler;
    const fol_frame_error error = {.system = slot->system, .status = status_of(value)};
    if (slot->system == UINT32_MAX) {
        fol_record_error(scheduler, scheduler->io_place, &error);
        return;
    }
    fol_node *node = &scheduler->program->nodes[scheduler->program->node_of_system[slot->system]];
    bool is_later = slot->until == FOL_IO_LATER;
    if (is_later ? node->io_failed_mark == scheduler->frame_mark
                 : node->frame.state == FOL_RUN_FAILED) {
        return;
    }
    if (is_later) {
        /* It belongs to a run of an earlier frame: the system runs in this one. */
        node->io_failed_mark = scheduler->frame_mark;
    } else {
        FOL_ASSERT(node->frame.number == scheduler->frame_mark);
        node->frame.state = FOL_RUN_FAILED;
    }
    fol_node_note_failure(scheduler, &scheduler->runners[0], node, scheduler->io_place, &error);
}

void fol_io_judge(fol_frame_io *io, uint32_t segment)
{
    fol_scheduler *scheduler = io->scheduler;
    const uint32_t *ends = scheduler->phase->segment_ends;
    uint32_t first = segment == 0 ? 0 : ends[segment - 1];
    for (uint32_t i = 0; io->failed_count > 0 && i < io->batch_count; i++) {
        fol_io_slot *slot = fol_io_slot_of(io->batch[i]);
        bool is_abandoned = slot->state == FOL_IO_SLOT_ABANDONED;
        bool fails = !is_abandoned && fails_its_system(slot);
        uint32_t index;
        bool is_stopped = is_abandoned || (slot->was_stopped && slot->op.value == -ECANCELED);
        if (FOL_LIKELY(!fails && !is_stopped)) {
            continue;
        }
        fol_node *node = running_node(scheduler, slot, &index);
        FOL_ASSERT(node != NULL);
        if (fails) {
            fail_system(io, slot, slot->op.value);
        } else if (node->frame.state == FOL_RUN_DONE) {
            node->frame.state = FOL_RUN_INTERRUPTED;
        }
        if (index >= first && index < ends[segment]) {
            fol_discard_later(scheduler, node);
        }
    }
}

/* Moves what was read to the world. A negative status when it cannot go there. */
static int put_into_world(fol_frame_io *io, fol_io_slot *slot, const fol_io_result *result)
{
    fol_scheduler *scheduler = io->scheduler;
    const fol_io_target *target = &slot->target;
    fol_bytes value = slot->blob;
    if (value.data != NULL) {
        fol_bytes_shrink(&value, (size_t)result->value);
        slot->blob = (fol_bytes){NULL, 0};
    } else {
        int status = fol_bytes_create(result->data, result->size, &value);
        if (status != FOL_OK) {
            return status;
        }
    }
    fol_entity entity = fol_commands_resolve(scheduler->buffers[0], slot->entity);
    int status = fol_world_take_bytes(scheduler->world, entity, target->component, value);
    if (status != FOL_OK) {
        fol_bytes_release(&value);
    }
    return status;
}

static bool gives_descriptor(const fol_io_slot *slot)
{
    return fol_io_operation_of(slot->op.request.kind)->gives_fd;
}

static void deliver_result(fol_frame_io *io, fol_io_slot *slot, fol_io_result result,
                           bool was_judged)
{
    const fol_io_target *target = &slot->target;
    bool is_seen = was_judged && fails_its_system(slot);
    if (target->component != NULL && result.value >= 0) {
        int status = put_into_world(io, slot, &result);
        result.value = status < 0 ? status : result.value;
        result.data = NULL;
    }
    if (target->result != NULL) {
        *target->result = result;
        target->result->data = NULL;
        is_seen = true;
    }
    if (has_deliver(slot)) {
        if (target->receiver->needs_host) {
            fol_host_set_attached(io->scheduler, &io->scheduler->runners[0], true);
        }
        is_seen = target->receiver->deliver(slot->target.user, &result) || is_seen;
    } else if (target->result == NULL && result.value >= 0 && gives_descriptor(slot)) {
        /* Nobody will ever know its number. */
        close((int)result.value);
    }
    if (is_failure(slot, result.value) && !is_seen) {
        fail_system(io, slot, result.value);
    }
}

/* Results that came one by one. */
static void deliver_pieces(fol_frame_io *io, fol_io_slot *slot)
{
    if ((slot->op.request.flags & FOL_IO_MANY) == 0) {
        return;
    }
    for (const fol_io_piece *piece = slot->op.pieces; piece != NULL; piece = piece->next) {
        const fol_io_result result = {.value = piece->value,
                                      .data = piece->data,
                                      .size = piece->data == NULL ? 0 : (size_t)piece->value,
                                      .flags = FOL_IO_MORE};
        deliver_result(io, slot, result, false);
    }
}

static void deliver_abandoned(fol_frame_io *io, fol_io_slot *slot)
{
    if (!fol_io_tell_abandoned(io, slot)) {
        fail_system(io, slot, FOL_E_ABANDONED);
    }
    fol_io_release(io->driver, &slot->op);
    io->failed_count--;
}

static void deliver_slot(fol_frame_io *io, fol_io_slot *slot, bool was_judged)
{
    deliver_pieces(io, slot);
    if (FOL_UNLIKELY(slot->state == FOL_IO_SLOT_ABANDONED)) {
        deliver_abandoned(io, slot);
        return;
    }
    if (slot->state == FOL_IO_SLOT_FINISHED) {
        const fol_io_result result = {
            .value = slot->op.value, .data = slot->op.data, .size = slot->op.size};
        deliver_result(io, slot, result, was_judged);
    }
    fol_io_release(io->driver, &slot->op);
    if (slot->state == FOL_IO_SLOT_FINISHED) {
        io->later -= slot->until == FOL_IO_LATER;
        io->failed_count -= slot->op.value < 0;
        fol_io_slot_free(io, slot);
    }
}

void fol_io_deliver(fol_frame_io *io, bool was_judged)
{
    uint32_t ahead = fol_io_ahead(io->batch_count);
    for (uint32_t i = 0; i < io->batch_count; i++) {
        fol_io_slot *slot = fol_io_slot_of(io->batch[i]);
        fol_io_prefetch(io->batch, i, ahead);
        if (ended_simply(slot)) {
            FOL_ASSERT_HOT(slot->state == FOL_IO_SLOT_FINISHED);
            io->later -= slot->until == FOL_IO_LATER;
            put_simple(io, slot);
        } else {
            deliver_slot(io, slot, was_judged);
        }
    }
    io->batch_count = 0;
}

void fol_io_drop(fol_frame_io *io, fol_io_slot *slot)
{
    fol_scheduler *scheduler = io->scheduler;
    const fol_io_receiver *receiver = slot->target.receiver;
    if (receiver != NULL && receiver->drop != NULL) {
        if (receiver->needs_host) {
            fol_host_set_attached(scheduler, &scheduler->runners[0], true);
        }
        receiver->drop(slot->target.user);
    }
    fol_io_slot_free(io, slot);
}

void fol_io_discard_result(fol_frame_io *io, fol_io_slot *slot)
{
    bool has_descriptors = gives_descriptor(slot);
    bool has_pieces = has_descriptors && (slot->op.request.flags & FOL_IO_MANY) != 0;
    for (const fol_io_piece *piece = has_pieces ? slot->op.pieces : NULL; piece != NULL;
         piece = piece->next) {
        close((int)piece->value);
    }
    if (has_descriptors && slot->state == FOL_IO_SLOT_FINISHED && slot->op.value >= 0) {
        close((int)slot->op.value);
    }
    fol_io_release(io->driver, &slot->op);
}
