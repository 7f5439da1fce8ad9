/* From a schedule to a plan, step by step; every step has a file of its own. */

#include "foliot/schedule.h"

#include <errno.h>

#include "base/memory.h"
#include "foliot/status.h"
#include "schedule/closure.h"
#include "schedule/constraints.h"
#include "schedule/cycle.h"
#include "schedule/phase.h"
#include "schedule/plan_state.h"
#include "schedule/text.h"

static int alloc_arrays(fol_plan *plan)
{
    size_t systems = plan->system_count;
    plan->order = fol_alloc_array(systems, sizeof(*plan->order));
    plan->places = fol_alloc_array(systems, sizeof(*plan->places));
    plan->running = fol_alloc_array(systems, sizeof(*plan->running));
    plan->segments = fol_alloc_zeroed(systems, sizeof(*plan->segments));
    plan->stages = fol_alloc_zeroed(systems, sizeof(*plan->stages));
    plan->predecessor_counts = fol_alloc_zeroed(systems, sizeof(*plan->predecessor_counts));
    plan->successor_firsts = fol_alloc_zeroed(systems, sizeof(*plan->successor_firsts));
    plan->successor_counts = fol_alloc_zeroed(systems, sizeof(*plan->successor_counts));
    plan->successors = fol_alloc_array(0, sizeof(*plan->successors));
    plan->sync_systems = fol_alloc_array(3 * systems, sizeof(*plan->sync_systems));
    plan->phases = fol_alloc_zeroed(plan->phase_count, sizeof(*plan->phases));
    bool has_memory = plan->order != NULL && plan->places != NULL && plan->running != NULL &&
                      plan->segments != NULL && plan->stages != NULL &&
                      plan->predecessor_counts != NULL && plan->successor_firsts != NULL &&
                      plan->successor_counts != NULL && plan->successors != NULL &&
                      plan->sync_systems != NULL && plan->phases != NULL;
    return has_memory ? FOL_OK : -ENOMEM;
}

/* Gives every phase its range, with the systems of a phase in the order of registration. */
static void deal_places(fol_plan *plan)
{
    const fol_system_record *systems = plan->catalog.systems;
    for (uint32_t i = 0; i < plan->system_count; i++) {
        plan->phases[systems[i].phase].count++;
    }
    uint32_t first = 0;
    for (uint32_t i = 0; i < plan->phase_count; i++) {
        plan->phases[i].first = first;
        first += plan->phases[i].count;
        plan->phases[i].count = 0;
    }
    for (uint32_t i = 0; i < plan->system_count; i++) {
        fol_phase_plan *phase = &plan->phases[systems[i].phase];
        plan->places[i] = phase->first + phase->count++;
        plan->order[plan->places[i]] = i;
    }
}

/* A plan with nothing but names, access and registration order. */
static int create_bare(const fol_schedule *schedule, fol_plan **out)
{
    fol_plan *plan = fol_alloc_zeroed(1, sizeof(*plan));
    if (plan == NULL) {
        return -ENOMEM;
    }
    int status = fol_catalog_copy(&schedule->catalog, &plan->catalog);
    if (status != FOL_OK) {
        goto fail;
    }
    plan->system_count = (uint32_t)plan->catalog.system_count;
    plan->phase_count = (uint32_t)plan->catalog.phases.count;
    status = alloc_arrays(plan);
    if (status != FOL_OK) {
        goto fail;
    }
    deal_places(plan);
    for (uint32_t i = 0; i < plan->phase_count && status == FOL_OK; i++) {
        status = fol_matrix_init(&plan->phases[i].explicit, plan->phases[i].count);
    }
    if (status != FOL_OK) {
        goto fail;
    }
    *out = plan;
    return FOL_OK;

fail:
    fol_plan_destroy(plan);
    return status;
}

