/* Policies of Python as the core's slots: for whoever runs a dispatcher on behalf of Python.
 *
 * A bound policy is a Python object that stands between one `fo.Policy` and one dispatcher. It
 * lists the slots that the policy overrides, in Python or natively, keeps what they raise, and
 * never stops anything by itself: a failed call gives a negative status, and the dispatcher decides
 * without it.
 *
 * Who may call what. All functions here expect an attached thread unless they say otherwise. The
 * slots of a policy bound for a simulation are called attached. Those of one bound live may be
 * called by any thread, attached or not; a Python slot attaches for its time. Nobody may therefore
 * wait, attached, for a lock that is held while slots are called.
 */
#ifndef FOL_BINDINGS_POLICY_H
#define FOL_BINDINGS_POLICY_H

#include "bindings/bindings.h"
#include "foliot/policy.h"

/* Names for messages and views: a new reference to a str, or NULL, without an error, for a runnable
 * that has none. Called attached, inside of the slots only. Both may be NULL. */
typedef struct fol_py_policy_names {
    void *state;
    PyObject *(*runnable)(void *state, uint32_t id);
    PyObject *(*system)(void *state, uint32_t system);
} fol_py_policy_names;

/* What a dispatcher is made with. */
typedef struct fol_py_policy_facts {
    fol_policy_kind base;
    const fol_policy_slots *slots; /* as long as the bound policy lives; NULL: all built in */
    uint32_t max_faults;
    /* For how long slots take, without what they waited for the interpreter; NULL: no limit. Any
     * thread. */
    int64_t (*stopwatch)(void *state);
    void *stopwatch_state;
    int64_t slot_limit; /* nanoseconds */
} fol_py_policy_facts;

/* The kind that a name stands for; ValueError lists those that are allowed, TypeError for what is
 * no str. */
int fol_py_policy_kind_from_name(fol_py_state *state, PyObject *name, fol_policy_kind *out);

/* Binds a `fo.Policy`, or the name of a built-in policy. New reference, which the owner visits and
 * clears like any other; whoever calls the slots holds one. What the policy overrides is read once,
 * here. Callbacks of names are copied, and must be good while slots are called. */
PyObject *fol_py_policy_bind(fol_py_state *state, PyObject *policy,
                             const fol_py_policy_names *names, bool is_live);
const fol_py_policy_facts *fol_py_policy_facts_of(PyObject *bound);
/* The fo.Policy or the name that was bound. Borrowed. */
PyObject *fol_py_policy_object(PyObject *bound);

/* The last few exceptions that slots raised, and the wrong answers as exceptions, oldest first,
 * each with a note that names the slot; forgets them. New list. */
PyObject *fol_py_policy_take_errors(PyObject *bound);
/* Whether a slot raised what is no Exception, such as KeyboardInterrupt: the caller stops soon.
 * Until it has taken the interrupt, Python slots leave every decision to the base. Any thread. */
bool fol_py_policy_is_interrupted(PyObject *bound);
/* That exception, with its note; NULL without an error when there is none. New reference. */
PyObject *fol_py_policy_take_interrupt(PyObject *bound);
/* Raises it: -1; 0 when there is none. */
int fol_py_policy_raise_interrupt(PyObject *bound);

/* The module's part. */
int fol_py_add_policy_types(fol_py_state *state);

/* Where choices went: a tuple in the order of the fields. */
PyObject *fol_py_choices(const fol_choice_counts *counts);

#endif
