/* Slots of a policy in the dispatcher: what they decide, and what happens when they fail. */

#include <errno.h>

#include "dispatcher_support.h"

/* What a test's slots do next. */
typedef struct script {
    int status;
    int64_t rank_of_even; /* as FIRST is; odd ids are left to the built-in policy */
    int64_t slice;
    bool is_taken;
    uint32_t place; /* of the pick; UINT32_MAX: the last one */
    uint32_t asked;
    uint32_t told_count; /* of the last pick */
    uint32_t told[16];
    uint32_t told_cpu;
    int64_t watch;
    int64_t takes; /* time that each call takes */
    uint32_t victims[8];
    uint32_t victim_count;
    uint64_t number;
} script;

static int64_t read_watch(void *state)
{
    return ((script *)state)->watch;
}

static int finish(script *self)
{
    self->asked += 1;
    self->watch += self->takes;
    return self->status;
}

static int enqueue(void *state, const fol_runnable_view *view, int64_t now, int64_t *rank)
{
    script *self = state;
    (void)now;
    *rank = self->rank_of_even;
    return finish(self) < 0 ? self->status : (int)(view->id % 2);
}

static int enqueue_counting(void *state, const fol_runnable_view *view, int64_t now, int64_t *rank)
{
    script *self = state;
    (void)view;
    (void)now;
    *rank = self->asked;
    return finish(self);
}

static int pick(void *state, const fol_ready *ready, uint32_t cpu, int64_t now, uint32_t *place)
{
    script *self = state;
    (void)now;
    self->told_count = ready->count;
    self->told_cpu = cpu;
    for (uint32_t i = 0; i < ready->count; i++) {
        self->told[i] = fol_ready_at(ready, i)->id;
    }
    *place = self->place == UINT32_MAX ? ready->count - 1 : self->place;
    return finish(self);
}

static int slice(void *state, const fol_runnable_view *view, int64_t now, int64_t *slice)
{
    script *self = state;
    (void)view;
    (void)now;
    *slice = self->slice;
    return finish(self);
}

static int admit(void *state, const fol_runnable_view *view, int64_t now, bool *is_taken)
{
    script *self = state;
    (void)view;
    (void)now;
    *is_taken = self->is_taken;
    return finish(self);
}

static int victims(void *state, uint32_t worker, uint32_t workers, uint32_t *order, uint32_t *count)
{
    script *self = state;
    (void)worker;
    (void)workers;
    for (uint32_t i = 0; i < self->victim_count && i < workers; i++) {
        order[i] = self->victims[i];
    }
    *count = self->victim_count;
    return finish(self);
}

static int spin_limit(void *state, uint32_t worker, uint32_t *limit)
{
    script *self = state;
    (void)worker;
    *limit = (uint32_t)self->number;
    return finish(self);
}

static int chunk_rows(void *state, uint32_t system, uint64_t rows, uint64_t *chunk)
{
    script *self = state;
    (void)system;
    (void)rows;
    *chunk = self->number;
    return finish(self);
}

static int backend(void *state, const fol_policy_load *load, uint32_t *choice)
{
    script *self = state;
    (void)load;
    *choice = (uint32_t)self->number;
    return finish(self);
}

static fol_dispatcher *with_slots(fol_policy_kind policy, uint32_t cpus,
                                  const fol_policy_slots *slots)
{
    fol_dispatcher_config config = config_of(policy, cpus);
    config.slots = slots;
    config.stopwatch = read_watch;
    config.stopwatch_state = slots->state;
    config.slot_limit = 100;
    return new_dispatcher(&config);
}

/* The two of most tests. */
enum { FIRST, SECOND };

/* One CPU under deadlines, and FIRST and SECOND to run on it. */
static fol_dispatcher *two_with_slots(const fol_policy_slots *slots)
{
    fol_dispatcher *dispatcher = with_slots(FOL_POLICY_EDF, 1, slots);
    CHECK_EQ(add_plain(dispatcher), FIRST);
    CHECK_EQ(add_plain(dispatcher), SECOND);
    return dispatcher;
}

