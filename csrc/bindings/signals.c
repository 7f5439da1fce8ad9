/* Signals of Python while a scheduler waits: a pipe that says that one has come.
 *
 * Python's own C handlers, on whichever thread the kernel runs them, write a byte to one
 * descriptor, the wakeup fd (signal.set_wakeup_fd), as does _thread.interrupt_main. While the main
 * thread waits that is a pipe's; then the program's own, if any, is put back and gets the bytes
 * that came meanwhile. Only the main thread runs handlers, and only it may change the descriptor,
 * so what is here is its own, but for the making of the pipe.
 */
#include "bindings/scheduler.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

/* Handlers that change the wakeup fd themselves, each time they are run. */
#define TURNS 8
/* A pipe has 64 KiB. */
#define CHUNK      512
#define MAX_CHUNKS 256

/* Never closed, but in a forked child; who waits may have registered it. */
static int ends[2] = {-1, -1};
static struct stat made;
static pthread_mutex_t making = PTHREAD_MUTEX_INITIALIZER;

/* Ours is the wakeup fd, and this the program's own, or -1. */
static bool is_in_place;
static int replaced = -1;

static bool is_ours(int descriptor)
{
    struct stat now;
    return fstat(descriptor, &now) == 0 && now.st_dev == made.st_dev && now.st_ino == made.st_ino;
}

/* Ends that somebody else has closed, and whose numbers may be another file's by now, are
 * replaced. */
static bool make_pipe(void)
{
    pthread_mutex_lock(&making);
    bool has_pipe = ends[0] >= 0 && is_ours(ends[0]) && is_ours(ends[1]);
    if (!has_pipe) {
        has_pipe = pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0 && fstat(ends[0], &made) == 0;
    }
    pthread_mutex_unlock(&making);
    return has_pipe;
}

PyObject *fol_py_make_signal_pipe(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    if (!make_pipe()) {
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    Py_RETURN_NONE;
}

/* signal.set_wakeup_fd: what it was before, or -2 with an error. No Python code runs here, in which
 * handlers would be run: the module is not imported by the program's __import__. */
static int exchange_wakeup(int descriptor)
{
    PyObject *name = PyUnicode_InternFromString("signal");
    PyObject *module = name == NULL ? NULL : PyImport_GetModule(name);
    if (module == NULL && name != NULL && !PyErr_Occurred()) {
        module = PyImport_Import(name);
    }
    PyObject *answer =
        module == NULL ? NULL : PyObject_CallMethod(module, "set_wakeup_fd", "i", descriptor);
    long before = answer == NULL ? -2 : PyLong_AsLong(answer);
    Py_XDECREF(answer);
    Py_XDECREF(module);
    Py_XDECREF(name);
    return (int)before;
}

/* Takes what came, and gives it to whom it was kept from. */
static void empty_pipe(int heir)
{
    unsigned char bytes[CHUNK];
    ssize_t count = read(ends[0], bytes, sizeof(bytes));
    for (int chunk = 0; chunk < MAX_CHUNKS && count > 0; chunk++) {
        /* What a full pipe or socket refuses is lost there as Python loses it. */
        ssize_t given = heir >= 0 ? write(heir, bytes, (size_t)count) : count;
        count = given < 0 && errno != EAGAIN ? 0 : read(ends[0], bytes, sizeof(bytes));
    }
}

/* Why there is no watching: on other threads, and in other interpreters, no handler ever runs. */
static int explain_refusal(void)
{
    bool is_elsewhere = PyErr_ExceptionMatches(PyExc_ValueError) != 0;
    PyErr_Clear();
    return is_elsewhere ? FOL_HOST_IS_SILENT : -EBADF;
}

/* The program's own wakeup fd as it is from here on. */
static int put_back(void)
{
    int heir = replaced;
    int before = exchange_wakeup(heir);
    if (before >= 0 && before != ends[1]) {
        /* A handler has put its own there meanwhile. */
        heir = before;
        before = exchange_wakeup(heir);
    }
    if (before == -2) {
        /* It was closed. */
        PyErr_WriteUnraisable(NULL);
        heir = -1;
        (void)exchange_wakeup(heir);
    }
    is_in_place = false;
    replaced = -1;
    return heir;
}

int fol_py_watch_signals(void *state)
{
    const fol_py_scheduler *scheduler = state;
    if (!make_pipe()) {
        return -EMFILE;
    }
    for (int turn = 0; turn < TURNS; turn++) {
        int before = exchange_wakeup(ends[1]);
        if (before == -2) {
            return explain_refusal();
        }
        if (before == ends[1]) {
            /* It has been there since before the last look. */
            return ends[0];
        }
        is_in_place = true;
        replaced = before;
        if (scheduler->bound_policy != NULL ? fol_py_pending_with_policy(state)
                                            : fol_py_pending(state)) {
            fol_py_unwatch_signals(state);
            return FOL_E_INTERRUPTED;
        }
    }
    fol_py_unwatch_signals(state);
    return -EAGAIN;
}

void fol_py_unwatch_signals(void *state)
{
    (void)state;
    empty_pipe(put_back());
}

void fol_py_forget_signals(void)
{
    making = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    if (is_in_place) {
        (void)put_back();
    }
    if (ends[0] >= 0) {
        for (int end = 0; end < 2; end++) {
            if (is_ours(ends[end])) {
                close(ends[end]);
            }
        }
        ends[0] = -1;
        ends[1] = -1;
    }
}
