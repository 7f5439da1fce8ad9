/* fo.policy.FairQueue: a fair queue whose runnables are any numbers that users choose.
 *
 * A dictionary gives each number its place in the core's queue, and the number is the place's rank,
 * so that ties go by number. Places of those who are forgotten are used again.
 */
#include "bindings/types.h"

#include <errno.h>

#include "bindings/fair_queue_doc.h"
#include "foliot/fair.h"

#define FIRST_CAPACITY 8u

typedef struct fair_object {
    PyObject_HEAD fol_fair *fair;
    PyObject *places;      /* {number: place} */
    uint32_t *free_places; /* a stack */
    uint32_t free_count;
    uint32_t capacity;
    int64_t now;
    int64_t quantum; /* 0: none */
    bool is_textbook;
} fair_object;

/* An integer between two bounds; -1 with an error that names it. */
static int read_integer(PyObject *given, const char *what, int64_t least, int64_t most,
                        int64_t *out)
{
    PyObject *number = PyNumber_Index(given);
    if (number == NULL) {
        if (PyErr_ExceptionMatches(PyExc_TypeError)) {
            PyErr_Format(PyExc_TypeError, "%s is an integer, got %R", what, given);
        }
        return -1;
    }
    int overflow = 0;
    const long long value = PyLong_AsLongLongAndOverflow(number, &overflow);
    if (overflow != 0 || value < least || value > most) {
        PyErr_Format(PyExc_ValueError, "%s is from %lld to %lld, got %R", what, (long long)least,
                     (long long)most, number);
        Py_DECREF(number);
        return -1;
    }
    Py_DECREF(number);
    *out = value;
    return 0;
}

static int read_mode(PyObject *given, bool *is_textbook)
{
    if (given == NULL) {
        *is_textbook = false;
        return 0;
    }
    const char *text = PyUnicode_Check(given) ? PyUnicode_AsUTF8(given) : NULL;
    if (text != NULL && (strcmp(text, "linux") == 0 || strcmp(text, "textbook") == 0)) {
        *is_textbook = text[0] == 't';
        return 0;
    }
    PyErr_Clear();
    PyErr_Format(PyUnicode_Check(given) ? PyExc_ValueError : PyExc_TypeError,
                 "mode is \"linux\" or \"textbook\", got %R", given);
    return -1;
}

static int read_config(PyObject *slice, PyObject *tick, PyObject *mode, PyObject *quantum,
                       fol_fair_config *out)
{
    int64_t length = 0;
    bool is_textbook = false;
    fol_fair_config config = {0};
    if (read_integer(slice, "slice", 1, FOL_FAIR_MAX_TIME, &length) < 0 ||
        (tick != NULL && read_integer(tick, "tick", 0, FOL_FAIR_MAX_TIME, &config.tick) < 0) ||
        read_mode(mode, &is_textbook) < 0) {
        return -1;
    }
    if (quantum != NULL && quantum != Py_None) {
        if (!is_textbook) {
            PyErr_SetString(PyExc_ValueError,
                            "quantum is for mode=\"textbook\": with \"linux\" a runnable keeps "
                            "the processor as long as it is protected");
            return -1;
        }
        if (read_integer(quantum, "quantum", 1, FOL_FAIR_MAX_TIME, &config.quantum) < 0) {
            return -1;
        }
    }
    for (int latency = 0; latency < FOL_FAIR_CLASS_COUNT; latency++) {
        config.slices[latency] = length;
    }
    config.mode = is_textbook ? FOL_FAIR_TEXTBOOK : FOL_FAIR_LINUX;
    *out = config;
    return 0;
}

