/* The dispatcher of a scheduler, and the runnables of its programs; budget.h says what they are. */

#include "frame/budget.h"

#include <errno.h>
#include <string.h>

#include "foliot/fair.h"
#include "foliot/status.h"

/* Room in the dispatcher: what a plan needs so many times over, and at least so much. */
#define ROOM_FACTOR     4u
#define LEAST_RUNNABLES 4096u
#define LEAST_ENTRIES   1024u

#define DEFAULT_FAULTS    8u
#define DEFAULT_DECISIONS 4096u

/* Dispatches that are timed to learn what one costs, and the most that is believed. */
#define TIMED_DISPATCHES 64u
#define MOST_DISPATCH_NS INT64_C(2500)

static bool is_governed(const fol_scheduler *scheduler, const fol_program *program,
                        const fol_system *systems)
{
    bool is = scheduler->config.policy.is_chosen;
    for (uint32_t i = 0; i < program->node_count; i++) {
        is = is || systems[i].budget != NULL;
    }
    return is;
}

/* Lanes of a node: see backend/governed.h. */
static uint32_t count_lanes(const fol_scheduler *scheduler, const fol_node *node,
                            const fol_system_budget *budget)
{
    bool has_context = budget != NULL && !budget->is_group;
    return node->may_be_cut && !has_context ? scheduler->worker_count : 1;
}

static fol_dispatcher_config dispatcher_config(const fol_scheduler *scheduler)
{
    const fol_policy_choice *choice = &scheduler->config.policy;
    fol_fair_config fair;
    fol_fair_config_default(&fair);
    fol_dispatcher_config config = {
        .policy = choice->is_chosen ? choice->kind : FOL_POLICY_CBS,
        .queues = FOL_QUEUES_GLOBAL,
        .cpus = scheduler->worker_count,
        .records = choice->decisions == 0 ? DEFAULT_DECISIONS : choice->decisions,
        .is_preemptive = true,
        .tick = (int64_t)(scheduler->config.target_task_seconds * 1e9),
        .slots = choice->slots,
        .max_faults = choice->max_faults == 0 ? DEFAULT_FAULTS : choice->max_faults,
        .stopwatch = choice->stopwatch,
        .stopwatch_state = choice->stopwatch_state,
        .slot_limit = choice->slot_limit,
    };
    for (uint32_t i = 0; i < FOL_LATENCY_CLASSES; i++) {
        config.slices[i] = fair.slices[i];
    }
    return config;
}

/* What a dispatch takes on this machine, in nanoseconds; 0 when nobody can tell. */
static int64_t time_dispatch(const fol_dispatcher_config *wanted)
{
    fol_dispatcher_config config = *wanted;
    fol_dispatcher *dispatcher = NULL;
    uint32_t id;
    config.slots = NULL;
    config.cpus = 1;
    config.capacity = 1;
    config.groups = 0;
    config.contexts = 1;
    const fol_runnable_options runnable = {.weight = FOL_FAIR_WEIGHT_NORMAL,
                                           .latency = FOL_FAIR_NORMAL};
    const fol_job_options job = {.deadline = FOL_TIME_NEVER};
    if (fol_dispatcher_create(&config, &dispatcher) != FOL_OK) {
        return 0;
    }
    uint64_t start = fol_clock_monotonic.now_ns(NULL);
    if (fol_dispatcher_add(dispatcher, &runnable, &id) == FOL_OK) {
        for (int64_t i = 0; i < TIMED_DISPATCHES; i++) {
            fol_grant grant;
            fol_dispatcher_release(dispatcher, id, &job, i);
            if (fol_dispatcher_pick(dispatcher, 0, i, &grant)) {
                fol_dispatcher_ran(dispatcher, 0, 1, i + 1, FOL_POINT_DONE, &grant);
            }
        }
    }
    uint64_t end = fol_clock_monotonic.now_ns(NULL);
    fol_dispatcher_destroy(dispatcher);
    int64_t taken = (int64_t)((end - start) / TIMED_DISPATCHES);
    return taken < MOST_DISPATCH_NS ? taken : MOST_DISPATCH_NS;
}

void fol_budget_destroy(fol_frame_budget *budget)
{
    if (budget != NULL) {
        fol_governor_destroy(budget->governor);
        fol_free(budget->entries);
        fol_free(budget->system_of);
        fol_free(budget);
    }
}

