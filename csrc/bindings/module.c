/* The extension module foliot._core: its state, its functions, and the order things are loaded in.
 *
 * Multi-phase initialisation with per-module state. numpy cannot be loaded twice in a process, so
 * neither can foliot: in a subinterpreter the import fails and says so.
 */
#include "bindings/batch.h"
#include "bindings/bindings.h"

#include "bindings/errors.h"
#include "bindings/machine.h"
#include "bindings/policy.h"
#include "bindings/types.h"
#include "foliot/memory.h"

#if defined(__has_include)
#if __has_include("bindings/census.h")
#include "bindings/census.h"
#define HAS_CENSUS 1
#endif
#endif

static struct PyModuleDef module_definition;

fol_py_state *fol_py_state_of_module(PyObject *module)
{
    return PyModule_GetState(module);
}

fol_py_state *fol_py_state_of(PyTypeObject *type)
{
    PyObject *module = PyType_GetModuleByDef(type, &module_definition);
    if (module == NULL) {
        Py_FatalError("a type of foliot has lost its module");
    }
    return PyModule_GetState(module);
}

int fol_py_add_type(fol_py_state *state, PyType_Spec *spec, PyObject *bases, PyTypeObject **out)
{
    PyObject *type = PyType_FromModuleAndSpec(state->module, spec, bases);
    if (type == NULL) {
        return -1;
    }
    *out = (PyTypeObject *)type;
    const char *last = strrchr(spec->name, '.');
    const char *name = last == NULL ? spec->name : last + 1;
    return name[0] == '_' ? 0 : PyModule_AddObjectRef(state->module, name, type);
}

static PyObject *memory_stats(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused))
{
    fol_memory_stats stats;
    fol_memory_read_stats(&stats);
    return Py_BuildValue("{s:K,s:K,s:K}", "allocations", (unsigned long long)stats.allocations,
                         "frees", (unsigned long long)stats.frees, "live_blocks",
                         (unsigned long long)stats.live_blocks);
}

static PyObject *fail_nth_allocation(PyObject *Py_UNUSED(module), PyObject *argument)
{
    unsigned long long n = PyLong_AsUnsignedLongLong(argument);
    if (n == (unsigned long long)-1 && PyErr_Occurred()) {
        return NULL;
    }
    fol_memory_fail_nth(n);
    Py_RETURN_NONE;
}

static PyObject *allocation_failure_is_armed(PyObject *Py_UNUSED(module),
                                             PyObject *Py_UNUSED(unused))
{
    return PyBool_FromLong(fol_memory_failure_is_armed());
}

PyDoc_STRVAR(memory_stats_doc,
             "memory_stats($module)\n--\n\n"
             "Counts of the core's allocator: {\"allocations\", \"frees\", \"live_blocks\"}.");
PyDoc_STRVAR(fail_nth_allocation_doc,
             "fail_nth_allocation($module, n, /)\n--\n\n"
             "Make the n-th allocation of the core from now fail once; 0 switches it off. For "
             "tests.");
PyDoc_STRVAR(failure_is_armed_doc,
             "allocation_failure_is_armed($module)\n--\n\n"
             "Whether a failure asked for by fail_nth_allocation is still to come.");
PyDoc_STRVAR(topology_doc,
             "topology($module)\n--\n\nProcessors, caches and quotas of this process.");
PyDoc_STRVAR(
    probe_io_uring_doc,
    "probe_io_uring($module)\n--\n\nWhat io_uring of this kernel offers, found by trying it.");

static PyMethodDef module_methods[] = {
    {"memory_stats", memory_stats, METH_NOARGS, memory_stats_doc},
    {"fail_nth_allocation", fail_nth_allocation, METH_O, fail_nth_allocation_doc},
    {"allocation_failure_is_armed", allocation_failure_is_armed, METH_NOARGS, failure_is_armed_doc},
    {"topology", fol_py_topology, METH_NOARGS, topology_doc},
    {"probe_io_uring", fol_py_probe_io_uring, METH_NOARGS, probe_io_uring_doc},
    {NULL, NULL, 0, NULL},
};

