/* Processors, caches, and how much of them this process may use.
 *
 * hwloc knows the hardware; the kernel knows the affinity mask; the control group files know the
 * quota. A container with a quota of two processors on a large machine should start two workers:
 * more of them burn the quota early in each period and are then throttled together.
 */
#include "exec/topology.h"

#include <errno.h>
#include <hwloc.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The kernel's own limit is 8192 processors on the largest builds. */
#define PROCESSORS_MAX 8192
#define PATH_SIZE      4096

/* Opens root + folder + name; the path must fit. */
static FILE *open_below(const char *root, const char *folder, const char *name)
{
    char path[PATH_SIZE];
    int length = snprintf(path, sizeof path, "%s%s%s", root, folder, name);
    if (length < 0 || (size_t)length >= sizeof path) {
        return NULL;
    }
    return fopen(path, "re");
}

/* Keeps the tighter of two quotas; a period of 0 means no limit. */
static void keep_tighter(uint64_t quota_us, uint64_t period_us, uint64_t *best_quota_us,
                         uint64_t *best_period_us)
{
    /* The kernel bounds a period by one second, so that a share compares well in doubles. */
    double share = (double)quota_us / (double)(period_us == 0 ? 1 : period_us);
    double best = (double)*best_quota_us / (double)(*best_period_us == 0 ? 1 : *best_period_us);
    if (period_us != 0 && (*best_period_us == 0 || share < best)) {
        *best_quota_us = quota_us;
        *best_period_us = period_us;
    }
}

/* Version 2: `cpu.max` holds "max 100000" or "50000 100000". */
static void read_cpu_max(const char *root, const char *folder, uint64_t *quota_us,
                         uint64_t *period_us)
{
    uint64_t quota = 0;
    uint64_t period = 0;
    FILE *file = open_below(root, folder, "/cpu.max");
    if (file == NULL) {
        return;
    }
    if (fscanf(file, "%" SCNu64 " %" SCNu64, &quota, &period) == 2) {
        keep_tighter(quota, period, quota_us, period_us);
    }
    fclose(file);
}

/* Version 1: two files; a quota of -1 means no limit. */
static void read_cfs_quota(const char *root, const char *folder, uint64_t *quota_us,
                           uint64_t *period_us)
{
    int64_t quota = -1;
    int64_t period = 0;
    FILE *file = open_below(root, folder, "/cpu.cfs_quota_us");
    if (file != NULL) {
        if (fscanf(file, "%" SCNd64, &quota) != 1) {
            quota = -1;
        }
        fclose(file);
    }
    file = open_below(root, folder, "/cpu.cfs_period_us");
    if (file != NULL) {
        if (fscanf(file, "%" SCNd64, &period) != 1) {
            period = 0;
        }
        fclose(file);
    }
    if (quota > 0 && period > 0) {
        keep_tighter((uint64_t)quota, (uint64_t)period, quota_us, period_us);
    }
}

typedef void read_limit(const char *root, const char *folder, uint64_t *quota_us,
                        uint64_t *period_us);

/* Reads the limit of a group and of every group above it: any of them binds. */
static void read_groups_upwards(const char *root, const char *mount, const char *group,
                                read_limit *read, uint64_t *quota_us, uint64_t *period_us)
{
    char folder[PATH_SIZE];
    size_t mount_length = strlen(mount);
    int length = snprintf(folder, sizeof folder, "%s%s", mount, group);
    if (length < 0 || (size_t)length >= sizeof folder) {
        return;
    }
    /* Each turn cuts one component, so the path's length bounds the loop. */
    for (;;) {
        read(root, folder, quota_us, period_us);
        char *slash = strrchr(folder, '/');
        if (slash == NULL || slash < folder + mount_length) {
            return;
        }
        *slash = '\0';
    }
}

/* True when a comma-separated list of controllers names `cpu`. */
static int lists_cpu(const char *controllers)
{
    const char *at = controllers;
    while (*at != '\0') {
        size_t length = strcspn(at, ",");
        if (length == 3 && strncmp(at, "cpu", 3) == 0) {
            return 1;
        }
        at += length;
        at += *at == ',';
    }
    return 0;
}

