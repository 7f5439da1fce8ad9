/* `Operations`: the reads of many files as one object.
 *
 * A file costs an entry of the core and its bytes, and no object of Python beside them. The entries
 * of all deliveries stand in one array, which lives, with the object, until the last of them.
 */
#include "bindings/io.h"

#include <errno.h>
#include <stddef.h>
#include <structmember.h>

struct bulk_object;

typedef struct bulk_item {
    struct bulk_object *bulk;
    Py_ssize_t index;
} bulk_item;

typedef struct bulk_object {
    PyObject_HEAD PyObject *weak_references;
    fol_py_io_home *home;
    PyObject *name;    /* the system's */
    PyObject *paths;   /* tuple of str and bytes */
    PyObject *held;    /* list of what the requests point into */
    PyObject *results; /* list: bytes, or their number; None for a failure */
    PyObject *errors;  /* dict: index -> exception */
    bulk_item *items;
    Py_ssize_t pending;
    bool is_into_world;
    bool is_seen; /* the failures were looked at, or reported */
} bulk_object;

static PyObject *path_of(const bulk_object *self, Py_ssize_t index)
{
    return PyTuple_GET_ITEM(self->paths, index);
}

static int put_failure(bulk_object *self, Py_ssize_t index, PyObject *error)
{
    PyObject *key = PyLong_FromSsize_t(index);
    int failed = key == NULL ? -1 : PyDict_SetItem(self->errors, key, error);
    Py_XDECREF(key);
    return failed;
}

/* Keeps the exception of an entry. Borrowed; NULL with an error. */
static PyObject *keep_failure(bulk_object *self, Py_ssize_t index, int64_t status)
{
    PyObject *error = fol_py_io_error(self->home->state, status, path_of(self, index), NULL);
    int failed = error == NULL ? -1 : put_failure(self, index, error);
    Py_XDECREF(error);
    return failed < 0 ? NULL : error;
}

/* Adds the note of an entry and gives the failure to the frame. */
static void report(bulk_object *self, PyObject *error, Py_ssize_t index, bool is_unseen)
{
    PyObject *note = PyUnicode_FromFormat(
        "the operation: read of %R (number %zd of %zd), asked for by system "
        "`%U`",
        path_of(self, index), index, PyTuple_GET_SIZE(self->paths), self->name);
    PyObject *answer = note == NULL ? NULL : PyObject_CallMethod(error, "add_note", "O", note);
    PyErr_Clear();
    Py_XDECREF(note);
    Py_XDECREF(answer);
    fol_py_io_home_keep(self->home, self->name, error, is_unseen);
}

static PyObject *value_of(const bulk_object *self, const fol_io_result *result)
{
    return self->is_into_world ? PyLong_FromLongLong(result->value)
                               : PyBytes_FromStringAndSize(result->data, (Py_ssize_t)result->size);
}

/* One entry less; with the last the core's reference goes. */
static void end_entry(bulk_object *self)
{
    bool is_last;
    FOL_PY_BEGIN_CRITICAL((PyObject *)self);
    is_last = --self->pending == 0;
    FOL_PY_END_CRITICAL();
    if (is_last) {
        Py_CLEAR(self->held);
        Py_DECREF(self);
    }
}

/* Reads that have not ended. What the others gave is seen once this was asked. */
static Py_ssize_t count_pending(bulk_object *self)
{
    Py_ssize_t pending;
    FOL_PY_BEGIN_CRITICAL((PyObject *)self);
    pending = self->pending;
    FOL_PY_END_CRITICAL();
    return pending;
}

static bool deliver(void *user, const fol_io_result *result)
{
    bulk_item *item = user;
    bulk_object *self = item->bulk;
    int64_t status = result->value;
    bool is_visible = true;
    PyObject *value = status < 0 ? NULL : value_of(self, result);
    if (value != NULL) {
        PyList_SetItem(self->results, item->index, value);
    } else {
        PyErr_Clear();
        status = status < 0 ? status : -ENOMEM;
        PyObject *error = keep_failure(self, item->index, status);
        is_visible = status == -ECANCELED || Py_REFCNT(self) > 1;
        if (error == NULL) {
            PyErr_WriteUnraisable(self->name);
        } else if (!is_visible) {
            self->is_seen = true;
            report(self, error, item->index, false);
        }
    }
    end_entry(self);
    return is_visible;
}

static void drop(void *user)
{
    PyObject *type, *pending, *traceback;
    bulk_item *item = user;
    PyErr_Fetch(&type, &pending, &traceback);
    if (keep_failure(item->bulk, item->index, -ECANCELED) == NULL) {
        PyErr_WriteUnraisable(item->bulk->name);
    }
    end_entry(item->bulk);
    PyErr_Restore(type, pending, traceback);
}

