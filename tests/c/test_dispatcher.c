/* The dispatcher by hand: its way through one job, what it refuses, records and ledgers. */

#include <errno.h>

#include "dispatcher_support.h"
#include "foliot/memory.h"

static void test_a_job_goes_from_release_to_end(void)
{
    fol_dispatcher *dispatcher = dispatcher_of(FOL_POLICY_EDF, 1);
    uint32_t a = add_plain(dispatcher);
    CHECK_EQ(fol_dispatcher_state(dispatcher, a), FOL_RUNNABLE_ASLEEP);
    CHECK_EQ(release_due(dispatcher, a, 5, 20), FOL_RELEASE_TAKEN);
    CHECK_EQ(fol_dispatcher_state(dispatcher, a), FOL_RUNNABLE_READY);
    CHECK_EQ(fol_dispatcher_ready_count(dispatcher), 1);
    CHECK_EQ(pick_on(dispatcher, 0, 7), a);
    CHECK(last_grant.is_switch && last_grant.time == FOL_TIME_NEVER);
    CHECK_EQ(fol_dispatcher_running(dispatcher, 0), a);
    CHECK_EQ(ran_on(dispatcher, 0, 4, 11, FOL_POINT_DONE), FOL_RAN_ENDED);
    CHECK_EQ(fol_dispatcher_running(dispatcher, 0), FOL_NO_RUNNABLE);
    const fol_account *account = fol_dispatcher_account(dispatcher, a);
    CHECK(account->runtime == 4 && account->waited == 2 && account->jobs == 1);
    CHECK(account->longest_response == 6 && account->misses == 0 && account->switches == 1);
    CHECK_EQ(fol_dispatcher_view(dispatcher, a)->last_cpu, 0);
    CHECK_EQ(fol_dispatcher_next(dispatcher), FOL_TIME_NEVER);
    fol_dispatcher_destroy(dispatcher);
}

static void test_time_stands_still_for_one_that_is_blocked(void)
{
    fol_dispatcher *dispatcher = dispatcher_of(FOL_POLICY_FP, 1);
    uint32_t a = add_plain(dispatcher);
    release_at(dispatcher, a, 0);
    pick_on(dispatcher, 0, 0);
    CHECK_EQ(ran_on(dispatcher, 0, 2, 2, FOL_POINT_BLOCKED), FOL_RAN_OFF);
    CHECK_EQ(fol_dispatcher_state(dispatcher, a), FOL_RUNNABLE_BLOCKED);
    fol_dispatcher_wake(dispatcher, a, 50);
    CHECK_EQ(pick_on(dispatcher, 0, 53), a);
    CHECK_EQ(ran_on(dispatcher, 0, 1, 54, FOL_POINT_DONE), FOL_RAN_ENDED);
    const fol_account *account = fol_dispatcher_account(dispatcher, a);
    CHECK(account->waited == 3 && account->runtime == 3 && account->blocks == 1);
    CHECK(account->preemptions == 0 && account->longest_response == 54);
    fol_dispatcher_destroy(dispatcher);
}

static void test_a_late_job_is_a_miss_and_recorded(void)
{
    fol_dispatcher *dispatcher = dispatcher_of(FOL_POLICY_EDF, 1);
    uint32_t a = add_plain(dispatcher);
    release_due(dispatcher, a, 0, 10);
    pick_on(dispatcher, 0, 0);
    CHECK_EQ(ran_on(dispatcher, 0, 13, 13, FOL_POINT_FAILED), FOL_RAN_ENDED);
    CHECK_EQ(fol_dispatcher_account(dispatcher, a)->misses, 1);
    const fol_decision *decision = last_of(dispatcher, FOL_DECISION_MISS);
    CHECK(decision != NULL && decision->numbers[0] == 10 && decision->numbers[1] == 13 &&
          decision->numbers[2] == 3);
    fol_dispatcher_destroy(dispatcher);
}

static void test_an_equal_rank_displaces_nobody(void)
{
    fol_dispatcher *dispatcher = dispatcher_of(FOL_POLICY_FP, 1);
    uint32_t a = add_plain(dispatcher);
    uint32_t b = add_plain(dispatcher);
    release_at(dispatcher, b, 0);
    CHECK_EQ(pick_on(dispatcher, 0, 0), b);
    release_at(dispatcher, a, 1);
    CHECK_EQ(fol_dispatcher_displaced(dispatcher, 1), FOL_NO_CPU);
    CHECK_EQ(ran_on(dispatcher, 0, 1, 1, FOL_POINT_MORE), FOL_RAN_ON);
    fol_dispatcher_destroy(dispatcher);
}

