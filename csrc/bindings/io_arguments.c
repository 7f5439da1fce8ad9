/* Arguments of the methods of `ctx.io`: each is checked here, with one sentence when it is wrong.
 *
 * Keywords are compared by identity first, since those of a call and ours are interned both.
 */
#include "bindings/io.h"

#include <fcntl.h>
#include <math.h>
#include <string.h>

/* The longest timeout: about 31 years. */
#define MAX_SECONDS 1e9

static PyObject *name_of(const fol_py_state *state, const fol_py_io_signature *signature, int place)
{
    return state->names[signature->names[place]];
}

static int find_keyword(const fol_py_state *state, const fol_py_io_signature *signature,
                        PyObject *keyword)
{
    for (int i = 0; i < signature->count; i++) {
        if (name_of(state, signature, i) == keyword) {
            return i;
        }
    }
    for (int i = 0; i < signature->count; i++) {
        if (PyUnicode_Compare(name_of(state, signature, i), keyword) == 0) {
            return i;
        }
    }
    return -1;
}

int fol_py_io_read_arguments(fol_py_state *state, const fol_py_io_signature *signature,
                             PyObject *const *args, Py_ssize_t count, PyObject *keywords,
                             PyObject **out)
{
    if (count > signature->positional) {
        PyErr_Format(PyExc_TypeError, "io.%s takes at most %d argument%s by place, got %zd",
                     signature->method, signature->positional,
                     signature->positional == 1 ? "" : "s", count);
        return -1;
    }
    for (int i = 0; i < signature->count; i++) {
        out[i] = i < count ? args[i] : NULL;
    }
    Py_ssize_t named = keywords == NULL ? 0 : PyTuple_GET_SIZE(keywords);
    for (Py_ssize_t i = 0; i < named; i++) {
        PyObject *keyword = PyTuple_GET_ITEM(keywords, i);
        int place = find_keyword(state, signature, keyword);
        if (place < 0 || out[place] != NULL) {
            PyErr_Format(PyExc_TypeError,
                         place < 0 ? "io.%s has no argument %R" : "io.%s got %R twice",
                         signature->method, keyword);
            return -1;
        }
        out[place] = args[count + i];
    }
    for (int i = 0; i < signature->required; i++) {
        if (out[i] == NULL) {
            PyErr_Format(PyExc_TypeError, "io.%s needs %U", signature->method,
                         name_of(state, signature, i));
            return -1;
        }
    }
    return 0;
}

int fol_py_io_read_number(const char *method, const char *argument, PyObject *given,
                          long long least, long long most, long long *out)
{
    if (given == NULL) {
        return 0;
    }
    PyObject *index = PyBool_Check(given) ? NULL : PyNumber_Index(given);
    if (index == NULL) {
        if (!PyErr_Occurred() || PyErr_ExceptionMatches(PyExc_TypeError)) {
            PyErr_Format(PyExc_TypeError, "io.%s: %s is a whole number, got %R", method, argument,
                         given);
        }
        return -1;
    }
    int overflow;
    long long number = PyLong_AsLongLongAndOverflow(index, &overflow);
    Py_DECREF(index);
    if (overflow != 0 || number < least || number > most) {
        PyErr_Format(PyExc_ValueError, "io.%s: %s is from %lld to %lld, got %R", method, argument,
                     least, most, given);
        return -1;
    }
    *out = number;
    return 0;
}

int fol_py_io_read_flag(const char *method, const char *argument, PyObject *given, bool *out)
{
    if (given == NULL) {
        return 0;
    }
    if (!PyBool_Check(given)) {
        PyErr_Format(PyExc_TypeError, "io.%s: %s is True or False, got %R", method, argument,
                     given);
        return -1;
    }
    *out = given == Py_True;
    return 0;
}

