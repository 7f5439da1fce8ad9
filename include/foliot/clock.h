/* The clock is a parameter: real, virtual, or supplied by the caller.
 *
 * now_ns is monotonic and callable from any thread. wait_until_ns blocks until the clock reaches
 * the deadline or at most max_wait_ns real nanoseconds passed, whichever is first; it may return
 * early (a signal), so callers look at the clock again.
 */
#ifndef FOLIOT_CLOCK_H
#define FOLIOT_CLOCK_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fol_clock {
    void *state;
    uint64_t (*now_ns)(void *state);
    void (*wait_until_ns)(void *state, uint64_t deadline_ns, uint64_t max_wait_ns);
} fol_clock;

/* CLOCK_MONOTONIC. state is unused. */
extern const fol_clock fol_clock_monotonic;

/* A clock that stands still until it is advanced; waiting advances it to the deadline. Thread-safe.
 */
typedef struct fol_virtual_clock {
    uint64_t now_ns; /* atomic access only, through the functions below */
} fol_virtual_clock;

void fol_virtual_clock_init(fol_virtual_clock *clock, uint64_t start_ns);
void fol_virtual_clock_advance(fol_virtual_clock *clock, uint64_t by_ns);
/* The returned clock points at `clock`, which must outlive it. */
fol_clock fol_virtual_clock_face(fol_virtual_clock *clock);

#ifdef __cplusplus
}
#endif

#endif
