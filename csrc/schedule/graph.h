/* The graph of a phase: explicit order and conflicts in the order of the phase, reduced. */
#ifndef FOL_SCHEDULE_GRAPH_H
#define FOL_SCHEDULE_GRAPH_H

#include "schedule/plan_state.h"

/* Fills phase->paths, which is zero before, and the plan's successors of the phase's systems.
 * -ENOMEM. */
int fol_graph_reduce(fol_plan *plan, fol_phase_plan *phase);

#endif
