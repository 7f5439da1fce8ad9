/* The dispatcher's ledgers and records; dispatcher.h has the contract.
 *
 * Whatever is charged goes to three ledgers at once, of the runnable, its group and the CPU, so
 * their sums agree by construction.
 */

#include "policy/dispatcher_state.h"

#include "foliot/status.h"

__extension__ typedef __int128 wide;

#define NORMAL_WEIGHT 1024

void fol_dispatcher_write(fol_dispatcher *dispatcher, const fol_decision *decision)
{
    FOL_ASSERT(dispatcher->records != NULL);
    uint64_t place = dispatcher->record_count & (dispatcher->config.records - 1);
    dispatcher->records[place] = *decision;
    dispatcher->record_count += 1;
    uint32_t id = decision->runnable;
    if (decision->kind != FOL_DECISION_PICK && id < dispatcher->config.capacity) {
        dispatcher->lasts[id] = (fol_last){.decision = *decision, .is_set = true};
    }
}

void fol_dispatcher_note(fol_dispatcher *dispatcher, const fol_decision *decision)
{
    FOL_ASSERT(decision->kind < FOL_DECISION_KINDS);
    if (dispatcher->records != NULL) {
        fol_dispatcher_write(dispatcher, decision);
    }
}

void fol_dispatcher_fault(void *owner, fol_policy_slot slot, int status, const fol_slot_site *site)
{
    fol_dispatcher *dispatcher = owner;
    fol_decision decision = {.now = site->now,
                             .kind = FOL_DECISION_FAULT,
                             .policy = (uint8_t)dispatcher->config.policy,
                             .runnable = site->runnable,
                             .cpu = site->cpu,
                             .other = slot,
                             .numbers = {status, dispatcher->slots.faults, 0}};
    if (site->runnable != FOL_NO_RUNNABLE) {
        decision.job = fol_runnable_of(dispatcher, site->runnable)->view.job;
    }
    fol_dispatcher_note(dispatcher, &decision);
    if (!fol_slots_are_on(&dispatcher->slots)) {
        decision.kind = FOL_DECISION_POLICY_OFF;
        decision.runnable = FOL_NO_RUNNABLE;
        decision.numbers[0] = dispatcher->slots.faults;
        decision.numbers[1] = 0;
        fol_dispatcher_note(dispatcher, &decision);
    }
}

static int64_t virtual_time(int64_t used, uint32_t weight)
{
    if (weight == NORMAL_WEIGHT) {
        return used;
    }
    wide time = (wide)used * NORMAL_WEIGHT / weight;
    return time < INT64_MAX ? (int64_t)time : INT64_MAX;
}

static int64_t sum_of(int64_t a, int64_t b)
{
    return a <= INT64_MAX - b ? a + b : INT64_MAX;
}

void fol_ledger_ran(fol_dispatcher *dispatcher, fol_runnable *runnable, uint32_t cpu, int64_t used)
{
    fol_group *group = &dispatcher->groups[runnable->view.group];
    fol_account *accounts[] = {&runnable->account, &group->account, &dispatcher->cpus[cpu].account};
    uint32_t weights[] = {runnable->view.weight, group->options.weight, NORMAL_WEIGHT};
    for (uint32_t i = 0; i < 3; i++) {
        accounts[i]->runtime = sum_of(accounts[i]->runtime, used);
        accounts[i]->virtual_runtime =
            sum_of(accounts[i]->virtual_runtime, virtual_time(used, weights[i]));
    }
    runnable->view.ran = sum_of(runnable->view.ran, used);
}

void fol_ledger_waited(fol_dispatcher *dispatcher, fol_runnable *runnable, int64_t now)
{
    int64_t waited = now - runnable->view.since;
    FOL_ASSERT(waited >= 0);
    fol_account *group = &dispatcher->groups[runnable->view.group].account;
    runnable->account.waited = sum_of(runnable->account.waited, waited);
    group->waited = sum_of(group->waited, waited);
}

static void keep_longest(fol_account *account, uint64_t response)
{
    account->longest_response =
        response > account->longest_response ? response : account->longest_response;
}

bool fol_ledger_ended(fol_dispatcher *dispatcher, fol_runnable *runnable, uint32_t cpu, int64_t now)
{
    const fol_runnable_view *view = &runnable->view;
    uint64_t response = (uint64_t)(now - view->release);
    FOL_ASSERT(now >= view->release);
    FOL_COUNT(dispatcher, runnable, cpu, jobs);
    keep_longest(&runnable->account, response);
    keep_longest(&dispatcher->groups[view->group].account, response);
    keep_longest(&dispatcher->cpus[cpu].account, response);
    bool is_miss = now > view->deadline;
    if (is_miss) {
        FOL_COUNT(dispatcher, runnable, cpu, misses);
        fol_tell(dispatcher, FOL_DECISION_MISS, runnable, cpu, FOL_NO_RUNNABLE, now, view->deadline,
                 now, now - view->deadline);
    }
    return is_miss;
}

void fol_dispatcher_records(const fol_dispatcher *dispatcher, uint64_t *first, uint64_t *end)
{
    uint64_t kept = dispatcher->config.records;
    *end = dispatcher->record_count;
    *first = *end > kept ? *end - kept : 0;
}

const fol_decision *fol_dispatcher_record(const fol_dispatcher *dispatcher, uint64_t number)
{
    uint64_t first;
    uint64_t end;
    fol_dispatcher_records(dispatcher, &first, &end);
    if (number < first || number >= end) {
        return NULL;
    }
    return &dispatcher->records[number & (dispatcher->config.records - 1)];
}

bool fol_dispatcher_last(const fol_dispatcher *dispatcher, uint32_t id, fol_decision *out)
{
    if (dispatcher->lasts == NULL || id >= dispatcher->config.capacity ||
        !dispatcher->lasts[id].is_set) {
        return false;
    }
    *out = dispatcher->lasts[id].decision;
    return true;
}

const fol_account *fol_dispatcher_account(const fol_dispatcher *dispatcher, uint32_t id)
{
    FOL_ASSERT(id < dispatcher->used_count);
    return &dispatcher->runnables[id].account;
}

const fol_account *fol_dispatcher_group_account(const fol_dispatcher *dispatcher, uint32_t group)
{
    FOL_ASSERT(group < dispatcher->group_count);
    return &dispatcher->groups[group].account;
}

const fol_account *fol_dispatcher_cpu_account(const fol_dispatcher *dispatcher, uint32_t cpu)
{
    FOL_ASSERT(cpu < dispatcher->config.cpus);
    return &dispatcher->cpus[cpu].account;
}

void fol_dispatcher_choices(const fol_dispatcher *dispatcher, fol_choice_counts *out)
{
    const fol_choice_counts *counts = &dispatcher->counts;
    FOL_ASSERT(counts->idle_picks <= counts->picks);
    FOL_ASSERT(counts->answered + counts->defaulted == counts->asked);
    *out = *counts;
    out->candidates =
        counts->taken + counts->forbidden + counts->held + counts->depleted + counts->outranked;
}