static void *abandon(void *user, uint64_t waited_ns)
{
    PyObject *type, *pending, *traceback;
    bulk_item *item = user;
    bulk_object *self = item->bulk;
    PyErr_Fetch(&type, &pending, &traceback);
    /* What the requests point into is held for all of them together. */
    PyObject *const objects[FOL_PY_IO_ABANDONED] = {Py_NewRef(self->held)};
    void *kept = fol_py_io_keep(objects, NULL);
    PyObject *text = PyUnicode_FromFormat("read of %R", path_of(self, item->index));
    PyObject *error =
        text == NULL ? NULL : fol_py_io_abandoned_error(self->home->state, text, waited_ns);
    Py_XDECREF(text);
    if (error == NULL || put_failure(self, item->index, error) < 0) {
        PyErr_WriteUnraisable(self->name);
    }
    Py_XDECREF(error);
    end_entry(self);
    PyErr_Restore(type, pending, traceback);
    return kept;
}

static const fol_io_receiver receiver = {.needs_host = true,
                                         .deliver = deliver,
                                         .drop = drop,
                                         .abandon = abandon,
                                         .release = fol_py_io_release_kept};

/* A list of None. */
static PyObject *none_list(Py_ssize_t count)
{
    PyObject *list = PyList_New(count);
    for (Py_ssize_t i = 0; list != NULL && i < count; i++) {
        PyList_SET_ITEM(list, i, Py_NewRef(Py_None));
    }
    return list;
}

/* Every path as text or bytes, once and for all. */
static PyObject *path_tuple(fol_py_io_call *call, PyObject *given)
{
    if (PyUnicode_Check(given) || PyBytes_Check(given)) {
        PyErr_Format(PyExc_TypeError, "io.read_many: paths is an iterable of paths, got %R", given);
        return NULL;
    }
    PyObject *items = PySequence_Tuple(given);
    Py_ssize_t count = items == NULL ? 0 : PyTuple_GET_SIZE(items);
    PyObject *paths = items == NULL ? NULL : PyTuple_New(count);
    for (Py_ssize_t i = 0; paths != NULL && i < count; i++) {
        PyObject *item = PyTuple_GET_ITEM(items, i);
        PyObject *path = fol_py_io_is_path(call->state, item) ? PyOS_FSPath(item) : NULL;
        if (path == NULL) {
            if (!PyErr_Occurred()) {
                PyErr_Format(PyExc_TypeError,
                             "io.read_many: paths[%zd] is str, bytes or os.PathLike, got %R", i,
                             item);
            }
            Py_CLEAR(paths);
            break;
        }
        PyTuple_SET_ITEM(paths, i, path);
    }
    Py_XDECREF(items);
    return paths;
}

static bulk_object *bulk_new(fol_py_io_call *call, PyObject *given)
{
    PyTypeObject *type = call->state->scheduler.bulk_type;
    PyObject *paths = path_tuple(call, given);
    bulk_object *self = paths == NULL ? NULL : (bulk_object *)type->tp_alloc(type, 0);
    if (self == NULL) {
        Py_XDECREF(paths);
        return NULL;
    }
    Py_ssize_t count = PyTuple_GET_SIZE(paths);
    self->paths = paths;
    self->home = (fol_py_io_home *)Py_NewRef(call->context->scheduler->home);
    self->name = Py_NewRef(call->context->name);
    self->results = none_list(count);
    self->held = none_list(count);
    self->errors = PyDict_New();
    self->items = PyMem_Malloc(((size_t)count + 1) * sizeof(*self->items));
    if (self->results == NULL || self->held == NULL || self->errors == NULL ||
        self->items == NULL) {
        if (!PyErr_Occurred()) {
            PyErr_NoMemory();
        }
        Py_DECREF(self);
        return NULL;
    }
    return self;
}

/* to=(entities, Component): ids, one for each path. */
static int read_destinations(fol_py_io_call *call, PyObject *given, Py_ssize_t count,
                             fol_py_scratch *scratch, const fol_entity **ids)
{
    Py_ssize_t found = 0;
    if (!PyTuple_Check(given) || PyTuple_GET_SIZE(given) != 2) {
        PyErr_Format(PyExc_TypeError, "io.read_many: to is (entities, Component), got %R", given);
        return -1;
    }
    call->intent.component = fol_py_io_read_component(call, PyTuple_GET_ITEM(given, 1), false);
    if (call->intent.component == NULL ||
        fol_py_parse_ids(call->state, PyTuple_GET_ITEM(given, 0), scratch, ids, &found) < 0) {
        return -1;
    }
    if (found != count) {
        PyErr_Format(PyExc_ValueError,
                     "io.read_many: to has one entity for each path, got %zd for %zd paths", found,
                     count);
        return -1;
    }
    return 0;
}

