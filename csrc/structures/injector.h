/* A bounded queue for many producers and many consumers: work from outside.
 *
 * Vyukov's array queue: each cell carries the turn it is good for, so that a producer and a
 * consumer of different cells never meet. First in, first out for each producer; no lock, and a
 * thread that stops inside a call holds up only its own cell: the queue looks empty (or full) from
 * there on until that thread goes on. So who pushes tells sleepers after its push, as always, and
 * no item is forgotten.
 *
 * Items are pointers, never NULL. Any thread may call anything but init and deinit.
 *
 * Why each item comes out once, whole. Cell i of position p (p modulo the capacity is i) is free
 * for its producer when turn == p, and full for its consumer when turn == p + 1; the consumer sets
 * it to p + capacity, which is the producer's turn one round later. Positions are given out by
 * compare-and-swap of tail and head, each once. Turn is stored with release order and loaded with
 * acquire order, so whoever has a cell's turn sees all that was done to the cell before: producers
 * an emptied cell, consumers the item and what it points to. Positions themselves order nothing,
 * so their swaps are relaxed.
 */
#ifndef FOL_STRUCTURES_INJECTOR_H
#define FOL_STRUCTURES_INJECTOR_H

#include <assert.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/atomics.h"
#include "base/memory.h"

typedef struct fol_injector_cell {
    FOL_ATOMIC(uint64_t) turn;
    FOL_PLAIN(void *) item;
} fol_injector_cell;

/* Every field belongs to injector.c; alignment: a cache line. */
typedef struct fol_injector {
    alignas(FOL_CACHE_LINE) FOL_ATOMIC(uint64_t) head; /* next position to take from */
    alignas(FOL_CACHE_LINE) FOL_ATOMIC(uint64_t) tail; /* next position to put at */
    alignas(FOL_CACHE_LINE) fol_injector_cell *cells;
    uint64_t mask; /* capacity - 1, a power of two less one */
} fol_injector;

#ifndef FOL_MODEL
static_assert(sizeof(fol_injector) == 3 * FOL_CACHE_LINE, "consumers, producers, constants");
static_assert(sizeof(fol_injector_cell) == 2 * sizeof(uint64_t), "four cells a line");
#endif

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
