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

/* Processors worth using under an affinity and a quota: a part of a processor counts as one. */
uint32_t fol_topology_usable(uint32_t affinity, uint64_t quota_us, uint64_t period_us);

#endif
