/* Runnables and the sequence of the ready ones, as policies in Python see them. */
#include "bindings/policy_view.h"

#include <limits.h>
#include <string.h>

#define ALONE UINT32_MAX

static inline uint64_t call_of(fol_py_stamp *stamp)
{
    return atomic_load_explicit(&stamp->call, memory_order_relaxed);
}

static int refuse_late_use(fol_py_stamp *stamp, const char *what)
{
    return fol_py_raise(stamp->state, FOL_E_ACCESS,
                        "%s is good during the call that was given it, and that call is over",
                        what);
}

static void stamp_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyType_Slot stamp_slots[] = {
    {Py_tp_dealloc, stamp_dealloc},
    {0, NULL},
};

static PyType_Spec stamp_spec = {
    .name = "foliot._core._PolicyStamp",
    .basicsize = sizeof(fol_py_stamp),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = stamp_slots,
};

/* Runnables. */

static inline bool is_good(const fol_py_runnable *runnable)
{
    return runnable->call == call_of(runnable->stamp);
}

static fol_py_runnable *make_runnable(fol_py_stamp *stamp)
{
    PyTypeObject *type = stamp->state->policy.runnable_type;
    fol_py_runnable *runnable = (fol_py_runnable *)type->tp_alloc(type, 0);
    if (runnable != NULL) {
        runnable->stamp = (fol_py_stamp *)Py_NewRef((PyObject *)stamp);
    }
    return runnable;
}

/* The runnable at *place for this call, made anew when there is none or somebody kept it. New
 * reference. */
static PyObject *show(fol_py_stamp *stamp, fol_py_runnable **place, uint32_t index,
                      const fol_runnable_view *view)
{
    fol_py_runnable *runnable = *place;
    if (runnable == NULL || !fol_py_is_unshared((PyObject *)runnable)) {
        runnable = make_runnable(stamp);
        if (runnable == NULL) {
            return NULL;
        }
        Py_XSETREF(*place, runnable);
    }
    runnable->call = call_of(stamp);
    runnable->place = index;
    runnable->view = *view;
    return Py_NewRef((PyObject *)runnable);
}

static void runnable_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    Py_CLEAR(((fol_py_runnable *)object)->stamp);
    type->tp_free(object);
    Py_DECREF(type);
}

typedef enum field_kind { FIELD_U32, FIELD_I32, FIELD_U64, FIELD_I64, FIELD_CPU } field_kind;

typedef struct field {
    size_t offset;
    field_kind kind;
} field;

#define FIELD(name, kind) {offsetof(fol_runnable_view, name), kind}

enum {
    FIELD_ID,
    FIELD_GROUP,
    FIELD_WEIGHT,
    FIELD_LATENCY,
    FIELD_PRIORITY,
    FIELD_LAST_CPU,
    FIELD_JOB,
    FIELD_CONTEXT,
    FIELD_PERIOD,
    FIELD_RELEASE,
    FIELD_DEADLINE,
    FIELD_EXPECTED,
    FIELD_RAN,
    FIELD_SINCE,
};

static const field fields[] = {
    [FIELD_ID] = FIELD(id, FIELD_U32),
    [FIELD_GROUP] = FIELD(group, FIELD_U32),
    [FIELD_WEIGHT] = FIELD(weight, FIELD_U32),
    [FIELD_LATENCY] = FIELD(latency, FIELD_U32),
    [FIELD_PRIORITY] = FIELD(priority, FIELD_I32),
    [FIELD_LAST_CPU] = FIELD(last_cpu, FIELD_CPU),
    [FIELD_JOB] = FIELD(job, FIELD_U64),
    [FIELD_CONTEXT] = FIELD(context, FIELD_U64),
    [FIELD_PERIOD] = FIELD(period, FIELD_I64),
    [FIELD_RELEASE] = FIELD(release, FIELD_I64),
    [FIELD_DEADLINE] = FIELD(deadline, FIELD_I64),
    [FIELD_EXPECTED] = FIELD(expected, FIELD_I64),
    [FIELD_RAN] = FIELD(ran, FIELD_I64),
    [FIELD_SINCE] = FIELD(since, FIELD_I64),
};

static PyObject *runnable_field(PyObject *object, void *closure)
{
    const fol_py_runnable *self = (const fol_py_runnable *)object;
    if (!is_good(self)) {
        refuse_late_use(self->stamp, "a runnable");
        return NULL;
    }
    const field *wanted = closure;
    const void *place = (const char *)&self->view + wanted->offset;
    switch (wanted->kind) {
    case FIELD_U32:
        return PyLong_FromUnsignedLong(*(const uint32_t *)place);
    case FIELD_I32:
        return PyLong_FromLong(*(const int32_t *)place);
    case FIELD_U64:
        return PyLong_FromUnsignedLongLong(*(const uint64_t *)place);
    case FIELD_I64:
        return PyLong_FromLongLong(*(const int64_t *)place);
    case FIELD_CPU:
        break;
    }
    uint32_t cpu = *(const uint32_t *)place;
    return cpu == FOL_NO_CPU ? Py_NewRef(Py_None) : PyLong_FromUnsignedLong(cpu);
}