/* paths, size, to, wait, timeout, dir_fd; what all entries have in common. */
static int read_common(fol_py_io_call *call, PyObject *const *given, PyObject *size)
{
    fol_io_request *request = &call->intent.request;
    long long bytes = 0;
    request->flags = FOL_IO_PATH | (size == NULL ? (uint32_t)FOL_IO_TO_END : 0u);
    if (fol_py_io_read_number(call->method, "size", size, 0, PY_SSIZE_T_MAX, &bytes) < 0 ||
        fol_py_io_read_until(call, given[3], given[4]) < 0 ||
        fol_py_io_read_directory(call, given[5]) < 0) {
        return -1;
    }
    request->size = (size_t)bytes;
    return 0;
}

/* Fills the list of what the requests point into; *paths gets the pointers. */
static int hold_paths(fol_py_io_call *call, bulk_object *self, const char **paths)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(self->paths); i++) {
        PyObject *held;
        if (fol_py_io_read_path(call, "a path", path_of(self, i), &held, &paths[i]) < 0 ||
            PyList_SetItem(self->held, i, held) < 0) {
            return -1;
        }
    }
    return 0;
}

/* What found no room is a failure like any other, unless nothing did. */
static int refuse_rest(fol_py_io_call *call, bulk_object *self, Py_ssize_t first, int status)
{
    for (Py_ssize_t i = first; first > 0 && i < PyTuple_GET_SIZE(self->paths); i++) {
        if (keep_failure(self, i, status) == NULL) {
            return -1;
        }
    }
    return first > 0 ? 0 : fol_py_io_refuse(call->context, call->method, status);
}

static int queue_all(fol_py_io_call *call, bulk_object *self, const char *const *paths,
                     const fol_entity *ids)
{
    fol_io_queue *queue = fol_py_io_queue(call->context);
    Py_ssize_t count = PyTuple_GET_SIZE(self->paths);
    if (queue == NULL || count == 0) {
        return queue == NULL ? -1 : 0;
    }
    int status = 0;
    Py_ssize_t queued = 0;
    while (status == 0 && queued < count) {
        self->items[queued] = (bulk_item){.bulk = self, .index = queued};
        call->intent.request.path = paths[queued];
        call->intent.entity = ids == NULL ? 0 : ids[queued];
        call->intent.user = &self->items[queued];
        status = fol_io_queue_submit(queue, &call->intent, NULL);
        queued += status == 0;
    }
    self->pending = queued;
    if (queued > 0) {
        Py_INCREF(self);
    }
    return status == 0 ? 0 : refuse_rest(call, self, queued, status);
}

FOL_PY_IO_METHOD(read_many)
{
    static const fol_py_io_signature signature = {"read_many",
                                                  6,
                                                  2,
                                                  1,
                                                  {FOL_PY_NAME_paths, FOL_PY_NAME_size,
                                                   FOL_PY_NAME_to, FOL_PY_NAME_wait,
                                                   FOL_PY_NAME_timeout, FOL_PY_NAME_dir_fd}};
    PyObject *given[FOL_PY_IO_MAX_ARGUMENTS];
    fol_py_context *context = fol_py_io_context(io);
    if (context == NULL || fol_py_io_queue(context) == NULL ||
        fol_py_io_read_arguments(context->state, &signature, args, count, keywords, given) < 0) {
        return NULL;
    }
    fol_py_io_call call = {.state = context->state,
                           .context = context,
                           .method = "read_many",
                           .intent.request.kind = FOL_IO_READ,
                           .intent.receiver = &receiver};
    bulk_object *self = bulk_new(&call, given[0]);
    if (self == NULL) {
        return NULL;
    }
    fol_py_scratch scratch;
    fol_py_scratch_init(&scratch);
    const fol_entity *ids = NULL;
    Py_ssize_t files = PyTuple_GET_SIZE(self->paths);
    const char **paths = fol_py_scratch_take(&scratch, ((size_t)files + 1) * sizeof(*paths));
    self->is_into_world = given[2] != NULL && given[2] != Py_None;
    bool failed =
        paths == NULL || read_common(&call, given, given[1] == Py_None ? NULL : given[1]) < 0 ||
        (self->is_into_world && read_destinations(&call, given[2], files, &scratch, &ids) < 0) ||
        hold_paths(&call, self, paths) < 0 || queue_all(&call, self, paths, ids) < 0;
    fol_py_scratch_release(&scratch);
    if (failed) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static PyObject *bulk_done(PyObject *object, void *closure)
{
    (void)closure;
    return PyBool_FromLong(count_pending((bulk_object *)object) == 0);
}

static PyObject *bulk_results(PyObject *object, void *closure)
{
    (void)closure;
    bulk_object *self = (bulk_object *)object;
    Py_ssize_t pending = count_pending(self);
    if (pending > 0) {
        PyErr_Format(PyExc_RuntimeError,
                     "%zd of %zd reads have not ended: results are delivered when the stage or "
                     "phase of system `%U` ends, or, with wait=\"none\", in a later frame",
                     pending, PyTuple_GET_SIZE(self->paths), self->name);
        return NULL;
    }
    return PyList_GetSlice(self->results, 0, PyList_GET_SIZE(self->results));
}

static PyObject *bulk_errors(PyObject *object, void *closure)
{
    (void)closure;
    bulk_object *self = (bulk_object *)object;
    self->is_seen = self->is_seen || count_pending(self) == 0;
    return PyDict_Copy(self->errors);
}

static PyObject *bulk_paths(PyObject *object, void *closure)
{
    (void)closure;
    return Py_NewRef(((bulk_object *)object)->paths);
}

static Py_ssize_t bulk_length(PyObject *object)
{
    return PyTuple_GET_SIZE(((bulk_object *)object)->paths);
}

static PyObject *bulk_repr(PyObject *object)
{
    bulk_object *self = (bulk_object *)object;
    return PyUnicode_FromFormat("<Operations: %zd reads, %zd in flight, %zd failed>",
                                PyTuple_GET_SIZE(self->paths), count_pending(self),
                                PyDict_GET_SIZE(self->errors));
}

static int bulk_traverse(PyObject *object, visitproc visit, void *arg)
{
    bulk_object *self = (bulk_object *)object;
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->home);
    Py_VISIT(self->results);
    Py_VISIT(self->errors);
    return 0;
}

