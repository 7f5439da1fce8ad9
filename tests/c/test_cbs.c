/* Constant bandwidth servers: the rules by example, and long random runs against the bound of every
 * window. */
#include "budget_support.h"

#include "foliot/status.h"
#include "policy/cbs.h"

static fol_cbs make(int64_t budget, int64_t period, int64_t deadline, bool is_hard)
{
    fol_cbs server;
    CHECK_EQ(fol_cbs_init(&server, budget, period, deadline, is_hard), 0);
    return server;
}

/* Work has arrived at time 0. */
static fol_cbs make_woken(int64_t budget, int64_t period, int64_t deadline, bool is_hard)
{
    fol_cbs server = make(budget, period, deadline, is_hard);
    CHECK(fol_cbs_wake(&server, 0));
    return server;
}

/* So much is left until that deadline. */
static bool has(const fol_cbs *server, int64_t budget, int64_t deadline)
{
    bool is_left = CHECK_EQ(server->budget, budget);
    return CHECK_EQ(server->deadline, deadline) && is_left;
}

static void test_first_wake_begins_anew(void)
{
    fol_cbs server = make(2, 10, 10, true);
    CHECK(fol_cbs_wake(&server, 3));
    CHECK(has(&server, 2, 13));
}

static void test_wake_keeps_a_budget_that_is_within_its_share(void)
{
    fol_cbs server = make_woken(4, 10, 10, true);
    CHECK(!fol_cbs_charge(&server, 2, 2));
    /* 2 * 10 <= (10 - 5) * 4 */
    CHECK(fol_cbs_wake(&server, 5));
    CHECK(has(&server, 2, 10));
}

static void test_wake_with_more_than_its_share_begins_anew(void)
{
    fol_cbs server = make_woken(4, 10, 10, true);
    fol_cbs_charge(&server, 2, 2);
    CHECK(fol_cbs_wake(&server, 6));
    CHECK(has(&server, 4, 16));
}

static void test_wake_at_the_deadline_begins_anew(void)
{
    fol_cbs server = make_woken(4, 10, 10, true);
    fol_cbs_charge(&server, 1, 1);
    CHECK(fol_cbs_wake(&server, 10));
    CHECK(has(&server, 4, 20));
}

static void test_hard_server_waits_for_its_next_period(void)
{
    fol_cbs server = make_woken(2, 10, 10, true);
    CHECK(fol_cbs_charge(&server, 2, 2));
    CHECK_EQ(server.throttled_until, 10);
    CHECK_EQ(fol_cbs_available(&server, 9), 0);
    CHECK_EQ(fol_cbs_available(&server, 10), 2);
    CHECK(!fol_cbs_ready(&server, 9));
    CHECK(!fol_cbs_wake(&server, 9));
    CHECK_EQ(server.budget, 0);
    CHECK(fol_cbs_ready(&server, 10));
    CHECK(fol_cbs_unblock(&server, 10));
    CHECK(has(&server, 2, 20));
}

static void test_debt_is_paid_from_the_next_budget(void)
{
    fol_cbs server = make_woken(4, 10, 10, true);
    CHECK(fol_cbs_charge(&server, 5, 5));
    CHECK_EQ(server.budget, -1);
    CHECK_EQ(server.throttled_until, 10);
    CHECK(fol_cbs_wake(&server, 10));
    CHECK(has(&server, 3, 20));
}

static void test_debt_of_several_budgets_waits_for_as_many_periods(void)
{
    fol_cbs server = make_woken(2, 10, 10, true);
    CHECK(fol_cbs_charge(&server, 6, 6));
    /* -4, -2, 0, 2 */
    CHECK_EQ(server.throttled_until, 30);
    CHECK(!fol_cbs_unblock(&server, 29));
    CHECK(fol_cbs_unblock(&server, 30));
    CHECK(has(&server, 2, 40));
}

static void test_more_debt_while_throttled_makes_the_wait_longer(void)
{
    fol_cbs server = make_woken(2, 10, 10, true);
    CHECK(fol_cbs_charge(&server, 2, 2));
    CHECK(!fol_cbs_charge(&server, 2, 4));
    CHECK_EQ(server.throttled_until, 20);
    CHECK_EQ(server.budget, -2);
}