static uint32_t larger(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

/* Room for plans that need as much as this one several times over. */
static int make_budget(fol_scheduler *scheduler, uint32_t lanes, uint32_t nodes,
                       fol_frame_budget **out)
{
    fol_frame_budget *budget = fol_alloc_zeroed(1, sizeof(*budget));
    if (budget == NULL) {
        return -ENOMEM;
    }
    budget->runnable_room = larger(ROOM_FACTOR * lanes, LEAST_RUNNABLES);
    budget->entry_room = larger(ROOM_FACTOR * nodes, LEAST_ENTRIES);
    budget->entries = fol_alloc_zeroed(budget->entry_room, sizeof(*budget->entries));
    budget->system_of = fol_alloc_array(budget->runnable_room, sizeof(*budget->system_of));
    int status = -ENOMEM;
    if (budget->entries == NULL || budget->system_of == NULL) {
        goto fail;
    }
    memset(budget->system_of, 0xff, budget->runnable_room * sizeof(*budget->system_of));
    fol_governor_config config = {.dispatcher = dispatcher_config(scheduler),
                                  .clock = scheduler->config.clock,
                                  .calls = fol_budget_calls};
    config.calls.state = scheduler;
    config.calls.decided = scheduler->trace == NULL ? NULL : fol_budget_trace_decision;
    config.dispatcher.capacity = budget->runnable_room;
    config.dispatcher.groups = budget->entry_room;
    config.dispatcher.contexts = budget->entry_room;
    bool is_real = config.clock.now_ns == fol_clock_monotonic.now_ns;
    budget->least_budget = is_real ? 2 * time_dispatch(&config.dispatcher) : 1;
    config.dispatcher.least_budget = budget->least_budget;
    const fol_policy_slots *slots = config.dispatcher.slots;
    budget->asks_chunk_rows = slots != NULL && slots->chunk_rows != NULL;
    budget->asks_workers = slots != NULL && (slots->victims != NULL || slots->spin_limit != NULL);
    status = fol_governor_create(&config, &budget->governor);
    if (status != FOL_OK) {
        goto fail;
    }
    budget->origin = (int64_t)config.clock.now_ns(config.clock.state);
    *out = budget;
    return FOL_OK;

fail:
    fol_budget_destroy(budget);
    return status == -EINVAL ? FOL_E_VALUE : status;
}

static int ensure(fol_scheduler *scheduler, uint32_t lanes, uint32_t nodes)
{
    fol_frame_budget *budget = NULL;
    if (fol_budget_of_any(scheduler) != NULL) {
        return FOL_OK;
    }
    int status = make_budget(scheduler, lanes, nodes, &budget);
    if (status == FOL_OK) {
        /* Release pairs with the acquire of fol_budget_of_any: readers find it whole. */
        atomic_store_explicit(&scheduler->budget, budget, memory_order_release);
    }
    return status;
}

void fol_budget_program_destroy(fol_budget_program *program)
{
    if (program != NULL) {
        fol_free(program->governed.nodes);
        fol_free(program->governed.lanes);
        fol_free(program->marks);
        fol_free(program->is_kept);
        fol_free(program);
    }
}

static fol_budget_program *make_program(uint32_t nodes, uint32_t lanes)
{
    fol_budget_program *program = fol_alloc_zeroed(1, sizeof(*program));
    if (program == NULL) {
        return NULL;
    }
    program->governed.nodes = fol_alloc_zeroed(nodes, sizeof(*program->governed.nodes));
    program->governed.lanes = fol_alloc_zeroed(lanes, sizeof(*program->governed.lanes));
    program->governed.node_count = nodes;
    program->marks = fol_alloc_zeroed(nodes, sizeof(*program->marks));
    program->is_kept = fol_alloc_zeroed(lanes, sizeof(*program->is_kept));
    if (program->governed.nodes == NULL || program->governed.lanes == NULL ||
        program->marks == NULL || program->is_kept == NULL) {
        fol_budget_program_destroy(program);
        return NULL;
    }
    return program;
}

fol_budget_entry *fol_budget_find(const fol_frame_budget *budget, uint64_t key)
{
    for (uint32_t i = 0; i < budget->entry_count; i++) {
        if (budget->entries[i].key == key) {
            return &budget->entries[i];
        }
    }
    return NULL;
}

/* What the dispatcher refused, as fol_budget_prepare says it. */
static int as_told(int status)
{
    return status == -EINVAL ? FOL_E_VALUE : status == FOL_E_CAPACITY ? -ENOSPC : status;
}

static bool is_restricted(const fol_context_options *options)
{
    bool is = false;
    for (uint32_t i = 0; i < FOL_CONTEXT_CPU_WORDS; i++) {
        is = is || options->cpus[i] != 0;
    }
    return is;
}

/* -ERANGE: no run would fit into the budget; -ENODEV: no worker may run it. */
static int check_context(const fol_frame_budget *budget, const fol_context_options *options,
                         uint32_t workers)
{
    bool has_worker = false;
    for (uint32_t i = 0; i < FOL_CONTEXT_CPU_WORDS; i++) {
        uint64_t word = options->cpus[i];
        uint32_t first = 64 * i;
        uint64_t there = workers >= first + 64 ? UINT64_MAX
                         : workers > first     ? (UINT64_C(1) << (workers - first)) - 1
                                               : 0;
        has_worker = has_worker || (word & there) != 0;
    }
    if (is_restricted(options) && !has_worker) {
        return -ENODEV;
    }
    return options->budget < budget->least_budget ? -ERANGE : FOL_OK;
}

/* The entry of a key, made when there is none. */
static int take_entry(fol_frame_budget *budget, const fol_system_budget *given, int64_t now,
                      uint32_t workers, fol_budget_entry **out)
{
    fol_dispatcher *dispatcher = fol_governor_dispatcher(budget->governor);
    *out = fol_budget_find(budget, given->key);
    if (*out != NULL) {
        return FOL_OK;
    }
    if (budget->entry_count == budget->entry_room) {
        return -ENOSPC;
    }
    fol_budget_entry entry = {.key = given->key, .is_group = given->is_group};
    int status;
    if (given->is_group) {
        const fol_group_options options = {.weight = given->weight, .latency = given->latency};
        status = fol_dispatcher_add_group(dispatcher, &options, &entry.group);
    } else {
        status = check_context(budget, &given->context, workers);
        if (is_restricted(&given->context)) {
            fol_governor_restrict(budget->governor);
        }
        if (status == FOL_OK) {
            status = fol_dispatcher_add_context(dispatcher, &given->context, now, &entry.context);
        }
    }
    if (status == FOL_OK) {
        *out = &budget->entries[budget->entry_count++];
        **out = entry;
    }
    return as_told(status);
}

static bool is_gone(const fol_frame_budget *budget, const fol_budget_entry *entry)
{
    fol_context_stats stats;
    return !entry->is_group &&
           fol_dispatcher_context_stats(fol_governor_dispatcher(budget->governor), entry->context,
                                        &stats) == FOL_E_STALE;
}

/* The node of the program before whose runnables the node takes over, or NULL. */
static const fol_governed_node *find_source(const fol_program *old, const fol_system *system,
                                            const fol_governed_node *wanted,
                                            const fol_frame_budget *budget, uint32_t group)
{
    if (old == NULL || old->budget == NULL || system->carries_state < 0 ||
        (uint64_t)system->carries_state >= old->node_count) {
        return NULL;
    }
    const fol_governed *governed = &old->budget->governed;
    const fol_governed_node *source = &governed->nodes[old->node_of_system[system->carries_state]];
    if (source->count != wanted->count || source->context != wanted->context) {
        return NULL;
    }
    const fol_dispatcher *dispatcher = fol_governor_dispatcher(budget->governor);
    const fol_runnable_view *view = fol_dispatcher_view(dispatcher, governed->lanes[source->first]);
    return view->group == group ? source : NULL;
}

/* The lanes of one node. */
static int fill_node(fol_scheduler *scheduler, fol_program *program, const fol_program *old,
                     uint32_t index, const fol_system *system, int64_t now)
{
    fol_frame_budget *budget = fol_budget_of_any(scheduler);
    fol_dispatcher *dispatcher = fol_governor_dispatcher(budget->governor);
    fol_budget_program *own = program->budget;
    fol_governed_node *node = &own->governed.nodes[index];
    const fol_system_budget *given = system->budget;
    fol_budget_entry *entry = NULL;
    int status =
        given == NULL ? FOL_OK : take_entry(budget, given, now, scheduler->worker_count, &entry);
    if (status != FOL_OK) {
        return status;
    }
    uint32_t lanes = count_lanes(scheduler, &program->nodes[index], given);
    uint32_t group = entry == NULL ? 0 : entry->group;
    node->first = own->lane_count;
    node->context = entry == NULL ? 0 : entry->context;
    if (entry != NULL && is_gone(budget, entry)) {
        node->is_gone = true;
        return FOL_OK;
    }
    node->count = lanes;
    const fol_governed_node *source = find_source(old, system, node, budget, group);
    const fol_runnable_options options = {
        .weight = larger(FOL_FAIR_WEIGHT_NORMAL / lanes, 1),
        .latency = entry != NULL && entry->is_group ? given->latency : FOL_FAIR_NORMAL,
        .group = group,
        .priority = (int32_t)program->nodes[index].system,
        .period = entry != NULL && !entry->is_group ? given->context.period : 0,
        .context = node->context};
    for (uint32_t i = 0; i < lanes; i++) {
        uint32_t *lane = &own->governed.lanes[own->lane_count];
        own->is_kept[own->lane_count] = source != NULL;
        if (source != NULL) {
            *lane = old->budget->governed.lanes[source->first + i];
        } else {
            status = fol_dispatcher_add(dispatcher, &options, lane);
        }
        if (status != FOL_OK) {
            return as_told(status);
        }
        own->lane_count++;
    }
    return FOL_OK;
}

static void remove_lane(fol_frame_budget *budget, uint32_t id, int64_t now)
{
    int status = fol_dispatcher_remove(fol_governor_dispatcher(budget->governor), id, now);
    FOL_ASSERT(status == FOL_OK);
    budget->system_of[id] = UINT32_MAX;
    fol_governor_forget(budget->governor, id);
}

int fol_budget_prepare(fol_scheduler *scheduler, fol_program *program, const fol_program *old,
                       const fol_system *systems)
{
    uint32_t lanes = 0;
    if (!is_governed(scheduler, program, systems)) {
        return FOL_OK;
    }
    for (uint32_t i = 0; i < program->node_count; i++) {
        const fol_node *node = &program->nodes[i];
        lanes += count_lanes(scheduler, node, systems[node->system].budget);
    }
    program->budget = make_program(program->node_count, lanes);
    if (program->budget == NULL) {
        return -ENOMEM;
    }
    int status = ensure(scheduler, lanes, program->node_count);
    if (status != FOL_OK) {
        return status;
    }
    int64_t now;
    fol_governor *governor = fol_budget_of_any(scheduler)->governor;
    status = fol_governor_lock(governor, &now);
    if (status != FOL_OK) {
        return status;
    }
    for (uint32_t i = 0; status == FOL_OK && i < program->node_count; i++) {
        status = fill_node(scheduler, program, old, i, &systems[program->nodes[i].system], now);
    }
    fol_governor_unlock(governor);
    if (status != FOL_OK) {
        fol_budget_abandon(scheduler, program);
    }
    return status;
}

void fol_budget_abandon(fol_scheduler *scheduler, fol_program *program)
{
    fol_frame_budget *budget = fol_budget_of_any(scheduler);
    fol_budget_program *own = program->budget;
    int64_t now;
    if (own == NULL || budget == NULL || fol_governor_lock(budget->governor, &now) != FOL_OK) {
        return;
    }
    for (uint32_t i = 0; i < own->lane_count; i++) {
        if (!own->is_kept[i]) {
            remove_lane(budget, own->governed.lanes[i], now);
        }
    }
    own->lane_count = 0;
    fol_governor_unlock(budget->governor);
}

/* Contexts that no node has any more go, so that others find room. Those that were revoked or ended
 * stay known, or they would come back to life. */
static void drop_unused_contexts(fol_frame_budget *budget, const fol_budget_program *program,
                                 int64_t now)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < budget->entry_count; i++) {
        const fol_budget_entry entry = budget->entries[i];
        bool is_used = entry.is_group || is_gone(budget, &entry);
        for (uint32_t k = 0; !is_used && program != NULL && k < program->governed.node_count; k++) {
            is_used = program->governed.nodes[k].context == entry.context;
        }
        if (is_used) {
            budget->entries[kept++] = entry;
        } else {
            int status = fol_dispatcher_revoke(fol_governor_dispatcher(budget->governor),
                                               entry.context, now);
            FOL_ASSERT(status == FOL_OK);
        }
    }
    budget->entry_count = kept;
}

