/* The work-stealing deque in one thread: order, privacy, marks, growth, and refused memory. */

#include "check.h"
#include "foliot/memory.h"
#include "structures/deque.h"

#define ITEMS 4096

static uint64_t items[ITEMS];

static int index_of(const void *item)
{
    return item == NULL ? -1 : (int)((const uint64_t *)item - items);
}

static void *marked(int index)
{
    return (char *)&items[index] + 1;
}

static void push_all(fol_deque *deque, int from, int to)
{
    for (int index = from; index < to; index++) {
        CHECK_EQ(fol_deque_push_owner(deque, &items[index]), 0);
    }
}

static void test_owner_pops_the_newest_first(void)
{
    fol_deque deque;
    CHECK_EQ(fol_deque_init(&deque, 0), 0);
    CHECK(fol_deque_pop_owner(&deque) == NULL);
    push_all(&deque, 0, 3);
    CHECK_EQ(fol_deque_count_owner(&deque), 3);
    for (int index = 2; index >= 0; index--) {
        CHECK_EQ(index_of(fol_deque_pop_owner(&deque)), index);
    }
    CHECK(fol_deque_pop_owner(&deque) == NULL);
    CHECK_EQ(fol_deque_count_owner(&deque), 0);
    fol_deque_deinit(&deque);
}

static void test_thief_takes_the_oldest_first(void)
{
    fol_deque deque;
    bool contended = true;
    CHECK_EQ(fol_deque_init(&deque, 0), 0);
    CHECK(fol_deque_steal_thief(&deque, &contended) == NULL);
    CHECK(!contended);
    push_all(&deque, 0, 3);
    for (int index = 0; index < 3; index++) {
        CHECK_EQ(index_of(fol_deque_steal_thief(&deque, &contended)), index);
        CHECK(!contended);
    }
    CHECK(fol_deque_steal_thief(&deque, &contended) == NULL);
    CHECK(fol_deque_pop_owner(&deque) == NULL);
    fol_deque_deinit(&deque);
}

static void test_private_items_are_the_owners_alone(void)
{
    fol_deque deque;
    bool contended = false;
    CHECK_EQ(fol_deque_init(&deque, 0), 0);
    for (int index = 0; index < 4; index++) {
        CHECK_EQ(fol_deque_push_private_owner(&deque, &items[index]), 0);
    }
    CHECK_EQ(fol_deque_public_count(&deque), 0);
    CHECK_EQ(fol_deque_count_owner(&deque), 4);
    CHECK(fol_deque_steal_thief(&deque, &contended) == NULL);
    CHECK_EQ(index_of(fol_deque_pop_owner(&deque)), 3);
    fol_deque_publish_owner(&deque);
    CHECK_EQ(fol_deque_public_count(&deque), 3);
    CHECK_EQ(index_of(fol_deque_steal_thief(&deque, &contended)), 0);
    CHECK_EQ(index_of(fol_deque_pop_owner(&deque)), 2);
    CHECK_EQ(index_of(fol_deque_pop_owner(&deque)), 1);
    fol_deque_deinit(&deque);
}

static void test_share_publishes_the_older_half_when_nothing_is_public(void)
{
    fol_deque deque;
    bool contended = false;
    CHECK_EQ(fol_deque_init(&deque, 0), 0);
    CHECK(!fol_deque_share_owner(&deque));
    CHECK_EQ(fol_deque_push_private_owner(&deque, &items[0]), 0);
    CHECK(fol_deque_share_owner(&deque));
    CHECK_EQ(fol_deque_public_count(&deque), 1);
    for (int index = 1; index < 6; index++) {
        CHECK_EQ(fol_deque_push_private_owner(&deque, &items[index]), 0);
    }
    CHECK(!fol_deque_share_owner(&deque));
    CHECK_EQ(index_of(fol_deque_steal_thief(&deque, &contended)), 0);
    CHECK(fol_deque_share_owner(&deque));
    CHECK_EQ(fol_deque_public_count(&deque), 3);
    CHECK_EQ(index_of(fol_deque_steal_thief(&deque, &contended)), 1);
    for (int index = 5; index >= 2; index--) {
        CHECK_EQ(index_of(fol_deque_pop_owner(&deque)), index);
    }
    CHECK(fol_deque_pop_owner(&deque) == NULL);
    fol_deque_deinit(&deque);
}

