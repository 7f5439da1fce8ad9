/* Blobs of bytes; see bytes.h. */

#include "world/bytes.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/memory.h"
#include "world/bytes_blob.h"

static fol_blob *blob_of(const fol_bytes *value)
{
    return (fol_blob *)(uintptr_t)(value->data - offsetof(fol_blob, data));
}

int fol_bytes_create_uninitialised(size_t size, fol_bytes *out)
{
    if (size == 0) {
        *out = (fol_bytes){NULL, 0};
        return 0;
    }
    fol_blob *made = fol_blob_create(size);
    if (made == NULL) {
        return -ENOMEM;
    }
    *out = (fol_bytes){made->data, size};
    return 0;
}

int fol_bytes_create(const void *data, size_t size, fol_bytes *out)
{
    int status = fol_bytes_create_uninitialised(size, out);
    if (status == 0 && size != 0) {
        memcpy((uint8_t *)(uintptr_t)out->data, data, size);
    }
    return status;
}

/* Without memory it stays where it is, with more room than it needs, and of its own kind. */
static void move_to_smaller(fol_bytes *value, fol_blob *old, size_t size)
{
    fol_blob *made = fol_blob_create(size);
    if (made != NULL) {
        memcpy(made->data, old->data, size);
        value->data = made->data;
        fol_blob_destroy(old);
    }
}

void fol_bytes_shrink(fol_bytes *value, size_t size)
{
    FOL_ASSERT(size <= value->size);
    if (size == value->size) {
        return;
    }
    if (size == 0) {
        fol_bytes_release(value);
        *value = (fol_bytes){NULL, 0};
        return;
    }
    fol_blob *old = blob_of(value);
    FOL_ASSERT(atomic_load_explicit(&old->references, memory_order_relaxed) == 1);
    uint32_t kind = fol_blob_kind(size);
    value->size = size;
    if (kind != old->kind) {
        move_to_smaller(value, old, size);
    } else if (kind == 0) {
        fol_blob *kept = fol_realloc_array(old, 1, sizeof(*old) + size);
        value->data = kept == NULL ? value->data : kept->data;
    }
}

int fol_bytes_assign(fol_bytes *cell, const void *data, size_t size)
{
    fol_bytes made;
    int status = fol_bytes_create(data, size, &made);
    if (status < 0) {
        return status;
    }
    fol_bytes old = *cell;
    *cell = made;
    fol_bytes_release(&old);
    return 0;
}

void fol_bytes_retain(const fol_bytes *value)
{
    if (value->data != NULL) {
        uint64_t before =
            atomic_fetch_add_explicit(&blob_of(value)->references, 1, memory_order_relaxed);
        FOL_ASSERT(before != 0);
    }
}

void fol_bytes_release(const fol_bytes *value)
{
    if (value->data != NULL) {
        /* The release half pairs with the acquire half of the last one: whoever frees the blob
         * has seen every reading of it end. */
        uint64_t before =
            atomic_fetch_sub_explicit(&blob_of(value)->references, 1, memory_order_acq_rel);
        FOL_ASSERT(before != 0);
        if (before == 1) {
            fol_blob_destroy(blob_of(value));
        }
    }
}
