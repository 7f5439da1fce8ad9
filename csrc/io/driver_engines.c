/* Which engine does what: what the machine has, what was wished for, and what is left when a ring
 * ends.
 *
 * The machine is asked once in a process for all drivers; a child of fork asks again, since it may
 * be in another sandbox. Engines are made by the first operation that needs them. A ring that
 * cannot be made, or that fails in use, is not tried again: what it had begun and not done is done
 * by the pool, and the reason is kept, with what can be done about it.
 */

#include <errno.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/fork.h"
#include "foliot/status.h"
#include "io/driver_state.h"
#include "io/probe.h"

/* Never waited for: who finds it taken, if only by a thread that a child of fork does not have,
 * asks the machine itself. */
static FOL_ATOMIC(uint32_t) is_cache_taken;
static fol_io_report cached_report;
static uint64_t cached_generation; /* one more than that of the process that asked; 0: nobody did */

static int probe_once(fol_io_report *out)
{
    uint32_t is_free = 0;
    /* Acquire pairs with the release below: the report is whole. */
    if (!fol_atomic_compare_exchange(&is_cache_taken, &is_free, 1, memory_order_acquire,
                                     memory_order_relaxed)) {
        return fol_io_probe(out);
    }
    int status = FOL_OK;
    uint64_t generation = fol_fork_generation() + 1;
    if (cached_generation != generation) {
        status = fol_io_probe(&cached_report);
        cached_generation = status == FOL_OK ? generation : 0;
    }
    *out = cached_report;
    /* Release pairs with the acquire above. */
    fol_atomic_store(&is_cache_taken, 0, memory_order_release);
    return status;
}

static const fol_io_makers real_makers = {
    .probe = probe_once, .make_ring = fol_io_ring_create, .make_pool = fol_io_pool_create};

int fol_io_create(const fol_io_config *config, fol_io **out)
{
    return fol_io_create_from(config, &real_makers, out);
}

/* What happened, where, and the sentence of the cure. */
static void explain(fol_io *io, const char *what, const char *where, uint32_t cure)
{
    const char *text = fol_io_cure_text(cure);
    int length = snprintf(io->reason, sizeof io->reason, "io_uring is not used: %s (%s)%s%s", what,
                          where, text[0] == '\0' ? "" : ". ", text);
    FOL_ASSERT(length > 0);
}

/* What a set-up, or the probe of the machine, says. */
static void explain_report(fol_io *io, const fol_io_report *report, int error)
{
    int shown = report->error != 0 ? report->error : error;
    uint32_t cure = report->cure;
    if (cure == FOL_IO_CURE_NONE) {
        cure = fol_io_cure_for(report->step, shown);
    }
    explain(io, fol_status_text(shown), fol_io_step_name(report->step), cure);
}

void fol_io_choose_engine(fol_io *io)
{
    bool wishes = io->config.choice == FOL_IO_CHOICE_RING ||
                  (io->config.choice == FOL_IO_CHOICE_AUTO && io->config.wants_ring);
    io->routes_to_ring = wishes;
    if (!wishes || io->lanes[FOL_IO_LANE_RING].death != 0) {
        return;
    }
    fol_io_report report = {0};
    int status = io->makers.probe(&report);
    if (status != FOL_OK || report.available == 0) {
        int error = status != FOL_OK ? status : report.error;
        explain_report(io, &report, error);
        io->lanes[FOL_IO_LANE_RING].death = error != 0 ? error : -ENOSYS;
    }
}

void fol_io_route(fol_io *io, bool to_ring)
{
    if (io->config.choice == FOL_IO_CHOICE_AUTO && to_ring != io->config.wants_ring) {
        io->config.wants_ring = to_ring;
        fol_io_choose_engine(io);
    }
}

uint8_t fol_io_lane_choose(const fol_io *io, const fol_io_op *op)
{
    bool has_ring = io->routes_to_ring && io->lanes[FOL_IO_LANE_RING].death == 0;
    bool rings_know = fol_io_operation_of(op->request.kind)->opcode != UINT32_MAX;
    return has_ring && rings_know ? FOL_IO_LANE_RING : FOL_IO_LANE_POOL;
}

