/* chunk[Text] and chunk[Note]: columns whose cells own something, as sequences.
 *
 * Cells live in the table's memory and belong to the table, so they are touched only while the
 * chunk's stamp is live: then nothing has moved since.
 */
#include "bindings/chunk.h"

#include "bindings/memory_view.h"
#include "bindings/pack.h"
#include "bindings/types.h"

#include <string.h>

typedef struct cells_object {
    PyObject_HEAD fol_py_query_core *core;
    fol_py_component *type;
    uint64_t stamp;
    Py_ssize_t rows;
    char *cells;
    bool is_writable;
} cells_object;

static fol_storage storage_of(const cells_object *cells)
{
    return fol_component_storage(cells->type->component);
}

PyObject *fol_py_cells_new(const fol_py_column_origin *origin)
{
    PyTypeObject *type = origin->core->state->cells_type;
    cells_object *cells = (cells_object *)type->tp_alloc(type, 0);
    if (cells == NULL) {
        return NULL;
    }
    cells->core = (fol_py_query_core *)Py_NewRef((PyObject *)origin->core);
    cells->type = (fol_py_component *)Py_NewRef((PyObject *)origin->type);
    cells->stamp = origin->stamp;
    cells->rows = origin->rows;
    cells->cells = origin->columns[0];
    cells->is_writable = origin->is_writable;
    return (PyObject *)cells;
}

void fol_py_cells_restamp(PyObject *cells, uint64_t stamp)
{
    ((cells_object *)cells)->stamp = stamp;
}

/* The address of a cell, or NULL with an error. */
static void *cell_at(cells_object *cells, Py_ssize_t row)
{
    if (fol_py_core_check_live(cells->core, cells->stamp) < 0) {
        return NULL;
    }
    if (row < 0 || row >= cells->rows) {
        PyErr_Format(PyExc_IndexError, "row %zd is outside of a chunk of %zd rows", row,
                     cells->rows);
        return NULL;
    }
    size_t size = storage_of(cells) == FOL_STORAGE_BYTES ? sizeof(fol_bytes) : sizeof(PyObject *);
    return cells->cells + (size_t)row * size;
}

/* From here on nobody moves the cells; -1 when they are no longer there, or somebody is about to.
 */
static int enter(const cells_object *cells)
{
    if (fol_py_core_check_live(cells->core, cells->stamp) < 0) {
        return -1;
    }
    return fol_py_core_enter(cells->core);
}

static PyObject *read_cell(cells_object *cells, Py_ssize_t row)
{
    void *cell = cell_at(cells, row);
    if (cell == NULL) {
        return NULL;
    }
    if (storage_of(cells) == FOL_STORAGE_BYTES) {
        return fol_py_bytes_view(cells->core->state, cell);
    }
    PyObject *object = *(PyObject **)cell;
    return Py_NewRef(object == NULL ? Py_None : object);
}

static PyObject *cells_item(PyObject *self, Py_ssize_t row)
{
    cells_object *cells = (cells_object *)self;
    PyObject *item = NULL;
    FOL_PY_BEGIN_CRITICAL((PyObject *)cells->core);
    if (enter(cells) == 0) {
        item = read_cell(cells, row);
        fol_py_core_leave(cells->core);
    }
    FOL_PY_END_CRITICAL();
    return item;
}

/* Stores what a source gave for one row. *before is the object it stood for, or NULL: dropping it
 * may run any code, so that comes after the last row. */
static int store_cell(cells_object *cells, Py_ssize_t row, const fol_source *source,
                      Py_ssize_t place, PyObject **before)
{
    *before = NULL;
    void *cell = cell_at(cells, row);
    if (cell == NULL) {
        return -1;
    }
    const char *given = (const char *)source->data + place * source->stride;
    if (storage_of(cells) == FOL_STORAGE_BYTES) {
        fol_bytes bytes;
        memcpy(&bytes, given, sizeof(bytes));
        int status = fol_bytes_assign(cell, bytes.data, bytes.size);
        return status < 0 ? fol_py_raise(cells->core->state, status, NULL) : 0;
    }
    PyObject *object;
    memcpy(&object, given, sizeof(object));
    *before = *(PyObject **)cell;
    *(PyObject **)cell = Py_NewRef(object);
    return 0;
}

/* Under the core's lock, which a world takes before it goes. */
static int check_writable(const cells_object *cells, PyObject *value)
{
    if (value == NULL) {
        PyErr_Format(PyExc_TypeError, "cells of %s cannot be deleted",
                     fol_component_name(cells->type->component));
        return -1;
    }
    if (fol_py_core_check_live(cells->core, cells->stamp) < 0) {
        return -1;
    }
    return cells->is_writable ? 0 : fol_py_raise_read_only(cells->core, cells->type);
}

static int cells_set_item(PyObject *self, Py_ssize_t row, PyObject *value)
{
    cells_object *cells = (cells_object *)self;
    int status;
    FOL_PY_BEGIN_CRITICAL((PyObject *)cells->core);
    status = check_writable(cells, value);
    FOL_PY_END_CRITICAL();
    if (status < 0) {
        return -1;
    }
    fol_py_scratch scratch;
    fol_py_scratch_init(&scratch);
    fol_source source;
    if (storage_of(cells) == FOL_STORAGE_OBJECT) {
        source = (fol_source){&value, 0};
    } else {
        const char *name = fol_component_name(cells->type->component);
        status = fol_py_parse_cells(cells->core->state, FOL_STORAGE_BYTES, value, 1, name, &scratch,
                                    &source);
    }
    if (status == 0) {
        PyObject *before = NULL;
        FOL_PY_BEGIN_CRITICAL((PyObject *)cells->core);
        status = enter(cells);
        if (status == 0) {
            status = store_cell(cells, row, &source, 0, &before);
            fol_py_core_leave(cells->core);
        }
        FOL_PY_END_CRITICAL();
        Py_XDECREF(before);
    }
    fol_py_scratch_release(&scratch);
    return status;
}

