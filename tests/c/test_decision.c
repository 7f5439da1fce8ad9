/* Decisions as sentences: each kind once, whole, with its numbers. */

#include <stdio.h>
#include <string.h>

#include "check.h"
#include "foliot/budget.h"
#include "foliot/policy.h"
#include "foliot/status.h"

static const char *name_of(void *state, uint32_t runnable)
{
    const char *const *names = state;
    return runnable < 2 ? names[runnable] : NULL;
}

static const char *names[] = {"hog", "audio"};
static const fol_decision_words ns_words = {.state = names, .name = name_of, .is_ns = true};
static const fol_decision_words plain_words = {.state = names, .name = name_of};

static void check_sentence(const fol_decision *decision, const fol_decision_words *words,
                           const char *expected)
{
    char text[400];
    size_t length = fol_decision_explain(decision, words, text, sizeof(text));
    if (!CHECK(strcmp(text, expected) == 0)) {
        fprintf(stderr, "  %s\n", text);
    }
    CHECK_EQ(length, strlen(expected));
}

static void check_plain(const fol_decision *decision, const char *expected)
{
    check_sentence(decision, &plain_words, expected);
}

/* A decision about hog, job 7, under EDF, at 12. */
static fol_decision about_hog(fol_decision_kind kind, int64_t first, int64_t second, int64_t third)
{
    return (fol_decision){.now = 12,
                          .kind = (uint16_t)kind,
                          .policy = FOL_POLICY_EDF,
                          .runnable = 0,
                          .cpu = 3,
                          .other = 1,
                          .job = 7,
                          .numbers = {first, second, third}};
}

static void test_a_throttle_names_use_budget_and_refill(void)
{
    fol_decision decision = about_hog(FOL_DECISION_THROTTLE, 2000000, 2000000, 20000000);
    decision.now = 12000000;
    check_sentence(&decision, &ns_words,
                   "hog was throttled at 12.000 ms: it used 2.000 ms of its 2.000 ms budget, the "
                   "next refill is at 20.000 ms (sporadic server)");
    decision.detail = FOL_CONTEXT_CBS_HARD;
    decision.numbers[2] = FOL_TIME_NEVER;
    check_sentence(
        &decision, &ns_words,
        "hog was throttled at 12.000 ms: it used 2.000 ms of its 2.000 ms budget, and no "
        "refill comes before the end of time (hard constant bandwidth server)");
}

static void test_a_server_is_told_by_its_kind_and_not_by_the_policy(void)
{
    fol_decision decision = about_hog(FOL_DECISION_REFILL, 2, 0, 0);
    decision.policy = FOL_POLICY_CBS;
    check_plain(&decision, "hog was refilled at 12: it may use 2 from here on (sporadic server)");
    decision.policy = FOL_POLICY_EDF;
    decision.detail = FOL_CONTEXT_CBS_SOFT;
    check_plain(&decision,
                "hog was refilled at 12: it may use 2 from here on (soft constant bandwidth "
                "server)");
}

static void test_units_follow_the_size_of_a_time(void)
{
    fol_decision decision = about_hog(FOL_DECISION_THROTTLE, 999, 1500, 3000000000);
    decision.now = 0;
    check_sentence(&decision, &ns_words,
                   "hog was throttled at 0 ns: it used 999 ns of its 1.500 us budget, the next "
                   "refill is at 3.000 s (sporadic server)");
    check_plain(&decision,
                "hog was throttled at 0: it used 999 of its 1500 budget, the next refill is at "
                "3000000000 (sporadic server)");
}

static void test_overruns_are_told_with_their_policy(void)
{
    fol_decision decision = about_hog(FOL_DECISION_SKIP, 3, 2, 20);
    check_plain(&decision,
                "hog was skipped at 12: it used 3 of its 2 budget, so job 7 is dropped, and the "
                "next release is at 20 (overrun policy: skip)");
    decision.numbers[2] = 0;
    check_plain(&decision,
                "hog was skipped at 12: it used 3 of its 2 budget, so job 7 is dropped (overrun "
                "policy: skip)");
    decision.kind = FOL_DECISION_KILL;
    check_plain(&decision,
                "hog was killed at 12: it used 3 of its 2 budget, so job 7 is over and its "
                "context is released (overrun policy: kill)");
    decision.kind = FOL_DECISION_DEMOTE;
    decision.numbers[2] = 20;
    check_plain(&decision,
                "hog was demoted at 12: it used 3 of its 2 budget, and goes on in the fair "
                "class, the next refill is at 20 (overrun policy: demote)");
    decision.kind = FOL_DECISION_NOTIFY;
    check_plain(&decision,
                "hog left a notice at 12: it used 3 of its 2 budget, and goes on only while "
                "nobody else wants to run, the next refill is at 20 (overrun policy: notify)");
}

