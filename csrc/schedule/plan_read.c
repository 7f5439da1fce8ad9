/* Plain answers of a plan. */

#include "foliot/schedule.h"

#include "schedule/plan_state.h"
#include "schedule/touch.h"

static const fol_phase_plan *phase_at(const fol_plan *plan, uint32_t phase)
{
    FOL_ASSERT(phase < plan->phase_count);
    return &plan->phases[phase];
}

static const fol_system_record *record_of(const fol_plan *plan, uint32_t system)
{
    return fol_catalog_system(&plan->catalog, system);
}

uint32_t fol_plan_system_count(const fol_plan *plan)
{
    return plan->system_count;
}

uint32_t fol_plan_phase_count(const fol_plan *plan)
{
    return plan->phase_count;
}

uint32_t fol_plan_resource_count(const fol_plan *plan)
{
    return (uint32_t)plan->catalog.resources.count;
}

const char *fol_plan_system_name(const fol_plan *plan, uint32_t system)
{
    return fol_catalog_system_name(&plan->catalog, system);
}

const char *fol_plan_phase_name(const fol_plan *plan, uint32_t phase)
{
    return fol_catalog_name(&plan->catalog, &plan->catalog.phases, phase);
}

const char *fol_plan_resource_name(const fol_plan *plan, uint32_t resource)
{
    return fol_catalog_name(&plan->catalog, &plan->catalog.resources, resource);
}

uint32_t fol_plan_system_phase(const fol_plan *plan, uint32_t system)
{
    return record_of(plan, system)->phase;
}

uint32_t fol_plan_system_stage(const fol_plan *plan, uint32_t system)
{
    FOL_ASSERT(system < plan->system_count);
    return plan->stages[system];
}

uint32_t fol_plan_system_segment(const fol_plan *plan, uint32_t system)
{
    FOL_ASSERT(system < plan->system_count);
    return plan->segments[system];
}

uint32_t fol_plan_system_place(const fol_plan *plan, uint32_t system)
{
    FOL_ASSERT(system < plan->system_count);
    return plan->places[system];
}

bool fol_plan_system_holds_interpreter(const fol_plan *plan, uint32_t system)
{
    return record_of(plan, system)->holds_interpreter;
}

bool fol_plan_system_is_exclusive(const fol_plan *plan, uint32_t system)
{
    return record_of(plan, system)->is_exclusive;
}

bool fol_plan_system_records(const fol_plan *plan, uint32_t system)
{
    return record_of(plan, system)->records_commands;
}

bool fol_plan_system_does_io(const fol_plan *plan, uint32_t system)
{
    return record_of(plan, system)->does_io;
}

const uint32_t *fol_plan_running_order(const fol_plan *plan)
{
    return plan->running;
}

const uint32_t *fol_plan_order(const fol_plan *plan)
{
    return plan->order;
}

void fol_plan_phase_range(const fol_plan *plan, uint32_t phase, uint32_t *first, uint32_t *count)
{
    *first = phase_at(plan, phase)->first;
    *count = phase_at(plan, phase)->count;
}

uint32_t fol_plan_stage_count(const fol_plan *plan, uint32_t phase)
{
    return phase_at(plan, phase)->stage_count;
}

uint32_t fol_plan_segment_count(const fol_plan *plan, uint32_t phase)
{
    return phase_at(plan, phase)->segment_count;
}

const uint32_t *fol_plan_successors(const fol_plan *plan, uint32_t system, size_t *count)
{
    FOL_ASSERT(system < plan->system_count);
    *count = plan->successor_counts[system];
    return plan->successors + plan->successor_firsts[system];
}

uint32_t fol_plan_predecessor_count(const fol_plan *plan, uint32_t system)
{
    FOL_ASSERT(system < plan->system_count);
    return plan->predecessor_counts[system];
}

const fol_sync_point *fol_plan_sync_points(const fol_plan *plan, uint32_t phase, size_t *count)
{
    *count = phase_at(plan, phase)->sync_point_count;
    return phase_at(plan, phase)->sync_points;
}

