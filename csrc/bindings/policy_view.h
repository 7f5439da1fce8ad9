/* What a policy in Python is shown during one call: runnables, and the sequence of the ready ones.
 *
 * A set of views serves one call at a time: open, ask, close. Runnables are copies of the core's
 * views, made when somebody looks, and are used again in later calls as long as nobody else holds
 * them. What somebody kept stays what it was: it belongs to a call that is over, and says so.
 *
 * The set and its runnables share a stamp, the number of the running call. A runnable is good while
 * its own number is that of its stamp, so that closing is one addition however many there are.
 */
#ifndef FOL_BINDINGS_POLICY_VIEW_H
#define FOL_BINDINGS_POLICY_VIEW_H

#include <stdatomic.h>

#include "bindings/policy.h"

typedef struct fol_py_stamp {
    PyObject_HEAD fol_py_state *state;
    _Atomic uint64_t call;
    fol_py_policy_names names;
} fol_py_stamp;

typedef struct fol_py_runnable {
    PyObject_HEAD fol_py_stamp *stamp;
    uint64_t call;
    uint32_t place; /* among the ready; UINT32_MAX: it stands alone */
    fol_runnable_view view;
} fol_py_runnable;

typedef struct fol_py_ready {
    PyObject_HEAD fol_py_stamp *stamp;
    const fol_ready *list;   /* NULL while no call is open, and in calls about one runnable */
    fol_py_runnable **cache; /* by place; NULL: not made yet */
    uint32_t cache_size;
    fol_py_runnable *single;
} fol_py_ready;

/* A closed set. New reference. */
fol_py_ready *fol_py_ready_new(fol_py_state *state, const fol_py_policy_names *names);
static inline void fol_py_ready_open(fol_py_ready *ready, const fol_ready *list)
{
    ready->list = list;
}
/* The runnable of a call about one. New reference. */
PyObject *fol_py_ready_single(fol_py_ready *ready, const fol_runnable_view *view);
/* The place of an answer among the ready; UINT32_MAX for what is not there. */
uint32_t fol_py_ready_place(const fol_py_ready *ready, PyObject *answer);
/* Ends the call. False: somebody else holds the set, so it is not to be opened again. */
bool fol_py_ready_close(fol_py_ready *ready);

/* "audio", or "runnable 3". New reference. */
PyObject *fol_py_policy_runnable_name(const fol_py_policy_names *names, uint32_t id);

int fol_py_add_policy_views(fol_py_state *state);

#endif
