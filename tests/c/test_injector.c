/* The injector: order, room and refused memory in one thread, and under many each item once, in the
 * order of its producer.
 */

#include <errno.h>

#include "base/rng.h"
#include "check.h"
#include "foliot/memory.h"
#include "stress.h"
#include "structures/injector.h"

static uint64_t words[64];

static void test_first_in_is_first_out(void)
{
    fol_injector injector;
    CHECK_EQ(fol_injector_init(&injector, 8), 0);
    CHECK(fol_injector_pop(&injector) == NULL);
    for (int index = 0; index < 5; index++) {
        CHECK(fol_injector_push(&injector, &words[index]));
    }
    CHECK_EQ(fol_injector_count(&injector), 5);
    for (int index = 0; index < 5; index++) {
        CHECK(fol_injector_pop(&injector) == &words[index]);
    }
    CHECK(fol_injector_pop(&injector) == NULL);
    CHECK_EQ(fol_injector_count(&injector), 0);
    fol_injector_deinit(&injector);
}

static void test_capacity_is_a_power_of_two_of_at_least_two(void)
{
    const uint32_t asked[] = {0, 1, 2, 3, 5, 64};
    const uint32_t given[] = {2, 2, 2, 4, 8, 64};
    for (int round = 0; round < 6; round++) {
        fol_injector injector;
        CHECK_EQ(fol_injector_init(&injector, asked[round]), 0);
        uint32_t pushed = 0;
        while (pushed < 100 && fol_injector_push(&injector, &words[pushed % 64])) {
            pushed++;
        }
        CHECK_EQ(pushed, given[round]);
        CHECK_EQ(fol_injector_count(&injector), given[round]);
        fol_injector_deinit(&injector);
    }
}

static void test_full_queue_takes_one_for_each_that_leaves(void)
{
    fol_injector injector;
    CHECK_EQ(fol_injector_init(&injector, 4), 0);
    for (int index = 0; index < 4; index++) {
        CHECK(fol_injector_push(&injector, &words[index]));
    }
    for (int round = 0; round < 100; round++) {
        CHECK(!fol_injector_push(&injector, &words[0]));
        CHECK(fol_injector_pop(&injector) == &words[round % 4]);
        CHECK(fol_injector_push(&injector, &words[round % 4]));
    }
    fol_injector_deinit(&injector);
}

static void test_refused_memory_is_reported(void)
{
    fol_injector injector;
    fol_memory_stats before;
    fol_memory_stats after;
    fol_memory_read_stats(&before);
    fol_memory_fail_nth(1);
    CHECK_EQ(fol_injector_init(&injector, 4), -ENOMEM);
    fol_memory_read_stats(&after);
    CHECK_EQ(after.live_blocks, before.live_blocks);
}

static void test_positions_wrap_round_without_notice(void)
{
    fol_injector injector;
    CHECK_EQ(fol_injector_init(&injector, 4), 0);
    uint64_t start = UINT64_MAX - 5;
    atomic_store(&injector.head, start);
    atomic_store(&injector.tail, start);
    for (uint64_t position = start; position != start + 4; position++) {
        atomic_store(&injector.cells[position & 3].turn, position);
    }
    for (int round = 0; round < 20; round++) {
        CHECK(fol_injector_push(&injector, &words[1]));
        CHECK(fol_injector_push(&injector, &words[2]));
        CHECK_EQ(fol_injector_count(&injector), 2);
        CHECK(fol_injector_pop(&injector) == &words[1]);
        CHECK(fol_injector_pop(&injector) == &words[2]);
        CHECK(fol_injector_pop(&injector) == NULL);
    }
    fol_injector_deinit(&injector);
}

#define THREADS_MAX 8

typedef struct item {
    uint32_t payload; /* not atomic on purpose */
    uint32_t producer;
    uint32_t number;
    _Atomic uint32_t takers;
} item;

static struct {
    uint32_t producers;
    uint32_t consumers;
    uint32_t items; /* of each producer */
    uint32_t capacity;
} current;
static fol_injector shared;
static item *items;
static _Atomic uint32_t taken_count;
static _Atomic uint32_t wrong_count;

static void produce(uint32_t self)
{
    uint32_t looks = 0;
    for (uint32_t number = 0; number < current.items; number++) {
        item *made = &items[self * current.items + number];
        *made = (item){.payload = number + 1, .producer = self, .number = number};
        while (!fol_injector_push(&shared, made)) {
            stress_wait(&looks);
        }
    }
}

static void consume(void)
{
    uint32_t all = current.producers * current.items;
    uint32_t next[THREADS_MAX] = {0};
    uint32_t looks = 0;
    while (atomic_load_explicit(&taken_count, memory_order_relaxed) < all) {
        item *taken = fol_injector_pop(&shared);
        if (taken == NULL) {
            stress_wait(&looks);
            continue;
        }
        /* What one consumer gets from one producer only goes up. */
        if (taken->payload != taken->number + 1 || taken->number < next[taken->producer] ||
            atomic_fetch_add_explicit(&taken->takers, 1, memory_order_relaxed) != 0) {
            atomic_fetch_add_explicit(&wrong_count, 1, memory_order_relaxed);
        }
        next[taken->producer] = taken->number + 1;
        atomic_fetch_add_explicit(&taken_count, 1, memory_order_relaxed);
    }
}

static void produce_or_consume(uint32_t self)
{
    if (self < current.producers) {
        produce(self);
    } else {
        consume();
    }
}

static void run_crowd(uint32_t producers, uint32_t consumers, uint32_t count, uint32_t capacity)
{
    current.producers = producers;
    current.consumers = consumers;
    current.items = count;
    current.capacity = capacity;
    items = calloc((size_t)producers * count, sizeof(item));
    atomic_store(&taken_count, 0);
    atomic_store(&wrong_count, 0);
    CHECK_EQ(fol_injector_init(&shared, capacity), 0);
    stress_run(producers + consumers, produce_or_consume);
    CHECK_EQ(atomic_load(&wrong_count), 0);
    CHECK_EQ(atomic_load(&taken_count), (uint64_t)producers * count);
    CHECK_EQ(fol_injector_count(&shared), 0);
    CHECK(fol_injector_pop(&shared) == NULL);
    fol_injector_deinit(&shared);
    free(items);
}

static void test_items_of_many_come_out_once_in_order(void)
{
    run_crowd(3, 3, stress_rounds(60000), 256);
}

static void test_smallest_queue_loses_nothing(void)
{
    run_crowd(3, 3, stress_rounds(20000), 2);
}

static void test_one_producer_feeds_many(void)
{
    run_crowd(1, 4, stress_rounds(100000), 64);
}

static void test_many_producers_feed_one(void)
{
    run_crowd(4, 1, stress_rounds(40000), 64);
}

int main(void)
{
    stress_watch(300);
    RUN(test_first_in_is_first_out);
    RUN(test_capacity_is_a_power_of_two_of_at_least_two);
    RUN(test_full_queue_takes_one_for_each_that_leaves);
    RUN(test_refused_memory_is_reported);
    RUN(test_positions_wrap_round_without_notice);
    RUN(test_items_of_many_come_out_once_in_order);
    RUN(test_smallest_queue_loses_nothing);
    RUN(test_one_producer_feeds_many);
    RUN(test_many_producers_feed_one);
    stress_report();
    CHECK_MAIN_END();
}
