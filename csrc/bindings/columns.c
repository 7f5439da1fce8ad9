/* chunk[Position]: one numpy view for each field, made when first asked for. */
#include "bindings/chunk.h"

#include "bindings/field.h"
#include "bindings/memory_view.h"
#include "bindings/types.h"

#include <string.h>

typedef struct columns_object {
    PyObject_VAR_HEAD fol_py_query_core *core;
    fol_py_component *type;
    uint64_t stamp;
    fol_block *block;
    Py_ssize_t rows;
    bool is_writable;
    void *slots[]; /* a view for each field, then the column pointers */
} columns_object;

static uint32_t field_count_of(const columns_object *columns)
{
    return fol_component_field_count(columns->type->component);
}

static PyObject **views_of(columns_object *columns)
{
    return (PyObject **)columns->slots;
}

PyObject *fol_py_columns_new(const fol_py_column_origin *origin)
{
    PyTypeObject *type = origin->core->state->columns_type;
    uint32_t count = fol_component_field_count(origin->type->component);
    columns_object *columns = (columns_object *)type->tp_alloc(type, 2 * (Py_ssize_t)count);
    if (columns == NULL) {
        return NULL;
    }
    columns->core = (fol_py_query_core *)Py_NewRef((PyObject *)origin->core);
    columns->type = (fol_py_component *)Py_NewRef((PyObject *)origin->type);
    columns->stamp = origin->stamp;
    columns->rows = origin->rows;
    columns->is_writable = origin->is_writable;
    columns->block = origin->block;
    if (columns->block != NULL) {
        fol_block_retain(columns->block);
    }
    if (count > 0) {
        memcpy(columns->slots + count, origin->columns, count * sizeof(void *));
    }
    return (PyObject *)columns;
}

void fol_py_columns_restamp(PyObject *columns, uint64_t stamp)
{
    ((columns_object *)columns)->stamp = stamp;
}

PyObject *fol_py_column_view(const fol_py_column_origin *origin, uint32_t index)
{
    const fol_py_component *type = origin->type;
    const fol_field *field = fol_component_field(type->component, index);
    PyObject *shape = fol_py_field_shape(field, origin->rows);
    if (shape == NULL) {
        return NULL;
    }
    PyObject *view = fol_py_array_over(
        type->state, origin->columns[index], (size_t)origin->rows * field->size, shape,
        PyTuple_GET_ITEM(type->dtypes, index), origin->is_writable, origin->block, NULL);
    Py_DECREF(shape);
    return view;
}

/* Replaces numpy's words for values that do not fit by ours, which name the column. */
static int reword(const fol_py_component *type, uint32_t index, PyObject *view, PyObject *values)
{
    PyObject *error_type;
    PyObject *error;
    PyObject *traceback;
    PyErr_Fetch(&error_type, &error, &traceback);
    char room[FOL_PY_LABEL_SIZE];
    const char *label = fol_py_place_label(fol_py_field_place(type, index), room);
    const fol_field *field = fol_component_field(type->component, index);
    PyObject *shape = fol_py_field_shape(field, -1);
    Py_ssize_t rows = PyObject_Size(view);
    if (shape != NULL && rows >= 0) {
        PyObject *prepared =
            PyObject_CallFunction(type->state->column_prepare, "OOnOs", values,
                                  PyTuple_GET_ITEM(type->dtypes, index), rows, shape, label);
        Py_XDECREF(prepared);
    }
    Py_XDECREF(shape);
    if (PyErr_Occurred()) {
        Py_XDECREF(error_type);
        Py_XDECREF(error);
        Py_XDECREF(traceback);
    } else {
        PyErr_Restore(error_type, error, traceback);
    }
    return -1;
}

/* 1 when numpy stores the values as they are, 0 when foliot has to look at them first. */
static int is_stored_unharmed(const fol_py_component *type, uint32_t index, PyObject *values)
{
    if (PyFloat_CheckExact(values) || PyLong_CheckExact(values) || PyBool_Check(values)) {
        unsigned char item[16];
        return fol_py_item_write(fol_py_field_place(type, index), values, item) < 0 ? -1 : 1;
    }
    fol_py_state *state = type->state;
    if (!PyObject_TypeCheck(values, (PyTypeObject *)state->ndarray)) {
        return 0;
    }
    PyObject *dtype = PyObject_GetAttr(values, state->names[FOL_PY_NAME_dtype]);
    if (dtype == NULL) {
        return -1;
    }
    int is_same = PyObject_RichCompareBool(dtype, PyTuple_GET_ITEM(type->dtypes, index), Py_EQ);
    Py_DECREF(dtype);
    return is_same;
}

/* Values that numpy may cast: its own cast takes any kind and wraps what does not fit. */
static PyObject *harmless(const fol_py_component *type, uint32_t index, PyObject *values)
{
    int is_unharmed = is_stored_unharmed(type, index, values);
    if (is_unharmed != 0) {
        return is_unharmed < 0 ? NULL : Py_NewRef(values);
    }
    char room[FOL_PY_LABEL_SIZE];
    const char *label = fol_py_place_label(fol_py_field_place(type, index), room);
    return PyObject_CallFunction(type->state->column_prepare, "OOOOs", values,
                                 PyTuple_GET_ITEM(type->dtypes, index), Py_None, Py_None, label);
}

