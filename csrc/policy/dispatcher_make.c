/* A dispatcher's set-up: memory, groups, runnables, and the questions that change nothing.
 *
 * All memory is taken here, so that no decision can fail for want of it. What grows with queues
 * times runnables is address space that costs memory where it is touched only.
 */

#include <errno.h>
#include <string.h>

#include "base/memory.h"
#include "foliot/status.h"
#include "policy/dispatcher_state.h"

/* Places of runnables and groups, which the fair queue bounds. */
static uint64_t fair_ids(const fol_dispatcher_config *config, uint64_t queues)
{
    return config->capacity + queues * config->groups;
}

/* Each row has CPUs, and not its own. */
static bool are_victims(const fol_dispatcher_config *config)
{
    const uint32_t *victim = config->victims;
    for (uint32_t cpu = 0; victim != NULL && cpu < config->cpus; cpu++) {
        for (uint32_t step = 1; step < config->cpus; step++, victim++) {
            if (*victim >= config->cpus || *victim == cpu) {
                return false;
            }
        }
    }
    return true;
}

static bool is_possible(const fol_dispatcher_config *config)
{
    bool is_shaped = (uint32_t)config->policy < FOL_POLICY_KINDS &&
                     (uint32_t)config->queues <= FOL_QUEUES_PER_CPU && config->cpus >= 1 &&
                     config->cpus <= FOL_DISPATCHER_MAX_CPUS;
    bool is_sized = config->capacity >= 1 && config->capacity < FOL_FAIR_MAX_RUNNABLES &&
                    config->groups < FOL_FAIR_MAX_RUNNABLES && config->contexts < FOL_NO_ID &&
                    (config->records & (config->records - 1)) == 0;
    bool is_timed = config->tick >= 0 && config->tick <= FOL_FAIR_MAX_TIME &&
                    config->least_budget >= 0 && config->max_faults >= 1;
    for (uint32_t latency = 0; latency < FOL_LATENCY_CLASSES; latency++) {
        int64_t slice = config->slices[latency];
        is_timed = is_timed && slice >= 1 && slice <= FOL_FAIR_MAX_TIME;
    }
    return is_shaped && is_sized && is_timed && are_victims(config) &&
           fair_ids(config, config->queues == FOL_QUEUES_GLOBAL ? 1 : config->cpus) <=
               FOL_FAIR_MAX_RUNNABLES;
}

static void set_slots(fol_dispatcher *dispatcher, const fol_dispatcher_config *config)
{
    fol_slots *slots = &dispatcher->slots;
    if (config->slots != NULL) {
        slots->table = *config->slots;
    }
    slots->max_faults = config->max_faults;
    slots->stopwatch = config->stopwatch;
    slots->stopwatch_state = config->stopwatch_state;
    slots->limit = config->slot_limit;
    slots->report = fol_dispatcher_fault;
    slots->owner = dispatcher;
    dispatcher->config.slots = NULL;
}

/* Nothing is released here: destroy does that, of what there is. */
static int take_memory(fol_dispatcher *dispatcher)
{
    const fol_dispatcher_config *config = &dispatcher->config;
    size_t queues = dispatcher->queue_count;
    size_t scratch = (size_t)config->capacity + config->cpus + 2;
    dispatcher->runnables = fol_alloc_zeroed(config->capacity, sizeof(*dispatcher->runnables));
    dispatcher->places = fol_alloc_array(config->capacity, sizeof(*dispatcher->places));
    dispatcher->queues = fol_alloc_zeroed(queues, sizeof(*dispatcher->queues));
    dispatcher->cpus = fol_alloc_zeroed(config->cpus, sizeof(*dispatcher->cpus));
    dispatcher->groups = fol_alloc_zeroed((size_t)config->groups + 1, sizeof(*dispatcher->groups));
    dispatcher->members =
        fol_alloc_zeroed(queues * config->groups + 1, sizeof(*dispatcher->members));
    dispatcher->scratch = fol_alloc_array(scratch, sizeof(*dispatcher->scratch));
    dispatcher->victims = fol_alloc_array(config->cpus, sizeof(*dispatcher->victims));
    dispatcher->node_bytes = queues * FOL_BANDS * config->capacity * sizeof(*dispatcher->nodes);
    dispatcher->nodes = fol_reserve(dispatcher->node_bytes);
    bool is_there =
        dispatcher->runnables != NULL && dispatcher->places != NULL && dispatcher->queues != NULL &&
        dispatcher->cpus != NULL && dispatcher->groups != NULL && dispatcher->members != NULL &&
        dispatcher->scratch != NULL && dispatcher->victims != NULL && dispatcher->nodes != NULL;
    if (is_there && config->victims != NULL) {
        size_t others = (size_t)config->cpus * (config->cpus - 1);
        dispatcher->nearest = fol_alloc_array(others, sizeof(*dispatcher->nearest));
        is_there = dispatcher->nearest != NULL;
        if (is_there && others > 0) {
            memcpy(dispatcher->nearest, config->victims, others * sizeof(*dispatcher->nearest));
        }
    }
    if (is_there && config->records > 0) {
        dispatcher->records = fol_alloc_zeroed(config->records, sizeof(*dispatcher->records));
        dispatcher->lasts = fol_alloc_zeroed(config->capacity, sizeof(*dispatcher->lasts));
        is_there = dispatcher->records != NULL && dispatcher->lasts != NULL;
    }
    return is_there ? 0 : -ENOMEM;
}

