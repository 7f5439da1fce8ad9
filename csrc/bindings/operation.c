/* `Operation`: one request of a system, and what became of it.
 *
 * Thousands of them come and go in a frame, so dead ones are kept for reuse, and the garbage
 * collector looks only at those that hold what may lead back to them: buffers of others, and
 * exceptions.
 *
 * An Operation may be asked while a frame delivers it on another thread: both take its lock.
 */
#include "bindings/io.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <structmember.h>

/* No more dead Operations are kept than there are living ones, or than this. Memory that the
 * interpreter gives back in between would have to be filled with zeros anew, and objects of its
 * making make the collector look. */
#define MAX_KEPT 131072u

/* Kept ones that go at a time: each that dies makes room for one less. */
#define MAX_SURPLUS 2u

#ifdef Py_GIL_DISABLED
#define HAS_FREE_LIST 0
#else
#define HAS_FREE_LIST 1
#endif

static fol_py_operation *pop_kept(fol_py_state *state)
{
    fol_py_operation *kept = state->scheduler.free_operations;
    if (kept != NULL) {
        state->scheduler.free_operations = (fol_py_operation *)kept->weak_references;
        state->scheduler.free_operation_count--;
    }
    return kept;
}

/* Behind the object's head nothing is set. */
static fol_py_operation *take_memory(fol_py_state *state)
{
    PyTypeObject *type = state->scheduler.operation_type;
    fol_py_operation *made = HAS_FREE_LIST ? pop_kept(state) : NULL;
    if (made != NULL) {
        PyObject_Init((PyObject *)made, type);
    } else {
        made = PyObject_GC_New(fol_py_operation, type);
    }
    if (HAS_FREE_LIST && made != NULL) {
        state->scheduler.operation_count++;
    }
    return made;
}

static bool try_keep(fol_py_state *state, fol_py_operation *self)
{
    uint32_t living = --state->scheduler.operation_count;
    /* At the end of the module there is no type, and nothing is kept. One that the collector has
     * finalized would not be finalized again. */
    bool has_room = !PyObject_GC_IsFinalized((PyObject *)self) &&
                    state->scheduler.free_operation_count < living &&
                    state->scheduler.free_operation_count < MAX_KEPT &&
                    state->scheduler.operation_type == Py_TYPE(self);
    if (has_room) {
        self->weak_references = (PyObject *)state->scheduler.free_operations;
        state->scheduler.free_operations = self;
        state->scheduler.free_operation_count++;
        return true;
    }
    for (uint32_t i = 0; i < MAX_SURPLUS && state->scheduler.free_operation_count > living; i++) {
        PyObject_GC_Del(pop_kept(state));
    }
    return false;
}

static void give_memory(fol_py_state *state, fol_py_operation *self)
{
    PyTypeObject *type = Py_TYPE(self);
    if (!HAS_FREE_LIST || !try_keep(state, self)) {
        PyObject_GC_Del(self);
    }
    Py_DECREF(type);
}

void fol_py_operation_drop_free_list(fol_py_state *state)
{
    for (fol_py_operation *kept = pop_kept(state); kept != NULL; kept = pop_kept(state)) {
        PyObject_GC_Del(kept);
    }
}

fol_py_operation *fol_py_operation_new(fol_py_io_home *home, PyObject *name, fol_io_kind kind)
{
    fol_py_operation *self = take_memory(home->state);
    if (self == NULL) {
        return NULL;
    }
    memset((char *)self + offsetof(fol_py_operation, weak_references), 0,
           sizeof(*self) - offsetof(fol_py_operation, weak_references));
    self->home = (fol_py_io_home *)Py_NewRef(home);
    self->name = Py_NewRef(name);
    self->kind = (uint8_t)kind;
    return self;
}

void fol_py_operation_track(fol_py_operation *self)
{
    if (!self->is_tracked) {
        self->is_tracked = true;
        PyObject_GC_Track((PyObject *)self);
    }
}

static bool has_failed(const fol_py_operation *self)
{
    return self->is_done && self->raw < 0 && self->raw != -ECANCELED;
}

/* The exception of a failed or cancelled operation, made once. Borrowed; NULL with an error. */
static PyObject *error_of(fol_py_operation *self)
{
    if (self->error == NULL) {
        PyObject *made =
            fol_py_io_error(self->home->state, self->raw, self->is_path ? self->target : NULL,
                            self->is_path ? self->target2 : NULL);
        if (made == NULL) {
            return NULL;
        }
        fol_py_operation_note(self, made);
        /* Making it may have run Python code, and that may have asked for it too. */
        if (self->error == NULL) {
            self->error = made;
            fol_py_operation_track(self);
        } else {
            Py_DECREF(made);
        }
    }
    return self->error;
}

