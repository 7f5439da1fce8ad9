/* The rules of the fair queue, one by one and by hand: picks, protection, placement. */

#include "fair_fixture.h"
#include "foliot/memory.h"

static void test_nobody_is_picked_from_an_empty_queue(void)
{
    fair_fixture f;
    fair_begin(&f, fair_config(4, 0));
    CHECK_EQ(fol_fair_queue_pick(&f.queue), FOL_FAIR_NONE);
    fair_end(&f);
}

static void test_ties_go_to_the_lower_id(void)
{
    fair_fixture f;
    fair_begin(&f, fair_config(4, 0));
    fair_join(&f, 9);
    fair_join(&f, 3);
    fair_join(&f, 5);
    CHECK_EQ(fol_fair_queue_pick(&f.queue), 3);
    fair_end(&f);
}

static void test_a_shorter_request_is_picked_first(void)
{
    fair_fixture f;
    fair_begin_with(&f, fair_config(4, 0), 1);
    CHECK_EQ(fol_fair_queue_join(&f.queue, 1, 1024, 3), 0);
    CHECK_EQ(fol_fair_queue_pick(&f.queue), 1);
    fair_end(&f);
}

static void test_a_newcomer_has_half_a_request_and_who_wakes_a_whole_one(void)
{
    fair_fixture f;
    fair_begin_with(&f, fair_config(4, 0), 2);
    CHECK_EQ(fair_rest(&f, 1), 2);
    CHECK_EQ(fol_fair_queue_sleep(&f.queue, 1), 0);
    CHECK_EQ(fol_fair_queue_wake(&f.queue, 1), 0);
    CHECK_EQ(fair_rest(&f, 1), 4);
    fair_end(&f);
}

static void test_who_had_more_than_its_share_is_not_eligible(void)
{
    fair_fixture f;
    fair_begin_with(&f, fair_config(4, 0), 1);
    CHECK_EQ(fol_fair_queue_join(&f.queue, 1, 1024, 100), 0);
    fair_turn(&f, 0, 1);
    /* 0 has the earlier deadline still. */
    CHECK(fair_rest(&f, 0) < fair_rest(&f, 1));
    CHECK_EQ(fol_fair_queue_pick(&f.queue), 1);
    fair_end(&f);
}

static void test_time_is_charged_by_weight(void)
{
    fair_fixture f;
    fair_begin_weighted(&f, fair_config(4, 0), 512, 1536);
    fair_turn(&f, 0, 4);
    /* V grew by 4 / 2, v by 8. */
    CHECK_EQ(fair_lag(&f, 0), 2 - 8);
    CHECK_EQ(fair_lag(&f, 1), 2);
    fair_end(&f);
}

static void test_charges_of_a_thousand_parts_add_up_to_the_whole(void)
{
    fair_fixture f;
    fair_begin_weighted(&f, fair_config(4, 0), 1021, 1021);
    fol_fair_queue_set_running(&f.queue, 0);
    for (int i = 0; i < 1000; i++) {
        fair_run(&f, 0, 7);
    }
    fol_fair_queue_set_running(&f.queue, 1);
    fair_run(&f, 1, 7000);
    CHECK(f.store.nodes[0].start == f.store.nodes[1].start);
    CHECK_EQ(f.store.nodes[0].remainder, f.store.nodes[1].remainder);
    fair_end(&f);
}

static void test_one_that_wakes_has_the_lag_it_left_with(void)
{
    fair_fixture f;
    fair_begin_with(&f, fair_config(1000, 0), 3);
    fair_turn(&f, 0, 300);
    const int64_t lag = fol_fair_queue_lag_units(&f.queue, 2);
    CHECK_EQ(fol_fair_queue_sleep(&f.queue, 2), 0);
    CHECK_EQ(fol_fair_queue_lag_units(&f.queue, 2), lag);
    fair_turn(&f, 1, 500);
    CHECK_EQ(fol_fair_queue_wake(&f.queue, 2), 0);
    const int64_t after = fol_fair_queue_lag_units(&f.queue, 2);
    CHECK(after - lag <= 2 && lag - after <= 2);
    fair_end(&f);
}

static void test_a_kept_lag_is_held_to_the_largest_request_and_a_tick(void)
{
    fair_fixture f;
    fair_begin_with(&f, fair_config(4, 1), 2);
    fair_turn(&f, 0, 1000);
    CHECK_EQ(fair_lag(&f, 1), 500);
    CHECK_EQ(fol_fair_queue_sleep(&f.queue, 1), 0);
    CHECK_EQ(fair_lag(&f, 1), 5);
    fair_end(&f);
}

