/* How the driver waits, and is woken.
 *
 * Where. With requests in flight it waits in an engine, up to the next deadline; with timers alone,
 * or nothing, on a word of its own, or, when the clock is not the machine's, as that clock says. A
 * clock that is not the machine's moves to the next deadline when the engines were silent for that
 * long.
 *
 * Both engines at once. The ring is waited in, and looks at the pool: a poll request of the ring
 * stands on the pool's notice_fd. No completion is missed: the request is there before the wait
 * begins; the kernel looks at the descriptor when the request is started, so a completion before
 * that ends the wait at once, and one after it completes the request. A request that fired is
 * started anew before the next wait, and the pool was reaped in between until it had no more. The
 * ring keeps room for this one request, whatever else is in flight. A ring that died is not waited
 * in: the pool is, or the word, for short times until what is in flight has ended.
 *
 * Waking. fol_io_wake sets is_woken, then looks where the driver sleeps, and wakes it there. The
 * driver says where it will sleep, then looks at is_woken, then sleeps. All four are sequentially
 * consistent, so at least one of the two sees the other: either the driver sees is_woken and does
 * not sleep, or the waker sees the engine, whose wake ends a wait that begins later, too, or the
 * word, on which the kernel does not let it sleep when is_woken is set; or the driver's descriptor
 * in place of the word, which stays readable until the driver has read it. Engines and descriptor
 * live until destroy.
 */

#include <errno.h>
#include <poll.h>

#include "base/assert.h"
#include "base/futex.h"
#include "foliot/status.h"
#include "io/driver_state.h"

/* Waits of an engine in one fol_io_wait; each ends with something that is done. */
#define TURNS      65536
#define POLL_TURNS 64
/* Timers that end before a wait: their owner sees to them while they are in the cache. */
#define EXPIRE_ROOM  256
#define LINED_NS     UINT64_C(1000000)
#define DISARM_TURNS 16
#define DISARM_NS    UINT64_C(1000000)
/* How long the wait of a clock that a wake cannot end, and the look at a dead ring, may be. */
#define SLICE_NS UINT64_C(20000000)
/* How long the owner, whose clock it is, waits for a look at that. */
#define FOREIGN_NS UINT64_C(80000000)

static bool was_woken(fol_io *io)
{
    /* Sequentially consistent with fol_io_wake; see the top of the file. */
    return fol_atomic_load(&io->is_woken, memory_order_seq_cst) != 0;
}

void fol_io_wake(fol_io *io)
{
    /* The order of these is the argument at the top of the file. */
    fol_atomic_store(&io->is_woken, 1, memory_order_seq_cst);
    fol_io_engine *engine = fol_atomic_load(&io->sleeps_in, memory_order_seq_cst);
    if (engine != NULL) {
        engine->ops->wake(engine);
    }
    uint32_t sleep = fol_atomic_load(&io->sleeps_on_word, memory_order_seq_cst);
    if (sleep == FOL_IO_SLEEPS_IN_POLL) {
        fol_io_watch_wake(io);
    } else if (sleep == FOL_IO_SLEEPS_ON_WORD) {
        (void)fol_futex_wake(&io->is_woken, 1);
    }
}

/* Takes what completed, ends what is overdue, and starts what can be started now, last, so that a
 * wait finds all in flight. What was started is not flushed: the wait does that. */
static void make_progress(fol_io *io)
{
    (void)fol_io_reap(io);
    fol_io_expire(io, EXPIRE_ROOM);
    fol_io_send(io);
}

static bool is_busy(const fol_io_lane *lane)
{
    return lane->flying > 0;
}

/* False: the wait may be short only. */
static bool arm_notice(fol_io *io)
{
    if (io->is_notice_armed) {
        return true;
    }
    fol_io_engine *ring = fol_io_lane_engine(&io->lanes[FOL_IO_LANE_RING]);
    fol_io_engine *pool = fol_io_lane_engine(&io->lanes[FOL_IO_LANE_POOL]);
    if (pool->notice_fd < 0) {
        return false;
    }
    io->notice = (fol_io_request){.kind = FOL_IO_POLL, .fd = pool->notice_fd, .options = POLLIN};
    io->is_notice_armed = ring->ops->start(ring, &io->notice, FOL_IO_NOTICE) == FOL_OK;
    return io->is_notice_armed;
}

static bool has_looks(const fol_io *io, const fol_io_lane *lane)
{
    bool is_ring = lane == &io->lanes[FOL_IO_LANE_RING];
    return lane->is_watching || (is_ring && io->is_notice_armed);
}