static void test_refills_are_told_with_what_is_left(void)
{
    fol_decision decision = about_hog(FOL_DECISION_REFILL, 2, 0, 0);
    decision.now = 20;
    check_plain(&decision, "hog was refilled at 20: it may use 2 from here on (sporadic server)");
    decision.kind = FOL_DECISION_PROMOTE;
    check_plain(&decision,
                "hog was promoted at 20: its context was refilled, and it may use 2 from here "
                "on (sporadic server)");
}

static void test_picks_are_told_with_their_slice(void)
{
    fol_decision decision = about_hog(FOL_DECISION_PICK, 3, 4, 0);
    check_plain(&decision,
                "hog was picked at 12 for CPU 3 after audio, and may run for 3: it is the first "
                "of 5 ready (the earliest deadline first)");
    decision.numbers[0] = FOL_TIME_NEVER;
    decision.other = FOL_NO_RUNNABLE;
    check_plain(&decision,
                "hog was picked at 12 for CPU 3 after nobody, and may run to its end: it is the "
                "first of 5 ready (the earliest deadline first)");
}

static void test_switches_between_runnables_are_told_with_both(void)
{
    fol_decision decision = about_hog(FOL_DECISION_PREEMPT, 5, 100, 30);
    check_plain(&decision,
                "hog gave way at 12 on CPU 3 to audio after 5 of its job: its rank is 100, that "
                "of the other is 30 (the earliest deadline first)");
    decision.numbers[1] = INT64_MAX;
    check_plain(&decision,
                "hog gave way at 12 on CPU 3 to audio after 5 of its job: its rank is none, that "
                "of the other is 30 (the earliest deadline first)");
    decision.kind = FOL_DECISION_MIGRATE;
    check_plain(&decision,
                "hog moved at 12 from CPU 1 to CPU 3, where it was the first that may run there "
                "(the earliest deadline first)");
    decision.kind = FOL_DECISION_DELAY;
    decision.numbers[0] = -15;
    check_plain(&decision,
                "hog was delayed at 12: it left 15 ahead of its share, and is counted until the "
                "others have caught up (delayed dequeue)");
}

static void test_giving_way_in_the_fair_class_is_told_by_lags_or_virtual_deadlines(void)
{
    fol_decision decision = about_hog(FOL_DECISION_PREEMPT, 5, -100, 30);
    decision.policy = FOL_POLICY_CBS;
    decision.detail = FOL_PREEMPT_LAG;
    check_sentence(&decision, &ns_words,
                   "hog gave way at 12 ns on CPU 3 to audio after 5 ns of its job: it is 100 ns "
                   "ahead of its share, the other is 30 ns behind (only who is not ahead of its "
                   "share is eligible)");
    decision.detail = FOL_PREEMPT_DEADLINE;
    decision.numbers[1] = 3000;
    decision.numbers[2] = -40;
    check_sentence(&decision, &ns_words,
                   "hog gave way at 12 ns on CPU 3 to audio after 5 ns of its job: its virtual "
                   "deadline is 3.000 us from now, that of the other is 40 ns ago (the earliest "
                   "eligible virtual deadline first)");
}

