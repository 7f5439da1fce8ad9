/* The timer wheel; timer_wheel.h has the contract.
 *
 * Time is counted in ticks of 2^TICK_BITS ns. The position is a tick that has begun. A timer whose
 * tick is not after the position stands in the front, level 0, which has one slot. Any other stands
 * at the level of the highest digit (base 64) in which its tick differs from the position, in the
 * slot of its own digit there. So each timer of a level is due before all those of higher levels,
 * slots of a level are in order of time, and the first slot that is occupied has the next timer.
 *
 * The position moves to the start of the first occupied slot, or to the present when that comes
 * before. Neither changes the place of any timer outside of that slot: no digit above its own has
 * changed, and the digit at each level stays below those that are occupied there.
 *
 * A slot is a circular list in order of insertion, or in the order (deadline, sequence) when its
 * `sorted` bit is set. Sorting is put off until somebody asks for the first of a slot; an addition
 * that keeps to the order leaves the bit as it is. A slot that was sorted for fol_timer_wheel_next
 * remains so while timers are removed, so that a call costs one look unless many timers stand in
 * one slot and new ones come between them.
 *
 * Merging of runs by a counter: Knuth, The Art of Computer Programming, volume 3, 5.2.4.
 */

#include "structures/timer_wheel.h"

#include <assert.h>
#include <errno.h>

#include "base/assert.h"
#include "base/memory.h"

#define TICK_BITS   14u
#define DIGIT_BITS  6u
#define DIGIT_MASK  63u
#define LEVEL_COUNT 10u /* the front, and nine digits */
#define PLACE_COUNT (LEVEL_COUNT << DIGIT_BITS)
#define FRONT       0u
/* How far from the end of a sorted slot an addition looks for its place. */
#define NEAR_STEPS 4
/* The n-th has up to 2^n runs. */
#define BIN_COUNT 48

static_assert(TICK_BITS + (LEVEL_COUNT - 1) * DIGIT_BITS >= 64, "every deadline has a level");
static_assert(LEVEL_COUNT <= 32, "the levels' bits are one word");

struct fol_timer_wheel {
    uint64_t position; /* a tick */
    uint64_t count;
    uint64_t sequence; /* of the next timer */
    uint32_t levels;   /* a bit for each that is occupied */
    uint64_t occupied[LEVEL_COUNT];
    uint64_t sorted[LEVEL_COUNT];
    fol_timer *first[PLACE_COUNT]; /* good where the slot is occupied */
};

int fol_timer_wheel_create(uint64_t now_ns, fol_timer_wheel **out)
{
    fol_timer_wheel *wheel = fol_alloc_zeroed(1, sizeof(*wheel));
    if (wheel == NULL) {
        return -ENOMEM;
    }
    wheel->position = now_ns >> TICK_BITS;
    *out = wheel;
    return 0;
}

void fol_timer_wheel_destroy(fol_timer_wheel *wheel)
{
    fol_free(wheel);
}

static uint64_t tick_of(const fol_timer *timer)
{
    return timer->deadline_ns >> TICK_BITS;
}

static bool is_before(const fol_timer *a, const fol_timer *b)
{
    return a->deadline_ns != b->deadline_ns ? a->deadline_ns < b->deadline_ns
                                            : a->sequence < b->sequence;
}

static uint32_t place_at(uint64_t tick, uint64_t position)
{
    if (tick <= position) {
        return FRONT;
    }
    const uint32_t highest_bit = 63u - (uint32_t)__builtin_clzll(tick ^ position);
    const uint32_t digit = highest_bit / DIGIT_BITS;
    const uint32_t slot = (uint32_t)(tick >> (digit * DIGIT_BITS)) & DIGIT_MASK;
    return ((digit + 1) << DIGIT_BITS) | slot;
}

/* Both lists are in order and end with NULL; neither is empty. */
static fol_timer *merge_runs(fol_timer *a, fol_timer *b)
{
    fol_timer *merged = NULL;
    fol_timer **end = &merged;
    while (a != NULL && b != NULL) {
        fol_timer **earlier = is_before(b, a) ? &b : &a;
        *end = *earlier;
        end = &(*earlier)->next;
        *earlier = *end;
    }
    *end = a != NULL ? a : b;
    return merged;
}

/* Takes the first run of timers that are in order off a list that ends with NULL. */
static fol_timer *take_run(fol_timer **list)
{
    fol_timer *first = *list;
    fol_timer *last = first;
    while (last->next != NULL && is_before(last, last->next)) {
        last = last->next;
    }
    *list = last->next;
    last->next = NULL;
    return first;
}

