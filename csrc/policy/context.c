/* Contexts; context.h has the contract. */

#include "policy/context.h"

#include <errno.h>

#include "base/assert.h"
#include "base/memory.h"
#include "foliot/status.h"
#include "policy/cbs.h"
#include "policy/notice.h"
#include "policy/refill.h"
#include "structures/slot_map.h"

typedef struct context {
    fol_context_options options;
    fol_context_stats stats;
    union {
        fol_refill_ring ring;
        fol_cbs server;
    } budget;
    bool is_depleted; /* its refill is yet to come, as far as anybody has looked */
} context;

struct fol_context_table {
    fol_slot_map handles;
    fol_notice_box notices;
    uint64_t revocations;
    context *contexts;
    fol_refill *refills; /* FOL_REFILLS_MAX for each */
    fol_notice_slot *notice_slots;
};

static bool is_sporadic(const context *context)
{
    return context->options.kind == FOL_CONTEXT_SPORADIC;
}

/* NULL: the handle is stale. */
static context *find(const fol_context_table *table, uint64_t handle)
{
    uint32_t index = fol_slot_map_find(&table->handles, handle);
    return index == FOL_SLOT_MAP_NONE ? NULL : &table->contexts[index];
}

int fol_context_table_create(uint32_t capacity, fol_context_table **out)
{
    if (capacity == 0 || capacity == UINT32_MAX) {
        return FOL_E_VALUE;
    }
    fol_context_table *table = fol_alloc_zeroed(1, sizeof(*table));
    if (table == NULL) {
        return -ENOMEM;
    }
    int status = fol_slot_map_init(&table->handles, capacity);
    if (status < 0) {
        goto fail;
    }
    /* Zeroed, so that places cost memory only once they are used. */
    table->contexts = fol_alloc_zeroed(capacity, sizeof(*table->contexts));
    table->refills = fol_alloc_zeroed(capacity, FOL_REFILLS_MAX * sizeof(*table->refills));
    table->notice_slots = fol_alloc_array(capacity, sizeof(*table->notice_slots));
    if (table->contexts == NULL || table->refills == NULL || table->notice_slots == NULL) {
        status = -ENOMEM;
        goto fail;
    }
    fol_notice_box_init(&table->notices, table->notice_slots, capacity);
    *out = table;
    return 0;
fail:
    fol_context_table_destroy(table);
    return status;
}

void fol_context_table_destroy(fol_context_table *table)
{
    if (table != NULL) {
        fol_free(table->notice_slots);
        fol_free(table->refills);
        fol_free(table->contexts);
        fol_slot_map_deinit(&table->handles);
        fol_free(table);
    }
}

uint32_t fol_context_table_count(const fol_context_table *table)
{
    return table->handles.live;
}

static bool is_in_bounds(const fol_context_options *options, int64_t now)
{
    return (uint32_t)options->kind < FOL_CONTEXT_KINDS &&
           (uint32_t)options->overrun < FOL_OVERRUN_POLICIES && now >= 0 &&
           now <= FOL_BUDGET_MAX_TIME && options->budget >= 1 &&
           options->budget <= options->period && options->period <= FOL_BUDGET_MAX_PERIOD &&
           (options->deadline == 0 || options->deadline >= options->budget) &&
           options->deadline <= options->period && options->minimum >= 0 &&
           options->minimum <= options->budget && options->refills >= FOL_REFILLS_MIN &&
           options->refills <= FOL_REFILLS_MAX;
}

int fol_context_create(fol_context_table *table, const fol_context_options *options, int64_t now,
                       uint64_t *handle)
{
    if (!is_in_bounds(options, now)) {
        return FOL_E_VALUE;
    }
    uint64_t taken;
    int status = fol_slot_map_take(&table->handles, &taken);
    if (status < 0) {
        return status;
    }
    uint32_t index = fol_slot_map_find(&table->handles, taken);
    context *made = &table->contexts[index];
    *made = (context){.options = *options};
    if (options->deadline == 0) {
        made->options.deadline = options->period;
    }
    if (is_sporadic(made)) {
        status = fol_refill_init(&made->budget.ring,
                                 &table->refills[(size_t)index * FOL_REFILLS_MAX], options->refills,
                                 options->budget, options->period, options->minimum, now);
    } else {
        status = fol_cbs_init(&made->budget.server, options->budget, options->period,
                              made->options.deadline, options->kind == FOL_CONTEXT_CBS_HARD);
    }
    FOL_ASSERT(status == 0);
    fol_notice_clear(&table->notices, index);
    *handle = taken;
    return 0;
}