/* Room for more places than there are. */
static int grow(fair_object *self)
{
    fol_py_state *state = fol_py_state_of(Py_TYPE(self));
    const uint32_t capacity = self->capacity == 0 ? FIRST_CAPACITY : self->capacity * 2;
    if (capacity > FOL_FAIR_MAX_RUNNABLES) {
        return fol_py_raise(state, FOL_E_CAPACITY,
                            "a fair queue holds at most %u runnables: forget some that have left",
                            FOL_FAIR_MAX_RUNNABLES);
    }
    uint32_t *places = PyMem_Realloc(self->free_places, capacity * sizeof(*places));
    if (places == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    self->free_places = places;
    const int status = fol_fair_reserve(self->fair, capacity);
    if (status < 0) {
        return fol_py_raise(state, status, NULL);
    }
    for (uint32_t place = capacity; place > self->capacity; place--) {
        self->free_places[self->free_count++] = place - 1;
    }
    self->capacity = capacity;
    return 0;
}

static PyObject *fair_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"slice", "tick", "mode", "quantum", NULL};
    PyObject *slice = NULL;
    PyObject *tick = NULL;
    PyObject *mode = NULL;
    PyObject *quantum = NULL;
    fol_fair_config config;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|$OOO:FairQueue", keywords, &slice, &tick,
                                     &mode, &quantum) ||
        read_config(slice, tick, mode, quantum, &config) < 0) {
        return NULL;
    }
    fair_object *self = (fair_object *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->now = INT64_MIN;
    self->is_textbook = config.mode == FOL_FAIR_TEXTBOOK;
    self->quantum = config.quantum;
    self->places = PyDict_New();
    const int status = fol_fair_create(&config, 0, &self->fair);
    if (status < 0) {
        fol_py_raise(fol_py_state_of(type), status, NULL);
    }
    if (self->places == NULL || status < 0) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static void fair_dealloc(PyObject *object)
{
    fair_object *self = (fair_object *)object;
    PyTypeObject *type = Py_TYPE(object);
    fol_fair_destroy(self->fair);
    PyMem_Free(self->free_places);
    Py_XDECREF(self->places);
    type->tp_free(object);
    Py_DECREF(type);
}

static int read_id(PyObject *given, int64_t *out)
{
    return read_integer(given, "an id", 0, INT64_MAX, out);
}

/* The time of a call, which is not before that of the last one. */
static int read_now(fair_object *self, PyObject *given, int64_t *out)
{
    int64_t now = 0;
    if (read_integer(given, "now", INT64_MIN + 1, INT64_MAX, &now) < 0) {
        return -1;
    }
    if (now < self->now) {
        PyErr_Format(PyExc_ValueError, "time goes back: now is %lld, and was %lld before",
                     (long long)now, (long long)self->now);
        return -1;
    }
    *out = now;
    return 0;
}

/* The place of a number, FOL_FAIR_NONE when it has none; -1 with an error set. */
static int find_place(fair_object *self, int64_t id, uint32_t *out)
{
    PyObject *key = PyLong_FromLongLong(id);
    if (key == NULL) {
        return -1;
    }
    PyObject *place = PyDict_GetItemWithError(self->places, key);
    Py_DECREF(key);
    if (place == NULL && PyErr_Occurred()) {
        return -1;
    }
    *out = place == NULL ? FOL_FAIR_NONE : (uint32_t)PyLong_AsUnsignedLong(place);
    return 0;
}

/* The place of one that is in, or (may_be_away) has left and is remembered. */
static int find_known(fair_object *self, int64_t id, bool may_be_away, uint32_t *out)
{
    uint32_t place = FOL_FAIR_NONE;
    if (find_place(self, id, &place) < 0) {
        return -1;
    }
    if (place == FOL_FAIR_NONE) {
        PyErr_Format(PyExc_KeyError, "%lld has not joined this fair queue", (long long)id);
        return -1;
    }
    if (!may_be_away && !fol_fair_has(self->fair, place)) {
        PyErr_Format(PyExc_KeyError, "%lld has left this fair queue", (long long)id);
        return -1;
    }
    *out = place;
    return 0;
}

/* A place for a number that has none. */
static int take_place(fair_object *self, int64_t id, uint32_t *out)
{
    if (self->free_count == 0 && grow(self) < 0) {
        return -1;
    }
    const uint32_t place = self->free_places[self->free_count - 1];
    PyObject *key = PyLong_FromLongLong(id);
    PyObject *value = PyLong_FromUnsignedLong(place);
    const int status = key == NULL || value == NULL ? -1 : PyDict_SetItem(self->places, key, value);
    Py_XDECREF(key);
    Py_XDECREF(value);
    if (status < 0) {
        return -1;
    }
    self->free_count--;
    (void)fol_fair_set_rank(self->fair, place, id);
    *out = place;
    return 0;
}

static int give_place(fair_object *self, int64_t id, uint32_t place)
{
    PyObject *key = PyLong_FromLongLong(id);
    const int status = key == NULL ? -1 : PyDict_DelItem(self->places, key);
    Py_XDECREF(key);
    if (status == 0) {
        self->free_places[self->free_count++] = place;
    }
    return status;
}

/* What the core refused after all arguments were within their bounds. */
static int raise_status(fair_object *self, int status, int64_t id)
{
    if (status == -EOVERFLOW) {
        PyErr_Format(PyExc_OverflowError,
                     "virtual time would spread too far: with the weights and times given, %lld "
                     "and the others come to lie more than 2**61 virtual units apart",
                     (long long)id);
        return -1;
    }
    return fol_py_raise(fol_py_state_of(Py_TYPE(self)), status, NULL);
}

/* What a call asks for, read and within its bounds. */
typedef struct change {
    int64_t id;
    int64_t weight;
    int64_t request;
    int64_t ran;
    bool is_for_good;
} change;

/* Makes the change at a time, which is the queue's from then on unless the change is refused. */
static PyObject *change_at(PyObject *object, PyObject *given_now, const change *change,
                           int (*make)(fair_object *self, const struct change *change))
{
    fair_object *self = (fair_object *)object;
    int64_t now = 0;
    int status = -1;
    FOL_PY_BEGIN_CRITICAL(object);
    if (read_now(self, given_now, &now) == 0 && make(self, change) == 0) {
        self->now = now;
        status = 0;
    }
    FOL_PY_END_CRITICAL();
    return status < 0 ? NULL : Py_NewRef(Py_None);
}

static int join(fair_object *self, const change *change)
{
    const int64_t id = change->id;
    uint32_t place = FOL_FAIR_NONE;
    if (find_place(self, id, &place) < 0) {
        return -1;
    }
    const bool is_new = place == FOL_FAIR_NONE;
    if (is_new && take_place(self, id, &place) < 0) {
        return -1;
    }
    if (fol_fair_has(self->fair, place)) {
        PyErr_Format(PyExc_ValueError, "%lld has joined this fair queue already", (long long)id);
        return -1;
    }
    const int status = fol_fair_join(self->fair, place, change->weight, change->request);
    if (status < 0) {
        raise_status(self, status, id);
        if (is_new) {
            PyObject *type = NULL;
            PyObject *value = NULL;
            PyObject *trace = NULL;
            PyErr_Fetch(&type, &value, &trace);
            (void)give_place(self, id, place);
            PyErr_Restore(type, value, trace);
        }
        return -1;
    }
    return 0;
}

static PyObject *fair_join(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"id", "weight", "now", "request", NULL};
    PyObject *given_id = NULL;
    PyObject *given_weight = NULL;
    PyObject *given_now = NULL;
    PyObject *given_request = Py_None;
    change change = {0};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOO|O:join", keywords, &given_id, &given_weight,
                                     &given_now, &given_request) ||
        read_id(given_id, &change.id) < 0 ||
        read_integer(given_weight, "weight", 1, FOL_FAIR_MAX_WEIGHT, &change.weight) < 0 ||
        (given_request != Py_None &&
         read_integer(given_request, "request", 1, FOL_FAIR_MAX_TIME, &change.request) < 0)) {
        return NULL;
    }
    return change_at(object, given_now, &change, join);
}

