/* Where failures of operations wait for the end of a frame. */
#include "bindings/io.h"

PyObject *fol_py_io_home_new(fol_py_state *state, uint32_t max_io)
{
    PyTypeObject *type = state->scheduler.io_home_type;
    fol_py_io_home *self = (fol_py_io_home *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->state = state;
        self->max_io = max_io;
    }
    return (PyObject *)self;
}

/* Appends (name, error); -1 with an error. */
static int append(PyObject **list, PyObject *name, PyObject *error)
{
    if (*list == NULL && (*list = PyList_New(0)) == NULL) {
        return -1;
    }
    PyObject *record = PyTuple_Pack(2, name, error);
    int status = record == NULL ? -1 : PyList_Append(*list, record);
    Py_XDECREF(record);
    return status;
}

void fol_py_io_home_keep(fol_py_io_home *self, PyObject *name, PyObject *error, bool is_unseen)
{
    if (self->is_closed) {
        PyErr_SetObject((PyObject *)Py_TYPE(error), error);
        PyErr_WriteUnraisable(name);
        return;
    }
    PyObject **list = is_unseen ? &self->unseen : &self->failed;
    int status = 0;
    /* Operations die on any thread. */
    FOL_PY_BEGIN_CRITICAL((PyObject *)self);
    /* What is beyond is counted by the scheduler and told by nobody. */
    if (*list == NULL || PyList_GET_SIZE(*list) < FOL_PY_MAX_ERRORS) {
        status = append(list, name, error);
    }
    FOL_PY_END_CRITICAL();
    if (status < 0) {
        PyErr_WriteUnraisable(name);
    }
}

PyObject *fol_py_io_home_take_unseen(fol_py_io_home *self)
{
    PyObject *records;
    FOL_PY_BEGIN_CRITICAL((PyObject *)self);
    records = self->unseen;
    self->unseen = NULL;
    FOL_PY_END_CRITICAL();
    return records;
}

bool fol_py_io_home_has_unseen(fol_py_io_home *self)
{
    bool has_some;
    FOL_PY_BEGIN_CRITICAL((PyObject *)self);
    has_some = self->unseen != NULL && PyList_GET_SIZE(self->unseen) > 0;
    FOL_PY_END_CRITICAL();
    return has_some;
}

bool fol_py_io_home_has(const fol_py_io_home *self, PyObject *name)
{
    Py_ssize_t count = self->failed == NULL ? 0 : PyList_GET_SIZE(self->failed);
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *owner = PyTuple_GET_ITEM(PyList_GET_ITEM(self->failed, i), 0);
        if (name == NULL || owner == name || PyUnicode_Compare(owner, name) == 0) {
            return true;
        }
    }
    return false;
}

static int home_traverse(PyObject *object, visitproc visit, void *arg)
{
    fol_py_io_home *self = (fol_py_io_home *)object;
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->failed);
    Py_VISIT(self->unseen);
    return 0;
}

static int home_clear(PyObject *object)
{
    fol_py_io_home *self = (fol_py_io_home *)object;
    Py_CLEAR(self->failed);
    Py_CLEAR(self->unseen);
    return 0;
}

static void home_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    home_clear(object);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyType_Slot home_slots[] = {
    {Py_tp_doc, "Failures of operations that wait for the end of a frame."},
    {Py_tp_dealloc, home_dealloc},
    {Py_tp_traverse, home_traverse},
    {Py_tp_clear, home_clear},
    {0, NULL},
};

PyType_Spec fol_py_io_home_spec = {
    .name = "foliot._core._IoHome",
    .basicsize = sizeof(fol_py_io_home),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = home_slots,
};
