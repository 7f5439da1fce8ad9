/* A hierarchical timer wheel: deadlines in nanoseconds, inserted and cancelled in constant time.
 *
 * Source: Varghese and Lauck, "Hashed and hierarchical timing wheels", SOSP 1987; levels of 64
 * slots with one word of occupied bits each, as in the kernel's and in tokio's.
 *
 * Timers are exact: a slot is a range of time, and those that are not due when it is reached move
 * down a level; the last level's slots are sorted when they are reached. So fol_timer_wheel_expire
 * gives each timer at the first call whose `now` is not before its deadline, in order of (deadline,
 * insertion), and never earlier.
 *
 * Not thread-safe. Timers are the owner's storage.
 */
#ifndef FOL_STRUCTURES_TIMER_WHEEL_H
#define FOL_STRUCTURES_TIMER_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

typedef struct fol_timer fol_timer;
struct fol_timer {
    fol_timer *next;
    fol_timer *previous; /* NULL: not in a wheel */
    uint64_t deadline_ns;
    uint64_t sequence;
    uint32_t place; /* the wheel's own */
};

typedef struct fol_timer_wheel fol_timer_wheel;

/* -ENOMEM. now_ns must not go back afterwards. */
int fol_timer_wheel_create(uint64_t now_ns, fol_timer_wheel **out);
/* Timers that are left belong to their owners. */
void fol_timer_wheel_destroy(fol_timer_wheel *wheel);

/* The timer is in no wheel. A deadline that has passed is due at once. */
void fol_timer_wheel_add(fol_timer_wheel *wheel, fol_timer *timer, uint64_t deadline_ns);
/* Fine for a timer that is in none. */
void fol_timer_wheel_remove(fol_timer_wheel *wheel, fol_timer *timer);
bool fol_timer_is_set(const fol_timer *timer);

/* Takes out the next timer that is due at now_ns, or NULL. */
fol_timer *fol_timer_wheel_expire(fol_timer_wheel *wheel, uint64_t now_ns);
/* The earliest deadline, exactly; UINT64_MAX for none. */
uint64_t fol_timer_wheel_next(fol_timer_wheel *wheel);
uint64_t fol_timer_wheel_count(const fol_timer_wheel *wheel);

/* Under FOL_VERIFY. */
void fol_timer_wheel_invariants(const fol_timer_wheel *wheel);

#endif
