/* Statuses of the core as Python exceptions: the class comes from the one table in status.h. */
#include "bindings/bindings.h"

#include "bindings/errors.h"

#include <errno.h>
#include <stdarg.h>

#define FIRST_STATUS (-4096)

static const int own_statuses[] = {
#define STATUS_CODE(name, code, exception, text) (code),
    FOL_STATUS_TABLE(STATUS_CODE)
#undef STATUS_CODE
};

#define OWN_STATUS_COUNT (sizeof(own_statuses) / sizeof(own_statuses[0]))

_Static_assert(OWN_STATUS_COUNT <= FOL_PY_STATUS_COUNT, "every status has a place for its class");

/* The class of a name: foliot's own, else a built-in one. */
static PyObject *find_class(PyObject *errors, const char *name)
{
    PyObject *found = PyObject_GetAttrString(errors, name);
    if (found == NULL && PyErr_ExceptionMatches(PyExc_AttributeError)) {
        PyErr_Clear();
        PyObject *builtins = PyImport_ImportModule("builtins");
        if (builtins == NULL) {
            return NULL;
        }
        found = PyObject_GetAttrString(builtins, name);
        Py_DECREF(builtins);
    }
    return found;
}

int fol_py_load_errors(fol_py_state *state)
{
    PyObject *errors = PyImport_ImportModule("foliot._errors");
    if (errors == NULL) {
        return -1;
    }
    for (size_t i = 0; i < OWN_STATUS_COUNT; i++) {
        int place = FIRST_STATUS - own_statuses[i];
        state->status_errors[place] = find_class(errors, fol_status_exception(own_statuses[i]));
        if (state->status_errors[place] == NULL) {
            Py_DECREF(errors);
            return -1;
        }
    }
    Py_DECREF(errors);
    return 0;
}

PyObject *fol_py_error_class(fol_py_state *state, int status)
{
    int place = FIRST_STATUS - status;
    if (place >= 0 && place < FOL_PY_STATUS_COUNT && state->status_errors[place] != NULL) {
        return state->status_errors[place];
    }
    return status == -EINVAL ? PyExc_ValueError : PyExc_OSError;
}

static int raise_errno(int status, PyObject *message)
{
    PyObject *error = PyObject_CallFunction(PyExc_OSError, "iO", -status, message);
    if (error != NULL) {
        PyErr_SetObject((PyObject *)Py_TYPE(error), error);
        Py_DECREF(error);
    }
    return -1;
}

int fol_py_raise(fol_py_state *state, int status, const char *format, ...)
{
    if (status == -ENOMEM) {
        PyErr_NoMemory();
        return -1;
    }
    if (status == FOL_E_HOST && PyErr_Occurred()) {
        return -1;
    }
    PyObject *message;
    if (format == NULL) {
        message = PyUnicode_FromString(fol_status_text(status));
    } else {
        va_list arguments;
        va_start(arguments, format);
        message = PyUnicode_FromFormatV(format, arguments);
        va_end(arguments);
    }
    if (message == NULL) {
        return -1;
    }
    PyObject *error_class = fol_py_error_class(state, status);
    if (error_class == PyExc_OSError) {
        raise_errno(status, message);
    } else {
        PyErr_SetObject(error_class, message);
    }
    Py_DECREF(message);
    return -1;
}
