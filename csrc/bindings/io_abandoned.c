/* What operations held that the kernel did not let go of: it stays until the kernel does, which may
 * be never.
 *
 * Notes are made and never freed, and one whose objects were released is used again. Nobody goes
 * over the list but for such a one; it is here so that what searches for leaks finds what is held.
 * A note that is in use is its operation's alone, which the core calls about on one thread at a
 * time.
 */
#include "bindings/io.h"

#include <stdatomic.h>

typedef struct note {
    struct note *next; /* once it is in the list it stays the same */
    atomic_bool is_used;
    PyObject *objects[FOL_PY_IO_ABANDONED];
    fol_py_io_buffers *buffers;
} note;

static _Atomic(note *) all_notes;

static note *find_free(void)
{
    /* Acquire pairs with the release of who put it there: it is whole. */
    note *found = atomic_load_explicit(&all_notes, memory_order_acquire);
    bool is_used = false;
    /* Bounded by the notes there are. Acquire pairs with the release of who used it last. */
    while (found != NULL &&
           !atomic_compare_exchange_strong_explicit(&found->is_used, &is_used, true,
                                                    memory_order_acquire, memory_order_relaxed)) {
        found = found->next;
        is_used = false;
    }
    return found;
}

/* One in use, which is in the list. NULL: there is no memory. */
static note *take_note(void)
{
    note *taken = find_free();
    if (taken != NULL) {
        return taken;
    }
    taken = PyMem_RawCalloc(1, sizeof(*taken));
    if (taken == NULL) {
        return NULL;
    }
    atomic_init(&taken->is_used, true);
    taken->next = atomic_load_explicit(&all_notes, memory_order_relaxed);
    /* Release pairs with the acquire of who looks for a free one. Each turn in vain means that
     * another one was put there. */
    while (!atomic_compare_exchange_weak_explicit(&all_notes, &taken->next, taken,
                                                  memory_order_release, memory_order_relaxed)) {
    }
    return taken;
}

void *fol_py_io_keep(PyObject *const objects[FOL_PY_IO_ABANDONED], fol_py_io_buffers *buffers)
{
    note *made = take_note();
    if (made != NULL) {
        for (size_t i = 0; i < FOL_PY_IO_ABANDONED; i++) {
            made->objects[i] = objects[i];
        }
        made->buffers = buffers;
    }
    return made;
}

void fol_py_io_release_kept(void *kept)
{
    note *made = kept;
    if (made == NULL) {
        return;
    }
    PyObject *type, *pending, *traceback;
    PyErr_Fetch(&type, &pending, &traceback);
    fol_py_io_buffers *buffers = made->buffers;
    PyObject *objects[FOL_PY_IO_ABANDONED];
    for (size_t i = 0; i < FOL_PY_IO_ABANDONED; i++) {
        objects[i] = made->objects[i];
        made->objects[i] = NULL;
    }
    made->buffers = NULL;
    /* Release pairs with the acquire of who uses it next. */
    atomic_store_explicit(&made->is_used, false, memory_order_release);
    if (buffers != NULL) {
        fol_py_io_release_buffers(buffers);
    }
    for (size_t i = 0; i < FOL_PY_IO_ABANDONED; i++) {
        Py_XDECREF(objects[i]);
    }
    PyErr_Restore(type, pending, traceback);
}

PyObject *fol_py_io_abandoned_error(fol_py_state *state, PyObject *what, uint64_t waited_ns)
{
    char seconds[32];
    PyOS_snprintf(seconds, sizeof(seconds), "%.2f", (double)waited_ns * 1e-9);
    PyObject *text = PyUnicode_FromFormat(
        "%U was abandoned: the kernel did not let go of it in the %s s that were waited after it "
        "was cancelled. It may still go on, so what it reads into or writes from stays "
        "allocated until it ends, or until the process ends: look after the device or file system "
        "that does not answer",
        what, seconds);
    PyObject *error = text == NULL
                          ? NULL
                          : PyObject_CallFunction(fol_py_error_class(state, FOL_E_ABANDONED), "iO",
                                                  ETIMEDOUT, text);
    Py_XDECREF(text);
    return error;
}
