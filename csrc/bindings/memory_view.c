/* Exporters of column memory and of Bytes values through the buffer protocol. */
#include "bindings/memory_view.h"

#include "bindings/types.h"

typedef struct memory_object {
    PyObject_HEAD void *memory;
    Py_ssize_t size;
    bool is_writable;
    fol_block *block;
    PyObject *owner;
} memory_object;

typedef struct bytes_object {
    PyObject_HEAD fol_bytes value;
} bytes_object;

PyObject *fol_py_array_over(fol_py_state *state, void *memory, size_t size, PyObject *shape,
                            PyObject *dtype, bool is_writable, fol_block *block, PyObject *owner)
{
    PyTypeObject *type = state->memory_type;
    memory_object *exporter = (memory_object *)type->tp_alloc(type, 0);
    if (exporter == NULL) {
        return NULL;
    }
    exporter->memory = memory;
    exporter->size = (Py_ssize_t)size;
    exporter->is_writable = is_writable;
    exporter->owner = Py_XNewRef(owner);
    exporter->block = block;
    if (block != NULL) {
        fol_block_retain(block);
    }
    PyObject *array =
        PyObject_CallFunctionObjArgs(state->ndarray, shape, dtype, (PyObject *)exporter, NULL);
    Py_DECREF(exporter);
    return array;
}

static int memory_get_buffer(PyObject *self, Py_buffer *view, int flags)
{
    memory_object *exporter = (memory_object *)self;
    return PyBuffer_FillInfo(view, self, exporter->memory, exporter->size, !exporter->is_writable,
                             flags);
}

static void memory_dealloc(PyObject *self)
{
    memory_object *exporter = (memory_object *)self;
    PyTypeObject *type = Py_TYPE(self);
    if (exporter->block != NULL) {
        fol_block_release(exporter->block);
    }
    Py_XDECREF(exporter->owner);
    type->tp_free(self);
    Py_DECREF(type);
}

PyObject *fol_py_bytes_view(fol_py_state *state, const fol_bytes *value)
{
    PyTypeObject *type = state->bytes_type;
    bytes_object *exporter = (bytes_object *)type->tp_alloc(type, 0);
    if (exporter == NULL) {
        return NULL;
    }
    exporter->value = *value;
    fol_bytes_retain(&exporter->value);
    PyObject *view = PyMemoryView_FromObject((PyObject *)exporter);
    Py_DECREF(exporter);
    return view;
}

static int bytes_get_buffer(PyObject *self, Py_buffer *view, int flags)
{
    static const uint8_t nothing[1];
    const fol_bytes *value = &((bytes_object *)self)->value;
    const uint8_t *data = value->data == NULL ? nothing : value->data;
    return PyBuffer_FillInfo(view, self, (void *)(uintptr_t)data, (Py_ssize_t)value->size, 1,
                             flags);
}

static void bytes_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    fol_bytes_release(&((bytes_object *)self)->value);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyType_Slot memory_slots[] = {
    {Py_tp_doc, "Memory of columns or of a resource, lent to numpy."},
    {Py_tp_dealloc, memory_dealloc},
    {Py_bf_getbuffer, memory_get_buffer},
    {0, NULL},
};

static PyType_Spec memory_spec = {
    .name = "foliot._core._Memory",
    .basicsize = sizeof(memory_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = memory_slots,
};

static PyType_Slot bytes_slots[] = {
    {Py_tp_doc, "A value of a Bytes field, lent to memoryview."},
    {Py_tp_dealloc, bytes_dealloc},
    {Py_bf_getbuffer, bytes_get_buffer},
    {0, NULL},
};

static PyType_Spec bytes_spec = {
    .name = "foliot._core._BytesValue",
    .basicsize = sizeof(bytes_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = bytes_slots,
};

int fol_py_add_memory_types(fol_py_state *state)
{
    if (fol_py_add_type(state, &memory_spec, NULL, &state->memory_type) < 0) {
        return -1;
    }
    return fol_py_add_type(state, &bytes_spec, NULL, &state->bytes_type);
}
