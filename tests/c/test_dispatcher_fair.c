/* The dispatcher's fair class: shares by weight, groups, several CPUs, and queues for each CPU. */

#include "dispatcher_support.h"
#include "draw.h"

/* Everybody wants to run all the time: each CPU is asked when its grant ends or it is displaced. */
static void run_until(fol_dispatcher *dispatcher, uint32_t cpus, int64_t from, int64_t until)
{
    int64_t due[8];
    int64_t since[8];
    for (uint32_t cpu = 0; cpu < cpus; cpu++) {
        since[cpu] = from;
        due[cpu] =
            pick_on(dispatcher, cpu, from) == FOL_NO_RUNNABLE ? INT64_MAX : from + last_grant.time;
    }
    while (1) {
        uint32_t first = 0;
        for (uint32_t cpu = 1; cpu < cpus; cpu++) {
            first = due[cpu] < due[first] ? cpu : first;
        }
        if (due[first] > until) {
            break;
        }
        int64_t now = due[first];
        if (ran_on(dispatcher, first, now - since[first], now, FOL_POINT_MORE) != FOL_RAN_ON) {
            CHECK(pick_on(dispatcher, first, now) != FOL_NO_RUNNABLE);
        }
        CHECK(fol_dispatcher_invariants(dispatcher));
        since[first] = now;
        due[first] = now + last_grant.time;
    }
    for (uint32_t cpu = 0; cpu < cpus; cpu++) {
        if (due[cpu] != INT64_MAX) {
            ran_on(dispatcher, cpu, until - since[cpu], until, FOL_POINT_MORE);
        }
    }
}

static uint32_t add_weighted(fol_dispatcher *dispatcher, uint32_t weight, uint32_t group)
{
    fol_runnable_options options = plain_options();
    options.weight = weight;
    options.group = group;
    uint32_t id = add_with(dispatcher, &options);
    release_at(dispatcher, id, 0);
    return id;
}

static uint32_t add_group(fol_dispatcher *dispatcher)
{
    fol_group_options options = {.weight = 1024, .latency = 1};
    uint32_t group = 0;
    CHECK_EQ(fol_dispatcher_add_group(dispatcher, &options, &group), 0);
    return group;
}

static int64_t runtime_of(const fol_dispatcher *dispatcher, uint32_t id)
{
    return fol_dispatcher_account(dispatcher, id)->runtime;
}

/* Within so much of what it should be. */
static void check_near(int64_t value, int64_t expected, int64_t error)
{
    CHECK(value >= expected - error && value <= expected + error);
}

static void test_shares_follow_weights_within_one_slice(void)
{
    fol_dispatcher *dispatcher = dispatcher_of(FOL_POLICY_EEVDF, 1);
    static const uint32_t weights[] = {1024, 2048, 512, 512};
    for (uint32_t i = 0; i < 4; i++) {
        add_weighted(dispatcher, weights[i], 0);
    }
    run_until(dispatcher, 1, 0, 40960);
    for (uint32_t i = 0; i < 4; i++) {
        check_near(runtime_of(dispatcher, i), (int64_t)weights[i] * 10, NORMAL_SLICE);
    }
    fol_dispatcher_destroy(dispatcher);
}

static void test_a_groups_share_does_not_grow_with_its_members(void)
{
    fol_dispatcher *dispatcher = dispatcher_of(FOL_POLICY_EEVDF, 1);
    uint32_t group = add_group(dispatcher);
    uint32_t alone = add_weighted(dispatcher, 1024, 0);
    for (uint32_t i = 0; i < 4; i++) {
        add_weighted(dispatcher, 1024, group);
    }
    run_until(dispatcher, 1, 0, 40000);
    check_near(runtime_of(dispatcher, alone), 20000, 2 * NORMAL_SLICE);
    check_near(fol_dispatcher_group_account(dispatcher, group)->runtime, 20000, 2 * NORMAL_SLICE);
    for (uint32_t id = 1; id < 5; id++) {
        check_near(runtime_of(dispatcher, id), 5000, 2 * NORMAL_SLICE);
    }
    fol_dispatcher_destroy(dispatcher);
}

