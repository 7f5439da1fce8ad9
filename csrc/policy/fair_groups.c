/* Fair groups; fair_groups.h has the contract.
 *
 * Each change of a member is followed by `settle`, which brings its group at the top into the state
 * that the group's members call for.
 */

#include "policy/fair_groups.h"

#include "base/memory.h"
#include "policy/fair_points.h"

int fol_fair_groups_init(fol_fair_groups *groups, const fol_fair_config *config,
                         uint32_t group_count, uint32_t capacity)
{
    *groups = (fol_fair_groups){.group_count = group_count};
    int status = fol_fair_store_init(&groups->tops, group_count);
    if (status == 0) {
        status = fol_fair_store_init(&groups->store, capacity);
    }
    if (status < 0) {
        goto fail_store;
    }
    groups->groups = fol_alloc_zeroed(group_count, sizeof(*groups->groups));
    groups->group_of = fol_alloc_array(capacity, sizeof(*groups->group_of));
    if (groups->groups == NULL || groups->group_of == NULL) {
        status = -ENOMEM;
        goto fail_store;
    }
    fol_fair_queue_init(&groups->top, config, &groups->tops);
    for (uint32_t group = 0; group < group_count; group++) {
        fol_fair_queue_init(&groups->groups[group].members, config, &groups->store);
    }
    for (uint32_t id = 0; id < capacity; id++) {
        groups->group_of[id] = FOL_FAIR_NONE;
    }
    return 0;
fail_store:
    fol_fair_groups_deinit(groups);
    return status;
}

void fol_fair_groups_deinit(fol_fair_groups *groups)
{
    fol_free(groups->group_of);
    fol_free(groups->groups);
    fol_fair_store_deinit(&groups->store);
    fol_fair_store_deinit(&groups->tops);
    *groups = (fol_fair_groups){0};
}

static fol_fair_queue *members_of(const fol_fair_groups *groups, uint32_t group)
{
    return &groups->groups[group].members;
}

/* The group of a member that is in one. */
static uint32_t group_of(const fol_fair_groups *groups, uint32_t id)
{
    FOL_ASSERT(id < groups->store.capacity);
    FOL_ASSERT(groups->group_of[id] != FOL_FAIR_NONE);
    return groups->group_of[id];
}

static int check_member(const fol_fair_groups *groups, uint32_t id)
{
    if (id >= groups->store.capacity) {
        return FOL_E_CAPACITY;
    }
    return groups->group_of[id] == FOL_FAIR_NONE ? FOL_E_MISSING : 0;
}

static int check_group(const fol_fair_groups *groups, uint32_t group)
{
    if (group >= groups->group_count) {
        return FOL_E_CAPACITY;
    }
    return groups->groups[group].weight == 0 ? FOL_E_MISSING : 0;
}

/* The group is queued at the top. -EOVERFLOW. */
static int bring_in(fol_fair_groups *groups, uint32_t group)
{
    const fol_fair_group *one = &groups->groups[group];
    switch (fol_fair_queue_state(&groups->top, group)) {
    case FOL_FAIR_ABSENT:
        return fol_fair_queue_join(&groups->top, group, one->weight, one->request);
    case FOL_FAIR_ASLEEP:
    case FOL_FAIR_DELAYED:
        return fol_fair_queue_wake(&groups->top, group);
    case FOL_FAIR_RUNNING:
        fol_fair_queue_put_back(&groups->top, group);
        return 0;
    case FOL_FAIR_QUEUED:
        break;
    }
    return 0;
}

/* After members have gone or been switched. */
static void settle(fol_fair_groups *groups, uint32_t group)
{
    const fol_fair_queue *members = members_of(groups, group);
    const fol_fair_state state = fol_fair_queue_state(&groups->top, group);
    const bool is_active = state == FOL_FAIR_QUEUED || state == FOL_FAIR_RUNNING;
    if (fol_fair_queue_queued(members) > 0) {
        const int status = bring_in(groups, group);
        FOL_ASSERT(status == 0 && is_active);
    } else if (members->running_count > 0) {
        FOL_ASSERT(is_active);
        if (state == FOL_FAIR_QUEUED) {
            fol_fair_queue_take_out(&groups->top, group);
        }
    } else if (is_active) {
        const int status = fol_fair_queue_sleep(&groups->top, group);
        FOL_ASSERT(status == 0);
    }
}

static void set_group_of(fol_fair_groups *groups, uint32_t id, uint32_t group)
{
    const uint32_t old = groups->group_of[id];
    if (old != FOL_FAIR_NONE) {
        groups->groups[old].member_count--;
    }
    if (group != FOL_FAIR_NONE) {
        groups->groups[group].member_count++;
    }
    groups->group_of[id] = group;
}

