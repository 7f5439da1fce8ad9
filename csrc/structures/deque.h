/* The work-stealing deque: one owner at the bottom, any number of thieves at the top.
 *
 * Chase and Lev, "Dynamic circular work-stealing deque" (SPAA 2005), in the C11 form of Lê, Pop,
 * Cohen and Zappa Nardelli, "Correct and efficient work-stealing for weak memory models" (PPoPP
 * 2013) with its known errata; with a private part added at the bottom, as in the split deques of
 * van Dijk and van de Pol, "Lace" (2014).
 *
 * Items lie in [top, tail). Those in [top, bottom) are public: thieves may take them. Those in
 * [bottom, tail) are private: the owner pushes and pops them by plain stores, and publishes them by
 * moving bottom. Invariants: top <= bottom <= tail whenever the owner is outside of a call, each
 * item is taken exactly once, and an array that thieves may still read is kept until the deque ends
 * (the retired ones together are smaller than the last).
 *
 * Items are pointers to something aligned to two bytes, never NULL; the low bit is a mark that the
 * user may set, so that who may run only some kinds of items can leave the others where they are.
 * `_owner`: the thread that owns the deque; `_thief`: any thread. Another thread may become the
 * owner when everything the last one did happens before.
 *
 * Why each item is taken once. Indices only count up, in 64 bits, and are compared by difference.
 * 1. top moves by compare-and-swap alone, so two takers that swap never share an item. The one
 *    taker that does not swap is the owner, popping index i when it reads top < i after it stored i
 *    to bottom. A thief loads top and then bottom. These four, and each swap of top, are
 *    sequentially consistent, so they lie in one order (C11 7.17.3, paragraph 6), in which a load
 *    reads the last such store ahead of it, or a later one. If the owner's store is ahead of the
 *    thief's load of bottom, that sees i or less, or a later push, which made a new item i. If not,
 *    the thief's load of top is ahead of that store too, and so is the swap whose value it read,
 *    and the owner's load of top is behind it: a thief after item i means that the owner reads
 *    top >= i, and swaps. In a batch each swap stands for the load of top, and a fresh load of
 *    bottom follows it.
 *    By C11's rule a thief's load of top could be an acquire, as the order agrees with what happens
 *    before what. By that of C++20 it need not put a swap ahead of a load that read it unless both
 *    are sequentially consistent. The paper has relaxed operations with a fence between them on
 *    either side; with these a thief on x86 pays for nothing but the swap, a pop for one exchange,
 *    and ARM's ordered loads and stores are cheaper than its fences.
 * 2. What an item points to, and its slot, are written before bottom is stored with release order,
 *    and bottom is loaded with acquire order. Every store of bottom is a release, those of a pop
 *    too, so this rests on no release sequence.
 * 3. A slot is written again only for an index one capacity later, after the owner has read, with
 *    acquire order, a top beyond the old index. A thief that read the new item in place of the old
 *    one swaps top from the old index. That swap cannot succeed: the top the owner read would come
 *    from it or from a later one, and then the thief's look at the slot happened before the write.
 * 4. A new array is stored before the first bottom that counts an item only it holds; so a thief,
 *    who reads bottom first, finds the item in whichever array it reads. Old arrays do not change.
 */
#ifndef FOL_STRUCTURES_DEQUE_H
#define FOL_STRUCTURES_DEQUE_H

#include <assert.h>
#include <errno.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/atomics.h"
#include "base/memory.h"

typedef FOL_ATOMIC(void *) fol_deque_slot;

typedef struct fol_deque_array {
    uint64_t mask; /* capacity - 1, a power of two less one */
    struct fol_deque_array *older;
    alignas(FOL_CACHE_LINE) fol_deque_slot slots[];
} fol_deque_array;

/* Every field belongs to this header and deque.c; alignment: a cache line. */
typedef struct fol_deque {
    /* Written by whoever takes the oldest item. */
    alignas(FOL_CACHE_LINE) FOL_ATOMIC(uint64_t) top;
    /* Written by the owner, read by thieves. */
    alignas(FOL_CACHE_LINE) FOL_ATOMIC(uint64_t) bottom;
    FOL_ATOMIC(fol_deque_array *) array;
    /* The owner's alone. limit: the tail for which there is room for sure, some earlier top plus
     * the capacity. mask and slots are those of the array. own_bottom: what it last stored to
     * bottom, since a load of that would wait for the exchange before it; not beside tail, or
     * compilers load the two as one word of twice the size, which waits for the stores of each. */
    alignas(FOL_CACHE_LINE) uint64_t tail;
    uint64_t limit;
    uint64_t mask;
    fol_deque_slot *slots;
    uint64_t own_bottom;
} fol_deque;

