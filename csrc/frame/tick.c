/* One frame: checks, phases by their rates, and what is told about it afterwards. */

#include <errno.h>
#include <math.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"
#include "base/cycles.h"
#include "base/fork.h"
#include "foliot/status.h"
#include "frame/budget.h"
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
    memset(program->phase_cycles, 0, program->phase_count * sizeof(*program->phase_cycles));
    memset(program->phase_steps, 0, program->phase_count * sizeof(*program->phase_steps));
    scheduler->result =
        (fol_frame){.frame = scheduler->frame_number, .dt = dt, .time = scheduler->time};
    scheduler->frame_mark = scheduler->frame_number + 1;
    scheduler->run_number = 0;
    atomic_store_explicit(&scheduler->is_interrupted, false, memory_order_relaxed);
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
    uint64_t start = scheduler->runners[0].stamp;
    scheduler->tick_base = fol_world_tick(scheduler->world) + 1;
    scheduler->run_number++;
    scheduler->was_parallel = false;
    scheduler->segment_from = start;
    fol_prepare_step(scheduler, &scheduler->runners[0]);
    if (FOL_UNLIKELY(scheduler->trace != NULL)) {
        fol_begin_chain(scheduler, 0);
    }
    if (FOL_UNLIKELY(scheduler->program->budget != NULL)) {
        fol_budget_run_phase(scheduler, phase);
    } else {
        fol_backend_run(&scheduler->backend, &phase->work);
    }
    FOL_ASSERT(!scheduler->is_parallel);
    /* What happens between frames counts as later than every system of this one. */
    fol_world_set_tick(scheduler->world, scheduler->tick_base + 2 * (uint64_t)phase->count + 1);
    fol_count(scheduler->was_parallel ? &scheduler->counters.parallel_phases
                                      : &scheduler->counters.serial_phases,
              1);
    if (FOL_UNLIKELY(scheduler->trace != NULL)) {
        fol_trace_write(scheduler->trace, 0, FOL_TRACE_PHASE,
                        (uint32_t)(phase - scheduler->program->phases), scheduler->was_parallel,
                        start, scheduler->runners[0].stamp);
    }
}

static void run_phase(fol_scheduler *scheduler, uint32_t number, double dt)
{
    fol_program *program = scheduler->program;
    fol_phase *phase = &program->phases[number];
    bool is_fixed = phase->rate.kind == FOL_RATE_FIXED;
    uint32_t steps = steps_due(scheduler, phase, dt);
    uint64_t start = scheduler->runners[0].stamp;
    uint32_t step = 0;
    scheduler->phase = phase;
    scheduler->phase_nodes = program->nodes + phase->first;
    scheduler->step_dt = is_fixed ? phase->rate.step_seconds : dt;
    while (step < steps) {
        scheduler->step_time =
            scheduler->time + (is_fixed ? (double)step * phase->rate.step_seconds : 0.0);
        run_phase_once(scheduler, phase);
        step++;
        if (step % STEPS_A_POLL == 0) {
            fol_host_poll(scheduler, fol_cycles_now());
        }
        /* One more round tells who did not run; thousands would only delay the end. */
        if (fol_is_interrupted(scheduler)) {
            break;
        }
    }
    program->phase_steps[number] = step;
    program->phase_cycles[number] = scheduler->runners[0].stamp - start;
}

/* Cycles in which other workers than the caller ran nodes in this frame. Each of them notes where
 * it began, so that the caller need not ask in frames that nobody looks at. */
static uint64_t helper_cycles(const fol_scheduler *scheduler)
{
    uint64_t cycles = 0;
    for (uint32_t i = 1; i < scheduler->worker_count; i++) {
        const fol_runner *runner = &scheduler->runners[i];
        if (runner->frame_mark == scheduler->frame_mark) {
            cycles += fol_counted(&runner->busy_cycles) - runner->busy_before;
        }
    }
    return cycles;
}

