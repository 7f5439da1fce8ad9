/* The mappings {Component: columns} of the many-entities calls, as sources for the core.
 *
 * An array that already has the field's type and shape is read in place, however it is strided; a
 * Python number is packed once and repeated; everything else goes through numpy
 * (foliot._columns.prepare), which also words the errors.
 */
#include "bindings/bindings.h"

#include "bindings/field.h"
#include "bindings/pack.h"
#include "bindings/value.h"

#include <string.h>

static const fol_source zeros = {NULL, 0};

/* True when the rows of a buffer are elements of the field, each contiguous. */
static bool buffer_fits(const Py_buffer *buffer, const fol_field *field, Py_ssize_t rows)
{
    if (buffer->ndim != 1 + (int)field->ndim || buffer->shape[0] != rows ||
        !fol_py_format_matches(buffer->format, field)) {
        return false;
    }
    Py_ssize_t stride = (Py_ssize_t)field->item_size;
    for (int i = (int)field->ndim; i > 0; i--) {
        Py_ssize_t length = (Py_ssize_t)field->shape[i - 1];
        if (buffer->shape[i] != length || (length > 1 && buffer->strides[i] != stride)) {
            return false;
        }
        stride *= length;
    }
    return true;
}

static int source_from_array(PyObject *array, const fol_field *field, Py_ssize_t rows,
                             fol_py_scratch *scratch, fol_source *out)
{
    Py_buffer *buffer;
    if (fol_py_scratch_buffer(scratch, array, PyBUF_STRIDED_RO | PyBUF_FORMAT, &buffer) < 0) {
        PyErr_Clear();
        return 0;
    }
    if (!buffer_fits(buffer, field, rows)) {
        return 0;
    }
    out->data = buffer->buf;
    out->stride = buffer->strides[0];
    return 1;
}

static int plain_source(const fol_py_component *type, uint32_t index, PyObject *given,
                        Py_ssize_t rows, fol_py_scratch *scratch, fol_source *out)
{
    const fol_field *field = fol_component_field(type->component, index);
    if (PyFloat_CheckExact(given) || PyLong_CheckExact(given) || PyBool_Check(given)) {
        if (field->ndim == 0) {
            void *item = fol_py_scratch_take(scratch, 16);
            *out = (fol_source){item, 0};
            return item == NULL ? -1
                                : fol_py_item_write(fol_py_field_place(type, index), given, item);
        }
    } else if (PyObject_TypeCheck(given, (PyTypeObject *)type->state->ndarray)) {
        int found = source_from_array(given, field, rows, scratch, out);
        if (found != 0) {
            return found < 0 ? -1 : 0;
        }
    }
    char room[FOL_PY_LABEL_SIZE];
    const char *label = fol_py_place_label(fol_py_field_place(type, index), room);
    PyObject *shape = fol_py_field_shape(field, -1);
    if (shape == NULL) {
        return -1;
    }
    PyObject *array =
        PyObject_CallFunction(type->state->column_prepare, "OOnOs", given,
                              PyTuple_GET_ITEM(type->dtypes, index), rows, shape, label);
    Py_DECREF(shape);
    if (array == NULL) {
        return -1;
    }
    int found = source_from_array(array, field, rows, scratch, out);
    Py_DECREF(array);
    if (found == 0) {
        PyErr_Format(PyExc_SystemError, "the column prepared for %s does not fit", label);
    }
    return found == 1 ? 0 : -1;
}

/* Cells: Bytes and objects. */

static int store_bytes(PyObject *given, const char *label, fol_py_scratch *scratch, fol_bytes *out)
{
    *out = (fol_bytes){NULL, 0};
    if (given == Py_None) {
        return 0;
    }
    if (!PyObject_CheckBuffer(given)) {
        PyErr_Format(PyExc_TypeError, "%s takes bytes-like objects, got %.100s", label,
                     Py_TYPE(given)->tp_name);
        return -1;
    }
    Py_buffer *buffer;
    if (fol_py_scratch_buffer(scratch, given, PyBUF_SIMPLE, &buffer) < 0) {
        return -1;
    }
    if (buffer->len > 0) {
        out->data = buffer->buf;
        out->size = (uint64_t)buffer->len;
    }
    return 0;
}

static int store_cell(fol_storage storage, PyObject *given, const char *label,
                      fol_py_scratch *scratch, void *out)
{
    if (storage == FOL_STORAGE_BYTES) {
        return store_bytes(given, label, scratch, out);
    }
    memcpy(out, &given, sizeof(given));
    return 0;
}

