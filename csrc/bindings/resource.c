/* ctx[Gravity]: one resource in place. Attributes read and write the world's own memory.
 *
 * The core gives a resource one address until it is taken out, which Python never does; so the view
 * keeps the world and the address, and its stamp says whether the system is still running.
 */
#include "bindings/bindings.h"

#include "bindings/chunk.h"
#include "bindings/field.h"
#include "bindings/memory_view.h"
#include "bindings/types.h"
#include "bindings/value.h"

#include <string.h>

typedef struct resource_object {
    PyObject_HEAD PyObject *world;
    fol_py_query_core *core;
    fol_py_component *type;
    uint64_t stamp;
    char *memory;
    bool is_writable;
} resource_object;

static int raise_missing(fol_py_state *state, const fol_component *component)
{
    return fol_py_raise(state, FOL_E_MISSING, "%s was never inserted into the world",
                        fol_component_name(component));
}

/* An object resource is the object; declared written, taking it counts as a change. */
static PyObject *object_resource(fol_world *world, const fol_component *component, void *memory,
                                 bool is_writable)
{
    PyObject *object = *(PyObject **)memory;
    if (is_writable) {
        fol_world_mark_resource(world, component);
    }
    return Py_NewRef(object == NULL ? Py_None : object);
}

PyObject *fol_py_resource_view(fol_py_state *state, PyObject *world, PyObject *component_class,
                               bool is_writable, PyObject *query_view)
{
    fol_component *component = fol_py_component_of(state, component_class);
    if (component == NULL) {
        return NULL;
    }
    if (!fol_component_is_resource(component)) {
        PyErr_Format(PyExc_TypeError, "%s is a component, not a resource: take it from a chunk",
                     fol_component_name(component));
        return NULL;
    }
    void *memory = fol_world_resource(fol_py_world(world), component);
    if (memory == NULL) {
        raise_missing(state, component);
        return NULL;
    }
    if (fol_component_storage(component) == FOL_STORAGE_OBJECT) {
        return object_resource(fol_py_world(world), component, memory, is_writable);
    }
    PyTypeObject *type = state->resource_view_type;
    resource_object *view = (resource_object *)type->tp_alloc(type, 0);
    if (view == NULL) {
        return NULL;
    }
    view->world = Py_NewRef(world);
    view->core = (fol_py_query_core *)Py_NewRef((PyObject *)fol_py_query_core_of(query_view));
    view->type = (fol_py_component *)Py_NewRef(component_class);
    view->stamp = fol_py_core_own_stamp(view->core);
    view->memory = memory;
    view->is_writable = is_writable;
    return (PyObject *)view;
}

static bool is_live(const resource_object *view)
{
    return fol_py_core_own_stamp(view->core) == view->stamp;
}

static int check_live(const resource_object *view)
{
    return is_live(view) ? 0 : fol_py_core_raise_returned(view->core);
}

static void mark(const resource_object *view)
{
    fol_world_mark_resource(fol_py_world(view->world), view->type->component);
}

/* Shaped fields come as numpy views, so that their items can be assigned. */
static PyObject *read_shaped(resource_object *view, uint32_t index, const fol_field *field)
{
    PyObject *shape = fol_py_field_shape(field, -1);
    if (shape == NULL) {
        return NULL;
    }
    if (view->is_writable) {
        mark(view);
    }
    PyObject *array = fol_py_array_over(
        view->type->state, view->memory + field->offset, field->size, shape,
        PyTuple_GET_ITEM(view->type->dtypes, index), view->is_writable, NULL, view->world);
    Py_DECREF(shape);
    return array;
}

static PyObject *read_field(PyObject *self, PyObject *name)
{
    resource_object *view = (resource_object *)self;
    Py_ssize_t index = fol_py_field_index(view->type, name);
    if (index < 0) {
        PyObject *found = PyObject_GenericGetAttr(self, name);
        if (found == NULL && PyErr_ExceptionMatches(PyExc_AttributeError)) {
            PyErr_Clear();
            fol_py_raise_unknown_field(view->type, PyExc_AttributeError, name);
        }
        return found;
    }
    if (check_live(view) < 0) {
        return NULL;
    }
    const fol_field *field = fol_component_field(view->type->component, (uint32_t)index);
    if (fol_component_storage(view->type->component) == FOL_STORAGE_BYTES) {
        return fol_py_bytes_view(view->type->state, (const fol_bytes *)view->memory);
    }
    if (field->ndim > 0) {
        return read_shaped(view, (uint32_t)index, field);
    }
    return fol_py_element_read(view->type, (uint32_t)index, view->memory + field->offset);
}

static int write_bytes(resource_object *view, PyObject *value)
{
    Py_buffer buffer;
    if (PyObject_GetBuffer(value, &buffer, PyBUF_SIMPLE) < 0) {
        return -1;
    }
    int status = check_live(view);
    if (status == 0) {
        status = fol_bytes_assign((fol_bytes *)view->memory, buffer.buf, (size_t)buffer.len);
        status = status < 0 ? fol_py_raise(view->type->state, status, NULL) : 0;
    }
    PyBuffer_Release(&buffer);
    return status;
}