static void test_who_joins_an_empty_queue_starts_at_virtual_time(void)
{
    fair_fixture f;
    fair_begin_with(&f, fair_config(4, 0), 1);
    fair_turn(&f, 0, 10);
    CHECK_EQ(fol_fair_queue_sleep(&f.queue, 0), 0);
    fair_join(&f, 1);
    CHECK_EQ((int64_t)(fol_fair_queue_virtual_time(&f.queue) * 8), 80);
    CHECK_EQ(fol_fair_queue_lag_units(&f.queue, 1), 0);
    fair_end(&f);
}

static void test_who_sleeps_in_debt_stays_until_it_would_be_picked(void)
{
    fair_fixture f;
    fair_begin_with(&f, fair_config(4, 0), 2);
    fol_fair_queue_set_running(&f.queue, 0);
    fair_run(&f, 0, 4);
    CHECK_EQ(fol_fair_queue_sleep(&f.queue, 0), 0);
    CHECK_EQ(fol_fair_queue_state(&f.queue, 0), FOL_FAIR_DELAYED);
    CHECK_EQ(fol_fair_queue_queued(&f.queue), 1);
    CHECK_EQ(fol_fair_queue_pick(&f.queue), 1);
    fair_turn(&f, 1, 8);
    /* Its debt is paid and it would be picked: so it leaves, and keeps nothing. */
    CHECK_EQ(fol_fair_queue_pick(&f.queue), 1);
    CHECK_EQ(fol_fair_queue_state(&f.queue, 0), FOL_FAIR_ASLEEP);
    CHECK_EQ(fol_fair_queue_lag_units(&f.queue, 0), 0);
    fair_end(&f);
}

static void test_who_wakes_in_debt_goes_on_where_it_is(void)
{
    fair_fixture f;
    fair_begin_with(&f, fair_config(4, 0), 2);
    fair_turn(&f, 0, 4);
    const fol_fair_node before = f.store.nodes[0];
    CHECK_EQ(fol_fair_queue_sleep(&f.queue, 0), 0);
    fair_turn(&f, 1, 1);
    CHECK_EQ(fol_fair_queue_wake(&f.queue, 0), 0);
    CHECK(f.store.nodes[0].start == before.start && f.store.nodes[0].deadline == before.deadline);
    CHECK_EQ(fol_fair_queue_state(&f.queue, 0), FOL_FAIR_QUEUED);
    fair_end(&f);
}

static void test_who_wakes_delayed_and_is_owed_something_is_placed_at_lag_0(void)
{
    fair_fixture f;
    fair_begin_with(&f, fair_config(4, 0), 2);
    fair_turn(&f, 0, 4);
    CHECK_EQ(fol_fair_queue_sleep(&f.queue, 0), 0);
    fair_turn(&f, 1, 20);
    CHECK(fol_fair_queue_lag_units(&f.queue, 0) > 0);
    CHECK_EQ(fol_fair_queue_wake(&f.queue, 0), 0);
    CHECK_EQ(fol_fair_queue_lag_units(&f.queue, 0), 0);
    CHECK_EQ(fair_rest(&f, 0), 4);
    fair_end(&f);
}

static void test_who_is_switched_in_is_protected_until_its_request_is_served(void)
{
    fair_fixture f;
    fair_begin_with(&f, fair_config(4, 0), 4);
    fair_turn(&f, 1, 6);
    fair_turn(&f, 2, 6);
    fair_turn(&f, 3, 6);
    /* Owed a lot, so eligibility does not end it: 2 are left of the first half request. */
    fol_fair_queue_set_running(&f.queue, 0);
    CHECK_EQ(fol_fair_queue_until_preempt(&f.queue, 0), 2);
    fair_run(&f, 0, 1);
    CHECK_EQ(fol_fair_queue_until_preempt(&f.queue, 0), 1);
    CHECK_EQ(fol_fair_queue_should_preempt(&f.queue, 0), FOL_FAIR_NONE);
    fair_run(&f, 0, 1);
    /* It is the only one that is eligible, and its next request is not protected. */
    CHECK_EQ(fol_fair_queue_should_preempt(&f.queue, 0), FOL_FAIR_NONE);
    CHECK_EQ(fol_fair_queue_until_preempt(&f.queue, 0), 4);
    fair_end(&f);
}

