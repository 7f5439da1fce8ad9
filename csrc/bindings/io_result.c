/* Results of operations as Python objects, and their failures as exceptions. */
#include "bindings/io.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define NS_PER_SECOND 1000000000LL

void fol_py_io_close(int64_t descriptor)
{
    if (descriptor >= 0 && descriptor <= INT_MAX) {
        close((int)descriptor);
    }
}

static long long stamp_ns(const struct statx_timestamp *stamp)
{
    return (long long)stamp->tv_sec * NS_PER_SECOND + stamp->tv_nsec;
}

static double stamp_seconds(const struct statx_timestamp *stamp)
{
    return (double)stamp->tv_sec + 1e-9 * stamp->tv_nsec;
}

/* os.stat_result, as os.stat makes it. */
static PyObject *status_object(fol_py_state *state, const struct statx *found)
{
    PyObject *stat_result =
        fol_py_load_once(state, &state->scheduler.stat_result, "os", "stat_result");
    if (stat_result == NULL) {
        return NULL;
    }
    PyObject *fields = Py_BuildValue(
        "(IKKIIILLLLdddLLLIKK)", (unsigned)found->stx_mode, (unsigned long long)found->stx_ino,
        (unsigned long long)makedev(found->stx_dev_major, found->stx_dev_minor),
        (unsigned)found->stx_nlink, (unsigned)found->stx_uid, (unsigned)found->stx_gid,
        (long long)found->stx_size, (long long)found->stx_atime.tv_sec,
        (long long)found->stx_mtime.tv_sec, (long long)found->stx_ctime.tv_sec,
        stamp_seconds(&found->stx_atime), stamp_seconds(&found->stx_mtime),
        stamp_seconds(&found->stx_ctime), stamp_ns(&found->stx_atime), stamp_ns(&found->stx_mtime),
        stamp_ns(&found->stx_ctime), (unsigned)found->stx_blksize,
        (unsigned long long)found->stx_blocks,
        (unsigned long long)makedev(found->stx_rdev_major, found->stx_rdev_minor));
    PyObject *made = fields == NULL ? NULL : PyObject_CallOneArg(stat_result, fields);
    Py_XDECREF(fields);
    return made;
}

/* The bytes object that was the buffer, cut to what came. */
static PyObject *filled_object(fol_py_operation *operation, int64_t size)
{
    PyObject *bytes = operation->value;
    operation->value = NULL;
    if (bytes != NULL && PyBytes_GET_SIZE(bytes) != size) {
        /* Sets it to NULL when it fails. */
        _PyBytes_Resize(&bytes, (Py_ssize_t)size);
    }
    return bytes;
}

PyObject *fol_py_io_value(fol_py_operation *operation, const fol_io_result *result)
{
    switch ((fol_py_io_shape)operation->shape) {
    case FOL_PY_IO_COUNT:
    case FOL_PY_IO_DESCRIPTOR:
        return PyLong_FromLongLong(result->value);
    case FOL_PY_IO_DATA:
        return PyBytes_FromStringAndSize(result->data, (Py_ssize_t)result->size);
    case FOL_PY_IO_FILLED:
        return filled_object(operation, result->value);
    case FOL_PY_IO_STATUS:
        return status_object(operation->home->state, result->data);
    case FOL_PY_IO_FOUND:
        return PyBool_FromLong(result->value == 0);
    case FOL_PY_IO_NONE:
        break;
    }
    return Py_NewRef(Py_None);
}

PyObject *fol_py_io_error(fol_py_state *state, int64_t status, PyObject *path, PyObject *path2)
{
    if (status <= -4096) {
        PyObject *error_class = fol_py_error_class(state, (int)status);
        return PyObject_CallFunction(error_class, "s", fol_status_text((int)status));
    }
    int number = (int)-status;
    if (path2 != NULL) {
        return PyObject_CallFunction(PyExc_OSError, "isOOO", number, strerror(number), path,
                                     Py_None, path2);
    }
    if (path != NULL) {
        return PyObject_CallFunction(PyExc_OSError, "isO", number, strerror(number), path);
    }
    return PyObject_CallFunction(PyExc_OSError, "is", number, strerror(number));
}

PyObject *fol_py_operation_text(const fol_py_operation *operation)
{
    const char *kind = fol_io_kind_name(operation->kind);
    if (operation->target == NULL) {
        return PyUnicode_FromString(kind);
    }
    if (!operation->is_path) {
        return PyUnicode_FromFormat("%s of descriptor %S", kind, operation->target);
    }
    if (operation->target2 != NULL) {
        return PyUnicode_FromFormat("%s of %R to %R", kind, operation->target, operation->target2);
    }
    return PyUnicode_FromFormat("%s of %R", kind, operation->target);
}

/* ", after 4096 bytes": what a failure left half done. New reference. */
static PyObject *progress_text(const fol_py_operation *operation)
{
    if (operation->is_many || operation->results == 0) {
        return PyUnicode_FromString("");
    }
    return PyUnicode_FromFormat(", after %llu bytes", (unsigned long long)operation->results);
}

void fol_py_operation_note(fol_py_operation *operation, PyObject *error)
{
    PyObject *text = fol_py_operation_text(operation);
    PyObject *progress = progress_text(operation);
    PyObject *note = text == NULL || progress == NULL
                         ? NULL
                         : PyUnicode_FromFormat("the operation: %U, asked for by system `%U`%U",
                                                text, operation->name, progress);
    PyObject *answer = note == NULL ? NULL : PyObject_CallMethod(error, "add_note", "O", note);
    if (answer == NULL) {
        PyErr_Clear();
    }
    Py_XDECREF(answer);
    Py_XDECREF(note);
    Py_XDECREF(progress);
    Py_XDECREF(text);
}
