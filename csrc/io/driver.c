/* The driver's life, and what its owner asks of it; see io/driver.h. How operations go on is in
 * driver_flow.c, how it waits in driver_wait.c.
 */

#include "io/driver.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/fork.h"
#include "base/memory.h"
#include "foliot/status.h"
#include "io/driver_state.h"

/* How many operations ahead one is fetched that is to be submitted. */
#define AHEAD         4
#define SLOTS_DEFAULT 65536u
#define SAME_MAX      65536u
#define SAME_MIN      64u
#define SLOTS_MAX     (1u << 30)

static uint32_t table_size(uint32_t slots)
{
    uint32_t size = SAME_MIN;
    while (size < slots && size < SAME_MAX) {
        size *= 2;
    }
    return size;
}

int fol_io_create_from(const fol_io_config *config, const fol_io_makers *makers, fol_io **out)
{
    int status = fol_fork_watch();
    if (status != FOL_OK) {
        return status;
    }
    fol_io_ring_close_late();
    fol_io *io = fol_alloc_zeroed(1, sizeof *io);
    if (io == NULL) {
        return -ENOMEM;
    }
    io->config = *config;
    io->makers = *makers;
    io->fork_generation = fol_fork_generation();
    uint32_t slots = config->max_operations == 0 ? SLOTS_DEFAULT : config->max_operations;
    io->slot_count = slots < SLOTS_MAX ? slots : SLOTS_MAX;
    io->first_free = FOL_IO_NO_SLOT;
    io->watched = -1;
    io->word_fd = -1;
    uint32_t size = table_size(io->slot_count);
    io->same_mask = size - 1;
    for (uint32_t index = 0; index < FOL_IO_LANES; index++) {
        io->lanes[index].open_files_bound = FOL_IO_OPEN_FILES;
    }
    fol_slab_init(&io->slab);
    status = -ENOMEM;
    /* Address space only: touched where it is used. */
    io->slots = fol_reserve(io->slot_count * sizeof *io->slots);
    if (io->slots == NULL) {
        goto fail_slots;
    }
    io->same = fol_reserve(size * sizeof(fol_io_op *));
    if (io->same == NULL) {
        goto fail_same;
    }
    io->plain_on = fol_reserve(size * sizeof *io->plain_on);
    if (io->plain_on == NULL) {
        goto fail_plain_on;
    }
    status = fol_timer_wheel_create(config->clock.now_ns(config->clock.state), &io->wheel);
    if (status != FOL_OK) {
        goto fail_wheel;
    }
    fol_io_choose_engine(io);
    *out = io;
    return FOL_OK;

fail_wheel:
    fol_unreserve(io->plain_on, size * sizeof *io->plain_on);
fail_plain_on:
    fol_unreserve(io->same, size * sizeof(fol_io_op *));
fail_same:
    fol_unreserve(io->slots, io->slot_count * sizeof *io->slots);
fail_slots:
    fol_free(io);
    return status;
}

void fol_io_free(fol_io *io)
{
    /* Bounded by the pieces there are. */
    while (io->free_pieces != NULL) {
        fol_io_piece *piece = io->free_pieces;
        io->free_pieces = piece->next;
        fol_free(piece);
    }
    fol_io_watch_deinit(io);
    fol_slab_deinit(&io->slab);
    fol_timer_wheel_destroy(io->wheel);
    fol_unreserve(io->plain_on, ((size_t)io->same_mask + 1) * sizeof *io->plain_on);
    fol_unreserve(io->same, ((size_t)io->same_mask + 1) * sizeof(fol_io_op *));
    fol_unreserve(io->slots, io->slot_count * sizeof *io->slots);
    fol_free(io);
}

/* Ends with a failure of ours, without having begun. */
static void refuse(fol_io *io, fol_io_op *op, int64_t value)
{
    op->value = value;
    op->size = 0;
    fol_io_finish(io, op);
}