/* One attribute of a module that is imported for it. */
static int load(const char *module_name, const char *name, PyObject **out)
{
    PyObject *module = PyImport_ImportModule(module_name);
    if (module == NULL) {
        return -1;
    }
    *out = PyObject_GetAttrString(module, name);
    Py_DECREF(module);
    return *out == NULL ? -1 : 0;
}

PyObject *fol_py_load_once(fol_py_state *state, PyObject **place, const char *module,
                           const char *name)
{
    PyObject *kept;
    FOL_PY_BEGIN_CRITICAL(state->module);
    kept = *place;
    FOL_PY_END_CRITICAL();
    PyObject *made = NULL;
    if (kept != NULL || load(module, name, &made) < 0) {
        return kept;
    }
    /* Threads that come here together agree on one. */
    FOL_PY_BEGIN_CRITICAL(state->module);
    if (*place == NULL) {
        *place = Py_NewRef(made);
    }
    kept = *place;
    FOL_PY_END_CRITICAL();
    Py_DECREF(made);
    return kept;
}

static int load_names(fol_py_state *state)
{
    static const char *const texts[] = {
#define NAME_TEXT(name) #name,
        FOL_PY_NAMES(NAME_TEXT)
#undef NAME_TEXT
    };
    for (size_t i = 0; i < FOL_PY_NAME_COUNT; i++) {
        state->names[i] = PyUnicode_InternFromString(texts[i]);
        if (state->names[i] == NULL) {
            return -1;
        }
    }
    return 0;
}

static int load_constants(fol_py_state *state)
{
    PyObject *weak_dictionary = NULL;
    PyObject *dtype = NULL;
    int status = -1;
    if (load("numpy", "ndarray", &state->ndarray) < 0 || load("numpy", "dtype", &dtype) < 0 ||
        load("foliot._config", "Config", &state->config_type) < 0 ||
        load("foliot._columns", "prepare", &state->column_prepare) < 0 ||
        load("weakref", "WeakKeyDictionary", &weak_dictionary) < 0) {
        goto done;
    }
    state->entity_dtype = PyObject_CallFunction(dtype, "s", "u8");
    state->class_components = PyObject_CallNoArgs(weak_dictionary);
    state->empty_tuple = PyTuple_New(0);
    state->ellipsis_key = PyTuple_Pack(1, Py_Ellipsis);
    if (state->entity_dtype != NULL && state->class_components != NULL &&
        state->empty_tuple != NULL && state->ellipsis_key != NULL) {
        status = 0;
    }
done:
    Py_XDECREF(dtype);
    Py_XDECREF(weak_dictionary);
    return status;
}

static int refuse_subinterpreters(void)
{
    if (PyInterpreterState_Get() != PyInterpreterState_Main()) {
        PyErr_SetString(PyExc_ImportError,
                        "foliot works in the main interpreter only: numpy, which it stands on, "
                        "cannot be loaded into a subinterpreter");
        return -1;
    }
    return 0;
}

static int module_exec(PyObject *module)
{
    fol_py_state *state = PyModule_GetState(module);
    if (refuse_subinterpreters() < 0) {
        return -1;
    }
    state->module = module;
    if (fol_py_load_errors(state) < 0 || load_names(state) < 0 || load_constants(state) < 0 ||
        fol_py_add_component_types(state) < 0 || fol_py_add_value_types(state) < 0 ||
        fol_py_add_entity_type(state) < 0 || fol_py_add_memory_types(state) < 0 ||
        fol_py_add_column_types(state) < 0 || fol_py_add_cells_type(state) < 0 ||
        fol_py_add_chunk_type(state) < 0 || fol_py_add_query_types(state) < 0 ||
        fol_py_add_batch_types(state) < 0 || fol_py_add_resource_type(state) < 0 ||
        fol_py_add_world_type(state) < 0 || fol_py_add_fair_type(state) < 0 ||
        fol_py_add_budget_types(state) < 0 || fol_py_add_analysis(state) < 0 ||
        fol_py_add_graph_type(state) < 0 || fol_py_add_sim_types(state) < 0) {
        return -1;
    }
#ifdef HAS_CENSUS
    if (fol_py_add_census(module) < 0) {
        return -1;
    }
#endif
#if FOL_PY_HAS_SCHEDULER
    if (fol_py_scheduler_exec(module, state) < 0) {
        return -1;
    }
#endif
    if (fol_py_add_policy_types(state) < 0) {
        return -1;
    }
    return 0;
}

