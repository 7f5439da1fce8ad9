/* Bound policies: what a `fo.Policy` overrides, as the slots and facts that a dispatcher is made
 * with.
 *
 * foliot._policy reads and checks the object; what arrives here is complete.
 */
#include "bindings/policy_bound.h"
#include "bindings/scheduler.h"

#include <string.h>

static inline fol_py_bound_policy *as_bound(PyObject *bound)
{
    return (fol_py_bound_policy *)bound;
}

/* What foliot._policy has, loaded when it is first needed: it needs this module itself. */
static PyObject *load_reader(fol_py_state *state, PyObject **place, const char *name)
{
    return fol_py_load_once(state, place, "foliot._policy", name);
}

int fol_py_policy_kind_from_name(fol_py_state *state, PyObject *name, fol_policy_kind *out)
{
    PyObject *reader = load_reader(state, &state->policy.read_name, "read_name");
    PyObject *number = reader == NULL ? NULL : PyObject_CallOneArg(reader, name);
    if (number == NULL) {
        return -1;
    }
    *out = (fol_policy_kind)PyLong_AsLong(number);
    Py_DECREF(number);
    return 0;
}

static void take_native(fol_py_bound_policy *bound, fol_policy_slot slot, uintptr_t address)
{
    void *const places[FOL_SLOT_COUNT] = {
#define PLACE(slot, name) [slot] = (void *)&bound->native.name,
        FOL_PY_FOR_EACH_SLOT(PLACE)
#undef PLACE
    };
    memcpy(places[slot], &address, sizeof(address));
    switch (slot) {
#define USE_NATIVE(slot, name)                                                                     \
    case slot:                                                                                     \
        bound->slots.name = fol_py_native_slots.name;                                              \
        break;
        FOL_PY_FOR_EACH_SLOT(USE_NATIVE)
#undef USE_NATIVE
    case FOL_SLOT_COUNT:
        break;
    }
}

/* A bound method is called as its function with the object first, which saves a step each call. */
static void take_python(fol_py_bound_policy *bound, fol_policy_slot slot, PyObject *method)
{
    fol_py_policy_call *call = &bound->calls[slot];
    bool is_method = PyMethod_Check(method) != 0;
    call->function = Py_NewRef(is_method ? PyMethod_GET_FUNCTION(method) : method);
    call->self = is_method ? Py_NewRef(PyMethod_GET_SELF(method)) : NULL;
    switch (slot) {
#define USE_PYTHON(slot, name)                                                                     \
    case slot:                                                                                     \
        bound->slots.name = fol_py_python_slots.name;                                              \
        break;
        FOL_PY_FOR_EACH_SLOT(USE_PYTHON)
#undef USE_PYTHON
    case FOL_SLOT_COUNT:
        break;
    }
}

/* parts: (base, max_faults, call_limit_ns or None, (what each slot calls, …)); each of the last is
 * None, a Kernel, or a callable. */
static int take_parts(fol_py_bound_policy *bound)
{
    int base;
    unsigned int max_faults;
    PyObject *limit, *slots;
    if (!PyArg_ParseTuple(bound->parts, "iIOO!", &base, &max_faults, &limit, &PyTuple_Type,
                          &slots)) {
        return -1;
    }
    bound->facts.base = (fol_policy_kind)base;
    bound->facts.max_faults = max_faults;
    bound->slots.state = bound;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(slots) && i < FOL_SLOT_COUNT; i++) {
        PyObject *what = PyTuple_GET_ITEM(slots, i);
        if (what == Py_None) {
            continue;
        }
        bound->facts.slots = &bound->slots;
        if (Py_IS_TYPE(what, bound->state->scheduler.kernel_type)) {
            const fol_py_kernel *kernel = (const fol_py_kernel *)what;
            bound->calls[i].user = kernel->user;
            take_native(bound, (fol_policy_slot)i, kernel->address);
        } else {
            take_python(bound, (fol_policy_slot)i, what);
        }
    }
    if (bound->is_live && limit != Py_None && bound->facts.slots != NULL) {
        bound->facts.slot_limit = PyLong_AsLongLong(limit);
        bound->facts.stopwatch = fol_py_policy_stopwatch;
        bound->facts.stopwatch_state = bound;
    }
    return PyErr_Occurred() ? -1 : 0;
}

/* The keywords of a call, interned: parameters are found by the address of their names. */
static int make_keywords(PyObject **place, const char *first, const char *second)
{
    PyObject *names[2] = {PyUnicode_InternFromString(first),
                          second == NULL ? NULL : PyUnicode_InternFromString(second)};
    if (names[0] != NULL && (second == NULL || names[1] != NULL)) {
        *place = second == NULL ? PyTuple_Pack(1, names[0]) : PyTuple_Pack(2, names[0], names[1]);
    }
    Py_XDECREF(names[0]);
    Py_XDECREF(names[1]);
    return *place == NULL ? -1 : 0;
}

static int load_parts(fol_py_state *state)
{
    struct fol_py_policy_types *types = &state->policy;
    bool is_there = load_reader(state, &types->read_policy, "read_policy") != NULL &&
                    load_reader(state, &types->load_class, "PolicyLoad") != NULL;
    return is_there ? 0 : -1;
}

