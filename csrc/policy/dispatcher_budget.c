/* Contexts in the dispatcher: who may draw on a budget, and what happens when it is used up.
 *
 * A budget is spent by one runnable at a time, its holder: it is worth one CPU at most, and charges
 * that overlap would be ahead of the clock. Siblings that come first in line meanwhile are held,
 * until the holder leaves its CPU.
 *
 * Invariants: of the members of a context that have a job to run, `waiting` are throttled, demoted
 * or on slack, and the context is in the heap of refills exactly while there are any; `held` are
 * held, and only while there is a holder.
 */

#include "policy/dispatcher_state.h"

#include <errno.h>

#include "foliot/status.h"

void fol_budget_link(fol_dispatcher *dispatcher, fol_runnable *runnable, uint32_t place)
{
    fol_budget *budget = &dispatcher->budgets[place];
    runnable->context = place;
    runnable->is_restricted = budget->is_restricted;
    runnable->previous_sibling = FOL_NO_ID;
    runnable->next_sibling = budget->members;
    if (budget->members != FOL_NO_ID) {
        dispatcher->runnables[budget->members].previous_sibling = runnable->view.id;
    }
    budget->members = runnable->view.id;
}

void fol_budget_unlink(fol_dispatcher *dispatcher, fol_runnable *runnable)
{
    fol_budget *budget = fol_budget_of(dispatcher, runnable);
    if (budget == NULL) {
        return;
    }
    FOL_ASSERT(budget->holder != runnable->view.id);
    if (runnable->previous_sibling == FOL_NO_ID) {
        budget->members = runnable->next_sibling;
    } else {
        dispatcher->runnables[runnable->previous_sibling].next_sibling = runnable->next_sibling;
    }
    if (runnable->next_sibling != FOL_NO_ID) {
        dispatcher->runnables[runnable->next_sibling].previous_sibling = runnable->previous_sibling;
    }
    runnable->context = FOL_NO_ID;
    runnable->is_restricted = false;
}

static void find_next_refill(fol_dispatcher *dispatcher)
{
    const fol_heap_node *first = fol_heap_first(&dispatcher->refills);
    dispatcher->next_refill = first == NULL ? FOL_TIME_NEVER : first->rank;
}

static int64_t refill_of(const fol_dispatcher *dispatcher, const fol_budget *budget)
{
    return fol_context_ready_at(dispatcher->contexts, budget->handle);
}

static void begin_waiting(fol_dispatcher *dispatcher, fol_runnable *runnable)
{
    fol_budget *budget = fol_budget_of(dispatcher, runnable);
    int64_t refill = refill_of(dispatcher, budget);
    budget->waiting += 1;
    if (budget->waiting == 1) {
        fol_heap_push(&dispatcher->refills, refill, runnable->context);
    } else {
        fol_heap_update(&dispatcher->refills, refill, runnable->context);
    }
    find_next_refill(dispatcher);
}

static void end_waiting(fol_dispatcher *dispatcher, fol_runnable *runnable)
{
    fol_budget *budget = fol_budget_of(dispatcher, runnable);
    FOL_ASSERT(budget->waiting > 0);
    budget->waiting -= 1;
    if (budget->waiting == 0) {
        fol_heap_remove(&dispatcher->refills, runnable->context);
        find_next_refill(dispatcher);
    }
}

/* Throttled, or back from it. */
static void throttle(fol_dispatcher *dispatcher, fol_runnable *runnable)
{
    runnable->state = FOL_RUNNABLE_THROTTLED;
    dispatcher->throttled_count += 1;
    begin_waiting(dispatcher, runnable);
}

static void end_throttle(fol_dispatcher *dispatcher, fol_runnable *runnable)
{
    dispatcher->throttled_count -= 1;
    end_waiting(dispatcher, runnable);
}

static void set_standing(fol_dispatcher *dispatcher, fol_runnable *runnable, fol_standing standing)
{
    bool waited = runnable->standing != FOL_STANDING_FULL;
    bool waits = standing != FOL_STANDING_FULL;
    runnable->standing = (uint8_t)standing;
    if (waits && !waited) {
        begin_waiting(dispatcher, runnable);
    } else if (waited && !waits) {
        end_waiting(dispatcher, runnable);
    }
}

