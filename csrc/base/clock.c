/* The monotonic clock of the machine and the virtual clock for tests; see foliot/clock.h. */

#include "foliot/clock.h"

#include <time.h>

#define NS_PER_SECOND UINT64_C(1000000000)

static uint64_t monotonic_now(void *state)
{
    (void)state;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_SECOND + (uint64_t)now.tv_nsec;
}

static void monotonic_wait(void *state, uint64_t deadline_ns, uint64_t max_wait_ns)
{
    uint64_t now = monotonic_now(state);
    if (deadline_ns <= now) {
        return;
    }
    uint64_t end = deadline_ns - now > max_wait_ns ? now + max_wait_ns : deadline_ns;
    struct timespec until = {.tv_sec = (time_t)(end / NS_PER_SECOND),
                             .tv_nsec = (long)(end % NS_PER_SECOND)};
    /* A signal ends the sleep early, which the contract allows. */
    (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

const fol_clock fol_clock_monotonic = {
    .state = NULL, .now_ns = monotonic_now, .wait_until_ns = monotonic_wait};

static uint64_t virtual_now(void *state)
{
    fol_virtual_clock *clock = state;
    /* Pairs with the release in fol_virtual_clock_advance: who sees the time sees what was done
     * before it was advanced. */
    return __atomic_load_n(&clock->now_ns, __ATOMIC_ACQUIRE);
}

static void virtual_wait(void *state, uint64_t deadline_ns, uint64_t max_wait_ns)
{
    fol_virtual_clock *clock = state;
    (void)max_wait_ns;
    uint64_t now = virtual_now(state);
    /* Bounded: every failed exchange means another thread moved the clock forward. */
    while (now < deadline_ns &&
           /* Release pairs with the acquire in virtual_now. */
           !__atomic_compare_exchange_n(&clock->now_ns, &now, deadline_ns, 0, __ATOMIC_RELEASE,
                                        __ATOMIC_ACQUIRE)) {
    }
}

void fol_virtual_clock_init(fol_virtual_clock *clock, uint64_t start_ns)
{
    __atomic_store_n(&clock->now_ns, start_ns, __ATOMIC_RELAXED);
}

void fol_virtual_clock_advance(fol_virtual_clock *clock, uint64_t by_ns)
{
    /* Release pairs with the acquire in virtual_now. */
    __atomic_fetch_add(&clock->now_ns, by_ns, __ATOMIC_RELEASE);
}

fol_clock fol_virtual_clock_face(fol_virtual_clock *clock)
{
    return (fol_clock){.state = clock, .now_ns = virtual_now, .wait_until_ns = virtual_wait};
}
