/* Operations that the kernel, or a thread inside of a call, does not let go of.
 *
 * An interrupted frame cancels what it waits for and gives that a short time. What has not come
 * back then is abandoned: for the frame, and for whoever asked, it has ended; the driver still has
 * it. So its slot stays, with its request, the memory that is read into, and what its receiver
 * keeps, until it comes back: nobody hears of that, and the slot is free again. Its descriptor, if
 * it gives one, the driver closes, since it was cancelled.
 *
 * A slot that is abandoned belongs to the caller, as a sent one, and is counted as completed.
 */

#include "base/assert.h"
#include "foliot/status.h"
#include "frame/io.h"

void fol_io_abandon(fol_frame_io *io, fol_io_slot *slot)
{
    FOL_ASSERT(slot->state == FOL_IO_SLOT_SENT);
    FOL_ASSERT(slot->until != FOL_IO_LATER);
    slot->state = FOL_IO_SLOT_ABANDONED;
    io->abandoned++;
    io->failed_count++;
    fol_count(&io->completed, 1);
    fol_count(&io->failed, 1);
    if (slot->until == FOL_IO_STAGE) {
        io->awaited_at_stage--;
    } else {
        io->awaited_at_phase--;
    }
}

/* For callbacks of a receiver. */
static void attach_for(fol_frame_io *io, const fol_io_receiver *receiver)
{
    if (receiver->needs_host) {
        fol_host_set_attached(io->scheduler, &io->scheduler->runners[0], true);
    }
}

/* True: somebody can see it. */
static bool tell_receiver(fol_frame_io *io, fol_io_slot *slot)
{
    fol_io_target *target = &slot->target;
    const fol_io_receiver *receiver = target->receiver;
    if (receiver == NULL) {
        return false;
    }
    attach_for(io, receiver);
    if (receiver->abandon != NULL) {
        target->user = receiver->abandon(target->user, io->stopping_ns);
        return true;
    }
    target->receiver = NULL;
    const fol_io_result result = {.value = FOL_E_ABANDONED};
    return receiver->deliver != NULL && receiver->deliver(target->user, &result);
}

bool fol_io_tell_abandoned(fol_frame_io *io, fol_io_slot *slot)
{
    fol_io_target *target = &slot->target;
    bool is_seen = tell_receiver(io, slot);
    if (target->result != NULL) {
        *target->result = (fol_io_result){.value = FOL_E_ABANDONED};
        is_seen = true;
    }
    if (target->component != NULL) {
        fol_component_release(target->component);
        target->component = NULL;
    }
    return is_seen;
}

void fol_io_slot_let_go(fol_frame_io *io, fol_io_slot *slot)
{
    const fol_io_receiver *receiver = slot->target.receiver;
    FOL_ASSERT(slot->state == FOL_IO_SLOT_ABANDONED || slot->state == FOL_IO_SLOT_LET_GO);
    FOL_ASSERT(io->abandoned > 0);
    io->abandoned--;
    if (receiver != NULL && receiver->release != NULL) {
        attach_for(io, receiver);
        receiver->release(slot->target.user);
    }
    fol_io_slot_free(io, slot);
}
