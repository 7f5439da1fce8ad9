/* Running the Python functions of systems, on any worker, and stopping them.
 *
 * Systems that hold the interpreter's lock take turns; those declared gil="release" may be in their
 * functions on several workers at once, and then change places wherever Python lets another thread
 * run; without the GIL that is so of all. Each has a context of its own. Threads that a system
 * starts may use it beside the system, one at a time under the context's lock.
 *
 * Stopping. A signal is seen by the thread that drives, which may be waiting for a system that runs
 * on another worker. Whatever ends the frame is therefore sent on: each thread that runs a system
 * of the scheduler gets a KeyboardInterrupt at its next step of Python code. It is sent and taken
 * back by threads that hold the context, so it reaches the system it is meant for or nobody.
 *
 * A system that forks while it alone runs goes on in the child as it does in the parent. Beside
 * other workers the child ends with it.
 */
#include "bindings/scheduler.h"

#include <unistd.h>

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

/* Interrupts every system of the scheduler that another thread runs. */
static void stop_others(fol_py_scheduler *scheduler)
{
    unsigned long here = PyThread_get_thread_ident();
    for (uint32_t i = 0; i < scheduler->context_count; i++) {
        fol_py_context *context = scheduler->contexts[i];
        FOL_PY_BEGIN_CRITICAL((PyObject *)context);
        if (context->runner != 0 && context->runner != here) {
            context->is_stopped = true;
            PyThreadState_SetAsyncExc(context->runner, PyExc_KeyboardInterrupt);
        }
        FOL_PY_END_CRITICAL();
    }
}

