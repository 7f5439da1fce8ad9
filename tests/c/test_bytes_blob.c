/* Blobs of bytes: their kinds, what is kept of them, and many threads at once. */

#include <errno.h>
#include <stdbool.h>

#include "foliot/memory.h"
#include "world/bytes.h"
#include "world/bytes_blob.h"

#include "stress.h"

#define SIZE    4096
#define MANY    64
#define THREADS 4
#define ROUNDS  2000
#define HELD    16

static void create_many(fol_bytes *out, uint32_t count, size_t size)
{
    for (uint32_t i = 0; i < count; i++) {
        CHECK_EQ(fol_bytes_create_uninitialised(size, &out[i]), 0);
        memset((uint8_t *)(uintptr_t)out[i].data, (int)i, size);
    }
}

static void release_many(const fol_bytes *values, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        fol_bytes_release(&values[i]);
    }
}

static uint64_t live_blocks(void)
{
    fol_memory_stats stats;
    fol_memory_read_stats(&stats);
    return stats.live_blocks;
}

static void test_blobs_of_one_kind_differ_by_an_eighth_at_most(void)
{
    CHECK_EQ(fol_blob_kind(1), 0);
    CHECK_EQ(fol_blob_kind(512), 0);
    CHECK_EQ(fol_blob_kind(513), 1);
    CHECK_EQ(fol_blob_kind(576), 1);
    CHECK_EQ(fol_blob_kind(577), 2);
    CHECK_EQ(fol_blob_kind(4097), fol_blob_kind(4096) + 1);
    CHECK_EQ(fol_blob_kind(4608), fol_blob_kind(4097));
    CHECK_EQ(fol_blob_kind(1 << 20), 88);
    CHECK_EQ(fol_blob_kind((1 << 20) + 1), 0);
    CHECK_EQ(fol_blob_kind(SIZE_MAX), 0);
}

static void test_every_size_has_room_for_itself(void)
{
    for (size_t size = 500; size < (1 << 20) + 9; size += 1 + size / 97) {
        fol_bytes value;
        CHECK_EQ(fol_bytes_create_uninitialised(size, &value), 0);
        memset((uint8_t *)(uintptr_t)value.data, 0x5a, size);
        fol_bytes_release(&value);
    }
    CHECK_EQ(fol_blob_kept_bytes(), 0);
}

static void test_as_many_are_kept_as_are_in_use(void)
{
    fol_bytes old[MANY];
    fol_bytes new[MANY];
    create_many(old, MANY, SIZE);
    create_many(new, MANY, SIZE);
    release_many(old, MANY);
    CHECK_EQ(fol_blob_kept_bytes(), MANY * SIZE);
    release_many(new, MANY / 2);
    CHECK_EQ(fol_blob_kept_bytes(), MANY / 2 * SIZE);
    release_many(new + MANY / 2, MANY / 2);
    CHECK_EQ(fol_blob_kept_bytes(), 0);
}

static void test_a_round_of_values_takes_no_new_memory(void)
{
    fol_bytes halves[2][MANY];
    create_many(halves[0], MANY, SIZE);
    create_many(halves[1], MANY, SIZE);
    release_many(halves[0], MANY);
    fol_memory_stats before;
    fol_memory_stats after;
    fol_memory_read_stats(&before);
    for (uint32_t round = 0; round < 10; round++) {
        create_many(halves[round % 2], MANY, SIZE - round);
        release_many(halves[1 - round % 2], MANY);
    }
    fol_memory_read_stats(&after);
    CHECK_EQ(after.allocations, before.allocations);
    release_many(halves[1], MANY);
    CHECK_EQ(after.live_blocks - 2 * MANY, live_blocks());
}

static void test_what_is_kept_has_a_bound(void)
{
    enum { BIG = 1 << 20, COUNT = 80 };
    static fol_bytes old[COUNT];
    static fol_bytes new[COUNT];
    for (uint32_t i = 0; i < COUNT; i++) {
        CHECK_EQ(fol_bytes_create_uninitialised(BIG, &old[i]), 0);
        CHECK_EQ(fol_bytes_create_uninitialised(BIG, &new[i]), 0);
    }
    release_many(old, COUNT);
    CHECK_EQ(fol_blob_kept_bytes(), FOL_BLOB_KEPT_BYTES);
    release_many(new, COUNT);
    CHECK_EQ(fol_blob_kept_bytes(), 0);
}

