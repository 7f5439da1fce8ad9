/* Where the dispatcher's choices went: exact counts of small scenes. */

#include "dispatcher_support.h"

static fol_choice_counts choices_of(const fol_dispatcher *dispatcher)
{
    fol_choice_counts counts;
    fol_dispatcher_choices(dispatcher, &counts);
    CHECK_EQ(counts.candidates,
             counts.taken + counts.forbidden + counts.held + counts.depleted + counts.outranked);
    return counts;
}

/* Of 2 in each 10, on those CPUs. */
static uint64_t context_on(fol_dispatcher *dispatcher, uint64_t cpus)
{
    const fol_context_options options = {
        .kind = FOL_CONTEXT_SPORADIC, .refills = 8, .budget = 2, .period = 10, .cpus = {cpus}};
    uint64_t context = 0;
    CHECK_EQ(fol_dispatcher_add_context(dispatcher, &options, 0, &context), 0);
    return context;
}

static void test_one_that_begins_is_taken_and_a_pick_in_vain_is_idle(void)
{
    fol_dispatcher *dispatcher = dispatcher_of(FOL_POLICY_EDF, 1);
    uint32_t one = add_plain(dispatcher);
    CHECK_EQ(pick_on(dispatcher, 0, 0), FOL_NO_RUNNABLE);
    release_due(dispatcher, one, 0, 9);
    CHECK_EQ(pick_on(dispatcher, 0, 0), one);
    fol_choice_counts counts = choices_of(dispatcher);
    CHECK(counts.picks == 2 && counts.idle_picks == 1);
    CHECK(counts.candidates == 1 && counts.taken == 1);
    end_dispatcher(dispatcher);
}

static void test_one_whose_context_does_not_allow_the_cpu_is_forbidden(void)
{
    fol_dispatcher *dispatcher = dispatcher_of(FOL_POLICY_EDF, 2);
    uint32_t picky = add_on(dispatcher, context_on(dispatcher, 2));
    uint32_t other = add_plain(dispatcher);
    release_due(dispatcher, picky, 0, 5);
    CHECK_EQ(pick_on(dispatcher, 0, 0), FOL_NO_RUNNABLE);
    CHECK_EQ(choices_of(dispatcher).forbidden, 1);
    release_due(dispatcher, other, 0, 9);
    CHECK_EQ(pick_on(dispatcher, 0, 0), other);
    CHECK_EQ(pick_on(dispatcher, 1, 0), picky);
    fol_choice_counts counts = choices_of(dispatcher);
    CHECK(counts.forbidden == 2 && counts.taken == 2 && counts.candidates == 4);
    CHECK(counts.picks == 3 && counts.idle_picks == 1);
    end_dispatcher(dispatcher);
}

static void test_one_that_shares_fairly_is_forbidden_alike(void)
{
    fol_dispatcher *dispatcher = dispatcher_of(FOL_POLICY_EEVDF, 2);
    uint32_t picky = add_on(dispatcher, context_on(dispatcher, 2));
    release_at(dispatcher, picky, 0);
    CHECK_EQ(pick_on(dispatcher, 0, 0), FOL_NO_RUNNABLE);
    fol_choice_counts counts = choices_of(dispatcher);
    CHECK(counts.forbidden == 1 && counts.candidates == 1 && counts.idle_picks == 1);
    end_dispatcher(dispatcher);
}

static void test_one_whose_sibling_draws_on_its_context_is_held(void)
{
    fol_dispatcher *dispatcher = dispatcher_of(FOL_POLICY_EDF, 2);
    uint64_t context = context_on(dispatcher, 0);
    uint32_t one = add_on(dispatcher, context);
    uint32_t sibling = add_on(dispatcher, context);
    release_due(dispatcher, one, 0, 5);
    release_due(dispatcher, sibling, 0, 9);
    CHECK_EQ(pick_on(dispatcher, 0, 0), one);
    CHECK_EQ(pick_on(dispatcher, 1, 0), FOL_NO_RUNNABLE);
    fol_choice_counts counts = choices_of(dispatcher);
    CHECK(counts.held == 1 && counts.taken == 1 && counts.candidates == 2);
    end_dispatcher(dispatcher);
}