void fol_budget_commit(fol_scheduler *scheduler, const fol_program *program, const fol_program *old)
{
    fol_frame_budget *budget = fol_budget_of_any(scheduler);
    int64_t now;
    if (budget == NULL || fol_governor_lock(budget->governor, &now) != FOL_OK) {
        return;
    }
    const fol_budget_program *own = program->budget;
    memset(budget->system_of, 0xff, budget->runnable_room * sizeof(*budget->system_of));
    for (uint32_t i = 0; own != NULL && i < program->node_count; i++) {
        const fol_governed_node *node = &own->governed.nodes[i];
        for (uint32_t k = 0; k < node->count; k++) {
            uint32_t id = own->governed.lanes[node->first + k];
            budget->system_of[id] = program->nodes[i].system;
            budget->runnable_end = larger(budget->runnable_end, id + 1);
        }
    }
    const fol_budget_program *gone = old == NULL ? NULL : old->budget;
    for (uint32_t i = 0; gone != NULL && i < gone->lane_count; i++) {
        if (budget->system_of[gone->governed.lanes[i]] == UINT32_MAX) {
            remove_lane(budget, gone->governed.lanes[i], now);
        }
    }
    drop_unused_contexts(budget, own, now);
    fol_governor_unlock(budget->governor);
}
