/* Budgets in the dispatcher: exactly how long who runs, and what follows when that is used up. */

#include <errno.h>

#include "dispatcher_support.h"
#include "draw.h"

static fol_context_options sporadic(fol_overrun overrun, int64_t budget, int64_t period)
{
    return (fol_context_options){.kind = FOL_CONTEXT_SPORADIC,
                                 .overrun = overrun,
                                 .refills = 8,
                                 .budget = budget,
                                 .period = period};
}

static uint64_t context_with(fol_dispatcher *dispatcher, const fol_context_options *options)
{
    uint64_t context = 0;
    CHECK_EQ(fol_dispatcher_add_context(dispatcher, options, 0, &context), 0);
    return context;
}

/* One with a server's budget of its own. */
static uint32_t add_served(fol_dispatcher *dispatcher, fol_context_kind kind, int64_t budget,
                           int64_t period)
{
    fol_context_options options = {.kind = kind, .refills = 2, .budget = budget, .period = period};
    return add_on(dispatcher, context_with(dispatcher, &options));
}

typedef struct fixture {
    fol_dispatcher *dispatcher;
    uint64_t context;
    uint32_t hog; /* has the context: 2 in each 10 */
    uint32_t other;
} fixture;

static void begin(fixture *self, fol_policy_kind policy, fol_overrun overrun)
{
    fol_dispatcher_config config = config_of(policy, 1);
    fol_context_options options = sporadic(overrun, 2, 10);
    self->dispatcher = new_dispatcher(&config);
    self->context = context_with(self->dispatcher, &options);
    self->hog = add_on(self->dispatcher, self->context);
    self->other = add_plain(self->dispatcher);
}

/* The hog gets a job at 0, runs for so long and comes to a point. */
static fol_ran run_hog(fixture *self, int64_t used, fol_point point)
{
    CHECK_EQ(release_due(self->dispatcher, self->hog, 0, 5), FOL_RELEASE_TAKEN);
    CHECK_EQ(pick_on(self->dispatcher, 0, 0), self->hog);
    CHECK_EQ(last_grant.time, 2);
    return ran_on(self->dispatcher, 0, used, used, point);
}

/* The hog runs for its budget and is asked. */
static fol_ran exhaust(fixture *self)
{
    return run_hog(self, 2, FOL_POINT_MORE);
}

static void end(fixture *self)
{
    end_dispatcher(self->dispatcher);
}

static void test_a_throttled_one_waits_exactly_until_its_refill(void)
{
    fixture self;
    begin(&self, FOL_POLICY_EDF, FOL_OVERRUN_THROTTLE);
    CHECK_EQ(exhaust(&self), FOL_RAN_OFF);
    CHECK_EQ(fol_dispatcher_state(self.dispatcher, self.hog), FOL_RUNNABLE_THROTTLED);
    CHECK_EQ(fol_dispatcher_throttled_count(self.dispatcher), 1);
    CHECK_EQ(fol_dispatcher_next(self.dispatcher), 10);
    const fol_decision *decision = last_of(self.dispatcher, FOL_DECISION_THROTTLE);
    CHECK(decision->numbers[0] == 2 && decision->numbers[1] == 2 && decision->numbers[2] == 10);
    fol_dispatcher_advance(self.dispatcher, 9);
    CHECK_EQ(pick_on(self.dispatcher, 0, 9), FOL_NO_RUNNABLE);
    fol_dispatcher_advance(self.dispatcher, 10);
    CHECK_EQ(last_of(self.dispatcher, FOL_DECISION_REFILL)->numbers[0], 2);
    CHECK_EQ(pick_on(self.dispatcher, 0, 10), self.hog);
    CHECK_EQ(last_grant.time, 2);
    const fol_account *account = fol_dispatcher_account(self.dispatcher, self.hog);
    CHECK(account->throttles == 1 && account->overruns == 1 && account->waited == 0);
    end(&self);
}