int fol_py_io_read_seconds(const char *method, const char *argument, PyObject *given, bool may_be_0,
                           uint64_t *out_ns)
{
    double seconds = PyBool_Check(given) ? -1.0 : PyFloat_AsDouble(given);
    if (PyBool_Check(given) || PyErr_Occurred()) {
        if (PyErr_Occurred() && PyErr_ExceptionMatches(PyExc_OverflowError)) {
            PyErr_Clear();
            seconds = Py_HUGE_VAL;
        } else if (!PyErr_Occurred() || PyErr_ExceptionMatches(PyExc_TypeError)) {
            PyErr_Format(PyExc_TypeError, "io.%s: %s is a number of seconds, got %R", method,
                         argument, given);
            return -1;
        } else {
            return -1;
        }
    }
    bool is_high_enough = may_be_0 ? seconds >= 0.0 : seconds > 0.0;
    if (!is_high_enough || !(seconds <= MAX_SECONDS)) {
        PyErr_Format(PyExc_ValueError, "io.%s: %s is %s and at most 1e9 seconds, got %R", method,
                     argument, may_be_0 ? "at least 0" : "above 0", given);
        return -1;
    }
    uint64_t nanoseconds = (uint64_t)ceil(seconds * 1e9);
    *out_ns = nanoseconds;
    return 0;
}

int fol_py_io_read_until(fol_py_io_call *call, PyObject *wait, PyObject *timeout)
{
    fol_py_state *state = call->state;
    fol_io_until until =
        (call->intent.request.flags & FOL_IO_MANY) != 0 ? FOL_IO_LATER : FOL_IO_STAGE;
    static const uint8_t names[] = {FOL_PY_NAME_stage, FOL_PY_NAME_phase, FOL_PY_NAME_none};
    if (wait != NULL) {
        size_t place = 0;
        while (place < 3 && wait != state->names[names[place]]) {
            place++;
        }
        for (size_t i = 0; place == 3 && i < 3 && PyUnicode_Check(wait); i++) {
            if (PyUnicode_Compare(wait, state->names[names[i]]) == 0) {
                place = i;
                break;
            }
        }
        if (place == 3) {
            PyErr_Format(PyUnicode_Check(wait) ? PyExc_ValueError : PyExc_TypeError,
                         "io.%s: wait is 'stage', 'phase' or 'none', got %R", call->method, wait);
            return -1;
        }
        until = (fol_io_until)place;
    }
    call->intent.until = until;
    if (timeout == NULL || timeout == Py_None) {
        return 0;
    }
    return fol_py_io_read_seconds(call->method, "timeout", timeout, false,
                                  &call->intent.request.timeout_ns);
}

static PyObject *fspath_of(fol_py_state *state, PyObject *given)
{
    return PyUnicode_Check(given) || PyBytes_Check(given)
               ? NULL
               : PyObject_GetAttr((PyObject *)Py_TYPE(given), state->names[FOL_PY_NAME___fspath__]);
}

bool fol_py_io_is_path(fol_py_state *state, PyObject *given)
{
    if (PyUnicode_Check(given) || PyBytes_Check(given)) {
        return true;
    }
    if (PyLong_Check(given)) {
        return false;
    }
    PyObject *method = fspath_of(state, given);
    bool has_path = method != NULL;
    Py_XDECREF(method);
    PyErr_Clear();
    return has_path;
}

int fol_py_io_read_descriptor(fol_py_io_call *call, const char *argument, PyObject *given, int *out)
{
    PyObject *number = given;
    Py_INCREF(number);
    if (!PyLong_Check(given) && !PyIndex_Check(given)) {
        PyObject *fileno = PyObject_GetAttr(given, call->state->names[FOL_PY_NAME_fileno]);
        if (fileno == NULL && PyErr_ExceptionMatches(PyExc_AttributeError)) {
            PyErr_Format(PyExc_TypeError,
                         "io.%s: %s is a file descriptor or an object with fileno(), got %R",
                         call->method, argument, given);
        }
        Py_SETREF(number, fileno == NULL ? NULL : PyObject_CallNoArgs(fileno));
        Py_XDECREF(fileno);
    }
    long long descriptor = -1;
    int failed = number == NULL ? -1
                                : fol_py_io_read_number(call->method, argument, number, 0, INT_MAX,
                                                        &descriptor);
    Py_XDECREF(number);
    *out = (int)descriptor;
    return failed;
}