static void test_without_preemption_only_the_end_of_a_job_lets_another_in(void)
{
    fol_dispatcher_config config = config_of(FOL_POLICY_EDF, 1);
    config.is_preemptive = false;
    fol_dispatcher *dispatcher = new_dispatcher(&config);
    uint32_t a = add_plain(dispatcher);
    uint32_t b = add_plain(dispatcher);
    release_due(dispatcher, a, 0, 100);
    CHECK_EQ(pick_on(dispatcher, 0, 0), a);
    release_due(dispatcher, b, 1, 5);
    CHECK_EQ(fol_dispatcher_displaced(dispatcher, 1), FOL_NO_CPU);
    CHECK_EQ(ran_on(dispatcher, 0, 2, 2, FOL_POINT_MORE), FOL_RAN_ON);
    CHECK_EQ(ran_on(dispatcher, 0, 2, 4, FOL_POINT_DONE), FOL_RAN_ENDED);
    CHECK_EQ(pick_on(dispatcher, 0, 4), b);
    fol_dispatcher_destroy(dispatcher);
}

static void test_a_displaced_one_is_reported_until_it_was_asked(void)
{
    fol_dispatcher *dispatcher = dispatcher_of(FOL_POLICY_EDF, 1);
    uint32_t a = add_plain(dispatcher);
    uint32_t b = add_plain(dispatcher);
    release_due(dispatcher, a, 0, 100);
    pick_on(dispatcher, 0, 0);
    release_due(dispatcher, b, 1, 5);
    CHECK_EQ(fol_dispatcher_displaced(dispatcher, 1), 0);
    CHECK_EQ(fol_dispatcher_displaced(dispatcher, 2), 0);
    CHECK_EQ(ran_on(dispatcher, 0, 2, 2, FOL_POINT_MORE), FOL_RAN_OFF);
    CHECK_EQ(fol_dispatcher_displaced(dispatcher, 2), FOL_NO_CPU);
    const fol_decision *decision = last_of(dispatcher, FOL_DECISION_PREEMPT);
    CHECK(decision != NULL && decision->runnable == a && decision->other == b &&
          decision->numbers[0] == 2 && decision->numbers[1] == 100 && decision->numbers[2] == 5);
    fol_dispatcher_destroy(dispatcher);
}

static void test_a_move_to_another_cpu_is_told(void)
{
    fol_dispatcher *dispatcher = dispatcher_of(FOL_POLICY_EDF, 2);
    uint32_t a = add_plain(dispatcher);
    release_at(dispatcher, a, 0);
    CHECK_EQ(pick_on(dispatcher, 1, 0), a);
    ran_on(dispatcher, 1, 1, 1, FOL_POINT_DONE);
    release_at(dispatcher, a, 2);
    CHECK_EQ(pick_on(dispatcher, 0, 2), a);
    CHECK_EQ(last_grant.moved_from, 1);
    CHECK_EQ(fol_dispatcher_account(dispatcher, a)->migrations, 1);
    const fol_decision *decision = last_of(dispatcher, FOL_DECISION_MIGRATE);
    CHECK(decision != NULL && decision->cpu == 0 && decision->other == 1);
    fol_dispatcher_destroy(dispatcher);
}

static void test_what_is_removed_leaves_no_trace_and_its_id_is_anothers(void)
{
    fol_dispatcher *dispatcher = dispatcher_of(FOL_POLICY_EEVDF, 1);
    uint32_t a = add_plain(dispatcher);
    uint32_t b = add_plain(dispatcher);
    release_at(dispatcher, a, 0);
    release_at(dispatcher, b, 0);
    CHECK_EQ(pick_on(dispatcher, 0, 0), a);
    CHECK_EQ(fol_dispatcher_remove(dispatcher, a, 1), FOL_E_BUSY);
    ran_on(dispatcher, 0, 1, 1, FOL_POINT_DONE);
    CHECK_EQ(fol_dispatcher_remove(dispatcher, a, 1), 0);
    CHECK_EQ(fol_dispatcher_remove(dispatcher, b, 1), 0);
    CHECK_EQ(fol_dispatcher_remove(dispatcher, b, 1), -EINVAL);
    CHECK_EQ(fol_dispatcher_ready_count(dispatcher), 0);
    CHECK_EQ(pick_on(dispatcher, 0, 1), FOL_NO_RUNNABLE);
    CHECK(fol_dispatcher_invariants(dispatcher));
    CHECK_EQ(add_plain(dispatcher), b);
    CHECK_EQ(fol_dispatcher_account(dispatcher, b)->runtime, 0);
    fol_dispatcher_destroy(dispatcher);
}

