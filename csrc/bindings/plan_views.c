/* The longer answers of a plan, as lists of plain tuples; foliot.Plan gives them names. */
#include "bindings/plan.h"

#include <errno.h>

static PyObject *name_at(const fol_py_plan *plan, uint32_t system)
{
    return PyTuple_GET_ITEM(plan->names, system);
}

/* Appends an object whose reference it takes; NULL passes a failure on. */
static int append_taken(PyObject *list, PyObject *item)
{
    if (item == NULL) {
        return -1;
    }
    int status = PyList_Append(list, item);
    Py_DECREF(item);
    return status;
}

PyObject *fol_py_plan_edges(PyObject *object, PyObject *name)
{
    fol_py_plan *self = (fol_py_plan *)object;
    Py_ssize_t phase = fol_py_plan_phase_index(self, name);
    if (phase < 0) {
        return NULL;
    }
    const fol_edge *edges;
    size_t count;
    int status = fol_plan_edges(self->core, (uint32_t)phase, &edges, &count);
    if (status != 0) {
        fol_py_raise(self->state, status, NULL);
        return NULL;
    }
    PyObject *list = PyList_New(0);
    for (size_t i = 0; list != NULL && i < count; i++) {
        const char *reason = edges[i].reason == FOL_EDGE_EXPLICIT ? "explicit" : "conflict";
        if (append_taken(list, Py_BuildValue("(OOs)", name_at(self, edges[i].before),
                                             name_at(self, edges[i].after), reason)) < 0) {
            Py_CLEAR(list);
        }
    }
    return list;
}

/* The indices of a method's two systems. */
static int read_pair(fol_py_plan *plan, const char *method, PyObject *const *args, Py_ssize_t count,
                     uint32_t pair[2])
{
    if (count != 2) {
        PyErr_Format(PyExc_TypeError, "%s takes two systems, got %zd", method, count);
        return -1;
    }
    for (int i = 0; i < 2; i++) {
        Py_ssize_t index = fol_py_plan_index(plan, args[i]);
        if (index < 0) {
            return -1;
        }
        pair[i] = (uint32_t)index;
    }
    return 0;
}

static PyObject *resource_name(const fol_py_plan *plan, uint32_t resource)
{
    if (resource == FOL_RESOURCE_WORLD) {
        return PyUnicode_FromString("world");
    }
    if (resource == FOL_RESOURCE_COMMANDS) {
        return PyUnicode_FromString("commands");
    }
    return Py_NewRef(PyTuple_GET_ITEM(plan->resources, resource));
}

static PyObject *conflict_list(const fol_py_plan *plan, uint32_t a, uint32_t b)
{
    static const char *const modes[] = {"read", "write"};
    size_t count = fol_plan_conflicts(plan->core, a, b, NULL, 0);
    fol_conflict *conflicts = PyMem_New(fol_conflict, count + 1);
    if (conflicts == NULL) {
        return PyErr_NoMemory();
    }
    size_t again = fol_plan_conflicts(plan->core, a, b, conflicts, count);
    count = again < count ? again : count;
    PyObject *list = PyList_New(0);
    for (size_t i = 0; list != NULL && i < count; i++) {
        PyObject *item = Py_BuildValue("(Nss)", resource_name(plan, conflicts[i].resource),
                                       modes[conflicts[i].a], modes[conflicts[i].b]);
        if (append_taken(list, item) < 0) {
            Py_CLEAR(list);
        }
    }
    PyMem_Free(conflicts);
    return list;
}

PyObject *fol_py_plan_conflicts(PyObject *object, PyObject *const *args, Py_ssize_t count)
{
    fol_py_plan *self = (fol_py_plan *)object;
    uint32_t pair[2];
    if (read_pair(self, "conflicts", args, count, pair) < 0) {
        return NULL;
    }
    return conflict_list(self, pair[0], pair[1]);
}

PyObject *fol_py_plan_ambiguities(PyObject *object, PyObject *unused)
{
    (void)unused;
    fol_py_plan *self = (fol_py_plan *)object;
    const fol_ambiguity *found;
    size_t count;
    int status = fol_plan_ambiguities(self->core, &found, &count);
    if (status != 0) {
        fol_py_raise(self->state, status, NULL);
        return NULL;
    }
    PyObject *list = PyList_New(0);
    for (size_t i = 0; list != NULL && i < count; i++) {
        PyObject *item =
            Py_BuildValue("(OON)", name_at(self, found[i].a), name_at(self, found[i].b),
                          conflict_list(self, found[i].a, found[i].b));
        if (append_taken(list, item) < 0) {
            Py_CLEAR(list);
        }
    }
    return list;
}

