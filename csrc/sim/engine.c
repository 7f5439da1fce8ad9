/* The engine: moves time from one instant to the next and does what is due there.
 *
 * All that decides is the dispatcher, which gets the calls that a live runner makes: a job is
 * released, a CPU without work asks for some, what runs reached a point. The engine knows when
 * those points are: at the end of the job; where jobs can be preempted anywhere, at the end of what
 * the dispatcher granted and wherever it wants something else to run; where they are cut into
 * chunks, after each chunk.
 */

#include "sim/sim_state.h"

#include "base/assert.h"

static bool is_idle(const fol_sim *sim, uint32_t cpu)
{
    return (sim->idle[cpu / 64] >> (cpu % 64) & 1) != 0;
}

/* How long what begins to run now goes on before the dispatcher is asked. */
static int64_t time_to_point(const fol_sim *sim, const fol_sim_source *source, int64_t granted)
{
    int64_t rest = source->need - source->done;
    int64_t time = rest;
    if (sim->preemption == FOL_SIM_PREEMPT_FULL) {
        time = granted < rest ? granted : rest;
    } else if (sim->preemption == FOL_SIM_PREEMPT_CHUNK && source->chunk > 0) {
        int64_t chunk = source->chunk - source->done % source->chunk;
        time = chunk < rest ? chunk : rest;
    }
    if (source->done + time < source->section) {
        int64_t locked = source->section - source->done;
        time = locked < rest ? locked : rest;
    }
    return time;
}

static void go_on(fol_sim *sim, uint32_t cpu, int64_t begun, const fol_grant *grant)
{
    fol_sim_worker *worker = &sim->workers[cpu];
    const fol_sim_source *source = &sim->sources[worker->task];
    FOL_ASSERT(grant->time >= 1 && source->done < source->need);
    worker->begun = begun;
    fol_tournament_set(&sim->points, cpu, begun + time_to_point(sim, source, grant->time));
}

/* What the CPU spends before what it was given goes on there. */
static int64_t cost_of(fol_sim *sim, uint32_t cpu, const fol_grant *grant)
{
    int64_t cost = grant->is_switch ? sim->switch_cost : 0;
    if (grant->moved_from != FOL_NO_CPU) {
        fol_sim_distance distance = fol_sim_distance_of(sim->machine, grant->moved_from, cpu);
        sim->moves.migrations[distance] += 1;
        cost += sim->migration_costs[distance];
    }
    if (grant->is_stolen) {
        fol_sim_distance distance = fol_sim_distance_of(sim->machine, grant->victim, cpu);
        sim->moves.steals[distance] += 1;
        cost += sim->steal_costs[distance];
    }
    return cost;
}

static void begin_to_run(fol_sim *sim, uint32_t cpu, const fol_grant *grant)
{
    fol_sim_worker *worker = &sim->workers[cpu];
    FOL_ASSERT(worker->task == FOL_NO_RUNNABLE && grant->runnable < sim->task_count);
    int64_t cost = cost_of(sim, cpu, grant);
    worker->task = grant->runnable;
    worker->came = sim->now + cost;
    sim->idle[cpu / 64] &= ~(UINT64_C(1) << (cpu % 64));
    go_on(sim, cpu, sim->now + cost, grant);
    if (cost > 0) {
        int64_t left = sim->until - sim->now;
        worker->use.costs += cost < left ? cost : left;
        const fol_sim_segment segment = {
            .start = sim->now,
            .end = sim->now + (cost < left ? cost : left),
            .job = sim->sources[worker->task].current,
            .cpu = cpu,
            .is_cost = 1,
        };
        if (sim->keeps_segments) {
            fol_sim_log_segment(sim, &segment);
        }
    }
}

/* Work for idle CPUs, in their order. */
static void fill_idle(fol_sim *sim)
{
    uint32_t words = (sim->cpu_count + 63) / 64;
    for (uint32_t word = 0; word < words; word++) {
        uint64_t left = sim->idle[word];
        while (left != 0 && fol_dispatcher_ready_count(sim->dispatcher) > 0) {
            uint32_t cpu = word * 64 + (uint32_t)__builtin_ctzll(left);
            left &= left - 1;
            fol_grant grant;
            if (fol_dispatcher_pick(sim->dispatcher, cpu, sim->now, &grant)) {
                begin_to_run(sim, cpu, &grant);
            }
        }
    }
}

/* The CPU is free: its job went off it or is over. */
static void stop_running(fol_sim *sim, uint32_t cpu, fol_ran ran, fol_point point)
{
    fol_sim_worker *worker = &sim->workers[cpu];
    uint32_t task = worker->task;
    if (sim->keeps_segments && sim->now > worker->came) {
        const fol_sim_segment segment = {
            .start = worker->came,
            .end = sim->now,
            .job = sim->sources[task].current,
            .cpu = cpu,
        };
        fol_sim_log_segment(sim, &segment);
    }
    worker->task = FOL_NO_RUNNABLE;
    fol_tournament_set(&sim->points, cpu, FOL_TIME_NEVER);
    sim->idle[cpu / 64] |= UINT64_C(1) << (cpu % 64);
    if (ran == FOL_RAN_OFF) {
        return;
    }
    if (point == FOL_POINT_DONE) {
        fol_sim_end_job(sim, task, FOL_SIM_DONE, sim->now);
    } else {
        fol_sim_end_job(sim, task, FOL_SIM_DROPPED, FOL_SIM_NEVER);
    }
    if (sim->sources[task].current != FOL_SIM_NO_JOB) {
        FOL_ASSERT(sim->due_count < sim->cpu_count);
        sim->due[sim->due_count++] = task;
    }
}