static void test_ledgers_of_runnables_groups_and_cpus_agree(void)
{
    fol_dispatcher *dispatcher = dispatcher_of(FOL_POLICY_RM, 2);
    fol_group_options group = {.weight = 2048, .latency = 1};
    uint32_t number;
    CHECK_EQ(fol_dispatcher_add_group(dispatcher, &group, &number), 0);
    fol_runnable_options options = plain_options();
    options.group = number;
    options.weight = 512;
    uint32_t member = add_with(dispatcher, &options);
    uint32_t alone = add_plain(dispatcher);
    release_at(dispatcher, member, 0);
    release_at(dispatcher, alone, 0);
    pick_on(dispatcher, 0, 0);
    pick_on(dispatcher, 1, 0);
    ran_on(dispatcher, 0, 7, 7, FOL_POINT_DONE);
    ran_on(dispatcher, 1, 5, 7, FOL_POINT_DONE);
    CHECK_EQ(fol_dispatcher_account(dispatcher, member)->virtual_runtime, 14);
    CHECK_EQ(fol_dispatcher_group_account(dispatcher, number)->virtual_runtime, 3);
    CHECK_EQ(fol_dispatcher_group_account(dispatcher, number)->runtime, 7);
    CHECK_EQ(fol_dispatcher_group_account(dispatcher, 0)->runtime, 5);
    CHECK_EQ(fol_dispatcher_cpu_account(dispatcher, 0)->runtime, 7);
    CHECK_EQ(fol_dispatcher_cpu_account(dispatcher, 1)->jobs, 1);
    end_dispatcher(dispatcher);
}

static void test_records_are_numbered_and_the_oldest_overwritten(void)
{
    fol_dispatcher_config config = config_of(FOL_POLICY_EDF, 1);
    config.records = 4;
    fol_dispatcher *dispatcher = new_dispatcher(&config);
    uint32_t a = add_plain(dispatcher);
    fol_decision note = {.kind = FOL_DECISION_SWITCH, .runnable = FOL_NO_RUNNABLE};
    release_due(dispatcher, a, 0, 1);
    pick_on(dispatcher, 0, 0);
    ran_on(dispatcher, 0, 3, 3, FOL_POINT_DONE);
    for (int64_t i = 0; i < 4; i++) {
        note.now = i;
        fol_dispatcher_note(dispatcher, &note);
    }
    uint64_t first;
    uint64_t end;
    fol_dispatcher_records(dispatcher, &first, &end);
    CHECK(first == 2 && end == 6);
    CHECK(fol_dispatcher_record(dispatcher, 1) == NULL);
    CHECK(fol_dispatcher_record(dispatcher, 6) == NULL);
    CHECK_EQ(fol_dispatcher_record(dispatcher, 5)->now, 3);
    /* What was said of the runnable last outlives its record. */
    fol_decision last;
    CHECK(fol_dispatcher_last(dispatcher, a, &last));
    CHECK_EQ(last.kind, FOL_DECISION_MISS);
    CHECK(!fol_dispatcher_last(dispatcher, 15, &last));
    CHECK(!fol_dispatcher_last(dispatcher, 1000, &last));
    fol_dispatcher_destroy(dispatcher);
}

static void test_without_records_nothing_is_kept(void)
{
    fol_dispatcher_config config = config_of(FOL_POLICY_EDF, 1);
    config.records = 0;
    fol_dispatcher *dispatcher = new_dispatcher(&config);
    uint32_t a = add_plain(dispatcher);
    release_due(dispatcher, a, 0, 1);
    pick_on(dispatcher, 0, 0);
    ran_on(dispatcher, 0, 3, 3, FOL_POINT_DONE);
    fol_decision note = {.kind = FOL_DECISION_SWITCH, .runnable = FOL_NO_RUNNABLE};
    fol_dispatcher_note(dispatcher, &note);
    uint64_t first;
    uint64_t end;
    fol_dispatcher_records(dispatcher, &first, &end);
    CHECK(first == 0 && end == 0);
    CHECK(!fol_dispatcher_last(dispatcher, a, &note));
    fol_dispatcher_destroy(dispatcher);
}

