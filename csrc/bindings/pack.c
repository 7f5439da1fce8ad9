/* Call arguments as what the core takes: values, component lists and entity ids.
 *
 * All of this runs before the world is entered, because conversions may run any Python code.
 */
#include "bindings/bindings.h"

#include "bindings/item.h"
#include "bindings/pack.h"
#include "bindings/value.h"

#include <string.h>

/* The default of a class as a packed value: NULL for zeros. */
static int pack_default(const fol_py_component *type, fol_py_scratch *scratch, fol_value *out)
{
    out->component = type->component;
    out->value = type->default_value;
    PyObject *object = type->default_object;
    if (object == NULL) {
        return 0;
    }
    bool is_bytes = fol_component_storage(type->component) == FOL_STORAGE_BYTES;
    void *packed = fol_py_scratch_take(scratch, sizeof(fol_bytes));
    if (packed == NULL) {
        return -1;
    }
    if (is_bytes) {
        fol_bytes bytes = {(const uint8_t *)PyBytes_AS_STRING(object),
                           (uint64_t)PyBytes_GET_SIZE(object)};
        memcpy(packed, &bytes, sizeof(bytes));
    } else {
        memcpy(packed, &object, sizeof(object));
    }
    out->value = packed;
    return 0;
}

/* Any object as the value of its class's object resource. */
static int pack_object_resource(fol_py_state *state, PyObject *object, fol_py_scratch *scratch,
                                fol_value *out)
{
    if (PyType_Check(object)) {
        PyErr_Format(PyExc_TypeError, "a resource is an instance, got the class %.100s",
                     ((PyTypeObject *)object)->tp_name);
        return -1;
    }
    out->component = fol_py_component_of(state, (PyObject *)Py_TYPE(object));
    PyObject **packed = fol_py_scratch_take(scratch, sizeof(PyObject *));
    if (out->component == NULL || packed == NULL ||
        fol_py_scratch_hold(scratch, (PyObject *)Py_TYPE(object)) < 0) {
        return -1;
    }
    *packed = object;
    out->value = packed;
    return 0;
}

static int check_kind(const fol_py_component *type, bool is_resource)
{
    if (fol_component_is_resource(type->component) == is_resource) {
        return 0;
    }
    const char *name = fol_component_name(type->component);
    if (is_resource) {
        PyErr_Format(PyExc_TypeError, "%s is a component, not a resource: give it to an entity",
                     name);
    } else {
        PyErr_Format(PyExc_TypeError, "%s is a resource: insert it; entities cannot have it", name);
    }
    return -1;
}

int fol_py_pack_value(fol_py_state *state, PyObject *value, bool is_resource,
                      fol_py_scratch *scratch, fol_value *out)
{
    if (fol_py_is_component(state, (PyObject *)Py_TYPE(value))) {
        const fol_py_component *type = fol_py_value_class((fol_py_value *)value);
        out->component = type->component;
        out->value = ((fol_py_value *)value)->packed;
        return check_kind(type, is_resource);
    }
    if (fol_py_is_component(state, value)) {
        const fol_py_component *type = (fol_py_component *)value;
        return check_kind(type, is_resource) < 0 ? -1 : pack_default(type, scratch, out);
    }
    if (is_resource) {
        return pack_object_resource(state, value, scratch, out);
    }
    PyErr_Format(PyExc_TypeError,
                 "a component value such as Position(x=1, y=2) is expected, got %R", value);
    return -1;
}

static int refuse_twice(fol_component *component)
{
    PyErr_Format(PyExc_ValueError, "%s is named twice", fol_component_name(component));
    return -1;
}

int fol_py_pack_values(fol_py_state *state, PyObject *const *values, Py_ssize_t count,
                       fol_py_scratch *scratch, fol_value **out)
{
    fol_value *packed = fol_py_scratch_take(scratch, (size_t)count * sizeof(*packed));
    if (packed == NULL) {
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        if (fol_py_pack_value(state, values[i], false, scratch, &packed[i]) < 0) {
            return -1;
        }
        for (Py_ssize_t before = 0; before < i; before++) {
            if (packed[before].component == packed[i].component) {
                return refuse_twice(packed[i].component);
            }
        }
    }
    *out = packed;
    return 0;
}

fol_component *fol_py_entity_component(fol_py_state *state, PyObject *key)
{
    if (!fol_py_is_component(state, key)) {
        if (!PyType_Check(key)) {
            fol_py_component_of(state, key);
        } else {
            PyErr_Format(PyExc_TypeError, "%.100s is no component class: make it with fo.component",
                         ((PyTypeObject *)key)->tp_name);
        }
        return NULL;
    }
    const fol_py_component *type = (fol_py_component *)key;
    return check_kind(type, false) < 0 ? NULL : type->component;
}

