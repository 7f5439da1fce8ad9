/* `ctx.io`: the methods by which a system asks for I/O; here those on files.
 *
 * One object a system that does I/O, used again in every frame. Arguments are checked first and the
 * request is queued in one step, so a refused call leaves nothing behind. Threads that a system
 * starts may ask beside it: a method takes the lock of the context, under which its run ends as
 * well.
 */
#include "bindings/io.h"

#include <fcntl.h>

typedef struct io_object {
    PyObject_HEAD fol_py_state *state;
    fol_py_context *context; /* borrowed; NULL once its context has gone */
} io_object;

/* Results up to this size are read into the bytes object that is given; longer ones come through
 * the core's buffers, so that memory is not taken for what never comes. */
#define FILLED_SIZE 65536

PyObject *fol_py_io_new(fol_py_state *state, fol_py_context *context)
{
    PyTypeObject *type = state->scheduler.io_type;
    io_object *self = (io_object *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->state = state;
        self->context = context;
    }
    return (PyObject *)self;
}

void fol_py_io_detach(PyObject *io)
{
    FOL_PY_BEGIN_CRITICAL(io);
    ((io_object *)io)->context = NULL;
    FOL_PY_END_CRITICAL();
}

fol_io_queue *fol_py_io_queue(fol_py_context *context)
{
    if (fol_py_context_check(context) < 0) {
        return NULL;
    }
    if (context->is_in_condition || context->task->io == NULL) {
        fol_py_raise(context->state, FOL_E_ACCESS, "the run condition of `%U` may not do I/O",
                     context->name);
        return NULL;
    }
    return context->task->io;
}

int fol_py_io_refuse(fol_py_context *context, const char *method, int status)
{
    if (status == FOL_E_CAPACITY) {
        return fol_py_raise(context->state, status,
                            "io.%s of system `%U` has no room: Config.max_io (%u operations of one "
                            "worker) is reached; give the world a Config with a larger max_io",
                            method, context->name, (unsigned)context->scheduler->home->max_io);
    }
    if (status == FOL_E_VALUE) {
        return fol_py_raise(context->state, status, "io.%s: these arguments make no sense together",
                            method);
    }
    return fol_py_raise(context->state, status, NULL);
}

fol_py_context *fol_py_io_context(PyObject *object)
{
    io_object *self = (io_object *)object;
    if (self->context == NULL) {
        fol_py_raise(self->state, FOL_E_ACCESS,
                     "this ctx.io belongs to a scheduler that is closed");
    }
    return self->context;
}

int fol_py_io_begin(fol_py_io_call *call, PyObject *object, const fol_py_io_signature *signature,
                    fol_io_kind kind, PyObject *const *args, Py_ssize_t count, PyObject *keywords,
                    PyObject **given)
{
    fol_py_context *context = fol_py_io_context(object);
    if (context == NULL || fol_py_io_queue(context) == NULL ||
        fol_py_io_read_arguments(context->state, signature, args, count, keywords, given) < 0) {
        return -1;
    }
    *call = (fol_py_io_call){.state = context->state,
                             .context = context,
                             .method = signature->method,
                             .intent.request.kind = kind,
                             .intent.receiver = &fol_py_io_receiver};
    call->operation = fol_py_operation_new(context->scheduler->home, context->name, kind);
    return call->operation == NULL ? -1 : 0;
}

PyObject *fol_py_io_end(fol_py_io_call *call, int failed)
{
    fol_py_operation *operation = call->operation;
    /* Reading arguments may have run Python code, and that may have ended the system's turn. */
    fol_io_queue *queue = failed < 0 ? NULL : fol_py_io_queue(call->context);
    if (queue == NULL) {
        Py_DECREF(operation);
        return NULL;
    }
    operation->is_many = (call->intent.request.flags & FOL_IO_MANY) != 0;
    call->intent.user = Py_NewRef(operation);
    int status = fol_io_queue_submit(queue, &call->intent, &operation->handle);
    if (status != 0) {
        Py_DECREF(operation);
        Py_DECREF(operation);
        fol_py_io_refuse(call->context, call->method, status);
        return NULL;
    }
    return (PyObject *)operation;
}

int fol_py_io_read_offset(fol_py_io_call *call, PyObject *given)
{
    long long offset = 0;
    if (given == Py_None) {
        call->intent.request.offset = FOL_IO_CURRENT;
        return 0;
    }
    if (fol_py_io_read_number(call->method, "offset", given, 0, INT64_MAX, &offset) < 0) {
        return -1;
    }
    call->intent.request.offset = (uint64_t)offset;
    return 0;
}