int fol_context_close(fol_context_table *table, uint64_t handle, fol_context_stats *last)
{
    const context *found = find(table, handle);
    if (found != NULL && last != NULL) {
        *last = found->stats;
    }
    return fol_slot_map_give(&table->handles, handle);
}

int fol_context_revoke(fol_context_table *table, uint64_t handle)
{
    int status = fol_slot_map_give(&table->handles, handle);
    table->revocations += status == 0;
    return status;
}

uint64_t fol_context_revocations(const fol_context_table *table)
{
    return table->revocations;
}

static bool is_ready(const context *context, int64_t now)
{
    return is_sporadic(context) ? fol_refill_ready(&context->budget.ring, now)
                                : fol_cbs_ready(&context->budget.server, now);
}

/* After anything happened to the budget. A ring can be not ready without being used up, when its
 * users are ahead of the clock; a server cannot. */
static void look_again(context *context, bool is_used_up, int64_t now)
{
    context->is_depleted = (is_used_up || !is_sporadic(context)) && !is_ready(context, now);
}

/* A run begins. Refills do not tell work that is new from work that goes on; servers do. */
static int begin_run(fol_context_table *table, uint64_t handle, int64_t now,
                     bool (*begin_on_server)(fol_cbs *server, int64_t now))
{
    context *found = find(table, handle);
    if (found == NULL) {
        return FOL_E_STALE;
    }
    if (is_sporadic(found)) {
        fol_refill_unblock(&found->budget.ring, now);
    } else {
        begin_on_server(&found->budget.server, now);
    }
    look_again(found, found->is_depleted, now);
    return 0;
}

int fol_context_wake(fol_context_table *table, uint64_t handle, int64_t now)
{
    return begin_run(table, handle, now, fol_cbs_wake);
}

int fol_context_unblock(fol_context_table *table, uint64_t handle, int64_t now)
{
    return begin_run(table, handle, now, fol_cbs_unblock);
}

/* What could be used before this charge without a pause. */
static int64_t left_before(const context *context)
{
    if (context->is_depleted) {
        return 0;
    }
    int64_t left = is_sporadic(context) ? fol_refill_burst(&context->budget.ring)
                                        : context->budget.server.budget;
    return left > 0 ? left : 0;
}

static void count_debt(fol_context_stats *stats, uint64_t beyond)
{
    stats->overruns++;
    stats->debt += beyond;
    stats->worst_debt = beyond > stats->worst_debt ? beyond : stats->worst_debt;
}

int fol_context_charge(fol_context_table *table, uint64_t handle, int64_t used, int64_t now)
{
    context *found = find(table, handle);
    if (found == NULL) {
        return FOL_E_STALE;
    }
    if (used < 0 || used > FOL_BUDGET_MAX_TIME) {
        return FOL_E_VALUE;
    }
    bool was_depleted = found->is_depleted;
    int64_t left = left_before(found);
    if (is_sporadic(found)) {
        fol_refill_charge(&found->budget.ring, used);
    } else {
        fol_cbs_charge(&found->budget.server, used, now);
    }
    found->stats.used += (uint64_t)used;
    found->stats.charges += used > 0;
    if (used < left) {
        return FOL_CHARGE_WITHIN;
    }
    if (!was_depleted) {
        found->stats.depletions++;
        fol_notice_post(&table->notices, (uint32_t)(found - table->contexts), handle, now,
                        used - left);
    }
    if (used > left) {
        count_debt(&found->stats, (uint64_t)(used - left));
    }
    look_again(found, true, now);
    return found->is_depleted ? FOL_CHARGE_DEPLETED : FOL_CHARGE_WITHIN;
}

