/* What the choice says of itself: every decision with its numbers. */
#include "adaptive_model.h"

static const fol_adaptive_config usual = {
    .window = 32, .cooldown = 64, .least_gain = 0.05, .least_operations = 8.0};

/* Whether the explanation has all of these, up to a NULL; prints it when it has not. */
static bool says(const model *m, const char *const *parts)
{
    char text[1024];
    bool has_all = CHECK(fol_adaptive_explain(&m->adaptive, 1.0, text, sizeof(text)) < 1024);
    for (size_t i = 0; parts[i] != NULL; i++) {
        has_all = CHECK(strstr(text, parts[i]) != NULL) && has_all;
    }
    if (!has_all) {
        fprintf(stderr, "%s\n", text);
    }
    return has_all;
}

#define CHECK_SAYS(m, ...) says(m, (const char *const[]){__VA_ARGS__, NULL})

/* Runs until the last decision is one of this reason. */
static void run_until(model *m, const load *load, fol_adaptive_reason reason)
{
    uint32_t frames = 0;
    do {
        model_step(m, load);
        frames++;
    } while (m->adaptive.decision.reason != reason && frames < 1000);
    CHECK_EQ(m->adaptive.decision.reason, reason);
}

static void test_before_the_first_frame_it_says_what_a_decision_needs(void)
{
    model m;
    model_init(&m, &usual, 2, 1);
    CHECK_SAYS(&m, "stealing since the start: a decision needs 16 frames",
               "no frame has ended since", "0 switches in 0 frames", "no cool-down runs");
}

static void test_blocking_says_that_no_phase_gained(void)
{
    model m;
    model_init(&m, &usual, 2, 1);
    run_until(&m, &tiny, FOL_ADAPTIVE_NOTHING_GAINED);
    CHECK_SAYS(&m,
               "blocking since frame 24 instead of stealing: no phase of the last 16 frames was "
               "better off on 2 workers than on the caller",
               "the next one in 64 frames at the earliest (cool-down 64)");
    model_run(&m, &tiny, 10);
    CHECK_SAYS(&m, "the last 10 frames: 4.00 us each, 0.75 of 2 workers busy, the plan allows 1.50",
               "1 switch in 34 frames, the next one in 54 frames at the earliest");
}

static void test_stealing_says_what_several_workers_can_save(void)
{
    model m;
    model_init(&m, &usual, 2, 1);
    model_run(&m, &tiny, 300);
    run_until(&m, &heavy, FOL_ADAPTIVE_PARALLELISM);
    CHECK_SAYS(&m,
               "stealing since frame 317 instead of blocking: with a parallelism of 1.90 in the "
               "plan, 2 workers can save 1892.24 of 4010.00 us a frame, at least 200.50 us are "
               "asked for");
    model_run(&m, &heavy, 63);
    CHECK_SAYS(&m, "75 % of steals found work", "in 1 frame at the earliest");
    run_until(&m, &heavy, FOL_ADAPTIVE_KEPT);
    CHECK_SAYS(&m, "stealing since frame 381, and stays: its trial took 2210.00 us a frame, before "
                   "it were 4010.00 us");
    run_until(&m, &heavy, FOL_ADAPTIVE_SETTLED);
    CHECK_SAYS(&m, "stealing and stays since frame 382: 2210.00 us a frame, of which no other is "
                   "expected to save 5 %");
}

static void test_uring_says_how_many_operations_there_are(void)
{
    model m;
    model_init(&m, &usual, 2, 1);
    run_until(&m, &reads, FOL_ADAPTIVE_OPERATIONS);
    CHECK_SAYS(&m,
               "uring since frame 24 instead of stealing: 200.0 I/O operations a frame are worth "
               "a try of the ring, from 8.0 on");
    model_run(&m, &reads, 5);
    CHECK_SAYS(&m,
               "200.0 I/O operations each, 100.0 in flight at the end, 90 % of the time waiting "
               "for I/O");
}

static void test_uring_is_left_with_the_number_that_was_too_low(void)
{
    load few = tiny;
    few.operations = 3;
    few.nodes = reads.nodes;
    model m;
    model_init(&m, &usual, 2, 1);
    model_run(&m, &reads, 300);
    run_until(&m, &few, FOL_ADAPTIVE_NO_OPERATIONS);
    CHECK_SAYS(&m, "blocking since frame",
               "instead of uring: 3.0 I/O operations a frame are not "
               "worth the ring, below 4.0");
}

static void test_a_trial_that_lost_says_both_times(void)
{
    load slow = reads;
    slow.ring = slow.pool * 2.0;
    model m;
    model_init(&m, &usual, 2, 1);
    run_until(&m, &slow, FOL_ADAPTIVE_SLOWER);
    CHECK_SAYS(&m,
               "stealing since frame 88 instead of uring: uring took 2470.00 us a frame, before "
               "it were 1270.00 us");
}

static void test_a_change_says_what_changed_and_a_known_load_what_it_took(void)
{
    model m;
    model_init(&m, &usual, 2, 1);
    model_run(&m, &tiny, 300);
    run_until(&m, &heavy, FOL_ADAPTIVE_CHANGED);
    CHECK_SAYS(&m,
               "blocking and stays for now: at frame 302 the time of a frame changed, and a load "
               "that is new is watched for 16 frames");
    model_run(&m, &heavy, 300);
    run_until(&m, &tiny, FOL_ADAPTIVE_FAMILIAR);
    CHECK_SAYS(&m, "blocking since frame 604 instead of stealing: the load is as once before, when "
                   "this took 4.00 us a frame");
}

static void test_a_load_that_is_recognised_in_its_mode_says_that_it_stays(void)
{
    load other = heavy;
    other.work *= 4.0;
    other.parallel *= 4.0;
    model m;
    model_init(&m, &usual, 2, 1);
    model_run(&m, &heavy, 300);
    model_run(&m, &other, 300);
    run_until(&m, &heavy, FOL_ADAPTIVE_RECOGNISED);
    CHECK_SAYS(&m,
               "stealing and stays since frame 603: the load is as once before, when this took "
               "2210.00 us a frame",
               "0 switches");
}

static void test_a_text_is_cut_to_the_room_it_gets(void)
{
    char text[1024];
    char cut[1024];
    model m;
    model_init(&m, &usual, 2, 1);
    model_run(&m, &reads, 70);
    size_t length = fol_adaptive_explain(&m.adaptive, 1.0, text, sizeof(text));
    CHECK_EQ(length, strlen(text));
    CHECK_EQ(fol_adaptive_explain(&m.adaptive, 1.0, NULL, 0), length);
    for (size_t room = 1; room <= length; room++) {
        bool is_good = CHECK_EQ(fol_adaptive_explain(&m.adaptive, 1.0, cut, room), length) &&
                       CHECK_EQ(strlen(cut), room - 1) && CHECK(strncmp(cut, text, room - 1) == 0);
        if (!is_good) {
            return;
        }
    }
}

int main(void)
{
    RUN(test_before_the_first_frame_it_says_what_a_decision_needs);
    RUN(test_blocking_says_that_no_phase_gained);
    RUN(test_stealing_says_what_several_workers_can_save);
    RUN(test_uring_says_how_many_operations_there_are);
    RUN(test_uring_is_left_with_the_number_that_was_too_low);
    RUN(test_a_trial_that_lost_says_both_times);
    RUN(test_a_change_says_what_changed_and_a_known_load_what_it_took);
    RUN(test_a_load_that_is_recognised_in_its_mode_says_that_it_stays);
    RUN(test_a_text_is_cut_to_the_room_it_gets);
    CHECK_MAIN_END();
}