static int refuse_null(const char *method, const char *argument, PyObject *given)
{
    PyErr_Format(PyExc_ValueError, "io.%s: %s has no null character, got %R", method, argument,
                 given);
    return -1;
}

int fol_py_io_read_path(fol_py_io_call *call, const char *argument, PyObject *given,
                        PyObject **held, const char **out)
{
    if (PyUnicode_Check(given) && PyUnicode_IS_READY(given) && PyUnicode_IS_COMPACT_ASCII(given)) {
        const char *text = (const char *)PyUnicode_1BYTE_DATA(given);
        if (strlen(text) != (size_t)PyUnicode_GET_LENGTH(given)) {
            return refuse_null(call->method, argument, given);
        }
        *held = Py_NewRef(given);
        *out = text;
        return 0;
    }
    PyObject *path = fol_py_io_is_path(call->state, given) ? PyOS_FSPath(given) : NULL;
    if (path == NULL) {
        if (!PyErr_Occurred()) {
            PyErr_Format(PyExc_TypeError, "io.%s: %s is str, bytes or os.PathLike, got %R",
                         call->method, argument, given);
        }
        return -1;
    }
    PyObject *bytes = PyBytes_Check(path) ? Py_NewRef(path) : PyUnicode_EncodeFSDefault(path);
    Py_DECREF(path);
    if (bytes == NULL) {
        return -1;
    }
    if (strlen(PyBytes_AS_STRING(bytes)) != (size_t)PyBytes_GET_SIZE(bytes)) {
        Py_DECREF(bytes);
        return refuse_null(call->method, argument, given);
    }
    *held = bytes;
    *out = PyBytes_AS_STRING(bytes);
    return 0;
}

int fol_py_io_read_directory(fol_py_io_call *call, PyObject *directory)
{
    call->intent.request.fd = AT_FDCWD;
    if (directory == NULL || directory == Py_None) {
        return 0;
    }
    int descriptor;
    if (fol_py_io_read_descriptor(call, "dir_fd", directory, &descriptor) < 0) {
        return -1;
    }
    call->intent.request.fd = descriptor;
    return 0;
}

int fol_py_io_read_only_path(fol_py_io_call *call, const char *argument, PyObject *given,
                             PyObject *directory)
{
    fol_py_operation *operation = call->operation;
    bool is_plain = PyUnicode_Check(given) || PyBytes_Check(given);
    operation->is_path = true;
    operation->target =
        is_plain || !fol_py_io_is_path(call->state, given) ? Py_NewRef(given) : PyOS_FSPath(given);
    if (operation->target == NULL ||
        fol_py_io_read_path(call, argument, operation->target, &operation->held[0],
                            &call->intent.request.path) < 0) {
        return -1;
    }
    return fol_py_io_read_directory(call, directory);
}

int fol_py_io_read_target(fol_py_io_call *call, PyObject *given, PyObject *directory)
{
    if (fol_py_io_is_path(call->state, given)) {
        call->intent.request.flags |= FOL_IO_PATH;
        return fol_py_io_read_only_path(call, "path_or_fd", given, directory);
    }
    if (directory != NULL && directory != Py_None) {
        PyErr_Format(PyExc_ValueError, "io.%s: dir_fd goes with a path, and path_or_fd is %R",
                     call->method, given);
        return -1;
    }
    if (!PyIndex_Check(given) && !PyObject_HasAttr(given, call->state->names[FOL_PY_NAME_fileno])) {
        PyErr_Format(PyExc_TypeError,
                     "io.%s: path_or_fd is a path, a file descriptor or an object with fileno(), "
                     "got %R",
                     call->method, given);
        return -1;
    }
    return fol_py_io_read_only_descriptor(call, "path_or_fd", given);
}

int fol_py_io_read_only_descriptor(fol_py_io_call *call, const char *argument, PyObject *given)
{
    int descriptor;
    if (fol_py_io_read_descriptor(call, argument, given, &descriptor) < 0) {
        return -1;
    }
    call->intent.request.fd = descriptor;
    call->operation->target =
        PyLong_CheckExact(given) ? Py_NewRef(given) : PyLong_FromLong(descriptor);
    return call->operation->target == NULL ? -1 : 0;
}
