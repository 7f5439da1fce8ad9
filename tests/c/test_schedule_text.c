/* Sentences: why no plan could be made, and why two systems may or may not run together. */

#include "test_schedule.h"

static void test_a_cycle_is_told_by_its_shortest_form(void)
{
    begin();
    uint32_t a = ADD("a");
    uint32_t b = ADD("b");
    uint32_t c = ADD("c");
    uint32_t d = ADD("d");
    order(b, c);
    order(c, d);
    order(d, b);
    order(a, b);
    refuse(FOL_PLAN_CYCLE,
           "systems form a cycle: b -> c -> d -> b (each must run before the next)");
    order(b, a);
    refuse(FOL_PLAN_CYCLE, "systems form a cycle: a -> b -> a (each must run before the next)");
    order(c, c);
    refuse(FOL_PLAN_CYCLE, "systems form a cycle: c -> c (each must run before the next)");
    end();
}

static void test_a_long_cycle_is_cut_in_the_middle(void)
{
    begin();
    for (uint32_t i = 0; i < 30; i++) {
        char name[8];
        snprintf(name, sizeof(name), "s%u", i);
        ADD(name);
    }
    for (uint32_t i = 0; i < 30; i++) {
        order(i, (i + 1) % 30);
    }
    refuse(FOL_PLAN_CYCLE,
           "systems form a cycle: s0 -> s1 -> s2 -> s3 -> s4 -> s5 -> s6 -> s7 -> ... (18 more) "
           "... -> s26 -> s27 -> s28 -> s29 -> s0 (each must run before the next)");
    end();
}

static void test_a_cycle_through_a_set_names_a_member_of_it(void)
{
    begin();
    uint32_t set = add_set("set");
    ADD("member", .sets = "A");
    ADD("other", .sets = "A");
    uint32_t a = ADD("a");
    fol_schedule_add_order(schedule, system_ref(a), set_ref(set));
    fol_schedule_add_order(schedule, set_ref(set), system_ref(a));
    refuse(FOL_PLAN_CYCLE,
           "systems form a cycle: a -> member -> a (each must run before the next)");
    end();
}

static void test_a_cycle_of_sets_is_an_error_whoever_is_in_them(void)
{
    begin();
    uint32_t physics = add_set("physics");
    uint32_t ai = add_set("ai");
    fol_schedule_add_order(schedule, set_ref(ai), set_ref(physics));
    fol_schedule_add_order(schedule, set_ref(physics), set_ref(ai));
    refuse(FOL_PLAN_SET_CYCLE, "sets form a cycle: physics -> ai -> physics");
    ADD("a", .sets = "A");
    ADD("b", .sets = "B");
    refuse(FOL_PLAN_SET_CYCLE, "sets form a cycle: physics -> ai -> physics");
    end();
    begin();
    uint32_t self = add_set("self");
    ADD("a", .sets = "A");
    fol_schedule_add_order(schedule, set_ref(self), set_ref(self));
    refuse(FOL_PLAN_SET_CYCLE, "sets form a cycle: self -> self");
    end();
}

static void test_a_system_in_two_ordered_sets_is_a_crossing(void)
{
    begin();
    uint32_t physics = add_set("physics");
    uint32_t ai = add_set("ai");
    ADD("move", .sets = "AB");
    ADD("other", .sets = "A");
    fol_schedule_add_order(schedule, set_ref(physics), set_ref(ai));
    refuse(FOL_PLAN_CROSSING,
           "`move` is in both `physics` and `ai`, but `physics` is ordered before `ai`");
    end();
}

static void test_a_system_ordered_against_its_own_set_is_a_crossing(void)
{
    begin();
    uint32_t physics = add_set("physics");
    uint32_t move = ADD("move", .sets = "A");
    fol_schedule_add_order(schedule, set_ref(physics), system_ref(move));
    refuse(FOL_PLAN_CROSSING, "`move` is in `physics`, but `physics` is ordered before `move`");
    end();
    begin();
    physics = add_set("physics");
    move = ADD("move", .sets = "A");
    fol_schedule_add_order(schedule, system_ref(move), set_ref(physics));
    refuse(FOL_PLAN_CROSSING, "`move` is in `physics`, but `move` is ordered before `physics`");
    end();
}