/* FIRST runs from 0 on; SECOND comes at 1, and the CPU is to be asked. */
static void let_second_come(fol_dispatcher *dispatcher, int64_t first_due, int64_t second_due)
{
    release_due(dispatcher, FIRST, 0, first_due);
    CHECK_EQ(pick_on(dispatcher, 0, 0), FIRST);
    release_due(dispatcher, SECOND, 1, second_due);
    CHECK_EQ(fol_dispatcher_displaced(dispatcher, 1), 0);
}

static void test_what_is_ranked_runs_before_what_is_not(void)
{
    script script = {.rank_of_even = 1000};
    fol_policy_slots slots = {.state = &script, .enqueue = enqueue};
    fol_dispatcher *dispatcher = two_with_slots(&slots);
    release_due(dispatcher, SECOND, 0, 1);
    release_due(dispatcher, FIRST, 0, 99);
    CHECK_EQ(pick_on(dispatcher, 0, 0), FIRST);
    fol_dispatcher_destroy(dispatcher);
}

static void test_what_is_ranked_displaces_what_is_not(void)
{
    script script = {.rank_of_even = 1000};
    fol_policy_slots slots = {.state = &script, .enqueue = enqueue};
    fol_dispatcher *dispatcher = two_with_slots(&slots);
    release_due(dispatcher, SECOND, 0, 1);
    CHECK_EQ(pick_on(dispatcher, 0, 0), SECOND);
    release_due(dispatcher, FIRST, 0, 99);
    CHECK_EQ(fol_dispatcher_displaced(dispatcher, 0), 0);
    CHECK_EQ(ran_on(dispatcher, 0, 0, 0, FOL_POINT_MORE), FOL_RAN_OFF);
    CHECK_EQ(pick_on(dispatcher, 0, 0), FIRST);
    fol_dispatcher_destroy(dispatcher);
}

static void test_a_rank_is_asked_for_anew_when_a_slice_ends(void)
{
    script script = {.slice = 5};
    fol_policy_slots slots = {.state = &script, .enqueue = enqueue_counting, .slice = slice};
    fol_dispatcher *dispatcher = two_with_slots(&slots);
    release_at(dispatcher, FIRST, 0);
    release_at(dispatcher, SECOND, 0);
    CHECK_EQ(pick_on(dispatcher, 0, 0), FIRST);
    CHECK_EQ(last_grant.time, 5);
    CHECK_EQ(ran_on(dispatcher, 0, 3, 3, FOL_POINT_MORE), FOL_RAN_ON);
    CHECK_EQ(last_grant.time, 2);
    CHECK_EQ(ran_on(dispatcher, 0, 2, 5, FOL_POINT_MORE), FOL_RAN_OFF);
    CHECK_EQ(pick_on(dispatcher, 0, 5), SECOND);
    CHECK_EQ(ran_on(dispatcher, 0, 5, 10, FOL_POINT_MORE), FOL_RAN_OFF);
    CHECK_EQ(pick_on(dispatcher, 0, 10), FIRST);
    fol_dispatcher_destroy(dispatcher);
}

static void test_a_pick_is_told_of_all_in_the_order_of_arrival(void)
{
    script script = {.place = 1};
    fol_policy_slots slots = {.state = &script, .pick = pick};
    fol_dispatcher *dispatcher = with_slots(FOL_POLICY_EDF, 2, &slots);
    uint32_t ids[4];
    for (uint32_t i = 0; i < 4; i++) {
        ids[i] = add_plain(dispatcher);
    }
    for (uint32_t i = 4; i-- > 0;) {
        release_at(dispatcher, ids[i], 0);
    }
    CHECK_EQ(pick_on(dispatcher, 1, 0), ids[2]);
    CHECK(script.told_count == 4 && script.told_cpu == 1);
    CHECK(script.told[0] == ids[3] && script.told[1] == ids[2] && script.told[3] == ids[0]);
    CHECK_EQ(pick_on(dispatcher, 0, 0), ids[1]);
    CHECK(script.told_count == 3 && script.told[1] == ids[1]);
    fol_dispatcher_destroy(dispatcher);
}

