/* Budgets at work in frames, on one worker and a virtual clock: every number is exact. */

#include <errno.h>

#include "budget_fixture.h"
#include "foliot/memory.h"

static piece_log pieces;

static void begin(fixture *f)
{
    setup(f);
    pieces.count = 0;
}

static void test_use_in_any_window_stays_within_the_bound_and_one_piece(void)
{
    fixture f;
    costly c;
    const fol_system_budget budget = context_of(1, 350, 10000, FOL_OVERRUN_THROTTLE);
    begin(&f);
    add_costly(&f, &c, &pieces, "hog", 0, 160, &budget);
    start_costly(&f);
    for (int frame = 0; frame < 10; frame++) {
        CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
        CHECK_EQ(state_of(&f, 0), FOL_RUN_DONE);
    }
    CHECK_EQ(c.calls, 10 * PIECES);
    CHECK_EQ(account_of(&f, 0).runtime, 10 * PIECES * 160);
    for (int64_t window = 100; window < 60000; window += 333) {
        int64_t rest = window % 10000 < 350 ? window % 10000 : 350;
        CHECK(most_in_window(&pieces, 0, window) <= window / 10000 * 350 + rest + 160);
    }
    char text[512];
    fol_scheduler_explain_system(f.scheduler, 0, text, sizeof(text));
    CHECK(strstr(text, "hog was throttled") != NULL && strstr(text, "350 ns budget") != NULL);
    teardown(&f);
}

static void test_a_throttled_system_holds_up_only_what_depends_on_it(void)
{
    fixture f;
    costly hog;
    costly after;
    costly other;
    const fol_system_budget budget = context_of(1, 160, 10000, FOL_OVERRUN_THROTTLE);
    begin(&f);
    add_costly(&f, &hog, &pieces, "hog", 0, 160, &budget);
    add_costly(&f, &after, &pieces, "after", 0, 10, NULL);
    add_costly(&f, &other, &pieces, "other", 1, 10, NULL);
    start_costly(&f);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    CHECK_EQ(pieces.count, 3 * PIECES);
    for (uint32_t i = 1; i <= PIECES; i++) {
        CHECK_EQ(pieces.system[i], 2);
    }
    CHECK(pieces.at[PIECES] < 10000);
    for (uint32_t i = 2 * PIECES; i < 3 * PIECES; i++) {
        CHECK_EQ(pieces.system[i], 1);
        CHECK(pieces.at[i] >= 30000);
    }
    teardown(&f);
}

static void test_a_skipped_system_is_dropped_with_what_it_recorded_and_runs_again(void)
{
    fixture f;
    costly c;
    const fol_system_budget budget = context_of(1, 200, 10000, FOL_OVERRUN_SKIP);
    begin(&f);
    c = (costly){.f = &f, .log = &pieces, .cost = 160};
    fol_system *system = add_system(&f, "hog", 0, -1, true);
    system->kind = FOL_SYSTEM_CHUNK;
    system->chunk_kernel = kernel_costs;
    system->user = &c;
    system->max_rows = PIECE_ROWS;
    system->budget = &budget;
    start_costly(&f);
    size_t before = fol_world_entity_count(f.world);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    CHECK_EQ(state_of(&f, 0), FOL_RUN_OVERRUN);
    CHECK_EQ(c.calls, 2);
    CHECK_EQ(fol_world_entity_count(f.world), before);
    CHECK_EQ(fol_scheduler_frame(f.scheduler)->systems[0].overruns, 1);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    CHECK_EQ(state_of(&f, 0), FOL_RUN_OVERRUN);
    CHECK_EQ(c.calls, 2);
    fol_virtual_clock_advance(&f.clock, 50000);
    c.cost = 10;
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    CHECK_EQ(state_of(&f, 0), FOL_RUN_DONE);
    CHECK_EQ(fol_world_entity_count(f.world), before + PIECES);
    teardown(&f);
}