PyObject *fol_py_policy_runnable_name(const fol_py_policy_names *names, uint32_t id)
{
    PyObject *name = names->runnable == NULL ? NULL : names->runnable(names->state, id);
    if (name == NULL && !PyErr_Occurred()) {
        name = PyUnicode_FromFormat("runnable %u", (unsigned)id);
    }
    return name;
}

static PyObject *runnable_name(PyObject *object, void *closure)
{
    (void)closure;
    fol_py_runnable *self = (fol_py_runnable *)object;
    PyObject *name = NULL;
    /* The names belong to who asks the policy, which may be gone once the call is over. */
    FOL_PY_BEGIN_CRITICAL((PyObject *)self->stamp);
    if (!is_good(self)) {
        refuse_late_use(self->stamp, "a runnable");
    } else {
        name = fol_py_policy_runnable_name(&self->stamp->names, self->view.id);
    }
    FOL_PY_END_CRITICAL();
    return name;
}

static PyObject *runnable_repr(PyObject *object)
{
    fol_py_runnable *self = (fol_py_runnable *)object;
    if (!is_good(self)) {
        return PyUnicode_FromString("<Runnable of a call that is over>");
    }
    PyObject *name = runnable_name(object, NULL);
    PyObject *text = name == NULL ? NULL
                                  : PyUnicode_FromFormat("<Runnable %R, id %u, job %llu>", name,
                                                         (unsigned)self->view.id,
                                                         (unsigned long long)self->view.job);
    Py_XDECREF(name);
    return text;
}

#define GETTER(name, index, text) {name, runnable_field, NULL, text, (void *)&fields[index]}