int fol_py_io_read_into(fol_py_io_call *call, PyObject *into, PyObject *size)
{
    fol_io_request *request = &call->intent.request;
    call->operation->shape = FOL_PY_IO_COUNT;
    if (fol_py_io_read_buffers(call, "into", into, true) < 0) {
        return -1;
    }
    if (size == NULL || size == Py_None) {
        return 0;
    }
    if ((request->flags & FOL_IO_VECTORS) != 0) {
        PyErr_Format(PyExc_ValueError,
                     "io.%s: size does not go with several buffers: it is that of all of them",
                     call->method);
        return -1;
    }
    long long bytes = 0;
    if (fol_py_io_read_number(call->method, "size", size, 0, (long long)request->size, &bytes) <
        0) {
        return -1;
    }
    request->size = (size_t)bytes;
    return 0;
}

int fol_py_io_read_own(fol_py_io_call *call, PyObject *size, size_t usual_size)
{
    fol_py_operation *operation = call->operation;
    long long bytes = (long long)usual_size;
    if (fol_py_io_read_number(call->method, "size", size, 0, PY_SSIZE_T_MAX, &bytes) < 0) {
        return -1;
    }
    call->intent.request.size = (size_t)bytes;
    if (call->intent.component != NULL) {
        return 0;
    }
    if (size == NULL || bytes > FILLED_SIZE || (call->intent.request.flags & FOL_IO_MANY) != 0) {
        operation->shape = FOL_PY_IO_DATA;
        return 0;
    }
    operation->shape = FOL_PY_IO_FILLED;
    operation->value = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)bytes);
    if (operation->value == NULL) {
        return -1;
    }
    call->intent.request.buffer = PyBytes_AS_STRING(operation->value);
    return 0;
}

int fol_py_io_refuse_both(fol_py_io_call *call, PyObject *into, PyObject *to)
{
    if (into != NULL && to != NULL) {
        PyErr_Format(PyExc_ValueError, "io.%s: the bytes go to one place: give into or to",
                     call->method);
        return -1;
    }
    return 0;
}

static PyObject *given_or_null(PyObject *given)
{
    return given == Py_None ? NULL : given;
}

/* path_or_fd, size, offset, into, to, wait, timeout, dir_fd */
static int read_request(fol_py_io_call *call, PyObject *const *given)
{
    PyObject *size = given_or_null(given[1]);
    PyObject *into = given_or_null(given[3]);
    PyObject *to = given_or_null(given[4]);
    if (fol_py_io_read_target(call, given[0], given[7]) < 0 ||
        fol_py_io_read_until(call, given[5], given[6]) < 0 ||
        fol_py_io_read_offset(call, given[2]) < 0 || fol_py_io_refuse_both(call, into, to) < 0) {
        return -1;
    }
    if (into != NULL) {
        return fol_py_io_read_into(call, into, size);
    }
    call->operation->shape = to != NULL ? FOL_PY_IO_COUNT : FOL_PY_IO_DATA;
    if (to != NULL && fol_py_io_read_destination(call, to) < 0) {
        return -1;
    }
    if (size == NULL) {
        call->intent.request.flags |= FOL_IO_TO_END;
        return 0;
    }
    return fol_py_io_read_own(call, size, 0);
}

#define NAME(name) FOL_PY_NAME_##name

static PyObject *io_read(PyObject *object, PyObject *const *args, Py_ssize_t count,
                         PyObject *keywords)
{
    static const fol_py_io_signature signature = {"read",
                                                  8,
                                                  4,
                                                  1,
                                                  {NAME(path_or_fd), NAME(size), NAME(offset),
                                                   NAME(into), NAME(to), NAME(wait), NAME(timeout),
                                                   NAME(dir_fd)}};
    PyObject *given[FOL_PY_IO_MAX_ARGUMENTS];
    fol_py_io_call call;
    if (fol_py_io_begin(&call, object, &signature, FOL_IO_READ, args, count, keywords, given) < 0) {
        return NULL;
    }
    return fol_py_io_end(&call, read_request(&call, given));
}

int fol_py_io_read_mode(fol_py_io_call *call, PyObject *given, uint32_t usual)
{
    long long mode = usual;
    if (fol_py_io_read_number(call->method, "mode", given, 0, 07777, &mode) < 0) {
        return -1;
    }
    call->intent.request.mode = (uint32_t)mode;
    return 0;
}

