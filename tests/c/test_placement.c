/* Where phases run: the choice on steady, noisy and changing loads, from numbers alone. */
#include "check.h"

#include "policy/placement.h"

#include <math.h>
#include <stdlib.h>

/* A load: what its runs take, in cycles. */
typedef struct load {
    double serial;
    double parallel; /* when helpers are awake */
    double cold;     /* when they sleep */
    double span;
    bool is_spaced; /* helpers sleep between runs */
    double noise;   /* share of each time, up and down */
} load;

typedef struct outcome {
    double time;       /* of all runs */
    double best;       /* of as many runs of the better kind */
    uint32_t parallel; /* runs */
    uint32_t settled_changes;
} outcome;

static uint64_t random_state;

static double draw_unit(void)
{
    random_state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t x = random_state;
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (double)((x ^ (x >> 31)) >> 11) * 0x1p-53;
}

/* Looks at the other kind of run do not count as a change. */
static bool is_settled_parallel(const fol_placement *placement)
{
    return placement->state == FOL_PLACEMENT_PARALLEL || placement->state == FOL_PLACEMENT_CHECK;
}

/* Runs a load `runs` times, with the costs of its nodes summed as often as a backend does. */
static outcome drive(fol_placement *placement, const load *load, uint32_t runs)
{
    outcome outcome = {0};
    bool was_parallel = false;
    bool was_settled_parallel = is_settled_parallel(placement);
    double steady = load->is_spaced ? load->cold : load->parallel;
    for (uint32_t run = 1; run <= runs; run++) {
        bool is_hot = was_parallel && !load->is_spaced;
        bool is_parallel = fol_placement_choose(placement, is_hot);
        double wall = !is_parallel ? load->serial : is_hot ? load->parallel : load->cold;
        wall *= 1.0 + load->noise * (2.0 * draw_unit() - 1.0);
        bool is_summed = (run & (run - 1)) == 0 || run % 256 == 0;
        fol_placement_learn(placement, wall, is_summed ? load->serial : 0.0,
                            is_summed ? load->span : 0.0);
        outcome.time += wall;
        outcome.best += load->serial < steady ? load->serial : steady;
        outcome.parallel += is_parallel;
        was_parallel = is_parallel;
        outcome.settled_changes += is_settled_parallel(placement) != was_settled_parallel;
        was_settled_parallel = is_settled_parallel(placement);
    }
    return outcome;
}

static const load heavy = {.serial = 1e6, .parallel = 5.1e5, .cold = 5.4e5, .span = 2.5e5};
static const load small_and_slow = {.serial = 9e3, .parallel = 1.4e4, .cold = 6e4, .span = 3e3};
static const load medium = {.serial = 7.5e4, .parallel = 5e4, .cold = 1.3e5, .span = 2.6e4};

static void test_one_worker_runs_on_the_caller(void)
{
    fol_placement placement;
    fol_placement_init(&placement, 1, true, 2600.0);
    CHECK_EQ(drive(&placement, &heavy, 100).parallel, 0);
    CHECK_EQ(placement.reason, FOL_PLACEMENT_ONE_WORKER);
}

static void test_nothing_to_run_beside_runs_on_the_caller(void)
{
    fol_placement placement;
    fol_placement_init(&placement, 4, false, 2600.0);
    CHECK_EQ(drive(&placement, &heavy, 100).parallel, 0);
    CHECK_EQ(placement.reason, FOL_PLACEMENT_NOTHING_BESIDE);
}

static void test_parallelism_that_appears_later_is_used(void)
{
    fol_placement placement;
    fol_placement_init(&placement, 2, false, 2600.0);
    drive(&placement, &heavy, 100);
    placement.has_parallelism = true;
    drive(&placement, &heavy, 20);
    CHECK_EQ(placement.state, FOL_PLACEMENT_PARALLEL);
}

static void test_heavy_work_is_parallel_from_the_first_run_on(void)
{
    fol_placement placement;
    fol_placement_init(&placement, 2, true, 2600.0);
    CHECK_EQ(drive(&placement, &heavy, 100).parallel, 100);
    CHECK_EQ(placement.reason, FOL_PLACEMENT_WORTH_IT);
}

static void test_heavy_work_is_parallel_though_helpers_sleep_between_runs(void)
{
    load spaced = heavy;
    spaced.is_spaced = true;
    fol_placement placement;
    fol_placement_init(&placement, 2, true, 2600.0);
    outcome outcome = drive(&placement, &spaced, 1000);
    CHECK(outcome.parallel > 980);
}

