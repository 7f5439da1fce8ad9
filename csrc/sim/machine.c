/* Copies of a simulated machine, and its CPUs in the order of their distances. */

#include "sim/machine.h"

#include <string.h>

#include "base/assert.h"
#include "base/memory.h"

fol_sim_machine *fol_sim_machine_copy(const fol_sim_machine *machine, uint32_t cpus)
{
    FOL_ASSERT(machine != NULL && cpus >= 1);
    size_t row = cpus * sizeof(uint32_t);
    fol_sim_machine *copy = fol_alloc_zeroed(1, sizeof(*copy) + 3 * row);
    if (copy == NULL) {
        return NULL;
    }
    uint32_t *rows = (uint32_t *)(copy + 1);
    memcpy(rows, machine->cores, row);
    memcpy(rows + cpus, machine->caches, row);
    memcpy(rows + 2 * (size_t)cpus, machine->nodes, row);
    *copy = (fol_sim_machine){rows, rows + cpus, rows + 2 * (size_t)cpus};
    return copy;
}

void fol_sim_machine_order(const fol_sim_machine *machine, uint32_t cpus, uint32_t *order)
{
    uint32_t *next = order;
    for (uint32_t cpu = 0; cpu < cpus; cpu++) {
        for (uint32_t distance = 0; distance < FOL_SIM_DISTANCES; distance++) {
            for (uint32_t step = 1; step < cpus; step++) {
                uint32_t other = (cpu + step) % cpus;
                if (fol_sim_distance_of(machine, cpu, other) == (fol_sim_distance)distance) {
                    *next++ = other;
                }
            }
        }
    }
    FOL_ASSERT(next == order + (size_t)cpus * (cpus - 1));
}