static int take_contexts(fol_dispatcher *dispatcher)
{
    uint32_t contexts = dispatcher->config.contexts;
    if (contexts == 0) {
        return 0;
    }
    dispatcher->budgets = fol_alloc_zeroed(contexts, sizeof(*dispatcher->budgets));
    dispatcher->refill_places = fol_alloc_array(contexts, sizeof(*dispatcher->refill_places));
    fol_heap_node *nodes = fol_alloc_array(contexts, sizeof(*nodes));
    dispatcher->refills.nodes = nodes;
    if (dispatcher->budgets == NULL || dispatcher->refill_places == NULL || nodes == NULL) {
        return -ENOMEM;
    }
    for (uint32_t place = 0; place < contexts; place++) {
        dispatcher->refill_places[place] = FOL_HEAP_NOWHERE;
        dispatcher->budgets[place].members = FOL_NO_ID;
        dispatcher->budgets[place].holder = FOL_NO_RUNNABLE;
    }
    fol_heap_init(&dispatcher->refills, nodes, contexts, dispatcher->refill_places);
    return fol_context_table_create(contexts, &dispatcher->contexts);
}

static void lay_out(fol_dispatcher *dispatcher)
{
    const fol_dispatcher_config *config = &dispatcher->config;
    fol_fair_config fair = {.tick = config->tick, .mode = FOL_FAIR_LINUX};
    for (uint32_t latency = 0; latency < FOL_LATENCY_CLASSES; latency++) {
        fair.slices[latency] = config->slices[latency];
    }
    for (uint32_t id = 0; id < config->capacity; id++) {
        dispatcher->places[id] = FOL_HEAP_NOWHERE;
    }
    fol_heap_node *nodes = dispatcher->nodes;
    for (uint32_t place = 0; place < dispatcher->queue_count; place++) {
        fol_queue *queue = &dispatcher->queues[place];
        for (uint32_t band = 0; band < FOL_BANDS; band++) {
            fol_heap_init(&queue->heaps[band], nodes, config->capacity, dispatcher->places);
            nodes += config->capacity;
        }
        fol_fair_queue_init(&queue->fair, &fair, &dispatcher->store);
        queue->first_ready = FOL_NO_ID;
        queue->last_ready = FOL_NO_ID;
    }
    for (size_t i = 0; i < (size_t)dispatcher->queue_count * config->groups; i++) {
        fol_fair_queue_init(&dispatcher->members[i], &fair, &dispatcher->store);
    }
    for (uint32_t cpu = 0; cpu < config->cpus; cpu++) {
        dispatcher->cpus[cpu].running = FOL_NO_RUNNABLE;
        dispatcher->cpus[cpu].last = FOL_NO_RUNNABLE;
        dispatcher->cpus[cpu].choice = FOL_NO_RUNNABLE;
        fol_bits_set(dispatcher->idle, cpu);
    }
    dispatcher->idle_count = config->cpus;
    dispatcher->groups[0].options =
        (fol_group_options){.weight = FOL_FAIR_WEIGHT_NORMAL, .latency = FOL_FAIR_NORMAL};
    dispatcher->group_count = 1;
}

int fol_dispatcher_create(const fol_dispatcher_config *config, fol_dispatcher **out)
{
    if (!is_possible(config)) {
        return -EINVAL;
    }
    fol_dispatcher *dispatcher = fol_alloc_zeroed(1, sizeof(*dispatcher));
    if (dispatcher == NULL) {
        return -ENOMEM;
    }
    dispatcher->config = *config;
    dispatcher->queue_count = config->queues == FOL_QUEUES_GLOBAL ? 1 : config->cpus;
    dispatcher->first_free = FOL_NO_ID;
    dispatcher->worst = FOL_NO_CPU;
    dispatcher->next_refill = FOL_TIME_NEVER;
    set_slots(dispatcher, config);
    int status = take_memory(dispatcher);
    if (status < 0) {
        goto fail;
    }
    status = fol_fair_store_init(&dispatcher->store,
                                 (uint32_t)fair_ids(config, dispatcher->queue_count));
    if (status < 0) {
        goto fail;
    }
    status = take_contexts(dispatcher);
    if (status < 0) {
        goto fail;
    }
    dispatcher->config.victims = NULL;
    lay_out(dispatcher);
    *out = dispatcher;
    return 0;
fail:
    fol_dispatcher_destroy(dispatcher);
    return status;
}

