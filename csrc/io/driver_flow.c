/* How operations go through the driver: begun, sent, reaped, gone on with, ended.
 *
 * What has begun is sent before what has not, and files that are named by their path are opened
 * only up to a bound, so that ten thousand of them need a few dozen descriptors at a time. When
 * the system has no descriptor left the bound falls to what is open, and rises again by one with
 * each file that ends: nothing fails while one of its own files can still be closed.
 *
 * A ring is never filled with what may wait for ever: beyond three quarters of its room such
 * operations go to the pool, where they cost no room, so that what would end them can be sent.
 */

#include <errno.h>
#include <unistd.h>

#include "base/assert.h"
#include "foliot/status.h"
#include "io/driver_state.h"

#define REAP_ROOM   128
#define REAP_ROUNDS 1024

void fol_io_close_now(fol_io *io, int32_t descriptor)
{
    FOL_ASSERT(descriptor >= 0);
    (void)close(descriptor);
    fol_io_count(&io->counts.system_calls, 1);
}

/* Of whom nobody knows when it completes. */
static bool is_patient(const fol_io_op *op)
{
    const fol_io_request *request = &op->request;
    if (op->stage == FOL_IO_STAGE_POLL) {
        return true;
    }
    if (op->stage != FOL_IO_STAGE_WORK || fol_io_names_file(op)) {
        return false;
    }
    bool has_offset = (request->kind == FOL_IO_READ || request->kind == FOL_IO_WRITE) &&
                      request->offset != FOL_IO_CURRENT;
    return fol_io_operation_of(request->kind)->may_wait && !has_offset;
}

void fol_io_line_up(fol_io *io, fol_io_op *op, bool has_begun)
{
    fol_io_lane *lane = fol_io_lane_of(io, op);
    op->has_begun = has_begun;
    op->state = FOL_IO_LINED;
    if (lane->death != 0 && op->lane == FOL_IO_LANE_RING) {
        fol_io_make_whole(io, op);
        op->lane = FOL_IO_LANE_POOL;
        if (fol_io_step_move(op) == FOL_IO_NEXT_END) {
            fol_io_finish(io, op);
            return;
        }
    }
    fol_io_line_push(fol_io_line_of(io, op), op);
}

static void stop_counting_file(fol_io *io, fol_io_op *op)
{
    fol_io_lane *lane = &io->lanes[op->file_lane];
    if (op->holds_file) {
        FOL_ASSERT(lane->open_files > 0);
        lane->open_files -= 1;
        op->holds_file = false;
    }
}

void fol_io_go_on(fol_io *io, fol_io_op *op, fol_io_next next)
{
    if (next == FOL_IO_NEXT_STEP) {
        fol_io_line_up(io, op, true);
    } else if (next == FOL_IO_NEXT_LATER) {
        fol_io_lane *lane = &io->lanes[op->file_lane];
        stop_counting_file(io, op);
        lane->open_files_bound = lane->open_files > 1 ? lane->open_files : 1;
        fol_io_count(&io->counts.retries, 1);
        fol_io_line_up(io, op, false);
    } else {
        fol_io_finish(io, op);
    }
}

/* Others wait no more for this one to leave its descriptor. */
static void leave_descriptor(fol_io *io, fol_io_op *op)
{
    fol_io_same_remove(io, op);
    fol_io_op *closer = op->closer;
    op->closer = NULL;
    if (closer != NULL) {
        FOL_ASSERT(closer->blockers > 0);
        closer->blockers -= 1;
        if (closer->blockers == 0) {
            fol_io_line_up(io, closer, false);
        }
    }
}

void fol_io_finish(fol_io *io, fol_io_op *op)
{
    FOL_ASSERT(op->state != FOL_IO_ENDED && !op->is_plain);
    FOL_ASSERT(op->opened < 0);
    fol_io_lane *lane = &io->lanes[op->file_lane];
    if (op->holds_file && lane->open_files_bound < fol_io_most_files(lane)) {
        lane->open_files_bound += 1;
    }
    stop_counting_file(io, op);
    fol_timer_wheel_remove(io->wheel, &op->timer);
    fol_io_let_go(io, op);
    fol_io_step_clear(op, &io->slab);
    op->state = FOL_IO_ENDED;
    op->is_finished = true;
    fol_io_count(&io->counts.completed, 1);
    if (op->value == -ECANCELED) {
        fol_io_count(&io->counts.cancelled, 1);
    } else if (op->value < 0) {
        fol_io_count(&io->counts.failed, 1);
    }
    fol_io_news_add(io, op);
    io->finished_news += 1;
    leave_descriptor(io, op);
}

