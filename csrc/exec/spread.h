/* Where threads of a pool sleep: not on the processor of who wakes them.
 *
 * Linux leaves a woken thread on the processor on which it slept when it finds no idle one at a
 * cheap look, and in a virtual machine one that has been idle for a while does not count as idle.
 * When it slept on the waker's, which goes on, it waits until the waker sleeps: some milliseconds,
 * beside a processor that does nothing; and since it then runs and sleeps there, so it goes at each
 * wake. Two workers on two processors are no faster than one then, in frames at a fixed rate.
 *
 * So a waker notes where it runs and when it wakes. A thread that finds that it was woken there,
 * and late, sleeps with that processor taken out of its affinity from then on. It has its whole
 * affinity whenever it is awake, since what it calls may start threads and processes, which
 * inherit it; and if somebody else changes its affinity while it sleeps, that stays. After
 * FOL_SPREAD_WAKES wakes it tries without again. With one processor there is nothing to take out.
 *
 * A note is a hint: one that belongs to another wake makes a thread sleep elsewhere for nothing.
 */
#ifndef FOL_EXEC_SPREAD_H
#define FOL_EXEC_SPREAD_H

#include <stddef.h>
#include <stdint.h>

#include "base/atomics.h"

/* A wake takes 5 to 40 us where nobody is in its way. */
#define FOL_SPREAD_LATE_NS UINT64_C(100000)
#define FOL_SPREAD_WAKES   256u
/* As many processors as any kernel has. */
#define FOL_SPREAD_WORDS 1024u

/* Of the last wake. Written by wakers, one at a time or not; read by who was woken. */
typedef struct fol_spread {
    FOL_ATOMIC(int32_t) processor;
    FOL_ATOMIC(uint64_t) woken_ns;
} fol_spread;

/* A thread's own. */
typedef struct fol_sleeping_place {
    int32_t avoided;    /* a processor; -1: none */
    uint32_t wakes;     /* until it is forgotten */
    size_t narrow_size; /* bytes of the masks; 0: the affinity is whole */
    uint64_t whole[FOL_SPREAD_WORDS];
    uint64_t narrow[FOL_SPREAD_WORDS];
} fol_sleeping_place;

/* The waker, before it wakes. */
void fol_spread_note(fol_spread *spread);

void fol_sleeping_place_init(fol_sleeping_place *place);
/* Before the thread makes ready to sleep, and after it slept or did not. */
void fol_sleeping_place_enter(fol_sleeping_place *place);
void fol_sleeping_place_leave(fol_sleeping_place *place, const fol_spread *spread);

#endif
