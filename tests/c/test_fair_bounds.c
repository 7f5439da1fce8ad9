/* Bad numbers, refused memory, and the ends of what numbers reach, in the fair queue. */

#include "fair_fixture.h"
#include "foliot/fair.h"
#include "foliot/memory.h"

static void test_a_configuration_outside_its_bounds_is_refused(void)
{
    fol_fair_config config;
    fol_fair_config_default(&config);
    CHECK_EQ(fol_fair_config_check(&config), 0);
    config.slices[FOL_FAIR_BATCH] = 0;
    CHECK_EQ(fol_fair_config_check(&config), FOL_E_VALUE);
    config = fair_config(FOL_FAIR_MAX_TIME + 1, 0);
    CHECK_EQ(fol_fair_config_check(&config), FOL_E_VALUE);
    config = fair_config(1, -1);
    CHECK_EQ(fol_fair_config_check(&config), FOL_E_VALUE);
    config = fair_config(1, 0);
    config.quantum = -1;
    CHECK_EQ(fol_fair_config_check(&config), FOL_E_VALUE);
    config = fair_config(1, 0);
    config.mode = (fol_fair_mode)7;
    CHECK_EQ(fol_fair_config_check(&config), FOL_E_VALUE);
    fol_fair *fair = NULL;
    CHECK_EQ(fol_fair_create(&config, 1, &fair), FOL_E_VALUE);
    CHECK(fair == NULL);
}

static void test_ids_beyond_the_capacity_are_refused(void)
{
    fair_fixture f;
    fair_begin(&f, fair_config(4, 0));
    CHECK_EQ(fol_fair_queue_join(&f.queue, FAIR_CAPACITY, 1, 0), FOL_E_CAPACITY);
    CHECK_EQ(fol_fair_queue_wake(&f.queue, FAIR_CAPACITY), FOL_E_CAPACITY);
    CHECK_EQ(fol_fair_queue_sleep(&f.queue, FAIR_CAPACITY), FOL_E_CAPACITY);
    CHECK_EQ(fol_fair_queue_account(&f.queue, FAIR_CAPACITY, 0), FOL_E_CAPACITY);
    CHECK_EQ(fol_fair_queue_reweight(&f.queue, FAIR_CAPACITY, 1), FOL_E_CAPACITY);
    CHECK_EQ(fol_fair_queue_set_request(&f.queue, FAIR_CAPACITY, 1), FOL_E_CAPACITY);
    CHECK_EQ(fol_fair_store_reserve(&f.store, FOL_FAIR_MAX_RUNNABLES + 1), FOL_E_CAPACITY);
    fair_end(&f);
}

static void test_ids_in_the_wrong_state_are_refused(void)
{
    fair_fixture f;
    fol_fair_queue other;
    fair_begin_pair(&f, &other, fair_config(4, 0));
    fair_join(&f, 0);
    CHECK_EQ(fol_fair_queue_join(&f.queue, 0, 1, 0), FOL_E_MISSING);
    CHECK_EQ(fol_fair_queue_wake(&f.queue, 0), FOL_E_MISSING);
    CHECK_EQ(fol_fair_queue_wake(&f.queue, 1), FOL_E_MISSING);
    CHECK_EQ(fol_fair_queue_sleep(&f.queue, 1), FOL_E_MISSING);
    CHECK_EQ(fol_fair_queue_account(&f.queue, 1, 1), FOL_E_MISSING);
    CHECK_EQ(fol_fair_queue_reweight(&f.queue, 1, 1), FOL_E_MISSING);
    CHECK_EQ(fol_fair_queue_set_request(&f.queue, 1, 1), FOL_E_MISSING);
    CHECK_EQ(fol_fair_queue_migrate(&f.queue, &other, 1), FOL_E_MISSING);
    fol_fair_queue_set_running(&f.queue, 0);
    CHECK_EQ(fol_fair_queue_migrate(&f.queue, &other, 0), FOL_E_MISSING);
    fair_end(&f);
}

static void test_numbers_outside_their_bounds_are_refused(void)
{
    fair_fixture f;
    fol_fair_config config = fair_config(4, 0);
    config.mode = FOL_FAIR_TEXTBOOK;
    config.quantum = 3;
    fair_begin(&f, config);
    CHECK_EQ(fol_fair_queue_join(&f.queue, 0, 0, 0), FOL_E_VALUE);
    CHECK_EQ(fol_fair_queue_join(&f.queue, 0, FOL_FAIR_MAX_WEIGHT + 1, 0), FOL_E_VALUE);
    CHECK_EQ(fol_fair_queue_join(&f.queue, 0, 1, -1), FOL_E_VALUE);
    CHECK_EQ(fol_fair_queue_join(&f.queue, 0, 1, FOL_FAIR_MAX_TIME + 1), FOL_E_VALUE);
    fair_join(&f, 0);
    CHECK_EQ(fol_fair_queue_account(&f.queue, 0, -1), FOL_E_VALUE);
    CHECK_EQ(fol_fair_queue_account(&f.queue, 0, 4), FOL_E_VALUE);
    CHECK_EQ(fol_fair_queue_reweight(&f.queue, 0, -1), FOL_E_VALUE);
    CHECK_EQ(fol_fair_queue_set_request(&f.queue, 0, 0), FOL_E_VALUE);
    fair_end(&f);
}