static void set_up(fol_io_op *op)
{
    op->value = 0;
    op->size = 0;
    op->next = NULL;
    fol_io_set_place(op, FOL_IO_AWAY, FOL_IO_LANE_POOL, false);
}

static uint64_t deadline_of(const fol_io_op *op, uint64_t now)
{
    uint64_t deadline = now + op->request.timeout_ns;
    return deadline < now ? UINT64_MAX - 1 : deadline;
}

static bool has_deadline(const fol_io_request *request)
{
    return request->timeout_ns != 0 || request->kind == FOL_IO_TIMEOUT;
}

static void submit_whole(fol_io *io, fol_io_op *op, uint64_t now)
{
    fol_io_set_up_rest(op);
    io->held += 1;
    const char *what = NULL;
    int status = fol_io_request_check(&op->request, &what);
    if (status != FOL_OK) {
        refuse(io, op, status);
        return;
    }
    if (io->held > io->slot_count) {
        refuse(io, op, FOL_E_CAPACITY);
        return;
    }
    fol_io_slot_take(io, op);
    fol_io_step_begin(op);
    if (has_deadline(&op->request)) {
        fol_timer_wheel_add(io->wheel, &op->timer, deadline_of(op, now));
    }
    fol_io_begin(io, op);
}

static void begin_timeout(fol_io *io, fol_io_op *op, uint64_t deadline_ns)
{
    io->held += 1;
    op->is_plain = true;
    op->state = FOL_IO_TIMING;
    op->timer.previous = NULL;
    fol_timer_wheel_add(io->wheel, &op->timer, deadline_ns);
}

/* A timer as it is: no flag, and no path. */
static bool is_plain_timeout(const fol_io_request *request)
{
    return request->kind == FOL_IO_TIMEOUT && request->flags == 0 && request->path == NULL &&
           request->path2 == NULL;
}

/* *now: 0, until it is known. */
static void submit_one(fol_io *io, fol_io_op *op, uint64_t *now)
{
    bool has_room = io->held < io->slot_count;
    if (has_room && fol_io_request_is_plain(&op->request)) {
        fol_io_begin_plain(io, op);
        return;
    }
    set_up(op);
    if (*now == 0 && has_deadline(&op->request)) {
        *now = io->config.clock.now_ns(io->config.clock.state);
    }
    if (has_room && is_plain_timeout(&op->request)) {
        begin_timeout(io, op, deadline_of(op, *now));
    } else {
        submit_whole(io, op, *now);
    }
}

void fol_io_submit(fol_io *io, fol_io_op *const *ops, size_t count)
{
    FOL_ASSERT(!io->is_ending);
    uint64_t now = 0;
    size_t index = 0;
    io->pending += (uint32_t)count;
    /* Each turn takes one at least. */
    while (index < count) {
        size_t straight = 0;
        if (fol_io_request_is_plain(&ops[index]->request)) {
            straight = fol_io_begin_straight(io, ops + index, count - index);
        }
        if (straight == 0) {
            if (index + AHEAD < count) {
                __builtin_prefetch(ops[index + AHEAD], 1);
                __builtin_prefetch(&ops[index + AHEAD]->request.timeout_ns);
                __builtin_prefetch(&ops[index + AHEAD]->timer, 1);
            }
            submit_one(io, ops[index], &now);
            straight = 1;
        }
        index += straight;
    }
    fol_io_count(&io->counts.submitted, count);
    FOL_CHECK_INVARIANTS(fol_io_invariants(io));
}

void fol_io_submit_plain(fol_io *io, fol_io_op *const *ops, size_t count)
{
    size_t index = 0;
    size_t straight = 1;
    FOL_ASSERT(!io->is_ending);
    /* Each turn takes one at least. */
    while (index < count && straight > 0) {
        straight = fol_io_begin_known(io, ops + index, count - index);
        index += straight;
    }
    io->pending += (uint32_t)index;
    fol_io_count(&io->counts.submitted, index);
    if (index < count) {
        fol_io_submit(io, ops + index, count - index);
    }
    FOL_CHECK_INVARIANTS(fol_io_invariants(io));
}