static int leave(fair_object *self, const change *change)
{
    uint32_t place = FOL_FAIR_NONE;
    if (find_known(self, change->id, change->is_for_good, &place) < 0) {
        return -1;
    }
    if (change->is_for_good || self->is_textbook) {
        (void)fol_fair_forget(self->fair, place);
        return give_place(self, change->id, place);
    }
    const int status = fol_fair_leave(self->fair, place);
    return status < 0 ? raise_status(self, status, change->id) : 0;
}

static PyObject *leave_method(PyObject *object, PyObject *args, PyObject *kwargs,
                              const char *format, bool is_for_good)
{
    static char *keywords[] = {"id", "now", NULL};
    PyObject *given_id = NULL;
    PyObject *given_now = NULL;
    change change = {.is_for_good = is_for_good};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, format, keywords, &given_id, &given_now) ||
        read_id(given_id, &change.id) < 0) {
        return NULL;
    }
    return change_at(object, given_now, &change, leave);
}

static PyObject *fair_leave(PyObject *object, PyObject *args, PyObject *kwargs)
{
    return leave_method(object, args, kwargs, "OO:leave", false);
}

static PyObject *fair_forget(PyObject *object, PyObject *args, PyObject *kwargs)
{
    return leave_method(object, args, kwargs, "OO:forget", true);
}

static int reweight(fair_object *self, const change *change)
{
    uint32_t place = FOL_FAIR_NONE;
    if (find_known(self, change->id, true, &place) < 0) {
        return -1;
    }
    const int status = fol_fair_reweight(self->fair, place, change->weight);
    return status < 0 ? raise_status(self, status, change->id) : 0;
}

static PyObject *fair_reweight(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"id", "weight", "now", NULL};
    PyObject *given_id = NULL;
    PyObject *given_weight = NULL;
    PyObject *given_now = NULL;
    change change = {0};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOO:reweight", keywords, &given_id,
                                     &given_weight, &given_now) ||
        read_id(given_id, &change.id) < 0 ||
        read_integer(given_weight, "weight", 1, FOL_FAIR_MAX_WEIGHT, &change.weight) < 0) {
        return NULL;
    }
    return change_at(object, given_now, &change, reweight);
}

static PyObject *fair_pick(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"now", NULL};
    fair_object *self = (fair_object *)object;
    PyObject *given_now = NULL;
    PyObject *answer = NULL;
    int64_t now = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:pick", keywords, &given_now)) {
        return NULL;
    }
    FOL_PY_BEGIN_CRITICAL(object);
    if (read_now(self, given_now, &now) == 0) {
        self->now = now;
        const uint32_t place = fol_fair_pick(self->fair);
        answer = place == FOL_FAIR_NONE ? Py_NewRef(Py_None)
                                        : PyLong_FromLongLong(fol_fair_rank(self->fair, place));
    }
    FOL_PY_END_CRITICAL();
    return answer;
}

