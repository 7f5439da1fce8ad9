/* The life of a scheduler, and what can be asked of it between frames. */

#include <errno.h>
#include <math.h>
#include <string.h>

#include "backend/crew.h"
#include "base/assert.h"
#include "base/cycles.h"
#include "base/fork.h"
#include "foliot/status.h"
#include "frame/budget.h"
#include "frame/frame.h"

/* Nanoseconds of the first measurement of the cycle counter, and between two looks at the host. */
#define CALIBRATION_NS 20000u
#define POLL_NS        2000000u

const fol_scheduler_config fol_scheduler_config_default = {
    .backend = "stealing",
    .max_dt = 1000.0,
    .errors = FOL_ERRORS_RAISE,
    .quarantine_after = 3,
    .max_commands = 65536,
    .command_bytes = (size_t)256 << 20,
    .target_task_seconds = 50e-6,
    .max_io = 65536,
    .max_io_threads = 16,
    .adaptive = {.window = 32, .cooldown = 64, .least_gain = 0.05, .least_operations = 8.0},
    .clock = {NULL, NULL, NULL},
};

static bool rate_is_valid(const fol_phase_rate *rate)
{
    if (rate->kind == FOL_RATE_FRAMES) {
        return rate->every > 0;
    }
    return rate->kind == FOL_RATE_FIXED && isfinite(rate->step_seconds) &&
           rate->step_seconds > 0.0 && rate->max_steps > 0;
}

static int check_arguments(const fol_plan *plan, const fol_phase_rate *rates,
                           const fol_scheduler_config *config)
{
    for (uint32_t i = 0; rates != NULL && i < fol_plan_phase_count(plan); i++) {
        if (!rate_is_valid(&rates[i])) {
            return FOL_E_VALUE;
        }
    }
    bool is_valid = isfinite(config->max_dt) && config->max_dt >= 0.0 && config->max_commands > 0 &&
                    config->command_bytes > 0 && isfinite(config->target_task_seconds) &&
                    config->target_task_seconds > 0.0 &&
                    (config->errors != FOL_ERRORS_QUARANTINE || config->quarantine_after > 0);
    return is_valid ? FOL_OK : FOL_E_VALUE;
}

/* How long a cycle of the counter is, before the first frame can tell. */
static void calibrate_cycles(fol_scheduler *scheduler)
{
    uint64_t start_ns = fol_clock_monotonic.now_ns(NULL);
    uint64_t start = fol_cycles_now();
    uint64_t now_ns = start_ns;
    while (now_ns - start_ns < CALIBRATION_NS) {
        now_ns = fol_clock_monotonic.now_ns(NULL);
    }
    uint64_t cycles = fol_cycles_now() - start;
    double scale = cycles == 0 ? 1.0 : (double)(now_ns - start_ns) / (double)cycles;
    atomic_init(&scheduler->ns_per_cycle, scale);
    scheduler->poll_cycles = (uint64_t)(POLL_NS / scale);
    scheduler->target_cycles = scheduler->config.target_task_seconds * 1e9 / scale;
    scheduler->origin_cycles = start;
    scheduler->origin_ns = start_ns;
}

/* A ring for each worker there will be at most: the backend gets the trace when it is made. */
static int create_trace(fol_scheduler *scheduler)
{
    const fol_backend_config wanted = {.workers = scheduler->config.workers};
    uint32_t records = scheduler->config.trace_records;
    if (records == 0) {
        return FOL_OK;
    }
    int status = fol_trace_create(fol_crew_size(&wanted), records, &scheduler->trace);
    if (status == FOL_OK) {
        fol_trace_on_wrap(scheduler->trace, fol_settle_trace, scheduler);
    }
    return status;
}

/* NULL unless the policy has something to say, since to ask takes a lock. */
static bool (*choose_backend(const fol_scheduler_config *config))(void *, fol_policy_load *,
                                                                  uint32_t *)
{
    const fol_policy_slots *slots = config->policy.slots;
    return slots != NULL && slots->backend != NULL ? fol_budget_choose_backend : NULL;
}

static int init_backend(fol_scheduler *scheduler)
{
    const fol_scheduler_config *config = &scheduler->config;
    const fol_backend_config backend = {
        .name = config->backend,
        .workers = config->workers,
        .require_workers = config->require_workers,
        .steal_batch = config->steal_batch,
        .seed = config->seed,
        .calls = {.state = scheduler,
                  .run_node = scheduler->trace == NULL ? fol_run_node : fol_run_traced_node,
                  .begin_node = fol_begin_node,
                  .run_piece = fol_run_piece,
                  .end_node = fol_end_node,
                  .merge = fol_run_merge,
                  .release_host = fol_release_host,
                  .turn = fol_turn,
                  .poll = fol_poll,
                  .begin_parallel = fol_begin_parallel,
                  .end_parallel = fol_end_parallel,
                  .node_cost = fol_node_cost,
                  .choose_backend = choose_backend(config),
                  .note_switch = fol_budget_note_switch},
        .poll_ns = POLL_NS,
        .trace = scheduler->trace,
        .adaptive = config->adaptive,
    };
    return fol_backend_init(&scheduler->backend, &backend);
}

