/* How near the CPUs of a simulated machine are to each other: which share a core, a cache, a NUMA
 * node.
 *
 * CPUs share a core when they have the same number in `cores`, and so on; the nearest thing they
 * share is their distance. Costs that grow with the distance are given for each.
 */
#ifndef FOLIOT_SIM_MACHINE_H
#define FOLIOT_SIM_MACHINE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum fol_sim_distance {
    FOL_SIM_SAME_CORE = 0,
    FOL_SIM_SAME_CACHE = 1,
    FOL_SIM_SAME_NODE = 2,
    FOL_SIM_OTHER_NODE = 3,
    FOL_SIM_DISTANCES = 4,
} fol_sim_distance;

/* A number for each CPU in each. */
typedef struct fol_sim_machine {
    const uint32_t *cores;
    const uint32_t *caches;
    const uint32_t *nodes;
} fol_sim_machine;

/* How often work went how far. */
typedef struct fol_sim_moves {
    uint64_t migrations[FOL_SIM_DISTANCES];
    uint64_t steals[FOL_SIM_DISTANCES];
} fol_sim_moves;

#ifdef __cplusplus
}
#endif

#endif