/* A number for each thread that is never used again, unlike the system's own. */
static uint64_t this_thread(void)
{
    static FOL_ATOMIC(uint64_t) last;
    static _Thread_local uint64_t own;
    if (own == 0) {
        own = fol_atomic_fetch_add(&last, 1, memory_order_relaxed) + 1;
    }
    return own;
}

bool fol_io_lane_is_mine(const fol_io_lane *lane)
{
    return lane->thread == this_thread();
}

static int make_engine(fol_io *io, fol_io_lane *lane)
{
    fol_io_engine *engine = NULL;
    int status = FOL_OK;
    if (lane == &io->lanes[FOL_IO_LANE_RING]) {
        fol_io_report report = {0};
        status = io->makers.make_ring(&io->config.ring, &report, &engine);
        if (status < 0) {
            explain_report(io, &report, status);
        }
    } else {
        status = io->makers.make_pool(&io->config.pool, &engine);
    }
    if (status == FOL_OK) {
        /* Release pairs with the acquire in fol_io_read_stats: its counters are there. */
        fol_atomic_store(&lane->engine, engine, memory_order_release);
        lane->open_files_bound = fol_io_most_files(lane);
    }
    return status;
}

int fol_io_lane_use(fol_io *io, fol_io_lane *lane)
{
    uint64_t thread = this_thread();
    if (lane->thread == thread) {
        return FOL_OK;
    }
    int status = FOL_OK;
    if (fol_io_lane_engine(lane) == NULL) {
        status = make_engine(io, lane);
    }
    if (status == FOL_OK) {
        fol_io_engine *engine = fol_io_lane_engine(lane);
        fol_io_take_back(io, lane);
        status = engine->ops->adopt(engine);
    }
    if (status == FOL_OK) {
        lane->thread = thread;
    } else if (status != -EBUSY && lane == &io->lanes[FOL_IO_LANE_RING]) {
        fol_io_lane_die(io, lane, status);
    }
    return status;
}

int fol_io_adopt(fol_io *io)
{
    for (uint32_t index = 0; index < FOL_IO_LANES; index++) {
        fol_io_lane *lane = &io->lanes[index];
        fol_io_engine *engine = fol_io_lane_engine(lane);
        /* One with nothing in flight is anybody's when it is next used; one that died reports what
         * has ended to whoever asks. */
        bool is_held = engine != NULL && engine->in_flight > 0 && lane->death == 0;
        if (is_held && fol_io_lane_use(io, lane) == -EBUSY) {
            return -EBUSY;
        }
    }
    return FOL_OK;
}

/* Bounded: each turn takes one out. */
static void move_line(fol_io *io, fol_io_line *line)
{
    while (line->first != NULL) {
        fol_io_op *op = line->first;
        fol_io_line_remove(line, op);
        fol_io_line_up(io, op, op->has_begun);
    }
}

void fol_io_lane_die(fol_io *io, fol_io_lane *lane, int error)
{
    FOL_ASSERT(error < 0);
    if (lane->death != 0) {
        return;
    }
    lane->death = error;
    if (lane != &io->lanes[FOL_IO_LANE_RING]) {
        return;
    }
    if (io->reason[0] == '\0') {
        explain(io, fol_status_text(error), "in use", fol_io_cure_for(FOL_IO_STEP_SUBMIT, error));
    }
    io->is_notice_armed = false;
    lane->is_watching = false;
    move_line(io, &lane->begun);
    move_line(io, &lane->files);
    move_line(io, &lane->fresh);
    move_line(io, &lane->starved);
}

const char *fol_io_engine_name(const fol_io *io)
{
    bool to_ring = io->routes_to_ring && io->lanes[FOL_IO_LANE_RING].death == 0;
    return to_ring ? "uring" : "pool";
}

const char *fol_io_reason(const fol_io *io)
{
    return io->routes_to_ring ? io->reason : "";
}