/* The list, which ends with NULL, in order. */
static fol_timer *sort_list(fol_timer *list)
{
    fol_timer *bins[BIN_COUNT] = {NULL};
    while (list != NULL) {
        fol_timer *run = take_run(&list);
        uint32_t bin = 0;
        while (bin < BIN_COUNT - 1 && bins[bin] != NULL) {
            run = merge_runs(bins[bin], run);
            bins[bin] = NULL;
            bin++;
        }
        FOL_ASSERT(bins[bin] == NULL);
        bins[bin] = run;
    }
    fol_timer *all = NULL;
    for (uint32_t bin = 0; bin < BIN_COUNT; bin++) {
        if (bins[bin] != NULL) {
            all = all == NULL ? bins[bin] : merge_runs(bins[bin], all);
        }
    }
    return all;
}

static void sort_slot(fol_timer_wheel *wheel, uint32_t place)
{
    const uint64_t bit = UINT64_C(1) << (place & DIGIT_MASK);
    if ((wheel->sorted[place >> DIGIT_BITS] & bit) != 0) {
        return;
    }
    fol_timer *first = wheel->first[place];
    first->previous->next = NULL;
    first = sort_list(first);
    fol_timer *last = first;
    while (last->next != NULL) {
        last->next->previous = last;
        last = last->next;
    }
    last->next = first;
    first->previous = last;
    wheel->first[place] = first;
    wheel->sorted[place >> DIGIT_BITS] |= bit;
}

/* Puts the timer into a slot that is occupied and sorted: at an end or near the later one where
 * that keeps the order. */
static void link_in_order(fol_timer_wheel *wheel, uint32_t place, fol_timer *timer)
{
    fol_timer *first = wheel->first[place];
    fol_timer *after = first->previous;
    if (is_before(timer, first)) {
        wheel->first[place] = timer;
    } else {
        int steps = 0;
        while (steps < NEAR_STEPS && is_before(timer, after)) {
            after = after->previous;
            steps++;
        }
        if (is_before(timer, after)) {
            after = first->previous;
            wheel->sorted[place >> DIGIT_BITS] &= ~(UINT64_C(1) << (place & DIGIT_MASK));
        }
    }
    timer->previous = after;
    timer->next = after->next;
    after->next->previous = timer;
    after->next = timer;
}

static void link_timer(fol_timer_wheel *wheel, uint32_t place, fol_timer *timer)
{
    const uint32_t level = place >> DIGIT_BITS;
    const uint64_t bit = UINT64_C(1) << (place & DIGIT_MASK);
    timer->place = place;
    if ((wheel->occupied[level] & bit) == 0) {
        wheel->occupied[level] |= bit;
        wheel->sorted[level] |= bit;
        wheel->levels |= 1u << level;
        wheel->first[place] = timer;
        timer->next = timer;
        timer->previous = timer;
    } else if ((wheel->sorted[level] & bit) != 0) {
        link_in_order(wheel, place, timer);
    } else {
        fol_timer *first = wheel->first[place];
        timer->next = first;
        timer->previous = first->previous;
        first->previous->next = timer;
        first->previous = timer;
    }
}

static void empty_slot(fol_timer_wheel *wheel, uint32_t place)
{
    const uint32_t level = place >> DIGIT_BITS;
    wheel->occupied[level] &= ~(UINT64_C(1) << (place & DIGIT_MASK));
    if (wheel->occupied[level] == 0) {
        wheel->levels &= ~(1u << level);
    }
}

static void unlink_timer(fol_timer_wheel *wheel, fol_timer *timer)
{
    const uint32_t place = timer->place;
    if (timer->next == timer) {
        empty_slot(wheel, place);
    } else {
        timer->previous->next = timer->next;
        timer->next->previous = timer->previous;
        if (wheel->first[place] == timer) {
            wheel->first[place] = timer->next;
        }
    }
    timer->next = NULL;
    timer->previous = NULL;
    wheel->count--;
}

void fol_timer_wheel_add(fol_timer_wheel *wheel, fol_timer *timer, uint64_t deadline_ns)
{
    FOL_ASSERT(timer->previous == NULL);
    timer->deadline_ns = deadline_ns;
    timer->sequence = wheel->sequence;
    wheel->sequence++;
    wheel->count++;
    link_timer(wheel, place_at(tick_of(timer), wheel->position), timer);
}

