/* Pages of a command buffer; see pages.h. */

#include "world/pages.h"

#include <errno.h>

#include "base/assert.h"
#include "base/memory.h"

/* The power of two that holds `least` bytes; 0 when there is none. */
static size_t round_up(size_t least)
{
    size_t size = 1024;
    while (size < least && size <= PTRDIFF_MAX / 2) {
        size *= 2;
    }
    return size < least ? 0 : size;
}

int fol_pages_push(fol_pages *pages, size_t least)
{
    size_t doubled = pages->count == 0 ? 0 : 2 * pages->sizes[pages->count - 1];
    size_t size = round_up(least > doubled ? least : doubled);
    if (size == 0 || pages->count == FOL_PAGES_MAX) {
        return -ENOMEM;
    }
    uint8_t *page = fol_alloc(size);
    if (page == NULL) {
        return -ENOMEM;
    }
    pages->sizes[pages->count] = size;
    pages->items[pages->count++] = page;
    return 0;
}

int fol_pages_join(fol_pages *pages, size_t least)
{
    fol_pages joined = {.count = 0};
    if (pages->count == 1 && pages->sizes[0] >= least) {
        return 0;
    }
    int status = fol_pages_push(&joined, least);
    if (status < 0) {
        return status;
    }
    fol_pages_deinit(pages);
    pages->items[0] = joined.items[0];
    pages->sizes[0] = joined.sizes[0];
    pages->count = 1;
    return 0;
}

bool fol_pages_hold(const fol_pages *pages, const void *address)
{
    for (uint32_t i = 0; i < pages->count; i++) {
        /* Below the page the difference wraps and is larger than any page. */
        if ((uintptr_t)address - (uintptr_t)pages->items[i] < pages->sizes[i]) {
            return true;
        }
    }
    return false;
}

size_t fol_pages_size(const fol_pages *pages)
{
    size_t size = 0;
    for (uint32_t i = 0; i < pages->count; i++) {
        size += pages->sizes[i];
    }
    return size;
}

void fol_pages_deinit(fol_pages *pages)
{
    FOL_ASSERT(pages->count <= FOL_PAGES_MAX);
    for (uint32_t i = 0; i < pages->count; i++) {
        fol_free(pages->items[i]);
    }
    pages->count = 0;
}
