/* The inside of fol_plan, shared by the files that make it and those that read it.
 *
 * Matrices of a phase are numbered by place within the phase once the plan is made: rows of
 * `explicit` and `paths` hold later places only, `conflicts` is symmetric. While it is made they
 * are numbered by rank of registration until the order is known.
 */
#ifndef FOL_SCHEDULE_PLAN_STATE_H
#define FOL_SCHEDULE_PLAN_STATE_H

#include <stdatomic.h>

#include "schedule/catalog.h"
#include "schedule/matrix.h"

typedef struct fol_phase_plan {
    uint32_t first; /* of its places in the whole order */
    uint32_t count;
    uint32_t segment_count;
    uint32_t stage_count;
    fol_matrix conflicts; /* may not run together */
    fol_matrix explicit;  /* explicit order puts the column after the row */
    fol_matrix paths;     /* the graph does */
    size_t edge_count;
    fol_sync_point *sync_points;
    uint32_t sync_point_count;
    _Atomic(fol_edge *) edges; /* made when asked for; NULL before */
} fol_phase_plan;

struct fol_plan {
    fol_catalog catalog;
    uint32_t system_count;
    uint32_t phase_count;
    uint32_t *order;
    uint32_t *places;
    uint32_t *running; /* systems by (phase, segment, place) */
    uint32_t *segments;
    uint32_t *stages;
    uint32_t *predecessor_counts;
    /* Successors of a system: successor_counts[system] items from successor_firsts[system] on. */
    size_t *successor_firsts;
    uint32_t *successor_counts;
    uint32_t *successors;
    size_t successor_count;
    size_t successor_room;
    fol_phase_plan *phases;
    uint32_t *sync_systems; /* what the sync points list, room for three a system */
    size_t sync_system_count;
    size_t ambiguity_count;
    _Atomic(fol_ambiguity *) ambiguities; /* made when asked for; NULL before */
};

/* The place of a system within its phase. */
static inline uint32_t fol_plan_local_place(const fol_plan *plan, uint32_t system)
{
    FOL_ASSERT(system < plan->system_count);
    return plan->places[system] - plan->phases[plan->catalog.systems[system].phase].first;
}

/* The system at a place of a phase. */
static inline uint32_t fol_plan_system_at(const fol_plan *plan, const fol_phase_plan *phase,
                                          size_t place)
{
    FOL_ASSERT_HOT(place < phase->count);
    return plan->order[phase->first + place];
}

/* Two different systems of one phase: whether `later` comes later and must see what `recorder`
 * records. */
bool fol_plan_must_see(const fol_plan *plan, uint32_t recorder, uint32_t later);

#endif
