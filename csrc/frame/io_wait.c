/* Waiting for I/O and for a time: at cuts, and between frames. The caller is detached meanwhile.
 *
 * No signal is lost, and a wait in which nothing happens costs nothing. A signal ends a wait, and
 * then the host is asked; but it may come between the last look at the host and the wait, or on
 * another thread. So a wait begins with a slice that is short enough for a person. When that has
 * passed in silence the host is asked to say by a descriptor what it has to tell, which it begins
 * before its own last look, and the wait goes on without an end until that or what it is for comes.
 * What a signal did in between is seen by that look, or makes the descriptor readable. A host that
 * has no such descriptor is looked at after every slice.
 */

#include <errno.h>
#include <time.h>

#include "base/cycles.h"
#include "base/poll.h"
#include "foliot/status.h"
#include "frame/io.h"

/* A slice, of a host that can ask for the end. */
#define PATIENCE_NS 80000000u

/* What was cancelled because the frame was interrupted may take so long to end. */
#define GRACE_NS 40000000u

/* Stages between two tries whether all comes at once, at most. */
#define MOST_LEFT_OUT 1023u

/* For fol_io_watch. */
#define NOTHING (-1)

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

/* Until when a slice goes. Another clock than the machine's says nothing of the time that a person
 * waits, and may stand still; then only the driver and signals end a wait. */
static uint64_t bound_wait(const fol_scheduler *scheduler, uint64_t until_ns)
{
    if (scheduler->config.host.pending == NULL || !is_monotonic(scheduler)) {
        return until_ns;
    }
    uint64_t patience = clock_now(scheduler) + PATIENCE_NS;
    return patience < until_ns ? patience : until_ns;
}

/* Until something comes, or a slice has passed; and a look at the host. */
static int wait_slice(fol_frame_io *io, uint32_t least, uint64_t until_ns, bool *is_silent)
{
    fol_scheduler *scheduler = io->scheduler;
    uint64_t bound = bound_wait(scheduler, until_ns);
    fol_host_set_attached(scheduler, &scheduler->runners[0], false);
    int status = fol_io_wait(io->driver, least, bound);
    /* Which thread may use the driver was settled before the drive began. */
    FOL_ASSERT(status != -EBUSY);
    *is_silent = status == -ETIME && bound < until_ns;
    if (status == -EINTR) {
        fol_host_ask(scheduler, fol_cycles_now());
    } else {
        fol_host_poll(scheduler, fol_cycles_now());
    }
    return status;
}

static void end_silence(fol_scheduler *scheduler, int descriptor)
{
    if (descriptor >= 0) {
        fol_host_unwatch(scheduler);
    } else {
        fol_host_ask(scheduler, fol_cycles_now());
    }
}

/* The host watches meanwhile, by a descriptor, or need not. */
static int wait_silently(fol_frame_io *io, uint32_t least, uint64_t until_ns, int descriptor)
{
    fol_scheduler *scheduler = io->scheduler;
    fol_host_set_attached(scheduler, &scheduler->runners[0], false);
    fol_io_watch(io->driver, descriptor);
    int status = fol_io_wait(io->driver, least, until_ns);
    fol_io_watch(io->driver, NOTHING);
    FOL_ASSERT(status != -EBUSY);
    end_silence(scheduler, descriptor);
    return status;
}

/* Whether the host watches from here on: its descriptor, FOL_HOST_IS_SILENT, or why not. */
static int begin_silence(fol_scheduler *scheduler, bool *is_silent)
{
    /* What was cancelled ends soon; until then a second signal may come. */
    bool is_wanted = *is_silent && !fol_is_interrupted(scheduler);
    *is_silent = false;
    return is_wanted ? fol_host_watch(scheduler) : -EAGAIN;
}

static bool is_watching(int descriptor)
{
    return descriptor >= 0 || descriptor == FOL_HOST_IS_SILENT;
}

/* One wait, and a look at the host. *is_silent: the one before was a slice in which nothing
 * happened; false at first. */
