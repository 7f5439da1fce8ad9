/* Component values: made by calling the class, read through fields, compared by value. */
#include "bindings/value.h"

#include "bindings/field.h"
#include "bindings/item.h"
#include "bindings/types.h"

#include <string.h>

static const fol_component *component_of(const fol_py_value *value)
{
    return fol_py_value_class(value)->component;
}

static fol_py_value *allocate(fol_py_component *type)
{
    Py_ssize_t size = (Py_ssize_t)fol_component_value_size(type->component);
    PyTypeObject *class = (PyTypeObject *)type;
    return (fol_py_value *)class->tp_alloc(class, size);
}

/* Bytes and object values point at what `object` keeps alive. */
static void point_at_object(fol_py_value *value, PyObject *object)
{
    Py_XSETREF(value->object, Py_XNewRef(object));
    if (fol_component_storage(component_of(value)) == FOL_STORAGE_OBJECT) {
        memcpy(value->packed, &object, sizeof(object));
        return;
    }
    fol_bytes bytes = {NULL, 0};
    if (object != NULL && PyBytes_GET_SIZE(object) > 0) {
        bytes.data = (const uint8_t *)PyBytes_AS_STRING(object);
        bytes.size = (uint64_t)PyBytes_GET_SIZE(object);
    }
    memcpy(value->packed, &bytes, sizeof(bytes));
}

static void fill_default(fol_py_value *value)
{
    const fol_py_component *type = fol_py_value_class(value);
    if (fol_component_storage(type->component) != FOL_STORAGE_PLAIN) {
        point_at_object(value, type->default_object);
    } else if (type->default_value != NULL) {
        memcpy(value->packed, type->default_value, fol_component_value_size(type->component));
    }
}

/* The bytes of any bytes-like object as a bytes object. */
static PyObject *bytes_from(const char *component, PyObject *given)
{
    if (PyBytes_CheckExact(given)) {
        return Py_NewRef(given);
    }
    if (!PyObject_CheckBuffer(given)) {
        PyErr_Format(PyExc_TypeError, "%s takes a bytes-like object, got %.100s", component,
                     Py_TYPE(given)->tp_name);
        return NULL;
    }
    return PyBytes_FromObject(given);
}

static int set_field(fol_py_value *value, uint32_t index, PyObject *given)
{
    const fol_py_component *type = fol_py_value_class(value);
    fol_storage storage = fol_component_storage(type->component);
    if (storage == FOL_STORAGE_PLAIN) {
        uint32_t offset = fol_component_field(type->component, index)->offset;
        return fol_py_element_write(type, index, given, value->packed + offset);
    }
    if (storage == FOL_STORAGE_OBJECT) {
        point_at_object(value, given);
        return 0;
    }
    PyObject *bytes = bytes_from(fol_component_name(type->component), given);
    if (bytes == NULL) {
        return -1;
    }
    point_at_object(value, bytes);
    Py_DECREF(bytes);
    return 0;
}

static int set_named(fol_py_value *value, PyObject *name, Py_ssize_t positional, PyObject *given)
{
    const fol_py_component *type = fol_py_value_class(value);
    Py_ssize_t index = fol_py_field_index(type, name);
    if (index < 0) {
        return fol_py_raise_unknown_field(type, PyExc_TypeError, name);
    }
    if (index < positional) {
        PyErr_Format(PyExc_TypeError, "%s got field %U twice", fol_component_name(type->component),
                     name);
        return -1;
    }
    return set_field(value, (uint32_t)index, given);
}

PyObject *fol_py_value_call(PyObject *class, PyObject *const *arguments, size_t flagged_count,
                            PyObject *keywords)
{
    fol_py_component *type = (fol_py_component *)class;
    Py_ssize_t count = PyVectorcall_NARGS(flagged_count);
    Py_ssize_t field_count = PyTuple_GET_SIZE(type->names);
    if (count > field_count) {
        PyErr_Format(PyExc_TypeError, "%s has %zd field%s, got %zd values",
                     fol_component_name(type->component), field_count, field_count == 1 ? "" : "s",
                     count);
        return NULL;
    }
    fol_py_value *value = allocate(type);
    if (value == NULL) {
        return NULL;
    }
    Py_ssize_t keyword_count = keywords == NULL ? 0 : PyTuple_GET_SIZE(keywords);
    if (count + keyword_count < field_count) {
        fill_default(value);
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        if (set_field(value, (uint32_t)i, arguments[i]) < 0) {
            Py_DECREF(value);
            return NULL;
        }
    }
    for (Py_ssize_t i = 0; i < keyword_count; i++) {
        if (set_named(value, PyTuple_GET_ITEM(keywords, i), count, arguments[count + i]) < 0) {
            Py_DECREF(value);
            return NULL;
        }
    }
    return (PyObject *)value;
}

