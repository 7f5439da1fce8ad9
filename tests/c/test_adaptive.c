/* Which way to run frames: the choice on steady, noisy and changing loads, from numbers alone. */
#include "adaptive_model.h"

#include <math.h>
#include <stdlib.h>

#include "frame/frame.h"

static const fol_adaptive_config usual = {
    .window = 32, .cooldown = 64, .least_gain = 0.05, .least_operations = 8.0};

/* A load from a seed: some are small, some cut well, some do I/O. */
static load draw_load(model *m, double noise)
{
    load load = {.work = exp(7.0 + model_draw(m) * 9.0), .noise = noise};
    load.rest = load.work * model_draw(m) * 0.2 + 500.0;
    load.plan = model_draw(m) < 0.4 ? 1.0 : 1.0 + model_draw(m) * 3.0;
    double share = load.plan < 2.0 ? load.plan : 2.0;
    load.parallel = load.work / share + 2000.0 + model_draw(m) * 20000.0;
    load.nodes = 1.0 + floor(model_draw(m) * 40.0);
    /* Fewer are not worth the ring by the configuration, whatever they take. */
    load.operations = model_draw(m) < 0.5 ? 0.0 : 8.0 + floor(model_draw(m) * 300.0);
    load.pool = 1000.0 + model_draw(m) * 10000.0;
    load.ring = load.pool * (0.4 + model_draw(m) * 1.2);
    return load;
}

static void test_the_default_is_that_of_a_scheduler(void)
{
    const fol_adaptive_config *other = &fol_scheduler_config_default.adaptive;
    CHECK_EQ(fol_adaptive_default.window, other->window);
    CHECK_EQ(fol_adaptive_default.cooldown, other->cooldown);
    CHECK(fol_adaptive_default.least_gain == other->least_gain);
    CHECK(fol_adaptive_default.least_operations == other->least_operations);
    CHECK_EQ(fol_adaptive_window_size(&(fol_adaptive_config){0}), fol_adaptive_default.window);
}

static void test_numbers_out_of_their_bounds_are_refused(void)
{
    CHECK(fol_adaptive_config_is_valid(&usual));
    CHECK(fol_adaptive_config_is_valid(&(fol_adaptive_config){0}));
    const fol_adaptive_config wrong[] = {
        {.window = 3},
        {.window = FOL_ADAPTIVE_MAX_WINDOW + 1},
        {.window = 32, .least_gain = 1.0},
        {.window = 32, .least_gain = -0.1},
        {.window = 32, .least_gain = NAN},
        {.window = 32, .least_operations = -1.0},
        {.window = 32, .least_operations = INFINITY},
        {.window = 32, .least_operations = NAN},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        CHECK(!fol_adaptive_config_is_valid(&wrong[i]));
    }
}

static void test_small_systems_end_up_blocking(void)
{
    model m;
    model_init(&m, &usual, 2, 1);
    CHECK_EQ(m.adaptive.mode, FOL_MODE_STEALING);
    model_run(&m, &tiny, 60);
    CHECK_EQ(m.adaptive.mode, FOL_MODE_BLOCKING);
    CHECK_EQ(m.adaptive.decision.reason, FOL_ADAPTIVE_NOTHING_GAINED);
    model_run(&m, &tiny, 100000);
    CHECK_EQ(m.adaptive.switches, 1);
    CHECK_EQ(m.adaptive.decision.reason, FOL_ADAPTIVE_SETTLED);
}

static void test_heavy_systems_go_on_stealing(void)
{
    model m;
    model_init(&m, &usual, 2, 1);
    model_run(&m, &heavy, 100000);
    CHECK_EQ(m.adaptive.mode, FOL_MODE_STEALING);
    CHECK_EQ(m.adaptive.switches, 0);
}

static void test_many_operations_go_to_the_ring(void)
{
    model m;
    model_init(&m, &usual, 2, 1);
    model_run(&m, &reads, 60);
    CHECK_EQ(m.adaptive.mode, FOL_MODE_URING);
    CHECK_EQ(m.adaptive.decision.reason, FOL_ADAPTIVE_OPERATIONS);
    model_run(&m, &reads, 100000);
    CHECK_EQ(m.adaptive.switches, 1);
}