static bool is_list_of_cells(fol_storage storage, PyObject *given)
{
    if (PyList_Check(given) || PyTuple_Check(given)) {
        return true;
    }
    /* An array of objects lists cells as well; an array of numbers is one bytes-like object. */
    if (PyObject_CheckBuffer(given)) {
        return false;
    }
    return storage == FOL_STORAGE_BYTES && !PyUnicode_Check(given) && PySequence_Check(given);
}

/* The list of a numpy array of objects or of byte strings; NULL without an error for anything else.
 */
static PyObject *list_of_cell_array(fol_py_state *state, PyObject *given)
{
    if (!PyObject_TypeCheck(given, (PyTypeObject *)state->ndarray)) {
        return NULL;
    }
    PyObject *dtype = PyObject_GetAttr(given, state->names[FOL_PY_NAME_dtype]);
    PyObject *kind = dtype == NULL ? NULL : PyObject_GetAttr(dtype, state->names[FOL_PY_NAME_kind]);
    Py_XDECREF(dtype);
    if (kind == NULL) {
        return NULL;
    }
    bool lists_cells = PyUnicode_Check(kind) && (PyUnicode_CompareWithASCIIString(kind, "O") == 0 ||
                                                 PyUnicode_CompareWithASCIIString(kind, "S") == 0);
    Py_DECREF(kind);
    return lists_cells ? PyObject_CallMethodNoArgs(given, state->names[FOL_PY_NAME_tolist]) : NULL;
}

int fol_py_parse_cells(fol_py_state *state, fol_storage storage, PyObject *given, Py_ssize_t rows,
                       const char *label, fol_py_scratch *scratch, fol_source *out)
{
    PyObject *listed = list_of_cell_array(state, given);
    if (listed == NULL && PyErr_Occurred()) {
        return -1;
    }
    size_t size = storage == FOL_STORAGE_BYTES ? sizeof(fol_bytes) : sizeof(PyObject *);
    if (listed == NULL && !is_list_of_cells(storage, given)) {
        void *cell = fol_py_scratch_take(scratch, size);
        *out = (fol_source){cell, 0};
        return cell == NULL ? -1 : store_cell(storage, given, label, scratch, cell);
    }
    /* A tuple of its own, because whoever holds the list may change it. */
    PyObject *items = PySequence_Tuple(listed == NULL ? given : listed);
    Py_XDECREF(listed);
    if (items == NULL) {
        return -1;
    }
    int status = fol_py_scratch_hold(scratch, items);
    Py_DECREF(items);
    if (status == 0 && PyTuple_GET_SIZE(items) != rows) {
        PyErr_Format(PyExc_ValueError, "column %s has %zd rows, expected %zd", label,
                     PyTuple_GET_SIZE(items), rows);
        return -1;
    }
    char *cells = status < 0 ? NULL : fol_py_scratch_take(scratch, (size_t)rows * size);
    if (cells == NULL) {
        return -1;
    }
    for (Py_ssize_t i = 0; i < rows; i++) {
        char *cell = cells + (size_t)i * size;
        if (store_cell(storage, PyTuple_GET_ITEM(items, i), label, scratch, cell) < 0) {
            return -1;
        }
    }
    *out = (fol_source){cells, (ptrdiff_t)size};
    return 0;
}

/* A whole component. */

/* Every field from one packed value. */
static void sources_from_packed(const fol_component *component, const void *packed,
                                fol_source *sources)
{
    for (uint32_t i = 0; i < fol_component_field_count(component); i++) {
        uint32_t offset = fol_component_field(component, i)->offset;
        sources[i] = packed == NULL ? zeros : (fol_source){(const char *)packed + offset, 0};
    }
}

static int field_source(const fol_py_component *type, uint32_t index, PyObject *given,
                        Py_ssize_t rows, fol_py_scratch *scratch, fol_source *out)
{
    fol_storage storage = fol_component_storage(type->component);
    if (storage == FOL_STORAGE_PLAIN) {
        return plain_source(type, index, given, rows, scratch, out);
    }
    char room[FOL_PY_LABEL_SIZE];
    const char *label = fol_py_place_label(fol_py_field_place(type, index), room);
    return fol_py_parse_cells(type->state, storage, given, rows, label, scratch, out);
}

