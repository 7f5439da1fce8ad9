/* The order in which work is dealt out: the most urgent first, then the lowest number. */
#ifndef FOL_EXEC_URGENCY_H
#define FOL_EXEC_URGENCY_H

#include <stdint.h>

/* items are indices of urgency. */
void fol_sort_by_urgency(uint32_t *items, uint32_t count, const double *urgency);

#endif
