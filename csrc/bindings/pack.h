/* Pieces of argument conversion that several files of the world side use. */
#ifndef FOL_BINDINGS_PACK_H
#define FOL_BINDINGS_PACK_H

#include "bindings/bindings.h"

/* The component of a key that entities may have: TypeError for resources and anything else.
 * Borrowed. */
fol_component *fol_py_entity_component(fol_py_state *state, PyObject *key);

/* Cells of a Bytes or object field for `rows` rows: one value for all (a bytes-like object, None,
 * any object), or a list, tuple or array of `rows` of them. Fills out; data points into the
 * scratch. label names the column in errors. */
int fol_py_parse_cells(fol_py_state *state, fol_storage storage, PyObject *given, Py_ssize_t rows,
                       const char *label, fol_py_scratch *scratch, fol_source *out);

/* As fol_py_parse_ids. *items is the tuple that was read, held by the scratch, or NULL when the ids
 * are those of an array. */
int fol_py_parse_listed_ids(fol_py_state *state, PyObject *ids, fol_py_scratch *scratch,
                            const fol_entity **out, Py_ssize_t *count, PyObject **items);

#endif