static bool is_server(const fol_budget *budget)
{
    return budget->kind != FOL_CONTEXT_SPORADIC;
}

int64_t fol_budget_deadline(const fol_dispatcher *dispatcher, const fol_runnable *runnable)
{
    const fol_budget *budget = fol_budget_of(dispatcher, runnable);
    bool is_own = is_server(budget) || dispatcher->config.policy == FOL_POLICY_CBS;
    return is_own
               ? fol_context_deadline(dispatcher->contexts, budget->handle, runnable->view.release)
               : runnable->view.deadline;
}

/* A server's deadline moved: those of its members that are ready stand elsewhere in line now. */
static void rank_members(fol_dispatcher *dispatcher, fol_budget *budget, int64_t now)
{
    if (!is_server(budget)) {
        return;
    }
    uint32_t id = budget->members;
    while (id != FOL_NO_ID) {
        fol_runnable *member = fol_runnable_of(dispatcher, id);
        id = member->next_sibling;
        if (member->state == FOL_RUNNABLE_READY && member->band == FOL_BAND_ORDERED &&
            member->rank != fol_budget_deadline(dispatcher, member)) {
            int64_t since = member->view.since;
            fol_queue_leave(dispatcher, member);
            fol_queue_rank(dispatcher, member, now);
            fol_queue_enter(dispatcher, member, now);
            member->view.since = since;
        }
    }
}

/* Whether a budget of which nobody's standing tells may be drawn on. */
static bool has_budget(const fol_dispatcher *dispatcher, const fol_budget *budget, int64_t now)
{
    return fol_context_ready(dispatcher->contexts, budget->handle, now);
}

static void tell_use(fol_dispatcher *dispatcher, fol_decision_kind kind, fol_runnable *runnable,
                     uint32_t cpu, int64_t now, int64_t third)
{
    const fol_budget *budget = fol_budget_of(dispatcher, runnable);
    fol_tell_why(dispatcher, kind, (uint8_t)budget->kind, runnable, cpu, FOL_NO_RUNNABLE, now,
                 budget->full + budget->debt, budget->full, third);
}

static void tell_left(fol_dispatcher *dispatcher, fol_decision_kind kind, fol_runnable *runnable,
                      uint32_t cpu, int64_t now)
{
    const fol_budget *budget = fol_budget_of(dispatcher, runnable);
    int64_t left = fol_context_budget_left(dispatcher->contexts, budget->handle, now);
    fol_tell_why(dispatcher, kind, (uint8_t)budget->kind, runnable, cpu, FOL_NO_RUNNABLE, now,
                 left == FOL_TIME_NEVER ? budget->soft.budget : left, 0, 0);
}

/* One that wants to run and has no budget, nor does it run. */
static void do_without(fol_dispatcher *dispatcher, fol_runnable *runnable, int64_t now)
{
    const fol_budget *budget = fol_budget_of(dispatcher, runnable);
    int64_t refill = refill_of(dispatcher, budget);
    if (budget->overrun == FOL_OVERRUN_DEMOTE || budget->overrun == FOL_OVERRUN_NOTIFY) {
        bool is_demoted = budget->overrun == FOL_OVERRUN_DEMOTE;
        set_standing(dispatcher, runnable, is_demoted ? FOL_STANDING_DEMOTED : FOL_STANDING_SLACK);
        tell_use(dispatcher, is_demoted ? FOL_DECISION_DEMOTE : FOL_DECISION_NOTIFY, runnable,
                 FOL_NO_CPU, now, refill);
        fol_dispatcher_arrive(dispatcher, runnable, now);
        return;
    }
    throttle(dispatcher, runnable);
    FOL_COUNT(dispatcher, runnable, FOL_NO_CPU, throttles);
    tell_use(dispatcher, FOL_DECISION_THROTTLE, runnable, FOL_NO_CPU, now, refill);
}