static void test_a_pick_is_asked_at_an_arrival_with_the_running_one_among_the_ready(void)
{
    script script = {.place = 0};
    fol_policy_slots slots = {.state = &script, .pick = pick};
    fol_dispatcher *dispatcher = two_with_slots(&slots);
    let_second_come(dispatcher, 10, 99);
    script.place = 1;
    CHECK_EQ(ran_on(dispatcher, 0, 1, 1, FOL_POINT_MORE), FOL_RAN_OFF);
    CHECK(script.told_count == 2 && script.told[0] == FIRST && script.told[1] == SECOND);
    uint32_t asked = script.asked;
    CHECK_EQ(pick_on(dispatcher, 0, 1), SECOND);
    CHECK_EQ(script.asked, asked);
    CHECK_EQ(fol_dispatcher_displaced(dispatcher, 1), FOL_NO_CPU);
    fol_dispatcher_destroy(dispatcher);
}

static void test_a_pick_that_keeps_the_running_one_leaves_it_on(void)
{
    script script = {.place = 0};
    fol_policy_slots slots = {.state = &script, .pick = pick};
    fol_dispatcher *dispatcher = two_with_slots(&slots);
    let_second_come(dispatcher, 99, 2);
    CHECK_EQ(ran_on(dispatcher, 0, 1, 1, FOL_POINT_MORE), FOL_RAN_ON);
    CHECK_EQ(fol_dispatcher_displaced(dispatcher, 1), FOL_NO_CPU);
    fol_dispatcher_destroy(dispatcher);
}

/* A policy that runs one of two again and again, however far ahead of its share that is. */
static int pick_first_id(void *state, const fol_ready *ready, uint32_t cpu, int64_t now,
                         uint32_t *place)
{
    script *self = state;
    (void)cpu;
    (void)now;
    for (uint32_t i = 0; i < ready->count; i++) {
        *place = fol_ready_at(ready, i)->id == 0 ? i : *place;
    }
    return finish(self);
}

static void check_grants_of_a_favourite(script *script, bool has_slice, int64_t expected)
{
    fol_policy_slots slots = {
        .state = script, .pick = pick_first_id, .slice = has_slice ? slice : NULL};
    fol_dispatcher *dispatcher = with_slots(FOL_POLICY_EEVDF, 1, &slots);
    uint32_t favourite = add_plain(dispatcher);
    uint32_t other = add_plain(dispatcher);
    int64_t now = 0;
    release_at(dispatcher, favourite, now);
    release_at(dispatcher, other, now);
    CHECK_EQ(pick_on(dispatcher, 0, now), favourite);
    for (int turn = 0; turn < 20; turn++) {
        CHECK_EQ(last_grant.time, expected);
        now += last_grant.time;
        CHECK_EQ(ran_on(dispatcher, 0, last_grant.time, now, FOL_POINT_MORE), FOL_RAN_ON);
        CHECK_EQ(fol_dispatcher_running(dispatcher, 0), favourite);
        CHECK(fol_dispatcher_invariants(dispatcher));
    }
    CHECK_EQ(script->asked, (has_slice ? 2 : 1) * 21U);
    fol_dispatcher_destroy(dispatcher);
}

static void test_a_slice_of_a_slot_is_not_cut_by_the_fair_queue(void)
{
    check_grants_of_a_favourite(&(script){.slice = 1000}, true, 1000);
}

static void test_who_is_picked_by_a_slot_gets_the_slice_of_its_class(void)
{
    check_grants_of_a_favourite(&(script){0}, false, 40);
}