int fol_context_finish(fol_context_table *table, uint64_t handle, int64_t release, int64_t now)
{
    context *found = find(table, handle);
    if (found == NULL) {
        return FOL_E_STALE;
    }
    FOL_ASSERT(release >= 0 && release <= now);
    bool is_miss = now - release > found->options.deadline;
    found->stats.jobs++;
    found->stats.misses += is_miss;
    return is_miss;
}

const fol_context_options *fol_context_find(const fol_context_table *table, uint64_t handle)
{
    const context *found = find(table, handle);
    return found == NULL ? NULL : &found->options;
}

bool fol_context_ready(const fol_context_table *table, uint64_t handle, int64_t now)
{
    const context *found = find(table, handle);
    return found != NULL && is_ready(found, now);
}

int64_t fol_context_ready_at(const fol_context_table *table, uint64_t handle)
{
    const context *found = find(table, handle);
    if (found == NULL) {
        return FOL_TIME_NEVER;
    }
    if (is_sporadic(found)) {
        return fol_refill_ready_at(&found->budget.ring);
    }
    int64_t time = found->budget.server.throttled_until;
    return time <= FOL_BUDGET_MAX_TIME ? time : FOL_TIME_NEVER;
}

int64_t fol_context_budget_left(const fol_context_table *table, uint64_t handle, int64_t now)
{
    const context *found = find(table, handle);
    if (found == NULL) {
        return 0;
    }
    switch (found->options.kind) {
    case FOL_CONTEXT_SPORADIC:
        return fol_refill_available(&found->budget.ring, now);
    case FOL_CONTEXT_CBS_HARD:
        return fol_cbs_available(&found->budget.server, now);
    default:
        return FOL_TIME_NEVER;
    }
}

int64_t fol_context_deadline(const fol_context_table *table, uint64_t handle, int64_t release)
{
    const context *found = find(table, handle);
    if (found == NULL) {
        return FOL_TIME_NEVER;
    }
    return is_sporadic(found) ? release + found->options.deadline : found->budget.server.deadline;
}

bool fol_context_may_run_on(const fol_context_table *table, uint64_t handle, uint32_t cpu)
{
    const context *found = find(table, handle);
    if (found == NULL) {
        return false;
    }
    const uint64_t *cpus = found->options.cpus;
    uint64_t any = 0;
    for (uint32_t word = 0; word < FOL_CONTEXT_CPU_WORDS; word++) {
        any |= cpus[word];
    }
    if (any == 0) {
        return true;
    }
    return cpu / 64 < FOL_CONTEXT_CPU_WORDS && (cpus[cpu / 64] >> (cpu % 64) & 1u) != 0;
}

int fol_context_read_stats(const fol_context_table *table, uint64_t handle, fol_context_stats *out)
{
    const context *found = find(table, handle);
    if (found == NULL) {
        return FOL_E_STALE;
    }
    *out = found->stats;
    return 0;
}

bool fol_context_take_notice(fol_context_table *table, uint64_t handle, fol_notice *out)
{
    uint32_t index = (uint32_t)handle;
    return index < table->notices.capacity &&
           table->notices.slots[index].notice.context == handle &&
           fol_notice_take(&table->notices, index, out);
}

bool fol_context_take_first_notice(fol_context_table *table, fol_notice *out)
{
    return fol_notice_take_first(&table->notices, out);
}

uint64_t fol_context_notices_dropped(const fol_context_table *table)
{
    return table->notices.dropped;
}

void fol_context_invariants(const fol_context_table *table)
{
    fol_slot_map_invariants(&table->handles);
    fol_notice_box_invariants(&table->notices);
    for (uint32_t index = 0; index < table->handles.count; index++) {
        if (fol_slot_map_handle(&table->handles, index) == 0) {
            continue;
        }
        const context *context = &table->contexts[index];
        FOL_ASSERT(is_in_bounds(&context->options, 0));
        FOL_ASSERT(context->stats.depletions <= context->stats.charges);
        if (is_sporadic(context)) {
            fol_refill_invariants(&context->budget.ring);
        } else {
            fol_cbs_invariants(&context->budget.server);
            FOL_ASSERT(context->is_depleted == context->budget.server.is_throttled);
        }
    }
}
