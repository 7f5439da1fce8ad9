/* Clocks: the virtual one as a Python object, and any object with now_ns() as a clock of the core.
 */
#include "bindings/scheduler.h"

#include <math.h>
#include <time.h>

#define NS_PER_SECOND 1e9
/* Half of what the counter holds: sums of two times stay in range. */
#define MAX_SECONDS 9e9

typedef struct clock_object {
    PyObject_HEAD fol_virtual_clock clock;
} clock_object;

/* Seconds as nanoseconds; -1 with an error set. */
static int read_seconds(PyObject *given, const char *what, uint64_t *out)
{
    double seconds = PyFloat_AsDouble(given);
    if (seconds == -1.0 && PyErr_Occurred()) {
        return -1;
    }
    if (!isfinite(seconds) || seconds < 0.0 || seconds > MAX_SECONDS) {
        PyErr_Format(PyExc_ValueError, "%s is finite, at least 0 and at most 9e9 seconds, got %R",
                     what, given);
        return -1;
    }
    *out = (uint64_t)llround(seconds * NS_PER_SECOND);
    return 0;
}

static PyObject *clock_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"start", NULL};
    PyObject *start = NULL;
    uint64_t start_ns = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O:VirtualClock", keywords, &start) ||
        (start != NULL && read_seconds(start, "start", &start_ns) < 0)) {
        return NULL;
    }
    clock_object *self = (clock_object *)type->tp_alloc(type, 0);
    if (self != NULL) {
        fol_virtual_clock_init(&self->clock, start_ns);
    }
    return (PyObject *)self;
}

static void clock_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    type->tp_free(object);
    Py_DECREF(type);
}

static uint64_t now_of(clock_object *self)
{
    fol_clock face = fol_virtual_clock_face(&self->clock);
    return face.now_ns(face.state);
}

static PyObject *clock_advance(PyObject *object, PyObject *seconds)
{
    clock_object *self = (clock_object *)object;
    uint64_t by_ns;
    if (read_seconds(seconds, "the time to advance", &by_ns) < 0) {
        return NULL;
    }
    if (now_of(self) + by_ns > (uint64_t)(MAX_SECONDS * NS_PER_SECOND)) {
        PyErr_SetString(PyExc_ValueError, "a virtual clock ends at 9e9 seconds");
        return NULL;
    }
    fol_virtual_clock_advance(&self->clock, by_ns);
    Py_RETURN_NONE;
}

static PyObject *clock_now_ns(PyObject *object, PyObject *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLongLong(now_of((clock_object *)object));
}

static PyObject *clock_now(PyObject *object, void *closure)
{
    (void)closure;
    return PyFloat_FromDouble((double)now_of((clock_object *)object) / NS_PER_SECOND);
}

static PyObject *clock_repr(PyObject *object)
{
    PyObject *now = clock_now(object, NULL);
    PyObject *text = now == NULL ? NULL : PyUnicode_FromFormat("VirtualClock(%R)", now);
    Py_XDECREF(now);
    return text;
}

/* Keeps the pending error as the face's, the last of several. */
static void keep_error(fol_py_clock_face *face)
{
    PyObject *error = fol_py_take_error();
    PyObject *before;
    FOL_PY_BEGIN_CRITICAL(face->object);
    before = face->error;
    face->error = error;
    FOL_PY_END_CRITICAL();
    Py_XDECREF(before);
}

PyObject *fol_py_clock_face_take_error(fol_py_clock_face *face)
{
    PyObject *error = NULL;
    if (face->object != NULL) {
        FOL_PY_BEGIN_CRITICAL(face->object);
        error = face->error;
        face->error = NULL;
        FOL_PY_END_CRITICAL();
    }
    return error;
}

/* Any object with now_ns(), asked on any worker. An exception stays in the face until the frame
 * looks for reasons to stop; meanwhile time stands still. */