#ifndef FOL_MODEL
static_assert(sizeof(fol_deque) == 3 * FOL_CACHE_LINE, "three lines: thieves, both, owner");
static_assert(sizeof(fol_deque_array) == FOL_CACHE_LINE, "slots begin on a line of their own");
static_assert(sizeof(fol_deque_slot) == sizeof(void *), "slots are lock-free");
#endif

/* capacity is rounded up to a power of two, at least 64. -ENOMEM. */
int fol_deque_init(fol_deque *deque, uint32_t capacity);
/* Nobody uses the deque any more; items still in it are forgotten. */
void fol_deque_deinit(fol_deque *deque);
/* Room for `count` more items, by a larger array if need be. -ENOMEM: nothing changed. */
int fol_deque_make_room_owner(fol_deque *deque, uint32_t count);

static inline bool fol_deque_item_is_marked(const void *item)
{
    return ((uintptr_t)item & 1) != 0;
}

/* Room for `count` more items without growing. -ENOMEM: nothing changed. */
static inline int fol_deque_reserve_owner(fol_deque *deque, uint32_t count)
{
    return FOL_LIKELY(deque->limit - deque->tail >= count)
               ? 0
               : fol_deque_make_room_owner(deque, count);
}

/* Pushes without publishing. -ENOMEM when it had to grow and could not: nothing pushed. */
static inline int fol_deque_push_private_owner(fol_deque *deque, void *item)
{
    FOL_ASSERT_HOT(item != NULL);
    if (FOL_UNLIKELY(deque->tail == deque->limit) && fol_deque_make_room_owner(deque, 1) != 0) {
        return -ENOMEM;
    }
    uint64_t tail = deque->tail;
    fol_atomic_store(&deque->slots[tail & deque->mask], item, memory_order_relaxed);
    deque->tail = tail + 1;
    return 0;
}

/* Makes all items public. */
static inline void fol_deque_publish_owner(fol_deque *deque)
{
    deque->own_bottom = deque->tail;
    /* Release pairs with the thieves' acquire of bottom: they see the slots and the items. */
    fol_atomic_store(&deque->bottom, deque->tail, memory_order_release);
}

/* Pushes and publishes everything. -ENOMEM as above. */
static inline int fol_deque_push_owner(fol_deque *deque, void *item)
{
    int status = fol_deque_push_private_owner(deque, item);
    if (FOL_LIKELY(status == 0)) {
        fol_deque_publish_owner(deque);
    }
    return status;
}

/* When no public item is left and private ones are, publishes the older half of them (at least
 * one) and returns true: the caller tells idle workers. A few plain loads otherwise. */
static inline bool fol_deque_share_owner(fol_deque *deque)
{
    uint64_t bottom = deque->own_bottom;
    uint64_t private_count = deque->tail - bottom;
    if (private_count == 0 || fol_atomic_load(&deque->top, memory_order_relaxed) != bottom) {
        return false;
    }
    deque->own_bottom = bottom + (private_count + 1) / 2;
    /* Release pairs with the thieves' acquire of bottom: they see the slots and the items. */
    fol_atomic_store(&deque->bottom, deque->own_bottom, memory_order_release);
    return true;
}

/* The newest item when all are public; part of pop. */
static inline void *fol_deque_pop_public_owner(fol_deque *deque, uint64_t bottom)
{
    /* top never goes back, so what looks empty is empty. */
    if (fol_atomic_load(&deque->top, memory_order_relaxed) == bottom) {
        return NULL;
    }
    uint64_t last = bottom - 1;
    /* Nobody else writes slots, so this may be early: nothing but two looks follows the store. */
    void *item = fol_atomic_load(&deque->slots[last & deque->mask], memory_order_relaxed);
    deque->tail = last;
    deque->own_bottom = last;
    /* Sequentially consistent, both, and they pair with the thieves' loads of top and bottom: they
     * see this bottom, or this sees their top. Release: see the header's second point. */
    fol_atomic_store(&deque->bottom, last, memory_order_seq_cst);
    uint64_t top = fol_atomic_load(&deque->top, memory_order_seq_cst);
    if (FOL_LIKELY((int64_t)(last - top) > 0)) {
        return item;
    }
    /* Sequentially consistent, like each swap of top: the loads of top see it. */
    if (last != top || !fol_atomic_compare_exchange(&deque->top, &top, bottom, memory_order_seq_cst,
                                                    memory_order_relaxed)) {
        item = NULL;
    }
    deque->tail = bottom;
    deque->own_bottom = bottom;
    /* Release: see the header's second point. */
    fol_atomic_store(&deque->bottom, bottom, memory_order_release);
    return item;
}

