/* The processor demand of small numbers, several tasks at a time.
 *
 * Invariant: all numbers are whole and at most 2^49, so that doubles hold them, their differences
 * and each product of a count with a period exactly. A quotient is the product with a rounded
 * inverse, rounded to the nearest whole number; its error stays below one, and the sign of the
 * exact remainder says whether it is one too many. Only a sum of demands may pass 2^53 and be
 * rounded: then it is above any time there is, which is all that is asked of it.
 *
 * Columns are padded to whole groups with tasks that are never due.
 */
#ifndef FOL_POLICY_ANALYSIS_DENSE_H
#define FOL_POLICY_ANALYSIS_DENSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FOL_DENSE_GROUP 8u
#define FOL_DENSE_MAX   (INT64_C(1) << 49)

/* Columns are aligned to a group. */
typedef struct fol_dense {
    uint32_t size; /* whole groups */
    double *wcet;
    double *period;
    double *inverse;  /* of the period */
    double *deadline; /* less the jitter */
} fol_dense;

/* What is due within the interval [0, t]. */
typedef struct fol_dense_demand {
    double demand;
    double since; /* time since the last deadline within it; above t where there is none */
} fol_dense_demand;

/* Sums over the tasks, each within a few units of the last place for each task. */
typedef struct fol_dense_sums {
    double utilisation;
    double slope; /* of (period - deadline) times utilisation */
    double size;  /* of its absolute value */
} fol_dense_sums;

typedef struct fol_dense_code {
    void (*demand)(const fol_dense *dense, double t, fol_dense_demand *out);
    /* Fills the inverses as well. */
    void (*sums)(const fol_dense *dense, fol_dense_sums *out);
} fol_dense_code;

/* The codes that this processor can run, the one for the widest registers first. All give the same
 * demands; a count of at least 1. */
size_t fol_dense_codes(const fol_dense_code **out);

#endif
