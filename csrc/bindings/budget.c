/* Budgets to look at and to play with: RefillRing and CbsServer, the structures that the scheduler
 * runs on, with time as an argument.
 *
 * Each object owns one structure of foliot/budget.h. Arguments are checked here, so that errors
 * name the value and what is allowed; the core asserts the same bounds.
 */
#include "bindings/bindings.h"

#include <structmember.h>

#include "bindings/types.h"
#include "foliot/budget.h"

typedef struct ring_object {
    PyObject_HEAD fol_refill_ring ring;
    fol_refill slots[FOL_REFILLS_MAX];
} ring_object;

typedef struct server_object {
    PyObject_HEAD fol_cbs server;
} server_object;

_Static_assert(sizeof(long long) == sizeof(int64_t), "times are members of type T_LONGLONG");

/* A whole number of any kind within bounds. */
static int read_number(PyObject *given, const char *what, int64_t least, int64_t most, int64_t *out)
{
    PyObject *index = PyBool_Check(given) ? NULL : PyNumber_Index(given);
    if (index == NULL) {
        PyErr_Format(PyExc_TypeError, "%s is a whole number, got %R", what, given);
        return -1;
    }
    int is_beyond;
    long long number = PyLong_AsLongLongAndOverflow(index, &is_beyond);
    Py_DECREF(index);
    if (is_beyond != 0 || number < least || number > most) {
        PyErr_Format(PyExc_ValueError, "%s is from %lld to %lld, got %R", what, (long long)least,
                     (long long)most, given);
        return -1;
    }
    *out = number;
    return 0;
}

static int read_time(PyObject *given, const char *what, int64_t *out)
{
    return read_number(given, what, 0, FOL_BUDGET_MAX_TIME, out);
}

/* The two times that every budget has; a NULL was not given. */
static int read_bandwidth(PyObject *given_budget, PyObject *given_period, const char *what,
                          int64_t *budget, int64_t *period)
{
    if (given_budget == NULL || given_period == NULL) {
        PyErr_Format(PyExc_TypeError, "a %s needs budget= and period=", what);
        return -1;
    }
    if (read_number(given_period, "period", 1, FOL_BUDGET_MAX_PERIOD, period) < 0) {
        return -1;
    }
    return read_number(given_budget, "budget (at most the period)", 1, *period, budget);
}

static void deallocate(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    type->tp_free(object);
    Py_DECREF(type);
}

/* RefillRing. */

static PyObject *ring_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"budget", "period", "capacity", "minimum", "start", NULL};
    PyObject *given[5] = {NULL};
    int64_t period;
    int64_t budget;
    int64_t capacity = 8;
    int64_t minimum = 0;
    int64_t start = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$OOOOO:RefillRing", keywords, &given[0],
                                     &given[1], &given[2], &given[3], &given[4])) {
        return NULL;
    }
    if (read_bandwidth(given[0], given[1], "RefillRing", &budget, &period) < 0 ||
        (given[2] != NULL &&
         read_number(given[2], "capacity", FOL_REFILLS_MIN, FOL_REFILLS_MAX, &capacity) < 0) ||
        (given[3] != NULL &&
         read_number(given[3], "minimum (at most the budget)", 0, budget, &minimum) < 0) ||
        (given[4] != NULL && read_time(given[4], "start", &start) < 0)) {
        return NULL;
    }
    ring_object *self = (ring_object *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    int status = fol_refill_init(&self->ring, self->slots, (uint32_t)capacity, budget, period,
                                 minimum, start);
    if (status < 0) {
        Py_DECREF(self);
        fol_py_raise(fol_py_state_of(type), status, NULL);
        return NULL;
    }
    return (PyObject *)self;
}

static PyObject *change_ring(PyObject *object, PyObject *given, const char *what,
                             void (*change)(fol_refill_ring *ring, int64_t time))
{
    int64_t time;
    if (read_time(given, what, &time) < 0) {
        return NULL;
    }
    FOL_PY_BEGIN_CRITICAL(object);
    change(&((ring_object *)object)->ring, time);
    FOL_PY_END_CRITICAL();
    Py_RETURN_NONE;
}

static PyObject *ring_charge(PyObject *object, PyObject *given)
{
    return change_ring(object, given, "used", fol_refill_charge);
}

static PyObject *ring_unblock(PyObject *object, PyObject *given)
{
    return change_ring(object, given, "now", fol_refill_unblock);
}