/* Turns counters into the frame's result. */
static void publish_result(fol_scheduler *scheduler, uint64_t wall_ns, uint64_t cpu_ns)
{
    fol_program *program = scheduler->program;
    fol_frame *result = &scheduler->result;
    double scale = fol_ns_per_cycle(scheduler);
    fol_publish_systems(scheduler, scale);
    for (uint32_t i = 0; i < program->phase_count; i++) {
        program->phase_ns[i] = fol_cycles_scale(0, program->phase_cycles[i], scale);
    }
    fol_publish_errors(scheduler);
    result->wall_ns = wall_ns;
    result->cpu_ns = cpu_ns;
    result->systems = program->timings;
    result->system_count = program->node_count;
    result->phase_ns = program->phase_ns;
    result->phase_steps = program->phase_steps;
    result->phase_count = program->phase_count;
    result->merge_ns = fol_cycles_scale(0, scheduler->merge_cycles, scale);
    const fol_frame_io *io = fol_io_of(scheduler);
    if (io != NULL) {
        fol_backend_frame told = {0};
        fol_io_tell_frame(io, &told);
        result->io_ns = fol_cycles_scale(0, told.io_cycles, scale);
        result->io_operations = told.operations;
    }
    result->was_interrupted = fol_is_interrupted(scheduler);
}

static void count_frame(fol_scheduler *scheduler, uint64_t wall_ns)
{
    fol_frame_counters *counters = &scheduler->counters;
    uint64_t applied = 0;
    for (uint32_t kind = 0; kind < FOL_COMMAND_KINDS; kind++) {
        applied += scheduler->result.merged.applied[kind];
    }
    fol_count(&counters->frames, 1);
    fol_count(&counters->wall_ns, wall_ns);
    fol_count(&counters->commands_applied, applied);
    fol_count(&counters->commands_dropped, scheduler->result.merged.dropped);
}

static int frame_status(const fol_scheduler *scheduler)
{
    if (fol_is_interrupted(scheduler)) {
        return FOL_E_INTERRUPTED;
    }
    if (scheduler->lost_errors) {
        return -ENOMEM;
    }
    bool must_raise =
        scheduler->config.errors == FOL_ERRORS_RAISE && scheduler->result.error_count > 0;
    return must_raise ? FOL_E_FRAME : FOL_OK;
}

/* Runs the phases and what ends a frame; returns the cycles it began and ended at. */
static uint64_t run_phases(fol_scheduler *scheduler, double dt, uint64_t *end)
{
    uint64_t start = fol_cycles_now();
    uint64_t runs = 0;
    clear_frame(scheduler, dt);
    scheduler->runners[0].stamp = start;
    if (FOL_UNLIKELY(scheduler->trace != NULL)) {
        fol_trace_begin_frame(scheduler->trace, scheduler->frame_number);
    }
    fol_frame_io *io = fol_io_of(scheduler);
    if (io != NULL) {
        fol_io_begin_frame(io);
    }
    for (uint32_t i = 0; i < scheduler->program->phase_count; i++) {
        run_phase(scheduler, i, dt);
        runs += scheduler->program->phase_steps[i] != 0;
    }
    for (uint32_t i = 0; i < scheduler->worker_count; i++) {
        fol_commands_end_frame(scheduler->buffers[i]);
    }
    *end = fol_cycles_now();
    if (FOL_UNLIKELY(scheduler->trace != NULL)) {
        fol_trace_write(scheduler->trace, 0, FOL_TRACE_FRAME, (uint32_t)runs,
                        (uint32_t)scheduler->frame_number, start, *end);
    }
    return start;
}

/* What the workers did so far, ever. */
static void count_work(const fol_scheduler *scheduler, uint64_t *busy_cycles, uint64_t *nodes)
{
    *busy_cycles = 0;
    *nodes = 0;
    for (uint32_t i = 0; i < scheduler->worker_count; i++) {
        *busy_cycles += fol_counted(&scheduler->runners[i].busy_cycles);
        *nodes += fol_counted(&scheduler->runners[i].systems);
    }
}

