/* Lists of free blocks by size, cut from regions; see io/slab.h. */

#include "io/slab.h"

#include <assert.h>
#include <string.h>

#include "base/assert.h"
#include "base/memory.h"

struct fol_slab_region {
    fol_slab_region *next;
    uint8_t *base;
    size_t cut; /* bytes given out or put on lists so far */
};

static_assert(FOL_SLAB_SMALLEST << (FOL_SLAB_CLASSES - 1) == FOL_SLAB_LARGEST,
              "one list for each power of two");
static_assert(FOL_SLAB_SMALLEST >= sizeof(fol_slab_block), "a free block holds its link");

static uint32_t order_of(size_t size)
{
    uint32_t order = 0;
    /* Bounded: sizes up to FOL_SLAB_LARGEST only. */
    while (FOL_SLAB_SMALLEST << order < size) {
        order++;
    }
    return order;
}

static void put(fol_slab *slab, uint32_t order, void *memory)
{
    fol_slab_block *block = memory;
    block->next = slab->free[order];
    slab->free[order] = block;
}

/* Puts what is left up to `end` on the lists, in the largest blocks that keep their alignment. */
static void cut_up(fol_slab *slab, fol_slab_region *region, size_t end)
{
    /* Bounded: sizes rise to the largest and fall again, each turn by a power of two. */
    while (region->cut < end) {
        uint32_t order = FOL_SLAB_CLASSES - 1;
        while ((region->cut & ((FOL_SLAB_SMALLEST << order) - 1)) != 0 ||
               region->cut + (FOL_SLAB_SMALLEST << order) > end) {
            FOL_ASSERT_HOT(order > 0);
            order--;
        }
        put(slab, order, region->base + region->cut);
        region->cut += FOL_SLAB_SMALLEST << order;
    }
}

static fol_slab_region *add_region(fol_slab *slab)
{
    fol_slab_region *region = fol_alloc(sizeof *region);
    if (region == NULL) {
        return NULL;
    }
    uint8_t *base = fol_reserve(FOL_SLAB_REGION);
    if (base == NULL) {
        fol_free(region);
        return NULL;
    }
    *region = (fol_slab_region){.next = slab->regions, .base = base};
    if (slab->regions != NULL) {
        cut_up(slab, slab->regions, FOL_SLAB_REGION);
    }
    if (slab->first == NULL) {
        slab->first = base;
    }
    slab->regions = region;
    return region;
}

static void *cut(fol_slab *slab, uint32_t order)
{
    size_t size = FOL_SLAB_SMALLEST << order;
    fol_slab_region *region = slab->regions;
    size_t start = region == NULL ? 0 : (region->cut + size - 1) & ~(size - 1);
    if (region == NULL || start + size > FOL_SLAB_REGION) {
        region = add_region(slab);
        if (region == NULL) {
            return NULL;
        }
        start = 0;
    }
    cut_up(slab, region, start);
    FOL_ASSERT_HOT(region->cut == start);
    region->cut += size;
    return region->base + start;
}

void fol_slab_init(fol_slab *slab)
{
    memset(slab, 0, sizeof *slab);
}

void fol_slab_deinit(fol_slab *slab)
{
    /* Bounded by the regions there are. */
    while (slab->regions != NULL) {
        fol_slab_region *region = slab->regions;
        slab->regions = region->next;
        fol_unreserve(region->base, FOL_SLAB_REGION);
        fol_free(region);
    }
    memset(slab, 0, sizeof *slab);
}

size_t fol_slab_room(size_t size)
{
    return size > FOL_SLAB_LARGEST ? size : FOL_SLAB_SMALLEST << order_of(size);
}

void *fol_slab_take(fol_slab *slab, size_t size)
{
    void *memory = NULL;
    if (size > FOL_SLAB_LARGEST) {
        memory = fol_alloc(size);
    } else {
        uint32_t order = order_of(size);
        fol_slab_block *block = slab->free[order];
        if (block != NULL) {
            slab->free[order] = block->next;
            memory = block;
        } else {
            memory = cut(slab, order);
        }
    }
    slab->live += memory != NULL;
    return memory;
}

void fol_slab_give(fol_slab *slab, void *block, size_t size)
{
    if (block == NULL) {
        return;
    }
    FOL_ASSERT(slab->live > 0);
    slab->live -= 1;
    if (size > FOL_SLAB_LARGEST) {
        fol_free(block);
    } else {
        put(slab, order_of(size), block);
    }
}

void *fol_slab_grow(fol_slab *slab, void *block, size_t old_size, size_t used, size_t new_size)
{
    FOL_ASSERT(used <= old_size && old_size <= new_size);
    if (old_size > FOL_SLAB_LARGEST) {
        return fol_realloc_array(block, 1, new_size);
    }
    void *grown = fol_slab_take(slab, new_size);
    if (grown != NULL) {
        memcpy(grown, block, used);
        fol_slab_give(slab, block, old_size);
    }
    return grown;
}

/* Bytes of all regions, of which `cut` were cut off. */
static size_t bytes_cut(const fol_slab *slab)
{
    size_t bytes = 0;
    for (const fol_slab_region *region = slab->regions; region != NULL; region = region->next) {
        FOL_ASSERT(region->cut <= FOL_SLAB_REGION);
        FOL_ASSERT(region == slab->regions || region->cut == FOL_SLAB_REGION);
        bytes += region->cut;
    }
    return bytes;
}

static bool is_in_a_region(const fol_slab *slab, const void *block)
{
    const uint8_t *byte = block;
    for (const fol_slab_region *region = slab->regions; region != NULL; region = region->next) {
        if (byte >= region->base && byte < region->base + region->cut) {
            return true;
        }
    }
    return false;
}

void fol_slab_invariants(const fol_slab *slab)
{
    size_t limit = bytes_cut(slab);
    size_t bytes = 0;
    for (uint32_t order = 0; order < FOL_SLAB_CLASSES; order++) {
        size_t size = FOL_SLAB_SMALLEST << order;
        /* A list in a circle would pass the limit. */
        for (const fol_slab_block *block = slab->free[order]; block != NULL; block = block->next) {
            size_t alignment = size < 4096 ? size : 4096;
            FOL_ASSERT(((uintptr_t)block & (alignment - 1)) == 0);
            FOL_ASSERT(is_in_a_region(slab, block));
            bytes += size;
            FOL_ASSERT(bytes <= limit);
        }
    }
}
