/* Everything that follows from the explicit constraints, as one matrix a phase.
 *
 * Constraints across phases agree with the order of the phases, so no path between two systems of a
 * phase leaves it and the matrices are exact.
 */
#ifndef FOL_SCHEDULE_CLOSURE_H
#define FOL_SCHEDULE_CLOSURE_H

#include "schedule/constraints.h"
#include "schedule/plan_state.h"

/* Fills phases[].explicit, whose rows and columns are ranks of registration within the phase and
 * which are zero before; ranks[system] is its rank. -ENOMEM. */
int fol_closure_build(const fol_constraints *graph, const fol_catalog *catalog,
                      const uint32_t *ranks, fol_phase_plan *phases);

#endif
