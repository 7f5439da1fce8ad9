/* Contexts: what is charged and counted, handles that go stale, notices, and refused memory. */
#include "budget_support.h"

#include "foliot/memory.h"
#include "foliot/status.h"
#include "policy/context.h"
#include "policy/notice.h"

#include <errno.h>

static const fol_context_options plain = {.refills = 8, .budget = 4, .period = 10};

static fol_context_table *make_table(uint32_t capacity)
{
    fol_context_table *table = NULL;
    CHECK_EQ(fol_context_table_create(capacity, &table), 0);
    return table;
}

static uint64_t make(fol_context_table *table, const fol_context_options *options)
{
    uint64_t handle = 0;
    CHECK_EQ(fol_context_create(table, options, 0, &handle), 0);
    CHECK(handle != 0);
    return handle;
}

static fol_context_options of_kind(fol_context_kind kind)
{
    fol_context_options options = plain;
    options.kind = kind;
    return options;
}

static fol_context_stats stats_of(const fol_context_table *table, uint64_t handle)
{
    fol_context_stats stats = {0};
    CHECK_EQ(fol_context_read_stats(table, handle, &stats), 0);
    return stats;
}

static void test_new_context_of_each_kind_is_ready_with_all_of_its_budget(void)
{
    fol_context_table *table = make_table(3);
    for (uint32_t kind = 0; kind < FOL_CONTEXT_KINDS; kind++) {
        fol_context_options options = of_kind((fol_context_kind)kind);
        uint64_t handle = make(table, &options);
        CHECK_EQ(fol_context_wake(table, handle, 3), 0);
        CHECK_EQ(fol_context_unblock(table, handle, 3), 0);
        CHECK(fol_context_ready(table, handle, 3));
        CHECK_EQ(fol_context_budget_left(table, handle, 3),
                 kind == FOL_CONTEXT_CBS_SOFT ? FOL_TIME_NEVER : 4);
        CHECK_EQ(fol_context_deadline(table, handle, 3), 13);
        CHECK(fol_context_ready_at(table, handle) <= 3);
        CHECK_EQ(fol_context_find(table, handle)->deadline, 10);
    }
    CHECK_EQ(fol_context_table_count(table), 3);
    fol_context_invariants(table);
    fol_context_table_destroy(table);
}

static void test_charge_within_the_budget_goes_on(void)
{
    fol_context_table *table = make_table(1);
    uint64_t handle = make(table, &plain);
    CHECK_EQ(fol_context_charge(table, handle, 3, 3), FOL_CHARGE_WITHIN);
    CHECK_EQ(fol_context_charge(table, handle, 0, 3), FOL_CHARGE_WITHIN);
    CHECK_EQ(fol_context_budget_left(table, handle, 3), 1);
    fol_context_stats stats = stats_of(table, handle);
    CHECK_EQ(stats.used, 3);
    CHECK_EQ(stats.charges, 1);
    CHECK_EQ(stats.depletions, 0);
    fol_context_table_destroy(table);
}

static void check_depletion(fol_context_kind kind)
{
    fol_context_table *table = make_table(1);
    fol_context_options options = of_kind(kind);
    uint64_t handle = make(table, &options);
    fol_context_wake(table, handle, 0);
    CHECK_EQ(fol_context_charge(table, handle, 3, 3), FOL_CHARGE_WITHIN);
    CHECK_EQ(fol_context_charge(table, handle, 2, 5), FOL_CHARGE_DEPLETED);
    CHECK_EQ(fol_context_charge(table, handle, 1, 6), FOL_CHARGE_DEPLETED);
    CHECK(!fol_context_ready(table, handle, 9));
    CHECK_EQ(fol_context_budget_left(table, handle, 9), 0);
    CHECK_EQ(fol_context_unblock(table, handle, 9), 0);
    fol_context_stats stats = stats_of(table, handle);
    CHECK_EQ(stats.used, 6);
    CHECK_EQ(stats.charges, 3);
    CHECK_EQ(stats.depletions, 1);
    CHECK_EQ(stats.overruns, 2);
    CHECK_EQ(stats.debt, 2);
    CHECK_EQ(stats.worst_debt, 1);
    int64_t due = fol_context_ready_at(table, handle);
    CHECK(due >= 10);
    CHECK(!fol_context_ready(table, handle, due - 1));
    CHECK(fol_context_ready(table, handle, due));
    CHECK_EQ(fol_context_unblock(table, handle, due), 0);
    CHECK_EQ(fol_context_budget_left(table, handle, due), 2);
    CHECK_EQ(fol_context_charge(table, handle, 2, due + 2), FOL_CHARGE_DEPLETED);
    CHECK_EQ(stats_of(table, handle).depletions, 2);
    fol_context_invariants(table);
    fol_context_table_destroy(table);
}

