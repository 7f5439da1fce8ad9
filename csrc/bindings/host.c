/* Python as the core's host: taking and giving back the interpreter, asking for signals, and
 * running the functions of systems.
 *
 * A thread keeps its thread state between two turns, so that taking the interpreter again costs
 * tens of nanoseconds. The caller's thread comes with one; a worker makes its own the first time.
 */
#include "bindings/scheduler.h"

/* The state of this thread while the scheduler it drives has it detached. A call that drives
 * another one from within, from an attached turn or from a kernel that took the interpreter by
 * itself, finds none and leaves behind what it found. */
static _Thread_local PyThreadState *detached_state;

PyThreadState *fol_py_host_nest(void)
{
    PyThreadState *outer = detached_state;
    detached_state = NULL;
    return outer;
}

void fol_py_host_unnest(PyThreadState *outer)
{
    detached_state = outer;
}

static void host_attach(void *unused)
{
    (void)unused;
    PyThreadState *state = detached_state;
    if (state == NULL) {
        state = PyThreadState_New(PyInterpreterState_Main());
        if (state == NULL) {
            Py_FatalError("no memory for the Python state of a worker thread");
        }
    }
    detached_state = NULL;
    PyEval_RestoreThread(state);
}

static void host_detach(void *unused)
{
    (void)unused;
    detached_state = PyEval_SaveThread();
}

bool fol_py_enter_host(void)
{
    bool was_attached = PyGILState_Check() != 0;
    if (!was_attached) {
        host_attach(NULL);
    }
    return was_attached;
}

void fol_py_leave_host(bool was_attached)
{
    if (!was_attached) {
        host_detach(NULL);
    }
}

PyObject *fol_py_take_error(void)
{
#if PY_VERSION_HEX >= 0x030c0000
    return PyErr_GetRaisedException();
#else
    PyObject *type, *error, *traceback;
    PyErr_Fetch(&type, &error, &traceback);
    PyErr_NormalizeException(&type, &error, &traceback);
    if (traceback != NULL) {
        PyException_SetTraceback(error, traceback);
    }
    Py_XDECREF(type);
    Py_XDECREF(traceback);
    return error;
#endif
}

/* The first reason to stop is the one that is told. */
static void keep_interrupt(fol_py_scheduler *scheduler, PyObject *error)
{
    if (scheduler->interrupt == NULL) {
        scheduler->interrupt = error;
    } else {
        Py_DECREF(error);
    }
}

int fol_py_keep_error(fol_py_context *context, bool is_merge)
{
    bool is_ordinary = PyErr_ExceptionMatches(PyExc_Exception) != 0;
    PyObject *error = fol_py_take_error();
    if (!is_ordinary && context->scheduler != NULL) {
        if (fol_py_note_error(context->scheduler, error, context, is_merge) < 0) {
            PyErr_Clear();
        }
        keep_interrupt(context->scheduler, error);
        return FOL_E_INTERRUPTED;
    }
    PyObject **kept = is_merge ? &context->merge_errors : &context->errors;
    if (*kept == NULL) {
        *kept = PyList_New(0);
    }
    if (*kept == NULL || PyList_Append(*kept, error) < 0) {
        PyErr_WriteUnraisable(context->name);
    }
    Py_DECREF(error);
    return FOL_E_HOST;
}

static int host_pending(void *state)
{
    fol_py_scheduler *scheduler = state;
    if (scheduler->face.error != NULL) {
        keep_interrupt(scheduler, scheduler->face.error);
        scheduler->face.error = NULL;
    }
    if (scheduler->interrupt == NULL && PyErr_CheckSignals() < 0) {
        keep_interrupt(scheduler, fol_py_take_error());
    }
    return scheduler->interrupt != NULL;
}

fol_host fol_py_host(fol_py_scheduler *scheduler)
{
    return (fol_host){
        .state = scheduler, .attach = host_attach, .detach = host_detach, .pending = host_pending};
}

/* The call every hosted system comes down to: one vector call with the context as argument. */
static inline PyObject *call_with(fol_py_context *context, PyObject *function, fol_task *task)
{
    PyObject *arguments[2] = {NULL, (PyObject *)context};
    context->task = task;
    PyObject *result =
        PyObject_Vectorcall(function, arguments + 1, 1 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    context->task = NULL;
    if (context->is_looked_at) {
        fol_py_context_end_use(context);
    }
    return result;
}

int fol_py_run_hosted(void *user, fol_task *task)
{
    fol_py_context *context = user;
    PyObject *result = call_with(context, context->function, task);
    if (result == NULL) {
        return fol_py_keep_error(context, false);
    }
    Py_DECREF(result);
    return 0;
}

int fol_py_run_exclusive(void *user, fol_task *task)
{
    fol_py_context *context = user;
    fol_py_world_grant(context->world);
    int status = fol_py_run_hosted(user, task);
    fol_py_world_revoke(context->world);
    return status;
}

int fol_py_run_condition(void *user, fol_task *task)
{
    fol_py_context *context = user;
    context->is_in_condition = true;
    PyObject *result = call_with(context, context->condition, task);
    context->is_in_condition = false;
    int answer = result == NULL ? -1 : PyObject_IsTrue(result);
    Py_XDECREF(result);
    return answer < 0 ? fol_py_keep_error(context, false) : answer;
}
