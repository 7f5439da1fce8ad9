/* Distances between the CPUs of a simulated machine, and whom a thief turns to first.
 *
 * Without a machine all CPUs share one cache, and thieves go round the circle.
 */
#ifndef FOL_SIM_MACHINE_H
#define FOL_SIM_MACHINE_H

#include <stddef.h>

#include "foliot/sim_machine.h"

static inline fol_sim_distance fol_sim_distance_of(const fol_sim_machine *machine, uint32_t one,
                                                   uint32_t other)
{
    if (machine == NULL) {
        return FOL_SIM_SAME_CACHE;
    }
    if (machine->cores[one] == machine->cores[other]) {
        return FOL_SIM_SAME_CORE;
    }
    if (machine->caches[one] == machine->caches[other]) {
        return FOL_SIM_SAME_CACHE;
    }
    return machine->nodes[one] == machine->nodes[other] ? FOL_SIM_SAME_NODE : FOL_SIM_OTHER_NODE;
}

/* A copy that is one block of memory, which fol_free takes; NULL when there is none. */
fol_sim_machine *fol_sim_machine_copy(const fol_sim_machine *machine, uint32_t cpus);

/* For each CPU a row of all others, the nearest first and equals round the circle from it. `order`
 * has room for cpus * (cpus - 1). */
void fol_sim_machine_order(const fol_sim_machine *machine, uint32_t cpus, uint32_t *order);

#endif
