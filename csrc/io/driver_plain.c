/* Plain operations on their way to an engine and back: what driver.c and driver_flow.c do for all,
 * without what these do not need. Where they go straight into the ring's queue they pass no line,
 * and their completions are taken from where the kernel put them. Those that stand in line do so
 * with the others, so that the order of submission stays.
 */

#include <errno.h>

#include "base/assert.h"
#include "base/fork.h"
#include "foliot/status.h"
#include "io/driver_state.h"

/* How many are given to an engine at once, and how many ahead one is fetched. */
#define START_ROOM 64u
#define AHEAD      4

static inline bool is_on_descriptor(const fol_io_op *op)
{
    return op->request.kind != FOL_IO_NOP;
}

static inline uint32_t *plain_on(const fol_io *io, const fol_io_op *op)
{
    return &io->plain_on[(uint32_t)op->request.fd & io->same_mask];
}

/* Operations on one descriptor that come one behind the other are counted together: where each adds
 * to what the one before has just written, each waits for that. */
typedef struct same_run {
    uint32_t *counter; /* of plain_on; NULL: none yet */
    uint32_t count;    /* to be added to it */
} same_run;

static inline void run_end(same_run *run)
{
    if (run->counter != NULL) {
        *run->counter += run->count;
    }
}

/* `by` is 1, or that in two's complement negative. */
static inline void run_count(const fol_io *io, const fol_io_op *op, same_run *run, uint32_t by)
{
    if (!is_on_descriptor(op)) {
        return;
    }
    uint32_t *counter = plain_on(io, op);
    if (FOL_UNLIKELY(counter != run->counter)) {
        run_end(run);
        *run = (same_run){.counter = counter};
    }
    run->count += by;
}

/* A slot, and a place among those on its descriptor: something else may have to find it. */
static void enlist(fol_io *io, fol_io_op *op)
{
    if (op->slot != FOL_IO_NO_SLOT) {
        return;
    }
    bool is_counted = op->request.kind == FOL_IO_READ || op->request.kind == FOL_IO_WRITE;
    if (is_counted) {
        FOL_ASSERT(*plain_on(io, op) > 0);
        *plain_on(io, op) -= 1;
    }
    fol_io_slot_take(io, op);
    fol_io_same_add(io, op);
}

void fol_io_make_whole(fol_io *io, fol_io_op *op)
{
    if (op->is_plain) {
        op->is_plain = false;
        enlist(io, op);
        fol_io_set_up_rest(op);
        fol_io_step_begin(op);
    }
}

static bool is_meant(const fol_io_op *op, const int32_t *descriptor)
{
    return op->is_plain &&
           (descriptor == NULL || (is_on_descriptor(op) && op->request.fd == *descriptor));
}

static void make_list_whole(fol_io *io, const fol_io_link *list, const int32_t *descriptor)
{
    /* Bounded by the list, which stays as it is. */
    for (fol_io_link *link = list->next; link != list; link = link->next) {
        fol_io_op *op = fol_io_op_of_plain(fol_io_plain_of(link));
        if (is_meant(op, descriptor)) {
            fol_io_make_whole(io, op);
        }
    }
}

/* Those without a slot; NULL: on whatever descriptor. */
static void make_some_whole(fol_io *io, const int32_t *descriptor)
{
    for (uint32_t index = 0; index < FOL_IO_LANES; index++) {
        const fol_io_lane *lane = &io->lanes[index];
        for (fol_io_op *op = lane->fresh.first; op != NULL; op = op->wait_next) {
            if (is_meant(op, descriptor)) {
                fol_io_make_whole(io, op);
            }
        }
        const fol_io_engine *engine = fol_io_lane_engine(lane);
        if (engine != NULL && engine->ops->start_plain != NULL) {
            make_list_whole(io, &engine->plains, descriptor);
            make_list_whole(io, &engine->kept_plains, descriptor);
        }
    }
}

void fol_io_make_all_whole(fol_io *io)
{
    fol_io_take_back(io, &io->lanes[FOL_IO_LANE_RING]);
    make_some_whole(io, NULL);
}