static void test_work_below_the_least_gain_is_tried_once(void)
{
    const load tiny = {.serial = 3000.0, .parallel = 4000.0, .cold = 5e4, .span = 1000.0};
    fol_placement placement;
    fol_placement_init(&placement, 2, true, 2600.0);
    CHECK_EQ(drive(&placement, &tiny, 10000).parallel, 1);
    CHECK_EQ(placement.reason, FOL_PLACEMENT_TOO_SMALL);
}

static void test_a_long_span_is_too_small_whatever_the_work(void)
{
    const load chain = {.serial = 1e6, .parallel = 1.01e6, .cold = 1.1e6, .span = 0.999e6};
    fol_placement placement;
    fol_placement_init(&placement, 8, true, 2600.0);
    CHECK_EQ(drive(&placement, &chain, 1000).parallel, 1);
    CHECK_EQ(placement.reason, FOL_PLACEMENT_TOO_SMALL);
}

static void test_medium_work_is_found_to_gain_when_helpers_are_awake(void)
{
    fol_placement placement;
    fol_placement_init(&placement, 2, true, 2600.0);
    drive(&placement, &medium, 40);
    CHECK_EQ(placement.state, FOL_PLACEMENT_PARALLEL);
    CHECK_EQ(placement.reason, FOL_PLACEMENT_MEASURED_FASTER);
}

static void test_medium_work_stays_on_the_caller_when_helpers_sleep_between_runs(void)
{
    load spaced = medium;
    spaced.is_spaced = true;
    fol_placement placement;
    fol_placement_init(&placement, 2, true, 2600.0);
    outcome outcome = drive(&placement, &spaced, 20000);
    CHECK_EQ(outcome.settled_changes, 0);
    CHECK_EQ(placement.reason, FOL_PLACEMENT_MEASURED_SLOWER);
}

static void test_looking_costs_less_than_a_hundredth(void)
{
    fol_placement placement;
    fol_placement_init(&placement, 2, true, 2600.0);
    drive(&placement, &small_and_slow, 2000);
    outcome outcome = drive(&placement, &small_and_slow, 100000);
    CHECK(outcome.time < outcome.best * 1.01);
}

static void test_a_steady_load_never_makes_it_oscillate(void)
{
    for (uint64_t seed = 1; seed <= 400; seed++) {
        random_state = seed;
        load load = {.serial = exp(draw_unit() * 14.0)};
        load.parallel = load.serial * (0.3 + draw_unit() * 1.5) + draw_unit() * 3000.0;
        load.cold = load.parallel + draw_unit() * 1e5;
        load.span = load.serial * draw_unit();
        load.is_spaced = draw_unit() < 0.5;
        fol_placement placement;
        fol_placement_init(&placement, 2 + (uint32_t)(seed % 7), true, 2600.0);
        drive(&placement, &load, 1000);
        outcome outcome = drive(&placement, &load, 20000);
        /* What a perfect choice saves is left out where no gain was to be expected. */
        bool is_good = CHECK(outcome.settled_changes == 0);
        bool is_missed = placement.reason == FOL_PLACEMENT_TOO_SMALL;
        is_good = CHECK(is_missed || outcome.time <= outcome.best * 1.07) && is_good;
        if (!is_good) {
            fprintf(stderr, "seed %" PRIu64 "\n", seed);
            return;
        }
    }
}

static void test_noise_costs_little(void)
{
    for (uint64_t seed = 1; seed <= 50; seed++) {
        random_state = seed;
        load noisy = seed % 2 == 0 ? medium : small_and_slow;
        noisy.noise = 0.25;
        fol_placement placement;
        fol_placement_init(&placement, 2, true, 2600.0);
        drive(&placement, &noisy, 1000);
        outcome outcome = drive(&placement, &noisy, 20000);
        if (!CHECK(outcome.time < outcome.best * 1.05)) {
            fprintf(stderr, "seed %" PRIu64 "\n", seed);
            return;
        }
    }
}

static void test_work_that_grows_goes_parallel_within_fifty_runs(void)
{
    fol_placement placement;
    fol_placement_init(&placement, 2, true, 2600.0);
    drive(&placement, &small_and_slow, 30000);
    drive(&placement, &heavy, 50);
    CHECK_EQ(placement.state, FOL_PLACEMENT_PARALLEL);
}

