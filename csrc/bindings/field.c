/* Fields of component classes, and the descriptor that reads one from a value. */
#include "bindings/field.h"

#include "bindings/types.h"
#include "bindings/value.h"

#include <string.h>
#include <structmember.h>

Py_ssize_t fol_py_field_index(const fol_py_component *type, PyObject *name)
{
    Py_ssize_t count = PyTuple_GET_SIZE(type->names);
    /* Names are interned, and so is an attribute's name nearly always. */
    for (Py_ssize_t i = 0; i < count; i++) {
        if (PyTuple_GET_ITEM(type->names, i) == name) {
            return i;
        }
    }
    if (!PyUnicode_Check(name)) {
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        if (PyUnicode_Compare(PyTuple_GET_ITEM(type->names, i), name) == 0) {
            return i;
        }
    }
    return -1;
}

int fol_py_raise_unknown_field(const fol_py_component *type, PyObject *error_class, PyObject *name)
{
    const char *component = fol_component_name(type->component);
    Py_ssize_t count = PyTuple_GET_SIZE(type->names);
    if (count == 0) {
        PyErr_Format(error_class, "%s is a tag and has no fields; got %S", component, name);
        return -1;
    }
    PyObject *separator = PyUnicode_FromString(", ");
    PyObject *names = separator == NULL ? NULL : PyUnicode_Join(separator, type->names);
    Py_XDECREF(separator);
    if (names != NULL) {
        PyErr_Format(error_class, "%s has field%s %U; got %S", component, count == 1 ? "" : "s",
                     names, name);
        Py_DECREF(names);
    }
    return -1;
}

PyObject *fol_py_field_shape(const fol_field *field, Py_ssize_t rows)
{
    Py_ssize_t first = rows < 0 ? 0 : 1;
    PyObject *shape = PyTuple_New(first + (Py_ssize_t)field->ndim);
    if (shape == NULL) {
        return NULL;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(shape); i++) {
        Py_ssize_t length = i < first ? rows : (Py_ssize_t)field->shape[i - first];
        PyObject *item = PyLong_FromSsize_t(length);
        if (item == NULL) {
            Py_DECREF(shape);
            return NULL;
        }
        PyTuple_SET_ITEM(shape, i, item);
    }
    return shape;
}

PyObject *fol_py_element_read(const fol_py_component *type, uint32_t index, const void *element)
{
    const fol_field *field = fol_component_field(type->component, index);
    if (field->ndim == 0) {
        return fol_py_item_read(field, element);
    }
    PyObject *copy = PyBytes_FromStringAndSize(element, (Py_ssize_t)field->size);
    PyObject *shape = copy == NULL ? NULL : fol_py_field_shape(field, -1);
    PyObject *array = NULL;
    if (shape != NULL) {
        array = PyObject_CallFunctionObjArgs(type->state->ndarray, shape,
                                             PyTuple_GET_ITEM(type->dtypes, index), copy, NULL);
    }
    Py_XDECREF(shape);
    Py_XDECREF(copy);
    return array;
}

int fol_py_element_write(const fol_py_component *type, uint32_t index, PyObject *value,
                         void *element)
{
    fol_py_place place = fol_py_field_place(type, index);
    const fol_field *field = place.field;
    if (field->ndim == 0) {
        unsigned char item[16];
        if (fol_py_item_write(place, value, item) < 0) {
            return -1;
        }
        memcpy(element, item, field->size);
        return 0;
    }
    char room[FOL_PY_LABEL_SIZE];
    const char *label = fol_py_place_label(place, room);
    PyObject *shape = fol_py_field_shape(field, -1);
    if (shape == NULL) {
        return -1;
    }
    PyObject *array =
        PyObject_CallFunction(type->state->column_prepare, "OOOOs", value,
                              PyTuple_GET_ITEM(type->dtypes, index), Py_None, shape, label);
    Py_DECREF(shape);
    Py_buffer buffer;
    if (array == NULL || PyObject_GetBuffer(array, &buffer, PyBUF_C_CONTIGUOUS) < 0) {
        Py_XDECREF(array);
        return -1;
    }
    memcpy(element, buffer.buf, field->size);
    PyBuffer_Release(&buffer);
    Py_DECREF(array);
    return 0;
}

/* The descriptor: Position.x is one, Position(…).x reads through it. */

typedef struct field_object {
    PyObject_HEAD fol_py_state *state; /* outlives the field, whose type keeps the module */
    uint32_t index;
    PyObject *name;
} field_object;

static PyObject *field_get(PyObject *self, PyObject *instance, PyObject *Py_UNUSED(owner))
{
    if (instance == NULL || instance == Py_None) {
        return Py_NewRef(self);
    }
    field_object *field = (field_object *)self;
    fol_py_component *type = (fol_py_component *)Py_TYPE(instance);
    if (!fol_py_is_component(field->state, (PyObject *)type) ||
        (Py_ssize_t)field->index >= PyTuple_GET_SIZE(type->names) ||
        PyTuple_GET_ITEM(type->names, field->index) != field->name) {
        PyErr_Format(PyExc_TypeError, "field %U belongs to another class than %.100s", field->name,
                     Py_TYPE(instance)->tp_name);
        return NULL;
    }
    return fol_py_value_field((fol_py_value *)instance, field->index);
}

static int field_set(PyObject *self, PyObject *instance, PyObject *Py_UNUSED(value))
{
    const char *name = Py_TYPE(instance)->tp_name;
    PyErr_Format(PyExc_AttributeError,
                 "%s.%U cannot be set: a %s value is a copy and does not change; make another and "
                 "set or insert it",
                 name, ((field_object *)self)->name, name);
    return -1;
}

static PyObject *field_repr(PyObject *self)
{
    return PyUnicode_FromFormat("<field %U>", ((field_object *)self)->name);
}

static void field_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    Py_XDECREF(((field_object *)self)->name);
    type->tp_free(self);
    Py_DECREF(type);
}

PyObject *fol_py_field_new(fol_py_state *state, PyObject *name, uint32_t index)
{
    field_object *field = (field_object *)state->field_type->tp_alloc(state->field_type, 0);
    if (field != NULL) {
        field->state = state;
        field->index = index;
        field->name = Py_NewRef(name);
    }
    return (PyObject *)field;
}

static PyMemberDef field_members[] = {
    {"__name__", T_OBJECT, offsetof(field_object, name), READONLY, "Name of the field."},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot field_slots[] = {
    {Py_tp_doc, "One field of a component class; values are read through it."},
    {Py_tp_dealloc, field_dealloc},
    {Py_tp_descr_get, field_get},
    {Py_tp_descr_set, field_set},
    {Py_tp_repr, field_repr},
    {Py_tp_members, field_members},
    {0, NULL},
};

static PyType_Spec field_spec = {
    .name = "foliot._core._Field",
    .basicsize = sizeof(field_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = field_slots,
};

int fol_py_add_field_type(fol_py_state *state)
{
    return fol_py_add_type(state, &field_spec, NULL, &state->field_type);
}
