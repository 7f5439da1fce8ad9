/* Addresses of sockets. Names of hosts are not looked up: that would wait, within a system. */
#include "bindings/io.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

/* The request points at a copy that the operation holds. */
static int take_address(fol_py_io_call *call, const void *address, size_t size)
{
    PyObject *copy = PyBytes_FromStringAndSize(address, (Py_ssize_t)size);
    call->operation->held[0] = copy;
    if (copy == NULL) {
        return -1;
    }
    call->intent.request.buffer = PyBytes_AS_STRING(copy);
    call->intent.request.size = size;
    return 0;
}

static int refuse(fol_py_io_call *call, const char *expected, PyObject *given)
{
    if (PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_TypeError)) {
        return -1;
    }
    PyErr_Format(PyExc_TypeError, "io.%s: address is %s, got %R", call->method, expected, given);
    return -1;
}

/* The numeric host of an address tuple; "" stands for any. */
static int read_host(fol_py_io_call *call, int family, PyObject *host, void *out)
{
    const char *text = PyUnicode_Check(host) ? PyUnicode_AsUTF8(host) : NULL;
    if (text != NULL && inet_pton(family, text, out) == 1) {
        return 0;
    }
    if (!PyErr_Occurred()) {
        PyErr_Format(PyExc_ValueError,
                     "io.%s: the host of an address is numeric, such as '%s', got %R; look names "
                     "up with socket.getaddrinfo before",
                     call->method, family == AF_INET ? "127.0.0.1" : "::1", host);
    }
    return -1;
}

static int read_ipv4(fol_py_io_call *call, PyObject *given)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    long long port = 0;
    if (!PyTuple_Check(given) || PyTuple_GET_SIZE(given) != 2) {
        return refuse(call, "(host, port) for a socket of AF_INET", given);
    }
    if (read_host(call, AF_INET, PyTuple_GET_ITEM(given, 0), &address.sin_addr) < 0 ||
        fol_py_io_read_number(call->method, "the port", PyTuple_GET_ITEM(given, 1), 0, 65535,
                              &port) < 0) {
        return -1;
    }
    address.sin_port = htons((uint16_t)port);
    return take_address(call, &address, sizeof(address));
}

static int read_ipv6(fol_py_io_call *call, PyObject *given)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6};
    long long numbers[3] = {0, 0, 0};
    static const char *const names[] = {"the port", "the flow information", "the scope"};
    static const long long most[] = {65535, 0xfffff, UINT32_MAX};
    Py_ssize_t count = PyTuple_Check(given) ? PyTuple_GET_SIZE(given) : 0;
    if (count < 2 || count > 4) {
        return refuse(call, "(host, port[, flowinfo[, scope_id]]) for a socket of AF_INET6", given);
    }
    if (read_host(call, AF_INET6, PyTuple_GET_ITEM(given, 0), &address.sin6_addr) < 0) {
        return -1;
    }
    for (Py_ssize_t i = 1; i < count; i++) {
        if (fol_py_io_read_number(call->method, names[i - 1], PyTuple_GET_ITEM(given, i), 0,
                                  most[i - 1], &numbers[i - 1]) < 0) {
            return -1;
        }
    }
    address.sin6_port = htons((uint16_t)numbers[0]);
    address.sin6_flowinfo = htonl((uint32_t)numbers[1]);
    address.sin6_scope_id = (uint32_t)numbers[2];
    return take_address(call, &address, sizeof(address));
}

/* A path, or a name that begins with a null character and is no path. */
static int read_unix(fol_py_io_call *call, PyObject *given)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    PyObject *path = fol_py_io_is_path(call->state, given) ? PyOS_FSPath(given) : NULL;
    if (path == NULL) {
        return refuse(call, "a path for a socket of AF_UNIX", given);
    }
    PyObject *bytes = PyBytes_Check(path) ? Py_NewRef(path) : PyUnicode_EncodeFSDefault(path);
    Py_DECREF(path);
    if (bytes == NULL) {
        return -1;
    }
    const char *text = PyBytes_AS_STRING(bytes);
    size_t size = (size_t)PyBytes_GET_SIZE(bytes);
    bool is_abstract = size > 0 && text[0] == '\0';
    size_t room = sizeof(address.sun_path) - (is_abstract ? 0 : 1);
    bool is_good = size > 0 && size <= room && (is_abstract || strlen(text) == size);
    if (is_good) {
        memcpy(address.sun_path, text, size);
    }
    Py_DECREF(bytes);
    if (!is_good) {
        PyErr_Format(PyExc_ValueError,
                     "io.%s: the path of a socket of AF_UNIX has 1 to %zu bytes and no null "
                     "character but a first one, got %R",
                     call->method, sizeof(address.sun_path) - 1, given);
        return -1;
    }
    return take_address(call, &address,
                        offsetof(struct sockaddr_un, sun_path) + size + (is_abstract ? 0 : 1));
}

int fol_py_io_read_address(fol_py_io_call *call, int descriptor, PyObject *given)
{
    int family;
    socklen_t size = sizeof(family);
    if (getsockopt(descriptor, SOL_SOCKET, SO_DOMAIN, &family, &size) < 0) {
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    switch (family) {
    case AF_INET:
        return read_ipv4(call, given);
    case AF_INET6:
        return read_ipv6(call, given);
    case AF_UNIX:
        return read_unix(call, given);
    default:
        PyErr_Format(PyExc_ValueError,
                     "io.%s: sockets of AF_INET, AF_INET6 and AF_UNIX can be connected, got one of "
                     "family %d",
                     call->method, family);
        return -1;
    }
}