static void test_a_killed_system_is_refused_from_the_next_frame_on(void)
{
    fixture f;
    costly c;
    costly other;
    const fol_system_budget budget = context_of(1, 200, 10000, FOL_OVERRUN_KILL);
    begin(&f);
    f.config.errors = FOL_ERRORS_CONTINUE;
    add_costly(&f, &c, &pieces, "hog", 0, 160, &budget);
    add_costly(&f, &other, &pieces, "other", 0, 10, NULL);
    start_costly(&f);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    CHECK_EQ(state_of(&f, 0), FOL_RUN_KILLED);
    CHECK_EQ(state_of(&f, 1), FOL_RUN_DONE);
    CHECK_EQ(c.calls, 2);
    for (int frame = 0; frame < 2; frame++) {
        CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
        CHECK_EQ(state_of(&f, 0), FOL_RUN_FAILED);
        CHECK_EQ(fol_scheduler_frame(f.scheduler)->error_count, 1);
        CHECK_EQ(fol_scheduler_frame(f.scheduler)->errors[0].status, FOL_E_STALE);
        CHECK_EQ(state_of(&f, 1), FOL_RUN_DONE);
    }
    CHECK_EQ(c.calls, 2);
    CHECK_EQ(fol_scheduler_revoke(f.scheduler, 1), FOL_E_STALE);
    teardown(&f);
}

static void test_a_demoted_system_goes_on_in_its_frame(void)
{
    fixture f;
    costly c;
    const fol_system_budget budget = context_of(1, 200, 10000, FOL_OVERRUN_DEMOTE);
    begin(&f);
    add_costly(&f, &c, &pieces, "hog", 0, 160, &budget);
    start_costly(&f);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    CHECK_EQ(state_of(&f, 0), FOL_RUN_DONE);
    CHECK_EQ(time_of(&f), PIECES * 160);
    CHECK_EQ(fol_scheduler_frame(f.scheduler)->systems[0].overruns, 1);
    char text[512];
    fol_scheduler_explain_budget(f.scheduler, 1, text, sizeof(text));
    CHECK(strstr(text, "demoted") != NULL);
    teardown(&f);
}

static void test_one_that_notifies_goes_on_when_nobody_else_wants_to(void)
{
    fixture f;
    costly hog;
    costly other;
    fol_notice notice;
    const fol_system_budget budget = context_of(1, 160, 10000, FOL_OVERRUN_NOTIFY);
    begin(&f);
    add_costly(&f, &hog, &pieces, "hog", 0, 160, &budget);
    add_costly(&f, &other, &pieces, "other", 1, 10, NULL);
    start_costly(&f);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    CHECK_EQ(pieces.system[0], 0);
    for (uint32_t i = 1; i <= PIECES; i++) {
        CHECK_EQ(pieces.system[i], 1);
    }
    CHECK_EQ(time_of(&f), PIECES * 170);
    CHECK(fol_scheduler_take_notice(f.scheduler, 1, &notice));
    CHECK_EQ(notice.count, 1);
    CHECK(!fol_scheduler_take_notice(f.scheduler, 1, &notice));
    teardown(&f);
}

static void revoke_first(costly *self)
{
    CHECK_EQ(fol_scheduler_revoke(self->f->scheduler, 1), 0);
}

static void test_a_revoked_context_stops_its_holder_at_the_next_piece(void)
{
    fixture f;
    costly c;
    const fol_system_budget budget = context_of(1, 5000, 10000, FOL_OVERRUN_THROTTLE);
    begin(&f);
    add_costly(&f, &c, &pieces, "holder", 0, 10, &budget);
    c.act = revoke_first;
    c.act_at = 2;
    start_costly(&f);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), FOL_E_FRAME);
    CHECK_EQ(c.calls, 2);
    CHECK_EQ(fol_scheduler_frame(f.scheduler)->errors[0].status, FOL_E_STALE);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), FOL_E_FRAME);
    CHECK_EQ(c.calls, 2);
    CHECK_EQ(fol_scheduler_revoke(f.scheduler, 1), FOL_E_STALE);
    CHECK_EQ(fol_scheduler_revoke(f.scheduler, 7), FOL_E_MISSING);
    teardown(&f);
}

static void test_a_revoked_context_ends_who_waits_for_its_refill(void)
{
    fixture f;
    costly hog;
    costly other;
    const fol_system_budget budget = context_of(1, 160, 10000, FOL_OVERRUN_THROTTLE);
    begin(&f);
    add_costly(&f, &hog, &pieces, "hog", 0, 160, &budget);
    add_costly(&f, &other, &pieces, "other", 1, 10, NULL);
    other.act = revoke_first;
    other.act_at = 2;
    start_costly(&f);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), FOL_E_FRAME);
    CHECK_EQ(hog.calls, 1);
    CHECK_EQ(other.calls, PIECES);
    CHECK(time_of(&f) < 10000);
    CHECK_EQ(state_of(&f, 0), FOL_RUN_FAILED);
    teardown(&f);
}

