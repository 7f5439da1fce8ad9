/* What the schedulability tests share: the room they work in, the set at hand, and its sums.
 *
 * A set is loaded before a test runs: checked, measured, and turned into columns. Every time is
 * then at most 2^60 and every point in time at most 2^62, so that sums of two are below 2^63;
 * products and sums over the tasks are taken in 128 bits and held to SATURATED, which is above any
 * point in time.
 *
 * `steps` counts looks at a task since the load; a test that would need too many gives up.
 */
#ifndef FOL_POLICY_ANALYSIS_H
#define FOL_POLICY_ANALYSIS_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include "foliot/analysis.h"
#include "policy/analysis_dense.h"

__extension__ typedef __int128 fol_wide;
__extension__ typedef unsigned __int128 fol_wide_unsigned;

#define FOL_ANALYSIS_SATURATED INT64_MAX

struct fol_analysis {
    uint32_t capacity;
    uint32_t count;
    const fol_analysis_task *tasks; /* the set at hand; the caller's */
    int64_t *due;                   /* deadline less jitter of each, perhaps below 0 */
    int64_t *remainders;            /* of the exact utilisation */
    fol_analysis_task *chosen; /* a part of a set, which a test of the whole set puts together */
    uint32_t *order;
    const fol_dense_code *code;
    fol_dense dense;
    bool is_dense;     /* all numbers of the set are small: `dense` stands for it */
    bool has_blocking; /* any task is blocked at times */
    bool has_slack;    /* a period above its deadline less jitter */
    int64_t first_due; /* the least of due */
    int64_t last_deadline;
    int64_t most_late; /* the largest of due - period, at least 0 */
    uint64_t steps;
};

/* Checks and measures a set, which stays the caller's and in use until the next one is loaded;
 * FOL_E_VALUE as the public functions. */
int fol_analysis_load(fol_analysis *analysis, const fol_analysis_task *tasks, uint32_t count);

/* Takes note of looks at tasks; -E2BIG when there were too many. */
static inline int fol_analysis_step(fol_analysis *analysis, uint64_t looks)
{
    analysis->steps += looks;
    return analysis->steps > FOL_ANALYSIS_STEPS_MAX ? -E2BIG : 0;
}

/* The utilisation of the first `count` loaded tasks, compared with 1: -1, 0, 1. */
int fol_analysis_compare(fol_analysis *analysis, uint32_t count);
/* The least common multiple of their periods, or -EOVERFLOW above the largest horizon. */
int fol_analysis_hyperperiod(const fol_analysis *analysis, uint32_t count, int64_t *out);
/* The time from the release of all tasks at once, each as late as its jitter allows, to the first
 * moment with nothing left to do; `limit` when it is later than that. 0, or -E2BIG. */
int fol_analysis_busy_period(fol_analysis *analysis, uint32_t count, int64_t limit, int64_t *out);

/* The test of the loaded set; as fol_analysis_edf. */
int fol_analysis_demand(fol_analysis *analysis, fol_demand_verdict *out);

/* jobs * wcet + sum, held to FOL_ANALYSIS_SATURATED; none is negative. */
static inline int64_t fol_analysis_add(int64_t sum, int64_t jobs, int64_t wcet)
{
    fol_wide total = (fol_wide)jobs * wcet + sum;
    return total > FOL_ANALYSIS_SATURATED ? FOL_ANALYSIS_SATURATED : (int64_t)total;
}

/* Quotients of a number that is not negative by a period, rounded up. */
static inline int64_t fol_analysis_periods(int64_t span, int64_t period)
{
    return span / period + (span % period != 0);
}

#endif
