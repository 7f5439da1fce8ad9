/* One frame: checks, phases by their rates, and what is told about it afterwards. */

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"
#include "base/cycles.h"
#include "base/fork.h"
#include "foliot/status.h"
#include "frame/frame.h"

/* Of a step: far above the rounding of a sum of two times, far below what anybody can measure. */
#define STEP_TOLERANCE 1e-9

/* Steps of a fixed-rate phase between two looks at the host; its systems may all be off. */
#define STEPS_A_POLL 1024u

static uint64_t thread_cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

static uint64_t clock_now(const fol_scheduler *scheduler)
{
    return scheduler->config.clock.now_ns(scheduler->config.clock.state);
}

static void clear_frame(fol_scheduler *scheduler, double dt)
{
    fol_program *program = scheduler->program;
    memset(program->frames, 0, program->node_count * sizeof(*program->frames));
    memset(program->phase_cycles, 0, program->phase_count * sizeof(*program->phase_cycles));
    memset(program->phase_steps, 0, program->phase_count * sizeof(*program->phase_steps));
    scheduler->result =
        (fol_frame){.frame = scheduler->frame_number, .dt = dt, .time = scheduler->time};
    scheduler->is_interrupted = false;
    scheduler->lost_errors = false;
    scheduler->merge_cycles = 0;
}

/* Adds without wrapping; a double beyond the range counts as the greatest number. */
static void add_dropped(uint64_t *total, double steps)
{
    uint64_t dropped = steps < 0x1p64 ? (uint64_t)steps : UINT64_MAX;
    if (__builtin_add_overflow(*total, dropped, total)) {
        *total = UINT64_MAX;
    }
}

/* Steps of a fixed-rate phase. A step that rounding alone keeps from being due is due, and what it
 * lacks is owed as a negative rest: so no step is lost or gained however many frames go by. */
static uint32_t take_steps(fol_scheduler *scheduler, fol_phase *phase, double dt)
{
    double step = phase->rate.step_seconds;
    double most = (double)phase->rate.max_steps;
    double owed = phase->owed + dt;
    double steps = floor(owed / step + STEP_TOLERANCE);
    double rest = fma(-steps, step, owed);
    FOL_ASSERT(step > 0.0 && most >= 1.0);
    /* Of a time too long for its steps to be counted exactly no rest is known. */
    phase->owed = fabs(rest) <= step ? rest : 0.0;
    if (steps > most) {
        add_dropped(&scheduler->result.dropped_steps, steps - most);
        steps = most;
    }
    return steps > 0.0 ? (uint32_t)steps : 0;
}

/* How often the phase runs in this frame. */
static uint32_t steps_due(fol_scheduler *scheduler, fol_phase *phase, double dt)
{
    if (phase->rate.kind == FOL_RATE_FRAMES) {
        return scheduler->frame_number % phase->rate.every == 0 ? 1 : 0;
    }
    return take_steps(scheduler, phase, dt);
}

static void run_phase_once(fol_scheduler *scheduler, fol_phase *phase)
{
    scheduler->tick_base = fol_world_tick(scheduler->world) + 1;
    const fol_work work = {.node_count = phase->count,
                           .segment_ends = phase->segment_ends,
                           .segment_count = phase->segment_count};
    fol_backend_run(&scheduler->backend, &work);
    /* What happens between frames counts as later than every system of this one. */
    fol_world_set_tick(scheduler->world, scheduler->tick_base + 2 * (uint64_t)phase->count + 1);
}

static void run_phases(fol_scheduler *scheduler, double dt)
{
    fol_program *program = scheduler->program;
    for (uint32_t i = 0; i < program->phase_count; i++) {
        fol_phase *phase = &program->phases[i];
        uint32_t steps = steps_due(scheduler, phase, dt);
        scheduler->phase = phase;
        scheduler->phase_nodes = program->nodes + phase->first;
        scheduler->phase_frames = program->frames + phase->first;
        bool is_fixed = phase->rate.kind == FOL_RATE_FIXED;
        scheduler->task.dt = is_fixed ? phase->rate.step_seconds : dt;
        uint64_t start = scheduler->stamp;
        uint32_t step = 0;
        while (step < steps) {
            scheduler->task.time =
                scheduler->time + (is_fixed ? (double)step * phase->rate.step_seconds : 0.0);
            run_phase_once(scheduler, phase);
            step++;
            if (step % STEPS_A_POLL == 0) {
                fol_host_poll(scheduler, fol_cycles_now());
            }
            /* One more round tells who did not run; thousands would only delay the end. */
            if (scheduler->is_interrupted) {
                break;
            }
        }
        program->phase_steps[i] = step;
        program->phase_cycles[i] = scheduler->stamp - start;
    }
}

/* By system, then as they happened: the library's sort need not be stable. */
static int compare_errors(const void *a, const void *b)
{
    const fol_frame_error *first = a;
    const fol_frame_error *second = b;
    if (first->system != second->system) {
        return first->system < second->system ? -1 : 1;
    }
    return first->sequence < second->sequence ? -1 : 1;
}

