/* Counting wrappers over the C library allocator; see memory.h for the contract. */

#include "base/memory.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Counters are statistics: nothing is published through them, so relaxed order is enough. */
static _Atomic uint64_t allocation_count;
static _Atomic uint64_t free_count;
static _Atomic uint64_t success_count;

/* Allocations left until the armed failure; 0 when none is armed. */
static _Atomic uint64_t failure_countdown;

void fol_memory_read_stats(fol_memory_stats *out)
{
    out->allocations = atomic_load_explicit(&allocation_count, memory_order_relaxed);
    out->frees = atomic_load_explicit(&free_count, memory_order_relaxed);
    out->live_blocks = atomic_load_explicit(&success_count, memory_order_relaxed) - out->frees;
}

void fol_memory_fail_nth(uint64_t n)
{
    atomic_store_explicit(&failure_countdown, n, memory_order_relaxed);
}

int fol_memory_failure_is_armed(void)
{
    return atomic_load_explicit(&failure_countdown, memory_order_relaxed) != 0;
}

static int allocation_must_fail(void)
{
    atomic_fetch_add_explicit(&allocation_count, 1, memory_order_relaxed);
    uint64_t left = atomic_load_explicit(&failure_countdown, memory_order_relaxed);
    /* Bounded by contention: each failed exchange means another thread counted down. */
    while (left != 0) {
        if (atomic_compare_exchange_weak_explicit(&failure_countdown, &left, left - 1,
                                                  memory_order_relaxed, memory_order_relaxed)) {
            return left == 1;
        }
    }
    return 0;
}

static void *count_success(void *block)
{
    if (block != NULL) {
        atomic_fetch_add_explicit(&success_count, 1, memory_order_relaxed);
    }
    return block;
}

void *fol_alloc(size_t size)
{
    if (allocation_must_fail()) {
        return NULL;
    }
    return count_success(malloc(size == 0 ? 1 : size));
}

void *fol_alloc_zeroed(size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes) || allocation_must_fail()) {
        return NULL;
    }
    return count_success(calloc(1, bytes == 0 ? 1 : bytes));
}

void *fol_alloc_array(size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        return NULL;
    }
    return fol_alloc(bytes);
}

void *fol_alloc_aligned(size_t size)
{
    if (allocation_must_fail() || size > SIZE_MAX - FOL_CACHE_LINE) {
        return NULL;
    }
    size_t rounded = (size + FOL_CACHE_LINE - 1) & ~(size_t)(FOL_CACHE_LINE - 1);
    return count_success(aligned_alloc(FOL_CACHE_LINE, rounded == 0 ? FOL_CACHE_LINE : rounded));
}

void *fol_realloc_array(void *block, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes) || allocation_must_fail()) {
        return NULL;
    }
    void *grown = realloc(block, bytes == 0 ? 1 : bytes);
    return block == NULL ? count_success(grown) : grown;
}

void fol_free(void *block)
{
    if (block != NULL) {
        atomic_fetch_add_explicit(&free_count, 1, memory_order_relaxed);
        free(block);
    }
}

void *fol_reserve(size_t size)
{
    if (allocation_must_fail()) {
        return NULL;
    }
    void *block = mmap(NULL, size, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return block == MAP_FAILED ? NULL : count_success(block);
}

void fol_unreserve(void *block, size_t size)
{
    if (block != NULL) {
        atomic_fetch_add_explicit(&free_count, 1, memory_order_relaxed);
        munmap(block, size);
    }
}