static void test_a_throttled_one_blocks_nobody(void)
{
    fixture self;
    begin(&self, FOL_POLICY_EDF, FOL_OVERRUN_THROTTLE);
    release_due(self.dispatcher, self.other, 0, 99);
    CHECK_EQ(exhaust(&self), FOL_RAN_OFF);
    CHECK_EQ(pick_on(self.dispatcher, 0, 2), self.other);
    /* Its refill brings it back before what runs. */
    fol_dispatcher_advance(self.dispatcher, 10);
    CHECK_EQ(fol_dispatcher_displaced(self.dispatcher, 10), 0);
    end(&self);
}

static void test_a_refill_is_seen_by_whatever_is_asked_first(void)
{
    fixture self;
    begin(&self, FOL_POLICY_EDF, FOL_OVERRUN_THROTTLE);
    exhaust(&self);
    CHECK_EQ(pick_on(self.dispatcher, 0, 10), self.hog);
    end(&self);
}

static void test_a_debt_of_coarse_points_is_carried(void)
{
    fixture self;
    begin(&self, FOL_POLICY_EDF, FOL_OVERRUN_THROTTLE);
    CHECK_EQ(run_hog(&self, 5, FOL_POINT_MORE), FOL_RAN_OFF);
    const fol_decision *decision = last_of(self.dispatcher, FOL_DECISION_THROTTLE);
    CHECK(decision->numbers[0] == 5 && decision->numbers[2] > 10);
    fol_context_stats stats;
    CHECK_EQ(fol_dispatcher_context_stats(self.dispatcher, self.context, &stats), 0);
    CHECK(stats.used == 5 && stats.overruns == 1 && stats.debt == 3);
    end(&self);
}

static void test_a_job_that_ends_with_its_budget_is_no_overrun(void)
{
    fixture self;
    begin(&self, FOL_POLICY_EDF, FOL_OVERRUN_KILL);
    CHECK_EQ(run_hog(&self, 2, FOL_POINT_DONE), FOL_RAN_ENDED);
    CHECK_EQ(fol_dispatcher_account(self.dispatcher, self.hog)->overruns, 0);
    CHECK_EQ(release_due(self.dispatcher, self.hog, 3, 5), FOL_RELEASE_TAKEN);
    CHECK_EQ(fol_dispatcher_state(self.dispatcher, self.hog), FOL_RUNNABLE_THROTTLED);
    CHECK_EQ(pick_on(self.dispatcher, 0, 10), self.hog);
    end(&self);
}

static void test_a_skipped_job_is_dropped_and_releases_until_the_refill_too(void)
{
    fixture self;
    begin(&self, FOL_POLICY_EDF, FOL_OVERRUN_SKIP);
    fol_job_options job = {.release = 0, .deadline = 5, .next_release = 7};
    fol_dispatcher_release(self.dispatcher, self.hog, &job, 0);
    CHECK_EQ(pick_on(self.dispatcher, 0, 0), self.hog);
    CHECK_EQ(ran_on(self.dispatcher, 0, 2, 2, FOL_POINT_MORE), FOL_RAN_DROPPED);
    CHECK_EQ(last_of(self.dispatcher, FOL_DECISION_SKIP)->numbers[2], 7);
    CHECK_EQ(fol_dispatcher_state(self.dispatcher, self.hog), FOL_RUNNABLE_ASLEEP);
    CHECK_EQ(release_at(self.dispatcher, self.hog, 7), FOL_RELEASE_SKIPPED);
    CHECK_EQ(release_at(self.dispatcher, self.hog, 10), FOL_RELEASE_TAKEN);
    const fol_account *account = fol_dispatcher_account(self.dispatcher, self.hog);
    CHECK(account->skipped == 2 && account->overruns == 1 && account->jobs == 0);
    end(&self);
}

