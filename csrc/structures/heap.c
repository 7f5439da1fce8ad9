/* The indexed heap; heap.h has the invariant. */

#include "structures/heap.h"

#include "base/assert.h"

#define CHILDREN 4u

static inline void put(fol_heap *heap, uint32_t place, fol_heap_node node)
{
    heap->nodes[place] = node;
    heap->places[node.id] = place;
}

/* The node goes to the place or, where it is before those above, further up. */
static void lift(fol_heap *heap, uint32_t place, fol_heap_node node)
{
    while (place > 0) {
        uint32_t parent = (place - 1) / CHILDREN;
        fol_heap_node above = heap->nodes[parent];
        if (!fol_heap_is_before(node.rank, node.id, above.rank, above.id)) {
            break;
        }
        put(heap, place, above);
        place = parent;
    }
    put(heap, place, node);
}

/* The node goes to the place or, where children are before it, further down. */
static void sink(fol_heap *heap, uint32_t place, fol_heap_node node)
{
    uint64_t first = (uint64_t)place * CHILDREN + 1;
    while (first < heap->count) {
        uint32_t end = first + CHILDREN < heap->count ? (uint32_t)first + CHILDREN : heap->count;
        uint32_t least = (uint32_t)first;
        for (uint32_t child = least + 1; child < end; child++) {
            const fol_heap_node *a = &heap->nodes[child];
            const fol_heap_node *b = &heap->nodes[least];
            least = fol_heap_is_before(a->rank, a->id, b->rank, b->id) ? child : least;
        }
        fol_heap_node below = heap->nodes[least];
        if (!fol_heap_is_before(below.rank, below.id, node.rank, node.id)) {
            break;
        }
        put(heap, place, below);
        place = least;
        first = (uint64_t)place * CHILDREN + 1;
    }
    put(heap, place, node);
}

void fol_heap_init(fol_heap *heap, fol_heap_node *nodes, uint32_t capacity, uint32_t *places)
{
    heap->nodes = nodes;
    heap->places = places;
    heap->count = 0;
    heap->capacity = capacity;
}

void fol_heap_push(fol_heap *heap, int64_t rank, uint32_t id)
{
    FOL_ASSERT(heap->count < heap->capacity);
    FOL_ASSERT_HOT(heap->places[id] == FOL_HEAP_NOWHERE);
    heap->count += 1;
    lift(heap, heap->count - 1, (fol_heap_node){.rank = rank, .id = id});
}

void fol_heap_update(fol_heap *heap, int64_t rank, uint32_t id)
{
    FOL_ASSERT(fol_heap_holds(heap, id));
    uint32_t place = heap->places[id];
    bool goes_up = rank < heap->nodes[place].rank;
    fol_heap_node node = {.rank = rank, .id = id};
    if (goes_up) {
        lift(heap, place, node);
    } else {
        sink(heap, place, node);
    }
}

void fol_heap_remove(fol_heap *heap, uint32_t id)
{
    FOL_ASSERT(fol_heap_holds(heap, id));
    uint32_t place = heap->places[id];
    fol_heap_node gone = heap->nodes[place];
    heap->places[id] = FOL_HEAP_NOWHERE;
    heap->count -= 1;
    if (place == heap->count) {
        return;
    }
    fol_heap_node last = heap->nodes[heap->count];
    if (fol_heap_is_before(last.rank, last.id, gone.rank, gone.id)) {
        lift(heap, place, last);
    } else {
        sink(heap, place, last);
    }
}

fol_heap_node fol_heap_pop(fol_heap *heap)
{
    FOL_ASSERT(heap->count > 0);
    fol_heap_node first = heap->nodes[0];
    heap->places[first.id] = FOL_HEAP_NOWHERE;
    heap->count -= 1;
    if (heap->count > 0) {
        sink(heap, 0, heap->nodes[heap->count]);
    }
    return first;
}

uint32_t fol_heap_count_below(const fol_heap *heap, int64_t rank, uint32_t most, uint32_t *scratch)
{
    if (heap->count == 0 || most == 0 || heap->nodes[0].rank >= rank) {
        return 0;
    }
    scratch[0] = 0;
    uint32_t found = 1;
    /* What is below hangs together at the top: each of those found is looked under once. */
    for (uint32_t looked = 0; looked < found && found < most; looked++) {
        uint64_t first = (uint64_t)scratch[looked] * CHILDREN + 1;
        for (uint64_t child = first; child < first + CHILDREN && child < heap->count; child++) {
            if (found < most && heap->nodes[child].rank < rank) {
                scratch[found] = (uint32_t)child;
                found += 1;
            }
        }
    }
    return found;
}

bool fol_heap_invariants(const fol_heap *heap)
{
    for (uint32_t place = 0; place < heap->count; place++) {
        const fol_heap_node *node = &heap->nodes[place];
        const fol_heap_node *above = &heap->nodes[place == 0 ? 0 : (place - 1) / CHILDREN];
        if (heap->places[node->id] != place ||
            fol_heap_is_before(node->rank, node->id, above->rank, above->id)) {
            return false;
        }
    }
    return heap->count <= heap->capacity;
}
