/* `_core.Plan`: its life, its names, and the short answers. */
#include "bindings/plan.h"

Py_ssize_t fol_py_plan_index(fol_py_plan *plan, PyObject *key)
{
    PyObject *index = PyDict_GetItemWithError(plan->indices, key);
    if (index != NULL) {
        return PyLong_AsSsize_t(index);
    }
    if (!PyErr_Occurred()) {
        /* The Python class knows what the key may have meant. */
        Py_XDECREF(PyObject_CallMethod((PyObject *)plan, "_refuse_system", "O", key));
    }
    if (!PyErr_Occurred()) {
        fol_py_raise(plan->state, FOL_E_UNKNOWN, "no system of the plan is `%S`", key);
    }
    return -1;
}

/* Names of a tuple as a message shows them: `a`, `b`. */
static PyObject *quoted_names(PyObject *names)
{
    PyObject *text = PyUnicode_FromString("");
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(names) && text != NULL; i++) {
        PyObject *longer =
            PyUnicode_FromFormat("%U%s`%U`", text, i == 0 ? "" : ", ", PyTuple_GET_ITEM(names, i));
        Py_SETREF(text, longer);
    }
    return text;
}

Py_ssize_t fol_py_plan_phase_index(fol_py_plan *plan, PyObject *name)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(plan->phases); i++) {
        int is_same = PyObject_RichCompareBool(PyTuple_GET_ITEM(plan->phases, i), name, Py_EQ);
        if (is_same != 0) {
            return is_same < 0 ? -1 : i;
        }
    }
    PyObject *known = quoted_names(plan->phases);
    if (known != NULL) {
        fol_py_raise(plan->state, FOL_E_PHASE, "no phase of the plan is `%S`; its phases are %U",
                     name, known);
        Py_DECREF(known);
    }
    return -1;
}

PyObject *fol_py_plan_name_list(const fol_py_plan *plan, const uint32_t *systems, size_t count)
{
    PyObject *list = PyList_New((Py_ssize_t)count);
    for (size_t i = 0; list != NULL && i < count; i++) {
        PyObject *name = PyTuple_GET_ITEM(plan->names, systems[i]);
        PyList_SET_ITEM(list, (Py_ssize_t)i, Py_NewRef(name));
    }
    return list;
}

/* The dict by which a name or the system itself is found. */
static PyObject *make_indices(PyObject *systems, PyObject *names)
{
    PyObject *indices = PyDict_New();
    if (indices == NULL) {
        return NULL;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(names); i++) {
        PyObject *index = PyLong_FromSsize_t(i);
        if (index == NULL || PyDict_SetItem(indices, PyTuple_GET_ITEM(names, i), index) < 0 ||
            PyDict_SetItem(indices, PyTuple_GET_ITEM(systems, i), index) < 0) {
            Py_XDECREF(index);
            Py_DECREF(indices);
            return NULL;
        }
        Py_DECREF(index);
    }
    return indices;
}

static PyObject *plan_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"systems", "names", "phases", "resources",  "sets",
                               "specs",   "nodes", "orders", "on_unknown", NULL};
    PyObject *systems, *names, *phases, *resources, *sets, *specs, *nodes, *orders, *on_unknown;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!O!O!O!O!O!O!O!O:Plan", keywords,
                                     &PyTuple_Type, &systems, &PyTuple_Type, &names, &PyTuple_Type,
                                     &phases, &PyTuple_Type, &resources, &PyTuple_Type, &sets,
                                     &PyList_Type, &specs, &PyDict_Type, &nodes, &PyList_Type,
                                     &orders, &on_unknown)) {
        return NULL;
    }
    Py_ssize_t count = PyTuple_GET_SIZE(systems);
    if (PyTuple_GET_SIZE(names) != count || PyList_GET_SIZE(specs) != count) {
        PyErr_SetString(PyExc_ValueError, "systems, names and specs differ in length");
        return NULL;
    }
    fol_py_plan *self = (fol_py_plan *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->state = fol_py_state_of(type);
    self->systems = Py_NewRef(systems);
    self->names = Py_NewRef(names);
    self->phases = Py_NewRef(phases);
    self->resources = Py_NewRef(resources);
    self->indices = make_indices(systems, names);
    if (self->indices != NULL) {
        self->core = fol_py_plan_build(self->state, phases, resources, sets, specs, nodes, orders,
                                       on_unknown);
    }
    if (self->core == NULL) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static int plan_traverse(PyObject *object, visitproc visit, void *arg)
{
    fol_py_plan *self = (fol_py_plan *)object;
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->systems);
    Py_VISIT(self->indices);
    return 0;
}

static int plan_clear(PyObject *object)
{
    /* A plan that is being collected may still be asked by what dies with it, so only what can
     * stand in a cycle goes, and what is left answers with an error. */
    fol_py_plan *self = (fol_py_plan *)object;
    if (self->indices != NULL) {
        PyDict_Clear(self->indices);
    }
    Py_CLEAR(self->systems);
    return 0;
}