static void finish_with(fol_io *io, fol_io_op *op, int64_t value)
{
    op->value = value;
    op->size = 0;
    fol_io_finish(io, op);
}

/* Cancels what is pending on the descriptor; the last to leave lets the closing go on. */
static void begin_close(fol_io *io, fol_io_op *op)
{
    int32_t descriptor = op->request.fd;
    op->state = FOL_IO_BLOCKED;
    fol_io_make_whole_on(io, descriptor);
    /* One more, so that it does not begin while others are still being counted. */
    op->blockers = 1;
    fol_io_op *other = fol_io_same_first(io, descriptor);
    /* Bounded by what is on the descriptor; to cancel one takes out no other. */
    while (other != NULL) {
        fol_io_op *next = other->same_next;
        if (other->request.fd != descriptor) {
            other = next;
            continue;
        }
        fol_io_make_whole(io, other);
        if (other->closer == NULL) {
            other->closer = op;
            op->blockers += 1;
            (void)fol_io_cancel(io, other);
        }
        other = next;
    }
    op->blockers -= 1;
    if (op->blockers == 0) {
        fol_io_line_up(io, op, false);
    }
}

void fol_io_begin(fol_io *io, fol_io_op *op)
{
    const fol_io_request *request = &op->request;
    FOL_ASSERT(request->kind != FOL_IO_TIMEOUT);
    if (request->kind == FOL_IO_CANCEL) {
        fol_io_op *target = io->config.find == NULL
                                ? NULL
                                : io->config.find(io->config.find_argument, request->handle);
        bool was_in_time = target != NULL && target != op && fol_io_cancel(io, target);
        finish_with(io, op, was_in_time ? 0 : -ENOENT);
    } else if (request->kind == FOL_IO_CLOSE) {
        op->lane = fol_io_lane_choose(io, op);
        begin_close(io, op);
    } else {
        op->lane = fol_io_lane_choose(io, op);
        fol_io_same_add(io, op);
        fol_io_line_up(io, op, false);
    }
}

static fol_io_line *line_to_send(fol_io_lane *lane)
{
    if (lane->begun.first != NULL) {
        return &lane->begun;
    }
    bool may_open = lane->files.first != NULL && lane->open_files < lane->open_files_bound;
    return may_open ? &lane->files : &lane->fresh;
}

static void note_start(fol_io *io, fol_io_lane *lane, fol_io_op *op)
{
    op->state = FOL_IO_FLYING;
    op->counted = 0;
    bool names_file = fol_io_names_file(op);
    if (is_patient(op)) {
        op->counted = FOL_IO_COUNTS_PATIENT | FOL_IO_COUNTS_OPEN_ENDED;
        lane->patient += 1;
        lane->open_ended += 1;
    } else if (names_file && !op->is_whole) {
        op->counted = FOL_IO_COUNTS_OPEN_ENDED;
        lane->open_ended += 1;
    }
    if (names_file && !op->holds_file) {
        op->holds_file = true;
        op->file_lane = op->lane;
        lane->open_files += 1;
    }
    lane->flying += 1;
    lane->unsent += 1;
    fol_io_count(&io->counts.in_flight, 1);
}

static void note_landing(fol_io *io, fol_io_op *op)
{
    fol_io_lane *lane = fol_io_lane_of(io, op);
    FOL_ASSERT(lane->flying > 0);
    lane->flying -= 1;
    lane->patient -= (op->counted & FOL_IO_COUNTS_PATIENT) != 0;
    lane->open_ended -= (op->counted & FOL_IO_COUNTS_OPEN_ENDED) != 0;
    op->counted = 0;
    op->is_own_token = false;
    fol_io_count(&io->counts.in_flight, UINT64_MAX);
}