/* Gives a failure that nobody else sees to the frame, or, when there will be none, to the hook for
 * what cannot be raised. Keeps a pending error. */
static void report(fol_py_operation *self, bool is_unseen)
{
    PyObject *type, *pending, *traceback;
    PyErr_Fetch(&type, &pending, &traceback);
    self->is_seen = true;
    PyObject *error = error_of(self);
    if (error == NULL) {
        PyErr_WriteUnraisable(self->name);
    } else {
        fol_py_io_home_keep(self->home, self->name, error, is_unseen);
    }
    PyErr_Restore(type, pending, traceback);
}

/* The kernel is done with what the request pointed at. */
static void let_go(fol_py_operation *self)
{
    Py_CLEAR(self->held[0]);
    Py_CLEAR(self->held[1]);
    if (self->buffers != NULL) {
        fol_py_io_release_buffers(self->buffers);
        self->buffers = NULL;
    }
}

/* The last result is in, or there will be none: the core's reference is to go. */
static void finish(fol_py_operation *self, int64_t raw)
{
    self->raw = raw;
    self->is_done = true;
    if (raw < 0 && !self->is_many) {
        Py_CLEAR(self->value);
    }
    let_go(self);
}

/* Keeps one of a stream's results. The stream's end gives none. */
static int keep_piece(fol_py_operation *self, const fol_io_result *result)
{
    bool is_end = self->kind == FOL_IO_RECV && result->value == 0;
    if (result->value < 0 || is_end) {
        return 0;
    }
    PyObject *piece = fol_py_io_value(self, result);
    if (piece == NULL || (self->value == NULL && (self->value = PyList_New(0)) == NULL) ||
        PyList_Append(self->value, piece) < 0) {
        if (self->shape == FOL_PY_IO_DESCRIPTOR) {
            fol_py_io_close(result->value);
        }
        Py_XDECREF(piece);
        return -1;
    }
    Py_DECREF(piece);
    self->results++;
    return 0;
}

static int keep_value(fol_py_operation *self, const fol_io_result *result)
{
    if (result->value < 0 && !(self->shape == FOL_PY_IO_FOUND && result->value == -ENOENT)) {
        return 0;
    }
    PyObject *value = fol_py_io_value(self, result);
    if (value == NULL && self->shape == FOL_PY_IO_DESCRIPTOR) {
        fol_py_io_close(result->value);
    }
    Py_XSETREF(self->value, value);
    return value == NULL ? -1 : 0;
}

/* Whether somebody will see a failure. */
static bool take_result(fol_py_operation *self, const fol_io_result *result, bool has_more)
{
    int64_t raw = result->value;
    int kept = self->is_many ? keep_piece(self, result) : keep_value(self, result);
    if (kept < 0) {
        /* Only memory can be missing here. */
        PyErr_Clear();
        raw = -ENOMEM;
    } else if (raw == -ENOENT && self->shape == FOL_PY_IO_FOUND) {
        raw = 0;
    }
    if (has_more) {
        return true;
    }
    if (result->value < 0 && !self->is_many) {
        self->results = result->size;
    }
    bool is_held = Py_REFCNT(self) > 1;
    bool is_visible = raw >= 0 || raw == -ECANCELED || is_held;
    self->raw = raw;
    self->is_done = true;
    if (!is_visible) {
        report(self, false);
    }
    finish(self, raw);
    return is_visible;
}

static bool deliver(void *user, const fol_io_result *result)
{
    fol_py_operation *self = user;
    bool has_more = (result->flags & FOL_IO_MORE) != 0;
    bool is_visible;
    FOL_PY_BEGIN_CRITICAL((PyObject *)self);
    is_visible = take_result(self, result, has_more);
    FOL_PY_END_CRITICAL();
    if (!has_more) {
        Py_DECREF(self);
    }
    return is_visible;
}

static void drop(void *user)
{
    PyObject *type, *pending, *traceback;
    PyErr_Fetch(&type, &pending, &traceback);
    FOL_PY_BEGIN_CRITICAL(user);
    finish(user, -ECANCELED);
    FOL_PY_END_CRITICAL();
    Py_DECREF((PyObject *)user);
    PyErr_Restore(type, pending, traceback);
}

/* The buffers of a stream are the core's own, and its results are whole. */
static void *keep_for_kernel(fol_py_operation *self)
{
    PyObject *const objects[FOL_PY_IO_ABANDONED] = {self->held[0], self->held[1],
                                                    self->is_many ? NULL : self->value};
    void *kept = fol_py_io_keep(objects, self->buffers);
    self->held[0] = NULL;
    self->held[1] = NULL;
    self->value = self->is_many ? self->value : NULL;
    self->buffers = NULL;
    return kept;
}