static void test_a_ring_that_takes_longer_is_left_after_the_cooldown(void)
{
    load slow = reads;
    slow.ring = slow.pool * 1.3;
    model m;
    model_init(&m, &usual, 2, 1);
    model_run(&m, &slow, 30 + 64);
    CHECK_EQ(m.adaptive.decision.reason, FOL_ADAPTIVE_SLOWER);
    model_run(&m, &slow, 100000);
    CHECK(m.adaptive.mode != FOL_MODE_URING);
    CHECK(m.adaptive.switches <= 3);
}

static void test_the_ring_is_kept_ready_while_a_settled_load_does_no_io(void)
{
    model m;
    model_init(&m, &usual, 2, 1);
    model_run(&m, &tiny, 300);
    CHECK(!fol_adaptive_wants_ring(&m.adaptive));
    model_run(&m, &reads, 300);
    CHECK(fol_adaptive_wants_ring(&m.adaptive));
    model_run(&m, &tiny, 300);
    CHECK_EQ(m.adaptive.mode, FOL_MODE_BLOCKING);
    CHECK(fol_adaptive_wants_ring(&m.adaptive));
    /* A load with I/O that is new has to be measured without it. */
    load other = reads;
    other.operations = 20;
    other.nodes = 30;
    model_run(&m, &other, 10);
    CHECK(!fol_adaptive_wants_ring(&m.adaptive));
}

static void test_the_ring_is_not_kept_ready_when_it_took_longer(void)
{
    load slow = reads;
    slow.ring = slow.pool * 1.3;
    model m;
    model_init(&m, &usual, 2, 1);
    model_run(&m, &slow, 500);
    model_run(&m, &tiny, 500);
    CHECK(!fol_adaptive_wants_ring(&m.adaptive));
}

static void test_one_worker_never_steals(void)
{
    const load *const loads[] = {&tiny, &heavy, &reads};
    model m;
    model_init(&m, &usual, 1, 1);
    for (uint32_t i = 0; i < 60; i++) {
        model_run(&m, loads[i % 3], 300);
    }
    CHECK(m.chosen[FOL_MODE_STEALING] == 0.0);
    CHECK(m.chosen[FOL_MODE_URING] > 0.0);
}

static void test_a_frame_that_was_interrupted_changes_nothing(void)
{
    model m;
    model_init(&m, &usual, 2, 1);
    model_run(&m, &tiny, 500);
    uint64_t changes = m.adaptive.changes;
    for (uint32_t i = 0; i < 200; i++) {
        fol_adaptive_sample sample = model_sample(&m, &tiny, m.adaptive.mode);
        sample.value[FOL_FIGURE_CYCLES] *= 1000;
        sample.value[FOL_FIGURE_BUSY] *= 1000;
        fol_adaptive_learn(&m.adaptive, &sample);
        model_run(&m, &tiny, 5);
    }
    CHECK_EQ(m.adaptive.changes, changes);
    CHECK_EQ(m.adaptive.switches, 1);
}

static void test_a_burst_of_interrupted_frames_is_forgotten(void)
{
    model m;
    model_init(&m, &usual, 2, 1);
    model_run(&m, &tiny, 500);
    for (uint32_t i = 0; i < 200; i++) {
        for (uint32_t k = 0; k < 4; k++) {
            fol_adaptive_sample sample = model_sample(&m, &tiny, m.adaptive.mode);
            sample.value[FOL_FIGURE_CYCLES] *= 50;
            fol_adaptive_learn(&m.adaptive, &sample);
        }
        model_run(&m, &tiny, 300);
        CHECK(m.adaptive.load->is_settled);
    }
    CHECK(m.adaptive.changes >= 200);
    CHECK_EQ(m.adaptive.switches, 1);
}

static void test_frames_that_take_no_time_do_no_harm(void)
{
    const fol_adaptive_sample nothing = {{0}};
    model m;
    model_init(&m, &usual, 2, 1);
    for (uint32_t i = 0; i < 5000; i++) {
        fol_adaptive_learn(&m.adaptive, &nothing);
        char text[1024];
        fol_adaptive_explain(&m.adaptive, 0.4, text, sizeof(text));
        if (!CHECK(strstr(text, "nan") == NULL && strstr(text, "inf") == NULL)) {
            return;
        }
    }
    CHECK(fol_adaptive_parallelism(&m.adaptive) == 0.0);
    CHECK(fol_adaptive_plan_parallelism(&m.adaptive) == 0.0);
}