static bool is_weight(int64_t weight)
{
    return weight >= 1 && weight <= FOL_FAIR_MAX_WEIGHT;
}

int fol_fair_groups_open(fol_fair_groups *groups, uint32_t group, int64_t weight, int64_t request)
{
    const int status = check_group(groups, group);
    if (status != FOL_E_MISSING) {
        return status == 0 ? FOL_E_MISSING : status;
    }
    if (!is_weight(weight) || request < 0 || request > FOL_FAIR_MAX_TIME) {
        return FOL_E_VALUE;
    }
    groups->groups[group].weight = weight;
    groups->groups[group].request = request;
    return 0;
}

int fol_fair_groups_close(fol_fair_groups *groups, uint32_t group)
{
    const int status = check_group(groups, group);
    if (status < 0) {
        return status;
    }
    if (groups->groups[group].member_count > 0) {
        return -EBUSY;
    }
    fol_fair_queue_leave(&groups->top, group);
    groups->groups[group].weight = 0;
    return 0;
}

int fol_fair_groups_reweight_group(fol_fair_groups *groups, uint32_t group, int64_t weight)
{
    int status = check_group(groups, group);
    if (status < 0) {
        return status;
    }
    if (!is_weight(weight)) {
        return FOL_E_VALUE;
    }
    if (fol_fair_queue_state(&groups->top, group) != FOL_FAIR_ABSENT) {
        status = fol_fair_queue_reweight(&groups->top, group, weight);
    }
    if (status == 0) {
        groups->groups[group].weight = weight;
    }
    return status;
}

int fol_fair_groups_join(fol_fair_groups *groups, uint32_t group, uint32_t id, int64_t weight,
                         int64_t request)
{
    int status = check_group(groups, group);
    if (status < 0) {
        return status;
    }
    status = check_member(groups, id);
    if (status != FOL_E_MISSING) {
        return status == 0 ? FOL_E_MISSING : status;
    }
    status = bring_in(groups, group);
    if (status == 0) {
        status = fol_fair_queue_join(members_of(groups, group), id, weight, request);
    }
    if (status < 0) {
        settle(groups, group);
        return status;
    }
    set_group_of(groups, id, group);
    return 0;
}

int fol_fair_groups_wake(fol_fair_groups *groups, uint32_t id)
{
    int status = check_member(groups, id);
    if (status < 0) {
        return status;
    }
    const uint32_t group = group_of(groups, id);
    status = bring_in(groups, group);
    if (status == 0) {
        status = fol_fair_queue_wake(members_of(groups, group), id);
    }
    if (status < 0) {
        settle(groups, group);
    }
    return status;
}

int fol_fair_groups_sleep(fol_fair_groups *groups, uint32_t id)
{
    int status = check_member(groups, id);
    if (status < 0) {
        return status;
    }
    const uint32_t group = group_of(groups, id);
    fol_fair_queue *members = members_of(groups, group);
    status = fol_fair_queue_sleep(members, id);
    if (status < 0) {
        return status;
    }
    if (fol_fair_queue_state(members, id) == FOL_FAIR_ABSENT) {
        set_group_of(groups, id, FOL_FAIR_NONE);
    }
    settle(groups, group);
    return 0;
}

void fol_fair_groups_leave(fol_fair_groups *groups, uint32_t id)
{
    if (check_member(groups, id) < 0) {
        return;
    }
    const uint32_t group = group_of(groups, id);
    fol_fair_queue_leave(members_of(groups, group), id);
    set_group_of(groups, id, FOL_FAIR_NONE);
    settle(groups, group);
}

int fol_fair_groups_reweight(fol_fair_groups *groups, uint32_t id, int64_t weight)
{
    const int status = check_member(groups, id);
    if (status < 0) {
        return status;
    }
    return fol_fair_queue_reweight(members_of(groups, group_of(groups, id)), id, weight);
}

int fol_fair_groups_move(fol_fair_groups *groups, uint32_t id, uint32_t group)
{
    int status = check_member(groups, id);
    if (status == 0) {
        status = check_group(groups, group);
    }
    if (status < 0 || groups->group_of[id] == group) {
        return status;
    }
    const uint32_t old = group_of(groups, id);
    fol_fair_queue *from = members_of(groups, old);
    if (fol_fair_queue_state(from, id) == FOL_FAIR_QUEUED) {
        status = bring_in(groups, group);
    }
    if (status == 0) {
        status = fol_fair_queue_migrate(from, members_of(groups, group), id);
    }
    if (status == 0) {
        set_group_of(groups, id, group);
    }
    settle(groups, old);
    settle(groups, group);
    return status;
}