/* Takes a reason to stop. The first is the one that is told. */
static void keep_interrupt(fol_py_scheduler *scheduler, PyObject *error)
{
    FOL_PY_BEGIN_CRITICAL((PyObject *)scheduler);
    if (scheduler->interrupt == NULL) {
        scheduler->interrupt = error;
    } else {
        Py_DECREF(error);
    }
    FOL_PY_END_CRITICAL();
    stop_others(scheduler);
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

int fol_py_pending(void *state)
{
    fol_py_scheduler *scheduler = state;
    PyObject *error = fol_py_clock_face_take_error(&scheduler->face);
    if (error != NULL) {
        keep_interrupt(scheduler, error);
    }
    /* A second signal stops again what took no notice of the first. */
    if (PyErr_CheckSignals() < 0) {
        keep_interrupt(scheduler, fol_py_take_error());
    }
    return scheduler->interrupt != NULL;
}

/* What a system that was stopped raised shows where it was: it hangs on the reason. */
static int finish_stopped(fol_py_context *context)
{
    fol_py_scheduler *scheduler = context->scheduler;
    PyObject *error = fol_py_take_error();
    PyObject *reason = scheduler->interrupt;
    if (fol_py_note_error(scheduler, error, context, false) < 0) {
        PyErr_Clear();
    }
    /* Several may be stopped at once; the first hangs on it. */
    PyObject *before;
    FOL_PY_BEGIN_CRITICAL((PyObject *)scheduler);
    before = reason == NULL ? NULL : PyException_GetContext(reason);
    if (reason != NULL && before == NULL) {
        PyException_SetContext(reason, Py_NewRef(error));
    }
    FOL_PY_END_CRITICAL();
    Py_XDECREF(before);
    Py_DECREF(error);
    return FOL_E_INTERRUPTED;
}

/* False when the frame was told to stop before this thread had the interpreter. From here on others
 * stop it for the context's sake, and the context works. */
static bool begin_run(fol_py_context *context, fol_task *task)
{
    bool may_run;
    FOL_PY_BEGIN_CRITICAL((PyObject *)context);
    may_run = context->scheduler->interrupt == NULL;
    context->runner = may_run ? PyThread_get_thread_ident() : 0;
    context->task = may_run ? task : NULL;
    FOL_PY_END_CRITICAL();
    return may_run;
}

#if PY_VERSION_HEX < 0x030d0000
/* Has a stop arrive at once, in code that does nothing; what traces or profiles this thread does
 * not see it. What a signal raises that comes just then is dropped, like all but the first. */
static void let_stop_arrive(void)
{
    PyThreadState *thread = PyThreadState_Get();
    PyObject *names = PyDict_New();
    PyObject *code = names == NULL ? NULL : Py_CompileString("None", "<foliot>", Py_eval_input);
    if (code != NULL) {
        PyThreadState_EnterTracing(thread);
        PyThreadState_SetAsyncExc(PyThread_get_thread_ident(), PyExc_KeyboardInterrupt);
        PyObject *none = PyEval_EvalCode(code, names, names);
        if (thread->async_exc != NULL) {
            /* A signal came first. */
            PyThreadState_SetAsyncExc(PyThread_get_thread_ident(), NULL);
        }
        PyThreadState_LeaveTracing(thread);
        Py_XDECREF(none);
    }
    Py_XDECREF(code);
    Py_XDECREF(names);
    PyErr_Clear();
}
#endif

/* A stop that is on its way to this thread and has not arrived reaches nobody.
 *
 * Up to 3.12 the interpreter looks for such exceptions, at every turn of every thread, from when
 * one is sent or taken back until one arrives; and 3.11 never gets beyond the first instruction of
 * a function that is profiled then. So another one arrives here. */
static void take_back_stop(fol_py_scheduler *scheduler)
{
#if PY_VERSION_HEX < 0x030d0000
    if (PyThreadState_Get()->async_exc == NULL) {
        return;
    }
    PyObject *type, *error, *traceback;
    PyErr_Fetch(&type, &error, &traceback);
    PyThreadState_SetAsyncExc(PyThread_get_thread_ident(), NULL);
    /* The handler of a signal would be cut short. */
    if (PyErr_CheckSignals() < 0) {
        keep_interrupt(scheduler, fol_py_take_error());
    }
    let_stop_arrive();
    PyErr_Restore(type, error, traceback);
#else
    (void)scheduler;
    PyThreadState_SetAsyncExc(PyThread_get_thread_ident(), NULL);
#endif
}

/* From here on nobody does; true when somebody had. */
static bool end_run(fol_py_context *context)
{
    bool was_stopped;
    FOL_PY_BEGIN_CRITICAL((PyObject *)context);
    was_stopped = context->is_stopped;
    context->task = NULL;
    context->runner = 0;
    context->is_stopped = false;
    FOL_PY_END_CRITICAL();
    if (was_stopped) {
        take_back_stop(context->scheduler);
    }
    return was_stopped;
}

/* Ends a process that a system forked beside others: the threads that run the rest of the frame are
 * not here, nor is, on a helper, the one that drives; so there is nowhere to return to. */
static void end_forked_child(PyObject *result)
{
    PyObject *error = result == NULL ? fol_py_take_error() : Py_NewRef(Py_None);
    PyObject *module = PyImport_ImportModule("foliot._scheduler");
    if (module != NULL) {
        PyObject_CallMethod(module, "_end_forked_child", "O", error);
    }
    /* It has not come so far unless something failed. */
    PyErr_Print();
    _exit(1);
}

/* The call every hosted system comes down to: one vector call with the context as argument. *status
 * gets what the core is told when the result is NULL. */
static inline PyObject *call_with(fol_py_context *context, PyObject *function, fol_task *task,
                                  int *status)
{
    PyObject *arguments[2] = {NULL, (PyObject *)context};
    if (!begin_run(context, task)) {
        *status = FOL_E_INTERRUPTED;
        return NULL;
    }
    PyObject *result =
        PyObject_Vectorcall(function, arguments + 1, 1 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    if (task->is_beside_others && context->scheduler->fork_count != fol_py_fork_count()) {
        end_forked_child(result);
    }
    bool was_stopped = end_run(context);
    if (context->is_looked_at) {
        fol_py_context_end_use(context);
    }
    if (result == NULL) {
        bool is_answer = was_stopped && PyErr_ExceptionMatches(PyExc_KeyboardInterrupt);
        *status = is_answer ? finish_stopped(context) : fol_py_keep_error(context, false);
    }
    return result;
}

int fol_py_run_hosted(void *user, fol_task *task)
{
    fol_py_context *context = user;
    int status = 0;
    PyObject *result = call_with(context, context->function, task, &status);
    Py_XDECREF(result);
    return status;
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
    int status = 0;
    context->is_in_condition = true;
    PyObject *result = call_with(context, context->condition, task, &status);
    context->is_in_condition = false;
    if (result == NULL) {
        return status;
    }
    int answer = PyObject_IsTrue(result);
    Py_DECREF(result);
    return answer < 0 ? fol_py_keep_error(context, false) : answer;
}
