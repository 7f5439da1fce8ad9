/* A bounded queue for many producers and many consumers: work from outside.
 *
 * Vyukov's array queue: each cell carries the turn it is good for, so that a producer and a
 * consumer of different cells never meet. First in, first out for each producer; no lock, and a
 * thread that stops inside a call holds up only its own cell.
 *
 * Items are pointers, never NULL. Any thread may call anything but init and deinit.
 */
#ifndef FOL_STRUCTURES_INJECTOR_H
#define FOL_STRUCTURES_INJECTOR_H

#include <stdbool.h>
#include <stdint.h>

typedef struct fol_injector fol_injector;

/* capacity is rounded up to a power of two, at least 2. -ENOMEM. */
int fol_injector_init(fol_injector *injector, uint32_t capacity);
void fol_injector_deinit(fol_injector *injector);

/* False when it is full. */
bool fol_injector_push(fol_injector *injector, void *item);
/* NULL when it is empty. */
void *fol_injector_pop(fol_injector *injector);
/* About: exact when nobody moves. */
uint32_t fol_injector_count(const fol_injector *injector);

#endif