static void test_another_weight_holds_from_then_on(void)
{
    fol_dispatcher *dispatcher = dispatcher_of(FOL_POLICY_EEVDF, 1);
    uint32_t group = add_group(dispatcher);
    uint32_t a = add_weighted(dispatcher, 1024, 0);
    uint32_t b = add_weighted(dispatcher, 1024, group);
    CHECK_EQ(fol_dispatcher_set_weight(dispatcher, a, 3072, 0), 0);
    run_until(dispatcher, 1, 0, 40000);
    check_near(runtime_of(dispatcher, a), 30000, 2 * NORMAL_SLICE);
    CHECK_EQ(fol_dispatcher_set_group_weight(dispatcher, group, 3072, 40000), 0);
    int64_t before = runtime_of(dispatcher, b);
    CHECK_EQ(ran_on(dispatcher, 0, 0, 40000, FOL_POINT_DONE), FOL_RAN_ENDED);
    release_at(dispatcher, a, 40000);
    if (fol_dispatcher_state(dispatcher, b) == FOL_RUNNABLE_ASLEEP) {
        release_at(dispatcher, b, 40000);
    }
    run_until(dispatcher, 1, 40000, 80000);
    check_near(runtime_of(dispatcher, b) - before, 20000, 4 * NORMAL_SLICE);
    fol_dispatcher_destroy(dispatcher);
}

static void test_several_cpus_share_one_queue_by_weight(void)
{
    fol_dispatcher *dispatcher = dispatcher_of(FOL_POLICY_EEVDF, 2);
    for (uint32_t i = 0; i < 6; i++) {
        add_weighted(dispatcher, 1024, 0);
    }
    run_until(dispatcher, 2, 0, 60000);
    for (uint32_t id = 0; id < 6; id++) {
        check_near(runtime_of(dispatcher, id), 20000, 4 * NORMAL_SLICE);
    }
    CHECK_EQ(fol_dispatcher_cpu_account(dispatcher, 0)->runtime, 60000);
    CHECK_EQ(fol_dispatcher_cpu_account(dispatcher, 1)->runtime, 60000);
    fol_dispatcher_destroy(dispatcher);
}

static void test_a_short_sleeper_runs_soon_after_it_wakes(void)
{
    fol_dispatcher_config config = config_of(FOL_POLICY_EEVDF, 1);
    fol_dispatcher *dispatcher = new_dispatcher(&config);
    fol_runnable_options options = plain_options();
    options.latency = 2;
    uint32_t hog = add_with(dispatcher, &options);
    options.latency = 0;
    uint32_t sleeper = add_with(dispatcher, &options);
    release_at(dispatcher, hog, 0);
    CHECK_EQ(pick_on(dispatcher, 0, 0), hog);
    CHECK_EQ(ran_on(dispatcher, 0, 160, 160, FOL_POINT_MORE), FOL_RAN_ON);
    release_at(dispatcher, sleeper, 161);
    CHECK_EQ(fol_dispatcher_displaced(dispatcher, 161), 0);
    fol_ran ran = ran_on(dispatcher, 0, 1, 161, FOL_POINT_MORE);
    /* Protection lasts for the shorter slice at most. */
    CHECK(ran == FOL_RAN_OFF || last_grant.time <= config.slices[0]);
    int64_t now = ran == FOL_RAN_OFF ? 161 : 161 + last_grant.time;
    if (ran == FOL_RAN_ON) {
        CHECK_EQ(ran_on(dispatcher, 0, last_grant.time, now, FOL_POINT_MORE), FOL_RAN_OFF);
    }
    CHECK_EQ(pick_on(dispatcher, 0, now), sleeper);
    fol_dispatcher_destroy(dispatcher);
}

static void test_who_leaves_ahead_of_its_share_is_delayed_and_that_is_recorded(void)
{
    fol_dispatcher *dispatcher = dispatcher_of(FOL_POLICY_EEVDF, 1);
    uint32_t a = add_weighted(dispatcher, 1024, 0);
    add_weighted(dispatcher, 1024, 0);
    CHECK_EQ(pick_on(dispatcher, 0, 0), a);
    CHECK_EQ(ran_on(dispatcher, 0, 30, 30, FOL_POINT_DONE), FOL_RAN_ENDED);
    const fol_decision *decision = last_of(dispatcher, FOL_DECISION_DELAY);
    CHECK(decision != NULL && decision->runnable == a && decision->numbers[0] == -15);
    CHECK_EQ(fol_dispatcher_lag(dispatcher, a), -15);
    CHECK_EQ(fol_dispatcher_ready_count(dispatcher), 1);
    end_dispatcher(dispatcher);
}

