/* The scheduler side of the module's state, embedded in fol_py_state.
 *
 * With FOL_PY_HAS_SCHEDULER 1 the module's exec, traverse and clear call the three functions below.
 */
#ifndef FOL_BINDINGS_SCHEDULER_TYPES_H
#define FOL_BINDINGS_SCHEDULER_TYPES_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#define FOL_PY_HAS_SCHEDULER 0

struct fol_py_state;

struct fol_py_scheduler_types {
    PyTypeObject *unused;
};

/* Adds types, functions and constants; -1 with an error set. */
int fol_py_scheduler_exec(PyObject *module, struct fol_py_state *state);
int fol_py_scheduler_traverse(struct fol_py_state *state, visitproc visit, void *argument);
void fol_py_scheduler_clear(struct fol_py_state *state);

#endif
