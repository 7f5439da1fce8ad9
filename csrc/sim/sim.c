/* Set-up and end of a simulation, and what can be asked of it; sim.h is the contract. */

#include "sim/sim_state.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/memory.h"
#include "foliot/status.h"

static bool in_range(int64_t value, int64_t lowest)
{
    return value >= lowest && value <= FOL_SIM_MAX_TIME;
}

static bool task_is_fine(const fol_sim_config *config, const fol_sim_task *task)
{
    bool is_fine = in_range(task->wcet, 1) && in_range(task->period, 1) &&
                   in_range(task->deadline, 1) && in_range(task->offset, 0) &&
                   in_range(task->jitter, 0) && in_range(task->gap, 0) &&
                   in_range(task->section, 0) && in_range(task->chunk, 0) &&
                   task->cost_count >= 1 && task->group <= config->group_count &&
                   task->context <= config->context_count && task->cpu < config->cpus;
    for (uint32_t index = 0; is_fine && index < task->cost_count; index++) {
        is_fine = in_range(task->costs[index], 1);
    }
    return is_fine;
}

static bool config_is_fine(const fol_sim_config *config)
{
    bool is_fine = config->task_count >= 1 && config->task_count <= FOL_SIM_MAX_TASKS &&
                   config->cpus >= 1 && config->cpus <= FOL_SIM_MAX_CPUS &&
                   config->group_count <= config->task_count &&
                   config->context_count <= config->task_count &&
                   config->policy < FOL_POLICY_KINDS && config->queues < FOL_SIM_QUEUE_SHAPES &&
                   config->preemption < FOL_SIM_PREEMPTIONS && in_range(config->until, 1) &&
                   in_range(config->switch_cost, 0) && in_range(config->sample_every, 0);
    for (uint32_t distance = 0; distance < FOL_SIM_DISTANCES; distance++) {
        is_fine = is_fine && in_range(config->migration_costs[distance], 0) &&
                  in_range(config->steal_costs[distance], 0);
    }
    for (uint32_t task = 0; is_fine && task < config->task_count; task++) {
        is_fine = task_is_fine(config, &config->tasks[task]);
    }
    return is_fine;
}

uint64_t fol_sim_jobs_bound(const fol_sim_task *tasks, uint32_t count, int64_t until)
{
    uint64_t sum = 0;
    for (uint32_t index = 0; index < count; index++) {
        const fol_sim_task *task = &tasks[index];
        if (task->offset < until) {
            uint64_t jobs = (uint64_t)((until - task->offset - 1) / task->period) + 1;
            sum = jobs > UINT64_MAX - sum ? UINT64_MAX : sum + jobs;
        }
    }
    return sum;
}

static int make_dispatcher(fol_sim *sim, const fol_sim_config *config, const uint32_t *victims)
{
    _Static_assert((int)FOL_SIM_GLOBAL == (int)FOL_QUEUES_GLOBAL &&
                       (int)FOL_SIM_PARTITIONED == (int)FOL_QUEUES_PINNED &&
                       (int)FOL_SIM_PER_CPU == (int)FOL_QUEUES_PER_CPU,
                   "the public numbers of queue shapes are the dispatcher's");
    const fol_dispatcher_config given = {
        .policy = config->policy,
        .queues = (fol_queue_shape)config->queues,
        .cpus = config->cpus,
        .capacity = config->task_count,
        .groups = config->group_count,
        .contexts = config->context_count,
        .records = config->records,
        .is_preemptive = config->preemption != FOL_SIM_PREEMPT_NONE,
        .slices = {config->slices[0], config->slices[1], config->slices[2]},
        .tick = config->tick,
        .least_budget = 1,
        .slots = config->slots,
        .max_faults = config->max_faults,
        .stopwatch = config->stopwatch,
        .stopwatch_state = config->stopwatch_state,
        .slot_limit = config->slot_limit,
        .victims = victims,
    };
    int status = fol_dispatcher_create(&given, &sim->dispatcher);
    for (uint32_t group = 0; status == 0 && group < config->group_count; group++) {
        const fol_group_options options = {config->groups[group].weight,
                                           config->groups[group].latency};
        uint32_t number;
        status = fol_dispatcher_add_group(sim->dispatcher, &options, &number);
        FOL_ASSERT(status != 0 || number == group + 1);
    }
    for (uint32_t context = 0; status == 0 && context < config->context_count; context++) {
        status = fol_dispatcher_add_context(sim->dispatcher, &config->contexts[context], 0,
                                            &sim->contexts[context]);
    }
    return status;
}

/* Where CPUs differ in how near they are, each takes from the nearest first. */
static int make_dispatcher_near(fol_sim *sim, const fol_sim_config *config)
{
    if (config->machine == NULL) {
        return make_dispatcher(sim, config, NULL);
    }
    sim->machine = fol_sim_machine_copy(config->machine, config->cpus);
    size_t others = (size_t)config->cpus * (config->cpus - 1);
    uint32_t *victims = fol_alloc_array(others, sizeof(uint32_t));
    int status = -ENOMEM;
    if (sim->machine != NULL && victims != NULL) {
        fol_sim_machine_order(sim->machine, config->cpus, victims);
        status = make_dispatcher(sim, config, victims);
    }
    fol_free(victims);
    return status;
}

