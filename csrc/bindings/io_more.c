/* The methods of `ctx.io` on names, sockets, timers and other operations. */
#include "bindings/io.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#define RECV_SIZE 65536

#define NAME(name) FOL_PY_NAME_##name

/* Every method begins the same way: what it takes, of which kind it is. */
#define BEGIN(...)                                                                                 \
    static const fol_py_io_signature signature = {__VA_ARGS__};                                    \
    PyObject *given[FOL_PY_IO_MAX_ARGUMENTS];                                                      \
    fol_py_io_call call;

#define BEGIN_FAILS(kind)                                                                          \
    (fol_py_io_begin(&call, io, &signature, (kind), args, count, keywords, given) < 0)

FOL_PY_IO_METHOD(rename)
{
    BEGIN("rename", 4, 2, 2, {NAME(old), NAME(new), NAME(wait), NAME(timeout)})
    if (BEGIN_FAILS(FOL_IO_RENAME)) {
        return NULL;
    }
    fol_py_operation *operation = call.operation;
    int failed = fol_py_io_read_only_path(&call, "old", given[0], NULL);
    if (failed == 0) {
        bool is_path = fol_py_io_is_path(call.state, given[1]);
        operation->target2 = is_path ? PyOS_FSPath(given[1]) : Py_NewRef(given[1]);
        failed = operation->target2 == NULL
                     ? -1
                     : fol_py_io_read_path(&call, "new", operation->target2, &operation->held[1],
                                           &call.intent.request.path2);
    }
    return fol_py_io_end(&call,
                         failed < 0 ? failed : fol_py_io_read_until(&call, given[2], given[3]));
}

FOL_PY_IO_METHOD(unlink)
{
    BEGIN("unlink", 4, 1, 1, {NAME(path), NAME(wait), NAME(timeout), NAME(dir_fd)})
    if (BEGIN_FAILS(FOL_IO_UNLINK)) {
        return NULL;
    }
    int failed = fol_py_io_read_only_path(&call, "path", given[0], given[3]);
    return fol_py_io_end(&call,
                         failed < 0 ? failed : fol_py_io_read_until(&call, given[1], given[2]));
}

FOL_PY_IO_METHOD(rmdir)
{
    BEGIN("rmdir", 4, 1, 1, {NAME(path), NAME(wait), NAME(timeout), NAME(dir_fd)})
    if (BEGIN_FAILS(FOL_IO_UNLINK)) {
        return NULL;
    }
    call.intent.request.options = AT_REMOVEDIR;
    int failed = fol_py_io_read_only_path(&call, "path", given[0], given[3]);
    return fol_py_io_end(&call,
                         failed < 0 ? failed : fol_py_io_read_until(&call, given[1], given[2]));
}

FOL_PY_IO_METHOD(mkdir)
{
    BEGIN("mkdir", 5, 2, 1, {NAME(path), NAME(mode), NAME(wait), NAME(timeout), NAME(dir_fd)})
    if (BEGIN_FAILS(FOL_IO_MKDIR)) {
        return NULL;
    }
    int failed = fol_py_io_read_only_path(&call, "path", given[0], given[4]);
    if (failed == 0) {
        failed = fol_py_io_read_mode(&call, given[1], 0777);
    }
    return fol_py_io_end(&call,
                         failed < 0 ? failed : fol_py_io_read_until(&call, given[2], given[3]));
}

/* A number of up to 31 bits that is named by its argument. */
static int read_small(fol_py_io_call *call, const char *argument, PyObject *given, long long usual,
                      long long *out)
{
    *out = usual;
    return fol_py_io_read_number(call->method, argument, given, 0, INT_MAX, out);
}

FOL_PY_IO_METHOD(socket)
{
    BEGIN("socket", 5, 3, 1, {NAME(family), NAME(type), NAME(proto), NAME(wait), NAME(timeout)})
    if (BEGIN_FAILS(FOL_IO_SOCKET)) {
        return NULL;
    }
    long long family, type, proto;
    call.operation->shape = FOL_PY_IO_DESCRIPTOR;
    int failed = read_small(&call, "family", given[0], AF_INET, &family) < 0 ||
                         read_small(&call, "type", given[1], SOCK_STREAM, &type) < 0 ||
                         read_small(&call, "proto", given[2], 0, &proto) < 0
                     ? -1
                     : fol_py_io_read_until(&call, given[3], given[4]);
    if (failed == 0) {
        call.intent.request.options = (uint32_t)family;
        call.intent.request.mode = (uint32_t)type;
        call.intent.request.size = (size_t)proto;
    }
    return fol_py_io_end(&call, failed);
}