/* The first buffers lie in memory that an engine may know. */
static void tell_of_memory(fol_io *io, fol_io_engine *engine)
{
    if (!io->is_memory_known && io->slab.first != NULL && engine->ops->use_memory != NULL) {
        io->is_memory_known = true;
        engine->ops->use_memory(engine, io->slab.first, FOL_SLAB_REGION);
    }
}

/* What becomes of one that stands in line and was not started. FOL_OK: it is not there any more.
 * -EBUSY: nothing can be started now. */
static int not_started(fol_io *io, fol_io_lane *lane, fol_io_op *op, int status)
{
    fol_io_make_whole(io, op);
    op->is_whole = false;
    if (status == -EBUSY) {
        fol_io_count(&io->counts.retries, 1);
        return -EBUSY;
    }
    if (status == -ENOMEM && lane->flying > 0 && op->attempts < FOL_IO_ATTEMPTS) {
        /* What completes gives memory back. */
        op->attempts += 1;
        fol_io_count(&io->counts.retries, 1);
        return -EBUSY;
    }
    if (lane == &io->lanes[FOL_IO_LANE_RING] && status != -EOPNOTSUPP) {
        fol_io_engine *engine = fol_io_lane_engine(lane);
        int broken = engine->ops->flush(engine);
        if (broken < 0) {
            /* That is the ring's end and not the operation's, which goes to the pool with all. */
            fol_io_lane_die(io, lane, broken);
            return FOL_OK;
        }
    }
    fol_io_line_remove(fol_io_line_of(io, op), op);
    bool can_move = op->opened < 0 || !op->is_direct;
    if (status == -EOPNOTSUPP && lane == &io->lanes[FOL_IO_LANE_RING] && can_move) {
        op->lane = FOL_IO_LANE_POOL;
        fol_io_line_up(io, op, op->has_begun);
        return FOL_OK;
    }
    if (op->stage == FOL_IO_STAGE_CLOSE && !op->is_direct) {
        /* It must not stay open for want of memory. */
        fol_io_close_now(io, op->opened);
        status = 0;
    }
    fol_io_go_on(io, op, fol_io_step_result(op, status, false));
    return FOL_OK;
}

/* Starts the first of a line; as not_started. */
static int start(fol_io *io, fol_io_lane *lane, fol_io_line *line)
{
    fol_io_op *op = line->first;
    fol_io_engine *engine = fol_io_lane_engine(lane);
    const fol_io_request *request = NULL;
    if (op->is_plain) {
        int status = fol_io_send_plain(io, lane);
        return status == FOL_OK ? FOL_OK : not_started(io, lane, line->first, status);
    }
    int status = engine->takes_paths && fol_io_step_can_be_whole(op)
                     ? fol_io_step_prepare_whole(op, &io->slab, &request)
                     : fol_io_step_prepare(op, &io->slab, engine->has_direct_files, &request);
    if (status == FOL_OK) {
        tell_of_memory(io, engine);
        status = engine->ops->start(engine, request, fol_io_token_of(op));
    }
    if (status != FOL_OK) {
        return not_started(io, lane, op, status);
    }
    fol_io_line_remove(line, op);
    note_start(io, lane, op);
    return FOL_OK;
}

/* Too many wait in the ring already. */
static bool must_leave_ring(const fol_io *io, const fol_io_lane *lane, const fol_io_op *op)
{
    if (lane->patient < fol_io_lane_engine(lane)->in_flight_bound / 4 * 3) {
        return false;
    }
    return lane == &io->lanes[FOL_IO_LANE_RING] && !op->is_plain && op->opened < 0 &&
           is_patient(op);
}

