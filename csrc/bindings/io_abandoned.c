/* What operations held that the kernel did not let go of: it stays until the process ends.
 *
 * A list that nobody goes over: it is here so that what searches for leaks finds what is in it.
 */
#include "bindings/io.h"

#include <stdatomic.h>

typedef struct kept {
    struct kept *next;
    PyObject *objects[FOL_PY_IO_ABANDONED];
    fol_py_io_buffers *buffers;
} kept;

static _Atomic(kept *) all_kept;

void fol_py_io_keep_for_ever(PyObject *const objects[FOL_PY_IO_ABANDONED],
                             fol_py_io_buffers *buffers)
{
    /* Without memory for the note they stay all the same, and nobody finds them. */
    kept *made = PyMem_RawCalloc(1, sizeof(*made));
    if (made == NULL) {
        return;
    }
    for (size_t i = 0; i < FOL_PY_IO_ABANDONED; i++) {
        made->objects[i] = objects[i];
    }
    made->buffers = buffers;
    made->next = atomic_load_explicit(&all_kept, memory_order_relaxed);
    /* Relaxed: nobody reads it. Each turn in vain means that another one was put there. */
    while (!atomic_compare_exchange_weak_explicit(&all_kept, &made->next, made,
                                                  memory_order_relaxed, memory_order_relaxed)) {
    }
}

PyObject *fol_py_io_abandoned_error(fol_py_state *state, PyObject *what, uint64_t waited_ns)
{
    char seconds[32];
    PyOS_snprintf(seconds, sizeof(seconds), "%.1f", (double)waited_ns * 1e-9);
    PyObject *text = PyUnicode_FromFormat(
        "%U was abandoned: the kernel did not let go of it in the %s s that closing its scheduler "
        "took. It may still go on, so what it reads into or writes from stays allocated until the "
        "process ends: look after the device or file system that does not answer",
        what, seconds);
    PyObject *error = text == NULL
                          ? NULL
                          : PyObject_CallFunction(fol_py_error_class(state, FOL_E_ABANDONED), "iO",
                                                  ETIMEDOUT, text);
    Py_XDECREF(text);
    return error;
}
