/* Random histories of deques, an injector and an event count together, under the seeded scheduler.
 *
 * Some threads follow a random script on a deque of their own, on those of the others, and on the
 * injector; the rest look for work and park when there is none. What is checked: each item is taken
 * once and nothing is left; oldest-first takers of a deque and consumers of the injector see the
 * order of the pushes; the owner's pop gives its newest item, and NULL only when none is left; and
 * nobody parks for good while there is work.
 *
 *   fuzz_structures COUNT [FIRST]    runs the seeds FIRST (1) ... FIRST + COUNT - 1
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "fuzz.h"
#include "structures/deque.h"
#include "structures/event_count.h"
#include "structures/injector.h"

#define ITEMS_MAX  128
#define SCRIPT_MAX 24u

/* An item's place among the pushes of its deque (or of its producer, in the injector). */
typedef struct item {
    uint64_t aligned;
    uint32_t sequence;
    uint32_t home; /* the deque it was pushed to */
    bool is_in_injector;
    bool is_taken;
    bool is_marked;
} item;

static item items[ITEMS_MAX];
static uint32_t item_count;
static uint32_t taken_count;
static uint32_t thread_count;
static uint32_t script_threads;
static uint32_t scripts_left;
static bool has_batches;
static bool has_marks;
static fol_deque deques[FUZZ_THREADS_MAX];
static uint32_t pushed[FUZZ_THREADS_MAX];
static uint32_t injected[FUZZ_THREADS_MAX];
static uint32_t last_from_top[FUZZ_THREADS_MAX];
static uint32_t last_injected[FUZZ_THREADS_MAX][FUZZ_THREADS_MAX]; /* consumer, producer */
static fol_injector injector;
static fol_event_count event;

static bool all_is_done(void)
{
    return scripts_left == 0 && taken_count == item_count;
}

/* Takes note of an item; NULL is none. Nothing shared is touched between the taking and this, so no
 * other thread runs in between (but in a batch). */
static item *take(void *pointer)
{
    if (pointer == NULL) {
        return NULL;
    }
    item *taken = (item *)((uintptr_t)pointer & ~(uintptr_t)1);
    fuzz_check(taken >= items && taken < items + item_count, "no item that was pushed");
    fuzz_check(taken->is_marked == fol_deque_item_is_marked(pointer), "the mark was lost");
    fuzz_check(!taken->is_taken, "an item was taken twice");
    taken->is_taken = true;
    taken_count++;
    return taken;
}

/* Whoever takes the last item of all tells those that wait for more. */
static bool finish(const item *taken)
{
    if (taken != NULL && all_is_done()) {
        fol_event_count_notify_all(&event);
    }
    return taken != NULL;
}

static bool took_from_top(uint32_t victim, void *pointer)
{
    item *taken = take(pointer);
    if (taken != NULL && !has_batches) {
        fuzz_check(taken->home == victim, "an item of another deque");
        fuzz_check(taken->sequence > last_from_top[victim], "a younger item went first");
        last_from_top[victim] = taken->sequence;
    }
    return finish(taken);
}

static bool took_from_bottom(uint32_t self, void *pointer)
{
    item *taken = take(pointer);
    for (uint32_t index = 0; index < item_count && !has_batches; index++) {
        const item *other = &items[index];
        if (other->home == self && !other->is_in_injector && !other->is_taken) {
            fuzz_check(taken != NULL, "empty, but an item is left");
            fuzz_check(other->sequence < taken->sequence, "an older item was popped first");
        }
    }
    return finish(taken);
}

static void *new_item(uint32_t self, bool is_in_injector)
{
    if (item_count == ITEMS_MAX) {
        return NULL;
    }
    item *made = &items[item_count];
    *made = (item){.home = self,
                   .is_in_injector = is_in_injector,
                   .is_marked = has_marks && !is_in_injector && fuzz_below(2) == 0};
    made->sequence = is_in_injector ? ++injected[self] : ++pushed[self];
    item_count++;
    return (char *)made + made->is_marked;
}

static void push(uint32_t self, bool is_private)
{
    void *pointer = new_item(self, false);
    if (pointer == NULL) {
        return;
    }
    if (is_private) {
        fuzz_check(fol_deque_push_private_owner(&deques[self], pointer) == 0, "no memory");
    } else {
        fuzz_check(fol_deque_push_owner(&deques[self], pointer) == 0, "no memory");
        fol_event_count_notify_one(&event);
    }
}

static void inject(uint32_t self)
{
    void *pointer = new_item(self, true);
    if (pointer == NULL) {
        return;
    }
    if (fol_injector_push(&injector, pointer)) {
        fol_event_count_notify_one(&event);
    } else {
        /* Full: its producer keeps it. */
        finish(take(pointer));
    }
}

static bool take_injected(uint32_t self)
{
    item *taken = take(fol_injector_pop(&injector));
    if (taken != NULL) {
        fuzz_check(taken->is_in_injector, "an item of a deque");
        fuzz_check(taken->sequence > last_injected[self][taken->home], "a producer's order");
        last_injected[self][taken->home] = taken->sequence;
    }
    return finish(taken);
}