uint32_t fol_fair_groups_pick(fol_fair_groups *groups)
{
    const uint32_t group = fol_fair_queue_pick(&groups->top);
    if (group == FOL_FAIR_NONE) {
        return FOL_FAIR_NONE;
    }
    const uint32_t id = fol_fair_queue_pick(members_of(groups, group));
    FOL_ASSERT(id != FOL_FAIR_NONE);
    return id;
}

void fol_fair_groups_set_running(fol_fair_groups *groups, uint32_t id)
{
    const uint32_t group = group_of(groups, id);
    fol_fair_queue *members = members_of(groups, group);
    if (members->running_count == 0) {
        fol_fair_queue_switch_in(&groups->top, group);
    }
    fol_fair_queue_set_running(members, id);
    settle(groups, group);
}

void fol_fair_groups_put_back(fol_fair_groups *groups, uint32_t id)
{
    const uint32_t group = group_of(groups, id);
    fol_fair_queue_put_back(members_of(groups, group), id);
    settle(groups, group);
}

void fol_fair_groups_switch(fol_fair_groups *groups, uint32_t from, uint32_t id)
{
    FOL_ASSERT(from != id);
    fol_fair_groups_set_running(groups, id);
    fol_fair_groups_put_back(groups, from);
}

int fol_fair_groups_account(fol_fair_groups *groups, uint32_t id, int64_t ran)
{
    int status = check_member(groups, id);
    if (status < 0) {
        return status;
    }
    const uint32_t group = group_of(groups, id);
    status = fol_fair_queue_can_account(&groups->top, group, ran);
    if (status == 0) {
        status = fol_fair_queue_account(members_of(groups, group), id, ran);
    }
    if (status == 0) {
        status = fol_fair_queue_account(&groups->top, group, ran);
        FOL_ASSERT(status == 0);
    }
    return status;
}

uint32_t fol_fair_groups_should_preempt(fol_fair_groups *groups, uint32_t current)
{
    const uint32_t group = group_of(groups, current);
    const uint32_t other = fol_fair_queue_should_preempt(&groups->top, group);
    if (other != FOL_FAIR_NONE) {
        return fol_fair_queue_pick(members_of(groups, other));
    }
    return fol_fair_queue_should_preempt(members_of(groups, group), current);
}

int64_t fol_fair_groups_until_preempt(const fol_fair_groups *groups, uint32_t current)
{
    const uint32_t group = group_of(groups, current);
    const int64_t top = fol_fair_queue_until_preempt(&groups->top, group);
    const int64_t inner = fol_fair_queue_until_preempt(members_of(groups, group), current);
    return top < inner ? top : inner;
}

fol_fair_state fol_fair_groups_state(const fol_fair_groups *groups, uint32_t id)
{
    return check_member(groups, id) < 0 ? FOL_FAIR_ABSENT
                                        : (fol_fair_state)groups->store.nodes[id].state;
}

static void check_one(const fol_fair_groups *groups, uint32_t group)
{
    const fol_fair_queue *members = members_of(groups, group);
    const fol_fair_state state = fol_fair_queue_state(&groups->top, group);
    fol_fair_queue_invariants(members);
    if (fol_fair_queue_queued(members) > 0) {
        FOL_ASSERT(state == FOL_FAIR_QUEUED);
    } else if (members->running_count > 0) {
        FOL_ASSERT(state == FOL_FAIR_RUNNING);
    } else {
        FOL_ASSERT(state != FOL_FAIR_QUEUED && state != FOL_FAIR_RUNNING);
    }
    if (state != FOL_FAIR_ABSENT) {
        FOL_ASSERT(groups->groups[group].weight == groups->tops.nodes[group].weight);
    }
}

void fol_fair_groups_invariants(const fol_fair_groups *groups)
{
    uint32_t members = 0;
    fol_fair_queue_invariants(&groups->top);
    for (uint32_t group = 0; group < groups->group_count; group++) {
        check_one(groups, group);
        members += groups->groups[group].member_count;
    }
    for (uint32_t id = 0; id < groups->store.capacity; id++) {
        const bool is_absent = groups->store.nodes[id].state == FOL_FAIR_ABSENT;
        FOL_ASSERT((groups->group_of[id] == FOL_FAIR_NONE) == is_absent);
        members -= !is_absent;
    }
    FOL_ASSERT(members == 0);
}