static void test_years_of_charges_do_not_overflow(void)
{
    fair_fixture f;
    fair_begin(&f, fair_config(FOL_FAIR_MAX_TIME, FOL_FAIR_MAX_TIME));
    for (uint32_t id = 0; id < 3; id++) {
        CHECK_EQ(fol_fair_queue_join(&f.queue, id, 1 + id, 0), 0);
    }
    /* The points wrap many times over. */
    for (int i = 0; i < 20000; i++) {
        const uint32_t id = fol_fair_queue_pick(&f.queue);
        fair_turn(&f, id, FOL_FAIR_MAX_TIME);
        FOL_CHECK_INVARIANTS(fol_fair_queue_invariants(&f.queue));
    }
    const double each = (double)FOL_FAIR_MAX_TIME * 1024 * 20000 / 6;
    const double off = fol_fair_queue_virtual_time(&f.queue) - each;
    CHECK(off < 1.0 && off > -1.0);
    fair_end(&f);
}

static void test_one_that_runs_ahead_too_far_is_refused(void)
{
    fair_fixture f;
    fair_begin_weighted(&f, fair_config(4, 0), 1, FOL_FAIR_MAX_WEIGHT);
    fol_fair_queue_set_running(&f.queue, 0);
    int charges = 0;
    while (charges < 100 && fol_fair_queue_account(&f.queue, 0, FOL_FAIR_MAX_TIME) == 0) {
        charges++;
    }
    CHECK_EQ(charges, 8);
    const fol_fair_queue before = f.queue;
    CHECK_EQ(fol_fair_queue_account(&f.queue, 0, FOL_FAIR_MAX_TIME), -EOVERFLOW);
    CHECK_EQ(fol_fair_queue_can_account(&f.queue, 0, FOL_FAIR_MAX_TIME), -EOVERFLOW);
    CHECK(f.queue.average.sum == before.average.sum);
    fair_end(&f);
}

static void test_one_that_is_left_behind_too_far_stops_the_others(void)
{
    fair_fixture f;
    fair_begin_weighted(&f, fair_config(4, 0), 1, 1);
    /* 0 runs somewhere and is never charged. */
    fol_fair_queue_set_running(&f.queue, 0);
    fol_fair_queue_set_running(&f.queue, 1);
    int charges = 0;
    while (charges < 100 && fol_fair_queue_account(&f.queue, 1, FOL_FAIR_MAX_TIME) == 0) {
        FOL_CHECK_INVARIANTS(fol_fair_queue_invariants(&f.queue));
        charges++;
    }
    CHECK(charges >= 8 && charges < 100);
    /* Once 0 is charged, both go on. */
    CHECK_EQ(fol_fair_queue_account(&f.queue, 0, FOL_FAIR_MAX_TIME), 0);
    CHECK_EQ(fol_fair_queue_account(&f.queue, 1, FOL_FAIR_MAX_TIME), 0);
    fair_end(&f);
}

static void test_the_largest_lags_are_placed_or_refused(void)
{
    fair_fixture f;
    fair_begin(&f, fair_config(FOL_FAIR_MAX_TIME, FOL_FAIR_MAX_TIME));
    int refused = 0;
    for (int64_t weight = 1; weight <= FOL_FAIR_MAX_WEIGHT; weight *= 4) {
        CHECK_EQ(fol_fair_queue_join(&f.queue, 0, 1, 0), 0);
        CHECK_EQ(fol_fair_queue_join(&f.queue, 1, weight, 0), 0);
        fol_fair_queue_set_running(&f.queue, 0);
        for (int i = 0; i < 6; i++) {
            (void)fol_fair_queue_account(&f.queue, 0, FOL_FAIR_MAX_TIME);
        }
        CHECK_EQ(fol_fair_queue_sleep(&f.queue, 1), 0);
        const int status = fol_fair_queue_wake(&f.queue, 1);
        refused += status != 0;
        CHECK(status == 0 || status == -EOVERFLOW);
        CHECK_EQ(fol_fair_queue_state(&f.queue, 1),
                 status == 0 ? FOL_FAIR_QUEUED : FOL_FAIR_ASLEEP);
        fol_fair_queue_invariants(&f.queue);
        fol_fair_queue_leave(&f.queue, 0);
        fol_fair_queue_leave(&f.queue, 1);
    }
    CHECK_EQ(refused, 0);
    fair_end(&f);
}