bool fol_plan_in_conflict(const fol_plan *plan, uint32_t a, uint32_t b)
{
    uint32_t phase = record_of(plan, a)->phase;
    if (phase != record_of(plan, b)->phase) {
        return fol_touch_conflicts(&plan->catalog, a, b);
    }
    return fol_matrix_test(&plan->phases[phase].conflicts, fol_plan_local_place(plan, a),
                           fol_plan_local_place(plan, b));
}

bool fol_plan_must_see(const fol_plan *plan, uint32_t recorder, uint32_t later)
{
    const fol_system_record *record = record_of(plan, later);
    if (!record_of(plan, recorder)->records_commands ||
        plan->places[recorder] > plan->places[later]) {
        return false;
    }
    return fol_system_observes(record) || (fol_system_has_access(&plan->catalog, record) &&
                                           fol_plan_is_ordered(plan, recorder, later));
}

static void put_conflict(fol_conflict *out, size_t room, size_t *count, fol_conflict conflict)
{
    if (*count < room) {
        out[*count] = conflict;
    }
    *count += 1;
}

static fol_access_mode mode_of(bool writes)
{
    return writes ? FOL_ACCESS_WRITE : FOL_ACCESS_READ;
}

static bool writes_world(const fol_plan *plan, uint32_t system)
{
    return record_of(plan, system)->is_exclusive ||
           fol_touch_writes_anything(&plan->catalog, system);
}

size_t fol_plan_conflicts(const fol_plan *plan, uint32_t a, uint32_t b, fol_conflict *out,
                          size_t room)
{
    size_t count = 0;
    if (a == b) {
        return 0;
    }
    fol_shared shared;
    uint32_t from = 0;
    /* Bounded by the number of resources: `from` grows. */
    while (fol_touch_next(&plan->catalog, a, b, from, &shared)) {
        if (shared.conflicts) {
            put_conflict(out, room, &count,
                         (fol_conflict){.resource = shared.resource,
                                        .a = mode_of(shared.a_writes),
                                        .b = mode_of(shared.b_writes)});
        }
        from = shared.resource + 1;
    }
    bool same_phase = record_of(plan, a)->phase == record_of(plan, b)->phase;
    if (same_phase && (fol_plan_must_see(plan, a, b) || fol_plan_must_see(plan, b, a))) {
        bool a_is_first = plan->places[a] < plan->places[b];
        put_conflict(out, room, &count,
                     (fol_conflict){.resource = FOL_RESOURCE_COMMANDS,
                                    .a = mode_of(a_is_first),
                                    .b = mode_of(!a_is_first)});
    }
    if (record_of(plan, a)->is_exclusive || record_of(plan, b)->is_exclusive) {
        put_conflict(out, room, &count,
                     (fol_conflict){.resource = FOL_RESOURCE_WORLD,
                                    .a = mode_of(writes_world(plan, a)),
                                    .b = mode_of(writes_world(plan, b))});
    }
    return count;
}

bool fol_plan_is_ordered(const fol_plan *plan, uint32_t a, uint32_t b)
{
    uint32_t phase = record_of(plan, a)->phase;
    if (phase != record_of(plan, b)->phase) {
        return phase < record_of(plan, b)->phase;
    }
    return fol_matrix_test(&plan->phases[phase].explicit, fol_plan_local_place(plan, a),
                           fol_plan_local_place(plan, b));
}

bool fol_plan_runs_before(const fol_plan *plan, uint32_t a, uint32_t b)
{
    uint32_t phase = record_of(plan, a)->phase;
    if (phase != record_of(plan, b)->phase) {
        return phase < record_of(plan, b)->phase;
    }
    return plan->segments[a] < plan->segments[b] ||
           fol_matrix_test(&plan->phases[phase].paths, fol_plan_local_place(plan, a),
                           fol_plan_local_place(plan, b));
}
