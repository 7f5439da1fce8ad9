/* What budgets and the policy tell: ledgers, notices, decisions, and why something happened. Any
 * thread that does not hold the host's lock. */

#include <stdio.h>

#include "foliot/status.h"
#include "frame/budget.h"

/* Locks what the scheduler has. FOL_E_MISSING: it has none; FOL_E_BUSY. */
static int enter(const fol_scheduler *scheduler, fol_frame_budget **out, int64_t *now)
{
    fol_frame_budget *budget = fol_budget_of_any(scheduler);
    if (budget == NULL) {
        return FOL_E_MISSING;
    }
    *out = budget;
    return fol_governor_lock(budget->governor, now);
}

static void leave(const fol_frame_budget *budget)
{
    fol_governor_unlock(budget->governor);
}

static fol_dispatcher *dispatcher_of(const fol_frame_budget *budget)
{
    return fol_governor_dispatcher(budget->governor);
}

int fol_scheduler_revoke(fol_scheduler *scheduler, uint64_t key)
{
    fol_frame_budget *budget = NULL;
    int64_t now;
    int status = enter(scheduler, &budget, &now);
    if (status != FOL_OK) {
        return status;
    }
    const fol_budget_entry *entry = fol_budget_find(budget, key);
    if (entry == NULL || entry->is_group) {
        status = FOL_E_MISSING;
    } else {
        status = fol_dispatcher_revoke(dispatcher_of(budget), entry->context, now);
        fol_governor_tell_gone(budget->governor);
        if (status == FOL_OK) {
            /* Relaxed: who sees it takes the lock to look closer. */
            atomic_fetch_add_explicit(&budget->revocations, 1, memory_order_relaxed);
        }
    }
    leave(budget);
    return status;
}

uint64_t fol_scheduler_revocations(const fol_scheduler *scheduler)
{
    const fol_frame_budget *budget = fol_budget_of_any(scheduler);
    return budget == NULL ? 0 : atomic_load_explicit(&budget->revocations, memory_order_relaxed);
}

bool fol_scheduler_is_revoked(fol_scheduler *scheduler, uint32_t system)
{
    const fol_program *program = scheduler->program;
    fol_frame_budget *budget = NULL;
    int64_t now;
    if (program->budget == NULL || enter(scheduler, &budget, &now) != FOL_OK) {
        return false;
    }
    FOL_ASSERT(system < program->node_count);
    uint64_t context = program->budget->governed.nodes[program->node_of_system[system]].context;
    fol_context_stats stats;
    bool is_gone = context != 0 && fol_dispatcher_context_stats(dispatcher_of(budget), context,
                                                                &stats) == FOL_E_STALE;
    leave(budget);
    return is_gone;
}

static void add_account(fol_account *sum, const fol_account *more)
{
    sum->runtime += more->runtime;
    sum->waited += more->waited;
    sum->virtual_runtime += more->virtual_runtime;
    sum->jobs += more->jobs;
    sum->switches += more->switches;
    sum->preemptions += more->preemptions;
    sum->blocks += more->blocks;
    sum->migrations += more->migrations;
    sum->steals += more->steals;
    sum->throttles += more->throttles;
    sum->overruns += more->overruns;
    sum->skipped += more->skipped;
    sum->misses += more->misses;
    if (more->longest_response > sum->longest_response) {
        sum->longest_response = more->longest_response;
    }
}

/* Of all its lanes. */
static int read_system(const fol_frame_budget *budget, uint64_t system, fol_account *out)
{
    bool is_found = false;
    *out = (fol_account){0};
    for (uint32_t id = 0; id < budget->runnable_end; id++) {
        if (budget->system_of[id] == system) {
            add_account(out, fol_dispatcher_account(dispatcher_of(budget), id));
            is_found = true;
        }
    }
    return is_found ? FOL_OK : FOL_E_MISSING;
}

