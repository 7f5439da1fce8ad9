/* Filling contiguous elements from a source with any stride. */
#ifndef FOL_WORLD_FILL_H
#define FOL_WORLD_FILL_H

#include "foliot/world.h"

/* Elements [first, first + count) of a source, each `size` bytes, to contiguous memory; zeros when
 * the source has no data. Nothing needs to be aligned. */
void fol_fill(void *to, size_t size, const fol_source *source, size_t first, size_t count);

static inline const void *fol_source_at(const fol_source *source, size_t index)
{
    return (const uint8_t *)source->data + (ptrdiff_t)index * source->stride;
}

#endif
