/* The merge behind a segment: recorded commands become changes of the world, in one order.
 *
 * A merge that runs out of memory keeps what it could not apply; the next merge, of this frame or a
 * later one, tries again. A frame that was interrupted still merges what its finished systems
 * recorded, so that nothing they did is lost.
 */

#include "base/assert.h"
#include "base/cycles.h"
#include "foliot/status.h"
#include "frame/frame.h"

/* The system of a stamp, which may have waited since another phase or an earlier program. */
static uint32_t system_of_order(const fol_scheduler *scheduler, uint32_t system_order)
{
    if (system_order < scheduler->first_order) {
        return UINT32_MAX;
    }
    uint32_t node = system_order - scheduler->first_order;
    FOL_ASSERT(node < scheduler->program->node_count);
    return scheduler->program->nodes[node].system;
}

static void record_command_error(void *argument, uint32_t system_order, int status)
{
    fol_scheduler *scheduler = argument;
    FOL_ASSERT(status < 0);
    if (status == FOL_E_INTERRUPTED) {
        scheduler->is_interrupted = true;
        return;
    }
    fol_record_error(scheduler, system_of_order(scheduler, system_order), status, 0, true);
}

void fol_run_merge(void *state, uint32_t segment)
{
    fol_scheduler *scheduler = state;
    if (fol_commands_count(scheduler->commands) == 0) {
        return;
    }
    FOL_ASSERT(segment < scheduler->phase->segment_count);
    uint32_t end = scheduler->phase->segment_ends[segment];
    fol_host_set_attached(scheduler, fol_commands_need_host(scheduler->commands));
    if (end > 0) {
        fol_world_set_tick(scheduler->world, fol_merge_tick(scheduler, end));
    }
    fol_merge_report *report = &scheduler->result.merged;
    report->on_error = record_command_error;
    report->on_error_argument = scheduler;
    int status = fol_world_merge(scheduler->world, &scheduler->commands, 1, report);
    if (status != FOL_OK) {
        fol_record_error(scheduler, UINT32_MAX, status, 0, true);
    }
    scheduler->stats.merges++;
    uint64_t now = fol_cycles_now();
    scheduler->merge_cycles += now > scheduler->stamp ? now - scheduler->stamp : 0;
    scheduler->stamp = now;
}
