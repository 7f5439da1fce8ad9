/* Operations with FOL_IO_MANY: their pieces, and what goes on when their request ends.
 *
 * A request of many ends for reasons that are not the operation's: the engine's buffers are all in
 * pieces, or it does one result at a time. Then it is started again: at once, or when a buffer came
 * back. Pieces are kept in order; what came is given out even when it is cancelled meanwhile, but
 * for accepted connections, which are closed.
 */

#include <errno.h>

#include "base/assert.h"
#include "base/memory.h"
#include "io/driver_state.h"

static fol_io_piece *take_piece(fol_io *io)
{
    fol_io_piece *piece = io->free_pieces;
    if (piece == NULL) {
        return fol_alloc(sizeof *piece);
    }
    io->free_pieces = piece->next;
    return piece;
}

static void drop_event(fol_io *io, const fol_io_op *op, const fol_io_event *event)
{
    if (op->request.kind == FOL_IO_ACCEPT && event->value >= 0) {
        fol_io_close_now(io, (int32_t)event->value);
    }
    if (event->buffer >= 0) {
        fol_io_engine *engine = fol_io_lane_engine(fol_io_lane_of(io, op));
        engine->ops->give_buffer(engine, event->buffer);
    }
}

/* False: there is no memory for it, and the operation cannot go on without a gap. */
static bool add_piece(fol_io *io, fol_io_op *op, const fol_io_event *event)
{
    bool is_closed = op->request.kind == FOL_IO_ACCEPT && fol_io_is_ended(op);
    if (is_closed || op->failure != 0) {
        drop_event(io, op, event);
        return op->failure == 0;
    }
    fol_io_piece *piece = take_piece(io);
    if (piece == NULL) {
        drop_event(io, op, event);
        op->failure = -ENOMEM;
        return false;
    }
    *piece = (fol_io_piece){
        .value = event->value, .data = event->data, .buffer = event->buffer, .lane = op->lane};
    if (op->first_piece == NULL) {
        op->first_piece = piece;
    } else {
        op->last_piece->next = piece;
    }
    op->last_piece = piece;
    io->has_new_pieces = true;
    if (event->buffer >= 0) {
        fol_io_lane_of(io, op)->held_buffers += 1;
    }
    op->attempts = 0;
    fol_io_news_add(io, op);
    return true;
}

void fol_io_piece_arrived(fol_io *io, fol_io_op *op, const fol_io_event *event)
{
    FOL_ASSERT((op->request.flags & FOL_IO_MANY) != 0 && event->value >= 0);
    bool had_failed = op->failure != 0;
    if (!add_piece(io, op, event) && !had_failed && !fol_io_is_ended(op)) {
        fol_io_lane *lane = fol_io_lane_of(io, op);
        fol_io_engine *engine = fol_io_lane_engine(lane);
        engine->ops->cancel(engine, fol_io_token_of(op));
        lane->unsent += 1;
    }
}

static void end_many(fol_io *io, fol_io_op *op, int64_t value)
{
    op->value = value;
    op->size = 0;
    fol_io_finish(io, op);
}

void fol_io_many_landed(fol_io *io, fol_io_op *op, const fol_io_event *event)
{
    bool is_piece = event->value > 0 || (event->value == 0 && op->request.kind == FOL_IO_ACCEPT);
    if (is_piece) {
        (void)add_piece(io, op, event);
    } else if (event->buffer >= 0) {
        drop_event(io, op, event);
    }
    if (op->failure != 0) {
        end_many(io, op, op->failure);
    } else if (is_piece && fol_io_is_ended(op)) {
        end_many(io, op, fol_io_ended_value(op));
    } else if (is_piece) {
        fol_io_line_up(io, op, true);
    } else if (event->value != -ENOBUFS) {
        fol_io_go_on(io, op, fol_io_step_result(op, event->value, false));
    } else if (fol_io_is_ended(op)) {
        end_many(io, op, fol_io_ended_value(op));
    } else if (fol_io_lane_of(io, op)->held_buffers > 0) {
        op->state = FOL_IO_STARVED;
        fol_io_line_push(&fol_io_lane_of(io, op)->starved, op);
    } else if (op->attempts < FOL_IO_ATTEMPTS) {
        op->attempts += 1;
        fol_io_count(&io->counts.retries, 1);
        fol_io_line_up(io, op, true);
    } else {
        end_many(io, op, -ENOBUFS);
    }
}

/* There is a buffer again. */
static void feed(fol_io *io, fol_io_lane *lane)
{
    /* Bounded: each turn takes one out. */
    while (lane->starved.first != NULL) {
        fol_io_op *op = lane->starved.first;
        fol_io_line_remove(&lane->starved, op);
        fol_io_line_up(io, op, true);
    }
}

void fol_io_pieces_release(fol_io *io, fol_io_op *op, fol_io_piece *first, bool closes)
{
    /* Bounded by the pieces there are. */
    while (first != NULL) {
        fol_io_piece *piece = first;
        first = piece->next;
        /* At the end the engine takes them with it; in a child of fork they are not even there. */
        if (piece->buffer >= 0 && !io->is_ending) {
            fol_io_lane *lane = &io->lanes[piece->lane];
            fol_io_engine *engine = fol_io_lane_engine(lane);
            FOL_ASSERT(lane->held_buffers > 0);
            lane->held_buffers -= 1;
            engine->ops->give_buffer(engine, piece->buffer);
            feed(io, lane);
        }
        if (closes && op->request.kind == FOL_IO_ACCEPT) {
            fol_io_close_now(io, (int32_t)piece->value);
        }
        piece->next = io->free_pieces;
        io->free_pieces = piece;
    }
}

void fol_io_release_piece(fol_io *io, fol_io_op *op, fol_io_piece *piece)
{
    FOL_ASSERT((op->request.flags & FOL_IO_MANY) != 0);
    fol_io_piece **place = &op->pieces;
    /* Bounded by the pieces that were not released. */
    while (*place != piece) {
        FOL_ASSERT(*place != NULL);
        place = &(*place)->next;
    }
    *place = piece->next;
    piece->next = NULL;
    fol_io_pieces_release(io, op, piece, false);
}