static void disarm_lane(fol_io *io, fol_io_lane *lane)
{
    if (lane->death != 0 || is_busy(lane) || fol_io_lane_use(io, lane) != FOL_OK) {
        return;
    }
    fol_io_engine *engine = fol_io_lane_engine(lane);
    if (lane == &io->lanes[FOL_IO_LANE_RING] && io->is_notice_armed) {
        engine->ops->cancel(engine, FOL_IO_NOTICE);
    }
    if (lane->is_watching) {
        engine->ops->cancel(engine, FOL_IO_WATCH);
    }
    for (uint32_t turn = 0; turn < DISARM_TURNS && has_looks(io, lane); turn++) {
        int status = engine->ops->wait(engine, 1, DISARM_NS);
        if (status < 0 && status != -ETIME && status != -EINTR) {
            fol_io_lane_die(io, lane, status);
            return;
        }
        (void)fol_io_reap(io);
    }
}

/* A ring with nothing else in flight can be another thread's next time, so it keeps no looks at the
 * pool and at what is watched. */
static void disarm_looks(fol_io *io)
{
    for (uint32_t index = 0; index < FOL_IO_LANES; index++) {
        if (FOL_UNLIKELY(has_looks(io, &io->lanes[index]))) {
            disarm_lane(io, &io->lanes[index]);
        }
    }
}

void fol_io_poll(fol_io *io)
{
    /* Bounded; with operations of several steps each turn takes one further step. */
    for (uint32_t turn = 0; turn < POLL_TURNS; turn++) {
        fol_io_send(io);
        fol_io_flush(io);
        if (!fol_io_reap(io)) {
            break;
        }
    }
    fol_io_expire(io, UINT32_MAX);
    fol_io_send(io);
    disarm_looks(io);
    fol_io_flush(io);
    FOL_CHECK_INVARIANTS(fol_io_invariants(io));
}

static bool is_machine_clock(const fol_io *io)
{
    return io->config.clock.now_ns == fol_clock_monotonic.now_ns;
}

static uint64_t now_of(const fol_io *io)
{
    return io->config.clock.now_ns(io->config.clock.state);
}

/* Nothing is in flight, or nothing that could be waited for. */
static int wait_on_word(fol_io *io, uint64_t target, uint64_t at_most_ns)
{
    uint64_t timeout = at_most_ns;
    if (target != UINT64_MAX && is_machine_clock(io)) {
        uint64_t now = now_of(io);
        if (target <= now) {
            return FOL_OK;
        }
        timeout = target - now < at_most_ns ? target - now : at_most_ns;
    } else if (target != UINT64_MAX) {
        io->config.clock.wait_until_ns(io->config.clock.state, target,
                                       SLICE_NS < at_most_ns ? SLICE_NS : at_most_ns);
        return now_of(io) < target ? -EINTR : FOL_OK;
    }
    bool is_watched = io->watched >= 0;
    if (is_watched && !fol_io_watch_word(io)) {
        return -EINTR;
    }
    uint32_t sleep = is_watched ? FOL_IO_SLEEPS_IN_POLL : FOL_IO_SLEEPS_ON_WORD;
    /* Sequentially consistent with fol_io_wake; see the top of the file. */
    fol_atomic_store(&io->sleeps_on_word, sleep, memory_order_seq_cst);
    int status = FOL_OK;
    if (!was_woken(io) && is_watched) {
        status = fol_io_watch_sleep(io, timeout);
    } else if (!was_woken(io)) {
        /* No limit is 0 to a futex. */
        status = fol_futex_wait(&io->is_woken, 0, timeout == UINT64_MAX ? 0 : timeout);
    }
    fol_atomic_store(&io->sleeps_on_word, FOL_IO_IS_AWAKE, memory_order_seq_cst);
    return status == -EINTR ? -EINTR : FOL_OK;
}

static bool is_lined(const fol_io_lane *lane)
{
    return lane->begun.count + lane->files.count + lane->fresh.count > 0;
}

/* How many completions it makes sense to wait for: one, where one may be the last for long or lets
 * another begin. */
static uint32_t least_of(const fol_io_lane *lane, uint32_t least)
{
    if (is_lined(lane) || lane->open_ended > 0 || least <= 1) {
        return 1;
    }
    return least < lane->flying ? least : lane->flying;
}

/* A wait in an engine for the time that is left of the silence after which a clock moves, of which
 * `waited_ns` have passed now, without anything that came. */
static int move_clock(fol_io *io, uint64_t target, uint64_t left_ns, uint64_t waited_ns)
{
    io->silent_ns += waited_ns;
    if (waited_ns < left_ns) {
        return -EINTR;
    }
    io->silent_ns = 0;
    io->config.clock.wait_until_ns(io->config.clock.state, target, 0);
    return now_of(io) < target ? -EINTR : FOL_OK;
}

