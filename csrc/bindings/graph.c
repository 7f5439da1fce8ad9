/* Task graphs as Python objects: made of arrays or of a Standard Task Graph text, and run.
 *
 * The object keeps the names of its tasks, so that what goes wrong in the core is told by them. A
 * graph never changes, so any number of threads may run one; runs without a policy of Python hold
 * no interpreter lock.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "bindings/graph.h"
#include "bindings/types.h"

#define SENTENCE_BYTES 1024

int fol_py_take_array(PyObject *given, const char *what, char kind, Py_ssize_t size,
                      Py_ssize_t count, bool is_written, fol_py_array *out)
{
    int flags = PyBUF_FORMAT | PyBUF_C_CONTIGUOUS | (is_written ? PyBUF_WRITABLE : 0);
    if (PyObject_GetBuffer(given, &out->view, flags) < 0) {
        return -1;
    }
    out->is_held = true;
    const char *format = out->view.format == NULL ? "B" : out->view.format;
    format += strchr("@=<", format[0]) != NULL ? 1 : 0;
    const char *allowed = kind == 'i' ? "qli" : "QLI";
    bool is_of_kind = format[0] != '\0' && strchr(allowed, format[0]) != NULL;
    if (!is_of_kind || out->view.itemsize != size || out->view.ndim != 1 ||
        (count >= 0 && out->view.len / size != count)) {
        PyErr_Format(PyExc_ValueError, "%s is an array of %zd %ssigned integers of %zd bytes", what,
                     count, kind == 'i' ? "" : "un", size);
        return -1;
    }
    return 0;
}

void fol_py_release_array(fol_py_array *array)
{
    if (array->is_held) {
        PyBuffer_Release(&array->view);
        array->is_held = false;
    }
}

static fol_py_graph *wrap(PyTypeObject *type, fol_sim_graph *graph, PyObject *names)
{
    fol_py_graph *self = (fol_py_graph *)type->tp_alloc(type, 0);
    if (self == NULL) {
        fol_sim_graph_destroy(graph);
        return NULL;
    }
    self->graph = graph;
    self->names = Py_NewRef(names);
    return self;
}

/* "a -> b -> a"; new reference. */
static PyObject *cycle_text(const fol_sim_graph_fault *fault, PyObject *names)
{
    PyObject *parts = PyList_New(0);
    PyObject *arrow = PyUnicode_FromString(" -> ");
    PyObject *text = NULL;
    if (parts == NULL || arrow == NULL) {
        goto done;
    }
    for (uint32_t i = 0; i < fault->cycle_length && i < FOL_GRAPH_CYCLE_SHOWN; i++) {
        if (PyList_Append(parts, PyTuple_GET_ITEM(names, fault->cycle[i])) < 0) {
            goto done;
        }
    }
    if (fault->cycle_length > FOL_GRAPH_CYCLE_SHOWN) {
        PyObject *more =
            PyUnicode_FromFormat("(%u more)", fault->cycle_length - FOL_GRAPH_CYCLE_SHOWN);
        if (more == NULL || PyList_Append(parts, more) < 0) {
            Py_XDECREF(more);
            goto done;
        }
        Py_DECREF(more);
    }
    if (PyList_Append(parts, PyTuple_GET_ITEM(names, fault->cycle[0])) == 0) {
        text = PyUnicode_Join(arrow, parts);
    }
done:
    Py_XDECREF(parts);
    Py_XDECREF(arrow);
    return text;
}