static PyGetSetDef runnable_getset[] = {
    GETTER("id", FIELD_ID, "Its number; ties go to the lower one."),
    {"name", runnable_name, NULL, "Its name.", NULL},
    GETTER("group", FIELD_GROUP, "Number of its group; 0: none but the root."),
    GETTER("weight", FIELD_WEIGHT, "Its weight; 1024 is normal."),
    GETTER("latency", FIELD_LATENCY, "Latency class: 0 interactive, 1 normal, 2 batch."),
    GETTER("priority", FIELD_PRIORITY, "Its priority; lower runs sooner."),
    GETTER("last_cpu", FIELD_LAST_CPU, "The CPU on which it ran last; None: it never ran."),
    GETTER("job", FIELD_JOB, "Number of its job, from 0."),
    GETTER("context", FIELD_CONTEXT, "Handle of its budget; 0: none."),
    GETTER("period", FIELD_PERIOD, "Its period; 0: none."),
    GETTER("release", FIELD_RELEASE, "When the job was released."),
    GETTER("deadline", FIELD_DEADLINE, "The job's absolute deadline; 2**63 - 1: none."),
    GETTER("expected", FIELD_EXPECTED, "What the job costs as far as known; 0: unknown."),
    GETTER("ran", FIELD_RAN, "For how long the job ran so far."),
    GETTER("since", FIELD_SINCE, "Since when it is ready."),
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(runnable_doc,
             "What a policy is told of a runnable and of its job.\n\n"
             "Good during the call that was given it; later every attribute raises AccessError.\n"
             "Times are nanoseconds live and units of the task set in a simulation.");

static PyType_Slot runnable_slots[] = {
    {Py_tp_doc, (void *)runnable_doc},
    {Py_tp_dealloc, runnable_dealloc},
    {Py_tp_repr, runnable_repr},
    {Py_tp_getset, runnable_getset},
    {0, NULL},
};

static PyType_Spec runnable_spec = {
    .name = "foliot._core.Runnable",
    .basicsize = sizeof(fol_py_runnable),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = runnable_slots,
};

/* The ready ones. */

fol_py_ready *fol_py_ready_new(fol_py_state *state, const fol_py_policy_names *names)
{
    PyTypeObject *stamp_type = state->policy.stamp_type;
    fol_py_stamp *stamp = (fol_py_stamp *)stamp_type->tp_alloc(stamp_type, 0);
    if (stamp == NULL) {
        return NULL;
    }
    stamp->state = state;
    stamp->names = *names;
    atomic_init(&stamp->call, 1);
    PyTypeObject *type = state->policy.ready_type;
    fol_py_ready *ready = (fol_py_ready *)type->tp_alloc(type, 0);
    if (ready == NULL) {
        Py_DECREF(stamp);
        return NULL;
    }
    ready->stamp = stamp;
    return ready;
}

PyObject *fol_py_ready_single(fol_py_ready *ready, const fol_runnable_view *view)
{
    return show(ready->stamp, &ready->single, ALONE, view);
}

uint32_t fol_py_ready_place(const fol_py_ready *ready, PyObject *answer)
{
    if (!Py_IS_TYPE(answer, ready->stamp->state->policy.runnable_type)) {
        return UINT32_MAX;
    }
    const fol_py_runnable *runnable = (const fol_py_runnable *)answer;
    return runnable->stamp == ready->stamp && is_good(runnable) ? runnable->place : UINT32_MAX;
}

bool fol_py_ready_close(fol_py_ready *ready)
{
    FOL_PY_BEGIN_CRITICAL((PyObject *)ready);
    ready->list = NULL;
    FOL_PY_END_CRITICAL();
    FOL_PY_BEGIN_CRITICAL((PyObject *)ready->stamp);
    atomic_fetch_add_explicit(&ready->stamp->call, 1, memory_order_relaxed);
    FOL_PY_END_CRITICAL();
    return fol_py_is_unshared((PyObject *)ready);
}

/* Room in the cache for so many places. */
static int grow_cache(fol_py_ready *self, uint32_t wanted)
{
    size_t size = self->cache_size < 8 ? 8 : self->cache_size;
    while (size < wanted) {
        size *= 2;
    }
    fol_py_runnable **cache = PyMem_Realloc(self->cache, size * sizeof(fol_py_runnable *));
    if (cache == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    memset(cache + self->cache_size, 0, (size - self->cache_size) * sizeof(fol_py_runnable *));
    self->cache = cache;
    self->cache_size = (uint32_t)(size > UINT32_MAX ? UINT32_MAX : size);
    return 0;
}

/* The runnable at a place of an open list. New reference. */
static PyObject *runnable_at(fol_py_ready *self, uint32_t place)
{
    if (place >= self->cache_size && grow_cache(self, place + 1) < 0) {
        return NULL;
    }
    fol_py_runnable *shown = self->cache[place];
    if (shown != NULL && is_good(shown)) {
        return Py_NewRef((PyObject *)shown);
    }
    return show(self->stamp, &self->cache[place], place, fol_ready_at(self->list, place));
}

static PyObject *ready_item(PyObject *object, Py_ssize_t index)
{
    fol_py_ready *self = (fol_py_ready *)object;
    PyObject *item = NULL;
    FOL_PY_BEGIN_CRITICAL(object);
    if (self->list == NULL) {
        refuse_late_use(self->stamp, "the list of the ready");
    } else if (index < 0 || index >= (Py_ssize_t)self->list->count) {
        PyErr_Format(PyExc_IndexError, "place %zd of %u ready", index, (unsigned)self->list->count);
    } else {
        item = runnable_at(self, (uint32_t)index);
    }
    FOL_PY_END_CRITICAL();
    return item;
}

static Py_ssize_t ready_length(PyObject *object)
{
    fol_py_ready *self = (fol_py_ready *)object;
    Py_ssize_t length;
    FOL_PY_BEGIN_CRITICAL(object);
    length = self->list == NULL ? refuse_late_use(self->stamp, "the list of the ready")
                                : (Py_ssize_t)self->list->count;
    FOL_PY_END_CRITICAL();
    return length;
}

/* A list of the runnables of a slice. */
static PyObject *ready_slice(PyObject *object, PyObject *key)
{
    Py_ssize_t start, stop, step;
    Py_ssize_t length = ready_length(object);
    if (length < 0 || PySlice_Unpack(key, &start, &stop, &step) < 0) {
        return NULL;
    }
    Py_ssize_t count = PySlice_AdjustIndices(length, &start, &stop, step);
    PyObject *list = PyList_New(count);
    for (Py_ssize_t i = 0; list != NULL && i < count; i++) {
        PyObject *item = ready_item(object, start + i * step);
        if (item == NULL) {
            Py_CLEAR(list);
        } else {
            PyList_SET_ITEM(list, i, item);
        }
    }
    return list;
}

static PyObject *ready_subscript(PyObject *object, PyObject *key)
{
    if (PySlice_Check(key)) {
        return ready_slice(object, key);
    }
    Py_ssize_t index = PyNumber_AsSsize_t(key, PyExc_IndexError);
    if (index == -1 && PyErr_Occurred()) {
        return NULL;
    }
    if (index < 0) {
        Py_ssize_t length = ready_length(object);
        if (length < 0) {
            return NULL;
        }
        index += length;
    }
    return ready_item(object, index);
}

static int ready_contains(PyObject *object, PyObject *item)
{
    Py_ssize_t length = ready_length(object);
    if (length < 0) {
        return -1;
    }
    return fol_py_ready_place((const fol_py_ready *)object, item) != UINT32_MAX;
}

static PyObject *ready_index(PyObject *object, PyObject *item)
{
    int is_there = ready_contains(object, item);
    if (is_there == 0) {
        PyErr_Format(PyExc_ValueError, "%.200R is not among the ready", item);
    }
    return is_there <= 0 ? NULL : PyLong_FromUnsignedLong(((fol_py_runnable *)item)->place);
}

static PyObject *ready_repr(PyObject *object)
{
    fol_py_ready *self = (fol_py_ready *)object;
    PyObject *text;
    FOL_PY_BEGIN_CRITICAL(object);
    text = self->list == NULL
               ? PyUnicode_FromString("<Ready of a call that is over>")
               : PyUnicode_FromFormat("<Ready, %u runnables>", (unsigned)self->list->count);
    FOL_PY_END_CRITICAL();
    return text;
}

static void ready_dealloc(PyObject *object)
{
    fol_py_ready *self = (fol_py_ready *)object;
    PyTypeObject *type = Py_TYPE(object);
    for (uint32_t i = 0; i < self->cache_size; i++) {
        Py_CLEAR(self->cache[i]);
    }
    PyMem_Free(self->cache);
    Py_CLEAR(self->single);
    Py_CLEAR(self->stamp);
    type->tp_free(object);
    Py_DECREF(type);
}

/* Its iterator. */

typedef struct ready_iterator {
    PyObject_HEAD fol_py_ready *ready;
    uint32_t place; /* under the lock of ready */
} ready_iterator;

static PyObject *ready_iter(PyObject *object)
{
    PyTypeObject *type = ((fol_py_ready *)object)->stamp->state->policy.ready_iterator_type;
    ready_iterator *iterator = (ready_iterator *)type->tp_alloc(type, 0);
    if (iterator != NULL) {
        iterator->ready = (fol_py_ready *)Py_NewRef(object);
    }
    return (PyObject *)iterator;
}

static PyObject *iterator_next(PyObject *object)
{
    ready_iterator *self = (ready_iterator *)object;
    fol_py_ready *ready = self->ready;
    PyObject *item = NULL;
    FOL_PY_BEGIN_CRITICAL((PyObject *)ready);
    if (ready->list == NULL) {
        refuse_late_use(ready->stamp, "the list of the ready");
    } else if (self->place < ready->list->count) {
        item = runnable_at(ready, self->place);
        self->place += item != NULL;
    }
    FOL_PY_END_CRITICAL();
    return item;
}

static void iterator_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    Py_CLEAR(((ready_iterator *)object)->ready);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyType_Slot iterator_slots[] = {
    {Py_tp_dealloc, iterator_dealloc},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, iterator_next},
    {0, NULL},
};

static PyType_Spec iterator_spec = {
    .name = "foliot._core._ReadyIterator",
    .basicsize = sizeof(ready_iterator),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = iterator_slots,
};

static PyMethodDef ready_methods[] = {
    {"index", ready_index, METH_O,
     "index($self, runnable, /)\n--\n\nThe runnable's place; ValueError when it is not there."},
    {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(ready_doc, "The runnables that may be picked, in the order in which they became "
                        "ready.\n\nA sequence, good during the call that was given it.");

static PyType_Slot ready_slots[] = {
    {Py_tp_doc, (void *)ready_doc},
    {Py_tp_dealloc, ready_dealloc},
    {Py_tp_repr, ready_repr},
    {Py_tp_iter, ready_iter},
    {Py_tp_methods, ready_methods},
    {Py_sq_length, ready_length},
    {Py_sq_item, ready_item},
    {Py_sq_contains, ready_contains},
    {Py_mp_length, ready_length},
    {Py_mp_subscript, ready_subscript},
    {0, NULL},
};

static PyType_Spec ready_spec = {
    .name = "foliot._core.Ready",
    .basicsize = sizeof(fol_py_ready),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_SEQUENCE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = ready_slots,
};

int fol_py_add_policy_views(fol_py_state *state)
{
    struct fol_py_policy_types *types = &state->policy;
    if (fol_py_add_type(state, &stamp_spec, NULL, &types->stamp_type) < 0 ||
        fol_py_add_type(state, &runnable_spec, NULL, &types->runnable_type) < 0 ||
        fol_py_add_type(state, &ready_spec, NULL, &types->ready_type) < 0) {
        return -1;
    }
    return fol_py_add_type(state, &iterator_spec, NULL, &types->ready_iterator_type);
}