static void test_refused_memory_leaves_a_queue_as_it_was(void)
{
    fol_fair_config config;
    fol_fair_config_default(&config);
    bool is_done = false;
    for (uint64_t nth = 1; nth < 20 && !is_done; nth++) {
        fol_fair *fair = NULL;
        fol_memory_fail_nth(nth);
        int status = fol_fair_create(&config, 2, &fair);
        CHECK(status == 0 || (status == -ENOMEM && fair == NULL));
        if (status == 0) {
            CHECK_EQ(fol_fair_join(fair, 1, 1024, 0), 0);
            status = fol_fair_reserve(fair, 100);
            CHECK_EQ(fol_fair_join(fair, 50, 1024, 0), status == 0 ? 0 : FOL_E_CAPACITY);
            CHECK_EQ(fol_fair_pick(fair), 1);
            fol_fair_invariants(fair);
        }
        is_done = status == 0 && fol_memory_failure_is_armed();
        fol_memory_fail_nth(0);
        fol_fair_destroy(fair);
    }
    CHECK(is_done);
}

static void test_a_queue_keeps_its_runnables_while_it_grows(void)
{
    fol_fair_config config;
    fol_fair *fair = NULL;
    fol_fair_config_default(&config);
    CHECK_EQ(fol_fair_create(&config, 0, &fair), 0);
    for (uint32_t id = 0; id < 500; id++) {
        CHECK_EQ(fol_fair_reserve(fair, id + 1), 0);
        CHECK_EQ(fol_fair_set_rank(fair, id, -(int64_t)id), 0);
        CHECK_EQ(fol_fair_join(fair, id, 1024, 0), 0);
        FOL_CHECK_INVARIANTS(fol_fair_invariants(fair));
    }
    CHECK_EQ(fol_fair_count(fair), 500);
    CHECK_EQ(fol_fair_pick(fair), 499);
    CHECK_EQ(fol_fair_set_rank(fair, 0, 1), FOL_E_MISSING);
    CHECK_EQ(fol_fair_set_rank(fair, 500, 1), FOL_E_CAPACITY);
    fol_fair_destroy(fair);
}

static void test_who_comes_back_may_have_another_weight_and_request(void)
{
    fol_fair_config config = fair_config(100, 0);
    fol_fair *fair = NULL;
    CHECK_EQ(fol_fair_create(&config, 3, &fair), 0);
    for (uint32_t id = 0; id < 3; id++) {
        CHECK_EQ(fol_fair_join(fair, id, 1024, 0), 0);
    }
    CHECK_EQ(fol_fair_pick(fair), 0);
    CHECK_EQ(fol_fair_account(fair, 0, 30), 0);
    CHECK_EQ(fol_fair_leave(fair, 1), 0);
    CHECK(!fol_fair_has(fair, 1) && fol_fair_knows(fair, 1));
    CHECK(fol_fair_lag(fair, 1) == 10.0);
    CHECK_EQ(fol_fair_join(fair, 1, 2048, -1), FOL_E_VALUE);
    CHECK_EQ(fol_fair_join(fair, 1, 0, 0), FOL_E_VALUE);
    CHECK_EQ(fol_fair_join(fair, 1, 2048, 7), 0);
    CHECK(fol_fair_lag(fair, 1) > 4.99 && fol_fair_lag(fair, 1) < 5.01);
    CHECK_EQ(fol_fair_forget(fair, 1), 0);
    CHECK_EQ(fol_fair_forget(fair, 3), FOL_E_CAPACITY);
    CHECK(!fol_fair_knows(fair, 1));
    fol_fair_invariants(fair);
    fol_fair_destroy(fair);
}

int main(void)
{
    RUN(test_a_configuration_outside_its_bounds_is_refused);
    RUN(test_ids_beyond_the_capacity_are_refused);
    RUN(test_ids_in_the_wrong_state_are_refused);
    RUN(test_numbers_outside_their_bounds_are_refused);
    RUN(test_years_of_charges_do_not_overflow);
    RUN(test_one_that_runs_ahead_too_far_is_refused);
    RUN(test_one_that_is_left_behind_too_far_stops_the_others);
    RUN(test_the_largest_lags_are_placed_or_refused);
    RUN(test_refused_memory_leaves_a_queue_as_it_was);
    RUN(test_a_queue_keeps_its_runnables_while_it_grows);
    RUN(test_who_comes_back_may_have_another_weight_and_request);
    CHECK_MAIN_END();
}
