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

#include "foliot/analysis.h"

#define FOL_DENSE_GROUP 8u
#define FOL_DENSE_MAX   (INT64_C(1) << 49)

/* Columns are aligned to a group. */
typedef struct fol_dense {
    uint32_t size; /* whole groups */
    double *wcet;
    double *period;
    double *deadline; /* less the jitter */
    /* What follows is rounded. */
    double *inverse; /* of the period */
    double *share;   /* wcet over period */
    double *slope;   /* period less deadline, but not below 0, times the share */
} fol_dense;

/* Sums over the tasks that are due, each within a few units of the last place for each task. */
typedef struct fol_dense_sums {
    double utilisation; /* of their shares */
    double slope;
} fol_dense_sums;

/* What sums of doubles are off by, for one task. */
#define FOL_DENSE_ERROR 0x1p-50
/* Beyond all time. */
#define FOL_DENSE_FAR 0x1p63

static inline double fol_dense_room(const fol_dense_sums *sums, double error)
{
    return 1.0 - sums->utilisation - error * (1.0 + sums->utilisation);
}

/* The reach of so many tasks, from sums over them: no length above it has more demand than it
 * holds. Every rounding is to the safe side. */
static inline double fol_dense_reach(const fol_dense_sums *sums, uint32_t count)
{
    double error = (count + 2) * FOL_DENSE_ERROR;
    double room = fol_dense_room(sums, error);
    return room <= 0.0 ? FOL_DENSE_FAR : sums->slope / room * (1.0 + 2.0 * error) + 1.0;
}

/* What is due within the interval [0, t]. */
typedef struct fol_dense_demand {
    double demand;
    double since; /* time since the last deadline within it; above t where there is none */
    double reach; /* of the tasks that are due, or a little more */
} fol_dense_demand;

/* What a set's numbers are like. */
typedef struct fol_dense_measure {
    bool is_valid;         /* each task keeps to the bounds of foliot/analysis.h */
    uint64_t bits;         /* of any period, deadline and jitter */
    uint64_t blocking;     /* bits of any */
    int64_t first_due;     /* the least deadline less jitter; INT64_MAX without tasks */
    int64_t last_deadline; /* the largest; 0 without tasks */
    int64_t most_late;     /* the largest of deadline less jitter less period, at least 0 */
    bool has_slack;        /* a period above its deadline less jitter */
} fol_dense_measure;

typedef struct fol_dense_code {
    /* Fills `size` and the whole columns, and deadline less jitter of each task. The columns mean
     * something where the numbers are small. */
    void (*load)(const fol_analysis_task *tasks, uint32_t count, fol_dense *dense, int64_t *due,
                 fol_dense_measure *out);
    void (*demand)(const fol_dense *dense, double t, fol_dense_demand *out);
    /* Of all tasks. Fills the rounded columns. */
    void (*sums)(const fol_dense *dense, fol_dense_sums *out);
} fol_dense_code;

/* The codes that this processor can run, the one for the widest registers first. All give the same
 * demands; a count of at least 1. */
size_t fol_dense_codes(const fol_dense_code **out);

#endif
