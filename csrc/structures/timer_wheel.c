/* The timer wheel; timer_wheel.h has the contract.
 *
 * Time is counted in ticks of 2^TICK_BITS ns. The position is a tick that has begun. A timer whose
 * tick is not after the position stands in the front, level 0, which has one slot. Any other stands
 * at the level of the highest digit (base 64) in which its tick differs from the position, in the
 * slot of its own digit there. So each timer of a level is due before all those of higher levels,
 * slots of a level are in order of time, and the first slot that is occupied has the next timer.
 *
 * The position moves into the first occupied slot, whose timers go to lower levels, or to the
 * present when that comes before. Neither changes the place of any other timer: no digit above its
 * own has changed, and the digit at each level stays below those that are occupied there.
 *
 * A slot is a circular list through its head, in the order (deadline, sequence) when its `sorted`
 * bit is set. An addition that keeps to the order leaves the bit as it is. The front is sorted when
 * something is taken from it. Elsewhere fol_timer_wheel_next looks through the first slot once and
 * remembers the nearest timer; only when that is removed, so that looking through the slot may not
 * be the last time, does it sort.
 *
 * Merging of runs by a counter: Knuth, The Art of Computer Programming, volume 3, 5.2.4.
 */

#include "structures/timer_wheel.h"

#include <assert.h>
#include <errno.h>

#include "base/assert.h"
#include "base/memory.h"

#define TICK_BITS   12u
#define DIGIT_BITS  6u
#define DIGIT_MASK  63u
#define LEVEL_COUNT 10u /* the front, and nine digits */
#define PLACE_COUNT (LEVEL_COUNT << DIGIT_BITS)
#define FRONT       0u
/* How far from the end of a sorted slot an addition looks for its place. */
#define NEAR_STEPS 2
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
    fol_timer *nearest;       /* the next timer, or NULL when that is not known */
    bool nearest_was_removed; /* rather than expired, since the first slot was last sorted */
    fol_timer heads[PLACE_COUNT];
};