static void test_the_largest_numbers_do_not_overflow(void)
{
    fol_adaptive_sample most;
    memset(&most, 0xff, sizeof(most));
    model m;
    model_init(&m, &usual, 2, 1);
    for (uint32_t i = 0; i < 5000; i++) {
        fol_adaptive_learn(&m.adaptive, &most);
    }
    CHECK(fol_adaptive_window_mean(&m.adaptive.window, FOL_FIGURE_CYCLES) ==
          (double)FOL_FIGURE_MAX);
}

/* More than four million frames in all. */
static void test_a_steady_load_settles_and_stays(void)
{
    for (uint64_t seed = 1; seed <= 400; seed++) {
        model m;
        model_init(&m, &usual, 2, seed);
        load load = draw_load(&m, 0.3);
        model_run(&m, &load, 1000);
        uint64_t switches = m.adaptive.switches;
        model_run(&m, &load, 10000);
        bool is_good = CHECK(switches <= 3) && CHECK_EQ(m.adaptive.switches, switches);
        is_good = CHECK(m.adaptive.load->is_settled) && is_good;
        if (!is_good) {
            fprintf(stderr, "seed %" PRIu64 "\n", seed);
            return;
        }
    }
}

static void test_choosing_costs_little_over_the_best_mode(void)
{
    for (uint64_t seed = 1; seed <= 400; seed++) {
        model m;
        model_init(&m, &usual, 2, seed);
        load load = draw_load(&m, 0.0);
        model_run(&m, &load, 4000);
        double best = load_time(&load, load_best(&load, 2), 2) * 4000.0;
        if (!CHECK(m.time <= best * 1.05)) {
            fprintf(stderr, "seed %" PRIu64 ": %.3f\n", seed, m.time / best);
            return;
        }
    }
}

/* Frames until the mode is as good as the best of the load, to within a tenth. */
static uint32_t frames_to_follow(model *m, const load *load, uint32_t limit)
{
    uint32_t workers = m->adaptive.workers;
    double best = load_time(load, load_best(load, workers), workers);
    uint32_t frames = 0;
    while (frames < limit && load_time(load, m->adaptive.mode, workers) > best * 1.1) {
        model_step(m, load);
        frames++;
    }
    return frames;
}

static void test_a_change_is_followed_within_window_and_cooldown(void)
{
    for (uint64_t seed = 1; seed <= 300; seed++) {
        model m;
        model_init(&m, &usual, 2, seed);
        load loads[6] = {tiny, heavy, reads, heavy, tiny, reads};
        for (uint32_t i = 0; i < 6; i++) {
            double scale = 0.7 + model_draw(&m) * 0.6;
            loads[i].noise = 0.3 * model_draw(&m);
            loads[i].work *= scale;
            loads[i].parallel *= scale;
        }
        for (uint32_t i = 0; i < 40; i++) {
            const load *load = &loads[(uint32_t)(model_draw(&m) * 6.0)];
            uint32_t limit = usual.window + usual.cooldown;
            uint32_t frames = frames_to_follow(&m, load, limit + 1);
            if (!CHECK(frames <= limit)) {
                fprintf(stderr, "seed %" PRIu64 ", change %u\n", seed, i);
                return;
            }
            model_run(&m, load, (uint32_t)(model_draw(&m) * 400.0));
        }
    }
}

static void test_a_load_met_before_is_followed_in_a_few_frames(void)
{
    const load *const loads[] = {&tiny, &heavy, &reads};
    model m;
    model_init(&m, &usual, 2, 1);
    for (uint32_t i = 0; i < 6; i++) {
        model_run(&m, loads[i % 3], 300);
    }
    for (uint32_t i = 0; i < 300; i++) {
        if (!CHECK(frames_to_follow(&m, loads[i % 3], 10) <= 4)) {
            return;
        }
        model_run(&m, loads[i % 3], 200);
    }
}

static void test_a_load_that_alternates_beats_every_fixed_mode(void)
{
    const load *const loads[] = {&tiny, &heavy, &reads};
    model m;
    model fixed[FOL_MODE_COUNT];
    model_init(&m, &usual, 2, 1);
    for (uint32_t mode = 0; mode < FOL_MODE_COUNT; mode++) {
        model_init(&fixed[mode], &usual, 2, 1);
    }
    for (uint32_t i = 0; i < 60; i++) {
        model_run(&m, loads[i % 3], 200);
        for (uint32_t mode = 0; mode < FOL_MODE_COUNT; mode++) {
            model_run_fixed(&fixed[mode], loads[i % 3], (fol_mode)mode, 200);
        }
    }
    for (uint32_t mode = 0; mode < FOL_MODE_COUNT; mode++) {
        if (!CHECK(m.time < fixed[mode].time)) {
            fprintf(stderr, "%s: %.4f\n", fol_mode_name((fol_mode)mode), m.time / fixed[mode].time);
        }
    }
}

