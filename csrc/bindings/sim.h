/* The simulator of task sets as a Python type. */
#ifndef FOL_BINDINGS_SIM_H
#define FOL_BINDINGS_SIM_H

#include "bindings/bindings.h"
#include "foliot/sim.h"

/* A configuration out of plain tuples, whose memory lives in the scratch. foliot.sim has checked
 * all values; what cannot be read here is a TypeError, ValueError or OverflowError. */
int fol_py_parse_sim(PyObject *tasks, PyObject *groups, PyObject *contexts, fol_py_scratch *scratch,
                     fol_sim_config *config);

#endif