static void test_order_against_the_phases_is_an_error_and_with_them_is_redundant(void)
{
    begin();
    uint32_t set = add_set("set");
    uint32_t a = ADD("a", .phase = LAST);
    uint32_t b = ADD("b");
    order(b, a);
    make();
    CHECK(fol_plan_is_ordered(plan, b, a) && fol_plan_runs_before(plan, b, a));
    fol_schedule_add_order(schedule, system_ref(a), set_ref(set));
    fol_schedule_add_order(schedule, set_ref(set), system_ref(b));
    /* The cycle is named before the phases. */
    refuse(FOL_PLAN_CYCLE,
           "systems form a cycle: a -> set -> b -> a (each must run before the next)");
    end();
    begin();
    a = ADD("a", .phase = LAST);
    b = ADD("b");
    order(a, b);
    refuse(FOL_PLAN_PHASES, "`a` (phase last) is ordered before `b` (phase update), but phase "
                            "`update` runs before `last`");
    end();
}

static void test_the_interpreter_lock_is_no_conflict_and_is_told(void)
{
    begin();
    uint32_t a = ADD("a", .reads = "A", .locks = true);
    uint32_t b = ADD("b", .reads = "A", .locks = true);
    uint32_t c = ADD("c", .reads = "A");
    make();
    CHECK(!fol_plan_in_conflict(plan, a, b));
    CHECK_EQ(stage(a), stage(b));
    explains(a, b,
             "`a` and `b` may run together, but both hold the interpreter lock, so they take "
             "turns. They do not conflict: both only read Position.");
    explains(a, c, "`a` and `c` may run together: both only read Position.");
    end();
}

static void test_sentences_for_the_other_cases(void)
{
    begin();
    uint32_t a = ADD("a", .reads = "A", .writes = "BCE");
    uint32_t b = ADD("b", .writes = "ABC");
    uint32_t c = ADD("c", .reads = "A");
    uint32_t d = ADD("d", .reads = "C", .writes = "A");
    uint32_t e = ADD("e", .reads = "E", .phase = LAST);
    make();
    explains(a, b,
             "`a` and `b` may not run together: both write Velocity and Health; `b` writes "
             "Position, `a` reads it. `a` runs first because it was registered first.");
    explains(a, a, "`a` is one system: it never runs together with itself.");
    explains(e, a,
             "`e` and `a` may not run together: `a` runs first, in phase `update`, which ends "
             "before phase `last` of `e`.");
    explains(a, c,
             "`a` and `c` may not run together: `c` waits for `a`, by way of `b`. By what they "
             "touch they could: both only read Position.");
    order(a, b);
    order(b, d);
    make();
    explains(d, a,
             "`d` and `a` may not run together: `a` writes Health, `d` reads it; `d` writes "
             "Position, `a` reads it. `a` runs first because it is ordered before `d`, by way of "
             "`b`.");
    end();
}

static void test_a_cut_text_keeps_whole_characters(void)
{
    begin();
    uint32_t a = ADD("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
    make();
    char text[32];
    size_t whole = fol_plan_explain(plan, a, a, NULL, 0);
    CHECK_EQ(whole, strlen("`\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80` is one system: it never runs "
                           "together with itself."));
    static const size_t lengths[12] = {0, 0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10};
    for (size_t room = 1; room < 12; room++) {
        CHECK_EQ(fol_plan_explain(plan, a, a, text, room), whole);
        CHECK_EQ(strlen(text), lengths[room]);
    }
    end();
}

int main(void)
{
    RUN(test_a_cycle_is_told_by_its_shortest_form);
    RUN(test_a_long_cycle_is_cut_in_the_middle);
    RUN(test_a_cycle_through_a_set_names_a_member_of_it);
    RUN(test_a_cycle_of_sets_is_an_error_whoever_is_in_them);
    RUN(test_a_system_in_two_ordered_sets_is_a_crossing);
    RUN(test_a_system_ordered_against_its_own_set_is_a_crossing);
    RUN(test_order_against_the_phases_is_an_error_and_with_them_is_redundant);
    RUN(test_the_interpreter_lock_is_no_conflict_and_is_told);
    RUN(test_sentences_for_the_other_cases);
    RUN(test_a_cut_text_keeps_whole_characters);
    CHECK_MAIN_END();
}