/* Ends it without a result. What nobody will see is told when the frame ends. */
static void *give_up(fol_py_operation *self, uint64_t waited_ns)
{
    PyObject *text = fol_py_operation_text(self);
    self->error =
        text == NULL ? NULL : fol_py_io_abandoned_error(self->home->state, text, waited_ns);
    Py_XDECREF(text);
    if (self->error != NULL) {
        fol_py_operation_note(self, self->error);
        fol_py_operation_track(self);
    }
    /* Else there was no memory for it: whoever asks gets one that says less. */
    PyErr_Clear();
    void *kept = keep_for_kernel(self);
    self->raw = FOL_E_ABANDONED;
    self->is_done = true;
    if (Py_REFCNT(self) == 1) {
        report(self, true);
    }
    finish(self, FOL_E_ABANDONED);
    return kept;
}

static void *abandon(void *user, uint64_t waited_ns)
{
    PyObject *type, *pending, *traceback;
    void *kept;
    PyErr_Fetch(&type, &pending, &traceback);
    FOL_PY_BEGIN_CRITICAL(user);
    kept = give_up(user, waited_ns);
    FOL_PY_END_CRITICAL();
    Py_DECREF((PyObject *)user);
    PyErr_Restore(type, pending, traceback);
    return kept;
}

const fol_io_receiver fol_py_io_receiver = {.needs_host = true,
                                            .deliver = deliver,
                                            .drop = drop,
                                            .abandon = abandon,
                                            .release = fol_py_io_release_kept};

/* Raises unless it has ended. */
static int check_done(const fol_py_operation *self)
{
    if (!self->is_done) {
        PyObject *text = fol_py_operation_text(self);
        if (text != NULL) {
            PyErr_Format(PyExc_RuntimeError,
                         "the %U has not ended: its result is delivered when the stage or phase "
                         "of its system `%U` ends, or, with wait=\"none\", in a later frame",
                         text, self->name);
            Py_DECREF(text);
        }
        return -1;
    }
    return 0;
}

static PyObject *get_result(fol_py_operation *self)
{
    if (check_done(self) < 0) {
        return NULL;
    }
    self->is_seen = true;
    if (self->raw < 0) {
        PyObject *error = error_of(self);
        if (error != NULL) {
            PyErr_SetObject((PyObject *)Py_TYPE(error), error);
        }
        return NULL;
    }
    if (self->is_many) {
        return PyLong_FromUnsignedLongLong(self->results);
    }
    self->was_taken = true;
    return Py_NewRef(self->value == NULL ? Py_None : self->value);
}

static PyObject *get_error(fol_py_operation *self)
{
    if (!self->is_done || self->raw >= 0) {
        Py_RETURN_NONE;
    }
    self->is_seen = true;
    return Py_XNewRef(error_of(self));
}

static PyObject *get_done(fol_py_operation *self)
{
    return PyBool_FromLong(self->is_done);
}

static PyObject *get_cancelled(fol_py_operation *self)
{
    return PyBool_FromLong(self->is_done && self->raw == -ECANCELED);
}

/* A getter that asks under the lock. */
#define LOCKED(name)                                                                               \
    static PyObject *operation_##name(PyObject *object, void *closure)                             \
    {                                                                                              \
        PyObject *answer;                                                                          \
        (void)closure;                                                                             \
        FOL_PY_BEGIN_CRITICAL(object);                                                             \
        answer = get_##name((fol_py_operation *)object);                                           \
        FOL_PY_END_CRITICAL();                                                                     \
        return answer;                                                                             \
    }

LOCKED(result)
LOCKED(error)
LOCKED(done)
LOCKED(cancelled)

static PyObject *operation_kind(PyObject *object, void *closure)
{
    (void)closure;
    return PyUnicode_FromString(fol_io_kind_name(((fol_py_operation *)object)->kind));
}

static PyObject *operation_system(PyObject *object, void *closure)
{
    (void)closure;
    return Py_NewRef(((fol_py_operation *)object)->name);
}

static PyObject *operation_take(PyObject *object, PyObject *unused)
{
    (void)unused;
    fol_py_operation *self = (fol_py_operation *)object;
    if (!self->is_many) {
        PyErr_Format(PyExc_TypeError,
                     "take() is for operations of many results: this %s was not asked for with "
                     "many=True, its one result is .result",
                     fol_io_kind_name(self->kind));
        return NULL;
    }
    PyObject *results;
    FOL_PY_BEGIN_CRITICAL(object);
    results = self->value;
    self->value = NULL;
    FOL_PY_END_CRITICAL();
    return results == NULL ? PyList_New(0) : results;
}

