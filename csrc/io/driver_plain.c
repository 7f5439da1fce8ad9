/* Plain operations on their way to an engine: what driver_flow.c does for all, without what these
 * do not need. They stand in the lines with the others, so that the order of submission stays.
 */

#include <errno.h>

#include "base/assert.h"
#include "foliot/status.h"
#include "io/driver_state.h"

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
    io->pending += 1;
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

int fol_io_send_plain(fol_io *io, fol_io_lane *lane)
{
    fol_io_engine *engine = fol_io_lane_engine(lane);
    int (*start)(fol_io_engine *, const fol_io_request *, uint64_t) = engine->ops->start;
    fol_io_op *op = lane->fresh.first;
    uint32_t count = 0;
    int status = FOL_OK;
    /* Bounded by the line. */
    while (op != NULL && op->is_plain && !fol_io_has_no_room(io, lane)) {
        FOL_ASSERT_HOT(op->state == FOL_IO_LINED);
        fol_io_op *next = op->wait_next;
        __builtin_prefetch(next);
        status = start(engine, &op->request, fol_io_token_of(io, op));
        if (FOL_UNLIKELY(status != FOL_OK)) {
            break;
        }
        op->state = FOL_IO_FLYING;
        count += 1;
        op = next;
    }
    if (count > 0) {
        shorten(&lane->fresh, op, count);
        lane->flying += count;
        lane->unsent += count;
        fol_io_count(&io->counts.in_flight, count);
    }
    return status;
}