static bool steal(uint32_t self, uint32_t victim)
{
    bool contended = true;
    while (contended) {
        void *pointer = NULL;
        uint32_t count = 0;
        if (has_batches && fuzz_below(2) == 0) {
            pointer = fol_deque_steal_batch_thief(&deques[victim], &deques[self], 1 + fuzz_below(5),
                                                  &count, &contended);
            fuzz_check((count != 0) == (pointer != NULL), "a count without items");
        } else {
            pointer = fol_deque_steal_thief(&deques[victim], &contended);
        }
        if (took_from_top(victim, pointer)) {
            return true;
        }
    }
    return false;
}

static void steal_marked(uint32_t victim)
{
    bool contended = false;
    void *pointer = fol_deque_steal_marked_thief(&deques[victim], &contended);
    fuzz_check(pointer == NULL || fol_deque_item_is_marked(pointer), "it is not marked");
    took_from_top(victim, pointer);
}

static void pop_marked(uint32_t self)
{
    void *pointer = fol_deque_pop_marked_owner(&deques[self]);
    fuzz_check(pointer == NULL || fol_deque_item_is_marked(pointer), "it is not marked");
    if (pointer != NULL) {
        took_from_bottom(self, pointer);
    }
}

static bool find_work(uint32_t self)
{
    if (took_from_bottom(self, fol_deque_pop_owner(&deques[self])) || take_injected(self)) {
        return true;
    }
    uint32_t first = fuzz_below(thread_count);
    for (uint32_t step = 0; step < thread_count; step++) {
        uint32_t victim = (first + step) % thread_count;
        if (victim != self && steal(self, victim)) {
            return true;
        }
    }
    return false;
}

static void work_until_all_is_done(uint32_t self)
{
    while (!all_is_done()) {
        if (find_work(self)) {
            continue;
        }
        uint32_t key = fol_event_count_prepare(&event);
        if (all_is_done() || find_work(self)) {
            fol_event_count_cancel(&event);
        } else {
            fol_event_count_commit(&event, key, fuzz_below(8) == 0 ? 1000 : 0);
        }
    }
}

static void follow_script(uint32_t self)
{
    for (uint32_t left = 1 + fuzz_below(SCRIPT_MAX); left > 0; left--) {
        uint32_t other = fuzz_below(thread_count);
        switch (fuzz_below(12)) {
        case 0:
        case 1:
            push(self, false);
            break;
        case 2:
        case 3:
        case 4:
            push(self, true);
            break;
        case 5:
            if (fol_deque_share_owner(&deques[self])) {
                fol_event_count_notify_one(&event);
            }
            break;
        case 6:
            inject(self);
            break;
        case 7:
            took_from_top(self, fol_deque_take_owner(&deques[self]));
            fol_event_count_notify_one(&event);
            break;
        case 8:
            if (other != self) {
                steal(self, other);
            }
            break;
        case 9:
            steal_marked(other);
            pop_marked(self);
            break;
        case 10:
            take_injected(self);
            break;
        default:
            took_from_bottom(self, fol_deque_pop_owner(&deques[self]));
            break;
        }
    }
}

static void run_thread(uint32_t self)
{
    if (self < script_threads) {
        follow_script(self);
        fol_deque_publish_owner(&deques[self]);
        scripts_left--;
        /* One is enough: whoever takes the last item of all tells the others. */
        if (all_is_done()) {
            fol_event_count_notify_all(&event);
        } else if (fol_deque_public_count(&deques[self]) != 0) {
            fol_event_count_notify_one(&event);
        }
    } else {
        work_until_all_is_done(self);
    }
}

static void run_seed(uint64_t seed)
{
    fol_rng rng;
    fol_rng_init(&rng, ~seed);
    script_threads = 1 + fol_rng_below(&rng, 3);
    thread_count = script_threads + 1 + fol_rng_below(&rng, 2);
    has_batches = fol_rng_below(&rng, 2) == 0;
    has_marks = fol_rng_below(&rng, 2) == 0;
    scripts_left = script_threads;
    item_count = 0;
    taken_count = 0;
    memset(pushed, 0, sizeof(pushed));
    memset(injected, 0, sizeof(injected));
    memset(last_from_top, 0, sizeof(last_from_top));
    memset(last_injected, 0, sizeof(last_injected));
    fol_event_count_init(&event);
    fuzz_check(fol_injector_init(&injector, 2u << fol_rng_below(&rng, 3)) == 0, "no memory");
    for (uint32_t index = 0; index < thread_count; index++) {
        fuzz_check(fol_deque_init(&deques[index], 0) == 0, "no memory");
    }
    fuzz_run(seed, thread_count, run_thread);
    fuzz_check(taken_count == item_count, "an item is left");
    fuzz_check(fol_event_count_waiters(&event) == 0, "a waiter is left");
    for (uint32_t index = 0; index < thread_count; index++) {
        fol_deque_deinit(&deques[index]);
    }
    fol_injector_deinit(&injector);
}

int main(int count, char **words)
{
    uint64_t seeds = count > 1 ? strtoull(words[1], NULL, 10) : 1000;
    uint64_t first = count > 2 ? strtoull(words[2], NULL, 10) : 1;
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        run_seed(seed);
    }
    printf("%llu histories hold\n", (unsigned long long)seeds);
    return 0;
}
