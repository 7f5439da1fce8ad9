/* Fields of component classes: finding one by name, and whole elements to and from Python.
 *
 * An element is one entity's value of one field: a number, or a fixed-shape array of them, which
 * Python sees as a numpy array.
 */
#ifndef FOL_BINDINGS_FIELD_H
#define FOL_BINDINGS_FIELD_H

#include "bindings/bindings.h"
#include "bindings/item.h"

/* The index of a field, or -1 without an error. */
Py_ssize_t fol_py_field_index(const fol_py_component *type, PyObject *name);
/* Where a field's numbers go. */
static inline fol_py_place fol_py_field_place(const fol_py_component *type, uint32_t index)
{
    return (fol_py_place){type->component, fol_component_field(type->component, index)};
}
/* Raises "Position has fields x, y; got z" as the error class. Returns -1. */
int fol_py_raise_unknown_field(const fol_py_component *type, PyObject *error_class, PyObject *name);

/* A number, or a read-only numpy copy of an array. */
PyObject *fol_py_element_read(const fol_py_component *type, uint32_t index, const void *element);
/* Converts, checks kind, range and shape, and stores. On failure the element is unchanged. */
int fol_py_element_write(const fol_py_component *type, uint32_t index, PyObject *value,
                         void *element);
/* (rows, *shape) of a column, or the shape of one element when rows < 0. */
PyObject *fol_py_field_shape(const fol_field *field, Py_ssize_t rows);

#endif
