/* What a scheduler tells about itself to any thread, also while a frame runs. */

#include "base/assert.h"
#include "base/cycles.h"
#include "foliot/status.h"
#include "frame/frame.h"

/* Systems that ran whole, and pieces. The two first may be an instant apart. */
static uint64_t count_tasks(const fol_runner *runner)
{
    uint64_t systems = fol_counted(&runner->systems);
    uint64_t cut = fol_counted(&runner->cut);
    return (systems > cut ? systems - cut : 0) + fol_counted(&runner->pieces);
}

void fol_scheduler_read_stats(const fol_scheduler *scheduler, fol_scheduler_stats *out)
{
    const fol_frame_counters *counters = &scheduler->counters;
    fol_scheduler_stats stats = {
        .frames = fol_counted(&counters->frames),
        .commands_applied = fol_counted(&counters->commands_applied),
        .commands_dropped = fol_counted(&counters->commands_dropped),
        .merges = fol_counted(&counters->merges),
        .wall_ns = fol_counted(&counters->wall_ns),
        .parallel_phases = fol_counted(&counters->parallel_phases),
        .serial_phases = fol_counted(&counters->serial_phases),
        .switches = fol_counted(&counters->switches),
        .misses = fol_counted(&counters->misses),
        .overruns = fol_counted(&counters->overruns),
        .decisions = fol_counted(&counters->decisions),
        .policy_faults = fol_counted(&counters->policy_faults),
    };
    for (uint32_t i = 0; i < scheduler->worker_count; i++) {
        const fol_runner *runner = &scheduler->runners[i];
        stats.tasks += count_tasks(runner);
        stats.systems_run += fol_counted(&runner->systems);
        stats.systems_skipped += fol_counted(&runner->skipped);
        stats.systems_failed += fol_counted(&runner->failed);
        stats.host_switches += fol_counted(&runner->host_switches);
        if (scheduler->backend.team != NULL) {
            fol_worker_counters counted;
            fol_team_read_worker(scheduler->backend.team, i, &counted);
            stats.steals += counted.stolen;
            stats.wakes_sent += counted.wakes_sent;
            stats.wakes_saved += counted.wakes_saved;
        }
    }
    fol_io_add_stats(scheduler, &stats);
    *out = stats;
}

int fol_scheduler_read_worker(const fol_scheduler *scheduler, uint32_t worker,
                              fol_worker_stats *out)
{
    if (worker >= scheduler->worker_count) {
        return FOL_E_VALUE;
    }
    const fol_runner *runner = &scheduler->runners[worker];
    double scale = fol_ns_per_cycle(scheduler);
    *out = (fol_worker_stats){
        .tasks = count_tasks(runner),
        .systems = fol_counted(&runner->systems),
        .commands = fol_counted(&runner->recorded),
        .busy_ns = fol_cycles_scale(0, fol_counted(&runner->busy_cycles), scale),
        .host_switches = fol_counted(&runner->host_switches),
        .host_wait_ns = fol_cycles_scale(0, fol_counted(&runner->host_wait_cycles), scale),
    };
    if (scheduler->backend.team != NULL) {
        fol_worker_counters counted;
        fol_team_read_worker(scheduler->backend.team, worker, &counted);
        out->stolen = counted.stolen;
        out->steal_attempts = counted.steal_attempts;
        out->steal_misses = counted.steal_misses;
        out->contended = counted.contended;
        out->batches = counted.batches;
        out->largest_batch = counted.largest_batch;
        out->spins = counted.spins;
        out->yields = counted.yields;
        out->parks = counted.parks;
        out->wakes_sent = counted.wakes_sent;
        out->wakes_saved = counted.wakes_saved;
        out->idle_ns = fol_cycles_scale(0, counted.idle_cycles, scale);
        out->queue_depth = counted.queue_depth;
    }
    return FOL_OK;
}

size_t fol_scheduler_explain_phase(const fol_scheduler *scheduler, uint32_t phase, char *out,
                                   size_t room)
{
    FOL_ASSERT(phase < scheduler->program->phase_count);
    return fol_backend_explain_run(&scheduler->backend, &scheduler->program->phases[phase].work,
                                   fol_ns_per_cycle(scheduler), out, room);
}

size_t fol_scheduler_read_trace(const fol_scheduler *scheduler, uint32_t worker,
                                fol_trace_record *out, size_t room, uint64_t *lost)
{
    *lost = 0;
    if (scheduler->trace == NULL || worker >= scheduler->worker_count) {
        return 0;
    }
    return fol_trace_read(scheduler->trace, worker, out, room, lost);
}

void fol_scheduler_clear_trace(fol_scheduler *scheduler)
{
    if (scheduler->trace != NULL) {
        fol_trace_clear(scheduler->trace);
    }
}

void fol_scheduler_trace_scale(const fol_scheduler *scheduler, fol_trace_scale *out)
{
    uint64_t cycles = fol_cycles_now();
    uint64_t now_ns = fol_clock_monotonic.now_ns(NULL);
    bool is_measured = cycles > scheduler->origin_cycles && now_ns > scheduler->origin_ns;
    *out = (fol_trace_scale){
        .origin_cycles = scheduler->origin_cycles,
        .origin_ns = scheduler->origin_ns,
        .ns_per_cycle = is_measured ? (double)(now_ns - scheduler->origin_ns) /
                                          (double)(cycles - scheduler->origin_cycles)
                                    : fol_ns_per_cycle(scheduler),
    };
}