static void test_a_killed_one_is_dead_with_all_who_share_its_context(void)
{
    fixture self;
    begin(&self, FOL_POLICY_EDF, FOL_OVERRUN_KILL);
    uint32_t sibling = add_on(self.dispatcher, self.context);
    release_due(self.dispatcher, sibling, 0, 50);
    CHECK_EQ(exhaust(&self), FOL_RAN_DROPPED);
    CHECK_EQ(fol_dispatcher_state(self.dispatcher, self.hog), FOL_RUNNABLE_DEAD);
    CHECK_EQ(fol_dispatcher_state(self.dispatcher, sibling), FOL_RUNNABLE_DEAD);
    CHECK_EQ(release_at(self.dispatcher, self.hog, 20), FOL_RELEASE_DEAD);
    CHECK_EQ(pick_on(self.dispatcher, 0, 20), FOL_NO_RUNNABLE);
    fol_context_stats stats;
    CHECK_EQ(fol_dispatcher_context_stats(self.dispatcher, self.context, &stats), FOL_E_STALE);
    fol_notice notice;
    CHECK(fol_dispatcher_take_notice(self.dispatcher, self.context, &notice));
    fol_decision last;
    CHECK(fol_dispatcher_last(self.dispatcher, self.hog, &last));
    CHECK_EQ(last.kind, FOL_DECISION_KILL);
    end(&self);
}

static void test_a_demoted_one_goes_on_after_all_others_until_its_refill(void)
{
    fixture self;
    begin(&self, FOL_POLICY_EDF, FOL_OVERRUN_DEMOTE);
    release_due(self.dispatcher, self.other, 0, 99);
    CHECK_EQ(exhaust(&self), FOL_RAN_OFF);
    CHECK_EQ(pick_on(self.dispatcher, 0, 2), self.other);
    CHECK_EQ(ran_on(self.dispatcher, 0, 2, 4, FOL_POINT_DONE), FOL_RAN_ENDED);
    CHECK_EQ(pick_on(self.dispatcher, 0, 4), self.hog);
    /* Not charged meanwhile; at the refill it is asked, and gets its budget. */
    fol_dispatcher_advance(self.dispatcher, 10);
    CHECK_EQ(fol_dispatcher_displaced(self.dispatcher, 10), 0);
    CHECK_EQ(ran_on(self.dispatcher, 0, 6, 10, FOL_POINT_MORE), FOL_RAN_ON);
    CHECK_EQ(last_grant.time, 2);
    CHECK_EQ(last_of(self.dispatcher, FOL_DECISION_PROMOTE)->numbers[0], 2);
    fol_context_stats stats;
    CHECK_EQ(fol_dispatcher_context_stats(self.dispatcher, self.context, &stats), 0);
    CHECK_EQ(stats.used, 2);
    CHECK_EQ(fol_dispatcher_account(self.dispatcher, self.hog)->runtime, 8);
    end(&self);
}

static void test_a_demoted_one_that_waits_is_promoted_at_its_refill(void)
{
    fixture self;
    begin(&self, FOL_POLICY_EDF, FOL_OVERRUN_DEMOTE);
    release_due(self.dispatcher, self.other, 0, 99);
    exhaust(&self);
    CHECK_EQ(pick_on(self.dispatcher, 0, 2), self.other);
    fol_dispatcher_advance(self.dispatcher, 10);
    CHECK_EQ(fol_dispatcher_displaced(self.dispatcher, 10), 0);
    CHECK_EQ(ran_on(self.dispatcher, 0, 8, 10, FOL_POINT_MORE), FOL_RAN_OFF);
    CHECK_EQ(pick_on(self.dispatcher, 0, 10), self.hog);
    CHECK_EQ(last_grant.time, 2);
    end(&self);
}

static void test_one_that_notifies_runs_on_slack_only(void)
{
    fixture self;
    begin(&self, FOL_POLICY_EEVDF, FOL_OVERRUN_NOTIFY);
    CHECK_EQ(exhaust(&self), FOL_RAN_ON);
    CHECK(last_grant.time == FOL_TIME_NEVER);
    fol_notice notice;
    CHECK(fol_dispatcher_take_notice(self.dispatcher, self.context, &notice));
    CHECK(notice.count == 1 && notice.first == 2 && notice.context == self.context);
    CHECK(!fol_dispatcher_take_notice(self.dispatcher, self.context, &notice));
    release_at(self.dispatcher, self.other, 3);
    CHECK_EQ(fol_dispatcher_displaced(self.dispatcher, 3), 0);
    CHECK_EQ(ran_on(self.dispatcher, 0, 1, 3, FOL_POINT_MORE), FOL_RAN_OFF);
    CHECK_EQ(pick_on(self.dispatcher, 0, 3), self.other);
    CHECK_EQ(ran_on(self.dispatcher, 0, 1, 4, FOL_POINT_DONE), FOL_RAN_ENDED);
    CHECK_EQ(pick_on(self.dispatcher, 0, 4), self.hog);
    end(&self);
}