PyObject *fol_py_policy_bind(fol_py_state *state, PyObject *policy,
                             const fol_py_policy_names *names, bool is_live)
{
    if (load_parts(state) < 0) {
        return NULL;
    }
    PyObject *parts = PyObject_CallOneArg(state->policy.read_policy, policy);
    if (parts == NULL) {
        return NULL;
    }
    PyTypeObject *type = state->policy.bound_type;
    fol_py_bound_policy *bound = (fol_py_bound_policy *)type->tp_alloc(type, 0);
    if (bound == NULL) {
        Py_DECREF(parts);
        return NULL;
    }
    bound->state = state;
    bound->policy = Py_NewRef(policy);
    bound->parts = parts;
    bound->is_live = is_live;
    if (names != NULL) {
        bound->names = *names;
    }
    if (take_parts(bound) < 0) {
        Py_DECREF(bound);
        return NULL;
    }
    return (PyObject *)bound;
}

const fol_py_policy_facts *fol_py_policy_facts_of(PyObject *bound)
{
    return &as_bound(bound)->facts;
}

PyObject *fol_py_policy_object(PyObject *bound)
{
    return as_bound(bound)->policy;
}

static int bound_traverse(PyObject *object, visitproc visit, void *arg)
{
    fol_py_bound_policy *self = as_bound(object);
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->policy);
    Py_VISIT(self->parts);
    for (size_t i = 0; i < FOL_SLOT_COUNT; i++) {
        Py_VISIT(self->calls[i].function);
        Py_VISIT(self->calls[i].self);
    }
    for (size_t i = 0; i < FOL_PY_POLICY_ERRORS; i++) {
        Py_VISIT(self->errors[i]);
    }
    Py_VISIT(self->interrupt);
    return 0;
}

/* Kernels stay in parts until the end: who may still call a native slot holds this object. Python
 * slots without their functions leave every decision to the base. */
static int bound_clear(PyObject *object)
{
    fol_py_bound_policy *self = as_bound(object);
    for (size_t i = 0; i < FOL_SLOT_COUNT; i++) {
        Py_CLEAR(self->calls[i].function);
        Py_CLEAR(self->calls[i].self);
    }
    for (size_t i = 0; i < FOL_PY_POLICY_ERRORS; i++) {
        Py_CLEAR(self->errors[i]);
    }
    self->error_count = 0;
    Py_CLEAR(self->interrupt);
    Py_CLEAR(self->policy);
    return 0;
}

static void bound_dealloc(PyObject *object)
{
    fol_py_bound_policy *self = as_bound(object);
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    bound_clear(object);
    Py_CLEAR(self->ready);
    Py_CLEAR(self->parts);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyType_Slot bound_slots[] = {
    {Py_tp_doc, "A policy as the slots of one dispatcher."},
    {Py_tp_dealloc, bound_dealloc},
    {Py_tp_traverse, bound_traverse},
    {Py_tp_clear, bound_clear},
    {0, NULL},
};

static PyType_Spec bound_spec = {
    .name = "foliot._core._BoundPolicy",
    .basicsize = sizeof(fol_py_bound_policy),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = bound_slots,
};

/* A tuple of the names of a table that ends with NULL. */
static int add_names(fol_py_state *state, const char *name, const char *const *table)
{
    Py_ssize_t count = 0;
    while (table[count] != NULL) {
        count++;
    }
    PyObject *names = PyTuple_New(count);
    for (Py_ssize_t i = 0; names != NULL && i < count; i++) {
        PyObject *text = PyUnicode_InternFromString(table[i]);
        if (text == NULL) {
            Py_CLEAR(names);
        } else {
            PyTuple_SET_ITEM(names, i, text);
        }
    }
    int status = names == NULL ? -1 : PyModule_AddObjectRef(state->module, name, names);
    Py_XDECREF(names);
    return status;
}

int fol_py_add_policy_types(fol_py_state *state)
{
    struct fol_py_policy_types *types = &state->policy;
    if (make_keywords(&types->names_now, "now", NULL) < 0 ||
        make_keywords(&types->names_cpu_now, "cpu", "now") < 0 ||
        make_keywords(&types->names_workers, "workers", NULL) < 0 ||
        add_names(state, "POLICY_NAMES", fol_policy_names) < 0 ||
        add_names(state, "SLOT_NAMES", fol_slot_names) < 0 || fol_py_add_policy_views(state) < 0 ||
        fol_py_add_type(state, &bound_spec, NULL, &types->bound_type) < 0) {
        return -1;
    }
    return fol_py_add_type(state, &fol_py_policy_probe_spec, NULL, &types->probe_type);
}

PyObject *fol_py_choices(const fol_choice_counts *c)
{
    return Py_BuildValue("(KKKKKKKKKKKK)", (unsigned long long)c->picks,
                         (unsigned long long)c->idle_picks, (unsigned long long)c->comparisons,
                         (unsigned long long)c->candidates, (unsigned long long)c->taken,
                         (unsigned long long)c->forbidden, (unsigned long long)c->held,
                         (unsigned long long)c->depleted, (unsigned long long)c->outranked,
                         (unsigned long long)c->asked, (unsigned long long)c->answered,
                         (unsigned long long)c->defaulted);
}
