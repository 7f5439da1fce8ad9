/* Asking the slots of a policy one by one, from Python: what a dispatcher would be answered.
 *
 * For tests and for trying a policy out. A live probe asks detached, as a worker does.
 */
#include "bindings/policy_bound.h"
#include "bindings/scheduler.h"

#include <string.h>

typedef struct probe_object {
    PyObject_HEAD PyObject *bound;
    PyObject *runnables; /* sequence of names, or None */
    PyObject *systems;
} probe_object;

/* The name at a place of a sequence; NULL without an error when there is none. */
static PyObject *name_at(PyObject *names, uint32_t place)
{
    if (names == Py_None || place >= (size_t)PySequence_Size(names)) {
        return NULL;
    }
    return PySequence_GetItem(names, (Py_ssize_t)place);
}

static PyObject *name_of_runnable(void *state, uint32_t id)
{
    return name_at(((probe_object *)state)->runnables, id);
}

static PyObject *name_of_system(void *state, uint32_t system)
{
    return name_at(((probe_object *)state)->systems, system);
}

static PyObject *probe_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"policy", "live", "runnables", "systems", NULL};
    PyObject *policy, *runnables = Py_None, *systems = Py_None;
    int is_live = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|$pOO:PolicyProbe", keywords, &policy,
                                     &is_live, &runnables, &systems)) {
        return NULL;
    }
    probe_object *self = (probe_object *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->runnables = Py_NewRef(runnables);
    self->systems = Py_NewRef(systems);
    fol_py_policy_names names = {
        .state = self, .runnable = name_of_runnable, .system = name_of_system};
    self->bound = fol_py_policy_bind(fol_py_state_of(type), policy, &names, is_live != 0);
    if (self->bound == NULL) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static int probe_traverse(PyObject *object, visitproc visit, void *arg)
{
    probe_object *self = (probe_object *)object;
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->bound);
    Py_VISIT(self->runnables);
    Py_VISIT(self->systems);
    return 0;
}

