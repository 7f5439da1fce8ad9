/* One CPU, earliest deadline first: does any interval ask for more than its length?
 *
 * Source: Baruah, Rosier and Howell 1990 (the demand and its bounds); Zhang and Burns, IEEE
 * Transactions on Computers 58(9), 2009 (QPA); Baker 1991 and Baruah 2006 (blocking).
 *
 * Demand of t: the work of all jobs that are released and due within [0, t] when each task is
 * released at 0 and as fast as it may be, its first job as late as its jitter allows. Such a job
 * has deadline - jitter left, so jitter is a shorter deadline and nothing else; the period stays.
 * Blocking of t: the largest that a task due by then may suffer, as long as there is a task with a
 * later deadline to inflict it. A set fits when demand and blocking of no t exceed t.
 *
 * QPA looks at few t. Below the last deadline both only grow with t, and so they do from there on.
 * From a t that fits it goes to demand and blocking of t: no t' between is smaller than its own,
 * which are at most those of t. What exceeds its length does so first at a deadline, so each look
 * is turned to the last deadline up to t.
 *
 * Horizon: beyond most_late demand is at most utilisation * t + slope, which meets t at slope / (1
 * - utilisation); beyond the synchronous busy period nothing new begins; at utilisation 1 demand
 * minus t repeats each hyperperiod. Any upper bound of any of them will do.
 *
 * The first t that does not fit is found by halving the stretch it must lie in.
 */

#include "policy/analysis.h"

#include "base/assert.h"
#include "foliot/status.h"

/* What sums of doubles are off by, for one task. */
#define ERROR_PER_TASK 0x1p-50
/* A horizon that is at most so many times the last deadline is not worth a shorter one. */
#define HORIZON_SHORT 64.0

typedef struct look {
    int64_t demand;   /* with blocking */
    int64_t blocking; /* of it */
    int64_t deadline; /* the last one up to t; -1: none */
} look;

/* Beyond the last relative deadline no task is left to block another. */
static void look_exact(const fol_analysis *analysis, int64_t t, look *out)
{
    bool has_blocker = t < analysis->last_deadline;
    *out = (look){.deadline = -1};
    for (uint32_t i = 0; i < analysis->count; i++) {
        const fol_analysis_task *task = &analysis->tasks[i];
        int64_t span = t - analysis->due[i];
        if (span < 0) {
            continue;
        }
        out->demand = fol_analysis_add(out->demand, span / task->period + 1, task->wcet);
        int64_t deadline = t - span % task->period;
        out->deadline = deadline > out->deadline ? deadline : out->deadline;
        if (has_blocker && task->blocking > out->blocking) {
            out->blocking = task->blocking;
        }
    }
    out->demand = fol_analysis_add(out->demand, 1, out->blocking);
}

static void look_at(const fol_analysis *analysis, int64_t t, look *out)
{
    if (!analysis->is_dense || t > FOL_DENSE_MAX) {
        look_exact(analysis, t, out);
        return;
    }
    fol_dense_demand found;
    analysis->code->demand(&analysis->dense, (double)t, &found);
    *out = (look){.deadline = -1};
    /* Above 2^53 the sum is rounded, but it is above t all the same. */
    double most = (double)FOL_ANALYSIS_HORIZON_MAX;
    out->demand = (int64_t)(found.demand < most ? found.demand : most);
    if (found.since <= (double)t) {
        out->deadline = t - (int64_t)found.since;
    }
}

/* The last deadline in (after, to] that does not fit, or -1: none. Demand and blocking do not
 * shrink between the two. */
static int find_last(fol_analysis *analysis, int64_t after, int64_t to, int64_t *out)
{
    int64_t t = to;
    *out = -1;
    while (t > after) {
        look found;
        look_at(analysis, t, &found);
        if (found.deadline <= after) {
            return FOL_OK;
        }
        if (found.demand > found.deadline) {
            *out = found.deadline;
            return FOL_OK;
        }
        t = found.demand < found.deadline ? found.demand : found.deadline - 1;
        int status = fol_analysis_step(analysis, analysis->count);
        if (status < 0) {
            return status;
        }
    }
    return FOL_OK;
}

/* The same where blocking may end on the way. */
static int find_any(fol_analysis *analysis, int64_t after, int64_t to, int64_t *out)
{
    int64_t end = analysis->last_deadline - 1;
    bool is_cut = analysis->has_blocking && after < end && end < to;
    int status = find_last(analysis, is_cut ? end : after, to, out);
    if (status == FOL_OK && is_cut && *out < 0) {
        status = find_last(analysis, after, end, out);
    }
    return status;
}

/* The first deadline in (after, *t] that does not fit, where *t is one. At most 62 rounds. */
static int find_first(fol_analysis *analysis, int64_t after, int64_t *t)
{
    int64_t clear = after;
    while (*t - clear > 1) {
        int64_t middle = clear + (*t - clear) / 2;
        int64_t found;
        int status = find_any(analysis, clear, middle, &found);
        if (status < 0) {
            return status;
        }
        if (found < 0) {
            clear = middle;
        } else {
            *t = found;
        }
    }
    return FOL_OK;
}

/* Stretches that double in length, the shortest first, because what does not fit is often early.
 * *t is -1 when everything up to the horizon fits. */