fol_woken fol_budget_wake(fol_dispatcher *dispatcher, fol_runnable *runnable, bool is_release,
                          int64_t now)
{
    fol_budget *budget = fol_budget_of(dispatcher, runnable);
    if (budget == NULL) {
        return FOL_WOKEN_READY;
    }
    budget->active += 1;
    if (budget->active == 1) {
        int status = fol_context_wake(dispatcher->contexts, budget->handle, now);
        FOL_ASSERT(status == 0);
        if (budget->kind == FOL_CONTEXT_CBS_SOFT) {
            fol_cbs_wake(&budget->soft, now);
        }
    }
    if (has_budget(dispatcher, budget, now)) {
        return FOL_WOKEN_READY;
    }
    if (is_release && budget->overrun == FOL_OVERRUN_SKIP) {
        budget->active -= 1;
        tell_use(dispatcher, FOL_DECISION_SKIP, runnable, FOL_NO_CPU, now, runnable->next_release);
        return FOL_WOKEN_SKIPPED;
    }
    do_without(dispatcher, runnable, now);
    return FOL_WOKEN_WAITS;
}

void fol_budget_slept(fol_dispatcher *dispatcher, fol_runnable *runnable)
{
    fol_budget *budget = fol_budget_of(dispatcher, runnable);
    if (budget != NULL) {
        FOL_ASSERT(budget->active > 0);
        set_standing(dispatcher, runnable, FOL_STANDING_FULL);
        budget->active -= 1;
    }
}

/* Why one that is first in line may not run on the CPU; it has left then. */
static uint64_t *pass_over(fol_dispatcher *dispatcher, fol_runnable *runnable, fol_budget *budget,
                           int64_t now)
{
    fol_queue_leave(dispatcher, runnable);
    if (budget->holder != FOL_NO_RUNNABLE) {
        runnable->state = FOL_RUNNABLE_HELD;
        budget->held += 1;
        return &dispatcher->counts.held;
    }
    fol_ledger_waited(dispatcher, runnable, now);
    do_without(dispatcher, runnable, now);
    return &dispatcher->counts.depleted;
}

bool fol_budget_allows(fol_dispatcher *dispatcher, fol_runnable *runnable, uint32_t cpu,
                       int64_t now)
{
    fol_budget *budget = fol_budget_of(dispatcher, runnable);
    bool is_allowed =
        budget == NULL || runnable->standing != FOL_STANDING_FULL ||
        (budget->holder == FOL_NO_RUNNABLE ? has_budget(dispatcher, budget, now)
                                           : budget->holder == dispatcher->cpus[cpu].running);
    uint64_t *count =
        is_allowed ? &dispatcher->counts.taken : pass_over(dispatcher, runnable, budget, now);
    *count += 1;
    return is_allowed;
}

void fol_budget_begin(fol_dispatcher *dispatcher, fol_runnable *runnable, int64_t now)
{
    fol_budget *budget = fol_budget_of(dispatcher, runnable);
    if (budget == NULL || runnable->standing != FOL_STANDING_FULL) {
        return;
    }
    FOL_ASSERT(budget->holder == FOL_NO_RUNNABLE);
    budget->holder = runnable->view.id;
    int status = fol_context_unblock(dispatcher->contexts, budget->handle, now);
    FOL_ASSERT(status == 0);
    if (budget->kind == FOL_CONTEXT_CBS_SOFT) {
        fol_cbs_unblock(&budget->soft, now);
    }
    budget->granted = fol_budget_left(dispatcher, runnable, now);
    FOL_ASSERT(budget->granted > 0);
}

void fol_budget_release_held(fol_dispatcher *dispatcher, fol_runnable *runnable, int64_t now)
{
    fol_budget *budget = fol_budget_of(dispatcher, runnable);
    if (budget == NULL || budget->held == 0) {
        return;
    }
    uint32_t id = budget->members;
    while (id != FOL_NO_ID && budget->held > 0) {
        fol_runnable *member = fol_runnable_of(dispatcher, id);
        id = member->next_sibling;
        if (member->state != FOL_RUNNABLE_HELD) {
            continue;
        }
        /* It stood in line all the while. */
        int64_t since = member->view.since;
        budget->held -= 1;
        fol_dispatcher_arrive(dispatcher, member, now);
        member->view.since = since;
    }
}

