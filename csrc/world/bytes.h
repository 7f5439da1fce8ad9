/* The heap blobs behind Bytes values: reference-counted and never changed.
 *
 * A fol_bytes with data points just behind its blob's count; one without data owns nothing.
 */
#ifndef FOL_WORLD_BYTES_H
#define FOL_WORLD_BYTES_H

#include "foliot/world.h"

/* A blob of its own with the same data. -ENOMEM. */
int fol_bytes_create(const void *data, size_t size, fol_bytes *out);

/* A blob for somebody else to write to before anybody reads it. -ENOMEM. */
int fol_bytes_create_uninitialised(size_t size, fol_bytes *out);
/* Keeps the first `size` bytes of a blob that nobody else refers to; it may move. Cannot fail. */
void fol_bytes_shrink(fol_bytes *value, size_t size);

/* Moves a value into the Bytes cell of an entity, or into a Bytes resource that was inserted
 * (`entity` is of no meaning then): the world owns it, and the change counts as one by a set
 * command. FOL_E_STALE, FOL_E_MISSING, FOL_E_VALUE for another storage: it is still the caller's.
 * For the thread that holds the world, while no worker is in it. */
int fol_world_take_bytes(fol_world *world, fol_entity entity, const fol_component *component,
                         fol_bytes value);

#endif