static int add_task(fol_sim *sim, const fol_sim_config *config, uint32_t index, int64_t *costs)
{
    const fol_sim_task *task = &config->tasks[index];
    const fol_runnable_options options = {
        .weight = task->weight,
        .latency = task->latency,
        .group = task->group,
        .priority = task->priority,
        .cpu = task->cpu,
        .period = task->period,
        .context = task->context == 0 ? 0 : sim->contexts[task->context - 1],
    };
    uint32_t id = 0;
    int status = fol_dispatcher_add(sim->dispatcher, &options, &id);
    FOL_ASSERT(status != 0 || id == index);
    fol_sim_source *source = &sim->sources[index];
    *source = (fol_sim_source){
        .current = FOL_SIM_NO_JOB,
        .last = FOL_SIM_NO_JOB,
        .nominal = task->offset,
        .period = task->period,
        .deadline = task->deadline,
        .jitter = task->jitter,
        .gap = task->gap,
        .section = task->section,
        .chunk = task->chunk,
        .wcet = task->wcet,
        .costs = costs,
        .cost_count = task->cost_count,
    };
    for (uint32_t cost = 0; cost < task->cost_count; cost++) {
        costs[cost] = task->costs[cost];
    }
    /* The number a generator of the seed gives at this place. */
    fol_rng_init(&source->rng, config->seed + (uint64_t)index * UINT64_C(0x9e3779b97f4a7c15));
    source->rng.state = fol_rng_next(&source->rng);
    return status;
}

/* Everything that is as large as the configuration says. */
static int take_memory(fol_sim *sim, const fol_sim_config *config)
{
    uint64_t costs = 0;
    for (uint32_t task = 0; task < config->task_count; task++) {
        costs += config->tasks[task].cost_count;
    }
    uint64_t jobs = fol_sim_jobs_bound(config->tasks, config->task_count, config->until);
    sim->job_room = jobs == 0 ? 1 : jobs;
    if (sim->job_room > SIZE_MAX / 2 / sizeof(fol_sim_job)) {
        return -ENOMEM;
    }
    sim->sources = fol_alloc_array(config->task_count, sizeof(fol_sim_source));
    sim->workers = fol_alloc_zeroed(config->cpus, sizeof(fol_sim_worker));
    sim->idle = fol_alloc_zeroed((config->cpus + 63) / 64, sizeof(uint64_t));
    sim->due = fol_alloc_array(config->cpus, sizeof(uint32_t));
    sim->contexts = fol_alloc_zeroed(config->context_count, sizeof(uint64_t));
    sim->costs = fol_alloc_array(costs, sizeof(int64_t));
    sim->jobs = fol_reserve(sim->job_room * sizeof(fol_sim_job));
    if (sim->sources == NULL || sim->workers == NULL || sim->idle == NULL || sim->due == NULL ||
        sim->contexts == NULL || sim->costs == NULL || sim->jobs == NULL ||
        fol_tournament_init(&sim->releases, config->task_count) != 0 ||
        fol_tournament_init(&sim->points, config->cpus) != 0) {
        return -ENOMEM;
    }
    return 0;
}

int fol_sim_create(const fol_sim_config *config, fol_sim **out)
{
    if (!config_is_fine(config)) {
        return FOL_E_VALUE;
    }
    fol_sim *sim = fol_alloc_zeroed(1, sizeof(*sim));
    if (sim == NULL) {
        return -ENOMEM;
    }
    sim->until = config->until;
    sim->cpu_count = config->cpus;
    sim->task_count = config->task_count;
    sim->context_count = config->context_count;
    sim->preemption = config->preemption;
    sim->switch_cost = config->switch_cost;
    memcpy(sim->migration_costs, config->migration_costs, sizeof(sim->migration_costs));
    memcpy(sim->steal_costs, config->steal_costs, sizeof(sim->steal_costs));
    sim->keeps_segments = config->keeps_segments;
    sim->sample_every = config->sample_every;
    int status = take_memory(sim, config);
    if (status == 0) {
        status = make_dispatcher_near(sim, config);
    }
    int64_t *costs = sim->costs;
    for (uint32_t task = 0; status == 0 && task < config->task_count; task++) {
        status = add_task(sim, config, task, costs);
        costs += config->tasks[task].cost_count;
        fol_sim_begin_releases(sim, task);
    }
    if (status != 0) {
        fol_sim_destroy(sim);
        return status == -EINVAL ? FOL_E_VALUE : status;
    }
    for (uint32_t cpu = 0; cpu < sim->cpu_count; cpu++) {
        sim->workers[cpu].task = FOL_NO_RUNNABLE;
        sim->idle[cpu / 64] |= UINT64_C(1) << (cpu % 64);
    }
    *out = sim;
    return 0;
}

void fol_sim_destroy(fol_sim *sim)
{
    if (sim == NULL) {
        return;
    }
    if (sim->dispatcher != NULL) {
        fol_dispatcher_destroy(sim->dispatcher);
    }
    fol_tournament_deinit(&sim->points);
    fol_tournament_deinit(&sim->releases);
    fol_free(sim->samples);
    fol_free(sim->segments);
    fol_unreserve(sim->jobs, sim->job_room * sizeof(fol_sim_job));
    fol_free(sim->machine);
    fol_free(sim->costs);
    fol_free(sim->contexts);
    fol_free(sim->due);
    fol_free(sim->idle);
    fol_free(sim->workers);
    fol_free(sim->sources);
    fol_free(sim);
}
