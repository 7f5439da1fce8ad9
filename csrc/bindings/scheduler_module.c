/* The scheduler side of the module: its types, functions and part of the state. */
#include "bindings/scheduler.h"

static PyMethodDef functions[] = {
    {"capsule_contents", fol_py_capsule_contents, METH_O,
     "capsule_contents(capsule, /)\n--\n\nAddress and name of a PyCapsule."},
    {"component_facts", fol_py_component_facts, METH_O,
     "component_facts(key, /)\n--\n\n"
     "(name, is_resource, storage) of a component or resource class."},
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

int fol_py_scheduler_exec(PyObject *module, fol_py_state *state)
{
    struct fol_py_scheduler_types *types = &state->scheduler;
    if (fol_py_add_type(state, &fol_py_plan_spec, NULL, &types->plan_type) < 0 ||
        fol_py_add_type(state, &fol_py_kernel_spec, NULL, &types->kernel_type) < 0 ||
        fol_py_add_type(state, &fol_py_context_spec, NULL, &types->context_type) < 0 ||
        fol_py_add_type(state, &fol_py_commands_spec, NULL, &types->commands_type) < 0 ||
        fol_py_add_type(state, &fol_py_scheduler_spec, NULL, &types->scheduler_type) < 0 ||
        fol_py_add_type(state, &fol_py_frame_result_spec, NULL, &types->frame_result_type) < 0 ||
        fol_py_add_type(state, &fol_py_clock_spec, NULL, &types->clock_type) < 0 ||
        PyModule_AddFunctions(module, functions) < 0) {
        return -1;
    }
    PyObject *names = backend_names();
    int status = names == NULL ? -1 : PyModule_AddObjectRef(module, "BACKEND_NAMES", names);
    Py_XDECREF(names);
    return status;
}

#define FOR_EACH_REFERENCE(X)                                                                      \
    X(plan_type)                                                                                   \
    X(kernel_type)                                                                                 \
    X(context_type)                                                                                \
    X(commands_type)                                                                               \
    X(scheduler_type)                                                                              \
    X(frame_result_type)                                                                           \
    X(clock_type)                                                                                  \
    X(timing_class)

int fol_py_scheduler_traverse(fol_py_state *state, visitproc visit, void *arg)
{
#define VISIT(name) Py_VISIT(state->scheduler.name);
    FOR_EACH_REFERENCE(VISIT)
#undef VISIT
    return 0;
}

void fol_py_scheduler_clear(fol_py_state *state)
{
#define CLEAR(name) Py_CLEAR(state->scheduler.name);
    FOR_EACH_REFERENCE(CLEAR)
#undef CLEAR
}