void fol_timer_wheel_remove(fol_timer_wheel *wheel, fol_timer *timer)
{
    if (timer->previous != NULL) {
        FOL_ASSERT_HOT(wheel->count > 0 && timer->place < PLACE_COUNT);
        unlink_timer(wheel, timer);
    }
}

bool fol_timer_is_set(const fol_timer *timer)
{
    return timer->previous != NULL;
}

/* The slot with the next timer; there is one. */
static uint32_t first_place(const fol_timer_wheel *wheel)
{
    FOL_ASSERT_HOT(wheel->levels != 0);
    const uint32_t level = (uint32_t)__builtin_ctz(wheel->levels);
    return (level << DIGIT_BITS) | (uint32_t)__builtin_ctzll(wheel->occupied[level]);
}

/* The first tick of a slot that is not the front. */
static uint64_t start_of(const fol_timer_wheel *wheel, uint32_t place)
{
    const uint32_t shift = ((place >> DIGIT_BITS) - 1) * DIGIT_BITS;
    const uint64_t slot = place & DIGIT_MASK;
    const uint64_t higher = wheel->position >> shift >> DIGIT_BITS;
    return ((higher << DIGIT_BITS) | slot) << shift;
}

/* Moves the position to the start of the first slot, and its timers to lower levels. */
static void reach_slot(fol_timer_wheel *wheel, uint32_t place, uint64_t start)
{
    FOL_ASSERT_HOT(place != FRONT && start > wheel->position);
    fol_timer *timer = wheel->first[place];
    timer->previous->next = NULL;
    empty_slot(wheel, place);
    wheel->position = start;
    while (timer != NULL) {
        fol_timer *next = timer->next;
        link_timer(wheel, place_at(tick_of(timer), start), timer);
        timer = next;
    }
}

fol_timer *fol_timer_wheel_expire(fol_timer_wheel *wheel, uint64_t now_ns)
{
    const uint64_t now = now_ns >> TICK_BITS;
    /* Each time round, timers go down at least one level. */
    while (wheel->count > 0) {
        const uint32_t place = first_place(wheel);
        if (place == FRONT) {
            sort_slot(wheel, FRONT);
            fol_timer *timer = wheel->first[FRONT];
            if (timer->deadline_ns > now_ns) {
                return NULL;
            }
            unlink_timer(wheel, timer);
            return timer;
        }
        const uint64_t start = start_of(wheel, place);
        if (start > now) {
            break;
        }
        reach_slot(wheel, place, start);
    }
    wheel->position = now > wheel->position ? now : wheel->position;
    return NULL;
}

uint64_t fol_timer_wheel_next(fol_timer_wheel *wheel)
{
    if (wheel->count == 0) {
        return UINT64_MAX;
    }
    const uint32_t place = first_place(wheel);
    sort_slot(wheel, place);
    return wheel->first[place]->deadline_ns;
}

uint64_t fol_timer_wheel_count(const fol_timer_wheel *wheel)
{
    return wheel->count;
}

/* How many timers are in a slot, each of which must be where it belongs. */
static uint64_t check_slot(const fol_timer_wheel *wheel, uint32_t place)
{
    const bool is_sorted = (wheel->sorted[place >> DIGIT_BITS] >> (place & DIGIT_MASK) & 1u) != 0;
    const fol_timer *first = wheel->first[place];
    const fol_timer *timer = first;
    uint64_t count = 0;
    do {
        FOL_ASSERT(timer->place == place);
        FOL_ASSERT(place_at(tick_of(timer), wheel->position) == place);
        FOL_ASSERT(timer->next->previous == timer);
        FOL_ASSERT(timer->sequence < wheel->sequence);
        FOL_ASSERT(!is_sorted || timer->next == first || is_before(timer, timer->next));
        timer = timer->next;
        count++;
    } while (timer != first && count <= wheel->count);
    FOL_ASSERT(timer == first);
    return count;
}

void fol_timer_wheel_invariants(const fol_timer_wheel *wheel)
{
    uint64_t count = 0;
    for (uint32_t level = 0; level < LEVEL_COUNT; level++) {
        FOL_ASSERT((wheel->levels >> level & 1u) == (wheel->occupied[level] != 0));
        for (uint32_t slot = 0; slot <= DIGIT_MASK; slot++) {
            if ((wheel->occupied[level] >> slot & 1u) != 0) {
                count += check_slot(wheel, (level << DIGIT_BITS) | slot);
            }
        }
    }
    FOL_ASSERT(wheel->levels >> LEVEL_COUNT == 0);
    FOL_ASSERT(count == wheel->count);
}
