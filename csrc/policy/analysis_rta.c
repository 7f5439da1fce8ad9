/* One CPU, fixed priorities: the worst response of each task.
 *
 * Source: Joseph and Pandya 1986 (the recurrence), Lehoczky 1990 (every job of the busy period, for
 * deadlines after the next release), Tindell, Burns and Wellings 1994 (jitter).
 *
 * Job q of a task ends at the least w with w = (q + 1) C + B + sum of ceil((w + J_j) / T_j) C_j
 * over the more urgent tasks, counted from the moment all are released at once, each as late as its
 * jitter allows; its response is w + J - q T. The busy period ends with the first job that is done
 * before the next one can be ready, w + J <= (q + 1) T. At utilisation 1 it may not end; then what
 * happens repeats each hyperperiod, so its jobs are enough.
 */

#include "policy/analysis.h"

#include "base/assert.h"
#include "foliot/status.h"

/* Raises *w to the end of job q of task i; it starts below that. */
static int find_completion(fol_analysis *analysis, uint32_t i, int64_t jobs, int64_t *w)
{
    const fol_analysis_task *task = &analysis->tasks[i];
    for (;;) {
        int64_t end = fol_analysis_add(task->blocking, jobs, task->wcet);
        for (uint32_t j = 0; j < i; j++) {
            const fol_analysis_task *urgent = &analysis->tasks[j];
            int64_t releases = fol_analysis_periods(*w + urgent->jitter, urgent->period);
            end = fol_analysis_add(end, releases, urgent->wcet);
        }
        if (end > FOL_ANALYSIS_HORIZON_MAX) {
            return -EOVERFLOW;
        }
        if (end <= *w) {
            return FOL_OK;
        }
        *w = end;
        int status = fol_analysis_step(analysis, (uint64_t)i + 1);
        if (status < 0) {
            return status;
        }
    }
}

static int find_response(fol_analysis *analysis, uint32_t i, int compared, int64_t *out)
{
    const fol_analysis_task *task = &analysis->tasks[i];
    int64_t last = FOL_ANALYSIS_HORIZON_MAX;
    if (compared == 0) {
        int64_t repeat;
        if (fol_analysis_hyperperiod(analysis, i + 1, &repeat) == FOL_OK) {
            last = repeat;
        }
    }
    int64_t worst = 0;
    int64_t w = 1;
    /* release: of job q, counted from that of job 0. */
    for (int64_t q = 0, release = 0; release < last; q++, release += task->period) {
        int status = find_completion(analysis, i, q + 1, &w);
        if (status < 0) {
            return status;
        }
        int64_t response = w - release + task->jitter;
        worst = response > worst ? response : worst;
        if (response <= task->period) {
            break;
        }
    }
    FOL_ASSERT(worst >= task->wcet);
    *out = worst;
    return FOL_OK;
}

int fol_analysis_fixed_responses(fol_analysis *analysis, const fol_analysis_task *tasks,
                                 uint32_t count, int64_t *out)
{
    int status = fol_analysis_load(analysis, tasks, count);
    for (uint32_t i = 0; i < count && status == FOL_OK; i++) {
        int compared = fol_analysis_compare(analysis, i + 1);
        if (compared > 0) {
            /* Those that are less urgent have no bound either. */
            for (uint32_t rest = i; rest < count; rest++) {
                out[rest] = FOL_ANALYSIS_UNBOUNDED;
            }
            break;
        }
        status = find_response(analysis, i, compared, &out[i]);
    }
    return status;
}