FOL_PY_IO_METHOD(connect)
{
    BEGIN("connect", 4, 2, 2, {NAME(fd), NAME(address), NAME(wait), NAME(timeout)})
    if (BEGIN_FAILS(FOL_IO_CONNECT)) {
        return NULL;
    }
    int failed = fol_py_io_read_only_descriptor(&call, "fd", given[0]);
    if (failed == 0) {
        failed = fol_py_io_read_address(&call, call.intent.request.fd, given[1]);
    }
    return fol_py_io_end(&call,
                         failed < 0 ? failed : fol_py_io_read_until(&call, given[2], given[3]));
}

static int read_many(fol_py_io_call *call, PyObject *given)
{
    bool is_many = false;
    if (fol_py_io_read_flag(call->method, "many", given, &is_many) < 0) {
        return -1;
    }
    call->intent.request.flags |= is_many ? (uint32_t)FOL_IO_MANY : 0u;
    return 0;
}

FOL_PY_IO_METHOD(accept)
{
    BEGIN("accept", 4, 2, 1, {NAME(fd), NAME(many), NAME(wait), NAME(timeout)})
    if (BEGIN_FAILS(FOL_IO_ACCEPT)) {
        return NULL;
    }
    call.operation->shape = FOL_PY_IO_DESCRIPTOR;
    int failed = fol_py_io_read_only_descriptor(&call, "fd", given[0]);
    if (failed == 0) {
        failed = read_many(&call, given[1]);
    }
    return fol_py_io_end(&call,
                         failed < 0 ? failed : fol_py_io_read_until(&call, given[2], given[3]));
}

static int refuse_several(const fol_py_io_call *call)
{
    if ((call->intent.request.flags & FOL_IO_VECTORS) != 0) {
        PyErr_Format(PyExc_TypeError, "io.%s takes one buffer; only read and write take a list",
                     call->method);
        return -1;
    }
    return 0;
}

/* What does not go together. */
static int check_recv(const fol_py_io_call *call, PyObject *const *given, bool is_whole)
{
    bool has_place = given[4] != NULL || given[5] != NULL;
    if ((call->intent.request.flags & FOL_IO_MANY) != 0 &&
        (has_place || is_whole || given[1] != NULL)) {
        PyErr_SetString(PyExc_ValueError,
                        "io.recv: many=True gives pieces as they come, without size, whole, into "
                        "or to");
        return -1;
    }
    if (is_whole && given[1] == NULL && given[4] == NULL) {
        PyErr_SetString(PyExc_ValueError,
                        "io.recv: whole=True needs size, the number of bytes to wait for, or into");
        return -1;
    }
    return 0;
}

/* fd, size, whole, many, into, to, wait, timeout */
static int recv_request(fol_py_io_call *call, PyObject **given)
{
    bool is_whole = false;
    for (int i = 1; i < 8; i++) {
        given[i] = given[i] == Py_None && (i == 1 || i == 4 || i == 5) ? NULL : given[i];
    }
    if (fol_py_io_read_only_descriptor(call, "fd", given[0]) < 0 ||
        fol_py_io_read_flag(call->method, "whole", given[2], &is_whole) < 0 ||
        read_many(call, given[3]) < 0 || check_recv(call, given, is_whole) < 0 ||
        fol_py_io_read_until(call, given[6], given[7]) < 0 ||
        fol_py_io_refuse_both(call, given[4], given[5]) < 0) {
        return -1;
    }
    call->intent.request.flags |= is_whole ? (uint32_t)FOL_IO_WHOLE : 0u;
    if (given[4] != NULL) {
        return fol_py_io_read_into(call, given[4], given[1]) < 0 ? -1 : refuse_several(call);
    }
    call->operation->shape = FOL_PY_IO_COUNT;
    if (given[5] != NULL && fol_py_io_read_destination(call, given[5]) < 0) {
        return -1;
    }
    return fol_py_io_read_own(call, given[1], RECV_SIZE);
}