/* In real time; how long until the target, as far as that is known. */
static uint64_t time_left(const fol_io *io, uint64_t target)
{
    if (target == UINT64_MAX) {
        return UINT64_MAX;
    }
    uint64_t now = now_of(io);
    uint64_t left = target > now ? target - now : 0;
    uint64_t silent = is_machine_clock(io) ? 0 : io->silent_ns;
    return left > silent ? left - silent : 0;
}

static int wait_in(fol_io *io, fol_io_lane *lane, uint32_t least, uint64_t target,
                   uint64_t at_most_ns)
{
    fol_io_engine *engine = fol_io_lane_engine(lane);
    int status = fol_io_lane_use(io, lane);
    if (status != FOL_OK) {
        return status == -EBUSY ? -EBUSY : FOL_OK;
    }
    if (io->watched >= 0 && !fol_io_watch_arm(io, lane)) {
        return -EINTR;
    }
    uint64_t left = time_left(io, target);
    uint64_t timeout = left < at_most_ns ? left : at_most_ns;
    /* Sequentially consistent with fol_io_wake; see the top of the file. */
    fol_atomic_store(&io->sleeps_in, engine, memory_order_seq_cst);
    if (was_woken(io)) {
        timeout = 0;
    }
    status = engine->ops->wait(engine, least, timeout);
    lane->unsent = 0;
    fol_atomic_store(&io->sleeps_in, NULL, memory_order_seq_cst);
    if (status == -ETIME) {
        return is_machine_clock(io) ? FOL_OK : move_clock(io, target, left, timeout);
    }
    if (status >= 0) {
        io->silent_ns = 0;
    }
    if (status < 0 && status != -EINTR) {
        fol_io_lane_die(io, lane, status);
        return FOL_OK;
    }
    return status;
}

/* Waits once, where it makes sense. */
static int wait_once(fol_io *io, uint32_t least, uint64_t until_ns)
{
    fol_io_lane *ring = &io->lanes[FOL_IO_LANE_RING];
    fol_io_lane *pool = &io->lanes[FOL_IO_LANE_POOL];
    uint64_t next = fol_timer_wheel_next(io->wheel);
    uint64_t target = next < until_ns ? next : until_ns;
    bool ring_is_dead = is_busy(ring) && ring->death != 0;
    bool pool_is_dead = is_busy(pool) && pool->death != 0;
    uint64_t at_most = is_machine_clock(io) ? UINT64_MAX : FOREIGN_NS;
    at_most = ring_is_dead || pool_is_dead ? SLICE_NS : at_most;
    bool waits_in_ring = is_busy(ring) && !ring_is_dead;
    bool waits_in_pool = is_busy(pool) && !pool_is_dead;
    if (waits_in_ring && waits_in_pool) {
        fol_io_flush(io);
        if (ring->death != 0 || fol_io_reap(io)) {
            return FOL_OK;
        }
        if (!arm_notice(io)) {
            at_most = SLICE_NS / 20;
        }
        return wait_in(io, ring, 1, target, at_most);
    }
    if (waits_in_ring) {
        return wait_in(io, ring, least_of(ring, least), target, at_most);
    }
    if (waits_in_pool) {
        return wait_in(io, pool, least_of(pool, least), target, at_most);
    }
    if (is_lined(ring) || is_lined(pool)) {
        /* An engine that takes nothing though it has nothing is asked again soon. */
        at_most = LINED_NS;
        target = UINT64_MAX;
    }
    return wait_on_word(io, target, at_most);
}

int fol_io_wait(fol_io *io, uint32_t least, uint64_t until_ns)
{
    int status = FOL_OK;
    /* Before the first look at what has come: one system call sends, and takes that along. */
    fol_io_send(io);
    for (uint32_t turn = 0; turn < TURNS && status == FOL_OK; turn++) {
        make_progress(io);
        if (io->first_news != NULL) {
            break;
        }
        if (io->has_spoken) {
            io->has_spoken = false;
            status = -EINTR;
            break;
        }
        /* Sequentially consistent with fol_io_wake; see the top of the file. */
        if (was_woken(io)) {
            fol_atomic_store(&io->is_woken, 0, memory_order_seq_cst);
            break;
        }
        if (until_ns != UINT64_MAX && now_of(io) >= until_ns) {
            status = -ETIME;
            break;
        }
        status = io->is_refused ? -EBUSY : wait_once(io, least, until_ns);
    }
    disarm_looks(io);
    fol_io_flush(io);
    FOL_CHECK_INVARIANTS(fol_io_invariants(io));
    return status;
}