/* A fault of the core by the names of the tasks. Returns -1. */
static int raise_fault(fol_py_state *state, int status, const fol_sim_graph_fault *fault,
                       PyObject *names)
{
    PyObject *task =
        fault->task < PyTuple_GET_SIZE(names) ? PyTuple_GET_ITEM(names, fault->task) : NULL;
    PyObject *other =
        fault->other < PyTuple_GET_SIZE(names) ? PyTuple_GET_ITEM(names, fault->other) : NULL;
    PyObject *cycle;
    switch (fault->kind) {
    case FOL_GRAPH_FAULT_NONE:
        return fol_py_raise(state, status, NULL);
    case FOL_GRAPH_FAULT_SHAPE:
        return fol_py_raise(state, status,
                            "the arrays of a graph do not fit each other, or it has more than %u "
                            "tasks or 2**32 - 1 edges",
                            FOL_GRAPH_MAX_TASKS);
    case FOL_GRAPH_FAULT_COST:
        return fol_py_raise(state, status, "the cost of task `%U` is at least 0", task);
    case FOL_GRAPH_FAULT_UNKNOWN:
        return fol_py_raise(state, status, "a predecessor of task `%U` is number %u, which is none",
                            task, fault->other);
    case FOL_GRAPH_FAULT_TWICE:
        return fol_py_raise(state, status, "task `%U` names its predecessor `%U` twice", task,
                            other);
    case FOL_GRAPH_FAULT_LANE:
        return fol_py_raise(state, status, "the lane of task `%U` is none", task);
    case FOL_GRAPH_FAULT_SUM:
        return fol_py_raise(state, status,
                            "the costs exceed 2**63 - 2 in sum with that of task `%U`", task);
    case FOL_GRAPH_FAULT_CYCLE:
        cycle = cycle_text(fault, names);
        if (cycle != NULL) {
            fol_py_raise(state, status, "the tasks wait for each other in a cycle: %U", cycle);
            Py_DECREF(cycle);
        }
        return -1;
    }
    return fol_py_raise(state, status, NULL);
}

static PyObject *graph_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"names", "costs",      "first", "predecessors",
                               "lanes", "lane_count", NULL};
    PyObject *names;
    PyObject *given[4];
    unsigned int lane_count = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!OOOOI:SimGraph", keywords, &PyTuple_Type,
                                     &names, &given[0], &given[1], &given[2], &given[3],
                                     &lane_count)) {
        return NULL;
    }
    Py_ssize_t count = PyTuple_GET_SIZE(names);
    fol_py_array arrays[4] = {0};
    fol_py_graph *self = NULL;
    bool has_lanes = given[3] != Py_None;
    if (fol_py_take_array(given[0], "costs", 'i', 8, count, false, &arrays[0]) < 0 ||
        fol_py_take_array(given[1], "first", 'u', 8, count + 1, false, &arrays[1]) < 0) {
        goto done;
    }
    const uint64_t *first = arrays[1].view.buf;
    /* More than any array can have is refused as such an array. */
    Py_ssize_t edges = first[count] > PY_SSIZE_T_MAX ? PY_SSIZE_T_MAX : (Py_ssize_t)first[count];
    if (fol_py_take_array(given[2], "predecessors", 'u', 4, edges, false, &arrays[2]) < 0 ||
        (has_lanes && fol_py_take_array(given[3], "lanes", 'u', 4, count, false, &arrays[3]) < 0)) {
        goto done;
    }
    fol_sim_graph_spec spec = {
        .count = count > FOL_GRAPH_MAX_TASKS ? UINT32_MAX : (uint32_t)count,
        .lane_count = lane_count,
        .costs = arrays[0].view.buf,
        .first = first,
        .predecessors = arrays[2].view.buf,
        .lanes = has_lanes ? arrays[3].view.buf : NULL,
    };
    fol_sim_graph *graph;
    fol_sim_graph_fault fault;
    int status;
    Py_BEGIN_ALLOW_THREADS status = fol_sim_graph_create(&spec, &graph, &fault);
    Py_END_ALLOW_THREADS if (status != FOL_OK)
    {
        raise_fault(fol_py_state_of(type), status, &fault, names);
    }
    else
    {
        self = wrap(type, graph, names);
    }
done:
    for (size_t i = 0; i < 4; i++) {
        fol_py_release_array(&arrays[i]);
    }
    return (PyObject *)self;
}

static PyObject *names_of_ids(const uint64_t *ids, uint32_t count)
{
    PyObject *names = PyTuple_New(count);
    for (uint32_t i = 0; names != NULL && i < count; i++) {
        PyObject *name = PyUnicode_FromFormat("%llu", (unsigned long long)ids[i]);
        if (name == NULL) {
            Py_CLEAR(names);
        } else {
            PyTuple_SET_ITEM(names, i, name);
        }
    }
    return names;
}

