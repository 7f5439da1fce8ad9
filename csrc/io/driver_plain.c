/* Plain operations on their way to an engine: what driver_flow.c does for all, without what these
 * do not need. They stand in the lines with the others, so that the order of submission stays.
 */

#include <errno.h>

#include "base/assert.h"
#include "foliot/status.h"
#include "io/driver_state.h"

/* How many are given to an engine at once. */
#define START_ROOM 64u

/* The first `count` of the line have left it. */
static void shorten(fol_io_line *line, fol_io_op *first, uint32_t count)
{
    FOL_ASSERT(count <= line->count);
    line->first = first;
    line->count -= count;
    if (first == NULL) {
        line->last = NULL;
    } else {
        first->wait_previous = NULL;
    }
}

/* Starts up to START_ROOM plain operations from *op on, as many as there is room for; *op is the
 * first that was not started. */
static uint32_t start_some(const fol_io *io, const fol_io_lane *lane, fol_io_op **op)
{
    fol_io_engine *engine = fol_io_lane_engine(lane);
    const fol_io_request *requests[START_ROOM];
    fol_io_op *ops[START_ROOM];
    uint32_t room = fol_io_room(io, lane);
    room = room < START_ROOM ? room : START_ROOM;
    uint32_t count = 0;
    for (fol_io_op *at = *op; count < room && at != NULL && at->is_plain; at = at->wait_next) {
        ops[count] = at;
        requests[count] = &at->request;
        count += 1;
    }
    uint32_t started = count == 0 ? 0 : (uint32_t)engine->ops->start_plain(engine, requests, count);
    FOL_ASSERT(started <= count);
    for (uint32_t index = 0; index < started; index++) {
        fol_io_op *at = ops[index];
        at->state = FOL_IO_FLYING;
        *op = at->wait_next;
    }
    return started;
}

int fol_io_send_plain(fol_io *io, fol_io_lane *lane)
{
    fol_io_engine *engine = fol_io_lane_engine(lane);
    fol_io_op *op = lane->fresh.first;
    uint32_t count = 0;
    int status = FOL_OK;
    uint32_t started = START_ROOM;
    /* Bounded by the line. */
    while (engine->ops->start_plain != NULL && started == START_ROOM) {
        started = start_some(io, lane, &op);
        count += started;
    }
    while (op != NULL && op->is_plain && !fol_io_has_no_room(io, lane)) {
        status = engine->ops->start(engine, &op->request, fol_io_token_of(op));
        if (status != FOL_OK) {
            break;
        }
        op->state = FOL_IO_FLYING;
        op = op->wait_next;
        count += 1;
    }
    if (count > 0) {
        shorten(&lane->fresh, op, count);
        lane->flying += count;
        lane->unsent += count;
        fol_io_count(&io->counts.in_flight, count);
    }
    return status;
}