void fol_budget_end(fol_dispatcher *dispatcher, fol_runnable *runnable, int64_t now)
{
    fol_budget *budget = fol_budget_of(dispatcher, runnable);
    if (budget == NULL || budget->holder != runnable->view.id) {
        return;
    }
    budget->holder = FOL_NO_RUNNABLE;
    fol_budget_release_held(dispatcher, runnable, now);
}

int64_t fol_budget_left(const fol_dispatcher *dispatcher, const fol_runnable *runnable, int64_t now)
{
    const fol_budget *budget = fol_budget_of(dispatcher, runnable);
    if (budget == NULL || runnable->standing != FOL_STANDING_FULL) {
        return FOL_TIME_NEVER;
    }
    if (budget->kind == FOL_CONTEXT_CBS_SOFT) {
        return budget->soft.budget;
    }
    return fol_context_budget_left(dispatcher->contexts, budget->handle, now);
}

fol_spent fol_budget_charge(fol_dispatcher *dispatcher, fol_runnable *runnable, int64_t used,
                            int64_t now)
{
    fol_budget *budget = fol_budget_of(dispatcher, runnable);
    if (budget == NULL || runnable->standing != FOL_STANDING_FULL || runnable->is_revoked) {
        return FOL_SPENT_NOT;
    }
    int64_t left = budget->granted;
    int64_t deadline =
        fol_context_deadline(dispatcher->contexts, budget->handle, runnable->view.release);
    int charged = fol_context_charge(dispatcher->contexts, budget->handle, used, now);
    FOL_ASSERT(charged >= 0);
    if (budget->kind == FOL_CONTEXT_CBS_SOFT) {
        fol_cbs_charge(&budget->soft, used, now);
    }
    budget->debt = used > left ? used - left : 0;
    budget->granted = fol_budget_left(dispatcher, runnable, now);
    if (charged == FOL_CHARGE_DEPLETED || budget->granted == 0) {
        return FOL_SPENT_ALL;
    }
    int64_t later =
        fol_context_deadline(dispatcher->contexts, budget->handle, runnable->view.release);
    if (later == deadline) {
        return FOL_SPENT_NOT;
    }
    rank_members(dispatcher, budget, now);
    return FOL_SPENT_MOVED;
}

void fol_budget_detach(fol_dispatcher *dispatcher, fol_runnable *runnable, int64_t now)
{
    fol_budget *budget = fol_budget_of(dispatcher, runnable);
    bool has_job = true;
    switch (runnable->state) {
    case FOL_RUNNABLE_READY:
        fol_ledger_waited(dispatcher, runnable, now);
        fol_queue_leave(dispatcher, runnable);
        break;
    case FOL_RUNNABLE_THROTTLED:
        end_throttle(dispatcher, runnable);
        break;
    case FOL_RUNNABLE_HELD:
        budget->held -= 1;
        break;
    case FOL_RUNNABLE_RUNNING:
        runnable->is_revoked = true;
        fol_displace_mark(dispatcher, runnable->cpu);
        break;
    default:
        has_job = false;
        break;
    }
    if (budget != NULL) {
        if (has_job) {
            fol_budget_slept(dispatcher, runnable);
        }
        budget->holder = budget->holder == runnable->view.id ? FOL_NO_RUNNABLE : budget->holder;
        fol_budget_unlink(dispatcher, runnable);
    }
    if (runnable->state != FOL_RUNNABLE_RUNNING) {
        fol_band_leave(dispatcher, runnable);
        runnable->state = FOL_RUNNABLE_DEAD;
    }
}

/* Its context is gone: whoever used it is dead, or learns at its next point. */
static void bury_members(fol_dispatcher *dispatcher, fol_budget *budget, int64_t now)
{
    while (budget->members != FOL_NO_ID) {
        fol_runnable *member = fol_runnable_of(dispatcher, budget->members);
        fol_tell(dispatcher, FOL_DECISION_REVOKE, member, member->cpu, FOL_NO_RUNNABLE, now, 0, 0,
                 0);
        fol_budget_detach(dispatcher, member, now);
    }
    FOL_ASSERT(budget->waiting == 0 && budget->held == 0 && budget->active == 0);
    budget->handle = 0;
}