/* Takes one line of /proc/self/cgroup: "hierarchy:controllers:/path". */
static void read_group_line(const char *root, char *line, uint64_t *quota_us, uint64_t *period_us)
{
    char mount[PATH_SIZE];
    char *controllers = strchr(line, ':');
    char *group = controllers == NULL ? NULL : strchr(controllers + 1, ':');
    if (group == NULL) {
        return;
    }
    *controllers++ = '\0';
    *group++ = '\0';
    group[strcspn(group, "\n")] = '\0';
    /* Each version is mounted in one of two customary places; a folder that is not there is
     * passed over. */
    if (*controllers == '\0') {
        read_groups_upwards(root, "/sys/fs/cgroup", group, read_cpu_max, quota_us, period_us);
        read_groups_upwards(root, "/sys/fs/cgroup/unified", group, read_cpu_max, quota_us,
                            period_us);
        return;
    }
    int length = snprintf(mount, sizeof mount, "/sys/fs/cgroup/%s", controllers);
    if (lists_cpu(controllers) && length > 0 && (size_t)length < sizeof mount) {
        read_groups_upwards(root, mount, group, read_cfs_quota, quota_us, period_us);
        read_groups_upwards(root, "/sys/fs/cgroup/cpu", group, read_cfs_quota, quota_us, period_us);
    }
}

void fol_topology_read_quota(const char *root, uint64_t *quota_us, uint64_t *period_us)
{
    char line[PATH_SIZE];
    FILE *file = open_below(root, "/proc/self/cgroup", "");
    *quota_us = 0;
    *period_us = 0;
    if (file == NULL) {
        return;
    }
    /* One line a hierarchy: at most a few dozen. */
    while (fgets(line, sizeof line, file) != NULL) {
        read_group_line(root, line, quota_us, period_us);
    }
    fclose(file);
}

uint32_t fol_topology_usable(uint32_t affinity, uint64_t quota_us, uint64_t period_us)
{
    uint64_t usable = affinity;
    if (period_us != 0) {
        uint64_t whole = quota_us / period_us + (quota_us % period_us != 0);
        usable = whole < usable ? whole : usable;
    }
    return usable == 0 ? 1 : (uint32_t)usable;
}

/* Processors in the calling thread's affinity mask; 0 when the kernel does not say. */
static uint32_t count_affinity(void)
{
    /* sched_getaffinity refuses a mask smaller than the kernel's, so this one has its largest. */
    uint64_t mask[PROCESSORS_MAX / 64];
    memset(mask, 0, sizeof mask);
    if (sched_getaffinity(0, sizeof mask, (cpu_set_t *)(void *)mask) != 0) {
        return 0;
    }
    uint32_t count = 0;
    for (size_t index = 0; index < PROCESSORS_MAX / 64; index++) {
        count += (uint32_t)__builtin_popcountll(mask[index]);
    }
    return count;
}

uint32_t fol_topology_read_usable(void)
{
    uint64_t quota_us;
    uint64_t period_us;
    uint32_t affinity = count_affinity();
    if (affinity == 0) {
        long online = sysconf(_SC_NPROCESSORS_ONLN);
        affinity = online > 0 ? (uint32_t)online : 1;
    }
    fol_topology_read_quota("", &quota_us, &period_us);
    return fol_topology_usable(affinity, quota_us, period_us);
}

static void add_cache(fol_topology *topology, const fol_cache *cache)
{
    for (uint32_t index = 0; index < topology->cache_count; index++) {
        fol_cache *known = &topology->caches[index];
        if (known->level == cache->level && known->type == cache->type &&
            known->size == cache->size && known->shared_by == cache->shared_by) {
            known->count += cache->count;
            return;
        }
    }
    /* More kinds than this exist on no machine; the counts above stay right without them. */
    if (topology->cache_count < FOL_CACHE_KINDS_MAX && cache->size > 0) {
        topology->caches[topology->cache_count++] = *cache;
    }
}

static void add_hwloc_caches(fol_topology *topology, hwloc_topology_t hardware,
                             hwloc_obj_type_t type)
{
    hwloc_obj_t object = NULL;
    while ((object = hwloc_get_next_obj_by_type(hardware, type, object)) != NULL) {
        const struct hwloc_cache_attr_s *attributes = &object->attr->cache;
        int sharing = object->cpuset == NULL ? 0 : hwloc_bitmap_weight(object->cpuset);
        fol_cache cache = {
            .level = attributes->depth,
            .type = attributes->type == HWLOC_OBJ_CACHE_DATA          ? FOL_CACHE_DATA
                    : attributes->type == HWLOC_OBJ_CACHE_INSTRUCTION ? FOL_CACHE_INSTRUCTION
                                                                      : FOL_CACHE_UNIFIED,
            .size = attributes->size,
            .line_size = attributes->linesize,
            .count = 1,
            .shared_by = sharing > 0 ? (uint32_t)sharing : 0,
        };
        add_cache(topology, &cache);
    }
}