/* Tells the dispatcher how far what runs on the CPU got. */
static void reach_point(fol_sim *sim, uint32_t cpu)
{
    fol_sim_worker *worker = &sim->workers[cpu];
    fol_sim_source *source = &sim->sources[worker->task];
    int64_t used = sim->now > worker->begun ? sim->now - worker->begun : 0;
    if (used > 0) {
        fol_sim_job *job = &sim->jobs[source->current];
        job->start = job->start == FOL_SIM_NEVER ? worker->begun : job->start;
        job->cpu = (uint16_t)cpu;
        source->done += used;
        worker->use.busy += used;
    }
    FOL_ASSERT(source->done <= source->need);
    fol_point point = source->done == source->need ? FOL_POINT_DONE : FOL_POINT_MORE;
    fol_grant grant;
    fol_ran ran = fol_dispatcher_ran(sim->dispatcher, cpu, used, sim->now, point, &grant);
    if (ran == FOL_RAN_ON) {
        FOL_ASSERT(point == FOL_POINT_MORE);
        go_on(sim, cpu, sim->now > worker->begun ? sim->now : worker->begun, &grant);
    } else {
        stop_running(sim, cpu, ran, point);
    }
}

static void reach_points(fol_sim *sim)
{
    /* Bounded: whatever goes on has its next point later, so each CPU is here once. */
    while (fol_tournament_time(&sim->points) == sim->now) {
        reach_point(sim, fol_tournament_first(&sim->points));
    }
}

/* What runs on the CPU gives way now, or at the first point at which it can. True: it was asked. */
static bool ask_to_give_way(fol_sim *sim, uint32_t cpu)
{
    const fol_sim_worker *worker = &sim->workers[cpu];
    const fol_sim_source *source = &sim->sources[worker->task];
    int64_t locked = source->section - source->done;
    int64_t first = worker->begun + (locked > 0 ? locked : 0);
    if (first <= sim->now) {
        reach_point(sim, cpu);
        return true;
    }
    if (first < fol_tournament_get(&sim->points, cpu)) {
        fol_tournament_set(&sim->points, cpu, first);
    }
    return false;
}

/* Where jobs can be preempted anywhere, what runs gives way to what should. */
static void preempt(fol_sim *sim)
{
    /* Bounded: each turn asks a CPU, whose displacement is over then. What it makes room for may
     * displace another one where CPU sets differ, so some CPUs may be asked more than once. */
    for (uint32_t asked = 0; asked < 4 * sim->cpu_count; asked++) {
        uint32_t cpu = fol_dispatcher_displaced(sim->dispatcher, sim->now);
        if (cpu == FOL_NO_CPU) {
            return;
        }
        FOL_ASSERT(!is_idle(sim, cpu));
        if (!ask_to_give_way(sim, cpu)) {
            break;
        }
        fol_sim_release(sim);
        fill_idle(sim);
    }
    for (uint32_t cpu = 0; cpu < sim->cpu_count; cpu++) {
        if (!is_idle(sim, cpu) && fol_dispatcher_is_displaced(sim->dispatcher, cpu)) {
            ask_to_give_way(sim, cpu);
        }
    }
    fol_sim_release(sim);
    fill_idle(sim);
}

static int64_t next_instant(const fol_sim *sim)
{
    int64_t release = fol_tournament_time(&sim->releases);
    int64_t point = fol_tournament_time(&sim->points);
    int64_t refill = fol_dispatcher_next(sim->dispatcher);
    int64_t first = release < point ? release : point;
    return refill < first ? refill : first;
}

static void do_instant(fol_sim *sim)
{
    reach_points(sim);
    if (fol_dispatcher_next(sim->dispatcher) <= sim->now) {
        fol_dispatcher_advance(sim->dispatcher, sim->now);
    }
    fol_sim_release(sim);
    fill_idle(sim);
    if (sim->preemption == FOL_SIM_PREEMPT_FULL) {
        preempt(sim);
    }
    if (sim->sample_every > 0 && sim->now >= sim->next_sample) {
        fol_sim_log_sample(sim);
    }
}

/* The last instant: what ends, ends; what runs is charged for what it did. */
static void end(fol_sim *sim)
{
    sim->now = sim->until;
    reach_points(sim);
    for (uint32_t cpu = 0; cpu < sim->cpu_count; cpu++) {
        if (!is_idle(sim, cpu)) {
            reach_point(sim, cpu);
        }
    }
    for (uint32_t cpu = 0; cpu < sim->cpu_count; cpu++) {
        if (!is_idle(sim, cpu)) {
            stop_running(sim, cpu, FOL_RAN_OFF, FOL_POINT_MORE);
        }
    }
    sim->due_count = 0;
    fol_sim_end_releases(sim);
    sim->is_over = true;
}

int fol_sim_step(fol_sim *sim, uint64_t events)
{
    /* One instant may release a job of each task, so releases count as well. */
    uint64_t before = sim->job_count;
    uint64_t instants = 0;
    while (instants + (sim->job_count - before) < events && !sim->is_over && sim->status == 0) {
        int64_t next = next_instant(sim);
        FOL_ASSERT(next >= sim->now);
        if (next >= sim->until) {
            end(sim);
        } else {
            sim->now = next;
            do_instant(sim);
        }
        instants += 1;
        FOL_CHECK_INVARIANTS(FOL_ASSERT(sim->job_count > 4096 || fol_sim_invariants(sim)));
    }
    return sim->status < 0 ? sim->status : sim->is_over ? 1 : 0;
}