/* path_or_fd, data, offset, mode, wait, timeout, dir_fd */
static int write_request(fol_py_io_call *call, PyObject *const *given)
{
    call->operation->shape = FOL_PY_IO_COUNT;
    if (fol_py_io_read_target(call, given[0], given[6]) < 0 ||
        fol_py_io_read_until(call, given[4], given[5]) < 0 ||
        fol_py_io_read_offset(call, given[2]) < 0 ||
        fol_py_io_read_mode(call, given[3], 0666) < 0) {
        return -1;
    }
    return fol_py_io_read_buffers(call, "data", given[1], false);
}

static PyObject *io_write(PyObject *object, PyObject *const *args, Py_ssize_t count,
                          PyObject *keywords)
{
    static const fol_py_io_signature signature = {"write",
                                                  7,
                                                  3,
                                                  2,
                                                  {NAME(path_or_fd), NAME(data), NAME(offset),
                                                   NAME(mode), NAME(wait), NAME(timeout),
                                                   NAME(dir_fd)}};
    PyObject *given[FOL_PY_IO_MAX_ARGUMENTS];
    fol_py_io_call call;
    if (fol_py_io_begin(&call, object, &signature, FOL_IO_WRITE, args, count, keywords, given) <
        0) {
        return NULL;
    }
    return fol_py_io_end(&call, write_request(&call, given));
}

static int fsync_request(fol_py_io_call *call, PyObject *const *given)
{
    bool is_data_only = false;
    if (fol_py_io_read_only_descriptor(call, "fd", given[0]) < 0 ||
        fol_py_io_read_flag(call->method, "data_only", given[1], &is_data_only) < 0) {
        return -1;
    }
    call->intent.request.options = is_data_only ? 1 : 0;
    return fol_py_io_read_until(call, given[2], given[3]);
}

static PyObject *io_fsync(PyObject *object, PyObject *const *args, Py_ssize_t count,
                          PyObject *keywords)
{
    static const fol_py_io_signature signature = {
        "fsync", 4, 2, 1, {NAME(fd), NAME(data_only), NAME(wait), NAME(timeout)}};
    PyObject *given[FOL_PY_IO_MAX_ARGUMENTS];
    fol_py_io_call call;
    if (fol_py_io_begin(&call, object, &signature, FOL_IO_FSYNC, args, count, keywords, given) <
        0) {
        return NULL;
    }
    return fol_py_io_end(&call, fsync_request(&call, given));
}

/* path, flags, mode, wait, timeout, dir_fd */
static int open_request(fol_py_io_call *call, PyObject *const *given)
{
    long long flags = O_RDONLY;
    call->operation->shape = FOL_PY_IO_DESCRIPTOR;
    if (fol_py_io_read_only_path(call, "path", given[0], given[5]) < 0 ||
        fol_py_io_read_number(call->method, "flags", given[1], 0, INT_MAX, &flags) < 0 ||
        fol_py_io_read_mode(call, given[2], 0666) < 0) {
        return -1;
    }
    call->intent.request.options = (uint32_t)flags;
    return fol_py_io_read_until(call, given[3], given[4]);
}

static PyObject *io_open(PyObject *object, PyObject *const *args, Py_ssize_t count,
                         PyObject *keywords)
{
    static const fol_py_io_signature signature = {
        "open",
        6,
        3,
        1,
        {NAME(path), NAME(flags), NAME(mode), NAME(wait), NAME(timeout), NAME(dir_fd)}};
    PyObject *given[FOL_PY_IO_MAX_ARGUMENTS];
    fol_py_io_call call;
    if (fol_py_io_begin(&call, object, &signature, FOL_IO_OPEN, args, count, keywords, given) < 0) {
        return NULL;
    }
    return fol_py_io_end(&call, open_request(&call, given));
}

static PyObject *io_close(PyObject *object, PyObject *const *args, Py_ssize_t count,
                          PyObject *keywords)
{
    static const fol_py_io_signature signature = {
        "close", 3, 1, 1, {NAME(fd), NAME(wait), NAME(timeout)}};
    PyObject *given[FOL_PY_IO_MAX_ARGUMENTS];
    fol_py_io_call call;
    if (fol_py_io_begin(&call, object, &signature, FOL_IO_CLOSE, args, count, keywords, given) <
        0) {
        return NULL;
    }
    int failed = fol_py_io_read_only_descriptor(&call, "fd", given[0]);
    return fol_py_io_end(&call,
                         failed < 0 ? failed : fol_py_io_read_until(&call, given[1], given[2]));
}