PyObject *fol_py_value_new(fol_py_state *Py_UNUSED(state), PyObject *component_class,
                           const void *packed)
{
    fol_py_component *type = (fol_py_component *)component_class;
    fol_py_value *value = allocate(type);
    if (value == NULL) {
        return NULL;
    }
    fol_storage storage = fol_component_storage(type->component);
    if (storage == FOL_STORAGE_PLAIN) {
        memcpy(value->packed, packed, fol_component_value_size(type->component));
    } else if (storage == FOL_STORAGE_OBJECT) {
        PyObject *object;
        memcpy(&object, packed, sizeof(object));
        point_at_object(value, object);
    } else {
        fol_bytes bytes;
        memcpy(&bytes, packed, sizeof(bytes));
        PyObject *copy =
            PyBytes_FromStringAndSize((const char *)bytes.data, (Py_ssize_t)bytes.size);
        if (copy == NULL) {
            Py_DECREF(value);
            return NULL;
        }
        point_at_object(value, copy);
        Py_DECREF(copy);
    }
    return (PyObject *)value;
}

PyObject *fol_py_value_field(fol_py_value *value, uint32_t index)
{
    const fol_py_component *type = fol_py_value_class(value);
    switch (fol_component_storage(type->component)) {
    case FOL_STORAGE_OBJECT:
        return Py_NewRef(value->object == NULL ? Py_None : value->object);
    case FOL_STORAGE_BYTES:
        return value->object == NULL ? PyBytes_FromStringAndSize(NULL, 0)
                                     : Py_NewRef(value->object);
    default:
        break;
    }
    uint32_t offset = fol_component_field(type->component, index)->offset;
    return fol_py_element_read(type, index, value->packed + offset);
}

static PyObject *fields_tuple(fol_py_value *value)
{
    Py_ssize_t count = PyTuple_GET_SIZE(fol_py_value_class(value)->names);
    PyObject *fields = PyTuple_New(count);
    for (Py_ssize_t i = 0; fields != NULL && i < count; i++) {
        PyObject *field = fol_py_value_field(value, (uint32_t)i);
        if (field == NULL) {
            Py_CLEAR(fields);
        } else {
            PyTuple_SET_ITEM(fields, i, field);
        }
    }
    return fields;
}

static PyObject *field_text(fol_py_value *value, Py_ssize_t index)
{
    const fol_py_component *type = fol_py_value_class(value);
    PyObject *field = fol_py_value_field(value, (uint32_t)index);
    if (field == NULL) {
        return NULL;
    }
    PyObject *text;
    if (fol_component_field(type->component, (uint32_t)index)->name[0] == '\0') {
        text = PyObject_Repr(field);
    } else {
        text = PyUnicode_FromFormat("%U=%R", PyTuple_GET_ITEM(type->names, index), field);
    }
    Py_DECREF(field);
    return text;
}

static PyObject *value_repr(PyObject *self)
{
    fol_py_value *value = (fol_py_value *)self;
    const char *name = fol_component_name(component_of(value));
    if (Py_ReprEnter(self) != 0) {
        return PyUnicode_FromFormat("%s(...)", name);
    }
    Py_ssize_t count = PyTuple_GET_SIZE(fol_py_value_class(value)->names);
    PyObject *joined = NULL;
    PyObject *parts = PyList_New(0);
    for (Py_ssize_t i = 0; parts != NULL && i < count; i++) {
        PyObject *text = field_text(value, i);
        if (text == NULL || PyList_Append(parts, text) < 0) {
            Py_CLEAR(parts);
        }
        Py_XDECREF(text);
    }
    PyObject *separator = parts == NULL ? NULL : PyUnicode_FromString(", ");
    PyObject *inner = separator == NULL ? NULL : PyUnicode_Join(separator, parts);
    if (inner != NULL) {
        joined = PyUnicode_FromFormat("%s(%U)", name, inner);
    }
    Py_XDECREF(inner);
    Py_XDECREF(separator);
    Py_XDECREF(parts);
    Py_ReprLeave(self);
    return joined;
}

static bool plain_values_are_equal(const fol_py_value *a, const fol_py_value *b)
{
    const fol_component *component = component_of(a);
    for (uint32_t i = 0; i < fol_component_field_count(component); i++) {
        const fol_field *field = fol_component_field(component, i);
        for (uint32_t at = 0; at < field->size; at += field->item_size) {
            uint32_t offset = field->offset + at;
            if (!fol_py_item_equal(field, a->packed + offset, b->packed + offset)) {
                return false;
            }
        }
    }
    return true;
}

