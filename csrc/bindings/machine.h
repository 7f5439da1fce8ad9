/* The machine probes as functions of the module: `_core.topology` and `_core.probe_io_uring`.
 *
 * Both take no argument and return a new dict; a failure is an OSError or MemoryError.
 */
#ifndef FOL_BINDINGS_MACHINE_H
#define FOL_BINDINGS_MACHINE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* {"source", "packages", "cores", "processors", "numa_nodes", "affinity", "quota", "usable",
 * "caches"}: quota is processors' worth of time as a float, or None without a limit; caches is a
 * list of dicts {"level", "type", "size", "line_size", "count", "shared_by"}. */
PyObject *fol_py_topology(PyObject *module, PyObject *unused);

/* {"available", "error", "step", "cure", "cure_text", "setup_flags", "features",
 * "submission_entries", "completion_entries", "register_error", "operations", "attempts"}: errors
 * are positive errno values, 0 for none; flags, features and operations are lists of names;
 * attempts is a list of dicts {"setup_flags", "entries", "step", "error"}. */
PyObject *fol_py_probe_io_uring(PyObject *module, PyObject *unused);

#endif