static void test_push_publishes_private_items_below_it(void)
{
    fol_deque deque;
    CHECK_EQ(fol_deque_init(&deque, 0), 0);
    CHECK_EQ(fol_deque_push_private_owner(&deque, &items[0]), 0);
    CHECK_EQ(fol_deque_push_owner(&deque, &items[1]), 0);
    CHECK_EQ(fol_deque_public_count(&deque), 2);
    fol_deque_deinit(&deque);
}

static void test_owner_takes_its_oldest_private_ones_too(void)
{
    fol_deque deque;
    CHECK_EQ(fol_deque_init(&deque, 0), 0);
    CHECK(fol_deque_take_owner(&deque) == NULL);
    for (int index = 0; index < 3; index++) {
        CHECK_EQ(fol_deque_push_private_owner(&deque, &items[index]), 0);
    }
    CHECK_EQ(index_of(fol_deque_take_owner(&deque)), 0);
    CHECK_EQ(fol_deque_public_count(&deque), 2);
    CHECK_EQ(index_of(fol_deque_pop_owner(&deque)), 2);
    CHECK_EQ(index_of(fol_deque_take_owner(&deque)), 1);
    CHECK(fol_deque_take_owner(&deque) == NULL);
    CHECK(fol_deque_pop_owner(&deque) == NULL);
    fol_deque_deinit(&deque);
}

static void test_only_marked_items_are_taken_when_asked_for(void)
{
    fol_deque deque;
    bool contended = false;
    CHECK_EQ(fol_deque_init(&deque, 0), 0);
    CHECK(fol_deque_pop_marked_owner(&deque) == NULL);
    CHECK(fol_deque_steal_marked_thief(&deque, &contended) == NULL);
    CHECK_EQ(fol_deque_push_owner(&deque, &items[0]), 0);
    CHECK_EQ(fol_deque_push_owner(&deque, marked(1)), 0);
    CHECK_EQ(fol_deque_push_owner(&deque, marked(2)), 0);
    CHECK(fol_deque_steal_marked_thief(&deque, &contended) == NULL);
    CHECK(!contended);
    CHECK(fol_deque_pop_marked_owner(&deque) == marked(2));
    CHECK_EQ(index_of(fol_deque_steal_thief(&deque, &contended)), 0);
    CHECK(fol_deque_steal_marked_thief(&deque, &contended) == marked(1));
    /* The slots still hold marked items that are gone. */
    CHECK(fol_deque_pop_marked_owner(&deque) == NULL);
    CHECK(fol_deque_steal_marked_thief(&deque, &contended) == NULL);
    CHECK_EQ(fol_deque_push_private_owner(&deque, &items[3]), 0);
    CHECK(fol_deque_pop_marked_owner(&deque) == NULL);
    CHECK_EQ(fol_deque_push_private_owner(&deque, marked(4)), 0);
    CHECK(fol_deque_pop_marked_owner(&deque) == marked(4));
    CHECK_EQ(fol_deque_count_owner(&deque), 1);
    fol_deque_deinit(&deque);
}

