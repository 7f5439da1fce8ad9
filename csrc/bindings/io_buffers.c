/* Where the bytes of an operation come from or go to: buffers of others, or the world. */
#include "bindings/io.h"

#include <limits.h>

void fol_py_io_release_buffers(fol_py_io_buffers *buffers)
{
    for (Py_ssize_t i = 0; i < buffers->count; i++) {
        PyBuffer_Release(&buffers->views[i]);
    }
    PyMem_Free(buffers);
}

static int export_one(fol_py_io_call *call, const char *argument, PyObject *given, bool is_written)
{
    fol_py_io_buffers *buffers = call->operation->buffers;
    Py_buffer *view = &buffers->views[buffers->count];
    if (PyObject_GetBuffer(given, view, is_written ? PyBUF_CONTIG : PyBUF_CONTIG_RO) < 0) {
        if (PyErr_ExceptionMatches(PyExc_BufferError) || PyErr_ExceptionMatches(PyExc_TypeError) ||
            PyErr_ExceptionMatches(PyExc_ValueError)) {
            PyErr_Format(PyExc_TypeError,
                         "io.%s: %s is %s contiguous buffer or a list of them, got %R",
                         call->method, argument, is_written ? "a writable" : "a", given);
        }
        return -1;
    }
    static char nothing[1];
    buffers->vectors[buffers->count] = (struct iovec){
        .iov_base = view->buf == NULL ? nothing : view->buf, .iov_len = (size_t)view->len};
    buffers->count++;
    buffers->size += (size_t)view->len;
    return 0;
}

/* A list or tuple, looked at once: exporting may run Python code that changes it. */
static int export_all(fol_py_io_call *call, const char *argument, PyObject *items, bool is_written)
{
    Py_ssize_t count = PyTuple_GET_SIZE(items);
    size_t views = (size_t)count * sizeof(Py_buffer);
    fol_py_io_buffers *buffers =
        PyMem_Malloc(sizeof(*buffers) + views + (size_t)count * sizeof(struct iovec));
    if (buffers == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    *buffers = (fol_py_io_buffers){.vectors = (struct iovec *)(void *)(buffers->views + count)};
    call->operation->buffers = buffers;
    for (Py_ssize_t i = 0; i < count; i++) {
        if (export_one(call, argument, PyTuple_GET_ITEM(items, i), is_written) < 0) {
            return -1;
        }
    }
    return 0;
}

/* Bytes stay as they are, so to hold them is enough. */
static void take_bytes(fol_py_io_call *call, PyObject *bytes)
{
    call->operation->held[1] = Py_NewRef(bytes);
    call->intent.request.buffer = PyBytes_AS_STRING(bytes);
    call->intent.request.size = (size_t)PyBytes_GET_SIZE(bytes);
}

int fol_py_io_read_buffers(fol_py_io_call *call, const char *argument, PyObject *given,
                           bool is_written)
{
    if (PyBytes_CheckExact(given) && !is_written) {
        take_bytes(call, given);
        return 0;
    }
    bool is_list = PyList_Check(given) || PyTuple_Check(given);
    PyObject *items = is_list ? PySequence_Tuple(given) : PyTuple_Pack(1, given);
    if (items == NULL) {
        return -1;
    }
    Py_ssize_t count = PyTuple_GET_SIZE(items);
    if (count == 0 || count > IOV_MAX) {
        Py_DECREF(items);
        PyErr_Format(PyExc_ValueError, "io.%s: %s is a list of 1 to %d buffers, got %zd",
                     call->method, argument, IOV_MAX, count);
        return -1;
    }
    int failed = export_all(call, argument, items, is_written);
    Py_DECREF(items);
    if (failed < 0) {
        return -1;
    }
    fol_py_operation_track(call->operation);
    fol_py_io_buffers *buffers = call->operation->buffers;
    fol_io_request *request = &call->intent.request;
    if (count == 1) {
        request->buffer = buffers->vectors[0].iov_base;
        request->size = buffers->vectors[0].iov_len;
    } else {
        request->flags |= FOL_IO_VECTORS;
        request->buffer = buffers->vectors;
        request->size = (size_t)count;
    }
    return 0;
}

static bool writes(const fol_py_context *context, const fol_component *component)
{
    for (size_t query = 0; query < context->query_count; query++) {
        const fol_py_bound_query *bound = &context->queries[query];
        for (size_t i = 0; i < bound->count; i++) {
            if (bound->terms[i].component == component && bound->terms[i].kind == FOL_TERM_WRITE) {
                return true;
            }
        }
    }
    return false;
}

fol_component *fol_py_io_read_component(fol_py_io_call *call, PyObject *given, bool is_resource)
{
    if (!PyType_Check(given) || !fol_py_is_component(call->state, given)) {
        PyErr_Format(PyExc_TypeError,
                     "io.%s: to is (entity, Component) or a resource, declared as fo.Bytes; got %R",
                     call->method, given);
        return NULL;
    }
    fol_component *component = fol_py_component_of(call->state, given);
    if (component == NULL) {
        return NULL;
    }
    if (fol_component_storage(component) != FOL_STORAGE_BYTES ||
        fol_component_is_resource(component) != is_resource) {
        PyErr_Format(PyExc_TypeError, "io.%s: to needs a %s of fo.Bytes, which %s is not",
                     call->method, is_resource ? "resource" : "component",
                     fol_component_name(component));
        return NULL;
    }
    if (!writes(call->context, component)) {
        fol_py_raise(call->state, FOL_E_ACCESS,
                     "system `%U` does not write %s: add it to its writes to have bytes delivered "
                     "into it",
                     call->context->name, fol_component_name(component));
        return NULL;
    }
    return component;
}

int fol_py_io_read_destination(fol_py_io_call *call, PyObject *given)
{
    bool is_pair = PyTuple_Check(given) && PyTuple_GET_SIZE(given) == 2;
    PyObject *key = is_pair ? PyTuple_GET_ITEM(given, 1) : given;
    fol_entity entity = 0;
    if (is_pair && fol_py_parse_entity(call->state, PyTuple_GET_ITEM(given, 0), &entity) < 0) {
        return -1;
    }
    call->intent.component = fol_py_io_read_component(call, key, !is_pair);
    call->intent.entity = entity;
    return call->intent.component == NULL ? -1 : 0;
}
