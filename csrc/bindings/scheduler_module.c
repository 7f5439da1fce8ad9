/* The scheduler side of the module: its types, functions and part of the state. */
#include "bindings/io.h"
#include "bindings/scheduler.h"

#include "foliot/threads.h"

static PyObject *fail_nth_thread(PyObject *module, PyObject *argument)
{
    (void)module;
    unsigned long long n = PyLong_AsUnsignedLongLong(argument);
    if (n == (unsigned long long)-1 && PyErr_Occurred()) {
        return NULL;
    }
    fol_threads_fail_nth(n);
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"capsule_contents", fol_py_capsule_contents, METH_O,
     "capsule_contents(capsule, /)\n--\n\nAddress and name of a PyCapsule."},
    {"component_facts", fol_py_component_facts, METH_O,
     "component_facts(key, /)\n--\n\n"
     "(name, is_resource, storage) of a component or resource class."},
    {"fail_nth_thread", fail_nth_thread, METH_O,
     "fail_nth_thread(n, /)\n--\n\n"
     "Make the n-th worker thread from now not start, once; 0 switches it off. For tests."},
    {"make_signal_pipe", fol_py_make_signal_pipe, METH_NOARGS,
     "make_signal_pipe()\n--\n\n"
     "Make the process's pipe for signals, as the first wait that lasts does. For tests that "
     "count\n"
     "descriptors."},
    {"begin_exit", fol_py_begin_exit, METH_NOARGS,
     "begin_exit()\n--\n\nThis thread is about to close schedulers, for the interpreter's exit."},
    {"end_threads", fol_py_end_threads, METH_NOARGS,
     "end_threads()\n--\n\nEnd the worker threads, for the interpreter's exit."},
    {"forget_threads", fol_py_forget_threads, METH_NOARGS,
     "forget_threads()\n--\n\nA forked child has none of its parent's worker threads."},
    {NULL, NULL, 0, NULL},
};

static PyObject *backend_names(void)
{
    PyObject *list = PyList_New(0);
    for (size_t i = 0; list != NULL && fol_backend_names[i] != NULL; i++) {
        PyObject *name = PyUnicode_FromString(fol_backend_names[i]);
        if (name == NULL || PyList_Append(list, name) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(name);
    }
    PyObject *names = list == NULL ? NULL : PyList_AsTuple(list);
    Py_XDECREF(list);
    return names;
}

/* Adds an object whose reference it takes; NULL passes a failure on. */
static int add_tuple(PyObject *module, const char *name, PyObject *tuple)
{
    int status = tuple == NULL ? -1 : PyModule_AddObjectRef(module, name, tuple);
    Py_XDECREF(tuple);
    return status;
}

int fol_py_scheduler_exec(PyObject *module, fol_py_state *state)
{
    struct fol_py_scheduler_types *types = &state->scheduler;
    fol_py_watch_threads();
#ifdef Py_GIL_DISABLED
    types->is_gil_enabled = Py_XNewRef(PySys_GetObject("_is_gil_enabled"));
    if (types->is_gil_enabled == NULL) {
        PyErr_SetString(PyExc_ImportError, "sys has no _is_gil_enabled in a free-threaded build");
        return -1;
    }
#endif
    if (fol_py_add_type(state, &fol_py_plan_spec, NULL, &types->plan_type) < 0 ||
        fol_py_add_type(state, &fol_py_kernel_spec, NULL, &types->kernel_type) < 0 ||
        fol_py_add_type(state, &fol_py_context_spec, NULL, &types->context_type) < 0 ||
        fol_py_add_type(state, &fol_py_commands_spec, NULL, &types->commands_type) < 0 ||
        fol_py_add_type(state, &fol_py_scheduler_spec, NULL, &types->scheduler_type) < 0 ||
        fol_py_add_type(state, &fol_py_frame_result_spec, NULL, &types->frame_result_type) < 0 ||
        fol_py_add_type(state, &fol_py_clock_spec, NULL, &types->clock_type) < 0 ||
        fol_py_add_type(state, &fol_py_io_home_spec, NULL, &types->io_home_type) < 0 ||
        fol_py_add_type(state, &fol_py_io_spec, NULL, &types->io_type) < 0 ||
        fol_py_add_type(state, &fol_py_operation_spec, NULL, &types->operation_type) < 0 ||
        fol_py_add_type(state, &fol_py_bulk_spec, NULL, &types->bulk_type) < 0 ||
        PyModule_AddFunctions(module, functions) < 0) {
        return -1;
    }
    if (add_tuple(module, "BACKEND_NAMES", backend_names()) < 0) {
        return -1;
    }
    if (add_tuple(module, "TRACE_KINDS", fol_py_trace_kinds()) < 0) {
        return -1;
    }
    return add_tuple(module, "DECISION_KINDS", fol_py_decision_kinds());
}

#define FOR_EACH_REFERENCE(X)                                                                      \
    X(plan_type)                                                                                   \
    X(kernel_type)                                                                                 \
    X(context_type)                                                                                \
    X(commands_type)                                                                               \
    X(scheduler_type)                                                                              \
    X(frame_result_type)                                                                           \
    X(clock_type)                                                                                  \
    X(io_type)                                                                                     \
    X(io_home_type)                                                                                \
    X(operation_type)                                                                              \
    X(bulk_type)                                                                                   \
    X(stat_result)                                                                                 \
    X(timing_class)                                                                                \
    X(is_gil_enabled)

int fol_py_scheduler_traverse(fol_py_state *state, visitproc visit, void *arg)
{
#define VISIT(name) Py_VISIT(state->scheduler.name);
    FOR_EACH_REFERENCE(VISIT)
#undef VISIT
    return 0;
}

void fol_py_scheduler_clear(fol_py_state *state)
{
    fol_py_operation_drop_free_list(state);
#define CLEAR(name) Py_CLEAR(state->scheduler.name);
    FOR_EACH_REFERENCE(CLEAR)
#undef CLEAR
}
