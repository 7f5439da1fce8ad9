/* Naming a cycle of explicit constraints in one sentence. */
#ifndef FOL_SCHEDULE_CYCLE_H
#define FOL_SCHEDULE_CYCLE_H

#include "schedule/schedule_state.h"

/* The schedule's constraints have a cycle. `error` may be NULL. FOL_E_CYCLE, or -ENOMEM. */
int fol_cycle_describe(const fol_schedule *schedule, fol_plan_error *error);

#endif
