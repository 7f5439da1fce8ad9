/* Rolling figures; see adaptive_window.h. */

#include "policy/adaptive_window.h"

#include <string.h>

#include "base/assert.h"

#define TRIM_SHARE 16u
#define TRIM_FROM  8u

void fol_adaptive_window_init(fol_adaptive_window *window, fol_adaptive_sample *samples,
                              uint32_t capacity)
{
    FOL_ASSERT(samples != NULL);
    FOL_ASSERT(capacity >= 1 && capacity <= FOL_ADAPTIVE_MAX_WINDOW);
    *window = (fol_adaptive_window){.samples = samples, .capacity = capacity};
}

void fol_adaptive_window_clear(fol_adaptive_window *window)
{
    window->count = 0;
    window->next = 0;
    memset(window->sum, 0, sizeof(window->sum));
}

void fol_adaptive_window_push(fol_adaptive_window *window, const fol_adaptive_sample *sample)
{
    fol_adaptive_sample *place = &window->samples[window->next];
    bool is_full = window->count == window->capacity;
    for (uint32_t i = 0; i < FOL_FIGURE_COUNT; i++) {
        uint64_t value = sample->value[i] < FOL_FIGURE_MAX ? sample->value[i] : FOL_FIGURE_MAX;
        window->sum[i] += value - (is_full ? place->value[i] : 0);
        place->value[i] = value;
    }
    window->count += !is_full;
    window->next = window->next + 1 == window->capacity ? 0 : window->next + 1;
}

double fol_adaptive_window_mean(const fol_adaptive_window *window, fol_figure figure)
{
    return window->count == 0 ? 0.0 : (double)window->sum[figure] / (double)window->count;
}

double fol_adaptive_window_ratio(const fol_adaptive_window *window, fol_figure figure,
                                 fol_figure of)
{
    uint64_t whole = window->sum[of];
    return whole == 0 ? 0.0 : (double)window->sum[figure] / (double)whole;
}

static uint32_t count_up_to(const fol_adaptive_window *window, fol_figure figure, uint64_t limit)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < window->count; i++) {
        count += window->samples[i].value[figure] <= limit;
    }
    return count;
}

/* The least value that at least `wanted` frames do not exceed, found by halving what it can be. */
static uint64_t find_rank(const fol_adaptive_window *window, fol_figure figure, uint32_t wanted)
{
    uint64_t low = 0;
    uint64_t high = FOL_FIGURE_MAX;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (count_up_to(window, figure, middle) >= wanted) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

double fol_adaptive_window_trimmed(const fol_adaptive_window *window, fol_figure figure)
{
    uint32_t left_out = window->count / TRIM_SHARE;
    left_out = left_out == 0 && window->count >= TRIM_FROM ? 1 : left_out;
    if (left_out == 0) {
        return fol_adaptive_window_mean(window, figure);
    }
    uint64_t limit = find_rank(window, figure, window->count - left_out);
    uint64_t sum = 0;
    uint32_t count = 0;
    for (uint32_t i = 0; i < window->count; i++) {
        uint64_t value = window->samples[i].value[figure];
        sum += value <= limit ? value : 0;
        count += value <= limit;
    }
    FOL_ASSERT(count > 0);
    return (double)sum / (double)count;
}
