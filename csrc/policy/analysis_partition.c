/* Partitioned EDF: each task on one CPU, found by first fit by decreasing utilisation.
 *
 * Each CPU is held to the exact test of one CPU. Pinned tasks go first, for they have no choice.
 * Equal utilisations keep the order of the set.
 */

#include "policy/analysis.h"

#include "base/assert.h"
#include "foliot/status.h"

static bool goes_before(const fol_analysis_task *tasks, const int32_t *pinned, uint32_t a,
                        uint32_t b)
{
    bool a_is_pinned = pinned != NULL && pinned[a] >= 0;
    bool b_is_pinned = pinned != NULL && pinned[b] >= 0;
    if (a_is_pinned != b_is_pinned) {
        return a_is_pinned;
    }
    fol_wide share_a = (fol_wide)tasks[a].wcet * tasks[b].period;
    fol_wide share_b = (fol_wide)tasks[b].wcet * tasks[a].period;
    return share_a != share_b ? share_a > share_b : a < b;
}

/* Moves the entry at `root` down a heap whose last in order is on top. */
static void sift(uint32_t *order, uint32_t count, uint32_t root, const fol_analysis_task *tasks,
                 const int32_t *pinned)
{
    for (uint32_t child = 2 * root + 1; child < count; child = 2 * root + 1) {
        bool has_sibling = child + 1 < count;
        if (has_sibling && goes_before(tasks, pinned, order[child], order[child + 1])) {
            child++;
        }
        if (!goes_before(tasks, pinned, order[root], order[child])) {
            return;
        }
        uint32_t moved = order[root];
        order[root] = order[child];
        order[child] = moved;
        root = child;
    }
}

static void sort(uint32_t *order, uint32_t count, const fol_analysis_task *tasks,
                 const int32_t *pinned)
{
    for (uint32_t i = 0; i < count; i++) {
        order[i] = i;
    }
    for (uint32_t root = count / 2; root-- > 0;) {
        sift(order, count, root, tasks, pinned);
    }
    for (uint32_t end = count; end-- > 1;) {
        uint32_t last = order[0];
        order[0] = order[end];
        order[end] = last;
        sift(order, end, 0, tasks, pinned);
    }
}

/* Whether a task goes onto a CPU beside those that `order` has before it. */
static int try_cpu(fol_analysis *analysis, const fol_analysis_task *tasks, uint32_t placed,
                   const int32_t *cpu_of, int32_t cpu, fol_demand_verdict *why)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < placed; i++) {
        if (cpu_of[analysis->order[i]] == cpu) {
            analysis->chosen[count++] = tasks[analysis->order[i]];
        }
    }
    analysis->chosen[count++] = tasks[analysis->order[placed]];
    FOL_ASSERT(count <= analysis->capacity);
    return fol_analysis_edf(analysis, analysis->chosen, count, why);
}

int fol_analysis_partition(fol_analysis *analysis, const fol_analysis_task *tasks, uint32_t count,
                           uint32_t cpus, const int32_t *pinned, int32_t *cpu_of, int64_t *misfit,
                           fol_demand_verdict *why)
{
    int status = fol_analysis_load(analysis, tasks, count);
    if (status < 0 || cpus == 0 || cpus > INT32_MAX) {
        return FOL_E_VALUE;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (pinned != NULL && pinned[i] >= 0 && (uint32_t)pinned[i] >= cpus) {
            return FOL_E_VALUE;
        }
        cpu_of[i] = -1;
    }
    *misfit = -1;
    sort(analysis->order, count, tasks, pinned);
    for (uint32_t i = 0; i < count && *misfit < 0; i++) {
        uint32_t task = analysis->order[i];
        for (uint32_t cpu = 0; cpu < cpus && cpu_of[task] < 0; cpu++) {
            why[cpu] = (fol_demand_verdict){.status = FOL_E_VALUE};
            if (pinned != NULL && pinned[task] >= 0 && (uint32_t)pinned[task] != cpu) {
                continue;
            }
            status = try_cpu(analysis, tasks, i, cpu_of, (int32_t)cpu, &why[cpu]);
            if (status < 0) {
                return status;
            }
            if (why[cpu].reason == FOL_DEMAND_FITS) {
                cpu_of[task] = (int32_t)cpu;
            }
        }
        if (cpu_of[task] < 0) {
            *misfit = task;
        }
    }
    return FOL_OK;
}