static void test_batch_takes_half_rounded_up_and_keeps_the_order(void)
{
    fol_deque victim;
    fol_deque own;
    uint32_t count = 9;
    bool contended = true;
    CHECK_EQ(fol_deque_init(&victim, 0), 0);
    CHECK_EQ(fol_deque_init(&own, 0), 0);
    CHECK(fol_deque_steal_batch_thief(&victim, &own, 8, &count, &contended) == NULL);
    CHECK_EQ(count, 0);
    CHECK(!contended);
    push_all(&victim, 0, 7);
    CHECK_EQ(index_of(fol_deque_steal_batch_thief(&victim, &own, 8, &count, &contended)), 0);
    CHECK_EQ(count, 4);
    CHECK_EQ(fol_deque_public_count(&own), 3);
    for (int index = 1; index < 4; index++) {
        CHECK_EQ(index_of(fol_deque_take_owner(&own)), index);
    }
    CHECK_EQ(fol_deque_count_owner(&victim), 3);
    CHECK_EQ(index_of(fol_deque_steal_batch_thief(&victim, &own, 1, &count, &contended)), 4);
    CHECK_EQ(count, 1);
    CHECK_EQ(fol_deque_count_owner(&own), 0);
    CHECK_EQ(index_of(fol_deque_steal_batch_thief(&victim, &own, 2, &count, &contended)), 5);
    CHECK_EQ(count, 1);
    fol_deque_deinit(&own);
    fol_deque_deinit(&victim);
}

static void test_growth_keeps_every_item_and_every_old_array(void)
{
    fol_memory_stats before;
    fol_memory_stats after;
    fol_deque deque;
    bool contended = false;
    fol_memory_read_stats(&before);
    CHECK_EQ(fol_deque_init(&deque, 64), 0);
    push_all(&deque, 0, 40);
    for (int index = 0; index < 30; index++) {
        CHECK_EQ(index_of(fol_deque_steal_thief(&deque, &contended)), index);
    }
    push_all(&deque, 40, ITEMS);
    fol_memory_read_stats(&after);
    /* 64, 128, 256 and so on up to 4096. */
    CHECK_EQ(after.live_blocks - before.live_blocks, 7);
    for (int index = 30; index < 100; index++) {
        CHECK_EQ(index_of(fol_deque_steal_thief(&deque, &contended)), index);
    }
    for (int index = ITEMS - 1; index >= 100; index--) {
        CHECK_EQ(index_of(fol_deque_pop_owner(&deque)), index);
    }
    CHECK(fol_deque_pop_owner(&deque) == NULL);
    fol_deque_deinit(&deque);
    fol_memory_read_stats(&after);
    CHECK_EQ(after.live_blocks, before.live_blocks);
}

static void test_full_array_is_used_to_its_last_slot(void)
{
    fol_memory_stats before;
    fol_memory_stats after;
    fol_deque deque;
    bool contended = false;
    CHECK_EQ(fol_deque_init(&deque, 64), 0);
    fol_memory_read_stats(&before);
    push_all(&deque, 0, 64);
    /* As many rounds as it takes to go through all slots several times. */
    for (int round = 0; round < 300; round++) {
        CHECK_EQ(index_of(fol_deque_steal_thief(&deque, &contended)), round);
        CHECK_EQ(fol_deque_push_owner(&deque, &items[round + 64]), 0);
    }
    fol_memory_read_stats(&after);
    CHECK_EQ(after.allocations, before.allocations);
    CHECK_EQ(fol_deque_count_owner(&deque), 64);
    fol_deque_deinit(&deque);
}

static void test_reserved_room_takes_pushes_without_memory(void)
{
    fol_deque deque;
    CHECK_EQ(fol_deque_init(&deque, 64), 0);
    push_all(&deque, 0, 10);
    CHECK_EQ(fol_deque_reserve_owner(&deque, 1000), 0);
    fol_memory_fail_nth(1);
    push_all(&deque, 10, 1010);
    CHECK(fol_memory_failure_is_armed());
    fol_memory_fail_nth(0);
    CHECK_EQ(fol_deque_count_owner(&deque), 1010);
    fol_deque_deinit(&deque);
}

