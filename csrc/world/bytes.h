/* The heap blobs behind Bytes values: reference-counted and never changed.
 *
 * A fol_bytes with data points just behind its blob's count; one without data owns nothing.
 */
#ifndef FOL_WORLD_BYTES_H
#define FOL_WORLD_BYTES_H

#include "foliot/world.h"

/* A blob of its own with the same data. -ENOMEM. */
int fol_bytes_create(const void *data, size_t size, fol_bytes *out);

#endif