static void test_a_job_released_without_budget_runs_on_slack_when_it_only_notifies(void)
{
    fixture self;
    begin(&self, FOL_POLICY_EDF, FOL_OVERRUN_NOTIFY);
    CHECK_EQ(run_hog(&self, 2, FOL_POINT_DONE), FOL_RAN_ENDED);
    CHECK_EQ(release_due(self.dispatcher, self.hog, 3, 5), FOL_RELEASE_TAKEN);
    release_due(self.dispatcher, self.other, 3, 99);
    CHECK_EQ(pick_on(self.dispatcher, 0, 3), self.other);
    CHECK_EQ(ran_on(self.dispatcher, 0, 1, 4, FOL_POINT_DONE), FOL_RAN_ENDED);
    CHECK_EQ(pick_on(self.dispatcher, 0, 4), self.hog);
    CHECK_EQ(ran_on(self.dispatcher, 0, 6, 10, FOL_POINT_MORE), FOL_RAN_ON);
    CHECK_EQ(last_grant.time, 2);
    end(&self);
}

static void test_a_blocked_one_without_budget_waits_after_its_wake(void)
{
    fixture self;
    begin(&self, FOL_POLICY_EDF, FOL_OVERRUN_SKIP);
    CHECK_EQ(run_hog(&self, 2, FOL_POINT_BLOCKED), FOL_RAN_OFF);
    fol_dispatcher_wake(self.dispatcher, self.hog, 3);
    CHECK_EQ(fol_dispatcher_state(self.dispatcher, self.hog), FOL_RUNNABLE_THROTTLED);
    CHECK_EQ(pick_on(self.dispatcher, 0, 10), self.hog);
    CHECK_EQ(fol_dispatcher_view(self.dispatcher, self.hog)->ran, 2);
    CHECK_EQ(fol_dispatcher_account(self.dispatcher, self.hog)->blocks, 1);
    end(&self);
}

/* Two CPUs, two that share 4 in each 10, and one beside them. */
typedef struct siblings {
    fol_dispatcher *dispatcher;
    uint32_t first;
    uint32_t second;
    uint32_t other;
} siblings;

static void begin_siblings(siblings *self)
{
    fol_context_options options = sporadic(FOL_OVERRUN_THROTTLE, 4, 10);
    self->dispatcher = dispatcher_of(FOL_POLICY_EDF, 2);
    uint64_t context = context_with(self->dispatcher, &options);
    self->first = add_on(self->dispatcher, context);
    self->second = add_on(self->dispatcher, context);
    self->other = add_plain(self->dispatcher);
}

static void test_a_budget_is_spent_by_one_at_a_time(void)
{
    siblings self;
    begin_siblings(&self);
    release_due(self.dispatcher, self.first, 0, 5);
    release_due(self.dispatcher, self.second, 0, 6);
    release_due(self.dispatcher, self.other, 0, 9);
    CHECK_EQ(pick_on(self.dispatcher, 0, 0), self.first);
    CHECK_EQ(pick_on(self.dispatcher, 1, 0), self.other);
    CHECK_EQ(fol_dispatcher_state(self.dispatcher, self.second), FOL_RUNNABLE_HELD);
    CHECK_EQ(ran_on(self.dispatcher, 0, 3, 3, FOL_POINT_DONE), FOL_RAN_ENDED);
    CHECK_EQ(pick_on(self.dispatcher, 0, 3), self.second);
    CHECK_EQ(last_grant.time, 1);
    CHECK_EQ(fol_dispatcher_account(self.dispatcher, self.second)->waited, 3);
    end_dispatcher(self.dispatcher);
}