static void test_protection_ends_when_eligibility_does(void)
{
    fair_fixture f;
    fair_begin_with(&f, fair_config(4, 0), 2);
    fol_fair_queue_set_running(&f.queue, 0);
    /* Of two equals the first is not owed anything: one step makes it ineligible. */
    CHECK_EQ(fol_fair_queue_until_preempt(&f.queue, 0), 1);
    CHECK_EQ(fol_fair_queue_should_preempt(&f.queue, 0), FOL_FAIR_NONE);
    fair_run(&f, 0, 1);
    CHECK_EQ(fol_fair_queue_should_preempt(&f.queue, 0), 1);
    fair_end(&f);
}

static void test_protection_ends_earlier_when_a_shorter_request_waits(void)
{
    fair_fixture f;
    fair_begin_with(&f, fair_config(100, 0), 2);
    fair_turn(&f, 1, 60);
    fol_fair_queue_set_running(&f.queue, 0);
    CHECK(fol_fair_queue_until_preempt(&f.queue, 0) > 10);
    CHECK_EQ(fol_fair_queue_join(&f.queue, 2, 1024, 10), 0);
    CHECK_EQ(fol_fair_queue_until_preempt(&f.queue, 0), 10);
    CHECK_EQ(fol_fair_queue_should_preempt(&f.queue, 0), FOL_FAIR_NONE);
    fair_run(&f, 0, 10);
    CHECK_EQ(fol_fair_queue_should_preempt(&f.queue, 0), 2);
    fair_end(&f);
}

static void test_without_protection_the_next_look_is_a_tick_away(void)
{
    fair_fixture f;
    fair_begin_with(&f, fair_config(4, 3), 3);
    fair_turn(&f, 1, 40);
    fair_turn(&f, 2, 40);
    fol_fair_queue_set_running(&f.queue, 0);
    fair_run(&f, 0, 2);
    CHECK_EQ(fol_fair_queue_until_preempt(&f.queue, 0), 3);
    fair_end(&f);
}

static void test_nothing_ends_the_run_of_one_that_is_alone(void)
{
    fair_fixture f;
    fair_begin_with(&f, fair_config(4, 1), 1);
    fol_fair_queue_set_running(&f.queue, 0);
    CHECK(fol_fair_queue_until_preempt(&f.queue, 0) == INT64_MAX);
    CHECK_EQ(fol_fair_queue_should_preempt(&f.queue, 0), FOL_FAIR_NONE);
    fair_end(&f);
}

static void test_a_second_processor_does_not_idle_while_somebody_waits(void)
{
    fair_fixture f;
    fair_begin_with(&f, fair_config(4, 0), 3);
    fair_turn(&f, 2, 2);
    fair_turn(&f, 1, 6);
    fol_fair_queue_set_running(&f.queue, 0);
    /* Both are ahead of V, which 0 holds back: the first to be eligible is 2. */
    CHECK(fol_fair_queue_lag_units(&f.queue, 1) < 0);
    CHECK_EQ(fol_fair_queue_should_preempt(&f.queue, 0), FOL_FAIR_NONE);
    CHECK_EQ(fol_fair_queue_sleep(&f.queue, 1), 0);
    CHECK_EQ(fol_fair_queue_pick(&f.queue), 2);
    fair_end(&f);
}

static void test_another_weight_scales_lag_and_deadline_and_leaves_virtual_time(void)
{
    fair_fixture f;
    fair_begin_with(&f, fair_config(100, 0), 2);
    fair_turn(&f, 0, 40);
    const int64_t lag = fair_lag(&f, 0);
    const double virtual_time = fol_fair_queue_virtual_time(&f.queue);
    const int64_t to_deadline = fair_rest(&f, 0) - lag;
    CHECK_EQ(fol_fair_queue_reweight(&f.queue, 0, 4096), 0);
    CHECK_EQ(fair_lag(&f, 0), lag / 4);
    CHECK_EQ(fair_rest(&f, 0) - fair_lag(&f, 0), to_deadline / 4);
    CHECK(fol_fair_queue_virtual_time(&f.queue) == virtual_time);
    CHECK_EQ(fol_fair_queue_sleep(&f.queue, 1), 0);
    const int64_t kept = fair_lag(&f, 1);
    CHECK_EQ(fol_fair_queue_reweight(&f.queue, 1, 512), 0);
    CHECK_EQ(fair_lag(&f, 1), kept * 2);
    fair_end(&f);
}