static PyObject *value_compare(PyObject *self, PyObject *other, int operation)
{
    if (Py_TYPE(self) != Py_TYPE(other) || (operation != Py_EQ && operation != Py_NE)) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    fol_py_value *a = (fol_py_value *)self;
    fol_py_value *b = (fol_py_value *)other;
    if (fol_component_storage(component_of(a)) == FOL_STORAGE_PLAIN) {
        return PyBool_FromLong(plain_values_are_equal(a, b) == (operation == Py_EQ));
    }
    PyObject *left = fol_py_value_field(a, 0);
    PyObject *right = fol_py_value_field(b, 0);
    PyObject *answer =
        left == NULL || right == NULL ? NULL : PyObject_RichCompare(left, right, operation);
    Py_XDECREF(left);
    Py_XDECREF(right);
    return answer;
}

static Py_hash_t value_hash(PyObject *self)
{
    fol_py_value *value = (fol_py_value *)self;
    const fol_component *component = component_of(value);
    if (fol_component_storage(component) != FOL_STORAGE_PLAIN) {
        PyObject *field = fol_py_value_field(value, 0);
        Py_hash_t hash = field == NULL ? -1 : PyObject_Hash(field);
        Py_XDECREF(field);
        return hash;
    }
    uint64_t hash = (uint64_t)(uintptr_t)component;
    for (uint32_t i = 0; i < fol_component_field_count(component); i++) {
        const fol_field *field = fol_component_field(component, i);
        for (uint32_t at = 0; at < field->size; at += field->item_size) {
            hash = fol_py_item_hash(field, value->packed + field->offset + at, hash);
        }
    }
    return (Py_hash_t)hash == -1 ? -2 : (Py_hash_t)hash;
}

static PyObject *value_reduce(PyObject *self, PyObject *Py_UNUSED(unused))
{
    PyObject *fields = fields_tuple((fol_py_value *)self);
    return fields == NULL ? NULL : Py_BuildValue("(ON)", (PyObject *)Py_TYPE(self), fields);
}

static PyObject *value_replace(PyObject *self, PyObject *const *arguments, Py_ssize_t count,
                               PyObject *keywords)
{
    if (count != 0) {
        PyErr_SetString(PyExc_TypeError, "__replace__ takes fields by name");
        return NULL;
    }
    fol_py_value *value = (fol_py_value *)self;
    PyObject *class = (PyObject *)Py_TYPE(self);
    fol_py_value *copy =
        (fol_py_value *)fol_py_value_new(fol_py_value_class(value)->state, class, value->packed);
    for (Py_ssize_t i = 0; copy != NULL && keywords != NULL && i < PyTuple_GET_SIZE(keywords);
         i++) {
        if (set_named(copy, PyTuple_GET_ITEM(keywords, i), 0, arguments[i]) < 0) {
            Py_CLEAR(copy);
        }
    }
    return (PyObject *)copy;
}

static int value_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((fol_py_value *)self)->object);
    return 0;
}

static int value_clear(PyObject *self)
{
    /* The packed pointer goes with the reference it stands for. */
    fol_py_value *value = (fol_py_value *)self;
    if (value->object != NULL) {
        point_at_object(value, NULL);
    }
    return 0;
}

static void value_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_CLEAR(((fol_py_value *)self)->object);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef value_methods[] = {
    {"__reduce__", value_reduce, METH_NOARGS, "The class and the fields, for pickling."},
    {"__replace__", (PyCFunction)(void (*)(void))value_replace, METH_FASTCALL | METH_KEYWORDS,
     "A copy with some fields replaced; what copy.replace calls."},
    {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(value_doc,
             "Base of all component classes; a value is a copy that does not change.\n\n"
             "Fields are attributes, an unnamed field is ``value``. Values compare by value.");

static PyType_Slot value_slots[] = {
    {Py_tp_doc, (void *)value_doc},
    {Py_tp_dealloc, value_dealloc},
    {Py_tp_traverse, value_traverse},
    {Py_tp_clear, value_clear},
    {Py_tp_repr, value_repr},
    {Py_tp_richcompare, value_compare},
    {Py_tp_hash, value_hash},
    {Py_tp_methods, value_methods},
    {0, NULL},
};

static PyType_Spec value_spec = {
    .name = "foliot._core.Value",
    .basicsize = sizeof(fol_py_value),
    .itemsize = 1,
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = value_slots,
};

int fol_py_add_value_types(fol_py_state *state)
{
    if (fol_py_add_field_type(state) < 0) {
        return -1;
    }
    return fol_py_add_type(state, &value_spec, NULL, &state->value_type);
}