/* Refused as it is, and fine once it is put right again. */
static void check_refused(const fol_dispatcher_config *config)
{
    fol_dispatcher *dispatcher = NULL;
    CHECK_EQ(fol_dispatcher_create(config, &dispatcher), -EINVAL);
    CHECK(dispatcher == NULL);
}

static void test_a_configuration_out_of_bounds_is_refused(void)
{
    const fol_dispatcher_config good = config_of(FOL_POLICY_EDF, 1);
    fol_dispatcher_config wrong[14];
    for (uint32_t i = 0; i < 14; i++) {
        wrong[i] = good;
    }
    wrong[0].policy = FOL_POLICY_KINDS;
    wrong[1].queues = (fol_queue_shape)3;
    wrong[2].cpus = 0;
    wrong[3].cpus = FOL_DISPATCHER_MAX_CPUS + 1;
    wrong[4].capacity = 0;
    wrong[5].capacity = UINT32_MAX;
    wrong[6].groups = UINT32_MAX;
    wrong[7].contexts = UINT32_MAX;
    wrong[8].records = 3;
    wrong[9].slices[1] = 0;
    wrong[10].slices[2] = INT64_MAX;
    wrong[11].tick = -1;
    wrong[12].least_budget = -1;
    wrong[13].max_faults = 0;
    for (uint32_t i = 0; i < 14; i++) {
        check_refused(&wrong[i]);
    }
    fol_dispatcher_config many = good;
    many.queues = FOL_QUEUES_PINNED;
    many.cpus = 1024;
    many.groups = 1u << 15;
    check_refused(&many);
}

static void test_options_out_of_bounds_are_refused(void)
{
    fol_dispatcher_config config = config_of(FOL_POLICY_EDF, 2);
    config.capacity = 1;
    config.groups = 1;
    config.queues = FOL_QUEUES_PINNED;
    fol_dispatcher *dispatcher = new_dispatcher(&config);
    const fol_runnable_options good = plain_options();
    fol_runnable_options wrong[7];
    uint32_t id = 99;
    for (uint32_t i = 0; i < 7; i++) {
        wrong[i] = good;
    }
    wrong[0].weight = 0;
    wrong[1].weight = (1u << 20) + 1;
    wrong[2].latency = 3;
    wrong[3].group = 1;
    wrong[4].cpu = 2;
    wrong[5].period = -1;
    wrong[6].context = 77;
    for (uint32_t i = 0; i < 7; i++) {
        CHECK_EQ(fol_dispatcher_add(dispatcher, &wrong[i], &id), i == 6 ? FOL_E_STALE : -EINVAL);
    }
    CHECK_EQ(fol_dispatcher_add(dispatcher, &good, &id), 0);
    CHECK_EQ(fol_dispatcher_add(dispatcher, &good, &id), FOL_E_CAPACITY);
    CHECK_EQ(fol_dispatcher_set_weight(dispatcher, id, 0, 0), -EINVAL);
    CHECK_EQ(fol_dispatcher_set_weight(dispatcher, 5, 1, 0), -EINVAL);
    CHECK_EQ(fol_dispatcher_state(dispatcher, 5), FOL_RUNNABLE_UNKNOWN);
    fol_group_options group = {.weight = 0, .latency = 1};
    uint32_t number;
    CHECK_EQ(fol_dispatcher_add_group(dispatcher, &group, &number), -EINVAL);
    group = (fol_group_options){.weight = 1, .latency = 3};
    CHECK_EQ(fol_dispatcher_add_group(dispatcher, &group, &number), -EINVAL);
    group.latency = 0;
    CHECK_EQ(fol_dispatcher_add_group(dispatcher, &group, &number), 0);
    CHECK_EQ(fol_dispatcher_add_group(dispatcher, &group, &number), FOL_E_CAPACITY);
    CHECK_EQ(fol_dispatcher_set_group_weight(dispatcher, 0, 1, 0), -EINVAL);
    CHECK_EQ(fol_dispatcher_set_group_weight(dispatcher, 1, 0, 0), -EINVAL);
    CHECK_EQ(fol_dispatcher_set_group_weight(dispatcher, 2, 1, 0), -EINVAL);
    fol_dispatcher_destroy(dispatcher);
}