static void plan_dealloc(PyObject *object)
{
    fol_py_plan *self = (fol_py_plan *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    Py_CLEAR(self->systems);
    Py_CLEAR(self->indices);
    Py_CLEAR(self->names);
    Py_CLEAR(self->phases);
    Py_CLEAR(self->resources);
    if (self->core != NULL) {
        fol_plan_destroy(self->core);
    }
    type->tp_free(object);
    Py_DECREF(type);
}

static PyObject *plan_phases(PyObject *object, void *closure)
{
    (void)closure;
    return PySequence_List(((fol_py_plan *)object)->phases);
}

static PyObject *plan_systems(PyObject *object, void *closure)
{
    (void)closure;
    PyObject *systems = ((fol_py_plan *)object)->systems;
    return systems != NULL ? Py_NewRef(systems) : PyTuple_New(0);
}

static PyObject *plan_execution_order(PyObject *object, PyObject *unused)
{
    (void)unused;
    fol_py_plan *self = (fol_py_plan *)object;
    return fol_py_plan_name_list(self, fol_plan_running_order(self->core),
                                 fol_plan_system_count(self->core));
}

static PyObject *empty_lists(uint32_t count)
{
    PyObject *lists = PyList_New(count);
    for (uint32_t i = 0; lists != NULL && i < count; i++) {
        PyObject *list = PyList_New(0);
        if (list == NULL) {
            Py_CLEAR(lists);
            break;
        }
        PyList_SET_ITEM(lists, i, list);
    }
    return lists;
}

static PyObject *plan_stages(PyObject *object, PyObject *name)
{
    fol_py_plan *self = (fol_py_plan *)object;
    Py_ssize_t phase = fol_py_plan_phase_index(self, name);
    if (phase < 0) {
        return NULL;
    }
    uint32_t first, count;
    fol_plan_phase_range(self->core, (uint32_t)phase, &first, &count);
    const uint32_t *order = fol_plan_order(self->core) + first;
    PyObject *stages = empty_lists(fol_plan_stage_count(self->core, (uint32_t)phase));
    for (uint32_t i = 0; stages != NULL && i < count; i++) {
        uint32_t stage = fol_plan_system_stage(self->core, order[i]);
        PyObject *system = PyTuple_GET_ITEM(self->names, order[i]);
        if (PyList_Append(PyList_GET_ITEM(stages, stage), system) < 0) {
            Py_CLEAR(stages);
        }
    }
    return stages;
}

/* {"index", "phase", "stage", "segment", "place", "exclusive", "commands", "holds_interpreter"} */
static PyObject *plan_facts(PyObject *object, PyObject *key)
{
    fol_py_plan *self = (fol_py_plan *)object;
    Py_ssize_t found = fol_py_plan_index(self, key);
    if (found < 0) {
        return NULL;
    }
    uint32_t system = (uint32_t)found;
    uint32_t phase = fol_plan_system_phase(self->core, system);
    return Py_BuildValue("{s:I,s:O,s:I,s:I,s:I,s:N,s:N,s:N}", "index", (unsigned)system, "phase",
                         PyTuple_GET_ITEM(self->phases, phase), "stage",
                         (unsigned)fol_plan_system_stage(self->core, system), "segment",
                         (unsigned)fol_plan_system_segment(self->core, system), "place",
                         (unsigned)fol_plan_system_place(self->core, system), "exclusive",
                         PyBool_FromLong(fol_plan_system_is_exclusive(self->core, system)),
                         "commands", PyBool_FromLong(fol_plan_system_records(self->core, system)),
                         "holds_interpreter",
                         PyBool_FromLong(fol_plan_system_holds_interpreter(self->core, system)));
}

static Py_ssize_t plan_length(PyObject *object)
{
    return (Py_ssize_t)fol_plan_system_count(((fol_py_plan *)object)->core);
}

static PyMethodDef plan_methods[] = {
    {"stages", plan_stages, METH_O,
     "stages($self, phase, /)\n--\n\nStages of a phase: lists of names."},
    {"execution_order", plan_execution_order, METH_NOARGS,
     "execution_order($self, /)\n--\n\nOne valid total order of all systems, phase after phase."},
    {"edges", fol_py_plan_edges, METH_O,
     "edges($self, phase, /)\n--\n\nThe reduced graph of a phase: (before, after, reason) by "
     "name."},
    {"explain", (PyCFunction)(void (*)(void))fol_py_plan_explain, METH_FASTCALL,
     "explain($self, a, b, /)\n--\n\nWhy two systems may, or may not, run together, and in which "
     "order."},
    {"_facts", plan_facts, METH_O, NULL},
    {"_conflicts", (PyCFunction)(void (*)(void))fol_py_plan_conflicts, METH_FASTCALL, NULL},
    {"_ambiguities", fol_py_plan_ambiguities, METH_NOARGS, NULL},
    {"_sync_points", fol_py_plan_sync_points, METH_O, NULL},
    {"_critical_path", fol_py_plan_critical_path, METH_O, NULL},
    {"_speedup_bound", fol_py_plan_speedup_bound, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef plan_getset[] = {
    {"phases", plan_phases, NULL, "Names of the phases, in order.", NULL},
    {"systems", plan_systems, NULL, "The systems, in the order of their registration.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot plan_slots[] = {
    {Py_tp_doc, "A plan of systems: what runs in which order, and what may run together."},
    {Py_tp_new, plan_new},
    {Py_tp_dealloc, plan_dealloc},
    {Py_tp_traverse, plan_traverse},
    {Py_tp_clear, plan_clear},
    {Py_tp_methods, plan_methods},
    {Py_tp_getset, plan_getset},
    {Py_sq_length, plan_length},
    {0, NULL},
};

PyType_Spec fol_py_plan_spec = {
    .name = "foliot._core.Plan",
    .basicsize = sizeof(fol_py_plan),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = plan_slots,
};