static void test_who_joins_is_placed_by_what_the_running_one_has_used_by_then(void)
{
    fol_dispatcher *dispatcher = dispatcher_of(FOL_POLICY_EEVDF, 1);
    uint32_t a = add_weighted(dispatcher, 1024, 0);
    uint32_t b = add_plain(dispatcher);
    CHECK_EQ(pick_on(dispatcher, 0, 0), a);
    release_at(dispatcher, b, 30);
    CHECK_EQ(fol_dispatcher_lag(dispatcher, a), 0);
    CHECK_EQ(fol_dispatcher_lag(dispatcher, b), 0);
    /* What was charged by then is not charged again; ahead of its share, it is not protected. */
    CHECK_EQ(ran_on(dispatcher, 0, 34, 34, FOL_POINT_MORE), FOL_RAN_OFF);
    CHECK_EQ(fol_dispatcher_lag(dispatcher, a), -2);
    CHECK_EQ(fol_dispatcher_lag(dispatcher, b), 2);
    CHECK_EQ(runtime_of(dispatcher, a), 34);
    fol_dispatcher_destroy(dispatcher);
}

static void test_what_is_ordered_displaces_what_shares(void)
{
    fol_dispatcher *dispatcher = dispatcher_of(FOL_POLICY_CBS, 1);
    fol_context_options options = {
        .kind = FOL_CONTEXT_CBS_HARD, .refills = 2, .budget = 3, .period = 20};
    uint64_t context;
    CHECK_EQ(fol_dispatcher_add_context(dispatcher, &options, 0, &context), 0);
    uint32_t fair = add_weighted(dispatcher, 1024, 0);
    uint32_t served = add_on(dispatcher, context);
    CHECK_EQ(pick_on(dispatcher, 0, 0), fair);
    release_at(dispatcher, served, 1);
    CHECK_EQ(fol_dispatcher_displaced(dispatcher, 1), 0);
    CHECK_EQ(ran_on(dispatcher, 0, 1, 1, FOL_POINT_MORE), FOL_RAN_OFF);
    CHECK_EQ(pick_on(dispatcher, 0, 1), served);
    fol_dispatcher_destroy(dispatcher);
}

static fol_dispatcher *with_queues(fol_policy_kind policy, fol_queue_shape queues, uint32_t cpus)
{
    fol_dispatcher_config config = config_of(policy, cpus);
    config.queues = queues;
    return new_dispatcher(&config);
}

static uint32_t add_at_home(fol_dispatcher *dispatcher, uint32_t cpu)
{
    fol_runnable_options options = plain_options();
    options.cpu = cpu;
    return add_with(dispatcher, &options);
}

static void test_a_pinned_one_runs_at_home_only(void)
{
    fol_dispatcher *dispatcher = with_queues(FOL_POLICY_EDF, FOL_QUEUES_PINNED, 2);
    uint32_t a = add_at_home(dispatcher, 1);
    uint32_t b = add_at_home(dispatcher, 1);
    release_due(dispatcher, a, 0, 9);
    CHECK_EQ(pick_on(dispatcher, 0, 0), FOL_NO_RUNNABLE);
    CHECK_EQ(pick_on(dispatcher, 1, 0), a);
    release_due(dispatcher, b, 1, 5);
    CHECK_EQ(fol_dispatcher_displaced(dispatcher, 1), 1);
    CHECK_EQ(pick_on(dispatcher, 0, 1), FOL_NO_RUNNABLE);
    CHECK_EQ(ran_on(dispatcher, 1, 1, 1, FOL_POINT_MORE), FOL_RAN_OFF);
    CHECK_EQ(pick_on(dispatcher, 1, 1), b);
    end_dispatcher(dispatcher);
}