int fol_timer_wheel_create(uint64_t now_ns, fol_timer_wheel **out)
{
    fol_timer_wheel *wheel = fol_alloc_zeroed(1, sizeof(*wheel));
    if (wheel == NULL) {
        return -ENOMEM;
    }
    wheel->position = now_ns >> TICK_BITS;
    for (uint32_t place = 0; place < PLACE_COUNT; place++) {
        wheel->heads[place].next = &wheel->heads[place];
        wheel->heads[place].previous = &wheel->heads[place];
    }
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

static bool is_sorted(const fol_timer_wheel *wheel, uint32_t place)
{
    return (wheel->sorted[place >> DIGIT_BITS] >> (place & DIGIT_MASK) & 1u) != 0;
}

static void sort_slot(fol_timer_wheel *wheel, uint32_t place)
{
    fol_timer *head = &wheel->heads[place];
    FOL_ASSERT_HOT(head->next != head);
    head->previous->next = NULL;
    head->next = sort_list(head->next);
    fol_timer *last = head;
    while (last->next != NULL) {
        last->next->previous = last;
        last = last->next;
    }
    last->next = head;
    head->previous = last;
    wheel->sorted[place >> DIGIT_BITS] |= UINT64_C(1) << (place & DIGIT_MASK);
}

/* Where the timer goes in a sorted slot: behind which other, or the head. NULL: too far from both
 * ends to look for it. */
static fol_timer *find_predecessor(fol_timer *head, const fol_timer *timer)
{
    fol_timer *after = head->previous;
    for (int steps = 0; steps < NEAR_STEPS; steps++) {
        if (after == head || is_before(after, timer)) {
            return after;
        }
        after = after->previous;
    }
    return is_before(timer, head->next) ? head : NULL;
}

static void link_timer(fol_timer_wheel *wheel, uint32_t place, fol_timer *timer)
{
    const uint32_t level = place >> DIGIT_BITS;
    const uint64_t bit = UINT64_C(1) << (place & DIGIT_MASK);
    fol_timer *head = &wheel->heads[place];
    fol_timer *after = head->previous;
    if (after == head) {
        wheel->occupied[level] |= bit;
        wheel->sorted[level] |= bit;
        wheel->levels |= 1u << level;
    } else if ((wheel->sorted[level] & bit) != 0) {
        after = find_predecessor(head, timer);
        if (after == NULL) {
            after = head->previous;
            wheel->sorted[level] &= ~bit;
        }
    }
    timer->place = place;
    timer->previous = after;
    timer->next = after->next;
    after->next->previous = timer;
    after->next = timer;
}

static void mark_empty(fol_timer_wheel *wheel, uint32_t place)
{
    const uint32_t level = place >> DIGIT_BITS;
    wheel->occupied[level] &= ~(UINT64_C(1) << (place & DIGIT_MASK));
    if (wheel->occupied[level] == 0) {
        wheel->levels &= ~(1u << level);
    }
}

static void unlink_timer(fol_timer_wheel *wheel, fol_timer *timer)
{
    fol_timer *next = timer->next;
    fol_timer *previous = timer->previous;
    previous->next = next;
    next->previous = previous;
    /* Only a head is on both sides of a timer. */
    if (next == previous) {
        mark_empty(wheel, timer->place);
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
    if (wheel->nearest != NULL && deadline_ns < wheel->nearest->deadline_ns) {
        wheel->nearest = timer;
    }
}

void fol_timer_wheel_remove(fol_timer_wheel *wheel, fol_timer *timer)
{
    if (timer->previous != NULL) {
        FOL_ASSERT_HOT(wheel->count > 0 && timer->place < PLACE_COUNT);
        if (wheel->nearest == timer) {
            wheel->nearest = NULL;
            wheel->nearest_was_removed = true;
        }
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

/* Moves the position into the first slot, not after any of its timers, and these to lower levels.
 */
static void enter_slot(fol_timer_wheel *wheel, uint32_t place, uint64_t position)
{
    FOL_ASSERT_HOT(place != FRONT && position > wheel->position);
    fol_timer *head = &wheel->heads[place];
    fol_timer *timer = head->next;
    /* Fetches the second half while the first is moved: two chains of cache misses instead of one.
     */
    const fol_timer *ahead = head->previous;
    bool has_met = false;
    head->next = head;
    head->previous = head;
    mark_empty(wheel, place);
    wheel->position = position;
    wheel->nearest_was_removed = false;
    while (timer != head) {
        fol_timer *next = timer->next;
        has_met = has_met || timer == ahead || next == ahead;
        if (!has_met) {
            ahead = ahead->previous;
        }
        link_timer(wheel, place_at(tick_of(timer), position), timer);
        timer = next;
    }
}

static uint64_t lesser(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

fol_timer *fol_timer_wheel_expire(fol_timer_wheel *wheel, uint64_t now_ns)
{
    const uint64_t now = now_ns >> TICK_BITS;
    /* Each time round, timers go down at least one level. */
    while (wheel->count > 0) {
        const uint32_t place = first_place(wheel);
        if (place == FRONT) {
            if (!is_sorted(wheel, FRONT)) {
                sort_slot(wheel, FRONT);
            }
            fol_timer *timer = wheel->heads[FRONT].next;
            if (timer->deadline_ns > now_ns) {
                return NULL;
            }
            wheel->nearest = NULL;
            unlink_timer(wheel, timer);
            return timer;
        }
        const uint64_t start = start_of(wheel, place);
        if (start > now) {
            break;
        }
        const fol_timer *first =
            is_sorted(wheel, place) ? wheel->heads[place].next : wheel->nearest;
        enter_slot(wheel, place, first == NULL ? start : lesser(now, tick_of(first)));
    }
    wheel->position = now > wheel->position ? now : wheel->position;
    return NULL;
}

/* The timer with the earliest deadline in a slot. */
static fol_timer *find_nearest(fol_timer *head)
{
    fol_timer *nearest = head->next;
    for (fol_timer *timer = nearest->next; timer != head; timer = timer->next) {
        nearest = timer->deadline_ns < nearest->deadline_ns ? timer : nearest;
    }
    return nearest;
}

uint64_t fol_timer_wheel_next(fol_timer_wheel *wheel)
{
    if (wheel->count == 0) {
        return UINT64_MAX;
    }
    if (wheel->nearest == NULL) {
        const uint32_t place = first_place(wheel);
        if (!is_sorted(wheel, place) && (place == FRONT || wheel->nearest_was_removed)) {
            sort_slot(wheel, place);
            wheel->nearest_was_removed = false;
        }
        fol_timer *head = &wheel->heads[place];
        wheel->nearest = is_sorted(wheel, place) ? head->next : find_nearest(head);
    }
    return wheel->nearest->deadline_ns;
}

uint64_t fol_timer_wheel_count(const fol_timer_wheel *wheel)
{
    return wheel->count;
}

/* How many timers are in a slot, each of which must be where it belongs. */
static uint64_t check_slot(const fol_timer_wheel *wheel, uint32_t place)
{
    const fol_timer *head = &wheel->heads[place];
    const fol_timer *timer = head->next;
    uint64_t count = 0;
    while (timer != head && count <= wheel->count) {
        FOL_ASSERT(timer->place == place);
        FOL_ASSERT(place_at(tick_of(timer), wheel->position) == place);
        FOL_ASSERT(timer->next->previous == timer);
        FOL_ASSERT(timer->sequence < wheel->sequence);
        FOL_ASSERT(!is_sorted(wheel, place) || timer->next == head ||
                   is_before(timer, timer->next));
        FOL_ASSERT(wheel->nearest == NULL || wheel->nearest->deadline_ns <= timer->deadline_ns);
        timer = timer->next;
        count++;
    }
    FOL_ASSERT(timer == head && head->next->previous == head);
    return count;
}

void fol_timer_wheel_invariants(const fol_timer_wheel *wheel)
{
    uint64_t count = 0;
    for (uint32_t level = 0; level < LEVEL_COUNT; level++) {
        FOL_ASSERT((wheel->levels >> level & 1u) == (wheel->occupied[level] != 0));
        for (uint32_t slot = 0; slot <= DIGIT_MASK; slot++) {
            const uint64_t here = check_slot(wheel, (level << DIGIT_BITS) | slot);
            FOL_ASSERT((wheel->occupied[level] >> slot & 1u) == (here != 0));
            count += here;
        }
    }
    FOL_ASSERT(wheel->levels >> LEVEL_COUNT == 0);
    FOL_ASSERT(count == wheel->count);
    FOL_ASSERT(wheel->nearest == NULL || fol_timer_is_set(wheel->nearest));
}
