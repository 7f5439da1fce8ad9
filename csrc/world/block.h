/* The memory of one table: a count of references, then the arrays, each 64-byte aligned.
 *
 * A block never moves and never changes its layout; a table that outgrows its block takes a new one
 * and copies. Whoever looks at columns elsewhere retains the block, and then reads on even when the
 * table has left it. A block owns none of the cells in it: those belong to the table, and moving on
 * takes them along, so freeing a block drops nothing.
 */
#ifndef FOL_WORLD_BLOCK_H
#define FOL_WORLD_BLOCK_H

#include <stddef.h>
#include <stdint.h>

#include "foliot/world.h"

/* Grows `*size` by an array and returns its offset from the block; SIZE_MAX in *size when it does
 * not fit the address space. */
size_t fol_block_place(size_t *size, size_t count, size_t item_size);

/* Where placing starts: behind the block's own head. */
size_t fol_block_start(void);

/* `size` is what placing came to. One reference; NULL without memory. */
fol_block *fol_block_create(size_t size);

/* Whether an address lies in the block. */
bool fol_block_holds(const fol_block *block, const void *address);

static inline uint8_t *fol_block_at(fol_block *block, size_t offset)
{
    return (uint8_t *)block + offset;
}

#endif
