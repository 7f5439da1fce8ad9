/* The work-stealing deque under real threads: whatever they do, each item is taken exactly once and
 * is whole when it is. Every thread owns a deque; a run says what owners and thieves do.
 */

#include "base/rng.h"
#include "check.h"
#include "stress.h"
#include "structures/deque.h"

#define THREADS_MAX 6

typedef struct item {
    uint32_t payload; /* written before the push, read after the take: not atomic on purpose */
    uint32_t number;
    _Atomic uint32_t takers;
} item;

typedef struct plan {
    uint32_t threads;
    uint32_t pushers;   /* the first so many threads push */
    uint32_t items;     /* of each pusher */
    uint32_t burst;     /* pushed in a row at most */
    bool keeps_private; /* pushes privately, and shares or publishes now and then */
    bool takes_oldest;  /* owners take from the top too */
    bool steals_batches;
    bool steals_marked; /* thieves take marked items only; every third item is */
    uint64_t first_index;
} plan;

static plan current;
static fol_deque deques[THREADS_MAX];
static item *items;
static uint32_t item_count;
static _Atomic uint32_t taken_count;
static _Atomic uint32_t wrong_count;

static bool take(void *pointer)
{
    if (pointer == NULL) {
        return false;
    }
    item *taken = (item *)((uintptr_t)pointer & ~(uintptr_t)1);
    if (taken->payload != taken->number + 1 ||
        atomic_fetch_add_explicit(&taken->takers, 1, memory_order_relaxed) != 0) {
        atomic_fetch_add_explicit(&wrong_count, 1, memory_order_relaxed);
    }
    atomic_fetch_add_explicit(&taken_count, 1, memory_order_relaxed);
    return true;
}

static bool all_are_taken(void)
{
    return atomic_load_explicit(&taken_count, memory_order_relaxed) >= item_count;
}

static void push(fol_deque *own, uint32_t number, fol_rng *rng)
{
    items[number].payload = number + 1;
    void *pointer = (char *)&items[number] + (current.steals_marked && number % 3 == 0);
    bool is_private = current.keeps_private && fol_rng_below(rng, 4) != 0;
    int status = is_private ? fol_deque_push_private_owner(own, pointer)
                            : fol_deque_push_owner(own, pointer);
    if (status != 0) {
        atomic_fetch_add_explicit(&wrong_count, 1, memory_order_relaxed);
    }
    if (current.keeps_private) {
        fol_deque_share_owner(own);
    }
}

/* One of the ways to take an item of one's own. */
static bool take_own(fol_deque *own, fol_rng *rng)
{
    if (current.takes_oldest && fol_rng_below(rng, 2) == 0) {
        return take(fol_deque_take_owner(own));
    }
    if (current.steals_marked && fol_rng_below(rng, 4) == 0) {
        return take(fol_deque_pop_marked_owner(own));
    }
    return take(fol_deque_pop_owner(own));
}

static bool steal(uint32_t self, fol_rng *rng)
{
    uint32_t victim = fol_rng_below(rng, current.threads);
    if (victim == self) {
        return false;
    }
    bool contended = false;
    if (current.steals_marked) {
        return take(fol_deque_steal_marked_thief(&deques[victim], &contended));
    }
    if (current.steals_batches) {
        uint32_t count = 0;
        return take(fol_deque_steal_batch_thief(&deques[victim], &deques[self],
                                                1 + fol_rng_below(rng, 16), &count, &contended));
    }
    return take(fol_deque_steal_thief(&deques[victim], &contended));
}

static void work(uint32_t self)
{
    fol_deque *own = &deques[self];
    fol_rng rng;
    fol_rng_init(&rng, stress_seed() * 1000 + self);
    uint32_t next = self * current.items;
    uint32_t end = self < current.pushers ? next + current.items : next;
    uint32_t looks = 0;
    while (!all_are_taken()) {
        for (uint32_t left = next < end ? 1 + fol_rng_below(&rng, current.burst) : 0;
             left > 0 && next < end; left--) {
            push(own, next, &rng);
            next++;
        }
        /* On few processors thieves get their turn in this way, with the deque half full. */
        if (next < end && fol_rng_below(&rng, 16) == 0) {
            sched_yield();
        }
        /* About what was pushed, so that deques run full and empty. */
        uint32_t takes = fol_rng_below(&rng, current.burst + 2);
        while (takes > 0 && take_own(own, &rng)) {
            takes--;
        }
        if (next == end) {
            fol_deque_publish_owner(own);
            if (!steal(self, &rng) && !take_own(own, &rng)) {
                stress_wait(&looks);
            }
        }
    }
}