static void test_work_that_shrinks_comes_back_within_fifty_runs(void)
{
    fol_placement placement;
    fol_placement_init(&placement, 2, true, 2600.0);
    drive(&placement, &heavy, 30000);
    drive(&placement, &small_and_slow, 50);
    CHECK_EQ(placement.state, FOL_PLACEMENT_SERIAL);
}

static void test_one_interrupted_run_decides_nothing(void)
{
    fol_placement placement;
    fol_placement_init(&placement, 2, true, 2600.0);
    drive(&placement, &medium, 300);
    fol_placement_choose(&placement, true);
    fol_placement_learn(&placement, medium.serial * 100.0, 0.0, 0.0);
    outcome outcome = drive(&placement, &medium, 500);
    CHECK_EQ(outcome.settled_changes, 0);
    CHECK(outcome.parallel > 490);
}

static void test_the_first_sample_is_the_mean(void)
{
    fol_placement placement;
    fol_placement_init(&placement, 2, true, 2600.0);
    fol_placement_choose(&placement, false);
    fol_placement_learn(&placement, 500.0, 400.0, 200.0);
    CHECK(placement.parallel_wall == 500.0);
    fol_placement_choose(&placement, false);
    fol_placement_learn(&placement, 300.0, 0.0, 0.0);
    CHECK(placement.serial_wall == 300.0);
}

static void test_runs_that_take_no_time_do_no_harm(void)
{
    const load nothing = {0};
    fol_placement placement;
    fol_placement_init(&placement, 2, true, 0.0);
    drive(&placement, &nothing, 5000);
    CHECK(isfinite(placement.serial_wall) && isfinite(placement.parallel_wall));
    char text[256];
    fol_placement_explain(&placement, 0.4, text, sizeof(text));
    CHECK(strstr(text, "nan") == NULL && strstr(text, "inf") == NULL);
}

static void test_every_reason_has_a_sentence_that_says_where(void)
{
    fol_placement placement;
    fol_placement_init(&placement, 2, true, 2600.0);
    for (int reason = FOL_PLACEMENT_ONE_WORKER; reason <= FOL_PLACEMENT_TRIED_AGAIN; reason++) {
        char text[256];
        char cut[8];
        placement.reason = (fol_placement_reason)reason;
        size_t length = fol_placement_explain(&placement, 0.4, text, sizeof(text));
        CHECK_EQ(length, strlen(text));
        CHECK(strncmp(text, "on ", 3) == 0);
        CHECK_EQ(fol_placement_explain(&placement, 0.4, cut, sizeof(cut)), length);
        CHECK_EQ(strlen(cut), sizeof(cut) - 1);
    }
}

static void test_a_measured_reason_names_both_times(void)
{
    char text[256];
    fol_placement placement;
    fol_placement_init(&placement, 2, true, 2600.0);
    drive(&placement, &medium, 40);
    fol_placement_explain(&placement, 0.4, text, sizeof(text));
    CHECK_STR(text, "on 2 workers: 20.00 us, on the caller it took 30.00 us");
}

int main(void)
{
    RUN(test_one_worker_runs_on_the_caller);
    RUN(test_nothing_to_run_beside_runs_on_the_caller);
    RUN(test_parallelism_that_appears_later_is_used);
    RUN(test_heavy_work_is_parallel_from_the_first_run_on);
    RUN(test_heavy_work_is_parallel_though_helpers_sleep_between_runs);
    RUN(test_work_below_the_least_gain_is_tried_once);
    RUN(test_a_long_span_is_too_small_whatever_the_work);
    RUN(test_medium_work_is_found_to_gain_when_helpers_are_awake);
    RUN(test_medium_work_stays_on_the_caller_when_helpers_sleep_between_runs);
    RUN(test_looking_costs_less_than_a_hundredth);
    RUN(test_a_steady_load_never_makes_it_oscillate);
    RUN(test_noise_costs_little);
    RUN(test_work_that_grows_goes_parallel_within_fifty_runs);
    RUN(test_work_that_shrinks_comes_back_within_fifty_runs);
    RUN(test_one_interrupted_run_decides_nothing);
    RUN(test_the_first_sample_is_the_mean);
    RUN(test_runs_that_take_no_time_do_no_harm);
    RUN(test_every_reason_has_a_sentence_that_says_where);
    RUN(test_a_measured_reason_names_both_times);
    CHECK_MAIN_END();
}