static uint64_t foreign_now(void *state)
{
    fol_py_clock_face *face = state;
    bool was_attached = fol_py_enter_host();
    PyObject *answer = PyObject_CallMethod(face->object, "now_ns", NULL);
    unsigned long long now = answer == NULL ? 0 : PyLong_AsUnsignedLongLong(answer);
    Py_XDECREF(answer);
    if (PyErr_Occurred()) {
        keep_error(face);
        now = 0;
    }
    FOL_PY_BEGIN_CRITICAL(face->object);
    face->last_ns = now > face->last_ns ? now : face->last_ns;
    now = face->last_ns;
    FOL_PY_END_CRITICAL();
    fol_py_leave_host(was_attached);
    return now;
}

static void foreign_wait(void *state, uint64_t deadline_ns, uint64_t max_wait_ns)
{
    fol_py_clock_face *face = state;
    uint64_t now = foreign_now(state);
    if (face->error != NULL || now >= deadline_ns) {
        return;
    }
    bool was_attached = fol_py_enter_host();
    bool can_wait = PyObject_HasAttrString(face->object, "wait_until_ns") != 0;
    if (can_wait) {
        PyObject *answer =
            PyObject_CallMethod(face->object, "wait_until_ns", "KK",
                                (unsigned long long)deadline_ns, (unsigned long long)max_wait_ns);
        if (answer == NULL) {
            keep_error(face);
        }
        Py_XDECREF(answer);
    }
    fol_py_leave_host(was_attached);
    if (!can_wait) {
        uint64_t wait = deadline_ns - now < max_wait_ns ? deadline_ns - now : max_wait_ns;
        struct timespec pause = {.tv_sec = (time_t)(wait / UINT64_C(1000000000)),
                                 .tv_nsec = (long)(wait % UINT64_C(1000000000))};
        clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
    }
}

int fol_py_clock_face_init(fol_py_clock_face *face, fol_py_state *state, PyObject *clock)
{
    if (clock == Py_None) {
        face->clock = fol_clock_monotonic;
        return 0;
    }
    if (Py_IS_TYPE(clock, state->scheduler.clock_type)) {
        face->clock = fol_virtual_clock_face(&((clock_object *)clock)->clock);
    } else if (PyObject_HasAttrString(clock, "now_ns")) {
        face->clock =
            (fol_clock){.state = face, .now_ns = foreign_now, .wait_until_ns = foreign_wait};
    } else {
        PyErr_Format(PyExc_TypeError,
                     "clock is None, a fo.VirtualClock or an object with now_ns(), got %R", clock);
        return -1;
    }
    face->object = Py_NewRef(clock);
    return 0;
}

void fol_py_clock_face_deinit(fol_py_clock_face *face)
{
    Py_CLEAR(face->object);
    Py_CLEAR(face->error);
}

static PyMethodDef clock_methods[] = {
    {"advance", clock_advance, METH_O, "advance($self, seconds, /)\n--\n\nMove the clock forward."},
    {"now_ns", clock_now_ns, METH_NOARGS,
     "now_ns($self, /)\n--\n\nThe clock's time in nanoseconds."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef clock_getset[] = {
    {"now", clock_now, NULL, "The clock's time in seconds.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(clock_doc,
             "VirtualClock(start=0.0)\n--\n\n"
             "A clock that stands still until it is advanced, for tests and simulations.\n\n"
             "Waiting on it advances it to the deadline at once, so that ``scheduler.run`` of an\n"
             "hour takes no longer than its frames.\n\n"
             "Example:\n"
             "    >>> clock = VirtualClock()\n"
             "    >>> clock.advance(1.5)\n"
             "    >>> clock.now\n"
             "    1.5\n");

static PyType_Slot clock_slots[] = {
    {Py_tp_doc, (void *)clock_doc},
    {Py_tp_new, clock_new},
    {Py_tp_dealloc, clock_dealloc},
    {Py_tp_repr, clock_repr},
    {Py_tp_methods, clock_methods},
    {Py_tp_getset, clock_getset},
    {0, NULL},
};

PyType_Spec fol_py_clock_spec = {
    .name = "foliot._core.VirtualClock",
    .basicsize = sizeof(clock_object),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = clock_slots,
};
