/* The hash map of 64-bit keys. */

#include <errno.h>
#include <stdlib.h>

#include "check.h"
#include "foliot/memory.h"
#include "structures/map.h"

static void test_an_empty_map_finds_nothing(void)
{
    fol_map map = {0};
    CHECK_EQ(fol_map_find(&map, 0), FOL_MAP_ABSENT);
    CHECK_EQ(fol_map_find(&map, 7), FOL_MAP_ABSENT);
    fol_map_deinit(&map);
}

static void test_every_key_keeps_its_value_through_growth(void)
{
    fol_map map = {0};
    for (uint64_t i = 0; i < 5000; i++) {
        CHECK_EQ(fol_map_insert(&map, i * 0x100000001u, (uint32_t)i), 0);
    }
    CHECK_EQ(map.count, 5000);
    for (uint64_t i = 0; i < 5000; i++) {
        CHECK_EQ(fol_map_find(&map, i * 0x100000001u), i);
    }
    CHECK_EQ(fol_map_find(&map, UINT64_MAX), FOL_MAP_ABSENT);
    fol_map_deinit(&map);
}

static void test_inserting_again_replaces_the_value(void)
{
    fol_map map = {0};
    CHECK_EQ(fol_map_insert(&map, 0, 1), 0);
    CHECK_EQ(fol_map_insert(&map, 0, 2), 0);
    CHECK_EQ(fol_map_find(&map, 0), 2);
    CHECK_EQ(map.count, 1);
    fol_map_deinit(&map);
}

static void test_a_refused_growth_leaves_the_map_as_it_was(void)
{
    fol_map map = {0};
    CHECK_EQ(fol_map_reserve(&map, 8), 0);
    for (uint32_t i = 0; i < 8; i++) {
        CHECK_EQ(fol_map_insert(&map, i, i), 0);
    }
    fol_memory_fail_nth(1);
    CHECK_EQ(fol_map_insert(&map, 8, 8), -ENOMEM);
    fol_memory_fail_nth(0);
    CHECK_EQ(map.count, 8);
    for (uint32_t i = 0; i < 8; i++) {
        CHECK_EQ(fol_map_find(&map, i), i);
    }
    CHECK_EQ(fol_map_find(&map, 8), FOL_MAP_ABSENT);
    fol_map_deinit(&map);
}

int main(void)
{
    RUN(test_an_empty_map_finds_nothing);
    RUN(test_every_key_keeps_its_value_through_growth);
    RUN(test_inserting_again_replaces_the_value);
    RUN(test_a_refused_growth_leaves_the_map_as_it_was);
    CHECK_MAIN_END();
}
