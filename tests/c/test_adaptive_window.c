/* Rolling figures against a naive recomputation, and the detection of changes. */
#include "adaptive_model.h"

#include <stdlib.h>

#define NAIVE_FRAMES 1000000u

/* The last frames since the window was cleared, in order. */
typedef struct naive {
    fol_adaptive_sample samples[MODEL_WINDOW_MAX];
    uint32_t count;
} naive;

static void naive_push(naive *naive, const fol_adaptive_sample *sample, uint32_t capacity)
{
    if (naive->count == capacity) {
        memmove(&naive->samples[0], &naive->samples[1], (capacity - 1) * sizeof(*sample));
        naive->count--;
    }
    naive->samples[naive->count++] = *sample;
}

static uint64_t naive_sum(const naive *naive, uint32_t figure, uint32_t first)
{
    uint64_t sum = 0;
    for (uint32_t i = first; i < naive->count; i++) {
        uint64_t value = naive->samples[i].value[figure];
        sum += value < FOL_FIGURE_MAX ? value : FOL_FIGURE_MAX;
    }
    return sum;
}

static int compare_numbers(const void *a, const void *b)
{
    const uint64_t *x = a;
    const uint64_t *y = b;
    return *x < *y ? -1 : *x > *y;
}

/* By sorting. */
static double naive_trimmed(const naive *naive, uint32_t figure)
{
    uint64_t sorted[MODEL_WINDOW_MAX];
    for (uint32_t i = 0; i < naive->count; i++) {
        uint64_t value = naive->samples[i].value[figure];
        sorted[i] = value < FOL_FIGURE_MAX ? value : FOL_FIGURE_MAX;
    }
    qsort(sorted, naive->count, sizeof(sorted[0]), compare_numbers);
    uint32_t kept = naive->count - naive->count / 16;
    kept -= naive->count >= 8 && kept == naive->count;
    /* Those that equal the highest that is kept are kept as well. */
    while (kept > 0 && kept < naive->count && sorted[kept] == sorted[kept - 1]) {
        kept++;
    }
    uint64_t sum = 0;
    for (uint32_t i = 0; i < kept; i++) {
        sum += sorted[i];
    }
    return kept == 0 ? 0.0 : (double)sum / (double)kept;
}

static fol_adaptive_sample draw_sample(model *m)
{
    fol_adaptive_sample sample;
    for (uint32_t i = 0; i < FOL_FIGURE_COUNT; i++) {
        uint32_t bits = (uint32_t)(model_draw(m) * 64.0);
        uint64_t value = (uint64_t)(model_draw(m) * 0x1p53) << 11;
        sample.value[i] = model_draw(m) < 0.2 ? 0 : value >> bits;
    }
    return sample;
}

static void test_figures_equal_a_recomputation(void)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        model m = {.random = seed};
        naive naive = {.count = 0};
        fol_adaptive_window window;
        uint32_t capacity = 1 + (uint32_t)(model_draw(&m) * (MODEL_WINDOW_MAX - 1));
        fol_adaptive_window_init(&window, m.samples, capacity);
        for (uint32_t i = 0; i < NAIVE_FRAMES / 20; i++) {
            if (model_draw(&m) < 0.001) {
                fol_adaptive_window_clear(&window);
                naive.count = 0;
            }
            fol_adaptive_sample sample = draw_sample(&m);
            fol_adaptive_window_push(&window, &sample);
            naive_push(&naive, &sample, capacity);
            uint32_t figure = i % FOL_FIGURE_COUNT;
            bool is_good = CHECK_EQ(window.count, naive.count) &&
                           CHECK_EQ(window.sum[figure], naive_sum(&naive, figure, 0));
            if (i % 37 == 0) {
                is_good = CHECK(fol_adaptive_window_trimmed(&window, figure) ==
                                naive_trimmed(&naive, figure)) &&
                          is_good;
            }
            if (!is_good) {
                fprintf(stderr, "seed %" PRIu64 ", frame %u\n", seed, i);
                return;
            }
        }
    }
}

/* Whatever changes and switches come, the window holds the last frames it says it does. */
static void test_the_figures_of_the_choice_equal_a_recomputation(void)
{
    const load *const loads[] = {&tiny, &heavy, &reads};
    for (uint64_t seed = 1; seed <= 4; seed++) {
        model m;
        naive naive = {.count = 0};
        const fol_adaptive_config config = {
            .window = 16 + (uint32_t)seed * 16, .cooldown = 20, .least_gain = 0.05};
        model_init(&m, &config, 2, seed);
        for (uint32_t i = 0; i < NAIVE_FRAMES / 4; i++) {
            load load = *loads[(i / 300) % 3];
            load.noise = 0.3;
            m.placed = &load;
            fol_adaptive_sample sample = model_sample(&m, &load, m.adaptive.mode);
            naive_push(&naive, &sample, config.window);
            fol_adaptive_learn(&m.adaptive, &sample);
            const fol_adaptive_window *window = &m.adaptive.window;
            uint32_t figure = i % FOL_FIGURE_COUNT;
            bool is_good = CHECK(window->count <= naive.count) &&
                           CHECK_EQ(window->sum[figure],
                                    naive_sum(&naive, figure, naive.count - window->count));
            if (!is_good) {
                fprintf(stderr, "seed %" PRIu64 ", frame %u\n", seed, i);
                return;
            }
        }
        CHECK(m.adaptive.switches > 100);
    }
}

