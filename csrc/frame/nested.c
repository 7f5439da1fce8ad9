/* Runs within runs: a kernel that waits for its branches may run other nodes meanwhile.
 *
 * The runner's task, chunk and command stretch belong to the run on top of the worker's stack. When
 * another begins above it they are put aside, and taken back when that ends; what the lower run
 * records from then on is a new stretch with the same stamp, which a merge puts behind the first.
 * So a merge sees each run's commands whole and in order, but a rollback, which knows the last
 * stretch only, would not: a run that others interrupted discards instead.
 *
 * Only kernels wait in the middle, and kernels run detached, so that is how they are left.
 */

#include "base/assert.h"
#include "base/cycles.h"
#include "frame/frame.h"

void fol_enter_run(fol_runner *runner, fol_outer_run *outer)
{
    outer->start = fol_cycles_now();
    outer->nested = runner->nested_cycles;
    if (FOL_UNLIKELY(runner->depth != 0)) {
        outer->stamp = runner->stamp;
        outer->order = runner->order;
        outer->chunk = runner->chunk;
        outer->task = runner->task;
        outer->chunk_seen = runner->chunk_seen;
    }
    runner->depth++;
    runner->stamp = outer->start;
}

uint64_t fol_own_cycles(const fol_runner *runner, const fol_outer_run *outer, uint64_t now)
{
    uint64_t nested = runner->nested_cycles - outer->nested;
    return now > outer->start + nested ? now - outer->start - nested : 0;
}

static void go_on_with(fol_scheduler *scheduler, fol_runner *runner, const fol_outer_run *outer,
                       uint64_t now)
{
    fol_host_set_attached(scheduler, runner, false);
    runner->nested_runs++;
    runner->nested_cycles = outer->nested + (now > outer->start ? now - outer->start : 0);
    runner->stamp = outer->stamp;
    runner->order = outer->order;
    runner->chunk = outer->chunk;
    runner->task = outer->task;
    runner->chunk_seen = outer->chunk_seen;
    if (runner->task.commands != NULL) {
        fol_commands_begin(runner->commands, runner->order, runner->chunk);
    }
}

void fol_leave_run(fol_scheduler *scheduler, fol_runner *runner, const fol_outer_run *outer,
                   uint64_t now)
{
    FOL_ASSERT(runner->depth > 0);
    runner->depth--;
    if (FOL_UNLIKELY(runner->depth != 0)) {
        go_on_with(scheduler, runner, outer, now);
    }
    if (runner->worker == 0) {
        fol_host_poll(scheduler, now);
    }
}