bool fol_io_cancel(fol_io *io, fol_io_op *op)
{
    if (op->state == FOL_IO_AWAY || op->state == FOL_IO_ENDED) {
        return false;
    }
    if (!fol_io_is_ended(op)) {
        op->is_cancelled = true;
        fol_io_cut_short(io, op);
    }
    return true;
}

static void take_pieces(fol_io_op *op)
{
    op->has_news = false;
    if ((op->request.flags & FOL_IO_MANY) == 0) {
        return;
    }
    fol_io_piece **end = &op->pieces;
    /* Bounded by the pieces that were not released. */
    while (*end != NULL) {
        end = &(*end)->next;
    }
    *end = op->first_piece;
    op->first_piece = NULL;
}

fol_io_op *fol_io_take(fol_io *io)
{
    fol_io_op *first = io->first_news;
    for (fol_io_op *op = first; io->has_new_pieces && op != NULL; op = op->next) {
        take_pieces(op);
    }
    FOL_ASSERT(io->pending >= io->finished_news);
    io->pending -= io->finished_news;
    io->first_news = NULL;
    io->last_news = NULL;
    io->finished_news = 0;
    io->has_new_pieces = false;
    return first;
}

void fol_io_release(fol_io *io, fol_io_op *op)
{
    if ((op->request.flags & FOL_IO_MANY) != 0) {
        fol_io_pieces_release(io, op, op->pieces, false);
        op->pieces = NULL;
    }
    if (op->is_finished && op->data != NULL) {
        fol_slab_give(&io->slab, op->own, op->own_size);
        op->data = NULL;
    }
}

uint32_t fol_io_pending(const fol_io *io)
{
    return io->pending;
}

uint64_t fol_io_next_deadline(const fol_io *io)
{
    return fol_timer_wheel_next(io->wheel);
}

uint64_t fol_io_system_calls(const fol_io *io)
{
    uint64_t calls = fol_atomic_load(&io->counts.system_calls, memory_order_relaxed);
    for (uint32_t index = 0; index < FOL_IO_LANES; index++) {
        /* Acquire pairs with the release where the engine was made. */
        fol_io_engine *engine = fol_atomic_load(&io->lanes[index].engine, memory_order_acquire);
        if (engine != NULL) {
            calls += fol_atomic_load(&engine->counters.system_calls, memory_order_relaxed);
        }
    }
    return calls;
}

void fol_io_read_stats(const fol_io *io, fol_io_stats *out)
{
    const fol_io_counts *counts = &io->counts;
    *out = (fol_io_stats){
        .submitted = fol_atomic_load(&counts->submitted, memory_order_relaxed),
        .completed = fol_atomic_load(&counts->completed, memory_order_relaxed),
        .failed = fol_atomic_load(&counts->failed, memory_order_relaxed),
        .cancelled = fol_atomic_load(&counts->cancelled, memory_order_relaxed),
        .system_calls = fol_io_system_calls(io),
        .in_flight = fol_atomic_load(&counts->in_flight, memory_order_relaxed),
        .retries = fol_atomic_load(&counts->retries, memory_order_relaxed),
    };
    for (uint32_t index = 0; index < FOL_IO_LANES; index++) {
        /* Acquire pairs with the release where the engine was made. */
        fol_io_engine *engine = fol_atomic_load(&io->lanes[index].engine, memory_order_acquire);
        if (engine != NULL) {
            const fol_io_counters *counters = &engine->counters;
            out->overflows += fol_atomic_load(&counters->overflows, memory_order_relaxed);
            out->retries += fol_atomic_load(&counters->retries, memory_order_relaxed);
        }
    }
}