/* Turns counters into the frame's result. */
static void publish_result(fol_scheduler *scheduler, uint64_t wall_ns, uint64_t cpu_ns)
{
    fol_program *program = scheduler->program;
    fol_frame *result = &scheduler->result;
    FOL_ASSERT(result->quarantined_count <= program->node_count);
    FOL_ASSERT(result->error_count <= scheduler->error_room);
    double scale = scheduler->ns_per_cycle;
    for (uint32_t i = 0; i < program->node_count; i++) {
        const fol_node_frame *frame = &program->frames[i];
        program->timings[program->nodes[i].system] =
            (fol_system_timing){.wall_ns = fol_cycles_scale(0, frame->cycles, scale),
                                .rows = frame->rows,
                                .tasks = frame->tasks,
                                .worker = 0,
                                .state = frame->state};
    }
    for (uint32_t i = 0; i < program->phase_count; i++) {
        program->phase_ns[i] = fol_cycles_scale(0, program->phase_cycles[i], scale);
    }
    if (result->error_count > 1) {
        qsort(scheduler->errors, result->error_count, sizeof(*scheduler->errors), compare_errors);
    }
    result->wall_ns = wall_ns;
    result->cpu_ns = cpu_ns;
    result->systems = program->timings;
    result->system_count = program->node_count;
    result->phase_ns = program->phase_ns;
    result->phase_steps = program->phase_steps;
    result->phase_count = program->phase_count;
    result->merge_ns = fol_cycles_scale(0, scheduler->merge_cycles, scale);
    result->errors = scheduler->errors;
    result->quarantined = program->quarantined;
    result->was_interrupted = scheduler->is_interrupted;
}

static void count_frame(fol_scheduler *scheduler, uint64_t wall_ns)
{
    fol_scheduler_stats *stats = &scheduler->stats;
    stats->frames++;
    stats->wall_ns += wall_ns;
    for (uint32_t kind = 0; kind < FOL_COMMAND_KINDS; kind++) {
        stats->commands_applied += scheduler->result.merged.applied[kind];
    }
    stats->commands_dropped += scheduler->result.merged.dropped;
}

static int frame_status(const fol_scheduler *scheduler)
{
    if (scheduler->is_interrupted) {
        return FOL_E_INTERRUPTED;
    }
    if (scheduler->lost_errors) {
        return -ENOMEM;
    }
    bool must_raise =
        scheduler->config.errors == FOL_ERRORS_RAISE && scheduler->result.error_count > 0;
    return must_raise ? FOL_E_FRAME : FOL_OK;
}

/* Runs a frame; its full result is made only when somebody can look at it: when it is the last of
 * its batch, or failed. */
static int run_frame(fol_scheduler *scheduler, double dt, bool is_last)
{
    if (is_last) {
        /* The clock may be the host's. */
        fol_host_set_attached(scheduler, true);
    }
    uint64_t cpu_start = is_last ? thread_cpu_ns() : 0;
    uint64_t wall_start = is_last ? clock_now(scheduler) : 0;
    uint64_t start = fol_cycles_now();
    clear_frame(scheduler, dt);
    scheduler->stamp = start;
    scheduler->task.frame = scheduler->frame_number;
    run_phases(scheduler, dt);
    fol_commands_end_frame(scheduler->commands);

    uint64_t end = fol_cycles_now();
    fol_host_poll(scheduler, end);
    if (is_last) {
        fol_host_set_attached(scheduler, true);
    }
    uint64_t wall_ns = is_last ? clock_now(scheduler) - wall_start
                               : fol_cycles_scale(start, end, scheduler->ns_per_cycle);
    scheduler->frame_number++;
    scheduler->time += dt;
    count_frame(scheduler, wall_ns);
    int status = frame_status(scheduler);
    if (is_last || status != FOL_OK) {
        /* Under a clock that is not the machine's, and on a frame too short to tell, the last known
         * ratio is better than this frame's. */
        if (is_last && scheduler->config.clock.now_ns == fol_clock_monotonic.now_ns &&
            end > start && wall_ns > 10000) {
            scheduler->ns_per_cycle = (double)wall_ns / (double)(end - start);
        }
        publish_result(scheduler, wall_ns, is_last ? thread_cpu_ns() - cpu_start : wall_ns);
    }
    return status;
}

/* Takes the scheduler and the world for a batch of frames. */
static int begin_drive(fol_scheduler *scheduler, double dt)
{
    if (fol_fork_generation() != scheduler->fork_generation) {
        return FOL_E_FORKED;
    }
    if (!isfinite(dt) || dt < 0.0 || dt > scheduler->config.max_dt) {
        return FOL_E_VALUE;
    }
    /* Acquire pairs with the release in end_drive: the next driver sees all of the last frame. */
    if (atomic_exchange_explicit(&scheduler->is_driven, true, memory_order_acquire)) {
        return FOL_E_BUSY;
    }
    int status = fol_world_lock(scheduler->world);
    if (status != FOL_OK) {
        atomic_store_explicit(&scheduler->is_driven, false, memory_order_release);
        return status;
    }
    scheduler->is_attached = true;
    scheduler->last_poll = fol_cycles_now();
    return FOL_OK;
}

static void end_drive(fol_scheduler *scheduler)
{
    FOL_ASSERT(atomic_load_explicit(&scheduler->is_driven, memory_order_relaxed));
    fol_host_set_attached(scheduler, true);
    fol_world_unlock(scheduler->world);
    /* Release pairs with the acquire in begin_drive. */
    atomic_store_explicit(&scheduler->is_driven, false, memory_order_release);
}

int fol_scheduler_tick(fol_scheduler *scheduler, double dt)
{
    int status = begin_drive(scheduler, dt);
    if (status != FOL_OK) {
        return status;
    }
    status = run_frame(scheduler, dt, true);
    end_drive(scheduler);
    return status;
}

int fol_scheduler_tick_many(fol_scheduler *scheduler, uint64_t count, double dt, uint64_t *done)
{
    *done = 0;
    int status = begin_drive(scheduler, dt);
    if (status != FOL_OK) {
        return status;
    }
    while (*done < count && status == FOL_OK) {
        status = run_frame(scheduler, dt, *done + 1 == count);
        *done += 1;
    }
    end_drive(scheduler);
    return status;
}