static void test_depleted_refills_wait_and_count_debt(void)
{
    check_depletion(FOL_CONTEXT_SPORADIC);
}

static void test_depleted_hard_server_waits_and_counts_debt(void)
{
    check_depletion(FOL_CONTEXT_CBS_HARD);
}

static void test_soft_server_counts_depletions_and_goes_on(void)
{
    fol_context_table *table = make_table(1);
    fol_context_options options = of_kind(FOL_CONTEXT_CBS_SOFT);
    uint64_t handle = make(table, &options);
    fol_context_wake(table, handle, 0);
    CHECK_EQ(fol_context_charge(table, handle, 5, 5), FOL_CHARGE_WITHIN);
    CHECK(fol_context_ready(table, handle, 5));
    CHECK_EQ(fol_context_deadline(table, handle, 0), 20);
    fol_context_stats stats = stats_of(table, handle);
    CHECK_EQ(stats.depletions, 1);
    CHECK_EQ(stats.debt, 1);
    fol_context_table_destroy(table);
}

static void test_users_ahead_of_the_clock_wait_without_a_depletion(void)
{
    fol_context_table *table = make_table(1);
    uint64_t handle = make(table, &plain);
    CHECK_EQ(fol_context_charge(table, handle, 1, 1), FOL_CHARGE_WITHIN);
    CHECK_EQ(fol_context_charge(table, handle, 1, 1), FOL_CHARGE_WITHIN);
    CHECK(!fol_context_ready(table, handle, 1));
    CHECK(fol_context_ready(table, handle, 2));
    CHECK_EQ(stats_of(table, handle).depletions, 0);
    CHECK_EQ(fol_context_charge(table, handle, 2, 1), FOL_CHARGE_DEPLETED);
    fol_context_invariants(table);
    fol_context_table_destroy(table);
}

static void test_job_that_ends_after_its_deadline_is_a_miss(void)
{
    fol_context_table *table = make_table(1);
    fol_context_options options = plain;
    options.deadline = 8;
    uint64_t handle = make(table, &options);
    CHECK_EQ(fol_context_finish(table, handle, 5, 13), 0);
    CHECK_EQ(fol_context_finish(table, handle, 5, 14), 1);
    fol_context_stats stats = stats_of(table, handle);
    CHECK_EQ(stats.jobs, 2);
    CHECK_EQ(stats.misses, 1);
    fol_context_table_destroy(table);
}

static void test_context_runs_on_the_cpus_it_was_given(void)
{
    fol_context_table *table = make_table(2);
    uint64_t everywhere = make(table, &plain);
    fol_context_options options = plain;
    options.cpus[0] = UINT64_C(1) << 3;
    options.cpus[2] = UINT64_C(1) << 1;
    uint64_t some = make(table, &options);
    CHECK(fol_context_may_run_on(table, everywhere, 0));
    CHECK(fol_context_may_run_on(table, everywhere, 5000));
    CHECK(fol_context_may_run_on(table, some, 3));
    CHECK(fol_context_may_run_on(table, some, 129));
    CHECK(!fol_context_may_run_on(table, some, 0));
    CHECK(!fol_context_may_run_on(table, some, 1024));
    fol_context_table_destroy(table);
}