static void test_soft_server_goes_on_with_a_later_deadline(void)
{
    fol_cbs server = make_woken(2, 10, 10, false);
    CHECK(fol_cbs_charge(&server, 7, 7));
    /* -5, -3, -1, 1 */
    CHECK(has(&server, 1, 40));
    CHECK(fol_cbs_ready(&server, 7));
    CHECK_EQ(server.throttled_until, 0);
}

static void test_deadline_that_is_over_restarts_from_now(void)
{
    fol_cbs soft = make_woken(4, 10, 10, false);
    CHECK(fol_cbs_charge(&soft, 5, 25));
    CHECK(has(&soft, 3, 35));
    fol_cbs hard = make_woken(4, 10, 10, true);
    CHECK(fol_cbs_charge(&hard, 4, 4));
    CHECK(fol_cbs_unblock(&hard, 57));
    CHECK(has(&hard, 4, 67));
}

static void test_hard_server_charged_after_its_next_period_began_goes_on(void)
{
    fol_cbs server = make_woken(4, 10, 10, true);
    CHECK(fol_cbs_charge(&server, 5, 14));
    CHECK(fol_cbs_ready(&server, 14));
    CHECK(has(&server, 3, 20));
}

static void test_periods_that_went_by_unused_pay_no_debt(void)
{
    fol_cbs server = make_woken(1, 4, 4, true);
    CHECK(fol_cbs_unblock(&server, 20));
    /* Of a debt of five one is paid by the period that has begun; those to come pay the rest. */
    CHECK(fol_cbs_charge(&server, 6, 26));
    CHECK_EQ(server.throttled_until, 26 + 5 * 4);
    CHECK_EQ(server.budget, -4);
}

static void test_constrained_wake_cuts_the_budget_to_its_share(void)
{
    fol_cbs server = make_woken(4, 20, 10, true);
    fol_cbs_charge(&server, 1, 1);
    /* 3 * 10 > (10 - 6) * 4: its share until the deadline is 1.6, rounded down. */
    CHECK(fol_cbs_wake(&server, 6));
    CHECK(has(&server, 1, 10));
}

static void test_constrained_wake_with_no_share_left_waits_for_the_period(void)
{
    fol_cbs server = make_woken(2, 20, 10, true);
    fol_cbs_charge(&server, 1, 1);
    CHECK(!fol_cbs_wake(&server, 9));
    CHECK_EQ(server.throttled_until, 20);
    CHECK(fol_cbs_unblock(&server, 20));
    CHECK_EQ(server.deadline, 30);
}

static void test_constrained_wake_past_the_deadline_waits_for_the_period(void)
{
    fol_cbs server = make_woken(4, 20, 10, true);
    fol_cbs_charge(&server, 1, 1);
    CHECK(!fol_cbs_wake(&server, 12));
    CHECK_EQ(server.throttled_until, 20);
    CHECK(fol_cbs_wake(&server, 20));
    CHECK(has(&server, 4, 30));
    fol_cbs_charge(&server, 1, 21);
    CHECK(fol_cbs_wake(&server, 45));
    CHECK_EQ(server.deadline, 55);
}

static void test_constrained_server_may_begin_before_its_first_period_is_over(void)
{
    fol_cbs server = make(4, 20, 10, true);
    CHECK(fol_cbs_wake(&server, 5));
    CHECK_EQ(server.deadline, 15);
}

static void test_constrained_soft_wake_past_the_deadline_gets_the_next_one(void)
{
    fol_cbs server = make_woken(4, 20, 10, false);
    fol_cbs_charge(&server, 1, 1);
    CHECK(fol_cbs_wake(&server, 12));
    CHECK(has(&server, 4, 30));
}

static void test_share_is_compared_without_overflow(void)
{
    const int64_t most = FOL_BUDGET_MAX_PERIOD;
    fol_cbs server = make_woken(most - 1, most, most, true);
    fol_cbs_charge(&server, most / 2, most / 2);
    CHECK(fol_cbs_wake(&server, most / 2));
    CHECK(has(&server, most - 1 - most / 2, most));
}