static void send_lane(fol_io *io, fol_io_lane *lane)
{
    fol_io_line *line = line_to_send(lane);
    if (line->first == NULL) {
        return;
    }
    int status = fol_io_lane_use(io, lane);
    if (status == -EBUSY) {
        io->is_refused = true;
        return;
    }
    /* Bounded: each turn takes one out of line at least. Only one that failed to start stands there
     * again, which its attempts bound. */
    while (line->first != NULL && (lane->death == 0 || lane == &io->lanes[FOL_IO_LANE_POOL])) {
        fol_io_op *op = line->first;
        if (status != FOL_OK) {
            fol_io_line_remove(line, op);
            fol_io_make_whole(io, op);
            if (op->opened >= 0 && op->stage == FOL_IO_STAGE_CLOSE) {
                fol_io_close_now(io, op->opened);
                op->opened = -1;
                fol_io_finish(io, op);
            } else {
                op->attempts = FOL_IO_ATTEMPTS;
                fol_io_go_on(io, op, fol_io_step_result(op, status, false));
            }
        } else if (must_leave_ring(io, lane, op)) {
            fol_io_line_remove(line, op);
            op->lane = FOL_IO_LANE_POOL;
            fol_io_line_up(io, op, op->has_begun);
        } else if (fol_io_has_no_room(io, lane) || start(io, lane, line) == -EBUSY) {
            return;
        }
        line = line_to_send(lane);
    }
}

void fol_io_send(fol_io *io)
{
    io->is_refused = false;
    /* The ring first: what it cannot do goes to the pool. */
    send_lane(io, &io->lanes[FOL_IO_LANE_RING]);
    send_lane(io, &io->lanes[FOL_IO_LANE_POOL]);
}

/* A file that is to be written is opened without waiting for whoever has it leased, since a ring
 * would keep a thread of its own waiting; the pool's calls wait. */
static bool has_to_wait_for_file(const fol_io_op *op, int64_t value)
{
    return value == -EAGAIN && op->stage == FOL_IO_STAGE_OPEN && op->lane == FOL_IO_LANE_RING &&
           op->request.kind == FOL_IO_WRITE && !fol_io_is_ended(op);
}

static void take_other(fol_io *io, fol_io_op *op, const fol_io_event *event)
{
    fol_io_make_whole(io, op);
    if (event->has_more) {
        fol_io_piece_arrived(io, op, event);
        return;
    }
    note_landing(io, op);
    if (op->stage == FOL_IO_STAGE_WORK && (op->request.flags & FOL_IO_MANY) != 0) {
        fol_io_many_landed(io, op, event);
        return;
    }
    if (has_to_wait_for_file(op, event->value)) {
        stop_counting_file(io, op);
        op->lane = FOL_IO_LANE_POOL;
        fol_io_line_up(io, op, false);
        return;
    }
    /* Who interrupted this thread's own call wants the operation to end. */
    bool was_stopped = event->value == FOL_E_INTERRUPTED;
    op->is_cancelled = op->is_cancelled || was_stopped;
    int64_t value = was_stopped ? -ECANCELED : event->value;
    uint16_t attempts = op->attempts;
    bool others_are_open = op->holds_file && io->lanes[op->file_lane].open_files > 1;
    fol_io_next next = fol_io_step_result(op, value, others_are_open);
    if (op->attempts > attempts) {
        fol_io_count(&io->counts.retries, 1);
    }
    fol_io_go_on(io, op, next);
}

/* Of the driver's own requests. */
static void take_look(fol_io *io, fol_io_lane *lane, const fol_io_event *event)
{
    if (event->token == FOL_IO_NOTICE) {
        io->is_notice_armed = event->has_more;
        return;
    }
    lane->is_watching = event->has_more;
    io->has_spoken = io->has_spoken || event->value != -ECANCELED;
}

/* True: it was of a plain operation, which has ended. */
static inline bool take_event(fol_io *io, fol_io_lane *lane, const fol_io_event *event)
{
    if (FOL_UNLIKELY(event->token >= FOL_IO_WATCH)) {
        take_look(io, lane, event);
        return false;
    }
    fol_io_op *op = fol_io_op_of(event->token);
    FOL_ASSERT(op->state == FOL_IO_FLYING && fol_io_lane_of(io, op) == lane);
    if (op->is_plain && event->value == fol_io_good_value(op)) {
        fol_io_land_plain(io, op, event->value);
        return true;
    }
    take_other(io, op, event);
    return false;
}