static fol_scheduler *allocate_scheduler(fol_world *world, const fol_scheduler_config *config)
{
    fol_scheduler *scheduler = fol_alloc_aligned(sizeof(*scheduler));
    if (scheduler == NULL) {
        return NULL;
    }
    memset(scheduler, 0, sizeof(*scheduler));
    pthread_mutex_init(&scheduler->lock, NULL);
    scheduler->world = world;
    scheduler->config = *config;
    if (config->clock.now_ns == NULL) {
        scheduler->config.clock = fol_clock_monotonic;
    }
    scheduler->fork_generation = fol_fork_generation();
    return scheduler;
}

static void free_scheduler(fol_scheduler *scheduler)
{
    pthread_mutex_destroy(&scheduler->lock);
    fol_free(scheduler->kept);
    fol_free(scheduler->errors);
    fol_free(scheduler);
}

int fol_scheduler_create(fol_world *world, const fol_plan *plan, const fol_system *systems,
                         const fol_phase_rate *rates, const fol_scheduler_config *config,
                         fol_scheduler **out)
{
    int status = check_arguments(plan, rates, config);
    if (status != FOL_OK) {
        return status;
    }
    status = fol_fork_watch();
    if (status != FOL_OK) {
        return status;
    }
    fol_scheduler *scheduler = allocate_scheduler(world, config);
    if (scheduler == NULL) {
        return -ENOMEM;
    }
    calibrate_cycles(scheduler);
    status = create_trace(scheduler);
    if (status != FOL_OK) {
        goto fail_trace;
    }
    status = init_backend(scheduler);
    if (status != FOL_OK) {
        goto fail_backend;
    }
    status = fol_runners_create(scheduler);
    if (status != FOL_OK) {
        goto fail_runners;
    }
    status =
        fol_program_create(world, &scheduler->backend, plan, systems, rates, &scheduler->program);
    if (status != FOL_OK) {
        goto fail_program;
    }
    status = fol_budget_prepare(scheduler, scheduler->program, NULL, systems);
    if (status != FOL_OK) {
        goto fail_io;
    }
    status = fol_io_ensure(scheduler, plan);
    if (status != FOL_OK) {
        goto fail_io;
    }
    fol_budget_commit(scheduler, scheduler->program, NULL);
    *out = scheduler;
    return FOL_OK;

fail_io:
    fol_budget_destroy(fol_budget_of_any(scheduler));
    fol_program_destroy(scheduler->program);
fail_program:
    fol_runners_destroy(scheduler);
fail_runners:
    fol_backend_deinit(&scheduler->backend);
fail_backend:
    fol_trace_destroy(scheduler->trace);
fail_trace:
    free_scheduler(scheduler);
    return status;
}

void fol_scheduler_destroy(fol_scheduler *scheduler)
{
    if (scheduler == NULL) {
        return;
    }
    bool is_forked = fol_fork_generation() != scheduler->fork_generation;
    bool is_driven = atomic_load_explicit(&scheduler->is_driven, memory_order_relaxed);
    if (is_driven && is_forked) {
        /* Copied in the middle of a frame of a thread that this process does not have: nothing here
         * can be trusted, so it is left as it is. */
        return;
    }
    FOL_ASSERT(!is_driven);
    fol_io_end(scheduler);
    fol_budget_destroy(fol_budget_of_any(scheduler));
    fol_program_destroy(scheduler->program);
    fol_backend_deinit(&scheduler->backend);
    fol_runners_destroy(scheduler);
    fol_trace_destroy(scheduler->trace);
    free_scheduler(scheduler);
}

int fol_begin_change(fol_scheduler *scheduler)
{
    if (fol_fork_generation() != scheduler->fork_generation) {
        return FOL_E_FORKED;
    }
    /* Acquire pairs with the release of the last driver. */
    if (atomic_exchange_explicit(&scheduler->is_driven, true, memory_order_acquire)) {
        return FOL_E_BUSY;
    }
    return FOL_OK;
}

void fol_end_change(fol_scheduler *scheduler)
{
    /* Release pairs with the acquire of the next driver. */
    atomic_store_explicit(&scheduler->is_driven, false, memory_order_release);
}