static int account(fair_object *self, const change *change)
{
    uint32_t place = FOL_FAIR_NONE;
    if (find_known(self, change->id, false, &place) < 0) {
        return -1;
    }
    const int status = fol_fair_account(self->fair, place, change->ran);
    return status < 0 ? raise_status(self, status, change->id) : 0;
}

static PyObject *fair_account(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"id", "ran", "now", NULL};
    const fair_object *self = (const fair_object *)object;
    PyObject *given_id = NULL;
    PyObject *given_ran = NULL;
    PyObject *given_now = NULL;
    change change = {0};
    const int64_t most = self->quantum > 0 ? self->quantum : FOL_FAIR_MAX_TIME;
    const char *what = self->quantum > 0 ? "ran, with this quantum," : "ran";
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOO:account", keywords, &given_id, &given_ran,
                                     &given_now) ||
        read_id(given_id, &change.id) < 0 ||
        read_integer(given_ran, what, 0, most, &change.ran) < 0) {
        return NULL;
    }
    return change_at(object, given_now, &change, account);
}

static PyObject *fair_lag(PyObject *object, PyObject *given_id)
{
    fair_object *self = (fair_object *)object;
    PyObject *answer = NULL;
    uint32_t place = FOL_FAIR_NONE;
    int64_t id = 0;
    if (read_id(given_id, &id) < 0) {
        return NULL;
    }
    FOL_PY_BEGIN_CRITICAL(object);
    if (find_known(self, id, true, &place) == 0) {
        answer = PyFloat_FromDouble(fol_fair_lag(self->fair, place));
    }
    FOL_PY_END_CRITICAL();
    return answer;
}

static PyObject *fair_virtual_time(PyObject *object, void *closure)
{
    fair_object *self = (fair_object *)object;
    double time = 0.0;
    (void)closure;
    FOL_PY_BEGIN_CRITICAL(object);
    time = fol_fair_virtual_time(self->fair);
    FOL_PY_END_CRITICAL();
    return PyFloat_FromDouble(time);
}

static Py_ssize_t fair_length(PyObject *object)
{
    Py_ssize_t count = 0;
    FOL_PY_BEGIN_CRITICAL(object);
    count = (Py_ssize_t)fol_fair_count(((fair_object *)object)->fair);
    FOL_PY_END_CRITICAL();
    return count;
}

static int fair_contains(PyObject *object, PyObject *given)
{
    fair_object *self = (fair_object *)object;
    uint32_t place = FOL_FAIR_NONE;
    int answer = -1;
    int64_t id = 0;
    if (!PyLong_Check(given)) {
        return 0;
    }
    if (read_id(given, &id) < 0) {
        PyErr_Clear();
        return 0;
    }
    FOL_PY_BEGIN_CRITICAL(object);
    if (find_place(self, id, &place) == 0) {
        answer = place != FOL_FAIR_NONE && fol_fair_has(self->fair, place);
    }
    FOL_PY_END_CRITICAL();
    return answer;
}

#define METHOD(name) #name, (PyCFunction)(void (*)(void))fair_##name, METH_VARARGS | METH_KEYWORDS

static PyMethodDef fair_methods[] = {
    {METHOD(join), fair_join_doc},           {METHOD(leave), fair_leave_doc},
    {METHOD(forget), fair_forget_doc},       {METHOD(reweight), fair_reweight_doc},
    {METHOD(pick), fair_pick_doc},           {METHOD(account), fair_account_doc},
    {"lag", fair_lag, METH_O, fair_lag_doc}, {NULL, NULL, 0, NULL},
};

static PyGetSetDef fair_getset[] = {
    {"virtual_time", fair_virtual_time, NULL, fair_virtual_time_doc, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot fair_slots[] = {
    {Py_tp_doc, (void *)fair_doc},   {Py_tp_new, fair_new},
    {Py_tp_dealloc, fair_dealloc},   {Py_tp_methods, fair_methods},
    {Py_tp_getset, fair_getset},     {Py_sq_length, fair_length},
    {Py_sq_contains, fair_contains}, {0, NULL},
};

static PyType_Spec fair_spec = {
    .name = "foliot._core.FairQueue",
    .basicsize = sizeof(fair_object),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = fair_slots,
};

int fol_py_add_fair_type(fol_py_state *state)
{
    PyTypeObject *type = NULL;
    const int status = fol_py_add_type(state, &fair_spec, NULL, &type);
    Py_XDECREF(type);
    return status;
}
