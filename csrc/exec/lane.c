/* The lane; lane.h says what it is for.
 *
 * Why no ready node is forgotten. One word holds both how many ranks are ready and whether somebody
 * drains, and every change of it is a read-modify-write, so changes have one order. A put adds a
 * rank. If it finds the drainer's bit set, then the drainer has not left yet; leaving is an
 * exchange of "draining, nothing ready" for 0, which fails after the put's addition, so the drainer
 * goes on and finds the rank. If the put finds the bit clear, whoever put it knows that nobody
 * drains and is answerable for it: it enters itself, or tells a worker that may.
 *
 * Why the drainer finds what is counted. A put sets its bit before it adds to the word, with
 * release; the drainer reads the word with acquire before it looks at the bits. So there are never
 * fewer bits set than ranks counted, and a look for one ends within the words. There may be more: a
 * bit may be taken before it is counted, in the place of another that is; then the put still to
 * count answers for that other one. Hence each bit carries its own release, for what its node
 * reads.
 *
 * Why only one drains. Entering is an exchange of "something ready, nobody drains" for the same
 * with the bit. Its acquire pairs with the release of the drainer that left before, so what ran in
 * the lane before is seen by what runs in it after.
 */

#include "exec/lane.h"

#include <errno.h>
#include <stddef.h>

#include "base/assert.h"
#include "base/memory.h"

#define DRAINING   1u
#define ONE        2u
#define WORD_BITS  64u
#define LEAST_ROOM 4u

void fol_lane_init(fol_lane *lane)
{
    fol_atomic_init(&lane->state, 0u);
    lane->word_count = 0;
    lane->capacity = 0;
    lane->words = NULL;
}

void fol_lane_deinit(fol_lane *lane)
{
    fol_free(lane->words);
    lane->words = NULL;
}

static uint32_t words_of(uint32_t ranks)
{
    return ranks / WORD_BITS + (ranks % WORD_BITS != 0);
}

int fol_lane_reserve(fol_lane *lane, uint32_t ranks)
{
    uint32_t words = words_of(ranks);
    if (words <= lane->capacity) {
        return 0;
    }
    FOL_ASSERT(fol_atomic_load(&lane->state, memory_order_relaxed) == 0);
    words = words < LEAST_ROOM ? LEAST_ROOM : words;
    FOL_ATOMIC(uint64_t) *grown =
        (FOL_ATOMIC(uint64_t) *)fol_alloc_aligned((size_t)words * sizeof(*grown));
    if (grown == NULL) {
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < words; i++) {
        fol_atomic_init(&grown[i], UINT64_C(0));
    }
    fol_free(lane->words);
    lane->words = grown;
    lane->capacity = words;
    return 0;
}

void fol_lane_set_count(fol_lane *lane, uint32_t ranks)
{
    uint32_t words = words_of(ranks);
    FOL_ASSERT(words <= lane->capacity);
    /* Others look at this line all the time; it stays with them while it stays as it is. */
    if (lane->word_count != words) {
        lane->word_count = words;
    }
}

bool fol_lane_put(fol_lane *lane, uint32_t rank)
{
    uint32_t word = rank / WORD_BITS;
    FOL_ASSERT_HOT(word < lane->word_count);
    /* The bit is clear, so adding sets it. Release pairs with the acquire of take_lowest. */
    fol_atomic_fetch_add(&lane->words[word], UINT64_C(1) << rank % WORD_BITS, memory_order_release);
    /* Release pairs with the acquire of enter and next. */
    uint32_t before = fol_atomic_fetch_add(&lane->state, ONE, memory_order_release);
    return (before & DRAINING) == 0;
}

bool fol_lane_try_enter(fol_lane *lane)
{
    uint32_t state = fol_atomic_load(&lane->state, memory_order_relaxed);
    /* Bounded by contention: a failed exchange means that another put or entered. */
    while (state != 0 && (state & DRAINING) == 0) {
        /* Acquire pairs with the release of put, and of the drainer before. */
        if (fol_atomic_compare_exchange_weak(&lane->state, &state, state | DRAINING,
                                             memory_order_acquire, memory_order_relaxed)) {
            return true;
        }
    }
    return false;
}

static uint32_t take_lowest(fol_lane *lane)
{
    for (uint32_t i = 0; i < lane->word_count; i++) {
        /* Acquire pairs with the release of put. */
        uint64_t word = fol_atomic_load(&lane->words[i], memory_order_acquire);
        if (word != 0) {
            uint32_t bit = (uint32_t)__builtin_ctzll(word);
            fol_atomic_fetch_sub(&lane->words[i], UINT64_C(1) << bit, memory_order_relaxed);
            return i * WORD_BITS + bit;
        }
    }
    FOL_ASSERT(!"a rank is counted but not set");
    return UINT32_MAX;
}

bool fol_lane_next(fol_lane *lane, uint32_t *rank)
{
    /* Acquire pairs with the release of put. */
    uint32_t state = fol_atomic_load(&lane->state, memory_order_acquire);
    FOL_ASSERT_HOT((state & DRAINING) != 0);
    /* Twice at most: the exchange fails only when something was put. */
    while (state == DRAINING) {
        /* Release pairs with the acquire of the next drainer; acquire, which matters when it fails,
         * as above. */
        if (fol_atomic_compare_exchange_weak(&lane->state, &state, 0u, memory_order_acq_rel,
                                             memory_order_acquire)) {
            return false;
        }
    }
    *rank = take_lowest(lane);
    /* The one rank that was taken. */
    fol_atomic_fetch_sub(&lane->state, ONE, memory_order_relaxed);
    return true;
}
