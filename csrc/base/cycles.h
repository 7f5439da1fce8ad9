/* A counter cheaper than a clock, for stamping every system of a frame.
 *
 * The unit is unknown: a reader takes (counter, clock) pairs at both ends of a stretch and scales
 * by their ratio (fol_cycles_scale), so no calibration is kept and none can go stale. On x86-64 it
 * is the time stamp counter (about half the cost of clock_gettime), on AArch64 the
 * virtual counter, elsewhere the monotonic clock itself. Differences may be negative when a thread
 * moves between processors with unsynchronised counters: readers clamp at zero.
 */
#ifndef FOL_BASE_CYCLES_H
#define FOL_BASE_CYCLES_H

#include <stdint.h>
#include <time.h>

static inline uint64_t fol_cycles_now(void)
{
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    uint64_t value;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(value));
    return value;
#else
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
#endif
}

/* Nanoseconds for a difference of counter values. */
static inline uint64_t fol_cycles_scale(uint64_t from, uint64_t to, double ns_per_cycle)
{
    return to > from ? (uint64_t)((double)(to - from) * ns_per_cycle) : 0;
}

#endif
