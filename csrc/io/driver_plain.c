/* Plain operations on their way to an engine: what driver_flow.c does for all, without what these
 * do not need. They stand in the lines with the others, so that the order of submission stays.
 */

#include <errno.h>

#include "base/assert.h"
#include "foliot/status.h"
#include "io/driver_state.h"

/* How many are given to an engine at once. */
#define START_ROOM 64u

static_assert(offsetof(fol_io_op, request) == 0, "the request of a plain operation is its token");

bool fol_io_is_plain(const fol_io_request *request)
{
    if (request->flags != 0 || request->path != NULL || request->path2 != NULL) {
        return false;
    }
    switch (request->kind) {
    case FOL_IO_TIMEOUT:
        return true;
    case FOL_IO_NOP:
        return request->timeout_ns == 0;
    case FOL_IO_READ:
    case FOL_IO_WRITE:
        return request->timeout_ns == 0 && request->fd >= 0 && request->buffer != NULL &&
               request->size > 0 && request->size <= FOL_IO_SPLIT && request->offset <= INT64_MAX;
    default:
        return false;
    }
}

void fol_io_begin_timeout(fol_io *io, fol_io_op *op, uint64_t deadline_ns)
{
    op->is_plain = true;
    op->state = FOL_IO_TIMING;
    op->timer.previous = NULL;
    fol_timer_wheel_add(io->wheel, &op->timer, deadline_ns);
}

void fol_io_begin_plain(fol_io *io, fol_io_op *op)
{
    bool has_ring = io->routes_to_ring && io->lanes[FOL_IO_LANE_RING].death == 0;
    op->is_plain = true;
    op->lane = has_ring ? FOL_IO_LANE_RING : FOL_IO_LANE_POOL;
    op->state = FOL_IO_LINED;
    if (op->request.kind != FOL_IO_NOP) {
        fol_io_same_add(io, op);
    }
    fol_io_line_push(&fol_io_lane_of(io, op)->fresh, op);
}

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
    uint32_t room = fol_io_room(io, lane);
    room = room < START_ROOM ? room : START_ROOM;
    uint32_t count = 0;
    for (fol_io_op *at = *op; count < room && at != NULL && at->is_plain; at = at->wait_next) {
        requests[count++] = &at->request;
    }
    uint32_t started = count == 0 ? 0 : (uint32_t)engine->ops->start_plain(engine, requests, count);
    FOL_ASSERT(started <= count);
    fol_io_op *at = *op;
    for (uint32_t index = 0; index < started; index++) {
        at->state = FOL_IO_FLYING;
        at = at->wait_next;
    }
    *op = at;
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