static void test_a_sibling_that_is_first_takes_the_place_of_the_holder(void)
{
    siblings self;
    begin_siblings(&self);
    release_due(self.dispatcher, self.first, 0, 5);
    release_due(self.dispatcher, self.other, 0, 99);
    CHECK_EQ(pick_on(self.dispatcher, 0, 0), self.first);
    CHECK_EQ(pick_on(self.dispatcher, 1, 0), self.other);
    release_due(self.dispatcher, self.second, 1, 3);
    CHECK_EQ(fol_dispatcher_displaced(self.dispatcher, 1), 0);
    CHECK_EQ(ran_on(self.dispatcher, 0, 1, 1, FOL_POINT_MORE), FOL_RAN_OFF);
    CHECK_EQ(pick_on(self.dispatcher, 0, 1), self.second);
    CHECK_EQ(last_grant.time, 3);
    end_dispatcher(self.dispatcher);
}

static void test_cbs_goes_by_the_deadlines_of_servers_and_then_by_shares(void)
{
    fol_dispatcher *dispatcher = dispatcher_of(FOL_POLICY_CBS, 1);
    uint32_t late = add_served(dispatcher, FOL_CONTEXT_CBS_HARD, 3, 20);
    uint32_t soon = add_served(dispatcher, FOL_CONTEXT_CBS_HARD, 3, 10);
    uint32_t fair = add_plain(dispatcher);
    release_due(dispatcher, fair, 0, 1);
    release_due(dispatcher, late, 0, 2);
    release_due(dispatcher, soon, 0, 99);
    CHECK_EQ(pick_on(dispatcher, 0, 0), soon);
    CHECK_EQ(last_grant.time, 3);
    CHECK_EQ(ran_on(dispatcher, 0, 3, 3, FOL_POINT_MORE), FOL_RAN_OFF);
    CHECK_EQ(fol_dispatcher_next(dispatcher), 10);
    CHECK_EQ(pick_on(dispatcher, 0, 3), late);
    CHECK_EQ(ran_on(dispatcher, 0, 2, 5, FOL_POINT_DONE), FOL_RAN_ENDED);
    CHECK_EQ(pick_on(dispatcher, 0, 5), fair);
    end_dispatcher(dispatcher);
}

static void test_a_soft_server_goes_on_with_a_later_deadline(void)
{
    fol_dispatcher *dispatcher = dispatcher_of(FOL_POLICY_CBS, 1);
    uint32_t soft = add_served(dispatcher, FOL_CONTEXT_CBS_SOFT, 3, 10);
    uint32_t other = add_served(dispatcher, FOL_CONTEXT_CBS_SOFT, 3, 15);
    release_at(dispatcher, soft, 0);
    release_at(dispatcher, other, 0);
    CHECK_EQ(pick_on(dispatcher, 0, 0), soft);
    CHECK_EQ(last_grant.time, 3);
    /* Its deadline is 20 now, and that of the other one 15. */
    CHECK_EQ(ran_on(dispatcher, 0, 3, 3, FOL_POINT_MORE), FOL_RAN_OFF);
    CHECK_EQ(pick_on(dispatcher, 0, 3), other);
    CHECK_EQ(ran_on(dispatcher, 0, 3, 6, FOL_POINT_MORE), FOL_RAN_OFF);
    CHECK_EQ(pick_on(dispatcher, 0, 6), soft);
    CHECK_EQ(ran_on(dispatcher, 0, 2, 8, FOL_POINT_MORE), FOL_RAN_ON);
    CHECK_EQ(last_grant.time, 1);
    CHECK_EQ(fol_dispatcher_account(dispatcher, soft)->overruns, 0);
    end_dispatcher(dispatcher);
}

