/* From declared systems to a core plan: every constraint crosses in one call.
 *
 * Names were given ids in Python. What is left per pair of systems is one look-up in a dict, so
 * that a schedule with a total order of a thousand systems is read in milliseconds.
 */
#include "bindings/plan.h"

#include <errno.h>

/* A node's code in the dict of nodes: id * 2, plus 1 for a set. */
static fol_node_ref node_of_code(long code)
{
    fol_node_ref node = {.kind = (code & 1) != 0 ? FOL_NODE_SET : FOL_NODE_SYSTEM,
                         .id = (uint32_t)(code >> 1)};
    return node;
}

static int raise_schedule_status(fol_py_state *state, int status, const fol_schedule *schedule)
{
    if (status == FOL_E_CAPACITY) {
        return fol_py_raise(state, status, "the schedule has no room for more: %s is reached",
                            fol_schedule_full_setting(schedule));
    }
    return fol_py_raise(state, status, NULL);
}

static int read_ids(PyObject *tuple, fol_py_scratch *scratch, fol_id_list *out)
{
    if (!PyTuple_Check(tuple)) {
        PyErr_Format(PyExc_TypeError, "ids stand in a tuple, got %R", tuple);
        return -1;
    }
    Py_ssize_t count = PyTuple_GET_SIZE(tuple);
    uint32_t *ids = NULL;
    if (count > 0) {
        ids = fol_py_scratch_take(scratch, (size_t)count * sizeof(*ids));
        if (ids == NULL) {
            return -1;
        }
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        unsigned long id = PyLong_AsUnsignedLong(PyTuple_GET_ITEM(tuple, i));
        if (id == (unsigned long)-1 && PyErr_Occurred()) {
            return -1;
        }
        ids[i] = (uint32_t)id;
    }
    *out = (fol_id_list){.ids = ids, .count = (size_t)count};
    return 0;
}

/* A tuple of (reads, writes, required, excluded). */
static int read_queries(PyObject *tuple, fol_py_scratch *scratch, fol_system_spec *spec)
{
    Py_ssize_t count = PyTuple_GET_SIZE(tuple);
    fol_query_access *queries =
        fol_py_scratch_take(scratch, ((size_t)count + 1) * sizeof(*queries));
    if (queries == NULL) {
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *parts[4];
        if (!PyArg_ParseTuple(PyTuple_GET_ITEM(tuple, i), "OOOO", &parts[0], &parts[1], &parts[2],
                              &parts[3])) {
            return -1;
        }
        if (read_ids(parts[0], scratch, &queries[i].reads) < 0 ||
            read_ids(parts[1], scratch, &queries[i].writes) < 0 ||
            read_ids(parts[2], scratch, &queries[i].required) < 0 ||
            read_ids(parts[3], scratch, &queries[i].excluded) < 0) {
            return -1;
        }
    }
    spec->queries = queries;
    spec->query_count = (size_t)count;
    return 0;
}

/* (name, phase, exclusive, commands, io, holds, queries, resource reads, resource writes, sets) */
static int add_system(fol_py_state *state, fol_schedule *schedule, PyObject *record,
                      fol_py_scratch *scratch)
{
    fol_system_spec spec = {.name = NULL};
    int is_exclusive, records_commands, does_io, holds_interpreter;
    unsigned int phase;
    PyObject *queries, *reads, *writes, *sets;
    if (!PyArg_ParseTuple(record, "sIppppO!OOO", &spec.name, &phase, &is_exclusive,
                          &records_commands, &does_io, &holds_interpreter, &PyTuple_Type, &queries,
                          &reads, &writes, &sets)) {
        return -1;
    }
    spec.phase = phase;
    spec.is_exclusive = is_exclusive != 0;
    spec.records_commands = records_commands != 0;
    spec.does_io = does_io != 0;
    spec.holds_interpreter = holds_interpreter != 0;
    if (read_queries(queries, scratch, &spec) < 0 ||
        read_ids(reads, scratch, &spec.resource_reads) < 0 ||
        read_ids(writes, scratch, &spec.resource_writes) < 0 ||
        read_ids(sets, scratch, &spec.sets) < 0) {
        return -1;
    }
    uint32_t id;
    int status = fol_schedule_add_system(schedule, &spec, &id);
    return status == 0 ? 0 : raise_schedule_status(state, status, schedule);
}