static void test_debt_beyond_the_end_of_time_shuts_out_for_good(void)
{
    fol_cbs server = make(1, FOL_BUDGET_MAX_PERIOD, FOL_BUDGET_MAX_PERIOD, true);
    fol_cbs_wake(&server, FOL_BUDGET_MAX_TIME);
    for (int i = 0; i < 100; i++) {
        fol_cbs_charge(&server, FOL_BUDGET_MAX_TIME, FOL_BUDGET_MAX_TIME);
    }
    CHECK(!fol_cbs_wake(&server, FOL_BUDGET_MAX_TIME));
    CHECK(!fol_cbs_ready(&server, FOL_BUDGET_MAX_TIME));
    fol_cbs_invariants(&server);
    fol_cbs soft = make_woken(1, FOL_BUDGET_MAX_PERIOD, FOL_BUDGET_MAX_PERIOD, false);
    fol_cbs_charge(&soft, FOL_BUDGET_MAX_TIME, 0);
    CHECK_EQ(soft.budget, 1);
    CHECK(soft.deadline > FOL_BUDGET_MAX_TIME);
    fol_cbs_invariants(&soft);
}

static void test_arguments_out_of_bounds_are_refused(void)
{
    fol_cbs server;
    CHECK_EQ(fol_cbs_init(&server, 0, 10, 10, true), FOL_E_VALUE);
    CHECK_EQ(fol_cbs_init(&server, -1, 10, 10, true), FOL_E_VALUE);
    CHECK_EQ(fol_cbs_init(&server, 11, 10, 10, true), FOL_E_VALUE);
    CHECK_EQ(fol_cbs_init(&server, 4, 10, 3, true), FOL_E_VALUE);
    CHECK_EQ(fol_cbs_init(&server, 4, 10, 11, true), FOL_E_VALUE);
    CHECK_EQ(fol_cbs_init(&server, 4, FOL_BUDGET_MAX_PERIOD + 1, 10, true), FOL_E_VALUE);
}

/* A hard server at random, and how far ahead of its bandwidth it has been: the use until now, times
 * the period, less the time, times the budget, over the least that was at the beginning of a run.
 */
typedef struct scene {
    uint64_t seed;
    fol_cbs server;
    int64_t now;
    int64_t used;
    int64_t least;
    int64_t most;   /* that any window is ahead */
    int64_t excess; /* of runs */
    bool may_be_late;
} scene;

static void open_scene(scene *scene, uint64_t seed, bool is_hard)
{
    scene->seed = seed;
    scene->least = INT64_MAX;
    int64_t period = 1 + draw_below(&scene->seed, 60);
    int64_t budget = 1 + draw_below(&scene->seed, (uint32_t)period);
    int64_t deadline = period;
    if (draw_below(&scene->seed, 2) == 0) {
        deadline = budget + draw_below(&scene->seed, (uint32_t)(period - budget + 1));
    }
    scene->now = draw_below(&scene->seed, 10);
    CHECK_EQ(fol_cbs_init(&scene->server, budget, period, deadline, is_hard), 0);
}

static int64_t ahead(const scene *scene)
{
    return scene->used * scene->server.period - scene->now * scene->server.full;
}

/* What a run may use, and at most the excess more, in pieces. False: a deadline moved closer, or
 * more was available than a budget. */
static bool run_once(scene *scene)
{
    fol_cbs *server = &scene->server;
    int64_t available = fol_cbs_available(server, scene->now);
    if (available <= 0 || available > server->full) {
        return false;
    }
    int64_t left = draw_below(&scene->seed, 3) == 0
                       ? 1 + draw_below(&scene->seed, (uint32_t)available)
                       : available;
    if (left == available) {
        left += draw_below(&scene->seed, (uint32_t)scene->excess + 1);
    }
    if (!scene->may_be_late && left > server->deadline - scene->now) {
        left = server->deadline - scene->now;
    }
    scene->least = ahead(scene) < scene->least ? ahead(scene) : scene->least;
    while (left > 0) {
        int64_t piece = 1 + draw_below(&scene->seed, (uint32_t)left);
        int64_t deadline = server->deadline;
        scene->now += piece;
        scene->used += piece;
        fol_cbs_charge(server, piece, scene->now);
        fol_cbs_invariants(server);
        if (server->deadline < deadline) {
            return false;
        }
        left -= piece;
    }
    int64_t most = ahead(scene) - scene->least;
    scene->most = most > scene->most ? most : scene->most;
    return true;
}

