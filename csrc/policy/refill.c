/* Sporadic refills; refill.h has the theory, foliot/budget.h the contract. */

#include "policy/refill.h"

#include <assert.h>

#include "base/assert.h"
#include "foliot/status.h"

/* A head at or after this is never ready: later than any time that can be asked about, and sums
 * with two periods still fit. */
#define END_OF_TIME (INT64_C(1) << 62)

static_assert(FOL_BUDGET_MAX_TIME < END_OF_TIME, "no time that is asked about is the end");
static_assert(END_OF_TIME <= INT64_MAX - 3 * FOL_BUDGET_MAX_PERIOD, "refills behind the end fit");

/* Places are below twice the capacity. */
static fol_refill *slot_at(const fol_refill_ring *ring, uint32_t place)
{
    uint32_t slot = ring->head + place;
    return &ring->slots[slot < ring->capacity ? slot : slot - ring->capacity];
}

static fol_refill *head_of(const fol_refill_ring *ring)
{
    return &ring->slots[ring->head];
}

static int64_t end_of(const fol_refill *refill)
{
    return refill->time + refill->amount;
}

static fol_refill pop_head(fol_refill_ring *ring)
{
    FOL_ASSERT_HOT(ring->count > 1);
    fol_refill head = *head_of(ring);
    ring->head = ring->head + 1 < ring->capacity ? ring->head + 1 : 0;
    ring->count--;
    return head;
}

/* Adds a refill behind all others. True: it has a place of its own. */
static bool schedule(fol_refill_ring *ring, fol_refill refill)
{
    FOL_ASSERT_HOT(ring->count > 0 && refill.amount > 0);
    fol_refill *tail = slot_at(ring, ring->count - 1);
    if (end_of(tail) >= refill.time) {
        tail->amount += refill.amount;
        return false;
    }
    if (ring->count < ring->capacity) {
        *slot_at(ring, ring->count) = refill;
        ring->count++;
        return true;
    }
    /* Joined so that the later one begins where it should. */
    tail->time = refill.time - tail->amount;
    tail->amount += refill.amount;
    return false;
}

int fol_refill_init(fol_refill_ring *ring, fol_refill *slots, uint32_t capacity, int64_t budget,
                    int64_t period, int64_t minimum, int64_t now)
{
    bool is_possible = capacity >= FOL_REFILLS_MIN && capacity <= FOL_REFILLS_MAX && budget >= 1 &&
                       budget <= period && period <= FOL_BUDGET_MAX_PERIOD && minimum >= 0 &&
                       minimum <= budget && now >= 0 && now <= FOL_BUDGET_MAX_TIME;
    if (!is_possible) {
        return FOL_E_VALUE;
    }
    *ring = (fol_refill_ring){.slots = slots,
                              .budget = budget,
                              .period = period,
                              .minimum = minimum,
                              .capacity = capacity,
                              .count = 1};
    slots[0] = (fol_refill){.time = now, .amount = budget};
    return 0;
}

/* The debt leads past the end of time. */
static void shut_out(fol_refill_ring *ring)
{
    ring->head = 0;
    ring->count = 1;
    ring->slots[0] = (fol_refill){.time = END_OF_TIME, .amount = ring->budget};
}

/* Moves everything away from now by whole periods. */
static void postpone(fol_refill_ring *ring, int64_t periods)
{
    int64_t room = END_OF_TIME - head_of(ring)->time;
    if (room <= 0 || periods > room / ring->period) {
        shut_out(ring);
        return;
    }
    for (uint32_t place = 0; place < ring->count; place++) {
        slot_at(ring, place)->time += periods * ring->period;
    }
}

/* Uses up refills at the head as long as `used` covers them whole; gives what is left of it.
 *
 * When as many in a row as there are were used up and none was joined with another, all that
 * happened is that everything moved by a period, as it will each time from here on: those periods
 * are taken at once. Joining leaves one refill less, so there are at most FOL_REFILLS_MAX rounds
 * before that. */
static int64_t use_whole(fol_refill_ring *ring, int64_t used)
{
    uint32_t unjoined = 0;
    while (head_of(ring)->amount <= used) {
        if (unjoined >= ring->count) {
            postpone(ring, used / ring->budget);
            used %= ring->budget;
            unjoined = 0;
            continue;
        }
        used -= head_of(ring)->amount;
        if (ring->count == 1) {
            head_of(ring)->time += ring->period;
            unjoined++;
        } else {
            fol_refill head = pop_head(ring);
            head.time += ring->period;
            unjoined = schedule(ring, head) ? unjoined + 1 : 0;
        }
        if (head_of(ring)->time >= END_OF_TIME) {
            shut_out(ring);
            return 0;
        }
    }
    return used;
}