/* Every call on the handle fails closed. */
static void check_stale(fol_context_table *table, uint64_t handle)
{
    fol_context_stats stats;
    CHECK_EQ(fol_context_wake(table, handle, 0), FOL_E_STALE);
    CHECK_EQ(fol_context_unblock(table, handle, 0), FOL_E_STALE);
    CHECK_EQ(fol_context_charge(table, handle, 1, 1), FOL_E_STALE);
    CHECK_EQ(fol_context_finish(table, handle, 0, 1), FOL_E_STALE);
    CHECK_EQ(fol_context_read_stats(table, handle, &stats), FOL_E_STALE);
    CHECK_EQ(fol_context_close(table, handle, &stats), FOL_E_STALE);
    CHECK_EQ(fol_context_revoke(table, handle), FOL_E_STALE);
    CHECK(fol_context_find(table, handle) == NULL);
    CHECK(!fol_context_ready(table, handle, FOL_BUDGET_MAX_TIME));
    CHECK(!fol_context_may_run_on(table, handle, 0));
    CHECK_EQ(fol_context_ready_at(table, handle), FOL_TIME_NEVER);
    CHECK_EQ(fol_context_budget_left(table, handle, 0), 0);
    CHECK_EQ(fol_context_deadline(table, handle, 0), FOL_TIME_NEVER);
}

static void test_revoked_handle_fails_everywhere(void)
{
    fol_context_table *table = make_table(2);
    uint64_t handle = make(table, &plain);
    uint64_t other = make(table, &plain);
    CHECK_EQ(fol_context_revoke(table, handle), 0);
    CHECK_EQ(fol_context_revocations(table), 1);
    check_stale(table, handle);
    CHECK(fol_context_ready(table, other, 0));
    CHECK_EQ(fol_context_table_count(table), 1);
    fol_context_table_destroy(table);
}

static void test_closed_handle_fails_everywhere_and_leaves_its_counters(void)
{
    fol_context_table *table = make_table(1);
    fol_context_stats stats;
    uint64_t handle = make(table, &plain);
    fol_context_charge(table, handle, 2, 2);
    CHECK_EQ(fol_context_close(table, handle, &stats), 0);
    CHECK_EQ(stats.used, 2);
    check_stale(table, handle);
    CHECK_EQ(fol_context_revocations(table), 0);
    handle = make(table, &plain);
    CHECK_EQ(fol_context_close(table, handle, NULL), 0);
    fol_context_table_destroy(table);
}

static void test_place_used_again_begins_afresh_and_the_old_handle_stays_stale(void)
{
    fol_context_table *table = make_table(1);
    uint64_t old = make(table, &plain);
    fol_context_charge(table, old, 6, 6);
    fol_context_revoke(table, old);
    uint64_t fresh = make(table, &plain);
    CHECK_EQ((uint32_t)fresh, (uint32_t)old);
    CHECK_EQ(fresh >> 32, (old >> 32) + 1);
    check_stale(table, old);
    CHECK_EQ(fol_context_budget_left(table, fresh, 0), 4);
    CHECK_EQ(stats_of(table, fresh).used, 0);
    fol_context_table_destroy(table);
}

static void test_handles_nobody_gave_out_are_stale(void)
{
    fol_context_table *table = make_table(4);
    check_stale(table, 0);
    check_stale(table, 1);
    check_stale(table, UINT64_C(1) << 32);
    check_stale(table, UINT64_MAX);
    fol_context_table_destroy(table);
}

static void test_full_table_refuses(void)
{
    fol_context_table *table = make_table(2);
    make(table, &plain);
    make(table, &plain);
    uint64_t handle = 5;
    CHECK_EQ(fol_context_create(table, &plain, 0, &handle), FOL_E_CAPACITY);
    CHECK_EQ(handle, 5);
    fol_context_table_destroy(table);
}

