/* One CPU, earliest deadline first: the worst response of each task.
 *
 * Source: Spuri, "Analysis of deadline scheduled real-time systems", INRIA RR-2772, 1996.
 *
 * A task's worst response comes in a busy period that begins with all other tasks released at
 * once, each as late as its jitter allows, and with the task's own jobs so that one is released at
 * `a`, counted from there; -jitter <= a. With deadline d = a + D, work before that job is that of
 * the other tasks due by d, and of the own jobs up to it. It ends at the least w with
 *     w = B(d) + own jobs * C + sum of min(ceil((w + J_j) / T_j), jobs of j due by d) * C_j
 * and its response is w - a, at least J + C. Only an `a` where a count of jobs rises can be worst.
 *
 * What comes after the busy period of all tasks is another one; at utilisation 1 with jitter it may
 * not end, but what happens repeats each hyperperiod once every task counts. Blocking is taken as
 * the demand test takes it; with it the response is an upper bound.
 */

#include "policy/analysis.h"

#include "base/assert.h"
#include "foliot/status.h"

static int64_t blocking_of(const fol_analysis *analysis, int64_t deadline)
{
    int64_t blocking = 0;
    if (!analysis->has_blocking || deadline >= analysis->last_deadline) {
        return 0;
    }
    for (uint32_t j = 0; j < analysis->count; j++) {
        if (analysis->due[j] <= deadline && analysis->tasks[j].blocking > blocking) {
            blocking = analysis->tasks[j].blocking;
        }
    }
    return blocking;
}

/* The end of the job of task i that is released at `a`. */
static int find_completion(fol_analysis *analysis, uint32_t i, int64_t a, int64_t *out)
{
    const fol_analysis_task *task = &analysis->tasks[i];
    int64_t deadline = a + task->deadline;
    int64_t own = (a + task->jitter) / task->period + 1;
    int64_t fixed = fol_analysis_add(blocking_of(analysis, deadline), own, task->wcet);
    int64_t w = 1;
    for (;;) {
        int64_t end = fixed;
        for (uint32_t j = 0; j < analysis->count; j++) {
            const fol_analysis_task *other = &analysis->tasks[j];
            int64_t span = deadline - analysis->due[j];
            if (j == i || span < 0) {
                continue;
            }
            int64_t due = span / other->period + 1;
            int64_t released = fol_analysis_periods(w + other->jitter, other->period);
            end = fol_analysis_add(end, due < released ? due : released, other->wcet);
        }
        if (end > FOL_ANALYSIS_HORIZON_MAX) {
            return -EOVERFLOW;
        }
        if (end <= w) {
            *out = w;
            return FOL_OK;
        }
        w = end;
        int status = fol_analysis_step(analysis, analysis->count);
        if (status < 0) {
            return status;
        }
    }
}

/* Looks at each `a` up to `last` at which jobs of task j come to count for task i. */
static int look_at_rises(fol_analysis *analysis, uint32_t i, uint32_t j, int64_t last,
                         int64_t *worst)
{
    const fol_analysis_task *task = &analysis->tasks[i];
    const int64_t period = analysis->tasks[j].period;
    int64_t first = -task->jitter;
    /* From where jobs of j are due by the deadline; of the task itself, from where it is ready. */
    int64_t a = j == i ? first : analysis->due[j] - task->deadline;
    if (a < first) {
        a += fol_analysis_periods(first - a, period) * period;
    }
    for (; a <= last; a += period) {
        int64_t end;
        int status = find_completion(analysis, i, a, &end);
        if (status < 0) {
            return status;
        }
        *worst = end - a > *worst ? end - a : *worst;
    }
    return FOL_OK;
}

/* How far after its beginning a busy period can hold a job of any task. */
static int find_last(fol_analysis *analysis, int compared, int64_t *out)
{
    int64_t limit = FOL_ANALYSIS_HORIZON_MAX;
    int64_t repeat;
    if (compared == 0 && fol_analysis_hyperperiod(analysis, analysis->count, &repeat) == FOL_OK &&
        repeat < limit - analysis->last_deadline) {
        limit = repeat + analysis->last_deadline;
    }
    int64_t last;
    int status = fol_analysis_busy_period(analysis, analysis->count, limit, &last);
    if (status < 0) {
        return status;
    }
    if (last == FOL_ANALYSIS_HORIZON_MAX) {
        return -EOVERFLOW;
    }
    bool is_longer = analysis->has_blocking && last < analysis->last_deadline;
    *out = is_longer ? analysis->last_deadline : last;
    return FOL_OK;
}

int fol_analysis_edf_responses(fol_analysis *analysis, const fol_analysis_task *tasks,
                               uint32_t count, int64_t *out)
{
    int status = fol_analysis_load(analysis, tasks, count);
    if (status < 0 || count == 0) {
        return status;
    }
    int compared = fol_analysis_compare(analysis, count);
    int64_t last = 0;
    if (compared <= 0) {
        status = find_last(analysis, compared, &last);
    }
    for (uint32_t i = 0; i < count && status == FOL_OK; i++) {
        int64_t worst = compared > 0 ? FOL_ANALYSIS_UNBOUNDED : tasks[i].wcet + tasks[i].jitter;
        for (uint32_t j = 0; j < count && compared <= 0 && status == FOL_OK; j++) {
            status = look_at_rises(analysis, i, j, last, &worst);
        }
        FOL_ASSERT(compared > 0 || worst >= tasks[i].wcet);
        out[i] = worst;
    }
    return status;
}
