/* Slots in Python: each call of the core becomes one vector call of a function.
 *
 * A call builds what it shows from views that are kept between calls, so it makes no tuple, no
 * dict and, when the policy keeps nothing, no object but the number of the time. Answers are
 * checked here, where they can be named; what a dispatcher would not take is an error already.
 */
#include "bindings/policy_bound.h"
#include "bindings/scheduler.h"

#include <string.h>

/* Arguments of one call, with room in front for a method's object and for the callee. */
typedef struct turn {
    fol_py_bound_policy *bound;
    fol_policy_slot slot;
    bool was_attached;
    fol_py_ready *ready; /* NULL in calls that show no runnable */
    PyObject *stack[6];
    uint32_t count;
} turn;

static const char *const expected[FOL_SLOT_COUNT] = {
    [FOL_SLOT_ENQUEUE] = "an int of at most 64 bits, or None",
    [FOL_SLOT_PICK] = "a member of ready, or None",
    [FOL_SLOT_SLICE] = "an int of at least 1, or None",
    [FOL_SLOT_ADMIT] = "True, False, or None",
    [FOL_SLOT_VICTIMS] = "different numbers of other workers, or None",
    [FOL_SLOT_SPIN_LIMIT] = "an int from 0 to 1000000, or None",
    [FOL_SLOT_CHUNK_ROWS] = "an int of at least 1, or None",
    [FOL_SLOT_BACKEND] = "the name of a backend, or None",
};

/* Attached from here on. */
static bool attach(fol_py_bound_policy *bound)
{
    fol_py_policy_note_call(bound);
    if (PyGILState_Check()) {
        return true;
    }
    int64_t start = fol_py_policy_clock_ns();
    fol_py_enter_host();
    atomic_fetch_add_explicit(&bound->excused_ns, fol_py_policy_clock_ns() - start,
                              memory_order_relaxed);
    return false;
}

/* False: the policy is not to be asked. Otherwise attached. */
static bool begin(turn *turn, fol_py_bound_policy *bound, fol_policy_slot slot)
{
    if (atomic_load_explicit(&bound->is_interrupted, memory_order_relaxed)) {
        return false;
    }
    *turn = (struct turn){.bound = bound, .slot = slot, .was_attached = true};
    if (bound->is_live) {
        turn->was_attached = attach(bound);
    }
    return true;
}

static int end(turn *turn, int status)
{
    for (uint32_t i = 0; i < turn->count; i++) {
        Py_XDECREF(turn->stack[2 + i]);
    }
    fol_py_ready *ready = turn->ready;
    if (ready != NULL) {
        bool is_free = fol_py_ready_close(ready);
        FOL_PY_BEGIN_CRITICAL((PyObject *)turn->bound);
        if (is_free && turn->bound->ready == NULL) {
            turn->bound->ready = ready;
            ready = NULL;
        }
        FOL_PY_END_CRITICAL();
        Py_XDECREF(ready);
    }
    if (turn->bound->is_live) {
        fol_py_leave_host(turn->was_attached);
    }
    return status;
}

/* Adds an argument, whose reference it takes; false for NULL. */
static inline bool push(turn *turn, PyObject *argument)
{
    turn->stack[2 + turn->count++] = argument;
    return argument != NULL;
}

/* The views of this call: those kept, or new ones while another call of the policy has them. */
static bool open_views(turn *turn, const fol_ready *list)
{
    fol_py_bound_policy *bound = turn->bound;
    fol_py_ready *ready;
    FOL_PY_BEGIN_CRITICAL((PyObject *)bound);
    ready = bound->ready;
    bound->ready = NULL;
    FOL_PY_END_CRITICAL();
    if (ready == NULL) {
        ready = fol_py_ready_new(bound->state, &bound->names);
        if (ready == NULL) {
            return false;
        }
    }
    fol_py_ready_open(ready, list);
    turn->ready = ready;
    return true;
}

/* Calls with what was pushed, the last ones by name. New reference, or NULL with an error. */
static PyObject *call(turn *turn, PyObject *names)
{
    const fol_py_policy_call *what = &turn->bound->calls[turn->slot];
    if (what->function == NULL) {
        return Py_NewRef(Py_None);
    }
    size_t named = names == NULL ? 0 : (size_t)PyTuple_GET_SIZE(names);
    size_t positional = turn->count - named;
    PyObject **arguments = turn->stack + 2;
    if (what->self != NULL) {
        turn->stack[1] = what->self;
        arguments = turn->stack + 1;
        positional++;
    }
    return PyObject_Vectorcall(what->function, arguments,
                               positional | PY_VECTORCALL_ARGUMENTS_OFFSET, names);
}

static int fail(turn *turn)
{
    return fol_py_policy_keep_error(turn->bound, turn->slot, FOL_E_HOST);
}

/* A wrong answer. Keeps an error that reading it raised as the cause to tell. */
static int refuse(turn *turn, PyObject *error_class, PyObject *answer)
{
    PyErr_Clear();
    PyErr_Format(error_class, "%s returned %.200R; it returns %s", fol_slot_names[turn->slot],
                 answer, expected[turn->slot]);
    return fol_py_policy_keep_error(turn->bound, turn->slot, FOL_E_VALUE);
}