static PyObject *operation_repr(PyObject *object)
{
    fol_py_operation *self = (fol_py_operation *)object;
    PyObject *text = fol_py_operation_text(self);
    if (text == NULL) {
        return NULL;
    }
    const char *state = !self->is_done            ? "in flight"
                        : self->raw == -ECANCELED ? "cancelled"
                        : self->raw < 0           ? "failed"
                                                  : "done";
    PyObject *shown = PyUnicode_FromFormat("<Operation: %U, %s>", text, state);
    Py_DECREF(text);
    return shown;
}

static int operation_traverse(PyObject *object, visitproc visit, void *arg)
{
    fol_py_operation *self = (fol_py_operation *)object;
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->home);
    Py_VISIT(self->target);
    Py_VISIT(self->target2);
    Py_VISIT(self->held[0]);
    Py_VISIT(self->held[1]);
    Py_VISIT(self->value);
    Py_VISIT(self->error);
    for (Py_ssize_t i = 0; self->buffers != NULL && i < self->buffers->count; i++) {
        Py_VISIT(self->buffers->views[i].obj);
    }
    return 0;
}

/* A failure that nobody looked at is told here, before the collector clears anything: the exception
 * may be part of the same garbage. */
static void operation_finalize(PyObject *object)
{
    fol_py_operation *self = (fol_py_operation *)object;
    if (has_failed(self) && !self->is_seen) {
        report(self, true);
    }
}

/* While it is in flight the core owns it, so the collector finds it alive. */
static int operation_clear(PyObject *object)
{
    fol_py_operation *self = (fol_py_operation *)object;
    let_go(self);
    Py_CLEAR(self->error);
    return 0;
}

/* Descriptors that nobody has seen cannot be closed by anybody else. */
static void close_untaken(fol_py_operation *self)
{
    if (self->shape != FOL_PY_IO_DESCRIPTOR || self->value == NULL || self->was_taken) {
        return;
    }
    if (!self->is_many) {
        fol_py_io_close(self->raw);
        return;
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(self->value); i++) {
        fol_py_io_close(PyLong_AsLongLong(PyList_GET_ITEM(self->value, i)));
    }
}

static void operation_dealloc(PyObject *object)
{
    fol_py_operation *self = (fol_py_operation *)object;
    fol_py_state *state = self->home->state;
    if (self->is_tracked) {
        PyObject_GC_UnTrack(object);
    }
    if (self->weak_references != NULL) {
        PyObject_ClearWeakRefs(object);
    }
    if (has_failed(self) && !self->is_seen) {
        report(self, true);
        if (self->is_tracked) {
            PyObject_GC_UnTrack(object);
        }
    }
    close_untaken(self);
    let_go(self);
    Py_CLEAR(self->target);
    Py_CLEAR(self->target2);
    Py_CLEAR(self->value);
    Py_CLEAR(self->error);
    Py_CLEAR(self->name);
    Py_CLEAR(self->home);
    give_memory(state, self);
}

static PyMethodDef operation_methods[] = {
    {"take", operation_take, METH_NOARGS,
     "take($self, /)\n--\n\n"
     "The results of a many=True operation that came since the last call, in order; [] for none."},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS,
     "Operation[bytes] for type checkers."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef operation_getset[] = {
    {"kind", operation_kind, NULL, "\"read\", \"write\", …", NULL},
    {"system", operation_system, NULL, "The name of the system that asked for it.", NULL},
    {"done", operation_done, NULL, "Whether the last result was delivered.", NULL},
    {"cancelled", operation_cancelled, NULL,
     "Whether it was ended before it could succeed or fail.", NULL},
    {"result", operation_result, NULL,
     "What it gave; raises the OSError of a failure, RuntimeError before the delivery.", NULL},
    {"error", operation_error, NULL, "The OSError of a failure; None before the delivery.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef operation_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(fol_py_operation, weak_references), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(
    operation_doc,
    "One request of a system and what became of it; made by the methods of ctx.io.\n\n"
    "Holds what the request needs until its last result is delivered. A failure must be "
    "looked at\n(result or error): one that nobody looks at is an error of the frame in which the "
    "Operation dies.\nSuch a failure counts for no run of its system, which has long ended: it "
    "puts no system into\nquarantine and shows in FrameResult.errors alone.");

static PyType_Slot operation_slots[] = {
    {Py_tp_doc, (void *)operation_doc},   {Py_tp_dealloc, operation_dealloc},
    {Py_tp_traverse, operation_traverse}, {Py_tp_clear, operation_clear},
    {Py_tp_finalize, operation_finalize}, {Py_tp_repr, operation_repr},
    {Py_tp_methods, operation_methods},   {Py_tp_getset, operation_getset},
    {Py_tp_members, operation_members},   {0, NULL},
};

PyType_Spec fol_py_operation_spec = {
    .name = "foliot.io.Operation",
    .basicsize = sizeof(fol_py_operation),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = operation_slots,
};