fol_outcome fol_budget_overrun(fol_dispatcher *dispatcher, fol_runnable *runnable, uint32_t cpu,
                               int64_t now)
{
    fol_budget *budget = fol_budget_of(dispatcher, runnable);
    int64_t refill = refill_of(dispatcher, budget);
    FOL_COUNT(dispatcher, runnable, cpu, overruns);
    switch (budget->overrun) {
    case FOL_OVERRUN_DEMOTE:
    case FOL_OVERRUN_NOTIFY: {
        bool is_demoted = budget->overrun == FOL_OVERRUN_DEMOTE;
        set_standing(dispatcher, runnable, is_demoted ? FOL_STANDING_DEMOTED : FOL_STANDING_SLACK);
        tell_use(dispatcher, is_demoted ? FOL_DECISION_DEMOTE : FOL_DECISION_NOTIFY, runnable, cpu,
                 now, refill);
        return FOL_OUTCOME_GOES_ON;
    }
    case FOL_OVERRUN_SKIP:
        tell_use(dispatcher, FOL_DECISION_SKIP, runnable, cpu, now, runnable->next_release);
        return FOL_OUTCOME_DROPPED;
    case FOL_OVERRUN_KILL:
        tell_use(dispatcher, FOL_DECISION_KILL, runnable, cpu, now, 0);
        return FOL_OUTCOME_KILLED;
    default:
        FOL_COUNT(dispatcher, runnable, cpu, throttles);
        tell_use(dispatcher, FOL_DECISION_THROTTLE, runnable, cpu, now, refill);
        return FOL_OUTCOME_WAITS;
    }
}

void fol_budget_wait(fol_dispatcher *dispatcher, fol_runnable *runnable)
{
    throttle(dispatcher, runnable);
}

void fol_budget_kill(fol_dispatcher *dispatcher, fol_runnable *runnable, int64_t now)
{
    fol_budget *budget = fol_budget_of(dispatcher, runnable);
    int status = fol_context_close(dispatcher->contexts, budget->handle, NULL);
    FOL_ASSERT(status == 0);
    /* The one that overran has been told of already. */
    fol_budget_detach(dispatcher, runnable, now);
    bury_members(dispatcher, budget, now);
}

bool fol_budget_is_back(fol_dispatcher *dispatcher, const fol_runnable *runnable, int64_t now)
{
    const fol_budget *budget = fol_budget_of(dispatcher, runnable);
    if (budget == NULL || runnable->standing == FOL_STANDING_FULL) {
        return false;
    }
    if (has_budget(dispatcher, budget, now)) {
        return true;
    }
    /* A sibling may have used up the refill for which it was to be asked. */
    fol_heap_update(&dispatcher->refills, refill_of(dispatcher, budget), runnable->context);
    find_next_refill(dispatcher);
    return false;
}

void fol_budget_promote(fol_dispatcher *dispatcher, fol_runnable *runnable, int64_t now)
{
    set_standing(dispatcher, runnable, FOL_STANDING_FULL);
    tell_left(dispatcher, FOL_DECISION_PROMOTE, runnable, runnable->cpu, now);
}

/* One of those that wait for a refill which has come. */
static void give_back(fol_dispatcher *dispatcher, fol_runnable *runnable, int64_t now)
{
    if (runnable->state == FOL_RUNNABLE_THROTTLED) {
        end_throttle(dispatcher, runnable);
        tell_left(dispatcher, FOL_DECISION_REFILL, runnable, FOL_NO_CPU, now);
        fol_dispatcher_arrive(dispatcher, runnable, now);
    } else if (runnable->standing == FOL_STANDING_FULL) {
        return;
    } else if (runnable->state == FOL_RUNNABLE_READY) {
        int64_t since = runnable->view.since;
        fol_queue_leave(dispatcher, runnable);
        fol_budget_promote(dispatcher, runnable, now);
        fol_dispatcher_arrive(dispatcher, runnable, now);
        runnable->view.since = since;
    } else if (runnable->state == FOL_RUNNABLE_RUNNING) {
        /* Asked, it is charged what it ran without, and is promoted. */
        fol_displace_mark(dispatcher, runnable->cpu);
    }
}