void fol_dispatcher_destroy(fol_dispatcher *dispatcher)
{
    if (dispatcher == NULL) {
        return;
    }
    fol_context_table_destroy(dispatcher->contexts);
    fol_free(dispatcher->refills.nodes);
    fol_free(dispatcher->refill_places);
    fol_free(dispatcher->budgets);
    fol_fair_store_deinit(&dispatcher->store);
    fol_free(dispatcher->lasts);
    fol_free(dispatcher->records);
    fol_unreserve(dispatcher->nodes, dispatcher->node_bytes);
    fol_free(dispatcher->nearest);
    fol_free(dispatcher->victims);
    fol_free(dispatcher->scratch);
    fol_free(dispatcher->members);
    fol_free(dispatcher->groups);
    fol_free(dispatcher->cpus);
    fol_free(dispatcher->queues);
    fol_free(dispatcher->places);
    fol_free(dispatcher->runnables);
    fol_free(dispatcher);
}

static bool is_weight(uint32_t weight)
{
    return weight >= 1 && weight <= FOL_FAIR_MAX_WEIGHT;
}

int fol_dispatcher_add_group(fol_dispatcher *dispatcher, const fol_group_options *options,
                             uint32_t *group)
{
    if (!is_weight(options->weight) || options->latency >= FOL_LATENCY_CLASSES) {
        return -EINVAL;
    }
    if (dispatcher->group_count > dispatcher->config.groups) {
        return FOL_E_CAPACITY;
    }
    *group = dispatcher->group_count;
    dispatcher->groups[*group].options = *options;
    dispatcher->group_count += 1;
    return 0;
}

static int check_options(const fol_dispatcher *dispatcher, const fol_runnable_options *options)
{
    bool has_home = dispatcher->queue_count == 1 || options->cpu < dispatcher->config.cpus;
    if (!is_weight(options->weight) || options->latency >= FOL_LATENCY_CLASSES ||
        options->group >= dispatcher->group_count || options->period < 0 || !has_home) {
        return -EINVAL;
    }
    if (options->context != 0 &&
        (dispatcher->contexts == NULL ||
         fol_context_find(dispatcher->contexts, options->context) == NULL)) {
        return FOL_E_STALE;
    }
    /* A pinned one that its context keeps away from its home could never run. */
    if (options->context != 0 && dispatcher->config.queues == FOL_QUEUES_PINNED &&
        !fol_context_may_run_on(dispatcher->contexts, options->context, options->cpu)) {
        return -EINVAL;
    }
    return 0;
}

static uint32_t take_place(fol_dispatcher *dispatcher)
{
    uint32_t id = dispatcher->first_free;
    if (id != FOL_NO_ID) {
        dispatcher->first_free = dispatcher->runnables[id].next_sibling;
    } else if (dispatcher->used_count < dispatcher->config.capacity) {
        id = dispatcher->used_count;
        dispatcher->used_count += 1;
    }
    return id;
}

int fol_dispatcher_add(fol_dispatcher *dispatcher, const fol_runnable_options *options,
                       uint32_t *id)
{
    int status = check_options(dispatcher, options);
    if (status < 0) {
        return status;
    }
    uint32_t taken = take_place(dispatcher);
    if (taken == FOL_NO_ID) {
        return FOL_E_CAPACITY;
    }
    fol_runnable *runnable = &dispatcher->runnables[taken];
    *runnable = (fol_runnable){.view = {.id = taken,
                                        .group = options->group,
                                        .weight = options->weight,
                                        .latency = options->latency,
                                        .priority = options->priority,
                                        .last_cpu = FOL_NO_CPU,
                                        .context = options->context,
                                        .period = options->period,
                                        .deadline = FOL_TIME_NEVER},
                               .state = FOL_RUNNABLE_ASLEEP,
                               .queue = dispatcher->queue_count == 1 ? 0 : options->cpu,
                               .cpu = FOL_NO_CPU,
                               .context = FOL_NO_ID};
    if (options->context != 0) {
        fol_budget_link(dispatcher, runnable, (uint32_t)options->context);
    }
    if (dispatcher->lasts != NULL) {
        dispatcher->lasts[taken].is_set = false;
    }
    *id = taken;
    return 0;
}