static int add_systems(fol_py_state *state, fol_schedule *schedule, PyObject *specs)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(specs); i++) {
        fol_py_scratch scratch;
        fol_py_scratch_init(&scratch);
        int failed = add_system(state, schedule, PyList_GET_ITEM(specs, i), &scratch);
        fol_py_scratch_release(&scratch);
        if (failed != 0) {
            return -1;
        }
    }
    return 0;
}

typedef int (*name_adder)(fol_schedule *schedule, const char *name, uint32_t *out);

static int add_names(fol_py_state *state, fol_schedule *schedule, PyObject *names, name_adder add)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(names); i++) {
        const char *name = PyUnicode_AsUTF8(PyTuple_GET_ITEM(names, i));
        if (name == NULL) {
            return -1;
        }
        uint32_t id;
        int status = add(schedule, name, &id);
        if (status != 0) {
            return raise_schedule_status(state, status, schedule);
        }
    }
    return 0;
}

/* One side of a node's constraints: everything in `keys` against the node itself. */
static int add_keys(fol_py_state *state, fol_schedule *schedule, long owner, PyObject *keys,
                    PyObject *nodes, bool owner_is_first, PyObject *on_unknown)
{
    fol_node_ref self = node_of_code(owner);
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(keys); i++) {
        PyObject *key = PyTuple_GET_ITEM(keys, i);
        PyObject *code = PyDict_GetItemWithError(nodes, key);
        if (code == NULL) {
            if (!PyErr_Occurred()) {
                Py_XDECREF(PyObject_CallFunction(on_unknown, "lO", owner, key));
            }
            if (!PyErr_Occurred()) {
                PyErr_SetString(PyExc_SystemError, "an unknown system raised nothing");
            }
            return -1;
        }
        long number = PyLong_AsLong(code);
        if (number < 0) {
            return -1;
        }
        fol_node_ref other = node_of_code(number);
        int status = owner_is_first ? fol_schedule_add_order(schedule, self, other)
                                    : fol_schedule_add_order(schedule, other, self);
        if (status != 0) {
            return raise_schedule_status(state, status, schedule);
        }
    }
    return 0;
}

/* (code, before, after): the node stands before all of the one and after all of the other. */
static int add_orders(fol_py_state *state, fol_schedule *schedule, PyObject *nodes,
                      PyObject *orders, PyObject *on_unknown)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(orders); i++) {
        long owner;
        PyObject *before, *after;
        if (!PyArg_ParseTuple(PyList_GET_ITEM(orders, i), "lO!O!", &owner, &PyTuple_Type, &before,
                              &PyTuple_Type, &after)) {
            return -1;
        }
        if (add_keys(state, schedule, owner, before, nodes, true, on_unknown) < 0 ||
            add_keys(state, schedule, owner, after, nodes, false, on_unknown) < 0) {
            return -1;
        }
    }
    return 0;
}

static fol_plan *make_plan(fol_py_state *state, const fol_schedule *schedule)
{
    fol_plan *plan = NULL;
    fol_plan_error error = {.kind = FOL_PLAN_NO_ERROR};
    int status;
    Py_BEGIN_ALLOW_THREADS;
    status = fol_plan_create(schedule, &plan, &error);
    Py_END_ALLOW_THREADS;
    if (status == FOL_E_CYCLE) {
        fol_py_raise(state, status, "%s", error.message);
    } else if (status != 0) {
        fol_py_raise(state, status, NULL);
    }
    return status == 0 ? plan : NULL;
}

fol_plan *fol_py_plan_build(fol_py_state *state, PyObject *phases, PyObject *resources,
                            PyObject *sets, PyObject *specs, PyObject *nodes, PyObject *orders,
                            PyObject *on_unknown)
{
    const fol_schedule_limits limits = {.max_systems = FOL_SCHEDULE_MAX_SYSTEMS,
                                        .max_resources = FOL_SCHEDULE_MAX_RESOURCES};
    fol_schedule *schedule;
    int status = fol_schedule_create(&limits, &schedule);
    if (status != 0) {
        fol_py_raise(state, status, NULL);
        return NULL;
    }
    fol_plan *plan = NULL;
    if (add_names(state, schedule, phases, fol_schedule_add_phase) == 0 &&
        add_names(state, schedule, resources, fol_schedule_add_resource) == 0 &&
        add_names(state, schedule, sets, fol_schedule_add_set) == 0 &&
        add_systems(state, schedule, specs) == 0 &&
        add_orders(state, schedule, nodes, orders, on_unknown) == 0) {
        plan = make_plan(state, schedule);
    }
    fol_schedule_destroy(schedule);
    return plan;
}