int fol_py_cells_assign(PyObject *self, PyObject *values)
{
    cells_object *cells = (cells_object *)self;
    if (values == self) {
        return 0;
    }
    if (check_writable(cells, values) < 0) {
        return -1;
    }
    fol_py_scratch scratch;
    fol_py_scratch_init(&scratch);
    fol_source source;
    const char *name = fol_component_name(cells->type->component);
    int status = fol_py_parse_cells(cells->core->state, storage_of(cells), values, cells->rows,
                                    name, &scratch, &source);
    size_t room = (size_t)cells->rows * sizeof(PyObject *);
    PyObject **before = status < 0 ? NULL : fol_py_scratch_take(&scratch, room);
    status = before == NULL ? -1 : enter(cells);
    bool is_inside = status == 0;
    Py_ssize_t stored = 0;
    while (status == 0 && stored < cells->rows) {
        status = store_cell(cells, stored, &source, stored, &before[stored]);
        stored += status == 0;
    }
    if (is_inside) {
        fol_py_core_leave(cells->core);
    }
    for (Py_ssize_t row = 0; row < stored; row++) {
        Py_XDECREF(before[row]);
    }
    fol_py_scratch_release(&scratch);
    return status;
}

static Py_ssize_t cells_length(PyObject *self)
{
    return ((cells_object *)self)->rows;
}

static PyObject *cells_slice(PyObject *self, PyObject *slice)
{
    Py_ssize_t start;
    Py_ssize_t stop;
    Py_ssize_t step;
    if (PySlice_Unpack(slice, &start, &stop, &step) < 0) {
        return NULL;
    }
    Py_ssize_t count = PySlice_AdjustIndices(cells_length(self), &start, &stop, step);
    PyObject *list = PyList_New(count);
    for (Py_ssize_t i = 0; list != NULL && i < count; i++) {
        PyObject *item = cells_item(self, start + i * step);
        if (item == NULL) {
            Py_CLEAR(list);
        } else {
            PyList_SET_ITEM(list, i, item);
        }
    }
    return list;
}

static int row_of(PyObject *self, PyObject *key, Py_ssize_t *out)
{
    if (!PyIndex_Check(key)) {
        PyErr_Format(PyExc_TypeError, "rows are integers or slices, got %.100s",
                     Py_TYPE(key)->tp_name);
        return -1;
    }
    Py_ssize_t row = PyNumber_AsSsize_t(key, PyExc_IndexError);
    if (row == -1 && PyErr_Occurred()) {
        return -1;
    }
    *out = row < 0 ? row + cells_length(self) : row;
    return 0;
}

static PyObject *cells_subscript(PyObject *self, PyObject *key)
{
    if (PySlice_Check(key)) {
        return cells_slice(self, key);
    }
    Py_ssize_t row;
    return row_of(self, key, &row) < 0 ? NULL : cells_item(self, row);
}

static int cells_assign_row(PyObject *self, PyObject *key, PyObject *value)
{
    Py_ssize_t row;
    return row_of(self, key, &row) < 0 ? -1 : cells_set_item(self, row, value);
}

static PyObject *cells_repr(PyObject *self)
{
    cells_object *cells = (cells_object *)self;
    return PyUnicode_FromFormat("<cells of %s: %zd rows%s>",
                                fol_component_name(cells->type->component), cells->rows,
                                cells->is_writable ? "" : ", read-only");
}

int fol_py_raise_read_only(const fol_py_query_core *core, const fol_py_component *type)
{
    return fol_py_raise(core->state, FOL_E_ACCESS,
                        "%U only reads %s: declare it in writes to change it", core->owner_name,
                        fol_component_name(type->component));
}

static int cells_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((cells_object *)self)->core);
    Py_VISIT(((cells_object *)self)->type);
    return 0;
}

static void cells_dealloc(PyObject *self)
{
    cells_object *cells = (cells_object *)self;
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_XDECREF(cells->core);
    Py_XDECREF(cells->type);
    type->tp_free(self);
    Py_DECREF(type);
}

PyDoc_STRVAR(cells_doc,
             "A column of bytes or of Python objects: a sequence of ``rows`` cells.\n\n"
             "Bytes come as read-only memoryviews that stay valid whatever becomes of the cell. A "
             "slice gives a list.");

static PyType_Slot cells_slots[] = {
    {Py_tp_doc, (void *)cells_doc},
    {Py_tp_dealloc, cells_dealloc},
    {Py_tp_traverse, cells_traverse},
    {Py_tp_repr, cells_repr},
    {Py_sq_item, cells_item},
    {Py_sq_length, cells_length},
    {Py_mp_length, cells_length},
    {Py_mp_subscript, cells_subscript},
    {Py_mp_ass_subscript, cells_assign_row},
    {0, NULL},
};

static PyType_Spec cells_spec = {
    .name = "foliot._core.Cells",
    .basicsize = sizeof(cells_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION |
             Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_SEQUENCE,
    .slots = cells_slots,
};

int fol_py_add_cells_type(fol_py_state *state)
{
    return fol_py_add_type(state, &cells_spec, NULL, &state->cells_type);
}
