/* An indexed heap: the least (rank, id) first, and removal of any id.
 *
 * Four children a node, so that the comparisons of one level lie in one cache line. Ids are below a
 * bound; an id stands in at most one of the heaps that share an array of places. Pure: the caller's
 * storage, no allocation, no thread.
 *
 * Invariant: no node is before its parent, and place[nodes[i].id] is i for every node.
 */
#ifndef FOL_STRUCTURES_HEAP_H
#define FOL_STRUCTURES_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FOL_HEAP_NOWHERE UINT32_MAX

typedef struct fol_heap_node {
    int64_t rank;
    uint32_t id;
} fol_heap_node;

typedef struct fol_heap {
    fol_heap_node *nodes;
    uint32_t *places; /* of each id; FOL_HEAP_NOWHERE: in none */
    uint32_t count;
    uint32_t capacity;
} fol_heap;

/* nodes: room for capacity; places: of as many ids as there are, all FOL_HEAP_NOWHERE. */
void fol_heap_init(fol_heap *heap, fol_heap_node *nodes, uint32_t capacity, uint32_t *places);

/* The id must stand in no heap, and there must be room. */
void fol_heap_push(fol_heap *heap, int64_t rank, uint32_t id);
/* The id must stand in this heap. */
void fol_heap_remove(fol_heap *heap, uint32_t id);
void fol_heap_update(fol_heap *heap, int64_t rank, uint32_t id);
/* The first node, which leaves; the heap must not be empty. */
fol_heap_node fol_heap_pop(fol_heap *heap);

/* How many have a rank below, but at most `most`; scratch: room for so many. */
uint32_t fol_heap_count_below(const fol_heap *heap, int64_t rank, uint32_t most, uint32_t *scratch);

/* Whether a comes before b. */
static inline bool fol_heap_is_before(int64_t rank_a, uint32_t a, int64_t rank_b, uint32_t b)
{
    return rank_a != rank_b ? rank_a < rank_b : a < b;
}

/* The first node, or NULL. */
static inline const fol_heap_node *fol_heap_first(const fol_heap *heap)
{
    return heap->count == 0 ? NULL : &heap->nodes[0];
}

/* Of shared places: the id stands in this one. */
static inline bool fol_heap_holds(const fol_heap *heap, uint32_t id)
{
    uint32_t place = heap->places[id];
    return place < heap->count && heap->nodes[place].id == id;
}

/* Costly. */
bool fol_heap_invariants(const fol_heap *heap);

#endif