/* The newest item, or NULL. No ordered store while it is private. */
static inline void *fol_deque_pop_owner(fol_deque *deque)
{
    uint64_t tail = deque->tail;
    if (tail != deque->own_bottom) {
        deque->tail = tail - 1;
        return fol_atomic_load(&deque->slots[(tail - 1) & deque->mask], memory_order_relaxed);
    }
    return fol_deque_pop_public_owner(deque, tail);
}

/* The newest item if it is marked, else NULL: what is not stays. */
static inline void *fol_deque_pop_marked_owner(fol_deque *deque)
{
    uint64_t tail = deque->tail;
    /* An empty deque has an old item here, or none: then pop finds nothing. */
    void *newest = fol_atomic_load(&deque->slots[(tail - 1) & deque->mask], memory_order_relaxed);
    if (FOL_UNLIKELY(!fol_deque_item_is_marked(newest))) {
        return NULL;
    }
    if (FOL_UNLIKELY(tail == deque->own_bottom)) {
        return fol_deque_pop_public_owner(deque, tail);
    }
    deque->tail = tail - 1;
    return newest;
}

/* The public item at top, if top is still that. */
static inline void *fol_deque_take_top(fol_deque *deque, uint64_t top)
{
    /* Acquire pairs with the release of the array when it grew: its slots are filled. */
    fol_deque_array *array = fol_atomic_load(&deque->array, memory_order_acquire);
    /* Before the swap: afterwards the owner may write the slot again. */
    void *item = fol_atomic_load(&array->slots[top & array->mask], memory_order_relaxed);
    /* Sequentially consistent: pairs with the owner's load of top in pop, and its release with the
     * owner's acquire of top before a slot is written again. */
    if (fol_atomic_compare_exchange(&deque->top, &top, top + 1, memory_order_seq_cst,
                                    memory_order_relaxed)) {
        return item;
    }
    return NULL;
}

/* The oldest item, as a thief takes it, or NULL when there is none. Publishes everything first. */
static inline void *fol_deque_take_owner(fol_deque *deque)
{
    uint64_t tail = deque->tail;
    fol_deque_publish_owner(deque);
    /* Each turn in vain is an item that a thief took, so there are at most as many as items. No
     * order with bottom: the owner is the only one who moves that, and it is here. */
    for (;;) {
        /* Acquire pairs with the swaps of thieves: what they did to take an item is over. */
        uint64_t top = fol_atomic_load(&deque->top, memory_order_acquire);
        if (top == tail) {
            return NULL;
        }
        void *item = fol_deque_take_top(deque, top);
        if (item != NULL) {
            return item;
        }
    }
}

/* The oldest public item; NULL when there is none, or (*contended true) when another took it. */
static inline void *fol_deque_steal_thief(fol_deque *deque, bool *contended)
{
    /* Sequentially consistent, both, and they pair with the store of bottom and the load of top in
     * pop. The second pairs with the owner's releases of bottom too: the items below are there. */
    uint64_t top = fol_atomic_load(&deque->top, memory_order_seq_cst);
    uint64_t bottom = fol_atomic_load(&deque->bottom, memory_order_seq_cst);
    *contended = false;
    if ((int64_t)(bottom - top) <= 0) {
        return NULL;
    }
    void *item = fol_deque_take_top(deque, top);
    *contended = item == NULL;
    return item;
}

/* The same if that item is marked; NULL without an attempt when it is not. */
void *fol_deque_steal_marked_thief(fol_deque *deque, bool *contended);

/* Moves up to `most` public items, and at most half of them (rounded up), into the thief's own
 * deque, oldest first, and returns the first of them instead of pushing it; *count gets how many
 * were taken in all. One compare-and-swap an item. Room is reserved first (without it one item is
 * taken), and the thief's bottom is published once. NULL and 0 as above. */
void *fol_deque_steal_batch_thief(fol_deque *victim, fol_deque *own, uint32_t most, uint32_t *count,
                                  bool *contended);

/* Public items, about: exact when nobody moves. Any thread. After a full fence it misses no item
 * that was published before a full fence ahead of that one, unless somebody took it. */
uint32_t fol_deque_public_count(const fol_deque *deque);
/* All items, exact but for what thieves take meanwhile. */
uint32_t fol_deque_count_owner(const fol_deque *deque);

#endif
