/* Exporters: objects that lend memory of the world to numpy and memoryview, and keep it alive.
 *
 * A numpy array made over one has it as its base, so the memory lives as long as any array does,
 * whatever becomes of the table.
 */
#ifndef FOL_BINDINGS_MEMORY_VIEW_H
#define FOL_BINDINGS_MEMORY_VIEW_H

#include "bindings/bindings.h"

/* A numpy array of `shape` and dtype over memory. Kept alive by the block (retained) or by the
 * owner (a new reference), either of which may be NULL. The array can be written only if
 * is_writable. */
PyObject *fol_py_array_over(fol_py_state *state, void *memory, size_t size, PyObject *shape,
                            PyObject *dtype, bool is_writable, fol_block *block, PyObject *owner);

/* A read-only memoryview of a Bytes value, which is retained. */
PyObject *fol_py_bytes_view(fol_py_state *state, const fol_bytes *value);

#endif
