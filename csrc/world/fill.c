/* Copies specialised for the usual element sizes; see fill.h. */

#include "world/fill.h"

#include <string.h>

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* With a constant size every copy is one load and one store, whatever the alignment. */
ALWAYS_INLINE void gather(uint8_t *to, size_t size, const uint8_t *from, ptrdiff_t stride,
                          size_t count)
{
    for (size_t i = 0; i < count; i++) {
        memcpy(to, from, size);
        to += size;
        from += stride;
    }
}

/* The filled part doubles until all is filled. */
static void repeat(uint8_t *to, size_t size, const uint8_t *from, size_t count)
{
    if (count == 0) {
        return;
    }
    memcpy(to, from, size);
    size_t filled = size;
    size_t total = size * count;
    while (filled < total) {
        size_t step = filled < total - filled ? filled : total - filled;
        memcpy(to + filled, to, step);
        filled += step;
    }
}

void fol_fill(void *to, size_t size, const fol_source *source, size_t first, size_t count)
{
    if (source == NULL || source->data == NULL) {
        memset(to, 0, size * count);
        return;
    }
    const uint8_t *from = fol_source_at(source, first);
    ptrdiff_t stride = source->stride;
    if (stride == (ptrdiff_t)size) {
        memcpy(to, from, size * count);
        return;
    }
    switch (size) {
    case 1:
        gather(to, 1, from, stride, count);
        break;
    case 2:
        gather(to, 2, from, stride, count);
        break;
    case 4:
        gather(to, 4, from, stride, count);
        break;
    case 8:
        gather(to, 8, from, stride, count);
        break;
    case 16:
        gather(to, 16, from, stride, count);
        break;
    default:
        if (stride == 0) {
            repeat(to, size, from, count);
        } else {
            gather(to, size, from, stride, count);
        }
        break;
    }
}