static int raise_stg(fol_py_state *state, int status, const fol_stg_fault *fault, const char *text,
                     PyObject *where)
{
    if (fault->kind == FOL_STG_FAULT_NONE) {
        return fol_py_raise(state, status, NULL);
    }
    char sentence[SENTENCE_BYTES];
    fol_stg_explain(fault, text, sentence, sizeof(sentence));
    return fol_py_raise(state, status, "%U, line %llu, column %llu: %s", where,
                        (unsigned long long)fault->line, (unsigned long long)fault->column,
                        sentence);
}

static PyObject *graph_parse_stg(PyObject *type, PyObject *args)
{
    Py_buffer text;
    PyObject *where;
    if (!PyArg_ParseTuple(args, "y*U:parse_stg", &text, &where)) {
        return NULL;
    }
    fol_sim_graph *graph = NULL;
    uint64_t *ids = NULL;
    fol_stg_fault fault;
    int status;
    PyObject *self = NULL;
    Py_BEGIN_ALLOW_THREADS status = fol_stg_parse(text.buf, (size_t)text.len, &graph, &ids, &fault);
    Py_END_ALLOW_THREADS if (status != FOL_OK)
    {
        raise_stg(fol_py_state_of((PyTypeObject *)type), status, &fault, text.buf, where);
        goto done;
    }
    PyObject *names = names_of_ids(ids, fol_sim_graph_count(graph));
    fol_stg_release_ids(ids);
    if (names == NULL) {
        fol_sim_graph_destroy(graph);
        goto done;
    }
    self = (PyObject *)wrap((PyTypeObject *)type, graph, names);
    Py_DECREF(names);
done:
    PyBuffer_Release(&text);
    return self;
}

static int graph_traverse(PyObject *object, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(((fol_py_graph *)object)->names);
    return 0;
}

static int graph_clear(PyObject *object)
{
    Py_CLEAR(((fol_py_graph *)object)->names);
    return 0;
}

static void graph_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    graph_clear(object);
    fol_sim_graph_destroy(((fol_py_graph *)object)->graph);
    type->tp_free(object);
    Py_DECREF(type);
}

static const fol_sim_graph *graph_of(PyObject *object)
{
    return ((fol_py_graph *)object)->graph;
}

static Py_ssize_t graph_length(PyObject *object)
{
    return fol_sim_graph_count(graph_of(object));
}

static PyObject *graph_names(PyObject *object, void *Py_UNUSED(closure))
{
    return Py_NewRef(((fol_py_graph *)object)->names);
}

static PyObject *graph_edges(PyObject *object, void *Py_UNUSED(closure))
{
    return PyLong_FromUnsignedLongLong(fol_sim_graph_edges(graph_of(object)));
}

static PyObject *graph_work(PyObject *object, void *Py_UNUSED(closure))
{
    return PyLong_FromLongLong(fol_sim_graph_work(graph_of(object)));
}

static PyObject *graph_critical_path(PyObject *object, void *Py_UNUSED(closure))
{
    return PyLong_FromLongLong(fol_sim_graph_critical_path(graph_of(object)));
}

static PyObject *graph_critical_tasks(PyObject *object, PyObject *Py_UNUSED(unused))
{
    const fol_sim_graph *graph = graph_of(object);
    PyObject *names = ((fol_py_graph *)object)->names;
    uint32_t *path = PyMem_New(uint32_t, (size_t)fol_sim_graph_count(graph) + 1);
    if (path == NULL) {
        return PyErr_NoMemory();
    }
    uint32_t length = fol_sim_graph_critical_tasks(graph, path);
    PyObject *list = PyList_New(length);
    for (uint32_t i = 0; list != NULL && i < length; i++) {
        PyList_SET_ITEM(list, i, Py_NewRef(PyTuple_GET_ITEM(names, path[i])));
    }
    PyMem_Free(path);
    return list;
}

static PyObject *graph_lower_bound(PyObject *object, PyObject *given)
{
    long cpus = PyLong_AsLong(given);
    if (cpus == -1 && PyErr_Occurred()) {
        return NULL;
    }
    if (cpus < 1 || cpus > (long)FOL_GRAPH_MAX_CPUS) {
        return PyErr_Format(PyExc_ValueError, "cpus is from 1 to %u, got %ld", FOL_GRAPH_MAX_CPUS,
                            cpus);
    }
    return PyLong_FromLongLong(fol_sim_graph_lower_bound(graph_of(object), (uint32_t)cpus));
}