static void probe_dealloc(PyObject *object)
{
    probe_object *self = (probe_object *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    Py_CLEAR(self->bound);
    Py_CLEAR(self->runnables);
    Py_CLEAR(self->systems);
    type->tp_free(object);
    Py_DECREF(type);
}

/* One question: its input, and room for its answer. */
typedef struct question {
    const fol_policy_slots *slots;
    const fol_runnable_view *views;
    uint32_t *ids; /* and after them room for an order */
    uint32_t count;
    uint32_t numbers[2]; /* cpu, worker, workers, system */
    uint64_t rows;
    int64_t now;
    fol_policy_load load;
    int64_t integer;
    uint64_t chunk;
    uint32_t number;
    bool truth;
} question;

static int ask_core(question *question, fol_policy_slot slot)
{
    const fol_policy_slots *slots = question->slots;
    fol_ready ready = {.ids = question->ids,
                       .count = question->count,
                       .stride = sizeof(fol_runnable_view),
                       .views = question->views};
    switch (slot) {
    case FOL_SLOT_ENQUEUE:
        return slots->enqueue(slots->state, question->views, question->now, &question->integer);
    case FOL_SLOT_PICK:
        return slots->pick(slots->state, &ready, question->numbers[0], question->now,
                           &question->number);
    case FOL_SLOT_SLICE:
        return slots->slice(slots->state, question->views, question->now, &question->integer);
    case FOL_SLOT_ADMIT:
        return slots->admit(slots->state, question->views, question->now, &question->truth);
    case FOL_SLOT_VICTIMS:
        return slots->victims(slots->state, question->numbers[0], question->numbers[1],
                              question->ids, &question->count);
    case FOL_SLOT_SPIN_LIMIT:
        return slots->spin_limit(slots->state, question->numbers[0], &question->number);
    case FOL_SLOT_CHUNK_ROWS:
        return slots->chunk_rows(slots->state, question->numbers[0], question->rows,
                                 &question->chunk);
    case FOL_SLOT_BACKEND:
        return slots->backend(slots->state, &question->load, &question->number);
    case FOL_SLOT_COUNT:
        break;
    }
    return FOL_POLICY_DEFAULT;
}

/* The answer as a Python value. */
static PyObject *tell(const question *question, fol_policy_slot slot)
{
    switch (slot) {
    case FOL_SLOT_ENQUEUE:
    case FOL_SLOT_SLICE:
        return PyLong_FromLongLong(question->integer);
    case FOL_SLOT_ADMIT:
        return PyBool_FromLong(question->truth);
    case FOL_SLOT_CHUNK_ROWS:
        return PyLong_FromUnsignedLongLong(question->chunk);
    case FOL_SLOT_PICK:
    case FOL_SLOT_SPIN_LIMIT:
    case FOL_SLOT_BACKEND:
    case FOL_SLOT_COUNT:
        return PyLong_FromUnsignedLong(question->number);
    case FOL_SLOT_VICTIMS:
        break;
    }
    PyObject *order = PyList_New(0);
    for (uint32_t i = 0; order != NULL && i < question->count; i++) {
        PyObject *number = PyLong_FromUnsignedLong(question->ids[i]);
        if (number == NULL || PyList_Append(order, number) < 0) {
            Py_CLEAR(order);
        }
        Py_XDECREF(number);
    }
    return order;
}

/* The input of a slot from the arguments behind its name. A buffer of views stays exported. */
static int read_question(question *question, fol_policy_slot slot, PyObject *args, Py_buffer *views)
{
    const char *name;
    switch (slot) {
    case FOL_SLOT_ENQUEUE:
    case FOL_SLOT_SLICE:
    case FOL_SLOT_ADMIT:
        return PyArg_ParseTuple(args, "sy*L", &name, views, &question->now);
    case FOL_SLOT_PICK:
        return PyArg_ParseTuple(args, "sy*IL", &name, views, &question->numbers[0], &question->now);
    case FOL_SLOT_VICTIMS:
        return PyArg_ParseTuple(args, "sII", &name, &question->numbers[0], &question->numbers[1]);
    case FOL_SLOT_SPIN_LIMIT:
        return PyArg_ParseTuple(args, "sI", &name, &question->numbers[0]);
    case FOL_SLOT_CHUNK_ROWS:
        return PyArg_ParseTuple(args, "sIK", &name, &question->numbers[0], &question->rows);
    case FOL_SLOT_BACKEND:
        return PyArg_ParseTuple(args, "sdddddI", &name, &question->load.frame_ns,
                                &question->load.busy_ns, &question->load.parallelism,
                                &question->load.operations, &question->load.in_flight,
                                &question->load.current);
    case FOL_SLOT_COUNT:
        break;
    }
    return 0;
}

/* The slot of that name if the policy fills it. */
static int find_slot(PyObject *bound, PyObject *name, fol_policy_slot *out)
{
    const fol_policy_slots *slots = fol_py_policy_facts_of(bound)->slots;
#define IS_IT(slot, member)                                                                        \
    if (slots != NULL && slots->member != NULL &&                                                  \
        PyUnicode_CompareWithASCIIString(name, #member) == 0) {                                    \
        *out = slot;                                                                               \
        return 0;                                                                                  \
    }
    FOL_PY_FOR_EACH_SLOT(IS_IT)
#undef IS_IT
    PyErr_Format(PyExc_ValueError, "the policy does not fill the slot %R", name);
    return -1;
}

/* Memory for ids, one for each view or worker, counting from 0. */
static int make_ids(question *question, fol_policy_slot slot, size_t length)
{
    question->count = (uint32_t)(length / sizeof(fol_runnable_view));
    size_t count = slot == FOL_SLOT_VICTIMS ? question->numbers[1] : question->count;
    question->ids = PyMem_Calloc(count + 1, sizeof(uint32_t));
    if (question->ids == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        question->ids[i] = (uint32_t)i;
    }
    return 0;
}

static PyObject *probe_ask(PyObject *object, PyObject *args)
{
    PyObject *bound = ((probe_object *)object)->bound;
    bool is_live = ((fol_py_bound_policy *)bound)->is_live;
    Py_buffer views = {.obj = NULL};
    fol_policy_slot slot = FOL_SLOT_COUNT;
    PyObject *result = NULL;
    question question = {.slots = fol_py_policy_facts_of(bound)->slots};
    if (PyTuple_GET_SIZE(args) == 0 || !PyUnicode_Check(PyTuple_GET_ITEM(args, 0))) {
        PyErr_SetString(PyExc_TypeError, "ask takes the name of a slot and what that is asked");
        return NULL;
    }
    if (find_slot(bound, PyTuple_GET_ITEM(args, 0), &slot) < 0 ||
        !read_question(&question, slot, args, &views)) {
        return NULL;
    }
    question.views = views.buf;
    if (views.obj != NULL &&
        (views.len == 0 || views.len % (Py_ssize_t)sizeof(fol_runnable_view) != 0)) {
        PyErr_SetString(PyExc_ValueError, "runnables are an array of fol_runnable_view");
    } else if (make_ids(&question, slot, (size_t)views.len) == 0) {
        fol_host host = fol_py_host(NULL);
        PyThreadState *outer = is_live ? fol_py_host_nest() : NULL;
        if (is_live) {
            host.detach(host.state);
        }
        int status = ask_core(&question, slot);
        if (is_live) {
            host.attach(host.state);
            fol_py_host_unnest(outer);
        }
        PyObject *answer = status == FOL_POLICY_ANSWERED ? tell(&question, slot) : NULL;
        result = PyErr_Occurred()
                     ? NULL
                     : Py_BuildValue("(iO)", status, answer == NULL ? Py_None : answer);
        Py_XDECREF(answer);
    }
    PyMem_Free(question.ids);
    if (views.obj != NULL) {
        PyBuffer_Release(&views);
    }
    return result;
}

static PyObject *probe_take_errors(PyObject *object, PyObject *unused)
{
    (void)unused;
    return fol_py_policy_take_errors(((probe_object *)object)->bound);
}

static PyObject *probe_take_interrupt(PyObject *object, PyObject *unused)
{
    (void)unused;
    PyObject *interrupt = fol_py_policy_take_interrupt(((probe_object *)object)->bound);
    return interrupt == NULL ? Py_NewRef(Py_None) : interrupt;
}

static PyObject *probe_raise_interrupt(PyObject *object, PyObject *unused)
{
    (void)unused;
    if (fol_py_policy_raise_interrupt(((probe_object *)object)->bound) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *probe_facts(PyObject *object, void *closure)
{
    (void)closure;
    PyObject *bound = ((probe_object *)object)->bound;
    const fol_py_policy_facts *facts = fol_py_policy_facts_of(bound);
    PyObject *slots = PyList_New(0);
    PyObject *limit =
        facts->stopwatch == NULL ? Py_NewRef(Py_None) : PyLong_FromLongLong(facts->slot_limit);
#define APPEND(slot, member)                                                                       \
    if (slots != NULL && facts->slots != NULL && facts->slots->member != NULL) {                   \
        PyObject *name = PyUnicode_FromString(#member);                                            \
        if (name == NULL || PyList_Append(slots, name) < 0) {                                      \
            Py_CLEAR(slots);                                                                       \
        }                                                                                          \
        Py_XDECREF(name);                                                                          \
    }
    FOL_PY_FOR_EACH_SLOT(APPEND)
#undef APPEND
    if (slots == NULL || limit == NULL) {
        Py_XDECREF(slots);
        Py_XDECREF(limit);
        return NULL;
    }
    return Py_BuildValue("{s:i,s:I,s:N,s:N}", "base", (int)facts->base, "max_faults",
                         facts->max_faults, "call_limit_ns", limit, "slots", slots);
}

static PyObject *probe_stopwatch(PyObject *object, PyObject *unused)
{
    (void)unused;
    const fol_py_policy_facts *facts = fol_py_policy_facts_of(((probe_object *)object)->bound);
    if (facts->stopwatch == NULL) {
        Py_RETURN_NONE;
    }
    return PyLong_FromLongLong(facts->stopwatch(facts->stopwatch_state));
}

static PyMethodDef probe_methods[] = {
    {"ask", probe_ask, METH_VARARGS,
     "ask($self, slot, /, *question)\n--\n\n(status, answer) of one call of a slot."},
    {"take_errors", probe_take_errors, METH_NOARGS,
     "take_errors($self)\n--\n\nWhat slots raised and answered wrongly, and forget it."},
    {"take_interrupt", probe_take_interrupt, METH_NOARGS,
     "take_interrupt($self)\n--\n\nWhat asked to stop, or None, and forget it."},
    {"raise_interrupt", probe_raise_interrupt, METH_NOARGS,
     "raise_interrupt($self)\n--\n\nRaise what asked to stop, if anything did."},
    {"stopwatch", probe_stopwatch, METH_NOARGS,
     "stopwatch($self)\n--\n\nNanoseconds by which calls are timed; None: they are not."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef probe_getset[] = {
    {"facts", probe_facts, NULL, "What a dispatcher is made with.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot probe_slots[] = {
    {Py_tp_doc, "The slots of a policy, to be asked one by one."},
    {Py_tp_new, probe_new},
    {Py_tp_dealloc, probe_dealloc},
    {Py_tp_traverse, probe_traverse},
    {Py_tp_methods, probe_methods},
    {Py_tp_getset, probe_getset},
    {0, NULL},
};

PyType_Spec fol_py_policy_probe_spec = {
    .name = "foliot._core.PolicyProbe",
    .basicsize = sizeof(probe_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = probe_slots,
};
