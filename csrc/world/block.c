/* Reference-counted table memory; see block.h. */

#include "world/block.h"

#include <stdatomic.h>

#include "base/assert.h"
#include "base/memory.h"

/* Arrays whose starts differ by a multiple of this fight for the same cache sets. */
#define ALIAS_STRIDE 4096u

struct fol_block {
    _Alignas(FOL_CACHE_LINE) _Atomic uint64_t references;
    size_t size;
};

_Static_assert(sizeof(fol_block) == FOL_CACHE_LINE, "the arrays start on a cache line");

size_t fol_block_start(void)
{
    return sizeof(fol_block);
}

size_t fol_block_place(size_t *size, size_t count, size_t item_size)
{
    size_t offset = *size;
    size_t bytes;
    size_t end;
    if (offset == SIZE_MAX || __builtin_mul_overflow(count, item_size, &bytes) ||
        __builtin_add_overflow(bytes, 2 * (size_t)FOL_CACHE_LINE, &end) ||
        __builtin_add_overflow(end, offset, &end)) {
        *size = SIZE_MAX;
        return 0;
    }
    bytes = (bytes + FOL_CACHE_LINE - 1) & ~(size_t)(FOL_CACHE_LINE - 1);
    if (bytes != 0 && bytes % ALIAS_STRIDE == 0) {
        bytes += FOL_CACHE_LINE;
    }
    *size = offset + bytes;
    return offset;
}

fol_block *fol_block_create(size_t size)
{
    FOL_ASSERT(size >= sizeof(fol_block));
    fol_block *block = size == SIZE_MAX ? NULL : fol_alloc_aligned(size);
    if (block != NULL) {
        atomic_init(&block->references, 1);
        block->size = size;
    }
    return block;
}

bool fol_block_holds(const fol_block *block, const void *address)
{
    uintptr_t start = (uintptr_t)block;
    return (uintptr_t)address >= start && (uintptr_t)address - start < block->size;
}

void fol_block_retain(fol_block *block)
{
    uint64_t before = atomic_fetch_add_explicit(&block->references, 1, memory_order_relaxed);
    FOL_ASSERT(before != 0);
}

void fol_block_release(fol_block *block)
{
    /* The release half pairs with the acquire half of the last one: whoever frees the block has
     * seen every other use of it end. */
    uint64_t before = atomic_fetch_sub_explicit(&block->references, 1, memory_order_acq_rel);
    FOL_ASSERT(before != 0);
    if (before == 1) {
        fol_free(block);
    }
}