static void test_who_runs_on_a_revoked_context_is_told_at_its_next_point(void)
{
    fixture self;
    begin(&self, FOL_POLICY_EDF, FOL_OVERRUN_THROTTLE);
    uint32_t sibling = add_on(self.dispatcher, self.context);
    release_due(self.dispatcher, self.hog, 0, 5);
    CHECK_EQ(pick_on(self.dispatcher, 0, 0), self.hog);
    CHECK_EQ(fol_dispatcher_revoke(self.dispatcher, self.context, 1), 0);
    CHECK(fol_dispatcher_is_displaced(self.dispatcher, 0));
    CHECK_EQ(fol_dispatcher_state(self.dispatcher, sibling), FOL_RUNNABLE_DEAD);
    CHECK_EQ(fol_dispatcher_state(self.dispatcher, self.hog), FOL_RUNNABLE_RUNNING);
    CHECK_EQ(ran_on(self.dispatcher, 0, 1, 1, FOL_POINT_MORE), FOL_RAN_DROPPED);
    CHECK_EQ(release_at(self.dispatcher, self.hog, 2), FOL_RELEASE_DEAD);
    CHECK_EQ(last_of(self.dispatcher, FOL_DECISION_REVOKE)->runnable, self.hog);
    CHECK_EQ(fol_dispatcher_revoke(self.dispatcher, self.context, 2), FOL_E_STALE);
    end(&self);
}

static void test_a_job_that_is_done_when_its_context_goes_has_ended(void)
{
    fixture self;
    begin(&self, FOL_POLICY_EDF, FOL_OVERRUN_THROTTLE);
    release_due(self.dispatcher, self.hog, 0, 5);
    pick_on(self.dispatcher, 0, 0);
    fol_dispatcher_revoke(self.dispatcher, self.context, 1);
    CHECK_EQ(ran_on(self.dispatcher, 0, 1, 1, FOL_POINT_DONE), FOL_RAN_ENDED);
    CHECK_EQ(fol_dispatcher_state(self.dispatcher, self.hog), FOL_RUNNABLE_DEAD);
    CHECK_EQ(fol_dispatcher_account(self.dispatcher, self.hog)->jobs, 1);
    end(&self);
}

static void test_a_context_keeps_its_users_on_its_cpus(void)
{
    for (fol_policy_kind policy = 0; policy < FOL_POLICY_KINDS; policy++) {
        fol_dispatcher *dispatcher = dispatcher_of(policy, 2);
        fol_context_options options = sporadic(FOL_OVERRUN_DEMOTE, 4, 10);
        options.cpus[0] = 2;
        uint32_t bound = add_on(dispatcher, context_with(dispatcher, &options));
        uint32_t free = add_plain(dispatcher);
        release_due(dispatcher, bound, 0, 5);
        CHECK_EQ(pick_on(dispatcher, 0, 0), FOL_NO_RUNNABLE);
        release_due(dispatcher, free, 0, 9);
        CHECK_EQ(pick_on(dispatcher, 0, 0), free);
        CHECK_EQ(pick_on(dispatcher, 1, 0), bound);
        CHECK_EQ(ran_on(dispatcher, 1, 4, 4, FOL_POINT_MORE), FOL_RAN_ON);
        end_dispatcher(dispatcher);
    }
}

static void test_a_bound_one_displaces_only_where_it_may_run(void)
{
    fol_dispatcher *dispatcher = dispatcher_of(FOL_POLICY_EDF, 2);
    fol_context_options options = sporadic(FOL_OVERRUN_THROTTLE, 4, 10);
    options.cpus[0] = 1;
    uint32_t bound = add_on(dispatcher, context_with(dispatcher, &options));
    uint32_t a = add_plain(dispatcher);
    uint32_t b = add_plain(dispatcher);
    release_due(dispatcher, a, 0, 20);
    release_due(dispatcher, b, 0, 30);
    CHECK_EQ(pick_on(dispatcher, 0, 0), a);
    CHECK_EQ(pick_on(dispatcher, 1, 0), b);
    release_due(dispatcher, bound, 1, 10);
    CHECK_EQ(fol_dispatcher_displaced(dispatcher, 1), 0);
    CHECK_EQ(ran_on(dispatcher, 0, 1, 1, FOL_POINT_MORE), FOL_RAN_OFF);
    /* The one that left is before what runs on the other CPU. */
    CHECK_EQ(pick_on(dispatcher, 0, 1), bound);
    CHECK_EQ(fol_dispatcher_displaced(dispatcher, 1), 1);
    CHECK_EQ(ran_on(dispatcher, 1, 1, 1, FOL_POINT_MORE), FOL_RAN_OFF);
    CHECK_EQ(pick_on(dispatcher, 1, 1), a);
    end_dispatcher(dispatcher);
}

