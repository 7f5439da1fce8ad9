/* The parts of the machine's topology that are tested on their own; foliot/machine.h is the whole.
 *
 * `root` is put before every path, "" for the real machine; a test names a folder it has filled.
 */
#ifndef FOL_EXEC_TOPOLOGY_H
#define FOL_EXEC_TOPOLOGY_H

#include "foliot/machine.h"

/* Processor quota of this process: the tightest of its control group and every group above it, of
 * version 1 and 2 alike. Both 0 when nothing limits it. A control group that cannot be read limits
 * nothing. */
void fol_topology_read_quota(const char *root, uint64_t *quota_us, uint64_t *period_us);

/* Packages, cores, processors, NUMA nodes and caches from hwloc. Returns 0; -ENODATA when hwloc
 * sees no processor; another negative errno when it cannot look. */
int fol_topology_read_hwloc(fol_topology *out);

/* The same from sysconf, which always answers something: one package, one core a processor. */
void fol_topology_read_sysconf(fol_topology *out);

/* How far apart two processors are: 0 share a core or a level 2 cache, 1 a level 3 cache, 2 a NUMA
 * node, 3 nothing. */
#define FOL_DISTANCES 4u

/* Where a processor stands: numbers that are equal for processors that share the thing. */
typedef struct fol_processor_place {
    uint16_t core;
    uint16_t cache;
    uint16_t node;
} fol_processor_place;

/* Fills `count` places, by the kernel's numbers of processors. Those that hwloc does not know stand
 * together at 0, and so do all when it cannot look (a negative errno then). */
int fol_topology_read_places(fol_processor_place *out, uint32_t count);

static inline uint32_t fol_processor_distance(fol_processor_place a, fol_processor_place b)
{
    if (a.node != b.node) {
        return 3;
    }
    if (a.cache != b.cache) {
        return 2;
    }
    return a.core != b.core;
}

/* The distance on this machine, which is looked at once, the first time. Numbers that no processor
 * has count as 0. Any thread. */
uint32_t fol_topology_distance(int32_t a, int32_t b);

/* Processors worth using under an affinity and a quota: a part of a processor counts as one. */
uint32_t fol_topology_usable(uint32_t affinity, uint64_t quota_us, uint64_t period_us);
/* The same for the calling thread as it is limited now, without a look at the hardware. */
uint32_t fol_topology_read_usable(void);

#endif
