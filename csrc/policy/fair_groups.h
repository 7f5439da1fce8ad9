/* Fair groups: a fair queue of groups, and in each a fair queue of its members.
 *
 * A group has a weight of its own, so what its members get together does not depend on how many
 * they are. Time is charged to the member in its group and to the group among the groups. A group
 * can be picked while it has a member that waits; it is counted while a member waits or runs, so
 * two processors may run two members of one group at once.
 *
 * Invariant: a group is queued at the top exactly while a member is queued in it, running while
 * none is but one runs, and else delayed, asleep or absent.
 *
 * Pure, as the fair queue (policy/fair_queue.h); all is allocated by init. Groups are numbers from
 * 0 to group_count less one; member ids are numbers from 0 to the capacity less one over all
 * groups.
 */
#ifndef FOL_POLICY_FAIR_GROUPS_H
#define FOL_POLICY_FAIR_GROUPS_H

#include "policy/fair_queue.h"

/* What a group is given. */
typedef struct fol_fair_group {
    fol_fair_queue members;
    int64_t weight; /* 0: it is not open */
    int64_t request;
    uint32_t member_count; /* asleep ones included */
} fol_fair_group;

typedef struct fol_fair_groups {
    fol_fair_store tops;  /* places of groups */
    fol_fair_store store; /* places of members, of all groups */
    fol_fair_queue top;
    fol_fair_group *groups;
    uint32_t *group_of; /* by member; FOL_FAIR_NONE: in none */
    uint32_t group_count;
} fol_fair_groups;

/* The configuration is valid. -ENOMEM, FOL_E_CAPACITY. */
int fol_fair_groups_init(fol_fair_groups *groups, const fol_fair_config *config,
                         uint32_t group_count, uint32_t capacity);
void fol_fair_groups_deinit(fol_fair_groups *groups);

/* FOL_E_CAPACITY below: there is no such number. */

/* A group takes members once it is open; request 0: the normal slice. FOL_E_MISSING: it is open
 * already; FOL_E_VALUE. */
int fol_fair_groups_open(fol_fair_groups *groups, uint32_t group, int64_t weight, int64_t request);
/* FOL_E_MISSING: it is not open; -EBUSY: it has members. */
int fol_fair_groups_close(fol_fair_groups *groups, uint32_t group);
/* As fol_fair_queue_reweight, for a group that is open. */
int fol_fair_groups_reweight_group(fol_fair_groups *groups, uint32_t group, int64_t weight);

/* As in the fair queue, for a member. FOL_E_MISSING as well: the group is not open. */
int fol_fair_groups_join(fol_fair_groups *groups, uint32_t group, uint32_t id, int64_t weight,
                         int64_t request);
int fol_fair_groups_wake(fol_fair_groups *groups, uint32_t id);
int fol_fair_groups_sleep(fol_fair_groups *groups, uint32_t id);
void fol_fair_groups_leave(fol_fair_groups *groups, uint32_t id);
int fol_fair_groups_reweight(fol_fair_groups *groups, uint32_t id, int64_t weight);
/* To another group that is open, with its lag; as fol_fair_queue_migrate. */
int fol_fair_groups_move(fol_fair_groups *groups, uint32_t id, uint32_t group);

/* The member of those queued that should run next, or FOL_FAIR_NONE. */
uint32_t fol_fair_groups_pick(fol_fair_groups *groups);
void fol_fair_groups_set_running(fol_fair_groups *groups, uint32_t id);
void fol_fair_groups_put_back(fol_fair_groups *groups, uint32_t id);
/* `id` is switched in where `from` ran. When both are of one group, the group's protection does not
 * start anew, which it would if `from` were put back first. */
void fol_fair_groups_switch(fol_fair_groups *groups, uint32_t from, uint32_t id);
/* Charges the member and its group, or neither. */
int fol_fair_groups_account(fol_fair_groups *groups, uint32_t id, int64_t ran);
/* The member that should run in place of the one that runs, or FOL_FAIR_NONE. */
uint32_t fol_fair_groups_should_preempt(fol_fair_groups *groups, uint32_t current);
int64_t fol_fair_groups_until_preempt(const fol_fair_groups *groups, uint32_t current);

/* The state of a member; FOL_FAIR_ABSENT for one that is in no group. */
fol_fair_state fol_fair_groups_state(const fol_fair_groups *groups, uint32_t id);

/* Under FOL_VERIFY. */
void fol_fair_groups_invariants(const fol_fair_groups *groups);

#endif