static void test_contexts_that_cannot_be_are_refused(void)
{
    fol_dispatcher_config config = config_of(FOL_POLICY_EDF, 2);
    config.contexts = 1;
    config.least_budget = 3;
    fol_dispatcher *dispatcher = new_dispatcher(&config);
    uint64_t context;
    fol_context_options options = sporadic(FOL_OVERRUN_THROTTLE, 2, 10);
    CHECK_EQ(fol_dispatcher_add_context(dispatcher, &options, 0, &context), -EINVAL);
    options.budget = 11;
    CHECK_EQ(fol_dispatcher_add_context(dispatcher, &options, 0, &context), -EINVAL);
    options.budget = 5;
    options.cpus[0] = 4;
    CHECK_EQ(fol_dispatcher_add_context(dispatcher, &options, 0, &context), -EINVAL);
    options.cpus[0] = 0;
    CHECK_EQ(fol_dispatcher_add_context(dispatcher, &options, 0, &context), 0);
    CHECK_EQ(fol_dispatcher_add_context(dispatcher, &options, 0, &context), FOL_E_CAPACITY);
    fol_dispatcher_destroy(dispatcher);
}

static void test_without_room_for_contexts_every_handle_is_stale(void)
{
    fol_dispatcher_config config = config_of(FOL_POLICY_EDF, 1);
    config.contexts = 0;
    fol_dispatcher *dispatcher = new_dispatcher(&config);
    fol_context_options options = sporadic(FOL_OVERRUN_THROTTLE, 2, 10);
    fol_runnable_options runnable = plain_options();
    fol_context_stats stats;
    fol_notice notice;
    uint64_t context;
    uint32_t id;
    runnable.context = 1;
    CHECK_EQ(fol_dispatcher_add_context(dispatcher, &options, 0, &context), FOL_E_CAPACITY);
    CHECK_EQ(fol_dispatcher_add(dispatcher, &runnable, &id), FOL_E_STALE);
    CHECK_EQ(fol_dispatcher_revoke(dispatcher, 1, 0), FOL_E_STALE);
    CHECK_EQ(fol_dispatcher_context_stats(dispatcher, 1, &stats), FOL_E_STALE);
    CHECK(!fol_dispatcher_take_notice(dispatcher, 1, &notice));
    fol_dispatcher_destroy(dispatcher);
}

#define HISTORY 4000
#define RIVALS  3

/* Use of each unit of time by those who share one budget, over random releases, blocks and rivals:
 * no window sees more than the bound of policy/refill.h. */