void fol_io_make_whole_on(fol_io *io, int32_t descriptor)
{
    if (io->plain_on[(uint32_t)descriptor & io->same_mask] > 0) {
        fol_io_take_back(io, &io->lanes[FOL_IO_LANE_RING]);
        make_some_whole(io, &descriptor);
    }
}

void fol_io_begin_plain(fol_io *io, fol_io_op *op)
{
    bool has_ring = io->routes_to_ring && io->lanes[FOL_IO_LANE_RING].death == 0;
    FOL_ASSERT_HOT(io->held < io->slot_count);
    io->held += 1;
    if (has_ring) {
        fol_io_set_place(op, FOL_IO_LINED, FOL_IO_LANE_RING, true);
        *plain_on(io, op) += is_on_descriptor(op);
    } else {
        fol_io_set_place(op, FOL_IO_LINED, FOL_IO_LANE_POOL, true);
        fol_io_slot_take(io, op);
        fol_io_same_add(io, op);
    }
    fol_io_line_push(&fol_io_lane_of(io, op)->fresh, op);
}

/* Nothing stands before it, and the ring is this thread's. */
static bool goes_straight(const fol_io *io, const fol_io_lane *lane)
{
    const fol_io_engine *engine = fol_io_lane_engine(lane);
    return engine != NULL && io->routes_to_ring && lane->death == 0 &&
           engine->ops->start_plain != NULL && lane->fresh.first == NULL &&
           lane->begun.first == NULL && lane->files.first == NULL && fol_io_lane_is_mine(lane) &&
           fol_fork_generation() == io->fork_generation;
}

static inline __attribute__((always_inline)) size_t begin_some(fol_io *io, fol_io_op *const *ops,
                                                               size_t count, bool is_known)
{
    fol_io_lane *lane = &io->lanes[FOL_IO_LANE_RING];
    if (!goes_straight(io, lane)) {
        return 0;
    }
    fol_io_engine *engine = fol_io_lane_engine(lane);
    fol_io_plain *plains[START_ROOM];
    size_t room = fol_io_room(io, lane);
    room = room < io->slot_count - io->held ? room : io->slot_count - io->held;
    room = room < START_ROOM ? room : START_ROOM;
    room = room < count ? room : count;
    size_t ready = 0;
    same_run run = {NULL, 0};
    for (; ready < room; ready++) {
        fol_io_op *op = ops[ready];
        if (!is_known && !fol_io_request_is_plain(&op->request)) {
            break;
        }
        FOL_ASSERT_HOT(fol_io_request_is_plain(&op->request));
        if (!is_known && ready + AHEAD < count) {
            __builtin_prefetch(ops[ready + AHEAD], 1);
            __builtin_prefetch(&ops[ready + AHEAD]->request.buffer, 1);
        }
        fol_io_set_place(op, FOL_IO_FLYING, FOL_IO_LANE_RING, true);
        plains[ready] = &op->plain;
        run_count(io, op, &run, 1);
    }
    run_end(&run);
    size_t started = ready == 0 ? 0 : engine->ops->start_plain(engine, plains, ready);
    FOL_ASSERT(started <= ready);
    for (size_t index = started; index < ready; index++) {
        *plain_on(io, ops[index]) -= is_on_descriptor(ops[index]);
    }
    io->held += (uint32_t)started;
    lane->flying += (uint32_t)started;
    lane->unsent += (uint32_t)started;
    fol_io_count(&io->counts.in_flight, started);
    return started;
}

size_t fol_io_begin_straight(fol_io *io, fol_io_op *const *ops, size_t count)
{
    return begin_some(io, ops, count, false);
}

size_t fol_io_begin_known(fol_io *io, fol_io_op *const *ops, size_t count)
{
    return begin_some(io, ops, count, true);
}

