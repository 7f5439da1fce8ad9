/* The end of a driver: everything is cancelled and waited for, for a bounded time; then the engines
 * end, and what did not come back is dropped. Of that, what is in flight with an engine that could
 * not end is held: its request stays where it is, and nobody here looks at it again.
 *
 * Waiting first is for what requests leave behind when they succeed after all: descriptors, which
 * only their completions tell. Descriptors that nobody got are closed here.
 */

#include <errno.h>

#include "base/assert.h"
#include "base/fork.h"
#include "foliot/status.h"
#include "io/driver_state.h"

#define DRAIN_TURNS   200
#define DRAIN_STEP_NS UINT64_C(10000000)

static void cancel_all(fol_io *io)
{
    /* Bounded by the timers there are: each that is alone ends, and the rest are cancelled below.
     */
    fol_timer *timer = fol_timer_wheel_expire(io->wheel, UINT64_MAX);
    while (timer != NULL) {
        fol_io_op *op = fol_io_op_of_timer(timer);
        if (op->state == FOL_IO_TIMING) {
            (void)fol_io_cancel(io, op);
        }
        timer = fol_timer_wheel_expire(io->wheel, UINT64_MAX);
    }
    for (uint32_t index = 0; index < io->slots_touched; index++) {
        if (io->slots[index].op != NULL) {
            (void)fol_io_cancel(io, io->slots[index].op);
        }
    }
}

/* True when nothing is in flight any more. Bounded in turns, each of a bounded time. */
static bool drain(fol_io *io)
{
    for (uint32_t turn = 0; turn < DRAIN_TURNS; turn++) {
        fol_io_poll(io);
        bool is_flying = false;
        for (uint32_t index = 0; index < FOL_IO_LANES; index++) {
            fol_io_lane *lane = &io->lanes[index];
            fol_io_engine *engine = fol_io_lane_engine(lane);
            if (lane->flying == 0 || fol_io_lane_use(io, lane) != FOL_OK) {
                continue;
            }
            is_flying = true;
            if (lane->death == 0) {
                int status = engine->ops->wait(engine, 1, DRAIN_STEP_NS);
                if (status < 0 && status != -ETIME && status != -EINTR) {
                    fol_io_lane_die(io, lane, status);
                }
            }
        }
        if (!is_flying) {
            break;
        }
    }
    return io->lanes[FOL_IO_LANE_RING].flying + io->lanes[FOL_IO_LANE_POOL].flying == 0;
}

/* What nobody got is closed; in a child of fork they are the child's own copies. */
static void close_unseen(fol_io *io, fol_io_op *op)
{
    if (!op->is_plain) {
        fol_io_pieces_release(io, op, op->first_piece, true);
        op->first_piece = NULL;
    }
    const fol_io_operation *row = fol_io_operation_of(op->request.kind);
    bool is_many = (op->request.flags & FOL_IO_MANY) != 0;
    if (op->is_finished && op->value >= 0 && row != NULL && row->gives_fd && !is_many) {
        fol_io_close_now(io, (int32_t)op->value);
    }
    if (!op->is_plain && op->opened >= 0 && !op->is_direct) {
        fol_io_close_now(io, op->opened);
        op->opened = -1;
    }
}

static void drop(fol_io *io, fol_io_op *op, bool is_held, fol_io_dropped *dropped, void *argument)
{
    FOL_ASSERT(io->pending > 0);
    io->pending -= 1;
    op->state = FOL_IO_AWAY;
    dropped(argument, op, is_held);
}

/* Those that did not end; one with news is in both places. */
static void drop_all(fol_io *io, const bool *has_let_go, fol_io_dropped *dropped, void *argument)
{
    for (uint32_t index = 0; index < io->slots_touched; index++) {
        fol_io_op *op = io->slots[index].op;
        if (op != NULL) {
            if (!op->is_plain) {
                fol_timer_wheel_remove(io->wheel, &op->timer);
            }
            bool is_held = op->state == FOL_IO_FLYING && !has_let_go[op->lane];
            drop(io, op, is_held, dropped, argument);
        }
    }
    /* Plain timers, in a child of fork. */
    fol_timer *timer = fol_timer_wheel_expire(io->wheel, UINT64_MAX);
    while (timer != NULL) {
        drop(io, fol_io_op_of_timer(timer), false, dropped, argument);
        timer = fol_timer_wheel_expire(io->wheel, UINT64_MAX);
    }
    fol_io_op *op = io->first_news;
    while (op != NULL) {
        fol_io_op *next = op->next;
        if (op->is_finished) {
            drop(io, op, false, dropped, argument);
        }
        op = next;
    }
    FOL_ASSERT(io->pending == 0);
}

bool fol_io_destroy(fol_io *io, fol_io_dropped *dropped, void *argument)
{
    bool is_at_home = fol_fork_generation() == io->fork_generation;
    fol_io_ring_close_late();
    io->is_ending = true;
    /* From here on the slots have all but timers. */
    fol_io_make_all_whole(io);
    if (is_at_home) {
        cancel_all(io);
        (void)drain(io);
    }
    /* Before the engines end, which have the buffers of pieces. */
    for (uint32_t index = 0; index < io->slots_touched; index++) {
        if (io->slots[index].op != NULL) {
            close_unseen(io, io->slots[index].op);
        }
    }
    for (fol_io_op *op = io->first_news; op != NULL; op = op->next) {
        close_unseen(io, op);
    }
    bool has_let_go[FOL_IO_LANES];
    for (uint32_t index = 0; index < FOL_IO_LANES; index++) {
        fol_io_engine *engine = fol_io_lane_engine(&io->lanes[index]);
        has_let_go[index] = engine == NULL || engine->ops->destroy(engine);
    }
    drop_all(io, has_let_go, dropped, argument);
    bool is_free = has_let_go[FOL_IO_LANE_RING] && has_let_go[FOL_IO_LANE_POOL];
    if (is_free) {
        fol_io_free(io);
    }
    return is_free;
}