static void test_a_job_that_is_not_admitted_is_denied_and_recorded(void)
{
    script script = {.is_taken = false};
    fol_policy_slots slots = {.state = &script, .admit = admit};
    fol_dispatcher *dispatcher = with_slots(FOL_POLICY_EDF, 1, &slots);
    uint32_t a = add_plain(dispatcher);
    CHECK_EQ(release_due(dispatcher, a, 3, 8), FOL_RELEASE_DENIED);
    CHECK_EQ(fol_dispatcher_account(dispatcher, a)->skipped, 1);
    const fol_decision *decision = last_of(dispatcher, FOL_DECISION_DENY);
    CHECK(decision != NULL && decision->runnable == a && decision->numbers[0] == 3 &&
          decision->numbers[1] == 8);
    CHECK_EQ(pick_on(dispatcher, 0, 3), FOL_NO_RUNNABLE);
    script.is_taken = true;
    CHECK_EQ(release_due(dispatcher, a, 4, 8), FOL_RELEASE_TAKEN);
    CHECK_EQ(fol_dispatcher_view(dispatcher, a)->job, 1);
    fol_dispatcher_destroy(dispatcher);
}

/* One fault of the pick slot: the built-in policy decides, and says so. */
static void check_pick_fault(script *script, int status)
{
    fol_policy_slots slots = {.state = script, .pick = pick};
    fol_dispatcher *dispatcher = two_with_slots(&slots);
    release_due(dispatcher, FIRST, 0, 99);
    release_due(dispatcher, SECOND, 0, 2);
    CHECK_EQ(pick_on(dispatcher, 0, 0), SECOND);
    const fol_decision *decision = last_of(dispatcher, FOL_DECISION_FAULT);
    if (CHECK(decision != NULL)) {
        CHECK_EQ(decision->other, FOL_SLOT_PICK);
        CHECK_EQ(decision->numbers[0], status);
        CHECK_EQ(decision->numbers[1], 1);
    }
    CHECK_EQ(fol_dispatcher_faults(dispatcher), 1);
    CHECK(fol_dispatcher_policy_is_on(dispatcher));
    fol_dispatcher_destroy(dispatcher);
}

static void test_a_pick_that_raises_falls_back(void)
{
    script script = {.status = FOL_E_HOST};
    check_pick_fault(&script, FOL_E_HOST);
}

static void test_a_pick_of_a_place_that_is_not_there_falls_back(void)
{
    script script = {.place = 2};
    check_pick_fault(&script, FOL_E_VALUE);
}

static void test_a_pick_that_takes_too_long_falls_back(void)
{
    script script = {.takes = 101};
    check_pick_fault(&script, -ETIME);
}

static void test_a_pick_with_an_unknown_answer_falls_back(void)
{
    script script = {.status = 5};
    check_pick_fault(&script, FOL_E_VALUE);
}

static void test_a_default_answer_is_no_fault(void)
{
    script script = {.status = FOL_POLICY_DEFAULT, .takes = 100};
    fol_policy_slots slots = {.state = &script, .pick = pick};
    fol_dispatcher *dispatcher = with_slots(FOL_POLICY_EDF, 1, &slots);
    uint32_t a = add_plain(dispatcher);
    release_at(dispatcher, a, 0);
    CHECK_EQ(pick_on(dispatcher, 0, 0), a);
    CHECK_EQ(fol_dispatcher_faults(dispatcher), 0);
    fol_dispatcher_destroy(dispatcher);
}

static void test_a_slice_below_one_falls_back(void)
{
    script script = {.slice = 0};
    fol_policy_slots slots = {.state = &script, .slice = slice};
    fol_dispatcher *dispatcher = with_slots(FOL_POLICY_EDF, 1, &slots);
    uint32_t a = add_plain(dispatcher);
    release_at(dispatcher, a, 0);
    CHECK_EQ(pick_on(dispatcher, 0, 0), a);
    CHECK(last_grant.time == FOL_TIME_NEVER);
    CHECK_EQ(fol_dispatcher_faults(dispatcher), 1);
    CHECK_EQ(last_of(dispatcher, FOL_DECISION_FAULT)->runnable, a);
    fol_dispatcher_destroy(dispatcher);
}