/* Gives every failure that nobody looked at to the frame. */
static void report_unseen(bulk_object *self)
{
    PyObject *type, *pending, *traceback;
    PyErr_Fetch(&type, &pending, &traceback);
    Py_ssize_t position = 0;
    PyObject *key, *error;
    self->is_seen = true;
    while (PyDict_Next(self->errors, &position, &key, &error)) {
        bool is_cancelled = false;
        if (PyErr_GivenExceptionMatches(error, PyExc_OSError)) {
            PyObject *number = PyObject_GetAttrString(error, "errno");
            is_cancelled = number != NULL && PyLong_AsLong(number) == ECANCELED;
            Py_XDECREF(number);
        }
        if (!is_cancelled) {
            Py_INCREF(error);
            report(self, error, PyLong_AsSsize_t(key), true);
            Py_DECREF(error);
        }
    }
    PyErr_Restore(type, pending, traceback);
}

static bool has_unseen(const bulk_object *self)
{
    return self->errors != NULL && PyDict_GET_SIZE(self->errors) > 0 && !self->is_seen;
}

/* Before the collector clears anything: the exceptions may be part of the same garbage. */
static void bulk_finalize(PyObject *object)
{
    bulk_object *self = (bulk_object *)object;
    if (has_unseen(self)) {
        report_unseen(self);
    }
}

/* While it is in flight the core owns it, so the collector finds it alive. */
static int bulk_clear(PyObject *object)
{
    bulk_object *self = (bulk_object *)object;
    Py_CLEAR(self->errors);
    return 0;
}

static void bulk_dealloc(PyObject *object)
{
    bulk_object *self = (bulk_object *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    if (self->weak_references != NULL) {
        PyObject_ClearWeakRefs(object);
    }
    if (has_unseen(self)) {
        report_unseen(self);
    }
    Py_CLEAR(self->errors);
    Py_CLEAR(self->results);
    Py_CLEAR(self->held);
    Py_CLEAR(self->paths);
    Py_CLEAR(self->name);
    Py_CLEAR(self->home);
    PyMem_Free(self->items);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyGetSetDef bulk_getset[] = {
    {"done", bulk_done, NULL, "Whether all of them have ended.", NULL},
    {"results", bulk_results, NULL,
     "List by place: bytes, or with to= their number; None for what failed. RuntimeError before "
     "all have ended.",
     NULL},
    {"errors", bulk_errors, NULL, "Dict of the failures: place -> OSError.", NULL},
    {"paths", bulk_paths, NULL, "The paths, in order.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef bulk_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(bulk_object, weak_references), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot bulk_slots[] = {
    {Py_tp_doc, "Reads of many files, asked for together by ctx.io.read_many. len() counts them."},
    {Py_tp_dealloc, bulk_dealloc},
    {Py_tp_traverse, bulk_traverse},
    {Py_tp_clear, bulk_clear},
    {Py_tp_finalize, bulk_finalize},
    {Py_tp_repr, bulk_repr},
    {Py_sq_length, bulk_length},
    {Py_tp_getset, bulk_getset},
    {Py_tp_members, bulk_members},
    {0, NULL},
};

PyType_Spec fol_py_bulk_spec = {
    .name = "foliot.io.Operations",
    .basicsize = sizeof(bulk_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = bulk_slots,
};