/* hwloc answers -1 where a type stands at several depths and 0 where it saw none. */
static uint32_t count_of(hwloc_topology_t hardware, hwloc_obj_type_t type, uint32_t otherwise)
{
    int count = hwloc_get_nbobjs_by_type(hardware, type);
    return count > 0 ? (uint32_t)count : otherwise;
}

int fol_topology_read_hwloc(fol_topology *out)
{
    static const hwloc_obj_type_t cache_types[] = {
        HWLOC_OBJ_L1CACHE, HWLOC_OBJ_L1ICACHE, HWLOC_OBJ_L2CACHE, HWLOC_OBJ_L2ICACHE,
        HWLOC_OBJ_L3CACHE, HWLOC_OBJ_L4CACHE,  HWLOC_OBJ_L5CACHE,
    };
    fol_topology topology = {.source = FOL_TOPOLOGY_HWLOC};
    hwloc_topology_t hardware;
    errno = 0;
    if (hwloc_topology_init(&hardware) != 0) {
        return errno != 0 ? -errno : -ENOMEM;
    }
    int status = 0;
    errno = 0;
    /* Processors outside the container's set are counted too: they are part of the machine. */
    if (hwloc_topology_set_flags(hardware, HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED) != 0 ||
        hwloc_topology_set_icache_types_filter(hardware, HWLOC_TYPE_FILTER_KEEP_ALL) != 0 ||
        hwloc_topology_load(hardware) != 0) {
        status = errno != 0 ? -errno : -EIO;
        goto destroy;
    }
    topology.processors = count_of(hardware, HWLOC_OBJ_PU, 0);
    if (topology.processors == 0) {
        status = -ENODATA;
        goto destroy;
    }
    topology.cores = count_of(hardware, HWLOC_OBJ_CORE, topology.processors);
    topology.packages = count_of(hardware, HWLOC_OBJ_PACKAGE, 1);
    topology.numa_nodes = count_of(hardware, HWLOC_OBJ_NUMANODE, 1);
    for (size_t index = 0; index < sizeof cache_types / sizeof cache_types[0]; index++) {
        add_hwloc_caches(&topology, hardware, cache_types[index]);
    }
    *out = topology;

destroy:
    hwloc_topology_destroy(hardware);
    return status;
}

static void add_sysconf_cache(fol_topology *topology, uint32_t level, uint32_t type, int size_name,
                              int line_name)
{
    long size = sysconf(size_name);
    long line_size = sysconf(line_name);
    fol_cache cache = {
        .level = level,
        .type = type,
        .size = size > 0 ? (uint64_t)size : 0,
        .line_size = line_size > 0 ? (uint32_t)line_size : 0,
        .count = 1,
        .shared_by = 0,
    };
    add_cache(topology, &cache);
}

void fol_topology_read_sysconf(fol_topology *out)
{
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    uint32_t processors = count > 0 ? (uint32_t)count : 1;
    fol_topology topology = {
        .source = FOL_TOPOLOGY_SYSCONF,
        .packages = 1,
        .cores = processors,
        .processors = processors,
        .numa_nodes = 1,
    };
    add_sysconf_cache(&topology, 1, FOL_CACHE_DATA, _SC_LEVEL1_DCACHE_SIZE,
                      _SC_LEVEL1_DCACHE_LINESIZE);
    add_sysconf_cache(&topology, 1, FOL_CACHE_INSTRUCTION, _SC_LEVEL1_ICACHE_SIZE,
                      _SC_LEVEL1_ICACHE_LINESIZE);
    add_sysconf_cache(&topology, 2, FOL_CACHE_UNIFIED, _SC_LEVEL2_CACHE_SIZE,
                      _SC_LEVEL2_CACHE_LINESIZE);
    add_sysconf_cache(&topology, 3, FOL_CACHE_UNIFIED, _SC_LEVEL3_CACHE_SIZE,
                      _SC_LEVEL3_CACHE_LINESIZE);
    *out = topology;
}

int fol_topology_read(fol_topology *out)
{
    fol_topology topology;
    int status = fol_topology_read_hwloc(&topology);
    if (status == -ENOMEM) {
        return status;
    }
    if (status != 0) {
        fol_topology_read_sysconf(&topology);
    }
    fol_topology_read_quota("", &topology.quota_us, &topology.quota_period_us);
    topology.affinity = count_affinity();
    if (topology.affinity == 0) {
        topology.affinity = topology.processors;
    }
    topology.usable =
        fol_topology_usable(topology.affinity, topology.quota_us, topology.quota_period_us);
    *out = topology;
    return 0;
}