static void tell_phases(const fol_catalog *catalog, uint32_t before, uint32_t after,
                        fol_plan_error *error)
{
    if (error == NULL) {
        return;
    }
    const fol_name_list *phases = &catalog->phases;
    const char *late = fol_catalog_name(catalog, phases, catalog->systems[before].phase);
    const char *early = fol_catalog_name(catalog, phases, catalog->systems[after].phase);
    fol_text text;
    fol_text_init(&text, error->message, sizeof(error->message));
    fol_text_add(&text, "`%s` (phase %s) is ordered before `%s` (phase %s), ",
                 fol_catalog_system_name(catalog, before), late,
                 fol_catalog_system_name(catalog, after), early);
    fol_text_add(&text, "but phase `%s` runs before `%s`", early, late);
    fol_text_end(&text);
    error->kind = FOL_PLAN_PHASES;
}

/* Checks the explicit constraints and fills the phases' explicit matrices. */
static int close_constraints(const fol_schedule *schedule, fol_plan *plan, fol_plan_error *error)
{
    fol_constraints graph;
    int status = fol_constraints_init(&graph, schedule, true);
    if (status != FOL_OK) {
        return status;
    }
    uint32_t *scratch =
        fol_alloc_array((size_t)graph.node_count + plan->system_count, sizeof(*scratch));
    if (scratch == NULL) {
        status = -ENOMEM;
        goto fail_scratch;
    }
    uint32_t before;
    uint32_t after;
    if (fol_constraints_sort(&graph, scratch) < graph.node_count) {
        status = fol_cycle_describe(schedule, error);
        goto done;
    }
    if (fol_constraints_cross_phases(&graph, &schedule->catalog, scratch, &before, &after)) {
        tell_phases(&schedule->catalog, before, after, error);
        status = FOL_E_CYCLE;
        goto done;
    }
    uint32_t *ranks = scratch + graph.node_count;
    for (uint32_t i = 0; i < plan->system_count; i++) {
        ranks[i] = fol_plan_local_place(plan, i);
    }
    status = fol_closure_build(&graph, &schedule->catalog, ranks, plan->phases);

done:
    fol_free(scratch);
fail_scratch:
    fol_constraints_deinit(&graph);
    return status;
}

int fol_plan_create(const fol_schedule *schedule, fol_plan **out, fol_plan_error *error)
{
    if (error != NULL) {
        *error = (fol_plan_error){.kind = FOL_PLAN_NO_ERROR};
    }
    fol_plan *plan;
    int status = create_bare(schedule, &plan);
    if (status != FOL_OK) {
        return status;
    }
    if (schedule->order_count > 0) {
        status = close_constraints(schedule, plan, error);
    }
    for (uint32_t i = 0; i < plan->phase_count && status == FOL_OK; i++) {
        status = fol_phase_finish(plan, &plan->phases[i]);
    }
    if (status != FOL_OK) {
        fol_plan_destroy(plan);
        return status;
    }
    *out = plan;
    return FOL_OK;
}

void fol_plan_destroy(fol_plan *plan)
{
    if (plan == NULL) {
        return;
    }
    for (uint32_t i = 0; i < plan->phase_count && plan->phases != NULL; i++) {
        fol_phase_plan *phase = &plan->phases[i];
        fol_matrix_deinit(&phase->conflicts);
        fol_matrix_deinit(&phase->explicit);
        fol_matrix_deinit(&phase->paths);
        fol_free(phase->sync_points);
        /* Nobody else may still use the plan, so relaxed order is enough. */
        fol_free(atomic_load_explicit(&phase->edges, memory_order_relaxed));
    }
    fol_free(atomic_load_explicit(&plan->ambiguities, memory_order_relaxed));
    fol_free(plan->phases);
    fol_free(plan->sync_systems);
    fol_free(plan->successors);
    fol_free(plan->successor_counts);
    fol_free(plan->successor_firsts);
    fol_free(plan->predecessor_counts);
    fol_free(plan->stages);
    fol_free(plan->segments);
    fol_free(plan->running);
    fol_free(plan->places);
    fol_free(plan->order);
    fol_catalog_deinit(&plan->catalog);
    fol_free(plan);
}