static int wait_once(fol_frame_io *io, uint32_t least, uint64_t until_ns, bool *is_silent)
{
    int descriptor = begin_silence(io->scheduler, is_silent);
    if (descriptor == FOL_E_INTERRUPTED) {
        return -EINTR;
    }
    return is_watching(descriptor) ? wait_silently(io, least, until_ns, descriptor)
                                   : wait_slice(io, least, until_ns, is_silent);
}

/* The same without a driver. */
static void sleep_once(fol_scheduler *scheduler, uint64_t until_ns, bool *is_silent)
{
    const fol_clock *clock = &scheduler->config.clock;
    int descriptor = begin_silence(scheduler, is_silent);
    if (descriptor == FOL_E_INTERRUPTED) {
        return;
    }
    fol_host_set_attached(scheduler, &scheduler->runners[0], false);
    uint64_t now = clock_now(scheduler);
    if (is_watching(descriptor)) {
        struct pollfd watched = {.fd = descriptor, .events = POLLIN};
        (void)fol_poll_wait(&watched, descriptor >= 0, until_ns > now ? until_ns - now : 0);
        end_silence(scheduler, descriptor);
        return;
    }
    uint64_t bound = bound_wait(scheduler, until_ns);
    clock->wait_until_ns(clock->state, bound, UINT64_MAX);
    *is_silent = bound < until_ns && clock_now(scheduler) >= bound;
    fol_host_ask(scheduler, fol_cycles_now());
}

static void stop_slot(fol_frame_io *io, fol_io_slot *slot)
{
    if (slot->state == FOL_IO_SLOT_SENT) {
        slot->was_stopped = fol_io_cancel(io->driver, &slot->op);
    }
}

static void abandon_slot(fol_frame_io *io, fol_io_slot *slot)
{
    if (slot->state == FOL_IO_SLOT_SENT) {
        fol_io_abandon(io, slot);
    }
}

/* Calls `visit` for all that this cut waits for, or did. */
static void visit_awaited(fol_frame_io *io, bool is_phase_end,
                          void (*visit)(fol_frame_io *io, fol_io_slot *slot))
{
    for (uint32_t i = io->early_count; i < io->batch_count; i++) {
        fol_io_slot *slot = fol_io_slot_of(io->batch[i]);
        if (slot->until == FOL_IO_STAGE) {
            visit(io, slot);
        }
    }
    for (fol_io_slot *slot = is_phase_end ? io->in_phase.first : NULL; slot != NULL;
         slot = slot->next) {
        visit(io, slot);
    }
}

static uint32_t count_awaited(fol_frame_io *io, bool is_phase_end)
{
    fol_io_collect(io);
    return io->awaited_at_stage + (is_phase_end ? io->awaited_at_phase : 0);
}

/* Sends, and takes what comes at once, as what is read from memory does: without the clocks, the
 * announcements and the time limit of a wait, which cost as much as several such reads. Where that
 * was not all, or took more than the one system call of a wait, it is tried half as often each
 * time. True: what is awaited has come. */
static bool comes_at_once(fol_frame_io *io, bool is_phase_end)
{
    fol_scheduler *scheduler = io->scheduler;
    if (io->tries_left_out < io->tries_to_leave_out || fol_is_interrupted(scheduler)) {
        io->tries_left_out += 1;
        return false;
    }
    fol_host_set_attached(scheduler, &scheduler->runners[0], false);
    uint64_t calls = fol_io_system_calls(io->driver);
    fol_io_poll(io->driver);
    calls = fol_io_system_calls(io->driver) - calls;
    bool is_all = count_awaited(io, is_phase_end) == 0;
    uint32_t doubled = 2 * io->tries_to_leave_out + 1;
    doubled = doubled < MOST_LEFT_OUT ? doubled : MOST_LEFT_OUT;
    io->tries_left_out = 0;
    io->tries_to_leave_out = is_all && calls <= 1 ? 0 : doubled;
    fol_host_poll(scheduler, fol_cycles_now());
    return is_all;
}

/* The frame is to end: so must all that it waits for, within the grace or without it. A clock that
 * is not the machine's own bounds no wait; that comes back by itself now and then. */
