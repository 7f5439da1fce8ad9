/* Native kernels on the way to the core: the address, who keeps it alive, and the user data.
 *
 * Signatures are compared in Python (foliot._native); what arrives here is an address that was
 * checked.
 */
#include "bindings/scheduler.h"

/* Exports user data that is no pointer: writable when it can be. */
static int export_user_data(fol_py_kernel *self, PyObject *user_data)
{
    if (PyObject_GetBuffer(user_data, &self->buffer, PyBUF_CONTIG) < 0) {
        PyErr_Clear();
        if (PyObject_GetBuffer(user_data, &self->buffer, PyBUF_CONTIG_RO) < 0) {
            PyErr_Format(PyExc_TypeError,
                         "user_data is None, an address, a cffi or ctypes pointer, or an object "
                         "with a contiguous buffer, got %R",
                         user_data);
            return -1;
        }
    }
    self->has_buffer = true;
    self->user = self->buffer.buf;
    return 0;
}

static PyObject *kernel_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"address",   "takes_chunk",  "owner",
                               "user_data", "user_address", NULL};
    unsigned long long address;
    int takes_chunk;
    PyObject *owner, *user_data, *user_address;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "KpOOO:Kernel", keywords, &address, &takes_chunk,
                                     &owner, &user_data, &user_address)) {
        return NULL;
    }
    fol_py_kernel *self = (fol_py_kernel *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->address = (uintptr_t)address;
    self->takes_chunk = takes_chunk != 0;
    self->owner = Py_NewRef(owner);
    self->user_data = Py_NewRef(user_data);
    if (user_address != Py_None) {
        unsigned long long user = PyLong_AsUnsignedLongLong(user_address);
        if (user == (unsigned long long)-1 && PyErr_Occurred()) {
            Py_DECREF(self);
            return NULL;
        }
        self->user = (void *)(uintptr_t)user;
    } else if (export_user_data(self, user_data) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static int kernel_traverse(PyObject *object, visitproc visit, void *arg)
{
    fol_py_kernel *self = (fol_py_kernel *)object;
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->owner);
    Py_VISIT(self->user_data);
    return 0;
}

static void kernel_dealloc(PyObject *object)
{
    /* No clear: whoever may still call the kernel holds this object, and with it the code. */
    fol_py_kernel *self = (fol_py_kernel *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    if (self->has_buffer) {
        PyBuffer_Release(&self->buffer);
    }
    Py_CLEAR(self->owner);
    Py_CLEAR(self->user_data);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyObject *kernel_address(PyObject *object, void *closure)
{
    (void)closure;
    return PyLong_FromUnsignedLongLong(((fol_py_kernel *)object)->address);
}

static PyObject *kernel_user_address(PyObject *object, void *closure)
{
    (void)closure;
    return PyLong_FromVoidPtr(((fol_py_kernel *)object)->user);
}

static PyObject *kernel_takes_chunk(PyObject *object, void *closure)
{
    (void)closure;
    return PyBool_FromLong(((fol_py_kernel *)object)->takes_chunk);
}

static PyGetSetDef kernel_getset[] = {
    {"address", kernel_address, NULL, "Where the function is.", NULL},
    {"takes_chunk", kernel_takes_chunk, NULL, "Whether it takes a fol_chunk.", NULL},
    {"user_address", kernel_user_address, NULL, "Its user pointer.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot kernel_slots[] = {
    {Py_tp_doc, "A native kernel with its user data; keeps both alive."},
    {Py_tp_new, kernel_new},
    {Py_tp_dealloc, kernel_dealloc},
    {Py_tp_traverse, kernel_traverse},
    {Py_tp_getset, kernel_getset},
    {0, NULL},
};

PyType_Spec fol_py_kernel_spec = {
    .name = "foliot._core.Kernel",
    .basicsize = sizeof(fol_py_kernel),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = kernel_slots,
};

PyObject *fol_py_capsule_contents(PyObject *module, PyObject *capsule)
{
    (void)module;
    if (!PyCapsule_CheckExact(capsule)) {
        PyErr_Format(PyExc_TypeError, "a PyCapsule is wanted, got %R", capsule);
        return NULL;
    }
    const char *name = PyCapsule_GetName(capsule);
    void *address = PyCapsule_GetPointer(capsule, name);
    if (address == NULL) {
        return NULL;
    }
    return Py_BuildValue("(Ks)", (unsigned long long)(uintptr_t)address, name == NULL ? "" : name);
}

PyObject *fol_py_component_facts(PyObject *module, PyObject *key)
{
    static const char *const storages[] = {"plain", "bytes", "object"};
    fol_py_state *state = fol_py_state_of_module(module);
    fol_component *component = fol_py_component_of(state, key);
    if (component == NULL) {
        return NULL;
    }
    return Py_BuildValue("(sNs)", fol_component_name(component),
                         PyBool_FromLong(fol_component_is_resource(component)),
                         storages[fol_component_storage(component)]);
}