/* The object references of the state that are not types, in one place for traverse and clear. */
#define FOR_EACH_OBJECT(X)                                                                         \
    X(ndarray)                                                                                     \
    X(entity_dtype)                                                                                \
    X(config_type)                                                                                 \
    X(column_prepare)                                                                              \
    X(class_components)                                                                            \
    X(empty_tuple)                                                                                 \
    X(ellipsis_key)

#define FOR_EACH_TYPE(X)                                                                           \
    X(component_type)                                                                              \
    X(field_type)                                                                                  \
    X(value_type)                                                                                  \
    X(entity_type)                                                                                 \
    X(world_type)                                                                                  \
    X(query_core_type)                                                                             \
    X(query_type)                                                                                  \
    X(chunk_iterator_type)                                                                         \
    X(batch_iterator_type)                                                                         \
    X(chunk_type)                                                                                  \
    X(columns_type)                                                                                \
    X(cells_type)                                                                                  \
    X(memory_type)                                                                                 \
    X(bytes_type)                                                                                  \
    X(resource_view_type)

static int module_traverse(PyObject *module, visitproc visit, void *arg)
{
    fol_py_state *state = PyModule_GetState(module);
    for (size_t i = 0; i < FOL_PY_STATUS_COUNT; i++) {
        Py_VISIT(state->status_errors[i]);
    }
#define VISIT(name) Py_VISIT(state->name);
    FOR_EACH_OBJECT(VISIT)
    FOR_EACH_TYPE(VISIT)
#undef VISIT
#define VISIT(name) Py_VISIT(state->policy.name);
    FOL_PY_POLICY_REFERENCES(VISIT)
    FOL_PY_POLICY_OBJECTS(VISIT)
#undef VISIT
#if FOL_PY_HAS_SCHEDULER
    return fol_py_scheduler_traverse(state, visit, arg);
#else
    return 0;
#endif
}

static int module_clear(PyObject *module)
{
    fol_py_state *state = PyModule_GetState(module);
    for (size_t i = 0; i < FOL_PY_STATUS_COUNT; i++) {
        Py_CLEAR(state->status_errors[i]);
    }
    for (size_t i = 0; i < FOL_PY_NAME_COUNT; i++) {
        Py_CLEAR(state->names[i]);
    }
#define CLEAR(name) Py_CLEAR(state->name);
    FOR_EACH_OBJECT(CLEAR)
    FOR_EACH_TYPE(CLEAR)
#undef CLEAR
#define CLEAR(name) Py_CLEAR(state->policy.name);
    FOL_PY_POLICY_REFERENCES(CLEAR)
    FOL_PY_POLICY_OBJECTS(CLEAR)
#undef CLEAR
#if FOL_PY_HAS_SCHEDULER
    fol_py_scheduler_clear(state);
#endif
    return 0;
}

static void module_free(void *module)
{
    module_clear(module);
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec},
#ifdef Py_mod_multiple_interpreters
    {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED},
#endif
#ifdef Py_mod_gil
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

PyDoc_STRVAR(module_doc, "The compiled core of foliot. Import foliot, not this module.");

static struct PyModuleDef module_definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "foliot._core",
    .m_doc = module_doc,
    .m_size = sizeof(fol_py_state),
    .m_methods = module_methods,
    .m_slots = module_slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
    .m_free = module_free,
};

PyMODINIT_FUNC PyInit__core(void)
{
    return PyModuleDef_Init(&module_definition);
}
