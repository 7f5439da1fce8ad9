/* Waiting for I/O: at cuts, and between frames. The caller is detached meanwhile, and looks at the
 * host after every signal, and often enough that nobody waits long for Ctrl-C.
 */

#include <errno.h>
#include <time.h>

#include "base/cycles.h"
#include "foliot/status.h"
#include "frame/io.h"

/* The longest wait that nothing but a signal ends, of a host that can ask for the end. A signal
 * that comes between the look at the host and the wait is seen after it. */
#define PATIENCE_NS 80000000u

/* A thread of a host counts as joined when it has run its last code, and has not quite ended then:
 * how often, and after what pauses, it is asked again whether the one that drove before has. */
#define ENDING_TURNS 50
#define ENDING_NS    1000000

static uint64_t clock_now(const fol_scheduler *scheduler)
{
    return scheduler->config.clock.now_ns(scheduler->config.clock.state);
}

static bool is_monotonic(const fol_scheduler *scheduler)
{
    return scheduler->config.clock.now_ns == fol_clock_monotonic.now_ns;
}

/* Until when one wait goes. Another clock than the machine's says nothing of the time that a person
 * waits, and may stand still; then only the driver and signals end a wait. */
static uint64_t bound_wait(const fol_scheduler *scheduler, uint64_t until_ns)
{
    if (scheduler->config.host.pending == NULL || !is_monotonic(scheduler)) {
        return until_ns;
    }
    uint64_t patience = clock_now(scheduler) + PATIENCE_NS;
    return patience < until_ns ? patience : until_ns;
}

/* One wait, and a look at the host. */
static int wait_once(fol_frame_io *io, uint32_t least, uint64_t until_ns)
{
    fol_scheduler *scheduler = io->scheduler;
    uint64_t bound = bound_wait(scheduler, until_ns);
    fol_host_set_attached(scheduler, &scheduler->runners[0], false);
    int status = fol_io_wait(io->driver, least, bound);
    /* Which thread may use the driver was settled before the drive began. */
    FOL_ASSERT(status != -EBUSY);
    if (status == -EINTR) {
        fol_host_ask(scheduler, fol_cycles_now());
    } else {
        fol_host_poll(scheduler, fol_cycles_now());
    }
    return status;
}

static void stop_slot(fol_frame_io *io, fol_io_slot *slot)
{
    if (slot->state == FOL_IO_SLOT_SENT) {
        slot->was_stopped = fol_io_cancel(io->driver, &slot->op);
    }
}

/* The frame is to end: so must all that it waits for. */
static void stop_awaited(fol_frame_io *io, bool is_phase_end)
{
    for (uint32_t i = 0; i < io->batch_count; i++) {
        fol_io_slot *slot = fol_io_slot_of(io->batch[i]);
        if (slot->target.until == FOL_IO_STAGE) {
            stop_slot(io, slot);
        }
    }
    for (fol_io_slot *slot = is_phase_end ? io->in_phase.first : NULL; slot != NULL;
         slot = slot->next) {
        stop_slot(io, slot);
    }
}

void fol_io_await(fol_frame_io *io, bool is_phase_end)
{
    bool is_stopped = false;
    fol_io_collect(io);
    uint32_t awaited = io->awaited_at_stage + (is_phase_end ? io->awaited_at_phase : 0);
    if (awaited == 0) {
        /* What later frames wait for is sent all the same. */
        fol_io_poll(io->driver);
        return;
    }
    /* Every operation ends when it is cancelled, in a bounded time. */
    while (awaited != 0) {
        if (fol_is_interrupted(io->scheduler) && !is_stopped) {
            is_stopped = true;
            stop_awaited(io, is_phase_end);
            fol_io_poll(io->driver);
        } else {
            wait_once(io, awaited, UINT64_MAX);
        }
        fol_io_collect(io);
        awaited = io->awaited_at_stage + (is_phase_end ? io->awaited_at_phase : 0);
    }
}

int fol_io_begin_drive(fol_frame_io *io)
{
    if (pthread_equal(io->driver_thread, pthread_self()) == 0) {
        const struct timespec pause = {.tv_sec = 0, .tv_nsec = ENDING_NS};
        int status = fol_io_adopt(io->driver);
        for (int turn = 0; turn < ENDING_TURNS && status == -EBUSY; turn++) {
            nanosleep(&pause, NULL);
            status = fol_io_adopt(io->driver);
        }
        if (status != FOL_OK) {
            return status;
        }
        io->driver_thread = pthread_self();
    }
    return FOL_OK;
}

static int wait_for_later(fol_frame_io *io, uint64_t timeout_ns)
{
    fol_scheduler *scheduler = io->scheduler;
    uint64_t until = UINT64_MAX;
    if (timeout_ns != UINT64_MAX) {
        uint64_t now = clock_now(scheduler);
        until = timeout_ns < UINT64_MAX - now ? now + timeout_ns : UINT64_MAX;
    }
    bool is_over = false;
    fol_io_collect(io);
    while (io->came_count == 0) {
        if (io->later == 0) {
            return -ENOENT;
        }
        if (fol_is_interrupted(scheduler)) {
            return FOL_E_INTERRUPTED;
        }
        if (is_over) {
            return -ETIME;
        }
        int status = wait_once(io, 1, until);
        fol_io_collect(io);
        fol_host_set_attached(scheduler, &scheduler->runners[0], true);
        is_over = status == -ETIME && until != UINT64_MAX && clock_now(scheduler) >= until;
    }
    return FOL_OK;
}

/* Whatever comes: the driver goes on with what takes several steps. */
static int rest_until(fol_frame_io *io, uint64_t until_ns)
{
    fol_scheduler *scheduler = io->scheduler;
    while (fol_io_pending(io->driver) != 0) {
        if (fol_is_interrupted(scheduler)) {
            return FOL_E_INTERRUPTED;
        }
        /* Only a clock of the host's needs it to tell the time. */
        if (!is_monotonic(scheduler)) {
            fol_host_set_attached(scheduler, &scheduler->runners[0], true);
        }
        if (clock_now(scheduler) >= until_ns) {
            fol_io_poll(io->driver);
            fol_io_collect(io);
            return FOL_OK;
        }
        wait_once(io, 1, until_ns);
        fol_io_collect(io);
    }
    return -ENOENT;
}

/* What both kinds of waits between frames begin and end with. */
static int wait_between(fol_scheduler *scheduler, int (*wait)(fol_frame_io *io, uint64_t time_ns),
                        uint64_t time_ns)
{
    int status = fol_begin_change(scheduler);
    if (status != FOL_OK) {
        return status;
    }
    fol_frame_io *io = fol_io_of(scheduler);
    scheduler->runners[0].is_attached = true;
    scheduler->last_poll = fol_cycles_now();
    atomic_store_explicit(&scheduler->is_interrupted, false, memory_order_relaxed);
    status = io == NULL ? -ENOENT : fol_io_begin_drive(io);
    if (status == FOL_OK) {
        status = wait(io, time_ns);
    }
    fol_host_set_attached(scheduler, &scheduler->runners[0], true);
    fol_end_change(scheduler);
    return status;
}

int fol_scheduler_wait(fol_scheduler *scheduler, uint64_t timeout_ns)
{
    return wait_between(scheduler, wait_for_later, timeout_ns);
}

int fol_scheduler_rest(fol_scheduler *scheduler, uint64_t until_ns)
{
    return wait_between(scheduler, rest_until, until_ns);
}
