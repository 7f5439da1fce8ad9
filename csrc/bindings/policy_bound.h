/* The inside of a bound policy, shared by the files that make it, call it and tell of it.
 *
 * What is called is fixed when the policy is bound. What changes during calls (the views in use,
 * the errors kept) is touched attached, under the object's lock where there is no interpreter's
 * lock; the rest is atomic.
 */
#ifndef FOL_BINDINGS_POLICY_BOUND_H
#define FOL_BINDINGS_POLICY_BOUND_H

#include <stdatomic.h>

#include "bindings/policy.h"
#include "bindings/policy_view.h"

#define FOL_PY_POLICY_ERRORS 8u

#define FOL_PY_FOR_EACH_SLOT(X)                                                                    \
    X(FOL_SLOT_ENQUEUE, enqueue)                                                                   \
    X(FOL_SLOT_PICK, pick)                                                                         \
    X(FOL_SLOT_SLICE, slice)                                                                       \
    X(FOL_SLOT_ADMIT, admit)                                                                       \
    X(FOL_SLOT_VICTIMS, victims)                                                                   \
    X(FOL_SLOT_SPIN_LIMIT, spin_limit)                                                             \
    X(FOL_SLOT_CHUNK_ROWS, chunk_rows)                                                             \
    X(FOL_SLOT_BACKEND, backend)

/* What one slot calls. */
typedef struct fol_py_policy_call {
    PyObject *function; /* NULL: not in Python */
    PyObject *self;     /* first argument, or NULL */
    void *user;         /* of a native slot */
    _Atomic uint32_t native_failures;
    _Atomic int native_status; /* of the last one */
} fol_py_policy_call;

typedef struct fol_py_bound_policy {
    PyObject_HEAD fol_py_state *state;
    PyObject *policy;
    PyObject *parts; /* what foliot._policy read: keeps functions and kernels alive */
    fol_py_policy_names names;
    fol_py_policy_call calls[FOL_SLOT_COUNT];
    fol_policy_slots native; /* of native slots; NULL for others */
    fol_policy_slots slots;  /* what the dispatcher calls */
    fol_py_policy_facts facts;
    bool is_live;
    fol_py_ready *ready; /* views for the next call; NULL while they are in use */
    PyObject *errors[FOL_PY_POLICY_ERRORS];
    uint32_t error_start; /* place of the oldest */
    uint32_t error_count;
    PyObject *interrupt;
    atomic_bool is_interrupted;
    _Atomic int64_t excused_ns; /* of all calls so far that is not counted as theirs */
} fol_py_bound_policy;

/* policy_python.c, policy_native.c: the slots. Each is given the bound policy as its state. */
extern const fol_policy_slots fol_py_python_slots;
extern const fol_policy_slots fol_py_native_slots;

/* policy_watch.c. All on any thread. */
int64_t fol_py_policy_clock_ns(void);
/* Nanoseconds that run on while a slot does what it is answerable for; its difference over a call
 * is what the call took. */
int64_t fol_py_policy_stopwatch(void *bound);
/* A slot runs on this thread since the stopwatch was read. */
void fol_py_policy_note_call(const fol_py_bound_policy *bound);

/* policy_errors.c */
/* Keeps the pending error, with a note that names the slot; the status to answer with. */
int fol_py_policy_keep_error(fol_py_bound_policy *bound, fol_policy_slot slot, int status);
/* Counts a native slot's failure; the status to answer with. Any thread. */
int fol_py_policy_keep_status(fol_py_bound_policy *bound, fol_policy_slot slot, int status);

/* policy_probe.c */
extern PyType_Spec fol_py_policy_probe_spec;

#endif
