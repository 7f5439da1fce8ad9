/* Fair groups: shares at both levels, groups that come and go, and random steps. */

#include "draw.h"
#include "fair_fixture.h"
#include "foliot/memory.h"
#include "policy/fair_groups.h"

#define GROUPS  8u
#define MEMBERS 48u

static void begin(fol_fair_groups *groups, fol_fair_config config)
{
    CHECK_EQ(fol_fair_groups_init(groups, &config, GROUPS, MEMBERS), 0);
}

/* The groups 0 and 1, with these weights. */
static void begin_two(fol_fair_groups *groups, int64_t slice, int64_t first, int64_t second)
{
    begin(groups, fair_config(slice, 0));
    CHECK_EQ(fol_fair_groups_open(groups, 0, first, 0), 0);
    CHECK_EQ(fol_fair_groups_open(groups, 1, second, 0), 0);
}

static void end(fol_fair_groups *groups)
{
    fol_fair_groups_invariants(groups);
    fol_fair_groups_deinit(groups);
}

static void join(fol_fair_groups *groups, uint32_t group, uint32_t id)
{
    CHECK_EQ(fol_fair_groups_join(groups, group, id, FOL_FAIR_WEIGHT_NORMAL, 0), 0);
}

/* One processor, `turns` turns of `ran` each; time by member. */
static void run_turns(fol_fair_groups *groups, uint32_t turns, int64_t ran, int64_t *had)
{
    for (uint32_t i = 0; i < turns; i++) {
        const uint32_t id = fol_fair_groups_pick(groups);
        if (!CHECK(id != FOL_FAIR_NONE)) {
            return;
        }
        fol_fair_groups_set_running(groups, id);
        CHECK_EQ(fol_fair_groups_account(groups, id, ran), 0);
        fol_fair_groups_put_back(groups, id);
        FOL_CHECK_INVARIANTS(fol_fair_groups_invariants(groups));
        had[id] += ran;
    }
}

static void test_a_group_gets_its_share_however_many_its_members_are(void)
{
    fol_fair_groups groups;
    int64_t had[MEMBERS] = {0};
    begin_two(&groups, 10, 1024, 3072);
    join(&groups, 0, 0);
    for (uint32_t id = 1; id < 21; id++) {
        join(&groups, 1, id);
    }
    run_turns(&groups, 8000, 10, had);
    /* Of 80,000 a quarter, off by at most a request. */
    CHECK(had[0] >= 19990 && had[0] <= 20010);
    for (uint32_t id = 1; id < 21; id++) {
        CHECK(had[id] >= 2980 && had[id] <= 3020);
    }
    end(&groups);
}

static void test_a_group_that_slept_gets_no_more_than_its_share_after(void)
{
    fol_fair_groups groups;
    int64_t had[MEMBERS] = {0};
    begin_two(&groups, 10, 1024, 1024);
    join(&groups, 0, 0);
    join(&groups, 1, 1);
    CHECK_EQ(fol_fair_groups_sleep(&groups, 0), 0);
    run_turns(&groups, 1000, 10, had);
    CHECK_EQ(had[1], 10000);
    CHECK_EQ(fol_fair_groups_wake(&groups, 0), 0);
    run_turns(&groups, 100, 10, had);
    CHECK(had[0] >= 480 && had[0] <= 520);
    end(&groups);
}

static void test_two_members_of_a_group_run_at_once(void)
{
    fol_fair_groups groups;
    begin(&groups, fair_config(10, 0));
    CHECK_EQ(fol_fair_groups_open(&groups, 3, 1024, 0), 0);
    join(&groups, 3, 0);
    join(&groups, 3, 1);
    join(&groups, 3, 2);
    fol_fair_groups_set_running(&groups, fol_fair_groups_pick(&groups));
    const uint32_t second = fol_fair_groups_pick(&groups);
    CHECK_EQ(second, 1);
    fol_fair_groups_set_running(&groups, second);
    CHECK_EQ(fol_fair_groups_account(&groups, 0, 10), 0);
    CHECK_EQ(fol_fair_groups_account(&groups, 1, 10), 0);
    CHECK(fol_fair_queue_virtual_time(&groups.top) == 20.0);
    CHECK_EQ(fol_fair_groups_pick(&groups), 2);
    fol_fair_groups_set_running(&groups, 2);
    CHECK_EQ(fol_fair_groups_pick(&groups), FOL_FAIR_NONE);
    CHECK_EQ(fol_fair_queue_state(&groups.top, 3), FOL_FAIR_RUNNING);
    end(&groups);
}

