/* The memory of blobs: a small head, and the data behind it.
 *
 * Systems that read files anew in each frame free as many blobs as they take. The C library gives
 * freed memory at the end of its heap back to the kernel, which would fill it with zeros, page by
 * page, when it is asked for again. So blobs of 512 bytes to 1 MiB come in sizes of eight steps to
 * a doubling, and a freed one is kept for the next of its size.
 *
 * Invariant: of each size no more blobs are kept than are in use, and of all sizes no more than
 * FOL_BLOB_KEPT_BYTES. So what is kept goes when the blobs in use go. A thread that meets another
 * one at the same size does without what is kept, and what it leaves behind goes with the next
 * blob of that size that is freed.
 */
#ifndef FOL_WORLD_BYTES_BLOB_H
#define FOL_WORLD_BYTES_BLOB_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define FOL_BLOB_KEPT_BYTES (UINT64_C(64) << 20)

typedef struct fol_blob fol_blob;
struct fol_blob {
    _Atomic uint64_t references;
    union {
        uint64_t kind;  /* in use: what fol_blob_kind said of its size */
        fol_blob *next; /* kept */
    };
    uint8_t data[];
};

_Static_assert(offsetof(fol_blob, data) == 16, "data stands 16 bytes behind its blob");

/* Blobs of one kind have the same room; 0: as much as was asked for. */
uint32_t fol_blob_kind(size_t size);

/* A blob with one reference and room for `size` bytes, above 0; NULL without memory. Any thread. */
fol_blob *fol_blob_create(size_t size);

/* Nobody refers to it any more, and whoever calls has seen every use of it end. Any thread. */
void fol_blob_destroy(fol_blob *blob);

/* Bytes of blobs that are kept, for tests. */
uint64_t fol_blob_kept_bytes(void);

#endif