static void test_depletions_between_two_looks_are_one_notice(void)
{
    fol_context_table *table = make_table(2);
    fol_notice notice;
    uint64_t handle = make(table, &plain);
    CHECK(!fol_context_take_notice(table, handle, &notice));
    fol_context_charge(table, handle, 5, 5);
    fol_context_charge(table, handle, 1, 6);
    fol_context_unblock(table, handle, 40);
    fol_context_charge(table, handle, 6, 46);
    CHECK(fol_context_take_notice(table, handle, &notice));
    CHECK_EQ(notice.context, handle);
    CHECK_EQ(notice.count, 2);
    CHECK_EQ(notice.first, 5);
    CHECK_EQ(notice.last, 46);
    CHECK_EQ(notice.amount, 3);
    CHECK(!fol_context_take_notice(table, handle, &notice));
    fol_context_table_destroy(table);
}

static void test_notices_come_in_the_order_of_first_depletions(void)
{
    fol_context_table *table = make_table(3);
    fol_notice notice;
    uint64_t handles[3];
    for (int i = 0; i < 3; i++) {
        handles[i] = make(table, &plain);
    }
    fol_context_charge(table, handles[2], 4, 4);
    fol_context_charge(table, handles[0], 4, 4);
    fol_context_charge(table, handles[1], 4, 4);
    fol_context_unblock(table, handles[2], 30);
    fol_context_charge(table, handles[2], 4, 34);
    CHECK(fol_context_take_notice(table, handles[0], &notice));
    CHECK(fol_context_take_first_notice(table, &notice));
    CHECK_EQ(notice.context, handles[2]);
    CHECK_EQ(notice.count, 2);
    CHECK(fol_context_take_first_notice(table, &notice));
    CHECK_EQ(notice.context, handles[1]);
    CHECK(!fol_context_take_first_notice(table, &notice));
    fol_context_table_destroy(table);
}

static void test_notice_outlives_its_context_until_the_place_is_used_again(void)
{
    fol_context_table *table = make_table(1);
    fol_notice notice;
    uint64_t killed = make(table, &plain);
    fol_context_charge(table, killed, 4, 4);
    fol_context_close(table, killed, NULL);
    CHECK(fol_context_take_notice(table, killed, &notice));
    CHECK_EQ(notice.context, killed);

    killed = make(table, &plain);
    fol_context_charge(table, killed, 4, 4);
    fol_context_close(table, killed, NULL);
    uint64_t fresh = make(table, &plain);
    CHECK_EQ(fol_context_notices_dropped(table), 1);
    CHECK(!fol_context_take_notice(table, killed, &notice));
    CHECK(!fol_context_take_notice(table, fresh, &notice));
    CHECK(!fol_context_take_notice(table, UINT64_MAX, &notice));
    CHECK(!fol_context_take_notice(table, 0, &notice));
    fol_context_table_destroy(table);
}

static void test_notice_of_more_than_can_be_counted_stays_at_the_most(void)
{
    fol_notice_slot slots[1];
    fol_notice_box box;
    fol_notice notice;
    fol_notice_box_init(&box, slots, 1);
    fol_notice_post(&box, 0, 9, 1, INT64_MAX - 1);
    fol_notice_post(&box, 0, 9, 2, INT64_MAX - 1);
    CHECK(fol_notice_take_first(&box, &notice));
    CHECK_EQ(notice.amount, INT64_MAX);
    fol_notice_box_invariants(&box);
}

static void test_nothing_is_allocated_after_set_up(void)
{
    fol_context_table *table = make_table(4);
    fol_memory_stats before;
    fol_memory_stats after;
    fol_notice notice;
    fol_memory_read_stats(&before);
    for (int round = 0; round < 100; round++) {
        uint64_t handle = make(table, &plain);
        fol_context_charge(table, handle, 5, 5);
        fol_context_take_notice(table, handle, &notice);
        fol_context_revoke(table, handle);
    }
    fol_memory_read_stats(&after);
    CHECK_EQ(before.allocations, after.allocations);
    fol_context_table_destroy(table);
}

