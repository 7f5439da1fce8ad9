/* Component values: Position(x=1, y=2) as a Python object that holds the packed bytes.
 *
 * A value never changes after it was made, so the core may read its bytes while nobody looks. The
 * packed bytes of a Bytes or object value point at `object`, which the value keeps alive.
 */
#ifndef FOL_BINDINGS_VALUE_H
#define FOL_BINDINGS_VALUE_H

#include "bindings/bindings.h"

typedef struct fol_py_value {
    PyObject_VAR_HEAD PyObject
        *object; /* bytes of a Bytes value, the object of an object value; else NULL */
    _Alignas(8) unsigned char packed[];
} fol_py_value;

static inline fol_py_component *fol_py_value_class(const fol_py_value *value)
{
    return (fol_py_component *)Py_TYPE(value);
}

/* One field as a Python object. */
PyObject *fol_py_value_field(fol_py_value *value, uint32_t index);

/* Makes a value of a class from call arguments; what is not given has its default, else zero. */
PyObject *fol_py_value_call(PyObject *type, PyObject *const *arguments, size_t flagged_count,
                            PyObject *keywords);

/* Descriptor of one field, for the class's namespace. */
PyObject *fol_py_field_new(fol_py_state *state, PyObject *name, uint32_t index);
int fol_py_add_field_type(fol_py_state *state);

#endif
