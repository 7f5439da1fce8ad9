/* A binary heap of ready tasks over memory of the caller: the least rank comes first, of equal ones
 * the least tie, then the lowest task, so that no two are alike and the order is total.
 *
 * Invariant: no entry comes before its parent, which stands at (place - 1) / 2.
 */
#ifndef FOL_SIM_GRAPH_HEAP_H
#define FOL_SIM_GRAPH_HEAP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/assert.h"

typedef struct fol_graph_entry {
    int64_t rank;
    uint32_t band; /* before the rank: 0 for what a slot ranked, 1 for the rest */
    uint32_t tie;
    uint32_t task;
} fol_graph_entry;

typedef struct fol_graph_heap {
    fol_graph_entry *entries;
    uint32_t count;
    uint32_t room;
} fol_graph_heap;

static inline bool fol_graph_entry_is_before(const fol_graph_entry *a, const fol_graph_entry *b)
{
    if (a->band != b->band) {
        return a->band < b->band;
    }
    if (a->rank != b->rank) {
        return a->rank < b->rank;
    }
    return a->tie != b->tie ? a->tie < b->tie : a->task < b->task;
}

static inline void fol_graph_heap_push(fol_graph_heap *heap, fol_graph_entry entry)
{
    FOL_ASSERT(heap->count < heap->room);
    uint32_t place = heap->count++;
    while (place > 0) {
        uint32_t parent = (place - 1) / 2;
        if (!fol_graph_entry_is_before(&entry, &heap->entries[parent])) {
            break;
        }
        heap->entries[place] = heap->entries[parent];
        place = parent;
    }
    heap->entries[place] = entry;
}

/* The heap is not empty. */
static inline fol_graph_entry fol_graph_heap_pop(fol_graph_heap *heap)
{
    FOL_ASSERT(heap->count > 0);
    fol_graph_entry first = heap->entries[0];
    fol_graph_entry last = heap->entries[--heap->count];
    uint32_t place = 0;
    for (uint32_t child = 1; child < heap->count; child = 2 * place + 1) {
        if (child + 1 < heap->count &&
            fol_graph_entry_is_before(&heap->entries[child + 1], &heap->entries[child])) {
            child++;
        }
        if (!fol_graph_entry_is_before(&heap->entries[child], &last)) {
            break;
        }
        heap->entries[place] = heap->entries[child];
        place = child;
    }
    heap->entries[place] = last;
    return first;
}

#endif