static void run_history(uint64_t seed, fol_policy_kind policy, uint32_t cpus)
{
    static int64_t used_by[HISTORY + 1]; /* use before each time */
    fol_dispatcher *dispatcher = dispatcher_of(policy, cpus);
    int64_t period = 5 + draw_below(&seed, 30);
    int64_t budget = 1 + draw_below(&seed, (uint32_t)period);
    fol_context_options options = sporadic(
        draw_below(&seed, 2) == 0 ? FOL_OVERRUN_THROTTLE : FOL_OVERRUN_SKIP, budget, period);
    options.refills = 2 + draw_below(&seed, 6);
    uint64_t context = context_with(dispatcher, &options);
    uint32_t ids[2 + RIVALS];
    for (uint32_t i = 0; i < 2 + RIVALS; i++) {
        ids[i] = i < 2 ? add_on(dispatcher, context) : add_plain(dispatcher);
    }
    int64_t left[4] = {0};
    used_by[0] = 0;
    for (int64_t now = 0; now < HISTORY; now++) {
        fol_dispatcher_advance(dispatcher, now);
        uint32_t id = ids[draw_below(&seed, 2 + RIVALS)];
        fol_runnable_state state = fol_dispatcher_state(dispatcher, id);
        if (state == FOL_RUNNABLE_ASLEEP) {
            release_due(dispatcher, id, now, now + 1 + draw_below(&seed, 40));
        } else if (state == FOL_RUNNABLE_BLOCKED) {
            fol_dispatcher_wake(dispatcher, id, now);
        }
        used_by[now + 1] = used_by[now];
        for (uint32_t cpu = 0; cpu < cpus; cpu++) {
            if (fol_dispatcher_running(dispatcher, cpu) != FOL_NO_RUNNABLE) {
                uint32_t kind = draw_below(&seed, 12);
                fol_point point = kind == 0   ? FOL_POINT_DONE
                                  : kind == 1 ? FOL_POINT_BLOCKED
                                              : FOL_POINT_MORE;
                ran_on(dispatcher, cpu, 1, now, point);
                left[cpu] = last_grant.time;
            }
            if (fol_dispatcher_running(dispatcher, cpu) == FOL_NO_RUNNABLE) {
                pick_on(dispatcher, cpu, now);
                left[cpu] = last_grant.time;
            }
            uint32_t running = fol_dispatcher_running(dispatcher, cpu);
            CHECK(running == FOL_NO_RUNNABLE || left[cpu] > 0);
            used_by[now + 1] += running == ids[0] || running == ids[1];
        }
    }
    for (int64_t from = 0; from < HISTORY; from += 3) {
        for (int64_t to = from + 1; to <= HISTORY && to - from < 4 * period; to++) {
            int64_t width = to - from;
            int64_t rest = width % period < budget ? width % period : budget;
            if (!CHECK(used_by[to] - used_by[from] <= width / period * budget + rest)) {
                fprintf(stderr, "seed %" PRIu64 ": %" PRId64 " to %" PRId64 "\n", seed, from, to);
                to = HISTORY;
                from = HISTORY;
            }
        }
    }
    fol_dispatcher_destroy(dispatcher);
}

static void test_no_window_sees_more_use_than_the_bound(void)
{
    static const fol_policy_kind policies[] = {FOL_POLICY_EDF, FOL_POLICY_FIFO, FOL_POLICY_EEVDF,
                                               FOL_POLICY_CBS};
    uint64_t rounds = setting("FOLIOT_STRESS", 0) != 0 ? 300 : 6;
    for (uint64_t seed = 1; seed <= rounds && check_failures == 0; seed++) {
        for (uint32_t i = 0; i < 4; i++) {
            run_history(seed * 4 + i, policies[i], 1 + (uint32_t)(seed % 3));
        }
    }
}

int main(void)
{
    RUN(test_a_throttled_one_waits_exactly_until_its_refill);
    RUN(test_a_throttled_one_blocks_nobody);
    RUN(test_a_refill_is_seen_by_whatever_is_asked_first);
    RUN(test_a_debt_of_coarse_points_is_carried);
    RUN(test_a_job_that_ends_with_its_budget_is_no_overrun);
    RUN(test_a_skipped_job_is_dropped_and_releases_until_the_refill_too);
    RUN(test_a_killed_one_is_dead_with_all_who_share_its_context);
    RUN(test_a_demoted_one_goes_on_after_all_others_until_its_refill);
    RUN(test_a_demoted_one_that_waits_is_promoted_at_its_refill);
    RUN(test_one_that_notifies_runs_on_slack_only);
    RUN(test_a_job_released_without_budget_runs_on_slack_when_it_only_notifies);
    RUN(test_a_blocked_one_without_budget_waits_after_its_wake);
    RUN(test_a_budget_is_spent_by_one_at_a_time);
    RUN(test_a_sibling_that_is_first_takes_the_place_of_the_holder);
    RUN(test_cbs_goes_by_the_deadlines_of_servers_and_then_by_shares);
    RUN(test_a_soft_server_goes_on_with_a_later_deadline);
    RUN(test_who_runs_on_a_revoked_context_is_told_at_its_next_point);
    RUN(test_a_job_that_is_done_when_its_context_goes_has_ended);
    RUN(test_a_context_keeps_its_users_on_its_cpus);
    RUN(test_a_bound_one_displaces_only_where_it_may_run);
    RUN(test_contexts_that_cannot_be_are_refused);
    RUN(test_without_room_for_contexts_every_handle_is_stale);
    RUN(test_no_window_sees_more_use_than_the_bound);
    CHECK_MAIN_END();
}