static void test_one_whose_budget_is_used_up_is_depleted(void)
{
    fol_dispatcher *dispatcher = dispatcher_of(FOL_POLICY_EDF, 1);
    uint64_t context = context_on(dispatcher, 0);
    uint32_t one = add_on(dispatcher, context);
    uint32_t sibling = add_on(dispatcher, context);
    release_due(dispatcher, one, 0, 5);
    release_due(dispatcher, sibling, 0, 9);
    CHECK_EQ(pick_on(dispatcher, 0, 0), one);
    CHECK_EQ(ran_on(dispatcher, 0, 2, 2, FOL_POINT_DONE), FOL_RAN_ENDED);
    CHECK_EQ(pick_on(dispatcher, 0, 2), FOL_NO_RUNNABLE);
    fol_choice_counts counts = choices_of(dispatcher);
    CHECK(counts.depleted == 1 && counts.taken == 1 && counts.candidates == 2);
    /* It waits now, and is no candidate any more. */
    CHECK_EQ(pick_on(dispatcher, 0, 3), FOL_NO_RUNNABLE);
    CHECK_EQ(choices_of(dispatcher).candidates, 2);
    end_dispatcher(dispatcher);
}

static void test_one_that_stays_after_what_runs_is_outranked(void)
{
    fol_dispatcher *dispatcher = dispatcher_of(FOL_POLICY_EDF, 1);
    uint32_t one = add_plain(dispatcher);
    uint32_t urgent = add_plain(dispatcher);
    uint32_t later = add_plain(dispatcher);
    release_due(dispatcher, one, 0, 50);
    release_due(dispatcher, later, 0, 99);
    CHECK_EQ(pick_on(dispatcher, 0, 0), one);
    release_due(dispatcher, urgent, 0, 10);
    CHECK_EQ(fol_dispatcher_remove(dispatcher, urgent, 0), 0);
    CHECK_EQ(ran_on(dispatcher, 0, 1, 1, FOL_POINT_MORE), FOL_RAN_ON);
    fol_choice_counts counts = choices_of(dispatcher);
    CHECK(counts.comparisons == 1 && counts.outranked == 1 && counts.taken == 1);
    release_due(dispatcher, add_plain(dispatcher), 1, 10);
    CHECK_EQ(ran_on(dispatcher, 0, 1, 2, FOL_POINT_MORE), FOL_RAN_OFF);
    counts = choices_of(dispatcher);
    CHECK(counts.comparisons == 2 && counts.outranked == 1 && counts.taken == 2);
    end_dispatcher(dispatcher);
}

/* Answers with the last one, then leaves it to the built-in policy, then fails. */
static int pick_last(void *state, const fol_ready *ready, uint32_t cpu, int64_t now,
                     uint32_t *place)
{
    uint32_t *calls = state;
    (void)cpu;
    (void)now;
    *place = ready->count - 1;
    *calls += 1;
    return *calls == 1 ? FOL_POLICY_ANSWERED : *calls == 2 ? FOL_POLICY_DEFAULT : FOL_E_VALUE;
}

static void test_a_pick_slot_is_counted_with_what_became_of_its_answers(void)
{
    uint32_t calls = 0;
    const fol_policy_slots slots = {.state = &calls, .pick = pick_last};
    fol_dispatcher_config config = config_of(FOL_POLICY_FIFO, 1);
    config.slots = &slots;
    fol_dispatcher *dispatcher = new_dispatcher(&config);
    for (uint32_t i = 0; i < 3; i++) {
        release_at(dispatcher, add_plain(dispatcher), 0);
    }
    for (int64_t now = 0; now < 3; now++) {
        CHECK(pick_on(dispatcher, 0, now) != FOL_NO_RUNNABLE);
        CHECK_EQ(ran_on(dispatcher, 0, 1, now + 1, FOL_POINT_DONE), FOL_RAN_ENDED);
    }
    fol_choice_counts counts = choices_of(dispatcher);
    CHECK(counts.asked == 3 && counts.answered == 1 && counts.defaulted == 2);
    CHECK(counts.picks == 3 && counts.taken == 3);
    end_dispatcher(dispatcher);
}

/* Who gives way in the fair class, and to whom, with the last record of it. */
static const fol_decision *give_way(fol_dispatcher *dispatcher, uint32_t first, uint32_t second)
{
    release_at(dispatcher, first, 0);
    release_at(dispatcher, second, 0);
    uint32_t runs = pick_on(dispatcher, 0, 0);
    int64_t now = 0;
    for (uint32_t i = 0; i < 10 && fol_dispatcher_running(dispatcher, 0) == runs; i++) {
        now += last_grant.time;
        ran_on(dispatcher, 0, last_grant.time, now, FOL_POINT_MORE);
    }
    return last_of(dispatcher, FOL_DECISION_PREEMPT);
}

static void test_giving_way_in_the_fair_class_is_told_with_what_decided(void)
{
    fol_dispatcher *dispatcher = dispatcher_of(FOL_POLICY_CBS, 1);
    uint32_t one = add_plain(dispatcher);
    const fol_decision *decision = give_way(dispatcher, one, add_plain(dispatcher));
    if (CHECK(decision != NULL)) {
        /* Of one unit each has a half: that is told as one. */
        CHECK_EQ(decision->detail, FOL_PREEMPT_LAG);
        CHECK(decision->numbers[1] == -1 && decision->numbers[2] == 1);
    }
    end_dispatcher(dispatcher);
}