static PyObject *ring_ready(PyObject *object, PyObject *given)
{
    int64_t now;
    if (read_time(given, "now", &now) < 0) {
        return NULL;
    }
    bool is_ready;
    FOL_PY_BEGIN_CRITICAL(object);
    is_ready = fol_refill_ready(&((ring_object *)object)->ring, now);
    FOL_PY_END_CRITICAL();
    return PyBool_FromLong(is_ready);
}

static PyObject *ring_available(PyObject *object, PyObject *given)
{
    int64_t now;
    if (read_time(given, "now", &now) < 0) {
        return NULL;
    }
    int64_t amount;
    FOL_PY_BEGIN_CRITICAL(object);
    amount = fol_refill_available(&((ring_object *)object)->ring, now);
    FOL_PY_END_CRITICAL();
    return PyLong_FromLongLong(amount);
}

static PyObject *ring_ready_at(PyObject *object, void *closure)
{
    (void)closure;
    int64_t time;
    FOL_PY_BEGIN_CRITICAL(object);
    time = fol_refill_ready_at(&((ring_object *)object)->ring);
    FOL_PY_END_CRITICAL();
    return time == FOL_TIME_NEVER ? Py_NewRef(Py_None) : PyLong_FromLongLong(time);
}

static PyObject *ring_refills(PyObject *object, void *closure)
{
    (void)closure;
    fol_refill copies[FOL_REFILLS_MAX];
    uint32_t count;
    FOL_PY_BEGIN_CRITICAL(object);
    const fol_refill_ring *ring = &((ring_object *)object)->ring;
    count = ring->count;
    for (uint32_t place = 0; place < count; place++) {
        copies[place] = *fol_refill_at(ring, place);
    }
    FOL_PY_END_CRITICAL();
    PyObject *list = PyList_New(count);
    for (uint32_t place = 0; list != NULL && place < count; place++) {
        PyObject *pair =
            Py_BuildValue("(LL)", (long long)copies[place].time, (long long)copies[place].amount);
        if (pair == NULL) {
            Py_CLEAR(list);
        } else {
            PyList_SET_ITEM(list, place, pair);
        }
    }
    return list;
}

static PyObject *ring_repr(PyObject *object)
{
    const fol_refill_ring *ring = &((ring_object *)object)->ring;
    PyObject *refills = ring_refills(object, NULL);
    if (refills == NULL) {
        return NULL;
    }
    PyObject *text =
        PyUnicode_FromFormat("<RefillRing of %lld in %lld: %R>", (long long)ring->budget,
                             (long long)ring->period, refills);
    Py_DECREF(refills);
    return text;
}