/* The heap of refills is emptied of those that are due; each is looked at once. */
void fol_dispatcher_advance(fol_dispatcher *dispatcher, int64_t now)
{
    uint32_t due = dispatcher->next_refill <= now ? dispatcher->refills.count : 0;
    for (uint32_t i = 0; i < due && dispatcher->next_refill <= now; i++) {
        uint32_t place = fol_heap_first(&dispatcher->refills)->id;
        fol_budget *budget = &dispatcher->budgets[place];
        /* Whoever runs without is asked first: until then the context is looked at again. */
        fol_heap_update(&dispatcher->refills, FOL_TIME_NEVER, place);
        find_next_refill(dispatcher);
        if (budget->holder == FOL_NO_RUNNABLE) {
            int status = fol_context_unblock(dispatcher->contexts, budget->handle, now);
            FOL_ASSERT(status == 0);
        }
        uint32_t id = budget->members;
        while (id != FOL_NO_ID) {
            fol_runnable *member = fol_runnable_of(dispatcher, id);
            id = member->next_sibling;
            give_back(dispatcher, member, now);
        }
    }
}

int64_t fol_dispatcher_next(const fol_dispatcher *dispatcher)
{
    return dispatcher->next_refill;
}

int fol_dispatcher_revoke(fol_dispatcher *dispatcher, uint64_t context, int64_t now)
{
    if (dispatcher->contexts == NULL) {
        return FOL_E_STALE;
    }
    int status = fol_context_revoke(dispatcher->contexts, context);
    if (status < 0) {
        return status;
    }
    bury_members(dispatcher, &dispatcher->budgets[(uint32_t)context], now);
    return 0;
}

/* Any CPU that there is; no bit at all means all. */
static bool has_cpu(const fol_dispatcher *dispatcher, const uint64_t *cpus)
{
    size_t first = fol_bits_next(cpus, FOL_CONTEXT_CPU_WORDS, 0);
    return first < dispatcher->config.cpus || first == FOL_DISPATCHER_MAX_CPUS;
}

/* What else cannot be is refused by the table, which knows the bounds. */
int fol_dispatcher_add_context(fol_dispatcher *dispatcher, const fol_context_options *options,
                               int64_t now, uint64_t *context)
{
    if (dispatcher->contexts == NULL) {
        return FOL_E_CAPACITY;
    }
    if (!has_cpu(dispatcher, options->cpus)) {
        return -EINVAL;
    }
    fol_context_options raised = *options;
    if (raised.minimum < dispatcher->config.least_budget) {
        raised.minimum = dispatcher->config.least_budget;
    }
    uint64_t handle;
    int status = fol_context_create(dispatcher->contexts, &raised, now, &handle);
    if (status < 0) {
        return status == FOL_E_VALUE ? -EINVAL : status;
    }
    const fol_context_options *kept = fol_context_find(dispatcher->contexts, handle);
    fol_budget *budget = &dispatcher->budgets[(uint32_t)handle];
    *budget = (fol_budget){.handle = handle,
                           .relative_deadline = kept->deadline,
                           .overrun = kept->overrun,
                           .kind = kept->kind,
                           .members = FOL_NO_ID,
                           .holder = FOL_NO_RUNNABLE,
                           .full = kept->budget};
    for (uint32_t word = 0; word < FOL_CONTEXT_CPU_WORDS; word++) {
        budget->cpus[word] = kept->cpus[word];
        budget->is_restricted |= kept->cpus[word] != 0;
    }
    if (kept->kind == FOL_CONTEXT_CBS_SOFT) {
        status = fol_cbs_init(&budget->soft, kept->budget, kept->period, kept->deadline, false);
        FOL_ASSERT(status == 0);
    }
    *context = handle;
    return 0;
}

int fol_dispatcher_context_stats(const fol_dispatcher *dispatcher, uint64_t context,
                                 fol_context_stats *out)
{
    return dispatcher->contexts == NULL
               ? FOL_E_STALE
               : fol_context_read_stats(dispatcher->contexts, context, out);
}

bool fol_dispatcher_take_notice(fol_dispatcher *dispatcher, uint64_t context, fol_notice *out)
{
    return dispatcher->contexts != NULL &&
           fol_context_take_notice(dispatcher->contexts, context, out);
}