PyObject *fol_py_plan_sync_points(PyObject *object, PyObject *name)
{
    fol_py_plan *self = (fol_py_plan *)object;
    Py_ssize_t phase = fol_py_plan_phase_index(self, name);
    if (phase < 0) {
        return NULL;
    }
    size_t count;
    const fol_sync_point *points = fol_plan_sync_points(self->core, (uint32_t)phase, &count);
    PyObject *list = PyList_New(0);
    for (size_t i = 0; list != NULL && i < count; i++) {
        const fol_sync_point *point = &points[i];
        PyObject *item =
            Py_BuildValue("(NNNNI)", fol_py_plan_name_list(self, point->after, point->after_count),
                          fol_py_plan_name_list(self, point->before, point->before_count),
                          fol_py_plan_name_list(self, point->delivers, point->delivers_count),
                          PyBool_FromLong(point->is_phase_end), (unsigned)point->segment);
        if (append_taken(list, item) < 0) {
            Py_CLEAR(list);
        }
    }
    return list;
}

PyObject *fol_py_plan_explain(PyObject *object, PyObject *const *args, Py_ssize_t count)
{
    fol_py_plan *self = (fol_py_plan *)object;
    uint32_t pair[2];
    if (read_pair(self, "explain", args, count, pair) < 0) {
        return NULL;
    }
    size_t length = fol_plan_explain(self->core, pair[0], pair[1], NULL, 0);
    char *text = PyMem_New(char, length + 1);
    if (text == NULL) {
        return PyErr_NoMemory();
    }
    fol_plan_explain(self->core, pair[0], pair[1], text, length + 1);
    PyObject *sentence = PyUnicode_DecodeUTF8(text, (Py_ssize_t)length, "replace");
    PyMem_Free(text);
    return sentence;
}

/* A mapping from names to seconds becomes an array; systems it leaves out cost nothing. */
static double *read_costs(fol_py_plan *plan, PyObject *costs)
{
    if (!PyDict_Check(costs)) {
        PyErr_Format(PyExc_TypeError, "costs map names to seconds, got %R", costs);
        return NULL;
    }
    double *seconds = PyMem_Calloc((size_t)PyTuple_GET_SIZE(plan->names) + 1, sizeof(double));
    if (seconds == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    PyObject *key, *value;
    Py_ssize_t position = 0;
    while (PyDict_Next(costs, &position, &key, &value)) {
        Py_ssize_t index = fol_py_plan_index(plan, key);
        double cost = index < 0 ? 0.0 : PyFloat_AsDouble(value);
        if (cost == -1.0 && PyErr_ExceptionMatches(PyExc_TypeError)) {
            PyErr_Format(PyExc_TypeError, "the cost of `%U` is a number of seconds, got %R",
                         PyTuple_GET_ITEM(plan->names, index), value);
        } else if (cost == -1.0 && PyErr_ExceptionMatches(PyExc_OverflowError)) {
            cost = Py_HUGE_VAL;
            PyErr_Clear();
        }
        if (index < 0 || (cost == -1.0 && PyErr_Occurred())) {
            PyMem_Free(seconds);
            return NULL;
        }
        seconds[index] = cost;
    }
    return seconds;
}

static PyObject *raise_costs(fol_py_plan *plan, int status)
{
    if (status == -EINVAL) {
        PyErr_SetString(PyExc_ValueError, "every cost is finite and at least 0 seconds");
    } else {
        fol_py_raise(plan->state, status, NULL);
    }
    return NULL;
}

PyObject *fol_py_plan_critical_path(PyObject *object, PyObject *costs)
{
    fol_py_plan *self = (fol_py_plan *)object;
    double *seconds = read_costs(self, costs);
    if (seconds == NULL) {
        return NULL;
    }
    size_t room = (size_t)PyTuple_GET_SIZE(self->names);
    uint32_t *path = PyMem_New(uint32_t, room + 1);
    if (path == NULL) {
        PyMem_Free(seconds);
        return PyErr_NoMemory();
    }
    double length = 0.0;
    size_t count = 0;
    int status = fol_plan_critical_path(self->core, seconds, &length, path, &count);
    PyObject *answer =
        status != 0 ? raise_costs(self, status)
                    : Py_BuildValue("(dN)", length, fol_py_plan_name_list(self, path, count));
    PyMem_Free(path);
    PyMem_Free(seconds);
    return answer;
}

PyObject *fol_py_plan_speedup_bound(PyObject *object, PyObject *costs)
{
    fol_py_plan *self = (fol_py_plan *)object;
    double *seconds = read_costs(self, costs);
    if (seconds == NULL) {
        return NULL;
    }
    double bound = 1.0;
    bool lock_bound = false;
    int status = fol_plan_speedup_bound(self->core, seconds, &bound, &lock_bound);
    PyMem_Free(seconds);
    return status != 0 ? raise_costs(self, status)
                       : Py_BuildValue("(dN)", bound, PyBool_FromLong(lock_bound));
}