static PyMethodDef ring_methods[] = {
    {"charge", ring_charge, METH_O,
     "charge($self, used, /)\n--\n\n"
     "So much was used since the last call of this or of unblock; more than there was is debt."},
    {"unblock", ring_unblock, METH_O,
     "unblock($self, now, /)\n--\n\n"
     "A run begins: what is ready counts from now, with all that has become due."},
    {"ready", ring_ready, METH_O,
     "ready($self, now, /)\n--\n\nWhether there is something to use at that time."},
    {"available", ring_available, METH_O,
     "available($self, now, /)\n--\n\n"
     "What a run that begins at that time may use without a pause; 0 when not ready."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef ring_getset[] = {
    {"refills", ring_refills, NULL, "The refills as (time, amount), in the order of time.", NULL},
    {"ready_at", ring_ready_at, NULL,
     "From when on it is ready; None when its debt is beyond the end of time.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

#define RING_MEMBER(name, kind, text)                                                              \
    {#name, kind, offsetof(ring_object, ring.name), READONLY, text}

static PyMemberDef ring_members[] = {
    RING_MEMBER(budget, T_LONGLONG, "What may be used in a period; the sum of all refills."),
    RING_MEMBER(period, T_LONGLONG, "After how long what was used comes back."),
    RING_MEMBER(minimum, T_LONGLONG, "No refill at the head is smaller."),
    RING_MEMBER(capacity, T_UINT, "How many refills are kept apart."),
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(
    ring_doc,
    "RefillRing(*, budget, period, capacity=8, minimum=0, start=0)\n--\n\n"
    "A budget that comes back one period after it was used: a sporadic server's refills.\n\n"
    "Times are whole numbers of any unit, from 0 to 2**61; the period is at most 2**60, the\n"
    "budget at most the period, the capacity from 2 to 64, the minimum at most the budget.\n"
    "When every run begins with ``unblock``, no window of length w sees more use than\n"
    "``w // period * budget + min(w % period, budget)``, plus the longest time by which a\n"
    "run exceeds what was ``available``.\n\n"
    "Errors: TypeError for what is no whole number, ValueError for one out of bounds.\n\n"
    "Source: Sprunt, Sha and Lehoczky (1989); Stanovich and others (2010).\n\n"
    "Example:\n"
    "    >>> ring = RefillRing(budget=4, period=10)\n"
    "    >>> ring.charge(1)\n"
    "    >>> ring.refills\n"
    "    [(1, 3), (10, 1)]\n"
    "    >>> ring.charge(3)\n"
    "    >>> ring.ready(9), ring.ready(10), ring.refills\n"
    "    (False, True, [(10, 4)])\n");

static PyType_Slot ring_slots[] = {
    {Py_tp_doc, (void *)ring_doc}, {Py_tp_new, ring_new},
    {Py_tp_dealloc, deallocate},   {Py_tp_repr, ring_repr},
    {Py_tp_methods, ring_methods}, {Py_tp_getset, ring_getset},
    {Py_tp_members, ring_members}, {0, NULL},
};

static PyType_Spec ring_spec = {
    .name = "foliot._core.RefillRing",
    .basicsize = sizeof(ring_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = ring_slots,
};

/* CbsServer. */

static PyObject *server_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"budget", "period", "deadline", "hard", NULL};
    PyObject *given[3] = {NULL, NULL, Py_None};
    PyObject *hard = Py_True;
    int64_t period;
    int64_t budget;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$OOOO:CbsServer", keywords, &given[0],
                                     &given[1], &given[2], &hard)) {
        return NULL;
    }
    if (read_bandwidth(given[0], given[1], "CbsServer", &budget, &period) < 0) {
        return NULL;
    }
    if (!PyBool_Check(hard)) {
        PyErr_Format(PyExc_TypeError, "hard is True or False, got %R", hard);
        return NULL;
    }
    int64_t deadline = period;
    if (given[2] != Py_None && read_number(given[2], "deadline (from the budget to the period)",
                                           budget, period, &deadline) < 0) {
        return NULL;
    }
    server_object *self = (server_object *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    int status = fol_cbs_init(&self->server, budget, period, deadline, hard == Py_True);
    if (status < 0) {
        Py_DECREF(self);
        fol_py_raise(fol_py_state_of(type), status, NULL);
        return NULL;
    }
    return (PyObject *)self;
}

/* Whether it may run at that time, by one of the three looks at it. */
static PyObject *look_at_server(PyObject *object, PyObject *given,
                                bool (*look)(fol_cbs *server, int64_t now))
{
    int64_t now;
    if (read_time(given, "now", &now) < 0) {
        return NULL;
    }
    bool may_run;
    FOL_PY_BEGIN_CRITICAL(object);
    may_run = look(&((server_object *)object)->server, now);
    FOL_PY_END_CRITICAL();
    return PyBool_FromLong(may_run);
}

static PyObject *server_wake(PyObject *object, PyObject *given)
{
    return look_at_server(object, given, fol_cbs_wake);
}

static PyObject *server_unblock(PyObject *object, PyObject *given)
{
    return look_at_server(object, given, fol_cbs_unblock);
}

static bool is_ready(fol_cbs *server, int64_t now)
{
    return fol_cbs_ready(server, now);
}

static PyObject *server_ready(PyObject *object, PyObject *given)
{
    return look_at_server(object, given, is_ready);
}

static PyObject *server_charge(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"", "now", NULL};
    PyObject *given[2];
    int64_t used;
    int64_t now;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO:charge", keywords, &given[0], &given[1]) ||
        read_time(given[0], "used", &used) < 0 || read_time(given[1], "now", &now) < 0) {
        return NULL;
    }
    bool is_used_up;
    FOL_PY_BEGIN_CRITICAL(object);
    is_used_up = fol_cbs_charge(&((server_object *)object)->server, used, now);
    FOL_PY_END_CRITICAL();
    return PyBool_FromLong(is_used_up);
}

static PyObject *server_repr(PyObject *object)
{
    const fol_cbs *server = &((server_object *)object)->server;
    return PyUnicode_FromFormat("<%s CbsServer of %lld in %lld: %lld left, deadline %lld>",
                                server->is_hard ? "hard" : "soft", (long long)server->full,
                                (long long)server->period, (long long)server->budget,
                                (long long)server->deadline);
}

static PyMethodDef server_methods[] = {
    {"wake", server_wake, METH_O,
     "wake($self, now, /)\n--\n\nWork arrives at a server that had none: whether it may run."},
    {"unblock", server_unblock, METH_O,
     "unblock($self, now, /)\n--\n\n"
     "Looks again at a server that has work, and refills it if that is due: whether it may run."},
    {"ready", server_ready, METH_O, "ready($self, now, /)\n--\n\nWhether it may run at that time."},
    {"charge", (PyCFunction)(void (*)(void))server_charge, METH_VARARGS | METH_KEYWORDS,
     "charge($self, used, /, now)\n--\n\n"
     "So much was used; more than there was is debt. Whether that was the last of the budget."},
    {NULL, NULL, 0, NULL},
};

#define SERVER_MEMBER(name, field, kind, text)                                                     \
    {name, kind, offsetof(server_object, server.field), READONLY, text}

static PyMemberDef server_members[] = {
    SERVER_MEMBER("budget", budget, T_LONGLONG, "What is left; 0 or less: used up, the debt."),
    SERVER_MEMBER("deadline", deadline, T_LONGLONG,
                  "The absolute deadline; 0 before the first wake."),
    SERVER_MEMBER("throttled_until", throttled_until, T_LONGLONG,
                  "It may not run before that time, which may be past."),
    SERVER_MEMBER("full_budget", full, T_LONGLONG, "The budget of a period."),
    SERVER_MEMBER("period", period, T_LONGLONG, "The period."),
    SERVER_MEMBER("relative_deadline", relative_deadline, T_LONGLONG,
                  "From a wake that begins anew to the deadline."),
    SERVER_MEMBER("hard", is_hard, T_BOOL, "Whether it waits for its next period when used up."),
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(
    server_doc,
    "CbsServer(*, budget, period, deadline=None, hard=True)\n--\n\n"
    "A constant bandwidth server: a budget each period, and a deadline to be run by.\n\n"
    "Times are whole numbers of any unit, from 0 to 2**61; the period is at most 2**60, the\n"
    "deadline at most the period (which is what None gives), the budget at most the\n"
    "deadline. Used up, a hard server waits for its next period, and for more of them if\n"
    "its debt needs more; a soft one is refilled at once, and its deadline moves a period\n"
    "away. No window of length w sees a hard one use more than\n"
    "``3 * budget + (w - 2 * budget) * budget / period``, plus the longest time by which a run\n"
    "exceeds the budget left; one budget less when it never runs past a deadline.\n\n"
    "Errors: TypeError for what is no whole number, ValueError for one out of bounds.\n\n"
    "Source: Abeni and Buttazzo (1998); Linux for deadlines before the end of the period.\n\n"
    "Example:\n"
    "    >>> server = CbsServer(budget=2, period=10)\n"
    "    >>> server.wake(3), server.budget, server.deadline\n"
    "    (True, 2, 13)\n"
    "    >>> server.charge(3, now=6), server.budget, server.throttled_until\n"
    "    (True, -1, 13)\n"
    "    >>> server.wake(13), server.budget, server.deadline\n"
    "    (True, 1, 23)\n");

static PyType_Slot server_slots[] = {
    {Py_tp_doc, (void *)server_doc},
    {Py_tp_new, server_new},
    {Py_tp_dealloc, deallocate},
    {Py_tp_repr, server_repr},
    {Py_tp_methods, server_methods},
    {Py_tp_members, server_members},
    {0, NULL},
};

static PyType_Spec server_spec = {
    .name = "foliot._core.CbsServer",
    .basicsize = sizeof(server_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = server_slots,
};

int fol_py_add_budget_types(fol_py_state *state)
{
    PyType_Spec *specs[] = {&ring_spec, &server_spec};
    for (size_t i = 0; i < sizeof(specs) / sizeof(specs[0]); i++) {
        /* The module keeps the type alive; nothing here makes objects of it. */
        PyTypeObject *type = NULL;
        int status = fol_py_add_type(state, specs[i], NULL, &type);
        Py_XDECREF(type);
        if (status < 0) {
            return -1;
        }
    }
    return 0;
}