/* Runs the phases; a backend that chooses learns what they were. */
static uint64_t run_and_tell(fol_scheduler *scheduler, double dt, uint64_t *end)
{
    fol_backend *backend = &scheduler->backend;
    if (backend->ops->end_frame == NULL) {
        return run_phases(scheduler, dt, end);
    }
    fol_frame_io *io = fol_io_of(scheduler);
    if (backend->frames_to_skip > 0 && io == NULL) {
        uint64_t began = run_phases(scheduler, dt, end);
        bool was_short = *end < began + backend->skip_cycles;
        backend->frames_to_skip = was_short ? backend->frames_to_skip - 1 : 0;
        return began;
    }
    backend->frames_to_skip = 0;
    uint64_t busy_before;
    uint64_t nodes_before;
    uint64_t busy_after;
    uint64_t nodes_after;
    count_work(scheduler, &busy_before, &nodes_before);
    uint64_t start = run_phases(scheduler, dt, end);
    count_work(scheduler, &busy_after, &nodes_after);
    fol_backend_frame frame = {.cycles = *end > start ? *end - start : 0,
                               .busy_cycles = busy_after - busy_before,
                               .nodes = (uint32_t)(nodes_after - nodes_before)};
    if (io != NULL) {
        fol_io_tell_frame(io, &frame);
    }
    backend->ops->end_frame(backend, &frame);
    atomic_store_explicit(&scheduler->counters.switches, backend->switches, memory_order_relaxed);
    if (io != NULL) {
        fol_io_end_frame(io);
    }
    return start;
}

/* Runs a frame; its full result is made only when somebody can look at it: when it is the last of
 * its batch, or failed. */
static int run_frame(fol_scheduler *scheduler, double dt, bool is_last)
{
    if (is_last) {
        /* The clock may be the host's. */
        fol_host_set_attached(scheduler, &scheduler->runners[0], true);
    }
    uint64_t cpu_start = is_last ? thread_cpu_ns() : 0;
    uint64_t wall_start = is_last ? clock_now(scheduler) : 0;
    uint64_t end;
    bool is_governed = scheduler->program->budget != NULL;
    if (FOL_UNLIKELY(is_governed && is_last)) {
        fol_budget_settle_frame(scheduler);
    }
    uint64_t start = run_and_tell(scheduler, dt, &end);
    fol_host_poll(scheduler, end);
    if (FOL_UNLIKELY(is_governed)) {
        fol_budget_settle_frame(scheduler);
    }
    if (is_last) {
        fol_host_set_attached(scheduler, &scheduler->runners[0], true);
    }
    double scale = fol_ns_per_cycle(scheduler);
    uint64_t wall_ns =
        is_last ? clock_now(scheduler) - wall_start : fol_cycles_scale(start, end, scale);
    scheduler->frame_number++;
    scheduler->time += dt;
    count_frame(scheduler, wall_ns);
    int status = frame_status(scheduler);
    if (is_last || status != FOL_OK) {
        /* Under a clock that is not the machine's, and on a frame too short to tell, the last known
         * ratio is better than this frame's. */
        if (is_last && scheduler->config.clock.now_ns == fol_clock_monotonic.now_ns &&
            end > start && wall_ns > 10000) {
            scale = (double)wall_ns / (double)(end - start);
            atomic_store_explicit(&scheduler->ns_per_cycle, scale, memory_order_relaxed);
        }
        uint64_t cpu_ns = is_last ? thread_cpu_ns() - cpu_start : wall_ns;
        cpu_ns += fol_cycles_scale(0, helper_cycles(scheduler), scale);
        publish_result(scheduler, wall_ns, cpu_ns);
    }
    return status;
}

static void end_drive(fol_scheduler *scheduler)
{
    FOL_ASSERT(atomic_load_explicit(&scheduler->is_driven, memory_order_relaxed));
    fol_host_set_attached(scheduler, &scheduler->runners[0], true);
    fol_world_unlock(scheduler->world);
    /* Release pairs with the acquire in begin_drive. */
    atomic_store_explicit(&scheduler->is_driven, false, memory_order_release);
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
    scheduler->runners[0].is_attached = true;
    scheduler->last_poll = fol_cycles_now();
    if (FOL_UNLIKELY(scheduler->program->budget != NULL)) {
        fol_budget_set_workers(scheduler);
    }
    fol_frame_io *io = fol_io_of(scheduler);
    status = io == NULL ? FOL_OK : fol_io_begin_drive(io);
    if (status != FOL_OK) {
        end_drive(scheduler);
    }
    return status;
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
