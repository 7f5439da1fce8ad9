/* Buffers of the driver: memory that is kept and used again, so that reading does not make the heap
 * grow and trim.
 *
 * Sizes are powers of two from 256 bytes to 1 MiB, each block aligned to its size, up to a page.
 * Blocks are cut from regions of 4 MiB of address space, which cost memory only where they were
 * touched, and go back to a list of their size; what is larger comes from the allocator. So the
 * memory of a size is what was in use of it at one time.
 *
 * Invariant: every byte of a region is in a block that is in use, in a block of one free list, or
 * behind what is cut off so far. One owner.
 *
 * Source: Bonwick, "The slab allocator", USENIX 1994, without its constructors.
 */
#ifndef FOL_IO_SLAB_H
#define FOL_IO_SLAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FOL_SLAB_SMALLEST ((size_t)256)
#define FOL_SLAB_LARGEST  ((size_t)1 << 20)
#define FOL_SLAB_REGION   ((size_t)4 << 20)
#define FOL_SLAB_CLASSES  13

typedef struct fol_slab_block fol_slab_block;
struct fol_slab_block {
    fol_slab_block *next;
};

typedef struct fol_slab_region fol_slab_region;

typedef struct fol_slab {
    fol_slab_block *free[FOL_SLAB_CLASSES];
    fol_slab_region *regions; /* all; the newest is cut from */
    uint8_t *first;           /* of the first region, or NULL while there is none */
    uint64_t live;            /* blocks in use, large ones too */
} fol_slab;

void fol_slab_init(fol_slab *slab);
/* Blocks in use are gone, but for those larger than FOL_SLAB_LARGEST. */
void fol_slab_deinit(fol_slab *slab);

/* How much fol_slab_take(slab, size) gives; at least `size`. */
size_t fol_slab_room(size_t size);
/* Not zeroed; NULL: no memory. */
void *fol_slab_take(fol_slab *slab, size_t size);
/* `size` as it was taken, or anything with the same room. NULL is fine. */
void fol_slab_give(fol_slab *slab, void *block, size_t size);
/* A block with room for new_size that starts with the first `used` bytes of the old one, which is
 * given back; NULL: no memory, and the old one stays. */
void *fol_slab_grow(fol_slab *slab, void *block, size_t old_size, size_t used, size_t new_size);

/* Under FOL_VERIFY. */
void fol_slab_invariants(const fol_slab *slab);

#endif
