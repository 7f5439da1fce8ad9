/* The order of a phase. */
#ifndef FOL_SCHEDULE_ORDER_H
#define FOL_SCHEDULE_ORDER_H

#include "schedule/precedence.h"

/* Writes all ranks, each after those it waits for, the earliest registered first; cycles are opened
 * as knot.h says. -ENOMEM. */
int fol_order_make(const fol_precedence *precedence, uint32_t *out);

#endif
