/* The base layer: status texts, the counting allocator, bit rows, clocks. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bitset.h"
#include "base/cycles.h"
#include "base/fork.h"
#include "base/memory.h"
#include "check.h"
#include "foliot/clock.h"
#include "foliot/status.h"

static void test_every_status_has_its_own_text_and_exception(void)
{
    CHECK_STR(fol_status_text(FOL_OK), "success");
    CHECK_STR(fol_status_exception(FOL_E_CAPACITY), "CapacityError");
    CHECK_STR(fol_status_exception(FOL_E_MISSING), "KeyError");
    CHECK_STR(fol_status_exception(-ENOMEM), "MemoryError");
    CHECK_STR(fol_status_exception(-EINVAL), "ValueError");
    CHECK_STR(fol_status_exception(-ENOENT), "OSError");
    CHECK_STR(fol_status_text(-ENOENT), "No such file or directory");
    CHECK_STR(fol_status_text(-123456), "unknown status");
    CHECK(strcmp(fol_status_text(FOL_E_STALE), fol_status_text(FOL_E_BUSY)) != 0);
}

static void test_allocations_are_counted(void)
{
    fol_memory_stats before;
    fol_memory_stats after;
    fol_memory_read_stats(&before);
    void *block = fol_alloc(100);
    void *zeroed = fol_alloc_zeroed(4, 8);
    void *aligned = fol_alloc_aligned(1000);
    CHECK(block != NULL && zeroed != NULL);
    CHECK_EQ((uintptr_t)aligned % FOL_CACHE_LINE, 0);
    fol_memory_read_stats(&after);
    CHECK_EQ(after.allocations - before.allocations, 3);
    CHECK_EQ(after.live_blocks - before.live_blocks, 3);
    fol_free(block);
    fol_free(zeroed);
    fol_free(aligned);
    fol_free(NULL);
    fol_memory_read_stats(&after);
    CHECK_EQ(after.live_blocks, before.live_blocks);
}

static void test_growing_a_block_keeps_it_one_block(void)
{
    fol_memory_stats before;
    fol_memory_stats after;
    fol_memory_read_stats(&before);
    char *block = fol_realloc_array(NULL, 4, 1);
    memcpy(block, "abc", 4);
    block = fol_realloc_array(block, 4096, 1);
    CHECK_STR(block, "abc");
    fol_free(block);
    fol_memory_read_stats(&after);
    CHECK_EQ(after.live_blocks, before.live_blocks);
}

static void test_the_armed_allocation_fails_once(void)
{
    fol_memory_fail_nth(2);
    void *first = fol_alloc(8);
    CHECK(first != NULL);
    CHECK(fol_memory_failure_is_armed());
    CHECK(fol_alloc(8) == NULL);
    CHECK(!fol_memory_failure_is_armed());
    void *third = fol_alloc(8);
    CHECK(third != NULL);
    fol_free(first);
    fol_free(third);
}

static void test_sizes_that_overflow_are_refused(void)
{
    CHECK(fol_alloc_array(SIZE_MAX / 2, 4) == NULL);
    CHECK(fol_realloc_array(NULL, SIZE_MAX / 2, 4) == NULL);
    CHECK(fol_alloc_zeroed(SIZE_MAX / 2, 4) == NULL);
    CHECK(fol_alloc_aligned(SIZE_MAX) == NULL);
}

static void test_reserved_space_is_usable_and_zero(void)
{
    size_t size = (size_t)1 << 30;
    uint8_t *space = fol_reserve(size);
    CHECK(space != NULL);
    CHECK_EQ(space[size - 1], 0);
    space[size - 1] = 7;
    CHECK_EQ(space[size - 1], 7);
    fol_unreserve(space, size);
}

/* A row of bytes is the obvious model of a row of bits. */
static void test_bit_rows_agree_with_rows_of_bytes(void)
{
    enum { BITS = 200, WORDS = 4 };
    CHECK_EQ(fol_bits_words(BITS), WORDS);
    uint64_t row[WORDS] = {0};
    uint64_t other[WORDS] = {0};
    uint8_t model[WORDS * 64] = {0};
    uint32_t seed = 12345;
    for (int i = 0; i < 2000; i++) {
        seed = seed * 1664525u + 1013904223u;
        size_t index = (seed >> 8) % BITS;
        if (seed >> 31) {
            fol_bits_set(row, index);
            model[index] = 1;
        } else {
            fol_bits_reset(row, index);
            model[index] = 0;
        }
        size_t count = 0;
        for (size_t j = 0; j < BITS; j++) {
            count += model[j];
        }
        CHECK_EQ(fol_bits_count(row, WORDS), count);
        CHECK_EQ(fol_bits_test(row, index), model[index]);
        size_t next = index;
        while (next < WORDS * 64 && !model[next]) {
            next++;
        }
        CHECK_EQ(fol_bits_next(row, WORDS, index), next);
    }
    fol_bits_copy(other, row, WORDS);
    CHECK(fol_bits_equal(row, other, WORDS));
    CHECK(fol_bits_contain(row, other, WORDS));
    fol_bits_and_not(other, row, WORDS);
    CHECK(!fol_bits_intersect(row, other, WORDS));
    fol_bits_set(other, BITS - 1);
    fol_bits_or(row, other, WORDS);
    CHECK(fol_bits_test(row, BITS - 1));
    fol_bits_clear(row, WORDS);
    CHECK(!fol_bits_contain(row, other, WORDS));
    CHECK_EQ(fol_bits_next(row, WORDS, 0), WORDS * 64);
}