static void test_members_of_two_groups_are_told_by_where_the_groups_stand(void)
{
    fol_dispatcher *dispatcher = dispatcher_of(FOL_POLICY_CBS, 1);
    const fol_group_options options = {.weight = 1024, .latency = 1};
    uint32_t members[2];
    for (uint32_t i = 0; i < 2; i++) {
        fol_runnable_options member = plain_options();
        CHECK_EQ(fol_dispatcher_add_group(dispatcher, &options, &member.group), 0);
        members[i] = add_with(dispatcher, &member);
    }
    const fol_decision *decision = give_way(dispatcher, members[0], members[1]);
    if (CHECK(decision != NULL)) {
        CHECK_EQ(decision->detail, FOL_PREEMPT_LAG);
        CHECK(decision->numbers[1] == -1 && decision->numbers[2] == 1);
    }
    end_dispatcher(dispatcher);
}

static void test_a_shorter_slice_is_told_by_virtual_deadlines(void)
{
    fol_dispatcher *dispatcher = dispatcher_of(FOL_POLICY_CBS, 1);
    fol_runnable_options quick = plain_options();
    quick.latency = 0;
    uint32_t one = add_plain(dispatcher);
    uint32_t other = add_plain(dispatcher);
    uint32_t short_one = add_with(dispatcher, &quick);
    release_at(dispatcher, one, 0);
    release_at(dispatcher, other, 0);
    CHECK_EQ(pick_on(dispatcher, 0, 0), one);
    CHECK_EQ(ran_on(dispatcher, 0, 20, 20, FOL_POINT_MORE), FOL_RAN_OFF);
    CHECK_EQ(pick_on(dispatcher, 0, 20), other);
    release_at(dispatcher, short_one, 20);
    CHECK_EQ(ran_on(dispatcher, 0, 10, 30, FOL_POINT_MORE), FOL_RAN_OFF);
    const fol_decision *decision = last_of(dispatcher, FOL_DECISION_PREEMPT);
    if (CHECK(decision != NULL)) {
        /* The virtual runtimes are 20, 10 and 10, so virtual time is 13 1/3. Who joins begins with
         * half of its slice: the deadlines are 20 and, of the one that joined at 10, 15. */
        CHECK_EQ(decision->detail, FOL_PREEMPT_DEADLINE);
        CHECK(decision->runnable == other && decision->other == short_one);
        CHECK(decision->numbers[1] == 7 && decision->numbers[2] == 2);
    }
    end_dispatcher(dispatcher);
}

static void test_a_class_that_goes_first_is_told_as_such(void)
{
    fol_dispatcher *dispatcher = dispatcher_of(FOL_POLICY_CBS, 1);
    uint32_t shares = add_plain(dispatcher);
    uint32_t served = add_on(dispatcher, context_on(dispatcher, 0));
    release_at(dispatcher, shares, 0);
    CHECK_EQ(pick_on(dispatcher, 0, 0), shares);
    release_at(dispatcher, served, 1);
    CHECK_EQ(ran_on(dispatcher, 0, 1, 1, FOL_POINT_MORE), FOL_RAN_OFF);
    const fol_decision *decision = last_of(dispatcher, FOL_DECISION_PREEMPT);
    if (CHECK(decision != NULL)) {
        CHECK_EQ(decision->detail, FOL_PREEMPT_CLASS);
        CHECK(decision->numbers[1] == 2 && decision->numbers[2] == 1);
    }
    end_dispatcher(dispatcher);
}

int main(void)
{
    RUN(test_one_that_begins_is_taken_and_a_pick_in_vain_is_idle);
    RUN(test_one_whose_context_does_not_allow_the_cpu_is_forbidden);
    RUN(test_one_that_shares_fairly_is_forbidden_alike);
    RUN(test_one_whose_sibling_draws_on_its_context_is_held);
    RUN(test_one_whose_budget_is_used_up_is_depleted);
    RUN(test_one_that_stays_after_what_runs_is_outranked);
    RUN(test_a_pick_slot_is_counted_with_what_became_of_its_answers);
    RUN(test_giving_way_in_the_fair_class_is_told_with_what_decided);
    RUN(test_members_of_two_groups_are_told_by_where_the_groups_stand);
    RUN(test_a_shorter_slice_is_told_by_virtual_deadlines);
    RUN(test_a_class_that_goes_first_is_told_as_such);
    CHECK_MAIN_END();
}