int fol_py_column_assign(const fol_py_component *type, uint32_t index, PyObject *view,
                         PyObject *values)
{
    /* `chunk[Mass] += 1` changed the view already and hands it back. */
    if (values == view) {
        return 0;
    }
    PyObject *stored = harmless(type, index, values);
    if (stored == NULL) {
        return -1;
    }
    int status = PyObject_SetItem(view, type->state->ellipsis_key, stored);
    if (status < 0 &&
        (PyErr_ExceptionMatches(PyExc_ValueError) || PyErr_ExceptionMatches(PyExc_TypeError))) {
        status = reword(type, index, view, stored);
    }
    Py_DECREF(stored);
    return status;
}

/* The view of a field. Borrowed. */
static PyObject *take_view(columns_object *columns, uint32_t index)
{
    PyObject **place = &views_of(columns)[index];
    if (*place == NULL) {
        fol_py_column_origin origin = {
            .core = columns->core,
            .type = columns->type,
            .block = columns->block,
            .rows = columns->rows,
            .columns = columns->slots + field_count_of(columns),
            .is_writable = columns->is_writable,
        };
        PyObject *made = fol_py_column_view(&origin, index);
        if (made == NULL) {
            return NULL;
        }
        Py_XSETREF(*place, made);
    }
    return *place;
}

/* The same under the lock of the core, which a world takes before it goes. New reference. */
static PyObject *view_if_live(columns_object *columns, uint32_t index, bool is_to_write)
{
    PyObject *view = NULL;
    FOL_PY_BEGIN_CRITICAL((PyObject *)columns->core);
    if (fol_py_core_check_live(columns->core, columns->stamp) == 0) {
        if (is_to_write && !columns->is_writable) {
            fol_py_raise_read_only(columns->core, columns->type);
        } else {
            view = Py_XNewRef(take_view(columns, index));
        }
    }
    FOL_PY_END_CRITICAL();
    return view;
}

static PyObject *columns_get(PyObject *self, PyObject *name)
{
    columns_object *columns = (columns_object *)self;
    Py_ssize_t index = fol_py_field_index(columns->type, name);
    if (index < 0) {
        PyObject *found = PyObject_GenericGetAttr(self, name);
        if (found == NULL && PyErr_ExceptionMatches(PyExc_AttributeError)) {
            PyErr_Clear();
            fol_py_raise_unknown_field(columns->type, PyExc_AttributeError, name);
        }
        return found;
    }
    return view_if_live(columns, (uint32_t)index, false);
}

static int columns_set(PyObject *self, PyObject *name, PyObject *values)
{
    columns_object *columns = (columns_object *)self;
    Py_ssize_t index = fol_py_field_index(columns->type, name);
    if (index < 0) {
        return fol_py_raise_unknown_field(columns->type, PyExc_AttributeError, name);
    }
    if (values == NULL) {
        PyErr_Format(PyExc_TypeError, "column %U cannot be deleted", name);
        return -1;
    }
    PyObject *view = view_if_live(columns, (uint32_t)index, true);
    if (view == NULL) {
        return -1;
    }
    int status = fol_py_column_assign(columns->type, (uint32_t)index, view, values);
    Py_DECREF(view);
    return status;
}

static PyObject *columns_dir(PyObject *self, PyObject *Py_UNUSED(unused))
{
    return PySequence_List(((columns_object *)self)->type->names);
}

static PyObject *columns_repr(PyObject *self)
{
    columns_object *columns = (columns_object *)self;
    return PyUnicode_FromFormat("<columns of %s: %zd rows%s>",
                                fol_component_name(columns->type->component), columns->rows,
                                columns->is_writable ? "" : ", read-only");
}

static int columns_traverse(PyObject *self, visitproc visit, void *arg)
{
    columns_object *columns = (columns_object *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(columns->core);
    if (columns->type != NULL) {
        for (uint32_t i = 0; i < field_count_of(columns); i++) {
            Py_VISIT(views_of(columns)[i]);
        }
    }
    Py_VISIT(columns->type);
    return 0;
}

static int columns_clear(PyObject *self)
{
    columns_object *columns = (columns_object *)self;
    for (uint32_t i = 0; columns->type != NULL && i < field_count_of(columns); i++) {
        Py_CLEAR(views_of(columns)[i]);
    }
    return 0;
}

static void columns_dealloc(PyObject *self)
{
    columns_object *columns = (columns_object *)self;
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    columns_clear(self);
    if (columns->block != NULL) {
        fol_block_release(columns->block);
    }
    Py_XDECREF(columns->core);
    Py_XDECREF(columns->type);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef columns_methods[] = {
    {"__dir__", columns_dir, METH_NOARGS, "Names of the fields."},
    {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(columns_doc,
             "The columns of one component of a chunk: an attribute for each field.\n\n"
             "Each is a numpy view of shape (rows, ...). Assigning copies values into the column; "
             "a number is repeated.");

static PyType_Slot columns_slots[] = {
    {Py_tp_doc, (void *)columns_doc},
    {Py_tp_dealloc, columns_dealloc},
    {Py_tp_traverse, columns_traverse},
    {Py_tp_clear, columns_clear},
    {Py_tp_repr, columns_repr},
    {Py_tp_getattro, columns_get},
    {Py_tp_setattro, columns_set},
    {Py_tp_methods, columns_methods},
    {0, NULL},
};

static PyType_Spec columns_spec = {
    .name = "foliot._core.Columns",
    .basicsize = sizeof(columns_object),
    .itemsize = sizeof(void *),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = columns_slots,
};

int fol_py_add_column_types(fol_py_state *state)
{
    return fol_py_add_type(state, &columns_spec, NULL, &state->columns_type);
}