void fol_io_take_back(fol_io *io, fol_io_lane *lane)
{
    fol_io_engine *engine = fol_io_lane_engine(lane);
    if (engine == NULL || engine->ops->start_plain == NULL || lane->unsent == 0 ||
        fol_fork_generation() != io->fork_generation) {
        return;
    }
    uint32_t count = 0;
    fol_io_plain *plain = engine->ops->take_back(engine);
    /* Bounded by what is in flight. */
    for (; plain != NULL; plain = engine->ops->take_back(engine)) {
        fol_io_op *op = fol_io_op_of_plain(plain);
        FOL_ASSERT(op->is_plain && op->state == FOL_IO_FLYING);
        op->is_own_token = false;
        op->state = FOL_IO_LINED;
        fol_io_line_push_front(&lane->fresh, op);
        count += 1;
    }
    FOL_ASSERT(count <= lane->flying);
    lane->flying -= count;
    fol_io_count(&io->counts.in_flight, 0 - (uint64_t)count);
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
    fol_io_plain *plains[START_ROOM];
    uint32_t room = fol_io_room(io, lane);
    room = room < START_ROOM ? room : START_ROOM;
    uint32_t count = 0;
    fol_io_op *at = *op;
    for (; count < room && at != NULL && at->is_plain && at->slot == FOL_IO_NO_SLOT;
         at = at->wait_next) {
        plains[count++] = &at->plain;
    }
    uint32_t started = count == 0 ? 0 : (uint32_t)engine->ops->start_plain(engine, plains, count);
    FOL_ASSERT(started <= count);
    for (uint32_t index = 0; index < started; index++) {
        fol_io_op *begun = fol_io_op_of_plain(plains[index]);
        begun->state = FOL_IO_FLYING;
        begun->is_own_token = true;
    }
    *op = started < count ? fol_io_op_of_plain(plains[started]) : at;
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
        enlist(io, op);
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

void fol_io_land_plain(fol_io *io, fol_io_op *op, int64_t value)
{
    if (op->slot != FOL_IO_NO_SLOT) {
        fol_io_same_remove(io, op);
    } else if (op->request.kind == FOL_IO_READ || op->request.kind == FOL_IO_WRITE) {
        FOL_ASSERT(*plain_on(io, op) > 0);
        *plain_on(io, op) -= 1;
    }
    fol_io_let_go(io, op);
    op->value = value;
    op->size = 0;
    op->data = NULL;
    op->state = FOL_IO_ENDED;
    op->is_finished = true;
    op->is_own_token = false;
    fol_io_news_add(io, op);
}

bool fol_io_land_straight(fol_io *io, fol_io_lane *lane)
{
    fol_io_engine *engine = fol_io_lane_engine(lane);
    const fol_io_landing *landings = NULL;
    size_t count = engine->ops->peek == NULL ? 0 : engine->ops->peek(engine, &landings);
    fol_io_op *last = io->last_news;
    fol_io_op **end = last == NULL ? &io->first_news : &last->next;
    /* Most come in the order in which they were started: then the list loses its first ones, and
     * only its new first one has to know. */
    fol_io_link *first = engine->plains.next;
    size_t done = 0;
    same_run run = {NULL, 0};
    for (; done < count && (landings[done].token & FOL_IO_LANDING_IS_OTHER) == 0; done++) {
        fol_io_op *op = fol_io_op_of(landings[done].token);
        FOL_ASSERT_HOT(op->state == FOL_IO_FLYING && op->is_own_token);
        int64_t value = landings[done].value;
        if (!op->is_plain || value != fol_io_good_value(op)) {
            break;
        }
        run_count(io, op, &run, UINT32_MAX);
        if (FOL_LIKELY(&op->plain.link == first)) {
            first = first->next;
        } else {
            fol_io_link_remove(&op->plain.link);
        }
        op->value = value;
        op->size = 0;
        op->data = NULL;
        fol_io_set_place(op, FOL_IO_ENDED, FOL_IO_LANE_RING, true);
        *end = op;
        end = &op->next;
        last = op;
    }
    if (done == 0) {
        return false;
    }
    run_end(&run);
    engine->plains.next = first;
    first->previous = &engine->plains;
    *end = NULL;
    io->last_news = last;
    engine->ops->drop(engine, done);
    FOL_ASSERT(io->held >= done && lane->flying >= done);
    io->held -= (uint32_t)done;
    fol_io_note_plain(io, lane, (uint32_t)done);
    return true;
}
