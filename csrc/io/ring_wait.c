/* Waiting for completions, and ending a wait from elsewhere.
 *
 * One system call sends what is queued and waits. A read of an eventfd is armed in the ring, so a
 * wake is a completion like any other. With `least` above 1 the kernel would go on waiting after
 * it, so such a wait asks for any completion after a short while; where the kernel cannot, one
 * completion is enough from the start.
 *
 * Wakes. wake_is_due is set by who wakes and cleared when the completion of the read is taken; only
 * who sets it writes to the eventfd. No wake is lost: a waker that finds it set comes before the
 * clearing in the order of these exchanges, so the thread that clears it, which then looks for
 * news, sees what that waker published. wake_lock keeps the descriptor open under a waker while
 * another thread takes the ring over.
 */

#include <errno.h>
#include <unistd.h>

#include "io/ring.h"

#define NS_PER_S     UINT64_C(1000000000)
#define MANY_WAIT_US 1000
#define BACK_OFF_NS  UINT64_C(1000000)
#define WRITE_TRIES  16

int fol_ring_wake_init(fol_io_ring *ring)
{
    int fd = fol_ring_call_eventfd();
    if (fd < 0) {
        return fd;
    }
    int error = pthread_mutex_init(&ring->wake_lock, NULL);
    if (error != 0) {
        close(fd);
        return -error;
    }
    ring->wake_fd = fd;
    atomic_init(&ring->wake_is_due, false);
    return FOL_OK;
}

void fol_ring_wake_deinit(fol_io_ring *ring)
{
    close(ring->wake_fd);
    ring->wake_fd = -1;
    pthread_mutex_destroy(&ring->wake_lock);
}

int fol_ring_wake_renew(fol_io_ring *ring)
{
    int fd = fol_ring_call_eventfd();
    if (fd < 0) {
        return fd;
    }
    pthread_mutex_lock(&ring->wake_lock);
    int old = ring->wake_fd;
    ring->wake_fd = fd;
    pthread_mutex_unlock(&ring->wake_lock);
    close(old);
    ring->wake_is_stale = false;
    /* A wake that the old ring took would be lost: one wait ends for nothing instead. Pairs with
     * the exchange in wake. */
    ring->is_woken |= atomic_exchange_explicit(&ring->wake_is_due, false, memory_order_acq_rel);
    return FOL_OK;
}