/* Commands that wait for another merge keep their stamps, so the new program's come after. */
static uint32_t next_first_order(const fol_scheduler *scheduler)
{
    uint64_t next = (uint64_t)scheduler->first_order + scheduler->program->node_count;
    bool has_room = next + FOL_SCHEDULE_MAX_SYSTEMS <= UINT32_MAX;
    bool waits = false;
    for (uint32_t i = 0; i < scheduler->worker_count; i++) {
        waits = waits || fol_commands_count(scheduler->buffers[i]) != 0;
    }
    return waits && has_room ? (uint32_t)next : 0;
}

/* What may be refused of a new program that is there. */
static int prepare_io(fol_scheduler *scheduler, const fol_program *program,
                      const fol_system *systems)
{
    fol_frame_io *io = fol_io_of(scheduler);
    return io == NULL ? fol_io_ensure(scheduler, program->plan)
                      : fol_io_replan(io, scheduler->program, program, systems);
}

int fol_scheduler_replan(fol_scheduler *scheduler, const fol_plan *plan, const fol_system *systems,
                         const fol_phase_rate *rates)
{
    int status = check_arguments(plan, rates, &scheduler->config);
    if (status == FOL_OK) {
        status = fol_begin_change(scheduler);
    }
    if (status != FOL_OK) {
        return status;
    }
    status = fol_world_lock(scheduler->world);
    if (status == FOL_OK) {
        fol_program *program = NULL;
        status = fol_program_create(scheduler->world, &scheduler->backend, plan, systems, rates,
                                    &program);
        if (status == FOL_OK) {
            status = fol_budget_prepare(scheduler, program, scheduler->program, systems);
            if (status == FOL_OK) {
                status = prepare_io(scheduler, program, systems);
            }
            if (status != FOL_OK) {
                fol_budget_abandon(scheduler, program);
                fol_program_destroy(program);
            }
        }
        if (status == FOL_OK) {
            fol_budget_commit(scheduler, program, scheduler->program);
            fol_program_carry(program, scheduler->program, systems);
            scheduler->first_order = next_first_order(scheduler);
            fol_program_destroy(scheduler->program);
            scheduler->program = program;
            scheduler->result = (fol_frame){.frame = scheduler->frame_number};
        }
        fol_world_unlock(scheduler->world);
    }
    fol_end_change(scheduler);
    return status;
}

fol_backend_info fol_scheduler_backend(const fol_scheduler *scheduler)
{
    return (fol_backend_info){.requested = scheduler->backend.requested,
                              .actual = scheduler->backend.ops->name,
                              .reason = scheduler->backend.reason,
                              .workers = scheduler->backend.workers};
}

const fol_frame *fol_scheduler_frame(const fol_scheduler *scheduler)
{
    return &scheduler->result;
}

uint64_t fol_scheduler_frame_number(const fol_scheduler *scheduler)
{
    return scheduler->frame_number;
}

static fol_node *node_of(const fol_scheduler *scheduler, uint32_t system)
{
    const fol_program *program = scheduler->program;
    FOL_ASSERT(system < program->node_count);
    return &program->nodes[program->node_of_system[system]];
}

int fol_scheduler_enable(fol_scheduler *scheduler, uint32_t system, bool enabled)
{
    int status = fol_begin_change(scheduler);
    if (status != FOL_OK) {
        return status;
    }
    fol_node *node = node_of(scheduler, system);
    atomic_store_explicit(&node->is_disabled, !enabled, memory_order_relaxed);
    if (enabled) {
        atomic_store_explicit(&node->is_quarantined, false, memory_order_relaxed);
        node->failures = 0;
    }
    fol_end_change(scheduler);
    return FOL_OK;
}

bool fol_scheduler_is_enabled(const fol_scheduler *scheduler, uint32_t system)
{
    const fol_node *node = node_of(scheduler, system);
    return !atomic_load_explicit(&node->is_disabled, memory_order_relaxed) &&
           !atomic_load_explicit(&node->is_quarantined, memory_order_relaxed);
}

void fol_scheduler_costs(const fol_scheduler *scheduler, double *out)
{
    const fol_program *program = scheduler->program;
    double scale = fol_ns_per_cycle(scheduler) * 1e-9;
    for (uint32_t i = 0; i < program->node_count; i++) {
        const fol_node *node = &program->nodes[i];
        out[node->system] = atomic_load_explicit(&node->mean_cycles, memory_order_relaxed) * scale;
    }
}

fol_commands *fol_scheduler_commands(const fol_scheduler *scheduler, uint32_t worker)
{
    return worker < scheduler->worker_count ? scheduler->buffers[worker] : NULL;
}