static int write_plain(resource_object *view, uint32_t index, PyObject *value)
{
    const fol_field *field = fol_component_field(view->type->component, index);
    fol_py_scratch scratch;
    fol_py_scratch_init(&scratch);
    void *element = fol_py_scratch_take(&scratch, field->size);
    int status = element == NULL ? -1 : fol_py_element_write(view->type, index, value, element);
    status = status < 0 ? -1 : check_live(view);
    if (status == 0) {
        memcpy(view->memory + field->offset, element, field->size);
    }
    fol_py_scratch_release(&scratch);
    return status;
}

static int write_field(PyObject *self, PyObject *name, PyObject *value)
{
    resource_object *view = (resource_object *)self;
    Py_ssize_t index = fol_py_field_index(view->type, name);
    if (index < 0) {
        return fol_py_raise_unknown_field(view->type, PyExc_AttributeError, name);
    }
    if (value == NULL) {
        PyErr_Format(PyExc_TypeError, "field %U cannot be deleted", name);
        return -1;
    }
    if (check_live(view) < 0) {
        return -1;
    }
    if (!view->is_writable) {
        return fol_py_raise_read_only(view->core, view->type);
    }
    /* Converting may run any code, and meanwhile the system may return: the value is made first,
     * then stored in one go. */
    bool is_bytes = fol_component_storage(view->type->component) == FOL_STORAGE_BYTES;
    int status = is_bytes ? write_bytes(view, value) : write_plain(view, (uint32_t)index, value);
    if (status == 0) {
        mark(view);
    }
    return status;
}

/* Attributes, and the whole below, are read and written under the core's lock, so that threads of
 * one system see whole values. */
static PyObject *resource_get(PyObject *self, PyObject *name)
{
    PyObject *found;
    FOL_PY_BEGIN_CRITICAL((PyObject *)((resource_object *)self)->core);
    found = read_field(self, name);
    FOL_PY_END_CRITICAL();
    return found;
}

static int resource_set(PyObject *self, PyObject *name, PyObject *value)
{
    int status;
    FOL_PY_BEGIN_CRITICAL((PyObject *)((resource_object *)self)->core);
    status = write_field(self, name, value);
    FOL_PY_END_CRITICAL();
    return status;
}

/* The resource as a value, for comparing and printing. */
static PyObject *as_value(resource_object *view)
{
    PyObject *value = NULL;
    FOL_PY_BEGIN_CRITICAL((PyObject *)view->core);
    if (check_live(view) == 0) {
        value = fol_py_value_new(view->type->state, (PyObject *)view->type, view->memory);
    }
    FOL_PY_END_CRITICAL();
    return value;
}

static PyObject *resource_compare(PyObject *self, PyObject *other, int operation)
{
    resource_object *view = (resource_object *)self;
    PyObject *left = as_value(view);
    PyObject *right = NULL;
    if (left != NULL) {
        right = Py_IS_TYPE(other, Py_TYPE(self)) ? as_value((resource_object *)other)
                                                 : Py_NewRef(other);
    }
    PyObject *answer =
        left == NULL || right == NULL ? NULL : PyObject_RichCompare(left, right, operation);
    Py_XDECREF(left);
    Py_XDECREF(right);
    return answer;
}

static PyObject *resource_repr(PyObject *self)
{
    resource_object *view = (resource_object *)self;
    if (!is_live(view)) {
        return PyUnicode_FromFormat("<%s of a system that returned>",
                                    fol_component_name(view->type->component));
    }
    PyObject *value = as_value(view);
    PyObject *text = value == NULL ? NULL : PyObject_Repr(value);
    Py_XDECREF(value);
    return text;
}

static PyObject *resource_dir(PyObject *self, PyObject *Py_UNUSED(unused))
{
    return PySequence_List(((resource_object *)self)->type->names);
}

static int resource_traverse(PyObject *self, visitproc visit, void *arg)
{
    resource_object *view = (resource_object *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(view->world);
    Py_VISIT(view->core);
    Py_VISIT(view->type);
    return 0;
}

static void resource_dealloc(PyObject *self)
{
    resource_object *view = (resource_object *)self;
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_XDECREF(view->world);
    Py_XDECREF(view->core);
    Py_XDECREF(view->type);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef resource_methods[] = {
    {"__dir__", resource_dir, METH_NOARGS, "Names of the fields."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot resource_slots[] = {
    {Py_tp_doc, "A resource in place: attributes are its fields, written only if declared."},
    {Py_tp_dealloc, resource_dealloc},
    {Py_tp_traverse, resource_traverse},
    {Py_tp_repr, resource_repr},
    {Py_tp_richcompare, resource_compare},
    {Py_tp_hash, PyObject_HashNotImplemented},
    {Py_tp_getattro, resource_get},
    {Py_tp_setattro, resource_set},
    {Py_tp_methods, resource_methods},
    {0, NULL},
};

static PyType_Spec resource_spec = {
    .name = "foliot._core.ResourceView",
    .basicsize = sizeof(resource_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = resource_slots,
};

int fol_py_add_resource_type(fol_py_state *state)
{
    return fol_py_add_type(state, &resource_spec, NULL, &state->resource_view_type);
}
