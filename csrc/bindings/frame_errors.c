/* What failed in a frame, as exceptions: Python's own as they were raised, the rest made from the
 * core's records. Each gets a note that names its system.
 */
#include "bindings/io.h"
#include "bindings/scheduler.h"

#include <errno.h>

/* The first unfetched exception of a list, or NULL. New reference. */
static PyObject *take_first(PyObject *list)
{
    if (list == NULL || PyList_GET_SIZE(list) == 0) {
        return NULL;
    }
    PyObject *error = Py_NewRef(PyList_GET_ITEM(list, 0));
    if (PySequence_DelItem(list, 0) < 0) {
        PyErr_Clear();
    }
    return error;
}

static PyObject *make_exception(PyObject *error_class, PyObject *message)
{
    PyObject *error = message == NULL ? NULL : PyObject_CallOneArg(error_class, message);
    Py_XDECREF(message);
    return error;
}

static PyObject *kernel_error(fol_py_context *context, int code)
{
    PyObject *error_class = fol_py_error_class(context->state, FOL_E_KERNEL);
    PyObject *error = make_exception(
        error_class, PyUnicode_FromFormat("the kernel of `%U` returned %d", context->name, code));
    PyObject *number = error == NULL ? NULL : PyLong_FromLong(code);
    if (number == NULL || PyObject_SetAttrString(error, "code", number) < 0) {
        Py_CLEAR(error);
    }
    Py_XDECREF(number);
    return error;
}

/* The first resource of a system that the world lacks, or NULL without an error. */
static const char *missing_resource(fol_py_scheduler *scheduler, fol_py_context *context)
{
    PyObject *key, *value;
    Py_ssize_t position = 0;
    while (PyDict_Next(context->resources, &position, &key, &value)) {
        fol_component *component = fol_py_component_of(scheduler->state, key);
        if (component != NULL &&
            fol_world_resource(fol_py_world(scheduler->world), component) == NULL) {
            return fol_component_name(component);
        }
    }
    return NULL;
}

static PyObject *missing_error(fol_py_scheduler *scheduler, fol_py_context *context)
{
    const char *resource = missing_resource(scheduler, context);
    if (resource == NULL) {
        resource = "it declares";
    }
    return make_exception(
        PyExc_KeyError,
        PyUnicode_FromFormat("system `%U` uses the resource %s, which the world does not have: "
                             "insert it first",
                             context->name, resource));
}

/* The exception of an error the core recorded by itself. */
static PyObject *core_error(fol_py_scheduler *scheduler, fol_py_context *context,
                            const fol_frame_error *error)
{
    if (context != NULL && error->status == FOL_E_KERNEL) {
        return kernel_error(context, error->code);
    }
    if (context != NULL && error->status == FOL_E_MISSING) {
        return missing_error(scheduler, context);
    }
    if (context != NULL && error->status == FOL_E_STALE && !error->is_merge) {
        return fol_py_budget_gone_error(context);
    }
    if (error->full_setting != NULL) {
        fol_py_raise(scheduler->state, error->status,
                     "the merge refused commands of this system: Config.%s is %llu; all that fits "
                     "took effect",
                     error->full_setting, (unsigned long long)error->full_limit);
    } else {
        fol_py_raise(scheduler->state, error->status, NULL);
    }
    return fol_py_take_error();
}

/* error.add_note(note), which it takes. */
static int add_note(PyObject *error, PyObject *note)
{
    PyObject *answer = note == NULL ? NULL : PyObject_CallMethod(error, "add_note", "O", note);
    Py_XDECREF(note);
    Py_XDECREF(answer);
    return answer == NULL ? -1 : 0;
}

int fol_py_note_error(fol_py_scheduler *scheduler, PyObject *error, fol_py_context *context,
                      bool is_merge)
{
    const fol_frame *frame = fol_scheduler_frame(scheduler->core);
    unsigned long long number = frame->frame;
    PyObject *note;
    if (context == NULL) {
        note = PyUnicode_FromFormat("in a merge of frame %llu", number);
    } else if (is_merge) {
        note =
            PyUnicode_FromFormat("in a command of system `%U`, frame %llu", context->name, number);
    } else {
        note = PyUnicode_FromFormat("in system `%U`, frame %llu", context->name, number);
    }
    return add_note(error, note);
}

/* The exception that Python code raised for a record of the core, or NULL when it has none. */
static PyObject *raised_error(fol_py_context *context, const fol_frame_error *failed)
{
    if (context == NULL || failed->status != FOL_E_HOST) {
        return NULL;
    }
    return take_first(failed->is_merge ? context->merge_errors : context->errors);
}

/* Appends an exception unless there are enough. */
static int append_error(PyObject *list, PyObject *error)
{
    return PyList_GET_SIZE(list) < FOL_PY_MAX_ERRORS ? PyList_Append(list, error) : 0;
}