int fol_scheduler_read_account(fol_scheduler *scheduler, fol_account_kind kind, uint64_t id,
                               fol_account *out)
{
    fol_frame_budget *budget = NULL;
    int64_t now;
    int status = enter(scheduler, &budget, &now);
    if (status != FOL_OK) {
        return status;
    }
    const fol_budget_entry *entry = kind == FOL_ACCOUNT_GROUP ? fol_budget_find(budget, id) : NULL;
    status = FOL_E_MISSING;
    if (kind == FOL_ACCOUNT_SYSTEM && id < UINT32_MAX) {
        status = read_system(budget, id, out);
    } else if (kind == FOL_ACCOUNT_WORKER && id < scheduler->worker_count) {
        *out = *fol_dispatcher_cpu_account(dispatcher_of(budget), (uint32_t)id);
        status = FOL_OK;
    } else if (entry != NULL && entry->is_group) {
        *out = *fol_dispatcher_group_account(dispatcher_of(budget), entry->group);
        status = FOL_OK;
    }
    leave(budget);
    return status;
}

int fol_scheduler_read_attribution(fol_scheduler *scheduler, fol_attribution *out)
{
    fol_frame_budget *budget = NULL;
    int64_t now;
    int status = enter(scheduler, &budget, &now);
    if (status == FOL_OK) {
        fol_governor_read_attribution(budget->governor, out);
        leave(budget);
    }
    return status;
}

int fol_scheduler_read_context(fol_scheduler *scheduler, uint64_t key, fol_context_stats *out)
{
    fol_frame_budget *budget = NULL;
    int64_t now;
    int status = enter(scheduler, &budget, &now);
    if (status != FOL_OK) {
        return status;
    }
    const fol_budget_entry *entry = fol_budget_find(budget, key);
    status = entry == NULL || entry->is_group
                 ? FOL_E_MISSING
                 : fol_dispatcher_context_stats(dispatcher_of(budget), entry->context, out);
    leave(budget);
    return status;
}

bool fol_scheduler_take_notice(fol_scheduler *scheduler, uint64_t key, fol_notice *out)
{
    fol_frame_budget *budget = NULL;
    int64_t now;
    if (enter(scheduler, &budget, &now) != FOL_OK) {
        return false;
    }
    const fol_budget_entry *entry = fol_budget_find(budget, key);
    bool is_taken = entry != NULL && !entry->is_group &&
                    fol_dispatcher_take_notice(dispatcher_of(budget), entry->context, out);
    leave(budget);
    return is_taken;
}

/* A runnable as others know it: by its system. */
static uint32_t system_of(const fol_frame_budget *budget, uint32_t runnable)
{
    return runnable < budget->runnable_room ? budget->system_of[runnable] : FOL_NO_RUNNABLE;
}

uint32_t fol_scheduler_runnable_system(const fol_scheduler *scheduler, uint32_t runnable)
{
    const fol_frame_budget *budget = fol_budget_of_any(scheduler);
    return budget == NULL ? UINT32_MAX : system_of(budget, runnable);
}

static fol_decision as_told(const fol_frame_budget *budget, const fol_decision *decision)
{
    fol_decision told = *decision;
    told.runnable = system_of(budget, decision->runnable);
    if (decision->kind == FOL_DECISION_PICK || decision->kind == FOL_DECISION_PREEMPT) {
        told.other = system_of(budget, decision->other);
    }
    return told;
}

size_t fol_scheduler_read_decisions(fol_scheduler *scheduler, uint64_t *first, fol_decision *out,
                                    size_t room)
{
    fol_frame_budget *budget = NULL;
    int64_t now;
    uint64_t oldest;
    uint64_t end;
    if (enter(scheduler, &budget, &now) != FOL_OK) {
        *first = 0;
        return 0;
    }
    fol_dispatcher_records(dispatcher_of(budget), &oldest, &end);
    *first = *first < oldest ? oldest : *first < end ? *first : end;
    size_t count = 0;
    for (uint64_t number = *first; number < end && count < room; number++) {
        out[count++] = as_told(budget, fol_dispatcher_record(dispatcher_of(budget), number));
    }
    leave(budget);
    return count;
}

/* How much a decision says about why something did not run: budgets and admission before what is
 * daily business; picks and refills say nothing. */