static void test_an_idle_cpu_takes_from_the_next_queue_in_the_circle(void)
{
    for (fol_policy_kind policy = 0; policy < FOL_POLICY_KINDS; policy++) {
        fol_dispatcher *dispatcher = with_queues(policy, FOL_QUEUES_PER_CPU, 4);
        uint32_t far = add_at_home(dispatcher, 0);
        uint32_t near = add_at_home(dispatcher, 3);
        release_due(dispatcher, far, 0, 1);
        release_due(dispatcher, near, 0, 2);
        CHECK_EQ(pick_on(dispatcher, 2, 0), near);
        CHECK(last_grant.is_stolen && last_grant.moved_from == FOL_NO_CPU);
        CHECK_EQ(pick_on(dispatcher, 1, 0), far);
        CHECK_EQ(fol_dispatcher_account(dispatcher, far)->steals, 1);
        CHECK_EQ(fol_dispatcher_cpu_account(dispatcher, 1)->steals, 1);
        CHECK_EQ(ran_on(dispatcher, 1, 4, 4, FOL_POINT_DONE), FOL_RAN_ENDED);
        /* Its home is where it was taken to. */
        release_due(dispatcher, far, 5, 9);
        CHECK_EQ(pick_on(dispatcher, 1, 5), far);
        CHECK(!last_grant.is_stolen && !last_grant.is_switch);
        end_dispatcher(dispatcher);
    }
}

static void test_an_arrival_displaces_at_home_only_when_no_cpu_is_idle(void)
{
    fol_dispatcher *dispatcher = with_queues(FOL_POLICY_EDF, FOL_QUEUES_PER_CPU, 2);
    uint32_t a = add_at_home(dispatcher, 0);
    uint32_t b = add_at_home(dispatcher, 0);
    uint32_t c = add_at_home(dispatcher, 1);
    release_due(dispatcher, a, 0, 9);
    CHECK_EQ(pick_on(dispatcher, 0, 0), a);
    release_due(dispatcher, b, 1, 5);
    CHECK_EQ(fol_dispatcher_displaced(dispatcher, 1), FOL_NO_CPU);
    /* What came to the idle CPU's own queue goes first there, and so b needs its home. */
    release_due(dispatcher, c, 1, 50);
    CHECK_EQ(pick_on(dispatcher, 1, 1), c);
    CHECK_EQ(fol_dispatcher_displaced(dispatcher, 1), 0);
    CHECK_EQ(ran_on(dispatcher, 0, 1, 1, FOL_POINT_MORE), FOL_RAN_OFF);
    CHECK_EQ(pick_on(dispatcher, 0, 1), b);
    end_dispatcher(dispatcher);
}

static void test_a_stolen_member_takes_its_groups_share_along(void)
{
    fol_dispatcher *dispatcher = with_queues(FOL_POLICY_EEVDF, FOL_QUEUES_PER_CPU, 2);
    uint32_t group = add_group(dispatcher);
    fol_runnable_options member = plain_options();
    member.group = group;
    uint32_t a = add_with(dispatcher, &member);
    uint32_t b = add_with(dispatcher, &member);
    release_at(dispatcher, a, 0);
    release_at(dispatcher, b, 0);
    CHECK_EQ(pick_on(dispatcher, 0, 0), a);
    CHECK_EQ(pick_on(dispatcher, 1, 0), b);
    CHECK(last_grant.is_stolen);
    CHECK(fol_dispatcher_invariants(dispatcher));
    ran_on(dispatcher, 0, 7, 7, FOL_POINT_DONE);
    ran_on(dispatcher, 1, 7, 7, FOL_POINT_DONE);
    CHECK_EQ(fol_dispatcher_group_account(dispatcher, group)->runtime, 14);
    CHECK_EQ(fol_dispatcher_group_account(dispatcher, group)->virtual_runtime, 14);
    end_dispatcher(dispatcher);
}

int main(void)
{
    RUN(test_shares_follow_weights_within_one_slice);
    RUN(test_a_groups_share_does_not_grow_with_its_members);
    RUN(test_another_weight_holds_from_then_on);
    RUN(test_several_cpus_share_one_queue_by_weight);
    RUN(test_a_short_sleeper_runs_soon_after_it_wakes);
    RUN(test_who_leaves_ahead_of_its_share_is_delayed_and_that_is_recorded);
    RUN(test_who_joins_is_placed_by_what_the_running_one_has_used_by_then);
    RUN(test_what_is_ordered_displaces_what_shares);
    RUN(test_a_pinned_one_runs_at_home_only);
    RUN(test_an_idle_cpu_takes_from_the_next_queue_in_the_circle);
    RUN(test_an_arrival_displaces_at_home_only_when_no_cpu_is_idle);
    RUN(test_a_stolen_member_takes_its_groups_share_along);
    CHECK_MAIN_END();
}
