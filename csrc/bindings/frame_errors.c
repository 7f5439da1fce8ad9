/* What failed in a frame, as exceptions: Python's own as they were raised, the rest made from the
 * core's records. Each gets a note that names its system.
 */
#include "bindings/scheduler.h"

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
    if (error->status == FOL_E_CAPACITY && error->is_merge) {
        fol_py_raise(scheduler->state, error->status,
                     "the merge has no room: %s is reached; give the world a Config with a larger "
                     "one",
                     fol_world_full_setting(fol_py_world(scheduler->world)));
    } else {
        fol_py_raise(scheduler->state, error->status, NULL);
    }
    return fol_py_take_error();
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
    PyObject *answer = note == NULL ? NULL : PyObject_CallMethod(error, "add_note", "O", note);
    Py_XDECREF(note);
    Py_XDECREF(answer);
    return answer == NULL ? -1 : 0;
}

int fol_py_collect_errors(fol_py_scheduler *scheduler, PyObject *list)
{
    const fol_frame *frame = fol_scheduler_frame(scheduler->core);
    for (uint32_t i = 0; i < frame->error_count; i++) {
        const fol_frame_error *failed = &frame->errors[i];
        fol_py_context *context =
            failed->system < scheduler->context_count ? scheduler->contexts[failed->system] : NULL;
        PyObject *error = NULL;
        if (context != NULL && failed->status == FOL_E_HOST) {
            error = take_first(failed->is_merge ? context->merge_errors : context->errors);
        }
        if (PyList_GET_SIZE(list) >= FOL_PY_MAX_ERRORS) {
            Py_XDECREF(error);
            continue;
        }
        if (error == NULL) {
            error = core_error(scheduler, context, failed);
        }
        if (error == NULL || fol_py_note_error(scheduler, error, context, failed->is_merge) < 0 ||
            PyList_Append(list, error) < 0) {
            Py_XDECREF(error);
            return -1;
        }
        Py_DECREF(error);
    }
    return 0;
}

void fol_py_drop_errors(fol_py_scheduler *scheduler)
{
    for (uint32_t i = 0; i < scheduler->context_count; i++) {
        Py_CLEAR(scheduler->contexts[i]->errors);
        Py_CLEAR(scheduler->contexts[i]->merge_errors);
    }
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
    PyObject *message = failed == 0
                            ? PyUnicode_FromFormat("commands failed in frame %llu", number)
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
