/* What a simulation tells: its log and its ledger, its decisions, and whether it is sound. */

#include "sim/sim_state.h"

#include "base/assert.h"

int64_t fol_sim_now(const fol_sim *sim)
{
    return sim->now;
}

const fol_sim_job *fol_sim_jobs(const fol_sim *sim, uint64_t *count)
{
    *count = sim->job_count;
    return sim->jobs;
}

const fol_sim_segment *fol_sim_segments(const fol_sim *sim, uint64_t *count)
{
    *count = sim->segment_count;
    return sim->segments;
}

const int64_t *fol_sim_samples(const fol_sim *sim, uint64_t *rows)
{
    *rows = sim->sample_count;
    return sim->samples;
}

void fol_sim_cpu(const fol_sim *sim, uint32_t cpu, fol_sim_cpu_use *out)
{
    FOL_ASSERT(cpu < sim->cpu_count);
    *out = sim->workers[cpu].use;
}

const fol_sim_moves *fol_sim_moves_of(const fol_sim *sim)
{
    return &sim->moves;
}

const fol_account *fol_sim_task_account(const fol_sim *sim, uint32_t task)
{
    return fol_dispatcher_account(sim->dispatcher, task);
}

const fol_account *fol_sim_group_account(const fol_sim *sim, uint32_t group)
{
    return fol_dispatcher_group_account(sim->dispatcher, group);
}

const fol_account *fol_sim_cpu_account(const fol_sim *sim, uint32_t cpu)
{
    return fol_dispatcher_cpu_account(sim->dispatcher, cpu);
}

int fol_sim_context_stats(const fol_sim *sim, uint32_t context, fol_context_stats *out)
{
    FOL_ASSERT(context >= 1 && context <= sim->context_count);
    return fol_dispatcher_context_stats(sim->dispatcher, sim->contexts[context - 1], out);
}

void fol_sim_records(const fol_sim *sim, uint64_t *first, uint64_t *end)
{
    fol_dispatcher_records(sim->dispatcher, first, end);
}

const fol_decision *fol_sim_record(const fol_sim *sim, uint64_t number)
{
    return fol_dispatcher_record(sim->dispatcher, number);
}

bool fol_sim_last(const fol_sim *sim, uint32_t task, fol_decision *out)
{
    FOL_ASSERT(task < sim->task_count);
    return fol_dispatcher_last(sim->dispatcher, task, out);
}

void fol_sim_choices(const fol_sim *sim, fol_choice_counts *out)
{
    fol_dispatcher_choices(sim->dispatcher, out);
}

uint32_t fol_sim_faults(const fol_sim *sim)
{
    return fol_dispatcher_faults(sim->dispatcher);
}

bool fol_sim_policy_is_on(const fol_sim *sim)
{
    return fol_dispatcher_policy_is_on(sim->dispatcher);
}

static bool cpu_is_sound(const fol_sim *sim, uint32_t cpu)
{
    const fol_sim_worker *worker = &sim->workers[cpu];
    bool is_idle = (sim->idle[cpu / 64] >> (cpu % 64) & 1) != 0;
    int64_t point = fol_tournament_get(&sim->points, cpu);
    if (is_idle) {
        return worker->task == FOL_NO_RUNNABLE && point == FOL_TIME_NEVER;
    }
    return worker->task < sim->task_count && point > sim->now &&
           sim->sources[worker->task].current != FOL_SIM_NO_JOB &&
           fol_dispatcher_running(sim->dispatcher, cpu) == worker->task;
}

bool fol_sim_invariants(const fol_sim *sim)
{
    bool holds = fol_tournament_invariants(&sim->releases) &&
                 fol_tournament_invariants(&sim->points) && sim->job_count <= sim->job_room;
    for (uint32_t cpu = 0; !sim->is_over && cpu < sim->cpu_count; cpu++) {
        holds = holds && cpu_is_sound(sim, cpu);
    }
    for (uint32_t task = 0; task < sim->task_count; task++) {
        const fol_sim_source *source = &sim->sources[task];
        holds = holds && (source->current == FOL_SIM_NO_JOB || source->done < source->need);
    }
    /* In the order of releases. */
    for (uint64_t place = 1; place < sim->job_count; place++) {
        const fol_sim_job *one = &sim->jobs[place - 1];
        const fol_sim_job *next = &sim->jobs[place];
        holds = holds && (one->release < next->release ||
                          (one->release == next->release && one->task <= next->task));
    }
    return holds && fol_dispatcher_invariants(sim->dispatcher);
}