static uint32_t weight_of(const fol_decision *decision)
{
    switch ((fol_decision_kind)decision->kind) {
    case FOL_DECISION_DENY:
    case FOL_DECISION_THROTTLE:
    case FOL_DECISION_SKIP:
    case FOL_DECISION_KILL:
    case FOL_DECISION_DEMOTE:
    case FOL_DECISION_NOTIFY:
    case FOL_DECISION_REVOKE:
        return 3;
    case FOL_DECISION_MISS:
        return 2;
    case FOL_DECISION_DELAY:
    case FOL_DECISION_PREEMPT:
    case FOL_DECISION_MIGRATE:
        return 1;
    default:
        return 0;
    }
}

/* Of what is asked about: a system, or all with a context or group. */
typedef struct subject {
    uint32_t system;  /* UINT32_MAX: any */
    uint64_t context; /* 0: any */
    uint32_t group;   /* 0: any */
} subject;

static bool concerns(const fol_frame_budget *budget, const subject *about, uint32_t runnable)
{
    uint32_t system = system_of(budget, runnable);
    if (system == UINT32_MAX) {
        return false;
    }
    const fol_runnable_view *view = fol_dispatcher_view(dispatcher_of(budget), runnable);
    return (about->system == UINT32_MAX || about->system == system) &&
           (about->context == 0 || about->context == view->context) &&
           (about->group == 0 || about->group == view->group);
}

static void prefer(const fol_decision *candidate, fol_decision *best, uint32_t *weight)
{
    uint32_t own = weight_of(candidate);
    if (own > *weight || (own == *weight && own > 0 && candidate->now >= best->now)) {
        *best = *candidate;
        *weight = own;
    }
}

/* The newest of the weightiest decisions, among those that are kept. */
static bool find_decision(const fol_frame_budget *budget, const subject *about, fol_decision *out)
{
    const fol_dispatcher *dispatcher = dispatcher_of(budget);
    uint32_t weight = 0;
    uint64_t oldest;
    uint64_t end;
    fol_dispatcher_records(dispatcher, &oldest, &end);
    for (uint64_t number = oldest; number < end; number++) {
        const fol_decision *record = fol_dispatcher_record(dispatcher, number);
        if (concerns(budget, about, record->runnable)) {
            prefer(record, out, &weight);
        }
    }
    for (uint32_t id = 0; id < budget->runnable_end; id++) {
        fol_decision last;
        if (concerns(budget, about, id) && fol_dispatcher_last(dispatcher, id, &last)) {
            prefer(&last, out, &weight);
        }
    }
    return weight > 0;
}

typedef struct teller {
    const fol_scheduler *scheduler;
    const fol_frame_budget *budget;
} teller;

static const char *tell_name(void *state, uint32_t runnable)
{
    const teller *told = state;
    uint32_t system = system_of(told->budget, runnable);
    const fol_plan *plan = told->scheduler->program->plan;
    return system < fol_plan_system_count(plan) ? fol_plan_system_name(plan, system) : NULL;
}

static size_t explain(const fol_scheduler *scheduler, const fol_frame_budget *budget,
                      const subject *about, const fol_account *account, char *out, size_t room)
{
    fol_decision decision = {0};
    if (find_decision(budget, about, &decision)) {
        teller told = {scheduler, budget};
        const fol_decision_words words = {.state = &told,
                                          .name = tell_name,
                                          .cpu = "worker",
                                          .origin = budget->origin,
                                          .is_ns = true};
        return fol_decision_explain(&decision, &words, out, room);
    }
    int length = snprintf(out, room,
                          "nothing held it up: %llu jobs ran for %.3f ms and waited for %.3f ms "
                          "while others ran",
                          (unsigned long long)account->jobs, (double)account->runtime * 1e-6,
                          (double)account->waited * 1e-6);
    return length < 0 ? 0 : (size_t)length;
}

static size_t say(const char *text, char *out, size_t room)
{
    int length = snprintf(out, room, "%s", text);
    return length < 0 ? 0 : (size_t)length;
}