static int read_integer(turn *turn, PyObject *answer, int64_t least, int64_t most, int64_t *out)
{
    if (answer == Py_None) {
        return FOL_POLICY_DEFAULT;
    }
    PyObject *number = PyBool_Check(answer) ? NULL : PyNumber_Index(answer);
    if (number == NULL) {
        return refuse(turn, PyExc_TypeError, answer);
    }
    int overflow = 0;
    long long value = PyLong_AsLongLongAndOverflow(number, &overflow);
    Py_DECREF(number);
    if (overflow != 0 || value < least || value > most) {
        return refuse(turn, PyExc_ValueError, answer);
    }
    *out = value;
    return FOL_POLICY_ANSWERED;
}

/* What a call answered that asks for a number. */
static int finish_integer(turn *turn, PyObject *answer, int64_t least, int64_t most, int64_t *out)
{
    int status = answer == NULL ? fail(turn) : read_integer(turn, answer, least, most, out);
    Py_XDECREF(answer);
    return end(turn, status);
}

/* slot(runnable, now=now) */
static PyObject *ask_about(turn *turn, const fol_runnable_view *runnable, int64_t now)
{
    if (!open_views(turn, NULL) || !push(turn, fol_py_ready_single(turn->ready, runnable)) ||
        !push(turn, PyLong_FromLongLong(now))) {
        return NULL;
    }
    return call(turn, turn->bound->state->policy.names_now);
}

static int python_enqueue(void *state, const fol_runnable_view *runnable, int64_t now,
                          int64_t *rank)
{
    turn turn;
    if (!begin(&turn, state, FOL_SLOT_ENQUEUE)) {
        return FOL_POLICY_DEFAULT;
    }
    return finish_integer(&turn, ask_about(&turn, runnable, now), INT64_MIN, INT64_MAX, rank);
}

static int python_slice(void *state, const fol_runnable_view *runnable, int64_t now, int64_t *slice)
{
    turn turn;
    if (!begin(&turn, state, FOL_SLOT_SLICE)) {
        return FOL_POLICY_DEFAULT;
    }
    return finish_integer(&turn, ask_about(&turn, runnable, now), 1, INT64_MAX, slice);
}

/* A bool of Python or of numpy: 1 or 0; -1 for anything else. */
static int read_bool(PyObject *answer)
{
    const char *type = Py_TYPE(answer)->tp_name;
    if (PyBool_Check(answer)) {
        return answer == Py_True;
    }
    if (strcmp(type, "numpy.bool_") == 0 || strcmp(type, "numpy.bool") == 0) {
        return PyObject_IsTrue(answer);
    }
    return -1;
}

static int python_admit(void *state, const fol_runnable_view *runnable, int64_t now, bool *is_taken)
{
    turn turn;
    if (!begin(&turn, state, FOL_SLOT_ADMIT)) {
        return FOL_POLICY_DEFAULT;
    }
    PyObject *answer = ask_about(&turn, runnable, now);
    int status = FOL_POLICY_DEFAULT;
    if (answer == NULL) {
        status = fail(&turn);
    } else if (answer != Py_None) {
        int value = read_bool(answer);
        status = value < 0 ? refuse(&turn, PyExc_TypeError, answer) : FOL_POLICY_ANSWERED;
        *is_taken = value < 0 ? *is_taken : value != 0;
    }
    Py_XDECREF(answer);
    return end(&turn, status);
}

static int python_pick(void *state, const fol_ready *ready, uint32_t cpu, int64_t now,
                       uint32_t *place)
{
    turn turn;
    if (!begin(&turn, state, FOL_SLOT_PICK)) {
        return FOL_POLICY_DEFAULT;
    }
    PyObject *answer = NULL;
    if (open_views(&turn, ready) && push(&turn, Py_NewRef((PyObject *)turn.ready)) &&
        push(&turn, PyLong_FromUnsignedLong(cpu)) && push(&turn, PyLong_FromLongLong(now))) {
        answer = call(&turn, turn.bound->state->policy.names_cpu_now);
    }
    int status = FOL_POLICY_DEFAULT;
    if (answer == NULL) {
        status = fail(&turn);
    } else if (answer != Py_None) {
        uint32_t found = fol_py_ready_place(turn.ready, answer);
        status =
            found == UINT32_MAX ? refuse(&turn, PyExc_ValueError, answer) : FOL_POLICY_ANSWERED;
        *place = found == UINT32_MAX ? *place : found;
    }
    Py_XDECREF(answer);
    return end(&turn, status);
}