void fol_ring_wake_up(fol_io_engine *engine)
{
    fol_io_ring *ring = fol_ring_of(engine);
    /* Releases what the caller published; pairs with the exchange that clears it. */
    if (atomic_exchange_explicit(&ring->wake_is_due, true, memory_order_acq_rel)) {
        return;
    }
    const uint64_t one = 1;
    ssize_t written = -1;
    pthread_mutex_lock(&ring->wake_lock);
    for (int attempt = 0; attempt < WRITE_TRIES && written < 0; attempt++) {
        written = write(ring->wake_fd, &one, sizeof one);
    }
    pthread_mutex_unlock(&ring->wake_lock);
    FOL_ASSERT(written == sizeof one);
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static uint32_t ready_count(const fol_io_ring *ring)
{
    /* Pairs with the kernel's release of the tail. */
    return io_uring_smp_load_acquire(ring->ring.cq.ktail) - ring->cq_head;
}

/* Sends what is queued and waits; as io_uring_enter. */
static int send_and_wait(fol_io_ring *ring, uint32_t least, uint64_t timeout_ns)
{
    struct __kernel_timespec limit = {.tv_sec = (long long)(timeout_ns / NS_PER_S),
                                      .tv_nsec = (long long)(timeout_ns % NS_PER_S)};
    fol_ring_wait wait = {.min_wait_us = least > 1 ? MANY_WAIT_US : 0,
                          .timeout = timeout_ns == UINT64_MAX ? 0 : (uintptr_t)&limit};
    if (ring->is_polled) {
        int status = fol_ring_send(ring);
        return status != FOL_OK ? status
                                : fol_ring_enter(ring, 0, least, IORING_ENTER_GETEVENTS, &wait);
    }
    /* Pairs with the kernel's acquire: the entries are whole. */
    io_uring_smp_store_release(ring->ring.sq.ktail, ring->sq_tail);
    int status =
        fol_ring_enter(ring, ring->sq_tail - ring->sq_sent, least, IORING_ENTER_GETEVENTS, &wait);
    /* Only this system call moves the head. */
    ring->sq_sent = IO_URING_READ_ONCE(*ring->ring.sq.khead);
    if (ring->sq_sent == ring->sq_tail) {
        ring->sq_base = ring->sq_tail;
    }
    return status;
}

/* The kernel has no room for what is queued: takes what came, or waits a little for some. */
static int back_off(fol_io_ring *ring, uint64_t timeout_ns)
{
    uint64_t limit_ns = timeout_ns < BACK_OFF_NS ? timeout_ns : BACK_OFF_NS;
    struct __kernel_timespec limit = {.tv_nsec = (long long)limit_ns};
    const fol_ring_wait wait = {.timeout = (uintptr_t)&limit};
    fol_ring_count(&ring->base.counters.retries, 1);
    int status = fol_ring_enter(ring, 0, 1, IORING_ENTER_GETEVENTS, &wait);
    return status == -EINTR ? status : FOL_OK;
}

/* What a wait says after its system call gave `status`. */
static int outcome(fol_io_ring *ring, int status, bool had_unsent, uint64_t since_ns,
                   uint64_t timeout_ns)
{
    switch (status) {
    case -ETIME:
        return ready_count(ring) > 0 ? FOL_OK : -ETIME;
    case -EINTR:
        return -EINTR;
    case -EAGAIN:
    case -EBUSY:
        return back_off(ring, timeout_ns);
    default:
        break;
    }
    if (status < 0) {
        if (ring->broken == FOL_OK) {
            fol_ring_break(ring, status);
        }
        return status;
    }
    if (!ring->is_polled && ring->sq_tail != ring->sq_sent) {
        /* It stopped at an entry it refused, and did not wait. */
        return fol_ring_send(ring);
    }
    if (!had_unsent || ready_count(ring) > 0) {
        return FOL_OK;
    }
    /* It tells how many were sent, and not why it ended without a completion. */
    bool is_over = timeout_ns != UINT64_MAX && now_ns() - since_ns >= timeout_ns;
    return is_over ? -ETIME : -EINTR;
}

int fol_ring_wait_for(fol_io_engine *engine, uint32_t least, uint64_t timeout_ns)
{
    fol_io_ring *ring = fol_ring_of(engine);
    if (FOL_UNLIKELY(!ring->is_ready)) {
        int status = engine->ops->adopt(engine);
        if (status != FOL_OK) {
            return status;
        }
    }
    fol_ring_serve(ring);
    if (!ring->is_ready) {
        return ring->broken;
    }
    if (least > engine->in_flight) {
        least = engine->in_flight;
    }
    if (least == 0 || !ring->can_wait_for_many) {
        least = 1;
    }
    if (ring->is_woken || ring->early_count > 0 || ready_count(ring) >= least) {
        ring->is_woken = false;
        ring->cq_announced = ring->cq_head + ready_count(ring);
        return fol_ring_send(ring);
    }
    bool had_unsent = !ring->is_polled && ring->sq_tail != ring->sq_sent;
    bool is_timed = had_unsent && timeout_ns != UINT64_MAX;
    uint64_t since_ns = is_timed ? now_ns() : 0;
    int status = send_and_wait(ring, least, timeout_ns);
    status = outcome(ring, status, had_unsent, since_ns, timeout_ns);
    if (ring->is_ready) {
        ring->cq_announced = ring->cq_head + ready_count(ring);
    }
    return status;
}