static void test_refused_memory_leaves_the_deque_as_it_was(void)
{
    fol_deque deque;
    fol_memory_fail_nth(1);
    CHECK_EQ(fol_deque_init(&deque, 64), -ENOMEM);
    CHECK_EQ(fol_deque_init(&deque, 64), 0);
    push_all(&deque, 0, 64);
    fol_memory_fail_nth(1);
    CHECK_EQ(fol_deque_push_owner(&deque, &items[64]), -ENOMEM);
    fol_memory_fail_nth(1);
    CHECK_EQ(fol_deque_push_private_owner(&deque, &items[64]), -ENOMEM);
    fol_memory_fail_nth(1);
    CHECK_EQ(fol_deque_reserve_owner(&deque, 1), -ENOMEM);
    CHECK_EQ(fol_deque_count_owner(&deque), 64);
    push_all(&deque, 64, 66);
    for (int index = 65; index >= 0; index--) {
        CHECK_EQ(index_of(fol_deque_pop_owner(&deque)), index);
    }
    fol_deque_deinit(&deque);
}

static void test_batch_without_room_takes_one(void)
{
    fol_deque victim;
    fol_deque own;
    uint32_t count = 0;
    bool contended = false;
    CHECK_EQ(fol_deque_init(&victim, 64), 0);
    CHECK_EQ(fol_deque_init(&own, 64), 0);
    push_all(&own, 0, 64);
    push_all(&victim, 64, 84);
    fol_memory_fail_nth(1);
    CHECK_EQ(index_of(fol_deque_steal_batch_thief(&victim, &own, 8, &count, &contended)), 64);
    CHECK_EQ(count, 1);
    CHECK_EQ(fol_deque_count_owner(&own), 64);
    CHECK_EQ(fol_deque_count_owner(&victim), 19);
    CHECK_EQ(index_of(fol_deque_steal_batch_thief(&victim, &own, 8, &count, &contended)), 65);
    CHECK_EQ(count, 8);
    CHECK_EQ(fol_deque_count_owner(&own), 71);
    fol_deque_deinit(&own);
    fol_deque_deinit(&victim);
}

static void test_indices_wrap_round_without_notice(void)
{
    fol_deque deque;
    bool contended = false;
    CHECK_EQ(fol_deque_init(&deque, 64), 0);
    uint64_t start = UINT64_MAX - 20;
    atomic_store(&deque.top, start);
    atomic_store(&deque.bottom, start);
    deque.own_bottom = start;
    deque.tail = start;
    deque.limit = start + 64;
    CHECK(fol_deque_pop_owner(&deque) == NULL);
    push_all(&deque, 0, 200);
    CHECK_EQ(fol_deque_public_count(&deque), 200);
    for (int index = 0; index < 100; index++) {
        CHECK_EQ(index_of(fol_deque_steal_thief(&deque, &contended)), index);
    }
    for (int index = 199; index >= 100; index--) {
        CHECK_EQ(index_of(fol_deque_pop_owner(&deque)), index);
    }
    CHECK(fol_deque_pop_owner(&deque) == NULL);
    CHECK(fol_deque_steal_thief(&deque, &contended) == NULL);
    fol_deque_deinit(&deque);
}

int main(void)
{
    RUN(test_owner_pops_the_newest_first);
    RUN(test_thief_takes_the_oldest_first);
    RUN(test_private_items_are_the_owners_alone);
    RUN(test_share_publishes_the_older_half_when_nothing_is_public);
    RUN(test_push_publishes_private_items_below_it);
    RUN(test_owner_takes_its_oldest_private_ones_too);
    RUN(test_only_marked_items_are_taken_when_asked_for);
    RUN(test_batch_takes_half_rounded_up_and_keeps_the_order);
    RUN(test_growth_keeps_every_item_and_every_old_array);
    RUN(test_full_array_is_used_to_its_last_slot);
    RUN(test_reserved_room_takes_pushes_without_memory);
    RUN(test_refused_memory_leaves_the_deque_as_it_was);
    RUN(test_batch_without_room_takes_one);
    RUN(test_indices_wrap_round_without_notice);
    CHECK_MAIN_END();
}