static size_t refuse(int status, char *out, size_t room)
{
    return say(status == FOL_E_BUSY ? "the policy asks this while it decides"
                                    : "no system has a budget, and the scheduler has no policy: "
                                      "everything runs in the order of the plan",
               out, room);
}

size_t fol_scheduler_explain_system(fol_scheduler *scheduler, uint32_t system, char *out,
                                    size_t room)
{
    fol_frame_budget *budget = NULL;
    int64_t now;
    int status = enter(scheduler, &budget, &now);
    if (status != FOL_OK) {
        return refuse(status, out, room);
    }
    const subject about = {.system = system};
    fol_account account;
    size_t length = read_system(budget, system, &account) == FOL_OK
                        ? explain(scheduler, budget, &about, &account, out, room)
                        : say("its context has been revoked or ended, so it is refused", out, room);
    leave(budget);
    return length;
}

/* Sums over all systems that a context pays for. */
static fol_account sum_context(const fol_frame_budget *budget, const subject *about)
{
    fol_account sum = {0};
    for (uint32_t id = 0; id < budget->runnable_end; id++) {
        if (concerns(budget, about, id)) {
            add_account(&sum, fol_dispatcher_account(dispatcher_of(budget), id));
        }
    }
    return sum;
}

size_t fol_scheduler_explain_budget(fol_scheduler *scheduler, uint64_t key, char *out, size_t room)
{
    fol_frame_budget *budget = NULL;
    int64_t now;
    int status = enter(scheduler, &budget, &now);
    if (status != FOL_OK) {
        return refuse(status, out, room);
    }
    const fol_budget_entry *entry = fol_budget_find(budget, key);
    size_t length;
    if (entry == NULL) {
        length = say("no system of this scheduler has it", out, room);
    } else {
        const subject about = {
            .system = UINT32_MAX, .context = entry->context, .group = entry->group};
        fol_account account = sum_context(budget, &about);
        length = explain(scheduler, budget, &about, &account, out, room);
    }
    leave(budget);
    return length;
}

/* Sums of a node's lanes. */
static fol_budget_mark mark_node(const fol_frame_budget *budget, const fol_budget_program *program,
                                 uint32_t index)
{
    const fol_governed_node *node = &program->governed.nodes[index];
    fol_budget_mark mark = {0};
    for (uint32_t i = 0; i < node->count; i++) {
        const fol_account *account =
            fol_dispatcher_account(dispatcher_of(budget), program->governed.lanes[node->first + i]);
        mark.misses += account->misses;
        mark.overruns += account->overruns;
    }
    return mark;
}

/* Counts what came since the node was looked at last. */
static void settle_node(fol_scheduler *scheduler, const fol_frame_budget *budget, uint32_t index)
{
    fol_frame_counters *counters = &scheduler->counters;
    fol_budget_program *program = scheduler->program->budget;
    fol_budget_mark *mark = &program->marks[index];
    fol_budget_mark now = mark_node(budget, program, index);
    now.new_misses = (uint32_t)(now.misses - mark->misses);
    now.new_overruns = (uint32_t)(now.overruns - mark->overruns);
    *mark = now;
    fol_count(&counters->misses, now.new_misses);
    fol_count(&counters->overruns, now.new_overruns);
}

void fol_budget_settle_frame(fol_scheduler *scheduler)
{
    fol_frame_counters *counters = &scheduler->counters;
    fol_frame_budget *budget = NULL;
    int64_t now;
    uint64_t oldest;
    uint64_t end;
    fol_host_set_attached(scheduler, &scheduler->runners[0], false);
    if (enter(scheduler, &budget, &now) != FOL_OK) {
        return;
    }
    for (uint32_t i = 0; i < scheduler->program->node_count; i++) {
        settle_node(scheduler, budget, i);
    }
    fol_dispatcher_records(dispatcher_of(budget), &oldest, &end);
    uint64_t faults = fol_dispatcher_faults(dispatcher_of(budget));
    leave(budget);
    atomic_store_explicit(&counters->decisions, end, memory_order_relaxed);
    atomic_store_explicit(&counters->policy_faults, faults, memory_order_relaxed);
}
