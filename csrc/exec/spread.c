/* Where threads of a pool sleep; see spread.h. */
#include "exec/spread.h"

#include <sched.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/assert.h"
#include "exec/worker.h"

#define WORD_BITS 64u

void fol_spread_note(fol_spread *spread)
{
    /* Relaxed: the header says what a note is worth. */
    fol_atomic_store(&spread->processor, sched_getcpu(), memory_order_relaxed);
    fol_atomic_store(&spread->woken_ns, fol_exec_now_ns(), memory_order_relaxed);
}

void fol_sleeping_place_init(fol_sleeping_place *place)
{
    place->avoided = -1;
    place->wakes = 0;
    place->narrow_size = 0;
}

/* The calling thread's affinity; how many bytes of it there are, 0 when the kernel does not say.
 * The C library's function fills all of the mask, which may be eight kilobytes. */
static size_t read_affinity(uint64_t *mask)
{
    long size = syscall(SYS_sched_getaffinity, 0, FOL_SPREAD_WORDS * sizeof(*mask), mask);
    return size > 0 ? (size_t)size : 0;
}

static bool set_affinity(const uint64_t *mask, size_t size)
{
    return syscall(SYS_sched_setaffinity, 0, size, mask) == 0;
}

void fol_sleeping_place_enter(fol_sleeping_place *place)
{
    FOL_ASSERT(place->narrow_size == 0);
    if (FOL_LIKELY(place->avoided < 0)) {
        return;
    }
    size_t size = read_affinity(place->whole);
    uint32_t avoided = (uint32_t)place->avoided;
    if (avoided / WORD_BITS >= size / sizeof(*place->whole)) {
        return;
    }
    memcpy(place->narrow, place->whole, size);
    place->narrow[avoided / WORD_BITS] &= ~(UINT64_C(1) << avoided % WORD_BITS);
    /* Refused where nothing is left. */
    if (set_affinity(place->narrow, size)) {
        place->narrow_size = size;
    }
}

static void widen(fol_sleeping_place *place)
{
    uint64_t now[FOL_SPREAD_WORDS];
    size_t size = place->narrow_size;
    place->narrow_size = 0;
    if (read_affinity(now) == size && memcmp(now, place->narrow, size) == 0) {
        /* Refused only where all of them are gone by now: then the kernel has chosen others. */
        (void)set_affinity(place->whole, size);
    }
}

/* Whether the thread was woken where its waker runs, and had to wait for it. */
static bool was_in_the_way(int32_t waker, const fol_spread *spread)
{
    if (waker < 0 || sched_getcpu() != waker) {
        return false;
    }
    uint64_t woken_ns = fol_atomic_load(&spread->woken_ns, memory_order_relaxed);
    uint64_t now_ns = fol_exec_now_ns();
    return now_ns > woken_ns && now_ns - woken_ns >= FOL_SPREAD_LATE_NS;
}

void fol_sleeping_place_leave(fol_sleeping_place *place, const fol_spread *spread)
{
    int32_t waker = fol_atomic_load(&spread->processor, memory_order_relaxed);
    if (was_in_the_way(waker, spread)) {
        place->avoided = waker;
        place->wakes = FOL_SPREAD_WAKES;
    } else if (place->avoided >= 0) {
        place->wakes -= 1;
        place->avoided = place->wakes > 0 ? waker : -1;
    }
    if (FOL_UNLIKELY(place->narrow_size > 0)) {
        widen(place);
    }
}