/* Random loads for random times under a random configuration: more than two million frames. */
static void test_no_switch_comes_within_the_cooldown(void)
{
    for (uint64_t seed = 1; seed <= 60; seed++) {
        model m = {.random = seed};
        fol_adaptive_config config = usual;
        config.window = 4 + (uint32_t)(model_draw(&m) * 200.0);
        config.cooldown = (uint32_t)(model_draw(&m) * 200.0);
        config.least_gain = model_draw(&m) * 0.3;
        config.least_operations = model_draw(&m) * 50.0;
        model_init(&m, &config, 1 + (uint32_t)(seed % 5), seed);
        uint64_t last = 0;
        bool has_switched = false;
        for (uint32_t part = 0; part < 100; part++) {
            load load = draw_load(&m, model_draw(&m));
            uint32_t frames = (uint32_t)(model_draw(&m) * 800.0);
            for (uint32_t i = 0; i < frames; i++) {
                fol_mode before = m.adaptive.mode;
                m.placed = i == 0 ? NULL : m.placed;
                if (model_step(&m, &load) == before) {
                    continue;
                }
                if (has_switched && !CHECK(m.adaptive.frames - last >= config.cooldown)) {
                    fprintf(stderr, "seed %" PRIu64 "\n", seed);
                    return;
                }
                last = m.adaptive.frames;
                has_switched = true;
            }
        }
    }
}

static void test_a_load_that_swings_within_the_noise_changes_nothing(void)
{
    model m;
    model_init(&m, &usual, 2, 5);
    for (uint32_t i = 0; i < 200000; i++) {
        load load = heavy;
        double swing = 1.0 + 0.25 * sin(i * 0.01);
        load.work *= swing;
        load.parallel *= swing;
        m.placed = &load;
        model_step(&m, &load);
    }
    CHECK_EQ(m.adaptive.switches, 0);
}

static void test_frames_that_take_turns_are_one_load(void)
{
    /* Two of one kind, two of the other: changes too fast to be followed. */
    model m;
    model_init(&m, &usual, 2, 5);
    for (uint32_t i = 0; i < 20000; i++) {
        const load *load = i % 4 < 2 ? &heavy : &tiny;
        m.placed = load;
        m.searched = MODEL_SEARCH;
        model_step(&m, load);
    }
    CHECK(m.adaptive.changes < 20);
    CHECK(m.adaptive.switches <= 2);
    CHECK_EQ(m.adaptive.mode, FOL_MODE_STEALING);
}

int main(void)
{
    RUN(test_the_default_is_that_of_a_scheduler);
    RUN(test_numbers_out_of_their_bounds_are_refused);
    RUN(test_small_systems_end_up_blocking);
    RUN(test_heavy_systems_go_on_stealing);
    RUN(test_many_operations_go_to_the_ring);
    RUN(test_a_ring_that_takes_longer_is_left_after_the_cooldown);
    RUN(test_the_ring_is_kept_ready_while_a_settled_load_does_no_io);
    RUN(test_the_ring_is_not_kept_ready_when_it_took_longer);
    RUN(test_one_worker_never_steals);
    RUN(test_a_frame_that_was_interrupted_changes_nothing);
    RUN(test_a_burst_of_interrupted_frames_is_forgotten);
    RUN(test_frames_that_take_no_time_do_no_harm);
    RUN(test_the_largest_numbers_do_not_overflow);
    RUN(test_a_steady_load_settles_and_stays);
    RUN(test_choosing_costs_little_over_the_best_mode);
    RUN(test_a_change_is_followed_within_window_and_cooldown);
    RUN(test_a_load_met_before_is_followed_in_a_few_frames);
    RUN(test_a_load_that_alternates_beats_every_fixed_mode);
    RUN(test_no_switch_comes_within_the_cooldown);
    RUN(test_a_load_that_swings_within_the_noise_changes_nothing);
    RUN(test_frames_that_take_turns_are_one_load);
    CHECK_MAIN_END();
}
