/* The scheduler side of the module's state, embedded in fol_py_state.
 *
 * With FOL_PY_HAS_SCHEDULER 1 the module's exec, traverse and clear call the three functions below.
 */
#ifndef FOL_BINDINGS_SCHEDULER_TYPES_H
#define FOL_BINDINGS_SCHEDULER_TYPES_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdint.h>

#define FOL_PY_HAS_SCHEDULER 1

struct fol_py_state;

struct fol_py_scheduler_types {
    PyTypeObject *plan_type;
    PyTypeObject *kernel_type;
    PyTypeObject *context_type;
    PyTypeObject *commands_type;
    PyTypeObject *scheduler_type;
    PyTypeObject *frame_result_type;
    PyTypeObject *clock_type;
    PyTypeObject *io_type;
    PyTypeObject *io_home_type;
    PyTypeObject *operation_type;
    PyTypeObject *bulk_type;
    PyObject *stat_result;                    /* os.stat_result, imported when first needed */
    struct fol_py_operation *free_operations; /* dead ones, kept for reuse */
    uint32_t free_operation_count;
    uint32_t operation_count; /* living ones */
    PyObject *timing_class;   /* foliot._frame.SystemTiming, imported when first needed */
    PyObject *is_gil_enabled; /* sys._is_gil_enabled on a free-threaded build, else NULL */
    struct fol_py_orphan_scheduler *orphans;
};

/* Adds types, functions and constants; -1 with an error set. */
int fol_py_scheduler_exec(PyObject *module, struct fol_py_state *state);
int fol_py_scheduler_traverse(struct fol_py_state *state, visitproc visit, void *argument);
void fol_py_scheduler_clear(struct fol_py_state *state);

#endif