static void test_groups_share_one_worker_by_weight_at_every_moment(void)
{
    fixture f;
    costly heavy;
    costly light;
    const fol_system_budget groups[2] = {group_of(1, 2048), group_of(2, 1024)};
    begin(&f);
    f.config.policy = (fol_policy_choice){.is_chosen = true, .kind = FOL_POLICY_EEVDF};
    fol_system *first = add_costly(&f, &heavy, &pieces, "heavy", 0, 1000000, &groups[0]);
    fol_system *second = add_costly(&f, &light, &pieces, "light", 1, 1000000, &groups[1]);
    first->max_rows = second->max_rows = 16;
    spawn_floats(&f, 40 * ROWS, 0.0f, 0.0f);
    start_costly(&f);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    int64_t ran[2] = {0, 0};
    uint32_t both = 0;
    while (both < pieces.count && ran[0] < (int64_t)heavy.calls * 1000000 &&
           ran[1] < (int64_t)light.calls * 1000000) {
        ran[pieces.system[both]] += pieces.cost[both];
        /* Never apart by more than a slice of 3 ms and a piece, of either. */
        CHECK(ran[0] - 2 * ran[1] <= 3 * 4000000 && ran[0] - 2 * ran[1] >= -3 * 4000000);
        both++;
    }
    CHECK(both > 100);
    teardown(&f);
}

static void test_fixed_priorities_follow_registration(void)
{
    fixture f;
    costly first;
    costly second;
    begin(&f);
    f.config.policy = (fol_policy_choice){.is_chosen = true, .kind = FOL_POLICY_FP};
    add_costly(&f, &first, &pieces, "first", 0, 10, NULL);
    add_costly(&f, &second, &pieces, "second", 1, 10, NULL);
    start_costly(&f);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    for (uint32_t i = 0; i < 2 * PIECES; i++) {
        CHECK_EQ(pieces.system[i], i / PIECES);
    }
    teardown(&f);
}

static void test_a_missed_deadline_is_counted_in_the_frame_and_in_all(void)
{
    fixture f;
    costly c;
    fol_scheduler_stats stats;
    fol_system_budget budget = context_of(1, 500, 10000, FOL_OVERRUN_THROTTLE);
    budget.context.deadline = 600;
    begin(&f);
    add_costly(&f, &c, &pieces, "late", 0, 160, &budget);
    start_costly(&f);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    CHECK_EQ(fol_scheduler_frame(f.scheduler)->systems[0].misses, 1);
    fol_virtual_clock_advance(&f.clock, 100000);
    c.cost = 10;
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    CHECK_EQ(fol_scheduler_frame(f.scheduler)->systems[0].misses, 0);
    fol_scheduler_read_stats(f.scheduler, &stats);
    CHECK_EQ(stats.misses, 1);
    teardown(&f);
}

static void test_a_new_plan_goes_on_with_the_budget_of_the_old_one(void)
{
    fixture f;
    costly c;
    const fol_system_budget budget = context_of(1, 160, 10000, FOL_OVERRUN_SKIP);
    begin(&f);
    add_costly(&f, &c, &pieces, "hog", 0, 40, &budget);
    start_costly(&f);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    CHECK_EQ(c.calls, PIECES);
    f.systems[0].carries_state = 0;
    CHECK_EQ(fol_scheduler_replan(f.scheduler, f.plan, f.systems, NULL), 0);
    CHECK_EQ(account_of(&f, 0).runtime, PIECES * 40);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    CHECK_EQ(state_of(&f, 0), FOL_RUN_OVERRUN);
    /* A system that begins anew has the old budget too. */
    f.systems[0].carries_state = -1;
    CHECK_EQ(fol_scheduler_replan(f.scheduler, f.plan, f.systems, NULL), 0);
    CHECK_EQ(account_of(&f, 0).runtime, 0);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    CHECK_EQ(state_of(&f, 0), FOL_RUN_OVERRUN);
    f.systems[0].budget = NULL;
    CHECK_EQ(fol_scheduler_replan(f.scheduler, f.plan, f.systems, NULL), 0);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    CHECK_EQ(state_of(&f, 0), FOL_RUN_DONE);
    teardown(&f);
}

