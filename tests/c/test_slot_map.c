/* Generational handles: given out, taken back, and never mistaken for later ones. */
#include "check.h"
#include "draw.h"

#include "foliot/memory.h"
#include "foliot/status.h"
#include "structures/slot_map.h"

#include <errno.h>
#include <stdbool.h>

static uint64_t take(fol_slot_map *map)
{
    uint64_t handle = 0;
    CHECK_EQ(fol_slot_map_take(map, &handle), 0);
    return handle;
}

static void test_handles_name_their_places(void)
{
    fol_slot_map map;
    CHECK_EQ(fol_slot_map_init(&map, 3), 0);
    uint64_t first = take(&map);
    uint64_t second = take(&map);
    CHECK(first != 0 && second != 0 && first != second);
    CHECK_EQ(fol_slot_map_find(&map, first), 0);
    CHECK_EQ(fol_slot_map_find(&map, second), 1);
    CHECK_EQ(fol_slot_map_handle(&map, 1), second);
    CHECK_EQ(fol_slot_map_handle(&map, 2), 0);
    CHECK_EQ(fol_slot_map_find(&map, 0), FOL_SLOT_MAP_NONE);
    CHECK_EQ(fol_slot_map_find(&map, UINT64_MAX), FOL_SLOT_MAP_NONE);
    fol_slot_map_deinit(&map);
    fol_slot_map_deinit(&map);
}

static void test_place_given_back_has_a_new_handle(void)
{
    fol_slot_map map;
    CHECK_EQ(fol_slot_map_init(&map, 2), 0);
    uint64_t old = take(&map);
    CHECK_EQ(fol_slot_map_give(&map, old), 0);
    CHECK_EQ(fol_slot_map_find(&map, old), FOL_SLOT_MAP_NONE);
    CHECK_EQ(fol_slot_map_handle(&map, 0), 0);
    CHECK_EQ(fol_slot_map_give(&map, old), FOL_E_STALE);
    uint64_t fresh = take(&map);
    CHECK_EQ((uint32_t)fresh, (uint32_t)old);
    CHECK(fresh != old);
    CHECK_EQ(fol_slot_map_find(&map, old), FOL_SLOT_MAP_NONE);
    CHECK_EQ(fol_slot_map_find(&map, fresh), 0);
    fol_slot_map_deinit(&map);
}

static void test_full_map_refuses(void)
{
    fol_slot_map map;
    uint64_t handle = 7;
    CHECK_EQ(fol_slot_map_init(&map, 1), 0);
    uint64_t only = take(&map);
    CHECK_EQ(fol_slot_map_take(&map, &handle), FOL_E_CAPACITY);
    CHECK_EQ(handle, 7);
    CHECK_EQ(fol_slot_map_give(&map, only), 0);
    take(&map);
    fol_slot_map_deinit(&map);
}

static void test_place_whose_generations_are_used_up_retires(void)
{
    fol_slot_map map;
    CHECK_EQ(fol_slot_map_init(&map, 2), 0);
    uint64_t handle = take(&map);
    CHECK_EQ(fol_slot_map_give(&map, handle), 0);
    map.items[0].generation = UINT32_MAX;
    uint64_t last = take(&map);
    CHECK_EQ(last >> 32, UINT32_MAX);
    CHECK_EQ(fol_slot_map_give(&map, last), 0);
    CHECK_EQ(map.retired, 1);
    fol_slot_map_invariants(&map);
    CHECK_EQ(fol_slot_map_find(&map, last), FOL_SLOT_MAP_NONE);
    CHECK_EQ(fol_slot_map_find(&map, 0), FOL_SLOT_MAP_NONE);
    CHECK_EQ((uint32_t)take(&map), 1);
    CHECK_EQ(fol_slot_map_take(&map, &handle), FOL_E_CAPACITY);
    fol_slot_map_deinit(&map);
}

static void test_refused_memory_is_said(void)
{
    fol_slot_map map;
    fol_memory_fail_nth(1);
    CHECK_EQ(fol_slot_map_init(&map, 8), -ENOMEM);
    CHECK(!fol_memory_failure_is_armed());
    fol_slot_map_deinit(&map);
}

static void test_random_handles_are_alive_until_they_are_given_back(void)
{
    enum { CAPACITY = 16, PAST = 64 };
    uint64_t seed = setting("FOLIOT_SEED", 1);
    uint64_t live[CAPACITY];
    uint64_t past[PAST] = {0};
    uint32_t count = 0;
    fol_slot_map map;
    CHECK_EQ(fol_slot_map_init(&map, CAPACITY), 0);
    for (uint32_t step = 0; step < 200000; step++) {
        if (count < CAPACITY && draw_below(&seed, 2) == 0) {
            live[count++] = take(&map);
        } else if (count > 0) {
            uint32_t which = draw_below(&seed, count);
            CHECK_EQ(fol_slot_map_give(&map, live[which]), 0);
            past[step % PAST] = live[which];
            live[which] = live[--count];
        }
        bool is_fine = map.live == count;
        for (uint32_t i = 0; i < count; i++) {
            is_fine = is_fine && fol_slot_map_find(&map, live[i]) == (uint32_t)live[i];
        }
        for (uint32_t i = 0; i < PAST; i++) {
            is_fine = is_fine && fol_slot_map_find(&map, past[i]) == FOL_SLOT_MAP_NONE;
        }
        if (!CHECK(is_fine)) {
            break;
        }
    }
    fol_slot_map_invariants(&map);
    fol_slot_map_deinit(&map);
}

int main(void)
{
    RUN(test_handles_name_their_places);
    RUN(test_place_given_back_has_a_new_handle);
    RUN(test_full_map_refuses);
    RUN(test_place_whose_generations_are_used_up_retires);
    RUN(test_refused_memory_is_said);
    RUN(test_random_handles_are_alive_until_they_are_given_back);
    CHECK_MAIN_END();
}