int fol_py_parse_components(fol_py_state *state, PyObject *const *keys, Py_ssize_t count,
                            fol_py_scratch *scratch, fol_component ***out)
{
    fol_component **components = fol_py_scratch_take(scratch, (size_t)count * sizeof(*components));
    if (components == NULL) {
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        components[i] = fol_py_entity_component(state, keys[i]);
        if (components[i] == NULL) {
            return -1;
        }
        for (Py_ssize_t before = 0; before < i; before++) {
            if (components[before] == components[i]) {
                return refuse_twice(components[i]);
            }
        }
    }
    *out = components;
    return 0;
}

/* Entity ids. */

int fol_py_parse_entity(fol_py_state *Py_UNUSED(state), PyObject *entity, fol_entity *out)
{
    if (PyLong_Check(entity)) {
        Py_INCREF(entity);
    } else {
        PyObject *given = entity;
        entity = PyNumber_Index(given);
        if (entity == NULL) {
            PyErr_Format(PyExc_TypeError, "an entity is expected, got %R", given);
            return -1;
        }
    }
    fol_entity id = PyLong_AsUnsignedLongLong(entity);
    Py_DECREF(entity);
    if (id == (fol_entity)-1 && PyErr_Occurred()) {
        if (!PyErr_ExceptionMatches(PyExc_OverflowError)) {
            return -1;
        }
        PyErr_Clear();
        id = 0;
    }
    *out = id;
    return 0;
}

/* Arrays of ids as foliot gives them out: one copy. Returns 0 when the object is none. */
static int ids_from_buffer(PyObject *ids, fol_py_scratch *scratch, const fol_entity **out,
                           Py_ssize_t *count)
{
    if (!PyObject_CheckBuffer(ids)) {
        return 0;
    }
    static const fol_field id_field = {.format = "Q", .item_size = sizeof(fol_entity)};
    Py_buffer buffer;
    if (PyObject_GetBuffer(ids, &buffer, PyBUF_STRIDED_RO | PyBUF_FORMAT) < 0) {
        PyErr_Clear();
        return 0;
    }
    int found = 0;
    if (buffer.ndim == 1 && fol_py_format_matches(buffer.format, &id_field)) {
        Py_ssize_t rows = buffer.shape[0];
        fol_entity *copy = fol_py_scratch_take(scratch, (size_t)rows * sizeof(*copy));
        found = copy == NULL ? -1 : 1;
        for (Py_ssize_t i = 0; found == 1 && i < rows; i++) {
            memcpy(&copy[i], (const char *)buffer.buf + i * buffer.strides[0], sizeof(*copy));
        }
        *out = copy;
        *count = rows;
    }
    PyBuffer_Release(&buffer);
    return found;
}

int fol_py_parse_ids(fol_py_state *state, PyObject *ids, fol_py_scratch *scratch,
                     const fol_entity **out, Py_ssize_t *count)
{
    PyObject *items;
    return fol_py_parse_listed_ids(state, ids, scratch, out, count, &items);
}

int fol_py_parse_listed_ids(fol_py_state *state, PyObject *ids, fol_py_scratch *scratch,
                            const fol_entity **out, Py_ssize_t *count, PyObject **listed)
{
    *listed = NULL;
    int found = ids_from_buffer(ids, scratch, out, count);
    if (found != 0) {
        return found < 0 ? -1 : 0;
    }
    /* A tuple of its own: converting an element may change the caller's list. */
    PyObject *items = PySequence_Tuple(ids);
    if (items == NULL) {
        if (PyErr_ExceptionMatches(PyExc_TypeError)) {
            PyErr_Format(PyExc_TypeError, "entity ids are an array or an iterable, got %.100s",
                         Py_TYPE(ids)->tp_name);
        }
        return -1;
    }
    int status = fol_py_scratch_hold(scratch, items);
    Py_DECREF(items);
    if (status < 0) {
        return -1;
    }
    Py_ssize_t rows = PyTuple_GET_SIZE(items);
    fol_entity *parsed = fol_py_scratch_take(scratch, (size_t)rows * sizeof(*parsed));
    if (parsed == NULL) {
        return -1;
    }
    for (Py_ssize_t i = 0; i < rows; i++) {
        if (fol_py_parse_entity(state, PyTuple_GET_ITEM(items, i), &parsed[i]) < 0) {
            return -1;
        }
    }
    *out = parsed;
    *count = rows;
    *listed = items;
    return 0;
}