static int interrupt_now(void *state)
{
    return *(int *)state;
}

static int is_asked;

static void ask_to_stop(costly *self)
{
    (void)self;
    is_asked = 1;
}

static void test_an_interrupt_ends_the_wait_for_a_refill(void)
{
    fixture f;
    costly hog;
    costly other;
    fol_system_budget budget = context_of(1, 160, INT64_C(1) << 50, FOL_OVERRUN_THROTTLE);
    begin(&f);
    is_asked = 0;
    f.config.host = (fol_host){.state = &is_asked, .pending = interrupt_now};
    add_costly(&f, &hog, &pieces, "hog", 0, 160, &budget);
    add_costly(&f, &other, &pieces, "other", 1, 10, NULL);
    other.act = ask_to_stop;
    other.act_at = PIECES;
    start_costly(&f);
    int status = fol_scheduler_tick(f.scheduler, 0.0);
    /* The clock is virtual, so the refill may have come before somebody asked. */
    CHECK(status == FOL_E_INTERRUPTED || state_of(&f, 0) == FOL_RUN_DONE);
    is_asked = 0;
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    CHECK_EQ(state_of(&f, 0), FOL_RUN_DONE);
    CHECK_EQ(state_of(&f, 1), FOL_RUN_DONE);
    teardown(&f);
}

static int admit_none(void *state, const fol_runnable_view *runnable, int64_t now, bool *is_taken)
{
    (void)state;
    (void)now;
    *is_taken = runnable->priority != 0;
    return FOL_POLICY_ANSWERED;
}

static int chunk_of_32(void *state, uint32_t system, uint64_t rows, uint64_t *chunk)
{
    (void)state;
    (void)system;
    CHECK_EQ(rows, ROWS);
    *chunk = 32;
    return FOL_POLICY_ANSWERED;
}

static void test_slots_admit_and_cut_live(void)
{
    fixture f;
    costly denied;
    costly taken;
    const fol_policy_slots slots = {.admit = admit_none, .chunk_rows = chunk_of_32};
    begin(&f);
    f.config.policy =
        (fol_policy_choice){.is_chosen = true, .kind = FOL_POLICY_FIFO, .slots = &slots};
    add_costly(&f, &denied, &pieces, "denied", 0, 10, NULL);
    fol_system *system = add_costly(&f, &taken, &pieces, "taken", 0, 10, NULL);
    system->max_rows = 0;
    start_costly(&f);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    CHECK_EQ(state_of(&f, 0), FOL_RUN_DENIED);
    CHECK_EQ(denied.calls, 0);
    CHECK_EQ(state_of(&f, 1), FOL_RUN_DONE);
    CHECK_EQ(taken.calls, 2);
    teardown(&f);
}

static void test_refused_memory_leaves_no_scheduler_and_no_change_of_plan(void)
{
    fixture f;
    costly c;
    const fol_system_budget budget = context_of(1, 200, 10000, FOL_OVERRUN_THROTTLE);
    begin(&f);
    f.config.clock = fol_virtual_clock_face(&f.clock);
    add_costly(&f, &c, &pieces, "hog", 0, 10, &budget);
    spawn_floats(&f, ROWS, 0.0f, 0.0f);
    int status = -ENOMEM;
    uint64_t nth = 0;
    fol_plan_error error;
    CHECK_EQ(fol_plan_create(f.schedule, &f.plan, &error), 0);
    while (status == -ENOMEM && nth < 1000) {
        fol_memory_fail_nth(++nth);
        status = fol_scheduler_create(f.world, f.plan, f.systems, NULL, &f.config, &f.scheduler);
        fol_memory_fail_nth(0);
    }
    CHECK_EQ(status, 0);
    CHECK(nth > 20);
    status = -ENOMEM;
    for (nth = 0; status == -ENOMEM && nth < 1000;) {
        fol_memory_fail_nth(++nth);
        status = fol_scheduler_replan(f.scheduler, f.plan, f.systems, NULL);
        fol_memory_fail_nth(0);
        CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    }
    CHECK_EQ(status, 0);
    teardown(&f);
}