static void test_each_refused_allocation_is_said_and_nothing_leaks(void)
{
    fol_memory_stats before;
    fol_memory_stats after;
    fol_memory_read_stats(&before);
    bool was_refused = true;
    for (uint64_t nth = 1; nth < 20 && was_refused; nth++) {
        fol_context_table *table = NULL;
        fol_memory_fail_nth(nth);
        int status = fol_context_table_create(4, &table);
        was_refused = !fol_memory_failure_is_armed();
        fol_memory_fail_nth(0);
        CHECK_EQ(status, was_refused ? -ENOMEM : 0);
        CHECK((table == NULL) == was_refused);
        fol_context_table_destroy(table);
    }
    CHECK(!was_refused);
    fol_memory_read_stats(&after);
    CHECK_EQ(before.live_blocks, after.live_blocks);
}

static void check_refused(fol_context_table *table, fol_context_options options, int64_t now)
{
    uint64_t handle = 5;
    CHECK_EQ(fol_context_create(table, &options, now, &handle), FOL_E_VALUE);
    CHECK_EQ(handle, 5);
    CHECK_EQ(fol_context_table_count(table), 0);
}

#define WITH(...)                                                                                  \
    (fol_context_options)                                                                          \
    {                                                                                              \
        .refills = 8, .budget = 4, .period = 10, __VA_ARGS__                                       \
    }

static void test_options_out_of_bounds_are_refused(void)
{
    fol_context_table *table = make_table(1);
    check_refused(table, WITH(.kind = (fol_context_kind)3), 0);
    check_refused(table, WITH(.overrun = (fol_overrun)5), 0);
    check_refused(table, (fol_context_options){.refills = 1, .budget = 4, .period = 10}, 0);
    check_refused(table, (fol_context_options){.refills = 65, .budget = 4, .period = 10}, 0);
    check_refused(table, (fol_context_options){.refills = 8, .budget = 0, .period = 10}, 0);
    check_refused(table, (fol_context_options){.refills = 8, .budget = 11, .period = 10}, 0);
    check_refused(table, (fol_context_options){.refills = 8, .budget = 4, .period = INT64_MAX}, 0);
    check_refused(table, WITH(.deadline = 3), 0);
    check_refused(table, WITH(.deadline = 11), 0);
    check_refused(table, WITH(.deadline = -1), 0);
    check_refused(table, WITH(.minimum = 5), 0);
    check_refused(table, WITH(.minimum = -1), 0);
    check_refused(table, plain, -1);
    check_refused(table, plain, FOL_BUDGET_MAX_TIME + 1);
    fol_context_table_destroy(table);
    CHECK_EQ(fol_context_table_create(0, &table), FOL_E_VALUE);
    CHECK_EQ(fol_context_table_create(UINT32_MAX, &table), FOL_E_VALUE);
    fol_context_table_destroy(NULL);
}

static void test_charge_out_of_bounds_is_refused_and_not_counted(void)
{
    fol_context_table *table = make_table(1);
    uint64_t handle = make(table, &plain);
    CHECK_EQ(fol_context_charge(table, handle, -1, 5), FOL_E_VALUE);
    CHECK_EQ(fol_context_charge(table, handle, FOL_BUDGET_MAX_TIME + 1, 5), FOL_E_VALUE);
    CHECK_EQ(stats_of(table, handle).charges, 0);
    CHECK_EQ(fol_context_charge(table, handle, FOL_BUDGET_MAX_TIME, 5), FOL_CHARGE_DEPLETED);
    fol_context_invariants(table);
    fol_context_table_destroy(table);
}

/* One context of any kind, run chunk by chunk as a dispatcher does: a run begins when the context
 * is ready, and goes on until a chunk used it up. */
