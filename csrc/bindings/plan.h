/* A plan as a Python object: the core's plan, and the names by which people ask about it.
 *
 * Immutable. `_core.Plan` computes; `foliot.Plan` derives from it and draws.
 */
#ifndef FOL_BINDINGS_PLAN_H
#define FOL_BINDINGS_PLAN_H

#include "bindings/bindings.h"
#include "foliot/schedule.h"

typedef struct fol_py_plan {
    PyObject_HEAD fol_py_state *state;
    fol_plan *core;
    PyObject *systems;   /* tuple of foliot.System, by index; opaque here */
    PyObject *names;     /* tuple of str, by index */
    PyObject *phases;    /* tuple of str */
    PyObject *resources; /* tuple of str */
    PyObject *indices;   /* dict: name and System -> index */
} fol_py_plan;

extern PyType_Spec fol_py_plan_spec;

/* schedule.c: the arguments of Plan.__new__ become a core plan. */
fol_plan *fol_py_plan_build(fol_py_state *state, PyObject *phases, PyObject *resources,
                            PyObject *sets, PyObject *specs, PyObject *nodes, PyObject *orders,
                            PyObject *on_unknown);

/* Index of a system given by name or by itself; -1 with UnknownSystemError or TypeError set. */
Py_ssize_t fol_py_plan_index(fol_py_plan *plan, PyObject *key);
/* Index of a phase by name; -1 with UnknownPhaseError or TypeError set. */
Py_ssize_t fol_py_plan_phase_index(fol_py_plan *plan, PyObject *name);
/* Names of `count` systems as a new list. */
PyObject *fol_py_plan_name_list(const fol_py_plan *plan, const uint32_t *systems, size_t count);

/* plan_views.c: the longer answers, as methods of Plan. */
PyObject *fol_py_plan_edges(PyObject *self, PyObject *phase);
PyObject *fol_py_plan_conflicts(PyObject *self, PyObject *const *args, Py_ssize_t count);
PyObject *fol_py_plan_ambiguities(PyObject *self, PyObject *unused);
PyObject *fol_py_plan_sync_points(PyObject *self, PyObject *phase);
PyObject *fol_py_plan_explain(PyObject *self, PyObject *const *args, Py_ssize_t count);
PyObject *fol_py_plan_critical_path(PyObject *self, PyObject *costs);
PyObject *fol_py_plan_speedup_bound(PyObject *self, PyObject *costs);

#endif