static void test_a_switch_within_a_group_does_not_renew_its_protection(void)
{
    fol_fair_groups groups;
    begin_two(&groups, 100, 1024, 1024);
    join(&groups, 0, 0);
    join(&groups, 0, 1);
    fol_fair_groups_set_running(&groups, 0);
    CHECK_EQ(fol_fair_groups_account(&groups, 0, 7), 0);
    const uint64_t since = groups.tops.rests[0].switched_v;
    fol_fair_groups_switch(&groups, 0, 1);
    CHECK(groups.tops.rests[0].switched_v == since);
    CHECK(groups.tops.nodes[0].start != since);
    CHECK_EQ(fol_fair_groups_state(&groups, 0), FOL_FAIR_QUEUED);
    CHECK_EQ(fol_fair_groups_state(&groups, 1), FOL_FAIR_RUNNING);
    end(&groups);
}

static void test_a_member_of_another_group_preempts_when_that_group_is_due(void)
{
    fol_fair_groups groups;
    begin_two(&groups, 10, 1024, 1024);
    join(&groups, 0, 0);
    join(&groups, 0, 1);
    join(&groups, 1, 2);
    fol_fair_groups_set_running(&groups, 0);
    CHECK_EQ(fol_fair_groups_should_preempt(&groups, 0), FOL_FAIR_NONE);
    CHECK_EQ(fol_fair_groups_until_preempt(&groups, 0), 1);
    CHECK_EQ(fol_fair_groups_account(&groups, 0, 5), 0);
    CHECK_EQ(fol_fair_groups_should_preempt(&groups, 0), 2);
    CHECK_EQ(fol_fair_groups_sleep(&groups, 2), 0);
    CHECK_EQ(fol_fair_groups_should_preempt(&groups, 0), 1);
    end(&groups);
}

static void test_a_member_that_moves_takes_its_lag_along(void)
{
    fol_fair_groups groups;
    int64_t had[MEMBERS] = {0};
    begin_two(&groups, 10, 1024, 1024);
    join(&groups, 0, 0);
    join(&groups, 0, 1);
    run_turns(&groups, 1, 6, had);
    CHECK_EQ(fol_fair_groups_move(&groups, 0, 1), 0);
    CHECK_EQ(fol_fair_queue_state(&groups.top, 1), FOL_FAIR_QUEUED);
    CHECK_EQ(fol_fair_groups_move(&groups, 0, 1), 0);
    CHECK_EQ(fol_fair_groups_move(&groups, 1, 1), 0);
    CHECK(fol_fair_queue_state(&groups.top, 0) != FOL_FAIR_QUEUED);
    CHECK_EQ(fol_fair_groups_close(&groups, 0), 0);
    end(&groups);
}

static void test_what_cannot_be_is_refused(void)
{
    fol_fair_groups groups;
    begin(&groups, fair_config(10, 0));
    CHECK_EQ(fol_fair_groups_open(&groups, GROUPS, 1024, 0), FOL_E_CAPACITY);
    CHECK_EQ(fol_fair_groups_open(&groups, 0, 0, 0), FOL_E_VALUE);
    CHECK_EQ(fol_fair_groups_open(&groups, 0, 1, -1), FOL_E_VALUE);
    CHECK_EQ(fol_fair_groups_join(&groups, 0, 0, 1024, 0), FOL_E_MISSING);
    CHECK_EQ(fol_fair_groups_close(&groups, 0), FOL_E_MISSING);
    CHECK_EQ(fol_fair_groups_reweight_group(&groups, 0, 1), FOL_E_MISSING);
    CHECK_EQ(fol_fair_groups_open(&groups, 0, 1024, 0), 0);
    CHECK_EQ(fol_fair_groups_open(&groups, 0, 1024, 0), FOL_E_MISSING);
    CHECK_EQ(fol_fair_groups_reweight_group(&groups, 0, 0), FOL_E_VALUE);
    CHECK_EQ(fol_fair_groups_join(&groups, 0, MEMBERS, 1024, 0), FOL_E_CAPACITY);
    CHECK_EQ(fol_fair_groups_join(&groups, 0, 0, 0, 0), FOL_E_VALUE);
    CHECK_EQ(fol_fair_groups_state(&groups, 0), FOL_FAIR_ABSENT);
    CHECK(fol_fair_queue_state(&groups.top, 0) != FOL_FAIR_QUEUED);
    join(&groups, 0, 0);
    CHECK_EQ(fol_fair_groups_join(&groups, 0, 0, 1024, 0), FOL_E_MISSING);
    CHECK_EQ(fol_fair_groups_wake(&groups, 0), FOL_E_MISSING);
    CHECK_EQ(fol_fair_groups_wake(&groups, 1), FOL_E_MISSING);
    CHECK_EQ(fol_fair_groups_sleep(&groups, 1), FOL_E_MISSING);
    CHECK_EQ(fol_fair_groups_account(&groups, 1, 1), FOL_E_MISSING);
    CHECK_EQ(fol_fair_groups_account(&groups, 0, -1), FOL_E_VALUE);
    CHECK_EQ(fol_fair_groups_reweight(&groups, 1, 1), FOL_E_MISSING);
    CHECK_EQ(fol_fair_groups_move(&groups, 0, 1), FOL_E_MISSING);
    CHECK_EQ(fol_fair_groups_close(&groups, 0), -EBUSY);
    fol_fair_groups_leave(&groups, 0);
    fol_fair_groups_leave(&groups, 0);
    CHECK_EQ(fol_fair_groups_close(&groups, 0), 0);
    end(&groups);
}