/* Reads up to workers - 1 different numbers of others into order. */
static int read_order(turn *turn, PyObject *answer, uint32_t worker, uint32_t workers,
                      uint32_t *order, uint32_t *count)
{
    PyObject *list = PySequence_Tuple(answer);
    if (list == NULL) {
        return refuse(turn, PyExc_TypeError, answer);
    }
    Py_ssize_t length = PyTuple_GET_SIZE(list);
    bool is_good = length < (Py_ssize_t)workers;
    uint32_t found = 0;
    for (Py_ssize_t i = 0; is_good && i < length; i++) {
        PyObject *item = PyTuple_GET_ITEM(list, i);
        Py_ssize_t number = PyBool_Check(item) ? -1 : PyNumber_AsSsize_t(item, NULL);
        is_good = number >= 0 && number < (Py_ssize_t)workers && number != (Py_ssize_t)worker;
        for (uint32_t k = 0; is_good && k < found; k++) {
            is_good = order[k] != (uint32_t)number;
        }
        if (is_good) {
            order[found++] = (uint32_t)number;
        }
    }
    Py_DECREF(list);
    if (!is_good) {
        return refuse(turn, PyExc_ValueError, answer);
    }
    *count = found;
    return FOL_POLICY_ANSWERED;
}

static int python_victims(void *state, uint32_t worker, uint32_t workers, uint32_t *order,
                          uint32_t *count)
{
    turn turn;
    if (!begin(&turn, state, FOL_SLOT_VICTIMS)) {
        return FOL_POLICY_DEFAULT;
    }
    PyObject *answer = NULL;
    if (push(&turn, PyLong_FromUnsignedLong(worker)) &&
        push(&turn, PyLong_FromUnsignedLong(workers))) {
        answer = call(&turn, turn.bound->state->policy.names_workers);
    }
    int status = FOL_POLICY_DEFAULT;
    if (answer == NULL) {
        status = fail(&turn);
    } else if (answer != Py_None) {
        status = read_order(&turn, answer, worker, workers, order, count);
    }
    Py_XDECREF(answer);
    return end(&turn, status);
}

static int python_spin_limit(void *state, uint32_t worker, uint32_t *limit)
{
    turn turn;
    if (!begin(&turn, state, FOL_SLOT_SPIN_LIMIT)) {
        return FOL_POLICY_DEFAULT;
    }
    int64_t rounds = 0;
    PyObject *answer = push(&turn, PyLong_FromUnsignedLong(worker)) ? call(&turn, NULL) : NULL;
    int status = finish_integer(&turn, answer, 0, FOL_MAX_SPIN_LIMIT, &rounds);
    if (status == FOL_POLICY_ANSWERED) {
        *limit = (uint32_t)rounds;
    }
    return status;
}

static PyObject *system_name(const fol_py_policy_names *names, uint32_t system)
{
    PyObject *name = names->system == NULL ? NULL : names->system(names->state, system);
    if (name == NULL && !PyErr_Occurred()) {
        name = PyUnicode_FromFormat("system %u", (unsigned)system);
    }
    return name;
}

static int python_chunk_rows(void *state, uint32_t system, uint64_t rows, uint64_t *chunk)
{
    turn turn;
    if (!begin(&turn, state, FOL_SLOT_CHUNK_ROWS)) {
        return FOL_POLICY_DEFAULT;
    }
    int64_t piece = 0;
    PyObject *answer = NULL;
    if (push(&turn, system_name(&turn.bound->names, system)) &&
        push(&turn, PyLong_FromUnsignedLongLong(rows))) {
        answer = call(&turn, NULL);
    }
    int status = finish_integer(&turn, answer, 1, INT64_MAX, &piece);
    if (status == FOL_POLICY_ANSWERED) {
        *chunk = (uint64_t)piece;
    }
    return status;
}

/* The place of a name in fol_backend_names; -1: it is no backend's. */
static int find_backend(PyObject *answer)
{
    for (int i = 0; PyUnicode_Check(answer) && fol_backend_names[i] != NULL; i++) {
        if (PyUnicode_CompareWithASCIIString(answer, fol_backend_names[i]) == 0) {
            return i;
        }
    }
    return -1;
}

static int python_backend(void *state, const fol_policy_load *load, uint32_t *choice)
{
    turn turn;
    if (!begin(&turn, state, FOL_SLOT_BACKEND)) {
        return FOL_POLICY_DEFAULT;
    }
    PyObject *answer = NULL;
    if (push(&turn,
             PyObject_CallFunction(turn.bound->state->policy.load_class, "ddddds", load->frame_ns,
                                   load->busy_ns, load->parallelism, load->operations,
                                   load->in_flight, fol_backend_names[load->current]))) {
        answer = call(&turn, NULL);
    }
    int status = FOL_POLICY_DEFAULT;
    if (answer == NULL) {
        status = fail(&turn);
    } else if (answer != Py_None) {
        int found = find_backend(answer);
        status = found < 0 ? refuse(&turn, PyExc_ValueError, answer) : FOL_POLICY_ANSWERED;
        *choice = found < 0 ? *choice : (uint32_t)found;
    }
    Py_XDECREF(answer);
    return end(&turn, status);
}

const fol_policy_slots fol_py_python_slots = {
    .enqueue = python_enqueue,
    .pick = python_pick,
    .slice = python_slice,
    .admit = python_admit,
    .victims = python_victims,
    .spin_limit = python_spin_limit,
    .chunk_rows = python_chunk_rows,
    .backend = python_backend,
};