/* Exceptions of operations, each with the name of its system. */
static int collect_records(fol_py_scheduler *scheduler, PyObject *records, const char *format,
                           PyObject *list)
{
    unsigned long long number = fol_scheduler_frame(scheduler->core)->frame;
    for (Py_ssize_t i = 0; records != NULL && i < PyList_GET_SIZE(records); i++) {
        PyObject *record = PyList_GET_ITEM(records, i);
        PyObject *error = PyTuple_GET_ITEM(record, 1);
        PyObject *note = PyUnicode_FromFormat(format, PyTuple_GET_ITEM(record, 0), number);
        if (add_note(error, note) < 0 || append_error(list, error) < 0) {
            return -1;
        }
    }
    return 0;
}

int fol_py_collect_unseen(fol_py_scheduler *scheduler, PyObject *list)
{
    PyObject *records = fol_py_io_home_take_unseen(scheduler->home);
    int status = collect_records(scheduler, records,
                                 "in system `%U`, frame %llu: nobody looked at the failure of its "
                                 "operation",
                                 list);
    Py_XDECREF(records);
    return status;
}

/* Whether a record of the core stands for failures of operations, which come by themselves: the
 * core has one for each system that they failed. */
static bool is_told(fol_py_scheduler *scheduler, fol_py_context *context,
                    const fol_frame_error *failed)
{
    bool may_be = !failed->is_merge && failed->status != FOL_E_KERNEL;
    return may_be && fol_py_io_home_has(scheduler->home, context == NULL ? NULL : context->name);
}

/* The exception of a record of the core, with its note. New reference. */
static PyObject *noted_error(fol_py_scheduler *scheduler, fol_py_context *context,
                             const fol_frame_error *failed, PyObject *raised)
{
    PyObject *error = raised != NULL ? raised : core_error(scheduler, context, failed);
    if (error != NULL && fol_py_note_error(scheduler, error, context, failed->is_merge) < 0) {
        Py_CLEAR(error);
    }
    return error;
}

int fol_py_collect_errors(fol_py_scheduler *scheduler, PyObject *list)
{
    const fol_frame *frame = fol_scheduler_frame(scheduler->core);
    for (uint32_t i = 0; i < frame->error_count; i++) {
        const fol_frame_error *failed = &frame->errors[i];
        fol_py_context *context =
            failed->system < scheduler->context_count ? scheduler->contexts[failed->system] : NULL;
        PyObject *raised = raised_error(context, failed);
        if (PyList_GET_SIZE(list) >= FOL_PY_MAX_ERRORS) {
            Py_XDECREF(raised);
            continue;
        }
        if (raised == NULL && is_told(scheduler, context, failed)) {
            continue;
        }
        PyObject *error = noted_error(scheduler, context, failed, raised);
        int status = error == NULL ? -1 : append_error(list, error);
        Py_XDECREF(error);
        if (status < 0) {
            return -1;
        }
    }
    return collect_records(scheduler, scheduler->home->failed, "in system `%U`, frame %llu", list);
}

void fol_py_drop_errors(fol_py_scheduler *scheduler)
{
    for (uint32_t i = 0; i < scheduler->context_count; i++) {
        Py_CLEAR(scheduler->contexts[i]->errors);
        Py_CLEAR(scheduler->contexts[i]->merge_errors);
    }
    Py_CLEAR(scheduler->home->failed);
}

PyObject *fol_py_frame_error(fol_py_scheduler *scheduler, PyObject *errors, PyObject *result)
{
    const fol_frame *frame = fol_scheduler_frame(scheduler->core);
    uint32_t failed = 0;
    uint32_t ran = 0;
    for (uint32_t i = 0; i < frame->system_count; i++) {
        failed += frame->systems[i].state == FOL_RUN_FAILED;
        ran += frame->systems[i].state == FOL_RUN_FAILED || frame->systems[i].state == FOL_RUN_DONE;
    }
    unsigned long long number = frame->frame;
    const char *what = frame->error_count == 0 ? "operations" : "commands";
    PyObject *message = failed == 0
                            ? PyUnicode_FromFormat("%s failed in frame %llu", what, number)
                            : PyUnicode_FromFormat("%u of %u system%s failed in frame %llu", failed,
                                                   ran, ran == 1 ? "" : "s", number);
    if (message == NULL) {
        return NULL;
    }
    PyObject *error_class = fol_py_error_class(scheduler->state, FOL_E_FRAME);
    PyObject *error = PyObject_CallFunctionObjArgs(error_class, message, errors, NULL);
    Py_DECREF(message);
    if (error != NULL && PyObject_SetAttrString(error, "frame_result", result) < 0) {
        Py_CLEAR(error);
    }
    return error;
}