static bool pass_time(scene *scene)
{
    fol_cbs *server = &scene->server;
    int64_t deadline = server->deadline;
    uint32_t choice = draw_below(&scene->seed, 4);
    if (choice == 0 || (choice == 2 && draw_below(&scene->seed, 2) == 0)) {
        scene->now += draw_below(&scene->seed, (uint32_t)(2 * server->period));
    } else if (choice == 1 && server->deadline > scene->now) {
        scene->now = server->deadline;
    }
    bool may_run = choice == 2 && scene->may_be_late ? fol_cbs_unblock(server, scene->now)
                                                     : fol_cbs_wake(server, scene->now);
    if (!may_run) {
        int64_t late = choice == 3 ? draw_below(&scene->seed, 10) : 0;
        if (fol_cbs_ready(server, server->throttled_until - 1)) {
            return false;
        }
        scene->now = server->throttled_until + late;
        may_run = fol_cbs_unblock(server, scene->now);
    }
    fol_cbs_invariants(server);
    return may_run && server->deadline >= deadline;
}

static bool is_within_bandwidth(const scene *scene)
{
    const fol_cbs *server = &scene->server;
    int64_t budgets = scene->may_be_late ? 3 : 2;
    return scene->most <= budgets * server->full * server->period -
                              2 * server->full * server->full + scene->excess * server->period;
}

static void check_random_runs(int64_t excess, uint32_t scenes, bool is_hard, bool may_be_late)
{
    const uint64_t seed = setting("FOLIOT_SEED", 1);
    for (uint32_t number = 0; number < budget_rounds(scenes); number++) {
        scene scene = {.excess = excess, .may_be_late = may_be_late};
        open_scene(&scene, mix(seed, number), is_hard);
        bool is_fine = true;
        for (int step = 0; step < 1000 && is_fine; step++) {
            is_fine =
                pass_time(&scene) && run_once(&scene) && (!is_hard || is_within_bandwidth(&scene));
        }
        if (!CHECK(is_fine)) {
            fprintf(stderr, "FOLIOT_SEED=%" PRIu64 ", scene %u\n", seed, number);
            return;
        }
    }
}

static void test_hard_server_keeps_every_window_within_its_bandwidth(void)
{
    check_random_runs(0, 1500, true, false);
}

static void test_late_server_costs_a_window_one_budget_more(void)
{
    check_random_runs(0, 1500, true, true);
}

static void test_overruns_cost_a_window_no_more_than_themselves(void)
{
    check_random_runs(7, 1500, true, true);
    check_random_runs(200, 500, true, true);
}

static void test_soft_server_never_waits_and_never_has_an_earlier_deadline(void)
{
    check_random_runs(0, 500, false, true);
    check_random_runs(50, 500, false, true);
}

int main(void)
{
    RUN(test_first_wake_begins_anew);
    RUN(test_wake_keeps_a_budget_that_is_within_its_share);
    RUN(test_wake_with_more_than_its_share_begins_anew);
    RUN(test_wake_at_the_deadline_begins_anew);
    RUN(test_hard_server_waits_for_its_next_period);
    RUN(test_debt_is_paid_from_the_next_budget);
    RUN(test_debt_of_several_budgets_waits_for_as_many_periods);
    RUN(test_more_debt_while_throttled_makes_the_wait_longer);
    RUN(test_soft_server_goes_on_with_a_later_deadline);
    RUN(test_deadline_that_is_over_restarts_from_now);
    RUN(test_hard_server_charged_after_its_next_period_began_goes_on);
    RUN(test_periods_that_went_by_unused_pay_no_debt);
    RUN(test_constrained_wake_cuts_the_budget_to_its_share);
    RUN(test_constrained_wake_with_no_share_left_waits_for_the_period);
    RUN(test_constrained_wake_past_the_deadline_waits_for_the_period);
    RUN(test_constrained_server_may_begin_before_its_first_period_is_over);
    RUN(test_constrained_soft_wake_past_the_deadline_gets_the_next_one);
    RUN(test_share_is_compared_without_overflow);
    RUN(test_debt_beyond_the_end_of_time_shuts_out_for_good);
    RUN(test_arguments_out_of_bounds_are_refused);
    RUN(test_hard_server_keeps_every_window_within_its_bandwidth);
    RUN(test_late_server_costs_a_window_one_budget_more);
    RUN(test_overruns_cost_a_window_no_more_than_themselves);
    RUN(test_soft_server_never_waits_and_never_has_an_earlier_deadline);
    CHECK_MAIN_END();
}
