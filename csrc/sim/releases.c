/* Releases: when the next job of each task comes, and how jobs wait for one another.
 *
 * Each task draws from a generator of its own, so that a task's releases do not depend on the
 * others. Releases of a task never overtake one another: one that jitter would put before the last
 * comes with it.
 */

#include "sim/sim_state.h"

#include "base/assert.h"

__extension__ typedef unsigned __int128 wide;

/* 0 .. most, all but evenly: the product's upper half. */
static int64_t draw_up_to(fol_rng *rng, int64_t most)
{
    if (most == 0) {
        return 0;
    }
    wide product = (wide)fol_rng_next(rng) * ((uint64_t)most + 1);
    return (int64_t)(product >> 64);
}

/* Sets the release at source->nominal, unless the simulation ends before. */
static void set_release(fol_sim *sim, uint32_t task, int64_t earliest)
{
    fol_sim_source *source = &sim->sources[task];
    int64_t time = FOL_TIME_NEVER;
    if (source->nominal < sim->until) {
        time = source->nominal + draw_up_to(&source->rng, source->jitter);
        time = time < earliest ? earliest : time;
    }
    fol_tournament_set(&sim->releases, task, time < sim->until ? time : FOL_TIME_NEVER);
}

void fol_sim_begin_releases(fol_sim *sim, uint32_t task)
{
    set_release(sim, task, 0);
}

/* Gives the dispatcher the current job, or the first behind it that it takes. */
static void offer(fol_sim *sim, uint32_t task)
{
    fol_sim_source *source = &sim->sources[task];
    /* Bounded: each turn but the last uses up a job that waits. */
    while (source->current != FOL_SIM_NO_JOB) {
        const fol_sim_job *job = &sim->jobs[source->current];
        source->done = 0;
        source->need = source->costs[source->cost_next];
        source->cost_next = source->cost_next + 1 == source->cost_count ? 0 : source->cost_next + 1;
        const fol_job_options options = {
            .release = job->release,
            .deadline = job->deadline,
            .expected = source->wcet,
            .next_release = source->nominal,
        };
        if (fol_dispatcher_release(sim->dispatcher, task, &options, sim->now) ==
            FOL_RELEASE_TAKEN) {
            return;
        }
        fol_sim_end_job(sim, task, FOL_SIM_DENIED, FOL_SIM_NEVER);
    }
}

static void release_one(fol_sim *sim, uint32_t task)
{
    fol_sim_source *source = &sim->sources[task];
    const fol_sim_job job = {
        .release = sim->now,
        .start = FOL_SIM_NEVER,
        .finish = FOL_SIM_NEVER,
        .deadline = source->nominal + source->deadline,
        .task = task,
        .cpu = FOL_SIM_NO_CPU,
    };
    uint64_t place = fol_sim_log_job(sim, &job);
    source->nominal += source->period;
    if (source->nominal < sim->until) {
        source->nominal += draw_up_to(&source->rng, source->gap);
    }
    set_release(sim, task, sim->now);
    if (source->current == FOL_SIM_NO_JOB) {
        source->current = place;
        source->last = place;
        offer(sim, task);
    } else {
        sim->jobs[source->last].finish = (int64_t)place;
        source->last = place;
    }
}

void fol_sim_release(fol_sim *sim)
{
    for (uint32_t index = 0; index < sim->due_count; index++) {
        offer(sim, sim->due[index]);
    }
    sim->due_count = 0;
    /* Bounded: each turn logs a job, and room for them is bounded. */
    while (fol_tournament_time(&sim->releases) == sim->now) {
        release_one(sim, fol_tournament_first(&sim->releases));
    }
}

void fol_sim_end_job(fol_sim *sim, uint32_t task, fol_sim_outcome outcome, int64_t finish)
{
    fol_sim_source *source = &sim->sources[task];
    FOL_ASSERT(source->current != FOL_SIM_NO_JOB);
    fol_sim_job *job = &sim->jobs[source->current];
    int64_t next = job->finish;
    job->finish = finish;
    job->outcome = (uint16_t)outcome;
    source->current = next == FOL_SIM_NEVER ? FOL_SIM_NO_JOB : (uint64_t)next;
}

void fol_sim_end_releases(fol_sim *sim)
{
    for (uint32_t task = 0; task < sim->task_count; task++) {
        /* Bounded by the jobs that wait. */
        while (sim->sources[task].current != FOL_SIM_NO_JOB) {
            fol_sim_end_job(sim, task, FOL_SIM_UNFINISHED, FOL_SIM_NEVER);
        }
    }
}
