/* A task graph as a Python object, shared by the files that make it and that run it. */
#ifndef FOL_BINDINGS_GRAPH_H
#define FOL_BINDINGS_GRAPH_H

#include "bindings/bindings.h"
#include "foliot/sim_graph.h"

typedef struct fol_py_graph {
    PyObject_HEAD fol_sim_graph *graph;
    PyObject *names; /* tuple of str, one for each task */
} fol_py_graph;

/* An array that a call was given; all zero: none. */
typedef struct fol_py_array {
    Py_buffer view;
    bool is_held;
} fol_py_array;

/* Takes an array of one dimension and checks it: kind is 'i' or 'u', size in bytes, count of any
 * length if negative. -1 with an error set; either way it is released once. */
int fol_py_take_array(PyObject *given, const char *what, char kind, Py_ssize_t size,
                      Py_ssize_t count, bool is_written, fol_py_array *out);
void fol_py_release_array(fol_py_array *array);

/* graph_run.c: SimGraph.run. */
PyObject *fol_py_graph_run(PyObject *object, PyObject *args, PyObject *kwargs);

#endif