/* (cost, predecessors, lane or None) by number. */
static PyObject *graph_task(PyObject *object, PyObject *given)
{
    const fol_sim_graph *graph = graph_of(object);
    Py_ssize_t task = PyLong_AsSsize_t(given);
    if (task == -1 && PyErr_Occurred()) {
        return NULL;
    }
    if (task < 0 || task >= (Py_ssize_t)fol_sim_graph_count(graph)) {
        return PyErr_Format(PyExc_IndexError, "there is no task %zd", task);
    }
    uint64_t count;
    const uint32_t *before = fol_sim_graph_predecessors(graph, (uint32_t)task, &count);
    PyObject *list = PyList_New((Py_ssize_t)count);
    for (uint64_t i = 0; list != NULL && i < count; i++) {
        PyObject *number = PyLong_FromUnsignedLong(before[i]);
        if (number == NULL) {
            Py_CLEAR(list);
        } else {
            PyList_SET_ITEM(list, (Py_ssize_t)i, number);
        }
    }
    if (list == NULL) {
        return NULL;
    }
    uint32_t lane = fol_sim_graph_lane(graph, (uint32_t)task);
    long long cost = fol_sim_graph_cost(graph, (uint32_t)task);
    return lane == FOL_NO_LANE ? Py_BuildValue("(LNO)", cost, list, Py_None)
                               : Py_BuildValue("(LNI)", cost, list, (unsigned int)lane);
}

static PyMethodDef graph_methods[] = {
    {"parse_stg", graph_parse_stg, METH_VARARGS | METH_CLASS,
     "parse_stg($type, text, where, /)\n--\n\n"
     "A graph of the text of a Standard Task Graph file, which errors call by `where`."},
    {"critical_tasks", graph_critical_tasks, METH_NOARGS,
     "critical_tasks($self)\n--\n\nNames of the tasks on a longest way, first to last."},
    {"lower_bound", graph_lower_bound, METH_O,
     "lower_bound($self, cpus, /)\n--\n\nNo run on so many CPUs can be shorter."},
    {"task", graph_task, METH_O,
     "task($self, number, /)\n--\n\n(cost, predecessors by number, lane or None)."},
    {"run", (PyCFunction)(void (*)(void))fol_py_graph_run, METH_VARARGS | METH_KEYWORDS,
     "run($self, order, cpus, seed, costs, out, policy=None, progress=None)\n--\n\n"
     "Run it into arrays (release, start, finish, cpu); what else there is to say, as a dict."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef graph_getset[] = {
    {"names", graph_names, NULL, "Names of the tasks.", NULL},
    {"edges", graph_edges, NULL, "How many edges there are.", NULL},
    {"work", graph_work, NULL, "The sum of all costs.", NULL},
    {"critical_path", graph_critical_path, NULL, "The largest sum of costs along a way.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(graph_doc, "SimGraph(names, costs, first, predecessors, lanes, lane_count)\n--\n\n"
                        "A task graph of arrays; foliot.sim.Graph is made of one.");

static PyType_Slot graph_slots[] = {
    {Py_tp_doc, (void *)graph_doc},   {Py_tp_new, graph_new},       {Py_tp_dealloc, graph_dealloc},
    {Py_tp_traverse, graph_traverse}, {Py_tp_clear, graph_clear},   {Py_tp_methods, graph_methods},
    {Py_tp_getset, graph_getset},     {Py_sq_length, graph_length}, {0, NULL},
};

static PyType_Spec graph_spec = {
    .name = "foliot._core.SimGraph",
    .basicsize = sizeof(fol_py_graph),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = graph_slots,
};

int fol_py_add_graph_type(fol_py_state *state)
{
    PyTypeObject *type = NULL;
    int status = fol_py_add_type(state, &graph_spec, NULL, &type);
    /* The module keeps it. */
    Py_XDECREF(type);
    return status;
}