static void test_giving_way_is_told_by_what_decided(void)
{
    fol_decision decision = about_hog(FOL_DECISION_PREEMPT, 5, 2, 1);
    decision.detail = FOL_PREEMPT_CLASS;
    check_plain(&decision,
                "hog gave way at 12 on CPU 3 to audio after 5 of its job: it is of what shares "
                "fairly, and the other of what has its place in line (what has its place in line "
                "first)");
    decision.detail = FOL_PREEMPT_RANK;
    check_plain(&decision, "hog gave way at 12 on CPU 3 to audio after 5 of its job: its rank is "
                           "2, that of the other is 1 (the policy's enqueue)");
    decision.detail = FOL_PREEMPT_CHOICE;
    check_plain(&decision, "hog gave way at 12 on CPU 3 to audio after 5 of its job: the policy "
                           "chose the other (the policy's pick)");
    decision.detail = FOL_PREEMPT_SLACK;
    check_plain(&decision, "hog gave way at 12 on CPU 3 to audio after 5 of its job: its rank is "
                           "2, that of the other is 1 (on slack, first in, first out)");
    decision.detail = FOL_PREEMPT_HOLDER;
    check_plain(&decision,
                "hog gave way at 12 on CPU 3 to audio after 5 of its job: it has budget again, "
                "on which the other draws now (one at a time)");
}

static void test_ranks_are_told_as_what_they_are(void)
{
    fol_decision decision = about_hog(FOL_DECISION_PREEMPT, 5, 3000, 1000);
    decision.policy = FOL_POLICY_FP;
    check_sentence(&decision, &ns_words,
                   "hog gave way at 12 ns on CPU 3 to audio after 5 ns of its job: its rank is "
                   "3000, that of the other is 1000 (fixed priority)");
    decision.policy = FOL_POLICY_RM;
    check_sentence(&decision, &ns_words,
                   "hog gave way at 12 ns on CPU 3 to audio after 5 ns of its job: its rank is "
                   "3.000 us, that of the other is 1.000 us (the shortest period first)");
}

static void test_a_listener_says_what_a_cpu_is_and_when_time_began(void)
{
    const fol_decision_words live = {
        .state = names, .name = name_of, .cpu = "worker", .origin = 1000000000, .is_ns = true};
    fol_decision decision = about_hog(FOL_DECISION_MIGRATE, 0, 0, 0);
    decision.now = 1002000000;
    check_sentence(&decision, &live,
                   "hog moved at 2.000 ms from worker 1 to worker 3, where it was the first that "
                   "may run there (the earliest deadline first)");
    decision = about_hog(FOL_DECISION_THROTTLE, 3000, 2000, 1005000000);
    decision.now = 1000000000;
    check_sentence(&decision, &live,
                   "hog was throttled at 0 ns: it used 3.000 us of its 2.000 us budget, the next "
                   "refill is at 5.000 ms (sporadic server)");
    decision = about_hog(FOL_DECISION_MISS, 1001000000, 1003000000, 2000000);
    decision.now = 1003000000;
    check_sentence(&decision, &live,
                   "hog missed its deadline at 3.000 ms: job 7 was due at 1.000 ms and ended at "
                   "3.000 ms, 2.000 ms late (the earliest deadline first)");
    decision = about_hog(FOL_DECISION_PREEMPT, 5, 1001000000, INT64_MAX);
    decision.now = 1000000000;
    check_sentence(&decision, &live,
                   "hog gave way at 0 ns on worker 3 to audio after 5 ns of its job: its rank is "
                   "1.000 ms, that of the other is none (the earliest deadline first)");
}

static void test_denials_misses_and_revocations_are_told(void)
{
    fol_decision decision = about_hog(FOL_DECISION_DENY, 10, 20, 0);
    check_plain(&decision,
                "hog was denied at 12: its job 7, released at 10 with its deadline at 20, was "
                "not taken (admission)");
    decision.numbers[1] = FOL_TIME_NEVER;
    check_plain(&decision,
                "hog was denied at 12: its job 7, released at 10 with no deadline, was not "
                "taken (admission)");
    decision = about_hog(FOL_DECISION_MISS, 10, 12, 2);
    check_plain(&decision,
                "hog missed its deadline at 12: job 7 was due at 10 and ended at 12, 2 late "
                "(the earliest deadline first)");
    decision.kind = FOL_DECISION_REVOKE;
    check_plain(&decision,
                "hog was revoked at 12: its context is gone, and whoever uses it fails from "
                "here on (no budget, no run)");
}