static void test_a_virtual_clock_moves_only_when_told(void)
{
    fol_virtual_clock clock;
    fol_virtual_clock_init(&clock, 100);
    fol_clock face = fol_virtual_clock_face(&clock);
    CHECK_EQ(face.now_ns(face.state), 100);
    fol_virtual_clock_advance(&clock, 50);
    CHECK_EQ(face.now_ns(face.state), 150);
    face.wait_until_ns(face.state, 120, 1000);
    CHECK_EQ(face.now_ns(face.state), 150);
    face.wait_until_ns(face.state, 500, 1);
    CHECK_EQ(face.now_ns(face.state), 500);
}

static void test_the_monotonic_clock_waits_no_longer_than_the_bound(void)
{
    const fol_clock *clock = &fol_clock_monotonic;
    uint64_t start = clock->now_ns(clock->state);
    clock->wait_until_ns(clock->state, start + UINT64_C(3600000000000), 1000);
    clock->wait_until_ns(clock->state, 1, 1000000);
    CHECK(clock->now_ns(clock->state) > start);
    uint64_t from = fol_cycles_now();
    uint64_t to = fol_cycles_now();
    CHECK_EQ(fol_cycles_scale(to + 1, from, 1.0), 0);
    CHECK_EQ(fol_cycles_scale(10, 30, 0.5), 10);
}

static void test_a_forked_child_is_of_another_generation(void)
{
    CHECK_EQ(fol_fork_watch(), 0);
    CHECK_EQ(fol_fork_watch(), 0);
    uint64_t generation = fol_fork_generation();
    pid_t child = fork();
    if (child == 0) {
        _exit(fol_fork_generation() == generation + 1 ? 0 : 1);
    }
    int status = 1;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
    CHECK_EQ(fol_fork_generation(), generation);
}

int main(void)
{
    RUN(test_every_status_has_its_own_text_and_exception);
    RUN(test_allocations_are_counted);
    RUN(test_growing_a_block_keeps_it_one_block);
    RUN(test_the_armed_allocation_fails_once);
    RUN(test_sizes_that_overflow_are_refused);
    RUN(test_reserved_space_is_usable_and_zero);
    RUN(test_bit_rows_agree_with_rows_of_bytes);
    RUN(test_a_virtual_clock_moves_only_when_told);
    RUN(test_the_monotonic_clock_waits_no_longer_than_the_bound);
    RUN(test_a_forked_child_is_of_another_generation);
    CHECK_MAIN_END();
}
