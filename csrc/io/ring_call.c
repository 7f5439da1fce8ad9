/* The system calls of rings; see ring_call.h. */

#include "io/ring_call.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/thread.h"
#include "io/engine.h"

static_assert(sizeof(fol_ring_wait) == sizeof(struct io_uring_getevents_arg), "the kernel's own");

/* Calls left until the armed failure, 0 for none, and what it fails with. Both are a test's
 * switches: nothing is published through them, so relaxed order is enough. */
static _Atomic uint64_t failure_countdown;
static _Atomic int failure_errno;
static _Atomic bool failure_lasts;

void fol_ring_call_fail_from(uint64_t n, int error)
{
    fol_io_ring_fail_nth(n, error);
    atomic_store_explicit(&failure_lasts, true, memory_order_relaxed);
}

void fol_io_ring_fail_nth(uint64_t n, int error)
{
    atomic_store_explicit(&failure_lasts, false, memory_order_relaxed);
    atomic_store_explicit(&failure_errno, error, memory_order_relaxed);
    atomic_store_explicit(&failure_countdown, n, memory_order_relaxed);
}

bool fol_io_ring_failure_is_armed(void)
{
    return atomic_load_explicit(&failure_countdown, memory_order_relaxed) != 0;
}

/* 0, or the negative errno this call must fail with. */
static int refusal(void)
{
    uint64_t left = atomic_load_explicit(&failure_countdown, memory_order_relaxed);
    if (FOL_LIKELY(left == 0)) {
        return 0;
    }
    if (left == 1 && atomic_load_explicit(&failure_lasts, memory_order_relaxed)) {
        return -atomic_load_explicit(&failure_errno, memory_order_relaxed);
    }
    bool is_due = fol_countdown_hits(&failure_countdown);
    return is_due ? -atomic_load_explicit(&failure_errno, memory_order_relaxed) : 0;
}

/* Written while nobody else reads it; see ring_call.h. */
static fol_ring_lack lacking;

void fol_ring_call_lack(const fol_ring_lack *lack)
{
    lacking = lack != NULL ? *lack : (fol_ring_lack){0};
}

static bool enter_is_unknown(uint32_t flags, const fol_ring_wait *wait)
{
    bool has_argument = (flags & IORING_ENTER_EXT_ARG) != 0;
    return (has_argument && (lacking.features & IORING_FEAT_EXT_ARG) != 0) ||
           (wait != NULL && wait->min_wait_us != 0 &&
            (lacking.features & FOL_RING_FEAT_MIN_WAIT) != 0);
}

static bool register_is_unknown(uint32_t opcode)
{
    return opcode < 64 && (lacking.registers >> opcode & 1) != 0;
}

/* Of an answer to IORING_REGISTER_PROBE. */
static void forget_operations(const void *argument)
{
    struct io_uring_probe *answer = (struct io_uring_probe *)(uintptr_t)argument;
    for (uint32_t i = 0; lacking.operations != 0 && i < answer->ops_len; i++) {
        if (answer->ops[i].op >= lacking.operations) {
            answer->ops[i].flags = 0;
        }
    }
}

static int result_of(long value)
{
    return value < 0 ? -errno : (int)value;
}

int fol_ring_call_setup(uint32_t entries, struct io_uring *ring, struct io_uring_params *params)
{
    int refused = refusal();
    if (refused != 0) {
        return refused;
    }
    if ((params->flags & lacking.setup_flags) != 0) {
        return -EINVAL;
    }
    int status = io_uring_queue_init_params(entries, ring, params);
    if (status == 0) {
        params->features &= ~lacking.features;
        ring->features &= ~lacking.features;
    }
    return status;
}

int fol_ring_call_enter(int fd, uint32_t to_submit, uint32_t min_complete, uint32_t flags,
                        const fol_ring_wait *wait)
{
    int refused = refusal();
    if (FOL_UNLIKELY(refused != 0)) {
        return refused;
    }
    size_t size = 0;
    if (wait != NULL) {
        flags |= IORING_ENTER_EXT_ARG;
        size = sizeof *wait;
    }
    if (FOL_UNLIKELY(lacking.features != 0) && enter_is_unknown(flags, wait)) {
        return -EINVAL;
    }
    return result_of(syscall(__NR_io_uring_enter, fd, to_submit, min_complete, flags, wait, size));
}

int fol_ring_call_register(int fd, uint32_t opcode, const void *argument, uint32_t count)
{
    int refused = refusal();
    if (refused != 0) {
        return refused;
    }
    if (register_is_unknown(opcode)) {
        return -EINVAL;
    }
    int status = result_of(syscall(__NR_io_uring_register, fd, opcode, argument, count));
    if (status >= 0 && opcode == IORING_REGISTER_PROBE) {
        forget_operations(argument);
    }
    return status;
}

int fol_ring_call_eventfd(void)
{
    int refused = refusal();
    /* Not non-blocking: the ring would answer a read with -EAGAIN in place of waiting. */
    return refused != 0 ? refused : result_of(eventfd(0, EFD_CLOEXEC));
}

int fol_ring_call_pipe(int ends[2])
{
    int refused = refusal();
    return refused != 0 ? refused : result_of(pipe2(ends, O_CLOEXEC));
}
