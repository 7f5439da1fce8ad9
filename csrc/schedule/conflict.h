/* The conflict matrix of a phase, from declared access alone. */
#ifndef FOL_SCHEDULE_CONFLICT_H
#define FOL_SCHEDULE_CONFLICT_H

#include "schedule/catalog.h"
#include "schedule/matrix.h"

/* systems[i] is row i; `out` is all zero and of their number. -ENOMEM. */
int fol_conflicts_build(const fol_catalog *catalog, const uint32_t *systems, fol_matrix *out);

#endif
