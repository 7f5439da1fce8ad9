/* Core schedulers whose Python object died while somebody else held their world.
 *
 * Ending one takes its queries out of the world, which needs the world's lock; the garbage
 * collector may come at any time, a running frame of another scheduler included. What cannot end
 * now waits here, with its world, for the next scheduler to open, close or die. The list is
 * changed under the lock of the module.
 */
#include "bindings/scheduler.h"

typedef struct fol_py_orphan_scheduler {
    struct fol_py_orphan_scheduler *next;
    fol_scheduler *core;
    PyObject *world;
} orphan;

/* Ends a core scheduler unless its world is in use. */
static bool try_destroy(fol_scheduler *core, PyObject *world)
{
    if (fol_py_world_enter(world) < 0) {
        PyErr_Clear();
        return false;
    }
    /* It waits detached for I/O that does not end. */
    PyThreadState *outer = fol_py_host_nest();
    fol_scheduler_destroy(core);
    fol_py_host_unnest(outer);
    fol_py_world_leave(world);
    return true;
}

static void keep(fol_py_state *state, orphan *waiting)
{
    FOL_PY_BEGIN_CRITICAL(state->module);
    waiting->next = state->scheduler.orphans;
    state->scheduler.orphans = waiting;
    FOL_PY_END_CRITICAL();
}

void fol_py_orphans_collect(fol_py_state *state)
{
    orphan *waiting;
    FOL_PY_BEGIN_CRITICAL(state->module);
    waiting = state->scheduler.orphans;
    state->scheduler.orphans = NULL;
    FOL_PY_END_CRITICAL();
    while (waiting != NULL) {
        orphan *next = waiting->next;
        if (try_destroy(waiting->core, waiting->world)) {
            Py_DECREF(waiting->world);
            PyMem_Free(waiting);
        } else {
            keep(state, waiting);
        }
        waiting = next;
    }
}

void fol_py_orphans_end(fol_py_state *state, fol_scheduler *core, PyObject *world)
{
    PyObject *type, *error, *traceback;
    PyErr_Fetch(&type, &error, &traceback);
    fol_py_orphans_collect(state);
    if (!try_destroy(core, world)) {
        orphan *waiting = PyMem_New(orphan, 1);
        /* Without memory for the note it is lost, which costs memory and nothing else. */
        if (waiting != NULL) {
            *waiting = (orphan){.core = core, .world = Py_NewRef(world)};
            keep(state, waiting);
        }
    }
    PyErr_Restore(type, error, traceback);
}