static void test_a_home_that_its_context_forbids_is_refused(void)
{
    fol_dispatcher_config config = config_of(FOL_POLICY_EDF, 2);
    config.queues = FOL_QUEUES_PINNED;
    fol_dispatcher *dispatcher = new_dispatcher(&config);
    fol_context_options context = {.refills = 2, .budget = 1, .period = 10, .cpus = {2}};
    fol_runnable_options options = plain_options();
    uint32_t id;
    CHECK_EQ(fol_dispatcher_add_context(dispatcher, &context, 0, &options.context), 0);
    CHECK_EQ(fol_dispatcher_add(dispatcher, &options, &id), -EINVAL);
    options.cpu = 1;
    CHECK_EQ(fol_dispatcher_add(dispatcher, &options, &id), 0);
    fol_dispatcher_destroy(dispatcher);
}

static void test_refused_memory_is_reported_wherever_it_happens(void)
{
    fol_dispatcher_config config = config_of(FOL_POLICY_EDF, 2);
    fol_memory_stats before;
    fol_memory_stats after;
    fol_memory_read_stats(&before);
    uint64_t refused = 0;
    int is_armed = 0;
    while (!is_armed) {
        fol_dispatcher *dispatcher = NULL;
        fol_memory_fail_nth(refused + 1);
        int status = fol_dispatcher_create(&config, &dispatcher);
        is_armed = fol_memory_failure_is_armed();
        fol_memory_fail_nth(0);
        CHECK_EQ(status, is_armed ? 0 : -ENOMEM);
        CHECK((dispatcher != NULL) == is_armed);
        fol_dispatcher_destroy(dispatcher);
        refused += 1;
    }
    CHECK(refused > 15);
    fol_memory_read_stats(&after);
    CHECK_EQ(after.live_blocks, before.live_blocks);
}

static void test_no_call_after_set_up_takes_memory(void)
{
    fol_dispatcher *dispatcher = dispatcher_of(FOL_POLICY_CBS, 2);
    fol_memory_stats before;
    fol_memory_stats after;
    fol_memory_read_stats(&before);
    fol_context_options context = {.refills = 2, .budget = 1, .period = 10};
    fol_runnable_options options = plain_options();
    CHECK_EQ(fol_dispatcher_add_context(dispatcher, &context, 0, &options.context), 0);
    uint32_t a = add_with(dispatcher, &options);
    uint32_t b = add_plain(dispatcher);
    release_at(dispatcher, a, 0);
    release_at(dispatcher, b, 0);
    pick_on(dispatcher, 0, 0);
    ran_on(dispatcher, 0, 1, 1, FOL_POINT_MORE);
    fol_dispatcher_advance(dispatcher, 10);
    CHECK_EQ(fol_dispatcher_revoke(dispatcher, options.context, 11), 0);
    fol_memory_read_stats(&after);
    CHECK_EQ(after.allocations, before.allocations);
    fol_dispatcher_destroy(dispatcher);
}

int main(void)
{
    RUN(test_a_job_goes_from_release_to_end);
    RUN(test_time_stands_still_for_one_that_is_blocked);
    RUN(test_a_late_job_is_a_miss_and_recorded);
    RUN(test_an_equal_rank_displaces_nobody);
    RUN(test_without_preemption_only_the_end_of_a_job_lets_another_in);
    RUN(test_a_displaced_one_is_reported_until_it_was_asked);
    RUN(test_a_move_to_another_cpu_is_told);
    RUN(test_what_is_removed_leaves_no_trace_and_its_id_is_anothers);
    RUN(test_ledgers_of_runnables_groups_and_cpus_agree);
    RUN(test_records_are_numbered_and_the_oldest_overwritten);
    RUN(test_without_records_nothing_is_kept);
    RUN(test_a_configuration_out_of_bounds_is_refused);
    RUN(test_options_out_of_bounds_are_refused);
    RUN(test_a_home_that_its_context_forbids_is_refused);
    RUN(test_refused_memory_is_reported_wherever_it_happens);
    RUN(test_no_call_after_set_up_takes_memory);
    CHECK_MAIN_END();
}
