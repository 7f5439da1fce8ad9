/* The one allocator of the core.
 *
 * Wraps the C library's, counts every call and can be told to fail the n-th one, so that every
 * failure path is reachable by a test. All functions return NULL when memory is refused and are
 * thread-safe. Memory from any of them is given back with fol_free.
 */
#ifndef FOL_BASE_MEMORY_H
#define FOL_BASE_MEMORY_H

#include <stddef.h>

#include "foliot/memory.h"

#define FOL_CACHE_LINE 64

/* size 0 gives a distinct block like any other. */
void *fol_alloc(size_t size);
/* Zeroed; NULL also when count * size overflows. */
void *fol_alloc_zeroed(size_t count, size_t size);
/* count * size bytes with an overflow check, not zeroed. */
void *fol_alloc_array(size_t count, size_t size);
/* Aligned to a cache line. */
void *fol_alloc_aligned(size_t size);
/* Like realloc: on failure the old block stays. */
void *fol_realloc_array(void *block, size_t count, size_t size);
/* NULL is fine. */
void fol_free(void *block);

/* Address space that costs memory only where it is touched: for large fixed capacities. */
void *fol_reserve(size_t size);
void fol_unreserve(void *block, size_t size);

#endif