static void test_faults_name_the_slot_and_what_follows(void)
{
    fol_decision decision = about_hog(FOL_DECISION_FAULT, FOL_E_VALUE, 1, 0);
    decision.other = FOL_SLOT_SLICE;
    check_plain(&decision,
                "the policy's slice failed at 12 for hog: a value is outside its range; the "
                "built-in policy decided, 1 fault so far (the earliest deadline first)");
    decision.runnable = FOL_NO_RUNNABLE;
    decision.other = FOL_SLOT_COUNT;
    decision.numbers[1] = 2;
    check_plain(&decision,
                "the policy's unknown failed at 12: a value is outside its range; the "
                "built-in policy decided, 2 faults so far (the earliest deadline first)");
    decision = about_hog(FOL_DECISION_POLICY_OFF, 3, 0, 0);
    decision.other = FOL_SLOT_PICK;
    check_plain(&decision, "the policy was switched off at 12: 3 faults, the last in its pick; the "
                           "built-in policy decides (the earliest deadline first)");
}

static void test_a_switch_of_the_backend_names_both(void)
{
    fol_decision decision = about_hog(FOL_DECISION_SWITCH, 0, 1, 0);
    decision.runnable = FOL_NO_RUNNABLE;
    check_plain(&decision, "the backend was switched at 12 from blocking to evented (adaptive)");
    decision.numbers[1] = 99;
    check_plain(&decision, "the backend was switched at 12 from blocking to number 99 (adaptive)");
}

static void test_who_has_no_name_is_told_by_number(void)
{
    fol_decision decision = about_hog(FOL_DECISION_REVOKE, 0, 0, 0);
    const fol_decision_words nameless = {0};
    decision.runnable = 5;
    char text[400];
    fol_decision_explain(&decision, &nameless, text, sizeof(text));
    CHECK(strncmp(text, "runnable 5 was revoked at 12:", 29) == 0);
    fol_decision_explain(&decision, &plain_words, text, sizeof(text));
    CHECK(strncmp(text, "runnable 5 was revoked at 12:", 29) == 0);
}

static void test_a_sentence_that_does_not_fit_is_cut_and_its_length_told(void)
{
    fol_decision decision = about_hog(FOL_DECISION_REVOKE, 0, 0, 0);
    char text[8];
    size_t length = fol_decision_explain(&decision, &plain_words, text, sizeof(text));
    CHECK(length > sizeof(text));
    CHECK_STR(text, "hog was");
    CHECK_EQ(fol_decision_explain(&decision, &plain_words, NULL, 0), length);
}

static void test_every_kind_policy_and_slot_has_a_name(void)
{
    for (uint32_t kind = 0; kind < FOL_DECISION_KINDS; kind++) {
        CHECK(fol_decision_names[kind] != NULL);
    }
    CHECK(fol_decision_names[FOL_DECISION_KINDS] == NULL);
    CHECK_STR(fol_decision_names[FOL_DECISION_POLICY_OFF], "policy_off");
    CHECK(fol_policy_names[FOL_POLICY_KINDS] == NULL);
    CHECK_STR(fol_policy_names[FOL_POLICY_CBS], "cbs");
    CHECK(fol_slot_names[FOL_SLOT_COUNT] == NULL);
    CHECK_STR(fol_slot_names[FOL_SLOT_BACKEND], "backend");
}

int main(void)
{
    RUN(test_a_throttle_names_use_budget_and_refill);
    RUN(test_a_server_is_told_by_its_kind_and_not_by_the_policy);
    RUN(test_units_follow_the_size_of_a_time);
    RUN(test_overruns_are_told_with_their_policy);
    RUN(test_refills_are_told_with_what_is_left);
    RUN(test_picks_are_told_with_their_slice);
    RUN(test_switches_between_runnables_are_told_with_both);
    RUN(test_giving_way_in_the_fair_class_is_told_by_lags_or_virtual_deadlines);
    RUN(test_giving_way_is_told_by_what_decided);
    RUN(test_ranks_are_told_as_what_they_are);
    RUN(test_a_listener_says_what_a_cpu_is_and_when_time_began);
    RUN(test_denials_misses_and_revocations_are_told);
    RUN(test_faults_name_the_slot_and_what_follows);
    RUN(test_a_switch_of_the_backend_names_both);
    RUN(test_who_has_no_name_is_told_by_number);
    RUN(test_a_sentence_that_does_not_fit_is_cut_and_its_length_told);
    RUN(test_every_kind_policy_and_slot_has_a_name);
    CHECK_MAIN_END();
}
