/* Making the part of a plan that concerns one phase. */
#ifndef FOL_SCHEDULE_PHASE_H
#define FOL_SCHEDULE_PHASE_H

#include "schedule/plan_state.h"

/* The plan's order holds the phase's systems by registration, phase->explicit is numbered by rank.
 * Afterwards everything of the phase is filled and numbered by place. -ENOMEM. */
int fol_phase_finish(fol_plan *plan, fol_phase_plan *phase);

#endif
