/* Waiting, between frames: for operations that a later frame delivers, and for a frame's time. */
#include "bindings/scheduler.h"

#include <errno.h>
#include <math.h>

/* The longest timeout of its own: about 31 years. */
#define MAX_SECONDS 1e9

/* None: no limit. */
static int read_timeout(PyObject *given, uint64_t *out_ns)
{
    *out_ns = UINT64_MAX;
    if (given == Py_None) {
        return 0;
    }
    double seconds = PyBool_Check(given) ? -1.0 : PyFloat_AsDouble(given);
    bool is_number = !PyBool_Check(given) && !PyErr_Occurred();
    if (!is_number && (!PyErr_Occurred() || PyErr_ExceptionMatches(PyExc_TypeError))) {
        PyErr_Format(PyExc_TypeError, "wait: timeout is a number of seconds or None, got %R",
                     given);
        return -1;
    }
    if (!is_number && !PyErr_ExceptionMatches(PyExc_OverflowError)) {
        return -1;
    }
    PyErr_Clear();
    if (!is_number || !(seconds >= 0.0 && seconds <= MAX_SECONDS)) {
        PyErr_Format(PyExc_ValueError, "wait: timeout is from 0 to 1e9 seconds, or None; got %R",
                     given);
        return -1;
    }
    *out_ns = (uint64_t)ceil(seconds * 1e9);
    return 0;
}

/* What the clock or a signal handler raised meanwhile; true when there was something. */
static bool raise_pending(fol_py_scheduler *self)
{
    PyObject *error = self->interrupt;
    self->interrupt = NULL;
    if (error == NULL) {
        error = fol_py_clock_face_take_error(&self->face);
    }
    if (error == NULL) {
        return false;
    }
    PyErr_SetObject((PyObject *)Py_TYPE(error), error);
    Py_DECREF(error);
    return true;
}

/* Calls fol_scheduler_wait or fol_scheduler_rest, for who drives. */
static int wait_core(fol_py_scheduler *self, int (*wait)(fol_scheduler *core, uint64_t time_ns),
                     uint64_t time_ns)
{
    PyThreadState *outer = fol_py_host_nest();
    int status = wait(self->core, time_ns);
    fol_py_host_unnest(outer);
    return status;
}

PyObject *fol_py_scheduler_wait(PyObject *object, PyObject *const *args, Py_ssize_t count,
                                PyObject *names)
{
    fol_py_scheduler *self = (fol_py_scheduler *)object;
    Py_ssize_t named = names == NULL ? 0 : PyTuple_GET_SIZE(names);
    if (count + named > 1 || (named == 1 && PyUnicode_CompareWithASCIIString(
                                                PyTuple_GET_ITEM(names, 0), "timeout") != 0)) {
        PyErr_SetString(PyExc_TypeError, "wait takes at most one argument, timeout");
        return NULL;
    }
    uint64_t timeout_ns;
    if (read_timeout(count + named == 0 ? Py_None : args[0], &timeout_ns) < 0 ||
        fol_py_scheduler_core(self) == NULL) {
        return NULL;
    }
    int begun = fol_py_scheduler_begin_drive(self);
    if (begun <= 0) {
        if (begun == 0) {
            fol_py_raise_refusal(self, FOL_E_BUSY, 0.0);
        }
        return NULL;
    }
    int status = wait_core(self, fol_scheduler_wait, timeout_ns);
    bool was_raised = raise_pending(self);
    fol_py_scheduler_end_drive(self);
    if (was_raised) {
        return NULL;
    }
    if (status == 0 || status == -ETIME || status == -ENOENT) {
        return PyBool_FromLong(status == 0);
    }
    if (status == FOL_E_INTERRUPTED) {
        PyErr_SetNone(PyExc_KeyboardInterrupt);
        return NULL;
    }
    fol_py_raise_refusal(self, status, 0.0);
    return NULL;
}

int fol_py_scheduler_rest(fol_py_scheduler *self, uint64_t until_ns)
{
    int begun = fol_py_scheduler_begin_drive(self);
    if (begun <= 0) {
        return begun;
    }
    int status = wait_core(self, fol_scheduler_rest, until_ns);
    bool was_raised = raise_pending(self);
    fol_py_scheduler_end_drive(self);
    if (was_raised) {
        return -1;
    }
    if (status == FOL_E_INTERRUPTED) {
        PyErr_SetNone(PyExc_KeyboardInterrupt);
        return -1;
    }
    return status == 0;
}
