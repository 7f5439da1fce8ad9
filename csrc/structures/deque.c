/* The parts of the work-stealing deque that are not on its hot path; deque.h has the argument. */

#include "structures/deque.h"

/* Smaller ones are for models, where growth must come early. */
#ifndef FOL_DEQUE_CAPACITY_MIN
#define FOL_DEQUE_CAPACITY_MIN 64u
#endif

/* An empty array, or NULL. */
static fol_deque_array *create_array(uint64_t capacity)
{
    fol_deque_array *array = (fol_deque_array *)fol_alloc_aligned(
        sizeof(fol_deque_array) + (size_t)capacity * sizeof(fol_deque_slot));
    if (array == NULL) {
        return NULL;
    }
    array->mask = capacity - 1;
    array->older = NULL;
    for (uint64_t index = 0; index < capacity; index++) {
        fol_atomic_init(&array->slots[index], (void *)NULL);
    }
    return array;
}

int fol_deque_init(fol_deque *deque, uint32_t capacity)
{
    uint64_t rounded = FOL_DEQUE_CAPACITY_MIN;
    while (rounded < capacity) {
        rounded *= 2;
    }
    fol_deque_array *array = create_array(rounded);
    if (array == NULL) {
        return -ENOMEM;
    }
    fol_atomic_init(&deque->top, (uint64_t)0);
    fol_atomic_init(&deque->bottom, (uint64_t)0);
    fol_atomic_init(&deque->array, array);
    deque->tail = 0;
    deque->own_bottom = 0;
    deque->limit = rounded;
    deque->mask = array->mask;
    deque->slots = array->slots;
    return 0;
}

void fol_deque_deinit(fol_deque *deque)
{
    fol_deque_array *array = fol_atomic_load(&deque->array, memory_order_relaxed);
    while (array != NULL) {
        fol_deque_array *older = array->older;
        fol_free(array);
        array = older;
    }
}

int fol_deque_make_room_owner(fol_deque *deque, uint32_t count)
{
    /* Acquire pairs with the swaps of thieves: whoever took an item below has read its slot. */
    uint64_t top = fol_atomic_load(&deque->top, memory_order_acquire);
    uint64_t tail = deque->tail;
    uint64_t capacity = deque->mask + 1;
    deque->limit = top + capacity;
    if (deque->limit - tail >= count) {
        return 0;
    }
    while (capacity < tail - top + count) {
        capacity *= 2;
    }
    fol_deque_array *array = create_array(capacity);
    if (array == NULL) {
        return -ENOMEM;
    }
    for (uint64_t index = top; index != tail; index++) {
        void *item = fol_atomic_load(&deque->slots[index & deque->mask], memory_order_relaxed);
        fol_atomic_store(&array->slots[index & array->mask], item, memory_order_relaxed);
    }
    array->older = fol_atomic_load(&deque->array, memory_order_relaxed);
    /* Release pairs with the thieves' acquire: they see the copied slots and the mask. */
    fol_atomic_store(&deque->array, array, memory_order_release);
    deque->limit = top + capacity;
    deque->mask = array->mask;
    deque->slots = array->slots;
    return 0;
}

void *fol_deque_steal_marked_thief(fol_deque *deque, bool *contended)
{
    /* As in fol_deque_steal_thief, with a look at the item before it is taken. */
    uint64_t top = fol_atomic_load(&deque->top, memory_order_seq_cst);
    uint64_t bottom = fol_atomic_load(&deque->bottom, memory_order_seq_cst);
    *contended = false;
    if ((int64_t)(bottom - top) <= 0) {
        return NULL;
    }
    /* Acquire pairs with the release of the array when it grew. */
    fol_deque_array *array = fol_atomic_load(&deque->array, memory_order_acquire);
    void *item = fol_atomic_load(&array->slots[top & array->mask], memory_order_relaxed);
    if (!fol_deque_item_is_marked(item)) {
        /* Only the oldest item counts: when another is that by now, the look was in vain. */
        *contended = fol_atomic_load(&deque->top, memory_order_relaxed) != top;
        return NULL;
    }
    item = fol_deque_take_top(deque, top);
    *contended = item == NULL;
    return item;
}

void *fol_deque_steal_batch_thief(fol_deque *victim, fol_deque *own, uint32_t most, uint32_t *count,
                                  bool *contended)
{
    /* As in fol_deque_steal_thief. */
    uint64_t top = fol_atomic_load(&victim->top, memory_order_seq_cst);
    uint64_t bottom = fol_atomic_load(&victim->bottom, memory_order_seq_cst);
    int64_t public_count = (int64_t)(bottom - top);
    *count = 0;
    *contended = false;
    if (public_count <= 0) {
        return NULL;
    }
    uint64_t half = ((uint64_t)public_count + 1) / 2;
    uint32_t wanted = half < most ? (uint32_t)half : most;
    if (wanted > 1 && fol_deque_reserve_owner(own, wanted - 1) != 0) {
        wanted = 1;
    }
    void *first = fol_deque_take_top(victim, top);
    if (first == NULL) {
        *contended = true;
        return NULL;
    }
    uint32_t taken = 1;
    while (taken < wanted) {
        top += 1;
        /* The owner may have popped down to here meanwhile, without a swap, so each item takes a
         * look at bottom of its own. Sequentially consistent, as in fol_deque_steal_thief; the swap
         * stands for the load of top. */
        bottom = fol_atomic_load(&victim->bottom, memory_order_seq_cst);
        if ((int64_t)(bottom - top) <= 0) {
            break;
        }
        void *item = fol_deque_take_top(victim, top);
        if (item == NULL) {
            break;
        }
        fol_atomic_store(&own->slots[own->tail & own->mask], item, memory_order_relaxed);
        own->tail += 1;
        taken += 1;
    }
    if (taken > 1) {
        fol_deque_publish_owner(own);
    }
    *count = taken;
    return first;
}

uint32_t fol_deque_public_count(const fol_deque *deque)
{
    /* Acquire keeps the two looks in order, so a moving deque is not counted too small. */
    uint64_t top = fol_atomic_load(&deque->top, memory_order_acquire);
    uint64_t bottom = fol_atomic_load(&deque->bottom, memory_order_relaxed);
    int64_t count = (int64_t)(bottom - top);
    if (count <= 0) {
        return 0;
    }
    return count > UINT32_MAX ? UINT32_MAX : (uint32_t)count;
}

uint32_t fol_deque_count_owner(const fol_deque *deque)
{
    return (uint32_t)(deque->tail - fol_atomic_load(&deque->top, memory_order_relaxed));
}