static void test_an_empty_window_has_no_figures(void)
{
    fol_adaptive_sample samples[8];
    fol_adaptive_window window;
    fol_adaptive_window_init(&window, samples, 8);
    CHECK(fol_adaptive_window_mean(&window, FOL_FIGURE_CYCLES) == 0.0);
    CHECK(fol_adaptive_window_trimmed(&window, FOL_FIGURE_CYCLES) == 0.0);
    CHECK(fol_adaptive_window_ratio(&window, FOL_FIGURE_STEALS, FOL_FIGURE_STEAL_ATTEMPTS) == 0.0);
}

static void test_the_first_sample_is_the_mean(void)
{
    fol_adaptive_sample samples[8];
    fol_adaptive_window window;
    fol_adaptive_window_init(&window, samples, 8);
    const fol_adaptive_sample sample = {.value = {[FOL_FIGURE_CYCLES] = 700}};
    fol_adaptive_window_push(&window, &sample);
    CHECK(fol_adaptive_window_mean(&window, FOL_FIGURE_CYCLES) == 700.0);
    CHECK(fol_adaptive_window_trimmed(&window, FOL_FIGURE_CYCLES) == 700.0);
}

static void test_the_logarithm_rises_and_is_right_at_powers_of_two(void)
{
    CHECK_EQ(fol_load_logarithm(0), 0);
    CHECK_EQ(fol_load_logarithm(1), FOL_LOAD_UNIT);
    CHECK_EQ(fol_load_logarithm(1023), 10 * FOL_LOAD_UNIT);
    CHECK_EQ(fol_load_logarithm(UINT64_MAX), 64 * FOL_LOAD_UNIT - 1);
    int32_t last = 0;
    for (uint64_t value = 0; value < 100000; value++) {
        int32_t now = fol_load_logarithm(value);
        if (!CHECK(now >= last)) {
            return;
        }
        last = now;
    }
}

static fol_features features_of(double factor)
{
    const fol_adaptive_sample sample = {
        .value = {[FOL_FIGURE_CYCLES] = (uint64_t)(1e6 * factor), [FOL_FIGURE_BUSY] = 900000}};
    return fol_load_features(&sample);
}

/* Frames until a change of the time by the factor is seen; 1000: never. */
static uint32_t frames_to_see(double factor)
{
    fol_load_watch watch = {{0}, {0}};
    fol_features usual = features_of(1.0);
    fol_features now = features_of(factor);
    for (uint32_t frames = 1; frames < 1000; frames++) {
        fol_feature feature = fol_load_watch_add(&watch, &usual, FOL_LOAD_SLACK, &now);
        if (feature != FOL_FEATURE_COUNT) {
            CHECK_EQ(feature, FOL_FEATURE_CYCLES);
            return frames;
        }
    }
    return 1000;
}

static void test_a_change_is_seen_the_sooner_the_larger_it_is(void)
{
    CHECK_EQ(frames_to_see(1.0), 1000);
    CHECK_EQ(frames_to_see(1.4), 1000);
    CHECK_EQ(frames_to_see(2.0), 3);
    CHECK_EQ(frames_to_see(0.5), 3);
    CHECK_EQ(frames_to_see(3.0), 2);
    CHECK_EQ(frames_to_see(100.0), 2);
    CHECK_EQ(frames_to_see(0.01), 2);
}

static void test_noise_of_a_third_is_no_change(void)
{
    fol_load_watch watch = {{0}, {0}};
    fol_features usual = features_of(0.99);
    model m = {.random = 9};
    for (uint32_t i = 0; i < 3000000; i++) {
        fol_features now = features_of(0.7 + 0.6 * model_draw(&m));
        if (!CHECK_EQ(fol_load_watch_add(&watch, &usual, FOL_LOAD_SLACK, &now),
                      FOL_FEATURE_COUNT)) {
            return;
        }
    }
}

int main(void)
{
    RUN(test_figures_equal_a_recomputation);
    RUN(test_the_figures_of_the_choice_equal_a_recomputation);
    RUN(test_an_empty_window_has_no_figures);
    RUN(test_the_first_sample_is_the_mean);
    RUN(test_the_logarithm_rises_and_is_right_at_powers_of_two);
    RUN(test_a_change_is_seen_the_sooner_the_larger_it_is);
    RUN(test_noise_of_a_third_is_no_change);
    CHECK_MAIN_END();
}