static void test_who_moves_to_another_queue_keeps_lag_and_deadline(void)
{
    fair_fixture f;
    fol_fair_queue other;
    fair_begin_pair(&f, &other, fair_config(100, 0));
    for (uint32_t id = 0; id < 4; id++) {
        CHECK_EQ(fol_fair_queue_join(id < 2 ? &f.queue : &other, id, 1024, 0), 0);
    }
    fair_turn(&f, 0, 30);
    const int64_t lag = fol_fair_queue_lag_units(&f.queue, 1);
    const int64_t rest = fair_rest(&f, 1);
    CHECK_EQ(fol_fair_queue_migrate(&f.queue, &other, 1), 0);
    const int64_t after = fol_fair_queue_lag_units(&other, 1);
    CHECK(after - lag <= 2 && lag - after <= 2);
    CHECK_EQ(fair_rest(&f, 1), rest);
    CHECK_EQ(f.queue.tree.count, 1);
    CHECK_EQ(other.tree.count, 3);
    fol_fair_queue_invariants(&other);
    fair_end(&f);
}

static void test_who_sleeps_or_is_delayed_moves_asleep(void)
{
    fair_fixture f;
    fol_fair_queue other;
    fair_begin_pair(&f, &other, fair_config(100, 0));
    for (uint32_t id = 0; id < 3; id++) {
        fair_join(&f, id);
    }
    fair_turn(&f, 0, 30);
    const int64_t debt = fol_fair_queue_lag_units(&f.queue, 0);
    CHECK_EQ(fol_fair_queue_sleep(&f.queue, 0), 0);
    CHECK_EQ(fol_fair_queue_sleep(&f.queue, 1), 0);
    CHECK_EQ(fol_fair_queue_migrate(&f.queue, &other, 0), 0);
    CHECK_EQ(fol_fair_queue_migrate(&f.queue, &other, 1), 0);
    CHECK_EQ(fol_fair_queue_state(&other, 0), FOL_FAIR_ASLEEP);
    CHECK(fol_fair_queue_lag_units(&other, 0) >= debt && fol_fair_queue_lag_units(&other, 0) < 0);
    CHECK_EQ(fol_fair_queue_wake(&other, 1), 0);
    CHECK_EQ(fol_fair_queue_wake(&other, 0), 0);
    fol_fair_queue_invariants(&other);
    fair_end(&f);
}

static void test_another_request_counts_from_the_next_one_on(void)
{
    fair_fixture f;
    fair_begin_with(&f, fair_config(4, 0), 1);
    CHECK_EQ(fol_fair_queue_set_request(&f.queue, 0, 50), 0);
    CHECK_EQ(fair_rest(&f, 0), 2);
    fair_turn(&f, 0, 2);
    CHECK_EQ(fair_rest(&f, 0), 50);
    fair_end(&f);
}

int main(void)
{
    RUN(test_nobody_is_picked_from_an_empty_queue);
    RUN(test_ties_go_to_the_lower_id);
    RUN(test_a_shorter_request_is_picked_first);
    RUN(test_a_newcomer_has_half_a_request_and_who_wakes_a_whole_one);
    RUN(test_who_had_more_than_its_share_is_not_eligible);
    RUN(test_time_is_charged_by_weight);
    RUN(test_charges_of_a_thousand_parts_add_up_to_the_whole);
    RUN(test_one_that_wakes_has_the_lag_it_left_with);
    RUN(test_a_kept_lag_is_held_to_the_largest_request_and_a_tick);
    RUN(test_who_joins_an_empty_queue_starts_at_virtual_time);
    RUN(test_who_sleeps_in_debt_stays_until_it_would_be_picked);
    RUN(test_who_wakes_in_debt_goes_on_where_it_is);
    RUN(test_who_wakes_delayed_and_is_owed_something_is_placed_at_lag_0);
    RUN(test_who_is_switched_in_is_protected_until_its_request_is_served);
    RUN(test_protection_ends_when_eligibility_does);
    RUN(test_protection_ends_earlier_when_a_shorter_request_waits);
    RUN(test_without_protection_the_next_look_is_a_tick_away);
    RUN(test_nothing_ends_the_run_of_one_that_is_alone);
    RUN(test_a_second_processor_does_not_idle_while_somebody_waits);
    RUN(test_another_weight_scales_lag_and_deadline_and_leaves_virtual_time);
    RUN(test_who_moves_to_another_queue_keeps_lag_and_deadline);
    RUN(test_who_sleeps_or_is_delayed_moves_asleep);
    RUN(test_another_request_counts_from_the_next_one_on);
    CHECK_MAIN_END();
}
