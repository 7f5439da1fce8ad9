/* The description side of the contract: names, systems and constraints are checked and kept. */

#include "foliot/schedule.h"

#include <errno.h>

#include "base/memory.h"
#include "foliot/status.h"
#include "schedule/grow.h"
#include "schedule/schedule_state.h"

#define MAX_SETS (UINT32_MAX / 2)

const fol_schedule_limits fol_schedule_limits_default = {
    .max_systems = 4096,
    .max_resources = 1024,
};

int fol_schedule_create(const fol_schedule_limits *limits, fol_schedule **out)
{
    const fol_schedule_limits *wanted = limits != NULL ? limits : &fol_schedule_limits_default;
    if (wanted->max_systems > FOL_SCHEDULE_MAX_SYSTEMS ||
        wanted->max_resources > FOL_SCHEDULE_MAX_RESOURCES) {
        return FOL_E_VALUE;
    }
    fol_schedule *schedule = fol_alloc_zeroed(1, sizeof(*schedule));
    if (schedule == NULL) {
        return -ENOMEM;
    }
    schedule->limits = *wanted;
    fol_catalog_init(&schedule->catalog);
    *out = schedule;
    return FOL_OK;
}

void fol_schedule_destroy(fol_schedule *schedule)
{
    if (schedule != NULL) {
        fol_free(schedule->orders);
        fol_catalog_deinit(&schedule->catalog);
        fol_free(schedule);
    }
}

const char *fol_schedule_full_setting(const fol_schedule *schedule)
{
    return schedule->full_setting;
}

int fol_schedule_add_phase(fol_schedule *schedule, const char *name, uint32_t *out)
{
    return fol_catalog_add_name(&schedule->catalog, &schedule->catalog.phases, name, out);
}

int fol_schedule_add_resource(fol_schedule *schedule, const char *name, uint32_t *out)
{
    if (schedule->catalog.resources.count >= schedule->limits.max_resources) {
        schedule->full_setting = "max_resources";
        return FOL_E_CAPACITY;
    }
    return fol_catalog_add_name(&schedule->catalog, &schedule->catalog.resources, name, out);
}

int fol_schedule_add_set(fol_schedule *schedule, const char *name, uint32_t *out)
{
    if (schedule->catalog.sets.count >= MAX_SETS) {
        return -ENOMEM;
    }
    return fol_catalog_add_name(&schedule->catalog, &schedule->catalog.sets, name, out);
}

static bool ids_exist(fol_id_list list, size_t limit)
{
    for (size_t i = 0; i < list.count; i++) {
        if (list.ids[i] >= limit) {
            return false;
        }
    }
    return true;
}

static bool spec_ids_exist(const fol_catalog *catalog, const fol_system_spec *spec)
{
    size_t resources = catalog->resources.count;
    for (size_t i = 0; i < spec->query_count; i++) {
        const fol_query_access *query = &spec->queries[i];
        if (!ids_exist(query->reads, resources) || !ids_exist(query->writes, resources) ||
            !ids_exist(query->required, resources) || !ids_exist(query->excluded, resources)) {
            return false;
        }
    }
    return ids_exist(spec->resource_reads, resources) &&
           ids_exist(spec->resource_writes, resources) &&
           ids_exist(spec->sets, catalog->sets.count);
}

int fol_schedule_add_system(fol_schedule *schedule, const fol_system_spec *spec, uint32_t *out)
{
    fol_catalog *catalog = &schedule->catalog;
    if (spec->phase >= catalog->phases.count) {
        return FOL_E_PHASE;
    }
    if (!spec_ids_exist(catalog, spec) || spec->query_count > UINT32_MAX) {
        return -EINVAL;
    }
    if (catalog->system_count >= schedule->limits.max_systems) {
        schedule->full_setting = "max_systems";
        return FOL_E_CAPACITY;
    }
    return fol_catalog_add_system(catalog, spec, out);
}

static bool pack_ref(const fol_schedule *schedule, fol_node_ref ref, fol_packed_ref *out)
{
    bool is_set = ref.kind == FOL_NODE_SET;
    size_t count = is_set ? schedule->catalog.sets.count : schedule->catalog.system_count;
    if ((!is_set && ref.kind != FOL_NODE_SYSTEM) || ref.id >= count) {
        return false;
    }
    *out = ref.id * 2 + (is_set ? 1 : 0);
    return true;
}

int fol_schedule_add_order(fol_schedule *schedule, fol_node_ref first, fol_node_ref second)
{
    fol_order_pair pair;
    if (!pack_ref(schedule, first, &pair.first) || !pack_ref(schedule, second, &pair.second)) {
        return -EINVAL;
    }
    fol_order_pair *orders = fol_grow(schedule->orders, &schedule->order_room,
                                      schedule->order_count + 1, sizeof(*orders));
    if (orders == NULL) {
        return -ENOMEM;
    }
    schedule->orders = orders;
    schedule->orders[schedule->order_count++] = pair;
    return FOL_OK;
}