static bool reap_lane(fol_io *io, fol_io_lane *lane)
{
    fol_io_engine *engine = fol_io_lane_engine(lane);
    if (engine == NULL || engine->in_flight == 0) {
        return false;
    }
    bool has_any = false;
    if (lane->death == 0 && fol_io_lane_use(io, lane) != FOL_OK) {
        return false;
    }
    for (uint32_t round = 0; round < REAP_ROUNDS; round++) {
        fol_io_event events[REAP_ROOM];
        has_any = fol_io_land_straight(io, lane) || has_any;
        size_t count = engine->ops->reap(engine, events, REAP_ROOM);
        FOL_ASSERT(count <= REAP_ROOM);
        uint32_t plain = 0;
        for (size_t index = 0; index < count; index++) {
            has_any = has_any || events[index].token < FOL_IO_WATCH;
            plain += take_event(io, lane, &events[index]);
        }
        fol_io_note_plain(io, lane, plain);
        if (count < REAP_ROOM) {
            break;
        }
    }
    return has_any;
}

bool fol_io_reap(fol_io *io)
{
    bool from_ring = reap_lane(io, &io->lanes[FOL_IO_LANE_RING]);
    bool from_pool = reap_lane(io, &io->lanes[FOL_IO_LANE_POOL]);
    return from_ring || from_pool;
}

void fol_io_flush(fol_io *io)
{
    for (uint32_t index = 0; index < FOL_IO_LANES; index++) {
        fol_io_lane *lane = &io->lanes[index];
        fol_io_engine *engine = fol_io_lane_engine(lane);
        if (lane->unsent == 0 || lane->death != 0 || fol_io_lane_use(io, lane) != FOL_OK) {
            continue;
        }
        int status = engine->ops->flush(engine);
        lane->unsent = 0;
        if (status < 0) {
            fol_io_lane_die(io, lane, status);
        }
    }
}

void fol_io_cut_short(fol_io *io, fol_io_op *op)
{
    FOL_ASSERT(fol_io_is_ended(op));
    if (op->state == FOL_IO_TIMING && op->is_plain) {
        fol_timer_wheel_remove(io->wheel, &op->timer);
    }
    if (op->is_own_token) {
        fol_io_take_back(io, fol_io_lane_of(io, op));
    }
    fol_io_make_whole(io, op);
    switch (op->state) {
    case FOL_IO_LINED:
    case FOL_IO_STARVED:
        if (op->stage != FOL_IO_STAGE_CLOSE) {
            fol_io_line_remove(fol_io_line_of(io, op), op);
            fol_io_go_on(io, op, fol_io_step_end(op));
        }
        break;
    case FOL_IO_TIMING:
        finish_with(io, op, fol_io_ended_value(op));
        break;
    case FOL_IO_BLOCKED:
        /* Those it waits for go on ending, for nobody. */
        for (fol_io_op *other = fol_io_same_first(io, op->request.fd); other != NULL;
             other = other->same_next) {
            if (other->closer == op) {
                other->closer = NULL;
            }
        }
        op->blockers = 0;
        finish_with(io, op, fol_io_ended_value(op));
        break;
    default:
        FOL_ASSERT(op->state == FOL_IO_FLYING);
        if (!fol_io_is_closing(op)) {
            fol_io_engine *engine = fol_io_lane_engine(fol_io_lane_of(io, op));
            if (op->is_own_token) {
                engine->ops->cancel_plain(engine, &op->plain);
            } else {
                engine->ops->cancel(engine, fol_io_token_of(op));
            }
            fol_io_lane_of(io, op)->unsent += 1;
        }
        break;
    }
}

void fol_io_expire(fol_io *io, uint32_t most)
{
    if (fol_timer_wheel_count(io->wheel) == 0) {
        return;
    }
    uint64_t now = io->config.clock.now_ns(io->config.clock.state);
    fol_timer *timer = fol_timer_wheel_expire(io->wheel, now);
    uint32_t count = 0;
    /* Bounded: nothing adds a timer here. */
    while (timer != NULL) {
        fol_io_op *op = fol_io_op_of_timer(timer);
        if (op->state == FOL_IO_TIMING) {
            FOL_ASSERT(op->is_plain);
            fol_io_land_plain(io, op, 0);
            count += 1;
        } else if (!fol_io_is_ended(op)) {
            op->is_expired = true;
            fol_io_cut_short(io, op);
        }
        most -= 1;
        timer = most == 0 ? NULL : fol_timer_wheel_expire(io->wheel, now);
    }
    io->finished_news += count;
    fol_io_count(&io->counts.completed, count);
}