static void run_plan(plan chosen)
{
    current = chosen;
    item_count = chosen.pushers * chosen.items;
    items = calloc(item_count, sizeof(item));
    atomic_store(&taken_count, 0);
    atomic_store(&wrong_count, 0);
    for (uint32_t number = 0; number < item_count; number++) {
        items[number].number = number;
    }
    for (uint32_t index = 0; index < chosen.threads; index++) {
        CHECK_EQ(fol_deque_init(&deques[index], 0), 0);
        atomic_store(&deques[index].top, chosen.first_index);
        atomic_store(&deques[index].bottom, chosen.first_index);
        deques[index].own_bottom = chosen.first_index;
        deques[index].tail = chosen.first_index;
        deques[index].limit = chosen.first_index + deques[index].mask + 1;
    }
    stress_run(chosen.threads, work);
    CHECK_EQ(atomic_load(&wrong_count), 0);
    CHECK_EQ(atomic_load(&taken_count), item_count);
    for (uint32_t index = 0; index < chosen.threads; index++) {
        CHECK_EQ(fol_deque_count_owner(&deques[index]), 0);
        fol_deque_deinit(&deques[index]);
    }
    free(items);
}

static void test_three_thieves_and_an_owner_that_pops(void)
{
    run_plan((plan){.threads = 4, .pushers = 1, .items = stress_rounds(500000), .burst = 4});
}

static void test_owner_that_keeps_most_items_private(void)
{
    run_plan((plan){.threads = 4,
                    .pushers = 1,
                    .items = stress_rounds(500000),
                    .burst = 8,
                    .keeps_private = true,
                    .takes_oldest = true});
}

static void test_batches_go_from_thief_to_thief(void)
{
    run_plan((plan){.threads = 5,
                    .pushers = 1,
                    .items = stress_rounds(500000),
                    .burst = 100,
                    .steals_batches = true});
}

static void test_marked_items_are_stolen_and_the_rest_stays(void)
{
    run_plan((plan){.threads = 4,
                    .pushers = 2,
                    .items = stress_rounds(150000),
                    .burst = 6,
                    .keeps_private = true,
                    .takes_oldest = true,
                    .steals_marked = true});
}

static void test_all_steal_from_one_another_while_arrays_grow(void)
{
    for (uint32_t round = 0; round < stress_rounds(40); round++) {
        run_plan((plan){.threads = 6,
                        .pushers = 6,
                        .items = 3000,
                        .burst = 500,
                        .keeps_private = true,
                        .takes_oldest = true,
                        .steals_batches = round % 2 == 0});
    }
}

static void test_single_items_are_fought_for(void)
{
    run_plan((plan){.threads = 3, .pushers = 3, .items = stress_rounds(200000), .burst = 1});
}

static void test_indices_wrap_round_under_thieves(void)
{
    for (uint32_t round = 0; round < stress_rounds(40); round++) {
        run_plan((plan){.threads = 4,
                        .pushers = 2,
                        .items = 3000,
                        .burst = 100,
                        .keeps_private = true,
                        .takes_oldest = true,
                        .steals_batches = round % 2 == 0,
                        .first_index = UINT64_MAX - 1000});
    }
}

int main(void)
{
    stress_watch(300);
    RUN(test_three_thieves_and_an_owner_that_pops);
    RUN(test_owner_that_keeps_most_items_private);
    RUN(test_batches_go_from_thief_to_thief);
    RUN(test_marked_items_are_stolen_and_the_rest_stays);
    RUN(test_all_steal_from_one_another_while_arrays_grow);
    RUN(test_single_items_are_fought_for);
    RUN(test_indices_wrap_round_under_thieves);
    stress_report();
    CHECK_MAIN_END();
}