static void test_enough_faults_switch_the_policy_off_and_nothing_stops(void)
{
    script script = {.status = -EIO, .slice = 1};
    fol_policy_slots slots = {
        .state = &script, .enqueue = enqueue, .pick = pick, .slice = slice, .admit = admit};
    fol_dispatcher *dispatcher = two_with_slots(&slots);
    CHECK_EQ(release_due(dispatcher, FIRST, 0, 99), FOL_RELEASE_TAKEN);
    CHECK_EQ(fol_dispatcher_faults(dispatcher), 2);
    CHECK_EQ(release_due(dispatcher, SECOND, 0, 2), FOL_RELEASE_TAKEN);
    CHECK(!fol_dispatcher_policy_is_on(dispatcher));
    const fol_decision *decision = last_of(dispatcher, FOL_DECISION_POLICY_OFF);
    CHECK(decision != NULL && decision->other == FOL_SLOT_ADMIT && decision->numbers[0] == 3);
    CHECK_EQ(script.asked, 3);
    CHECK_EQ(pick_on(dispatcher, 0, 0), SECOND);
    CHECK_EQ(ran_on(dispatcher, 0, 1, 1, FOL_POINT_DONE), FOL_RAN_ENDED);
    CHECK_EQ(pick_on(dispatcher, 0, 1), FIRST);
    CHECK_EQ(script.asked, 3);
    fol_dispatcher_destroy(dispatcher);
}

static void test_victims_that_were_left_out_come_last_in_the_circle(void)
{
    script script = {.victims = {3, 0}, .victim_count = 2};
    fol_policy_slots slots = {.state = &script, .victims = victims};
    fol_dispatcher *dispatcher = with_slots(FOL_POLICY_EDF, 5, &slots);
    uint32_t order[5];
    uint32_t count = 0;
    CHECK(fol_dispatcher_victims(dispatcher, 1, 0, order, &count));
    CHECK_EQ(count, 4);
    CHECK(order[0] == 3 && order[1] == 0 && order[2] == 2 && order[3] == 4);
    fol_dispatcher_destroy(dispatcher);
}

static void test_victims_that_cannot_be_are_faults(void)
{
    static const uint32_t wrong[][3] = {{1, 0, 2}, {5, 0, 2}, {2, 0, 2}};
    script script = {.victim_count = 3};
    fol_policy_slots slots = {.state = &script, .victims = victims};
    fol_dispatcher *dispatcher = with_slots(FOL_POLICY_EDF, 5, &slots);
    uint32_t order[5];
    uint32_t count = 0;
    for (uint32_t i = 0; i < 3; i++) {
        memcpy(script.victims, wrong[i], sizeof(wrong[i]));
        CHECK(!fol_dispatcher_victims(dispatcher, 1, 0, order, &count));
        CHECK_EQ(fol_dispatcher_faults(dispatcher), i + 1);
    }
    CHECK(!fol_dispatcher_victims(dispatcher, 1, 0, order, &count));
    CHECK_EQ(script.asked, 3);
    fol_dispatcher_destroy(dispatcher);
}

static void test_too_many_victims_are_a_fault(void)
{
    script script = {.victims = {0, 2, 3, 4, 6, 7}, .victim_count = 5};
    fol_policy_slots slots = {.state = &script, .victims = victims};
    fol_dispatcher *dispatcher = with_slots(FOL_POLICY_EDF, 5, &slots);
    uint32_t order[5];
    uint32_t count = 0;
    CHECK(!fol_dispatcher_victims(dispatcher, 1, 0, order, &count));
    CHECK_EQ(fol_dispatcher_faults(dispatcher), 1);
    fol_dispatcher_destroy(dispatcher);
}