static void stop_awaited(fol_frame_io *io, bool is_phase_end)
{
    fol_scheduler *scheduler = io->scheduler;
    uint64_t from_ns = fol_clock_monotonic.now_ns(fol_clock_monotonic.state);
    uint64_t passed_ns = 0;
    visit_awaited(io, is_phase_end, stop_slot);
    fol_host_set_attached(scheduler, &scheduler->runners[0], false);
    fol_io_poll(io->driver);
    uint32_t awaited = count_awaited(io, is_phase_end);
    while (awaited != 0 && passed_ns < GRACE_NS) {
        bool is_silent = false;
        uint64_t until_ns = is_monotonic(scheduler) ? from_ns + GRACE_NS : UINT64_MAX;
        wait_slice(io, awaited, until_ns, &is_silent);
        awaited = count_awaited(io, is_phase_end);
        passed_ns = fol_clock_monotonic.now_ns(fol_clock_monotonic.state) - from_ns;
    }
    io->stopping_ns = passed_ns;
    visit_awaited(io, is_phase_end, abandon_slot);
}

void fol_io_await(fol_frame_io *io, bool is_phase_end)
{
    bool is_silent = false;
    uint32_t awaited = count_awaited(io, is_phase_end);
    if (awaited == 0) {
        /* What later frames wait for is sent all the same. */
        fol_io_poll(io->driver);
        return;
    }
    if (comes_at_once(io, is_phase_end)) {
        return;
    }
    awaited = count_awaited(io, is_phase_end);
    while (awaited != 0) {
        if (fol_is_interrupted(io->scheduler)) {
            stop_awaited(io, is_phase_end);
            return;
        }
        wait_once(io, awaited, UINT64_MAX, &is_silent);
        awaited = count_awaited(io, is_phase_end);
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
    bool is_silent = false;
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
        int status = wait_once(io, 1, until, &is_silent);
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
    bool is_silent = false;
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
        wait_once(io, 1, until_ns, &is_silent);
        fol_io_collect(io);
    }
    return -ENOENT;
}

/* Nothing is in flight. */
static int sleep_until(fol_scheduler *scheduler, uint64_t until_ns)
{
    bool is_silent = false;
    while (clock_now(scheduler) < until_ns) {
        if (fol_is_interrupted(scheduler)) {
            return FOL_E_INTERRUPTED;
        }
        sleep_once(scheduler, until_ns, &is_silent);
    }
    return FOL_OK;
}

/* What both kinds of waits between frames begin with. */
static int begin_between(fol_scheduler *scheduler)
{
    int status = fol_begin_change(scheduler);
    if (status == FOL_OK) {
        scheduler->runners[0].is_attached = true;
        scheduler->last_poll = fol_cycles_now();
        atomic_store_explicit(&scheduler->is_interrupted, false, memory_order_relaxed);
    }
    return status;
}

static void end_between(fol_scheduler *scheduler)
{
    fol_host_set_attached(scheduler, &scheduler->runners[0], true);
    fol_end_change(scheduler);
}

/* -ENOENT: there is no I/O. */
static int wait_driving(fol_scheduler *scheduler, int (*wait)(fol_frame_io *io, uint64_t time_ns),
                        uint64_t time_ns)
{
    fol_frame_io *io = fol_io_of(scheduler);
    int status = io == NULL ? -ENOENT : fol_io_begin_drive(io);
    return status == FOL_OK ? wait(io, time_ns) : status;
}

int fol_scheduler_wait(fol_scheduler *scheduler, uint64_t timeout_ns)
{
    int status = begin_between(scheduler);
    if (status != FOL_OK) {
        return status;
    }
    status = wait_driving(scheduler, wait_for_later, timeout_ns);
    end_between(scheduler);
    return status;
}

int fol_scheduler_rest(fol_scheduler *scheduler, uint64_t until_ns)
{
    int status = begin_between(scheduler);
    if (status != FOL_OK) {
        return status;
    }
    status = wait_driving(scheduler, rest_until, until_ns);
    if (status == -ENOENT && until_ns != UINT64_MAX && is_monotonic(scheduler)) {
        status = sleep_until(scheduler, until_ns);
    }
    end_between(scheduler);
    return status;
}
