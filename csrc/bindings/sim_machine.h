/* Machines of simulations, and costs and counts by distance, between Python and the core. In Python
 * CPUs of one core are as near as those of one cache: three numbers, where the core has four. */
#ifndef FOL_BINDINGS_SIM_MACHINE_H
#define FOL_BINDINGS_SIM_MACHINE_H

#include "bindings/graph.h"
#include "foliot/sim_machine.h"

typedef struct fol_py_machine {
    fol_py_array array;
    fol_sim_machine machine;
    const fol_sim_machine *given; /* NULL: none */
} fol_py_machine;

/* Of None, or an array of the CPUs' cores, then caches, then nodes. -1 with an error set; either
 * way it is released once, and what begins as all zero may be. */
int fol_py_take_machine(PyObject *given, uint32_t cpus, fol_py_machine *out);
void fol_py_release_machine(fol_py_machine *machine);

/* Of what is in the same cache, in the same node, in another one. */
void fol_py_spread_costs(const long long given[3], int64_t out[FOL_SIM_DISTANCES]);
PyObject *fol_py_counts_by_distance(const uint64_t counts[FOL_SIM_DISTANCES]);

#endif