static void test_numbers_of_the_other_slots_are_held_to_their_bounds(void)
{
    script script = {.number = 7};
    fol_policy_slots slots = {
        .state = &script, .spin_limit = spin_limit, .chunk_rows = chunk_rows, .backend = backend};
    fol_dispatcher *dispatcher = with_slots(FOL_POLICY_EDF, 2, &slots);
    fol_policy_load load = {.current = 1};
    uint32_t small = 0;
    uint64_t rows = 0;
    CHECK(fol_dispatcher_spin_limit(dispatcher, 0, 0, &small) && small == 7);
    CHECK(fol_dispatcher_chunk_rows(dispatcher, 0, 100, 0, &rows) && rows == 7);
    CHECK(!fol_dispatcher_backend(dispatcher, &load, 6, 0, &small) && small == 7);
    CHECK_EQ(fol_dispatcher_faults(dispatcher), 1);
    CHECK(fol_dispatcher_backend(dispatcher, &load, 8, 0, &small) && small == 7);
    script.number = 0;
    CHECK(!fol_dispatcher_chunk_rows(dispatcher, 0, 100, 0, &rows) && rows == 7);
    script.number = FOL_MAX_SPIN_LIMIT + 1;
    CHECK(!fol_dispatcher_spin_limit(dispatcher, 0, 0, &small) && small == 7);
    CHECK_EQ(fol_dispatcher_faults(dispatcher), 3);
    fol_dispatcher_destroy(dispatcher);
}

static void test_slots_that_are_empty_are_built_in(void)
{
    script script = {0};
    fol_policy_slots slots = {.state = &script};
    fol_dispatcher *dispatcher = with_slots(FOL_POLICY_EDF, 2, &slots);
    fol_policy_load load = {.current = 1};
    uint32_t order[2];
    uint32_t small = 0;
    uint64_t rows = 0;
    CHECK(!fol_dispatcher_victims(dispatcher, 0, 0, order, &small));
    CHECK(!fol_dispatcher_spin_limit(dispatcher, 0, 0, &small));
    CHECK(!fol_dispatcher_chunk_rows(dispatcher, 0, 1, 0, &rows));
    CHECK(!fol_dispatcher_backend(dispatcher, &load, 6, 0, &small));
    fol_dispatcher_destroy(dispatcher);
}

int main(void)
{
    RUN(test_what_is_ranked_runs_before_what_is_not);
    RUN(test_what_is_ranked_displaces_what_is_not);
    RUN(test_a_rank_is_asked_for_anew_when_a_slice_ends);
    RUN(test_a_pick_is_told_of_all_in_the_order_of_arrival);
    RUN(test_a_pick_is_asked_at_an_arrival_with_the_running_one_among_the_ready);
    RUN(test_a_pick_that_keeps_the_running_one_leaves_it_on);
    RUN(test_a_job_that_is_not_admitted_is_denied_and_recorded);
    RUN(test_a_pick_that_raises_falls_back);
    RUN(test_a_pick_of_a_place_that_is_not_there_falls_back);
    RUN(test_a_pick_that_takes_too_long_falls_back);
    RUN(test_a_pick_with_an_unknown_answer_falls_back);
    RUN(test_a_default_answer_is_no_fault);
    RUN(test_a_slice_below_one_falls_back);
    RUN(test_a_slice_of_a_slot_is_not_cut_by_the_fair_queue);
    RUN(test_who_is_picked_by_a_slot_gets_the_slice_of_its_class);
    RUN(test_enough_faults_switch_the_policy_off_and_nothing_stops);
    RUN(test_victims_that_were_left_out_come_last_in_the_circle);
    RUN(test_victims_that_cannot_be_are_faults);
    RUN(test_too_many_victims_are_a_fault);
    RUN(test_numbers_of_the_other_slots_are_held_to_their_bounds);
    RUN(test_slots_that_are_empty_are_built_in);
    CHECK_MAIN_END();
}