/* Shrinks a value of one size to another, and looks at what is left. */
static void shrink(size_t from, size_t to)
{
    fol_bytes value;
    CHECK_EQ(fol_bytes_create_uninitialised(from, &value), 0);
    memset((uint8_t *)(uintptr_t)value.data, 0x7e, from);
    fol_bytes_shrink(&value, to);
    CHECK_EQ(value.size, to);
    CHECK(to == 0 ? value.data == NULL : value.data[0] == 0x7e && value.data[to - 1] == 0x7e);
    fol_bytes_release(&value);
}

static void test_a_value_keeps_its_beginning_when_it_shrinks(void)
{
    static const size_t sizes[] = {3 << 20, (1 << 20) + 1, 1 << 20, 65536, 4096, 4095, 512, 7, 0};
    uint64_t live = live_blocks();
    for (size_t from = 0; from + 1 < sizeof(sizes) / sizeof(*sizes); from++) {
        for (size_t to = from; to < sizeof(sizes) / sizeof(*sizes); to++) {
            shrink(sizes[from], sizes[to]);
        }
    }
    CHECK_EQ(live_blocks(), live);
    CHECK_EQ(fol_blob_kept_bytes(), 0);
}

static void test_a_value_shrinks_where_it_is_without_memory(void)
{
    fol_bytes value;
    CHECK_EQ(fol_bytes_create_uninitialised(65536, &value), 0);
    const uint8_t *data = value.data;
    fol_memory_fail_nth(1);
    fol_bytes_shrink(&value, 4096);
    fol_memory_fail_nth(0);
    CHECK(value.data == data);
    CHECK_EQ(value.size, 4096);
    fol_bytes_release(&value);
    CHECK_EQ(fol_blob_kept_bytes(), 0);
}

static void test_a_refused_blob_is_an_error(void)
{
    fol_bytes value;
    fol_memory_fail_nth(1);
    CHECK_EQ(fol_bytes_create_uninitialised(SIZE, &value), -ENOMEM);
    fol_memory_fail_nth(0);
    CHECK_EQ(fol_bytes_create_uninitialised(SIZE_MAX, &value), -ENOMEM);
}

static _Atomic uint32_t wrong;
static _Atomic(fol_blob *) passed[HELD];

/* Writes its own mark into a blob of one of three kinds, passes it on, and looks whether what it
 * gets for it is whole. */
static void pass_blobs(uint32_t thread)
{
    uint64_t state = stress_seed() * 0x9e3779b97f4a7c15u + thread;
    uint32_t rounds = stress_rounds(ROUNDS);
    for (uint32_t round = 0; round < rounds; round++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        size_t size = (size_t)600 << (state >> 33) % 3;
        fol_blob *blob = fol_blob_create(size);
        memset(blob->data, (int)thread + 1, 600);
        fol_blob *got =
            atomic_exchange_explicit(&passed[(state >> 40) % HELD], blob, memory_order_acq_rel);
        if (got != NULL) {
            bool is_whole = got->data[0] != 0 && got->data[0] == got->data[599];
            atomic_fetch_add_explicit(&wrong, !is_whole, memory_order_relaxed);
            memset(got->data, 0, 600);
            fol_blob_destroy(got);
        }
    }
}

static void test_threads_that_pass_blobs_on_never_share_one(void)
{
    uint64_t live = live_blocks();
    stress_run(THREADS, pass_blobs);
    CHECK_EQ(atomic_load(&wrong), 0);
    for (uint32_t i = 0; i < HELD; i++) {
        fol_blob *left = atomic_exchange(&passed[i], NULL);
        if (left != NULL) {
            fol_blob_destroy(left);
        }
    }
    /* What was left behind where threads met goes with the next blobs. */
    for (uint32_t turn = 0; turn < 10000 && fol_blob_kept_bytes() != 0; turn++) {
        for (uint32_t kind = 0; kind < 3; kind++) {
            fol_blob_destroy(fol_blob_create((size_t)600 << kind));
        }
    }
    CHECK_EQ(fol_blob_kept_bytes(), 0);
    CHECK_EQ(live_blocks(), live);
}

int main(void)
{
    stress_watch(60);
    RUN(test_blobs_of_one_kind_differ_by_an_eighth_at_most);
    RUN(test_every_size_has_room_for_itself);
    RUN(test_as_many_are_kept_as_are_in_use);
    RUN(test_a_round_of_values_takes_no_new_memory);
    RUN(test_what_is_kept_has_a_bound);
    RUN(test_a_value_keeps_its_beginning_when_it_shrinks);
    RUN(test_a_value_shrinks_where_it_is_without_memory);
    RUN(test_a_refused_blob_is_an_error);
    RUN(test_threads_that_pass_blobs_on_never_share_one);
    stress_report();
    CHECK_MAIN_END();
}