static bool run_chunks(fol_context_table *table, uint64_t handle, uint64_t *seed, int64_t *now,
                       use_log *log)
{
    const fol_context_options *options = fol_context_find(table, handle);
    int answer = FOL_CHARGE_WITHIN;
    for (int chunk = 0; chunk < 8 && answer == FOL_CHARGE_WITHIN; chunk++) {
        int64_t used = 1 + draw_below(seed, (uint32_t)log->excess + 1);
        bool is_logged = log_use(log, *now, used) || options->kind != FOL_CONTEXT_SPORADIC;
        *now += used;
        answer = fol_context_charge(table, handle, used, *now);
        if (!is_logged || answer < 0) {
            return false;
        }
    }
    bool is_ready = fol_context_ready(table, handle, *now);
    return is_ready == (fol_context_ready_at(table, handle) <= *now) &&
           is_ready == (answer == FOL_CHARGE_WITHIN);
}

static void test_random_contexts_keep_every_window_to_the_bound_and_one_chunk(void)
{
    const uint64_t first_seed = setting("FOLIOT_SEED", 1);
    fol_context_table *table = make_table(1);
    for (uint32_t number = 0; number < budget_rounds(600); number++) {
        uint64_t seed = mix(first_seed, number);
        fol_context_options options = of_kind((fol_context_kind)(number % FOL_CONTEXT_KINDS));
        options.period = 1 + draw_below(&seed, 60);
        options.budget = 1 + draw_below(&seed, (uint32_t)options.period);
        options.refills = 2 + draw_below(&seed, 7);
        uint64_t handle = make(table, &options);
        use_log log = {
            .budget = options.budget, .period = options.period, .excess = draw_below(&seed, 9)};
        bool is_fine = true;
        int64_t now = 0;
        for (int step = 0; step < 400 && is_fine; step++) {
            now += draw_below(&seed, 3) == 0 ? draw_below(&seed, 40) : 0;
            int64_t due = fol_context_ready_at(table, handle);
            now = due > now ? due : now;
            is_fine = fol_context_wake(table, handle, now) == 0 &&
                      fol_context_unblock(table, handle, now) == 0 &&
                      run_chunks(table, handle, &seed, &now, &log);
            fol_context_invariants(table);
        }
        CHECK_EQ(fol_context_close(table, handle, NULL), 0);
        if (!CHECK(is_fine)) {
            fprintf(stderr, "FOLIOT_SEED=%" PRIu64 ", context %u\n", first_seed, number);
            break;
        }
    }
    fol_context_table_destroy(table);
}

int main(void)
{
    RUN(test_new_context_of_each_kind_is_ready_with_all_of_its_budget);
    RUN(test_charge_within_the_budget_goes_on);
    RUN(test_depleted_refills_wait_and_count_debt);
    RUN(test_depleted_hard_server_waits_and_counts_debt);
    RUN(test_soft_server_counts_depletions_and_goes_on);
    RUN(test_users_ahead_of_the_clock_wait_without_a_depletion);
    RUN(test_job_that_ends_after_its_deadline_is_a_miss);
    RUN(test_context_runs_on_the_cpus_it_was_given);
    RUN(test_revoked_handle_fails_everywhere);
    RUN(test_closed_handle_fails_everywhere_and_leaves_its_counters);
    RUN(test_place_used_again_begins_afresh_and_the_old_handle_stays_stale);
    RUN(test_handles_nobody_gave_out_are_stale);
    RUN(test_full_table_refuses);
    RUN(test_depletions_between_two_looks_are_one_notice);
    RUN(test_notices_come_in_the_order_of_first_depletions);
    RUN(test_notice_outlives_its_context_until_the_place_is_used_again);
    RUN(test_notice_of_more_than_can_be_counted_stays_at_the_most);
    RUN(test_nothing_is_allocated_after_set_up);
    RUN(test_each_refused_allocation_is_said_and_nothing_leaks);
    RUN(test_options_out_of_bounds_are_refused);
    RUN(test_charge_out_of_bounds_is_refused_and_not_counted);
    RUN(test_random_contexts_keep_every_window_to_the_bound_and_one_chunk);
    CHECK_MAIN_END();
}