FOL_PY_IO_METHOD(recv)
{
    BEGIN("recv", 8, 2, 1,
          {NAME(fd), NAME(size), NAME(whole), NAME(many), NAME(into), NAME(to), NAME(wait),
           NAME(timeout)})
    if (BEGIN_FAILS(FOL_IO_RECV)) {
        return NULL;
    }
    return fol_py_io_end(&call, recv_request(&call, given));
}

FOL_PY_IO_METHOD(send)
{
    BEGIN("send", 4, 2, 2, {NAME(fd), NAME(data), NAME(wait), NAME(timeout)})
    if (BEGIN_FAILS(FOL_IO_SEND)) {
        return NULL;
    }
    call.operation->shape = FOL_PY_IO_COUNT;
    int failed = fol_py_io_read_only_descriptor(&call, "fd", given[0]) < 0 ||
                         fol_py_io_read_buffers(&call, "data", given[1], false) < 0 ||
                         refuse_several(&call) < 0
                     ? -1
                     : fol_py_io_read_until(&call, given[2], given[3]);
    return fol_py_io_end(&call, failed);
}

FOL_PY_IO_METHOD(shutdown)
{
    BEGIN("shutdown", 4, 2, 1, {NAME(fd), NAME(how), NAME(wait), NAME(timeout)})
    if (BEGIN_FAILS(FOL_IO_SHUTDOWN)) {
        return NULL;
    }
    long long how = SHUT_RDWR;
    int failed = fol_py_io_read_only_descriptor(&call, "fd", given[0]);
    if (failed == 0) {
        failed = fol_py_io_read_number("shutdown", "how", given[1], SHUT_RD, SHUT_RDWR, &how);
    }
    call.intent.request.options = (uint32_t)how;
    return fol_py_io_end(&call,
                         failed < 0 ? failed : fol_py_io_read_until(&call, given[2], given[3]));
}

FOL_PY_IO_METHOD(poll)
{
    BEGIN("poll", 4, 2, 2, {NAME(fd), NAME(events), NAME(wait), NAME(timeout)})
    if (BEGIN_FAILS(FOL_IO_POLL)) {
        return NULL;
    }
    long long events = 0;
    call.operation->shape = FOL_PY_IO_COUNT;
    int failed = fol_py_io_read_only_descriptor(&call, "fd", given[0]);
    if (failed == 0) {
        failed = fol_py_io_read_number("poll", "events", given[1], 1, 0x7fff, &events);
    }
    call.intent.request.options = (uint32_t)events;
    return fol_py_io_end(&call,
                         failed < 0 ? failed : fol_py_io_read_until(&call, given[2], given[3]));
}

FOL_PY_IO_METHOD(timeout)
{
    BEGIN("timeout", 2, 1, 1, {NAME(seconds), NAME(wait)})
    if (BEGIN_FAILS(FOL_IO_TIMEOUT)) {
        return NULL;
    }
    int failed = fol_py_io_read_until(&call, given[1], NULL);
    if (failed == 0) {
        failed = fol_py_io_read_seconds("timeout", "seconds", given[0], true,
                                        &call.intent.request.timeout_ns);
    }
    return fol_py_io_end(&call, failed);
}

FOL_PY_IO_METHOD(cancel)
{
    BEGIN("cancel", 3, 1, 1, {NAME(operation), NAME(wait), NAME(timeout)})
    if (BEGIN_FAILS(FOL_IO_CANCEL)) {
        return NULL;
    }
    int failed = -1;
    call.operation->shape = FOL_PY_IO_FOUND;
    if (!Py_IS_TYPE(given[0], call.state->scheduler.operation_type)) {
        PyErr_Format(PyExc_TypeError, "io.cancel takes an Operation, got %R", given[0]);
    } else if (((fol_py_operation *)given[0])->home != call.operation->home) {
        PyErr_Format(PyExc_ValueError, "io.cancel: %R belongs to another scheduler", given[0]);
    } else {
        call.intent.request.handle = ((fol_py_operation *)given[0])->handle;
        failed = fol_py_io_read_until(&call, given[1], given[2]);
    }
    return fol_py_io_end(&call, failed);
}

FOL_PY_IO_METHOD(nop)
{
    BEGIN("nop", 2, 0, 0, {NAME(wait), NAME(timeout)})
    if (BEGIN_FAILS(FOL_IO_NOP)) {
        return NULL;
    }
    return fol_py_io_end(&call, fol_py_io_read_until(&call, given[0], given[1]));
}