static void test_budgets_out_of_bounds_are_refused(void)
{
    fixture f;
    costly c;
    fol_system_budget budget = context_of(1, 200, 100, FOL_OVERRUN_THROTTLE);
    begin(&f);
    fol_system *system = add_costly(&f, &c, &pieces, "hog", 0, 10, &budget);
    f.config.clock = fol_virtual_clock_face(&f.clock);
    CHECK_EQ(start_with_rates(&f, NULL), FOL_E_VALUE);
    fol_plan_destroy(f.plan);
    budget.context.period = 10000;
    budget.context.cpus[0] = 2;
    CHECK_EQ(start_with_rates(&f, NULL), -ENODEV);
    fol_plan_destroy(f.plan);
    budget.context.cpus[0] = 0;
    f.config.clock = fol_clock_monotonic;
    budget.context.budget = 2;
    CHECK_EQ(start_with_rates(&f, NULL), -ERANGE);
    fol_plan_destroy(f.plan);
    budget = group_of(1, 0);
    system->budget = &budget;
    CHECK_EQ(start_with_rates(&f, NULL), FOL_E_VALUE);
    fol_plan_destroy(f.plan);
    system->budget = NULL;
    start_costly(&f);
    fol_account account;
    char text[256];
    CHECK_EQ(fol_scheduler_read_account(f.scheduler, FOL_ACCOUNT_SYSTEM, 0, &account),
             FOL_E_MISSING);
    fol_scheduler_explain_system(f.scheduler, 0, text, sizeof(text));
    CHECK(strstr(text, "no system has a budget") != NULL);
    teardown(&f);
}

static void test_a_plan_for_which_no_room_was_made_is_refused(void)
{
    fixture f;
    costly c;
    fol_system_budget budget = group_of(1, 100);
    begin(&f);
    add_costly(&f, &c, &pieces, "one", 0, 10, &budget);
    start_costly(&f);
    int status = 0;
    uint32_t plans = 0;
    while (status == 0 && plans < 5000) {
        budget.key++;
        plans++;
        status = fol_scheduler_replan(f.scheduler, f.plan, f.systems, NULL);
    }
    CHECK_EQ(status, -ENOSPC);
    CHECK_EQ(plans, 1024);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    CHECK_EQ(state_of(&f, 0), FOL_RUN_DONE);
    /* Contexts that nobody has any more leave their room to others, but for groups there is none.
     */
    budget.key = 1;
    CHECK_EQ(fol_scheduler_replan(f.scheduler, f.plan, f.systems, NULL), 0);
    teardown(&f);
}

static void test_contexts_that_nobody_has_any_more_make_room(void)
{
    fixture f;
    costly c;
    fol_system_budget budget = context_of(1, 200, 10000, FOL_OVERRUN_THROTTLE);
    begin(&f);
    add_costly(&f, &c, &pieces, "one", 0, 10, &budget);
    start_costly(&f);
    for (uint32_t plans = 0; plans < 3000; plans++) {
        budget.key++;
        CHECK_EQ(fol_scheduler_replan(f.scheduler, f.plan, f.systems, NULL), 0);
    }
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    CHECK_EQ(state_of(&f, 0), FOL_RUN_DONE);
    teardown(&f);
}

int main(void)
{
    RUN(test_a_plan_for_which_no_room_was_made_is_refused);
    RUN(test_contexts_that_nobody_has_any_more_make_room);
    RUN(test_use_in_any_window_stays_within_the_bound_and_one_piece);
    RUN(test_a_throttled_system_holds_up_only_what_depends_on_it);
    RUN(test_a_skipped_system_is_dropped_with_what_it_recorded_and_runs_again);
    RUN(test_a_killed_system_is_refused_from_the_next_frame_on);
    RUN(test_a_demoted_system_goes_on_in_its_frame);
    RUN(test_one_that_notifies_goes_on_when_nobody_else_wants_to);
    RUN(test_a_revoked_context_stops_its_holder_at_the_next_piece);
    RUN(test_a_revoked_context_ends_who_waits_for_its_refill);
    RUN(test_groups_share_one_worker_by_weight_at_every_moment);
    RUN(test_fixed_priorities_follow_registration);
    RUN(test_a_missed_deadline_is_counted_in_the_frame_and_in_all);
    RUN(test_a_new_plan_goes_on_with_the_budget_of_the_old_one);
    RUN(test_an_interrupt_ends_the_wait_for_a_refill);
    RUN(test_slots_admit_and_cut_live);
    RUN(test_refused_memory_leaves_no_scheduler_and_no_change_of_plan);
    RUN(test_budgets_out_of_bounds_are_refused);
    CHECK_MAIN_END();
}