/* path_or_fd, follow_symlinks, wait, timeout, dir_fd */
static int stat_request(fol_py_io_call *call, PyObject *const *given)
{
    bool follows = true;
    call->operation->shape = FOL_PY_IO_STATUS;
    if (fol_py_io_read_target(call, given[0], given[4]) < 0 ||
        fol_py_io_read_flag(call->method, "follow_symlinks", given[1], &follows) < 0 ||
        fol_py_io_read_until(call, given[2], given[3]) < 0) {
        return -1;
    }
    if (!follows && !call->operation->is_path) {
        PyErr_Format(PyExc_ValueError,
                     "io.stat: follow_symlinks=False goes with a path, and path_or_fd is %R",
                     given[0]);
        return -1;
    }
    call->intent.request.options = follows ? 0 : AT_SYMLINK_NOFOLLOW;
    return 0;
}

static PyObject *io_stat(PyObject *object, PyObject *const *args, Py_ssize_t count,
                         PyObject *keywords)
{
    static const fol_py_io_signature signature = {
        "stat",
        5,
        1,
        1,
        {NAME(path_or_fd), NAME(follow_symlinks), NAME(wait), NAME(timeout), NAME(dir_fd)}};
    PyObject *given[FOL_PY_IO_MAX_ARGUMENTS];
    fol_py_io_call call;
    if (fol_py_io_begin(&call, object, &signature, FOL_IO_STAT, args, count, keywords, given) < 0) {
        return NULL;
    }
    return fol_py_io_end(&call, stat_request(&call, given));
}

static void io_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    type->tp_free(object);
    Py_DECREF(type);
}

typedef PyObject *(*io_method)(PyObject *io, PyObject *const *args, Py_ssize_t count,
                               PyObject *keywords);

/* A method under the lock of the context, which stays meanwhile. */
static inline PyObject *call_locked(io_method method, PyObject *object, PyObject *const *args,
                                    Py_ssize_t count, PyObject *keywords)
{
    PyObject *context;
    PyObject *answer;
    FOL_PY_BEGIN_CRITICAL(object);
    context = Py_XNewRef((PyObject *)fol_py_io_context(object));
    FOL_PY_END_CRITICAL();
    if (context == NULL) {
        return NULL;
    }
    FOL_PY_BEGIN_CRITICAL(context);
    answer = method(object, args, count, keywords);
    FOL_PY_END_CRITICAL();
    Py_DECREF(context);
    return answer;
}

#define LOCKED(name)                                                                               \
    static PyObject *locked_##name(PyObject *object, PyObject *const *args, Py_ssize_t count,      \
                                   PyObject *keywords)                                             \
    {                                                                                              \
        return call_locked(name, object, args, count, keywords);                                   \
    }

LOCKED(io_read)
LOCKED(io_write)
LOCKED(io_fsync)
LOCKED(io_open)
LOCKED(io_close)
LOCKED(io_stat)
LOCKED(fol_py_io_rename)
LOCKED(fol_py_io_unlink)
LOCKED(fol_py_io_mkdir)
LOCKED(fol_py_io_rmdir)
LOCKED(fol_py_io_socket)
LOCKED(fol_py_io_connect)
LOCKED(fol_py_io_accept)
LOCKED(fol_py_io_recv)
LOCKED(fol_py_io_send)
LOCKED(fol_py_io_shutdown)
LOCKED(fol_py_io_poll)
LOCKED(fol_py_io_timeout)
LOCKED(fol_py_io_cancel)
LOCKED(fol_py_io_nop)
LOCKED(fol_py_io_read_many)

#define METHOD(name) (PyCFunction)(void (*)(void))(locked_##name), METH_FASTCALL | METH_KEYWORDS
#define WAITS        ", wait=\"stage\", timeout=None"