static int sources_from_mapping(const fol_py_component *type, PyObject *given, Py_ssize_t rows,
                                fol_py_scratch *scratch, fol_source *sources)
{
    PyObject *items = PyMapping_Items(given);
    if (items == NULL) {
        return -1;
    }
    int status = fol_py_scratch_hold(scratch, items);
    Py_DECREF(items);
    for (Py_ssize_t i = 0; status == 0 && i < PyList_GET_SIZE(items); i++) {
        PyObject *item = PyList_GET_ITEM(items, i);
        PyObject *name = PyTuple_GET_ITEM(item, 0);
        Py_ssize_t index = fol_py_field_index(type, name);
        if (index < 0) {
            return fol_py_raise_unknown_field(type, PyExc_ValueError, name);
        }
        status = field_source(type, (uint32_t)index, PyTuple_GET_ITEM(item, 1), rows, scratch,
                              &sources[index]);
    }
    return status;
}

static int fill_sources(const fol_py_component *type, PyObject *given, Py_ssize_t rows,
                        fol_py_scratch *scratch, fol_source *sources)
{
    fol_py_state *state = type->state;
    fol_value value;
    if (Py_IS_TYPE(given, (PyTypeObject *)type)) {
        if (fol_py_scratch_hold(scratch, given) < 0) {
            return -1;
        }
        sources_from_packed(type->component, ((fol_py_value *)given)->packed, sources);
        return 0;
    }
    if (fol_py_pack_value(state, (PyObject *)type, false, scratch, &value) < 0) {
        return -1;
    }
    sources_from_packed(type->component, value.value, sources);
    uint32_t field_count = fol_component_field_count(type->component);
    fol_storage storage = fol_component_storage(type->component);
    if (given == Py_None && storage != FOL_STORAGE_OBJECT) {
        return 0;
    }
    if (PyDict_Check(given) && storage != FOL_STORAGE_OBJECT) {
        return sources_from_mapping(type, given, rows, scratch, sources);
    }
    if (field_count == 1) {
        return field_source(type, 0, given, rows, scratch, &sources[0]);
    }
    const char *name = fol_component_name(type->component);
    if (field_count == 0) {
        PyErr_Format(PyExc_ValueError, "%s is a tag and takes None, got %.100s", name,
                     Py_TYPE(given)->tp_name);
    } else {
        PyErr_Format(PyExc_ValueError,
                     "%s has %u fields and takes a mapping of them, a value or None, got %.100s",
                     name, (unsigned)field_count, Py_TYPE(given)->tp_name);
    }
    return -1;
}

static int fill_bulk(fol_py_state *state, PyObject *key, PyObject *given, Py_ssize_t rows,
                     fol_py_scratch *scratch, fol_bulk *out)
{
    out->component = fol_py_entity_component(state, key);
    if (out->component == NULL) {
        return -1;
    }
    const fol_py_component *type = (fol_py_component *)key;
    size_t field_count = fol_component_field_count(out->component);
    fol_source *sources = fol_py_scratch_take(scratch, field_count * sizeof(*sources));
    if (sources == NULL || fill_sources(type, given, rows, scratch, sources) < 0) {
        return -1;
    }
    out->sources = sources;
    return 0;
}

int fol_py_parse_bulks(fol_py_state *state, PyObject *columns, Py_ssize_t rows,
                       fol_py_scratch *scratch, fol_bulk **out, size_t *count)
{
    if (!PyMapping_Check(columns) || PyList_Check(columns) || PyTuple_Check(columns)) {
        PyErr_Format(PyExc_TypeError,
                     "columns are a mapping such as {Position: {\"x\": xs}}, got %.100s",
                     Py_TYPE(columns)->tp_name);
        return -1;
    }
    PyObject *items = PyMapping_Items(columns);
    if (items == NULL) {
        return -1;
    }
    int status = fol_py_scratch_hold(scratch, items);
    Py_DECREF(items);
    Py_ssize_t found = PyList_GET_SIZE(items);
    fol_bulk *bulks =
        status < 0 ? NULL : fol_py_scratch_take(scratch, (size_t)found * sizeof(*bulks));
    if (bulks == NULL) {
        return -1;
    }
    for (Py_ssize_t i = 0; i < found; i++) {
        PyObject *item = PyList_GET_ITEM(items, i);
        if (fill_bulk(state, PyTuple_GET_ITEM(item, 0), PyTuple_GET_ITEM(item, 1), rows, scratch,
                      &bulks[i]) < 0) {
            return -1;
        }
    }
    *out = bulks;
    *count = (size_t)found;
    return 0;
}