void fol_refill_charge(fol_refill_ring *ring, int64_t used)
{
    FOL_ASSERT(used >= 0 && used <= FOL_BUDGET_MAX_TIME);
    FOL_CHECK_INVARIANTS(fol_refill_invariants(ring));
    if (head_of(ring)->time >= END_OF_TIME) {
        return;
    }
    used = use_whole(ring, used);
    if (used > 0) {
        fol_refill *head = head_of(ring);
        schedule(ring, (fol_refill){.time = head->time + ring->period, .amount = used});
        head->amount -= used;
        head->time += used;
    }
    /* A refill that is alone is all of the budget, which the minimum is not above. */
    while (head_of(ring)->amount < ring->minimum) {
        int64_t amount = pop_head(ring).amount;
        head_of(ring)->amount += amount;
        head_of(ring)->time -= amount;
    }
    FOL_CHECK_INVARIANTS(fol_refill_invariants(ring));
}

void fol_refill_unblock(fol_refill_ring *ring, int64_t now)
{
    FOL_ASSERT(now >= 0 && now <= FOL_BUDGET_MAX_TIME);
    if (!fol_refill_ready(ring, now)) {
        return;
    }
    FOL_CHECK_INVARIANTS(fol_refill_invariants(ring));
    head_of(ring)->time = now;
    while (ring->count > 1 && slot_at(ring, 1)->time <= end_of(head_of(ring))) {
        int64_t amount = pop_head(ring).amount;
        head_of(ring)->time = now;
        head_of(ring)->amount += amount;
    }
    FOL_CHECK_INVARIANTS(fol_refill_invariants(ring));
}

bool fol_refill_ready(const fol_refill_ring *ring, int64_t now)
{
    FOL_ASSERT_HOT(head_of(ring)->amount >= ring->minimum);
    return head_of(ring)->time <= now;
}

int64_t fol_refill_ready_at(const fol_refill_ring *ring)
{
    int64_t time = head_of(ring)->time;
    return time <= FOL_BUDGET_MAX_TIME ? time : FOL_TIME_NEVER;
}

/* What may be used from a time on without a pause, when the head may. */
static int64_t joined_from(const fol_refill_ring *ring, int64_t time)
{
    int64_t amount = head_of(ring)->amount;
    for (uint32_t place = 1; place < ring->count; place++) {
        const fol_refill *next = slot_at(ring, place);
        if (next->time > time + amount) {
            break;
        }
        amount += next->amount;
    }
    FOL_ASSERT_HOT(amount <= ring->budget);
    return amount;
}

int64_t fol_refill_available(const fol_refill_ring *ring, int64_t now)
{
    FOL_ASSERT(now >= 0 && now <= FOL_BUDGET_MAX_TIME);
    return fol_refill_ready(ring, now) ? joined_from(ring, now) : 0;
}

int64_t fol_refill_burst(const fol_refill_ring *ring)
{
    return joined_from(ring, head_of(ring)->time);
}

const fol_refill *fol_refill_at(const fol_refill_ring *ring, uint32_t place)
{
    FOL_ASSERT(place < ring->count);
    return slot_at(ring, place);
}

void fol_refill_invariants(const fol_refill_ring *ring)
{
    FOL_ASSERT(ring->capacity >= FOL_REFILLS_MIN && ring->capacity <= FOL_REFILLS_MAX);
    FOL_ASSERT(ring->count >= 1 && ring->count <= ring->capacity);
    FOL_ASSERT(ring->head < ring->capacity);
    FOL_ASSERT(head_of(ring)->amount >= ring->minimum);
    int64_t sum = 0;
    int64_t end = 0;
    for (uint32_t place = 0; place < ring->count; place++) {
        const fol_refill *refill = slot_at(ring, place);
        FOL_ASSERT(refill->amount >= 1);
        FOL_ASSERT(refill->time >= end);
        end = end_of(refill);
        sum += refill->amount;
    }
    FOL_ASSERT(sum == ring->budget);
    FOL_ASSERT(slot_at(ring, ring->count - 1)->time <= head_of(ring)->time + ring->period);
}