static PyMethodDef io_methods[] = {
    {"read", METHOD(io_read),
     "read($self, /, path_or_fd, size=None, offset=0, into=None, *, to=None" WAITS
     ", dir_fd=None)\n--\n\n"
     "Read a file to its end, or size bytes of it.\n\n"
     "Gives bytes; with into (a writable buffer, or a list of them) or to ((entity, Component) or\n"
     "a resource of fo.Bytes that the system writes), where the bytes go to, their number.\n"
     "offset None: where the descriptor's position is; pipes have no other."},
    {"write", METHOD(io_write),
     "write($self, /, path_or_fd, data, offset=0, *, mode=0o666" WAITS ", dir_fd=None)\n--\n\n"
     "Write all of a buffer, or of a list of them; gives the number of bytes.\n\n"
     "The file of a path is made when it is missing, and replaced when offset is 0."},
    {"fsync", METHOD(io_fsync),
     "fsync($self, /, fd, data_only=False, *" WAITS ")\n--\n\nWait until a file is on its disk."},
    {"open", METHOD(io_open),
     "open($self, /, path, flags=0, mode=0o666, *" WAITS ", dir_fd=None)\n--\n\n"
     "Open a file; gives a descriptor, which is closed when nobody takes the result."},
    {"close", METHOD(io_close),
     "close($self, /, fd, *" WAITS ")\n--\n\nCancel what waits on a descriptor, and close it."},
    {"stat", METHOD(io_stat),
     "stat($self, /, path_or_fd, *, follow_symlinks=True" WAITS ", dir_fd=None)\n--\n\n"
     "Facts about a file; gives an os.stat_result."},
    {"rename", METHOD(fol_py_io_rename),
     "rename($self, /, old, new, *" WAITS ")\n--\n\nRename a file, replacing what is there."},
    {"unlink", METHOD(fol_py_io_unlink),
     "unlink($self, /, path, *" WAITS ", dir_fd=None)\n--\n\nRemove a file."},
    {"mkdir", METHOD(fol_py_io_mkdir),
     "mkdir($self, /, path, mode=0o777, *" WAITS ", dir_fd=None)\n--\n\nMake a directory."},
    {"rmdir", METHOD(fol_py_io_rmdir),
     "rmdir($self, /, path, *" WAITS ", dir_fd=None)\n--\n\nRemove an empty directory."},
    {"socket", METHOD(fol_py_io_socket),
     "socket($self, /, family, type=1, proto=0, *" WAITS ")\n--\n\n"
     "Make a socket; gives a descriptor, which is closed when nobody takes the result."},
    {"connect", METHOD(fol_py_io_connect),
     "connect($self, /, fd, address, *" WAITS ")\n--\n\n"
     "Connect a socket of AF_INET, AF_INET6 or AF_UNIX; hosts are numeric."},
    {"accept", METHOD(fol_py_io_accept),
     "accept($self, /, fd, many=False, *, wait=..., timeout=None)\n--\n\n"
     "Accept a connection; gives a descriptor, which is closed when nobody takes it.\n\n"
     "many: one after another until it is cancelled; see Operation.take."},
    {"recv", METHOD(fol_py_io_recv),
     "recv($self, /, fd, size=65536, *, whole=False, many=False, into=None, to=None, wait=..., "
     "timeout=None)\n--\n\n"
     "Receive what has come, at most size bytes; b\"\" at the end of the stream.\n\n"
     "whole: go on until size bytes came or the stream ended. many: piece after piece until the\n"
     "stream ends; see Operation.take."},
    {"send", METHOD(fol_py_io_send),
     "send($self, /, fd, data, *" WAITS ")\n--\n\n"
     "Send all of a buffer; gives the number of bytes."},
    {"shutdown", METHOD(fol_py_io_shutdown),
     "shutdown($self, /, fd, how=2, *" WAITS ")\n--\n\nEnd a connection, one way or both."},
    {"poll", METHOD(fol_py_io_poll),
     "poll($self, /, fd, events, *" WAITS ")\n--\n\n"
     "Wait until a descriptor is ready; gives the events of select.poll that it is ready for."},
    {"timeout", METHOD(fol_py_io_timeout),
     "timeout($self, /, seconds, *, wait=\"stage\")\n--\n\n"
     "End after so many seconds of the scheduler's clock."},
    {"cancel", METHOD(fol_py_io_cancel),
     "cancel($self, /, operation, *" WAITS ")\n--\n\n"
     "End an operation soon; gives whether it was still under way."},
    {"nop", METHOD(fol_py_io_nop), "nop($self, /, *" WAITS ")\n--\n\nDo nothing."},
    {"read_many", METHOD(fol_py_io_read_many),
     "read_many($self, /, paths, size=None, *, to=None, wait=\"stage\", timeout=None, "
     "dir_fd=None)\n--\n\n"
     "Read many files, as read does each, with one object for all of them.\n\n"
     "to: (entities, Component), one entity for each path."},
    {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(io_doc,
             "Asks for I/O on behalf of the running system; each call gives an Operation.\n\n"
             "Nothing is sent before the stage has ended. wait says what it holds up: later "
             "stages of the\nphase, the \"phase\"'s end, or \"none\", to be delivered in a later "
             "frame. timeout is in seconds from\nthe sending; what takes longer ends with a "
             "TimeoutError. A wrong argument raises, and nothing is asked for.");

static PyType_Slot io_slots[] = {
    {Py_tp_doc, (void *)io_doc},
    {Py_tp_dealloc, io_dealloc},
    {Py_tp_methods, io_methods},
    {0, NULL},
};

PyType_Spec fol_py_io_spec = {
    .name = "foliot._core.Io",
    .basicsize = sizeof(io_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = io_slots,
};
