/* How far apart processors are, for thieves that try their neighbours first. */

#include <errno.h>
#include <hwloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "exec/topology.h"

/* The kernel's own limit on the largest builds. Untouched pages of the table cost nothing. */
#define PROCESSORS_MAX 8192u

static fol_processor_place machine_places[PROCESSORS_MAX];
static pthread_once_t machine_once = PTHREAD_ONCE_INIT;

/* The number of what encloses the processor, of the first type in the list that is there. */
static uint16_t enclosing(hwloc_topology_t hardware, hwloc_obj_t processor,
                          const hwloc_obj_type_t *types, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        hwloc_obj_t object = hwloc_get_ancestor_obj_by_type(hardware, types[i], processor);
        if (object != NULL) {
            return (uint16_t)object->logical_index;
        }
    }
    return 0;
}

/* Memory hangs beside the tree, so nodes are asked for their processors. */
static uint16_t node_of(hwloc_topology_t hardware, unsigned processor)
{
    hwloc_obj_t node = NULL;
    while ((node = hwloc_get_next_obj_by_type(hardware, HWLOC_OBJ_NUMANODE, node)) != NULL) {
        if (node->cpuset != NULL && hwloc_bitmap_isset(node->cpuset, processor)) {
            return (uint16_t)node->logical_index;
        }
    }
    return 0;
}

int fol_topology_read_places(fol_processor_place *out, uint32_t count)
{
    static const hwloc_obj_type_t cores[] = {HWLOC_OBJ_L2CACHE, HWLOC_OBJ_CORE, HWLOC_OBJ_PU};
    static const hwloc_obj_type_t caches[] = {HWLOC_OBJ_L3CACHE, HWLOC_OBJ_PACKAGE};
    hwloc_topology_t hardware;
    memset(out, 0, count * sizeof(*out));
    if (hwloc_topology_init(&hardware) != 0) {
        return -ENOMEM;
    }
    int status = hwloc_topology_load(hardware) != 0 ? -ENODATA : 0;
    hwloc_obj_t processor = NULL;
    while (status == 0 &&
           (processor = hwloc_get_next_obj_by_type(hardware, HWLOC_OBJ_PU, processor)) != NULL) {
        if (processor->os_index < count) {
            fol_processor_place *place = &out[processor->os_index];
            place->core = enclosing(hardware, processor, cores, sizeof cores / sizeof *cores);
            place->cache = enclosing(hardware, processor, caches, sizeof caches / sizeof *caches);
            place->node = node_of(hardware, processor->os_index);
        }
    }
    hwloc_topology_destroy(hardware);
    return status;
}

static void read_machine(void)
{
    /* What cannot be read leaves all processors at one distance. */
    (void)fol_topology_read_places(machine_places, PROCESSORS_MAX);
}

static fol_processor_place place_of(int32_t processor)
{
    bool is_known = processor >= 0 && processor < (int32_t)PROCESSORS_MAX;
    return machine_places[is_known ? processor : 0];
}

uint32_t fol_topology_distance(int32_t a, int32_t b)
{
    pthread_once(&machine_once, read_machine);
    return fol_processor_distance(place_of(a), place_of(b));
}
