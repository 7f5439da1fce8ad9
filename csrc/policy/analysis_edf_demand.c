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
 * Reach: demand is at most utilisation * t + slope, where slope sums max(0, T - D) C / T; so what
 * exceeds its length is at most slope / (1 - utilisation). Up to a t only the tasks due by then
 * count, so each look gives a reach of its own, often far below t.
 *
 * Horizon: the reach of all tasks; or the synchronous busy period, beyond which nothing new begins;
 * or at utilisation 1, where demand minus t repeats, the hyperperiod. Any upper bound will do.
 *
 * The first t that does not fit is found by halving the stretch it must lie in.
 */

#include "policy/analysis.h"

#include "base/assert.h"
#include "foliot/status.h"

/* A horizon that is at most so many times the last deadline is not worth a shorter one. */
#define HORIZON_SHORT 64.0
/* Looks at a task to find the first excess of a set that is known to have one. */
#define OVERLOAD_STEPS (UINT64_C(1) << 22)

typedef struct look {
    int64_t demand;   /* with blocking */
    int64_t blocking; /* of it */
    int64_t deadline; /* the last one up to t; -1: none */
    int64_t reach;    /* what exceeds its length up to t is at most this */
} look;

static void add_share(const fol_analysis *analysis, uint32_t i, fol_dense_sums *sums)
{
    const fol_analysis_task *task = &analysis->tasks[i];
    double share = (double)task->wcet / (double)task->period;
    sums->utilisation += share;
    if (task->period > analysis->due[i]) {
        sums->slope += (double)(task->period - analysis->due[i]) * share;
    }
}

/* Beyond the last relative deadline no task is left to block another. */
static void look_exact(const fol_analysis *analysis, int64_t t, look *out)
{
    bool has_blocker = t < analysis->last_deadline;
    fol_dense_sums sums = {0};
    *out = (look){.deadline = -1, .reach = t};
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
        add_share(analysis, i, &sums);
    }
    out->demand = fol_analysis_add(out->demand, 1, out->blocking);
    sums.slope += (double)out->blocking;
    double reach = fol_dense_reach(&sums, analysis->count);
    out->reach = reach < (double)t ? (int64_t)reach : t;
}

static void look_at(const fol_analysis *analysis, int64_t t, look *out)
{
    if (!analysis->is_dense || t > FOL_DENSE_MAX) {
        look_exact(analysis, t, out);
        return;
    }
    fol_dense_demand found;
    analysis->code->demand(&analysis->dense, (double)t, &found);
    double reach = found.reach;
    *out = (look){.deadline = -1, .reach = reach < (double)t ? (int64_t)reach : t};
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
        t = found.reach < t ? found.reach : t;
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

/* The first deadline in (after, *t] that does not fit, where *t is one. Each of at most 62 rounds
 * goes to the one before, if there is any, and halves what is left. */
static int find_first(fol_analysis *analysis, int64_t after, int64_t *t)
{
    int64_t clear = after;
    for (;;) {
        int64_t found;
        int status = find_any(analysis, clear, *t - 1, &found);
        if (status < 0 || found < 0) {
            return status;
        }
        *t = found;
        int64_t middle = clear + (found - clear) / 2;
        status = find_any(analysis, clear, middle, &found);
        if (status < 0) {
            return status;
        }
        if (found < 0) {
            clear = middle;
        } else {
            *t = found;
        }
    }
}

/* *t is -1 when everything up to the horizon fits. What does not is often early, so the first one
 * is looked for in stretches that double in length; at once, when it is known that there is one. */
static int search(fol_analysis *analysis, int64_t horizon, bool is_over, int64_t *t)
{
    int64_t clear = analysis->first_due - 1;
    int64_t end = horizon;
    if (!is_over) {
        int status = find_any(analysis, clear, horizon, &end);
        if (status < 0 || end < 0) {
            *t = -1;
            return status;
        }
    }
    *t = -1;
    while (clear < end && *t < 0) {
        int64_t to = clear < end / 2 ? 2 * clear + 1 : end;
        int status = find_any(analysis, clear, to, t);
        if (status < 0) {
            return status;
        }
        clear = *t < 0 ? to : clear;
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
        add_share(analysis, i, out);
    }
}

/* The last t that has to be looked at; above the largest horizon: it is not known. compared: the
 * utilisation with 1. */
static int find_horizon(fol_analysis *analysis, const fol_dense_sums *sums, int compared,
                        int64_t *out)
{
    const int64_t unknown = FOL_ANALYSIS_HORIZON_MAX;
    int64_t horizon = unknown;
    double end = fol_dense_reach(sums, analysis->count);
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
    double error = (sums.utilisation + 1.0) * (analysis->count + 1) * FOL_DENSE_ERROR;
    double over = sums.utilisation - 1.0;
    int compared = over > error    ? 1
                   : over < -error ? -1
                                   : fol_analysis_compare(analysis, analysis->count);
    int64_t horizon = 0;
    int status = FOL_OK;
    if (compared > 0) {
        /* The answer is known, and only its witness looked for. */
        horizon = FOL_ANALYSIS_HORIZON_MAX;
        analysis->steps = FOL_ANALYSIS_STEPS_MAX - OVERLOAD_STEPS;
    } else if (analysis->has_slack) {
        status = find_horizon(analysis, &sums, compared, &horizon);
    }
    if (analysis->has_blocking && horizon < analysis->last_deadline) {
        horizon = analysis->last_deadline;
    }
    int64_t t = -1;
    if (status == FOL_OK) {
        status = search(analysis, horizon, compared > 0, &t);
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
