/* The driver's buffers: sizes, reuse, no overlap, no growth, and what happens without memory. */

#include <errno.h>

#include "base/memory.h"
#include "check.h"
#include "draw.h"
#include "io/slab.h"

static fol_slab slab;

static uint64_t allocations(void)
{
    fol_memory_stats stats;
    fol_memory_read_stats(&stats);
    return stats.allocations;
}

static uint64_t live_blocks(void)
{
    fol_memory_stats stats;
    fol_memory_read_stats(&stats);
    return stats.live_blocks;
}

static void test_room_is_a_power_of_two_up_to_the_largest(void)
{
    CHECK_EQ(fol_slab_room(0), 256);
    CHECK_EQ(fol_slab_room(1), 256);
    CHECK_EQ(fol_slab_room(256), 256);
    CHECK_EQ(fol_slab_room(257), 512);
    CHECK_EQ(fol_slab_room(4097), 8192);
    CHECK_EQ(fol_slab_room(FOL_SLAB_LARGEST), FOL_SLAB_LARGEST);
    CHECK_EQ(fol_slab_room(FOL_SLAB_LARGEST + 1), FOL_SLAB_LARGEST + 1);
}

static void test_a_block_that_was_given_back_is_the_next_one_taken(void)
{
    fol_slab_init(&slab);
    void *first = fol_slab_take(&slab, 4096);
    fol_slab_give(&slab, first, 4096);
    uint64_t before = allocations();
    CHECK(fol_slab_take(&slab, 3000) == first);
    CHECK_EQ(allocations(), before);
    fol_slab_deinit(&slab);
}

static void test_pages_start_at_pages(void)
{
    fol_slab_init(&slab);
    (void)fol_slab_take(&slab, 1);
    for (size_t size = 4096; size <= FOL_SLAB_LARGEST; size *= 2) {
        CHECK_EQ((uintptr_t)fol_slab_take(&slab, size) % 4096, 0);
    }
    fol_slab_invariants(&slab);
    fol_slab_deinit(&slab);
}

static void test_what_alignment_leaves_out_is_used_for_smaller_blocks(void)
{
    fol_slab_init(&slab);
    uint8_t *small = fol_slab_take(&slab, 256);
    uint8_t *large = fol_slab_take(&slab, FOL_SLAB_LARGEST);
    CHECK(large == small + FOL_SLAB_LARGEST);
    CHECK(fol_slab_take(&slab, FOL_SLAB_LARGEST / 2) == small + FOL_SLAB_LARGEST / 2);
    CHECK(fol_slab_take(&slab, 256) == small + 256);
    fol_slab_invariants(&slab);
    fol_slab_deinit(&slab);
}

static void test_large_blocks_grow_and_keep_their_bytes(void)
{
    uint64_t before = live_blocks();
    fol_slab_init(&slab);
    size_t size = 256;
    uint8_t *block = fol_slab_take(&slab, size);
    memset(block, 7, size);
    while (size < 8 * FOL_SLAB_LARGEST) {
        block = fol_slab_grow(&slab, block, size, size, size * 2);
        memset(block + size, 7, size);
        size *= 2;
    }
    size_t wrong = 0;
    for (size_t i = 0; i < size; i++) {
        wrong += block[i] != 7;
    }
    CHECK_EQ(wrong, 0);
    CHECK_EQ(slab.live, 1);
    fol_slab_give(&slab, block, size);
    CHECK_EQ(slab.live, 0);
    fol_slab_deinit(&slab);
    CHECK_EQ(live_blocks(), before);
}

static void test_without_memory_nothing_is_taken_and_nothing_lost(void)
{
    uint64_t before = live_blocks();
    fol_slab_init(&slab);
    for (uint64_t n = 1; n <= 2; n++) {
        fol_memory_fail_nth(n);
        CHECK(fol_slab_take(&slab, 4096) == NULL);
    }
    uint8_t *block = fol_slab_take(&slab, 4096);
    CHECK(block != NULL);
    block[0] = 9;
    fol_memory_fail_nth(1);
    CHECK(fol_slab_grow(&slab, block, 4096, 1, 2 * FOL_SLAB_LARGEST) == NULL);
    CHECK_EQ(block[0], 9);
    CHECK_EQ(slab.live, 1);
    fol_slab_give(&slab, block, 4096);
    fol_memory_fail_nth(0);
    fol_slab_deinit(&slab);
    CHECK_EQ(live_blocks(), before);
}

enum { HELD = 64, TURNS = 20000 };

static void test_blocks_never_overlap_and_memory_stops_growing(void)
{
    uint64_t seed = setting("FOLIOT_SEED", 11);
    uint64_t state = seed;
    uint8_t *blocks[HELD] = {NULL};
    size_t sizes[HELD] = {0};
    uint64_t later = 0;
    size_t wrong = 0;
    fol_slab_init(&slab);
    for (uint32_t turn = 0; turn < TURNS; turn++) {
        uint32_t i = draw_below(&state, HELD);
        if (blocks[i] != NULL) {
            wrong += blocks[i][0] != (uint8_t)i || blocks[i][sizes[i] - 1] != (uint8_t)i;
            fol_slab_give(&slab, blocks[i], sizes[i]);
        }
        sizes[i] = 1 + draw_below(&state, 1u << (8 + draw_below(&state, 9)));
        blocks[i] = fol_slab_take(&slab, sizes[i]);
        blocks[i][0] = (uint8_t)i;
        blocks[i][sizes[i] - 1] = (uint8_t)i;
        if (turn % 1000 == 0) {
            fol_slab_invariants(&slab);
        }
        later = turn == TURNS / 2 ? allocations() : later;
    }
    if (!CHECK_EQ(wrong, 0) || !CHECK(allocations() - later <= 2)) {
        fprintf(stderr, "seed %" PRIu64 "\n", seed);
    }
    fol_slab_deinit(&slab);
}

int main(void)
{
    RUN(test_room_is_a_power_of_two_up_to_the_largest);
    RUN(test_a_block_that_was_given_back_is_the_next_one_taken);
    RUN(test_pages_start_at_pages);
    RUN(test_what_alignment_leaves_out_is_used_for_smaller_blocks);
    RUN(test_large_blocks_grow_and_keep_their_bytes);
    RUN(test_without_memory_nothing_is_taken_and_nothing_lost);
    RUN(test_blocks_never_overlap_and_memory_stops_growing);
    CHECK_MAIN_END();
}