static void test_refused_memory_is_given_back(void)
{
    const fol_fair_config config = fair_config(10, 0);
    fol_memory_stats before;
    fol_memory_stats after;
    fol_memory_read_stats(&before);
    int status = -ENOMEM;
    for (uint64_t nth = 1; nth < 20 && status != 0; nth++) {
        fol_fair_groups groups;
        fol_memory_fail_nth(nth);
        status = fol_fair_groups_init(&groups, &config, GROUPS, MEMBERS);
        fol_memory_fail_nth(0);
        CHECK(status == 0 || status == -ENOMEM);
        if (status == 0) {
            fol_fair_groups_deinit(&groups);
        }
    }
    CHECK_EQ(status, 0);
    fol_memory_read_stats(&after);
    CHECK_EQ(after.live_blocks, before.live_blocks);
}

static void step(fol_fair_groups *groups, uint64_t *random)
{
    const uint32_t id = draw_below(random, MEMBERS);
    const uint32_t group = draw_below(random, GROUPS);
    const fol_fair_state state = fol_fair_groups_state(groups, id);
    const uint32_t kind = draw_below(random, 16);
    if (state == FOL_FAIR_ABSENT) {
        CHECK_EQ(fol_fair_groups_join(groups, group, id, 1 + draw_below(random, 3000), 0), 0);
    } else if (state == FOL_FAIR_RUNNING && kind < 12) {
        CHECK(fol_fair_groups_until_preempt(groups, id) >= 1);
        CHECK_EQ(fol_fair_groups_account(groups, id, draw_below(random, 20)), 0);
        const uint32_t next = fol_fair_groups_should_preempt(groups, id);
        if (next != FOL_FAIR_NONE) {
            CHECK_EQ(fol_fair_groups_state(groups, next), FOL_FAIR_QUEUED);
            fol_fair_groups_switch(groups, id, next);
        }
    } else if (kind < 10) {
        const uint32_t next = fol_fair_groups_pick(groups);
        if (next != FOL_FAIR_NONE && draw_below(random, 3) == 0) {
            fol_fair_groups_set_running(groups, next);
        }
    } else if (kind == 10) {
        CHECK_EQ(fol_fair_groups_reweight(groups, id, 1 + draw_below(random, 3000)), 0);
    } else if (kind == 11) {
        CHECK_EQ(fol_fair_groups_reweight_group(groups, group, 1 + draw_below(random, 3000)), 0);
    } else if (kind == 12 && state != FOL_FAIR_RUNNING) {
        CHECK_EQ(fol_fair_groups_move(groups, id, group), 0);
    } else if (kind == 13) {
        fol_fair_groups_leave(groups, id);
    } else if (state == FOL_FAIR_ASLEEP || state == FOL_FAIR_DELAYED) {
        CHECK_EQ(fol_fair_groups_wake(groups, id), 0);
    } else {
        CHECK_EQ(fol_fair_groups_sleep(groups, id), 0);
    }
}

static void test_random_steps_keep_groups_and_members_together(void)
{
    const uint64_t rounds = setting("FOLIOT_STRESS", 0) != 0 ? 2000 : 20;
    for (uint64_t seed = 1; seed <= rounds && check_failures == 0; seed++) {
        uint64_t random = seed;
        fol_fair_groups groups;
        fol_fair_config config = fair_config(1 + draw_below(&random, 30), seed % 3);
        config.mode = seed % 4 == 0 ? FOL_FAIR_TEXTBOOK : FOL_FAIR_LINUX;
        begin(&groups, config);
        for (uint32_t group = 0; group < GROUPS; group++) {
            CHECK_EQ(fol_fair_groups_open(&groups, group, 1 + draw_below(&random, 3000), 0), 0);
        }
        for (uint32_t i = 0; i < 10000 && check_failures == 0; i++) {
            step(&groups, &random);
            FOL_CHECK_INVARIANTS(fol_fair_groups_invariants(&groups));
        }
        if (check_failures != 0) {
            fprintf(stderr, "seed %" PRIu64 "\n", seed);
        }
        end(&groups);
    }
}

int main(void)
{
    RUN(test_a_group_gets_its_share_however_many_its_members_are);
    RUN(test_a_group_that_slept_gets_no_more_than_its_share_after);
    RUN(test_two_members_of_a_group_run_at_once);
    RUN(test_a_switch_within_a_group_does_not_renew_its_protection);
    RUN(test_a_member_of_another_group_preempts_when_that_group_is_due);
    RUN(test_a_member_that_moves_takes_its_lag_along);
    RUN(test_what_cannot_be_is_refused);
    RUN(test_refused_memory_is_given_back);
    RUN(test_random_steps_keep_groups_and_members_together);
    CHECK_MAIN_END();
}