static int search(fol_analysis *analysis, int64_t horizon, int64_t *t)
{
    int64_t clear = analysis->first_due - 1;
    *t = -1;
    while (clear < horizon && *t < 0) {
        int64_t to = clear < horizon / 2 ? 2 * clear + 1 : horizon;
        int status = find_any(analysis, clear, to, t);
        if (status < 0) {
            return status;
        }
        if (*t < 0) {
            clear = to;
        }
    }
    return *t < 0 ? FOL_OK : find_first(analysis, clear, t);
}

static void sum_up(const fol_analysis *analysis, fol_dense_sums *out)
{
    if (analysis->is_dense) {
        analysis->code->sums(&analysis->dense, out);
        return;
    }
    *out = (fol_dense_sums){0};
    for (uint32_t i = 0; i < analysis->count; i++) {
        const fol_analysis_task *task = &analysis->tasks[i];
        double share = (double)task->wcet / (double)task->period;
        double part = (double)(task->period - analysis->due[i]) * share;
        out->utilisation += share;
        out->slope += part;
        out->size += part < 0.0 ? -part : part;
    }
}

/* An upper bound of where the line of the demand meets t, with every rounding to the safe side;
 * above the largest horizon when utilisation is too near to 1 to say. */
static double line_end(const fol_analysis *analysis, const fol_dense_sums *sums)
{
    double error = (analysis->count + 2) * ERROR_PER_TASK;
    double room = 1.0 - sums->utilisation - error * (1.0 + sums->utilisation);
    if (room <= 0.0) {
        return 2.0 * (double)FOL_ANALYSIS_HORIZON_MAX;
    }
    double slope = sums->slope + error * sums->size;
    double end = slope / room * (1.0 + error) + 1.0;
    double late = (double)analysis->most_late * (1.0 + error) + 1.0;
    return end > late ? end : late;
}

/* The last t that has to be looked at; above the largest horizon: it is not known. compared: the
 * utilisation with 1. */
static int find_horizon(fol_analysis *analysis, const fol_dense_sums *sums, int compared,
                        int64_t *out)
{
    const int64_t unknown = FOL_ANALYSIS_HORIZON_MAX;
    int64_t horizon = unknown;
    double end = line_end(analysis, sums);
    if (end < (double)unknown) {
        horizon = (int64_t)end;
        if (end <= HORIZON_SHORT * (double)analysis->last_deadline) {
            *out = horizon;
            return FOL_OK;
        }
    }
    int64_t repeat;
    if (compared == 0 && fol_analysis_hyperperiod(analysis, analysis->count, &repeat) == FOL_OK &&
        repeat < horizon - analysis->most_late) {
        horizon = repeat + analysis->most_late;
    }
    return fol_analysis_busy_period(analysis, analysis->count, horizon, out);
}

static void report(const fol_analysis *analysis, int64_t t, fol_demand_verdict *out)
{
    look found;
    look_exact(analysis, t, &found);
    FOL_ASSERT(found.demand > t);
    out->reason = FOL_DEMAND_EXCEEDS;
    out->t = t;
    out->demand =
        found.demand == FOL_ANALYSIS_SATURATED ? found.demand : found.demand - found.blocking;
    out->blocking = found.blocking;
    out->looked_to = t;
}

int fol_analysis_demand(fol_analysis *analysis, fol_demand_verdict *out)
{
    *out = (fol_demand_verdict){.reason = FOL_DEMAND_FITS};
    if (analysis->count == 0) {
        return FOL_OK;
    }
    if (analysis->first_due <= 0) {
        report(analysis, 0, out);
        return FOL_OK;
    }
    fol_dense_sums sums;
    sum_up(analysis, &sums);
    double error = (sums.utilisation + 1.0) * (analysis->count + 1) * ERROR_PER_TASK;
    double over = sums.utilisation - 1.0;
    int compared = over > error    ? 1
                   : over < -error ? -1
                                   : fol_analysis_compare(analysis, analysis->count);
    int64_t horizon = 0;
    int status = FOL_OK;
    if (compared > 0) {
        horizon = FOL_ANALYSIS_HORIZON_MAX;
    } else if (analysis->has_slack) {
        status = find_horizon(analysis, &sums, compared, &horizon);
    }
    if (analysis->has_blocking && horizon < analysis->last_deadline) {
        horizon = analysis->last_deadline;
    }
    int64_t t = -1;
    if (status == FOL_OK) {
        status = search(analysis, horizon, &t);
    }
    if (status == FOL_OK && t >= 0) {
        report(analysis, t, out);
    } else if (compared > 0) {
        out->reason = FOL_DEMAND_OVERLOAD;
        status = FOL_OK;
    } else if (status == FOL_OK && horizon == FOL_ANALYSIS_HORIZON_MAX) {
        status = -EOVERFLOW;
    }
    if (status == FOL_OK && out->reason == FOL_DEMAND_FITS) {
        out->looked_to = horizon;
    }
    out->status = status;
    return status;
}

int fol_analysis_edf(fol_analysis *analysis, const fol_analysis_task *tasks, uint32_t count,
                     fol_demand_verdict *out)
{
    int status = fol_analysis_load(analysis, tasks, count);
    if (status < 0) {
        *out = (fol_demand_verdict){.status = status};
        return status;
    }
    return fol_analysis_demand(analysis, out);
}

void fol_analysis_edf_many(fol_analysis *analysis, const fol_analysis_task *tasks,
                           const uint32_t *counts, size_t sets, fol_demand_verdict *out)
{
    const fol_analysis_task *next = tasks;
    for (size_t i = 0; i < sets; i++) {
        fol_analysis_edf(analysis, next, counts[i], &out[i]);
        next += counts[i];
    }
}
