/* The injector: an array of cells with turns; injector.h has the argument. */

#include "structures/injector.h"

#include <errno.h>
#include <stddef.h>

int fol_injector_init(fol_injector *injector, uint32_t capacity)
{
    uint64_t rounded = 2;
    while (rounded < capacity) {
        rounded *= 2;
    }
    fol_injector_cell *cells =
        (fol_injector_cell *)fol_alloc_aligned((size_t)rounded * sizeof(fol_injector_cell));
    if (cells == NULL) {
        return -ENOMEM;
    }
    for (uint64_t position = 0; position < rounded; position++) {
        fol_atomic_init(&cells[position].turn, position);
        fol_plain_init(&cells[position].item, (void *)NULL);
    }
    fol_atomic_init(&injector->head, (uint64_t)0);
    fol_atomic_init(&injector->tail, (uint64_t)0);
    injector->cells = cells;
    injector->mask = rounded - 1;
    return 0;
}

void fol_injector_deinit(fol_injector *injector)
{
    fol_free(injector->cells);
}

bool fol_injector_push(fol_injector *injector, void *item)
{
    uint64_t position = fol_atomic_load(&injector->tail, memory_order_relaxed);
    /* Bounded by contention: each further turn means that another producer took the position. */
    for (;;) {
        fol_injector_cell *cell = &injector->cells[position & injector->mask];
        /* Acquire pairs with the release of the consumer that emptied the cell. */
        uint64_t turn = fol_atomic_load(&cell->turn, memory_order_acquire);
        int64_t ahead = (int64_t)(turn - position);
        if (ahead < 0) {
            return false;
        }
        if (ahead > 0) {
            position = fol_atomic_load(&injector->tail, memory_order_relaxed);
        } else if (fol_atomic_compare_exchange_weak(&injector->tail, &position, position + 1,
                                                    memory_order_relaxed, memory_order_relaxed)) {
            fol_plain_store(&cell->item, item);
            /* Release pairs with the consumer's acquire: it sees the item and what it is. */
            fol_atomic_store(&cell->turn, position + 1, memory_order_release);
            return true;
        }
    }
}

void *fol_injector_pop(fol_injector *injector)
{
    uint64_t position = fol_atomic_load(&injector->head, memory_order_relaxed);
    /* Bounded by contention: each further turn means that another consumer took the position. */
    for (;;) {
        fol_injector_cell *cell = &injector->cells[position & injector->mask];
        /* Acquire pairs with the release of the producer that filled the cell. */
        uint64_t turn = fol_atomic_load(&cell->turn, memory_order_acquire);
        int64_t ahead = (int64_t)(turn - (position + 1));
        if (ahead < 0) {
            return NULL;
        }
        if (ahead > 0) {
            position = fol_atomic_load(&injector->head, memory_order_relaxed);
        } else if (fol_atomic_compare_exchange_weak(&injector->head, &position, position + 1,
                                                    memory_order_relaxed, memory_order_relaxed)) {
            void *item = fol_plain_load(&cell->item);
            /* Release pairs with the acquire of the producer one round later: the item is out. */
            fol_atomic_store(&cell->turn, position + injector->mask + 1, memory_order_release);
            return item;
        }
    }
}

uint32_t fol_injector_count(const fol_injector *injector)
{
    /* Acquire keeps the two looks in order, so a moving queue is not counted too small. */
    uint64_t head = fol_atomic_load(&injector->head, memory_order_acquire);
    uint64_t tail = fol_atomic_load(&injector->tail, memory_order_relaxed);
    uint64_t count = tail - head;
    return count > injector->mask + 1 ? (uint32_t)(injector->mask + 1) : (uint32_t)count;
}