fol_runnable_state fol_dispatcher_state(const fol_dispatcher *dispatcher, uint32_t id)
{
    return id < dispatcher->used_count ? (fol_runnable_state)dispatcher->runnables[id].state
                                       : FOL_RUNNABLE_UNKNOWN;
}

int fol_dispatcher_remove(fol_dispatcher *dispatcher, uint32_t id, int64_t now)
{
    fol_runnable_state state = fol_dispatcher_state(dispatcher, id);
    if (state == FOL_RUNNABLE_UNKNOWN) {
        return -EINVAL;
    }
    if (state == FOL_RUNNABLE_RUNNING) {
        return FOL_E_BUSY;
    }
    fol_runnable *runnable = fol_runnable_of(dispatcher, id);
    fol_budget_detach(dispatcher, runnable, now);
    dispatcher->gone_runtime += runnable->account.runtime;
    runnable->state = FOL_RUNNABLE_UNKNOWN;
    runnable->next_sibling = dispatcher->first_free;
    dispatcher->first_free = id;
    for (uint32_t cpu = 0; cpu < dispatcher->config.cpus; cpu++) {
        fol_cpu *place = &dispatcher->cpus[cpu];
        place->last = place->last == id ? FOL_NO_RUNNABLE : place->last;
        place->choice = place->choice == id ? FOL_NO_RUNNABLE : place->choice;
    }
    return 0;
}

int fol_dispatcher_set_weight(fol_dispatcher *dispatcher, uint32_t id, uint32_t weight, int64_t now)
{
    (void)now;
    if (!is_weight(weight) || fol_dispatcher_state(dispatcher, id) == FOL_RUNNABLE_UNKNOWN) {
        return -EINVAL;
    }
    fol_runnable *runnable = fol_runnable_of(dispatcher, id);
    int status = fol_band_reweight(dispatcher, runnable, weight);
    if (status == 0) {
        runnable->view.weight = weight;
    }
    return status;
}

int fol_dispatcher_set_group_weight(fol_dispatcher *dispatcher, uint32_t group, uint32_t weight,
                                    int64_t now)
{
    (void)now;
    if (!is_weight(weight) || group == 0 || group >= dispatcher->group_count) {
        return -EINVAL;
    }
    int status = fol_band_reweigh_group(dispatcher, group, weight);
    if (status == 0) {
        dispatcher->groups[group].options.weight = weight;
    }
    return status;
}

uint32_t fol_dispatcher_ready_count(const fol_dispatcher *dispatcher)
{
    return dispatcher->ready_count;
}

uint32_t fol_dispatcher_throttled_count(const fol_dispatcher *dispatcher)
{
    return dispatcher->throttled_count;
}

uint32_t fol_dispatcher_running(const fol_dispatcher *dispatcher, uint32_t cpu)
{
    FOL_ASSERT(cpu < dispatcher->config.cpus);
    return dispatcher->cpus[cpu].running;
}

const fol_runnable_view *fol_dispatcher_view(const fol_dispatcher *dispatcher, uint32_t id)
{
    FOL_ASSERT(id < dispatcher->used_count);
    return &dispatcher->runnables[id].view;
}

int64_t fol_dispatcher_lag(const fol_dispatcher *dispatcher, uint32_t id)
{
    FOL_ASSERT(id < dispatcher->used_count);
    return fol_band_lag(dispatcher, &dispatcher->runnables[id]);
}

bool fol_dispatcher_victims(fol_dispatcher *dispatcher, uint32_t worker, int64_t now,
                            uint32_t *order, uint32_t *count)
{
    return fol_slots_victims(&dispatcher->slots, worker, dispatcher->config.cpus, now, order,
                             count);
}

bool fol_dispatcher_spin_limit(fol_dispatcher *dispatcher, uint32_t worker, int64_t now,
                               uint32_t *limit)
{
    return fol_slots_spin_limit(&dispatcher->slots, worker, now, limit);
}

bool fol_dispatcher_chunk_rows(fol_dispatcher *dispatcher, uint32_t system, uint64_t rows,
                               int64_t now, uint64_t *chunk)
{
    return fol_slots_chunk_rows(&dispatcher->slots, system, rows, now, chunk);
}

bool fol_dispatcher_backend(fol_dispatcher *dispatcher, const fol_policy_load *load,
                            uint32_t backends, int64_t now, uint32_t *choice)
{
    return fol_slots_backend(&dispatcher->slots, load, backends, now, choice);
}

uint32_t fol_dispatcher_faults(const fol_dispatcher *dispatcher)
{
    return dispatcher->slots.faults;
}

bool fol_dispatcher_policy_is_on(const fol_dispatcher *dispatcher)
{
    return fol_slots_are_on(&dispatcher->slots);
}
